"""
Letting callers in, by a dialed code or by the number they call from, and telling nobody why they are not let in.

Whatever is wrong with a code, the same is read, the same is computed, as much is written, and the answer takes as long.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, Literal, TypeAlias

import attrs

from voipcard.batches import batch_facts
from voipcard.core.batches import BatchFacts
from voipcard.core.cards import CardCode, Kind, canonical_caller_id, canonical_code, canonical_pin
from voipcard.core.credit import ZERO, Credit
from voipcard.core.expiry import after_first_use
from voipcard.core.settings import ExtensionSettings
from voipcard.deciding import Decision, Reading
from voipcard.desk import freed
from voipcard.errors import AccessDeniedError, InvalidCodeError, InvalidPinError, TamperedError
from voipcard.guessing import Tally, Traces, lock_of, phantom_of
from voipcard.names import BATCH, EXTENSION, KEYRING
from voipcard.registry import ExtensionFacts, caller_id_of, facts_of, facts_of_document, id_of
from voipcard.stores.contract import AuditRecord, CardRecord, Changes, Document
from voipcard.transact import Engine

__all__ = ["Access", "Announcement", "Attempt", "Question", "asks_for", "calling", "dialed"]

Question: TypeAlias = Literal["nothing", "pin", "code"]
"""What a caller has to be asked for: nothing, only the PIN, or a code."""

_NEVER: Final = ""
"""What no code and no PIN is: it stands for what was dialed and cannot be one."""

_NOBODY: Final = CardRecord(
    id=bytes(16),
    serial="",
    extension="",
    batch="",
    kind="code",
    index=b"",
    sealed_code=b"",
    pin_mac=b"",
    sealed_pin=b"",
    key=0,
    enabled=False,
    credit=0,
    total_credit=0,
    held=0,
    holds=b"",
    next_hold_expiry=None,
    recharge_count=0,
    created_at=0,
    first_used_at=None,
    expires_at=None,
    order_number="",
    labels="",
    sequence=0,
    chain=b"",
    version=0,
    mac=b"",
)
"""What a book without cards compares with."""


@attrs.frozen
class Announcement:
    """
    Something that the switch tells the caller.

    Attributes:
        kind:
            `balance` where the caller may ask what is left, `no_credit` where it is too little to call, `duration` for
            how long the call may take, `disconnect` when it is about to end for lack of credit.
        sound: The name of the sound that the extension has for it; empty for the switch's own.
        amount: What is left, for `balance` and `no_credit`.
        seconds: How long the call may take, for `duration`.
    """

    kind: Literal["balance", "no_credit", "duration", "disconnect"]
    sound: str = ""
    amount: Credit = ZERO
    seconds: int = 0


@attrs.frozen
class Access:
    """
    A caller who was let in, and what the caller may do.

    Attributes:
        card: The card.
        may_call: Whether there is enough credit: not less than the extension's minimum.
        may_hear_balance: Whether the caller may ask what is left.
        available: What can be spent now.
        announcements: What to tell the caller, in this order.
        settings: What is set for the extension: sounds, time to dial, what the called party sees.
    """

    card: CardCode
    may_call: bool
    may_hear_balance: bool
    available: Credit
    announcements: tuple[Announcement, ...]
    settings: ExtensionSettings


def dialed(
    engine: Engine,
    extension: str,
    code: str,
    *,
    pin: str,
    source: str | None,
    ingress: str | None,
    call_id: str | None,
) -> Attempt:
    """
    Give the attempt of a caller who dials a code. See `Extension.authenticate`.
    """
    traces = Traces.of(engine, call_id=call_id, source=source, ingress=ingress)

    return Attempt(engine, extension, "code", _dialed_code(code), _dialed_pin(pin), traces)


def calling(
    engine: Engine,
    extension: str,
    number: str,
    *,
    pin: str,
    source: str | None,
    ingress: str | None,
    call_id: str | None,
) -> Attempt:
    """
    Give the attempt of a caller whose number is known. See `Extension.authenticate_caller`.
    """
    _refuse_no_text(number)
    if source is None or source == "":
        source = _number_or_none(number)
    traces = Traces.of(engine, call_id=call_id, source=source, ingress=ingress)

    return Attempt(engine, extension, "caller_id", number, _dialed_pin(pin), traces)


def asks_for(engine: Engine, extension: str, number: str) -> Question:
    """
    Tell what a caller has to be asked for. See `Extension.asks_for`.
    """
    _refuse_no_text(number)
    with _taking_at_least(engine.limits.response_floor):
        seen = Attempt(engine, extension, "caller_id", number, _NEVER, Traces("", "", "")).look()
        if not seen.is_hit:
            return "code"

        return "pin" if seen.record.pin_mac else "nothing"


@attrs.frozen
class _Sight:
    """
    What was found for an attempt.

    Attributes:
        facts: The extension.
        record: The card; another one if none was found, so that there is something to compare with.
        is_hit: Whether it is the one.
        is_intact: Whether it is as it was written.
        batch: What is known of its batch; None if nothing.
        found: All documents that were read.
        lock_key: The name of what is kept of the wrong PINs on it.
    """

    facts: ExtensionFacts
    record: CardRecord
    is_hit: bool
    is_intact: bool
    batch: BatchFacts | None
    found: dict[str, Document]
    lock_key: str


@attrs.frozen
class Attempt:
    """
    One attempt to get in.

    Attributes:
        engine: The book.
        extension: The number of the extension.
        kind: Whether a code was dialed, or the caller's number is known.
        text: The code in canonical form, or the number.
        pin: The PIN in canonical form.
        traces: Where it comes from.
    """

    engine: Engine
    extension: str
    kind: Kind
    text: str = attrs.field(repr=False)
    pin: str = attrs.field(repr=False)
    traces: Traces

    def let_in(self) -> Access:
        """
        Reserve the attempt, compare, settle.
        """
        engine = self.engine
        engine.refuse_joined("authenticate")
        with _taking_at_least(engine.limits.response_floor):
            try:
                access = self._tried()
            except TamperedError as error:
                # What is kept of this code alone may be damaged: who is told so knows that it is one.
                engine.commit(Changes(audit=self._audited("tampered", subject=error.subject)))
                access = None
        if access is None:
            raise AccessDeniedError

        return access

    def _tried(self) -> Access | None:
        engine = self.engine
        refusal, seen, tally = self._reserve()
        is_right = self._is_right(seen) & (not refusal)
        reason = self._reason(seen, refusal, is_right=is_right)

        return engine.decider.run(lambda reading: self._settled(reading, seen, tally, reason, is_right=is_right))

    def look(self) -> _Sight:
        """
        Read what there is, the same whether there is something or not.
        """
        engine = self.engine
        while True:
            keys = engine.records.keyring
            indexes = keys.indexes(id_of(engine, self.extension), self.kind, self._canonical())
            record, index = self._nearest(indexes)
            is_hit = engine.records.is_found_by(record, index)
            lock_key = (phantom_of(index), lock_of(record.id))[is_hit]
            found = self._documents(
                [EXTENSION + self.extension, *self.traces.documents, BATCH + record.batch, lock_key, KEYRING]
            )
            # A key that was made meanwhile may have moved the card to where it was not looked for.
            if not engine.keys_changed(found.get(KEYRING), keys):
                break
        facts = facts_of_document(engine, self.extension, found.get(EXTENSION + self.extension))
        batch = self._batch(found.get(BATCH + record.batch), BATCH + record.batch)
        # An extension that has cards is known: else somebody has taken away that it is disabled, or wants a PIN.
        is_intact = engine.records.is_intact(record) & bool(facts.version)

        return _Sight(facts, record, is_hit, is_intact, batch, found, lock_key)

    def _canonical(self) -> str:
        if self.kind == "code":
            return self.text
        try:
            return caller_id_of(facts_of(self.engine, self.extension), self.text)
        except InvalidCodeError:
            return _NEVER

    def _documents(self, keys: list[str]) -> dict[str, Document]:
        return {document.key: document for document in self.engine.store.find_documents(keys)}

    def _nearest(self, indexes: Sequence[bytes]) -> tuple[CardRecord, bytes]:
        """
        Give the card that is found by one of the indexes, and that index; else the one that is next to the first.
        """
        is_found = self.engine.records.is_found_by
        looked_up = [(self.engine.store.nearest(index) or _NOBODY, index) for index in indexes]

        return max(reversed(looked_up), key=lambda found: is_found(*found))

    def _batch(self, document: Document | None, key: str) -> BatchFacts | None:
        """
        Give what is known of a batch. It may be that of another card, and must not keep anybody from being counted.
        """
        if document is None:
            self.engine.records.value_or_absent(None, key)
        try:
            return batch_facts(self.engine, document)
        except TamperedError:
            return None

    def _is_right(self, seen: _Sight) -> bool:
        return seen.is_hit & self.engine.records.has_pin(seen.record, self.pin)

    def _reserve(self) -> tuple[str, _Sight, Tally]:
        while (reserved := self.engine.decider.run(self._reserved)) is None:  # Now and then a slot has to begin first.
            pass

        return reserved

    def _reserved(self, _: Reading) -> Decision[tuple[str, _Sight, Tally] | None]:
        """
        Count the attempt as failed before anything is compared, so that it is used up whatever happens next.
        """
        engine, traces, now = self.engine, self.traces, self.engine.now()
        seen = self.look()
        tally = self._tally(seen.lock_key, seen.found)
        if turning := tally.turned(engine.records, now, engine.limits):
            return Decision(turning, None)
        refusal, tally, changes = tally.reserved(
            engine.records,
            now,
            engine.limits,
            is_caller_id=self.kind == "caller_id",
            has_pin=bool(seen.record.pin_mac),
        )

        return Decision(changes, (refusal, seen, tally), at_ceiling="again" if traces.ingress else "refuse")

    def _tally(self, lock_key: str, found: Mapping[str, Document]) -> Tally:
        counters = self.engine.store.counters(self.traces.counters) if self.traces.ingress else {}

        return Tally.of(self.engine.records, self.traces, lock_key, found, counters)

    def _reason(self, seen: _Sight, refusal: str, *, is_right: bool) -> str:
        """
        Give why the caller is not let in, or nothing. Every condition is looked at, whatever the others are.
        """
        record, now = seen.record, self.engine.now()
        is_expired = record.expires_at is not None and record.expires_at <= now
        reasons = (
            (refusal, bool(refusal)),
            ("unknown", not seen.is_hit),
            ("tampered", not seen.is_intact or seen.batch is None),
            ("wrong_pin", not is_right),
            ("no_pin", seen.facts.settings.pin_required and not record.pin_mac),
            ("disabled", not record.enabled),
            ("batch_disabled", seen.batch is not None and not seen.batch.enabled),
            ("extension_disabled", not seen.facts.enabled),
            ("expired", is_expired),
        )

        return next((reason for reason, applies in reasons if applies), "")

    def _settled(
        self, reading: Reading, seen: _Sight, tally: Tally, reason: str, *, is_right: bool
    ) -> Decision[Access | None]:
        """
        Take back what did not fail, write down what happened, and let the caller in or not.
        """
        engine = self.engine
        now = engine.now()
        if reading.refusal:  # Others tried at the same time, or the card was changed.
            if not reason:
                seen = self.look()
                is_right = self._is_right(seen) & (seen.lock_key == tally.lock_key)
                reason = self._reason(seen, "", is_right=is_right)
            found = self._documents([*self.traces.documents, tally.lock_key])
            # What was reserved in a slot is taken back there, even if the next one has begun.
            tally = attrs.evolve(
                self._tally(tally.lock_key, found), reserved_at=tally.reserved_at, ingress=tally.ingress
            )
        changes = tally.settled(engine.records, now, engine.limits, is_right=is_right, is_in=not reason)
        record = freed(seen.record, now)
        serial = {"serial": record.serial} if seen.is_hit else {}
        changes = attrs.evolve(changes, audit=self._audited(reason, **serial))
        if reason:
            return Decision(changes, None)
        if record.first_used_at is None:
            expiry = seen.batch.expiry if seen.batch else None
            used = engine.records.signed(
                record._replace(
                    first_used_at=now,
                    expires_at=after_first_use(expiry, record.expires_at, now),
                    version=record.version + 1,
                )
            )
            changes, record = attrs.evolve(changes, replace=[(used, record.version)]), used
        elif record is not seen.record:  # It is not written, but only a signed card is believed.
            record = engine.records.signed(record)

        return Decision(changes, _access(engine.records.card(record), seen.facts.settings))

    def _audited(self, reason: str, **detail: str) -> Sequence[AuditRecord]:
        told: dict[str, Any] = {**self.traces.detail(), "by": self.kind, "reason": reason, **detail}

        return self.engine.audited("authenticate", extension=self.extension, **told)


def _access(card: CardCode, settings: ExtensionSettings) -> Access:
    may_call = card.available >= settings.minimum_credit
    announcements = []
    if settings.balance_inquiry:
        announcements.append(Announcement("balance", "", card.available))
    if not may_call:
        announcements.append(Announcement("no_credit", settings.no_credit_sound, card.available))

    return Access(card, may_call, settings.balance_inquiry, card.available, tuple(announcements), settings)


def _refuse_no_text(number: str) -> None:
    if not isinstance(number, str):
        raise InvalidCodeError("caller_id", "not_text")


def _number_or_none(number: str) -> str | None:
    """
    Give a caller's number in one way, so that it is one source however it is written; None for what is no number.
    """
    try:
        return canonical_caller_id(number)
    except InvalidCodeError:
        return None


def _dialed_code(code: str) -> str:
    try:
        return canonical_code(code)
    except InvalidCodeError as error:
        if error.reason == "not_text":
            raise
        return _NEVER


def _dialed_pin(pin: str) -> str:
    try:
        return canonical_pin(pin)
    except InvalidPinError as error:
        if error.reason == "not_text":
            raise
        return _NEVER


@contextmanager
def _taking_at_least(floor: timedelta) -> Generator[None]:
    """
    Let a block take this long, or a multiple of it, also where it raises: so that the time tells little.
    """
    started = time.monotonic_ns()
    try:
        yield
    finally:
        step = floor // timedelta(microseconds=1) * 1000
        if step:
            taken = time.monotonic_ns() - started
            time.sleep((-taken % step) / 1e9)
