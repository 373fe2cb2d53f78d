"""
Time zones, by the names that everybody has for them.
"""

from __future__ import annotations

from datetime import UTC, tzinfo
from zoneinfo import ZoneInfo

from voipcard.errors import InvalidValueError

__all__ = ["checked_zone"]


def checked_zone(name: str) -> tzinfo:
    """
    Give the time zone of this name.

    Raises:
        InvalidValueError: If it is not known.

    Example:
        >>> checked_zone("UTC")
        datetime.timezone.utc
    """
    if name == "UTC":  # Also where no time zones are installed.
        return UTC
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, TypeError, AttributeError, OSError):
        raise InvalidValueError("zone", "has to be a time zone by its IANA name, such as Europe/Bucharest") from None
