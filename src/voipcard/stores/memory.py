"""
A card book in dictionaries: for trying out, for tests, and as the example for people who write a store.
"""

from __future__ import annotations

import copy
import heapq
import threading
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import TypeVar

from voipcard.core.query import CardQuery, EntryQuery, Position
from voipcard.errors import CeilingError, DuplicateError, StaleError, StoreClosedError
from voipcard.stores.contract import (
    AuditRecord,
    CardRecord,
    Changes,
    Document,
    EntryRecord,
    Grouping,
    SealedCode,
    Total,
    unforgettable,
)
from voipcard.stores.totals import MOMENTS, SUMMED, totaled

__all__ = ["MemoryStore"]

R = TypeVar("R")
V = TypeVar("V")


class MemoryStore:
    """
    A store that ends with the process: dictionaries behind one lock.

    It keeps every law of `voipcard.stores.Store` that can be kept without a disk. A commit is checked completely before
    anything is changed, so there is nothing to roll back.

    Example:
        >>> from voipcard.stores import Changes, Document, MemoryStore
        >>> store = MemoryStore()
        >>> store.commit(Changes(documents=[(Document("greeting", b"hello", version=1), 0)]))
        >>> store.document("greeting").value
        b'hello'
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._closed = False
        self._cards: dict[bytes, CardRecord] = {}
        self._id_by_serial: dict[str, bytes] = {}
        self._id_by_index: dict[bytes, bytes] = {}
        self._entries: dict[bytes, dict[int, EntryRecord]] = {}
        self._entry_by_operation: dict[bytes, EntryRecord] = {}
        self._documents: dict[str, Document] = {}
        self._counters: dict[str, int] = {}
        self._audit: dict[bytes, AuditRecord] = {}

    def another(self) -> MemoryStore:
        """
        Open one more handle on the same data. Each handle is closed on its own; the data goes with the last of them.
        """
        other = copy.copy(self)
        other._closed = False  # noqa: SLF001 - its own

        return other

    def find(
        self, *, id: bytes | None = None, serial: str | None = None, index: bytes | None = None
    ) -> CardRecord | None:
        """
        Look one card up in a dictionary.
        """
        with self._open():
            if serial is not None:
                id = self._id_by_serial.get(serial)
            if index is not None:
                id = self._id_by_index.get(index)

            return None if id is None else self._cards.get(id)

    def find_many(self, *, ids: Iterable[bytes] = (), serials: Iterable[str] = ()) -> Sequence[CardRecord]:
        """
        Look each of them up.
        """
        ids, serials = list(ids), list(serials)  # before the lock is taken: what gives them may ask this store
        with self._open():
            named = (self._id_by_serial[serial] for serial in serials if serial in self._id_by_serial)

            return [self._cards[id] for id in chain(ids, named) if id in self._cards]

    def nearest(self, index: bytes) -> CardRecord | None:
        """
        Look at the indexes of all cards, whether one of them is *index* or not.
        """
        with self._open():
            if not self._cards:
                return None
            following = (other for other in self._id_by_index if other >= index)
            nearest = min(following, default=min(self._id_by_index))

            return self._cards[self._id_by_index[nearest]]

    def known(
        self, *, indexes: Iterable[bytes] = (), serials: Iterable[str] = (), operations: Iterable[bytes] = ()
    ) -> frozenset[bytes | str]:
        """
        Look each of them up.
        """
        indexes, serials, operations = list(indexes), list(serials), list(operations)
        with self._open():
            return frozenset(
                chain(
                    (index for index in indexes if index in self._id_by_index),
                    (serial for serial in serials if serial in self._id_by_serial),
                    (operation for operation in operations if operation in self._entry_by_operation),
                )
            )

    def cards(self, query: CardQuery) -> Sequence[CardRecord]:
        """
        Look at all cards and keep the first that match.
        """
        with self._open():
            return _page(filter(query.matches, self._cards.values()), query, query.position)

    def sealed_codes(self, query: CardQuery) -> Sequence[SealedCode]:
        """
        Give the sealed codes of the same page.
        """
        return [SealedCode(*query.position(card), card.sealed_code) for card in self.cards(query)]

    def count(self, query: CardQuery) -> int:
        """
        Look at all cards and count those that match.
        """
        with self._open():
            return sum(map(query.matches, self._cards.values()))

    def entries(self, query: EntryQuery) -> Sequence[EntryRecord]:
        """
        Look at all entries, or those of one card or operation, and keep the first that match.
        """
        with self._open():
            return _page(self._matching(query), query, query.position)

    def totals(self, query: EntryQuery, by: Sequence[Grouping] = (), *, periods: Sequence[int] = ()) -> Sequence[Total]:
        """
        Look at the same entries and add them up.
        """
        fields = [*(MOMENTS.get(name, name) for name in by), *SUMMED]
        with self._open():
            rows = [[getattr(entry, field) for field in fields] for entry in self._matching(query)]

        return totaled(rows, by, periods)

    def document(self, key: str) -> Document | None:
        """
        Look one document up.
        """
        with self._open():
            return self._documents.get(key)

    def find_documents(self, keys: Iterable[str]) -> Sequence[Document]:
        """
        Look each of them up.
        """
        keys = list(keys)
        with self._open():
            return [self._documents[key] for key in keys if key in self._documents]

    def documents(
        self, prefix: str, *, after: str = "", limit: int = 1000, expired_at: int | None = None
    ) -> Sequence[Document]:
        """
        Look at all documents and keep the first that fit.
        """
        with self._open():
            keys = (
                key
                for key, document in self._documents.items()
                if key.startswith(prefix) and key > after and (expired_at is None or _expired(document, expired_at))
            )

            return [self._documents[key] for key in heapq.nsmallest(limit, keys)]

    def counters(self, keys: Iterable[str]) -> Mapping[str, int]:
        """
        Look the counters up.
        """
        keys = list(keys)
        with self._open():
            return {key: self._counters.get(key, 0) for key in keys}

    def audit(self, *, after: bytes = b"", limit: int = 1000) -> Sequence[AuditRecord]:
        """
        Look at all ids and keep the first after *after*.
        """
        with self._open():
            return [self._audit[id] for id in heapq.nsmallest(limit, (id for id in self._audit if id > after))]

    def commit(self, changes: Changes) -> None:
        """
        Check everything, then change everything.
        """
        new = list(changes.new)
        cards = [card for card, _ in new]
        entries = [*(entry for _, entry in new), *changes.entries]
        with self._open():
            self._check_versions(changes)
            self._check_uniqueness(cards, entries, changes)
            self._check_ceilings(changes)
            self._apply(cards, entries, changes)

    def close(self) -> None:
        """
        Close this handle; others on the same data stay open.
        """
        self._closed = True

    @contextmanager
    def _open(self) -> Iterator[None]:
        with self._lock:
            if self._closed:
                raise StoreClosedError("the store is closed")
            yield

    def _matching(self, query: EntryQuery) -> Iterator[EntryRecord]:
        if query.operation is not None:
            entry = self._entry_by_operation.get(query.operation)
            candidates: Iterable[EntryRecord] = () if entry is None else (entry,)
        elif query.card is not None:
            candidates = self._entries.get(query.card, {}).values()
        else:
            candidates = chain.from_iterable(entries.values() for entries in self._entries.values())

        return filter(query.matches, candidates)

    def _card_version(self, id: bytes) -> int | None:
        return self._cards[id].version if id in self._cards else None

    def _document_version(self, key: str) -> int:
        return self._documents[key].version if key in self._documents else 0

    def _check_versions(self, changes: Changes) -> None:
        cards = [*((card.id, version) for card, version in changes.replace), *changes.remove]
        documents = [
            *((document.key, version) for document, version in changes.documents),
            *changes.forget,
            *changes.require,
        ]
        stale = StaleError(
            cards=_taken((id for id, _ in cards), ())
            | {id for id, version in cards if self._card_version(id) != version},
            documents=unforgettable(changes)
            | {key for key, version in documents if self._document_version(key) != version},
        )
        if stale.cards or stale.documents:
            raise stale

    def _check_uniqueness(self, cards: Sequence[CardRecord], entries: Sequence[EntryRecord], changes: Changes) -> None:
        moved = [(card, self._cards[card.id]) for card, _ in changes.replace]
        indexes = [card.index for card in cards] + [card.index for card, old in moved if card.index != old.index]
        serials = [card.serial for card in cards] + [card.serial for card, old in moved if card.serial != old.serial]
        operations = [entry.operation for entry in entries if entry.operation is not None]
        steps = _taken(((entry.card, entry.sequence) for entry in entries), ()) | {
            (entry.card, entry.sequence) for entry in entries if entry.sequence in self._entries.get(entry.card, ())
        }
        duplicate = DuplicateError(
            ids=_taken((card.id for card in cards), self._cards)
            | {id for id, _ in steps}
            | _taken((record.id for record in changes.audit), self._audit),
            indexes=_taken(indexes, self._id_by_index),
            serials=_taken(serials, self._id_by_serial),
            operations=_taken(operations, self._entry_by_operation),
        )
        if duplicate.ids or duplicate.indexes or duplicate.serials or duplicate.operations:
            raise duplicate

    def _check_ceilings(self, changes: Changes) -> None:
        standing = [(change, self._counters.get(change.key, 0)) for change in changes.counters]
        above = tuple(
            (change.key, value)
            for change, value in standing
            if change.delta > 0 and change.ceiling is not None and value + change.delta > change.ceiling
        )
        if above:
            raise CeilingError(counters=above)

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        for id in chain((id for id, _ in changes.remove), (card.id for card, _ in changes.replace)):
            old = self._cards.pop(id)
            del self._id_by_serial[old.serial], self._id_by_index[old.index]
        for card in chain(cards, (card for card, _ in changes.replace)):
            self._cards[card.id] = card
            self._id_by_serial[card.serial] = self._id_by_index[card.index] = card.id
        for entry in entries:
            self._entries.setdefault(entry.card, {})[entry.sequence] = entry
            if entry.operation is not None:
                self._entry_by_operation[entry.operation] = entry
        for document, _ in changes.documents:
            self._documents[document.key] = document
        for key, _ in changes.forget:
            del self._documents[key]
        for change in changes.counters:
            self._counters[change.key] = self._counters.get(change.key, 0) + change.delta
        for record in changes.audit:
            self._audit[record.id] = record


def _expired(document: Document, moment: int) -> bool:
    return document.expires_at is not None and document.expires_at <= moment


def _taken(values: Iterable[V], present: Container[V]) -> frozenset[V]:
    """
    Give the values that are present already or come more than once.
    """
    seen: set[V] = set()
    taken: set[V] = set()
    for value in values:
        (taken if value in present or value in seen else seen).add(value)

    return frozenset(taken)


def _page(records: Iterable[R], query: CardQuery | EntryQuery, position: Callable[[R], Position]) -> list[R]:
    after = query.after
    if query.descending:
        return heapq.nlargest(query.limit, (r for r in records if after is None or position(r) < after), key=position)

    return heapq.nsmallest(query.limit, (r for r in records if after is None or position(r) > after), key=position)
