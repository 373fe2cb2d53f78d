"""
Crossing from a coroutine into a thread: how many at once, who waits for whom, and what is left by whoever goes early.
"""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextvars import ContextVar
from functools import partial
from itertools import islice
from typing import Any, Final, TypeVar

import anyio
import attrs
import pytest
from anyio import to_thread

from voipcard.crossing import Crossing, Items, ThroughThreads
from voipcard.errors import InvalidValueError, StoreClosedError, StoreError

pytestmark = pytest.mark.anyio

T = TypeVar("T")

PATIENCE: Final = 60.0
"""For how many seconds a thread waits for a gate."""

SOON: Final = 0.02
"""After how many seconds a caller loses patience."""


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """
    Give both kinds of event loop.
    """
    return str(request.param)


@attrs.define
class Gate:
    """
    Something that takes until the gate is opened.

    Attributes:
        opened: Whether it is open.
        inside: How many wait before it.
        most: How many waited at once.
        passed: How many went through.
    """

    opened: threading.Event = attrs.field(factory=threading.Event)
    inside: int = 0
    most: int = 0
    passed: int = 0
    guard: threading.Lock = attrs.field(factory=threading.Lock)

    def __call__(self) -> int:
        """
        Wait, and tell how many went through before.
        """
        with self.guard:
            self.inside += 1
            self.most = max(self.most, self.inside)

        assert self.opened.wait(PATIENCE)
        with self.guard:
            self.inside -= 1
            self.passed += 1

        return self.passed

    async def entered(self, count: int = 1) -> None:
        """
        Wait until so many wait.
        """
        with anyio.fail_after(PATIENCE):
            while self.inside < count:  # noqa: ASYNC110 - threads have other events
                await anyio.sleep(0.001)


class Forgetful(ThroughThreads):
    """
    What anyio has: a thread that somebody left alone counts no more, and what it does is known to nobody.
    """

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self.limiter = anyio.CapacityLimiter(threads)

    async def run(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401 - whatever it takes
        """
        Call it.
        """
        return await to_thread.run_sync(partial(call, *args, **kwargs), abandon_on_cancel=True, limiter=self.limiter)


async def gone(call: Callable[[], Awaitable[object]]) -> bool:
    """
    Call, lose patience, and tell whether that was before the answer.
    """
    with anyio.move_on_after(SOON) as scope:
        await call()

    return scope.cancelled_caught


async def left_inside(call: Callable[[], Coroutine[Any, Any, object]], gate: Gate) -> None:
    """
    Call, and go when the gate is reached.
    """
    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await gate.entered()
        group.cancel_scope.cancel()


async def most_at_once(crossing: Crossing) -> int:
    """
    Tell how many calls are under way at once, if six callers come and all lose patience.
    """
    gate = Gate()
    for _ in range(6):
        assert await gone(lambda: crossing.run(gate))
    gate.opened.set()
    await crossing.end(lambda: None)

    return gate.most


async def test_no_more_calls_are_under_way_than_there_are_threads() -> None:
    """
    Calls that nobody waits for any more count, until they have come to their end.
    """
    assert await most_at_once(ThroughThreads(2)) == 2


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_that_too_many_calls_would_be_noticed() -> None:
    """
    The limiter of anyio lets all of them in on asyncio, and the test before would see it.
    """
    assert await most_at_once(Forgetful(2)) > 2


async def test_a_call_that_has_not_begun_never_will() -> None:
    """
    Whoever goes before there was a thread has asked for nothing.
    """
    crossing, first, second = ThroughThreads(1), Gate(), Gate()
    second.opened.set()
    async with anyio.create_task_group() as group:
        group.start_soon(crossing.run, first)
        await first.entered()

        assert await gone(lambda: crossing.run(second))
        first.opened.set()
    await crossing.end(lambda: None)

    assert (first.passed, second.passed) == (1, 0)


async def ended_while_one_is_under_way(crossing: Crossing, seconds: float) -> list[int]:
    """
    Tell how many calls had come to their end when all of it was closed, if one was left alone and takes so long.
    """
    gate = Gate()
    passed: list[int] = []

    await left_inside(lambda: crossing.run(gate), gate)
    async with anyio.create_task_group() as group:
        group.start_soon(crossing.end, lambda: passed.append(gate.passed))
        with anyio.move_on_after(seconds):
            while not passed:  # noqa: ASYNC110 - threads have other events
                await anyio.sleep(0.001)
        gate.opened.set()

    return passed


async def test_ending_waits_for_what_was_left_alone() -> None:
    """
    Nothing is closed under a call, whether somebody waits for it or not.
    """
    assert await ended_while_one_is_under_way(ThroughThreads(2), 10 * SOON) == [1]


async def test_that_closing_too_early_would_be_noticed() -> None:
    """
    Ending that knows nothing of the call closes before it, and the test before would see it.
    """
    assert await ended_while_one_is_under_way(Forgetful(2), PATIENCE) == [0]


async def test_ending_is_not_kept_from_it() -> None:
    """
    Whoever is cancelled has closed nevertheless, and ending again does nothing more.
    """
    crossing, closed = ThroughThreads(1), []
    with anyio.CancelScope() as scope:
        scope.cancel()
        await crossing.end(lambda: closed.append(1))
    await crossing.end(lambda: None)

    assert closed == [1]


async def test_nothing_is_called_after_the_end() -> None:
    """
    A call after the end is refused as one on a closed store is.
    """
    crossing = ThroughThreads(1)
    await crossing.end(lambda: None)

    with pytest.raises(StoreClosedError, match="closed"):
        await crossing.run(lambda: None)


async def test_what_nobody_waits_for_is_closed() -> None:
    """
    Who goes while something is made that has to be closed leaves nothing open.
    """
    crossing, gate = ThroughThreads(1), Gate()
    closed: list[int] = []

    await left_inside(lambda: crossing.made(closed.append, gate), gate)
    gate.opened.set()
    await crossing.end(lambda: None)

    assert closed == [1]


async def test_what_could_not_be_made_is_not_closed() -> None:
    """
    If making it fails after its caller has gone, there is nothing to close.
    """
    crossing, gate = ThroughThreads(1), Gate()
    closed: list[None] = []

    def fail() -> None:
        gate()
        raise OSError

    await left_inside(lambda: crossing.made(closed.append, fail), gate)
    gate.opened.set()
    await crossing.end(lambda: None)

    assert closed == []


async def test_a_slow_call_takes_no_thread_of_the_application() -> None:
    """
    While all threads of one crossing are taken, those of another and those of the application are free.
    """
    crossing, other, gate = ThroughThreads(1), ThroughThreads(1), Gate()
    async with anyio.create_task_group() as group:
        group.start_soon(crossing.run, gate)
        await gate.entered()

        assert await other.run(lambda: "answer") == "answer"
        assert to_thread.current_default_thread_limiter().borrowed_tokens == 0
        gate.opened.set()


async def test_the_context_of_the_caller_comes_along() -> None:
    """
    A call sees the context variables of the task that made it.
    """
    name: ContextVar[str] = ContextVar("name")
    name.set("request 7")

    assert await ThroughThreads(1).run(name.get) == "request 7"


async def test_an_exception_goes_through_unchanged() -> None:
    """
    What a call raises is what the caller catches.
    """
    error = KeyError("serial")

    def fail() -> None:
        raise error

    with pytest.raises(KeyError) as caught:
        await ThroughThreads(1).run(fail)

    assert caught.value is error


def test_an_event_loop_that_has_ended_is_told_nothing(anyio_backend: str, caplog: pytest.LogCaptureFixture) -> None:
    """
    A call that outlives its event loop comes to its end all the same, and harms nobody.
    """
    gate = Gate()

    async def leave() -> ThroughThreads:
        crossing = ThroughThreads(1)
        await left_inside(lambda: crossing.run(gate), gate)

        return crossing

    crossing = anyio.run(leave, backend=anyio_backend)
    gate.opened.set()
    anyio.run(crossing.end, lambda: None, backend=anyio_backend)

    assert (gate.passed, caplog.messages) == (1, [])


@pytest.mark.parametrize("threads", [0, -1, True, 1.5, "2"])
async def test_there_is_at_least_one_thread(threads: Any) -> None:  # noqa: ANN401 - also what is no number
    """
    Only a whole number from 1 on is how many threads there can be.
    """
    with pytest.raises(InvalidValueError, match="threads"):
        ThroughThreads(threads)


# Items


class Counted(ThroughThreads):
    """
    A way that counts who goes.
    """

    crossed = 0

    async def run(self, call: Callable[..., T], *args: Any, **kwargs: Any) -> T:  # noqa: ANN401 - whatever it takes
        """
        Call it.
        """
        self.crossed += 1

        return await super().run(call, *args, **kwargs)


@pytest.mark.parametrize("count, crossed", [(0, 1), (1, 1), (499, 1), (500, 2), (1200, 3)])
async def test_items_come_some_hundred_at_a_time(count: int, crossed: int) -> None:
    """
    All items are given, in their order, with one crossing for each five hundred.
    """
    crossing = Counted(1)

    assert [item async for item in Items(crossing, iter, range(count))] == list(range(count))
    assert crossing.crossed == crossed


async def test_items_are_asked_for_when_they_are_wanted() -> None:
    """
    Nothing is called before the first item is asked for, nor after the last one that is.
    """
    crossing = Counted(1)
    items = Items(crossing, iter, range(1200))
    before = crossing.crossed
    async for _ in items:
        break

    assert (before, crossing.crossed) == (0, 1)


async def test_the_items_before_a_failure_are_given() -> None:
    """
    What could be read is given before what is wrong with the rest is raised, once.
    """

    def source() -> Iterator[int]:
        yield from range(3)
        raise KeyError

    items, found = Items(ThroughThreads(1), source), list[int]()
    with pytest.raises(KeyError):
        await _collect(items, found)

    assert (found, [item async for item in items]) == ([0, 1, 2], [])


async def forgetful_items(crossing: Crossing, call: Callable[[], Iterator[int]]) -> AsyncIterator[int]:
    """
    Iterate as one would at first: what was fetched is known to the one who asked, and gone with him.
    """
    source = call()
    while chunk := await crossing.run(lambda: list(islice(source, 500))):
        for item in chunk:
            yield item


async def asked_again(iterate: Callable[[Crossing, Callable[[], Iterator[int]]], AsyncIterator[int]]) -> list[int]:
    """
    Tell which of ten items are given to somebody who loses patience with the first and asks again.
    """
    crossing, gate = ThroughThreads(2), Gate()

    def source() -> Iterator[int]:
        gate()
        yield from range(10)

    items = iterate(crossing, source)
    await left_inside(partial(_first, items), gate)
    found: list[int] = []
    async with anyio.create_task_group() as group:
        group.start_soon(partial(_collect, items, found))
        await anyio.sleep(SOON)
        gate.opened.set()
    await crossing.end(lambda: None)

    return found


async def _first(items: AsyncIterator[int]) -> None:
    await anext(items)


async def _collect(items: AsyncIterator[int], found: list[int]) -> None:
    async for item in items:
        found.append(item)  # noqa: PERF401 - what is found before a failure counts


async def test_whoever_asks_again_misses_nothing() -> None:
    """
    What a thread fetches for somebody who has gone is there for whoever asks next.
    """
    assert await asked_again(Items) == list(range(10))


async def test_that_missing_something_would_be_noticed() -> None:
    """
    A generator of the plain kind has ended with the one who lost patience, and the test before would see it.
    """
    assert await asked_again(forgetful_items) == []


async def test_what_is_interrupted_is_not_taken_for_the_end() -> None:
    """
    Where the reading itself is interrupted, asking again is refused: there may be more.
    """

    def source() -> Iterator[int]:
        yield 0
        raise SystemExit

    items = Items(ThroughThreads(1), source)
    with pytest.raises(SystemExit):
        await anext(items)

    assert await anext(items) == 0
    with pytest.raises(StoreError, match="interrupted"):
        await anext(items)


def test_without_anyio_it_is_said_what_to_install() -> None:
    """
    Everything but `voipcard.aio` works without anyio, and that says which extra brings it.
    """
    program = (
        "import sys\n"
        "sys.modules['anyio'] = None\n"
        "from voipcard import *\n"
        "import voipcard\n"
        "try:\n"
        "    voipcard.aio\n"
        "except ImportError as error:\n"
        "    print(error, error.name, sep='|')\n"
    )
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    assert run.stdout == "voipcard.aio needs anyio: install voipcard[async]|anyio\n"
