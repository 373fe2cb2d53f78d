"""
What the time tells of who is not let in, by Welch's test: nothing, where answers take as long as the limits say.

`nox -s timing` asks twenty thousand times for each reason, in a random order, in memory and in a file, beside a door
that refuses what it does not know at once: it takes a quarter of an hour, alone on the machine.
"""

from __future__ import annotations

import argparse
import functools
import gc
import itertools
import math
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeAlias

import attrs

from tests.book_world import EXTENSION, LAX, BareKey, Clock, engine_of
from voipcard import CardBook, GuessLimits, open_book
from voipcard.core.cards import canonical_code
from voipcard.core.throttle import Lock
from voipcard.errors import AccessDeniedError
from voipcard.guessing import lock_of
from voipcard.registry import id_of
from voipcard.stores import Changes, MemoryStore, SQLiteStore, Store

__all__ = [
    "CROPPINGS",
    "REASONS",
    "THRESHOLD",
    "Finding",
    "Row",
    "book_door",
    "callers",
    "main",
    "naive_door",
    "table",
    "tried",
]

REASONS: Final = ("unknown", "wrong PIN", "disabled", "expired", "locked")

CROPPINGS: Final = (1.0, 0.99, 0.95, 0.9, 0.75, 0.5)
"""
How much of the samples is looked at, the fastest first: what disturbs a machine makes answers slower.

Source: dudect (Reparaz, Balasch, Verbauwhede 2017), which crops at many percentiles.
"""

THRESHOLD: Final = 4.5
"""From which |t| on two classes differ. Source: as for dudect; a machine without a leak is above it once in 150,000."""

FLOOR: Final = timedelta(milliseconds=3)

_WRONG: Final = "000000"
_WARM: Final = 50
"""How many attempts for each reason are made first and not looked at."""

_FAR: Final = 2**53
"""Until when a locked card is locked, in microseconds: for long enough."""

_EVERY: Final = 500
"""After how many attempts what was left over is collected, outside of what is measured."""

Dialed: TypeAlias = tuple[str, str]
Ask: TypeAlias = Callable[[str, str, str], object]
Door: TypeAlias = Callable[[CardBook], Ask]
"""Gives what is asked with a code, a PIN and a source, and raises `AccessDeniedError`."""


def book_door(book: CardBook) -> Ask:
    """
    Ask the book.
    """
    extension = book.extension(EXTENSION)

    return lambda code, pin, source: extension.authenticate(code, pin=pin, source=source)


def naive_door(book: CardBook) -> Ask:
    """
    Ask somebody who looks the code up, refuses at once what is not there, and goes on with what is.
    """
    engine = engine_of(book)
    extension = id_of(engine, EXTENSION)

    def ask(code: str, pin: str, _: str) -> None:
        record = engine.store.find(index=engine.records.index(extension, "code", canonical_code(code)))
        if record is None or not engine.records.has_pin(engine.records.checked(record), pin) or not record.enabled:
            raise AccessDeniedError

    return ask


@attrs.frozen
class Row:
    """
    How two reasons differ.

    Attributes:
        one: A reason.
        other: Another one.
        values: Welch's t at each of the croppings.
        gap: How much longer the median of the other one is, in microseconds.
    """

    one: str
    other: str
    values: Sequence[float]
    gap: float

    @property
    def worst(self) -> float:
        """
        The t that is farthest from 0, without its sign.
        """
        return max(map(abs, self.values))


@attrs.frozen
class Finding:
    """
    What the time of one door tells.

    Attributes:
        name: The door and the store.
        medians: How long an answer takes for each reason, in microseconds.
        rows: How any two reasons differ.
    """

    name: str
    medians: Mapping[str, float]
    rows: Sequence[Row]

    @property
    def worst(self) -> float:
        """
        The greatest |t| of all.
        """
        return max(row.worst for row in self.rows)

    @property
    def is_silent(self) -> bool:
        """
        Whether no two reasons can be told from each other.
        """
        return self.worst < THRESHOLD


# Measuring


def callers(book: CardBook, clock: Clock, samples: int) -> dict[str, list[Dialed]]:
    """
    Give what callers dial for each reason: codes and PINs of so many cards, each to be dialed once.

    Where it is not about the PIN it is the right one.
    """
    extension = book.extension(EXTENSION)
    fresh = functools.partial(extension.generate, samples, credit="10.00")
    batches = {
        "wrong PIN": fresh(),
        "disabled": fresh(enabled=False),
        "expired": fresh(expires_at=clock.now + timedelta(days=1)),
        "locked": fresh(),
    }
    clock.move(days=2)
    dialed = {reason: [(card.code, card.pin) for card in batch] for reason, batch in batches.items()}
    dialed["wrong PIN"] = [(code, _WRONG) for code, _ in dialed["wrong PIN"]]
    _lock(book, [card.serial for card in batches["locked"]])
    # Codes as those of the cards, and none of them.
    with open_book() as other:
        drawn = other.extension(EXTENSION).generate(samples)
        known = {code for pairs in dialed.values() for code, _ in pairs}
        dialed["unknown"] = [(card.code, card.pin) for card in drawn if card.code not in known]

    return {reason: dialed[reason] for reason in REASONS}


def _lock(book: CardBook, serials: Sequence[str]) -> None:
    """
    Leave on these cards what a wrong PIN leaves that has to be waited for.
    """
    engine = engine_of(book)
    value = attrs.astuple(Lock(1, _FAR))
    for start in range(0, len(serials), 1000):
        keys = [lock_of(card.id) for card in engine.cards(EXTENSION, serials[start : start + 1000])]
        engine.commit(Changes(documents=[(engine.records.document(key, value, version=1), 0) for key in keys]))


def timed(ask: Ask, dialed: Mapping[str, Sequence[Dialed]], seed: int) -> dict[str, list[int]]:
    """
    Ask in a random order, each time from another source, and give how many nanoseconds each answer took.
    """
    order = [(reason, *pair) for reason, pairs in dialed.items() for pair in pairs]
    random.Random(seed).shuffle(order)  # noqa: S311 - it is to be the same again
    times: dict[str, list[int]] = {reason: [] for reason in dialed}
    clock = time.perf_counter_ns
    gc.collect()
    gc.disable()
    try:
        for number, (reason, code, pin) in enumerate(order):
            source = f"{seed}-{number}"
            start = clock()
            with suppress(AccessDeniedError):
                ask(code, pin, source)
            times[reason].append(clock() - start)
            if number % _EVERY == 0:
                gc.collect()
    finally:
        gc.enable()

    return {reason: found[_WARM:] for reason, found in times.items()}


def tried(name: str, store: Store, door: Door, *, floor: timedelta, samples: int, seed: int) -> Finding:
    """
    Measure a door, and tell the reasons apart if possible.

    Args:
        name: What it is called.

        store: An empty store.

        door: What is asked.

        floor: How long an answer takes at least.

        samples: How often it is asked for each reason.

        seed: What the order depends on.
    """
    clock = Clock()
    # Limits that nobody meets, so that each attempt is evaluated.
    limits = GuessLimits(
        per_call=1000, per_source=1000, per_ingress=1000, free_failures=1000, block_after=1000, response_floor=floor
    )
    with open_book(store, currency="EUR", key=BareKey(), policy=LAX, limits=limits, clock=clock) as book:
        dialed = callers(book, clock, samples + _WARM)
        times = timed(door(book), dialed, seed)

    return Finding(
        name,
        {reason: statistics.median(found) / 1000 for reason, found in times.items()},
        [_row(one, other, times) for one, other in itertools.combinations(REASONS, 2)],
    )


def _row(one: str, other: str, times: Mapping[str, Sequence[int]]) -> Row:
    pooled = sorted([*times[one], *times[other]])
    limits = [pooled[math.ceil(len(pooled) * share) - 1] for share in CROPPINGS]
    values = [welch(*([value for value in times[each] if value <= limit] for each in (one, other))) for limit in limits]

    return Row(one, other, values, (statistics.median(times[other]) - statistics.median(times[one])) / 1000)


def welch(one: Sequence[int], other: Sequence[int]) -> float:
    """
    Give Welch's t: by how many standard errors two means differ. Where it cannot be told it is endless.
    """
    if min(len(one), len(other)) < 2:
        return math.inf
    error = math.sqrt(statistics.variance(one) / len(one) + statistics.variance(other) / len(other))

    return (statistics.fmean(other) - statistics.fmean(one)) / error if error else math.inf


# The laboratory


def table(findings: Sequence[Finding]) -> str:
    """
    Say for each door how its reasons differ.
    """
    heads = [*(f"{share:.0%}" for share in CROPPINGS), "gap µs"]
    lines = []
    for finding in findings:
        lines.append(f"{finding.name:<44}" + "".join(f"{head:>9}" for head in heads))
        for row in finding.rows:
            figures = "".join(f"{value:>9.2f}" for value in [*row.values, row.gap])
            lines.append(f"    {f'{row.one} / {row.other}':<40}{figures}")
        medians = ", ".join(f"{reason} {median:.1f}" for reason, median in finding.medians.items())
        lines.append(f"    |t| is at most {finding.worst:.2f}; medians in µs: {medians}")

    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command, and give its exit status: 1 if a reason shows twice, or nothing is seen of what refuses at once.
    """
    options = _parser().parse_args(arguments)
    held, seen = [], []
    for place, stores in {"memory": _in_memory(), "file": _in_files()}.items():
        found = _told(options, next(stores), f"{place}, 3 ms at least", book_door, FLOOR)
        if not found.is_silent:  # One in some hundred runs shows what is not there; twice it does not.
            found = _told(options, next(stores), f"{place}, 3 ms at least, again", book_door, FLOOR)
        held.append(found.is_silent)
        if place == "memory":  # What is left without a floor, where no disk hides it.
            _told(options, next(stores), f"{place}, no floor (as it is)", book_door, timedelta(0))
        control = _told(options, next(stores), f"{place}, refused at once (control)", naive_door, timedelta(0))
        seen.append(not control.is_silent)

    return 0 if all(held) and all(seen) else 1


def _told(options: argparse.Namespace, store: Store, name: str, door: Door, floor: timedelta) -> Finding:
    finding = tried(name, store, door, floor=floor, samples=options.samples, seed=options.seed)
    sys.stdout.write(f"{table([finding])}\n\n")
    sys.stdout.flush()

    return finding


def _in_memory() -> Iterator[Store]:
    while True:
        yield MemoryStore()


def _in_files() -> Iterator[Store]:
    while True:
        with tempfile.TemporaryDirectory() as folder:
            yield SQLiteStore(Path(folder) / "cards.db")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nox -s timing --", description="Time those who are not let in.")
    parser.add_argument("--samples", type=int, default=20_000, help="how often for each reason (%(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="what the order depends on (%(default)s)")

    return parser


if __name__ == "__main__":
    sys.exit(main())
