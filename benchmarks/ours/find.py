"""
Finding cards by their codes.
"""

from __future__ import annotations

import itertools

from benchmarks.ours.book import opened
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Open the book; a block finds the next cards of the sample.
    """
    extension = opened(parameters)
    sample = itertools.cycle(parameters.facts().codes)

    def block() -> Done:
        codes = itertools.islice(sample, parameters.block)
        found = [card.serial for code in codes if (card := extension.find(code=code))]

        return Done(len(found), lambda: found)

    return block
