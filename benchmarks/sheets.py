"""
The files that lines are about: those that uploads read, and what exports are compared by.

Nothing of the library is imported here, and openpyxl only by those who have to do with workbooks.
"""

from __future__ import annotations

import csv
import hashlib
import random
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import IO, Final

__all__ = ["upload_file", "what_is_in"]

ORDER_NUMBER: Final = "PO-117"
CREDIT: Final = "10.00"

_STEP: Final = 387_420_489_007
"""Has no factor in common with a power of ten, so that its multiples are different codes, and in no order."""

_EVERY: Final = 9
"""Which rows of a workbook are compared. From the first of a power of ten this also leads to the last one."""

_BLOCK: Final = 1 << 20


def upload_file(path: Path, count: int) -> None:
    """
    Write an upload in VoipNow's record: card code, PIN, order number, initial credit. The same rows each time.

    Args:
        path: Where to. Ends in `.csv` or `.xlsx`.

        count: How many rows.
    """
    rows = _upload_rows(count)
    if path.suffix == ".csv":
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(rows)
        return

    import openpyxl

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in rows:
        sheet.append(row)
    book.save(path)


def what_is_in(path: Path) -> list[object]:
    """
    Tell what an export shows: how many rows, under which headers, and a digest of their cells, column by column name.

    Of a workbook, which takes minutes to read, the digest is about every ninth row.

    Args:
        path: The file. Ends in `.csv` or `.xlsx`.
    """
    if path.suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file)
            header = next(rows)
            count, digest = _digest(header, rows)

            return [count, _names(header), digest]

    import openpyxl

    thin = path.with_name("thin.xlsx")
    total = _thinned(path, thin)
    with closing(openpyxl.load_workbook(thin, read_only=True)) as book:
        sheets = [sheet.iter_rows(values_only=True) for sheet in book.worksheets]
        headers = [[str(cell) for cell in next(sheet)] for sheet in sheets]
        # Where rows were left out, openpyxl gives empty ones.
        count, digest = _digest(headers[0], (row for sheet in sheets for row in sheet if any(row)))

    return [total, count, _names(headers[0]), digest]


def _upload_rows(count: int) -> Iterator[tuple[str, str, str, str]]:
    chance = random.Random(3)
    for number in range(count):
        code = f"7{number * _STEP % 10**12:012d}"
        yield code, _pin(chance, code), ORDER_NUMBER, CREDIT


def _pin(chance: random.Random, code: str) -> str:
    """
    Draw a PIN that nobody calls weak: no date, and five different digits.
    """
    while True:
        pin = "".join(chance.choices("456789", k=6))
        if len(set(pin)) == 5 and not code.startswith(pin) and not code.endswith(pin):  # noqa: PLR2004
            return pin


def _names(header: Sequence[str]) -> list[str]:
    """
    Give the names of the columns, without one that tells how the file is to be read.
    """
    return sorted(name for name in header if not name.startswith("#"))


def _digest(header: Sequence[str], rows: Iterable[Sequence[object]]) -> tuple[int, str]:
    places = [header.index(name) for name in _names(header)]
    digest, count = hashlib.sha256(), 0
    for row in rows:
        digest.update("\0".join([_text(row[place]) for place in places]).encode() + b"\n")
        count += 1

    return count, digest.hexdigest()


def _text(cell: object) -> str:
    if isinstance(cell, str):
        return cell
    if isinstance(cell, datetime):
        # A workbook has days as a fraction, so that the last digits depend on how it was computed.
        return cell.isoformat(timespec="seconds")
    if isinstance(cell, int | float):
        return repr(float(cell))

    return "" if cell is None else str(cell)


def _thinned(path: Path, thin: Path) -> int:
    """
    Copy a workbook without the rows that are not compared.

    Returns:
        How many rows it has on all sheets, without headers.
    """
    total = 0
    # Loaded where it is used: when the answer is looked at, nothing is measured any more.
    import shutil
    from zipfile import ZipFile

    with ZipFile(path) as source, ZipFile(thin, "w") as target:
        for part in source.infolist():
            with source.open(part) as found, target.open(part.filename, "w") as kept:
                if part.filename.startswith("xl/worksheets/sheet"):
                    total += _copy_rows(found, kept, total)
                else:
                    shutil.copyfileobj(found, kept)

    return total


def _copy_rows(found: IO[bytes], kept: IO[bytes], before: int) -> int:
    # The first row, with everything before it, is the header.
    number, rest = -1, b""
    while block := found.read(_BLOCK):
        *rows, rest = (rest + block).split(b"</row>")
        for row in rows:
            if number < 0 or (before + number) % _EVERY == 0:
                kept.write(row + b"</row>")
            number += 1
    kept.write(rest)

    return number
