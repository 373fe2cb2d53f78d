"""
Where a server that tests start is at home: its folder, its process, and the janitor that clears both away.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

__all__ = ["Account", "Home", "ServerError", "lacking", "program"]

PATIENCE: Final = 60.0
"""Seconds until a server that does not answer is given up; a busy machine needs a few."""

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
class Account:
    """
    Who runs a server.
    """

    uid: int
    gid: int

    @classmethod
    def instead_of_root(cls, name: str) -> Account:
        """
        Take who runs the tests. Servers refuse to be run by root: take *name* then, or `nobody` where there is no such.
        """
        if os.geteuid() != 0:
            return cls(os.geteuid(), os.getegid())
        entries = {entry.pw_name: entry for entry in pwd.getpwall()}
        entry = entries.get(name, entries["nobody"])

        return cls(entry.pw_uid, entry.pw_gid)

    @property
    def is_other(self) -> bool:
        """
        Whether that is not who runs the tests.
        """
        return self.uid != os.geteuid()


class Home:
    """
    A folder with one server in it.

    A shell watches over it, the janitor. If the process that made the home is killed, in whatever way, the janitor ends
    the server and removes the folder.

    Args:
        account: Who runs the server.
        crash: The signal that ends it as a crash would.
        socket_name: Where in the folder it listens.
        path: Where programs are found besides the path.

    Attributes:
        folder: Where all of it is, with a path so short that it fits the address of a socket.
        socket: Where the server listens.
    """

    def __init__(
        self,
        account: Account,
        crash: signal.Signals,
        socket_name: str,
        *,
        path: Sequence[Path] = (),
    ) -> None:
        # TMPDIR may be long, and the address of a socket has at most 107 bytes.
        self.folder: Final = Path(tempfile.mkdtemp(prefix="voipcard-", dir="/tmp"))
        self.socket: Final = self.folder / socket_name
        os.chown(self.folder, account.uid, account.gid)
        self._maker: Final = os.getpid()
        self._account: Final = account
        self._crash: Final = crash
        self._path: Final = os.pathsep.join([*map(str, path), *os.get_exec_path()])
        self._server: subprocess.Popen[bytes] | None = None
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
        return self._server is not None and self._server.poll() is None

    def run(self, command: Sequence[str]) -> str:
        """
        Run a program to its end, and give what it said.
        """
        with self._spawn(command, subprocess.PIPE) as process:
            output, _ = process.communicate()
        said = output.decode(errors="replace")
        if process.returncode:
            raise ServerError(f"{command[0]} failed:\n{said}")

        return said

    def start(self, command: Sequence[str], answers: Callable[[], bool]) -> None:
        """
        Start the server and wait until it answers.
        """
        self.launch(command)
        self.wait(answers)

    def launch(self, command: Sequence[str]) -> None:
        """
        Start the server.
        """
        if self.runs:
            raise ServerError("the server runs already")
        with self._log.open("ab") as output:
            self._server = self._spawn(command, output.fileno())
        self._tell_janitor(str(self._server.pid))

    def wait(self, answers: Callable[[], bool]) -> None:
        """
        Wait until the server answers.
        """
        end = time.monotonic() + PATIENCE
        listens = False  # asked no more once it does, because MariaDB notes every such question in its log
        while not ((listens := listens or self._listens()) and answers()):
            if not self.runs or time.monotonic() > end:
                raise ServerError(f"the server does not answer:\n{self._log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.02)

    def end(self, sign: signal.Signals) -> None:
        """
        Send the server a signal and wait until it is gone.
        """
        if self._server is None:
            raise ServerError("the server is stopped already")
        self._server.send_signal(sign)
        self._server.wait(PATIENCE)
        self._server = None
        self._tell_janitor("")

    def close(self) -> None:
        """
        End the server as a crash would, and remove the folder. A forked child, as it ends, leaves that to its parent.
        """
        if os.getpid() != self._maker:
            return
        if self._server:
            self.end(self._crash)
        shutil.rmtree(self.folder)
        self._tell_janitor("done")
        self._janitor.communicate()

    @property
    def _log(self) -> Path:
        return self.folder / "log"

    def _listens(self) -> bool:
        """
        Look whether anybody listens, before PyMySQL does, which does not close what it could not connect.
        """
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def _spawn(self, command: Sequence[str], output: int) -> subprocess.Popen[bytes]:
        other = self._account.is_other

        return subprocess.Popen(
            command,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # MariaDB, when it starts, deletes every temporary table in TMPDIR: also those of other servers.
            env={**os.environ, "PATH": self._path, "TMPDIR": str(self.folder)},
            # What the terminal sends to the tests, as Ctrl-C, is not for the server.
            start_new_session=True,
            user=self._account.uid if other else None,
            group=self._account.gid if other else None,
            extra_groups=[] if other else None,
        )

    def _tell_janitor(self, line: str) -> None:
        assert self._janitor.stdin is not None
        self._janitor.stdin.write(f"{line}\n".encode())
        self._janitor.stdin.flush()


def lacking(packages: Mapping[str, str], folders: Iterable[str | Path] | None = None) -> str | None:
    """
    Say which program is not installed, and what brings it, or None if all are.

    Args:
        packages: The programs, each with the package of Debian that brings it.
        folders: Where they are looked for; by default on the path, and where Debian puts servers.
    """
    for name, package in packages.items():
        if _find(name, _places() if folders is None else folders) is None:
            return f"{name} is not installed; the Debian package {package} brings it"

    return None


def program(name: str) -> str:
    """
    Find a program that is installed.
    """
    found = _find(name, _places())
    if found is None:
        raise ServerError(f"{name} is not installed")

    return found


def _find(name: str, folders: Iterable[str | Path]) -> str | None:
    return shutil.which(name, path=os.pathsep.join(map(str, folders)))


def _places() -> list[str | Path]:
    newest_first = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda folder: [int(part) for part in folder.parent.name.split(".") if part.isdecimal()],
        reverse=True,
    )

    return [*os.get_exec_path(), *newest_first, "/usr/sbin", "/usr/local/sbin"]
