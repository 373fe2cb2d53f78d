"""
What the errors of database drivers mean: PostgreSQL's by SQLSTATE, MariaDB's and MySQL's by number, SQLite's by code.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias

from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from voipcard.errors import NotABookError, StoreBusyError, StoreError, StoreFullError, StoreReadOnlyError

__all__ = ["NO_TABLES", "NO_TRANSACTION", "Collision", "Meaning", "driver_error", "is_timeout", "meaning", "translated"]

Meaning: TypeAlias = Literal[
    "taken",
    "there",
    "refused",
    "again",
    "busy",
    "full",
    "read_only",
    "no_tables",
    "no_transaction",
    "ended",
    "too_large",
    "apart",
    "other",
]
"""
What happened: a unique value is taken; a table is there already; a precondition does not hold; the database wants the
transaction once more; others kept it locked; no space is left; nothing can be written; there are no tables; no
transaction was begun; it was ended by an error before; a value is larger than the server takes; the server is cut off
from its cluster; something else.
"""

NO_TABLES: Final = "the database does not have the tables of a book: use create=True, a migration or another prefix"
NO_TRANSACTION: Final = "there is no transaction to join: the connection is in autocommit mode"


def _table(codes: Mapping[Meaning, Iterable[Any]]) -> Mapping[Any, Meaning]:
    return {code: said for said, several in codes.items() for code in several}


_SQLSTATES: Final = _table(
    {
        "taken": ["23505"],
        "there": ["42P07", "42710"],
        "refused": ["22012"],  # the division by zero with which a commit refuses itself
        "again": ["40001", "40P01"],
        "busy": ["55P03", "57014", "53300", "25P03"],
        "full": ["53100", "53200", "54000"],
        "read_only": ["25006", "42501"],
        "no_tables": ["42P01", "42703", "3F000"],
        "no_transaction": ["25P01"],
        "ended": ["25P02"],
    }
)
_TIMEOUT: Final = 1205
"""MariaDB's and MySQL's number for a lock that was waited for too long. Nothing but the statement is rolled back."""

_NUMBERS: Final = _table(
    {
        "taken": [1062],
        "there": [1050, 1061],
        "again": [1213, _TIMEOUT, 1020],
        "busy": [1040, 1203, 1969, 3024],
        "full": [1021, 1114, 1041],
        "read_only": [1142, 1143, 1290, 1792, 1836, 1044],
        "no_tables": [1146, 1054],
        "too_large": [1153, 1406],
        "apart": [1047],  # "WSREP has not yet prepared node for application use"
    }
)
_SQLITE: Final = _table(
    {
        "busy": [sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED],
        "full": [sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR],
        "read_only": [sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM],
        "too_large": [sqlite3.SQLITE_TOOBIG],
    }
)
_BUSY: Final = (StoreBusyError, "others kept the database from doing this for too long")
_REFUSALS: Final[Mapping[Meaning, tuple[type[StoreError], str]]] = {
    "busy": _BUSY,
    "again": _BUSY,
    "full": (StoreFullError, "the database has no space left"),
    "read_only": (StoreReadOnlyError, "the database, or its user, cannot write"),
    "no_tables": (NotABookError, NO_TABLES),
    "no_transaction": (StoreError, NO_TRANSACTION),
    "ended": (StoreError, "the transaction was ended by an error before: roll it back and begin again"),
    "too_large": (StoreError, "a value is larger than the database server is set up to take"),
    "apart": (StoreError, "this database server is cut off from its cluster: ask another one, with the same operation"),
}


class Collision(Exception):  # noqa: N818 - no error yet: the commit finds out what it collided with
    """
    A precondition of a commit does not hold, or something that it wanted to write is there already.
    """


def driver_error(error: BaseException) -> BaseException:
    """
    Give the driver's own error, where SQLAlchemy has wrapped it.
    """
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def meaning(error: BaseException) -> Meaning:
    """
    Say what an error of a driver, or of SQLAlchemy, means.
    """
    if isinstance(error, PoolTimeoutError):
        return "busy"
    error = driver_error(error)
    if isinstance(error, sqlite3.Error):
        return _sqlite_meaning(error)
    number = error.args[0] if error.args else None
    if isinstance(number, int):
        return _NUMBERS.get(number, "other")

    return _SQLSTATES.get(getattr(error, "sqlstate", None), "other")


def is_timeout(error: BaseException) -> bool:
    """
    Tell whether MariaDB or MySQL waited for a lock for too long.
    """
    return driver_error(error).args[:1] == (_TIMEOUT,)


def _sqlite_meaning(error: sqlite3.Error) -> Meaning:
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_BUSY_SNAPSHOT:
        return "again"
    if str(error).startswith(("UNIQUE ", "PRIMARY KEY ")):
        return "taken"
    if str(error).startswith("no such "):
        return "no_tables"
    if str(error).endswith(" already exists"):
        return "there"

    return _SQLITE.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "other")


def translated(error: BaseException) -> StoreError:
    """
    Give the error to raise instead of a driver's, without its text: that may hold values.
    """
    if refusal := _REFUSALS.get(meaning(error)):
        kind, reason = refusal
        return kind(reason)

    return StoreError(f"the database refused this: {type(driver_error(error)).__name__}")
