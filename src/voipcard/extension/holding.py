"""
Holds: credit that is reserved, and what becomes of it.
"""

from __future__ import annotations

from datetime import timedelta

from voipcard import holding
from voipcard.core.cards import CardCode
from voipcard.core.credit import Amount
from voipcard.core.holds import Hold
from voipcard.core.ledger import LedgerEntry
from voipcard.extension.bound import Bound

__all__ = ["Holding"]


class Holding(Bound):
    """
    Reserves credit.
    """

    def hold(
        self, card: CardCode | str, amount: Amount, *, expires_in: timedelta, operation: str | None = None
    ) -> Hold:
        """
        Reserve credit of a card, so that nobody else can spend it.

        For switches that rate calls themselves; others begin a call. A hold runs out by itself: whoever touches the
        credit of the card next frees it, and so does `sweep`. The clock is that of the process: where it is set back a
        hold lasts as much longer, and where it runs ahead a hold runs out early, after which a capture takes what is
        there.

        Args:
            card: The card, or its serial.

            amount: How much, zero or more.

            expires_in: For how long, at most 366 days.

            operation: A name of your own for this call.

        Returns:
            The hold. It can be pickled, and used by any process that has the book open.

        Raises:
            CardUnusableError: If the card, its batch or the extension is disabled, or the card has expired.

            TooManyCallsError: If the card has as many holds as it may have calls
                (`ExtensionSettings.concurrent_calls`).

            InsufficientCreditError: If more is asked for than is available.

            UnknownCardError: If the extension has no such card.

            AmountError: If *amount* is negative or no amount.

            InvalidValueError: If *amount* is unlimited, or *expires_in* out of its range.

            OperationConflictError: If *operation* was used for something else.

        Example:
            >>> from datetime import timedelta
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> [handout] = extension.generate(1, credit="10.00")
            >>> hold = extension.hold(handout.serial, "3.00", expires_in=timedelta(hours=1))
            >>> extension.get(handout.serial).available
            Credit('7.00')
            >>> extension.capture(hold, "1.25").credit_left
            Credit('8.75')
        """
        return holding.hold(self._engine, self.number, card, amount, expires_in=expires_in, operation=operation)

    def extend(self, hold: Hold, *, amount: Amount | None = None, expires_in: timedelta) -> Hold:
        """
        Let a hold last longer, or be of another amount.

        Asked again it reserves nothing twice, and lasts as long from then on.

        Args:
            hold: The hold.

            amount: How much it is to be in all; None for as much as it is.

            expires_in: For how long it lasts from now on, at most 366 days; never shorter than before.

        Returns:
            The hold as it is now.

        Raises:
            UnknownHoldError: If it has ended or run out.

            InsufficientCreditError: If more is asked for than is available.

            UnknownCardError: If the card was removed.

            AmountError: If *amount* is negative or no amount.

            InvalidValueError: If *amount* is unlimited, or *expires_in* out of its range.
        """
        return holding.extend(self._engine, self.number, hold, amount=amount, expires_in=expires_in)

    def capture(self, hold: Hold, amount: Amount | None = None) -> LedgerEntry:
        """
        Take what something cost out of its hold, exactly once, and free the rest.

        More than was held is taken from what nobody has reserved; so is all of it where the hold has run out. What is
        not there is recorded as the shortfall. Credit never goes below zero, and unlimited credit stays unlimited. That
        the card has expired or was disabled meanwhile changes nothing.

        Args:
            hold: The hold.

            amount: How much, zero or more; None for the `amount` of the hold that is given.

        Returns:
            The entry, with what was taken and the shortfall; `replayed` tells whether it had been made before.

        Raises:
            OperationConflictError: If another amount was captured before, or the hold was released: that stays.

            UnknownCardError: If the card was removed.

            AmountError: If *amount* is negative or no amount.

            InvalidValueError: If *amount* is unlimited.
        """
        return holding.capture(self._engine, self.number, hold, amount)

    def release(self, hold: Hold) -> LedgerEntry:
        """
        Give back what was reserved, exactly once. Nothing can be captured from the hold any more.

        Args:
            hold: The hold.

        Returns:
            The entry that says so, of amount zero; `replayed` tells whether it had been made before.

        Raises:
            OperationConflictError: If the hold was captured before: that stays.

            UnknownCardError: If the card was removed.
        """
        return holding.release(self._engine, self.number, hold)

    def holds(self, card: CardCode | str) -> list[Hold]:
        """
        Give the holds of a card that have not run out, in the order in which it got them: one for each running call.

        Args:
            card: The card, or its serial.

        Raises:
            UnknownCardError: If the extension has no such card.
        """
        return holding.holds_of(self._engine, self.number, card)

    def sweep(self, *, limit: int = 1000) -> int:
        """
        Free the holds of the extension's cards that have run out. See `CardBook.sweep`.

        Args:
            limit: Of how many cards at most, 1 to 1,000.

        Returns:
            How many holds were freed.

        Raises:
            InvalidValueError: If *limit* is out of its range.
        """
        return holding.sweep(self._engine, self.number, limit=limit)
