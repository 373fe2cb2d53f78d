"""
The SQLite store keeps every law, with either journal.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar

import pytest

from voipcard.stores.sqlite import Journal, SQLiteStore, wal_is_safe
from voipcard.testing import Opener, StoreContract

if TYPE_CHECKING:
    import sqlite3
else:
    try:
        import pysqlite3 as sqlite3
    except ImportError:
        import sqlite3


class TestRollbackJournal(StoreContract):
    """
    The laws, with the journal that every SQLite keeps safely.
    """

    journal: ClassVar[Journal] = "delete"

    @contextmanager
    def fresh(self) -> Iterator[Opener]:
        """
        Open handles on the same file.
        """
        with tempfile.TemporaryDirectory() as folder:
            yield functools.partial(SQLiteStore, f"{folder}/cards.db", journal=self.journal)


@pytest.mark.skipif(not wal_is_safe(sqlite3.sqlite_version_info), reason="this SQLite can lose commits")
class TestWriteAheadLog(TestRollbackJournal):
    """
    The laws, with the journal that lets readers and writers work side by side.
    """

    journal = "wal"
