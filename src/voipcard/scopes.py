"""
What a report is about: which cards, in which time, in which time zone; and sums by what they have in common.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Final, Literal, TypeAlias

import attrs

from voipcard.batches import facts_of
from voipcard.core.cards import CardCode, serial_of, serial_or_nothing
from voipcard.core.credit import Credit
from voipcard.core.days import midnight
from voipcard.core.moments import from_micros, to_micros
from voipcard.core.query import CardQuery, EntryQuery
from voipcard.core.zones import checked_zone
from voipcard.errors import InvalidValueError, UnknownCardError
from voipcard.searching import entry_records
from voipcard.stores.contract import CardRecord, EntryRecord
from voipcard.transact import Engine

__all__ = ["CHARGES", "Bound", "Group", "Scope", "Sums", "add", "in_order"]

Bound: TypeAlias = datetime | date | None
"""A moment, or a day that stands for its first moment in the zone of the report."""

Group: TypeAlias = tuple[Any, ...]
Sums: TypeAlias = Mapping[Group, Sequence[int]]

CHARGES: Final = frozenset({"charge"})

_ANY_CREDIT: Final = Credit.from_micros(1)


@attrs.frozen(kw_only=True)
class Scope:
    """
    What a report is about.

    Attributes:
        extension: The extension; None for all of the book.
        batch: The batch; None for all.
        card: The id of the card; None for all.
        start: The first moment that counts; None for any.
        end: The first moment that no longer counts; None for any.
        name: The name of the time zone.
        zone: The time zone.
    """

    extension: str | None
    batch: str | None = None
    card: bytes | None = None
    start: int | None = None
    end: int | None = None
    name: str = "UTC"
    zone: tzinfo = UTC

    @classmethod
    def of(
        cls,
        engine: Engine,
        extension: str | None,
        *,
        batch: str | None = None,
        card: CardCode | str | None = None,
        start: Bound = None,
        end: Bound = None,
        zone: str = "UTC",
    ) -> Scope:
        """
        Accept what somebody asks for.

        Raises:
            InvalidValueError: If the zone is unknown, a moment is not aware, or the end comes before the start.

            UnknownBatchError: If there is no such batch.

            UnknownCardError: If there never was such a card.
        """
        known = checked_zone(zone)
        first, last = _micros(start, known), _micros(end, known)
        if first is not None and last is not None and last < first:
            raise InvalidValueError("end", "cannot come before the start")

        return cls(
            extension=extension,
            batch=None if batch is None else facts_of(engine, extension, batch).id,
            card=None if card is None else _card(engine, extension, card),
            start=first,
            end=last,
            name=zone,
            zone=known,
        )

    def cards(self, *, with_credit: bool = True) -> CardQuery:
        """
        Ask for the cards, in an order in which no change moves them.
        """
        return CardQuery(
            extension=self.extension,
            batch=self.batch,
            credit_at_least=_ANY_CREDIT if with_credit else None,
            created_from=self.start,
            created_before=self.end,
            # By their creation stores find those of one extension or batch: all of a book they would sort at each page.
            order="serial" if self.extension is None and self.batch is None else "created",
        )

    def entries(self, kinds: frozenset[str], grouping: Literal["start", "period"]) -> EntryQuery:
        """
        Ask for ledger entries, in the time of the scope by when calls began (`start`) or by when they were made.
        """
        query = EntryQuery(extension=self.extension, batch=self.batch, card=self.card, kinds=kinds)
        if grouping == "start":
            return attrs.evolve(query, started_from=self.start, started_before=self.end)

        return attrs.evolve(query, created_from=self.start, created_before=self.end)

    def report(self, engine: Engine, title: str, by: Sequence[str], now: int) -> dict[str, Any]:
        """
        Give all that a report has besides its rows.
        """
        return {
            "title": title,
            "currency": engine.facts.currency,
            "zone": self.name,
            "made_at": from_micros(now),
            "start": self._moment(self.start),
            "end": self._moment(self.end),
            "by": tuple(by),
        }

    def _moment(self, micros: int | None) -> datetime | None:
        if micros is None:
            return None
        try:
            return from_micros(micros).astimezone(self.zone)
        except OverflowError:  # The first and last hours of all are not there in every zone.
            return from_micros(micros)


def add(sums: list[int], values: Sequence[int]) -> None:
    """
    Add values to sums, place by place.
    """
    for place, value in enumerate(values):
        sums[place] += value


def in_order(sums: Sums) -> list[tuple[Group, Sequence[int]]]:
    """
    Give sums in the order of their groups.
    """
    return sorted(sums.items(), key=lambda item: item[0])


def _micros(bound: Bound, zone: tzinfo) -> int | None:
    if bound is None:
        return None
    if isinstance(bound, date) and not isinstance(bound, datetime):
        return midnight(bound, zone)

    return to_micros(bound)


def _card(engine: Engine, extension: str | None, card: CardCode | str) -> bytes:
    """
    Give the id of a card, which may have been removed: then its first entry still has its serial.
    """
    serial = serial_or_nothing(serial_of(card))
    record = engine.find_serials([serial]).get(serial) if serial else None
    if record is not None:
        found: CardRecord | EntryRecord | None = engine.records.checked(record)
    else:
        query = EntryQuery(batch=serial.partition("-")[0], kinds=frozenset({"initial"}))
        entries = entry_records(engine, query) if serial else iter(())
        found = next((entry for entry in entries if entry.serial == serial), None)
    if found is None or extension not in (None, found.extension):
        raise UnknownCardError(serial)

    return found.id if isinstance(found, CardRecord) else found.card
