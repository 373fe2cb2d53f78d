"""
Processes race for what a signed license allows, in a file and on database servers: all of it is used, and never more.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from tests import servers
from tests.book_world import in_processes
from tests.labs.race import CountsFirst, FileCountsFirst, Outcome, Tally, found, outcome, race
from tests.servers import Kind
from voipcard.stores import SQLAlchemyStore, SQLiteStore

LIMIT = 8
RUNNERS = 3
TURNS = 60

MANY = 16
"""How many runners there are where each costs little."""

FEW_TURNS = 12


@pytest.fixture(params=get_args(Kind))
def url(request: pytest.FixtureRequest) -> Iterator[str]:
    """
    Give the address of a database in which a book with a license is.
    """
    kind: Kind = request.param
    if reason := servers.missing(kind):
        pytest.skip(reason)
    with servers.shared(kind).database() as address:
        found(SQLAlchemyStore(address, create=True), LIMIT)
        yield address


def raced(store: type[SQLAlchemyStore], url: str) -> tuple[list[Tally], Outcome]:
    """
    Let them race, and give what each tells and what is left.
    """
    tallies = in_processes(race, store, url, TURNS, times=RUNNERS)

    return tallies, outcome(SQLAlchemyStore(url), tallies)


def test_exactly_the_limit_is_active(url: str) -> None:
    """
    Whatever is added, enabled, disabled and removed meanwhile, never more than the limit is active, and in the end all.

    And whoever is refused is told so at the limit, by a `QuotaExceededError`.
    """
    tallies, left = raced(SQLAlchemyStore, url)

    assert left == Outcome(LIMIT, LIMIT, LIMIT, [])
    assert max(tally.peak for tally in tallies) == LIMIT
    assert [tally.wrong for tally in tallies] == [[]] * RUNNERS
    assert all(tally.refused and tally.fewer for tally in tallies)


def test_counting_first_is_found_out(url: str) -> None:
    """
    The same race goes beyond the limit where a store counts and then commits.
    """
    tallies, _ = raced(CountsFirst, url)

    assert max(tally.peak for tally in tallies) > LIMIT


def raced_in_a_file(store: type[SQLiteStore], path: Path) -> tuple[list[Tally], Outcome]:
    """
    Let sixteen processes race in one file.
    """
    found(SQLiteStore(path), LIMIT)
    tallies = in_processes(race, store, str(path), FEW_TURNS, times=MANY)

    return tallies, outcome(SQLiteStore(path), tallies)


def test_sixteen_processes_share_one_license(tmp_path: Path) -> None:
    """
    However many processes want the same few places at the same time, exactly as many codes as there are get active.
    """
    tallies, left = raced_in_a_file(SQLiteStore, tmp_path / "cards.db")

    assert left == Outcome(LIMIT, LIMIT, LIMIT, [])
    assert max(tally.peak for tally in tallies) == LIMIT
    assert [tally.wrong for tally in tallies] == [[]] * MANY
    assert all(tally.refused for tally in tallies)


def test_sixteen_processes_that_count_first_are_found_out(tmp_path: Path) -> None:
    """
    The same race goes beyond the limit where each counts and then commits.
    """
    tallies, _ = raced_in_a_file(FileCountsFirst, tmp_path / "cards.db")

    assert max(tally.peak for tally in tallies) > LIMIT
