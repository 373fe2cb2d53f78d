"""
The SQLite store where the file, the disk, other processes and other SQLites come in: what the contract cannot see.
"""

from __future__ import annotations

import gc
import itertools
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.test_opening import altered, as_somebody_else, forked, public_folder, snapshot, with_files_up_to
from voipcard import CardBook, KeyFile, open_book
from voipcard.core.query import CardQuery, EntryQuery
from voipcard.errors import (
    CeilingError,
    DuplicateError,
    NotABookError,
    StoreBusyError,
    StoreClosedError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
    VoipcardError,
)
from voipcard.stores import Changes, CounterChange, Document, SQLiteStore
from voipcard.stores.sqlite import wal_is_safe
from voipcard.stores.sqlite_file import Journal, _Connection, sqlite3
from voipcard.testing import samples

SAFE: Final = wal_is_safe(sqlite3.sqlite_version_info)
needs_wal: Final = pytest.mark.skipif(not SAFE, reason="the linked SQLite can lose commits with WAL")
WAL: Final = pytest.param("wal", marks=needs_wal)
NUMBER: Final = "0003*215"
MANY: Final = 2_100
"""Enough for a commit that is prepared in a scratch file."""

ALSO_WITHOUT_THE_EXTRA: Final = (
    *("every_connection", "after_a_fork", "full_disk", "may_not_grow", "large_commit", "others_write"),
    *("becomes_something_else", "side_files", "cannot_take", "driver_binds"),
)
"""What is tried with Python's own SQLite as well."""

LENIENT: Final = """
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(replace(replace(sql, 'STRICT', ''), 'NOT NULL', ''), ') , WITHOUT', ') WITHOUT')
WHERE type = 'table';
PRAGMA writable_schema = RESET;
"""
"""Lets tables take any value in any column, as damage does."""

journals: Final = pytest.mark.parametrize("journal", ["delete", WAL])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """
    Say where a book should be, in a folder of its own.
    """
    folder = tmp_path / "book"
    folder.mkdir()

    return folder / "cards.db"


def names(place: Path) -> set[str]:
    """
    Give the names of all files beside a book.
    """
    return {path.name for path in place.parent.iterdir()}


def put(store: SQLiteStore, key: str) -> None:
    """
    Commit a document.
    """
    store.commit(Changes(documents=[(Document(key, b"value", version=1), 0)]))


def dump(store: SQLiteStore) -> Sequence[object]:
    """
    Give all that a store holds.
    """
    return samples.contents(store)


@contextmanager
def locked(place: Path, begin: str = "BEGIN IMMEDIATE") -> Iterator[Any]:
    """
    Keep a file locked, as another program would.
    """
    with altered(place) as connection:
        connection.execute(begin)
        yield connection
        connection.execute("ROLLBACK")


def journal_of(place: Path) -> str:
    """
    Tell which journal a file has, from its header.
    """
    return {1: "delete", 2: "wal"}[place.read_bytes()[18]]


# Which journal


@pytest.mark.parametrize(
    "version, safe",
    [
        *(((3, 37, 0), False), ((3, 40, 1), False), ((3, 44, 0), False), ((3, 44, 5), False), ((3, 44, 6), True)),
        *(((3, 44, 9), True), ((3, 45, 0), False), ((3, 45, 3), False), ((3, 49, 1), False), ((3, 50, 0), False)),
        *(((3, 50, 6), False), ((3, 50, 7), True), ((3, 50, 12), True), ((3, 51, 0), False), ((3, 51, 1), False)),
        *(((3, 51, 2), False), ((3, 51, 3), True), ((3, 52, 0), True), ((3, 53, 4), True), ((3, 54, 0), True)),
        ((4, 0, 0), True),
    ],
)
def test_wal_is_used_where_commits_are_not_lost(
    version: tuple[int, int, int],
    safe: bool,  # noqa: FBT001 - a parameter of a test
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    Releases with the WAL-reset bug get a rollback journal, and asking them for WAL is refused before anything is made.
    """
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)

    assert safe == wal_is_safe(version)
    if safe:
        SQLiteStore(place, journal="wal").close()
    else:
        with pytest.raises(StoreError, match="WAL"):
            SQLiteStore(place, journal="wal")
        assert set() == names(place)
    with closing(SQLiteStore(place)) as store:
        put(store, "key")
        assert ("wal" if safe else "delete") == journal_of(place)


@journals
def test_every_connection_is_set_up(journal: Journal, place: Path) -> None:
    """
    Commits are synchronous to the last, damaged cells are noticed, and no foreign function runs from a schema.
    """
    expected = {"synchronous": 3, "trusted_schema": 0, "cell_size_check": 1, "journal_mode": journal}
    with closing(SQLiteStore(place, journal=journal)) as store:
        put(store, "key")
        for lend in (store._file.reading, store._file.writing, store._file.scratch):  # noqa: SLF001
            with lend() as connection:
                found = {name: connection.execute(f"PRAGMA {name}").fetchone()[0] for name in expected}
            assert expected == found


@needs_wal
def test_a_book_can_change_its_journal(place: Path) -> None:
    """
    A book that was written with one journal is read and written with the other, there and back.
    """
    asked: list[Journal] = ["wal", "delete", "wal", "delete"]
    for number, journal in enumerate(asked):
        with closing(SQLiteStore(place, journal=journal, timeout=5)) as store:
            assert store.count(CardQuery()) == number * (MANY + 1)
            store.commit(Changes(new=samples.new(number * 10_000)))
            store.commit(Changes(new=samples.Flood(MANY, first=number * 10_000 + 1)))
            assert journal == journal_of(place)
            assert store.count(CardQuery()) == (number + 1) * (MANY + 1)


@needs_wal
def test_nobody_is_made_to_write_with_an_unsafe_journal(place: Path) -> None:
    """
    A store that keeps to the rollback journal never commits into a file that another one has changed to WAL.

    It waits for the other to go, and then changes the file back.
    """
    with closing(SQLiteStore(place, journal="delete", timeout=0.3)) as careful:
        put(careful, "first")
        with closing(SQLiteStore(place, journal="wal")) as other:
            put(other, "second")
            assert journal_of(place) == "wal"
            for _ in range(2):
                with pytest.raises(StoreBusyError):
                    put(careful, "third")
            with pytest.raises(StoreBusyError):
                careful.commit(Changes(new=samples.Flood(MANY)))
            assert careful.document("second") == other.document("second")
            assert other.document("third") is None
        put(careful, "third")
        assert journal_of(place) == "delete"
        assert len(samples.every_document(careful)) == 3


def without_the_extra(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """
    Run Python where pysqlite3 is not installed.
    """
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    blocked = f"import sys; sys.modules['pysqlite3'] = None\n{code}"

    return subprocess.run(
        [sys.executable, "-c", blocked, *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_the_store_works_with_the_sqlite_of_python() -> None:
    """
    What holds with the extra holds without it: tests of this file pass with Python's own SQLite.
    """
    code = "import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    chosen = " or ".join(ALSO_WITHOUT_THE_EXTRA)
    done = without_the_extra(code, "-q", "-p", "no:cacheprovider", "-k", chosen, __file__)

    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout


@needs_wal
def test_a_book_is_used_by_two_releases_of_sqlite(place: Path) -> None:
    """
    A process without the extra never writes into a WAL: it is refused while others have the book open.

    When they are gone it changes the journal.
    """
    code = """
import voipcard
from voipcard.stores import SQLiteStore, Changes, Document
from voipcard.stores.sqlite_file import sqlite3, wal_is_safe
store = SQLiteStore(sys.argv[1], timeout=0.3, journal=None if sys.argv[2] == "None" else sys.argv[2])
assert sqlite3.__name__ == "sqlite3"
try:
    store.commit(Changes(documents=[(Document("theirs", b"", version=1), 0)]))
except voipcard.errors.StoreBusyError:
    print("busy")
else:
    print("done")
"""
    with closing(SQLiteStore(place)) as store:
        put(store, "ours")
        first = without_the_extra(code, str(place), "delete")
        again = store.document("theirs")
        put(store, "ours too")
    second = without_the_extra(code, str(place), "delete")
    with closing(SQLiteStore(place)) as store:
        put(store, "ours again")
        kept = [document.key for document in samples.every_document(store)]

    assert (first.stdout, second.stdout) == ("busy\n", "done\n"), first.stderr + second.stderr
    assert again is None
    assert kept == ["ours", "ours again", "ours too", "theirs"]


# Processes and threads


@journals
def test_a_store_is_not_used_after_a_fork(journal: Journal, place: Path) -> None:
    """
    The child is told to open the book again, whatever it asks for; it can close what it was given without harm.
    """
    with closing(SQLiteStore(place, journal=journal)) as store:
        put(store, "before")

        def use() -> list[str]:
            said = []
            asked: list[Callable[[], object]] = [
                lambda: store.document("before"),
                lambda: store.count(CardQuery()),
                lambda: put(store, "child"),
                lambda: store.commit(Changes(new=samples.Flood(MANY))),
            ]
            for ask in asked:
                with suppress(StoreClosedError):
                    ask()
                    said.append("answered")
            store.close()
            with closing(SQLiteStore(place, journal=journal)) as own:
                put(own, "own")
            return said

        with store._file.writing() as connection:  # noqa: SLF001 - forked with every lock held
            connection.execute("INSERT INTO counters VALUES ('parent', 1)")
            ended = forked(lambda: ends(store))()
            busy = forked(lambda: is_busy(place, journal))()
        answers = forked(use)()
        put(store, "after")

        assert ended
        assert busy
        assert answers == []
        assert [document.key for document in samples.every_document(store)] == ["after", "before", "own"]
        assert store.counters(["parent"]) == {"parent": 1}


def ends(store: SQLiteStore) -> bool:
    """
    Do in a child what happens when it comes to its end.
    """
    with suppress(StoreClosedError):
        put(store, "child")
    store.close()
    store._file._readers.clear()  # noqa: SLF001 - as the garbage collector would
    store._file._writer = None  # noqa: SLF001
    gc.collect()

    return True


def is_busy(place: Path, journal: Journal) -> bool:
    """
    Tell whether others keep the file locked.
    """
    try:
        with closing(SQLiteStore(place, journal=journal, timeout=0.1)) as store:
            put(store, "other")
    except StoreBusyError:
        return True

    return False


def test_a_closed_store_does_nothing(place: Path) -> None:
    """
    After `close` every method says so, and closing again does nothing.
    """
    store = SQLiteStore(place)
    store.commit(Changes(new=samples.new(1)))
    store.close()
    store.close()
    before = snapshot(place.parent)
    methods: list[Callable[[], object]] = [
        lambda: store.find(serial="K7QX-000001"),
        lambda: store.nearest(b""),
        lambda: store.known(serials=["K7QX-000001"]),
        lambda: store.cards(CardQuery()),
        lambda: store.count(CardQuery()),
        lambda: store.entries(EntryQuery()),
        lambda: store.totals(EntryQuery()),
        lambda: store.document("key"),
        lambda: store.find_documents(["key"]),
        lambda: store.documents(""),
        lambda: store.counters(["active"]),
        store.audit,
        lambda: put(store, "key"),
        lambda: store.commit(Changes(new=samples.Flood(MANY))),
    ]
    for method in methods:
        with pytest.raises(StoreClosedError):
            method()

    assert before == snapshot(place.parent)


@journals
def test_many_threads_share_a_store(journal: Journal, place: Path) -> None:
    """
    Eight threads commit, read and count as if one after another: nothing is lost, refused or seen half done.
    """
    rounds, threads = 12, 8
    barrier = threading.Barrier(threads)
    with closing(SQLiteStore(place, journal=journal)) as store:

        def work(worker: int) -> int:
            barrier.wait()
            for number in range(rounds):
                made = worker * 1000 + number
                card, entry = samples.new(made)[0]
                changes = Changes(
                    new=[(card, entry)],
                    counters=[CounterChange("steps", 1, rounds * threads)],
                    documents=[(Document(f"{made}", b"", version=1), 0)],
                )
                store.commit(changes)
                with pytest.raises(DuplicateError):
                    store.commit(Changes(new=[(card, entry)]))
                cards, steps = store.count(CardQuery()), store.counters(["steps"])["steps"]
                assert cards <= steps <= store.count(CardQuery()) + threads
                assert store.find(id=card.id) == card
                assert len(store.entries(EntryQuery(card=card.id))) == 1
            return rounds

        with ThreadPoolExecutor(threads) as pool:
            done = sum(pool.map(work, range(threads)))
        with pytest.raises(CeilingError):
            store.commit(Changes(counters=[CounterChange("steps", 1, done)]))

        assert done == store.count(CardQuery()) == len(samples.every_document(store)) == rounds * threads
        assert {"steps": done} == store.counters(["steps"])
        assert len(store._file._readers) <= threads  # noqa: SLF001 - connections are used again


@journals
def test_a_store_can_be_closed_while_threads_use_it(journal: Journal, place: Path) -> None:
    """
    Calls that are under way end, calls that come later are refused: nothing else happens to any thread.
    """
    store = SQLiteStore(place, journal=journal)
    begun = threading.Barrier(5)

    def work(worker: int) -> int:
        begun.wait()
        for number in range(10_000):
            try:
                put(store, f"{worker}/{number}")
                store.documents("", limit=5)
            except StoreClosedError:
                return number
        raise AssertionError

    with ThreadPoolExecutor(4) as pool:
        working = [pool.submit(work, worker) for worker in range(4)]
        begun.wait()
        time.sleep(0.1)
        store.close()
        numbers = [future.result(60) for future in working]
    with closing(SQLiteStore(place, journal=journal)) as store:
        kept = len(samples.every_document(store))

    assert sum(numbers) <= kept <= sum(numbers) + 4
    assert {"cards.db"} == names(place)


def test_nobody_commits_after_the_store_was_closed(place: Path) -> None:
    """
    A commit that waited for its turn while the store was closed is refused: it opens nothing again.
    """
    for number in range(10):
        store = SQLiteStore(place)
        with ThreadPoolExecutor(2) as pool, store._file.writing():  # noqa: SLF001 - the lock of all commits
            pool.submit(store.close)
            time.sleep(0.005)
            pool.submit(put, store, f"{number}")
            time.sleep(0.005)

        assert store._file._writer is None  # noqa: SLF001 - nothing public tells what is open
        assert names(place) == {"cards.db"}


# Locks


@journals
@pytest.mark.parametrize("count", [1, MANY])
def test_who_cannot_write_in_time_is_refused(count: int, journal: Journal, place: Path) -> None:
    """
    A commit waits for others as long as it was told and no longer, writes nothing then, and works when they are gone.
    """
    with closing(SQLiteStore(place, journal=journal, timeout=0.3)) as store:
        store.commit(Changes(new=samples.new(0)))
        before = dump(store)
        with locked(place):
            began = time.monotonic()
            with pytest.raises(StoreBusyError) as caught:
                store.commit(Changes(new=samples.Flood(count, first=1)))
            waited = time.monotonic() - began
            assert before == dump(store)

        assert isinstance(caught.value.__cause__, sqlite3.OperationalError)
        assert not caught.value.maybe_applied
        assert 0.25 <= waited < 10
        assert before == dump(store)
        assert names(place) <= {"cards.db", "cards.db-wal", "cards.db-shm"}
        store.commit(Changes(new=samples.Flood(count, first=1)))
        assert store.count(CardQuery()) == count + 1


@pytest.mark.parametrize("count", [1, MANY])
def test_who_is_shut_out_is_refused(count: int, place: Path) -> None:
    """
    Where another program has a file for itself, reading and writing wait in vain; nothing is left behind.
    """
    with closing(SQLiteStore(place, journal="delete", timeout=0.2)) as store, locked(place, "BEGIN EXCLUSIVE"):
        methods: list[Callable[[], object]] = [
            lambda: store.document("key"),
            lambda: store.count(CardQuery()),
            lambda: store.commit(Changes(new=samples.Flood(count))),
        ]
        for method in methods:
            with pytest.raises(StoreBusyError):
                method()
        with pytest.raises(StoreBusyError):
            SQLiteStore(place, journal="delete", timeout=0.1)
        assert {"cards.db"} == {name for name in names(place) if not name.endswith("-journal")}


def test_threads_wait_for_each_other_no_longer_than_for_others(place: Path) -> None:
    """
    The deadline also holds for who waits for another thread of the same process.
    """
    with closing(SQLiteStore(place, timeout=0.2)) as store, ThreadPoolExecutor(1) as pool:
        with store._file.writing(), pytest.raises(StoreBusyError):  # noqa: SLF001 - the lock of all commits
            pool.submit(put, store, "key").result(60)
        put(store, "key")


@journals
def test_readers_do_not_wait_for_a_writer_that_has_not_committed(journal: Journal, place: Path) -> None:
    """
    While a change is prepared, others read what was there before.
    """
    with closing(SQLiteStore(place, journal=journal, timeout=0.2)) as store:
        put(store, "before")
        with store._file.writing() as connection:  # noqa: SLF001 - half of a commit
            connection.execute("DELETE FROM documents")
            assert store.document("before") is not None
            with closing(SQLiteStore(place, journal=journal)) as other:
                assert other.document("before") is not None
        assert store.document("before") is None


# Many cards at once


class Interrupted:
    """
    New cards that come to a bad end.
    """

    def __init__(self, count: int, error: BaseException) -> None:
        self._count = count
        self._error = error

    def __iter__(self) -> Iterator[Any]:
        yield from samples.Flood(self._count)
        raise self._error


@journals
@pytest.mark.parametrize("count", [10, MANY])
@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("stop"),
        BrokenPipeError(32, "Broken pipe"),
        UnicodeError("half a character"),
        OverflowError("too large"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_the_caller_raises_comes_back(error: BaseException, count: int, journal: Journal, place: Path) -> None:
    """
    If the cards themselves cannot be made, their own error is raised, nothing is written, and no file is left.
    """
    with closing(SQLiteStore(place, journal=journal)) as store:
        put(store, "before")
        before = dump(store)
        with pytest.raises(type(error)) as caught:
            store.commit(Changes(new=Interrupted(count, error)))

        assert error is caught.value
        assert before == dump(store)
        put(store, "after")
    assert {"cards.db"} == names(place)


@journals
def test_a_large_commit_that_is_refused_leaves_nothing(journal: Journal, place: Path) -> None:
    """
    Whether its cards repeat each other, or one that is there: nothing is written, all is named, no file is left.
    """
    with closing(SQLiteStore(place, journal=journal)) as store:
        store.commit(Changes(new=samples.Flood(MANY)))
        before = dump(store)
        floods = {
            "repeats itself": samples.Flood(MANY, first=10_000, repeat=10_007),
            "repeats another": samples.Flood(MANY, first=10_000, repeat=7),
        }
        for flood in floods.values():
            with pytest.raises(DuplicateError) as caught:
                store.commit(Changes(new=flood))
            assert flood.repeat is not None
            assert {samples.card(flood.repeat).index} == caught.value.indexes
        with pytest.raises(CeilingError):
            store.commit(
                Changes(new=samples.Flood(MANY, first=10_000), counters=[CounterChange("steps", 9, ceiling=8)])
            )

        assert before == dump(store)
        store.commit(Changes(new=samples.Flood(MANY, first=10_000)))
        assert store.count(CardQuery()) == 2 * MANY
    assert {"cards.db"} == names(place)


@journals
def test_others_write_while_many_cards_are_prepared(journal: Journal, place: Path) -> None:
    """
    A large commit locks nothing until all of its cards are there; its scratch file has no name meanwhile.
    """
    seen: list[set[str]] = []
    with (
        closing(SQLiteStore(place, journal=journal, timeout=0.3)) as store,
        closing(SQLiteStore(place, journal=journal, timeout=0.3)) as other,
    ):

        class Watched:
            """
            Cards that take their time.
            """

            def __iter__(self) -> Iterator[Any]:
                for number, pair in enumerate(samples.Flood(2 * MANY)):
                    if number % 1000 == 999:
                        put(store, f"same store {number}")
                        put(other, f"other store {number}")
                        seen.append(names(place))
                    yield pair

        store.commit(Changes(new=Watched()))

        assert store.count(CardQuery()) == 2 * MANY
        assert len(samples.every_document(other)) == 8
        assert set().union(*seen) <= {"cards.db", "cards.db-wal", "cards.db-shm"}


# Disks


@journals
@pytest.mark.parametrize("count", [1, 200, MANY])
def test_a_full_disk_refuses_the_commit(count: int, journal: Journal, place: Path) -> None:
    """
    Where files cannot grow nothing is written and no scratch file is left; when they can again, all goes on.
    """

    def work() -> tuple[list[str], bool, int]:
        with closing(SQLiteStore(place, journal=journal)) as store:
            store.commit(Changes(new=samples.new(0)))
            before = dump(store)
            said = []
            for _ in range(2):
                try:
                    with_files_up_to(1000, lambda: store.commit(Changes(new=samples.Flood(count, first=1))))()
                except StoreError as error:
                    said.append(type(error).__name__)
            unchanged = before == dump(store)
            store.commit(Changes(new=samples.Flood(count, first=1)))
            return said, unchanged, store.count(CardQuery())

    said, unchanged, found = forked(work)()

    assert said == ["StoreFullError", "StoreFullError"]
    assert unchanged
    assert count + 1 == found
    with closing(SQLiteStore(place, journal=journal)) as store:
        assert count + 1 == store.count(CardQuery())
    assert {"cards.db"} == names(place)


@journals
def test_a_file_that_may_not_grow_refuses_the_commit(journal: Journal, place: Path) -> None:
    """
    The same where SQLite itself says that the database is full; and then it is certain that nothing was applied.
    """
    with closing(SQLiteStore(place, journal=journal)) as store:
        store.commit(Changes(new=samples.new(0)))
        before = dump(store)
        with store._file.writing() as connection:  # noqa: SLF001 - the limit is one of the connection
            [(pages,)] = connection.execute("PRAGMA page_count").fetchall()
            connection.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreFullError) as caught:
            store.commit(Changes(new=samples.Flood(500, first=1)))

        assert not caught.value.maybe_applied
        assert before == dump(store)
        with store._file.writing() as connection:  # noqa: SLF001
            connection.execute("PRAGMA max_page_count = 1000000")
        store.commit(Changes(new=samples.Flood(500, first=1)))
        assert store.count(CardQuery()) == 501


class Failing:
    """
    A connection whose disk fails at the last moment.
    """

    in_transaction = False

    def __init__(self, code: int) -> None:
        self._code = code

    def execute(self, _: str) -> None:
        """
        Fail.
        """
        error = sqlite3.OperationalError("at the last moment")
        error.sqlite_errorcode = self._code
        raise error


@pytest.mark.parametrize(
    "code, maybe_applied",
    [
        (13, False),  # SQLITE_FULL
        (10, True),  # SQLITE_IOERR
        (7, True),  # SQLITE_NOMEM
    ],
)
def test_an_unknown_outcome_is_said_to_be_unknown(
    code: int,
    maybe_applied: bool,  # noqa: FBT001 - a parameter of a test
    place: Path,
) -> None:
    """
    Where a commit fails at its end, it may be on the disk, unless there was no space for it.
    """
    failing: Any = Failing(code)
    with closing(SQLiteStore(place)) as store, pytest.raises(StoreError) as caught:
        store._file._end(failing)  # noqa: SLF001 - no disk fails when it should

    assert maybe_applied is caught.value.maybe_applied


def test_a_duplicate_is_refused_on_a_full_disk(place: Path) -> None:
    """
    Finding out what a commit collides with takes space; without any it is refused for that reason instead.
    """

    def work() -> str:
        with closing(SQLiteStore(place, journal="delete")) as store:
            store.commit(Changes(new=samples.new(0)))
            with pytest.raises((DuplicateError, StoreFullError)) as caught:
                with_files_up_to(1000, lambda: store.commit(Changes(new=samples.new(0))))()
            return type(caught.value).__name__

    assert forked(work)() in {"DuplicateError", "StoreFullError"}
    assert {"cards.db"} == names(place)


def test_a_scratch_file_that_cannot_be_made_is_refused() -> None:
    """
    In a folder that is read-only a large commit is refused as a small one is.
    """
    with public_folder() as folder:
        place = folder / "cards.db"
        with closing(SQLiteStore(place, journal="delete")) as store:
            put(store, "before")
        place.chmod(0o666)
        folder.chmod(0o555)
        before = snapshot(folder)

        def work(count: int) -> None:
            with closing(SQLiteStore(place, journal="delete")) as store:
                store.commit(Changes(new=samples.Flood(count)))

        for count in (1, MANY):
            with pytest.raises(StoreReadOnlyError):
                as_somebody_else(lambda count=count: work(count))  # type: ignore[misc]
        assert before == snapshot(folder)


@pytest.mark.parametrize("count", [1, MANY])
@pytest.mark.parametrize(
    "wrong",
    [
        *({"credit": 2**63}, {"credit": "ten"}, {"credit": 0.5}, {"credit": None}, {"serial": "\ud800"}),
        *({"serial": b"K7QX"}, {"sealed_code": "text"}),
    ],
    ids=str,
)
def test_what_sqlite_cannot_take_is_refused(wrong: dict[str, Any], count: int, place: Path) -> None:
    """
    A value of another type, or too large for 64 bits, is an error of the store, and nothing is written.
    """
    pairs = list(samples.Flood(count))
    card, entry = pairs[-1]
    with closing(SQLiteStore(place, journal="delete")) as store:
        with pytest.raises(StoreError):
            store.commit(Changes(new=[*pairs[:-1], (card._replace(**wrong), entry)]))

        assert store.count(CardQuery()) == 0
        store.commit(Changes(new=pairs))
    assert names(place) == {"cards.db"}


@journals
def test_side_files_are_readable_by_their_owner_only(journal: Journal, place: Path) -> None:
    """
    What SQLite writes beside the book has the permissions of the book.
    """
    old = os.umask(0)
    try:
        with closing(SQLiteStore(place, journal=journal)) as store:
            put(store, "before")
            with store._file.writing() as connection:  # noqa: SLF001 - half of a commit
                connection.execute("DELETE FROM documents")
                modes = {path.name: path.stat().st_mode & 0o777 for path in place.parent.iterdir()}
    finally:
        os.umask(old)

    assert len(modes) > 1
    assert {0o600} == set(modes.values())


# Damage


def uses(book: CardBook, serial: str) -> list[Callable[[], object]]:
    """
    Give many ways to use a book.
    """
    extension = book.extension(NUMBER)

    return [
        book.verify,
        lambda: list(book.audit_trail()),
        lambda: list(extension.search()),
        lambda: list(extension.search(code_contains="12", order="credit")),
        lambda: extension.count(enabled=True),
        lambda: list(extension.history(serial)),
        lambda: book.acting_as("bob").extension(NUMBER).reveal(serial),
        lambda: extension.recharge(serial, "2.00", order_number="PO-2"),
        lambda: extension.generate(2),
        lambda: extension.disable(serial),
        lambda: book.quota,
        book.extensions,
        lambda: extension.remove_unused(older_than=timedelta(0)),
    ]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """
    Make a book with something of everything, and name one of its cards.
    """
    place = tmp_path_factory.mktemp("sound") / "cards.db"
    key = KeyFile(Path(f"{place}.key"))
    key.create()
    with open_book(SQLiteStore(place, journal="delete"), currency="EUR", key=key) as book:
        extension = book.acting_as("alice").extension(NUMBER)
        batch = extension.generate(12, credit="10.00", order_number="PO-1", labels=["kiosk"])
        extension.add("+40722123456", credit="unlimited")
        extension.recharge_many([(handout.serial, "1.00") for handout in batch[:5]], order_number="PO-2")
        extension.remove(batch[11].serial, operation="removal")

    return place, batch[3].serial


def copied(sound: Path, place: Path) -> None:
    """
    Copy a book and its key.
    """
    for old in place.parent.iterdir():
        old.unlink()
    shutil.copy(sound, place)
    shutil.copy(f"{sound}.key", f"{place}.key")


def refusals(place: Path, serial: str) -> set[type[VoipcardError]]:
    """
    Use a book in many ways, and tell how it refuses; other errors are raised.
    """
    refused: set[type[VoipcardError]] = set()
    with ExitStack() as stack:
        try:
            book = stack.enter_context(open_book(place))
        except VoipcardError as error:
            return {type(error)}
        for use in uses(book, serial):
            try:
                use()
            except VoipcardError as error:
                refused.add(type(error))

    return refused


@pytest.mark.parametrize("seed", range(20, 43))
def test_random_damage_is_refused(seed: int, sound: tuple[Path, str], place: Path) -> None:
    """
    Random bytes in the middle, flipped bits, a lost end: whatever is asked of a damaged book, it answers or refuses.

    No other error comes out, and a refusal is one of this library.
    """
    chance = random.Random(seed)  # noqa: S311 - damage has to be repeatable
    content = bytearray(sound[0].read_bytes())
    match seed % 4:
        case 0:
            start = chance.randrange(100, len(content))
            size = chance.choice([1, 8, 64, 512, 4096])
            content[start : start + size] = chance.randbytes(len(content[start : start + size]))
        case 1:
            for _ in range(20):
                content[chance.randrange(100, len(content))] ^= 1 << chance.randrange(8)
        case 2:
            del content[chance.randrange(1, len(content)) :]
        case _:
            first, second = (4096 * chance.randrange(1, len(content) // 4096) for _ in range(2))
            pages = bytes(content[first : first + 4096]), bytes(content[second : second + 4096])
            content[second : second + 4096], content[first : first + 4096] = pages
    copied(sound[0], place)
    place.write_bytes(content)

    assert all(issubclass(kind, VoipcardError) for kind in refusals(place, sound[1]))


@pytest.mark.parametrize(
    "table, key",
    [("cards", "id"), ("entries", "card"), ("documents", "key"), ("counters", "key"), ("audit", "id")],
)
def test_damaged_types_are_refused(table: str, key: str, sound: tuple[Path, str], place: Path) -> None:
    """
    A damaged row may have a value of any type in any place, whatever the table says: that is refused as well.
    """
    with altered(sound[0]) as connection:
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    values = itertools.cycle(["0.5", "'text'", "x'00ff'", "NULL", "7", "CAST(x'ff80' AS TEXT)", "''"])
    for column in columns:
        for value in itertools.islice(values, 3):
            copied(sound[0], place)
            with altered(place) as connection:
                connection.executescript(LENIENT)
            with altered(place) as connection:
                change = f'UPDATE {table} SET "{column}" = {value}'  # noqa: S608 - of our own making
                some = f"{change} WHERE {key} = (SELECT min({key}) FROM {table})"  # noqa: S608
                for statement in (change, some):
                    # What has to be unique can be changed in one place only.
                    with suppress(sqlite3.IntegrityError):
                        connection.execute(statement)
            assert all(issubclass(kind, VoipcardError) for kind in refusals(place, sound[1]))


def test_a_file_that_becomes_something_else_is_no_book(place: Path) -> None:
    """
    A store whose file is overwritten while it is open says that it is damaged.
    """
    with closing(SQLiteStore(place, journal="delete")) as store:
        put(store, "key")
        place.write_bytes(b"something else" * 1000)
        with pytest.raises(NotABookError):
            store.document("key")
        with pytest.raises(NotABookError):
            put(store, "other")


# Values


BOUND: Final = st.one_of(
    st.binary(),
    st.integers(-(2**63), 2**63 - 1),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.booleans(),
    st.none(),
)


@given(st.lists(BOUND, min_size=1, max_size=5))
@example([b"", None, False, True, "", 0])
def test_values_are_bound_as_the_driver_binds_them(values: list[Any]) -> None:
    """
    What is stored and compared is what the driver makes of the same values, type by type, one row at a time or many.
    """
    marks = ", ".join("?" * len(values))
    typed = "SELECT " + ", ".join(f"?{at}, typeof(?{at}), ?{at} IS ?{at}" for at in range(1, len(values) + 1))
    answers, rows = [], []
    for factory in (sqlite3.Connection, _Connection):
        with closing(sqlite3.connect(":memory:", factory=factory, isolation_level=None)) as connection:
            connection.execute(f"CREATE TABLE kept ({', '.join(f'c{at} ANY' for at in range(len(values)))}) STRICT")
            insert = f"INSERT INTO kept VALUES ({marks})"  # noqa: S608 - of our own making
            connection.executemany(insert, (row for row in [values, tuple(values)]))
            answers.append(connection.execute(typed, values).fetchall())
            rows.append(connection.execute("SELECT * FROM kept").fetchall())

    assert answers[0] == answers[1]
    assert [list(map(type, row)) for row in answers[0]] == [list(map(type, row)) for row in answers[1]]
    assert rows[0] == rows[1]
