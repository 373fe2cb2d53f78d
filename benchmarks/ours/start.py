"""
Starting a Python that imports the library.
"""

from __future__ import annotations

import subprocess
import sys

from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Do nothing yet; a block starts one Python after another.
    """

    def block() -> Done:
        for _ in range(parameters.block):
            subprocess.run([sys.executable, "-c", "import voipcard"], check=True)

        return Done(parameters.block)

    return block
