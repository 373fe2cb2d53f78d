"""
Letting the two sides of a line do block after block in turn, each in a process of its own.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.books import Books
from benchmarks.lines import Line, Side
from benchmarks.measure import fdatasync_rate
from benchmarks.protocol import Parameters

__all__ = ["Run", "Worker", "WorkerError", "parameters_of"]

_ROOT: Final = Path(__file__).parent.parent
_PATIENCE: Final = 10.0
"""After how many seconds without news people are told that the work goes on."""


class WorkerError(Exception):
    """
    A worker ended before it answered; it has said why on the standard error.
    """


class Worker:
    """
    A process that does the work of one side.

    Args:
        side: Which side.

        parameters: What it is given.

        label: What it is called while people wait.
    """

    def __init__(self, side: Side, parameters: Parameters, label: str) -> None:
        self._label: Final = label
        self._process: Final = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self._ask({"module": side.module, **asdict(parameters)})
        except BaseException:
            self.close()
            raise

    def block(self) -> dict[str, Any]:
        """
        Let it do a block, and give what was measured.
        """
        return self._ask(None)

    def close(self) -> None:
        """
        End it.
        """
        with self._process:
            if self._process.stdin:
                self._process.stdin.close()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()

    def _ask(self, request: object) -> dict[str, Any]:
        requests, replies = self._process.stdin, self._process.stdout
        if requests is None or replies is None:
            raise WorkerError(self._label)
        try:
            requests.write(json.dumps(request, default=str) + "\n")
            requests.flush()
        except BrokenPipeError:
            raise WorkerError(self._label) from None
        start = time.monotonic()
        while not select.select([replies], [], [], _PATIENCE)[0]:
            sys.stderr.write(f"  {self._label}: working for {time.monotonic() - start:.0f} s\n")
        line = replies.readline()
        if not line:
            raise WorkerError(self._label)
        answer: dict[str, Any] = json.loads(line)

        return answer


@dataclass(frozen=True)
class Run:
    """
    Measures lines.

    Attributes:
        folder: Where books are made.
        books: The books that lines share.
        rounds: How many rounds; None for what each line has.
        block: How many operations a block has at most; None for what each line has.
    """

    folder: Path
    books: Books
    rounds: int | None = None
    block: int | None = None

    def measured(self, line: Line, size: int) -> dict[str, Any]:
        """
        Measure a line with so many cards: every round of it, as the workers tell.
        """
        disk = self._disk_rate(line)
        count = self.rounds or line.rounds
        rounds: list[dict[str, Any]] = []
        if line.fresh:
            for number in range(count):
                rounds += self._rounds(line, size, range(number, number + 1))
        else:
            rounds = self._rounds(line, size, range(count))

        return {"size": size, "fdatasync_per_second": disk, "rounds": rounds}

    def _disk_rate(self, line: Line) -> float | None:
        folder = self.books.databases.folder() if line.server else self.folder

        return fdatasync_rate(folder) if line.durable and folder else None

    def _rounds(self, line: Line, size: int, numbers: range) -> list[dict[str, Any]]:
        with ExitStack() as stack:
            sides = {name: stack.enter_context(self._worker(line, name, size)) for name in ("ours", "baseline")}
            if line.warm:
                for worker in sides.values():
                    worker.block()
            rounds = []
            for number in numbers:
                sys.stderr.write(f"  {line.name}, {size:,} cards: round {number + 1}\n")
                rounds.append({name: worker.block() for name, worker in sides.items()})

            return rounds

    @contextmanager
    def _worker(self, line: Line, name: str, size: int) -> Generator[Worker]:
        side: Side = getattr(line, name)
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            parameters = parameters_of(line, side, size=size, folder=Path(folder), books=self.books, block=self.block)
            with ExitStack() as stack:
                if parameters.database and not line.charges:
                    stack.callback(self.books.databases.drop, parameters.database)
                worker = Worker(side, parameters, f"{line.name}, {name}")
                stack.callback(worker.close)
                yield worker


def parameters_of(
    line: Line, side: Side, *, size: int, folder: Path, books: Books, block: int | None = None
) -> Parameters:
    """
    Give what one side of a line is given; the book that it needs is made first, and a copy of it on a server.
    """
    cards, charges = min(size, line.cards), size * line.charges
    database = ""
    if line.server:
        database = books.address(cards, charges) if charges else books.copy(cards)

    return Parameters(
        folder=folder,
        size=size,
        block=min(block or line.block, line.block, size),
        book=books.book(cards, charges=charges, on_server=line.server) if cards else None,
        database=database,
        options=side.options,
    )
