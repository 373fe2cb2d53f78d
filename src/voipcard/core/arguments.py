"""
What arguments of every kind have to be: lines of text, whole numbers within a range, what is told of progress.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from voipcard.errors import InvalidValueError

__all__ = ["Progress", "checked_integer", "checked_text"]

Progress: TypeAlias = Callable[[int, int | None], None]
"""Is told how much is done and, where that is known, of how much."""

MAX_TEXT_LENGTH: Final = 255
"""As many characters as VoipNow's SystemAPI takes for an order number (ExtensionData.xsd, `CardCodeInfo/orderNo`)."""

MAX_INTEGER: Final = 2**63 - 1

_CONTROL: Final = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")


def checked_text(name: str, text: str) -> str:
    """
    Accept a line of text that people write: an order number, a label, an actor.

    Raises:
        InvalidValueError: If it is no text, longer than 255 characters, or has control characters or lone surrogates.
    """
    if not isinstance(text, str):
        raise InvalidValueError(name, "has to be a text")
    if len(text) > MAX_TEXT_LENGTH:
        raise InvalidValueError(name, f"has more than {MAX_TEXT_LENGTH} characters")
    if _CONTROL.search(text):
        raise InvalidValueError(name, "has control characters")

    return str.__str__(text)  # A subclass, such as a data frame's or a template's text, stays outside.


def checked_integer(name: str, value: int, *, at_least: int, at_most: int = MAX_INTEGER) -> int:
    """
    Accept a whole number within a range.

    Raises:
        InvalidValueError: If it is something else, or outside.
    """
    if isinstance(value, bool) or not isinstance(value, int) or not at_least <= value <= at_most:
        upper = "or more" if at_most == MAX_INTEGER else f"to {at_most:,}"
        raise InvalidValueError(name, f"has to be a whole number, {at_least:,} {upper}")

    return value
