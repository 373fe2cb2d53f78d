"""
Changing the credit of cards, and what became of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from voipcard import recharging, searching
from voipcard.core.arguments import Progress
from voipcard.core.cards import CardCode, serial_of
from voipcard.core.credit import Amount
from voipcard.core.ledger import LedgerEntry
from voipcard.core.query import EntryQuery
from voipcard.extension.bound import Bound

__all__ = ["Crediting"]


class Crediting(Bound):
    """
    Changes credit.
    """

    def recharge(
        self, card: CardCode | str, amount: Amount, *, order_number: str = "", operation: str | None = None
    ) -> LedgerEntry:
        """
        Change the credit of one card and record the change, exactly once.

        The new credit and its entry in the recharge history are written together or not at all. Taking credit from an
        unlimited card leaves it with none, as VoipNow does.

        Args:
            card: The card, or its serial.

            amount:
                How much to add, in the book's currency, with at most six decimal places. Negative to take credit away;
                `UNLIMITED` to make the card unlimited. A float is refused because it cannot hold 0.10 exactly.

            order_number:
                The order that pays for this change, at most 255 characters. The same order number again on the same
                card gives the first result instead of adding credit twice.

            operation: A name of your own for this call, which takes the place of the order number in this.

        Returns:
            The entry; `replayed` tells whether it had been made before.

        Raises:
            UnknownCardError: If the extension has no such card.

            InsufficientCreditError: If *amount* would take more than is available.

            AmountError: If *amount* is zero or cannot be an amount.

            OperationConflictError: If the order number was used on this card with another amount, or *operation* for
                something else.

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> [handout] = extension.generate(1, credit="10.00")
            >>> extension.recharge(handout.serial, "2.50", order_number="PO-9").credit_left
            Credit('12.50')
            >>> extension.recharge(handout.serial, "2.50", order_number="PO-9").replayed
            True

        Source: VoipNow user guide, "Manage Card Codes Credit".
        """
        if operation is None:
            return recharging.recharge(self._engine, self.number, card, amount, order_number=order_number)
        [entry] = self.recharge_many([(card, amount)], order_number=order_number, operation=operation)

        return entry

    def recharge_many(
        self,
        amounts: Iterable[tuple[CardCode | str, Amount]],
        *,
        order_number: str = "",
        operation: str | None = None,
        progress: Progress | None = None,
    ) -> list[LedgerEntry]:
        """
        Change the credit of many cards, each exactly once.

        At most 1,000 of them are changed in a commit, whole or not at all.

        Args:
            amounts: Cards or serials, each with what to add. A card may come more than once, in the order given.

            order_number: The order that pays for all of it; see `recharge`.

            operation: A name of your own for this call, which takes the place of the order number in this.

            progress: Is told how many cards were recharged, and of how many.

        Returns:
            The entries, in the order given.

        Raises:
            UnknownCardError: If the extension has no such card.

            InsufficientCreditError: If more would be taken from a card than is available.

            AmountError: If an amount is zero or cannot be one. Nothing was written.

            OperationConflictError:
                If the order number was used on a card with another amount, or *operation* for something
                else.
        """
        return recharging.recharge_many(
            self._engine, self.number, amounts, order_number=order_number, operation=operation, progress=progress
        )

    def transfer(
        self,
        source: CardCode | str,
        target: CardCode | str,
        *,
        amount: Amount,
        order_number: str = "",
        operation: str | None = None,
    ) -> tuple[LedgerEntry, LedgerEntry]:
        """
        Move credit from one card to another, whole or not at all.

        Args:
            source: The card that gives, or its serial.

            target: The card that takes, or its serial.

            amount: How much, more than zero.

            order_number:
                What to write in both histories, at most 255 characters. It does not make the call happen once.

            operation: A name of your own for this call.

        Returns:
            The entries of the source and of the target.

        Raises:
            UnknownCardError: If the extension has no such card.

            InsufficientCreditError: If the source has less available.

            UnlimitedCreditError: If one of the cards is unlimited.

            AmountError: If *amount* is not more than zero.

            InvalidValueError: If both are the same card.

            OperationConflictError: If *operation* was used for something else.
        """
        return recharging.transfer(
            self._engine, self.number, source, target, amount, order_number=order_number, operation=operation
        )

    def history(
        self,
        card: CardCode | str,
        *,
        order_number: str | None = None,
        amount_at_least: Amount | None = None,
        amount_below: Amount | None = None,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        newest_first: bool = False,
    ) -> Iterator[LedgerEntry]:
        """
        Give the recharge history of a card: its initial credit, recharges and transfers.

        Args:
            card: The card, or its serial.

            order_number: The order that paid; None for any.

            amount_at_least: The smallest amount to give.

            amount_below: The smallest amount not to give any more.

            created_from: The first moment to give; an aware datetime.

            created_before: The first moment not to give any more; an aware datetime.

            newest_first: Whether the newest entry comes first.

        Raises:
            UnknownCardError: If the extension has no such card.

            InvalidValueError: If a datetime is not aware.

        Source: VoipNow user guide, "Manage Card Codes Credit".
        """
        serial = serial_of(card)
        query = EntryQuery(
            card=self._engine.card(self.number, serial).id,
            kinds=frozenset({"initial", "recharge", "transfer"}),
            order_number=order_number,
            amount_at_least=amount_at_least,
            amount_below=amount_below,
            created_from=created_from,
            created_before=created_before,
            descending=newest_first,
        )

        return map(self._engine.records.entry, searching.entry_records(self._engine, query))
