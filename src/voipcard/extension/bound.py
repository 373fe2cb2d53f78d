"""
The number of an extension, bound to the book that it belongs to: what everything done with one begins with.
"""

from __future__ import annotations

from voipcard.transact import Engine

__all__ = ["Bound"]


class Bound:
    """
    An extension, bound to its book.

    Attributes:
        number: Its extended number.
    """

    def __init__(self, engine: Engine, number: str) -> None:
        self._engine = engine
        self.number = number

    def __repr__(self) -> str:
        return f"<Extension {self.number}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Bound):
            return NotImplemented

        return (self.number, self._engine.store) == (other.number, other._engine.store)

    def __hash__(self) -> int:
        return hash(self.number)
