"""
Letting callers in by hand: what is prepared in a copy of a book, and what is compared, with keys of its own.
"""

from __future__ import annotations

import hmac
import itertools
import os
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple, TypeAlias

from benchmarks.protocol import Facts

__all__ = ["LIMIT", "Caller", "Guard", "callers", "guard"]

LIMIT: Final = 10
"""How many failed attempts of a source are evaluated."""

Mac: TypeAlias = Callable[[bytes], bytes]


class Caller(NamedTuple):
    """
    Somebody who dials a code and its PIN.
    """

    serial: str
    code: bytes
    pin: bytes
    source: str


class Guard(NamedTuple):
    """
    What a code is found by, and what a PIN is compared with.
    """

    code: Mac
    pin: Mac


def guard() -> Guard:
    """
    Draw the keys.
    """
    return Guard(_keyed(), _keyed())


def callers(facts: Facts, count: int) -> list[Caller]:
    """
    Give so many callers, each with a card and a number of its own.
    """
    rows: Iterator[tuple[str, str, str, int]] = zip(
        facts.serials, facts.codes, facts.pins, itertools.count(40_722_000_000), strict=False
    )

    return [
        Caller(serial, code.encode(), pin.encode(), str(source))
        for serial, code, pin, source in itertools.islice(rows, count)
    ]


def _keyed() -> Mac:
    # A prepared state spares the hashing of the key each time.
    prepared = hmac.new(os.urandom(32), digestmod="sha256")

    def mac(data: bytes) -> bytes:
        state = prepared.copy()
        state.update(data)

        return state.digest()

    return mac
