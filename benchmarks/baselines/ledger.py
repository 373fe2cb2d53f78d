"""
Recharging by hand: what a recharge reads, authenticates and writes.
"""

from __future__ import annotations

import hmac
import json
import os
import time
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from benchmarks.baselines.macs import keyed

__all__ = ["AMOUNT", "COLUMNS", "HEAD", "Ledger", "Posting", "Row", "Trace", "amount_text", "as_json", "now"]

AMOUNT: Final = 1_000_000

COLUMNS: Final = (
    'id, serial, extension, batch, kind, "index", sealed_code, pin_mac, sealed_pin, key, enabled, holds,'
    " next_hold_expiry, created_at, first_used_at, expires_at, order_number, labels, held,"
    " credit, total_credit, recharge_count, sequence, chain, version, mac"
)
_FIXED: Final = 19
"""How many of the columns a recharge never changes."""

_SERIAL: Final = 4
"""The place of the serial in an entry."""

HEAD: Final = "trail/00"
"""The key of the document that ends the chain of audit entries: one of those that a book has from the beginning."""

_JSON: Final = json.JSONEncoder(separators=(",", ":"), sort_keys=True)

Row: TypeAlias = tuple[Any, ...]


class Posting(NamedTuple):
    """
    One recharge: the values of the update, and the entry.
    """

    update: Row
    entry: Row


class Trace(NamedTuple):
    """
    What recharges leave in the audit trail: an entry, and the values of the update of the document that ends its chain.
    """

    entry: Row
    head: Row


class Ledger:
    """
    The rules of a recharge, with keys of its own: the cards have to be signed with them first.

    Args:
        extension: The extension of the cards.
    """

    def __init__(self, extension: str) -> None:
        self._extension: Final = extension
        self._card_mac, self._entry_mac, self._order_mac = keyed(), keyed(), keyed()
        self._audit_mac, self._head_mac = keyed(), keyed()
        self._link, self._chain, self._changed, self._entered = 0, b"", 0, 0
        self.head_version = 0

    def signed(self, rows: Iterable[Row]) -> list[tuple[bytes, bytes]]:
        """
        Give the MAC that each card has to have before it is recharged, and its id.
        """
        return [(self._card_mac(row[:-1]), row[0]) for row in rows]

    def operation(self, serial: str, order_number: str) -> bytes:
        """
        Give what makes an order of a card happen only once.
        """
        return self._order_mac(("order", serial, order_number))[:16]

    def posted(self, row: Row, order_number: str, operation: bytes, now: int) -> Posting:
        """
        Check a card and recharge it.
        """
        if row[2] != self._extension or not hmac.compare_digest(self._card_mac(row[:-1]), row[-1]):
            message = "a card was changed"
            raise LookupError(message)
        card, serial, extension, batch = row[:4]
        held, credit, total, recharges, sequence, chain, version = row[_FIXED - 1 : -1]
        entry: Row = (card, sequence + 1, extension, batch, serial, "recharge", AMOUNT, credit + AMOUNT, held)
        entry += (order_number, operation, now, "bench", "", b"", None, None, None, None, "", None)
        entry += (self._entry_mac((chain, *entry)),)
        changed = (credit + AMOUNT, total + AMOUNT, recharges + 1, sequence + 1, entry[-1], version + 1)
        mac = self._card_mac((*row[:_FIXED], *changed))

        return Posting((*changed, mac, card, version), entry)

    def audited(self, postings: Sequence[Posting], order_number: str, now: int) -> Trace:
        """
        Give what recharges leave in the audit trail.
        """
        return self.linked("recharge", _told(postings, order_number), now, entries=len(postings), cards=len(postings))

    def linked(self, verb: str, told: dict[str, object], now: int, *, entries: int, cards: int = 1) -> Trace:
        """
        Give the entry of the audit trail, chained to the one before, and what the chain ends with then.
        """
        self._link += 1
        link = bytes(2) + self._link.to_bytes(8, "big") + os.urandom(6)
        fields = (link, now, "bench", verb, self._extension, as_json(told))
        self._chain = self._audit_mac((self._chain, *fields))
        self._changed += cards
        self._entered += entries

        return Trace((*fields, self._chain), self._followed(now))

    def _followed(self, now: int) -> Row:
        tally = [0, self._changed, self._entered, 0, 0]
        head = {"count": self._link, "licensed_at": 0, "mac": self._chain.hex(), "seen_at": now, "tally": tally}
        text = as_json(head)
        version, self.head_version = self.head_version, self.head_version + 1
        mac = self._head_mac((HEAD, self.head_version, None, text))

        return (mac + text.encode(), self.head_version, HEAD, version)


def _told(postings: Sequence[Posting], order_number: str) -> dict[str, object]:
    """
    Give what the audit trail says of one recharge, or of many.
    """
    amount, serials = amount_text(AMOUNT), [posting.entry[_SERIAL] for posting in postings]
    if len(postings) > 1:
        amounts = [amount] * len(serials)
        return {"serials": serials, "amounts": amounts, "count": len(serials), "order_number": order_number}
    credit = postings[0].update[0]
    states = {"before": amount_text(credit - AMOUNT), "after": amount_text(credit)}

    return {"serial": serials[0], "amount": amount, "order_number": order_number, **states}


def as_json(value: object) -> str:
    """
    Write a value as the library does, without spaces and with sorted names.
    """
    return _JSON.encode(value)


def amount_text(micros: int) -> str:
    """
    Write an amount with at least two decimal places, and as many as it has.
    """
    text = f"{micros // 1_000_000}.{micros % 1_000_000:06}".rstrip("0")

    return text.ljust(text.index(".") + 3, "0")


def now() -> int:
    """
    Give the time in microseconds.
    """
    return time.time_ns() // 1000
