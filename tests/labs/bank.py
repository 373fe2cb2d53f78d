"""
A bank on a database server that crashes again and again: what was acknowledged is there, once, and nothing besides.

`nox -s bank` lets sixteen processes work on twenty cards while the server is stopped five times: with all
that has to be found out, it takes ten minutes.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import json
import logging
import multiprocessing
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

import attrs

from tests import servers
from tests.book_world import PATIENCE
from tests.labs.banks import BookBank, Change, NaiveBank, OpenBank, Statement, Teller
from tests.servers import Kind, Server
from voipcard.errors import InsufficientCreditError, QuotaExceededError, StoreError

__all__ = [
    "CARDS",
    "CARELESS",
    "CREDIT",
    "STARTS",
    "Call",
    "Run",
    "asked",
    "at_work",
    "calls_in",
    "drawn",
    "is_enough",
    "main",
    "run",
    "table",
    "wait_for",
    "wait_until",
]

CARDS: Final = 20
CREDIT: Final = 100
"""How many cards there are, and what is on each at first: little enough that some transfers are refused."""

CARELESS: Final[Mapping[Kind, Mapping[str, str]]] = {
    "postgresql": {"synchronous_commit": "off", "wal_writer_delay": "1s"},
    "mariadb": {"innodb-flush-log-at-trx-commit": "0"},
}
"""Settings with which a server acknowledges what it has not written yet, so that a crash loses it."""

Ask: TypeAlias = Callable[[], bool]

_CONTEXT: Final = multiprocessing.get_context("forkserver")

_ENOUGH: Final = "enough"
"""The file that tells the clients to come to an end."""


class Call(NamedTuple):
    """
    Something that a client asked for, again and again until it was answered.

    Attributes:
        order: Its name.
        cards: The card; or two, of which the first gives to the second; or none, where no credit is changed.
        amount: What was to be added, or moved; or how many more cards are active.
        answer: `done`, `known` if the order had been done before the answer came, or `refused`.
        failures: For each time that it failed whether it might have been applied.
    """

    order: str
    cards: Sequence[str]
    amount: int
    answer: Literal["done", "known", "refused"]
    failures: Sequence[bool]

    def changes(self) -> list[Change]:
        """
        Tell what has to be in the histories.
        """
        if self.answer == "refused" or not self.cards:
            return []
        if len(self.cards) == 1:
            return [Change(self.order, self.cards[0], self.amount)]

        return [Change(self.order, self.cards[0], -self.amount), Change(self.order, self.cards[1], self.amount)]


@attrs.frozen
class Run:
    """
    What became of one run.

    Attributes:
        name: What was tried.
        clients: How many processes asked.
        stops: How often the server was stopped.
        seconds: How long it took, from the first answers on.
        calls: What was asked for.
        statement: What the bank had in the end.
    """

    name: str
    clients: int
    stops: int
    seconds: float
    calls: Sequence[Call]
    statement: Statement

    @property
    def faults(self) -> dict[str, int]:
        """
        Count what is wrong; all is well if every number is 0.

        That is: changes that were acknowledged and are not there, and the reverse; the lowest credit, if it is
        negative; cards that have another credit than was acknowledged; by how much the total is wrong; what the bank
        finds itself; and who was told that nothing had been applied, although it had.
        """
        acknowledged = Counter(change for call in self.calls for change in call.changes())
        changed: Counter[str] = Counter()
        for change in acknowledged.elements():
            changed[change.card] += change.amount
        found = Counter(self.statement.changes)
        given = sum(call.amount for call in self.calls if len(call.cards) == 1 and call.answer != "refused")

        return {
            "lost": (acknowledged - found).total(),
            "doubled": (found - acknowledged).total(),
            "negative": min(self.statement.lowest, *self.statement.credits.values(), 0),
            "cards": sum(there != CREDIT + changed[card] for card, there in self.statement.credits.items()),
            "total": sum(self.statement.credits.values()) - CARDS * CREDIT - given,
            "findings": self.statement.findings,
            "mistold": sum(call.answer == "known" and not any(call.failures) for call in self.calls),
        }

    @property
    def is_right(self) -> bool:
        """
        Whether nothing is wrong.
        """
        return not any(self.faults.values())


# Clients


def serve(open_bank: OpenBank, cards: Sequence[str], folder: Path, number: int) -> None:
    """
    Be a client: ask for one thing after another, and write down what was answered, until it is enough.
    """
    logging.disable()  # What SQLAlchemy says of every connection that a crash breaks would bury the table.
    chance = random.Random(number)  # noqa: S311 - it is to be the same again
    with contextlib.closing(open_bank()) as bank, (folder / f"{number}.calls").open("w", encoding="utf-8") as file:
        for turn in itertools.count():
            if is_enough(folder):
                return
            file.write(f"{json.dumps(drawn(bank, f'{number}-{turn}', cards, chance))}\n")
            file.flush()


def drawn(teller: Teller, order: str, cards: Sequence[str], chance: random.Random) -> Call:
    """
    Recharge a card, take credit from it, or move credit to another, as chance will have it.
    """
    if chance.random() < 0.5:
        card, amount = chance.choice(cards), chance.choice([*range(-9, 0), *range(1, 10)])
        return Call(order, [card], amount, *asked(functools.partial(teller.recharge, order, card, amount)))
    source, target = chance.sample(cards, 2)
    amount = chance.randint(1, CREDIT)
    ask = functools.partial(teller.transfer, order, source, target, amount)

    return Call(order, [source, target], amount, *asked(ask))


def asked(ask: Ask) -> tuple[Literal["done", "known", "refused"], list[bool]]:
    """
    Ask until there is an answer, and give it with whether each failure may have been applied.
    """
    failures: list[bool] = []
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return "known" if ask() else "done", failures
        except (InsufficientCreditError, QuotaExceededError):
            return "refused", failures
        except StoreError as error:
            failures.append(error.maybe_applied)
            if time.monotonic() > end:
                raise
        time.sleep(0.02)


@contextlib.contextmanager
def at_work(work: Callable[..., None], *arguments: object, folder: Path, times: int) -> Iterator[Callable[[], int]]:
    """
    Let so many processes work until the end of the block, and give what tells how many calls were answered so far.

    The block begins when each of them has had an answer.
    """
    processes = [
        _CONTEXT.Process(target=work, args=(*arguments, folder, number), daemon=True) for number in range(times)
    ]
    for process in processes:
        process.start()

    def counts() -> list[int]:
        assert all(process.is_alive() for process in processes), "a client has failed"

        return [path.read_bytes().count(b"\n") for path in folder.glob("*.calls")]

    try:
        wait_until(lambda: sum(map(bool, counts())) == times)
        yield lambda: sum(counts())
    finally:
        (folder / _ENOUGH).touch()
        for process in processes:
            process.join(PATIENCE)
            process.kill()
            process.join()
    assert [process.exitcode for process in processes] == [0] * times, "a client has failed"


def is_enough(folder: Path) -> bool:
    """
    Tell whether the clients are to come to an end.
    """
    return (folder / _ENOUGH).exists()


def wait_until(is_so: Callable[[], bool]) -> None:
    """
    Wait until something is so, and a moment longer.
    """
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end, "the clients get no answers any more"
        time.sleep(random.uniform(0.01, 0.05))  # noqa: S311 - any moment


def wait_for(more: int, answered: Callable[[], int]) -> None:
    """
    Wait until so many more calls are answered.
    """
    enough = answered() + more
    wait_until(lambda: answered() >= enough)


def calls_in(folder: Path) -> list[Call]:
    """
    Read what the clients wrote down.
    """
    return [Call(*json.loads(line)) for path in folder.glob("*.calls") for line in path.read_text("utf-8").splitlines()]


# The laboratory


def run(
    server: Server, bank: type[BookBank | NaiveBank], *, clients: int, stops: int, between: int, name: str = ""
) -> Run:
    """
    Let clients work, and the server crash each time that so many more calls are answered.
    """
    open_bank = functools.partial(bank, server.url)
    with contextlib.closing(open_bank()) as opened:
        cards = opened.issue(CARDS, CREDIT)
    if stops:  # A server that does not flush is to lose what is asked for now, and not the cards.
        server.stop(immediate=False)
        server.start()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with at_work(serve, open_bank, cards, folder=folder, times=clients) as answered:
            begin = time.monotonic()
            for _ in range(stops):
                wait_for(between, answered)
                server.stop(immediate=True)
                server.start()
            wait_for(between, answered)
            seconds = time.monotonic() - begin
        calls = calls_in(folder)
    with contextlib.closing(open_bank()) as opened:
        return Run(name, clients, stops, seconds, calls, opened.statement())


def table(runs: Sequence[Run]) -> str:
    """
    Say for each run how much was asked for, and what was wrong.
    """
    names = list(runs[0].faults)
    counts = ["clients", "stops", "calls", "a second", "refused", "failed", "unknown", "applied"]
    lines = [f"{'':<34}" + "".join(f"{name:>9}" for name in [*counts, *names])]
    for each in runs:
        failures = [failure for call in each.calls for failure in call.failures]
        numbers = [
            each.clients,
            each.stops,
            len(each.calls),
            round(len(each.calls) / each.seconds),
            sum(call.answer == "refused" for call in each.calls),
            len(failures),
            sum(failures),
            sum(call.answer == "known" for call in each.calls),
            *each.faults.values(),
        ]
        lines.append(f"{each.name:<34}" + "".join(f"{number:>9,}" for number in numbers))

    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command, and give its exit status: 1 if a book was wrong, or nothing was seen of a bank that is.
    """
    options = _parser().parse_args(arguments)
    books, controls = [], []
    for kind, start in STARTS.items():
        tried = functools.partial(run, clients=options.clients, between=options.between)
        with start(durable=True) as server:
            books.append(tried(server, BookBank, stops=options.stops, name=f"{server.name}, book"))
            controls.append(tried(server, NaiveBank, stops=options.stops, name=f"{server.name}, read then write"))
        for attempt in range(options.tries):
            with start(durable=True, settings=CARELESS[kind]) as server:
                name = f"{server.name}, not flushed, try {attempt + 1}"
                controls.append(tried(server, BookBank, stops=options.stops, name=name))
    sys.stdout.write(f"{table([*books, *controls])}\n")

    return 0 if all(each.is_right for each in books) and not any(each.is_right for each in controls) else 1


STARTS: Final[Mapping[Kind, Callable[..., contextlib.AbstractContextManager[Server]]]] = {
    "postgresql": servers.postgresql,
    "mariadb": servers.mariadb,
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nox -s bank --", description="Crash the server of a bank.")
    parser.add_argument("--clients", type=int, default=16, help="how many processes ask (%(default)s)")
    parser.add_argument("--stops", type=int, default=5, help="how often the server crashes (%(default)s)")
    parser.add_argument("--between", type=int, default=1500, help="after how many calls each time (%(default)s)")
    parser.add_argument("--tries", type=int, default=3, help="how often to try what is not flushed (%(default)s)")

    return parser


if __name__ == "__main__":
    sys.exit(main())
