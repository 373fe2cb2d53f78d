"""
Processes that hold, charge and recharge the credit of the same cards, and are killed meanwhile: nothing is lost.

`nox -s calls` lets sixteen processes work on twenty cards in a file, and then on PostgreSQL, for a minute each; one of
them is killed every 200 milliseconds. Beside it stand stores that ignore the versions of cards.
"""

from __future__ import annotations

import argparse
import functools
import logging
import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Final, TypeAlias

import attrs

from tests import servers
from tests.book_world import EXTENSION, LAX, PATIENCE, book_on, engine_of
from tests.labs.callers import DESTINATION, SECOND, Client, now, stop
from tests.labs.journal import ENDS, Account, Ask, Entry, faults, steps_in
from voipcard import CardBook, Credit, Extension, Rate, RateDeck, Tariff
from voipcard.core.holds import Hold, unpacked
from voipcard.core.ledger import LedgerEntry
from voipcard.core.moments import to_micros
from voipcard.core.query import CardQuery, EntryQuery
from voipcard.errors import CallEndedError, StaleError, VoipcardError
from voipcard.stores import CardRecord, Changes, SQLAlchemyStore, SQLiteStore, Store

__all__ = ["Forgetful", "ForgetfulFile", "Opener", "Run", "main", "run", "table"]

Opener: TypeAlias = Callable[[], Store]

CARDS: Final = 20
CREDIT: Final = Credit(20)
"""How many cards there are, and what is on each at first: so little that many are refused."""

LIMIT: Final = 2
"""How many calls a card may have at a time."""

_CONTEXT: Final = multiprocessing.get_context("forkserver")


class Forgetful(SQLAlchemyStore):
    """
    A store that writes cards whatever version they have: what somebody writes who reads, computes and writes back.
    """

    def commit(self, changes: Changes) -> None:
        """
        Expect of each card the version that it has by now.
        """
        _insist(super().commit, self, changes)


class ForgetfulFile(SQLiteStore):
    """
    The same in a file.
    """

    def commit(self, changes: Changes) -> None:
        """
        Expect of each card the version that it has by now.
        """
        _insist(super().commit, self, changes)


def _insist(commit: Callable[[Changes], None], store: Store, changes: Changes) -> None:
    while True:
        versions = {card.id: card.version for card in store.find_many(ids=[card.id for card, _ in changes.replace])}
        replace = [(card, versions[card.id]) for card, _ in changes.replace]
        try:
            commit(attrs.evolve(changes, replace=replace))
        except StaleError as error:
            if not error.cards:
                raise
        else:
            return


@attrs.frozen
class Run:
    """
    What became of one run.

    Attributes:
        name: What was tried.
        clients: How many processes worked at a time.
        kills: How many of them were killed.
        seconds: For how long they worked.
        account: What they wrote down, and what the ledger has.
        stuck: On how many cards something was held after all holds had run out and been freed.
        uneven: On how many cards something else was held than the sum of their holds.
        again: Whether somebody who asked again was answered otherwise.
        findings: What the book finds wrong with itself.
    """

    name: str
    clients: int
    kills: int
    seconds: float
    account: Account
    stuck: int
    uneven: int
    again: bool
    findings: int

    @property
    def faults(self) -> dict[str, int]:
        """
        Count what is wrong; all is well if every number is 0.
        """
        own = {"stuck": self.stuck, "uneven": self.uneven, "again": self.again, "findings": self.findings}

        return {**faults(self.account), **own}

    @property
    def is_right(self) -> bool:
        """
        Whether nothing is wrong.
        """
        return not any(self.faults.values())

    @property
    def figures(self) -> dict[str, int]:
        """
        Count what was done.
        """
        steps = self.account.steps
        outcomes = [step.answer.outcome for step in steps if step.answer]

        return {
            "clients": self.clients,
            "kills": self.kills,
            "unknown": sum(step.answer is None for step in steps),
            "steps": len(steps),
            "a second": round(len(steps) / self.seconds),
            "refused": sum(outcome not in {"done", "replayed"} for outcome in outcomes),
            "replayed": outcomes.count("replayed"),
            "charges": sum(entry.kind == "charge" for entry in self.account.entries),
            "in part": sum(entry.shortfall > 0 for entry in self.account.entries),
        }


# Processes


def _work(opener: Opener, folder: Path, cards: Sequence[str], number: int, life: int) -> None:
    logging.disable()  # What SQLAlchemy says of connections that break would bury the table.
    with _opened(opener) as book:
        Client(book, folder, cards, number, life).run()


def _opened(opener: Opener) -> CardBook:
    return book_on(opener(), clock=now, policy=LAX)


def _started(*work: object) -> BaseProcess:
    process = _CONTEXT.Process(target=_work, args=work, daemon=True)
    process.start()

    return process


def _killed(opener: Opener, folder: Path, cards: Sequence[str], *, clients: int, seconds: float, every: float) -> int:
    """
    Let clients work for so long, kill one of them now and then, let another go on in its place, and count the kills.
    """
    lives = [0] * clients
    processes = [_started(opener, folder, cards, number, 0) for number in range(clients)]
    try:
        _wait_until(lambda: len(list(folder.glob("*.journal"))) == clients)
        begin = time.monotonic()
        kills = 0
        while (passed := time.monotonic() - begin) < seconds:
            time.sleep(max(0.0, (kills + 1) * every - passed))
            number = random.randrange(clients)  # noqa: S311 - any of them
            assert processes[number].is_alive(), "a client has failed"
            processes[number].kill()
            processes[number].join()
            kills, lives[number] = kills + 1, lives[number] + 1
            processes[number] = _started(opener, folder, cards, number, lives[number])
        stop(folder)
        for process in processes:
            process.join(PATIENCE)
    finally:
        for process in processes:
            process.kill()
            process.join()
    assert [process.exitcode for process in processes] == [0] * clients, "a client has failed"

    return kills


def _wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < end, "the clients do not begin"
        time.sleep(0.01)


# The laboratory


def run(opener: Opener, *, clients: int, seconds: float, every: float, size: int = CARDS, name: str = "") -> Run:
    """
    Let clients work in a new book, kill some of them, and look what is left.

    Args:
        opener: Opens the store; it is empty.

        clients: How many processes work at a time.

        seconds: For how long.

        every: After how many seconds one of them is killed each time.

        size: How many cards there are.

        name: What is tried.
    """
    with _opened(opener) as book:
        extension = book.extension(EXTENSION)
        tariff = Tariff(price=Credit.from_micros(SECOND), per=1)
        book.install_deck(RateDeck([Rate(DESTINATION[:2], tariff)]))
        extension.configure(concurrent_calls=LIMIT)
        cards = [handout.serial for handout in extension.generate(size, credit=CREDIT)]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        kills = _killed(opener, folder, cards, clients=clients, seconds=seconds, every=every)
        steps = [step for path in folder.glob("*.journal") for step in steps_in(path)]
    with _opened(opener) as book:
        uneven = sum(record.held != _held(record) for record in _records(book))
        _free(book)
        stuck = sum(bool(record.held or record.holds) for record in _records(book))
        left = {record.serial: record.credit for record in _records(book)}
        account = Account(CREDIT.micros, LIMIT, steps, left, _entries(book))
        again = not _is_sure(book, account)

        return Run(name, clients, kills, seconds, account, stuck, uneven, again, len(book.verify().findings))


def _records(book: CardBook) -> Sequence[CardRecord]:
    return engine_of(book).store.cards(CardQuery())


def _free(book: CardBook) -> None:
    """
    Wait until all that is held has run out, and free it.
    """
    last = max((hold.expires_at for record in _records(book) for hold in unpacked(record.holds)), default=0)
    time.sleep(max(0, last + 1 - to_micros(now())) / 1e6)
    while book.sweep():
        pass


def _held(record: CardRecord) -> int:
    return sum(hold.amount for hold in unpacked(record.holds))


def _entries(book: CardBook) -> list[Entry]:
    query, entries = EntryQuery(limit=1000), list[Entry]()
    while page := engine_of(book).store.entries(query):
        query = attrs.evolve(query, after=query.position(page[-1]))
        entries += [
            Entry(
                record.serial,
                record.sequence,
                record.kind,
                record.order_number or (record.operation or b"").hex(),
                record.amount,
                record.shortfall or 0,
                record.credit_left,
                record.held_left,
                record.created_at,
                bool(record.prefix),
            )
            for record in page
        ]

    return entries


def _is_sure(book: CardBook, account: Account) -> bool:
    """
    Ask once more for all that puts an entry into the ledger, and tell whether it is answered as the ledger says.

    What has no entry, because its client was killed before, gets one now, once.
    """
    extension = book.extension(EXTENSION)
    known = {entry.key: entry for entry in account.entries}
    calls = {step.answer.hold: step.ask for step in account.steps if step.ask.verb == "begin" and step.answer}
    fresh = set[str]()
    for ask, _ in account.steps:
        entry, is_so = known.get(ask.subject), True
        if ask.subject in fresh or ask.verb not in {*ENDS, "recharge"}:
            continue
        if ask.verb == "end":
            is_so = entry is None or _is_over(extension, calls[ask.subject])
        elif entry is not None:
            is_so = _is_same(entry, ask, _asked(extension, ask))
        elif ask.verb != "recharge":
            fresh.add(ask.subject)
            first, second = _asked(extension, ask), _asked(extension, ask)
            is_so = first == second and first is not None and second is not None and second.replayed > first.replayed
        if not is_so:
            return False

    return len(_entries(book)) == len(account.entries) + len(fresh)


def _asked(extension: Extension, ask: Ask) -> LedgerEntry | None:
    """
    Give the entry of what was asked for; None if it is refused.
    """
    try:
        if ask.verb == "recharge":
            return extension.recharge(ask.serial, Credit.from_micros(ask.amount), order_number=ask.subject)
        hold = Hold(ask.subject, ask.serial, Credit(0), now(), now())
        if ask.verb == "release":
            return extension.release(hold)
        return extension.capture(hold, Credit.from_micros(ask.amount))
    except VoipcardError:
        return None


def _is_same(entry: Entry, ask: Ask, answer: LedgerEntry | None) -> bool:
    """
    Tell whether the answer is the entry, where that is what was asked for, or else a refusal.
    """
    if not entry.answers(ask) or answer is None:
        return not entry.answers(ask) and answer is None

    return answer.replayed and (answer.sequence, answer.amount.micros) == (entry.sequence, entry.amount)


def _is_over(extension: Extension, call: Ask) -> bool:
    """
    Tell whether a call that was settled cannot begin again.
    """
    try:
        extension.begin_call(call.serial, DESTINATION, call_id=call.subject)
    except CallEndedError:
        return True

    return False


def table(runs: Sequence[Run]) -> str:
    """
    Say for each run how much was done, and what was wrong.
    """
    heads = [*runs[0].figures, *runs[0].faults]
    lines = [f"{'':<30}" + "".join(f"{head:>10}" for head in heads)]
    for each in runs:
        numbers = [*each.figures.values(), *each.faults.values()]
        lines.append(f"{each.name:<30}" + "".join(f"{number:>10,}" for number in numbers))

    return "\n".join(lines)


def _stores(*, is_forgetful: bool = False) -> Iterator[tuple[str, Opener]]:
    """
    Give an empty store of each kind that there is.
    """
    with tempfile.TemporaryDirectory() as folder:
        yield "SQLite", functools.partial(ForgetfulFile if is_forgetful else SQLiteStore, Path(folder) / "cards.db")
    if servers.missing("postgresql") is None:
        store = Forgetful if is_forgetful else SQLAlchemyStore
        with servers.postgresql(durable=True) as server:
            yield server.name, functools.partial(store, server.url, create=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command, and give its exit status: 1 if a book was wrong, or nothing was seen of a store that forgets.
    """
    options = _parser().parse_args(arguments)
    # So many processes are started that they must not load the libraries each time.
    _CONTEXT.set_forkserver_preload(["tests.labs.callers", "sqlalchemy.dialects.postgresql.psycopg", "psycopg"])
    books, controls = [], []
    tried = functools.partial(run, clients=options.clients, every=options.every)
    for name, opener in _stores():
        books.append(tried(opener, seconds=options.seconds, name=f"{name}, book"))
    for name, opener in _stores(is_forgetful=True):
        controls.append(tried(opener, seconds=options.control, name=f"{name}, versions ignored"))
    sys.stdout.write(f"{table([*books, *controls])}\n")

    return 0 if all(each.is_right for each in books) and not any(each.is_right for each in controls) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nox -s calls --", description="Kill who charges calls.")
    parser.add_argument("--clients", type=int, default=16, help="how many processes work at a time (%(default)s)")
    parser.add_argument("--seconds", type=float, default=60, help="for how long (%(default)s)")
    parser.add_argument("--every", type=float, default=0.2, help="how often one is killed (%(default)s s)")
    parser.add_argument("--control", type=float, default=20, help="how long without versions (%(default)s s)")

    return parser


if __name__ == "__main__":
    sys.exit(main())
