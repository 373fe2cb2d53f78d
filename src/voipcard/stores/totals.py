"""
Sums over ledger entries, for stores that can stream them but not group them cheaply.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, cast

from voipcard.errors import NotABookError
from voipcard.stores.contract import MAX_INTEGER, Grouping, Total

__all__ = ["MOMENTS", "SUMMED", "sound", "totaled"]

SUMMED: Final = ("amount", "seconds", "charged_seconds", "shortfall")
"""What of entries is summed, in the order in which `totaled` takes it."""

MOMENTS: Final[Mapping[str, str]] = {"period": "created_at", "start": "started_at"}
"""What the groupings by period go by."""

_TYPES: Final[Mapping[Grouping, type]] = {"card": bytes, "period": int, "start": int}
"""What groups are made of, where it is not text."""

_DAMAGED: Final = "an entry is damaged"


def totaled(rows: Iterable[Sequence[Any]], by: Sequence[Grouping], periods: Sequence[int] = ()) -> list[Total]:
    """
    Sum entries group by group.

    Args:
        rows: What the entries are grouped by, followed by what is `SUMMED`; for a period the moment it goes by.

        by: What they are grouped by.

        periods: The ascending moments at which a new period begins.

    Raises:
        NotABookError: If something that is summed or grouped by cannot be.
    """
    try:
        return _totaled(rows, by, periods)
    except TypeError as error:
        raise NotABookError(_DAMAGED) from error


def sound(totals: list[Total], by: Sequence[Grouping]) -> list[Total]:
    """
    Give sums as they are, where the database does not see to it that columns have the types of their tables.

    Raises:
        NotABookError: If something that was summed or grouped by has another type.
    """
    shape = (*(_TYPES.get(name, str) for name in by), *[int] * (len(Total._fields) - 1))
    if any(tuple(map(type, (*total.group, *total[1:]))) != shape for total in totals):
        raise NotABookError(_DAMAGED)

    return totals


def _totaled(rows: Iterable[Sequence[Any]], by: Sequence[Grouping], periods: Sequence[int]) -> list[Total]:
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
        # An empty text is not nothing: it is damage.
        total[3] += 0 if seconds is None else seconds
        total[4] += 0 if charged_seconds is None else charged_seconds
        total[5] += 0 if shortfall is None else shortfall

    return [Total(cast("tuple[bytes | str | int, ...]", group), *total) for group, total in sorted(sums.items())]
