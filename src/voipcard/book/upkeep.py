"""
What somebody has to call from time to time, because nothing runs by itself.
"""

from __future__ import annotations

from voipcard import guessing, holding, lifecycle, purging
from voipcard.book.bound import Bound
from voipcard.guessing import GuessWatch

__all__ = ["WithUpkeep"]


class WithUpkeep(Bound):
    """
    Has to be looked after.
    """

    def disable_expired(self, *, limit: int = 1000, operation: str | None = None) -> int:
        """
        Disable cards of all extensions that have expired, so that they no longer count against the license.

        Their credit stays. Changes at most *limit* cards in one commit: call it again until it returns 0. Where nothing
        has expired, nothing is written.

        Args:
            limit: How many cards at most, 1 to 1,000.

            operation: A name of your own for this call.

        Returns:
            How many cards were disabled.

        Raises:
            InvalidValueError: If *limit* is out of its range.

            OperationConflictError: If *operation* was used for something else.

        Example:
            >>> from datetime import UTC, datetime
            >>> book = voipcard.open_book()
            >>> _ = book.extension("0003*215").generate(3, expires_at=datetime(2020, 1, 1, tzinfo=UTC))
            >>> book.disable_expired(), book.disable_expired()
            (3, 0)
        """
        return lifecycle.disable_expired(self._engine, None, limit=limit, operation=operation)

    def sweep(self, *, limit: int = 1000) -> int:
        """
        Free the holds of all cards that have run out: of calls whose switch died, or that nobody settled.

        Whoever touches the credit of a card frees its holds as well; this is for cards that nobody touches. Call it
        again until it returns 0, every minute or so. Others may go on working: each call is one commit. A card that was
        changed from outside stays as it is, for `verify` to find.

        Args:
            limit: Of how many cards at most, 1 to 1,000.

        Returns:
            How many holds were freed.

        Raises:
            InvalidValueError: If *limit* is out of its range.

        Example:
            >>> voipcard.open_book().sweep()
            0
        """
        return holding.sweep(self._engine, None, limit=limit)

    def watch_guessing(self) -> GuessWatch:
        """
        Tell how many attempts to get in failed since this was asked last, and whether that is alarming.

        Call it every minute or so, from one place; the first call only begins to count. An alarm is in the audit trail,
        and locks nobody out.

        Returns:
            The figures. It is alarming if there are more than 50 failures a minute and ten times as many as usual.

        Example:
            >>> voipcard.open_book().watch_guessing().alarm
            False
        """
        return guessing.watch(self._engine)

    def purge_expired(self, *, limit: int = 1000) -> int:
        """
        Remove what the book keeps only for a time and has kept for long enough, such as how often somebody guessed.

        It keeps the book small and changes nothing that anybody can see, so it leaves no entry in the audit trail.
        Cards that have expired stay. Call it again until it returns 0, and all of that every hour or so. Others may go
        on working: each call is one commit, and what was renewed meanwhile stays. So does what was changed from
        outside, for `verify` to find, unless it only counts guesses.

        Args:
            limit: How many documents are removed at most, 1 to 10,000.

        Returns:
            How many were removed.

        Raises:
            InvalidValueError: If *limit* is something else.

        Example:
            >>> book = voipcard.open_book()
            >>> while book.purge_expired():
            ...     pass
        """
        return purging.purge(self._engine, limit)
