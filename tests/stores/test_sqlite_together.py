"""
Commits that arrive together on one SQLite file are committed together, each as if it were alone.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import pytest

from tests.book_world import PATIENCE, outcome
from tests.test_turns import until
from voipcard.errors import DuplicateError, StaleError, StoreBusyError, StoreClosedError, StoreFullError
from voipcard.stores import Changes, CounterChange, Document, SQLiteStore
from voipcard.stores.sqlite_file import sqlite3
from voipcard.testing import samples

THREADS: Final = 8
_CONTEXT: Final = multiprocessing.get_context("forkserver")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """
    Name a file that does not exist yet.
    """
    return tmp_path / "cards.db"


def document(key: str) -> Changes:
    """
    Give a commit that no other one collides with.
    """
    return Changes(documents=[(Document(key, b"", version=1), 0)])


@contextmanager
def locked(place: Path) -> Iterator[None]:
    """
    Keep everybody from writing, as another process would.
    """
    with closing(sqlite3.connect(place, isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def at_once(place: Path, store: SQLiteStore, commits: Sequence[Changes]) -> tuple[list[Any], list[str]]:
    """
    Let the first commit wait for the file until the others have come; give all outcomes and what SQLite was told.
    """
    store.commit(document("first"))
    writer = store._file._writer  # noqa: SLF001 - to see what SQLite is told
    assert writer is not None
    told: list[str] = []
    writer.set_trace_callback(told.append)
    with ThreadPoolExecutor(len(commits)) as pool:
        with locked(place):
            futures = []
            for number, changes in enumerate(commits):
                futures.append(pool.submit(outcome, lambda changes=changes: store.commit(changes)))
                # In the order given; the first one leads, and waits for the file.
                until(lambda: len(store._turns._waiting) == number and store._turns._led)  # noqa: B023, SLF001
        outcomes = [future.result(PATIENCE) for future in futures]
    writer.set_trace_callback(None)

    return outcomes, [statement.split()[0] for statement in told]


def test_commits_that_arrive_together_are_one_transaction(place: Path) -> None:
    """
    While one caller commits others wait, and all of them are committed in a single transaction.
    """
    with closing(SQLiteStore(place)) as store:
        outcomes, told = at_once(place, store, [document(f"{number}") for number in range(THREADS)])

        assert outcomes == [None] * THREADS
        assert [document.key for document in store.documents("")] == [*map(str, range(THREADS)), "first"]
    assert told.count("COMMIT") == 2
    assert told.count("SAVEPOINT") == 0


def test_a_lone_caller_commits_by_itself(place: Path) -> None:
    """
    A commit that comes alone is a transaction of its own.
    """
    with closing(SQLiteStore(place)) as store:
        outcomes, told = at_once(place, store, [document("0")])

    assert outcomes == [None]
    assert told == ["BEGIN", "INSERT", "COMMIT"]


def test_a_refused_one_does_not_harm_the_others(place: Path) -> None:
    """
    Of commits that arrive together each is refused for what it breaches itself, and all others are accepted.
    """
    twin = samples.new(1)[0]
    with closing(SQLiteStore(place)) as store:
        store.commit(Changes(new=[twin]))
        commits = [
            document("0"),
            document("1"),
            Changes(documents=[(Document("first", b"", version=2), 7)]),
            Changes(new=[(twin[0]._replace(id=samples.card(2).id), twin[1]._replace(card=samples.card(2).id))]),
            Changes(counters=[CounterChange("active", 1, 0)]),
            document("1"),
            Changes(documents=[(Document("2", None, version=1), 0)]),  # type: ignore[arg-type]
            document("3"),
        ]
        outcomes, told = at_once(place, store, commits)

        assert [document.key for document in store.documents("")] == ["0", "1", "3", "first"]
    assert [answer[0].__name__ if answer else None for answer in outcomes] == [
        *(None, None, "StaleError", "DuplicateError", "CeilingError", "StaleError", "StoreError", None)
    ]
    assert outcomes[2] == (StaleError, *outcomes[2][1:3], frozenset(), frozenset({"first"}), False)
    assert outcomes[3][0] is DuplicateError
    assert twin[0].index in outcomes[3][4]
    assert told.count("COMMIT") == 2


def test_one_that_the_disk_has_no_room_for_does_not_harm_the_others(place: Path) -> None:
    """
    If the disk is full for one of the commits that arrive together, the others are still accepted.
    """
    with closing(SQLiteStore(place)) as store:
        store.commit(document("before"))
        writer = store._file._writer  # noqa: SLF001 - to fill the disk
        assert writer is not None
        [(pages,)] = writer.execute("PRAGMA page_count").fetchall()
        writer.execute(f"PRAGMA max_page_count = {pages + 20}")
        large = Changes(new=samples.new(*range(1000)))
        outcomes, _ = at_once(place, store, [document("0"), document("1"), large, document("2")])

        assert [answer[0] if answer else None for answer in outcomes] == [None, None, StoreFullError, None]
        assert [document.key for document in store.documents("")] == ["0", "1", "2", "before", "first"]


@pytest.mark.parametrize("error", [StoreBusyError, StoreClosedError])
def test_who_waits_together_is_refused_together(error: type[Exception], place: Path) -> None:
    """
    Where the file stays locked, or the store is closed meanwhile, everybody learns that nothing was written.
    """
    store = SQLiteStore(place, timeout=0.3)
    store.commit(document("first"))
    with ThreadPoolExecutor(THREADS) as pool, locked(place):
        futures = [pool.submit(outcome, lambda n=n: store.commit(document(f"{n}"))) for n in range(THREADS)]
        if error is StoreClosedError:
            until(lambda: len(store._turns._waiting) == THREADS - 1)  # noqa: SLF001 - to close it at a chosen moment
            pool.submit(store.close)
        answers = [future.result(PATIENCE) for future in futures]
    store.close()

    kinds = {answer[0] if answer else None for answer in answers}

    assert error in kinds
    assert kinds <= {StoreBusyError, error}
    with closing(SQLiteStore(place)) as again:
        assert [document.key for document in again.documents("")] == ["first"]


class AnswersEarly(SQLiteStore):
    """
    A store that answers before the commit is on the disk: the control of the law below.
    """

    def commit(self, changes: Changes) -> None:
        """
        Let another thread do it.
        """
        threading.Thread(target=super().commit, args=(changes,), daemon=True).start()


def commit_and_tell(store: type[SQLiteStore], place: Path, line: Connection) -> None:
    """
    Commit in many threads, and tell of each commit when it was answered; in a child that is going to be killed.
    """
    opened, said = store(place), threading.Lock()

    def work(thread: int) -> None:
        for number in range(100_000):
            key = f"{thread}/{number}"
            opened.commit(document(key))
            with said:
                line.send(key)

    for thread in range(THREADS):
        threading.Thread(target=work, args=(thread,), daemon=True).start()
    time.sleep(PATIENCE)


def lost(store: type[SQLiteStore], place: Path) -> set[str]:
    """
    Kill a process that commits in many threads; give what was answered and is not there.
    """
    SQLiteStore(place).close()
    ours, theirs = _CONTEXT.Pipe(duplex=False)
    child = _CONTEXT.Process(target=commit_and_tell, args=(store, place, theirs))
    child.start()
    theirs.close()
    answered = {ours.recv() for _ in range(random.randint(30, 60))}  # noqa: S311 - any moment
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    while ours.poll():
        try:
            answered.add(ours.recv())
        except EOFError:
            break
    with closing(SQLiteStore(place)) as opened:
        return answered - {each.key for each in opened.documents("", limit=10_000)}


def test_nobody_is_answered_before_the_commit_is_safe(tmp_path: Path) -> None:
    """
    What was answered is there after kill -9, however many were committed together.
    """
    for turn in range(3):
        assert lost(SQLiteStore, tmp_path / f"{turn}.db") == set()


def test_an_answer_that_comes_early_would_be_noticed(tmp_path: Path) -> None:
    """
    The control of the law before.
    """
    assert any(lost(AnswersEarly, tmp_path / f"{turn}.db") for turn in range(20))


def test_who_is_interrupted_while_it_waits_for_the_file_leaves_it_free(place: Path) -> None:
    """
    Ctrl-C while a commit waits for another process leaves no transaction open, and nothing locked.
    """
    with closing(SQLiteStore(place)) as store, ExitStack() as stack:
        store.commit(document("before"))
        other = stack.enter_context(ExitStack())
        other.enter_context(locked(place))
        # SQLite waits on, and is interrupted when it has got the file.
        timers = [threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)), threading.Timer(0.4, other.close)]
        for timer in timers:
            timer.start()
        with pytest.raises(KeyboardInterrupt):
            store.commit(document("during"))
        for timer in timers:
            timer.join()
        store.commit(document("after"))
        with closing(SQLiteStore(place, timeout=1)) as another:
            another.commit(document("another"))

        assert {"before", "after", "another"} == {each.key for each in store.documents("")} - {"during"}
