"""
A race for the last of what a signed license allows: processes that add, enable, disable and remove cards at once.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Final, NamedTuple

import attrs

from tests.book_world import LAX, MORNING, OTHER, book_on
from voipcard import CardBook, SigningKey, issue_license
from voipcard.core.query import CardQuery
from voipcard.errors import CeilingError, QuotaExceededError
from voipcard.stores import Changes, SQLAlchemyStore, SQLiteStore, Store

__all__ = ["CountsFirst", "FileCountsFirst", "Outcome", "Runner", "Tally", "found", "outcome", "race"]

VENDOR: Final = SigningKey("vendor-2026", bytes(range(32)))
"""Who signs the license of a race."""


class CountsFirst(SQLAlchemyStore):
    """
    A store that counts the active cards, compares, and commits then: what somebody writes who trusts in being quick.
    """

    def commit(self, changes: Changes) -> None:
        """
        Look first whether the counters may rise, and commit without looking again.
        """
        super().commit(_counted(self, changes))


class FileCountsFirst(SQLiteStore):
    """
    The same in a file.
    """

    def commit(self, changes: Changes) -> None:
        """
        Look first whether the counters may rise, and commit without looking again.
        """
        super().commit(_counted(self, changes))


def _counted(store: Store, changes: Changes) -> Changes:
    for key, delta, ceiling in changes.counters:
        active = store.count(CardQuery(enabled=True))
        if ceiling is not None and delta > 0 and active + delta > ceiling:
            raise CeilingError(counters=((key, active),))
    time.sleep(0.02)
    counters = [change._replace(ceiling=None) for change in changes.counters]

    return attrs.evolve(changes, counters=counters, require=())


class Tally(NamedTuple):
    """
    What one runner was allowed.

    Attributes:
        more: How many cards it made active.
        fewer: How many it made inactive.
        peak: How many were enabled at most, of whomever, whenever it looked.
        refused: How often the license did not allow it.
        wrong: Refusals that do not say what is so.
    """

    more: int
    fewer: int
    peak: int
    refused: int
    wrong: list[str]


class Outcome(NamedTuple):
    """
    What is left after a race.

    Attributes:
        active: What the counter says.
        enabled: How many cards are enabled.
        balance: How many were made active and not inactive again, as the runners tell it.
        findings: What verification finds.
    """

    active: int
    enabled: int
    balance: int
    findings: list[tuple[str, str]]


class Runner:
    """
    Somebody who has cards of its own, and wants more.

    Args:
        book: The book.

        number: What its codes begin with, and what its chance depends on.
    """

    def __init__(self, book: CardBook, number: int) -> None:
        self._extension: Final = book.extension(OTHER)
        self._number: Final = number
        self._chance: Final = random.Random(number)  # noqa: S311 - it is to be the same again
        self._active: list[str] = []
        self._idle: list[str] = []
        self._made = self._more = self._fewer = self._peak = self._refused = 0
        self._wrong: list[str] = []

    def run(self, turns: int) -> Tally:
        """
        Do this and that, and in the end take all that is left.

        Whoever frees something takes what is left later on: so after the last of them nothing is left.
        """
        for _ in range(turns):
            self._chance.choice([self._add, self._add, self._add_idle, self._enable, self._disable, self._remove])()
        while self._add():
            pass

        return Tally(self._more, self._fewer, self._peak, self._refused, self._wrong)

    def _add(self) -> bool:
        return self._rises(lambda: self._active.append(self._new(enabled=True)))

    def _add_idle(self) -> None:
        self._idle.append(self._new(enabled=False))

    def _new(self, *, enabled: bool) -> str:
        self._made += 1
        [handout] = self._extension.add(f"{self._number}{self._made:09}", enabled=enabled)

        return handout.serial

    def _enable(self) -> None:
        def enable() -> None:
            self._extension.enable(self._idle[-1])
            self._active.append(self._idle.pop())

        if self._idle:
            self._rises(enable)

    def _rises(self, act: Callable[[], None]) -> bool:
        try:
            act()
        except QuotaExceededError as error:
            self._refused += 1
            if (error.limit, error.requested) != (error.active, 1):
                self._wrong.append(str(error))
            return False
        self._more += 1
        self._peak = max(self._peak, self._extension.count(enabled=True))

        return True

    def _disable(self) -> None:
        if self._active:
            self._extension.disable(self._active[-1])
            self._idle.append(self._active.pop())
            self._fewer += 1

    def _remove(self) -> None:
        if self._active:
            self._extension.remove(self._active[-1])
            self._active.pop()
            self._fewer += 1


def found(store: Store, limit: int) -> None:
    """
    Make the book of a race.
    """
    with book_on(store, policy=LAX, license_keys=[VENDOR.verify_key]) as book:
        now = MORNING
        book.install_license(
            issue_license(
                VENDOR,
                customer="ACME",
                max_active_codes=limit,
                book_id=book.id,
                not_before=now,
                expires_at=now + timedelta(days=365),
                issued_at=now,
            )
        )


def race(store: Callable[[str], Store], url: str, turns: int, number: int) -> Tally:
    """
    Be one of the runners.
    """
    with book_on(store(url), policy=LAX, license_keys=[VENDOR.verify_key]) as book:
        return Runner(book, number).run(turns)


def outcome(store: Store, tallies: list[Tally]) -> Outcome:
    """
    Look what is left.
    """
    with book_on(store, policy=LAX, license_keys=[VENDOR.verify_key]) as book:
        return Outcome(
            book.quota.active,
            book.extension(OTHER).count(enabled=True),
            sum(tally.more - tally.fewer for tally in tallies),
            [(finding.subject, finding.part) for finding in book.verify().findings],
        )
