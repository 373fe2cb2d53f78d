"""
How many codes may be active, and how many are.
"""

from __future__ import annotations

import attrs

from voipcard.core.arguments import checked_integer

__all__ = ["License", "Quota"]


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
