"""
Batches as a whole: freezing and labeling them, each with one write however many cards there are, and when they expire.

The document of a batch is `batch/` and its id. How many cards it has and when they expire never changes.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable, Mapping

import attrs

from voipcard.core.batches import BatchFacts
from voipcard.core.cards import batch_or_nothing
from voipcard.core.expiry import Expiry
from voipcard.core.labels import checked_change, relabeled
from voipcard.core.moments import from_micros, to_micros
from voipcard.deciding import CHUNK, Decision
from voipcard.errors import TamperedError, UnknownBatchError
from voipcard.names import BATCH
from voipcard.stores.contract import Changes, Document
from voipcard.transact import Engine

__all__ = ["batch_expiries", "batch_facts", "creation", "facts_of", "known_batches", "label", "switch"]


def creation(
    engine: Engine, batch: str, *, extension: str, size: int, now: int, expiry: Expiry | None
) -> tuple[Document, int]:
    """
    Give what a commit has to write so that the book knows a batch that is made *now*.
    """
    facts = BatchFacts(batch, extension, size, from_micros(now), enabled=True, labels=(), expiry=expiry, version=1)

    return _document(engine, facts), 0


def batch_facts(engine: Engine, document: Document | None) -> BatchFacts | None:
    """
    Give what the document of a batch says, that was read with others; None if there is none.

    Raises:
        TamperedError: If it was changed from outside.
    """
    if document is None:
        return None

    return _read(document.key.removeprefix(BATCH), engine.records.data(document), document.version)


@functools.lru_cache(maxsize=1024)  # Each call asks for it, and it hardly ever changes.
def _read(id: str, data: bytes, version: int) -> BatchFacts:
    value = json.loads(data)

    return BatchFacts(
        id,
        value["extension"],
        value["size"],
        from_micros(value["created_at"]),
        enabled=value["enabled"],
        labels=tuple(value["labels"]),
        expiry=None if value["expiry"] is None else Expiry.of_kept(value["expiry"]),
        version=version,
    )


def facts_of(engine: Engine, extension: str | None, batch: str) -> BatchFacts:
    """
    Give what the book knows of a batch of an extension; of any where that is None.

    Raises:
        UnknownBatchError: If there is no such batch there.

        TamperedError: If somebody changed what it knows.
    """
    # What is no batch may be a code that was given by mistake: it is not even looked for.
    id = batch_or_nothing(batch)
    facts = batch_facts(engine, engine.store.document(BATCH + id)) if id else None
    if facts is None or extension not in (None, facts.extension):
        raise UnknownBatchError(id)

    return facts


def known_batches(engine: Engine, extension: str) -> list[BatchFacts]:
    """
    Give all batches of an extension, in the order in which they were made.
    """
    every = (batch_facts(engine, document) for document in engine.documents(BATCH))
    own = [facts for facts in every if facts is not None and facts.extension == extension]

    return sorted(own, key=lambda facts: (facts.created_at, facts.id))


def batch_expiries(engine: Engine, batches: Iterable[str]) -> Mapping[str, Expiry | None]:
    """
    Give when the cards of these batches expire, and perhaps of others; those that were asked for before are not read.

    Raises:
        TamperedError: If the document of a batch is not there, or was changed from outside.
    """
    known = engine.batch_expiries
    missing = sorted(set(batches) - known.keys())
    for start in range(0, len(missing), CHUNK):
        asked = missing[start : start + CHUNK]
        found = {document.key: document for document in engine.store.find_documents([BATCH + batch for batch in asked])}
        for batch in asked:
            facts = batch_facts(engine, found.get(BATCH + batch))
            if facts is None:
                raise TamperedError(BATCH + batch, "document")
            known[batch] = facts.expiry

    return known


def switch(engine: Engine, extension: str, batch: str, *, enabled: bool, operation: str | None) -> BatchFacts:
    """
    Enable or disable a batch as a whole. See `Extension.enable_batch` and `Extension.disable_batch`.
    """
    verb = "enable_batch" if enabled else "disable_batch"

    def decide(_: object) -> Decision[BatchFacts]:
        before = facts_of(engine, extension, batch)
        detail = {"before": {"enabled": before.enabled}, "after": {"enabled": enabled}}

        return _changed(engine, verb, attrs.evolve(before, enabled=enabled), detail)

    return engine.once(
        verb,
        operation,
        lambda: [extension, batch],
        decide=decide,
        replay=lambda _: facts_of(engine, extension, batch),
    )


def label(
    engine: Engine,
    extension: str,
    batch: str,
    *,
    add: Iterable[str],
    remove: Iterable[str],
    operation: str | None,
) -> BatchFacts:
    """
    Add and remove labels of a batch. See `Extension.label_batch`.
    """
    added, removed = checked_change(add, remove)

    def decide(_: object) -> Decision[BatchFacts]:
        before = facts_of(engine, extension, batch)
        labels = relabeled(before.labels, add=added, remove=removed)
        detail = {"before": {"labels": before.labels}, "after": {"labels": labels}}

        return _changed(engine, "label_batch", attrs.evolve(before, labels=labels), detail)

    return engine.once(
        "label_batch",
        operation,
        lambda: [extension, batch, added, removed],
        decide=decide,
        replay=lambda _: facts_of(engine, extension, batch),
    )


def _changed(engine: Engine, verb: str, facts: BatchFacts, detail: Mapping[str, object]) -> Decision[BatchFacts]:
    after = attrs.evolve(facts, version=facts.version + 1)
    audit = engine.audited(
        verb, extension=facts.extension, batch=facts.id, before=detail["before"], after=detail["after"]
    )

    return Decision(Changes(documents=[(_document(engine, after), facts.version)], audit=audit), after)


def _document(engine: Engine, facts: BatchFacts) -> Document:
    value = {
        "extension": facts.extension,
        "size": facts.size,
        "created_at": to_micros(facts.created_at),
        "enabled": facts.enabled,
        "labels": facts.labels,
        "expiry": None if facts.expiry is None else facts.expiry.kept(),
    }

    return engine.records.document(BATCH + facts.id, value, version=facts.version)
