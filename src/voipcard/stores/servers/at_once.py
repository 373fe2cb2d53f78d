"""
A commit as a single statement, for PostgreSQL: one round trip, and no lock is held for longer than it takes.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Boolean,
    Column,
    ColumnElement,
    Integer,
    LargeBinary,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    case,
    cast,
    delete,
    func,
    literal_column,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.selectable import CTE
from sqlalchemy.types import TypeEngine

from voipcard.stores.contract import AuditRecord, CardRecord, Changes, Document, EntryRecord, unforgettable
from voipcard.stores.servers.collisions import required
from voipcard.stores.servers.failures import Collision
from voipcard.stores.servers.selects import Selects
from voipcard.stores.servers.sessions import Session, array, binding, written_by_position

__all__ = ["apply", "copy_in"]

_FEW: Final = 4
"""
Up to how many documents each is changed by a part of its own, which finds it by its key.

For an array PostgreSQL makes one plan, for arrays of whatever length: on a small table to read all of it, and the plan
is kept while the table grows.
"""

_AT_A_TIME: Final = 2000
"""How many new cards are copied before their entries."""

_Rows: TypeAlias = Sequence[Sequence[Any]]


class _Part(NamedTuple):
    """
    What a part of a commit is made of.

    Attributes:
        names: The names of its columns.
        table: Whose columns they are.
        more: The columns that no table has.
    """

    names: Sequence[str]
    table: str
    more: Sequence[str] = ()


_PARTS: Final[Mapping[str, _Part]] = {
    "required": _Part(["key", "version"], "documents"),
    "absent": _Part(["key"], "documents"),
    "replaced": _Part([*CardRecord._fields, "expected"], "cards", ["expected"]),
    "removed": _Part(["id", "version"], "cards"),
    "made": _Part(Document._fields, "documents"),
    "written": _Part([*Document._fields, "expected"], "documents", ["expected"]),
    "forgotten": _Part(["key", "version"], "documents"),
    "cards": _Part(CardRecord._fields, "cards"),
    "entries": _Part(EntryRecord._fields, "entries"),
    "audit": _Part(AuditRecord._fields, "audit"),
    "counters": _Part(["key", "value", "ceiling"], "counters", ["ceiling"]),
}
"""The parts of a commit, in the order in which they are done: counters last, because every other commit wants them."""


def apply(selects: Selects, session: Session, changes: Changes, new: Sequence[tuple[CardRecord, EntryRecord]]) -> None:
    """
    Write *changes* with these new cards.

    Raises:
        Collision: If the commit contradicts itself. Where something else is in its way, the statement fails.
    """
    rows = _rows(changes, new)
    shape = tuple((name, len(found) > 1) for name, found in rows.items())
    statement = selects.written(("commit", shape), lambda: _Commit(selects, dict(shape)).statement())
    given: dict[str, Any] = {}
    for name, found in rows.items():
        columns = _part(name).names
        given[f"{name} count"] = len(found)
        values = zip(*found, strict=True) if len(found) > 1 else found[0]
        for column, value in zip(columns, values, strict=True):
            given[f"{name} {column}"] = array(value) if len(found) > 1 else value
    session.rows(statement, given)


def copy_in(selects: Selects, session: Session, new: Iterable[tuple[CardRecord, EntryRecord]]) -> None:
    """
    Write very many new cards, within a transaction.
    """
    cards, entries = selects.tables.cards, selects.tables.entries
    rows = iter(new)
    while chunk := list(itertools.islice(rows, _AT_A_TIME)):
        _copy(selects, session, cards, CardRecord._fields, (card for card, _ in chunk))
        _copy(selects, session, entries, EntryRecord._fields, (entry for _, entry in chunk))


def _copy(
    selects: Selects, session: Session, table: Table, names: Sequence[str], rows: Iterable[Sequence[Any]]
) -> None:
    quote = written_by_position(selects.dialect, raw=True).identifier_preparer
    listed = ", ".join(map(quote.quote, names))
    with (
        binding(),
        session.connection.cursor() as cursor,
        cursor.copy(f"COPY {quote.format_table(table)} ({listed}) FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.set_types([_COPIED[type(_kind(table.c[name]))] for name in names])
        for row in rows:
            copy.write_row(row)


def _rows(changes: Changes, new: Sequence[tuple[CardRecord, EntryRecord]]) -> dict[str, _Rows]:
    """
    Give what each part of the commit writes, without the parts that write nothing.
    """
    only = required(changes)
    if only is None:
        raise Collision
    rows: dict[str, _Rows] = {
        "required": [(key, expected) for key, expected in only.items() if expected],
        "absent": [(key,) for key, expected in only.items() if not expected],
        "replaced": [(*card, expected) for card, expected in changes.replace],
        "removed": changes.remove,
        "made": [document for document, expected in changes.documents if not expected],
        "written": [(*document, expected) for document, expected in changes.documents if expected],
        "forgotten": changes.forget,
        "cards": [card for card, _ in new],
        "entries": [*(entry for _, entry in new), *changes.entries],
        "audit": changes.audit,
        "counters": [(key, delta, ceiling if delta > 0 else None) for key, delta, ceiling in changes.counters],
    }
    touched = [*(card.id for card, _ in changes.replace), *(id for id, _ in changes.remove)]
    if len(set(touched)) < len(touched) or unforgettable(changes):
        raise Collision

    return {name: found for part, every in rows.items() if every for name, found in _apart(part, every)}


def _apart(part: str, rows: _Rows) -> Iterator[tuple[str, _Rows]]:
    """
    Make a part of each row where it pays; all in the order of their keys, in which others lock them as well.
    """
    if part not in {"required", "written"} or not 1 < len(rows) <= _FEW:
        yield part, rows
    else:
        for number, row in enumerate(sorted(rows, key=operator.itemgetter(0))):
            yield f"{part}_{number}", [row]


def _part(name: str) -> _Part:
    return _PARTS[name.partition("_")[0]]


def _kind(column: ColumnElement[Any]) -> TypeEngine[Any]:
    """
    Give the type of a column as a parameter has it: without length and collation.
    """
    if isinstance(column.type, Boolean):
        return Boolean()
    kinds: dict[type, TypeEngine[Any]] = {bytes: LargeBinary(), str: Text(), int: BigInteger()}

    return kinds[column.type.python_type]


_COPIED: Final = {Boolean: "bool", LargeBinary: "bytea", Text: "text", BigInteger: "int8"}


class _Commit:
    """
    The statement for commits of one shape.

    Args:
        selects: The tables of the book, and the kind of server.

        shape: The parts that such a commit has, each with whether it has several rows.
    """

    def __init__(self, selects: Selects, shape: Mapping[str, bool]) -> None:
        self._tables: Final = selects.tables
        self._named: Final = selects.dialect.identifier_preparer.format_table
        self._shape: Final = shape
        self._done: Final[list[CTE]] = []
        self._conditions: Final[list[ColumnElement[bool]]] = []

    def statement(self) -> Select[Any]:
        """
        Write it: a division by zero where a precondition does not hold, so that nothing is done.
        """
        for name in self._shape:
            getattr(self, f"_{name.partition('_')[0]}")(name)
        holds = case((and_(true(), *self._conditions), 1), else_=0)

        return select(1 / cast(holds, Integer)).add_cte(*self._done)

    def _given(self, name: str) -> CTE:
        """
        Give the rows of a part: values if it is one, arrays that become rows if there are several.
        """
        part = _part(name)
        table: Table = getattr(self._tables, part.table)
        kinds = {column: BigInteger() if column in part.more else _kind(table.c[column]) for column in part.names}
        if not self._shape[name]:
            values = [
                cast(bindparam(f"{name} {column}", type_=kind), kind).label(column) for column, kind in kinds.items()
            ]
            return select(*values).cte(f"given_{name}")
        arrays = [bindparam(f"{name} {column}", type_=ARRAY(kind)) for column, kind in kinds.items()]
        rows = func.unnest(*arrays).table_valued(*kinds).render_derived(name=f"rows_{name}")

        return select(rows).cte(f"given_{name}")

    def _does(self, name: str, change: UpdateBase) -> None:
        """
        Add a change that has to be about as many rows as were given.
        """
        done = change.returning(cast(1, Integer).label("one")).cte(name)
        self._done.append(done)
        self._conditions.append(
            select(func.count()).select_from(done).scalar_subquery() == bindparam(f"{name} count", type_=BigInteger)
        )

    def _required(self, name: str) -> None:
        documents, given = self._tables.documents, self._given(name)
        self._does(
            name,
            update(documents)
            .where(documents.c.key == given.c.key, documents.c.version == given.c.version)
            .values(required=documents.c.required + 1),
        )

    def _absent(self, name: str) -> None:
        documents, given = self._tables.documents, self._given(name)
        made = insert(documents).from_select(
            ["key", "value", "version", "required"],
            select(given.c.key, cast(b"", LargeBinary), cast(0, BigInteger), cast(1, BigInteger)).order_by(given.c.key),
        )
        self._does(
            name,
            made.on_conflict_do_update(
                index_elements=["key"],
                set_={"required": documents.c.required + 1},
                where=documents.c.version == 0,
            ),
        )

    def _replaced(self, name: str) -> None:
        cards, given = self._tables.cards, self._given(name)
        here = and_(cards.c.id == given.c.id, cards.c.version == given.c.expected)
        if self._shape[name]:
            given, here = self._locked(name, cards.c.id, given, here)
        values = {column: given.c[column] for column in CardRecord._fields if column != "id"}
        self._does(name, update(cards).where(here).values(values))

    def _removed(self, name: str) -> None:
        cards, given = self._tables.cards, self._given(name)
        self._does(name, delete(cards).where(cards.c.id == given.c.id, cards.c.version == given.c.version))

    def _made(self, name: str) -> None:
        documents, given = self._tables.documents, self._given(name)
        made = insert(documents).from_select(
            Document._fields, select(*(given.c[column] for column in Document._fields)).order_by(given.c.key)
        )
        self._does(
            name,
            made.on_conflict_do_update(
                index_elements=["key"],
                set_={column: made.excluded[column] for column in Document._fields[1:]},
                where=documents.c.version == 0,
            ),
        )

    def _written(self, name: str) -> None:
        documents, given = self._tables.documents, self._given(name)
        self._does(
            name,
            update(documents)
            .where(documents.c.key == given.c.key, documents.c.version == given.c.expected)
            .values({column: given.c[column] for column in Document._fields[1:]}),
        )

    def _forgotten(self, name: str) -> None:
        documents, given = self._tables.documents, self._given(name)
        here = and_(documents.c.key == given.c.key, documents.c.version == given.c.version)
        if self._shape[name]:
            given, here = self._locked(name, documents.c.key, given, here)
        self._does(name, delete(documents).where(here))

    def _locked(
        self, name: str, order: Column[Any], given: CTE, here: ColumnElement[bool]
    ) -> tuple[CTE, ColumnElement[bool]]:
        """
        Lock the rows of a part before they are changed, and give them with the condition that they are found by then.
        """
        # Whoever changes the same rows locks them in the same order: one waits, and they do not block each other.
        # They are changed where they were found: to look them up again takes as long, or far longer.
        place: ColumnElement[Any] = literal_column(f"{self._named(order.table)}.ctid")
        found = select(place.label("place"), *given.c).where(here)
        locked = found.order_by(order).with_for_update(of=order.table).cte(f"locked_{name}")

        return locked, and_(place == locked.c.place)

    def _cards(self, name: str) -> None:
        self._append(name)

    def _entries(self, name: str) -> None:
        self._append(name)

    def _audit(self, name: str) -> None:
        self._append(name)

    def _append(self, name: str) -> None:
        table: Table = getattr(self._tables, name)
        given, names = self._given(name), _PARTS[name].names
        self._done.append(
            insert(table).from_select(list(names), select(*(given.c[column] for column in names))).cte(f"new_{name}")
        )

    def _counters(self, name: str) -> None:
        counters, given = self._tables.counters, self._given(name)
        moved = insert(counters).from_select(["key", "value"], select(given.c.key, given.c.value).order_by(given.c.key))
        done = (
            moved.on_conflict_do_update(index_elements=["key"], set_={"value": counters.c.value + moved.excluded.value})
            .returning(counters.c.key, counters.c.value)
            .cte("moved")
        )
        self._done.append(done)
        is_fine = or_(given.c.ceiling.is_(None), done.c.value <= given.c.ceiling)
        fine = select(func.count()).select_from(done.join(given, done.c.key == given.c.key)).where(is_fine)
        self._conditions.append(fine.scalar_subquery() == bindparam(f"{name} count", type_=BigInteger))
