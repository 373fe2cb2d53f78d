"""
A Galera cluster on this machine, whose nodes can be stopped and cut off: the distributed database that tests can have.

They use TCP ports of the loopback interface among themselves; clients come by a socket, as with a single server.
"""

from __future__ import annotations

import contextlib
import random
import re
import signal
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import sqlalchemy
from sqlalchemy.exc import DBAPIError

from tests.server_home import Account, Home, ServerError, lacking, program
from tests.servers import NO_SETTINGS, Server, execute, init_mariadb, mariadb_command, mariadb_url

__all__ = ["Cluster", "Node", "cluster", "main", "missing"]

_PACKAGES: Final = {"rsync": "rsync", "lsof": "lsof"}

_PROVIDERS: Final = "/usr/lib*/galera*/libgalera_smm.so"

_SCRIPT: Final = "wsrep_sst_rsync"
"""Copies the data of one node to another. It comes with `mariadb-server`, which would start a server of its own."""

_PORTS: Final = range(20_000, 32_000)
"""Below those that the system gives to clients, so that a node finds its own still free when it comes back."""

_IMPATIENCE: Final = {
    "gmcast.peer_timeout": "PT1S",
    "evs.keepalive_period": "PT0.3S",
    "evs.inactive_check_period": "PT0.2S",
    "evs.suspect_timeout": "PT2S",
    "evs.inactive_timeout": "PT4S",
    "evs.install_timeout": "PT4S",
}
"""How soon nodes give up one that is silent. By default it takes 5 to 15 seconds, in which nobody can write."""


class Node(Server):
    """
    One server of a cluster.
    """

    def __init__(self, home: Home, command: Sequence[str], url: str) -> None:
        super().__init__("mariadb", url)
        self._home: Final = home
        self._command: Final = command
        # A node that is cut off answers nothing but to those who are content with old answers.
        self._inside: Final = f"{mariadb_url(home)}&init_command=SET+wsrep_dirty_reads%3DON"

    @property
    def ours(self) -> bool:
        """
        Say that it was started here.
        """
        return True

    @property
    def runs(self) -> bool:
        """
        Whether it was started and has not ended.
        """
        return self._home.runs

    def stop(self, immediate: bool = True) -> None:  # noqa: FBT001, FBT002 - as every server
        """
        Stop the node: at once, as a crash would, or in an orderly manner, so that the others know at once.
        """
        self._home.end(signal.SIGKILL if immediate else signal.SIGTERM)

    def start(self) -> None:
        """
        Start the node again, and wait until it has caught up with the others.
        """
        self.launch()
        self.wait()

    def cut_off(self) -> None:
        """
        Cut the node off from the others. They and it notice within seconds; until then no commit returns.
        """
        execute(self._inside, "SET GLOBAL wsrep_provider_options = 'gmcast.isolate=1'")

    def reconnect(self) -> None:
        """
        Undo `cut_off` as soon as the node has noticed it, and wait until it has caught up with the others.

        There have to be others to catch up with: of two that were cut off at the same moment, neither comes back alone.
        """
        # Before it has noticed, it still says that it is in step, and would soon lose the others nevertheless.
        self._home.wait(lambda: self.state()["wsrep_cluster_status"] != "Primary")
        execute(self._inside, "SET GLOBAL wsrep_provider_options = 'gmcast.isolate=0'")
        self.wait()

    def state(self) -> Mapping[str, str]:
        """
        Ask what the node thinks of itself and of the cluster, as by `SHOW STATUS LIKE 'wsrep_%'`.
        """
        return {
            str(name): str(value)
            for name, value in execute(self._inside, "SHOW STATUS WHERE variable_name REGEXP '^wsrep'")
        }

    def launch(self, *options: str) -> None:
        """
        Start the node with what it has on its disk, without waiting for it.
        """
        position = [f"--wsrep-start-position={found}"] if (found := self._position()) else []
        self._home.launch([*self._command, *position, *options])

    def wait(self) -> None:
        """
        Wait until the node has all that the others have.
        """
        self._home.wait(self._is_synced)

    def _is_synced(self) -> bool:
        try:
            state = self.state()
        except DBAPIError:
            return False

        return (state["wsrep_ready"], state["wsrep_local_state_comment"]) == ("ON", "Synced")

    def _position(self) -> str | None:
        """
        Recover what was committed here before it stopped, as the scripts of the package do.
        """
        if not (self._home.folder / "data" / "grastate.dat").exists():
            return None
        found = re.search(r"Recovered position: (\S+)", self._home.run([*self._command, "--wsrep-recover"]))

        return found and found[1]

    def _drop(self, name: str) -> None:
        if self.runs:
            super()._drop(name)


class Cluster:
    """
    A cluster of servers.

    Attributes:
        nodes: The servers. A database that one of them makes is on all.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes: Final = nodes

    def stop(self, immediate: bool = True) -> None:  # noqa: FBT001, FBT002 - as every server
        """
        Stop all nodes that run, as when the power fails.
        """
        for node in self.nodes:
            if node.runs:
                node.stop(immediate)

    def start(self) -> None:
        """
        Start all nodes that do not run, at the same time, and wait until they agree.

        If all have crashed, they go on when all are back. After an orderly stop of all they would wait for somebody to
        say which was the last: so at least one has to be left running.
        """
        stopped = [node for node in self.nodes if not node.runs]
        for node in stopped:
            node.launch()
        for node in stopped:
            node.wait()


def missing(folders: Iterable[str | Path] | None = None) -> str | None:
    """
    Say what is not installed of that which Galera needs besides MariaDB.
    """
    if reason := lacking(_PACKAGES, folders):
        return reason
    if _provider() is None:
        return "libgalera_smm.so is not installed; the Debian package galera-4 brings it"
    if lacking({_SCRIPT: ""}, folders) and lacking({"apt-get": "apt", "dpkg": "dpkg"}, folders):
        return f"{_SCRIPT} is not installed; the Debian package mariadb-server brings it"

    return None


@contextlib.contextmanager
def cluster(nodes: int = 3, *, durable: bool = True, settings: Mapping[str, str] = NO_SETTINGS) -> Iterator[Cluster]:
    """
    Start a cluster: see `tests.servers.galera`.
    """
    account = Account.instead_of_root("mysql")
    ports = _free_ports(3 * nodes)
    members = "gcomm://" + ",".join(f"127.0.0.1:{port}" for port in ports[:nodes])
    with contextlib.ExitStack() as stack:
        path = _scripts(stack, account)
        made = []
        for number in range(nodes):
            home = stack.enter_context(contextlib.closing(Home(account, signal.SIGKILL, "socket", path=path)))
            every = {
                "innodb-flush-log-at-trx-commit": "1" if durable else "0",
                "wsrep-cluster-address": members,
                **_membership(number, *ports[number::nodes]),
                **settings,
            }
            url = sqlalchemy.make_url(mariadb_url(home)).set(database="voipcard").render_as_string()
            made.append(Node(home, mariadb_command(home, every), url))
            _first_start(made[-1], home, is_first=number == 0)
        yield Cluster(tuple(made))


def _first_start(node: Node, home: Home, *, is_first: bool) -> None:
    """
    Make a cluster of the first node, which has the only files, and let the others copy them.
    """
    if is_first:
        init_mariadb(home)
        node.launch("--wsrep-new-cluster")
        node.wait()
        execute(mariadb_url(home), "CREATE DATABASE voipcard")
    else:
        home.run(["mkdir", "data"])
        node.start()


def _membership(number: int, replication: int, increments: int, copies: int) -> dict[str, str]:
    """
    Put together how a node talks to the others, over three ports of its own.
    """
    options = {
        "gmcast.listen_addr": f"tcp://127.0.0.1:{replication}",
        "ist.recv_addr": f"127.0.0.1:{increments}",
        "gcache.size": "64M",
        **_IMPATIENCE,
    }

    return {
        "skip-networking": "1",
        "innodb-buffer-pool-size": "64M",
        "innodb-autoinc-lock-mode": "2",
        "binlog-format": "ROW",
        "wsrep-on": "ON",
        "wsrep-provider": str(_provider()),
        "wsrep-provider-options": ";".join(f"{name}={value}" for name, value in options.items()),
        "wsrep-cluster-name": "voipcard",
        "wsrep-node-name": f"node{number}",
        "wsrep-node-address": "127.0.0.1",
        "wsrep-sst-method": "rsync",
        "wsrep-sst-receive-address": f"127.0.0.1:{copies}",
    }


def _provider() -> Path | None:
    return next(Path("/").glob(_PROVIDERS.lstrip("/")), None)


def _scripts(stack: contextlib.ExitStack, account: Account) -> list[Path]:
    """
    Take the scripts that copy a node's data out of their package, where they are not installed.
    """
    if lacking({_SCRIPT: ""}) is None:
        return [Path(program(_SCRIPT)).parent]
    home = stack.enter_context(contextlib.closing(Home(account, signal.SIGKILL, "none")))
    home.run(["apt-get", "download", "mariadb-server"])
    [package] = home.folder.glob("mariadb-server_*.deb")
    home.run(["dpkg", "-x", str(package), "files"])

    return [home.folder / "files" / "usr" / "bin"]


def _free_ports(count: int) -> list[int]:
    """
    Choose ports that nobody uses.
    """
    with contextlib.ExitStack() as stack:
        found: list[int] = []
        for port in random.SystemRandom().sample(_PORTS, len(_PORTS)):
            probe = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                found.append(port)
            if len(found) == count:
                return found
    raise ServerError("there are not enough free ports")


def main() -> None:
    """
    Try what a cluster can do, and say how long it takes: `python -m tests.galera`.
    """
    with contextlib.ExitStack() as stack:
        with _timed("3 nodes are up"):
            one, other, last = stack.enter_context(cluster(settings={"wsrep-sync-wait": "1"})).nodes
        execute(one.url, "CREATE TABLE cards (serial INTEGER PRIMARY KEY)")
        with _timed("written on one and read on another"):
            _write_and_read(1, one, [one, other, last])
        other.stop()
        with _timed("written after another has crashed"):
            _write_and_read(2, last, [one, last])
        with _timed("the other is back"):
            other.start()
        _write_and_read(3, other, [one, other, last])
        last.cut_off()
        with _timed("written after the last was cut off"):
            _write_and_read(4, one, [one, other])
        with _timed("refused by the last"):
            _is_refused(last)
        with _timed("the last is back"):
            last.reconnect()
        _write_and_read(5, last, [one, other, last])


@contextlib.contextmanager
def _timed(what: str) -> Iterator[None]:
    begin = time.monotonic()
    yield
    sys.stdout.write(f"{time.monotonic() - begin:6.2f} s  {what}\n")


def _is_refused(node: Node) -> None:
    try:
        execute(node.url, "INSERT INTO cards VALUES (99)")
    except DBAPIError:
        return
    raise ServerError("a node that is cut off has committed")


def _write_and_read(serial: int, writer: Node, readers: Sequence[Node]) -> None:
    execute(writer.url, f"INSERT INTO cards VALUES ({serial})")  # noqa: S608 - a number
    expected = [(number + 1,) for number in range(serial)]
    for reader in readers:
        found = execute(reader.url, "SELECT serial FROM cards ORDER BY serial")
        if found != expected:
            raise ServerError(f"{found} instead of {expected}")


if __name__ == "__main__":
    main()
