"""
Documents and holds that have run out are found by their expiry, in a time that does not grow with the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from tests.databases import DATABASES, DatabaseKind, empty_database, engine_on, on
from voipcard.core.query import CardQuery
from voipcard.stores import CardRecord, Changes, Document, SQLAlchemyStore, SQLiteStore
from voipcard.stores.servers.selects import columns
from voipcard.stores.servers.sessions import Statement
from voipcard.stores.sqlite_file import sqlite3
from voipcard.stores.statements import DOCUMENTS, EXPIRED
from voipcard.testing import samples

NOW: Final = samples.EPOCH
ANALYZE: Final = {
    "postgresql": "ANALYZE",
    "mariadb": "ANALYZE TABLE voipcard_documents, voipcard_cards",
    "sqlite": "ANALYZE",
}
EXPLAIN: Final = {"postgresql": "EXPLAIN", "mariadb": "EXPLAIN", "sqlite": "EXPLAIN QUERY PLAN"}


def kept(count: int, expired: int) -> Changes:
    """
    Make documents of which only so many have expired; half of the others never do.
    """
    moments = [NOW - 1] * expired + [None, NOW + 1] * ((count - expired) // 2)

    return Changes(documents=[(Document(f"k/{at:06}", b"x" * 99, 1, moment), 0) for at, moment in enumerate(moments)])


def plan(path: Path, sql: str, parameters: Sequence[object]) -> str:
    """
    Say how SQLite answers a question.
    """
    with closing(sqlite3.connect(path)) as connection:
        return "; ".join(row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters))


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("expired", [0, 3, 1800])
def test_sqlite_finds_what_has_expired_by_its_expiry(
    expired: int,
    analyzed: bool,  # noqa: FBT001 - a parameter of a test
    tmp_path: Path,
) -> None:
    """
    The store for SQLite looks at nothing but the index of what expires, whatever SQLite believes of the table.

    The same question without the expiry goes along the keys.
    """
    path = tmp_path / "cards.db"
    with closing(SQLiteStore(path, journal="delete")) as store:
        store.commit(kept(2000, expired))
    if analyzed:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("ANALYZE")
            connection.commit()

    assert "SEARCH documents USING INDEX documents_by_expiry (expires_at<?)" in plan(
        path, EXPIRED, [NOW, "", "\x7f", "", 10]
    )
    assert "SEARCH documents USING PRIMARY KEY (key>? AND key<?)" in plan(path, DOCUMENTS, ["", "\x7f", "", 10])


def test_sqlite_finds_many_documents_by_their_keys(tmp_path: Path) -> None:
    """
    Several documents are read with one statement, each by its key, and SQLite gets there without a scan.
    """
    path = tmp_path / "cards.db"
    said: list[str] = []
    with closing(SQLiteStore(path, journal="delete")) as store:
        store.commit(kept(2000, 3))
        with store._file.writing() as connection:  # noqa: SLF001 - what is asked of it is what this is about
            connection.set_trace_callback(said.append)
        found = store.find_documents([f"k/{number:06}" for number in range(0, 2000, 100)])

    assert len(found) == 20
    assert [sql.split()[0] for sql in said] == ["COMMIT", "SELECT"]
    assert "SEARCH documents USING PRIMARY KEY (key=?)" in plan(path, said[1], [])


@contextmanager
def filled(kind: DatabaseKind, changes: Changes) -> Iterator[SQLAlchemyStore]:
    """
    Open a store in a database that knows what it keeps.
    """
    with empty_database(kind) as url, closing(SQLAlchemyStore(url, create=True)) as store:
        store.commit(changes)
        with engine_on(url) as engine, engine.begin() as connection:
            connection.exec_driver_sql(ANALYZE[kind])
        yield store


def explained(store: SQLAlchemyStore, kind: DatabaseKind, question: Statement, **given: int | str) -> str:
    """
    Say how a database answers a question of a store.
    """
    statement = question._replace(sql=f"{EXPLAIN[kind]} {question.sql}")

    return str(store._database.read(lambda session: session.rows(statement, given)))  # noqa: SLF001 - as above


@pytest.mark.parametrize("kind", [on(kind) for kind in DATABASES])
def test_databases_find_what_has_expired_by_its_expiry(kind: DatabaseKind) -> None:
    """
    Where few of many documents have expired, every database looks for them in the index of what expires.
    """
    with filled(kind, kept(6000, 5)) as store:
        found = [document.key for document in store.documents("", limit=1000, expired_at=NOW)]
        question = store._selects.expired()  # noqa: SLF001 - as above
        how = explained(store, kind, question, first="", last="\x7f", after="", most=1000, expired=NOW)

    assert found == [f"k/{number:06}" for number in range(5)]
    assert "ix_voipcard_documents_expiry" in how


# Holds


SEARCHES: Final = [
    CardQuery(hold_expired_at=NOW),
    CardQuery(hold_expired_at=NOW, extension="0003*215", limit=10),
    CardQuery(hold_expired_at=NOW, extension="0003*215", after=(NOW, b""), limit=10),
    CardQuery(hold_expired_at=NOW, batch="K7QX", order="serial", descending=True),
    CardQuery(hold_expired_at=NOW, extension="0003*215", order="credit", enabled=True),
    CardQuery(hold_expired_at=NOW, order_number="PO-117"),
]
"""For each of them but the first another index gives the order or fulfills a condition."""


class Asked(SQLiteStore):
    """
    A store that keeps what it asks SQLite.
    """

    asked: tuple[str, Sequence[Any]]

    def _read(self, sql: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        self.asked = (sql, parameters)

        return super()._read(sql, parameters)


def held(count: int, expired: int) -> Changes:
    """
    Make cards of one extension and batch, a few of them with holds that have run out, and as many with others.
    """
    moments = [NOW - 1] * expired + [NOW + 1] * expired + [None] * (count - 2 * expired)
    cards = [samples.card(number)._replace(next_hold_expiry=moment) for number, moment in enumerate(moments)]

    return Changes(new=[(card, samples.entry(card)) for card in cards])


@pytest.mark.parametrize("analyzed", [False, True])
@pytest.mark.parametrize("expired", [0, 3, 900])
def test_sqlite_finds_expired_holds_by_their_expiry(
    expired: int,
    analyzed: bool,  # noqa: FBT001 - a parameter of a test
    tmp_path: Path,
) -> None:
    """
    The store for SQLite looks for expired holds in their index, whatever else is asked for, and counts them there.

    The same searches without expired holds do not know that index.
    """
    path = tmp_path / "cards.db"
    search = "INDEX cards_by_hold_expiry (next_hold_expiry<?)"
    with closing(Asked(path, journal="delete")) as store:
        store.commit(held(2000, expired))
        if analyzed:
            with closing(sqlite3.connect(path)) as connection:
                connection.execute("ANALYZE")
                connection.commit()
        for query in SEARCHES:
            for read in (store.cards, store.sealed_codes, store.count):
                read(query)

                assert search in plan(path, *store.asked)

            store.cards(attrs.evolve(query, hold_expired_at=None))

            assert "hold_expiry" not in plan(path, *store.asked)


@pytest.mark.parametrize("kind", [on(kind) for kind in DATABASES])
def test_databases_find_expired_holds_by_their_expiry(kind: DatabaseKind) -> None:
    """
    Where holds of few of many cards have run out, every database looks for them in the index of their expiry.

    The same searches without expired holds do not know that index.
    """
    with filled(kind, held(6000, 5)) as store:
        selects = store._selects  # noqa: SLF001 - as above
        asked = columns(selects.tables.cards, CardRecord)
        hows, others = [], []
        for query in SEARCHES:
            hows += [explained(store, kind, ask) for ask in (selects.page(asked, query), selects.count(query))]
            others.append(explained(store, kind, selects.page(asked, attrs.evolve(query, hold_expired_at=None))))
        found = [store.count(query) for query in SEARCHES]

    assert found == [5] * len(SEARCHES)
    assert [how for how in hows if "ix_voipcard_cards_hold_expiry" not in how] == []
    assert [how for how in others if "hold_expiry" in how] == []


# All cards


@pytest.mark.parametrize("kind", [on(kind) for kind in DATABASES])
def test_all_cards_are_read_without_being_sorted_for_each_page(kind: DatabaseKind) -> None:
    """
    Page by page by their serials, the cards of a book come from that index, in its order: nothing is sorted.

    Control: by their creation all of them are sorted.
    """
    with filled(kind, Changes(new=samples.new(*range(6000)))) as store:
        asked = columns(store._tables.cards, CardRecord)  # noqa: SLF001 - as above
        last = store.cards(CardQuery(order="serial", limit=2000))[-1]
        plans = {
            order: explained(store, kind, store._selects.page(asked, query))  # noqa: SLF001 - as above
            for order in ("serial", "created")
            for query in [CardQuery(order=order, limit=1000)]
            for query in [attrs.evolve(query, after=query.position(last), credit_at_least=1)]
        }
    sorts = ("Sort Key", "filesort", "TEMP B-TREE")

    assert not any(sort in plans["serial"] for sort in sorts), plans["serial"]
    assert any(sort in plans["created"] for sort in sorts), plans["created"]
