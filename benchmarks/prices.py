"""
A price list as large as a carrier's, and calls to rate by it: the same for both sides, and in each run.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

__all__ = ["Paid", "Terms", "dialed", "paid_calls", "price_list"]

Terms: TypeAlias = tuple[int, int, int]
"""What a minute costs in millionths, the first interval, and the next ones."""


class Paid(NamedTuple):
    """
    A call that is paid by a card.
    """

    serial: str
    number: str
    seconds: int


_SEED: Final = 7

_LENGTHS: Final = {2: 1, 3: 4, 4: 10, 5: 25, 6: 30, 7: 20, 8: 10}
"""How many of a hundred prefixes have so many digits: a country and its networks, and cities and services of some."""

_INTERVALS: Final = [(1, 1), (60, 60), (30, 6), (60, 1)]

_LONGEST: Final = 1800

_UNKNOWN: Final = 0.05
"""Of how many numbers nobody looks whether there is a prefix for them."""

_CALLS: Final = 20_000
"""How many different calls cards pay for."""


def price_list(prefixes: int, tariffs: int, *, dearest: int = 2_000_000) -> dict[str, Terms]:
    """
    Give the terms of each prefix; prefixes with equal terms share one object.

    Args:
        prefixes: How many there are.

        tariffs: How many different terms they have at most.

        dearest: Below what a minute costs.
    """
    chance = random.Random(_SEED)
    terms = [(chance.randrange(1_000, dearest), *chance.choice(_INTERVALS)) for _ in range(tariffs)]
    found: dict[str, Terms] = {}
    while len(found) < prefixes:
        [length] = chance.choices([*_LENGTHS], [*_LENGTHS.values()])
        found[str(chance.randrange(10 ** (length - 1), 10**length))] = chance.choice(terms)

    return found


def dialed(prefixes: Sequence[str], count: int, *, unknown: float = _UNKNOWN) -> list[tuple[str, int]]:
    """
    Give so many calls: the number, and how many seconds it took.

    Args:
        prefixes: The prefixes of the price list.

        count: How many calls.

        unknown: What part of the numbers need have none of them.
    """
    chance = random.Random(_SEED + 1)

    return [(_number(chance, prefixes, unknown), chance.randrange(_LONGEST + 1)) for _ in range(count)]


def paid_calls(prefixes: Sequence[str], serials: Sequence[str]) -> Iterator[Paid]:
    """
    Give calls to known destinations, each paid by a random card, without end: after many they repeat.

    Args:
        prefixes: The prefixes of the price list.

        serials: The cards.
    """
    calls = dialed(prefixes, _CALLS, unknown=0)
    cards = random.Random(_SEED + 2).choices(serials, k=_CALLS)

    return itertools.cycle([Paid(card, *call) for card, call in zip(cards, calls, strict=True)])


def _number(chance: random.Random, prefixes: Sequence[str], unknown: float) -> str:
    if chance.random() < unknown:
        return str(chance.randrange(10**10, 10**11))

    return f"{chance.choice(prefixes)}{chance.randrange(10**6, 10**7)}"
