"""
Making new cards: drawn, sealed, chained and committed.
"""

from __future__ import annotations

from benchmarks.books import EXTENSION, created, issued
from benchmarks.internals import size_of_result
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Make an empty book; the block fills it.
    """
    extension = created(parameters.folder / "new.db").acting_as("bench").extension(EXTENSION)

    def block() -> Done:
        batch = issued(extension, parameters.block)

        return Done(len(batch), extension.count, lambda: {"result": size_of_result(batch)})

    return block
