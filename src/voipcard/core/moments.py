"""
Moments: aware UTC datetimes for people, whole microseconds since 1970 for records.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from voipcard.errors import InvalidValueError

__all__ = ["from_micros", "to_micros"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """
    Count the microseconds since 1970.

    Raises:
        InvalidValueError: If *moment* does not say which time zone it is in.
    """
    if moment.utcoffset() is None:
        raise InvalidValueError("moment", "has to be an aware datetime, such as datetime.now(UTC)")

    return (moment - _EPOCH) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """
    Give the moment, in UTC.
    """
    return _EPOCH + timedelta(microseconds=micros)
