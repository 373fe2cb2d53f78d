"""
Summing charges by hand on PostgreSQL: GROUP BY.
"""

from __future__ import annotations

from benchmarks.baselines.report import CHARGES, DAY
from benchmarks.baselines.server import connected
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Connect; a block sums all charges.
    """
    connection = connected(parameters)
    first, days = parameters.options["first"], parameters.options["days"]
    sums = "count(*), sum(amount), sum(seconds), sum(charged_seconds), sum(shortfall)"
    charges = CHARGES.format(first * DAY, (first + days) * DAY)
    select = f"SELECT started_at / {DAY}, prefix, {sums} FROM voipcard_{charges} GROUP BY 1, 2 ORDER BY 1, 2"

    def block() -> Done:
        found = connection.execute(select.encode()).fetchall()

        return Done(sum(row[2] for row in found), lambda: [(*row[:3], *map(int, row[3:])) for row in found])

    return block
