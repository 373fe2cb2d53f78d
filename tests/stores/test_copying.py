"""
A copied book is the same book, whatever happened on the way; and what is not the same cannot be opened.
"""

from __future__ import annotations

import functools
import itertools
import multiprocessing
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ClassVar, Final, TypeAlias, TypeVar

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import servers
from tests.book_world import (
    EXTENSION,
    LAX,
    MORNING,
    OTHER,
    PATIENCE,
    BareKey,
    Clock,
    Recording,
    book_on,
    everything,
    outcome,
    seeded,
    serials,
    sound,
)
from voipcard import CardBook, KeyFile, License, NewCard, PinFormat, Progress, Quota, VoipcardError, open_book
from voipcard.core.query import CardQuery, EntryQuery
from voipcard.errors import (
    AccessDeniedError,
    InvalidValueError,
    NotABookError,
    OccupiedError,
    OperationConflictError,
    StoreError,
    StoreFullError,
    UnequalError,
)
from voipcard.stores import (
    AuditRecord,
    CardRecord,
    Changes,
    Copied,
    CounterChange,
    Document,
    EntryRecord,
    MemoryStore,
    SQLiteStore,
    Store,
    copy,
)
from voipcard.stores.copying import UNFINISHED, Copying
from voipcard.stores.sqlalchemy import SQLAlchemyStore
from voipcard.testing import Opener, samples, strategies
from voipcard.testing.machine import STORY, StoreMachine, check_story

T = TypeVar("T")

Spoil: TypeAlias = Callable[[Changes], Changes]

KEYRING: Final = Document("keyring", b"the keys of a book", version=1)
FEW: Final = 2
"""So many rows at a time take even a small book many commits."""

MANY: Final = 10_000_000


class Watched(MemoryStore):
    """
    A store in which something happens before or after each commit.

    Attributes:
        commits: How many commits came.
        before: Is given the number of a commit and the commit, and gives what is committed.
        after: Is given the number of a commit that was applied.
    """

    def __init__(self) -> None:
        super().__init__()
        self.commits = 0
        self.before: Callable[[int, Changes], Changes] = lambda _, changes: changes
        self.after: Callable[[int], object] = lambda _: None

    def commit(self, changes: Changes) -> None:
        """
        Let it happen, and commit in between.
        """
        number, self.commits = self.commits, self.commits + 1
        super().commit(self.before(number, changes))
        self.after(number)


def held(store: Store) -> tuple[object, ...]:
    """
    Give all that a store holds of a book.
    """
    documents = samples.every_document(store)
    numbers = [each.key.removeprefix("extension/") for each in documents if each.key.startswith("extension/")]
    counters = ["active", *(f"{counter}/{number}" for counter in ("active", "cards") for number in numbers)]

    return (
        samples.paged(store.cards, CardQuery(order="serial"), 1000, MANY),
        samples.paged(store.entries, EntryQuery(), 1000, MANY),
        documents,
        samples.every_audit(store),
        dict(store.counters(counters)),
    )


def copied(source: Store, target: Store) -> Copied:
    """
    Copy a few rows at a time.
    """
    return Copying(source, target, page=FEW).run()


def lively_book(store: Store) -> CardBook:
    """
    Make a book in which everything has happened that can happen.
    """
    clock = Clock(MORNING + timedelta(microseconds=1))
    settings = {"clock": clock, "source": seeded("lively"), "policy": LAX, "license": License(max_active_codes=50)}
    book = book_on(store, **settings).acting_as("alice")  # type: ignore[arg-type]
    extension, other = book.extension(EXTENSION), book.extension(OTHER)
    batch = extension.generate(5, credit="10.00", order_number="PO-1", pin_format=PinFormat(6), operation="first")
    one, two, three, four, five = (handout.serial for handout in batch)
    other.add([NewCard("40722123456", caller_id=True), NewCard("7711", credit="unlimited")], labels=["vip", "ring"])
    for number in range(3):
        extension.recharge(one, "2.50", order_number=f"PO-2{number}")
    extension.recharge_many([(two, "1.00"), (three, "-4.00")], operation="monthly")
    extension.transfer(one, two, amount="3.25", operation="moved")
    extension.edit(three, code="33334444", pin="8642")
    extension.recharge(four, "0.000001")
    extension.remove([four])
    extension.disable([five])
    extension.reveal(one)
    book.label_extension(EXTENSION, "Prepaid Ω")
    book.disable_extension(OTHER)

    return book


def cannot_be_opened(open_store: Opener) -> bool:
    """
    Tell whether nobody can open a book in a place, nor make one there, and nothing is written when it is tried.
    """
    with closing(open_store()) as store:
        before = held(store)
        for currency in (None, "EUR"):
            try:
                open_book(open_store(), currency=currency, key=BareKey())
            except VoipcardError:
                continue
            return False

        return before == held(store)


# Equal


class CopiedStory(StoreMachine):
    """
    Tells stories to a store in memory, and copies what they leave behind twice.
    """

    tally: ClassVar = StoreMachine.tally.copy()

    @contextmanager
    def fresh(self) -> Iterator[Opener]:
        """
        Open handles on the same dictionaries.
        """
        yield MemoryStore().another

    def teardown(self) -> None:
        """
        Copy into a file and back into memory.
        """
        source, back = self.open_store(), MemoryStore()
        with tempfile.TemporaryDirectory() as folder:
            source.commit(Changes(documents=[(KEYRING, 0)]))
            file = SQLiteStore(f"{folder}/cards.db")
            counts = [copied(source, file), Copying(file, back, page=3).run()]

            assert held(source) == held(file) == held(back)
            file.close()
        cards, entries, documents, trail, _ = samples.contents(source)

        assert counts == [Copied(len(cards), len(entries), len(documents), len(trail), counters=1)] * 2
        self._count("cards copied", cards)
        self._count("cards removed", {entry.card for entry in entries} - {card.id for card in cards})  # type: ignore[arg-type]
        self._count("cards changed", [card for card in cards if card.version > 1])
        self._count("shortfalls copied", [entry for entry in entries if entry.shortfall])
        self._count("holds copied", [card for card in cards if card.next_hold_expiry])


def test_every_story_is_copied() -> None:
    """
    Whatever a store may hold is held by its copies, in a file and in memory: removed, changed and held cards too.
    """
    tally = check_story(CopiedStory, settings(STORY, max_examples=75))

    assert min(tally["cards copied"], tally["cards removed"], tally["cards changed"]) > 0
    assert min(tally["holds copied"], tally["shortfalls copied"]) > 0


@given(
    changes=strategies.first_changes(),
    counters=st.dictionaries(st.sampled_from(["active", "active/1", "cards/1", "cards/~"]), st.integers(-9, 2**40)),
    page=st.integers(1, 5),
)
@settings(max_examples=40)
def test_every_value_is_copied(changes: Changes, counters: dict[str, int], page: int) -> None:
    """
    Every byte, character and number that a store can hold is in the copy, however little is copied at a time.

    A counter that was moved in a store that is empty otherwise ends where it should, too.
    """
    source, target = MemoryStore(), MemoryStore()
    source.commit(changes)
    documents = [(Document(key, b"", version=7), 0) for key in ("keyring", "extension/1", "extension/~")]
    moves = [CounterChange(key, value) for key, value in counters.items()]
    source.commit(Changes(documents=documents, counters=moves))
    target.commit(Changes(counters=[CounterChange("active", 5)]))

    report = Copying(source, target, page=page).run()

    assert held(source) == held(target)
    assert report.counters == 5


def server(kind: servers.Kind) -> Any:  # noqa: ANN401 - what pytest makes of it
    """
    Name a kind of server, to be left out where it is not installed.
    """
    reason = servers.missing(kind)

    return pytest.param(kind, marks=pytest.mark.skipif(reason is not None, reason=str(reason)))


PLACES: Final = ["memory", "SQLite", "SQLite through SQLAlchemy", server("postgresql"), server("mariadb")]


@contextmanager
def place_of(kind: str) -> Iterator[Opener]:
    """
    Make an empty place for a book, and give what opens a store there.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        if kind == "memory":
            yield MemoryStore().another
        elif kind == "SQLite":
            yield functools.partial(SQLiteStore, f"{folder}/cards.db")
        else:
            url = f"sqlite:///{folder}/cards.db"
            if kind in {"postgresql", "mariadb"}:
                url = stack.enter_context(servers.shared(kind).database())
            yield functools.partial(SQLAlchemyStore, url, create=True)


@pytest.mark.parametrize("kind", PLACES)
def test_a_copied_book_is_the_same_book(kind: str) -> None:
    """
    The copy opens with the key of the book, is sound, and tells the same of cards, histories and what was done.
    """
    source, back = MemoryStore(), MemoryStore()
    book = lively_book(source)
    before = held(source)
    with place_of(kind) as open_target, closing(open_target()) as target:
        reports = [copied(source, target), copied(target, back)]
        moved = book_on(target).acting_as("alice")

        assert before == held(source) == held(target) == held(back)
        assert reports == [Copied(*(len(part) for part in before))] * 2  # type: ignore[arg-type]
        assert everything(book) == everything(moved)
        assert list(book.audit_trail()) == list(moved.audit_trail())
        assert (sound(book), sound(moved)) == ((), ())
        assert moved.quota == Quota(50, 5)
        for serial in serials(book.extension(EXTENSION)):
            assert book.extension(EXTENSION).reveal(serial) == moved.extension(EXTENSION).reveal(serial)


@pytest.mark.parametrize("kind", PLACES)
def test_every_store_can_go_on_with_a_copy(kind: str) -> None:
    """
    Whichever store is copied to: a stopped copy cannot be opened and goes on, and one that was used is left alone.
    """
    source = MemoryStore()
    lively_book(source)
    with place_of(kind) as open_target, closing(open_target()) as target:
        for pages in range(1, 6):
            with pytest.raises(KeyboardInterrupt):
                Copying(source, target, stopping(after=pages), page=5).run()

            assert cannot_be_opened(open_target)
        other = MemoryStore()
        lively_book(other)

        assert refusal_of(other, target) is OccupiedError
        copied(source, target)

        assert held(source) == held(target)
        book_on(target).label_extension(OTHER, "used")

        assert refusal_of(source, target) is UnequalError


def stopping(*, after: int) -> Progress:
    """
    Stop a copy after so many pages.
    """
    pages = itertools.count(1)

    def tell(_: int, __: int | None) -> None:
        if next(pages) == after:
            raise KeyboardInterrupt

    return tell


def test_what_was_done_once_is_not_done_again_in_the_copy() -> None:
    """
    Order numbers and operations that were used before the copy are known after it, and conflict as they did.
    """
    source, target = MemoryStore(), MemoryStore()
    book = lively_book(source)
    copied(source, target)
    moved = book_on(target, policy=LAX, license=License(max_active_codes=50)).acting_as("alice")
    one, two, *_ = serials(book.extension(EXTENSION))

    for extension in (book.extension(EXTENSION), moved.extension(EXTENSION)):
        before = held(target)
        again = extension.recharge(one, "2.50", order_number="PO-20")
        conflict = outcome(lambda: extension.recharge(one, "9.00", order_number="PO-20"))  # noqa: B023 - called at once
        moved_again = extension.transfer(one, two, amount="3.25", operation="moved")

        assert before == held(target)
        assert (again, moved_again) == (
            book.extension(EXTENSION).recharge(one, "2.50", order_number="PO-20"),
            book.extension(EXTENSION).transfer(one, two, amount="3.25", operation="moved"),
        )
        assert isinstance(conflict, tuple)
        assert conflict[0] is OperationConflictError
    first, replayed = (
        each.extension(EXTENSION).generate(
            5, credit="10.00", order_number="PO-1", pin_format=PinFormat(6), operation="first"
        )
        for each in (book, moved)
    )

    assert replayed.replayed
    assert list(first) == list(replayed)


def test_a_copied_book_goes_on() -> None:
    """
    Cards of the copy are recharged, found by their codes and counted against the license, as in the book itself.
    """
    source, target = MemoryStore(), MemoryStore()
    lively_book(source)
    copied(source, target)
    moved = book_on(target, policy=LAX).acting_as("alice")
    extension = moved.extension(EXTENSION)

    card = extension.get(code="33334444")
    extension.recharge(card, "5.00", order_number="PO-9")
    extension.enable([card.serial for card in extension.search(enabled=False)])
    moved.extension(OTHER).generate(44, credit="1.00")

    assert outcome(lambda: moved.extension(OTHER).add("123")) != ()
    assert moved.quota.remaining == 0
    assert sound(moved) == ()


def test_every_counter_that_a_book_moves_is_copied() -> None:
    """
    A counter that the library moves, and a copy forgets, would be found here.
    """
    source, target = Recording(), MemoryStore()
    lively_book(source)
    moved = {change.key for changes in source.commits for change in changes.counters}

    report = copied(source, target)

    assert len(moved) == report.counters == 5
    assert source.counters(moved) == target.counters(moved)


def test_what_was_guessed_is_copied() -> None:
    """
    Limits on guessing go on in the copy where they were, and so does the watch on failures.
    """
    source, target = Recording(), MemoryStore()
    extension = lively_book(source).extension(EXTENSION)
    [handout] = extension.generate(1, credit="10.00")
    for number in range(12):
        with pytest.raises(AccessDeniedError):
            extension.authenticate(
                handout.code, pin=f"{number:05}", source=f"{number}", ingress=f"trunk {number % 3}", call_id=f"{number}"
            )
    moved = {change.key for changes in source.commits for change in changes.counters}
    guessed = {key for key, value in source.counters(moved).items() if value and key.startswith("guesses/")}

    report = copied(source, target)

    assert len(guessed) >= 4
    assert report.counters == len(guessed) + 5
    assert source.counters(moved) == target.counters(moved)


def test_a_key_file_opens_the_copy(tmp_path: Path) -> None:
    """
    Beside a copied file its key is found as beside any other, and an unfinished copy is refused with it, too.
    """
    with open_book(tmp_path / "cards.db", currency="EUR") as book:
        [handout] = book.extension(EXTENSION).generate(1, credit="10.00")
    key = KeyFile(tmp_path / "cards.db.key")
    unfinished = Watched()
    unfinished.before = interrupting(at=3)

    source, target = SQLiteStore(tmp_path / "cards.db"), SQLiteStore(tmp_path / "moved.db")
    copy(source, target)
    outcome(lambda: copied(source, unfinished))
    shutil.copy(key.path, tmp_path / "moved.db.key")

    with open_book(tmp_path / "moved.db") as moved:
        assert moved.extension(EXTENSION).get(code=handout.code).serial == handout.serial
    with pytest.raises(VoipcardError):
        open_book(unfinished, key=key, currency="EUR")


# Interrupted


def interrupting(*, at: int) -> Callable[[int, Changes], Changes]:
    """
    Let a commit fail before it is applied.
    """

    def before(number: int, changes: Changes) -> Changes:
        if number == at:
            raise StoreFullError("no space is left")
        return changes

    return before


def losing_the_answer(*, at: int) -> Callable[[int], None]:
    """
    Let a commit fail after it was applied.
    """

    def after(number: int) -> None:
        if number == at:
            raise StoreError("the connection was lost", maybe_applied=True)

    return after


def commits_of(source: Store) -> int:
    """
    Count the commits that a copy takes.
    """
    target = Watched()
    copied(source, target)

    return target.commits


@pytest.mark.parametrize("is_applied", [False, True], ids=["refused", "answer lost"])
def test_a_copy_that_was_interrupted_goes_on(is_applied: bool) -> None:  # noqa: FBT001 - a parameter
    """
    Whichever commit fails, before it is applied or after, the next call writes what is missing, and no more.

    Until then the target cannot be opened.
    """
    source = MemoryStore()
    lively_book(source)
    total = commits_of(source)

    for number in range(total):
        target = Watched()
        if is_applied:
            target.after = losing_the_answer(at=number)
        else:
            target.before = interrupting(at=number)
        with pytest.raises(StoreError):
            copied(source, target)
        is_done = number + is_applied

        assert is_done in {0, total} or cannot_be_opened(target.another)
        target.commits, target.before, target.after = 0, lambda _, changes: changes, lambda _: None
        assert copied(source, target) == copied(source, MemoryStore())
        assert held(source) == held(target)
        assert target.commits == total - is_done
    assert total > 20


def test_a_copy_that_is_interrupted_again_and_again_arrives() -> None:
    """
    One commit for each call is enough.
    """
    source, target = MemoryStore(), Watched()
    lively_book(source)
    calls = 0
    while held(source) != held(target):
        target.after = losing_the_answer(at=target.commits)
        with pytest.raises(StoreError):
            copied(source, target)
        calls += 1

    assert calls == commits_of(source)
    assert copied(source, target).cards == 6


def test_what_was_copied_with_other_pages_goes_on() -> None:
    """
    A release that copies more or fewer rows at a time goes on where another one stopped.
    """
    source = MemoryStore()
    lively_book(source)
    for number in range(commits_of(source)):
        target = Watched()
        target.before = interrupting(at=number)
        with pytest.raises(StoreFullError):
            copied(source, target)
        target.before = lambda _, changes: changes
        Copying(source, target, page=5).run()

        assert held(source) == held(target)


def test_a_store_that_writes_by_halves_is_found_out() -> None:
    """
    The same interruptions leave a copy that is not equal where a commit is not applied as a whole, and it is noticed.
    """
    source = MemoryStore()
    lively_book(source)
    faults = 0
    for number in range(commits_of(source)):
        target = Watched()

        def before(count: int, changes: Changes, number: int = number, target: Watched = target) -> Changes:
            if count == number:
                halved = attrs.evolve(changes, new=(), entries=[*(entry for _, entry in changes.new), *changes.entries])
                MemoryStore.commit(target, halved)
                raise StoreFullError("no space is left")
            return changes

        target.before = before
        outcome(lambda: copied(source, target))  # noqa: B023 - called at once
        target.before = lambda _, changes: changes
        result = outcome(lambda: copied(source, target))  # noqa: B023 - called at once
        if isinstance(result, tuple):
            faults += 1

            assert result[0] is UnequalError
            assert cannot_be_opened(target.another)

    assert faults > 0


_CONTEXT: Final = multiprocessing.get_context("forkserver")


def copy_and_tell(line: Connection, source: Path, target: Path) -> None:
    """
    Copy from file to file, and say when it begins and ends.
    """
    stores = SQLiteStore(source), SQLiteStore(target)
    line.send("begun")
    copied(*stores)
    line.send("done")


@contextmanager
def copying(source: Path, target: Path) -> Iterator[Connection]:
    """
    Let another process copy, and kill it in the end.
    """
    ours, theirs = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=copy_and_tell, args=(theirs, source, target), daemon=True)
    process.start()
    theirs.close()
    with ours:
        assert ours.poll(PATIENCE)
        assert ours.recv() == "begun"
        try:
            yield ours
        finally:
            process.kill()
            process.join()


def seconds_of(source: Path, target: Path) -> float:
    """
    Measure how long another process takes to copy.
    """
    with copying(source, target) as line:
        begun = time.perf_counter()
        assert line.recv() == "done"

        return time.perf_counter() - begun


def test_a_copy_is_killed_and_goes_on(tmp_path: Path) -> None:
    """
    A process that is killed at any moment leaves a target that cannot be opened or is equal, and another one goes on.
    """
    chance, partly = random.Random(), 0  # noqa: S311 - any moment
    place, moved = tmp_path / "cards.db", tmp_path / "moved.db"
    with book_on(SQLiteStore(place), policy=LAX) as book:
        batch = book.extension(EXTENSION).generate(100, credit="10.00")
        book.extension(EXTENSION).recharge_many([(card.serial, "1.00") for card in batch[:50]])
        book.extension(EXTENSION).remove([card.serial for card in batch[80:]])
    seconds = seconds_of(place, tmp_path / "measured.db")
    with closing(SQLiteStore(place)) as source:
        before = held(source)
        for number in range(1, 13):
            with copying(place, moved):
                time.sleep(chance.uniform(0, seconds / 2))
            with closing(SQLiteStore(moved)) as target:
                partly += bool(target.documents("")) and held(target) != before

                assert not target.documents("") or held(target) == before or cannot_be_opened(opener_of(moved))
                if number % 3 == 0:
                    copy(source, target)

                    assert before == held(source) == held(target)
            if number % 3 == 0:  # from the beginning again
                for file in tmp_path.glob("moved.db*"):
                    file.unlink()

    assert partly > 0


def opener_of(path: Path) -> Opener:
    """
    Open a file again and again.
    """
    return functools.partial(SQLiteStore, path)


# Not equal


def without_cards(changes: Changes) -> Changes:
    """
    Forget the cards, and keep their entries.
    """
    return attrs.evolve(changes, new=(), entries=[*(entry for _, entry in changes.new), *changes.entries])


def of_cards(change: Callable[[CardRecord], CardRecord]) -> Spoil:
    """
    Change each card.
    """
    return lambda changes: attrs.evolve(changes, new=[(change(card), entry) for card, entry in changes.new])


def of_entries(change: Callable[[EntryRecord], EntryRecord]) -> Spoil:
    """
    Change each entry.
    """
    return lambda changes: attrs.evolve(
        changes,
        new=[(card, change(entry)) for card, entry in changes.new],
        entries=[change(entry) for entry in changes.entries],
    )


def is_last(changes: Changes) -> bool:
    """
    Tell whether a commit is the one that lets the copy be opened.
    """
    return any(document.key == "keyring" and version == UNFINISHED for document, version in changes.documents)


def is_first_or_last(changes: Changes) -> bool:
    """
    Tell whether a commit is about the key ring.
    """
    return any(document.key == "keyring" for document, _ in changes.documents)


def of_documents(change: Callable[[Document], Document]) -> Spoil:
    """
    Change each document but the key ring.
    """
    return lambda changes: attrs.evolve(
        changes,
        documents=[
            (document if document.key == "keyring" else change(document), version)
            for document, version in changes.documents
        ],
    )


def with_another_key_ring(changes: Changes) -> Changes:
    """
    Keep something else when the copy is finished.
    """
    if not is_last(changes):
        return changes
    [(keyring, version)] = changes.documents

    return attrs.evolve(changes, documents=[(keyring._replace(value=keyring.value[::-1]), version)])


SPOILED: Final[dict[str, tuple[Spoil, str]]] = {
    "cards are lost": (without_cards, "card "),
    "credit is changed": (of_cards(lambda card: card._replace(credit=card.credit + 1)), "card "),
    "a moment is rounded": (of_cards(lambda card: card._replace(created_at=card.created_at // 1000 * 1000)), "card "),
    "versions begin at 1": (of_cards(lambda card: card._replace(version=1)), "card "),
    "later entries are lost": (lambda changes: attrs.evolve(changes, entries=()), "entry "),
    "an amount is changed": (of_entries(lambda entry: entry._replace(amount=entry.amount - 1)), "entry "),
    "a shortfall is made up": (of_entries(lambda entry: entry._replace(shortfall=0)), "entry "),
    "operations are lost": (of_entries(lambda entry: entry._replace(operation=None)), "entry "),
    "a document is changed": (of_documents(lambda document: document._replace(value=b"")), "document "),
    "a version is changed": (of_documents(lambda document: document._replace(version=9)), "document "),
    "documents are lost": (
        lambda changes: attrs.evolve(
            changes, documents=[each for each in changes.documents if each[0].key == "keyring"]
        ),
        "document ",
    ),
    "the key ring is another one": (with_another_key_ring, "document keyring"),
    "the trail is lost": (lambda changes: attrs.evolve(changes, audit=()), "audit entry "),
    "the trail is changed": (
        lambda changes: attrs.evolve(changes, audit=[each._replace(actor="bob") for each in changes.audit]),
        "audit entry ",
    ),
    "counters are lost": (lambda changes: attrs.evolve(changes, counters=()), "counter "),
    "counters move too far": (
        lambda changes: attrs.evolve(
            changes, counters=[CounterChange(each.key, each.delta + 1) for each in changes.counters]
        ),
        "counter ",
    ),
}


@pytest.mark.parametrize("what", SPOILED)
def test_what_a_store_does_not_keep_is_noticed(what: str) -> None:
    """
    A target that loses or changes a row of any kind cannot be opened, and the error names the first such row.
    """
    spoil, difference = SPOILED[what]
    source, target = MemoryStore(), Watched()
    lively_book(source)
    commits: list[Changes] = []

    def before(_: int, changes: Changes) -> Changes:
        commits.append(changes)

        return spoil(changes)

    target.before = before
    with pytest.raises(UnequalError) as caught:
        copied(source, target)

    assert caught.value.differences[0].startswith(difference)
    assert caught.value.differences[0] in str(caught.value)
    assert any(map(is_last, commits)) == (difference == "document keyring"), "it could be opened for a moment"
    assert cannot_be_opened(target.another)


NAMES: Final[dict[str, Callable[[Any], str]]] = {
    "new": lambda pair: f"card {pair[0].serial}",
    "entries": lambda entry: f"entry {entry.sequence} of {entry.serial}",
    "documents": lambda pair: f"document {pair[0].key}",
    "audit": lambda record: f"audit entry {record.id.hex()}",
    "counters": lambda change: f"counter {change.key}",
}


@pytest.mark.parametrize("kind", NAMES)
def test_a_single_lost_row_is_noticed(kind: str) -> None:
    """
    One row among all is missed and named, the first and the last of all and of a page among them.
    """
    source, good = MemoryStore(), Recording()
    lively_book(source)
    copied(source, good)
    rows = [row for changes in good.commits if not is_last(changes) for row in getattr(changes, kind)]
    for lost in rows[kind == "documents" :]:  # the first document is what stands for the key ring
        target = Watched()
        target.before = lambda _, changes, lost=lost: attrs.evolve(  # type: ignore[misc]
            changes, **{kind: [row for row in getattr(changes, kind) if row != lost]}
        )
        result = outcome(lambda: copied(source, target))  # noqa: B023 - called at once

        assert isinstance(result, tuple)
        assert result[0] is UnequalError
        assert result[-1][0] == NAMES[kind](lost)  # type: ignore[index]
        assert cannot_be_opened(target.another)
    assert len(rows) >= 5


@pytest.mark.parametrize("kind", ["cards", "entries", "audit"])
def test_a_row_that_is_lost_at_last_is_noticed(kind: str) -> None:
    """
    What a target loses when the copy is finished, after all was found equal, is noticed as well.
    """
    source = MemoryStore()
    lively_book(source)
    target = Forgetful(kind)

    assert refusal_of(source, target) is UnequalError
    assert cannot_be_opened(target.another)


def refusal_of(source: Store, target: Store) -> object:
    """
    Give the class of what a copy is refused with; None if it is not.
    """
    result = outcome(lambda: copied(source, target))

    return result[0] if isinstance(result, tuple) else None


class Forgetful(MemoryStore):
    """
    A store that forgets something once it holds a whole book.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    def commit(self, changes: Changes) -> None:
        """
        Commit, and forget.
        """
        super().commit(changes)
        if is_last(changes):
            kept: dict[str, dict[bytes, Any]]
            kept = {"cards": self._cards, "entries": self._entries, "audit": self._audit}
            kept[self._kind].popitem()


def test_an_error_says_no_secret() -> None:
    """
    What differs is named by what anybody may see.
    """
    source, target = MemoryStore(), Watched()
    book = lively_book(source)
    target.before = lambda _, changes: without_cards(changes)
    result = outcome(lambda: copied(source, target))
    secrets = [
        word
        for extension in book.extensions()
        for serial in serials(extension)
        for handout in [extension.reveal(serial)]
        for word in (handout.code, handout.pin)
        if word
    ]

    assert len(secrets) > 6
    assert not [word for word in secrets if word in str(result)]


# Something else is there


def foreign_targets() -> Iterator[tuple[str, Store]]:
    """
    Give stores into which a book must not be copied.
    """
    other = MemoryStore()
    lively_book(other)
    yield "another book", other
    unfinished = Watched()
    unfinished.before = interrupting(at=5)
    outcome(lambda: copied(other, unfinished))
    yield "an unfinished copy of another book", unfinished
    part = samples.step(1)
    for name, changes in {
        "cards": Changes(new=part.new),
        "an entry": Changes(entries=part.entries),
        "a document": Changes(documents=part.documents),
        "a key ring alone": Changes(documents=[(KEYRING, 0)]),
        "an audit entry": Changes(audit=part.audit),
    }.items():
        store = MemoryStore()
        store.commit(changes)
        yield name, store


def test_a_target_that_holds_something_else_is_left_alone() -> None:
    """
    Whatever else is there, the copy is refused and nothing is written.
    """
    source = MemoryStore()
    lively_book(source)
    targets = list(foreign_targets())
    for name, target in targets:
        before = held(target)

        assert refusal_of(source, target) is OccupiedError, name
        assert held(target) == before, name
    assert len(targets) == 7


def test_a_copy_that_was_used_is_left_alone() -> None:
    """
    A complete copy is only compared: what was done in it, or in the book, since then is named, and stays.
    """
    source, target = MemoryStore(), Recording()
    book = lively_book(source)
    report = copied(source, target)
    target.commits.clear()

    assert copied(source, target) == report
    card = book.extension(EXTENSION).get(code="33334444")
    for used in (target, source):
        book_on(used).extension(EXTENSION).recharge(card, "1.00", order_number=f"PO-{used is target}")
        before = held(target)
        result = outcome(lambda: copied(source, target))

        assert isinstance(result, tuple)
        assert result[0] is UnequalError
        assert f"card {card.serial}" in result[-1]  # type: ignore[operator]
        assert held(target) == before
    assert len(target.commits) == 1


def test_an_unfinished_copy_that_was_changed_is_not_finished() -> None:
    """
    Rows that came into an unfinished copy from elsewhere are noticed, and what is behind them is not written.
    """
    source, strange = MemoryStore(), samples.step(1)
    lively_book(source)
    last = Document("tombstone/~", b"", version=1)
    for changes in (
        Changes(new=strange.new),
        Changes(entries=strange.entries),
        Changes(documents=[(Document("book", b"", version=1), 0)]),
        Changes(documents=[(last, 0)]),
        Changes(audit=[samples.audit(1)]),
    ):
        target = Watched()
        target.before = interrupting(at=1)
        outcome(lambda: copied(source, target))  # noqa: B023 - called at once
        MemoryStore.commit(target, changes)
        target.before = lambda _, changes: changes

        assert refusal_of(source, target) is UnequalError
        assert cannot_be_opened(target.another)


def test_only_a_book_is_copied() -> None:
    """
    Where no book is, or only a part of one, there is nothing to copy, and nothing is written.
    """
    source, unfinished, target = MemoryStore(), Watched(), Recording()
    lively_book(source)
    unfinished.before = interrupting(at=9)
    outcome(lambda: copied(source, unfinished))

    assert refusal_of(MemoryStore(), target) is NotABookError
    assert refusal_of(unfinished, target) is NotABookError
    assert target.commits == []


@pytest.mark.parametrize("name, places", [("source", ("cards.db", MemoryStore())), ("target", (MemoryStore(), None))])
def test_only_stores_are_taken(name: str, places: tuple[Any, Any]) -> None:
    """
    A path is no store, and the error says what to do.
    """
    with pytest.raises(InvalidValueError, match=rf"^{name} has to be a store, such as SQLiteStore\(path\)$"):
        copy(*places)


# Others at the same time

WRITES: Final[dict[str, Callable[[CardBook], object]]] = {
    "generate": lambda book: book.extension(EXTENSION).generate(1, credit="1.00"),
    "in a new extension": lambda book: book.extension("0000*001").add("5"),
    "recharge": lambda book: book.extension(EXTENSION).recharge(serials(book.extension(EXTENSION))[0], "1.00"),
    "edit": lambda book: book.extension(EXTENSION).edit(serials(book.extension(EXTENSION))[-1], pin="9753"),
    "disable": lambda book: book.extension(EXTENSION).disable(serials(book.extension(EXTENSION))[:1]),
    "remove": lambda book: book.extension(EXTENSION).remove(serials(book.extension(EXTENSION))[:1]),
    "reveal": lambda book: book.extension(EXTENSION).reveal(serials(book.extension(EXTENSION))[0]),
    "label": lambda book: book.label_extension(OTHER, "otherwise"),
    "license": lambda book: book.install_license(License(max_active_codes=40)),
}


def test_another_wrapping_of_the_key_ring_is_noticed() -> None:
    """
    Where the key of the book is changed meanwhile, the copy would open with the old one.
    """
    source = MemoryStore()
    lively_book(source)
    for number in (0, 5, commits_of(source) - 1):
        source, target = MemoryStore(), Watched()
        lively_book(source)

        def before(count: int, changes: Changes, number: int = number, source: Store = source) -> Changes:
            if count == number:
                source.commit(Changes(documents=[(Document("keyring", b"wrapped again", 2), 1)]))
            return changes

        target.before = before

        assert refusal_of(source, target) is UnequalError
        assert cannot_be_opened(target.another)


@pytest.mark.parametrize("verb", WRITES)
def test_what_is_written_meanwhile_is_copied_or_noticed(verb: str) -> None:
    """
    Whichever commit somebody writes to the book before, the copy ends equal or cannot be opened.
    """
    original = MemoryStore()
    lively_book(original)
    ends = set()
    for number in range(commits_of(original)):
        source, target = MemoryStore(), Watched()
        book = lively_book(source)

        def before(count: int, changes: Changes, number: int = number, book: CardBook = book) -> Changes:
            if count == number:
                WRITES[verb](book)
            return changes

        target.before = before
        refusal = refusal_of(source, target)
        ends.add(refusal)

        assert refusal in {None, UnequalError}
        assert cannot_be_opened(target.another) if refusal else held(source) == held(target)
    assert refusal is UnequalError, "what was written before the last commit is missing, and was not noticed"
    assert ends == {None, UnequalError}


@pytest.mark.parametrize("failure", [KeyboardInterrupt, StoreError("the target is away")])
def test_what_is_interrupted_at_the_end_cannot_be_opened(failure: BaseException | type[BaseException]) -> None:
    """
    Where the last comparison does not come to its end, the copy is closed again: what it lacks is not known.
    """
    source, target = MemoryStore(), Watched()
    book = lively_book(source)
    last = commits_of(source) - 1

    def before(count: int, changes: Changes) -> Changes:
        if count == last:
            WRITES["recharge"](book)
        return changes

    def progress(_done: int, _total: int | None) -> None:
        if target.commits > last:
            raise failure

    target.before = before
    with pytest.raises((KeyboardInterrupt, StoreError)):
        Copying(source, target, progress, page=FEW).run()

    assert cannot_be_opened(target.another)


def test_two_copies_at_once_do_no_harm() -> None:
    """
    Where another call copies to the same target, at whatever moment, one of the two gives up and the other is equal.
    """
    source = MemoryStore()
    lively_book(source)
    for number in range(commits_of(source)):
        target = Watched()

        def before(count: int, changes: Changes, number: int = number, target: Watched = target) -> Changes:
            if count == number:
                copied(source, target)
            return changes

        target.before = before

        assert refusal_of(source, target) is OccupiedError
        assert held(source) == held(target)
        assert sound(book_on(target)) == ()


def test_two_copies_of_which_one_stops_do_no_harm() -> None:
    """
    Where another call has written the same page, and then stopped, this one gives up, and the next one goes on.
    """
    source = MemoryStore()
    lively_book(source)
    for number in range(commits_of(source) - 1):
        target = Watched()

        def before(count: int, changes: Changes, number: int = number, target: Watched = target) -> Changes:
            if count == number:
                target.before = interrupting(at=number + 2)
                outcome(lambda: copied(source, target))
                target.before = lambda _, changes: changes
            return changes

        target.before = before

        assert refusal_of(source, target) is OccupiedError
        assert cannot_be_opened(target.another)
        copied(source, target)
        assert held(source) == held(target)


class Heedless(Watched):
    """
    A store that does not look at what a commit requires.
    """

    def commit(self, changes: Changes) -> None:
        """
        Commit without looking.
        """
        super().commit(attrs.evolve(changes, require=()))


def used_before_a_late_commit(target: Watched) -> CardBook:
    """
    Let a call that is about to move a counter sleep until another one has finished the copy, and all cards are gone.
    """
    source = MemoryStore()
    lively_book(source)

    def before(_: int, changes: Changes) -> Changes:
        if changes.counters:
            target.before = lambda _, changes: changes
            copied(source, target)
            for extension in book_on(target).extensions():
                extension.remove(serials(extension))
        return changes

    target.before = before
    refusal_of(source, target)

    return book_on(target)


def test_a_call_that_comes_late_does_no_harm() -> None:
    """
    A call that wakes up after the copy was finished and used writes nothing to it any more.
    """
    book = used_before_a_late_commit(Watched())

    assert sound(book) == ()
    assert book.quota.active == 0


def test_a_late_call_would_do_harm_to_a_heedless_store() -> None:
    """
    It is the requirement of each commit that keeps a late call out.
    """
    assert {finding.part for finding in sound(used_before_a_late_commit(Heedless()))} == {"counter"}


# How it goes on


def test_progress_is_told() -> None:
    """
    What is done grows up to what there is to do, also where a copy goes on or there is nothing to copy any more.
    """
    source, target = MemoryStore(), Watched()
    lively_book(source)
    cards, entries = source.count(CardQuery()), len(source.entries(EntryQuery()))
    target.before = interrupting(at=4)

    whole = 2 * cards + 3 * entries
    for last, total in ((3 * FEW, whole), (whole, whole), (cards + entries, cards + entries)):
        told: list[tuple[int, int | None]] = []
        outcome(lambda: Copying(source, target, lambda *done: told.append(done), page=FEW).run())  # noqa: B023
        target.before = lambda _, changes: changes

        assert sorted(set(told)) == told
        assert told[-1] == (last, total)
        assert {total} == {each for _, each in told}


def test_a_copy_can_be_stopped() -> None:
    """
    What the caller raises while it is told of the progress stops the copy, and the next call goes on.
    """
    source, target = MemoryStore(), Watched()
    lively_book(source)

    def stop(done: int, _: int | None) -> None:
        if done > FEW:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Copying(source, target, stop, page=FEW).run()
    begun = target.commits
    copied(source, target)

    assert held(source) == held(target)
    assert target.commits == commits_of(source)
    assert 0 < begun < target.commits


def test_little_is_read_and_written_at_a_time() -> None:
    """
    However large a book is, no more than a page of it is read or committed at once; of documents one more.
    """
    source, target = Measured(), Recording()
    book = book_on(source, policy=LAX)
    batch = book.extension(EXTENSION).generate(300)
    book.extension(EXTENSION).recharge_many([(card.serial, "1.00") for card in batch])
    for number in range(20):
        book.extension(f"0005*{number:03}").add(f"{number}")
    source.largest = 0

    Copying(source, target, page=10).run()
    rows = [
        len(list(changes.new)) + len(changes.entries) + len(changes.documents) + len(changes.audit)
        for changes in target.commits
    ]

    assert (source.largest, max(rows), max(len(changes.counters) for changes in target.commits)) == (11, 11, 20)


class Measured(MemoryStore):
    """
    A store that remembers how much was read from it at once.
    """

    largest = 0

    def _measured(self, rows: Sequence[T]) -> Sequence[T]:
        self.largest = max(self.largest, len(rows))

        return rows

    def cards(self, query: CardQuery) -> Sequence[CardRecord]:
        """
        Give cards.
        """
        return self._measured(super().cards(query))

    def find_many(self, *, ids: Iterable[bytes] = (), serials: Iterable[str] = ()) -> Sequence[CardRecord]:
        """
        Give cards.
        """
        return self._measured(super().find_many(ids=ids, serials=serials))

    def entries(self, query: EntryQuery) -> Sequence[EntryRecord]:
        """
        Give entries.
        """
        return self._measured(super().entries(query))

    def documents(
        self, prefix: str, *, after: str = "", limit: int = 1000, expired_at: int | None = None
    ) -> Sequence[Document]:
        """
        Give documents.
        """
        return self._measured(super().documents(prefix, after=after, limit=limit, expired_at=expired_at))

    def audit(self, *, after: bytes = b"", limit: int = 1000) -> Sequence[AuditRecord]:
        """
        Give entries of the trail.
        """
        return self._measured(super().audit(after=after, limit=limit))


def test_a_large_book_is_copied_in_whole_pages(tmp_path: Path) -> None:
    """
    With pages as they are, a book of several of them arrives in a file.
    """
    source = MemoryStore()
    batch = book_on(source, policy=LAX).extension(EXTENSION).generate(2_100, credit="10.00")

    with closing(SQLiteStore(tmp_path / "moved.db")) as target:
        report = copy(source, target)
        moved = book_on(target, policy=LAX).extension(EXTENSION)

        assert report == Copied(cards=2_100, entries=2_100, documents=260, audit_entries=1, counters=3)
        assert held(source) == held(target)
        assert moved.get(code=batch[-1].code).serial == batch[-1].serial
