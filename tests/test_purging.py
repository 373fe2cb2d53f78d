"""
Documents that have expired are removed a bounded number at a time, and nothing else ever is.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.book_world import (
    EXTENSION,
    MORNING,
    BareKey,
    Clock,
    Meddled,
    Recording,
    book_on,
    engine_of,
    findings_of,
    in_processes,
    sound,
    verbs_of,
)
from voipcard import CardBook, open_book
from voipcard.core.moments import to_micros
from voipcard.errors import InvalidValueError, StaleError
from voipcard.names import GUESSES, LICENSE, OPERATION
from voipcard.stores import Changes, Document, MemoryStore, SQLiteStore, Store

NOW: Final = to_micros(MORNING)


def keep(book: CardBook, moments: Iterable[int | None], prefix: str = GUESSES) -> list[Document]:
    """
    Keep documents in a book that expire at these moments.
    """
    engine = engine_of(book)
    documents = [
        engine.records.document(f"{prefix}{number:04}", {}, version=1, expires_at=moment)
        for number, moment in enumerate(moments)
    ]
    engine.commit(Changes(documents=[(document, 0) for document in documents]))

    return documents


def kept(book: CardBook, prefix: str = GUESSES) -> list[Document]:
    """
    Give the documents that a book keeps.
    """
    return list(engine_of(book).documents(prefix))


@given(st.lists(st.sampled_from([None, NOW - 1, NOW, NOW + 1, -1, 0]), max_size=30), st.integers(1, 12))
def test_each_call_removes_as_many_as_it_may(moments: list[int | None], limit: int) -> None:
    """
    Every call removes as many expired documents as its limit allows, in one commit, until only the others are left.
    """
    store = Recording()
    book = book_on(store)
    documents = keep(book, moments)
    lasting = [document for document in documents if document.expires_at is None or document.expires_at > NOW]
    before = len(store.commits)
    answers = [*iter(partial(book.purge_expired, limit=limit), 0)]
    expired = len(documents) - len(lasting)

    assert answers == [limit] * (expired // limit) + [expired % limit] * (expired % limit > 0)
    assert len(store.commits) == before + len(answers)
    assert kept(book) == lasting


def test_time_is_that_of_the_book() -> None:
    """
    What has not expired by the clock of the book stays until it has, to the microsecond.
    """
    clock = Clock()
    book = book_on(MemoryStore(), clock=clock)
    keep(book, [NOW + 1, NOW + 2, None])
    first = book.purge_expired()
    clock.move(microseconds=1)
    second = book.purge_expired()
    clock.move(days=3650)

    assert (first, second, book.purge_expired(), book.purge_expired()) == (0, 1, 1, 0)
    assert len(kept(book)) == 1


def test_a_book_is_sound_afterwards() -> None:
    """
    Whatever kind of document expires can be removed; nobody is told, and cards, license and operations stay.
    """
    book = book_on(MemoryStore()).acting_as("alice")
    book.extension(EXTENSION).generate(3, credit="10.00", operation="one")
    documents = kept(book, "")
    keep(book, [NOW] * 5)
    keep(book, [NOW - 1] * 5, OPERATION)
    verbs = verbs_of(book)

    assert book.purge_expired() == 10
    assert verbs == verbs_of(book)
    assert [each.key for each in documents] == [each.key for each in kept(book, "")]
    assert sound(book) == ()


def test_what_was_renewed_meanwhile_stays() -> None:
    """
    A document that is renewed after it was found to have expired stays, and the others of the same call go.
    """
    store = Meddled()
    book = book_on(store)
    documents = keep(book, [NOW] * 9)
    renewed = documents[4]._replace(version=2, expires_at=NOW + 1)
    gone = [(documents[5].key, 1)]
    store.meddle = lambda: store.commit(Changes(documents=[(renewed, 1)], forget=gone))

    assert book.purge_expired() == 7
    assert kept(book) == [renewed]


def test_what_was_changed_from_outside_stays() -> None:
    """
    Who gives a document an expiry in the store cannot let the book remove it, and verification finds it.
    """
    book = book_on(MemoryStore())
    store = engine_of(book).store
    before = keep(book, [None], LICENSE)[0]
    store.commit(Changes(documents=[(before._replace(expires_at=NOW - 1), 1)]))

    assert book.purge_expired() == 0
    assert store.document(before.key) is not None
    assert (before.key, "document") in findings_of(book)


@pytest.mark.parametrize("limit", [0, -1, 10_001, True, 1.0, "1", None])
def test_a_limit_is_a_number_from_one_to_ten_thousand(limit: Any) -> None:  # noqa: ANN401 - whatever somebody gives
    """
    Any other limit is refused, and nothing is removed.
    """
    book = book_on(MemoryStore())
    keep(book, [NOW])
    with pytest.raises(InvalidValueError):
        book.purge_expired(limit=limit)

    assert book.purge_expired(limit=10_000) == 1


# Side by side

EXPIRED: Final = 400
ROUNDS: Final = 60


class Careless(SQLiteStore):
    """
    A store that removes a document whatever version it has by then.
    """

    def commit(self, changes: Changes) -> None:
        """
        Ask for the versions and expect them, a moment later.
        """
        time.sleep(0.003)
        there = {document.key: document.version for document in self.find_documents(key for key, _ in changes.forget)}
        forget = [(key, there[key]) for key, _ in changes.forget if key in there]
        super().commit(attrs.evolve(changes, forget=forget))


def purge_or_renew(store: type[SQLiteStore], path: Path, number: int) -> tuple[int, list[str]]:
    """
    Purge in two processes, in small steps, while a third one renews what has expired.

    Returns:
        How many were purged, and which were renewed.
    """
    with closing(store(path)) as opened:
        book = open_book(opened, key=BareKey(), clock=Clock())
        if number < 2:
            return sum(book.purge_expired(limit=7) for _ in range(ROUNDS)), []

        return 0, list(renewed(opened))


def renewed(store: Store) -> Iterable[str]:
    """
    Renew every third document that is there still, and give the keys of those.
    """
    for at in range(EXPIRED - 1, 0, -3):
        document = store.document(f"{GUESSES}{at:04}")
        if document is not None:
            after = document._replace(version=2, expires_at=NOW + 1)
            with suppress(StaleError):  # It was purged first.
                store.commit(Changes(documents=[(after, 1)]))
                yield document.key


@pytest.mark.parametrize("store", [SQLiteStore, Careless])
def test_processes_that_purge_and_renew(store: type[SQLiteStore], tmp_path: Path) -> None:
    """
    Two that purge remove each document once, and none that a third one has renewed; a careless store is found out.
    """
    lost, twice = 0, 0
    for turn in itertools.count():
        path = tmp_path / f"{turn}.db"
        book = book_on(SQLiteStore(path))
        documents = keep(book, [NOW] * EXPIRED)
        answers = in_processes(purge_or_renew, store, path, times=3)
        keys = {key for _, keys in answers for key in keys}
        lost += len(keys - {document.key for document in kept(book) if document.version == 2})
        twice += sum(purged for purged, _ in answers) - (len(documents) - len(kept(book)))
        book.close()
        if (turn == 2 and store is SQLiteStore) or turn == 20 or lost + twice:
            break

    assert (store is Careless) == (lost + twice > 0)
