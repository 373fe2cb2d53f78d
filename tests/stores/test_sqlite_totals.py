"""
Sums that SQLite makes itself: the same as one by one, of one moment, and while others write.

The contract has most sums exceed 64 bits. This is about those that do not, about where that begins, and about damage.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.databases import empty_database, engine_on
from tests.stores.test_sqlite import LENIENT, SAFE
from voipcard.core.query import EntryQuery
from voipcard.errors import NotABookError, StoreBusyError, StoreError
from voipcard.stores import Changes, EntryRecord, Grouping, SQLAlchemyStore, SQLiteStore, sqlite_totals
from voipcard.stores.contract import MAX_INTEGER
from voipcard.stores.sqlite_file import sqlite3
from voipcard.stores.sqlite_totals import summed
from voipcard.stores.statements import INSERT_ENTRY, STATEMENTS
from voipcard.stores.totals import MOMENTS, SUMMED, totaled
from voipcard.testing import samples

CARD: Final = samples.card(1)
NOW: Final = CARD.created_at

SOME_WORDS: Final = st.sampled_from(["", "4", "40", "407"])
SMALL: Final = st.none() | st.integers(0, 10**12)
MOMENT: Final = st.integers(NOW - 9, NOW + 9)
ENTRY: Final = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["recharge", "charge"]),
        "amount": st.integers(-(10**12), 10**12) | st.just(MAX_INTEGER),
        "batch": SOME_WORDS,
        "prefix": SOME_WORDS,
        "created_at": MOMENT,
        "started_at": st.none() | MOMENT,
        "seconds": SMALL,
        "charged_seconds": SMALL,
        "shortfall": SMALL,
    }
)
GROUPING: Final[st.SearchStrategy[Grouping]] = st.sampled_from(
    ["extension", "batch", "card", "kind", "prefix", "period", "start"]
)
QUERY: Final = st.builds(
    EntryQuery,
    kinds=st.none() | st.just(frozenset({"charge"})),
    extension=st.none() | st.just(CARD.extension),
    created_from=st.none() | MOMENT,
    started_before=st.none() | MOMENT,
)


def entries(*changes: dict[str, Any]) -> list[EntryRecord]:
    """
    Make entries of one card that differ in some fields.
    """
    return [
        samples.entry(CARD, 0)._replace(sequence=number, operation=None, **change)
        for number, change in enumerate(changes, 2)
    ]


@contextmanager
def holding(rows: Sequence[EntryRecord]) -> Iterator[sqlite3.Connection]:
    """
    Connect to a book in memory that has these entries.
    """
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for statement in STATEMENTS:
            connection.execute(statement)
        connection.executemany(INSERT_ENTRY, rows)
        yield connection


@settings(max_examples=150)
@given(
    st.lists(ENTRY, max_size=30),
    QUERY,
    st.lists(GROUPING, unique=True, max_size=4),
    st.lists(MOMENT, max_size=6),
    st.sampled_from([1, 2, 7, 30, 99]),
)
def test_sums_are_those_of_one_by_one(
    changes: list[dict[str, Any]], query: EntryQuery, by: list[Grouping], periods: list[int], part: int
) -> None:
    """
    Whatever entries are grouped by and in whatever periods, also several that begin at one moment, sums are the same.

    They are again when the same connection is asked once more, for a few entries at a time.
    """
    rows = entries(*changes)
    names = [*(MOMENTS.get(name, name) for name in by), *SUMMED]
    listed = [[getattr(row, name) for name in names] for row in rows if query.matches(row)]
    with holding(rows) as connection:
        found = [summed(connection, query, by, sorted(periods), part=size) for size in (None, part)]

    assert [totaled(listed, by, sorted(periods))] * 2 == found


@pytest.mark.parametrize("name", SUMMED)
@pytest.mark.parametrize(
    "values",
    [
        *([2**62, 2**62 - 1], [2**62, 2**62], [2**62, 2**62, 1], [-(2**62), -(2**62)], [-(2**62), -(2**62), -1]),
        *([2**62] * 9, [2**62, 2**62, -(2**62), -(2**62)], [-(2**62)] * 7 + [MAX_INTEGER - 1, 3]),
    ],
)
@pytest.mark.parametrize("part", [None, 2])
def test_sums_are_exact_at_the_end_of_64_bits(name: str, values: list[int], part: int | None) -> None:
    """
    A sum is exact below, at and beyond the largest and smallest integer of 64 bits, whatever is on the way there.
    """
    with holding(entries(*({name: value} for value in values))) as connection:
        [found] = summed(connection, EntryQuery(), (), (), part=part)

    assert sum(values) == getattr(found, name)
    assert type(getattr(found, name)) is int


@pytest.mark.parametrize(
    "name, value",
    [
        *itertools.product(SUMMED, ["'text'", "''", "x'00ff'", "x''", "0.5"]),
        ("amount", "NULL"),
        ("prefix", "x'00ff'"),
        ("prefix", "NULL"),
    ],
)
def test_damaged_entries_are_not_summed(name: str, value: str) -> None:
    """
    An entry with a value that its table does not allow is refused, and not summed as something else.
    """
    with holding(entries({"prefix": "40"}, {"prefix": "40"})) as connection:
        connection.executescript(LENIENT)
        assert len(summed(connection, EntryQuery(), ["prefix"], ())) == 1, "the table is sound (control)"
        connection.execute(f"UPDATE entries SET {name} = {value} WHERE sequence = 2")  # noqa: S608 - of our own making

        with pytest.raises(NotABookError):
            summed(connection, EntryQuery(), ["prefix"], ())
        assert connection.execute("SELECT count(*) FROM temp.sqlite_schema").fetchone() == (0,)


@pytest.mark.parametrize(
    "name, value", [*itertools.product(SUMMED, ["'text'", "''", "x'00ff'", "x''", "0.5"]), ("prefix", "x'00ff'")]
)
def test_nor_are_they_through_sqlalchemy(name: str, value: str) -> None:
    """
    Where SQLAlchemy reads a file of SQLite it is the same, and the connection can be used again.
    """
    with empty_database("sqlite") as url, engine_on(url) as engine:
        store = SQLAlchemyStore(engine, create=True)
        store.commit(Changes(new=samples.new(1, 2)))
        assert sum(total.count for total in store.totals(EntryQuery(), ["prefix"])) == 2, "the table is sound (control)"
        with engine.begin() as connection:
            changed = f"UPDATE voipcard_entries SET {name} = {value} WHERE rowid = 1"  # noqa: S608 - of our own making
            connection.exec_driver_sql(changed)

        with pytest.raises(NotABookError):
            store.totals(EntryQuery(), ["prefix"])
        store.commit(Changes(new=samples.new(3)))


@pytest.mark.parametrize(
    "query, few, way",
    [
        (EntryQuery(), 2, "SCAN entries"),
        (EntryQuery(extension=CARD.extension), 2, "SCAN entries"),
        (EntryQuery(extension=CARD.extension, started_from=NOW), 2, "SCAN entries"),
        (EntryQuery(extension=CARD.extension, created_from=NOW), 1, "SCAN entries"),
        (EntryQuery(extension=CARD.extension, created_from=NOW), 2, "SEARCH entries USING INDEX entries_by_time"),
        (EntryQuery(extension=CARD.extension, card=CARD.id), 0, "SEARCH entries USING PRIMARY KEY"),
    ],
)
def test_tables_are_read_to_the_end_where_many_entries_match(
    query: EntryQuery, few: int, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    An index is used where it leads to few entries, and else the table is read as it is, also for one extension.
    """
    monkeypatch.setattr(sqlite_totals, "_FEW", few)
    said: list[str] = []
    with holding(entries({}, {})) as connection:
        connection.set_trace_callback(said.append)
        summed(connection, query, ["kind"], ())
        connection.set_trace_callback(None)
        [select] = [statement for statement in said if "INSERT INTO temp.totals" in statement]
        select = select[select.index("SELECT") : select.index("ON CONFLICT")]
        [(*_, plan)] = connection.execute(f"EXPLAIN QUERY PLAN {select}")

    assert plan.startswith(way)


@pytest.mark.parametrize(
    "journal, writes",
    [
        pytest.param("wal", True, marks=pytest.mark.skipif(not SAFE, reason="this SQLite can lose commits with WAL")),
        ("delete", False),
    ],
)
def test_sums_hold_nobody_up(journal: Any, writes: bool, tmp_path: Path) -> None:  # noqa: ANN401, FBT001
    """
    With a write-ahead log others commit while entries are summed, and the sums are those from before.

    Control: with a rollback journal nobody can.
    """
    place = tmp_path / "cards.db"
    committed: list[bool] = []
    with closing(SQLiteStore(place, journal=journal, timeout=0)) as store:
        store.commit(Changes(new=samples.new(*range(50))))
        card, added = samples.recharged(samples.card(1))

        def commit() -> None:
            if not committed:
                try:
                    store.commit(Changes(replace=[(card, card.version - 1)], entries=[added]))
                    committed.append(True)
                except StoreBusyError:
                    committed.append(False)

        with closing(sqlite3.connect(place, isolation_level=None)) as connection:
            connection.execute("SELECT count(*) FROM entries").fetchall()
            connection.set_progress_handler(commit, 500)
            found = summed(connection, EntryQuery(), ["kind"], ())

        assert committed == [writes]
        assert [total[:2] for total in found] == [(("initial",), 50)]
        assert store.totals(EntryQuery())[0].count == 50 + writes


def test_what_failed_is_not_in_the_way(tmp_path: Path) -> None:
    """
    Sums that failed half-way, and could not even clear away what they had, keep no later ones from being made.

    So it is when the disk of temporary files is full. Control: some fail at each step, from the first to the last.
    """
    failed = []
    with closing(SQLiteStore(tmp_path / "cards.db")) as store:
        store.commit(Changes(new=samples.new(*range(50))))
        for last in itertools.count(0, 50):
            steps = itertools.count()
            broken = [True]
            with store._file.reading() as connection:  # noqa: SLF001 - the one that is lent again
                connection.set_progress_handler(lambda: broken[0] and next(steps) > last, 1)  # noqa: B023 - within it
            with contextlib.suppress(StoreError):
                store.totals(EntryQuery(), ["kind"])
                break
            broken[0] = False
            failed.append(last)

            assert [total[:2] for total in store.totals(EntryQuery(), ["kind"])] == [(("initial",), 50)]

    assert len(failed) > 10


def test_others_write_between_parts(tmp_path: Path) -> None:
    """
    With a rollback journal others commit between two parts, however many there are, and whatever was there is summed.

    What they write meanwhile is summed or is not. The control is that of `test_sums_hold_nobody_up`.
    """
    place = tmp_path / "cards.db"
    left = [samples.card(number) for number in range(50)]
    committed = []
    with closing(SQLiteStore(place, journal="delete", timeout=0)) as store:
        store.commit(Changes(new=samples.new(*range(50))))

        def commit(statement: str) -> None:
            if "INSERT INTO temp.totals" in statement:
                card, added = samples.recharged(left.pop())
                store.commit(Changes(replace=[(card, card.version - 1)], entries=[added]))
                committed.append(added)

        with closing(sqlite3.connect(place, isolation_level=None)) as connection:
            connection.set_trace_callback(commit)
            found = {total.group: total.count for total in summed(connection, EntryQuery(), ["kind"], (), part=10)}

    assert len(committed) >= 5
    assert found[("initial",)] == 50
    assert found.get(("recharge",), 0) <= len(committed)


@pytest.mark.parametrize("part, least, most", [(10, 500, 2000), (None, 100_000, 10**9)])
def test_a_part_takes_as_long_as_it_has_entries(part: int | None, least: int, most: int) -> None:
    """
    A part is read by where it is in the table, and not from its beginning: no statement takes longer for that.

    Control: one that reads all takes as long as there are entries.
    """
    steps: list[int] = []
    with holding(entries(*({"seconds": number} for number in range(5000)))) as connection:
        connection.set_trace_callback(lambda _: steps.append(0))
        connection.set_progress_handler(lambda: steps.append(steps.pop() + 1), 1)
        summed(connection, EntryQuery(extension=CARD.extension), ["kind"], (), part=part)
        connection.set_progress_handler(None, 0)

    assert least < max(steps) < most
