"""
Beginning and ending calls in a loop by hand, each with its two commits.
"""

from __future__ import annotations

import itertools

from benchmarks.baselines.call_ledger import CallLedger
from benchmarks.baselines.database import connected_copy
from benchmarks.prices import Paid, paid_calls, price_list
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Open a copy of the book with a price list; a block begins and ends calls of random cards.
    """
    facts = parameters.facts()
    terms = price_list(**parameters.options)
    ledger = CallLedger(connected_copy(parameters), facts.extension, terms)
    every, names = paid_calls([*terms], facts.serials), itertools.count()

    def made(call: Paid, name: str) -> tuple[str, int]:
        return call.serial, ledger.end(ledger.begin(call.serial, call.number, name), call.seconds)

    def block() -> Done:
        calls = [(call, f"call-{next(names)}") for call in itertools.islice(every, parameters.block)]
        done = [made(call, name) for call, name in calls]

        return Done(len(done), lambda: done)

    return block
