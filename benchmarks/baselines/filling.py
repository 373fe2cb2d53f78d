"""
Filling an empty book with rows of as many bytes as real ones have, in one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

from benchmarks.baselines.database import connected_copy, sqlite3
from benchmarks.protocol import Parameters

__all__ = ["Emptied", "Row", "between", "card_id", "emptied", "insert"]

Row: TypeAlias = tuple[Any, ...]


class Emptied(NamedTuple):
    """
    An empty book.

    Attributes:
        connection: Where it is open.
        card: A card that it had, by the names of the columns.
        entry: The ledger entry that it had.
    """

    connection: sqlite3.Connection
    card: dict[str, Any]
    entry: dict[str, Any]


def emptied(parameters: Parameters) -> Emptied:
    """
    Empty a copy of a book of one card, whose values are taken as the constant ones.
    """
    connection = connected_copy(parameters)
    card, entry = _sample(connection, "cards"), _sample(connection, "entries")
    connection.execute("DELETE FROM cards")
    connection.execute("DELETE FROM entries")
    connection.execute("PRAGMA cache_size = -262144")

    return Emptied(connection, card, entry)


def insert(connection: sqlite3.Connection, table: str, rows: Iterator[Row]) -> None:
    """
    Insert rows of all columns.
    """
    width = len(connection.execute(f"SELECT * FROM {table} LIMIT 0").description)
    connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * width)})", rows)


def card_id(start: int, number: int) -> bytes:
    """
    Give an id as the cards have it: ordered by time, then by number, and as long.
    """
    return b"%b%b-----" % (start.to_bytes(7, "big"), number.to_bytes(4, "big"))


def between(sample: dict[str, Any], left: str, right: str | None = None) -> Row:
    """
    Give the values of a sample between two of its columns, or behind one.
    """
    names = list(sample)

    return tuple(sample.values())[names.index(left) + 1 : names.index(right) if right else None]


def _sample(connection: sqlite3.Connection, table: str) -> dict[str, Any]:
    cursor = connection.execute(f"SELECT * FROM {table}")

    return dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))
