"""
When cards expire: the earliest of what is given, moved by what happens to a card.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voipcard.core.expiry import Expiry, after_first_use, after_recharge, at_creation
from voipcard.core.moments import from_micros, to_micros
from voipcard.errors import InvalidValueError

MADE = datetime(2026, 3, 1, 9, tzinfo=UTC)
SECOND = 1_000_000


def days() -> st.SearchStrategy[int | None]:
    """
    Give numbers of days, most of them small enough to matter.
    """
    return st.none() | st.integers(1, 400) | st.just(36_500)


def expiries() -> st.SearchStrategy[Expiry]:
    """
    Give rules of every kind.
    """
    moments = st.datetimes(datetime(2026, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
    rules = [days() for _ in range(3)]

    return st.builds(
        Expiry,
        at=st.none() | moments,
        days_after_creation=rules[0],
        days_after_first_use=rules[1],
        days_after_recharge=rules[2],
    )


@given(expiries(), st.lists(st.tuples(st.integers(0, 300 * 86_400), st.sampled_from(["use", "recharge"])), max_size=8))
def test_what_is_kept_of_a_card_is_what_the_rule_says_of_its_facts(
    expiry: Expiry, happened: list[tuple[int, str]]
) -> None:
    """
    Moved step by step, by its first use and by each recharge, a card expires as the rule says of all that happened.
    """
    now = created = to_micros(MADE)
    used: int | None = None
    recharged: int | None = None
    kept = at_creation(expiry, created)
    for seconds, event in happened:
        now += seconds * SECOND
        if event == "recharge":
            recharged = now
            kept = after_recharge(expiry, kept, created_at=created, first_used_at=used, now=now)
        elif used is None:
            used = now
            kept = after_first_use(expiry, kept, now)
    said = expiry.expires_at(
        MADE,
        first_used_at=None if used is None else from_micros(used),
        recharged_at=None if recharged is None else from_micros(recharged),
    )

    assert said == (None if kept is None else from_micros(kept))


@given(expiries(), st.none() | st.integers(0, 2**51), st.none() | st.integers(0, 2**51), st.integers(0, 2**51))
def test_a_recharge_never_brings_the_end_nearer(
    expiry: Expiry, expires_at: int | None, used: int | None, now: int
) -> None:
    """
    Whatever an operator has set, a recharge leaves it or puts it off; what never expires goes on so.
    """
    moved = after_recharge(expiry, expires_at, created_at=to_micros(MADE), first_used_at=used, now=now)

    assert (moved is None) == (expires_at is None)
    assert moved is None or expires_at is None or moved >= expires_at


@given(expiries(), st.none() | st.integers(0, 2**51), st.integers(0, 2**51))
def test_a_first_use_never_puts_the_end_off(expiry: Expiry, expires_at: int | None, now: int) -> None:
    """
    The first use sets an end where the rule says so, and the earlier one holds.
    """
    moved = after_first_use(expiry, expires_at, now)

    assert expires_at is None or (moved is not None and moved <= expires_at)
    assert (moved is None) == (expires_at is None and expiry.days_after_first_use is None)


@pytest.mark.parametrize(
    "rule, expected",
    [
        ({}, None),
        ({"at": MADE + timedelta(days=9)}, 9),
        ({"days_after_creation": 30}, 30),
        ({"days_after_recharge": 40}, 40),
        ({"days_after_first_use": 5}, None),
        ({"at": MADE + timedelta(days=9), "days_after_creation": 30, "days_after_recharge": 2}, 2),
    ],
)
def test_the_earliest_moment_counts(rule: dict[str, Any], expected: int | None) -> None:
    """
    A new card expires at the earliest moment that is known; its initial credit is its first recharge.
    """
    said = Expiry(**rule).expires_at(MADE)

    assert (None if expected is None else MADE + timedelta(days=expected)) == said


def test_cards_without_a_rule_stay_as_they_are() -> None:
    """
    Where the batch has no rule, neither a first use nor a recharge moves anything.
    """
    assert at_creation(None, 5) is None
    assert after_first_use(None, 7, 9) == 7
    assert after_recharge(None, 7, created_at=1, first_used_at=None, now=9) == 7


@given(expiries())
def test_a_rule_comes_back_from_what_is_kept_of_it(expiry: Expiry) -> None:
    """
    What is kept goes through JSON and gives an equal rule.
    """
    kept = json.loads(json.dumps(expiry.kept()))

    assert expiry == Expiry.of_kept(kept)


@pytest.mark.parametrize("name", ["days_after_creation", "days_after_first_use", "days_after_recharge"])
@pytest.mark.parametrize("value", [0, -1, 36_501, True, "30", 1.5])
def test_days_are_whole_numbers_within_a_hundred_years(name: str, value: object) -> None:
    """
    Anything else is refused with the name of the rule.
    """
    with pytest.raises(InvalidValueError) as caught:
        Expiry(**{name: value})  # type: ignore[arg-type]

    assert name == caught.value.name


@pytest.mark.parametrize("moment", [datetime(2026, 3, 1), "2026-03-01", 5])  # noqa: DTZ001
def test_a_moment_is_aware(moment: Any) -> None:  # noqa: ANN401
    """
    A moment without its zone is refused, in a rule and in what is known of a card.
    """
    with pytest.raises(InvalidValueError):
        Expiry(at=moment)
    with pytest.raises(InvalidValueError):
        Expiry(days_after_creation=1).expires_at(moment)


def test_the_end_of_time_is_the_latest() -> None:
    """
    Cards that would expire after the year 9999 expire at its end.
    """
    late = datetime(9990, 1, 1, tzinfo=UTC)

    assert datetime.max.replace(tzinfo=UTC) == Expiry(days_after_creation=36_500).expires_at(late)
