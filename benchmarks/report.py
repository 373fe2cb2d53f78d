"""
What the rounds of a line come to, as figures for JSON and as a table for people.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import median
from typing import Any, Final

from benchmarks.lines import Goal, Line

__all__ = ["have_same_answers", "judged", "summarized", "table"]

_MB: Final = 1e6
_OTHER_WORK: Final = "*"


def summarized(line: Line, measured: Mapping[str, Any]) -> dict[str, Any]:
    """
    Give the figures of a line in one run: medians of its rounds, and the rounds themselves.
    """
    rounds = measured["rounds"]
    figures = {name: [figure(round_) for round_ in rounds] for name, figure in _FIGURES.items()}
    fairness = [round_["ours"]["notes"]["fairness"] for round_ in rounds if "fairness" in round_["ours"]["notes"]]

    return {
        "name": line.name,
        "unit": line.unit,
        **measured,
        "rates": {side: median(_rate(round_[side]) for round_ in rounds) for side in ("ours", "baseline")},
        "ratio": _spread(figures["ratio"]),
        "extra_ms": _spread(figures["extra_ms"]),
        "fairness": _spread(fairness),
        "peak_mb": {side: max(round_[side]["peak"] for round_ in rounds) / _MB for side in ("ours", "baseline")},
        "above_result_mb": max((_above_result(round_["ours"]) for round_ in rounds), default=0) / _MB,
        "same_answers": all(map(_agreed, rounds)) if line.same_work else None,
    }


def judged(line: Line, result: Mapping[str, Any], results: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """
    Hold the figures of a line against its goals.

    Args:
        line: The line.

        result: Its figures.

        results: Those of all lines of the run: a goal can compare two.
    """
    rates = {(other["name"], other["size"]): other["rates"]["ours"] for other in results}
    goals = []
    for goal in line.goals:
        value = _value(goal, result, rates.get((goal.other, result["size"])))
        met = None if value is None else goal.is_met(value)
        goals.append({"goal": str(goal), "figure": goal.figure, "limit": goal.limit, "value": value, "met": met})

    return goals


def have_same_answers(results: Iterable[Mapping[str, Any]]) -> bool:
    """
    Tell whether both sides did the same in all lines where they have to.
    """
    return all(result["same_answers"] is not False for result in results)


def table(report: Mapping[str, Any]) -> str:
    """
    Write a report for people.
    """
    head = ("line", "cards", "ours/s", "baseline/s", "ratio (min-max)", "peak MB", "goal", "reached", "")
    rows = [head, *(row for result in report["lines"] for row in _rows(result))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths[:-1]))

    return "\n".join([*lines, "", *_footer(report)])


def _agreed(round_: Mapping[str, Any]) -> bool:
    agreed: bool = round_["ours"]["answer"] == round_["baseline"]["answer"]

    return agreed


def _rate(side: Mapping[str, Any]) -> float:
    rate: float = side["operations"] / side["seconds"]

    return rate


def _extra_ms(round_: Mapping[str, Any]) -> float:
    return 1000 / _rate(round_["ours"]) - 1000 / _rate(round_["baseline"])


_FIGURES: Final = {
    "ratio": lambda round_: _rate(round_["ours"]) / _rate(round_["baseline"]),
    "extra_ms": _extra_ms,
}


def _above_result(side: Mapping[str, Any]) -> int:
    above: int = side["peak"] - side["resident_before"] - side["notes"].get("result", 0)

    return above


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    return {"median": median(values), "min": min(values), "max": max(values)} if values else None


def _value(goal: Goal, result: Mapping[str, Any], other_rate: float | None) -> float | None:
    if goal.figure == "times_longer":
        return None if other_rate is None else other_rate / result["rates"]["ours"]
    if goal.figure == "peak_mb":
        peak: float = result["peak_mb"]["ours"]
        return peak
    figure = result[goal.figure]
    value: float | None = figure["median"] if isinstance(figure, Mapping) else figure

    return value


def _rows(result: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    ratio, peak, rates = result["ratio"], result["peak_mb"], result["rates"]
    facts = (
        result["name"] if result["same_answers"] is not None else f"{result['name']} {_OTHER_WORK}",
        f"{result['size']:,}",
        f"{rates['ours']:,.0f}",
        f"{rates['baseline']:,.0f}",
        f"{ratio['median']:.2f}× ({ratio['min']:.2f}-{ratio['max']:.2f})",
        f"{peak['ours']:.0f} / {peak['baseline']:.0f}",
    )
    for number, goal in enumerate(result["goals"]):
        yield (*(facts if number == 0 else [""] * len(facts)), goal["goal"], *_reached(result, goal))


def _reached(result: Mapping[str, Any], goal: Mapping[str, Any]) -> tuple[str, str]:
    if result["same_answers"] is False:
        return "the sides differ", "✗"
    if goal["met"] is None:
        return "not compared", ""
    least = f" (min {result['fairness']['min']:.2f})" if goal["figure"] == "fairness" else ""

    return f"{goal['value']:.2f}{least}", "✓" if goal["met"] else "✗"


def _footer(report: Mapping[str, Any]) -> Iterator[str]:
    if any(result["same_answers"] is None for result in report["lines"]):
        yield f"{_OTHER_WORK} the baseline does other work, so that no answers are compared, only rates"
    disk = [result["fdatasync_per_second"] for result in report["lines"] if result["fdatasync_per_second"]]
    if disk:
        yield f"disk: {median(disk):,.0f} fdatasync/s of 8 KiB ({min(disk):,.0f}-{max(disk):,.0f})"
    yield ", ".join(f"{name} {value}" for name, value in report["environment"].items() if value)
