"""
Summing what calls cost, by the day on which they began and the destination.
"""

from __future__ import annotations

import weakref
from typing import Final

from benchmarks.protocol import Block, Done, Parameters
from voipcard.stores import EntryQuery, SQLiteStore, Store, Total

__all__ = ["prepare", "summed"]

DAY: Final = 86_400_000_000


def prepare(parameters: Parameters) -> Block:
    """
    Open the book; a block sums all its charges.
    """
    store = _opened(parameters)
    first, days = parameters.options["first"], parameters.options["days"]

    def block() -> Done:
        totals = summed(store, first, days)

        return Done(
            sum(total.count for total in totals),
            # The period before the first midnight is 0, and what is Unlimited is no charge.
            lambda: [(first - 1 + int(each.group[0]), each.group[1], *each[1:3], *each[4:]) for each in totals],
        )

    # Nobody closes the book of a block, and the driver of a server warns of connections that are not closed.
    weakref.finalize(block, store.close)

    return block


def summed(store: Store, first: int, days: int) -> list[Total]:
    """
    Sum the charges of calls that began on one of so many days, day by day and destination by destination.
    """
    midnights = [DAY * day for day in range(first, first + days + 1)]
    query = EntryQuery(kinds=frozenset({"charge"}), started_from=midnights[0], started_before=midnights[-1])

    return list(store.totals(query, ("start", "prefix"), periods=midnights))


def _opened(parameters: Parameters) -> Store:
    if not parameters.database:
        return SQLiteStore(parameters.shared_book)

    # Loaded where it is used, so that it does not count as memory of the line that reads a file.
    from voipcard.stores import SQLAlchemyStore

    return SQLAlchemyStore(parameters.database)
