"""
Give the tests of the shell a clock that stands still, seeded chance, and others who come between.

Others are stores that let somebody else act first, threads, and processes that can be killed.
"""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ClassVar, Final, TypeVar

import attrs

from voipcard import (
    DEFAULT_LIMITS,
    CardBook,
    Extension,
    GuessLimits,
    KeyProvider,
    License,
    Policy,
    Profile,
    Suite,
    VerifyKey,
    VoipcardError,
    open_book,
)
from voipcard.core.drawing import RandomSource
from voipcard.core.query import CardQuery
from voipcard.stores import CardRecord, Changes, MemoryStore, SQLiteStore, Store
from voipcard.transact import Engine
from voipcard.verifying import Finding

T = TypeVar("T")

EXTENSION: Final = "0003*215"
OTHER: Final = "0004*001"
MORNING: Final = datetime(2026, 3, 1, 9, tzinfo=UTC)
PATIENCE: Final = 120.0
"""For how many seconds an answer of a child is waited for."""

LAX: Final = Policy(odds_limit=1.0, fill_limit=1.0, allow_weak_pins=True)
"""A policy that refuses nothing."""

PROMPT: Final = attrs.evolve(DEFAULT_LIMITS, response_floor=timedelta(0))
"""The default limits, without waiting for an answer."""


class Clock:
    """
    A clock that stands still until somebody moves it.
    """

    def __init__(self, now: datetime = MORNING) -> None:
        self.now = now

    def __call__(self) -> datetime:
        """
        Give the time.
        """
        return self.now

    def move(self, **delta: float) -> datetime:
        """
        Let time pass, as `timedelta` takes it.
        """
        self.now += timedelta(**delta)

        return self.now


def seeded(seed: str) -> RandomSource:
    """
    Make a source that gives the same bytes in each run, and never the same bytes twice.
    """
    calls = itertools.count()

    return lambda count: hashlib.shake_128(f"{seed} {next(calls)}".encode()).digest(count)


@attrs.frozen
class BareKey:
    """
    A key provider that protects nothing, so that tests can open the same data again and again.
    """

    place: str = "the tests"

    def wrap(self, secret: bytes) -> bytes:
        """
        Keep the secret as it is.
        """
        return secret

    def unwrap(self, wrapped: bytes) -> bytes:
        """
        Give it back.
        """
        return wrapped


def book_on(
    store: Store,
    *,
    clock: Callable[[], datetime] | None = None,
    source: RandomSource = os.urandom,
    policy: Policy | None = None,
    license: License | str | os.PathLike[str] | None = None,
    license_keys: Iterable[VerifyKey] = (),
    limits: GuessLimits = PROMPT,
    profile: Profile | None = None,
    suite: Suite | None = None,
    key: KeyProvider | None = None,
) -> CardBook:
    """
    Open the book in a store.
    """
    return open_book(
        store,
        currency="EUR",
        key=key or BareKey(),
        clock=clock or Clock(),
        source=source,
        policy=policy,
        license=license,
        license_keys=license_keys,
        limits=limits,
        profile=profile,
        suite=suite,
    )


def new_book(**settings: Any) -> CardBook:  # noqa: ANN401 - those of `book_on`
    """
    Make a book in memory.
    """
    return book_on(MemoryStore(), **settings)


def file_book(path: Path, **settings: Any) -> CardBook:  # noqa: ANN401 - those of `book_on`
    """
    Open the book in an SQLite file, or make it.
    """
    return book_on(SQLiteStore(path), **settings)


def engine_of(part: CardBook | Extension) -> Engine:
    """
    Give what is behind a book or an extension: its store, its keys and its clock.
    """
    return part._engine  # noqa: SLF001 - some laws are about what only the owner of the keys can do


class Recording(MemoryStore):
    """
    A store that remembers what was committed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[Changes] = []

    def commit(self, changes: Changes) -> None:
        """
        Commit and remember.
        """
        changes = attrs.evolve(changes, new=list(changes.new))
        super().commit(changes)
        self.commits.append(changes)

    def sizes(self) -> list[int]:
        """
        Tell how many cards each commit touched.
        """
        return [len(list(changes.new)) + len(changes.replace) + len(changes.remove) for changes in self.commits]


class Meddled(MemoryStore):
    """
    A store in which somebody else acts once, after the caller has read and before its commit arrives.
    """

    meddle: Callable[[], object] | None = None

    def commit(self, changes: Changes) -> None:
        """
        Let the other one go first.
        """
        meddle, self.meddle = self.meddle, None
        if meddle is not None:
            meddle()
        super().commit(changes)


class Counted(MemoryStore):
    """
    A store that counts how many cards it was asked to give.
    """

    given = 0

    def cards(self, query: CardQuery) -> Sequence[CardRecord]:
        """
        Give cards and count them.
        """
        found = super().cards(query)
        self.given += len(found)

        return found


def outcome(call: Callable[[], T]) -> T | tuple[object, ...]:
    """
    Give what a call answers, or the class and the fields of what it is refused with.
    """
    try:
        return call()
    except VoipcardError as error:
        return (type(error), *attrs.astuple(error))  # type: ignore[arg-type]


def on_disk(path: Path) -> dict[str, bytes]:
    """
    Read what the database consists of, byte by byte.
    """
    return {
        suffix: file.read_bytes()
        for suffix in ("", "-wal", "-journal")
        if (file := path.with_name(path.name + suffix)).exists()
    }


def everything(book: CardBook) -> dict[str, object]:
    """
    Tell all that a book says about itself, besides its audit trail.
    """
    return {
        "quota": book.quota,
        "extensions": [(extension.number, extension.label, extension.enabled) for extension in book.extensions()],
        "cards": [
            (card, list(extension.history(card.serial)))
            for extension in book.extensions()
            for card in extension.search(order="serial")
        ],
    }


def verbs_of(book: CardBook) -> list[str]:
    """
    Tell what the audit trail says was done.
    """
    return [entry.verb for entry in book.audit_trail()]


def findings_of(book: CardBook) -> set[tuple[str, str]]:
    """
    Tell what verification finds.
    """
    return {attrs.astuple(finding) for finding in book.verify().findings}


def sound(book: CardBook) -> tuple[Finding, ...]:
    """
    Tell what verification finds; nothing in a sound book.
    """
    return book.verify().findings


# Side by side


def in_threads(work: Callable[[int], T], times: int) -> list[T]:
    """
    Do the same work in as many threads, which begin together.
    """
    barrier = threading.Barrier(times)

    def run(number: int) -> T:
        barrier.wait(PATIENCE)

        return work(number)

    with ThreadPoolExecutor(times) as pool:
        return list(pool.map(run, range(times)))


_CONTEXT: Final = multiprocessing.get_context("forkserver")
# A child is forked from a server that has loaded the libraries but never opened a book.
_CONTEXT.set_forkserver_preload(["pytest", "hypothesis", "voipcard.opening", "voipcard.sheets.upload"])


def in_processes(work: Callable[..., T], *arguments: object, times: int) -> list[T]:
    """
    Do the same work in as many processes, which begin together. Each is given its number as the last argument.
    """
    lines: list[Connection] = []
    processes = []
    for number in range(times):
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=_run, args=(theirs, work, (*arguments, number)), daemon=True)
        process.start()
        theirs.close()
        lines.append(ours)
        processes.append(process)
    try:
        for line in lines:
            _received(line)
        for line in lines:
            line.send(None)

        return [_received(line) for line in lines]
    finally:
        for process in processes:
            process.join(1)
            process.kill()
            process.join()


def in_process(work: Callable[..., T], *arguments: object) -> T:
    """
    Do the work in one fresh process and give its answer.
    """
    [answer] = in_processes(work, *arguments, times=1)

    return answer


def killed(work: Callable[..., object], *arguments: object) -> None:
    """
    Do the work in a fresh process, which has to be killed on the way.
    """
    process = _CONTEXT.Process(target=work, args=(*arguments, 0), daemon=True)
    process.start()
    process.join(PATIENCE)

    assert process.exitcode == -signal.SIGKILL


def _run(line: Connection, work: Callable[..., object], arguments: tuple[object, ...]) -> None:
    with line:
        line.send((True, None))
        line.recv()
        try:
            line.send((True, work(*arguments)))
        except BaseException:  # noqa: BLE001 - whatever it is, the test has to hear of it
            line.send((False, traceback.format_exc()))


def _received(line: Connection) -> Any:  # noqa: ANN401 - each kind of work has its own answers
    assert line.poll(PATIENCE), f"a child said nothing for {PATIENCE:.0f} seconds"
    succeeded, value = line.recv()
    assert succeeded, f"a child failed: {value}"

    return value


class DiesAfterCommit(SQLiteStore):
    """
    A store whose process is killed after a number of commits are on the disk, before anybody is told.
    """

    lives: ClassVar[int] = 0

    def commit(self, changes: Changes) -> None:
        """
        Commit, and die instead of returning from the last one.
        """
        super().commit(changes)
        if self.lives == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.lives -= 1  # type: ignore[misc]


class DiesBeforeCommit(SQLiteStore):
    """
    A store whose process is killed just before its first commit.
    """

    def commit(self, changes: Changes) -> None:  # noqa: ARG002 - it never gets there
        """
        Die.
        """
        os.kill(os.getpid(), signal.SIGKILL)


def serials(extension: Extension) -> list[str]:
    """
    Give the serials of all cards.
    """
    return [card.serial for card in extension.search(order="serial")]


def grouped(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """
    Cut a sequence into pieces.
    """
    for start in range(0, len(items), size):
        yield items[start : start + size]
