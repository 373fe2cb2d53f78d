"""
Drawing how the rates change as books grow: `python -m benchmarks.plot FILE.json OUT.svg`.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["drawn"]

_COLUMNS: Final = 3

_INK: Final = "#78818c"
_STYLES: Final[Mapping[str, Mapping[str, Any]]] = {
    "ours": {"color": "#3b82f6", "marker": "o", "label": "voipcard"},
    "baseline": {"color": "#d97706", "marker": "s", "linestyle": "--", "label": "by hand"},
}
"""All of these can be told from white and from black, and the two sides without their colors too."""

_SETTINGS: Final = {
    "svg.hashsalt": "voipcard",  # The same figures give the same file.
    "font.size": 9,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _INK),
}


def drawn(report: Mapping[str, Any], place: Path) -> None:
    """
    Draw the lines of a report that were measured at several sizes, each in a panel of its own.

    Args:
        report: What the benchmarks wrote as JSON.

        place: The file to write; its ending tells the format.

    Raises:
        ValueError: If no line was measured at several sizes.
    """
    grown = _grown(report)
    if not grown:
        message = "no line was measured at several sizes: run the benchmarks with --growth"
        raise ValueError(message)
    rows = math.ceil(len(grown) / _COLUMNS)
    # As many decades in each panel, so that slopes and distances compare.
    decades = max(high - low for low, high in map(_decades, grown))
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=(3.2 * _COLUMNS, 0.6 + 2.4 * rows), layout="constrained")
        panels: list[Axes] = figure.subplots(rows, _COLUMNS, squeeze=False).ravel().tolist()
        for panel, results in zip(panels, grown, strict=False):
            _panel(panel, results, decades)
        for panel in panels[len(grown) :]:
            panel.remove()
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper left", ncols=len(labels), frameon=False)
        figure.savefig(place, transparent=True, metadata={"Date": None} if place.suffix == ".svg" else None)


def _grown(report: Mapping[str, Any]) -> list[list[Mapping[str, Any]]]:
    lines: dict[str, list[Mapping[str, Any]]] = {}
    for result in report["lines"]:
        lines.setdefault(result["name"], []).append(result)

    return [sorted(results, key=lambda result: result["size"]) for results in lines.values() if len(results) > 1]


def _decades(results: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    rates = [rate for result in results for rate in result["rates"].values()]

    return math.floor(math.log10(min(rates))), math.ceil(math.log10(max(rates)))


def _panel(panel: Axes, results: Sequence[Mapping[str, Any]], decades: int) -> None:
    sizes = [result["size"] for result in results]
    for side, style in _STYLES.items():
        panel.plot(sizes, [result["rates"][side] for result in results], markersize=4, linewidth=1.5, **style)
    lowest, _ = _decades(results)
    panel.set(
        xscale="log",
        yscale="log",
        xticks=sizes,
        xlabel="cards",
        ylabel=f"{results[0]['unit']}/s",
        ylim=(10.0**lowest, 10.0 ** (lowest + decades)),
    )
    panel.set_title(results[0]["name"], loc="left", fontweight="bold")
    panel.minorticks_off()
    panel.grid(color=_INK, alpha=0.25, linewidth=0.5)
    panel.spines[["top", "right"]].set_visible(False)


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    drawn(json.loads(source.read_text()), target)
