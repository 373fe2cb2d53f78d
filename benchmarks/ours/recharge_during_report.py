"""
Recharging cards one by one while another thread of the process sums what calls cost, again and again.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks.ours import recharge, report
from benchmarks.protocol import Block, Done, Parameters
from voipcard.stores import SQLiteStore

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Open a copy of the book; a block recharges random cards. It takes as long as that, not as the last report.
    """
    recharged = recharge.prepare(parameters)
    first, days = parameters.options["first"], parameters.options["days"]
    store = SQLiteStore(parameters.folder / "copy.db")

    @contextmanager
    def reporting() -> Iterator[None]:
        begun, ended = threading.Event(), threading.Event()

        def work() -> None:
            while not ended.is_set():
                begun.set()
                report.summed(store, first, days)

        thread = threading.Thread(target=work)
        thread.start()
        begun.wait()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def block() -> Done:
        with reporting():
            start = time.perf_counter()
            done = recharged()
            seconds = time.perf_counter() - start

        return dataclasses.replace(done, seconds=seconds)

    return block
