"""
Taking part in the transaction of a caller.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, TypeVar
from weakref import WeakSet

import attrs
from sqlalchemy import Connection, Table, Transaction, inspect
from sqlalchemy.engine import Dialect
from sqlalchemy.exc import SQLAlchemyError

from voipcard.errors import StaleError, StoreClosedError, StoreError
from voipcard.stores.servers.failures import (
    NO_TRANSACTION,
    Collision,
    driver_error,
    is_timeout,
    meaning,
    translated,
)
from voipcard.stores.servers.sessions import JoinedSession, Session, written_by_position

__all__ = ["Joined"]

T = TypeVar("T")

_rolled_back: Final[WeakSet[Transaction]] = WeakSet()
"""Transactions of callers that the database has rolled back by itself."""

_IN_TRANSACTION: Final = 1
"""A flag of MariaDB's and MySQL's protocol: https://mariadb.com/docs/server/reference/clientserver-protocol"""


class Joined:
    """
    The transaction of a caller: a savepoint a commit, and nothing is committed, rolled back or closed.

    Args:
        connection: The caller's connection.
    """

    joined = True

    def __init__(self, connection: Connection) -> None:
        self.dialect: Final = written_by_position(connection.dialect)
        self._connection: Final = connection
        self._process: Final = os.getpid()
        self._closed = False
        self._failures: Final = (connection.dialect.loaded_dbapi.Error, SQLAlchemyError)

    def refuse_use(self) -> None:
        """
        Refuse to go on after `close`, or where the connection is closed.
        """
        if self._process != os.getpid():
            raise StoreClosedError("the store was opened by another process: join a connection of this one")
        if self._closed:
            raise StoreClosedError("the store is closed")
        if self._connection.closed:
            raise StoreClosedError("the connection that the store has joined is closed")
        if self._connection.get_transaction() in _rolled_back:
            raise StaleError(lasting=True)

    def has(self, table: Table) -> bool:
        """
        Tell whether a table is there, without asking what would end the transaction if it is not.
        """
        self.refuse_use()
        try:
            return inspect(self._connection).has_table(table.name, schema=table.schema)
        except self._failures as error:
            raise self._failure(error) from driver_error(error)

    def read(self, work: Callable[[Session], T]) -> T:
        """
        Read what the transaction sees.
        """
        self.refuse_use()
        try:
            return work(JoinedSession(self._connection))
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
        session = JoinedSession(self._connection)
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

    def _begin(self, session: JoinedSession) -> None:
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
