"""
When cards expire: on a date, or so many days after they were made, first used or last recharged.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import attrs

from voipcard.core.arguments import checked_integer
from voipcard.core.moments import days_later, from_micros, to_micros

__all__ = ["Expiry", "after_first_use", "after_recharge", "at_creation"]

MAX_DAYS: Final = 36_500
"""A hundred years: nobody sells cards for longer, and every moment that follows can be written."""


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else from_micros(to_micros(moment))


def _days(_: object, attribute: attrs.Attribute[int | None], value: int | None) -> None:
    if value is not None:
        checked_integer(attribute.name, value, at_least=1, at_most=MAX_DAYS)


@attrs.frozen(kw_only=True)
class Expiry:
    """
    When cards expire: the earliest moment of those that are given; without any, never.

    A day has 24 hours from the very moment. A card that has expired can no longer be used, and keeps its credit; it
    counts against the license until it is disabled.

    Attributes:
        at: A moment for all of them; an aware datetime.
        days_after_creation: So many days after the card was made, 1 to 36,500.
        days_after_first_use:
            So many days after a caller first got in with it, 1 to 36,500. Until then this sets no end, so most often
            another one goes with it.
        days_after_recharge:
            So many days after credit was last added by a recharge, 1 to 36,500. The initial credit counts as the first
            recharge. Taking credit away does not count, nor does a transfer. A recharge never makes a card expire
            earlier, and one of a card that has expired lets it be used again.

    Raises:
        InvalidValueError: If a number is out of its range or *at* is not aware.

    Example:
        >>> from datetime import UTC, datetime
        >>> expiry = Expiry(days_after_creation=365, days_after_first_use=90)
        >>> made, used = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
        >>> print(expiry.expires_at(made))
        2027-01-01 00:00:00+00:00
        >>> print(expiry.expires_at(made, first_used_at=used))
        2026-05-30 00:00:00+00:00
    """

    at: datetime | None = attrs.field(default=None, converter=_utc)
    days_after_creation: int | None = attrs.field(default=None, validator=_days)
    days_after_first_use: int | None = attrs.field(default=None, validator=_days)
    days_after_recharge: int | None = attrs.field(default=None, validator=_days)

    @classmethod
    def of_kept(cls, kept: Mapping[str, Any]) -> Expiry:
        """
        Give what `kept` was made from.
        """
        at = kept.get("at")

        return cls(**{**kept, "at": None if at is None else from_micros(at)})

    def kept(self) -> dict[str, int]:
        """
        Give what there is to keep of it, as JSON.
        """
        given = attrs.asdict(self, filter=lambda _, value: value is not None)

        return {name: to_micros(value) if isinstance(value, datetime) else value for name, value in given.items()}

    def expires_at(
        self, created_at: datetime, *, first_used_at: datetime | None = None, recharged_at: datetime | None = None
    ) -> datetime | None:
        """
        Give when a card expires of which this is known; None for never.

        Args:
            created_at: When it was made.

            first_used_at: When a caller first got in with it; None if nobody did.

            recharged_at: When credit was last added by a recharge; None if it never was.

        Raises:
            InvalidValueError: If a datetime is not aware.
        """
        micros = _earliest(
            _fixed(self, to_micros(created_at), None if first_used_at is None else to_micros(first_used_at)),
            days_later(to_micros(recharged_at or created_at), self.days_after_recharge),
        )

        return None if micros is None else from_micros(micros)


# What is kept of a card is a number of microseconds, moved when something happens to the card.


def at_creation(expiry: Expiry | None, created_at: int) -> int | None:
    """
    Give when a card expires that is made now; None for never.
    """
    if expiry is None:
        return None

    return _earliest(_fixed(expiry, created_at, None), days_later(created_at, expiry.days_after_recharge))


def after_first_use(expiry: Expiry | None, expires_at: int | None, now: int) -> int | None:
    """
    Give when a card expires that is used for the first time now, and expired at *expires_at* before.
    """
    return _earliest(expires_at, days_later(now, expiry.days_after_first_use) if expiry else None)


def after_recharge(
    expiry: Expiry | None, expires_at: int | None, *, created_at: int, first_used_at: int | None, now: int
) -> int | None:
    """
    Give when a card expires that is recharged now, and expired at *expires_at* before: never earlier than that.
    """
    # A card that never expires under such a rule was made so by an operator.
    if expiry is None or expiry.days_after_recharge is None or expires_at is None:
        return expires_at
    moved = _earliest(_fixed(expiry, created_at, first_used_at), days_later(now, expiry.days_after_recharge))

    return expires_at if moved is None else max(expires_at, moved)


def _fixed(expiry: Expiry, created_at: int, first_used_at: int | None) -> int | None:
    """
    Give the end that no recharge moves.
    """
    return _earliest(
        None if expiry.at is None else to_micros(expiry.at),
        days_later(created_at, expiry.days_after_creation),
        days_later(first_used_at, expiry.days_after_first_use),
    )


def _earliest(*moments: int | None) -> int | None:
    return min((moment for moment in moments if moment is not None), default=None)
