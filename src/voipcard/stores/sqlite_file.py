"""
One SQLite file: its connections, who may write, in which journal, and what SQLite's errors mean.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs

from voipcard.errors import (
    NotABookError,
    StoreBusyError,
    StoreClosedError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
    storage_error,
)

if TYPE_CHECKING:
    import sqlite3
else:
    try:
        import pysqlite3 as sqlite3  # The extra `sqlite`: newer than what most Pythons are linked with.
    except ImportError:
        import sqlite3

__all__ = ["FAILURES", "Collision", "Journal", "SQLiteFile", "sqlite3", "wal_is_safe"]

Journal: TypeAlias = Literal["wal", "delete"]


class Collision(Exception):  # noqa: N818 - no error yet: the commit finds out what it collided with
    """
    Something that a commit wanted to write is there already.
    """


UNFIT: Final = (OverflowError, UnicodeError)
"""What SQLite raises for a value that it cannot take."""

PAGES_PER_CHECKPOINT: Final = 4000
"""
How long the write-ahead log gets before it is copied into the database: 16 MB, four times SQLite's default, so that a
page that changes again and again is copied less often.
"""

FAILURES: Final = (sqlite3.Error, *UNFIT)


def wal_is_safe(version: tuple[int, int, int]) -> bool:
    """
    Tell whether this SQLite keeps commits in WAL mode when several connections write and checkpoint at once.

    Releases before 3.51.3 can lose them ("WAL-reset bug"); the fix was also published as 3.50.7 and 3.44.6.
    """
    return version >= (3, 51, 3) or (3, 50, 7) <= version < (3, 51, 0) or (3, 44, 6) <= version < (3, 45, 0)


class SQLiteFile:
    """
    A file that many threads and processes read and write. Any number of threads read, one writes.

    Args:
        path: The file. It is made, with the permissions 0600, if it does not exist.

        journal: `wal` or `delete`; None for the better one that is safe here.

        timeout: For how many seconds a call waits for others.
    """

    begin = "BEGIN IMMEDIATE"  # A deferred transaction that reads first is refused when it wants to write.

    def __init__(self, path: str | os.PathLike[str], journal: Journal | None, timeout: float) -> None:
        safe = wal_is_safe(sqlite3.sqlite_version_info)
        if journal == "wal" and not safe:
            raise StoreError(f"SQLite {sqlite3.sqlite_version} can lose commits in WAL mode: install voipcard[sqlite]")
        self.path: Final = Path(path).absolute()
        self.journal: Final[Journal] = journal or ("wal" if safe else "delete")
        self._timeout: Final = timeout
        self._process: Final = os.getpid()
        self._write_lock: Final = threading.Lock()
        self._pool_lock: Final = threading.Lock()
        self._readers: list[sqlite3.Connection] = []
        self._writer: sqlite3.Connection | None = None
        self._closed = False
        _create_file(self.path)

    def close(self) -> None:
        """
        Close all connections, unless they came here by a fork: closing them would break the locks of the parent.
        """
        if self._process == os.getpid():
            with self._write_lock, self._pool_lock:
                self._closed = True
                for connection in [*self._readers, *([self._writer] if self._writer else [])]:
                    connection.close()
                self._readers.clear()
                self._writer = None

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path,
            timeout=self._timeout,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
            factory=_Connection,
        )
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            connection.execute("PRAGMA cell_size_check = ON")
            # In WAL mode EXTRA is FULL; with a rollback journal FULL can lose the last commit when the power fails.
            connection.execute("PRAGMA synchronous = EXTRA")
            connection.execute(f"PRAGMA wal_autocheckpoint = {PAGES_PER_CHECKPOINT}")
        except BaseException:
            connection.close()
            raise

        return connection

    def _connect_to_write(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            self._set_journal(connection)
        except BaseException:
            connection.close()
            raise

        return connection

    def _set_journal(self, connection: sqlite3.Connection) -> None:
        deadline = time.monotonic() + self._timeout
        while not self._has_journal(connection):
            if time.monotonic() > deadline:
                raise StoreBusyError(f"others keep {self.path.name} from getting a journal that is safe here")
            time.sleep(0.01)

    def _has_journal(self, connection: sqlite3.Connection) -> bool:
        """
        Try to give the file its journal. That takes a moment in which no other connection is open, also none of ours.
        """
        with self._pool_lock:
            while self._readers:
                self._readers.pop().close()
        try:
            [(journal,)] = connection.execute(f"PRAGMA journal_mode = {self.journal}").fetchall()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF not in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                raise
            return False

        # With this synchronous setting a rollback journal is always safe, only slower.
        return journal in {self.journal, "delete"}

    def refuse_use(self) -> None:
        """
        Refuse to go on after `close` or a fork.

        Raises:
            StoreClosedError: If the store is closed, or was opened by another process.
        """
        if self._process != os.getpid():
            raise StoreClosedError("the store was opened by another process: open it again after a fork")
        if self._closed:
            raise StoreClosedError("the store is closed")

    def translation(self, error: Exception) -> StoreError | Collision:
        """
        Say what an error of SQLite means.
        """
        if isinstance(error, sqlite3.IntegrityError) and str(error).startswith("UNIQUE "):
            return Collision()

        return _meaning(error, self.path)

    @contextmanager
    def binding(self) -> Generator[None]:
        """
        Say as a `StoreError` that SQLite cannot take a value.
        """
        try:
            yield
        except UNFIT as error:
            raise self.translation(error) from error

    @contextmanager
    def reading(self) -> Generator[sqlite3.Connection]:
        """
        Lend a connection to read with. Where anything raises it is closed, with whatever was left open or half done.
        """
        self.refuse_use()
        try:
            connection = self._borrow()
            try:
                yield connection
            except BaseException:
                connection.close()
                raise
            self._give_back(connection)
        except FAILURES as error:
            raise self.translation(error) from error

    def read(self, sql: str, parameters: Sequence[bytes | int | str | None]) -> list[tuple[Any, ...]]:
        """
        Give the rows of a query, without keeping anybody from writing.
        """
        # As `reading`, but without what a generator costs: a lookup takes little more.
        self.refuse_use()
        try:
            connection = self._borrow()
            try:
                return connection.execute(sql, parameters).fetchall()
            finally:
                self._give_back(connection)
        except FAILURES as error:
            raise self.translation(error) from error

    def glance(self, sql: str, parameters: Sequence[bytes | int | str | None]) -> list[tuple[Any, ...]]:
        """
        Give the few rows of a query that is answered at once.

        Where nobody writes, the connection that writes is asked: it still has the pages that it wrote, while any other
        one has to read them again after each commit.
        """
        if self._writer is None:
            return self.read(sql, parameters)
        self.refuse_use()
        is_held = False
        try:
            is_held = self._write_lock.acquire(blocking=False)
            if is_held and self._writer is not None:
                return self._writer.execute(sql, parameters).fetchall()
        except FAILURES as error:
            raise self.translation(error) from error
        finally:
            if is_held:
                self._write_lock.release()

        return self.read(sql, parameters)

    def _borrow(self) -> sqlite3.Connection:
        with self._pool_lock:
            connection = self._readers.pop() if self._readers else None

        return connection or self._connect()

    def _give_back(self, connection: sqlite3.Connection) -> None:
        with self._pool_lock:
            if self._closed:
                connection.close()
            else:
                self._readers.append(connection)

    @contextmanager
    def writing(self, bulk: sqlite3.Connection | None = None) -> Generator[sqlite3.Connection]:
        """
        Hold the write lock of the process and of the file; commit at the end, roll back where anything raised.
        """
        is_held = False
        try:
            is_held = self._write_lock.acquire(timeout=self._timeout)
            if not is_held:
                raise StoreBusyError("other threads kept the store locked for too long")
            self.refuse_use()
            connection = bulk or self._writer or self._connect_to_write()
            if bulk is None:
                self._writer = connection
            try:
                # Whoever is interrupted while it waits for the file may get the lock of it all the same.
                connection.execute(self.begin)
                is_safe = self._keeps_its_journal(connection)
                if is_safe:
                    yield connection
                    self._end(connection)
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            if not is_safe:
                connection.close()
                if connection is self._writer:
                    self._writer = None
                raise StoreBusyError(f"the journal of {self.path.name} was changed to one that is not safe here")
        except FAILURES as error:
            raise self.translation(error) from error
        finally:
            if is_held:
                self._write_lock.release()

    def _keeps_its_journal(self, connection: sqlite3.Connection) -> bool:
        # Another process, whose SQLite may use WAL, can have changed the journal since this one connected.
        if self.journal == "wal":
            return True
        [(journal,)] = connection.execute("PRAGMA journal_mode").fetchall()

        return bool(journal == self.journal)

    def _end(self, connection: sqlite3.Connection) -> None:
        try:
            connection.execute("COMMIT")
        except sqlite3.OperationalError as error:
            if connection.in_transaction:
                raise
            # A full disk is noticed before the change is in place; after any other failure nobody knows.
            is_full = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL
            raise attrs.evolve(_meaning(error, self.path), maybe_applied=not is_full) from error

    @contextmanager
    def scratch(self) -> Generator[sqlite3.Connection]:
        """
        Give a connection of its own with an empty, private file attached as `scratch`, which has no name any more.

        A temporary table would do the same, but some builds of SQLite keep those in memory.
        """
        self.refuse_use()
        try:
            connection = self._connect_to_write()
            try:
                name = self._make_scratch_file()
                try:
                    connection.execute("ATTACH DATABASE ? AS scratch", [name])
                    connection.execute("PRAGMA scratch.journal_mode = OFF")
                    connection.execute("PRAGMA scratch.synchronous = OFF")
                    connection.execute("PRAGMA main.cache_size = -24576")
                    # The file is made with its first table.
                    connection.execute("CREATE TABLE scratch.made (x)")
                finally:
                    Path(name).unlink()
                yield connection
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise self.translation(error) from error

    def _make_scratch_file(self) -> str:
        import tempfile

        try:
            handle, name = tempfile.mkstemp(prefix=f".{self.path.name}-", dir=self.path.parent)
        except OSError as error:
            raise storage_error(error, self.path.name) from error
        os.close(handle)

        return name


class _Connection(sqlite3.Connection):
    """
    A connection that binds what the driver binds at once.

    For bytes, booleans and None the driver looks for an adapter each time, and raises within itself when there is none:
    that takes 2 µs a value, and most values of a commit are such.
    """

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:  # noqa: ANN401 - a sequence, whatever typeshed calls it
        """
        Execute a statement.
        """
        return super().execute(sql, _bound(parameters))

    def executemany(self, sql: str, rows: Iterable[Any], /) -> sqlite3.Cursor:
        """
        Execute a statement for each of many rows.
        """
        return super().executemany(sql, map(_bound, rows))


_NULL: Final = float("nan")
"""What SQLite binds as NULL: it has no value that is no number."""


def _bound(values: Iterable[Any]) -> list[Any]:
    return [
        bytearray(value)
        if (kind := value.__class__) is bytes
        else _NULL
        if value is None
        else int(value)
        if kind is bool
        else value
        for value in values
    ]


def _create_file(path: Path) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        # SQLite takes a file of one byte for an empty one, and would write over it.
        if not path.is_file() or path.stat().st_size == 1:
            raise NotABookError(f"{path.name} is not a card book") from None
    except OSError as error:
        raise storage_error(error, path.name) from error


def _meaning(error: Exception, path: Path) -> StoreError:
    # The primary code only: pysqlite3 does not know the extended ones.
    match getattr(error, "sqlite_errorcode", 0) & 0xFF:
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return StoreBusyError(f"others kept {path.name} locked for too long")
        case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
            return StoreFullError(f"the disk under {path.name}, or that of temporary files, is full or fails")
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM:
            return StoreReadOnlyError(f"{path.name} or its folder cannot be written")
        case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
            return NotABookError(f"{path.name} is not a card book, or is damaged")

    return StoreError(f"{path.name} cannot do this: {type(error).__name__}")
