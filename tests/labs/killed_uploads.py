"""
Uploads that are killed at random moments: afterwards the book has all of the rows or none, and again means once.

`nox -s kill` takes half an hour: a hundred thousand rows, killed fifty times. `nox -s kill -- -h` lists the options.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final, Literal, TypeAlias

import attrs

from tests.book_world import EXTENSION, PATIENCE, book_on, file_book, in_process, verbs_of
from voipcard import VoipcardError
from voipcard.stores import Changes, SQLiteStore

__all__ = ["Hurried", "Laboratory", "Trial", "main", "table"]

Word: TypeAlias = Literal["open", "sealed", "done"]
"""What an upload says as it goes on: the book is open, the last card is sealed, the call has returned."""

PHASES: Final[dict[Word, str]] = {
    "open": "while cards were sealed",
    "sealed": "during the commit",
    "done": "after the commit",
}
"""Where a kill hit, by the last word that was said."""

_DONE: Final = "was done"
_KNOWN: Final = "was known"

_CONTEXT: Final = get_context("forkserver")


class Hurried(SQLiteStore):
    """
    A store that commits a thousand new cards at a time: what the laboratory has to find out.
    """

    def commit(self, changes: Changes) -> None:
        """
        Commit the cards, and at last what is to be written with them.
        """
        new = iter(changes.new)
        while part := list(itertools.islice(new, 1000)):
            super().commit(Changes(new=part))
        super().commit(attrs.evolve(changes, new=()))


@attrs.frozen
class Trial:
    """
    What became of one upload that was killed.

    Attributes:
        phase: Where the kill hit.
        left_log: Whether pages of the commit were in the journal, from which the book had to be recovered.
        cards: How many cards were in the book afterwards.
        again: What became of the same upload, asked for again.
        faults: What was not as it should be; empty if all was well.
    """

    phase: str
    left_log: bool
    cards: int
    again: str
    faults: tuple[str, ...]

    def __str__(self) -> str:
        return "; ".join([f"killed {self.phase}", f"{self.cards:,} cards", f"again it {self.again}", *self.faults])


class Laboratory:
    """
    Uploads one file again and again, each time to a new book and in a new process, which is killed.

    Args:
        folder: Where files and books are made.

        rows: How many cards the file has.

        store: The kind of store.

        seed: What the moments depend on.
    """

    def __init__(self, folder: Path, rows: int, *, store: type[SQLiteStore] = SQLiteStore, seed: int = 0) -> None:
        self.codes: Final = [f"77{number:09}77" for number in range(rows)]
        self._folder = folder
        self._store = store
        self._chance = random.Random(seed)  # noqa: S311 - it is to be the same again
        self._sheet = folder / "upload.csv"
        self._sheet.write_text("".join(f"{code},0{code[7:11]}8,PO-117,10.00\n" for code in self.codes), "utf-8")
        self.sealing, self.committing = self._measured()

    def trials(self, count: int) -> Iterator[Trial]:
        """
        Kill so many uploads: one of two at any moment, the others once the last card is sealed.
        """
        for number in range(count):
            if number % 2:
                yield self._trial("sealed", self._chance.uniform(0, 1.1 * self.committing))
            else:
                yield self._trial("open", self._chance.uniform(0, self.sealing + 1.1 * self.committing))

    def _measured(self) -> tuple[float, float]:
        """
        Measure how long it takes, undisturbed, until the last card is sealed, and how long from then on.
        """
        with self._new_book() as book, self._uploading(book) as line:
            _hear(line, "open")
            start = time.perf_counter()
            _hear(line, "sealed")
            sealed = time.perf_counter()
            _hear(line, "done")

            return sealed - start, time.perf_counter() - sealed

    def _trial(self, word: Word, delay: float) -> Trial:
        """
        Kill an upload some seconds after it said a word, look at the book, and upload again.
        """
        with self._new_book() as book:
            with self._uploading(book) as line:
                _hear(line, word)
                time.sleep(delay)
            phase = PHASES[_last_word(line, word)]
            left_log = _has_log(book)
            cards, faults = _looked_at(book, {0, len(self.codes)})
            again, codes = in_process(_upload_again, self._store, book, self._sheet)
            _, later = _looked_at(book, {len(self.codes)})
            if (again, codes) != (_KNOWN if cards else _DONE, self.codes):
                later.append(f"{len(codes):,} cards were given out")

        return Trial(phase, left_log, cards, again, (*faults, *(f"then {fault}" for fault in later)))

    @contextlib.contextmanager
    def _new_book(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            path = Path(folder) / "cards.db"
            file_book(path).close()
            yield path

    @contextlib.contextmanager
    def _uploading(self, book: Path) -> Iterator[Connection]:
        """
        Upload in a process that tells how far it is, and is killed in the end.
        """
        ours, theirs = _CONTEXT.Pipe(duplex=False)
        process = _CONTEXT.Process(target=_upload_and_wait, args=(theirs, self._store, book, self._sheet), daemon=True)
        process.start()
        theirs.close()
        try:
            yield ours
        finally:
            process.kill()
            process.join()


def _upload_and_wait(line: Connection, store: type[SQLiteStore], path: Path, sheet: Path) -> None:
    def tell(done: int, total: int | None) -> None:
        if done == total:
            line.send("sealed")

    book = book_on(store(path))
    line.send("open")
    book.extension(EXTENSION).upload(sheet, progress=tell)
    line.send("done")
    time.sleep(PATIENCE)


def _upload_again(store: type[SQLiteStore], path: Path, sheet: Path, _: int) -> tuple[str, list[str]]:
    with book_on(store(path)) as book:
        try:
            batch = book.extension(EXTENSION).upload(sheet)
        except VoipcardError as error:
            return f"was refused as {type(error).__name__}", []

        return _KNOWN if batch.replayed else _DONE, [handout.code for handout in batch]


def _hear(line: Connection, word: Word) -> None:
    while line.recv() != word:
        pass


def _last_word(line: Connection, word: Word) -> Word:
    with contextlib.suppress(EOFError):
        while True:
            word = line.recv()

    return word


def _has_log(book: Path) -> bool:
    logs = (book.with_name(f"{book.name}{suffix}") for suffix in ("-wal", "-journal"))

    return any(log.exists() and log.stat().st_size > 0 for log in logs)


def _looked_at(path: Path, wanted: set[int]) -> tuple[int, list[str]]:
    """
    Count the cards of a book, and tell what is wrong with it.
    """
    with file_book(path) as book:
        count = book.extension(EXTENSION).count()
        verification = book.verify()
        told = verbs_of(book).count("upload")
        facts = {
            f"it has {count:,} cards": count in wanted,
            f"it has {verification.entries:,} ledger entries": verification.entries == count,
            f"its counter says {book.quota.active:,}": book.quota.active == count,
            f"its audit trail tells of {told} uploads": told == bool(count),
            f"verification finds {len(verification.findings):,} faults": verification.ok,
        }

    return count, [fact for fact, is_right in facts.items() if not is_right]


def table(trials: Sequence[Trial], rows: int) -> str:
    """
    Say for each phase how many kills hit it, and what they left.
    """
    lines = [f"{'killed':<24}{'uploads':>9}{'log left':>10}{'none':>8}{'all':>8}{'wrong':>8}"]
    for name, hits in [
        *((phase, [trial for trial in trials if trial.phase == phase]) for phase in PHASES.values()),
        ("in all", list(trials)),
    ]:
        none, whole = (sum(trial.cards == cards for trial in hits) for cards in (0, rows))
        logs, wrong = sum(trial.left_log for trial in hits), sum(bool(trial.faults) for trial in hits)
        lines.append(f"{name:<24}{len(hits):>9}{logs:>10}{none:>8}{whole:>8}{wrong:>8}")

    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command, and give its exit status: 1 if an upload was not whole, or nothing was seen of one that is not.
    """
    options = _parser().parse_args(arguments)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        laboratory = Laboratory(Path(folder), options.rows, seed=options.seed)
        _say(f"undisturbed: {laboratory.sealing:.2f} s to seal, {laboratory.committing:.2f} s to commit")
        trials = []
        for trial in laboratory.trials(options.count):
            trials.append(trial)
            _say(f"{len(trials)}/{options.count}: {trial}")
        control = Laboratory(Path(folder), min(options.rows, 10_000), store=Hurried, seed=options.seed)
        caught = next((trial for trial in control.trials(options.count) if trial.faults), None)
    _say(f"\n{table(trials, options.rows)}\n\na store that commits a thousand at a time: {caught or 'NOT FOUND OUT'}")

    return 0 if caught and not any(trial.faults for trial in trials) else 1


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="nox -s kill --", description="Kill uploads at random moments.")
    parser.add_argument("--count", type=int, default=50, help="how many uploads are killed (%(default)s)")
    parser.add_argument("--rows", type=int, default=100_000, help="how many cards each has (%(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="what the moments depend on (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where the books are made; a folder for temporary files")

    return parser


if __name__ == "__main__":
    sys.exit(main())
