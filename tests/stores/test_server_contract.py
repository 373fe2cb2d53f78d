"""
The store in a database server keeps every law, on each server that it is for, and on SQLite through SQLAlchemy.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests import servers
from voipcard.stores.sqlalchemy import SQLAlchemyStore
from voipcard.testing import Opener, StoreContract


@pytest.mark.skipif(servers.missing("postgresql") is not None, reason=str(servers.missing("postgresql")))
class TestPostgreSQL(StoreContract):
    """
    The laws, on PostgreSQL.
    """

    @contextmanager
    def fresh(self) -> Iterator[Opener]:
        """
        Open handles on the same database.
        """
        with servers.shared("postgresql").database() as url:
            yield functools.partial(SQLAlchemyStore, url, create=True)


@pytest.mark.skipif(servers.missing("mariadb") is not None, reason=str(servers.missing("mariadb")))
class TestMariaDB(StoreContract):
    """
    The laws, on MariaDB.
    """

    @contextmanager
    def fresh(self) -> Iterator[Opener]:
        """
        Open handles on the same database.
        """
        with servers.shared("mariadb").database() as url:
            yield functools.partial(SQLAlchemyStore, url, create=True)


class TestSQLite(StoreContract):
    """
    The laws, on SQLite through SQLAlchemy.
    """

    @contextmanager
    def fresh(self) -> Iterator[Opener]:
        """
        Open handles on the same file.
        """
        with tempfile.TemporaryDirectory() as folder:
            yield functools.partial(SQLAlchemyStore, f"sqlite:///{folder}/cards.db", create=True)
