"""
Transactions of a store's own, each on a connection of an engine's pool, and when they are tried again.
"""

from __future__ import annotations

import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from weakref import WeakKeyDictionary

import attrs
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import PoolProxiedConnection

from voipcard.errors import StoreBusyError, StoreClosedError, StoreError
from voipcard.stores.servers.failures import Collision, driver_error, meaning, translated
from voipcard.stores.servers.sessions import DriverSession, PostgreSQLSession, Session, written_by_position

if TYPE_CHECKING:
    from sqlalchemy.engine.interfaces import DBAPIModule

__all__ = ["PATIENCE", "Owned"]

T = TypeVar("T")

PATIENCE: Final = 30.0
"""For how many seconds a transaction is tried that the database wants once more, and SQLite's turn is waited for."""

_LOSSES: Final = 3
"""After how many lost connections it is not tried again: perhaps the server ends them because of what it is told."""

_SHORTEST_PAUSE: Final = 0.001
_LONGEST_PAUSE: Final = 0.1

_MESSAGES: Final = 10
"""How many times a server that was not asked is listened to, before it is taken for gone."""

_READ_COMMITTED: Final = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED"

_BEGIN: Final = {
    "postgresql": [_READ_COMMITTED],
    # Begun explicitly, because an engine may have its connections in autocommit mode.
    "mariadb": [_READ_COMMITTED, "START TRANSACTION"],
    "mysql": [_READ_COMMITTED, "START TRANSACTION"],
    "sqlite": ["BEGIN IMMEDIATE"],
}
"""What a transaction of ours begins with: versions are read with locks, and what others committed is to be seen."""

_TURNS: Final[WeakKeyDictionary[Engine, threading.Lock]] = WeakKeyDictionary()
"""
Whose turn it is to write to SQLite, by engine, which several stores may have.

SQLite lets one write at a time, and the others look again and again whether it is free, less and less often: among many
threads that write without a pause one could look in vain for longer than the 5 seconds that the driver looks.
"""

# A fork may have copied the turn of a thread that is not there.
os.register_at_fork(after_in_child=_TURNS.clear)


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
        self._session: Final = PostgreSQLSession if self._is_postgresql else DriverSession
        self.dialect: Final = written_by_position(engine.dialect, raw=self._is_postgresql)
        self.engine: Final = engine
        self._disposes: Final = disposes
        self._process: Final = os.getpid()
        self._closed = False
        self._driver: Final = engine.dialect.loaded_dbapi.Error
        self._failures: Final = (self._driver, SQLAlchemyError)
        self._turn: Final = _TURNS.setdefault(engine, threading.Lock()) if engine.dialect.name == "sqlite" else None

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
            except self._failures as error:
                raise self._failure(error, lent) from driver_error(error)
            finally:
                if not self._is_postgresql:
                    self._undo(lent)  # What is read next is what is there then.

        return rows

    def commit(self, work: Callable[[Session], None], *, alone: bool = False) -> None:
        """
        Write in a transaction, again and again while the database asks for it.
        """
        self.refuse_use()
        if self._turn is None:
            return self._commit_in_turn(work, alone=alone)
        if not self._turn.acquire(timeout=PATIENCE):
            raise StoreBusyError("other threads kept the database from doing this for too long")
        try:
            return self._commit_in_turn(work, alone=alone)
        finally:
            self._turn.release()

    def _commit_in_turn(self, work: Callable[[Session], None], *, alone: bool) -> None:
        deadline = time.monotonic() + PATIENCE
        longest, losses = _SHORTEST_PAUSE, 0
        while True:
            try:
                return self._commit(work, alone=alone and self._is_postgresql)
            except _AgainError as again:
                losses += again.is_lost
                if time.monotonic() > deadline or losses == _LOSSES:
                    raise again.said from again.__cause__
            time.sleep(longest * os.urandom(1)[0] / 255)
            longest = min(_LONGEST_PAUSE, 2 * longest)

    def _commit(self, work: Callable[[Session], None], *, alone: bool) -> None:
        with self._lent(autocommit=alone) as lent:
            session = self._session(lent)
            is_at_the_end = alone
            try:
                for statement in () if alone else _BEGIN[self.dialect.name]:
                    session.say(statement)
                work(session)
                if not alone:
                    is_at_the_end = True
                    self.dialect.do_commit(lent)
            except Exception as error:
                failure = None
                if isinstance(error, self._failures):
                    failure = self._failure(error, lent, is_at_the_end=is_at_the_end)
                if not alone:
                    self._undo(lent)
                if failure is None:
                    raise
                raise failure from driver_error(error)

    def _undo(self, lent: PoolProxiedConnection) -> None:
        """
        Roll back what may have been begun. What cannot be rolled back is not used any more.
        """
        if lent.is_valid:
            try:
                self.dialect.do_rollback(lent)
            except self._failures:
                lent.invalidate()

    @contextmanager
    def _lent(self, *, autocommit: bool) -> Iterator[PoolProxiedConnection]:
        self.refuse_use()
        lent = self._borrowed()
        before = self._autocommit(lent, autocommit)
        try:
            yield lent
        except (StoreError, Collision, _AgainError):
            raise
        except BaseException:
            # Interrupted: perhaps in the middle of an answer, which the next one would take for its own.
            if lent.is_valid:
                lent.invalidate()
            raise
        finally:
            if lent.is_valid:
                try:
                    self._autocommit(lent, before)
                except self._failures:
                    lent.invalidate()
                else:
                    lent.close()

    def _autocommit(self, lent: PoolProxiedConnection, wanted: bool) -> bool:  # noqa: FBT001 - as psycopg names it
        """
        Let each statement be a transaction or not, where that costs no round trip, and give how it was before.
        """
        connection: Any = lent.dbapi_connection
        if not self._is_postgresql or connection.autocommit == wanted:
            return wanted
        connection.autocommit = wanted

        return not wanted

    def _borrowed(self) -> PoolProxiedConnection:
        try:
            lent = self.engine.raw_connection()
            if self._is_postgresql and _is_unfit(lent.dbapi_connection):
                lent.invalidate()
                self.engine.dispose()
                lent = self.engine.raw_connection()
        except (*self._failures, OSError, TypeError, ValueError, AttributeError) as error:
            # Drivers read their part of an address only now.
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
            return lost if is_at_the_end else _AgainError(lost, is_lost=True)
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


def _is_unfit(connection: Any) -> bool:  # noqa: ANN401 - psycopg's
    """
    Tell whether somebody left a connection in a transaction, or the server has hung up since it was used.

    Who finds out the latter with a commit does not know whether that was applied.
    """
    from psycopg import Error
    from psycopg.pq import TransactionStatus

    if connection.pgconn.transaction_status != TransactionStatus.IDLE:
        return True
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
        is_lost: Whether it was the connection that failed.
    """

    def __init__(self, said: StoreError, *, is_lost: bool = False) -> None:
        super().__init__()
        self.said = said
        self.is_lost = is_lost
