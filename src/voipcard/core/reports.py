"""
What reports say and how they look, and the calls that were charged, one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

import attrs

from voipcard.core.arguments import MAX_INTEGER, checked_integer
from voipcard.core.cards import MASK, Secret
from voipcard.core.credit import Credit
from voipcard.errors import AmountError, InvalidValueError

__all__ = [
    "Calls",
    "ChargedCall",
    "CostGroup",
    "CostRow",
    "CreditGroup",
    "CreditRow",
    "RechargeGroup",
    "RechargeRow",
    "Report",
    "ReportColumn",
    "RevealedCall",
    "UseRow",
    "added_up",
    "checked_days",
    "checked_groups",
    "span_of",
    "spans",
]

CostGroup: TypeAlias = Literal["extension", "batch", "card", "destination", "day", "month"]
"""What the costs of calls are grouped by."""

RechargeGroup: TypeAlias = Literal["extension", "batch", "card", "kind", "day", "month"]
"""What changes of credit by hand are grouped by."""

CreditGroup: TypeAlias = Literal["extension", "batch"]
"""What credit on cards is grouped by."""

ZERO: Final = Credit(0)

_DAY: Final = timedelta(days=1) // timedelta(microseconds=1)


@attrs.frozen
class ChargedCall:
    """
    A call that was charged, as the ledger recorded it: safe to log and print, without the number that was called.

    Attributes:
        serial: The card.
        extension: Its extension.
        batch: Its batch.
        destination: The prefix that the number was rated by; empty if it was not rated.
        started_at: When the call began, in UTC.
        seconds: How long it took; None if that was not told.
        charged_seconds: How many of them were charged; None if that was not told.
        price: What its tariff asks for an interval; None if it was not rated.
        deck: The name of the price list; empty if it was not rated.
        cost: What was charged, zero or more, and taken from the card where its credit is not Unlimited.
        shortfall: What it cost besides, and the card did not have.
        credit_left: The card's credit afterwards.
        charged_at: When it was charged, in UTC.
    """

    serial: str
    extension: str
    batch: str
    destination: str
    started_at: datetime
    seconds: int | None
    charged_seconds: int | None
    price: Credit | None
    deck: str
    cost: Credit
    shortfall: Credit
    credit_left: Credit
    charged_at: datetime


@attrs.frozen
class RevealedCall(Secret):
    """
    A call that was charged, with the number that was called in clear text. Its repr masks it, and it has no pickle.

    Attributes:
        call: All else about it.
        number: The number that was called; empty if it was not told.
    """

    call: ChargedCall
    number: str = attrs.field(repr=lambda number: repr(MASK) if number else "''")


Call = TypeVar("Call", ChargedCall, RevealedCall)


class Calls(Iterator[Call], Generic[Call]):
    """
    Calls, one by one, that are known for calls also where there are none: a file of them has their columns.

    Attributes:
        kind: What they are.

    Args:
        kind: What they are.

        calls: The calls.
    """

    def __init__(self, kind: type[Call], calls: Iterator[Call]) -> None:
        self.kind: Final[type[Call]] = kind
        self._calls: Final[Iterator[Call]] = calls

    def __next__(self) -> Call:
        return next(self._calls)


@attrs.frozen(kw_only=True)
class CostRow:
    """
    What the calls of one group cost. What they were not grouped by is None.

    Attributes:
        extension: The number of the extension.
        batch: The batch of the card.
        card: The serial of the card, which may have been removed since.
        destination: The prefix that the calls were rated by; empty if they were not rated.
        day: The day on which they began.
        month: The first day of the month in which they began.
        calls: How many there were, captures without a call included.
        seconds: How long they took, as far as that was told.
        charged_seconds: How many seconds were charged, as far as that was told.
        cost: What was charged, and taken from cards where their credit is not Unlimited.
        shortfall: What they cost besides, and the cards did not have.
    """

    extension: str | None = None
    batch: str | None = None
    card: str | None = None
    destination: str | None = None
    day: date | None = None
    month: date | None = None
    calls: int = 0
    seconds: int = 0
    charged_seconds: int = 0
    cost: Credit = ZERO
    shortfall: Credit = ZERO


@attrs.frozen(kw_only=True)
class RechargeRow:
    """
    What was put on the cards of one group, and taken by hand. What the changes were not grouped by is None.

    Attributes:
        extension: The number of the extension.
        batch: The batch of the card.
        card: The serial of the card, which may have been removed since.
        kind: `initial`, `recharge` or `transfer`.
        day: The day on which it was recorded.
        month: The first day of the month in which it was recorded.
        changes: How many changes there were.
        added: What was added, where that was a finite amount.
        taken: What was taken by hand; from an Unlimited card, what was asked for.
        unlimited: How many times Unlimited was given.
    """

    extension: str | None = None
    batch: str | None = None
    card: str | None = None
    kind: str | None = None
    day: date | None = None
    month: date | None = None
    changes: int = 0
    added: Credit = ZERO
    taken: Credit = ZERO
    unlimited: int = 0


@attrs.frozen(kw_only=True)
class CreditRow:
    """
    The credit on the cards of one group. What they were not grouped by is None.

    Attributes:
        extension: The number of the extension.
        batch: The batch of the cards.
        reason: `expired`, or `unused` for cards that nothing happened to for long enough.
        age: How many days ago it was, such as `31 to 90` or `over 365`.
        cards: How many cards have finite credit left.
        credit: How much, before holds.
        held: How much of that running calls have reserved.
        unlimited: How many cards have Unlimited credit: they are not among *cards*.
    """

    extension: str | None = None
    batch: str | None = None
    reason: str | None = None
    age: str | None = None
    cards: int = 0
    credit: Credit = ZERO
    held: Credit = ZERO
    unlimited: int = 0


@attrs.frozen(kw_only=True)
class UseRow:
    """
    How many cards were first used so many days after they were made.

    Attributes:
        age: How many days after, such as `0 to 1` or `over 365`; `never` for cards that were not used yet.
        cards: How many cards.
        used: How many were first used by then, those of the rows before included.
    """

    age: str | None = None
    cards: int = 0
    used: int = 0


R = TypeVar("R", bound=CostRow | RechargeRow | CreditRow | UseRow)


@attrs.frozen
class ReportColumn:
    """
    A column of a report.

    Attributes:
        name: The attribute of the rows.
        header: What stands above it.
        kind: What it holds: `text`, `day`, `month`, `amount` or `count`.
    """

    name: str
    header: str
    kind: Literal["text", "day", "month", "amount", "count"]


_GROUPS: Final[Mapping[str, ReportColumn]] = {
    column.name: column
    for column in (
        ReportColumn("extension", "Extension", "text"),
        ReportColumn("batch", "Batch", "text"),
        ReportColumn("card", "Card", "text"),
        ReportColumn("destination", "Destination", "text"),
        ReportColumn("kind", "Type", "text"),
        ReportColumn("reason", "Reason", "text"),
        ReportColumn("age", "Days", "text"),
        ReportColumn("day", "Day", "day"),
        ReportColumn("month", "Month", "month"),
    )
}

_SUMS: Final[Mapping[type, tuple[ReportColumn, ...]]] = {
    CostRow: (
        ReportColumn("calls", "Calls", "count"),
        ReportColumn("seconds", "Seconds", "count"),
        ReportColumn("charged_seconds", "Charged Seconds", "count"),
        ReportColumn("cost", "Cost", "amount"),
        ReportColumn("shortfall", "Shortfall", "amount"),
    ),
    RechargeRow: (
        ReportColumn("changes", "Changes", "count"),
        ReportColumn("added", "Added", "amount"),
        ReportColumn("taken", "Taken", "amount"),
        ReportColumn("unlimited", "Unlimited", "count"),
    ),
    CreditRow: (
        ReportColumn("cards", "Cards", "count"),
        ReportColumn("credit", "Credit", "amount"),
        ReportColumn("held", "Held", "amount"),
        ReportColumn("unlimited", "Unlimited", "count"),
    ),
    UseRow: (
        ReportColumn("cards", "Cards", "count"),
        ReportColumn("used", "Used by then", "count"),
    ),
}


@attrs.frozen(repr=False)
class Report(Generic[R]):
    """
    A table of sums: iterate over it for its rows, print it, take its `records`, or give it to `sheets.write`.

    It is what the book was while the report was made, and does not change any more.

    Attributes:
        title: What it is about.
        currency: The currency of all amounts.
        zone: The time zone of its days, months and bounds.
        made_at: When it was made, in UTC.
        start: The first moment that counts; None if there is no such bound.
        end: The first moment that no longer counts; None if there is no such bound.
        by: What it is grouped by, from left to right.
        rows: The groups in their order, those without anything left out; without *by* one row.
        total: The sum of all rows.

    Example:
        >>> extension = voipcard.open_book(currency="EUR").extension("0003*215")
        >>> batch = extension.generate(3, credit="10.00")
        >>> print(extension.liability(by="extension"))
        Outstanding credit in EUR
        <BLANKLINE>
        Extension  Cards  Credit  Held  Unlimited
        -----------------------------------------
        0003*215       3   30.00  0.00          0
        -----------------------------------------
        Total          3   30.00  0.00          0
    """

    title: str
    currency: str
    zone: str
    made_at: datetime
    start: datetime | None
    end: datetime | None
    by: tuple[str, ...]
    rows: tuple[R, ...]
    total: R

    def __iter__(self) -> Iterator[R]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __repr__(self) -> str:
        return f"<Report {self.title!r} with {len(self)} rows>"

    @property
    def columns(self) -> tuple[ReportColumn, ...]:
        """
        What the rows have, from left to right: what they are grouped by, and then the sums.
        """
        return (*(_GROUPS[name] for name in self.by), *_SUMS[type(self.total)])

    def records(self) -> list[dict[str, str | int | Decimal | date]]:
        """
        Give the rows as plain dictionaries, as a data frame takes them: amounts are `Decimal`, days are `date`.

        A month is its first day.

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> _ = extension.generate(3, credit="10.00")
            >>> extension.liability(by="extension").records()
            [{'extension': '0003*215', 'cards': 3, 'credit': Decimal('30.00'), 'held': Decimal('0.00'), 'unlimited': 0}]
        """
        return [{column.name: _plain(getattr(row, column.name)) for column in self.columns} for row in self.rows]

    def __str__(self) -> str:
        columns = self.columns
        lines = [[_shown(getattr(row, column.name), column) for column in columns] for row in self.rows]
        total = [
            "" if column.name in self.by else _shown(getattr(self.total, column.name), column) for column in columns
        ]
        if self.by:
            total[0] = "Total"
        else:  # The one row says the same.
            lines = []
        headers = [column.header for column in columns]
        widths = [max(map(len, cells)) for cells in zip(headers, *lines, total, strict=True)]
        is_text = [column.name in self.by for column in columns]

        def line(cells: Sequence[str]) -> str:
            aligned = [
                cell.ljust(width) if left else cell.rjust(width)
                for cell, width, left in zip(cells, widths, is_text, strict=True)
            ]

            return "  ".join(aligned).rstrip()

        rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
        table = [line(headers), rule, *map(line, lines), *([rule] if lines else []), line(total)]

        return "\n".join([self._head(), "", *table])

    def _head(self) -> str:
        bounds = [
            f"{word} {moment.isoformat(' ', 'minutes')}"
            for word, moment in (("from", self.start), ("before", self.end))
            if moment is not None
        ]
        is_dated = bounds or {"day", "month"} & set(self.by)
        zone = [f"days of {self.zone}"] if is_dated else []

        return ", ".join([f"{self.title} in {self.currency}", *([" ".join(bounds)] if bounds else []), *zone])


def _plain(value: Credit | date | str | int) -> str | int | Decimal | date:
    return value.to_decimal() if isinstance(value, Credit) else value


def _shown(value: object, column: ReportColumn) -> str:
    if column.kind == "month":
        return str(value)[:7]

    return "-" if value == "" else str(value)


def checked_groups(by: str | Iterable[str], allowed: Sequence[str]) -> tuple[str, ...]:
    """
    Accept what a report is to be grouped by: any number of different names, or a single one.

    Raises:
        InvalidValueError: If a name is none of those that are allowed, or comes twice.
    """
    names = (by,) if isinstance(by, str) else tuple(by) if isinstance(by, Iterable) else (None,)
    if not all(name in allowed for name in names) or len(set(names)) < len(names):
        raise InvalidValueError("by", f"has to be different ones of {', '.join(allowed)}")

    return tuple(map(str, names))


def checked_days(days: Iterable[int]) -> tuple[int, ...]:
    """
    Accept the last days of spans: ascending whole numbers, zero or more.

    Raises:
        InvalidValueError: If they are something else, or there is none.
    """
    lasts = tuple(days) if isinstance(days, Iterable) and not isinstance(days, str) else ()
    for last in lasts:
        checked_integer("days", last, at_least=0)
    if not lasts or list(lasts) != sorted(set(lasts)):
        raise InvalidValueError("days", "have to be ascending, at least one")

    return lasts


def spans(lasts: Sequence[int]) -> list[str]:
    """
    Name the spans of days that end with these days, and what comes after the last of them.

    Example:
        >>> spans([30, 90])
        ['0 to 30', '31 to 90', 'over 90']
    """
    firsts = [0, *(last + 1 for last in lasts)]

    # With a hyphen, Excel would take 2-7 in a CSV file for the second of July.
    return [*(f"{first} to {last}" for first, last in zip(firsts, lasts, strict=False)), f"over {lasts[-1]}"]


def span_of(micros: int, lasts: Sequence[int]) -> int:
    """
    Tell in which of these spans a length of time is, counted in whole days; a negative one is in the first.
    """
    days = micros // _DAY

    return sum(days > last for last in lasts)


def added_up(
    row: type[R], by: Sequence[str], sums: Iterable[tuple[Sequence[object], Sequence[int]]]
) -> tuple[tuple[R, ...], R]:
    """
    Make the rows of a report, and their total.

    Args:
        row: What rows are made of.

        by: What they are grouped by.

        sums: The groups in their order, each with its sums in the order of the columns, amounts in millionths.

    Raises:
        AmountError: If a sum is more than an amount can be.
    """
    columns = _SUMS[row]

    def made(group: Sequence[object], values: Sequence[int]) -> R:
        fields: dict[str, Any] = dict(zip(by, group, strict=True))
        for column, value in zip(columns, values, strict=True):
            fields[column.name] = _amount(value) if column.kind == "amount" else value

        return row(**fields)

    rows, total = [], [0] * len(columns)
    for group, values in sums:
        rows.append(made(group, values))
        total = [before + value for before, value in zip(total, values, strict=True)]
    whole = made([None] * len(by), total)

    return (tuple(rows) if by else (whole,)), whole


def _amount(micros: int) -> Credit:
    if micros >= MAX_INTEGER:  # As credit, that would be Unlimited.
        raise AmountError("too_large")

    return Credit.from_micros(micros)
