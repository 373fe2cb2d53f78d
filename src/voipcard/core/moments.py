"""
Moments: aware UTC datetimes for people, whole microseconds since 1970 for records.
"""

from __future__ import annotations

import functools
from datetime import UTC, datetime, timedelta
from typing import Final

from voipcard.errors import InvalidValueError

__all__ = ["FIRST", "LAST", "days_later", "from_micros", "to_micros"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DAY: Final = timedelta(days=1) // _MICROSECOND
FIRST: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND
LAST: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MICROSECOND


def to_micros(moment: datetime) -> int:
    """
    Count the microseconds since 1970.

    Raises:
        InvalidValueError: If *moment* is no datetime, does not say which time zone it is in, or is in no year from 1 to
            9999 of UTC.
    """
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        raise InvalidValueError("moment", "has to be an aware datetime, such as datetime.now(UTC)")
    micros = (moment - _EPOCH) // _MICROSECOND
    if not FIRST <= micros <= LAST:
        raise InvalidValueError("moment", "has to be in a year from 1 to 9999, in UTC")

    return micros


@functools.lru_cache(maxsize=1024)  # A page of cards that were made together has one moment.
def from_micros(micros: int) -> datetime:
    """
    Give the moment, in UTC.
    """
    return _EPOCH + timedelta(microseconds=micros)


def days_later(micros: int | None, days: int | None) -> int | None:
    """
    Give the moment so many days later, or the last one that can be written; None where one of both is not there.
    """
    return None if micros is None or days is None else min(micros + days * _DAY, LAST)
