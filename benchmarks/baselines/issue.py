"""
Writing as many rows of as many bytes in one transaction, without drawing or sealing anything.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.baselines.filling import Row, between, card_id, emptied, insert
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]

_CHUNK = 1000


def prepare(parameters: Parameters) -> Block:
    """
    Empty a copy of a book of one card, whose values are taken as the constant ones; the block fills it.
    """
    connection, card, entry = emptied(parameters)
    count = parameters.block

    def block() -> Done:
        connection.execute("BEGIN IMMEDIATE")
        start = time.time_ns() // 1000
        insert(connection, "cards", _cards(card, count, start))
        insert(connection, "entries", _entries(entry, count, start))
        connection.execute("COMMIT")

        return Done(count, lambda: connection.execute("SELECT count(*) FROM cards").fetchone()[0])

    return block


def _cards(sample: dict[str, Any], count: int, start: int) -> Iterator[Row]:
    # Only the columns that have to be unique differ. The index is random, so it is written all over its B-tree.
    before_index, behind_index = between(sample, "serial", "index"), between(sample, "index")
    for first in range(0, count, _CHUNK):
        indexes = os.urandom(16 * _CHUNK)
        for place in range(min(_CHUNK, count - first)):
            number = first + place
            index = indexes[16 * place : 16 * place + 16]
            yield (card_id(start, number), f"ABCD-{number:06d}", *before_index, index, *behind_index)


def _entries(sample: dict[str, Any], count: int, start: int) -> Iterator[Row]:
    before_serial, behind_serial = between(sample, "card", "serial"), between(sample, "serial")
    for number in range(count):
        yield (card_id(start, number), *before_serial, f"ABCD-{number:06d}", *behind_serial)
