"""
Excel workbooks out: codes, PINs and order numbers as text cells, amounts as numbers, moments as dates.

The XML of the sheets is written here, everything else of a workbook by openpyxl. That would keep the sheets in
temporary files until the workbook is saved, codes and PINs in clear text.
"""

from __future__ import annotations

import contextlib
import re
import zipfile
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from voipcard.core.credit import Credit
from voipcard.errors import SheetError
from voipcard.sheets.rows import Cell, CellKind, Table

if TYPE_CHECKING:
    from openpyxl.workbook import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

__all__ = ["Writer"]

MAX_ROWS: Final = 1_048_576
"""How many rows a sheet can have in Excel, the header included."""

MAX_SHEET_SIZE: Final = 1024**3
"""
How much XML a sheet that is written may have, in bytes.

`zipfile` packs up to 2 GiB that it does not know beforehand, and more only as ZIP64, which Excel may want to repair.

Source: issue 656 of XlsxWriter.
"""

_BLOCK: Final = 65_536
"""How many characters of XML wait in memory until they are packed."""

_MAX_CELL_LENGTH: Final = 32_767
_MAX_DIGITS: Final = 15
"""As many significant digits as Excel keeps. A number with more comes back changed."""

_FORMATS: Final[dict[CellKind, str]] = {
    "text": "@",
    "amount": "0.00####",
    "moment": "yyyy-mm-dd hh:mm:ss",
    "day": "yyyy-mm-dd",
    "month": "yyyy-mm",
    "count": "0",
}
"""How Excel shows what is in a cell. A cell with `@` stays text also after somebody has edited it."""

_EPOCH: Final = datetime(1899, 12, 30, tzinfo=UTC)
_FIRST: Final = datetime(1900, 3, 1, tzinfo=UTC)
"""Before this day Excel counts one too many, because it takes 1900 for a leap year."""

_DAY: Final = timedelta(days=1)

_TO_ESCAPE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
"""Characters that XML cannot hold or does not keep, and the start of what could be taken for one of them."""

_NEEDS_SPACE: Final = re.compile(r"\A\s|\s\Z|\s\s|[\t\n]")
"""White space that is only kept where the XML says that it counts."""


def _escaped(text: str) -> str:
    """
    Write a text as Excel does: `_x000D_` for a carriage return.

    Source: ECMA-376 part 1, 22.9.2.19, ST_Xstring.
    """
    return _TO_ESCAPE.sub(lambda found: f"_x{ord(found.group()):04X}_", text)


class Writer:
    """
    Writes one table as a workbook, on as many sheets as it needs.

    Args:
        stream: Where to.

        table: What the columns are.

        rows_per_sheet: How many rows a sheet may have, the header included.

        bytes_per_sheet: How much XML a sheet may have before the next one is begun.
    """

    def __init__(
        self,
        stream: BinaryIO,
        table: Table,
        *,
        rows_per_sheet: int = MAX_ROWS,
        bytes_per_sheet: int = MAX_SHEET_SIZE,
    ) -> None:
        import openpyxl

        self._table = table
        self._rows_per_sheet = rows_per_sheet
        self._bytes_per_sheet = bytes_per_sheet
        self._archive = zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED)
        self._book: Workbook = openpyxl.Workbook(write_only=True)
        self._book.properties.creator = "voipcard"
        self._sheet: _Sheet | None = None

    def append(self, columns: Sequence[Sequence[Cell]]) -> None:
        """
        Write more rows, given as columns of the same length.

        Raises:
            SheetError: If a text is longer than a cell can hold, or cannot be written as UTF-8.
        """
        sheet = self._sheet or self._next_sheet()
        kinds = [column.kind for column in self._table.columns]
        cells = [sheet.encoded(kind, column) for kind, column in zip(kinds, columns, strict=True)]
        for row in zip(*cells, strict=True):
            if sheet.rows == self._rows_per_sheet or sheet.size >= self._bytes_per_sheet:
                sheet = self._next_sheet()
            sheet.append(row)

    def finish(self) -> None:
        """
        Put the workbook together.
        """
        from openpyxl.writer.excel import ExcelWriter

        class OtherParts(ExcelWriter):
            def write_worksheet(self, ws: Worksheet) -> None:
                # It is in the archive already.
                self.manifest.append(ws)

        sheet = self._sheet or self._next_sheet()
        sheet.close()
        OtherParts(self._book, self._archive).save()

    def discard(self) -> None:
        """
        Let go of the stream, whatever has become of it.
        """
        # What is left open would be closed, and would write, whenever Python comes to it.
        if self._sheet is not None:
            with contextlib.suppress(Exception):
                self._sheet.close()
        with contextlib.suppress(Exception):
            self._archive.close()

    def _next_sheet(self) -> _Sheet:
        # Of an archive only one part at a time can be written.
        if self._sheet is not None:
            self._sheet.close()
        self._sheet = _Sheet(self._book, self._archive, self._table)

        return self._sheet


class _Sheet:
    """
    One sheet while it is written, the header first.

    Attributes:
        rows: How many it has, the header included.
        size: How many bytes of XML it has.
    """

    def __init__(self, book: Workbook, archive: zipfile.ZipFile, table: Table) -> None:
        from openpyxl.utils import get_column_letter

        number = len(book.worksheets) + 1
        sheet = book.create_sheet(f"{table.title} {number}" if number > 1 else table.title)
        self.rows = 0
        self.size = 0
        self._styles = {kind: _style(sheet, number_format) for kind, number_format in _FORMATS.items()}
        self._letters = [get_column_letter(position) for position in range(1, len(table.columns) + 1)]
        self._waiting = [_top(table, self._styles, is_first=number == 1)]
        self._waiting_size = 0
        self._part = archive.open(f"xl/worksheets/sheet{number}.xml", "w")
        header = _style(sheet, _FORMATS["text"], bold=True)
        self.append([_text(column.header, header) for column in table.columns])

    def encoded(self, kind: CellKind, cells: Sequence[Any]) -> list[str]:
        """
        Write the cells of a column as XML, but for where they stand; nothing for an empty one.
        """
        style, text_style = self._styles[kind], self._styles["text"]
        # Most columns have few different values.
        encode = _ENCODED[kind]
        encoded = {cell: encode(cell, style, text_style) for cell in set(cells)}

        return [encoded[cell] for cell in cells]

    def append(self, cells: Iterable[str]) -> None:
        """
        Write one row.
        """
        self.rows += 1
        number = str(self.rows)
        row = [f'<c r="{letter}{number}"{cell}' for letter, cell in zip(self._letters, cells, strict=True) if cell]
        xml = f'<row r="{number}">{"".join(row)}</row>'
        self._waiting.append(xml)
        self._waiting_size += len(xml)
        if self._waiting_size >= _BLOCK:
            self._store()

    def close(self) -> None:
        """
        Write what comes after the rows.
        """
        with self._part:
            self._waiting.append("</sheetData></worksheet>")
            self._store()

    def _store(self) -> None:
        self.size += self._part.write("".join(self._waiting).encode())
        self._waiting.clear()
        self._waiting_size = 0


def _style(sheet: Any, number_format: str, *, bold: bool = False) -> int:  # noqa: ANN401 - openpyxl's stubs disagree
    """
    Give the number under which the workbook knows a style.
    """
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font

    cell = WriteOnlyCell(sheet)
    cell.number_format = number_format
    cell.font = Font(bold=bold)

    return cell.style_id


def _top(table: Table, styles: dict[CellKind, int], *, is_first: bool) -> str:
    """
    Write what comes before the rows: the header stays in view, and columns have their width and their format.

    Source: ECMA-376 part 1, 18.3.1.
    """
    from openpyxl.xml.constants import SHEET_MAIN_NS

    columns = "".join(
        f'<col min="{at}" max="{at}" width="{column.width}" style="{styles[column.kind]}" customWidth="1"/>'
        for at, column in enumerate(table.columns, 1)
    )
    selected = ' tabSelected="1"' if is_first else ""

    return (
        f'<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n<worksheet xmlns="{SHEET_MAIN_NS}">'
        f'<sheetViews><sheetView{selected} workbookViewId="0">'
        '<pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/>'
        f"</sheetView></sheetViews><cols>{columns}</cols><sheetData>"
    )


def _text(text: str, style: int) -> str:
    """
    Write a text cell.

    Raises:
        SheetError: If the text is longer than a cell can hold, or cannot be written as UTF-8.
    """
    if not text:
        # What somebody types there later stays text.
        return f' s="{style}"/>'
    escaped = _escaped(text)
    if len(escaped) > _MAX_CELL_LENGTH:
        raise SheetError("too_long", f"a text of more than {_MAX_CELL_LENGTH:,} characters does not fit into a cell")
    if not _is_unicode(text):
        raise SheetError("not_text", "a text with half a character cannot be written")
    space = ' xml:space="preserve"' if _NEEDS_SPACE.search(escaped) else ""

    return f' s="{style}" t="inlineStr"><is><t{space}>{escape(escaped, quote=False)}</t></is></c>'


def _number(number: object, style: int) -> str:
    return f' s="{style}"><v>{number}</v></c>'


def _count(number: int | None, style: int, _: int) -> str:
    return "" if number is None else _number(number, style)


def _amount(credit: Credit | None, style: int, text_style: int) -> str:
    if credit is None:
        return ""
    # A text wherever Excel would not keep every digit.
    if credit.is_unlimited or len(str(abs(credit.micros)).rstrip("0")) > _MAX_DIGITS:
        return _text(str(credit), text_style)

    return _number(credit, style)


def _moment(moment: datetime | None, style: int, text_style: int) -> str:
    if moment is None:
        return ""
    if moment < _FIRST:
        return _text(moment.astimezone(UTC).isoformat(), text_style)

    # Excel's dates know no time zone; ours are UTC, whatever zone they are shown in.
    return _number(repr((moment - _EPOCH) / _DAY), style)


def _day(day: date, style: int, text_style: int) -> str:
    if day < _FIRST.date():
        return _text(day.isoformat(), text_style)

    return _number((day - _EPOCH.date()).days, style)


_ENCODED: Final[dict[CellKind, Callable[[Any, int, int], str]]] = {
    "text": lambda text, style, _: _text(text, style),
    "amount": _amount,
    "moment": _moment,
    "day": _day,
    "month": _day,
    "count": _count,
}


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)
