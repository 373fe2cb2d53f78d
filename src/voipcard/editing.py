"""
Changing cards other than their credit: code and PIN, enabled or not, removed, revealed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import attrs

from voipcard.core.arguments import Progress
from voipcard.core.cards import CardCode, Handout, NewCard
from voipcard.core.credit import Credit
from voipcard.core.pins import PART_OF_CODE, check_pin, parts_of_code, weakness
from voipcard.core.query import CardQuery
from voipcard.deciding import Decision, Reading
from voipcard.desk import freed
from voipcard.errors import (
    ActorRequiredError,
    CardExistsError,
    CardInUseError,
    DuplicateError,
    InvalidValueError,
    WeakPinError,
)
from voipcard.names import CARDS, TOMBSTONE
from voipcard.records import Records
from voipcard.registry import as_stored, facts_of, id_of
from voipcard.stores.contract import CardRecord, Changes, CounterChange
from voipcard.targets import Cards, Targets, in_chunks
from voipcard.transact import Engine

__all__ = ["edit", "remove", "remove_unused", "reveal", "switch"]


def edit(
    engine: Engine,
    extension: str,
    serial: str,
    *,
    code: str | None,
    caller_id: bool,
    pin: str | None,
    operation: str | None,
) -> CardCode:
    """
    Change the code or CallerID of a card, or its PIN. See `Extension.edit`.
    """
    if code is None and (pin is None or caller_id):
        raise InvalidValueError("code, pin", "are what can be changed: give one of them")

    def decide(reading: Reading) -> Decision[CardCode]:
        if isinstance(reading.refusal, DuplicateError) and reading.refusal.indexes:
            raise CardExistsError((1,)) from reading.refusal
        record = engine.card(extension, serial)
        records = engine.writing(reading)
        is_caller_id = caller_id if code is not None else record.kind == "caller_id"
        wanted = NewCard(
            records.code(record) if code is None else code,
            records.pin(record) if pin is None else pin,
            caller_id=is_caller_id,
        )
        if code is not None:
            wanted = as_stored(facts_of(engine, extension), wanted)
        *older, index = records.indexes(id_of(engine, extension), wanted.kind, wanted.code)
        # What is there under an older key would not get in the way of the new one.
        if engine.store.known(indexes=older) - {record.index} if older else ():
            raise CardExistsError((1,))
        pin_mac, sealed_pin = _sealed_pin(engine, records, record, wanted, is_new=pin is not None)
        changed = records.signed(
            record._replace(
                kind=wanted.kind,
                index=index,
                sealed_code=records.sealed_code(record.id, wanted.code),
                pin_mac=pin_mac,
                sealed_pin=sealed_pin,
                key=records.keyring.active,
                version=record.version + 1,
            )
        )
        audit = engine.audited(
            "edit",
            extension=extension,
            serial=serial,
            code=code is not None,
            pin=pin is not None,
            before=_shape(record),
            after=_shape(changed),
        )
        changes = Changes(replace=[(changed, record.version)], require=[records.requirement], audit=audit)

        return Decision(changes, records.card(changed))

    return engine.once(
        "edit",
        operation,
        lambda: [extension, serial, code, caller_id, pin],
        decide=decide,
        replay=lambda _: engine.records.card(engine.card(extension, serial)),
    )


def switch(
    engine: Engine,
    extension: str,
    cards: Cards,
    *,
    enabled: bool,
    operation: str | None,
    progress: Progress | None,
) -> int:
    """
    Enable or disable cards. See `Extension.enable` and `Extension.disable`.
    """
    verb = "enable" if enabled else "disable"
    targets = Targets(engine, extension, cards, lambda record: record.enabled != enabled)

    def change(records: Sequence[CardRecord], part: int) -> tuple[Changes, int]:
        if enabled and part == 0 and targets.is_long:
            engine.refuse_over_quota(extension, targets.count())
        sign = engine.records.signed
        replaced = [
            (sign(record._replace(enabled=enabled, version=record.version + 1)), record.version) for record in records
        ]
        count = len(records) if enabled else -len(records)

        return attrs.evolve(engine.activating(extension, count), replace=replaced), len(records)

    return sum(
        in_chunks(targets, verb, change, operation=operation, progress=progress, before=lambda record: record.enabled)
    )


def remove(
    engine: Engine,
    extension: str,
    cards: Cards,
    *,
    operation: str | None,
    dry_run: bool,
    progress: Progress | None,
    verb: str = "remove",
    unused_since: float | None = None,
) -> tuple[str, ...]:
    """
    Remove cards; their ledger entries stay. See `Extension.remove`.
    """
    targets = Targets(
        engine,
        extension,
        cards,
        lambda record: unused_since is None or (record.sequence == 1 and not _is_in_use(engine, record)),
        content=unused_since,
    )

    def change(records: Sequence[CardRecord], _part: int) -> tuple[Changes, list[str]]:
        if in_use := [record.serial for record in records if _is_in_use(engine, record)]:
            raise CardInUseError(in_use[0])
        active = engine.activating(extension, -sum(record.enabled for record in records))
        changes = attrs.evolve(
            active,
            remove=[(record.id, record.version) for record in records],
            documents=[(engine.records.document(*_tombstone(record), version=1), 0) for record in records],
            counters=[*active.counters, CounterChange(f"{CARDS}/{extension}", -len(records))],
        )

        return changes, [record.serial for record in records]

    removed = in_chunks(
        targets,
        verb,
        change,
        operation=operation,
        progress=progress,
        dry_run=dry_run,
        before=lambda record: str(Credit.from_micros(record.credit)),
    )

    return tuple(serial for serials in removed for serial in serials)


def remove_unused(
    engine: Engine,
    extension: str,
    older_than: timedelta,
    *,
    operation: str | None,
    dry_run: bool,
    progress: Progress | None,
) -> tuple[str, ...]:
    """
    Remove the cards that nothing happened to since they were made. See `Extension.remove_unused`.
    """
    if older_than < timedelta(0):
        raise InvalidValueError("older_than", "cannot be negative")
    made_before = max(0, engine.now() - older_than // timedelta(microseconds=1))
    query = CardQuery(used=False, created_before=made_before + 1)

    return remove(
        engine,
        extension,
        query,
        operation=operation,
        dry_run=dry_run,
        progress=progress,
        verb="remove_unused",
        unused_since=older_than.total_seconds(),
    )


def reveal(engine: Engine, extension: str, serial: str) -> Handout:
    """
    Unseal a card, audited before. See `Extension.reveal`.
    """
    if not engine.actor:
        raise ActorRequiredError("reveal")
    engine.refuse_joined("reveal")
    record = engine.card(extension, serial)
    engine.commit(Changes(audit=engine.audited("reveal", extension=extension, serial=serial)))

    return engine.records.handout(record)


def _refuse_weak(engine: Engine, card: NewCard, *, is_new: bool) -> None:
    if is_new:
        check_pin(card.pin, card.code, allow_weak=engine.policy.allow_weak_pins)
    elif weakness(card.pin, card.code) == PART_OF_CODE:
        raise WeakPinError("pin", PART_OF_CODE)


def _sealed_pin(
    engine: Engine, records: Records, record: CardRecord, wanted: NewCard, *, is_new: bool
) -> tuple[bytes, bytes]:
    if not is_new and record.pin_mac and not record.sealed_pin:
        _refuse_part_of_code(engine, record, wanted.code)

        return record.pin_mac, b""
    _refuse_weak(engine, wanted, is_new=is_new)

    return records.sealed_pin(record.id, wanted.pin, is_kept=engine.facts.keeps_pins)


def _refuse_part_of_code(engine: Engine, record: CardRecord, code: str) -> None:
    """
    Refuse a code that begins or ends with a PIN which nobody can read: what it could be is tried.
    """
    matches = engine.records.keyring.pin_matches
    if any(matches(part, record.pin_mac, owner=record.id) for part in parts_of_code(code)):
        raise WeakPinError("pin", PART_OF_CODE)


def _is_in_use(engine: Engine, record: CardRecord) -> bool:
    return bool(freed(record, engine.now()).holds)


def _shape(record: CardRecord) -> dict[str, Any]:
    """
    Tell of what can be edited as much as is no secret.
    """
    return {"kind": record.kind, "has_pin": bool(record.pin_mac)}


def _tombstone(record: CardRecord) -> tuple[str, dict[str, Any]]:
    kept = {
        "serial": record.serial,
        "batch": record.batch,
        "extension": record.extension,
        "sequence": record.sequence,
        "chain": record.chain.hex(),
        "credit": record.credit,
        "version": record.version,
    }

    return f"{TOMBSTONE}{record.id.hex()}", kept
