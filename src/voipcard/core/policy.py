"""
How well codes have to withstand guessing: the limits that a card book keeps to when it draws codes and takes PINs.
"""

from __future__ import annotations

import attrs

from voipcard.core.arguments import checked_integer
from voipcard.errors import InvalidValueError

__all__ = ["Policy"]


@attrs.frozen(kw_only=True)
class Policy:
    """
    What risk of guessed codes a card book accepts.

    Attributes:
        guesses:
            How many codes strangers can try within a year, 1 or more. The default is 10,000 callers' numbers with 10
            failed attempts a day each, which is what the guessing limits of a card book let through. Raise it together
            with those limits: the codes have to become longer.
        odds_limit:
            The highest acceptable probability, above 0 and up to 1, that anybody finds at least one active code within
            a year. The default is one in a thousand. With 1 nothing is refused.
        fill_limit:
            The largest part, above 0 and up to 1, of all codes of a format that may be in use. The default of 20 % is
            the rule that Kolmisoft MOR keeps to.
        allow_weak_pins:
            Whether PINs such as 1234 or 1990 may be set by people or uploaded. PINs that are drawn are never weak.

    Raises:
        InvalidValueError: If a limit is outside its range.

    Example:
        >>> Policy(odds_limit=1e-6).guesses
        36500000
    """

    guesses: int = 10_000 * 10 * 365
    odds_limit: float = 1e-3
    fill_limit: float = 0.2
    allow_weak_pins: bool = False

    def __attrs_post_init__(self) -> None:
        checked_integer("guesses", self.guesses, at_least=1)
        # Written this way round so that NaN is refused as well.
        for name, value in (("odds_limit", self.odds_limit), ("fill_limit", self.fill_limit)):
            if not 0 < value <= 1:
                raise InvalidValueError(name, "has to be above 0 and at most 1")
