"""
Exporting all cards of an extension with openpyxl alone, which writes row by row.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import openpyxl

from benchmarks.baselines.database import connected
from benchmarks.baselines.listed import HEADER, UNLIMITED, listed
from benchmarks.protocol import Block, Done, Parameters
from benchmarks.sheets import what_is_in

__all__ = ["prepare"]

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - Excel's dates know no time zone


def prepare(parameters: Parameters) -> Block:
    """
    Open the book; a block writes all of its cards.
    """
    connection = connected(parameters)
    extension = parameters.facts().extension
    path = parameters.folder / "cards.xlsx"

    def block() -> Done:
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet()
        sheet.append(HEADER)
        for row in listed(connection, extension, _amount, _moment):
            sheet.append(row)
        book.save(path)

        return Done(parameters.size, lambda: what_is_in(path))

    return block


def _amount(micros: int) -> float | str:
    return "unlimited" if micros == UNLIMITED else micros / 1_000_000


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)
