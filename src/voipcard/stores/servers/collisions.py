"""
What a commit in a database server collided with.
"""

from __future__ import annotations

import itertools
from array import array
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any, Final, Literal, TypeAlias

from voipcard.errors import CeilingError, DuplicateError, StaleError, StoreError
from voipcard.stores.contract import Changes, unforgettable
from voipcard.stores.servers.selects import Selects
from voipcard.stores.servers.sessions import Session

__all__ = ["collided", "required", "stale"]

_Column: TypeAlias = Literal["id", "index", "serial", "operation"]
_COLUMNS: Final[tuple[_Column, ...]] = ("id", "index", "serial", "operation")
_AT_A_TIME: Final = 4000


def collided(selects: Selects, session: Session, changes: Changes) -> StoreError | None:
    """
    Say how a commit has to be refused; None if nothing is in its way any more.
    """
    return (
        stale(selects, session, changes) or _duplicates(selects, session, changes) or _risen(selects, session, changes)
    )


def required(changes: Changes) -> dict[str, int] | None:
    """
    Give the documents that are required and not written, with their versions; None if the commit contradicts itself.
    """
    written = {document.key: expected for document, expected in changes.documents} | dict(changes.forget)
    only: dict[str, int] = {}
    for key, expected in changes.require:
        if written.get(key, only.get(key, expected)) != expected:
            return None
        if key not in written:
            only[key] = expected

    return only


def stale(selects: Selects, session: Session, changes: Changes, *, locked: bool = False) -> StaleError | None:
    """
    Say which versions are not as expected; None if all are. *locked*, they stay so until the end of the transaction.
    """
    cards, documents = selects.tables.cards.c, selects.tables.documents.c
    of_cards = [*((card.id, expected) for card, expected in changes.replace), *changes.remove]
    of_documents = [
        *((document.key, expected) for document, expected in changes.documents),
        *changes.forget,
        *changes.require,
    ]
    times = Counter(id for id, _ in of_cards)
    found = dict(selects.among(session, [cards.id, cards.version], cards.id, sorted(times), locked=locked))
    keys = sorted({key for key, _ in of_documents})
    kept = dict(selects.among(session, [documents.key, documents.version], documents.key, keys, locked=locked))
    error = StaleError(
        cards=frozenset(id for id, expected in of_cards if found.get(id) != expected or times[id] > 1),
        documents=unforgettable(changes) | {key for key, expected in of_documents if kept.get(key, 0) != expected},
    )

    return error if error.cards or error.documents else None


def _risen(selects: Selects, session: Session, changes: Changes) -> CeilingError | None:
    counters = selects.tables.counters.c
    rising = {each.key: each for each in changes.counters if each.delta > 0 and each.ceiling is not None}
    found = dict(selects.among(session, [counters.key, counters.value], counters.key, rising))
    risen = [
        (key, found.get(key, 0))
        for key, each in rising.items()
        if each.ceiling is not None and found.get(key, 0) + each.delta > each.ceiling
    ]

    return CeilingError(counters=tuple(risen)) if risen else None


def _duplicates(selects: Selects, session: Session, changes: Changes) -> DuplicateError | None:
    taken: dict[_Column, set[Any]] = {column: set() for column in _COLUMNS}
    # Of a million cards only hashes are kept: those that come twice are looked at again.
    hashes: dict[_Column, array[int]] = {column: array("q") for column in _COLUMNS}
    claims = _claims(changes)
    while chunk := list(itertools.islice(claims, _AT_A_TIME)):
        for column in _COLUMNS:
            claimed = {value: owner for name, value, owner in chunk if name == column}
            hashes[column].extend(hash(value) for name, value, _ in chunk if name == column)
            taken[column] |= {
                value for value, owner in _found(selects, session, column, claimed) if owner != claimed[value]
            }
    twice = {column: {a for a, b in pairwise(sorted(hashes[column])) if a == b} for column in _COLUMNS}
    if any(twice.values()):
        again = Counter((column, value) for column, value, _ in _claims(changes) if hash(value) in twice[column])
        for (column, value), times in again.items():
            if times > 1:
                taken[column].add(value)
    error = DuplicateError(
        ids=frozenset(taken["id"]),
        indexes=frozenset(taken["index"]),
        serials=frozenset(taken["serial"]),
        operations=frozenset(taken["operation"]),
    )

    return error if any(taken.values()) else None


def _claims(changes: Changes) -> Iterator[tuple[_Column, Any, bytes]]:
    """
    Give what has to be unique: the column, the value, and which stored card may have it.
    """
    for card, entry in changes.new:
        yield "id", card.id, b""
        yield "index", card.index, b""
        yield "serial", card.serial, b""
        if entry.operation is not None:
            yield "operation", entry.operation, b""
    for card, _ in changes.replace:
        yield "index", card.index, card.id
        yield "serial", card.serial, card.id
    for entry in changes.entries:
        if entry.operation is not None:
            yield "operation", entry.operation, b""


def _found(
    selects: Selects, session: Session, column: _Column, claimed: dict[Any, bytes]
) -> Iterator[tuple[Any, bytes | None]]:
    """
    Give which of the values are stored, and which card has each.
    """
    cards, entries = selects.tables.cards.c, selects.tables.entries.c
    if column == "operation":
        found = selects.among(session, [entries.operation, entries.card], entries.operation, claimed)
        yield from ((value, None) for value, _ in found)
    else:
        yield from (
            (value, None if column == "id" else owner)
            for value, owner in selects.among(session, [cards[column], cards.id], cards[column], claimed)
        )
    if column == "id":
        # The entries of a removed card stay, and with them its id.
        yield from ((value, None) for (value,) in selects.among(session, [entries.card], entries.card, claimed))
