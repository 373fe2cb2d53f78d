"""
Where card books are kept: the contract that every store keeps, and the stores that come with the library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from voipcard.core.query import EntryQuery, Position
from voipcard.stores.contract import (
    AuditRecord,
    CardRecord,
    Changes,
    CounterChange,
    Document,
    EntryRecord,
    Grouping,
    SealedCode,
    Store,
    Total,
)
from voipcard.stores.copying import Copied, copy
from voipcard.stores.memory import MemoryStore
from voipcard.stores.sqlite import SQLiteStore

if TYPE_CHECKING:
    from voipcard.stores.servers.tables import Tables, build_tables
    from voipcard.stores.sqlalchemy import SQLAlchemyStore

__all__ = [
    "AuditRecord",
    "CardRecord",
    "Changes",
    "Copied",
    "CounterChange",
    "Document",
    "EntryQuery",
    "EntryRecord",
    "Grouping",
    "MemoryStore",
    "Position",
    "SQLAlchemyStore",
    "SQLiteStore",
    "SealedCode",
    "Store",
    "Tables",
    "Total",
    "build_tables",
    "copy",
]

_NEED_SQLALCHEMY = {"SQLAlchemyStore": "sqlalchemy", "Tables": "servers.tables", "build_tables": "servers.tables"}


def __getattr__(name: str) -> object:
    if name not in _NEED_SQLALCHEMY:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    try:
        import sqlalchemy  # noqa: F401 - is it there?
    except ImportError as error:
        message = f"{name} needs SQLAlchemy: install voipcard[postgresql] or voipcard[mysql]"
        raise ImportError(message, name="sqlalchemy") from error

    return getattr(import_module(f"{__name__}.{_NEED_SQLALCHEMY[name]}"), name)
