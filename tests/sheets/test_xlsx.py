"""
Workbooks: text stays text, numbers and dates are numbers and dates, and whatever else is read is refused.
"""

from __future__ import annotations

import io
import re
import zipfile
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from operator import itemgetter
from typing import Any, Final

import openpyxl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voipcard.core.credit import UNLIMITED, Credit
from voipcard.errors import SheetError
from voipcard.sheets import xlsx
from voipcard.sheets.rows import Cell, CellKind, Column, Table
from voipcard.sheets.xlsx import FoundCell, Unusable

HOSTILE: Final = [
    "+40722123456",
    "-10.00",
    "=1+1",
    '=HYPERLINK("x")',
    "'=x",
    "@a",
    "#N/A",
    "1234567890123456789",
    "\tx",
    "\r",
    "\n",
    "a\r\nb",
    "\0\x1f",
    "_x000D_",
    "_x005F_x000D_",
    "__x0041_",
    "＝1+1",
    "\u200f=1+1",
    "\ufeff\ufffe\uffff",
    " x ",
    "<f>1</f>&amp;",
]

texts = st.sampled_from(HOSTILE) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
credits_ = st.integers(-(2**63) + 2, 2**63 - 1).map(Credit.from_micros)


def table(*kinds: CellKind) -> Table:
    """
    Make a table whose rows are tuples.
    """
    columns = tuple(Column(f"Column {at}", kind, 10 + at, itemgetter(at)) for at, kind in enumerate(kinds))

    return Table("Things", tuple, columns)


def written(rows: list[tuple[Cell, ...]], *kinds: CellKind, rows_per_sheet: int = xlsx.MAX_ROWS) -> bytes:
    """
    Give the workbook that is written.
    """
    stream = io.BytesIO()
    writer = xlsx.Writer(stream, table(*kinds), rows_per_sheet=rows_per_sheet)
    writer.append(rows)
    writer.finish()

    return stream.getvalue()


def found(content: bytes) -> list[list[FoundCell]]:
    """
    Give what is read from a workbook.
    """
    return list(xlsx.read(io.BytesIO(content)))


def sheets(content: bytes) -> dict[str, str]:
    """
    Give the XML of each sheet.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist() if "/worksheets/" in name}


def workbook(*rows: list[Any]) -> openpyxl.Workbook:
    """
    Make a workbook as somebody else would.
    """
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)

    return book


def saved(book: openpyxl.Workbook) -> bytes:
    """
    Give the file of a workbook.
    """
    stream = io.BytesIO()
    book.save(stream)

    return stream.getvalue()


def rebuilt(content: bytes, part: str, change: tuple[str, str]) -> bytes:
    """
    Change some text in one part of a workbook.
    """
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as source,
        zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for name in source.namelist():
            text = source.read(name)
            assert name != part or change[0].encode() in text
            target.writestr(name, text.replace(change[0].encode(), change[1].encode()) if name == part else text)

    return stream.getvalue()


def trimmed(row: list[str]) -> list[str]:
    """
    Leave out the empty cells at the end of a row, which a workbook does not keep.
    """
    while row and not row[-1]:
        row.pop()

    return row


@given(rows=st.lists(st.tuples(texts, texts), min_size=1, max_size=20))
def test_any_text_comes_back_equal(rows: list[tuple[Cell, ...]]) -> None:
    """
    Reading what was written gives the header and every text again.
    """
    header, *body = found(written(rows, "text", "text"))

    assert header == ["Column 0", "Column 1"]
    assert body + [[]] * (len(rows) - len(body)) == [trimmed([str(cell) for cell in row]) for row in rows]


@given(rows=st.lists(st.tuples(texts, credits_), min_size=1, max_size=20))
def test_no_workbook_has_a_formula(rows: list[tuple[Cell, ...]]) -> None:
    """
    Whatever the text, there is no `<f>` element, and every text cell is an inline string with the text format.
    """
    [sheet] = sheets(written(rows, "text", "amount")).values()

    assert "<f>" not in sheet
    assert "<f " not in sheet
    assert set(re.findall(r'<c r="A[0-9]+"[^>]* t="(\w+)"', sheet)) == {"inlineStr"}


@given(amounts=st.lists(credits_, min_size=1, max_size=20))
def test_any_amount_comes_back_equal(amounts: list[Credit]) -> None:
    """
    An amount is a number where Excel keeps all its digits and otherwise a text, so that none is ever changed.
    """
    _, *body = found(written([(amount,) for amount in amounts], "amount"))

    assert [Credit(cell if isinstance(cell, str | Decimal) else "") for [cell] in body] == amounts


@pytest.mark.parametrize(
    "credit, cell",
    [
        (Credit("-10.00"), Decimal(-10)),
        (Credit("123456789.123456"), Decimal("123456789.123456")),
        (Credit("1234567890.123456"), "1234567890.123456"),
        (UNLIMITED, "unlimited"),
    ],
)
def test_amounts_are_numbers_up_to_fifteen_digits(credit: Credit, cell: FoundCell) -> None:
    """
    Excel can add up amounts; the few that it would round, and Unlimited, are text.
    """
    assert found(written([(credit,)], "amount"))[1] == [cell]


@given(moment=st.datetimes(datetime(1901, 1, 1), datetime(9999, 1, 1)))  # noqa: DTZ001 - the zone is added
def test_moments_are_dates_in_utc(moment: datetime) -> None:
    """
    A moment is a date of Excel, exact to the millisecond, and in UTC whatever zone it was given in.
    """
    elsewhere = moment.replace(tzinfo=UTC).astimezone(timezone(timedelta(hours=2)))
    book = openpyxl.load_workbook(io.BytesIO(written([(elsewhere, None)], "moment", "moment")))
    cell, empty = book.worksheets[0]["A2"], book.worksheets[0]["B2"]

    assert isinstance(cell.value, datetime)
    assert abs(cell.value - moment) <= timedelta(milliseconds=1)
    assert cell.number_format == "yyyy-mm-dd hh:mm:ss"
    assert empty.value is None


def test_texts_stay_texts_when_they_are_edited() -> None:
    """
    Text cells have the format Text; the header stays in view; columns are as wide as their table says.
    """
    book = openpyxl.load_workbook(io.BytesIO(written([("0042", 7)], "text", "count")))
    sheet = book.worksheets[0]

    assert [sheet["A2"].number_format, sheet["B2"].number_format] == ["@", "0"]
    assert [sheet["A2"].value, sheet["B2"].value] == ["0042", 7]
    assert sheet.freeze_panes == "A2"
    assert [sheet.column_dimensions[letter].width for letter in "AB"] == [10, 11]


def test_a_full_sheet_is_followed_by_another() -> None:
    """
    Rows that do not fit stand on further sheets, each with the header.
    """
    content = written([(str(number),) for number in range(5)], "text", rows_per_sheet=3)
    book = openpyxl.load_workbook(io.BytesIO(content))
    cells = {sheet.title: [cell for [cell] in sheet.values] for sheet in book.worksheets}

    assert cells == {
        "Things": ["Column 0", "0", "1"],
        "Things 2": ["Column 0", "2", "3"],
        "Things 3": ["Column 0", "4"],
    }
    assert [sheet.freeze_panes for sheet in book.worksheets] == ["A2"] * 3
    assert [sheet.column_dimensions["A"].width for sheet in book.worksheets] == [10] * 3
    assert [sheet["A2"].number_format for sheet in book.worksheets] == ["@"] * 3


def test_a_sheet_with_much_text_is_followed_by_another() -> None:
    """
    A sheet ends before its XML is too long for an ordinary archive, which all readers of workbooks know.
    """
    stream = io.BytesIO()
    writer = xlsx.Writer(stream, table("text"), bytes_per_sheet=200_000)
    writer.append((f"{number:030000}",) for number in range(20))
    writer.finish()
    book = openpyxl.load_workbook(stream)
    with zipfile.ZipFile(stream) as archive:
        parts = archive.infolist()

    assert [cell for sheet in book.worksheets for [cell] in sheet.values if cell != "Column 0"] == [
        f"{number:030000}" for number in range(20)
    ]
    assert len(book.worksheets) == 3
    assert all(part.file_size < 300_000 for part in parts)
    # 45 would be ZIP64.
    assert {part.extract_version for part in parts} == {20}


@pytest.mark.parametrize("text, reason", [("x" * 32_768, "too_long"), ("\ud800", "not_text")])
def test_a_text_that_would_not_come_back_is_not_written(text: str, reason: str) -> None:
    """
    The writer refuses what it could not keep, where openpyxl would cut it off or fail.
    """
    writer = xlsx.Writer(io.BytesIO(), table("text"))
    with pytest.raises(SheetError) as caught:
        writer.append([(text,)])
    writer.discard()

    assert caught.value.reason == reason


def test_what_is_no_text_and_no_number_is_marked() -> None:
    """
    Formulas are not computed, and dates, truths and errors are not taken for what was typed.
    """
    rows = found(saved(workbook(["=1+1", datetime(2026, 1, 2), True, "#N/A", 1.5, 7, None, "x"])))  # noqa: DTZ001 - Excel has no zones
    damaged = Unusable.DAMAGED

    assert rows == [[Unusable.FORMULA, damaged, damaged, damaged, Decimal("1.5"), Decimal(7), "", "x"]]


def test_only_the_first_sheet_may_have_rows() -> None:
    """
    Nothing on a further sheet is silently left out; empty sheets do no harm.
    """
    book = workbook(["0042"])
    other = book.create_sheet("Other")

    assert found(saved(book)) == [["0042"]]

    other.append(["0043"])
    with pytest.raises(SheetError) as caught:
        found(saved(book))

    assert caught.value.reason == "sheets"


def test_a_date_out_of_range_is_marked_without_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Openpyxl would warn about such a cell and quote it, which may be a code. It is not even brought to try.
    """
    said: list[str] = []
    monkeypatch.setattr("openpyxl.worksheet._reader.warn", said.append)
    book = workbook([7_700_183_422_157])
    book.worksheets[0]["A1"].number_format = "yyyy-mm-dd"

    assert found(saved(book)) == [[Unusable.DAMAGED]]
    assert said == []

    openpyxl.load_workbook(io.BytesIO(saved(book)))

    assert "7700183422157" in said[0]


SHEET: Final = "xl/worksheets/sheet1.xml"


def _damaged() -> dict[str, bytes]:
    content = saved(workbook([1]))
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(SHEET, b"0" * 4 * 1024**2)
    crowd = io.BytesIO()
    with zipfile.ZipFile(crowd, "w") as archive:
        for number in range(1001):
            archive.writestr(f"{number}", b"")
    chart = openpyxl.Workbook(write_only=True)
    chart.create_chartsheet()

    return {
        "empty": b"",
        "no archive": b"PK\3\4 and so on",
        "an empty archive": b"PK\5\6" + bytes(18),
        "cut off": content[: len(content) // 2],
        "no number": rebuilt(content, SHEET, ("<v>1</v>", "<v>NaN</v>")),
        "broken XML": rebuilt(content, SHEET, ("</v>", "")),
        "no sheet but a chart": saved(chart),
        "no sheet where it should be": rebuilt(content, "xl/_rels/workbook.xml.rels", ("sheet1.xml", "sheet7.xml")),
        "a part packed too tight": bomb.getvalue(),
        "too many parts": crowd.getvalue(),
        "too many columns": saved(workbook([1] * 65)),
        "a long field": saved(workbook(["x" * 4097])),
    }


DAMAGED: Final = _damaged()


@pytest.mark.parametrize(
    "name, reason",
    [
        ("empty", "not_a_workbook"),
        ("no archive", "not_a_workbook"),
        ("an empty archive", "not_a_workbook"),
        ("cut off", "not_a_workbook"),
        ("no number", "not_a_workbook"),
        ("broken XML", "not_a_workbook"),
        ("no sheet but a chart", "not_a_workbook"),
        ("no sheet where it should be", "not_a_workbook"),
        ("a part packed too tight", "too_large"),
        ("too many parts", "too_large"),
        ("too many columns", "too_large"),
        ("a long field", "field_too_long"),
    ],
)
def test_what_is_no_workbook_is_refused(name: str, reason: str) -> None:
    """
    A file that is something else, damaged or out of all proportion is a `SheetError`, whatever openpyxl makes of it.
    """
    with pytest.raises(SheetError) as caught:
        found(DAMAGED[name])

    assert caught.value.reason == reason


def test_a_sheet_cannot_have_a_row_beyond_excels_last() -> None:
    """
    A cell that says it is far below the others is not waited for.
    """
    content = rebuilt(saved(workbook(["a"])), SHEET, ('<row r="1"', '<row r="99999999999"'))
    with pytest.raises(SheetError) as caught:
        found(content)

    assert caught.value.reason == "too_large"


def numbered(*rows: tuple[str, list[tuple[str, str]]]) -> bytes:
    """
    Make a workbook of rows with the numbers, and cells with the places, that are given; empty for none.
    """
    xml = ""
    for number, cells in rows:
        row = "".join(f"<c{_attribute(place)} t='str'><v>{text}</v></c>" for place, text in cells)
        xml += f"<row{_attribute(number)}>{row}</row>"

    return rebuilt(saved(workbook()), SHEET, ("<sheetData></sheetData>", f"<sheetData>{xml}</sheetData>"))


def _attribute(value: str) -> str:
    return f" r='{value}'" if value else ""


@pytest.mark.parametrize(
    "content, rows",
    [
        (numbered(("2", [("A2", "a")]), ("5", [("C5", "b")])), [[], ["a"], [], [], ["", "", "b"]]),
        (numbered(("", [("A1", "a")]), ("", [("", "b")])), [["a"], ["b"]]),
        (numbered(("3", [("", "a")]), ("", [("", "b"), ("C4", "c"), ("", "d")])), [[], [], ["a"], ["b", "", "c", "d"]]),
        (numbered(("1", [("A1", "a")]), ("2500", [("A2500", "b")])), [["a"], *[[]] * 2498, ["b"]]),
        (numbered(("1", [("A1", "a"), ("C1", ""), ("ZZ1", "")]), ("2", [])), [["a"], []]),
    ],
    ids=["left out", "without numbers", "some without", "many left out", "empty"],
)
def test_rows_and_cells_may_be_left_out_or_have_no_number(content: bytes, rows: list[list[str]]) -> None:
    """
    What is left out is empty, and what has no number comes next.
    """
    assert found(content) == rows


@pytest.mark.parametrize(
    "content, reason",
    [
        (numbered(("5", [("A5", "a")]), ("2", [("A2", "b")])), "out_of_order"),
        (numbered(("2", [("A2", "a")]), ("2", [("A2", "b")])), "out_of_order"),
        (numbered(("", [("A1", "a")]), ("1", [("A1", "b")])), "out_of_order"),
        (numbered(("0", [("A1", "a")])), "out_of_order"),
        (numbered(("1", [("B1", "a"), ("A1", "b")])), "out_of_order"),
        (numbered(("1", [("A1", "a"), ("A1", "b")])), "out_of_order"),
        (numbered(("1", [("", "a"), ("A1", "b")])), "out_of_order"),
        (numbered(("1", [("A1", "a"), ("ZZ1", "b")])), "too_large"),
        (numbered(("1048577", [("A1048577", "a")])), "too_large"),
    ],
    ids=["back", "twice", "counted", "zero", "cell back", "cell twice", "cell counted", "far right", "far below"],
)
def test_no_row_and_no_cell_is_lost(content: bytes, reason: str) -> None:
    """
    Where openpyxl would leave out a row, or put one cell in the place of another, the workbook is refused.
    """
    with pytest.raises(SheetError) as caught:
        found(content)

    assert caught.value.reason == reason


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_damaged_workbook_is_read_or_refused(data: st.DataObject) -> None:
    """
    Whichever byte of a workbook is changed, it is read or it is a `SheetError`.
    """
    content = bytearray(WORKBOOK)
    for at in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[at] = data.draw(st.integers(0, 255))
    try:
        rows = found(bytes(content))
    except SheetError as error:
        assert error.reason in REASONS  # noqa: PT017 - may be read
    else:
        assert isinstance(rows, list)


REASONS: Final = {"not_a_workbook", "too_large", "field_too_long", "sheets", "out_of_order"}
WORKBOOK: Final = saved(workbook(["7700183422157", "0482", "PO-117", 12.5], ["+40722123456", None, None, "u"]))
