"""
Call detail records of switches: files that tell which calls have taken place.
"""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from typing import Final

from voipcard.core.cdrs import COLUMNS, CallRecord, RejectedCall, rejected
from voipcard.core.moments import from_micros
from voipcard.core.zones import checked_zone
from voipcard.errors import InvalidValueError, Problem, SheetError, UploadError
from voipcard.sheets import record
from voipcard.sheets.files import SupportsRead
from voipcard.sheets.found import FoundCell, FoundRow, Unusable
from voipcard.sheets.limits import Limits
from voipcard.sheets.reading import Format, read

__all__ = ["read_cdrs"]

_NAMES: Final[Mapping[str, Sequence[str]]] = {
    "call_id": ("callid", "uniqueid"),
    "serial": ("serial", "card", "accountcode"),
    "destination": ("destination", "dst"),
    "started_at": ("startedat", "started", "start", "calldate"),
    "seconds": ("seconds", "billsec", "duration"),
}
"""
What the columns may be called, in small letters and without what stands between words; the first that is there counts.

Asterisk has both `duration`, which begins with the ringing, and `billsec`, which begins with the answer.

Source: Asterisk documentation, "CDR Specification".
"""

_BETWEEN_WORDS: Final = re.compile(r"[\s_./-]+")

_LOCAL: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,6})?)?"
_MOMENT: Final = re.compile(rf"{_LOCAL}(?: ?(?:Z|[+-][0-9]{{2}}:?[0-9]{{2}}))?", re.ASCII)
_EPOCH: Final = re.compile(r"([0-9]{9,10})(?:\.([0-9]{1,6})[0-9]*)?", re.ASCII)
"""Seconds since 1970, from 1973 on: what has fewer digits is more likely to be a date."""

_FAULTS: Final = {
    "call_id": "not_a_name",
    "serial": "not_a_serial",
    "destination": "not_a_number",
    "started_at": "not_a_moment",
}
"""What is wrong with a field that is there and cannot be."""

_WHOLE: Final = re.compile("-?[0-9]{1,12}", re.ASCII)
_SECOND: Final = 1_000_000


def read_cdrs(
    source: str | os.PathLike[str] | SupportsRead,
    *,
    zone: str = "UTC",
    format: Format | None = None,  # noqa: A002 - what everybody calls it
    separator: str = ",",
    encoding: str | None = None,
    limits: Limits | None = None,
) -> Generator[CallRecord | RejectedCall]:
    r"""
    Read the calls of a switch's call detail records, one by one.

    The first row is a header. It names these columns, in any order, among any others, which are left alone:

    * `call_id`, `uniqueid` or `callid`: the switch's name for the call.
    * `serial`, `card` or `accountcode`: the serial of the card.
    * `destination` or `dst`: the number that was called.
    * `started_at`, `started`, `start` or `calldate`: when it was answered, in ISO 8601, as `2026-03-01 09:30:00` or in
      seconds since 1970.
    * `seconds`, `billsec` or `duration`: how long it took from then on.

    Where a file has two columns for one of them, the name that comes first here counts. Spaces, dots, dashes,
    underscores and capital letters in a name are the same as none, and so are spaces around what stands in a field.

    Args:
        source: A path, or a file that is open in binary mode; see `read`.

        zone:
            The time zone of moments that do not say theirs, by its IANA name, such as `Europe/Bucharest`. Of an hour
            that comes twice when clocks are set back, the first one is meant.

        format: As for `read`.

        separator: As for `read`.

        encoding: As for `read`.

        limits: How much of the file is read.

    Returns:
        The call of each row that is not empty, or what is wrong with the row, in the order of the file.

    Raises:
        UploadError: If the first row is no header with all five columns.

        SheetError: If the file cannot be read, or has no rows. This may come after some calls.

        InvalidValueError: If an argument is out of its range.

    Example:
        >>> from io import BytesIO
        >>> file = BytesIO(
        ...     b"calldate,dst,billsec,accountcode,uniqueid\n"
        ...     b"2026-03-01 09:30:00,40213123456,95,K7QX-000042,1772350200.17\n"
        ...     b"0000-00-00 00:00:00,40213123456,95,K7QX-000042,1772350200.18\n"
        ... )
        >>> call, bad = voipcard.sheets.read_cdrs(file, zone="Europe/Bucharest")
        >>> call.started_at.isoformat(), bad.problem.reason
        ('2026-03-01T07:30:00+00:00', 'not_a_moment')
    """
    return _calls(
        read(source, format=format, separator=separator, encoding=encoding, limits=limits), checked_zone(zone)
    )


def _calls(rows: Generator[FoundRow], zone: tzinfo) -> Generator[CallRecord | RejectedCall]:
    with closing(rows):
        header = next(rows, None)
        if header is None:
            raise SheetError("empty", "the file has no rows with calls")
        reader = _Reader(header, zone)
        for row in rows:
            yield reader.call(row)


class _Reader:
    """
    Makes calls of rows.

    Args:
        header: The first row.

        zone: The time zone of moments that do not say theirs.

    Raises:
        UploadError: If the header does not have all columns, or one of them twice.
    """

    def __init__(self, header: FoundRow, zone: tzinfo) -> None:
        words = [_BETWEEN_WORDS.sub("", cell.lower()) if isinstance(cell, str) else "" for cell in header.cells]
        names = [next((name for name in _NAMES[column] if name in words), "") for column in COLUMNS]
        if not all(names) or any(words.count(name) > 1 for name in names):
            advice = (
                "name each of these columns once in the first row: call_id, serial, destination, started_at, seconds"
            )
            problem = Problem(header.number, "", "header", advice, sheet=header.sheet)
            raise UploadError("rows", f"the calls cannot be read: {problem}", (problem,), 1, 1)
        self._places: Final = [words.index(name) for name in names]
        self._width: Final = len(words)
        self._zone: Final = zone

    def call(self, row: FoundRow) -> CallRecord | RejectedCall:
        """
        Give the call of a row, or what is wrong with it.
        """
        cells = row.cells
        if len(cells) < self._width:  # Fields at the end that are empty may not be there.
            cells = [*cells, *[""] * (self._width - len(cells))]
        found = [cells[place] for place in self._places]
        texts = [_text(cell) for cell in found]
        moment: datetime | None = None
        column, reason = "", "too_many_fields" if any(map(_is_filled, cells[self._width :])) else ""
        if not reason:
            column, reason = _damage(found, texts)
        if not reason:
            moment = _moment(found[3], texts[3], self._zone)
            column, reason = ("started_at", "" if moment else "not_a_moment")
        if moment is not None:
            texts[3] = moment.isoformat()
            try:
                return self._made(row, texts, moment)
            except InvalidValueError as error:
                column = error.name
                reason = _fault(column, texts[4])

        return rejected(column, reason, texts, row=row.number, sheet=row.sheet)

    @staticmethod
    def _made(row: FoundRow, texts: Sequence[str], moment: datetime) -> CallRecord:
        call_id, serial, destination, _, seconds = texts
        if not _WHOLE.fullmatch(seconds):
            raise InvalidValueError("seconds", "has to be a whole number")

        return CallRecord(call_id, serial, destination, moment, int(seconds), row=row.number, sheet=row.sheet)


def _is_filled(cell: FoundCell) -> bool:
    return not isinstance(cell, str) or bool(cell.strip())


def _text(cell: FoundCell) -> str:
    """
    Give what stands in a cell as a person would have typed it; nothing if that is not to be had.
    """
    if isinstance(cell, Unusable):
        return ""
    if isinstance(cell, datetime):  # The file does not say its zone.
        return cell.replace(tzinfo=None).isoformat(" ")

    return record.as_text(cell).strip()


def _damage(cells: Sequence[FoundCell], texts: Sequence[str]) -> tuple[str, str]:
    """
    Give the first column that is empty, or of which it can be seen that something happened to it, and what.
    """
    for column, cell, text in zip(COLUMNS, cells, texts, strict=True):
        if isinstance(cell, Unusable):
            return column, cell.value
        if not text:
            return column, "missing"
        if isinstance(cell, datetime) and column != "started_at":
            return column, "excel_damage"
        # A call that comes under another name is charged again.
        if column == "call_id" and isinstance(cell, Decimal):
            return column, "number_cell"
        if column in {"call_id", "destination"} and (fault := record.damage("order_number", cell)):
            return column, fault

    return "", ""


def _fault(column: str, seconds: str) -> str:
    """
    Say why a call cannot have what stands in a column.
    """
    if column != "seconds":
        return _FAULTS[column]
    if not _WHOLE.fullmatch(seconds):
        return "not_seconds"

    return "negative" if int(seconds) < 0 else "too_long"


def _moment(cell: FoundCell, text: str, zone: tzinfo) -> datetime | None:
    """
    Read when a call was answered.
    """
    if found := _EPOCH.fullmatch(text):
        whole, fraction = found.groups("0")
        return from_micros(int(whole) * _SECOND + int(fraction.ljust(6, "0")))
    if not isinstance(cell, datetime) and not _MOMENT.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
