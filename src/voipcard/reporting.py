"""
Reports: what calls cost, what was put on cards, and what is left on them. Nothing here locks, and nothing writes.

Sums over the ledger are computed where the data is; sums over cards in one pass, a page at a time.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Final, Literal, TypeAlias, cast, get_args

import attrs

from voipcard.batches import batch_facts
from voipcard.core.arguments import checked_integer
from voipcard.core.cards import CardCode, batch_or_nothing, serial_of, serial_or_nothing
from voipcard.core.credit import Credit
from voipcard.core.days import Unit, midnight, parts_of
from voipcard.core.ledger import LedgerEntry
from voipcard.core.moments import FIRST, LAST, days_later, from_micros, to_micros
from voipcard.core.query import CardQuery, EntryQuery
from voipcard.core.reports import (
    Calls,
    ChargedCall,
    CostGroup,
    CostRow,
    CreditGroup,
    CreditRow,
    RechargeGroup,
    RechargeRow,
    Report,
    RevealedCall,
    UseRow,
    added_up,
    checked_days,
    checked_groups,
    span_of,
    spans,
)
from voipcard.core.zones import checked_zone
from voipcard.deciding import CHUNK
from voipcard.desk import freed
from voipcard.errors import ActorRequiredError, InvalidValueError, TamperedError, UnknownBatchError, UnknownCardError
from voipcard.names import BATCH, TOMBSTONE
from voipcard.searching import card_records, entry_records
from voipcard.stores.contract import CardRecord, Changes, EntryRecord, Grouping, Total
from voipcard.transact import Engine

__all__ = [
    "ageing",
    "breakage",
    "calls",
    "cost_report",
    "first_use_curve",
    "liability",
    "recharge_report",
    "reveal_calls",
]

Bound: TypeAlias = datetime | date | None
"""A moment, or a day that stands for its first moment in the zone of the report."""

CHARGES: Final = frozenset({"charge"})
BY_HAND: Final = frozenset({"initial", "recharge", "transfer"})

_DATED: Final[Mapping[str, Unit]] = {"day": "day", "month": "month"}
_AHEAD: Final = 20_000
"""How many charges are in memory at most, where those of several extensions are put in one order."""

_NO_CREDIT: Final = Credit(0)
_ANY_CREDIT: Final = Credit.from_micros(1)

_COSTS: Final[tuple[str, ...]] = get_args(CostGroup)
_RECHARGES: Final[tuple[str, ...]] = get_args(RechargeGroup)
_CREDITS: Final[tuple[str, ...]] = get_args(CreditGroup)

_Group: TypeAlias = tuple[Any, ...]
_Sums: TypeAlias = Mapping[_Group, Sequence[int]]


@attrs.frozen(kw_only=True)
class _Scope:
    """
    What a report is about.

    Attributes:
        extension: The extension; None for all of the book.
        batch: The batch; None for all.
        card: The id of the card; None for all.
        start: The first moment that counts; None for any.
        end: The first moment that no longer counts; None for any.
        name: The name of the time zone.
        zone: The time zone.
    """

    extension: str | None
    batch: str | None = None
    card: bytes | None = None
    start: int | None = None
    end: int | None = None
    name: str = "UTC"
    zone: tzinfo = UTC

    @classmethod
    def of(
        cls,
        engine: Engine,
        extension: str | None,
        *,
        batch: str | None = None,
        card: CardCode | str | None = None,
        start: Bound = None,
        end: Bound = None,
        zone: str = "UTC",
    ) -> _Scope:
        """
        Accept what somebody asks for.

        Raises:
            InvalidValueError: If the zone is unknown, a moment is not aware, or the end comes before the start.

            UnknownBatchError: If there is no such batch.

            UnknownCardError: If there never was such a card.
        """
        known = checked_zone(zone)
        first, last = _micros(start, known), _micros(end, known)
        if first is not None and last is not None and last < first:
            raise InvalidValueError("end", "cannot come before the start")

        return cls(
            extension=extension,
            batch=None if batch is None else _batch(engine, extension, batch),
            card=None if card is None else _card(engine, extension, card),
            start=first,
            end=last,
            name=zone,
            zone=known,
        )

    def cards(self, *, with_credit: bool = True) -> CardQuery:
        """
        Ask for the cards, in an order in which no change moves them.
        """
        return CardQuery(
            extension=self.extension,
            batch=self.batch,
            credit_at_least=_ANY_CREDIT if with_credit else None,
            created_from=self.start,
            created_before=self.end,
            # By their creation stores find those of one extension or batch: all of a book they would sort at each page.
            order="serial" if self.extension is None and self.batch is None else "created",
        )

    def report(self, engine: Engine, title: str, by: Sequence[str], now: int) -> dict[str, Any]:
        """
        Give all that a report has besides its rows.
        """
        return {
            "title": title,
            "currency": engine.facts.currency,
            "zone": self.name,
            "made_at": from_micros(now),
            "start": self._moment(self.start),
            "end": self._moment(self.end),
            "by": tuple(by),
        }

    def _moment(self, micros: int | None) -> datetime | None:
        if micros is None:
            return None
        try:
            return from_micros(micros).astimezone(self.zone)
        except OverflowError:  # The first and last hours of all are not there in every zone.
            return from_micros(micros)


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
    scope = _Scope.of(engine, extension, batch=batch, card=card, start=start, end=end, zone=zone)
    now = engine.now()
    query = _entries(scope, CHARGES, "start")
    sums: defaultdict[_Group, list[int]] = defaultdict(lambda: [0, 0, 0, 0, 0])
    for group, total in _grouped(engine, query, groups, _Time("start", scope.zone, now)):
        _add(sums[group], (total.count, total.seconds, total.charged_seconds, -total.amount, total.shortfall))
    rows, whole = added_up(CostRow, groups, _in_order(_by_serial(engine, groups, sums)))

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
    scope = _Scope.of(engine, extension, batch=batch, card=card, start=start, end=end, zone=zone)
    now = engine.now()
    query = _entries(scope, BY_HAND, "period")
    sums: defaultdict[_Group, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    # What was added and what was taken are two questions: one sum of both would tell neither.
    for sign, part in (
        (1, attrs.evolve(query, amount_at_least=_NO_CREDIT)),
        (-1, attrs.evolve(query, amount_below=_NO_CREDIT)),
    ):
        for group, total in _grouped(engine, part, groups, _Time("period", scope.zone, now)):
            added, taken = (total.amount, 0) if sign > 0 else (0, -total.amount)
            _add(sums[group], (total.count, added, taken, total.unlimited))
    rows, whole = added_up(RechargeRow, groups, _in_order(_by_serial(engine, groups, sums)))

    return Report(**scope.report(engine, "Credit put on cards", groups, now), rows=rows, total=whole)


def liability(
    engine: Engine, extension: str | None, *, by: str | Iterable[str], batch: str | None
) -> Report[CreditRow]:
    """
    Sum the credit on cards. See `Extension.liability`.
    """
    groups = checked_groups(by, _CREDITS)
    scope = _Scope.of(engine, extension, batch=batch)
    now = engine.now()
    sums = _credit(engine, scope, groups, now, lambda _: ())
    rows, whole = added_up(CreditRow, groups, _in_order(sums))

    return Report(**scope.report(engine, "Outstanding credit", groups, now), rows=rows, total=whole)


def breakage(
    engine: Engine, extension: str | None, *, unused_days: int, by: str | Iterable[str], batch: str | None
) -> Report[CreditRow]:
    """
    Sum the credit that will hardly be used any more. See `Extension.breakage`.
    """
    checked_integer("unused_days", unused_days, at_least=1)
    groups = checked_groups(by, _CREDITS)
    scope = _Scope.of(engine, extension, batch=batch)
    now = engine.now()

    def reason(record: CardRecord) -> _Group | None:
        if record.expires_at is not None and record.expires_at <= now:
            return ("expired",)
        # The last change is only looked for where the card itself does not tell that it was used since.
        if _unused_since(record.first_used_at or record.created_at, unused_days, now) and _unused_since(
            _changed_at(engine, record), unused_days, now
        ):
            return ("unused",)

        return None

    sums = _credit(engine, scope, groups, now, reason)
    rows, whole = added_up(CreditRow, ["reason", *groups], _in_order(sums))

    return Report(**scope.report(engine, "Breakage", ["reason", *groups], now), rows=rows, total=whole)


def ageing(
    engine: Engine,
    extension: str | None,
    *,
    since: Literal["made", "changed"],
    days: Iterable[int],
    by: str | Iterable[str],
    batch: str | None,
) -> Report[CreditRow]:
    """
    Sum the credit on cards by its age. See `Extension.ageing`.
    """
    if since not in ("made", "changed"):
        raise InvalidValueError("since", "has to be made or changed")
    lasts = checked_days(days)
    groups = checked_groups(by, _CREDITS)
    scope = _Scope.of(engine, extension, batch=batch)
    now = engine.now()

    def age(record: CardRecord) -> _Group:
        return (span_of(now - (record.created_at if since == "made" else _changed_at(engine, record)), lasts),)

    sums = _credit(engine, scope, groups, now, age)
    if not groups:  # Who reads it expects every span.
        sums = {(span,): sums.get((span,), (0, 0, 0, 0)) for span in range(len(lasts) + 1)}
    named = [((spans(lasts)[group[0]], *group[1:]), values) for group, values in _in_order(sums)]
    rows, whole = added_up(CreditRow, ["age", *groups], named)

    return Report(**scope.report(engine, "Ageing of credit", ["age", *groups], now), rows=rows, total=whole)


def first_use_curve(
    engine: Engine,
    extension: str | None,
    start: Bound,
    end: Bound,
    *,
    days: Iterable[int],
    batch: str | None,
    zone: str,
) -> Report[UseRow]:
    """
    Count how soon cards were first used. See `Extension.first_use_curve`.
    """
    lasts = checked_days(days)
    scope = _Scope.of(engine, extension, batch=batch, start=start, end=end, zone=zone)
    now = engine.now()
    counts = [0] * (len(lasts) + 2)
    for record in card_records(engine, scope.cards(with_credit=False)):
        used_at = engine.records.checked(record).first_used_at
        counts[-1 if used_at is None else span_of(used_at - record.created_at, lasts)] += 1
    rows = []
    used = 0
    for name, count in zip([*spans(lasts), "never"], counts, strict=True):
        used += 0 if name == "never" else count
        rows.append(UseRow(age=name, cards=count, used=used))

    return Report(
        **scope.report(engine, "First use of cards", ["age"], now),
        rows=tuple(rows),
        total=UseRow(cards=sum(counts), used=used),
    )


def calls(
    engine: Engine,
    extension: str | None,
    start: Bound,
    end: Bound,
    *,
    card: CardCode | str | None,
    batch: str | None,
    zone: str,
) -> Iterator[ChargedCall]:
    """
    Give the charges of the ledger as calls. See `Extension.calls`.
    """
    scope = _Scope.of(engine, extension, batch=batch, card=card, start=start, end=end, zone=zone)

    return Calls(ChargedCall, (_call(engine, record) for record in _charges(engine, scope)))


def reveal_calls(
    engine: Engine,
    extension: str | None,
    start: Bound,
    end: Bound,
    *,
    card: CardCode | str | None,
    batch: str | None,
    zone: str,
) -> Iterator[RevealedCall]:
    """
    Give the charges of the ledger with the numbers that were called, audited before. See `Extension.reveal_calls`.
    """
    if not engine.actor:
        raise ActorRequiredError("reveal_calls")
    engine.refuse_joined("reveal_calls")
    scope = _Scope.of(engine, extension, batch=batch, card=card, start=start, end=end, zone=zone)
    detail: dict[str, Any] = {
        "started_from": scope.start,
        "started_before": scope.end,
        "batch": batch,
        "serial": None if card is None else serial_of(card),
    }
    asked = {name: value for name, value in detail.items() if value is not None}
    engine.commit(Changes(audit=engine.audited("reveal_calls", extension=extension or "", query=asked)))

    revealed = (
        RevealedCall(_call(engine, record), record.prefix + engine.records.rest(record))
        for record in _charges(engine, scope)
    )

    return Calls(RevealedCall, revealed)


# What is asked for


def _micros(bound: Bound, zone: tzinfo) -> int | None:
    if bound is None:
        return None
    if isinstance(bound, date) and not isinstance(bound, datetime):
        return midnight(bound, zone)

    return to_micros(bound)


def _batch(engine: Engine, extension: str | None, batch: str) -> str:
    # What is no batch may be a code that was given by mistake: it is not even looked for.
    id = batch_or_nothing(batch)
    facts = batch_facts(engine, engine.store.document(BATCH + id)) if id else None
    if facts is None or extension not in (None, facts.extension):
        raise UnknownBatchError(id)

    return id


def _card(engine: Engine, extension: str | None, card: CardCode | str) -> bytes:
    """
    Give the id of a card, which may have been removed: then its first entry still has its serial.
    """
    serial = serial_or_nothing(serial_of(card))
    record = engine.find_serials([serial]).get(serial) if serial else None
    if record is not None:
        found: CardRecord | EntryRecord | None = engine.records.checked(record)
    else:
        query = EntryQuery(batch=serial.partition("-")[0], kinds=frozenset({"initial"}))
        entries = entry_records(engine, query) if serial else iter(())
        found = next((entry for entry in entries if entry.serial == serial), None)
    if found is None or extension not in (None, found.extension):
        raise UnknownCardError(serial)

    return found.id if isinstance(found, CardRecord) else found.card


# Sums over the ledger


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


def _entries(scope: _Scope, kinds: frozenset[str], grouping: Literal["start", "period"]) -> EntryQuery:
    query = EntryQuery(extension=scope.extension, batch=scope.batch, card=scope.card, kinds=kinds)
    if grouping == "start":
        return attrs.evolve(query, started_from=scope.start, started_before=scope.end)

    return attrs.evolve(query, created_from=scope.start, created_before=scope.end)


def _grouped(engine: Engine, query: EntryQuery, groups: Sequence[str], time: _Time) -> Iterator[tuple[_Group, Total]]:
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

    def placed(total: Total, day: date) -> _Group:
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


def _by_serial(engine: Engine, groups: Sequence[str], sums: _Sums) -> _Sums:
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


def _add(sums: list[int], values: Sequence[int]) -> None:
    for place, value in enumerate(values):
        sums[place] += value


def _in_order(sums: _Sums) -> list[tuple[_Group, Sequence[int]]]:
    return sorted(sums.items(), key=lambda item: item[0])


# Sums over the cards


def _credit(
    engine: Engine,
    scope: _Scope,
    groups: Sequence[str],
    now: int,
    of: Callable[[CardRecord], _Group | None],
) -> _Sums:
    """
    Sum the credit of cards that have some.

    Args:
        engine: The book.

        scope: Which cards.

        groups: What they are grouped by.

        now: The moment.

        of: Gives what comes before that in each group; None for a card that does not count.
    """
    sums: defaultdict[_Group, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for stored in card_records(engine, scope.cards()):
        record = freed(engine.records.checked(stored), now)
        begin = of(record)
        if begin is None:
            continue
        is_unlimited = Credit.from_micros(record.credit).is_unlimited
        counted = (0, 0, 0, 1) if is_unlimited else (1, record.credit, record.held, 0)
        _add(sums[(*begin, *(getattr(record, name) for name in groups))], counted)

    return sums


def _changed_at(engine: Engine, record: CardRecord) -> int:
    """
    Tell when a card was last made, recharged, charged or let in for the first time, or a hold on it was released.
    """
    known = max(record.created_at, record.first_used_at or record.created_at)
    if record.sequence == 1:  # Nothing has happened to its credit since.
        return known
    # The cursor stands just before its newest entry.
    query = EntryQuery(card=record.id, after=(record.id, record.sequence - 1), limit=1)

    return max([known, *(entry.created_at for entry in engine.store.entries(query))])


def _unused_since(moment: int, days: int, now: int) -> bool:
    return cast("int", days_later(moment, days)) <= now


# Calls one by one


def _charges(engine: Engine, scope: _Scope) -> Iterator[EntryRecord]:
    query = attrs.evolve(_entries(scope, CHARGES, "start"), order="time")
    if query.extension is not None or query.card is not None:
        yield from entry_records(engine, query)
        return
    # By time stores find the entries of one extension: those of all they would sort at each page.
    extensions = [cast("str", total.group[0]) for total in engine.store.totals(query, ["extension"])]
    limit = min(query.limit, max(1, _AHEAD // max(1, len(extensions))))
    parts = (entry_records(engine, attrs.evolve(query, extension=number, limit=limit)) for number in extensions)
    yield from heapq.merge(*parts, key=query.position)


def _call(engine: Engine, record: EntryRecord) -> ChargedCall:
    entry: LedgerEntry = engine.records.entry(record)
    if entry.call is None:
        raise TamperedError(record.serial, "history")

    return ChargedCall(
        serial=entry.serial,
        extension=entry.extension,
        batch=entry.batch,
        destination=entry.call.prefix,
        started_at=entry.call.started_at,
        seconds=entry.call.seconds,
        charged_seconds=entry.call.charged_seconds,
        price=entry.call.price,
        deck=entry.call.deck,
        cost=-entry.amount,
        shortfall=entry.shortfall,
        credit_left=entry.credit_left,
        charged_at=entry.created_at,
    )
