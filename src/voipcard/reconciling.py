"""
Comparing the audit trail with the heads of its lanes, and the book with what the heads say was written to it.

Others may go on writing meanwhile: what is there has to lie between what the heads said before and what they say after.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, TypeAlias

import attrs

from voipcard.core.query import EntryQuery
from voipcard.errors import TamperedError
from voipcard.records import NO_CHAIN
from voipcard.stores.contract import AuditRecord, CardRecord, Document
from voipcard.trail import LANES, Head, Tally, all_heads, is_tallied, lane_of
from voipcard.transact import Engine

__all__ = ["Reconciliation"]

Findings: TypeAlias = Iterator[tuple[str, str]]
"""Subjects, each with what is wrong with it."""


@attrs.define
class _Buried:
    """
    What tombstones tell of removed cards.
    """

    cards: int = 0
    versions: int = 0

    def add(self, version: int) -> None:
        """
        Take what is left of one card into account.
        """
        self.cards += 1
        self.versions += version


class Reconciliation:
    """
    One comparison, from the moment it is made to `findings`.

    Attributes:
        cards: How many cards were seen.
        versions: The sum of their versions.
        documents: The sum of the versions of the documents that were seen.
        buried: What the tombstones told before any card was seen.
        buried_since: What they told after the last card was seen.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine: Final = engine
        self._before: Final = _heads(engine)
        self._ends: Final[dict[int, tuple[int, bytes]]] = {}
        self.cards: int = 0
        self.versions: int = 0
        self.documents: int = 0
        self.buried: Final = _Buried()
        self.buried_since: Final = _Buried()

    def see_card(self, record: CardRecord) -> None:
        """
        Take a card into account.
        """
        self.cards += 1
        self.versions += record.version

    def see_document(self, document: Document) -> None:
        """
        Take a document into account.
        """
        if is_tallied(document.key):
            self.documents += document.version

    def audit(self, records: Iterator[AuditRecord]) -> Findings:
        """
        Go over all audit entries in the order of their ids, and tell those that are not links of their chain.
        """
        lane, number, chain = -1, 0, NO_CHAIN
        for record in records:
            place = lane_of(record.id)
            if place[0] != lane:
                lane, number, chain = place[0], 0, NO_CHAIN
            is_next = place == (lane, number + 1) and lane < LANES
            if not (is_next and self._engine.records.is_audited(record, chain)):
                yield record.id.hex(), "audit entry"
            number, chain = place[1], record.mac
            self._ends[lane] = number, chain
            head = self._before.get(lane)
            if head is not None and head.count == number and head.mac != chain:
                yield head.key, "audit entry"

    def findings(self) -> Findings:
        """
        Tell which lanes do not end as their heads say, and of what there is more or less than was written.
        """
        entries = sum(total.count for total in self._engine.store.totals(EntryQuery()))
        after = _heads(self._engine)
        for lane in range(LANES):
            first, last = self._before.get(lane), after.get(lane)
            if first is None or last is None:
                yield Head(lane).key, "document"
                continue
            number, chain = self._ends.get(lane, (0, NO_CHAIN))
            is_at_end = number == last.count
            if not first.count <= number <= last.count or (is_at_end and chain != last.mac):
                yield last.key, "audit entry"
            if last.version < first.version:
                yield last.key, "document"
        if len(self._before) == len(after) == LANES:
            yield from self._differences(_sum(self._before), _sum(after), entries)

    def _differences(self, least: Tally, most: Tally, entries: int) -> Findings:
        # What was written meanwhile may have been seen or not; a card that was removed may have been seen twice.
        bounds = {
            "cards": (least.cards - self.buried_since.cards, self.cards, most.cards - self.buried.cards),
            "versions": (
                least.versions - self.buried_since.versions,
                self.versions,
                most.versions - self.buried.versions,
            ),
            "entries": (least.entries, entries, most.entries),
            "documents": (least.documents - most.forgotten, self.documents, most.documents - least.forgotten),
        }
        for subject, (lower, seen, upper) in bounds.items():
            if not lower <= seen <= upper:
                yield subject, "tally"


def _heads(engine: Engine) -> dict[int, Head]:
    """
    Give the heads that are as they were written. The others are told among the documents.
    """
    heads = {}
    for lane, document in all_heads(engine.store).items():
        with suppress(TamperedError):
            heads[lane] = Head.read(lane, document, engine.records)

    return heads


def _sum(heads: dict[int, Head]) -> Tally:
    return functools.reduce(Tally.plus, (head.tally for head in heads.values()), Tally())
