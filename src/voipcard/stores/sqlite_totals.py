"""
Sums over ledger entries, made by SQLite itself.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Final

import attrs

from voipcard.core.query import EntryQuery
from voipcard.stores.contract import MAX_INTEGER, Grouping, Total
from voipcard.stores.sqlite_file import sqlite3
from voipcard.stores.statements import Condition, Parameter, entry_conditions, filtered
from voipcard.stores.totals import MOMENTS, SUMMED, sound, totaled

__all__ = ["summed"]

_SUMS: Final[Mapping[str, str]] = {
    "count": "1",
    "amount": f"iif(amount = {MAX_INTEGER}, 0, amount)",
    "unlimited": f"amount = {MAX_INTEGER}",
    **{name: f"coalesce({name}, 0)" for name in SUMMED[1:]},
}
"""What is summed, in the order of a `Total`."""

_ADDED: Final = ", ".join(f'"{name}" = "{name}" + excluded."{name}"' for name in _SUMS)

_FEW: Final = 100_000
"""
How many entries are looked up one by one at most: that takes six times as long for an entry as reading all of them.
"""

_PERIOD: Final = "coalesce((SELECT number FROM temp.periods WHERE moment <= {} ORDER BY moment DESC LIMIT 1), 0)"


def summed(
    connection: sqlite3.Connection, query: EntryQuery, by: Sequence[Grouping], periods: Sequence[int]
) -> list[Total]:
    """
    Sum the entries that match, group by group, ordered by group.

    With a write-ahead log nobody is kept from writing meanwhile; threads of Python go on.

    Args:
        connection: One that nobody else uses until then.

        query: Which entries.

        by: What they are grouped by.

        periods: The ascending moments at which a new period begins.

    Raises:
        NotABookError: If something that is summed or grouped by has another type than its table allows.
    """
    try:
        totals = _added_up(connection, query, by, periods)
    except sqlite3.IntegrityError:
        # A sum that leaves 64 bits turns into a float, which the table of sums refuses; so does what is damaged.
        totals = _listed(connection, query, by, periods)

    return sound(totals, by)


def _added_up(
    connection: sqlite3.Connection, query: EntryQuery, by: Sequence[Grouping], periods: Sequence[int]
) -> list[Total]:
    """
    Add entries one by one to sums in a table: to group them itself SQLite would sort them all.
    """
    groups = [_PERIOD.format(MOMENTS[name]) if name in MOMENTS else name for name in by] or ["0"]
    select, parameters = _selected(connection, [*groups, *_SUMS.values()], query)
    key = [f"group_{place}" for place in range(len(groups))]
    with _tables(connection, key, periods):
        connection.execute(f"INSERT INTO temp.totals {select} ON CONFLICT DO UPDATE SET {_ADDED}", parameters)
        sums = connection.execute(f"SELECT * FROM temp.totals ORDER BY {', '.join(key)}").fetchall()

    return [Total(row[: len(by)], *row[len(key) :]) for row in sums]


def _listed(
    connection: sqlite3.Connection, query: EntryQuery, by: Sequence[Grouping], periods: Sequence[int]
) -> list[Total]:
    select, parameters = _selected(connection, [*(MOMENTS.get(name, name) for name in by), *SUMMED], query)
    # Whatever is raised would keep the statement open, and with it a lock or the write-ahead log.
    with closing(connection.execute(select, parameters)) as rows:
        return totaled(rows, by, periods)


@contextmanager
def _tables(connection: sqlite3.Connection, key: Sequence[str], periods: Sequence[int]) -> Generator[None]:
    """
    Let there be the tables of sums and of periods.
    """
    columns = [*(f"{name} ANY" for name in key), *(f'"{name}" INTEGER NOT NULL' for name in _SUMS)]
    columns.append(f"PRIMARY KEY ({', '.join(key)})")
    numbered = [(moment, number) for number, moment in enumerate(periods, 1)]
    try:
        connection.execute(f"CREATE TABLE temp.totals ({', '.join(columns)}) STRICT, WITHOUT ROWID")
        connection.execute("CREATE TABLE temp.periods (moment INTEGER PRIMARY KEY, number INTEGER NOT NULL) STRICT")
        connection.executemany("INSERT OR REPLACE INTO temp.periods VALUES (?, ?)", numbered)
        yield
    finally:
        for table in ("totals", "periods"):
            connection.execute(f"DROP TABLE IF EXISTS temp.{table}")


def _selected(connection: sqlite3.Connection, columns: Sequence[str], query: EntryQuery) -> tuple[str, list[Parameter]]:
    conditions: list[Condition] = [("true", ())]  # With none, ON CONFLICT would be taken for a join.
    if query.extension is not None and not _are_few(connection, query):
        # The plus keeps SQLite from the index that begins with it; NOT INDEXED does not for a table without rowids.
        conditions.append(("+extension = ?", [query.extension]))
        query = attrs.evolve(query, extension=None)

    return filtered(f"SELECT {', '.join(columns)} FROM entries", [*entry_conditions(query), *conditions])


def _are_few(connection: sqlite3.Connection, query: EntryQuery) -> bool:
    """
    Tell whether an index leads to few entries, so that looking each of them up takes less than reading the whole table.
    """
    if query.card is not None or query.operation is not None:
        return True
    if query.created_from is None:
        return False
    time = EntryQuery(extension=query.extension, created_from=query.created_from, created_before=query.created_before)
    probe, parameters = filtered("SELECT 1 FROM entries", entry_conditions(time))

    return not connection.execute(f"{probe} LIMIT 1 OFFSET {_FEW}", parameters).fetchall()
