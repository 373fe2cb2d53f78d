"""
Turns: whoever comes while nobody works leads, and does what comes meanwhile together with it.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final

import pytest

from tests.book_world import PATIENCE, in_threads
from voipcard.turns import Turns

FOLLOWERS: Final = 6


class Workshop:
    """
    Work that takes until it is let go, and remembers what was done together and by whom.
    """

    def __init__(self) -> None:
        self.turns: Turns[int, int] = Turns(self.work, lambda: InterruptedError("unfinished"))
        self.groups: list[list[int]] = []
        self.leaders: list[threading.Thread] = []
        self.may_go_on = threading.Event()
        self.is_working = threading.Event()

    def work(self, jobs: Sequence[int]) -> list[int | Exception]:
        """
        Double numbers; negative ones are refused, and zero breaks the workshop.
        """
        self.groups.append(sorted(jobs))
        self.leaders.append(threading.current_thread())
        self.is_working.set()
        assert self.may_go_on.wait(PATIENCE)
        if 0 in jobs:
            raise ZeroDivisionError

        return [job * 2 if job > 0 else ValueError(str(job)) for job in jobs]

    def outcome(self, job: int) -> int | str:
        """
        Give the answer, or the class of what is raised.
        """
        try:
            return self.turns.take(job)
        except (ValueError, ZeroDivisionError, InterruptedError) as error:
            return type(error).__name__

    def with_followers(self, first: int, others: Sequence[int]) -> list[int | str]:
        """
        Let others come while the first one is at work, then let it go on; give all answers.
        """
        with ThreadPoolExecutor(len(others) + 1) as pool:
            leader = pool.submit(self.outcome, first)
            assert self.is_working.wait(PATIENCE)
            followers = [pool.submit(self.outcome, job) for job in others]
            until(lambda: waiting(self.turns) == len(others))
            self.may_go_on.set()

            return [future.result(PATIENCE) for future in (leader, *followers)]


def waiting(turns: Turns[int, int]) -> int:
    """
    Tell how many wait for their turn.
    """
    return len(turns._waiting)  # noqa: SLF001 - to let others come at a moment of the test's choosing


def until(reached: Callable[[], bool]) -> None:
    """
    Wait for something that another thread does.
    """
    deadline = time.monotonic() + PATIENCE / 10
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_who_is_alone_is_done_alone() -> None:
    """
    A lone caller does its job by itself, in its own thread.
    """
    shop = Workshop()
    shop.may_go_on.set()

    assert [shop.outcome(1), shop.outcome(2)] == [2, 4]
    assert shop.groups == [[1], [2]]
    assert set(shop.leaders) == {threading.current_thread()}


def test_what_comes_meanwhile_is_done_together() -> None:
    """
    Who comes while another one works waits, and all of them are done at once, by one of them.
    """
    shop = Workshop()
    jobs = range(2, 2 + FOLLOWERS)

    assert shop.with_followers(1, jobs) == [2, *(job * 2 for job in jobs)]
    assert shop.groups == [[1], [*jobs]]
    assert len(set(shop.leaders)) == 2


def test_a_refusal_is_for_the_one_who_is_refused() -> None:
    """
    Everybody is answered for its own job: a refused one does not harm the others.
    """
    shop = Workshop()

    assert shop.with_followers(1, [2, -3, 4, -5]) == [2, 4, "ValueError", 8, "ValueError"]
    assert shop.groups == [[1], [-5, -3, 2, 4]]


def test_where_the_work_breaks_nobody_is_told_that_it_was_done() -> None:
    """
    The leader gets what its work raised, the others learn that nobody knows; who comes later is served again.
    """
    shop = Workshop()
    answers = shop.with_followers(1, [0, 2, 3])
    broken, told = answers[1:].count("ZeroDivisionError"), answers[1:].count("InterruptedError")

    assert (answers[0], broken, told) == (2, 1, 2)
    assert shop.outcome(7) == 14


def test_many_threads_are_each_answered_for_their_own() -> None:
    """
    However many threads come at once and again and again, each job is done exactly once and answered with its own.
    """
    done: list[int] = []

    def work(jobs: Sequence[int]) -> list[int | Exception]:
        done.extend(jobs)
        time.sleep(0.0005)

        return [-job for job in jobs]

    turns: Turns[int, int] = Turns(work, InterruptedError)
    rounds = 50
    answers = in_threads(lambda thread: [turns.take(thread * rounds + each) for each in range(rounds)], 8)

    assert [answer for each in answers for answer in each] == [-job for job in range(8 * rounds)]
    assert sorted(done) == [*range(8 * rounds)]


def test_answers_that_are_mixed_up_would_be_noticed() -> None:
    """
    The control of the law before: work that answers in another order is found out.
    """

    def work(jobs: Sequence[int]) -> list[int | Exception]:
        time.sleep(0.001)

        return [-job for job in reversed(jobs)]

    turns: Turns[int, int] = Turns(work, InterruptedError)
    answers = in_threads(lambda thread: [turns.take(thread * 50 + each) for each in range(50)], 8)

    assert [answer for each in answers for answer in each] != [-job for job in range(400)]


def test_a_leader_does_not_wait_for_itself() -> None:
    """
    Work that asks for a turn of the same kind itself is served at once.
    """

    def work(jobs: Sequence[int]) -> list[int | Exception]:
        return [job if job > 9 else turns.take(job * 10) + 1 for job in jobs]

    turns: Turns[int, int] = Turns(work, InterruptedError)

    assert [turns.take(2), turns.take(30)] == [21, 30]


def test_nobody_waits_for_one_who_was_interrupted() -> None:
    """
    A caller that is interrupted while it waits is not waited for, and others are served.
    """
    shop = Workshop()
    with ThreadPoolExecutor(2) as pool:
        leader = pool.submit(shop.outcome, 1)
        assert shop.is_working.wait(PATIENCE)

        def interrupt() -> int | str:
            until(lambda: waiting(shop.turns) == 1)
            os.kill(os.getpid(), signal.SIGINT)
            until(lambda: waiting(shop.turns) == 0)
            shop.may_go_on.set()

            return shop.outcome(3)

        other = pool.submit(interrupt)
        with pytest.raises(KeyboardInterrupt):
            shop.turns.take(2)

        assert [leader.result(PATIENCE), other.result(PATIENCE)] == [2, 6]
    assert [2] not in shop.groups


def test_those_behind_one_who_was_interrupted_are_answered() -> None:
    """
    A caller that is interrupted while its job is being done does not keep the answers from those behind it.
    """
    shop = Workshop()
    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(shop.outcome, 1)
        assert shop.is_working.wait(PATIENCE)
        second = pool.submit(shop.outcome, 2)
        until(lambda: waiting(shop.turns) == 1)

        def interrupt() -> Future[int | str]:
            until(lambda: waiting(shop.turns) == 2)
            behind = pool.submit(shop.outcome, 4)
            until(lambda: waiting(shop.turns) == 3)
            shop.is_working.clear()
            shop.may_go_on.set()
            assert shop.is_working.wait(PATIENCE)
            os.kill(os.getpid(), signal.SIGINT)

            return behind

        # The second group works until its third member is interrupted.
        released = threading.Event()
        work = shop.work

        def slowly(jobs: Sequence[int]) -> list[int | Exception]:
            answers = work(jobs)
            if len(jobs) > 1:
                assert released.wait(PATIENCE)

            return answers

        shop.turns._work = slowly  # type: ignore[misc]  # noqa: SLF001 - to hold the group back
        other = pool.submit(interrupt)
        with pytest.raises(KeyboardInterrupt):
            shop.turns.take(3)
        released.set()

        assert [first.result(PATIENCE), second.result(PATIENCE), other.result(PATIENCE).result(PATIENCE)] == [2, 4, 8]
    assert shop.groups == [[1], [2, 3, 4]]


def test_a_leader_that_was_interrupted_at_once_is_followed_by_another() -> None:
    """
    A caller that is interrupted just when it was made leader lets the next one lead.
    """
    shop = Workshop()
    shop.may_go_on.set()
    lead = shop.turns._lead  # noqa: SLF001 - to come at a chosen moment
    interruptions = iter([KeyboardInterrupt()])

    def interrupted(leader: Any) -> None:  # noqa: ANN401 - whoever leads
        for interruption in interruptions:
            raise interruption
        lead(leader)

    shop.turns._lead = interrupted  # type: ignore[method-assign]  # noqa: SLF001 - the same
    with pytest.raises(KeyboardInterrupt):
        shop.turns.take(1)

    assert shop.outcome(2) == 4
    assert shop.groups == [[2]]


def test_a_fork_does_not_wait_for_a_leader_of_its_parent() -> None:
    """
    In a process that was forked while a thread led, a job is done without waiting for that thread.
    """
    shop = Workshop()
    shop.turns._led = True  # noqa: SLF001 - as it is when another thread leads

    shop.turns._process = -1  # type: ignore[misc]  # noqa: SLF001 - as in a child
    shop.may_go_on.set()

    assert shop.outcome(3) == 6
