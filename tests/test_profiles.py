"""
Profiles: a book that keeps its PINs readable, and one that only recognizes them, agree on everything else.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, get_args

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.book_world import (
    EXTENSION,
    BareKey,
    book_on,
    engine_of,
    everything,
    file_book,
    findings_of,
    new_book,
    on_disk,
    outcome,
    seeded,
    verbs_of,
)
from voipcard import NO_PIN, CardBook, Extension, NewCard, PinFormat, Policy, Profile, open_book, sheets
from voipcard.errors import InvalidValueError, TamperedError, UploadError, WeakPinError
from voipcard.names import BOOK
from voipcard.stores import CardRecord, Changes, MemoryStore, SQLiteStore

PROFILES: Final = get_args(Profile)
CODE: Final = "7711018342215190"
PIN: Final = "593716"
OTHER_PIN: Final = "204821"

pins: Final = st.integers(4, 12).flatmap(lambda length: st.text("0123456789", min_size=length, max_size=length))


def strict(**settings: Any) -> Extension:  # noqa: ANN401 - those of `book_on`
    """
    Make a strict book in memory, of which alice uses an extension.
    """
    return new_book(profile="strict", **settings).acting_as("alice").extension(EXTENSION)


def record_of(extension: Extension, serial: str) -> CardRecord:
    """
    Give a card as it is stored.
    """
    record = engine_of(extension).store.find(serial=serial)
    assert record is not None

    return record


def recognizes(extension: Extension, serial: str, pin: str) -> bool:
    """
    Tell whether the book takes this for the PIN of a card.
    """
    record = record_of(extension, serial)

    return engine_of(extension).records.keyring.pin_matches(pin, record.pin_mac, owner=record.id)


def replaced(extension: Extension, serial: str, **fields: Any) -> None:  # noqa: ANN401 - any field
    """
    Change a stored card by hand.
    """
    record = record_of(extension, serial)
    changed = record._replace(**fields)
    engine_of(extension).store.commit(Changes(replace=[(changed, record.version)]))


# What a book is


@pytest.mark.parametrize("given", [None, *PROFILES])
def test_a_book_is_what_was_said_first(given: Profile | None, tmp_path: Path) -> None:
    """
    The profile is said once, and holds for everybody who opens the book later. Without a word it is `operator`.
    """
    with file_book(tmp_path / "cards.db", profile=given) as book:
        first = book.profile
    with file_book(tmp_path / "cards.db") as book:
        later = book.profile
    with open_book(profile=given) as book:
        in_memory = book.profile

    assert [given or "operator"] * 3 == [first, later, in_memory]


@pytest.mark.parametrize("profile, other", [PROFILES, PROFILES[::-1]])
def test_a_book_does_not_become_another(profile: Profile, other: Profile, tmp_path: Path) -> None:
    """
    Another profile is refused, and nothing is written.
    """
    path = tmp_path / "cards.db"
    file_book(path, profile=profile).close()
    before = on_disk(path)
    with pytest.raises(InvalidValueError) as caught:
        file_book(path, profile=other)

    assert caught.value.name == "profile"
    assert profile in str(caught.value)
    assert before == on_disk(path)


def test_no_book_is_made_of_a_profile_that_is_none(tmp_path: Path) -> None:
    """
    A misspelled profile is refused before there is a file or a key.
    """
    with pytest.raises(InvalidValueError):
        open_book(tmp_path / "cards.db", currency="EUR", profile="Strict")  # type: ignore[arg-type]

    assert list(tmp_path.iterdir()) == []


def test_nobody_can_change_the_profile_by_hand(tmp_path: Path) -> None:
    """
    The profile is covered by the keys of the book: a store cannot make a strict book keep PINs.
    """
    store = SQLiteStore(tmp_path / "cards.db")
    book_on(store, profile="strict")
    document = store.document(BOOK)
    assert document is not None
    changed = document._replace(value=document.value.replace(b'"strict"', b'"operator"'), version=2)
    store.commit(Changes(documents=[(changed, 1)]))

    with pytest.raises(TamperedError):
        open_book(store, key=BareKey())


# What both have in common


def played(profile: Profile) -> CardBook:
    """
    Do the same with a book of this profile, whatever it is.
    """
    book = new_book(profile=profile, source=seeded("both")).acting_as("alice")
    extension = book.extension(EXTENSION)
    drawn = extension.generate(3, credit=5, pin_format=PinFormat(6), order_number="PO-1", operation="op-1")
    extension.generate(1, pin_format=NO_PIN)
    extension.add([NewCard(CODE, PIN), NewCard("+40722123456", OTHER_PIN), NewCard("12345678")])
    extension.edit(drawn[0].serial, code="8800123")
    extension.edit(drawn[1].serial, pin="")
    extension.edit(drawn[2].serial, pin=PIN)
    extension.disable(drawn[2].serial)
    extension.recharge(drawn[0].serial, 3, order_number="PO-2")
    extension.reveal(drawn[0].serial)
    extension.generate(3, credit=5, pin_format=PinFormat(6), order_number="PO-1", operation="op-1")

    return book


def test_profiles_differ_in_nothing_else() -> None:
    """
    Cards, histories, quota and audit trail are the same, and both books are sound.
    """

    def told(book: CardBook) -> object:
        cards: Any = everything(book)["cards"]
        return [(attrs.evolve(card, id=b""), history) for card, history in cards], verbs_of(book), book.quota

    operator, strict = map(played, PROFILES)

    assert told(operator) == told(strict)
    assert findings_of(operator) == findings_of(strict) == set()


# PINs that are not kept


@given(pins, pins)
@example("4821", "04821")
def test_a_pin_is_recognized_though_it_is_not_kept(pin: str, other: str) -> None:
    """
    The right PIN of a card is told from all others, and there is nothing that could be unsealed.
    """
    extension = strict(policy=Policy(allow_weak_pins=True))
    [handout] = extension.add("kiosk", pin=pin)
    record = record_of(extension, handout.serial)

    assert recognizes(extension, handout.serial, pin)
    assert (pin == other) == recognizes(extension, handout.serial, other)
    assert record.sealed_pin == b""
    assert extension.get(handout.serial).has_pin


def test_no_sealed_value_of_a_strict_book_is_a_pin() -> None:
    """
    Whatever is tried with all keys and every stored value, nobody gets a PIN; of the other profile anybody would.
    """
    found = {}
    for profile in PROFILES:
        book = new_book(profile=profile)
        extension = book.extension(EXTENSION)
        batch = extension.generate(20, pin_format=PinFormat(12))
        ring = engine_of(book).records.keyring
        texts = set()
        for record in (record_of(extension, handout.serial) for handout in batch):
            values = [value for value in record if isinstance(value, bytes)]
            for value, part in ((value, part) for value in values for part in ("code", "PIN")):
                with suppress(TamperedError):
                    texts.add(ring.unseal(value, part=part, owner=record.id, subject=""))
        found[profile] = len({handout.pin for handout in batch} & texts)
        assert {handout.code for handout in batch} <= texts

    assert found == {"operator": 20, "strict": 0}


def test_hand_outs_of_a_strict_book_say_what_they_do_not_have() -> None:
    """
    New cards have their PIN; asked again, the hand-out says that there is one and that it is not kept.
    """
    extension = strict()
    asked: dict[str, Any] = {"pin_format": PinFormat(6), "operation": "op"}
    new = extension.generate(2, **asked)
    [without] = extension.generate(1, pin_format=NO_PIN)
    again = extension.generate(2, **asked)
    revealed = [extension.reveal(handout.serial) for handout in new]

    assert [(handout.has_pin, len(handout.pin)) for handout in new] == [(True, 6)] * 2
    for other in (again, revealed):
        assert [(handout.serial, handout.code, True, "") for handout in new] == [
            (handout.serial, handout.code, handout.has_pin, handout.pin) for handout in other
        ]
    assert (without.has_pin, extension.reveal(without.serial).has_pin) == (False, False)
    assert all(recognizes(extension, handout.serial, handout.pin) for handout in new)


@pytest.mark.parametrize("profile", PROFILES)
def test_a_hand_out_says_whether_a_pin_is_asked_for(profile: Profile) -> None:
    """
    The hand-outs of new cards, of a replay, and of `reveal` agree with the card on it.
    """
    extension = new_book(profile=profile).acting_as("alice").extension(EXTENSION)
    cards = [NewCard(CODE, PIN), NewCard("12345678"), NewCard("+40722123456", PIN)]
    new = extension.add(cards, operation="op")
    again = extension.add(cards, operation="op")

    for handout, replayed in zip(new, again, strict=True):
        told = {handout.has_pin, replayed.has_pin, extension.reveal(handout.serial).has_pin}
        assert {extension.get(handout.serial).has_pin} == told


# Files


@pytest.fixture(params=["csv", "xlsx"])
def tables(request: pytest.FixtureRequest, tmp_path: Path) -> list[Path]:
    """
    Write the cards of a strict book, one of which has no PIN, as hand-outs and as a list.
    """
    extension = strict()
    batch = extension.add([NewCard(CODE, PIN, credit=5), NewCard("12345678")], operation="op")
    again = extension.add([NewCard(CODE, PIN, credit=5), NewCard("12345678")], operation="op")
    paths = [tmp_path / f"{name}.{request.param}" for name in ("new", "again", "list")]
    sheets.write(paths[0], batch)
    sheets.write(paths[1], again)
    extension.export(paths[2], reveal=True)

    return paths


def test_a_list_says_that_a_pin_is_not_kept(tables: list[Path]) -> None:
    """
    New hand-outs show the PIN, later ones and lists `not kept`; without a PIN the field is empty.
    """

    def pins(path: Path) -> list[object]:
        header, *rows = (row.cells for row in sheets.read(path))
        place = header.index("PIN")
        return [row[place] for row in rows]

    assert list(map(pins, tables)) == [[PIN, ""], ["not kept", ""], ["not kept", ""]]


@pytest.mark.parametrize("profile", PROFILES)
def test_what_is_not_kept_is_not_uploaded(profile: Profile, tables: list[Path]) -> None:
    """
    A file without the PINs that its cards have is refused whole: cards without a PIN would be made of it.
    """
    for path in tables[1:]:
        extension = new_book(profile=profile).extension(EXTENSION)
        with pytest.raises(UploadError) as caught:
            extension.upload(path)

        assert [(problem.column, problem.reason) for problem in caught.value.problems] == [("pin", "not_kept")]
        assert list(extension) == []
    batch = extension.upload(tables[1], on_error="skip")
    assert [(handout.code, handout.has_pin) for handout in batch] == [("12345678", False)]
    whole = new_book(profile=profile).extension(EXTENSION).upload(tables[0])
    assert [handout.has_pin for handout in whole] == [True, False]


# Editing


@given(
    pin=pins.filter(lambda pin: not CODE.startswith(pin)),
    rest=st.text("0123456789", min_size=1, max_size=20),
    side=st.sampled_from(["head", "tail", "within"]),
)
@example(pin="593716204821", rest="7", side="head")
@example(pin="5937", rest="7", side="tail")
@settings(max_examples=60)
def test_a_code_that_gives_its_pin_away_is_refused(pin: str, rest: str, side: str) -> None:
    """
    Both profiles refuse the same codes, although one of them cannot read the PIN; nothing is written then.
    """
    code = {"head": pin + rest, "tail": rest + pin, "within": f"1{pin}{rest}"}[side]
    outcomes = []
    for profile in PROFILES:
        book = new_book(profile=profile, policy=Policy(allow_weak_pins=True))
        extension = book.extension(EXTENSION)
        [handout] = extension.add("kiosk", pin=pin)
        before = record_of(extension, handout.serial)
        refusal = outcome(lambda e=extension, h=handout: e.edit(h.serial, code=code).has_pin)  # type: ignore[misc]
        after = record_of(extension, handout.serial)
        outcomes.append(refusal)
        assert (before == after) == (refusal is not True)
        assert recognizes(extension, handout.serial, pin)

    assert outcomes[0] == outcomes[1]
    if side != "within":
        assert outcomes[0] == (WeakPinError, "pin", "part_of_code", 0)


def test_the_pin_outlives_the_code() -> None:
    """
    A new code leaves the PIN of a strict book as it is, byte by byte, whatever the code becomes.
    """
    extension = strict()
    [handout] = extension.add(CODE, pin=PIN)
    before = record_of(extension, handout.serial)
    changes: list[Callable[[], object]] = [
        lambda: extension.edit(handout.serial, code="8800123"),
        lambda: extension.edit(handout.serial, code="+40722123456"),
        lambda: extension.edit(handout.serial, code="Kiosk+Summer=2026"),
    ]
    for change in changes:
        change()
        after = record_of(extension, handout.serial)
        assert (before.pin_mac, b"") == (after.pin_mac, after.sealed_pin)
        assert recognizes(extension, handout.serial, PIN)

    assert extension.edit(handout.serial, pin=OTHER_PIN).has_pin
    assert recognizes(extension, handout.serial, OTHER_PIN)
    assert not recognizes(extension, handout.serial, PIN)
    assert not extension.edit(handout.serial, pin="").has_pin
    assert (record_of(extension, handout.serial).pin_mac, record_of(extension, handout.serial).sealed_pin) == (b"", b"")


# Verification


@pytest.mark.parametrize(
    "fields",
    [{"pin_mac": bytes(36)}, {"pin_mac": b""}, {"sealed_pin": bytes(53)}],
    ids=["another MAC", "no MAC", "a seal"],
)
def test_a_changed_pin_of_a_strict_book_is_found(fields: dict[str, bytes]) -> None:
    """
    The MAC of the record covers that of the PIN: no use of the card takes a changed one, and `verify` names the card.
    """
    extension = strict()
    [handout, other] = extension.add([NewCard(CODE, PIN), NewCard("12345678", PIN)])
    assert findings_of(CardBook(engine_of(extension))) == set()
    replaced(extension, handout.serial, **fields)

    assert findings_of(CardBook(engine_of(extension))) == {(handout.serial, "record")}
    for ask in (extension.reveal, extension.get, lambda serial: extension.edit(serial, code="8800123")):
        with pytest.raises(TamperedError):
            ask(handout.serial)
    assert extension.get(other.serial).has_pin


def test_pins_of_two_cards_cannot_be_swapped() -> None:
    """
    The MAC of a PIN belongs to its card: on another card it is no PIN, even with a record that is signed anew.
    """
    extension = strict()
    first, second = extension.add([NewCard(CODE, PIN), NewCard("12345678", PIN)])
    macs = [record_of(extension, handout.serial).pin_mac for handout in (first, second)]
    replaced(extension, second.serial, pin_mac=macs[0])

    assert macs[0] != macs[1]
    assert not recognizes(extension, second.serial, PIN)


def test_a_memory_of_random_pins_stays_small() -> None:
    """
    A strict book takes less room than one that keeps its PINs: the seals are not there at all.
    """
    sizes = {}
    for profile in PROFILES:
        chance = random.Random(7)  # noqa: S311 - the same codes for both
        book = book_on(MemoryStore(), profile=profile, source=chance.randbytes)
        extension = book.extension(EXTENSION)
        batch = extension.generate(10)
        sizes[profile] = sum(len(record_of(extension, handout.serial).sealed_pin) for handout in batch)

    assert sizes["strict"] == 0 < sizes["operator"]
