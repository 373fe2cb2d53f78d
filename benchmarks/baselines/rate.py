"""
Rating calls by a dictionary of prefixes, longest first, and whole numbers.
"""

from __future__ import annotations

from benchmarks.prices import dialed, price_list
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Make the dictionary and the calls; a block rates them all.
    """
    terms = price_list(**parameters.options)
    lengths = sorted(set(map(len, terms)), reverse=True)
    calls = dialed([*terms], parameters.block)
    get = terms.get

    def block() -> Done:
        costs: list[int | None] = []
        add = costs.append
        for number, seconds in calls:
            for length in lengths:
                if (found := get(number[:length])) is not None:
                    price, first, following = found
                    if seconds > first:
                        seconds = first - (first - seconds) // following * following  # noqa: PLW2901 - as by hand
                    elif seconds:
                        seconds = first  # noqa: PLW2901 - the same
                    add((2 * price * seconds + 60) // 120)
                    break
            else:
                add(None)

        return Done(len(costs), lambda: [sum(filter(None, costs)), costs.count(None)])

    return block
