"""
Credit: exact to the millionth, Unlimited above all else, and whatever is no amount is refused.
"""

from __future__ import annotations

import copy
import operator
import pickle
import re
from collections.abc import Callable
from decimal import ROUND_UP, Context, Decimal, localcontext
from fractions import Fraction
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voipcard.core.credit import UNLIMITED, Credit
from voipcard.errors import AmountError, AmountTypeError

LIMIT: Final = 2**63 - 2
NO_NUMBERS: Final = (
    "| |-|+|.|-.|1.2.3|1,50|1_000|1 000|1e3|1E-2|0x10|--1|+-1|12€|12.50 EUR|1\n2|none|u|∞|NaN|sNaN"
    "|inf|Infinity|-Infinity|١٢|１２.５|१२|½|²"
)
EDGES: Final = [0, 1, 10, 999_999, 1_000_000, 1_000_001, 12_500_000, LIMIT - 1, LIMIT]

micros: Final = st.one_of(st.sampled_from(EDGES + [-edge for edge in EDGES]), st.integers(-LIMIT, LIMIT))
finite: Final = micros.map(Credit.from_micros)
credits_: Final = st.one_of(finite, st.just(UNLIMITED))


def attempt(make: Callable[[], Credit]) -> Credit | AmountError:
    """
    Give what is made, or why it is refused.
    """
    try:
        return make()
    except AmountError as error:
        return error


def exact(credit: Credit) -> Fraction:
    """
    Give the amount as a fraction of the currency's unit.
    """
    return Fraction(credit.micros, 1_000_000)


def spelled(number: int, zeros: int = 0) -> str:
    """
    Write millionths as people write them, with more zeros before and behind than necessary.
    """
    digits = str(abs(number)).zfill(7)

    return f"{'-' * (number < 0)}{'0' * zeros}{digits[:-6]}.{digits[-6:]}{'0' * zeros}"


@given(micros, st.integers(0, 40), st.sampled_from(["", " ", "\n", "\t  "]))
def test_text_means_exactly_what_it_says(number: int, zeros: int, space: str) -> None:
    """
    No millionth is lost or made up, however many zeros are written.
    """
    text = spelled(number, zeros)

    assert Fraction(text) == exact(Credit(space + text + space))


@given(st.decimals() | st.decimals(places=6) | micros.map(lambda number: Decimal(number).scaleb(-6)))
@example(Decimal("-0"))
@example(Decimal("0E+1000000"))
@example(Decimal("0E-1000000"))
@example(Decimal("12.50000000000000000000000000000000000000"))
def test_a_decimal_is_taken_exactly_or_refused(value: Decimal) -> None:
    """
    There is no rounding: a decimal number is the amount, or there is no amount.
    """
    credit = attempt(lambda: Credit(value))

    if isinstance(credit, AmountError):
        assert not value.is_finite() or Fraction(value) % Fraction(1, 10**6) or abs(value) > Decimal(LIMIT).scaleb(-6)
    else:
        assert Fraction(value) == exact(credit)


@given(st.integers())
def test_a_whole_number_is_taken_exactly_or_refused(value: int) -> None:
    """
    Whole numbers are whole units.
    """
    credit = attempt(lambda: Credit(value))

    if isinstance(credit, AmountError):
        assert abs(value) * 10**6 > LIMIT
        assert credit.reason == "too_large"
    else:
        assert Fraction(value) == exact(credit)


@given(st.text() | st.text(".+-_ eE0123456789١２", max_size=12))
@example("1_000")
@example("１２")
@example(".")
def test_any_text_is_an_amount_or_refused(text: str) -> None:
    """
    What is taken is what a fraction of the same text is, and it is plain: digits of ASCII and one point.
    """
    credit = attempt(lambda: Credit(text))

    if isinstance(credit, AmountError):
        assert credit.reason in {"not_a_number", "too_precise", "too_large"}
    elif credit.is_unlimited:
        assert text.strip().lower() == "unlimited"
    else:
        assert Fraction(text.strip().rstrip(".")) == exact(credit)
        assert set(text.strip()) <= set("+-.0123456789")


@pytest.mark.parametrize("text", ["+12.5", "12.50", "012.5", " 12.500000 ", "12.5000000000"])
def test_one_amount_is_written_in_many_ways(text: str) -> None:
    """
    Signs, zeros and outer spaces make no difference.
    """
    assert Credit(Decimal("12.5")) == Credit(text)


@pytest.mark.parametrize("text, number", [(".5", 500_000), ("5.", 5_000_000), ("-.000001", -1), ("-0", 0)])
def test_either_side_of_the_point_may_be_empty(text: str, number: int) -> None:
    """
    A point needs digits on one side only.
    """
    assert number == Credit(text).micros


@pytest.mark.parametrize("text", ["unlimited", "Unlimited", " UNLIMITED\n"])
def test_unlimited_can_be_written(text: str) -> None:
    """
    Unlimited is a value that people can type.
    """
    assert Credit(text) == UNLIMITED
    assert Credit(text).is_unlimited


@given(finite, finite)
def test_sums_and_differences_are_exact_or_refused(left: Credit, right: Credit) -> None:
    """
    Adding and subtracting give what fractions give; what 64 bits cannot hold is refused.
    """
    oracles: list[Callable[[Any, Any], Any]] = [operator.add, operator.sub]
    for combine in oracles:
        expected = combine(exact(left), exact(right))
        if abs(expected) * 10**6 > LIMIT:
            with pytest.raises(AmountError) as caught:
                combine(left, right)
            assert caught.value.reason == "too_large"
        else:
            assert expected == exact(combine(left, right))
    assert -exact(left) == exact(-left)


@given(credits_, credits_)
def test_amounts_are_ordered_as_numbers_with_unlimited_above(left: Credit, right: Credit) -> None:
    """
    Every comparison is that of the numbers, where Unlimited is greater than all of them.
    """
    numbers = [(1, Fraction(0)) if credit.is_unlimited else (0, exact(credit)) for credit in (left, right)]
    comparisons: list[Callable[[Any, Any], bool]] = [
        operator.lt,
        operator.le,
        operator.eq,
        operator.ne,
        operator.ge,
        operator.gt,
    ]

    assert [compare(*numbers) for compare in comparisons] == [compare(left, right) for compare in comparisons]
    assert (left == right) <= (hash(left) == hash(right))
    assert (left.micros < right.micros) == (left < right)


@given(finite)
def test_nothing_changes_unlimited(credit: Credit) -> None:
    """
    Adding to and taking from Unlimited gives Unlimited.
    """
    assert UNLIMITED == credit + UNLIMITED == UNLIMITED + credit == UNLIMITED - credit == UNLIMITED + UNLIMITED


@given(credits_)
def test_unlimited_cannot_be_taken_away(credit: Credit) -> None:
    """
    There is no less than nothing without end.
    """
    with pytest.raises(AmountError) as caught:
        operator.sub(credit, UNLIMITED)
    assert caught.value.reason == "not_a_number"
    with pytest.raises(AmountError):
        operator.neg(UNLIMITED)


@given(credits_)
def test_what_is_written_can_be_read(credit: Credit) -> None:
    """
    The text and the `repr` of an amount mean the amount.
    """
    assert credit == Credit(str(credit))
    assert credit == eval(repr(credit), {"Credit": Credit, "UNLIMITED": UNLIMITED})  # noqa: S307 - of our own making


@given(finite)
def test_amounts_are_written_with_two_to_six_decimal_places(credit: Credit) -> None:
    """
    The text is a plain number, without an exponent and without zeros that say nothing.
    """
    text = str(credit)

    assert re.fullmatch(r"-?(?:0|[1-9][0-9]*)\.[0-9]{2}(?:[0-9]{0,3}[1-9])?", text)
    assert exact(credit) == Fraction(text)


@given(finite)
def test_the_decimal_is_exact(credit: Credit) -> None:
    """
    Going to a `Decimal` and back changes nothing.
    """
    assert exact(credit) == Fraction(credit.to_decimal())
    assert credit == Credit(credit.to_decimal())


def test_unlimited_is_no_decimal() -> None:
    """
    No number stands for Unlimited.
    """
    with pytest.raises(AmountError) as caught:
        UNLIMITED.to_decimal()
    assert caught.value.reason == "not_a_number"


@given(credits_, st.integers(0, pickle.HIGHEST_PROTOCOL))
def test_copies_are_equal(credit: Credit, protocol: int) -> None:
    """
    Amounts survive pickling and copying.
    """
    copies = [pickle.loads(pickle.dumps(credit, protocol)), copy.copy(credit), copy.deepcopy(credit), Credit(credit)]  # noqa: S301

    assert [credit] * 4 == copies
    assert {hash(credit)} == set(map(hash, copies))


@given(credits_)
def test_an_amount_cannot_be_changed(credit: Credit) -> None:
    """
    Amounts are values: neither their number nor anything else about them can be set or deleted.
    """
    before = credit.micros
    with pytest.raises(AttributeError):
        credit.micros = 1
    with pytest.raises(AttributeError):
        del credit.micros
    with pytest.raises(AttributeError):
        credit.color = "red"

    assert before == credit.micros
    assert not hasattr(credit, "__dict__")


@given(credits_)
def test_an_amount_is_only_like_another_amount(credit: Credit) -> None:
    """
    Numbers are no amounts: they are not equal to one, and neither compared nor added.
    """
    others: list[Any] = [credit.micros, Decimal(1), "1.00", None]
    for other in others:
        assert credit != other
        for combine in (operator.lt, operator.add, operator.sub):
            with pytest.raises(TypeError):
                combine(credit, other)


@given(credits_)
def test_only_zero_is_false(credit: Credit) -> None:
    """
    An amount is true unless it is zero.
    """
    assert (credit.micros != 0) == bool(credit)


def test_nothing_is_zero() -> None:
    """
    An amount that nobody gave is zero.
    """
    assert Credit(0) == Credit()
    assert str(Credit()) == "0.00"


@pytest.mark.parametrize(
    "value", [0.1, 10.0, float("nan"), float("inf"), True, False, None, b"1", 1j, Fraction(1, 2), [1], (1,), Credit]
)
def test_what_is_no_amount_by_its_type_is_refused(value: Any) -> None:  # noqa: ANN401 - anything at all
    """
    Floats, bools and other things are refused with a `TypeError` that names the type, not the value.
    """
    with pytest.raises(AmountTypeError) as caught:
        Credit(value)
    assert type(value).__name__ == caught.value.given
    assert isinstance(caught.value, TypeError)


@pytest.mark.parametrize(
    "value",
    [
        *NO_NUMBERS.split("|"),
        *(Decimal(name) for name in ("NaN", "-NaN", "sNaN", "Infinity", "-Infinity")),
    ],
)
def test_what_is_no_number_is_refused(value: Decimal | str) -> None:
    """
    Only a finite decimal number in ASCII digits is an amount.
    """
    with pytest.raises(AmountError) as caught:
        Credit(value)
    assert caught.value.reason == "not_a_number"
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    "value",
    ["0.0000001", "1.0000001", "-0.1234567", f"0.{1:05000}", Decimal("1E-7"), Decimal("1E-1000000")],
    ids="{!s:.20}".format,
)
def test_what_is_finer_than_a_millionth_is_refused(value: Decimal | str) -> None:
    """
    Nothing is rounded, however little it would be.
    """
    with pytest.raises(AmountError) as caught:
        Credit(value)
    assert caught.value.reason == "too_precise"


@pytest.mark.parametrize(
    "value",
    [
        *("9223372036854.775807", "-9223372036854.775807", "9" * 5000, "9" * 5000 + ".5"),
        *(Decimal("1E+13"), Decimal("1E+1000000"), Decimal("-1E+999999999"), Decimal("9.9E+30")),
        *(9_223_372_036_855, -9_223_372_036_855, 10**4000),
    ],
    ids="{!s:.20}".format,
)
def test_what_is_too_large_is_refused(value: Decimal | int | str) -> None:
    """
    An amount fits into 64 bits and is not Unlimited by accident. Huge numbers are refused as quickly as others.
    """
    with pytest.raises(AmountError) as caught:
        Credit(value)
    assert caught.value.reason == "too_large"


@given(st.integers())
@example(LIMIT + 1)
@example(LIMIT + 2)
@example(-LIMIT - 1)
def test_millionths_are_kept_or_refused(number: int) -> None:
    """
    Millionths have to fit into 64 bits, the largest of which is Unlimited.
    """
    credit = attempt(lambda: Credit.from_micros(number))

    if isinstance(credit, AmountError):
        assert not -LIMIT <= number <= LIMIT + 1
        assert credit.reason == "too_large"
    else:
        assert number == credit.micros
        assert (number == LIMIT + 1) == credit.is_unlimited


@pytest.mark.parametrize("number", [1.5, 2.0, True, "1", None, Decimal(1)])
def test_millionths_are_whole_numbers(number: Any) -> None:  # noqa: ANN401 - anything at all
    """
    There is no part of a millionth: what is no whole number is refused.
    """
    with pytest.raises(AmountTypeError) as caught:
        Credit.from_micros(number)
    assert type(number).__name__ == caught.value.given


@given(micros)
def test_the_callers_decimal_context_does_not_matter(number: int) -> None:
    """
    Who rounds to two digits in the rest of a program still gets exact amounts, and finds the own context as it was.
    """
    with localcontext(Context(prec=2, rounding=ROUND_UP)) as context:
        credit = Credit(Decimal(number) * Decimal("0.000001") if abs(number) < 100 else spelled(number))
        decimal = credit.to_decimal()
        flags = [flag for flag, raised in context.flags.items() if raised]

    assert number == credit.micros
    assert Fraction(number, 10**6) == Fraction(decimal)
    assert abs(number) < 100 or flags == []
