"""
A card book as a whole: one class, put together by subject.
"""

from __future__ import annotations

from types import TracebackType
from typing import NoReturn, Self

import attrs

from voipcard.book.audit import WithAuditTrail
from voipcard.book.extensions import WithExtensions
from voipcard.book.keys import WithKeys
from voipcard.book.license import WithLicense
from voipcard.book.rating import WithRates
from voipcard.book.reporting import WithReports
from voipcard.book.upkeep import WithUpkeep
from voipcard.ciphers import Suite
from voipcard.core.arguments import checked_text
from voipcard.core.profiles import Profile
from voipcard.stores.contract import Store

__all__ = ["CardBook"]


class CardBook(WithExtensions, WithKeys, WithLicense, WithRates, WithReports, WithAuditTrail, WithUpkeep):
    """
    The card codes of one installation, over all of its Calling Card extensions.

    Get one from `open_book`. A book may be used by many threads at once; after a fork, open it again.
    """

    def __repr__(self) -> str:
        actor = f" for {self._engine.actor!r}" if self._engine.actor else ""

        return f"<CardBook in {self.currency}{actor}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        message = "a CardBook is bound to its process and cannot be pickled: open it again"
        raise TypeError(message)

    @property
    def id(self) -> str:
        """
        32 hexadecimal digits that no other book has: what a license is issued for.
        """
        return self._engine.facts.id

    @property
    def currency(self) -> str:
        """
        The ISO 4217 code of the currency of all amounts; `XXX` if it was never said.
        """
        return self._engine.facts.currency

    @property
    def profile(self) -> Profile:
        """
        What the book keeps of its PINs: `operator` if they can be revealed, `strict` if they never can.
        """
        return self._engine.facts.profile

    @property
    def suite(self) -> Suite:
        """
        What it seals with: `aes-256-siv` or `aes-256-gcm`.
        """
        return self._engine.facts.suite

    def close(self) -> None:
        """
        Give back what the store holds. A book in memory is gone. Closing again does nothing.
        """
        self._engine.store.close()

    def acting_as(self, actor: str) -> CardBook:
        """
        Give the same book with somebody acting, who is named in the audit trail and the recharge history.

        Args:
            actor: Who acts, at most 255 characters; not a secret.

        Raises:
            InvalidValueError: If *actor* is too long or has control characters.

        Example:
            >>> book = voipcard.open_book().acting_as("alice")
            >>> book
            <CardBook in XXX for 'alice'>
        """
        return CardBook(attrs.evolve(self._engine, actor=checked_text("actor", actor)))

    def over(self, store: Store) -> CardBook:
        """
        Give the same book through another handle on the same data, such as one that joins a transaction of yours.

        Nothing is read or written, so this is cheap enough for each request of a portal.

        Args:
            store: The handle, for instance `SQLAlchemyStore(connection)`. What is in it has to be this book.

        Example:
            >>> book = voipcard.open_book("cards.db", currency="EUR").acting_as("alice")
            >>> same = book.over(voipcard.stores.SQLiteStore("cards.db"))
            >>> same
            <CardBook in EUR for 'alice'>
            >>> same.close()
            >>> book.close()
        """
        return CardBook(self._engine.over(store))
