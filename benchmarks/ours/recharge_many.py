"""
Recharging many cards by one call.
"""

from __future__ import annotations

import itertools
import random

from benchmarks.ours.book import opened_copy
from benchmarks.protocol import Block, Done, Parameters
from voipcard import LedgerEntry

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Open a copy of the book; a block makes calls of 1,000 cards, each with an order of its own.
    """
    extension = opened_copy(parameters)
    serials = parameters.facts().serials
    count = min(parameters.options["cards"], len(serials))
    orders = itertools.count()
    chance = random.Random(1)

    def block() -> Done:
        done: list[LedgerEntry] = []
        while len(done) < parameters.block:
            amounts = [(serial, "1.00") for serial in chance.sample(serials, count)]
            done += extension.recharge_many(amounts, order_number=f"PO-{next(orders)}")

        return Done(len(done), lambda: [(entry.serial, entry.credit_left.micros) for entry in done])

    return block
