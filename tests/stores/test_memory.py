"""
The store in memory keeps every law that can be kept without a disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from voipcard.stores import MemoryStore
from voipcard.testing import Opener, StoreContract


class TestMemoryStore(StoreContract):
    """
    The laws, with threads instead of processes.
    """

    shared = False
    in_memory = True

    @contextmanager
    def fresh(self) -> Iterator[Opener]:
        """
        Open handles on the same dictionaries.
        """
        yield MemoryStore().another
