"""
What calls cost: exact, rounded once, never more than was promised, and found by the longest prefix.
"""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime
from fractions import Fraction
from random import Random
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voipcard.core.credit import UNLIMITED, Credit
from voipcard.core.rating import MAX_SECONDS, Rate, RateDeck, Tariff
from voipcard.errors import AmountError, AmountTypeError, InvalidValueError

PRICES = st.integers(0, 10**7).map(Credit.from_micros)
SECONDS = st.integers(0, 20_000)


@st.composite
def tariffs(draw: st.DrawFn) -> Tariff:
    """
    Give tariffs of every shape.
    """
    minimum = draw(PRICES)

    return Tariff(
        price=draw(PRICES),
        per=draw(st.integers(1, 3600)),
        connection_fee=draw(PRICES),
        first_interval=draw(st.integers(1, 120)),
        next_interval=draw(st.integers(1, 120)),
        grace=draw(st.integers(0, 30)),
        free_seconds=draw(st.integers(0, 300)),
        minimum_charge=minimum,
        maximum_charge=draw(st.none() | st.integers(minimum.micros, 10**9).map(Credit.from_micros)),
        convention=draw(st.sampled_from(["first_then_next", "multiples"])),
    )


@pytest.mark.parametrize(
    "first, following, seconds, carrier, carrier_cost, multiples, multiples_cost",
    [
        (30, 18, 31, 48, "0.0048", 36, "0.0036"),
        (30, 18, 45, 48, "0.0048", 54, "0.0054"),
        (30, 60, 45, 90, "0.009", 60, "0.006"),
        (30, 60, 61, 90, "0.009", 120, "0.012"),
        (30, 6, 32, 36, "0.0036", 36, "0.0036"),
        (30, 6, 57, 60, "0.006", 60, "0.006"),
        (30, 6, 75, 78, "0.0078", 78, "0.0078"),
        (60, 60, 61, 120, "0.012", 120, "0.012"),
        (1, 1, 61, 61, "0.0061", 61, "0.0061"),
    ],
)
def test_both_conventions_say_what_their_systems_say(  # noqa: PLR0917  (a table)
    first: int,
    following: int,
    seconds: int,
    carrier: int,
    carrier_cost: str,
    multiples: int,
    multiples_cost: str,
) -> None:
    """
    At 0.006 a minute the default charges as CGRateS and ASTPP do, and `multiples` as A2Billing and MagnusBilling do.
    """
    both = [
        Tariff(price="0.006", first_interval=first, next_interval=following, convention=convention)
        for convention in ("first_then_next", "multiples")
    ]

    assert [carrier, multiples] == [tariff.charged_seconds(seconds) for tariff in both]
    assert [Credit(carrier_cost), Credit(multiples_cost)] == [tariff.cost(seconds) for tariff in both]


@given(tariffs(), SECONDS)
def test_a_cost_is_exact_and_rounded_once(tariff: Tariff, seconds: int) -> None:
    """
    The cost is the exact fraction, rounded half up to a millionth only at the end, within minimum and maximum.
    """
    exact = Fraction(0)
    if seconds > tariff.grace:
        beyond = max(0, seconds - tariff.free_seconds)
        intervals = math.ceil(Fraction(max(0, beyond - tariff.first_interval), tariff.next_interval))
        if tariff.convention == "multiples":
            steps = math.ceil(Fraction(beyond, tariff.next_interval))
            charged = max(tariff.first_interval, steps * tariff.next_interval) if beyond else 0
        else:
            charged = tariff.first_interval + intervals * tariff.next_interval if beyond else 0
        price = math.floor(Fraction(tariff.price.micros * charged, tariff.per) + Fraction(1, 2))
        exact = Fraction(max(tariff.connection_fee.micros + price, tariff.minimum_charge.micros))
        if tariff.maximum_charge is not None:
            exact = min(exact, Fraction(tariff.maximum_charge.micros))

    assert exact == tariff.cost(seconds).micros


@given(tariffs(), SECONDS)
def test_longer_calls_cost_no_less(tariff: Tariff, seconds: int) -> None:
    """
    A call that is a second longer never costs less, and is never charged for less time.
    """
    assert tariff.cost(seconds) <= tariff.cost(seconds + 1)
    assert tariff.charged_seconds(seconds) <= tariff.charged_seconds(seconds + 1)
    assert tariff.cost(0) == Credit(0)


@given(tariffs(), st.integers(0, 10**9).map(Credit.from_micros))
def test_the_longest_call_is_the_inverse_of_the_cost(tariff: Tariff, credit: Credit) -> None:
    """
    The longest call costs no more than the credit, and one that is a second longer does, or is longer than a year.
    """
    longest = tariff.max_duration(credit)

    assert tariff.cost(longest) <= credit
    assert longest == MAX_SECONDS or tariff.cost(longest + 1) > credit


@given(tariffs(), SECONDS)
def test_who_may_talk_so_long_can_pay_it(tariff: Tariff, seconds: int) -> None:
    """
    Whoever has just what a call costs may talk at least as long.
    """
    assert tariff.max_duration(tariff.cost(seconds)) >= seconds


def test_unlimited_credit_lets_a_call_take_a_year() -> None:
    """
    Without a limit only the longest call that there can be is one.
    """
    tariff = Tariff(price="100")

    assert tariff.max_duration(UNLIMITED) == MAX_SECONDS
    assert tariff.max_duration(Credit(0)) == 0
    assert Tariff(price=0).max_duration(Credit(0)) == MAX_SECONDS


def test_intervals_are_not_rounded_one_by_one() -> None:
    """
    Thirty steps of a third of a millionth are ten millionths; rounded step by step they would be nothing.
    """
    tariff = Tariff(price=Credit.from_micros(1), per=3)
    step_by_step = sum(tariff.cost(1).micros for _ in range(30))

    assert tariff.cost(30).micros == 10
    assert step_by_step == 0


@pytest.mark.parametrize(
    "wrong, error",
    [
        ({"price": "-0.01"}, AmountError),
        ({"price": UNLIMITED}, InvalidValueError),
        ({"price": 0.1}, AmountTypeError),
        ({"price": 1, "per": 0}, InvalidValueError),
        ({"price": 1, "first_interval": 0}, InvalidValueError),
        ({"price": 1, "next_interval": True}, InvalidValueError),
        ({"price": 1, "grace": -1}, InvalidValueError),
        ({"price": 1, "free_seconds": 1.5}, InvalidValueError),
        ({"price": 1, "minimum_charge": 2, "maximum_charge": 1}, InvalidValueError),
        ({"price": 1, "convention": "each"}, InvalidValueError),
    ],
)
def test_what_is_no_tariff_is_refused(wrong: dict[str, Any], error: type[Exception]) -> None:
    """
    Amounts are zero or more, intervals a second or more, and the maximum is not below the minimum.
    """
    with pytest.raises(error):
        Tariff(**wrong)


@pytest.mark.parametrize("name", ["price", "connection_fee", "minimum_charge", "maximum_charge"])
def test_no_price_is_unlimited(name: str) -> None:
    """
    What would cost more than anybody has is refused, and it is said which amount it is.
    """
    terms: dict[str, Any] = {"price": 0, name: UNLIMITED}
    with pytest.raises(InvalidValueError) as refused:
        Tariff(**terms)

    assert refused.value.name == name


@pytest.mark.parametrize("seconds", [-1, MAX_SECONDS + 1, 1.5, True, "60", None])
def test_what_is_no_duration_is_refused(seconds: Any) -> None:  # noqa: ANN401
    """
    Nothing is charged for a time below zero, of more than a year, or that is no whole number.
    """
    tariff = Tariff(price=1)

    for ask in (tariff.cost, tariff.charged_seconds):
        with pytest.raises(InvalidValueError) as refused:
            ask(seconds)
        assert refused.value.name == "seconds"


def test_no_credit_is_below_zero() -> None:
    """
    How long a call may take for less than nothing is not asked.
    """
    with pytest.raises(AmountError):
        Tariff(price=1).max_duration(Credit("-0.01"))


DIGITS = st.text("0123", min_size=1, max_size=6)


@given(st.sets(DIGITS, min_size=1, max_size=40), st.text("0123", max_size=8))
def test_the_longest_prefix_counts(prefixes: set[str], number: str) -> None:
    """
    Of all prefixes that a number begins with the longest gives its rate, and a number without one has none.
    """
    deck = RateDeck(Rate(prefix, Tariff(price=1)) for prefix in sorted(prefixes))
    expected = max((prefix for prefix in prefixes if number.startswith(prefix)), key=len, default=None)
    rate = deck.find(number)

    assert expected == (rate.prefix if rate else None)
    assert sorted(prefixes) == [each.prefix for each in deck]
    assert len(prefixes) == len(deck)


@given(
    st.dictionaries(DIGITS, tariffs(), min_size=1, max_size=10),
    st.lists(st.tuples(st.text("0123", max_size=8), SECONDS), max_size=20),
)
def test_calls_are_rated_in_bulk_as_one_by_one(found: dict[str, Tariff], calls: list[tuple[str, int]]) -> None:
    """
    Each of many calls costs what the tariff of the longest prefix says, to the millionth, and None without a prefix.
    """
    deck = RateDeck(Rate(prefix, tariff) for prefix, tariff in found.items())
    one_by_one = [(deck.find(number), seconds) for number, seconds in calls]
    expected = [None if rate is None else rate.tariff.cost(seconds).micros for rate, seconds in one_by_one]

    assert expected == list(deck.costs(calls))
    assert expected == list(deck.costs(iter(calls)))


def test_bulk_takes_no_more_calls_than_are_asked_for() -> None:
    """
    Calls are read one by one, so that there may be any number of them.
    """
    deck = RateDeck([Rate("40", Tariff(price=1, per=1))])
    endless = (("40", seconds) for seconds in itertools.count(1))

    assert list(itertools.islice(deck.costs(endless), 2)) == [1_000_000, 2_000_000]
    assert next(endless) == ("40", 3)


@pytest.mark.parametrize("seconds", [-1, MAX_SECONDS + 1, 1.5, True, "60", None])
@pytest.mark.parametrize("number", ["40", "49"])
def test_bulk_refuses_what_is_no_duration(number: str, seconds: Any) -> None:  # noqa: ANN401
    """
    Calls before it have been rated by then, and whether the number has a rate does not matter.
    """
    costs = RateDeck([Rate("40", Tariff(price=1))]).costs([("40", 60), (number, seconds)])

    assert next(costs) == 1_000_000
    with pytest.raises(InvalidValueError) as refused:
        next(costs)
    assert refused.value.name == "seconds"


def test_no_call_costs_more_than_an_amount_can_be() -> None:
    """
    What does not fit into an amount, or would mean Unlimited, is refused, one by one as in bulk; what just fits is not.
    """
    most = UNLIMITED.micros - 1
    tariff = Tariff(price=Credit.from_micros(1), per=1, connection_fee=Credit.from_micros(most - 5))
    deck = RateDeck([Rate("40", tariff)])

    assert [most] == list(deck.costs([("40", 5)])) == [tariff.cost(5).micros]
    for seconds in (6, 7):
        with pytest.raises(AmountError, match="smaller than"):
            tariff.cost(seconds)
        with pytest.raises(AmountError, match="smaller than"):
            list(deck.costs([("40", seconds)]))
    assert tariff.max_duration(Credit.from_micros(most)) == 5


@given(st.dictionaries(DIGITS, tariffs(), min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_decks_are_equal_where_they_say_the_same(found: dict[str, Tariff], chance: Random) -> None:
    """
    The order of the rates does not count; a rate, the name and the beginning do.
    """
    rates = [Rate(prefix, tariff) for prefix, tariff in found.items()]
    deck, others = RateDeck(rates), chance.sample(rates, len(rates))
    begun = datetime(2026, 1, 1, tzinfo=UTC)

    assert deck == RateDeck(others)
    assert hash(deck) == hash(RateDeck(others))
    for other in (
        RateDeck(others, name="retail"),
        RateDeck(others, valid_from=begun),
        RateDeck([*others, Rate("9", others[0].tariff)]),
        RateDeck([attrs.evolve(others[0], description="Elsewhere"), *others[1:]]),
        "a deck",
    ):
        assert deck != other


@pytest.mark.parametrize(
    "make, name",
    [
        (lambda: Rate("", Tariff(price=1)), "prefix"),
        (lambda: Rate("+40", Tariff(price=1)), "prefix"),
        (lambda: Rate("\u0664\u0660", Tariff(price=1)), "prefix"),
        (lambda: Rate("4" * 33, Tariff(price=1)), "prefix"),
        (lambda: Rate("40", Tariff(price=1), "a\n"), "description"),
        (lambda: RateDeck([]), "rates"),
        (lambda: RateDeck([Rate("40", Tariff(price=1)), Rate("40", Tariff(price=2))]), "rates"),
        (lambda: RateDeck([Rate("40", Tariff(price=1))], name=""), "name"),
        (lambda: RateDeck([Rate("40", Tariff(price=1))], valid_from=datetime(2026, 1, 1)), "moment"),  # noqa: DTZ001
    ],
)
def test_what_is_no_deck_is_refused(make: Any, name: str) -> None:  # noqa: ANN401
    """
    A deck has rates, each with digits of its own as prefix, a name, and a moment with its time zone.
    """
    with pytest.raises(InvalidValueError) as refused:
        make()

    assert refused.value.name == name


def test_a_deck_knows_from_when_on_it_holds() -> None:
    """
    A deck keeps its name and the moment that it was given.
    """
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    deck = RateDeck([Rate("40", Tariff(price=1))], name="retail", valid_from=begun)

    assert (deck.name, deck.valid_from) == ("retail", begun)
    assert repr(deck) == "<RateDeck retail from 2026-01-01T00:00:00+00:00 on, rates: 1>"
    assert repr(RateDeck(deck.rates)) == "<RateDeck default, rates: 1>"
