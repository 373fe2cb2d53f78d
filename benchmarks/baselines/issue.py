"""
Writing as many rows of as many bytes in one transaction, without drawing or sealing anything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any, TypeAlias

from benchmarks.baselines.database import connected_copy, sqlite3
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]

Row: TypeAlias = tuple[Any, ...]

_CHUNK = 1000


def prepare(parameters: Parameters) -> Block:
    """
    Empty a copy of a book of one card, whose values are taken as the constant ones; the block fills it.
    """
    connection = connected_copy(parameters)
    card, entry = _sample(connection, "cards"), _sample(connection, "entries")
    connection.execute("DELETE FROM cards")
    connection.execute("DELETE FROM entries")
    connection.execute("PRAGMA cache_size = -262144")
    count = parameters.block

    def block() -> Done:
        connection.execute("BEGIN IMMEDIATE")
        start = time.time_ns() // 1000
        _insert(connection, "cards", _cards(card, count, start))
        _insert(connection, "entries", _entries(entry, count, start))
        connection.execute("COMMIT")

        return Done(count, lambda: connection.execute("SELECT count(*) FROM cards").fetchone()[0])

    return block


def _sample(connection: sqlite3.Connection, table: str) -> dict[str, Any]:
    cursor = connection.execute(f"SELECT * FROM {table}")

    return dict(zip([column[0] for column in cursor.description], cursor.fetchone(), strict=True))


def _insert(connection: sqlite3.Connection, table: str, rows: Iterator[Row]) -> None:
    width = len(connection.execute(f"SELECT * FROM {table} LIMIT 0").description)
    connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * width)})", rows)


def _id(start: int, number: int) -> bytes:
    """
    Give an id as the cards have it: ordered by time, then by number, and as long.
    """
    return b"%b%b-----" % (start.to_bytes(7, "big"), number.to_bytes(4, "big"))


def _cards(sample: dict[str, Any], count: int, start: int) -> Iterator[Row]:
    # Only the columns that have to be unique differ. The index is random, so it is written all over its B-tree.
    names = list(sample)
    constant = tuple(sample.values())
    before_index = constant[names.index("serial") + 1 : names.index("index")]
    behind_index = constant[names.index("index") + 1 :]
    for first in range(0, count, _CHUNK):
        indexes = os.urandom(16 * _CHUNK)
        for place in range(min(_CHUNK, count - first)):
            number = first + place
            index = indexes[16 * place : 16 * place + 16]
            yield (_id(start, number), f"ABCD-{number:06d}", *before_index, index, *behind_index)


def _entries(sample: dict[str, Any], count: int, start: int) -> Iterator[Row]:
    names = list(sample)
    constant = tuple(sample.values())
    before_serial = constant[1 : names.index("serial")]
    behind_serial = constant[names.index("serial") + 1 :]
    for number in range(count):
        yield (_id(start, number), *before_serial, f"ABCD-{number:06d}", *behind_serial)
