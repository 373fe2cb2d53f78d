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
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

import attrs
import sqlalchemy
from sqlalchemy.exc import OperationalError

__all__ = ["Kind", "Server", "ServerError", "mariadb", "missing", "postgresql", "shared"]

Kind: TypeAlias = Literal["postgresql", "mariadb"]

PATIENCE: Final = 60.0
"""Seconds until a server that does not answer is given up; a busy machine needs a few."""

_NONE: Final[Mapping[str, str]] = MappingProxyType({})

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
"""What has to be installed, and the package of Debian that brings it."""

_JANITOR: Final = """
while read -r line; do
    [ "$line" != done ] || exit 0
    pid=$line
done
if [ -n "$pid" ]; then
    kill -s "$2" -- "-$pid"
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        kill -s 0 -- "-$pid" || break
        sleep 0.1
    done
    kill -s KILL -- "-$pid"
fi
rm -rf -- "$1"
"""
"""Reads the server's process id. If the input ends before it reads `done`, whoever started it was killed."""


class ServerError(Exception):
    """
    A server could not be started, or was asked for something that it cannot do.
    """


@attrs.frozen
class _Account:
    """
    Who runs a server, if that is not who runs the tests: PostgreSQL refuses to be run by root.
    """

    uid: int
    gid: int

    @classmethod
    def instead_of_root(cls, *names: str) -> _Account | None:
        """
        Take the first of these that exists, or None where the tests are not run by root.
        """
        if os.geteuid() != 0:
            return None
        known = {entry.pw_name: entry for entry in pwd.getpwall()}
        entry = next(known[name] for name in names if name in known)
        return cls(entry.pw_uid, entry.pw_gid)


class _Home:
    """
    A folder with one server in it, and a janitor that clears both away if this process is killed.

    Attributes:
        folder: Where all of it is, with a path so short that it fits the address of a socket.
    """

    def __init__(self, crash: signal.Signals, account: _Account | None = None) -> None:
        # TMPDIR may be long, and the address of a socket has at most 107 bytes.
        self.folder: Final = Path(tempfile.mkdtemp(prefix="voipcard-", dir="/tmp"))
        self._crash: Final = crash
        self._account: Final = account
        self._process: subprocess.Popen[bytes] | None = None
        if account:
            os.chown(self.folder, account.uid, account.gid)
        self._janitor: Final = subprocess.Popen(
            ["/bin/sh", "-c", _JANITOR, "janitor", self.folder, crash.name.removeprefix("SIG")],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def runs(self) -> bool:
        """
        Whether the server was started and has not ended.
        """
        return self._process is not None and self._process.poll() is None

    def run(self, command: Sequence[str | Path]) -> str | None:
        """
        Run a program to its end, and give what it said if it failed.
        """
        with self._spawn(command, subprocess.PIPE) as program:
            said, _ = program.communicate()
        return said.decode(errors="replace") if program.returncode else None

    def start(self, command: Sequence[str | Path], answers: Callable[[], bool]) -> None:
        """
        Start the server and wait until it answers.
        """
        log = self.folder / "log"
        with log.open("ab") as output:
            self._process = self._spawn(command, output.fileno())
        self._tell_janitor(str(self._process.pid))
        end = time.monotonic() + PATIENCE
        while not answers():
            if self._process.poll() is not None or time.monotonic() > end:
                raise ServerError(f"{command[0]} does not answer:\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.02)

    def end(self, sign: signal.Signals) -> None:
        """
        Send the server a signal and wait until it is gone.
        """
        if self._process is None:
            raise ServerError("the server is stopped already")
        self._process.send_signal(sign)
        self._process.wait(PATIENCE)
        self._process = None
        self._tell_janitor("")

    def close(self) -> None:
        """
        End the server as a crash would, and remove the folder.
        """
        if self._process:
            self.end(self._crash)
        shutil.rmtree(self.folder)
        self._tell_janitor("done")
        self._janitor.communicate()

    def _spawn(self, command: Sequence[str | Path], output: int) -> subprocess.Popen[bytes]:
        account = self._account
        return subprocess.Popen(
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # What the terminal sends to the tests, as Ctrl-C, is not for the server.
            start_new_session=True,
            user=account and account.uid,
            group=account and account.gid,
            extra_groups=[] if account else None,
        )

    def _tell_janitor(self, line: str) -> None:
        assert self._janitor.stdin is not None
        self._janitor.stdin.write(f"{line}\n".encode())
        self._janitor.stdin.flush()


class Server:
    """
    A database server, with a database to begin with.

    Attributes:
        name: What it is: `PostgreSQL` or `MariaDB`.
        version: What it says of itself.
        url: The address of its first database, as SQLAlchemy writes it.
    """

    def __init__(self, kind: Kind, url: str) -> None:
        self.name: Final = _NAMES[kind]
        self.url: Final = url
        self._kind: Final = kind

    @functools.cached_property
    def version(self) -> str:
        """
        Ask for the version.
        """
        [[version]] = self._query("SHOW server_version" if self._kind == "postgresql" else "SELECT version()")
        return str(version)

    @property
    def ours(self) -> bool:
        """
        Whether it was started here, so that it can be stopped.
        """
        return False

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """
        Make an empty database, give its address, and drop it afterwards, whoever is still connected.
        """
        name = f"voipcard_{secrets.token_hex(8)}"
        self._query(f"CREATE DATABASE {name}")
        try:
            yield _with_database(self.url, name)
        finally:
            self._drop(name)

    def stop(self, immediate: bool = True) -> None:  # noqa: FBT001, FBT002 - there is nothing else to say
        """
        Stop the server: at once, as a crash would, or in an orderly manner.

        What was written reaches the files also after a crash, because the operating system goes on: only what a server
        keeps to itself is lost.
        """
        raise ServerError(f"{_VARIABLES[self._kind]} names a server that is not ours to stop (immediate={immediate})")

    def start(self) -> None:
        """
        Start the server again, on the same data and at the same address.
        """
        raise ServerError(f"{_VARIABLES[self._kind]} names a server that is not ours to start")

    def _query(self, statement: str) -> Sequence[Sequence[object]]:
        return _execute(self.url, statement)

    def _drop(self, name: str) -> None:
        if self._kind == "postgresql":
            self._query(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            return
        for [thread] in self._query(f"SELECT id FROM information_schema.processlist WHERE db = '{name}'"):  # noqa: S608
            with contextlib.suppress(OperationalError):  # it has gone meanwhile
                self._query(f"KILL {thread}")
        self._query(f"DROP DATABASE IF EXISTS {name}")


class _OwnServer(Server):
    """
    A server that was started here.
    """

    def __init__(self, kind: Kind, url: str, home: _Home, command: Sequence[str | Path]) -> None:
        super().__init__(kind, url)
        self._home: Final = home
        self._command: Final = command

    @property
    def ours(self) -> bool:
        return True

    def stop(self, immediate: bool = True) -> None:  # noqa: FBT001, FBT002 - as above
        crash, orderly = _SIGNALS[self._kind]
        self._home.end(crash if immediate else orderly)

    def start(self) -> None:
        if self._home.runs:
            raise ServerError("the server runs already")
        self._home.start(self._command, functools.partial(_answers, self.url))

    def _drop(self, name: str) -> None:
        if self._home.runs:
            super()._drop(name)


_NAMES: Final[Mapping[Kind, str]] = {"postgresql": "PostgreSQL", "mariadb": "MariaDB"}

_SIGNALS: Final[Mapping[Kind, tuple[signal.Signals, signal.Signals]]] = {
    # https://www.postgresql.org/docs/current/server-shutdown.html: SIGQUIT is `pg_ctl stop -m immediate`.
    "postgresql": (signal.SIGQUIT, signal.SIGINT),
    "mariadb": (signal.SIGKILL, signal.SIGTERM),
}
"""What stops a server as a crash would, and what stops it in an orderly manner."""


def missing(kind: Kind, *, folders: Iterable[str | Path] | None = None) -> str | None:
    """
    Say why there is no server of this kind to be had, or None if there is.

    Args:
        kind: Which server.
        folders: Where programs are looked for; by default on the path, and where Debian puts servers.
    """
    if os.environ.get(_VARIABLES[kind]):
        return None
    places = _places() if folders is None else folders
    for program, package in _PACKAGES[kind].items():
        if _find(program, places) is None:
            return f"{program} is not installed; the Debian package {package} brings it"
    return None


@contextlib.contextmanager
def postgresql(*, durable: bool = False, settings: Mapping[str, str] = _NONE) -> Iterator[Server]:
    """
    Start PostgreSQL.

    Args:
        durable: Whether a commit is on the disk when it returns, as is PostgreSQL's default. Much faster without.
        settings: More settings for `postgresql.conf`, by name.
    """
    if given := _given("postgresql"):
        yield given
        return
    with contextlib.closing(_Home(_SIGNALS["postgresql"][0], _Account.instead_of_root("postgres", "nobody"))) as home:
        _init_postgresql(home)
        fast = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        every = {
            "listen_addresses": "",
            "unix_socket_directories": str(home.folder),
            "max_connections": "100",
            **({} if durable else fast),
            **settings,
        }
        options = [word for name, value in every.items() for word in ("-c", f"{name}={value}")]
        command = [_program("postgres"), "-D", home.folder / "data", *options]
        yield _first_start("postgresql", f"postgresql+psycopg://postgres@/postgres?host={home.folder}", home, command)


@contextlib.contextmanager
def mariadb(*, durable: bool = False, settings: Mapping[str, str] = _NONE) -> Iterator[Server]:
    """
    Start MariaDB.

    Args:
        durable: Whether a commit is on the disk when it returns, as is MariaDB's default. Much faster without.
        settings: More settings, by the names they have in `my.cnf`.
    """
    if given := _given("mariadb"):
        yield given
        return
    with contextlib.closing(_Home(_SIGNALS["mariadb"][0])) as home:
        _init_mariadb(home)
        fast = {"innodb-flush-log-at-trx-commit": "0", "innodb-doublewrite": "0"}
        every = {
            "datadir": str(home.folder / "data"),
            "socket": str(home.folder / "socket"),
            "pid-file": str(home.folder / "pid"),
            "skip-networking": "1",
            "character-set-server": "utf8mb4",
            "max-allowed-packet": "64M",
            "innodb-buffer-pool-size": "256M" if durable else "64M",
            **({} if durable else fast),
            **settings,
        }
        command = [
            _program("mariadbd"),
            "--no-defaults",
            *_as_root(),
            *(f"--{name}={value}" for name, value in every.items()),
        ]
        url = f"mariadb+pymysql://root@localhost/mysql?unix_socket={home.folder}/socket&charset=utf8mb4"
        yield _first_start("mariadb", url, home, command)


@functools.cache
def shared(kind: Kind) -> Server:
    """
    Give the one server of this kind that all tests of this process share; it ends with the process.

    A child process reaches it, or a database on it, by the address.
    """
    owner = os.getpid()
    stack = contextlib.ExitStack()
    server = stack.enter_context(postgresql() if kind == "postgresql" else mariadb())
    # A forked child leaves it to its parent.
    atexit.register(lambda: stack.close() if os.getpid() == owner else None)
    return server


def _given(kind: Kind) -> Server | None:
    url = os.environ.get(_VARIABLES[kind])
    if url:
        return Server(kind, url)
    if reason := missing(kind):
        raise ServerError(reason)
    return None


def _first_start(kind: Kind, url: str, home: _Home, command: Sequence[str | Path]) -> Server:
    """
    Start a server on new data, and make its first database.
    """
    home.start(command, functools.partial(_answers, url))
    _execute(url, "CREATE DATABASE voipcard")
    return _OwnServer(kind, _with_database(url, "voipcard"), home, command)


def _init_postgresql(home: _Home) -> None:
    """
    Make the files of a PostgreSQL server that sorts as people do, so that a test finds out who relies on bytes.
    """
    command = [
        _program("initdb"),
        "-D",
        home.folder / "data",
        "-U",
        "postgres",
        "-A",
        "trust",
        "-E",
        "UTF8",
        "--no-sync",
    ]
    by_people = ["--locale=C", "--locale-provider=icu", "--icu-locale=en-US"]
    # Without ICU, or before PostgreSQL 15, there are only the locales of the system, and that may be none.
    if home.run([*command, *by_people]) and (said := home.run([*command, "--no-locale"])):
        raise ServerError(said)


def _init_mariadb(home: _Home) -> None:
    """
    Make the files of a MariaDB server, which sorts as people do by default.
    """
    said = home.run(
        [
            _program("mariadb-install-db"),
            "--no-defaults",
            *_as_root(),
            f"--datadir={home.folder / 'data'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
        ],
    )
    if said:
        raise ServerError(said)


def _as_root() -> list[str]:
    return ["--user=root"] if os.geteuid() == 0 else []


def _places() -> list[str | Path]:
    newest_first = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda folder: [int(part) for part in folder.parent.name.split(".") if part.isdecimal()],
        reverse=True,
    )
    return [*os.get_exec_path(), *newest_first, "/usr/sbin", "/usr/local/sbin"]


def _find(program: str, folders: Iterable[str | Path]) -> str | None:
    return shutil.which(program, path=os.pathsep.join(map(str, folders)))


def _program(name: str) -> str:
    found = _find(name, _places())
    assert found is not None, f"{name} has gone"
    return found


def _with_database(url: str, name: str) -> str:
    return sqlalchemy.make_url(url).set(database=name).render_as_string(hide_password=False)


def _answers(url: str) -> bool:
    try:
        return bool(_execute(url, "SELECT 1"))
    except OperationalError:
        return False


def _execute(url: str, statement: str) -> Sequence[Sequence[object]]:
    """
    Run one statement by itself, outside of any transaction, over a connection of its own.
    """
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        result = connection.exec_driver_sql(statement)
        return [tuple(row) for row in result] if result.returns_rows else []
