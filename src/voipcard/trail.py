"""
The audit trail as it is written: chains of entries, and heads that say how long each is and what went through it.

One chain would let every write of a book wait for every other. So there are 256 lanes, each with a chain of its own and
a head that is written in the same commit. A thread takes a lane that no other one has, and most often the same again.
"""

from __future__ import annotations

import itertools
import json
import logging
import operator
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Sized
from datetime import datetime
from typing import Any, Final, NamedTuple, TypeAlias

import attrs

from voipcard.core.moments import from_micros
from voipcard.errors import CeilingError, DuplicateError, StaleError, StoreError, TamperedError
from voipcard.names import BOOK, GUESSES, NEWEST_LICENSE, TRAIL
from voipcard.records import NO_CHAIN, Records
from voipcard.stores.contract import AuditRecord, Changes, Document, Store

__all__ = [
    "LANES",
    "AuditEntry",
    "Head",
    "Hook",
    "Hooks",
    "Tally",
    "Trail",
    "all_heads",
    "before_link",
    "beginning",
    "heads_of",
    "is_tallied",
    "lane_of",
]

LANES: Final = 256
"""How many chains there are."""

_OWN: Final = 128
"""
How many of them are for commits of their own. The others are for transactions of callers, which may stay open for long:
nobody else has to wait for the head of a lane that such a transaction has written.
"""

_RANDOM: Final = 6
"""How many bytes of an entry's id are random, behind its lane and its number there."""

_ATTEMPTS: Final = 50
"""How many lanes are tried where other processes are faster on each."""

_LONGEST_PAUSE: Final = 0.01

_OF_NO_ACCOUNT: Final = (TRAIL, GUESSES)
"""What begins the keys of documents that the tallies leave out: the heads themselves, and what expires."""


@attrs.frozen
class AuditEntry:
    """
    Something that was done to the book.

    Attributes:
        created_at: When, in UTC.
        actor: Who did it; empty if nobody said.
        verb: What was done.
        extension: The extension it was done to; empty for the book as a whole.
        detail: The rest: serials, counts, what was before and after; never a secret.
        id: 16 bytes that no other entry of the book has.
    """

    created_at: datetime
    actor: str
    verb: str
    extension: str
    detail: Mapping[str, Any]
    id: bytes = attrs.field(repr=False)

    @classmethod
    def of(cls, record: AuditRecord) -> AuditEntry:
        """
        Give the entry that a record keeps.
        """
        detail = json.loads(record.detail)

        return cls(from_micros(record.created_at), record.actor, record.verb, record.extension, detail, record.id)


Hook: TypeAlias = Callable[[AuditEntry], object]
"""What is called with an audit entry after it was committed."""


class Hooks:
    """
    What is called after a commit, by everybody who has the book open in this process.
    """

    def __init__(self) -> None:
        self._hooks: tuple[Hook, ...] = ()

    def __bool__(self) -> bool:
        return bool(self._hooks)

    def add(self, hook: Hook) -> None:
        """
        Call *hook* from now on.
        """
        self._hooks = (*self._hooks, hook)

    def tell(self, records: Iterable[AuditRecord]) -> None:
        """
        Call all of them with each entry. What they raise is logged: the commit cannot be taken back.
        """
        for record, hook in itertools.product(records, self._hooks):
            try:
                hook(AuditEntry.of(record))
            except Exception as error:  # noqa: BLE001 - whatever somebody's code raises
                # Neither its text nor its trace, which may have what the hook looked up.
                logging.getLogger("voipcard").warning(
                    "a hook failed after %s was committed: %s", record.verb, type(error).__name__
                )


class Tally(NamedTuple):
    """
    What was committed through a lane, or through several: only ever more.

    Attributes:
        cards: How many cards were made.
        versions: How many versions of cards were written, the first ones among them.
        entries: How many ledger entries were written.
        documents: How many versions of documents were written, without heads and what expires.
        forgotten: How many of these versions were of documents that were taken away.
    """

    cards: int = 0
    versions: int = 0
    entries: int = 0
    documents: int = 0
    forgotten: int = 0

    @classmethod
    def of(cls, changes: Changes) -> Tally:
        """
        Count what a commit changes.
        """
        new = changes.new
        made = len(new) if isinstance(new, Sized) else sum(1 for _ in new)

        return cls(
            made,
            made + sum([card.version - version for card, version in changes.replace]),
            made + len(changes.entries),
            sum([document.version - version for document, version in changes.documents if is_tallied(document.key)]),
            sum([version for key, version in changes.forget if is_tallied(key)]),
        )

    def plus(self, other: Tally) -> Tally:
        """
        Add up what was committed at two times, or through two lanes.
        """
        return Tally._make(map(operator.add, self, other))


_NOTHING: Final = Tally()


@attrs.frozen
class Head:
    """
    What a lane is known by.

    Attributes:
        lane: Its number, from 0.
        version: The version of the document that keeps this.
        count: How many audit entries the lane has.
        mac: The MAC of the newest one; empty if there is none.
        seen_at: The newest moment that any of them has; 0 if there is none.
        tally: What was committed through it.
        licensed_at: When the newest license was signed that was known to who wrote this; 0 if none was.
    """

    lane: int
    version: int = 0
    count: int = 0
    mac: bytes = NO_CHAIN
    seen_at: int = 0
    tally: Tally = _NOTHING
    licensed_at: int = 0

    @property
    def key(self) -> str:
        """
        The key of the document.
        """
        return f"{TRAIL}{self.lane:02x}"

    @classmethod
    def read(cls, lane: int, document: Document | None, records: Records) -> Head:
        """
        Read the document of a lane.

        Raises:
            TamperedError: If it was changed from outside, or is not there: each lane has one from the beginning.
        """
        if document is None:
            raise TamperedError(cls(lane).key, "document")
        value = records.value(document)

        return cls(
            lane,
            document.version,
            value["count"],
            bytes.fromhex(value["mac"]),
            value["seen_at"],
            Tally(*value["tally"]),
            value["licensed_at"],
        )

    def document(self, records: Records) -> Document:
        """
        Give the document that keeps this.
        """
        value = {
            "count": self.count,
            "mac": self.mac.hex(),
            "seen_at": self.seen_at,
            "tally": self.tally,
            "licensed_at": self.licensed_at,
        }

        return records.document(self.key, value, version=self.version)

    def followed(
        self, changes: Changes, tally: Tally, records: Records, *, licensed_at: int
    ) -> tuple[Head, list[AuditRecord]]:
        """
        Give the head behind a commit, and the commit's audit entries as links of the chain.
        """
        licensed_at = max(self.licensed_at, licensed_at)
        count, mac, seen_at = self.count, self.mac, self.seen_at
        links = []
        for record in changes.audit:
            count += 1
            links.append(records.audited(record._replace(id=link_id(self.lane, count)), mac))
            mac, seen_at = links[-1].mac, max(seen_at, record.created_at)

        return Head(self.lane, self.version + 1, count, mac, seen_at, self.tally.plus(tally), licensed_at), links


@attrs.define(eq=False)
class _Lane:
    """
    A lane as a process knows it.

    Attributes:
        number: Its number.
        head: Its head as this process left it; None to read it again.
        is_lost: Whether another process is at work there, or somebody who tampers.
    """

    number: int
    head: Head | None = None
    is_lost: bool = False


class Trail:
    """
    Writes to a store, and with every commit to a lane.

    Args:
        store: The store.

        records: The keys of the book at work.

        beside: The trail of another handle on the same data: it shares the hooks, and keeps to other lanes.

    Attributes:
        hooks: What is called after a commit.
        licensed_at:
            When the newest license was signed that the book is known to have had; 0 if none is. Each head says it, so
            that nobody can let the book forget it who does not put back all of them.
    """

    def __init__(self, store: Store, records: Records, *, beside: Trail | None = None) -> None:
        self._store: Final = store
        self._records: Final = records
        self._joined: Final = bool(getattr(store, "joined", False))
        self._drawn: Final[dict[bool, Iterator[int]]] = (
            beside._drawn if beside else {False: _in_turn(0), True: _in_turn(_OWN)}  # noqa: SLF001 - a trail's own
        )
        self._guard: Final = threading.Lock()
        self._free: list[_Lane] = []
        self._held: set[int] = set()
        self._waiting: list[AuditRecord] = []
        self.hooks: Final[Hooks] = beside.hooks if beside else Hooks()
        self.licensed_at = 0

    def over(self, store: Store) -> Trail:
        """
        Give the trail of the same book through another handle.
        """
        return Trail(store, self._records, beside=self)

    def commit(self, changes: Changes) -> None:
        """
        Commit *changes*, and tell the hooks. See `write`.
        """
        self.tell(self.write(changes))

    def write(self, changes: Changes) -> Sequence[AuditRecord]:
        """
        Commit *changes*, with their audit entries in one lane, each with its id and its place in the chain.

        What changes neither cards nor ledger nor anything that is kept, and leaves no audit entry, is in no lane.

        Returns:
            The audit entries as they were written, for `tell`.

        Raises:
            StaleError: As the store does, but never because of the lane alone: then another one is tried.

            TamperedError: If the head of the lane was changed from outside.
        """
        tally = Tally.of(changes)
        if not changes.audit and tally == _NOTHING:
            self._store.commit(changes)
            return ()
        attempt = 1
        while (links := self._attempt(changes, tally, is_last=attempt == _ATTEMPTS)) is None:
            time.sleep(min(_LONGEST_PAUSE, 0.0001 * 2 ** min(attempt, 10)) * os.urandom(1)[0] / 255)
            attempt += 1

        return links

    def tell(self, links: Sequence[AuditRecord]) -> None:
        """
        Tell the hooks what was committed; in a transaction of the caller's, once it is over.
        """
        if self._joined and self.hooks:
            self._waiting += links
        else:
            self.hooks.tell(links)

    def release(self) -> None:
        """
        Tell the hooks what was committed in a transaction of the caller's, which is over now.
        """
        waiting, self._waiting = self._waiting, []
        self.hooks.tell(waiting)

    def _attempt(self, changes: Changes, tally: Tally, *, is_last: bool) -> list[AuditRecord] | None:
        """
        Commit through a lane and give the audit entries; None where another process has written to that lane.
        """
        lane = self._taken()
        head, lane.head = lane.head, None
        lane.is_lost = head is None
        try:
            head = head or Head.read(lane.number, self._store.document(Head(lane.number).key), self._records)
            lane.is_lost = False
            licensed_at = max(self.licensed_at, _licensed_by(changes, self._records))
            following, links = head.followed(changes, tally, self._records, licensed_at=licensed_at)
            written = [*changes.documents, (following.document(self._records), head.version)]
            try:
                self._store.commit(attrs.evolve(changes, audit=links, documents=written))
            except (StaleError, DuplicateError, CeilingError) as error:
                lane.is_lost = isinstance(error, StaleError) and head.key in error.documents
                if not lane.is_lost:
                    lane.head = head  # Nothing was changed.
                    raise
                if rest := _besides(error, head.key):
                    raise rest from error
                if is_last:
                    raise
                return None
            lane.head = following
        finally:
            self._left(lane)

        return links

    def _taken(self) -> _Lane:
        """
        Take a lane that no other thread has: one that was written to before, if there is any.
        """
        with self._guard:
            if self._free:
                lane = self._free.pop()
            else:
                drawn = itertools.islice(self._drawn[self._joined], _OWN)
                # Where there are more threads than lanes some have to share.
                lane = _Lane(next((number for number in drawn if number not in self._held), _OWN * self._joined))
            self._held.add(lane.number)

            return lane

    def _left(self, lane: _Lane) -> None:
        """
        Leave a lane to others, and forget it if another process writes to it.
        """
        with self._guard:
            self._held.discard(lane.number)
            if self._joined:
                # Its transaction may be rolled back, and what was written with it.
                lane.head = None
            if not lane.is_lost:
                self._free.append(lane)


def beginning(changes: Changes, records: Records) -> Changes:
    """
    Give the first commit of a book: with the heads of all lanes, so that one that is missing later was deleted.
    """
    first = Head(0, version=1, tally=Tally.of(changes))
    heads = [first, *(Head(lane, version=1) for lane in range(1, LANES))]

    return attrs.evolve(changes, documents=[*changes.documents, *((head.document(records), 0) for head in heads)])


def all_heads(store: Store) -> dict[int, Document]:
    """
    Give the documents of all lanes by their numbers, as far as they are there.
    """
    found = {document.key: document for document in store.documents(TRAIL, limit=2 * LANES)}

    return {lane: found[key] for lane in range(LANES) if (key := Head(lane).key) in found}


def heads_of(store: Store, records: Records) -> list[Head]:
    """
    Give the heads of all lanes.

    Raises:
        TamperedError: If one was changed from outside, or is not there.
    """
    found = all_heads(store)

    return [Head.read(lane, found.get(lane), records) for lane in range(LANES)]


def link_id(lane: int, number: int) -> bytes:
    """
    Give the id of an audit entry: by it they are ordered by lane, and in each lane as they were written.
    """
    return lane.to_bytes(2, "big") + number.to_bytes(8, "big") + secrets.token_bytes(_RANDOM)


def before_link(lane: int, number: int) -> bytes:
    """
    Give what is just before the id of that entry of a lane, whatever random bytes it ends with.
    """
    return lane.to_bytes(2, "big") + (number - 1).to_bytes(8, "big") + b"\xff" * _RANDOM


def lane_of(id: bytes) -> tuple[int, int]:
    """
    Give the lane of an audit entry, and its number there, from 1.
    """
    return int.from_bytes(id[:2], "big"), int.from_bytes(id[2:10], "big")


def _licensed_by(changes: Changes, records: Records) -> int:
    """
    Give when the license was signed that a commit installs; 0 if it installs none.
    """
    said = (records.value(document).get(NEWEST_LICENSE) for document, _ in changes.documents if document.key == BOOK)

    return next(said, 0) or 0


def _besides(error: StoreError, key: str) -> StaleError | None:
    """
    Give what else is stale besides the document with this key.
    """
    if not isinstance(error, StaleError):
        return None
    rest = attrs.evolve(error, documents=error.documents - {key})

    return rest if rest.cards or rest.documents else None


def is_tallied(key: str) -> bool:
    """
    Tell whether the tallies count the versions of this document.
    """
    return not key.startswith(_OF_NO_ACCOUNT)


def _in_turn(first: int) -> Iterator[int]:
    """
    Give lanes from *first* on, each once before any comes again, in an order that other processes do not have.
    """
    start, step = secrets.randbelow(_OWN), 2 * secrets.randbelow(_OWN // 2) + 1

    # No generator, which threads could not share.
    return map(lambda turn: first + (start + turn * step) % _OWN, itertools.count())  # noqa: C417
