"""
Servers that tests start: they answer, they crash when they are told to, and they leave nothing behind.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, get_args

import pytest
import sqlalchemy
from sqlalchemy.exc import DBAPIError

from tests import galera
from tests.servers import Kind, Server, ServerError, execute, mariadb, missing, postgresql

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

VARIABLES: Final[Mapping[Kind, str]] = {
    "postgresql": "VOIPCARD_TEST_POSTGRESQL_URL",
    "mariadb": "VOIPCARD_TEST_MARIADB_URL",
}

_STARTERS: Final[Mapping[Kind, Callable[..., contextlib.AbstractContextManager[Server]]]] = {
    "postgresql": postgresql,
    "mariadb": mariadb,
}

_RECOVERY: Final[Mapping[Kind, str]] = {
    "postgresql": "was not properly shut down",
    "mariadb": "Starting crash recovery",
}
"""What a server writes into its log when it starts after a crash."""

_SETTINGS: Final[Mapping[Kind, tuple[dict[str, str], str]]] = {
    "postgresql": ({"max_connections": "17"}, "SHOW max_connections"),
    "mariadb": ({"max-connections": "17"}, "SELECT @@max_connections"),
}


@pytest.fixture(autouse=True)
def _none_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES.values():
        monkeypatch.delenv(name, raising=False)


def _starter(kind: Kind) -> Callable[..., contextlib.AbstractContextManager[Server]]:
    if reason := missing(kind):
        pytest.skip(reason)

    return _STARTERS[kind]


@pytest.fixture(params=KINDS, scope="module")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """
    One server for all tests that do not stop it.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES.values():
            patch.delenv(name, raising=False)
        start = _starter(request.param)
    with start() as started:
        yield started


def _folder(server: Server) -> Path:
    query = sqlalchemy.make_url(server.url).query
    socket = query.get("host") or Path(str(query["unix_socket"])).parent

    return Path(str(socket))


def _processes(folder: Path) -> list[str]:
    """
    List the processes that were started with this folder in an argument.
    """
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            arguments = (process / "cmdline").read_bytes()
            if os.fsencode(folder) in arguments:
                found.append(arguments.decode(errors="replace"))

    return found


def _is_cleared(folder: Path) -> bool:
    return not folder.exists() and not _processes(folder)


def _tables(url: str) -> list[str]:
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)

    return sqlalchemy.inspect(engine).get_table_names()


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_leaves_nothing_behind(kind: Kind) -> None:
    """
    A server answers, with the settings it was given; its folder and its processes are gone afterwards, crashed or not.
    """
    settings, question = _SETTINGS[kind]
    with _starter(kind)(settings=settings) as server:
        folder = _folder(server)
        [[answer]] = execute(server.url, question)
        while_it_runs = len(_processes(folder)), str(answer)
        server.stop()
        while_it_is_stopped = len(_processes(folder)), folder.exists()

    assert while_it_runs == (2, "17")
    assert while_it_is_stopped == (1, True)
    assert _is_cleared(folder)


def test_a_server_says_what_it_is(server: Server) -> None:
    """
    Its version is what the name says, and its first database is empty.
    """
    assert server.name.lower() == server.kind
    assert int(server.version.split(".")[0]) >= 10
    assert _tables(server.url) == []


def test_a_server_keeps_to_its_folder(server: Server) -> None:
    """
    No other server finds its files. MariaDB deletes temporary tables of all that share a folder for them, as it starts.
    """
    questions = {"postgresql": "SHOW data_directory", "mariadb": "SELECT @@tmpdir"}
    [[place]] = execute(server.url, questions[server.kind])

    assert Path(str(place)).is_relative_to(_folder(server))


def test_databases_are_empty_and_separate(server: Server) -> None:
    """
    A table that is made in one database is in no other.
    """
    with server.database() as one, server.database() as other:
        execute(one, "CREATE TABLE cards (serial INTEGER)")

        assert [_tables(one), _tables(other), _tables(server.url)] == [["cards"], [], []]


def test_a_database_is_dropped_whoever_is_connected(server: Server) -> None:
    """
    An open transaction, with its locks, does not keep a database alive.
    """
    with contextlib.ExitStack() as stack:
        with server.database() as url:
            execute(url, "CREATE TABLE cards (serial INTEGER)")
            engine = sqlalchemy.create_engine(url)
            stack.callback(engine.dispose)
            connection = engine.connect()
            stack.callback(connection.invalidate)
            connection.exec_driver_sql("INSERT INTO cards VALUES (1)")

        with pytest.raises(DBAPIError):
            connection.exec_driver_sql("SELECT 1")
        with pytest.raises(DBAPIError):
            execute(url, "SELECT 1")


def test_a_server_does_not_sort_by_bytes(server: Server) -> None:
    """
    What relies on the order of bytes without asking for it is found out.
    """
    if server.kind == "postgresql" and not execute(server.url, "SELECT 1 FROM pg_collation WHERE collprovider = 'i'"):
        pytest.skip("this PostgreSQL was built without ICU")

    assert execute(server.url, "SELECT word FROM (SELECT 'B' AS word UNION SELECT 'a') AS words ORDER BY word") == [
        ("a",),
        ("B",),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_committed_survives_a_crash(kind: Kind) -> None:
    """
    A crash loses what was not committed, and nothing else. An orderly stop is none.
    """
    with _starter(kind)(durable=True) as server, contextlib.ExitStack() as stack:
        log = _folder(server) / "log"
        server.stop(immediate=False)
        server.start()
        after_orderly = _RECOVERY[kind] in log.read_text()
        execute(server.url, "CREATE TABLE cards (serial INTEGER)")
        execute(server.url, "INSERT INTO cards VALUES (1)")
        engine = sqlalchemy.create_engine(server.url)
        stack.callback(engine.dispose)
        connection = engine.connect()
        stack.callback(connection.invalidate)
        connection.exec_driver_sql("INSERT INTO cards VALUES (2)")
        server.stop()
        server.start()

        assert execute(server.url, "SELECT serial FROM cards") == [(1,)]
        assert [after_orderly, _RECOVERY[kind] in log.read_text()] == [False, True]


@pytest.mark.parametrize("word", ["stop", "start"])
def test_a_server_is_stopped_and_started_in_turns(server: Server, word: str) -> None:
    """
    What has no effect is refused.
    """
    if word == "stop":
        server.stop()
    with pytest.raises(ServerError):
        (server.stop if word == "stop" else server.start)()
    if word == "stop":
        server.start()

    assert execute(server.url, "SELECT 1") == [(1,)]


def test_a_server_that_does_not_start_says_why() -> None:
    """
    The error has what the server wrote, and nothing is left.
    """
    with pytest.raises(ServerError, match="no_such_setting"), _starter("postgresql")(settings={"no_such_setting": "1"}):
        pass


def test_a_given_server_is_used_and_not_stopped(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A server that the environment names takes the place of one that is started.
    """
    monkeypatch.setenv(VARIABLES[server.kind], server.url)
    with _STARTERS[server.kind](durable=True) as given:
        with pytest.raises(ServerError):
            given.stop()
        with pytest.raises(ServerError):
            given.start()
        with given.database() as url:
            in_database = _tables(url)

    assert (given.url, given.version, given.ours, server.ours) == (server.url, server.version, False, True)
    assert in_database == []
    assert execute(server.url, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("kind, package", [("postgresql", "postgresql"), ("mariadb", "mariadb-server-core")])
def test_what_is_missing_is_named(kind: Kind, package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where the programs are not, the package that brings them is named, unless a server is given.
    """
    without = missing(kind, folders=[tmp_path])
    monkeypatch.setenv(VARIABLES[kind], "given")

    assert without is not None
    assert f"package {package} " in without
    assert missing(kind, folders=[tmp_path]) is None


def test_what_galera_needs_besides_is_named(tmp_path: Path) -> None:
    """
    Galera needs what MariaDB does, and more.
    """
    assert "package mariadb-server-core " in str(missing("galera", folders=[tmp_path]))
    assert "package rsync " in str(galera.missing([tmp_path]))


_SHARED: Final = """
import os, sys, time
from tests.servers import execute, shared
server = shared(sys.argv[1])
if os.fork() == 0:
    sys.exit()
os.wait()
assert shared(sys.argv[1]) is server
execute(server.url, "SELECT 1")
print(server.url, flush=True)
sys.stdin.read()
"""
"""A process that shares a server, and forks a child that ends before it."""


@contextlib.contextmanager
def _sharing(kind: Kind) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    _starter(kind)
    command = [sys.executable, "-c", _SHARED, kind]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=Path(__file__).parents[1], stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdout is not None
        yield process, _folder(Server(kind, process.stdout.readline().strip()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_shared_server_ends_with_its_process(kind: Kind) -> None:
    """
    All of a process share one server, which outlives forked children and ends when the process does.
    """
    with _sharing(kind) as (process, folder):
        there = folder.exists()
        process.communicate()

    assert (there, process.returncode) == (True, 0)
    assert _is_cleared(folder)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_ends_if_its_process_is_killed(kind: Kind) -> None:
    """
    No server and no folder is left by tests that were killed.
    """
    with _sharing(kind) as (process, folder):
        there = folder.exists()
        process.kill()
    end = time.monotonic() + 20
    while not _is_cleared(folder) and time.monotonic() < end:
        time.sleep(0.02)

    assert there
    assert _is_cleared(folder)
