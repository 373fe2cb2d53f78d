"""
Recharging cards one by one on a server by hand: one statement reads, and one writes.
"""

from __future__ import annotations

import itertools
import random
import weakref

from benchmarks.baselines.ledger import now
from benchmarks.baselines.server import connected
from benchmarks.baselines.server_ledger import ServerLedger
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Connect to a copy of the book; a block recharges random cards of it, each with an order of its own.
    """
    connection = connected(parameters)
    facts = parameters.facts()
    ledger = ServerLedger(connection, facts.extension)
    orders = itertools.count()
    chance = random.Random(1)

    def recharge(serial: str, order_number: str) -> tuple[str, int]:
        operation = ledger.operation(serial, order_number)
        row = ledger.read(serial, operation)
        moment = now()
        posting = ledger.posted(row, order_number, operation, moment)
        ledger.write(posting, ledger.audited([posting], order_number, moment))

        return serial, posting.update[0]

    def block() -> Done:
        jobs = [(serial, f"PO-{next(orders)}") for serial in chance.choices(facts.serials, k=parameters.block)]
        done = [recharge(serial, order_number) for serial, order_number in jobs]

        return Done(len(done), lambda: sorted(done))

    weakref.finalize(block, connection.close)

    return block
