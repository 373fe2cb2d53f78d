"""
How many codes may be active, who says so and until when, and how many are.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import attrs

from voipcard.core.arguments import checked_integer, checked_text
from voipcard.core.moments import from_micros, to_micros
from voipcard.errors import InvalidValueError

__all__ = ["CLOCK_TOLERANCE", "License", "LicenseState", "Quota", "Recorded", "SignedLicense"]

CLOCK_TOLERANCE: Final = timedelta(days=1)
"""
How far a clock may be behind the newest moment that is known before a license that expires is not judged by it.
Machines that share a book may disagree by hours where somebody took local time for UTC; whoever sets a clock back to
use a license for longer needs more than that.
"""

_BOOK_ID: Final = re.compile("[0-9a-f]{32}", re.ASCII)


def _checked_moment(_: object, field: attrs.Attribute[datetime | None], value: datetime | None) -> None:
    if value is not None and (not isinstance(value, datetime) or value.utcoffset() is None):
        raise InvalidValueError(field.name, "has to be an aware datetime, such as datetime.now(UTC)")


def _in_utc(value: datetime | None) -> datetime | None:
    is_aware = isinstance(value, datetime) and value.utcoffset() is not None

    return from_micros(to_micros(value)) if value is not None and is_aware else value


def _issued(value: datetime) -> datetime:
    if not isinstance(value, datetime) or value.utcoffset() is None:
        raise InvalidValueError("issued_at", "has to be an aware datetime, such as datetime.now(UTC)")

    return from_micros(to_micros(value))


def _not_empty(_: object, field: attrs.Attribute[str], value: str) -> None:
    if not checked_text(field.name, value):
        raise InvalidValueError(field.name, "has no characters")


@attrs.frozen
class License:
    """
    How many card codes of a book may be enabled at once, over all of its extensions.

    Attributes:
        max_active_codes: The largest number, zero or more; None for any number.

    Example:
        >>> License(max_active_codes=1000)
        License(max_active_codes=1000)
    """

    max_active_codes: int | None = attrs.field(default=None)

    @max_active_codes.validator
    def _is_a_number(self, _: object, value: int | None) -> None:
        if value is not None:
            checked_integer("max_active_codes", value, at_least=0)

    @classmethod
    def unlimited(cls) -> License:
        """
        Give the license that allows any number of active codes.
        """
        return cls()


@attrs.frozen(kw_only=True)
class SignedLicense(License):
    """
    A license that somebody has signed, as its text says it. Get one from `read_license`.

    What counts is the text: whoever makes one of these by hand has no license.

    Attributes:
        id: What the vendor calls it: 1 to 255 characters.
        customer: Whom it is for: 1 to 255 characters.
        book_id: The `CardBook.id` of the book that it is for; None for any book.
        issued_at: When it was signed, in UTC. A book that has seen it takes none that was signed before.
        not_before: From when on it holds, in UTC; None for always.
        expires_at: From when on it does not hold any more, in UTC; None for never.
        key_id: Which key signed it.
        text: The signed text.
    """

    id: str = attrs.field(validator=_not_empty)
    customer: str = attrs.field(validator=_not_empty)
    book_id: str | None = attrs.field()
    issued_at: datetime = attrs.field(converter=_issued)
    not_before: datetime | None = attrs.field(converter=_in_utc, validator=_checked_moment)
    expires_at: datetime | None = attrs.field(converter=_in_utc, validator=_checked_moment)
    key_id: str
    text: str = attrs.field(repr=False)

    @book_id.validator
    def _is_a_book(self, _: object, value: str | None) -> None:
        if value is not None and not (isinstance(value, str) and _BOOK_ID.fullmatch(value)):
            raise InvalidValueError("book_id", "has to be the id of a book, 32 hexadecimal digits, or None")

    def __attrs_post_init__(self) -> None:
        if self.expires_at is not None and self.expires_at <= (self.not_before or self.issued_at):
            raise InvalidValueError("expires_at", "is not after the license begins to hold")

    def problem(self, *, book_id: str, newest: datetime | None, now: datetime, last_seen: datetime) -> str:
        """
        Tell why the license does not hold, in the words of `LicenseError.reason`; empty if it does.

        Args:
            book_id: The book that it is to hold for.
            newest: When the newest license that the book has seen was signed; None if it has seen none.
            now: What the clock says.
            last_seen: The newest moment that the book has recorded.
        """
        if self.book_id not in {None, book_id}:
            return "foreign"
        if newest is not None and self.issued_at < newest:
            return "older"
        if self.expires_at is not None and max(last_seen, self.issued_at) - now > CLOCK_TOLERANCE:
            return "clock"
        if self.not_before is not None and now < self.not_before:
            return "not_yet_valid"
        if self.expires_at is not None and now >= self.expires_at:
            return "expired"

        return ""


class Recorded(NamedTuple):
    """
    What the audit trail of a book has recorded, in microseconds.

    Attributes:
        seen_at: The newest moment; 0 if there is none.
        licensed_at: When the newest license was signed that was known then; 0 if there was none.
    """

    seen_at: int
    licensed_at: int


@attrs.frozen
class LicenseState:
    """
    What a book has for a license, and whether it holds.

    Attributes:
        license:
            What is installed, also where it does not hold, such as a `SignedLicense` that has expired. None if there is
            none any more, or none that can be read.
        problem: Why it does not hold, in the words of `LicenseError.reason`; empty if it does.
    """

    license: License | None
    problem: str = ""

    @property
    def holds(self) -> bool:
        """
        Whether new codes can be active as far as the license allows.
        """
        return not self.problem

    @property
    def in_force(self) -> License:
        """
        The license that counts: for no active codes at all where the one that is installed does not hold.
        """
        return self.license if self.license is not None and self.holds else License(max_active_codes=0)


@attrs.frozen
class Quota:
    """
    The three numbers that VoipNow shows above its Add form: how many codes are allowed, exist and can still be added.

    Only enabled codes count, expired or not.

    Attributes:
        limit: How many codes may be active; None for any number.
        active: How many are.
        remaining: How many more can be added or enabled; None for any number.

    Source: VoipNow user guide, "Add Card Code" and "Manage Card Codes".
    """

    limit: int | None
    active: int
    remaining: int | None = attrs.field(init=False)

    @remaining.default
    def _remaining(self) -> int | None:
        return None if self.limit is None else max(0, self.limit - self.active)

    @property
    def can_add(self) -> bool:
        """
        Whether at least one more code can be active: what to gray out the Add and Generate buttons by.
        """
        return self.remaining != 0
