"""
Recharging cards one by one, by one thread or many at once.
"""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeAlias

from benchmarks.ours.book import opened_copy
from benchmarks.protocol import Block, Done, Parameters
from voipcard import Extension, LedgerEntry

__all__ = ["prepare"]

Jobs: TypeAlias = Iterator[tuple[str, str]]


def prepare(parameters: Parameters) -> Block:
    """
    Open a copy of the book; a block recharges random cards of it, or the same hot card, each with an order of its own.
    """
    extension = opened_copy(parameters)
    serials = parameters.facts().serials[: 1 if parameters.options.get("hot") else None]
    threads = parameters.options.get("threads", 1)
    orders = itertools.count()
    chance = random.Random(1)

    def block() -> Done:
        jobs = iter([(serial, f"PO-{next(orders)}") for serial in chance.choices(serials, k=parameters.block)])
        done = _in_threads(extension, jobs, threads) if threads > 1 else [_recharged(extension, jobs)]
        counts = [len(entries) for entries in done]

        return Done(
            sum(counts),
            lambda: sorted((entry.serial, entry.credit_left.micros) for entries in done for entry in entries),
            lambda: {"fairness": min(counts) / max(counts)} if threads > 1 else {},
        )

    return block


def _recharged(extension: Extension, jobs: Jobs) -> list[LedgerEntry]:
    return [extension.recharge(serial, "1.00", order_number=order) for serial, order in jobs]


def _in_threads(extension: Extension, jobs: Jobs, threads: int) -> list[list[LedgerEntry]]:
    """
    Let threads take one job after another, so that a starved thread shows by how few it got.
    """
    barrier = threading.Barrier(threads)

    def work(_: int) -> list[LedgerEntry]:
        barrier.wait()

        return _recharged(extension, jobs)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(threads)))
