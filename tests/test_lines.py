"""
Lines: the threads of one process that want the same card get it one after another.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest

from tests.book_world import PATIENCE, in_threads
from tests.test_turns import until
from voipcard.lines import Lines

THREADS: Final = 8
TIMES: Final = 20


class Shared:
    """
    Numbers that are read, thought about and written: without a line, additions are lost.
    """

    def __init__(self, lines: Lines | None) -> None:
        self.lines = lines
        self.numbers = {"a": 0, "b": 0, "c": 0}

    def add(self, *names: str) -> None:
        """
        Add one to each of these numbers.
        """
        held = self.lines.enter(names) if self.lines else []
        seen = {name: self.numbers[name] for name in names}
        time.sleep(0.0002)
        self.numbers.update({name: number + 1 for name, number in seen.items()})
        if self.lines:
            self.lines.leave(held)


def standing(lines: Lines, name: str) -> int:
    """
    Tell how many wait for a name; -1 if nobody has it.
    """
    return len(lines._lines[name]) if name in lines._lines else -1  # noqa: SLF001 - to come at a chosen moment


def test_one_at_a_time_has_a_card() -> None:
    """
    Whoever holds a name holds it alone, also together with others and whatever order they are named in.
    """
    shared = Shared(Lines())
    choices = (("a",), ("a", "b"), ("b", "a"), ("c", "b", "a"))

    def work(thread: int) -> None:
        for each in range(TIMES):
            shared.add(*choices[(thread + each) % 4])

    in_threads(work, THREADS)

    assert shared.numbers == {"a": THREADS * TIMES, "b": THREADS * TIMES * 3 // 4, "c": THREADS * TIMES // 4}


def test_without_lines_additions_are_lost() -> None:
    """
    The control of the law before.
    """
    shared = Shared(None)

    def work(_: int) -> None:
        for _ in range(TIMES):
            shared.add("a")

    in_threads(work, THREADS)

    assert shared.numbers["a"] < THREADS * TIMES


def test_first_come_first_served() -> None:
    """
    A line is served in the order in which it was joined.
    """
    lines = Lines()
    held = lines.enter(["a"])
    served: list[int] = []

    def come(number: int) -> None:
        mine = lines.enter(["a"])
        served.append(number)
        lines.leave(mine)

    threads = []
    for number in range(THREADS):
        threads.append(threading.Thread(target=come, args=(number,)))
        threads[-1].start()
        until(lambda: standing(lines, "a") == len(threads))
    lines.leave(held)
    for thread in threads:
        thread.join(PATIENCE)

    assert served == [*range(THREADS)]


def test_who_wants_other_cards_does_not_wait() -> None:
    """
    A line is for one name: others are free, and so is the same name once the line is empty.
    """
    lines = Lines()
    held = lines.enter(["a", "b", "a"])

    assert held == ["a", "b"]
    lines.leave(lines.enter(["c"]))
    lines.leave(held)

    assert [standing(lines, name) for name in "abc"] == [-1, -1, -1]


def test_who_is_interrupted_leaves_the_line() -> None:
    """
    Who is interrupted while it waits holds nothing afterwards, and those behind it are served.
    """
    lines = Lines()
    held = lines.enter(["b"])
    with ThreadPoolExecutor(2) as pool:

        def interrupt() -> None:
            until(lambda: standing(lines, "b") == 1)
            behind = pool.submit(lines.enter, ["b"])
            until(lambda: standing(lines, "b") == 2)
            os.kill(os.getpid(), signal.SIGINT)
            until(lambda: standing(lines, "b") == 1)
            lines.leave(held)
            lines.leave(behind.result(PATIENCE))

        other = pool.submit(interrupt)
        with pytest.raises(KeyboardInterrupt):
            lines.enter(["a", "b"])
        other.result(PATIENCE)

    assert [standing(lines, name) for name in "ab"] == [-1, -1]
