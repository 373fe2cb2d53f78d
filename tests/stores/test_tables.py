"""
The tables of a book are the portal's to make and to move, and what is the matter with them is said clearly.
"""

from __future__ import annotations

import gc
import os
import secrets
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Column, Connection, Engine, ForeignKey, MetaData, String, Table, insert, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import create_async_engine

from tests import servers
from tests.book_world import EXTENSION, BareKey, book_on, sound
from tests.databases import DATABASES, SERVERS, DatabaseKind, empty_database, engine_on, on
from voipcard import CardBook, Credit, License, VoipcardError, open_book
from voipcard.errors import (
    InvalidValueError,
    NotABookError,
    SchemaError,
    StoreError,
    StoreReadOnlyError,
)
from voipcard.stores import Changes, Document, SQLAlchemyStore, Tables, build_tables
from voipcard.testing import samples

CONVENTION: Final = {
    "ix": "ix_%(column_0_label)s",
    "uq": "uq_%(table_name)s_%(column_0_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}
"""The names that Alembic's documentation recommends."""

DECORATED: Final = {name: f"portal_{name}_%(constraint_name)s" for name in ("uq", "ck")}
"""Names that are made of others."""

PASSWORD: Final = "hunter2-and-more"  # noqa: S105 - of users that go with their test

KINDS: Final = [on(kind) for kind in DATABASES]
SERVER_KINDS: Final = [on(kind) for kind in SERVERS]


@contextmanager
def engine_for(kind: DatabaseKind) -> Iterator[Engine]:
    """
    Make an engine on an empty database.
    """
    with empty_database(kind) as url, engine_on(url) as engine:
        yield engine


def portal_of(tables: Tables) -> Table:
    """
    Describe a table of the portal that refers to cards.
    """
    return Table(
        "purchases",
        tables.metadata,
        Column("number", String(32), primary_key=True),
        Column("card", tables.cards.c.id.type, ForeignKey(tables.cards.c.id), nullable=False),
        mysql_engine="InnoDB",
    )


def use(book: CardBook) -> None:
    """
    Generate and recharge cards, and find all of it as it was written.
    """
    extension = book.acting_as("portal").extension(EXTENSION)
    handouts = extension.generate(3, credit="10.00")

    assert extension.recharge(handouts[0].serial, "2.50", order_number="PO-1").credit_left == Credit("12.50")
    assert sound(book) == ()


# Alembic


ENVIRONMENT: Final = """
from alembic import context

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=context.config.attributes["metadata"], **{options})
with context.begin_transaction():
    context.run_migrations()
"""

OPTIONS: Final[dict[str, Any]] = {"compare_server_default": True, "include_schemas": False}


class Migrations:
    """
    The migrations of a portal.
    """

    def __init__(self, folder: Path, engine: Engine, metadata: MetaData, **options: object) -> None:
        self._engine: Final = engine
        self._metadata: Final = metadata
        self._options: Final = {**OPTIONS, **options}
        self._config: Final = Config(folder / "alembic.ini")
        command.init(self._config, str(folder / "migrations"))
        (folder / "migrations" / "env.py").write_text(ENVIRONMENT.replace("{options}", repr(self._options)))

    def write(self) -> str:
        """
        Let Alembic write a migration, and give its text.
        """
        script = self._run(lambda config: command.revision(config, autogenerate=True))

        return Path(script.path).read_text()

    def go_to(self, revision: str) -> None:
        """
        Migrate up to the newest revision, or down to the empty one.
        """
        self._run(lambda config: (command.upgrade if revision == "head" else command.downgrade)(config, revision))

    def differences(self) -> list[Any]:
        """
        Give what is not in the database as it should be.
        """
        return drift(self._engine, self._metadata, **self._options)

    def _run(self, work: Callable[[Config], Any]) -> Any:  # noqa: ANN401 - what Alembic gives
        with self._engine.begin() as connection:
            self._config.attributes.update(connection=connection, metadata=self._metadata)
            return work(self._config)


def drift(engine: Engine, metadata: MetaData, **options: object) -> list[Any]:
    """
    Give what Alembic would change in the database.
    """
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={**OPTIONS, **options})
        return list(compare_metadata(context, metadata))


@pytest.mark.parametrize("convention", [CONVENTION, DECORATED], ids=["recommended", "decorated"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_migration_by_alembic_makes_a_book(kind: DatabaseKind, convention: dict[str, str], tmp_path: Path) -> None:
    """
    Alembic sees the tables on the portal's metadata, makes them, sees no difference afterwards, and removes them again.
    """
    with engine_for(kind) as engine:
        tables = build_tables(MetaData(naming_convention=convention))
        portal_of(tables)
        migrations = Migrations(tmp_path, engine, tables.metadata)
        written = migrations.write()
        migrations.go_to("head")
        differences, again = migrations.differences(), migrations.write()
        migrations.go_to("head")
        use(book_on(SQLAlchemyStore(engine, tables=tables)))
        still = migrations.differences()
        migrations.go_to("base")
        left = sqlalchemy.inspect(engine).get_table_names()

        assert all(f"'{table.name}'" in written for table in tables.all())
        assert differences == still == []
        assert "create_" not in again
        assert left == ["alembic_version"]


@pytest.mark.parametrize("kind", KINDS)
def test_tables_that_the_store_made_are_no_difference(kind: DatabaseKind) -> None:
    """
    After `create=True` Alembic has nothing to change, so that a portal may begin with the one and go on with the other.
    """
    with engine_for(kind) as engine:
        use(book_on(SQLAlchemyStore(engine, create=True)))

        assert drift(engine, build_tables(MetaData(naming_convention=CONVENTION)).metadata) == []


CHANGES: Final = [
    pytest.param("DROP INDEX ix_voipcard_cards_batch{on_cards}", "add_index", DATABASES, id="index"),
    pytest.param("ALTER TABLE voipcard_entries DROP COLUMN tariff", "add_column", DATABASES, id="column"),
    pytest.param("ALTER TABLE voipcard_cards {alter} order_number {type} {text}", "modify_type", SERVERS, id="type"),
    pytest.param("ALTER TABLE voipcard_cards DROP CONSTRAINT uq_voipcard_cards_serial", "add_", SERVERS, id="unique"),
]
WORDS: Final = {
    "postgresql": {"on_cards": "", "alter": "ALTER COLUMN", "type": "TYPE", "text": "INTEGER USING 0"},
    "mariadb": {"on_cards": " ON voipcard_cards", "alter": "MODIFY", "type": "", "text": "INTEGER NOT NULL"},
    "sqlite": {"on_cards": ""},
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("statement, found, kinds", CHANGES)
def test_a_difference_is_noticed(kind: DatabaseKind, statement: str, found: str, kinds: list[DatabaseKind]) -> None:
    """
    A database that is not as the tables say is found to be so: the two laws above could fail.
    """
    with engine_for(kind) as engine:
        SQLAlchemyStore(engine, create=True)
        if kind in kinds:
            with engine.begin() as connection:
                connection.exec_driver_sql(statement.format_map(WORDS[kind]))
        differences = [
            each[0] if isinstance(each, tuple) else each[0][0] for each in drift(engine, build_tables().metadata)
        ]

        assert [difference[: len(found)] for difference in differences] == ([found] if kind in kinds else [])


# Where the tables are


@pytest.mark.parametrize("kind", KINDS)
def test_prefixes_keep_books_apart(kind: DatabaseKind) -> None:
    """
    Two books in one database, on one metadata, know nothing of each other's cards, and each has a key of its own.
    """
    with engine_for(kind) as engine:
        metadata = MetaData()
        books = {
            prefix: book_on(SQLAlchemyStore(engine, tables=build_tables(metadata, prefix=prefix), create=True))
            for prefix in ("red_", "blue_")
        }
        serials = [h.serial for h in books["red_"].extension(EXTENSION).generate(3, credit="1.00")]
        use(books["blue_"])

        assert books["red_"].extension(EXTENSION).count() == 3
        assert books["blue_"].extension(EXTENSION).find(serial=serials[0]) is None
        assert [sound(book) for book in books.values()] == [(), ()]


@pytest.mark.parametrize("kind", SERVER_KINDS)
def test_tables_in_a_schema(kind: DatabaseKind, tmp_path: Path) -> None:
    """
    A book in a schema of its own works, joined and in bulk too, and Alembic sees no difference.

    MariaDB has no schemas: there it is another database of the same server.
    """
    with empty_database(kind) as other, empty_database(kind) as url, engine_on(url) as engine:
        schema = "cards" if kind == "postgresql" else sqlalchemy.make_url(other).database or ""
        tables = build_tables(MetaData(naming_convention=CONVENTION), schema=schema)
        purchases = portal_of(tables)

        def included(name: str | None, type_: str, _: object) -> bool:
            return type_ != "schema" or name in {None, schema}

        if kind == "postgresql":
            with pytest.raises(NotABookError):
                SQLAlchemyStore(engine, tables=tables)
            servers.execute(url, "CREATE SCHEMA cards")
            migrations = Migrations(tmp_path, engine, tables.metadata, include_schemas=True)
            migrations.write()
            migrations.go_to("head")
        else:
            tables.metadata.create_all(engine)
        book = book_on(SQLAlchemyStore(engine, tables=tables)).acting_as("portal")
        use(book)
        with engine.begin() as connection:
            extension = book.over(SQLAlchemyStore(connection, tables=tables)).extension(EXTENSION)
            handouts = extension.generate(600, credit="1.00")
            card = extension.get(handouts[0].serial)
            connection.execute(insert(purchases).values(number="PO-1", card=card.id))
        differences = drift(engine, tables.metadata, include_schemas=True, include_name=included)

        assert book.extension(EXTENSION).count() == 603
        assert differences == []
        assert sound(book) == ()


@pytest.mark.parametrize("kind", SERVER_KINDS)
def test_tables_of_the_portal_may_refer_to_cards(kind: DatabaseKind) -> None:
    """
    A foreign key to cards holds within a transaction: no purchase without its card, and no removal of one that has one.
    """
    with engine_for(kind) as engine:
        tables = build_tables(MetaData(naming_convention=CONVENTION))
        purchases = portal_of(tables)
        tables.metadata.create_all(engine)
        book = book_on(SQLAlchemyStore(engine, tables=tables)).acting_as("portal")
        with engine.begin() as connection:
            extension = book.over(SQLAlchemyStore(connection, tables=tables)).extension(EXTENSION)
            [handout] = extension.generate(1, credit="1.00")
            card = extension.get(handout.serial)
            connection.execute(insert(purchases).values(number="PO-1", card=card.id))
            extension.recharge(card, "5.00")
        with pytest.raises(IntegrityError), engine.begin() as connection:
            connection.execute(insert(purchases).values(number="PO-2", card=bytes(16)))
        with pytest.raises(StoreError) as refused:
            book.extension(EXTENSION).remove(card)

        assert not refused.value.maybe_applied
        assert book.extension(EXTENSION).get(card.serial).credit == Credit("6.00")
        assert sound(book) == ()


# What is the matter


@pytest.mark.parametrize("kind", KINDS)
def test_missing_tables_are_said_to_be_missing(kind: DatabaseKind) -> None:
    """
    Where there are no tables, or none of this prefix, opening says what to do, through an engine and a connection.
    """
    with engine_for(kind) as engine:
        attempts: list[Callable[[Connection], object]] = [
            lambda _: SQLAlchemyStore(engine),
            SQLAlchemyStore,
            lambda connection: SQLAlchemyStore(connection, tables=build_tables(prefix="other_")),
        ]
        for attempt in attempts:
            with engine.connect() as connection:
                with pytest.raises(NotABookError, match="create=True, a migration or another prefix"):
                    attempt(connection)
                # The transaction goes on.
                assert connection.scalar(sqlalchemy.select(1)) == 1
        SQLAlchemyStore(engine, create=True)
        with engine.connect() as connection:
            attempts[0](connection)
            attempts[1](connection)
            with pytest.raises(NotABookError):
                attempts[2](connection)


@pytest.mark.parametrize("kind", KINDS)
def test_a_newer_schema_is_left_alone(kind: DatabaseKind) -> None:
    """
    Tables of a newer release are refused with both versions, whoever opens them, and are not touched.
    """
    with empty_database(kind) as url, engine_on(url) as engine:
        tables = build_tables()
        SQLAlchemyStore(engine, create=True)
        with engine.begin() as connection:
            connection.execute(update(tables.version).values(version=2))
        with engine_on(url) as fresh, fresh.connect() as connection:
            attempts: list[Callable[[], object]] = [
                lambda: SQLAlchemyStore(connection),
                lambda: SQLAlchemyStore(fresh),
                lambda: SQLAlchemyStore(fresh, create=True),
                lambda: open_book(url, currency="EUR", key=BareKey()),
            ]
            for attempt in attempts:
                with pytest.raises(SchemaError) as refused:
                    attempt()

                assert (refused.value.found, refused.value.known) == (2, 1)
        with engine.connect() as connection:
            versions = connection.execute(sqlalchemy.select(tables.version)).all()

        assert versions == [(1, 2)]


def test_the_version_is_written_once() -> None:
    """
    Whoever opens tables that Alembic has made writes down their version, and nobody writes it twice.
    """
    with engine_for("sqlite") as engine:
        tables = build_tables()
        tables.metadata.create_all(engine)
        for _ in range(2):
            with engine_on(engine.url.render_as_string()) as fresh:
                SQLAlchemyStore(fresh)
        with engine.connect() as connection:
            versions = connection.execute(sqlalchemy.select(tables.version)).all()

        assert versions == [(1, 1)]


_forgotten: Final = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

TOO_LONG: Final = 15.0
"""Seconds; half of the time for which a commit is tried again."""


@contextmanager
def user(kind: DatabaseKind, url: str, rights: Mapping[str, str]) -> Iterator[str]:
    """
    Make a user who has these rights on these tables, and give the address for it.
    """
    name = f"portal_{secrets.token_hex(4)}"
    parsed = sqlalchemy.make_url(url)
    if kind == "postgresql":
        account, making = name, f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}'"
        ending = [f"DROP OWNED BY {name}", f"DROP ROLE {name}"]
    else:
        account = f"{name}@'%'" if parsed.host not in {None, "localhost"} else f"{name}@localhost"
        making, ending = f"CREATE USER {account} IDENTIFIED BY '{PASSWORD}'", [f"DROP USER {account}"]
    for statement in (making, *(f"GRANT {right} ON {table} TO {account}" for table, right in rights.items())):
        servers.execute(url, statement)
    try:
        yield parsed.set(username=name, password=PASSWORD).render_as_string(hide_password=False)
    finally:
        for statement in ending:
            servers.execute(url, statement)


@pytest.mark.parametrize("kind", SERVER_KINDS)
def test_a_user_who_may_only_read_can_read(kind: DatabaseKind) -> None:
    """
    Reading works for a user without other rights, and each write is refused for that reason, joined or not.
    """
    with empty_database(kind) as url:
        with open_book(url, currency="EUR", key=BareKey()) as book:
            use(book)
        rights = dict.fromkeys((table.name for table in build_tables().all()), "SELECT")
        with user(kind, url, rights) as address, engine_on(address) as engine, book_on(SQLAlchemyStore(engine)) as book:
            extension = book.extension(EXTENSION)
            [card, *_] = extension.search(order="serial")
            attempts: list[Callable[[], object]] = [
                lambda: extension.recharge(card, "1.00"),
                lambda: extension.generate(1),
                lambda: extension.generate(600),
                lambda: SQLAlchemyStore(engine, tables=build_tables(prefix="mine_"), create=True),
            ]
            refusals = [refusal(attempt) for attempt in attempts]
            with engine.connect() as connection:
                joined = book.over(SQLAlchemyStore(connection)).extension(EXTENSION)
                refusals.append(refusal(lambda: joined.recharge(card, "1.00")))

                assert joined.get(card.serial) == card

        assert [(type(each), each.maybe_applied) for each in refusals] == [(StoreReadOnlyError, False)] * 5
        assert not any(PASSWORD in text_of(each) for each in refusals)
        with open_book(url, key=BareKey()) as book:
            assert book.extension(EXTENSION).count() == 3
            assert sound(book) == ()


@pytest.mark.parametrize("kind", SERVER_KINDS)
def test_a_user_who_may_only_read_may_be_the_first(kind: DatabaseKind) -> None:
    """
    Tables that a migration made are opened by a user who cannot write their version; the next who can writes it.
    """
    tables = build_tables()
    with empty_database(kind) as url, engine_on(url) as engine:
        tables.metadata.create_all(engine)
        rights = dict.fromkeys((table.name for table in tables.all()), "SELECT")
        with user(kind, url, rights) as address, engine_on(address) as reader:
            assert SQLAlchemyStore(reader).documents("") == []
        SQLAlchemyStore(url).close()
        with engine.connect() as connection:
            assert connection.execute(sqlalchemy.select(tables.version)).all() == [(1, 1)]


@_forgotten
@pytest.mark.parametrize("kind", [on("mariadb")])
def test_what_is_too_large_for_the_server_is_refused_soon(kind: DatabaseKind) -> None:
    """
    A statement that MariaDB ends the connection for is not tried again for long, and nothing of it is applied.
    """
    with empty_database(kind) as url:
        store = SQLAlchemyStore(url, create=True)
        began = time.monotonic()
        refused = refusal(lambda: store.commit(Changes(documents=[(Document("large", bytes(70 << 20), version=1), 0)])))

        assert time.monotonic() - began < TOO_LONG
        assert not refused.maybe_applied
        assert store.documents("") == []
        store.close()


@pytest.mark.parametrize("kind", SERVER_KINDS)
def test_the_rights_that_the_page_names_are_enough(kind: DatabaseKind) -> None:
    """
    A user who may read and change the rows of the tables can do everything, without changing what has happened.
    """
    tables = build_tables()
    rights = {table.name: "SELECT, INSERT, UPDATE, DELETE" for table in tables.all()}
    rights |= {table.name: "SELECT, INSERT" for table in (tables.entries, tables.audit)}
    with empty_database(kind) as url:
        SQLAlchemyStore(url, create=True).close()
        with user(kind, url, rights) as address, engine_on(address) as engine:
            book = book_on(SQLAlchemyStore(engine)).acting_as("portal")
            book.install_license(License(max_active_codes=1000))
            extension = book.extension(EXTENSION)
            serials = [handout.serial for handout in extension.generate(600, credit="10.00", operation="first")]
            extension.transfer(serials[0], serials[1], amount="1.00")
            extension.recharge_many([(serial, "1.00") for serial in serials[:5]], order_number="PO-1")
            extension.disable(serials[2])
            extension.remove(serials[3])
            extension.reveal(serials[4])
            with engine.begin() as connection:
                use(book.over(SQLAlchemyStore(connection)))

            assert sound(book) == ()


def test_a_database_that_is_set_to_read_only_can_be_read(tmp_path: Path) -> None:
    """
    The same holds for SQLite where the file is opened for reading.
    """
    path = tmp_path / "cards.db"
    with closing(SQLAlchemyStore(f"sqlite:///{path}", create=True)) as store:
        use(book_on(store))
    with book_on(SQLAlchemyStore(f"sqlite:///file:{path}?mode=ro&uri=true")) as book:
        extension = book.extension(EXTENSION)
        [card, *_] = extension.search(order="serial")

        assert type(refusal(lambda: extension.recharge(card, "1.00"))) is StoreReadOnlyError
        assert extension.get(card.serial) == card


def refusal(attempt: Callable[[], object]) -> StoreError:
    """
    Give what an attempt is refused with.
    """
    with pytest.raises(StoreError) as refused:
        attempt()

    return refused.value


def text_of(error: BaseException) -> str:
    """
    Give all that a log would have of an error, with its causes.
    """
    return "".join(traceback.format_exception(error)) + repr(error)


@pytest.fixture
def forgetful() -> Iterator[None]:
    """
    Clear away the sockets that PyMySQL leaves open where it could not connect.
    """
    yield
    gc.collect()


@_forgotten
@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("kind", SERVER_KINDS)
def test_a_server_that_comes_back_is_used_again(kind: DatabaseKind) -> None:
    """
    While the server is away everything is refused and nothing is applied; when it is back the same book goes on.
    """
    with (servers.postgresql if kind == "postgresql" else servers.mariadb)(durable=True) as server:
        if not server.ours:
            pytest.skip("the server is not ours to stop")
        with server.database() as url, engine_on(url) as engine:
            book = book_on(SQLAlchemyStore(engine, create=True)).acting_as("portal")
            extension = book.extension(EXTENSION)
            [handout] = extension.generate(1, credit="10.00")
            with engine.connect() as connection:
                joined = book.over(SQLAlchemyStore(connection)).extension(EXTENSION)
                joined.recharge(handout.serial, "1.00")
                server.stop()
                attempts: list[Callable[[], object]] = [
                    lambda: joined.recharge(handout.serial, "2.00"),
                    lambda: joined.get(handout.serial),
                    lambda: extension.recharge(handout.serial, "4.00"),
                    lambda: extension.get(handout.serial),
                    lambda: SQLAlchemyStore(engine, tables=build_tables(prefix="other_")),
                ]
                refusals = [refusal(attempt) for attempt in attempts]
                server.start()
                again = refusal(attempts[0])
                connection.rollback()
                joined.recharge(handout.serial, "8.00")
                connection.commit()
            entry = extension.recharge(handout.serial, "16.00")

            assert [each.maybe_applied for each in (*refusals, again)] == [False] * 6
            assert {str(each) for each in refusals[:2]} == {str(again)}
            assert {str(each) for each in refusals[2:]} == {"the database cannot be reached"}
            assert str(again) == "the connection to the database was lost: roll the transaction back"
            assert entry.credit_left == Credit("34.00")
            assert sound(book) == ()


UNREACHABLE: Final = [
    f"postgresql+psycopg://portal:{PASSWORD}@/cards?host=/nowhere",
    f"mariadb+pymysql://portal:{PASSWORD}@localhost/cards?unix_socket=/nowhere/socket",
    f"sqlite:////nowhere/{PASSWORD}/cards.db",
]
WRONG: Final = [
    "nonsense",
    f"oracle://portal:{PASSWORD}@localhost/cards",
    f"postgresql+psycopg2://portal:{PASSWORD}@localhost/cards",
    f"mysql+mysqldb://portal:{PASSWORD}@localhost/cards",
    f"postgresql+psycopg://portal:{PASSWORD}@localhost:port/cards",
]


@_forgotten
@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("url", UNREACHABLE)
def test_a_database_that_is_not_there_is_said_to_be_so(url: str) -> None:
    """
    Where there is no server, opening says that it cannot be reached, and no error has the password of the address.
    """
    refused = refusal(lambda: SQLAlchemyStore(url, create=True))

    assert "the database" in str(refused)
    assert PASSWORD not in text_of(refused)


@pytest.mark.parametrize("url", WRONG)
def test_an_address_of_something_else_is_refused(url: str) -> None:
    """
    A driver or database that is not supported is refused, with those that are, before anything is connected.
    """
    with pytest.raises(InvalidValueError, match=r"one of postgresql\+psycopg, mariadb\+pymysql") as refused:
        SQLAlchemyStore(url)

    assert PASSWORD not in text_of(refused.value)


def test_an_engine_of_another_driver_is_refused() -> None:
    """
    An engine whose driver was never tried is refused as its address would be, and so is what is no engine at all.
    """
    other = create_async_engine("sqlite+aiosqlite://").sync_engine
    with engine_on("sqlite://") as unknown:
        unknown.dialect.driver = "unknown"
        connection = unknown.connect()
        for place in (other, unknown, connection, object()):
            with pytest.raises(InvalidValueError, match="place has to be"):
                SQLAlchemyStore(place)  # type: ignore[arg-type]
        connection.close()


WITHOUT: Final = """
import sys
import time

for name in {names!r}:
    sys.modules[name] = None
import voipcard.stores

try:
    {attempt}
except ImportError as error:
    print(error, "|", error.name)
"""
ATTEMPTS: Final = [
    ("sqlalchemy", "voipcard.stores.SQLAlchemyStore", "voipcard[postgresql] or voipcard[mysql]"),
    ("sqlalchemy", "from voipcard.stores import build_tables", "voipcard[postgresql] or voipcard[mysql]"),
    ("sqlalchemy", "voipcard.open_book('postgresql://', key=voipcard.KeyFile('key'))", "voipcard[postgresql]"),
    ("psycopg", "voipcard.stores.SQLAlchemyStore('postgresql+psycopg://x')", "install voipcard[postgresql] |"),
    ("pymysql", "voipcard.stores.SQLAlchemyStore('mariadb+pymysql://x')", "install voipcard[mysql] |"),
]


@pytest.mark.parametrize("missing, attempt, said", ATTEMPTS)
def test_a_missing_extra_is_named(missing: str, attempt: str, said: str) -> None:
    """
    Where SQLAlchemy or a driver is not installed, the error says what to install; the rest of the library works.
    """
    program = WITHOUT.format(names=[missing], attempt=attempt)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)

    assert (run.returncode, run.stderr) == (0, "")
    assert said in run.stdout
    assert run.stdout.rstrip().endswith(f"| {missing}")


# What errors tell


SECRET: Final = 987_654_321_012
"""An amount that is nowhere else."""


def _refusals(store: SQLAlchemyStore) -> list[VoipcardError]:
    card = samples.card(1)._replace(credit=SECRET, order_number=PASSWORD)
    store.commit(Changes(new=[(card, samples.entry(card))]))
    other = samples.card(2)._replace(credit=SECRET, order_number=PASSWORD, sealed_code=bytes(2000))
    twin = samples.card(2)._replace(credit=SECRET, order_number=PASSWORD, index=card.index)
    unfit = samples.card(2)._replace(credit=SECRET * 10**9, order_number=PASSWORD)
    refused: list[VoipcardError] = []
    for each in (
        other,
        twin,
        unfit,
        samples.card(2)._replace(credit=SECRET, batch=f"{PASSWORD}\0", order_number=PASSWORD),
    ):
        try:
            store.commit(Changes(new=[(each, samples.entry(each))]))
        except VoipcardError as error:
            refused.append(error)

    return refused


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("is_joined", [False, True])
def test_no_error_tells_a_value(kind: DatabaseKind, is_joined: bool) -> None:  # noqa: FBT001 - a parameter
    """
    What a database refuses is told without amounts and texts, whatever the driver's error has of them.
    """
    with engine_for(kind) as engine:
        store = SQLAlchemyStore(engine, create=True)
        if is_joined:
            with engine.connect() as connection:
                refused = _refusals(SQLAlchemyStore(connection))
        else:
            refused = _refusals(store)
        told = [f"{error} {error!r}" for error in refused]

        assert len(refused) >= 2
        assert not [text for text in told if str(SECRET) in text or PASSWORD in text]
