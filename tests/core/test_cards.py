"""
Cards: one way to write each code, and clear text that stays where it is.
"""

from __future__ import annotations

import copy
import enum
import pickle
import string
import unicodedata
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voipcard.core.arguments import checked_integer, checked_text
from voipcard.core.batches import Batch
from voipcard.core.cards import (
    CardCode,
    Handout,
    NewCard,
    RevealedCard,
    canonical_caller_id,
    canonical_code,
    canonical_pin,
    part_of_code,
    serial_of,
    serial_or_nothing,
)
from voipcard.core.credit import UNLIMITED, Credit
from voipcard.core.license import Quota
from voipcard.core.uploads import UploadReport
from voipcard.errors import (
    AmountError,
    AmountTypeError,
    InvalidCodeError,
    InvalidPinError,
    InvalidValueError,
    Problem,
    VoipcardError,
)

T = TypeVar("T")

PRINTABLE: Final = {chr(number) for number in range(0x21, 0x7F)}
CODE: Final = "770018342215199"
PIN: Final = "048215937162"
MADE: Final = datetime(2026, 3, 14, 12, 30, tzinfo=UTC)

any_text: Final = st.text() | st.text(string.printable, max_size=300) | st.text("+0123456789 -.()", max_size=40)
digits: Final = st.text("0123456789", min_size=1, max_size=255)


def without(text: str, characters: str) -> str:
    """
    Drop characters from a text.
    """
    return "".join(char for char in text if char not in characters)


def attempt(make: Callable[[], T]) -> T | VoipcardError:
    """
    Give what is made, or why it is refused.
    """
    try:
        return make()
    except VoipcardError as error:
        return error


def handout(code: str = CODE, pin: str = PIN) -> Handout:
    """
    Make a hand-out.
    """
    return Handout("K7QX-000042", "0003*215", "code", code, pin, Credit("12.50"), "PO-117")


def card(credit: Credit, held: Credit) -> CardCode:
    """
    Make a card.
    """
    return CardCode(
        serial="K7QX-000042",
        extension="0003*215",
        batch="K7QX",
        kind="code",
        has_pin=True,
        enabled=True,
        credit=credit,
        total_credit=credit,
        held=held,
        recharge_count=2,
        created_at=MADE,
        first_used_at=None,
        expires_at=None,
        order_number="PO-117",
        labels=("kiosk",),
        id=b"the 16 bytes  id",
        version=7,
    )


@given(any_text)
@example("+")
@example("- .")
@example("(+40)")
@example("é")
@example("7" * 256)
def test_any_text_is_a_code_or_refused(text: str) -> None:
    """
    A dialed code is what is left without spaces, dashes and dots.

    That has to be 1 to 255 printable ASCII characters, without a leading plus, which marks a CallerID.
    """
    left = without(text, " -.")
    is_code = 1 <= len(left) <= 255 and PRINTABLE.issuperset(left) and not without(left, "()").startswith("+")
    made = attempt(lambda: canonical_code(text))

    if isinstance(made, InvalidCodeError):
        assert not is_code
        assert made.name == "code"
        assert made.reason in {"empty", "not_ascii", "too_long", "leading_plus"}
    else:
        assert is_code
        assert left == made == canonical_code(left)


@given(any_text)
@example("+")
@example("++4")
@example("4+0")
@example("٤٠")
@example("4" * 256)
def test_any_text_is_a_number_or_refused(text: str) -> None:
    """
    A caller's number is what is left without one plus, spaces, dashes, dots and parentheses: 1 to 255 ASCII digits.
    """
    left = without(text, " -.()")
    left = left[left.startswith("+") :]
    is_number = 1 <= len(left) <= 255 and set(string.digits).issuperset(left)
    made = attempt(lambda: canonical_caller_id(text))

    if isinstance(made, InvalidCodeError):
        assert not is_number
        assert made.name == "caller_id"
        assert made.reason in {"empty", "not_digits", "too_long"}
    else:
        assert is_number
        assert left == made == canonical_caller_id(left) == canonical_caller_id(f"+{left}")


@given(any_text)
@example("123")
@example("1234567890123")
@example("٠٤٨٢")
def test_any_text_is_a_pin_or_refused(text: str) -> None:
    """
    A PIN is 4 to 12 ASCII digits besides the separators, or nothing.
    """
    left = without(text, " -.")
    is_pin = not left or (4 <= len(left) <= 12 and set(string.digits).issuperset(left))
    made = attempt(lambda: canonical_pin(text))

    if isinstance(made, InvalidPinError):
        assert not is_pin
        assert (made.reason == "not_digits") == (not set(string.digits).issuperset(left))
    else:
        assert is_pin
        assert left == made == canonical_pin(left)


@given(digits, st.lists(st.sampled_from(" -."), max_size=20), st.randoms(use_true_random=False))
def test_separators_make_no_other_code(code: str, separators: list[str], random: Any) -> None:  # noqa: ANN401
    """
    However a code is grouped for reading, it is the same code.
    """
    characters = list(code)
    for separator in separators:
        characters.insert(random.randint(0, len(characters)), separator)
    grouped = "".join(characters)

    assert code == canonical_code(grouped) == canonical_caller_id(grouped) == canonical_caller_id(f"+{grouped}")


@given(digits, st.integers(0, 255), st.integers(0, 255), st.sampled_from(["", " ", "-", "."]))
def test_a_part_of_a_code_is_written_as_in_the_whole(code: str, start: int, end: int, separator: str) -> None:
    """
    What people type of a code is found in the code, with its separators or without; the same for the plus of a number.
    """
    part = code[start:end]

    assert part == part_of_code(separator.join(part)) == part_of_code(f"{separator}{part}{separator}")
    assert part == part_of_code(f" +({part})")
    assert part in canonical_code(code)


@given(st.text(max_size=300))
@example("\x7f")
@example("a\nb")
@example("\ud800")
@example("\u2028")
def test_any_line_of_text_is_kept_or_refused(text: str) -> None:
    """
    Texts of people may have 255 characters of Unicode, except control characters and surrogates, and stay as they are.
    """
    is_line = len(text) <= 255 and all(unicodedata.category(char) not in {"Cc", "Cs"} for char in text)
    kept = attempt(lambda: checked_text("label", text))

    if isinstance(kept, InvalidValueError):
        assert not is_line
        assert kept.name == "label"
    else:
        assert is_line
        assert text == kept


class Order(str, enum.Enum):  # noqa: UP042 - older programs have such, and `str` gives their name
    """
    Order numbers as a program may list them.
    """

    FIRST = "PO-1"


def test_a_text_of_another_class_is_taken_as_the_text_that_it_is() -> None:
    """
    Words of enumerations and data frames become plain text, with the same characters.
    """
    kept = checked_text("order_number", Order.FIRST)

    assert kept == "PO-1"
    assert type(kept) is str
    assert NewCard("1", order_number=Order.FIRST).order_number == "PO-1"


@given(
    st.one_of(st.integers(), st.floats(), st.booleans(), st.text(max_size=3), st.none()), st.integers(), st.integers()
)
def test_any_number_is_within_its_range_or_refused(value: Any, least: int, most: int) -> None:  # noqa: ANN401
    """
    A whole number is no truth, fraction or text, and neither smaller nor larger than it may be.
    """
    is_fine = type(value) is int and least <= value <= most
    made = attempt(lambda: checked_integer("count", value, at_least=least, at_most=most))

    if is_fine:
        assert value == made
    else:
        assert isinstance(made, InvalidValueError)
        assert made.name == "count"
        assert f"{least:,}" in str(made)


@pytest.mark.parametrize("value", [7700183422151, 48215.0, None, b"7700183422151", ["7700183422151"]])
def test_what_is_no_text_is_no_code(value: Any) -> None:  # noqa: ANN401 - anything but a text
    """
    A number has lost its leading zeros, and bytes their meaning: neither is a code, a CallerID, a PIN or a text.
    """
    accept: list[Callable[[Any], object]] = [
        canonical_code,
        canonical_caller_id,
        canonical_pin,
        NewCard,
        lambda text: NewCard("1", text),
        lambda text: NewCard("1", order_number=text),
        lambda text: checked_text("label", text),
    ]
    for make in accept:
        refused = attempt(lambda make=make: make(value))  # type: ignore[misc]
        assert isinstance(refused, InvalidValueError)
        assert "77001834" not in f"{refused!r} {refused}"


@given(any_text, st.booleans())
def test_a_leading_plus_marks_a_caller_id(text: str, caller_id: bool) -> None:  # noqa: FBT001 - a parameter of a test
    """
    A new card is a CallerID if it is said to be one or begins with a plus, and a dialed code otherwise.

    Separators before the plus do not hide it. Made again from what is stored, a card is the same card.
    """
    expected = caller_id or without(text, " -.()").startswith("+")
    new = attempt(lambda: NewCard(text, caller_id=caller_id))

    if isinstance(new, InvalidCodeError):
        assert ("caller_id" if expected else "code") == new.name
    else:
        assert isinstance(new, NewCard)
        assert (expected, "caller_id" if expected else "code") == (new.caller_id, new.kind)
        assert (canonical_caller_id if expected else canonical_code)(text) == new.code
        assert new == attrs.evolve(new) == NewCard(new.code, caller_id=new.caller_id)


def test_a_new_card_is_stored_in_canonical_form() -> None:
    """
    All parts are parsed when the card is made.
    """
    expected = NewCard("77001834", "0482", Credit("10"), "PO-117", caller_id=False)

    assert expected == NewCard(" 7700-18.34", "04 82", "10.000", "PO-117")
    assert NewCard("77001834") == NewCard("77001834", "", Credit(0), "", caller_id=False)
    assert NewCard("1", credit="unlimited").credit == UNLIMITED


@pytest.mark.parametrize(
    "arguments, error",
    [
        ({"pin": "12"}, InvalidPinError("pin", "wrong_length")),
        ({"pin": "12a4"}, InvalidPinError("pin", "not_digits")),
        ({"credit": "-0.01"}, AmountError("negative")),
        ({"credit": "1.0000001"}, AmountError("too_precise")),
        ({"credit": 0.5}, AmountTypeError("float")),
        ({"order_number": "x" * 256}, InvalidValueError("order_number", "has more than 255 characters")),
        ({"order_number": "a\tb"}, InvalidValueError("order_number", "has control characters")),
        ({"code": " - "}, InvalidCodeError("code", "empty")),
        ({"code": "+"}, InvalidCodeError("caller_id", "empty")),
        ({"code": "7" * 256}, InvalidCodeError("code", "too_long")),
        ({"code": "12\n34"}, InvalidCodeError("code", "not_ascii")),
        ({"code": "40x", "caller_id": True}, InvalidCodeError("caller_id", "not_digits")),
    ],
)
def test_a_card_that_makes_no_sense_cannot_exist(arguments: dict[str, Any], error: Exception) -> None:
    """
    Each part is refused for the reason that is its own.
    """
    with pytest.raises(type(error)) as caught:
        NewCard(**{"code": CODE, **arguments})
    assert (type(error), error.args) == (caught.type, caught.value.args)


def copies(protocol: int) -> Sequence[Callable[[object], object]]:
    """
    Give the ways in which Python copies an object as a whole.
    """
    return [copy.copy, copy.deepcopy, lambda value: pickle.dumps(value, protocol)]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "value",
    [
        NewCard(CODE, PIN),
        handout(),
        [handout()],
        {"card": NewCard(CODE)},
        Batch("K7QX", "0003*215", 1, (handout(),)),
        RevealedCard(card(Credit(1), Credit(0)), CODE, PIN),
    ],
    ids=["new card", "hand-out", "list", "dictionary", "batch", "revealed"],
)
def test_clear_text_is_neither_pickled_nor_copied(value: object, protocol: int) -> None:
    """
    Caches and queues never get clear text; neither does an error say it.
    """
    for made in copies(protocol):
        if made is copy.copy and not isinstance(value, NewCard | Handout | RevealedCard):
            continue  # A shallow copy of a container holds the same object.
        with pytest.raises(TypeError, match="holds clear text") as caught:
            made(value)
        assert CODE not in str(caught.value)
        assert PIN not in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        NewCard(CODE, PIN),
        handout(),
        Batch("K7QX", "0003*215", 1, (handout(),)),
        RevealedCard(card(Credit(1), Credit(0)), CODE, PIN),
    ],
)
@pytest.mark.parametrize("written", [repr, str, "{}".format, "{!r}".format, "{!s:>200}".format, "%s".__mod__])
def test_clear_text_is_not_written(value: object, written: Callable[[object], str]) -> None:
    """
    However a value is written, neither code nor PIN is there.
    """
    text = written(value)

    assert CODE not in text
    assert PIN not in text
    assert isinstance(value, Batch) or text.count("••••") == 2


def test_what_is_not_there_is_shown_as_such() -> None:
    """
    That a card has no PIN is no secret; how long a code or PIN is, is one.
    """
    assert "pin=''" in repr(handout(pin=""))
    assert repr(handout("7700", "0482")) == repr(handout())


def test_clear_text_is_there_for_those_who_ask() -> None:
    """
    A hand-out exists to be handed out, and can be varied.
    """
    varied = attrs.evolve(handout(), order_number="PO-118")

    assert (handout().code, handout().pin) == (CODE, PIN)
    assert (varied.code, varied.pin, varied.order_number) == (CODE, PIN, "PO-118")
    assert handout() == handout()
    assert handout() != varied


@given(st.integers(0, 100) | st.just(UNLIMITED), st.integers(0, 100))
def test_what_is_held_is_not_available(credit: int | Credit, held: int) -> None:
    """
    A card says what can be spent: what is there and not held, never less than nothing.
    """
    shown = card(Credit(credit), Credit(held)).available

    assert (UNLIMITED if isinstance(credit, Credit) else Credit(max(0, credit - held))) == shown


def test_a_card_shows_no_code() -> None:
    """
    A card can be logged, printed and pickled: it has a mask where a code would be.
    """
    shown = card(Credit(10), Credit(0))

    assert shown.code == "••••"
    assert shown == pickle.loads(pickle.dumps(shown)) == copy.deepcopy(shown)  # noqa: S301
    assert "16 bytes" not in repr(shown)
    assert "version" not in repr(shown)
    assert {"code", "pin"}.isdisjoint(attrs.asdict(shown))


@pytest.mark.parametrize("value", [NewCard("1"), handout(), card(Credit(1), Credit(0)), Batch("", "1", 1, ())])
def test_values_cannot_be_changed(value: Any) -> None:  # noqa: ANN401 - any of them
    """
    Cards, hand-outs and batches are values.
    """
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.order_number = "PO-666"
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.size = 7


@given(st.lists(digits, max_size=8, unique=True), st.integers(-9, 9), st.slices(8))
def test_a_batch_is_the_sequence_of_its_hand_outs(codes: list[str], position: int, part: slice) -> None:
    """
    Everything that a sequence does gives what the hand-outs give.
    """
    handouts = [handout(code) for code in codes]
    batch = Batch("K7QX", "0003*215", len(codes), handouts)

    assert handouts == list(batch) == [*reversed(list(reversed(batch)))]
    assert handouts[part] == list(batch[part])
    assert len(handouts) == len(batch)
    assert all(each in batch for each in handouts)
    if -len(handouts) <= position < len(handouts):
        assert handouts[position] == batch[position]
        assert handouts.index(handouts[position]) == batch.index(handouts[position])
    else:
        with pytest.raises(IndexError):
            batch[position]


@given(st.integers(1, 5), st.integers(1, 5), st.sampled_from(["1", "2"]))
def test_batches_are_equal_if_they_say_the_same_about_the_cards(size: int, other: int, extension: str) -> None:
    """
    What was drawn does not count, so that the answer of a dry run is that of the real run.
    """
    real = Batch("K7QX", "1", size, [handout()] * size, replayed=True)
    rehearsed = Batch("", extension, other, ())
    warning = Problem(1, "pin", "weak_pin", "choose another", warning=True)
    warned = attrs.evolve(rehearsed, report=UploadReport(1, 0, (), 0, (warning,), 1, Quota(None, 1)))

    assert ((size, "1") == (other, extension)) == (real == rehearsed)
    assert (real == rehearsed) <= (hash(real) == hash(rehearsed))
    assert warned != rehearsed


def test_a_batch_compares_with_batches_only() -> None:
    """
    A batch is no list.
    """
    batch: object = Batch("K7QX", "1", 1, [handout()])

    assert batch != [handout()]


@pytest.mark.parametrize(
    "text, serial",
    [
        ("K7QX-000042", "K7QX-000042"),
        ("K7QX2-1000000", "K7QX2-1000000"),
        ("7700183422151", ""),
        ("7722-123456", ""),
        ("+40722123456", ""),
        ("K7QX-000042 ", ""),
        (7700, ""),
        (None, ""),
    ],
)
def test_only_what_looks_like_a_serial_is_repeated(text: object, serial: str) -> None:
    """
    What was given in the place of a serial may be a code: then it is named nowhere.
    """
    assert serial == serial_or_nothing(text)


def test_a_card_is_named_by_itself_or_by_its_serial() -> None:
    """
    The serial of a serial is that serial.
    """
    assert serial_of("K7QX-000042") == "K7QX-000042"
