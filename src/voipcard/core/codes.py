"""
Codes: what they look like, how hard they are to guess, and how any number of them is drawn.
"""

from __future__ import annotations

import functools
import itertools
import math
import os
from collections.abc import Callable, Collection, Iterator
from fractions import Fraction
from typing import Final

import attrs

from voipcard.core.arguments import checked_integer
from voipcard.core.cards import MAX_CODE_LENGTH, canonical_code
from voipcard.core.check_digits import (
    DIGITS,
    CheckDigit,
    check_alphabet,
    check_characters,
    count_payloads,
    is_valid,
)
from voipcard.core.drawing import CHUNK, RandomSource, draw_characters, split_rows
from voipcard.core.pins import PinFormat
from voipcard.core.policy import Policy
from voipcard.errors import CrowdedError, GuessableError, InvalidCodeError, InvalidValueError

__all__ = [
    "DIGITS",
    "UNAMBIGUOUS",
    "CodeFormat",
    "draw_codes",
    "plan_code_length",
    "refuse_crowded",
    "refuse_guessable",
]

UNAMBIGUOUS: Final = "23456789ABCDEFGHJKMNPQRSTUVWXYZ"
"""The 31 digits and upper-case letters that nobody confuses: without 0, O, 1, I and L."""

MIN_LENGTH: Final = 4
MAX_LENGTH: Final = 32

_CODE_CHARACTERS: Final = frozenset(map(chr, range(ord("!"), ord("~") + 1))) - frozenset("-.+")
"""Dashes and dots are dropped from what people type, and a leading plus marks a CallerID."""


@attrs.frozen
class CodeFormat:
    """
    What a card code looks like: *prefix*, random characters, *suffix* and a check digit, in this order.

    The check digit is computed over everything before it and stands last, where ITU-T E.118 and ISO 7812 expect it. It
    tells typing errors from wrong codes at once; it does not make a code harder to guess.

    Attributes:
        length:
            How many random characters a code has, from 4 to 32. Prefix, suffix and check digit come on top:
            `code_length` is the whole. `plan_code_length` tells how many are needed.
        alphabet:
            The characters to draw from, at least 2 and all different: printable ASCII without space, dash, dot and
            plus. `UNAMBIGUOUS` suits codes that are read from paper, but only digits can be dialed.
        prefix: What every code begins with, such as an issuer's number.
        suffix: What stands behind the random characters of every code.
        check_digit:
            `verhoeff` (the default), `luhn` or `damm` for digits only, `mod37_36` for digits and the letters A to Z,
            or `none`. The check digit is one of the *alphabet*, too: where the scheme can give others, those codes are
            neither drawn nor accepted.

    Raises:
        InvalidValueError: If a part is outside its range or does not suit the check digit, if the whole code would have
            more than 255 characters, or if no code could ever be drawn.

    Example:
        >>> CodeFormat().check("7700 1834-2215.1")
        '7700183422151'
        >>> CodeFormat(8, UNAMBIGUOUS, prefix="VC", check_digit="mod37_36").code_length
        11
    """

    length: int = 12
    alphabet: str = DIGITS
    prefix: str = ""
    suffix: str = ""
    check_digit: CheckDigit = "verhoeff"

    def __attrs_post_init__(self) -> None:
        checked_integer("length", self.length, at_least=MIN_LENGTH, at_most=MAX_LENGTH)
        if len(set(self.alphabet)) < max(2, len(self.alphabet)):
            raise InvalidValueError("alphabet", "has to be two or more different characters")
        if self.check_digit == "none":
            readable, needs = _CODE_CHARACTERS, "printable ASCII without space, dash, dot and plus"
        else:
            readable = frozenset(check_alphabet(self.check_digit))
            needs = "digits" if readable == set(DIGITS) else "digits and the letters A to Z"
        for name, text in (("alphabet", self.alphabet), ("prefix", self.prefix), ("suffix", self.suffix)):
            if not readable.issuperset(text):
                raise InvalidValueError(name, f"can only have {needs} with check digit {self.check_digit}")
        if self.code_length > MAX_CODE_LENGTH:
            raise InvalidValueError("prefix", f"and suffix make codes of more than {MAX_CODE_LENGTH} characters")
        if not self.capacity:
            raise InvalidValueError("alphabet", "cannot give any code whose check digit is one of the alphabet, too")

    @property
    def code_length(self) -> int:
        """
        How many characters a whole code has.
        """
        return len(self.prefix) + self.length + len(self.suffix) + (self.check_digit != "none")

    @property
    def capacity(self) -> int:
        """
        How many different codes there are.
        """
        return _capacity(self)

    @property
    def entropy_bits(self) -> float:
        """
        How many bits of randomness a code has.
        """
        return math.log2(self.capacity)

    def odds(self, active: int, guesses: int, *, pin_length: int = 0) -> float:
        """
        Give the probability that somebody who tries codes blindly finds at least one.

        Args:
            active: How many codes of this format can be used, 0 or more.

            guesses: How many times codes are tried, 0 or more.

            pin_length:
                How many digits the PINs have that are tried together with the codes; 0 if no PIN is asked for. Weak
                PINs do not count as choices, because nobody has one.

        Raises:
            InvalidValueError: If an argument is outside its range.

        Example:
            >>> f"{CodeFormat().odds(10_000, 36_500_000):.1%}"
            '30.6%'
            >>> f"{CodeFormat().odds(10_000, 36_500_000, pin_length=4):.6%}"
            '0.004265%'
        """
        return _odds(self.capacity * PinFormat(pin_length).capacity, active, guesses)

    def check(self, code: str) -> str:
        """
        Accept a code that fits this format, in the one way it is stored.

        Args:
            code: The code; spaces, dashes and dots are dropped.

        Raises:
            InvalidCodeError: If *code* cannot be a card code or does not fit. The reason tells what is wrong first, in
                the order length, prefix, suffix, alphabet, check digit.

        Example:
            >>> CodeFormat(4, check_digit="luhn").check("7700-9")
            Traceback (most recent call last):
              ...
            voipcard.errors.InvalidCodeError: the code has a check digit that does not match: it was probably mistyped
        """
        code = canonical_code(code)
        if len(code) != self.code_length:
            raise InvalidCodeError("code", "wrong_length")
        drawn = slice(len(self.prefix), len(self.prefix) + self.length)
        checked = slice(drawn.stop + len(self.suffix), None)
        if code[: drawn.start] != self.prefix:
            raise InvalidCodeError("code", "wrong_prefix")
        if code[drawn.stop : checked.start] != self.suffix:
            raise InvalidCodeError("code", "wrong_suffix")
        if not set(self.alphabet).issuperset(code[drawn] + code[checked]):
            raise InvalidCodeError("code", "wrong_alphabet")
        if not is_valid(self.check_digit, code):
            raise InvalidCodeError("code", "wrong_check_digit")

        return code

    def draw(self, count: int, source: RandomSource = os.urandom) -> list[str]:
        """
        Draw different codes, as `draw_codes` does.

        Raises:
            CrowdedError: If there are not as many codes.

        Example:
            >>> [code] = CodeFormat(prefix="77").draw(1)
            >>> len(code)
            15
        """
        return draw_codes(self, count, source)


def draw_codes(
    code_format: CodeFormat,
    count: int,
    source: RandomSource = os.urandom,
    *,
    besides: Collection[str] = (),
) -> list[str]:
    """
    Draw different codes, each equally likely.

    Args:
        code_format: What they look like.

        count: How many, 0 or more.

        source: Where randomness comes from: `os.urandom` outside of tests.

        besides: Codes that must not be drawn, because they were before.

    Returns:
        The codes in the order in which they were drawn, so that the same bytes give the same codes.

    Raises:
        CrowdedError: If there are not as many codes.

        InvalidValueError: If *count* is negative.

    Example:
        >>> first = draw_codes(CodeFormat(), 1_000)
        >>> len({*first, *draw_codes(CodeFormat(), 10, besides=first)})
        1010
    """
    checked_integer("count", count, at_least=0)
    seen = set(besides)
    wanted = len(seen) + count
    if wanted > code_format.capacity:
        length = _shortest(code_format, lambda longer: wanted <= longer.capacity)
        raise CrowdedError(wanted, code_format.capacity, length)
    codes: list[str] = []
    while len(codes) < count:
        for rows in _draw_round(code_format, count - len(codes), len(seen), source):
            if seen.isdisjoint(rows):
                met = len(seen)
                seen.update(rows)
                codes += rows if len(seen) == met + len(rows) else dict.fromkeys(rows)
            else:
                codes += (row for row in dict.fromkeys(rows) if row not in seen)
                seen.update(rows)

    return codes[:count]


def plan_code_length(
    active: int,
    guesses: int,
    target: float,
    pin_length: int = 0,
    alphabet: str = DIGITS,
) -> int:
    """
    Find the smallest `CodeFormat.length` that makes codes hard enough to guess.

    Args:
        active: How many codes will be in use, 0 or more.

        guesses: How many codes strangers can try within a year, 0 or more. See `Policy.guesses`.

        target: The highest acceptable probability that anybody finds a code within a year, from 0 to 1.

        pin_length: How many digits the PINs have; 0 if no PIN is asked for.

        alphabet: The characters to draw from.

    Returns:
        A number from 4 to 32. It leaves out the check digit, which guesses know.

    Raises:
        InvalidValueError: If an argument is outside its range, or 32 characters are not enough.

    Example:
        >>> plan_code_length(100_000, 36_500_000, 1e-3)
        16
        >>> plan_code_length(100_000, 36_500_000, 1e-3, pin_length=4)
        12
    """
    if not 0 <= target <= 1:
        raise InvalidValueError("target", "has to be from 0 to 1")
    shortest = CodeFormat(MIN_LENGTH, alphabet, check_digit="none")

    return _shortest(shortest, lambda longer: longer.odds(active, guesses, pin_length=pin_length) <= target)


def refuse_crowded(code_format: CodeFormat, total: int, *, policy: Policy) -> None:
    """
    Refuse codes that would fill their format so much that typing errors and guesses hit other codes.

    Args:
        code_format: What the codes look like.

        total: How many codes there would be: those in the extension and those that are asked for.

        policy: What part of the format may be used.

    Raises:
        CrowdedError: If there would be too many.

        InvalidValueError: If no length would be enough.

    Example:
        >>> refuse_crowded(CodeFormat(4), 2_000, policy=Policy())
        >>> refuse_crowded(CodeFormat(4), 2_001, policy=Policy())
        Traceback (most recent call last):
          ...
        voipcard.errors.CrowdedError: 2,001 codes do not fit a format that may hold 2,000: a length of 5 would do
    """
    # As a fraction of what was typed, 0.3 is three tenths, not a little less.
    part = Fraction(str(policy.fill_limit))
    allowed = math.floor(code_format.capacity * part)
    if total > allowed:
        raise CrowdedError(total, allowed, _shortest(code_format, lambda longer: total <= longer.capacity * part))


def refuse_guessable(code_format: CodeFormat, active: int, *, pin_length: int, policy: Policy) -> None:
    """
    Refuse codes that strangers would find too easily by trying.

    Args:
        code_format: What the codes look like.

        active: How many codes could be found: those in the extension and those that are asked for.

        pin_length: How many digits the PINs have; 0 if no PIN is asked for.

        policy: How many guesses there are within a year, and what probability is accepted.

    Raises:
        GuessableError: If one code or more would be found with a higher probability.

        InvalidValueError: If no length would be enough, or an argument is outside its range.

    Example:
        >>> refuse_guessable(CodeFormat(), 100_000, pin_length=4, policy=Policy())
        >>> refuse_guessable(CodeFormat(6), 100, pin_length=4, policy=Policy())  # doctest: +ELLIPSIS
        Traceback (most recent call last):
          ...
        voipcard.errors.GuessableError: somebody would guess a code within a year with probability 0.35, ...
    """
    odds = code_format.odds(active, policy.guesses, pin_length=pin_length)
    if odds > policy.odds_limit:
        length = _shortest(
            code_format,
            lambda longer: longer.odds(active, policy.guesses, pin_length=pin_length) <= policy.odds_limit,
        )
        raise GuessableError(odds, policy.odds_limit, length)


def _odds(choices: int, active: int, guesses: int) -> float:
    checked_integer("active", active, at_least=0)
    checked_integer("guesses", guesses, at_least=0)
    if active >= choices:
        return float(guesses > 0)

    # 1 - (1 - active / choices) ** guesses, which would round to 0 where the odds are small.
    return -math.expm1(guesses * math.log1p(-(active / choices)))


def _shortest(code_format: CodeFormat, suffices: Callable[[CodeFormat], bool]) -> int:
    for length in range(code_format.length, MAX_LENGTH + 1):
        if suffices(attrs.evolve(code_format, length=length)):
            return length

    raise InvalidValueError("alphabet", f"has too few characters: even {MAX_LENGTH} of them would not be enough")


def _is_selective(code_format: CodeFormat) -> bool:
    """
    Whether the scheme gives check characters that the alphabet does not have.
    """
    return not set(code_format.alphabet).issuperset(check_alphabet(code_format.check_digit))


def _payloads(code_format: CodeFormat) -> int:
    payloads: int = len(code_format.alphabet) ** code_format.length

    return payloads


@functools.lru_cache(maxsize=256)
def _capacity(code_format: CodeFormat) -> int:
    alphabet = code_format.alphabet
    if not _is_selective(code_format):
        return _payloads(code_format)
    places = [*code_format.prefix, *[alphabet] * code_format.length, *code_format.suffix]

    return count_payloads(code_format.check_digit, places, alphabet)


def _draw_round(code_format: CodeFormat, missing: int, used: int, source: RandomSource) -> Iterator[list[str]]:
    """
    Draw as many codes as it takes on average until enough of them are new.
    """
    left = math.ceil(Fraction(missing * _payloads(code_format), code_format.capacity - used))
    while left > 0:
        yield _draw_rows(code_format, min(left, CHUNK), source)
        left -= CHUNK


def _draw_rows(code_format: CodeFormat, count: int, source: RandomSource) -> list[str]:
    drawn = draw_characters(code_format.alphabet, count * code_format.length, source)
    # The columns of random characters are woven into the fixed ones. No Python code runs for each single code.
    payload = code_format.prefix + "?" * code_format.length + code_format.suffix
    rows = bytearray(payload.encode("ascii") * count)
    for column in range(code_format.length):
        rows[len(code_format.prefix) + column :: len(payload)] = drawn[column :: code_format.length]
    if code_format.check_digit == "none":
        return split_rows(bytes(rows), len(payload))
    characters = check_characters(code_format.check_digit, bytes(rows), len(payload))
    codes = split_rows(bytes(rows), len(payload), characters)
    if not _is_selective(code_format):
        return codes
    accepted = bytes(map(code_format.alphabet.encode("ascii").__contains__, range(256)))

    return list(itertools.compress(codes, characters.translate(accepted)))
