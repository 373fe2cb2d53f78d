"""
Excel workbooks in: the cells of every sheet as a stream, with nothing computed and nothing guessed.
"""

from __future__ import annotations

import contextlib
import functools
import re
import struct
import zipfile
import zlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import BinaryIO, Final
from xml.parsers import expat

from voipcard.errors import SheetError
from voipcard.sheets import cells
from voipcard.sheets.archive import Archive, keeper
from voipcard.sheets.cells import Reading, RichText, SharedStrings
from voipcard.sheets.files import forgetting
from voipcard.sheets.found import FoundCell, FoundRow, Unusable
from voipcard.sheets.limits import Limits
from voipcard.sheets.markup import Attributes, Element, damaged, document

__all__ = ["read"]

MAX_ROW: Final = 1_048_576
"""
The last row of a sheet.

Source: "Excel specifications and limits".
"""

MAX_COLUMN: Final = 16_384
"""
The last column of a sheet.

Source: "Excel specifications and limits".
"""

MAX_GAP: Final = 10_000
"""How far below the row before it a row may stand. What is further away was filled by mistake."""

MAX_SHEETS: Final = 1000
MAX_FORMATS: Final = 65_536

_NOT_UNDERSTOOD: Final = (
    expat.ExpatError,
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    ArithmeticError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    ValueError,
)
"""What `zipfile`, expat and conversions raise, depending on where a file is broken."""

_TRUE: Final = frozenset({"1", "true"})

_LETTERS: Final = re.compile("[A-Z]{1,3}")


def read(stream: BinaryIO, limits: Limits) -> Generator[FoundRow]:
    """
    Read the rows of a workbook that are not empty, one after another.

    A formula or an error is `Unusable`, a number stays a number. Rows may go on on further sheets, if each of these
    begins with the header again, which is given once.

    Args:
        stream: The workbook.

        limits: How much it may be.

    Raises:
        SheetError: If this is no workbook, has other things in it than rows, is larger than the limits, or has rows or
            cells that are out of order.
    """
    with forgetting(), _understood():
        yield from _joined(_sheets(Archive(stream, limits), limits), limits.total_rows)


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    """
    Say as a `SheetError` that the file was not understood. What was raised may quote a cell: a code or a PIN.
    """
    try:
        yield
    except _NOT_UNDERSTOOD:
        raise damaged() from None


def _joined(sheets: Iterable[Iterator[FoundRow]], at_most: int) -> Iterator[FoundRow]:
    """
    Put further sheets after the first one that is not empty, without the header that they repeat.
    """
    header: FoundRow | None = None
    count = 0
    for rows in sheets:
        top = next(rows, None)
        if top is None:
            continue
        if header is None:
            header = top
            yield top
        elif top.cells != header.cells:
            detail = (
                f"sheet {top.sheet} does not begin with the header of sheet {header.sheet}: put all rows on one sheet"
            )
            raise SheetError("sheets", detail)
        for row in rows:
            count += 1
            if count > at_most:
                raise SheetError("too_large", f"the workbook has more than {at_most:,} rows")
            yield row


def _sheets(archive: Archive, limits: Limits) -> Iterator[Iterator[FoundRow]]:
    """
    Give the rows of each sheet that can have some.
    """
    [part] = [one.target for one in archive.related().values() if one.kind == "officeDocument"]
    related = archive.related(part)
    others = {one.kind: one.target for one in related.values()}
    is_1904, found = _workbook(archive, part)
    # A chart has no rows, but whoever looks for the third sheet counts it.
    parts = [
        (place, related[one["id"]].target, one.get("state", "visible") != "visible")
        for place, one in enumerate(found, 1)
        if related[one["id"]].kind == "worksheet"
    ]
    if not parts:
        raise damaged()
    formats = _formats(archive, others.get("styles"), is_1904=is_1904)
    strings = SharedStrings(cells.max_text(limits.field_length), limits.total_rows)
    if "sharedStrings" in others:
        archive.parse_all(others["sharedStrings"], strings.root, max_text=strings.max_text)
    for place, sheet_part, is_hidden in parts:
        sheet = _Sheet(place, strings, formats, limits)
        rows = sheet.rows(archive.parse(sheet_part, sheet.root, max_text=strings.max_text))
        yield _refused_if_any(rows) if is_hidden else rows


def _refused_if_any(rows: Iterator[FoundRow]) -> Iterator[FoundRow]:
    """
    Refuse rows that nobody has seen.
    """
    for row in rows:
        raise SheetError("sheets", f"sheet {row.sheet} is hidden and has rows: show it, or remove it")
    yield from ()


def _workbook(archive: Archive, part: str) -> tuple[bool, list[Attributes]]:
    """
    Tell whether dates count from 1904, and the sheets in their order: their relationships, and whether they are shown.
    """
    properties: list[Attributes] = []
    sheets: list[Attributes] = []
    wanted = {
        "workbook/workbookPr": keeper(properties, {"date1904"}),
        "workbook/sheets/sheet": keeper(sheets, {"id", "state"}, at_most=MAX_SHEETS),
    }
    archive.parse_all(part, document(wanted))

    return any(one.get("date1904") in _TRUE for one in properties), sheets


def _formats(archive: Archive, part: str | None, *, is_1904: bool) -> dict[str, Reading]:
    """
    Tell how numbers are read, by the cell format that they have.
    """
    codes: list[Attributes] = []
    formats: list[Attributes] = []
    wanted = {
        "styleSheet/numFmts/numFmt": keeper(codes, {"numFmtId", "formatCode"}, at_most=MAX_FORMATS),
        "styleSheet/cellXfs/xf": keeper(formats, {"numFmtId"}, at_most=MAX_FORMATS),
    }
    if part is not None:
        archive.parse_all(part, document(wanted))
    reading = cells.readings({one["numFmtId"]: one["formatCode"] for one in codes}, is_1904=is_1904)

    return {"0": cells.number} | {str(at): reading(one.get("numFmtId", "0")) for at, one in enumerate(formats)}


class _Sheet:
    """
    One sheet while it is read.

    Attributes:
        root: What its part is parsed with.

    Args:
        place: Which sheet of the workbook it is.

        strings: The shared strings.

        formats: How numbers are read, by their cell formats.

        limits: How much it may be.

    Source: ECMA-376 part 1, 18.3.1.73, row, 18.3.1.4, c, and 18.18.11, ST_CellType.
    """

    def __init__(self, place: int, strings: SharedStrings, formats: Mapping[str, Reading], limits: Limits) -> None:
        self._place = place
        self._strings = strings
        self._formats = formats
        self._last_row = min(limits.rows + 1, MAX_ROW)
        self._last_column = limits.columns
        self._field_length = limits.field_length
        self._readings: dict[str, Reading] = {
            "s": self._shared,
            "inlineStr": self._text,
            "str": self._text,
            "b": cells.damaged_cell,
            "e": cells.damaged_cell,
            "d": cells.iso_moment,
        }
        self._inline = RichText(strings.max_text)
        self._found: list[FoundRow] = []
        self._cells: list[FoundCell] = []
        self._previous = self._row = self._column = 0
        self._digits = self._type = self._format = ""
        self._value: str | None = None
        self._is_formula = self._is_hidden = False
        self.root = self._root()

    def rows(self, blocks: Iterable[None]) -> Iterator[FoundRow]:
        """
        Give the rows that are not empty.

        Args:
            blocks: Goes through the part, block by block.
        """
        for _ in blocks:
            yield from self._found
            self._found.clear()

    def _root(self) -> Element:
        content = {
            "v": Element(text=self._take),
            "is": Element(self._inline.children, end=self._take_inline),
            "f": Element(begin=self._take_formula),
        }
        cell = Element(content, begin=self._begin_cell, end=self._end_cell)

        return document({"worksheet/sheetData/row": Element({"c": cell}, begin=self._begin_row, end=self._end_row)})

    def _begin_row(self, attributes: Attributes) -> None:
        given, before = attributes.get("r"), self._row
        self._row = before + 1 if given is None else cells.index(given)
        if self._row <= before:
            raise SheetError("out_of_order", f"row {self._row} stands after row {before}: save the workbook again")
        if self._row > MAX_ROW:
            raise SheetError("too_large", f"the sheet has more than {MAX_ROW:,} rows")
        self._digits = str(self._row)
        self._is_hidden = attributes.get("hidden") in _TRUE
        self._column = 0
        self._cells = []

    def _end_row(self) -> None:
        if not self._cells:
            return
        if self._row > self._last_row:
            raise SheetError("too_large", f"the sheet has more than {self._last_row:,} rows")
        if self._row - self._previous > MAX_GAP:
            detail = f"row {self._row} is not empty, {MAX_GAP:,} empty rows below the others: clear it or move it up"
            raise SheetError("far_cell", detail)
        self._previous = self._row
        self._found.append(FoundRow(self._place, self._row, self._cells, is_hidden=self._is_hidden))

    def _begin_cell(self, attributes: Attributes) -> None:
        given, before = attributes.get("r"), self._column
        if given is None:
            self._column = before + 1
        elif given.endswith(self._digits):
            self._column = _column(given.removesuffix(self._digits))
        else:
            raise damaged()
        if self._column > MAX_COLUMN:
            raise self._too_wide()
        if self._column <= before:
            detail = f"row {self._row} has cells that are out of order: save the workbook again"
            raise SheetError("out_of_order", detail)
        self._type = attributes.get("t", "n")
        self._format = attributes.get("s", "0")
        self._value = None
        self._is_formula = False

    def _take(self, text: str) -> None:
        if self._value is not None:
            raise damaged()
        self._value = text

    def _take_inline(self) -> None:
        if self._type != "inlineStr":
            raise damaged()
        self._take(self._inline.taken())

    def _take_formula(self, attributes: Attributes) -> None:
        self._is_formula = True
        # Of several cells with one formula the others look like values.
        if attributes.get("t") in {"array", "dataTable"} and ":" in attributes.get("ref", ""):
            detail = f"row {self._row} has a formula for several cells: replace them by their values, as text"
            raise SheetError("formula", detail)

    def _end_cell(self) -> None:
        found: FoundCell
        if self._is_formula:
            found = Unusable.FORMULA
        elif self._value is None or (self._type == "n" and not self._value):
            return  # Some writers give a cell without a number an empty one.
        elif self._type == "n":
            found = self._formats[self._format](self._value)
        else:
            found = self._readings[self._type](self._value)
            if found == "":
                return
        if self._column > self._last_column:
            raise self._too_wide()
        while len(self._cells) < self._column - 1:
            self._cells.append("")
        self._cells.append(found)

    def _too_wide(self) -> SheetError:
        return SheetError("too_large", f"row {self._row} has more than {self._last_column:,} columns")

    def _shared(self, position: str) -> str:
        return self._fitting(self._strings.at(position))

    def _text(self, text: str) -> str:
        return self._fitting(cells.unescaped(text))

    def _fitting(self, text: str) -> str:
        if len(text) > self._field_length:
            detail = f"row {self._row} has a field of more than {self._field_length:,} characters"
            raise SheetError("field_too_long", detail)

        return text


@functools.cache
def _column(letters: str) -> int:
    """
    Tell which column is A, XFD or the like, counted from 1.
    """
    if not _LETTERS.fullmatch(letters):
        raise damaged()

    return functools.reduce(lambda column, letter: 26 * column + ord(letter) - ord("A") + 1, letters, 0)
