"""
Processes on a database server race for what the license allows: all of it is used, and never more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import pytest

from tests import servers
from tests.book_world import in_processes
from tests.labs.race import CountsFirst, Outcome, Tally, found, outcome, race
from tests.servers import Kind
from voipcard.stores import SQLAlchemyStore

LIMIT = 8
RUNNERS = 3
TURNS = 60


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

    return tallies, outcome(url, tallies)


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
