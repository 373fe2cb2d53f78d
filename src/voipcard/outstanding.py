"""
Reports of what is left on cards, and of how soon they were used: in one pass over the cards, a page at a time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, cast, get_args

from voipcard.core.arguments import checked_integer
from voipcard.core.credit import Credit
from voipcard.core.moments import days_later
from voipcard.core.query import EntryQuery
from voipcard.core.reports import (
    CreditGroup,
    CreditRow,
    Report,
    UseRow,
    added_up,
    checked_days,
    checked_groups,
    span_of,
    spans,
)
from voipcard.desk import freed
from voipcard.errors import InvalidValueError
from voipcard.scopes import Bound, Group, Scope, Sums, add, in_order
from voipcard.searching import card_records
from voipcard.stores.contract import CardRecord
from voipcard.transact import Engine

__all__ = ["ageing", "breakage", "first_use_curve", "liability"]

_CREDITS: Final[tuple[str, ...]] = get_args(CreditGroup)


def liability(
    engine: Engine, extension: str | None, *, by: str | Iterable[str], batch: str | None
) -> Report[CreditRow]:
    """
    Sum the credit on cards. See `Extension.liability`.
    """
    groups = checked_groups(by, _CREDITS)
    scope = Scope.of(engine, extension, batch=batch)
    now = engine.now()
    sums = _credit(engine, scope, groups, now, lambda _: ())
    rows, whole = added_up(CreditRow, groups, in_order(sums))

    return Report(**scope.report(engine, "Outstanding credit", groups, now), rows=rows, total=whole)


def breakage(
    engine: Engine, extension: str | None, *, unused_days: int, by: str | Iterable[str], batch: str | None
) -> Report[CreditRow]:
    """
    Sum the credit that will hardly be used any more. See `Extension.breakage`.
    """
    checked_integer("unused_days", unused_days, at_least=1)
    groups = checked_groups(by, _CREDITS)
    scope = Scope.of(engine, extension, batch=batch)
    now = engine.now()

    def reason(record: CardRecord) -> Group | None:
        if record.expires_at is not None and record.expires_at <= now:
            return ("expired",)
        # The last change is only looked for where the card itself does not tell that it was used since.
        if _unused_since(record.first_used_at or record.created_at, unused_days, now) and _unused_since(
            _changed_at(engine, record), unused_days, now
        ):
            return ("unused",)

        return None

    sums = _credit(engine, scope, groups, now, reason)
    rows, whole = added_up(CreditRow, ["reason", *groups], in_order(sums))

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
    scope = Scope.of(engine, extension, batch=batch)
    now = engine.now()

    def age(record: CardRecord) -> Group:
        return (span_of(now - (record.created_at if since == "made" else _changed_at(engine, record)), lasts),)

    sums = _credit(engine, scope, groups, now, age)
    if not groups:  # Who reads it expects every span.
        sums = {(span,): sums.get((span,), (0, 0, 0, 0)) for span in range(len(lasts) + 1)}
    named = [((spans(lasts)[group[0]], *group[1:]), values) for group, values in in_order(sums)]
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
    scope = Scope.of(engine, extension, batch=batch, start=start, end=end, zone=zone)
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


def _credit(
    engine: Engine,
    scope: Scope,
    groups: Sequence[str],
    now: int,
    of: Callable[[CardRecord], Group | None],
) -> Sums:
    """
    Sum the credit of cards that have some.

    Args:
        engine: The book.

        scope: Which cards.

        groups: What they are grouped by.

        now: The moment.

        of: Gives what comes before that in each group; None for a card that does not count.
    """
    sums: defaultdict[Group, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for stored in card_records(engine, scope.cards()):
        record = freed(engine.records.checked(stored), now)
        begin = of(record)
        if begin is None:
            continue
        is_unlimited = Credit.from_micros(record.credit).is_unlimited
        counted = (0, 0, 0, 1) if is_unlimited else (1, record.credit, record.held, 0)
        add(sums[(*begin, *(getattr(record, name) for name in groups))], counted)

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
