"""
Check digits: what others compute, we compute, and what a scheme promises to notice, it notices.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Callable
from typing import Final, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import damm, luhn, verhoeff
from stdnum.iso7064 import mod_37_36

from voipcard.core.check_digits import (
    ALPHANUMERIC,
    DIGITS,
    CheckDigit,
    check_alphabet,
    check_character,
    check_characters,
    count_payloads,
    is_valid,
)
from voipcard.errors import InvalidValueError

ORACLES: Final[dict[CheckDigit, Callable[[str], str]]] = {
    "verhoeff": verhoeff.calc_check_digit,
    "luhn": luhn.calc_check_digit,
    "damm": damm.calc_check_digit,
    "mod37_36": mod_37_36.calc_check_digit,
}
SCHEMES: Final = tuple(ORACLES)

FULL_WIDTH: Final = "".join(chr(ord("\N{FULLWIDTH DIGIT ZERO}") + DIGITS.index(digit)) for digit in "2363")

schemes: Final = st.sampled_from(SCHEMES)


@st.composite
def payloads(draw: st.DrawFn) -> tuple[CheckDigit, list[str]]:
    """
    Make payloads of one width for one scheme.
    """
    scheme = draw(schemes)
    width = draw(st.integers(1, 40))
    text = st.text(check_alphabet(scheme), min_size=width, max_size=width)

    return scheme, draw(st.lists(text, max_size=20))


def with_check_character(scheme: CheckDigit, payload: str) -> str:
    """
    Write a payload with its check character behind it.
    """
    return payload + check_character(scheme, payload)


@pytest.mark.parametrize(
    "scheme, payload, expected",
    [
        ("verhoeff", "236", "3"),
        ("luhn", "7992739871", "3"),
        ("damm", "572", "4"),
        ("mod37_36", "A12425GABC1234002", "M"),
    ],
)
def test_published_vectors(scheme: CheckDigit, payload: str, expected: str) -> None:
    """
    The examples of the publications come out.
    """
    assert expected == check_character(scheme, payload)


@given(payloads())
def test_check_characters_are_those_of_python_stdnum(case: tuple[CheckDigit, list[str]]) -> None:
    """
    Another implementation, which shares no code with ours, gives the same characters.
    """
    scheme, texts = case

    assert [ORACLES[scheme](text) for text in texts] == [check_character(scheme, text) for text in texts]


@given(payloads())
def test_many_at_once_are_as_one_by_one(case: tuple[CheckDigit, list[str]]) -> None:
    """
    The columns give what the single texts give.
    """
    scheme, texts = case
    one_by_one = "".join(check_character(scheme, text) for text in texts)
    width = len(texts[0]) if texts else 1

    assert one_by_one == check_characters(scheme, "".join(texts).encode(), width).decode()


@given(payloads())
def test_a_text_with_its_check_character_is_valid_and_with_no_other(case: tuple[CheckDigit, list[str]]) -> None:
    """
    Of all characters that may stand last, exactly one makes a text valid.
    """
    scheme, texts = case
    for text in texts:
        valid = [last for last in check_alphabet(scheme) if is_valid(scheme, text + last)]

        assert [check_character(scheme, text)] == valid


@pytest.mark.parametrize("scheme", SCHEMES)
def test_every_single_error_is_noticed(scheme: CheckDigit) -> None:
    """
    A text of which one character, the check character included, was replaced is never valid.

    Seventeen places are more than twice the eight after which Verhoeff's permutations come again.
    """
    alphabet = check_alphabet(scheme)
    missed = []
    for base in (alphabet[0] * 16, alphabet[-1] * 16, (alphabet * 2)[3:19], (alphabet * 2)[7:23][::-1]):
        text = with_check_character(scheme, base)
        for at, other in itertools.product(range(len(text)), alphabet):
            wrong = text[:at] + other + text[at + 1 :]
            if wrong != text and is_valid(scheme, wrong):
                missed.append((text, wrong))

    assert missed == []


@pytest.mark.parametrize("scheme", ["verhoeff", "damm"])
def test_every_swap_of_neighbors_is_noticed(scheme: CheckDigit) -> None:
    """
    For every pair of digits, at every place and after every state, Verhoeff and Damm notice that they were swapped.

    From whichever side a scheme reads, the ten digits beside the pair lead to ten different states, and what follows
    leads from different states to different ones, so that what is shown here holds for all texts.
    """
    missed = []
    for beside, place, (left, right) in itertools.product(DIGITS, range(9), itertools.permutations(DIGITS, 2)):
        tail = beside + "0" * place
        text = with_check_character(scheme, beside + left + right + tail)
        if is_valid(scheme, beside + right + left + tail + text[-1]):
            missed.append(text)
    for before, left in itertools.product(DIGITS, repeat=2):
        text = with_check_character(scheme, before + left)
        if text[-1] != left and is_valid(scheme, before + text[-1] + left):
            missed.append(text)

    assert missed == []


def test_luhn_misses_the_swap_of_0_and_9() -> None:
    """
    The check above can fail: Luhn's well-known weakness is there.
    """
    assert check_character("luhn", "109") == check_character("luhn", "190")


@given(schemes, st.text(max_size=10))
def test_what_a_scheme_cannot_read_is_refused_and_never_valid(scheme: CheckDigit, text: str) -> None:
    """
    Only the characters of the scheme are read, whatever else Unicode takes for a digit.
    """
    if set(text) <= set(check_alphabet(scheme)):
        text += "é"

    assert not is_valid(scheme, text)
    with pytest.raises(InvalidValueError) as caught:
        check_character(scheme, text)
    assert f"payload has characters that {scheme} cannot read" == str(caught.value)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("text", ["٢٣٦٣", FULL_WIDTH, "²³⁶³", "23_63", "2363\n", " 2363", "+2363", "a", "é"])
def test_lookalikes_of_digits_are_never_valid(scheme: CheckDigit, text: str) -> None:
    """
    What `int` and `isdigit` would accept is not accepted.
    """
    assert not is_valid(scheme, text)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_an_empty_text_is_not_valid(scheme: CheckDigit) -> None:
    """
    Where a check character is wanted there has to be one.
    """
    assert not is_valid(scheme, "")


@given(st.text())
def test_without_a_scheme_everything_is_valid(text: str) -> None:
    """
    `none` adds nothing and refuses nothing.
    """
    assert check_alphabet("none") == check_character("none", text) == ""
    assert is_valid("none", text)


@pytest.mark.parametrize(
    "call",
    [
        check_alphabet,
        lambda scheme: check_character(scheme, "1"),
        lambda scheme: is_valid(scheme, "1"),
        lambda scheme: check_characters(scheme, b"1", 1),
        lambda scheme: count_payloads(scheme, ["1"], "1"),
    ],
)
def test_an_unknown_scheme_is_refused(call: Callable[[CheckDigit], object]) -> None:
    """
    A scheme that does not exist is named as the fault.
    """
    with pytest.raises(InvalidValueError, match=r"^check_digit has to be verhoeff, luhn, damm, mod37_36 or none$"):
        call(cast("CheckDigit", "crc32"))


@given(
    schemes,
    st.lists(st.text(DIGITS, min_size=1, max_size=4).map(lambda text: "".join(set(text))), max_size=5),
    st.text(string.ascii_uppercase + DIGITS, max_size=5),
)
def test_counting_is_as_listing(scheme: CheckDigit, places: list[str], accepted: str) -> None:
    """
    The number of payloads is what one gets by trying all of them.
    """
    listed = ["".join(payload) for payload in itertools.product(*places)]
    expected = sum(check_character(scheme, payload) in set(accepted) for payload in listed)

    assert expected == count_payloads(scheme, places, accepted)


def test_alphabets() -> None:
    """
    Three schemes are for digits, one for digits and letters.
    """
    expected = {"verhoeff": DIGITS, "luhn": DIGITS, "damm": DIGITS, "mod37_36": ALPHANUMERIC}

    assert expected == {scheme: check_alphabet(scheme) for scheme in SCHEMES}
