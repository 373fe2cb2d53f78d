"""
PINs: which are weak, that exactly the others are drawn, and that each of them is as likely as the next.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import os
from collections import Counter
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voipcard.core.drawing import RandomSource, draw_characters
from voipcard.core.pins import (
    NO_PIN,
    PART_OF_CODE,
    PinFormat,
    check_pin,
    draw_pins,
    parts_of_code,
    weak_count,
    weakness,
)
from voipcard.errors import InvalidPinError, InvalidValueError, WeakPinError

LENGTHS: Final = range(4, 13)

WEAK_COUNTS: Final = {
    4: 1_442,
    5: 1_700,
    6: 87_791,
    7: 13_560,
    8: 226_206,
    9: 115_672,
    10: 342_598,
    11: 1_175_376,
    12: 3_181_716,
}

# Nick Berry, "PIN analysis", DataGenetics 2012.
MOST_FREQUENT: Final = (
    "1234 1111 0000 1212 7777 1004 2000 4444 2222 6969 9999 3333 5555 6666 1122 1313 8888 4321 2001 1010"
)

pins: Final = st.text("0123456789", min_size=4, max_size=12)


def seeded(seed: str) -> RandomSource:
    """
    Make a source that gives the same bytes in each run, and never the same bytes twice.
    """
    calls = itertools.count()

    return lambda count: hashlib.shake_128(f"{seed} {next(calls)}".encode()).digest(count)


def chi_square(counts: Counter[str], cells: int) -> float:
    """
    Measure how far counts are from being all alike.
    """
    expected = counts.total() / cells

    return sum((count - expected) ** 2 for count in [*counts.values(), *[0] * (cells - len(counts))]) / expected


@pytest.mark.parametrize("pin", MOST_FREQUENT.split())
def test_the_twenty_most_frequent_pins_are_weak(pin: str) -> None:
    """
    More than a quarter of all people chose one of these.
    """
    assert weakness(pin) is not None


@pytest.mark.parametrize("pin", ["8068", "8093", "6835", "9629", "68205", "802746", "5074296", "83016495"])
def test_rare_pins_are_not_weak(pin: str) -> None:
    """
    What hardly anybody chose, or has no reason to choose, can be drawn.
    """
    assert weakness(pin) is None


@pytest.mark.parametrize(
    "reason, examples",
    [
        ("repeated", "0000 1212 123123 121212 12121 1231231 12341234 123451234512"),
        ("palindrome", "1221 12321 123321 1234321 902209"),
        ("pairs", "1122 112233 111222 99883322 111222333 1111122222"),
        ("almost_repeated", "1112 1211 2111 777779 888888888887"),
        ("sequence", "1234 4321 8901 1357 8642 1470 0741 9630 3456 345678 987654321098 7890123"),
        ("year", "1900 1984 2025 2099"),
        ("date", "2412 1224 0229 2902 311299 123199 991231 24121990 12241990 19901224"),
        ("keypad", "2580 0852 1397 7931 2684 3698 147258 159753 789456123 14725 78945612"),
    ],
)
def test_every_family_is_named(reason: str, examples: str) -> None:
    """
    The reason is the family that a person would see first.
    """
    chosen = examples.split()

    assert dict.fromkeys(chosen, reason) == {pin: weakness(pin) for pin in chosen}


@pytest.mark.parametrize("pin", ["3002", "0230", "0431", "3213", "1899", "2132", "310499"])
def test_what_only_looks_like_a_date_or_year_is_none(pin: str) -> None:
    """
    February has 29 days at most, April 30, and the years are those of people who are alive or of their children.
    """
    assert weakness(pin) is None


@given(pins)
def test_patterns_are_what_they_are_said_to_be(pin: str) -> None:
    """
    A PIN is called repeated, a palindrome or pairs if and only if it is, by another way of looking.
    """
    length = len(pin)
    blocks = {size: [pin[at : at + size] for at in range(0, length, size)] for size in range(1, length)}
    repeated = any((pin[:size] * length)[:length] == pin for size in range(1, length // 2 + 1))
    pairs = any(length % size == 0 and all(len(set(block)) == 1 for block in blocks[size]) for size in range(2, length))
    expected = "repeated" if repeated else "palindrome" if pin == pin[::-1] else "pairs" if pairs else None
    reason = weakness(pin)

    assert expected == (reason if reason in {"repeated", "palindrome", "pairs"} else None)


@given(st.text("01", min_size=4, max_size=12))
def test_patterns_of_few_digits_are_what_they_are_said_to_be(pin: str) -> None:
    """
    The same where patterns are common.
    """
    test_patterns_are_what_they_are_said_to_be.hypothesis.inner_test(pin)  # type: ignore[attr-defined]


@given(st.dates(dt.date(1900, 1, 1), dt.date(2099, 12, 31)))
def test_every_day_of_two_centuries_is_weak(day: dt.date) -> None:
    """
    A day is weak however it is written.
    """
    written = f"{day:%d%m %m%d %d%m%y %m%d%y %y%m%d %d%m%Y %m%d%Y %Y%m%d %Y}".split()

    assert all(weakness(pin) for pin in written)


@given(pins, st.text("0123456789", max_size=12))
def test_the_head_and_the_tail_of_the_code_are_weak(pin: str, rest: str) -> None:
    """
    A PIN that can be read off its code protects nothing.
    """
    assert weakness(pin, pin + rest) == weakness(pin, rest + pin) == "part_of_code"


def test_no_pin_is_not_weak() -> None:
    """
    Where there is no PIN there is no weak one.
    """
    assert weakness("") is None
    assert weakness("", "7700") is None
    assert weak_count(0) == 0


@pytest.mark.parametrize("length", [4, 5])
def test_the_count_is_what_trying_all_gives(length: int) -> None:
    """
    The number of weak PINs is exact.
    """
    counted = sum(weakness("".join(pin)) is not None for pin in itertools.product("0123456789", repeat=length))

    assert counted == weak_count(length)


@pytest.mark.parametrize("length", LENGTHS)
def test_the_count_is_the_documented_one(length: int) -> None:
    """
    The number of weak PINs of each length changes on purpose only.
    """
    assert WEAK_COUNTS[length] == weak_count(length)
    assert 10**length - WEAK_COUNTS[length] == PinFormat(length).capacity


@pytest.mark.parametrize("length", [-4, 1, 3, 13])
def test_other_lengths_are_refused(length: int) -> None:
    """
    A PIN has 4 to 12 digits, or there is none.
    """
    with pytest.raises(InvalidValueError, match=r"^length of a PIN has to be 4 to 12, or 0 for none$"):
        PinFormat(length)


def test_without_a_pin_there_is_nothing_to_guess() -> None:
    """
    No PIN is one possibility, and is drawn as an empty text.
    """
    assert PinFormat(0) == NO_PIN
    assert NO_PIN.capacity == 1
    assert draw_pins(["1", "2"], NO_PIN, os.urandom) == ["", ""]


@given(st.sampled_from(LENGTHS), st.lists(st.text("0123456789", min_size=4, max_size=16), max_size=50), st.text())
def test_every_code_gets_a_pin_that_is_not_weak(length: int, codes: list[str], seed: str) -> None:
    """
    Drawn PINs have the length that was asked for, are made of digits, and are never weak for their code.
    """
    drawn = draw_pins(codes, PinFormat(length), seeded(seed))

    assert [length] * len(codes) == [len(pin) for pin in drawn]
    assert set("".join(drawn)) <= set("0123456789")
    assert [None] * len(codes) == [weakness(pin, code) for pin, code in zip(drawn, codes, strict=True)]


def test_exactly_the_pins_that_are_not_weak_are_drawn_alike() -> None:
    """
    Each of the 8,558 strong PINs of four digits comes up, no other does, and none is favored.

    The limit is the mean of the chi-square distribution plus four standard deviations.
    """
    counts = Counter(draw_pins(["x"] * 400_000, PinFormat(4), seeded("alike")))
    strong = {pin for pin in map("".join, itertools.product("0123456789", repeat=4)) if weakness(pin) is None}

    assert strong == set(counts)
    assert chi_square(counts, len(strong)) < len(strong) + 4 * (2 * len(strong)) ** 0.5


def test_a_pin_in_its_code_is_only_drawn_in_the_middle() -> None:
    """
    Head and tail of the code are left out and nothing else is.
    """
    code = "806883015926"
    drawn = Counter(draw_pins([code] * 300_000, PinFormat(4), seeded("middle")))

    assert drawn["8068"] == drawn["5926"] == 0
    assert min(drawn["0688"], drawn["8301"], drawn["0159"]) > 0


def test_pins_of_more_than_one_chunk_stay_in_the_order_of_drawing() -> None:
    """
    The same bytes give the same PINs.
    """
    codes = [f"{number:013}" for number in range(40_000)]
    first, second = (draw_pins(codes, PinFormat(6), seeded("again")) for _ in range(2))

    assert first == second
    assert len(set(first)) > 35_000


@given(st.sampled_from(["01", "0123456789", "23456789ABCDEFGHJKMNPQRSTUVWXYZ", "abc"]), st.integers(0, 1000), st.text())
def test_as_many_characters_as_asked_for_are_drawn(alphabet: str, count: int, seed: str) -> None:
    """
    Nothing but the alphabet is drawn, in the number that was asked for.
    """
    drawn = draw_characters(alphabet, count, seeded(seed)).decode()

    assert count == len(drawn)
    assert set(drawn) <= set(alphabet)


def test_every_byte_stands_for_a_character_equally_often() -> None:
    """
    Of the 256 bytes, as many stand for each character, and the rest is thrown away.
    """
    every_byte = bytes(range(256))
    counts = Counter(draw_characters("0123456789", 250, lambda _: every_byte).decode())

    assert dict.fromkeys("0123456789", 25) == counts


@pytest.mark.parametrize("text, pin", [("8068", "8068"), (" 80-68.", "8068"), ("", ""), ("802746", "802746")])
def test_a_chosen_pin_is_given_back_as_it_is_stored(text: str, pin: str) -> None:
    """
    Separators are dropped, and no PIN is fine.
    """
    assert pin == check_pin(text, "7700183422151", allow_weak=False)


@pytest.mark.parametrize("pin, reason", [("1234", "sequence"), ("12-34", "sequence"), ("1990", "year")])
def test_a_weak_pin_is_refused_unless_allowed(pin: str, reason: str) -> None:
    """
    The policy decides about weak PINs, and the reason is told.
    """
    with pytest.raises(WeakPinError) as caught:
        check_pin(pin, "7700183422151", allow_weak=False)
    assert ("pin", reason, 0) == (caught.value.name, caught.value.reason, caught.value.row)
    assert pin.replace("-", "") == check_pin(pin, "7700183422151", allow_weak=True)


@pytest.mark.parametrize("pin", ["7700", "2151", "77 00"])
@pytest.mark.parametrize("allow_weak", [True, False])
def test_a_part_of_the_code_is_refused_always(pin: str, allow_weak: bool) -> None:  # noqa: FBT001 - a parameter of a test
    """
    Whatever the policy, no code begins or ends with its PIN.
    """
    with pytest.raises(WeakPinError) as caught:
        check_pin(pin, "7700183422151", allow_weak=allow_weak)
    assert caught.value.reason == PART_OF_CODE


@pytest.mark.parametrize("pin", ["123", "1234567890123", "٢٣٦٣", "12e4", "1_000", "²³⁶³", "+1234"])
@pytest.mark.parametrize("allow_weak", [True, False])
def test_what_is_no_pin_is_refused_always(pin: str, allow_weak: bool) -> None:  # noqa: FBT001 - a parameter of a test
    """
    Nothing but 4 to 12 ASCII digits is a PIN, whatever the policy.
    """
    with pytest.raises(InvalidPinError):
        check_pin(pin, "", allow_weak=allow_weak)


@given(st.text("0123456789a#", max_size=30), pins)
def test_the_parts_of_a_code_are_the_pins_it_gives_away(code: str, pin: str) -> None:
    """
    Exactly the PINs that are weak for their code are among its parts, which are few enough to try them all.
    """
    parts = parts_of_code(code)

    assert (pin in parts) == (weakness(pin, code) == PART_OF_CODE)
    assert all(weakness(part, code) == PART_OF_CODE for part in parts)
    assert len(parts) <= 18
