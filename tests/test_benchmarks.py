"""
The benchmarks: both sides of every line do the same work, by hand means without the library, and figures add up.

Nothing is said about time. Lines whose baseline needs a library that is not installed are left out, not skipped: numpy
is in the extra `bench` only. Lines that need a server are skipped where none is installed.
"""

from __future__ import annotations

import ast
import csv
import json
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import openpyxl
import pytest

import benchmarks
from benchmarks import __main__ as command
from benchmarks.baselines import ledger, macs
from benchmarks.books import Books
from benchmarks.driver import Run, Worker, WorkerError, parameters_of
from benchmarks.internals import hashed_bytes
from benchmarks.lines import LINES, Goal, Line, Side
from benchmarks.protocol import Parameters
from benchmarks.report import have_same_answers, judged, summarized, table
from benchmarks.sheets import upload_file, what_is_in
from benchmarks.worker import prepared
from voipcard.core.pins import weakness

SIZE: Final = 300
BLOCK: Final = 64

_ROOT: Final = Path(benchmarks.__file__).parent
_ALLOWED: Final = {
    *sys.stdlib_module_names,
    "pysqlite3",
    "benchmarks.prices",
    "benchmarks.protocol",
    "benchmarks.sheets",
}
_ALSO: Final = {
    "sealed": {"cryptography"},
    "draw": {"numpy"},
    "export_xlsx": {"openpyxl"},
    "upload_xlsx": {"openpyxl"},
    "sheets": {"openpyxl"},
    "server": {"psycopg"},
}
"""What a baseline may import besides."""

RUNNABLE: Final = [line for line in LINES if line.server or line.lacking() is None]
BY_NAME: Final = {line.name: line for line in LINES}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    Give the scratch folder of a run.
    """
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def run(folder: Path) -> Iterator[Run]:
    """
    Give a run of one round of tiny blocks.
    """
    with closing(Books(folder)) as books:
        yield Run(folder, books, rounds=1, block=BLOCK)


def _tiny(line: Line) -> Line:
    """
    Give a line without what takes long, and with digits that some of few codes contain.
    """
    smaller = {"digits": "77", "scale": 1, "prefixes": 500}
    sides = [
        replace(side, options={name: smaller.get(name, value) for name, value in side.options.items()})
        for side in _sides(line)
    ]

    return replace(
        line, ours=sides[0], baseline=sides[1], warm=False, block=min(line.block, 2 if line.cards == 0 else BLOCK)
    )


def _sides(line: Line) -> tuple[Side, Side]:
    return line.ours, line.baseline


def _skip_without_server(line: Line) -> None:
    if reason := line.lacking():
        pytest.skip(reason)


@pytest.mark.parametrize("line", RUNNABLE, ids=lambda line: line.name)
def test_both_sides_do_the_same(run: Run, line: Line) -> None:
    """
    Both sides of a line do as many operations, and the same comes out where they do the same work.
    """
    _skip_without_server(line)

    measured = run.measured(_tiny(line), SIZE)

    [round_] = measured["rounds"]
    assert round_["ours"]["operations"] == round_["baseline"]["operations"] > 0
    assert (round_["ours"]["answer"] == round_["baseline"]["answer"]) == line.same_work
    assert {side["operations"] / side["seconds"] > 0 < side["peak"] for side in round_.values()} == {True}
    assert (measured["fdatasync_per_second"] is not None) == line.durable


def test_a_side_that_does_something_else_is_noticed(run: Run) -> None:
    """
    A line whose sides come to different answers reaches no goal (control of the law above).
    """
    line = replace(_tiny(BY_NAME["contains"]), baseline=Side("baselines.contains", {"digits": "7"}))

    result = _result(run, line)

    assert not result["same_answers"]
    assert "the sides differ" in table({"environment": {}, "lines": [result]})
    assert not have_same_answers([result])


def test_a_line_whose_sides_do_other_work_says_so(run: Run) -> None:
    """
    Where answers cannot be compared the table marks the line, instead of looking as if they had been.
    """
    line = replace(_tiny(BY_NAME["contains"]), baseline=Side("baselines.contains", {"digits": "7"}), same_work=False)

    result = _result(run, line)
    marked, unmarked = (
        table({"environment": {}, "lines": [{**result, "same_answers": same}]})
        for same in (result["same_answers"], True)
    )

    assert have_same_answers([result])
    assert "\ncontains *  " in marked
    assert "* the baseline does other work" in marked
    assert "*" not in unmarked


def _result(run: Run, line: Line) -> dict[str, Any]:
    result = summarized(line, run.measured(line, SIZE))
    result["goals"] = judged(line, result, [result])

    return result


def test_a_worker_that_fails_is_noticed(folder: Path) -> None:
    """
    A side that cannot be prepared ends the run instead of giving figures.
    """
    parameters = Parameters(folder=folder, size=1, block=1, book=folder / "no-such-book.db")

    with pytest.raises(WorkerError):
        Worker(Side("baselines.find"), parameters, "find")


def test_answers_are_those_of_the_book(run: Run, tmp_path: Path) -> None:
    """
    What comes out is what the line says, not twice the same nothing.
    """
    answers = {line.name: _answer(line, run, tmp_path / line.name) for line in map(_tiny, RUNNABLE) if not line.server}

    assert len(answers["find"]) == len(answers["verify-pin"]) == BLOCK
    assert None not in answers["verify-pin"]
    assert len(answers["page-first"]) == len(answers["page-deep"]) == 50
    assert answers["page-first"] < answers["page-deep"]
    assert answers["contains"] > 0
    assert sum(count for _, _, count, *_ in answers["report"]) == 10 * SIZE
    assert len({day for day, *_ in answers["report"]}) * len({prefix for _, prefix, *_ in answers["report"]}) > 1_000
    assert answers["issue"] == BLOCK
    assert {answers[name][0] for name in ("export-csv", "export-xlsx")} == {SIZE}
    assert {tuple(answers[name][0]) for name in ("upload-csv", "upload-xlsx")} == {
        (BLOCK, BLOCK * 10_000_000, "PO-117")
    }
    assert max(answers["recharge-hot"])[1] == (10 + BLOCK) * ledger.AMOUNT
    assert {credit for _, credit in answers["recharge-many"]} == {11 * ledger.AMOUNT}
    assert all(0 < credit < 10 * ledger.AMOUNT for _, credit in answers["call"])


def test_answers_on_a_server_are_those_of_the_book(run: Run, tmp_path: Path) -> None:
    """
    The same on a server, where a book has a card before others are issued.
    """
    lines = [_tiny(line) for line in LINES if line.server]
    _skip_without_server(lines[0])

    answers = {line.name: _answer(line, run, tmp_path / line.name) for line in lines}

    assert answers["pg-issue"] == 1 + BLOCK
    assert sum(count for _, _, count, *_ in answers["pg-report"]) == 10 * SIZE
    assert max(answers["pg-recharge-hot"])[1] == (10 + BLOCK) * ledger.AMOUNT
    assert {credit for _, credit in answers["pg-recharge-many"]} == {11 * ledger.AMOUNT}
    assert {len(answers[name]) for name in ("pg-recharge", "pg-recharge-8", "pg-recharge-32")} == {BLOCK}


def _answer(line: Line, run: Run, folder: Path) -> Any:  # noqa: ANN401  (whatever a line answers)
    folder.mkdir()

    return prepared(
        line.ours.module, parameters_of(line, line.ours, size=SIZE, folder=folder, books=run.books)
    )().answer()


@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_what_is_in_a_file_is_told_by_header(tmp_path: Path, suffix: str) -> None:
    """
    Columns may stand in another order, also with one that only says how to read the file. Another cell is noticed.
    """
    heads = ["b", "a", "#guard"]
    rows = [["2026-01-02", f"{number}.50", ""] for number in range(20)]
    files = {
        "one": [heads, *rows],
        "turned": [["a", "b"], *([row[1], row[0]] for row in rows)],
        "changed": [heads, *rows[:18], ["2026-01-02", "x", ""], rows[19]],
        "shorter": [heads, *rows[:-1]],
    }

    found = {name: what_is_in(_written(tmp_path / f"{name}.{suffix}", table)) for name, table in files.items()}

    assert found["one"] == found["turned"]
    assert found["one"][0] == 20
    assert found["one"] not in [found["changed"], found["shorter"]]


def _written(path: Path, table: list[list[str]]) -> Path:
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, quoting=csv.QUOTE_ALL).writerows(table)
    else:
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet()
        for row in table:
            sheet.append(row)
        book.save(path)

    return path


def test_uploads_have_nothing_to_complain_about(tmp_path: Path) -> None:
    """
    The rows of an upload are different codes, and their PINs are not weak.
    """
    path = tmp_path / "upload.csv"

    upload_file(path, 500)

    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert len({code for code, *_ in rows}) == 500
    assert {(len(code), len(pin), order, credit) for code, pin, order, credit in rows} == {(13, 6, "PO-117", "10.00")}
    assert {weakness(pin, code) for code, pin, *_ in rows} == {None}


@pytest.mark.parametrize("name", ["call", "recharge", "recharge-many", "pg-recharge", "pg-recharge-many"])
def test_both_sides_hash_as_much(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """
    By hand as many MACs are computed as in the library, over as many bytes up to a tenth.
    """
    line = replace(_tiny(BY_NAME[name]), block=1)
    _skip_without_server(line)
    blocks = []
    for side in _sides(line):
        own = tmp_path / side.module
        own.mkdir()
        blocks.append(prepared(side.module, parameters_of(line, side, size=SIZE, folder=own, books=run.books)))
        blocks[-1]()  # What is read only once is read by now.
    with hashed_bytes() as ours:
        blocks[0]()
    by_hand: list[int] = []
    written = macs.written

    def noted(fields: tuple[object, ...]) -> bytes:
        by_hand.append(len(written(fields)))

        return written(fields)

    monkeypatch.setattr(macs, "written", noted)
    blocks[1]()

    needed = [size for part, size in ours if part != "content"]
    assert len(by_hand) == len(needed)
    assert sum(by_hand) == pytest.approx(sum(needed), rel=0.1)


# What baselines import


def _imported(source: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or ".")

    return found


def _forbidden(name: str, source: str) -> Iterator[str]:
    for module in _imported(source):
        is_fine = module in _ALLOWED or module.partition(".")[0] in _ALLOWED | _ALSO.get(name, set())
        if not is_fine and not module.startswith("benchmarks.baselines."):
            yield module


@pytest.mark.parametrize(
    "path",
    [*sorted((_ROOT / "baselines").glob("*.py")), _ROOT / "prices.py", _ROOT / "protocol.py", _ROOT / "sheets.py"],
    ids=lambda path: path.stem,
)
def test_by_hand_means_without_the_library(path: Path) -> None:
    """
    A baseline imports the standard library and the driver only, and what its line is about.
    """
    assert list(_forbidden(path.stem, path.read_text())) == []


def test_a_baseline_that_uses_the_library_is_noticed() -> None:
    """
    Our own side would be refused as a baseline, and so would a library that another line is about (control).
    """
    assert set(_forbidden("find", (_ROOT / "ours" / "find.py").read_text())) == {"benchmarks.ours.book"}
    assert list(_forbidden("find", "import voipcard")) == ["voipcard"]
    assert list(_forbidden("find", "import numpy as np")) == ["numpy"]
    assert list(_forbidden("find", "from . import book")) == ["."]


# The command and its report


def test_the_command_writes_table_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    The command measures the lines that are named, shows their goals, writes all rounds as JSON, and leaves nothing.
    """
    place, scratch = tmp_path / "build" / "bench.json", tmp_path / "scratch"
    scratch.mkdir()
    settings = ["--size", "60", "--rounds", "2", "--block", "5", "--folder", str(scratch), "--json", str(place)]

    status = command.main(["page-first", "page-deep", *settings])

    report = json.loads(place.read_text())
    shown = capsys.readouterr().out
    assert status == 0
    assert [(line["name"], len(line["rounds"])) for line in report["lines"]] == [("page-first", 2), ("page-deep", 2)]
    assert [goal["value"] is not None for goal in report["lines"][1]["goals"]] == [True, True]
    assert "≤ 1.5× as long as page-first" in shown
    assert str(tmp_path) not in place.read_text() + shown
    assert list(scratch.iterdir()) == []


def test_a_profile_names_functions_of_the_library(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A profile shows where our side spends its time.
    """
    command.main(["--profile", "find", "--size", "20", "--folder", str(tmp_path)])

    assert "searching.py" in capsys.readouterr().out


def test_a_line_that_is_unknown_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """
    A typing error measures nothing.
    """
    with pytest.raises(SystemExit):
        command.main(["recharges"])

    assert "no such line: recharges" in capsys.readouterr().err


def test_the_readme_tells_of_every_line() -> None:
    """
    Whoever reads the table can look up what each of its lines measures.
    """
    text = (_ROOT / "README.md").read_text()

    assert [line.name for line in LINES if f"`{line.name}`" not in text] == []


def test_growth_goes_by_powers_of_ten() -> None:
    """
    Growing lines are measured at each power of ten from 10,000 on; the others are left out.
    """
    assert command.sizes_of(BY_NAME["find"], size=5, growth=None) == [5]
    assert command.sizes_of(BY_NAME["find"], size=5, growth=1_000_000) == [10_000, 100_000, 1_000_000]
    assert command.sizes_of(BY_NAME["recharge"], size=5, growth=1_000_000) == []


def _side(seconds: float, **notes: float) -> dict[str, Any]:
    return {
        "operations": 10,
        "seconds": seconds,
        "peak": 9e6,
        "resident_before": 4e6,
        "answer": "same",
        "notes": notes,
    }


def test_goals_are_held_against_medians() -> None:
    """
    Ratios are taken round by round; the median of them decides, and what is not measured decides nothing.
    """
    goals = (
        Goal("ratio", 2),
        Goal("fairness", 0.6),
        Goal("above_result_mb", 3),
        Goal("peak_mb", 8),
        Goal("extra_ms", -1),
        Goal("times_longer", 1, "find"),
    )
    line = replace(BY_NAME["recharge"], goals=goals)
    rounds = [
        {"ours": _side(1, fairness=0.5, result=1e6), "baseline": _side(baseline, result=0)} for baseline in (1, 2, 8)
    ]
    result = summarized(line, {"size": 1, "fdatasync_per_second": None, "rounds": rounds})

    reached = {goal["figure"]: (goal["value"], goal["met"]) for goal in judged(line, result, [result])}

    assert reached == {
        "ratio": (2, True),
        "fairness": (0.5, False),
        "above_result_mb": (4, False),
        "peak_mb": (9, False),
        "extra_ms": (-100, True),
        "times_longer": (None, None),
    }
    assert result["ratio"] == {"median": 2, "min": 1, "max": 8}


if find_spec("numpy"):

    def test_numpy_draws_by_the_same_rules() -> None:
        """
        What the baseline draws the library would accept, and it refuses as many PINs.
        """
        import voipcard
        from benchmarks.baselines.draw import draw, weak_pins
        from voipcard.core.pins import weak_count

        weak = weak_pins()
        codes, pins = draw(2_000, weak)

        assert weak.sum() == weak_count(6)
        assert [voipcard.CodeFormat().check(code) for code in codes] == codes
        assert set(map(weakness, pins, codes)) == {None}
        assert len(set(codes)) == len(pins) == 2_000


if find_spec("matplotlib"):

    def test_a_drawing_is_the_same_each_time(tmp_path: Path) -> None:
        """
        The same figures give the same file; a report of one size cannot be drawn.
        """
        from benchmarks.plot import drawn

        lines = [
            {"name": "find", "unit": "lookups", "size": size, "rates": {"ours": 5e4, "baseline": 1e9 / size}}
            for size in (100_000, 10_000)
        ]
        places = [tmp_path / "one.svg", tmp_path / "two.svg"]
        for place in places:
            drawn({"lines": lines}, place)

        assert places[0].read_bytes() == places[1].read_bytes()
        assert b"find" in places[0].read_bytes()
        with pytest.raises(ValueError, match="--growth"):
            drawn({"lines": lines[:1]}, places[0])
