"""
The same portal with coroutines: the book joins the transaction of an `AsyncSession`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi_portal import HANDLERS, TABLES, Order, Purchase
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from voipcard import KeyProvider, aio
from voipcard.stores import SQLAlchemyStore


def async_portal(engine: AsyncEngine, url: str, key: KeyProvider) -> FastAPI:
    """
    Make the portal on an engine for coroutines, and on the address of the same database for a driver without them.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with await aio.open_book(SQLAlchemyStore(url, tables=TABLES), currency="EUR", key=key) as book:
            app.state.book = book.acting_as("portal")
            yield
        await engine.dispose()

    app = FastAPI(lifespan=lifespan, exception_handlers=HANDLERS)

    @app.post("/orders")
    async def buy(purchase: Purchase) -> dict[str, str | bool]:
        async with AsyncSession(engine) as session:
            book = await app.state.book.joining(await session.connection())
            cards = book.extension("0003*215")
            entry = await cards.recharge(purchase.serial, purchase.amount, order_number=purchase.number)
            if not entry.replayed:
                session.add(Order(number=purchase.number, serial=purchase.serial))
            await session.commit()

        return {"credit": str(entry.credit_left), "new": not entry.replayed}

    return app
