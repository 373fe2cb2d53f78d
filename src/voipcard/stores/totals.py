"""
Sums over ledger entries, for stores that can stream them but not group them cheaply.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any, cast

from voipcard.stores.contract import MAX_INTEGER, Grouping, Total

__all__ = ["totaled"]


def totaled(rows: Iterable[Sequence[Any]], by: Sequence[Grouping], periods: Sequence[int] = ()) -> list[Total]:
    """
    Sum amounts group by group.

    Args:
        rows: What the entries are grouped by, followed by their amount; for a period the moment of the entry.

        by: What they are grouped by.

        periods: The ascending moments at which a new period begins.
    """
    period = by.index("period") if "period" in by else None
    sums: dict[tuple[Any, ...], list[int]] = {}
    for row in rows:
        group = list(row[: len(by)])
        if period is not None:
            group[period] = bisect_right(periods, group[period])
        total = sums.setdefault(tuple(group), [0, 0, 0])
        total[0] += 1
        if row[-1] == MAX_INTEGER:
            total[2] += 1
        else:
            total[1] += row[-1]

    return [Total(cast("tuple[bytes | str | int, ...]", group), *total) for group, total in sorted(sums.items())]
