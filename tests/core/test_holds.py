"""
Holds as a card's record keeps them: nothing is lost on the way, and what has run out is out.
"""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voipcard.core.credit import Credit
from voipcard.core.holds import Hold, KeptHold, kept, packed, unpacked
from voipcard.errors import InvalidValueError

LIMIT: Final = 2**63 - 2
BEGUN: Final = datetime(2026, 3, 14, tzinfo=UTC)

moments: Final = st.one_of(st.integers(0, 20), st.integers(-LIMIT, LIMIT))
kept_holds: Final = st.builds(
    KeptHold,
    id=st.binary(min_size=16, max_size=16).map(bytes.hex),
    amount=st.integers(0, LIMIT),
    begun_at=moments,
    expires_at=moments,
    prefix=st.text("0123456789", max_size=32),
    rest=st.binary(max_size=80).map(bytes.hex),
    deck=st.sampled_from(["", "0f" * 16]),
)
lists: Final = st.lists(kept_holds, max_size=6)


@given(lists)
def test_a_record_keeps_holds_as_they_are(holds: list[KeptHold]) -> None:
    """
    What was packed is unpacked: the same holds, in their order, of the same types.
    """
    back = unpacked(packed(holds))

    assert holds == back
    assert [[type(field) for field in hold] for hold in holds] == [[type(field) for field in hold] for hold in back]


@given(lists, lists)
def test_different_holds_are_kept_differently(first: list[KeptHold], second: list[KeptHold]) -> None:
    """
    Equal bytes mean equal holds, so that signing the bytes signs the holds.
    """
    assert (first == second) == (packed(first) == packed(second))


def test_a_card_without_holds_keeps_nothing() -> None:
    """
    Most cards have none: nothing is stored for them and nothing is parsed.
    """
    assert packed([]) == b""
    assert unpacked(b"") == []


def test_a_hold_of_no_call_needs_no_call() -> None:
    """
    What only calls have may be left out, also by what was stored before there were calls.
    """
    assert [KeptHold("0f" * 16, 5, 1, 2, "", "", "")] == unpacked(b'[["%s",5,1,2]]' % (b"0f" * 16))


@given(lists, moments, moments)
def test_a_hold_lasts_until_its_moment(holds: list[KeptHold], now: int, later: int) -> None:
    """
    It is there before `expires_at` and gone from then on; the others stay as they are, in their order.

    What is gone does not come back while time goes on.
    """
    now, later = sorted((now, later))
    left = kept(holds, now)

    assert [hold for hold in holds if now < hold.expires_at] == left
    assert kept(holds, later) == kept(left, later)


def hold(*, replayed: bool) -> Hold:
    """
    Make a hold.
    """
    return Hold("0f" * 16, "K7QX-000001", Credit(3), BEGUN, BEGUN + timedelta(hours=1), replayed)


def test_a_replayed_hold_is_the_same_hold() -> None:
    """
    Being told again does not make another hold of it; it goes from process to process, and nobody changes it.
    """
    first, again = hold(replayed=False), hold(replayed=True)

    assert first == again
    assert hash(first) == hash(again)
    assert first == pickle.loads(pickle.dumps(first))  # noqa: S301 - our own
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        first.amount = Credit(1)  # type: ignore[misc]


@pytest.mark.parametrize(
    "id", ["", "0f" * 15, "0f" * 17, "0F" * 16, "0g" * 16, "\u0660" * 32, "0f" * 16 + "\n", None, 5]
)
def test_what_is_no_hold_is_refused(id: Any) -> None:  # noqa: ANN401 - what is refused
    """
    A hold that was written down in another way and read again is refused, before anything is taken for it.
    """
    with pytest.raises(InvalidValueError) as refused:
        attrs.evolve(hold(replayed=False), id=id)

    assert refused.value.name == "id"
