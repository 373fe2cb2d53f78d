"""
What is called after a commit: once for each audit entry, never for what was not committed, and never in its way.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from tests.book_world import EXTENSION, book_on, file_book, in_threads, new_book
from voipcard import AuditEntry, CardBook
from voipcard.errors import InvalidValueError, StoreFullError, UnknownCardError
from voipcard.stores import Changes, MemoryStore, SQLAlchemyStore


def listening(book: CardBook) -> list[AuditEntry]:
    """
    Remember what the hooks of a book are told.
    """
    told: list[AuditEntry] = []
    book.on_commit(told.append)

    return told


def test_every_entry_is_told_once_when_it_is_committed() -> None:
    """
    A hook is told what the audit trail has, in the same order, whoever acts.
    """
    book = new_book()
    told = listening(book)
    extension = book.acting_as("alice").extension(EXTENSION)
    [handout] = extension.generate(1, credit=5)
    extension.recharge(handout.serial, 1)
    extension.recharge(handout.serial, 1, order_number="PO-1")
    extension.recharge(handout.serial, 1, order_number="PO-1")
    book.acting_as("bob").label_extension(EXTENSION, "Main")
    extension.reveal(handout.serial)

    assert told == list(book.audit_trail())
    assert [entry.actor for entry in told] == ["alice"] * 3 + ["bob", "alice"]


def test_what_is_not_committed_is_not_told() -> None:
    """
    A refused call, a dry run and a failed commit tell nothing.
    """

    class Full(MemoryStore):
        is_full = False

        def commit(self, changes: Changes) -> None:
            if self.is_full:
                raise StoreFullError("the disk is full")
            super().commit(changes)

    store = Full()
    book = book_on(store)
    told = listening(book)
    extension = book.extension(EXTENSION)
    extension.generate(1, dry_run=True)
    with pytest.raises(UnknownCardError):
        extension.recharge("K7QX-000042", 1)
    store.is_full = True
    with pytest.raises(StoreFullError):
        extension.generate(1)

    assert told == []


def test_a_hook_sees_what_was_committed_and_may_write_itself() -> None:
    """
    When a hook is called all of it is in the book, and the hook may use the book.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    serials = [handout.serial for handout in extension.generate(2, credit=5)]
    seen: list[str] = []

    def hook(entry: AuditEntry) -> None:
        if entry.verb == "recharge" and entry.detail["serial"] == serials[0]:
            seen.append(str(extension[serials[0]].credit))
            extension.recharge(serials[1], 1)

    book.on_commit(hook)
    extension.recharge(serials[0], 7)

    assert seen == ["12.00"]
    assert str(extension[serials[1]].credit) == "6.00"


def test_what_a_hook_raises_is_logged_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    """
    A hook that fails changes nothing, and the others are called; what it says may be a secret and is not logged.
    """
    book = new_book()

    def hook(entry: AuditEntry) -> None:
        raise RuntimeError(f"the PIN is 8068: {entry}")

    book.on_commit(hook)
    told = listening(book)
    with caplog.at_level(logging.DEBUG):
        book.label_extension(EXTENSION, "Main")

    assert [entry.verb for entry in told] == ["label_extension"]
    assert [record.getMessage() for record in caplog.records] == [
        "a hook failed after label_extension was committed: RuntimeError"
    ]
    assert "8068" not in caplog.text


def test_threads_that_are_committed_together_are_told_once_each() -> None:
    """
    What several threads want at once is told as often as it is in the audit trail.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    serials = [handout.serial for handout in extension.generate(8)]
    told = listening(book)
    in_threads(lambda number: [extension.recharge(serials[number], 1) for _ in range(10)], 8)

    assert len(told) == 80
    assert {entry.id for entry in told} == {entry.id for entry in book.audit_trail() if entry.verb == "recharge"}


def test_a_hook_keeps_no_other_thread_waiting() -> None:
    """
    While a hook runs, other threads go on with what that thread has done, and it may wait for them.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    serials = [handout.serial for handout in extension.generate(2, credit=5)]
    done: list[bool] = []

    def hook(entry: AuditEntry) -> None:
        if entry.detail["serial"] == serials[0]:
            other = threading.Thread(target=extension.recharge, args=(serials[1], 1), daemon=True)
            other.start()
            other.join(10)
            done.append(not other.is_alive())

    book.on_commit(hook)
    extension.recharge(serials[0], 7)

    assert done == [True]
    assert str(extension[serials[1]].credit) == "6.00"


def test_a_hook_is_called_by_the_thread_whose_call_it_was() -> None:
    """
    Each thread is told what it did itself, also where several were committed together, and before its call returns.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    serials = [handout.serial for handout in extension.generate(8)]
    told: list[tuple[int, str]] = []
    book.on_commit(lambda entry: told.append((threading.get_ident(), entry.detail["serial"])))

    def work(number: int) -> list[int]:
        counts = []
        for _ in range(10):
            extension.recharge(serials[number], 1)
            counts.append(told.count((threading.get_ident(), serials[number])))

        return counts

    assert in_threads(work, 8) == [[*range(1, 11)]] * 8
    assert len(told) == 80


def test_a_joined_book_waits_for_its_transaction(tmp_path: Path) -> None:
    """
    What is written in a transaction of a caller's is told when he says that it was committed; never if it was not.
    """
    file_book(tmp_path / "own.db").close()
    engine = create_engine(f"sqlite:///{tmp_path / 'portal.db'}")
    book = book_on(SQLAlchemyStore(engine, create=True))
    told = listening(book)
    with engine.begin() as connection:
        same = book.over(SQLAlchemyStore(connection)).acting_as("portal")
        same.label_extension(EXTENSION, "committed")
        assert told == []
    same.release_hooks()
    same.release_hooks()
    with engine.connect() as connection:
        book.over(SQLAlchemyStore(connection)).label_extension(EXTENSION, "rolled back")
        connection.rollback()
    book.release_hooks()
    book.label_extension(EXTENSION, "direct")
    engine.dispose()

    assert [entry.detail["after"]["label"] for entry in told] == ["committed", "direct"]


def test_hooks_are_those_of_one_book() -> None:
    """
    Another handle on the same data tells its own hooks; the same book through another handle tells the same ones.
    """
    store = MemoryStore()
    book, other = book_on(store), book_on(store.another())
    told = listening(book)
    other.label_extension(EXTENSION, "by another")
    book.over(store.another()).label_extension(EXTENSION, "by the same")

    assert [entry.detail["after"]["label"] for entry in told] == ["by the same"]


async def awaited(entry: AuditEntry) -> None:
    """
    Do nothing with an entry, once somebody awaits it.
    """


@pytest.mark.parametrize("hook", ["print", None, awaited])
def test_a_hook_has_to_be_callable(hook: Any) -> None:  # noqa: ANN401 - what is refused
    """
    Something else is refused at once, not at the first commit; what nobody would await is something else.
    """
    with pytest.raises(InvalidValueError):
        new_book().on_commit(hook)
