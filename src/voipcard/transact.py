"""
The engine of the shell: what every write has in common.

That is who acts, when, its entry in the audit trail, what the license allows, and the memory that makes the same
operation happen only once.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeAlias, TypeVar

import attrs

from voipcard.core.arguments import checked_text
from voipcard.core.cards import batch_or_nothing, serial_or_nothing
from voipcard.core.drawing import RandomSource
from voipcard.core.expiry import Expiry
from voipcard.core.license import License, Quota
from voipcard.core.moments import to_micros
from voipcard.core.policy import Policy
from voipcard.core.profiles import OPERATOR, Profile
from voipcard.core.query import CardQuery
from voipcard.core.throttle import DEFAULT_LIMITS, GuessLimits
from voipcard.deciding import CHUNK, Decider, Decision, Reading, found_by_serial
from voipcard.errors import (
    InvalidValueError,
    JoinedStoreError,
    OperationConflictError,
    QuotaExceededError,
    UnknownCardError,
)
from voipcard.names import ACTIVE, LICENSE, OPERATION
from voipcard.records import Records
from voipcard.stores.contract import AuditRecord, CardRecord, Changes, CounterChange, Document, Store
from voipcard.trail import AuditEntry, Trail

__all__ = ["AuditEntry", "BookFacts", "Decision", "Engine", "Reading", "asked", "new_id"]

T = TypeVar("T")

Clock: TypeAlias = Callable[[], datetime]

_AS_JSON: Final = json.JSONEncoder(separators=(",", ":"), sort_keys=True, default=str)


_AUDITED: Final = frozenset(
    {"batch", "serial", "kind", "enabled", "credit_at_least", "credit_below", "unlimited", "order_number"}
    | {"created_from", "created_before", "used", "expired", "now"}
)


def asked(query: CardQuery) -> dict[str, Any]:
    """
    Give the conditions of a query as the audit trail tells them: without the index, which stands for a code.
    """
    told = _AUDITED if query.expired is not None else _AUDITED - {"now"}
    # Where a serial or batch belongs somebody may have given a code.
    query = attrs.evolve(
        query,
        serial=None if query.serial is None else serial_or_nothing(query.serial),
        batch=None if query.batch is None else batch_or_nothing(query.batch),
    )

    return attrs.asdict(query, filter=lambda field, value: value != field.default and field.name in told)


def new_id(now: int, number: int = 0) -> bytes:
    """
    Give 16 bytes that sort by the time *now*, then by *number*, and that nobody else gives.
    """
    return max(0, now).to_bytes(7, "big") + number.to_bytes(4, "big") + os.urandom(5)


@attrs.frozen
class BookFacts:
    """
    What a book is from the beginning to its end.

    Attributes:
        id: 32 hexadecimal digits, drawn when the book was made.
        currency: The ISO 4217 code of the currency of all amounts; `XXX` if it was never said.
        profile: What it keeps of its PINs: `operator` or `strict`.
    """

    id: str
    currency: str
    profile: Profile = OPERATOR

    @property
    def keeps_pins(self) -> bool:
        """
        Whether PINs can be read again by who has the keys.
        """
        return self.profile == OPERATOR


@attrs.frozen
class Engine:
    """
    One book as the verbs see it.

    Attributes:
        facts: What the book is.
        store: Where the book is kept.
        records: Its keys at work.
        clock: Where time comes from.
        draw: Where random codes and PINs come from.
        policy: What is refused as too risky.
        limits: How much guessing is let through.
        actor: Who acts; empty if nobody said.
        trail: Writes to the store, and to the audit trail.
        decider: Reads, lets a rule decide and commits.
        extension_ids: The random ids of the extensions that were met. They never change.
        batch_expiries: When the cards of the batches that were met expire. That never changes either.
    """

    facts: BookFacts
    store: Store
    records: Records
    clock: Clock
    draw: RandomSource
    policy: Policy
    limits: GuessLimits = DEFAULT_LIMITS
    actor: str = ""
    trail: Trail = attrs.field(
        default=attrs.Factory(lambda engine: Trail(engine.store, engine.records), takes_self=True), repr=False
    )
    decider: Decider = attrs.field(
        default=attrs.Factory(lambda engine: Decider(engine.store, engine.records, engine.trail), takes_self=True),
        repr=False,
    )
    extension_ids: dict[str, bytes] = attrs.field(factory=dict, repr=False)
    batch_expiries: dict[str, Expiry | None] = attrs.field(factory=dict, repr=False)

    def now(self) -> int:
        """
        Give the time, in microseconds.
        """
        return to_micros(self.clock())

    # Committing

    def refuse_joined(self, verb: str) -> None:
        """
        Refuse to tell secrets where the record of it might be rolled back.

        Raises:
            JoinedStoreError: If the store has joined a transaction of its caller's.
        """
        if getattr(self.store, "joined", False):
            raise JoinedStoreError(verb)

    def over(self, store: Store) -> Engine:
        """
        Give the same book through another handle on the same data.
        """
        trail = self.trail.over(store)
        decider = Decider(store, self.records, trail)

        # What a transaction says of an extension is forgotten if it is rolled back.
        return attrs.evolve(self, store=store, trail=trail, decider=decider, extension_ids={}, batch_expiries={})

    def commit(self, changes: Changes) -> None:
        """
        Write something that nothing has to be read for.
        """
        self.trail.commit(changes)

    def once(
        self,
        verb: str,
        operation: str | bytes | None,
        content: Callable[[], object],
        *,
        decide: Callable[[Reading], Decision[T]],
        replay: Callable[[Any], T],
        cards: Sequence[str] = (),
        operations: Sequence[bytes] = (),
        part: int = 0,
        dry_run: bool = False,
    ) -> T:
        """
        Do what *operation* names only once, also over crashes and processes.

        Args:
            verb: What is done.

            operation:
                Its name; None to do it every time. Bytes are a digest of the content, where that alone is to be done
                once.

            content:
                Gives what is asked for; the same operation with another content is refused. It may hold secrets, so it
                is made only where it is needed, and only its digest is kept.

            decide: As for `Decider.run`.

            replay: Builds the first answer again from its memo.

            cards: As for `Decider.run`.

            operations: As for `Decider.run`.

            part: Which of its commits this is, where it takes several: what was interrupted goes on with the next one.

            dry_run: Whether to answer only, and write nothing.

        Raises:
            OperationConflictError: If *operation* was used for something else.
        """
        if operation is None:
            if dry_run:
                return decide(Reading()).answer
            return self.decider.run(decide, cards=cards, operations=operations)
        if isinstance(operation, str) and not checked_text("operation", operation):
            raise InvalidValueError("operation", "has no characters")
        key = OPERATION + self.records.operation("operation", operation, str(part)).hex()
        digest = self.records.digest([verb, content()])

        def decide_once(reading: Reading) -> Decision[T]:
            if document := self.store.document(key):
                remembered = self.records.value(document)
                if remembered["content"] != digest:
                    raise OperationConflictError(verb)
                return Decision(None, replay(remembered["memo"]))
            decision = decide(reading)
            if dry_run or (decision.changes is None and decision.memo is None):
                return attrs.evolve(decision, changes=None)
            memory = self.records.document(key, {"content": digest, "memo": decision.memo}, version=1)
            changes = decision.changes or Changes()

            return attrs.evolve(decision, changes=attrs.evolve(changes, documents=[*changes.documents, (memory, 0)]))

        return self.decider.run(decide_once, cards=cards, operations=operations)

    def audited(
        self, verb: str, *, extension: str = "", now: int | None = None, **detail: object
    ) -> Sequence[AuditRecord]:
        """
        Give the entry that a write leaves in the audit trail, *now* or at a moment that is known already.

        Its id and its MAC are those of its place in the trail, which it gets when it is committed.
        """
        now = self.now() if now is None else now

        return [AuditRecord(b"", now, self.actor, verb, extension, _AS_JSON.encode(detail), b"")]

    def keys_changed(self, document: Document | None) -> bool:  # noqa: ARG002  (the keys of a book never change yet)
        """
        Tell whether other keys are in use by now, and get them: what was looked up before has to be looked up again.
        """
        return False

    # Reading

    def value(self, key: str) -> tuple[Any, int]:
        """
        Give the value of a document and its version; None and 0 if there is none.
        """
        document = self.store.document(key)

        return (self.records.value(document), document.version) if document else (None, 0)

    def documents(self, prefix: str) -> Iterator[Document]:
        """
        Give the documents whose keys begin with *prefix*, page by page.
        """
        after = ""
        while page := self.store.documents(prefix, after=after):
            yield from page
            after = page[-1].key

    def find_serials(self, serials: Iterable[str]) -> dict[str, CardRecord]:
        """
        Give the cards with these serials, of whatever extension. They are checked where they are used.

        Raises:
            TamperedError: If the store gives another card.
        """
        return found_by_serial(self.store, serials)

    def known_card(self, cards: Mapping[str, CardRecord], extension: str, serial: str) -> CardRecord:
        """
        Give the card with this serial out of what was read.

        Raises:
            UnknownCardError: If it is not there, or of another extension.

            TamperedError: If somebody changed it.
        """
        record = cards.get(serial)
        if record is None or record.extension != extension:
            raise UnknownCardError(serial_or_nothing(serial))

        return self.records.checked(record)

    def cards(self, extension: str, serials: Sequence[str]) -> list[CardRecord]:
        """
        Give the cards of an extension with these serials, in their order.

        Raises:
            UnknownCardError: If there is none for a serial.

            TamperedError: If somebody changed one.
        """
        found = self.find_serials(serials)

        return [self.known_card(found, extension, serial) for serial in serials]

    def card(self, extension: str, serial: str) -> CardRecord:
        """
        Give the card of an extension with this serial.

        Raises:
            UnknownCardError: If there is none.

            TamperedError: If somebody changed it.
        """
        return self.cards(extension, [serial])[0]

    def refuse_unknown(self, extension: str, serials: Sequence[str]) -> None:
        """
        Refuse serials that no card of the extension has, before work that takes several commits.

        Raises:
            UnknownCardError: For the first of them.

            TamperedError: If a card was changed from outside.
        """
        for start in range(0, len(serials), CHUNK):
            self.cards(extension, serials[start : start + CHUNK])

    # License

    def license(self) -> tuple[License, int]:
        """
        Give the license of the book, and the version of its document.
        """
        value, version = self.value(LICENSE)

        return License(**value) if value else License.unlimited(), version

    def quota(self) -> Quota:
        """
        Give how many codes of the book may be active, and how many are.
        """
        return Quota(self.license()[0].max_active_codes, self.store.counters([ACTIVE])[ACTIVE])

    def activating(self, extension: str, count: int) -> Changes:
        """
        Give what a commit needs so that *count* more codes are active; fewer if it is negative.

        The license is read here and required to be the same at the commit, so that the quota holds however many
        processes activate codes at once.
        """
        license_, version = self.license()
        counters = [
            CounterChange(ACTIVE, count, license_.max_active_codes),
            CounterChange(f"{ACTIVE}/{extension}", count),
        ]

        return Changes(counters=counters if count else (), require=[(LICENSE, version)] if count > 0 else ())

    def refuse_over_quota(self, requested: int) -> None:
        """
        Refuse what could not be activated now, for a dry run or before long work.

        Raises:
            QuotaExceededError: If *requested* more active codes do not fit.
        """
        quota = self.quota()
        if quota.limit is not None and quota.active + requested > quota.limit and requested > 0:
            raise QuotaExceededError(quota.limit, quota.active, requested)
