"""
Values that the tests of files share.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from voipcard.core.cards import CardCode, Handout
from voipcard.core.credit import UNLIMITED, Credit
from voipcard.core.ledger import LedgerEntry

NOON = datetime(2026, 3, 14, 12, 30, 15, 250_000, tzinfo=UTC)


@pytest.fixture
def handout() -> Handout:
    """
    Make a hand-out with leading zeros.
    """
    return Handout("K7QX-000042", "0003*215", "code", "0077001834221", "0482", Credit("12.50"), "PO-117")


@pytest.fixture
def card() -> Callable[[int], CardCode]:
    """
    Make cards that differ in their number.
    """

    def make(number: int) -> CardCode:
        return CardCode(
            serial=f"K7QX-{number:06}",
            extension="0003*215",
            batch="K7QX",
            kind="caller_id" if number % 2 else "code",
            has_pin=number % 2 == 0,
            enabled=number % 3 == 0,
            credit=Credit("12.50"),
            total_credit=UNLIMITED,
            held=Credit("2.25"),
            recharge_count=number,
            created_at=NOON,
            first_used_at=NOON if number % 2 else None,
            expires_at=None,
            order_number="=1+1",
            labels=("kiosk", "summer"),
            id=b"\0" * 16,
            version=1,
        )

    return make


@pytest.fixture
def entry() -> LedgerEntry:
    """
    Make a recharge that took something.
    """
    return LedgerEntry(
        serial="K7QX-000042",
        extension="0003*215",
        batch="K7QX",
        sequence=2,
        kind="recharge",
        amount=Credit("-10.00"),
        credit_left=Credit("2.50"),
        held_left=Credit(0),
        order_number="+PO-118",
        created_at=NOON,
        actor="alice",
    )
