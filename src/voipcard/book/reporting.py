"""
The reports of an extension, for a book as a whole or for one extension of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Literal

from voipcard import charges, outstanding, registry, reporting
from voipcard.book.bound import Bound
from voipcard.core.cards import CardCode
from voipcard.core.reports import (
    ChargedCall,
    CostGroup,
    CostRow,
    CreditGroup,
    CreditRow,
    RechargeGroup,
    RechargeRow,
    Report,
    RevealedCall,
    UseRow,
)

__all__ = ["WithReports"]


class WithReports(Bound):
    """
    Makes reports, over all extensions or one.
    """

    def cost_report(
        self,
        start: datetime | date | None = None,
        end: datetime | date | None = None,
        *,
        extension: str | None = None,
        by: CostGroup | Sequence[CostGroup] = ("day",),
        card: CardCode | str | None = None,
        batch: str | None = None,
        zone: str = "UTC",
    ) -> Report[CostRow]:
        """
        Sum what calls cost, as the ledger has it: also of cards that have been removed since.

        Args:
            start: As for `Extension.cost_report`.

            end: As for `Extension.cost_report`.

            extension: Only of this extension, by its number; None for all of the book.

            by: As for `Extension.cost_report`.

            card: As for `Extension.cost_report`.

            batch: As for `Extension.cost_report`.

            zone: As for `Extension.cost_report`.

        Raises:
            InvalidValueError: If an argument is out of its range.

            UnknownCardError: If there never was such a card.

            UnknownBatchError: If there is no such batch.

            AmountError: If a sum is more than an amount can be.

            TamperedError: If a card is neither there nor among those that were removed, in a report by `card`.

        Example:
            >>> book = voipcard.open_book(currency="EUR")
            >>> book.cost_report(by=["extension", "month"]).total.calls
            0
        """
        return reporting.cost_report(
            self._engine, _one(extension), start, end, by=by, card=card, batch=batch, zone=zone
        )

    def recharge_report(
        self,
        start: datetime | date | None = None,
        end: datetime | date | None = None,
        *,
        extension: str | None = None,
        by: RechargeGroup | Sequence[RechargeGroup] = ("day",),
        card: CardCode | str | None = None,
        batch: str | None = None,
        zone: str = "UTC",
    ) -> Report[RechargeRow]:
        """
        Sum what was put on cards and what was taken by hand: initial credit, recharges and transfers.

        Args:
            start: As for `Extension.recharge_report`.

            end: As for `Extension.recharge_report`.

            extension: Only of this extension, by its number; None for all of the book.

            by: As for `Extension.recharge_report`.

            card: As for `Extension.recharge_report`.

            batch: As for `Extension.recharge_report`.

            zone: As for `Extension.recharge_report`.

        Raises:
            InvalidValueError: If an argument is out of its range.

            UnknownCardError: If there never was such a card.

            UnknownBatchError: If there is no such batch.

            AmountError: If a sum is more than an amount can be.

            TamperedError: If a card is neither there nor among those that were removed, in a report by `card`.

        Example:
            >>> book = voipcard.open_book()
            >>> _ = book.extension("0003*215").generate(3, credit="10.00")
            >>> [(row.extension, str(row.added)) for row in book.recharge_report(by="extension")]
            [('0003*215', '30.00')]
        """
        return reporting.recharge_report(
            self._engine, _one(extension), start, end, by=by, card=card, batch=batch, zone=zone
        )

    def liability(
        self, *, extension: str | None = None, by: CreditGroup | Sequence[CreditGroup] = (), batch: str | None = None
    ) -> Report[CreditRow]:
        """
        Sum all credit that is on cards now, expired and disabled cards included.

        Args:
            extension: Only of this extension, by its number; None for all of the book.

            by: As for `Extension.liability`.

            batch: As for `Extension.liability`.

        Raises:
            InvalidValueError: If an argument is out of its range.

            UnknownBatchError: If there is no such batch.

            AmountError: If a sum is more than an amount can be.

            TamperedError: If what is stored was changed from outside.

        Example:
            >>> book = voipcard.open_book()
            >>> _ = book.extension("0003*215").generate(3, credit="10.00")
            >>> _ = book.extension("0004*001").generate(1, credit="5.00")
            >>> [(row.extension, str(row.credit)) for row in book.liability(by="extension")]
            [('0003*215', '30.00'), ('0004*001', '5.00')]
        """
        return outstanding.liability(self._engine, _one(extension), by=by, batch=batch)

    def breakage(
        self,
        *,
        extension: str | None = None,
        unused_days: int = 365,
        by: CreditGroup | Sequence[CreditGroup] = (),
        batch: str | None = None,
    ) -> Report[CreditRow]:
        """
        Sum the credit that will hardly be used any more: on cards that have expired, or lie unused.

        Args:
            extension: Only of this extension, by its number; None for all of the book.

            unused_days: As for `Extension.breakage`.

            by: As for `Extension.breakage`.

            batch: As for `Extension.breakage`.

        Raises:
            InvalidValueError: If an argument is out of its range.

            UnknownBatchError: If there is no such batch.

            AmountError: If a sum is more than an amount can be.

            TamperedError: If what is stored was changed from outside.

        Example:
            >>> str(voipcard.open_book().breakage().total.credit)
            '0.00'
        """
        return outstanding.breakage(self._engine, _one(extension), unused_days=unused_days, by=by, batch=batch)

    def ageing(
        self,
        *,
        extension: str | None = None,
        since: Literal["made", "changed"] = "changed",
        days: Sequence[int] = (30, 90, 180, 365),
        by: CreditGroup | Sequence[CreditGroup] = (),
        batch: str | None = None,
    ) -> Report[CreditRow]:
        """
        Sum the credit that is on cards now by its age.

        Args:
            extension: Only of this extension, by its number; None for all of the book.

            since: As for `Extension.ageing`.

            days: As for `Extension.ageing`.

            by: As for `Extension.ageing`.

            batch: As for `Extension.ageing`.

        Raises:
            InvalidValueError: If an argument is out of its range.

            UnknownBatchError: If there is no such batch.

            AmountError: If a sum is more than an amount can be.

            TamperedError: If what is stored was changed from outside.

        Example:
            >>> [row.age for row in voipcard.open_book().ageing()]
            ['0 to 30', '31 to 90', '91 to 180', '181 to 365', 'over 365']
        """
        return outstanding.ageing(self._engine, _one(extension), since=since, days=days, by=by, batch=batch)

    def first_use_curve(
        self,
        start: datetime | date | None = None,
        end: datetime | date | None = None,
        *,
        extension: str | None = None,
        days: Sequence[int] = (1, 7, 30, 90, 365),
        batch: str | None = None,
        zone: str = "UTC",
    ) -> Report[UseRow]:
        """
        Count how soon after they were made cards were first used, and how many never were.

        Args:
            start: As for `Extension.first_use_curve`.

            end: As for `Extension.first_use_curve`.

            extension: Only of this extension, by its number; None for all of the book.

            days: As for `Extension.first_use_curve`.

            batch: As for `Extension.first_use_curve`.

            zone: As for `Extension.first_use_curve`.

        Raises:
            InvalidValueError: If an argument is out of its range.

            UnknownBatchError: If there is no such batch.

            TamperedError: If what is stored was changed from outside.

        Example:
            >>> [row.age for row in voipcard.open_book().first_use_curve(days=[1, 30])]
            ['0 to 1', '2 to 30', 'over 30', 'never']
        """
        return outstanding.first_use_curve(self._engine, _one(extension), start, end, days=days, batch=batch, zone=zone)

    def calls(
        self,
        start: datetime | date | None = None,
        end: datetime | date | None = None,
        *,
        extension: str | None = None,
        card: CardCode | str | None = None,
        batch: str | None = None,
        zone: str = "UTC",
    ) -> Iterator[ChargedCall]:
        """
        Give the calls that were charged, however many, one by one, in the order in which they were charged.

        Args:
            start: As for `Extension.calls`.

            end: As for `Extension.calls`.

            extension: Only of this extension, by its number; None for all of the book.

            card: As for `Extension.calls`.

            batch: As for `Extension.calls`.

            zone: As for `Extension.calls`.

        Raises:
            InvalidValueError: If an argument is out of its range.

            UnknownCardError: If there never was such a card.

            UnknownBatchError: If there is no such batch.

            TamperedError: If what is stored was changed from outside.

        Example:
            >>> list(voipcard.open_book().calls())
            []
        """
        return charges.calls(self._engine, _one(extension), start, end, card=card, batch=batch, zone=zone)

    def reveal_calls(
        self,
        start: datetime | date | None = None,
        end: datetime | date | None = None,
        *,
        extension: str | None = None,
        card: CardCode | str | None = None,
        batch: str | None = None,
        zone: str = "UTC",
    ) -> Iterator[RevealedCall]:
        """
        Give the calls that were charged with the numbers that were called, in clear text, audited before.

        Args:
            start: As for `Extension.reveal_calls`.

            end: As for `Extension.reveal_calls`.

            extension: Only of this extension, by its number; None for all of the book.

            card: As for `Extension.reveal_calls`.

            batch: As for `Extension.reveal_calls`.

            zone: As for `Extension.reveal_calls`.

        Raises:
            ActorRequiredError: If nobody said who is acting.

            JoinedStoreError: If the store has joined a transaction of its caller's.

            InvalidValueError: If an argument is out of its range.

            UnknownCardError: If there never was such a card.

            UnknownBatchError: If there is no such batch.

            TamperedError: If what is stored was changed from outside.

        Example:
            >>> list(voipcard.open_book().acting_as("alice").reveal_calls())
            []
        """
        return charges.reveal_calls(self._engine, _one(extension), start, end, card=card, batch=batch, zone=zone)


def _one(extension: str | None) -> str | None:
    """
    Accept the number of one extension, or None for all of them.
    """
    return None if extension is None else registry.checked_number(extension)
