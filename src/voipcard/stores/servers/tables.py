"""
The tables of a card book in a database server, as SQLAlchemy knows them: on the caller's own `MetaData` too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import attrs
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects import mysql, postgresql
from sqlalchemy.schema import SchemaItem
from sqlalchemy.types import TypeEngine

__all__ = ["SCHEMA_VERSION", "Tables", "build_tables"]

SCHEMA_VERSION: Final = 1

_ORDERED: Final = "C"
"""The collation that sorts by code point, as Python does, wherever a PostgreSQL database was made."""

_EXACT: Final = {"mariadb": "utf8mb4_nopad_bin", "mysql": "utf8mb4_0900_bin"}
"""Collations in which case, accents and trailing spaces count; MariaDB and MySQL name them differently."""


@attrs.frozen(eq=False)
class Tables:
    """
    The tables of one book.

    Attributes:
        cards: The cards.
        entries: The ledger entries.
        documents: The documents, and the keys that a commit required to be without one.
        counters: The counters.
        audit: The audit trail.
        version: One row, with the version of these tables.
    """

    cards: Table
    entries: Table
    documents: Table
    counters: Table
    audit: Table
    version: Table

    @property
    def metadata(self) -> MetaData:
        """
        What they belong to.
        """
        return self.cards.metadata

    def all(self) -> list[Table]:
        """
        Give all of them.
        """
        return [self.cards, self.entries, self.documents, self.counters, self.audit, self.version]


def build_tables(metadata: MetaData | None = None, *, prefix: str = "voipcard_", schema: str | None = None) -> Tables:
    """
    Describe the tables of a book, on your own `MetaData`: Alembic makes them then, and foreign keys can refer to them.

    Nothing is sent to a database.

    Args:
        metadata: What the tables are to belong to; None for a `MetaData` of their own.

        prefix: What the names of tables, indexes and constraints begin with, so that a database may have several books.

        schema: The schema of the database that the tables are in; None for the default one.

    Example:
        >>> from voipcard.stores import build_tables
        >>> sorted(build_tables(prefix="cc_").metadata.tables)
        ['cc_audit', 'cc_cards', 'cc_counters', 'cc_documents', 'cc_entries', 'cc_version']
    """
    metadata = MetaData() if metadata is None else metadata

    def table(name: str, *parts: SchemaItem, key: tuple[str, ...]) -> Table:
        primary = PrimaryKeyConstraint(*key, name=f"pk_{prefix}{name}")

        return Table(
            f"{prefix}{name}", metadata, *parts, primary, schema=schema, mysql_engine="InnoDB", mysql_charset="utf8mb4"
        )

    return Tables(
        cards=_cards(table, prefix),
        entries=_entries(table, prefix),
        documents=table(
            "documents",
            _words("key"),
            Column("value", LargeBinary().with_variant(mysql.LONGBLOB(), "mysql", "mariadb"), nullable=False),
            _number("version"),
            _number("expires_at", nullable=True),
            _number("required", server_default="0"),
            Index(f"ix_{prefix}documents_expiry", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
            key=("key",),
        ),
        counters=table("counters", _words("key"), _number("value"), key=("key",)),
        audit=table(
            "audit",
            _bytes("id", 16),
            _number("created_at"),
            *map(_words, ("actor", "verb", "extension")),
            _long_words("detail"),
            _bytes("mac"),
            key=("id",),
        ),
        version=table(
            "version",
            Column("book", SmallInteger, nullable=False, autoincrement=False),
            Column("version", SmallInteger, nullable=False),
            key=("book",),
        ),
    )


def _cards(table: Callable[..., Table], prefix: str) -> Table:
    return table(
        "cards",
        _bytes("id", 16),
        *map(_words, ("serial", "extension", "batch", "kind")),
        _bytes("index", 16),
        *map(_bytes, ("sealed_code", "pin_mac", "sealed_pin")),
        _number("key"),
        Column("enabled", Boolean(create_constraint=False), nullable=False),
        *map(_number, ("credit", "total_credit", "held")),
        Column("holds", LargeBinary().with_variant(mysql.MEDIUMBLOB(), "mysql", "mariadb"), nullable=False),
        _number("next_hold_expiry", nullable=True),
        *map(_number, ("recharge_count", "created_at")),
        _number("first_used_at", nullable=True),
        _number("expires_at", nullable=True),
        _words("order_number"),
        _long_words("labels"),
        _number("sequence"),
        _bytes("chain"),
        _number("version"),
        _bytes("mac"),
        UniqueConstraint("serial", name=f"uq_{prefix}cards_serial"),
        UniqueConstraint("index", name=f"uq_{prefix}cards_index"),
        Index(f"ix_{prefix}cards_extension", "extension", "created_at", "id"),
        Index(f"ix_{prefix}cards_credit", "extension", "credit", "id"),
        Index(f"ix_{prefix}cards_batch", "batch", "created_at", "id"),
        Index(f"ix_{prefix}cards_order_number", "order_number"),
        Index(
            f"ix_{prefix}cards_hold_expiry", "next_hold_expiry", postgresql_where=text("next_hold_expiry IS NOT NULL")
        ),
        key=("id",),
    )


def _entries(table: Callable[..., Table], prefix: str) -> Table:
    return table(
        "entries",
        _bytes("card", 16),
        _number("sequence"),
        *map(_words, ("extension", "batch", "serial", "kind")),
        *map(_number, ("amount", "credit_left", "held_left")),
        _words("order_number"),
        _bytes("operation", 16, nullable=True),
        _number("created_at"),
        *map(_words, ("actor", "prefix")),
        _bytes("sealed_rest"),
        *(_number(name, nullable=True) for name in ("started_at", "seconds", "charged_seconds", "rate")),
        _words("tariff"),
        _number("shortfall", nullable=True),
        _bytes("mac"),
        # Most entries have no operation, and are to cost nothing here.
        Index(
            f"uq_{prefix}entries_operation", "operation", unique=True, postgresql_where=text("operation IS NOT NULL")
        ),
        Index(f"ix_{prefix}entries_time", "extension", "created_at", "card", "sequence"),
        key=("card", "sequence"),
    )


def _number(name: str, *, nullable: bool = False, server_default: str | None = None) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable, autoincrement=False, server_default=server_default)


def _bytes(name: str, length: int = 1024, *, nullable: bool = False) -> Column[bytes]:
    # Not of a fixed length: such columns are filled up with zeros.
    kept = LargeBinary(length).with_variant(mysql.VARBINARY(length), "mysql", "mariadb")

    return Column(name, kept, nullable=nullable)


def _words(name: str) -> Column[str]:
    kept: TypeEngine[str] = String(255).with_variant(postgresql.VARCHAR(255, collation=_ORDERED), "postgresql")
    for dialect, collation in _EXACT.items():
        kept = kept.with_variant(mysql.VARCHAR(255, collation=collation), dialect)

    return Column(name, kept, nullable=False)


def _long_words(name: str) -> Column[str]:
    kept: TypeEngine[str] = Text().with_variant(postgresql.TEXT(collation=_ORDERED), "postgresql")
    for dialect, collation in _EXACT.items():
        kept = kept.with_variant(mysql.MEDIUMTEXT(collation=collation), dialect)

    return Column(name, kept, nullable=False)
