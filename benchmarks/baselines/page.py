"""
Reading one page of cards by its position, at the beginning or near the end.
"""

from __future__ import annotations

from benchmarks.baselines.database import connected
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]

SERIAL = 1


def prepare(parameters: Parameters) -> Block:
    """
    Open the book; a block reads the same page again and again, and one row more to know whether there is another.
    """
    connection = connected(parameters)
    facts = parameters.facts()
    limit = parameters.options["limit"]
    where = "extension = ?"
    values: list[str | int | bytes] = [facts.extension]
    if parameters.options["deep"]:
        moment, card = facts.position
        where, values = f"{where} AND (created_at, id) > (?, ?)", [*values, moment, bytes.fromhex(card)]
    select = f"SELECT * FROM cards WHERE {where} ORDER BY created_at, id LIMIT ?"

    def block() -> Done:
        for _ in range(parameters.block):
            rows = connection.execute(select, [*values, limit + 1]).fetchall()

        return Done(parameters.block, lambda: [row[SERIAL] for row in rows[:limit]])

    return block
