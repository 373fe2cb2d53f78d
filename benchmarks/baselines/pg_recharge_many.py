"""
Recharging many cards on a server by hand: the reads in bulk, then the MACs, then one statement that writes a set.
"""

from __future__ import annotations

import itertools
import random
import weakref
from collections.abc import Sequence

from benchmarks.baselines.ledger import now
from benchmarks.baselines.server import connected
from benchmarks.baselines.server_ledger import ServerLedger
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Connect to a copy of the book; a block makes transactions of 1,000 cards, each with an order of its own.
    """
    connection = connected(parameters)
    facts = parameters.facts()
    ledger = ServerLedger(connection, facts.extension)
    count = min(parameters.options["cards"], len(facts.serials))
    orders = itertools.count()
    chance = random.Random(1)

    def recharge(serials: Sequence[str], order_number: str) -> list[tuple[str, int]]:
        keys = [ledger.operation(serial, order_number) for serial in serials]
        rows = ledger.read_many(serials, keys)
        moment = now()
        pairs = zip(serials, keys, strict=True)
        postings = [ledger.posted(rows[serial], order_number, key, moment) for serial, key in pairs]
        ledger.write_many(postings, ledger.audited(postings, order_number, moment))

        return [(serial, posting.update[0]) for serial, posting in zip(serials, postings, strict=True)]

    def block() -> Done:
        done: list[tuple[str, int]] = []
        while len(done) < parameters.block:
            done += recharge(chance.sample(facts.serials, count), f"PO-{next(orders)}")

        return Done(len(done), lambda: done)

    weakref.finalize(block, connection.close)

    return block
