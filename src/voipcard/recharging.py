"""
Changing credit by hand: recharges, exactly once per order number, and transfers between two cards.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence

from voipcard.core.arguments import Progress, checked_text
from voipcard.core.cards import CardCode, serial_of
from voipcard.core.credit import Amount, Credit
from voipcard.core.ledger import LedgerEntry, recharged, transferred
from voipcard.core.query import EntryQuery
from voipcard.deciding import CHUNK, Decision, Reading
from voipcard.desk import Desk
from voipcard.errors import InvalidValueError, OperationConflictError
from voipcard.transact import Engine

__all__ = ["recharge", "recharge_many", "transfer"]


def recharge(engine: Engine, extension: str, card: CardCode | str, amount: Amount, *, order_number: str) -> LedgerEntry:
    """
    Recharge one card. See `Extension.recharge`.
    """
    order_number = checked_text("order_number", order_number)
    asked = [_parsed((card, amount))]
    keys = _order_keys(engine, asked, order_number)
    decide = _recharging(engine, extension, asked, order_number, keys=keys)
    [entry] = engine.decider.run(decide, cards=[asked[0][0]], operations=keys)

    return entry


def recharge_many(
    engine: Engine,
    extension: str,
    amounts: Iterable[tuple[CardCode | str, Amount]],
    *,
    order_number: str,
    operation: str | None,
    progress: Progress | None = None,
) -> list[LedgerEntry]:
    """
    Recharge cards, at most 1,000 in a commit. See `Extension.recharge_many`.
    """
    order_number = checked_text("order_number", order_number)
    # Every amount is parsed before the first commit.
    asked = [_parsed(change) for change in amounts]
    if len(asked) > CHUNK and operation is None:
        engine.refuse_unknown(extension, [serial for serial, _ in asked])
    entries: list[LedgerEntry] = []
    for part, chunk in enumerate(_chunks(asked)):
        keys = [] if operation else _order_keys(engine, chunk, order_number)
        decide = _recharging(engine, extension, chunk, order_number, keys=keys, count=len(asked), part=part)
        done: list[LedgerEntry] = engine.once(
            "recharge",
            operation,
            lambda: [extension, order_number, [[serial, str(amount)] for serial, amount in asked]],
            decide=decide,
            replay=lambda memo: _replayed(engine, memo),
            cards=[serial for serial, _ in chunk],
            operations=keys,
            part=part,
        )
        entries += done
        if progress:
            progress(len(entries), len(asked))

    return entries


def transfer(
    engine: Engine,
    extension: str,
    source: CardCode | str,
    target: CardCode | str,
    amount: Amount,
    *,
    order_number: str,
    operation: str | None,
) -> tuple[LedgerEntry, LedgerEntry]:
    """
    Move credit from one card to another. See `Extension.transfer`.
    """
    order_number = checked_text("order_number", order_number)
    moved = Credit(amount)
    serials = (serial_of(source), serial_of(target))
    if serials[0] == serials[1]:
        raise InvalidValueError("target", "has to be another card")

    def decide(reading: Reading) -> Decision[list[LedgerEntry]]:
        desk = Desk(engine, extension, reading.cards)
        before = tuple(desk.balance(serial) for serial in serials)
        after = transferred(before[0], before[1], moved, serials=serials)
        for serial, balance, change in zip(serials, after, (-moved, moved), strict=True):
            desk.post(serial, balance, kind="transfer", amount=change, order_number=order_number)

        told = {
            name: [str(balance.credit) for balance in balances]
            for name, balances in (("before", before), ("after", after))
        }

        changes = desk.changes("transfer", serials=serials, amount=str(moved), order_number=order_number, **told)

        return Decision(changes, desk.answers, desk.memo)

    content = [extension, serials, str(moved), order_number]
    taken, given = engine.once(
        "transfer",
        operation,
        lambda: content,
        decide=decide,
        replay=lambda memo: _replayed(engine, memo),
        cards=serials,
    )

    return taken, given


def _recharging(
    engine: Engine,
    extension: str,
    asked: Sequence[tuple[str, Credit]],
    order_number: str,
    *,
    keys: Sequence[bytes],
    count: int = 1,
    part: int = 0,
) -> Callable[[Reading], Decision[list[LedgerEntry]]]:
    """
    Make the decision about one commit of recharges.

    Args:
        engine: The book.

        extension: The extension of the cards.

        asked: Serials, each with what to add; at most 1,000.

        order_number: The order that pays for it.

        keys: The operation of each recharge, if the order number makes it happen once; else none.

        count: How many recharges the call is about.

        part: Which of its commits this is, from 0.
    """

    def decide(reading: Reading) -> Decision[list[LedgerEntry]]:
        desk = Desk(engine, extension, reading.cards)
        for (serial, amount), key in itertools.zip_longest(asked, keys):
            if key in reading.operations or key in desk.keys:
                done = desk.done_before(key, serial)
                if done.amount != amount.micros or done.kind != "recharge":
                    raise OperationConflictError("recharge", serial)
                desk.replay(done)
            else:
                balance = recharged(desk.balance(serial), amount, serial=serial)
                desk.post(serial, balance, kind="recharge", amount=amount, order_number=order_number, key=key)
                if amount.micros > 0:
                    desk.prolong(serial)
        if not desk.posted:
            return Decision(None, desk.answers)
        if count == 1:
            [(serial, amount)] = asked
            what: dict[str, object] = {"serial": serial, "amount": str(amount), **desk.credits(serial)}
        else:
            serials, amounts = [serial for serial, _ in asked], [str(amount) for _, amount in asked]
            what = {"serials": serials, "amounts": amounts, "count": count}
            if part:
                what["part"] = part + 1

        return Decision(desk.changes("recharge", order_number=order_number, **what), desk.answers, desk.memo)

    return decide


def _replayed(engine: Engine, memo: Iterable[tuple[str, int]]) -> list[LedgerEntry]:
    entries = []
    for card, sequence in memo:
        # The cursor stands just before the entry.
        query = EntryQuery(card=bytes.fromhex(card), after=(bytes.fromhex(card), sequence - 1), limit=1)
        entries += [engine.records.entry(entry, replayed=True) for entry in engine.store.entries(query)]

    return entries


def _order_keys(engine: Engine, asked: Sequence[tuple[str, Credit]], order_number: str) -> list[bytes]:
    if not order_number:
        return []

    return [engine.records.operation("order", str(serial), order_number) for serial, _ in asked]


def _parsed(change: tuple[CardCode | str, Amount]) -> tuple[str, Credit]:
    if isinstance(change, str) or len(change) != 2:  # noqa: PLR2004  (a pair)
        raise InvalidValueError("amounts", "have to be pairs of a card and what to add to it")

    return serial_of(change[0]), Credit(change[1])


def _chunks(asked: Sequence[tuple[str, Credit]]) -> Iterator[Sequence[tuple[str, Credit]]]:
    for start in range(0, len(asked), CHUNK):
        yield asked[start : start + CHUNK]
