"""
Uploading a CSV file of card codes by hand: each row is checked, and stored without being sealed.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from benchmarks.baselines.uploading import Charge, micros_of, uploading
from benchmarks.protocol import Block, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Make an empty book and the file; the block uploads it.
    """
    return uploading(parameters, ".csv", _read)


def _read(path: Path) -> Iterator[Charge]:
    known: set[str] = set()
    with path.open(encoding="utf-8-sig", newline="") as file:
        for code, pin, order_number, credit in csv.reader(file):
            if not (code.isascii() and code.isdigit()) or code in known:
                raise ValueError("code")
            if not (4 <= len(pin) <= 12 and pin.isascii() and pin.isdigit()):  # noqa: PLR2004 - as VoipNow has it
                raise ValueError("PIN")
            known.add(code)
            yield order_number, micros_of(credit)
