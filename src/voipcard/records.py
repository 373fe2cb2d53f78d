"""
Between the values that people use and the records that a store keeps: what is sealed, signed, chained and checked.
"""

from __future__ import annotations

import hmac
import json
from typing import Any, Final, cast

from voipcard.core.cards import CardCode, Handout, Kind, RevealedCard
from voipcard.core.credit import Credit
from voipcard.core.ledger import Balance, EntryKind, LedgerEntry
from voipcard.core.moments import from_micros
from voipcard.errors import AmountError, AmountTypeError, TamperedError
from voipcard.keyring import Keyring
from voipcard.stores.contract import AuditRecord, CardRecord, Document, EntryRecord, SealedCode

__all__ = ["Records"]

NO_CHAIN: Final = b""
"""What the first entry of a card is chained to."""

_MAC_SIZE: Final = 32


class Records:
    """
    Makes and reads the records of one book.

    Args:
        keyring: The keys of the book.
    """

    def __init__(self, keyring: Keyring) -> None:
        self.keyring: Final = keyring

    # Cards

    def index(self, extension: bytes, kind: Kind, code: str) -> bytes:
        """
        Give what the code is found by in its extension; *extension* is the extension's random id.
        """
        return self.keyring.index(extension, kind, code)

    def indexes(self, extension: bytes, kind: Kind, code: str) -> list[bytes]:
        """
        Give all that the code may be found by: one for each key that cards are found by, the newest first.
        """
        return [self.index(extension, kind, code)]

    def sealed_code(self, card: bytes, code: str) -> bytes:
        """
        Seal a code or CallerID for this card.
        """
        return self.keyring.seal(code, part="code", owner=card)

    def sealed_pin(self, card: bytes, pin: str, *, is_kept: bool) -> tuple[bytes, bytes]:
        """
        Give the MAC and the seal of a PIN for this card: no seal unless it is kept, neither if no PIN is asked for.
        """
        if not pin:
            return b"", b""

        return self.keyring.pin_mac(pin, owner=card), self.keyring.seal(pin, part="PIN", owner=card) if is_kept else b""

    def signed(self, record: CardRecord) -> CardRecord:
        """
        Give the record with its MAC.
        """
        fields = record[:-1]

        return CardRecord._make((*fields, self._mac("card", fields)))

    def checked(self, record: CardRecord) -> CardRecord:
        """
        Give the record back if nobody changed it.

        Raises:
            TamperedError: If somebody did.
        """
        if not _same(self._mac("card", record[:-1]), record.mac):
            raise TamperedError(record.serial, "record")

        return record

    def card(self, record: CardRecord) -> CardCode:
        """
        Give the card as people see it.

        Raises:
            TamperedError: If the record was changed from outside.
        """
        self.checked(record)

        return CardCode(
            record.serial,
            record.extension,
            record.batch,
            cast("Kind", record.kind),
            bool(record.pin_mac),
            record.enabled,
            Credit.from_micros(record.credit),
            Credit.from_micros(record.total_credit),
            Credit.from_micros(record.held),
            record.recharge_count,
            from_micros(record.created_at),
            None if record.first_used_at is None else from_micros(record.first_used_at),
            None if record.expires_at is None else from_micros(record.expires_at),
            record.order_number,
            tuple(record.labels.split("\n")) if record.labels else (),
            record.id,
            record.version,
        )

    def code(self, record: CardRecord) -> str:
        """
        Unseal the code or CallerID.

        Raises:
            TamperedError: If the sealed value was changed from outside.
        """
        return self.keyring.unseal(record.sealed_code, part="code", owner=record.id, subject=record.serial)

    def unsealed(self, code: SealedCode) -> str:
        """
        Unseal a code or CallerID whose card was not read.

        Raises:
            TamperedError: If the sealed value was changed from outside; it does not name the card.
        """
        return self.keyring.unseal(code.sealed_code, part="code", owner=code.id, subject="")

    def pin(self, record: CardRecord) -> str:
        """
        Unseal the PIN; empty if none is asked for, or if it is not kept.

        Raises:
            TamperedError: If the sealed value was changed from outside.
        """
        if not record.sealed_pin:
            return ""

        return self.keyring.unseal(record.sealed_pin, part="PIN", owner=record.id, subject=record.serial)

    def handout(self, record: CardRecord) -> Handout:
        """
        Give the card as its owner gets it, in clear text.

        Raises:
            TamperedError: If the record or a sealed value was changed from outside.
        """
        self.checked(record)

        return Handout(
            serial=record.serial,
            extension=record.extension,
            kind=cast("Kind", record.kind),
            code=self.code(record),
            pin=self.pin(record),
            credit=Credit.from_micros(record.credit),
            order_number=record.order_number,
            has_pin=bool(record.pin_mac),
        )

    def revealed(self, record: CardRecord) -> RevealedCard:
        """
        Give the card as people see it, with its code and PIN in clear text.

        Raises:
            TamperedError: If the record or a sealed value was changed from outside.
        """
        return RevealedCard(self.card(record), self.code(record), self.pin(record))

    def is_found_by(self, record: CardRecord, index: bytes) -> bool:
        """
        Tell in constant time whether this is the card with the index.
        """
        return _same(index, record.index)

    def has_pin(self, record: CardRecord, pin: str) -> bool:
        """
        Tell in constant time whether this is the PIN of the card, or none is asked for, with the same work.
        """
        mac = record.pin_mac or self.keyring.active.to_bytes(4, "big") + bytes(_MAC_SIZE)

        return self.keyring.pin_matches(pin, mac, owner=record.id) | (not record.pin_mac)

    # Ledger

    def chained(self, entry: EntryRecord, chain: bytes) -> EntryRecord:
        """
        Give the entry with its MAC, which covers the MAC of the entry before.
        """
        fields = entry[:-1]

        return EntryRecord._make((*fields, self._mac("entry", (chain, *fields))))

    def is_chained(self, entry: EntryRecord, chain: bytes) -> bool:
        """
        Tell whether the entry is as it was written, after the entry with this MAC.
        """
        return _same(self._mac("entry", (chain, *entry[:-1])), entry.mac)

    def entry(self, record: EntryRecord, *, replayed: bool = False) -> LedgerEntry:
        """
        Give the entry as people see it.

        Raises:
            TamperedError: If it is so damaged that it cannot be shown; smaller changes are found by `CardBook.verify`.
        """
        try:
            return self._entry(record, replayed=replayed)
        except (AmountError, AmountTypeError, TypeError, OverflowError):
            raise TamperedError(record.serial, "history") from None

    @staticmethod
    def _entry(record: EntryRecord, *, replayed: bool) -> LedgerEntry:
        return LedgerEntry(
            serial=record.serial,
            extension=record.extension,
            batch=record.batch,
            sequence=record.sequence,
            kind=cast("EntryKind", record.kind),
            amount=Credit.from_micros(record.amount),
            credit_left=Credit.from_micros(record.credit_left),
            held_left=Credit.from_micros(record.held_left),
            order_number=record.order_number,
            created_at=from_micros(record.created_at),
            actor=record.actor,
            replayed=replayed,
        )

    def posted(
        self,
        record: CardRecord,
        balance: Balance,
        *,
        kind: EntryKind,
        amount: Credit,
        order_number: str,
        operation: bytes | None,
        now: int,
        actor: str,
    ) -> tuple[CardRecord, EntryRecord]:
        """
        Give the card with its new balance, not signed yet, and the entry that records how it came about.
        """
        entry = self.chained(
            EntryRecord(
                card=record.id,
                sequence=record.sequence + 1,
                extension=record.extension,
                batch=record.batch,
                serial=record.serial,
                kind=kind,
                amount=amount.micros,
                credit_left=balance.credit.micros,
                held_left=balance.held.micros,
                order_number=order_number,
                operation=operation,
                created_at=now,
                actor=actor,
                prefix="",
                sealed_rest=b"",
                started_at=None,
                seconds=None,
                charged_seconds=None,
                rate=None,
                tariff="",
                mac=b"",
            ),
            record.chain,
        )
        changed = record._replace(
            credit=balance.credit.micros,
            total_credit=balance.total_credit.micros,
            held=balance.held.micros,
            recharge_count=balance.recharge_count,
            sequence=entry.sequence,
            chain=entry.mac,
        )

        return changed, entry

    # Documents and audit

    def document(self, key: str, value: object, *, version: int, expires_at: int | None = None) -> Document:
        """
        Give a document that cannot be changed from outside unnoticed.
        """
        data = json.dumps(value, separators=(",", ":"), sort_keys=True).encode()

        return Document(key, self._mac("document", (key, version, expires_at, data)) + data, version, expires_at)

    def value_or_absent(self, document: Document | None, key: str) -> Any:  # noqa: ANN401  (what JSON holds)
        """
        Read a document; None if there is none, with as much work, so that the time does not tell.
        """
        if document is None:
            self._mac("document", (key, 0, None, b""))
            return None

        return self.value(document)

    def value(self, document: Document) -> Any:  # noqa: ANN401  (what JSON holds)
        """
        Read a document.

        Raises:
            TamperedError: If it was changed from outside.
        """
        if not isinstance(document.value, bytes):  # A damaged file may have anything there.
            raise TamperedError(document.key, "document")
        mac, data = document.value[:_MAC_SIZE], document.value[_MAC_SIZE:]
        if not _same(self._mac("document", (*document[:1], *document[2:], data)), mac):
            raise TamperedError(document.key, "document")

        return json.loads(data)

    def audited(self, record: AuditRecord, chain: bytes) -> AuditRecord:
        """
        Give the audit entry with its MAC, which covers the MAC of the entry before in its lane.
        """
        return record._replace(mac=self._mac("audit", (chain, *record[:-1])))

    def is_audited(self, record: AuditRecord, chain: bytes) -> bool:
        """
        Tell whether the audit entry is as it was written, after the entry with this MAC.
        """
        return _same(self._mac("audit", (chain, *record[:-1])), record.mac)

    def operation(self, *parts: str | bytes) -> bytes:
        """
        Give the 16 bytes under which an operation is known.
        """
        return self._mac("operation", parts)[:16]

    def digest(self, value: object) -> str:
        """
        Give what tells equal contents from different ones, and nothing else about them.
        """
        return self._mac("content", (json.dumps(value, sort_keys=True, default=str),)).hex()[:32]

    def _mac(self, part: str, fields: tuple[bytes | int | str | None, ...]) -> bytes:
        return self.keyring.mac(part, packed(fields))


def _same(mac: bytes, stored: object) -> bool:
    """
    Compare MACs in constant time; a damaged file may have anything in the place of one.
    """
    return isinstance(stored, bytes) and hmac.compare_digest(mac, stored)


def packed(fields: tuple[bytes | int | str | None, ...]) -> bytes:
    """
    Write fields so that different ones never give equal bytes: as Python would write them down, in ASCII.
    """
    return ascii(fields).encode()
