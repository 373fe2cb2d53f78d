"""
Uploads: checked whole, against the file and the book, committed at once, once, and reported as they were rehearsed.
"""

from __future__ import annotations

import contextlib
import csv
import io
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import openpyxl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.book_world import EXTENSION, OTHER, Recording, book_on, everything, new_book, sound
from voipcard import UNLIMITED, Batch, CodeFormat, Credit, Extension, License, NewCard, Quota, sheets
from voipcard.errors import (
    InvalidValueError,
    OperationConflictError,
    QuotaExceededError,
    SheetError,
    UploadError,
    VoipcardError,
)
from voipcard.sheets import Dialect, OnError

ROWS: Final = "7700,0482,PO-1,10\n+40722,,PO-1,u\n0099,1234,,\n"
BAD: Final = "7700,0482,PO-1,ten\n"
LATER: Final = datetime(2027, 1, 31, tzinfo=UTC)


def file(text: str) -> io.BytesIO:
    """
    Make an open file of a text.
    """
    return io.BytesIO(text.encode())


def workbook(*rows: Sequence[Any]) -> io.BytesIO:
    """
    Make an open workbook as somebody else would.
    """
    stream = io.BytesIO()
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(list(row))
    book.save(stream)
    stream.seek(0)

    return stream


def problems(error: Any) -> list[tuple[int, str, str]]:  # noqa: ANN401 - an error or a report
    """
    Give row, column and reason of each problem.
    """
    return [(problem.row, problem.column, problem.reason) for problem in error.problems]


def said(batch: Batch) -> list[tuple[object, ...]]:
    """
    Tell what the cards of a batch are, but for their serials.
    """
    return [(h.kind, h.code, h.pin, h.credit, h.order_number) for h in batch]


def test_the_cards_of_a_file_are_added_in_one_commit() -> None:
    """
    An upload makes the cards of its rows, all in one commit; weak PINs are taken and warned of.
    """
    store = Recording()
    book = book_on(store)
    told: list[tuple[int, int | None]] = []
    batch = book.extension(EXTENSION).upload(file(ROWS), progress=lambda done, total: told.append((done, total)))

    assert said(batch) == [
        ("code", "7700", "0482", Credit(10), "PO-1"),
        ("caller_id", "40722", "", UNLIMITED, "PO-1"),
        ("code", "0099", "1234", Credit(0), ""),
    ]
    assert batch.report is not None
    assert [(warning.row, warning.column, warning.warning) for warning in batch.report.warnings] == [(3, "pin", True)]
    assert store.sizes()[1:] == [3]
    assert told == [(3, 3)]
    assert [entry.verb for entry in book.audit_trail()][-1] == "upload"
    assert sound(book) == ()


good = st.builds(lambda number, pin: f"{number:06},{pin},PO-1,5", st.integers(0, 40), st.sampled_from(["", "8068"]))
bad = st.sampled_from(["12x4é,,,", ",8068", "123456,8,,", "123457,,,ten", "1.5E+10"])
files = st.lists(st.one_of(good, good, bad), max_size=12).map(lambda rows: "".join(f"{row}\n" for row in rows))


@given(
    before=files,
    content=files,
    on_error=st.sampled_from(["refuse", "skip"]),
    limit=st.none() | st.integers(0, 15),
    enabled=st.booleans(),
)
def test_a_dry_run_answers_as_the_real_run(
    before: str, content: str, on_error: OnError, limit: int | None, *, enabled: bool
) -> None:
    """
    Whatever is in the file and in the book, both give the same report or the same error; the dry run writes nothing.

    What the report says is what happened: so many cards more, as many active as the quota says, and no row in both.
    """
    store = Recording()
    book = book_on(store, license=License(limit) if limit is not None else None)
    extension = book.extension(EXTENSION)
    with contextlib.suppress(SheetError):
        extension.upload(file(before), on_error="skip", enabled=False)
    state = everything(book)
    answers: list[object] = []
    for dry_run in (True, False):
        try:
            answers.append(extension.upload(file(content), on_error=on_error, enabled=enabled, dry_run=dry_run))
        except VoipcardError as error:
            answers.append((type(error), str(error), getattr(error, "problems", None)))
        if dry_run:
            assert everything(book) == state

    assert answers[0] == answers[1]
    if isinstance(answers[1], Batch):
        report = answers[1].report
        assert report is not None
        assert report.added == answers[1].size == len(answers[1]) == extension.count(batch=answers[1].id)
        assert report.added + report.rejected == len(content.splitlines())
        assert report.quota == extension.quota
        assert (report.rejected == 0) == (report.problem_count == 0)
        assert on_error == "skip" or not report.rejected
    else:
        assert everything(book) == state


def test_everything_that_is_wrong_is_said_at_once() -> None:
    """
    What is wrong with the file and what the book has already stand in one report, in the order of the rows.
    """
    store = Recording()
    extension = book_on(store).extension(EXTENSION)
    extension.add(["7700", "0099"])
    commits = len(store.commits)
    content = "\n" + ROWS + "7701,0482,PO-1,ten\n7702\n7702\n0099\n"
    with pytest.raises(UploadError) as caught:
        extension.upload(file(content))

    assert problems(caught.value) == [
        (2, "code", "exists"),
        (4, "code", "exists"),
        (5, "credit", "not_a_number"),
        (7, "code", "duplicate"),
        (8, "code", "duplicate"),
    ]
    assert (caught.value.problem_count, caught.value.rejected) == (5, 5)
    assert caught.value.detail == "5 rows were refused"
    assert commits == len(store.commits)

    batch = extension.upload(file(content), on_error="skip")

    assert said(batch) == [
        ("caller_id", "40722", "", UNLIMITED, "PO-1"),
        ("code", "7702", "", Credit(0), ""),
    ]
    assert batch.report is not None
    assert problems(batch.report) == problems(caught.value)
    assert batch.report.rejected == 5


@pytest.mark.parametrize("limit", [0, 1, 3, 100])
def test_problems_are_listed_up_to_a_limit_and_all_counted(limit: int) -> None:
    """
    The list is cut at its end, whoever found the problem; the count is not.
    """
    extension = new_book().extension(EXTENSION)
    extension.add([f"88{number:02}" for number in range(10)])
    content = "".join(f"88{number:02}\n99{number:02},1\n66{number:02},1234\n" for number in range(10))
    with pytest.raises(UploadError) as caught:
        extension.upload(file(content), problem_limit=limit)
    report = extension.upload(file(content), problem_limit=limit, on_error="skip").report
    everything_listed = [row for number in range(10) for row in (3 * number + 1, 3 * number + 2)]

    assert report is not None
    assert [problem.row for problem in caught.value.problems] == everything_listed[:limit]
    assert (caught.value.problem_count, caught.value.rejected) == (20, 20)
    assert report.problems == caught.value.problems
    assert (report.problem_count, report.warning_count, len(report.warnings)) == (20, 10, min(limit, 10))


def test_the_same_upload_again_gives_its_first_result() -> None:
    """
    The same cards in another format, with a header, separators and quotes of its own, are the same upload.
    """
    store = Recording()
    book = book_on(store)
    extension = book.extension(EXTENSION)
    first = extension.upload(file(ROWS + BAD.replace("7700", "7701")), on_error="skip")
    commits = len(store.commits)
    again = [
        extension.upload(file(ROWS + BAD.replace("7700", "7701")), on_error="skip"),
        extension.upload(
            workbook(
                ["PIN", "Card Code", "Credit", "Order Number"],
                ["0482", "77-00", "10.00", "PO-1"],
                ["", "+40 722", "u", "PO-1"],
                ["1234", "0099"],
                ["0482", "7701", "ten", "PO-1"],
            ),
            on_error="skip",
            progress=lambda _done, _total: None,
        ),
        book.acting_as("bob")
        .extension(EXTENSION)
        .upload(file(ROWS.replace(",", ";") + "7701;0482;PO-1;ten\n"), separator=";", on_error="skip"),
    ]
    rehearsed = extension.upload(file(ROWS + BAD.replace("7700", "7701")), on_error="skip", dry_run=True)

    assert [batch.replayed for batch in [first, *again, rehearsed]] == [False, True, True, True, True]
    assert [said(batch) for batch in again] == [said(first)] * 3
    assert [batch.id for batch in again] == [first.id] * 3
    assert [batch.report for batch in again if batch.report == first.report] == [first.report] * 2
    assert list(rehearsed) == []
    # Each time that codes are given out again is audited, and nothing else is written.
    assert [len(list(commit.new)) for commit in store.commits[commits:]] == [0, 0, 0]
    assert extension.count() == 3


@pytest.mark.parametrize(
    "change",
    [
        {"text": ROWS.replace("PO-1", "PO-2")},
        {"text": ROWS + "7703\n"},
        {"text": ROWS + BAD},
        {"labels": ["kiosk"]},
        {"expires_at": LATER},
        {"enabled": False},
        {"extension": OTHER},
        {"operation": "again"},
    ],
    ids=str,
)
def test_another_upload_is_another(change: dict[str, Any]) -> None:
    """
    Another file, other options, another extension or a name of its own make another upload, which is not replayed.
    """
    book = new_book()
    arguments: dict[str, Any] = {"text": ROWS, "extension": EXTENSION, "on_error": "skip"}
    for asked in (arguments, arguments | change):
        options = dict(asked)
        batch = book.extension(options.pop("extension")).upload(file(options.pop("text")), **options)

        assert not batch.replayed


def test_an_operation_stands_for_one_upload() -> None:
    """
    The name of a call takes the place of its content: another file under the same name is refused.
    """
    extension = new_book().extension(EXTENSION)
    first = extension.upload(file(ROWS), operation="Monday")

    assert extension.upload(file(ROWS), operation="Monday").id == first.id
    with pytest.raises(OperationConflictError):
        extension.upload(file("8800\n"), operation="Monday")
    with pytest.raises(UploadError):
        extension.upload(file(ROWS), operation="Tuesday")


def test_an_upload_that_added_nothing_is_tried_anew() -> None:
    """
    Where every row was left out nothing is written or remembered, and later the same rows can be added.
    """
    store = Recording()
    book = book_on(store)
    extension = book.extension(EXTENSION)
    old = extension.add(["7700", "0099"])
    extension.disable([handout.serial for handout in old])
    commits = len(store.commits)
    empty = extension.upload(file("7700\n0099\n"), on_error="skip")

    assert (empty.id, empty.size, list(empty)) == ("", 0, [])
    assert empty.report is not None
    assert (empty.report.added, empty.report.rejected) == (0, 2)
    assert len(store.commits) == commits

    extension.remove([handout.serial for handout in old])

    assert len(extension.upload(file("7700\n0099\n"), on_error="skip")) == 2


def test_rows_can_say_that_a_card_is_disabled_or_expires() -> None:
    """
    A card that was disabled or about to expire elsewhere is no better here; only enabled ones count.
    """
    book = new_book(license=License(2))
    extension = book.extension(EXTENSION)
    content = (
        "Card Code,Status,Expires\n"
        "7700,Disabled,\n"
        "7701,enabled,2027-01-31T02:00:00+02:00\n"
        "7702,,\n"
        "7703,DISABLED,2027-01-31T00:00:00Z\n"
    )
    batch = extension.upload(file(content), expires_at=datetime(2030, 1, 1, tzinfo=UTC), labels=["moved"])
    cards = {handout.code: extension[handout.serial] for handout in batch}

    assert [cards[code].enabled for code in ("7700", "7701", "7702", "7703")] == [False, True, True, False]
    assert [cards[code].expires_at for code in ("7701", "7702", "7703")] == [
        LATER,
        datetime(2030, 1, 1, tzinfo=UTC),
        LATER,
    ]
    assert {card.labels for card in cards.values()} == {("moved",)}
    assert batch.report is not None
    assert batch.report.quota == extension.quota == Quota(2, 2)

    other = extension.upload(file("Card Code,Status\n8800,Enabled\n"), enabled=False)

    assert not extension[other[0].serial].enabled


@pytest.mark.parametrize(
    "row, column, reason",
    [
        ("7700,Gone,,", "status", "unknown"),
        ("7700,,soon,", "expires", "not_a_moment"),
        ("7700,,2027-01-31,", "expires", "not_a_moment"),
        ("7700,,,Card", "type", "unknown"),
        ("••••,,,", "code", "masked"),
    ],
)
def test_other_columns_are_checked_as_well(row: str, column: str, reason: str) -> None:
    """
    What cannot be understood is refused, and never left out silently.
    """
    with pytest.raises(UploadError) as caught:
        new_book().extension(EXTENSION).upload(file(f"Card Code,Status,Expires,Type\n{row}\n"))

    assert problems(caught.value) == [(2, column, reason)]


def stocked() -> Extension:
    """
    Make an extension with cards of every kind.
    """
    book = new_book().acting_as("alice")
    extension = book.extension(EXTENSION)
    extension.add(
        [
            NewCard("0077001834221", pin="0482", credit="12.345678", order_number="=PO+1"),
            NewCard("+40722123456", credit=UNLIMITED, enabled=False),
            NewCard("a;b|c,d'", pin="0042", order_number="-10.00", expires_at=LATER),
            NewCard("=1+1", order_number="'x"),
            NewCard("7" * 255, credit=7),
        ],
        labels=["kiosk", "a, b"],
    )

    return extension


@pytest.mark.parametrize("dialect", ["guarded", "plain"])
@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_our_own_exports_can_be_uploaded(tmp_path: Path, suffix: str, dialect: Dialect) -> None:
    """
    A revealed list and a hand-out make the same cards elsewhere: codes, PINs, credit, orders, state and expiry.
    """
    source = stocked()
    handouts = [source.reveal(card) for card in source]
    source.export(tmp_path / f"list{suffix}", reveal=True, dialect=dialect)
    sheets.write(tmp_path / f"handout{suffix}", handouts, dialect=dialect)
    moved = new_book().extension(OTHER)
    batch = moved.upload(tmp_path / f"list{suffix}")
    copied = new_book().extension(OTHER).upload(tmp_path / f"handout{suffix}")

    def told(batch: Any) -> set[tuple[object, ...]]:  # noqa: ANN401 - whatever gives hand-outs
        return {(h.kind, h.code, h.pin, h.credit, h.order_number) for h in batch}

    assert told(batch) == told(copied) == told(handouts)
    assert {(h.code, moved[h.serial].enabled, moved[h.serial].expires_at) for h in batch} == {
        (h.code, source[h.serial].enabled, source[h.serial].expires_at) for h in handouts
    }
    assert batch.report is not None
    [warning] = [warning for warning in batch.report.warnings if warning.reason == "not_taken"]
    assert "Total Credit, Created, Serial, Recharges, First Used, Labels, Batch, Extension" in warning.advice


def test_a_header_that_is_none_refuses_the_file() -> None:
    """
    Where nobody knows which column is which no row is taken, bad rows left out or not.
    """
    extension = new_book().extension(EXTENSION)
    for on_error in ("refuse", "skip"):
        with pytest.raises(UploadError) as caught:
            extension.upload(file("Customer,Card Code,PIN,Credit\n100001,77001834221,0482,10.00\n"), on_error=on_error)

        assert problems(caught.value) == [(1, "", "header")]
    assert extension.count() == 0


def test_a_caller_id_stays_one_whatever_columns_are_chosen(tmp_path: Path) -> None:
    """
    The sign before the number says what it is; a type that says something else is refused.
    """
    stocked().export(tmp_path / "list.csv", reveal=True, columns=["code"])
    batch = new_book().extension(EXTENSION).upload(tmp_path / "list.csv")

    assert [h.code for h in batch if h.kind == "caller_id"] == ["40722123456"]

    with pytest.raises(UploadError) as caught:
        new_book().extension(EXTENSION).upload(file("Card Code,Type\n+40722,Card Code\n"))

    assert problems(caught.value) == [(2, "type", "contradiction")]


@pytest.mark.parametrize(
    "code", ['"=""770018"""', "1.E+15", '"7,700,183,422,157"', "07/08/2026", "12-May", "1-Jan-2026"], ids=str
)
def test_what_spreadsheets_make_of_codes_is_damage(code: str) -> None:
    """
    Formulas for texts, exponents, grouped digits and dates are no codes that anybody typed.
    """
    with pytest.raises(UploadError) as caught:
        new_book().extension(EXTENSION).upload(file(f"{code},0482\n"))

    assert problems(caught.value) == [(1, "code", "excel_damage")]


def test_excels_line_about_the_separator_is_no_card() -> None:
    """
    A first line such as `sep=;` is understood: it has to say what the caller says.
    """
    extension = new_book().extension(EXTENSION)
    batch = extension.upload(file("sep=;\r\n7700;0482\r\n"), separator=";")

    assert [(h.code, h.pin) for h in batch] == [("7700", "0482")]
    with pytest.raises(SheetError) as caught:
        extension.upload(file("sep=;\r\n7700;0482\r\n"))

    assert caught.value.reason == "separator"


def test_amounts_that_excel_saved_are_credited_as_it_shows_them() -> None:
    """
    Ten percent more than one is 1.1, although Excel writes seventeen digits of it into its file.
    """
    book = workbook(["7700183422157", "0482", "PO-1", 1.1])
    content = io.BytesIO()
    with zipfile.ZipFile(book) as source, zipfile.ZipFile(content, "w") as target:
        for name in source.namelist():
            target.writestr(name, source.read(name).replace(b"<v>1.1</v>", b"<v>1.1000000000000001</v>"))
    content.seek(0)
    [handout] = new_book().extension(EXTENSION).upload(content)

    assert handout.credit == Credit("1.1")


def test_hidden_rows_are_taken_and_said() -> None:
    """
    A filter hides rows of a list that somebody sees as a whole, so they are taken; that is worth a warning.
    """
    source = openpyxl.Workbook()
    source.worksheets[0].append(["7700183422157"])
    source.worksheets[0].row_dimensions[1].hidden = True
    content = io.BytesIO()
    source.save(content)
    content.seek(0)
    batch = new_book().extension(EXTENSION).upload(content)

    assert batch.report is not None
    assert [(warning.row, warning.reason) for warning in batch.report.warnings] == [(1, "hidden")]


def test_a_masked_export_is_refused(tmp_path: Path) -> None:
    """
    A list without codes is no upload, and the advice says how to get one.
    """
    extension = stocked()
    extension.export(tmp_path / "list.csv")
    with pytest.raises(UploadError) as caught:
        extension.upload(tmp_path / "list.csv")

    assert {problem.reason for problem in caught.value.problems if problem.column == "code"} == {"masked"}
    assert "reveal=True" in caught.value.problems[0].advice


def test_a_guarded_export_survives_excel(tmp_path: Path) -> None:
    """
    Excel saves our CSV as a workbook with the guard, or as CSV without the last separators of a row.
    """
    extension = stocked()
    extension.export(tmp_path / "list.csv", reveal=True, columns=["code", "pin", "order_number", "type"])
    with (tmp_path / "list.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.reader(stream))
    text = io.StringIO(newline="")
    csv.writer(text).writerows([rows[0], *(row[:-1] for row in rows[1:])])
    codes = {extension.reveal(card).code for card in extension}

    assert {h.code for h in new_book().extension(EXTENSION).upload(workbook(*rows))} == codes
    assert {h.code for h in new_book().extension(EXTENSION).upload(file(text.getvalue()))} == codes


def test_nothing_may_stand_under_the_announcement() -> None:
    """
    What somebody wrote into the column of the announcement is not dropped.
    """
    with pytest.raises(SheetError) as caught:
        new_book().extension(EXTENSION).upload(file("Card Code,#voipcard-csv/1;guard=apostrophe\n7700,x\n"))

    assert caught.value.reason == "announcement"


FORMAT: Final = CodeFormat(6, check_digit="luhn")


@pytest.mark.parametrize(
    "code, reason",
    [
        ("0123455", None),
        ("123455", "excel_damage"),
        ("1234559", "wrong_check_digit"),
        ("12345599", "wrong_length"),
        ("123456", "wrong_length"),
        ("+40722", None),
    ],
)
def test_a_lost_zero_is_noticed_where_a_format_is_given(code: str, reason: str | None) -> None:
    """
    A code that would fit with zeros before it has lost them in a spreadsheet; it is said, and not put right.
    """
    number = workbook([int(code) if code.startswith("1") else code])
    for content in (file(f"{code}\n"), number):
        try:
            new_book().extension(EXTENSION).upload(content, code_format=FORMAT)
        except UploadError as error:
            assert problems(error) == [(1, "code", reason)]  # noqa: PT017 - some are taken
        else:
            assert reason is None


def test_a_file_over_quota_is_refused_whole() -> None:
    """
    An upload fits the license whole or not at all; what is left out does not count.
    """
    book = new_book(license=License(2))
    extension = book.extension(EXTENSION)
    for on_error in ("refuse", "skip"):
        with pytest.raises(QuotaExceededError) as caught:
            extension.upload(file(ROWS), on_error=on_error)

        assert (caught.value.limit, caught.value.active, caught.value.requested) == (2, 0, 3)
    assert extension.count() == 0
    assert len(extension.upload(file(ROWS.replace(",10\n", ",ten\n")), on_error="skip")) == 2


@pytest.mark.parametrize(
    "arguments, name",
    [
        ({"on_error": "ignore"}, "on_error"),
        ({"problem_limit": -1}, "problem_limit"),
        ({"problem_limit": 10_001}, "problem_limit"),
        ({"separator": ";;"}, "separator"),
        ({"encoding": "klingon"}, "encoding"),
        ({"format": "ods"}, "format"),
        ({"operation": ""}, "operation"),
        ({"labels": 5}, "labels"),
        ({"labels": "kiosk"}, "labels"),
        ({"expires_at": "2027"}, "moment"),
        ({"enabled": "no"}, "enabled"),
        ({"code_format": "x"}, "code_format"),
        ({"limits": 5}, "limits"),
        ({"on_error": []}, "on_error"),
    ],
    ids=str,
)
def test_what_no_upload_can_mean_is_refused(arguments: dict[str, Any], name: str) -> None:
    """
    Each argument out of its range is named, and nothing is written.
    """
    book = new_book()
    before = everything(book)
    with pytest.raises(InvalidValueError) as caught:
        book.extension(EXTENSION).upload(file(ROWS), **arguments)

    assert caught.value.name == name
    assert everything(book) == before


def test_a_replayed_report_lists_as_much_as_is_asked_for_now() -> None:
    """
    How many problems the first call listed does not limit what a later one lists.
    """
    extension = new_book().extension(EXTENSION)
    extension.add(["7700", "0099"])
    content = "7700\n7701\n0099\n7702,1\n"
    first = extension.upload(file(content), on_error="skip", problem_limit=0)
    again = extension.upload(file(content), on_error="skip", problem_limit=100)

    assert again.replayed
    assert first.report is not None
    assert again.report is not None
    assert (first.report.problems, first.report.problem_count) == ((), 3)
    assert problems(again.report) == [(1, "code", "exists"), (3, "code", "exists"), (4, "pin", "wrong_length")]
