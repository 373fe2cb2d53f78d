"""
Files to rows: what `voipcard.sheets.read` does.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Generator, Iterator
from typing import BinaryIO, Final, Literal, TypeAlias, cast

from voipcard.errors import InvalidValueError, SheetError
from voipcard.sheets import csv, files
from voipcard.sheets.found import FoundRow
from voipcard.sheets.guard import unguarded_rows
from voipcard.sheets.limits import Limits, checked_limits

__all__ = ["Format", "read"]

Format: TypeAlias = Literal["csv", "xlsx"]
"""A text file, or an Excel workbook."""

_FORMATS: Final[dict[str, Format]] = {".csv": "csv", ".txt": "csv", ".xlsx": "xlsx"}

_BLOCK: Final = 1024**2

_ZIP: Final = b"PK"
_OLE: Final = b"\xd0\xcf\x11\xe0"
"""How workbooks of old releases and those with a password begin. They are refused with a reason."""


def read(
    source: str | os.PathLike[str] | files.SupportsRead,
    *,
    format: Format | None = None,  # noqa: A002 - what everybody calls it
    separator: str = ",",
    encoding: str | None = None,
    limits: Limits | None = None,
) -> Generator[FoundRow]:
    r"""
    Read the rows of a CSV file or an Excel workbook, one by one.

    Nothing is computed and nothing is guessed: a formula or an error is `Unusable`, a number stays a number, a text
    stays a text. What `write` wrote comes back equal: where a file announces that texts are guarded, the guard is taken
    off; in any other file each field is what it is. The sheets after the first one have to be empty, or go on under the
    same header.

    Args:
        source:
            A path, or a file that is open in binary mode and is left open. Text is read from where the file stands, a
            workbook always as a whole. A path ends in `.csv`, `.txt` or `.xlsx`.

        format: `csv` or `xlsx`; None to go by the end of the path or, without one, by how the file begins.

        separator: What stands between the fields of a CSV file: one character.

        encoding:
            How a CSV file is encoded, by the name that Python has for it; None for UTF-8, or UTF-16 where the file
            begins with its byte order mark.

        limits: How much of the file is read.

    Returns:
        The rows that are not empty, with their numbers.

    Raises:
        SheetError: If the file is missing, damaged, too large or no such file.

        InvalidValueError: If an argument is out of its range.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("amounts.csv").write_text("Card,Amount\n0042,-10.00\n")
        >>> [row.cells for row in voipcard.sheets.read("amounts.csv")]
        [['Card', 'Amount'], ['0042', '-10.00']]
    """
    limits = checked_limits(limits)
    csv.checked_separator(separator)
    if format not in (None, "csv", "xlsx"):
        raise InvalidValueError("format", "has to be csv or xlsx")
    with _opened(source, format) as (stream, name, known):
        size = _size(stream)
        if size is not None and size > limits.file_size:
            raise files.too_large(name, limits.file_size)
        buffered = io.BufferedReader(files.Source(stream, name, limits.file_size))
        rows: Generator[FoundRow]
        if known == "csv" or (known is None and not buffered.peek(len(_OLE)).startswith((_ZIP, _OLE))):
            rows = csv.read(buffered, separator=separator, encoding=encoding, limits=limits)
        else:
            from voipcard.sheets import workbook

            # An archive is read from its end.
            rows = workbook.read(_in_memory(buffered) if size is None else cast("BinaryIO", stream), limits)
        with contextlib.closing(rows):
            yield from unguarded_rows(rows)


@contextlib.contextmanager
def _opened(
    source: str | os.PathLike[str] | files.SupportsRead, format_: Format | None
) -> Iterator[tuple[files.SupportsRead, str, Format | None]]:
    """
    Open a file, and tell what it is called and, as far as that can be said before reading it, which format it has.
    """
    if isinstance(source, str | os.PathLike):
        path = files.path_of(source)
        known = format_ or _FORMATS.get(path.suffix.lower())
        if known is None:
            raise SheetError("suffix", f"{path.name} ends neither in .csv or .txt nor in .xlsx")
        with files.reading(path) as stream:
            yield stream, str(path), known
    elif hasattr(source, "read"):
        files.refuse_closed("source", source)
        yield source, "that was given", format_
    else:
        raise InvalidValueError("source", "has to be a path, or a file that is open in binary mode")


def _size(stream: files.SupportsRead) -> int | None:
    """
    Tell how large a file is, or nothing if it is not moved about in at no cost.
    """
    # What unpacks another file unpacks all of it to come to its end.
    if isinstance(stream, io.BufferedIOBase) and not isinstance(
        stream, io.BytesIO | io.BufferedReader | io.BufferedRandom
    ):
        return None
    file = cast("BinaryIO", stream)
    try:
        place = file.tell()
        size = file.seek(0, os.SEEK_END)
        file.seek(place)
    except (AttributeError, OSError):
        return None

    return size


def _in_memory(buffered: files.SupportsRead) -> io.BytesIO:
    archive = io.BytesIO()
    while block := buffered.read(_BLOCK):
        archive.write(block)

    return archive
