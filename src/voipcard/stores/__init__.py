"""
Where card books are kept: the contract that every store keeps, and the stores that come with the library.
"""

from __future__ import annotations

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

if TYPE_CHECKING:  # Not in `__all__`, so that all of that can be imported without SQLAlchemy.
    from voipcard.stores.servers.tables import Tables as Tables
    from voipcard.stores.servers.tables import build_tables as build_tables
    from voipcard.stores.sqlalchemy import SQLAlchemyStore as SQLAlchemyStore

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
    "SQLiteStore",
    "SealedCode",
    "Store",
    "Total",
    "copy",
]


def __getattr__(name: str) -> object:
    if name not in {"SQLAlchemyStore", "Tables", "build_tables"}:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    try:
        from voipcard.stores.servers import tables
        from voipcard.stores.sqlalchemy import SQLAlchemyStore
    except ImportError as error:
        if error.name != "sqlalchemy":
            raise
        message = f"{name} needs SQLAlchemy: install voipcard[postgresql] or voipcard[mysql]"
        raise ImportError(message, name="sqlalchemy") from error

    return SQLAlchemyStore if name == "SQLAlchemyStore" else getattr(tables, name)
