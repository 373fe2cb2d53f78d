"""
Writing what was read from a file as new cards in one transaction; in place of sealed codes and PINs constant bytes.
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.baselines.filling import Row, between, card_id, emptied, insert
from benchmarks.protocol import Block, Done, Parameters
from benchmarks.sheets import upload_file

__all__ = ["Charge", "micros_of", "uploading"]

Charge: TypeAlias = tuple[str, int]
"""What is stored of a row as it is: the order number, and the credit in millionths."""

_CHUNK = 1000


def uploading(parameters: Parameters, suffix: str, read: Callable[[Path], Iterator[Charge]]) -> Block:
    """
    Empty a copy of a book of one card, and make the file; the block reads it and fills the book.
    """
    connection, card, entry = emptied(parameters)
    path = parameters.folder / f"upload{suffix}"
    upload_file(path, parameters.block)

    def block() -> Done:
        charges: list[Charge] = []
        connection.execute("BEGIN IMMEDIATE")
        start = time.time_ns() // 1000
        insert(connection, "cards", _cards(card, _noted(read(path), charges), start))
        insert(connection, "entries", _entries(entry, charges, start))
        connection.execute("COMMIT")

        return Done(parameters.block, stored)

    def stored() -> list[Row]:
        return [
            connection.execute("SELECT count(*), sum(credit), max(order_number) FROM cards").fetchone(),
            connection.execute("SELECT count(*), sum(amount), max(order_number) FROM entries").fetchone(),
        ]

    return block


@functools.lru_cache
def micros_of(credit: str) -> int:
    """
    Read an initial credit exactly.

    Raises:
        ValueError: If it is negative or has more than six decimal places.

        decimal.InvalidOperation: If it is no number.
    """
    scaled = Decimal(credit).scaleb(6)
    micros = int(scaled)
    if micros < 0 or micros != scaled:
        raise ValueError(credit)

    return micros


def _noted(charges: Iterator[Charge], noted: list[Charge]) -> Iterator[Charge]:
    for charge in charges:
        noted.append(charge)
        yield charge


def _cards(sample: dict[str, Any], charges: Iterator[Charge], start: int) -> Iterator[Row]:
    # The index, which a lookup goes by, is random, so it is written all over its B-tree.
    before_index, before_credit = between(sample, "serial", "index"), between(sample, "index", "credit")
    before_order, behind_order = between(sample, "total_credit", "order_number"), between(sample, "order_number")
    for number, (order_number, micros) in enumerate(charges):
        place = 16 * (number % _CHUNK)
        if place == 0:
            indexes = os.urandom(16 * _CHUNK)
        yield (
            card_id(start, number),
            f"ABCD-{number:06d}",
            *before_index,
            indexes[place : place + 16],
            *before_credit,
            micros,
            micros,
            *before_order,
            order_number,
            *behind_order,
        )


def _entries(sample: dict[str, Any], charges: list[Charge], start: int) -> Iterator[Row]:
    before_serial, before_amount = between(sample, "card", "serial"), between(sample, "serial", "amount")
    before_order, behind_order = between(sample, "credit_left", "order_number"), between(sample, "order_number")
    for number, (order_number, micros) in enumerate(charges):
        yield (
            card_id(start, number),
            *before_serial,
            f"ABCD-{number:06d}",
            *before_amount,
            micros,
            micros,
            *before_order,
            order_number,
            *behind_order,
        )
