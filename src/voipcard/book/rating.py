"""
The price lists that calls of a book are charged by.
"""

from __future__ import annotations

from datetime import datetime

from voipcard import decks
from voipcard.book.bound import Bound
from voipcard.core.moments import to_micros
from voipcard.core.rating import RateDeck
from voipcard.decks import DeckVersion

__all__ = ["WithRates"]


class WithRates(Bound):
    """
    Has price lists.
    """

    def install_deck(self, deck: RateDeck, *, operation: str | None = None) -> DeckVersion:
        """
        Keep a price list in the book, for every process that has it open, from the moment that it says itself.

        It is never changed or removed, because calls were charged by it. A correction is another one of the same name
        with a later `valid_from`; calls that have begun before go by the one that held then. The same once more changes
        nothing.

        Args:
            deck:
                The price list, with its name and when it begins: one from `voipcard.sheets.read_deck`, or a `RateDeck`
                that you make. Extensions go by the one of the name that is set for them.

            operation: A name of your own for this call, so that it is done only once.

        Returns:
            What the book knows of it.

        Raises:
            DeckExistsError: If the book has another one of that name from the same moment on.

            InvalidValueError: If *deck* is something else.

            OperationConflictError: If *operation* was used for something else.

        Example:
            >>> book = voipcard.open_book(currency="EUR")
            >>> rates = [voipcard.Rate("40", voipcard.Tariff(price="0.02"), "Romania")]
            >>> book.install_deck(voipcard.RateDeck(rates)).size
            1
            >>> book.deck().find("40213123456").description
            'Romania'
        """
        return decks.install(self._engine, deck, operation)

    def decks(self) -> list[DeckVersion]:
        """
        Give all price lists that the book has, by name and then by when they begin, without their rates.

        Raises:
            TamperedError: If what the book knows of them was changed from outside.
        """
        return decks.known_decks(self._engine)

    def deck(self, name: str = "default", *, at: datetime | None = None) -> RateDeck:
        """
        Give the price list that holds at a moment: of those that have begun by then the last one.

        Args:
            name: Its name.

            at: The moment; None for now.

        Raises:
            UnknownDeckError: If there is none of that name, or none that has begun.

            InvalidValueError: If *name* cannot be one, or *at* is no aware datetime.

            TamperedError: If something of it was changed from outside, or is missing.
        """
        return decks.deck_at(self._engine, name, None if at is None else to_micros(at))[0]
