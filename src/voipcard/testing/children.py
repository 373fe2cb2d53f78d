"""
Work that is done at the same time as the test: in child processes where the data can be shared, else in threads.
"""

from __future__ import annotations

import multiprocessing
import pickle
import random
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from multiprocessing.connection import Connection
from typing import Any, Final, Protocol, TypeAlias

from voipcard.core.query import CardQuery
from voipcard.errors import CeilingError, DuplicateError, StaleError, StoreBusyError, StoreError
from voipcard.stores.contract import Changes, CounterChange, Document, Store
from voipcard.testing import samples

__all__ = [
    "Companion",
    "Opener",
    "UnpicklableError",
    "add_up",
    "commit_flood",
    "commit_steps",
    "count_up",
    "forget_or_renew",
    "keep_committing",
    "put_new",
    "started",
    "write_skewed",
]

PATIENCE: Final = 120.0
"""For how many seconds an answer is waited for."""


class Opener(Protocol):
    """
    Opens one more handle on the same data. Where the data can be shared, it can be pickled.
    """

    def __call__(self) -> Store:
        """
        Open a handle.
        """
        ...


class UnpicklableError(TypeError):
    """
    What `fresh` yields cannot be given to a child process.
    """

    def __init__(self) -> None:
        super().__init__(
            "what `fresh` yields has to be picklable, because child processes open handles too: a functools.partial of"
            " the store's class is, a lambda or a function within a function is not"
        )


Work: TypeAlias = Callable[..., object]


class Companion:
    """
    One child at work.

    Attributes:
        process: The process it runs in; None for a thread.
    """

    def __init__(self, line: Connection, process: multiprocessing.process.BaseProcess | None) -> None:
        self.process = process
        self._line = line

    def tell(self) -> None:
        """
        Let a child that works until it is told otherwise come to its end.
        """
        self._line.send(None)

    def answer(self) -> Any:  # noqa: ANN401 - each kind of work has its own answers
        """
        Wait for the next thing that the child says.

        Raises:
            AssertionError: If the child failed, died or says nothing.
        """
        assert self._line.poll(PATIENCE), f"a child said nothing for {PATIENCE:.0f} seconds"
        try:
            succeeded, value = self._line.recv()
        except EOFError:
            succeeded, value = False, "it died"
        assert succeeded, f"a child failed: {value}"

        return value

    def rest(self) -> list[Any]:
        """
        Give all that a child said before it was killed.
        """
        answers: list[Any] = []
        while True:
            try:
                succeeded, value = self._line.recv()
            except (EOFError, ConnectionError):
                return answers
            assert succeeded, f"a child failed: {value}"
            answers.append(value)

    def kill(self) -> None:
        """
        End the process at once, as a power cut would.
        """
        assert self.process is not None
        self.process.kill()
        self.process.join()


@contextmanager
def started(
    work: Work, open_store: Opener, *arguments: object, shared: bool, times: int = 1
) -> Iterator[list[Companion]]:
    """
    Begin the same work a number of times; each child is given its own handle and, as last argument, its number.
    """
    with ExitStack() as stack:
        yield [stack.enter_context(_child(work, open_store, (*arguments, number), shared)) for number in range(times)]


@contextmanager
def _child(work: Work, open_store: Opener, arguments: tuple[object, ...], shared: bool) -> Iterator[Companion]:  # noqa: FBT001
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    arguments = (work, open_store, theirs, *arguments)
    if shared:
        process = context.Process(target=_run, args=arguments, daemon=True)
        try:
            process.start()
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise UnpicklableError from error
        theirs.close()
        try:
            with ours:
                yield Companion(ours, process)
        finally:
            process.join(1)
            process.kill()
            process.join()
            process.close()
    else:
        thread = threading.Thread(target=_run, args=arguments, daemon=True)
        thread.start()
        try:
            yield Companion(ours, None)
        finally:
            ours.close()
            thread.join(PATIENCE)


def _run(work: Work, open_store: Opener, line: Connection, *arguments: object) -> None:
    with line:
        try:
            with closing(open_store()) as store:
                line.send((True, work(store, line, *arguments)))
        except (BrokenPipeError, EOFError, ConnectionError):
            pass
        except Exception:  # noqa: BLE001 - whatever it is, the test has to hear of it
            line.send((False, traceback.format_exc()))


def _told(line: Connection) -> bool:
    return line.poll()


def commit_steps(store: Store, line: Connection, done: int, _: int) -> None:
    """
    Commit one step after another and say each number after its commit has returned.
    """
    for number in range(done + 1, done + 10_000):
        store.commit(samples.step(number))
        line.send((True, number))


def commit_flood(store: Store, line: Connection, flood: samples.Flood, _: int) -> float:
    """
    Commit very many cards, and say before that it begins and afterwards how many seconds it took.
    """
    line.send((True, 0.0))
    began = time.perf_counter()
    store.commit(Changes(new=flood, counters=[CounterChange("active", flood.size)]))

    return time.perf_counter() - began


def _insist(store: Store, decide: Callable[[], Changes]) -> None:
    """
    Read, decide and commit until nobody else was faster.
    """
    while True:
        try:
            store.commit(decide())
        except (StaleError, StoreBusyError):
            time.sleep(random.uniform(0, 0.002))  # noqa: S311 - only spreads the attempts
        else:
            return


def add_up(store: Store, _: Connection, times: int, __: int) -> None:
    """
    Recharge one card by one millionth, a number of times.
    """

    def decide() -> Changes:
        card = store.find(id=samples.card(0).id)
        assert card is not None, "the card is gone"
        after, entry = samples.recharged(card)

        return Changes(replace=[(after, card.version)], entries=[entry])

    for _time in range(times):
        _insist(store, decide)


def count_up(store: Store, _: Connection, ceiling: int, __: int) -> int:
    """
    Move a counter up until it stands at its ceiling, and say how often that was possible.
    """
    moved = 0
    while True:
        try:
            _insist(store, lambda: Changes(counters=[CounterChange("active", 1, ceiling)]))
        except CeilingError:
            return moved
        moved += 1


def put_new(store: Store, _: Connection, rounds: int, worker: int) -> list[int]:
    """
    Try to be the first to take each of a row of indexes and operations, and say which were taken.
    """
    won = []
    for number in range(rounds):
        made, entry = samples.new(1000 * (worker + 1) + number)[0]
        contested = made._replace(index=samples.card(number).index)
        changes = Changes(new=[(contested, entry._replace(operation=samples.operation(number)))])
        try:
            _insist(store, lambda changes=changes: changes)  # type: ignore[misc]
        except DuplicateError:
            continue
        won.append(number)

    return won


def write_skewed(store: Store, _: Connection, rounds: int, worker: int) -> list[int]:
    """
    Change the own one of two documents if the other is unchanged, and say in which rounds that was possible.
    """
    won = []
    for number in range(rounds):
        own, other = f"pair/{number}/{worker}", f"pair/{number}/{1 - worker}"
        changes = Changes(documents=[(Document(own, b"changed", version=2), 1)], require=[(other, 1)])
        if _is_accepted(store, changes):
            won.append(number)

    return won


def make_skewed(store: Store, _: Connection, rounds: int, worker: int) -> list[int]:
    """
    Make the own one of two documents if there is no other, and say in which rounds that was possible.
    """
    won = []
    for number in range(rounds):
        own, other = f"pair/{number}/{worker}", f"pair/{number}/{1 - worker}"
        changes = Changes(documents=[(Document(own, b"made", version=1), 0)], require=[(other, 0)])
        if _is_accepted(store, changes):
            won.append(number)

    return won


def forget_or_renew(store: Store, _: Connection, rounds: int, worker: int) -> list[int]:
    """
    Forget each of a row of documents, or change it instead where the worker's number is odd, and say which succeeded.
    """
    won = []
    for number in range(rounds):
        key = f"shared/{number:03}"
        renewed = Changes(documents=[(Document(key, b"renewed", version=2), 1)])
        if _is_accepted(store, renewed if worker % 2 else Changes(forget=[(key, 1)])):
            won.append(number)

    return won


def _is_accepted(store: Store, changes: Changes) -> bool:
    while True:
        try:
            store.commit(changes)
        except StoreBusyError:
            continue
        except StaleError:
            return False
        return True


def _small(number: int) -> Changes:
    # Who has to read first, as counters may, meets another writer differently from who writes at once.
    if number % 2:
        return Changes(counters=[CounterChange("small", 1, ceiling=number)])

    return Changes(documents=[(Document(f"small/{number}", b"", version=1), 0)])


def keep_committing(store: Store, line: Connection, size: int, _: int) -> tuple[int, float, list[str]]:
    """
    Make small commits until told to stop. Say how many, the longest wait in seconds, and what went wrong.
    """
    line.send((True, None))
    commits, longest, wrong = 0, 0.0, list[str]()
    while not _told(line):
        began = time.perf_counter()
        try:
            store.commit(_small(commits))
        except StoreError as error:
            wrong.append(f"{type(error).__name__}: {error}")
        longest = max(longest, time.perf_counter() - began)
        commits += 1
        if commits % 10 == 0 and (count := store.count(CardQuery(batch="FLOOD"))) not in {0, size}:
            wrong.append(f"{count} of {size} cards of one commit were seen")
        time.sleep(0.005)
    line.recv()

    return commits, longest, wrong
