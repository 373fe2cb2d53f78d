"""
Sums over ledger entries, for stores that can stream them but not group them cheaply.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from voipcard.stores.contract import MAX_INTEGER, Grouping, Total

__all__ = ["MOMENTS", "SUMMED", "totaled"]

SUMMED: Final = ("amount", "seconds", "charged_seconds", "shortfall")
"""What of entries is summed, in the order in which `totaled` takes it."""

MOMENTS: Final[Mapping[str, str]] = {"period": "created_at", "start": "started_at"}
"""What the groupings by period go by."""


def totaled(rows: Iterable[Sequence[Any]], by: Sequence[Grouping], periods: Sequence[int] = ()) -> list[Total]:
    """
    Sum entries group by group.

    Args:
        rows: What the entries are grouped by, followed by what is `SUMMED`; for a period the moment it goes by.

        by: What they are grouped by.

        periods: The ascending moments at which a new period begins.
    """
    width = len(by)
    timed = [place for place, name in enumerate(by) if name in MOMENTS]
    sums: dict[tuple[Any, ...], list[int]] = {}
    for row in rows:
        group = list(row[:width])
        for place in timed:
            group[place] = 0 if group[place] is None else bisect_right(periods, group[place])
        total = sums.setdefault(tuple(group), [0, 0, 0, 0, 0, 0])
        amount, seconds, charged_seconds, shortfall = row[width:]
        total[0] += 1
        if amount == MAX_INTEGER:
            total[2] += 1
        else:
            total[1] += amount
        total[3] += seconds or 0
        total[4] += charged_seconds or 0
        total[5] += shortfall or 0

    return [Total(cast("tuple[bytes | str | int, ...]", group), *total) for group, total in sorted(sums.items())]
