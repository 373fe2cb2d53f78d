"""
Copying as many rows of as many bytes into the tables of a server in one transaction, without drawing or sealing.
"""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Iterator
from typing import Final, TypeAlias

from benchmarks.baselines.filling import card_id
from benchmarks.baselines.server import connected, psycopg
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]

Fields: TypeAlias = dict[str, bytes]
"""A row as it is copied: by column, a length of four bytes and the value; NULL is a length of -1."""

_HEAD: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END: Final = b"\xff\xff"
"""What a binary COPY begins and ends with: https://www.postgresql.org/docs/15/sql-copy.html."""

_CHUNK: Final = 1000


def prepare(parameters: Parameters) -> Block:
    """
    Make the bytes of all rows, with the values of the one card that the book has; the block adds them to it.
    """
    connection = connected(parameters)
    start, count = time.time_ns() // 1000, parameters.block
    card, entry = _sample(connection, "voipcard_cards"), _sample(connection, "voipcard_entries")
    cards, entries = list(_cards(card, count, start)), list(_entries(entry, count, start))

    def block() -> Done:
        with connection.transaction():
            _copy(connection, "voipcard_cards", cards)
            _copy(connection, "voipcard_entries", entries)

        return Done(count, lambda: connection.execute("SELECT count(*) FROM voipcard_cards").fetchall()[0][0])

    weakref.finalize(block, connection.close)

    return block


def _sample(connection: psycopg.Connection, table: str) -> Fields:
    """
    Take a row as the server itself copies it.
    """
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {table} LIMIT 0".encode())
        names = [column.name for column in cursor.description or ()]
        with cursor.copy(f"COPY (SELECT * FROM {table} LIMIT 1) TO STDOUT (FORMAT BINARY)".encode()) as copy:
            row = b"".join(copy)
    fields, place = {}, len(_HEAD) + 2
    for name in names:
        size = 4 + max(0, int.from_bytes(row[place : place + 4], "big", signed=True))
        fields[name] = row[place : place + size]
        place += size

    return fields


def _cards(sample: Fields, count: int, start: int) -> Iterator[bytes]:
    # Only the columns that have to be unique differ. The index is random, so it is written all over its B-tree.
    begin, middle, before_index, behind_index = _between(sample, "id", "serial", "index")
    for first in range(0, count, _CHUNK):
        numbers = range(first, min(count, first + _CHUNK))
        indexes = os.urandom(16 * _CHUNK)
        yield b"".join(
            [
                begin
                + _field(card_id(start, number))
                + middle
                + _field(b"ABCD-%06d" % number)
                + before_index
                + _field(indexes[16 * place : 16 * place + 16])
                + behind_index
                for place, number in enumerate(numbers)
            ]
        )


def _entries(sample: Fields, count: int, start: int) -> Iterator[bytes]:
    begin, middle, behind_serial = _between(sample, "card", "serial")
    for first in range(0, count, _CHUNK):
        numbers = range(first, min(count, first + _CHUNK))
        yield b"".join(
            [
                begin + _field(card_id(start, number)) + middle + _field(b"ABCD-%06d" % number) + behind_serial
                for number in numbers
            ]
        )


def _between(sample: Fields, *names: str) -> list[bytes]:
    """
    Give what stands before, between and behind these columns; before all of them stands how many fields there are.
    """
    parts = [[len(sample).to_bytes(2, "big")]]
    for name, field in sample.items():
        if name in names:
            parts.append([])
        else:
            parts[-1].append(field)

    return [b"".join(part) for part in parts]


def _field(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def _copy(connection: psycopg.Connection, table: str, blocks: list[bytes]) -> None:
    with (
        connection.cursor() as cursor,
        cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)".encode()) as copy,
    ):
        copy.write(_HEAD)
        for block in blocks:
            copy.write(block)
        copy.write(_END)
