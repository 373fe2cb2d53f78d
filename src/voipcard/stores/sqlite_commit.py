"""
What a commit does to the tables of the SQLite store, and how it finds out what it collided with.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from voipcard.errors import CeilingError, DuplicateError, NotABookError, StaleError, StoreError
from voipcard.stores.contract import (
    AuditRecord,
    CardRecord,
    Changes,
    CounterChange,
    Document,
    EntryRecord,
    unforgettable,
)
from voipcard.stores.sqlite_file import SQLiteFile, sqlite3
from voipcard.stores.statements import (
    CARD,
    ENTRY,
    INSERT_AUDIT,
    INSERT_CARD,
    INSERT_ENTRY,
    UPDATE_CARD,
    UPDATE_CHANGING,
    Parameter,
    changing,
    lasting,
)

__all__ = ["BULK", "NewCard", "apply", "apply_bulk", "collided", "fill_scratch", "read_counter"]

NewCard: TypeAlias = tuple[CardRecord, EntryRecord]

BULK: Final = 2000
"""From how many new cards on a commit is prepared in a scratch file, outside of the write lock."""


def apply(connection: sqlite3.Connection, changes: Changes, new: Sequence[NewCard]) -> None:
    """
    Write *changes* with these new cards, within a transaction.

    Raises:
        StaleError: If a version is not the expected one.

        CeilingError: If a counter would rise above its ceiling.
    """
    _replace(connection, changes)
    if new:
        connection.executemany(INSERT_CARD, (card for card, _ in new))
        connection.executemany(INSERT_ENTRY, (entry for _, entry in new))
    _finish(connection, changes)


def apply_bulk(connection: sqlite3.Connection, changes: Changes) -> None:
    """
    Write *changes* with the new cards of the scratch file, within a transaction.

    Raises:
        StaleError: If a version is not the expected one.

        CeilingError: If a counter would rise above its ceiling.
    """
    _replace(connection, changes)
    connection.execute(f"INSERT INTO cards ({CARD}) SELECT {CARD} FROM scratch.cards")
    connection.execute(f"INSERT INTO entries ({ENTRY}) SELECT {ENTRY} FROM scratch.entries")
    _finish(connection, changes)


def fill_scratch(
    file: SQLiteFile, connection: sqlite3.Connection, new: Iterable[tuple[CardRecord | None, EntryRecord]]
) -> None:
    """
    Write new cards and entries, or entries alone, into the scratch file.
    """
    rows = iter(new)
    connection.execute(f"CREATE TABLE IF NOT EXISTS scratch.cards AS SELECT {CARD} FROM main.cards LIMIT 0")
    connection.execute(f"CREATE TABLE IF NOT EXISTS scratch.entries AS SELECT {ENTRY} FROM main.entries LIMIT 0")
    connection.execute("BEGIN")
    while chunk := list(itertools.islice(rows, BULK)):
        with file.binding():
            connection.executemany(INSERT_CARD.replace("cards", "scratch.cards", 1), (c for c, _ in chunk if c))
            connection.executemany(INSERT_ENTRY.replace("entries", "scratch.entries", 1), (e for _, e in chunk))
    connection.execute("COMMIT")


def collided(connection: sqlite3.Connection, changes: Changes) -> StoreError:
    """
    Find out what a failed commit collided with. *connection* has its new cards and entries in a scratch file.
    """
    stale = {card.id for card, expected in changes.replace if _card_version(connection, card.id) != expected}
    stale |= {card for card, expected in changes.remove if _card_version(connection, card) != expected}
    documents = {
        key
        for key, expected in [
            *((document.key, expected) for document, expected in changes.documents),
            *changes.forget,
            *changes.require,
        ]
        if _version(connection, key) != expected
    } | unforgettable(changes)
    if stale or documents:
        return StaleError(cards=frozenset(stale), documents=frozenset(documents))
    replaced = [card for card, _ in changes.replace]
    # The entries of a removed card stay, and with them its id.
    buried = connection.execute(
        "SELECT id FROM scratch.cards WHERE EXISTS (SELECT 1 FROM main.entries WHERE card = id)"
    )
    found = DuplicateError(
        ids=frozenset([*_taken(connection, "cards", "id"), *(card for (card,) in buried)]),
        indexes=frozenset([*_taken(connection, "cards", "index"), *_moved(connection, "index", replaced)]),
        serials=frozenset([*_taken(connection, "cards", "serial"), *_moved(connection, "serial", replaced)]),
        operations=frozenset(_taken(connection, "entries", "operation")),
    )

    # What was in the way may have gone by now: then all that can be said is that something changed.
    return found if found.ids or found.indexes or found.serials or found.operations else StaleError()


def read_counter(connection: sqlite3.Connection, key: str) -> int:
    """
    Give where a counter stands.
    """
    return _one(connection, "SELECT value FROM counters WHERE key = ?", key)


def _replace(connection: sqlite3.Connection, changes: Changes) -> None:
    required = {key for key, expected in changes.require if _version(connection, key) != expected}
    cards = _replaced(connection, changes.replace)
    cards |= {card for card, expected in changes.remove if not _removed(connection, card, expected)}
    # Before anything is put in the place of what is to be forgotten.
    documents = {key for key, expected in changes.forget if not _is_forgotten(connection, key, expected)}
    documents |= {document.key for document, expected in changes.documents if not _put(connection, document, expected)}
    documents |= unforgettable(changes)
    if cards or documents or required:
        raise StaleError(cards=frozenset(cards), documents=frozenset(documents | required))


def _finish(connection: sqlite3.Connection, changes: Changes) -> None:
    if changes.entries:
        _insert(connection, INSERT_ENTRY, changes.entries)
    if risen := tuple(
        (change.key, value) for change in changes.counters if (value := _move(connection, change)) is not None
    ):
        raise CeilingError(counters=risen)
    if changes.audit:
        _insert(connection, INSERT_AUDIT, changes.audit)


def _insert(connection: sqlite3.Connection, sql: str, rows: Sequence[EntryRecord | AuditRecord]) -> None:
    if len(rows) == 1:
        connection.execute(sql, rows[0])
    else:
        connection.executemany(sql, rows)


def _one(connection: sqlite3.Connection, sql: str, key: Parameter) -> int:
    row = connection.execute(sql, (key,)).fetchone()

    if row is None:
        return 0
    if type(row[0]) is not int:
        raise NotABookError("a number is damaged")

    return row[0]


def _card_version(connection: sqlite3.Connection, card: bytes) -> int:
    return _one(connection, "SELECT version FROM cards WHERE id = ?", card)


def _version(connection: sqlite3.Connection, key: str) -> int:
    return _one(connection, "SELECT version FROM documents WHERE key = ?", key)


def _replaced(connection: sqlite3.Connection, replace: Sequence[tuple[CardRecord, int]]) -> set[bytes]:
    """
    Replace cards, and give the ids of those that do not have the expected version.
    """
    # Most often no index but that of the credit has to be touched.
    if len(replace) > 1:
        connection.execute("SAVEPOINT replacing")
        rows = [(*changing(card), card.id, expected, *lasting(card)) for card, expected in replace]
        are_replaced = connection.executemany(UPDATE_CHANGING, rows).rowcount == len(rows)
        if not are_replaced:
            connection.execute("ROLLBACK TO replacing")
        connection.execute("RELEASE replacing")
        if are_replaced:
            return set()

    return {card.id for card, expected in replace if not _is_replaced(connection, card, expected)}


def _is_replaced(connection: sqlite3.Connection, card: CardRecord, expected: int) -> bool:
    changed, key, kept = changing(card), (card.id, expected), lasting(card)

    return (
        connection.execute(UPDATE_CHANGING, (*changed, *key, *kept)).rowcount == 1
        or connection.execute(UPDATE_CARD, (*changed, *kept, *key)).rowcount == 1
    )


def _removed(connection: sqlite3.Connection, card: bytes, expected: int) -> bool:
    return connection.execute("DELETE FROM cards WHERE id = ? AND version = ?", (card, expected)).rowcount == 1


def _put(connection: sqlite3.Connection, document: Document, expected: int) -> bool:
    """
    Write a document if the one before has the expected version, and tell whether it had.
    """
    if expected == 0:
        sql = "INSERT INTO documents (key, value, version, expires_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
        return connection.execute(sql, document).rowcount == 1
    sql = "UPDATE documents SET value = ?, version = ?, expires_at = ? WHERE key = ? AND version = ?"

    return connection.execute(sql, (*document[1:], document.key, expected)).rowcount == 1


def _is_forgotten(connection: sqlite3.Connection, key: str, expected: int) -> bool:
    return connection.execute("DELETE FROM documents WHERE key = ? AND version = ?", (key, expected)).rowcount == 1


def _move(connection: sqlite3.Connection, change: CounterChange) -> int | None:
    """
    Move a counter, or give its value if that is not possible.
    """
    value = read_counter(connection, change.key)
    moved = value + change.delta
    if change.delta > 0 and change.ceiling is not None and moved > change.ceiling:
        return value
    connection.execute("INSERT OR REPLACE INTO counters (key, value) VALUES (?, ?)", (change.key, moved))

    return None


def _taken(connection: sqlite3.Connection, table: str, column: str) -> Iterator[Any]:
    """
    Give the values of the scratch file that the book has already, or that the scratch file has twice.
    """
    rows = connection.execute(
        f'SELECT s."{column}" FROM scratch.{table} s JOIN main.{table} m ON m."{column}" = s."{column}"'
        f' UNION SELECT "{column}" FROM scratch.{table} WHERE "{column}" IS NOT NULL'
        f' GROUP BY "{column}" HAVING count(*) > 1'
    )

    return (value for (value,) in rows)


def _moved(connection: sqlite3.Connection, column: str, replaced: Sequence[CardRecord]) -> Iterator[Any]:
    """
    Give the values that a replaced card would share with a stored, a new or another replaced card.
    """
    counts = Counter(getattr(card, column) for card in replaced)
    sql = (
        f'SELECT 1 FROM main.cards WHERE "{column}" = ?1 AND id <> ?2'
        f' UNION SELECT 1 FROM scratch.cards WHERE "{column}" = ?1'
    )
    for card in replaced:
        value = getattr(card, column)
        if counts[value] > 1 or connection.execute(sql, (value, card.id)).fetchone():
            yield value
