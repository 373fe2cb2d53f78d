"""
Letting callers in by hand: an attempt is counted and committed, the code looked up, the PIN compared, the count undone.
"""

from __future__ import annotations

import hmac
import itertools

from benchmarks.baselines.database import connected_copy, sqlite3
from benchmarks.baselines.guard import LIMIT, Caller, Guard, callers, guard
from benchmarks.baselines.lookup import SELECT
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Open a copy of the book; a block lets the next callers in.
    """
    connection = connected_copy(parameters)
    macs, known = guard(), callers(parameters.facts(), parameters.block)
    _prepare(connection, macs, known)
    names = [column[0] for column in connection.execute("SELECT * FROM cards LIMIT 0").description]
    card, serial, pin_mac = map(names.index, ("id", "serial", "pin_mac"))
    sample = itertools.cycle(known)

    def let_in(caller: Caller) -> str:
        execute = connection.execute
        # Each statement is a transaction of its own, and on the disk when it returns.
        reserved = execute("UPDATE tries SET n = n + 1 WHERE source = ? AND n < ?", (caller.source, LIMIT)).rowcount
        row = execute(SELECT, (macs.code(caller.code)[:16],)).fetchone()
        if not reserved or not hmac.compare_digest(macs.pin(row[card] + caller.pin), row[pin_mac]):
            raise LookupError(caller.serial)
        execute("UPDATE tries SET n = n - 1 WHERE source = ?", (caller.source,))

        return row[serial]  # type: ignore[no-any-return]  # a row may hold anything

    def block() -> Done:
        done = [let_in(caller) for caller in itertools.islice(sample, parameters.block)]

        return Done(len(done), lambda: done)

    return block


def _prepare(connection: sqlite3.Connection, macs: Guard, known: list[Caller]) -> None:
    """
    Let the cards of the callers be found by keys that are known here, and make a counter for each source.
    """
    ids = dict(connection.execute("SELECT serial, id FROM cards"))
    rows = [(macs.code(each.code)[:16], macs.pin(ids[each.serial] + each.pin), each.serial) for each in known]
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany('UPDATE cards SET "index" = ?, pin_mac = ? WHERE serial = ?', rows)
    connection.execute("CREATE TABLE tries (source TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID")
    connection.executemany("INSERT INTO tries VALUES (?, 0)", ((each.source,) for each in known))
    connection.execute("COMMIT")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
