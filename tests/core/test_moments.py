"""
Moments: no microsecond is lost, and time zones change nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voipcard.core.moments import from_micros, to_micros
from voipcard.errors import InvalidValueError

zones: Final = st.one_of(
    st.just(UTC),
    st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    st.sampled_from(["Europe/Bucharest", "America/New_York", "Asia/Kathmandu"]).map(ZoneInfo),
)
moments: Final = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=zones)  # noqa: DTZ001


class Silent(tzinfo):
    """
    A time zone that does not say how far from UTC it is: to Python, its datetimes are naive.
    """

    def utcoffset(self, _: datetime | None) -> None:
        """
        Say nothing.
        """

    dst = utcoffset

    def tzname(self, _: datetime | None) -> str:
        """
        Say a name, which says nothing.
        """
        return "nowhere"


@given(st.datetimes(timezones=st.just(UTC)))
def test_moments_come_back_equal(moment: datetime) -> None:
    """
    Every moment that Python knows survives, to the microsecond.
    """
    back = from_micros(to_micros(moment))

    assert moment == back
    assert back.tzinfo is UTC


@given(st.integers(to_micros(datetime.min.replace(tzinfo=UTC)), to_micros(datetime.max.replace(tzinfo=UTC))))
def test_microseconds_come_back_equal(micros: int) -> None:
    """
    Every number of microseconds within Python's calendar survives.
    """
    assert micros == to_micros(from_micros(micros))


@given(moments)
def test_time_zones_do_not_matter(moment: datetime) -> None:
    """
    The same moment is the same number, wherever it is told; summer time and repeated hours included.
    """
    assert to_micros(moment.astimezone(UTC)) == to_micros(moment)


@given(moments, moments)
def test_numbers_are_ordered_as_moments(first: datetime, second: datetime) -> None:
    """
    Earlier moments are smaller numbers, and the distance is that of the moments.
    """
    distance = second.astimezone(UTC) - first.astimezone(UTC)

    assert distance == timedelta(microseconds=to_micros(second) - to_micros(first))


def test_counting_begins_with_1970() -> None:
    """
    The numbers are those of Unix time, in microseconds.
    """
    assert to_micros(datetime(1970, 1, 1, tzinfo=UTC)) == 0
    assert to_micros(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1
    assert to_micros(datetime(2026, 3, 14, 12, 30, 15, 250_000, tzinfo=UTC)) == 1_773_491_415_250_000


@given(st.datetimes(timezones=zones))
def test_every_moment_comes_back_or_is_refused(moment: datetime) -> None:
    """
    At the ends of the calendar a moment may be in no year of UTC: what could not be shown again is refused.
    """
    try:
        micros = to_micros(moment)
    except InvalidValueError:
        assert moment.year in {1, 9999}
    else:
        assert from_micros(micros) - moment == timedelta(0)


@pytest.mark.parametrize(
    "moment",
    [
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=1))),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_a_moment_outside_of_the_calendar_is_refused(moment: datetime) -> None:
    """
    The first and the last hours of the calendar are no moments in every time zone.
    """
    with pytest.raises(InvalidValueError):
        to_micros(moment)


@pytest.mark.parametrize("moment", [datetime(2026, 3, 14), datetime(2026, 3, 14, tzinfo=Silent())])  # noqa: DTZ001
def test_a_moment_without_a_time_zone_is_refused(moment: datetime) -> None:
    """
    What Python calls naive could be any of some fifty moments.
    """
    with pytest.raises(InvalidValueError) as caught:
        to_micros(moment)
    assert caught.value.name == "moment"
