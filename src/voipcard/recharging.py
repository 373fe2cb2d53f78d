"""
Changing credit by hand: recharges, exactly once per order number, and transfers between two cards.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from voipcard.batches import batch_expiries
from voipcard.core.arguments import Progress, checked_text
from voipcard.core.cards import CardCode, serial_of
from voipcard.core.credit import Amount, Credit
from voipcard.core.expiry import after_recharge
from voipcard.core.ledger import Balance, EntryKind, LedgerEntry, recharged, transferred
from voipcard.core.moments import from_micros
from voipcard.core.query import EntryQuery
from voipcard.deciding import CHUNK, Decision, Reading
from voipcard.errors import InvalidValueError, OperationConflictError, TamperedError
from voipcard.stores.contract import CardRecord, Changes, EntryRecord
from voipcard.transact import Engine

__all__ = ["recharge", "recharge_many", "transfer"]


def recharge(engine: Engine, extension: str, card: CardCode | str, amount: Amount, *, order_number: str) -> LedgerEntry:
    """
    Recharge one card. See `Extension.recharge`.
    """
    order_number = checked_text("order_number", order_number)
    asked = [_parsed((card, amount))]
    keys = _order_keys(engine, asked, order_number)
    decide = _recharging(engine, extension, asked, order_number, keys=keys)
    [entry] = engine.decider.run(decide, cards=[asked[0][0]], operations=keys)

    return entry


def recharge_many(
    engine: Engine,
    extension: str,
    amounts: Iterable[tuple[CardCode | str, Amount]],
    *,
    order_number: str,
    operation: str | None,
    progress: Progress | None = None,
) -> list[LedgerEntry]:
    """
    Recharge cards, at most 1,000 in a commit. See `Extension.recharge_many`.
    """
    order_number = checked_text("order_number", order_number)
    # Every amount is parsed before the first commit.
    asked = [_parsed(change) for change in amounts]
    if len(asked) > CHUNK and operation is None:
        engine.refuse_unknown(extension, [serial for serial, _ in asked])
    entries: list[LedgerEntry] = []
    for part, chunk in enumerate(_chunks(asked)):
        keys = [] if operation else _order_keys(engine, chunk, order_number)
        decide = _recharging(engine, extension, chunk, order_number, keys=keys, count=len(asked), part=part)
        done: list[LedgerEntry] = engine.once(
            "recharge",
            operation,
            lambda: [extension, order_number, [[serial, str(amount)] for serial, amount in asked]],
            decide=decide,
            replay=lambda memo: _replayed(engine, memo),
            cards=[serial for serial, _ in chunk],
            operations=keys,
            part=part,
        )
        entries += done
        if progress:
            progress(len(entries), len(asked))

    return entries


def transfer(
    engine: Engine,
    extension: str,
    source: CardCode | str,
    target: CardCode | str,
    amount: Amount,
    *,
    order_number: str,
    operation: str | None,
) -> tuple[LedgerEntry, LedgerEntry]:
    """
    Move credit from one card to another. See `Extension.transfer`.
    """
    order_number = checked_text("order_number", order_number)
    moved = Credit(amount)
    serials = (serial_of(source), serial_of(target))
    if serials[0] == serials[1]:
        raise InvalidValueError("target", "has to be another card")

    def decide(reading: Reading) -> Decision[list[LedgerEntry]]:
        desk = _Desk(engine, extension, reading.cards)
        before = tuple(desk.balance(serial) for serial in serials)
        after = transferred(before[0], before[1], moved, serials=serials)
        for serial, balance, change in zip(serials, after, (-moved, moved), strict=True):
            desk.post(serial, balance, kind="transfer", amount=change, order_number=order_number)

        told = {
            name: [str(balance.credit) for balance in balances]
            for name, balances in (("before", before), ("after", after))
        }

        return desk.decision("transfer", serials=serials, amount=str(moved), order_number=order_number, **told)

    content = [extension, serials, str(moved), order_number]
    taken, given = engine.once(
        "transfer",
        operation,
        lambda: content,
        decide=decide,
        replay=lambda memo: _replayed(engine, memo),
        cards=serials,
    )

    return taken, given


def _recharging(
    engine: Engine,
    extension: str,
    asked: Sequence[tuple[str, Credit]],
    order_number: str,
    *,
    keys: Sequence[bytes],
    count: int = 1,
    part: int = 0,
) -> Callable[[Reading], Decision[list[LedgerEntry]]]:
    """
    Make the decision about one commit of recharges.

    Args:
        engine: The book.

        extension: The extension of the cards.

        asked: Serials, each with what to add; at most 1,000.

        order_number: The order that pays for it.

        keys: The operation of each recharge, if the order number makes it happen once; else none.

        count: How many recharges the call is about.

        part: Which of its commits this is, from 0.
    """

    def decide(reading: Reading) -> Decision[list[LedgerEntry]]:
        desk = _Desk(engine, extension, reading.cards)
        for (serial, amount), key in itertools.zip_longest(asked, keys):
            if key in reading.operations or key in desk.keys:
                desk.replay(key, serial, amount)
            else:
                balance = recharged(desk.balance(serial), amount, serial=serial)
                desk.post(serial, balance, kind="recharge", amount=amount, order_number=order_number, key=key)
                if amount.micros > 0:
                    desk.prolong(serial)
        if not desk.posted:
            return Decision(None, desk.answers)
        if count == 1:
            [(serial, amount)] = asked
            told = desk.credits(serial)
            return desk.decision("recharge", serial=serial, amount=str(amount), order_number=order_number, **told)
        serials, amounts = [serial for serial, _ in asked], [str(amount) for _, amount in asked]
        which = {"part": part + 1} if part else {}

        return desk.decision(
            "recharge", serials=serials, amounts=amounts, count=count, order_number=order_number, **which
        )

    return decide


class _Desk:
    """
    The cards of one commit while their credit changes, so that one card can come more than once.
    """

    def __init__(self, engine: Engine, extension: str, cards: Mapping[str, CardRecord]) -> None:
        self._engine = engine
        self._extension = extension
        self._cards = cards
        self._now = engine.now()
        self._moment = from_micros(self._now)
        self._before: dict[str, CardRecord] = {}
        self._after: dict[str, CardRecord] = {}
        self.keys: dict[bytes, EntryRecord] = {}
        self.posted: list[EntryRecord] = []
        self.answers: list[LedgerEntry] = []

    def record(self, serial: str) -> CardRecord:
        """
        Give the card as it is after what was posted so far.
        """
        if serial not in self._after:
            record = self._engine.known_card(self._cards, self._extension, serial)
            self._before[serial] = self._after[serial] = record

        return self._after[serial]

    def balance(self, serial: str) -> Balance:
        """
        Give its balance.
        """
        record = self.record(serial)

        return Balance(
            Credit.from_micros(record.credit),
            Credit.from_micros(record.total_credit),
            Credit.from_micros(record.held),
            record.recharge_count,
        )

    def credits(self, serial: str) -> dict[str, str]:
        """
        Tell its credit before and after all that was posted.
        """
        records = {"before": self._before[serial], "after": self._after[serial]}

        return {name: str(Credit.from_micros(record.credit)) for name, record in records.items()}

    def post(
        self,
        serial: str,
        balance: Balance,
        *,
        kind: EntryKind,
        amount: Credit,
        order_number: str,
        key: bytes | None = None,
    ) -> None:
        """
        Give the card a new balance, and remember the entry.
        """
        now, actor = self._now, self._engine.actor
        self._after[serial], entry = self._engine.records.posted(
            self.record(serial),
            balance,
            kind=kind,
            amount=amount,
            order_number=order_number,
            operation=key,
            now=now,
            actor=actor,
        )
        self.posted.append(entry)
        self.answers.append(
            LedgerEntry(
                serial,
                entry.extension,
                entry.batch,
                entry.sequence,
                kind,
                amount,
                balance.credit,
                balance.held,
                order_number,
                self._moment,
                actor,
            )
        )
        if key is not None:
            self.keys[key] = entry

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
            now=self._now,
        )
        self._after[serial] = record._replace(expires_at=expires_at)

    def replay(self, key: bytes, serial: str, amount: Credit) -> None:
        """
        Answer with the entry that the order number made before, if the card is still there and as it was written.
        """
        self.record(serial)
        done = [self.keys[key]] if key in self.keys else self._engine.store.entries(EntryQuery(operation=key))
        if not done:
            raise TamperedError(serial, "history")
        [entry] = done
        if entry.amount != amount.micros or entry.kind != "recharge":
            raise OperationConflictError("recharge", serial)
        self.answers.append(self._engine.records.entry(entry, replayed=True))

    def decision(self, verb: str, **detail: object) -> Decision[list[LedgerEntry]]:
        """
        Give what has to be committed, with its audit entry, and what it can be answered from again.
        """
        engine = self._engine
        replaced = [
            (engine.records.signed(record._replace(version=before.version + 1)), before.version)
            for serial, record in self._after.items()
            if (before := self._before[serial]) is not record
        ]
        audit = engine.audited(verb, extension=self._extension, now=self._now, **detail)
        memo = [[entry.card.hex(), entry.sequence] for entry in self.posted]

        return Decision(Changes(replace=replaced, entries=self.posted, audit=audit), self.answers, memo)


def _replayed(engine: Engine, memo: Iterable[tuple[str, int]]) -> list[LedgerEntry]:
    entries = []
    for card, sequence in memo:
        # The cursor stands just before the entry.
        query = EntryQuery(card=bytes.fromhex(card), after=(bytes.fromhex(card), sequence - 1), limit=1)
        entries += [engine.records.entry(entry, replayed=True) for entry in engine.store.entries(query)]

    return entries


def _order_keys(engine: Engine, asked: Sequence[tuple[str, Credit]], order_number: str) -> list[bytes]:
    if not order_number:
        return []

    return [engine.records.operation("order", str(serial), order_number) for serial, _ in asked]


def _parsed(change: tuple[CardCode | str, Amount]) -> tuple[str, Credit]:
    if isinstance(change, str) or len(change) != 2:  # noqa: PLR2004  (a pair)
        raise InvalidValueError("amounts", "have to be pairs of a card and what to add to it")

    return serial_of(change[0]), Credit(change[1])


def _chunks(asked: Sequence[tuple[str, Credit]]) -> Iterator[Sequence[tuple[str, Credit]]]:
    for start in range(0, len(asked), CHUNK):
        yield asked[start : start + CHUNK]
