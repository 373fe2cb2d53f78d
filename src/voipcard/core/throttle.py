"""
How much guessing is let through: by call, by source, by ingress and by card, as rules over what was tried before.

An attempt is *reserved*, that is counted as a failure, before anything is compared, and *settled* afterwards: so a
caller who hangs up, or a machine that dies in between, has used it up, and any number of machines that guess at once
get no more attempts than one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

import attrs

from voipcard.core.arguments import checked_integer
from voipcard.errors import InvalidValueError

__all__ = ["DEFAULT_LIMITS", "NIST_LIMITS", "Attempts", "GuessLimits", "Ingress", "Lock", "is_alarming"]

_MICROSECOND: Final = timedelta(microseconds=1)


def micros(duration: timedelta) -> int:
    """
    Count the microseconds of a duration.
    """
    return duration // _MICROSECOND


_SECOND: Final = timedelta(seconds=1)
_YEAR: Final = timedelta(days=366)


def _lasting(lowest: timedelta, highest: timedelta = _YEAR) -> Any:  # noqa: ANN401  (attrs takes what it returns)
    def check(_: object, attribute: attrs.Attribute[timedelta], value: timedelta) -> None:
        if not isinstance(value, timedelta) or not lowest <= value <= highest:
            raise InvalidValueError(attribute.name, f"has to be a timedelta from {lowest} to {highest}")

    return check


def _counted(_: object, attribute: attrs.Attribute[int], value: int) -> None:
    checked_integer(attribute.name, value, at_least=1, at_most=1000)


@attrs.frozen(kw_only=True)
class GuessLimits:
    """
    How many failed attempts to get in are evaluated before callers have to wait, or an operator has to help.

    Attributes:
        name: What the audit trail calls these limits.
        source: Where the figures come from.
        per_call: Failed attempts within one call, 1 to 1,000.
        per_source: Failed attempts of one source within any *source_window*, 1 to 1,000.
        source_window: How long an attempt of a source counts, a second to 366 days.
        per_ingress: Failed attempts through one ingress within any *ingress_window*, 1 to 1,000.
        ingress_window: How long an attempt through an ingress counts, a minute to 366 days.
        free_failures: Wrong PINs in a row on one card before the first pause, 1 to 1,000.
        first_pause: The first pause of a card, a second to 366 days; each further wrong PIN doubles it.
        longest_pause: The longest pause, a second to 366 days.
        block_after: Wrong PINs in a row that block a card, 1 to 1,000.
        caller_id_block:
            How long a CallerID card stays blocked, a second to 366 days. Its "code" is public, so whoever knows the
            number could block it for ever. A card with a dialed code stays blocked until an operator unblocks it.
        response_floor:
            How long an answer takes at least, whatever it is, 0 to 10 seconds; a longer one takes a multiple of it.

    Raises:
        InvalidValueError: If a limit is outside its range.

    Example:
        >>> GuessLimits(per_source=5).per_call
        3
    """

    name: str = "custom"
    source: str = ""
    per_call: int = attrs.field(default=3, validator=_counted)
    per_source: int = attrs.field(default=10, validator=_counted)
    source_window: timedelta = attrs.field(default=timedelta(hours=24), validator=_lasting(_SECOND))
    per_ingress: int = attrs.field(default=120, validator=_counted)
    # It counts in twelve slots, and each has to last for longer than it takes to let it begin.
    ingress_window: timedelta = attrs.field(default=timedelta(hours=1), validator=_lasting(timedelta(minutes=1)))
    free_failures: int = attrs.field(default=3, validator=_counted)
    first_pause: timedelta = attrs.field(default=timedelta(seconds=30), validator=_lasting(_SECOND))
    longest_pause: timedelta = attrs.field(default=timedelta(hours=1), validator=_lasting(_SECOND))
    block_after: int = attrs.field(default=10, validator=_counted)
    caller_id_block: timedelta = attrs.field(default=timedelta(hours=24), validator=_lasting(_SECOND))
    response_floor: timedelta = attrs.field(
        default=timedelta(milliseconds=25), validator=_lasting(timedelta(0), timedelta(seconds=10))
    )

    def pause(self, failures: int) -> timedelta:
        """
        Give how long a card waits after so many wrong PINs in a row.

        Example:
            >>> [DEFAULT_LIMITS.pause(failures).seconds for failures in (2, 3, 4, 9)]
            [0, 30, 60, 1920]
        """
        if failures < self.free_failures:
            return timedelta(0)

        # As whole numbers, because doubled so often it may be longer than any timedelta.
        doubled = micros(self.first_pause) << (failures - self.free_failures)

        return min(doubled, micros(self.longest_pause)) * _MICROSECOND


DEFAULT_LIMITS: Final = GuessLimits(
    name="default",
    source="three attempts a call as calling-card IVRs give (Sippy); pauses from NIST SP 800-63B 5.2.2",
)
"""What a book keeps to if it is told nothing else."""

NIST_LIMITS: Final = GuessLimits(
    name="NIST SP 800-63B",
    source="NIST SP 800-63B 5.2.2: at most 100 failures in a row on an account, pauses of 30 seconds up to an hour",
    per_source=100,
    block_after=100,
)
"""As many wrong PINs in a row as NIST accepts at most: for PINs of 6 digits and more."""


@attrs.frozen
class Attempts:
    """
    The failed attempts of one source, or of one call, that still count.

    Attributes:
        moments: When they were made, in microseconds, oldest first.
    """

    moments: tuple[int, ...] = ()

    def reserve(self, now: int, *, limit: int, window: timedelta) -> tuple[bool, Attempts]:
        """
        Count an attempt as failed, if it may be evaluated at all.

        Returns:
            Whether it may be, and what counts from now on. A refused attempt does not count.
        """
        # A clock that was set back does not make attempts younger, and so does not free any.
        now = max((now, *self.moments))
        counting = tuple(moment for moment in self.moments if moment > now - micros(window))
        if len(counting) >= limit:
            return False, Attempts(counting)

        return True, Attempts((*counting, now))

    def without(self, moment: int) -> Attempts:
        """
        Forget an attempt that was reserved at this moment: it did not fail.
        """
        at = self.moments.index(moment) if moment in self.moments else len(self.moments)

        return Attempts(self.moments[:at] + self.moments[at + 1 :])


@attrs.frozen
class Lock:
    """
    The wrong PINs in a row on one card, and how long it has to wait because of them.

    Attributes:
        failures: How many.
        until: Until when no attempt is evaluated, in microseconds.
    """

    failures: int = 0
    until: int = 0

    def reserve(self, now: int, limits: GuessLimits, *, is_caller_id: bool) -> tuple[bool, Lock]:
        """
        Count a PIN as wrong, if it may be compared at all.

        Returns:
            Whether it may be, and the lock from now on. A refused attempt does not count.
        """
        lock = self
        if self.is_blocked(limits):
            if not is_caller_id or now < self.until:
                return False, self
            lock = Lock()
        if now < lock.until:
            return False, self
        failures = lock.failures + 1
        is_last = failures >= limits.block_after
        pause = limits.caller_id_block if is_last and is_caller_id else limits.pause(failures)

        return True, Lock(failures, now + micros(pause))

    def is_blocked(self, limits: GuessLimits) -> bool:
        """
        Tell whether so many PINs were wrong that waiting alone does not help.
        """
        return self.failures >= limits.block_after


SLOTS: Final = 13
"""An ingress counts in slots of a twelfth of its window: the running one and the twelve before cover the window."""


@attrs.frozen
class Ingress:
    """
    The failed attempts through one ingress, slot by slot, in a ring of counters.

    The counters are moved without being read for it, so that callers of one trunk do not wait for each other. Only
    where a slot begins, one of them empties the counters that come round again.

    Attributes:
        slot: The number of the newest slot that has begun.
        counts: What the counters of the ring stand at.
    """

    slot: int
    counts: Sequence[int]

    @classmethod
    def slot_at(cls, now: int, window: timedelta) -> int:
        """
        Give the number of the slot at a moment.
        """
        return now // max(1, micros(window) // (SLOTS - 1))

    def turned(self, now: int, window: timedelta) -> tuple[Ingress, dict[int, int]]:
        """
        Let the slots begin that have to.

        Returns:
            The ring from now on, and what has to be taken from which counter for it.
        """
        slot = max(self.slot, self.slot_at(now, window))
        emptied = {number % SLOTS for number in range(max(self.slot + 1, slot - SLOTS + 1), slot + 1)}
        counts = [0 if at in emptied else count for at, count in enumerate(self.counts)]

        return Ingress(slot, counts), {at: self.counts[at] for at in emptied if self.counts[at]}

    @property
    def position(self) -> int:
        """
        Which counter counts now.
        """
        return self.slot % SLOTS

    def ceiling(self, limit: int) -> int:
        """
        Give how far the running counter may rise.
        """
        return limit - sum(max(0, count) for at, count in enumerate(self.counts) if at != self.position)

    def is_full(self, limit: int) -> bool:
        """
        Tell whether no attempt may be evaluated any more.
        """
        return self.counts[self.position] >= self.ceiling(limit)


_QUIET: Final = 50
"""Failures a minute that are nobody's concern."""

_TIMES_USUAL: Final = 10


def is_alarming(per_minute: float, usual_per_minute: float) -> bool:
    """
    Tell whether so many attempts fail that somebody is likely to be guessing.

    Example:
        >>> is_alarming(40, 1), is_alarming(60, 1), is_alarming(60, 30)
        (False, True, False)
    """
    return per_minute > max(_QUIET, _TIMES_USUAL * usual_per_minute)
