"""
The card book of a Django project, within the project's own transactions.
"""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from django.conf import settings
from django.db import connections, transaction
from sqlalchemy import Engine, make_url
from sqlalchemy.pool import NullPool

import voipcard
from voipcard.stores import SQLAlchemyStore

one_at_a_time = threading.Lock()
DRIVERS = {"postgresql": "postgresql+psycopg", "sqlite": "sqlite"}


@functools.cache
def engine_of(using: str) -> Engine:
    """
    Make an engine that uses Django's own connection, and neither begins, commits, rolls back nor closes anything.
    """

    def connection_of_thread() -> object:
        connections[using].ensure_connection()
        return connections[using].connection

    url = make_url(f"{DRIVERS[connections[using].vendor]}://")
    dialect = url.get_dialect()(dbapi=url.get_dialect().import_dbapi())
    for name in ("do_begin", "do_commit", "do_rollback", "do_close", "do_terminate"):
        setattr(dialect, name, lambda *_: None)
    engine = Engine(NullPool(connection_of_thread, reset_on_return=None, dialect=dialect), dialect, url)
    with engine.connect() as connection:
        dialect.initialize(connection)

    return engine


@functools.cache
def own_book() -> voipcard.CardBook:
    """
    Open the book with transactions of its own, which also makes its tables.
    """
    store = SQLAlchemyStore(settings.CARDS_URL, create=True)

    return voipcard.open_book(store, currency="EUR", key=settings.CARDS_KEY).acting_as("portal")


@contextmanager
def joined_book(using: str = "default") -> Iterator[voipcard.CardBook]:
    """
    Give the book within `transaction.atomic()`.
    """
    with one_at_a_time:
        book, engine = own_book(), engine_of(using)
    with engine.connect() as connection:
        joined = book.over(SQLAlchemyStore(connection))
        yield joined
    transaction.on_commit(joined.release_hooks, using=using)
