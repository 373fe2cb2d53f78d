"""
The databases that portals are tested with: on the servers of `tests.servers`, and in SQLite files.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final, Literal, TypeAlias

import pytest
import sqlalchemy
from _pytest.mark import ParameterSet
from sqlalchemy import Engine

from tests import servers

__all__ = ["DATABASES", "SERVERS", "DatabaseKind", "empty_database", "engine_on", "on"]

DatabaseKind: TypeAlias = Literal["postgresql", "mariadb", "sqlite"]

SERVERS: Final[Sequence[DatabaseKind]] = ["postgresql", "mariadb"]
DATABASES: Final[Sequence[DatabaseKind]] = [*SERVERS, "sqlite"]


def on(kind: DatabaseKind, *more: object) -> ParameterSet:
    """
    Give a parameter that is skipped where there is no such server.
    """
    reason = None if kind == "sqlite" else servers.missing(kind)

    return pytest.param(kind, *more, marks=pytest.mark.skipif(reason is not None, reason=str(reason)))


@contextmanager
def empty_database(kind: DatabaseKind) -> Iterator[str]:
    """
    Make an empty database, give its address, and remove it afterwards.
    """
    if kind == "sqlite":
        with tempfile.TemporaryDirectory() as folder:
            yield f"sqlite:///{folder}/portal.db"
    else:
        with servers.shared(kind).database() as url:
            yield url


@contextmanager
def engine_on(url: str, **settings: object) -> Iterator[Engine]:
    """
    Make an engine, and close its connections afterwards.
    """
    engine = sqlalchemy.create_engine(url, **settings)
    try:
        yield engine
    finally:
        engine.dispose()
