"""
Price lists: read whole or not at all, with every bad row named.
"""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook

from tests.book_world import outcome
from voipcard import Credit, Rate, RateDeck, Tariff
from voipcard.errors import InvalidValueError, SheetError, UploadError
from voipcard.sheets import read_deck


def deck(text: str, **options: Any) -> RateDeck:  # noqa: ANN401 - those of `read_deck`
    """
    Read a price list from a text.
    """
    return read_deck(BytesIO(text.encode()), **options)


def refused(text: str) -> list[tuple[int, str, str]]:
    """
    Give the problems of a price list: row, column and reason.
    """
    with pytest.raises(UploadError) as error:
        deck(text)

    return [(problem.row, problem.column, problem.reason) for problem in error.value.problems]


def test_the_charging_file_of_voipnow_is_read_without_a_header() -> None:
    """
    Area code, cost, charge interval, and if they are there description, network, setup cost and maximum charge.
    """
    expected = [
        Rate(
            "40",
            Tariff(
                price="0.02",
                per=60,
                first_interval=60,
                next_interval=60,
                connection_fee="0.01",
                maximum_charge="5",
            ),
            "Romania, fixed",
            "RDS",
        ),
        Rate("407", Tariff(price="0.003", per=1)),
        Rate("1", Tariff(price="0.01", per=6, first_interval=6, next_interval=6), "USA"),
    ]

    assert expected == list(deck('40,0.02,60,"Romania, fixed",RDS,0.01,5\n\n+407,0.003,1,,,,0\n1,0.01,6,USA\n'))


def test_other_price_lists_say_what_their_columns_are() -> None:
    """
    With a header any fields of a rate and its tariff stand in any order, and what is empty has its default.
    """
    text = (
        "Prefix;Connection Fee;Price;First interval;next_interval;Grace;Free seconds;"
        "Minimum charge;Convention;Network\n"
        "44;0.10;0.06;30;6;3;10;0.05;multiples;BT\n"
        "49;;0.05;;;;;;;\n"
    )
    found = deck(text, separator=";", name="retail")

    assert found.name == "retail"
    assert list(found) == [
        Rate(
            "44",
            Tariff(
                price="0.06",
                connection_fee="0.10",
                first_interval=30,
                next_interval=6,
                grace=3,
                free_seconds=10,
                minimum_charge="0.05",
                convention="multiples",
            ),
            network="BT",
        ),
        Rate("49", Tariff(price="0.05")),
    ]


def test_a_workbook_is_read_with_its_numbers() -> None:
    """
    Numbers of a workbook are amounts and seconds as people see them there.
    """
    book, file = Workbook(), BytesIO()
    assert book.active is not None
    for row in (["Area Code", "Cost", "Charge Interval"], ["40", 0.1 + 0.2, 60], [1242, 1, 1]):
        book.active.append(row)
    book.save(file)
    file.seek(0)

    assert [(rate.prefix, rate.tariff.price, rate.tariff.per) for rate in read_deck(file)] == [
        ("40", Credit("0.3"), 60),
        ("1242", Credit(1), 1),
    ]


@pytest.mark.parametrize(
    "text, expected",
    [
        ("x40,0.02,60\n", [(1, "prefix", "prefix")]),
        (",0.02,60\n", [(1, "prefix", "missing")]),
        ("40,,60\n", [(1, "price", "missing")]),
        ("40,0.02\n", [(1, "charge_interval", "missing")]),
        ("40,0.02,60\n41,free,60\n", [(2, "price", "not_a_number")]),
        ("40,-1,60\n", [(1, "price", "negative")]),
        ("40,1,60,a,b,-1,\n", [(1, "connection_fee", "negative")]),
        ("40,1,60,a,b,0,-1\n", [(1, "maximum_charge", "negative")]),
        ("40,1,60,a,b,unlimited,\n", [(1, "connection_fee", "out_of_range")]),
        ("40,1,60,a,b,,Unlimited\n", [(1, "maximum_charge", "out_of_range")]),
        ("prefix,price,minimum charge\n40,1,unlimited\n", [(2, "minimum_charge", "out_of_range")]),
        ("prefix,price,per\n40,1,0\n", [(2, "per", "out_of_range")]),
        ("40,1,60,a\tb\n", [(1, "description", "out_of_range")]),
        ("40,1,31622401\n", [(1, "charge_interval", "out_of_range")]),
        ("40,0.0000001,60\n", [(1, "price", "too_precise")]),
        ("40,0.02,1.5\n", [(1, "charge_interval", "not_seconds")]),
        ("40,0.02,-60\n", [(1, "charge_interval", "not_seconds")]),
        ("40,0.02,0\n", [(1, "charge_interval", "out_of_range")]),
        ("40,u,60\n", [(1, "price", "not_a_number")]),
        ("40,unlimited,60\n", [(1, "price", "out_of_range")]),
        ("40,0.02,60,a,b,0,0,extra\n", [(1, "", "too_many_fields")]),
        ("40,0.02,60\n41,1,1\n40,0.03,60\n", [(3, "prefix", "repeated")]),
        ("40,0.02,60\n+40,0.03,60\n", [(2, "prefix", "repeated")]),
        ("prefix,price,price\n40,1,1\n", [(1, "", "header")]),
        ("price,description\n1,a\n", [(1, "", "header")]),
        ("prefix,price,convention\n40,1,each\n", [(2, "convention", "out_of_range")]),
        ("prefix,price,minimum charge,maximum charge\n40,1,2,1\n", [(2, "maximum_charge", "out_of_range")]),
        ("40,1,x\n41,y,1\n", [(1, "charge_interval", "not_seconds"), (2, "price", "not_a_number")]),
    ],
)
def test_bad_rows_are_named(text: str, expected: list[tuple[int, str, str]]) -> None:
    """
    A price list with a bad row is refused, and every bad row is named with its number, its column and the reason.
    """
    assert expected == refused(text)


def test_no_price_list_is_no_deck() -> None:
    """
    An empty file has no rates, and what is no table is refused as any file is.
    """
    with pytest.raises(InvalidValueError) as empty:
        deck("")
    assert empty.value.name == "rates"
    with pytest.raises(SheetError):
        deck("\x00\x00")


FIELDS = st.text("0123456789.,+-u \t'\"=", max_size=8)


@given(st.lists(st.lists(FIELDS, min_size=1, max_size=9), min_size=1, max_size=8))
def test_any_file_is_a_deck_or_is_refused(rows: list[list[str]]) -> None:
    """
    Whatever stands in a file, it becomes a deck or is refused with a reason of ours.
    """
    text = "\n".join(",".join('"' + field.replace('"', '""') + '"' for field in row) for row in rows)
    found = outcome(lambda: list(deck(text)))

    assert isinstance(found, tuple) or len(found) >= 1
