"""
The laws of a store as tests: subclass `StoreContract`, say how a fresh store is opened, and run pytest.
"""

from __future__ import annotations

import gc
import random
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Final

import attrs

from voipcard.core.query import CardQuery, EntryQuery
from voipcard.errors import CeilingError, DuplicateError, StaleError, StoreClosedError, StoreError
from voipcard.stores.contract import CardRecord, Changes, CounterChange, Document, EntryRecord, Store, Total
from voipcard.testing import children, samples
from voipcard.testing.children import started
from voipcard.testing.commits import CommitContract
from voipcard.testing.machine import check_story, store_machine
from voipcard.testing.proofs import proves, raised, refused
from voipcard.testing.reads import ReadContract
from voipcard.testing.values import ValueContract

__all__ = ["StoreContract"]

WORKERS: Final = 4
THREADS: Final = 12
WEIGHED: Final = 15_000
"""How many cards are committed at once to see what memory it takes: a store may have half of them in hand."""

TOO_MUCH: Final = "the store keeps all the cards in memory"


class StoreContract(ReadContract, CommitContract, ValueContract):
    """
    Everything that `voipcard.stores.Store` promises, one test or a few for each law.

    A store that passes can carry a card book. The tests need nothing but `fresh`; the other attributes are for stores
    that cannot be shared between processes, or for those who want to prove more.

    Attributes:
        shared: Whether processes can share the data. Then laws 1 and 3 are tried with child processes.
        in_memory: Whether the store keeps everything in memory, so that law 9 cannot bound it.
        bulk: How many cards are committed at once to prove law 9: 20,000 for every day, 1,000,000 for a release.
        deadline: For how many seconds other writers wait at most while they are committed.

    Example:
        In a test module, for pytest::

            class TestMyStore(StoreContract):
                @contextmanager
                def fresh(self):
                    with tempfile.TemporaryDirectory() as folder:
                        yield functools.partial(MyStore, f"{folder}/cards")
    """

    @proves("law 1")
    def test_law_1_a_commit_survives_kill(self) -> None:
        """
        What was acknowledged is there after kill -9, and a commit that was under way is there whole or not at all.
        """
        with self.fresh() as open_store:
            with closing(open_store()) as store:
                samples.begin_steps(store)
            done, acknowledged = 0, 0
            for _ in range(6 if self.shared else 0):
                with started(children.commit_steps, open_store, done, shared=True) as [child]:
                    said = [child.answer() for _ in range(random.randint(1, 9))]  # noqa: S311 - any moment
                    time.sleep(random.uniform(0, 0.02))  # noqa: S311
                    child.kill()
                    acknowledged = max([*said, *child.rest()])
                with closing(open_store()) as store:
                    done = store.counters(["steps"])["steps"]

                    assert done in {acknowledged, acknowledged + 1}, "acknowledged commits are gone"
                    assert samples.contents_after(done) == samples.contents(store), "a commit is there in part"

    @proves("law 1")
    def test_law_1_a_large_commit_survives_kill(self) -> None:
        """
        A commit of many cards that is killed under way is there whole or not at all, and can be made again.
        """
        size = min(self.bulk, 5000)
        with self.fresh() as open_store:
            seconds = 0.5
            for turn in range(4 if self.shared else 0):
                flood = samples.Flood(size, first=turn * size)
                with started(children.commit_flood, open_store, flood, shared=True) as [child]:
                    child.answer()
                    if turn == 0:
                        seconds = child.answer()
                    else:
                        time.sleep(random.uniform(0.3, 1.1) * seconds)  # noqa: S311 - any moment
                    child.kill()
                with closing(open_store()) as store:
                    active = store.counters(["active"])["active"]

                    assert active in {turn * size, (turn + 1) * size}
                    assert active == store.count(CardQuery(batch="FLOOD")), "a large commit is there in part"
                    assert active == sum(total.count for total in store.totals(EntryQuery()))
                    if active == turn * size:
                        store.commit(Changes(new=flood, counters=[CounterChange("active", size)]))

    @proves("law 3")
    def test_law_3_no_recharge_is_lost(self) -> None:
        """
        Many at once read a card, decide and commit, again where they were too late: no recharge is lost or doubled.
        """
        times = 25
        with self.fresh() as open_store, closing(open_store()) as store:
            [(card, entry)] = samples.new(0)
            store.commit(Changes(new=[(card, entry)]))
            with started(children.add_up, open_store, times, shared=self.shared, times=WORKERS) as crew:
                for child in crew:
                    child.answer()
            final = store.find(id=card.id)
            entries = store.entries(EntryQuery(card=card.id))
            every = WORKERS * times

            assert final is not None
            assert (every, every + 1, every + 1) == (final.recharge_count, final.version, final.sequence)
            assert [(number + 1, card.credit + number) for number in range(every + 1)] == [
                (each.sequence, each.credit_left) for each in entries
            ]
            assert card.credit + every == final.credit == sum(each.amount for each in entries)

    @proves("law 3")
    def test_law_3_threads_share_a_handle(self) -> None:
        """
        Threads that commit through one handle at the same time are answered each for its own commit.

        What was accepted is there and nothing else, and a refusal names nothing but what its own commit breached.
        """
        rounds = 30
        with self.opened() as store:
            store.commit(Changes(new=samples.new(0), documents=[(Document("shared", b"", version=1), 0)]))
            with ThreadPoolExecutor(THREADS) as pool:
                answers = [*pool.map(partial(_commit_rounds, store, rounds), range(THREADS))]
            accepted = sorted(key for keys, _ in answers for key in keys)

            assert [wrong for _, refusals in answers for wrong in refusals] == []
            assert accepted == sorted(document.key for document in samples.every_document(store, "mine/"))
            assert len(accepted) == THREADS * rounds
            assert store.counters(map(str, range(THREADS))) == {f"{thread}": rounds for thread in range(THREADS)}

    @proves("law 3")
    def test_law_3_a_ceiling_is_reached_exactly(self) -> None:
        """
        Many at once move a counter up: it ends at its ceiling, neither below nor above, and nobody was told wrongly.
        """
        ceiling = 120
        with self.fresh() as open_store, closing(open_store()) as store:
            with started(children.count_up, open_store, ceiling, shared=self.shared, times=WORKERS) as crew:
                moved = [child.answer() for child in crew]

            assert (ceiling, ceiling) == (sum(moved), store.counters(["active"])["active"])

    @proves("law 3")
    def test_law_3_only_one_is_first(self) -> None:
        """
        Many at once try to take the same indexes and operations: each is given to exactly one of them.
        """
        rounds = 30
        with self.fresh() as open_store, closing(open_store()) as store:
            with started(children.put_new, open_store, rounds, shared=self.shared, times=WORKERS) as crew:
                won = sorted(number for child in crew for number in child.answer())

            assert list(range(rounds)) == won
            assert rounds == store.count(CardQuery())

    @proves("law 3")
    def test_law_3_what_is_required_stays(self) -> None:
        """
        Of two that each change one document and require the other to be unchanged, exactly one succeeds.
        """
        rounds = 40
        with self.fresh() as open_store, closing(open_store()) as store:
            keys = [f"pair/{number}/{side}" for number in range(rounds) for side in (0, 1)]
            store.commit(Changes(documents=[(Document(key, b"", version=1), 0) for key in keys]))
            with started(children.write_skewed, open_store, rounds, shared=self.shared, times=2) as crew:
                won = sorted(number for child in crew for number in child.answer())

            assert list(range(rounds)) == won
            assert rounds == sum(document.value == b"changed" for document in samples.every_document(store))

    @proves("law 3")
    def test_law_3_what_has_to_be_absent_stays_so(self) -> None:
        """
        Of two that each make one document and require that there is no other, exactly one succeeds.
        """
        rounds = 400
        with self.fresh() as open_store, closing(open_store()) as store:
            with started(children.make_skewed, open_store, rounds, shared=self.shared, times=2) as crew:
                won = sorted(number for child in crew for number in child.answer())

            assert list(range(rounds)) == won
            assert rounds == len(samples.every_document(store))

    @proves("law 3")
    def test_law_3_only_one_forgets(self) -> None:
        """
        Many at once forget the same documents or change them: for each exactly one of them all succeeds.
        """
        rounds = 60
        with self.fresh() as open_store, closing(open_store()) as store:
            documents = [Document(f"shared/{number:03}", b"", version=1) for number in range(rounds)]
            store.commit(Changes(documents=[(document, 0) for document in documents]))
            with started(children.forget_or_renew, open_store, rounds, shared=self.shared, times=WORKERS) as crew:
                forgot, renewed, *rest = [child.answer() for child in crew]
            kept = sorted([*renewed, *rest[1]])

            assert list(range(rounds)) == sorted([*forgot, *rest[0], *kept])
            assert [f"shared/{number:03}" for number in kept] == [each.key for each in samples.every_document(store)]

    @proves("law 7")
    def test_law_7_a_closed_store_says_so(self) -> None:
        """
        After `close` every method raises `StoreClosedError`; closing again does nothing; other handles stay open.
        """
        with self.fresh() as open_store, closing(open_store()) as other:
            store = open_store()
            store.commit(Changes(new=samples.new(1)))
            store.close()
            store.close()
            for attempt in _every_method(store):
                raised(attempt, StoreClosedError)
            other.commit(Changes(new=samples.new(2)))

            assert {samples.card(1), samples.card(2)} == set(other.cards(CardQuery()))

    @proves("the laws")
    def test_any_story(self) -> None:
        """
        In whatever order things are done, the store answers as plain dictionaries do.
        """
        check_story(store_machine(self.fresh))

    @proves("law 9")
    def test_law_9_very_many_cards_commit_at_once(self) -> None:
        """
        Very many new cards commit at once, while others keep committing and see all of them or none.
        """
        size = self.bulk
        with self.fresh() as open_store, closing(open_store()) as store:
            with started(children.keep_committing, open_store, size, shared=self.shared) as [child]:
                child.answer()
                changes = Changes(new=samples.Flood(size), counters=[CounterChange("active", size, size)])
                store.commit(changes)
                child.tell()
                commits, longest, wrong = child.answer()

            assert wrong == [], "another writer went wrong"
            assert commits > 0
            assert longest < self.deadline, "another writer waited for too long"
            assert size == store.count(CardQuery(batch="FLOOD")) == store.counters(["active"])["active"]
            assert [Total((), size, size * 10_000_000, unlimited=0)] == list(store.totals(EntryQuery()))
            for number in (0, size // 2, size - 1):
                assert samples.card(number)._replace(batch="FLOOD") == store.find(index=samples.card(number).index)

    @proves("law 9")
    def test_law_9_very_many_cards_take_bounded_memory(self) -> None:
        """
        Of very many new cards that are committed at once a store has but a part in memory at any time.
        """
        # Apart from the others, and not with more cards, because measuring makes a commit ten times slower.
        size = 0 if self.in_memory else WEIGHED
        with self.opened() as store:
            flood = _Bounded(samples.Flood(size), _weight() * size / 2)
            grown = _growth(lambda: store.commit(Changes(new=flood)))

            assert size == store.count(CardQuery())
            assert grown <= flood.most or self.in_memory, TOO_MUCH

    @proves("law 9")
    def test_law_9_very_many_cards_are_refused_whole(self) -> None:
        """
        Where the last of very many cards is not new, none is written, and it is named.
        """
        size = min(self.bulk, 5000)
        with self.opened() as store:
            store.commit(Changes(new=samples.new(1)))
            flood = samples.Flood(size, first=10, repeat=1)
            within = samples.Flood(size, first=10, repeat=10)

            assert {samples.card(1).index} == refused(store, Changes(new=flood), DuplicateError).indexes
            assert {samples.card(10).index} == refused(store, Changes(new=within), DuplicateError).indexes
            refused(store, Changes(new=within, require=[("missing", 1)]), StaleError)
            assert store.count(CardQuery()) == 1
            assert store.totals(EntryQuery())[0].count == 1


def _commit_rounds(store: Store, rounds: int, thread: int) -> tuple[list[str], list[str]]:
    """
    Commit what only this thread writes, in turns with what has to be refused.

    Returns:
        What was accepted, and what was answered wrongly.
    """
    card, entry = samples.new(0)[0]
    id = samples.card(1000 + thread).id
    twin = card._replace(id=id, serial=f"K7QX-1{thread:05}"), entry._replace(card=id)
    accepted, wrong = [], []
    for number in range(rounds):
        key = f"mine/{thread}/{number}"
        mine = Changes(documents=[(Document(key, b"", version=1), 0)], counters=[CounterChange(f"{thread}", 1)])
        attempts: dict[tuple[type[StoreError] | None, object], Changes] = {
            (StaleError, "shared"): attrs.evolve(mine, require=[("shared", 10 + thread)]),
            (DuplicateError, card.index): attrs.evolve(mine, new=[twin]),
            (CeilingError, f"{thread}"): attrs.evolve(
                mine, counters=[CounterChange(f"{thread}", 1, ceiling=number - 1)]
            ),
            (None, None): mine,
        }
        for expected, changes in attempts.items():
            answer = _answer(store, changes)
            if answer == (None, None):
                accepted.append(key)
            if answer != expected:
                wrong.append(f"{answer} instead of {expected}")

    return accepted, wrong


def _answer(store: Store, changes: Changes) -> tuple[type[StoreError] | None, object]:
    """
    Commit, and give how it was refused and the one thing that was named.
    """
    try:
        store.commit(changes)
    except StaleError as error:
        [key] = error.documents
        return StaleError, key
    except DuplicateError as error:
        [index] = error.indexes
        return DuplicateError, index
    except CeilingError as error:
        [(key, _)] = error.counters
        return CeilingError, key

    return None, None


def _every_method(store: Store) -> list[Callable[[], object]]:
    return [
        lambda: store.find(id=b""),
        lambda: store.find_many(serials=["K7QX-000001"]),
        lambda: store.nearest(b""),
        lambda: store.known(serials=["K7QX-000001"]),
        lambda: store.cards(CardQuery()),
        lambda: store.sealed_codes(CardQuery()),
        lambda: store.count(CardQuery()),
        lambda: store.entries(EntryQuery()),
        lambda: store.totals(EntryQuery()),
        lambda: store.document("key"),
        lambda: store.find_documents(["key"]),
        lambda: store.documents(""),
        lambda: store.counters(["active"]),
        store.audit,
        lambda: store.commit(Changes(counters=[CounterChange("active", 1)])),
    ]


class _Bounded:
    """
    Cards that are no longer given as soon as more memory is taken than is allowed: to go on would take long.
    """

    def __init__(self, cards: Iterable[tuple[CardRecord, EntryRecord]], most: float) -> None:
        self.most = most
        self._cards = cards

    def __iter__(self) -> Iterator[tuple[CardRecord, EntryRecord]]:
        for pair in self._cards:
            taken, _ = tracemalloc.get_traced_memory()
            assert taken <= self.most, TOO_MUCH
            yield pair


def _growth(work: Callable[[], None]) -> int:
    """
    Measure by how many bytes Python's memory grows at most while *work* is done.
    """
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        work()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    return most - before


def _weight(size: int = 500) -> float:
    """
    Measure how many bytes a new card and its entry take in Python's memory.
    """
    kept: list[object] = []

    return _growth(lambda: kept.extend(samples.Flood(size))) / size
