"""
A card book in one SQLite file, for the processes and threads of one machine.
"""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from voipcard.core.query import CardQuery, EntryQuery
from voipcard.errors import (
    CeilingError,
    DuplicateError,
    NotABookError,
    SchemaError,
    StaleError,
    StoreError,
)
from voipcard.stores.contract import (
    AuditRecord,
    CardRecord,
    Changes,
    CounterChange,
    Document,
    EntryRecord,
    Grouping,
    Total,
)
from voipcard.stores.sqlite_file import Journal, SQLiteFile, sqlite3, wal_is_safe
from voipcard.stores.statements import (
    AUDIT,
    CARD,
    ENTRY,
    INSERT_AUDIT,
    INSERT_CARD,
    INSERT_ENTRY,
    ORDERS,
    STATEMENTS,
    UPDATE_CARD,
    UPDATE_LASTING,
    Condition,
    Parameter,
    card_conditions,
    changing,
    entry_conditions,
    filtered,
    lasting,
    read_card,
    read_row,
)
from voipcard.stores.totals import totaled

__all__ = ["Journal", "SQLiteStore", "wal_is_safe"]

NewCard: TypeAlias = tuple[CardRecord, EntryRecord]

APPLICATION_ID: Final = 0x766F6970
"""`voip`, in the header of the file."""

SCHEMA_VERSION: Final = 1

BULK: Final = 2000
"""From how many new cards on a commit is prepared in a scratch file, outside of the write lock."""


class SQLiteStore:
    """
    A store in one SQLite file with the permissions 0600, safe to be used by many threads and processes at once.

    Commits are on the disk when they return. Where the linked SQLite is free of the WAL-reset bug the journal is a
    write-ahead log, so that readers never wait; elsewhere it is a rollback journal.

    A store must not be carried over a fork: open it again in the child. The file must be on a local disk. With the
    extra `sqlite`, do not open it with Python's own `sqlite3` in the same process as well: two libraries break each
    other's locks.

    Args:
        path: The file. It is made if it does not exist; its folder is not.

        journal: `wal` or `delete`; None for the better one that is safe here.

        timeout: For how many seconds a call waits for others before it raises `StoreBusyError`.

    Raises:
        NotABookError: If the file is something else.

        SchemaError: If the file was written by a newer release.

        StoreReadOnlyError: If the file or its folder cannot be written.

        StoreError: If WAL is asked for and not safe here, or the file cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str], *, journal: Journal | None = None, timeout: float = 30.0) -> None:
        self._file: Final = SQLiteFile(path, journal, timeout)
        try:
            self._check_or_create()
        except BaseException:
            self.close()
            raise

    # Reading

    def find(
        self, *, id: bytes | None = None, serial: str | None = None, index: bytes | None = None
    ) -> CardRecord | None:
        """
        Give the one card with this id, serial or index, or None.
        """
        column, value = next((c, v) for c, v in (("id", id), ("serial", serial), ("index", index)) if v is not None)
        rows = self._read(f'SELECT {CARD} FROM cards WHERE "{column}" = ?', [value])

        return read_card(rows[0]) if rows else None

    def nearest(self, index: bytes) -> CardRecord | None:
        """
        Give the card with the smallest index not below *index*, or with the smallest of all.
        """
        select = f'SELECT {CARD} FROM cards WHERE "index" >= ? ORDER BY "index" LIMIT 1'
        rows = self._read(select, [index]) or self._read(select, [b""])

        return read_card(rows[0]) if rows else None

    def known(
        self, *, indexes: Iterable[bytes] = (), serials: Iterable[str] = (), operations: Iterable[bytes] = ()
    ) -> frozenset[bytes | str]:
        """
        Tell which of these indexes, serials and operations exist.
        """
        found: set[bytes | str] = set()
        wanted: tuple[tuple[str, str, Iterable[bytes | str]], ...] = (
            ("cards", "index", indexes),
            ("cards", "serial", serials),
            ("entries", "operation", operations),
        )
        with self._file.reading() as connection:
            for table, column, values in wanted:
                iterator = iter(values)
                while chunk := list(itertools.islice(iterator, 500)):
                    marks = ", ".join("?" * len(chunk))
                    rows = connection.execute(f'SELECT "{column}" FROM {table} WHERE "{column}" IN ({marks})', chunk)
                    found.update(row[0] for row in rows)

        return frozenset(found)

    def cards(self, query: CardQuery) -> Sequence[CardRecord]:
        """
        Give one page of cards.
        """
        return [read_card(row) for row in self._page(f"SELECT {CARD} FROM cards", card_conditions(query), query)]

    def count(self, query: CardQuery) -> int:
        """
        Count the cards that match.
        """
        sql, parameters = filtered("SELECT count(*) FROM cards", card_conditions(query))
        [(count,)] = self._read(sql, parameters)

        return int(count)

    def entries(self, query: EntryQuery) -> Sequence[EntryRecord]:
        """
        Give one page of ledger entries.
        """
        select = f"SELECT {ENTRY} FROM entries"

        return [read_row(EntryRecord, row) for row in self._page(select, entry_conditions(query), query)]

    def totals(self, query: EntryQuery, by: Sequence[Grouping] = (), *, periods: Sequence[int] = ()) -> Sequence[Total]:
        """
        Sum the amounts of the entries that match, group by group.
        """
        # A dictionary over a streamed scan: SQLite would sort all the rows to group them.
        columns = ", ".join("created_at" if name == "period" else name for name in by)
        sql, parameters = filtered(f"SELECT {columns or 'NULL'}, amount FROM entries", entry_conditions(query))
        with self._file.reading() as connection:
            return totaled(connection.execute(sql, parameters), by, periods)

    def document(self, key: str) -> Document | None:
        """
        Give one document, or None.
        """
        rows = self._read("SELECT key, value, version, expires_at FROM documents WHERE key = ?", [key])

        return read_row(Document, rows[0]) if rows else None

    def documents(self, prefix: str, *, after: str = "", limit: int = 1000) -> Sequence[Document]:
        """
        Give one page of the documents whose keys begin with *prefix*.
        """
        rows = self._read(
            "SELECT key, value, version, expires_at FROM documents"
            " WHERE key >= ? AND key < ? AND key > ? ORDER BY key LIMIT ?",
            [prefix, f"{prefix}\x7f", after, limit],
        )

        return [read_row(Document, row) for row in rows]

    def counters(self, keys: Iterable[str]) -> Mapping[str, int]:
        """
        Read counters.
        """
        with self._file.reading() as connection:
            return {key: _counter(connection, key) for key in keys}

    def audit(self, *, after: bytes = b"", limit: int = 1000) -> Sequence[AuditRecord]:
        """
        Give one page of the audit trail.
        """
        rows = self._read(f"SELECT {AUDIT} FROM audit WHERE id > ? ORDER BY id LIMIT ?", [after, limit])

        return [read_row(AuditRecord, row) for row in rows]

    # Writing

    def commit(self, changes: Changes) -> None:
        """
        Apply *changes* whole, or not at all.
        """
        new = iter(changes.new)
        head = list(itertools.islice(new, BULK))
        if len(head) < BULK:
            self._commit(changes, head)
        else:
            self._commit_bulk(changes, itertools.chain(head, new))

    def close(self) -> None:
        """
        Give back everything that is held.
        """
        self._file.close()

    def _commit(self, changes: Changes, new: Sequence[NewCard]) -> None:
        try:
            with self._file.writing() as connection:
                self._replace(connection, changes)
                connection.executemany(INSERT_CARD, (card for card, _ in new))
                connection.executemany(INSERT_ENTRY, (entry for _, entry in new))
                self._finish(connection, changes)
        except sqlite3.IntegrityError as error:
            with self._file.scratch() as connection:
                self._fill_scratch(connection, [*new, *((None, entry) for entry in changes.entries)])
                raise self._refusal(connection, changes) from error

    def _commit_bulk(self, changes: Changes, new: Iterator[NewCard]) -> None:
        with self._file.scratch() as connection:
            self._fill_scratch(connection, new)
            try:
                with self._file.writing(connection):
                    self._replace(connection, changes)
                    connection.execute(f"INSERT INTO cards ({CARD}) SELECT {CARD} FROM scratch.cards")
                    connection.execute(f"INSERT INTO entries ({ENTRY}) SELECT {ENTRY} FROM scratch.entries")
                    self._finish(connection, changes)
            except sqlite3.IntegrityError as error:
                self._fill_scratch(connection, ((None, entry) for entry in changes.entries))
                raise self._refusal(connection, changes) from error

    def _fill_scratch(
        self, connection: sqlite3.Connection, new: Iterable[tuple[CardRecord | None, EntryRecord]]
    ) -> None:
        rows = iter(new)
        connection.execute(f"CREATE TABLE IF NOT EXISTS scratch.cards AS SELECT {CARD} FROM main.cards LIMIT 0")
        connection.execute(f"CREATE TABLE IF NOT EXISTS scratch.entries AS SELECT {ENTRY} FROM main.entries LIMIT 0")
        connection.execute("BEGIN")
        while chunk := list(itertools.islice(rows, BULK)):
            with self._file.binding():
                connection.executemany(INSERT_CARD.replace("cards", "scratch.cards", 1), (c for c, _ in chunk if c))
                connection.executemany(INSERT_ENTRY.replace("entries", "scratch.entries", 1), (e for _, e in chunk))
        connection.execute("COMMIT")

    def _replace(self, connection: sqlite3.Connection, changes: Changes) -> None:
        required = {key for key, expected in changes.require if _version(connection, key) != expected}
        cards = {card.id for card, expected in changes.replace if not _replaced(connection, card, expected)}
        cards |= {card for card, expected in changes.remove if not _removed(connection, card, expected)}
        documents = {
            document.key for document, expected in changes.documents if not _put(connection, document, expected)
        }
        if cards or documents or required:
            raise StaleError(cards=frozenset(cards), documents=frozenset(documents | required))

    def _finish(self, connection: sqlite3.Connection, changes: Changes) -> None:
        connection.executemany(INSERT_ENTRY, changes.entries)
        if risen := tuple(
            (change.key, value) for change in changes.counters if (value := _move(connection, change)) is not None
        ):
            raise CeilingError(counters=risen)
        connection.executemany(INSERT_AUDIT, changes.audit)

    def _refusal(self, connection: sqlite3.Connection, changes: Changes) -> StoreError:
        """
        Find out what a failed commit collided with. *connection* has its new cards and entries in a scratch file.
        """
        stale = {card.id for card, expected in changes.replace if _card_version(connection, card.id) != expected}
        stale |= {card for card, expected in changes.remove if _card_version(connection, card) != expected}
        documents = {
            key
            for key, expected in [*((d.key, expected) for d, expected in changes.documents), *changes.require]
            if _version(connection, key) != expected
        }
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

    # Connections

    def _check_or_create(self) -> None:
        with self._file.reading() as connection:
            # In one transaction: another process may be making the book.
            connection.execute("BEGIN")
            application, version = _pragma(connection, "application_id"), _pragma(connection, "user_version")
            found = {sql: kind for kind, sql in connection.execute("SELECT type, sql FROM sqlite_schema")}
            connection.execute("COMMIT")
        if application == 0 and version == 0 and not found:
            with self._file.writing() as connection:
                # Another process may have been first.
                if _pragma(connection, "application_id") == 0:
                    for statement in STATEMENTS:
                        connection.execute(statement)
                    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
                    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif application != APPLICATION_ID:
            raise NotABookError(f"{self._file.path.name} is not a card book")
        elif version > SCHEMA_VERSION:
            raise SchemaError(found=version, known=SCHEMA_VERSION)
        elif not found.keys() >= set(STATEMENTS) or "trigger" in found.values():
            raise NotABookError(f"the tables of {self._file.path.name} were changed from outside")

    def _read(self, sql: str, parameters: Sequence[Parameter]) -> list[tuple[Any, ...]]:
        with self._file.reading() as connection:
            return connection.execute(sql, parameters).fetchall()

    def _page(self, select: str, conditions: list[Condition], query: CardQuery | EntryQuery) -> list[tuple[Any, ...]]:
        columns = ORDERS[query.order]
        if query.after is not None:
            marks = ", ".join("?" * len(columns))
            sign = "<" if query.descending else ">"
            conditions = [*conditions, (f"({', '.join(columns)}) {sign} ({marks})", query.after)]
        sql, parameters = filtered(select, conditions)
        order = ", ".join(column + " DESC" * query.descending for column in columns)

        return self._read(f"{sql} ORDER BY {order} LIMIT ?", [*parameters, query.limit])


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    [(value,)] = connection.execute(f"PRAGMA {name}").fetchall()

    return int(value)


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


def _counter(connection: sqlite3.Connection, key: str) -> int:
    return _one(connection, "SELECT value FROM counters WHERE key = ?", key)


def _replaced(connection: sqlite3.Connection, card: CardRecord, expected: int) -> bool:
    facts = lasting(card)
    if connection.execute(UPDATE_CARD, (*changing(card), expected)).rowcount == 0:
        return False
    connection.execute(UPDATE_LASTING, (*facts, card.id, *facts))

    return True


def _removed(connection: sqlite3.Connection, card: bytes, expected: int) -> bool:
    return connection.execute("DELETE FROM cards WHERE id = ? AND version = ?", (card, expected)).rowcount == 1


def _put(connection: sqlite3.Connection, document: Document, expected: int) -> bool:
    """
    Write a document if the one before has the expected version, and tell whether it had.
    """
    if expected == 0:
        sql = "INSERT INTO documents (key, value, version, expires_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
        return connection.execute(sql, document).rowcount == 1
    sql = "UPDATE documents SET key = ?, value = ?, version = ?, expires_at = ? WHERE key = ? AND version = ?"

    return connection.execute(sql, (*document, document.key, expected)).rowcount == 1


def _move(connection: sqlite3.Connection, change: CounterChange) -> int | None:
    """
    Move a counter, or give its value if that is not possible.
    """
    value = _counter(connection, change.key)
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
