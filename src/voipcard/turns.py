"""
Leader and followers: calls that arrive while another one works are done together, by one of the callers.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Final, Generic, TypeAlias, TypeVar

import attrs

__all__ = ["Turns", "Work"]

J = TypeVar("J")
A = TypeVar("A")

Work: TypeAlias = Callable[[Sequence[J]], Sequence[A | Exception]]
"""Does several jobs and gives for each in turn its answer, or the exception to raise."""


@attrs.define(eq=False)
class _Caller(Generic[J, A]):
    """
    Somebody who waits.

    Attributes:
        job: What is to be done.
        turn: Locked while the caller has to wait.
        leads: Whether the caller is to do what waits, instead of being answered.
        answer: What the caller is answered, once it is.
        following: Whom the caller wakes, once it is awake.
        is_awake: Whether somebody woke it.
        is_gone: Whether it was interrupted, and is not to be woken any more.
    """

    job: J
    turn: threading.Lock = attrs.field(factory=threading.Lock)
    leads: bool = False
    answer: A | Exception = attrs.field(init=False)
    following: _Caller[J, A] | None = None
    is_awake: bool = False
    is_gone: bool = False


class Turns(Generic[J, A]):
    """
    Lets whoever comes while nobody works lead; who comes meanwhile waits, and the first of them leads next.

    A leader does all that waits when its turn comes. There is no thread besides those of the callers, and a call that
    is alone is done by itself.

    Args:
        work: What a leader does.

        unfinished: Gives what the others are answered with where *work* raised, because nobody knows what it did.
    """

    def __init__(self, work: Work[J, A], unfinished: Callable[[], Exception]) -> None:
        self._work: Final = work
        self._unfinished: Final = unfinished
        self._process: Final = os.getpid()
        self._guard: Final = threading.Lock()
        self._waiting: list[_Caller[J, A]] = []
        self._led = False
        self._leader = 0

    def take(self, job: J) -> A:
        """
        Do a job, together with others that wait, and give the answer.

        Raises:
            Exception: What *work* answered this job with.
        """
        if self._leader == threading.get_ident() or self._process != os.getpid():
            # What a leader does asks for more, as a clock could that somebody wrote; or the leader stayed in the
            # process that this one was forked from. Neither can be waited for.
            [answer] = self._work([job])
        else:
            answer = self._in_turn(job)
        if isinstance(answer, Exception):
            try:
                raise answer
            finally:
                del answer  # It has the traceback, which has this frame: without this they would keep each other.

        return answer

    def _in_turn(self, job: J) -> A | Exception:
        caller: _Caller[J, A] = _Caller(job)
        caller.turn.acquire()
        try:
            with self._guard:
                self._waiting.append(caller)
                caller.leads, self._led = not self._led, True
            if not caller.leads:
                caller.turn.acquire()
            if caller.leads:
                self._lead(caller)
        except BaseException:
            with self._guard:
                caller.is_gone = True
                if caller in self._waiting:
                    self._waiting.remove(caller)
                self._pass_on(caller)
            raise
        finally:
            # One after another: all of them at once would only wait for each other, and for the next leader.
            if caller.following is not None:
                with self._guard:
                    self._wake(caller.following)

        return caller.answer

    def _lead(self, leader: _Caller[J, A]) -> None:
        callers: list[_Caller[J, A]] = []
        try:
            with self._guard:
                callers, self._waiting = self._waiting, []
            self._leader = threading.get_ident()
            answers = self._work([caller.job for caller in callers])
            for caller, answer in zip(callers, answers, strict=True):
                caller.answer = answer
        except BaseException:
            for caller in callers:
                caller.answer = self._unfinished()
            raise
        finally:
            self._leader = 0
            with self._guard:
                for caller, following in pairwise(callers):
                    caller.following = following
                self._pass_on(leader)

    def _pass_on(self, leader: _Caller[J, A]) -> None:
        """
        Let the first who waits lead, if this one does. The guard is held.
        """
        if leader.leads:
            leader.leads = False
            self._led = bool(self._waiting)
            if self._waiting:
                self._waiting[0].leads = True
                self._wake(self._waiting[0])

    @staticmethod
    def _wake(caller: _Caller[J, A] | None) -> None:
        """
        Wake somebody, or whom somebody who is gone would wake. The guard is held.
        """
        while caller is not None and caller.is_gone:
            caller = caller.following
        if caller is not None and not caller.is_awake:
            caller.is_awake = True
            caller.turn.release()
