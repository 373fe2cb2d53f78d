"""
Errors: one fact each, in fields that survive every journey, said in a sentence without a secret.
"""

from __future__ import annotations

import copy
import errno
import inspect
import os
import pickle
import re
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args, get_type_hints

import attrs
import pytest

from voipcard import errors
from voipcard.errors import Problem, UploadError, VoipcardError

CLASSES: Final[dict[str, type[VoipcardError]]] = {
    name: value for name, value in vars(errors).items() if isinstance(value, type) and issubclass(value, VoipcardError)
}
CONCRETE: Final = [kind for kind in CLASSES.values() if kind is not VoipcardError]

REASONS: Final[Mapping[str, str]] = {
    "AmountError": "not_a_number too_precise too_large negative not_positive zero",
    "CardUnusableError": "disabled expired batch_disabled extension_disabled",
    "InvalidCodeError": (
        "empty too_long not_ascii leading_plus not_digits wrong_length wrong_prefix wrong_suffix wrong_alphabet"
        " wrong_check_digit"
    ),
    "InvalidPinError": "not_digits wrong_length",
    "LicenseError": (
        "malformed untrusted forged foreign expired not_yet_valid clock removed unsigned older tampered missing"
    ),
    "SignatureError": "malformed untrusted forged foreign",
    "WeakPinError": "repeated palindrome sequence pairs almost_repeated year date keypad part_of_code",
}
SAMPLES: Final[Mapping[str, object]] = {
    "bool": True,
    "int": 1234,
    "float": 0.25,
    "str": "some words",
    "tuple[int, ...]": tuple(range(1, 9)),
    "tuple[str, ...]": ("card K7QX-000042", "entry 2 of K7QX-000042"),
    "tuple[Problem, ...]": tuple(Problem(row, "code", "empty", "give a code") for row in range(1, 8)),
    "tuple[tuple[str, int], ...]": (("active", 7),),
    "frozenset[bytes]": frozenset({b"\x00\xff"}),
    "frozenset[str]": frozenset({"extension/0003*215"}),
}


def fields(kind: type) -> Sequence[Any]:
    """
    Give the fields of a class.
    """
    found: Sequence[Any] = attrs.fields(kind)

    return found


def example(kind: type[VoipcardError]) -> VoipcardError:
    """
    Make an error with something in every field.
    """
    values = {field.name: SAMPLES[str(field.type)] for field in fields(kind)}
    if kind.__name__ in REASONS:
        values["reason"] = REASONS[kind.__name__].split()[0]

    return kind(*values.values())


def facts(error: VoipcardError) -> dict[str, Any]:
    """
    Give the fields of an error.
    """
    return {field.name: getattr(error, field.name) for field in fields(type(error))}


def drawn_tree() -> dict[str, tuple[str, ...]]:
    """
    Read from the module's docstring what each class is derived from.
    """
    assert errors.__doc__ is not None
    [tree] = re.findall(r"```text\n(.*?)```", errors.__doc__, re.DOTALL)
    path: list[str] = []
    bases: dict[str, tuple[str, ...]] = {}
    for line in tree.splitlines():
        branch, name, other = re.fullmatch(r"([│├└─ ]*)(\w+)(?: \((\w+)\))?(?: {2,}\S.*)?", line).groups()  # type: ignore[union-attr]
        path[len(branch) // 4 :] = [name]
        bases[name] = (*path[-2:-1], *([other] if other else []))

    return bases


def test_the_documented_tree_is_the_real_one() -> None:
    """
    Every class is drawn where it is derived from, with the built-in exception that it also is.
    """
    real = {name: tuple(base.__name__ for base in kind.__bases__) for name, kind in CLASSES.items()}

    assert {**real, "VoipcardError": ()} == drawn_tree()


def test_every_error_is_public() -> None:
    """
    Whatever may be raised can be caught by its name.
    """
    assert sorted([*CLASSES, "Problem"]) == errors.__all__


def test_the_root_is_an_ordinary_exception() -> None:
    """
    One `except` catches all refusals, and none of them is meant for the interpreter.
    """
    assert VoipcardError.__bases__ == (Exception,)


@pytest.mark.parametrize("kind", CONCRETE)
def test_an_error_survives_pickling_and_copying(kind: type[VoipcardError]) -> None:
    """
    Work in other processes fails with the same error, all fields included.
    """
    error = example(kind)
    journeys = [pickle.loads(pickle.dumps(error, protocol)) for protocol in range(pickle.HIGHEST_PROTOCOL + 1)]  # noqa: S301

    for back in [*journeys, copy.copy(error), copy.deepcopy(error)]:
        assert kind is type(back)
        assert facts(error) == facts(back)
        assert str(error) == str(back)
        assert error.args == back.args


@pytest.mark.parametrize("kind", CONCRETE)
def test_an_error_says_a_sentence(kind: type[VoipcardError]) -> None:
    """
    The text is one line for people, not the list of the fields.
    """
    text = str(example(kind))

    assert len(text.split()) >= 2
    assert text == text.strip()
    assert "\n" not in text
    assert len(text) < 300
    assert kind.__name__ not in text


@pytest.mark.parametrize(
    "kind, reason", [(kind, reason) for kind, words in REASONS.items() for reason in words.split()]
)
def test_every_reason_has_its_own_sentence(kind: str, reason: str) -> None:
    """
    Each documented reason is said in words of its own, and the documentation names it.
    """
    reasons = REASONS[kind].split()
    name = () if kind in {"AmountError", "LicenseError"} else ("pin" if "Pin" in kind else "code",)
    sentences = {str(CLASSES[kind](*name, each)) for each in reasons}

    assert len(reasons) == len(sentences)
    assert f"`{reason}`" in (inspect.getdoc(CLASSES[kind]) or "")


@pytest.mark.parametrize("kind", [errors.InvalidCodeError, errors.InvalidPinError, errors.WeakPinError])
def test_the_card_at_fault_is_named_by_its_place(kind: type[errors.InvalidCodeError]) -> None:
    """
    Of many cards the one that is wrong is counted from 1; of one there is nothing to count.
    """
    reason = REASONS[kind.__name__].split()[0]

    assert str(kind("code", reason, 7)).endswith(" (card 7)")
    assert "card " not in str(kind("code", reason)).removeprefix("the code").removeprefix("the PIN")


@pytest.mark.parametrize("kind", CONCRETE)
def test_an_error_can_be_raised_with_all_that_python_adds(kind: type[VoipcardError]) -> None:
    """
    Causes, contexts, notes and tracebacks are kept although the fields are frozen.
    """
    cause, context = ValueError("cause"), KeyError("context")

    def fail() -> None:
        try:
            raise context
        except KeyError:
            raise example(kind) from cause

    with pytest.raises(kind) as caught:
        fail()
    error = caught.value
    error.add_note("while testing")

    assert (cause, context, True) == (error.__cause__, error.__context__, error.__suppress_context__)
    assert error.__notes__ == ["while testing"]
    assert error is error.with_traceback(None)
    assert "while testing" in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("kind", CONCRETE)
def test_the_fields_cannot_be_changed(kind: type[VoipcardError]) -> None:
    """
    What was wrong stays wrong: errors are handed on as they are.
    """
    error = example(kind)
    for field in fields(kind):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(error, field.name, None)

    assert facts(example(kind)) == facts(error)


@pytest.mark.parametrize("kind", CONCRETE)
def test_errors_are_told_apart_by_identity(kind: type[VoipcardError]) -> None:
    """
    Like other exceptions, two errors are two, and each can be a key.
    """
    error, other = example(kind), example(kind)

    assert error != other
    assert len({error, other, error}) == 2


@pytest.mark.parametrize("kind", CONCRETE)
def test_no_field_is_made_for_clear_text(kind: type[VoipcardError]) -> None:
    """
    No field is named after a secret, and every field is described.
    """
    names = {field.name for field in fields(kind)}
    described = re.findall(r"^ +(\w+):", kind.__doc__ or "", re.MULTILINE)
    inherited = {field.name for field in fields(kind) if field.inherited}

    assert names.isdisjoint({"code", "codes", "pin", "pins", "caller_id", "number", "value", "text", "key", "secret"})
    assert names - inherited - set(described) <= {"reason", "maybe_applied"}


def test_long_lists_are_cut() -> None:
    """
    A message names a few offenders and says how many more there are; the fields name all.
    """
    rows = tuple(range(1, 1001))
    problems = tuple(Problem(row, "code", "empty", "give a code") for row in rows)

    assert str(errors.CardExistsError(rows)).endswith(": 1, 2, 3, 4, 5 and 995 more")
    assert str(errors.CardExistsError((1, 2))).endswith(": 1, 2")
    assert str(UploadError("rows", "1,000 rows were refused", problems)).endswith("row 5 empty and 995 more")


@pytest.mark.parametrize("book, given", [("", ""), ("", "EUR"), ("EUR", "USD")])
def test_a_currency_error_says_what_to_do(book: str, given: str) -> None:
    """
    A new book is told how to get its currency, an old one which it has.
    """
    text = str(errors.CurrencyError(book, given))

    assert ("currency='EUR'" in text) == (not book)
    assert f"{book}, not in {given}" in text or not book


def test_what_cannot_be_named_is_not_named() -> None:
    """
    A card that was asked for by its code is not named, because only the code could name it.
    """
    assert str(errors.UnknownCardError("")) == "there is no such card"
    assert str(errors.UnknownCardError("K7QX-000042")) == "there is no card K7QX-000042"
    assert "on card" not in str(errors.OperationConflictError("add"))
    assert "on card K7QX-000042" in str(errors.OperationConflictError("recharge", "K7QX-000042"))


def test_store_errors_need_only_say_what_is_special() -> None:
    """
    Stores raise them by the offenders alone, and nothing may have been applied unless they say so.
    """
    for kind in (errors.StaleError, errors.DuplicateError, errors.CeilingError, errors.SchemaError):
        error = kind()
        assert not error.maybe_applied
        assert error.reason == str(error)
    assert not errors.StoreError("reason").maybe_applied


@pytest.mark.parametrize(
    "number, kind",
    [
        *((number, errors.StoreFullError) for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)),
        *((number, errors.StoreReadOnlyError) for number in (errno.EACCES, errno.EPERM, errno.EROFS)),
        *((number, errors.StoreError) for number in (errno.ENOENT, errno.EIO, errno.ENAMETOOLONG, errno.EMFILE)),
    ],
)
def test_what_the_operating_system_refuses_has_a_class(number: int, kind: type[errors.StoreError]) -> None:
    """
    No space and no permission are told apart from what else may be wrong, and the system's own words are kept.
    """
    error = errors.storage_error(OSError(number, os.strerror(number)), "cards.db")

    assert kind is type(error)
    assert str(error) == f"cards.db cannot be written: {os.strerror(number)}"
    assert not error.maybe_applied


def test_the_types_of_fields_can_be_resolved() -> None:
    """
    Tools that read annotations find every type.
    """
    for kind in [*CONCRETE, Problem]:
        assert all(hint is not Any for hint in get_type_hints(kind).values())
    assert get_args(get_type_hints(UploadError)["problems"]) == (Problem, ...)
