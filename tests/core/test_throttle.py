"""
The limits of guessing as rules: in no stretch of time is more evaluated than they say, whatever the clock does.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voipcard.core.throttle import (
    DEFAULT_LIMITS,
    NIST_LIMITS,
    SLOTS,
    Attempts,
    GuessLimits,
    Ingress,
    Lock,
    is_alarming,
    micros,
)
from voipcard.errors import InvalidValueError

HOUR = micros(timedelta(hours=1))

STEPS = st.lists(st.integers(-HOUR // 2, HOUR), min_size=1, max_size=80)
"""How far the clock goes between two attempts; it may be set back."""


def moments(steps: Sequence[int], start: int = 10**15) -> list[int]:
    """
    Give when the attempts are made.
    """
    now, made = start, []
    for step in steps:
        now += step
        made.append(now)

    return made


def most_within(granted: Sequence[int], window: int) -> int:
    """
    Count the most moments that lie in any stretch as long as *window*.
    """
    return max((sum(start <= moment < start + window for moment in granted) for start in granted), default=0)


def test_the_defaults_are_those_of_the_issue() -> None:
    """
    Three a call, ten a source a day, 120 an ingress an hour, pauses of 30 seconds to an hour, a block after ten.
    """
    hours = timedelta(hours=24)

    assert attrs.evolve(DEFAULT_LIMITS, name="custom", source="") == GuessLimits(
        per_call=3,
        per_source=10,
        source_window=hours,
        per_ingress=120,
        ingress_window=timedelta(hours=1),
        free_failures=3,
        first_pause=timedelta(seconds=30),
        longest_pause=timedelta(hours=1),
        block_after=10,
        caller_id_block=hours,
        response_floor=timedelta(milliseconds=25),
    )


@pytest.mark.parametrize("limits", [DEFAULT_LIMITS, NIST_LIMITS])
def test_named_limits_say_where_they_come_from(limits: GuessLimits) -> None:
    """
    Limits that have a name have a source, and cannot be changed.
    """
    assert limits.name
    assert limits.source
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        limits.per_call = 1000  # type: ignore[misc]


@pytest.mark.parametrize(
    "wrong",
    [
        {"per_call": 0},
        {"per_source": 1001},
        {"per_ingress": True},
        {"free_failures": 2.5},
        {"block_after": -1},
        {"source_window": timedelta(0)},
        {"source_window": timedelta.max},
        {"longest_pause": timedelta(days=367)},
        {"ingress_window": timedelta(seconds=59)},
        {"response_floor": timedelta(seconds=11)},
        {"ingress_window": 3600},
        {"first_pause": timedelta(seconds=-1)},
        {"response_floor": timedelta(microseconds=-1)},
        {"caller_id_block": None},
    ],
)
def test_what_is_no_limit_is_refused(wrong: dict[str, Any]) -> None:
    """
    A limit is a number from 1 to 1,000, or a time that can be kept; only the floor may be zero.
    """
    with pytest.raises(InvalidValueError) as refused:
        GuessLimits(**wrong)

    assert [refused.value.name] == list(wrong)


@given(STEPS, st.integers(1, 12))
def test_a_window_lets_no_more_through(steps: Sequence[int], limit: int) -> None:
    """
    In no stretch of a day more attempts are evaluated than the limit says, though the clock is set back.

    Where it never is, the next one is evaluated as soon as the oldest is a day old.
    """
    attempts, granted = Attempts(), []
    for now in moments(steps):
        is_granted, attempts = attempts.reserve(now, limit=limit, window=timedelta(hours=24))
        if is_granted:
            granted.append(attempts.moments[-1])

    assert most_within(granted, 24 * HOUR) <= limit
    if all(step >= 0 for step in steps):
        latest = moments(steps)[-1]
        is_granted, _ = attempts.reserve(latest + 24 * HOUR, limit=limit, window=timedelta(hours=24))
        assert is_granted


@given(STEPS, st.integers(1, 5))
def test_what_is_refused_or_did_not_fail_does_not_count(steps: Sequence[int], limit: int) -> None:
    """
    An attempt that is refused leaves everything as it was, and so does one that is taken back.
    """
    attempts = Attempts()
    for now in moments(steps):
        is_granted, after = attempts.reserve(now, limit=limit, window=timedelta(days=3650))

        if is_granted:
            assert attempts == after.without(after.moments[-1])
        else:
            assert attempts == after
        attempts = after


def test_what_was_never_reserved_is_not_taken_back() -> None:
    """
    Taking back an attempt that does not count any more takes back no other.
    """
    assert Attempts((1, 2)) == Attempts((1, 2)).without(3)


@given(st.lists(st.integers(0, 2 * HOUR), max_size=60), st.booleans())
def test_a_card_waits_longer_after_each_wrong_pin(steps: Sequence[int], is_caller_id: bool) -> None:  # noqa: FBT001
    """
    Wrong PINs in a row are never closer than the pause after the one before, and never more than ten.

    A CallerID card begins anew a day after the tenth.
    """
    lock, granted = Lock(), list[int]()
    for now in moments(steps):
        is_granted, lock = lock.reserve(now, DEFAULT_LIMITS, is_caller_id=is_caller_id)
        if is_granted:
            granted.append(now)
            failures = (len(granted) - 1) % 10 + 1
            if failures > 1:
                assert now - granted[-2] >= micros(DEFAULT_LIMITS.pause(failures - 1))

    assert is_caller_id or len(granted) <= 10
    assert all(later - earlier >= 24 * HOUR for earlier, later in zip(granted[9::10], granted[10::10], strict=False))


def test_the_pauses_double_up_to_the_longest() -> None:
    """
    After three wrong PINs 30 seconds, then twice as long each time, and never more than an hour.
    """
    expected = [0, 0, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600]

    assert expected == [int(DEFAULT_LIMITS.pause(failures).total_seconds()) for failures in range(1, 12)]


def test_a_pause_is_never_too_long_to_be_written() -> None:
    """
    However many wrong PINs there may be, the pauses double until they are as long as the longest.
    """
    day = timedelta(days=1)
    limits = GuessLimits(free_failures=1, first_pause=day, longest_pause=366 * day, block_after=1000)

    assert [day, 2 * day, 256 * day, 366 * day, 366 * day] == [limits.pause(count) for count in (1, 2, 9, 10, 1000)]


class Trunk:
    """
    A ring of counters as a store keeps it.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.slot = 0
        self.counters = [0] * SLOTS

    def try_at(self, now: int) -> bool:
        """
        Reserve an attempt, and tell whether it may be evaluated.
        """
        ring, emptied = Ingress(self.slot, self.counters).turned(now, timedelta(hours=1))
        for at, count in emptied.items():
            self.counters[at] -= count
        self.slot = ring.slot
        assert ring.counts == self.counters
        if ring.is_full(self.limit):
            return False
        self.counters[ring.position] += 1
        assert self.counters[ring.position] <= ring.ceiling(self.limit)

        return True


@given(st.lists(st.integers(0, HOUR // 4), max_size=120), st.integers(1, 20))
def test_a_ring_lets_no_more_through(steps: Sequence[int], limit: int) -> None:
    """
    In no hour more attempts through an ingress are evaluated than the limit says, and after 65 quiet minutes all are.
    """
    trunk = Trunk(limit)
    made = moments(steps)
    granted = [now for now in made if trunk.try_at(now)]

    assert most_within(granted, HOUR) <= limit
    later = max(made, default=0) + HOUR + HOUR // (SLOTS - 1)
    assert [True] * limit + [False] == [trunk.try_at(later) for _ in range(limit + 1)]


@given(STEPS)
def test_a_ring_does_not_turn_back(steps: Sequence[int]) -> None:
    """
    Where the clock is set back, an ingress goes on counting in its newest slot.
    """
    ring = Ingress(0, [0] * SLOTS)
    for now in moments(steps):
        turned, _ = ring.turned(now, timedelta(hours=1))

        assert turned.slot == max(ring.slot, Ingress.slot_at(now, timedelta(hours=1)))
        ring = turned


def test_a_fixed_hour_would_let_twice_as_much_through() -> None:
    """
    Counting by the hour of the clock, as many systems do, lets nearly twice the limit through around a full hour.
    """
    limit, granted, counts = 5, [], dict[int, int]()
    for now in [HOUR - 5 + second for second in range(5)] + [HOUR + second for second in range(5)]:
        counts[now // HOUR] = counts.get(now // HOUR, 0) + 1
        if counts[now // HOUR] <= limit:
            granted.append(now)

    assert most_within(granted, HOUR) == 2 * limit


@pytest.mark.parametrize(
    "per_minute, usual, expected", [(50, 0, False), (51, 0, True), (51, 6, False), (101, 10, True)]
)
def test_many_failures_alarm(per_minute: float, usual: float, expected: bool) -> None:  # noqa: FBT001
    """
    More than fifty failures a minute alarm, if they are more than ten times as many as usual.
    """
    assert expected == is_alarming(per_minute, usual)
