"""
A price list as large as a carrier's, and calls to rate by it: the same for both sides, and in each run.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final, TypeAlias

__all__ = ["Terms", "dialed", "price_list"]

Terms: TypeAlias = tuple[int, int, int]
"""What a minute costs in millionths, the first interval, and the next ones."""

_SEED: Final = 7

_LENGTHS: Final = {2: 1, 3: 4, 4: 10, 5: 25, 6: 30, 7: 20, 8: 10}
"""How many of a hundred prefixes have so many digits: a country and its networks, and cities and services of some."""

_INTERVALS: Final = [(1, 1), (60, 60), (30, 6), (60, 1)]

_LONGEST: Final = 1800

_UNKNOWN: Final = 0.05
"""Of how many numbers nobody looks whether there is a prefix for them."""


def price_list(prefixes: int, tariffs: int) -> dict[str, Terms]:
    """
    Give the terms of each prefix; prefixes with equal terms share one object.

    Args:
        prefixes: How many there are.

        tariffs: How many different terms they have at most.
    """
    chance = random.Random(_SEED)
    terms = [(chance.randrange(1_000, 2_000_000), *chance.choice(_INTERVALS)) for _ in range(tariffs)]
    found: dict[str, Terms] = {}
    while len(found) < prefixes:
        [length] = chance.choices([*_LENGTHS], [*_LENGTHS.values()])
        found[str(chance.randrange(10 ** (length - 1), 10**length))] = chance.choice(terms)

    return found


def dialed(prefixes: Sequence[str], count: int) -> list[tuple[str, int]]:
    """
    Give so many calls: the number, and how many seconds it took.
    """
    chance = random.Random(_SEED + 1)

    return [(_number(chance, prefixes), chance.randrange(_LONGEST + 1)) for _ in range(count)]


def _number(chance: random.Random, prefixes: Sequence[str]) -> str:
    if chance.random() < _UNKNOWN:
        return str(chance.randrange(10**10, 10**11))

    return f"{chance.choice(prefixes)}{chance.randrange(10**6, 10**7)}"
