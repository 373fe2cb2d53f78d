"""
What a card is worth: exact amounts in millionths of the book's currency, and Unlimited as a value of its own.
"""

from __future__ import annotations

import functools
import re
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import Final, TypeAlias

from voipcard.errors import AmountError, AmountTypeError, InvalidValueError

__all__ = ["UNLIMITED", "ZERO", "Amount", "Credit", "checked_price"]

MICROS_PER_UNIT: Final = 1_000_000

_UNLIMITED_MICROS: Final = 2**63 - 1
"""The largest signed 64-bit integer, so that Unlimited sorts above every amount in any store without a special case."""

_LIMIT: Final = 2**63 - 2
_DECIMAL_PLACES: Final = 6
_SMALLEST: Final = Decimal("0.000001")
_EXACT: Final = Context(prec=28, traps=[Inexact, InvalidOperation])
"""Refuses to round, where the default context would do so silently."""

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)", re.ASCII)


@functools.total_ordering
class Credit:
    """
    An amount of credit, or a change of it, as a whole number of millionths.

    Amounts are immutable, hashable and ordered; `UNLIMITED` is greater than every other. Adding to and taking from
    Unlimited gives Unlimited: what VoipNow does to a card in that case is a rule of the ledger, not of numbers.

    Args:
        value:
            A `Decimal`, a whole number, a text such as `"12.50"` or `"unlimited"`, or another `Credit`. At most six
            decimal places and less than 9,223,372,036,854.775806 in size. A float is refused because it cannot hold
            0.10 exactly.

    Attributes:
        micros: The amount in millionths. For `UNLIMITED` the largest signed 64-bit integer.

    Raises:
        AmountTypeError: If *value* is a float, a bool or something else that is no amount.

        AmountError: If *value* is no finite number, too precise or too large.

    Example:
        >>> Credit("12.50") + Credit(2)
        Credit('14.50')
        >>> Credit("0.000001") < Credit(1) < UNLIMITED
        True
    """

    __slots__ = ("micros",)

    micros: int

    def __init__(self, value: Amount = 0) -> None:
        object.__setattr__(self, "micros", _micros(value))

    @staticmethod
    def from_micros(micros: int) -> Credit:
        """
        Make an amount from millionths; the largest signed 64-bit integer means Unlimited.

        Raises:
            AmountTypeError: If *micros* is not a whole number.

            AmountError: If it does not fit into 64 bits.
        """
        if type(micros) is not int:
            raise AmountTypeError(type(micros).__name__)

        return _credit(micros)

    @property
    def is_unlimited(self) -> bool:
        """
        Whether this is `UNLIMITED`.
        """
        return self.micros == _UNLIMITED_MICROS

    def to_decimal(self) -> Decimal:
        """
        Give the exact amount as a `Decimal`.

        Raises:
            AmountError: If the credit is unlimited.
        """
        if self.is_unlimited:
            raise AmountError("not_a_number")

        return Decimal(str(self))

    def __setattr__(self, name: str, value: object) -> None:
        message = f"a Credit cannot be changed: {name}"
        raise AttributeError(message)

    def __delattr__(self, name: str) -> None:
        self.__setattr__(name, None)

    def __reduce__(self) -> tuple[object, ...]:
        return (Credit.from_micros, (self.micros,))

    def __eq__(self, other: object) -> bool:
        return self.micros == other.micros if isinstance(other, Credit) else NotImplemented

    def __lt__(self, other: Credit) -> bool:
        return self.micros < other.micros if isinstance(other, Credit) else NotImplemented

    def __hash__(self) -> int:
        return hash((Credit, self.micros))

    def __bool__(self) -> bool:
        return self.micros != 0

    def __add__(self, other: Credit) -> Credit:
        if not isinstance(other, Credit):
            return NotImplemented
        if self.is_unlimited or other.is_unlimited:
            return UNLIMITED

        return _finite(self.micros + other.micros)

    def __sub__(self, other: Credit) -> Credit:
        return self + -other if isinstance(other, Credit) else NotImplemented

    def __neg__(self) -> Credit:
        if self.is_unlimited:
            raise AmountError("not_a_number")

        return _finite(-self.micros)

    def __str__(self) -> str:
        """
        Write the amount with at least two and at most six decimal places, or `unlimited`.
        """
        if self.is_unlimited:
            return "unlimited"
        units, rest = divmod(abs(self.micros), MICROS_PER_UNIT)
        places = f"{rest:0{_DECIMAL_PLACES}d}".rstrip("0").ljust(2, "0")

        return f"{'-' if self.micros < 0 else ''}{units}.{places}"

    def __repr__(self) -> str:
        return "UNLIMITED" if self.is_unlimited else f"Credit({str(self)!r})"


@functools.lru_cache(maxsize=1024)  # Cards have few different amounts, and all of them nothing held.
def _credit(micros: int) -> Credit:
    if not -_LIMIT <= micros <= _UNLIMITED_MICROS:
        raise AmountError("too_large")
    credit = Credit.__new__(Credit)
    object.__setattr__(credit, "micros", micros)

    return credit


Amount: TypeAlias = "Credit | Decimal | int | str"


def _finite(micros: int) -> Credit:
    if not -_LIMIT <= micros <= _LIMIT:
        raise AmountError("too_large")

    return Credit.from_micros(micros)


def _micros(value: Amount) -> int:
    if isinstance(value, Credit):
        return value.micros
    if isinstance(value, str):
        text = value.strip()
        if text.lower() == "unlimited":
            return _UNLIMITED_MICROS
        if not _NUMBER.fullmatch(text):
            raise AmountError("not_a_number")
        value = Decimal(text)
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
        raise AmountTypeError(type(value).__name__)

    return _scaled(value)


def _scaled(value: int | Decimal) -> int:
    if isinstance(value, int):
        micros = value * MICROS_PER_UNIT
    elif value.is_finite():
        try:
            micros = int(_EXACT.scaleb(_EXACT.quantize(value, _SMALLEST), _DECIMAL_PLACES))
        except Inexact:
            raise AmountError("too_precise") from None
        except InvalidOperation:
            raise AmountError("too_large") from None
    else:
        raise AmountError("not_a_number")

    return _finite(micros).micros


ZERO: Final = Credit(0)
"""No credit."""

UNLIMITED: Final = Credit.from_micros(_UNLIMITED_MICROS)
"""Credit without end."""


def checked_price(name: str, value: Amount) -> Credit:
    """
    Accept an amount that is asked for or has to be there: zero or more, and not Unlimited.

    Raises:
        AmountError: If it is negative, or cannot be an amount.

        InvalidValueError: If it is Unlimited.
    """
    credit = Credit(value)
    if credit.micros < 0:
        raise AmountError("negative")
    if credit.is_unlimited:
        raise InvalidValueError(name, "cannot be unlimited")

    return credit
