"""
What is said to a database, and over which connection: a driver's own, or that of a caller.
"""

from __future__ import annotations

import copy
import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.engine import Dialect
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.sql import ClauseElement

from voipcard.errors import StoreError

__all__ = [
    "DriverSession",
    "JoinedSession",
    "PostgreSQLSession",
    "Session",
    "Statement",
    "array",
    "binding",
    "compiled",
    "written_by_position",
]

_UNFIT: Final = (OverflowError, UnicodeError, TypeError)
"""What drivers raise for values that they cannot take."""


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


@functools.lru_cache(maxsize=64)
def written_by_position(dialect: Dialect, *, raw: bool = False) -> Dialect:
    """
    Give a dialect that writes parameters by position; *raw* as PostgreSQL itself has them.
    """
    if dialect.paramstyle not in {"pyformat", "format"}:
        return dialect
    dialect = copy.copy(dialect)
    dialect.paramstyle, dialect.positional = "numeric_dollar" if raw else "format", True
    dialect.identifier_preparer = dialect.preparer(dialect)  # Percent signs in names are doubled for some styles only.

    return dialect


class Session(ABC):
    """
    A connection while it is lent.
    """

    @property
    @abstractmethod
    def connection(self) -> Any:  # noqa: ANN401 - each driver has its own
        """
        The driver's own connection.
        """

    def rows(self, statement: Statement, given: Mapping[str, Any] = {}) -> Sequence[tuple[Any, ...]]:
        """
        Give the rows of a query.
        """
        with self._executed(statement.sql, statement.values(given)) as result:
            return list(map(tuple, result.fetchall()))

    def each(self, statement: Statement, given: Mapping[str, Any] = {}) -> Generator[tuple[Any, ...]]:
        """
        Give them one by one, where the driver reads them so: SQLite's does. To be closed, whatever becomes of them.
        """
        with self._executed(statement.sql, statement.values(given)) as result:
            yield from map(tuple, result)

    def change(self, statement: Statement, given: Mapping[str, Any] = {}) -> int:
        """
        Change rows, and give how many there were.
        """
        with self._executed(statement.sql, statement.values(given)) as result:
            return int(result.rowcount)

    def change_many(self, statement: Statement, rows: Sequence[tuple[Any, ...]]) -> None:
        """
        Do the same for many rows of parameters.
        """
        with self._executed(statement.sql, rows, many=True):
            pass

    def say(self, sql: str) -> None:
        """
        Execute a text as it is.
        """
        with self._executed(sql, ()):
            pass

    @abstractmethod
    def _executed(self, sql: str, given: Sequence[Any], *, many: bool = False) -> AbstractContextManager[Any]:
        """
        Execute a statement, with one row of parameters or *many*, and give what has its outcome.
        """


class DriverSession(Session):
    """
    A connection of a pool, used without SQLAlchemy, which would take longer than a small statement.
    """

    connection: Any = None

    def __init__(self, lent: PoolProxiedConnection) -> None:
        self.connection = lent.dbapi_connection

    def _cursor(self) -> Any:  # noqa: ANN401 - each driver has its own
        return self.connection.cursor()

    @contextmanager
    def _executed(self, sql: str, given: Sequence[Any], *, many: bool = False) -> Iterator[Any]:
        with closing(self._cursor()) as cursor:
            with binding():
                (cursor.executemany if many else cursor.execute)(sql, given)
            yield cursor


class PostgreSQLSession(DriverSession):
    """
    The same with statements as PostgreSQL itself takes them: psycopg would take longer to read them than to send them.
    """

    def _cursor(self) -> Any:  # noqa: ANN401 - each driver has its own
        from psycopg import RawCursor
        from psycopg.pq import Format
        from psycopg.rows import tuple_row

        cursor = RawCursor(self.connection, row_factory=tuple_row)
        cursor.format = Format.BINARY  # of what comes back

        return cursor


class JoinedSession(Session):
    """
    The connection of a caller, used through SQLAlchemy, so that its transaction, events and logging go on as they do.
    """

    def __init__(self, caller: Connection) -> None:
        self._caller = caller

    @property
    def connection(self) -> Any:  # noqa: ANN401 - each driver has its own
        """
        The driver's own connection.
        """
        return self._caller.connection.dbapi_connection

    @contextmanager
    def _executed(self, sql: str, given: Sequence[Any], *, many: bool = False) -> Iterator[Any]:
        with binding():
            result = self._caller.exec_driver_sql(sql, list(given) if many else tuple(given))
        with result:
            yield result


@contextmanager
def binding() -> Iterator[None]:
    """
    Say as a `StoreError` that a driver cannot take a value.
    """
    try:
        yield
    except _UNFIT as error:
        raise StoreError("the database cannot take a value") from error
