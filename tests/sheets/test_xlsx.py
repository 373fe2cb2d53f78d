"""
Workbooks that are written: text stays text, numbers and dates are numbers and dates.
"""

from __future__ import annotations

import io
import re
import zipfile
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from operator import itemgetter

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sheets.hostile import HOSTILE, HOSTILE_TO_CSV
from voipcard.core.credit import UNLIMITED, Credit
from voipcard.errors import SheetError
from voipcard.sheets import workbook, xlsx
from voipcard.sheets.found import FoundCell
from voipcard.sheets.limits import Limits
from voipcard.sheets.rows import Cell, CellKind, Column, Table

texts = st.sampled_from([*HOSTILE, *HOSTILE_TO_CSV]) | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
credits_ = st.integers(-(2**63) + 2, 2**63 - 1).map(Credit.from_micros)


def table(*kinds: CellKind) -> Table:
    """
    Make a table whose rows are tuples.
    """
    columns = tuple(
        Column(f"column_{at}", f"Column {at}", kind, 10 + at, itemgetter(at)) for at, kind in enumerate(kinds)
    )

    return Table("Things", tuple, columns)


def written(rows: list[tuple[Cell, ...]], *kinds: CellKind, rows_per_sheet: int = xlsx.MAX_ROWS) -> bytes:
    """
    Give the workbook that is written.
    """
    stream = io.BytesIO()
    writer = xlsx.Writer(stream, table(*kinds), rows_per_sheet=rows_per_sheet)
    writer.append(list(zip(*rows, strict=True)))
    writer.finish()

    return stream.getvalue()


def found(content: bytes) -> list[list[FoundCell]]:
    """
    Give what is read from a workbook.
    """
    return [list(row.cells) for row in workbook.read(io.BytesIO(content), Limits())]


def sheets(content: bytes) -> dict[str, str]:
    """
    Give the XML of each sheet.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist() if "/worksheets/" in name}


@given(rows=st.lists(st.tuples(texts, credits_), min_size=1, max_size=20))
def test_no_workbook_has_a_formula(rows: list[tuple[Cell, ...]]) -> None:
    """
    Whatever the text, there is no `<f>` element, and every text cell is an inline string with the text format.
    """
    [sheet] = sheets(written(rows, "text", "amount")).values()

    assert "<f>" not in sheet
    assert "<f " not in sheet
    assert set(re.findall(r'<c r="A[0-9]+"[^>]* t="(\w+)"', sheet)) == {"inlineStr"}


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
    Text cells have the format Text, empty ones too; the header stays in view; columns are as wide as they should be.
    """
    book = openpyxl.load_workbook(io.BytesIO(written([("0042", 7), ("", 8)], "text", "count")))
    sheet = book.worksheets[0]

    assert [sheet["A2"].number_format, sheet["B2"].number_format] == ["@", "0"]
    assert [sheet["A2"].value, sheet["B2"].value] == ["0042", 7]
    assert (sheet["A3"].value, sheet["A3"].number_format) == (None, "@")
    assert sheet.freeze_panes == "A2"
    assert [sheet.column_dimensions[letter].width for letter in "AB"] == [10, 11]
    assert [sheet.column_dimensions[letter].number_format for letter in "AB"] == ["@", "0"]


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
    writer.append([[f"{number:030000}" for number in range(20)]])
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
        writer.append([[text]])
    writer.discard()

    assert caught.value.reason == reason
