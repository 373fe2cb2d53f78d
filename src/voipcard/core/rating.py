"""
What a call costs, and how long it may take for what is left: exact, rounded once, and one the inverse of the other.
"""

from __future__ import annotations

import functools
import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal, TypeAlias

import attrs

from voipcard.core.arguments import checked_integer, checked_text
from voipcard.core.credit import UNLIMITED, Amount, Credit, checked_price
from voipcard.core.moments import to_micros
from voipcard.errors import AmountError, InvalidValueError

__all__ = ["Convention", "Rate", "RateDeck", "Tariff"]

Convention: TypeAlias = Literal["first_then_next", "multiples"]
"""
How seconds are rounded up: to the first interval and then whole next ones, as carriers and CGRateS do; or to multiples
of the next interval that are not below the first, as A2Billing and MagnusBilling do.
"""

MAX_SECONDS: Final = 366 * 24 * 3600
"""No call takes longer than a year: what says so is damaged."""


def checked_seconds(seconds: int) -> int:
    """
    Accept how long a call took.

    Raises:
        InvalidValueError: If it is no whole number of seconds from 0 up to a year.
    """
    return checked_integer("seconds", seconds, at_least=0, at_most=MAX_SECONDS)


_NAME: Final = re.compile("[A-Za-z0-9._-]{1,64}", re.ASCII)


def checked_deck_name(argument: str, name: str) -> str:
    """
    Accept what a price list is called.

    Raises:
        InvalidValueError: If it is something else than 1 to 64 letters, digits, dots, dashes and underscores.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidValueError(argument, "has to be 1 to 64 letters, digits, dots, dashes and underscores")

    return str.__str__(name)


_PREFIX: Final = re.compile("[0-9]{1,32}", re.ASCII)


def _line(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    checked_text(attribute.name, value)


def _price(value: Amount) -> Credit:
    return checked_price("price", value)


def _fee(value: Amount) -> Credit:
    return checked_price("connection_fee", value)


def _least(value: Amount) -> Credit:
    return checked_price("minimum_charge", value)


def _most(value: Amount | None) -> Credit | None:
    return None if value is None else checked_price("maximum_charge", value)


def _interval(_: object, attribute: attrs.Attribute[int], value: int) -> None:
    checked_integer(attribute.name, value, at_least=1, at_most=MAX_SECONDS)


def _seconds(_: object, attribute: attrs.Attribute[int], value: int) -> None:
    checked_integer(attribute.name, value, at_least=0, at_most=MAX_SECONDS)


@attrs.frozen(kw_only=True)
class Tariff:
    """
    What a call costs by its length.

    A call of no more than `grace` seconds costs nothing. Any other costs the connection fee and, for the seconds beyond
    the free ones, rounded up to whole intervals, the price; together at least the minimum and at most the maximum
    charge. The price is multiplied first and rounded once, half a millionth up.

    Attributes:
        price: What `per` seconds cost, zero or more.
        per: How many seconds the price is for, 1 or more.
        connection_fee: What every call costs besides.
        first_interval: The seconds that are charged at least, 1 or more.
        next_interval: In which steps of seconds it goes on, 1 or more.
        grace: The longest call that costs nothing, in seconds: 0 or more.
        free_seconds: The first seconds of a call that are not charged, 0 or more.
        minimum_charge: The least that a call costs which is charged at all.
        maximum_charge: The most that a call costs; None for any amount.
        convention: How seconds are rounded up: `first_then_next` or `multiples`.

    Raises:
        AmountError: If an amount is negative, or none.

        InvalidValueError: If another value is out of its range, or the maximum charge is below the minimum.

    Example:
        >>> tariff = Tariff(price="0.06", first_interval=30, next_interval=6)
        >>> tariff.cost(31), tariff.max_duration(tariff.cost(31))
        (Credit('0.036'), 36)
    """

    price: Credit = attrs.field(converter=_price)
    per: int = attrs.field(default=60, validator=_interval)
    connection_fee: Credit = attrs.field(default=Credit(0), converter=_fee)
    first_interval: int = attrs.field(default=1, validator=_interval)
    next_interval: int = attrs.field(default=1, validator=_interval)
    grace: int = attrs.field(default=0, validator=_seconds)
    free_seconds: int = attrs.field(default=0, validator=_seconds)
    minimum_charge: Credit = attrs.field(default=Credit(0), converter=_least)
    maximum_charge: Credit | None = attrs.field(default=None, converter=_most)
    convention: Convention = attrs.field(default="first_then_next")

    @convention.validator
    def _is_known(self, _: object, value: str) -> None:
        if value not in {"first_then_next", "multiples"}:
            raise InvalidValueError("convention", "has to be first_then_next or multiples")

    def __attrs_post_init__(self) -> None:
        if self.maximum_charge is not None and self.maximum_charge < self.minimum_charge:
            raise InvalidValueError("maximum_charge", "cannot be below the minimum charge")

    def charged_seconds(self, seconds: int) -> int:
        """
        Give how many seconds are charged for a call.

        Raises:
            InvalidValueError: If *seconds* is negative, more than a year, or no whole number.
        """
        beyond = checked_seconds(seconds) - self.free_seconds
        if seconds <= self.grace or beyond <= 0:
            return 0
        first, following = self.first_interval, self.next_interval
        if self.convention == "multiples":
            return max(first, -(-beyond // following) * following)

        return first + -(-max(0, beyond - first) // following) * following

    def cost(self, seconds: int) -> Credit:
        """
        Give what a call of so many seconds costs.

        Raises:
            InvalidValueError: If *seconds* is negative, more than a year, or no whole number.

            AmountError: If it costs more than an amount can be.
        """
        return Credit.from_micros(_finite(_in_micros(self)(checked_seconds(seconds))))

    def max_duration(self, credit: Credit, *, at_most: int = MAX_SECONDS) -> int:
        """
        Give the longest call, in seconds, that costs no more than *credit*.

        It is the inverse of `cost`: a call that is longer by a second costs more, unless it were longer than *at_most*.

        Args:
            credit: What there is for it, zero or more.

            at_most: How long it may be whatever it costs, in seconds, 0 to a year.

        Raises:
            AmountError: If *credit* is negative.

            InvalidValueError: If *at_most* is out of its range.
        """
        if credit.micros < 0:
            raise AmountError("negative")
        # No call costs more than an amount can be, also where credit is unlimited.
        most = min(credit.micros, UNLIMITED.micros - 1)

        return bisect_right(range(checked_seconds(at_most) + 1), most, key=_in_micros(self)) - 1


def _in_micros(tariff: Tariff) -> Callable[[int], int]:
    """
    Give what calls cost by their seconds, in millionths, as a function that looks nothing up any more.

    So a million calls are rated nearly as fast as they are looked up. It checks nothing: seconds that are no duration
    give nonsense, and what it gives may be more than an amount can be.
    """
    # Multiplied first and rounded once, half up: rounding each interval would let errors grow with the call.
    price, half, per = 2 * tariff.price.micros, tariff.per, 2 * tariff.per
    first, following, is_multiple = tariff.first_interval, tariff.next_interval, tariff.convention == "multiples"
    grace, free, fee = tariff.grace, tariff.free_seconds, tariff.connection_fee.micros
    least, most = tariff.minimum_charge.micros, UNLIMITED.micros
    if tariff.maximum_charge is not None:
        most = tariff.maximum_charge.micros

    def micros(seconds: int) -> int:
        if seconds <= grace:
            return 0
        cost = fee
        seconds -= free
        if seconds > 0:
            if is_multiple:
                seconds = max(first, -(-seconds // following) * following)
            elif seconds <= first:
                seconds = first
            else:
                seconds = first - (first - seconds) // following * following
            cost += (price * seconds + half) // per
        if cost < least:
            return least

        return cost if cost < most else most  # noqa: FURB136 - calling `min` takes as long as all of the above

    return micros


def _finite(micros: int) -> int:
    if micros >= UNLIMITED.micros:
        raise AmountError("too_large")

    return micros


@attrs.frozen
class Rate:
    """
    What calls to the numbers with one prefix cost.

    Attributes:
        prefix: How the numbers begin: 1 to 32 digits, the country code first.
        tariff: What a call costs by its length.
        description: Where the numbers are, at most 255 characters.
        network: Whose they are, at most 255 characters.

    Raises:
        InvalidValueError: If a value is out of its range.
    """

    prefix: str = attrs.field()
    tariff: Tariff
    description: str = attrs.field(default="", validator=_line)
    network: str = attrs.field(default="", validator=_line)

    @prefix.validator
    def _is_digits(self, _: object, value: str) -> None:
        if not isinstance(value, str) or not _PREFIX.fullmatch(value):
            raise InvalidValueError("prefix", "has to be 1 to 32 digits")


class RateDeck:
    """
    The rates of one price list, each found by the longest prefix of a number.

    Args:
        rates: The rates; no prefix comes twice.

        name: What the deck is called, 1 to 64 letters, digits, dots, dashes and underscores.

        valid_from: From when on it holds; None for ever.

    Raises:
        InvalidValueError: If there are no rates, a prefix comes twice, or another value is out of its range.

    Example:
        >>> deck = RateDeck([Rate("40", Tariff(price="0.02")), Rate("407", Tariff(price="0.09"))])
        >>> deck.find("40722123456").prefix, deck.find("40213123456").prefix, deck.find("4921")
        ('407', '40', None)
        >>> list(deck.costs([("40722123456", 61), ("4921", 10)]))
        [91500, None]
    """

    def __init__(self, rates: Iterable[Rate], *, name: str = "default", valid_from: datetime | None = None) -> None:
        self.rates: Final[tuple[Rate, ...]] = tuple(rates)
        self.name: Final = checked_deck_name("name", name)
        self.valid_from: Final = valid_from
        if valid_from is not None:
            to_micros(valid_from)  # Refuses what is no aware datetime.
        if not self.rates:
            raise InvalidValueError("rates", "have to be at least one")
        self._by_prefix: Final = {rate.prefix: rate for rate in self.rates}
        if len(self._by_prefix) < len(self.rates):
            raise InvalidValueError("rates", f"have the prefix {_first_repeated(self.rates)} more than once")
        # Longest first: most numbers are found at the first or second length that there is.
        self._lengths: Final = sorted({len(prefix) for prefix in self._by_prefix}, reverse=True)

    def __repr__(self) -> str:
        begun = "" if self.valid_from is None else f" from {self.valid_from.isoformat()} on"

        return f"<RateDeck {self.name}{begun}, rates: {len(self):,}>"

    def __len__(self) -> int:
        return len(self.rates)

    def __iter__(self) -> Iterator[Rate]:
        return iter(self.rates)

    def __eq__(self, other: object) -> bool:
        """
        Tell whether both have the same rates, in whatever order, the same name and the same beginning.
        """
        if not isinstance(other, RateDeck):
            return NotImplemented
        facts = (self.name, self.valid_from, self._by_prefix)

        return facts == (other.name, other.valid_from, other._by_prefix)

    def __hash__(self) -> int:
        return hash((self.name, self.valid_from, len(self)))

    def find(self, number: str) -> Rate | None:
        """
        Give the rate with the longest prefix that the number begins with, or None.

        Args:
            number: The number that is called, in international form: digits, the country code first.
        """
        by_prefix = self._by_prefix
        for length in self._lengths:
            if (rate := by_prefix.get(number[:length])) is not None:
                return rate

        return None

    def costs(self, calls: Iterable[tuple[str, int]]) -> Iterator[int | None]:
        """
        Rate many calls, each as `find` and `Tariff.cost` do, but several times as fast.

        Args:
            calls:
                Of each call the number, as for `find`, and how many seconds it took: 0 up to a year. They are taken one
                by one, as far as the answers are.

        Returns:
            What each call costs in millionths, as in `Credit.micros`; None where no prefix fits. A `Credit` for each
            would take longer than all the rest.

        Raises:
            InvalidValueError: If the seconds of a call are no duration.

            AmountError: If a call costs more than an amount can be.
        """
        priced, lengths = self._priced, self._lengths
        for number, seconds in calls:
            # The same as `checked_seconds` where nothing is wrong, without calling it.
            if type(seconds) is not int or not 0 <= seconds <= MAX_SECONDS:
                checked_seconds(seconds)
            for length in lengths:
                if (micros := priced.get(number[:length])) is not None:
                    yield micros(seconds)
                    break
            else:
                yield None

    @functools.cached_property
    def _priced(self) -> Mapping[str, Callable[[int], int]]:
        """
        Give what calls cost by prefix; prefixes whose tariffs are equal share one function.
        """
        functions: dict[Tariff, Callable[[int], int]] = {}
        for tariff in {rate.tariff for rate in self.rates}:
            micros = functions[tariff] = _in_micros(tariff)
            if micros(MAX_SECONDS) >= UNLIMITED.micros:
                functions[tariff] = functools.partial(_finite_cost, micros)

        return {rate.prefix: functions[rate.tariff] for rate in self.rates}


def _finite_cost(micros: Callable[[int], int], seconds: int) -> int:
    return _finite(micros(seconds))


def _first_repeated(rates: Sequence[Rate]) -> str:
    seen: set[str] = set()
    for rate in rates:
        if rate.prefix in seen:
            return rate.prefix
        seen.add(rate.prefix)

    return ""
