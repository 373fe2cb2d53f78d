"""
What calls cost, what was put on cards and what is left on them: reports that sum, and the calls one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import Literal

from voipcard import charges, outstanding, reporting
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
from voipcard.extension.bound import Bound

__all__ = ["Reporting"]


class Reporting(Bound):
    """
    Makes reports. None of them stops callers, and none writes but where it reveals.
    """

    def cost_report(
        self,
        start: datetime | date | None = None,
        end: datetime | date | None = None,
        *,
        by: CostGroup | Sequence[CostGroup] = ("day",),
        card: CardCode | str | None = None,
        batch: str | None = None,
        zone: str = "UTC",
    ) -> Report[CostRow]:
        """
        Sum what calls cost, as the ledger has it: also of cards that have been removed since.

        A call counts by when it began, whenever it was charged, and a capture without one by when its hold began. The
        sums are computed where the data is. They are those of what was charged when they were read; what is charged
        meanwhile counts or does not.

        Args:
            start: The first moment that counts: an aware datetime, or a date for its first moment in *zone*. None for
                no bound.

            end: The first moment that no longer counts, in the same way. With the first of a month and the first of
                the next one, all of a month is counted.

            by:
                What to group by, from left to right: any of `card`, `day`, `month`, `destination`, `batch` and
                `extension`; a single name is enough, and without any there is one row.

            card: Only of this card, which is named by itself or by its serial, and may have been removed; None for all.

            batch: Only of cards of this batch; None for all.

            zone:
                In which time zone days and months begin: its IANA name, such as `Europe/Bucharest`. Days have 23 or 25
                hours there when clocks are turned.

        Returns:
            The report, with a row for each group in which there were calls.

        Raises:
            InvalidValueError: If a moment is not aware, the end comes before the start, a name in *by* is unknown or
                comes twice, or there is no such zone.

            UnknownCardError: If the extension never had such a card.

            UnknownBatchError: If the extension has no such batch.

            AmountError: If a sum is more than an amount can be.

            TamperedError: If a card that was charged is neither there nor among those that were removed, in a report by
                `card`. Whether the entries themselves were changed from outside only `CardBook.verify` tells.

        Example:
            >>> from datetime import date
            >>> extension = voipcard.open_book(currency="EUR").extension("0003*215")
            >>> report = extension.cost_report(date(2026, 3, 1), date(2026, 4, 1), zone="Europe/Bucharest")
            >>> print(report)
            Costs of calls in EUR, from 2026-03-01 00:00+02:00 before 2026-04-01 00:00+03:00, days of Europe/Bucharest
            <BLANKLINE>
            Day    Calls  Seconds  Charged Seconds  Cost  Shortfall
            -------------------------------------------------------
            Total      0        0                0  0.00       0.00

        Source: VoipNow user guide, "Manage Card Codes".
        """
        return reporting.cost_report(self._engine, self.number, start, end, by=by, card=card, batch=batch, zone=zone)

    def recharge_report(
        self,
        start: datetime | date | None = None,
        end: datetime | date | None = None,
        *,
        by: RechargeGroup | Sequence[RechargeGroup] = ("day",),
        card: CardCode | str | None = None,
        batch: str | None = None,
        zone: str = "UTC",
    ) -> Report[RechargeRow]:
        """
        Sum what was put on cards and what was taken by hand: initial credit, recharges and transfers.

        A change counts by when it was recorded. A transfer is two changes, one on each card. The ledger is read twice:
        what is recorded meanwhile may count as taken, and not as added.

        Args:
            start: As for `cost_report`.

            end: As for `cost_report`.

            by: What to group by, from left to right: any of `card`, `day`, `month`, `kind`, `batch` and `extension`.

            card: As for `cost_report`.

            batch: As for `cost_report`.

            zone: As for `cost_report`.

        Returns:
            The report. Where Unlimited was given, that is counted apart.

        Raises:
            InvalidValueError: If a moment is not aware, the end comes before the start, a name in *by* is unknown or
                comes twice, or there is no such zone.

            UnknownCardError: If the extension never had such a card.

            UnknownBatchError: If the extension has no such batch.

            AmountError: If a sum is more than an amount can be.

            TamperedError: As for `cost_report`.

        Example:
            >>> extension = voipcard.open_book(currency="EUR").extension("0003*215")
            >>> [handout, other] = extension.generate(2, credit="10.00")
            >>> _ = extension.recharge(handout.serial, "2.50")
            >>> _ = extension.recharge(handout.serial, "-1.00")
            >>> for row in extension.recharge_report(by="kind"):
            ...     print(row.kind, row.changes, row.added, row.taken)
            initial 2 20.00 0.00
            recharge 2 2.50 1.00
        """
        return reporting.recharge_report(
            self._engine, self.number, start, end, by=by, card=card, batch=batch, zone=zone
        )

    def liability(self, *, by: CreditGroup | Sequence[CreditGroup] = (), batch: str | None = None) -> Report[CreditRow]:
        """
        Sum all credit that is on cards now, expired and disabled cards included.

        It goes over the cards that have credit once, a page at a time, while others go on: of a card that changes
        meanwhile either state counts.

        Args:
            by: What to group by, from left to right: `batch`, `extension` or both; without any there is one row.

            batch: Only of cards of this batch; None for all.

        Returns:
            The report. Cards with Unlimited credit are counted apart.

        Raises:
            InvalidValueError: If a name in *by* is unknown or comes twice.

            UnknownBatchError: If the extension has no such batch.

            AmountError: If a sum is more than an amount can be.

            TamperedError: If a stored card was changed from outside.

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> _ = extension.generate(3, credit="10.00")
            >>> _ = extension.generate(1, credit=voipcard.UNLIMITED)
            >>> total = extension.liability().total
            >>> total.cards, str(total.credit), total.unlimited
            (3, '30.00', 1)
        """
        return outstanding.liability(self._engine, self.number, by=by, batch=batch)

    def breakage(
        self,
        *,
        unused_days: int = 365,
        by: CreditGroup | Sequence[CreditGroup] = (),
        batch: str | None = None,
    ) -> Report[CreditRow]:
        """
        Sum the credit that will hardly be used any more: on cards that have expired, or lie unused.

        A card lies unused if it was made, recharged, charged and first let in so long ago or longer, and no hold on it
        was released since. One that has expired counts as such only. It is computed as `liability` is; for most cards
        that were used more than once, their newest entry is read besides.

        Args:
            unused_days: How many days it has to be, 1 or more.

            by: As for `liability`, within each reason.

            batch: Only of cards of this batch; None for all.

        Returns:
            The report, by `reason`: `expired` and `unused`.

        Raises:
            InvalidValueError: If *unused_days* is out of its range, or a name in *by* is unknown or comes twice.

            UnknownBatchError: If the extension has no such batch.

            AmountError: If a sum is more than an amount can be.

            TamperedError: If a stored card was changed from outside.

        Example:
            >>> from datetime import UTC, datetime
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> _ = extension.generate(2, credit="10.00", expires_at=datetime(2020, 1, 1, tzinfo=UTC))
            >>> _ = extension.generate(1, credit="10.00")
            >>> [(row.reason, row.cards, str(row.credit)) for row in extension.breakage()]
            [('expired', 2, '20.00')]
        """
        return outstanding.breakage(self._engine, self.number, unused_days=unused_days, by=by, batch=batch)

    def ageing(
        self,
        *,
        since: Literal["made", "changed"] = "changed",
        days: Sequence[int] = (30, 90, 180, 365),
        by: CreditGroup | Sequence[CreditGroup] = (),
        batch: str | None = None,
    ) -> Report[CreditRow]:
        """
        Sum the credit that is on cards now by its age.

        It is computed as `liability` is; of cards whose credit was changed since they were made, the newest entry is
        read besides where the age counts from there.

        Args:
            since: What the age counts from: `made`, or `changed` for when the card was last made, recharged, charged or
                first let in, or a hold on it was released.

            days:
                The last day of each span, ascending. The standard ones are `0 to 30`, `31 to 90`, `91 to 180`,
                `181 to 365` and `over 365`.

            by: As for `liability`, within each span.

            batch: Only of cards of this batch; None for all.

        Returns:
            The report, by `age`; without *by* it has every span, also where there is nothing.

        Raises:
            InvalidValueError: If an argument is none of these, or a name in *by* comes twice.

            UnknownBatchError: If the extension has no such batch.

            AmountError: If a sum is more than an amount can be.

            TamperedError: If a stored card was changed from outside.

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> _ = extension.generate(3, credit="10.00")
            >>> [(row.age, str(row.credit)) for row in extension.ageing(days=[30, 365])]
            [('0 to 30', '30.00'), ('31 to 365', '0.00'), ('over 365', '0.00')]
        """
        return outstanding.ageing(self._engine, self.number, since=since, days=days, by=by, batch=batch)

    def first_use_curve(
        self,
        start: datetime | date | None = None,
        end: datetime | date | None = None,
        *,
        days: Sequence[int] = (1, 7, 30, 90, 365),
        batch: str | None = None,
        zone: str = "UTC",
    ) -> Report[UseRow]:
        """
        Count how soon after they were made cards were first used, and how many never were.

        It goes over the cards once, a page at a time. Of removed cards nobody knows any more when they were used: they
        do not count.

        Args:
            start: Only cards made from then on: an aware datetime, or a date for its first moment in *zone*. None for
                no bound.

            end: Only cards made before, in the same way.

            days: The last day of each span, ascending.

            batch: Only cards of this batch; None for all.

            zone: The time zone of dates, by its IANA name.

        Returns:
            The report, by `age`, with every span; the last row is that of cards that were never used.

        Raises:
            InvalidValueError: If a moment is not aware, the end comes before the start, *days* are out of their range,
                or there is no such zone.

            UnknownBatchError: If the extension has no such batch.

            TamperedError: If a stored card was changed from outside.

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> _ = extension.add("7700183422157", credit=5)
            >>> _ = extension.add("7700183422158", credit=5)
            >>> _ = extension.authenticate("7700183422157")
            >>> [(row.age, row.cards, row.used) for row in extension.first_use_curve(days=[1])]
            [('0 to 1', 1, 1), ('over 1', 0, 1), ('never', 1, 1)]
        """
        return outstanding.first_use_curve(self._engine, self.number, start, end, days=days, batch=batch, zone=zone)

    def calls(
        self,
        start: datetime | date | None = None,
        end: datetime | date | None = None,
        *,
        card: CardCode | str | None = None,
        batch: str | None = None,
        zone: str = "UTC",
    ) -> Iterator[ChargedCall]:
        """
        Give the calls that were charged, however many, one by one, in the order in which they were charged.

        It reads a page at a time. Of the number that was called, the rated prefix is given.

        Args:
            start: As for `cost_report`: calls count by when they began.

            end: As for `cost_report`.

            card: As for `cost_report`.

            batch: As for `cost_report`.

            zone: The time zone of dates, by its IANA name.

        Raises:
            InvalidValueError: If a moment is not aware, the end comes before the start, or there is no such zone.

            UnknownCardError: If the extension never had such a card.

            UnknownBatchError: If the extension has no such batch.

            TamperedError: If a stored entry is so damaged that it cannot be shown.

        Example:
            >>> from datetime import date
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> voipcard.sheets.write("calls.xlsx", extension.calls(date(2026, 3, 1), date(2026, 4, 1)))
            0

        Source: VoipNow user guide, "Manage Card Codes".
        """
        return charges.calls(self._engine, self.number, start, end, card=card, batch=batch, zone=zone)

    def reveal_calls(
        self,
        start: datetime | date | None = None,
        end: datetime | date | None = None,
        *,
        card: CardCode | str | None = None,
        batch: str | None = None,
        zone: str = "UTC",
    ) -> Iterator[RevealedCall]:
        """
        Give the calls that were charged with the numbers that were called, in clear text.

        That somebody asked, and for which calls, is in the audit trail before the first of them is given.

        Args:
            start: As for `cost_report`: calls count by when they began.

            end: As for `cost_report`.

            card: As for `cost_report`.

            batch: As for `cost_report`.

            zone: The time zone of dates, by its IANA name.

        Raises:
            ActorRequiredError: If nobody said who is acting.

            JoinedStoreError: If the store has joined a transaction of its caller's.

            InvalidValueError: If a moment is not aware, the end comes before the start, or there is no such zone.

            UnknownCardError: If the extension never had such a card.

            UnknownBatchError: If the extension has no such batch.

            TamperedError: If a stored number or entry was changed from outside.

        Example:
            >>> book = voipcard.open_book().acting_as("alice")
            >>> list(book.extension("0003*215").reveal_calls())
            []
            >>> [entry.verb for entry in book.audit_trail()]
            ['reveal_calls']
        """
        return charges.reveal_calls(self._engine, self.number, start, end, card=card, batch=batch, zone=zone)
