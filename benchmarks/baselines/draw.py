"""
Drawing codes and PINs with numpy, by the same rules.

Codes have 12 digits and a Verhoeff check digit and are all different. PINs have 6 digits, are none of those that are
guessed first, and are neither the head nor the tail of their code.
"""

from __future__ import annotations

import itertools
import os
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.protocol import Block, Done, Parameters

__all__ = ["draw", "prepare", "weak_pins"]

_DIGIT: Final = bytes(byte % 10 for byte in range(256))
_UNFAIR: Final = bytes(range(250, 256))
"""The bytes that would favor the digits 0 to 5."""

_PINS: Final = 10**6
_FAIR: Final = 2**32 // _PINS * _PINS

_DAYS: Final = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_LINES: Final = ("123", "456", "789", "147", "258", "369", "159", "357")
_RINGS: Final = ("12369874", "1397", "2684")


def prepare(parameters: Parameters) -> Block:
    """
    Make the tables; a block draws codes and one PIN for each.
    """
    weak = weak_pins()

    def block() -> Done:
        codes, pins = draw(parameters.block, weak)

        return Done(len(codes), lambda: [len(set(codes)), len(pins)])

    return block


def draw(count: int, weak: NDArray[np.bool_]) -> tuple[list[str], list[str]]:
    """
    Draw codes and their PINs.

    Args:
        count: How many.

        weak: For each number of six digits whether it is no PIN.
    """
    columns, values = _payloads(count)
    check = _check_digits(columns)
    heads, tails = values // 10**6, values % 10**5 * 10 + check
    pins = _strong(count, weak)
    while (bad := np.flatnonzero((pins == heads) | (pins == tails))).size:
        pins[bad] = _strong(len(bad), weak)

    return _texts([*columns, check]), _texts([pins // 10**place % 10 for place in range(5, -1, -1)])


def _payloads(count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """
    Draw different payloads, as columns of digits and as numbers.
    """
    columns = _digits(count)
    values = _numbers(columns)
    ordered = np.sort(values)
    while (ordered[1:] == ordered[:-1]).any():
        _, kept = np.unique(values, return_index=True)
        kept.sort()
        columns = np.concatenate([columns[:, kept], _digits(count - len(kept))], axis=1)
        values = _numbers(columns)
        ordered = np.sort(values)

    return columns, values


def _digits(count: int) -> NDArray[np.uint8]:
    wanted, drawn = 12 * count, b""
    while len(drawn) < wanted:
        drawn += os.urandom((wanted - len(drawn)) * 256 // 250 + 1000).translate(_DIGIT, _UNFAIR)

    return np.frombuffer(drawn, np.uint8, wanted).reshape(12, count)


def _numbers(columns: NDArray[np.uint8]) -> NDArray[np.int64]:
    values = np.zeros(columns.shape[1], np.int64)
    for column in columns:
        values *= 10
        values += column

    return values


def _verhoeff_tables() -> list[NDArray[np.uint8]]:
    """
    Give the table of each column from the last one on: the next state at ten times the state plus the digit.
    """
    product: NDArray[np.uint8] = np.empty((10, 10), np.uint8)
    for left, right in itertools.product(range(10), repeat=2):
        # 0 to 4 turn a pentagon, 5 to 9 also flip it, so that it turns the other way.
        flipped, turns = divmod(left, 5)
        product[left, right] = 5 * (flipped ^ right // 5) + (turns - right if flipped else turns + right) % 5
    shuffle = np.array([1, 5, 7, 6, 2, 8, 3, 0, 9, 4])
    shuffled, tables = np.arange(10), []
    for _ in range(12):
        shuffled = shuffle[shuffled]
        tables.append(product[:, shuffled].ravel())

    return tables


_VERHOEFF: Final = _verhoeff_tables()
_INVERSE: Final = np.array([0, 4, 3, 2, 1, 5, 6, 7, 8, 9], np.uint8)


def _check_digits(columns: NDArray[np.uint8]) -> NDArray[np.uint8]:
    states = np.zeros(columns.shape[1], np.uint8)
    for column, step in zip(columns[::-1], _VERHOEFF, strict=True):
        states = step.take(states * 10 + column)
    digits: NDArray[np.uint8] = _INVERSE.take(states)

    return digits


def _strong(count: int, weak: NDArray[np.bool_]) -> NDArray[np.int64]:
    pins: NDArray[np.int64] = np.empty(0, np.int64)
    while len(pins) < count:
        drawn = np.frombuffer(os.urandom(4 * ((count - len(pins)) * 9 // 8 + 100)), np.uint32)
        fair = drawn[drawn < _FAIR] % _PINS
        pins = np.concatenate([pins, fair[~weak[fair]]])

    return pins[:count]


def _texts(columns: list[NDArray[np.uint8]]) -> list[str]:
    # A space behind each, and one call of `split`, is the fastest way to many strings.
    rows: NDArray[np.uint8] = np.full((len(columns[0]), len(columns) + 1), ord(" "), np.uint8)
    for place, column in enumerate(columns):
        np.add(column, ord("0"), out=rows[:, place], casting="unsafe")

    texts: list[str] = rows.tobytes().decode().split()

    return texts


def weak_pins() -> NDArray[np.bool_]:
    """
    Tell for each number of six digits whether it is among the first that are guessed.
    """
    digits = np.arange(_PINS) // 10 ** np.arange(5, -1, -1)[:, np.newaxis] % 10
    patterns = (
        ((0, 2), (1, 3), (2, 4), (3, 5)),
        ((0, 3), (1, 4), (2, 5)),
        ((0, 5), (1, 4), (2, 3)),
        ((0, 1), (2, 3), (4, 5)),
        ((0, 1), (1, 2), (3, 4), (4, 5)),
    )
    weak: NDArray[np.bool_] = np.zeros(_PINS, np.bool_)
    for pattern in patterns:
        weak |= np.all([digits[left] == digits[right] for left, right in pattern], axis=0)
    for digit in range(10):
        weak |= (digits != digit).sum(axis=0) <= 1
    steps = np.diff(digits, axis=0) % 10
    weak |= np.all(steps == steps[0], axis=0) & np.isin(steps[0], (1, 2, 3, 7, 8, 9))
    weak |= _dates(*(10 * digits[::2] + digits[1::2]))
    weak[[int(walk) for walk in _walks()]] = True

    return weak


def _dates(first: NDArray[np.int64], second: NDArray[np.int64], third: NDArray[np.int64]) -> NDArray[np.bool_]:
    is_day: NDArray[np.bool_] = np.zeros((100, 100), np.bool_)
    for month, days in enumerate(_DAYS, 1):
        is_day[1 : days + 1, month] = True
    dates: NDArray[np.bool_] = is_day[first, second] | is_day[second, first] | is_day[third, second]

    return dates


def _walks() -> set[str]:
    """
    List the walks over the keys of a telephone: two lines, or on along a ring.
    """
    lines = [line[::way] for line in _LINES for way in (1, -1)]
    rings = [ring[at:] + ring * 2 for ring in _RINGS for at in range(len(ring))]

    return {
        *map("".join, itertools.product(lines, repeat=2)),
        *(ring[:6] for ring in rings),
        *(ring[:6][::-1] for ring in rings),
    }
