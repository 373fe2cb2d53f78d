"""
The ways from a coroutine into the library: through a worker thread, or inside the connection of an async transaction.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Final, ParamSpec, Protocol, TypeVar

from voipcard.core.arguments import checked_integer
from voipcard.errors import StoreClosedError, StoreError

try:
    from anyio import CancelScope, CapacityLimiter, Event, Lock, to_thread
except ImportError as _missing:
    raise ImportError("voipcard.aio needs anyio: install voipcard[async]", name="anyio") from _missing

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

__all__ = ["Crossing", "Items", "ThroughConnection", "ThroughThreads"]

P = ParamSpec("P")
T = TypeVar("T")

_AT_ONCE: Final = 500
"""How many items are fetched in one crossing: a crossing costs as much as reading some ten cards."""


class Crossing(Protocol):
    """
    A way to call what blocks, and to wait for its answer without blocking.
    """

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Call it and give its answer, or raise what it raises.
        """
        ...

    async def end(self, close: Callable[[], object]) -> None:
        """
        Let what was called come to its end, then close what it was called on. Ending again does nothing more.
        """
        ...


class ThroughThreads:
    """
    Calls in worker threads of its own, so that a slow store takes none of the application's.

    Whoever stops waiting is free at once. A call that has begun goes on to its end and keeps its thread until then; one
    that has not begun never will. AnyIO's own limiter would not do: on asyncio it forgets a thread that was left alone,
    so that calls with a time limit would start more and more threads while the store hangs.

    Args:
        threads: How many at most.
    """

    def __init__(self, threads: int) -> None:
        checked_integer("threads", threads, at_least=1)
        self._threads: Final = ThreadPoolExecutor(threads, "voipcard")
        self._is_closed = False

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Call it in a worker thread.

        Raises:
            StoreClosedError: If all of it has ended.
        """
        return await self._answer(partial(call, *args, **kwargs))

    async def made(self, close: Callable[[T], object], make: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Make something that has to be closed, and close it if nobody waits for it any more.
        """
        return await self._answer(partial(make, *args, **kwargs), close)

    async def _answer(self, call: Callable[[], T], unwanted: Callable[[T], object] | None = None) -> T:
        if self._is_closed:
            raise StoreClosedError("the book is closed")
        done, tell = Event(), _teller()
        future = self._threads.submit(copy_context().run, call)
        future.add_done_callback(lambda _: tell(done.set))
        try:
            await done.wait()
        except BaseException:
            if not future.cancel() and unwanted is not None:
                future.add_done_callback(partial(_discard, unwanted))
            raise

        return future.result()

    async def end(self, close: Callable[[], object]) -> None:
        """
        Wait for all calls, also for those that nobody waits for, and close.
        """
        self._is_closed = True
        with CancelScope(shield=True):
            await to_thread.run_sync(self._end, close, limiter=CapacityLimiter(1))

    def _end(self, close: Callable[[], object]) -> None:
        self._threads.shutdown()
        close()


def _teller() -> Callable[[Callable[[], object]], None]:
    """
    Give what lets this event loop call something soon, from whatever thread; it does nothing once the loop has ended.
    """
    soon: Callable[[Callable[[], object]], object]
    try:
        soon = asyncio.get_running_loop().call_soon_threadsafe
    except RuntimeError:
        from trio.lowlevel import current_trio_token

        soon = current_trio_token().run_sync_soon

    def tell(what: Callable[[], object]) -> None:
        with suppress(RuntimeError):
            soon(what)

    return tell


def _discard(close: Callable[[T], object], future: Future[T]) -> None:
    if future.exception() is None:
        close(future.result())


class ThroughConnection:
    """
    Calls inside an async connection, which turns each statement into something to await; one call after another.

    Args:
        connection: The connection, whose transaction is its owner's.
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection: Final = connection
        self._turn: Final = Lock()

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Call it, in the event loop's own thread.
        """
        # A connection does one thing at a time, and a lock for threads would stop the whole event loop.
        async with self._turn:
            return await self._connection.run_sync(lambda _: call(*args, **kwargs))

    async def end(self, close: Callable[[], object]) -> None:
        """
        Close, which leaves the connection as it is.
        """
        async with self._turn:
            close()


class Items(AsyncIterator[T]):
    """
    Iterates over what a call gives, some hundred items a crossing. Left early, it leaves nothing open.

    Nothing is called before the first item is asked for. Whoever is interrupted and asks again misses nothing.

    Args:
        crossing: The way.

        call: Gives the items.
    """

    def __init__(self, crossing: Crossing, call: Callable[P, Iterator[T]], *args: P.args, **kwargs: P.kwargs) -> None:
        self._crossing: Final = crossing
        self._call: Final = partial(call, *args, **kwargs)
        self._guard: Final = threading.Lock()
        self._source: Iterator[T] | None = None
        self._fetched: Final[deque[T]] = deque()
        self._failure: Exception | None = None
        self._has_ended = False

    async def __anext__(self) -> T:
        while True:
            # In this order, because a thread that somebody left alone may add the last items meanwhile.
            has_ended = self._has_ended
            if self._fetched:
                return self._fetched.popleft()
            if has_ended:
                failure, self._failure = self._failure, None
                raise failure or StopAsyncIteration
            await self._crossing.run(self._fetch)

    def _fetch(self) -> None:
        with self._guard:
            if self._fetched or self._has_ended:
                return
            items: list[T] = []
            failure: Exception | None = StoreError("the reading was interrupted: begin it again")
            try:
                self._source = self._source or self._call()
                items.extend(itertools.islice(self._source, _AT_ONCE))
                failure = None
            except Exception as error:  # noqa: BLE001 - it is raised after the items before it
                failure = error
            finally:
                self._failure = failure
                self._fetched.extend(items)
                self._has_ended = failure is not None or len(items) < _AT_ONCE
