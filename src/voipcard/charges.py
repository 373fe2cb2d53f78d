"""
The calls that were charged, one by one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Any, Final, cast

import attrs

from voipcard.core.cards import CardCode, serial_of
from voipcard.core.reports import Calls, ChargedCall, RevealedCall
from voipcard.errors import ActorRequiredError, TamperedError
from voipcard.scopes import CHARGES, Bound, Scope
from voipcard.searching import entry_records
from voipcard.stores.contract import Changes, EntryRecord
from voipcard.transact import Engine

__all__ = ["calls", "reveal_calls"]

_AHEAD: Final = 20_000
"""How many charges are in memory at most, where those of several extensions are put in one order."""


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
    scope = Scope.of(engine, extension, batch=batch, card=card, start=start, end=end, zone=zone)

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
    scope = Scope.of(engine, extension, batch=batch, card=card, start=start, end=end, zone=zone)
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


def _charges(engine: Engine, scope: Scope) -> Iterator[EntryRecord]:
    query = attrs.evolve(scope.entries(CHARGES, "start"), order="time")
    if query.extension is not None or query.card is not None:
        yield from entry_records(engine, query)
        return
    # By time stores find the entries of one extension: those of all they would sort at each page.
    extensions = [cast("str", total.group[0]) for total in engine.store.totals(query, ["extension"])]
    limit = min(query.limit, max(1, _AHEAD // max(1, len(extensions))))
    parts = (entry_records(engine, attrs.evolve(query, extension=number, limit=limit)) for number in extensions)
    yield from heapq.merge(*parts, key=query.position)


def _call(engine: Engine, record: EntryRecord) -> ChargedCall:
    entry = engine.records.entry(record)
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
