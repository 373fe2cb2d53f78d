"""
Sums over ledger entries, made by SQLite itself.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final

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
    connection: sqlite3.Connection,
    query: EntryQuery,
    by: Sequence[Grouping],
    periods: Sequence[int],
    *,
    part: int | None = None,
) -> list[Total]:
    """
    Sum the entries that match, group by group, ordered by group; threads of Python go on.

    With a write-ahead log nobody is kept from writing meanwhile. With a rollback journal others can write only between
    two parts.

    Args:
        connection: One that nobody else uses until then.

        query: Which entries.

        by: What they are grouped by.

        periods: The ascending moments at which a new period begins.

        part: How many entries of the table are read at a time: what is written meanwhile is summed or is not. None for
            all of them as they are at one moment.

    Raises:
        NotABookError: If something that is summed or grouped by has another type than its table allows.
    """
    try:
        totals = _added_up(connection, query, by, periods, part)
    except sqlite3.IntegrityError:
        # A sum that leaves 64 bits turns into a float, which the table of sums refuses; so does what is damaged.
        totals = _listed(connection, query, by, periods, part)

    return sound(totals, by)


def _added_up(
    connection: sqlite3.Connection,
    query: EntryQuery,
    by: Sequence[Grouping],
    periods: Sequence[int],
    part: int | None,
) -> list[Total]:
    """
    Add entries one by one to sums in a table: to group them itself SQLite would sort them all.
    """
    groups = [_PERIOD.format(MOMENTS[name]) if name in MOMENTS else name for name in by] or ["0"]
    key = [f"group_{place}" for place in range(len(groups))]
    with _tables(connection, key, periods):
        for select, parameters in _selected(connection, [*groups, *_SUMS.values()], query, part):
            connection.execute(f"INSERT INTO temp.totals {select} ON CONFLICT DO UPDATE SET {_ADDED}", parameters)
        sums = connection.execute(f"SELECT * FROM temp.totals ORDER BY {', '.join(key)}").fetchall()

    return [Total(row[: len(by)], *row[len(key) :]) for row in sums]


def _listed(
    connection: sqlite3.Connection,
    query: EntryQuery,
    by: Sequence[Grouping],
    periods: Sequence[int],
    part: int | None,
) -> list[Total]:
    def found() -> Generator[tuple[Any, ...]]:
        for select, parameters in _selected(connection, columns, query, part):
            # Whatever is raised would keep the statement open, and with it a lock or the write-ahead log.
            with closing(connection.execute(select, parameters)) as rows:
                yield from rows

    columns = [*(MOMENTS.get(name, name) for name in by), *SUMMED]
    with closing(found()) as rows:
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


def _selected(
    connection: sqlite3.Connection, columns: Sequence[str], query: EntryQuery, part: int | None
) -> Iterator[tuple[str, list[Parameter]]]:
    """
    Give the statements that select the entries which match: a single one, or one for each part of the table.
    """
    conditions: list[Condition] = [("true", ())]  # With none, ON CONFLICT would be taken for a join.
    is_whole = not _are_few(connection, query)
    if is_whole and query.extension is not None:
        # The plus keeps SQLite from the index that begins with it; NOT INDEXED does not for a table without rowids.
        conditions.append(("+extension = ?", [query.extension]))
        query = attrs.evolve(query, extension=None)
    select = f"SELECT {', '.join(columns)} FROM entries"
    for place in _parts(connection, part) if is_whole and part is not None else [()]:
        yield filtered(select, [*entry_conditions(query), *conditions, *place])


def _parts(connection: sqlite3.Connection, part: int) -> Iterator[Sequence[Condition]]:
    """
    Say where parts of the table are that have so many entries each.
    """
    after: list[Condition] = []
    while True:
        found, parameters = filtered("SELECT card, sequence FROM entries", after)
        # All rows are fetched, so that the statement is finished.
        last = connection.execute(f"{found} ORDER BY card, sequence LIMIT 1 OFFSET {part - 1}", parameters).fetchall()
        yield [*after, *(("(card, sequence) <= (?, ?)", position) for position in last)]
        if not last:
            return
        after = [("(card, sequence) > (?, ?)", last[0])]


def _are_few(connection: sqlite3.Connection, query: EntryQuery) -> bool:
    """
    Tell whether an index leads to few entries, so that looking each of them up takes less than reading the whole table.
    """
    if query.card is not None or query.operation is not None:
        return True
    if query.extension is None or query.created_from is None:
        return False
    time = EntryQuery(extension=query.extension, created_from=query.created_from, created_before=query.created_before)
    probe, parameters = filtered("SELECT 1 FROM entries", entry_conditions(time))

    return not connection.execute(f"{probe} LIMIT 1 OFFSET {_FEW}", parameters).fetchall()
