"""
A card book in one SQLite file, for the processes and threads of one machine.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from voipcard.core.query import CardQuery, EntryQuery
from voipcard.errors import (
    CeilingError,
    NotABookError,
    SchemaError,
    StaleError,
    StoreBusyError,
    StoreClosedError,
    StoreError,
    interrupted,
    said_again,
)
from voipcard.stores.contract import (
    AuditRecord,
    CardRecord,
    Changes,
    Document,
    EntryRecord,
    Grouping,
    SealedCode,
    Total,
    joined,
)
from voipcard.stores.sqlite_commit import (
    BULK,
    NewCard,
    apply,
    apply_bulk,
    collided,
    fill_scratch,
    read_counter,
)
from voipcard.stores.sqlite_file import FAILURES, Collision, Journal, SQLiteFile, sqlite3, wal_is_safe
from voipcard.stores.sqlite_totals import summed
from voipcard.stores.statements import (
    AUDIT,
    CARD,
    DOCUMENT,
    DOCUMENTS,
    ENTRY,
    EXPIRED,
    ORDERS,
    STATEMENTS,
    Condition,
    Parameter,
    card_conditions,
    entry_conditions,
    filtered,
    read_cards,
    read_rows,
    searched_cards,
)
from voipcard.turns import Turns

__all__ = ["Journal", "SQLiteStore", "wal_is_safe"]

_Commit: TypeAlias = tuple[Changes, Sequence[NewCard]]

APPLICATION_ID: Final = 0x766F6970
"""`voip`, in the header of the file."""

SCHEMA_VERSION: Final = 1

FEW: Final = 50
"""Up to how many rows are read with the connection that writes: with more of them, writers would wait."""


PART: Final = 50_000
"""How many entries are summed at a time, where writers have to wait for it."""


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

        timeout:
            For how many seconds a call waits for other threads or processes before it raises `StoreBusyError`. A call
            that arrives while another one waits may wait for both.

    Raises:
        NotABookError: If the file is something else.

        SchemaError: If the file was written by a newer release.

        StoreReadOnlyError: If the file or its folder cannot be written.

        StoreError: If WAL is asked for and not safe here, or the file cannot be opened.
    """

    def __init__(self, path: str | os.PathLike[str], *, journal: Journal | None = None, timeout: float = 30.0) -> None:
        self._file: Final = SQLiteFile(path, journal, timeout)
        self._turns: Final[Turns[_Commit, None]] = Turns(self._commit_together, interrupted)
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
        if index is not None:
            rows = self._file.glance(f'SELECT {CARD} FROM cards WHERE "index" = ?', [index])
        elif serial is not None:
            rows = self._file.glance(f"SELECT {CARD} FROM cards WHERE serial = ?", [serial])
        else:
            rows = self._file.glance(f"SELECT {CARD} FROM cards WHERE id = ?", [id])

        return next(iter(read_cards(rows)), None)

    def find_many(self, *, ids: Iterable[bytes] = (), serials: Iterable[str] = ()) -> Sequence[CardRecord]:
        """
        Give the cards with these ids and those with these serials.
        """
        rows = self._looked_up("cards", CARD, "id", ids) + self._looked_up("cards", CARD, "serial", serials)

        return read_cards(rows)

    def nearest(self, index: bytes) -> CardRecord | None:
        """
        Give the card with the smallest index not below *index*, or with the smallest of all.
        """
        # One statement, also for an index beyond the last one: that none is there must not be told by a second one.
        first = f'SELECT {CARD} FROM cards WHERE "index" >= ? ORDER BY "index" LIMIT 1'
        select = f"SELECT * FROM ({first}) UNION ALL SELECT * FROM ({first})"
        cards = read_cards(self._file.glance(select, [index, b""]))

        return next((card for card in cards if card.index >= index), cards[0] if cards else None)

    def known(
        self, *, indexes: Iterable[bytes] = (), serials: Iterable[str] = (), operations: Iterable[bytes] = ()
    ) -> frozenset[bytes | str]:
        """
        Tell which of these indexes, serials and operations exist.
        """
        found = (
            *self._looked_up("cards", '"index"', "index", indexes),
            *self._looked_up("cards", "serial", "serial", serials),
            *self._looked_up("entries", "operation", "operation", operations),
        )

        return frozenset(value for (value,) in found)

    def cards(self, query: CardQuery) -> Sequence[CardRecord]:
        """
        Give one page of cards.
        """
        return read_cards(self._page(f"SELECT {CARD} FROM {searched_cards(query)}", card_conditions(query), query))

    def sealed_codes(self, query: CardQuery) -> Sequence[SealedCode]:
        """
        Give the sealed codes of the same page.
        """
        select = f"SELECT {ORDERS[query.order][0]}, id, sealed_code FROM {searched_cards(query)}"

        return read_rows(SealedCode, self._page(select, card_conditions(query), query))

    def count(self, query: CardQuery) -> int:
        """
        Count the cards that match.
        """
        sql, parameters = filtered(f"SELECT count(*) FROM {searched_cards(query)}", card_conditions(query))
        [(count,)] = self._read(sql, parameters)

        return int(count)

    def entries(self, query: EntryQuery) -> Sequence[EntryRecord]:
        """
        Give one page of ledger entries.
        """
        select = f"SELECT {ENTRY} FROM entries"

        return read_rows(EntryRecord, self._page(select, entry_conditions(query), query))

    def totals(self, query: EntryQuery, by: Sequence[Grouping] = (), *, periods: Sequence[int] = ()) -> Sequence[Total]:
        """
        Sum the amounts of the entries that match, group by group.
        """
        # With a rollback journal nobody commits while somebody reads.
        part = None if self._file.journal == "wal" else PART
        with self._file.reading() as connection:
            return summed(connection, query, by, periods, part=part)

    def document(self, key: str) -> Document | None:
        """
        Give one document, or None.
        """
        rows = self._file.glance(f"SELECT {DOCUMENT} FROM documents WHERE key = ?", [key])

        return next(iter(read_rows(Document, rows)), None)

    def find_documents(self, keys: Iterable[str]) -> Sequence[Document]:
        """
        Give the documents with these keys.
        """
        return read_rows(Document, self._looked_up("documents", DOCUMENT, "key", keys))

    def documents(
        self, prefix: str, *, after: str = "", limit: int = 1000, expired_at: int | None = None
    ) -> Sequence[Document]:
        """
        Give one page of the documents whose keys begin with *prefix*.
        """
        within = (prefix, f"{prefix}\x7f", after)
        if expired_at is None:
            rows = self._read(DOCUMENTS, [*within, limit])
        else:
            rows = self._read(EXPIRED, [expired_at, *within, limit])

        return read_rows(Document, rows)

    def counters(self, keys: Iterable[str]) -> Mapping[str, int]:
        """
        Read counters.
        """
        with self._file.reading() as connection:
            return {key: read_counter(connection, key) for key in keys}

    def audit(self, *, after: bytes = b"", limit: int = 1000) -> Sequence[AuditRecord]:
        """
        Give one page of the audit trail.
        """
        rows = self._read(f"SELECT {AUDIT} FROM audit WHERE id > ? ORDER BY id LIMIT ?", [after, limit])

        return read_rows(AuditRecord, rows)

    # Writing

    def commit(self, changes: Changes) -> None:
        """
        Apply *changes* whole, or not at all.
        """
        self._file.refuse_use()
        new = iter(changes.new)
        head = list(itertools.islice(new, BULK))
        if len(head) < BULK:
            self._turns.take((changes, head))
        else:
            self._commit_bulk(changes, itertools.chain(head, new))

    def close(self) -> None:
        """
        Give back everything that is held.
        """
        self._file.close()

    def _commit_together(self, commits: Sequence[_Commit]) -> Sequence[Exception | None]:
        """
        Apply several commits in one transaction, each as if it were alone: what one is refused with harms no other.
        """
        if len(commits) == 1:
            return [self._commit_alone(*commits[0])]
        try:
            refusals = self._commit_at_once(commits) or self._commit_in_steps(commits)
        except StoreError as error:
            if error.maybe_applied or isinstance(error, StoreBusyError | StoreClosedError):
                return [said_again(error) for _ in commits]
            # One of them may be what the disk has no room for.
            return [self._commit_alone(*commit) for commit in commits]

        return [
            self._collided(*commit, refusal) if isinstance(refusal, Collision) else refusal
            for commit, refusal in zip(commits, refusals, strict=True)
        ]

    def _commit_alone(self, changes: Changes, new: Sequence[NewCard]) -> Exception | None:
        try:
            with self._file.writing() as connection:
                apply(connection, changes, new)
        except Collision as collision:
            return self._collided(changes, new, collision)
        except Exception as error:  # noqa: BLE001 - it is raised where it belongs
            return error

        return None

    def _commit_at_once(self, commits: Sequence[_Commit]) -> Sequence[None]:
        """
        Apply them as a single one; none of them if any is refused, or if they have to come one after another.
        """
        changes = joined([changes for changes, _ in commits])
        if changes is None:
            return []
        try:
            with self._file.writing() as connection:
                apply(connection, changes, ())
        except (StaleError, CeilingError):
            return []
        except StoreError:
            raise
        except Exception:  # noqa: BLE001 - a step finds out whose it is
            return []

        return [None] * len(commits)

    def _commit_in_steps(self, commits: Sequence[_Commit]) -> Sequence[Exception | None]:
        with self._file.writing() as connection:
            return [self._step(connection, *commit) for commit in commits]

    def _step(self, connection: sqlite3.Connection, changes: Changes, new: Sequence[NewCard]) -> Exception | None:
        connection.execute("SAVEPOINT step")
        try:
            apply(connection, changes, new)
        except Exception as error:
            if not connection.in_transaction:  # SQLite has rolled back what the others did as well.
                raise
            connection.execute("ROLLBACK TO step")
            return self._file.translation(error) if isinstance(error, FAILURES) else error
        finally:
            if connection.in_transaction:
                connection.execute("RELEASE step")

        return None

    def _collided(self, changes: Changes, new: Sequence[NewCard], collision: Collision) -> StoreError:
        try:
            with self._file.scratch() as connection:
                fill_scratch(self._file, connection, [*new, *((None, entry) for entry in changes.entries)])
                refusal = collided(connection, changes)
        except StoreError as error:
            return error
        refusal.__cause__ = collision.__cause__

        return refusal

    def _commit_bulk(self, changes: Changes, new: Iterator[NewCard]) -> None:
        with self._file.scratch() as connection:
            fill_scratch(self._file, connection, new)
            try:
                with self._file.writing(connection):
                    apply_bulk(connection, changes)
            except Collision as collision:
                fill_scratch(self._file, connection, ((None, entry) for entry in changes.entries))
                raise collided(connection, changes) from collision.__cause__

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
        return self._file.read(sql, parameters)

    def _looked_up(self, table: str, columns: str, column: str, values: Iterable[bytes | str]) -> list[tuple[Any, ...]]:
        """
        Give columns of the rows that have one of many values, some hundred values at a time.
        """
        wanted, rows = list(values), []
        for start in range(0, len(wanted), 500):
            chunk = wanted[start : start + 500]
            marks = ", ".join("?" * len(chunk))
            look = self._file.glance if len(chunk) <= FEW else self._read
            rows += look(f'SELECT {columns} FROM {table} WHERE "{column}" IN ({marks})', chunk)

        return rows

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
