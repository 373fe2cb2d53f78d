"""
CSV in and out: for people, with every field quoted and formulas disarmed, or plain for programs.
"""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import date, datetime
from typing import Any, BinaryIO, Final, Literal, TypeAlias

from voipcard.errors import InvalidValueError, SheetError
from voipcard.sheets.files import forgetting
from voipcard.sheets.found import FoundRow
from voipcard.sheets.guard import ANNOUNCEMENT, guarded
from voipcard.sheets.limits import Limits
from voipcard.sheets.rows import Cell, CellKind, Table

__all__ = ["Dialect", "Writer", "checked_separator", "read"]

Dialect: TypeAlias = Literal["guarded", "plain"]
"""How CSV is written: `guarded` for people, who open it in a spreadsheet program, or `plain` for programs."""

_BYTE_ORDER_MARK: Final = "\ufeff"


def _iso(moment: datetime | None) -> str:
    return moment.isoformat() if moment else ""


def _month(day: date) -> str:
    return day.isoformat()[: len("2026-03")]


def _number(number: object) -> str:
    return "" if number is None else str(number)


_PLAIN: Final[dict[CellKind, Callable[[Any], str]]] = {
    "text": str,
    "amount": _number,
    "moment": _iso,
    "day": date.isoformat,
    "month": _month,
    "count": _number,
}

_GUARDED: Final = _PLAIN | {"text": guarded}
"""
Amounts are not guarded: they are digits and a sign, and a sum over `'-10.00` would leave it out.
"""


def _encoded(encode: Callable[[Any], str], cells: Sequence[Cell]) -> list[str]:
    # Most columns have few different values.
    texts = {cell: encode(cell) for cell in set(cells)}

    return [texts[cell] for cell in cells]


class Writer:
    """
    Writes one table as CSV.

    Guarded, it is UTF-8 with a byte order mark, which Excel needs to see that it is UTF-8, and every field is quoted.
    Plain, it has no mark, and quotes only where they are needed.

    Args:
        stream: Where to.

        table: What the columns are.

        separator: What stands between fields.

        dialect: Whether for people or for programs.
    """

    def __init__(self, stream: BinaryIO, table: Table, *, separator: str = ",", dialect: Dialect = "guarded") -> None:
        self._is_guarded = dialect == "guarded"
        self._text = io.TextIOWrapper(stream, "utf-8-sig" if self._is_guarded else "utf-8", newline="")
        self._writer = csv.writer(
            self._text,
            delimiter=checked_separator(separator),
            quoting=csv.QUOTE_ALL if self._is_guarded else csv.QUOTE_MINIMAL,
        )
        encode = _GUARDED if self._is_guarded else _PLAIN
        self._encode = [encode[column.kind] for column in table.columns]
        self._header = [column.header for column in table.columns]
        self._begun = False

    def append(self, columns: Sequence[Sequence[Cell]]) -> None:
        """
        Write more rows, given as columns of the same length.

        Raises:
            SheetError: If a text cannot be written as UTF-8 or has a NUL character.
        """
        with forgetting():
            try:
                self._begin()
                self._writer.writerows(self._rows(columns))
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
            self._writer.writerow([*map(guarded, self._header), ANNOUNCEMENT] if self._is_guarded else self._header)

    def _rows(self, columns: Sequence[Sequence[Cell]]) -> Iterator[tuple[str, ...]]:
        texts = [_encoded(encode, cells) for encode, cells in zip(self._encode, columns, strict=True)]
        if any("\0" in text for column in texts for text in column):
            raise SheetError("not_text", "a text with a NUL character cannot be written")
        if self._is_guarded:
            texts.append([""] * len(columns[0]))

        return zip(*texts, strict=True)


def read(
    stream: BinaryIO, *, separator: str = ",", encoding: str | None = None, limits: Limits | None = None
) -> Generator[FoundRow]:
    """
    Read a CSV file, row by row, as it stands there.

    Blank lines are left out, but counted, as a spreadsheet counts them.

    Args:
        stream: The file; its lines end as they like.

        separator: What stands between fields: one character.

        encoding: What its bytes mean; None for UTF-8, or for what its byte order mark says.

        limits: How much of it is read.

    Raises:
        InvalidValueError: If *separator* or *encoding* cannot be one.

        SheetError: If this is no such file: another encoding, a NUL character, a quote that is not closed, or more than
            the limits allow.
    """
    limits = limits or Limits()
    text = _decoded(stream, encoding)
    lines = _Lines(text, limits)
    number = 0
    with forgetting(), contextlib.closing(text):
        try:
            most = limits.rows
            for number, row in enumerate(csv.reader(lines, delimiter=checked_separator(separator), strict=True), 1):
                lines.start_row()
                if number == 1 and ANNOUNCEMENT in row:
                    most = limits.total_rows
                if number > most + 1:
                    raise SheetError("too_large", f"the file has more than {most:,} rows: split it, or allow more")
                _refuse_excess(number, row, limits)
                if row and not (number == 1 and _names_separator(row, separator)):
                    yield FoundRow(1, number, row)
        except csv.Error as error:
            if "field limit" in str(error):
                raise _too_long(number + 1, limits) from None
            raise SheetError("quotes", f"{_behind(number)} a quote is not closed, or closed too early") from None
        except UnicodeError:
            detail = f"{_behind(number)} the file is not {encoding or 'UTF-8: save it as CSV UTF-8'}"
            raise SheetError("encoding", detail) from None


def _names_separator(row: Sequence[str], separator: str) -> bool:
    """
    Tell whether a first row says to Excel what separates the fields.

    Raises:
        SheetError: If it says something else than the caller.
    """
    text = separator.join(row)
    if not text.startswith("sep=") or len(text) != len("sep=;"):
        return False
    if text[-1] != separator:
        raise SheetError("separator", f"the file says that {text[-1]!r} stands between its fields: give that separator")

    return True


def _behind(number: int) -> str:
    return f"after row {number}" if number else "in the first row"


def checked_separator(separator: str) -> str:
    """
    Accept what can stand between fields: one character that is needed for nothing else.

    Raises:
        InvalidValueError: If it cannot.
    """
    if not isinstance(separator, str) or len(separator) != 1 or separator in '"\r\n\0':
        raise InvalidValueError("separator", "has to be one character, and neither a quote nor a line break")

    return separator


def _decoded(stream: BinaryIO, encoding: str | None) -> io.TextIOWrapper:
    """
    Find out how a file is encoded: it is what the caller says, or its byte order mark, or UTF-8.
    """
    buffered = io.BufferedReader(stream)  # type: ignore[type-var]  # all that is needed of it is `readinto`
    if encoding is None:
        encoding = "utf-16" if buffered.peek(2)[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE} else "utf-8"
    try:
        return io.TextIOWrapper(buffered, encoding, newline="")
    except (LookupError, ValueError, TypeError):
        raise InvalidValueError("encoding", "has to be one that Python knows, such as cp1252") from None


class _Lines:
    """
    The lines of a text, none of which is read whole if it is out of all proportion.
    """

    def __init__(self, text: io.TextIOWrapper, limits: Limits) -> None:
        self._text = text
        # Each character may be a quote, which is written twice, and each field is quoted.
        self._longest = limits.columns * (2 * limits.field_length + 3) + 2
        self._limits = limits
        self._length = 0

    def __iter__(self) -> Iterator[str]:
        readline, longest = self._text.readline, self._longest
        line = readline(longest + 1).removeprefix(_BYTE_ORDER_MARK)
        while line:
            self._length += len(line)
            if self._length > longest:
                raise SheetError("field_too_long", "a row is too long, or a quote is not closed")
            if "\0" in line:
                raise SheetError("nul", "the file has NUL characters: it is not text, or is UTF-16 without a mark")
            yield line
            line = readline(longest + 1)

    def start_row(self) -> None:
        """
        Begin to count anew.
        """
        self._length = 0


def _refuse_excess(number: int, row: Sequence[str], limits: Limits) -> None:
    if len(row) > limits.columns and any(row[limits.columns :]):
        raise SheetError("too_large", f"row {number} has more than {limits.columns} columns")
    if max(map(len, row), default=0) > limits.field_length:
        raise _too_long(number, limits)


def _too_long(number: int, limits: Limits) -> SheetError:
    return SheetError("field_too_long", f"row {number} has a field of more than {limits.field_length:,} characters")
