"""
Recharging by hand on a server: what is read for the rules of a recharge, and one statement that writes all of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from benchmarks.baselines.ledger import AMOUNT, COLUMNS, HEAD, Ledger, Posting, Row, Trace
from benchmarks.baselines.server import psycopg

__all__ = ["ServerLedger"]

_GIVEN: Final = {
    "credit": "bigint",
    "total_credit": "bigint",
    "recharge_count": "bigint",
    "sequence": "bigint",
    "chain": "bytea",
    "version": "bigint",
    "mac": "bytea",
    "id": "bytea",
    "expected": "bigint",
    "operation": "bytea",
}
"""What is given for each card: what a posting updates, and the operation."""

_ONE: Final = f"SELECT {', '.join(f'%b::{kind} AS {name}' for name, kind in _GIVEN.items())}"
_MANY: Final = (
    f"SELECT * FROM unnest({', '.join(f'%b::{kind}[]' for kind in _GIVEN.values())}) AS rows({', '.join(_GIVEN)})"
)

_READ_ONE: Final = (
    f"SELECT {COLUMNS}, EXISTS (SELECT FROM voipcard_entries WHERE operation = %b)"
    " FROM voipcard_cards WHERE serial = %b"
)
_READ_MANY: Final = f"SELECT {COLUMNS} FROM voipcard_cards WHERE serial = ANY(%b)"
_READ_DONE: Final = "SELECT FROM voipcard_entries WHERE operation = ANY(%b) LIMIT 1"

_WRITE: Final = """
WITH given AS ({given}), changed AS (
    UPDATE voipcard_cards AS card SET credit = given.credit, total_credit = given.total_credit,
        recharge_count = given.recharge_count, sequence = given.sequence, chain = given.chain, version = given.version,
        mac = given.mac
    FROM given WHERE card.id = given.id AND card.version = given.expected
    RETURNING card.id, card.sequence, extension, batch, serial, card.credit, held, operation, card.chain
), entry AS (
    INSERT INTO voipcard_entries
    SELECT id, sequence, extension, batch, serial, 'recharge', {amount}, credit, held, %b, operation, %b, 'bench', '',
        ''::bytea, NULL, NULL, NULL, NULL, '', NULL, chain
    FROM changed
), audit AS (
    INSERT INTO voipcard_audit VALUES (%b, %b, %b, %b, %b, %b, %b)
), head AS (
    UPDATE voipcard_documents SET value = %b, version = %b WHERE key = %b AND version = %b RETURNING key
)
SELECT 1 / (count(*) = %b AND EXISTS (SELECT FROM head))::int FROM changed
"""
"""Where a card or the head was changed by somebody else, the division by zero undoes all of it."""


class ServerLedger(Ledger):
    """
    The ledger of a database on a server.

    Args:
        connection: A database with a copy of a book, which is written to. All of its cards are signed again.

        extension: The extension of the cards.
    """

    def __init__(self, connection: psycopg.Connection, extension: str) -> None:
        super().__init__(extension)
        self._connection: Final = connection
        signed = self.signed(self._rows(f"SELECT {COLUMNS} FROM voipcard_cards"))
        macs, ids = map(list, zip(*signed, strict=True))
        self._connection.execute(
            "UPDATE voipcard_cards AS card SET mac = signed.mac"
            " FROM unnest(%b::bytea[], %b::bytea[]) AS signed(mac, id) WHERE card.id = signed.id",
            [macs, ids],
        )
        self._connection.execute("VACUUM ANALYZE voipcard_cards")
        [(self.head_version,)] = self._rows("SELECT version FROM voipcard_documents WHERE key = %b", [HEAD])

    def read(self, serial: str, operation: bytes) -> Row:
        """
        Read one card, in the same round trip with whether its order was done before.
        """
        [row] = self._rows(_READ_ONE, [operation, serial])
        if row[-1]:
            raise LookupError(serial)

        return row[:-1]

    def read_many(self, serials: Sequence[str], operations: Sequence[bytes]) -> dict[str, Row]:
        """
        Read cards by their serials, and whether one of their orders was done before.
        """
        rows = {row[1]: row for row in self._rows(_READ_MANY, [serials])}
        if self._rows(_READ_DONE, [operations]):
            message = "an order was done before"
            raise LookupError(message)

        return rows

    def write(self, posting: Posting, trace: Trace) -> None:
        """
        Write one recharge and what it leaves in the audit trail.
        """
        self._write(_ONE, (*posting.update, posting.entry[_OPERATION]), posting, trace, 1)

    def write_many(self, postings: Sequence[Posting], trace: Trace) -> None:
        """
        Write recharges of one order, and what they leave in the audit trail.
        """
        given = zip(*[(*posting.update, posting.entry[_OPERATION]) for posting in postings], strict=True)
        self._write(_MANY, [list(column) for column in given], postings[0], trace, len(postings))

    def _write(self, given: str, values: Sequence[Any], posting: Posting, trace: Trace, count: int) -> None:
        same = (posting.entry[_ORDER_NUMBER], posting.entry[_CREATED_AT])
        self._rows(_WRITE.format(given=given, amount=AMOUNT), [*values, *same, *trace.entry, *trace.head, count])

    def _rows(self, statement: str, values: Sequence[Any] = ()) -> list[Row]:
        return self._connection.execute(statement.encode(), values, binary=True).fetchall()


_ORDER_NUMBER: Final = 9
_OPERATION: Final = 10
_CREATED_AT: Final = 11
"""Places in an entry."""
