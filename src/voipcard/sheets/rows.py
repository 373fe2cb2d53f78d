"""
Which columns each kind of value has in a file, under the headers of VoipNow's pages.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date, datetime
from operator import attrgetter
from typing import Any, Final, Literal, TypeAlias

import attrs

from voipcard.core.batches import Batch
from voipcard.core.cards import NOT_KEPT, CardCode, Handout, RevealedCard
from voipcard.core.cdrs import RejectedCall, Settlement
from voipcard.core.credit import Credit
from voipcard.core.ledger import LedgerEntry
from voipcard.core.reports import Calls, ChargedCall, Report, RevealedCall
from voipcard.core.uploads import UploadReport
from voipcard.errors import InvalidValueError, Problem

__all__ = [
    "CALLS",
    "CARDS",
    "HANDOUTS",
    "HISTORY",
    "PROBLEMS",
    "REJECTED",
    "REVEALED",
    "REVEALED_CALLS",
    "Cell",
    "CellKind",
    "Column",
    "Table",
    "names_of",
    "table_of",
]

Cell: TypeAlias = str | Credit | datetime | date | int | None
"""What a value has in one column. None is an empty cell."""

CellKind: TypeAlias = Literal["text", "amount", "moment", "day", "month", "count"]
"""
What a column holds. Codes, PINs, serials and order numbers are text, whatever they look like. A month is its first day.
"""


@attrs.frozen
class Column:
    """
    One column of a table.

    Attributes:
        name: What programs call it.
        header: What stands above it.
        kind: What it holds, and so how it is written.
        width: How wide it is in Excel, in characters.
        cell: Gives what a value has in this column.
    """

    name: str
    header: str
    kind: CellKind
    width: int
    cell: Callable[[Any], Cell]


def names_of(columns: Iterable[str]) -> list[str]:
    """
    Give the names of columns that somebody wants, who may have named a single one.

    Raises:
        InvalidValueError: If they are no names.
    """
    if isinstance(columns, str):
        return [columns]
    names = list(columns) if isinstance(columns, Iterable) else [None]
    if not all(isinstance(name, str) for name in names):
        raise InvalidValueError("columns", "have to be names")

    return [str(name) for name in names]


@attrs.frozen
class Table:
    """
    The columns of one kind of value.

    Attributes:
        title: The name of the sheet.
        type: The values.
        columns: From left to right.
    """

    title: str
    type: type
    columns: tuple[Column, ...]

    def chosen(self, names: Iterable[str] | None) -> Table:
        """
        Give the table with some of its columns only, in the order of *names*; with all of them for None.

        Raises:
            InvalidValueError: If a name is that of no column, or comes twice, or there is none.
        """
        if names is None:
            return self
        known = {column.name: column for column in self.columns}
        wanted = names_of(names)
        if not wanted or len(set(wanted)) < len(wanted) or not known.keys() >= set(wanted):
            raise InvalidValueError("columns", f"have to be different ones of {', '.join(known)}")

        return attrs.evolve(self, columns=tuple(known[name] for name in wanted))

    def cells(self, values: Sequence[object]) -> list[list[Cell]]:
        """
        Give what the values have in each column, column by column.

        Raises:
            InvalidValueError: If one of the values is of another kind.
        """
        if not all(isinstance(value, self.type) for value in values):
            raise InvalidValueError("values", "have to be all of one kind")

        return [list(map(column.cell, values)) for column in self.columns]


def _kind(value: Handout | CardCode) -> str:
    return "CallerID" if value.kind == "caller_id" else "Card Code"


def _status(card: CardCode) -> str:
    return "Enabled" if card.enabled else "Disabled"


def _pin(card: CardCode) -> str:
    return "Yes" if card.has_pin else "No"


def _code(value: Handout | RevealedCard) -> str:
    kind = value.card.kind if isinstance(value, RevealedCard) else value.kind

    return f"+{value.code}" if kind == "caller_id" else value.code


def _clear_pin(value: Handout | RevealedCard) -> str:
    return NOT_KEPT if value.has_pin and not value.pin else value.pin


def _labels(card: CardCode) -> str:
    # Quoted as in CSV where one has a comma in it, so that other labels never look the same.
    return ", ".join(
        '"' + label.replace('"', '""') + '"' if re.search(r'[",]|^\s|\s$', label) else label for label in card.labels
    )


def _entry_kind(entry: LedgerEntry) -> str:
    return entry.kind.capitalize()


def _warning(problem: Problem) -> str:
    return "Warning" if problem.warning else "Problem"


HANDOUTS: Final = Table(
    "Hand-out",
    Handout,
    (
        Column("serial", "Serial", "text", 16, attrgetter("serial")),
        Column("code", "Card Code", "text", 22, _code),
        Column("pin", "PIN", "text", 14, _clear_pin),
        Column("credit", "Credit", "amount", 14, attrgetter("credit")),
        Column("order_number", "Order Number", "text", 20, attrgetter("order_number")),
        Column("type", "Type", "text", 11, _kind),
        Column("extension", "Extension", "text", 12, attrgetter("extension")),
    ),
)
"""What the owners of the cards are given, in clear text; CallerIDs with their `+`, as in uploads."""

CARDS: Final = Table(
    "Card Codes",
    CardCode,
    (
        Column("status", "Status", "text", 10, _status),
        Column("code", "Card Code", "text", 12, attrgetter("code")),
        Column("pin", "PIN", "text", 6, _pin),
        Column("total_credit", "Total Credit", "amount", 14, attrgetter("total_credit")),
        Column("available", "Available Credit", "amount", 16, attrgetter("available")),
        Column("created_at", "Created", "moment", 20, attrgetter("created_at")),
        Column("serial", "Serial", "text", 16, attrgetter("serial")),
        Column("type", "Type", "text", 11, _kind),
        Column("order_number", "Order Number", "text", 20, attrgetter("order_number")),
        Column("recharge_count", "Recharges", "count", 11, attrgetter("recharge_count")),
        Column("first_used_at", "First Used", "moment", 20, attrgetter("first_used_at")),
        Column("expires_at", "Expires", "moment", 20, attrgetter("expires_at")),
        Column("labels", "Labels", "text", 20, _labels),
        Column("batch", "Batch", "text", 10, attrgetter("batch")),
        Column("extension", "Extension", "text", 12, attrgetter("extension")),
    ),
)
"""VoipNow's Card Codes List, the code masked and the PIN as Yes or No, followed by what only we know."""


def _of(part: str, column: Column) -> Column:
    """
    Give the same column for values that have in *part* what it was about.
    """
    cell, whole = column.cell, attrgetter(part)

    return attrs.evolve(column, cell=lambda value: cell(whole(value)))


_CLEAR: Final = {
    "code": Column("code", "Card Code", "text", 22, _code),
    "pin": Column("pin", "PIN", "text", 14, _clear_pin),
}

REVEALED: Final = Table(
    CARDS.title, RevealedCard, tuple(_CLEAR.get(column.name) or _of("card", column) for column in CARDS.columns)
)
"""The same list with codes and PINs in clear text."""

HISTORY: Final = Table(
    "Recharge History",
    LedgerEntry,
    (
        Column("order_number", "Order Number", "text", 20, attrgetter("order_number")),
        Column("amount", "Credit Added", "amount", 14, attrgetter("amount")),
        Column("credit_left", "Credit Left", "amount", 14, attrgetter("credit_left")),
        Column("created_at", "Date Added", "moment", 20, attrgetter("created_at")),
        Column("serial", "Serial", "text", 16, attrgetter("serial")),
        Column("type", "Type", "text", 10, _entry_kind),
        Column("actor", "Added By", "text", 16, attrgetter("actor")),
        Column("batch", "Batch", "text", 10, attrgetter("batch")),
        Column("extension", "Extension", "text", 12, attrgetter("extension")),
    ),
)
"""VoipNow's Recharge History, followed by which card it is about."""

PROBLEMS: Final = Table(
    "Problems",
    Problem,
    (
        Column("sheet", "Sheet", "count", 7, attrgetter("sheet")),
        Column("row", "Row", "count", 9, attrgetter("row")),
        Column("column", "Column", "text", 14, attrgetter("column")),
        Column("warning", "Severity", "text", 10, _warning),
        Column("reason", "Reason", "text", 20, attrgetter("reason")),
        Column("advice", "Advice", "text", 80, attrgetter("advice")),
    ),
)
"""What is wrong with the rows of an upload, for whoever wrote the file."""

CALLS: Final = Table(
    "Calls",
    ChargedCall,
    (
        Column("started_at", "Started", "moment", 20, attrgetter("started_at")),
        Column("serial", "Serial", "text", 16, attrgetter("serial")),
        Column("destination", "Destination", "text", 14, attrgetter("destination")),
        Column("seconds", "Seconds", "count", 10, attrgetter("seconds")),
        Column("charged_seconds", "Charged Seconds", "count", 16, attrgetter("charged_seconds")),
        Column("price", "Price", "amount", 12, attrgetter("price")),
        Column("cost", "Cost", "amount", 14, attrgetter("cost")),
        Column("shortfall", "Shortfall", "amount", 14, attrgetter("shortfall")),
        Column("credit_left", "Credit Left", "amount", 14, attrgetter("credit_left")),
        Column("deck", "Price List", "text", 16, attrgetter("deck")),
        Column("charged_at", "Date Charged", "moment", 20, attrgetter("charged_at")),
        Column("batch", "Batch", "text", 10, attrgetter("batch")),
        Column("extension", "Extension", "text", 12, attrgetter("extension")),
    ),
)
"""The calls that were charged, one by one, without the numbers that were called."""

_NUMBER: Final = Column("number", "Number", "text", 22, attrgetter("number"))

REVEALED_CALLS: Final = Table(
    CALLS.title,
    RevealedCall,
    tuple(_NUMBER if column.name == "destination" else _of("call", column) for column in CALLS.columns),
)
"""The same with the numbers in clear text."""

REJECTED: Final = Table(
    "Rejected Calls",
    RejectedCall,
    (
        Column("sheet", "Sheet", "count", 7, attrgetter("problem.sheet")),
        Column("row", "Row", "count", 9, attrgetter("problem.row")),
        Column("call_id", "Call ID", "text", 24, attrgetter("call_id")),
        Column("serial", "Serial", "text", 16, attrgetter("serial")),
        Column("destination", "Destination", "text", 18, attrgetter("destination")),
        Column("started_at", "Started At", "text", 28, attrgetter("started_at")),
        Column("seconds", "Seconds", "text", 9, attrgetter("seconds")),
        Column("column", "Column", "text", 14, attrgetter("problem.column")),
        Column("reason", "Reason", "text", 20, attrgetter("problem.reason")),
        Column("advice", "Advice", "text", 80, attrgetter("problem.advice")),
    ),
)
"""Calls that could not be settled, as they were told and why: to be mended and imported again."""

_TABLES: Final = (HANDOUTS, CARDS, REVEALED, HISTORY, PROBLEMS, CALLS, REVEALED_CALLS, REJECTED)

_WIDTHS: Final[dict[CellKind, int]] = {"text": 16, "amount": 14, "count": 14, "day": 12, "month": 10}
"""How wide the columns of reports are."""


def _of_report(report: Report[Any]) -> Table:
    columns = (
        Column(column.name, column.header, column.kind, _WIDTHS[column.kind], attrgetter(column.name))
        for column in report.columns
    )

    return Table(report.title, type(report.total), tuple(columns))


def table_of(values: Iterable[object], first: object | None) -> Table:
    """
    Find the columns for some values.

    Args:
        values: All of them.

        first: One of them, or None if there are none. Without any, a `Batch` has the columns of hand-outs, a report
            of an upload those of problems, a settlement those of rejected calls, what `calls` gives those of calls, and
            everything else those of the card list: that is what an export of an empty search is expected to show. A
            report of sums has columns of its own.

    Raises:
        InvalidValueError: If the values are of a kind that has no columns.
    """
    if isinstance(values, UploadReport):
        return PROBLEMS
    if isinstance(values, Settlement):
        return REJECTED
    if isinstance(values, Report):
        return _of_report(values)
    if isinstance(values, Calls):
        return next(table for table in (CALLS, REVEALED_CALLS) if table.type is values.kind)
    if first is None:
        return HANDOUTS if isinstance(values, Batch) else CARDS
    for table in _TABLES:
        if isinstance(first, table.type):
            return table

    raise InvalidValueError(
        "values",
        "have to be hand-outs, cards, ledger entries, calls, rejected calls, a report or problems of an upload",
    )
