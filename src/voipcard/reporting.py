"""
Reports of what went through the ledger: what calls cost, and what was put on cards. Summed where the data is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, tzinfo
from typing import Final, Literal, cast, get_args

import attrs

from voipcard.core.cards import CardCode
from voipcard.core.credit import ZERO
from voipcard.core.days import Unit, parts_of
from voipcard.core.moments import FIRST, LAST
from voipcard.core.query import EntryQuery
from voipcard.core.reports import CostGroup, CostRow, RechargeGroup, RechargeRow, Report, added_up, checked_groups
from voipcard.deciding import CHUNK
from voipcard.errors import TamperedError
from voipcard.names import TOMBSTONE
from voipcard.scopes import CHARGES, Bound, Group, Scope, Sums, add, in_order
from voipcard.stores.contract import Grouping, Total
from voipcard.transact import Engine

__all__ = ["cost_report", "recharge_report"]

BY_HAND: Final = frozenset({"initial", "recharge", "transfer"})

_COSTS: Final[tuple[str, ...]] = get_args(CostGroup)
_RECHARGES: Final[tuple[str, ...]] = get_args(RechargeGroup)
_DATED: Final[Mapping[str, Unit]] = {"day": "day", "month": "month"}


def cost_report(
    engine: Engine,
    extension: str | None,
    start: Bound,
    end: Bound,
    *,
    by: str | Iterable[str],
    card: CardCode | str | None,
    batch: str | None,
    zone: str,
) -> Report[CostRow]:
    """
    Sum the charges of the ledger. See `Extension.cost_report`.
    """
    groups = checked_groups(by, _COSTS)
    scope = Scope.of(engine, extension, batch=batch, card=card, start=start, end=end, zone=zone)
    now = engine.now()
    query = scope.entries(CHARGES, "start")
    sums: defaultdict[Group, list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    for group, total in _grouped(engine, query, groups, _Time("start", scope.zone, now)):
        add(sums[group], (total.count, total.seconds, total.charged_seconds, -total.amount, total.shortfall))
    rows, whole = added_up(CostRow, groups, in_order(_by_serial(engine, groups, sums)))

    return Report(**scope.report(engine, "Costs of calls", groups, now), rows=rows, total=whole)


def recharge_report(
    engine: Engine,
    extension: str | None,
    start: Bound,
    end: Bound,
    *,
    by: str | Iterable[str],
    card: CardCode | str | None,
    batch: str | None,
    zone: str,
) -> Report[RechargeRow]:
    """
    Sum what was put on cards and taken by hand. See `Extension.recharge_report`.
    """
    groups = checked_groups(by, _RECHARGES)
    scope = Scope.of(engine, extension, batch=batch, card=card, start=start, end=end, zone=zone)
    now = engine.now()
    query = scope.entries(BY_HAND, "period")
    sums: defaultdict[Group, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    # What was added and what was taken are two questions: one sum of both would tell neither.
    for sign, part in (
        (1, attrs.evolve(query, amount_at_least=ZERO)),
        (-1, attrs.evolve(query, amount_below=ZERO)),
    ):
        for group, total in _grouped(engine, part, groups, _Time("period", scope.zone, now)):
            added, taken = (total.amount, 0) if sign > 0 else (0, -total.amount)
            add(sums[group], (total.count, added, taken, total.unlimited))
    rows, whole = added_up(RechargeRow, groups, in_order(_by_serial(engine, groups, sums)))

    return Report(**scope.report(engine, "Credit put on cards", groups, now), rows=rows, total=whole)


@attrs.frozen
class _Time:
    """
    What days are days of.

    Attributes:
        grouping: `start` for when calls began, `period` for when entries were made.
        zone: The time zone.
        now: Around when most entries are.
    """

    grouping: Literal["start", "period"]
    zone: tzinfo
    now: int

    def bounds(self, query: EntryQuery) -> tuple[int, int]:
        """
        Give the first moment that a query asks for, and the first that it does not ask for any more.
        """
        first, last = (
            (query.started_from, query.started_before)
            if self.grouping == "start"
            else (query.created_from, query.created_before)
        )

        return FIRST if first is None else max(first, FIRST), LAST + 1 if last is None else min(last, LAST + 1)

    def within(self, query: EntryQuery, first: int, last: int) -> EntryQuery:
        """
        Ask for the same, but only for a part of the time.
        """
        if self.grouping == "start":
            return attrs.evolve(query, started_from=first, started_before=last)

        return attrs.evolve(query, created_from=first, created_before=last)


def _grouped(engine: Engine, query: EntryQuery, groups: Sequence[str], time: _Time) -> Iterator[tuple[Group, Total]]:
    """
    Give the sums of entries with what they have in common: ids for cards, dates for days and months.

    A group may come several times, each time with other entries.
    """
    units = [_DATED[name] for name in groups if name in _DATED]
    named = [name for name in groups if name not in _DATED]
    by: list[Grouping] = [cast("Grouping", "prefix" if name == "destination" else name) for name in named]
    if not units:
        for total in engine.store.totals(query, by):
            yield total.group, total
        return

    def placed(total: Total, day: date) -> Group:
        others = iter(total.group)
        dates = {"day": day, "month": day.replace(day=1)}

        return tuple(dates[name] if name in dates else next(others) for name in groups)

    for day, total in _by_day(engine, query, by, "day" if "day" in units else "month", time):
        yield placed(total, day), total


def _by_day(
    engine: Engine, query: EntryQuery, by: Sequence[Grouping], unit: Unit, time: _Time
) -> Iterator[tuple[date, Total]]:
    first, last = time.bounds(query)
    if first >= last:
        return
    parts = parts_of(first, last, zone=time.zone, unit=unit, now=time.now)
    begins = [moment for moment, _ in parts]
    far = set()
    for total in engine.store.totals(query, [*by, time.grouping], periods=begins[1:]):
        *group, number = total.group
        day = parts[cast("int", number)][1]
        if day is None:
            far.add(cast("int", number))
        else:
            yield day, total._replace(group=tuple(group))
    for number in sorted(far):  # Far from now: most often there is nothing.
        end = begins[number + 1] if number + 1 < len(begins) else last
        yield from _by_day(engine, time.within(query, begins[number], end), by, unit, time)


def _by_serial(engine: Engine, groups: Sequence[str], sums: Sums) -> Sums:
    """
    Put serials where the ids of cards are, also those of cards that have been removed.
    """
    if "card" not in groups:
        return sums
    place = groups.index("card")
    serials = _serials(engine, {group[place] for group in sums})

    return {(*group[:place], serials[group[place]], *group[place + 1 :]): values for group, values in sums.items()}


def _serials(engine: Engine, ids: Iterable[bytes]) -> Mapping[bytes, str]:
    serials: dict[bytes, str] = {}
    wanted = sorted(ids)
    for start in range(0, len(wanted), CHUNK):
        chunk = wanted[start : start + CHUNK]
        serials |= {record.id: record.serial for record in engine.store.find_many(ids=chunk)}
        # Looked for last: a card that is removed meanwhile is one or the other.
        keys = {f"{TOMBSTONE}{id.hex()}": id for id in chunk if id not in serials}
        for document in engine.store.find_documents(keys):
            serials[keys[document.key]] = engine.records.value(document)["serial"]
        for id in chunk:
            if id not in serials:
                raise TamperedError(id.hex(), "record")

    return serials
