"""
Moving a book from one store to another: row by row as it is, resumable, and compared before anybody can open it.

What is secret stays sealed and every MAC stays valid, so that no key is needed.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Generic, TypeVar

import attrs

from voipcard.core.arguments import Progress
from voipcard.core.query import CardQuery, EntryQuery
from voipcard.core.throttle import SLOTS
from voipcard.errors import (
    CeilingError,
    DuplicateError,
    InvalidValueError,
    NotABookError,
    OccupiedError,
    StaleError,
    StoreError,
    UnequalError,
)
from voipcard.names import ACTIVE, ALARMS, CARDS, EXTENSION, INGRESS, KEYRING
from voipcard.stores.contract import (
    MAX_INTEGER,
    AuditRecord,
    CardRecord,
    Changes,
    CounterChange,
    Document,
    EntryRecord,
    Store,
)

__all__ = ["UNFINISHED", "Copied", "Copying", "copy"]

R = TypeVar("R")

PAGE: Final = 1000
"""How many rows are read and committed at a time."""

UNFINISHED: Final = MAX_INTEGER
"""The version of what stands for the key ring in an unfinished copy: no document is changed so often."""


@attrs.frozen
class Copied:
    """
    What a book that was copied consists of, in both stores.

    Attributes:
        cards: How many cards.
        entries: How many ledger entries, those of removed cards among them.
        documents: How many documents; 256 of them are the heads of the audit trail.
        audit_entries: How many entries of the audit trail.
        counters: How many counters; those of guesses only where they stand at something.
    """

    cards: int
    entries: int
    documents: int
    audit_entries: int
    counters: int


def copy(source: Store, target: Store, *, progress: Progress | None = None) -> Copied:
    """
    Copy a book into another store, of whatever kind, and make sure that the two are equal.

    The source is only read. Stop whatever writes to it: what is written before this returns would be missing in the
    copy, and is noticed. No key is needed, and the copy is opened with the key of the book.

    Call again to go on with a copy that was interrupted, by whatever it was. Until all is there and was found equal,
    the target cannot be opened as a book. Then it can, and is compared once more: a source that was written to in
    between closes it again, unless the process dies in this moment, or the target cannot be reached. Call again to be
    sure: with a complete copy this only compares.

    Args:
        source: Where the book is.

        target: An empty store, or one that holds a copy of the same book, complete or not.

        progress:
            Is told how many cards and ledger entries are done, of how many. They are copied, compared, and compared
            again when the target can be opened, and each of these counts.

    Returns:
        How much there is, in both of them.

    Raises:
        NotABookError: If the source holds no book, or an unfinished copy of one. Nothing was written.

        OccupiedError: If the target holds something else, or something else writes to it.

        UnequalError:
            If one of the two was written to meanwhile, or the target since it was copied. A target that could not be
            opened before still cannot. Begin again with an empty one.

        StoreError: If a store cannot be read or written. Call again to go on.

    Example:
        >>> from voipcard.stores import SQLiteStore, copy
        >>> book = voipcard.open_book("cards.db", currency="EUR")
        >>> batch = book.extension("0003*215").generate(500, credit="10.00")
        >>> copy(SQLiteStore("cards.db"), SQLiteStore("moved.db"))
        Copied(cards=500, entries=500, documents=260, audit_entries=1, counters=3)
    """
    for name, store in (("source", source), ("target", target)):
        if not isinstance(store, Store):
            raise InvalidValueError(name, "has to be a store, such as SQLiteStore(path)")

    return Copying(source, target, progress).run()


@attrs.frozen
class _Kind(Generic[R]):
    """
    One kind of row.

    Attributes:
        read: Gives the rows of a store that follow a row, or the first ones, up to a limit.
        position: Tells where a row stands in the order in which they are read.
        name: Says what a row is called.
    """

    read: Callable[[Store, R | None, int], Sequence[R]]
    position: Callable[[R], Any]
    name: Callable[[R], str]

    def pages(self, source: Store, target: Store, limit: int) -> Iterator[tuple[list[R], list[R]]]:
        """
        Give page after page of both stores, each page of the target after the same row as that of the source.
        """
        last: R | None = None
        while True:
            ours, theirs = list(self.read(source, last, limit)), list(self.read(target, last, limit))
            if not ours and not theirs:
                return
            yield ours, theirs
            last = (ours or theirs)[-1]

    def difference(self, ours: Sequence[R], theirs: Sequence[R]) -> str:
        """
        Name the first row that is not the same in two pages.
        """
        pair = next(pair for pair in itertools.zip_longest(ours, theirs) if pair[0] != pair[1])

        return self.name(min((row for row in pair if row is not None), key=self.position))


_BY_SERIAL: Final = CardQuery(order="serial")
_BY_CARD: Final = EntryQuery(order="sequence")


def _read_cards(store: Store, last: CardRecord | None, limit: int) -> Sequence[CardRecord]:
    return store.cards(attrs.evolve(_BY_SERIAL, after=last and _BY_SERIAL.position(last), limit=limit))


def _read_entries(store: Store, last: EntryRecord | None, limit: int) -> Sequence[EntryRecord]:
    return store.entries(attrs.evolve(_BY_CARD, after=last and _BY_CARD.position(last), limit=limit))


def _read_documents(store: Store, last: Document | None, limit: int) -> Sequence[Document]:
    # One more, because the key ring is left out and there may be others behind it.
    found = store.documents("", after=last.key if last else "", limit=limit + 1)

    return [document for document in found if document.key != KEYRING]


def _read_audit(store: Store, last: AuditRecord | None, limit: int) -> Sequence[AuditRecord]:
    return store.audit(after=last.id if last else b"", limit=limit)


_CARDS: Final = _Kind(_read_cards, _BY_SERIAL.position, lambda card: f"card {card.serial}")
_ENTRIES: Final = _Kind(_read_entries, _BY_CARD.position, lambda entry: f"entry {entry.sequence} of {entry.serial}")
_DOCUMENTS: Final = _Kind(_read_documents, lambda document: document.key, lambda document: f"document {document.key}")
_AUDIT: Final = _Kind(_read_audit, lambda record: record.id, lambda record: f"audit entry {record.id.hex()}")
_KINDS: Final[tuple[_Kind[Any], ...]] = (_CARDS, _ENTRIES, _DOCUMENTS, _AUDIT)


class Copying:
    """
    One call of `copy`.

    Args:
        source: Where the book is.

        target: Where it is copied to.

        progress: As for `copy`.

        page: How many rows are read and committed at a time, 1 to 9,999.
    """

    def __init__(self, source: Store, target: Store, progress: Progress | None = None, *, page: int = PAGE) -> None:
        self._source: Final = source
        self._target: Final = target
        self._progress: Final = progress
        self._page: Final = page
        self._done = self._total = 0

    def run(self) -> Copied:
        """
        Copy what is missing, compare, let the target be opened, and compare again.
        """
        keyring = self._source.document(KEYRING)
        if keyring is None or keyring.version == UNFINISHED:
            raise NotABookError("the source holds no book, or an unfinished copy of one")
        cards, entries = self._source.count(CardQuery()), sum(each.count for each in self._source.totals(EntryQuery()))
        if self._target.document(KEYRING) == keyring:
            self._total = cards + entries
            return self._compared(keyring, keyring)
        self._total = 2 * cards + 3 * entries
        marker = Document(KEYRING, b"unfinished copy of " + hashlib.sha256(keyring.value).digest(), UNFINISHED)
        self._begin(marker)
        self._fill()
        self._compared(keyring, marker)
        self._commit(Changes(documents=[(keyring, UNFINISHED)]))
        try:
            # What was written to the source after it was compared would be missing in a book that can be opened.
            return self._compared(keyring, keyring)
        except BaseException:
            with suppress(StoreError):
                self._target.commit(Changes(documents=[(marker, keyring.version)]))
            raise

    def _begin(self, marker: Document) -> None:
        """
        Make the target one that cannot be opened, unless it is already.
        """
        if self._target.document(KEYRING) == marker:
            return
        if any(kind.read(self._target, None, 1) for kind in _KINDS):
            raise OccupiedError("the target holds something else")
        try:
            self._target.commit(Changes(documents=[(marker, 0)]))
        except StaleError as error:
            raise OccupiedError("the target holds something else") from error

    def _fill(self) -> None:
        """
        Write what the target does not have yet. What it has is the beginning of each kind of row.
        """
        for entries in self._missing(_ENTRIES, self._tell):
            self._commit(self._with_cards(entries))
        for documents in self._missing(_DOCUMENTS):
            self._commit(Changes(documents=[(document, 0) for document in documents]))
        for trail in self._missing(_AUDIT):
            self._commit(Changes(audit=trail))
        for ours, theirs in self._counters():
            # The ceiling keeps another call, at the same moment, from moving them twice.
            moves = [CounterChange(key, ours[key] - theirs[key], ours[key]) for key in ours if ours[key] != theirs[key]]
            if moves:
                self._commit(Changes(counters=moves))

    def _missing(self, kind: _Kind[R], tell: Callable[[int], None] | None = None) -> Iterator[list[R]]:
        """
        Give the rows that the target does not have yet, page by page.

        Raises:
            UnequalError: If it has other ones.
        """
        for ours, theirs in kind.pages(self._source, self._target, self._page):
            if ours[: len(theirs)] != theirs:
                raise UnequalError(differences=(kind.difference(ours, theirs),))
            if len(theirs) < len(ours):
                yield ours[len(theirs) :]
            if tell:
                tell(len(ours))

    def _with_cards(self, entries: Sequence[EntryRecord]) -> Changes:
        """
        Let each card come with its first entry. One that was removed has entries only.
        """
        found = self._source.find_many(ids=[entry.card for entry in entries if entry.sequence == 1])
        cards = {card.id: card for card in found}
        new = [(cards[entry.card], entry) for entry in entries if entry.sequence == 1 and entry.card in cards]

        return Changes(new=new, entries=[entry for entry in entries if entry.sequence > 1 or entry.card not in cards])

    def _commit(self, changes: Changes) -> None:
        """
        Write to the target as long as it is an unfinished copy.
        """
        try:
            self._target.commit(attrs.evolve(changes, require=[(KEYRING, UNFINISHED)]))
        except (StaleError, DuplicateError, CeilingError) as error:
            raise OccupiedError("something else writes to the target") from error

    def _compared(self, keyring: Document, kept: Document) -> Copied:
        """
        Read both stores side by side, and count.

        Args:
            keyring: What the source has to have as its key ring.

            kept: What the target has to have in its place.

        Raises:
            UnequalError: If they differ.
        """
        differences: list[str] = []
        cards = self._counted(_CARDS, differences, self._tell)
        entries = self._counted(_ENTRIES, differences, self._tell)
        documents = self._counted(_DOCUMENTS, differences)
        audit_entries = self._counted(_AUDIT, differences)
        counters = 0
        for ours, theirs in self._counters():
            counters += len(ours)
            differences += [f"counter {key}" for key in ours if ours[key] != theirs[key]][:1]
        if (self._source.document(KEYRING), self._target.document(KEYRING)) != (keyring, kept):
            differences.append(f"document {KEYRING}")
        if differences:
            raise UnequalError(differences=tuple(differences))

        return Copied(cards, entries, documents + 1, audit_entries, counters)

    def _counted(self, kind: _Kind[R], differences: list[str], tell: Callable[[int], None] | None = None) -> int:
        """
        Count rows of one kind, up to the first difference, which is noted.
        """
        count = 0
        for ours, theirs in kind.pages(self._source, self._target, self._page):
            if ours != theirs:
                differences.append(kind.difference(ours, theirs))
                break
            count += len(ours)
            if tell:
                tell(len(ours))

        return count

    def _counters(self) -> Iterator[tuple[Mapping[str, int], Mapping[str, int]]]:
        """
        Give the counters of both stores: that of the book, those of its extensions, and what was guessed.
        """
        for keys in self._counter_keys():
            yield self._source.counters(keys), self._target.counters(keys)
        for keys in self._guess_keys():
            ours, theirs = self._source.counters(keys), self._target.counters(keys)
            # Most of them were never moved.
            moved = [key for key in keys if ours[key] or theirs[key]]
            yield {key: ours[key] for key in moved}, {key: theirs[key] for key in moved}

    def _counter_keys(self) -> Iterator[list[str]]:
        yield [ACTIVE]
        after = ""
        while page := self._source.documents(EXTENSION, after=after, limit=self._page):
            numbers = [document.key.removeprefix(EXTENSION) for document in page]
            yield [f"{counter}/{number}" for counter in (ACTIVE, CARDS) for number in numbers]
            after = page[-1].key

    def _guess_keys(self) -> Iterator[list[str]]:
        yield list(ALARMS)
        after = ""
        while page := self._source.documents(INGRESS, after=after, limit=max(1, self._page // SLOTS)):
            yield [f"{document.key}/{part}" for document in page for part in (*range(SLOTS), "refused")]
            after = page[-1].key

    def _tell(self, rows: int) -> None:
        self._done += rows
        if self._progress:
            self._progress(self._done, max(self._done, self._total))
