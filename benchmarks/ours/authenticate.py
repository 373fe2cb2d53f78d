"""
Letting callers in who dial a code and its PIN, without a floor under the time of the answer.
"""

from __future__ import annotations

import itertools
from datetime import timedelta

from benchmarks.ours.book import opened_copy, settle
from benchmarks.protocol import Block, Done, Parameters
from voipcard import GuessLimits

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Open a copy of the book; a block lets the next callers in, each with a card and a number of its own.

    All of them were let in once before, so that nobody comes for the first time.
    """
    extension = opened_copy(parameters, GuessLimits(response_floor=timedelta(0)))
    facts = parameters.facts()
    numbers = map(str, itertools.count(40_722_000_000))
    known = list(itertools.islice(zip(facts.codes, facts.pins, numbers, strict=False), parameters.block))
    callers = itertools.cycle(known)

    def block() -> Done:
        dialed = itertools.islice(callers, parameters.block)
        let_in = [extension.authenticate(code, pin=pin, source=source).card.serial for code, pin, source in dialed]

        return Done(len(let_in), lambda: let_in)

    block()
    settle(parameters)

    return block
