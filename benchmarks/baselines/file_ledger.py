"""
Recharging by hand in a file: how the rules of a recharge are read for, and written.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from benchmarks.baselines.database import sqlite3
from benchmarks.baselines.ledger import COLUMNS, HEAD, Ledger, Posting, Trace

__all__ = ["SELECT", "FileLedger"]

SELECT: Final = f"SELECT {COLUMNS} FROM cards WHERE serial"
UPDATE: Final = (
    "UPDATE cards SET credit = ?, total_credit = ?, recharge_count = ?, sequence = ?, chain = ?, version = ?, mac = ?"
    " WHERE id = ? AND version = ?"
)
INSERT_ENTRY: Final = f"INSERT INTO entries VALUES ({', '.join('?' * 22)})"
INSERT_AUDIT: Final = "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)"
UPDATE_HEAD: Final = "UPDATE documents SET value = ?, version = ? WHERE key = ? AND version = ?"


class FileLedger(Ledger):
    """
    The ledger of a file.

    Args:
        connection: A copy of a book, which is written to. All of its cards are signed again.

        extension: The extension of the cards.
    """

    def __init__(self, connection: sqlite3.Connection, extension: str) -> None:
        super().__init__(extension)
        self._connection: Final = connection
        connection.execute("BEGIN IMMEDIATE")
        rows = connection.execute(f"{SELECT} IS NOT NULL").fetchall()
        connection.executemany("UPDATE cards SET mac = ? WHERE id = ?", self.signed(rows))
        [(self.head_version,)] = connection.execute("SELECT version FROM documents WHERE key = ?", [HEAD])
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def write(self, postings: Sequence[Posting], trace: Trace) -> None:
        """
        Write recharges and what they leave in the audit trail; the transaction is the caller's.
        """
        changed = self._connection.executemany(UPDATE, [posting.update for posting in postings]).rowcount
        if changed != len(postings) or not self._connection.execute(UPDATE_HEAD, trace.head).rowcount:
            message = "a card was changed by somebody else"
            raise LookupError(message)
        self._connection.executemany(INSERT_ENTRY, [posting.entry for posting in postings])
        self._connection.execute(INSERT_AUDIT, trace.entry)
