"""
Reaching a database on a server by hand.
"""

from __future__ import annotations

import psycopg

from benchmarks.protocol import Parameters

__all__ = ["address", "connected", "psycopg"]


def address(parameters: Parameters) -> str:
    """
    Give the address of the database of this side, as the programs of PostgreSQL take it.
    """
    return parameters.database.replace("postgresql+psycopg:", "postgresql:", 1)


def connected(parameters: Parameters) -> psycopg.Connection:
    """
    Connect to the database of this side. Each statement is a transaction of its own, and prepared when it comes again.
    """
    return psycopg.connect(address(parameters), autocommit=True)
