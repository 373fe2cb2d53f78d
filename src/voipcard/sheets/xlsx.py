"""
Excel workbooks in and out: codes, PINs and order numbers as text cells, amounts as numbers, moments as dates.
"""

from __future__ import annotations

import contextlib
import enum
import io
import re
import warnings
import zipfile
from collections.abc import Container, Generator, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count, islice
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

from voipcard.core.credit import Credit
from voipcard.errors import SheetError, VoipcardError
from voipcard.sheets.files import MAX_FIELD_LENGTH, forgetting
from voipcard.sheets.rows import Cell, Table

if TYPE_CHECKING:
    from openpyxl.cell import Cell as WrittenCell
    from openpyxl.workbook import Workbook
    from openpyxl.worksheet.worksheet import Worksheet

__all__ = ["FoundCell", "Unusable", "Writer", "read"]

MAX_ROWS: Final = 1_048_576
"""How many rows a sheet can have in Excel, the header included."""

MAX_SHEET_SIZE: Final = 1024**3
"""
How much XML a sheet that is written may have, in bytes.

`zipfile` packs up to 2 GiB that it does not know beforehand, and more only as ZIP64, which Excel may want to repair.

Source: issue 656 of XlsxWriter.
"""

MAX_COLUMNS: Final = 64
"""How many columns a sheet may have that is read."""

MAX_PARTS: Final = 1000
MAX_UNPACKED: Final = 2 * 1024**3
MAX_RATIO: Final = 100
"""How many times larger than packed a part may be once it has a mebibyte. Real sheets stay below 30."""

_MEBIBYTE: Final = 1024**2
_CHUNK: Final = 1000
_BLOCK: Final = 65_536
"""How many bytes of XML wait in memory until they are packed."""

_MAX_CELL_LENGTH: Final = 32_767
_MAX_DIGITS: Final = 15
"""As many significant digits as Excel keeps. A number with more comes back changed."""

_FORMATS: Final = {
    "header": "@",
    "text": "@",
    "amount": "0.00####",
    "moment": "yyyy-mm-dd hh:mm:ss",
    "count": "0",
}
"""How Excel shows what is in a cell. A cell with `@` stays text also after somebody has edited it."""

_ESCAPED: Final = re.compile(r"_x([0-9A-Fa-f]{4})_")
_TO_ESCAPE: Final = re.compile(r"[\x00-\x08\x0b-\x1f\ufffe\uffff]|_(?=x[0-9A-Fa-f]{4}_)")
"""Characters that XML cannot hold or does not keep, and the start of what could be taken for one of them."""


class Unusable(enum.Enum):
    """
    A cell whose text is not to be had: the value is the reason.
    """

    FORMULA = "formula"
    DAMAGED = "excel_damage"


FoundCell: TypeAlias = str | Decimal | Unusable
"""What is read from a cell: a text, a number, or that there is something else."""


def _escaped(text: str) -> str:
    """
    Write a text as Excel does: `_x000D_` for a carriage return.

    Source: ECMA-376 part 1, 22.9.2.19, ST_Xstring.
    """
    return _TO_ESCAPE.sub(lambda found: f"_x{ord(found.group()):04X}_", text)


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found.group(1), 16)), text)


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

    def append(self, rows: Iterable[Sequence[Cell]]) -> None:
        """
        Write more rows.

        Raises:
            SheetError: If a text is longer than a cell can hold, or cannot be written as UTF-8.
        """
        kinds = [column.kind for column in self._table.columns]
        for row in rows:
            sheet = self._sheet
            if sheet is None or sheet.rows == self._rows_per_sheet or sheet.size >= self._bytes_per_sheet:
                sheet = self._next_sheet()
            sheet.append(kinds, row)

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

    Its XML goes straight into the archive. openpyxl by itself would keep it in a temporary file until the workbook is
    saved, codes and PINs in clear text, and a process that is killed would leave that file behind.

    Attributes:
        rows: How many it has, the header included.
        size: How many bytes of XML are in the archive.
    """

    def __init__(self, book: Workbook, archive: zipfile.ZipFile, table: Table) -> None:
        from openpyxl.utils import get_column_letter
        from openpyxl.worksheet._writer import WorksheetWriter

        number = len(book.worksheets) + 1
        self.rows = 0
        self.size = 0
        self._cells: dict[tuple[int, str], WrittenCell] = {}
        self._part = archive.open(f"xl/worksheets/sheet{number}.xml", "w")
        self._xml = io.BytesIO()
        self._sheet: Any = book.create_sheet(f"{table.title} {number}" if number > 1 else table.title)
        self._sheet.freeze_panes = "A2"
        for position, column in enumerate(table.columns, 1):
            self._sheet.column_dimensions[get_column_letter(position)].width = column.width
        # There is no public name for it. openpyxl does the same before the first row, but with a temporary file.
        self._sheet._writer = WorksheetWriter(self._sheet, out=self._xml)  # noqa: SLF001
        self._sheet._writer.write_top()  # noqa: SLF001
        self.append(["header"] * len(table.columns), [column.header for column in table.columns])

    def append(self, kinds: Sequence[str], row: Sequence[Cell]) -> None:
        """
        Write one row.
        """
        values = map(_value, row)
        self._sheet.append([self._cell(*what) for what in zip(count(), kinds, values, strict=False)])
        self.rows += 1
        if self._xml.tell() >= _BLOCK:
            self._store()

    def close(self) -> None:
        """
        Write what comes after the rows.
        """
        with self._part:
            self._sheet.close()
            self._store()

    def _store(self) -> None:
        self.size += self._part.write(self._xml.getvalue())
        self._xml.seek(0)
        self._xml.truncate()

    def _cell(self, position: int, kind: str, value: str | Decimal | datetime | int | None) -> WrittenCell | None:
        """
        Fill the cell of one column and kind, the same one in every row: to give it its style is what takes time.
        """
        if value is None:
            return None
        if isinstance(value, str) and kind != "header":
            kind = "text"
        cell = self._cells.get((position, kind)) or self._new_cell(position, kind)
        cell.value = value
        if isinstance(value, str):
            # Or openpyxl takes `=1+1` for a formula and `#N/A` for an error.
            cell.data_type = "s"

        return cell

    def _new_cell(self, position: int, kind: str) -> WrittenCell:
        from openpyxl.cell import WriteOnlyCell
        from openpyxl.styles import Font

        cell = self._cells[position, kind] = WriteOnlyCell(self._sheet)
        cell.number_format = _FORMATS[kind]
        cell.font = Font(bold=kind == "header")

        return cell


def _value(cell: Cell) -> str | Decimal | datetime | int | None:
    """
    Give what goes into a cell: a text wherever Excel would not keep every digit.

    Raises:
        SheetError: If a text is longer than a cell can hold, or cannot be written as UTF-8.
    """
    if isinstance(cell, Credit):
        if cell.is_unlimited or len(str(abs(cell.micros)).rstrip("0")) > _MAX_DIGITS:
            return str(cell)
        return cell.to_decimal()
    if isinstance(cell, datetime):
        # Excel's dates know no time zone; ours are UTC, whatever zone they are shown in.
        return cell.astimezone(UTC).replace(tzinfo=None)
    if not isinstance(cell, str):
        return cell
    text = _escaped(cell)
    if len(text) > _MAX_CELL_LENGTH:
        raise SheetError("too_long", f"a text of more than {_MAX_CELL_LENGTH:,} characters does not fit into a cell")
    if not _is_unicode(text):
        raise SheetError("not_text", "a text with half a character cannot be written")

    return text


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    """
    Say as a `SheetError` that openpyxl, zipfile or the XML parser did not understand the file, and silence warnings.

    What they raise depends on where the file is broken, and may quote a cell: a code or a PIN. Warnings are silenced
    for quiet only, because another thread may let them through: those that are left quote no cell.
    """
    with forgetting():
        try:
            with warnings.catch_warnings(action="ignore"):
                yield
        except VoipcardError:
            raise
        except Exception:  # noqa: BLE001 - there is no telling what they raise
            raise SheetError("not_a_workbook", "the file is not an Excel workbook, or is damaged") from None


def read(stream: BinaryIO) -> Generator[list[FoundCell]]:
    """
    Read the first sheet of a workbook, row by row. The sheets after it have to be empty.

    Nothing is computed and nothing is guessed: a formula, a date or an error is `Unusable`, a number stays a number.

    Args:
        stream: The workbook.

    Raises:
        SheetError: If this is no workbook, has more rows or columns than a sheet should, rows or cells out of order, a
            field that is too long, or something on more than one sheet.
    """
    import openpyxl

    with _understood():
        _check_archive(stream)
        book: Any = openpyxl.load_workbook(stream, read_only=True, keep_links=False)
    with contextlib.closing(book):
        sheets = [_found_rows(sheet) for sheet in book.worksheets]
        if not sheets:
            raise SheetError("not_a_workbook", "the workbook has no sheet")
        yield from sheets[0]
        for other in sheets[1:]:
            if any(other):
                raise SheetError("sheets", "the workbook has rows on more than one sheet: put them on the first one")


def _check_archive(stream: BinaryIO) -> None:
    """
    Refuse an archive that unpacks to far more than it seems: openpyxl would unpack it.
    """
    with zipfile.ZipFile(stream) as archive:
        parts = archive.infolist()
    if len(parts) > MAX_PARTS or sum(part.file_size for part in parts) > MAX_UNPACKED:
        raise SheetError("too_large", "the workbook is too large when unpacked")
    if any(part.file_size > max(_MEBIBYTE, MAX_RATIO * part.compress_size) for part in parts):
        raise SheetError("too_large", "the workbook is packed suspiciously tight")
    stream.seek(0)


def _found_rows(sheet: Any) -> Iterator[list[FoundCell]]:  # noqa: ANN401 - has no type
    """
    Read the rows of one sheet in chunks, so that warnings are silenced a few times only.

    The rows come from the parser itself: openpyxl's own loop over them leaves out, without a word, rows that stand
    after a later one and cells beyond the last column that was asked for.
    """
    from openpyxl.worksheet._reader import WorkSheetParser

    dates: Container[int] = sheet.parent._date_formats  # noqa: SLF001 - there is no public name for it
    with _understood():
        source = sheet._get_source()  # noqa: SLF001 - nor for this
    with contextlib.closing(source):
        # A date that cannot be one, which may be a code, is quoted in a warning. So the parser is not told of dates.
        rows = WorkSheetParser(source, sheet._shared_strings).parse()  # noqa: SLF001 - nor for this
        last = 0
        while True:
            with _understood():
                chunk = [(number, _found_cells(number, cells, dates)) for number, cells in islice(rows, _CHUNK)]
            if not chunk:
                return
            for number, row in chunk:
                if number <= last:
                    raise SheetError("out_of_order", f"row {number} stands after row {last}: save the workbook again")
                if number > MAX_ROWS:
                    raise SheetError("too_large", f"the sheet has more than {MAX_ROWS:,} rows")
                yield from ([] for _ in range(last + 1, number))
                yield row
                last = number


def _found_cells(number: int, cells: Iterable[Mapping[str, Any]], dates: Container[int]) -> list[FoundCell]:
    """
    Give what is in the cells of one row, up to the last one that is not empty.
    """
    row: list[FoundCell] = []
    last = 0
    for cell in cells:
        column = cell["column"]
        if column <= last:
            raise SheetError("out_of_order", f"row {number} has cells that are out of order: save the workbook again")
        last = column
        found = _found(cell, dates)
        if found == "":
            continue
        if column > MAX_COLUMNS:
            raise SheetError("too_large", f"row {number} has more than {MAX_COLUMNS} columns")
        if isinstance(found, str) and len(found) > MAX_FIELD_LENGTH:
            raise SheetError("field_too_long", f"row {number} has a field of more than {MAX_FIELD_LENGTH:,} characters")
        row += [""] * (column - 1 - len(row))
        row.append(found)

    return row


def _found(cell: Mapping[str, Any], dates: Container[int]) -> FoundCell:
    value = cell["value"]
    if value is None:
        return ""
    if cell["data_type"] == "f":
        return Unusable.FORMULA
    if cell["data_type"] == "s":
        return _unescaped(value)
    if cell["data_type"] == "n" and cell["style_id"] not in dates:
        return Decimal(str(value))

    return Unusable.DAMAGED
