"""
The audit trail as it is read: all of it in the order of time, and as a feed that gives each entry exactly once.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.book_world import (
    EXTENSION,
    MORNING,
    PATIENCE,
    Clock,
    Meddled,
    book_on,
    engine_of,
    file_book,
    in_processes,
    in_threads,
    new_book,
    outcome,
)
from voipcard import AuditEntry, CardBook
from voipcard.errors import CursorError, InvalidValueError, TamperedError
from voipcard.names import TRAIL
from voipcard.stores import AuditRecord, Changes, MemoryStore
from voipcard.trail import lane_of


def relabel(book: CardBook, label: object = "Main") -> None:
    """
    Do something that leaves an audit entry.
    """
    book.label_extension(EXTENSION, str(label))


def label_of(entry: AuditEntry) -> str:
    """
    Tell which of those it was.
    """
    return str(entry.detail["after"]["label"])


def in_many_lanes(clock: Clock, count: int) -> tuple[MemoryStore, CardBook]:
    """
    Make a book with one entry in each of several lanes, or more in some.
    """
    store = MemoryStore()
    first = book_on(store, clock=clock)
    for number in range(count):
        clock.move(seconds=1)
        relabel(book_on(store.another(), clock=clock), number)

    return store, first


def fed(book: CardBook, cursor: str | None = None, limit: int = 1000) -> tuple[list[str], str]:
    """
    Read the feed until there is nothing new.
    """
    labels: list[str] = []
    while True:
        page = book.audit_page(limit=limit, cursor=cursor)
        cursor = page.next_cursor
        labels += map(label_of, page.entries)
        if not page.entries:
            return labels, cursor


# All of it


@settings(max_examples=30)
@given(st.integers(0, 60), st.integers(-5, 65), st.integers(-5, 65))
def test_the_trail_comes_oldest_first_and_between_two_moments(count: int, start: int, end: int) -> None:
    """
    Whatever lanes entries are in, they come in the order of time, and those of a period alone if that is asked for.
    """
    clock = Clock()
    _, book = in_many_lanes(clock, count)
    moments = [MORNING + timedelta(seconds=number + 1) for number in range(count)]
    created_from, created_before = MORNING + timedelta(seconds=start), MORNING + timedelta(seconds=end)
    found = book.audit_trail(created_from=created_from, created_before=created_before)

    assert moments == [entry.created_at for entry in book.audit_trail()]
    assert [moment for moment in moments if created_from <= moment < created_before] == [
        entry.created_at for entry in found
    ]


def test_moments_have_to_be_aware() -> None:
    """
    A moment without a time zone is refused when it is given, not when the first entry is wanted.
    """
    book = new_book()
    naive = datetime(2026, 1, 1)  # noqa: DTZ001 - that is what is refused

    with pytest.raises(InvalidValueError):
        book.audit_trail(created_from=naive)
    with pytest.raises(InvalidValueError):
        book.audit_trail(created_before=naive)
    assert list(book.audit_trail(created_from=datetime(2026, 1, 1, tzinfo=UTC))) == []


def test_what_was_done_later_in_a_lane_stays_later_when_the_clock_is_set_back() -> None:
    """
    Within a lane the trail keeps the order of what was done, whatever the clock said.
    """
    clock = Clock()
    book = new_book(clock=clock)
    for number, minutes in enumerate((5, -30, 1, 60)):
        clock.move(minutes=minutes)
        relabel(book, number)

    assert [label_of(entry) for entry in book.audit_trail()] == ["0", "1", "2", "3"]


# The feed


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(1, 7)), max_size=12))
def test_a_feed_gives_each_entry_once_however_it_is_asked(steps: list[tuple[int, int, int]]) -> None:
    """
    Whoever writes how much between two pages of whatever size: all pages together are all entries, each once.
    """
    store = MemoryStore()
    books = [book_on(store), *(book_on(store.another()) for _ in range(5))]
    got: list[str] = []
    cursor = None
    number = 0
    for writer, times, limit in steps:
        for _ in range(times):
            relabel(books[writer], number)
            number += 1
        page = books[0].audit_page(limit=limit, cursor=cursor)
        cursor = page.next_cursor
        got += map(label_of, page.entries)

        assert len(page.entries) <= limit
    rest, cursor = fed(books[0], cursor, limit=3)

    assert sorted(got + rest) == sorted(map(str, range(number)))
    assert fed(books[0], cursor) == ([], cursor)


def test_pages_come_about_in_the_order_of_time() -> None:
    """
    What was committed in time is read in the order of time, also over the borders of pages.
    """
    _, book = in_many_lanes(Clock(), 50)

    assert fed(book, limit=7)[0] == list(map(str, range(50)))


def test_a_feed_gives_what_was_committed_late_and_one_by_time_does_not() -> None:
    """
    An entry of a slow writer, with a moment before that of the last page, comes with the next page.

    The control: whoever asks for what is newer than the newest entry that he knows never sees it.
    """
    clock, store = Clock(), Meddled()
    slow, fast = book_on(store, clock=clock), book_on(store.another(), clock=clock)
    relabel(fast, "first")
    pages: list[tuple[list[str], str]] = []
    newest: list[datetime] = []

    def meddle() -> None:
        clock.move(seconds=5)
        relabel(fast, "fast")
        pages.append(fed(fast))
        newest.append(max(entry.created_at for entry in fast.audit_trail()))

    store.meddle = meddle
    slow.extension(EXTENSION).generate(1)
    page = fast.audit_page(cursor=pages[0][1])
    by_time = [entry.verb for entry in fast.audit_trail(created_from=newest[0] + timedelta(microseconds=1))]

    assert pages[0][0] == ["first", "fast"]
    assert [entry.verb for entry in page.entries] == ["generate"]
    assert by_time == []


def relabel_often(book: CardBook, name: str) -> None:
    """
    Leave many entries.
    """
    for turn in range(TURNS):
        relabel(book, f"{name} {turn}")


WRITERS = 3
TURNS = 30


def wrote_or_read(path: Path, number: int) -> list[str]:
    """
    Read the feed until all is there, as the first of several processes; write in two threads as one of the others.
    """
    with file_book(path) as book:
        if number:
            in_threads(lambda thread: relabel_often(book, f"{number} {thread}"), 2)
            return []
        got: list[str] = []
        cursor = None
        deadline = time.monotonic() + PATIENCE
        while len(got) < WRITERS * 2 * TURNS and time.monotonic() < deadline:
            page = book.audit_page(limit=20, cursor=cursor)
            cursor = page.next_cursor
            got += map(label_of, page.entries)
        rest, _ = fed(book, cursor)

        return got + rest


def test_a_feed_gives_each_entry_once_while_processes_write(tmp_path: Path) -> None:
    """
    With three processes of two threads each at work, who reads all the time gets every entry exactly once.
    """
    path = tmp_path / "cards.db"
    file_book(path).close()
    got = Counter(in_processes(wrote_or_read, path, times=WRITERS + 1)[0])
    expected = {
        f"{number} {thread} {turn}" for number in range(1, WRITERS + 1) for thread in range(2) for turn in range(TURNS)
    }

    assert expected == got.keys()
    assert set(got.values()) == {1}


# What is refused


@pytest.mark.parametrize("limit", [0, -1, 10_001, True, "5"])
def test_a_page_has_a_size(limit: int) -> None:
    """
    A page of no entries, or of more than 10,000, is refused.
    """
    with pytest.raises(InvalidValueError):
        new_book().audit_page(limit=limit)


@pytest.mark.parametrize(
    "spoil", [lambda text: text[:-1], lambda text: text[::-1], lambda _: "", lambda _: "€", lambda _: 7]
)
def test_a_damaged_cursor_is_refused(spoil: Callable[[str], str]) -> None:
    """
    A cursor that was changed is none, and so is one of another book.
    """
    book = new_book()
    relabel(book)
    cursor = book.audit_page().next_cursor

    assert outcome(lambda: book.audit_page(cursor=spoil(cursor))) == (CursorError,)
    assert outcome(lambda: new_book_with_other_keys().audit_page(cursor=cursor)) == (CursorError,)


def new_book_with_other_keys() -> CardBook:
    """
    Make a book of its own.
    """
    return new_book()


def test_a_book_that_is_again_what_it_was_does_not_feed_on() -> None:
    """
    Where entries that were read are gone, or others in their places, the feed says so instead of going on.
    """
    store = MemoryStore()
    book = book_on(store)
    relabel(book, "one")
    audit, documents = dict(store._audit), dict(store._documents)  # noqa: SLF001 - as a backup would
    relabel(book, "two")
    cursor = book.audit_page().next_cursor
    lane = lane_of(next(iter(store._audit)))[0]  # noqa: SLF001
    store._audit, store._documents = audit, documents  # noqa: SLF001
    restored = book_on(store)
    answer = (TamperedError, f"{TRAIL}{lane:02x}", "audit entry")

    assert outcome(lambda: restored.audit_page(cursor=cursor)) == answer
    for number in range(300):
        relabel(book_on(store.another()), number)
    assert outcome(lambda: restored.audit_page(cursor=cursor)) == answer


def test_an_entry_that_was_tampered_with_is_not_read_past() -> None:
    """
    Both ways to read stop where an entry was edited, deleted or put in.
    """
    edits: list[Callable[[dict[bytes, AuditRecord], bytes], object]] = [
        lambda audit, id: audit.update({id: audit[id]._replace(actor="mallory")}),
        lambda audit, id: audit.pop(id),
        lambda audit, id: audit.update({id[:10] + bytes(6): audit[id]._replace(id=id[:10] + bytes(6))}),
    ]
    for position in range(3):
        for edit in edits:
            store = MemoryStore()
            book = book_on(store)
            for number in range(3):
                relabel(book, number)
            edit(store._audit, sorted(store._audit)[position])  # noqa: SLF001 - with access to the data
            answers = [outcome(lambda: list(book.audit_trail())), outcome(book.audit_page)]  # noqa: B023 - used at once

            assert [TamperedError] * 2 == [answer[0] for answer in answers if isinstance(answer, tuple)]


def test_a_book_with_many_entries_is_read_piece_by_piece() -> None:
    """
    Every entry comes once, however many pieces a lane is read in.
    """
    book = new_book()
    engine = engine_of(book)
    for start in range(0, 5000, 1000):
        engine.commit(
            Changes(
                audit=[
                    each
                    for n in range(start, start + 1000)
                    for each in engine.audited("label", after={"label": str(n)})
                ]
            )
        )

    assert [label_of(entry) for entry in book.audit_trail()] == list(map(str, range(5000)))
    assert fed(book, limit=10_000)[0] == list(map(str, range(5000)))
