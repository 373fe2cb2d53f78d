"""
What a book keeps of a secret: so much that it can be shown again, or so much that it can be recognized only.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

from voipcard.errors import InvalidValueError

__all__ = ["OPERATOR", "Profile", "checked_profile"]

Profile: TypeAlias = Literal["operator", "strict"]
"""
What a book keeps of its PINs.

* `operator`: codes and PINs are sealed, so that `reveal` and exports can show them again, which is audited.
* `strict`: a PIN is kept as a MAC only. It can be compared with what a caller dials, and nobody can read it any more.
"""

OPERATOR: Final[Profile] = "operator"
"""What a book is where nothing is said."""


def checked_profile(profile: object) -> Profile | None:
    """
    Accept the name of a profile, or None.

    Raises:
        InvalidValueError: If there is no such profile.

    Example:
        >>> checked_profile("strict")
        'strict'
    """
    if profile is not None and profile not in get_args(Profile):
        raise InvalidValueError("profile", f"has to be {' or '.join(get_args(Profile))}")

    return profile  # type: ignore[return-value]  # mypy does not read `get_args`
