"""
A Django project and its laws, which `test_django.py` runs in a process of their own: their settings meet no other test.

Until they are made, nobody may look at what depends on them, so it is not imported by name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final, cast

import pytest
from django import conf, db, setup  # type: ignore[import-untyped]
from django.db import transaction  # type: ignore[import-untyped]
from django.test import Client  # type: ignore[import-untyped]
from sqlalchemy import create_engine, make_url, select
from sqlalchemy.pool import StaticPool

from tests.book_world import EXTENSION, BareKey, book_on, sound
from tests.databases import DatabaseKind, empty_database
from tests.portals.laws import Answer, PortalContract, Shop
from voipcard import Credit
from voipcard.errors import CeilingError, JoinedStoreError, StoreError
from voipcard.stores import Changes, CounterChange, SQLAlchemyStore

KIND: Final = "VOIPCARD_TEST_DJANGO"
"""The variable that says which database to use."""


def database(url: str) -> dict[str, Any]:
    """
    Write the address of a database as Django's settings do.
    """
    place = make_url(url)
    if place.get_backend_name() == "sqlite":
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": place.database,
            "OPTIONS": {"transaction_mode": "IMMEDIATE"},
        }

    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": place.database,
        "USER": place.username,
        "PASSWORD": place.password,
        "HOST": place.host or place.query.get("host"),
        "PORT": place.port or "",
    }


def use(url: str) -> None:
    """
    Let the project use a database: at first, and instead of another one.
    """
    if not conf.settings.configured:
        conf.settings.configure(
            DATABASES={"default": database(url)},
            ROOT_URLCONF="django_portal",
            ALLOWED_HOSTS=["testserver"],
            USE_TZ=True,
            CARDS_KEY=BareKey(),
        )
        setup()
    # As Django does for its own tests.
    db.connection.settings_dict["NAME"] = make_url(url).database
    conf.settings.CARDS_URL = url


@pytest.fixture
def shop() -> Iterator[Shop]:
    """
    Make the tables, and open the shop.
    """
    with empty_database(cast("DatabaseKind", os.environ[KIND])) as url:
        use(url)
        portal, cards = import_module("django_portal"), import_module("django_cards")
        with db.connection.schema_editor() as editor:
            editor.create_model(portal.Order)

        def post(order: dict[str, str]) -> Answer:
            try:
                answer = Client().post("/orders", order, content_type="application/json")
                return answer.status_code, answer.json()
            finally:
                db.connections.close_all()

        def orders() -> list[str]:
            return list(portal.Order.objects.values_list("number", flat=True))

        shop = Shop.open(book_on(SQLAlchemyStore(url, create=True)), post, orders)
        yield shop
        db.connections.close_all()
        shop.book.close()
        cards.own_book().close()
        cards.own_book.cache_clear()


def sell(shop: Shop, number: str, amount: str) -> None:
    """
    Write an order, and recharge the card.
    """
    import_module("django_portal").Order.objects.create(number=number, serial=shop.serials[0])
    with import_module("django_cards").joined_book() as book:
        book.extension(EXTENSION).recharge(shop.serials[0], amount, order_number=number)


def sell_and_fail(shop: Shop, number: str, amount: str) -> None:
    """
    Do so in an atomic block, and raise an exception at its end.
    """
    with transaction.atomic():
        sell(shop, number, amount)
        raise ZeroDivisionError


class TestDjango(PortalContract):
    """
    The laws, for the portal of the how-to page.
    """


def test_a_rollback_takes_everything_back(shop: Shop) -> None:
    """
    What was done within an atomic block vanishes with it, however it is rolled back, in bulk too.
    """
    before = shop.state()
    with pytest.raises(ZeroDivisionError):
        sell_and_fail(shop, "PO-1", "1.00")
    with transaction.atomic():
        sell(shop, "PO-2", "1.00")
        with import_module("django_cards").joined_book() as book:
            book.extension(EXTENSION).generate(600, credit="1.00")
        transaction.set_rollback(True)

    assert shop.state() == before
    assert shop.book.extension(EXTENSION).count() == 2


def test_an_inner_rollback_takes_back_its_own(shop: Shop) -> None:
    """
    An exception within an inner block undoes what was done there, and what was done around it stays.
    """
    with transaction.atomic():
        sell(shop, "PO-1", "1.00")
        with pytest.raises(ZeroDivisionError):
            sell_and_fail(shop, "PO-2", "2.00")
        with transaction.atomic():
            sell(shop, "PO-3", "4.00")
        savepoint = transaction.savepoint()
        sell(shop, "PO-4", "8.00")
        transaction.savepoint_rollback(savepoint)
        meanwhile = shop.book.extension(EXTENSION).get(shop.serials[0]).credit
    orders, on_cards, _ = shop.state()

    assert meanwhile == Credit("10.00")
    assert (orders, on_cards[0]) == (["PO-1", "PO-3"], Credit("15.00"))
    assert sound(shop.book) == ()


def test_what_waits_for_the_commit_sees_it(shop: Shop) -> None:
    """
    `transaction.on_commit` calls when others see the recharge, and does not where there was a rollback.
    """
    heard: list[Credit] = []

    def hear() -> None:
        heard.append(shop.book.extension(EXTENSION).get(shop.serials[0]).credit)

    with transaction.atomic():
        transaction.on_commit(hear)
        sell(shop, "PO-1", "1.00")
        transaction.set_rollback(True)
    with transaction.atomic():
        transaction.on_commit(hear)
        sell(shop, "PO-2", "2.00")
        hear()

    assert heard == [Credit("10.00"), Credit("12.00")]


def test_hooks_are_called_for_what_was_committed(shop: Shop) -> None:
    """
    A hook of the book hears of a sale after the commit, and never of one that was taken back, alone or with its block.
    """
    heard: list[str] = []
    import_module("django_cards").own_book().on_commit(lambda entry: heard.append(entry.detail["order_number"]))
    with transaction.atomic():
        sell(shop, "PO-1", "1.00")
        with pytest.raises(ZeroDivisionError):
            sell_and_fail(shop, "PO-2", "2.00")
        assert heard == []
    with pytest.raises(ZeroDivisionError):
        sell_and_fail(shop, "PO-3", "4.00")
    shop.buy("PO-4")

    assert heard == ["PO-1", "PO-4"]


def test_mail_is_sent_once(shop: Shop) -> None:
    """
    The portal mails for a new order, and neither for one that came again nor for one that was refused.
    """
    mailed: list[str] = import_module("django_portal").mailed
    mailed.clear()
    shop.buy("PO-1")
    shop.buy("PO-1")
    shop.buy("PO-1", card=1)

    assert mailed == ["PO-1"]


def test_without_a_transaction_nothing_is_written(shop: Shop) -> None:
    """
    Outside of an atomic block the book can be read, and refuses to be written to.
    """
    before = shop.state()
    with import_module("django_cards").joined_book() as book:
        extension = book.extension(EXTENSION)
        credit = extension.get(shop.serials[0]).credit
        with pytest.raises(StoreError, match="autocommit mode"):
            extension.recharge(shop.serials[0], "1.00")

    assert credit == Credit("10.00")
    assert shop.state() == before


def test_a_refusal_leaves_the_transaction(shop: Shop) -> None:
    """
    After the book has refused something, the block goes on, and commits the rest.
    """
    cards = import_module("django_cards")
    with transaction.atomic():
        sell(shop, "PO-1", "1.00")
        with cards.joined_book() as book, pytest.raises(JoinedStoreError):
            book.extension(EXTENSION).reveal(shop.serials[0])
        with cards.engine_of("default").connect() as joined, pytest.raises(CeilingError):
            SQLAlchemyStore(joined).commit(Changes(counters=[CounterChange("portal", 2, ceiling=1)]))
        sell(shop, "PO-2", "2.00")
    orders, on_cards, _ = shop.state()

    assert (orders, on_cards[0]) == (["PO-1", "PO-2"], Credit("13.00"))


def test_the_connection_stays_as_django_made_it(shop: Shop) -> None:
    """
    Django goes on with the same connection, open, in the same mode, and with its own functions.
    """
    db.connection.ensure_connection()
    driver = db.connection.connection
    with transaction.atomic():
        sell(shop, "1", "1.00")
    with db.connection.cursor() as cursor:
        # Of the two functions with this name that SQLite may have, SQLAlchemy's takes no number.
        cursor.execute("SELECT 15 REGEXP '5'" if db.connection.vendor == "sqlite" else "SELECT 1")
        [answer] = cursor.fetchone()

    assert answer == 1
    assert db.connection.connection is driver
    assert db.connection.get_autocommit()
    assert db.connection.is_usable()


def test_an_engine_that_is_not_told_ends_the_transaction(shop: Shop) -> None:
    """
    An ordinary engine over the same connection rolls back what Django then believes to be committed.
    """
    engine = import_module("django_cards").engine_of("default")
    ordinary = create_engine(
        engine.url, creator=lambda: db.connection.connection, poolclass=StaticPool, pool_reset_on_return=None
    )
    with transaction.atomic():
        import_module("django_portal").Order.objects.create(number="PO-1", serial=shop.serials[0])
        with ordinary.connect() as joined:
            joined.execute(select(1))

    assert shop.orders() == []
