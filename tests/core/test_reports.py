"""
What reports say: groups and sums that add up, tables that line up, plain records.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voipcard.core.credit import Credit
from voipcard.core.reports import (
    ChargedCall,
    CostRow,
    CreditRow,
    Report,
    RevealedCall,
    UseRow,
    added_up,
    checked_days,
    checked_groups,
    span_of,
    spans,
)
from voipcard.errors import AmountError, InvalidValueError

NOON: Final = datetime(2026, 3, 14, 12, tzinfo=UTC)
DAY: Final = 86_400_000_000

CALL: Final = ChargedCall(
    serial="K7QX-000042",
    extension="0003*215",
    batch="K7QX",
    destination="4021",
    started_at=NOON,
    seconds=95,
    charged_seconds=96,
    price=Credit("0.06"),
    deck="retail",
    cost=Credit("0.096"),
    shortfall=Credit(0),
    credit_left=Credit("9.904"),
    charged_at=NOON,
)

sums: Final = st.lists(
    st.tuples(
        st.tuples(st.sampled_from(["40", "49", ""]), st.dates()),
        st.lists(st.integers(0, 10**12), min_size=5, max_size=5),
    ),
    unique_by=lambda item: item[0],
    max_size=12,
)


def report(by: Sequence[str], rows: tuple[CostRow, ...], total: CostRow) -> Report[CostRow]:
    """
    Make a report of costs.
    """
    return Report("Costs of calls", "EUR", "UTC", NOON, None, None, tuple(by), rows, total)


@given(sums)
def test_the_total_is_the_sum_of_all_rows(given_sums: list[tuple[tuple[str, date], list[int]]]) -> None:
    """
    Rows say what was given, in that order, and the total adds up their sums, whatever they were grouped by.
    """
    rows, total = added_up(CostRow, ["destination", "day"], given_sums)

    assert [(row.destination, row.day) for row in rows] == [group for group, _ in given_sums]
    assert [[row.calls, row.cost.micros, row.shortfall.micros] for row in rows] == [
        [values[0], values[3], values[4]] for _, values in given_sums
    ]
    assert [total.calls, total.seconds, total.charged_seconds, total.cost.micros, total.shortfall.micros] == [
        sum(values[place] for _, values in given_sums) for place in range(5)
    ]
    assert (total.destination, total.day, total.card) == (None, None, None)


def test_without_groups_the_one_row_is_the_total() -> None:
    """
    A report that is grouped by nothing has one row, also where there is nothing.
    """
    assert added_up(CostRow, [], []) == ((CostRow(),), CostRow())
    assert added_up(CostRow, [], [((), [2, 10, 12, 5, 0])])[0] == (added_up(CostRow, [], [((), [2, 10, 12, 5, 0])])[1],)


@pytest.mark.parametrize("most", [2**63 - 1, 2**64])
def test_a_sum_that_is_no_amount_is_refused(most: int) -> None:
    """
    A sum is not taken for Unlimited, nor cut off, where it is more than an amount can be.
    """
    with pytest.raises(AmountError) as refusal:
        added_up(CreditRow, [], [((), [2, most, 0, 0])])

    assert refusal.value.reason == "too_large"
    assert added_up(CreditRow, [], [((), [2, 2**63 - 2, 0, 0])])[1].credit.micros == 2**63 - 2


@given(sums)
def test_a_printed_report_lines_up(given_sums: list[tuple[tuple[str, date], list[int]]]) -> None:
    """
    Each row is a line with its values under their headers, the total is the last line, and none is wider than another.
    """
    rows, total = added_up(CostRow, ["destination", "day"], given_sums)
    head, blank, header, rule, *lines = str(report(["destination", "day"], rows, total)).splitlines()
    ends = [header.index(word) + len(word) for word in ("Calls", "Seconds", "Charged Seconds", "Cost", "Shortfall")]
    shown = [
        [str(row.calls), str(row.seconds), str(row.charged_seconds), str(row.cost), str(row.shortfall)]
        for row in (*rows, total)
    ]

    assert (head, blank) == ("Costs of calls in EUR, days of UTC", "")
    assert {len(line) for line in lines} == {len(rule)}
    assert rule == "-" * len(header)
    assert [line.split()[-5:] for line in lines if line != rule] == shown
    assert all(
        line[end - 1] != " " and line[end : end + 2].strip() == "" for line in lines if line != rule for end in ends
    )
    assert lines[-1].startswith("Total")
    assert len(lines) == len(rows) + 1 + bool(rows)


def test_a_table_fits_on_a_page() -> None:
    """
    With a day and a destination, and sums of a real size, a line has no more than 80 characters.
    """
    group = ("40721", date(2026, 3, 1))
    text = str(
        report(["destination", "day"], *added_up(CostRow, ["destination", "day"], [(group, [10**6, 10**8] * 2 + [0])]))
    )

    assert max(map(len, text.splitlines())) <= 80


def test_records_are_plain() -> None:
    """
    Records have the groups and the sums in the order of the columns, as `str`, `int`, `Decimal` and `date`.
    """
    day = date(2026, 3, 14)
    rows, total = added_up(CostRow, ["day", "destination"], [((day, "40"), [1, 95, 96, 96_000, 0])])
    [record] = report(["day", "destination"], rows, total).records()

    assert record == {
        "day": day,
        "destination": "40",
        "calls": 1,
        "seconds": 95,
        "charged_seconds": 96,
        "cost": Decimal("0.096"),
        "shortfall": Decimal("0.00"),
    }
    assert list(record) == [column.name for column in report(["day", "destination"], rows, total).columns]
    assert [type(value) for value in record.values()] == [date, str, int, int, int, Decimal, Decimal]


def test_a_report_is_a_value() -> None:
    """
    It has a length, is iterated for its rows, comes back from a pickle, and its repr is short.
    """
    rows, total = added_up(CostRow, ["destination"], [(("40",), [1, 2, 3, 4, 5]), (("49",), [1, 2, 3, 4, 5])])
    made = report(["destination"], rows, total)

    assert (len(made), tuple(made), repr(made)) == (2, rows, "<Report 'Costs of calls' with 2 rows>")
    assert pickle.loads(pickle.dumps(made)) == made  # noqa: S301


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=6, unique=True).map(sorted), st.integers(-DAY, 1100 * DAY))
def test_every_age_is_in_one_span(lasts: list[int], age: int) -> None:
    """
    An age is in the span whose name has its whole days; a negative one is in the first.

    No name can be taken for a date, as 2-7 would be where a spreadsheet program reads it.
    """
    name = spans(lasts)[span_of(age, lasts)]
    whole = max(0, age // DAY)

    assert re.fullmatch(r"over \d+|\d+ to \d+", name)
    if name.startswith("over"):
        assert whole > int(name.removeprefix("over "))
    else:
        first, last = map(int, name.split(" to "))
        assert first <= whole <= last


@pytest.mark.parametrize("by", ["", "days", ["day", "day"], ["day", None], 5, [["day"]]])
def test_groups_are_different_names(by: Any) -> None:  # noqa: ANN401 - a wrong type is the point
    """
    What is no name of a group, or comes twice, is refused with the names there are.
    """
    with pytest.raises(InvalidValueError) as refusal:
        checked_groups(by, ("day", "month"))

    assert (refusal.value.name, refusal.value.reason) == ("by", "has to be different ones of day, month")


@pytest.mark.parametrize("days", [[], [5, 5], [9, 5], [-1], [1.5], ["5"], "5", 5, [True], [None]])
def test_spans_end_with_ascending_days(days: Any) -> None:  # noqa: ANN401 - a wrong type is the point
    """
    What are no ascending whole numbers is refused.
    """
    with pytest.raises(InvalidValueError) as refusal:
        checked_days(days)

    assert refusal.value.name == "days"


def test_a_called_number_is_not_shown_by_accident() -> None:
    """
    The repr of a revealed call masks the number, and it has no pickle.
    """
    revealed = RevealedCall(CALL, "40213123456")

    assert "3123456" not in repr(revealed)
    assert "3123456" not in f"{revealed}"
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(revealed)
    assert pickle.loads(pickle.dumps(CALL)) == CALL  # noqa: S301


def test_rows_of_use_are_not_credit() -> None:
    """
    Each kind of row has columns of its own.
    """
    made = Report(
        "First use", "EUR", "UTC", NOON, None, None, ("age",), (UseRow(age="0 to 1", cards=2, used=2),), UseRow()
    )

    assert [column.header for column in made.columns] == ["Days", "Cards", "Used by then"]
