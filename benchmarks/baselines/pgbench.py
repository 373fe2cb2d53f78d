"""
The transactions of pgbench, the program that PostgreSQL brings to measure it: like those of TPC-B, and small.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Final

from benchmarks.baselines.server import address, connected
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]

_THREADS: Final = 2

_SAID: Final = re.compile(
    r"^number of transactions actually processed: (\d+)/.*^tps = ([\d.]+) \(without initial connection time\)$",
    re.MULTILINE | re.DOTALL,
)


def prepare(parameters: Parameters) -> Block:
    """
    Let pgbench make its tables beside those of the book, which lie idle; a block is a run of it.
    """
    program = _program(parameters)
    clients = parameters.options["clients"]
    _said_by(program, parameters, "-i", "-q", "-s", str(parameters.options["scale"]))
    turns = max(1, parameters.block // clients)
    how = ("-n", "-M", "prepared", "-c", str(clients), "-j", str(_THREADS), "-t", str(turns))

    def block() -> Done:
        said = _said_by(program, parameters, *how)
        found = _SAID.search(said)
        if found is None:
            raise LookupError(said)
        done = int(found[1])

        # By what it says itself, so that starting it and connecting are not counted.
        return Done(done, seconds=done / float(found[2]))

    return block


def _program(parameters: Parameters) -> Path:
    """
    Find the program that belongs to the server.
    """
    with connected(parameters) as connection:
        [[folder]] = connection.execute("SELECT setting FROM pg_config WHERE name = 'BINDIR'").fetchall()

    return Path(folder) / "pgbench"


def _said_by(program: Path, parameters: Parameters, *options: str) -> str:
    done = subprocess.run(
        [program, *options, address(parameters)],
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    if done.returncode:
        raise LookupError(done.stdout)

    return done.stdout
