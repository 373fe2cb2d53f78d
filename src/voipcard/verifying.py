"""
Going over a whole book: every record, every ledger entry, every counter is what this library wrote.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import attrs

from voipcard.checkpoints import Checkpoint
from voipcard.core.arguments import Progress
from voipcard.core.ledger import fold
from voipcard.core.query import CardQuery, EntryQuery
from voipcard.errors import TamperedError
from voipcard.names import ACTIVE, BATCH, CARDS, EXTENSION, KEYRING, LICENSE, TOMBSTONE, TRAIL
from voipcard.reconciling import Reconciliation
from voipcard.records import NO_CHAIN
from voipcard.registry import ExtensionFacts, facts_of
from voipcard.searching import entry_records
from voipcard.signing import VerifyKey
from voipcard.stores.contract import AuditRecord, CardRecord, Document, EntryRecord
from voipcard.transact import Engine

__all__ = ["Finding", "Verification", "verify"]

_PAGE: Final = 1000
_LOOKS: Final = 5
"""How often something is read again while others may be changing it."""

_PAUSE: Final = 0.01


@attrs.frozen
class Finding:
    """
    Something that is not what this library wrote.

    Attributes:
        subject:
            A serial, the name of a counter or document, or the id of an audit entry; `trail/` with the number of a lane
            of the audit trail; or `cards`, `versions`, `entries` or `documents` for all of them together.
        part:
            What is wrong with it: `record`, `code`, `PIN`, `index`, `history`, `balance`, `counter`, `document`,
            `audit entry`; `checkpoint` if a lane is not what it was then; or `tally` if there is more or less of it
            than was written, so that something was deleted, or is again what it was before.
    """

    subject: str
    part: str


@attrs.frozen
class Verification:
    """
    What was gone over, and what was found.

    Attributes:
        cards: How many cards.
        entries: How many ledger entries, those of removed cards among them.
        documents: How many documents; the heads of the audit trail are none of them.
        audit_entries: How many entries of the audit trail.
        findings: What is wrong; empty if all is well.
    """

    cards: int
    entries: int
    documents: int
    audit_entries: int
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """
        Whether everything is what this library wrote.
        """
        return not self.findings


def verify(
    engine: Engine, progress: Progress | None = None, *, checkpoint: str | None = None, keys: Iterable[VerifyKey] = ()
) -> Verification:
    """
    Go over the whole book. See `CardBook.verify`.
    """
    then = None if checkpoint is None else Checkpoint.read(engine, checkpoint, keys)
    visit = _Visit(engine, progress)
    visit.documents()
    visit.cards()
    visit.removed()
    visit.batches()
    visit.audit()
    visit.counters()
    visit.reconcile(then)

    return Verification(
        visit.seen["cards"],
        visit.seen["entries"],
        visit.seen["documents"],
        visit.seen["audit"],
        tuple(dict.fromkeys(visit.findings)),
    )


class _Visit:
    """
    One tour of the book.
    """

    def __init__(self, engine: Engine, progress: Progress | None) -> None:
        self.engine = engine
        self.findings: list[Finding] = []
        self.seen: Counter[str] = Counter()
        self._reconciliation = Reconciliation(engine)
        self._progress = progress
        self._numbers: set[str] = set()
        self._facts: dict[str, ExtensionFacts] = {}
        self._batches: set[str] = set()

    def documents(self) -> None:
        """
        Check every document, each with the keys that are for it.
        """
        for document in self.engine.documents(""):
            self._reconciliation.see_document(document)
            with _noting(self.findings):
                if document.key == KEYRING:
                    self._check_keyring(document)
                    continue
                self.seen["documents"] += not document.key.startswith(TRAIL)
                value = self.engine.records.value(document)
                if document.key.startswith(TOMBSTONE):
                    self._reconciliation.buried.add(value["version"])

    def cards(self) -> None:
        """
        Check every card against its MAC, its sealed values, its index and its history.
        """
        query = CardQuery(order="serial", limit=_PAGE)
        total = self.engine.store.count(query)
        while page := self.engine.store.cards(query):
            for record in page:
                self._card(record)
            if self._progress:
                self._progress(self.seen["cards"], max(total, self.seen["cards"]))
            query = attrs.evolve(query, after=query.position(page[-1]))

    def removed(self) -> None:
        """
        Check the history of every removed card against its tombstone, and that no history is left over.
        """
        tombstones: dict[bytes, dict[str, Any]] = {}
        for document in self.engine.documents(TOMBSTONE):
            with _noting(self.findings):
                tombstone = self.engine.records.value(document)
                self._reconciliation.buried_since.add(tombstone["version"])
                tombstones[bytes.fromhex(document.key.removeprefix(TOMBSTONE))] = tombstone
        for card, group in itertools.groupby(entry_records(self.engine, EntryQuery()), key=lambda entry: entry.card):
            entries = list(group)
            tombstone = tombstones.pop(card, None)
            if tombstone is not None:
                if self.engine.store.find(id=card) is not None:
                    self.findings.append(Finding(tombstone["serial"], "record"))
                self.seen["entries"] += len(entries)
                is_whole = self._is_whole(entries, tombstone["sequence"], bytes.fromhex(tombstone["chain"]))
                if not is_whole or fold(entries).credit.micros != tombstone["credit"]:
                    self.findings.append(Finding(tombstone["serial"], "history"))
            elif self.engine.store.find(id=card) is None and not self._was_removed(card):
                self.findings.append(Finding(entries[0].serial, "record"))
        self.findings += [Finding(tombstone["serial"], "history") for tombstone in tombstones.values()]

    def batches(self) -> None:
        """
        Check that each batch has as many cards as were made in it, the removed ones included.
        """
        sizes = {}
        for document in self.engine.documents(BATCH):
            with _noting(self.findings):
                sizes[document.key.removeprefix(BATCH)] = self.engine.records.value(document)["size"]
        buried = self._buried()
        for batch in sorted(self._batches | sizes.keys()):
            query, size = CardQuery(batch=batch), sizes.get(batch, 0)
            if buried[batch] + self.engine.store.count(query) != size and not self._is_complete(query, size):
                self.findings.append(Finding(f"{BATCH}{batch}", "document"))

    def audit(self) -> None:
        """
        Check every entry of the audit trail, and that nothing it tells of was taken back or deleted.
        """
        told: Counter[str] = Counter()
        self._find(self._reconciliation.audit(self._audit_records(told)))
        for key, changes in told.items():
            document = self.engine.store.document(key)
            if document is None or document.version < changes:
                self.findings.append(Finding(key, "document"))

    def counters(self) -> None:
        """
        Count again what the counters say.
        """
        known = {document.key.removeprefix(EXTENSION) for document in self.engine.documents(EXTENSION)}
        for number in self._numbers | known:
            self._counter(f"{CARDS}/{number}", CardQuery(extension=number))
            self._counter(f"{ACTIVE}/{number}", CardQuery(extension=number, enabled=True))
        self._counter(ACTIVE, CardQuery(enabled=True))

    def reconcile(self, then: Checkpoint | None) -> None:
        """
        Compare everything that was seen with what the heads of the audit trail say was written, and those with before.
        """
        self._find(self._reconciliation.findings())
        if then is not None:
            self._find(then.findings(self.engine))

    def _check_keyring(self, document: Document) -> None:
        keys = self.engine.records.keys
        if keys is not None:
            keys.check(document)

    def _find(self, findings: Iterable[tuple[str, str]]) -> None:
        self.findings += [Finding(subject, part) for subject, part in findings]

    def _audit_records(self, told: Counter[str]) -> Iterator[AuditRecord]:
        """
        Give all audit entries, and count the documents that they tell of.
        """
        after = b""
        while page := self.engine.store.audit(after=after):
            for record in page:
                self.seen["audit"] += 1
                if record.verb == "install_license":
                    told[LICENSE] += 1
                elif record.verb.endswith("_extension"):
                    told[f"{EXTENSION}{record.extension}"] += 1
                yield record
            after = page[-1].id

    def _buried(self) -> Counter[str]:
        """
        Count the tombstones of each batch.
        """
        buried: Counter[str] = Counter()
        for document in self.engine.documents(TOMBSTONE):
            with suppress(TamperedError):  # It is among the findings already.
                buried[self.engine.records.value(document)["batch"]] += 1

        return buried

    def _is_complete(self, query: CardQuery, size: int) -> bool:
        """
        Tell whether a batch can have its size while others remove cards of it: each is a card, then a tombstone.
        """
        batch = query.batch or ""
        for _ in range(_LOOKS):
            before, cards, after = self._buried()[batch], self.engine.store.count(query), self._buried()[batch]
            if before + cards <= size <= after + cards:
                return True

        return False

    def _counter(self, key: str, query: CardQuery) -> None:
        # Others may change cards between the readings: only a counter that stood still can be wrong.
        for _ in range(_LOOKS):
            before, count, after = self._count(key), self.engine.store.count(query), self._count(key)
            if count in {before, after}:
                return
            if before == after:
                time.sleep(_PAUSE)
        if before == after:
            self.findings.append(Finding(key, "counter"))

    def _count(self, key: str) -> int:
        return self.engine.store.counters([key])[key]

    def _card(self, record: CardRecord) -> None:
        self.seen["cards"] += 1
        self._reconciliation.see_card(record)
        with _noting(self.findings):
            records = self.engine.records
            records.checked(record)
            self._numbers.add(record.extension)
            self._batches.add(record.batch)
            if record.pin_mac and not self._has_its_pin(record):
                raise TamperedError(record.serial, "PIN")
            code, root_of = records.code(record), records.keyring.root_of
            if root_of(record.sealed_code) != record.key:
                raise TamperedError(record.serial, "code")
            if record.sealed_pin and root_of(record.sealed_pin) != record.key:
                raise TamperedError(record.serial, "PIN")
            id = self._extension(record.extension).id
            if not (records.is_indexed(record, id, code) and self._is_looked_for(record)):
                raise TamperedError(record.serial, "index")
        # Entries are append only: those that belong to this state of the card stay, whatever others add to them.
        found = list(entry_records(self.engine, EntryQuery(card=record.id)))
        entries = found[: record.sequence]
        if len(found) > record.sequence:
            latest = self.engine.store.find(id=record.id)
            if latest is not None and latest.sequence < len(found):
                self.findings.append(Finding(record.serial, "history"))
        self.seen["entries"] += len(entries)
        if not self._is_whole(entries, record.sequence, record.chain):
            self.findings.append(Finding(record.serial, "history"))
        elif _balance(entries) != (record.credit, record.total_credit, record.recharge_count):
            self.findings.append(Finding(record.serial, "balance"))

    def _is_looked_for(self, record: CardRecord) -> bool:
        """
        Tell whether somebody who looks for the card looks under the key that it has.
        """
        engine = self.engine
        keys = engine.records.keyring
        while record.key not in keys.live:
            if not engine.keys_changed(engine.store.document(KEYRING), keys):
                # A rotation may have moved it since it was read.
                latest = engine.store.find(id=record.id)
                return latest is None or latest.version != record.version
            keys = engine.records.keyring

        return True

    def _has_its_pin(self, record: CardRecord) -> bool:
        # Of a PIN that is not kept there is nothing to compare the MAC with; the record's own MAC covers it.
        if not (record.sealed_pin or self.engine.facts.keeps_pins):
            return True
        records = self.engine.records

        return records.keyring.pin_matches(records.pin(record), record.pin_mac, owner=record.id)

    def _is_whole(self, entries: Iterable[EntryRecord], sequence: int, chain: bytes) -> bool:
        number, before = 0, NO_CHAIN
        for number, entry in enumerate(entries, 1):
            if entry.sequence != number or not self.engine.records.is_chained(entry, before):
                return False
            before = entry.mac

        return (number, before) == (sequence, chain)

    def _was_removed(self, card: bytes) -> bool:
        """
        Tell whether somebody removed the card after the tombstones were read.
        """
        return self.engine.store.document(f"{TOMBSTONE}{card.hex()}") is not None

    def _extension(self, number: str) -> ExtensionFacts:
        if number not in self._facts:
            self._facts[number] = facts_of(self.engine, number)

        return self._facts[number]


@contextmanager
def _noting(findings: list[Finding]) -> Generator[None]:
    try:
        yield
    except TamperedError as error:
        findings.append(Finding(error.subject, error.part))


def _balance(entries: Iterable[EntryRecord]) -> tuple[int, int, int]:
    balance = fold(entries)

    return balance.credit.micros, balance.total_credit.micros, balance.recharge_count
