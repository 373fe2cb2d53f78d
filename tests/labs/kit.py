"""
The conformance kit over a Galera cluster: each handle that it opens is on another node than the one before.
"""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, NamedTuple

import attrs
import sqlalchemy

from tests.servers import Server
from voipcard.errors import NotABookError, StoreError
from voipcard.stores import SQLAlchemyStore
from voipcard.testing import Opener, StoreContract

__all__ = ["Proof", "proofs"]


class Proof(NamedTuple):
    """
    What became of one test of the kit.
    """

    name: str
    seconds: float
    fault: str


@attrs.frozen
class _InTurn:
    """
    Opens handles on one node after another, whichever processes ask for them.

    Attributes:
        urls: The addresses of the nodes.
        folder: Where the turns are counted.
    """

    urls: Sequence[str]
    folder: Path

    def __call__(self) -> SQLAlchemyStore:
        """
        Open a handle on the next node, as soon as that has the tables.
        """
        url = next(url for turn, url in enumerate(itertools.cycle(self.urls)) if self._is_first(turn))
        end = time.monotonic() + 30
        while True:
            try:
                return SQLAlchemyStore(url)
            except (NotABookError, StoreError):
                if time.monotonic() > end:
                    raise
            time.sleep(0.01)

    def _is_first(self, turn: int) -> bool:
        try:
            (self.folder / str(turn)).touch(exist_ok=False)
        except FileExistsError:
            return False

        return True


def proofs(nodes: Sequence[Server], address: Callable[[str], str], *, bulk: int) -> Iterator[Proof]:
    """
    Prove the laws over these nodes, one test of the kit after another.

    Args:
        nodes: The nodes.

        address: Gives the address to use for the address of a database on a node.

        bulk: How many cards are committed at once.
    """

    class OnNodes(StoreContract):
        bulk: ClassVar[int]

        @contextmanager
        def fresh(self) -> Iterator[Opener]:
            with nodes[0].database() as url, tempfile.TemporaryDirectory() as folder:
                SQLAlchemyStore(url, create=True).close()
                name = sqlalchemy.make_url(url).database
                others = [sqlalchemy.make_url(node.url).set(database=name) for node in nodes]
                yield _InTurn([address(other.render_as_string()) for other in others], Path(folder))

    OnNodes.bulk = bulk
    kit = OnNodes()
    for name in sorted(name for name in dir(kit) if name.startswith("test_")):
        begin = time.monotonic()
        try:
            getattr(kit, name)()
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
            fault = f"{type(error).__name__}: {error}".splitlines()[0]
        else:
            fault = ""
        yield Proof(name, time.monotonic() - begin, fault)
