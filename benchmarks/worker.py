"""
A process that does the work of one side of a line, block by block, whenever the driver asks for it.

It reads a line of JSON with what to prepare, answers, and then answers each further line with the measured block.
"""

from __future__ import annotations

import gc
import hashlib
import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.measure import forget_peak, memory
from benchmarks.protocol import Block, Parameters, Prepare

__all__ = ["prepared"]


def prepared(module: str, parameters: Parameters) -> Block:
    """
    Prepare the side that a module has.

    Args:
        module: Its name below `benchmarks`, such as `ours.find`.

        parameters: What the side is given.
    """
    prepare: Prepare = import_module(f"benchmarks.{module}").prepare

    return prepare(parameters)


def _measured(block: Block) -> dict[str, Any]:
    gc.collect()
    forget_peak()
    before = memory("VmRSS")
    start = time.perf_counter()
    done = block()
    seconds = time.perf_counter() - start
    peak = memory("VmHWM")
    answer = json.dumps(done.answer(), sort_keys=True).encode()

    return {
        "operations": done.operations,
        "seconds": done.seconds or seconds,
        "peak": peak,
        "resident_before": before,
        "answer": hashlib.sha256(answer).hexdigest()[:16],
        "notes": dict(done.notes()),
    }


def _asked(line: str) -> tuple[str, Parameters]:
    fields = json.loads(line)
    module = fields.pop("module")
    book = fields.pop("book")

    return module, Parameters(folder=Path(fields.pop("folder")), book=Path(book) if book else None, **fields)


def _serve() -> None:
    # What a side prints must not get among the answers.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1) as replies:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        block = prepared(*_asked(sys.stdin.readline()))
        replies.write("{}\n")
        while sys.stdin.readline():
            replies.write(json.dumps(_measured(block)) + "\n")


if __name__ == "__main__":
    _serve()
