"""
Licenses and quotas: three numbers that always fit together, and when somebody's word about them holds.
"""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voipcard.core.license import CLOCK_TOLERANCE, License, LicenseState, Quota, SignedLicense
from voipcard.errors import InvalidValueError, LicenseError

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


# Signed licenses

BOOK: Final = "0" * 31 + "7"
ISSUED: Final = datetime(2026, 3, 1, 9, tzinfo=UTC)
MOMENT: Final = timedelta(microseconds=1)

moments: Final = st.datetimes(datetime(1980, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def signed(**terms: Any) -> SignedLicense:  # noqa: ANN401 - the fields of one
    """
    Make a license that says it was signed.
    """
    given = {"max_active_codes": 10, "id": "L-1", "customer": "ACME", "book_id": BOOK, "issued_at": ISSUED}
    dates = {"not_before": None, "expires_at": None}

    return SignedLicense(**{**given, **dates, "key_id": "vendor", "text": "signed", **terms})


def problem(license: SignedLicense, **facts: Any) -> str:  # noqa: ANN401 - what the rule is told
    """
    Tell what is wrong with a license, a year after it was issued if nothing else is said.
    """
    now = ISSUED + timedelta(days=365)

    return license.problem(**{"book_id": BOOK, "newest": ISSUED, "now": now, "last_seen": now, **facts})


def test_a_license_without_dates_always_holds() -> None:
    """
    Where nothing says until when, no clock can be wrong.
    """
    for days in (-10_000, 0, 10_000):
        assert problem(signed(), now=ISSUED + timedelta(days=days), last_seen=ISSUED) == ""


@given(moments, st.timedeltas(timedelta(days=2), timedelta(days=3000)))
def test_a_license_holds_from_its_first_moment_to_its_last(begin: datetime, length: timedelta) -> None:
    """
    It holds when it begins, and does not any more when it ends.
    """
    license_ = signed(issued_at=begin, not_before=begin, expires_at=begin + length)
    nows = [begin - MOMENT, begin, begin + length - MOMENT, begin + length]

    assert [problem(license_, newest=begin, now=now, last_seen=begin) for now in nows] == [
        "not_yet_valid",
        "",
        "",
        "expired",
    ]


@given(moments, st.timedeltas(timedelta(days=-30), timedelta(days=30)), st.booleans())
def test_a_clock_that_was_set_back_is_noticed(now: datetime, ahead: timedelta, in_book: bool) -> None:  # noqa: FBT001
    """
    A clock may be behind what is known by the tolerance, whether the book or the license knows it, and no further.
    """
    known, earlier = now + ahead, now - timedelta(days=40)
    issued = earlier if in_book else known
    license_ = signed(issued_at=issued, expires_at=now + timedelta(days=100))
    found = problem(license_, newest=issued, now=now, last_seen=known if in_book else earlier)

    assert found == ("clock" if ahead > CLOCK_TOLERANCE else "")
    assert problem(attrs.evolve(license_, expires_at=None), newest=issued, now=now, last_seen=known) == ""


@given(st.timedeltas(timedelta(days=-30), timedelta(days=30)))
def test_an_older_license_is_told_from_a_newer_one(age: timedelta) -> None:
    """
    What was signed before the newest that was seen does not hold; what was signed at the same moment does.
    """
    assert problem(signed(), newest=ISSUED + age) == ("older" if age > timedelta(0) else "")
    assert problem(signed(), newest=None) == ""


def test_a_license_is_for_one_book_or_for_any() -> None:
    """
    Another book's license does not hold, whatever else is right or wrong with it.
    """
    assert problem(signed(book_id="1" * 32)) == problem(signed(book_id="1" * 32), newest=ISSUED + MOMENT) == "foreign"
    assert problem(signed(book_id=None)) == ""


def test_every_problem_has_a_sentence() -> None:
    """
    What the rule says is a reason that the error knows.
    """
    words = {"foreign", "older", "clock", "not_yet_valid", "expired"}

    assert len({str(LicenseError(word)) for word in words}) == len(words)


@pytest.mark.parametrize(
    "field, value",
    [
        *(("id", ""), ("id", "a\nb"), ("id", 5), ("customer", ""), ("customer", "x" * 256), ("customer", None)),
        *(("book_id", ""), ("book_id", BOOK[1:]), ("book_id", BOOK.replace("7", "G")), ("book_id", 7)),
        *(("issued_at", None), ("issued_at", datetime(2026, 3, 1)), ("issued_at", 0)),  # noqa: DTZ001 - refused
        *(("not_before", "2026-03-01"), ("expires_at", datetime(2026, 3, 1)), ("expires_at", ISSUED)),  # noqa: DTZ001
        *(("max_active_codes", -1), ("max_active_codes", True), ("max_active_codes", "10")),
    ],
)
def test_what_makes_no_sense_is_no_license(field: str, value: object) -> None:
    """
    A license without a name, a customer, a moment of its own or a time in which it holds cannot be made.
    """
    with pytest.raises(InvalidValueError) as caught:
        signed(**{field: value})
    assert field == caught.value.name


def test_a_license_ends_after_it_begins() -> None:
    """
    It is refused if there is no moment in which it holds.
    """
    later = ISSUED + timedelta(days=9)

    assert signed(not_before=later, expires_at=later + MOMENT).not_before == later
    with pytest.raises(InvalidValueError):
        signed(not_before=later, expires_at=later)


def test_moments_are_in_utc() -> None:
    """
    Whatever time zone they were given in, they are the same moments, and the licenses are equal.
    """
    there = timezone(timedelta(hours=5))
    license_ = signed(issued_at=ISSUED.astimezone(there), expires_at=(ISSUED + MOMENT).astimezone(there))

    assert license_ == signed(expires_at=ISSUED + MOMENT)
    assert license_.issued_at.tzinfo is UTC
    assert license_ == pickle.loads(pickle.dumps(license_))  # noqa: S301


def test_a_signed_license_is_never_equal_to_a_number() -> None:
    """
    A license that anybody can write down is not one that somebody has signed.
    """
    assert signed() != License(10)
    assert isinstance(signed(), License)
    assert "text" not in repr(signed())


# What a book has


def test_what_does_not_hold_allows_nothing() -> None:
    """
    The license in force is the installed one, or none for any code at all.
    """
    assert LicenseState(signed()).in_force == signed()
    assert LicenseState(License.unlimited()).holds
    for license_ in (None, signed(), License.unlimited()):
        state = LicenseState(license_, "expired")
        assert (False, License(0)) == (state.holds, state.in_force)
    assert LicenseState(None).in_force == License(0)
