"""
Real database servers that tests and benchmarks start themselves, as root or not, each in a temporary folder of its own.

They listen on a socket in that folder only. Where `VOIPCARD_TEST_POSTGRESQL_URL` or `VOIPCARD_TEST_MARIADB_URL` names a
server that runs already, that one is used instead.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import secrets
import signal
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import sqlalchemy
from sqlalchemy.exc import OperationalError

from tests.server_home import Account, Home, ServerError, lacking, program

if TYPE_CHECKING:
    from tests.galera import Cluster

__all__ = ["Kind", "Server", "ServerError", "galera", "mariadb", "missing", "postgresql", "shared"]

Kind: TypeAlias = Literal["postgresql", "mariadb"]

NO_SETTINGS: Final[Mapping[str, str]] = MappingProxyType({})

_NAMES: Final[Mapping[Kind, str]] = {"postgresql": "PostgreSQL", "mariadb": "MariaDB"}

_VARIABLES: Final[Mapping[Kind, str]] = {
    "postgresql": "VOIPCARD_TEST_POSTGRESQL_URL",
    "mariadb": "VOIPCARD_TEST_MARIADB_URL",
}

_PACKAGES: Final[Mapping[Kind, Mapping[str, str]]] = {
    "postgresql": {"initdb": "postgresql", "postgres": "postgresql"},
    "mariadb": {
        "mariadbd": "mariadb-server-core",
        "mariadb-install-db": "mariadb-server-core",
        "my_print_defaults": "mariadb-client-core",
    },
}

_CRASH: Final[Mapping[Kind, signal.Signals]] = {
    # https://www.postgresql.org/docs/current/server-shutdown.html: the same as `pg_ctl stop -m immediate`.
    "postgresql": signal.SIGQUIT,
    "mariadb": signal.SIGKILL,
}
_ORDERLY: Final[Mapping[Kind, signal.Signals]] = {"postgresql": signal.SIGINT, "mariadb": signal.SIGTERM}


class Server:
    """
    A database server, with a database to begin with.

    Attributes:
        kind: What it is, as an argument of these functions.
        name: What it is, for people.
        url: The address of its first database, as SQLAlchemy writes it.
    """

    def __init__(self, kind: Kind, url: str) -> None:
        self.kind: Final = kind
        self.name: Final = _NAMES[kind]
        self.url: Final = url

    @property
    def ours(self) -> bool:
        """
        Whether it was started here, so that it can be stopped.
        """
        return False

    @functools.cached_property
    def version(self) -> str:
        """
        Ask for its version.
        """
        [[version]] = execute(self.url, "SHOW server_version" if self.kind == "postgresql" else "SELECT version()")

        return str(version)

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """
        Make an empty database, give its address, and drop it afterwards, whoever is still connected.
        """
        name = f"voipcard_{secrets.token_hex(8)}"
        execute(self.url, f"CREATE DATABASE {name}")
        try:
            yield _with_database(self.url, name)
        finally:
            self._drop(name)

    def stop(self, immediate: bool = True) -> None:  # noqa: FBT001, FBT002 - it says itself what it means
        """
        Stop the server: at once, as a crash would, or in an orderly manner.

        The operating system goes on, and with it what a server has written and not synced. So a crash loses what the
        server kept to itself, and does not tell whether it syncs.
        """
        raise ServerError(f"{_VARIABLES[self.kind]} names this server: it is not ours to stop (immediate={immediate})")

    def start(self) -> None:
        """
        Start the server again, on the same data and at the same address.
        """
        raise ServerError(f"{_VARIABLES[self.kind]} names this server: it is not ours to start")

    def _drop(self, name: str) -> None:
        if self.kind == "postgresql":
            execute(self.url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            return
        for [thread] in execute(self.url, f"SELECT id FROM information_schema.processlist WHERE db = '{name}'"):  # noqa: S608 - our own name
            with contextlib.suppress(OperationalError):  # it has gone meanwhile
                execute(self.url, f"KILL {thread}")
        execute(self.url, f"DROP DATABASE IF EXISTS {name}")


class _OwnServer(Server):
    """
    A server that was started here.
    """

    def __init__(self, kind: Kind, url: str, home: Home, command: Sequence[str]) -> None:
        super().__init__(kind, url)
        self._home: Final = home
        self._command: Final = command

    @property
    def ours(self) -> bool:
        return True

    def stop(self, immediate: bool = True) -> None:  # noqa: FBT001, FBT002 - as above
        self._home.end((_CRASH if immediate else _ORDERLY)[self.kind])

    def start(self) -> None:
        self._home.start(self._command, functools.partial(answers, self.url))

    def _drop(self, name: str) -> None:
        if self._home.runs:
            super()._drop(name)


def missing(kind: Kind | Literal["galera"], *, folders: Iterable[str | Path] | None = None) -> str | None:
    """
    Say why there is no server of this kind to be had, or None if there is.

    Args:
        kind: Which server.
        folders: Where programs are looked for; by default on the path, and where Debian puts servers.
    """
    if kind == "galera":
        from tests import galera as module

        return lacking(_PACKAGES["mariadb"], folders) or module.missing(folders)

    return None if os.environ.get(_VARIABLES[kind]) else lacking(_PACKAGES[kind], folders)


@contextlib.contextmanager
def postgresql(*, durable: bool = False, settings: Mapping[str, str] = NO_SETTINGS) -> Iterator[Server]:
    """
    Start PostgreSQL, which sorts as people do, so that a test finds out who relies on the order of bytes.

    Args:
        durable: Whether a commit is on the disk when it returns, as is PostgreSQL's default. Much faster without.
        settings: More settings for `postgresql.conf`, by name.
    """
    if given := _given("postgresql"):
        yield given
        return
    fast = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    account = Account.instead_of_root("postgres")
    with contextlib.closing(Home(account, _CRASH["postgresql"], ".s.PGSQL.5432")) as home:
        _init_postgresql(home)
        every = {
            "listen_addresses": "",
            "unix_socket_directories": str(home.folder),
            "max_connections": "100",
            **({} if durable else fast),
            **settings,
        }
        options = [word for name, value in every.items() for word in ("-c", f"{name}={value}")]
        command = [program("postgres"), "-D", f"{home.folder}/data", *options]
        yield _first_start("postgresql", f"postgresql+psycopg://postgres@/postgres?host={home.folder}", home, command)


@contextlib.contextmanager
def mariadb(*, durable: bool = False, settings: Mapping[str, str] = NO_SETTINGS) -> Iterator[Server]:
    """
    Start MariaDB, which sorts as people do by default, and takes no notice of case.

    Args:
        durable: Whether a commit is on the disk when it returns, as is MariaDB's default. Much faster without.
        settings: More settings, by the names they have in `my.cnf`.
    """
    if given := _given("mariadb"):
        yield given
        return
    fast = {"innodb-flush-log-at-trx-commit": "0", "innodb-doublewrite": "0"}
    account = Account.instead_of_root("mysql")
    with contextlib.closing(Home(account, _CRASH["mariadb"], "socket")) as home:
        init_mariadb(home)
        every = {
            "skip-networking": "1",
            "innodb-buffer-pool-size": "256M" if durable else "64M",
            **({} if durable else fast),
            **settings,
        }
        yield _first_start("mariadb", mariadb_url(home), home, mariadb_command(home, every))


def galera(
    nodes: int = 3,
    *,
    durable: bool = True,
    settings: Mapping[str, str] = NO_SETTINGS,
) -> contextlib.AbstractContextManager[Cluster]:
    """
    Start a Galera cluster of MariaDB servers: each has all the data, and a commit on one is certified by all.

    Args:
        nodes: How many servers.
        durable: Whether each node syncs its commits.
        settings: More settings of each node, by the names they have in `my.cnf`, as `wsrep-sync-wait`.
    """
    from tests.galera import cluster

    return cluster(nodes, durable=durable, settings=settings)


@functools.cache
def shared(kind: Kind) -> Server:
    """
    Give the one server of this kind that all tests of this process share; it ends with the process.

    A child process reaches it, or a database on it, by the address.
    """
    stack = contextlib.ExitStack()
    server = stack.enter_context(postgresql() if kind == "postgresql" else mariadb())
    atexit.register(stack.close)

    return server


def init_mariadb(home: Home) -> None:
    """
    Make the files of a MariaDB server.
    """
    home.run(
        [
            program("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={home.folder}/data",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ],
    )


def mariadb_command(home: Home, settings: Mapping[str, str]) -> list[str]:
    """
    Put together what starts MariaDB at home.
    """
    every = {
        "datadir": f"{home.folder}/data",
        "socket": str(home.socket),
        "pid-file": f"{home.folder}/pid",
        "character-set-server": "utf8mb4",
        "max-allowed-packet": "64M",
        **settings,
    }

    return [program("mariadbd"), "--no-defaults", *(f"--{name}={value}" for name, value in every.items())]


def mariadb_url(home: Home) -> str:
    """
    Write the address of a MariaDB server that is started at home.
    """
    return f"mariadb+pymysql://root@localhost/mysql?unix_socket={home.socket}&charset=utf8mb4"


def answers(url: str) -> bool:
    """
    Tell whether a server answers yet.
    """
    try:
        return bool(execute(url, "SELECT 1"))
    except OperationalError:
        return False


def execute(url: str, statement: str) -> Sequence[Sequence[object]]:
    """
    Run one statement by itself, outside of any transaction, over a connection of its own.
    """
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        result = connection.exec_driver_sql(statement)
        return [tuple(row) for row in result] if result.returns_rows else []


def _given(kind: Kind) -> Server | None:
    url = os.environ.get(_VARIABLES[kind])
    if url:
        return Server(kind, url)
    if reason := missing(kind):
        raise ServerError(reason)

    return None


def _first_start(kind: Kind, url: str, home: Home, command: Sequence[str]) -> Server:
    """
    Start a server on new files, and make its first database.
    """
    home.start(command, functools.partial(answers, url))
    execute(url, "CREATE DATABASE voipcard")

    return _OwnServer(kind, _with_database(url, "voipcard"), home, command)


def _init_postgresql(home: Home) -> None:
    """
    Make the files of a PostgreSQL server.
    """
    command = [
        program("initdb"),
        "-D",
        f"{home.folder}/data",
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--no-sync",
    ]
    try:
        home.run([*command, "--locale=C", "--locale-provider=icu", "--icu-locale=en-US"])
    except ServerError:  # before PostgreSQL 15, or without ICU: then there are bytes only
        home.run([*command, "--no-locale"])


def _with_database(url: str, name: str) -> str:
    return sqlalchemy.make_url(url).set(database=name).render_as_string(hide_password=False)
