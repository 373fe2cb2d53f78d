"""
Uploading a file of card codes: parsed, checked, sealed, chained and committed.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from benchmarks.books import EXTENSION, created
from benchmarks.protocol import Block, Done, Parameters
from benchmarks.sheets import upload_file
from voipcard.stores.sqlite_file import sqlite3

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Make an empty book, and the file; the block uploads it.
    """
    book = parameters.folder / "new.db"
    extension = created(book).acting_as("bench").extension(EXTENSION)
    path = parameters.folder / f"upload{parameters.options['suffix']}"
    upload_file(path, parameters.block)

    def block() -> Done:
        extension.upload(path)

        return Done(parameters.block, lambda: _stored(book))

    return block


def _stored(book: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(book)) as connection:
        return [
            connection.execute("SELECT count(*), sum(credit), max(order_number) FROM cards").fetchone(),
            connection.execute("SELECT count(*), sum(amount), max(order_number) FROM entries").fetchone(),
        ]
