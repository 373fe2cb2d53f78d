"""
A portal with Flask sells credit within its own transactions.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import select

from tests.book_world import BareKey, book_on
from tests.databases import DATABASES, DatabaseKind, empty_database, engine_on, on
from tests.portals.laws import Answer, PortalContract, Shop
from voipcard.stores import SQLAlchemyStore


@contextmanager
def shop_on(kind: DatabaseKind, module: Any) -> Iterator[Shop]:  # noqa: ANN401 - a module
    """
    Open a shop with the portal of a module.
    """
    with empty_database(kind) as url, engine_on(url) as engine:
        module.metadata.create_all(engine)
        book = book_on(SQLAlchemyStore(engine))
        app = module.portal(engine, BareKey())

        def post(order: dict[str, str]) -> Answer:
            answer = app.test_client().post("/orders", json=order)
            return answer.status_code, answer.get_json()

        def orders() -> list[str]:
            with engine.connect() as connection:
                return list(connection.scalars(select(module.orders.c.number)))

        yield Shop.open(book, post, orders)


class TestFlask(PortalContract):
    """
    The laws, for the portal of the how-to page.
    """

    @pytest.fixture(params=[on(kind) for kind in DATABASES])
    def shop(self, request: pytest.FixtureRequest) -> Iterator[Shop]:
        """
        Open a shop on each kind of database.
        """
        with shop_on(request.param, import_module("flask_portal")) as shop:
            yield shop


CARELESS = {
    "test_an_order_that_fails_leaves_no_credit": ("book.over(SQLAlchemyStore(connection, tables=tables))", "book"),
    "test_the_same_order_at_once_counts_once": (', order_number=order["number"]', ""),
    "test_an_order_that_comes_again_adds_nothing": (', order_number=order["number"]', ""),
}
"""What a careless portal does otherwise, and the law that it breaks."""


@pytest.mark.parametrize("law", CARELESS)
def test_a_careless_portal_is_found_out(law: str) -> None:
    """
    A portal that does not join, or does not say the order number, breaks a law.
    """
    careful = Path(str(import_module("flask_portal").__file__)).read_text()
    module = ModuleType("careless_portal")
    careless = careful.replace(*CARELESS[law])
    exec(careless, vars(module))  # noqa: S102 - the portal of this project, with one change

    assert careless != careful
    with shop_on("sqlite", module) as shop, pytest.raises(AssertionError):
        getattr(PortalContract(), law)(shop)
