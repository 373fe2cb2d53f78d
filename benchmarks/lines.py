"""
Everything that is measured, as a table: add a line here, and its two sides in `ours` and `baselines`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any, Final, Literal

from benchmarks.charges import MONTH

__all__ = ["LINES", "Goal", "Line", "Side"]

Figure = Literal["ratio", "fairness", "above_result_mb", "peak_mb", "extra_ms", "times_longer"]

WHOLE: Final = sys.maxsize
"""No limit: as many as `--size` says."""

SMALL: Final = 10_000


@dataclass(frozen=True)
class Goal:
    """
    What a line has to reach.

    Attributes:
        figure:
            Which of its figures: `ratio` is our rate over the baseline's, `fairness` the slowest thread over the
            fastest, `above_result_mb` the peak of memory above the result, `peak_mb` that peak itself, `extra_ms` how
            much longer an operation of ours takes than one of the baseline, `times_longer` how often longer it takes
            than an operation of *other*.
        limit: The figure that is reached at least, or at most where less is better.
        other: The line that `times_longer` compares with; it has to be in the same run.
    """

    figure: Figure
    limit: float
    other: str = ""

    @property
    def more_is_better(self) -> bool:
        """
        Whether the limit is a lower one.
        """
        return self.figure in {"ratio", "fairness"}

    def is_met(self, value: float) -> bool:
        """
        Tell whether a figure reaches the goal.
        """
        return value >= self.limit if self.more_is_better else value <= self.limit

    def __str__(self) -> str:
        sign = "≥" if self.more_is_better else "≤"
        form = {
            "ratio": "{sign} {limit:g}×",
            "fairness": "slowest thread {sign} {limit:g} of the fastest",
            "above_result_mb": "{sign} {limit:g} MB above the result",
            "peak_mb": "{sign} {limit:g} MB",
            "extra_ms": "{sign} {limit:g} ms longer",
            "times_longer": "{sign} {limit:g}× as long as {other}",
        }

        return form[self.figure].format(sign=sign, limit=self.limit, other=self.other)


@dataclass(frozen=True)
class Side:
    """
    One side of a line.

    Attributes:
        module: The module below `benchmarks` whose `prepare` gives the block.
        options: What it is told.
    """

    module: str
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Line:
    """
    One thing that is measured.

    Attributes:
        name: What it is called.
        unit: What an operation is.
        ours: The side of the library.
        baseline: The side of hand-written code.
        goals: What has to be reached.
        cards: How many cards the book has at most that both sides share; 0 if they share none.
        charges:
            How many charges for calls the book has besides, for each card of `--size`. A book on a server that has
            some is not copied: both sides only read it.
        block: How many operations a block has at most.
        rounds: How many rounds there are: in each, both sides do a block.
        warm: Whether both sides do a block before the first round, which does not count.
        fresh: Whether each round has new processes and new files.
        growing: Whether the size of the book matters, so that it is worth seeing how the figures grow.
        durable: Whether the speed of the disk matters.
        server: Whether both sides work on a database server, each in a database of its own with a copy of the book.
        same_work:
            Whether both sides do the same, so that the same comes out. Otherwise rates are compared and nothing else,
            and the table says so.
        requires: The libraries that it needs besides those of every line.
    """

    name: str
    unit: str
    ours: Side
    baseline: Side
    goals: tuple[Goal, ...]
    cards: int = WHOLE
    charges: int = 0
    block: int = WHOLE
    rounds: int = 7
    warm: bool = True
    fresh: bool = False
    growing: bool = False
    durable: bool = False
    server: bool = False
    same_work: bool = True
    requires: tuple[str, ...] = ()

    def lacking(self) -> str | None:
        """
        Say what is not installed that it needs; None if it can run.
        """
        wanted = (*self.requires, *(("psycopg", "sqlalchemy") if self.server else ()))
        if libraries := [library for library in wanted if not find_spec(library)]:
            return f"it needs {', '.join(libraries)}"
        if self.server:
            from benchmarks.databases import lacking

            return lacking()

        return None


_ALL_CARDS: Final = {"digits": "77777"}
_BY_32: Final = {"threads": 32}
_HOT: Final = {"hot": True}
_FIRST: Final = {"limit": 50, "deep": False}
_DEEP: Final = {"limit": 50, "deep": True}
_PRICES: Final = {"prefixes": 50_000, "tariffs": 2_000}
_CALLED: Final = {"prefixes": 5_000, "tariffs": 200, "dearest": 10_000}
_CSV: Final = {"suffix": ".csv"}
_XLSX: Final = {"suffix": ".xlsx"}


def _beside_pgbench(threads: int) -> Line:
    """
    Give the line of recharges by so many threads beside pgbench with as many connections.
    """
    return Line(
        name=f"pg-recharge-{threads}",
        unit="recharges",
        ours=Side("ours.recharge", {"threads": threads}),
        baseline=Side("baselines.pgbench", {"clients": threads, "scale": 10}),
        goals=(Goal("ratio", 1),),
        cards=SMALL,
        block=6_400,
        durable=True,
        server=True,
        same_work=False,
    )


LINES: Final = (
    Line(
        name="draw",
        unit="cards",
        ours=Side("ours.draw"),
        baseline=Side("baselines.draw"),
        goals=(Goal("ratio", 0.9),),
        cards=0,
        growing=True,
        requires=("numpy",),
    ),
    Line(
        name="issue",
        unit="cards",
        ours=Side("ours.issue"),
        baseline=Side("baselines.issue"),
        goals=(Goal("ratio", 0.33), Goal("above_result_mb", 100)),
        cards=1,
        rounds=3,
        warm=False,
        fresh=True,
        growing=True,
        durable=True,
    ),
    Line(
        name="find",
        unit="lookups",
        ours=Side("ours.find"),
        baseline=Side("baselines.find"),
        goals=(Goal("ratio", 0.5),),
        block=5_000,
        growing=True,
    ),
    Line(
        name="verify-pin",
        unit="PINs",
        ours=Side("ours.verify_pin"),
        baseline=Side("baselines.verify_pin"),
        goals=(Goal("ratio", 0.5),),
        block=5_000,
        growing=True,
    ),
    Line(
        name="authenticate",
        unit="callers",
        ours=Side("ours.authenticate"),
        baseline=Side("baselines.authenticate"),
        goals=(Goal("ratio", 0.5),),
        cards=SMALL,
        block=1_000,
        durable=True,
    ),
    Line(
        name="recharge",
        unit="recharges",
        ours=Side("ours.recharge"),
        baseline=Side("baselines.recharge"),
        goals=(Goal("ratio", 0.8),),
        cards=SMALL,
        block=2_000,
        durable=True,
    ),
    Line(
        name="recharge-32",
        unit="recharges",
        ours=Side("ours.recharge", _BY_32),
        baseline=Side("baselines.recharge"),
        goals=(Goal("ratio", 2.5), Goal("fairness", 0.5)),
        cards=SMALL,
        block=6_400,
        durable=True,
    ),
    Line(
        name="recharge-hot",
        unit="recharges",
        ours=Side("ours.recharge", {**_BY_32, **_HOT}),
        baseline=Side("ours.recharge", _HOT),
        goals=(Goal("ratio", 0.8),),
        cards=SMALL,
        block=3_200,
        durable=True,
    ),
    Line(
        name="recharge-many",
        unit="recharges",
        ours=Side("ours.recharge_many", {"cards": 1_000}),
        baseline=Side("baselines.recharge_many", {"cards": 1_000}),
        goals=(Goal("ratio", 0.6),),
        cards=SMALL,
        block=10_000,
        durable=True,
    ),
    Line(
        name="call",
        unit="calls",
        ours=Side("ours.call", _CALLED),
        baseline=Side("baselines.call", _CALLED),
        goals=(Goal("ratio", 0.7),),
        cards=SMALL,
        block=1_000,
        durable=True,
    ),
    Line(
        name="report",
        unit="charges",
        ours=Side("ours.report", MONTH),
        baseline=Side("baselines.report", MONTH),
        goals=(Goal("ratio", 0.83), Goal("peak_mb", 150)),
        cards=SMALL,
        charges=10,
        rounds=5,
    ),
    Line(
        name="recharge-during-report",
        unit="recharges",
        ours=Side("ours.recharge_during_report", MONTH),
        baseline=Side("ours.recharge"),
        goals=(Goal("ratio", 0.5),),
        cards=SMALL,
        charges=10,
        block=2_000,
        durable=True,
    ),
    Line(
        name="page-first",
        unit="pages",
        ours=Side("ours.page", _FIRST),
        baseline=Side("baselines.page", _FIRST),
        goals=(Goal("extra_ms", 1),),
        block=200,
        growing=True,
    ),
    Line(
        name="page-deep",
        unit="pages",
        ours=Side("ours.page", _DEEP),
        baseline=Side("baselines.page", _DEEP),
        goals=(Goal("extra_ms", 1), Goal("times_longer", 1.5, "page-first")),
        block=200,
        growing=True,
    ),
    Line(
        name="contains",
        unit="cards",
        ours=Side("ours.contains", _ALL_CARDS),
        baseline=Side("baselines.contains", _ALL_CARDS),
        goals=(Goal("ratio", 0.6),),
        rounds=3,
        warm=False,
        growing=True,
    ),
    Line(
        name="rate",
        unit="calls",
        ours=Side("ours.rate", _PRICES),
        baseline=Side("baselines.rate", _PRICES),
        goals=(Goal("ratio", 0.6),),
        cards=0,
    ),
    Line(
        name="export-csv",
        unit="cards",
        ours=Side("ours.export", _CSV),
        baseline=Side("baselines.export_csv"),
        goals=(Goal("ratio", 0.7), Goal("peak_mb", 40)),
        rounds=3,
        warm=False,
        fresh=True,
    ),
    Line(
        name="export-xlsx",
        unit="cards",
        ours=Side("ours.export", _XLSX),
        baseline=Side("baselines.export_xlsx"),
        goals=(Goal("ratio", 0.87), Goal("peak_mb", 80)),
        rounds=2,
        warm=False,
        fresh=True,
        requires=("openpyxl",),
    ),
    Line(
        name="upload-csv",
        unit="cards",
        ours=Side("ours.upload", _CSV),
        baseline=Side("baselines.upload_csv"),
        goals=(Goal("ratio", 0.33),),
        cards=1,
        rounds=3,
        warm=False,
        fresh=True,
        durable=True,
    ),
    Line(
        name="upload-xlsx",
        unit="cards",
        ours=Side("ours.upload", _XLSX),
        baseline=Side("baselines.upload_xlsx"),
        goals=(Goal("ratio", 0.8),),
        cards=1,
        block=200_000,
        rounds=3,
        warm=False,
        fresh=True,
        durable=True,
        requires=("openpyxl",),
    ),
    Line(
        name="import",
        unit="starts",
        ours=Side("ours.start"),
        baseline=Side("baselines.start"),
        goals=(Goal("extra_ms", 60),),
        cards=0,
        block=10,
    ),
    Line(
        name="pg-authenticate",
        unit="callers",
        ours=Side("ours.authenticate"),
        baseline=Side("baselines.pg_authenticate"),
        goals=(Goal("ratio", 0.5),),
        cards=SMALL,
        block=1_000,
        durable=True,
        server=True,
    ),
    Line(
        name="pg-recharge",
        unit="recharges",
        ours=Side("ours.recharge"),
        baseline=Side("baselines.pg_recharge"),
        goals=(Goal("ratio", 0.5),),
        cards=SMALL,
        block=2_000,
        durable=True,
        server=True,
    ),
    _beside_pgbench(8),
    _beside_pgbench(32),
    Line(
        name="pg-recharge-hot",
        unit="recharges",
        ours=Side("ours.recharge", {**_BY_32, **_HOT}),
        baseline=Side("ours.recharge", _HOT),
        goals=(Goal("ratio", 0.8),),
        cards=SMALL,
        block=3_200,
        durable=True,
        server=True,
    ),
    Line(
        name="pg-recharge-many",
        unit="recharges",
        ours=Side("ours.recharge_many", {"cards": 1_000}),
        baseline=Side("baselines.pg_recharge_many", {"cards": 1_000}),
        goals=(Goal("ratio", 0.5),),
        cards=SMALL,
        block=10_000,
        durable=True,
        server=True,
    ),
    Line(
        name="pg-report",
        unit="charges",
        ours=Side("ours.report", MONTH),
        baseline=Side("baselines.pg_report", MONTH),
        goals=(Goal("ratio", 0.9),),
        cards=SMALL,
        charges=10,
        rounds=5,
        server=True,
    ),
    Line(
        name="pg-issue",
        unit="cards",
        ours=Side("ours.issue"),
        baseline=Side("baselines.pg_issue"),
        goals=(Goal("ratio", 0.3),),
        cards=1,
        rounds=3,
        warm=False,
        fresh=True,
        durable=True,
        server=True,
    ),
)
