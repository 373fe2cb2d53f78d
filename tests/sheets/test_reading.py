"""
Reading: what was written comes back equal, from any kind of file, and a file that is too much is refused.
"""

from __future__ import annotations

import csv as plain_csv
import gzip
import io
import traceback
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sheets.hostile import HOSTILE
from voipcard import sheets
from voipcard.core.cards import CardCode, Handout
from voipcard.core.credit import Credit
from voipcard.core.ledger import LedgerEntry
from voipcard.errors import InvalidValueError, Problem, SheetError
from voipcard.sheets import Dialect, Format, FoundCell, Limits, xlsx
from voipcard.sheets.guard import ANNOUNCEMENT

texts = st.sampled_from(HOSTILE) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20
)
separators = st.sampled_from([",", ";", "\t", "|", ":", "'", "=", "x", "€", " ", "#", "0"])
credits_ = st.integers(-(2**63) + 2, 2**63 - 1).map(Credit.from_micros)


def handed(code: str, pin: str, order_number: str, credit: Credit) -> Handout:
    """
    Make a hand-out of hostile texts, as no book would.
    """
    return Handout("K7QX-000042", "0003*215", "code", code, pin, credit, order_number)


handouts = st.lists(st.builds(handed, texts, texts, texts, credits_), min_size=1, max_size=5)


def body(stream: io.BytesIO, **options: Any) -> list[list[FoundCell]]:  # noqa: ANN401 - those of `read`
    """
    Read what was written, without its header.
    """
    stream.seek(0)

    return [list(row.cells) for row in sheets.read(stream, **options)][1:]


@given(values=handouts, separator=separators, dialect=st.sampled_from(["guarded", "plain"]))
def test_any_text_comes_back_equal_from_csv(values: list[Handout], separator: str, dialect: Dialect) -> None:
    """
    Whatever separates them, and however they were written, texts and amounts are read as they were.
    """
    stream = io.BytesIO()
    sheets.write(stream, values, format="csv", separator=separator, dialect=dialect)

    assert body(stream, separator=separator) == [
        [v.serial, v.code, v.pin, str(v.credit), v.order_number, "Card Code", v.extension] for v in values
    ]


@given(values=handouts)
def test_any_text_comes_back_equal_from_a_workbook(values: list[Handout]) -> None:
    """
    Texts are read as they were; amounts as numbers, or as texts where a number would lose digits.
    """
    stream = io.BytesIO()
    sheets.write(stream, values, format="xlsx")
    found = [
        [*cells[:3], str(Credit(cells[3] if isinstance(cells[3], str | Decimal) else "")), *cells[4:]]
        for cells in body(stream)
    ]

    assert found == [[v.serial, v.code, v.pin, str(v.credit), v.order_number, "Card Code", v.extension] for v in values]


@pytest.mark.parametrize("format_", ["csv", "xlsx"])
def test_every_kind_of_row_comes_back(
    format_: Format, card: Callable[[int], CardCode], entry: LedgerEntry, handout: Handout
) -> None:
    """
    Cards, hand-outs, histories and problems: as many cells as columns, amounts that add up, moments that are equal.
    """
    problem = Problem(7, "pin", "weak_pin", "=choose another", warning=True, sheet=2)
    kinds: list[list[Any]] = [[card(1)], [entry], [handout], [problem]]
    for values in kinds:
        stream = io.BytesIO()
        sheets.write(stream, values, format=format_)
        stream.seek(0)
        header, row = [found.cells for found in sheets.read(stream)]
        by_header = dict(zip(header, row, strict=False))
        created = by_header.get("Created", by_header.get("Date Added"))
        amount = by_header.get("Credit Added", by_header.get("Credit"))
        moment = datetime.fromisoformat(created) if isinstance(created, str) else created

        assert isinstance(values[0], Problem | Handout) or moment == values[0].created_at
        assert amount is None or Credit(amount) in {Credit("-10.00"), Credit("12.50")}  # type: ignore[arg-type]  # a text or number
    assert [by_header[name] for name in ("Severity", "Reason", "Advice")] == ["Warning", "weak_pin", "=choose another"]


@pytest.mark.parametrize("content", ["a,'b\n=1,'+2\n", f"a,'b\n{ANNOUNCEMENT},'+2\n"])
def test_a_file_of_others_is_never_decoded(content: str) -> None:
    """
    Only an announcement in the first row speaks of a guard; anything else is what it is.
    """
    found = [list(row.cells) for row in sheets.read(io.BytesIO(content.encode()))]

    assert found == list(plain_csv.reader(io.StringIO(content)))


def test_plain_csv_is_what_programs_expect() -> None:
    """
    No mark, no guard, no announcement, and quotes only where they are needed.
    """
    stream = io.BytesIO()
    sheets.write(
        stream,
        [handed("=1+1", "0482", "a,b", Credit("-10"))],
        format="csv",
        dialect="plain",
        columns=["code", "credit", "order_number"],
    )

    assert stream.getvalue() == b'Card Code,Credit,Order Number\r\n=1+1,-10.00,"a,b"\r\n'


def test_rows_are_numbered_as_a_spreadsheet_counts() -> None:
    """
    Blank lines and rows are left out and counted.
    """
    stream = io.BytesIO()
    book = openpyxl.Workbook()
    book.worksheets[0]["A2"] = "x"
    book.worksheets[0]["B5"] = "y"
    book.save(stream)
    stream.seek(0)

    assert [(row.sheet, row.number, row.cells) for row in sheets.read(stream)] == [(1, 2, ["x"]), (1, 5, ["", "y"])]
    assert [(row.sheet, row.number) for row in sheets.read(io.BytesIO(b"\nx\n\n\n,y\n"))] == [(1, 2), (1, 5)]


TEXT: Final = "0077,ä€\n"
SECRET: Final = b"7700183"


@pytest.mark.parametrize(
    "content, encoding",
    [
        (TEXT.encode(), None),
        (TEXT.encode("utf-8-sig"), None),
        (TEXT.encode("utf-8-sig"), "utf-8"),
        (TEXT.encode("utf-16"), None),
        (b"\xfe\xff" + TEXT.encode("utf-16-be"), None),
        (b"\xff\xfe" + TEXT.encode("utf-16-le"), "utf-16-le"),
        (TEXT.encode("utf-16-be"), "utf-16-be"),
        (TEXT.encode("cp1252"), "cp1252"),
        (TEXT.encode("iso8859-15"), "ISO-8859-15"),
    ],
)
def test_a_file_says_its_encoding_or_the_caller_does(content: bytes, encoding: str | None) -> None:
    """
    UTF-8 and UTF-16 are known by their marks, everything else by its name.
    """
    assert [row.cells for row in sheets.read(io.BytesIO(content), encoding=encoding)] == [["0077", "ä€"]]


@pytest.mark.parametrize("encoding", ["klingon", "base64", "rot13", "a\0b", "", 7])
def test_what_is_no_encoding_is_refused(encoding: Any) -> None:  # noqa: ANN401 - anything
    """
    A name that Python does not know, or that is not one of texts, is an argument out of its range.
    """
    with pytest.raises(InvalidValueError) as caught:
        list(sheets.read(io.BytesIO(b"a\n"), encoding=encoding))

    assert caught.value.name == "encoding"


@pytest.mark.parametrize("encoding", ["ascii", "utf-16", "utf-32", "utf-7", "punycode", "idna", "unicode_escape"])
def test_a_file_in_another_encoding_is_refused(encoding: str) -> None:
    """
    Bytes that mean nothing in the encoding are said, without quoting them.
    """
    content = io.BytesIO(SECRET + b"\xff\\x+\xd8")
    with pytest.raises(SheetError) as caught:
        list(sheets.read(content, encoding=encoding))

    assert caught.value.reason == "encoding"
    assert SECRET.decode() not in "".join(traceback.format_exception(caught.value))


class Pipe:
    """
    An open file that can only be read on, a few bytes at a time, and has no other method.
    """

    def __init__(self, content: bytes) -> None:
        self._rest = io.BytesIO(content)
        self.sizes: list[int] = []

    def read(self, size: int, /) -> bytes:
        """
        Give some of the bytes.
        """
        self.sizes.append(size)

        return self._rest.read(min(size, 7))


@pytest.mark.parametrize("format_", ["csv", "xlsx"])
@pytest.mark.parametrize("known", [True, False])
def test_any_open_file_can_be_read(format_: Format, handout: Handout, *, known: bool) -> None:
    """
    What can be read on can be read, sized or not, and is left open; its format is known or seen.
    """
    stream = io.BytesIO()
    sheets.write(stream, [handout] * 50, format=format_)
    expected = body(stream)
    given_format = format_ if known else None
    pipe = Pipe(stream.getvalue())

    assert [list(row.cells) for row in sheets.read(pipe, format=given_format)][1:] == expected
    assert body(stream, format=given_format) == expected
    assert not stream.closed


def test_a_text_file_is_read_from_where_it_stands() -> None:
    """
    What was read of an open file before is not read again.
    """
    stream = io.BytesIO(b"skip\n0077\n")
    stream.readline()

    assert [row.cells for row in sheets.read(stream)] == [["0077"]]


@pytest.mark.parametrize("source", [io.StringIO("0077\n"), 7, None, b"0077\n"])
def test_what_is_no_source_is_refused(source: Any) -> None:  # noqa: ANN401 - anything
    """
    Text files, and what is no file at all, are arguments out of their range.
    """
    with pytest.raises(InvalidValueError) as caught:
        list(sheets.read(source))

    assert caught.value.name == "source"


@pytest.mark.parametrize(
    "limit, content, reason",
    [
        ({"file_size": 9}, "0077,+40\n0078\n", "too_large"),
        ({"rows": 1}, "code\n0077\n0078\n", "too_large"),
        ({"columns": 2}, "0077,1,2\n", "too_large"),
        ({"field_length": 5}, "007700\n", "field_too_long"),
        ({"field_length": 5, "columns": 1}, f"{'x' * 50}", "field_too_long"),
    ],
    ids=str,
)
@pytest.mark.parametrize("format_", ["csv", "xlsx"])
def test_limits_can_be_set(tmp_path: Path, limit: dict[str, int], content: str, reason: str, format_: Format) -> None:
    """
    Each limit refuses what is one more, in either format, from a path, an open file and a pipe, and nothing less.
    """
    path = tmp_path / f"file.{format_}"
    path.write_text(content)
    if format_ == "xlsx":
        book = openpyxl.Workbook()
        for row in plain_csv.reader(io.StringIO(content)):
            book.worksheets[0].append(row)
        book.save(path)
    for source in (path, io.BytesIO(path.read_bytes()), Pipe(path.read_bytes())):
        with pytest.raises(SheetError) as caught:
            list(sheets.read(source, limits=Limits(**limit)))

        assert caught.value.reason == reason

    more = {name: path.stat().st_size if name == "file_size" else value + 50 for name, value in limit.items()}

    assert list(sheets.read(path, limits=Limits(**more)))


@pytest.mark.parametrize("format_", ["csv", "xlsx"])
def test_our_own_exports_may_be_longer(handout: Handout, format_: Format, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What goes on on another sheet, or says that it is ours, may have four sheets of rows, and no more.
    """
    monkeypatch.setattr(xlsx, "Writer", partial(xlsx.Writer, rows_per_sheet=4))
    for count, is_read in [(3, True), (12, True), (13, False)]:
        stream = io.BytesIO()
        sheets.write(stream, [handout] * count, format=format_)
        stream.seek(0)
        if is_read:
            assert len(list(sheets.read(stream, limits=Limits(rows=3)))) == count + 1
        else:
            with pytest.raises(SheetError) as caught:
                list(sheets.read(stream, limits=Limits(rows=3)))

            assert caught.value.reason == "too_large"


@pytest.mark.parametrize("limit", ["unpacked_size", "ratio"])
def test_limits_of_archives_can_be_set(limit: str) -> None:
    """
    A workbook that unpacks to more than is allowed, in all or in proportion, is refused before it is unpacked.
    """
    stream = io.BytesIO()
    sheets.write(stream, [handed("7" * 20, "", "PO", Credit(number)) for number in range(6000)], format="xlsx")
    stream.seek(0)
    with pytest.raises(SheetError) as caught:
        list(sheets.read(stream, limits=Limits(**{limit: 5})))

    assert caught.value.reason == "too_large"


@pytest.mark.parametrize("name", [field.name for field in attrs.fields(Limits)])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, "9", 2**64])
def test_a_limit_is_a_positive_number(name: str, value: Any) -> None:  # noqa: ANN401 - anything
    """
    What is no limit is refused by its name.
    """
    with pytest.raises(InvalidValueError) as caught:
        Limits(**{name: value})

    assert caught.value.name == name


def test_no_line_is_read_whole_that_is_out_of_proportion() -> None:
    """
    Of a line without an end no more is read than the longest row can have, whatever the limit of the file.
    """
    for start in (b"", b'"', b'a,"b'):
        pipe = Pipe(start)
        endless = Endless(pipe)
        with pytest.raises(SheetError) as caught:
            list(sheets.read(endless))

        assert caught.value.reason == "field_too_long"
        assert endless.given < 4 * 2**20


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\n\r"])
def test_blank_lines_are_rows_as_well(end: str) -> None:
    """
    However many there are, no more lines are looked at than there may be rows.
    """
    with pytest.raises(SheetError) as caught:
        list(sheets.read(io.BytesIO(b"0077\n" + end.encode() * 100), limits=Limits(rows=50)))

    assert caught.value.reason == "too_large"


def test_a_file_that_unpacks_another_is_read_within_its_limit() -> None:
    """
    What is read of it counts, and nothing is unpacked to find out how much it is.
    """
    content = gzip.compress(b"0077,1\n" * 100_000)
    found = sum(1 for _ in sheets.read(gzip.GzipFile(fileobj=io.BytesIO(content))))
    bomb = io.BytesIO(gzip.compress(bytes(64 * 2**20)))
    with pytest.raises(SheetError):
        list(sheets.read(gzip.GzipFile(fileobj=bomb), limits=Limits(file_size=2**20)))

    assert found == 100_000
    assert bomb.tell() < len(bomb.getvalue()) / 4


@pytest.mark.parametrize("cut", [10, 30, -9])
@pytest.mark.parametrize("format_", ["csv", "xlsx", None])
def test_a_file_that_breaks_off_is_said(cut: int, format_: Format | None) -> None:
    """
    Whatever an open file raises for what is in it, that is a `SheetError`.
    """
    content = gzip.compress(b"0077,1\n" * 1000)[:cut]
    with pytest.raises(SheetError) as caught:
        list(sheets.read(gzip.GzipFile(fileobj=io.BytesIO(content)), format=format_))

    assert caught.value.reason == "unreadable"


class Generous(Pipe):
    """
    An open file that gives more than was asked for.
    """

    def read(self, size: int, /) -> bytes:
        """
        Give too much.
        """
        return b"7" * (size + 1)


def test_a_file_that_gives_too_much_is_said() -> None:
    """
    An object that is no proper file is refused.
    """
    with pytest.raises(SheetError) as caught:
        list(sheets.read(Generous(b"")))

    assert caught.value.reason == "unreadable"


def test_a_closed_file_is_refused(handout: Handout) -> None:
    """
    Both what is read and what is written has to be open.
    """
    stream = io.BytesIO()
    stream.close()
    with pytest.raises(InvalidValueError, match="source"):
        list(sheets.read(stream))
    with pytest.raises(InvalidValueError, match="target"):
        sheets.write(stream, [handout], format="csv")


@pytest.mark.parametrize("name", ["a\ud800.csv", "a\0.csv", "\0.xlsx"])
def test_a_name_that_no_file_can_have_is_refused(name: str, handout: Handout) -> None:
    """
    Half a character and NUL are in no name.
    """
    with pytest.raises(SheetError) as read:
        list(sheets.read(name))
    with pytest.raises(SheetError) as written:
        sheets.write(name, [handout])

    assert read.value.reason == written.value.reason == "not_a_file"


@pytest.mark.parametrize("wrong", [{"limits": 5}, {"format": []}, {"separator": 7}, {"limits": {"rows": 5}}], ids=str)
def test_arguments_of_another_type_are_named(wrong: dict[str, Any]) -> None:
    """
    What is no limit, format or separator at all is refused by its name.
    """
    with pytest.raises(InvalidValueError) as caught:
        list(sheets.read(io.BytesIO(b"a\n"), **wrong))

    assert [caught.value.name] == list(wrong)


class Endless:
    """
    An open file that never ends and never has a line break.
    """

    def __init__(self, start: Pipe) -> None:
        self._start = start
        self.given = 0

    def read(self, size: int, /) -> bytes:
        """
        Give bytes.
        """
        data = self._start.read(size) or b"7" * size
        self.given += len(data)

        return data


def test_a_quote_that_is_not_closed_is_found_whatever_the_process_has_set() -> None:
    """
    A program may have lifted the limit of the csv module; no field grows without end for that.
    """
    before = plain_csv.field_size_limit(2**31)
    try:
        with pytest.raises(SheetError):
            list(sheets.read(io.BytesIO(b'"' + b"7\n" * 2_000_000)))
    finally:
        plain_csv.field_size_limit(before)
