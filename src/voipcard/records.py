"""
Between the values that people use and the records that a store keeps: what is sealed, signed, chained and checked.
"""

from __future__ import annotations

import hmac
import json
from typing import Any, Final, NamedTuple, cast

from voipcard.core.cards import CardCode, Handout, Kind, RevealedCard
from voipcard.core.credit import Credit
from voipcard.core.ledger import Balance, CallCharge, EntryKind, LedgerEntry
from voipcard.core.moments import from_micros
from voipcard.errors import AmountError, AmountTypeError, TamperedError
from voipcard.keyring import Keyring
from voipcard.names import KEYRING
from voipcard.stores.contract import AuditRecord, CardRecord, Document, EntryRecord, SealedCode, Store
from voipcard.unlocking import Keys

__all__ = ["NO_CHARGE", "Charge", "Records"]

NO_CHAIN: Final = b""
"""What the first entry of a card is chained to."""

_MAC_SIZE: Final = 32

_AS_JSON: Final = json.JSONEncoder(separators=(",", ":"), sort_keys=True)


class Charge(NamedTuple):
    """
    The fields of a ledger entry that only a charge has, as `EntryRecord` documents them.
    """

    prefix: str = ""
    sealed_rest: bytes = b""
    started_at: int | None = None
    seconds: int | None = None
    charged_seconds: int | None = None
    rate: int | None = None
    tariff: str = ""
    shortfall: int | None = None


NO_CHARGE: Final = Charge()
"""The fields of any other entry."""


class Records:
    """
    Makes and reads the records of one book.

    The keys may be changed by another process. What was sealed under a root that is not known yet is unsealed all the
    same. Who looks for an index takes the key ring once, `keyring`, asks for its `indexes`, and then asks
    `Engine.keys_changed`. Who writes takes the records that `Engine.writing` gives, and lets the commit require their
    `requirement`.

    Args:
        keyring: The keys of the book.

        keys: What reads them again when another process has changed them; None where they never change.

        store: Where they are read again.
    """

    def __init__(self, keyring: Keyring, keys: Keys | None = None, store: Store | None = None) -> None:
        self.keyring: Keyring = keyring
        self.keys: Final = keys
        self._store: Final = store
        # For what is authenticated under a root that never changes, whatever `keyring` is by now.
        self._first: Final = keyring

    def over(self, store: Store) -> Records:
        """
        Give the records of the same book through another handle on the same data.
        """
        return Records(self.keys.ring, self.keys, store) if self.keys else self

    def pinned(self) -> Records:
        """
        Give the same with the keys of this moment, whatever becomes of them.
        """
        return Records(self.keyring, self.keys, self._store)

    def newest(self) -> Records:
        """
        Give the same with the newest keys that this process knows.

        A handle may show an older document of the keys, and so does a store where somebody has put one back. It is
        right for looking things up there; but nothing is sealed any more with a key that is known to be replaced.
        """
        ring = self.keyring
        if self.keys is not None and self.keys.ring.version > ring.version:
            ring = self.keys.ring

        return Records(ring, self.keys, self._store)

    @property
    def requirement(self) -> tuple[str, int]:
        """
        What a commit has to require that writes what was sealed, indexed or given a PIN here.
        """
        return (KEYRING, self.keyring.version)

    def renew(self, document: Document | None, since: Keyring) -> bool:
        """
        Take the keys that a document tells of, if they are others than *since*; tell whether they are.

        Raises:
            TamperedError: If the document was changed from outside.

            KeyMissingError: If it has keys that are not known yet, and the provider has none.

            KeyMismatchError: If it has keys that are not known yet, and they were wrapped by another provider.
        """
        if self.keys is None or document is None or document.version == since.version:
            return False
        self.keyring = self.keys.renewed(document)

        return True

    # Cards

    def index(self, extension: bytes, kind: Kind, code: str) -> bytes:
        """
        Give what the code is found by in its extension; *extension* is the extension's random id.
        """
        return self.keyring.index(extension, kind, code)

    def indexes(self, extension: bytes, kind: Kind, code: str) -> list[bytes]:
        """
        Give all that the code may be found by, in the order in which it has to be looked for. See `Keyring.indexes`.
        """
        return self.keyring.indexes(extension, kind, code)

    def sealed_code(self, card: bytes, code: str) -> bytes:
        """
        Seal a code or CallerID for this card.
        """
        return self.keyring.seal(code, part="code", owner=card)

    def sealed_rest(self, card: bytes, rest: str) -> bytes:
        """
        Seal what of a called number is behind its prefix.
        """
        return self.keyring.seal(rest, part="destination", owner=card)

    def rest(self, entry: EntryRecord) -> str:
        """
        Unseal what of the called number is behind the prefix of a charge; empty if there is nothing.

        Raises:
            TamperedError: If the sealed value was changed from outside.
        """
        return self.unsealed_rest(entry.sealed_rest, entry.card, entry.serial) if entry.sealed_rest else ""

    def unsealed_rest(self, sealed: bytes, card: bytes, serial: str) -> str:
        """
        Unseal what `sealed_rest` sealed.

        Raises:
            TamperedError: If the sealed value was changed from outside.
        """
        return self._unsealed(sealed, "destination", card, serial)

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
        if not self.is_intact(record):
            raise TamperedError(record.serial, "record")

        return record

    def is_intact(self, record: CardRecord) -> bool:
        """
        Tell whether the record is as it was written.
        """
        return _same(self._mac("card", record[:-1]), record.mac)

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
        return self._unsealed(record.sealed_code, "code", record.id, record.serial)

    def unsealed(self, code: SealedCode) -> str:
        """
        Unseal a code or CallerID whose card was not read.

        Raises:
            TamperedError: If the sealed value was changed from outside; it does not name the card.
        """
        return self._unsealed(code.sealed_code, "code", code.id, "")

    def pin(self, record: CardRecord) -> str:
        """
        Unseal the PIN; empty if none is asked for, or if it is not kept.

        Raises:
            TamperedError: If the sealed value was changed from outside.
        """
        if not record.sealed_pin:
            return ""

        return self._unsealed(record.sealed_pin, "PIN", record.id, record.serial)

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

    def is_indexed(self, record: CardRecord, extension: bytes, code: str) -> bool:
        """
        Tell whether the card is found by this code in the extension with this id, under the root that it names.
        """
        return record.key in self.keyring.roots and _same(
            self.keyring.index(extension, record.kind, code, number=record.key), record.index
        )

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
            call=_call(record),
            shortfall=Credit.from_micros(record.shortfall or 0),
            replayed=replayed,
        )

    def posted(
        self,
        record: CardRecord,
        balance: Balance,
        *,
        kind: EntryKind,
        amount: Credit,
        now: int,
        actor: str,
        order_number: str = "",
        operation: bytes | None = None,
        charge: Charge = NO_CHARGE,
    ) -> tuple[CardRecord, EntryRecord]:
        """
        Give the card with its new balance, not signed yet, and the entry that records how it came about.
        """
        entry = self.chained(
            EntryRecord(
                record.id,
                record.sequence + 1,
                record.extension,
                record.batch,
                record.serial,
                kind,
                amount.micros,
                balance.credit.micros,
                balance.held.micros,
                order_number,
                operation,
                now,
                actor,
                *charge,
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
        data = _AS_JSON.encode(value).encode()

        return Document(key, self._mac("document", (key, version, expires_at, data)) + data, version, expires_at)

    def value_or_absent(self, document: Document | None, key: str) -> Any:  # noqa: ANN401  (what JSON holds)
        """
        Read a document; None if there is none, with as much work, so that the time does not tell.
        """
        if document is None:
            _same(self._mac("document", (key, 0, None, b"")), bytes(_MAC_SIZE))
            return None

        return self.value(document)

    def value(self, document: Document) -> Any:  # noqa: ANN401  (what JSON holds)
        """
        Read a document.

        Raises:
            TamperedError: If it was changed from outside.
        """
        return json.loads(self.data(document))

    def data(self, document: Document) -> bytes:
        """
        Give the JSON of a document as it was written: what is the same need not be read twice.

        Raises:
            TamperedError: If it was changed from outside.
        """
        if not isinstance(document.value, bytes):  # A damaged file may have anything there.
            raise TamperedError(document.key, "document")
        mac, data = document.value[:_MAC_SIZE], document.value[_MAC_SIZE:]
        if not _same(self._mac("document", (*document[:1], *document[2:], data)), mac):
            raise TamperedError(document.key, "document")

        return data

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

    def _unsealed(self, sealed: bytes, part: str, owner: bytes, subject: str) -> str:
        keyring = self.keyring
        try:
            return keyring.unseal(sealed, part=part, owner=owner, subject=subject)
        except TamperedError:
            # Another process may have sealed it under a root that is not known here yet.
            if keyring.root_of(sealed) in keyring.roots or self.keys is None or self._store is None:
                raise
            document = self._store.document(KEYRING)
            if document is None or document.version == keyring.version:
                raise
            self.keys.renewed(document)

            return keyring.unseal(sealed, part=part, owner=owner, subject=subject)

    def _mac(self, part: str, fields: tuple[bytes | int | str | None, ...]) -> bytes:
        return self._first.mac(part, packed(fields))


def _call(record: EntryRecord) -> CallCharge | None:
    if record.kind != "charge" or record.started_at is None:
        return None
    price = None if record.rate is None else Credit.from_micros(record.rate)

    return CallCharge(
        record.prefix, from_micros(record.started_at), record.seconds, record.charged_seconds, price, record.tariff
    )


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
