"""
The quota of one extension: the smaller of its own and what the license leaves, however many want the last place.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.book_world import (
    EXTENSION,
    LAX,
    OTHER,
    Meddled,
    book_on,
    file_book,
    in_processes,
    in_threads,
    new_book,
    outcome,
    sound,
)
from voipcard import CardQuery, License, Quota, UploadReport
from voipcard.errors import QuotaExceededError
from voipcard.stores import Changes, SQLiteStore

LIMITS = st.none() | st.integers(0, 6)


def smaller(limit: int | None, active: int, own: int | None, own_active: int) -> Quota:
    """
    Give the quota that leaves less, by a rule of its own: the book's where both leave as much.
    """
    left = [
        float("inf") if most is None else max(0, most - used) for most, used in [(limit, active), (own, own_active)]
    ]

    return Quota(own, own_active) if left[1] < left[0] else Quota(limit, active)


@settings(max_examples=60)
@given(LIMITS, LIMITS, st.integers(0, 3), st.integers(0, 3), st.integers(1, 4))
def test_the_smaller_limit_counts(
    limit: int | None, own: int | None, elsewhere: int, here: int, requested: int
) -> None:
    """
    Whatever is active in the book and in the extension, the limit that leaves less is shown and decides.

    A refusal has its numbers, and other extensions go by the license alone.
    """
    book = new_book(policy=LAX)
    extension, other = book.extension(EXTENSION), book.extension(OTHER)
    for target, count in [(other, elsewhere), (extension, here)]:
        for _ in range(count):
            target.generate(1)
    book.install_license(License(limit))
    extension.configure(max_active_codes=own)
    expected = smaller(limit, elsewhere + here, own, here)
    seen, seen_elsewhere = extension.quota, other.quota
    answer = outcome(lambda: extension.generate(requested).size)
    fits = expected.remaining is None or requested <= expected.remaining

    assert seen == expected
    assert seen_elsewhere == Quota(limit, elsewhere + here)
    assert answer == (requested if fits else (QuotaExceededError, expected.limit, expected.active, requested))
    assert sound(book) == ()


def test_every_way_to_activate_keeps_to_it() -> None:
    """
    Generating, adding, uploading and enabling are refused with the numbers of the extension.

    Cards that are not enabled can always be made, and disabling makes room.
    """
    book = new_book(policy=LAX, license=License(100))
    extension = book.extension(EXTENSION)
    extension.configure(max_active_codes=2)
    batch = extension.generate(2)
    spare = extension.generate(2, enabled=False)
    refused = [
        outcome(lambda: extension.generate(1)),
        outcome(lambda: extension.generate(1, dry_run=True)),
        outcome(lambda: extension.add("7700")),
        outcome(lambda: extension.upload(BytesIO(b"7701,,,\n"))),
        outcome(lambda: extension.enable(spare[0].serial)),
    ]
    extension.disable(batch[0].serial)
    enabled = extension.enable(spare[0].serial)

    assert refused == [(QuotaExceededError, 2, 2, 1)] * 5
    assert enabled == 1
    assert extension.quota == Quota(2, 2)
    assert not extension.quota.can_add
    assert book.extension(OTHER).generate(5).size == 5


def test_an_upload_reports_the_quota_that_counts() -> None:
    """
    The report of an upload has what can be added to the extension after it.
    """
    book = new_book(policy=LAX, license=License(100))
    extension = book.extension(EXTENSION)
    extension.configure(max_active_codes=3)
    report = extension.upload(BytesIO(b"7701,,,\n7702,,,\n")).report
    assert isinstance(report, UploadReport)

    assert report.quota == extension.quota == Quota(3, 2)


def test_a_lower_limit_disables_nothing() -> None:
    """
    Below what is active, nothing more can be activated until enough is disabled; None takes the limit away.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    batch = extension.generate(3)
    extension.configure(max_active_codes=1)
    shown = extension.quota
    refused = outcome(lambda: extension.generate(1))
    extension.disable(CardQuery(batch=batch.id))
    extension.generate(1)
    extension.configure(max_active_codes=None)

    assert (shown, shown.remaining) == (Quota(1, 3), 0)
    assert refused == (QuotaExceededError, 1, 3, 1)
    assert extension.quota == Quota(None, 1)


def test_a_limit_that_is_set_meanwhile_holds() -> None:
    """
    Where the limit is lowered between the reading and the commit of an activation, the new one decides.
    """
    store = Meddled()
    extension = book_on(store).extension(EXTENSION)
    extension.configure(max_active_codes=5)
    other = book_on(store).extension(EXTENSION)
    store.meddle = lambda: other.configure(max_active_codes=1)

    assert outcome(lambda: extension.generate(2)) == (QuotaExceededError, 1, 0, 2)


def _taking(path: Path, _number: int) -> int:
    book = file_book(path)
    taken = 0
    try:
        while True:
            book.extension(EXTENSION).generate(1)
            taken += 1
    except QuotaExceededError:
        return taken
    finally:
        book.close()


def test_processes_take_exactly_the_limit(tmp_path: Path) -> None:
    """
    Processes that activate until they are refused leave as many active codes as the extension may have.
    """
    path = tmp_path / "cards.db"
    book = file_book(path, license=License(50))
    extension = book.extension(EXTENSION)
    extension.configure(max_active_codes=20)
    taken = in_processes(_taking, path, times=4)

    assert sum(taken) == 20
    assert extension.count(enabled=True) == 20
    assert sound(book) == ()
    book.close()


class _NoCeiling(SQLiteStore):
    """
    A store that counts and checks no ceiling: what the engine looked at before is all that is left.
    """

    def commit(self, changes: Changes) -> None:
        """
        Commit without any ceiling.
        """
        super().commit(attrs.evolve(changes, counters=[change._replace(ceiling=None) for change in changes.counters]))


def _overrun(store: type[SQLiteStore], path: Path) -> int:
    book = book_on(store(path))
    extension = book.extension(EXTENSION)
    extension.configure(max_active_codes=20)
    spare = [handout.serial for handout in extension.generate(64, enabled=False)]

    def take(number: int) -> None:
        for serial in spare[number::8]:
            outcome(lambda serial=serial: extension.enable(serial))  # type: ignore[misc]

    in_threads(take, 8)
    active = extension.count(enabled=True)
    book.close()

    return active


def test_threads_enable_exactly_the_limit_and_a_store_without_ceilings_is_found_out(tmp_path: Path) -> None:
    """
    The ceiling in the commit is what keeps the limit: with it 20 are enabled, and without it more.
    """
    assert _overrun(SQLiteStore, tmp_path / "kept.db") == 20
    assert _overrun(_NoCeiling, tmp_path / "broken.db") > 20


@pytest.mark.parametrize("on_error", ["refuse", "skip"])
def test_an_upload_over_the_limit_adds_nothing(on_error: str) -> None:
    """
    However bad rows are treated, a file that does not fit is refused whole.
    """
    extension = new_book(policy=LAX).extension(EXTENSION)
    extension.configure(max_active_codes=1)
    answer = outcome(lambda: extension.upload(BytesIO(b"7701,,,\n7702,,,\n"), on_error=on_error))  # type: ignore[arg-type]

    assert answer == (QuotaExceededError, 1, 0, 2)
    assert extension.count() == 0
