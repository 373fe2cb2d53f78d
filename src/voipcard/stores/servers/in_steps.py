"""
A commit as the steps of one transaction, for MariaDB, MySQL, and SQLite through SQLAlchemy.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, bindparam, delete, insert, update
from sqlalchemy.dialects import mysql, sqlite
from sqlalchemy.sql import ClauseElement

from voipcard.errors import CeilingError, StoreError
from voipcard.stores.contract import AuditRecord, CardRecord, Changes, Document, EntryRecord
from voipcard.stores.servers.collisions import required, stale
from voipcard.stores.servers.failures import Collision
from voipcard.stores.servers.selects import Selects
from voipcard.stores.servers.sessions import Session

__all__ = ["apply"]

_AT_A_TIME: Final = 500
"""How many new cards one statement has."""

_FORGOTTEN: Final = 100
"""How many documents one statement deletes."""


def apply(selects: Selects, session: Session, changes: Changes, new: Iterable[tuple[CardRecord, EntryRecord]]) -> None:
    """
    Write *changes* with these new cards, within a transaction.

    Versions are read with locks, and a key that is required without a document gets a row of version 0 to lock.
    Counters come last, because every other commit wants them too.

    Raises:
        StaleError: If a version is not the expected one.

        CeilingError: If a counter would rise above its ceiling.

        Collision: If the commit contradicts itself.
    """
    steps = _Steps(selects, session)
    only = required(changes)
    if only is None:
        raise Collision
    # What is not there cannot be locked: it gets a row before it is looked for.
    steps.require({key for key, expected in only.items() if not expected}, are_there=False)
    if refusal := stale(selects, session, changes, locked=True):
        raise refusal
    steps.require({key for key, expected in only.items() if expected}, are_there=True)
    steps.put(changes.documents)
    steps.forget(sorted(key for key, _ in changes.forget))
    steps.replace([card for card, _ in changes.replace])
    for id, _ in changes.remove:
        steps.remove(id)
    rows = iter(new)
    while chunk := list(itertools.islice(rows, _AT_A_TIME)):
        steps.insert(selects.tables.cards, [card for card, _ in chunk])
        steps.insert(selects.tables.entries, [entry for _, entry in chunk])
    steps.insert(selects.tables.entries, changes.entries)
    steps.insert(selects.tables.audit, changes.audit)
    steps.count(changes)


class _Steps:
    """
    The steps of one commit.
    """

    def __init__(self, selects: Selects, session: Session) -> None:
        self._selects = selects
        self._session = session
        self._tables = selects.tables

    def insert(self, table: Table, rows: Sequence[CardRecord | EntryRecord | AuditRecord]) -> None:
        """
        Append rows.
        """
        if rows:
            names = rows[0]._fields
            statement = self._selects.written(
                ("insert", table.name), lambda: insert(table).values({name: bindparam(name) for name in names})
            )
            self._session.change_many(statement, rows)

    def replace(self, cards: Sequence[CardRecord]) -> None:
        """
        Write cards over those with the same ids, which are locked.
        """
        if cards:
            table, names = self._tables.cards, CardRecord._fields
            statement = self._selects.written("replace", lambda: self._upsert(table, names, ["id"], names[1:]))
            self._session.change_many(statement, cards)

    def remove(self, id: bytes) -> None:
        """
        Delete a card, which is locked.
        """
        cards = self._tables.cards
        self._change("remove", lambda: delete(cards).where(cards.c.id == bindparam("wanted")), wanted=id)

    def require(self, keys: Iterable[str], *, are_there: bool) -> None:
        """
        Let every other commit that writes or requires these documents wait for this one.
        """
        documents = self._tables.documents
        counted: dict[str, Any] = {"required": documents.c.required + 1}
        names = ("key", "value", "version", "required")
        for key in sorted(keys):
            if are_there:
                self._change(
                    "require",
                    lambda: update(documents).where(documents.c.key == bindparam("wanted")).values(counted),
                    wanted=key,
                )
            else:
                given = dict(zip(names, (key, b"", 0, 1), strict=True))
                self._change("require none", lambda: self._upsert(documents, names, ["key"], (), **counted), **given)

    def put(self, documents: Sequence[tuple[Document, int]]) -> None:
        """
        Write documents. Those that are there are locked.
        """
        table = self._tables.documents
        names = Document._fields
        for document, expected in sorted(documents, key=lambda each: each[0].key):
            if expected == 0:
                # A document that another commit has made meanwhile stays: then the versions are read again.
                changed = self._change(
                    "fill",
                    lambda: (
                        update(table)
                        .where(table.c.key == bindparam("wanted"), table.c.version == 0)
                        .values({name: bindparam(name) for name in names[1:]})
                    ),
                    wanted=document.key,
                    **document._asdict(),
                )
                if not changed:
                    self._change(
                        "put",
                        lambda: insert(table).values({name: bindparam(name) for name in names}),
                        **document._asdict(),
                    )
            else:
                self._change(
                    "put again",
                    lambda: (
                        update(table)
                        .where(table.c.key == bindparam("wanted"))
                        .values({name: bindparam(name) for name in names[1:]})
                    ),
                    wanted=document.key,
                    **document._asdict(),
                )

    def forget(self, keys: Sequence[str]) -> None:
        """
        Delete documents, which are locked.
        """
        for start in range(0, len(keys), _FORGOTTEN):
            chunk = keys[start : start + _FORGOTTEN]
            # Two sizes only, so that there are two statements: the last key may come more than once.
            size = 1 if len(chunk) == 1 else _FORGOTTEN
            named = {f"wanted_{place}": chunk[min(place, len(chunk) - 1)] for place in range(size)}
            self._change(("forget", size), functools.partial(self._forgetting, list(named)), **named)

    def _forgetting(self, names: Sequence[str]) -> ClauseElement:
        documents = self._tables.documents

        return delete(documents).where(documents.c.key.in_([bindparam(name) for name in names]))

    def count(self, changes: Changes) -> None:
        """
        Move counters, and refuse those that rise above their ceilings.
        """
        counters = self._tables.counters
        moved = {change.key: change for change in sorted(changes.counters, key=lambda each: each.key)}
        for change in moved.values():
            self._change(
                "count",
                lambda: self._upsert(
                    counters, ("key", "value"), ["key"], (), value=counters.c.value + bindparam("delta")
                ),
                key=change.key,
                value=change.delta,
                delta=change.delta,
            )
        ceilings = {key: change.ceiling for key, change in moved.items() if change.delta > 0}
        limited = [key for key, ceiling in ceilings.items() if ceiling is not None]
        is_sqlite = self._selects.dialect.name == "sqlite"
        found = self._selects.among(
            self._session, [counters.c.key, counters.c.value], counters.c.key, moved if is_sqlite else limited
        )
        if any(type(value) is not int for _, value in found):  # SQLite goes on with floats.
            raise StoreError("a counter is larger than the database can keep")
        risen = [
            (key, value - moved[key].delta)
            for key, value in found
            if (ceiling := ceilings.get(key)) is not None and value > ceiling
        ]
        if risen:
            raise CeilingError(counters=tuple(risen))

    def _change(self, name: object, make: Callable[[], ClauseElement], **given: Any) -> int:  # noqa: ANN401 - values
        return self._session.change(self._selects.written(name, make), given)

    def _upsert(
        self,
        table: Table,
        names: Sequence[str],
        keys: Sequence[str],
        taken_over: Sequence[str],
        **changed: Any,  # noqa: ANN401 - what SQLAlchemy takes
    ) -> ClauseElement:
        """
        Insert a row, or change the one with the same keys: columns as they would be inserted, others as given.
        """
        values: dict[str, ColumnElement[Any]] = {name: bindparam(name) for name in names}
        if self._selects.dialect.name == "sqlite":
            lite = sqlite.insert(table).values(values)
            set_ = {**{name: lite.excluded[name] for name in taken_over}, **changed}
            return lite.on_conflict_do_update(index_elements=list(keys), set_=set_)
        statement = mysql.insert(table).values(values)

        return statement.on_duplicate_key_update({**{name: statement.inserted[name] for name in taken_over}, **changed})
