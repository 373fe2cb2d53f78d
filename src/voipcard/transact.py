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

from voipcard.ciphers import AES_256_SIV, Suite
from voipcard.core.arguments import checked_text
from voipcard.core.cards import batch_or_nothing, serial_or_nothing
from voipcard.core.drawing import RandomSource
from voipcard.core.expiry import Expiry
from voipcard.core.license import LicenseState, Quota, Recorded
from voipcard.core.moments import to_micros
from voipcard.core.policy import Policy
from voipcard.core.profiles import OPERATOR, Profile
from voipcard.core.query import CardQuery
from voipcard.core.rating import RateDeck
from voipcard.core.throttle import DEFAULT_LIMITS, GuessLimits
from voipcard.deciding import CHUNK, Decider, Decision, Reading, found_by_serial
from voipcard.errors import (
    InvalidValueError,
    JoinedStoreError,
    LicenseError,
    OperationConflictError,
    QuotaExceededError,
    StaleError,
    TamperedError,
    UnknownCardError,
)
from voipcard.keyring import Keyring
from voipcard.licensing import Licenses
from voipcard.names import ACTIVE, BOOK, EXTENSION, KEYRING, LICENSE, NEWEST_LICENSE, OPERATION
from voipcard.records import Records
from voipcard.stores.contract import AuditRecord, CardRecord, Changes, CounterChange, Document, Store
from voipcard.trail import Trail, heads_of

__all__ = ["BookFacts", "Clock", "Engine", "asked", "new_id"]

T = TypeVar("T")

Clock: TypeAlias = Callable[[], datetime]

_AS_JSON: Final = json.JSONEncoder(separators=(",", ":"), sort_keys=True, default=str)


_OUTDATED: Final = frozenset({"older", "removed", "unsigned"})
"""What is wrong with a license where the book is known to have had a newer one."""

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
        suite: How it seals: `aes-256-siv` or `aes-256-gcm`.
    """

    id: str
    currency: str
    profile: Profile = OPERATOR
    suite: Suite = AES_256_SIV

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
        licenses: Whose licenses are believed.
        actor: Who acts; empty if nobody said.
        trail: Writes to the store, and to the audit trail.
        decider: Reads, lets a rule decide and commits.
        extension_ids: The random ids of the extensions that were met. They never change.
        batch_expiries: When the cards of the batches that were met expire. That never changes either.
        decks: The price lists that were used last, by their digests.
    """

    facts: BookFacts
    store: Store
    records: Records
    clock: Clock
    draw: RandomSource
    policy: Policy
    limits: GuessLimits = DEFAULT_LIMITS
    licenses: Licenses = attrs.field(factory=Licenses, repr=False)
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
    decks: dict[str, RateDeck] = attrs.field(factory=dict, repr=False)

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
        records = self.records.over(store)
        decider = Decider(store, records, trail)

        # What a transaction says of an extension is forgotten if it is rolled back. What a digest says never changes.
        return attrs.evolve(
            self, store=store, records=records, trail=trail, decider=decider, extension_ids={}, batch_expiries={}
        )

    # Keys

    def keys_changed(self, document: Document | None, since: Keyring) -> bool:
        """
        Tell whether the keys of the book are others than those that were looked with, and take the ones that it has.

        If so the look-up has to be repeated. Who found a card need not ask; who found none has to.

        Args:
            document:
                The document `KEYRING`, read *after* the look-up. Its version only rises, so if it is that of *since*
                then no rotation has begun or ended meanwhile, and every card was where it was looked for. Read before,
                it would not tell what happened in between.

            since: The key ring that gave the indexes, taken once from `records.keyring`: another thread may renew it.
        """
        return self.records.renew(document, since)

    def writing(self, reading: Reading) -> Records:
        """
        Give the records to seal, index and give PINs with in one decision.

        The commit has to require their `requirement`: so nothing is written under an older root any more once a
        rotation has begun, and the decision is taken again with the keys that the book has then.

        Args:
            reading: What was read for the decision, which tells whether the commit before was refused for its keys.
        """
        refusal = reading.refusal
        if isinstance(refusal, StaleError) and KEYRING in refusal.documents:
            self.keys_changed(self.store.document(KEYRING), self.records.keyring)

        return self.records.newest()

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
        if not isinstance(operation, bytes) and not (operation := checked_text("operation", operation)):
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

    def license(self) -> tuple[LicenseState, int]:
        """
        Give what the book has for a license, judged now, and the version of its document.
        """
        state, version = self._license()
        if state.problem in _OUTDATED:  # Another process may have installed one after the first look.
            state, version = self._license()

        return state, version

    def _license(self) -> tuple[LicenseState, int]:
        found = {document.key: document for document in self.store.find_documents([LICENSE, BOOK])}
        kept = found.get(LICENSE)
        try:
            state = self.licenses.state(
                None if kept is None else self.records.value(kept),
                book_id=self.facts.id,
                newest=self.newest_license(self.records.value(found[BOOK])),
                now=self.now(),
                look=self.recorded,
            )
        except (TamperedError, KeyError):  # A book without its own document was changed from outside, too.
            state = LicenseState(None, "tampered")

        return state, 0 if kept is None else kept.version

    def newest_license(self, book: Mapping[str, Any]) -> int | None:
        """
        Give when the newest license was signed that the book has had, in microseconds; None if it has had none.

        Args:
            book: What the book says of itself.

        Raises:
            TamperedError: If a part of what the audit trail knows was changed from outside, or is not there.
        """
        newest = self.licenses.newest(book.get(NEWEST_LICENSE), now=self.now(), look=self.recorded)
        if not getattr(self.store, "joined", False):  # Where it may be rolled back it is not known yet.
            self.trail.licensed_at = max(self.trail.licensed_at, newest or 0)

        return newest

    def recorded(self) -> Recorded:
        """
        Give what the audit trail knows: the newest moment, and the newest license.

        Raises:
            TamperedError: If a part of what it is known by was changed from outside, or is not there.
        """
        heads = heads_of(self.store, self.records)

        return Recorded(max(head.seen_at for head in heads), max(head.licensed_at for head in heads))

    def quota(self, extension: str | None = None) -> Quota:
        """
        Give how many codes of the book may be active, and how many are.

        Of an extension it is what is set for it where that leaves less.
        """
        limit = self.license()[0].in_force.max_active_codes
        if extension is None:
            return Quota(limit, self.store.counters([ACTIVE])[ACTIVE])

        return self._tighter(extension, limit, self._own_limit(extension)[0])

    def activating(self, extension: str, count: int) -> Changes:
        """
        Give what a commit needs so that *count* more codes are active; fewer if it is negative.

        The license and what is set for the extension are read here and required to be the same at the commit, so that
        the quota holds however many processes activate codes at once. Fewer can be active in any case.

        Raises:
            LicenseError: If there are to be more, and the license does not hold.
        """
        if count == 0:
            return Changes()
        limit, own, require = self._allowed(extension) if count > 0 else (None, None, ())

        return Changes(
            counters=[CounterChange(ACTIVE, count, limit), CounterChange(f"{ACTIVE}/{extension}", count, own)],
            require=require,
        )

    def refuse_over_quota(self, extension: str, requested: int) -> None:
        """
        Refuse what could not be activated now, for a dry run or before long work.

        Raises:
            LicenseError: If more codes are requested at all, and the license does not hold.

            QuotaExceededError: If *requested* more active codes do not fit.
        """
        if requested <= 0:
            return
        limit, own, _ = self._allowed(extension)
        quota = self._tighter(extension, limit, own)
        if quota.limit is not None and quota.active + requested > quota.limit:
            raise QuotaExceededError(quota.limit, quota.active, requested)

    def _tighter(self, extension: str, limit: int | None, own: int | None) -> Quota:
        """
        Give the quota that leaves less: that of the book, or an extension's own.
        """
        if own is None:
            return Quota(limit, self.store.counters([ACTIVE])[ACTIVE])
        active = self.store.counters([ACTIVE, f"{ACTIVE}/{extension}"])
        of_book, of_extension = Quota(limit, active[ACTIVE]), Quota(own, active[f"{ACTIVE}/{extension}"])
        if of_book.remaining is None or of_extension.remaining is None:
            return of_extension

        return min(of_book, of_extension, key=lambda quota: quota.remaining or 0)

    def _own_limit(self, extension: str) -> tuple[int | None, int]:
        """
        Give how many codes of an extension may be active, as is set for it, and the version of its document.
        """
        value, version = self.value(EXTENSION + extension)

        return value["settings"]["max_active_codes"] if value else None, version

    def _allowed(self, extension: str) -> tuple[int | None, int | None, Sequence[tuple[str, int]]]:
        """
        Give how many codes of the book and of an extension may be active, and what has to be the same for that then.

        Raises:
            LicenseError: If the license does not hold.
        """
        state, version = self.license()
        if not state.holds:
            raise LicenseError(state.problem)

        own, own_version = self._own_limit(extension)

        return state.in_force.max_active_codes, own, [(LICENSE, version), (EXTENSION + extension, own_version)]
