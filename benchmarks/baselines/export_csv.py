"""
Exporting all cards of an extension with a bare CSV writer, which reads from the book's file.
"""

from __future__ import annotations

import csv
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from benchmarks.baselines.database import connected
from benchmarks.baselines.listed import HEADER, UNLIMITED, listed, raw
from benchmarks.protocol import Block, Done, Parameters
from benchmarks.sheets import what_is_in

__all__ = ["prepare"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def prepare(parameters: Parameters) -> Block:
    """
    Open the book; a block writes all of its cards. A note tells how fast it would be to write columns as they are.
    """
    connection = connected(parameters)
    extension = parameters.facts().extension
    path, bare = parameters.folder / "cards.csv", parameters.folder / "raw.csv"

    def notes() -> Mapping[str, float]:
        start = time.perf_counter()
        _write(bare, raw(connection, extension))

        return {"raw_per_second": parameters.size / (time.perf_counter() - start)}

    def block() -> Done:
        _write(path, listed(connection, extension, _amount, _moment))

        return Done(parameters.size, lambda: what_is_in(path), notes)

    return block


def _write(path: Path, rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(rows)


def _amount(micros: int) -> str:
    if micros == UNLIMITED:
        return "unlimited"
    units, rest = divmod(micros, 1_000_000)

    return f"{units}.{f'{rest:06d}'.rstrip('0'):0<2}"


def _moment(micros: int | None) -> str:
    return "" if micros is None else (_EPOCH + timedelta(microseconds=micros)).isoformat()
