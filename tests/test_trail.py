"""
The audit trail as it is written: chains in lanes, each entry at its place whoever writes, and nothing half done.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from tests.book_world import (
    EXTENSION,
    MORNING,
    Clock,
    Meddled,
    Recording,
    book_on,
    engine_of,
    file_book,
    findings_of,
    in_processes,
    in_threads,
    new_book,
    outcome,
    sound,
)
from tests.databases import DATABASES, SERVERS, DatabaseKind, empty_database, engine_on, on
from voipcard import CardBook
from voipcard.core.moments import to_micros
from voipcard.errors import DuplicateError, StaleError, StoreError, TamperedError
from voipcard.names import GUESSES, TRAIL
from voipcard.stores import Changes, Document, MemoryStore, SQLAlchemyStore
from voipcard.trail import LANES, Head, Tally, heads_of, lane_of

OWN: Final = 128
"""How many lanes are for commits of their own."""


def places(book: CardBook) -> list[tuple[int, int]]:
    """
    Give the lane and the number of every audit entry, in the order of the store.
    """
    return [lane_of(record.id) for record in engine_of(book).store.audit(limit=10_000)]


def all_of(book: CardBook) -> list[Head]:
    """
    Give the heads of all lanes.
    """
    return heads_of(engine_of(book).store, engine_of(book).records)


def relabel(book: CardBook, label: object = "Main") -> None:
    """
    Do something that leaves an audit entry.
    """
    book.label_extension(EXTENSION, str(label))


class Counting(MemoryStore):
    """
    A store that counts what is asked of it, and can fail or lose its answer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.failure: StoreError | None = None
        self.forgets_answer = False

    def document(self, key: str) -> Document | None:
        """
        Remember which document was read.
        """
        self.asked.append(key)

        return super().document(key)

    def commit(self, changes: Changes) -> None:
        """
        Fail before the commit, or after it.
        """
        failure, self.failure = self.failure, None
        if failure and not self.forgets_answer:
            raise failure
        super().commit(changes)
        if failure:
            raise failure


# Places


@settings(max_examples=50)
@given(st.lists(st.sampled_from(["label", "generate", "recharge", "disable", "remove"]), max_size=12))
def test_the_entries_of_a_lane_are_numbered_without_a_gap(steps: Sequence[str]) -> None:
    """
    Whatever is done, one after another, is in one lane: numbered from 1, and chained.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    extension.generate(1)
    for step in steps:
        cards = [card.serial for card in extension]
        if step == "label":
            relabel(book)
        elif step == "generate":
            extension.generate(1)
        elif cards:
            verbs: dict[str, Callable[[], object]] = {
                "recharge": lambda serial=cards[0]: extension.recharge(serial, 1),  # type: ignore[misc]
                "disable": lambda serial=cards[0]: extension.disable(serial),  # type: ignore[misc]
                "remove": lambda serial=cards[0]: extension.remove(serial),  # type: ignore[misc]
            }
            verbs[step]()
    found = places(book)

    assert [number + 1 for number in range(len(found))] == [number for _, number in found]
    assert len({lane for lane, _ in found}) == 1
    assert sound(book) == ()


def test_every_lane_has_a_head_from_the_beginning(tmp_path: Path) -> None:
    """
    A new book, in memory or in a file, has the heads of all lanes, so that a missing one was deleted.
    """
    with file_book(tmp_path / "cards.db") as in_file:
        for book in (new_book(), in_file):
            heads = all_of(book)

            assert [*range(LANES)] == [head.lane for head in heads]
            assert {1} == {head.version for head in heads}


def test_a_process_stays_in_its_lane_and_reads_no_head_again() -> None:
    """
    A thread that writes again and again reads the head of its lane once.
    """
    store = Counting()
    book = book_on(store)
    for number in range(20):
        relabel(book, number)

    assert len([key for key in store.asked if key.startswith(TRAIL)]) == 1
    assert {place[0] for place in places(book)} <= set(range(OWN))


def test_threads_have_lanes_of_their_own() -> None:
    """
    As many threads as write at once use as many lanes at most, and none is refused because of another.
    """
    book = new_book()

    def work(number: int) -> None:
        for turn in range(20):
            relabel(book, f"{number} {turn}")

    in_threads(work, 8)
    lanes = Counter(lane for lane, _ in places(book))

    assert sum(lanes.values()) == 160
    assert len(lanes) <= 8
    assert sound(book) == ()


def test_handles_in_the_same_lane_do_not_refuse_each_other() -> None:
    """
    Of more handles than there are lanes some have to share; each entry is written once all the same.
    """
    store = MemoryStore()
    books = [book_on(store), *(book_on(store.another()) for _ in range(OWN + 40))]
    for turn in range(2):
        for number, book in enumerate(books):
            relabel(book, f"{turn} {number}")
    labels = {entry.detail["after"]["label"] for entry in books[0].audit_trail()}

    assert {f"{turn} {number}" for turn in range(2) for number in range(len(books))} == labels
    assert len(places(books[0])) == 2 * len(books)
    assert sound(books[0]) == ()


def relabeled(path: Path, number: int) -> int:
    """
    Write from a process of its own, in two threads.
    """
    with file_book(path) as book:

        def work(thread: int) -> None:
            for turn in range(15):
                relabel(book, f"{number} {thread} {turn}")

        in_threads(work, 2)

    return number


def test_processes_and_threads_write_one_sound_trail(tmp_path: Path) -> None:
    """
    Every entry of three processes with two threads each is there once, and all chains hold.
    """
    path = tmp_path / "cards.db"
    file_book(path).close()
    in_processes(relabeled, path, times=3)
    with file_book(path) as book:
        labels = Counter(entry.detail["after"]["label"] for entry in book.audit_trail())
        expected = {f"{number} {thread} {turn}" for number in range(3) for thread in range(2) for turn in range(15)}

        assert expected == labels.keys()
        assert set(labels.values()) == {1}
        assert sound(book) == ()


def test_transactions_of_callers_have_other_lanes() -> None:
    """
    What may stay open for long writes to lanes that no commit of its own waits for, another one each time.
    """
    store = MemoryStore()
    book = book_on(store)
    for number in range(40):
        joined = store.another()
        joined.joined = True  # type: ignore[attr-defined]
        relabel(book.over(joined), number)
        relabel(book, number)
    lanes = Counter(lane for lane, _ in places(book))

    assert len([lane for lane in lanes if lane >= OWN]) == 40
    assert len([lane for lane in lanes if lane < OWN]) == 1
    assert sound(book) == ()


def test_transactions_of_callers_may_begin_in_many_threads() -> None:
    """
    Threads that join transactions at the same moment get lanes of their own.
    """
    store = MemoryStore()
    book = book_on(store)

    def work(number: int) -> None:
        for turn in range(200):
            joined = store.another()
            joined.joined = True  # type: ignore[attr-defined]
            same = book.over(joined)
            if turn % 20 == 0:
                same.label_extension(f"000{number}*1", str(turn))
            else:
                engine_of(same).trail._left(engine_of(same).trail._taken())  # noqa: SLF001 - as often as can be

    in_threads(work, 8)

    assert len(places(book)) == 80
    assert sound(book) == ()


# What goes through a lane


def test_what_is_of_no_account_is_in_no_lane() -> None:
    """
    Guesses, which expire, leave no trace in the trail; nor does a commit of nothing.
    """
    store = Recording()
    engine = engine_of(book_on(store))
    before = len(store.commits)
    engine.commit(Changes(documents=[(Document(f"{GUESSES}x", b"1", 1, 5), 0)]))
    engine.commit(Changes(forget=[(f"{GUESSES}x", 1)]))
    engine.commit(Changes())

    assert [
        [document.key for document, _ in changes.documents if document.key.startswith(TRAIL)]
        for changes in store.commits[before:]
    ] == [[], [], []]


def test_everything_else_is_counted_also_without_an_audit_entry() -> None:
    """
    Each step of a rotation of keys changes the head of a lane as well.
    """
    store = Recording()
    book = book_on(store)
    extension = book.extension(EXTENSION)
    extension.generate(2500, credit=1)
    before = len(store.commits)
    book.rotate_keys(limit=2500)
    commits = store.commits[before:]

    assert [len(changes.audit) for changes in commits] == [1, 0, 0, 0]
    assert [sum(document.key.startswith(TRAIL) for document, _ in each.documents) for each in commits] == [1] * 4


def test_the_tally_is_what_is_there() -> None:
    """
    All heads together say how many cards were made, how often they were changed, and how many entries were written.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    made = [handout.serial for handout in extension.generate(3, credit=5)]
    extension.recharge(made[0], 1)
    extension.transfer(made[0], made[1], amount=1)
    extension.remove(made[2])
    tallies = [head.tally for head in all_of(book)]
    total = Tally(*map(sum, zip(*tallies, strict=True)))

    assert (total.cards, total.versions, total.entries, total.forgotten) == (3, 3 + 3, 3 + 3, 0)


def test_documents_may_be_forgotten() -> None:
    """
    A document that is taken away with a lane is no finding; one that is taken away otherwise is.
    """
    book = new_book()
    engine = engine_of(book)
    for key in ("kept/1", "kept/2"):
        engine.commit(Changes(documents=[(engine.records.document(key, key, version=1), 0)]))
    engine.commit(Changes(forget=[("kept/1", 1)]))

    assert sound(book) == ()
    engine.store.commit(Changes(forget=[("kept/2", 1)]))
    assert {("documents", "tally")} == findings_of(book)


def test_the_entries_of_one_commit_are_in_one_lane_in_their_order() -> None:
    """
    What several threads want is committed together, and audited one after another.
    """
    book = new_book()
    engine = engine_of(book)
    audit = [*engine.audited("one"), *engine.audited("two"), *engine.audited("three")]
    engine.commit(Changes(audit=audit))

    assert [entry.verb for entry in book.audit_trail()] == ["one", "two", "three"]
    assert [number for _, number in places(book)] == [1, 2, 3]


# What goes wrong


def test_what_is_stale_for_the_caller_does_not_name_the_lane() -> None:
    """
    Where a card or document changed meanwhile the caller hears of that, and never of the head of a lane.
    """
    store = Meddled()
    one, other = book_on(store), book_on(store.another())
    relabel(one)
    engine = engine_of(one)
    lane = heads_of(engine.store, engine.records)[places(one)[0][0]]

    def meddle() -> None:
        head = attrs.evolve(lane, version=lane.version + 1).document(engine.records)
        engine_of(other).store.commit(Changes(documents=[(head, lane.version)]))
        relabel(other)

    store.meddle = meddle
    changes = Changes(documents=[(engine.records.document(f"extension/{EXTENSION}", {}, version=2), 1)])
    with pytest.raises(StaleError) as caught:
        engine.commit(changes)

    assert {f"extension/{EXTENSION}"} == caught.value.documents


@pytest.mark.parametrize("is_applied", [False, True])
def test_after_an_unknown_outcome_the_head_is_read_again(is_applied: bool) -> None:  # noqa: FBT001 - a parameter
    """
    Where nobody knows whether a commit was applied, the next one goes on with what is there.
    """
    store = Counting()
    book = book_on(store)
    relabel(book)
    store.failure, store.forgets_answer = StoreError("the answer was lost", maybe_applied=True), is_applied
    with pytest.raises(StoreError):
        relabel(book, "lost")
    relabel(book, "next")
    labels = [entry.detail["after"]["label"] for entry in book.audit_trail()]

    assert ["Main", *(["lost"] if is_applied else []), "next"] == labels
    assert sound(book) == ()


def test_what_was_refused_leaves_the_lane_as_it_is() -> None:
    """
    After a duplicate or a full quota the lane goes on where it was, without reading its head again.
    """
    store = Counting()
    book = book_on(store)
    relabel(book)
    store.failure = DuplicateError()
    with pytest.raises(DuplicateError):
        engine_of(book).commit(Changes(audit=engine_of(book).audited("refused")))
    relabel(book, "next")

    assert len([key for key in store.asked if key.startswith(TRAIL)]) == 1
    assert [entry.detail["after"]["label"] for entry in book.audit_trail()] == ["Main", "next"]


@pytest.mark.parametrize("edit", [lambda _: None, lambda head: head._replace(value=head.value[:-1] + b"?")])
def test_a_lane_whose_head_was_changed_is_refused(edit: Callable[[Document], Document | None]) -> None:
    """
    Whoever would go on with a head that was deleted or edited is refused, and is told which one.
    """
    store = MemoryStore()
    books = [book_on(store), *(book_on(store.another()) for _ in range(OWN * 2))]
    engine = engine_of(books[0])
    for lane in range(OWN):
        key = f"{TRAIL}{lane:02x}"
        edited = edit(store._documents[key])  # noqa: SLF001 - somebody with access to the data
        if edited is None:
            del store._documents[key]  # noqa: SLF001
        else:
            store._documents[key] = edited  # noqa: SLF001
    answer = outcome(lambda: relabel(books[-1]))

    assert isinstance(answer, tuple)
    assert (TamperedError, "document") == (answer[0], answer[2])
    assert {f"{TRAIL}{lane:02x}" for lane in range(OWN)} == {
        subject for subject, part in findings_of(books[0]) if part == "document"
    }
    assert engine.store.audit() == []


class NeverAlone(MemoryStore):
    """
    A store in which somebody else is faster on every lane.
    """

    is_busy = False

    def commit(self, changes: Changes) -> None:
        """
        Refuse because of the head alone.
        """
        heads = [document.key for document, _ in changes.documents if document.key.startswith(TRAIL)]
        if self.is_busy and heads:
            raise StaleError(documents=frozenset(heads))
        super().commit(changes)


def test_where_others_are_always_faster_the_caller_hears_of_it_at_last() -> None:
    """
    The number of lanes that are tried is bounded.
    """
    store = NeverAlone()
    engine = engine_of(book_on(store))
    store.is_busy = True
    with pytest.raises(StaleError):
        engine.commit(Changes(audit=engine.audited("reveal")))


# Moments


def test_the_newest_moment_is_kept_when_the_clock_is_set_back() -> None:
    """
    What was last seen is the newest moment of all entries, which keep the moments that they were written at.
    """
    clock = Clock()
    book = new_book(clock=clock)
    engine = engine_of(book)
    assert engine.recorded().seen_at == 0
    for hours in (5, -3, 1):
        clock.move(hours=hours)
        relabel(book)

    assert to_micros(MORNING) + 5 * 3600 * 10**6 == engine.recorded().seen_at
    assert [(entry.created_at - MORNING).seconds // 3600 for entry in book.audit_trail()] == [5, 2, 3]
    assert sound(book) == ()


# Transactions of callers, in databases


@pytest.fixture(scope="module", params=[on(kind) for kind in SERVERS])
def shared(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """
    Give a database with row locks.
    """
    with empty_database(request.param) as url, engine_on(url) as engine:
        yield engine


def test_open_transactions_do_not_wait_for_each_other_in_the_trail(shared: Engine) -> None:
    """
    While two transactions of callers are open, each with an entry in the trail, the book itself writes on.
    """
    book = book_on(SQLAlchemyStore(shared, create=True))
    # New documents would wait for each other in MariaDB, trail or not: it locks the gap that they belong in.
    for number in range(2):
        book.label_extension(f"000{number}*1", "before")
    relabel(book, "before")
    with shared.connect() as one, shared.connect() as other:
        for number, connection in enumerate((one, other)):
            book.over(SQLAlchemyStore(connection)).label_extension(f"000{number}*1", str(number))
        relabel(book, "meanwhile")
        other.commit()
        one.commit()
    labels = {entry.detail["after"]["label"] for entry in book.audit_trail()}

    assert {"before", "0", "1", "meanwhile"} == labels
    assert sound(book) == ()


@pytest.mark.parametrize("kind", [on(kind) for kind in DATABASES])
def test_what_was_rolled_back_was_never_in_the_trail(kind: DatabaseKind) -> None:
    """
    After a rollback the same handle goes on with what is there, in the next transaction of the same connection.
    """
    with empty_database(kind) as url, engine_on(url) as engine:
        book = book_on(SQLAlchemyStore(engine, create=True))
        with engine.connect() as connection:
            same = book.over(SQLAlchemyStore(connection))
            for label, ends in (("0", connection.rollback), ("1", connection.commit)) * 2:
                relabel(same, label)
                relabel(same, label)
                ends()
        labels = [entry.detail["after"]["label"] for entry in book.audit_trail()]

        assert labels == ["1"] * 4
        assert [number for _, number in places(book)] == [1, 2, 3, 4]
        assert sound(book) == ()
