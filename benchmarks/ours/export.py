"""
Exporting all cards of an extension to a file, as the list shows them.
"""

from __future__ import annotations

from benchmarks.ours.book import opened
from benchmarks.protocol import Block, Done, Parameters
from benchmarks.sheets import what_is_in

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Open the book; a block writes all of its cards.
    """
    extension = opened(parameters)
    path = parameters.folder / f"cards{parameters.options['suffix']}"

    def block() -> Done:
        extension.export(path)

        return Done(parameters.size, lambda: what_is_in(path))

    return block
