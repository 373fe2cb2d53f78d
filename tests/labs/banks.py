"""
Two banks over a database server: a card book, and what somebody writes by hand who reads, computes and writes back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol, TypeAlias

import sqlalchemy
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from tests.book_world import EXTENSION, LAX, book_on
from voipcard import Credit, LedgerEntry
from voipcard.errors import InsufficientCreditError, StoreError
from voipcard.stores import SQLAlchemyStore, Store

__all__ = ["Bank", "BookBank", "Change", "NaiveBank", "OpenBank", "Statement", "Teller"]


class Change(NamedTuple):
    """
    How much an order changed a card.
    """

    order: str
    card: str
    amount: int


class Statement(NamedTuple):
    """
    What a bank has in the end.

    Attributes:
        credits: What is on each card.
        changes: What was changed since the cards were made, as the histories tell it.
        lowest: The least that was ever on a card.
        findings: How much else is wrong, as far as the bank can tell itself.
    """

    credits: dict[str, int]
    changes: list[Change]
    lowest: int
    findings: int


class Teller(Protocol):
    """
    Changes whole amounts of credit on cards.

    What goes wrong is a `StoreError`; more than a card has is refused with an `InsufficientCreditError`.
    """

    def recharge(self, order: str, card: str, amount: int) -> bool:
        """
        Change the credit of a card, and tell whether this order had done it before.
        """
        ...

    def transfer(self, order: str, source: str, target: str, amount: int) -> bool:
        """
        Move credit from one card to another, and tell whether this order had done it before.
        """
        ...


class Bank(Teller, Protocol):
    """
    Somebody who makes the cards as well.
    """

    def issue(self, count: int, credit: int) -> list[str]:
        """
        Make cards, and give their serials.
        """
        ...

    def statement(self) -> Statement:
        """
        Tell all.
        """
        ...

    def close(self) -> None:
        """
        Give back the connections.
        """
        ...


OpenBank: TypeAlias = Callable[[], Bank]
"""Opens the same bank, in whatever process."""


class BookBank:
    """
    A card book.

    Args:
        place: The store, or the address of a database.
    """

    def __init__(self, place: Store | str) -> None:
        store = SQLAlchemyStore(place, create=True) if isinstance(place, str) else place
        self.book: Final = book_on(store, policy=LAX)
        self.extension: Final = self.book.extension(EXTENSION)

    def issue(self, count: int, credit: int) -> list[str]:
        """
        Generate cards.
        """
        return [handout.serial for handout in self.extension.generate(count, credit=credit)]

    def recharge(self, order: str, card: str, amount: int) -> bool:
        """
        Recharge a card: the order number lets it happen once.
        """
        return self.extension.recharge(card, amount, order_number=order).replayed

    def transfer(self, order: str, source: str, target: str, amount: int) -> bool:
        """
        Transfer credit: the operation lets it happen once.
        """
        taken, _ = self.extension.transfer(source, target, amount=amount, order_number=order, operation=order)

        return taken.replayed

    def statement(self) -> Statement:
        """
        Read all cards and histories, and verify the book.
        """
        cards = {card.serial: _units(card.credit) for card in self.extension.search()}
        entries = [entry for serial in cards for entry in self.extension.history(serial)]
        lowest = min((_units(entry.credit_left) for entry in entries), default=0)
        findings = len(self.book.verify().findings)

        return Statement(cards, [_change(entry) for entry in entries if entry.kind != "initial"], lowest, findings)

    def close(self) -> None:
        """
        Close the book.
        """
        self.book.close()


class NaiveBank:
    """
    Reads the credit, computes, and writes it back, in one transaction, with the order number as the key of an entry.

    So an order happens once here as well. But nothing notices that the credit has changed since it was read.

    Args:
        url: The address of a database.
    """

    def __init__(self, url: str) -> None:
        self._engine: Final[Engine] = sqlalchemy.create_engine(url, pool_reset_on_return=None)
        with self._engine.begin() as connection:
            connection.execute(text("CREATE TABLE IF NOT EXISTS naive_cards (serial CHAR(8) PRIMARY KEY, credit INT)"))
            connection.execute(
                text(
                    "CREATE TABLE IF NOT EXISTS naive_entries (order_number VARCHAR(40), serial CHAR(8), amount INT,"
                    " credit_left INT, PRIMARY KEY (order_number, serial))"
                )
            )

    def issue(self, count: int, credit: int) -> list[str]:
        """
        Make cards.
        """
        serials = [f"{number:08}" for number in range(count)]
        with self._engine.begin() as connection:
            for serial in serials:
                connection.execute(
                    text("INSERT INTO naive_cards VALUES (:serial, :credit)"), {"serial": serial, "credit": credit}
                )

        return serials

    def recharge(self, order: str, card: str, amount: int) -> bool:
        """
        Change one card.
        """
        return self._change([Change(order, card, amount)])

    def transfer(self, order: str, source: str, target: str, amount: int) -> bool:
        """
        Change two cards.
        """
        return self._change([Change(order, source, -amount), Change(order, target, amount)])

    def statement(self) -> Statement:
        """
        Read both tables.
        """
        with self._engine.begin() as connection:
            cards = [(row[0], row[1]) for row in connection.execute(text("SELECT serial, credit FROM naive_cards"))]
            rows = connection.execute(text("SELECT order_number, serial, amount, credit_left FROM naive_entries"))
            entries = [(Change(row[0], row[1], row[2]), row[3]) for row in rows]
        lowest = min((left for _, left in entries), default=0)

        return Statement(dict(cards), [change for change, _ in entries], lowest, 0)

    def close(self) -> None:
        """
        Close the connections.
        """
        self._engine.dispose()

    def _change(self, changes: Sequence[Change]) -> bool:
        try:
            with self._engine.begin() as connection:
                for change in sorted(changes, key=lambda each: each.card):
                    _read_then_write(connection, change)
        except IntegrityError:
            return True
        except SQLAlchemyError as error:
            raise StoreError("the database", maybe_applied=True) from error

        return False


def _read_then_write(connection: Connection, change: Change) -> None:
    asked = {"serial": change.card, "amount": change.amount, "order_number": change.order}
    credit = connection.execute(text("SELECT credit FROM naive_cards WHERE serial = :serial"), asked).scalar_one()
    left = credit + change.amount
    if left < 0:
        raise InsufficientCreditError(change.card, str(credit), str(-change.amount))
    connection.execute(
        text("INSERT INTO naive_entries VALUES (:order_number, :serial, :amount, :credit_left)"),
        {**asked, "credit_left": left},
    )
    connection.execute(
        text("UPDATE naive_cards SET credit = :credit_left WHERE serial = :serial"), {**asked, "credit_left": left}
    )


def _change(entry: LedgerEntry) -> Change:
    return Change(entry.order_number, entry.serial, _units(entry.amount))


def _units(amount: Credit) -> int:
    return int(amount.to_decimal())
