"""
Opening a book's file by hand, as durable and as careful as the library does.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from benchmarks.protocol import Parameters

if TYPE_CHECKING:
    import sqlite3
else:
    try:
        import pysqlite3 as sqlite3  # What the library uses where it is there.
    except ImportError:
        import sqlite3

__all__ = ["connected", "connected_copy", "sqlite3"]


def connected(parameters: Parameters) -> sqlite3.Connection:
    """
    Open the book that both sides share, to read.
    """
    return _connected(str(parameters.shared_book))


def connected_copy(parameters: Parameters) -> sqlite3.Connection:
    """
    Open a copy of the book that this side alone has, to write. Its journal is the one that the library gave it.
    """
    copy = parameters.folder / "copy.db"
    shutil.copyfile(parameters.shared_book, copy)

    return _connected(str(copy))


def _connected(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA synchronous = EXTRA")
    connection.execute("PRAGMA wal_autocheckpoint = 4000")

    return connection
