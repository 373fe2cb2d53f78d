"""
Recharging cards one by one in a loop by hand, each in a transaction of its own.
"""

from __future__ import annotations

import itertools
import random

from benchmarks.baselines.database import connected_copy
from benchmarks.baselines.file_ledger import SELECT, FileLedger
from benchmarks.baselines.ledger import now
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Open a copy of the book; a block recharges random cards of it, each with an order of its own.
    """
    connection = connected_copy(parameters)
    facts = parameters.facts()
    ledger = FileLedger(connection, facts.extension)
    orders = itertools.count()
    chance = random.Random(1)

    def recharge(serial: str, order_number: str) -> tuple[str, int]:
        connection.execute("BEGIN IMMEDIATE")
        row = connection.execute(f"{SELECT} = ?", (serial,)).fetchone()
        operation = ledger.operation(serial, order_number)
        if connection.execute("SELECT 1 FROM entries WHERE operation = ?", (operation,)).fetchone():
            raise LookupError(order_number)
        moment = now()
        posting = ledger.posted(row, order_number, operation, moment)
        ledger.write([posting], ledger.audited([posting], order_number, moment))
        connection.execute("COMMIT")

        return serial, posting.update[0]

    def block() -> Done:
        jobs = [(serial, f"PO-{next(orders)}") for serial in chance.choices(facts.serials, k=parameters.block)]
        done = [recharge(serial, order_number) for serial, order_number in jobs]

        return Done(len(done), lambda: sorted(done))

    return block
