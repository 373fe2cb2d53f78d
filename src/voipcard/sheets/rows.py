"""
Which columns each kind of value has in a file, under the headers of VoipNow's pages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from operator import attrgetter
from typing import Any, Final, Literal, TypeAlias

import attrs

from voipcard.core.cards import Batch, CardCode, Handout
from voipcard.core.credit import Credit
from voipcard.core.ledger import LedgerEntry
from voipcard.errors import InvalidValueError

__all__ = ["CARDS", "HANDOUTS", "HISTORY", "Cell", "Column", "Table", "table_of"]

Cell: TypeAlias = str | Credit | datetime | int | None
"""What a value has in one column. None is an empty cell."""

CellKind: TypeAlias = Literal["text", "amount", "moment", "count"]
"""What a column holds. Codes, PINs, serials and order numbers are text, whatever they look like."""


@attrs.frozen
class Column:
    """
    One column of a table.

    Attributes:
        header: What stands above it.
        kind: What it holds, and so how it is written.
        width: How wide it is in Excel, in characters.
        cell: Gives what a value has in this column.
    """

    header: str
    kind: CellKind
    width: int
    cell: Callable[[Any], Cell]


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

    def rows(self, values: Iterable[object]) -> Iterator[tuple[Cell, ...]]:
        """
        Give the cells of each value.

        Raises:
            InvalidValueError: If one of the values is of another kind.
        """
        cells = [column.cell for column in self.columns]
        for value in values:
            if not isinstance(value, self.type):
                raise InvalidValueError("values", "have to be all of one kind")
            yield tuple([cell(value) for cell in cells])


def _kind(value: Handout | CardCode) -> str:
    return "CallerID" if value.kind == "caller_id" else "Card Code"


def _status(card: CardCode) -> str:
    return "Enabled" if card.enabled else "Disabled"


def _pin(card: CardCode) -> str:
    return "Yes" if card.has_pin else "No"


def _labels(card: CardCode) -> str:
    return ", ".join(card.labels)


def _entry_kind(entry: LedgerEntry) -> str:
    return entry.kind.capitalize()


HANDOUTS: Final = Table(
    "Hand-out",
    Handout,
    (
        Column("Serial", "text", 16, attrgetter("serial")),
        Column("Card Code", "text", 22, attrgetter("code")),
        Column("PIN", "text", 14, attrgetter("pin")),
        Column("Credit", "amount", 14, attrgetter("credit")),
        Column("Order Number", "text", 20, attrgetter("order_number")),
        Column("Type", "text", 11, _kind),
        Column("Extension", "text", 12, attrgetter("extension")),
    ),
)
"""What the owners of the cards are given, in clear text."""

CARDS: Final = Table(
    "Card Codes",
    CardCode,
    (
        Column("Serial", "text", 16, attrgetter("serial")),
        Column("Status", "text", 10, _status),
        Column("Card Code", "text", 12, attrgetter("code")),
        Column("PIN", "text", 6, _pin),
        Column("Total Credit", "amount", 14, attrgetter("total_credit")),
        Column("Available Credit", "amount", 16, attrgetter("available")),
        Column("Created", "moment", 20, attrgetter("created_at")),
        Column("Type", "text", 11, _kind),
        Column("Order Number", "text", 20, attrgetter("order_number")),
        Column("Recharges", "count", 11, attrgetter("recharge_count")),
        Column("First Used", "moment", 20, attrgetter("first_used_at")),
        Column("Expires", "moment", 20, attrgetter("expires_at")),
        Column("Labels", "text", 20, _labels),
        Column("Batch", "text", 10, attrgetter("batch")),
        Column("Extension", "text", 12, attrgetter("extension")),
    ),
)
"""VoipNow's Card Codes List, the code masked and the PIN as Yes or No, followed by what only we know."""

HISTORY: Final = Table(
    "Recharge History",
    LedgerEntry,
    (
        Column("Order Number", "text", 20, attrgetter("order_number")),
        Column("Credit Added", "amount", 14, attrgetter("amount")),
        Column("Credit Left", "amount", 14, attrgetter("credit_left")),
        Column("Date Added", "moment", 20, attrgetter("created_at")),
        Column("Serial", "text", 16, attrgetter("serial")),
        Column("Type", "text", 10, _entry_kind),
        Column("Added By", "text", 16, attrgetter("actor")),
        Column("Batch", "text", 10, attrgetter("batch")),
        Column("Extension", "text", 12, attrgetter("extension")),
    ),
)
"""VoipNow's Recharge History, followed by which card it is about."""


def table_of(values: Iterable[object], first: object | None) -> Table:
    """
    Find the columns for some values.

    Args:
        values: All of them.

        first: One of them, or None if there are none. Without any, a `Batch` has the columns of hand-outs and
            everything else those of the card list: that is what an export of an empty search is expected to show.

    Raises:
        InvalidValueError: If the values are of a kind that has no columns.
    """
    if first is None:
        return HANDOUTS if isinstance(values, Batch) else CARDS
    for table in (HANDOUTS, CARDS, HISTORY):
        if isinstance(first, table.type):
            return table

    raise InvalidValueError("values", "have to be hand-outs, cards or ledger entries")
