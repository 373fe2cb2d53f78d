"""
What every portal owes that sells credit, whatever it is made with.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import attrs

from tests.book_world import EXTENSION, in_threads, sound
from voipcard import CardBook, Credit

__all__ = ["Answer", "PortalContract", "Shop"]

_AT_ONCE: Final = 6

Answer = tuple[int, dict[str, Any]]
"""The status and the content of an answer."""


@attrs.frozen
class Shop:
    """
    A portal with two cards of 10.00, and a view on what it has done.

    Attributes:
        book: The book, with transactions of its own.
        serials: The cards.
        post: Sends an order. Threads may call it.
        orders: Tells which orders the portal has.
    """

    book: CardBook
    serials: list[str]
    post: Callable[[dict[str, str]], Answer]
    orders: Callable[[], list[str]]

    @classmethod
    def open(cls, book: CardBook, post: Callable[[dict[str, str]], Answer], orders: Callable[[], list[str]]) -> Shop:
        """
        Fill a new book with cards.
        """
        handouts = book.acting_as("owner").extension(EXTENSION).generate(2, credit="10.00")

        return cls(book, [handout.serial for handout in handouts], post, orders)

    def buy(self, number: str, card: int = 0, amount: str = "5.00") -> Answer:
        """
        Buy credit, and ask again as often as the portal wants it.
        """
        for _ in range(50):
            status, answer = self.post({"number": number, "serial": self.serials[card], "amount": amount})
            if status != 503:
                break

        return status, answer

    def state(self) -> tuple[list[str], list[Credit], int]:
        """
        Tell the orders, what is on the cards, and how much the audit trail tells.
        """
        extension = self.book.extension(EXTENSION)
        on_cards = [extension.get(serial).credit for serial in self.serials]

        return sorted(self.orders()), on_cards, len(list(self.book.audit_trail()))


class PortalContract:
    """
    The laws of a portal. Its tests have a fixture `shop`.
    """

    def test_a_sale_is_an_order_and_credit(self, shop: Shop) -> None:
        """
        A sale leaves an order in the portal, credit on the card, and an audit entry that names the portal.
        """
        answer = shop.buy("PO-1")
        orders, on_cards, _ = shop.state()

        assert answer == (200, {"credit": "15.00", "new": True})
        assert (orders, on_cards) == (["PO-1"], [Credit("15.00"), Credit("10.00")])
        assert [(entry.actor, entry.verb) for entry in shop.book.audit_trail()][-1] == ("portal", "recharge")
        assert sound(shop.book) == ()

    def test_an_order_that_comes_again_adds_nothing(self, shop: Shop) -> None:
        """
        The same order again is answered with the first result, and changes nothing.
        """
        shop.buy("PO-1")
        before = shop.state()
        answer = shop.buy("PO-1")

        assert answer == (200, {"credit": "15.00", "new": False})
        assert shop.state() == before

    def test_an_unknown_card_leaves_no_order(self, shop: Shop) -> None:
        """
        Where the book refuses, the portal has no order either.
        """
        before = shop.state()
        answer = shop.post({"number": "PO-1", "serial": "K7QX-000001", "amount": "5.00"})

        assert answer == (404, {"refused": "UnknownCardError"})
        assert shop.state() == before

    def test_an_order_that_fails_leaves_no_credit(self, shop: Shop) -> None:
        """
        Where the portal fails after the recharge, as the number of the order is taken, the recharge vanishes with it.
        """
        shop.buy("PO-1")
        before = shop.state()
        answer = shop.buy("PO-1", card=1)

        assert answer == (409, {"refused": "IntegrityError"})
        assert shop.state() == before
        assert sound(shop.book) == ()

    def test_the_same_order_at_once_counts_once(self, shop: Shop) -> None:
        """
        Of many requests with the same order at the same time one adds credit, and all are answered alike.
        """
        answers = in_threads(lambda _: shop.buy("PO-1"), _AT_ONCE)
        orders, on_cards, _ = shop.state()

        assert {status for status, _ in answers} == {200}
        assert {answer["credit"] for _, answer in answers} == {"15.00"}
        assert [answer["new"] for _, answer in answers].count(True) == 1
        assert (orders, on_cards[0]) == (["PO-1"], Credit("15.00"))

    def test_different_orders_at_once_all_count(self, shop: Shop) -> None:
        """
        Of many requests with orders of their own each adds credit, and none of them is lost.
        """
        answers = in_threads(lambda thread: shop.buy(f"PO-{thread}"), _AT_ONCE)
        orders, on_cards, _ = shop.state()

        assert {(status, answer["new"]) for status, answer in answers} == {(200, True)}
        assert len(orders) == _AT_ONCE
        assert on_cards[0] == Credit(10 + 5 * _AT_ONCE)
        assert sound(shop.book) == ()
