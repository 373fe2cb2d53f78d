"""
CSV: what is written comes back equal, no field is a formula, and nothing is taken off a file that is not ours.
"""

from __future__ import annotations

import csv as plain_csv
import io
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.sheets.hostile import HOSTILE
from voipcard.errors import InvalidValueError, SheetError
from voipcard.sheets import csv
from voipcard.sheets.found import FoundCell
from voipcard.sheets.guard import guarded, unguarded, unguarded_rows
from voipcard.sheets.rows import Column, Table

TRIGGERS: Final = tuple("=+-@\t\r\n＝＋－＠")

texts = st.sampled_from(HOSTILE) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20
)
separators = st.sampled_from([",", ";", "\t", "|", ":", "'", "=", "x", "€"])


class Unclosed(io.BytesIO):
    """
    Keeps what was written to it.
    """

    def close(self) -> None:
        """
        Stay open.
        """


def table(width: int) -> Table:
    """
    Make a table whose rows are tuples of text.
    """
    columns = tuple(Column(f"column_{at}", f"Column {at}", "text", 10, itemgetter(at)) for at in range(width))

    return Table("Texts", tuple, columns)


def written(rows: Sequence[tuple[str, ...]], *, separator: str = ",", width: int = 2) -> bytes:
    """
    Give the file that is written.
    """
    stream = Unclosed()
    writer = csv.Writer(stream, table(width), separator=separator)
    writer.append(list(zip(*rows, strict=True)) or [()] * width)
    writer.finish()

    return stream.getvalue()


def found(content: bytes, *, separator: str = ",") -> list[list[FoundCell]]:
    """
    Give what is read from a file.
    """
    return [list(row.cells) for row in unguarded_rows(csv.read(io.BytesIO(content), separator=separator))]


@given(rows=st.lists(st.tuples(texts, texts), max_size=5), separator=separators)
def test_any_text_comes_back_equal(rows: list[tuple[str, str]], separator: str) -> None:
    """
    Reading what was written gives the header and every text again, whatever separates them.
    """
    header, *body = found(written(rows, separator=separator), separator=separator)

    assert header == ["Column 0", "Column 1"]
    assert body == [list(row) for row in rows]


@given(rows=st.lists(st.tuples(texts, texts), min_size=1, max_size=5), separator=st.sampled_from(",;\t|"))
@example(rows=[("a;=1+1", "b\n=1+1"), ("x,+1", "\t@a")], separator=";")
@example(rows=[('x;"=1+1;y', 'x;""""=1+1')], separator=";")
def test_no_field_begins_like_a_formula(rows: list[tuple[str, str]], separator: str) -> None:
    """
    What a spreadsheet program sees in the file begins with none of the characters that start a formula.

    That holds also for one that takes another separator, as Excel does where the comma stands in numbers.
    """
    text = written(rows).decode("utf-8-sig")
    fields = [field for row in plain_csv.reader(io.StringIO(text, newline=""), delimiter=separator) for field in row]

    assert [field for field in fields if field.startswith(TRIGGERS)] == []


@given(text=texts)
@example(text=";'=1")
@example(text="',',\n'\t'\t=")
def test_a_guard_is_undone_exactly(text: str) -> None:
    """
    No two texts are guarded alike: taking the guard off gives back the text, apostrophes of its own included.
    """
    assert unguarded(guarded(text)) == text


def test_a_guard_is_announced_and_every_field_quoted() -> None:
    """
    The file says by its last column that apostrophes were added, and has the shape that Excel expects.
    """
    content = written([("=1+1", "0042")])

    assert content == (
        b'\xef\xbb\xbf"Column 0","Column 1","#voipcard-csv/1;guard=apostrophe"\r\n"\'=1+1","0042",""\r\n'
    )


@given(rows=st.lists(st.lists(texts, min_size=2, max_size=3), min_size=1, max_size=4))
def test_a_file_of_others_is_not_decoded(rows: list[list[str]]) -> None:
    """
    Without the announcement each field is what it is, apostrophes included.
    """
    text = io.StringIO(newline="")
    plain_csv.writer(text, quoting=plain_csv.QUOTE_ALL).writerows([["a", "b"], *rows])

    assert found(text.getvalue().encode()) == [["a", "b"], *rows]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_endings_and_a_byte_order_mark_do_not_matter(ending: bytes, mark: bytes) -> None:
    """
    Lines end as they do on any system; a blank line is no row.
    """
    assert found(mark + ending.join([b"0077,+40", b"", b'"a,b",']) + ending) == [["0077", "+40"], ["a,b", ""]]


REFUSED: Final = [
    pytest.param(b"a,b\nc\0,d\n", "nul", id="NUL"),
    pytest.param("0077,a\n".encode("utf-16-le"), "nul", id="UTF-16 without a mark"),
    pytest.param(b"\xff\xfe0", "encoding", id="half a UTF-16 character"),
    pytest.param("0077,ä\n".encode("latin-1"), "encoding", id="Latin-1"),
    pytest.param(b"\xed\xa0\x80\n", "encoding", id="half a character"),
    pytest.param(b'a,b\n"0077,b\n', "quotes", id="unterminated quote"),
    pytest.param(b'"a"b,c\n', "quotes", id="quote closed too early"),
    pytest.param(b"x" * 4097, "field_too_long", id="long field"),
    pytest.param(b"x" * 200_000, "field_too_long", id="very long field"),
]


@pytest.mark.parametrize("content, reason", REFUSED)
def test_what_is_no_csv_is_refused(content: bytes, reason: str) -> None:
    """
    A file that is something else, or damaged, is a `SheetError` with a reason, and is not read as if it were well.
    """
    with pytest.raises(SheetError) as caught:
        found(content)

    assert caught.value.reason == reason


@pytest.mark.parametrize("separator", ["", ";;", '"', "\n", "\r", "\0"])
def test_what_cannot_separate_is_refused(separator: str) -> None:
    """
    A separator is one character that is needed for nothing else.
    """
    with pytest.raises(InvalidValueError, match="separator"):
        found(b"a,b\n", separator=separator)


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
def test_a_text_that_could_not_be_read_again_is_not_written(text: str) -> None:
    """
    The writer refuses what its reader would refuse.
    """
    with pytest.raises(SheetError) as caught:
        written([(text, "")])

    assert caught.value.reason == "not_text"
    assert text not in str(caught.value)
