"""
The books that lines share: made with the library itself, each once in a run.
"""

from __future__ import annotations

import json
import os
import random
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Final

import voipcard
from benchmarks.charges import fill_file, fill_server
from benchmarks.databases import Databases
from benchmarks.internals import derived_keys
from benchmarks.protocol import Facts, facts_file
from voipcard.stores.sqlite_file import sqlite3

__all__ = ["EXTENSION", "PAGE", "Books", "created", "issued"]

EXTENSION: Final = "0003*215"
PIN_FORMAT: Final = voipcard.PinFormat(6)

PAGE: Final = 50
"""How many cards a page has."""

SAMPLE: Final = 20_000
"""How many cards of a book are known by code and PIN at most: more than what the processor's caches hold."""


_NO_PAGE: Final = (0, "")
"""The position that nobody asks for: no line turns pages on a server."""


class Books:
    """
    The books of a run, by their size.

    Attributes:
        databases: Those of the books that are on a server.

    Args:
        folder: Where they are, or what is beside them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder: Final = folder
        self._made: Final[dict[tuple[int, int], Path]] = {}
        self._on_server: Final[dict[tuple[int, int], tuple[Path, str]]] = {}
        self.databases: Final = Databases()

    def book(self, size: int, *, charges: int = 0, on_server: bool = False) -> Path:
        """
        Give the book of so many cards; the first time it is made.

        Args:
            size: How many cards.

            charges: How many charges for calls they have at least.

            on_server: Whether it is on the server. Then the path is what its facts and its key are beside.
        """
        if on_server:
            return self._of_server(size, charges)[0]
        if (size, charges) not in self._made:
            path = self._made[size, charges] = _made(self._folder / f"{_name('book', size, charges)}.db", size)
            if charges:
                with closing(sqlite3.connect(path)) as connection:
                    fill_file(connection, charges)

        return self._made[size, charges]

    def address(self, size: int, charges: int) -> str:
        """
        Give the address of the book itself on the server, for who only reads it.
        """
        return self._of_server(size, charges)[1]

    def copy(self, size: int) -> str:
        """
        Make a database with a copy of the book of so many cards, and give its address.
        """
        return self.databases.made(self._of_server(size, 0)[1])

    def close(self) -> None:
        """
        End the server, if there is one. Files stay.
        """
        self.databases.close()

    def _of_server(self, size: int, charges: int) -> tuple[Path, str]:
        if (size, charges) not in self._on_server:
            url = self.databases.made()
            path = _made(self._folder / f"{_name('server', size, charges)}.db", size, url)
            self._on_server[size, charges] = path, url
            if charges:
                fill_server(url, charges)
            self.databases.settled(url)

        return self._on_server[size, charges]


def _name(kind: str, size: int, charges: int) -> str:
    return f"{kind}-{size}-{charges}" if charges else f"{kind}-{size}"


def created(path: Path, url: str = "") -> voipcard.CardBook:
    """
    Make an empty book.

    Args:
        path: Where to, and what its key is beside.

        url: The database that it is made in instead.
    """
    key = voipcard.KeyFile(Path(f"{path}.key"))
    key.create()

    return voipcard.open_book(url or path, currency="EUR", key=key)


def issued(extension: voipcard.Extension, size: int, progress: voipcard.Progress | None = None) -> voipcard.Batch:
    """
    Make cards as all lines have them.
    """
    return extension.generate(size, credit="10.00", order_number="PO-117", pin_format=PIN_FORMAT, progress=progress)


def _made(path: Path, size: int, url: str = "") -> Path:
    with created(path, url) as book:
        batch = issued(book.acting_as("bench").extension(EXTENSION), size, _progress(size))
        keys = derived_keys(book)
    places = random.Random(1).sample(range(size), min(size, SAMPLE))
    sample = [batch.handouts[place] for place in places]
    facts = Facts(
        extension=EXTENSION,
        serials=[handout.serial for handout in sample],
        codes=[handout.code for handout in sample],
        pins=[handout.pin for handout in sample],
        keys=keys,
        position=_NO_PAGE if url else _last_page(path, size),
    )
    with open(facts_file(path), "x", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        json.dump(asdict(facts), file)

    return path


def _last_page(path: Path, size: int) -> tuple[int, str]:
    """
    Give the position before the last page that is full and has another one behind it.
    """
    behind = min(size - 1, 2 * PAGE)
    with closing(sqlite3.connect(path)) as connection:
        [(moment, card)] = connection.execute(
            "SELECT created_at, hex(id) FROM cards ORDER BY extension DESC, created_at DESC, id DESC LIMIT 1 OFFSET ?",
            [behind],
        ).fetchall()

    return moment, card


def _progress(size: int) -> voipcard.Progress:
    step = max(size // 10, 10_000)

    def progress(done: int, _total: int | None) -> None:
        if done % step == 0:
            sys.stderr.write(f"  making the book of {size:,} cards: {done:,}\n")

    return progress
