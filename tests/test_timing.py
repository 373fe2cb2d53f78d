"""
The laboratory of times: it sees what there is to be seen, and nothing where there is nothing.
"""

from __future__ import annotations

import itertools
import random
from datetime import timedelta

import pytest

from tests.book_world import EXTENSION, Clock, new_book
from tests.labs.timing import CROPPINGS, REASONS, THRESHOLD, book_door, callers, naive_door, table, tried, welch
from voipcard.errors import AccessDeniedError
from voipcard.stores import MemoryStore


def test_each_caller_is_refused_for_its_reason() -> None:
    """
    Whoever is to be refused for a reason is refused for that one.
    """
    clock = Clock()
    with new_book(clock=clock) as book:
        dialed = callers(book, clock, 3)
        for reason, [(code, pin), *_] in dialed.items():
            with pytest.raises(AccessDeniedError):
                book.extension(EXTENSION).authenticate(code, pin=pin, source=reason)

        told = [entry.detail["reason"] for entry in book.audit_trail() if entry.verb == "authenticate"]

    assert sorted(told) == ["disabled", "expired", "locked", "unknown", "wrong_pin"]


def test_every_pair_of_reasons_is_compared() -> None:
    """
    Any two reasons are compared at each cropping, and no answer comes before its time.
    """
    finding = tried("memory", MemoryStore(), book_door, floor=timedelta(milliseconds=1), samples=20, seed=1)

    assert {(row.one, row.other) for row in finding.rows} == set(itertools.combinations(REASONS, 2))
    assert {len(row.values) for row in finding.rows} == {len(CROPPINGS)}
    assert min(finding.medians.values()) >= 1000
    assert all(reason in table([finding]) for reason in REASONS)


def test_a_door_that_refuses_at_once_is_found_out() -> None:
    """
    What refuses unknown codes before it does anything else can be told by the time (control).
    """
    finding = tried("memory", MemoryStore(), naive_door, floor=timedelta(0), samples=400, seed=1)

    assert not finding.is_silent


def test_the_test_sees_differences_and_nothing_else() -> None:
    """
    Equal distributions give a small t, others a large one; it tells which is slower.
    """
    chance = random.Random(1)  # noqa: S311 - it is to be the same again
    one, other, slower = ([round(chance.gauss(mean, 100)) for _ in range(2000)] for mean in (3000, 3000, 3020))

    assert abs(welch(one, other)) < THRESHOLD < welch(one, slower)
    assert welch([5, 5], [5, 5]) == pytest.approx(float("inf"))
