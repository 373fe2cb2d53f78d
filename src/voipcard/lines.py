"""
Standing in line: the threads of one process that want the same card get it one after another, first come first served.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from typing import Final

__all__ = ["Lines"]


class Lines:
    """
    A line for each name that somebody holds. A line is gone when nobody stands in it.
    """

    def __init__(self) -> None:
        self._guard: Final = threading.Lock()
        self._lines: Final[dict[str, deque[threading.Lock]]] = {}

    def enter(self, names: Iterable[str]) -> list[str]:
        """
        Wait until nobody else holds one of these names, and hold them.

        Returns:
            What to `leave` with.
        """
        held: list[str] = []
        try:
            # Everybody takes names in the same order, so that no two wait for each other.
            for name in sorted(set(names)):
                self._enter(name)
                held.append(name)
        except BaseException:
            self.leave(held)
            raise

        return held

    def leave(self, held: Iterable[str]) -> None:
        """
        Hold these names no longer; the first in each line is next.
        """
        for name in held:
            self._leave(name)

    def _enter(self, name: str) -> None:
        with self._guard:
            line = self._lines.get(name)
            if line is None:
                self._lines[name] = deque()
                return
            turn = threading.Lock()
            turn.acquire()
            line.append(turn)
        try:
            turn.acquire()
        except BaseException:
            # Whoever was interrupted leaves the line, or gives on what was just handed over.
            with self._guard:
                is_waiting = turn in line
                if is_waiting:
                    line.remove(turn)
            if not is_waiting:
                self._leave(name)
            raise

    def _leave(self, name: str) -> None:
        with self._guard:
            line = self._lines[name]
            if line:
                line.popleft().release()
            else:
                del self._lines[name]
