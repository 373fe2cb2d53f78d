"""
Calls that have taken place: settling what the switch tells of them afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

from voipcard import settling
from voipcard.core.arguments import Progress
from voipcard.core.cdrs import CallRecord, RejectedCall, Settlement
from voipcard.extension.bound import Bound

if TYPE_CHECKING:
    from voipcard.sheets import Format, Limits, SupportsRead

__all__ = ["Settling"]


class Settling(Bound):
    """
    Settles calls.
    """

    def settle_calls(
        self, records: Iterable[CallRecord | RejectedCall], *, progress: Progress | None = None
    ) -> Settlement:
        """
        Charge calls that have taken place, each exactly once by the switch's name for it.

        At most 1,000 of them are charged in a commit, whole or not at all. Asked again, also after a crash in the
        middle and for some of them only, it charges what is missing. A call that was begun here and whose hold has not
        run out is charged by the price list that it began with, and its hold is freed; any other by the version of the
        extension's price list (`ExtensionSettings.deck`) that held when it was answered. What it cost is taken from its
        hold and from what nobody else has reserved; credit never goes below zero, and what is not there is recorded as
        the shortfall. That a card has expired, or that it, its batch or the extension is disabled, changes nothing: the
        call has taken place.

        The first settlement stays, be it by `Call.end` or from here. A call that is told again for the same card, with
        the same number and seconds, is the same; otherwise it is listed as differing. A call that was given up, by
        `release` of its hold, was settled with 0 seconds. What cannot be settled is listed as rejected with the reason
        (`Problem.reason`), and the rest goes on:

        * `unknown_card`: the extension has no such card, or it was removed; `tampered`: it was changed from outside.
        * `unknown_destination`: the price list has no rate for the number.
        * `unknown_deck`: no version of the price list held when the call was answered.
        * `in_future`: it was answered more than a day from now.
        * `too_expensive`: it costs more than an amount can be.
        * `settled_elsewhere`: a call of that name was settled for a card of another extension.

        Args:
            records:
                The calls. They are taken one by one, and only those that differ or are rejected are kept in memory. Of
                what `voipcard.sheets.read_cdrs` gives, bad rows are rejected for what is wrong with them.

            progress: Is told after each commit how many calls were looked at and, where that is known, of how many.

        Returns:
            How many were settled now and before, those that differ, and those that were rejected.

        Raises:
            InvalidValueError: If one of *records* is something else. What was settled before it stays.

            TamperedError: If something was changed from outside that concerns more than one card.

        Example:
            >>> from datetime import UTC, datetime
            >>> book = voipcard.open_book()
            >>> _ = book.install_deck(voipcard.RateDeck([voipcard.Rate("40", voipcard.Tariff(price="0.06"))]))
            >>> extension = book.extension("0003*215")
            >>> [handout] = extension.generate(1, credit="1.00")
            >>> call = voipcard.CallRecord(
            ...     "1764460800.17", handout.serial, "40213123456", datetime(2026, 3, 1, tzinfo=UTC), 95
            ... )
            >>> extension.settle_calls([call, call])
            Settlement(settled=1, replayed=1, differing=<0>, rejected=<0>)
            >>> extension.get(handout.serial).credit
            Credit('0.905')
        """
        return settling.settle(self._engine, self.number, records, progress=progress)

    def import_cdrs(
        self,
        source: str | os.PathLike[str] | SupportsRead,
        *,
        zone: str = "UTC",
        format: Format | None = None,  # noqa: A002 - what everybody calls it
        separator: str = ",",
        encoding: str | None = None,
        limits: Limits | None = None,
        progress: Progress | None = None,
    ) -> Settlement:
        r"""
        Charge the calls of a switch's call detail records: `read_cdrs` and `settle_calls` in one.

        The same file again settles what is missing, whatever stopped it before. `voipcard.sheets.write` makes a file of
        the rejected calls that can be mended and imported again; it shows who was called.

        Args:
            source:
                A path, or a file that is open in binary mode; see `voipcard.sheets.read_cdrs` for what is in it.

            zone: The time zone of moments that do not say theirs, by its IANA name, such as `Europe/Bucharest`.

            format: `csv` or `xlsx`; None to go by the end of the path or, without one, by how the file begins.

            separator: What stands between two fields of a text file: one character.

            encoding: As for `voipcard.sheets.read`.

            limits: How much of the file is read; more than 1,048,576 rows need their own.

            progress: As for `settle_calls`; how many there are in all is not known.

        Returns:
            As for `settle_calls`. Rejected for what is wrong with their rows are also calls with an empty field
            (`missing`), and with what cannot be a name (`not_a_name`), a serial (`not_a_serial`), a number
            (`not_a_number`), a moment (`not_a_moment`) or a number of seconds from 0 to a year (`not_seconds`,
            `negative`, `too_long`), or was damaged by a spreadsheet program (`excel_damage`, `formula`, `number_cell`).

        Raises:
            UploadError: If the first row is no header with all columns. Nothing was written.

            SheetError: If the file cannot be read. What was settled before the place where it cannot stays.

            InvalidValueError: If an argument is out of its range.

            TamperedError: As for `settle_calls`.

        Example:
            >>> from io import BytesIO
            >>> book = voipcard.open_book()
            >>> _ = book.install_deck(voipcard.RateDeck([voipcard.Rate("40", voipcard.Tariff(price="0.06"))]))
            >>> extension = book.extension("0003*215")
            >>> [handout] = extension.generate(1, credit="1.00")
            >>> header = "uniqueid,accountcode,dst,start,billsec"
            >>> rows = [f"17.1,{handout.serial},40213123456,1764460800,95", "17.2,,40213123456,1764460805,9"]
            >>> settlement = extension.import_cdrs(BytesIO("\n".join([header, *rows]).encode()))
            >>> settlement.settled, [str(call) for call in settlement.rejected]
            (1, ['row 3, serial: give a value'])
            >>> voipcard.sheets.write("rejected.csv", settlement)
            1

        Source: Asterisk documentation, "CDR Specification".
        """
        from voipcard.sheets import read_cdrs

        calls = read_cdrs(source, zone=zone, format=format, separator=separator, encoding=encoding, limits=limits)

        return self.settle_calls(calls, progress=progress)
