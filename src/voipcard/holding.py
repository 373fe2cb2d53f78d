"""
Reserving credit while a call runs, and what becomes of it: captured, released, or free again when it runs out.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

import attrs

from voipcard.batches import batch_facts
from voipcard.core.arguments import checked_integer
from voipcard.core.cards import CardCode, serial_of
from voipcard.core.credit import Amount, Credit, checked_price
from voipcard.core.holds import Hold, KeptHold, unpacked
from voipcard.core.ledger import LedgerEntry, reserved
from voipcard.core.moments import from_micros, to_micros
from voipcard.core.query import CardQuery
from voipcard.deciding import CHUNK, Decision, Reading
from voipcard.desk import Desk, freed
from voipcard.errors import (
    CardUnusableError,
    InvalidValueError,
    OperationConflictError,
    TamperedError,
    TooManyCallsError,
    UnknownHoldError,
)
from voipcard.names import BATCH, EXTENSION
from voipcard.records import Charge
from voipcard.registry import ExtensionFacts, facts_of_document
from voipcard.stores.contract import CardRecord, Changes, Document
from voipcard.transact import Engine

__all__ = [
    "admitted",
    "capture",
    "extend",
    "found_by_key",
    "hold",
    "holds_of",
    "lasting",
    "place",
    "release",
    "seen",
    "sweep",
]

MAX_HOLDS: Final = 2000
"""No card has more of them, whatever is set for its extension: they have to fit into its record."""

_LONGEST: Final = timedelta(days=366)
_MICROSECOND: Final = timedelta(microseconds=1)


def hold(
    engine: Engine,
    extension: str,
    card: CardCode | str,
    amount: Amount,
    *,
    expires_in: timedelta,
    operation: str | None,
) -> Hold:
    """
    Reserve credit. See `Extension.hold`.
    """
    serial, wanted, microseconds = serial_of(card), checked_price("amount", amount), lasting("expires_in", expires_in)
    id = os.urandom(16).hex()

    def decide(reading: Reading) -> Decision[Hold]:
        desk = Desk(engine, extension, reading.cards)
        record = desk.record(serial)
        found = found_by_key(engine, EXTENSION + extension, BATCH + record.batch)
        facts = admitted(engine, extension, record, found, now=desk.now)
        kept = KeptHold(id, wanted.micros, desk.now, desk.now + microseconds)
        place(desk, serial, kept, limit=facts.settings.concurrent_calls)
        placed = seen(serial, kept)
        told = {"serial": serial, "hold": id, "amount": str(wanted), "expires_at": placed.expires_at.isoformat()}

        return Decision(desk.changes("hold", **told), placed, [serial, *kept[:4]])

    return engine.once(
        "hold",
        operation,
        lambda: [extension, serial, str(wanted), microseconds],
        decide=decide,
        replay=lambda memo: attrs.evolve(seen(memo[0], KeptHold(*memo[1:])), replayed=True),
        cards=[serial],
    )


def extend(engine: Engine, extension: str, held: Hold, *, amount: Amount | None, expires_in: timedelta) -> Hold:
    """
    Let a hold last longer, or be of another amount. See `Extension.extend`.
    """
    wanted = None if amount is None else checked_price("amount", amount)
    microseconds = lasting("expires_in", expires_in)
    serial = held.serial

    def decide(reading: Reading) -> Decision[Hold]:
        desk = Desk(engine, extension, reading.cards)
        before = desk.hold(serial, held.id)
        if before is None:
            raise UnknownHoldError(serial)
        # Never shorter than it was told to last, also where the clock was set back.
        after = before._replace(
            amount=before.amount if wanted is None else wanted.micros,
            expires_at=max(before.expires_at, desk.now + microseconds),
        )
        if after == before:
            return Decision(None, seen(serial, before))
        replace(desk, serial, after)
        is_now = seen(serial, after)
        told = {"serial": serial, "hold": held.id, "amount": str(is_now.amount)}

        return Decision(desk.changes("extend", **told, expires_at=is_now.expires_at.isoformat()), is_now)

    return engine.decider.run(decide, cards=[serial])


def capture(engine: Engine, extension: str, held: Hold, amount: Amount | None) -> LedgerEntry:
    """
    Take what a hold was for. See `Extension.capture`.
    """
    cost = held.amount if amount is None else checked_price("amount", amount)
    charge = Charge(started_at=to_micros(held.begun_at))

    def decide(desk: Desk) -> LedgerEntry:
        return desk.settle(held.serial, held.id, cost, charge)

    entry = _ended(engine, extension, held, "capture", decide)
    if entry.kind != "charge" or entry.shortfall - entry.amount != cost:
        raise OperationConflictError("capture", held.serial)

    return entry


def release(engine: Engine, extension: str, held: Hold) -> LedgerEntry:
    """
    Give back what was reserved. See `Extension.release`.
    """

    def decide(desk: Desk) -> LedgerEntry:
        desk.keep(held.serial, [hold for hold in desk.holds(held.serial) if hold.id != held.id])
        balance, key = desk.balance(held.serial), bytes.fromhex(held.id)

        return desk.post(held.serial, balance, kind="release", amount=Credit(0), key=key)

    entry = _ended(engine, extension, held, "release", decide)
    if entry.kind != "release":
        raise OperationConflictError("release", held.serial)

    return entry


def holds_of(engine: Engine, extension: str, card: CardCode | str) -> list[Hold]:
    """
    Give the holds of a card that have not run out. See `Extension.holds`.
    """
    record = freed(engine.card(extension, serial_of(card)), engine.now())

    return [seen(record.serial, kept) for kept in unpacked(record.holds)]


def sweep(engine: Engine, extension: str | None, *, limit: int) -> int:
    """
    Free the holds that have run out, of one extension or of all. See `CardBook.sweep`.
    """
    checked_integer("limit", limit, at_least=1, at_most=CHUNK)

    def decide(_: Reading) -> Decision[int]:
        now = engine.now()
        before = _with_expired_holds(engine, extension, now, limit)
        if not before:
            return Decision(None, 0)
        after = [freed(record, now) for record in before]
        count = sum(map(_running, before)) - sum(map(_running, after))
        replace = [
            (engine.records.signed(record._replace(version=record.version + 1)), record.version) for record in after
        ]
        serials = [record.serial for record in after]
        audit = engine.audited("sweep", extension=extension or "", now=now, serials=serials, count=count)

        return Decision(Changes(replace=replace, audit=audit), count)

    return engine.decider.run(decide)


# What calls need as well


def lasting(name: str, span: timedelta) -> int:
    """
    Accept how long something lasts, and give it in microseconds.

    Raises:
        InvalidValueError: If it is not longer than nothing, or longer than a year.
    """
    if not isinstance(span, timedelta) or not timedelta(0) < span <= _LONGEST:
        raise InvalidValueError(name, "has to be a timedelta of more than nothing and at most 366 days")

    return span // _MICROSECOND


def found_by_key(engine: Engine, *keys: str) -> dict[str, Document]:
    """
    Give documents by their keys, as far as they are there.
    """
    return {document.key: document for document in engine.store.find_documents(keys)}


def admitted(
    engine: Engine, extension: str, record: CardRecord, found: Mapping[str, Document], *, now: int
) -> ExtensionFacts:
    """
    Give what is known of an extension if a new call can be made with this card of it.

    Args:
        engine: The book.

        extension: The number of the extension.

        record: The card.

        found: At least the documents of the extension and of the card's batch.

        now: The moment.

    Raises:
        CardUnusableError: If the card, its batch or the extension is disabled, or the card has expired.

        TamperedError: If something that says so was changed from outside.
    """
    keys = (EXTENSION + extension, BATCH + record.batch)
    facts = facts_of_document(engine, extension, found.get(keys[0]))
    batch = batch_facts(engine, found.get(keys[1]))
    for key, is_known in zip(keys, (facts.version, batch), strict=True):
        if not is_known:  # Whatever has cards is known: somebody has taken away that it is disabled.
            raise TamperedError(key, "document")
    reasons = {
        "disabled": not record.enabled,
        "batch_disabled": batch is not None and not batch.enabled,
        "extension_disabled": not facts.enabled,
        "expired": record.expires_at is not None and record.expires_at <= now,
    }
    for reason, applies in reasons.items():
        if applies:
            raise CardUnusableError(record.serial, reason)

    return facts


def place(desk: Desk, serial: str, kept: KeptHold, *, limit: int | None) -> None:
    """
    Give a card one more hold.

    Raises:
        TooManyCallsError: If it has *limit* of them.

        InsufficientCreditError: If it is more than is available.
    """
    others = desk.holds(serial)
    most = MAX_HOLDS if limit is None else min(limit, MAX_HOLDS)
    if len(others) >= most:
        raise TooManyCallsError(serial, most)
    reserved(desk.balance(serial), Credit.from_micros(kept.amount), serial=serial)
    desk.keep(serial, [*others, kept])


def replace(desk: Desk, serial: str, kept: KeptHold) -> None:
    """
    Let a hold be another one from now on.

    Raises:
        InsufficientCreditError: If it is more than is available.
    """
    before = {hold.id: hold for hold in desk.holds(serial)}
    more = kept.amount - before[kept.id].amount
    if more > 0:
        reserved(desk.balance(serial), Credit.from_micros(more), serial=serial)
    desk.keep(serial, list({**before, kept.id: kept}.values()))


def seen(serial: str, kept: KeptHold) -> Hold:
    """
    Give a hold as people see it.
    """
    return Hold(
        kept.id, serial, Credit.from_micros(kept.amount), from_micros(kept.begun_at), from_micros(kept.expires_at)
    )


def _ended(engine: Engine, extension: str, held: Hold, verb: str, end: Callable[[Desk], LedgerEntry]) -> LedgerEntry:
    """
    End a hold in one way, or give how it was ended before.
    """
    serial = held.serial

    def decide(reading: Reading) -> Decision[LedgerEntry]:
        desk = Desk(engine, extension, reading.cards)
        if done := desk.ended(serial, held.id, reading):
            if done.serial != serial:
                raise OperationConflictError(verb, serial)
            return Decision(None, desk.replay(done))
        entry = end(desk)
        told = {"serial": serial, "hold": held.id, "amount": str(entry.amount), "shortfall": str(entry.shortfall)}

        return Decision(desk.changes(verb, **told, **desk.credits(serial)), entry)

    return engine.decider.run(decide, cards=[serial])


def _with_expired_holds(engine: Engine, extension: str | None, now: int, limit: int) -> list[CardRecord]:
    """
    Give the first cards with holds that have run out, without those that were changed from outside.
    """
    query = CardQuery(extension=extension, hold_expired_at=now, limit=limit)
    found: list[CardRecord] = []
    while page := engine.store.cards(query):
        found += filter(engine.records.is_intact, page)
        if len(found) >= limit or len(page) < limit:
            break
        # One of them would keep all others from being freed.
        query = attrs.evolve(query, after=query.position(page[-1]))

    return found[:limit]


def _running(record: CardRecord) -> int:
    return len(unpacked(record.holds))
