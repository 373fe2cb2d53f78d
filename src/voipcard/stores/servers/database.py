"""
A database through SQLAlchemy: whose the transactions are, when they are tried again, and what was the matter.

A store that is given an `Engine` has transactions of its own; one that is given a `Connection` joins its caller's.
"""

from __future__ import annotations

import copy
import functools
import os
import select
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol, TypeVar, cast
from weakref import WeakSet

import attrs
from sqlalchemy import Connection, Engine, Transaction
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql import ClauseElement

from voipcard.errors import StaleError, StoreClosedError, StoreError
from voipcard.stores.servers.failures import NO_TRANSACTION, driver_error, is_timeout, meaning, translated

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIModule

__all__ = ["Collision", "Database", "Joined", "Owned", "Session", "Statement", "binding", "compiled"]

T = TypeVar("T")

_PATIENCE: Final = 30.0
"""For how many seconds a transaction is tried that the database wants once more."""

_MESSAGES: Final = 10
"""How many times a server that was not asked is listened to, before it is taken for gone."""

_SHORTEST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.1

_UNFIT: Final = (OverflowError, UnicodeError, TypeError)
"""What drivers raise for values that they cannot take."""


class Collision(Exception):  # noqa: N818 - no error yet: the commit finds out what it collided with
    """
    A precondition of a commit does not hold, or something that it wanted to write is there already.
    """


class Statement(NamedTuple):
    """
    A statement as a driver takes it.

    Attributes:
        sql: Its text.
        names: The names of its parameters, in their order.
        constants: What those parameters are that nobody gives.
    """

    sql: str
    names: Sequence[str]
    constants: Mapping[str, Any]

    def values(self, given: Mapping[str, Any]) -> tuple[Any, ...]:
        """
        Give the parameters in their order.
        """
        return tuple(given[name] if name in given else self.constants[name] for name in self.names)


def compiled(dialect: Dialect, clause: ClauseElement) -> Statement:
    """
    Write a statement for a driver, with parameters by position.
    """
    written = clause.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})

    return Statement(str(written), getattr(written, "positiontup", None) or (), written.params)


def array(values: Sequence[Any]) -> str:
    """
    Write an array as PostgreSQL reads it, which takes a fraction of what a driver takes for each element.

    Raises:
        StoreError: If the values are of several types.
    """
    kind = next((type(value) for value in values if value is not None), int)
    try:
        parts = ["NULL" if value is None else _WRITTEN.get(kind, str)(value) for value in values]
    except (AttributeError, TypeError) as error:
        raise StoreError("the database cannot take a value") from error

    return "{" + ",".join(parts) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _in_hexadecimal(data: bytes) -> str:
    return f'"\\\\x{data.hex()}"'


_WRITTEN: Final[Mapping[type, Callable[[Any], str]]] = {bytes: _in_hexadecimal, str: _quoted}


class Session(Protocol):
    """
    A connection while it is lent.
    """

    @property
    def connection(self) -> Any:  # noqa: ANN401 - each driver has its own
        """
        The driver's own connection.
        """
        ...

    def rows(self, statement: Statement, given: Mapping[str, Any] = {}) -> Sequence[tuple[Any, ...]]:
        """
        Give the rows of a query.
        """
        ...

    def change(self, statement: Statement, given: Mapping[str, Any] = {}) -> int:
        """
        Change rows, and give how many there were.
        """
        ...

    def change_many(self, statement: Statement, rows: Sequence[tuple[Any, ...]]) -> None:
        """
        Do the same for many rows of parameters.
        """
        ...

    def say(self, sql: str) -> None:
        """
        Execute a text as it is.
        """
        ...


@functools.lru_cache(maxsize=64)
def _written_by_position(dialect: Dialect, *, raw: bool = False) -> Dialect:
    """
    Give a dialect that writes parameters by position; *raw* as PostgreSQL itself has them.
    """
    if dialect.paramstyle != "pyformat":
        return dialect
    dialect = copy.copy(dialect)
    dialect.paramstyle, dialect.positional = "numeric_dollar" if raw else "format", True

    return dialect


class _DriverSession:
    """
    A connection of a pool, used without SQLAlchemy, which would take longer than a small statement.
    """

    def __init__(self, lent: PoolProxiedConnection) -> None:
        self.connection: Any = lent.dbapi_connection

    def cursor(self) -> Any:  # noqa: ANN401 - each driver has its own
        return self.connection.cursor()

    def rows(self, statement: Statement, given: Mapping[str, Any] = {}) -> Sequence[tuple[Any, ...]]:
        with self._executed(statement.sql, statement.values(given)) as cursor:
            rows: Sequence[tuple[Any, ...]] = cursor.fetchall()

        return rows

    def change(self, statement: Statement, given: Mapping[str, Any] = {}) -> int:
        with self._executed(statement.sql, statement.values(given)) as cursor:
            return int(cursor.rowcount)

    def change_many(self, statement: Statement, rows: Sequence[tuple[Any, ...]]) -> None:
        with closing(self.cursor()) as cursor, binding():
            cursor.executemany(statement.sql, rows)

    def say(self, sql: str) -> None:
        with self._executed(sql, ()):
            pass

    @contextmanager
    def _executed(self, sql: str, values: tuple[Any, ...]) -> Iterator[Any]:
        with closing(self.cursor()) as cursor:
            with binding():
                cursor.execute(sql, values)
            yield cursor


class _PostgreSQLSession(_DriverSession):
    """
    The same with statements as PostgreSQL itself takes them: psycopg would take longer to read them than to send them.
    """

    def cursor(self) -> Any:  # noqa: ANN401 - each driver has its own
        from psycopg import RawCursor
        from psycopg.pq import Format

        cursor = RawCursor(self.connection)
        cursor.format = Format.BINARY  # of what comes back

        return cursor


class _JoinedSession:
    """
    The connection of a caller, used through SQLAlchemy, so that its transaction, events and logging go on as they do.
    """

    def __init__(self, caller: Connection) -> None:
        self._caller = caller

    @property
    def connection(self) -> Any:  # noqa: ANN401 - each driver has its own
        return self._caller.connection.dbapi_connection

    def rows(self, statement: Statement, given: Mapping[str, Any] = {}) -> Sequence[tuple[Any, ...]]:
        with binding(), self._caller.exec_driver_sql(statement.sql, statement.values(given)) as result:
            return [tuple(row) for row in result]

    def change(self, statement: Statement, given: Mapping[str, Any] = {}) -> int:
        with binding(), self._caller.exec_driver_sql(statement.sql, statement.values(given)) as result:
            return result.rowcount

    def change_many(self, statement: Statement, rows: Sequence[tuple[Any, ...]]) -> None:
        with binding():
            self._caller.exec_driver_sql(statement.sql, list(rows)).close()

    def say(self, sql: str) -> None:
        self._caller.exec_driver_sql(sql).close()


@contextmanager
def binding() -> Iterator[None]:
    """
    Say as a `StoreError` that a driver cannot take a value.
    """
    try:
        yield
    except _UNFIT as error:
        raise StoreError("the database cannot take a value") from error


class Database(Protocol):
    """
    Where a store reads and commits.

    Attributes:
        joined: Whether the transactions are the caller's.
    """

    joined: bool

    @property
    def dialect(self) -> Dialect:
        """
        What SQLAlchemy knows of the server.
        """
        ...

    def refuse_use(self) -> None:
        """
        Refuse to go on after `close` or a fork.
        """
        ...

    def read(self, work: Callable[[Session], T]) -> T:
        """
        Read. What *work* reads it may read twice.
        """
        ...

    def commit(self, work: Callable[[Session], None], *, alone: bool = False) -> None:
        """
        Write all that *work* writes, or nothing; *alone* if it is a single statement.

        Raises:
            Collision: If a unique value is taken, or the statement refused itself.
        """
        ...

    def judged(self, refusal: StoreError) -> StoreError:
        """
        Say of a refusal whether reading again would tell anything new.
        """
        ...

    def close(self) -> None:
        """
        Give back everything that is held.
        """
        ...


class Owned:
    """
    A database with transactions of its own, each on a connection of an engine's pool.

    Args:
        engine: The engine.

        disposes: Whether the engine is disposed of with `close`, because it was made for this store.
    """

    joined = False

    def __init__(self, engine: Engine, *, disposes: bool = False) -> None:
        self._is_postgresql: Final = engine.dialect.name == "postgresql"
        self._session: Final = _PostgreSQLSession if self._is_postgresql else _DriverSession
        self.dialect: Final = _written_by_position(engine.dialect, raw=self._is_postgresql)
        self.engine: Final = engine
        self._disposes: Final = disposes
        self._process: Final = os.getpid()
        self._closed = False
        self._driver: Final = engine.dialect.loaded_dbapi.Error
        self._failures: Final = (self._driver, SQLAlchemyError)

    def refuse_use(self) -> None:
        """
        Refuse to go on after `close` or a fork.
        """
        if self._process != os.getpid():
            raise StoreClosedError("the store was opened by another process: open it again after a fork")
        if self._closed:
            raise StoreClosedError("the store is closed")

    def read(self, work: Callable[[Session], T]) -> T:
        """
        Read, once more if the connection was lost since it was last used.
        """
        try:
            return self._read(work)
        except _AgainError:
            try:
                return self._read(work)
            except _AgainError as again:
                raise again.said from again.__cause__

    def _read(self, work: Callable[[Session], T]) -> T:
        with self._lent(autocommit=True) as lent:
            try:
                rows = work(self._session(lent))
                if not self._is_postgresql:
                    self.dialect.do_rollback(lent)  # What is read next is what is there then.
            except self._failures as error:
                raise self._failure(error, lent) from driver_error(error)

        return rows

    def commit(self, work: Callable[[Session], None], *, alone: bool = False) -> None:
        """
        Write in a transaction, again and again while the database asks for it.
        """
        deadline = time.monotonic() + _PATIENCE
        longest = _SHORTEST_PAUSE
        while True:
            try:
                return self._commit(work, alone=alone and self._is_postgresql)
            except _AgainError as again:
                if time.monotonic() > deadline:
                    raise again.said from again.__cause__
            time.sleep(longest * os.urandom(1)[0] / 255)
            longest = min(_LONGEST_PAUSE, 2 * longest)

    def _commit(self, work: Callable[[Session], None], *, alone: bool) -> None:
        with self._lent(autocommit=alone) as lent:
            session = self._session(lent)
            is_at_the_end = alone
            try:
                if not alone:
                    session.say(_BEGIN[self.dialect.name])
                work(session)
                if not alone:
                    is_at_the_end = True
                    self.dialect.do_commit(lent)
            except BaseException as error:
                if not alone:
                    with suppress(*self._failures):
                        self.dialect.do_rollback(lent)
                if isinstance(error, self._failures):
                    raise self._failure(error, lent, is_at_the_end=is_at_the_end) from driver_error(error)
                raise

    @contextmanager
    def _lent(self, *, autocommit: bool) -> Iterator[PoolProxiedConnection]:
        self.refuse_use()
        lent = self._borrowed()
        connection: Any = lent.dbapi_connection
        try:
            if self._is_postgresql and connection.autocommit != autocommit:
                connection.autocommit = autocommit
                try:
                    yield lent
                finally:
                    with suppress(*self._failures):
                        connection.autocommit = not autocommit
            else:
                yield lent
        except Exception:
            raise
        except BaseException:
            # Interrupted: perhaps in the middle of an answer, that the next one would take for its own.
            lent.invalidate()
            raise
        finally:
            if lent.is_valid:
                lent.close()

    def _borrowed(self) -> PoolProxiedConnection:
        try:
            lent = self.engine.raw_connection()
            if self._is_postgresql and _is_gone(lent.dbapi_connection):
                lent.invalidate()
                self.engine.dispose()
                lent = self.engine.raw_connection()
        except self._failures as error:
            said = translated(error)
            if type(said) is StoreError:
                said = StoreError("the database cannot be reached")
            raise said from driver_error(error)

        return lent

    def _failure(self, error: Exception, lent: PoolProxiedConnection, *, is_at_the_end: bool = False) -> Exception:
        """
        Say what to raise; *is_at_the_end* where the change may have been applied before the error.
        """
        said = meaning(error)
        if said in {"taken", "refused"}:
            return Collision()
        if said == "again":
            return _AgainError(translated(error))
        if said == "other" and self._is_lost(error, lent):
            lent.invalidate()
            self.engine.dispose()  # The others of the pool are lost as well.
            lost = StoreError("the connection to the database was lost", maybe_applied=is_at_the_end)
            return lost if is_at_the_end else _AgainError(lost)
        # What PostgreSQL refuses it has not done. Of others that is not known when it is a COMMIT that fails.
        maybe_applied = is_at_the_end and not self._is_postgresql and said != "busy"

        return attrs.evolve(translated(error), maybe_applied=maybe_applied)

    def _is_lost(self, error: Exception, lent: PoolProxiedConnection) -> bool:
        said_by_driver = cast("DBAPIModule.Error", error)
        connection: Any = lent.dbapi_connection

        return isinstance(error, self._driver) and self.dialect.is_disconnect(said_by_driver, connection, None)

    def judged(self, refusal: StoreError) -> StoreError:
        """
        Give the refusal as it is: what is read again is what is there then.
        """
        return refusal

    def close(self) -> None:
        """
        Give back the engine, if it was made for this store.
        """
        if not self._closed and self._disposes and self._process == os.getpid():
            self.engine.dispose()
        self._closed = True


class Joined:
    """
    The transaction of a caller: a savepoint a commit, and nothing is committed, rolled back or closed.

    Args:
        connection: The caller's connection.
    """

    joined = True

    def __init__(self, connection: Connection) -> None:
        self.dialect: Final = _written_by_position(connection.dialect)
        self._connection: Final = connection
        self._closed = False
        self._failures: Final = (connection.dialect.loaded_dbapi.Error, SQLAlchemyError)

    def refuse_use(self) -> None:
        """
        Refuse to go on after `close`, or where the connection is closed.
        """
        if self._closed:
            raise StoreClosedError("the store is closed")
        if self._connection.closed:
            raise StoreClosedError("the connection that the store has joined is closed")
        if self._connection.get_transaction() in _rolled_back:
            raise StaleError(lasting=True)

    def read(self, work: Callable[[Session], T]) -> T:
        """
        Read what the transaction sees.
        """
        self.refuse_use()
        try:
            return work(_JoinedSession(self._connection))
        except self._failures as error:
            raise self._failure(error) from driver_error(error)

    def commit(
        self,
        work: Callable[[Session], None],
        *,
        alone: bool = False,  # noqa: ARG002 - there is a savepoint either way
    ) -> None:
        """
        Write in a savepoint.
        """
        self.refuse_use()
        session = _JoinedSession(self._connection)
        try:
            self._begin(session)
            savepoint = self._connection.begin_nested()
            try:
                work(session)
            except BaseException:
                with suppress(*self._failures):  # The database may have rolled back everything already.
                    savepoint.rollback()
                raise
            savepoint.commit()
        except self._failures as error:
            raise self._failure(error) from driver_error(error)

    def _begin(self, session: _JoinedSession) -> None:
        if not self._connection.in_transaction():
            self._connection.begin()
        driver: Any = self._connection.connection.driver_connection
        if _commits_by_itself(self.dialect, driver):
            raise StoreError(NO_TRANSACTION)
        # SQLite's driver begins no transaction for a savepoint, and would commit with its release.
        if self.dialect.name == "sqlite" and not driver.in_transaction:
            session.say("BEGIN IMMEDIATE")

    def _failure(self, error: Exception) -> Exception:
        said = meaning(error)
        if said in {"taken", "refused"}:
            return Collision()
        if self._connection.invalidated:
            return StoreError("the connection to the database was lost: roll the transaction back")
        if said != "again" or is_timeout(error):
            return translated(error)
        # MariaDB and MySQL have rolled back all of it, and would take what comes next for a new transaction.
        if self.dialect.name in {"mariadb", "mysql"} and (begun := self._connection.get_transaction()):
            _rolled_back.add(begun)

        return StaleError(lasting=True)

    def judged(self, refusal: StoreError) -> StoreError:
        """
        Say of what is stale whether the transaction reads what it read before, whatever others commit.
        """
        # In a transaction that can write, SQLite sees what is there.
        if not isinstance(refusal, StaleError) or refusal.lasting or self.dialect.name == "sqlite":
            return refusal
        level = self._connection.get_isolation_level()

        return attrs.evolve(refusal, lasting=level not in {"READ COMMITTED", "READ UNCOMMITTED", "AUTOCOMMIT"})

    def close(self) -> None:
        """
        Leave the connection as it is.
        """
        self._closed = True


_rolled_back: Final[WeakSet[Transaction]] = WeakSet()
"""Transactions of callers that the database has rolled back by itself."""

_IN_TRANSACTION: Final = 1
"""A flag of MariaDB's and MySQL's protocol: https://mariadb.com/docs/server/reference/clientserver-protocol"""

_BEGIN: Final = {
    "postgresql": "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "mariadb": "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "mysql": "SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
    "sqlite": "BEGIN IMMEDIATE",
}
"""What a transaction of ours begins with: versions are read with locks, and what others committed is to be seen."""


def _commits_by_itself(dialect: Dialect, connection: Any) -> bool:  # noqa: ANN401 - each driver has its own
    """
    Tell whether a connection has begun no transaction, and would commit each statement. PostgreSQL's say so themselves.
    """
    if dialect.name == "sqlite":
        return connection.isolation_level is None and not connection.in_transaction
    if dialect.name == "postgresql":
        return False
    has_begun = getattr(connection, "server_status", 0) & _IN_TRANSACTION

    return bool(connection.get_autocommit() and not has_begun)


def _is_gone(connection: Any) -> bool:  # noqa: ANN401 - psycopg's
    """
    Tell whether the server has hung up since the connection was used.

    Who finds it out with a commit does not know whether that was applied.
    """
    from psycopg import Error

    waiting = select.poll()
    try:
        waiting.register(connection.fileno(), select.POLLIN)
        # Most often nothing has come. What else may come are notices, and the tickets of TLS.
        for _ in range(_MESSAGES):
            if not waiting.poll(0):
                return False
            connection.pgconn.consume_input()
    except Error:
        pass

    return True


class _AgainError(Exception):
    """
    Nothing was applied, and it is worth trying once more.

    Attributes:
        said: What to raise if it is not.
    """

    def __init__(self, said: StoreError) -> None:
        super().__init__()
        self.said = said
