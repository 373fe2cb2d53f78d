"""
Recharging by hand: what one recharge reads, authenticates and writes.
"""

from __future__ import annotations

import hmac
import itertools
import json
import os
import time
from collections.abc import Iterable
from typing import Any, Final, NamedTuple, TypeAlias

from benchmarks.baselines.macs import keyed

__all__ = ["AMOUNT", "COLUMNS", "Ledger", "Posting", "Row", "now"]

AMOUNT: Final = 1_000_000

COLUMNS: Final = (
    'id, serial, extension, batch, kind, "index", sealed_code, pin_mac, sealed_pin, key, enabled, holds,'
    " next_hold_expiry, created_at, first_used_at, expires_at, order_number, labels, held,"
    " credit, total_credit, recharge_count, sequence, chain, version, mac"
)
_FIXED: Final = 19
"""How many of the columns a recharge never changes."""

Row: TypeAlias = tuple[Any, ...]


class Posting(NamedTuple):
    """
    One recharge: the values of the update, and the entry.
    """

    update: Row
    entry: Row


class Ledger:
    """
    The rules of a recharge, with keys of its own: the cards have to be signed with them first.

    Args:
        extension: The extension of the cards.
    """

    def __init__(self, extension: str) -> None:
        self._extension: Final = extension
        self._card_mac, self._entry_mac, self._audit_mac, self._order_mac = keyed(), keyed(), keyed(), keyed()
        self._numbers: Final = itertools.count()

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
        entry += (order_number, operation, now, "bench", "", b"", None, None, None, None, "")
        entry += (self._entry_mac((chain, *entry)),)
        changed = (credit + AMOUNT, total + AMOUNT, recharges + 1, sequence + 1, entry[-1], version + 1)
        mac = self._card_mac((*row[:_FIXED], *changed))

        return Posting((*changed, mac, card, version), entry)

    def audited(self, now: int, **detail: object) -> Row:
        """
        Give the entry of the audit trail.
        """
        card = now.to_bytes(7, "big") + next(self._numbers).to_bytes(4, "big") + os.urandom(5)
        text = json.dumps(detail, separators=(",", ":"), sort_keys=True)
        fields = (card, now, "bench", "recharge", self._extension, text)

        return (*fields, self._audit_mac(fields))


def now() -> int:
    """
    Give the time in microseconds.
    """
    return time.time_ns() // 1000
