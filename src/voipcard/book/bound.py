"""
What everything that a book can do begins with.
"""

from __future__ import annotations

from voipcard.transact import Engine

__all__ = ["Bound"]


class Bound:
    """
    A book, bound to what reads and writes it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
