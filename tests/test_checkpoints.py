"""
Signed checkpoints: a book that is older than what was signed is found, however much was done to it afterwards.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.book_world import EXTENSION, Clock, book_on, file_book, new_book, outcome, sound
from voipcard import CardBook, Finding, SigningKey
from voipcard.errors import InvalidValueError, SignatureError
from voipcard.names import TRAIL
from voipcard.stores import MemoryStore
from voipcard.trail import lane_of

KEY = SigningKey.generate("audit-2026")


def found(book: CardBook, text: str) -> tuple[Finding, ...]:
    """
    Tell what verification finds with a checkpoint.
    """
    return book.verify(checkpoint=text, keys=[KEY.verify_key]).findings


def test_a_book_that_goes_on_fits_its_checkpoints() -> None:
    """
    Every checkpoint of the past holds, however much was done since.
    """
    book = new_book(clock=Clock()).acting_as("alice")
    extension = book.extension(EXTENSION)
    texts = [book.checkpoint(KEY)]
    for number in range(4):
        [handout] = extension.generate(1, credit=5)
        texts.append(book.checkpoint(KEY))
        extension.recharge(handout.serial, number + 1)
        extension.reveal(handout.serial)
        texts.append(book.checkpoint(KEY))

    assert [()] * len(texts) == [found(book, text) for text in texts]


@settings(max_examples=15)
@given(st.integers(0, 3), st.integers(0, 5))
def test_a_roll_back_of_all_of_the_book_is_found(before: int, after: int) -> None:
    """
    A copy from before the checkpoint is sound in itself; the checkpoint tells, also after it was written to again.
    """
    store = MemoryStore()
    book = book_on(store).acting_as("alice")
    [handout] = book.extension(EXTENSION).generate(1, credit=5)
    for _ in range(before):
        book.extension(EXTENSION).reveal(handout.serial)
    names = [name for name, value in vars(store).items() if isinstance(value, dict)]
    backup: dict[str, Any] = {name: dict(vars(store)[name]) for name in names}
    book.extension(EXTENSION).reveal(handout.serial)
    text = book.checkpoint(KEY)
    vars(store).update(backup)
    # The same process goes on in the same lane.
    restored = book_on(store).acting_as("mallory")
    for number in range(after):
        restored.label_extension(EXTENSION, str(number))

    assert sound(restored) == ()
    assert "checkpoint" in {finding.part for finding in found(restored, text)}


def test_a_file_that_was_restored_is_found(tmp_path: Path) -> None:
    """
    The same with files: what is put back from a backup is older than the checkpoint, in the lanes that it names.
    """
    path, backup = tmp_path / "cards.db", tmp_path / "backup.db"
    with file_book(path) as book:
        book.extension(EXTENSION).generate(3, credit=5)
    shutil.copy(path, backup)
    with file_book(path) as book:
        [serial, *_] = [card.serial for card in book.extension(EXTENSION)]
        book.extension(EXTENSION).recharge(serial, 100)
        text = book.checkpoint(KEY)
        assert found(book, text) == ()
        [newest] = [entry.id for entry in book.audit_trail() if entry.verb == "recharge"]
    shutil.copy(backup, path)
    with file_book(path) as book:
        assert sound(book) == ()
        assert found(book, text) == (Finding(f"{TRAIL}{lane_of(newest)[0]:02x}", "checkpoint"),)


def test_a_lane_that_is_cut_with_its_head_is_found_by_a_checkpoint() -> None:
    """
    What only looks into the book cannot tell from what never was, as a reveal that is undone, is in the checkpoint.
    """
    store = MemoryStore()
    book = book_on(store).acting_as("alice")
    [handout] = book.extension(EXTENSION).generate(1)
    audit, documents = dict(store._audit), dict(store._documents)  # noqa: SLF001 - with access to the data
    book.extension(EXTENSION).reveal(handout.serial)
    text = book.checkpoint(KEY)
    store._audit, store._documents = audit, documents  # noqa: SLF001

    assert sound(book) == ()
    assert [finding.part for finding in found(book, text)] == ["checkpoint"]


def test_a_lane_that_is_taken_back_with_all_that_it_wrote_is_found_by_a_checkpoint(tmp_path: Path) -> None:
    """
    Nothing in a file tells what never was: only the checkpoint does.
    """
    path, backup = tmp_path / "cards.db", tmp_path / "backup.db"
    with file_book(path).acting_as("alice") as alice, file_book(path).acting_as("bob") as bob:
        one, other = (handout.serial for handout in alice.extension(EXTENSION).generate(2, credit=10))
        bob.label_extension(EXTENSION, "Main")
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("VACUUM INTO ?", [str(backup)])
        bob.extension(EXTENSION).recharge(one, -9)
        text = alice.checkpoint(KEY)
        alice.extension(EXTENSION).recharge(other, 5)
        [lane] = {lane_of(entry.id)[0] for entry in alice.audit_trail() if entry.actor == "bob"}
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("ATTACH ? AS older", [str(backup)])
        key = f"{TRAIL}{lane:02x}"
        connection.execute("REPLACE INTO documents SELECT * FROM older.documents WHERE key = ?", [key])
        connection.execute("REPLACE INTO cards SELECT * FROM older.cards WHERE serial = ?", [one])
        connection.execute("DELETE FROM entries WHERE serial = ? AND sequence = 2", [one])
        connection.execute("DELETE FROM audit WHERE actor = 'bob' AND verb = 'recharge'")
    with file_book(path) as book:
        assert sound(book) == ()
        assert found(book, text) == (Finding(key, "checkpoint"),)
        assert [str(book.extension(EXTENSION)[serial].credit) for serial in (one, other)] == ["10.00", "15.00"]


def test_a_checkpoint_of_another_book_or_by_another_key_is_refused() -> None:
    """
    What it is compared with has to be a checkpoint of this book, signed by a key that is trusted.
    """
    book, other = new_book(), new_book()
    text = book.checkpoint(KEY)

    assert outcome(lambda: found(other, text)) == (SignatureError, "checkpoint", "foreign")
    assert outcome(lambda: book.verify(checkpoint=text)) == (SignatureError, "checkpoint", "untrusted")
    assert outcome(lambda: found(book, text[:-9] + text[-5:])) == (SignatureError, "checkpoint", "malformed")
    with pytest.raises(InvalidValueError):
        book.checkpoint("secret")  # type: ignore[arg-type]


def test_a_checkpoint_fits_into_a_mail() -> None:
    """
    With every lane in use it has less than 40,000 characters.
    """
    store = MemoryStore()
    book = book_on(store)
    for _ in range(130):
        book_on(store.another()).label_extension(EXTENSION, "Main")
    for _ in range(130):
        joined = store.another()
        joined.joined = True  # type: ignore[attr-defined]
        book.over(joined).label_extension(EXTENSION, "Main")

    assert len(book.checkpoint(KEY)) < 40_000
