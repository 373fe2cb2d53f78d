"""
What cards were charged for calls, as many entries as a report has to sum: rows that the database makes itself.

Making so many calls with the library would take hours, and a report would read the same of them. The MACs mean nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import sqlite3

__all__ = ["DAY", "MONTH", "fill_file", "fill_server"]

DAY: Final = 86_400_000_000
"""Microseconds."""

MONTH: Final = {"first": 20_000, "days": 30}
"""When calls began: from which day on, counted from that of 1970, and on how many days."""

_COLUMNS: Final = (
    "card, sequence, extension, batch, serial, kind, amount, credit_left, held_left, order_number, operation,"
    " created_at, actor, prefix, sealed_rest, started_at, seconds, charged_seconds, rate, tariff, shortfall, mac"
)
_MARK: Final = "{charges}"


def _insert(*, entries: str, cards: str, bytes_16: str, bytes_32: str) -> str:
    """
    Write the statement that gives all cards as many entries, so that there are about `{charges}`.

    There are 200 destinations, and a tenth of them get three of four calls. The entries of a card come after all that
    is written to it later.
    """
    first, days = MONTH["first"] * DAY, MONTH["days"] * DAY

    return f"""
WITH RECURSIVE
    numbered AS (SELECT id, extension, batch, serial, row_number() OVER (ORDER BY id) AS number FROM {cards}),
    size AS (SELECT ({_MARK} + count(*) - 1) / count(*) AS calls FROM numbered),
    calls AS (
        SELECT CAST(0 AS bigint) AS call, calls FROM size
        UNION ALL SELECT call + 1, calls FROM calls WHERE call + 1 < calls
    ),
    drawn AS (
        SELECT id, extension, batch, serial, call, calls,
               (number * 1000003 + call * 7919 + call * call) * 48271 % 2147483647 AS x
        FROM numbered CROSS JOIN calls
    ),
    called AS (
        SELECT *, 1 + x / 7 % 600 AS seconds, {first} + {days} / calls * call + x % 1000000 AS started_at,
               10000 + 397 * (CASE WHEN x / 4096 % 4 > 0 THEN x / 16384 % 20 ELSE x / 16384 % 200 END) AS prefix
        FROM drawn
    )
INSERT INTO {entries} ({_COLUMNS})
SELECT id, 1000000 + call, extension, batch, serial, 'charge', -60000 * ((seconds + 59) / 60), 100000000, 0, '',
       {bytes_16}, started_at + 1000000 * seconds, 'switch', CAST(prefix AS text), {bytes_32}, started_at, seconds,
       60 * ((seconds + 59) / 60), 60000, 'standard', CASE WHEN x % 100 = 0 THEN 1000 ELSE 0 END, {bytes_32}
FROM called
"""


_ON_FILE: Final = _insert(entries="entries", cards="cards", bytes_16="randomblob(16)", bytes_32="randomblob(32)")
_ON_SERVER: Final = _insert(
    entries="voipcard_entries",
    cards="voipcard_cards",
    bytes_16="decode(md5(serial || call), 'hex')",
    bytes_32="decode(md5(serial || x) || md5(serial || call), 'hex')",
)


def fill_file(connection: sqlite3.Connection, charges: int) -> None:
    """
    Add at least so many charges to a book in a file, evenly over its cards.
    """
    [(journal,)] = connection.execute("PRAGMA journal_mode").fetchall()
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA cache_size = -131072")
    # Indexes that are made of all rows at once are made in a third of the time.
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'entries' AND sql IS NOT NULL"
    ).fetchall()
    for name, _ in indexes:
        connection.execute(f"DROP INDEX {name}")
    connection.execute(_ON_FILE.replace(_MARK, str(charges)))
    for _, sql in indexes:
        connection.execute(sql)
    connection.commit()
    connection.execute(f"PRAGMA journal_mode = {journal}")


def fill_server(url: str, charges: int) -> None:
    """
    Add at least so many charges to a book on PostgreSQL, evenly over its cards.
    """
    from sqlalchemy import create_engine, text

    engine = create_engine(url)
    with engine.begin() as connection:
        indexes = connection.execute(
            text("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'voipcard_entries'")
        ).fetchall()
        made = [(name, sql) for name, sql in indexes if not name.startswith("pk_")]
        for name, _ in made:
            connection.execute(text(f"DROP INDEX {name}"))
        connection.execute(text(_ON_SERVER.replace(_MARK, str(charges))))
        for _, sql in made:
            connection.execute(text(sql))
    engine.dispose()
