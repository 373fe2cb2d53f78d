"""
A portal with FastAPI sells credit within its own transactions, with threads and with coroutines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Final

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select
from sqlalchemy.ext.asyncio import create_async_engine

from tests.book_world import BareKey, book_on
from tests.databases import DATABASES, DatabaseKind, empty_database, engine_on, on
from tests.portals.laws import Answer, PortalContract, Shop
from voipcard.stores import SQLAlchemyStore


def shop_of(engine: Engine, post: Callable[..., Any]) -> Shop:
    """
    Open a shop over a client's `post`.
    """
    module = import_module("fastapi_portal")

    def sent(order: dict[str, str]) -> Answer:
        answer = post("/orders", json=order)
        return answer.status_code, answer.json()

    def orders() -> list[str]:
        with engine.connect() as connection:
            return list(connection.scalars(select(module.Order.number)))

    return Shop.open(book_on(SQLAlchemyStore(engine)), sent, orders)


class TestFastAPI(PortalContract):
    """
    The laws, for the portal of the how-to page.
    """

    @pytest.fixture(params=[on(kind) for kind in DATABASES])
    def shop(self, request: pytest.FixtureRequest) -> Iterator[Shop]:
        """
        Open a shop on each kind of database.
        """
        module = import_module("fastapi_portal")
        with empty_database(request.param) as url, engine_on(url) as engine:
            module.Base.metadata.create_all(engine)
            app = module.portal(engine, BareKey())
            yield shop_of(engine, lambda *arguments, **named: TestClient(app).post(*arguments, **named))


DRIVERS: Final[dict[DatabaseKind, str]] = {"postgresql": "postgresql+psycopg", "sqlite": "sqlite+aiosqlite"}
"""Drivers for coroutines."""


class TestFastAPIWithCoroutines(PortalContract):
    """
    The laws, for the portal that joins the transaction of an `AsyncSession`.
    """

    @pytest.fixture(params=[on(kind) for kind in DRIVERS])
    def shop(self, request: pytest.FixtureRequest) -> Iterator[Shop]:
        """
        Open a shop on each kind of database for which there is a driver.
        """
        module, kind = import_module("fastapi_async_portal"), request.param
        with empty_database(kind) as url, engine_on(url) as engine:
            import_module("fastapi_portal").Base.metadata.create_all(engine)
            book_on(SQLAlchemyStore(engine)).close()
            async_engine = create_async_engine(engine.url.set(drivername=DRIVERS[kind]))
            with TestClient(module.async_portal(async_engine, url, BareKey())) as client:
                yield shop_of(engine, client.post)
