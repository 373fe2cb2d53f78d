"""
New cards on their way into a store: in clear text column by column, as hand-outs, and sealed while a store takes them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, overload

import attrs

from voipcard.core.arguments import Progress
from voipcard.core.cards import Handout, Kind, NewCard, Secret
from voipcard.core.credit import Credit
from voipcard.core.expiry import Expiry, at_creation
from voipcard.core.labels import checked_labels
from voipcard.core.ledger import opened
from voipcard.core.moments import to_micros
from voipcard.errors import InvalidValueError
from voipcard.records import NO_CHAIN, Records
from voipcard.registry import ExtensionFacts
from voipcard.stores.contract import CardRecord, EntryRecord
from voipcard.transact import Engine, new_id

__all__ = ["Handouts", "Rows", "Sealing", "Terms", "terms"]

_SERIAL_DIGITS: Final = 6


@attrs.frozen
class Terms:
    """
    What a card may be used for from the beginning; most often all cards of a batch have the same.

    Attributes:
        labels: Its labels.
        expiry: When the cards of its batch expire; None for what is set for the extension.
        enabled: Whether it can be used.
        expires_at: When it expires itself, if that was said.
    """

    labels: tuple[str, ...]
    expiry: Expiry | None
    enabled: bool
    expires_at: int | None = None

    def of(self, card: NewCard) -> Terms:
        """
        Give the terms of one card, which may say that it is not enabled, or when it expires.
        """
        if card.enabled and card.expires_at is None:
            return self
        expires_at = None if card.expires_at is None else to_micros(card.expires_at)

        return Terms(self.labels, self.expiry, self.enabled and card.enabled, expires_at)

    def content(self) -> list[object]:
        """
        Give what tells one request from another, as JSON.
        """
        return [self.labels, None if self.expiry is None else self.expiry.kept(), self.enabled, self.expires_at]


@attrs.frozen
class Rows(Secret):
    """
    New cards in clear text, column by column: a million of them would not fit as objects.
    """

    kinds: Sequence[Kind] = attrs.field(repr=False)
    codes: Sequence[str] = attrs.field(repr=False)
    pins: Sequence[str] = attrs.field(repr=False)
    credits: Sequence[Credit] = attrs.field(repr=False)
    order_numbers: Sequence[str] = attrs.field(repr=False)
    terms: Sequence[Terms] = attrs.field(repr=False)

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def of(cls, cards: Sequence[NewCard], common: Terms) -> Rows:
        """
        Take cards apart; *common* is what they have in common.
        """
        return cls(
            [card.kind for card in cards],
            [card.code for card in cards],
            [card.pin for card in cards],
            [card.credit for card in cards],
            [card.order_number for card in cards],
            [common.of(card) for card in cards],
        )

    @property
    def active(self) -> int:
        """
        How many of them count against the license.
        """
        return sum(terms.enabled for terms in self.terms)

    @property
    def expiry(self) -> Expiry | None:
        """
        When they expire, unless they say it themselves; None for what is set for the extension.
        """
        return self.terms[0].expiry


def terms(labels: Iterable[str], expires_at: datetime | Expiry | None, *, enabled: bool) -> Terms:
    """
    Accept what all cards of a batch have in common.

    Raises:
        InvalidValueError: If a label is empty, too long or has control characters, or the moment is not aware.
    """
    if not isinstance(enabled, bool):
        raise InvalidValueError("enabled", "has to be True or False")
    expiry = expires_at if isinstance(expires_at, Expiry) or expires_at is None else Expiry(at=expires_at)

    return Terms(checked_labels("labels", labels), expiry, enabled)


class Handouts(Secret, Sequence[Handout]):
    """
    The hand-outs of new cards, made when they are looked at.
    """

    def __init__(self, extension: str, batch: str, rows: Rows) -> None:
        self.rows: Final = rows
        self.batch: Final = batch
        self._extension: Final = extension
        self._digits: Final = max(_SERIAL_DIGITS, len(str(len(rows))))

    def __repr__(self) -> str:
        return f"<{len(self)} hand-outs of batch {self.batch}>"

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, position: int) -> Handout: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Handout]: ...
    def __getitem__(self, position: int | slice) -> Handout | Sequence[Handout]:
        if isinstance(position, slice):
            return [self[place] for place in range(*position.indices(len(self)))]
        rows = self.rows
        place = range(len(self))[position]

        return Handout(
            serial=self.serial(place + 1),
            extension=self._extension,
            kind=rows.kinds[place],
            code=rows.codes[place],
            pin=rows.pins[place],
            credit=rows.credits[place],
            order_number=rows.order_numbers[place],
        )

    def serial(self, number: int) -> str:
        """
        Give the serial of the card with this number, counted from 1.
        """
        return f"{self.batch}-{number:0{self._digits}d}"


class Sealing:
    """
    The records of new cards, sealed while a store takes them.
    """

    def __init__(
        self,
        engine: Engine,
        facts: ExtensionFacts,
        records: Records,
        handouts: Handouts,
        *,
        expiry: Expiry | None,
        progress: Progress | None,
    ) -> None:
        self.now: Final = engine.now()
        self._expires_at: Final = at_creation(expiry, self.now)
        self._engine: Final = engine
        self._facts: Final = facts
        self._records: Final = records
        self._handouts: Final = handouts
        self._progress: Final = progress or (lambda _done, _total: None)

    def __len__(self) -> int:
        return len(self._handouts)

    def __iter__(self) -> Iterator[tuple[CardRecord, EntryRecord]]:
        count = len(self._handouts)
        for number, pair in enumerate(self._pairs(), 1):
            if number % 1000 == 0 or number == count:
                self._progress(number, count)
            yield pair

    def _pairs(self) -> Iterator[tuple[CardRecord, EntryRecord]]:
        rows = self._handouts.rows
        columns = zip(rows.kinds, rows.codes, rows.pins, rows.credits, rows.order_numbers, rows.terms, strict=True)
        for number, (kind, code, pin, credit, order_number, terms) in enumerate(columns, 1):
            yield self._sealed(number, kind, code, pin, credit=credit, order_number=order_number, terms=terms)

    def _sealed(
        self, number: int, kind: Kind, code: str, pin: str, *, credit: Credit, order_number: str, terms: Terms
    ) -> tuple[CardRecord, EntryRecord]:
        records = self._records
        card = new_id(self.now, number)
        pin_mac, sealed_pin = records.sealed_pin(card, pin, is_kept=self._engine.facts.keeps_pins)
        record = CardRecord(
            id=card,
            serial=self._handouts.serial(number),
            extension=self._facts.number,
            batch=self._handouts.batch,
            kind=kind,
            index=records.index(self._facts.id, kind, code),
            sealed_code=records.sealed_code(card, code),
            pin_mac=pin_mac,
            sealed_pin=sealed_pin,
            key=records.keyring.active,
            enabled=terms.enabled,
            credit=0,
            total_credit=0,
            held=0,
            holds=b"",
            next_hold_expiry=None,
            recharge_count=0,
            created_at=self.now,
            first_used_at=None,
            expires_at=self._expires_at if terms.expires_at is None else terms.expires_at,
            order_number=order_number,
            labels="\n".join(terms.labels),
            sequence=0,
            chain=NO_CHAIN,
            version=1,
            mac=b"",
        )
        record, entry = records.posted(
            record,
            opened(credit),
            kind="initial",
            amount=credit,
            order_number=order_number,
            operation=None,
            now=self.now,
            actor=self._engine.actor,
        )

        return records.signed(record), entry
