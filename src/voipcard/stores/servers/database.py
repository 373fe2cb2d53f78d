"""
Where a store reads and commits: what its own transactions and those of a caller have in common.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy.engine import Dialect

from voipcard.errors import StoreError
from voipcard.stores.servers.sessions import Session

__all__ = ["Database"]

T = TypeVar("T")


class Database(Protocol):
    """
    Where a store reads and commits.

    Attributes:
        joined: Whether the transactions are the caller's.
    """

    joined: bool

    @property
    def dialect(self) -> Dialect:
        """
        What SQLAlchemy knows of the server.
        """
        ...

    def refuse_use(self) -> None:
        """
        Refuse to go on after `close` or a fork.
        """
        ...

    def read(self, work: Callable[[Session], T]) -> T:
        """
        Read. What *work* reads it may read twice.
        """
        ...

    def commit(self, work: Callable[[Session], None], *, alone: bool = False) -> None:
        """
        Write all that *work* writes, or nothing; *alone* if it is a single statement.

        Raises:
            Collision: If a unique value is taken, or the statement refused itself.
        """
        ...

    def judged(self, refusal: StoreError) -> StoreError:
        """
        Say of a refusal whether reading again would tell anything new.
        """
        ...

    def close(self) -> None:
        """
        Give back everything that is held.
        """
        ...
