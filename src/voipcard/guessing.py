"""
What was tried by whom, kept in the book: so that limits hold over hang-ups, restarts and any number of machines.

Nothing here names a caller. Sources and unknown codes are hashed, with a key of the book, into a fixed number of names,
so that no amount of guessing fills the store; two sources that share a name share what they may try.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from voipcard.core.arguments import checked_text
from voipcard.core.moments import from_micros
from voipcard.core.throttle import SLOTS, Attempts, GuessLimits, Ingress, Lock, is_alarming, micros
from voipcard.deciding import Decision, Reading
from voipcard.errors import TamperedError
from voipcard.names import ALARM, ALARMS, GUESSES
from voipcard.records import Records
from voipcard.stores.contract import Changes, CounterChange, Document
from voipcard.transact import Engine

__all__ = ["CardGuesses", "GuessWatch", "Tally", "Traces", "guesses_on", "lock_of", "phantom_of", "unblock", "watch"]

_SOURCES: Final = 2**20
"""How many names sources share. Who fails from 10,000 numbers takes the tries of one honest caller in a hundred."""

_UNKNOWN: Final = 2**16
"""How many names the codes share that no card has. They are counted only so that guessing them takes the same work."""

_INGRESSES: Final = 2**12
_CALL: Final = timedelta(hours=24)
"""How long a call may take; then its tries are forgotten."""

_LOCK: Final = f"{GUESSES}card/"


@attrs.frozen
class Traces:
    """
    Where an attempt comes from: names of documents that do not tell who it was; empty where nothing is known.

    Attributes:
        call: The call.
        source: The number or address that the caller comes from.
        ingress: The trunk that the call came in through.
    """

    call: str
    source: str
    ingress: str

    @classmethod
    def of(cls, engine: Engine, *, call_id: str | None, source: str | None, ingress: str | None) -> Traces:
        """
        Give the names for what a switch knows of a caller. Where it knows no source, all such callers are one ingress.

        Raises:
            InvalidValueError: If one of them is no line of text of at most 255 characters.
        """
        call_id, source, ingress = _known("call_id", call_id), _known("source", source), _known("ingress", ingress)
        if source is None and ingress is None:
            ingress = ""

        return cls(
            _name(engine, "call_id", call_id, None),
            _name(engine, "source", source, _SOURCES),
            _name(engine, "ingress", ingress, _INGRESSES),
        )

    @property
    def documents(self) -> list[str]:
        """
        The documents that have to be read.
        """
        return [key for key in (self.call, self.source, self.ingress) if key]

    @property
    def counters(self) -> list[str]:
        """
        The counters that have to be read.
        """
        return [f"{self.ingress}/{at}" for at in range(SLOTS)] if self.ingress else []

    def detail(self) -> dict[str, str]:
        """
        Give what the audit trail says: what comes from the same place has the same names.
        """
        return {name: key.rpartition("/")[2] for name, key in attrs.asdict(self).items() if key}


def _known(kind: str, text: str | None) -> str | None:
    # Switches say nothing by saying "", which must not make one caller of all whom they say it of.
    return None if text is None else checked_text(kind, text) or None


def _name(engine: Engine, kind: str, text: str | None, names: int | None) -> str:
    if text is None:
        return ""
    digest = engine.records.operation("guesses", kind, text)
    number = int.from_bytes(digest, "big")

    return f"{GUESSES}{kind}/{digest.hex() if names is None else f'{number % names:x}'}"


def _following(version: int, now: int) -> int:
    """
    Give the version after this one.

    A document may be purged and made anew. It begins with the time then, so that it never comes back to a version that
    it has had: else whoever read it before could write over what was counted since.
    """
    return version + 1 if version else max(1, now)


def lock_of(card: bytes) -> str:
    """
    Give the name of what is kept of the wrong PINs on a card.
    """
    return f"{_LOCK}{card.hex()}"


def phantom_of(index: bytes) -> str:
    """
    Give the name of the same for a code that no card has.
    """
    return f"{GUESSES}phantom/{int.from_bytes(index, 'big') % _UNKNOWN:x}"


@attrs.frozen
class Tally:
    """
    What counts against one attempt.

    Attributes:
        traces: Where it comes from.
        lock_key: The name of what is kept of the wrong PINs on its card.
        call: The failures of the call.
        source: The failures of the source.
        lock: The wrong PINs on the card.
        ingress: The failures through the ingress.
        versions: The versions of the documents that were read.
        reserved_at: The moment under which the attempt is counted; 0 before it is reserved.
    """

    traces: Traces
    lock_key: str
    call: Attempts
    source: Attempts
    lock: Lock
    ingress: Ingress
    versions: Mapping[str, int]
    reserved_at: int = 0

    @classmethod
    def of(
        cls,
        records: Records,
        traces: Traces,
        lock_key: str,
        found: Mapping[str, Document],
        counters: Mapping[str, int],
    ) -> Tally:
        """
        Read it from what the store gave.

        Raises:
            TamperedError: If somebody changed it.
        """

        def value(key: str) -> Any:  # noqa: ANN401  (what JSON holds)
            return records.value_or_absent(found.get(key), key) if key else None

        return cls(
            traces,
            lock_key,
            Attempts(tuple(value(traces.call) or ())),
            Attempts(tuple(value(traces.source) or ())),
            Lock(*(value(lock_key) or ())),
            Ingress(value(traces.ingress) or 0, [counters[key] for key in traces.counters] or [0] * SLOTS),
            {key: found[key].version if key in found else 0 for key in (*traces.documents, lock_key)},
        )

    def turned(self, records: Records, now: int, limits: GuessLimits) -> Changes | None:
        """
        Give what lets the slots of the ingress begin that have to; None if none has to.

        It has to be a commit of its own. An attempt counts in its slot only as long as no other slot has begun, so that
        what is in the slots before is known for certain as soon as this one has.
        """
        key = self.traces.ingress
        ingress, emptied = self.ingress.turned(now, limits.ingress_window)
        if not key or ingress.slot == self.ingress.slot:
            return None

        return Changes(
            documents=attrs.evolve(self, ingress=ingress).documents(records, now, limits, [key]),
            counters=[CounterChange(f"{key}/{at}", -count) for at, count in emptied.items()],
        )

    def reserved(
        self, records: Records, now: int, limits: GuessLimits, *, is_caller_id: bool, has_pin: bool
    ) -> tuple[str, Tally, Changes]:
        """
        Count the attempt as failed before anything is compared, where no slot has to begin.

        Whatever is refused, the same documents and as many counters are written.

        Returns:
            Why it may not be evaluated, or nothing; what counts from now on; and what to commit for it.
        """
        traces = self.traces
        in_lock, lock = self.lock.reserve(now, limits, is_caller_id=is_caller_id)
        # A clock that was set back makes no attempt younger, and so frees none.
        now = max((now, *self.call.moments, *self.source.moments))
        ingress = self.ingress
        in_call, call = self.call.reserve(now, limit=limits.per_call, window=_CALL)
        in_source, source = self.source.reserve(now, limit=limits.per_source, window=limits.source_window)
        exhausted = (
            ("too_many_in_call", traces.call and not in_call),
            ("too_many_from_source", traces.source and not in_source),
            ("too_many_through_ingress", traces.ingress and ingress.is_full(limits.per_ingress)),
        )
        spent = next((reason for reason, applies in exhausted if applies), "")
        # The code that no card has is locked for nobody: it is wrong in any case. Nor is a card without a PIN, which
        # has none to guess and may be that of a house where many call at once.
        is_locked = self._has_card and has_pin and not in_lock
        refusal = spent or (("blocked" if self.lock.is_blocked(limits) else "locked") if is_locked else "")
        # Who has no attempts left uses up nothing but the patience of the call. That a card is locked counts like a
        # wrong PIN: else who has a good card could see with it, by what is left, whether another code is one.
        after = attrs.evolve(
            self,
            call=call,
            source=self.source if spent else source,
            lock=self.lock if refusal else lock,
            reserved_at=now,
        )
        documents = after.documents(records, now, limits, [traces.call, traces.source, self.lock_key])
        counters = []
        require = []
        if traces.ingress:
            moved = f"{traces.ingress}/{'refused' if spent else ingress.position}"
            ceiling = None if spent else ingress.ceiling(limits.per_ingress)
            counters = [CounterChange(moved, 1, ceiling)]
            require = [(traces.ingress, self.versions[traces.ingress])]
        written = {key: _following(self.versions[key], now) for key in self.versions if key != traces.ingress}

        return (
            refusal,
            attrs.evolve(after, versions={**self.versions, **written}),
            Changes(documents=documents, counters=counters, require=require),
        )

    def settled(self, records: Records, now: int, limits: GuessLimits, *, is_right: bool, is_in: bool) -> Changes:
        """
        Take back what was reserved, as far as the attempt did not fail.

        Args:
            records: The keys of the book.

            now: The moment.

            limits: The limits.

            is_right: Whether code and PIN were right, so that the card has no wrong PIN more, but none at all.

            is_in: Whether the caller is let in.
        """
        traces = self.traces
        after = attrs.evolve(
            self,
            call=self.call.without(self.reserved_at),
            source=self.source.without(self.reserved_at),
            lock=Lock() if is_right else self.lock,
        )
        failed = CounterChange(ALARMS[os.urandom(1)[0] % len(ALARMS)], 1)
        # More than a window later its counter has been emptied, and counts something else.
        is_counted = Ingress.slot_at(now, limits.ingress_window) < self.ingress.slot + SLOTS
        position = f"{traces.ingress}/{self.ingress.position}"
        taken_back = [CounterChange(position, -1)] if traces.ingress and is_counted else []

        return Changes(
            documents=after.documents(
                records, now, limits, [traces.call, traces.source, self.lock_key] if is_in else [self.lock_key]
            ),
            counters=taken_back if is_in else [failed],
        )

    def documents(
        self, records: Records, now: int, limits: GuessLimits, keys: Iterable[str]
    ) -> list[tuple[Document, int]]:
        """
        Give the documents as they are to be written, each until when it counts.
        """
        traces = self.traces
        values: dict[str, tuple[object, int | None]] = {}
        values[traces.call] = (self.call.moments, max(self.call.moments, default=now - micros(_CALL)) + micros(_CALL))
        values[traces.source] = (
            self.source.moments,
            max(self.source.moments) + micros(limits.source_window) if self.source.moments else now,
        )
        values[traces.ingress] = (self.ingress.slot, now + 2 * micros(limits.ingress_window))
        values[self.lock_key] = (attrs.astuple(self.lock), self._lock_expiry(now, limits))
        documents = []
        for key in filter(None, keys):
            value, expires_at = values[key]
            version = self.versions[key]
            following = _following(version, now)
            documents.append((records.document(key, value, version=following, expires_at=expires_at), version))

        return documents

    @property
    def _has_card(self) -> bool:
        return self.lock_key.startswith(_LOCK)

    def _lock_expiry(self, now: int, limits: GuessLimits) -> int | None:
        if not self.lock.failures:
            return now
        if not self._has_card:
            return now + micros(limits.longest_pause)

        return None  # Wrong PINs in a row count until the right one comes, however long that takes.


@attrs.frozen
class CardGuesses:
    """
    The wrong PINs in a row on one card.

    Attributes:
        failures: How many.
        locked_until: Until when no PIN is compared, in UTC; None if one can be tried now, or if the card is blocked.
        blocked: Whether there were so many that an operator has to unblock it.
    """

    failures: int
    locked_until: datetime | None
    blocked: bool


def guesses_on(engine: Engine, extension: str, serial: str) -> CardGuesses:
    """
    Give the wrong PINs in a row on a card. See `Extension.guesses`.
    """
    record = engine.card(extension, serial)
    value, _ = engine.value(lock_of(record.id))
    lock = Lock(*(value or ()))
    is_waiting = engine.now() < lock.until
    is_blocked = record.kind == "code" and lock.is_blocked(engine.limits)

    return CardGuesses(lock.failures, from_micros(lock.until) if is_waiting and not is_blocked else None, is_blocked)


def unblock(engine: Engine, extension: str, serial: str, *, operation: str | None) -> None:
    """
    Forget the wrong PINs on a card. See `Extension.unblock`.
    """

    def decide(_: Reading) -> Decision[None]:
        key = lock_of(engine.card(extension, serial).id)
        document = engine.store.document(key)
        version = document.version if document else 0
        audit = engine.audited("unblock", extension=extension, serial=serial, failures=_failures(engine, document))
        now = engine.now()
        empty = engine.records.document(key, attrs.astuple(Lock()), version=_following(version, now), expires_at=now)

        return Decision(Changes(documents=[(empty, version)], audit=audit), None)

    engine.once("unblock", operation, lambda: [extension, serial], decide=decide, replay=lambda _: None)


def _failures(engine: Engine, document: Document | None) -> int | None:
    """
    Give the wrong PINs that a document counts; None if it was changed from outside.

    Such a card lets nobody in any more, and only who may unblock it can put that right.
    """
    try:
        value = engine.records.value(document) if document else ()
    except TamperedError:
        return None

    return Lock(*value).failures


@attrs.frozen
class GuessWatch:
    """
    How many attempts to get in failed since somebody looked last.

    Attributes:
        failures: How many, over all callers.
        per_minute: How many a minute.
        usual_per_minute: How many a minute there were before, the latest counting most.
        alarm: Whether it is so many that somebody is likely to be guessing. Nobody is locked out because of it.
    """

    failures: int
    per_minute: float
    usual_per_minute: float
    alarm: bool


_MINUTE: Final = timedelta(minutes=1)
_WEIGHT: Final = 0.2
"""How much the latest look counts for what is usual."""


def watch(engine: Engine) -> GuessWatch:
    """
    Compare the failures since the last look with those before. See `CardBook.watch_guessing`.
    """

    def decide(_: Reading) -> Decision[GuessWatch]:
        now = engine.now()
        before, version = engine.value(ALARM)
        counted = sum(engine.store.counters(ALARMS).values())
        # Nobody knows in how many minutes those failed who did before somebody looked for the first time.
        seen_at, seen, usual = before or (now, counted, 0.0)
        failures = counted - seen
        minutes = max(1, now - seen_at) / micros(_MINUTE)
        per_minute = failures / max(1.0, minutes)
        found = GuessWatch(failures, per_minute, usual, is_alarming(per_minute, usual))
        usual += _WEIGHT * (per_minute - usual)
        document = engine.records.document(ALARM, (now, counted, usual), version=version + 1)
        audit = (
            engine.audited("guessing_alarm", failures=failures, minutes=round(minutes, 1), usual=round(usual, 1))
            if found.alarm
            else ()
        )

        return Decision(Changes(documents=[(document, version)], audit=audit), found)

    return engine.decider.run(decide)
