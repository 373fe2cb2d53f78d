"""
Workbooks in: what anybody wrote comes back equal, and whatever could do harm is refused before it does.
"""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import traceback
import tracemalloc
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, Literal
from xml.sax.saxutils import escape

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openpyxl.utils.datetime import CALENDAR_MAC_1904, CALENDAR_WINDOWS_1900

from tests.sheets.hostile import HOSTILE, HOSTILE_TO_CSV
from voipcard.core.credit import Credit
from voipcard.errors import SheetError
from voipcard.sheets import workbook, xlsx
from voipcard.sheets.found import FoundCell, FoundRow, Unusable
from voipcard.sheets.limits import Limits
from voipcard.sheets.rows import Cell, CellKind, Column, Table

FORMULA: Final = Unusable.FORMULA
DAMAGED: Final = Unusable.DAMAGED

SECRET: Final = "7700183422157"  # noqa: S105 - it is what it looks for

REASONS: Final = {
    "dtd",
    "embedded",
    "encrypted",
    "external_links",
    "far_cell",
    "field_too_long",
    "macros",
    "not_a_workbook",
    "out_of_order",
    "sheets",
    "too_large",
}

texts = st.sampled_from([*HOSTILE, *HOSTILE_TO_CSV]) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
xml_texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff") | st.sampled_from("\t\n\r"),
    max_size=20,
).filter(lambda text: "_x" not in text)
others_texts = xml_texts.filter(lambda text: "\r" not in text)
# Quarters, because openpyxl writes sixteen digits of a double.
numbers = st.integers(-(10**15), 10**15) | st.integers(-(10**12), 10**12).map(lambda number: Decimal(number) / 4)
moments = st.datetimes(datetime(1900, 3, 1), datetime(9999, 12, 31)).map(  # noqa: DTZ001 - the zone is added
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000, tzinfo=UTC)
)


def rows(content: bytes, **limits: int) -> list[FoundRow]:
    """
    Give the rows that are read from a workbook.
    """
    return list(workbook.read(io.BytesIO(content), Limits(**limits)))


def found(content: bytes, **limits: int) -> list[list[FoundCell]]:
    """
    Give the cells of the rows that are read from a workbook.
    """
    return [list(row.cells) for row in rows(content, **limits)]


def refusal(content: bytes, **limits: int) -> str:
    """
    Give the reason for which a workbook is refused, after a look at what else the error tells.
    """
    with pytest.raises(SheetError) as caught:
        rows(content, **limits)
    error = caught.value

    assert error.detail
    assert error.__context__ is None
    assert error.__cause__ is None
    assert SECRET not in "".join(traceback.format_exception(error))

    return error.reason


def written(columns: Sequence[Sequence[Cell]], *kinds: CellKind, rows_per_sheet: int = xlsx.MAX_ROWS) -> bytes:
    """
    Give a workbook as this library writes it.
    """
    stream = io.BytesIO()
    table = Table(
        "T", tuple, tuple(Column(f"c{at}", f"C{at}", kind, 10, itemgetter(at)) for at, kind in enumerate(kinds))
    )
    writer = xlsx.Writer(stream, table, rows_per_sheet=rows_per_sheet)
    writer.append(columns)
    writer.finish()

    return stream.getvalue()


def saved(table: Iterable[Sequence[Any]], *, write_only: bool = False, epoch: datetime | None = None) -> bytes:
    """
    Give a workbook as openpyxl writes it, with texts as texts.
    """
    book = openpyxl.Workbook(write_only=write_only)
    book.epoch = epoch or CALENDAR_WINDOWS_1900
    sheet: Any = book.create_sheet() if write_only else book.worksheets[0]
    for row in table:
        cells = [openpyxl.cell.WriteOnlyCell(sheet, value) for value in row]
        for cell, value in zip(cells, row, strict=True):
            cell.data_type = "s" if isinstance(value, str) else cell.data_type
        sheet.append(cells)
    stream = io.BytesIO()
    book.save(stream)

    return stream.getvalue()


OFFICE: Final = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
STRICT: Final = "http://purl.oclc.org/ooxml/officeDocument/relationships"
HEAD: Final = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
SHEET: Final = "xl/worksheets/sheet1.xml"
STRINGS: Final = "xl/sharedStrings.xml"
STYLES: Final = "xl/styles.xml"

Parts = dict[str, str | bytes]


def relationships(targets: Mapping[str, str], office: str = OFFICE) -> str:
    """
    Give the relationships to some targets, each with its type.
    """
    found = "".join(
        f'<Relationship Id="rId{at}" Type="{office}/{kind}" Target="{target}"/>'
        for at, (target, kind) in enumerate(targets.items(), 1)
    )

    return f"{HEAD}<Relationships>{found}</Relationships>"


def parts(*sheets: str, strings: str = "<si><t>shared</t></si>", styles: str = "", properties: str = "") -> Parts:
    """
    Give the parts of a workbook by the rows of its sheets.
    """
    names = [f"worksheets/sheet{at}.xml" for at in range(1, len(sheets) + 1)]
    listed = "".join(f'<sheet name="S{at}" sheetId="{at}" r:id="rId{at}"/>' for at in range(1, len(sheets) + 1))
    related = dict.fromkeys(names, "worksheet") | {"sharedStrings.xml": "sharedStrings", "styles.xml": "styles"}
    found: Parts = {
        "[Content_Types].xml": f'{HEAD}<Types><Default Extension="xml" ContentType="application/xml"/></Types>',
        "_rels/.rels": relationships({"xl/workbook.xml": "officeDocument", "docProps/app.xml": "extended-properties"}),
        "docProps/app.xml": f"{HEAD}<Properties/>",
        "xl/workbook.xml": f"{HEAD}<workbook>{properties}<sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": relationships(related),
        STYLES: f"{HEAD}<styleSheet>{styles}</styleSheet>",
        STRINGS: f"{HEAD}<sst>{strings}</sst>",
    }
    for name, sheet in zip(names, sheets, strict=True):
        found[f"xl/{name}"] = f"{HEAD}<worksheet><sheetData>{sheet}</sheetData></worksheet>"

    return found


def zipped(files: Mapping[str, str | bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """
    Put parts into an archive.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)

    return stream.getvalue()


def book(*sheets: str, **others: str) -> bytes:
    """
    Give a workbook by the rows of its sheets.
    """
    return zipped(parts(*sheets, **others))


def cell(content: str) -> str:
    """
    Give a row with one cell.
    """
    return f"<row><c {content}</c></row>"


def unpacked(content: bytes) -> Parts:
    """
    Give the parts of a workbook.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def trimmed(table: Iterable[Sequence[Any]]) -> list[list[Any]]:
    """
    Leave out empty cells at the end of rows, and rows without any other.
    """
    kept = []
    for row in table:
        cells = list(row)
        while cells and cells[-1] == "":
            cells.pop()
        if cells:
            kept.append(cells)

    return kept


# What was written comes back equal.


@given(columns=st.lists(st.tuples(texts, texts), min_size=1, max_size=20))
def test_any_text_of_ours_comes_back_equal(columns: list[tuple[str, str]]) -> None:
    """
    Reading what this library wrote gives the header and every text again.
    """
    content = written(list(zip(*columns, strict=True)), "text", "text")

    assert found(content) == [["C0", "C1"], *trimmed(columns)]


@given(table=st.lists(st.tuples(others_texts, others_texts), max_size=20), write_only=st.booleans())
def test_any_text_of_openpyxl_comes_back_equal(table: list[tuple[str, str]], write_only: bool) -> None:  # noqa: FBT001 - Hypothesis names it
    """
    Inline and shared strings are what was put into the cells, spaces and line breaks included.
    """
    assert found(saved(table, write_only=write_only)) == trimmed(table)


@given(runs=st.lists(xml_texts, max_size=5), kind=st.sampled_from(["s", "inlineStr"]))
def test_runs_are_one_text(runs: list[str], kind: str) -> None:
    """
    A text in several fonts is the text of its runs, and not how it is pronounced.
    """
    escaped = [escape(run, {"\r": "&#13;"}) for run in runs]
    xml = "".join(f"<r><rPr><b/></rPr><t>{run}</t></r>" for run in escaped)
    xml += "<rPh sb='0' eb='1'><t>said</t></rPh><phoneticPr fontId='1'/>"
    content = book(cell('t="s"><v>1</v>'), strings=f"<si><t>other</t></si><si>{xml}</si>")
    if kind == "inlineStr":
        content = book(cell(f't="inlineStr"><is>{xml}</is>'))

    assert found(content) == trimmed([["".join(runs)]])


@given(table=st.lists(st.tuples(numbers), min_size=1, max_size=20), write_only=st.booleans())
def test_any_number_of_openpyxl_comes_back_equal(table: list[tuple[Any]], write_only: bool) -> None:  # noqa: FBT001 - Hypothesis names it
    """
    A number has every digit that is written in the file.
    """
    assert found(saved(table, write_only=write_only)) == [[Decimal(str(number))] for [number] in table]


@given(number=st.floats(allow_nan=False, allow_infinity=False))
def test_any_double_comes_back_equal(number: float) -> None:
    """
    A number may be as large or as small as those of Excel. Of a broken one fifteen digits count, as in Excel.
    """
    exact = Decimal(repr(number))
    [[read]] = found(book(cell(f"><v>{number!r}</v>")))

    assert isinstance(read, Decimal)
    assert abs(read - exact) <= abs(exact) * Decimal("1e-14")
    assert len(read.as_tuple().digits) <= 15 or read == exact == exact.to_integral_value()


@given(cents=st.integers(-(10**13), 10**13))
def test_an_amount_that_excel_saved_is_the_amount_that_it_shows(cents: int) -> None:
    """
    Excel writes seventeen digits of the binary number that an amount is for it; what was typed comes back.
    """
    amount = Decimal(cents) / 100

    assert found(book(cell(f"><v>{float(amount):.17g}</v>"))) == [[amount]]


@given(credit=st.integers(-(2**63) + 2, 2**63 - 1).map(Credit.from_micros))
def test_any_amount_of_ours_comes_back_equal(credit: Credit) -> None:
    """
    Amounts that are too long for Excel are texts, and the same amounts.
    """
    [_, [amount]] = found(written([[credit]], "amount"))

    assert isinstance(amount, str | Decimal)
    assert Credit(amount) == credit


@given(moment=moments)
def test_any_moment_of_ours_comes_back_equal(moment: datetime) -> None:
    """
    A moment is exact to the millisecond, and in UTC.
    """
    [_, [read]] = found(written([[moment]], "moment"))

    assert read == moment
    assert isinstance(read, datetime)
    assert read.tzinfo is UTC


@given(moment=moments, is_1904=st.booleans(), write_only=st.booleans())
def test_any_date_of_openpyxl_comes_back_equal(moment: datetime, is_1904: bool, write_only: bool) -> None:  # noqa: FBT001 - Hypothesis names it
    """
    Dates count from 1900 or from 1904, as the workbook says.

    What openpyxl writes of a day that is thousands of years away is off by up to a millisecond.
    """
    moment = max(moment, datetime(1904, 1, 2, tzinfo=UTC)) if is_1904 else moment
    epoch = CALENDAR_MAC_1904 if is_1904 else CALENDAR_WINDOWS_1900
    [[read]] = found(saved([[moment.replace(tzinfo=None)]], write_only=write_only, epoch=epoch))

    assert isinstance(read, datetime)
    assert abs(read - moment) <= timedelta(milliseconds=1 if moment.year >= 5000 else 0)


@given(moment=moments)
def test_any_date_in_words_comes_back_equal(moment: datetime) -> None:
    """
    A date that is written as a text in the ISO's way is the same in every zone.
    """
    elsewhere = (moment - timedelta(hours=2)).isoformat()[:-6] + "-02:00"
    content = book(f'<row><c t="d"><v>{moment.isoformat()[:-6]}</v></c><c t="d"><v>{elsewhere}</v></c></row>')

    assert found(content) == [[moment, moment]]


# What the cells of others are.


@pytest.mark.parametrize(
    "xml, value",
    [
        ('t="s"><v>0</v>', "shared"),
        ('t="str"><v>a\n b </v>', "a\n b "),
        ('t="str"><v>_x0041__x005F_x0041__xD800_</v>', "A_x0041__xD800_"),
        ('t="n"><v>1.50</v>', Decimal("1.50")),
        ("><v>1E-5</v>", Decimal("1E-5")),
        ("><v>-.5</v>", Decimal("-0.5")),
        ("><v>1.7976931348623157E+308</v>", Decimal("1.7976931348623157E+308")),
        ("><v>1101.5999999999999</v>", Decimal("1101.6")),
        ("><v>1234567890123456</v>", Decimal(1234567890123456)),
        ('t="b"><v>1</v>', DAMAGED),
        ('t="e"><v>#N/A</v>', DAMAGED),
        ('t="d"><v>2026-03-14</v>', datetime(2026, 3, 14, tzinfo=UTC)),
        ('t="d"><v>20260314</v>', DAMAGED),
        ('t="d"><v>2026-02-30</v>', DAMAGED),
        ('t="d"><v>0001-01-01T00:00:00+01:00</v>', DAMAGED),
        ("><f>1+1</f><v>2</v>", FORMULA),
        ("><f>1+1</f>", FORMULA),
        ('><f t="shared" si="0"/><v>2</v>', FORMULA),
        ('t="str"><v>x</v><f>A1</f>', FORMULA),
        ("><extLst><ext><v>1</v><f/></ext></extLst><v>2</v>", Decimal(2)),
    ],
)
def test_a_cell_is_what_its_type_says(xml: str, value: FoundCell) -> None:
    """
    Texts, numbers and dates are read; formulas, truths and errors are not taken for what was typed.
    """
    assert found(book(cell(xml))) == [[value]]


@pytest.mark.parametrize(
    "xml", [">", '/><c s="7">', "><v/>", "><v></v>", 't="e">', 't="str"><v/>', 't="str"><v></v>', 't="inlineStr"><is/>']
)
def test_a_cell_without_a_value_is_empty(xml: str) -> None:
    """
    Rows that have such cells only are not there, however they are formatted.
    """
    assert found(book(cell(xml))) == []


FORMATS: Final = (
    '<numFmts><numFmt numFmtId="164" formatCode="dd/mm/yyyy"/><numFmt numFmtId="165" formatCode="0.00&quot;day&quot;"/>'
    '<numFmt numFmtId="166" formatCode="[h]:mm"/></numFmts>'
    '<cellStyleXfs><xf numFmtId="14"/></cellStyleXfs>'
    "<cellXfs><xf/>" + "".join(f'<xf numFmtId="{at}"/>' for at in (14, 22, 27, 49, 164, 165, 166, 999)) + "</cellXfs>"
    '<dxfs><dxf><numFmt numFmtId="165" formatCode="yyyy"/></dxf></dxfs>'
)
NOON: Final = datetime(2026, 3, 14, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "style, value",
    [
        (0, Decimal("46095.5")),
        (1, NOON),
        (2, NOON),
        (3, NOON),
        (4, Decimal("46095.5")),
        (5, NOON),
        (6, Decimal("46095.5")),
        (7, DAMAGED),
        (8, Decimal("46095.5")),
    ],
)
def test_the_format_tells_dates_from_numbers(style: int, value: FoundCell) -> None:
    """
    Built-in formats and those of the workbook say what a number is; words in them do not, nor do other lists.
    """
    assert found(book(cell(f's="{style}"><v>46095.5</v>'), styles=FORMATS)) == [[value]]


@pytest.mark.parametrize(
    "serial, is_1904, value",
    [
        ("-1", 0, DAMAGED),
        ("0", 0, DAMAGED),
        ("0.75", 0, DAMAGED),
        ("1", 0, datetime(1900, 1, 1, tzinfo=UTC)),
        ("59", 0, datetime(1900, 2, 28, tzinfo=UTC)),
        ("60.5", 0, DAMAGED),
        ("61", 0, datetime(1900, 3, 1, tzinfo=UTC)),
        ("0.5", 1, DAMAGED),
        ("1", 1, datetime(1904, 1, 2, tzinfo=UTC)),
        ("2958465.99999", 0, datetime(9999, 12, 31, 23, 59, 59, 136_000, tzinfo=UTC)),
        ("2958466", 0, DAMAGED),
        (SECRET, 0, DAMAGED),
        ("1E308", 0, DAMAGED),
    ],
)
def test_a_number_that_is_no_date_is_marked_without_a_word(serial: str, is_1904: int, value: FoundCell) -> None:
    """
    Excel's day that never was, times of day and codes that were formatted as dates are damage, and none is quoted.
    """
    content = book(cell(f's="1"><v>{serial}</v>'), styles=FORMATS, properties=f'<workbookPr date1904="{is_1904}"/>')
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        [[read]] = found(content)

    assert read == value
    assert said == []


def numbered(*rows: tuple[str, list[tuple[str, str]]]) -> bytes:
    """
    Make a workbook of rows with the numbers, and cells with the places, that are given; empty for none.
    """
    xml = ""
    for number, cells in rows:
        row = "".join(f"<c{_attribute(place)} t='str'><v>{text}</v></c>" for place, text in cells)
        xml += f"<row{_attribute(number)}>{row}</row>"

    return book(xml)


def _attribute(value: str) -> str:
    return f" r='{value}'" if value else ""


@pytest.mark.parametrize(
    "content, table",
    [
        (numbered(("2", [("A2", "a")]), ("5", [("C5", "b")])), {2: ["a"], 5: ["", "", "b"]}),
        (numbered(("", [("A1", "a")]), ("", [("", "b")])), {1: ["a"], 2: ["b"]}),
        (numbered(("3", [("", "a")]), ("", [("", "b"), ("C4", "c"), ("", "d")])), {3: ["a"], 4: ["b", "", "c", "d"]}),
        (numbered(("1", [("A1", "a")]), ("10001", [("A10001", "b")])), {1: ["a"], 10_001: ["b"]}),
        (numbered(("1", [("A1", "a"), ("C1", ""), ("ZZ1", "")]), ("2", []), ("3", [("", "")])), {1: ["a"]}),
        (numbered(("1", [("A1", "a")]), ("1048576", [("A1048576", "")])), {1: ["a"]}),
        (numbered(("11", [("A11", "a"), ("BL11", "b")])), {11: ["a", *[""] * 62, "b"]}),
    ],
    ids=["left out", "without numbers", "some without", "many left out", "empty", "the last is empty", "wide"],
)
def test_rows_and_cells_may_be_left_out_or_have_no_number(content: bytes, table: dict[int, list[str]]) -> None:
    """
    What is left out is empty, and what has no number comes next.
    """
    assert rows(content) == [FoundRow(1, number, cells) for number, cells in table.items()]


# Where the sheets are.


def test_rows_go_on_on_further_sheets() -> None:
    """
    The sheets of a long export are one table, and each row knows where it stands.
    """
    content = written([[str(number) for number in range(5)]], "text", rows_per_sheet=3)

    assert rows(content) == [
        FoundRow(1, 1, ["C0"]),
        FoundRow(1, 2, ["0"]),
        FoundRow(1, 3, ["1"]),
        FoundRow(2, 2, ["2"]),
        FoundRow(2, 3, ["3"]),
        FoundRow(3, 2, ["4"]),
    ]


@pytest.mark.parametrize(
    "sheets, accepted",
    [
        (["ab", ""], True),
        (["ab", "a"], True),
        (["", "", ""], True),
        (["ab", "", "ac", "ad"], True),
        (["a", "b"], False),
        (["ab", "a", "b"], False),
        (["", "a"], True),
        (["", "ab", "", "ac"], True),
        (["", "a", "b"], False),
    ],
)
def test_a_further_sheet_repeats_the_header_or_is_empty(sheets: list[str], accepted: bool) -> None:  # noqa: FBT001 - a table
    """
    Nothing on a further sheet is silently left out, and nothing is taken for a row of the first one.
    """
    content = book(*("".join(cell(f't="str"><v>{text}</v>') for text in sheet) for sheet in sheets))
    if accepted:
        [first, *others] = filter(None, sheets) if any(sheets) else [""]

        assert found(content) == [[text] for text in first] + [[text] for sheet in others for text in sheet[1:]]
    else:
        assert refusal(content) == "sheets"


def test_charts_are_passed_over_and_counted() -> None:
    """
    The third sheet is the third one that somebody sees.
    """
    source = openpyxl.Workbook()
    source.worksheets[0].append(["a"])
    source.create_chartsheet()
    source.create_sheet().append(["a"])
    source.worksheets[1].append(["b"])
    stream = io.BytesIO()
    source.save(stream)

    assert rows(stream.getvalue()) == [FoundRow(1, 1, ["a"]), FoundRow(3, 2, ["b"])]


@pytest.mark.parametrize("state", ["hidden", "veryHidden"])
@pytest.mark.parametrize("position", [0, 1])
def test_rows_that_nobody_sees_are_refused(state: Literal["hidden", "veryHidden"], position: int) -> None:
    """
    A hidden sheet may not have rows; hidden rows are given, and marked.
    """
    source = openpyxl.Workbook()
    source.create_sheet()
    for sheet in source.worksheets:
        sheet.append(["a"])
        sheet.append(["b"])
        sheet.row_dimensions[2].hidden = True
    stream = io.BytesIO()
    source.save(stream)

    assert [row.is_hidden for row in rows(stream.getvalue())] == [False, True, True]

    source.worksheets[position].sheet_state = state
    stream = io.BytesIO()
    source.save(stream)

    assert refusal(stream.getvalue()) == "sheets"

    for _ in range(2):
        source.worksheets[position].delete_rows(1)
    stream = io.BytesIO()
    source.save(stream)

    assert len(rows(stream.getvalue())) == 2


def changed(**changes: tuple[str, str]) -> Callable[[], bytes]:
    """
    Change a text in a part of a small workbook; the name of the part is given without its folder and end.
    """

    def make() -> bytes:
        files = parts(cell(f't="str"><v>{SECRET}</v>'))
        for name, (old, new) in changes.items():
            [path] = [path for path in files if path.rpartition("/")[2].split(".")[0] == name and "_rels" not in path]
            files[path] = str(files[path]).replace(old, new)

        return zipped(files)

    return make


def _renamed(rename: Callable[[str], str]) -> bytes:
    return zipped({rename(name): content for name, content in parts(cell(f't="str"><v>{SECRET}</v>')).items()})


def _elsewhere(target: str, path: str) -> bytes:
    files = parts(cell(f't="str"><v>{SECRET}</v>'))
    files["xl/_rels/workbook.xml.rels"] = relationships({target: "worksheet"})
    files[path] = files.pop(SHEET)

    return zipped(files)


def _strict() -> bytes:
    files = parts(cell(f't="str"><v>{SECRET}</v>'))
    files["_rels/.rels"] = relationships({"xl/workbook.xml": "officeDocument"}, STRICT)
    files["xl/_rels/workbook.xml.rels"] = relationships({"worksheets/sheet1.xml": "worksheet"}, STRICT)

    return zipped(files)


def _prefixed() -> bytes:
    files = parts()
    xml = f'<x:row r="1"><x:c r="A1" t="inlineStr"><x:is><x:t>{SECRET}</x:t></x:is></x:c></x:row>'
    files[SHEET] = f'<x:worksheet xmlns:x="urn:x"><x:sheetData>{xml}</x:sheetData></x:worksheet>'
    files["xl/workbook.xml"] = '<a:workbook><a:sheets><a:sheet b:id="rId1"/></a:sheets></a:workbook>'
    files["xl/_rels/workbook.xml.rels"] = relationships({"worksheets/sheet1.xml": "worksheet"})

    return zipped(files)


def _recoded(encoding: str) -> bytes:
    files = parts(cell(f't="str"><v>{SECRET}</v>'))

    return zipped({name: str(xml).replace("UTF-8", encoding).encode(encoding) for name, xml in files.items()})


TOLERATED: Final[dict[str, bytes]] = {
    "plain": _renamed(lambda name: name),
    "small letters": _renamed(str.lower),
    "backslashes": _renamed(lambda name: name.replace("/", "\\")),
    "a leading slash": _renamed(lambda name: f"/{name}"),
    "an absolute target": _elsewhere("/xl/worksheets/sheet1.xml", SHEET),
    "a target further up": _elsewhere("../data/./rows.xml", "data/rows.xml"),
    "strict": _strict(),
    "prefixes": _prefixed(),
    "UTF-16": _recoded("UTF-16"),
    "stored": zipped(parts(cell(f't="str"><v>{SECRET}</v>')), zipfile.ZIP_STORED),
    "folders": zipped({"xl/": "", "xl/worksheets/": "", **parts(cell(f't="str"><v>{SECRET}</v>'))}),
    "a comment": zipped(parts(cell(f't="str"><v>{SECRET[:5]}<!-- x -->{SECRET[5:]}</v>'))),
    "CDATA": zipped(parts(cell(f't="str"><v><![CDATA[{SECRET}]]></v>'))),
    "an empty part": zipped({"docProps/custom.xml": "", **parts(cell(f't="str"><v>{SECRET}</v>'))}),
    "no styles": _elsewhere("worksheets/sheet1.xml", SHEET),
}


@pytest.mark.parametrize("name", TOLERATED)
def test_workbooks_are_read_that_others_write_in_their_own_way(name: str) -> None:
    """
    Names, prefixes and encodings may differ as they do among real writers.
    """
    assert found(TOLERATED[name]) == [[SECRET]]


# What is refused.


def _patched(content: bytes, part: str, offset: int, value: bytes) -> bytes:
    """
    Change what the directory says about one part.
    """
    name = part.encode()
    at = content.rindex(name) - 46 + offset

    assert content[at - offset : at - offset + 4] == b"PK\1\2"

    return content[:at] + value + content[at + len(value) :]


def _with(**others: str | bytes) -> bytes:
    return zipped({**parts(GOOD), **{name.replace("__", "/").replace("_", "."): xml for name, xml in others.items()}})


def _appended(files: Mapping[str, str | bytes]) -> bytes:
    with warnings.catch_warnings(action="ignore"):
        stream = io.BytesIO(zipped(parts(GOOD)))
        with zipfile.ZipFile(stream, "a") as archive:
            for name, content in files.items():
                archive.writestr(name, content)

    return stream.getvalue()


def _overlapping() -> bytes:
    stream = io.BytesIO(zipped(parts(GOOD)))
    with zipfile.ZipFile(stream, "a") as archive:
        again = zipfile.ZipInfo("xl/other.xml")
        first = archive.getinfo(SHEET)
        again.header_offset, again.CRC = first.header_offset, first.CRC
        again.file_size, again.compress_size = first.file_size, first.compress_size
        again.compress_type = first.compress_type
        archive.filelist.append(again)
        archive.writestr("xl/last.xml", "<last/>")

    return stream.getvalue()


def _crowd(count: int) -> bytes:
    return zipped({**parts(GOOD), **{f"x/{number}": b"" for number in range(count)}}, zipfile.ZIP_STORED)


def _typed(content_type: str) -> bytes:
    override = f'<Override PartName="/xl/workbook.xml" ContentType="application/{content_type}+xml"/></Types>'
    files = parts(GOOD)
    files["[Content_Types].xml"] = str(files["[Content_Types].xml"]).replace("</Types>", override)

    return zipped(files)


def _replaced(part: str, old: str, new: str) -> bytes:
    files = parts(GOOD)

    assert old in str(files[part])

    return zipped(files | {part: str(files[part]).replace(old, new)})


def _doctype(part: str, document_type: str) -> bytes:
    return _replaced(part, HEAD, HEAD + document_type)


def _stored(rows: str) -> bytes:
    return zipped(parts(rows), zipfile.ZIP_STORED)


GOOD: Final = cell(f't="str"><v>{SECRET}</v>')
PLAIN: Final = zipped(parts(GOOD))
MEBIBYTE: Final = 1024**2
LAUGHS: Final = (
    '<!DOCTYPE x [<!ENTITY a0 "lol">'
    + "".join(f'<!ENTITY a{at} "{f"&a{at - 1};" * 10}">' for at in range(1, 11))
    + "]>"
)
MANY_ATTRIBUTES: Final = "".join(f' a{at}=""' for at in range(5000))

REFUSED: Final[dict[str, tuple[bytes, str]]] = {
    # No workbooks.
    "empty": (b"", "not_a_workbook"),
    "short": (b"PK", "not_a_workbook"),
    "no archive": (b"PK\3\4 and so on", "not_a_workbook"),
    "an empty archive": (b"PK\5\6" + bytes(18), "not_a_workbook"),
    "something before it": (b"#!/bin/sh\n" + PLAIN, "not_a_workbook"),
    "cut off": (PLAIN[: len(PLAIN) // 2], "not_a_workbook"),
    "the end cut off": (PLAIN[:-1], "not_a_workbook"),
    "a text document": (_replaced("xl/workbook.xml", "workbook>", "document>"), "not_a_workbook"),
    "no content types": (zipped({SHEET: "<worksheet/>"}), "not_a_workbook"),
    "no workbook": (_replaced("_rels/.rels", "xl/workbook", "xl/nothing"), "not_a_workbook"),
    "no sheets": (book(), "not_a_workbook"),
    "no sheet where it should be": (_elsewhere("worksheets/sheet7.xml", SHEET), "not_a_workbook"),
    "no sheet but a chart": (_replaced("xl/_rels/workbook.xml.rels", "/worksheet", "/chartsheet"), "not_a_workbook"),
    "a sheet that is elsewhere": (
        _replaced("xl/_rels/workbook.xml.rels", 'sheet1.xml"', 'sheet1.xml" TargetMode="External"'),
        "not_a_workbook",
    ),
    "a sheet that is there twice": (
        _replaced("xl/workbook.xml", "</sheets>", '<sheet r:id="rId1"/></sheets>'),
        "not_a_workbook",
    ),
    "a sheet that is a list of texts": (
        _replaced("xl/_rels/workbook.xml.rels", "worksheets/sheet1.xml", "sharedStrings.xml"),
        "not_a_workbook",
    ),
    "an old workbook": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504), "encrypted"),
    # Archives that lie.
    "an encrypted part": (_patched(PLAIN, SHEET, 8, b"\1\0"), "encrypted"),
    "a strongly encrypted part": (_patched(PLAIN, SHEET, 8, b"\x41\0"), "encrypted"),
    "another compression": (_patched(PLAIN, SHEET, 10, b"\x0e\0"), "not_a_workbook"),
    "a wrong checksum": (_patched(PLAIN, SHEET, 16, bytes(4)), "not_a_workbook"),
    "smaller than it is": (_patched(PLAIN, SHEET, 24, struct.pack("<L", 99)), "not_a_workbook"),
    "larger than it is": (_patched(PLAIN, SHEET, 24, struct.pack("<L", 9999)), "not_a_workbook"),
    "packed to less than it is": (_patched(PLAIN, SHEET, 20, struct.pack("<L", 9)), "not_a_workbook"),
    "a part behind the end": (_patched(PLAIN, SHEET, 42, b"\xff\xff\xff\x7f"), "not_a_workbook"),
    "a part twice": (_appended({SHEET: "<worksheet/>"}), "not_a_workbook"),
    "a part twice, in capitals": (_appended({SHEET.upper(): "<worksheet/>"}), "not_a_workbook"),
    "a part twice, with backslashes": (_appended({SHEET.replace("/", "\\"): ""}), "not_a_workbook"),
    "parts in one another": (_overlapping(), "not_a_workbook"),
    "too many parts": (_crowd(1001), "too_large"),
    "far too many parts": (_crowd(20_000), "too_large"),
    # More than rows.
    "macros": (_appended({"xl/vbaProject.bin": b"\xd0\xcf\x11\xe0"}), "macros"),
    "macros by type": (_typed("vnd.ms-excel.sheet.macroEnabled.main"), "macros"),
    "old macros": (_appended({"xl/macrosheets/sheet1.xml": "<xm:macrosheet/>"}), "macros"),
    "links": (_appended({"xl/externalLinks/externalLink1.xml": "<externalLink/>"}), "external_links"),
    "links by type": (_typed("vnd.openxmlformats-officedocument.spreadsheetml.externalLink"), "external_links"),
    "another document": (_appended({"xl/embeddings/Microsoft_Word_Document.docx": b"PK"}), "embedded"),
    "controls": (_appended({"xl/activeX/activeX1.xml": "<ax:ocx/>"}), "embedded"),
    # Document types.
    "laughs in a sheet": (_doctype(SHEET, LAUGHS), "dtd"),
    "laughs in the shared strings": (_doctype(STRINGS, LAUGHS), "dtd"),
    "laughs in the styles": (_doctype(STYLES, LAUGHS), "dtd"),
    "laughs in a part that nobody reads": (_doctype("docProps/app.xml", LAUGHS), "dtd"),
    "a file from outside": (_doctype(SHEET, '<!DOCTYPE x SYSTEM "file:///etc/passwd">'), "dtd"),
    "relationships of a sheet": (
        _appended({"xl/worksheets/_rels/sheet1.xml.rels": "<!DOCTYPE Relationships><Relationships/>"}),
        "dtd",
    ),
    "a late document type": (_doctype("docProps/app.xml", f"<!--{'-!' * 40_000}--><!DOCTYPE x>"), "not_a_workbook"),
    "another encoding": (_recoded("UTF-32"), "not_a_workbook"),
    "no XML at all": (_appended({"docProps/custom.xml": b"\xff\0"}), "not_a_workbook"),
    # XML that does not end.
    "a long comment": (_stored(f"<!--{'x' * 2 * MEBIBYTE}-->{GOOD}"), "not_a_workbook"),
    "a long attribute": (_stored(f'<row x="{"x" * 2 * MEBIBYTE}"/>{GOOD}'), "not_a_workbook"),
    "a long name": (_stored(f"<{'x' * 2 * MEBIBYTE}/>{GOOD}"), "not_a_workbook"),
    "deep": (_stored("<row>" * 100_000 + "</row>" * 100_000), "not_a_workbook"),
    "many attributes": (book(f"<row{MANY_ATTRIBUTES}/>"), "not_a_workbook"),
    "many names": (book("".join(f"<a{at}/>" for at in range(5000))), "not_a_workbook"),
    "an attribute twice": (book('<row r="1" r="2"/>'), "not_a_workbook"),
    "an entity": (book(cell('t="str"><v>&a;</v>')), "not_a_workbook"),
    "broken XML": (book("<row><c><v>1</c></row>"), "not_a_workbook"),
    "XML that breaks off": (_replaced(SHEET, "</worksheet>", ""), "not_a_workbook"),
    "a second root": (_replaced(SHEET, "</worksheet>", "</worksheet><worksheet/>"), "not_a_workbook"),
    "a formula for several cells": (
        book('<row><c r="A1"><f t="array" ref="A1:A3">B1</f><v>1</v></c></row><row><c r="A2"><v>2</v></c></row>'),
        "formula",
    ),
    "a million empty rows": (_stored("<row/>" * 1_048_577), "too_large"),
    "many empty cells": (_stored("<row>" + "<c/>" * 16_385 + "</row>"), "too_large"),
    # Numbers that are none.
    **{
        f"the number {text[:20]!r}": (book(cell(f"><v>{text}</v>")), "not_a_workbook")
        for text in (
            " ",
            "NaN",
            "INF",
            "-INF",
            "1E309",
            "1E-9999999",
            "1e",
            "0x1",
            "1_0",
            "1,5",
            "--1",
            "٣",
            "9" * 65,
        )
    },
    "a date that is no number": (book(cell('s="1"><v>x</v>'), styles=FORMATS), "not_a_workbook"),
    **{
        f"the shared string {text[:20]!r}": (book(cell(f't="s"><v>{text}</v>')), "not_a_workbook")
        for text in ("1", "-1", "", "x", "0.5", "²", "٠", "9" * 18, "9" * 30, "9" * 5000)
    },
    **{
        f"the cell format {text!r}": (book(cell(f's="{text}"><v>1</v>'), styles=FORMATS), "not_a_workbook")
        for text in ("9", "-1", "", "x", "99999999999")
    },
    "a long number format": (
        book(GOOD, styles=f'<numFmts><numFmt numFmtId="9" formatCode="{"[" * 9999}"/></numFmts>'),
        "too_large",
    ),
    "a number format of more than Excel takes": (
        book(
            GOOD,
            styles=f'<numFmts><numFmt numFmtId="9" formatCode="{"[" * 256}"/></numFmts>'
            '<cellXfs><xf numFmtId="9"/></cellXfs>',
        ),
        "not_a_workbook",
    ),
    "too many cell formats": (book(GOOD, styles=f"<cellXfs>{'<xf/>' * 65_537}</cellXfs>"), "too_large"),
    "too many sheets": (
        _replaced("xl/workbook.xml", "<sheets>", "<sheets>" + '<sheet r:id="rId1"/>' * 1001),
        "too_large",
    ),
    "an unknown type": (book(cell('t="x"><v>1</v>')), "not_a_workbook"),
    "two values": (book(cell("><v>1</v><v>2</v>")), "not_a_workbook"),
    "a text where a number should be": (book(cell("><is><t>1</t></is>")), "not_a_workbook"),
    "an element in a text": (book(cell('t="str"><v>1<b>2</b></v>')), "not_a_workbook"),
    "a long field": (book(cell(f't="str"><v>{"x" * 4097}</v>')), "field_too_long"),
    "a very long field": (book(cell(f't="str"><v>{"x " * 10**6}</v>')), "too_large"),
    "a long field of runs": (book(cell(f't="inlineStr"><is>{"<r><t>xyz</t></r>" * 9000}</is>')), "field_too_long"),
    "a long shared string": (book(cell('t="s"><v>0</v>'), strings=f"<si><t>{'x' * 90_000}</t></si>"), "field_too_long"),
    # Places that cannot be.
    "a far row": (numbered(("1048576", [("A1048576", "a")])), "far_cell"),
    "a far row below others": (numbered(("1", [("A1", "a")]), ("10002", [("A10002", "b")])), "far_cell"),
    "a far column": (numbered(("1", [("A1", "a"), ("XFD1", "b")])), "too_large"),
    "a formula far right": (book('<row><c r="XFD1"><f/></c></row>'), "too_large"),
    "no column": (numbered(("1", [("AAAA1", "a")])), "not_a_workbook"),
    "a row behind the last": (numbered(("1048577", [])), "too_large"),
    "a row far behind the last": (numbered(("99999999999", [("A99999999999", "a")])), "too_large"),
    "row 0": (numbered(("0", [("A1", "a")])), "out_of_order"),
    **{
        f"the row {text[:20]!r}": (book(f'<row r="{text}"/>'), "not_a_workbook")
        for text in ("-1", "A", "", "1.0", " 1", "+1", "²", "9" * 5000)
    },
    **{
        f"the cell {text!r}": (book(f'<row r="1"><c r="{text}"/></row>'), "not_a_workbook")
        for text in ("1A", "", "1", "A", "a1", "A0", "A2", "A11", "A-1", "$A$1", "A01", "Ä1", "A1:B1")
    },
    "rows back": (numbered(("5", [("A5", "a")]), ("2", [("A2", "b")])), "out_of_order"),
    "rows twice": (numbered(("2", [("A2", "a")]), ("2", [("A2", "b")])), "out_of_order"),
    "rows counted": (numbered(("", [("A1", "a")]), ("1", [("A1", "b")])), "out_of_order"),
    "cells back": (numbered(("1", [("B1", "a"), ("A1", "b")])), "out_of_order"),
    "cells twice": (numbered(("1", [("A1", "a"), ("A1", "b")])), "out_of_order"),
    "cells counted": (numbered(("1", [("", "a"), ("A1", "b")])), "out_of_order"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_workbook_of_rows_is_refused(name: str) -> None:
    """
    What is something else, lies about itself, could do harm or loses cells is a `SheetError`, and quotes none of them.
    """
    content, reason = REFUSED[name]

    assert refusal(content) == reason


@pytest.mark.parametrize(
    "limits, reason",
    [
        ({"rows": 1}, "too_large"),
        ({"columns": 2}, "too_large"),
        ({"field_length": 3}, "field_too_long"),
        ({"unpacked_size": 1000}, "too_large"),
        ({}, ""),
    ],
)
def test_limits_are_exact(limits: dict[str, int], reason: str) -> None:
    """
    A workbook as large as its limits is read, and the header is no row.
    """
    content = numbered(("1", [("A1", "abcd")]), ("3", [("C3", "x")]))
    exact = {"rows": 2, "columns": 3, "field_length": 4}

    if reason:
        assert refusal(content, **exact | limits) == reason
    else:
        assert found(content, **exact) == [["abcd"], ["", "", "x"]]


def test_a_part_may_be_as_tight_as_its_limit() -> None:
    """
    How tight is too tight is for the caller to say.
    """
    content = book(GOOD + "<row/>" * 300_000)

    assert refusal(content) == "too_large"
    assert found(content, ratio=2000) == [[SECRET]]


def test_texts_that_no_cell_uses_do_no_harm() -> None:
    """
    A shared string may be as long as it likes, as long as no cell refers to it.
    """
    content = book(cell('t="s"><v>1</v>'), strings=f"<si><t>{'x' * 90_000}</t></si><si><t>y</t></si>")

    assert found(content) == [["y"]]


class Unreadable(io.BytesIO):
    """
    A file on a disk that is going to fail.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        """
        Fail, once the beginning has been read.
        """
        if self.tell() > 0:
            raise OSError(5, "Input/output error")

        return super().read(size)


def test_a_file_that_cannot_be_read_says_so() -> None:
    """
    A failing disk is no damaged workbook.
    """
    with pytest.raises(SheetError) as caught:
        list(workbook.read(Unreadable(PLAIN), Limits()))

    assert caught.value.reason == "unreadable"


WORKBOOKS: Final = [
    saved([[SECRET, "0482", "PO-117", 12.5], ["+40722123456", None, None, "u"], [date(2026, 3, 14), True, time(12)]]),
    written([[SECRET, "2"], [NOON, NOON], [Credit(1), Credit(2)]], "text", "moment", "amount", rows_per_sheet=2),
    book(cell('t="s" s="1"><v>0</v>') + cell('s="5"><v>46095.5</v><f>1</f>'), GOOD, styles=FORMATS),
]


def _read_or_refused(content: bytes) -> None:
    try:
        read = rows(content)
    except SheetError as error:
        assert error.reason in REASONS  # noqa: PT017 - may be read
        assert error.__context__ is None  # noqa: PT017 - the same
    else:
        assert all(row.number > 0 for row in read)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(content=st.sampled_from(WORKBOOKS), data=st.data())
def test_a_damaged_workbook_is_read_or_refused(content: bytes, data: st.DataObject) -> None:
    """
    Whichever byte of a workbook is changed, it is read or it is a `SheetError`.
    """
    damaged = bytearray(content)
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        damaged[at] = data.draw(st.integers(0, 255))
    _read_or_refused(bytes(damaged))


PIECES: Final = [
    b"<",
    b">",
    b"/>",
    b'"',
    b"<f/>",
    b"<v>",
    b"</v>",
    b"<c>",
    b"<row>",
    b"-1",
    b"99999999999",
    b"&#0;",
    b"\0",
]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(content=st.sampled_from(WORKBOOKS), data=st.data())
def test_a_workbook_with_damaged_parts_is_read_or_refused(content: bytes, data: st.DataObject) -> None:
    """
    Whatever stands in the parts of a sound archive, it is read or it is a `SheetError`.
    """
    files = unpacked(content)
    name = data.draw(st.sampled_from(sorted(files)))
    part = bytes(files[name])  # type: ignore[arg-type] # was read from an archive
    for at in data.draw(st.lists(st.integers(0, len(part)), min_size=1, max_size=4)):
        length = data.draw(st.integers(0, 8))
        part = part[:at] + data.draw(st.sampled_from(PIECES) | st.binary(max_size=4)) + part[at + length :]
    _read_or_refused(zipped({**files, name: part}))


# How much it takes.


def test_memory_does_not_grow_with_the_rows() -> None:
    """
    A sheet of 2 MB is read in far less than a mebibyte.
    """
    content = written([[f"{number:013}" for number in range(20_000)]], "text")
    read = workbook.read(io.BytesIO(content), Limits())
    next(read)
    tracemalloc.start()
    count = sum(1 for _ in read)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert count == 20_000
    assert peak < MEBIBYTE


PROGRAM: Final = """
import pathlib, resource, sys
from voipcard.errors import SheetError
from voipcard.sheets import workbook
from voipcard.sheets.limits import Limits

def usage():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime

before = usage()
with open(sys.argv[1], "rb") as stream:
    try:
        for _ in workbook.read(stream, Limits()):
            pass
    except SheetError as error:
        print(error.reason)
    else:
        print("read")
print(usage() - before)
# Other figures count what the process was before it began this program.
[peak] = [line for line in pathlib.Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
print(int(peak.split()[1]) / 1024)
"""


def _measured(content: bytes, path: Path) -> tuple[str, float, float]:
    """
    Read a workbook in a process of its own, and give the outcome, the seconds and the mebibytes.
    """
    path.write_bytes(content)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(path)], check=True, capture_output=True, text=True, env=environment
    )
    outcome, seconds, mebibytes = run.stdout.split()

    return outcome, float(seconds), float(mebibytes)


def _tiny_strings() -> bytes:
    # Packs almost a hundred times, which is let through.
    strings = "".join(f"<si><t>{number % 676:02}</t></si>" + "<si><t>aa</t></si>" * 15 for number in range(25_000))

    return book(cell('t="s"><v>7</v>'), strings=strings)


def _bomb(part: str, unit: str) -> bytes:
    # 300 MB, of which deflate makes 300 kB.
    files = parts(GOOD)
    start, end = str(files.pop(part)).split("shared" if part == STRINGS else "<row>", 1)
    stream = io.BytesIO(zipped(files))
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive, archive.open(part, "w") as content:
        content.write(start.encode())
        for _ in range(300):
            content.write(unit.encode() * (MEBIBYTE // len(unit)))
        content.write(end.encode())

    return stream.getvalue()


WORST: Final[dict[str, tuple[Callable[[], bytes], str]]] = {
    "a bomb in a sheet": (lambda: _bomb(SHEET, "<row/>"), "too_large"),
    "a bomb in the shared strings": (lambda: _bomb(STRINGS, "<t/>"), "too_large"),
    "many names": (lambda: _stored("".join(f"<a{at}/>" for at in range(10**6))), "not_a_workbook"),
    "a field without end": (lambda: _stored(cell(f't="str"><v>{"x" * 30 * MEBIBYTE}</v>')), "field_too_long"),
    "empty rows": (lambda: _stored("<row/>" * 500_000 + GOOD), "far_cell"),
    "tiny strings": (_tiny_strings, "read"),
    **{
        name: (partial(bytes, REFUSED[name][0]), REFUSED[name][1])
        for name in (
            "far too many parts",
            "laughs in a sheet",
            "laughs in the shared strings",
            "a long attribute",
            "a long comment",
            "a long name",
            "deep",
            "many attributes",
            "a long number format",
        )
    },
}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells how much memory a program took")
@pytest.mark.parametrize("name", WORST)
def test_the_worst_takes_little_memory_and_time(name: str, tmp_path: Path) -> None:
    """
    The worst that a small file can do costs less than 64 MiB and about a second.
    """
    make, reason = WORST[name]
    _, _, little = _measured(PLAIN, tmp_path / "little.xlsx")
    outcome, seconds, mebibytes = _measured(make(), tmp_path / "worst.xlsx")

    assert outcome == reason
    assert mebibytes - little < 64
    assert seconds < 2
