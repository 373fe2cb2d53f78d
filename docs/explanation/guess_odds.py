"""
Draw how likely it is that somebody guesses a code: guess-odds-light.svg and guess-odds-dark.svg, beside this file.

    python docs/explanation/guess_odds.py

Needs matplotlib, which the extra `bench` brings. The same version of it draws the same bytes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from voipcard import CodeFormat, Policy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HERE: Final = Path(__file__).parent

POLICY: Final = Policy()
LOWEST: Final = 1e-7
ACTIVE: Final = [round(10 ** (tenth / 20)) for tenth in range(40, 141)]
"""From a hundred codes to ten million."""

LINES: Final = ((8, 4, 0.25), (10, 4, 2e-2), (12, 4, 3e-5), (14, 4, 3e-6), (12, 0, 0.1), (16, 0, 4e-4))
"""Random digits of the code, digits of the PIN, and at which probability the line has room for its name."""

THEMES: Final = {
    "light": {"text": "#1b1c1e", "grid": "#d9dbde", "pin": "#0b63b5", "bare": "#b3540a", "limit": "#a0182c"},
    "dark": {"text": "#e3e4e6", "grid": "#3b3d42", "pin": "#6fb1f5", "bare": "#f0a35c", "limit": "#ff8a94"},
}
"""Colors that can be read on the white and on the black background of the pages."""


def draw_line(axes: Axes, length: int, pin_length: int, *, height: float, color: str) -> None:
    """
    Draw one format, and write what it is below the line, where it crosses *height*.
    """
    odds = [CodeFormat(length).odds(active, POLICY.guesses, pin_length=pin_length) for active in ACTIVE]
    axes.plot(ACTIVE, odds, color=color, linewidth=1.8, linestyle="-" if pin_length else (0, (5, 2)))
    what = f"{length} digits and a PIN" if pin_length else f"{length} digits, no PIN"
    at = min(range(len(ACTIVE)), key=lambda number: abs(odds[number] - height))
    axes.annotate(
        what,
        (ACTIVE[at], odds[at]),
        xytext=(5, -9),
        textcoords="offset points",
        color=color,
        fontsize=9,
        ha="left",
        va="center",
    )


def draw(theme: str) -> None:
    """
    Draw the picture in the colors of one theme.
    """
    colors = THEMES[theme]
    figure = Figure(figsize=(7.6, 4.6), layout="constrained")
    axes = figure.add_subplot()
    axes.set(
        xscale="log",
        yscale="log",
        xlim=(ACTIVE[0], ACTIVE[-1]),
        ylim=(LOWEST, 1.5),
        xlabel="active codes",
        ylabel=f"probability within a year, {POLICY.guesses / 1e6:.1f} million guesses",
    )
    axes.grid(color=colors["grid"], linewidth=0.6)
    for length, pin_length, height in LINES:
        draw_line(axes, length, pin_length, height=height, color=colors["pin" if pin_length else "bare"])
    axes.axhline(POLICY.odds_limit, color=colors["limit"], linewidth=1.2)
    axes.annotate(
        "accepted by default",
        (ACTIVE[0], POLICY.odds_limit),
        xytext=(6, 8),
        textcoords="offset points",
        color=colors["limit"],
        fontsize=9,
        va="center",
    )
    axes.tick_params(colors=colors["text"], which="both")
    for part in (axes.xaxis.label, axes.yaxis.label):
        part.set_color(colors["text"])
    for spine in axes.spines.values():
        spine.set_color(colors["grid"])
    target = HERE / f"guess-odds-{theme}.svg"
    figure.savefig(target, transparent=True, metadata={"Date": None, "Creator": None})
    print(target.name)


if __name__ == "__main__":
    # Text as paths, so that the picture looks the same whatever fonts there are.
    mpl.rcParams.update({"svg.hashsalt": "voipcard", "svg.fonttype": "path", "font.size": 10})
    for name in THEMES:
        draw(name)
