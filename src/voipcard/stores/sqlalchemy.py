"""
A card book in a database server, for the processes of many machines: PostgreSQL, MariaDB or MySQL through SQLAlchemy.
"""

from __future__ import annotations

import functools
import itertools
import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import Any, Final
from weakref import WeakKeyDictionary

import attrs
from sqlalchemy import Connection, Engine, create_engine, insert, make_url, select
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from voipcard.core.query import CardQuery, EntryQuery
from voipcard.errors import (
    InvalidValueError,
    NotABookError,
    SchemaError,
    StaleError,
    StoreReadOnlyError,
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
)
from voipcard.stores.servers import at_once, in_steps
from voipcard.stores.servers.collisions import collided
from voipcard.stores.servers.database import Database
from voipcard.stores.servers.failures import NO_TABLES, Collision, driver_error, meaning, translated
from voipcard.stores.servers.joined import Joined
from voipcard.stores.servers.owned import PATIENCE, Owned
from voipcard.stores.servers.selects import Selects, columns
from voipcard.stores.servers.sessions import Session, Statement, compiled
from voipcard.stores.servers.tables import SCHEMA_VERSION, Tables, build_tables
from voipcard.stores.statements import ORDERS, read_cards, read_rows
from voipcard.stores.totals import sound, totaled

__all__ = ["SQLAlchemyStore"]

_BULK: Final = 500
"""From how many new cards on they are written as a stream."""

_TIMES: Final = 5
"""How often a commit is tried again whose obstacle was gone when it was looked for."""

_PATIENCE: Final = 10.0
"""For how many seconds the tables are made that another process makes as well."""

_PAUSE: Final = 0.05

_DRIVERS: Final = (("postgresql", "psycopg"), ("mariadb", "pymysql"), ("mysql", "pymysql"), ("sqlite", "pysqlite"))

_JOINED_DRIVERS: Final = (*_DRIVERS, ("sqlite", "aiosqlite"))
"""What a connection to join may use; psycopg is of both kinds itself."""

_CARELESS: Final = {
    "postgresql": "SELECT name, setting FROM pg_settings"
    " WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes') AND setting = 'off'",
    **dict.fromkeys(
        ["mariadb", "mysql"],
        "SELECT 'innodb_flush_log_at_trx_commit', @@innodb_flush_log_at_trx_commit"
        " FROM (SELECT 1 AS one) AS row_of_one WHERE @@innodb_flush_log_at_trx_commit <> 1",
    ),
}
"""Asks for the settings with which a commit is not on the disk when it returns."""

_default_tables: Final = functools.lru_cache(maxsize=1)(build_tables)
_selects: Final = functools.lru_cache(maxsize=64)(Selects)
_checked: Final[WeakKeyDictionary[Dialect, set[Tables]]] = WeakKeyDictionary()
"""The tables that were found to be those of this release, so that a store in each request need not look again."""


class SQLAlchemyStore:
    """
    A store in a database server that many processes on many machines use at once.

    Given an `Engine`, or the URL of a database, it has transactions of its own: a commit is on the server's disk when
    it returns, as far as the server is set up to write it there, and is tried again where the database asks for it.

    Given a `Connection`, it joins the transaction of that connection: each commit is a savepoint in it, and nothing is
    ever committed, rolled back or closed by the store. All laws then hold from the caller's own commit on. Where the
    transaction goes on seeing what it saw at first, whatever others commit (`REPEATABLE READ`, which is the default of
    MariaDB and MySQL, and `SERIALIZABLE`), or where the database ended it in a deadlock, a `StaleError` of which
    `lasting` is true says that the caller has to begin it again. A joined store belongs to one thread, as its
    connection does.

    Tested with PostgreSQL 15 through psycopg 3, with MariaDB 10.11 through PyMySQL, and with SQLite. MySQL 8 is meant
    to work and was not tested, and neither were CockroachDB and YugabyteDB.

    Attributes:
        joined: Whether it has joined a transaction of its caller's.

    Args:
        place:
            An engine, a connection, or a URL such as `postgresql+psycopg://user@host/database`, for which an engine is
            made and disposed of with `close`. MariaDB wants a URL that begins with `mariadb+pymysql:`.

        tables: The tables, from `build_tables`; None for tables whose names begin with `voipcard_`.

        create: Whether to make the tables if they are not there. A joined store makes none.

    Raises:
        NotABookError: If the tables are not there.

        SchemaError: If they were made by a newer release.

        InvalidValueError: If *place* is something else, or its driver is none of those that are supported.

        StoreError: If the database cannot be reached.
    """

    def __init__(self, place: Engine | Connection | str, *, tables: Tables | None = None, create: bool = False) -> None:
        self._database: Final = _database(place)
        self.joined: Final = self._database.joined
        self._tables: Final = tables or _default_tables()
        if create and self.joined:
            raise InvalidValueError("create", "is for an engine: most databases end a transaction when a table is made")
        try:
            self._check(create)
        except BaseException:
            self.close()
            raise

    @property
    def _selects(self) -> Selects:
        return _selects(self._tables, self._database.dialect)

    # Reading

    def find(
        self, *, id: bytes | None = None, serial: str | None = None, index: bytes | None = None
    ) -> CardRecord | None:
        """
        Give the one card with this id, serial or index, or None.
        """
        asked = {"index": index, "serial": serial, "id": id}
        name, wanted = next(((name, value) for name, value in asked.items() if value is not None), ("id", id))
        rows = self._rows(lambda session: session.rows(self._selects.card_by(name), {"wanted": wanted}))

        return next(iter(read_cards(rows)), None)

    def find_many(self, *, ids: Iterable[bytes] = (), serials: Iterable[str] = ()) -> Sequence[CardRecord]:
        """
        Give the cards with these ids and those with these serials.
        """
        cards = self._tables.cards
        asked = columns(cards, CardRecord)

        return read_cards(self._among(asked, cards.c.id, ids) + self._among(asked, cards.c.serial, serials))

    def nearest(self, index: bytes) -> CardRecord | None:
        """
        Give the card with the smallest index not below *index*, or with the smallest of all.
        """
        rows = self._rows(lambda session: session.rows(self._selects.nearest(), {"wanted": index}))
        cards = read_cards(rows)

        return next((card for card in cards if card.index >= index), cards[0] if cards else None)

    def known(
        self, *, indexes: Iterable[bytes] = (), serials: Iterable[str] = (), operations: Iterable[bytes] = ()
    ) -> frozenset[bytes | str]:
        """
        Tell which of these indexes, serials and operations exist.
        """
        cards, entries = self._tables.cards.c, self._tables.entries.c
        found = (
            *self._among([cards.index], cards.index, indexes),
            *self._among([cards.serial], cards.serial, serials),
            *self._among([entries.operation], entries.operation, operations),
        )

        return frozenset(value for (value,) in found)

    def cards(self, query: CardQuery) -> Sequence[CardRecord]:
        """
        Give one page of cards.
        """
        statement = self._selects.page(columns(self._tables.cards, CardRecord), query)

        return read_cards(self._rows(lambda session: session.rows(statement)))

    def sealed_codes(self, query: CardQuery) -> Sequence[SealedCode]:
        """
        Give the sealed codes of the same page.
        """
        cards = self._tables.cards.c
        statement = self._selects.page([cards[ORDERS[query.order][0]], cards.id, cards.sealed_code], query)

        return read_rows(SealedCode, self._rows(lambda session: session.rows(statement)))

    def count(self, query: CardQuery) -> int:
        """
        Count the cards that match.
        """
        statement = self._selects.count(query)
        [(count,)] = self._rows(lambda session: session.rows(statement))

        return int(count)

    def entries(self, query: EntryQuery) -> Sequence[EntryRecord]:
        """
        Give one page of ledger entries.
        """
        statement = self._selects.page(columns(self._tables.entries, EntryRecord), query)

        return read_rows(EntryRecord, self._rows(lambda session: session.rows(statement)))

    def totals(self, query: EntryQuery, by: Sequence[Grouping] = (), *, periods: Sequence[int] = ()) -> Sequence[Total]:
        """
        Sum the amounts of the entries that match, group by group.
        """
        if self._database.dialect.name == "sqlite":  # Its sums have 64 bits.
            listed = self._selects.listed(query, by)

            def one_by_one(session: Session) -> list[Total]:
                with closing(session.each(listed)) as rows:
                    return totaled(rows, by, periods)

            return sound(self._database.read(one_by_one), by)
        statement = self._selects.grouped(query, by, periods)
        rows = self._rows(lambda session: session.rows(statement))

        # Each row has the group, then how many there are, then the sums.
        return sorted(Total(tuple(row[: len(by)]), *map(int, row[len(by) :])) for row in rows if row[len(by)])

    def document(self, key: str) -> Document | None:
        """
        Give one document, or None.
        """
        rows = self._rows(lambda session: session.rows(self._selects.document(), {"wanted": key}))

        return next(iter(read_rows(Document, rows)), None)

    def find_documents(self, keys: Iterable[str]) -> Sequence[Document]:
        """
        Give the documents with these keys.
        """
        documents = self._tables.documents
        found = read_rows(Document, self._among(columns(documents, Document), documents.c.key, keys))

        # A key that a commit required to be without a document has a row of version 0.
        return [document for document in found if document.version > 0]

    def documents(
        self, prefix: str, *, after: str = "", limit: int = 1000, expired_at: int | None = None
    ) -> Sequence[Document]:
        """
        Give one page of the documents whose keys begin with *prefix*.
        """
        given = {"first": prefix, "last": f"{prefix}\x7f", "after": after, "most": limit, "expired": expired_at}
        statement = self._selects.documents() if expired_at is None else self._selects.expired()

        return read_rows(Document, self._rows(lambda session: session.rows(statement, given)))

    def counters(self, keys: Iterable[str]) -> Mapping[str, int]:
        """
        Read counters.
        """
        counters = self._tables.counters.c
        wanted = list(keys)
        found = dict(self._among([counters.key, counters.value], counters.key, wanted))

        return {key: found.get(key, 0) for key in wanted}

    def audit(self, *, after: bytes = b"", limit: int = 1000) -> Sequence[AuditRecord]:
        """
        Give one page of the audit trail.
        """
        given = {"after": after, "most": limit}

        return read_rows(AuditRecord, self._rows(lambda session: session.rows(self._selects.audit(), given)))

    # Writing

    def commit(self, changes: Changes) -> None:
        """
        Apply *changes* whole, or not at all.
        """
        self._database.refuse_use()
        new = _Stream(changes.new)
        try:
            self._commit_or_refuse(attrs.evolve(changes, new=new), new)
        except _ForeignError as foreign:
            raise foreign.error  # noqa: B904 - it is the caller's own
        except StaleError as error:
            raise self._database.judged(error) from error.__cause__

    def _commit_or_refuse(self, changes: Changes, new: _Stream) -> None:
        for _ in range(_TIMES):
            try:
                return self._commit(changes, new)
            except Collision as error:
                collision = error
            refusal = self._database.read(lambda session: collided(self._selects, session, changes))
            if refusal is not None:
                break
        # Something was in the way each time, and gone when it was looked for, or cannot be seen from here.
        raise refusal or StaleError() from collision.__cause__

    def _commit(self, changes: Changes, new: _Stream) -> None:
        selects = self._selects
        if not selects.has_arrays:
            self._database.commit(lambda session: in_steps.apply(selects, session, changes, new))
        elif new.is_long:
            self._database.commit(lambda session: self._stream(session, changes, iter(new)))
        else:
            self._database.commit(lambda session: at_once.apply(selects, session, changes, new.head), alone=True)

    def _stream(self, session: Session, changes: Changes, new: Iterator[tuple[CardRecord, EntryRecord]]) -> None:
        dialect = self._database.dialect
        if dialect.driver == "psycopg" and not dialect.is_async:
            at_once.copy_in(self._selects, session, new)
        else:
            while chunk := list(itertools.islice(new, _BULK)):
                at_once.apply(self._selects, session, Changes(), chunk)
        at_once.apply(self._selects, session, changes, ())

    def close(self) -> None:
        """
        Give back everything that is held: an engine that was made for a URL. Any other stays as it is.
        """
        self._database.close()

    # Tables

    def _check(self, create: bool) -> None:  # noqa: FBT001 - private, and what it is called with
        known = _checked.setdefault(self._database.dialect, set())
        if self._tables in known:
            return
        try:
            found = self._version()
        except NotABookError:
            if not create:
                raise
            self._create()
            found = self._version()
        if found is not None and found > SCHEMA_VERSION:
            raise SchemaError(found=found, known=SCHEMA_VERSION)
        if not self.joined:
            self._warn_of_losses()
            if found is None:
                # Another process has done it, or a user that may write has to.
                with suppress(Collision, StoreReadOnlyError):
                    self._database.commit(self._write_version)
        known.add(self._tables)

    def _warn_of_losses(self) -> None:
        question = _CARELESS.get(self._database.dialect.name)
        if question and (found := self._rows(lambda session: session.rows(Statement(question, (), {})))):
            logging.getLogger("voipcard").warning(
                "the database may lose what was committed when it crashes: %s",
                ", ".join(f"{name} is {setting}" for name, setting in found),
            )

    def _version(self) -> int | None:
        if isinstance(self._database, Joined) and not self._database.has(self._tables.version):
            raise NotABookError(NO_TABLES)
        version = self._tables.version.c.version
        statement = compiled(self._database.dialect, select(version))
        rows = self._rows(lambda session: session.rows(statement))

        return max((int(found) for (found,) in rows), default=None)

    def _write_version(self, session: Session) -> None:
        row = insert(self._tables.version).values(book=1, version=SCHEMA_VERSION)
        session.change(compiled(self._database.dialect, row))

    def _create(self) -> None:
        assert isinstance(self._database, Owned)  # noqa: S101 - joined stores were refused
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return self._tables.metadata.create_all(self._database.engine, tables=self._tables.all())
            except SQLAlchemyError as error:
                # Another process may be making them at the same moment, table by table.
                if meaning(error) not in {"there", "taken"} or time.monotonic() > deadline:
                    raise translated(error) from driver_error(error)
            time.sleep(_PAUSE)

    def _rows(self, work: Callable[[Session], Sequence[tuple[Any, ...]]]) -> Sequence[tuple[Any, ...]]:
        return self._database.read(work)

    def _among(self, asked: Sequence[Any], column: Any, values: Iterable[Any]) -> list[tuple[Any, ...]]:  # noqa: ANN401
        wanted = list(values)
        if not wanted:
            return []

        return self._database.read(lambda session: self._selects.among(session, asked, column, wanted))


class _ForeignError(Exception):
    """
    The caller's cards failed while they were iterated.

    Attributes:
        error: What they raised: it goes back to the caller as it is, whatever it looks like.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class _Stream:
    """
    New cards that may be iterated again. What was drawn to see how many they are is not drawn a second time at first.

    Attributes:
        head: The first of them.
        is_long: Whether there are more.
    """

    def __init__(self, new: Iterable[tuple[CardRecord, EntryRecord]]) -> None:
        self._new: Final = new
        rest = iter(new)
        self.head: Final = list(itertools.islice(rest, _BULK))
        self.is_long: Final = len(self.head) == _BULK
        self._first: Final = [itertools.chain(self.head, rest)]

    def __iter__(self) -> Iterator[tuple[CardRecord, EntryRecord]]:
        rows = self._first.pop() if self._first else iter(self._new if self.is_long else self.head)
        try:
            yield from rows
        except Exception as error:
            raise _ForeignError(error) from error


def _database(place: Engine | Connection | str) -> Database:
    if isinstance(place, str):
        return Owned(_engine(place), disposes=True)
    if not isinstance(place, Engine | Connection):
        raise InvalidValueError("place", "has to be a SQLAlchemy Engine, a Connection or a URL")
    if place.get_execution_options().get("schema_translate_map"):
        raise InvalidValueError("place", "cannot have a schema_translate_map: use build_tables(schema=)")
    is_joined = isinstance(place, Connection)
    _refuse_driver(place.dialect.name, place.dialect.driver, _JOINED_DRIVERS if is_joined else _DRIVERS)
    if isinstance(place, Connection):
        return Joined(place)
    if isinstance(place.pool, StaticPool):
        raise InvalidValueError("place", "cannot have a StaticPool: threads would share one transaction")

    return Owned(place)


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        name, driver = parsed.get_backend_name(), parsed.get_driver_name()
    except (SQLAlchemyError, ValueError):
        name, driver = "", ""
    _refuse_driver(name, driver, _DRIVERS)
    try:
        # SQLite's driver would wait for other processes for 5 seconds only.
        patience = {"timeout": PATIENCE} if name == "sqlite" and "timeout" not in parsed.query else {}

        # What was not committed is rolled back already when a connection is given back.
        return create_engine(url, pool_reset_on_return=None, connect_args=patience)
    except ImportError as error:
        message = f"{name} needs a driver: install voipcard[{'postgresql' if name == 'postgresql' else 'mysql'}]"
        raise ImportError(message, name=error.name) from error
    except (SQLAlchemyError, TypeError, ValueError) as error:
        raise InvalidValueError("place", "has an option that SQLAlchemy does not know") from error


def _refuse_driver(name: str, driver: str, known: Collection[tuple[str, str]]) -> None:
    if (name, driver) not in known:
        raise InvalidValueError("place", f"has to be one of {', '.join(map('+'.join, known))}")
