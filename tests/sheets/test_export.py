"""
Exports: the right columns, the whole file or none, and nobody else can read it.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import resource
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import openpyxl
import pytest

from voipcard import sheets
from voipcard.core.batches import Batch
from voipcard.core.cards import CardCode, Handout
from voipcard.core.ledger import LedgerEntry
from voipcard.core.license import Quota
from voipcard.core.uploads import UploadReport
from voipcard.errors import InvalidValueError, Problem, SheetError
from voipcard.sheets import csv, files, xlsx
from voipcard.sheets.rows import CARDS, HANDOUTS

SUFFIXES: Final = [".csv", ".xlsx"]

HANDOUT_HEADER: Final = ["Serial", "Card Code", "PIN", "Credit", "Order Number", "Type", "Extension"]
CARD_HEADER: Final = [
    "Status",
    "Card Code",
    "PIN",
    "Total Credit",
    "Available Credit",
    "Created",
    "Serial",
    "Type",
    "Order Number",
    "Recharges",
    "First Used",
    "Expires",
    "Labels",
    "Batch",
    "Extension",
]

Cards = Callable[[int], CardCode]


class Interrupted(Exception):  # noqa: N818 - it stands for anything that may go wrong elsewhere
    """
    What a search raises in the middle.
    """


def read(path: Path) -> list[list[Any]]:
    """
    Give the cells of a file.
    """
    return [list(row.cells) for row in sheets.read(path)]


def leftovers(folder: Path) -> list[str]:
    """
    Name all that is in a folder.
    """
    return sorted(path.name for path in folder.iterdir())


def is_partial(path: Path) -> bool:
    """
    Tell whether a file is one that is being written, and only its owner can read it.
    """
    return bool(re.fullmatch(r"\.voipcard-[0-9a-f]{16}\.tmp", path.name)) and stat.S_IMODE(path.stat().st_mode) == 0o600


@contextlib.contextmanager
def room_for(size: int) -> Iterator[None]:
    """
    Let no file become larger, as if the disk were full.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """
    Give each test a folder for temporary files that no other program uses.
    """
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))

    return folder


def test_a_hand_out_shows_code_and_pin(tmp_path: Path, handout: Handout) -> None:
    """
    The hand-out has what the card's owner needs, with every zero.
    """
    batch = Batch("K7QX", "0003*215", 1, [handout])

    assert sheets.write(tmp_path / "handout.csv", batch) == 1
    assert read(tmp_path / "handout.csv") == [
        HANDOUT_HEADER,
        ["K7QX-000042", "0077001834221", "0482", "12.50", "PO-117", "Card Code", "0003*215"],
    ]


def test_a_card_list_shows_no_code(tmp_path: Path, card: Cards) -> None:
    """
    Cards are listed by serial, their codes masked, with moments to the microsecond.
    """
    sheets.write(tmp_path / "cards.csv", [card(6), card(7)])
    moment = "2026-03-14T12:30:15.250000+00:00"
    rest = ["kiosk, summer", "K7QX", "0003*215"]
    first = [
        "Enabled",
        "••••",
        "Yes",
        "unlimited",
        "10.25",
        moment,
        "K7QX-000006",
        "Card Code",
        "=1+1",
        "6",
        "",
        "",
        *rest,
    ]
    second = [
        "Disabled",
        "••••",
        "No",
        "unlimited",
        "10.25",
        moment,
        "K7QX-000007",
        "CallerID",
        "=1+1",
        "7",
        moment,
        "",
    ]

    assert read(tmp_path / "cards.csv") == [CARD_HEADER, first, [*second, *rest]]


def test_a_history_is_voipnows_recharge_history(tmp_path: Path, entry: LedgerEntry) -> None:
    """
    A history begins with the columns of VoipNow's page, and a negative amount stays a number.
    """
    sheets.write(tmp_path / "history.csv", [entry])
    header, row = read(tmp_path / "history.csv")

    assert header[:4] == ["Order Number", "Credit Added", "Credit Left", "Date Added"]
    assert row[:4] == ["+PO-118", "-10.00", "2.50", "2026-03-14T12:30:15.250000+00:00"]
    assert row[4:] == ["K7QX-000042", "Recharge", "alice", "K7QX", "0003*215"]
    assert b'"-10.00"' in (tmp_path / "history.csv").read_bytes()


def test_a_workbook_has_the_same_columns(tmp_path: Path, card: Cards, entry: LedgerEntry, handout: Handout) -> None:
    """
    Both formats have the same columns; the sheet is named after what it shows.
    """
    kinds: list[list[Any]] = [[card(1)], [entry], [handout]]
    titles = []
    for values in kinds:
        sheets.write(tmp_path / "same.csv", values)
        sheets.write(tmp_path / "same.xlsx", values)
        book = openpyxl.load_workbook(tmp_path / "same.xlsx")
        titles += book.sheetnames

        assert [cell.value for cell in book.worksheets[0][1]] == read(tmp_path / "same.csv")[0]

    assert titles == ["Card Codes", "Recharge History", "Hand-out"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_without_values_there_is_a_header(tmp_path: Path, suffix: str) -> None:
    """
    An empty search looks like a card list, the batch of a dry run like a hand-out.
    """
    path = tmp_path / f"empty{suffix}"

    assert sheets.write(path, list[CardCode]()) == 0
    assert read(path) == [CARD_HEADER]
    assert sheets.write(path, Batch("", "0003*215", 500, [])) == 0
    assert read(path) == [HANDOUT_HEADER]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_only_the_owner_can_read_the_file(tmp_path: Path, handout: Handout, suffix: str) -> None:
    """
    The file has mode 0600, also where it replaces one that everybody could read, and nothing else is left.
    """
    path = tmp_path / f"handout{suffix}"
    path.write_text("old")
    path.chmod(0o644)
    sheets.write(path, [handout])

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert leftovers(tmp_path) == [path.name]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("count", [0, 1, 1500])
def test_a_search_that_fails_leaves_the_old_file(
    tmp_path: Path, temporary: Path, handout: Handout, suffix: str, count: int
) -> None:
    """
    What the values raise is raised unchanged. The file is as before, and no clear text is left anywhere.
    """
    path = tmp_path / f"handout{suffix}"
    path.write_text("old")

    def failing() -> Iterator[Handout]:
        for _ in range(count):
            yield handout
        raise Interrupted

    with pytest.raises(Interrupted):
        sheets.write(path, failing())

    assert path.read_text() == "old"
    assert leftovers(tmp_path) == [path.name]
    assert leftovers(temporary) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_clear_text_is_written_to_one_place(tmp_path: Path, temporary: Path, handout: Handout, suffix: str) -> None:
    """
    While values come in there is one new file: the one beside the target, which only its owner can read.
    """
    seen = []

    def watching() -> Iterator[Handout]:
        for number in range(5500):
            if number > 1000:
                seen.append(([is_partial(path) for path in tmp_path.iterdir()], leftovers(temporary)))
            yield handout

    sheets.write(tmp_path / f"handout{suffix}", watching())

    assert seen == [([True], [])] * 4499
    assert leftovers(tmp_path) == [f"handout{suffix}"]
    assert leftovers(temporary) == []


def test_further_sheets_need_no_other_place(temporary: Path, handout: Handout) -> None:
    """
    However many sheets there are, none has a temporary file, finished or not, where openpyxl alone has one for each.
    """
    writer = xlsx.Writer(io.BytesIO(), HANDOUTS, rows_per_sheet=2)
    writer.append(HANDOUTS.cells([handout] * 5))

    assert leftovers(temporary) == []

    writer.discard()

    assert leftovers(temporary) == []

    book = openpyxl.Workbook(write_only=True)
    book.create_sheet().append([handout.serial])

    assert len(leftovers(temporary)) == 1

    book.save(io.BytesIO())


KILLED: Final = """
import sys

from voipcard import sheets
from voipcard.core.cards import Handout
from voipcard.core.credit import Credit


def values():
    for number in range(5500):
        yield Handout(f"K7QX-{number:06}", "0003*215", "code", f"{number:013}", "0482", Credit("12.50"), "PO-117")
    print("late", flush=True)
    sys.stdin.read()


sheets.write(sys.argv[1], values())
"""


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_process_that_is_killed_leaves_the_partial_file_only(tmp_path: Path, temporary: Path, suffix: str) -> None:
    """
    After a SIGKILL in the middle the target is not there, and the only clear text is in the file beside it.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, str(tmp_path / f"handout{suffix}")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment | {"TMPDIR": str(temporary)},
    ) as process:
        late = process.stdout.readline() if process.stdout else b""
        process.kill()

    assert late == b"late\n"
    assert process.returncode == -signal.SIGKILL
    assert leftovers(temporary) == []
    assert [is_partial(path) and path.stat().st_size > 0 for path in tmp_path.iterdir()] == [True]


def test_an_error_of_the_values_is_not_taken_for_one_of_the_file(tmp_path: Path, handout: Handout) -> None:
    """
    An `OSError` that the values raise says nothing about the file, and is not translated.
    """

    def failing() -> Iterator[Handout]:
        for _ in range(1500):
            yield handout
        raise TimeoutError

    with pytest.raises(TimeoutError):
        sheets.write(tmp_path / "handout.csv", failing())


def test_progress_is_told_with_the_total_if_it_is_known(tmp_path: Path, handout: Handout) -> None:
    """
    Progress comes after every thousand rows and at the end.
    """
    told: list[tuple[int, int | None]] = []

    assert sheets.write(tmp_path / "a.csv", [handout] * 1500, progress=lambda *now: told.append(now)) == 1500
    sheets.write(tmp_path / "a.csv", iter([handout] * 2000), progress=lambda *now: told.append(now))

    assert told == [(1000, 1500), (1500, 1500), (1000, None), (2000, None)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_values_of_several_kinds_are_refused(tmp_path: Path, handout: Handout, entry: LedgerEntry, suffix: str) -> None:
    """
    A file has one kind of row, and nothing is written of a mixture or of anything else.
    """
    mixtures: list[Any] = [[handout, entry], ["0077001834221"]]
    for mixture in mixtures:
        with pytest.raises(InvalidValueError) as caught:
            sheets.write(tmp_path / f"mixed{suffix}", mixture)

        assert caught.value.name == "values"

    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("name", ["cards.ods", "cards", ".csv", "cards.csv.gz"])
def test_other_formats_are_refused(tmp_path: Path, handout: Handout, name: str) -> None:
    """
    The suffix decides the format, and there are two.
    """
    with pytest.raises(SheetError) as caught:
        sheets.write(tmp_path / name, [handout])

    assert caught.value.reason == "suffix"


def test_a_suffix_in_capitals_is_as_good(tmp_path: Path, handout: Handout) -> None:
    """
    Windows likes capitals.
    """
    assert sheets.write(tmp_path / "CARDS.XLSX", [handout]) == 1


def test_a_place_where_nothing_can_be_written_is_said(tmp_path: Path, handout: Handout) -> None:
    """
    A missing folder, a file in place of a folder, a folder in place of the file and a wrong name are `SheetError`.
    """
    (tmp_path / "file").touch()
    (tmp_path / "folder.csv").mkdir()
    reasons = {}
    for place in ["missing/a.csv", "file/a.csv", "folder.csv", "a\0.csv"]:
        with pytest.raises(SheetError) as caught:
            sheets.write(tmp_path / place, [handout])
        reasons[place] = caught.value.reason

    assert reasons == {
        "missing/a.csv": "missing",
        "file/a.csv": "missing",
        "folder.csv": "unwritable",
        "a\0.csv": "not_a_file",
    }
    assert leftovers(tmp_path) == ["file", "folder.csv"]


@pytest.mark.parametrize(
    "error, reason",
    [
        (PermissionError(errno.EACCES, "denied"), "forbidden"),
        (OSError(errno.ENOSPC, "full"), "full"),
        (OSError(errno.EIO, "broken"), "unwritable"),
    ],
)
def test_what_the_system_refuses_while_writing_is_said(error: OSError, reason: str) -> None:
    """
    Each refusal of the operating system has its word, and the original as its cause.
    """
    with pytest.raises(SheetError) as caught, files.write_refusals("a.csv"):
        raise error

    assert caught.value.reason == reason
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("share", [0, 0.2, 0.8, 1])
def test_a_disk_may_be_full_at_any_time(tmp_path: Path, handout: Handout, suffix: str, share: float) -> None:
    """
    Wherever the file breaks off, down to its last bytes, that is said, the old file is kept and nothing else is left.
    """
    path = tmp_path / f"handout{suffix}"
    values = [handout] * 3000
    sheets.write(path, values)
    before = path.stat()
    # The time that is in a workbook makes it longer or shorter by a few bytes.
    with pytest.raises(SheetError) as caught, room_for(int(before.st_size * share) - 20 * (share == 1)):
        sheets.write(path, values)

    assert caught.value.reason == "full"
    assert path.stat() == before
    assert leftovers(tmp_path) == [path.name]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_breaks_nothing_but_the_write() -> None:
    """
    A writer whose stream takes no more can still be let go of.
    """
    with Path("/dev/full").open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        writer = csv.Writer(stream, CARDS)
        writer.append([[]] * len(CARDS.columns))
        writer.discard()

    xlsx.Writer(io.BytesIO(), CARDS).discard()


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_is_synced_before_it_has_its_name(
    tmp_path: Path, handout: Handout, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    When the content reaches the disk the name is still free, and the folder is synced last.
    """
    path = tmp_path / f"handout{suffix}"
    seen = []
    fsync = os.fsync

    def watched(descriptor: int) -> None:
        seen.append((stat.S_ISDIR(os.fstat(descriptor).st_mode), path.exists()))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", watched)
    sheets.write(path, [handout])

    assert seen == [(False, False), (True, True)]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_report_is_written_row_by_row(tmp_path: Path, suffix: str) -> None:
    """
    Problems and warnings of an upload stand in the order of the file, and under their header also if there are none.
    """
    path = tmp_path / f"report{suffix}"
    problems = (Problem(3, "code", "empty", "give one"), Problem(1, "pin", "not_digits", "use digits", sheet=2))
    warnings = (Problem(2, "pin", "weak_pin", "choose another", warning=True),)
    report = UploadReport(1, 2, problems, 2, warnings, 1, Quota(None, 1))

    assert sheets.write(path, report) == 3
    assert [[str(cell) for cell in row[:5]] for row in read(path)] == [
        ["Sheet", "Row", "Column", "Severity", "Reason"],
        ["1", "2", "pin", "Warning", "weak_pin"],
        ["1", "3", "code", "Problem", "empty"],
        ["2", "1", "pin", "Problem", "not_digits"],
    ]
    assert sheets.write(path, UploadReport(1, 0, (), 0, (), 0, Quota(None, 1))) == 0
    assert [row[0] for row in read(path)] == ["Sheet"]


def test_a_folder_that_may_not_be_looked_into_takes_a_file(
    tmp_path: Path, handout: Handout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    Where files may only be put, the folder cannot be synced; the file is there, and nothing says that it is not.
    """
    opened = os.open

    def refusing(path: Any, flags: int, *mode: int) -> int:  # noqa: ANN401 - any path
        if flags & os.O_DIRECTORY:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(path, flags, *mode)

    monkeypatch.setattr(os, "open", refusing)

    assert sheets.write(tmp_path / "handout.csv", [handout]) == 1
    assert leftovers(tmp_path) == ["handout.csv"]
