"""
A store that has joined the transaction of a portal does what the portal does: it commits with it, or vanishes with it.
"""

from __future__ import annotations

import functools
import io
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, ClassVar, Final, cast

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    insert,
    select,
    update,
)

from tests import servers
from tests.book_world import EXTENSION, PATIENCE, book_on, in_threads, sound
from tests.databases import DATABASES, SERVERS, DatabaseKind, empty_database, engine_on, on
from voipcard import Credit, Extension
from voipcard.core.query import CardQuery
from voipcard.errors import (
    CeilingError,
    DuplicateError,
    InvalidValueError,
    JoinedStoreError,
    StaleError,
    StoreClosedError,
    StoreError,
)
from voipcard.stores import Changes, CounterChange, Document, SQLAlchemyStore, Store, build_tables
from voipcard.testing import Opener, samples
from voipcard.testing.commits import CommitContract
from voipcard.testing.reads import ReadContract
from voipcard.testing.strategies import first_changes

PORTAL: Final = MetaData()
ORDERS: Final = Table("orders", PORTAL, Column("number", String(32), primary_key=True), mysql_engine="InnoDB")
BALANCE: Final = Table(
    "balance", PORTAL, Column("amount", BigInteger, nullable=False), Column("order", String(32)), mysql_engine="InnoDB"
)
TABLES: Final = build_tables()


class Portal:
    """
    A portal with a table of orders, and beside it a book with two cards of 10.00, in one database.

    Attributes:
        engine: The database.
        book: The book, with transactions of its own.
        serials: The cards.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine: Final = engine
        PORTAL.create_all(engine)
        self.book: Final = book_on(SQLAlchemyStore(engine, create=True)).acting_as("portal")
        self.extension: Final = self.book.extension(EXTENSION)
        self.serials: Final = [handout.serial for handout in self.extension.generate(2, credit="10.00")]

    @contextmanager
    def begun(self, level: str | None = None) -> Iterator[Connection]:
        """
        Lend a connection, whose transaction begins with the first statement.
        """
        with self.engine.connect() as connection:
            yield connection.execution_options(isolation_level=level) if level else connection

    def over(self, store: SQLAlchemyStore) -> Extension:
        """
        Give the extension through another store.
        """
        return self.book.over(store).extension(EXTENSION)

    def within(self, connection: Connection) -> Extension:
        """
        Give the extension within the transaction of a connection.
        """
        return self.over(SQLAlchemyStore(connection))

    def orders(self) -> list[str]:
        """
        Tell which orders there are, as others see it.
        """
        with self.engine.connect() as connection:
            return sorted(connection.scalars(select(ORDERS.c.number)))

    def credits(self) -> list[Credit]:
        """
        Tell what is on the cards, as others see it.
        """
        return [self.extension.get(serial).credit for serial in self.serials]

    def everything(self) -> dict[str, list[tuple[Any, ...]]]:
        """
        Read every row of the database.
        """
        with self.engine.connect() as connection:
            return {
                table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
                for table in [ORDERS, *TABLES.all()]
            }


def place(connection: Connection, number: str) -> None:
    """
    Write an order as the portal does.
    """
    connection.execute(insert(ORDERS).values(number=number))


@contextmanager
def portal_on(kind: DatabaseKind) -> Iterator[Portal]:
    """
    Set up a portal in an empty database.
    """
    with empty_database(kind) as url, engine_on(url) as engine:
        yield Portal(engine)


@pytest.fixture(params=[on(kind) for kind in DATABASES])
def portal(request: pytest.FixtureRequest) -> Iterator[Portal]:
    """
    Set up a portal on each kind of database.
    """
    with portal_on(request.param) as portal:
        yield portal


def sell(portal: Portal, connection: Connection, number: str = "PO-1") -> None:
    """
    Do what belongs together: the portal's order, a recharge for it, and new cards.
    """
    place(connection, number)
    extension = portal.within(connection)
    extension.recharge(portal.serials[0], "5.00", order_number=number)
    extension.generate(2, credit="1.00", order_number=number)


# With the commit, or not at all


def test_nothing_is_seen_before_the_commit_and_all_of_it_after(portal: Portal) -> None:
    """
    The order, the recharge and the cards are there for others once the portal commits, and none of it before.
    """
    before = portal.everything()
    with portal.begun() as connection:
        sell(portal, connection)
        own_view = portal.within(connection).get(portal.serials[0]).credit
        meanwhile = portal.everything()
        connection.commit()

    assert meanwhile == before
    assert own_view == Credit("15.00")
    assert portal.orders() == ["PO-1"]
    assert portal.credits() == [Credit("15.00"), Credit("10.00")]
    assert portal.extension.count() == 4
    assert sound(portal.book) == ()


def test_a_rollback_leaves_nothing(portal: Portal) -> None:
    """
    After the portal's rollback every table is as it was before, and the same can be done again.
    """
    before = portal.everything()
    with portal.begun() as connection:
        sell(portal, connection)
        connection.rollback()
        after = portal.everything()
        sell(portal, connection)
        connection.commit()

    assert after == before
    assert portal.credits() == [Credit("15.00"), Credit("10.00")]


def test_a_store_with_transactions_of_its_own_would_be_seen_and_stay(portal: Portal) -> None:
    """
    What the two laws above forbid is found where a store does not join.
    """
    before = portal.everything()
    with portal.begun() as connection:
        connection.execute(select(ORDERS))
        portal.extension.recharge(portal.serials[0], "5.00")
        meanwhile = portal.everything()
        connection.rollback()

    assert meanwhile != before
    assert portal.everything() == meanwhile


def test_a_savepoint_of_the_portal_takes_back_what_was_done_within_it(portal: Portal) -> None:
    """
    What is done within a savepoint of the portal goes with it, and what was done before stays.
    """
    with portal.begun() as connection:
        extension = portal.within(connection)
        place(connection, "PO-1")
        extension.recharge(portal.serials[0], "1.00")
        savepoint = connection.begin_nested()
        place(connection, "PO-2")
        extension.recharge(portal.serials[0], "2.00")
        savepoint.rollback()
        extension.recharge(portal.serials[1], "4.00")
        connection.commit()

    assert portal.orders() == ["PO-1"]
    assert portal.credits() == [Credit("11.00"), Credit("14.00")]
    assert sound(portal.book) == ()


# Whose transaction it is


class Watch:
    """
    Hears what is done with the transactions of an engine.
    """

    EVENTS: Final = ["begin", "commit", "rollback", "savepoint", "rollback_savepoint", "release_savepoint"]

    def __init__(self, engine: Engine) -> None:
        self.heard: Final[list[str]] = []
        for name in self.EVENTS:
            event.listen(engine, name, lambda *_, name=name: self.heard.append(name))
        event.listen(engine, "before_cursor_execute", self._said)

    def _said(self, _: Connection, __: object, statement: str, *___: object) -> None:
        verb = statement.split(maxsplit=1)[0].upper()
        if verb in {"COMMIT", "END"} or (verb in {"ROLLBACK", "ABORT"} and "SAVEPOINT" not in statement.upper()):
            self.heard.append(verb)


def test_the_store_never_ends_the_transaction(portal: Portal) -> None:
    """
    Reads, commits, refusals and `close` begin savepoints and end them; the transaction stays open for the portal.
    """
    watch = Watch(portal.engine)
    with portal.begun() as connection:
        book = portal.book.over(SQLAlchemyStore(connection))
        extension = book.extension(EXTENSION)
        extension.recharge(portal.serials[0], "5.00", order_number="PO-1")
        extension.recharge(portal.serials[0], "5.00", order_number="PO-1")
        with pytest.raises(DuplicateError):
            SQLAlchemyStore(connection).commit(Changes(new=[*samples.new(1), *samples.new(1)]))
        assert list(extension.search(order="serial"))
        book.close()
        heard, is_open = list(watch.heard), connection.in_transaction() and not connection.closed
        connection.rollback()

    assert is_open
    assert heard[:1] == ["begin"]
    assert set(heard[1:]) == {"savepoint", "release_savepoint", "rollback_savepoint"}
    assert watch.heard[len(heard) :] == ["rollback"]


def test_a_closed_book_or_connection_says_so(portal: Portal) -> None:
    """
    After the book is closed it refuses every use, the connection does not; after the connection is, so does the book.
    """
    with portal.begun() as connection:
        book = portal.book.over(SQLAlchemyStore(connection))
        book.close()
        with pytest.raises(StoreClosedError, match="the store is closed"):
            book.extension(EXTENSION).recharge(portal.serials[0], "1.00")
        extension = portal.within(connection)
        extension.recharge(portal.serials[0], "2.00")
        connection.commit()
    with pytest.raises(StoreClosedError, match="the connection that the store has joined is closed"):
        extension.recharge(portal.serials[0], "4.00")
    with pytest.raises(StoreClosedError, match="the connection that the store has joined is closed"):
        SQLAlchemyStore(connection).commit(Changes())

    assert portal.credits()[0] == Credit("12.00")


def test_a_joined_store_makes_no_tables(portal: Portal) -> None:
    """
    `create=True` is refused with a connection: most databases would commit the portal's transaction.
    """
    with portal.begun() as connection, pytest.raises(InvalidValueError, match="create is for an engine"):
        SQLAlchemyStore(connection, create=True)


def test_without_a_transaction_nothing_is_written(portal: Portal) -> None:
    """
    A connection in autocommit mode is refused, with a sentence that says so: there is nothing to commit together.
    """
    before = portal.everything()
    with portal.begun("AUTOCOMMIT") as connection:
        extension = portal.within(connection)
        assert extension.get(portal.serials[0]).credit == Credit("10.00")
        with pytest.raises(StoreError, match="autocommit mode") as refused:
            extension.recharge(portal.serials[0], "5.00")

    assert not refused.value.maybe_applied
    assert portal.everything() == before


@pytest.mark.parametrize("say", ["BEGIN", "BEGIN IMMEDIATE"])
def test_sqlite_may_begin_as_its_portal_likes(say: str) -> None:
    """
    Where the portal begins SQLite's transactions itself, as SQLAlchemy's documentation shows, the store joins them.
    """
    with empty_database("sqlite") as url, engine_on(url) as engine:
        event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(say))
        portal = Portal(engine)
        before = portal.everything()
        with portal.begun() as connection:
            SQLAlchemyStore(connection).commit(Changes(audit=[samples.audit(1)]))
            sell(portal, connection)
            connection.rollback()
        after = portal.everything()
        with portal.begun() as connection:
            sell(portal, connection)
            connection.commit()

        assert after == before
        assert portal.credits() == [Credit("15.00"), Credit("10.00")]


# Refused commits


def _document(key: str) -> tuple[Document, int]:
    return Document(key, b"", version=1), 0


TRACES: Final[dict[str, Any]] = {"documents": [_document("refused")], "audit": [samples.audit(9)]}
"""What a refused commit writes besides, so that it is found if it stays."""

REFUSED: Final = [
    pytest.param(StaleError, Changes(remove=[(samples.card(1).id, 7)], **TRACES), id="stale"),
    pytest.param(DuplicateError, Changes(new=samples.Flood(3, first=5, repeat=1), **TRACES), id="duplicate"),
    pytest.param(DuplicateError, Changes(new=samples.Flood(1200, first=5, repeat=1), **TRACES), id="among many"),
    pytest.param(CeilingError, Changes(counters=[CounterChange("steps", 9, ceiling=4)], **TRACES), id="ceiling"),
]


@pytest.mark.parametrize("error, changes", REFUSED)
def test_a_refused_commit_leaves_the_rest_of_the_transaction(
    portal: Portal, error: type[StoreError], changes: Changes
) -> None:
    """
    What the portal and the store did before stays, what they do after is added, and of the refused there is no trace.
    """
    with portal.begun() as connection:
        store = SQLAlchemyStore(connection)
        place(connection, "PO-1")
        store.commit(Changes(new=samples.new(1), documents=[_document("before")]))
        with pytest.raises(error):
            store.commit(changes)
        place(connection, "PO-2")
        store.commit(Changes(documents=[_document("after")]))
        connection.commit()
    kept = portal.everything()

    assert portal.orders() == ["PO-1", "PO-2"]
    assert {"before", "after"} == {str(row[0]) for row in kept[TABLES.documents.name]} & {"before", "after", "refused"}
    assert samples.audit(9).id not in {row[0] for row in kept[TABLES.audit.name]}
    assert portal.extension.count(CardQuery(batch="FLOOD")) == 0
    assert portal.extension.count() == 3


def test_a_refused_commit_that_comes_first_leaves_nothing(portal: Portal) -> None:
    """
    Where nothing else was done in the transaction, a refused commit leaves nothing either, rolled back or committed.
    """
    before = portal.everything()
    with portal.begun() as connection:
        for end in (connection.rollback, connection.commit):
            with pytest.raises(CeilingError):
                SQLAlchemyStore(connection).commit(
                    Changes(counters=[CounterChange("steps", 9, ceiling=4)], **TRACES),
                )
            end()

    assert portal.everything() == before


def test_a_savepoint_alone_would_not_do_for_sqlite() -> None:
    """
    SQLite's driver begins no transaction for a savepoint: without a BEGIN before it, its release commits.
    """
    with portal_on("sqlite") as portal, portal.begun() as connection:
        with connection.begin_nested():
            place(connection, "PO-1")
        connection.rollback()

        assert portal.orders() == ["PO-1"]


# Secrets


def test_no_secret_is_told(portal: Portal) -> None:
    """
    `reveal`, a revealing export and the hand-outs of an earlier call are refused, and nothing is written for them.
    """
    portal.extension.generate(1, operation="first")
    before = portal.everything()
    with portal.begun() as connection:
        extension = portal.within(connection)
        attempts: dict[str, Callable[[], object]] = {
            "reveal": lambda: extension.reveal(portal.serials[0]),
            "export": lambda: extension.export(io.BytesIO(), format="csv", reveal=True),
            "replay": lambda: extension.generate(1, operation="first"),
        }
        for verb, attempt in attempts.items():
            with pytest.raises(JoinedStoreError, match=verb):
                attempt()
        exported = extension.export(io.BytesIO(), format="csv")
        connection.commit()

    assert exported == 3
    assert {name: rows for name, rows in portal.everything().items() if name != TABLES.audit.name} == {
        name: rows for name, rows in before.items() if name != TABLES.audit.name
    }
    assert [entry.verb for entry in portal.book.audit_trail()].count("reveal") == 0


def test_the_same_is_told_by_a_book_with_transactions_of_its_own(portal: Portal) -> None:
    """
    What is refused above is refused because of the transaction, and for nothing else.
    """
    first = portal.extension.generate(1, operation="first")
    again = portal.extension.generate(1, operation="first")

    assert [(each.serial, each.code) for each in again] == [(each.serial, each.code) for each in first]
    assert portal.extension.reveal(portal.serials[0]).code


# Others


class Overtaken(SQLAlchemyStore):
    """
    A joined store before whose first commit somebody else acts, after everything was read.
    """

    overtake: Callable[[], object] | None = None
    commits = 0

    def commit(self, changes: Changes) -> None:
        """
        Let the other one go first.
        """
        self.commits += 1
        overtake, self.overtake = self.overtake, None
        if overtake is not None:
            overtake()
        super().commit(changes)


VERBS: Final[dict[str, Callable[[Extension, str], object]]] = {
    "recharge": lambda extension, serial: extension.recharge(serial, "5.00"),
    "disable": lambda extension, serial: extension.disable(serial),
}
AFTERWARDS: Final = {"recharge": (Credit("16.00"), True), "disable": (Credit("11.00"), False)}
"""The credit of the card, and whether it is enabled, where somebody else has added 1.00 meanwhile."""

READ_AGAIN: Final = [on("postgresql", "READ COMMITTED"), on("mariadb", "READ COMMITTED"), on("sqlite", None)]
LASTING: Final = [on("postgresql", "REPEATABLE READ"), on("postgresql", "SERIALIZABLE"), on("mariadb", None)]


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind, level", READ_AGAIN)
def test_what_others_committed_is_read_again(kind: DatabaseKind, level: str | None, verb: str) -> None:
    """
    Where the transaction sees what others commit, a card that somebody changed is read again, and both changes count.
    """
    with portal_on(kind) as portal, portal.begun(level) as connection:
        store = Overtaken(connection)
        store.overtake = lambda: portal.extension.recharge(portal.serials[0], "1.00")
        VERBS[verb](portal.over(store), portal.serials[0])
        connection.commit()
        card = portal.extension.get(portal.serials[0])

        assert store.commits == 2
        assert (card.credit, card.enabled) == AFTERWARDS[verb]
        assert sound(portal.book) == ()


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("kind, level", LASTING)
def test_a_transaction_that_sees_no_others_is_begun_again(kind: DatabaseKind, level: str | None, verb: str) -> None:
    """
    Where the transaction goes on seeing what it saw, `StaleError.lasting` says so at once, and begun again it succeeds.
    """
    with portal_on(kind) as portal, portal.begun(level) as connection:
        extension = portal.within(connection)
        assert extension.get(portal.serials[0]).credit == Credit("10.00")
        place(connection, "PO-1")
        portal.extension.recharge(portal.serials[0], "1.00")
        begun = time.monotonic()
        with pytest.raises(StaleError) as refused:
            VERBS[verb](extension, portal.serials[0])
        took = time.monotonic() - begun
        connection.rollback()
        place(connection, "PO-1")
        VERBS[verb](extension, portal.serials[0])
        connection.commit()
        card = portal.extension.get(portal.serials[0])

        assert refused.value.lasting
        assert took < 1
        assert portal.orders() == ["PO-1"]
        assert (card.credit, card.enabled) == AFTERWARDS[verb]


def test_a_snapshot_of_sqlite_that_is_old_is_begun_again() -> None:
    """
    With a write-ahead log a portal's deferred transaction may have read too early to write: that is lasting, too.
    """
    with empty_database("sqlite") as url, engine_on(url) as engine:
        event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as raw:
            raw.execute("PRAGMA journal_mode = WAL")
        portal = Portal(engine)
        with portal.begun() as connection:
            extension = portal.within(connection)
            assert extension.get(portal.serials[0]).credit == Credit("10.00")
            portal.extension.recharge(portal.serials[0], "1.00")
            with pytest.raises(StaleError) as refused:
                extension.recharge(portal.serials[0], "5.00")
            connection.rollback()
            extension.recharge(portal.serials[0], "5.00")
            connection.commit()

        assert refused.value.lasting
        assert portal.credits()[0] == Credit("16.00")


def begun_again(portal: Portal, level: str | None, work: Callable[[Connection, int], None]) -> int:
    """
    Do work in a transaction, as often as the database wants it, and tell how often it was refused.

    The work is given the number of the attempt.
    """
    for attempt in range(20):
        with portal.begun(level) as connection:
            try:
                work(connection, attempt)
                connection.commit()
            except StaleError as error:
                connection.rollback()
                if not error.lasting:
                    raise
            else:
                return attempt
    raise AssertionError("the transaction was refused again and again")


SERIALIZABLE: Final = [on("postgresql", "SERIALIZABLE"), on("mariadb", "SERIALIZABLE")]


@pytest.mark.parametrize("kind, level", SERIALIZABLE)
def test_of_two_serializable_transactions_one_begins_again(kind: DatabaseKind, level: str) -> None:
    """
    Two that have both read a card and both change it: one is told to begin again, and both changes count.
    """
    both_have_read = threading.Barrier(2)
    with portal_on(kind) as portal:

        def work(number: int, connection: Connection, attempt: int) -> None:
            extension = portal.within(connection)
            extension.get(portal.serials[0])
            if attempt == 0:
                both_have_read.wait(PATIENCE)
            place(connection, f"PO-{number}")
            extension.recharge(portal.serials[0], "5.00")

        refused = in_threads(lambda number: begun_again(portal, level, functools.partial(work, number)), 2)

        assert sum(refused) >= 1
        assert portal.credits()[0] == Credit("20.00")
        assert portal.orders() == ["PO-0", "PO-1"]


@pytest.mark.parametrize("kind", [on(kind) for kind in SERVERS])
def test_a_transaction_that_deadlocked_is_begun_again_as_a_whole(kind: DatabaseKind) -> None:
    """
    One of two that wait for each other is told to begin again, and can do nothing else: MariaDB has rolled it all back.

    Were it to go on, the portal would commit the rest without its order and without what it recharged before.
    """
    both_have_one = threading.Barrier(2)
    afterwards: list[BaseException] = []
    with portal_on(kind) as portal:

        def work(number: int, connection: Connection, attempt: int) -> None:
            extension = portal.within(connection)
            place(connection, f"PO-{number}")
            extension.recharge(portal.serials[number], "1.00")
            if attempt == 0:
                both_have_one.wait(PATIENCE)
            try:
                extension.recharge(portal.serials[1 - number], "2.00")
            except StaleError:
                if kind == "mariadb":
                    with pytest.raises(StaleError) as refused:
                        portal.within(connection).recharge(portal.serials[number], "4.00")
                    afterwards.append(refused.value)
                raise

        refused = in_threads(lambda number: begun_again(portal, "READ COMMITTED", functools.partial(work, number)), 2)

        assert sum(refused) >= 1
        assert len(afterwards) == (sum(refused) if kind == "mariadb" else 0)
        assert portal.orders() == ["PO-0", "PO-1"]
        assert portal.credits() == [Credit("13.00"), Credit("13.00")]
        assert sound(portal.book) == ()


@pytest.mark.parametrize("kind, level", [*READ_AGAIN, on("mariadb", None)])
def test_threads_with_connections_of_their_own_lose_nothing(kind: DatabaseKind, level: str | None) -> None:
    """
    Many transactions that each write an order and recharge the same card: every one of them counts, exactly once.
    """
    threads, times = 4, 5
    with portal_on(kind) as portal:

        def work(order: str, connection: Connection, _: int) -> None:
            place(connection, order)
            portal.within(connection).recharge(portal.serials[0], "1.00", order_number=order)

        def run(thread: int) -> None:
            for number in range(times):
                begun_again(portal, level, functools.partial(work, f"PO-{thread}-{number}"))

        in_threads(run, threads)

        assert len(portal.orders()) == threads * times
        assert portal.credits()[0] == Credit(10 + threads * times)
        assert portal.extension.get(portal.serials[0]).recharge_count == threads * times
        assert sound(portal.book) == ()


@pytest.mark.parametrize("kind, level", [*READ_AGAIN, on("mariadb", None), on("postgresql", "REPEATABLE READ")])
def test_the_same_order_in_two_transactions_counts_once(kind: DatabaseKind, level: str | None) -> None:
    """
    Two transactions that recharge a card for the same order: one adds credit, the other is answered with its entry.
    """
    both_have_read = threading.Barrier(2)
    with portal_on(kind) as portal:

        def run(_: int) -> bool:
            replayed = []

            def work(connection: Connection, attempt: int) -> None:
                extension = portal.within(connection)
                extension.get(portal.serials[0])
                if attempt == 0:
                    both_have_read.wait(PATIENCE)
                entry = extension.recharge(portal.serials[0], "5.00", order_number="PO-1")
                replayed.append(entry.replayed)

            begun_again(portal, level, work)
            return replayed[-1]

        answers = in_threads(run, 2)

        assert sorted(answers) == [False, True]
        assert portal.credits()[0] == Credit("15.00")
        assert len(list(portal.extension.history(portal.serials[0]))) == 2


@pytest.mark.parametrize("kind, level", READ_AGAIN)
def test_an_order_that_was_rolled_back_is_free_again(kind: DatabaseKind, level: str | None) -> None:
    """
    Who waits for a transaction with the same order that is rolled back adds the credit itself.
    """
    is_written, is_waiting = threading.Event(), threading.Event()
    with portal_on(kind) as portal:

        def run(thread: int) -> bool:
            with portal.begun(level) as connection:
                extension = portal.within(connection)
                if thread == 1:
                    assert is_written.wait(PATIENCE)
                    is_waiting.set()
                entry = extension.recharge(portal.serials[0], "5.00", order_number="PO-1")
                if thread == 0:
                    is_written.set()
                    assert is_waiting.wait(PATIENCE)
                    time.sleep(0.2)
                    connection.rollback()
                else:
                    connection.commit()
                return entry.replayed

        answers = in_threads(run, 2)

        assert answers == [False, False]
        assert portal.credits()[0] == Credit("15.00")


@pytest.mark.parametrize("kind, level", [*READ_AGAIN, on("mariadb", None)])
def test_who_looks_first_and_acts_then_counts_twice(kind: DatabaseKind, level: str | None) -> None:
    """
    A portal that does by itself what the laws above promise adds twice for the same order, and loses one of the two.
    """
    both_have_read = threading.Barrier(2)
    with portal_on(kind) as portal:
        with portal.engine.begin() as connection:
            connection.execute(insert(BALANCE).values(amount=10))

        def run(_: int) -> bool:
            with portal.begun(level) as connection:
                known = connection.scalars(select(BALANCE.c.order)).all()
                amount = connection.scalar(select(BALANCE.c.amount)) or 0
                both_have_read.wait(PATIENCE)
                connection.execute(update(BALANCE).values(amount=amount + 5, order="PO-1"))
                connection.commit()
                return "PO-1" in known

        answers = in_threads(run, 2)
        with portal.engine.connect() as connection:
            amount = connection.scalar(select(BALANCE.c.amount))

        assert answers == [False, False]
        assert amount == 15


# The same as with transactions of its own


def _answers(store: SQLAlchemyStore, commits: Sequence[Changes]) -> list[object]:
    """
    Commit one after another, and give what became of each.
    """
    answers: list[object] = []
    for changes in commits:
        try:
            store.commit(changes)
        except StoreError as error:
            answers.append((type(error), {**attrs.asdict(cast("Any", error)), "lasting": None}))
        else:
            answers.append(None)

    return answers


COMMITS: Final = st.lists(first_changes(), min_size=1, max_size=3)


@pytest.mark.parametrize("kind", [on(kind) for kind in DATABASES])
def test_any_commits_are_the_same_joined(kind: DatabaseKind) -> None:
    """
    Commits and refusals within a transaction that is committed are those of a store with transactions of its own.

    Rolled back, they leave nothing; and then they can be made again.
    """
    with empty_database(kind) as url, engine_on(url) as engine:
        owned = SQLAlchemyStore(engine, tables=build_tables(prefix="owned_"), create=True)
        tables = build_tables(prefix="joined_")
        joined = SQLAlchemyStore(engine, tables=tables, create=True)
        empty = samples.contents(joined)

        def clear() -> None:
            with engine.begin() as connection:
                for each in [*build_tables(prefix="owned_").all()[:-1], *tables.all()[:-1]]:
                    connection.execute(each.delete())

        @settings(max_examples=12, database=None, suppress_health_check=list(HealthCheck))
        @given(COMMITS)
        def check(commits: list[Changes]) -> None:
            clear()
            expected = _answers(owned, commits)
            with engine.connect() as connection:
                undone = _answers(SQLAlchemyStore(connection, tables=tables), commits)
                connection.rollback()
                after_rollback = samples.contents(joined)
                done = _answers(SQLAlchemyStore(connection, tables=tables), commits)
                connection.commit()

            assert undone == done == expected
            assert after_rollback == empty
            assert samples.contents(joined) == samples.contents(owned)

        check()


class CommittedEachTime:
    """
    A portal that has a transaction for each call: a store as any other, if the laws hold from the commit on.
    """

    def __init__(self, url: str) -> None:
        SQLAlchemyStore(url, create=True).close()
        level = {} if url.startswith("sqlite") else {"isolation_level": "READ COMMITTED"}
        self.engine: Final = create_engine(url, **level)

    def close(self) -> None:
        """
        Close the connections.
        """
        self.engine.dispose()


def _in_a_transaction(name: str) -> Callable[..., object]:
    def method(self: CommittedEachTime, *arguments: object, **named: object) -> object:
        with self.engine.begin() as connection:
            return getattr(SQLAlchemyStore(connection), name)(*arguments, **named)

    return method


for _name in {name for name in vars(Store) if not name.startswith("_")} - {"close"}:
    setattr(CommittedEachTime, _name, _in_a_transaction(_name))


class JoinedContract(CommitContract):
    """
    The laws of a commit, on a portal's transactions.
    """

    kind: ClassVar[DatabaseKind]

    @contextmanager
    def fresh(self) -> Iterator[Opener]:
        """
        Open portals on the same database.
        """
        with empty_database(self.kind) as url:
            yield cast("Opener", functools.partial(CommittedEachTime, url))


@pytest.mark.skipif(servers.missing("postgresql") is not None, reason=str(servers.missing("postgresql")))
class TestPostgreSQL(JoinedContract, ReadContract):
    """
    The laws, on PostgreSQL, and those of reading, too: a joined store writes its statements in another way there.
    """

    kind = "postgresql"


@pytest.mark.skipif(servers.missing("mariadb") is not None, reason=str(servers.missing("mariadb")))
class TestMariaDB(JoinedContract):
    """
    The laws, on MariaDB.
    """

    kind = "mariadb"


class TestSQLite(JoinedContract):
    """
    The laws, on SQLite.
    """

    kind = "sqlite"
