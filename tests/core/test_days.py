"""
Days and months of time zones: every moment is in the day that Python says, whatever clocks do at midnight.
"""

from __future__ import annotations

import zoneinfo
from bisect import bisect_right
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final, Literal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from voipcard.core.days import midnight, parts_of
from voipcard.core.moments import FIRST, LAST, from_micros, to_micros

DAY: Final = 86_400_000_000
TEN_YEARS: Final = 3660 * DAY

ODD: Final = [
    "UTC",
    "Europe/Bucharest",
    "Asia/Kathmandu",  # 5:45 from UTC
    "Australia/Lord_Howe",  # turns its clocks by half an hour
    "America/St_Johns",  # turned them a minute after midnight until 2011: the day before came again for an hour
    "America/Sao_Paulo",  # had no midnight when summer began
    "Africa/Cairo",  # has none when summer begins
    "Pacific/Apia",  # had no 30th of December 2011
    "Asia/Manila",  # had no 31st of December 1844
    "America/Juneau",  # had the 18th of October 1867 twice
]

AROUND: Final = [-1, 0, 1, *(minutes * 60_000_000 for minutes in (-90, -59, -30, -1, 1, 30, 59, 90))]
"""How far from where a part begins clocks may have been turned."""

zones: Final = st.sampled_from([*ODD, *sorted(zoneinfo.available_timezones())]).map(ZoneInfo)
days: Final = st.dates(date(1840, 1, 1), date(2110, 1, 1))


def local(micros: int, zone: tzinfo) -> date:
    """
    Tell the day as Python does.
    """
    return from_micros(micros).astimezone(zone).date()


def told(parts: list[tuple[int, date | None]], moment: int) -> date | None:
    """
    Tell the day of a moment as the parts do.
    """
    return parts[bisect_right([begin for begin, _ in parts], moment) - 1][1]


@given(
    zones,
    days,
    st.integers(1, 400 * DAY),
    st.lists(st.integers(0, 400 * DAY), min_size=1, max_size=5),
    st.sampled_from(["day", "month"]),
)
@example(ZoneInfo("America/St_Johns"), date(2009, 10, 30), 5 * DAY, [], "day")
@example(ZoneInfo("Pacific/Apia"), date(2011, 12, 28), 5 * DAY, [], "day")
@example(ZoneInfo("America/Juneau"), date(1867, 10, 15), 9 * DAY, [], "month")
def test_every_moment_is_in_its_day(
    zone: tzinfo, day: date, length: int, offsets: list[int], unit: Literal["day", "month"]
) -> None:
    """
    A time is cut at ascending moments, and each moment of it is in the part with its day, or its month.
    """
    first = to_micros(datetime(day.year, day.month, day.day, tzinfo=UTC))
    parts = parts_of(first, first + length, zone=zone, unit=unit, now=first)
    begins = [begin for begin, _ in parts]
    moments = [first, first + length - 1, *(first + offset % length for offset in offsets)]
    moments += [begin + away for begin in begins for away in AROUND]
    moments = [moment for moment in moments if first <= moment < first + length]
    expected = [local(moment, zone) for moment in moments]
    if unit == "month":
        expected = [each.replace(day=1) for each in expected]

    assert begins == sorted(set(begins))
    assert begins[0] == first
    assert [told(parts, moment) for moment in moments] == expected


@given(zones, days, st.integers(-2 * DAY, 2 * DAY))
@example(ZoneInfo("Pacific/Apia"), date(2011, 12, 30), 0)
@example(ZoneInfo("America/Sao_Paulo"), date(2017, 10, 15), 0)
@example(ZoneInfo("America/St_Johns"), date(2009, 11, 1), 0)
def test_midnight_is_the_first_moment_of_a_day(zone: tzinfo, day: date, away: int) -> None:
    """
    Before a day begins it is an earlier one, and no moment of it, or of a later day, comes before.
    """
    moment = midnight(day, zone)

    assert local(moment - 1, zone) < day <= local(moment, zone)
    assert (local(moment + away, zone) < day) or away >= 0


@pytest.mark.parametrize(
    "zone,day,hours",
    [
        ("Europe/Bucharest", date(2026, 3, 29), 23),
        ("Europe/Bucharest", date(2026, 10, 25), 25),
        ("Australia/Lord_Howe", date(2026, 4, 5), 24.5),
        ("Africa/Cairo", date(2026, 4, 24), 23),
        ("UTC", date(2026, 3, 29), 24),
    ],
)
def test_days_are_as_long_as_clocks_make_them(zone: str, day: date, hours: float) -> None:
    """
    A day has 23 or 25 hours when clocks are turned, or half an hour less.
    """
    length = midnight(day + timedelta(days=1), ZoneInfo(zone)) - midnight(day, ZoneInfo(zone))

    assert length == hours * 3_600_000_000


@given(zones, st.sampled_from(["day", "month"]), st.datetimes(datetime(1950, 1, 1), datetime(2090, 1, 1)))  # noqa: DTZ001
def test_what_is_far_away_is_not_cut_into_days(zone: tzinfo, unit: Literal["day", "month"], now: datetime) -> None:
    """
    Of all time, ten years up to now are cut into days, and the rest into parts of at most ten years.

    So a store is never given more than 5,000 periods.
    """
    around = to_micros(now.replace(tzinfo=UTC))
    parts = parts_of(FIRST, LAST + 1, zone=zone, unit=unit, now=around)
    begins = [begin for begin, _ in parts]
    ends = [*begins[1:], LAST + 1]

    assert begins == sorted(set(begins))
    assert begins[0] == FIRST
    assert len(parts) < 5000
    assert max(end - begin for begin, end in zip(begins, ends, strict=True)) <= TEN_YEARS
    assert told(parts, around) == (local(around, zone) if unit == "day" else local(around, zone).replace(day=1))
    assert {day for begin, day in parts if begin < around - TEN_YEARS or begin > around + 3 * DAY} == {None}


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago"])
def test_the_first_and_the_last_day_can_be_told(zone: str) -> None:
    """
    Where a zone has no day any more for a moment of UTC, the nearest one is told.
    """
    first = parts_of(FIRST, FIRST + DAY, zone=ZoneInfo(zone), unit="day", now=0)
    last = parts_of(LAST - DAY, LAST + 1, zone=ZoneInfo(zone), unit="day", now=0)

    assert first[0][1] == date.min
    assert last[-1][1] == date.max
    assert FIRST <= midnight(date.min, ZoneInfo(zone)) <= midnight(date.max, ZoneInfo(zone)) <= LAST
