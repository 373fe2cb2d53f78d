"""
Opening the book of a line with the library.
"""

from __future__ import annotations

import voipcard
from benchmarks.protocol import Parameters

__all__ = ["copied", "opened", "opened_copy", "settle"]


def opened(parameters: Parameters) -> voipcard.Extension:
    """
    Open the book that both sides share, to read.
    """
    return voipcard.open_book(parameters.shared_book).extension(parameters.facts().extension)


def opened_copy(parameters: Parameters, limits: voipcard.GuessLimits = voipcard.DEFAULT_LIMITS) -> voipcard.Extension:
    """
    Open a copy of the book that this side alone has, to write.
    """
    if parameters.database:
        return _of_server(parameters, limits)

    return copied(parameters, limits).acting_as("bench").extension(parameters.facts().extension)


def copied(parameters: Parameters, limits: voipcard.GuessLimits = voipcard.DEFAULT_LIMITS) -> voipcard.CardBook:
    """
    Open a copy of the book's file that this side alone has.
    """
    # Loaded where it is used, so that it does not count as memory of lines that only read.
    import shutil

    shared = parameters.shared_book
    copy = parameters.folder / "copy.db"
    for end in ("", ".key"):
        shutil.copyfile(f"{shared}{end}", f"{copy}{end}")

    return voipcard.open_book(copy, limits=limits)


def settle(parameters: Parameters) -> None:
    """
    Let a database have been looked after since it was prepared, as a server does once a minute.

    PostgreSQL keeps its plans until then, also those that were made for a table that had nothing in it.
    """
    if parameters.database:
        from tests.servers import execute

        execute(parameters.database, "VACUUM ANALYZE")


def _of_server(parameters: Parameters, limits: voipcard.GuessLimits) -> voipcard.Extension:
    import weakref

    key = voipcard.KeyFile(f"{parameters.shared_book}.key")
    book = voipcard.open_book(parameters.database, key=key, limits=limits)
    extension = book.acting_as("bench").extension(parameters.facts().extension)
    # Nobody closes the book of a block, and the driver warns of connections that are not closed.
    weakref.finalize(extension, book.close)

    return extension
