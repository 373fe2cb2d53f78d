"""
Call detail records: each row is a call or says what is wrong with it, whatever a switch writes.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from tests.book_world import outcome
from voipcard import CallRecord, RejectedCall, Settlement
from voipcard.errors import InvalidValueError, SheetError, UploadError
from voipcard.sheets import Limits, read_cdrs, write

HEADER = "call_id,serial,destination,started_at,seconds\n"
CARD = "K7QX-000042"
NINE = datetime(2026, 3, 1, 9, tzinfo=UTC)


def calls(text: str, **options: Any) -> list[CallRecord | RejectedCall]:  # noqa: ANN401 - those of `read_cdrs`
    """
    Read calls from a text.
    """
    return list(read_cdrs(BytesIO(text.encode()), **options))


def workbook(*rows: list[Any]) -> BytesIO:
    """
    Make a workbook with a header.
    """
    book, file = Workbook(), BytesIO()
    assert book.active is not None
    for row in (HEADER.strip().split(","), *rows):
        book.active.append(row)
    book.save(file)
    file.seek(0)

    return file


def wrong(found: list[CallRecord | RejectedCall]) -> list[tuple[int, str, str] | None]:
    """
    Give what is wrong with each row: its number, the column and the reason; None if it is a call.
    """
    return [
        (call.problem.row, call.problem.column, call.problem.reason) if isinstance(call, RejectedCall) else None
        for call in found
    ]


@pytest.mark.parametrize(
    "header",
    [
        "call_id,serial,destination,started_at,seconds",
        "Call ID,Serial,Destination,Started At,Seconds",
        "uniqueid,accountcode,dst,start,billsec",
        "UNIQUEID,Card,DST,CallDate,Duration",
        "callid,accountcode,dst,started,duration",
    ],
)
def test_columns_have_the_names_that_switches_give_them(header: str) -> None:
    """
    Each column has several names; capitals, spaces and underscores in them do not count.
    """
    expected = CallRecord("1.7", CARD, "40213123456", NINE, 95)

    assert [expected] == calls(f"{header}\n1.7,{CARD},40213123456,2026-03-01 09:00:00,95\n")


def test_columns_stand_in_any_order_among_others() -> None:
    """
    Of a file of Asterisk the five columns are found: of two that say how long it took the one from the answer on.
    """
    text = (
        "accountcode,src,dst,dcontext,clid,start,answer,end,duration,billsec,disposition,uniqueid\n"
        f'{CARD},215,40213123456,out,"""Bob"" <215>",2026-03-01 09:00:00,2026-03-01 09:00:05,,100,95,ANSWERED,1.7\n'
    )

    assert [CallRecord("1.7", CARD, "40213123456", NINE, 95)] == calls(text)


@pytest.mark.parametrize(
    "header",
    [
        "uniqueid,accountcode,dst,start",
        "uniqueid,accountcode,dst,start,billsec,billsec",
        "1.7,K7QX-000042,40213123456,2026-03-01 09:00:00,95",
        '""',
    ],
)
def test_a_file_without_a_whole_header_is_refused(header: str) -> None:
    """
    Without all columns nobody knows what stands where: no row is read.
    """
    with pytest.raises(UploadError) as error:
        calls(f"{header}\n1.7,{CARD},40213123456,2026-03-01 09:00:00,95\n")

    assert [(problem.reason, problem.row) for problem in error.value.problems] == [("header", 1)]


@pytest.mark.parametrize("text", ["", "\n\n", "\x00"])
def test_a_file_without_rows_is_refused(text: str) -> None:
    """
    A file without a header is refused as a file is.
    """
    with pytest.raises(SheetError):
        calls(text)


@pytest.mark.parametrize(
    "text, zone, moment",
    [
        ("2026-03-01 09:00:00", "UTC", NINE),
        ("2026-03-01 11:00:00", "Europe/Bucharest", NINE),
        ("2026-03-01T11:00:00+02:00", "America/New_York", NINE),
        ("2026-03-01 11:00:00 +0200", "UTC", NINE),
        ("2026-03-01T09:00Z", "Asia/Kathmandu", NINE),
        ("2026-03-01T09:00:00.25Z", "UTC", NINE + timedelta(milliseconds=250)),
        ("1772355600", "America/New_York", NINE),
        ("1772355600.25", "UTC", NINE + timedelta(milliseconds=250)),
        # Twice that night: the first one is meant. And never that night: as if the clocks had not been changed.
        ("2026-10-25 03:30:00", "Europe/Bucharest", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2026-03-29 03:30:00", "Europe/Bucharest", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),
        ("0000-00-00 00:00:00", "UTC", None),
        ("2026-02-29 09:00:00", "UTC", None),
        ("2026-03-01", "UTC", None),
        ("20260301", "UTC", None),
        ("20260301T090000", "UTC", None),
        ("03/01/2026 09:00", "UTC", None),
        ("2026-03-01 24:00:01", "UTC", None),
        ("0001-01-01 00:00:00", "Asia/Tokyo", None),
        ("1772355600123", "UTC", None),
        ("-5", "UTC", None),
        ("٢026-03-01 09:00:00", "UTC", None),
        ("yesterday", "UTC", None),
    ],
)
def test_moments_are_those_of_the_zone_or_none(text: str, zone: str, moment: datetime | None) -> None:
    """
    A moment that does not say its zone is in the one given; what is no whole moment is a bad row.
    """
    [call] = calls(f"{HEADER}1.7,{CARD},40213123456,{text},95\n", zone=zone)

    if moment is None:
        assert wrong([call]) == [(2, "started_at", "not_a_moment")]
    else:
        assert CallRecord("1.7", CARD, "40213123456", moment, 95) == call


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../etc/passwd", "Europe", None, 5])
def test_an_unknown_zone_is_refused_before_anything_is_read(zone: Any) -> None:  # noqa: ANN401 - what is refused
    """
    A zone that nobody knows is a mistake of the caller's.
    """
    with pytest.raises(InvalidValueError) as error:
        read_cdrs("there-is-no-such-file.csv", zone=zone)

    assert error.value.name == "zone"


@pytest.mark.parametrize(
    "row, column, reason",
    [
        (f",{CARD},40213123456,1772355600,95", "call_id", "missing"),
        (f"{'x' * 256},{CARD},40213123456,1772355600,95", "call_id", "not_a_name"),
        (f"1.76E+09,{CARD},40213123456,1772355600,95", "call_id", "excel_damage"),
        ("1.7,,40213123456,1772355600,95", "serial", "missing"),
        ("1.7,7700183422157,40213123456,1772355600,95", "serial", "not_a_serial"),
        (f"1.7,{CARD},,1772355600,95", "destination", "missing"),
        (f"1.7,{CARD},sip:alice,1772355600,95", "destination", "not_a_number"),
        (f"1.7,{CARD},{'4' * 33},1772355600,95", "destination", "not_a_number"),
        (f"1.7,{CARD},4.0213E+10,1772355600,95", "destination", "excel_damage"),
        (f"1.7,{CARD},40213123456,,95", "started_at", "missing"),
        (f"1.7,{CARD},40213123456,1772355600,", "seconds", "missing"),
        (f"1.7,{CARD},40213123456,1772355600", "seconds", "missing"),
        (f"1.7,{CARD},40213123456,1772355600,95.5", "seconds", "not_seconds"),
        (f"1.7,{CARD},40213123456,1772355600,1:35", "seconds", "not_seconds"),
        (f"1.7,{CARD},40213123456,1772355600,-1", "seconds", "negative"),
        (f"1.7,{CARD},40213123456,1772355600,31622401", "seconds", "too_long"),
        (f"1.7,{CARD},40213123456,1772355600,99999999999", "seconds", "too_long"),
        (f"1.7,{CARD},40213123456,1772355600,95,more", "", "too_many_fields"),
        ("1.7", "serial", "missing"),
    ],
)
def test_a_bad_row_says_what_is_wrong_and_the_rest_goes_on(row: str, column: str, reason: str) -> None:
    """
    Each bad row is given with its number, the first bad column and the reason, and with what it says.
    """
    good = f"1.8,{CARD},40213123456,1772355600,0"
    found = calls(f"{HEADER}{good}\n\n{row}\n{good},,\n")
    fields = row.split(",")

    assert [None, (4, column, reason), None] == wrong(found)
    assert isinstance(found[1], RejectedCall)
    assert [*fields, *[""] * 4][:3] == [found[1].call_id, found[1].serial, found[1].destination]


def test_a_workbook_is_read_where_nothing_was_lost() -> None:
    """
    Moments of a workbook are those of the zone given; a call's name that has become a number may have lost zeros.
    """
    moment = datetime(2026, 3, 1, 11)  # noqa: DTZ001 - as Excel has it
    found = list(
        read_cdrs(
            workbook(
                ["1.70", CARD, "40213123456", moment, 95],
                ["1.71", CARD, 40213123456, 1772355600, "95"],
                [1.7, CARD, "40213123456", moment, 95],
                [17, CARD, "40213123456", moment, 95],
                ["1.72", CARD, "=1+1", moment, 95],
                ["1.73", CARD, 4.5, moment, 95],
                ["1.74", CARD, "40213123456", moment, 95.5],
                ["1.75", CARD, moment, moment, 95],
                ["1.76", CARD, "40213123456", 5, 95],
            ),
            zone="Europe/Bucharest",
        )
    )

    assert found[:2] == [
        CallRecord("1.70", CARD, "40213123456", NINE, 95),
        CallRecord("1.71", CARD, "40213123456", NINE, 95),
    ]
    assert wrong(found[2:]) == [
        (4, "call_id", "number_cell"),
        (5, "call_id", "number_cell"),
        (6, "destination", "formula"),
        (7, "destination", "excel_damage"),
        (8, "seconds", "not_seconds"),
        (9, "destination", "excel_damage"),
        (10, "started_at", "not_a_moment"),
    ]


def test_rows_are_known_by_where_they_stand() -> None:
    """
    A call has the number of its row and of its sheet, which make it no other call.
    """
    [call] = calls(f"{HEADER}\n1.7,{CARD},40213123456,1772355600,95\n")

    assert isinstance(call, CallRecord)
    assert (call.row, call.sheet) == (3, 1)
    assert CallRecord("1.7", CARD, "40213123456", NINE, 95) == call


def test_a_file_is_read_no_further_than_it_is_wanted() -> None:
    """
    Rows are given one by one, so that a file of any size needs no more memory than a row; limits are kept.
    """
    row = f"1.7,{CARD},40213123456,1772355600,95\n"
    rows = read_cdrs(BytesIO((HEADER + 5000 * row).encode()), limits=Limits(rows=4000))

    assert isinstance(next(rows), CallRecord)
    with pytest.raises(SheetError):
        list(rows)


def test_nobody_learns_from_what_is_shown_who_was_called() -> None:
    """
    Neither a call nor a rejected one shows its number, nor a code that stands where a serial should.
    """
    found = calls(f"{HEADER}1.7,{CARD},40213123456,1772355600,95\n1.8,7700183422157,40213123456,1772355600,95\n")
    shown = repr(found) + str(found)

    assert "213123456" not in shown
    assert "7700183422157" not in shown


FIELDS = st.one_of(
    st.text("0123456789.,+-:TZ eE\t'\"=KX", max_size=12),
    st.sampled_from([CARD, "40213123456", "2026-03-01 09:00:00", "1772355600", "95", "", "1.7", "0000-00-00 00:00:00"]),
)


@given(st.lists(st.lists(FIELDS, min_size=1, max_size=7), max_size=8), st.sampled_from(["UTC", "Asia/Kolkata"]))
def test_any_row_is_a_call_or_says_what_is_wrong(rows: list[list[str]], zone: str) -> None:
    """
    Whatever stands in a file, each row that is not empty becomes a call or is rejected with advice.
    """
    text = "\n".join(",".join('"' + field.replace('"', '""') + '"' for field in row) for row in rows)
    found = outcome(lambda: calls(HEADER + text, zone=zone))

    assert isinstance(found, tuple) or len(found) <= len(rows)
    assert isinstance(found, tuple) or all(isinstance(call, CallRecord) or call.problem.advice for call in found)


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """
    What is no file of calls is refused with an error of ours.
    """
    outcome(lambda: list(read_cdrs(BytesIO(data))))
    outcome(lambda: list(read_cdrs(BytesIO(HEADER.encode() + data))))


@given(
    st.lists(
        st.builds(
            CallRecord,
            st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=20).filter(str.strip),
            st.just(CARD),
            st.from_regex(r"[+]?[0-9]{1,32}", fullmatch=True),
            st.datetimes(timezones=st.just(ZoneInfo("Asia/Kathmandu"))).filter(lambda moment: 1 < moment.year < 9999),
            st.integers(0, 366 * 86400),
        ),
        max_size=6,
    )
)
@pytest.mark.parametrize("suffix", ["csv", "xlsx"])
def test_the_file_of_rejected_calls_tells_the_same_calls(
    suffix: str, tmp_path_factory: pytest.TempPathFactory, told: list[CallRecord]
) -> None:
    """
    Written and read again, whatever zone is given, rejected calls are the calls that were told.
    """
    path: Path = tmp_path_factory.mktemp("calls") / f"rejected.{suffix}"
    write(path, Settlement(0, 0, (), tuple(call.rejected("serial", "unknown_card") for call in told)))

    assert told == list(read_cdrs(path, zone="America/New_York"))
