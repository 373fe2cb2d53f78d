"""
Reading the audit trail: all of it in the order of time, or as a feed that gives each entry exactly once.
"""

from __future__ import annotations

import heapq
import itertools
import struct
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, TypeAlias

import attrs

from voipcard.core.arguments import checked_integer
from voipcard.core.moments import to_micros
from voipcard.cursors import cursor_of, position_in
from voipcard.errors import TamperedError
from voipcard.records import NO_CHAIN
from voipcard.stores.contract import MAX_INTEGER, AuditRecord
from voipcard.trail import AuditEntry, Head, before_link, heads_of, lane_of
from voipcard.transact import Engine

__all__ = ["AuditPage", "audit_page", "audit_trail"]

MAX_PAGE: Final = 10_000

_AT_ONCE: Final = 200
"""How many entries of one lane are read at a time, where all lanes are read side by side."""

_POSITION: Final = struct.Struct(">BQ8s")
_MARK: Final = 8
"""How much of the MAC of the entry read last a cursor keeps, to notice if another one has taken its place."""

_FEED: Final = "audit"
"""What the cursors of the feed belong to."""

_Positions: TypeAlias = Mapping[int, tuple[int, bytes]]
"""How many entries of each lane were read, and the mark of the last of them."""


@attrs.frozen
class AuditPage:
    """
    What was done since somebody last asked.

    Attributes:
        entries: Audit entries, none of which any page before has given.
        next_cursor: Where to go on, now or later: what is done from now on is given then.
    """

    entries: tuple[AuditEntry, ...]
    next_cursor: str


def audit_trail(engine: Engine, created_from: datetime | None, created_before: datetime | None) -> Iterator[AuditEntry]:
    """
    Give all entries, oldest first. See `CardBook.audit_trail`.
    """
    start = 0 if created_from is None else to_micros(created_from)
    end = MAX_INTEGER if created_before is None else to_micros(created_before)

    return _between(engine, start, end)


def audit_page(engine: Engine, limit: int, cursor: str | None) -> AuditPage:
    """
    Give the next entries of the feed. See `CardBook.audit_page`.
    """
    checked_integer("limit", limit, at_least=1, at_most=MAX_PAGE)
    positions = dict(_positions(engine, cursor))
    ahead = []
    for head in heads_of(engine.store, engine.records):
        number, mark = positions.get(head.lane, (0, b""))
        if head.count < number or (head.count == number and head.mac[:_MARK] != mark):
            raise TamperedError(head.key, "audit entry")
        if head.count > number:
            ahead.append((head, number, mark))
    at_once = min(limit, _AT_ONCE, 1 + 2 * limit // max(1, len(ahead)))
    lanes = [_links(engine, head, number, mark, at_once) for head, number, mark in ahead]
    records = list(itertools.islice(heapq.merge(*lanes, key=_moment), limit))
    for record in records:
        lane, number = lane_of(record.id)
        positions[lane] = number, record.mac[:_MARK]

    return AuditPage(tuple(map(AuditEntry.of, records)), _cursor(engine, positions))


def _between(engine: Engine, start: int, end: int) -> Iterator[AuditEntry]:
    lanes = [
        _links(engine, head, 0, b"", _AT_ONCE)
        for head in heads_of(engine.store, engine.records)
        if head.count and head.seen_at >= start
    ]
    # Where a clock was set back, what came later in a lane stays behind what came before.
    for record in heapq.merge(*map(_rising, lanes), key=lambda pair: pair[0]):
        if start <= record[1].created_at < end:
            yield AuditEntry.of(record[1])


def _rising(records: Iterator[AuditRecord]) -> Iterator[tuple[int, AuditRecord]]:
    moment = 0
    for record in records:
        moment = max(moment, record.created_at)
        yield moment, record


def _moment(record: AuditRecord) -> int:
    return record.created_at


def _links(engine: Engine, head: Head, number: int, mark: bytes, at_once: int) -> Iterator[AuditRecord]:
    """
    Give the entries of a lane behind that with this number and mark, up to its head, each checked.

    Raises:
        TamperedError: If one was changed from outside, taken away, put in or moved.
    """
    chain = _chain_at(engine, head, number, mark) if number else NO_CHAIN
    while number < head.count:
        found = engine.store.audit(after=before_link(head.lane, number + 1), limit=min(at_once, head.count - number))
        for record in found:
            number += 1
            if lane_of(record.id)[0] != head.lane:
                raise TamperedError(head.key, "audit entry")
            if lane_of(record.id)[1] != number or not engine.records.is_audited(record, chain):
                raise TamperedError(record.id.hex(), "audit entry")
            chain = record.mac
            yield record
        if not found:
            raise TamperedError(head.key, "audit entry")
    if chain != head.mac:
        raise TamperedError(head.key, "audit entry")


def _chain_at(engine: Engine, head: Head, number: int, mark: bytes) -> bytes:
    """
    Give the MAC of an entry that was read before.
    """
    for record in engine.store.audit(after=before_link(head.lane, number), limit=1):
        if lane_of(record.id) == (head.lane, number) and record.mac[:_MARK] == mark:
            return record.mac

    raise TamperedError(head.key, "audit entry")


# A cursor says nothing but how far each lane was read.


def _cursor(engine: Engine, positions: _Positions) -> str:
    data = b"".join(_POSITION.pack(lane, number, mark) for lane, (number, mark) in sorted(positions.items()))

    return cursor_of(engine.records, _FEED, data)


def _positions(engine: Engine, cursor: str | None) -> _Positions:
    if cursor is None:
        return {}
    data = position_in(engine.records, _FEED, cursor)

    return {lane: (number, mark) for lane, number, mark in _POSITION.iter_unpack(data)}
