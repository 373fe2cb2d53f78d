"""
Processes that guess PINs at the same time, and are killed meanwhile: no more is evaluated than the limits let through.

`nox -s guessing` lets sixteen processes guess twenty times each, in twenty runs for each limit, in files and on
PostgreSQL, beside a guard that reads, compares and writes: with all that, it takes an hour.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import itertools
import logging
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import attrs

from tests import servers
from tests.book_world import EXTENSION, LAX, MORNING, PATIENCE, BareKey, Clock, engine_of
from tests.servers import Server
from voipcard import CardBook, GuessLimits, VoipcardError, open_book
from voipcard.core.cards import canonical_code, canonical_pin
from voipcard.errors import AccessDeniedError
from voipcard.registry import id_of
from voipcard.stores import Changes, CounterChange, SQLAlchemyStore, SQLiteStore, Store

__all__ = [
    "CONTESTS",
    "WRONG",
    "Contest",
    "Crew",
    "Guard",
    "Opener",
    "Outcome",
    "ask",
    "ask_naively",
    "contested",
    "faults",
    "files",
    "issued",
    "main",
    "opened",
    "reasons",
    "table",
]

Opener = Callable[[], Store]

WRONG: Final = "000000"
"""What guessers dial; no card has it. Who is to find the PIN dials the right one then."""

UNEVALUATED: Final = frozenset({"locked", "blocked"})
"""Why an attempt is not evaluated, besides all that begins with `too_many`."""

_WIDE: Final = {
    "per_call": 1000,
    "per_source": 1000,
    "per_ingress": 1000,
    "free_failures": 1000,
    "block_after": 1000,
    "response_floor": timedelta(0),
}
"""Limits that nobody meets in a laboratory."""

_CONTEXT: Final = get_context("forkserver")


@attrs.frozen
class Contest:
    """
    What processes guess at, and what is in their way.

    Attributes:
        name: What is limited.
        limit: How many failed attempts are evaluated at most.
        narrow: The limits that are meant.
        same: What all attempts have in common: `source`, `ingress` or `call_id`. Otherwise each has its own source.
        one_card: Whether all guess at one card; otherwise each process has a card of its own.
        hours:
            How much time passes while a process guesses. What was tried counts all the while, but an ingress counts it
            in other slots as time goes on.
    """

    name: str
    limit: int
    narrow: Mapping[str, int]
    same: Mapping[str, str | None] = attrs.field(factory=dict)
    one_card: bool = False
    hours: float = 0

    @property
    def limits(self) -> GuessLimits:
        """
        The limits of the book.
        """
        return GuessLimits(**{**_WIDE, **self.narrow})  # type: ignore[arg-type]  # counts, and one duration

    def place(self, number: int, turn: int) -> dict[str, str | None]:
        """
        Tell where an attempt of a process comes from.
        """
        return {"source": f"{number}-{turn}", "ingress": None, "call_id": None, **self.same}

    def wider(self, limit: int) -> Contest:
        """
        Give the same contest with another limit.
        """
        [name] = self.narrow

        return attrs.evolve(self, limit=limit, narrow={name: limit})

    def most(self, granted: int) -> int:
        """
        Give how many failed attempts are evaluated at most where so many others succeed.

        A right PIN, which is in the row as well until it is found right, ends a row of wrong ones on its card. It gives
        nothing else back to who comes from where it came from.
        """
        return self.limit + granted * (self.limit - 1) if self.one_card else self.limit


CONTESTS: Final = (
    Contest("card", 10, {"block_after": 10}, one_card=True),
    Contest("pause", 3, {"free_failures": 3}, one_card=True),
    Contest("source", 10, {"per_source": 10}, {"source": "40722123456"}),
    Contest("ingress", 40, {"per_ingress": 40}, {"source": None, "ingress": "trunk"}),
    Contest("unknown", 40, {"per_ingress": 40}, {"source": None}),
    Contest("slots", 120, {"per_ingress": 120}, {"source": None, "ingress": "trunk"}, hours=0.9),
    Contest("call", 3, {"per_call": 3}, {"call_id": "call-1"}),
)
"""A contest for each limit. A card rests after three wrong PINs, and the clock stands still; `slots` lets it go on."""


@attrs.frozen
class Outcome:
    """
    What became of a contest.

    Attributes:
        contest: Which one.
        guard: What was in the way.
        evaluated: How many failed attempts were evaluated.
        granted: How many callers were let in.
        refused: How many attempts were not evaluated.
        killed: How many processes were killed.
        errors: What else came out, by its name.
        is_closed: Whether nobody was let in afterwards who comes from there.
    """

    contest: Contest
    guard: str
    evaluated: int
    granted: int
    refused: int
    killed: int
    errors: Mapping[str, int]
    is_closed: bool


# One process


Guard = Callable[[CardBook, str, str, Mapping[str, "str | None"]], bool]
"""Lets a caller in who dials this code and this PIN and comes from there, and tells whether it did."""


def ask(book: CardBook, code: str, pin: str, place: Mapping[str, str | None]) -> bool:
    """
    Ask the book.
    """
    try:
        book.extension(EXTENSION).authenticate(code, pin=pin, **place)
    except AccessDeniedError:
        return False

    return True


def ask_naively(book: CardBook, code: str, pin: str, place: Mapping[str, str | None]) -> bool:
    """
    Ask a guard that reads how many failed, compares, and counts then: what somebody writes who trusts in being quick.
    """
    engine = engine_of(book)
    limits = engine.limits
    index = engine.records.index(id_of(engine, EXTENSION), "code", canonical_code(code))
    record = engine.store.find(index=index)
    rules = {
        f"naive/card/{index.hex()}": min(limits.block_after, limits.free_failures),
        f"naive/source/{place['source']}": limits.per_source,
        f"naive/ingress/{place['ingress']}": limits.per_ingress,
        f"naive/call/{place['call_id']}": limits.per_call,
    }
    failures = engine.store.counters(rules)
    is_open = all(failures[key] < limit for key, limit in rules.items())
    time.sleep(0.003)  # As long as a PIN takes that is kept as a slow hash.
    is_right = record is not None and engine.records.has_pin(record, canonical_pin(pin))
    reason = "locked" if not is_open else "" if is_right else "wrong_pin"
    counters = [CounterChange(key, 1) for key in rules] if reason == "wrong_pin" else []
    audit = engine.audited("authenticate", extension=EXTENSION, reason=reason)
    engine.commit(Changes(counters=counters, audit=audit))

    return not reason


def opened(store: Store, contest: Contest, clock: Clock) -> CardBook:
    """
    Open the book of a contest.
    """
    return open_book(store, currency="EUR", key=BareKey(), policy=LAX, limits=contest.limits, clock=clock)


def issued(book: CardBook, cards: int) -> list[tuple[str, str]]:
    """
    Make so many cards, and give their codes and PINs.
    """
    return [(card.code, card.pin) for card in book.extension(EXTENSION).generate(cards, credit="10.00")]


@attrs.frozen
class _Job:
    """
    What a process is to do.

    Attributes:
        opener: Opens the store.
        contest: What is guessed at.
        cards: The codes and PINs.
        guard: What is asked.
        turns: How often.
        finds: The turn in which process 0 dials the right PIN; None for never.
    """

    opener: Opener
    contest: Contest
    cards: Sequence[tuple[str, str]]
    guard: Guard
    turns: int
    finds: int | None
    clock: Clock = attrs.field(factory=Clock)

    def opened(self) -> CardBook:
        """
        Open the book.
        """
        return opened(self.opener(), self.contest, self.clock)

    def work(self, book: CardBook, number: int) -> Counter[str]:
        """
        Guess, and give what came out besides answers.
        """
        contest, errors = self.contest, Counter[str]()
        card, right = self.cards[number % len(self.cards)]
        for turn in range(self.turns):
            # One of two codes is no card's, where it is not about a card.
            code = card if contest.one_card or turn % 2 == 0 else f"{10**12 + 1000 * number + turn}"
            code, pin = (card, right) if number == 0 and turn == self.finds else (code, WRONG)
            self.clock.now = MORNING + turn * timedelta(hours=contest.hours) / self.turns
            try:
                self.guard(book, code, pin, contest.place(number, turn))
            except VoipcardError as error:
                errors[type(error).__name__] += 1

        return errors


def _serve(line: Connection) -> None:
    """
    Do one job after another, each when it is told to begin.
    """
    logging.disable()  # What a connection says that a kill broke.
    with contextlib.suppress(EOFError):
        while True:
            job, number = line.recv()
            with job.opened() as book:
                line.send(None)
                line.recv()
                line.send(job.work(book, number))


# All of them


def contested(
    crew: Crew,
    opener: Opener,
    contest: Contest,
    *,
    guard: Guard = ask,
    turns: int,
    kills: int = 0,
    finds: int | None = None,
) -> Outcome:
    """
    Let processes guess at once in a new book, kill some of them at random moments, and look what was evaluated.

    Args:
        crew: The processes; another one takes the place of each that is killed.

        opener: Opens the store; it is empty.

        contest: What they guess at.

        guard: What they ask.

        turns: How often each of them guesses.

        kills: How many are killed.

        finds: The turn in which the first of them dials the right PIN; None for never.
    """
    with opened(opener(), contest, Clock()) as book:
        cards = issued(book, 1 if contest.one_card else len(crew))
    errors = crew.work(_Job(opener, contest, cards, guard, turns, finds), kills)
    with opened(opener(), contest, Clock(MORNING + timedelta(hours=contest.hours))) as book:
        told = reasons(book)
        # Not even who knows the PIN is let in where nothing is evaluated any more.
        is_closed = not any(guard(book, code, right, contest.place(-1, 0)) for code, right in cards)
    granted = told.pop("", 0)
    refused = sum(count for reason, count in told.items() if reason in UNEVALUATED or reason.startswith("too_many"))

    return Outcome(
        contest, guard.__name__, told.total() - refused, granted, refused, kills, errors, is_closed=is_closed
    )


def reasons(book: CardBook) -> Counter[str]:
    """
    Count what the audit trail says why callers were not let in; nothing for those who were.
    """
    return Counter(entry.detail["reason"] for entry in book.audit_trail() if entry.verb == "authenticate")


class _Member(NamedTuple):
    """
    A process that guesses.
    """

    line: Connection
    process: BaseProcess

    @classmethod
    def new(cls) -> _Member:
        """
        Start one.
        """
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(target=_serve, args=(theirs,), daemon=True)
        process.start()
        theirs.close()

        return cls(ours, process)

    def kill(self) -> None:
        """
        Kill it, wherever it is.
        """
        self.process.kill()
        self.process.join()
        self.line.close()


class Crew:
    """
    Processes that guess, in one contest after another.

    Args:
        size: How many.
    """

    def __init__(self, size: int) -> None:
        self._members: Final = [_Member.new() for _ in range(size)]
        self._spare: Final[list[_Member]] = []

    def __len__(self) -> int:
        return len(self._members)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for member in (*self._members, *self._spare):
            member.kill()

    def work(self, job: _Job, kills: int) -> Counter[str]:
        """
        Let them begin together, kill some, and give what came out of the others.
        """
        self._spare.extend(_Member.new() for _ in range(kills - len(self._spare)))
        spare = self._spare[:kills]
        everybody = [*self._members, *spare]
        for number, member in enumerate(everybody):
            member.line.send((job, number))
        for member in everybody:
            _heard(member.line)
        for member in self._members:
            member.line.send(None)
        for successor in spare:
            time.sleep(random.uniform(0, 0.05))  # noqa: S311 - any moment
            place = random.randrange(1, len(self))  # noqa: S311 - any but the one who is to find the PIN
            self._members[place].kill()
            self._members[place] = successor
            self._spare.remove(successor)
            successor.line.send(None)

        return sum((_heard(member.line) for member in self._members), Counter[str]())


def _heard(line: Connection) -> Any:  # noqa: ANN401 - that it is there, or what came out
    assert line.poll(PATIENCE), "a guesser says nothing"

    return line.recv()


def files() -> Iterator[Opener]:
    """
    Give stores in files, each in a new one.
    """
    while True:
        with tempfile.TemporaryDirectory() as folder:
            yield functools.partial(SQLiteStore, Path(folder) / "cards.db")


def databases(server: Server) -> Iterator[Opener]:
    """
    Give stores in databases of a server, each in a new one.
    """
    while True:
        with server.database() as url:
            yield functools.partial(SQLAlchemyStore, url, create=True)


def faults(outcome: Outcome) -> list[str]:
    """
    Say what is wrong with a contest: nothing if as much was evaluated as is let through.

    What a process that was killed had reserved is used up. Where somebody was let in, what is left depends on when.
    """
    most = outcome.contest.most(outcome.granted)
    facts = {
        f"{outcome.evaluated} of {most} were evaluated": outcome.evaluated <= most,
        f"only {outcome.evaluated} of {most} were evaluated": outcome.killed + outcome.granted > 0
        or outcome.evaluated == most,
        "who came afterwards was let in": outcome.is_closed,
        f"some came to {dict(outcome.errors)}": not outcome.errors,
    }

    return [fact for fact, is_right in facts.items() if not is_right]


def table(rows: Mapping[str, Sequence[Outcome]]) -> str:
    """
    Say for each contest how much was evaluated in so many runs.
    """
    heads = ["runs", "limit", "least", "most", "let in", "refused", "killed", "used up", "wrong"]
    lines = [f"{'evaluated, of what is let through':<56}" + "".join(f"{head:>9}" for head in heads)]
    for name, outcomes in rows.items():
        evaluated = [outcome.evaluated for outcome in outcomes]
        numbers = [
            len(outcomes),
            outcomes[0].contest.limit,
            min(evaluated),
            max(evaluated),
            sum(outcome.granted for outcome in outcomes),
            sum(outcome.refused for outcome in outcomes),
            sum(outcome.killed for outcome in outcomes),
            sum(max(0, outcome.contest.most(outcome.granted) - outcome.evaluated) for outcome in outcomes),
            sum(bool(faults(outcome)) for outcome in outcomes),
        ]
        lines.append(f"{name:<56}" + "".join(f"{number:>9,}" for number in numbers))

    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command, and give its exit status: 1 if too much was evaluated, or nothing was seen of the naive guard.
    """
    options = _parser().parse_args(arguments)
    with contextlib.ExitStack() as stack:
        stores = {"SQLite": files()}
        if servers.missing("postgresql") is None:
            stores["PostgreSQL"] = databases(stack.enter_context(servers.postgresql(durable=True)))
        crew = stack.enter_context(Crew(options.processes))
        rows: dict[str, list[Outcome]] = {}
        for kind, openers in stores.items():
            for name, contest, settings in _program(options.processes * options.turns, options.kills):
                row = {
                    f"{kind}, {name}": [
                        contested(crew, opener, contest, turns=options.turns, **settings)
                        for opener in itertools.islice(openers, max(1, options.runs // (4 if _NAIVE in name else 1)))
                    ]
                }
                _say(table(row).splitlines()[-1])
                rows |= row
    controls = [outcome for name, row in rows.items() if _NAIVE in name for outcome in row]
    books = [outcome for name, row in rows.items() if _NAIVE not in name for outcome in row]
    _say(f"\n{table(rows)}")
    for outcome in books:
        for fault in faults(outcome):
            _say(f"{outcome.contest.name}: {fault}")
    is_seen = any(outcome.evaluated > outcome.contest.limit for outcome in controls)

    return 0 if is_seen and not any(map(faults, books)) else 1


_NAIVE: Final = "read, then write"


def _program(guesses: int, kills: int) -> Iterator[tuple[str, Contest, dict[str, Any]]]:
    """
    Give what is tried: each limit; the same where one finds the PIN and others are killed; and the naive guard.
    """
    # Limits that are met late, so that time goes on until then, and kills hit processes whose guesses are evaluated.
    wide = min(1000, guesses // 2)
    for contest in CONTESTS:
        contest_ = contest.wider(wide) if contest.hours else contest
        yield contest.name, contest_, {}
        yield f"{contest.name}, one finds the PIN, some are killed", contest.wider(wide), {"finds": 2, "kills": kills}
        yield f"{contest.name}, {_NAIVE}", contest, {"guard": ask_naively}


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nox -s guessing --", description="Guess PINs in parallel.")
    parser.add_argument("--processes", type=int, default=16, help="how many guess at a time (%(default)s)")
    parser.add_argument("--turns", type=int, default=20, help="how often each of them guesses (%(default)s)")
    parser.add_argument("--kills", type=int, default=16, help="how many of them are killed (%(default)s)")
    parser.add_argument("--runs", type=int, default=20, help="how often each is tried (%(default)s)")

    return parser


if __name__ == "__main__":
    sys.exit(main())
