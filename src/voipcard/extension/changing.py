"""
Changing cards that are there, one or many: what a caller dials, whether and until when they can be used, labels.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from voipcard import editing, lifecycle
from voipcard.core.arguments import Progress
from voipcard.core.cards import CardCode, serial_of
from voipcard.extension.bound import Bound
from voipcard.targets import Cards

__all__ = ["Changing"]


class Changing(Bound):
    """
    Changes cards.
    """

    def edit(
        self,
        card: CardCode | str,
        *,
        code: str | None = None,
        caller_id: bool = False,
        pin: str | None = None,
        operation: str | None = None,
    ) -> CardCode:
        """
        Change the code or CallerID of a card, or its PIN. Serial, credit and history stay.

        Args:
            card: The card, or its serial.

            code: The new code, or the new CallerID if it has a leading `+`; None to keep the old one.

            caller_id: Whether *code* is a CallerID although it has no leading `+`.

            pin: The new PIN; empty to ask for none, None to keep the old one.

            operation: A name of your own for this call.

        Returns:
            The card as it is now stored.

        Raises:
            UnknownCardError: If the extension has no such card, or no longer when *operation* is asked for again.

            InvalidCodeError: If *code* cannot be one.

            InvalidPinError: If *pin* cannot be one.

            WeakPinError:
                If *pin* is easily guessed and the book's policy does not allow that, or if the code begins or ends with
                the PIN, whichever of them is new.

            CardExistsError: If another card of the extension has this code.

            OperationConflictError: If *operation* was used for something else.

        Source: VoipNow user guide, "Manage Card Codes".
        """
        serial = serial_of(card)

        return editing.edit(
            self._engine, self.number, serial, code=code, caller_id=caller_id, pin=pin, operation=operation
        )

    def enable(self, cards: Cards, *, operation: str | None = None, progress: Progress | None = None) -> int:
        """
        Enable cards, so that they can be used and count against the license.

        At most 1,000 cards are changed in a commit. A request that does not fit the license is refused before the first
        one; if others take the remaining slots meanwhile, the cards enabled so far stay enabled. With an operation, a
        call that was interrupted goes on where it stopped.

        Args:
            cards: A card, its serial, many of them, or a `CardQuery`, which is read as the call goes on.

            operation: A name of your own for this call.

            progress: Is told how many cards were changed.

        Returns:
            How many cards were disabled before.

        Raises:
            QuotaExceededError: If the license does not allow so many more active codes.

            LicenseError: If they are to be active and the license does not hold.

            UnknownCardError: If the extension has no such card.

            OperationConflictError: If *operation* was used for something else.
        """
        return editing.switch(self._engine, self.number, cards, enabled=True, operation=operation, progress=progress)

    def disable(self, cards: Cards, *, operation: str | None = None, progress: Progress | None = None) -> int:
        """
        Disable cards, so that they cannot be used and do not count against the license. Their credit stays.

        At most 1,000 cards are changed in a commit. With an operation, a call that was interrupted goes on where it
        stopped.

        Args:
            cards: A card, its serial, many of them, or a `CardQuery`, which is read as the call goes on.

            operation: A name of your own for this call.

            progress: Is told how many cards were changed.

        Returns:
            How many cards were enabled before.

        Raises:
            UnknownCardError: If the extension has no such card.

            OperationConflictError: If *operation* was used for something else.

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> batch = extension.generate(3)
            >>> extension.disable(batch[0].serial)
            1
            >>> extension.disable(voipcard.CardQuery(batch=batch.id))
            2
        """
        return editing.switch(self._engine, self.number, cards, enabled=False, operation=operation, progress=progress)

    def remove(
        self,
        cards: Cards,
        *,
        operation: str | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> tuple[str, ...]:
        """
        Remove cards. Their codes can be used for new cards; their ledger entries stay.

        A serial is never given again.
        At most 1,000 cards are removed in a commit. With an operation, a call that was interrupted goes on where it
        stopped.

        Args:
            cards: A card, its serial, many of them, or a `CardQuery`, which is read as the call goes on.

            operation: A name of your own for this call.

            dry_run: Whether to tell only what would happen. Nothing is written.

            progress: Is told how many cards were removed.

        Returns:
            The serials of the cards.

        Raises:
            UnknownCardError: If the extension has no such card.

            CardInUseError: If a card has running calls: what they cost could not be taken any more.

            OperationConflictError: If *operation* was used for something else.
        """
        return editing.remove(self._engine, self.number, cards, operation=operation, dry_run=dry_run, progress=progress)

    def remove_unused(
        self,
        *,
        older_than: timedelta,
        operation: str | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> tuple[str, ...]:
        """
        Remove the cards that nothing happened to: no call, no recharge, no transfer.

        Args:
            older_than: How long ago a card must have been made, zero or more.

            operation: A name of your own for this call.

            dry_run: Whether to tell only what would happen. Nothing is written.

            progress: Is told how many cards were removed.

        Returns:
            The serials of the cards.

        Raises:
            InvalidValueError: If *older_than* is negative.

            OperationConflictError: If *operation* was used for something else.

        Source: VoipNow user guide, "Manage Card Codes".
        """
        return editing.remove_unused(
            self._engine, self.number, older_than, operation=operation, dry_run=dry_run, progress=progress
        )

    def set_expiry(
        self,
        cards: Cards,
        expires_at: datetime | None,
        *,
        operation: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """
        Set when cards expire, or that they never do.

        It holds until the `Expiry` that they were made with moves it: a first use may bring the end nearer, and a
        recharge put it off. At most 1,000 cards are changed in a commit. With an operation, a call that was interrupted
        goes on where it stopped.

        Args:
            cards: A card, its serial, many of them, or a `CardQuery`, which is read as the call goes on.

            expires_at: From when on they cannot be used; an aware datetime, or None for never.

            operation: A name of your own for this call.

            progress: Is told how many cards were changed.

        Returns:
            How many cards expired at another moment before.

        Raises:
            UnknownCardError: If the extension has no such card.

            InvalidValueError: If *expires_at* is not aware.

            OperationConflictError: If *operation* was used for something else.

        Example:
            >>> from datetime import UTC, datetime
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> [handout] = extension.generate(1)
            >>> extension.set_expiry(handout.serial, datetime(2030, 1, 1, tzinfo=UTC))
            1
        """
        return lifecycle.set_expiry(
            self._engine, self.number, cards, expires_at, operation=operation, progress=progress
        )

    def disable_expired(self, *, limit: int = 1000, operation: str | None = None) -> int:
        """
        Disable cards that have expired, so that they no longer count against the license. Their credit stays.

        Changes at most *limit* cards in one commit: call it again until it returns 0. Where nothing has expired,
        nothing is written.

        Args:
            limit: How many cards at most, 1 to 1,000.

            operation: A name of your own for this call.

        Returns:
            How many cards were disabled.

        Raises:
            InvalidValueError: If *limit* is out of its range.

            OperationConflictError: If *operation* was used for something else.
        """
        return lifecycle.disable_expired(self._engine, self.number, limit=limit, operation=operation)

    def label_cards(
        self,
        cards: Cards,
        *,
        add: Iterable[str] = (),
        remove: Iterable[str] = (),
        operation: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """
        Add labels to cards and remove others, such as `to print` and `shipped`.

        At most 1,000 cards are changed in a commit. With an operation, a call that was interrupted goes on where it
        stopped.

        Args:
            cards: A card, its serial, many of them, or a `CardQuery`, which is read as the call goes on.

            add: Labels, at most 100 of 1 to 255 characters. One that a card has already stays where it is.

            remove: Labels to remove from the cards that have them.

            operation: A name of your own for this call.

            progress: Is told how many cards were changed.

        Returns:
            How many cards had other labels before.

        Raises:
            UnknownCardError: If the extension has no such card.

            InvalidValueError: If a label cannot be one, if there is none, or if a card would have more than 100.

            OperationConflictError: If *operation* was used for something else.

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> batch = extension.generate(3, labels=["to print"])
            >>> extension.label_cards(voipcard.CardQuery(batch=batch.id), add=["printed"], remove=["to print"])
            3
            >>> extension.get(batch[0].serial).labels
            ('printed',)
        """
        return lifecycle.label_cards(
            self._engine, self.number, cards, add=add, remove=remove, operation=operation, progress=progress
        )
