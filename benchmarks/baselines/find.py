"""
Looking cards up by an index that is known already, all columns.
"""

from __future__ import annotations

import itertools

from benchmarks.baselines.database import connected
from benchmarks.baselines.lookup import SELECT, indexes_of_sample
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]

SERIAL = 1


def prepare(parameters: Parameters) -> Block:
    """
    Open the book; a block looks up the next cards of the sample.
    """
    connection = connected(parameters)
    sample = itertools.cycle(indexes_of_sample(connection, parameters))

    def block() -> Done:
        execute = connection.execute
        indexes = itertools.islice(sample, parameters.block)
        found = [execute(SELECT, (index,)).fetchone()[SERIAL] for index in indexes]

        return Done(len(found), lambda: found)

    return block
