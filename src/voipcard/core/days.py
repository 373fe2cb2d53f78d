"""
Days and months of a time zone: when they begin, whatever clocks do at midnight.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Final, Literal, TypeAlias

from voipcard.core.moments import FIRST, LAST, from_micros

__all__ = ["Unit", "midnight", "parts_of"]

Unit: TypeAlias = Literal["day", "month"]

_EPOCH: Final = date(1970, 1, 1).toordinal()
_MICROSECOND: Final = timedelta(microseconds=1)
_DAY: Final = timedelta(days=1) // _MICROSECOND
_LONGEST: Final = 3660 * _DAY
"""For how long a time days are told apart at once: ten years, so that few periods cross the border to a store."""

_SOON: Final = 2 * _DAY
"""How far ahead of now it is already tomorrow somewhere, with a day to spare for clocks that are wrong."""


def parts_of(first: int, last: int, *, zone: tzinfo, unit: Unit, now: int) -> list[tuple[int, date | None]]:
    """
    Cut a time into days or months of a zone, as far as there are not too many of them.

    Args:
        first: The first moment, in microseconds since 1970.

        last: The first moment after it.

        zone: The zone.

        unit: Whether to tell days or months.

        now: Around when something is to be expected.

    Returns:
        Where each part begins, ascending from *first* on, with its day or the first day of its month. A day may have
        several parts where clocks were turned back over midnight. None for a part of up to ten years of which days are
        not told: it is far from now, and has to be cut by itself.
    """
    if last - first <= _LONGEST:
        return list(_dated_parts(first, last, zone, unit))
    begin = max(first, min(now + _SOON, last) - _LONGEST)
    end = begin + _LONGEST

    return [
        *((moment, None) for moment in range(first, begin, _LONGEST)),
        *_dated_parts(begin, end, zone, unit),
        *((moment, None) for moment in range(end, last, _LONGEST)),
    ]


def midnight(day: date, zone: tzinfo) -> int:
    """
    Give the first moment of a day in a zone: midnight, or what comes next where clocks skipped it.
    """
    begins = min(
        (moment for moment in _midnights(day.toordinal(), zone) if _local(moment, zone) >= day),
        default=LAST,
    )

    return min(max(begins, FIRST), LAST)  # Of the first and the last day of all, only a part can be written in UTC.


def _dated_parts(first: int, last: int, zone: tzinfo, unit: Unit) -> Iterator[tuple[int, date]]:
    moments = {first}
    # One more on both sides: clocks may be turned over midnight to either day.
    before, after = _local(first, zone).toordinal() - 1, _local(last - 1, zone).toordinal() + 1
    for ordinal in range(max(before, 1), min(after, date.max.toordinal()) + 1):
        if unit == "day" or date.fromordinal(ordinal).day == 1:
            moments |= _midnights(ordinal, zone)
    shown: date | None = None
    for moment in sorted(moments):
        if first <= moment < max(last, first + 1):
            day = _local(moment, zone)
            label = day if unit == "day" else day.replace(day=1)
            if label != shown:
                yield moment, label
            shown = label


def _midnights(ordinal: int, zone: tzinfo) -> set[int]:
    """
    Give the moments at which a day may begin or end because of its midnight: most often it is one.
    """
    wall = datetime.combine(date.fromordinal(ordinal), time(), zone)
    naive = (ordinal - _EPOCH) * _DAY
    once, again = (naive - _offset(wall.replace(fold=fold)) for fold in (0, 1))
    if once == again:
        return {once}

    # Clocks are turned over midnight: it comes twice or not at all. Between the two is the moment when they are.
    below, above = min(once, again), max(once, again)
    offset = _offset_at(below, zone)
    while above - below > 1:
        middle = (below + above) // 2
        if _offset_at(middle, zone) == offset:
            below = middle
        else:
            above = middle

    return {once, again, above}


def _offset(moment: datetime) -> int:
    return (moment.utcoffset() or timedelta()) // _MICROSECOND


def _offset_at(micros: int, zone: tzinfo) -> int:
    return _offset(from_micros(min(max(micros, FIRST + _DAY), LAST - _DAY)).astimezone(zone))


def _local(micros: int, zone: tzinfo) -> date:
    """
    Tell on which day of a zone a moment is.
    """
    try:
        return from_micros(min(max(micros, FIRST), LAST)).astimezone(zone).date()
    except OverflowError:  # In the first or last hours of all there may be no such day.
        return date.min if micros < 0 else date.max
