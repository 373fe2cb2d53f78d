"""
The command: `python -m benchmarks [LINE …]`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.books import Books
from benchmarks.driver import Run
from benchmarks.lines import LINES, Line
from benchmarks.measure import describe_machine, filesystem
from benchmarks.report import have_same_answers, judged, summarized, table

__all__ = ["main", "sizes_of"]

_SMALLEST: Final = 10_000
_BIG: Final = 1_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the command, and give its exit status: 1 if the two sides of a line did not do the same.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if unknown := set(options.lines) - {line.name for line in LINES}:
        parser.error(f"no such line: {', '.join(sorted(unknown))}")
    chosen = [line for line in LINES if not options.lines or line.name in options.lines]
    with _scratch(options.folder) as folder, contextlib.closing(Books(folder)) as books:
        if options.profile:
            from benchmarks.profiling import profiled

            [line] = [line for line in LINES if line.name == options.profile]
            sys.stdout.write(profiled(line, options.size, books, folder=folder))
            return 0
        run = Run(folder, books, options.rounds, options.block)
        results = _results(run, chosen, options)
        environment = {**describe_machine(folder), **books.databases.described()}
        report = {"environment": environment, "lines": results}
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(report, indent=1) + "\n")
    sys.stdout.write(table(report) + "\n")

    return 0 if have_same_answers(results) else 1


def sizes_of(line: Line, *, size: int, growth: int | None) -> list[int]:
    """
    Give the sizes to measure a line at: *size*, or the powers of ten up to *growth* if the line grows.
    """
    if growth is None:
        return [size]
    if not line.growing:
        return []
    sizes = [_SMALLEST]
    while sizes[-1] * 10 <= growth:
        sizes.append(sizes[-1] * 10)

    return sizes


def _results(run: Run, chosen: Sequence[Line], options: argparse.Namespace) -> list[dict[str, Any]]:
    results: list[dict[str, Any]] = []
    lines = []
    for line in chosen:
        if lacking := line.lacking():
            sys.stderr.write(f"{line.name} is left out: {lacking}\n")
            continue
        for size in sizes_of(line, size=options.size, growth=options.growth):
            lines.append(line)
            results.append(summarized(line, run.measured(line, size)))
    for line, result in zip(lines, results, strict=True):
        result["goals"] = judged(line, result, results)

    return results


@contextlib.contextmanager
def _scratch(parent: Path) -> Generator[Path]:
    with tempfile.TemporaryDirectory(prefix="voipcard-bench-", dir=parent) as name:
        folder = Path(name)
        if filesystem(folder) in {"tmpfs", "ramfs"}:
            sys.stderr.write("the folder is in memory, so nothing durable is measured: give --folder on a disk\n")
        yield folder


def _parser() -> argparse.ArgumentParser:
    names = [line.name for line in LINES]
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measure the library beside hand-written code.")
    parser.add_argument("lines", nargs="*", metavar="LINE", help=f"all of them if none is given: {', '.join(names)}")
    parser.add_argument("--size", type=_positive, default=_BIG, help="how many cards a book has (default: %(default)s)")
    parser.add_argument("--rounds", type=_positive, help="how many rounds, instead of what each line has")
    parser.add_argument("--block", type=_positive, help="how many operations a block has at most")
    parser.add_argument(
        "--growth",
        type=_positive,
        nargs="?",
        const=_BIG,
        metavar="SIZE",
        help="measure the growing lines at 10,000 cards, ten times as many and so on up to SIZE (default: %(const)s)",
    )
    parser.add_argument("--profile", choices=names, metavar="LINE", help="show instead where our side spends its time")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()), help="where to make books")
    parser.add_argument("--json", type=Path, default=Path("build/bench.json"), help="default: %(default)s")

    return parser


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)

    return number


if __name__ == "__main__":
    # What a run that is ended leaves would be gigabytes, with keys beside them.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
