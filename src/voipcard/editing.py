"""
Changing cards other than their credit: code and PIN, enabled or not, removed, revealed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from typing import Any, Protocol, TypeAlias

import attrs

from voipcard.core.arguments import Progress
from voipcard.core.cards import CardCode, Handout, NewCard, serial_of
from voipcard.core.pins import PART_OF_CODE, check_pin, parts_of_code, weakness
from voipcard.core.query import CardQuery, Position
from voipcard.deciding import CHUNK, Decision, Reading
from voipcard.errors import (
    ActorRequiredError,
    CardExistsError,
    DuplicateError,
    InvalidValueError,
    WeakPinError,
)
from voipcard.names import CARDS, TOMBSTONE
from voipcard.registry import id_of
from voipcard.stores.contract import CardRecord, Changes, CounterChange
from voipcard.transact import Engine, asked

__all__ = ["Cards", "edit", "remove", "remove_unused", "reveal", "switch"]

Cards: TypeAlias = CardCode | str | Iterable[CardCode | str] | CardQuery
"""One card or its serial, many of them, or a query."""


class _Change(Protocol):
    """
    What a verb does to some of its cards: what to commit, and what to answer.
    """

    def __call__(self, records: Sequence[CardRecord], part: int, /) -> tuple[Changes, Any]: ...


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
        records = engine.records
        is_caller_id = caller_id if code is not None else record.kind == "caller_id"
        wanted = NewCard(
            records.code(record) if code is None else code,
            records.pin(record) if pin is None else pin,
            caller_id=is_caller_id,
        )
        pin_mac, sealed_pin = _sealed_pin(engine, record, wanted, is_new=pin is not None)
        changed = records.signed(
            record._replace(
                kind=wanted.kind,
                index=records.index(id_of(engine, extension), wanted.kind, wanted.code),
                sealed_code=records.sealed_code(record.id, wanted.code),
                pin_mac=pin_mac,
                sealed_pin=sealed_pin,
                key=records.keyring.active,
                version=record.version + 1,
            )
        )
        audit = engine.audited("edit", extension=extension, serial=serial, code=code is not None, pin=pin is not None)

        return Decision(Changes(replace=[(changed, record.version)], audit=audit), records.card(changed))

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
    targets = _Targets(engine, extension, cards, lambda record: record.enabled != enabled)

    def change(records: Sequence[CardRecord], part: int) -> tuple[Changes, int]:
        if enabled and part == 0 and targets.is_long:
            engine.refuse_over_quota(targets.count())
        sign = engine.records.signed
        replaced = [
            (sign(record._replace(enabled=enabled, version=record.version + 1)), record.version) for record in records
        ]
        count = len(records) if enabled else -len(records)

        return attrs.evolve(engine.activating(extension, count), replace=replaced), len(records)

    return sum(_in_chunks(targets, verb, change, operation=operation, progress=progress))


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
    targets = _Targets(
        engine, extension, cards, lambda record: unused_since is None or record.sequence == 1, content=unused_since
    )

    def change(records: Sequence[CardRecord], _part: int) -> tuple[Changes, list[str]]:
        active = engine.activating(extension, -sum(record.enabled for record in records))
        changes = attrs.evolve(
            active,
            remove=[(record.id, record.version) for record in records],
            documents=[(engine.records.document(*_tombstone(record), version=1), 0) for record in records],
            counters=[*active.counters, CounterChange(f"{CARDS}/{extension}", -len(records))],
        )

        return changes, [record.serial for record in records]

    removed = _in_chunks(targets, verb, change, operation=operation, progress=progress, dry_run=dry_run)

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


def _sealed_pin(engine: Engine, record: CardRecord, wanted: NewCard, *, is_new: bool) -> tuple[bytes, bytes]:
    if not is_new and record.pin_mac and not record.sealed_pin:
        _refuse_part_of_code(engine, record, wanted.code)

        return record.pin_mac, b""
    _refuse_weak(engine, wanted, is_new=is_new)

    return engine.records.sealed_pin(record.id, wanted.pin, is_kept=engine.facts.keeps_pins)


def _refuse_part_of_code(engine: Engine, record: CardRecord, code: str) -> None:
    """
    Refuse a code that begins or ends with a PIN which nobody can read: what it could be is tried.
    """
    matches = engine.records.keyring.pin_matches
    if any(matches(part, record.pin_mac, owner=record.id) for part in parts_of_code(code)):
        raise WeakPinError("pin", PART_OF_CODE)


def _tombstone(record: CardRecord) -> tuple[str, dict[str, Any]]:
    kept = {
        "serial": record.serial,
        "batch": record.batch,
        "extension": record.extension,
        "sequence": record.sequence,
        "chain": record.chain.hex(),
        "credit": record.credit,
    }

    return f"{TOMBSTONE}{record.id.hex()}", kept


class _Targets:
    """
    The cards that a call is about, read chunk by chunk.
    """

    def __init__(
        self,
        engine: Engine,
        extension: str,
        cards: Cards,
        concerns: Callable[[CardRecord], bool],
        *,
        content: object = None,
    ) -> None:
        self._content = content
        self.engine = engine
        self.extension = extension
        self._concerns = concerns
        self._query: CardQuery | None = None
        self._serials: list[str] = []
        if isinstance(cards, CardQuery):
            if cards.extension not in (None, extension):
                raise InvalidValueError("extension", "of the query has to be this one")
            if (cards.after, cards.limit) != (None, CardQuery().limit):
                raise InvalidValueError("after, limit", "are for pages: a query here means all the cards that match")
            now = engine.now() if cards.now is None else cards.now
            self._query = attrs.evolve(
                cards, extension=extension, now=now, order="created", descending=False, after=None, limit=CHUNK
            )
        elif isinstance(cards, CardCode | str):
            self._serials = [serial_of(cards)]
        else:
            # The same cards in another order are the same request, and what was interrupted goes on where it stopped.
            self._serials = sorted({serial_of(card) for card in cards})

    @property
    def is_long(self) -> bool:
        """
        Whether the cards may take more than one commit.
        """
        return self._query is not None or len(self._serials) > CHUNK

    @property
    def content(self) -> object:
        """
        What tells this request from another; the moment that it is made at does not.
        """
        if self._content is not None:
            return self._content
        if self._query is None:
            return self._serials

        return attrs.asdict(attrs.evolve(self._query, now=None))

    def detail(self) -> dict[str, Any]:
        """
        Give what the audit trail says about the cards.
        """
        if self._query is None:
            return {"serials": self._serials[:CHUNK], "count": len(self._serials)}

        return {"query": asked(self._query), "matching": self.engine.store.count(self._query)}

    def chunk(self, after: int | Position | None) -> tuple[list[CardRecord], int | Position | None]:
        """
        Give the next cards, and where to go on; None at the end.
        """
        if self._query is None:
            if after is None and self.is_long:
                self.engine.refuse_unknown(self.extension, self._serials)
            start = after if isinstance(after, int) else 0
            end = start + CHUNK
            page = self.engine.cards(self.extension, self._serials[start:end])
            following: int | Position | None = end if end < len(self._serials) else None
        else:
            position = after if isinstance(after, tuple) else None
            found = self.engine.store.cards(attrs.evolve(self._query, after=position))
            page = [self.engine.records.checked(record) for record in found]
            following = self._query.position(page[-1]) if len(page) == CHUNK else None

        return [record for record in page if self._concerns(record)], following

    def records(self) -> Iterable[CardRecord]:
        """
        Give all of them.
        """
        after: int | Position | None = None
        while True:
            records, after = self.chunk(after)
            yield from records
            if after is None:
                return

    def count(self) -> int:
        """
        Count them.
        """
        return sum(1 for _ in self.records())


def _in_chunks(
    targets: _Targets,
    verb: str,
    change: _Change,
    *,
    operation: str | None,
    progress: Progress | None,
    dry_run: bool = False,
) -> list[Any]:
    """
    Change cards, at most 1,000 in a commit, each commit exactly once: asked again, it goes on where it stopped.
    """
    engine = targets.engine
    after: int | Position | None = None
    answers: list[Any] = []
    done = 0
    while True:

        def decide(_: Reading, after: int | Position | None = after) -> Decision[Any]:
            records, following = targets.chunk(after)
            changes, answer = change(records, len(answers))
            if not answers:
                changes = attrs.evolve(
                    changes, audit=engine.audited(verb, extension=targets.extension, **targets.detail())
                )
            memo = {"answer": answer, "after": _written(following), "count": len(records)}

            return Decision(changes, memo, memo)

        memo = engine.once(
            verb,
            operation,
            lambda: [targets.extension, targets.content],
            decide=decide,
            replay=lambda memo: memo,
            part=len(answers),
            dry_run=dry_run,
        )
        answers.append(memo["answer"])
        after = _read(memo["after"])
        done += memo["count"]
        if progress:
            progress(done, None if after is not None else done)
        if after is None:
            return answers


def _written(after: int | Position | None) -> object:
    if after is None or isinstance(after, int):
        return after
    moment, card = after

    return [moment, card.hex() if isinstance(card, bytes) else card]


def _read(after: int | list[Any] | None) -> int | Position | None:
    return (after[0], bytes.fromhex(after[1])) if isinstance(after, list) else after
