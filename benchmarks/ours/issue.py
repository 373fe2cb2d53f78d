"""
Making new cards: drawn, sealed, chained and committed.
"""

from __future__ import annotations

from benchmarks.books import EXTENSION, created, issued
from benchmarks.internals import size_of_result
from benchmarks.ours.book import opened_copy
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Make an empty book, or open a copy of a small one on a server; the block fills it.
    """
    if parameters.database:
        extension = opened_copy(parameters)
    else:
        extension = created(parameters.folder / "new.db").acting_as("bench").extension(EXTENSION)

    def block() -> Done:
        batch = issued(extension, parameters.block)

        return Done(len(batch), extension.count, lambda: {"result": size_of_result(batch)})

    return block
