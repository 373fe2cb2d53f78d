"""
PINs: which ones are guessed first, and how to draw any number of others.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Iterator, Sequence
from typing import Final, TypeAlias

import attrs

from voipcard.core.cards import canonical_pin
from voipcard.core.check_digits import DIGITS
from voipcard.core.drawing import CHUNK, RandomSource, draw_characters, split_rows
from voipcard.errors import InvalidValueError, WeakPinError

__all__ = [
    "NO_PIN",
    "PinFormat",
    "check_pin",
    "draw_pins",
    "parts_of_code",
    "weak_count",
    "weakness",
]

PART_OF_CODE: Final = "part_of_code"
"""Why a PIN is weak that whoever sees its code can read off."""

MIN_PIN_LENGTH: Final = 4
MAX_PIN_LENGTH: Final = 12
"""Both from ISO 9564-1."""

DIGITS_ONLY: Final = frozenset(DIGITS)

_Pattern: TypeAlias = tuple[str, tuple[tuple[int, int], ...]]
"""A reason, and the pairs of places that hold the same digit in every PIN which is weak for it."""

_MONTHS: Final = {f"{month:02}": days for month, days in enumerate((31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31), 1)}
_DAYS: Final = [(f"{day:02}", month) for month, days in _MONTHS.items() for day in range(1, days + 1)]
_YEARS: Final = [f"{year}" for year in range(1900, 2100)]
_SHORT_YEARS: Final = [f"{year:02}" for year in range(100)]

_KEYPAD_LINES: Final = ("123", "456", "789", "147", "258", "369", "159", "357")
_KEYPAD_COLUMNS: Final = ("1470", "2580", "3690")
_KEYPAD_RINGS: Final = ("12369874", "1397", "2684")
"""Once round the keypad by its edge, its corners and the middles of its sides."""


@attrs.frozen
class PinFormat:
    """
    How PINs are drawn.

    Attributes:
        length: How many digits a PIN has, from 4 to 12; 0 if no PIN is asked for.

    Raises:
        InvalidValueError: If *length* is something else.

    Example:
        >>> PinFormat(4).capacity
        8558
    """

    length: int = MIN_PIN_LENGTH

    def __attrs_post_init__(self) -> None:
        if self.length not in {0, *range(MIN_PIN_LENGTH, MAX_PIN_LENGTH + 1)} or not isinstance(self.length, int):
            raise InvalidValueError("length", f"of a PIN has to be {MIN_PIN_LENGTH} to {MAX_PIN_LENGTH}, or 0 for none")

    @property
    def capacity(self) -> int:
        """
        How many PINs can be drawn: those that are not weak. 1 if there is no PIN.
        """
        choices: int = 10**self.length

        return choices - weak_count(self.length)


NO_PIN: Final = PinFormat(0)
"""The code alone is enough."""


def weakness(pin: str, code: str = "") -> str | None:
    """
    Say why a PIN is among the first to be guessed.

    The families are those that the studies of chosen PINs name. DataGenetics' twenty most frequent PINs, which are
    27 % of all that people chose, belong to them without exception.

    Args:
        pin: 4 to 12 digits. An empty PIN is not weak: it is none.

        code: The code that the PIN belongs to, if it is known.

    Returns:
        `part_of_code` if the code begins or ends with the PIN, otherwise the first that applies of

        * `repeated`: a block of at most half the length again and again, as 1111, 1212 or 1231231;
        * `palindrome`: the same from behind, as 1221 or 12321;
        * `pairs`: blocks of the same digit, all of one size, as 1122 or 111222;
        * `almost_repeated`: all digits but one are the same, as 1112;
        * `sequence`: steps of one, two or three up or down, 0 following 9, as 1234, 8642 or 8901;
        * `year`: 1900 to 2099;
        * `date`: a day of the year, alone or with its year before or behind it, as 2412, 241290 or 19901224;
        * `keypad`: a walk over the keys, as 2580, 1397 or 147258;

        and None if the PIN is not weak.

    Example:
        >>> weakness("2580"), weakness("8068"), weakness("8068", "8068123")
        ('keypad', None, 'part_of_code')
    """
    if not pin:
        return None
    if code.startswith(pin) or code.endswith(pin):
        return PART_OF_CODE
    for reason, places in _patterns(len(pin)):
        if all(pin[left] == pin[right] for left, right in places):
            return reason

    return _listed(len(pin)).get(pin)


def parts_of_code(code: str) -> frozenset[str]:
    """
    Give every PIN that the code begins or ends with: at most 18.

    Example:
        >>> sorted(parts_of_code("77001"))
        ['7001', '7700', '77001']
    """
    lengths = range(MIN_PIN_LENGTH, min(MAX_PIN_LENGTH, len(code)) + 1)
    parts = {part for length in lengths for part in (code[:length], code[-length:])}

    return frozenset(part for part in parts if DIGITS_ONLY.issuperset(part))


@functools.cache
def weak_count(length: int) -> int:
    """
    Count the weak PINs of one length exactly, those aside that are weak only because of their code.

    They are 1,442 of 4 digits, 1,700 of 5, 87,791 of 6, 13,560 of 7, 226,206 of 8, 115,672 of 9, 342,598 of 10,
    1,175,376 of 11 and 3,181,716 of 12. Among 5 digits palindromes are most of them, from 9 digits on palindromes and
    repeated blocks.

    Args:
        length: 4 to 12; 0 gives 0.

    Example:
        >>> weak_count(5)
        1700
    """
    if not length:
        return 0
    # A pattern leaves so many digits free to choose; a PIN of several patterns must be counted once
    # (inclusion and exclusion).
    patterns = [places for _, places in _patterns(length)]
    patterned: int = sum(
        (1 if size % 2 else -1) * 10 ** _free_digits(length, itertools.chain.from_iterable(chosen))
        for size in range(1, len(patterns) + 1)
        for chosen in itertools.combinations(patterns, size)
    )

    return patterned + len(_listed(length))


def _free_digits(length: int, places: Iterator[tuple[int, int]]) -> int:
    groups = list(range(length))
    for left, right in places:
        kept, joined = groups[left], groups[right]
        groups = [kept if group == joined else group for group in groups]

    return len(set(groups))


@functools.cache
def _patterns(length: int) -> tuple[_Pattern, ...]:
    # Shorter periods and other block sizes need no pattern of their own: each of their PINs has one of these as well.
    periods = range(length // 4 + 1, length // 2 + 1)
    sizes = [size for size in (2, 3, 5) if length % size == 0 and size < length]

    return (
        *(("repeated", tuple((at, at + period) for at in range(length - period))) for period in periods),
        ("palindrome", tuple((at, length - 1 - at) for at in range(length // 2))),
        *(("pairs", tuple((at, at + 1) for at in range(length) if (at + 1) % size)) for size in sizes),
    )


@functools.cache
def _listed(length: int) -> dict[str, str]:
    """
    List the weak PINs that follow no pattern, with their reasons.
    """
    families: dict[str, Iterator[str]] = {
        "almost_repeated": _almost_repeated(length),
        "sequence": _sequences(length),
        "year": iter(_YEARS if length == len(_YEARS[0]) else ()),
        "date": _dates(length),
        "keypad": _keypad_walks(length),
    }
    # The first reason has to win, so it is written last.
    reasons = {pin: reason for reason, pins in reversed(families.items()) for pin in pins}
    unpatterned = _unpatterned("".join(reasons).encode(), length)

    return dict(itertools.compress(reasons.items(), unpatterned))


def _almost_repeated(length: int) -> Iterator[str]:
    for digit, other, at in itertools.product(DIGITS, DIGITS, range(length)):
        yield digit * at + other + digit * (length - at - 1)


def _sequences(length: int) -> Iterator[str]:
    for start, step in itertools.product(range(10), (1, 2, 3, -1, -2, -3)):
        yield "".join(DIGITS[(start + step * at) % 10] for at in range(length))


def _dates(length: int) -> Iterator[str]:
    years = {4: [""], 6: _SHORT_YEARS, 8: _YEARS}.get(length, [])
    for (day, month), year in itertools.product(_DAYS, years):
        yield from (day + month + year, month + day + year, year + month + day)


def _keypad_walks(length: int) -> Iterator[str]:
    for ring in _KEYPAD_RINGS:
        rounds = ring * (length // len(ring) + 2)
        for at in range(len(ring)):
            yield from (rounds[at : at + length], rounds[::-1][at : at + length])
    if length == MIN_PIN_LENGTH:
        for column in _KEYPAD_COLUMNS:
            yield from (column, column[::-1])
    else:
        lines = [line[::way] for line in _KEYPAD_LINES for way in (1, -1)]
        for walk in itertools.product(lines, repeat=math.ceil(length / 3)):
            yield "".join(walk)[:length]


def _unpatterned(pins: bytes, length: int) -> bytes:
    """
    Tell for many PINs, given end to end, which of them have no pattern: one byte each, 0 if there is one.
    """
    # As one large number each, columns of digits are compared in C: equal digits leave a 0 in their byte.
    count = len(pins) // length
    columns = [int.from_bytes(pins[at::length], "big") for at in range(length)]
    unpatterned = int.from_bytes(b"\1" * count, "big")
    for _, places in _patterns(length):
        differences = 0
        for left, right in places:
            differences |= columns[left] ^ columns[right]
        unpatterned &= int.from_bytes(differences.to_bytes(count, "big").translate(_NOT_ZERO), "big")

    return unpatterned.to_bytes(count, "big")


_NOT_ZERO: Final = b"\0" + b"\1" * 255
_ZERO: Final = b"\1" + b"\0" * 255

_DATES: Final[dict[int, tuple[tuple[int, int, int | None], ...]]] = {
    4: ((0, 1, None), (1, 0, None)),
    6: ((0, 1, None), (1, 0, None), (2, 1, None)),
    8: ((0, 1, 2), (1, 0, 2), (3, 2, 0)),
}
"""For each length that dates have: the pairs of digits that are their day, their month and their century."""

_DIGIT_VALUES: Final = bytes.maketrans(DIGITS.encode(), bytes(range(10)))
_DAY_BITS: Final = bytes([0, *[1] * 29, 2, 4]).ljust(256, b"\0")
_MONTH_BITS: Final = bytes([0, *({29: 1, 30: 3, 31: 7}[days] for days in _MONTHS.values())]).ljust(256, b"\0")
"""A day is one of a month if both have a bit in common: 1 for the days up to 29, 2 for the 30th, 4 for the 31st."""

_CENTURY_BITS: Final = bytes(7 * (pair in {19, 20}) for pair in range(256))


def _undated(pins: bytes, length: int) -> bytes:
    """
    Tell for many PINs, given end to end, which of them are no date: one byte each, 0 if it is one.
    """
    count = len(pins) // length
    digits = pins.translate(_DIGIT_VALUES)
    columns = [int.from_bytes(digits[at::length], "big") for at in range(length)]
    pairs = [(10 * tens + ones).to_bytes(count, "big") for tens, ones in zip(columns[::2], columns[1::2], strict=True)]

    def bits(pair: int, table: bytes) -> int:
        return int.from_bytes(pairs[pair].translate(table), "big")

    dated = 0
    for day, month, century in _DATES[length]:
        is_date = bits(day, _DAY_BITS) & bits(month, _MONTH_BITS)
        dated |= is_date if century is None else is_date & bits(century, _CENTURY_BITS)

    return dated.to_bytes(count, "big").translate(_ZERO)


@functools.cache
def _listed_besides_dates(length: int) -> frozenset[str]:
    return frozenset(pin for pin, reason in _listed(length).items() if reason != "date")


def check_pin(pin: str, code: str, *, allow_weak: bool) -> str:
    """
    Accept a PIN that somebody chose, in the one way it is stored.

    Args:
        pin: 4 to 12 digits besides spaces, dashes and dots, or empty if no PIN is asked for.

        code: The code that the PIN belongs to.

        allow_weak: Whether a PIN may be one of those that are guessed first. Never may it be a part of its code.

    Raises:
        InvalidPinError: If *pin* cannot be a PIN.

        WeakPinError: If it is weak and that is not allowed.

    Example:
        >>> check_pin("80 68", "7700183422157", allow_weak=False)
        '8068'
    """
    pin = canonical_pin(pin)
    reason = weakness(pin, code)
    if reason and (reason == PART_OF_CODE or not allow_weak):
        raise WeakPinError("pin", reason)

    return pin


def draw_pins(codes: Sequence[str], pin_format: PinFormat, source: RandomSource) -> list[str]:
    """
    Draw one PIN for each code.

    Every PIN that is neither weak nor the head or tail of its code is equally likely, and no two PINs depend on each
    other.

    Args:
        codes: The codes that the PINs belong to.

        pin_format: How long the PINs are. Without a PIN, empty texts are given.

        source: Where randomness comes from: `os.urandom` outside of tests.

    Example:
        >>> import os
        >>> [pin] = draw_pins(["7700183422157"], PinFormat(6), os.urandom)
        >>> len(pin)
        6
    """
    length = pin_format.length
    if not length:
        return [""] * len(codes)
    pins: list[str] = []
    while len(pins) < len(codes):
        pins += _draw_strong(min(len(codes) - len(pins), CHUNK), length, source)
    # A PIN that is anywhere in its code is rare, and quickly found; only then it is worth a closer look.
    for row in itertools.compress(itertools.count(), map(operator.contains, codes, pins)):
        while weakness(pins[row], codes[row]):
            pins[row] = draw_characters(DIGITS, length, source).decode()

    return pins


def _draw_strong(count: int, length: int, source: RandomSource) -> Iterator[str]:
    drawn = draw_characters(DIGITS, count * length, source)
    unpatterned = _unpatterned(drawn, length)
    pins: Iterator[str] = itertools.compress(split_rows(drawn, length), unpatterned)
    if length in _DATES:
        pins = itertools.compress(pins, itertools.compress(_undated(drawn, length), unpatterned))

    return itertools.filterfalse(_listed_besides_dates(length).__contains__, pins)
