"""
A rotation whose process is killed again and again, while callers get in: every login with the right PIN has to succeed.

`nox -s rotate` takes some minutes: a hundred thousand cards. `nox -s rotate -- -h` lists the options.
"""

from __future__ import annotations

import argparse
import itertools
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, Literal, TypeAlias

import attrs

from tests.book_world import EXTENSION, LAX, PATIENCE, engine_of, file_book
from voipcard import CardBook, NewCard, VoipcardError
from voipcard.core.query import CardQuery
from voipcard.registry import id_of

__all__ = ["Laboratory", "Report", "main"]

Way: TypeAlias = Literal["login", "look", "newest index only"]
"""What readers do with a code and its PIN: get in, look the card up and compare the PIN, or do it wrongly."""

_CONTEXT: Final = get_context("forkserver")


@attrs.frozen
class Report:
    """
    What became of a rotation.

    Attributes:
        seconds: How long it took.
        lives: How many processes worked at it.
        kills: How many of them were killed before it had ended.
        looks: How often a card was looked for.
        failures: How often it was not found, or its PIN did not fit.
        first: What the first failure was.
        left: How many cards were left under the older key.
        findings: What verification found.
    """

    seconds: float
    lives: int
    kills: int
    looks: int
    failures: int
    first: str
    left: int
    findings: int

    @property
    def ok(self) -> bool:
        """
        Whether nobody noticed anything, and nothing is left.
        """
        return not (self.failures or self.left or self.findings) and self.kills > 0 and self.looks > 0

    def __str__(self) -> str:
        first = f" (first: {self.first})" if self.first else ""

        return (
            f"{self.seconds:.1f} s, {self.lives} processes, {self.kills} killed; {self.looks:,} looks, "
            f"{self.failures:,} failures{first}; {self.left:,} cards left under the older key, {self.findings} findings"
        )


class Laboratory:
    """
    Rotates the keys of one book in processes that are killed, while other processes look for its cards.

    Args:
        folder: Where the book is made.

        cards: How many cards it has.

        readers: How many processes look.

        step: How many cards a call goes over at most.

        seed: What the moments depend on.
    """

    def __init__(self, folder: Path, cards: int, *, readers: int = 2, step: int = 100, seed: int = 0) -> None:
        self._path: Final = folder / "cards.db"
        self._stop: Final = folder / "stop"
        self._cards: Final = cards
        self._readers: Final = readers
        self._step: Final = step
        self._chance: Final = random.Random(seed)  # noqa: S311 - it is to be the same again
        with file_book(self._path, policy=LAX) as book:
            for start in range(0, cards, 10_000):
                numbers = range(start, min(cards, start + 10_000))
                book.extension(EXTENSION).add([NewCard(*_code_and_pin(number)) for number in numbers])

    def run(self, way: Way, longest_life: float) -> Report:
        """
        Rotate once, with processes that live for so many seconds at most, and look in the meantime.
        """
        self._stop.unlink(missing_ok=True)
        start = time.monotonic()
        with file_book(self._path) as book:
            key = len(engine_of(book).records.keyring.roots) + 1
        cards = range(self._cards)
        readers = [self._started(_look, way, self._path, self._stop, cards, seed) for seed in range(self._readers)]
        for line, _ in readers:
            line.recv()
        lives = kills = 0
        while True:
            line, process = self._started(_rotate, self._path, self._step, f"rotation {key}")
            line.recv()
            lives += 1
            process.join(self._chance.uniform(0.02, longest_life))
            if process.exitcode == 0:
                break
            kills += 1
            process.kill()
            process.join()
        self._stop.touch()
        answers: list[tuple[int, int, str]] = []
        for line, process in readers:
            assert line.poll(PATIENCE), "a reader said nothing"
            answers.append(line.recv())
            process.join()
        seconds = time.monotonic() - start
        with file_book(self._path) as book:
            left, findings = _left(book, key), len(book.verify().findings)

        return Report(
            seconds,
            lives,
            kills,
            sum(looks for looks, _, _ in answers),
            sum(failures for _, failures, _ in answers),
            next((first for _, _, first in answers if first), ""),
            left,
            findings,
        )

    @staticmethod
    def _started(work: Callable[..., None], *arguments: object) -> tuple[Connection, _Process]:
        ours, theirs = _CONTEXT.Pipe(duplex=False)
        process = _CONTEXT.Process(target=work, args=(theirs, *arguments), daemon=True)
        process.start()
        theirs.close()

        return ours, process


_Process: TypeAlias = type(_CONTEXT.Process())  # type: ignore[valid-type]  # it has no public name


def _code_and_pin(number: int) -> tuple[str, str]:
    return f"77{number:09}77", f"{number * 7919 % 1000:03}3"


def _left(book: CardBook, key: int) -> int:
    store = engine_of(book).store
    query = CardQuery(order="serial")
    left = 0
    while page := store.cards(query):
        left += sum(record.key != key for record in page)
        query = attrs.evolve(query, after=query.position(page[-1]))

    return left


def _rotate(line: Connection, path: Path, step: int, operation: str) -> None:
    with file_book(path) as book:
        line.send("open")
        while book.rotate_keys(limit=step, operation=operation).left:
            pass


def _look(line: Connection, way: Way, path: Path, stop: Path, cards: range, seed: int) -> None:  # noqa: PLR0917
    """
    Look for cards until there is nothing to wait for any more.
    """
    chance = random.Random(f"{way} {seed}")  # noqa: S311 - it is to be the same again
    failures, first = 0, ""
    with file_book(path) as book:
        line.send("open")
        for looks in itertools.count(1):
            fault = _WAYS[way](book, *_code_and_pin(chance.choice(cards)), f"{seed} {looks}")
            if fault:
                failures, first = failures + 1, first or fault
            if stop.exists():
                break
    line.send((looks, failures, first))


def _get_in(book: CardBook, code: str, pin: str, source: str) -> str:
    try:
        book.extension(EXTENSION).authenticate(code, pin=pin, source=source)
    except VoipcardError as error:
        return type(error).__name__

    return ""


def _look_up(book: CardBook, code: str, pin: str, _: str) -> str:
    engine = engine_of(book)
    card = book.extension(EXTENSION).find(code=code)
    record = engine.store.find(serial=card.serial) if card else None
    if record is None:
        return "not found"

    return "" if engine.records.has_pin(record, pin) else "another PIN"


def _look_wrongly(book: CardBook, code: str, pin: str, _: str) -> str:
    """
    Look under the newest key only, which is always the one that the book has by now.
    """
    engine = engine_of(book)
    engine.keys_changed(engine.store.document("keyring"), engine.records.keyring)
    index = engine.records.index(id_of(engine, EXTENSION), "code", code)
    record = engine.store.find(index=index)
    if record is None:
        return "not found"

    return "" if engine.records.has_pin(record, pin) else "another PIN"


_WAYS: Final[dict[Way, Callable[[CardBook, str, str, str], str]]] = {
    "login": _get_in,
    "look": _look_up,
    "newest index only": _look_wrongly,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command, and give its exit status: 1 if a look failed, or none of those that look wrongly did.
    """
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        laboratory = Laboratory(Path(folder), options.cards, readers=options.readers, seed=options.seed)
        reports = {}
        for way in _WAYS:
            reports[way] = laboratory.run(way, options.life)
            sys.stdout.write(f"{way}: {reports[way]}\n")
            sys.stdout.flush()

    return 0 if [report.ok for report in reports.values()] == [True, True, False] else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nox -s rotate --", description="Rotate keys in processes that are killed.")
    parser.add_argument("--cards", type=int, default=100_000, help="how many cards the book has (%(default)s)")
    parser.add_argument("--readers", type=int, default=2, help="how many processes look for cards (%(default)s)")
    parser.add_argument("--life", type=float, default=0.3, help="how long a process lives at most (%(default)s s)")
    parser.add_argument("--seed", type=int, default=0, help="what the moments depend on (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where the book is made; a folder for temporary files")

    return parser


if __name__ == "__main__":
    sys.exit(main())
