"""
Rating calls by a price list.
"""

from __future__ import annotations

import voipcard
from benchmarks.prices import dialed, price_list
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Make the deck and the calls; a block rates them all.
    """
    terms = price_list(**parameters.options)
    tariffs = {
        each: voipcard.Tariff(price=voipcard.Credit.from_micros(each[0]), first_interval=each[1], next_interval=each[2])
        for each in set(terms.values())
    }
    deck = voipcard.RateDeck(voipcard.Rate(prefix, tariffs[each]) for prefix, each in terms.items())
    calls = dialed([*terms], parameters.block)

    def block() -> Done:
        costs = list(deck.costs(calls))

        return Done(len(costs), lambda: [sum(filter(None, costs)), costs.count(None)])

    return block
