"""
Stores that are broken on purpose, each in one way that a real store could be, to see whether the kit finds it.
"""

# ruff: noqa: D102 - what a method does wrong stands at its class

from __future__ import annotations

import functools
import itertools
import tempfile
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import Any, ClassVar, Final

import attrs

from voipcard.core.query import CardQuery, EntryQuery, Position
from voipcard.errors import DuplicateError, StaleError, StoreError
from voipcard.stores import (
    AuditRecord,
    CardRecord,
    Changes,
    Document,
    EntryRecord,
    Grouping,
    MemoryStore,
    SealedCode,
    SQLiteStore,
    Total,
)
from voipcard.stores.totals import MOMENTS, SUMMED, totaled
from voipcard.testing import Opener, StoreContract

MAX: Final = 2**63 - 1
INSTANT: Final = 0.001
"""Long enough for another thread to come between."""


class OnMemory(StoreContract):
    """
    The kit for a broken `MemoryStore`.
    """

    shared = False
    in_memory = True
    bulk = 3000
    deadline = 0.5

    def __init__(self, store: type[MemoryStore]) -> None:
        self.store = store

    @contextmanager
    def fresh(self) -> Iterator[Opener]:
        """
        Open handles on the same dictionaries.
        """
        yield self.store().another


class OnSQLite(StoreContract):
    """
    The kit for a broken `SQLiteStore`.
    """

    def __init__(self, store: type[SQLiteStore]) -> None:
        self.store = store

    @contextmanager
    def fresh(self) -> Iterator[Opener]:
        """
        Open handles on the same file.
        """
        with tempfile.TemporaryDirectory() as folder:
            yield functools.partial(self.store, f"{folder}/cards.db", journal="delete", timeout=2.0)


class AppliesInParts(MemoryStore):
    """
    Writes the audit trail before it looks whether the rest is possible.
    """

    def commit(self, changes: Changes) -> None:
        super().commit(Changes(audit=changes.audit))
        super().commit(attrs.evolve(changes, audit=()))


class CommitsInBatches(MemoryStore):
    """
    Splits large commits.
    """

    def commit(self, changes: Changes) -> None:
        new = iter(changes.new)
        while batch := list(itertools.islice(new, 1000)):
            super().commit(Changes(new=batch))
        super().commit(attrs.evolve(changes, new=()))


class RemembersCards(MemoryStore):
    """
    Each handle keeps the cards that it has found, whatever others do to them.
    """

    def __init__(self) -> None:
        super().__init__()
        self._before: dict[int, list[CardRecord]] = {}

    def cards(self, query: CardQuery) -> Sequence[CardRecord]:
        if query.after is not None:
            return super().cards(query)

        return self._before.setdefault(id(self), list(super().cards(query)))


class AcknowledgesEarly(SQLiteStore):
    """
    Returns from `commit` before it is made.
    """

    _waiting: Changes | None = None

    def commit(self, changes: Changes) -> None:
        waiting, self._waiting = self._waiting, changes
        if waiting is not None:
            super().commit(waiting)


class CommitsEachTable(SQLiteStore):
    """
    Makes two transactions of one commit.
    """

    def commit(self, changes: Changes) -> None:
        super().commit(Changes(audit=changes.audit, documents=changes.documents))
        time.sleep(INSTANT)
        super().commit(attrs.evolve(changes, audit=(), documents=()))


class CountsVersions(MemoryStore):
    """
    Begins the versions of documents at 1, whatever is given.
    """

    def commit(self, changes: Changes) -> None:
        documents = [
            (document._replace(version=expected + 1) if expected == 0 else document, expected)
            for document, expected in changes.documents
        ]
        super().commit(attrs.evolve(changes, documents=documents))


class IgnoresVersions(MemoryStore):
    """
    Replaces whatever is there.
    """

    def _check_versions(self, changes: Changes) -> None:
        present = [(id, version) for id, version in changes.remove if id in self._cards]
        super()._check_versions(Changes(remove=[(id, self._cards[id].version) for id, _ in present]))


class IgnoresWhatIsAbsent(MemoryStore):
    """
    Requires of documents only what is there.
    """

    def commit(self, changes: Changes) -> None:
        super().commit(attrs.evolve(changes, require=[each for each in changes.require if each[1]]))


class TakesMissingForNew(MemoryStore):
    """
    Gives a card that is not there the version 0, as a document has.
    """

    def _card_version(self, id: bytes) -> int:
        return super()._card_version(id) or 0

    def _check_uniqueness(self, cards: Sequence[CardRecord], entries: Sequence[EntryRecord], changes: Changes) -> None:
        super()._check_uniqueness(cards, entries, self._of_those_there(changes))

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        new = [card for card, _ in changes.replace if card.id not in self._cards]
        super()._apply([*cards, *new], entries, self._of_those_there(changes))

    def _of_those_there(self, changes: Changes) -> Changes:
        return attrs.evolve(
            changes,
            replace=[(card, version) for card, version in changes.replace if card.id in self._cards],
            remove=[(id, version) for id, version in changes.remove if id in self._cards],
        )


class RemovesNothing(MemoryStore):
    """
    Takes a card that is to be removed and is not there for done.
    """

    def commit(self, changes: Changes) -> None:
        super().commit(attrs.evolve(changes, remove=[each for each in changes.remove if each[0] in self._cards]))


class BlamesItself(MemoryStore):
    """
    Says that the store failed where the caller did.
    """

    def commit(self, changes: Changes) -> None:
        try:
            super().commit(changes)
        except LookupError as error:
            raise StoreError(str(error)) from error


class LacksMethods(MemoryStore):
    """
    Is only begun.
    """

    audit = None  # type: ignore[assignment]
    nearest = None  # type: ignore[assignment]


class NamesOneStaleCard(MemoryStore):
    """
    Stops at the first version that is not the expected one.
    """

    def _check_versions(self, changes: Changes) -> None:
        try:
            super()._check_versions(changes)
        except StaleError as error:
            raise StaleError(cards=frozenset(sorted(error.cards)[:1]), documents=error.documents) from None


class NamesOneDuplicate(MemoryStore):
    """
    Names the row that the database complained about.
    """

    def _check_uniqueness(self, cards: Sequence[CardRecord], entries: Sequence[EntryRecord], changes: Changes) -> None:
        try:
            super()._check_uniqueness(cards, entries, changes)
        except DuplicateError as error:
            raise DuplicateError(indexes=frozenset(sorted(error.indexes)[:1]), ids=error.ids) from None


class OverlooksRepeats(MemoryStore):
    """
    Compares new cards with those that are there, but not with each other.
    """

    def _check_uniqueness(self, cards: Sequence[CardRecord], entries: Sequence[EntryRecord], changes: Changes) -> None:
        for card, entry in zip(cards, entries, strict=False):
            super()._check_uniqueness([card], [entry], changes)


class ChecksCeilingsFirst(MemoryStore):
    """
    Refuses for the ceiling what is stale as well.
    """

    def _check_versions(self, changes: Changes) -> None:
        self._check_ceilings(changes)
        super()._check_versions(changes)


class IgnoresCeilings(MemoryStore):
    """
    Counts on, whatever the limit.
    """

    def _check_ceilings(self, changes: Changes) -> None:
        pass


class ForgetsOperations(MemoryStore):
    """
    Lets an operation be done again when its card has gone.
    """

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        super()._apply(cards, entries, changes)
        gone = {id for id, _ in changes.remove}
        for operation in [key for key, entry in self._entry_by_operation.items() if entry.card in gone]:
            del self._entry_by_operation[operation]


class RepeatsOperations(MemoryStore):
    """
    Does the same operation twice.
    """

    def _check_uniqueness(self, cards: Sequence[CardRecord], entries: Sequence[EntryRecord], changes: Changes) -> None:
        super()._check_uniqueness(cards, [entry._replace(operation=None) for entry in entries], changes)


class ChecksThenWrites(MemoryStore):
    """
    Looks at versions in one transaction and writes in the next.
    """

    def commit(self, changes: Changes) -> None:
        with self._open():
            super()._check_versions(changes)
        time.sleep(INSTANT)
        current = [(card, self._cards[card.id].version) for card, _ in changes.replace]
        entries = [
            entry._replace(sequence=max(self._entries.get(entry.card, {0: entry})) + 1) for entry in changes.entries
        ]
        super().commit(attrs.evolve(changes, replace=current, entries=entries))


class ForgetsTooLate(MemoryStore):
    """
    Looks at the version of a document to forget in one transaction and removes it in the next.
    """

    def commit(self, changes: Changes) -> None:
        with self._open():
            super()._check_versions(Changes(forget=changes.forget))
        time.sleep(INSTANT)
        super().commit(attrs.evolve(changes, forget=()))
        with self._open():
            for key, _ in changes.forget:
                self._documents.pop(key, None)


class RequiresTooEarly(MemoryStore):
    """
    Looks at what is required in one transaction and writes in the next.
    """

    def commit(self, changes: Changes) -> None:
        with self._open():
            super()._check_versions(Changes(require=changes.require))
        time.sleep(INSTANT)
        super().commit(attrs.evolve(changes, require=()))


class ReadsThenCounts(MemoryStore):
    """
    Reads a counter, adds in the program, and writes the sum.
    """

    def commit(self, changes: Changes) -> None:
        before = self.counters(change.key for change in changes.counters)
        with self._open():
            self._check_ceilings(changes)
        time.sleep(INSTANT)
        super().commit(attrs.evolve(changes, counters=()))
        with self._open():
            self._counters.update({change.key: before[change.key] + change.delta for change in changes.counters})


class InsertsAfterLooking(MemoryStore):
    """
    Looks whether an index is free in one transaction and takes it in the next.
    """

    def commit(self, changes: Changes) -> None:
        new = list(changes.new)
        with self._open():
            self._check_uniqueness([card for card, _ in new], [entry for _, entry in new], changes)
        time.sleep(INSTANT)
        with self._open():
            self._apply([card for card, _ in new], [entry for _, entry in new], changes)


class LikeForEquality(SQLiteStore):
    """
    Searches for order numbers with LIKE.
    """

    def _read(self, sql: str, parameters: Sequence[Any]) -> Any:  # noqa: ANN401 - passed on
        return super()._read(sql.replace('"order_number" = ?', '"order_number" LIKE ?'), parameters)


class LosesTheLastPage(MemoryStore):
    """
    Takes a page that is not full for no page.
    """

    def cards(self, query: CardQuery) -> Sequence[CardRecord]:
        page = super().cards(query)

        return page if query.after is None or len(page) == query.limit else []


class RepeatsTheCursor(MemoryStore):
    """
    Begins a page with the last card of the page before.
    """

    def cards(self, query: CardQuery) -> Sequence[CardRecord]:
        page = super().cards(query)
        last = [card for card in self._cards.values() if query.position(card) == query.after]

        return [*last, *page][: query.limit] if page else page


class PagesByOffset(MemoryStore):
    """
    Counts how many cards were given, instead of where the last one stood.
    """

    def __init__(self) -> None:
        super().__init__()
        self._given: dict[tuple[str, bool, Position | None], int] = {}

    def cards(self, query: CardQuery) -> Sequence[CardRecord]:
        start = self._given.get((query.order, query.descending, query.after), 0)
        every = sorted(filter(query.matches, self._cards.values()), key=query.position, reverse=query.descending)
        page = every[start : start + query.limit]
        if page:
            self._given[query.order, query.descending, query.position(page[-1])] = start + len(page)

        return page


class SkipsTies(MemoryStore):
    """
    Goes on after the last credit or moment, and skips the other cards that have the same.
    """

    def cards(self, query: CardQuery) -> Sequence[CardRecord]:
        last = () if query.after is None else query.after[:1]

        return [card for card in super().cards(query) if query.position(card)[:1] != last]


class OrdersByAddress(MemoryStore):
    """
    Has an order of its own for cards that stand equal.
    """

    def cards(self, query: CardQuery) -> Sequence[CardRecord]:
        page = super().cards(query)

        return sorted(page, key=lambda card: (query.position(card)[0], card.index), reverse=query.descending)


class IgnoresExpired(MemoryStore):
    """
    Does not look at the expiry.
    """

    def count(self, query: CardQuery) -> int:
        return super().count(attrs.evolve(query, expired=None, credit_below=None, credit_at_least=None))


class IgnoresDescending(MemoryStore):
    """
    Knows one direction only.
    """

    def entries(self, query: EntryQuery) -> Sequence[EntryRecord]:
        plain = EntryQuery(order=query.order, after=query.after, limit=10_000)
        page = super().entries(plain)

        return [entry for entry in page if query.matches(entry)][: query.limit]


class KeepsStatementsOpen(SQLiteStore):
    """
    Gives the first page out while the statement goes on reading.
    """

    def cards(self, query: CardQuery) -> Sequence[CardRecord]:
        with self._file.reading() as connection:
            self._rest = connection.execute("SELECT id FROM cards")
            self._rest.fetchone()

        return super().cards(query)


class LikeForPrefix(SQLiteStore):
    """
    Lists documents with LIKE.
    """

    def documents(
        self, prefix: str, *, after: str = "", limit: int = 1000, expired_at: int | None = None
    ) -> Sequence[Document]:
        if expired_at is not None:
            return super().documents(prefix, after=after, limit=limit, expired_at=expired_at)
        sql = "SELECT key, value, version, expires_at FROM documents WHERE key LIKE ? AND key > ? ORDER BY key LIMIT ?"

        return [Document(*row) for row in self._read(sql, [f"{prefix}%", after, limit])]


class DoesNotWrap(MemoryStore):
    """
    Finds nothing after the last index.
    """

    def nearest(self, index: bytes) -> CardRecord | None:
        found = super().nearest(index)

        return found if found is not None and found.index >= index else None


class KnowsTheFirst(MemoryStore):
    """
    Asks for as many as fit into one statement.
    """

    def known(
        self, *, indexes: Iterable[bytes] = (), serials: Iterable[str] = (), operations: Iterable[bytes] = ()
    ) -> frozenset[bytes | str]:
        return super().known(
            indexes=itertools.islice(indexes, 50), serials=serials, operations=itertools.islice(operations, 999)
        )


class SumsIn64Bits(MemoryStore):
    """
    Lets sums overflow.
    """

    def totals(self, query: EntryQuery, by: Sequence[Grouping] = (), *, periods: Sequence[int] = ()) -> Sequence[Total]:
        totals = super().totals(query, by, periods=periods)

        return [total._replace(amount=(total.amount + 2**63) % 2**64 - 2**63) for total in totals]


class CountsUnlimitedAsAmount(MemoryStore):
    """
    Adds Unlimited up like any other number.
    """

    def totals(self, query: EntryQuery, by: Sequence[Grouping] = (), *, periods: Sequence[int] = ()) -> Sequence[Total]:
        totals = super().totals(query, by, periods=periods)

        return [total._replace(amount=total.amount + total.unlimited * MAX) for total in totals]


class SumsCallsIn64Bits(MemoryStore):
    """
    Has room for the sum of all amounts, but not for that of what was not taken.
    """

    def totals(self, query: EntryQuery, by: Sequence[Grouping] = (), *, periods: Sequence[int] = ()) -> Sequence[Total]:
        totals = super().totals(query, by, periods=periods)

        return [total._replace(shortfall=(total.shortfall + 2**63) % 2**64 - 2**63) for total in totals]


class LeavesOutShortfalls(MemoryStore):
    """
    Sums what it summed before there were calls.
    """

    def totals(self, query: EntryQuery, by: Sequence[Grouping] = (), *, periods: Sequence[int] = ()) -> Sequence[Total]:
        return [Total(*total[:4]) for total in super().totals(query, by, periods=periods)]


class TakesChargedForWhole(MemoryStore):
    """
    Gives the seconds that were charged for those that calls took.
    """

    def totals(self, query: EntryQuery, by: Sequence[Grouping] = (), *, periods: Sequence[int] = ()) -> Sequence[Total]:
        totals = super().totals(query, by, periods=periods)

        return [total._replace(seconds=total.charged_seconds) for total in totals]


class GivesNoSumForNone(MemoryStore):
    """
    Gives, as SQL does, no sum at all where no entry has a number.
    """

    def totals(self, query: EntryQuery, by: Sequence[Grouping] = (), *, periods: Sequence[int] = ()) -> Sequence[Total]:
        totals = super().totals(query, by, periods=periods)

        return [total._replace(shortfall=total.shortfall or None) for total in totals]  # type: ignore[arg-type]


class GivesDecimalSums(MemoryStore):
    """
    Gives sums as the driver does.
    """

    def totals(self, query: EntryQuery, by: Sequence[Grouping] = (), *, periods: Sequence[int] = ()) -> Sequence[Total]:
        totals = super().totals(query, by, periods=periods)

        return [total._replace(seconds=Decimal(total.seconds)) for total in totals]  # type: ignore[arg-type]


class _MovesStarts(MemoryStore):
    def totals(self, query: EntryQuery, by: Sequence[Grouping] = (), *, periods: Sequence[int] = ()) -> Sequence[Total]:
        with self._open():
            entries = [entry._replace(started_at=self._moved(entry)) for entry in self._matching(query)]
        rows = [
            [getattr(entry, name) for name in [*(MOMENTS.get(name, name) for name in by), *SUMMED]] for entry in entries
        ]

        return totaled(rows, by, periods)

    def _moved(self, entry: EntryRecord) -> int:
        raise NotImplementedError


class StartsWithTheEntry(_MovesStarts):
    """
    Takes for the start of a call when the entry was made.
    """

    def _moved(self, entry: EntryRecord) -> int:
        return entry.created_at


class StartsAtTheEpoch(_MovesStarts):
    """
    Takes no start for one at the moment 0.
    """

    def _moved(self, entry: EntryRecord) -> int:
        return entry.started_at or 0


class GroupsBeforeTheFirst(MemoryStore):
    """
    Gives entries without a call a period of their own, as MariaDB's function `interval` does.
    """

    def totals(self, query: EntryQuery, by: Sequence[Grouping] = (), *, periods: Sequence[int] = ()) -> Sequence[Total]:
        if "start" not in by or not periods:
            return super().totals(query, by, periods=periods)
        place = by.index("start")
        found = super().totals(query, by, periods=[-MAX - 1, *periods])

        return [
            total._replace(group=(*total.group[:place], int(total.group[place]) - 1, *total.group[place + 1 :]))
            for total in found
        ]


class FiltersAfterLimit(MemoryStore):
    """
    Reads as many cards as a page has and gives those of them that match, if there are any.
    """

    def cards(self, query: CardQuery) -> Sequence[CardRecord]:
        page = CardQuery(order=query.order, descending=query.descending, after=query.after, limit=query.limit)
        while read := super().cards(page):
            if matching := [card for card in read if query.matches(card)]:
                return matching
            page = attrs.evolve(page, after=query.position(read[-1]))

        return []


class CapsCards(MemoryStore):
    """
    Gives no more than a server's highest page size.
    """

    def cards(self, query: CardQuery) -> Sequence[CardRecord]:
        return super().cards(query)[:1000]


class CapsEntries(MemoryStore):
    """
    Does the same with entries.
    """

    def entries(self, query: EntryQuery) -> Sequence[EntryRecord]:
        return super().entries(query)[:5000]


class CapsDocuments(MemoryStore):
    """
    Does the same with documents.
    """

    def documents(
        self, prefix: str, *, after: str = "", limit: int = 1000, expired_at: int | None = None
    ) -> Sequence[Document]:
        return super().documents(prefix, after=after, limit=min(limit, 1000), expired_at=expired_at)


class CapsAudit(MemoryStore):
    """
    Does the same with the audit trail.
    """

    def audit(self, *, after: bytes = b"", limit: int = 1000) -> Sequence[AuditRecord]:
        return super().audit(after=after, limit=min(limit, 1000))


class FindsByOldIndex(MemoryStore):
    """
    Adds the new index of a card to those that it had before.
    """

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        before = [self._cards[card.id] for card, _ in changes.replace]
        super()._apply(cards, entries, changes)
        for old in before:
            self._id_by_index.setdefault(old.index, old.id)


class FindsByOldSerial(MemoryStore):
    """
    Does the same with serials.
    """

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        before = [self._cards[card.id] for card, _ in changes.replace]
        super()._apply(cards, entries, changes)
        for old in before:
            self._id_by_serial.setdefault(old.serial, old.id)


class KeepsOldIndexTaken(MemoryStore):
    """
    Lets nobody have an index that a card had once, although it finds no card by it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._had: set[bytes] = set()

    def _check_uniqueness(self, cards: Sequence[CardRecord], entries: Sequence[EntryRecord], changes: Changes) -> None:
        super()._check_uniqueness(cards, entries, changes)
        if again := self._had.intersection(card.index for card in cards):
            raise DuplicateError(indexes=frozenset(again))

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        self._had |= {self._cards[card.id].index for card, _ in changes.replace} - {c.index for c, _ in changes.replace}
        super()._apply(cards, entries, changes)


class KnowsTheRemoved(MemoryStore):
    """
    Says of the index of a removed card that it exists.
    """

    def __init__(self) -> None:
        super().__init__()
        self._removed: set[bytes] = set()

    def known(
        self, *, indexes: Iterable[bytes] = (), serials: Iterable[str] = (), operations: Iterable[bytes] = ()
    ) -> frozenset[bytes | str]:
        every = list(indexes)

        return super().known(indexes=every, serials=serials, operations=operations) | self._removed.intersection(every)

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        self._removed |= {self._cards[id].index for id, _ in changes.remove}
        super()._apply(cards, entries, changes)


class RequiresAfterwards(MemoryStore):
    """
    Compares what is required with what the commit has written.
    """

    def commit(self, changes: Changes) -> None:
        written = {document.key: document.version for document, _ in changes.documents}
        require = [(key, version) for key, version in changes.require if written.get(key) != version]
        super().commit(attrs.evolve(changes, require=require))


class _Alters(MemoryStore):
    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        super()._apply(map(self._altered, cards), entries, changes)

    def _altered(self, card: CardRecord) -> CardRecord:
        return card


class _AltersEntries(MemoryStore):
    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        super()._apply(cards, map(self._altered, entries), changes)

    def _altered(self, entry: EntryRecord) -> EntryRecord:
        return entry


class ForgetsShortfalls(_AltersEntries):
    """
    Has no column for what was not taken.
    """

    def _altered(self, entry: EntryRecord) -> EntryRecord:
        return entry._replace(shortfall=None)


class TakesNoShortfallForZero(_AltersEntries):
    """
    Has a column that cannot be empty.
    """

    def _altered(self, entry: EntryRecord) -> EntryRecord:
        return entry._replace(shortfall=entry.shortfall or 0)


class CutsShortfalls(_AltersEntries):
    """
    Has 32 bits for it.
    """

    def _altered(self, entry: EntryRecord) -> EntryRecord:
        return entry._replace(shortfall=entry.shortfall and min(entry.shortfall, 2**31 - 1))


class TruncatesMicroseconds(_Alters):
    """
    Keeps milliseconds, as many databases do.
    """

    def _altered(self, card: CardRecord) -> CardRecord:
        return card._replace(created_at=card.created_at // 1000 * 1000)


class StoresUnlimitedAsZero(_Alters):
    """
    Has no other number for Unlimited.
    """

    def _altered(self, card: CardRecord) -> CardRecord:
        return card._replace(credit=0 if card.credit == MAX else card.credit)


class NormalizesText(_Alters):
    """
    Writes accents another way.
    """

    def _altered(self, card: CardRecord) -> CardRecord:
        return card._replace(order_number=unicodedata.normalize("NFC", card.order_number))


class TakesEmptyForNothing(_Alters):
    """
    Keeps no empty bytes.
    """

    def _altered(self, card: CardRecord) -> CardRecord:
        return card._replace(pin_mac=card.pin_mac or None)  # type: ignore[arg-type]


class LosesNonCharacters(_Alters):
    """
    Puts a replacement in the place of what is no character.
    """

    def _altered(self, card: CardRecord) -> CardRecord:
        return card._replace(labels=card.labels.replace("\uffff", "\ufffd"))


class DropsByteOrderMarks(_Alters):
    """
    Takes the first character for the mark of an encoding.
    """

    def _altered(self, card: CardRecord) -> CardRecord:
        return card._replace(order_number=card.order_number.removeprefix("\ufeff"))


class CutsLabels(_Alters):
    """
    Has 64 KiB for a text.
    """

    def _altered(self, card: CardRecord) -> CardRecord:
        return card._replace(labels=card.labels.encode()[:65_535].decode(errors="ignore"))


class CutsHolds(MemoryStore):
    """
    Has 64 KiB for bytes, where a card is replaced.
    """

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        replace = [(card._replace(holds=card.holds[:65_535]), expected) for card, expected in changes.replace]
        super()._apply(cards, entries, attrs.evolve(changes, replace=replace))


class CutsDetail(MemoryStore):
    """
    Has 64 KiB for what the audit trail says.
    """

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        audit = [record._replace(detail=record.detail[:65_535]) for record in changes.audit]
        super()._apply(cards, entries, attrs.evolve(changes, audit=audit))


class CutsDocuments(MemoryStore):
    """
    Has 1 MiB for a document.
    """

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        documents = [(each._replace(value=each.value[: 2**20]), expected) for each, expected in changes.documents]
        super()._apply(cards, entries, attrs.evolve(changes, documents=documents))


class CountsBytes(MemoryStore):
    """
    Has 255 bytes where 255 characters are promised.
    """

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        cut = [entry._replace(actor=entry.actor.encode()[:255].decode(errors="ignore")) for entry in entries]
        super()._apply(cards, cut, changes)


class KeepsOldFields(MemoryStore):
    """
    Writes of a card that is replaced only what changes in everyday use.
    """

    kept: ClassVar[Sequence[str]] = ("labels", "expires_at", "kind", "key")

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        replace = [
            (card._replace(**{name: getattr(self._cards[card.id], name) for name in self.kept}), expected)
            for card, expected in changes.replace
        ]
        super()._apply(cards, entries, attrs.evolve(changes, replace=replace))


class KeepsOldExpiry(MemoryStore):
    """
    Writes of a document that is changed only the value and the version.
    """

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        documents = [
            (each._replace(expires_at=self._documents.get(each.key, each).expires_at), expected)
            for each, expected in changes.documents
        ]
        super()._apply(cards, entries, attrs.evolve(changes, documents=documents))


class KeepsExpiryForNone(MemoryStore):
    """
    Takes an expiry of None for one that is not to be changed.
    """

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        documents = [
            (each._replace(expires_at=self._documents.get(each.key, each).expires_at), expected)
            if each.expires_at is None
            else (each, expected)
            for each, expected in changes.documents
        ]
        super()._apply(cards, entries, attrs.evolve(changes, documents=documents))


class HidesExpired(MemoryStore):
    """
    Gives no document that has expired, although it lists it.
    """

    def document(self, key: str) -> Document | None:
        found = super().document(key)
        expired = found is not None and found.expires_at is not None and found.expires_at <= time.time() * 1_000_000

        return None if expired else found


class GivesOneForTrue(MemoryStore):
    """
    Has no type for what is true or false, and forgets about it where one card is found.
    """

    def find(
        self, *, id: bytes | None = None, serial: str | None = None, index: bytes | None = None
    ) -> CardRecord | None:
        found = super().find(id=id, serial=serial, index=index)

        return found and found._replace(enabled=int(found.enabled))  # type: ignore[arg-type]


class GivesOneForTrueInPages(MemoryStore):
    """
    Forgets about it in pages instead.
    """

    def cards(self, query: CardQuery) -> Sequence[CardRecord]:
        return [card._replace(enabled=int(card.enabled)) for card in super().cards(query)]  # type: ignore[arg-type]


class GivesFloatSeconds(MemoryStore):
    """
    Has numbers of another type in the ledger.
    """

    def entries(self, query: EntryQuery) -> Sequence[EntryRecord]:
        return [
            entry if entry.seconds is None else entry._replace(seconds=float(entry.seconds))  # type: ignore[arg-type]
            for entry in super().entries(query)
        ]


class GivesFloatCounters(MemoryStore):
    """
    Reads counters as the floats that a sum was made in.
    """

    def counters(self, keys: Iterable[str]) -> Mapping[str, int]:
        return {key: float(value) for key, value in super().counters(keys).items()}  # type: ignore[misc]


class MovesInFloats(MemoryStore):
    """
    Gives a counter as an integer until it is moved again.
    """

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        again = [change.key for change in changes.counters if change.key in self._counters]
        super()._apply(cards, entries, changes)
        self._counters.update({key: float(self._counters[key]) for key in again})  # type: ignore[misc]


class FoldsCase(SQLiteStore):
    """
    Compares order numbers as a collation does that ignores case.
    """

    def _read(self, sql: str, parameters: Sequence[Any]) -> Any:  # noqa: ANN401 - passed on
        return super()._read(sql.replace('"order_number" = ?', '"order_number" = ? COLLATE NOCASE'), parameters)


class PadsSpaces(SQLiteStore):
    """
    Compares order numbers as if the shorter one were filled up with spaces.
    """

    def _read(self, sql: str, parameters: Sequence[Any]) -> Any:  # noqa: ANN401 - passed on
        return super()._read(sql.replace('"order_number" = ?', '"order_number" = ? COLLATE RTRIM'), parameters)


class FoldsKeys(MemoryStore):
    """
    Reads documents by keys that ignore case.
    """

    def document(self, key: str) -> Document | None:
        alike = [other for other in self._documents if other.casefold() == key.casefold()]

        return super().document(alike[0] if alike else key)


class PadsKeys(MemoryStore):
    """
    Takes keys with and without spaces at the end for the same.
    """

    def _document_version(self, key: str) -> int:
        return max((d.version for d in self._documents.values() if d.key.rstrip() == key.rstrip()), default=0)


class FoldsCounters(MemoryStore):
    """
    Reads counters by keys that ignore spaces.
    """

    def counters(self, keys: Iterable[str]) -> Mapping[str, int]:
        every = list(keys)
        found = super().counters(key.strip() for key in every)

        return {key: found[key.strip()] for key in every}


class RemovesHistory(MemoryStore):
    """
    Removes the entries with their card.
    """

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        super()._apply(cards, entries, changes)
        for id, _ in changes.remove:
            self._entries.pop(id, None)


class RewritesHistory(MemoryStore):
    """
    Writes entries over those that are there.
    """

    def commit(self, changes: Changes) -> None:
        with suppress(DuplicateError):
            super().commit(changes)
            return
        for entry in changes.entries:
            self._entries[entry.card][entry.sequence] = entry


class LeaksErrors(MemoryStore):
    """
    Lets out what its driver says.
    """

    def document(self, key: str) -> Document | None:
        return super().document(key.encode().decode())


class AnswersWhenClosed(MemoryStore):
    """
    Goes on after it was closed.
    """

    def close(self) -> None:
        pass


class IsNeverSure(MemoryStore):
    """
    Says of each refusal that it may have been applied.
    """

    def commit(self, changes: Changes) -> None:
        try:
            super().commit(changes)
        except StoreError as error:
            raise attrs.evolve(error, maybe_applied=True) from None


class DefersBegin(SQLiteStore):
    """
    Takes the write lock when it has read already: then others may have been faster, and it is refused at once.
    """

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._file.begin = "BEGIN"


class KeepsEverythingInMemory(SQLiteStore):
    """
    Makes a list of what could be streamed.
    """

    def commit(self, changes: Changes) -> None:
        super().commit(attrs.evolve(changes, new=list(changes.new)))


class StopsEverybody(MemoryStore):
    """
    Holds the lock while very many cards are made.
    """

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        every = list(cards)
        time.sleep(len(every) / 4000)
        super()._apply(every, entries, changes)


class ForgetsInBulk(MemoryStore):
    """
    Looks up at most as many cards as a statement has parameters.
    """

    def find_many(self, *, ids: Iterable[bytes] = (), serials: Iterable[str] = ()) -> Sequence[CardRecord]:
        return super().find_many(ids=itertools.islice(ids, 999), serials=itertools.islice(serials, 999))


class PurgesTooEarly(MemoryStore):
    """
    Gives what expires a microsecond later for what has expired.
    """

    def documents(
        self, prefix: str, *, after: str = "", limit: int = 1000, expired_at: int | None = None
    ) -> Sequence[Document]:
        moment = None if expired_at is None else expired_at + 1

        return super().documents(prefix, after=after, limit=limit, expired_at=moment)


class PurgesTooLate(MemoryStore):
    """
    Keeps what expires at the very moment.
    """

    def documents(
        self, prefix: str, *, after: str = "", limit: int = 1000, expired_at: int | None = None
    ) -> Sequence[Document]:
        moment = None if expired_at is None else expired_at - 1

        return super().documents(prefix, after=after, limit=limit, expired_at=moment)


class PurgesWhatStays(SQLiteStore):
    """
    Takes a document without an expiry for one that expired long ago.
    """

    def _read(self, sql: str, parameters: Sequence[Any]) -> Any:  # noqa: ANN401 - passed on
        sql = sql.replace(" INDEXED BY documents_by_expiry", "")

        return super()._read(sql.replace("expires_at <= ?", "coalesce(expires_at, 0) <= ?"), parameters)


class PurgesByOldExpiry(MemoryStore):
    """
    Looks for what has expired in an index that it makes with the document.
    """

    def __init__(self) -> None:
        super().__init__()
        self._expiries: dict[str, int | None] = {}

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        super()._apply(cards, entries, changes)
        for document, _ in changes.documents:
            self._expiries.setdefault(document.key, document.expires_at)

    def documents(
        self, prefix: str, *, after: str = "", limit: int = 1000, expired_at: int | None = None
    ) -> Sequence[Document]:
        if expired_at is None:
            return super().documents(prefix, after=after, limit=limit)
        kept = super().documents(prefix, after=after, limit=10_000)
        moments = {document.key: self._expiries[document.key] for document in kept}
        expired = {key for key, moment in moments.items() if moment is not None and moment <= expired_at}

        return [document for document in kept if document.key in expired][:limit]


class FiltersExpiredAfterLimit(MemoryStore):
    """
    Reads as many documents as a page has and gives those of them that have expired.
    """

    def documents(
        self, prefix: str, *, after: str = "", limit: int = 1000, expired_at: int | None = None
    ) -> Sequence[Document]:
        page = super().documents(prefix, after=after, limit=limit)

        return page if expired_at is None else [d for d in page if d.expires_at and d.expires_at <= expired_at]


class HoldsExpireTooEarly(MemoryStore):
    """
    Gives cards of which a hold runs out a microsecond later.
    """

    def cards(self, query: CardQuery) -> Sequence[CardRecord]:
        moment = query.hold_expired_at

        return super().cards(attrs.evolve(query, hold_expired_at=None if moment is None else moment + 1))


class HoldsExpireTooLate(MemoryStore):
    """
    Keeps a hold that runs out at the very moment.
    """

    def cards(self, query: CardQuery) -> Sequence[CardRecord]:
        moment = query.hold_expired_at

        return super().cards(attrs.evolve(query, hold_expired_at=None if moment is None else moment - 1))


class TakesNoHoldForExpired(SQLiteStore):
    """
    Takes a card without holds for one with a hold that ran out long ago.
    """

    def _read(self, sql: str, parameters: Sequence[Any]) -> Any:  # noqa: ANN401 - passed on
        sql = sql.replace(" INDEXED BY cards_by_hold_expiry", "")

        return super()._read(sql.replace("next_hold_expiry <= ?", "coalesce(next_hold_expiry, 0) <= ?"), parameters)


class CountsEveryHold(MemoryStore):
    """
    Counts cards whether their holds have run out or not.
    """

    def count(self, query: CardQuery) -> int:
        return super().count(attrs.evolve(query, hold_expired_at=None))


class FindsHoldsByOldExpiry(MemoryStore):
    """
    Looks for expired holds in an index that it makes with the first hold of a card.
    """

    def __init__(self) -> None:
        super().__init__()
        self._expiries: dict[bytes, int] = {}

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        new = list(cards)
        super()._apply(new, entries, changes)
        for card in [*new, *(card for card, _ in changes.replace)]:
            if card.next_hold_expiry is not None:
                self._expiries.setdefault(card.id, card.next_hold_expiry)

    def cards(self, query: CardQuery) -> Sequence[CardRecord]:
        moment = query.hold_expired_at
        if moment is None:
            return super().cards(query)
        found = super().cards(attrs.evolve(query, hold_expired_at=None, limit=10_000))
        moments = {card.id: self._expiries[card.id] for card in found if card.id in self._expiries}

        return [card for card in found if moments.get(card.id, moment + 1) <= moment][: query.limit]


class StartsBeforeAnything(MemoryStore):
    """
    Takes an entry without a call for one whose call began before everything.
    """

    def _matching(self, query: EntryQuery) -> Iterator[EntryRecord]:
        begun = attrs.evolve(query, started_before=None)

        return (each for each in super()._matching(begun) if each.started_at is None or query.matches(each))


class StartsAfterAnything(MemoryStore):
    """
    Takes an entry without a call for one whose call is still to begin.
    """

    def _matching(self, query: EntryQuery) -> Iterator[EntryRecord]:
        begun = attrs.evolve(query, started_from=None)

        return (each for each in super()._matching(begun) if each.started_at is None or query.matches(each))


class IncludesTheEnd(MemoryStore):
    """
    Gives calls that began at the first moment that no longer matches.
    """

    def _matching(self, query: EntryQuery) -> Iterator[EntryRecord]:
        end = query.started_before

        return super()._matching(attrs.evolve(query, started_before=None if end is None else min(end + 1, MAX)))


class ForgetsWhateverIsThere(MemoryStore):
    """
    Removes a document without a look at its version.
    """

    def commit(self, changes: Changes) -> None:
        forget = [(key, version and (self._document_version(key) or version)) for key, version in changes.forget]
        super().commit(attrs.evolve(changes, forget=forget))


class ForgetsWhatIsNotThere(MemoryStore):
    """
    Takes a document that is to be forgotten and is not there for done.
    """

    def commit(self, changes: Changes) -> None:
        there = [(key, version) for key, version in changes.forget if key in self._documents]
        super().commit(attrs.evolve(changes, forget=there))


class ForgetsAndPuts(MemoryStore):
    """
    Removes a document and makes it anew in one commit.
    """

    def commit(self, changes: Changes) -> None:
        put = {document.key for document, _ in changes.documents}
        super().commit(attrs.evolve(changes, forget=[each for each in changes.forget if each[0] not in put]))


class ForgetsNothing(MemoryStore):
    """
    Leaves the document where it is.
    """

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        super()._apply(cards, entries, attrs.evolve(changes, forget=()))


class LeavesEmptyDocuments(MemoryStore):
    """
    Makes a document empty instead of removing it.
    """

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        emptied = [(Document(key, b"", version + 1), version) for key, version in changes.forget]
        documents = [*changes.documents, *emptied]
        super()._apply(cards, entries, attrs.evolve(changes, forget=(), documents=documents))


class KeepsForgottenKeysTaken(MemoryStore):
    """
    Gives a key that was forgotten a version all the same, as a tombstone has.
    """

    def __init__(self) -> None:
        super().__init__()
        self._versions: dict[str, int] = {}

    def _document_version(self, key: str) -> int:
        return super()._document_version(key) or self._versions.get(key, 0)

    def _apply(self, cards: Iterable[CardRecord], entries: Iterable[EntryRecord], changes: Changes) -> None:
        super()._apply(cards, entries, changes)
        self._versions.update({key: version + 1 for key, version in changes.forget})


class ForgetsDocumentsInBulk(MemoryStore):
    """
    Does the same with documents.
    """

    def find_documents(self, keys: Iterable[str]) -> Sequence[Document]:
        return super().find_documents(itertools.islice(keys, 999))


class LosesOneDocument(MemoryStore):
    """
    Takes the last of the rows that it reads for the end.
    """

    def find_documents(self, keys: Iterable[str]) -> Sequence[Document]:
        found = super().find_documents(keys)

        return found[:-1] if len(found) > 1 else found


class HidesExpiredInBulk(MemoryStore):
    """
    Gives no document that has expired where many are asked for.
    """

    def find_documents(self, keys: Iterable[str]) -> Sequence[Document]:
        now = time.time() * 1_000_000

        return [each for each in super().find_documents(keys) if each.expires_at is None or each.expires_at > now]


class GivesOneForTrueInBulk(MemoryStore):
    """
    Forgets about what is true or false where many cards are found.
    """

    def find_many(self, *, ids: Iterable[bytes] = (), serials: Iterable[str] = ()) -> Sequence[CardRecord]:
        found = super().find_many(ids=ids, serials=serials)

        return [card._replace(enabled=int(card.enabled)) for card in found]  # type: ignore[arg-type]


class OrdersCodesByAge(MemoryStore):
    """
    Gives sealed codes in the order that it keeps them in.
    """

    def sealed_codes(self, query: CardQuery) -> Sequence[SealedCode]:
        return super().sealed_codes(attrs.evolve(query, order="created"))


class BeginsCodesAnew(MemoryStore):
    """
    Gives the first page of sealed codes again and again.
    """

    def sealed_codes(self, query: CardQuery) -> Sequence[SealedCode]:
        return super().sealed_codes(attrs.evolve(query, after=None))


class AcceptsTogether(SQLiteStore):
    """
    Commits together what comes together, and answers that all of it was accepted.
    """

    def _commit_in_steps(self, commits: Sequence[Any]) -> Sequence[Exception | None]:
        return [None for _ in super()._commit_in_steps(commits)]


class RefusesTogether(SQLiteStore):
    """
    Refuses all that comes together where one is refused.
    """

    def _commit_in_steps(self, commits: Sequence[Any]) -> Sequence[Exception | None]:
        answers = super()._commit_in_steps(commits)
        refusal = next(filter(None, answers), None)

        return [refusal for _ in answers]


REJECTED_BY: Final[Mapping[type[MemoryStore | SQLiteStore], str]] = {
    LacksMethods: "test_it_is_a_store",
    AppliesInParts: "test_law_1_a_refused_commit_changes_nothing",
    BlamesItself: "test_law_1_a_caller_that_fails_changes_nothing",
    RemembersCards: "test_law_1_every_handle_sees_a_commit",
    AcknowledgesEarly: "test_law_1_a_commit_survives_kill",
    CommitsEachTable: "test_law_1_a_commit_survives_kill",
    IgnoresWhatIsAbsent: "test_law_3_what_has_to_be_absent_stays_so",
    CountsVersions: "test_law_5_extremes_come_back_equal",
    IgnoresVersions: "test_law_2_all_stale_versions_are_named",
    TakesMissingForNew: "test_law_2_a_missing_card_is_stale",
    RemovesNothing: "test_law_2_a_missing_card_is_stale",
    NamesOneStaleCard: "test_law_2_all_stale_versions_are_named",
    NamesOneDuplicate: "test_law_2_all_duplicates_are_named",
    OverlooksRepeats: "test_law_2_repeats_within_a_commit_are_named",
    ChecksCeilingsFirst: "test_law_2_the_first_class_is_raised",
    IgnoresCeilings: "test_law_2_ceilings_hold",
    ForgetsOperations: "test_law_2_operations_stay_taken",
    RepeatsOperations: "test_law_2_all_duplicates_are_named",
    FindsByOldIndex: "test_law_2_what_a_card_left_is_free",
    FindsByOldSerial: "test_law_2_what_a_card_left_is_free",
    KeepsOldIndexTaken: "test_law_2_what_a_card_left_is_free",
    KnowsTheRemoved: "test_law_2_what_a_card_left_is_free",
    RequiresAfterwards: "test_law_2_what_is_required_was_there_before",
    ForgetsWhateverIsThere: "test_law_2_only_what_is_as_expected_is_forgotten",
    ForgetsWhatIsNotThere: "test_law_2_only_what_is_as_expected_is_forgotten",
    ForgetsAndPuts: "test_law_2_only_what_is_as_expected_is_forgotten",
    ForgetsNothing: "test_law_2_what_is_forgotten_is_absent",
    LeavesEmptyDocuments: "test_law_2_what_is_forgotten_is_absent",
    KeepsForgottenKeysTaken: "test_law_2_what_is_forgotten_is_absent",
    ChecksThenWrites: "test_law_3_no_recharge_is_lost",
    ReadsThenCounts: "test_law_3_a_ceiling_is_reached_exactly",
    InsertsAfterLooking: "test_law_3_only_one_is_first",
    AcceptsTogether: "test_law_3_threads_share_a_handle",
    RefusesTogether: "test_law_3_threads_share_a_handle",
    RequiresTooEarly: "test_law_3_what_is_required_stays",
    ForgetsTooLate: "test_law_3_only_one_forgets",
    LikeForEquality: "test_law_4_cards_are_those_that_match",
    LosesTheLastPage: "test_law_4_cards_are_those_that_match",
    RepeatsTheCursor: "test_law_4_cards_are_those_that_match",
    SkipsTies: "test_law_4_cards_are_those_that_match",
    OrdersByAddress: "test_law_4_cards_are_those_that_match",
    IgnoresExpired: "test_law_4_cards_are_those_that_match",
    IgnoresDescending: "test_law_4_entries_are_those_that_match",
    FiltersAfterLimit: "test_law_4_cards_are_those_that_match",
    CapsCards: "test_law_4_pages_are_full",
    CapsEntries: "test_law_4_pages_are_full",
    CapsDocuments: "test_law_4_pages_are_full",
    CapsAudit: "test_law_4_pages_are_full",
    PagesByOffset: "test_law_4_paging_is_stable",
    KeepsStatementsOpen: "test_law_4_nothing_stays_open_between_pages",
    TruncatesMicroseconds: "test_law_5_extremes_come_back_equal",
    StoresUnlimitedAsZero: "test_law_5_extremes_come_back_equal",
    ForgetsShortfalls: "test_law_5_extremes_come_back_equal",
    TakesNoShortfallForZero: "test_law_5_extremes_come_back_equal",
    CutsShortfalls: "test_law_5_extremes_come_back_equal",
    NormalizesText: "test_law_5_extremes_come_back_equal",
    TakesEmptyForNothing: "test_law_5_extremes_come_back_equal",
    CutsLabels: "test_law_5_the_longest_comes_back_equal",
    CutsHolds: "test_law_5_the_longest_comes_back_equal",
    CutsDetail: "test_law_5_the_longest_comes_back_equal",
    CutsDocuments: "test_law_5_the_longest_comes_back_equal",
    CountsBytes: "test_law_5_the_longest_comes_back_equal",
    LosesNonCharacters: "test_law_5_every_character_comes_back_equal",
    DropsByteOrderMarks: "test_law_5_every_character_comes_back_equal",
    KeepsOldFields: "test_law_5_a_replaced_card_comes_back_equal",
    KeepsOldExpiry: "test_law_5_a_changed_document_comes_back_equal",
    KeepsExpiryForNone: "test_law_5_a_changed_document_comes_back_equal",
    GivesOneForTrue: "test_law_5_extremes_come_back_equal",
    GivesOneForTrueInPages: "test_law_5_extremes_come_back_equal",
    GivesFloatSeconds: "test_law_5_extremes_come_back_equal",
    FoldsCase: "test_law_5_texts_that_look_alike_are_different",
    PadsSpaces: "test_law_5_texts_that_look_alike_are_different",
    FoldsKeys: "test_law_5_texts_that_look_alike_are_different",
    PadsKeys: "test_law_5_texts_that_look_alike_are_different",
    FoldsCounters: "test_law_5_texts_that_look_alike_are_different",
    RemovesHistory: "test_law_6_history_stays",
    RewritesHistory: "test_law_6_history_stays",
    LeaksErrors: "test_law_7_no_question_brings_down_the_driver",
    AnswersWhenClosed: "test_law_7_a_closed_store_says_so",
    IsNeverSure: "test_law_8_a_refusal_is_certain",
    CommitsInBatches: "test_law_9_very_many_cards_are_refused_whole",
    DefersBegin: "test_law_9_very_many_cards_commit_at_once",
    KeepsEverythingInMemory: "test_law_9_very_many_cards_take_bounded_memory",
    StopsEverybody: "test_law_9_very_many_cards_commit_at_once",
    ForgetsInBulk: "test_find_many",
    GivesOneForTrueInBulk: "test_find_many",
    OrdersCodesByAge: "test_sealed_codes",
    BeginsCodesAnew: "test_sealed_codes",
    DoesNotWrap: "test_nearest",
    KnowsTheFirst: "test_known",
    HoldsExpireTooEarly: "test_law_4_cards_are_those_that_match",
    HoldsExpireTooLate: "test_expired_holds",
    TakesNoHoldForExpired: "test_law_4_cards_are_those_that_match",
    CountsEveryHold: "test_law_4_cards_are_those_that_match",
    FindsHoldsByOldExpiry: "test_expired_holds",
    StartsBeforeAnything: "test_law_4_entries_are_those_that_match",
    StartsAfterAnything: "test_law_4_entries_are_those_that_match",
    IncludesTheEnd: "test_law_4_entries_are_those_that_match",
    SumsIn64Bits: "test_totals",
    SumsCallsIn64Bits: "test_totals",
    LeavesOutShortfalls: "test_totals",
    TakesChargedForWhole: "test_totals",
    GivesNoSumForNone: "test_totals",
    GivesDecimalSums: "test_totals",
    StartsWithTheEntry: "test_totals",
    StartsAtTheEpoch: "test_totals",
    GroupsBeforeTheFirst: "test_totals",
    CountsUnlimitedAsAmount: "test_totals",
    LikeForPrefix: "test_documents",
    ForgetsDocumentsInBulk: "test_find_documents",
    PurgesTooEarly: "test_expired_documents",
    PurgesTooLate: "test_expired_documents",
    PurgesWhatStays: "test_expired_documents",
    PurgesByOldExpiry: "test_expired_documents",
    FiltersExpiredAfterLimit: "test_expired_documents",
    LosesOneDocument: "test_find_documents",
    HidesExpiredInBulk: "test_find_documents",
    HidesExpired: "test_document_expired_or_not",
    GivesFloatCounters: "test_counters",
    MovesInFloats: "test_counters",
}
"""Which test of the kit rejects which store."""


def kit(store: type[MemoryStore | SQLiteStore]) -> OnMemory | OnSQLite:
    """
    Give the kit for a store.
    """
    return OnMemory(store) if issubclass(store, MemoryStore) else OnSQLite(store)
