"""
The store in memory keeps every law that can be kept without a disk.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Any

from voipcard.core.query import CardQuery
from voipcard.stores import Changes, MemoryStore
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


def test_iterables_may_ask_the_store() -> None:
    """
    What is given as an iterable is read before the lock is taken, so that it may ask the same store.
    """
    store = MemoryStore()

    def asking() -> Iterator[Any]:
        store.count(CardQuery())
        yield from ()

    def ask() -> None:
        store.find_many(ids=asking(), serials=asking())
        store.known(indexes=asking(), serials=asking(), operations=asking())
        store.find_documents(asking())
        store.counters(asking())
        store.commit(Changes(new=asking()))

    thread = Thread(target=ask, daemon=True)
    thread.start()
    thread.join(30)

    assert not thread.is_alive(), "the store waits for itself"
