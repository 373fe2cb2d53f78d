"""
Licenses and quotas: three numbers that always fit together.
"""

from __future__ import annotations

import pickle
from typing import Any, Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voipcard.core.license import License, Quota
from voipcard.errors import InvalidValueError

limits: Final = st.none() | st.integers(0, 2**63 - 1)
counts: Final = st.integers(0, 2**63 - 1)


@given(limits)
def test_a_license_is_a_number_or_none(limit: int | None) -> None:
    """
    A license says what it was told, and survives pickling.
    """
    license_ = License(max_active_codes=limit)

    assert limit == license_.max_active_codes
    assert license_ == pickle.loads(pickle.dumps(license_))  # noqa: S301
    assert license_ == License(**attrs.asdict(license_))


def test_without_a_number_any_number_is_allowed() -> None:
    """
    The license that says nothing is the one without a limit.
    """
    assert License() == License.unlimited() == License(max_active_codes=None)


@pytest.mark.parametrize("limit", [-1, 2**63, 1.0, float("nan"), float("inf"), True, False, "10", b"10", [10]])
def test_what_is_no_number_is_refused(limit: Any) -> None:  # noqa: ANN401 - anything at all
    """
    A limit is a whole number that a store can hold.
    """
    with pytest.raises(InvalidValueError) as caught:
        License(max_active_codes=limit)
    assert caught.value.name == "max_active_codes"


def test_a_license_cannot_be_changed() -> None:
    """
    A license is a value.
    """
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        License(max_active_codes=1).max_active_codes = 2  # type: ignore[misc]


@given(limits, counts)
def test_the_three_numbers_fit_together(limit: int | None, active: int) -> None:
    """
    What remains is what is missing up to the limit, never less than none; and one can be added if something remains.
    """
    quota = Quota(limit, active)

    if limit is None:
        assert quota.remaining is None
        assert quota.can_add
    else:
        assert max(limit, active) == active + (quota.remaining or 0)
        assert (active < limit) == quota.can_add == (quota.remaining != 0)
    assert quota == pickle.loads(pickle.dumps(quota))  # noqa: S301


@given(limits, counts, counts)
def test_the_remainder_follows_the_other_two(limit: int | None, active: int, later: int) -> None:
    """
    The remainder cannot be said apart from the numbers that it follows from.
    """
    assert Quota(limit, later) == attrs.evolve(Quota(limit, active), active=later)
    with pytest.raises(TypeError):
        Quota(limit, active, remaining=1)  # type: ignore[call-arg]
