"""
Reading one page of cards, at the beginning or near the end.
"""

from __future__ import annotations

from benchmarks.internals import cursor_at
from benchmarks.ours.book import opened
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Open the book; a block reads the same page again and again.
    """
    extension = opened(parameters)
    limit = parameters.options["limit"]
    cursor = cursor_at(extension, parameters.facts().position) if parameters.options["deep"] else None

    def block() -> Done:
        for _ in range(parameters.block):
            page = extension.page(limit=limit, cursor=cursor)

        return Done(parameters.block, lambda: [card.serial for card in page])

    return block
