"""
Check digits: how a mistyped code is told from a wrong one, for one code or for a million at once.

Every scheme is the same small machine: it starts in a state and reads the payload in one direction, and by a table each
character leads from one state to the next.
"""

from __future__ import annotations

import functools
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, TypeAlias

import attrs

from voipcard.errors import InvalidValueError

__all__ = [
    "ALPHANUMERIC",
    "DIGITS",
    "CheckDigit",
    "check_alphabet",
    "check_character",
    "check_characters",
    "count_payloads",
    "is_valid",
]

DIGITS: Final = "0123456789"

ALPHANUMERIC: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
"""The characters of ISO 7064 mod 37,36, in the order of their values."""

CheckDigit: TypeAlias = Literal["verhoeff", "luhn", "damm", "mod37_36", "none"]
"""
The schemes: Verhoeff and Damm catch every single error and every swap of neighbors, Luhn is what ITU-T E.118 and
ISO 7812 ask for, ISO 7064 mod 37,36 is for letters and digits.
"""

_VALUES: Final = bytes.maketrans(ALPHANUMERIC.encode(), bytes(range(len(ALPHANUMERIC))))

_DAMM: Final = (
    "0317598642",
    "7092154863",
    "4206871359",
    "1750983426",
    "6123045978",
    "3674209581",
    "5869720134",
    "8945362017",
    "9438617205",
    "2581436790",
)
"""The quasigroup of order 10 from Damm's thesis (2004), page 111."""

_VERHOEFF_SHUFFLE: Final = "1576283094"
"""The permutation that Verhoeff applies once more at each position (Error Detecting Decimal Codes, 1969)."""


@attrs.frozen
class _Machine:
    """
    A scheme as tables of 256 bytes, so that `bytes.translate` can take a step for a whole column of codes.

    Attributes:
        alphabet: The characters that the scheme can read and give.
        start: The state before the first character.
        weight: The table of a step is read at `weight * state + value of the character`.
        steps: One table for each position, again from the first after the last.
        finish: The check character of each state.
        backward: Whether the payload is read from its end.
    """

    alphabet: str
    start: int
    weight: int
    steps: tuple[bytes, ...]
    finish: bytes
    backward: bool = False


def _table(cells: Iterable[int]) -> bytes:
    return bytes(cells).ljust(256, b"\0")


def _decimal_step(following: Callable[[int, int], int]) -> bytes:
    return _table(following(state, digit) for state in range(10) for digit in range(10))


def _verhoeff() -> _Machine:
    shuffle = [DIGITS.index(digit) for digit in _VERHOEFF_SHUFFLE]
    shuffles = [list(range(10))]
    for _ in range(7):
        shuffles.append([shuffle[digit] for digit in shuffles[-1]])
    # The check digit itself stands at position 0, so the payload begins at position 1.
    positions = [*shuffles[1:], shuffles[0]]

    return _Machine(
        alphabet=DIGITS,
        start=0,
        weight=10,
        steps=tuple(_decimal_step(functools.partial(_verhoeff_step, shuffled)) for shuffled in positions),
        finish=_table(b"0432156789"),
        backward=True,
    )


def _verhoeff_step(shuffled: Sequence[int], state: int, digit: int) -> int:
    """
    Multiply in the dihedral group of order 10: 0 to 4 turn a pentagon, 5 to 9 also flip it.
    """
    flipped, turns = divmod(state, 5)
    flips, more_turns = divmod(shuffled[digit], 5)

    return 5 * (flipped ^ flips) + (turns - more_turns if flipped else turns + more_turns) % 5


def _luhn() -> _Machine:
    return _Machine(
        alphabet=DIGITS,
        start=0,
        weight=10,
        steps=(
            _decimal_step(lambda total, digit: (total + digit * 2 % 10 + digit // 5) % 10),
            _decimal_step(lambda total, digit: (total + digit) % 10),
        ),
        finish=_table(ord(DIGITS[-total % 10]) for total in range(10)),
        backward=True,
    )


def _damm() -> _Machine:
    return _Machine(
        alphabet=DIGITS,
        start=0,
        weight=10,
        steps=(_decimal_step(lambda interim, digit: DIGITS.index(_DAMM[interim][digit])),),
        finish=_table(DIGITS.encode()),
    )


def _mod37_36() -> _Machine:
    # Between two characters ISO 7064 doubles modulo 37 what is never 0, so the states are 1 to 36.
    return _Machine(
        alphabet=ALPHANUMERIC,
        start=36,
        weight=1,
        steps=(_table((total % 36 or 36) * 2 % 37 for total in range(36 + 36)),),
        finish=_table(ord(ALPHANUMERIC[(1 - state) % 36]) for state in range(37)),
    )


@functools.cache
def _machine(scheme: CheckDigit) -> _Machine:
    makers = {"verhoeff": _verhoeff, "luhn": _luhn, "damm": _damm, "mod37_36": _mod37_36}
    if scheme not in makers:
        raise InvalidValueError("check_digit", "has to be verhoeff, luhn, damm, mod37_36 or none")

    return makers[scheme]()


def check_alphabet(scheme: CheckDigit) -> str:
    """
    Name the characters that a scheme can read, which are also those that it gives; none for `none`.

    Example:
        >>> check_alphabet("luhn")
        '0123456789'
    """
    return "" if scheme == "none" else _machine(scheme).alphabet


def check_character(scheme: CheckDigit, payload: str) -> str:
    """
    Compute the character that makes a payload valid when it is put behind it.

    Args:
        scheme: How it is computed; `none` gives an empty text.

        payload: Digits, for `mod37_36` also the letters A to Z.

    Raises:
        InvalidValueError: If *payload* has characters that the scheme cannot read, or there is no such scheme.

    Example:
        >>> check_character("verhoeff", "236"), check_character("luhn", "7992739871"), check_character("damm", "572")
        ('3', '3', '4')
    """
    if scheme == "none":
        return ""
    machine = _machine(scheme)
    if not set(machine.alphabet).issuperset(payload):
        raise InvalidValueError("payload", f"has characters that {scheme} cannot read")
    symbols = payload.encode().translate(_VALUES)
    state = machine.start
    for symbol, step in zip(symbols[::-1] if machine.backward else symbols, itertools.cycle(machine.steps)):
        state = step[machine.weight * state + symbol]

    return chr(machine.finish[state])


def is_valid(scheme: CheckDigit, text: str) -> bool:
    """
    Say whether the last character of a text is the check character of the others. With `none` every text is valid.

    Raises:
        InvalidValueError: If there is no such scheme.

    Example:
        >>> is_valid("verhoeff", "2363"), is_valid("verhoeff", "2633")
        (True, False)
    """
    if scheme == "none":
        return True
    if not text or not set(_machine(scheme).alphabet).issuperset(text):
        return False

    return check_character(scheme, text[:-1]) == text[-1]


def check_characters(scheme: CheckDigit, payloads: bytes, width: int) -> bytes:
    """
    Compute the check characters of many payloads at once, some thirty times as fast as one after another.

    Args:
        scheme: How they are computed; not `none`.

        payloads:
            The payloads end to end, all of the same width. Characters that the scheme cannot read give a wrong answer
            instead of an error.

        width: How many characters each payload has, 1 or more.

    Returns:
        One character for each payload.

    Raises:
        InvalidValueError: If there is no such scheme.

    Example:
        >>> check_characters("verhoeff", b"236000123", 3)
        b'323'
    """
    machine = _machine(scheme)
    columns = range(width - 1, -1, -1) if machine.backward else range(width)
    count = len(payloads) // width
    states = bytes([machine.start]) * count
    for column, step in zip(columns, itertools.cycle(machine.steps)):
        symbols = payloads[column::width].translate(_VALUES)
        # As one large number a column is multiplied and added in C. No byte overflows: the largest is 9 * 10 + 9.
        cells = int.from_bytes(states, "big") * machine.weight + int.from_bytes(symbols, "big")
        states = cells.to_bytes(count, "big").translate(step)

    return states.translate(machine.finish)


def count_payloads(scheme: CheckDigit, places: Sequence[str], accepted: str) -> int:
    """
    Count, exactly and without listing them, the payloads whose check character is one of those accepted.

    Args:
        scheme: How the check character is computed; not `none`.

        places: For each place of the payload the characters that may stand there.

        accepted: The check characters to count.

    Raises:
        InvalidValueError: If there is no such scheme.

    Example:
        >>> count_payloads("luhn", ["4", "0123456789", "0123456789"], "7")
        10
    """
    machine = _machine(scheme)
    ways = Counter({machine.start: 1})
    for characters, step in zip(places[::-1] if machine.backward else places, itertools.cycle(machine.steps)):
        reached: Counter[int] = Counter()
        for state, count in ways.items():
            for symbol in characters.encode().translate(_VALUES):
                reached[step[machine.weight * state + symbol]] += count
        ways = reached

    return sum(count for state, count in ways.items() if chr(machine.finish[state]) in accepted)
