"""
CSV in and out: every field quoted, and formulas disarmed in a way that is announced in the file and undone exactly.
"""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, BinaryIO, Final

from voipcard.errors import InvalidValueError, SheetError
from voipcard.sheets.files import MAX_FIELD_LENGTH, forgetting
from voipcard.sheets.rows import Cell, CellKind, Table

__all__ = ["ANNOUNCEMENT", "Writer", "read"]

ANNOUNCEMENT: Final = "#voipcard-csv/1;guard=apostrophe"
"""
The header of the last column, which is empty. It says that the apostrophe before each dangerous text is not part of it.
"""

_DANGEROUS: Final = frozenset("=+-@\t\r\n＝＋－＠'")  # noqa: RUF001 - full-width signs
"""
First characters that make a spreadsheet take a text for a formula, and the guard itself, which makes it reversible.

Source: OWASP, "CSV Injection".
"""


def _guarded(text: str) -> str:
    if "\0" in text:
        raise SheetError("not_text", "a text with a NUL character cannot be written")

    return f"'{text}" if text[:1] in _DANGEROUS else text


def _unguarded(text: str) -> str:
    return text.removeprefix("'")


def _iso(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""


_TEXT: Final[dict[CellKind, Callable[[Any], str]]] = {
    "text": _guarded,
    # Not guarded: an amount is digits and a sign, and a sum over `'-10.00` would leave it out.
    "amount": str,
    "moment": _iso,
    "count": str,
}


class Writer:
    """
    Writes one table as CSV, in UTF-8 with a byte order mark, which Excel needs to see that it is UTF-8.

    Args:
        stream: Where to.

        table: What the columns are.

        separator: What stands between fields.
    """

    def __init__(self, stream: BinaryIO, table: Table, *, separator: str = ",") -> None:
        self._text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
        self._writer = csv.writer(self._text, delimiter=_checked(separator), quoting=csv.QUOTE_ALL)
        self._cells = [_TEXT[column.kind] for column in table.columns]
        self._header = [_guarded(column.header) for column in table.columns]
        self._begun = False

    def append(self, rows: Iterable[Sequence[Cell]]) -> None:
        """
        Write more rows.

        Raises:
            SheetError: If a text cannot be written as UTF-8 or has a NUL character.
        """
        with forgetting():
            try:
                self._begin()
                self._writer.writerows(self._encoded(rows))
            except UnicodeEncodeError:
                raise SheetError("not_text", "a text with half a character cannot be written") from None

    def finish(self) -> None:
        """
        Hand everything over to the stream.
        """
        self._begin()
        self._text.detach()

    def discard(self) -> None:
        """
        Let go of the stream, whatever has become of it.
        """
        with contextlib.suppress(OSError, ValueError):
            self._text.detach()

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._writer.writerow([*self._header, ANNOUNCEMENT])

    def _encoded(self, rows: Iterable[Sequence[Cell]]) -> Iterator[list[str]]:
        for row in rows:
            fields = [encode(cell) for encode, cell in zip(self._cells, row, strict=True)]
            fields.append("")
            yield fields


def read(stream: BinaryIO, *, separator: str = ",") -> Generator[list[str]]:
    """
    Read a CSV file, row by row, as plain text.

    Where the file announces our guard it is taken off; in any other file each field is what it is. Blank lines are
    empty rows, so that rows can be counted as a spreadsheet counts them.

    Args:
        stream: The file: UTF-8, with or without a byte order mark, lines ending as they like. It is closed in the end.

        separator: What stands between fields: one character.

    Raises:
        InvalidValueError: If *separator* cannot be one.

        SheetError: If this is no such file: another encoding, a NUL character, a quote that is not closed, or a field
            that is too long.
    """
    number = 0
    with forgetting():
        try:
            with io.TextIOWrapper(stream, "utf-8-sig", newline="") as text:
                reader = csv.reader(_without_nul(text), delimiter=_checked(separator), strict=True)
                announced = False
                for number, row in enumerate(reader, 1):
                    if number == 1:
                        announced = row[-1:] == [ANNOUNCEMENT]
                    if max(map(len, row), default=0) > MAX_FIELD_LENGTH:
                        raise _too_long(number)
                    yield [_unguarded(field) for field in row[:-1]] if announced else row
        except csv.Error as error:
            if "field limit" in str(error):
                raise _too_long(number + 1) from None
            raise SheetError("quotes", f"after row {number} a quote is not closed, or closed too early") from None
        except UnicodeDecodeError:
            raise SheetError("encoding", f"after row {number} the file is not UTF-8: save it as 'CSV UTF-8'") from None


def _too_long(number: int) -> SheetError:
    return SheetError("field_too_long", f"row {number} has a field of more than {MAX_FIELD_LENGTH:,} characters")


def _checked(separator: str) -> str:
    if len(separator) != 1 or separator in '"\r\n\0':
        raise InvalidValueError("separator", "has to be one character, and neither a quote nor a line break")

    return separator


def _without_nul(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        if "\0" in line:
            raise SheetError("nul", "the file has NUL characters: it is not text, or is UTF-16")
        yield line
