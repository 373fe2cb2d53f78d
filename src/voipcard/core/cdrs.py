"""
Calls as a switch tells them afterwards, in its call detail records, and what becomes of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

import attrs

from voipcard.core.arguments import checked_text
from voipcard.core.cards import Secret, canonical_caller_id, is_caller_id, serial_or_nothing
from voipcard.core.credit import Credit
from voipcard.core.moments import from_micros, to_micros
from voipcard.core.rating import checked_seconds
from voipcard.errors import InvalidCodeError, InvalidValueError, Problem

__all__ = [
    "COLUMNS",
    "CallDifference",
    "CallFacts",
    "CallRecord",
    "RejectedCall",
    "Settlement",
    "checked_call_id",
    "rejected",
]

COLUMNS: Final = ("call_id", "serial", "destination", "started_at", "seconds")
"""What a switch tells of a call, in the order in which problems are looked for."""

MAX_DIGITS: Final = 32
"""As many as a prefix may have; E.164 has at most 15."""

_ADVICE: Final[Mapping[str, str]] = {
    # Of any field
    "missing": "give a value",
    "formula": "replace the formula by its value, as text",
    "excel_damage": "a spreadsheet program changed this field: format the column as text and enter the value again",
    "too_many_fields": "there are more fields than columns: quote a field that has the separator in it",
    # Of a field of its own
    "not_a_name": "use the switch's name for the call: 1 to 255 characters on one line",
    "number_cell": (
        "a spreadsheet program made a number of the call's name, and may have lost zeros: format the column as text"
        " and enter the value again"
    ),
    "not_a_serial": "give the serial of the card, such as K7QX-000042, not its code",
    "not_a_number": "write the number that was called with 1 to 32 digits",
    "not_a_moment": (
        "write the moment as 2026-03-01T09:30:00+02:00, as 2026-03-01 09:30:00 in the time zone that is given, or in"
        " seconds since 1970"
    ),
    "not_seconds": "write how long the call took as a whole number of seconds",
    "negative": "a call cannot take less than no time: compare it with its source",
    "too_long": "no call takes longer than a year: compare it with its source",
    # Of what the book knows
    "unknown_card": "the extension has no such card, or none any more: find out who owes for the call",
    "tampered": "the card, or its history, was changed from outside: verify the book",
    "settled_elsewhere": "a call of this name was settled for a card of another extension",
    "unknown_destination": "the price list has no rate for the number: add one from when the call began",
    "unknown_deck": "no price list held when the call began: install one that did",
    "too_expensive": "the call costs more than an amount can be: look at the price list",
    "in_future": "the call begins more than a day from now: compare the clocks, and the time zone that is given",
}
"""What a person should do about each reason."""


def checked_call_id(value: str) -> str:
    """
    Accept a switch's name for a call, and give it without spaces around it.

    Raises:
        InvalidValueError: If it is no line of 1 to 255 characters.
    """
    # A file does not tell them from those of its layout: a call of another name would be charged again.
    name = checked_text("call_id", value).strip()
    if not name:
        raise InvalidValueError("call_id", "has no characters")

    return name


def _serial(value: str) -> str:
    if not serial_or_nothing(value):
        raise InvalidValueError("serial", "has to be the serial of a card, such as K7QX-000042")

    return str.__str__(value)


def _destination(value: str) -> str:
    try:
        digits = canonical_caller_id(value)
    except InvalidCodeError:
        digits = ""
    if not 1 <= len(digits) <= MAX_DIGITS:
        raise InvalidValueError("destination", "has to be a number of 1 to 32 digits")

    return f"+{digits}" if is_caller_id(value) else digits


def _moment(value: datetime) -> datetime:
    try:
        return from_micros(to_micros(value))
    except InvalidValueError as error:
        raise InvalidValueError("started_at", error.reason) from None


@attrs.frozen
class CallRecord(Secret):
    """
    A call that has taken place, as its switch tells it. Its `repr` does not show who was called, and it has no pickle.

    Attributes:
        call_id:
            The switch's name for the call, as for `Extension.begin_call`: 1 to 255 characters; spaces around it do not
            count.
        serial: The card that pays.
        destination: The number that was called, as for `Extension.begin_call`; it is kept without separators.
        started_at: When the call was answered: an aware datetime, which is kept in UTC.
        seconds: How long it took from then on, 0 to a year.
        row: The row of the file that it stands in, counted from 1 as a spreadsheet counts; 0 if it is of no file.
        sheet: The sheet of the workbook, counted from 1.

    Raises:
        InvalidValueError: If a value cannot be. It says of which, and not what it is.

    Example:
        >>> from datetime import UTC, datetime
        >>> CallRecord("1764460800.17", "K7QX-000042", "+40 21 312 3456", datetime(2026, 3, 1, tzinfo=UTC), 95).seconds
        95
    """

    call_id: str = attrs.field(converter=checked_call_id)
    serial: str = attrs.field(converter=_serial)
    destination: str = attrs.field(converter=_destination, repr=False)
    started_at: datetime = attrs.field(converter=_moment)
    seconds: int = attrs.field(converter=checked_seconds)
    row: int = attrs.field(default=0, kw_only=True, eq=False)
    sheet: int = attrs.field(default=1, kw_only=True, eq=False)

    def rejected(self, column: str, reason: str) -> RejectedCall:
        """
        Say that it cannot be settled, and why.
        """
        texts = (self.call_id, self.serial, self.destination, self.started_at.isoformat(), str(self.seconds))

        return rejected(column, reason, texts, row=self.row, sheet=self.sheet)


@attrs.frozen
class RejectedCall(Secret):
    """
    A call that was not settled, with why, and with what was told of it: so it can be mended and told again.

    Its `repr` shows only what is wrong, and it has no pickle. What was told is in clear text in its fields, among it
    who was called, or what somebody wrote in its place; so it is in a file that `voipcard.sheets.write` makes of it.

    Attributes:
        problem:
            Where it stands, and what is wrong: `column` is the name of one of the other fields, or empty for all.
        call_id: The call.
        serial: The card.
        destination: The number that was called.
        started_at: When it was answered: with its time zone, if it was understood.
        seconds: How long it took.
    """

    problem: Problem
    call_id: str = attrs.field(repr=False)
    serial: str = attrs.field(repr=False)
    destination: str = attrs.field(repr=False)
    started_at: str = attrs.field(repr=False)
    seconds: str = attrs.field(repr=False)

    def __str__(self) -> str:
        return str(self.problem)


def rejected(column: str, reason: str, texts: Sequence[str], *, row: int, sheet: int) -> RejectedCall:
    """
    Say what is wrong with a call of which *texts* are told, in the order of the columns.
    """
    return RejectedCall(Problem(row, column, reason, _ADVICE[reason], sheet=sheet), *texts)


@attrs.frozen
class CallFacts:
    """
    What a call is charged by.

    Attributes:
        serial: The card that pays.
        prefix: The rated prefix of the number that was called; empty where none is known.
        seconds: How long it took; None where that was not told.
        cost: What it costs, whether or not the card had it; None where no price is known.
    """

    serial: str
    prefix: str
    seconds: int | None
    cost: Credit | None


@attrs.frozen
class CallDifference:
    """
    A call that was told again, in another way than it has been settled. What was settled stays.

    Attributes:
        row: As in `CallRecord`; of calls that are of no file, which of them it is, counted from 1.
        sheet: As in `CallRecord`.
        call_id: The switch's name for the call.
        fields: What differs: `serial`, `destination`, `seconds`.
        recorded: What it was settled by; of a call that was given up 0 seconds, which cost nothing.
        told: What it would be settled by now.
    """

    row: int
    sheet: int
    call_id: str
    fields: tuple[str, ...]
    recorded: CallFacts
    told: CallFacts


def _counted(items: Sequence[object]) -> str:
    return f"<{len(items)}>"


@attrs.frozen
class Settlement:
    """
    What became of calls that were told.

    As an iterable it gives the calls that were rejected: what `voipcard.sheets.write` takes.

    Attributes:
        settled: How many were charged.
        replayed: How many had been settled before in the same way.
        differing: Those that had been settled before in another way.
        rejected: Those that could not be settled.
    """

    settled: int
    replayed: int
    differing: tuple[CallDifference, ...] = attrs.field(repr=_counted)
    rejected: tuple[RejectedCall, ...] = attrs.field(repr=_counted)

    def __iter__(self) -> Iterator[RejectedCall]:
        return iter(self.rejected)
