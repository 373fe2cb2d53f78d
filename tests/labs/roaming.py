"""
Clients of a Galera cluster: each asks its own node, and another one for a while where that one fails.

They count what they met on the way and did not have to know.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

import pymysql  # type: ignore[import-untyped]
import sqlalchemy

from tests.book_world import OTHER
from tests.labs.bank import Call, asked, drawn, is_enough
from tests.labs.banks import BookBank
from voipcard.errors import DuplicateError, StaleError, StoreError
from voipcard.stores import Changes, SQLAlchemyStore

__all__ = ["Job", "Meter", "Roamer", "added", "meter_of", "serve"]

T = TypeVar("T")

AWAY: Final = 3.0
"""For how many seconds a client stays away from a node that failed."""


class Meter(NamedTuple):
    """
    What a client met that it did not have to know.

    Attributes:
        errors: What the nodes said, by where it was: `COMMIT` or `before`, and the number.
        stale: How often something was read and decided again, because others had changed it.
        row: How often in a row at most.
    """

    errors: Counter[str]
    stale: int
    row: int


class Metered(pymysql.Connection):  # type: ignore[misc]
    """
    A connection that counts the errors of its node, and those apart that came with a COMMIT.
    """

    errors: Counter[str]

    def query(self, sql: Any, unbuffered: bool = False) -> Any:  # noqa: ANN401, FBT001, FBT002 - as PyMySQL has it
        """
        Send a statement.
        """
        with self._counted("before"):
            return super().query(sql, unbuffered)

    def commit(self) -> None:
        """
        Commit.
        """
        with self._counted("COMMIT"):
            super().commit()

    @contextlib.contextmanager
    def _counted(self, where: str) -> Iterator[None]:
        try:
            yield
        except pymysql.MySQLError as error:
            self.errors[f"{where} {error.args[0]}"] += 1
            raise


class MeteredStore(SQLAlchemyStore):
    """
    A store on one node that counts.

    Args:
        url: The address of the node.
    """

    def __init__(self, url: str) -> None:
        self.errors: Counter[str] = Counter()
        self.stale = self.row = self.worst = 0
        engine = sqlalchemy.create_engine(url, creator=self._connection)
        _, self._arguments = engine.dialect.create_connect_args(engine.url)
        super().__init__(engine)

    def commit(self, changes: Changes) -> None:
        """
        Commit, and count what was decided too late.
        """
        try:
            super().commit(changes)
        except (StaleError, DuplicateError):
            self.stale += 1
            self.row += 1
            self.worst = max(self.worst, self.row)
            raise
        self.row = 0

    def _connection(self) -> Metered:
        connection = Metered(**self._arguments, defer_connect=True)
        connection.errors = self.errors
        connection.connect()

        return connection


# Clients


class Roamer:
    """
    A client that asks one node, and for a while another one where that one fails.

    Args:
        urls: The addresses of the nodes.

        home: Which of them it asks as long as that answers.
    """

    def __init__(self, urls: Sequence[str], home: int) -> None:
        self._urls: Final = urls
        self._home: Final = home
        self._at = home
        self._until = 0.0
        self._banks: dict[int, tuple[MeteredStore, BookBank]] = {}

    def recharge(self, order: str, card: str, amount: int) -> bool:
        """
        Recharge a card.
        """
        return self._ask(lambda bank: bank.recharge(order, card, amount))

    def transfer(self, order: str, source: str, target: str, amount: int) -> bool:
        """
        Transfer credit.
        """
        return self._ask(lambda bank: bank.transfer(order, source, target, amount))

    def add(self, order: str, code: str, into: list[str]) -> bool:
        """
        Add a code.
        """

        def add(bank: BookBank) -> bool:
            batch = bank.book.extension(OTHER).add(code, operation=order)
            into.append(batch[0].serial)
            return batch.replayed

        return self._ask(add)

    def remove(self, order: str, serial: str) -> bool:
        """
        Remove a card.
        """
        self._ask(lambda bank: bank.book.extension(OTHER).remove(serial, operation=order))

        return False

    def meter(self) -> Meter:
        """
        Give what was counted.
        """
        stores = [store for store, _ in self._banks.values()]

        return Meter(
            sum((store.errors for store in stores), Counter()),
            sum(store.stale for store in stores),
            max(store.worst for store in stores),
        )

    def _ask(self, ask: Callable[[BookBank], T]) -> T:
        if time.monotonic() > self._until:
            self._at = self._home
        try:
            if self._at not in self._banks:
                store = MeteredStore(self._urls[self._at])
                self._banks[self._at] = store, BookBank(store)
            return ask(self._banks[self._at][1])
        except StoreError:
            self._at = (self._at + 1) % len(self._urls)
            self._until = time.monotonic() + AWAY
            raise


class Job(NamedTuple):
    """
    What clients are to do.

    Attributes:
        urls: The addresses of the nodes.
        homes: At how many of them clients are at home.
        cards: The cards whose credit they change.
        part: What the names of their orders begin with, so that they are others than before.
    """

    urls: Sequence[str]
    homes: int
    cards: Sequence[str]
    part: int = 0


def serve(job: Job, folder: Path, number: int) -> None:
    """
    Be a client until it is enough.
    """
    logging.disable()  # Each node that is gone would be told of by each client.
    chance = random.Random(number)  # noqa: S311 - it is to be the same again
    roamer = Roamer(job.urls, number % job.homes)
    active: list[str] = []
    with (folder / f"{number}.calls").open("w", encoding="utf-8") as file:
        for turn in itertools.count():
            if is_enough(folder):
                break
            order, code = f"{job.part}-{number}-{turn}", f"{job.part:02}{number:02}{turn:09}"
            if chance.random() < 0.8:
                call = drawn(roamer, order, job.cards, chance)
            elif active and chance.random() < 0.4:
                call = Call(order, [], -1, *asked(functools.partial(roamer.remove, order, active.pop())))
            else:
                call = Call(order, [], 1, *asked(functools.partial(roamer.add, order, code, active)))
            file.write(f"{json.dumps(call)}\n")
            file.flush()
    (folder / f"{number}.meter").write_text(json.dumps(roamer.meter()))


def meter_of(folder: Path) -> Meter:
    """
    Add up what the clients counted.
    """
    meters = [json.loads(path.read_text("utf-8")) for path in folder.glob("*.meter")]

    return functools.reduce(added, (Meter(Counter(errors), stale, row) for errors, stale, row in meters))


def added(one: Meter, other: Meter) -> Meter:
    """
    Add what two counted.
    """
    return Meter(one.errors + other.errors, one.stale + other.stale, max(one.row, other.row))
