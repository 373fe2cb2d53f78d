"""
Recharging many cards by hand in one transaction: the reads in bulk, then the MACs, then the writes in bulk.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

from benchmarks.baselines.database import connected_copy
from benchmarks.baselines.file_ledger import SELECT, FileLedger
from benchmarks.baselines.ledger import now
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Open a copy of the book; a block makes transactions of 1,000 cards, each with an order of its own.
    """
    connection = connected_copy(parameters)
    facts = parameters.facts()
    ledger = FileLedger(connection, facts.extension)
    count = min(parameters.options["cards"], len(facts.serials))
    marks = ", ".join("?" * count)
    orders = itertools.count()
    chance = random.Random(1)

    def recharge(serials: Sequence[str], order_number: str) -> list[tuple[str, int]]:
        connection.execute("BEGIN IMMEDIATE")
        rows = {row[1]: row for row in connection.execute(f"{SELECT} IN ({marks})", serials)}
        keys = [ledger.operation(serial, order_number) for serial in serials]
        if connection.execute(f"SELECT 1 FROM entries WHERE operation IN ({marks}) LIMIT 1", keys).fetchone():
            raise LookupError(order_number)
        moment = now()
        pairs = zip(serials, keys, strict=True)
        postings = [ledger.posted(rows[serial], order_number, key, moment) for serial, key in pairs]
        ledger.write(postings, ledger.audited(postings, order_number, moment))
        connection.execute("COMMIT")

        return [(serial, posting.update[0]) for serial, posting in zip(serials, postings, strict=True)]

    def block() -> Done:
        done: list[tuple[str, int]] = []
        while len(done) < parameters.block:
            done += recharge(chance.sample(facts.serials, count), f"PO-{next(orders)}")

        return Done(len(done), lambda: done)

    return block
