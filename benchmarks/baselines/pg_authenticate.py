"""
Letting callers in by hand on a server: two updates, each a transaction of its own, and a lookup between them.
"""

from __future__ import annotations

import hmac
import itertools
import weakref

from benchmarks.baselines.guard import LIMIT, Caller, Guard, callers, guard
from benchmarks.baselines.ledger import COLUMNS
from benchmarks.baselines.server import connected, psycopg
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]

_RESERVE = b"UPDATE tries SET n = n + 1 WHERE source = %b AND n < %b"
_SELECT = f'SELECT {COLUMNS} FROM voipcard_cards WHERE "index" = %b'.encode()
_REFUND = b"UPDATE tries SET n = n - 1 WHERE source = %b"

_CARD, _SERIAL, _PIN_MAC = 0, 1, 7
"""Places in what is looked up."""


def prepare(parameters: Parameters) -> Block:
    """
    Connect to a copy of the book; a block lets the next callers in.
    """
    connection = connected(parameters)
    macs, known = guard(), callers(parameters.facts(), parameters.block)
    _prepare(connection, macs, known)
    sample = itertools.cycle(known)

    def let_in(caller: Caller) -> str:
        execute = connection.execute
        reserved = execute(_RESERVE, [caller.source, LIMIT]).rowcount
        row = execute(_SELECT, [macs.code(caller.code)[:16]], binary=True).fetchone()
        if not reserved or not row or not hmac.compare_digest(macs.pin(row[_CARD] + caller.pin), row[_PIN_MAC]):
            raise LookupError(caller.serial)
        execute(_REFUND, [caller.source])

        return row[_SERIAL]  # type: ignore[no-any-return]  # a row may hold anything

    def block() -> Done:
        done = [let_in(caller) for caller in itertools.islice(sample, parameters.block)]

        return Done(len(done), lambda: done)

    weakref.finalize(block, connection.close)

    return block


def _prepare(connection: psycopg.Connection, macs: Guard, known: list[Caller]) -> None:
    """
    Let the cards of the callers be found by keys that are known here, and make a counter for each source.
    """
    found = connection.execute("SELECT serial, id FROM voipcard_cards", binary=True).fetchall()
    ids: dict[str, bytes] = dict(found)
    rows = [(macs.code(each.code)[:16], macs.pin(ids[each.serial] + each.pin), each.serial) for each in known]
    connection.execute("CREATE TABLE tries (source text PRIMARY KEY, n bigint NOT NULL)")
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany('UPDATE voipcard_cards SET "index" = %b, pin_mac = %b WHERE serial = %b', rows)
        cursor.executemany("INSERT INTO tries VALUES (%b, 0)", [(each.source,) for each in known])
    connection.execute("VACUUM ANALYZE voipcard_cards")
    connection.execute("VACUUM ANALYZE tries")
