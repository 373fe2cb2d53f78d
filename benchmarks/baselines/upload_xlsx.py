"""
Uploading a workbook of card codes by hand: openpyxl alone reads it, and the rows are neither checked nor sealed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import openpyxl

from benchmarks.baselines.uploading import Charge, micros_of, uploading
from benchmarks.protocol import Block, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Make an empty book and the file; the block uploads it.
    """
    return uploading(parameters, ".xlsx", _read)


def _read(path: Path) -> Iterator[Charge]:
    with closing(openpyxl.load_workbook(path, read_only=True)) as book:
        for _code, _pin, order_number, credit in book.worksheets[0].iter_rows(values_only=True):
            yield str(order_number), micros_of(str(credit))
