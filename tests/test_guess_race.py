"""
Processes that guess at the same time, and die meanwhile, have no more evaluated than the limits let through.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from tests import servers
from tests.book_world import MORNING, Clock, DiesAfterCommit, Meddled, killed
from tests.labs.guessing import (
    CONTESTS,
    WRONG,
    Contest,
    Crew,
    Opener,
    ask,
    ask_naively,
    contested,
    faults,
    files,
    issued,
    opened,
    reasons,
)
from voipcard.stores import SQLAlchemyStore, SQLiteStore

PROCESSES = 6
TURNS = 12

BY_NAME = {contest.name: contest for contest in CONTESTS}


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    """
    Give the processes.
    """
    with Crew(PROCESSES) as crew:
        yield crew


@pytest.fixture
def file(tmp_path: Path) -> Opener:
    """
    Give what opens a store in a new file.
    """
    return functools.partial(SQLiteStore, tmp_path / "cards.db")


@pytest.mark.parametrize("name", BY_NAME)
def test_exactly_the_limit_is_evaluated(crew: Crew, file: Opener, name: str) -> None:
    """
    Of many more guesses as many are evaluated as is let through, and nobody is let in who comes afterwards.
    """
    contest = BY_NAME[name]
    contest = contest.wider(36) if contest.hours else contest

    outcome = contested(crew, file, contest, turns=TURNS)

    assert faults(outcome) == []
    assert (outcome.granted, outcome.refused) == (0, PROCESSES * TURNS - contest.limit)


@pytest.mark.parametrize("name", ["card", "source", "ingress", "call"])
def test_whoever_is_killed_gives_nothing_back(crew: Crew, file: Opener, name: str) -> None:
    """
    No more is evaluated where some are killed meanwhile, and one finds the PIN.
    """
    outcome = contested(crew, file, BY_NAME[name].wider(24), turns=TURNS, kills=3, finds=2)

    assert faults(outcome) == []
    assert outcome.granted <= 1


@pytest.mark.parametrize("name", ["card", "ingress"])
def test_the_same_holds_on_a_server(crew: Crew, name: str) -> None:
    """
    The limits hold for processes of many machines.
    """
    if reason := servers.missing("postgresql"):
        pytest.skip(reason)

    with servers.shared("postgresql").database() as url:
        opener = functools.partial(SQLAlchemyStore, url, create=True)
        outcome = contested(crew, opener, BY_NAME[name], turns=TURNS)

    assert faults(outcome) == []


@pytest.mark.parametrize("name", ["card", "source", "ingress", "call"])
def test_reading_before_writing_is_found_out(crew: Crew, name: str) -> None:
    """
    More is evaluated by a guard that reads, compares and counts then (control of the laws above).
    """
    contest = BY_NAME[name]
    outcomes = (contested(crew, opener, contest, guard=ask_naively, turns=TURNS) for opener in files())

    assert any(outcome.evaluated > contest.limit for outcome, _ in zip(outcomes, range(5), strict=False))


def guess_once(contest: Contest, path: Path, code: str, number: int) -> None:
    """
    Guess in a process that does not outlive the commit by which the attempt is reserved.
    """
    with opened(DiesAfterCommit(path), contest, Clock()) as book:
        ask(book, code, WRONG, contest.place(number, 0))


@pytest.mark.parametrize("name", ["card", "source", "call"])
def test_an_attempt_is_used_up_before_it_is_evaluated(tmp_path: Path, name: str) -> None:
    """
    Whoever dies between the commit by which an attempt is reserved and its evaluation has used it up.
    """
    contest, path = BY_NAME[name].wider(5), tmp_path / "cards.db"
    with opened(SQLiteStore(path), contest, Clock()) as book:
        [(code, _)] = issued(book, 1)
    for _ in range(2):
        killed(guess_once, contest, path, code)
    with opened(SQLiteStore(path), contest, Clock()) as book:
        for turn in range(9):
            ask(book, code, WRONG, contest.place(1, turn))

        told = reasons(book)

    assert (told["wrong_pin"], told.total()) == (3, 9)


def test_what_is_tried_while_a_slot_begins_counts() -> None:
    """
    An ingress has its limit also where a slot begins between what one machine reads and what it commits.
    """
    contest, store = BY_NAME["ingress"].wider(3), Meddled()
    early = opened(store, contest, Clock())
    late = opened(store, contest, Clock(MORNING + timedelta(minutes=6)))
    [(code, _)] = issued(early, 1)
    for turn in range(2):
        ask(early, code, WRONG, contest.place(0, turn))
    store.meddle = lambda: ask(early, code, WRONG, contest.place(0, 2))

    for turn in range(3):
        ask(late, f"{10**12 + turn}", WRONG, contest.place(1, turn))

    assert reasons(late) == {"wrong_pin": 3, "too_many_through_ingress": 3}
