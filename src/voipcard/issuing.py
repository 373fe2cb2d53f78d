"""
Making cards: drawing codes and PINs, adding codes of one's own, sealing both and committing them at once.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Final

import attrs

from voipcard.batches import creation
from voipcard.core.arguments import Progress, checked_integer, checked_text
from voipcard.core.batches import Batch
from voipcard.core.cards import Kind, NewCard, initial_credit
from voipcard.core.codes import DIGITS, UNAMBIGUOUS, CodeFormat, draw_codes, refuse_crowded, refuse_guessable
from voipcard.core.credit import Amount
from voipcard.core.drawing import draw_text
from voipcard.core.license import Quota
from voipcard.core.pins import PinFormat, check_pin, draw_pins
from voipcard.core.uploads import MAX_PROBLEM_LIMIT, OnError, Upload, UploadReport, refused
from voipcard.deciding import Decision, Reading
from voipcard.errors import (
    CardExistsError,
    DuplicateError,
    InvalidCodeError,
    StaleError,
    StoreError,
    WeakPinError,
)
from voipcard.handing import HandoutFile
from voipcard.names import ACTIVE, BATCH, CARDS, KEYRING
from voipcard.records import Records
from voipcard.registry import ExtensionFacts, as_stored, facts_of
from voipcard.sealing import Handouts, Rows, Sealing, Terms
from voipcard.searching import handouts_of_batch
from voipcard.stores.contract import Changes, CounterChange
from voipcard.transact import Engine

if TYPE_CHECKING:
    from voipcard.sheets import Format

__all__ = ["add", "generate", "upload"]

_BATCH_LENGTH: Final = 4


def generate(
    engine: Engine,
    extension: str,
    count: int,
    common: Terms,
    *,
    code_format: CodeFormat,
    pin_format: PinFormat,
    credit: Amount,
    order_number: str,
    operation: str | None,
    to: str | os.PathLike[str] | None,
    format_: Format | None,
    dry_run: bool,
    progress: Progress | None,
) -> Batch:
    """
    Draw codes and PINs and make cards of them. See `Extension.generate`.
    """
    checked_integer("count", count, at_least=1)
    initial = initial_credit(credit)
    order_number = checked_text("order_number", order_number)
    keeps_pins = engine.facts.keeps_pins or not pin_format.length
    file = None if to is None else HandoutFile(to, format_, keeps_pins=keeps_pins)
    if file:
        engine.refuse_joined("generate")
    before: Rows | None = None

    def rows(facts: ExtensionFacts, records: Records, refusal: StoreError | None) -> Rows:
        nonlocal before
        codes = before.codes if before else draw_codes(code_format, count, engine.draw)
        taken = refusal.indexes if isinstance(refusal, DuplicateError) else frozenset()
        free = _free(engine, facts, records, code_format, codes, taken=taken)
        if before and free is codes:
            return before
        codes = free
        pins = draw_pins(codes, pin_format, engine.draw)
        before = Rows(["code"] * count, codes, pins, [initial] * count, [order_number] * count, [common] * count)

        return before

    def decide(reading: Reading) -> Decision[Batch]:
        facts = facts_of(engine, extension)
        counters = engine.store.counters([f"{CARDS}/{extension}", f"{ACTIVE}/{extension}"])
        refuse_crowded(code_format, counters[f"{CARDS}/{extension}"] + count, policy=engine.policy)
        active = counters[f"{ACTIVE}/{extension}"] + count
        refuse_guessable(code_format, active, pin_length=pin_format.length, policy=engine.policy)
        engine.refuse_over_quota(extension, count * common.enabled)
        if dry_run:
            return Decision(None, Batch("", extension, count, handouts=()))

        records = engine.writing(reading)
        drawn = rows(facts, records, reading.refusal)

        return _issued(engine, facts, records, drawn, "generate", refusal=reading.refusal, progress=progress)

    def replay(memo: Mapping[str, Any]) -> Batch:
        return _replayed(engine, extension, memo, dry_run=dry_run)

    asked = [extension, count, attrs.astuple(code_format), pin_format.length, str(initial), order_number]

    with file.kept_unless_refused() if file else nullcontext():
        return engine.once(
            "generate",
            operation,
            # Where the file is to be is not what is asked for: done again, it may be another place.
            lambda: [*asked, common.content()],
            decide=file.written(decide) if file else decide,
            replay=file.written_again(replay) if file else replay,
            dry_run=dry_run,
        )


def add(
    engine: Engine,
    extension: str,
    cards: Sequence[NewCard],
    common: Terms,
    *,
    code_format: CodeFormat | None,
    allow_weak_pins: bool,
    operation: str | None,
    dry_run: bool,
    progress: Progress | None,
) -> Batch:
    """
    Make cards of codes of one's own. See `Extension.add`.
    """
    wanted = _as_stored(engine, extension, cards)
    _refuse_unfit(wanted, code_format, allow_weak_pins=allow_weak_pins)
    rows = Rows.of(wanted, common)

    def decide(reading: Reading) -> Decision[Batch]:
        facts = facts_of(engine, extension)
        records = engine.writing(reading)
        if known := _known(engine, facts, records, rows, is_final=dry_run):
            raise CardExistsError(tuple(position + 1 for position in known))
        engine.refuse_over_quota(extension, rows.active)
        if dry_run:
            return Decision(None, Batch("", extension, len(rows), handouts=()))

        return _issued(engine, facts, records, rows, "add", refusal=reading.refusal, progress=progress)

    return engine.once(
        "add",
        operation,
        lambda: [
            extension,
            [[card.kind, card.code, card.pin, str(card.credit), card.order_number] for card in cards],
            [terms.content() for terms in rows.terms],
        ],
        decide=decide,
        replay=lambda memo: _replayed(engine, extension, memo, dry_run=dry_run),
        dry_run=dry_run,
    )


def upload(
    engine: Engine,
    extension: str,
    found: Upload,
    common: Terms,
    *,
    on_error: OnError,
    problem_limit: int,
    operation: str | None,
    dry_run: bool,
    progress: Progress | None,
) -> Batch:
    """
    Make cards of what was read from a file. See `Extension.upload`.
    """
    content = [extension, found.digest.hex(), common.content(), on_error]

    def decide(reading: Reading) -> Decision[Batch]:
        facts = facts_of(engine, extension)
        cards = _as_stored(engine, extension, found.cards)
        rows = Rows.of(cards, common)
        records = engine.writing(reading)
        existing = _known(engine, facts, records, rows, is_final=dry_run)
        if cards is not found.cards:  # Numbers that were written differently in the file may be the same.
            existing = sorted({*existing, *_coming_again(cards)})
        if existing:
            known = set(existing)
            rows = Rows.of([card for at, card in enumerate(cards) if at not in known], common)
        quota = engine.quota(extension)
        memo = {
            "existing": existing[:MAX_PROBLEM_LIMIT],
            "existing_count": len(existing),
            "quota": [quota.limit, quota.active + rows.active],
        }
        report = reported(memo)
        if report.rejected and on_error == "refuse":
            raise refused(report)
        engine.refuse_over_quota(extension, rows.active)
        if dry_run or not rows:
            return Decision(None, Batch("", extension, len(rows), (), report))
        decision = _issued(
            engine,
            facts,
            records,
            rows,
            "upload",
            refusal=reading.refusal,
            progress=progress,
            rejected=report.rejected,
        )

        return attrs.evolve(
            decision, answer=attrs.evolve(decision.answer, report=report), memo={**decision.memo, **memo}
        )

    def reported(memo: Mapping[str, Any]) -> UploadReport:
        return found.report(memo["existing"], memo["existing_count"], limit=problem_limit, quota=Quota(*memo["quota"]))

    return engine.once(
        "upload",
        # Without a name, the content says what is to happen once. Only digests under a key of the book are stored.
        operation if operation is not None else json.dumps(content).encode(),
        lambda: content,
        decide=decide,
        replay=lambda memo: _replayed(engine, extension, memo, reported(memo), dry_run=dry_run),
        dry_run=dry_run,
    )


def _refuse_unfit(cards: Sequence[NewCard], code_format: CodeFormat | None, *, allow_weak_pins: bool) -> None:
    """
    Refuse codes that do not fit the format, weak PINs, and codes that the request has twice.
    """
    for row, card in enumerate(cards, 1):
        try:
            if code_format is not None and not card.caller_id:
                code_format.check(card.code)
            check_pin(card.pin, card.code, allow_weak=allow_weak_pins)
        except (InvalidCodeError, WeakPinError) as error:
            raise type(error)(error.name, error.reason, row if len(cards) > 1 else 0) from None
    if repeated := _repeated(cards):
        raise CardExistsError(repeated)


def _repeated(cards: Sequence[NewCard]) -> tuple[int, ...]:
    counts = Counter((card.kind, card.code) for card in cards)

    return tuple(row for row, card in enumerate(cards, 1) if counts[card.kind, card.code] > 1)


def _coming_again(cards: Sequence[NewCard]) -> list[int]:
    """
    Give where cards are among the request that it had before, counted from 0.
    """
    met: set[tuple[Kind, str]] = set()
    again = []
    for position, card in enumerate(cards):
        if (card.kind, card.code) in met:
            again.append(position)
        met.add((card.kind, card.code))

    return again


def _as_stored(engine: Engine, extension: str, cards: Sequence[NewCard]) -> Sequence[NewCard]:
    if not any(card.caller_id for card in cards):
        return cards
    facts = facts_of(engine, extension)

    return [as_stored(facts, card) for card in cards] if facts.settings.region else cards


def _known(engine: Engine, facts: ExtensionFacts, records: Records, rows: Rows, *, is_final: bool = False) -> list[int]:
    """
    Give where cards that exist already are among the rows, in their order.

    Args:
        engine: The book.

        facts: The extension.

        records: What the rows would be written with.

        rows: The rows.

        is_final: Whether no commit follows, which would be refused if there are other keys by now.
    """
    if not facts.version:
        return []
    while True:
        keys, found = records.keyring, set[int]()
        for number in keys.live:
            codes = zip(rows.kinds, rows.codes, strict=True)
            indexes = [keys.index(facts.id, kind, code, number=number) for kind, code in codes]
            known = engine.store.known(indexes=indexes)
            found.update(position for position, index in enumerate(indexes) if index in known)
        if not (is_final and records.renew(engine.store.document(KEYRING), keys)):
            return sorted(found)


def _free(
    engine: Engine,
    facts: ExtensionFacts,
    records: Records,
    code_format: CodeFormat,
    codes: Sequence[str],
    *,
    taken: frozenset[bytes],
) -> Sequence[str]:
    """
    Draw again the codes that are taken: by what a commit was refused for, or under an older key, which no commit is.
    """
    keys, id = records.keyring, facts.id
    older = keys.live[:-1] if facts.version else ()
    while taken or older:
        for number in older:
            indexes = [keys.index(id, "code", code, number=number) for code in codes]
            taken |= engine.store.known(indexes=indexes)  # type: ignore[operator]  # indexes were asked for
        kept = [code for code in codes if taken.isdisjoint(keys.indexes(id, "code", code))]
        if len(kept) == len(codes):
            break
        codes = kept + draw_codes(code_format, len(codes) - len(kept), engine.draw, besides=codes)
        taken = frozenset()

    return codes


def _issued(
    engine: Engine,
    facts: ExtensionFacts,
    records: Records,
    rows: Rows,
    verb: str,
    *,
    refusal: StoreError | None,
    progress: Progress | None,
    **detail: int,
) -> Decision[Batch]:
    batch = _drawn_batch(engine, refusal)
    handouts = Handouts(facts.number, batch, rows)
    expiry = facts.settings.expiry if rows.expiry is None else rows.expiry
    sealing = Sealing(engine, facts, records, handouts, expiry=expiry, progress=progress)
    document = creation(engine, batch, extension=facts.number, size=len(rows), now=sealing.now, expiry=expiry)
    active = engine.activating(facts.number, rows.active)
    orders, amounts = set(rows.order_numbers), set(rows.credits)
    changes = attrs.evolve(
        active,
        new=sealing,
        require=[*active.require, records.requirement],
        documents=[document, *facts.creation(engine)],
        counters=[*active.counters, CounterChange(f"{CARDS}/{facts.number}", len(rows))],
        audit=engine.audited(
            verb,
            extension=facts.number,
            batch=batch,
            count=len(rows),
            active=rows.active,
            credit=str(amounts.pop()) if len(amounts) == 1 else "",
            order_number=orders.pop() if len(orders) == 1 else "",
            **detail,
        ),
    )
    answer = Batch(batch, facts.number, len(rows), handouts)

    return Decision(changes, answer, {"batch": batch, "size": len(rows)})


def _replayed(
    engine: Engine,
    extension: str,
    memo: Mapping[str, Any],
    report: UploadReport | None = None,
    *,
    dry_run: bool,
) -> Batch:
    """
    Give the cards of a batch out again, as far as they are still there; that is audited first.
    """
    batch = memo["batch"]
    if dry_run or not batch:
        return Batch("", extension, memo["size"], (), report, replayed=True)
    engine.refuse_joined("replay")
    engine.commit(Changes(audit=engine.audited("replay", extension=extension, batch=batch, count=memo["size"])))

    return Batch(batch, extension, memo["size"], handouts_of_batch(engine, batch), report, replayed=True)


def _drawn_batch(engine: Engine, refusal: StoreError | None) -> str:
    """
    Draw the id of a batch: a letter first, so that no serial looks like a code; a longer one where one was taken.
    """
    is_taken = isinstance(refusal, StaleError) and any(key.startswith(BATCH) for key in refusal.documents)
    letter = draw_text(UNAMBIGUOUS.lstrip(DIGITS), 1, engine.draw)

    return letter + draw_text(UNAMBIGUOUS, _BATCH_LENGTH - 1 + is_taken, engine.draw)
