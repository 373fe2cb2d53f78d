"""
The SQL of the SQLite store: its tables, its statements, and queries as conditions.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar, get_args, get_type_hints

from voipcard.core.credit import UNLIMITED, Credit
from voipcard.core.query import CardQuery, EntryQuery
from voipcard.errors import NotABookError
from voipcard.stores.contract import AuditRecord, CardRecord, Document, EntryRecord, SealedCode

Row = TypeVar("Row", AuditRecord, CardRecord, Document, EntryRecord, SealedCode)
Parameter: TypeAlias = bytes | int | str | None
Condition: TypeAlias = tuple[str, Sequence[Any]]
"""A part of a WHERE clause and its parameters."""

_SCHEMA: Final = """
CREATE TABLE cards (
    id BLOB NOT NULL UNIQUE, serial TEXT NOT NULL UNIQUE, extension TEXT NOT NULL, batch TEXT NOT NULL,
    kind TEXT NOT NULL, "index" BLOB NOT NULL UNIQUE, sealed_code BLOB NOT NULL, pin_mac BLOB NOT NULL,
    sealed_pin BLOB NOT NULL, key INTEGER NOT NULL, enabled INTEGER NOT NULL, credit INTEGER NOT NULL,
    total_credit INTEGER NOT NULL, held INTEGER NOT NULL, holds BLOB NOT NULL, next_hold_expiry INTEGER,
    recharge_count INTEGER NOT NULL, created_at INTEGER NOT NULL, first_used_at INTEGER, expires_at INTEGER,
    order_number TEXT NOT NULL, labels TEXT NOT NULL, sequence INTEGER NOT NULL, chain BLOB NOT NULL,
    version INTEGER NOT NULL, mac BLOB NOT NULL
) STRICT;
CREATE INDEX cards_by_extension ON cards (extension, created_at, id);
CREATE INDEX cards_by_credit ON cards (extension, credit, id);
CREATE INDEX cards_by_batch ON cards (batch, created_at, id);
CREATE INDEX cards_by_order_number ON cards (order_number) WHERE order_number <> '';
CREATE INDEX cards_by_hold_expiry ON cards (next_hold_expiry) WHERE next_hold_expiry IS NOT NULL;
CREATE TABLE entries (
    card BLOB NOT NULL, sequence INTEGER NOT NULL, extension TEXT NOT NULL, batch TEXT NOT NULL, serial TEXT NOT NULL,
    kind TEXT NOT NULL, amount INTEGER NOT NULL, credit_left INTEGER NOT NULL, held_left INTEGER NOT NULL,
    order_number TEXT NOT NULL, operation BLOB, created_at INTEGER NOT NULL, actor TEXT NOT NULL, prefix TEXT NOT NULL,
    sealed_rest BLOB NOT NULL, started_at INTEGER, seconds INTEGER, charged_seconds INTEGER, rate INTEGER,
    tariff TEXT NOT NULL, shortfall INTEGER, mac BLOB NOT NULL,
    PRIMARY KEY (card, sequence)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX entries_by_operation ON entries (operation) WHERE operation IS NOT NULL;
CREATE INDEX entries_by_time ON entries (extension, created_at, card, sequence);
CREATE TABLE documents (key TEXT PRIMARY KEY, value BLOB NOT NULL, version INTEGER NOT NULL, expires_at INTEGER)
    STRICT, WITHOUT ROWID;
CREATE INDEX documents_by_expiry ON documents (expires_at) WHERE expires_at IS NOT NULL;
CREATE TABLE counters (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE audit (
    id BLOB PRIMARY KEY, created_at INTEGER NOT NULL, actor TEXT NOT NULL, verb TEXT NOT NULL, extension TEXT NOT NULL,
    detail TEXT NOT NULL, mac BLOB NOT NULL
) STRICT, WITHOUT ROWID;
"""

STATEMENTS: Final = tuple(statement.strip() for statement in _SCHEMA.split(";\n") if statement.strip())
"""What makes the tables; SQLite keeps each of them as it was written."""


def _columns(record: type[CardRecord | EntryRecord | AuditRecord | Document]) -> str:
    return ", ".join(f'"{name}"' for name in record._fields)


def _insert(table: str, record: type[CardRecord | EntryRecord | AuditRecord]) -> str:
    marks = ", ".join("?" * len(record._fields))

    return f"INSERT INTO {table} ({_columns(record)}) VALUES ({marks})"


CARD: Final = _columns(CardRecord)
ENTRY: Final = _columns(EntryRecord)
AUDIT: Final = _columns(AuditRecord)
DOCUMENT: Final = _columns(Document)
INSERT_CARD: Final = _insert("cards", CardRecord)
INSERT_ENTRY: Final = _insert("entries", EntryRecord)
INSERT_AUDIT: Final = _insert("audit", AuditRecord)
DOCUMENTS: Final = f"SELECT {DOCUMENT} FROM documents WHERE key >= ? AND key < ? AND key > ? ORDER BY key LIMIT ?"
# By that index, whatever SQLite believes of the table: it would rather go along the keys, past all that is kept.
EXPIRED: Final = (
    f"SELECT {DOCUMENT} FROM documents INDEXED BY documents_by_expiry"
    " WHERE expires_at <= ? AND key >= ? AND key < ? AND key > ? ORDER BY key LIMIT ?"
)
_ENABLED: Final = CardRecord._fields.index("enabled")

# SQLite rewrites every index that has a column of the SET list, changed or not: what hardly ever changes is apart.
_LASTING: Final = ("serial", "extension", "batch", "index", "created_at", "order_number")
_CHANGING: Final = tuple(name for name in CardRecord._fields if name not in {"id", *_LASTING})
_SET_CHANGING: Final = ", ".join(f"{name} = ?" for name in _CHANGING)
_IS_LASTING: Final = [f'"{name}" = ?' for name in _LASTING]
UPDATE_CARD: Final = f"UPDATE cards SET {', '.join([_SET_CHANGING, *_IS_LASTING])} WHERE id = ? AND version = ?"
UPDATE_CHANGING: Final = (
    f"UPDATE cards SET {_SET_CHANGING} WHERE id = ? AND version = ? AND {' AND '.join(_IS_LASTING)}"
)
changing: Final = operator.attrgetter(*_CHANGING)
lasting: Final = operator.attrgetter(*_LASTING)

ORDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "created": ("created_at", "id"),
    "serial": ("serial", "id"),
    "credit": ("credit", "id"),
    "sequence": ("card", "sequence"),
    "time": ("created_at", "card", "sequence"),
}


def read_rows(record: type[Row], rows: Sequence[tuple[Any, ...]]) -> list[Row]:
    """
    Make records of rows.

    Raises:
        NotABookError: If a column has a value of another type than its table allows: the file is damaged.
    """
    for shape in {tuple(map(type, row)) for row in rows}:
        if (record, shape) not in _seen:
            if not _fits(record, shape):
                raise NotABookError(f"a row of {record.__name__} is damaged")
            _seen.add((record, shape))

    return list(map(record._make, rows))


def read_cards(rows: Sequence[tuple[Any, ...]]) -> list[CardRecord]:
    """
    Make cards of rows: SQLite has no booleans.

    Raises:
        NotABookError: If the file is damaged.
    """
    return [
        CardRecord._make((*card[:_ENABLED], _BOOLEANS.get(card[_ENABLED], card[_ENABLED]), *card[_ENABLED + 1 :]))
        for card in read_rows(CardRecord, rows)
    ]


_BOOLEANS: Final[Mapping[Any, bool]] = {0: False, 1: True}
"""
What is neither comes from outside. It stays what it is, so that the MAC of the card tells: a search for cards that are
disabled would not find one with a 2.
"""


_seen: Final[set[tuple[type, tuple[type, ...]]]] = set()
"""The rows that were found to fit, as the types of their columns: a few for each kind of record."""


def _fits(record: type[Row], types: tuple[type, ...]) -> bool:
    return all(kind in _types_of(hint) for kind, hint in zip(types, get_type_hints(record).values(), strict=True))


def _types_of(hint: Any) -> set[Any]:  # noqa: ANN401  (a type, or several)
    return {int, bool} if hint is bool else {hint, *get_args(hint)}


def searched_cards(query: CardQuery) -> str:
    """
    Name the table that a search for cards reads, and the index where SQLite has to be told.
    """
    # By that index, as for documents: SQLite would rather go along an order, past all cards that are not held.
    return "cards" if query.hold_expired_at is None else "cards INDEXED BY cards_by_hold_expiry"


def card_conditions(query: CardQuery) -> list[Condition]:
    """
    Write what `CardQuery.matches` means.
    """
    equal = ("extension", "batch", "serial", "index", "kind", "enabled", "order_number")
    conditions = [*_equal(query, equal), *_between("credit", query.credit_at_least, query.credit_below)]
    conditions += _between("created_at", query.created_from, query.created_before)
    if query.unlimited is not None:
        conditions.append((f"credit {'=' if query.unlimited else '<>'} ?", [UNLIMITED.micros]))
    if query.used is not None:
        conditions.append((f"first_used_at IS {'NOT ' * query.used}NULL", []))
    if query.expired is not None:
        conditions.append((f"coalesce(expires_at <= ?, 0) = {query.expired:d}", [query.now]))
    if query.hold_expired_at is not None:
        conditions.append(("next_hold_expiry <= ?", [query.hold_expired_at]))
    if query.order_number:
        conditions.append(("order_number <> ''", []))  # Lets SQLite use the partial index.

    return conditions


def entry_conditions(query: EntryQuery) -> list[Condition]:
    """
    Write what `EntryQuery.matches` means.
    """
    equal = ("card", "extension", "batch", "order_number", "operation")
    conditions = [*_equal(query, equal), *_between("amount", query.amount_at_least, query.amount_below)]
    conditions += _between("created_at", query.created_from, query.created_before)
    conditions += _between("started_at", query.started_from, query.started_before)
    if query.kinds is not None:
        conditions.append((f"kind IN ({', '.join('?' * len(query.kinds))})", sorted(query.kinds)))

    return conditions


def _equal(query: CardQuery | EntryQuery, names: Iterable[str]) -> Iterator[Condition]:
    for name in names:
        if (value := getattr(query, name)) is not None:
            yield f'"{name}" = ?', [value]


def _between(column: str, at_least: Credit | int | None, below: Credit | int | None) -> Iterator[Condition]:
    for sign, bound in ((">=", at_least), ("<", below)):
        if bound is not None:
            yield f"{column} {sign} ?", [bound.micros if isinstance(bound, Credit) else bound]


def filtered(select: str, conditions: Sequence[Condition]) -> tuple[str, list[Parameter]]:
    """
    Join a statement and its conditions.
    """
    where = " AND ".join(condition for condition, _ in conditions)
    parameters = [parameter for _, parameters in conditions for parameter in parameters]

    return (f"{select} WHERE {where}" if where else select), parameters
