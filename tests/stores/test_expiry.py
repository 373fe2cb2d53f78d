"""
Expired documents are found by their expiry: however many others are kept, finding them takes as long as there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

import pytest

from tests.databases import DATABASES, DatabaseKind, empty_database, engine_on, on
from voipcard.stores import Changes, Document, SQLAlchemyStore, SQLiteStore
from voipcard.stores.servers.sessions import Statement
from voipcard.stores.sqlite_file import sqlite3
from voipcard.stores.statements import DOCUMENTS, EXPIRED
from voipcard.testing import samples

NOW: Final = samples.EPOCH
ANALYZE: Final = {"postgresql": "ANALYZE", "mariadb": "ANALYZE TABLE voipcard_documents", "sqlite": "ANALYZE"}
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
