"""
Finding cards by their codes and comparing their PINs.
"""

from __future__ import annotations

import itertools

from benchmarks.internals import pin_matches
from benchmarks.ours.book import opened
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Open the book; a block authenticates the next cards of the sample.
    """
    extension = opened(parameters)
    facts = parameters.facts()
    sample = itertools.cycle(zip(facts.codes, facts.pins, strict=True))

    def block() -> Done:
        cards = itertools.islice(sample, parameters.block)
        matched = [pin_matches(extension, code, pin) for code, pin in cards]

        return Done(len(matched), lambda: matched)

    return block
