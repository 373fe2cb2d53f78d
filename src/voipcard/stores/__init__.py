"""
Where card books are kept: the contract that every store keeps, and the stores that come with the library.
"""

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
