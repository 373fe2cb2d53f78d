"""
A portal with FastAPI and SQLAlchemy's ORM that sells credit: the order and the recharge are one transaction.
"""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from sqlalchemy import Engine, String
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

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


class Base(DeclarativeBase):
    """
    The tables of the portal, and those of the book.
    """


TABLES = build_tables(Base.metadata)


class Order(Base):
    """
    An order that was paid.
    """

    __tablename__ = "orders"

    number: Mapped[str] = mapped_column(String(32), primary_key=True)
    serial: Mapped[str] = mapped_column(String(32))


class Purchase(BaseModel):
    """
    What the shop sends.
    """

    number: str
    serial: str
    amount: str


def refuse(_: Request, error: Exception) -> JSONResponse:
    """
    Say why there was no sale. After 503 the shop asks again with the same number.
    """
    return JSONResponse({"refused": type(error).__name__}, REFUSALS[type(error)])


HANDLERS = dict.fromkeys(REFUSALS, refuse)


def portal(engine: Engine, key: voipcard.KeyProvider) -> FastAPI:
    """
    Make the portal on a database in which the tables are.
    """
    book = voipcard.open_book(SQLAlchemyStore(engine, tables=TABLES), currency="EUR", key=key).acting_as("portal")
    app = FastAPI(exception_handlers=HANDLERS)

    def session_of_request() -> Iterator[Session]:
        with Session(engine) as session:
            yield session

    @app.post("/orders")
    def buy(purchase: Purchase, session: Annotated[Session, Depends(session_of_request)]) -> dict[str, str | bool]:
        cards = book.over(SQLAlchemyStore(session.connection(), tables=TABLES)).extension("0003*215")
        entry = cards.recharge(purchase.serial, purchase.amount, order_number=purchase.number)
        if not entry.replayed:
            session.add(Order(number=purchase.number, serial=purchase.serial))
        session.commit()

        return {"credit": str(entry.credit_left), "new": not entry.replayed}

    return app
