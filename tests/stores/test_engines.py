"""
Whatever an engine is set up to do, and whatever interrupts it, the store over it keeps its laws.
"""

from __future__ import annotations

import functools
import itertools
import os
import signal
import threading
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from typing import Any, Final

import pytest
import sqlalchemy
from sqlalchemy.exc import NoSuchTableError
from sqlalchemy.pool import StaticPool

from tests.book_world import PATIENCE
from tests.databases import DATABASES, SERVERS, DatabaseKind, empty_database, engine_on, on
from voipcard.errors import InvalidValueError, StoreBusyError, StoreClosedError, StoreError
from voipcard.stores import Changes, CounterChange, SQLAlchemyStore, build_tables
from voipcard.stores.contract import CardRecord, EntryRecord
from voipcard.stores.servers import owned
from voipcard.testing import Opener, StoreContract, samples

SETTINGS: Final[Mapping[str, Mapping[str, Any]]] = {
    "autocommit": {"isolation_level": "AUTOCOMMIT"},
    "serializable": {"isolation_level": "SERIALIZABLE"},
    "no reset": {"pool_reset_on_return": None},
}
LAWS: Final = [
    "test_law_1_a_refused_commit_changes_nothing",
    "test_law_1_every_handle_sees_a_commit",
    "test_law_3_no_recharge_is_lost",
    "test_law_3_a_ceiling_is_reached_exactly",
    "test_law_3_what_is_required_stays",
    "test_law_3_what_has_to_be_absent_stays_so",
]
STEP: Final = Changes(counters=[CounterChange("steps", 1)])
MANY: Final = 600


class Disposing(SQLAlchemyStore):
    """
    A store that closes the connections of its engine.
    """

    def close(self) -> None:
        """
        Close the store and the engine.
        """
        super().close()
        self.engine.dispose()

    @classmethod
    def opened(cls, url: str, settings: Mapping[str, Any]) -> Disposing:
        """
        Open a store over an engine that is set up so.
        """
        engine = sqlalchemy.create_engine(url, **settings)
        store = cls.__new__(cls)
        store.engine = engine
        store.__init__(engine, create=True)  # type: ignore[misc]

        return store

    engine: sqlalchemy.Engine


class Kit(StoreContract):
    """
    The kit over engines that are set up in some way.
    """

    def __init__(self, kind: DatabaseKind, settings: Mapping[str, Any]) -> None:
        self.kind = kind
        self.settings = settings

    @contextmanager
    def fresh(self) -> Iterator[Opener]:
        """
        Open handles on the same database.
        """
        with empty_database(self.kind) as url:
            yield functools.partial(Disposing.opened, url, self.settings)


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
@pytest.mark.parametrize("kind", [on(kind) for kind in SERVERS])
def test_laws_do_not_depend_on_how_an_engine_is_set_up(
    kind: DatabaseKind, settings: Mapping[str, Any], law: str
) -> None:
    """
    Isolation, autocommit mode and pool of an engine change no law.
    """
    getattr(Kit(kind, settings), law)()


@pytest.mark.parametrize("kind", [on("mariadb")])
def test_who_begins_no_transaction_in_autocommit_mode_is_noticed(
    kind: DatabaseKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    The control: a transaction that is not begun by itself is none in autocommit mode.
    """
    monkeypatch.setitem(owned._BEGIN, "mariadb", [])  # noqa: SLF001 - what is said at the beginning

    with pytest.raises(AssertionError):
        Kit(kind, SETTINGS["autocommit"]).test_law_1_a_refused_commit_changes_nothing()


class ImpatientError(Exception):
    """
    What an alarm raises, as task queues do.
    """


@pytest.mark.parametrize("has_own_engine", [True, False], ids=["engine", "url"])
@pytest.mark.parametrize("kind", [on(kind) for kind in SERVERS])
def test_an_alarm_in_the_middle_of_a_commit_breaks_nothing(
    kind: DatabaseKind,
    has_own_engine: bool,  # noqa: FBT001 - a parameter
) -> None:
    """
    An exception that a signal raises while a commit waits leaves neither a lock nor a connection that cannot be used.
    """

    def impatient(_number: int, _frame: object) -> None:
        raise ImpatientError

    key = "`key`" if kind == "mariadb" else "key"
    before = signal.signal(signal.SIGALRM, impatient)
    try:
        with empty_database(kind) as url, engine_on(url) as engine:
            store = SQLAlchemyStore(engine if has_own_engine else url, create=True)
            store.commit(STEP)
            for _ in range(3):
                with engine.begin() as other:
                    other.exec_driver_sql(f"SELECT * FROM voipcard_counters WHERE {key} = 'steps' FOR UPDATE")  # noqa: S608
                    signal.setitimer(signal.ITIMER_REAL, 0.3)
                    with pytest.raises(ImpatientError):
                        store.commit(STEP)
                store.commit(Changes(counters=[CounterChange("others", 1)]))
            store.commit(STEP)

            found = store.counters(["steps", "others"])
            store.close()

        assert found["others"] == 3
        # PostgreSQL goes on with what it was told: whoever is interrupted does not know, and asks again.
        assert 2 <= found["steps"] <= (5 if kind == "postgresql" else 2)
    finally:
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("kind", [on(kind) for kind in DATABASES])
def test_one_connection_for_all_threads_is_refused(kind: DatabaseKind) -> None:
    """
    An engine whose threads would share a transaction is refused; its connections can be joined nevertheless.
    """
    with empty_database(kind) as url, engine_on(url, poolclass=StaticPool) as engine:
        SQLAlchemyStore(url, create=True).close()
        with pytest.raises(InvalidValueError, match="StaticPool"):
            SQLAlchemyStore(engine)
        with engine.connect() as connection:
            assert SQLAlchemyStore(connection).documents("") == []


@pytest.mark.parametrize("kind", [on(kind) for kind in DATABASES])
def test_a_schema_that_would_be_overlooked_is_refused(kind: DatabaseKind) -> None:
    """
    Schemas are translated for SQLAlchemy's own statements only: so such an engine or connection is refused.
    """
    with empty_database(kind) as url, engine_on(url) as engine:
        translated = engine.execution_options(schema_translate_map={None: "tenant"})
        with translated.connect() as connection:
            for place in (translated, connection):
                with pytest.raises(InvalidValueError, match="schema_translate_map"):
                    SQLAlchemyStore(place)


@pytest.mark.parametrize("prefix", ["100%_", "a b_", 'q"q_', "p%%s_", "Ü_"])
@pytest.mark.parametrize("kind", [on(kind) for kind in DATABASES])
def test_a_prefix_may_be_anything_that_the_database_takes(kind: DatabaseKind, prefix: str) -> None:
    """
    Names with percent signs, spaces, quotes and other letters do, joined or not, for few cards and for many.
    """
    tables = build_tables(prefix=prefix)
    with empty_database(kind) as url, engine_on(url) as engine:
        store = SQLAlchemyStore(engine, tables=tables, create=True)
        store.commit(Changes(new=samples.new(1), counters=[CounterChange("steps", 1)]))
        store.commit(Changes(new=samples.new(*range(2, MANY + 2))))
        with engine.begin() as connection:
            joined = SQLAlchemyStore(connection, tables=tables)
            joined.commit(Changes(new=samples.new(*range(MANY + 2, 2 * MANY + 2)), replace=[replaced(1)]))

        assert store.find(id=samples.card(2 * MANY).id) == samples.card(2 * MANY)
        assert store.find_many(ids=[samples.card(1).id, samples.card(2).id]) in (
            [replaced(1)[0], samples.card(2)],
            [samples.card(2), replaced(1)[0]],
        )


def replaced(number: int) -> tuple[CardRecord, int]:
    """
    Replace a card by one with other credit.
    """
    card = samples.card(number)

    return card._replace(credit=card.credit + 1, version=2), 1


def failing(error: Exception) -> Iterable[tuple[CardRecord, EntryRecord]]:
    """
    Give many new cards, and fail before the last.
    """

    class Cards:
        def __iter__(self) -> Iterator[tuple[CardRecord, EntryRecord]]:
            yield from samples.new(*range(1, MANY))
            raise error

    return Cards()


@pytest.mark.parametrize("kind", [on(kind) for kind in DATABASES])
def test_what_the_callers_cards_raise_goes_back_as_it_is(kind: DatabaseKind) -> None:
    """
    Cards may come from another database, and its errors are not taken for those of this one.
    """
    with empty_database(kind) as url, closing(SQLAlchemyStore(url, create=True)) as store:
        with engine_on(url) as engine:
            own = engine.dialect.loaded_dbapi
        for error in (NoSuchTableError("cards"), own.IntegrityError("UNIQUE"), own.OperationalError(1213, "40001")):
            with pytest.raises(type(error)) as raised:
                store.commit(Changes(new=failing(error)))
            assert raised.value is error
        store.commit(STEP)

        assert store.find(id=samples.card(1).id) is None


@pytest.mark.parametrize("kind", [on(kind) for kind in DATABASES])
def test_a_counter_does_not_become_inexact(kind: DatabaseKind) -> None:
    """
    A counter that would leave 64 bits is refused and stays as it was.
    """
    with empty_database(kind) as url, closing(SQLAlchemyStore(url, create=True)) as store:
        store.commit(Changes(counters=[CounterChange("steps", 2**63 - 1)]))
        with pytest.raises(StoreError):
            store.commit(STEP)

        assert store.counters(["steps"]) == {"steps": 2**63 - 1}


@pytest.mark.parametrize("kind", [on("postgresql")])
def test_a_connection_that_was_left_in_a_transaction_is_not_used(kind: DatabaseKind) -> None:
    """
    What somebody did not end on a connection of the pool is neither committed nor in the way.
    """
    with empty_database(kind) as url, engine_on(url, pool_reset_on_return=None) as engine:
        store = SQLAlchemyStore(engine, create=True)
        left = engine.raw_connection()
        left.cursor().execute("INSERT INTO voipcard_counters VALUES ('left', 1)")
        left.close()
        store.commit(STEP)

        assert store.counters(["steps", "left"]) == {"steps": 1, "left": 0}


BAD: Final = [
    ("postgresql", "postgresql+psycopg://user:secret@/x?plugin=nope"),
    ("mariadb", "mariadb+pymysql://user:secret@localhost/x?foo=bar"),
    ("mariadb", "mariadb+pymysql://user:secret@localhost/x?connect_timeout=abc"),
    ("mariadb", "mariadb+pymysql://user:secret@localhost/x?charset=nope"),
    ("mariadb", "mariadb+pymysql://user:secret@localhost/x?ssl_ca=/nope"),
    ("postgresql", "postgresql+psycopg://user:secret@/x?host=a:1&host=b&port=2"),
]


@pytest.mark.parametrize("url", [url for _, url in BAD])
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_an_address_with_a_strange_option_is_refused(url: str) -> None:
    """
    What SQLAlchemy or a driver says of an option crosses no border, and nothing tells the password.
    """
    with pytest.raises((InvalidValueError, StoreError)) as refused:
        SQLAlchemyStore(url)

    assert "secret" not in repr(refused.value) + str(refused.value)


@pytest.mark.parametrize("kind", [on(kind) for kind in DATABASES])
def test_many_may_make_the_tables_at_once(kind: DatabaseKind) -> None:
    """
    Of several that open an empty database at the same moment each gets a store.
    """
    together = threading.Barrier(4)

    def opened(url: str) -> int:
        together.wait(PATIENCE)
        with closing(SQLAlchemyStore(url, create=True)) as store:
            store.commit(Changes(counters=[CounterChange("steps", 1)]))
            return 1

    for _ in range(3):
        with empty_database(kind) as url, ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(opened, [url] * 4)) == 4
            with closing(SQLAlchemyStore(url)) as store:
                assert store.counters(["steps"]) == {"steps": 4}


def write_at_once(engines: Iterable[sqlalchemy.Engine], rounds: int) -> int:
    """
    Write from one thread for each engine, through a store of its own, and tell how often it was too busy.
    """

    def refused(store: SQLAlchemyStore) -> int:
        refusals = 0
        for _ in range(rounds):
            try:
                store.commit(STEP)
            except StoreBusyError:
                refusals += 1

        return refusals

    # Opened before the first write: who opens reads, and a driver that does not wait does not wait to read either.
    stores = [SQLAlchemyStore(engine) for engine in engines]
    with ThreadPoolExecutor(8) as pool:
        return sum(pool.map(refused, stores))


def test_threads_write_to_sqlite_in_turn() -> None:
    """
    Threads that write without a pause are never told that SQLite is busy, also where its driver does not wait at all.

    They are where each has an engine of its own, between which there are no turns: so the law is not luck.
    """
    impatient = {"connect_args": {"timeout": 0}}
    with empty_database("sqlite") as url, engine_on(url, **impatient) as engine, engine_on(url, **impatient) as other:
        store = SQLAlchemyStore(engine, create=True)
        apart = write_at_once(itertools.islice(itertools.cycle([engine, other]), 8), 200)
        before = store.counters(["steps"])["steps"]
        together = write_at_once([engine] * 8, 50)

        assert apart > 0
        assert apart + before == 8 * 200
        assert together == 0
        assert before + 8 * 50 == store.counters(["steps"])["steps"]


def test_a_turn_is_not_carried_over_a_fork() -> None:
    """
    A child can write although a thread of its parent was writing when it was forked.
    """
    with empty_database("sqlite") as url, engine_on(url) as engine:
        SQLAlchemyStore(engine, create=True)
        with owned._TURNS[engine]:  # noqa: SLF001 - a write would not take long enough
            child = os.fork()
            if child == 0:
                signal.alarm(10)
                engine.dispose(close=False)
                SQLAlchemyStore(engine).commit(STEP)
                os._exit(7)
            _, status = os.waitpid(child, 0)

        assert os.waitstatus_to_exitcode(status) == 7


@pytest.mark.parametrize("option, seconds", [("", owned.PATIENCE), ("?timeout=3", 3)])
def test_other_processes_are_waited_for_as_long_as_on_a_server(option: str, seconds: float) -> None:
    """
    By a URL SQLite is waited for as long as anything else, unless the URL says how long.
    """
    waited: list[float] = []

    def connected(connection: Any, _: object) -> None:  # noqa: ANN401 - the driver's
        waited.extend(milliseconds / 1000 for (milliseconds,) in connection.execute("PRAGMA busy_timeout"))

    sqlalchemy.event.listen(sqlalchemy.pool.Pool, "connect", connected)
    try:
        with empty_database("sqlite") as url, closing(SQLAlchemyStore(url + option, create=True)):
            pass
    finally:
        sqlalchemy.event.remove(sqlalchemy.pool.Pool, "connect", connected)

    assert set(waited) == {seconds}


def test_a_joined_store_is_not_carried_over_a_fork() -> None:
    """
    A child that has a parent's connection does not speak over it.
    """
    with empty_database("sqlite") as url, engine_on(url) as engine:
        SQLAlchemyStore(engine, create=True)
        with engine.connect() as connection:
            store = SQLAlchemyStore(connection)
            child = os.fork()
            if child == 0:
                try:
                    store.documents("")
                except StoreClosedError:
                    os._exit(7)
                os._exit(0)
            _, status = os.waitpid(child, 0)

            assert os.waitstatus_to_exitcode(status) == 7
            assert store.documents("") == []


@pytest.mark.parametrize("kind", [on("postgresql")])
def test_a_transaction_that_an_error_has_ended_says_so(kind: DatabaseKind) -> None:
    """
    After an error of the portal's own PostgreSQL refuses everything: so does the store, with what to do.
    """
    with empty_database(kind) as url, engine_on(url) as engine:
        SQLAlchemyStore(engine, create=True)
        with engine.connect() as connection:
            store = SQLAlchemyStore(connection)
            with pytest.raises(sqlalchemy.exc.ProgrammingError):
                connection.exec_driver_sql("SELECT * FROM no_such_table")
            for attempt in (lambda: store.documents(""), lambda: store.commit(STEP)):
                with pytest.raises(StoreError, match="roll it back and begin again"):
                    attempt()
