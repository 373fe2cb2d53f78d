"""
Counting the cards whose codes contain some digits.
"""

from __future__ import annotations

from benchmarks.ours.book import opened
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Open the book; a block looks into all of its cards.
    """
    extension = opened(parameters)
    digits = parameters.options["digits"]

    def block() -> Done:
        count = extension.count(code_contains=digits)

        return Done(parameters.size, lambda: count)

    return block
