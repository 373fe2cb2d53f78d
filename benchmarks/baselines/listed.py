"""
Reading what a list of cards shows from the book's file, and formatting it by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

from benchmarks.baselines.database import sqlite3

__all__ = ["HEADER", "UNLIMITED", "Kept", "listed", "raw"]

Value = TypeVar("Value")
Shown = TypeVar("Shown")

HEADER: Final = (
    "Status",
    "Card Code",
    "PIN",
    "Total Credit",
    "Available Credit",
    "Created",
    "Serial",
    "Type",
    "Order Number",
    "Recharges",
    "First Used",
    "Expires",
    "Labels",
    "Batch",
    "Extension",
)

UNLIMITED: Final = 2**63 - 1
"""The credit that stands for no limit."""

_SELECT: Final = """
SELECT enabled, '••••', pin_mac <> x'', total_credit, credit - iif(credit = ?, 0, min(credit, held)), created_at,
    serial, kind, order_number, recharge_count, first_used_at, expires_at, labels, batch, extension
FROM cards WHERE extension = ? ORDER BY created_at, id
"""

_MANY: Final = 1000


class Kept(dict[Value, Shown], Generic[Value, Shown]):
    """
    Cells that were formatted before: the moments and amounts of many cards are the same.

    Args:
        form: Formats a value.
    """

    def __init__(self, form: Callable[[Value], Shown]) -> None:
        super().__init__()
        self._form: Final = form

    def __missing__(self, value: Value) -> Shown:
        """
        Format a value that is new.
        """
        if len(self) >= _MANY:
            self.clear()
        shown = self[value] = self._form(value)

        return shown


def raw(connection: sqlite3.Connection, extension: str) -> sqlite3.Cursor:
    """
    Give the columns as they are stored.
    """
    return connection.execute(_SELECT, [UNLIMITED, extension])


def listed(
    connection: sqlite3.Connection,
    extension: str,
    amount: Callable[[int], object],
    moment: Callable[[int | None], object],
) -> Iterator[tuple[object, ...]]:
    """
    Give the cells of all cards of an extension, in the order of the header.

    Args:
        connection: The open book.

        extension: The number of the extension.

        amount: Formats an amount, in millionths.

        moment: Formats a moment, in microseconds since 1970, or that there is none.
    """
    amounts, moments = Kept(amount), Kept(moment)
    # To compute in SQL what a cell shows was slower, and so were functions called by column.
    for (
        enabled,
        code,
        has_pin,
        total,
        available,
        created,
        serial,
        kind,
        order_number,
        recharges,
        used,
        expires,
        labels,
        batch,
        number,
    ) in raw(connection, extension):
        yield (
            "Enabled" if enabled else "Disabled",
            code,
            "Yes" if has_pin else "No",
            amounts[total],
            amounts[available],
            moments[created],
            serial,
            "CallerID" if kind == "caller_id" else "Card Code",
            order_number,
            recharges,
            moments[used],
            moments[expires],
            labels.replace("\n", ", ") or None,
            batch,
            number,
        )
