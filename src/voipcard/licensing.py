"""
License files: what a vendor signs, and what a book makes of it.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import attrs

from voipcard.core.license import License, LicenseState, Recorded, SignedLicense
from voipcard.core.moments import from_micros
from voipcard.errors import InvalidValueError, LicenseError, SignatureError
from voipcard.signing import MAX_TEXT_SIZE, SigningKey, VerifyKey, checked_keys, sign, signed_text, verified

__all__ = [
    "Licenses",
    "checked_given",
    "given_license",
    "issue_license",
    "license_terms",
    "license_value",
    "read_license",
]

_KIND: Final = "license"
_SIGNED: Final = "signed"

_TERMS: Final = ("id", "customer", "max_active_codes", "book_id", "issued_at", "not_before", "expires_at")
"""What the payload says. One with less or more is of another release, and may mean what this one does not know."""

_MOMENTS: Final = ("issued_at", "not_before", "expires_at")

_ID_SIZE: Final = 8

_FRESH: Final = 3600 * 1_000_000
"""For how many microseconds what was recorded last is not looked up again: well below the tolerance."""


def issue_license(
    key: SigningKey,
    *,
    customer: str,
    max_active_codes: int | None,
    book_id: str | None,
    not_before: datetime | None = None,
    expires_at: datetime | None = None,
    issued_at: datetime | None = None,
    id: str | None = None,
) -> str:
    """
    Sign a license: the text of the file that a customer gets.

    Args:
        key: The vendor's key.

        customer: Whom it is for: 1 to 255 characters.

        max_active_codes: How many codes may be active, zero or more; None for any number.

        book_id: The `CardBook.id` of the one book that it is for; None for any book, and as many as they like.

        not_before: From when on it holds; None for at once.

        expires_at: From when on it does not hold any more; None for never.

        issued_at:
            When it is signed; None for now. A book that has seen a license takes none that was signed before it, so a
            license that is to replace another one needs a later moment.

        id: What you call it, 1 to 255 characters; None for 16 random hexadecimal digits.

    Returns:
        Four lines of ASCII.

    Raises:
        InvalidValueError: If one of them is something else, or *expires_at* is not after *not_before* and *issued_at*.

    Example:
        >>> key = voipcard.SigningKey.generate("vendor-2026")
        >>> text = voipcard.issue_license(key, customer="ACME", max_active_codes=1000, book_id=None)
        >>> voipcard.read_license(text, [key.verify_key]).max_active_codes
        1000
    """
    if not isinstance(key, SigningKey):
        raise InvalidValueError("key", "has to be a SigningKey")
    license_ = SignedLicense(
        max_active_codes=max_active_codes,
        id=os.urandom(_ID_SIZE).hex() if id is None else id,
        customer=customer,
        book_id=book_id,
        issued_at=datetime.now(UTC) if issued_at is None else issued_at,
        not_before=not_before,
        expires_at=expires_at,
        key_id=key.id,
        text="",
    )

    return sign(_KIND, json.dumps(_payload(license_), ensure_ascii=False, indent=1).encode(), key)


def read_license(text: str, keys: Iterable[VerifyKey]) -> SignedLicense:
    """
    Read a license, if one of these keys signed it. Whether it holds now, and for which book, is not looked at.

    Args:
        text: The signed text. Blanks around it do not matter.

        keys: The keys that are trusted.

    Raises:
        LicenseError: If *text* is no license (`malformed`), names another key (`untrusted`), or is not what that key
            signed (`forged`).

        InvalidValueError: If *keys* is no list of `VerifyKey`.
    """
    keys = checked_keys(keys)
    if not isinstance(text, str):
        raise LicenseError("malformed")

    return _read(text, keys)


def given_license(given: License | str | os.PathLike[str]) -> License | str:
    """
    Read the file that somebody names as a license; a license and a text stay what they are.

    Raises:
        LicenseError: If there is no file that can be read (`missing`), or it holds something else (`malformed`).

        InvalidValueError: If it is nothing that can be a license.
    """
    given = checked_given(given)
    if isinstance(given, License | str):
        return given
    try:
        with Path(given).open("rb") as file:
            return file.read(MAX_TEXT_SIZE + 1).decode("utf-8-sig")
    except OSError:
        raise LicenseError("missing") from None
    except UnicodeDecodeError:
        raise LicenseError("malformed") from None


def checked_given(given: License | str | os.PathLike[str]) -> License | str | os.PathLike[str]:
    """
    Accept what may be a license, or the path of one, before anything is read.

    Raises:
        InvalidValueError: If it is something else.
    """
    if not isinstance(given, License | str | os.PathLike):
        raise InvalidValueError(
            "license", "has to be a License, such as License(max_active_codes=1000), a signed text, or the path of one"
        )

    return given


def license_value(license: License) -> dict[str, Any]:
    """
    Give what a book keeps of a license: of a signed one its text, which is verified again at each use.
    """
    if isinstance(license, SignedLicense):
        return {_SIGNED: license.text}

    return attrs.asdict(license)


def license_terms(license: License | None) -> dict[str, Any] | None:
    """
    Give what the audit trail tells of a license. Nothing of it is secret.
    """
    if isinstance(license, SignedLicense):
        return {**_payload(license), "key_id": license.key_id}

    return None if license is None else attrs.asdict(license)


class Licenses:
    """
    What one process knows of licenses.

    Args:
        keys: The keys that are trusted.
    """

    def __init__(self, keys: Iterable[VerifyKey] = ()) -> None:
        self._keys: Final = checked_keys(keys)
        self._seen: tuple[Recorded, int] | None = None
        self._newest = 0
        self.given_problem = ""
        """
        What was wrong with the license that came with the opening. It counts as long as the book has never seen a
        signed one: somebody who damages the file must not get more than with none.
        """

    def read(self, license: License | str) -> License:
        """
        Give the license that a text is. Of one that says it is signed only the text counts.

        Raises:
            LicenseError: As `read_license` does.
        """
        text = license.text if isinstance(license, SignedLicense) else license

        return text if isinstance(text, License) else _read(text, self._keys)

    def state(
        self,
        value: Mapping[str, Any] | None,
        *,
        book_id: str,
        newest: int | None,
        now: int,
        look: Callable[[], Recorded],
    ) -> LicenseState:
        """
        Judge what a book keeps as its license.

        Args:
            value: What it keeps; None for nothing.
            book_id: The id of the book.
            newest: What `newest` gives.
            now: What the clock says, in microseconds.
            look: Gives what the audit trail has recorded.

        Raises:
            TamperedError: If what it has recorded was changed from outside.
        """
        if value is None:
            if newest is not None:
                return LicenseState(None, "removed")
            return LicenseState(License.unlimited(), self.given_problem)
        try:
            license_ = read_license(value[_SIGNED], self._keys) if _SIGNED in value else License(**value)
        except LicenseError as error:
            return LicenseState(None, error.reason)
        except (InvalidValueError, TypeError):  # Written by somebody who has the keys of the book, but not by this.
            return LicenseState(None, "malformed")
        if not isinstance(license_, SignedLicense):
            return LicenseState(license_, self.given_problem if newest is None else "unsigned")

        return LicenseState(license_, self.problem(license_, book_id=book_id, newest=newest, now=now, look=look))

    def newest(self, said: int | None, *, now: int, look: Callable[[], Recorded]) -> int | None:
        """
        Give when the newest license was signed that a book has had, in microseconds; None if it has had none.

        What the book says of itself may have been put back to what it was before. The audit trail knows, too.

        Args:
            said: What the book says of itself.
            now: What the clock says, in microseconds.
            look: Gives what the audit trail has recorded.

        Raises:
            TamperedError: If what it has recorded was changed from outside.
        """
        if not self._keys:  # Then no signed license holds, whatever the book has had.
            return said
        newest = said or 0
        if max(self._newest, self._recorded(now, look).licensed_at) > newest:
            # What was seen before may have been of a transaction that was rolled back.
            self._seen = (look(), now)
            newest = max(newest, self._seen[0].licensed_at)
        self._newest = newest

        return newest or said

    def problem(
        self, license: SignedLicense, *, book_id: str, newest: int | None, now: int, look: Callable[[], Recorded]
    ) -> str:
        """
        Tell why a license does not hold. See `SignedLicense.problem`.
        """
        return license.problem(
            book_id=book_id,
            newest=None if newest is None else from_micros(newest),
            now=from_micros(now),
            last_seen=from_micros(0 if license.expires_at is None else self._recorded(now, look).seen_at),
        )

    def _recorded(self, now: int, look: Callable[[], Recorded]) -> Recorded:
        # Where the clock was set back since the last look, what was recorded until then tells.
        if self._seen is None or not self._seen[1] <= now < self._seen[1] + _FRESH:
            self._seen = (look(), now)

        return self._seen[0]


def _payload(license: SignedLicense) -> dict[str, Any]:
    terms = {name: getattr(license, name) for name in _TERMS}

    return {**terms, **{name: terms[name].isoformat() for name in _MOMENTS if terms[name] is not None}}


def _once_each(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    """
    Refuse to choose between two that have one name: another reader may choose the other.
    """
    terms = dict(pairs)
    if len(terms) < len(pairs):
        raise ValueError

    return terms


@functools.lru_cache(maxsize=64)
def _read(text: str, keys: tuple[VerifyKey, ...]) -> SignedLicense:
    try:
        terms = json.loads(verified(_KIND, text, keys), object_pairs_hook=_once_each)
    except SignatureError as error:
        raise LicenseError(error.reason) from error
    except (ValueError, RecursionError):
        raise LicenseError("malformed") from None
    if not isinstance(terms, dict) or terms.keys() != set(_TERMS):
        raise LicenseError("malformed")
    canonical = signed_text(text)
    with suppress(ValueError, TypeError):
        moments = {name: terms[name] and datetime.fromisoformat(terms[name]) for name in _MOMENTS}
        return SignedLicense(**{**terms, **moments}, key_id=canonical.split("\n")[2], text=canonical)

    raise LicenseError("malformed")
