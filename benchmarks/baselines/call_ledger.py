"""
Calls by hand in a file: what is read for one, checked and written, when it begins and when it ends.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from benchmarks.baselines.database import sqlite3
from benchmarks.baselines.file_ledger import INSERT_AUDIT, INSERT_ENTRY, SELECT, UPDATE_HEAD, FileLedger
from benchmarks.baselines.ledger import Row, Trace, amount_text, as_json, now
from benchmarks.baselines.macs import keyed
from benchmarks.baselines.sealed import sealer
from benchmarks.prices import Terms

__all__ = ["CallLedger", "Running"]

_ENABLED: Final = 10
_HOLDS: Final = 11
_NEXT_EXPIRY: Final = 12
_EXPIRES_AT: Final = 15
_HELD: Final = 18
_CHAIN: Final = 23
"""The places of these columns in `COLUMNS`; behind what is held come the columns that only a charge changes."""

_UPDATE: Final = (
    "UPDATE cards SET holds = ?, next_hold_expiry = ?, held = ?, credit = ?, sequence = ?, chain = ?, version = ?,"
    " mac = ? WHERE id = ? AND version = ?"
)
_KNOWN: Final = "SELECT 1 FROM entries WHERE operation = ?"
_DOCUMENT: Final = "SELECT key, value, version, expires_at FROM documents WHERE key"
_RESIGN: Final = "UPDATE documents SET value = ? WHERE key = ?"

_MAC_SIZE: Final = 32
_MARGIN: Final = 120
_MINUTE: Final = 60
_SECOND: Final = 1_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_WARNING: Final = 60


class Price(NamedTuple):
    """
    What calls to the numbers with one prefix cost: a minute of them, in millionths, and by which intervals.
    """

    prefix: str
    micros: int
    first: int
    following: int


class Running(NamedTuple):
    """
    A call that has begun, and how long it may take.
    """

    key: bytes
    serial: str
    price: Price
    sealed_rest: bytes
    begun_at: int
    deck: str
    longest: int
    warn_after: int | None
    available: int


class CallLedger(FileLedger):
    """
    The ledger of a file that has a price list.

    Args:
        connection: A copy of a book, which is written to. What calls read of it is signed again.

        extension: The extension of the cards.

        terms: The price list, by prefix.
    """

    def __init__(self, connection: sqlite3.Connection, extension: str, terms: Mapping[str, Terms]) -> None:
        super().__init__(connection, extension)
        self._extension_key: Final = f"extension/{extension}"
        self._document_mac: Final = keyed()
        self._sealed: Final = sealer()
        digest = os.urandom(16).hex()
        self._decks: Final = {digest: {prefix: Price(prefix, *each) for prefix, each in terms.items()}}
        self._lengths: Final = sorted(set(map(len, terms)), reverse=True)
        deck = as_json([{"digest": digest, "installed_at": now(), "size": len(terms), "valid_from": None}]).encode()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO documents VALUES ('deck/default', ?, 1, NULL)", (bytes(_MAC_SIZE) + deck,))
        found = connection.execute(f"{_DOCUMENT} >= 'batch/' AND key < 'extension0'").fetchall()
        for key, value, version, expires_at in found:
            data = value[_MAC_SIZE:]
            connection.execute(_RESIGN, (self._document_mac((key, version, expires_at, data)) + data, key))
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def begin(self, serial: str, number: str, call_id: str) -> Running:
        """
        Rate a call and hold credit for it.
        """
        key = self._order_mac(("call", call_id))[:16]
        self._connection.execute("BEGIN IMMEDIATE")
        row = self._read(serial, key)
        settings = self._admitted(row)
        moment = now()
        digest, price = self._rated(settings["deck"], number, moment)
        holds, held, next_expiry = self._running(row, moment)
        available = row[_HELD + 1] - held
        longest = min(settings["max_call_seconds"], _longest(price, available))
        limit, minimum = settings["concurrent_calls"], _micros(settings["minimum_credit"])
        if longest <= 0 or available < minimum or (limit is not None and len(holds) >= limit):
            raise LookupError(serial)

        amount, expires_at = _cost(price, longest), moment + (longest + _MARGIN) * _SECOND
        sealed_rest, id = self._sealed(row[0], number[len(price.prefix) :].encode()), key.hex()
        holds.append([id, amount, moment, expires_at, price.prefix, sealed_rest.hex(), digest])
        kept = (as_json(holds).encode(), expires_at if next_expiry is None else min(expires_at, next_expiry))
        told: dict[str, object] = {"serial": serial, "hold": id, "prefix": price.prefix, "amount": amount_text(amount)}
        told["expires_at"] = (_EPOCH + timedelta(microseconds=expires_at)).isoformat()
        self._replace(row, kept, (held + amount, *row[_HELD + 1 : _CHAIN + 1]))
        self._trace(self.linked("begin_call", told, moment, entries=0))
        self._connection.execute("COMMIT")
        warn_after = longest - _WARNING if longest > _WARNING else None

        return Running(key, serial, price, sealed_rest, moment, digest, longest, warn_after, available)

    def end(self, call: Running, seconds: int) -> int:
        """
        Charge a call, let its hold go, and give the credit that is left.
        """
        key, serial, price = call.key, call.serial, call.price
        charged, cost = _charged_seconds(price, seconds), _cost(price, seconds)
        self._connection.execute("BEGIN IMMEDIATE")
        row = self._read(serial, key)
        moment, id = now(), key.hex()
        holds, held, next_expiry = self._running(row, moment)
        own = next((hold for hold in holds if hold[0] == id), None)
        if own is not None:
            holds.remove(own)
            held -= own[1]
            next_expiry = min((hold[3] for hold in holds), default=None)

        credit, total, recharges, sequence, chain = row[_HELD + 1 : _CHAIN + 1]
        taken = max(0, min(cost, credit - held))
        left: int = credit - taken
        shortfall = cost - taken
        entry: Row = (row[0], sequence + 1, self._extension, row[3], serial, "charge", -taken, left, held, "", key)
        entry += (moment, "bench", price.prefix, call.sealed_rest, call.begun_at, seconds, charged, price.micros)
        entry += ("default", shortfall)
        entry += (self._entry_mac((chain, *entry)),)
        told: dict[str, object] = {"serial": serial, "hold": id, "prefix": price.prefix, "seconds": seconds}
        told |= {"amount": f"-{amount_text(taken)}", "shortfall": amount_text(shortfall)}
        told |= {"before": amount_text(credit), "after": amount_text(left)}
        kept = (as_json(holds).encode() if holds else b"", next_expiry)
        self._replace(row, kept, (held, left, total, recharges, sequence + 1, entry[-1]))
        self._connection.execute(INSERT_ENTRY, entry)
        self._trace(self.linked("end_call", told, moment, entries=1))
        self._connection.execute("COMMIT")

        return left

    # Reading

    def _read(self, serial: str, key: bytes) -> Row:
        row: Row = self._connection.execute(f"{SELECT} = ?", (serial,)).fetchone()
        if self._connection.execute(_KNOWN, (key,)).fetchone():
            raise LookupError(serial)
        if row[2] != self._extension or not hmac.compare_digest(self._card_mac(row[:-1]), row[-1]):
            message = "a card was changed"
            raise LookupError(message)

        return row

    def _admitted(self, row: Row) -> dict[str, Any]:
        """
        Give the settings of the extension, if a new call can be made with a card of it.
        """
        keys = (self._extension_key, f"batch/{row[3]}")
        found = {each[0]: each for each in self._connection.execute(f"{_DOCUMENT} IN (?, ?)", keys)}
        extension, batch = self._value(found[keys[0]]), self._value(found[keys[1]])
        expires_at = row[_EXPIRES_AT]
        if not (row[_ENABLED] and extension["enabled"] and batch["enabled"]) or (expires_at and expires_at <= now()):
            raise LookupError(row[1])

        settings: dict[str, Any] = extension["settings"]
        return settings

    def _rated(self, name: str, number: str, moment: int) -> tuple[str, Price]:
        """
        Give what tells the version of a price list that holds now, and the price of a number there.
        """
        versions = self._value(self._connection.execute(f"{_DOCUMENT} = ?", (f"deck/{name}",)).fetchone())
        digest = [each["digest"] for each in versions if each["valid_from"] is None or each["valid_from"] <= moment][-1]
        by_prefix = self._decks[digest]
        for length in self._lengths:
            if (price := by_prefix.get(number[:length])) is not None:
                return digest, price

        raise LookupError(number)

    def _value(self, document: Row) -> Any:  # noqa: ANN401  (what JSON holds)
        key, value, version, expires_at = document
        data = value[_MAC_SIZE:]
        if not hmac.compare_digest(self._document_mac((key, version, expires_at, data)), value[:_MAC_SIZE]):
            message = "a document was changed"
            raise LookupError(message)

        return json.loads(data)

    @staticmethod
    def _running(row: Row, moment: int) -> tuple[list[list[Any]], int, int | None]:
        """
        Give the holds of a card that have not run out, how much they are, and when the next one does.
        """
        holds, next_expiry, held = json.loads(row[_HOLDS] or b"[]"), row[_NEXT_EXPIRY], row[_HELD]
        if next_expiry is not None and next_expiry <= moment:
            holds = [hold for hold in holds if hold[3] > moment]
            held, next_expiry = sum(hold[1] for hold in holds), min((hold[3] for hold in holds), default=None)

        return holds, held, next_expiry

    # Writing

    def _replace(self, row: Row, kept: tuple[bytes, int | None], balance: Row) -> None:
        """
        Write a card with other holds, and with another balance from what is held on.
        """
        version = row[_CHAIN + 1]
        mac = self._card_mac((*row[:_HOLDS], *kept, *row[_NEXT_EXPIRY + 1 : _HELD], *balance, version + 1))
        held, credit, _, _, sequence, chain = balance
        values = (*kept, held, credit, sequence, chain, version + 1, mac, row[0], version)
        if not self._connection.execute(_UPDATE, values).rowcount:
            message = "a card was changed by somebody else"
            raise LookupError(message)

    def _trace(self, trace: Trace) -> None:
        if not self._connection.execute(UPDATE_HEAD, trace.head).rowcount:
            message = "the chain was continued by somebody else"
            raise LookupError(message)
        self._connection.execute(INSERT_AUDIT, trace.entry)


def _charged_seconds(price: Price, seconds: int) -> int:
    if seconds <= 0:
        return 0

    return price.first + -(-max(0, seconds - price.first) // price.following) * price.following


def _cost(price: Price, seconds: int) -> int:
    return (2 * price.micros * _charged_seconds(price, seconds) + _MINUTE) // (2 * _MINUTE)


def _longest(price: Price, available: int) -> int:
    """
    Give the longest call that costs no more than what is available: the inverse of the cost.
    """
    # A cost is rounded half up, so it is at most this as long as its double is less than the next half.
    charged = (2 * _MINUTE * (available + 1) - _MINUTE - 1) // (2 * price.micros)
    if charged < price.first:
        return 0

    return price.first + (charged - price.first) // price.following * price.following


def _micros(text: str) -> int:
    units, _, rest = text.partition(".")

    return int(units) * _SECOND + int(rest.ljust(6, "0"))
