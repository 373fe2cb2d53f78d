"""
Processes that are killed hold, charge and recharge the same cards, and nothing is lost. `nox -s calls` has more of it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from tests import servers
from tests.labs import calls
from tests.labs.calls import Forgetful, ForgetfulFile, Opener
from tests.labs.journal import Account, Answer, Ask, Entry, Step, Verb, faults
from voipcard.stores import SQLAlchemyStore, SQLiteStore

KINDS = ["sqlite", "postgresql"]

ONE = 1_000_000


@contextmanager
def empty_store(kind: str, folder: Path, *, is_forgetful: bool = False) -> Iterator[Opener]:
    """
    Give what opens a store in a new file, or in a new database.
    """
    if kind == "sqlite":
        yield functools.partial(ForgetfulFile if is_forgetful else SQLiteStore, folder / "cards.db")
        return
    if reason := servers.missing("postgresql"):
        pytest.skip(reason)
    with servers.shared("postgresql").database() as url:
        yield functools.partial(Forgetful if is_forgetful else SQLAlchemyStore, url, create=True)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_with_who_is_killed(kind: str, tmp_path: Path) -> None:
    """
    Whoever is killed leaves no charge out, doubles none, and leaves nothing reserved; no card is overdrawn.
    """
    with empty_store(kind, tmp_path) as opener:
        run = calls.run(opener, clients=4, seconds=2, every=0.4, size=4)

    assert run.faults == dict.fromkeys(run.faults, 0)
    assert run.kills >= 3
    assert run.figures["charges"] > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_store_that_ignores_versions_is_found_out(kind: str, tmp_path: Path) -> None:
    """
    The same check finds cards that somebody has written back as they were before (control of the law above).
    """
    with empty_store(kind, tmp_path, is_forgetful=True) as opener:
        run = calls.run(opener, clients=4, seconds=2, every=1, size=2)

    assert not run.is_right


# What the check finds, fault by fault

INITIAL = Entry("A", 1, "initial", "", 10 * ONE, 0, 10 * ONE, 0, 50, is_rated=False)
CHARGE = Entry("A", 2, "charge", "h", -3 * ONE, 0, 7 * ONE, 0, 125, is_rated=False)
HOLD = Step(Ask("0", 100, "hold", "A", "op"), Answer(110, "done", hold="h", amount=4 * ONE, expires_at=200))
CAPTURE = Step(
    Ask("1", 120, "capture", "A", "h", 3 * ONE),
    Answer(130, "done", amount=-3 * ONE, sequence=2, credit_left=7 * ONE),
)
ACCOUNT = Account(10 * ONE, 1, [HOLD, CAPTURE], {"A": 7 * ONE}, [INITIAL, CHARGE])
"""A card with 10.00 that may have one hold at a time: 4.00 were held, and 3.00 of it taken."""


def another(at: int, amount: int) -> Step:
    """
    Tell of another hold on the same card.
    """
    answer = Answer(at + 1, "done", hold="i", amount=amount, expires_at=200)

    return Step(Ask("2", at, "hold", "A", "op-2", amount), answer)


def told(verb: Verb, subject: str, outcome: str) -> Step:
    """
    Tell of a step that was answered while the hold was there.
    """
    return Step(Ask("2", 112, verb, "A", subject), Answer(115, outcome))


def test_what_is_well_has_no_faults() -> None:
    """
    Nothing is found where nothing is wrong.
    """
    assert not any(faults(ACCOUNT).values())


@pytest.mark.parametrize(
    "account,name",
    [
        (attrs.evolve(ACCOUNT, entries=[INITIAL]), "lost"),
        (attrs.evolve(ACCOUNT, entries=[INITIAL, CHARGE, CHARGE]), "doubled"),
        (attrs.evolve(ACCOUNT, steps=[HOLD]), "doubled"),
        (attrs.evolve(ACCOUNT, entries=[INITIAL, CHARGE._replace(credit_left=-1)]), "negative"),
        (attrs.evolve(ACCOUNT, entries=[INITIAL, CHARGE._replace(held_left=8 * ONE)]), "overheld"),
        (attrs.evolve(ACCOUNT, credits={"A": 8 * ONE}), "cards"),
        (attrs.evolve(ACCOUNT, steps=[HOLD, another(112, ONE), CAPTURE]), "crowded"),
        (attrs.evolve(ACCOUNT, steps=[HOLD, CAPTURE, another(140, 8 * ONE)]), "overspent"),
        (attrs.evolve(ACCOUNT, entries=[INITIAL, CHARGE._replace(amount=-ONE, shortfall=2 * ONE)]), "short"),
        (attrs.evolve(ACCOUNT, steps=[HOLD, told("extend", "h", "UnknownHoldError"), CAPTURE]), "vanished"),
        (attrs.evolve(ACCOUNT, steps=[HOLD, told("release", "x", "replayed"), CAPTURE]), "mistold"),
        (attrs.evolve(ACCOUNT, steps=[HOLD, told("release", "x", "OperationConflictError"), CAPTURE]), "mistold"),
        (attrs.evolve(ACCOUNT, steps=[HOLD, CAPTURE._replace(answer=Answer(130, "StoreBusyError"))]), "mistold"),
    ],
)
def test_each_fault_is_found(account: Account, name: str) -> None:
    """
    An account in which one thing is wrong has that fault.
    """
    assert faults(account)[name] > 0
