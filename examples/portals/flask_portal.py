"""
A portal with Flask and SQLAlchemy Core that sells credit: the order and the recharge are one transaction.
"""

from flask import Flask, request
from sqlalchemy import Column, Engine, MetaData, String, Table, insert
from sqlalchemy.exc import IntegrityError

import voipcard
from voipcard.errors import OperationConflictError, StaleError, StoreBusyError, UnknownCardError
from voipcard.stores import SQLAlchemyStore, build_tables

REFUSALS = {
    UnknownCardError: 404,
    OperationConflictError: 409,
    IntegrityError: 409,
    StaleError: 503,
    StoreBusyError: 503,
}

metadata = MetaData()
tables = build_tables(metadata)
orders = Table("orders", metadata, Column("number", String(32), primary_key=True), Column("serial", String(32)))


def portal(engine: Engine, key: voipcard.KeyProvider) -> Flask:
    """
    Make the portal on a database in which the tables are.
    """
    book = voipcard.open_book(SQLAlchemyStore(engine, tables=tables), currency="EUR", key=key).acting_as("portal")
    app = Flask(__name__)

    @app.post("/orders")
    def buy() -> dict[str, str | bool]:
        order = request.get_json()
        with engine.begin() as connection:
            cards = book.over(SQLAlchemyStore(connection, tables=tables)).extension("0003*215")
            entry = cards.recharge(order["serial"], order["amount"], order_number=order["number"])
            if not entry.replayed:
                connection.execute(insert(orders).values(number=order["number"], serial=order["serial"]))

        return {"credit": str(entry.credit_left), "new": not entry.replayed}

    def refuse(error: Exception) -> tuple[dict[str, str], int]:
        return {"refused": type(error).__name__}, REFUSALS[type(error)]

    for kind in REFUSALS:
        app.register_error_handler(kind, refuse)

    return app
