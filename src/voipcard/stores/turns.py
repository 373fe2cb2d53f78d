"""
Leader and followers: calls that arrive while another one works are done together, by one of the callers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final, Generic, TypeVar

import attrs

__all__ = ["Turns"]

J = TypeVar("J")


@attrs.define(eq=False)
class _Caller(Generic[J]):
    """
    Somebody who waits.

    Attributes:
        job: What is to be done.
        turn: Locked while the caller has to wait.
        leads: Whether the caller is to do what waits, instead of being answered.
        refusal: What the caller is answered with; None if the job was done.
    """

    job: J
    turn: threading.Lock = attrs.field(factory=threading.Lock)
    leads: bool = False
    refusal: Exception | None = None


class Turns(Generic[J]):
    """
    Lets whoever comes while nobody works lead; who comes meanwhile waits, and the first of them leads next.

    A leader does all that waits when its turn comes, and so does nobody's job for longer than its own takes. There is
    no thread besides those of the callers.

    Args:
        work: Does several jobs, and gives for each in turn what it was refused with, or None.

        unfinished: Gives what the others are answered with where *work* raised, because nobody knows what it did.
    """

    def __init__(
        self, work: Callable[[Sequence[J]], Sequence[Exception | None]], unfinished: Callable[[], Exception]
    ) -> None:
        self._work: Final = work
        self._unfinished: Final = unfinished
        self._guard: Final = threading.Lock()
        self._waiting: list[_Caller[J]] = []
        self._led = False

    def take(self, job: J) -> None:
        """
        Do a job, together with others that wait; return when it is done.

        Raises:
            Exception: Whatever *work* refused this job with.
        """
        caller = _Caller(job)
        caller.turn.acquire()
        with self._guard:
            self._waiting.append(caller)
            caller.leads, self._led = not self._led, True
        try:
            if not caller.leads:
                caller.turn.acquire()
            if caller.leads:
                self._lead()
        except BaseException:
            self._withdraw(caller)
            raise
        if caller.refusal is not None:
            raise caller.refusal

    def _lead(self) -> None:
        with self._guard:
            callers, self._waiting = self._waiting, []
        try:
            refusals = self._work([caller.job for caller in callers])
        except BaseException:
            refusals = [self._unfinished() for _ in callers]
            raise
        finally:
            with self._guard:
                for caller, refusal in zip(callers, refusals, strict=True):
                    caller.refusal, caller.leads = refusal, False
                self._appoint()
            for caller in callers:
                caller.turn.release()

    def _withdraw(self, caller: _Caller[J]) -> None:
        """
        Let somebody go who was interrupted: nobody may wait for a leader that is gone.
        """
        with self._guard:
            if caller in self._waiting:
                self._waiting.remove(caller)
            if caller.leads:
                caller.leads = False
                self._appoint()

    def _appoint(self) -> None:
        """
        Let the first who waits lead next, or nobody.
        """
        self._led = bool(self._waiting)
        if self._waiting:
            self._waiting[0].leads = True
            self._waiting[0].turn.release()
