"""
A twin that has joined the transaction of an async connection does what the transaction does.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import attrs
import pytest
from sqlalchemy import Column, MetaData, String, Table, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from tests.book_world import EXTENSION, PATIENCE, BareKey, Clock
from tests.databases import DatabaseKind, empty_database, on
from voipcard import Credit, aio
from voipcard.errors import InsufficientCreditError, JoinedStoreError, NotABookError, OperationConflictError
from voipcard.stores import SQLAlchemyStore, build_tables

pytestmark = pytest.mark.anyio

on_both = pytest.mark.parametrize("kind", [on("postgresql"), on("sqlite")])
on_postgresql = pytest.mark.parametrize("kind", [on("postgresql")])
"""What aiosqlite is interrupted in goes on in a thread of its own, and keeps the file locked."""

ORDERS: Final = Table("orders", MetaData(), Column("number", String(32), primary_key=True))

TIMES: Final = 30


@pytest.fixture
def anyio_backend() -> str:
    """
    SQLAlchemy knows asyncio only.
    """
    return "asyncio"


@attrs.frozen
class Portal:
    """
    A portal with a table of orders, and beside it a book with one card of 10.00, in one database.

    Attributes:
        engine: The portal's engine.
        book: The book, with transactions of its own.
        serial: The card.
    """

    engine: AsyncEngine
    book: aio.AsyncCardBook
    serial: str

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[tuple[AsyncConnection, aio.AsyncExtension]]:
        """
        Begin a transaction of the portal's, in which the extension takes part.
        """
        async with self.engine.begin() as connection:
            joined = await self.book.joining(connection)
            yield connection, joined.extension(EXTENSION)

    async def state(self) -> tuple[int, Credit, int]:
        """
        Tell how many orders there are, what is on the card, and how often it was recharged.
        """
        async with self.engine.connect() as connection:
            orders = await connection.scalar(select(func.count()).select_from(ORDERS))
        card = await self.book.extension(EXTENSION).get(self.serial)

        return int(orders or 0), card.credit, card.recharge_count


@asynccontextmanager
async def async_engine(url: str) -> AsyncIterator[AsyncEngine]:
    """
    Make an engine for coroutines, and close its connections afterwards.
    """
    engine = create_async_engine(url.replace("sqlite:", "sqlite+aiosqlite:"))
    try:
        yield engine
    finally:
        await engine.dispose()


@asynccontextmanager
async def portal_on(kind: DatabaseKind) -> AsyncIterator[Portal]:
    """
    Set a portal up.
    """
    with empty_database(kind) as url:
        store = SQLAlchemyStore(url, create=True)
        opened = aio.open_book(store, currency="EUR", key=BareKey(), clock=Clock())
        async with await opened as book, async_engine(url) as engine:
            async with engine.begin() as connection:
                await connection.run_sync(ORDERS.create)
            [card] = await book.extension(EXTENSION).generate(1, credit=10)
            yield Portal(engine, book.acting_as("portal"), card.serial)


@on_both
async def test_what_is_done_holds_from_the_commit_on(kind: DatabaseKind) -> None:
    """
    Within the transaction everything is there; for others it is there when the portal has committed.
    """
    async with portal_on(kind) as portal:
        async with portal.transaction() as (connection, extension):
            await connection.execute(insert(ORDERS).values(number="PO-1"))
            entry = await extension.recharge(portal.serial, 5, order_number="PO-1")
            history = [each.amount async for each in extension.history(portal.serial)]
            before = await portal.state()

        assert (entry.credit_left, history) == (Credit(15), [Credit(10), Credit(5)])
        assert (before, await portal.state()) == ((0, Credit(10), 0), (1, Credit(15), 1))
        assert (await portal.book.verify()).findings == ()


@on_both
async def test_what_is_rolled_back_never_was(kind: DatabaseKind) -> None:
    """
    A refusal, of the book's or the portal's, takes back what both did, if the portal lets it through.
    """
    async with portal_on(kind) as portal:
        with pytest.raises(InsufficientCreditError):  # noqa: PT012 - the refusal leaves the whole transaction
            async with portal.transaction() as (connection, extension):
                await connection.execute(insert(ORDERS).values(number="PO-1"))
                await extension.recharge(portal.serial, 5)
                await extension.recharge(portal.serial, -99)

        assert await portal.state() == (0, Credit(10), 0)


@on_both
async def test_a_refusal_leaves_the_transaction_as_it_was(kind: DatabaseKind) -> None:
    """
    A portal that catches a refusal goes on, and commits the rest.
    """
    async with portal_on(kind) as portal:
        async with portal.transaction() as (connection, extension):
            await connection.execute(insert(ORDERS).values(number="PO-1"))
            await extension.recharge(portal.serial, 5, order_number="PO-1")
            with pytest.raises(OperationConflictError):
                await extension.recharge(portal.serial, 6, order_number="PO-1")

        assert await portal.state() == (1, Credit(15), 1)


@on_both
async def test_many_cards_are_made_and_read_within_it(kind: DatabaseKind) -> None:
    """
    What is too much for one statement or one crossing is made and read like the rest.
    """
    async with portal_on(kind) as portal:
        async with portal.transaction() as (_, extension):
            batch = await extension.generate(1200, operation="many")
            serials = {card.serial async for card in extension}

        assert serials == {portal.serial, *(handout.serial for handout in batch)}
        assert await portal.book.extension(EXTENSION).count() == 1201


@on_both
async def test_tasks_of_one_transaction_come_one_after_another(kind: DatabaseKind) -> None:
    """
    Tasks that use the same transaction at once are all answered.
    """
    async with portal_on(kind) as portal:
        async with portal.transaction() as (_, extension), asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(extension.recharge(portal.serial, 1, order_number=f"PO-{number}"))

        assert await portal.state() == (0, Credit(18), 8)


@on_both
async def test_closing_a_twin_closes_no_connection(kind: DatabaseKind) -> None:
    """
    What has joined can be closed, and the portal's transaction goes on and is committed by the portal.
    """
    async with portal_on(kind) as portal:
        async with portal.engine.begin() as connection:
            async with await portal.book.joining(connection) as joined:
                await joined.extension(EXTENSION).recharge(portal.serial, 5)
            await connection.execute(insert(ORDERS).values(number="PO-1"))

        assert await portal.state() == (1, Credit(15), 1)


@on_both
async def test_nothing_is_revealed_in_a_transaction(kind: DatabaseKind) -> None:
    """
    What could be forgotten by a rollback is not told.
    """
    async with portal_on(kind) as portal, portal.transaction() as (_, extension):
        with pytest.raises(JoinedStoreError):
            await extension.reveal(portal.serial)


@on_both
async def test_nobody_is_let_in_in_a_transaction(kind: DatabaseKind) -> None:
    """
    What would be forgotten by a rollback is no limit: attempts in a transaction are refused before they are compared.
    """
    async with portal_on(kind) as portal:
        async with portal.transaction() as (_, extension):
            with pytest.raises(JoinedStoreError):
                await extension.authenticate("7700183422157", pin="0482")
            with pytest.raises(JoinedStoreError):
                await extension.authenticate_caller("40722123456")

        assert "authenticate" not in [entry.verb async for entry in portal.book.audit_trail()]


@on_both
async def test_hooks_are_released_after_the_commit(kind: DatabaseKind) -> None:
    """
    Hooks wait for the portal's commit, and are then told what was done, in the thread of the event loop.
    """
    told: list[tuple[str, threading.Thread]] = []
    async with portal_on(kind) as portal:
        portal.book.on_commit(lambda entry: told.append((entry.verb, threading.current_thread())))
        async with portal.engine.begin() as connection:
            joined = await portal.book.joining(connection)
            await joined.extension(EXTENSION).recharge(portal.serial, 5)
            before = list(told)
        await joined.release_hooks()
        await joined.release_hooks()

        assert (before, told) == ([], [("recharge", threading.current_thread())])


@on_both
async def test_a_book_in_other_tables_is_joined_there(kind: DatabaseKind) -> None:
    """
    Tables with another prefix are named again, and no others are taken for them.
    """
    tables = build_tables(prefix="cards_")
    with empty_database(kind) as url:
        store = SQLAlchemyStore(url, tables=tables, create=True)
        async with await aio.open_book(store, currency="EUR", key=BareKey()) as book, async_engine(url) as engine:
            async with engine.begin() as connection:
                joined = await book.joining(connection, tables=tables)
                await joined.extension(EXTENSION).generate(3)

            assert await book.extension(EXTENSION).count() == 3
            async with engine.begin() as connection:
                with pytest.raises(NotABookError):
                    await book.joining(connection)


async def cancelled_orders(portal: Portal, *, joins: bool) -> list[bool]:
    """
    Write an order and recharge the card for it, both in one transaction, and go at a random moment; again and again.

    Returns:
        Whether each was left before it was committed.
    """
    gone, took = [], PATIENCE
    for number in range(TIMES):
        # The first ones tell how long it takes.
        limit = PATIENCE if number < 3 else 2 * took * os.urandom(1)[0] / 255
        async with portal.engine.connect() as connection:
            begun = time.monotonic()
            try:
                async with asyncio.timeout(limit), connection.begin():
                    book = await portal.book.joining(connection) if joins else portal.book
                    await book.extension(EXTENSION).recharge(portal.serial, 1, order_number=f"PO-{number}")
                    await connection.execute(insert(ORDERS).values(number=f"PO-{number}"))
            except TimeoutError:
                gone.append(True)
            else:
                gone.append(False)
                took = time.monotonic() - begun

    return gone


@on_postgresql
async def test_a_cancelled_transaction_happens_once(kind: DatabaseKind) -> None:
    """
    Whoever is cancelled within a transaction has done all of it or nothing, and once after beginning it again.
    """
    async with portal_on(kind) as portal:
        gone = await cancelled_orders(portal, joins=True)
        for number in range(TIMES):
            async with portal.transaction() as (connection, extension):
                entry = await extension.recharge(portal.serial, 1, order_number=f"PO-{number}")
                if not entry.replayed:
                    await connection.execute(insert(ORDERS).values(number=f"PO-{number}"))

        assert set(gone) == {True, False}
        assert await portal.state() == (TIMES, Credit(10 + TIMES), TIMES)


@on_postgresql
async def test_that_half_a_transaction_would_be_noticed(kind: DatabaseKind) -> None:
    """
    A book that has not joined recharges cards whose orders were rolled back, and the test before would see it.
    """
    async with portal_on(kind) as portal:
        await cancelled_orders(portal, joins=False)
        orders, _, recharges = await portal.state()

        assert orders < recharges
