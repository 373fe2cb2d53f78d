"""
Exports of searches: the right cards and columns, masked unless somebody who is known asks, and that is audited first.
"""

from __future__ import annotations

import io
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.book_world import EXTENSION, Recording, book_on, file_book, new_book
from voipcard import CardBook, CardQuery, Extension, NewCard, sheets
from voipcard.errors import ActorRequiredError, InvalidValueError, SheetError, TamperedError, VoipcardError
from voipcard.sheets import Format

CODES: Final = ["0077001834221", "7700183422158", "+40722123456"]
PINS: Final = ["0482", "8068", ""]
HEADER: Final = ["Status", "Card Code", "PIN", "Total Credit", "Available Credit", "Created", "Serial", "Type"]


def filled(book: CardBook) -> Extension:
    """
    Fill an extension with three cards.
    """
    extension = book.extension(EXTENSION)
    extension.add([NewCard(code, pin, credit) for code, pin, credit in zip(CODES, PINS, (3, 1, 2), strict=True)])

    return extension


def rows(path: Path) -> list[list[Any]]:
    """
    Give the rows of a file without its header.
    """
    return [list(row.cells) for row in sheets.read(path)][1:]


class Sink:
    """
    An open file that can do nothing but take bytes, as the response of a web framework may.
    """

    def __init__(self) -> None:
        self.content = b""
        self.looked: list[int] = []

    def write(self, data: bytes) -> None:
        """
        Take bytes.
        """
        self.content += data


def test_a_list_has_voipnows_columns_first_and_no_secret(tmp_path: Path) -> None:
    """
    The file begins as VoipNow's Card Codes List does; codes are masked and PINs are Yes or No.
    """
    extension = filled(new_book())

    assert extension.export(tmp_path / "cards.csv") == 3
    header, *body = [list(row.cells) for row in sheets.read(tmp_path / "cards.csv")]

    assert header[: len(HEADER)] == HEADER
    assert [row[:4] for row in body] == [
        ["Enabled", "••••", "Yes", "3.00"],
        ["Enabled", "••••", "Yes", "1.00"],
        ["Enabled", "••••", "No", "2.00"],
    ]
    content = (tmp_path / "cards.csv").read_text("utf-8")
    assert [secret for secret in [*CODES, *PINS[:2], "40722123456"] if secret in content] == []


@pytest.mark.parametrize("format_", ["csv", "xlsx"])
@given(
    order=st.sampled_from(["created", "serial", "credit"]),
    descending=st.booleans(),
    below=st.none() | st.integers(0, 4),
    prefix=st.sampled_from(["", "77", "00", "+40", "9"]),
)
def test_an_export_is_what_a_search_gives(
    format_: Format, order: Literal["created", "serial", "credit"], below: int | None, prefix: str, *, descending: bool
) -> None:
    """
    The cards of the file are those of the search with the same conditions, in the same order, and no others.
    """
    extension = filled(new_book())
    asked: dict[str, Any] = {"order": order, "descending": descending, "credit_below": below, "code_prefix": prefix}
    stream = io.BytesIO()
    count = extension.export(stream, format=format_, columns=["serial"], **asked)
    stream.seek(0)
    found = [row.cells[0] for row in sheets.read(stream)][1:]

    assert found == [card.serial for card in extension.search(**asked)]
    assert count == len(found)


def test_columns_are_chosen_by_name(tmp_path: Path) -> None:
    """
    The columns stand in the order asked for; unknown, repeated and no columns are refused, naming those there are.
    """
    extension = filled(new_book())
    extension.export(tmp_path / "cards.xlsx", CardQuery(order="credit"), columns=["available", "type"])

    assert next(row.cells for row in sheets.read(tmp_path / "cards.xlsx")) == ["Available Credit", "Type"]
    assert [(str(amount), kind) for amount, kind in rows(tmp_path / "cards.xlsx")] == [
        ("1.00", "Card Code"),
        ("2.00", "CallerID"),
        ("3.00", "Card Code"),
    ]
    for wrong in (["code", "price"], ["code", "code"], []):
        with pytest.raises(InvalidValueError, match="recharge_count") as caught:
            extension.export(tmp_path / "none.csv", columns=wrong)

        assert caught.value.name == "columns"
    assert not (tmp_path / "none.csv").exists()


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_a_revealed_list_shows_codes_and_pins(tmp_path: Path, suffix: str) -> None:
    """
    Somebody who is known gets the codes and PINs as texts, under the same columns.
    """
    extension = filled(new_book().acting_as("alice"))
    extension.export(tmp_path / f"cards{suffix}", reveal=True)
    found = {(row[1], row[2], row[7]) for row in rows(tmp_path / f"cards{suffix}")}

    assert found == {
        ("0077001834221", "0482", "Card Code"),
        ("7700183422158", "8068", "Card Code"),
        ("+40722123456", "", "CallerID"),
    }


def test_whoever_reveals_has_to_be_known(tmp_path: Path) -> None:
    """
    Without an actor nothing is revealed, written or audited.
    """
    store = Recording()
    extension = filled(book_on(store))
    commits = len(store.commits)
    with pytest.raises(ActorRequiredError):
        extension.export(tmp_path / "cards.csv", reveal=True)

    assert list(tmp_path.iterdir()) == []
    assert len(store.commits) == commits


class Watching(Sink):
    """
    An open file that notes how many entries the audit trail has at each byte.
    """

    def __init__(self, book: CardBook) -> None:
        super().__init__()
        self._book = book

    def write(self, data: bytes) -> None:
        """
        Take bytes, and look at the audit trail.
        """
        self.looked.append(sum(entry.verb == "export" for entry in self._book.audit_trail()))
        super().write(data)


@pytest.mark.parametrize("format_", ["csv", "xlsx"])
def test_a_revealing_export_is_audited_before_its_first_byte(format_: Format) -> None:
    """
    The trail says who asked, for what and for how many cards, no digit of a code among it, when the first byte comes.
    """
    book = new_book().acting_as("alice")
    extension = filled(book)
    sink = Watching(book)
    extension.export(
        sink, format=format_, reveal=True, columns=["code"], code_prefix="770018", enabled=True, credit_below=9
    )
    [entry] = [entry for entry in book.audit_trail() if entry.verb == "export"]

    assert sink.looked
    assert set(sink.looked) == {1}
    assert (entry.actor, entry.extension) == ("alice", EXTENSION)
    assert entry.detail["matching"] == 1
    assert entry.detail["columns"] == ["code"]
    assert entry.detail["query"]["enabled"] is True
    assert entry.detail["part_of_code"] is True
    assert "770018" not in str(entry)


@pytest.mark.parametrize("where", ["code", "serial", "batch"])
def test_a_code_is_not_in_the_audit_trail(where: str) -> None:
    """
    Neither the code that is asked for nor its index is told, also where a code was given in place of something else.
    """
    book = new_book().acting_as("alice")
    asked: dict[str, Any] = {where: CODES[0], "columns": "code"}
    filled(book).export(io.BytesIO(), format="csv", reveal=True, **asked)
    [entry] = [entry for entry in book.audit_trail() if entry.verb == "export"]

    assert (where == "code") == ("code" in entry.detail)
    assert CODES[0] not in str(entry)
    assert "index" not in str(entry.detail)
    assert entry.detail["columns"] == ["code"]
    assert where != "code" or entry.detail["query"] == {}


@pytest.mark.parametrize(
    "arguments",
    [{"columns": ["price"]}, {"format": "ods"}, {"separator": ""}, {"dialect": "raw"}, {"target": "cards.ods"}],
    ids=str,
)
def test_what_is_refused_reveals_nothing(tmp_path: Path, arguments: dict[str, Any]) -> None:
    """
    Arguments are checked before anything is audited or unsealed.
    """
    store = Recording()
    extension = filled(book_on(store).acting_as("alice"))
    commits = len(store.commits)
    target = tmp_path / arguments.get("target", "cards.csv")
    rest = {name: value for name, value in arguments.items() if name != "target"}
    with pytest.raises(VoipcardError):
        extension.export(target, reveal=True, **rest)

    assert list(tmp_path.iterdir()) == []
    assert len(store.commits) == commits


def test_a_file_that_cannot_be_written_was_audited(tmp_path: Path) -> None:
    """
    The codes were on their way when the file failed, so the trail has it.
    """
    book = new_book().acting_as("alice")
    with pytest.raises(SheetError) as caught:
        filled(book).export(tmp_path / "missing" / "cards.csv", reveal=True)

    assert caught.value.reason == "missing"
    assert [entry.verb for entry in book.audit_trail()][-1] == "export"


def test_progress_is_told_with_the_total() -> None:
    """
    How many cards there are is known before they are written.
    """
    extension = new_book().extension(EXTENSION)
    extension.generate(2500)
    told: list[tuple[int, int | None]] = []
    extension.export(io.BytesIO(), format="csv", progress=lambda done, total: told.append((done, total)))

    assert told == [(1000, 2500), (2000, 2500), (2500, 2500)]


@pytest.mark.parametrize("reveal", [False, True])
def test_a_card_that_was_changed_from_outside_is_not_exported(tmp_path: Path, *, reveal: bool) -> None:
    """
    A hand-edited credit is found while the file is written, and there is no file.
    """
    path = tmp_path / "cards.db"
    with file_book(path) as book:
        filled(book)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE cards SET credit = credit + 1 WHERE credit = 2000000")
    connection.close()
    with file_book(path) as book, pytest.raises(TamperedError):
        book.acting_as("alice").extension(EXTENSION).export(tmp_path / "cards.xlsx", reveal=reveal)

    assert not (tmp_path / "cards.xlsx").exists()


class Interrupted(Exception):  # noqa: N818 - it stands for anything
    """
    What the receiver of a file raises.
    """


class Breaking(Sink):
    """
    An open file that breaks, in one of the ways there are.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def write(self, data: bytes) -> None:  # noqa: ARG002 - it is not taken
        """
        Break.
        """
        raise self._error


@pytest.mark.parametrize("format_", ["csv", "xlsx"])
def test_open_files_are_written_to_and_left_open(format_: Format) -> None:
    """
    Whatever can take bytes is a target: it gets the same file as a path does, and is not closed.
    """
    extension = filled(new_book())
    sink, stream = Sink(), io.BytesIO()
    extension.export(sink, format=format_)
    extension.export(stream, format=format_)

    assert not stream.closed
    for content in (sink.content, stream.getvalue()):
        assert len(list(sheets.read(io.BytesIO(content)))) == 4


@pytest.mark.parametrize("format_", ["csv", "xlsx"])
def test_what_an_open_file_refuses_is_said(format_: Format) -> None:
    """
    A file that is full is a `SheetError`, one for text an `InvalidValueError`; what is no error of files goes through.
    """
    extension = filled(new_book())
    with pytest.raises(SheetError) as full:
        extension.export(Breaking(OSError(28, "No space left on device")), format=format_)
    with pytest.raises(InvalidValueError, match="binary"):
        extension.export(io.StringIO(), format=format_)  # type: ignore[arg-type]  # that is what is refused
    with pytest.raises(Interrupted):
        extension.export(Breaking(Interrupted()), format=format_)
    with pytest.raises(InvalidValueError, match="format"):
        extension.export(io.BytesIO())

    assert full.value.reason == "full"


def test_an_export_goes_on_while_others_write(tmp_path: Path) -> None:
    """
    No statement stays open between pages: what is written meanwhile is not kept waiting.
    """
    with file_book(tmp_path / "cards.db") as book:
        extension = book.extension(EXTENSION)
        extension.generate(3000, credit=1)
        cards: Iterator[str] = (card.serial for card in extension.search(order="serial"))
        first = next(cards)
        told = []

        def recharge(done: int, _total: int | None) -> None:
            told.append(done)
            extension.recharge(first, 1, order_number=f"PO-{done}")

        assert extension.export(tmp_path / "cards.csv", order="serial", progress=recharge) == 3000
        assert told == [1000, 2000, 3000]
        assert extension[first].recharge_count == 3


@pytest.mark.parametrize("reveal", ["no", 1, None])
def test_nothing_is_revealed_by_mistake(tmp_path: Path, reveal: Any) -> None:  # noqa: ANN401 - anything
    """
    Only the truth itself reveals.
    """
    with pytest.raises(InvalidValueError) as caught:
        filled(new_book().acting_as("alice")).export(tmp_path / "cards.csv", reveal=reveal)

    assert caught.value.name == "reveal"


def test_a_folder_may_be_left_while_a_file_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A relative path means the folder in which the export began, and nothing is left in any other.
    """
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    monkeypatch.chdir(tmp_path / "a")
    filled(new_book()).export("cards.csv", progress=lambda _done, _total: os.chdir(tmp_path / "b"))

    assert [path.name for path in (tmp_path / "a").iterdir()] == ["cards.csv"]
    assert list((tmp_path / "b").iterdir()) == []


class Odd(Sink):
    """
    An open file with an odd opinion of how much it took.
    """

    def __init__(self, count: object) -> None:
        super().__init__()
        self._count = count

    def write(self, data: bytes) -> Any:  # noqa: ANN401 - anything
        """
        Take bytes.
        """
        super().write(data)

        return self._count


@pytest.mark.parametrize("count", [None, True, "all", 10**9])
def test_whoever_says_nothing_of_use_has_taken_all(count: object) -> None:
    """
    Only a number that is less than all means that some was not taken.
    """
    sink = Odd(count)
    filled(new_book()).export(sink, format="csv")

    assert len(list(sheets.read(io.BytesIO(sink.content)))) == 4


@pytest.mark.parametrize("count", [0, -1])
def test_a_file_that_takes_nothing_is_refused(count: int) -> None:
    """
    Nothing is offered for ever.
    """
    with pytest.raises(SheetError) as caught:
        filled(new_book()).export(Odd(count), format="csv")

    assert caught.value.reason == "unwritable"


def test_a_pipe_that_is_full_loses_nothing_silently() -> None:
    """
    A file that cannot wait takes a part, and then nothing: that is said.
    """
    extension = new_book().extension(EXTENSION)
    extension.generate(3000)
    receiving, giving = os.pipe()
    os.set_blocking(giving, False)
    with open(receiving, "rb"), open(giving, "wb", buffering=0) as pipe, pytest.raises(SheetError):  # noqa: PTH123 - no path
        extension.export(pipe, format="csv")


class Reluctant(Sink):
    """
    An open file that takes a few bytes at a time, as an unbuffered one may.
    """

    def write(self, data: bytes) -> int:  # type: ignore[override]  # it says how many it has taken
        """
        Take some bytes.
        """
        super().write(data[:100])

        return len(data[:100])


@pytest.mark.parametrize("format_", ["csv", "xlsx"])
def test_no_byte_is_lost_where_a_file_takes_a_part(format_: Format) -> None:
    """
    What an open file did not take at once is offered again.
    """
    sink = Reluctant()
    extension = filled(new_book())
    extension.export(sink, format=format_)

    assert len(list(sheets.read(io.BytesIO(sink.content)))) == 4


@pytest.mark.parametrize("format_", ["csv", "xlsx"])
def test_a_broken_export_does_not_look_whole(tmp_path: Path, format_: Format) -> None:
    """
    When a card cannot be exported, an open file gets nothing more: no end that would make the rest a workbook.
    """
    path = tmp_path / "cards.db"
    with file_book(path) as book:
        book.extension(EXTENSION).generate(5000)
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE cards SET credit = credit + 1 WHERE serial LIKE '%-004500'")
    connection.close()
    sink = Sink()
    with file_book(path) as book, pytest.raises(TamperedError):
        book.extension(EXTENSION).export(sink, format=format_)

    assert sink.content
    if format_ == "xlsx":
        with pytest.raises(SheetError):
            list(sheets.read(io.BytesIO(sink.content)))
    else:
        assert len(sink.content.splitlines()) < 4501
