"""
The databases that lines of a server work on: PostgreSQL is started for the first of them, and ends with the run.
"""

from __future__ import annotations

import itertools
import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tests.servers import Server

__all__ = ["Databases", "lacking"]

_SETTINGS: Final = {"shared_buffers": "512MB", "max_wal_size": "4GB"}
"""What differs from the defaults. So a commit is on the disk when it returns: `fsync`, `synchronous_commit`."""

_SHOWN: Final = ("fsync", "synchronous_commit", *_SETTINGS)


class Databases:
    """
    The databases of a run, all on one server.
    """

    def __init__(self) -> None:
        self._stack: Final = ExitStack()
        self._names: Final = (f"bench_{number}" for number in itertools.count())
        self._started: Server | None = None

    def made(self, template: str = "") -> str:
        """
        Make a database, and give its address.

        Args:
            template: The address of one that it is to be like, and that nobody is connected to; empty for an empty one.
        """
        from sqlalchemy import make_url

        like = f" TEMPLATE {make_url(template).database}" if template else ""
        name = next(self._names)
        self._execute(f"CREATE DATABASE {name}{like}")

        return make_url(self._server.url).set(database=name).render_as_string(hide_password=False)

    def settled(self, url: str) -> None:
        """
        Let a database have been looked after, as one is that has been there for a while.
        """
        from tests.servers import execute

        execute(url, "VACUUM ANALYZE")

    def drop(self, url: str) -> None:
        """
        Remove a database, whoever is still connected.
        """
        from sqlalchemy import make_url

        self._execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def folder(self) -> Path | None:
        """
        Give the folder that the server writes below, if it is here and somebody else may write to it.
        """
        [[place]] = self._execute("SHOW data_directory")
        folder = Path(str(place)).parent

        return folder if os.access(folder, os.W_OK) else None

    def described(self) -> dict[str, str]:
        """
        Tell what the figures depend on, as the server says; nothing if none was needed.
        """
        if self._started is None:
            return {}
        settings = [f"{name} {value}" for name in _SHOWN for [value] in self._execute(f"SHOW {name}")]

        return {"postgresql": f"{self._started.version} ({', '.join(settings)})"}

    def close(self) -> None:
        """
        End the server.
        """
        self._started = None
        self._stack.close()

    @property
    def _server(self) -> Server:
        if self._started is None:
            from tests.servers import postgresql

            self._started = self._stack.enter_context(postgresql(durable=True, settings=_SETTINGS))

        return self._started

    def _execute(self, statement: str) -> list[tuple[object, ...]]:
        from tests.servers import execute

        return [tuple(row) for row in execute(self._server.url, statement)]


def lacking() -> str | None:
    """
    Say why no server can be started here; None if one can.
    """
    from tests.servers import missing

    return missing("postgresql")
