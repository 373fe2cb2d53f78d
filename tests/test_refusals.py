"""
Bad input: everything that a book refuses, with the class and the fields that say why, without a secret and a trace.
"""

from __future__ import annotations

import functools
import shutil
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.test_opening import altered, forked, with_files_up_to
from voipcard import (
    UNLIMITED,
    Call,
    CallRecord,
    CardBook,
    CardQuery,
    CodeFormat,
    Extension,
    Hold,
    License,
    NewCard,
    PinFormat,
    Policy,
    Rate,
    RateDeck,
    Tariff,
    errors,
    open_book,
)
from voipcard.core.query import EntryQuery
from voipcard.errors import VoipcardError
from voipcard.stores import Changes, Document, MemoryStore, SQLiteStore, Store
from voipcard.testing import samples

NUMBER: Final = "0003*215"
HOUR: Final = timedelta(hours=1)
CODE: Final = "7711018342215190"
SECOND: Final = "7722028342215191"
FREE: Final = "7733038342215192"
FITTING: Final = "7700183422151"
MISTYPED: Final = "7700183422157"
LONG: Final = "77" * 128
LETTERS: Final = "77OO1834Z215199x"
FOREIGN: Final = "77é101834221519９"
PIN: Final = "048215937162"
WEAK: Final = "123456789012"
NO_PIN_AT_ALL: Final = "04821593716x"
LONG_PIN: Final = "0482159371620482"
CALLER: Final = "+407221234567899"
CALLER_DIGITS: Final = CALLER[1:]
NO_CALLER: Final = "+40722123456789x"

GIVEN: Final = [
    *(CODE, SECOND, FREE, FITTING, MISTYPED, LONG, LETTERS, FOREIGN, PIN, WEAK, NO_PIN_AT_ALL, LONG_PIN),
    *(CALLER_DIGITS, NO_CALLER[1:]),
]


class Key:
    """
    A key that is always there.
    """

    place = "the tests"

    def wrap(self, secret: bytes) -> bytes:
        """
        Turn the secret around.
        """
        return secret[::-1]

    def unwrap(self, wrapped: bytes) -> bytes:
        """
        Turn it back.
        """
        return wrapped[::-1]


@attrs.frozen
class Desk:
    """
    A book with a few cards, at which bad things are asked for.

    Attributes:
        book: The book; alice acts.
        store: Another handle on its store.
        folder: A folder for files.
        first: A card with a code, a PIN and a credit of 11.
        second: A card with a code and a credit of 5.
        caller: A card with a CallerID and unlimited credit, with which somebody calls.
        foreign: A card of another extension.
        disabled: A card that is not enabled.
    """

    book: CardBook
    store: Store
    folder: Path
    first: str
    second: str
    caller: str
    foreign: str
    disabled: str

    @property
    def cards(self) -> Extension:
        """
        The extension.
        """
        return self.book.extension(NUMBER)


Faults: TypeAlias = Mapping[str, tuple[Any, type[VoipcardError], Mapping[str, Any]]]
"""What is given, the class of the error, and its fields as far as they matter."""


@attrs.frozen
class Refusal:
    """
    Something that is refused.

    Attributes:
        error: The class of the error.
        fields: Its fields, as far as they matter; a callable is given the desk.
        ask: What is asked for.
    """

    error: type[VoipcardError]
    fields: Mapping[str, Any]
    ask: Callable[[Desk], object]


def furnish(book: CardBook) -> list[str]:
    """
    Make the cards of a desk, and give their serials.
    """
    book.install_deck(RateDeck([Rate("40", Tariff(price=1))], name="retail"))
    extension = book.acting_as("alice").extension(NUMBER)
    first, second, caller = extension.add(
        [
            NewCard(CODE, PIN, credit=10, order_number="PO-1"),
            NewCard(SECOND, credit=5),
            NewCard(CALLER, credit=UNLIMITED),
        ]
    )
    [foreign] = book.extension("0004*001").add(CODE)
    [disabled] = extension.add("7744048342215193", enabled=False)
    extension.recharge(first.serial, 1, order_number="PO-2")
    extension.recharge(second.serial, "0.50", operation="op-1")
    extension.recharge(second.serial, "-0.50", operation="op-2")
    extension.generate(1, pin_format=PinFormat(12), operation="op-3")
    extension.configure(deck="retail")
    extension.begin_call(caller.serial, "40211234567", call_id="call 1").end(60)
    extension.begin_call(caller.serial, "40211234567", call_id="call 2", expires_in=timedelta(days=300))

    return [handout.serial for handout in (first, second, caller, foreign, disabled)]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """
    Make the file of a book once, to be copied.
    """
    path = tmp_path_factory.mktemp("template") / "cards.db"
    with open_book(SQLiteStore(path), currency="EUR", key=Key(), license=License(max_active_codes=6)) as book:
        serials = furnish(book)

    return path, serials


@pytest.fixture(params=["memory", "file"])
def desk(request: pytest.FixtureRequest, tmp_path: Path, template: tuple[Path, list[str]]) -> Iterator[Desk]:
    """
    Open a book in each kind of store.
    """
    memory, path = MemoryStore(), tmp_path / "cards.db"

    def opened() -> Store:
        if request.param == "memory":
            return memory.another()
        return SQLiteStore(path)

    license_ = License(max_active_codes=6)
    if request.param == "file":
        shutil.copy(template[0], path)
    with open_book(opened(), currency="EUR", key=Key(), license=license_) as book, closing(opened()) as store:
        serials = template[1] if request.param == "file" else furnish(book)
        yield Desk(book.acting_as("alice"), store, tmp_path, *serials)


def dump(store: Store) -> object:
    """
    Give all that a store holds.
    """
    numbers = ("", f"/{NUMBER}", "/0004*001")
    counters = [f"{name}{number}" for name in ("active", "cards") for number in numbers]

    return (*samples.contents(store), store.counters(counters), store.totals(EntryQuery(), ["card", "kind"]))


def said(error: BaseException | None) -> str:
    """
    Give all that an error says: its texts and fields, its traceback, and the same of what it came from.
    """
    if error is None:
        return ""
    own = [str(error), repr(error), repr(error.args), repr(getattr(error, "__notes__", ""))]
    origins = {id(origin): origin for origin in (error.__cause__, error.__context__)}

    return "\n".join([*own, *traceback.format_exception(error), *map(said, origins.values())])


def untyped(value: Any) -> Any:  # noqa: ANN401 - hides a wrong type from the type checker
    """
    Give what was given.
    """
    return value


def upload(desk: Desk, *rows: str) -> Path:
    """
    Write a file to upload.
    """
    path = desk.folder / "upload.csv"
    path.write_text("\n".join(rows))

    return path


def cursor(desk: Desk, **arguments: Any) -> str:  # noqa: ANN401 - those of `page`
    """
    Give the cursor after the first card of a search.
    """
    found = desk.cards.page(limit=1, **arguments).next_cursor
    assert found is not None

    return found


AMOUNTS: Final[Faults] = {
    "a float": (10.5, errors.AmountTypeError, {"given": "float"}),
    "a float that is none": (float("nan"), errors.AmountTypeError, {"given": "float"}),
    "a bool": (True, errors.AmountTypeError, {"given": "bool"}),
    "None": (None, errors.AmountTypeError, {"given": "NoneType"}),
    "NaN": (Decimal("NaN"), errors.AmountError, {"reason": "not_a_number"}),
    "infinity": (Decimal("Infinity"), errors.AmountError, {"reason": "not_a_number"}),
    "a word": ("ten", errors.AmountError, {"reason": "not_a_number"}),
    "a comma": ("10,00", errors.AmountError, {"reason": "not_a_number"}),
    "other digits": ("١٠", errors.AmountError, {"reason": "not_a_number"}),
    "too many decimals": ("0.0000001", errors.AmountError, {"reason": "too_precise"}),
    "too much": ("9223372036855", errors.AmountError, {"reason": "too_large"}),
}
INITIAL_AMOUNTS: Final[Faults] = {**AMOUNTS, "less than none": ("-0.01", errors.AmountError, {"reason": "negative"})}
CHANGES: Final[Faults] = {
    **AMOUNTS,
    "none": ("0.00", errors.AmountError, {"reason": "zero"}),
    "what makes too much": ("9223372036854", errors.AmountError, {"reason": "too_large"}),
}
MOVED_AMOUNTS: Final[Faults] = {
    **AMOUNTS,
    "none": (0, errors.AmountError, {"reason": "not_positive"}),
    "less than none": (-1, errors.AmountError, {"reason": "not_positive"}),
    "Unlimited": (UNLIMITED, errors.UnlimitedCreditError, {"serial": lambda desk: desk.first}),
}
HELD_AMOUNTS: Final[Faults] = {
    **INITIAL_AMOUNTS,
    "Unlimited": (UNLIMITED, errors.InvalidValueError, {"name": "amount"}),
}
OTHER_AMOUNTS: Final[Faults] = {name: fault for name, fault in HELD_AMOUNTS.items() if name != "None"}
SECONDS: Final[Faults] = {
    name: (value, errors.InvalidValueError, {"name": "seconds"})
    for name, value in {
        "less than none": -1,
        "more than a year": 366 * 24 * 3600 + 1,
        "a float": 1.5,
        "True": True,
        "a text": "60",
    }.items()
}
NUMBERS: Final[Faults] = {
    name: (value, errors.InvalidValueError, {"name": "destination"})
    for name, value in {
        "without digits": "+",
        "with letters": NO_CALLER,
        "that is too long": LONG[:33],
        "that is no text": int(CALLER_DIGITS),
    }.items()
}
PINS: Final[Faults] = {
    "of letters": (NO_PIN_AT_ALL, errors.InvalidPinError, {"reason": "not_digits"}),
    "too long": (LONG_PIN, errors.InvalidPinError, {"reason": "wrong_length"}),
    "that is weak": (WEAK, errors.WeakPinError, {"reason": "sequence"}),
    "out of its code": (FREE[:12], errors.WeakPinError, {"reason": "part_of_code"}),
}
CODES: Final[Faults] = {
    "without characters": (" - ", errors.InvalidCodeError, {"name": "code", "reason": "empty"}),
    "too long": (LONG, errors.InvalidCodeError, {"name": "code", "reason": "too_long"}),
    "not ASCII": (FOREIGN, errors.InvalidCodeError, {"name": "code", "reason": "not_ascii"}),
    "a number with letters": (NO_CALLER, errors.InvalidCodeError, {"name": "caller_id", "reason": "not_digits"}),
    "a number without digits": ("+", errors.InvalidCodeError, {"name": "caller_id", "reason": "empty"}),
}
FORMATS: Final[Faults] = {
    "length": ((CODE, CodeFormat()), errors.InvalidCodeError, {"reason": "wrong_length"}),
    "check digit": ((MISTYPED, CodeFormat()), errors.InvalidCodeError, {"reason": "wrong_check_digit"}),
    "prefix": ((FITTING, CodeFormat(10, prefix="78")), errors.InvalidCodeError, {"reason": "wrong_prefix"}),
    "suffix": ((FITTING, CodeFormat(10, suffix="99")), errors.InvalidCodeError, {"reason": "wrong_suffix"}),
    "alphabet": ((LETTERS, CodeFormat(15)), errors.InvalidCodeError, {"reason": "wrong_alphabet"}),
}


def running(desk: Desk) -> Call:
    """
    Give the call that somebody has begun.
    """
    return desk.cards.call(desk.caller, call_id="call 2")


def gone(desk: Desk) -> Hold:
    """
    Make up a hold that is not there.
    """
    return attrs.evolve(running(desk).hold, id="0f" * 16)


def crossed(faults: Faults, **verbs: Callable[[Desk, Any], object]) -> Iterator[tuple[str, Refusal]]:
    """
    Ask for every fault in every way.
    """
    for verb, ask in verbs.items():
        for name, (value, error, fields) in faults.items():
            yield f"{verb.replace('_', ' ')} {name}", Refusal(error, fields, functools.partial(_ask, ask, value))


def _ask(ask: Callable[[Desk, Any], object], value: object, desk: Desk) -> object:
    return ask(desk, value)


def _told_as(field: str, value: object, desk: Desk) -> object:
    facts: dict[str, Any] = {"started_at": datetime(2026, 3, 14, tzinfo=UTC), "seconds": 60, "serial": desk.first}
    facts |= {"call_id": "call 1", "destination": "40213123456", field: value}

    return desk.cards.settle_calls([CallRecord(**facts)])


CROSSED: Final[dict[str, Refusal]] = {
    **dict(
        crossed(
            INITIAL_AMOUNTS,
            generate_with=lambda d, amount: d.cards.generate(1, credit=amount),
            rehearse_to_generate_with=lambda d, amount: d.cards.generate(1, credit=amount, dry_run=True),
            add_with=lambda d, amount: d.cards.add(FREE, credit=amount),
        )
    ),
    **dict(
        crossed(
            CHANGES,
            recharge_by=lambda d, amount: d.cards.recharge(d.first, amount),
            recharge_one_of_two_by=lambda d, amount: d.cards.recharge_many([(d.second, 1), (d.first, amount)]),
        )
    ),
    **dict(crossed(MOVED_AMOUNTS, transfer=lambda d, amount: d.cards.transfer(d.first, d.second, amount=amount))),
    **dict(
        crossed(
            HELD_AMOUNTS,
            hold=lambda d, amount: d.cards.hold(d.first, amount, expires_in=HOUR),
        )
    ),
    **dict(
        crossed(
            OTHER_AMOUNTS,
            extend_to=lambda d, amount: d.cards.extend(running(d).hold, amount=amount, expires_in=HOUR),
            capture=lambda d, amount: d.cards.capture(running(d).hold, amount),
        )
    ),
    **dict(crossed(SECONDS, end_after=lambda d, seconds: running(d).end(seconds))),
    **dict(
        crossed(NUMBERS, call_a_number=lambda d, number: d.cards.begin_call(d.first, number, call_id="call 3")),
    ),
    **dict(
        crossed(
            PINS,
            add_with_a_PIN=lambda d, pin: d.cards.add(FREE, pin=pin),
            edit_to_a_PIN=lambda d, pin: d.cards.edit(d.first, code=FREE, pin=pin),
        )
    ),
    **dict(
        crossed(
            CODES,
            add=lambda d, code: d.cards.add([FREE, code]),
            edit_to=lambda d, code: d.cards.edit(d.first, code=code),
            find=lambda d, code: d.cards.find(code=code),
            search=lambda d, code: list(d.cards.search(code=code)),
        )
    ),
    **dict(
        crossed(
            FORMATS,
            add_with_a_wrong=lambda d, wrong: d.cards.add(wrong[0], code_format=wrong[1]),
            add_two_with_a_wrong=lambda d, wrong: d.cards.add([CALLER[:-1], wrong[0]], code_format=wrong[1]),
        )
    ),
}

OTHERS: Final[dict[str, Refusal]] = {
    # Rows
    "add a mistyped code among others": Refusal(
        errors.InvalidCodeError,
        {"name": "code", "reason": "wrong_check_digit", "row": 3},
        lambda d: d.cards.add([FITTING, CALLER, MISTYPED], code_format=CodeFormat()),
    ),
    "add a weak PIN among others": Refusal(
        errors.WeakPinError,
        {"name": "pin", "reason": "sequence", "row": 2},
        lambda d: d.cards.add([NewCard(FREE, PIN), NewCard(FITTING, WEAK)]),
    ),
    # Credit
    "overdraw": Refusal(
        errors.InsufficientCreditError,
        {"serial": lambda d: d.first, "available": "11.00", "wanted": "11.000001"},
        lambda d: d.cards.recharge(d.first, "-11.000001"),
    ),
    "overdraw by the second of two": Refusal(
        errors.InsufficientCreditError,
        {"serial": lambda d: d.first, "available": "1.00", "wanted": "2.00"},
        lambda d: d.cards.recharge_many([(d.first, -10), (d.first, -2)], order_number="PO-9", operation="op-9"),
    ),
    "transfer of more than there is": Refusal(
        errors.InsufficientCreditError,
        {"serial": lambda d: d.second, "available": "5.00", "wanted": "5.01"},
        lambda d: d.cards.transfer(d.second, d.first, amount="5.01"),
    ),
    "transfer from an unlimited card": Refusal(
        errors.UnlimitedCreditError,
        {"serial": lambda d: d.caller},
        lambda d: d.cards.transfer(d.caller, d.first, amount=1),
    ),
    "transfer to an unlimited card": Refusal(
        errors.UnlimitedCreditError,
        {"serial": lambda d: d.caller},
        lambda d: d.cards.transfer(d.first, d.caller, amount=1),
    ),
    "transfer to the same card": Refusal(
        errors.InvalidValueError, {"name": "target"}, lambda d: d.cards.transfer(d.first, d.first, amount=1)
    ),
    # Holds and calls
    "hold more than there is": Refusal(
        errors.InsufficientCreditError,
        {"serial": lambda d: d.second, "available": "5.00", "wanted": "5.01"},
        lambda d: d.cards.hold(d.second, "5.01", expires_in=HOUR),
    ),
    "hold for no time": Refusal(
        errors.InvalidValueError,
        {"name": "expires_in"},
        lambda d: d.cards.hold(d.second, 1, expires_in=timedelta(0)),
    ),
    "hold for years": Refusal(
        errors.InvalidValueError,
        {"name": "expires_in"},
        lambda d: d.cards.extend(running(d).hold, expires_in=timedelta(days=367)),
    ),
    "hold credit of a card that is disabled": Refusal(
        errors.CardUnusableError,
        {"serial": lambda d: d.disabled, "reason": "disabled"},
        lambda d: d.cards.hold(d.disabled, 0, expires_in=HOUR),
    ),
    "call with a card that is disabled": Refusal(
        errors.CardUnusableError,
        {"serial": lambda d: d.disabled, "reason": "disabled"},
        lambda d: d.cards.begin_call(d.disabled, CALLER, call_id="call 3"),
    ),
    "hold while somebody calls": Refusal(
        errors.TooManyCallsError,
        {"serial": lambda d: d.caller, "limit": 1},
        lambda d: d.cards.hold(d.caller, 1, expires_in=HOUR),
    ),
    "call while somebody calls": Refusal(
        errors.TooManyCallsError,
        {"serial": lambda d: d.caller, "limit": 1},
        lambda d: d.cards.begin_call(d.caller, CALLER, call_id="call 3"),
    ),
    "remove while somebody calls": Refusal(
        errors.CardInUseError, {"serial": lambda d: d.caller}, lambda d: d.cards.remove([d.second, d.caller])
    ),
    "extend a hold that is gone": Refusal(
        errors.UnknownHoldError, {"serial": lambda d: d.caller}, lambda d: d.cards.extend(gone(d), expires_in=HOUR)
    ),
    "a call that nobody has begun": Refusal(
        errors.UnknownHoldError, {"serial": lambda d: d.first}, lambda d: d.cards.call(d.first, call_id="call 2")
    ),
    "begin a call that has ended": Refusal(
        errors.CallEndedError,
        {"serial": lambda d: d.first},
        lambda d: d.cards.begin_call(d.first, CALLER, call_id="call 1"),
    ),
    "begin a call to another number": Refusal(
        errors.OperationConflictError,
        {"verb": "begin_call", "serial": lambda d: d.caller},
        lambda d: d.cards.begin_call(d.caller, CALLER, call_id="call 2"),
    ),
    "call a number without a rate": Refusal(
        errors.UnknownDestinationError,
        {"deck": "retail"},
        lambda d: d.cards.begin_call(d.first, LONG[:32], call_id="call 3"),
    ),
    "call without a name": Refusal(
        errors.InvalidValueError, {"name": "call_id"}, lambda d: d.cards.begin_call(d.first, CALLER, call_id="")
    ),
    "sweep no cards": Refusal(errors.InvalidValueError, {"name": "limit"}, lambda d: d.book.sweep(limit=0)),
    # Duplicates
    "add a code twice": Refusal(
        errors.CardExistsError, {"rows": (1, 3)}, lambda d: d.cards.add([FREE, MISTYPED, FREE[:4] + " " + FREE[4:]])
    ),
    "add a number twice": Refusal(
        errors.CardExistsError, {"rows": (1, 2)}, lambda d: d.cards.add([f"{CALLER}1", NewCard(f"{CALLER}1", PIN)])
    ),
    "add a code that is there": Refusal(
        errors.CardExistsError, {"rows": (2,)}, lambda d: d.cards.add([FREE, CODE, MISTYPED])
    ),
    "add a number that is there": Refusal(
        errors.CardExistsError, {"rows": (1,)}, lambda d: d.cards.add(CALLER_DIGITS, caller_id=True)
    ),
    "add a code that is there, rehearsed": Refusal(
        errors.CardExistsError, {"rows": (1,)}, lambda d: d.cards.add(CODE, dry_run=True)
    ),
    "edit to a code that is there": Refusal(
        errors.CardExistsError, {"rows": (1,)}, lambda d: d.cards.edit(d.second, code=CODE)
    ),
    "edit to a number that is there": Refusal(
        errors.CardExistsError, {"rows": (1,)}, lambda d: d.cards.edit(d.second, code=CALLER)
    ),
    # License
    "generate over the quota": Refusal(
        errors.QuotaExceededError, {"limit": 6, "active": 5, "requested": 2}, lambda d: d.cards.generate(2)
    ),
    "generate over the quota, rehearsed": Refusal(
        errors.QuotaExceededError,
        {"limit": 6, "active": 5, "requested": 2},
        lambda d: d.cards.generate(2, dry_run=True),
    ),
    "add over the quota": Refusal(
        errors.QuotaExceededError, {"limit": 6, "active": 5, "requested": 2}, lambda d: d.cards.add([FREE, MISTYPED])
    ),
    "upload over the quota": Refusal(
        errors.QuotaExceededError,
        {"limit": 6, "active": 5, "requested": 2},
        lambda d: d.cards.upload(upload(d, FREE, MISTYPED)),
    ),
    "enable over the quota": Refusal(
        errors.QuotaExceededError,
        {"limit": 5, "active": 5, "requested": 1},
        lambda d: d.cards.enable(d.disabled),
    ),
    # Formats
    "generate none": Refusal(errors.InvalidValueError, {"name": "count"}, lambda d: d.cards.generate(0)),
    "generate less than none": Refusal(errors.InvalidValueError, {"name": "count"}, lambda d: d.cards.generate(-1)),
    "generate True": Refusal(errors.InvalidValueError, {"name": "count"}, lambda d: d.cards.generate(True)),  # noqa: FBT003
    "generate half a card": Refusal(
        errors.InvalidValueError, {"name": "count"}, lambda d: d.cards.generate(untyped(0.5))
    ),
    "generate too many for the format": Refusal(
        errors.CrowdedError,
        {"wanted": 2006, "allowed": 2000},
        lambda d: d.cards.generate(2001, code_format=CodeFormat(4), odds_limit=1),
    ),
    "generate codes that are guessed": Refusal(
        errors.GuessableError, {"limit": 0.001}, lambda d: d.cards.generate(1, code_format=CodeFormat(6))
    ),
    "odds that are none": Refusal(
        errors.InvalidValueError, {"name": "odds_limit"}, lambda d: d.cards.generate(1, odds_limit=float("nan"))
    ),
    "add nothing": Refusal(errors.InvalidValueError, {"name": "cards"}, lambda d: d.cards.add([])),
    # Cards that are not there
    "get an unknown serial": Refusal(
        errors.UnknownCardError, {"serial": "NONE-000001"}, lambda d: d.cards["NONE-000001"]
    ),
    "get an unknown code": Refusal(errors.UnknownCardError, {"serial": ""}, lambda d: d.cards.get(code=FREE)),
    "get an unknown number": Refusal(errors.UnknownCardError, {"serial": ""}, lambda d: d.cards.get(caller_id=FREE)),
    "get a number as a code": Refusal(
        errors.UnknownCardError, {"serial": ""}, lambda d: d.cards.get(code=CALLER_DIGITS)
    ),
    **{
        f"{verb} a card of another extension": Refusal(errors.UnknownCardError, {"serial": lambda d: d.foreign}, ask)
        for verb, ask in {
            "recharge": lambda d: d.cards.recharge(d.foreign, 1),
            "recharge many, one": lambda d: d.cards.recharge_many([(d.first, 1), (d.foreign, 1)]),
            "transfer from": lambda d: d.cards.transfer(d.foreign, d.first, amount=1),
            "transfer to": lambda d: d.cards.transfer(d.first, d.foreign, amount=1),
            "edit": lambda d: d.cards.edit(d.foreign, pin=PIN),
            "enable": lambda d: d.cards.enable([d.disabled, d.foreign]),
            "disable": lambda d: d.cards.disable([d.first, d.foreign]),
            "remove": lambda d: d.cards.remove([d.first, d.foreign]),
            "remove, rehearsed,": lambda d: d.cards.remove([d.first, d.foreign], dry_run=True),
            "reveal": lambda d: d.cards.reveal(d.foreign),
            "history of": lambda d: list(d.cards.history(d.foreign)),
            "set the expiry of": lambda d: d.cards.set_expiry([d.first, d.foreign], None),
            "label": lambda d: d.cards.label_cards([d.first, d.foreign], add=["shipped"]),
            "hold credit of": lambda d: d.cards.hold(d.foreign, 1, expires_in=HOUR),
            "look at holds of": lambda d: d.cards.holds(d.foreign),
            "capture from": lambda d: d.cards.capture(attrs.evolve(running(d).hold, serial=d.foreign)),
            "call with": lambda d: d.cards.begin_call(d.foreign, CALLER, call_id="call 3"),
            "go on to call with": lambda d: d.cards.call(d.foreign, call_id="call 2"),
        }.items()
    },
    # Batches that are not there
    **{
        f"{verb} a batch of another extension": Refusal(
            errors.UnknownBatchError, {"batch": lambda d: d.foreign[:4]}, ask
        )
        for verb, ask in {
            "look at": lambda d: d.cards.batch(d.foreign[:4]),
            "disable": lambda d: d.cards.disable_batch(d.foreign[:4]),
            "enable": lambda d: d.cards.enable_batch(d.foreign[:4]),
            "label": lambda d: d.cards.label_batch(d.foreign[:4], add=["shipped"]),
        }.items()
    },
    "a code instead of a batch": Refusal(errors.UnknownBatchError, {"batch": ""}, lambda d: d.cards.batch(FREE)),
    # Settings and the life of cards
    "less than nothing to call": Refusal(
        errors.AmountError, {"reason": "negative"}, lambda d: d.cards.configure(minimum_credit=-1)
    ),
    "no time to dial": Refusal(
        errors.InvalidValueError, {"name": "seconds_to_dial"}, lambda d: d.cards.configure(seconds_to_dial=0)
    ),
    "a region of no country": Refusal(
        errors.InvalidValueError, {"name": "region"}, lambda d: d.cards.configure(region="XX")
    ),
    "no labels": Refusal(errors.InvalidValueError, {"name": "add, remove"}, lambda d: d.cards.label_cards(d.first)),
    "an end of no zone": Refusal(
        errors.InvalidValueError,
        {"name": "moment"},
        lambda d: d.cards.set_expiry(d.first, datetime(2030, 1, 1)),  # noqa: DTZ001 - what is refused
    ),
    "disable nothing that has expired": Refusal(
        errors.InvalidValueError, {"name": "limit"}, lambda d: d.book.disable_expired(limit=0)
    ),
    # Searching
    "find nothing": Refusal(errors.InvalidValueError, {}, lambda d: d.cards.find()),
    "find two things": Refusal(errors.InvalidValueError, {}, lambda d: d.cards.find(code=CODE, serial=d.first)),
    "a page of none": Refusal(errors.InvalidValueError, {"name": "limit"}, lambda d: d.cards.page(limit=0)),
    "a page of too many": Refusal(errors.InvalidValueError, {"name": "limit"}, lambda d: d.cards.page(limit=10_001)),
    "an order that is none": Refusal(
        errors.InvalidValueError, {"name": "order"}, lambda d: list(d.cards.search(order=untyped("code")))
    ),
    "a query of another extension": Refusal(
        errors.InvalidValueError, {"name": "extension"}, lambda d: list(d.cards.search(CardQuery(extension="0004*001")))
    ),
    "a query and filters": Refusal(
        errors.InvalidValueError, {"name": "filters"}, lambda d: list(d.cards.search(CardQuery(), enabled=True))
    ),
    "a moment without a time zone": Refusal(
        errors.InvalidValueError,
        {},
        lambda d: d.cards.count(created_from=datetime(2026, 3, 14)),  # noqa: DTZ001 - what is refused
    ),
    "a credit as float": Refusal(
        errors.AmountTypeError, {"given": "float"}, lambda d: d.cards.count(credit_below=untyped(0.5))
    ),
    **{
        f"a cursor {name}": Refusal(errors.CursorError, {}, ask)
        for name, ask in {
            "of nothing": lambda d: d.cards.page(cursor=""),
            "of garbage": lambda d: d.cards.page(cursor="garbage"),
            "of no ASCII": lambda d: d.cards.page(cursor="€" * 40),
            "of another search": lambda d: d.cards.page(cursor=cursor(d, kind="code")),
            "of another order": lambda d: d.cards.page(cursor=cursor(d, order="serial")),
            "of the other direction": lambda d: d.cards.page(cursor=cursor(d, descending=True)),
            "of another extension": lambda d: d.book.extension("0004*001").page(cursor=cursor(d)),
            "of digits of another code": lambda d: d.cards.page(code_contains="1", cursor=cursor(d, code_contains="7")),
            "that was cut": lambda d: d.cards.page(cursor=cursor(d)[:-4]),
            "that was changed": lambda d: d.cards.page(cursor=cursor(d).swapcase()),
        }.items()
    },
    # Exactly once
    "an order number for another amount": Refusal(
        errors.OperationConflictError,
        {"verb": "recharge", "serial": lambda d: d.first},
        lambda d: d.cards.recharge(d.first, 2, order_number="PO-2"),
    ),
    "an order number for another amount among others": Refusal(
        errors.OperationConflictError,
        {"verb": "recharge", "serial": lambda d: d.first},
        lambda d: d.cards.recharge_many([(d.second, 2), (d.first, 2)], order_number="PO-2"),
    ),
    "an operation for another amount": Refusal(
        errors.OperationConflictError,
        {"verb": "recharge"},
        lambda d: d.cards.recharge(d.second, "0.51", operation="op-1"),
    ),
    "an operation for another verb": Refusal(
        errors.OperationConflictError, {"verb": "add"}, lambda d: d.cards.add(FREE, pin=PIN, operation="op-1")
    ),
    "an operation for another PIN length": Refusal(
        errors.OperationConflictError, {"verb": "generate"}, lambda d: d.cards.generate(1, operation="op-3")
    ),
    # Texts
    "reveal calls for nobody": Refusal(
        errors.ActorRequiredError,
        {"verb": "reveal_calls"},
        lambda d: d.book.acting_as("").extension(NUMBER).reveal_calls(),
    ),
    "reveal for nobody": Refusal(
        errors.ActorRequiredError,
        {"verb": "reveal"},
        lambda d: d.book.acting_as("").extension(NUMBER).reveal(d.first),
    ),
    "an actor with a line break": Refusal(
        errors.InvalidValueError, {"name": "actor"}, lambda d: d.book.acting_as("alice\nbob")
    ),
    "an order number that is too long": Refusal(
        errors.InvalidValueError,
        {"name": "order_number"},
        lambda d: d.cards.recharge(d.first, 1, order_number="x" * 256),
    ),
    "an order number with half a character": Refusal(
        errors.InvalidValueError, {"name": "order_number"}, lambda d: d.cards.generate(1, order_number="\ud800")
    ),
    "a label without characters": Refusal(
        errors.InvalidValueError, {"name": "label"}, lambda d: d.cards.add(FREE, labels=["kiosk", ""])
    ),
    "a label with a line break": Refusal(
        errors.InvalidValueError, {"name": "label"}, lambda d: d.cards.generate(1, labels=["a\nb"])
    ),
    "an extension with a space": Refusal(
        errors.InvalidValueError, {"name": "extension"}, lambda d: d.book.extension("0003 215")
    ),
    "an extension without characters": Refusal(
        errors.InvalidValueError, {"name": "extension"}, lambda d: d.book.disable_extension("")
    ),
    "an expiry without a time zone": Refusal(
        errors.InvalidValueError,
        {},
        lambda d: d.cards.add(FREE, expires_at=datetime(2026, 3, 14)),  # noqa: DTZ001 - what is refused
    ),
    "an age below zero": Refusal(
        errors.InvalidValueError,
        {"name": "older_than"},
        lambda d: d.cards.remove_unused(older_than=timedelta(microseconds=-1)),
    ),
    "a license that nobody signed": Refusal(
        errors.LicenseError, {"reason": "malformed"}, lambda d: d.book.install_license("voipcard-license-1")
    ),
    "a license that is none": Refusal(
        errors.InvalidValueError, {"name": "max_active_codes"}, lambda d: d.book.install_license(License(-1))
    ),
    "a deck that is none": Refusal(
        errors.InvalidValueError, {"name": "deck"}, lambda d: d.book.install_deck(untyped({"40": "0.02"}))
    ),
    "another deck from the same moment on": Refusal(
        errors.DeckExistsError,
        {"deck": "retail", "valid_from": ""},
        lambda d: d.book.install_deck(RateDeck([Rate("40", Tariff(price=2))], name="retail")),
    ),
    "a deck that is not there": Refusal(errors.UnknownDeckError, {"deck": "night"}, lambda d: d.book.deck("night")),
    "a deck of a moment without a time zone": Refusal(
        errors.InvalidValueError,
        {"name": "moment"},
        lambda d: d.book.deck("retail", at=datetime(2026, 3, 14)),  # noqa: DTZ001 - what is refused
    ),
    # Calls that have taken place
    "a call that is none": Refusal(
        errors.InvalidValueError, {"name": "records"}, lambda d: d.cards.settle_calls([untyped(CODE)])
    ),
    **{
        f"a call {name}": Refusal(errors.InvalidValueError, {"name": field}, functools.partial(_told_as, field, value))
        for name, field, value in [
            ("of no name", "call_id", ""),
            ("of a code", "serial", CODE),
            ("to nobody", "destination", NO_CALLER),
            ("at no moment", "started_at", datetime(2026, 3, 14)),  # noqa: DTZ001 - what is refused
            ("of less than no time", "seconds", -1),
        ]
    },
    "calls of a time zone that is none": Refusal(
        errors.InvalidValueError,
        {"name": "zone"},
        lambda d: d.cards.import_cdrs(upload(d, "uniqueid,card,dst,start,billsec"), zone="Mars/Olympus"),
    ),
    "calls of a file that is not there": Refusal(
        errors.SheetError, {"reason": "missing"}, lambda d: d.cards.import_cdrs(d.folder / "none.csv")
    ),
    "calls without a header": Refusal(
        errors.UploadError, {"reason": "rows"}, lambda d: d.cards.import_cdrs(upload(d, f"1,{CODE},{CALLER},0,60"))
    ),
    "a policy that is none": Refusal(errors.InvalidValueError, {"name": "guesses"}, lambda _: Policy(guesses=0)),
    # Files
    "upload a file that is not there": Refusal(
        errors.SheetError, {"reason": "missing"}, lambda d: d.cards.upload(d.folder / "none.csv")
    ),
    "upload codes that are none": Refusal(
        errors.UploadError,
        {"reason": "rows"},
        lambda d: d.cards.upload(upload(d, FREE, f"{LETTERS},{NO_PIN_AT_ALL}", f"{FREE},{PIN}", f"{NO_CALLER}")),
    ),
    "upload a code that is there": Refusal(
        errors.UploadError, {"reason": "rows"}, lambda d: d.cards.upload(upload(d, FREE, f"{CODE},{PIN},PO-3,1.00"))
    ),
}


TABLE: Final = {**CROSSED, **OTHERS}


@pytest.mark.parametrize("name", TABLE)
def test_what_is_refused_leaves_no_trace(name: str, desk: Desk) -> None:
    """
    Each refusal has its class and fields, says no secret, and changes nothing in the book.
    """
    refusal = TABLE[name]
    if name == "enable over the quota":
        desk.book.install_license(License(max_active_codes=5))
    before = dump(desk.store)
    with pytest.raises(VoipcardError) as caught:
        refusal.ask(desk)
    error = caught.value
    text = said(error)

    assert refusal.error is type(error)
    expected = {key: value(desk) if callable(value) else value for key, value in refusal.fields.items()}
    assert expected == {key: getattr(error, key) for key in expected}
    assert [secret for secret in GIVEN if secret in text] == []
    assert before == dump(desk.store)


def test_the_table_is_complete() -> None:
    """
    Every class of refusal that a caller of the shell can meet is in the table, or needs a store of its own to be met.
    """
    met = {refusal.error.__name__ for refusal in TABLE.values()}
    elsewhere = {
        *("VoipcardError", "CurrencyError", "KeyMissingError", "KeyMismatchError", "TamperedError", "Problem"),
        *("StoreError", "StaleError", "DuplicateError", "CeilingError", "NotABookError", "SchemaError"),
        *("StoreReadOnlyError", "StoreFullError", "StoreBusyError", "StoreClosedError"),
        *("JoinedStoreError", "OccupiedError", "UnequalError"),  # of stores that join, and of copies
        "SignatureError",  # of checkpoints
        "AccessDeniedError",  # which writes what was tried
    }

    assert set(errors.__all__) == met | elsewhere


# What was changed by hand


def change(desk: Desk, serial: str, **fields: Any) -> None:  # noqa: ANN401 - any column
    """
    Change fields of a stored card behind the back of the library.
    """
    path = desk.folder / "cards.db"
    if path.exists():
        with altered(path) as connection:
            for field, value in fields.items():
                connection.execute(f'UPDATE cards SET "{field}" = ? WHERE serial = ?', (value, serial))  # noqa: S608
    else:
        store: Any = desk.store
        record = store.find(serial=serial)
        store._cards[record.id] = record._replace(**fields)  # noqa: SLF001 - behind its back


USES: Final[dict[str, Callable[[Desk], object]]] = {
    "get": lambda d: d.cards[d.first],
    "find": lambda d: d.cards.find(code=CODE),
    "search": lambda d: list(d.cards.search()),
    "page": lambda d: d.cards.page(),
    "reveal": lambda d: d.cards.reveal(d.first),
    "recharge": lambda d: d.cards.recharge(d.first, 1),
    "recharge with the others": lambda d: d.cards.recharge_many([(d.second, 1), (d.first, 1)]),
    "transfer from": lambda d: d.cards.transfer(d.first, d.second, amount=1),
    "transfer to": lambda d: d.cards.transfer(d.second, d.first, amount=1),
    "edit": lambda d: d.cards.edit(d.first, pin=""),
    "disable": lambda d: d.cards.disable(d.first),
    "disable all": lambda d: d.cards.disable(CardQuery()),
    "remove": lambda d: d.cards.remove(d.first),
    "remove all": lambda d: d.cards.remove(CardQuery()),
    "history": lambda d: list(d.cards.history(d.first)),
    "hold": lambda d: d.cards.hold(d.first, 1, expires_in=HOUR),
    "holds": lambda d: d.cards.holds(d.first),
    "begin a call": lambda d: d.cards.begin_call(d.first, CALLER, call_id="call 3"),
    "liability": lambda d: d.cards.liability(),
    "calls": lambda d: list(d.cards.calls(card=d.first)),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize(
    "fields",
    [
        {"credit": UNLIMITED.micros},
        {"enabled": False},
        {"sealed_code": bytes(69)},
        {"pin_mac": b"", "sealed_pin": b""},
    ],
    ids=["credit", "enabled", "code", "PIN"],
)
def test_a_card_that_was_changed_by_hand_is_refused(fields: dict[str, Any], use: str, desk: Desk) -> None:
    """
    A hand-edited credit, or a changed sealed value, is found by whatever uses the card, and the book stays as it is.
    """
    change(desk, desk.first, **fields)
    before = dump(desk.store)
    with pytest.raises(errors.TamperedError) as caught:
        USES[use](desk)
    text = said(caught.value)

    assert desk.first == caught.value.subject
    assert [secret for secret in GIVEN if secret in text] == []
    assert before == dump(desk.store)
    assert desk.cards[desk.second].serial == desk.second


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), column=st.sampled_from(["sealed_code", "sealed_pin", "pin_mac", "index", "chain", "mac"]))
@pytest.mark.parametrize("desk", ["memory"], indirect=True)
def test_no_byte_of_a_secret_can_be_changed(desk: Desk, column: str, data: st.DataObject) -> None:
    """
    Each byte of each sealed or signed value matters.
    """
    record = desk.store.find(serial=desk.first)
    assert record is not None
    value = bytearray(getattr(record, column))
    value[data.draw(st.integers(0, len(value) - 1))] ^= data.draw(st.integers(1, 255))
    change(desk, desk.first, **{column: bytes(value)})
    with pytest.raises(errors.TamperedError):
        desk.cards.reveal(desk.first)
    change(desk, desk.first, **{column: getattr(record, column)})

    assert desk.cards[desk.first].serial == desk.first


# A full disk


@pytest.mark.parametrize("journal", ["delete", None])
def test_a_full_disk_refuses_every_verb(journal: Any, tmp_path: Path) -> None:  # noqa: ANN401 - one of two words
    """
    Where nothing can be written each verb is refused, and nothing is changed; what only reads goes on.
    """
    path = tmp_path / "cards.db"
    with open_book(SQLiteStore(path, journal=journal), currency="EUR", key=Key()) as book:
        extension = book.extension(NUMBER)
        first, second = (handout.serial for handout in extension.add([CODE, SECOND], credit=10))

    def ask() -> tuple[list[str], bool, int]:
        store = SQLiteStore(path, journal=journal)
        with open_book(store, key=Key()) as book:
            cards = book.acting_as("alice").extension(NUMBER)
            store.commit(Changes(documents=[(Document("key", b"", version=1), 0)]))  # Lets the side files exist.
            before = samples.contents(store)
            verbs: list[Callable[[], object]] = [
                lambda: cards.generate(1),
                lambda: cards.generate(2100),
                lambda: cards.add(FREE, pin=PIN),
                lambda: cards.recharge(first, 1, order_number="PO-2"),
                lambda: cards.transfer(first, second, amount=1),
                lambda: cards.edit(first, code=FREE),
                lambda: cards.disable([first, second]),
                lambda: cards.remove(second),
                lambda: cards.reveal(first),
                lambda: book.install_license(License(5)),
                lambda: book.disable_extension(NUMBER),
            ]
            refused = with_files_up_to(100, lambda: _refusals(verbs))()
            return refused, before == samples.contents(store), len(list(cards))

    refused, unchanged, found = forked(ask)()

    assert refused == ["StoreFullError"] * 11
    assert unchanged
    assert found == 2


def _refusals(verbs: list[Callable[[], object]]) -> list[str]:
    refused = []
    for verb in verbs:
        try:
            verb()
            refused.append("done")
        except VoipcardError as error:
            text = said(error)
            refused.append("not discreet" if any(secret in text for secret in GIVEN) else type(error).__name__)

    return refused
