"""
The life of cards between their making and their removal: when they expire, what is labeled, what has expired.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

import attrs

from voipcard.core.arguments import Progress, checked_integer
from voipcard.core.labels import checked_change, relabeled
from voipcard.core.moments import from_micros, to_micros
from voipcard.core.query import CardQuery
from voipcard.deciding import CHUNK, Decision
from voipcard.stores.contract import CardRecord, Changes, CounterChange
from voipcard.targets import Cards, Targets, in_chunks
from voipcard.transact import Engine

__all__ = ["disable_expired", "label_cards", "set_expiry"]


def set_expiry(
    engine: Engine,
    extension: str,
    cards: Cards,
    expires_at: datetime | None,
    *,
    operation: str | None,
    progress: Progress | None,
) -> int:
    """
    Set when cards expire. See `Extension.set_expiry`.
    """
    moment = None if expires_at is None else to_micros(expires_at)
    targets = Targets(engine, extension, cards, lambda record: record.expires_at != moment)

    def change(records: Sequence[CardRecord], _part: int) -> tuple[Changes, int]:
        return _replacing(engine, [record._replace(expires_at=moment) for record in records]), len(records)

    terms = {"expires_at": None if moment is None else from_micros(moment).isoformat()}

    def before(record: CardRecord) -> str | None:
        return None if record.expires_at is None else from_micros(record.expires_at).isoformat()

    return sum(
        in_chunks(targets, "set_expiry", change, operation=operation, progress=progress, terms=terms, before=before)
    )


def label_cards(
    engine: Engine,
    extension: str,
    cards: Cards,
    *,
    add: Iterable[str],
    remove: Iterable[str],
    operation: str | None,
    progress: Progress | None,
) -> int:
    """
    Add and remove labels of cards. See `Extension.label_cards`.
    """
    added, removed = checked_change(add, remove)

    def relabel(record: CardRecord) -> str:
        before = record.labels.split("\n") if record.labels else ()

        return "\n".join(relabeled(before, add=added, remove=removed))

    targets = Targets(engine, extension, cards, lambda record: relabel(record) != record.labels)

    def change(records: Sequence[CardRecord], _part: int) -> tuple[Changes, int]:
        return _replacing(engine, [record._replace(labels=relabel(record)) for record in records]), len(records)

    terms = {"add": added, "remove": removed}

    return sum(
        in_chunks(
            targets,
            "label_cards",
            change,
            operation=operation,
            progress=progress,
            terms=terms,
            before=lambda record: record.labels.split("\n") if record.labels else [],
        )
    )


def disable_expired(engine: Engine, extension: str | None, *, limit: int, operation: str | None) -> int:
    """
    Disable cards that have expired, of one extension or of all. See `CardBook.disable_expired`.
    """
    checked_integer("limit", limit, at_least=1, at_most=CHUNK)

    def decide(_: object) -> Decision[int]:
        query = CardQuery(extension=extension, enabled=True, expired=True, now=engine.now(), limit=limit)
        expired = [engine.records.checked(record) for record in engine.store.cards(query)]
        if not expired:
            return Decision(None, 0)
        changes = attrs.evolve(
            _replacing(engine, [record._replace(enabled=False) for record in expired]),
            counters=_freed(engine, expired),
            audit=engine.audited(
                "disable_expired",
                extension=extension or "",
                serials=[record.serial for record in expired],
                count=len(expired),
            ),
        )

        return Decision(changes, len(expired), len(expired))

    return engine.once("disable_expired", operation, lambda: [extension, limit], decide=decide, replay=int)


def _freed(engine: Engine, cards: Sequence[CardRecord]) -> list[CounterChange]:
    """
    Give what these cards no longer count, which may be of several extensions.
    """
    freed: Counter[str] = Counter()
    for extension, count in Counter(card.extension for card in cards).items():
        for change in engine.activating(extension, -count).counters:
            freed[change.key] += change.delta

    return [CounterChange(key, delta) for key, delta in sorted(freed.items())]


def _replacing(engine: Engine, cards: Sequence[CardRecord]) -> Changes:
    """
    Replace cards by what they are to be, of which the version is still that of before.
    """
    sign = engine.records.signed

    return Changes(replace=[(sign(card._replace(version=card.version + 1)), card.version) for card in cards])
