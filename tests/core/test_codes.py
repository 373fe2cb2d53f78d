"""
Codes: what fits a format is what can be drawn, each as likely as the next, and the odds of guessing are the true ones.
"""

from __future__ import annotations

import ast
import hashlib
import itertools
import math
import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from stdnum import damm, luhn, verhoeff
from stdnum.iso7064 import mod_37_36

import voipcard.core.codes
from voipcard.core.check_digits import ALPHANUMERIC, CheckDigit, check_character
from voipcard.core.codes import (
    DIGITS,
    UNAMBIGUOUS,
    CodeFormat,
    draw_codes,
    plan_code_length,
    refuse_crowded,
    refuse_guessable,
)
from voipcard.core.drawing import RandomSource, draw_text
from voipcard.core.pins import PinFormat
from voipcard.core.policy import Policy
from voipcard.errors import CrowdedError, GuessableError, InvalidCodeError, InvalidValueError

ORACLES: Final[dict[CheckDigit, Callable[[str], bool]]] = {
    "verhoeff": verhoeff.is_valid,
    "luhn": luhn.is_valid,
    "damm": damm.is_valid,
    "mod37_36": mod_37_36.is_valid,
    "none": lambda _: True,
}
PRINTABLE: Final = "".join(chr(number) for number in range(ord("!"), ord("~") + 1) if chr(number) not in "-.+")
PACKAGE: Final = Path(voipcard.core.codes.__file__).parents[1]


def seeded(seed: str) -> RandomSource:
    """
    Make a source that gives the same bytes in each run, and never the same bytes twice.
    """
    calls = itertools.count()

    return lambda count: hashlib.shake_128(f"{seed} {next(calls)}".encode()).digest(count)


@st.composite
def code_formats(draw: st.DrawFn) -> CodeFormat:
    """
    Make formats of every kind.
    """
    check_digit = draw(st.sampled_from(list(ORACLES)))
    readable = {"mod37_36": ALPHANUMERIC, "none": PRINTABLE}.get(check_digit, DIGITS)
    characters = st.sampled_from(readable)
    alphabet = draw(
        st.one_of(st.just(DIGITS), st.lists(characters, min_size=2, max_size=36, unique=True).map("".join)),
    )
    fixed = st.text(characters, max_size=5)
    try:
        return CodeFormat(draw(st.integers(4, 32)), alphabet, draw(fixed), draw(fixed), check_digit)
    except InvalidValueError:  # No payload of these few characters has its check character among them.
        assume(False)  # noqa: FBT003
        raise


def test_the_default_format_is_the_documented_one() -> None:
    """
    Twelve random digits and a Verhoeff digit.
    """
    expected = CodeFormat(length=12, alphabet="0123456789", prefix="", suffix="", check_digit="verhoeff")

    assert expected == CodeFormat()
    assert CodeFormat().code_length == 13
    assert CodeFormat().capacity == 10**12


def test_unambiguous_characters() -> None:
    """
    Digits and capital letters without those that look like another.
    """
    assert set(ALPHANUMERIC) - set("0O1IL") == set(UNAMBIGUOUS)
    assert len(UNAMBIGUOUS) == 31


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("length", {"length": 3}),
        ("length", {"length": 33}),
        ("alphabet", {"alphabet": "", "check_digit": "none"}),
        ("alphabet", {"alphabet": "7"}),
        ("alphabet", {"alphabet": "0120"}),
        ("alphabet", {"alphabet": "ABC"}),
        ("alphabet", {"alphabet": "٠١٢"}),
        ("alphabet", {"alphabet": "abc", "check_digit": "mod37_36"}),
        *(("alphabet", {"alphabet": f"ab{char}", "check_digit": "none"}) for char in " -.+é\n\x7f"),
        ("prefix", {"prefix": "VC"}),
        ("prefix", {"prefix": "+40", "check_digit": "none"}),
        ("prefix", {"prefix": "7 7"}),
        ("suffix", {"suffix": "x", "check_digit": "luhn"}),
        ("suffix", {"suffix": "-1", "check_digit": "none"}),
        ("prefix", {"prefix": "7" * 200, "suffix": "7" * 43}),
        ("alphabet", {"length": 4, "alphabet": "01", "prefix": "0", "check_digit": "mod37_36"}),
        ("check_digit", {"check_digit": "crc32"}),
    ],
)
def test_a_format_that_makes_no_sense_cannot_exist(name: str, arguments: dict[str, Any]) -> None:
    """
    Each part has a range, and the part at fault is named.
    """
    with pytest.raises(InvalidValueError) as caught:
        CodeFormat(**arguments)
    assert name == caught.value.name


def test_the_longest_code_has_255_characters() -> None:
    """
    A code is as long as VoipNow takes it, and no longer.
    """
    longest = CodeFormat(12, prefix="7" * 200, suffix="7" * 42)

    assert longest.code_length == 255
    assert all(len(code) == 255 for code in longest.draw(1))


@given(code_formats(), st.integers(0, 40), st.text())
def test_drawn_codes_are_different_and_fit_their_format(code_format: CodeFormat, count: int, seed: str) -> None:
    """
    What is drawn is accepted, has the right check digit by another implementation, and comes once.
    """
    count = min(count, code_format.capacity // 4)
    codes = code_format.draw(count, seeded(seed))

    assert count == len(set(codes)) == len(codes)
    assert codes == [code_format.check(code) for code in codes]
    assert all(ORACLES[code_format.check_digit](code) for code in codes)
    assert {code_format.code_length} >= {len(code) for code in codes}


@given(code_formats(), st.text())
def test_a_code_is_prefix_drawn_characters_suffix_and_check_digit(code_format: CodeFormat, seed: str) -> None:
    """
    The parts stand where the documentation says.
    """
    [code] = code_format.draw(1, seeded(seed))
    drawn = code.removeprefix(code_format.prefix)[: code_format.length]
    payload = code_format.prefix + drawn + code_format.suffix

    assert payload + check_character(code_format.check_digit, payload) == code
    assert set(drawn) <= set(code_format.alphabet)


@pytest.mark.parametrize(
    "code_format",
    [
        CodeFormat(4),
        CodeFormat(4, "0123", prefix="9", suffix="8"),
        CodeFormat(4, "2468", check_digit="luhn"),
        CodeFormat(4, "13579", check_digit="damm"),
        CodeFormat(4, "ABCDEF7", prefix="Z", check_digit="mod37_36"),
        CodeFormat(4, "aB#", check_digit="none"),
    ],
)
def test_all_codes_can_be_drawn_and_no_more(code_format: CodeFormat) -> None:
    """
    The capacity is the number of codes that are accepted, and as many can be drawn.
    """
    accepted = set()
    for characters in itertools.product(code_format.alphabet, repeat=4):
        payload = code_format.prefix + "".join(characters) + code_format.suffix
        code = payload + check_character(code_format.check_digit, payload)
        if code_format.check_digit == "none" or code[-1] in code_format.alphabet:
            accepted.add(code)
            code_format.check(code)
    drawn = code_format.draw(code_format.capacity, seeded("all"))

    assert len(accepted) == code_format.capacity
    assert accepted == set(drawn)


@pytest.mark.parametrize(
    "code, reason",
    [
        ("", "empty"),
        (" - . ", "empty"),
        ("7" * 256, "too_long"),
        ("28111119", "wrong_length"),
        ("2811111922", "wrong_length"),
        ("291111192", "wrong_prefix"),
        ("281111182", "wrong_suffix"),
        ("28111a192", "wrong_alphabet"),
        ("281117192", "wrong_alphabet"),
        ("281111298", "wrong_alphabet"),
        ("28111119b", "wrong_alphabet"),
        ("281111193", "wrong_check_digit"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_reason(code: str, reason: str) -> None:
    """
    The reason tells what is wrong first, in the order length, prefix, suffix, alphabet, check digit.
    """
    code_format = CodeFormat(5, "123456", prefix="28", suffix="9")
    with pytest.raises(InvalidCodeError) as caught:
        code_format.check(code)

    assert code_format.check("28-1111.19 2") == "281111192"
    assert ("code", reason) == (caught.value.name, caught.value.reason)


@pytest.mark.parametrize(
    "zero",
    [
        "\N{ARABIC-INDIC DIGIT ZERO}",
        "\N{FULLWIDTH DIGIT ZERO}",
        "\N{MATHEMATICAL DOUBLE-STRUCK DIGIT ZERO}",
        "\N{SUPERSCRIPT ZERO}",
        "_",
        "\n",
        "\N{NO-BREAK SPACE}",
        "\N{EN DASH}",
    ],
)
@given(code_formats(), st.data())
def test_only_ascii_is_read(zero: str, code_format: CodeFormat, data: st.DataObject) -> None:
    """
    What `int` would take for a digit, or a word processor for a dash, is refused at every place of a code.
    """
    assume(zero not in code_format.alphabet + code_format.prefix + code_format.suffix)
    [code] = code_format.draw(1, seeded("ascii"))
    at = data.draw(st.integers(0, len(code)))

    with pytest.raises(InvalidCodeError):
        code_format.check(code[:at] + zero + code[at:])
    with pytest.raises(InvalidCodeError):
        code_format.check(code[:at] + zero + code[at + 1 :] if at < len(code) else zero)


def _calls(path: Path) -> set[str]:
    """
    Collect the names of everything that one module calls or imports.
    """
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call):
            names.add(getattr(node.func, "id", "") or getattr(node.func, "attr", ""))
        elif isinstance(node, ast.Import):
            names.update(f"import {alias.name.partition('.')[0]}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add(f"import {(node.module or '').partition('.')[0]}")

    return names


def test_nothing_is_drawn_from_a_generator_that_can_be_predicted() -> None:
    """
    No module of the library imports `random`, besides the conformance kit, which draws what to try and no secret.
    """
    modules = [path for path in PACKAGE.rglob("*.py") if PACKAGE / "testing" not in path.parents]

    assert [path.name for path in modules if "import random" in _calls(path)] == []


@pytest.mark.parametrize("name", ["cards", "check_digits", "codes", "pins"])
def test_codes_are_never_read_as_numbers(name: str) -> None:
    """
    Where codes and PINs are read, `int` is not used: it takes other characters than ASCII digits for digits.
    """
    assert "int" not in _calls(PACKAGE / "core" / f"{name}.py")


def test_no_module_asks_unicode_what_a_digit_is() -> None:
    """
    Nothing is looked at by `isdigit` and its like, for the same reason.
    """
    forbidden = {"isdigit", "isdecimal", "isnumeric", "isalnum"}

    assert [path.name for path in PACKAGE.rglob("*.py") if _calls(path) & forbidden] == []


def test_calls_and_imports_are_found(tmp_path: Path) -> None:
    """
    The two tests above can fail.
    """
    path = tmp_path / "module.py"
    path.write_text("import random\nfrom random import choice\nint(text)\ntext.isdigit()\n")

    assert _calls(path) == {"import random", "int", "isdigit"}


def chi_square(text: str, alphabet: str) -> float:
    """
    Measure how far the characters of a text are from being all alike.
    """
    expected = len(text) / len(alphabet)

    return sum((text.count(character) - expected) ** 2 for character in alphabet) / expected


def test_every_digit_is_equally_likely_at_every_place() -> None:
    """
    The digits of 300,000 codes are spread as chance spreads them, and those of a biased drawer are not.

    33.7 is what chi-square of ten digits exceeds once in ten thousand times. The biased drawer is the usual one,
    `byte % 10`, by which 0 to 5 come up 26 times for every 25 times of the others.
    """
    columns = ["".join(column) for column in zip(*draw_codes(CodeFormat(), 300_000, seeded("fair")), strict=True)]
    biased = "".join(DIGITS[byte % 10] for byte in seeded("biased")(300_000))

    assert len(columns) == 13
    assert all(chi_square(column, DIGITS) < 33.7 for column in columns)
    assert chi_square(biased, DIGITS) > 33.7


def test_every_unambiguous_character_is_equally_likely() -> None:
    """
    The same for 31 characters: 70.0 is exceeded once in ten thousand times by chance, and always by `byte % 31`.
    """
    fair = draw_text(UNAMBIGUOUS, 1_000_000, seeded("fair"))
    biased = "".join(UNAMBIGUOUS[byte % 31] for byte in seeded("biased")(1_000_000))

    assert chi_square(fair, UNAMBIGUOUS) < 70.0
    assert chi_square(biased, UNAMBIGUOUS) > 70.0


def test_the_same_bytes_give_the_same_codes() -> None:
    """
    Codes depend on their source and on nothing else, in their order too.
    """
    first, second = (draw_codes(CodeFormat(5), 50_000, seeded("again")) for _ in range(2))

    assert first == second
    assert len(set(first)) == 50_000


def test_codes_that_were_drawn_before_do_not_come_again() -> None:
    """
    Of 10,000 codes the half that is not there yet is drawn.
    """
    first = draw_codes(CodeFormat(4), 5_000, seeded("first"))
    second = draw_codes(CodeFormat(4), 5_000, seeded("second"), besides=first)

    assert len({*first, *second}) == 10_000


def test_a_source_that_repeats_itself_gives_no_code_twice() -> None:
    """
    The codes are different because they are compared, not because chance is trusted.
    """
    chunk = seeded("chunk")(2_000)
    rest = seeded("rest")
    chunks = iter([chunk, chunk])
    codes = draw_codes(CodeFormat(), 100, lambda count: next(chunks, rest(count))[:count])

    assert len(set(codes)) == len(codes) == 100


@pytest.mark.parametrize("besides, count", [((), 10_001), (("x",), 10_000)])
def test_more_codes_than_there_are_cannot_be_drawn(besides: tuple[str, ...], count: int) -> None:
    """
    Drawing would never end, so it does not begin.
    """
    with pytest.raises(CrowdedError) as caught:
        draw_codes(CodeFormat(4), count, besides=besides)
    assert (caught.value.wanted, caught.value.allowed, caught.value.length) == (10_001, 10_000, 5)


def test_a_negative_number_of_codes_is_refused() -> None:
    """
    Nothing is less than no codes at all.
    """
    assert draw_codes(CodeFormat(), 0) == []
    with pytest.raises(InvalidValueError, match=r"^count has to be a whole number, 0 or more$"):
        draw_codes(CodeFormat(), -1)


@given(st.text(PRINTABLE, min_size=2, max_size=60).map(lambda text: "".join(dict.fromkeys(text))), st.integers(0, 100))
def test_texts_are_drawn_from_their_alphabet(alphabet: str, length: int) -> None:
    """
    A text has the length that was asked for, and nothing but the alphabet.
    """
    text = draw_text(alphabet, length, os.urandom)

    assert length == len(text)
    assert set(text) <= set(alphabet)


@given(code_formats())
def test_entropy_is_the_logarithm_of_the_capacity(code_format: CodeFormat) -> None:
    """
    The number of codes and the bits say the same.
    """
    assert math.isclose(code_format.capacity, 2**code_format.entropy_bits, rel_tol=1e-9)


def exact_odds(choices: int, active: int, guesses: int) -> Fraction:
    """
    Compute the odds as a fraction, without any rounding.
    """
    return 1 - (1 - Fraction(min(active, choices), choices)) ** guesses


@given(st.integers(4, 12), st.sampled_from([0, 4, 5, 6]), st.integers(0, 10**13), st.integers(0, 500))
def test_odds_are_the_exact_ones(length: int, pin_length: int, active: int, guesses: int) -> None:
    """
    Odds agree with exact fractions to nine digits, small as they may be.
    """
    choices = 10**length * PinFormat(pin_length).capacity
    odds = CodeFormat(length).odds(active, guesses, pin_length=pin_length)

    assert math.isclose(exact_odds(choices, active, guesses), odds, rel_tol=1e-9)
    assert 0 <= odds <= 1


def test_odds_are_those_of_trying() -> None:
    """
    Somebody who tries 200 of 10,000 codes finds one of 50 as often as the formula says.
    """
    runs = 2_000
    active = set(draw_codes(CodeFormat(4), 50, seeded("active")))
    tries = draw_text(DIGITS, runs * 200 * 4, seeded("tries"))
    guesses = [CODES[tries[at : at + 4]] for at in range(0, len(tries), 4)]
    hits = sum(not active.isdisjoint(guesses[at : at + 200]) for at in range(0, len(guesses), 200))
    odds = CodeFormat(4).odds(50, 200)

    assert abs(hits / runs - odds) < 4 * math.sqrt(odds * (1 - odds) / runs)


CODES: Final = {
    payload: payload + check_character("verhoeff", payload)
    for payload in map("".join, itertools.product(DIGITS, repeat=4))
}


@pytest.mark.parametrize(
    "active, guesses, pin_length, name",
    [(-1, 1, 0, "active"), (1, -1, 0, "guesses"), (1, 1, 3, "length")],
)
def test_odds_of_nonsense_are_refused(active: int, guesses: int, pin_length: int, name: str) -> None:
    """
    Fewer than no codes, fewer than no guesses and a PIN of three digits have no odds.
    """
    with pytest.raises(InvalidValueError) as caught:
        CodeFormat().odds(active, guesses, pin_length=pin_length)
    assert name == caught.value.name


@pytest.mark.parametrize(
    "active, lengths",
    [(1_000, (14, 10, 8)), (10_000, (15, 11, 9)), (100_000, (16, 12, 10)), (1_000_000, (17, 13, 11))],
)
def test_planned_lengths_are_those_of_the_specification(active: int, lengths: tuple[int, int, int]) -> None:
    """
    The table for one in a thousand a year: without a PIN, with one of four digits and with one of six.
    """
    planned = tuple(plan_code_length(active, 36_500_000, 1e-3, pin_length) for pin_length in (0, 4, 6))

    assert lengths == planned


@given(
    st.integers(0, 10**8),
    st.integers(0, 10**9),
    st.floats(1e-9, 1),
    st.sampled_from([0, 4, 6]),
    st.sampled_from([DIGITS, UNAMBIGUOUS]),
)
@example(0, 0, 0.0, 0, DIGITS)
@example(1, 1, 1.0, 0, DIGITS)
def test_the_planned_length_is_the_smallest_that_does(
    active: int, guesses: int, target: float, pin_length: int, alphabet: str
) -> None:
    """
    With the planned length the odds are low enough, and with one character less they are not.
    """
    length = plan_code_length(active, guesses, target, pin_length, alphabet)

    def odds(length: int) -> float:
        return CodeFormat(length, alphabet, check_digit="none").odds(active, guesses, pin_length=pin_length)

    assert odds(length) <= target
    assert length == 4 or odds(length - 1) > target


@pytest.mark.parametrize("target", [-0.1, 1.1, math.nan])
def test_a_target_is_a_probability(target: float) -> None:
    """
    What cannot be a probability is refused.
    """
    with pytest.raises(InvalidValueError, match=r"^target has to be from 0 to 1$"):
        plan_code_length(1, 1, target)


def test_where_no_length_does_this_is_said() -> None:
    """
    Thirty-two binary digits are too few, and there is no longer code.
    """
    binary = CodeFormat(8, "01", check_digit="none")
    refusal = r"^alphabet has too few characters: even 32 of them would not be enough$"

    with pytest.raises(InvalidValueError, match=refusal):
        plan_code_length(100_000, 36_500_000, 1e-3, alphabet="01")
    with pytest.raises(InvalidValueError, match=refusal):
        refuse_guessable(binary, 100_000, pin_length=0, policy=Policy())
    with pytest.raises(InvalidValueError, match=refusal):
        refuse_crowded(binary, 2**32, policy=Policy())


@given(st.integers(4, 12), st.integers(1, 100), st.integers(-2, 2))
def test_a_format_is_filled_up_to_its_limit_and_no_further(length: int, percent: int, beyond: int) -> None:
    """
    Exactly the percentage that was typed may be used, whatever a float makes of it.
    """
    allowed = 10**length * percent // 100
    policy = Policy(fill_limit=percent / 100)
    if beyond <= 0:
        refuse_crowded(CodeFormat(length), allowed + beyond, policy=policy)
        return

    with pytest.raises(CrowdedError) as caught:
        refuse_crowded(CodeFormat(length), allowed + beyond, policy=policy)
    assert (allowed + beyond, allowed) == (caught.value.wanted, caught.value.allowed)
    refuse_crowded(CodeFormat(caught.value.length), allowed + beyond, policy=policy)


@given(st.integers(4, 16), st.integers(0, 10**6), st.sampled_from([0, 4, 6]), st.floats(1e-6, 1))
def test_formats_are_refused_exactly_where_their_odds_are_too_high(
    length: int, active: int, pin_length: int, odds_limit: float
) -> None:
    """
    The refusal tells the odds, and a length that would do.
    """
    policy = Policy(odds_limit=odds_limit)
    code_format = CodeFormat(length, prefix="77")
    odds = code_format.odds(active, policy.guesses, pin_length=pin_length)
    if odds <= odds_limit:
        refuse_guessable(code_format, active, pin_length=pin_length, policy=policy)
        return

    with pytest.raises(GuessableError) as caught:
        refuse_guessable(code_format, active, pin_length=pin_length, policy=policy)
    assert (odds, odds_limit) == (caught.value.odds, caught.value.limit)
    assert plan_code_length(active, policy.guesses, odds_limit, pin_length) == caught.value.length
    longer = attrs.evolve(code_format, length=caught.value.length)
    refuse_guessable(longer, active, pin_length=pin_length, policy=policy)
