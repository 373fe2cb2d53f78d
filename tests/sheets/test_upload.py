"""
Uploads: every row becomes the card it says, or is refused for what is wrong with it, and no secret is said aloud.
"""

from __future__ import annotations

import csv as plain_csv
import io
import os
import traceback
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol

import openpyxl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from voipcard import sheets
from voipcard.core.cards import NewCard
from voipcard.core.credit import UNLIMITED, Credit
from voipcard.core.pins import PART_OF_CODE, weakness
from voipcard.core.uploads import refused
from voipcard.errors import InvalidValueError, Problem, SheetError, UploadError, VoipcardError
from voipcard.sheets import Upload

EXAMPLES: Final = Path(__file__).parents[2] / "examples" / "data"

codes = st.text("0123456789", min_size=5, max_size=20)
cards = st.builds(
    NewCard,
    code=codes | codes.map("+{}".format),
    pin=st.just("") | st.text("0123456789", min_size=4, max_size=12),
    credit=st.integers(0, 2**63 - 1).map(Credit.from_micros),
    order_number=st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20).map("PO {}".format),
).filter(lambda card: weakness(card.pin, card.code) != PART_OF_CODE)
uploads = st.lists(cards, min_size=1, max_size=8, unique_by=lambda card: (card.kind, card.code))


class Read(Protocol):
    """
    Read a text as an upload.
    """

    def __call__(self, content: str | bytes, separator: str = ",", /) -> Upload:
        """
        Give the upload.
        """


class Refuse(Protocol):
    """
    Read a text that is refused, and give what is wrong with it.
    """

    def __call__(self, content: str, separator: str = ",", /) -> list[tuple[int, str, str]]:
        """
        Give row, column and reason of each problem.
        """


@pytest.fixture
def upload(tmp_path: Path) -> Read:
    """
    Read a text as an upload.
    """

    def read(content: str | bytes, separator: str = ",", /) -> Upload:
        path = tmp_path / "upload.csv"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

        return sheets.read_upload(path, separator)

    return read


@pytest.fixture
def problems(upload: Read) -> Refuse:
    """
    Read a text that is refused, and give what is wrong with it.
    """

    def read(content: str, separator: str = ",", /) -> list[tuple[int, str, str]]:
        with pytest.raises(UploadError) as caught:
            upload(content, separator)

        return [(problem.row, problem.column, problem.reason) for problem in caught.value.problems]

    return read


def workbook(path: Path, *rows: list[Any]) -> Path:
    """
    Save a workbook as somebody else would.
    """
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    book.save(path)

    return path


def record(card: NewCard) -> list[str]:
    """
    Write a card as VoipNow does.
    """
    plus = "+" if card.caller_id else ""

    return [plus + card.code, card.pin, card.order_number, "u" if card.credit == UNLIMITED else str(card.credit)]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(new=uploads, separator=st.sampled_from([",", ";", "\t", "|", "x"]), header=st.booleans())
def test_any_cards_come_back_equal(tmp_path: Path, new: list[NewCard], separator: str, header: bool) -> None:  # noqa: FBT001
    """
    Cards that are written as records are read as the same cards, with any separator and with or without a header.
    """
    text = io.StringIO(newline="")
    writer = plain_csv.writer(text, delimiter=separator)
    writer.writerows([["Card Code", "PIN", "Order Number", "Credit"]] * header)
    writer.writerows(record(card) for card in new)
    path = tmp_path / "upload.csv"
    path.write_text(text.getvalue(), "utf-8", newline="")
    upload = sheets.read_upload(path, separator)

    assert upload.cards == tuple(new)
    assert upload.rows == tuple(range(1 + header, 1 + header + len(new)))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(new=uploads)
def test_a_workbook_says_the_same_as_a_text(tmp_path: Path, new: list[NewCard]) -> None:
    """
    The same records give the same cards and the same digest from either format.
    """
    with (tmp_path / "upload.csv").open("w", encoding="utf-8", newline="") as stream:
        plain_csv.writer(stream).writerows(record(card) for card in new)
    workbook(tmp_path / "upload.xlsx", *[record(card) for card in new])
    text, book = sheets.read_upload(tmp_path / "upload.csv"), sheets.read_upload(tmp_path / "upload.xlsx")

    assert book.cards == text.cards == tuple(new)
    assert book.digest == text.digest


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary()
    | st.lists(st.sampled_from([b'"', b",", b"\n", b"+", b"7", b"PIN", b"'", b"E", b"."])).map(b"".join)
)
@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_any_bytes_are_an_upload_or_are_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    """
    Whatever is in a file, it gives an upload or a `SheetError` and nothing else.
    """
    path = tmp_path / f"upload{suffix}"
    path.write_bytes(content)
    try:
        upload = sheets.read_upload(path)
    except SheetError:
        return

    assert upload.cards


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    fields=st.lists(
        st.sampled_from(
            ["7700183422157", "7.700183E+12", "+4077001834", "770018342215712345.0", "'7700183", "x77001834é"]
        ),
        min_size=1,
        max_size=6,
    ),
    damage=st.sampled_from([b"", b"\0", b'"', b"\xff"]),
)
@example(fields=["7700183422157", "7700183422157"], damage=b"")
def test_no_refusal_says_a_secret(tmp_path: Path, fields: list[str], damage: bytes) -> None:
    """
    No text, field or traceback of an error, and no `repr` of an upload, has a code, a PIN or a CallerID in it.
    """
    path = tmp_path / "upload.csv"
    for content in (",".join(fields), "\n".join(fields), "\n".join(f"+4471,{field},,{field}" for field in fields)):
        path.write_bytes(content.encode() + damage)
        try:
            said = repr(sheets.read_upload(path))
        except VoipcardError as error:
            said = "".join(traceback.format_exception(error)) + repr(error) + str(error)

        assert "77001" not in said
        assert "7.7001" not in said


def test_a_damaged_workbook_says_no_secret(tmp_path: Path) -> None:
    """
    Openpyxl quotes the cell that it cannot read; we do not.
    """
    import zipfile

    content = workbook(tmp_path / "upload.xlsx", [7_700_183_422_157]).read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(tmp_path / "upload.xlsx", "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b"<v>7700183422157", b"<v>7700183422157x"))
    with pytest.raises(SheetError) as caught:
        sheets.read_upload(tmp_path / "upload.xlsx")

    assert caught.value.reason == "not_a_workbook"
    assert "77001" not in "".join(traceback.format_exception(caught.value))


def test_a_record_is_read_as_voipnow_reads_it(upload: Read) -> None:
    """
    Leading zeros, a quoted separator, Unlimited, CallerIDs, empty PINs and missing fields are what they say.
    """
    found = upload(
        '0077001834221,0482,"PO-117, kiosk",10.00\n\n+40 722 123 456,,,U\n,,,\n7700183422\n7700183423,, x , 5 \n'
    )

    assert found.cards == (
        NewCard("0077001834221", pin="0482", order_number="PO-117, kiosk", credit="10.00"),
        NewCard("40722123456", caller_id=True, credit=UNLIMITED),
        NewCard("7700183422"),
        NewCard("7700183423", order_number=" x ", credit=5),
    )
    assert found.rows == (1, 3, 5, 6)
    assert [(warning.row, warning.reason) for warning in found.warnings] == [(6, "outer_space")]


@pytest.mark.parametrize(
    "header, row",
    [
        ("Card Code,PIN,Order Number,Initial Credit", "7700183422157,0482,PO-117,u"),
        ("\ufeffcode,pin", "7700183422157,0482"),
        ("CREDIT,Order No.,CallerID,pin_code", "u,PO-117,7700183422157,0482"),
        ("Code or CallerID,PIN,,", "7700183422157,0482,,"),
    ],
)
def test_a_header_says_where_the_columns_are(upload: Read, header: str, row: str) -> None:
    """
    A header in any order and any spelling that people use is no card, and the fields below it are found.
    """
    found = upload(f"{header}\n{row}\n")

    assert [(card.code, card.pin) for card in found.cards] == [("7700183422157", "0482")]
    assert found.rows == (2,)


@pytest.mark.parametrize("header", ["Card Code,PIN,Price", "code,code", "Code,PIN,Order,Credit,Price"])
def test_a_header_with_unknown_columns_is_refused(problems: Refuse, header: str) -> None:
    """
    What looks like a header is not taken for a card, and not for a header that it is not.
    """
    assert problems(f"{header}\n7700183422157\n") == [(1, "", "header")]


def test_a_row_has_no_more_fields_than_its_header(problems: Refuse) -> None:
    """
    No field is left out silently.
    """
    assert problems("Card Code,PIN\n7700183422157,0482,PO-117\n") == [(2, "", "too_many_fields")]


def test_a_code_after_a_header_may_be_missing(problems: Refuse) -> None:
    """
    A row that ends before its code has none.
    """
    assert problems("PIN,Card Code\n0482\n") == [(2, "code", "empty")]


REFUSED: Final = [
    (",0482", "code", "empty"),
    ("7" * 256, "code", "too_long"),
    ("7700183é", "code", "not_ascii"),
    ("+40 722 x", "code", "not_digits"),
    ("7700183422157;0482;PO-117;10", "code", "separator"),
    ("7700183|0482", "code", "separator"),
    ("7700183,48a2", "pin", "not_digits"),
    ("7700183,٤٨٢١", "pin", "not_digits"),
    ("7700183,482", "pin", "wrong_length"),
    (f"7700183,,{'x' * 256}", "order_number", "too_long"),
    ('7700183,,"a\nb"', "order_number", "control_characters"),
    ("7700183,,,ten", "credit", "not_a_number"),
    ("7700183,,,NaN", "credit", "not_a_number"),
    ('7700183,,,"10,50"', "credit", "not_a_number"),
    ("7700183,,,0.1234567", "credit", "too_precise"),
    ("7700183,,,9223372036855", "credit", "too_large"),
    ("7700183,,,-5", "credit", "negative"),
    ("7700183,0482,PO-117,10,more", "", "too_many_fields"),
    ("1.23457E+15", "code", "excel_damage"),
    ('"1,23457E+15"', "code", "excel_damage"),
    ("1E+15", "code", "excel_damage"),
    ("7700183422157.0", "code", "excel_damage"),
    ("#NAME?", "code", "excel_damage"),
    ("########", "code", "excel_damage"),
    ("'+40722123456", "code", "excel_damage"),
    ("7700183,482.0", "pin", "excel_damage"),
    ("7700183,'0482", "pin", "excel_damage"),
    ("7700183,,1.2E+05", "order_number", "excel_damage"),
    ("7700183,,,1E+03", "credit", "excel_damage"),
]


@pytest.mark.parametrize("row, column, reason", REFUSED)
def test_a_row_is_refused_for_what_is_wrong_with_it(problems: Refuse, row: str, column: str, reason: str) -> None:
    """
    Each fault has its column and its word, and the row is the one a spreadsheet shows.
    """
    assert problems(f"7700183422150\n{row}\n") == [(2, column, reason)]


def test_a_code_may_look_like_a_small_exponent(upload: Read) -> None:
    """
    `1E5` is a code as good as any: no spreadsheet program writes a number that way.
    """
    assert upload("1E5\n").cards == (NewCard("1E5"),)


def test_everything_that_is_wrong_is_said_at_once(problems: Refuse) -> None:
    """
    One row can have several faults, and one fault keeps no other row from being checked.
    """
    assert problems("7700183,482,,ten\n7700184\n+7700184\n77-00 18.3\n7700184,x\n") == [
        (1, "pin", "wrong_length"),
        (1, "credit", "not_a_number"),
        (4, "code", "duplicate"),
        (5, "pin", "not_digits"),
        (5, "code", "duplicate"),
    ]


def test_a_duplicate_names_the_row_it_repeats(upload: Read) -> None:
    """
    The advice says where the code stood first.
    """
    with pytest.raises(UploadError) as caught:
        upload("7700183\n7700184\n7700-183\n")

    assert caught.value.problems == (Problem(3, "code", "duplicate", "row 1 has the same code: remove one of the two"),)
    assert str(caught.value) == "1 row was refused: row 3 duplicate"


def test_a_weak_pin_is_a_warning(upload: Read) -> None:
    """
    People may have printed such cards already, so they are taken, and said.
    """
    found = upload("7700183,1234\n7700184,8068\n7700185,2580\n")

    assert [(warning.row, warning.column, warning.reason, warning.warning) for warning in found.warnings] == [
        (1, "pin", "weak_pin", True),
        (3, "pin", "weak_pin", True),
    ]
    assert len(found.cards) == 3


@pytest.mark.parametrize("row", ["80681237,8068", "1237-80 68,80 68", "+40722123456,4072", "123456,3456", "1234,1234"])
def test_a_pin_is_no_part_of_its_code(upload: Read, row: str) -> None:
    """
    Such a PIN says nothing that the code does not say, so its row is refused, even where weak PINs are taken.
    """
    advice = "the code begins or ends with this PIN: choose another, or leave the PIN empty"
    with pytest.raises(UploadError) as caught:
        upload(f"7700184,8068\n{row}\n")

    assert caught.value.problems == (Problem(2, "pin", "part_of_code", advice),)


def test_a_pin_is_compared_although_something_else_is_wrong(problems: Refuse) -> None:
    """
    That a PIN is part of its code is said together with the other faults of the row.
    """
    assert problems("80681237,8068,,ten\n80681237,8068\n,8068\n") == [
        (1, "pin", "part_of_code"),
        (1, "credit", "not_a_number"),
        (2, "pin", "part_of_code"),
        (2, "code", "duplicate"),
        (3, "code", "empty"),
    ]


@pytest.mark.parametrize(
    "rows, detail",
    [((7,), "1 row was refused"), ((7, 7), "1 row was refused"), (range(1000), "1,000 rows were refused")],
)
def test_refused_rows_are_counted_once(rows: Sequence[int], detail: str) -> None:
    """
    The error says how many rows were refused, however many faults each has.
    """
    problems = tuple(Problem(row, "code", "exists", "remove it") for row in rows)
    error = refused(Upload((), (), (), problems, len(problems), len(set(rows)), (), 0, b""))

    assert (error.reason, error.detail) == ("rows", detail)
    assert error.problems == problems
    assert (error.problem_count, error.rejected) == (len(rows), len(set(rows)))


def test_the_digest_is_that_of_the_cards(upload: Read) -> None:
    """
    Two files that say the same have the same digest, however they are written; any change of a card changes it.
    """
    digest = upload("7700183,0482,PO-117,10\n").digest
    same = upload('\ufeffPIN;Card Code;Credit;Order No\r\n\r\n"0482";77-00 183;10.00;PO-117\r\n', ";").digest
    others = ["7700184,0482,PO-117,10", "7700183,0483,PO-117,10", "7700183,0482,PO-118,10", "7700183,0482,PO-117,u"]

    assert same == digest
    assert len(digest) == 32
    assert len({digest, upload("+7700183,0482,PO-117,10\n").digest, *(upload(other).digest for other in others)}) == 6


def test_numbers_in_a_workbook_are_taken_with_a_warning(tmp_path: Path) -> None:
    """
    A number may have lost its leading zeros, which only a person can know. A credit is a number by nature.
    """
    found = sheets.read_upload(
        workbook(tmp_path / "upload.xlsx", ["Code", "PIN", "Credit"], [7700183422157, 4821, 12.5])
    )

    assert found.cards == (NewCard("7700183422157", pin="4821", credit="12.50"),)
    assert [(warning.row, warning.column, warning.reason) for warning in found.warnings] == [
        (2, "code", "number_cell"),
        (2, "pin", "number_cell"),
    ]


@pytest.mark.parametrize(
    "row, column, reason",
    [
        ([1_234_567_890_123_456], "code", "excel_damage"),
        ([-7700183], "code", "excel_damage"),
        ([77001.83], "code", "excel_damage"),
        ([datetime(2026, 1, 2)], "code", "excel_damage"),  # noqa: DTZ001 - Excel has no zones
        ([True], "code", "excel_damage"),
        (["#N/A"], "code", "excel_damage"),
        (["=1+1"], "code", "formula"),
        (["7700183", "=1+1"], "pin", "formula"),
        (["7700183", None, None, 1e-7], "credit", "too_precise"),
        (["7700183", None, None, 1e300], "credit", "too_large"),
        (["7700183", None, None, "x"], "credit", "not_a_number"),
        (["7700183", None, None, True], "credit", "excel_damage"),
    ],
)
def test_a_cell_is_refused_for_what_is_wrong_with_it(tmp_path: Path, row: list[Any], column: str, reason: str) -> None:
    """
    Nothing is computed, and nothing that Excel changed is guessed at.
    """
    with pytest.raises(UploadError) as caught:
        sheets.read_upload(workbook(tmp_path / "upload.xlsx", row))

    assert [(problem.row, problem.column, problem.reason) for problem in caught.value.problems] == [(1, column, reason)]


def test_an_infinite_credit_is_no_number(tmp_path: Path) -> None:
    """
    A number too large for a float is no credit.
    """
    import zipfile

    content = workbook(tmp_path / "upload.xlsx", ["7700183", None, None, 7]).read_bytes()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(tmp_path / "upload.xlsx", "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b"<v>7</v>", b"<v>1e400</v>"))
    with pytest.raises(SheetError) as caught:
        sheets.read_upload(tmp_path / "upload.xlsx")

    assert caught.value.reason == "not_a_workbook"


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    """
    What cannot be read, is no file, is too large, has another suffix or has no rows is a `SheetError` that says so.
    """
    (tmp_path / "folder.csv").mkdir()
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "empty.csv").touch()
    (tmp_path / "header.csv").write_text("Card Code,PIN\n")
    (tmp_path / "file").touch()
    with (tmp_path / "large.csv").open("wb") as stream:
        stream.truncate(512 * 1024 * 1024 + 1)
    reasons = {}
    for name in [
        "missing.csv",
        "folder.csv",
        "pipe.csv",
        "empty.csv",
        "header.csv",
        "large.csv",
        "file/a.csv",
        "a\0.csv",
        "a.xls",
    ]:
        with pytest.raises(SheetError) as caught:
            sheets.read_upload(tmp_path / name)
        reasons[name] = caught.value.reason

    assert reasons == {
        "missing.csv": "missing",
        "folder.csv": "not_a_file",
        "pipe.csv": "not_a_file",
        "empty.csv": "empty",
        "header.csv": "empty",
        "large.csv": "too_large",
        "file/a.csv": "unreadable",
        "a\0.csv": "not_a_file",
        "a.xls": "suffix",
    }


def test_a_file_of_somebody_else_is_refused() -> None:
    """
    What the operating system does not let us read is a `SheetError` with the original as its cause.
    """
    from voipcard.sheets import files

    with pytest.raises(SheetError) as caught, files.read_refusals("a.csv"):
        raise PermissionError

    assert caught.value.reason == "forbidden"
    assert isinstance(caught.value.__cause__, PermissionError)


def test_a_separator_is_one_character(upload: Read) -> None:
    """
    Two characters separate nothing.
    """
    with pytest.raises(InvalidValueError):
        upload("7700183;;0482\n", ";;")


def test_the_example_is_in_order() -> None:
    """
    The example shows what a record can hold, and no PIN of it is weak.
    """
    found = sheets.read_upload(EXAMPLES / "upload.csv")
    text = (EXAMPLES / "upload.csv").read_text("utf-8")

    assert len(found.cards) >= 30
    assert found.warnings == ()
    assert any(card.pin.startswith("0") for card in found.cards)
    assert any(card.code.startswith("0") and not card.caller_id for card in found.cards)
    assert any(card.caller_id and card.credit == UNLIMITED for card in found.cards)
    assert any("," in card.order_number for card in found.cards)
    assert "\n\n" in text


def test_each_row_of_the_bad_example_is_wrong_in_another_way() -> None:
    """
    All rows but the first are refused, for ten different reasons.
    """
    with pytest.raises(UploadError) as caught:
        sheets.read_upload(EXAMPLES / "upload-bad.csv")

    assert [(problem.row, problem.column, problem.reason) for problem in caught.value.problems] == [
        (2, "credit", "not_a_number"),
        (3, "code", "excel_damage"),
        (4, "pin", "not_digits"),
        (5, "code", "duplicate"),
        (6, "credit", "negative"),
        (7, "credit", "too_precise"),
        (8, "", "too_many_fields"),
        (9, "pin", "wrong_length"),
        (10, "code", "empty"),
        (11, "code", "separator"),
    ]
