"""
Rotating keys: every card moves to the new key, and nobody who looks for one, adds one or changes one notices.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import servers
from tests.book_world import (
    EXTENSION,
    LAX,
    OTHER,
    BareKey,
    Meddled,
    book_on,
    engine_of,
    file_book,
    findings_of,
    in_processes,
    in_threads,
    killed,
    new_book,
    outcome,
    sound,
    verbs_of,
)
from tests.servers import Kind
from voipcard import (
    CardBook,
    CodeFormat,
    Extension,
    KeyFile,
    KeyPassphrase,
    NewCard,
    PinFormat,
    Profile,
    Rotation,
    Suite,
    open_book,
)
from voipcard.ciphers import SUITES
from voipcard.core.query import CardQuery, EntryQuery
from voipcard.errors import (
    CardExistsError,
    InvalidValueError,
    JoinedStoreError,
    KeyMismatchError,
    KeyMissingError,
    OperationConflictError,
    StaleError,
    StoreError,
    TamperedError,
)
from voipcard.names import KEYRING
from voipcard.stores import CardRecord, Changes, MemoryStore, SQLAlchemyStore, SQLiteStore, Store

CODES: Final = [f"77{number:08}77" for number in range(6)]
CALLER: Final = "+40722000111"
PIN: Final = "048215"
NEW_PIN: Final = "930471"
PROFILES: Final[list[Profile]] = ["operator", "strict"]


def furnished(store: Store, **settings: Any) -> CardBook:  # noqa: ANN401 - those of `book_on`
    """
    Make a book with cards of all kinds: with PINs and without, with codes and a CallerID, in two extensions.
    """
    book = book_on(store, **settings)
    cards = [NewCard(code, PIN if number % 2 else "", credit="10.00") for number, code in enumerate(CODES)]
    book.extension(EXTENSION).add([*cards, NewCard(CALLER, PIN, credit="10.00", caller_id=True)])
    book.extension(OTHER).add([NewCard(CODES[0], PIN, credit="10.00")])

    return book


def records_of(book: CardBook) -> list[CardRecord]:
    """
    Give all cards as they are stored.
    """
    return list(engine_of(book).store.cards(CardQuery(order="serial")))


def roots_of(record: CardRecord) -> set[int]:
    """
    Tell which keys a card says it was sealed and given its PIN with.
    """
    sealed = [value[1:5] for value in (record.sealed_code, record.sealed_pin) if value]
    macs = [record.pin_mac[:4]] if record.pin_mac else []

    return {record.key, *(int.from_bytes(number, "big") for number in (*sealed, *macs))}


def live_keys(book: CardBook) -> tuple[int, ...]:
    """
    Tell which keys this process looks for cards under.
    """
    return engine_of(book).records.keyring.live


def finish(book: CardBook, *, limit: int = 1000) -> Rotation:
    """
    Rotate until nothing is left.
    """
    while (rotation := book.rotate_keys(limit=limit)).left:
        pass

    return rotation


def lost(book: CardBook) -> list[str]:
    """
    Tell which codes and CallerIDs are not found, or do not let a caller in with the right PIN.
    """
    extension = book.extension(EXTENSION)
    missing = [code for code in CODES if extension.find(code=code) is None]
    missing += [
        code for code in CODES if [card.has_pin for card in extension.search(code=code)] not in ([True], [False])
    ]
    missing += [code for code in CODES if extension.count(code=code) != 1]
    if extension.find(caller_id=CALLER) is None:
        missing.append(CALLER)
    for number, code in enumerate(CODES):
        if extension.authenticate(code, pin=PIN if number % 2 else "").card.extension != EXTENSION:
            missing.append(code)
    if extension.authenticate_caller(CALLER, pin=PIN).card.kind != "caller_id":
        missing.append(CALLER)
    found = {card.serial for card in extension.search(code_prefix="77")}
    if len(found) != len(CODES):
        missing.append("prefix")

    return missing


def let_in(book: CardBook) -> list[str]:
    """
    Tell which existing codes could be added, uploaded, or given to another card.
    """
    extension = book.extension(EXTENSION)
    free = extension.get(caller_id=CALLER)
    wrong: list[str] = []
    for code in CODES:
        for dry_run in (True, False):
            answer = outcome(lambda code=code, dry_run=dry_run: extension.add([NewCard(code)], dry_run=dry_run))  # type: ignore[misc]
            if answer != (CardExistsError, (1,)):
                wrong.append(f"add {code} {dry_run} {answer}")
        if outcome(lambda code=code: extension.edit(free.serial, code=code)) != (CardExistsError, (1,)):  # type: ignore[misc]
            wrong.append(f"edit {code}")

    return wrong


# What a rotation does


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("profile", PROFILES)
def test_nothing_is_left_under_the_key_before(suite: Suite, profile: Profile) -> None:
    """
    Seals, index and PINs of every card are those of the new key, and everything is found and fits as before.
    """
    book = furnished(MemoryStore(), suite=suite, profile=profile)
    before = {record.serial: record for record in records_of(book)}
    rotation = finish(book)
    after = {record.serial: record for record in records_of(book)}

    assert Rotation(key=2, done=8, left=0) == rotation
    assert {2} == {record.key for record in after.values()}
    if profile == "operator":
        assert {2} == set().union(*map(roots_of, after.values()))
    assert before.keys() == after.keys()
    for serial, record in after.items():
        was = before[serial]
        assert record.index != was.index
        assert record.sealed_code != was.sealed_code
        assert record.version == was.version + 1
        assert (record.credit, record.chain, record.sequence) == (was.credit, was.chain, was.sequence)
    assert lost(book) == let_in(book) == []
    assert live_keys(book) == (2,)
    assert sound(book) == ()


def test_a_pin_that_cannot_be_read_keeps_its_key_until_it_is_set_anew() -> None:
    """
    In a strict book the MAC of a PIN stays under the key that made it, still fits, and moves with a new PIN.
    """
    book = furnished(MemoryStore(), profile="strict")
    extension = book.extension(EXTENSION)
    serial = extension.get(code=CODES[1]).serial
    finish(book)
    [kept] = [record for record in records_of(book) if record.serial == serial]
    extension.edit(serial, pin=NEW_PIN)
    [changed] = [record for record in records_of(book) if record.serial == serial]

    assert ({1, 2}, {2}) == (roots_of(kept), roots_of(changed))
    assert serial == extension.authenticate(CODES[1], pin=NEW_PIN).card.serial
    assert sound(book) == ()


def test_a_book_may_be_rotated_again_and_again() -> None:
    """
    Each rotation has the next key, and a process that has slept through all of them still finds everything.
    """
    store = MemoryStore()
    book, sleeper = furnished(store), book_on(store)
    keys = [finish(book, limit=3).key for _ in range(4)]

    assert keys == [2, 3, 4, 5]
    assert lost(sleeper) == []
    assert live_keys(sleeper) == (5,)
    assert {5} == {record.key for record in records_of(book)}


def test_an_empty_book_is_rotated_at_once() -> None:
    """
    Where there is no card the new key is the only one straight away.
    """
    book = new_book()

    assert Rotation(key=2, done=0, left=0) == book.rotate_keys()
    assert live_keys(book) == (2,)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8, 9, 1000])
def test_a_call_goes_over_no_more_cards_than_allowed(limit: int) -> None:
    """
    Each call does at most so many, says how many are left, and 0 only at the end; progress never goes back.
    """
    book = furnished(MemoryStore())
    told: list[tuple[int, int | None]] = []
    rotations: list[Rotation] = []
    while not rotations or rotations[-1].left:
        rotations.append(book.rotate_keys(limit=limit, progress=lambda done, total: told.append((done, total))))
        assert len(rotations) < 20

    dones = [0, *(rotation.done for rotation in rotations)]

    assert dones[-1] == 8
    assert max(later - earlier for earlier, later in itertools.pairwise(dones)) <= limit
    assert sorted((rotation.left for rotation in rotations), reverse=True) == [rotation.left for rotation in rotations]
    assert sorted(told) == told
    assert told[-1] == (8, 8)


@pytest.mark.parametrize("limit", [0, -1, 1.5, "1", None])
def test_a_limit_is_a_whole_number(limit: int) -> None:
    """
    Less than one card is none, and nothing is begun.
    """
    book = furnished(MemoryStore())

    assert InvalidValueError is outcome(lambda: book.rotate_keys(limit=limit))[0]  # type: ignore[index]
    assert "rotate_keys" not in verbs_of(book)


def test_the_trail_tells_of_its_beginning_and_its_end() -> None:
    """
    Two entries, whatever the number of calls: which key, and how many cards.
    """
    book = furnished(MemoryStore()).acting_as("carol")
    finish(book, limit=1)
    entries = [entry for entry in book.audit_trail() if entry.verb == "rotate_keys"]

    assert [(entry.actor, entry.detail["state"]) for entry in entries] == [("carol", "begun"), ("carol", "ended")]
    assert [entry.detail["cards"] for entry in entries] == [8, 8]
    assert [entry.detail["key"] for entry in entries] == [2, 2]


def test_an_operation_is_one_rotation() -> None:
    """
    With a name it is done once: calls go on with it, and once it has ended nothing more happens under this name.
    """
    book = furnished(MemoryStore())
    lefts = [book.rotate_keys(limit=3, operation="2026").left for _ in range(6)]
    other = book.rotate_keys(operation="2027")

    assert lefts == [5, 2, 0, 0, 0, 0]
    assert Rotation(key=3, done=8, left=0) == other
    assert Rotation(key=2, done=8, left=0) == book.rotate_keys(operation="2026")
    assert verbs_of(book).count("rotate_keys") == 4


# Everybody else, at every moment of a rotation


@pytest.mark.parametrize("profile", PROFILES)
def test_nobody_notices_at_any_moment(profile: Profile) -> None:
    """
    After each step all is found and lets callers in, and no existing code can be added, by whatever process.

    That is the one that rotates, one that was there before the step, and one that has just come.
    """
    store = MemoryStore()
    book = furnished(store, profile=profile)
    steps = 0
    while True:
        steps += 1
        old = [book_on(store), book_on(store)]
        rotation = book.rotate_keys(limit=1)
        for other in (old[0], book, book_on(store)):
            assert lost(other) == []
        for other in (old[1], book, book_on(store)):
            assert let_in(other) == []
        assert sound(old[0]) == sound(book) == ()
        if not rotation.left:
            break

    assert steps >= 8
    assert {2} == {record.key for record in records_of(book)}


def test_who_puts_back_an_older_key_ring_is_given_nothing_under_it() -> None:
    """
    Where somebody puts back the document that an older key was in, no process that knows better seals with that key.
    """
    store = MemoryStore()
    book = book_on(store)
    extension = book.extension(EXTENSION)
    [handout] = extension.generate(1)
    before = store.document(KEYRING)
    assert before is not None
    assert book.rotate_keys().left == 0
    after = store.document(KEYRING)
    assert after is not None
    store.commit(Changes(documents=[(before, after.version)]))

    assert extension.find(code="7799999900000") is None  # Whoever finds nothing reads the keys again.
    assert extension.find(code=handout.code) is None
    writes: list[Callable[[], object]] = [
        lambda: extension.generate(1),
        lambda: extension.add("771234567890123"),
        lambda: extension.edit(handout.serial, pin="482716"),
    ]
    for write in writes:
        with pytest.raises(StaleError):
            write()
    assert [card.key for card in store.cards(CardQuery())] == [2]
    assert findings_of(book)


def test_what_is_made_meanwhile_is_under_the_new_key() -> None:
    """
    Cards that are made, given another code or another PIN during a rotation have the new key, in every process.
    """
    store = MemoryStore()
    book, other = furnished(store), book_on(store)
    book.rotate_keys(limit=1)
    moved = {record.serial for record in records_of(book) if record.key == 2}
    batch = other.extension(EXTENSION).add([NewCard("7799999900000")])
    last = max(record.serial for record in records_of(book) if record.extension == EXTENSION and record.key == 1)
    book_on(store).extension(EXTENSION).edit(last, pin=NEW_PIN)
    keys = {record.serial: record.key for record in records_of(book)}

    assert keys[batch[0].serial] == keys[last] == 2
    assert moved < {serial for serial, key in keys.items() if key == 2}
    assert len({serial for serial, key in keys.items() if key == 1}) == 6
    assert Rotation(key=2, done=7, left=0) == finish(book)


Verb = Callable[[Extension], object]

WRITES: Final[dict[str, Verb]] = {
    "add": lambda extension: extension.add([NewCard("7799999900000")]),
    "generate": lambda extension: extension.generate(3),
    "edit a code": lambda extension: extension.edit(extension.get(code=CODES[2]).serial, code="7799999900000"),
    "edit a PIN": lambda extension: extension.edit(extension.get(code=CODES[2]).serial, pin=NEW_PIN),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("steps", [1, 4, 100], ids=["begins", "goes on", "ends"])
def test_a_rotation_comes_between_reading_and_writing(write: Verb, steps: int) -> None:
    """
    Whoever has read with the older keys is refused at the commit, and decides again with those that the book has then.
    """
    store = Meddled()
    book, other = furnished(store), book_on(store)
    extension = book.extension(EXTENSION)
    old = {record.serial for record in records_of(book)}

    def rotate() -> None:
        for _ in range(steps):
            if not other.rotate_keys(limit=2).left:
                break

    store.meddle = rotate
    write(extension)
    written = [record for record in records_of(book) if record.serial not in old or record.version > 1 + (steps > 1)]

    assert written
    assert {2} == {record.key for record in written}
    finish(other)
    assert sound(book) == sound(book_on(store)) == ()


def test_a_code_that_was_added_just_before_is_known_to_the_rotation() -> None:
    """
    A card that is committed under the old key just before the rotation begins is moved like all others.
    """
    store = Meddled()
    book, other = furnished(store), book_on(store)
    store.meddle = lambda: other.extension(EXTENSION).add([NewCard("7799999900000")])
    finish(book)

    assert {2} == {record.key for record in records_of(book)}
    assert other.extension(EXTENSION).find(code="7799999900000") is not None
    assert sound(book) == ()


class Moving(MemoryStore):
    """
    A store in which somebody else acts once, after it was looked for a card by an index.
    """

    meddle: Callable[[], object] | None = None

    def find(
        self, *, id: bytes | None = None, serial: str | None = None, index: bytes | None = None
    ) -> CardRecord | None:
        """
        Look, and then let the other one act.
        """
        found = super().find(id=id, serial=serial, index=index)
        meddle, self.meddle = self.meddle, None
        if meddle is not None:
            meddle()

        return found


@pytest.mark.parametrize("begun", [0, 1, 3], ids=["before it", "as it begins", "on the way"])
@pytest.mark.parametrize("steps", [1, 2, 9, 12])
def test_a_card_that_moves_while_it_is_looked_for_is_found(begun: int, steps: int) -> None:
    """
    Whatever a rotation does between two looks for a card, it is found: the second look is where it moves to.
    """
    for code in CODES:
        store = Moving()
        other = furnished(store)
        for _ in range(begun):
            other.rotate_keys(limit=1)
        reader = book_on(store)

        def rotate(other: CardBook = other) -> None:
            for _ in range(steps):
                other.rotate_keys(limit=1)

        store.meddle = rotate
        assert reader.extension(EXTENSION).find(code=code) is not None


def test_whoever_looked_for_the_newer_index_first_would_miss_a_card() -> None:
    """
    The control: in the other order a card that moves between the two looks is in neither place.
    """
    store = Moving()
    book = furnished(store)
    book.rotate_keys(limit=1)
    keys = engine_of(book).records.keyring
    id = bytes.fromhex(engine_of(book).value(f"extension/{EXTENSION}")[0]["id"])
    store.meddle = lambda: finish(book)
    looks = [store.find(index=index) for index in reversed(keys.indexes(id, "code", CODES[-1]))]

    assert looks == [None, None]


def test_whoever_read_the_keys_before_looking_would_miss_a_card() -> None:
    """
    The control: keys that were read before the look are the same as those it was done with, and the card has moved.
    """
    store = Moving()
    book, reader = furnished(store), book_on(store)
    engine = engine_of(reader)
    keys, document = engine.records.keyring, store.document("keyring")
    id = bytes.fromhex(engine.value(f"extension/{EXTENSION}")[0]["id"])
    finish(book)

    assert [store.find(index=index) for index in keys.indexes(id, "code", CODES[-1])] == [None]
    assert not engine.keys_changed(document, keys)
    assert engine.keys_changed(store.document("keyring"), keys)


def test_codes_are_drawn_besides_those_under_the_older_key() -> None:
    """
    In a format with 625 codes, 250 are made before a rotation begins and 350 while it goes on: all are different.
    """
    book = new_book(policy=LAX)
    extension = book.extension(EXTENSION)
    small = CodeFormat(4, "01234", check_digit="none")
    no_pin = PinFormat(0)
    codes = [handout.code for handout in extension.generate(250, code_format=small, pin_format=no_pin)]
    book.rotate_keys(limit=10)
    for _ in range(5):
        codes += [handout.code for handout in extension.generate(70, code_format=small, pin_format=no_pin)]
        book.rotate_keys(limit=40)
    finish(book)

    assert 600 == len(set(codes)) == len(codes)
    assert {2} == {record.key for record in records_of(book)}
    assert sound(book) == ()


# Others at the same cards


def test_what_others_do_to_a_card_meanwhile_is_not_lost() -> None:
    """
    A recharge that comes between reading and sealing a card anew is kept, and so is a rotation between a recharge.
    """
    store = Meddled()
    book, other = furnished(store), book_on(store)
    serial = book.extension(EXTENSION).get(code=CODES[0]).serial
    book.rotate_keys(limit=1)
    store.meddle = lambda: other.extension(EXTENSION).recharge(serial, "1.00")
    finish(book)
    store.meddle = lambda: finish(other)
    book.extension(EXTENSION).recharge(serial, "2.00")
    store.meddle = lambda: finish(other)
    book.extension(EXTENSION).disable(serial)
    [record] = [record for record in records_of(book) if record.serial == serial]

    assert str(book.extension(EXTENSION).get(serial).credit) == "13.00"
    assert not record.enabled
    assert {4} == {record.key for record in records_of(book)}
    assert sound(book) == ()


def test_cards_that_are_removed_meanwhile_are_no_hindrance() -> None:
    """
    A rotation ends though half of the cards go while it is under way.
    """
    store = Meddled()
    book, other = furnished(store), book_on(store)
    serials = [record.serial for record in records_of(book) if record.extension == EXTENSION]
    book.rotate_keys(limit=2)
    store.meddle = lambda: other.extension(EXTENSION).remove(serials[1:5])
    rotation = finish(book, limit=3)

    assert Rotation(key=2, done=rotation.done, left=0) == rotation
    assert len(records_of(book)) == 4
    assert {2} == {record.key for record in records_of(book)}
    assert sound(book) == ()


def recharge_and_rotate(path: Path, number: int) -> int:
    """
    Rotate in one of four processes, and recharge all cards in the others, some hundred times.
    """
    with file_book(path) as book:
        extension = book.extension(EXTENSION)
        if number == 0:
            for _ in range(3):
                finish(book, limit=20)
            return 0
        serials = [card.serial for card in extension]
        for turn in range(100):
            extension.recharge(serials[turn % len(serials)], "1.00")

        return 100


def test_a_rotation_gets_through_cards_that_others_recharge_all_the_time(tmp_path: Path) -> None:
    """
    Three processes recharge the same cards while a fourth rotates three times: not one recharge is lost.
    """
    path = tmp_path / "cards.db"
    furnished(SQLiteStore(path)).close()
    recharges = sum(in_processes(recharge_and_rotate, path, times=4))
    with file_book(path) as book:
        total = sum(record.credit for record in records_of(book)) // 10**6

        assert 8 * 10 + recharges == total
        assert {4} == {record.key for record in records_of(book)}
        assert lost(book) == []
        assert sound(book) == ()


def rotate_named(path: Path, _: int) -> list[int]:
    """
    Rotate in small steps, under one name.
    """
    with file_book(path) as book:
        rotations: list[Rotation] = []
        while not rotations or rotations[-1].left:
            rotations.append(book.rotate_keys(limit=2, operation="2026"))

        return [rotations[0].key, rotations[-1].done]


def test_processes_that_rotate_at_the_same_time_do_it_together(tmp_path: Path) -> None:
    """
    Under one name there is one rotation, whose cards they share; none is sealed anew twice.
    """
    path = tmp_path / "cards.db"
    furnished(SQLiteStore(path)).close()
    answers = in_processes(rotate_named, path, times=4)
    with file_book(path) as book:
        assert answers == [[2, 8]] * 4
        assert {(2, 2)} == {(record.key, record.version) for record in records_of(book)}
        assert verbs_of(book).count("rotate_keys") == 2
        assert sound(book) == ()


def test_threads_look_for_cards_while_others_rotate() -> None:
    """
    Eight threads of one process, one of which rotates again and again: no look ever fails.
    """
    book = furnished(MemoryStore())
    extension = book.extension(EXTENSION)
    other = book_on(engine_of(book).store)

    def work(number: int) -> int:
        if number < 2:
            for _ in range(6):
                finish((book, other)[number], limit=2)
            return 0

        return sum(extension.find(code=code) is None for code in CODES * 60)

    assert in_threads(work, 8) == [0] * 8
    assert lost(book) == lost(other) == []


class Three:
    """
    Three processes that have the same book open, and a model of what is in it.

    Args:
        profile: That of the book.
    """

    def __init__(self, profile: Profile) -> None:
        self.store = MemoryStore()
        self.books = [book_on(self.store, profile=profile) for _ in range(3)]
        self.serials: dict[str, str] = {}
        self._numbers = itertools.count()

    def does(self, event: str, who: int) -> None:
        """
        Let one of them do something.
        """
        extension = self.books[who].extension(EXTENSION)
        if event == "rotate":
            self.books[who].rotate_keys(limit=1)
        elif event == "add" or not self.serials:
            code = self._fresh()
            self.serials[code] = extension.add([NewCard(code, PIN)])[0].serial
        else:
            self._does_to_a_card(extension, event, *sorted(self.serials.items())[who % len(self.serials)])

    def _does_to_a_card(self, extension: Extension, event: str, code: str, serial: str) -> None:
        if event == "edit a code":
            fresh = self._fresh()
            extension.edit(serial, code=fresh)
            self.serials[fresh] = self.serials.pop(code)
        elif event == "edit a PIN":
            extension.edit(serial, pin=PIN)
        elif event == "recharge":
            extension.recharge(serial, "1.00")
        elif event == "remove":
            extension.remove(serial)
            del self.serials[code]
        else:
            assert (CardExistsError, (1,)) == outcome(lambda: extension.add([NewCard(code)]))

    def seen_by(self, book: CardBook) -> dict[str, str]:
        """
        Tell which card one of them finds by each code.
        """
        found = {code: book.extension(EXTENSION).find(code=code) for code in self.serials}

        return {code: card.serial for code, card in found.items() if card}

    def _fresh(self) -> str:
        return f"77{next(self._numbers):08}77"


EVENTS: Final = ["rotate", "rotate", "add", "edit a code", "edit a PIN", "recharge", "remove", "add again"]


@given(st.lists(st.tuples(st.sampled_from(EVENTS), st.integers(0, 2)), max_size=25), st.sampled_from(PROFILES))
@settings(max_examples=40)
def test_any_order_of_events_leaves_a_sound_book(events: Sequence[tuple[str, int]], profile: Profile) -> None:
    """
    Three processes that rotate, add, edit, recharge, remove and look, in whatever order, agree with a model.
    """
    three = Three(profile)
    for event, who in events:
        three.does(event, who)
        for book in three.books:
            assert three.serials == three.seen_by(book)
    for book in three.books:
        finish(book)

        assert sound(book) == ()
        for code, serial in three.serials.items():
            assert serial == book.extension(EXTENSION).authenticate(code, pin=PIN).card.serial


# What goes wrong


def test_a_card_that_was_changed_from_outside_holds_a_rotation_up() -> None:
    """
    It is named, nothing of it is written anew, everything else goes on, and once it is put right the rotation ends.
    """
    store = MemoryStore()
    book = furnished(store)
    record = records_of(book)[3]
    spoiled = engine_of(book).records.code(record) if record.extension == EXTENSION else ""
    store.commit(Changes(replace=[(record._replace(enabled=False), record.version)]))
    answers = [outcome(lambda: book.rotate_keys(limit=2)) for _ in range(4)]
    others = [code for code in CODES if code != spoiled and book.extension(EXTENSION).find(code=code)]
    store.commit(Changes(replace=[(record, record.version)]))

    assert [Rotation(key=2, done=2, left=6)] == answers[:1]
    assert {(TamperedError, record.serial, "record")} == set(answers[1:])
    assert len(others) >= 5
    assert Rotation(key=2, done=8, left=0) == finish(book)
    assert sound(book) == ()


def test_a_card_whose_extension_was_changed_is_not_indexed_anew() -> None:
    """
    With another id of its extension a card would never be found again: it stays where it is.
    """
    store = MemoryStore()
    book = furnished(store)
    value, version = engine_of(book).value(f"extension/{OTHER}")
    forged = engine_of(book).records.document(f"extension/{OTHER}", {**value, "id": "00" * 16}, version=version)
    store.commit(Changes(documents=[(forged, version)]))
    with pytest.raises(TamperedError) as caught:
        finish(book_on(store))

    assert caught.value.part == "index"


def test_a_rotation_whose_state_was_deleted_is_not_begun_again() -> None:
    """
    With the document of where it stands gone, cards under the older key would be forgotten: it is refused instead.
    """
    store = MemoryStore()
    book = furnished(store)
    book.rotate_keys(limit=3)
    store.commit(Changes(forget=[("rotation/2", 2)]))

    assert (TamperedError, "rotation/2", "document") == outcome(book.rotate_keys)
    assert lost(book) == []


class Unsure(MemoryStore):
    """
    A store that commits, and loses the answer as often as it is told to.
    """

    losses = 0

    def commit(self, changes: Changes) -> None:
        """
        Commit, and tell that nobody knows.
        """
        super().commit(changes)
        if self.losses:
            self.losses -= 1
            raise StoreError("the connection is gone", maybe_applied=True)


def test_an_answer_that_was_lost_begins_no_second_rotation() -> None:
    """
    Whoever calls again after a lost answer goes on with what was begun, at the beginning, on the way and at the end.
    """
    store = Unsure()
    book = furnished(store)
    answers = []
    for _ in range(12):
        store.losses = 1
        answers.append(outcome(lambda: book.rotate_keys(limit=2, operation="2026")))
    store.losses = 0

    assert Rotation(key=2, done=8, left=0) == book.rotate_keys(operation="2026")
    assert {StoreError} == {answer[0] for answer in answers if isinstance(answer, tuple)}
    assert {(2, 2)} == {(record.key, record.version) for record in records_of(book)}
    assert lost(book) == []
    assert sound(book) == ()


class Absent(MemoryStore):
    """
    A store within a transaction of the caller's.
    """

    joined = True


def test_keys_are_changed_in_no_transaction_of_the_callers() -> None:
    """
    What may be rolled back is no place for a new key.
    """
    store = MemoryStore()
    book = furnished(store)
    joined = book.over(Absent())

    assert (JoinedStoreError, "rotate_keys") == outcome(joined.rotate_keys)
    assert (JoinedStoreError, "change_key") == outcome(lambda: joined.change_key(BareKey()))


def test_a_transaction_may_see_older_keys() -> None:
    """
    A handle whose data are older, such as a transaction that began before a rotation, is looked into with its own keys.
    """
    store, older = MemoryStore(), MemoryStore()
    book = furnished(store)
    for document in store.documents(""):
        older.commit(Changes(documents=[(document, 0)]))
    first = [
        (record, next(entry for entry in store.entries(EntryQuery()) if entry.card == record.id))
        for record in records_of(book)
    ]
    older.commit(Changes(new=first))
    finish(book)
    within = book.over(older)

    assert [code for code in CODES if within.extension(EXTENSION).find(code=code) is None] == []
    assert (live_keys(within), live_keys(book)) == ((1,), (2,))
    assert [code for code in CODES if book.extension(EXTENSION).find(code=code) is None] == []


# Verification


FORGERIES: Final[dict[str, tuple[str, Callable[[CardRecord, CardRecord], CardRecord]]]] = {
    "the index is the older one": ("index", lambda now, was: now._replace(index=was.index)),
    "the code is sealed under the older one": ("code", lambda now, was: now._replace(sealed_code=was.sealed_code)),
    "the PIN is sealed under the older one": ("PIN", lambda now, was: now._replace(sealed_pin=was.sealed_pin)),
    "the key is said to be the older one": ("code", lambda now, was: now._replace(key=was.key)),
    "the key is none that there is": ("code", lambda now, _: now._replace(key=9)),
    "all of it is as it was before": ("index", lambda now, was: was._replace(version=now.version)),
}


@pytest.mark.parametrize("part, forge", FORGERIES.values(), ids=FORGERIES)
def test_verification_knows_every_key(part: str, forge: Callable[[CardRecord, CardRecord], CardRecord]) -> None:
    """
    A card that is sealed or indexed under another key than it names, or than is looked under, is found, though signed.
    """
    store = MemoryStore()
    book = furnished(store)
    was = next(record for record in records_of(book) if record.sealed_pin)
    finish(book)
    now = next(record for record in records_of(book) if record.serial == was.serial)
    forged = engine_of(book).records.signed(forge(now, was))

    assert sound(book) == ()
    store.commit(Changes(replace=[(forged, now.version)]))
    assert (now.serial, part) in findings_of(book)
    assert (now.serial, part) in findings_of(book_on(store))


def test_a_process_that_knows_no_new_key_verifies_all_the_same() -> None:
    """
    Verification reads keys again where it meets unknown ones, on the way and after the end of a rotation.
    """
    store = MemoryStore()
    book = furnished(store)
    sleepers = [book_on(store), book_on(store)]
    book.rotate_keys(limit=3)
    on_the_way = sound(sleepers[0])
    finish(book)

    assert () == on_the_way == sound(sleepers[0]) == sound(sleepers[1])


def test_what_is_sealed_under_a_new_key_is_read_by_those_who_do_not_know_it(tmp_path: Path) -> None:
    """
    A hand-out is revealed, and a batch exported, by a process that has an older key ring.
    """
    store = MemoryStore()
    book, other = furnished(store), book_on(store).acting_as("bob")
    finish(book)
    extension = other.extension(EXTENSION)
    serial = min(record.serial for record in records_of(book) if record.extension == EXTENSION)
    handout = extension.reveal(serial)
    count = extension.export(tmp_path / "all.csv", reveal=True)

    assert (CODES[0], "") == (handout.code, handout.pin)
    assert count == 7
    assert CODES[5] in (tmp_path / "all.csv").read_text("utf-8-sig")


# Another key around the keys


def test_the_key_before_does_not_open_the_book_any_more(tmp_path: Path) -> None:
    """
    The new key opens the book with all that is in it, and the trail tells from where to where; nothing is sealed anew.
    """
    path = tmp_path / "cards.db"
    old, new = KeyFile(tmp_path / "old.key"), KeyFile(tmp_path / "new.key")
    for key in (old, new):
        key.create()
    with furnished(SQLiteStore(path), key=old) as book:
        before = records_of(book)
        book.acting_as("carol").change_key(new)
        after = records_of(book)
        finish(book)
    with pytest.raises(KeyMismatchError):
        open_book(path, key=old)
    with book_on(SQLiteStore(path), key=new) as book:
        [entry] = [entry for entry in book.audit_trail() if entry.verb == "change_key"]

        assert lost(book) == []
        assert sound(book) == ()
        assert {"before": old.place, "after": new.place} == entry.detail
        assert entry.actor == "carol"
    assert before == after


def test_processes_that_have_the_book_open_go_on_under_another_key() -> None:
    """
    What they know they need not unwrap again: they read and write, until a new key is made that they cannot unwrap.
    """
    store = MemoryStore()
    service, other_service = Locked(b"one"), Locked(b"two")
    book, other = furnished(store, key=service), book_on(store, key=service)
    book.change_key(other_service)
    other.extension(EXTENSION).edit(other.extension(EXTENSION).get(code=CODES[0]).serial, pin=NEW_PIN)
    other.extension(EXTENSION).edit(other.extension(EXTENSION).get(code=CODES[0]).serial, pin="")

    assert (KeyMismatchError, "one") == outcome(other.rotate_keys), "it would wrap with the key that was replaced"
    calls = service.calls

    assert lost(other) == []
    assert sound(other) == ()
    finish(book)
    assert (KeyMismatchError, "one") == outcome(lambda: other.extension(EXTENSION).find(code=CODES[0]))
    assert calls + 1 == service.calls
    assert lost(book_on(store, key=other_service)) == []


class Locked:
    """
    A key that knows what it has wrapped, and counts what it is asked to unwrap.
    """

    def __init__(self, mark: bytes, *, works: bool = True) -> None:
        self.place = mark.decode()
        self.calls = 0
        self._mark = mark
        self._works = works

    def wrap(self, secret: bytes) -> bytes:
        """
        Put a mark in front.
        """
        return self._mark + secret

    def unwrap(self, wrapped: bytes) -> bytes:
        """
        Take the mark off.
        """
        self.calls += 1
        if not wrapped.startswith(self._mark):
            raise KeyMismatchError(self.place)

        return wrapped[len(self._mark) :] if self._works else b"something else"


def test_a_key_that_would_lose_the_book_is_refused(tmp_path: Path) -> None:
    """
    It is tried first: one that is not there, or does not give back what it wraps, changes nothing.
    """
    store = MemoryStore()
    book = furnished(store)
    before = store.document("keyring")
    missing = KeyFile(tmp_path / "none.key")

    assert (KeyMissingError, missing.place) == outcome(lambda: book.change_key(missing))
    assert (KeyMismatchError, "broken") == outcome(lambda: book.change_key(Locked(b"broken", works=False)))
    assert before == store.document("keyring")
    assert "change_key" not in verbs_of(book)
    assert sound(book) == ()


def test_a_key_is_changed_once_under_one_name() -> None:
    """
    The same again does nothing, though another key has taken its place since; another key under this name is refused.
    """
    store = MemoryStore()
    one, two = Locked(b"one"), Locked(b"two")
    book = furnished(store)
    book.change_key(one, operation="first")
    book.change_key(two, operation="second")
    book.change_key(one, operation="first")

    assert [verb for verb in verbs_of(book) if verb == "change_key"] == ["change_key"] * 2
    assert (OperationConflictError, "change_key", "") == outcome(lambda: book.change_key(two, operation="first"))
    assert Rotation(key=2, done=8, left=0) == book.rotate_keys(), "it still wraps with the second key"
    assert lost(book_on(store, key=two)) == []


def test_an_operation_does_not_take_one_key_for_another() -> None:
    """
    The operation that changed a key is refused for another key in the same place, which was never tried.
    """
    book = book_on(MemoryStore())
    one, two = (KeyPassphrase(words, iterations=1, memory=8, lanes=1) for words in ("six words", "other words"))
    book.change_key(one, operation="first")
    book.change_key(one, operation="first")

    assert (OperationConflictError, "change_key", "") == outcome(lambda: book.change_key(two, operation="first"))
    book.change_key(two)
    book.change_key(one, operation="first")
    assert book.rotate_keys().left == 0


def test_the_key_of_a_book_in_memory_is_changed_as_well() -> None:
    """
    A book in memory has keys like any other.
    """
    with open_book() as book:
        [handout] = book.extension(EXTENSION).generate(1)
        book.change_key(Locked(b"one"))

        assert Rotation(key=2, done=1, left=0) == book.rotate_keys()
        assert handout.serial == book.extension(EXTENSION).get(code=handout.code).serial


# Suites


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_is_chosen_for_good(suite: Suite) -> None:
    """
    What a new book seals with is kept in it; later it need not be given, and no other one is accepted.
    """
    store = MemoryStore()
    book = furnished(store, suite=suite)
    [other] = SUITES.keys() - {suite}

    assert {SUITES[suite]} == {record.sealed_code[0] for record in records_of(book)}
    assert {SUITES[suite]} == {record.sealed_pin[0] for record in records_of(book) if record.sealed_pin}
    assert suite == book.suite == book_on(store).suite == book_on(store, suite=suite).suite
    assert (InvalidValueError, "suite", f"of this book is {suite}, and stays so") == outcome(
        lambda: book_on(store, suite=other)
    )


def test_the_suite_is_siv_where_nothing_is_said() -> None:
    """
    Misuse resistant by default; a suite that there is not is refused before anything is made.
    """
    assert new_book().suite == "aes-256-siv"
    with pytest.raises(InvalidValueError) as caught:
        open_book(suite="aes-128-ecb")  # type: ignore[arg-type]
    assert caught.value.name == "suite"


@pytest.mark.parametrize("suite", SUITES)
def test_the_key_of_the_keys_follows_the_suite(suite: Suite, tmp_path: Path) -> None:
    """
    A key file wraps in the suite of the book, when it is made, after a rotation, and after the key was changed.
    """
    path = tmp_path / "cards.db"
    other = KeyFile(tmp_path / "other.key")
    other.create()
    suites = []
    with open_book(path, currency="EUR", suite=suite) as book:
        for change in (lambda: None, book.rotate_keys, lambda: book.change_key(other)):
            change()
            document = engine_of(book).store.document("keyring")
            assert document is not None
            live = document.value[33]
            suites.append(document.value[34 + 4 * live])

    assert [SUITES[suite]] * 3 == suites


# Killed


class DiesOnTheWay(SQLiteStore):
    """
    A store whose process is killed at one of its commits, before it or after it.
    """

    lives: ClassVar[int] = 0
    before: ClassVar[bool] = False

    def commit(self, changes: Changes) -> None:
        """
        Commit as long as there is life.
        """
        if self.lives == 0 and self.before:
            os.kill(os.getpid(), signal.SIGKILL)
        super().commit(changes)
        if self.lives == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        type(self).lives -= 1


def rotate_and_die(path: Path, lives: int, before: bool, _: int) -> None:  # noqa: FBT001 - given by position
    """
    Rotate one card at a time in a process that has so many lives.
    """
    DiesOnTheWay.lives, DiesOnTheWay.before = lives, before
    with book_on(DiesOnTheWay(path)) as book:
        finish(book, limit=1)


@pytest.mark.parametrize("before", [True, False], ids=["before the commit", "after the commit"])
@pytest.mark.parametrize("lives", [0, 1, 4, 8, 9])
def test_a_process_that_is_killed_on_the_way_does_no_harm(lives: int, before: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """
    At each commit of a rotation: all is found then, no code can be added twice, and the next process goes on.
    """
    path = tmp_path / "cards.db"
    furnished(SQLiteStore(path)).close()
    with file_book(path) as witness:
        killed(rotate_and_die, path, lives, before)
        assert lost(witness) == let_in(witness) == []
        with file_book(path) as book:
            assert lost(book) == let_in(book) == []
            assert sound(book) == ()
            unfinished = any(record.key == 1 for record in records_of(book)) or len(live_keys(book)) > 1
            if unfinished:
                assert finish(book, limit=3).key == 2
            assert {2} == {record.key for record in records_of(book)}
            assert lost(book) == lost(witness) == []
            assert sound(book) == sound(witness) == ()
            assert live_keys(book) == (2,)


# On database servers


@pytest.fixture(params=get_args(Kind))
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """
    Give the address of a database in which a furnished book is.
    """
    kind: Kind = request.param
    if reason := servers.missing(kind):
        pytest.skip(reason)
    with servers.shared(kind).database() as address:
        furnished(SQLAlchemyStore(address, create=True)).close()
        yield address


def work_on_a_server(url: str, number: int) -> list[str]:
    """
    Rotate three times in one of four processes; in the others add cards, some of them twice, and look for all of them.
    """
    with book_on(SQLAlchemyStore(url), policy=LAX) as book:
        if number == 0:
            for _ in range(3):
                finish(book, limit=5)
            return []
        extension = book.extension(EXTENSION)
        wrong, mine = [], []
        for turn in range(12):
            code = f"8{number}{turn:04}"
            mine.append(code)
            extension.add([NewCard(code, PIN)])
            answers = {outcome(lambda code=code: extension.add([NewCard(code)])) for code in (code, CODES[turn % 6])}  # type: ignore[misc]
            extension.recharge(extension.get(code=CODES[turn % 6]), "1.00")
            if answers != {(CardExistsError, (1,))}:
                wrong.append(f"{code} was added twice")
            wrong += [f"{code} was not found" for code in mine + CODES if extension.find(code=code) is None]

        return wrong


def test_processes_on_a_server_notice_nothing(url: str) -> None:
    """
    While one process rotates three times, three others find all cards, and add none twice; no recharge is lost.
    """
    answers = in_processes(work_on_a_server, url, times=4)
    with book_on(SQLAlchemyStore(url)) as book:
        assert answers == [[]] * 4
        assert lost(book) == let_in(book) == []
        assert sum(record.credit for record in records_of(book)) == (8 * 10 + 3 * 12) * 10**6
        assert len(records_of(book)) == 8 + 3 * 12
        assert {4} == {record.key for record in records_of(book)}
        assert sound(book) == ()
