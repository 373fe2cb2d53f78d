"""
What a store asks a database server, written with SQLAlchemy for one kind of server and one set of tables.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    CompoundSelect,
    LargeBinary,
    Select,
    String,
    Table,
    Text,
    and_,
    any_,
    bindparam,
    case,
    func,
    literal,
    literal_column,
    or_,
    select,
    tuple_,
    union_all,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement

from voipcard.core.credit import UNLIMITED, Credit
from voipcard.core.query import CardQuery, EntryQuery, Position
from voipcard.stores.contract import AuditRecord, CardRecord, Document, EntryRecord, Grouping
from voipcard.stores.servers.sessions import Session, Statement, array, compiled
from voipcard.stores.servers.tables import Tables
from voipcard.stores.statements import ORDERS
from voipcard.stores.totals import MOMENTS, SUMMED

__all__ = ["Selects", "columns"]

_SIZES: Final = (1, 4, 16, 64, 256, 1000)
"""How many values a list in a statement has, so that there are few different statements."""

_FEW: Final = 8
"""
Up to how many values PostgreSQL is asked for one by one, in one statement.

For an array it makes one plan, for arrays of whatever length: on a small table to read all of it, and the plan is kept
while the table grows.
"""


def columns(table: Table, record: type[CardRecord | EntryRecord | AuditRecord | Document]) -> list[ColumnElement[Any]]:
    """
    Give the columns of a table in the order of a record.
    """
    return [table.c[name] for name in record._fields]


class Selects:
    """
    The statements that read.

    Args:
        tables: The tables of the book.

        dialect: The kind of server.
    """

    def __init__(self, tables: Tables, dialect: Dialect) -> None:
        self.tables: Final = tables
        self.dialect: Final = dialect
        self._written: Final[dict[Any, Statement]] = {}

    @property
    def has_arrays(self) -> bool:
        """
        Whether many values are one parameter.
        """
        return self.dialect.name == "postgresql"

    def written(self, name: object, make: Callable[[], ClauseElement]) -> Statement:
        """
        Write a statement once, and give it again under the same name.
        """
        statement = self._written.get(name)
        if statement is None:
            statement = self._written[name] = compiled(self.dialect, make())

        return statement

    # Cards

    def card_by(self, name: str) -> Statement:
        """
        Ask for the card whose column *name* is `wanted`.
        """
        cards = self.tables.cards

        return self.written(
            ("card", name),
            lambda: select(*columns(cards, CardRecord)).where(cards.c[name] == bindparam("wanted")),
        )

    def nearest(self) -> Statement:
        """
        Ask for the first card from the index `wanted` on, and for the first of all.
        """
        return self.written("nearest", self._nearest)

    def _nearest(self) -> CompoundSelect[Any]:
        cards = self.tables.cards
        # As a parameter the 1 could be any number, and PostgreSQL would make a plan each time.
        first = select(*columns(cards, CardRecord)).order_by(cards.c.index).limit(literal_column("1"))
        next_ = first.where(cards.c.index >= bindparam("wanted"))

        return next_.subquery().select().union_all(first.subquery().select())

    def among(
        self,
        session: Session,
        asked: Sequence[ColumnElement[Any]],
        column: ColumnElement[Any],
        values: Iterable[Any],
        *,
        locked: bool = False,
    ) -> list[tuple[Any, ...]]:
        """
        Give columns of the rows in which *column* has one of many values; *locked* until the end of the transaction.
        """
        wanted, rows = list(values), list[tuple[Any, ...]]()
        for start in range(0, len(wanted), _SIZES[-1]):
            chunk = wanted[start : start + _SIZES[-1]]
            if self.has_arrays and 1 < len(chunk) <= _FEW and not locked:
                rows += self._each(session, asked, column, list(dict.fromkeys(chunk)))
                continue
            size = next(size for size in _SIZES if size >= len(chunk))
            # PostgreSQL plans a question with an array anew each time, which takes longer than to answer it for one.
            is_array = self.has_arrays and size > 1
            name = ("among", tuple(asked), column, 0 if is_array else size, locked)
            statement = self._written.get(name)
            if statement is None:
                statement = self.written(name, functools.partial(self._among, asked, column, size, locked=locked))
            if is_array:
                rows += session.rows(statement, {"wanted": array(chunk)})
            else:
                padded = [*chunk, *chunk[-1:] * (size - len(chunk))]
                rows += session.rows(statement, {f"wanted_{place}": value for place, value in enumerate(padded)})

        return rows

    def _each(
        self, session: Session, asked: Sequence[ColumnElement[Any]], column: ColumnElement[Any], values: Sequence[Any]
    ) -> Sequence[tuple[Any, ...]]:
        name = ("each", tuple(asked), column, len(values))
        marks = [f"wanted_{place}" for place in range(len(values))]
        statement = self.written(
            name, lambda: union_all(*(select(*asked).where(column == bindparam(mark)) for mark in marks))
        )

        return session.rows(statement, dict(zip(marks, values, strict=True)))

    def _among(
        self, asked: Sequence[ColumnElement[Any]], column: ColumnElement[Any], size: int, *, locked: bool
    ) -> Select[Any]:
        if self.has_arrays and size > 1:
            kind = ARRAY(LargeBinary() if column.type.python_type is bytes else Text())
            question = select(*asked).where(column == any_(bindparam("wanted", type_=kind)))
        else:
            marks: list[ColumnElement[Any]] = [bindparam(f"wanted_{place}") for place in range(size)]
            question = select(*asked).where(column.in_(marks))

        return question.order_by(column).with_for_update() if locked else question

    def page(self, asked: Sequence[ColumnElement[Any]], query: CardQuery | EntryQuery) -> Statement:
        """
        Ask for a page of a search.
        """
        found_by = self._found_by(query)
        order = [found_by[name] for name in ORDERS[query.order]]
        conditions = self._conditions(query)
        if query.after is not None:
            conditions.append(self._behind(order, query.after, descending=query.descending))
        question = select(*asked).where(*conditions).limit(query.limit)
        # No two cards have one serial, which MariaDB and MySQL do not conclude: with the id they would sort all cards.
        sorted_by = order[:1] if query.order == "serial" else order

        return compiled(
            self.dialect, question.order_by(*(column.desc() if query.descending else column for column in sorted_by))
        )

    def _behind(self, order: Sequence[ColumnElement[Any]], after: Position, *, descending: bool) -> ColumnElement[bool]:
        if self.dialect.name in {"postgresql", "sqlite"}:
            here, there = tuple_(*order), tuple_(*map(literal, after))
            return here < there if descending else here > there
        # MariaDB and MySQL find their way in an index only if it is said column by column.
        further: ColumnElement[bool] | None = None
        for column, value in reversed(list(zip(order, after, strict=True))):
            beyond = column < value if descending else column > value
            further = beyond if further is None else or_(beyond, and_(column == value, further))
        bound = order[0] <= after[0] if descending else order[0] >= after[0]

        return bound if further is None else and_(bound, further)

    def count(self, query: CardQuery) -> Statement:
        """
        Ask how many cards match.
        """
        cards = self.tables.cards

        return compiled(self.dialect, select(func.count()).select_from(cards).where(*self._conditions(query)))

    def listed(self, query: EntryQuery, by: Sequence[Grouping]) -> Statement:
        """
        Ask for what entries are grouped by and their amounts, one by one.
        """
        entries = self.tables.entries
        names = [*(MOMENTS.get(name, name) for name in by), *SUMMED]

        return compiled(self.dialect, select(*(entries.c[name] for name in names)).where(*self._conditions(query)))

    def grouped(self, query: EntryQuery, by: Sequence[Grouping], periods: Sequence[int]) -> Statement:
        """
        Ask for the sums of entries, group by group.
        """
        entries = self.tables.entries
        groups = [
            (self._period(entries.c[MOMENTS[name]], periods) if name in MOMENTS else entries.c[name]).label(
                f"group_{name}"
            )
            for name in by
        ]
        # Within, so that what is grouped by is named and not computed again.
        summed = [entries.c[name] for name in SUMMED]
        within = select(*groups, *summed).where(*self._conditions(query))
        if self.has_arrays:
            # PostgreSQL takes it apart again otherwise, expects a group for each moment, and sorts all on the disk.
            within = within.offset(literal_column("0"))
        found = within.subquery()
        named = [found.c[group.name] for group in groups]
        is_unlimited = found.c.amount == UNLIMITED.micros
        sums = [
            func.count(),
            func.coalesce(func.sum(case((is_unlimited, 0), else_=found.c.amount)), 0),
            func.coalesce(func.sum(case((is_unlimited, 1), else_=0)), 0),
            *(func.coalesce(func.sum(found.c[name]), 0) for name in SUMMED[1:]),
        ]

        return compiled(self.dialect, select(*named, *sums).group_by(*named))

    def _period(self, moment: ColumnElement[int], periods: Sequence[int]) -> ColumnElement[int]:
        if not periods:
            return literal(0)
        if self.has_arrays:
            period = func.width_bucket(moment, literal(list(periods), ARRAY(moment.type)))
        else:
            period = func.interval(moment, *periods)

        return case((moment.is_(None), 0), else_=period)

    # Documents, counters, audit

    def document(self) -> Statement:
        """
        Ask for the document `wanted`.
        """
        documents = self.tables.documents
        wanted = (documents.c.key == bindparam("wanted"), documents.c.version > 0)

        return self.written("document", lambda: select(*columns(documents, Document)).where(*wanted))

    def documents(self) -> Statement:
        """
        Ask for the first `most` documents from the key `first` on, after the key `after` and before the key `last`.
        """
        return self.written("documents", lambda: self._documents(self.tables.documents.c.key))

    def expired(self) -> Statement:
        """
        Ask for those of them that expire at the moment `expired` or before.
        """
        documents = self.tables.documents.c
        # What no index has, so that no server goes along the keys: the few that have expired are found by their expiry.
        key = documents.key.concat("")

        return self.written("expired", lambda: self._documents(key).where(documents.expires_at <= bindparam("expired")))

    def _documents(self, key: ColumnElement[str]) -> Select[Any]:
        documents = self.tables.documents
        within = (key >= bindparam("first"), key < bindparam("last"), key > bindparam("after"))
        question = select(*columns(documents, Document)).where(*within, documents.c.version > 0)

        return question.order_by(key).limit(bindparam("most"))

    def audit(self) -> Statement:
        """
        Ask for the first `most` audit entries after the id `after`.
        """
        audit = self.tables.audit

        return self.written(
            "audit",
            lambda: (
                select(*columns(audit, AuditRecord))
                .where(audit.c.id > bindparam("after"))
                .order_by(audit.c.id)
                .limit(bindparam("most"))
            ),
        )

    # What a search means

    def _searched(self, query: CardQuery | EntryQuery) -> Table:
        return self.tables.cards if isinstance(query, CardQuery) else self.tables.entries

    def _found_by(self, query: CardQuery | EntryQuery) -> Mapping[str, ColumnElement[Any]]:
        """
        Give the columns that a search compares and orders by.
        """
        columns = self._searched(query).c
        if not isinstance(query, CardQuery) or query.hold_expired_at is None:
            return dict(columns.items())

        # What no index has, as for documents: no server is to go along the cards of an extension, past all that are
        # not held.
        return {
            name: column.concat("") if isinstance(column.type, String) else column for name, column in columns.items()
        }

    def _conditions(self, query: CardQuery | EntryQuery) -> list[ColumnElement[bool]]:
        return self._of_cards(query) if isinstance(query, CardQuery) else self._of_entries(query)

    def _of_cards(self, query: CardQuery) -> list[ColumnElement[bool]]:
        cards = self.tables.cards.c
        equal = ("extension", "batch", "serial", "index", "kind", "enabled", "order_number")
        conditions = _equal(self._found_by(query), query, equal)
        conditions += _between(cards.credit, query.credit_at_least, query.credit_below)
        conditions += _between(cards.created_at, query.created_from, query.created_before)
        if query.unlimited is not None:
            is_unlimited = cards.credit == UNLIMITED.micros
            conditions.append(is_unlimited if query.unlimited else ~is_unlimited)
        if query.used is not None:
            never = cards.first_used_at.is_(None)
            conditions.append(~never if query.used else never)
        if query.hold_expired_at is not None:
            conditions.append(cards.next_hold_expiry <= query.hold_expired_at)
        if query.expired is not None:
            moment = -1 if query.now is None else query.now  # Nothing has expired where it is not said by when.
            lasts = or_(cards.expires_at.is_(None), cards.expires_at > moment)
            conditions.append(cards.expires_at <= moment if query.expired else lasts)

        return conditions

    def _of_entries(self, query: EntryQuery) -> list[ColumnElement[bool]]:
        entries = self.tables.entries.c
        equal = ("card", "extension", "batch", "order_number", "operation")
        conditions = _equal(self._found_by(query), query, equal)
        conditions += _between(entries.amount, query.amount_at_least, query.amount_below)
        conditions += _between(entries.created_at, query.created_from, query.created_before)
        conditions += _between(entries.started_at, query.started_from, query.started_before)
        if query.kinds is not None:
            conditions.append(entries.kind.in_(sorted(query.kinds)))

        return conditions


def _equal(
    columns: Mapping[str, ColumnElement[Any]], query: CardQuery | EntryQuery, names: Iterable[str]
) -> list[ColumnElement[bool]]:
    return [columns[name] == value for name in names if (value := getattr(query, name)) is not None]


def _between(
    column: ColumnElement[int], at_least: Credit | int | None, below: Credit | int | None
) -> list[ColumnElement[bool]]:
    bounds = [bound.micros if isinstance(bound, Credit) else bound for bound in (at_least, below)]
    conditions = [column >= bounds[0]] if bounds[0] is not None else []

    return [*conditions, column < bounds[1]] if bounds[1] is not None else conditions
