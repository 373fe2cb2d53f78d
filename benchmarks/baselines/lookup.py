"""
What the bare lookups share: the indexes of a sample of cards, computed before the clock runs.
"""

from __future__ import annotations

from typing import Final

from benchmarks.baselines.database import sqlite3
from benchmarks.protocol import Parameters

__all__ = ["SELECT", "indexes_of_sample"]

SELECT: Final = 'SELECT * FROM cards WHERE "index" = ?'


def indexes_of_sample(connection: sqlite3.Connection, parameters: Parameters) -> list[bytes]:
    """
    Give what each card of the sample is found by.
    """
    select = 'SELECT "index" FROM cards WHERE serial = ?'

    return [connection.execute(select, [serial]).fetchone()[0] for serial in parameters.facts().serials]
