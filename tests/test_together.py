"""
What several threads want at a time is decided by one of them and committed together, each as if it were alone.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.book_world import EXTENSION, LAX, PATIENCE, book_on, engine_of, in_threads, outcome, serials, sound
from tests.test_turns import until
from voipcard import CardBook, Credit, Extension, Rate, RateDeck, Tariff
from voipcard.errors import (
    CallEndedError,
    InsufficientCreditError,
    StaleError,
    StoreBusyError,
    StoreError,
    StoreFullError,
    UnknownCardError,
)
from voipcard.stores import CardRecord, Changes, Document, MemoryStore
from voipcard.stores.contract import joined

THREADS: Final = 8


class Slow(MemoryStore):
    """
    A store whose first commit takes until it is let go, and that remembers who was refused.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.refused: list[StoreError] = []
        self.is_waited_for = threading.Event()
        self.may_go_on = threading.Event()
        self.may_go_on.set()
        self.failure: StoreError | None = None
        self.pause = 0.0
        self.room = 10_000
        self.meddle: Callable[[], object] | None = None

    def commit(self, changes: Changes) -> None:
        """
        Wait, commit, and remember how many cards were replaced at once.
        """
        self.is_waited_for.set()
        assert self.may_go_on.wait(PATIENCE)
        meddle, self.meddle = self.meddle, None
        if meddle is not None:
            meddle()
        time.sleep(self.pause)
        try:
            if self.failure is not None and self.sizes:
                raise self.failure
            if len(changes.replace) > self.room:
                raise StoreFullError("the disk is full")
            super().commit(changes)
        except StoreError as error:
            self.refused.append(error)
            raise
        self.sizes.append(len(changes.replace))


def opened(cards: int = THREADS) -> tuple[Slow, CardBook, Extension]:
    """
    Make a book with some cards, each with 10.00.
    """
    store = Slow()
    book = book_on(store, policy=LAX)
    extension = book.extension(EXTENSION)
    extension.generate(cards, credit="10.00")
    store.sizes.clear()

    return store, book, extension


def at_once(store: Slow, book: CardBook, calls: Sequence[Callable[[], Any]]) -> list[Any]:
    """
    Make the first call, let the others come while it commits, and give what each of them is answered.
    """
    store.is_waited_for.clear()
    store.may_go_on.clear()
    turns = engine_of(book).decider.turns
    with ThreadPoolExecutor(len(calls)) as pool:
        first = pool.submit(outcome, calls[0])
        assert store.is_waited_for.wait(PATIENCE)
        others = [pool.submit(outcome, call) for call in calls[1:]]
        until(lambda: len(turns._waiting) == len(others))  # noqa: SLF001 - to let them come at a chosen moment
        store.may_go_on.set()

        return [future.result(PATIENCE) for future in (first, *others)]


def test_what_comes_meanwhile_is_committed_together() -> None:
    """
    While one recharge is committed others wait, and all of them are committed at once.
    """
    store, book, extension = opened()
    calls = [lambda serial=serial: extension.recharge(serial, 1, order_number="PO-1") for serial in serials(extension)]
    entries = at_once(store, book, calls)

    assert store.sizes == [1, THREADS - 1]
    assert [entry.serial for entry in entries] == serials(extension)
    assert {str(card.credit) for card in extension} == {"11.00"}
    assert len([entry for entry in book.audit_trail() if entry.verb == "recharge"]) == THREADS
    assert sound(book) == ()


def test_calls_that_begin_meanwhile_are_committed_together() -> None:
    """
    What all of them depend on, such as the keys of the book, keeps no call from beginning with others.
    """
    store, book, extension = opened()
    book.install_deck(RateDeck([Rate("40", Tariff(price="0.06"))]))
    begin = partial(extension.begin_call, destination="40213123456")
    store.sizes.clear()
    calls = at_once(store, book, [partial(begin, serial, call_id=serial) for serial in serials(extension)])

    assert store.sizes == [1, THREADS - 1]
    assert serials(extension) == [call.serial for call in calls]
    assert sound(book) == ()


EXPECTED: Final = st.integers(0, 2)
KEYS: Final = st.sampled_from("abc")
EXPECTATIONS: Final = st.dictionaries(KEYS, EXPECTED, max_size=2)


def written(place: int, documents: dict[str, int], forget: dict[str, int], require: dict[str, int]) -> Changes:
    """
    Make a commit that writes, removes and requires documents of these versions.
    """
    return Changes(
        documents=[(Document(key, b"%d" % place, version + 1), version) for key, version in documents.items()],
        forget=[*forget.items()],
        require=[*require.items()],
    )


@given(st.lists(st.tuples(EXPECTATIONS, EXPECTATIONS, EXPECTATIONS), min_size=2, max_size=4))
@example([({"c": 0}, {}, {"a": 1}), ({}, {"b": 1}, {"a": 1})])
@example([({"a": 1}, {}, {}), ({}, {}, {"a": 1})])
def test_commits_as_one_do_what_they_do_one_after_another(told: list[tuple[dict[str, int], ...]]) -> None:
    """
    Where commits are joined and accepted, each would have been accepted after those before it, and leaves the same.

    So what one of them requires none of the others writes.
    """
    commits = [written(place, *each) for place, each in enumerate(told)]
    whole = joined(commits)
    stores = [MemoryStore(), MemoryStore()]
    for store in stores:
        store.commit(Changes(documents=[(Document(key, b"", 1), 0) for key in "ab"]))
    if whole is None or outcome(lambda: stores[0].commit(whole)) is not None:
        return
    for commit in commits:
        stores[1].commit(commit)

    assert stores[0].find_documents("abc") == stores[1].find_documents("abc")


def test_everybody_acts_in_its_own_name() -> None:
    """
    Whoever decides for the others, each entry names the one who asked for it, in history and audit trail.
    """
    store, book, extension = opened()
    names = {serial: f"actor {number}" for number, serial in enumerate(serials(extension))}
    calls = [
        lambda serial=serial, name=name: book.acting_as(name).extension(EXTENSION).recharge(serial, 1)
        for serial, name in names.items()
    ]

    assert [entry.actor for entry in at_once(store, book, calls)] == [*names.values()]
    assert names == {serial: [*extension.history(serial)][-1].actor for serial in names}
    assert names == {entry.detail["serial"]: entry.actor for entry in book.audit_trail() if entry.verb == "recharge"}


def test_one_who_is_refused_does_not_harm_the_others() -> None:
    """
    Of those who are decided for together, each is refused for its own reasons, and the others are served.
    """
    store, book, extension = opened()
    first, *rest = serials(extension)
    calls: list[Callable[[], Any]] = [
        lambda: extension.recharge(first, 1),
        lambda: extension.recharge(rest[0], "-10.01"),
        lambda: extension.recharge("K7QX-000042", 1),
        lambda: extension.recharge(rest[1], 2),
        lambda: extension.transfer(rest[4], rest[5], amount="10.01"),
        lambda: extension.transfer(rest[2], rest[3], amount="10.00"),
    ]
    answers = at_once(store, book, calls)

    assert [answer[0] if isinstance(answer, tuple) and isinstance(answer[0], type) else None for answer in answers] == [
        *(None, InsufficientCreditError, UnknownCardError),
        *(None, InsufficientCreditError, None),
    ]
    assert [str(extension.get(serial).credit) for serial in (first, *rest[:4])] == [
        *("11.00", "10.00", "12.00", "0.00", "20.00")
    ]
    assert sound(book) == ()


def test_the_same_order_is_done_once_among_those_who_come_together() -> None:
    """
    The same order for the same card is credited once, though all who ask for it come together.
    """
    _, book, extension = opened(1)
    [serial] = serials(extension)
    entries = in_threads(lambda _: extension.recharge(serial, 5, order_number="PO-1"), THREADS)

    assert sorted(entry.replayed for entry in entries) == [False, *[True] * (THREADS - 1)]
    assert str(extension.get(serial).credit) == "15.00"
    assert sound(book) == ()


def test_nobody_is_told_what_another_one_has_done_before() -> None:
    """
    Who asks again for what was done long ago gets it again, and who comes together with them begins something new.

    New calls begin and go on while others end theirs a second time: only an ended call is over.
    """
    store, book, extension = opened()
    book.install_deck(RateDeck([Rate("40", Tariff(price="0.06"))]))
    first, second, third, fourth, *_ = serials(extension)
    ended = extension.begin_call(first, "40213123456", call_id="ended")
    entry = ended.end(60)
    running = extension.begin_call(second, "40213123456", call_id="running")
    answers = at_once(
        store,
        book,
        [
            partial(extension.recharge, fourth, 1),
            partial(ended.end, 60),
            running.keep_alive,
            partial(extension.begin_call, third, "40213123456", call_id="new"),
            partial(extension.begin_call, second, "40213123456", call_id="running"),
            partial(extension.begin_call, first, "40213123456", call_id="ended"),
        ],
    )

    assert (entry, True) == (answers[1], answers[1].replayed)
    assert running == answers[2]
    assert [answer.replayed for answer in answers[3:5]] == [False, True]
    assert (CallEndedError, first) == answers[5]
    assert sound(book) == ()


@pytest.mark.parametrize("way", ["keep_alive", "begin_call", "both"])
def test_a_call_that_ends_together_with_others_is_over_for_them(way: str) -> None:
    """
    Who keeps a call alive, or begins it again, right behind its end is told that it has ended, and nothing is held.
    """
    store, book, extension = opened()
    book.install_deck(RateDeck([Rate("40", Tariff(price="0.06"))]))
    first, second, *_ = serials(extension)
    call = extension.begin_call(first, "40213123456", call_id="call 1")
    ways: dict[str, Callable[[], Any]] = {
        "keep_alive": call.keep_alive,
        "begin_call": partial(extension.begin_call, first, "40213123456", call_id="call 1"),
    }
    late = [ways[name] for name in ways if way in (name, "both")]
    answers = at_once(store, book, [partial(extension.recharge, second, 1), partial(call.end, 60), *late])

    assert [(CallEndedError, first)] * len(late) == answers[2:]
    assert extension.holds(first) == []
    assert sound(book) == ()


@pytest.mark.parametrize("error", [StoreError("the answer was lost", maybe_applied=True), StoreBusyError("locked")])
def test_what_the_store_cannot_say_is_told_to_everybody(error: StoreError) -> None:
    """
    Where a commit fails, everyone whose change was in it is told so, and whether it may have been done.

    Nothing is tried again, so that nothing is done twice.
    """
    store, book, extension = opened()
    store.failure = error
    calls: list[Callable[[], Any]] = [partial(extension.recharge, serial, 1) for serial in serials(extension)]
    poor = serials(extension)[-1]
    calls[-1] = lambda: extension.recharge(poor, "-10.01")
    answers = at_once(store, book, calls)

    assert [answer[:1] for answer in answers[1:-1]] == [(type(error),)] * (THREADS - 2)
    assert [answer[2] for answer in answers[1:-1]] == [error.maybe_applied] * (THREADS - 2)
    assert answers[-1][0] is InsufficientCreditError
    assert len(store.refused) == 1, "the commit was tried again"


def test_where_others_were_faster_all_is_decided_again() -> None:
    """
    If somebody else changes one of the cards meanwhile, all of it is decided again, and nobody notices.
    """
    store, book, extension = opened()
    other = book_on(store, policy=LAX).extension(EXTENSION)
    first, second, *rest = serials(extension)
    calls: list[Callable[[], Any]] = [
        lambda: extension.recharge(first, 1),
        *(lambda serial=serial: extension.recharge(serial, 1) for serial in rest),
    ]

    def meddle_and_ask() -> object:
        return extension.recharge(second, 1)

    # The last one decides on a card that another book changes before the commit.
    calls.append(meddle_and_ask)
    turns = engine_of(book).decider.turns
    decided = turns._work  # noqa: SLF001 - to come between deciding and committing

    def between(tasks: Sequence[Any]) -> Any:  # noqa: ANN401 - whatever it answers
        if len(tasks) > 1:
            store.meddle = lambda: other.recharge(second, 100)

        return decided(tasks)

    turns._work = between  # type: ignore[misc]  # noqa: SLF001 - the same
    entries = at_once(store, book, calls)

    assert [entry.serial for entry in entries] == [first, *rest, second]
    assert str(extension.get(second).credit) == "111.00"
    assert [len(store.refused), store.sizes[-1]] == [1, THREADS - 1]
    assert sound(book) == ()


def test_nobody_is_refused_for_what_was_not_committed() -> None:
    """
    Who would be refused because of another one in the same commit is asked again alone if that commit fails.
    """
    store, book, extension = opened()
    first, second, *_ = serials(extension)
    store.failure = StoreBusyError("locked")
    calls: list[Callable[[], Any]] = [
        partial(extension.recharge, first, 1),
        partial(extension.recharge, second, "-10.00"),
        partial(extension.recharge, second, "-5.00"),
    ]
    # Of the two, the first one takes all that there is.
    answers = at_once(store, book, calls)

    assert [answer[0] for answer in answers[1:]] == [StoreBusyError, StoreBusyError]
    assert str(extension.get(second).credit) == "10.00"


def test_threads_come_one_after_another_to_one_card() -> None:
    """
    However many threads of one process change one card, none of them is ever too late.
    """
    store, book, extension = opened(1)
    store.pause = 0.001
    [serial] = serials(extension)
    in_threads(lambda _: [extension.recharge(serial, 1) for _ in range(10)], THREADS)

    assert len(store.sizes) < 10 * THREADS, "every recharge was committed by itself"
    assert store.refused == []
    assert str(extension.get(serial).credit) == f"{10 + 10 * THREADS}.00"
    assert sound(book) == ()


def test_who_comes_from_elsewhere_is_refused_and_tries_again() -> None:
    """
    The control of the law before: with a book each, as processes have it, threads are too late for one another.
    """
    store, book, _ = opened(1)
    store.pause = 0.001
    extensions = [book_on(store, policy=LAX).extension(EXTENSION) for _ in range(THREADS)]
    [serial] = serials(extensions[0])
    in_threads(lambda thread: [extensions[thread].recharge(serial, 1) for _ in range(10)], THREADS)

    assert store.refused != []
    assert str(extensions[0].get(serial).credit) == f"{10 + 10 * THREADS}.00"
    assert sound(book) == ()


def test_a_card_is_written_once_a_commit() -> None:
    """
    However many recharges of a card one commit holds, its version is one more, and it is signed as it is stored.
    """
    store, book, extension = opened(1)
    store.pause = 0.002
    [serial] = serials(extension)
    in_threads(lambda _: [extension.recharge(serial, 1) for _ in range(10)], THREADS)
    card = extension.get(serial)

    assert len(store.sizes) < 10 * THREADS
    assert card.version == 1 + len(store.sizes)
    assert card.recharge_count == 10 * THREADS
    assert sound(book) == ()


def test_one_commit_has_no_more_cards_than_others_can_wait_for() -> None:
    """
    What comes together is committed together only as far as it changes a thousand cards at most.
    """
    store, book, extension = opened(1500)
    cards = serials(extension)
    calls = [
        partial(extension.recharge_many, [(serial, 1) for serial in cards[start : start + 400]], order_number="PO-1")
        for start in (0, 100, 400, 800, 1100)
    ]
    answers = at_once(store, book, calls)

    assert [len(answer) for answer in answers] == [400] * 5
    assert sum(store.sizes) == 1500
    assert max(store.sizes) <= 1000
    assert sound(book) == ()


class Unreadable(Slow):
    """
    A store that cannot read for several at once.
    """

    def find_many(self, *, ids: Iterable[bytes] = (), serials: Iterable[str] = ()) -> Sequence[CardRecord]:
        """
        Refuse to read more than one card.
        """
        wanted = list(serials)
        if len(wanted) > 1:
            raise StoreBusyError("too much at once")

        return super().find_many(ids=ids, serials=wanted)


def test_who_cannot_be_read_for_together_is_read_for_alone() -> None:
    """
    Where reading fails for all at once, each thread reads for itself and learns what is so for it.
    """
    store = Unreadable()
    book = book_on(store, policy=LAX)
    extension = book.extension(EXTENSION)
    extension.generate(THREADS, credit="10.00")
    calls = [partial(extension.recharge, serial, 1) for serial in serials(extension)]

    assert [entry.credit_left for entry in at_once(store, book, calls)] == [Credit("11.00")] * THREADS


def test_one_that_the_disk_has_no_room_for_does_not_harm_the_others() -> None:
    """
    If a joint commit does not fit on the disk, each of those who wanted it is tried alone.
    """
    store, book, extension = opened()
    store.room = 1
    first, *rest = serials(extension)
    calls: list[Callable[[], Any]] = [
        partial(extension.recharge, first, 1),
        partial(extension.recharge_many, [(rest[0], 1), (rest[1], 1)]),
        *(partial(extension.recharge, serial, 1) for serial in rest[2:]),
    ]
    answers = at_once(store, book, calls)

    assert answers[1][0] is StoreFullError
    assert [answer.credit_left for answer in (answers[0], *answers[2:])] == [Credit("11.00")] * (THREADS - 2)


class Ended(MemoryStore):
    """
    A store that has joined a transaction, which the database ends when it is read.
    """

    reads = 0

    def find_many(self, *, ids: Iterable[bytes] = (), serials: Iterable[str] = ()) -> Sequence[CardRecord]:
        """
        Refuse, from the second time on.
        """
        self.reads += 1
        if self.reads > 1:
            raise StaleError(lasting=self.reads == 2)

        return super().find_many(ids=ids, serials=serials)


def test_a_transaction_that_ended_while_it_was_read_is_not_read_again() -> None:
    """
    A refusal that lasts goes to whoever asked as it is, instead of what the next attempt would be told.
    """
    store = Ended()
    extension = book_on(store).extension(EXTENSION)
    [handout] = extension.generate(1, credit="10.00")
    extension.get(handout.serial)
    with pytest.raises(StaleError) as refused:
        extension.recharge(handout.serial, "1.00")

    assert refused.value.lasting
    assert store.reads == 2
