"""
LibreOffice: what is written here is opened, shown and saved there with every digit, and nothing of it is computed.
"""

from __future__ import annotations

import contextlib
import csv
import os
import shutil
import signal
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import attrs
import openpyxl
import pytest

from voipcard import UNLIMITED, CardCode, Credit, Handout, LedgerEntry, sheets
from voipcard.sheets import xlsx
from voipcard.sheets.rows import HANDOUTS

pytestmark = pytest.mark.skipif(
    shutil.which("soffice") is None, reason="soffice is not installed (Debian: libreoffice-calc)"
)

PATIENCE: Final = 120.0
"""For how many seconds LibreOffice is waited for. It takes one."""

CODES: Final = ["007", "0077001834221", "000000000000000", "123456789012345678901234567890", "+40722123456"]

HOSTILE: Final = [
    "-10.00",
    "=1+1",
    '=HYPERLINK("http://localhost/","x")',
    '=WEBSERVICE("http://localhost/")',
    "=cmd|' /C calc'!A0",
    "'",
    "'007",
    "'=x",
    "@a",
    "\tx",
    "\n=1+1",
    "\r=1+1",
    "a\r\nb",
    "=1+1\t=2+2",
    "＝1+1",
    "＋1",
    "－1",
    "＠a",
    "\u200f=1+1",
    "\u202e007",
    "😀 007",
    "#N/A",
    "1E5",
    "1.5",
    "1,5",
    "$1,000",
    "50%",
    "3/4",
    "12:30",
    "TRUE",
    "2026-03-04",
    " x ",
    '"x"',
    "a,b;c",
    "<f>1</f>&amp;",
    "",
]

ESCAPES: Final = ["_x000D_", "_x005F_x000D_"]
"""
Texts that look like a character that XML cannot hold.

LibreOffice 7.4 reads and shows them as they are, but saves them as that character: it leaves out the escape.
"""

AMOUNTS: Final = ["0", "12.5", "-10", "0.000001", "123456789.123456", "9223372036853.775807"]
"""The last one has more digits than a number in a spreadsheet, and is a text there."""

MOMENT: Final = datetime(2026, 3, 14, 12, 30, 15, 250_000, tzinfo=UTC)

HANDED_OUT: Final = [
    Handout(f"K7QX-{number:06}", "0003*215", "code", text, "0482", Credit("12.50"), text)
    for number, text in enumerate([*CODES, *HOSTILE], 1)
]

UNUSUAL: Final = [attrs.evolve(HANDED_OUT[0], code=text, order_number=text) for text in ESCAPES]

HISTORY: Final = [
    LedgerEntry(
        serial="K7QX-000042",
        extension="0003*215",
        batch="K7QX",
        sequence=number,
        kind="recharge",
        amount=Credit(amount),
        credit_left=UNLIMITED,
        held_left=Credit(0),
        order_number="-10.00",
        created_at=MOMENT,
        actor="=alice",
    )
    for number, amount in enumerate(AMOUNTS, 1)
]

CARD: Final = CardCode(
    serial="K7QX-000042",
    extension="0003*215",
    batch="K7QX",
    kind="code",
    has_pin=True,
    enabled=True,
    credit=Credit("12.50"),
    total_credit=UNLIMITED,
    held=Credit("2.25"),
    recharge_count=3,
    created_at=MOMENT,
    first_used_at=None,
    expires_at=MOMENT,
    order_number="2026-03-04",
    labels=("=kiosk", "summer"),
    id=b"\0" * 16,
    version=1,
)

TEXTS: Final = "44,34,UTF-8,1," + "/".join(f"{column}/2" for column in range(1, 9))
"""LibreOffice's words for: fields between commas and in quotes, from the first row on, each column a text."""

EAGER: Final = "44,34,UTF-8,1,,0,false,true,false,false,0,true"
"""The same, but find numbers, dates and formulas wherever they can be."""

MACRO: Final = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE script:module PUBLIC "-//OpenOffice.org//DTD OfficeDocument 1.0//EN" "module.dtd">
<script:module xmlns:script="http://openoffice.org/2000/script" script:name="Module1" script:language="StarBasic">
Sub Save(files As String, folder As String)
  Dim kind(0) As New com.sun.star.beans.PropertyValue
  kind(0).Name = "FilterName"
  kind(0).Value = "Calc MS Excel 2007 XML"
  For Each file In Split(files, "|")
    book = StarDesktop.loadComponentFromURL(file, "_blank", 0, Array())
    parts = Split(file, "/")
    book.storeToURL(folder &amp; "/" &amp; parts(UBound(parts)), kind())
    book.close(True)
  Next
End Sub
</script:module>
"""
"""What a person does: open and save. Without a window, which `--convert-to` does not open, no row stays in sight."""


@attrs.frozen
class Office:
    """
    LibreOffice with a profile of its own.

    Attributes:
        folder: Where it keeps its profile, and puts what it writes.
    """

    folder: Path

    def converted(self, *files: Path, to: str, read_as: str = "") -> Path:
        """
        Convert files, and give the folder with what became of them.

        Args:
            files: The files.

            to: The format, with LibreOffice's words for how to write it after a colon.

            read_as: LibreOffice's words for how to read a text file; empty for what it does by itself.
        """
        target = self._target()
        options = [f"--infilter=CSV:{read_as}"] if read_as else []
        self._run(*options, "--convert-to", to, "--outdir", str(target), *map(str, files))

        return target

    def saved(self, *files: Path) -> Path:
        """
        Open workbooks and save them, and give the folder where they are now.
        """
        self._run("--terminate_after_init")
        (self.folder / "profile" / "user" / "basic" / "Standard" / "Module1.xba").write_text(MACRO, "utf-8")
        target = self._target()
        sources = "|".join(file.as_uri() for file in files)
        self._run(f'macro:///Standard.Module1.Save("{sources}","{target.as_uri()}")')

        return target

    def _target(self) -> Path:
        target = self.folder / f"{len(list(self.folder.iterdir()))}"
        target.mkdir()

        return target

    def _run(self, *arguments: str) -> None:
        profile = f"-env:UserInstallation={(self.folder / 'profile').as_uri()}"
        with subprocess.Popen(
            ["soffice", profile, "--headless", "--norestore", *arguments],  # noqa: S607 - wherever it is installed
            env={**os.environ, "HOME": str(self.folder), "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            try:
                said, _ = process.communicate(timeout=PATIENCE)
            finally:
                # What is started is a script, which starts others.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)

        assert process.returncode == 0, said.decode(errors="replace")


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    """
    Give a LibreOffice that nobody has used before.
    """
    return Office(tmp_path_factory.mktemp("office"))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    Write all that is converted below.
    """
    folder = tmp_path_factory.mktemp("written")
    sheets.write(folder / "handout.xlsx", HANDED_OUT)
    sheets.write(folder / "handout.csv", HANDED_OUT)
    sheets.write(folder / "unusual.xlsx", UNUSUAL)
    sheets.write(folder / "history.xlsx", HISTORY)
    sheets.write(folder / "cards.xlsx", [CARD])
    with (folder / "sheets.xlsx").open("wb") as stream:
        writer = xlsx.Writer(stream, HANDOUTS, rows_per_sheet=3)
        writer.append(HANDOUTS.cells(HANDED_OUT[:4]))
        writer.finish()
    with (folder / "naive.csv").open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([handout.serial, handout.code] for handout in HANDED_OUT)

    return folder


@pytest.fixture(scope="module")
def saved(office: Office, written: Path) -> Path:
    """
    Open and save the workbooks.
    """
    return office.saved(*[written / f"{name}.xlsx" for name in ("handout", "history", "cards", "sheets")])


@pytest.fixture(scope="module")
def shown(office: Office, written: Path) -> Path:
    """
    Give what LibreOffice shows in workbooks, and in a text file that somebody else wrote.
    """
    return office.converted(
        written / "handout.xlsx",
        written / "unusual.xlsx",
        written / "naive.csv",
        to="csv:Text - txt - csv (StarCalc):44,34,UTF-8",
    )


@pytest.fixture(scope="module", params=["", EAGER], ids=["default", "eager"])
def let_loose(request: pytest.FixtureRequest, office: Office, written: Path) -> Path:
    """
    Give text files as workbooks, in which LibreOffice could compute what it liked to.
    """
    return office.converted(written / "handout.csv", written / "naive.csv", to="xlsx", read_as=request.param)


def rows(path: Path) -> list[list[Any]]:
    """
    Give the cells of a file, with the one kind of line break that LibreOffice has in cells.
    """
    return [list(map(one_break, row.cells)) for row in sheets.read(path)]


def one_break(cell: Any) -> Any:  # noqa: ANN401 - a cell may have anything
    """
    Write each line break of a text as a line feed.
    """
    return cell.replace("\r\n", "\n").replace("\r", "\n") if isinstance(cell, str) else cell


def plain_rows(path: Path) -> list[list[str]]:
    """
    Give the fields of a text file, as anybody would read it.
    """
    with path.open(encoding="utf-8-sig", newline="") as stream:
        return list(csv.reader(stream))


def cells(path: Path) -> Iterator[Any]:
    """
    Give the cells of all sheets of a workbook, as somebody else reads it.
    """
    for sheet in openpyxl.load_workbook(path).worksheets:
        for row in sheet.iter_rows():
            yield from row


def formulas(path: Path) -> list[str]:
    """
    Give the formulas of a workbook.
    """
    return [cell.value for cell in cells(path) if cell.data_type == "f"]


def handed_out(handouts: Iterable[Handout]) -> list[list[Any]]:
    """
    Give the cells that hand-outs have.
    """
    return [
        [h.serial, one_break(h.code), h.pin, Decimal("12.5"), one_break(h.order_number), "Card Code", h.extension]
        for h in handouts
    ]


def test_hand_outs_are_saved_with_every_character(saved: Path) -> None:
    """
    Codes, PINs and order numbers are the same texts after LibreOffice has saved the workbook, and credits are numbers.
    """
    assert handed_out(HANDED_OUT) == rows(saved / "handout.xlsx")[1:]
    assert formulas(saved / "handout.xlsx") == []


def test_amounts_are_saved_as_equal_numbers(saved: Path) -> None:
    """
    Amounts are numbers and equal, down to the sixth decimal; those that no number can hold, and `unlimited`, are texts.
    """
    found = [row[:3] for row in rows(saved / "history.xlsx")[1:]]

    assert [["-10.00", Decimal(amount), "unlimited"] for amount in AMOUNTS[:-1]] == found[:-1]
    assert found[-1] == ["-10.00", AMOUNTS[-1], "unlimited"]


def test_moments_are_saved_as_moments(saved: Path, written: Path) -> None:
    """
    A card list is the same after LibreOffice has saved it: dates are dates, counts numbers, and texts texts.
    """
    created, expires = [cell.value for cell in cells(saved / "cards.xlsx") if cell.is_date]

    assert rows(written / "cards.xlsx") == rows(saved / "cards.xlsx")
    assert created == expires == MOMENT.replace(tzinfo=None)


def test_all_sheets_are_saved(saved: Path) -> None:
    """
    The second sheet of a workbook is there with its header and its rows.
    """
    book = openpyxl.load_workbook(saved / "sheets.xlsx")
    found = [row for row in sheets.read(saved / "sheets.xlsx") if row.cells[0] != "Serial"]

    assert book.sheetnames == ["Hand-out", "Hand-out 2"]
    assert {cell.value for sheet in book.worksheets for cell in sheet["A"][:1]} == {"Serial"}
    assert [(row.sheet, row.number) for row in found] == [(1, 2), (1, 3), (2, 2), (2, 3)]
    assert handed_out(HANDED_OUT[:4]) == [list(row.cells) for row in found]


def test_a_sheet_keeps_its_looks(saved: Path) -> None:
    """
    The header stays in sight and bold, columns keep their widths, and whatever is typed over a code remains a text.
    """
    sheet: Any = openpyxl.load_workbook(saved / "handout.xlsx").worksheets[0]
    widths = {
        column: dimension.width
        for dimension in sheet.column_dimensions.values()
        for column in range(dimension.min, dimension.max + 1)
    }

    assert sheet.freeze_panes == "A2"
    assert [[cell.font.bold for cell in row] for row in sheet["A1:G2"]] == [[True] * 7, [False] * 7]
    assert [column.width for column in HANDOUTS.columns] == pytest.approx([widths[at] for at in range(1, 8)], abs=0.5)
    assert {cell.number_format for column in "BCE" for cell in sheet[column] if cell.value} == {"@"}


@pytest.mark.parametrize("name, handouts", [("handout", HANDED_OUT), ("unusual", UNUSUAL)])
def test_a_workbook_shows_every_digit(shown: Path, name: str, handouts: Sequence[Handout]) -> None:
    """
    What LibreOffice shows of a workbook is what was written, zeros and long numbers included.
    """
    found = [one_break(row[1]) for row in plain_rows(shown / f"{name}.csv")[1:]]

    assert [one_break(handout.code) for handout in handouts] == found


def test_a_naive_text_file_loses_digits(shown: Path) -> None:
    """
    The same codes in a text file as programs write it lose zeros and digits, and some are computed.
    """
    codes = dict(plain_rows(shown / "naive.csv"))
    found = {handout.code: codes[handout.serial] for handout in HANDED_OUT}

    assert (found["007"], found["=1+1"]) == ("7", "2")
    assert found[CODES[3]] != CODES[3]


@pytest.mark.parametrize("to", ["csv", "xlsx"])
def test_a_text_file_is_kept_where_all_columns_are_texts(office: Office, written: Path, to: str) -> None:
    """
    Our text file comes back from LibreOffice with every character, announcement included, and its guard is undone.

    It is so where whoever opens the file says that all columns are texts, and whichever format it is saved in.
    """
    kept = office.converted(written / "handout.csv", to=to, read_as=TEXTS) / f"handout.{to}"

    assert rows(written / "handout.csv") == rows(kept)
    assert to == "csv" or formulas(kept) == []


def test_nothing_becomes_a_formula(let_loose: Path) -> None:
    """
    However LibreOffice opens our text file, no cell of it becomes a formula; in one without a guard several do.

    Codes may lose zeros and digits on the way: such a file is for programs, and the documentation says so.
    """
    assert formulas(let_loose / "handout.xlsx") == []
    assert "=1+1" in formulas(let_loose / "naive.xlsx")
