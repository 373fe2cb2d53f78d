"""
The cards of one commit while their credit changes: balances, holds, and the ledger entries that record it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from voipcard.batches import batch_expiries
from voipcard.core.credit import Credit
from voipcard.core.expiry import after_recharge
from voipcard.core.holds import KeptHold, kept, packed, unpacked
from voipcard.core.ledger import Balance, EntryKind, LedgerEntry, charged
from voipcard.core.query import EntryQuery
from voipcard.deciding import Reading
from voipcard.errors import TamperedError
from voipcard.records import NO_CHARGE, Charge
from voipcard.stores.contract import CardRecord, Changes, EntryRecord
from voipcard.transact import Engine

__all__ = ["Desk", "balance_of", "freed", "holding"]


def freed(record: CardRecord, now: int) -> CardRecord:
    """
    Give a card without the holds that have run out by *now*, not signed yet.
    """
    if record.next_hold_expiry is None or record.next_hold_expiry > now:  # As most cards are: nothing to read.
        return record

    return holding(record, kept(unpacked(record.holds), now))


def holding(record: CardRecord, holds: Sequence[KeptHold]) -> CardRecord:
    """
    Give a card with these holds, not signed yet.
    """
    return record._replace(
        holds=packed(holds),
        held=sum(hold.amount for hold in holds),
        next_hold_expiry=min((hold.expires_at for hold in holds), default=None),
    )


def balance_of(record: CardRecord) -> Balance:
    """
    Give the balance of a card.
    """
    return Balance(
        Credit.from_micros(record.credit),
        Credit.from_micros(record.total_credit),
        Credit.from_micros(record.held),
        record.recharge_count,
    )


class Desk:
    """
    The cards of one commit, so that one card can come more than once.

    Args:
        engine: The book.

        extension: The extension of the cards.

        cards: What was read of them.

    Attributes:
        now: The moment of all that is done here.
        keys: The entries that were posted, by their operations.
        posted: All entries that were posted.
        answers: What the caller is told, in its order.
    """

    def __init__(self, engine: Engine, extension: str, cards: Mapping[str, CardRecord]) -> None:
        self._engine = engine
        self._extension = extension
        self._cards = cards
        self._before: dict[str, CardRecord] = {}
        self._after: dict[str, CardRecord] = {}
        self.now: int = engine.now()
        self.keys: dict[bytes, EntryRecord] = {}
        self.posted: list[EntryRecord] = []
        self.answers: list[LedgerEntry] = []

    def record(self, serial: str) -> CardRecord:
        """
        Give the card as it is after what was done so far, without holds that have run out.

        Raises:
            UnknownCardError: If the extension has none with this serial.

            TamperedError: If somebody changed it.
        """
        if serial not in self._after:
            record = self._engine.known_card(self._cards, self._extension, serial)
            self._before[serial] = record
            self._after[serial] = freed(record, self.now)

        return self._after[serial]

    def balance(self, serial: str) -> Balance:
        """
        Give its balance.
        """
        return balance_of(self.record(serial))

    def credits(self, serial: str) -> dict[str, str]:
        """
        Tell its credit before and after all that was posted.
        """
        records = {"before": self._before[serial], "after": self._after[serial]}

        return {name: str(Credit.from_micros(record.credit)) for name, record in records.items()}

    def holds(self, serial: str) -> list[KeptHold]:
        """
        Give its holds.
        """
        return unpacked(self.record(serial).holds)

    def hold(self, serial: str, id: str) -> KeptHold | None:
        """
        Give one of its holds; None if it is not there any more.
        """
        return next((hold for hold in self.holds(serial) if hold.id == id), None)

    def keep(self, serial: str, holds: Sequence[KeptHold]) -> None:
        """
        Give the card these holds and no others.
        """
        self._after[serial] = holding(self.record(serial), holds)

    def post(
        self,
        serial: str,
        balance: Balance,
        *,
        kind: EntryKind,
        amount: Credit,
        order_number: str = "",
        key: bytes | None = None,
        charge: Charge = NO_CHARGE,
    ) -> LedgerEntry:
        """
        Give the card a new balance, and remember the entry.
        """
        self._after[serial], entry = self._engine.records.posted(
            self.record(serial),
            balance,
            kind=kind,
            amount=amount,
            order_number=order_number,
            operation=key,
            now=self.now,
            actor=self._engine.actor,
            charge=charge,
        )
        self.posted.append(entry)
        self.answers.append(self._engine.records.entry(entry))
        if key is not None:
            self.keys[key] = entry

        return self.answers[-1]

    def settle(self, serial: str, id: str, cost: Credit, charge: Charge) -> LedgerEntry:
        """
        Take what a call cost out of its hold and what is available besides, and let the hold go.
        """
        holds = self.holds(serial)
        own = sum(hold.amount for hold in holds if hold.id == id)
        balance = self.balance(serial)
        after, shortfall = charged(balance, Credit.from_micros(own), cost)
        self.keep(serial, [hold for hold in holds if hold.id != id])

        return self.post(
            serial,
            after,
            kind="charge",
            amount=shortfall - cost,
            key=bytes.fromhex(id),
            charge=charge._replace(shortfall=shortfall.micros),
        )

    def ended(self, serial: str, id: str, reading: Reading) -> EntryRecord | None:
        """
        Give the entry that a hold has ended with before; None if it has not, as far as is known.

        What is held for has not ended, so that nothing has to be looked up for it. Only where a commit was refused it
        may have: the operation of an entry is unique, and a call can have been settled on another card.
        """
        if self.hold(serial, id) is not None and reading.refusal is None:
            return None
        done = self._engine.store.entries(EntryQuery(operation=bytes.fromhex(id)))

        return done[0] if done else None

    def done_before(self, key: bytes, serial: str) -> EntryRecord:
        """
        Give the entry that an operation has made before, if the card is still there and as it was written.

        Raises:
            TamperedError: If the entry is not there.
        """
        self.record(serial)
        done = [self.keys[key]] if key in self.keys else self._engine.store.entries(EntryQuery(operation=key))
        if not done:
            raise TamperedError(serial, "history")

        return done[0]

    def replay(self, entry: EntryRecord) -> LedgerEntry:
        """
        Answer with an entry that was made before.
        """
        self.answers.append(self._engine.records.entry(entry, replayed=True))

        return self.answers[-1]

    def prolong(self, serial: str) -> None:
        """
        Let a card that credit was added to expire when its batch says.
        """
        record = self._after[serial]
        if record.expires_at is None:  # As most cards are: then there is nothing to read.
            return
        if record.batch not in self._engine.batch_expiries:
            expiring = (card for card in self._cards.values() if card.expires_at is not None)
            batch_expiries(self._engine, [record.batch, *(card.batch for card in expiring)])
        expires_at = after_recharge(
            self._engine.batch_expiries[record.batch],
            record.expires_at,
            created_at=record.created_at,
            first_used_at=record.first_used_at,
            now=self.now,
        )
        self._after[serial] = record._replace(expires_at=expires_at)

    def changes(self, verb: str, **detail: object) -> Changes:
        """
        Give what has to be committed, with its audit entry.
        """
        engine = self._engine
        replaced = [
            (engine.records.signed(record._replace(version=before.version + 1)), before.version)
            for serial, record in self._after.items()
            if (before := self._before[serial]) is not record
        ]
        audit = engine.audited(verb, extension=self._extension, now=self.now, **detail)

        return Changes(replace=replaced, entries=self.posted, audit=audit)

    @property
    def memo(self) -> list[tuple[str, int]]:
        """
        What the answers can be built from once more.
        """
        return [(entry.card.hex(), entry.sequence) for entry in self.posted]
