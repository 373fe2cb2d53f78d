"""
Where our side of a line spends its time.
"""

from __future__ import annotations

import cProfile
import io
import pstats
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks.books import Books
from benchmarks.driver import parameters_of
from benchmarks.lines import Line
from benchmarks.worker import prepared

__all__ = ["profiled"]

_ROWS: Final = 30


def profiled(line: Line, size: int, books: Books, *, folder: Path) -> str:
    """
    Profile one block of our side in this process, and give the functions that took most.

    All threads are looked at with Python 3.11; from 3.12 on a process can have one profiler only, and it looks at the
    calling thread.
    """
    # What is on a server ends with the server.
    with tempfile.TemporaryDirectory(dir=folder) as own:
        parameters = parameters_of(line, line.ours, size=size, folder=Path(own), books=books)
        others = _ThreadProfiles()
        if sys.version_info < (3, 12):
            threading.setprofile(others.begin)
        block = prepared(line.ours.module, parameters)
        if line.warm:
            block()
        mine = cProfile.Profile()
        mine.runcall(block)
        threading.setprofile(None)

    return _rows([mine, *others.profiles])


class _ThreadProfiles:
    """
    A profile for each thread that starts meanwhile: a profile can only look at the thread that enables it.
    """

    def __init__(self) -> None:
        self.profiles: Final[list[cProfile.Profile]] = []

    def begin(self, *_: object) -> None:
        """
        Take the place of the hook that a new thread calls first.
        """
        profile = cProfile.Profile()
        self.profiles.append(profile)
        profile.enable()


def _rows(profiles: list[cProfile.Profile]) -> str:
    text = io.StringIO()
    stats = pstats.Stats(profiles[0], stream=text)
    for profile in profiles[1:]:
        stats.add(profile)
    order: Callable[..., Any] = stats.strip_dirs().sort_stats
    for column in ("tottime", "cumulative"):
        order(column).print_stats(_ROWS)

    return text.getvalue()
