"""
The limits of guessing: what the defaults are, and what is no limit.
"""

from __future__ import annotations

import math
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voipcard.core.policy import Policy
from voipcard.errors import InvalidValueError


def test_the_defaults_are_those_of_the_documentation() -> None:
    """
    10,000 sources with ten guesses a day for a year, one in a thousand, a fifth, and no weak PINs.
    """
    assert Policy(guesses=36_500_000, odds_limit=0.001, fill_limit=0.2, allow_weak_pins=False) == Policy()


@given(
    st.integers(1, 2**63 - 1),
    st.floats(0, 1, exclude_min=True),
    st.floats(0, 1, exclude_min=True),
    st.booleans(),
)
def test_every_policy_within_the_ranges_is_kept_as_it_is(
    guesses: int,
    odds_limit: float,
    fill_limit: float,
    allow_weak_pins: bool,  # noqa: FBT001
) -> None:
    """
    A policy says what it was told.
    """
    policy = Policy(guesses=guesses, odds_limit=odds_limit, fill_limit=fill_limit, allow_weak_pins=allow_weak_pins)

    assert (guesses, odds_limit, fill_limit, allow_weak_pins) == attrs.astuple(policy)


@pytest.mark.parametrize(
    "name, value",
    [
        ("guesses", 0),
        ("guesses", -1),
        *((name, value) for name in ("odds_limit", "fill_limit") for value in (0, -0.1, 1.0001, math.inf, math.nan)),
    ],
)
def test_what_is_no_limit_is_refused(name: str, value: float) -> None:
    """
    A policy outside the ranges cannot exist, and the argument at fault is named.
    """
    arguments: dict[str, Any] = {name: value}

    with pytest.raises(InvalidValueError) as caught:
        Policy(**arguments)
    assert name == caught.value.name


def test_a_policy_cannot_be_changed() -> None:
    """
    A policy is a value.
    """
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Policy().guesses = 1  # type: ignore[misc]
