"""
Clients work while their database server crashes: what was acknowledged is there, once. `nox -s bank` has more of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import get_args

import pytest

from tests import servers
from tests.labs import bank
from tests.labs.banks import BookBank, NaiveBank
from tests.servers import Kind, Server

KINDS: tuple[Kind, ...] = get_args(Kind)


@contextmanager
def crashing(kind: Kind, *, careless: bool = False) -> Iterator[Server]:
    """
    Start a server that writes its commits to the disk before it acknowledges them, or not, and that can be stopped.
    """
    if reason := servers.missing(kind):
        pytest.skip(reason)
    with bank.STARTS[kind](durable=True, settings=bank.CARELESS[kind] if careless else {}) as server:
        if not server.ours:
            pytest.skip("this server is not ours to stop")
        yield server


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_acknowledged_survives_crashes_of_the_server(kind: Kind) -> None:
    """
    No acknowledged change is lost or doubled, no credit appears or vanishes, and nobody is told wrongly.
    """
    with crashing(kind) as server:
        run = bank.run(server, BookBank, clients=4, stops=2, between=50)

    assert run.faults == dict.fromkeys(run.faults, 0)
    assert len(run.calls) >= 150


@pytest.mark.parametrize("kind", KINDS)
def test_reading_and_writing_back_is_found_out(kind: Kind) -> None:
    """
    The same check finds cards with a wrong credit where a bank reads, computes and writes back.
    """
    if reason := servers.missing(kind):
        pytest.skip(reason)
    with servers.shared(kind).database() as url:
        run = bank.run(Server(kind, url), NaiveBank, clients=4, stops=0, between=400)

    assert run.faults["cards"] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_does_not_flush_is_found_out(kind: Kind) -> None:
    """
    The same check finds acknowledged changes missing where the server keeps commits to itself for a while.
    """
    with crashing(kind, careless=True) as server:
        run = bank.run(server, BookBank, clients=4, stops=4, between=25)

    assert run.faults["lost"] > 0
