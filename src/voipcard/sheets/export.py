"""
Values to files: what `voipcard.sheets.write` does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence, Sized
from itertools import chain, islice
from pathlib import Path
from typing import Final, Protocol

from voipcard.core.arguments import Progress
from voipcard.core.cards import CardCode, Handout
from voipcard.core.ledger import LedgerEntry
from voipcard.errors import SheetError
from voipcard.sheets import csv, files, xlsx
from voipcard.sheets.rows import Cell, table_of

__all__ = ["write"]

_CHUNK: Final = 1000
"""How many values are taken at a time, and how often progress is told."""


class _Writer(Protocol):
    def append(self, rows: Iterable[Sequence[Cell]]) -> None: ...
    def finish(self) -> None: ...
    def discard(self) -> None: ...


_WRITERS: Final = {".csv": csv.Writer, ".xlsx": xlsx.Writer}


def write(
    path: str | os.PathLike[str],
    values: Iterable[Handout] | Iterable[CardCode] | Iterable[LedgerEntry],
    *,
    progress: Progress | None = None,
) -> int:
    """
    Write cards, hand-outs or ledger entries to a CSV file or an Excel workbook.

    Hand-outs show codes and PINs in clear text; cards are written as lists show them, masked. The file is written
    beside its place, readable by its owner only, and put there when it is complete: a crash leaves the old file, or
    none. Clear text is written nowhere else; a process that is killed leaves it beside the place, in a file named
    `.voipcard-*.tmp`. Whoever opens the file in Excel should be given `.xlsx`, where codes stay text: from a CSV file
    Excel drops leading zeros and all digits after the fifteenth.

    Args:
        path: Where to. Ends in `.csv` or `.xlsx`, which decides the format. An existing file is replaced.

        values: A `Batch`, a search, a history or any other iterable of one kind of value; it is read once, as a stream.
            Without any value the file has only a header: that of hand-outs for a `Batch`, else that of the card list.

        progress: Called after every thousand rows and at the end with how many were written and, if known, of how many.

    Returns:
        The number of rows written, without the header.

    Raises:
        SheetError: If *path* has another suffix, or the file cannot be written there.

        InvalidValueError: If *values* are of another kind, or of several.

    Example:
        >>> book = voipcard.open_book()
        >>> batch = book.extension("0003*215").generate(2, credit="10.00", order_number="PO-117")
        >>> voipcard.sheets.write("po-117.xlsx", batch)
        2
    """
    target = Path(path)
    writer_type = _WRITERS.get(target.suffix.lower())
    if writer_type is None:
        raise SheetError("suffix", f"{target.name} ends neither in .csv nor in .xlsx")
    total = len(values) if isinstance(values, Sized) else None
    chunks = _chunks(values)
    # Taken before the file is made, so that a search which fails at once leaves no trace.
    first = next(chunks, [])
    table = table_of(values, first[0] if first else None)
    with files.replacing(target) as stream:
        writer: _Writer = writer_type(stream, table)
        try:
            rows = 0
            for chunk in chain([first], chunks):
                with files.write_refusals(target):
                    writer.append(table.rows(chunk))
                rows += len(chunk)
                if progress:
                    progress(rows, total)
            with files.write_refusals(target):
                writer.finish()
        except BaseException:
            writer.discard()
            raise

    return rows


def _chunks(values: Iterable[object]) -> Iterator[list[object]]:
    remaining = iter(values)
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk
