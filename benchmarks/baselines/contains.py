"""
Unsealing the codes of all cards of an extension in one loop and looking into each.
"""

from __future__ import annotations

from benchmarks.baselines.database import connected
from benchmarks.baselines.sealed import unsealer
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Open the book; a block looks into all of its cards.
    """
    connection = connected(parameters)
    facts = parameters.facts()
    unsealed = unsealer(facts.keys["code"])
    digits = parameters.options["digits"].encode()

    def block() -> Done:
        rows = connection.execute("SELECT id, sealed_code FROM cards WHERE extension = ?", [facts.extension])
        count = sum(digits in unsealed(card, sealed) for card, sealed in rows)

        return Done(parameters.size, lambda: count)

    return block
