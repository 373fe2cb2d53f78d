"""
Records made from numbers: the same number gives the same record in every process.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from typing import Any, Final, TypeAlias, TypeVar, overload

import attrs

from voipcard.core.query import CardQuery, EntryQuery, Position
from voipcard.stores.contract import AuditRecord, CardRecord, Changes, CounterChange, Document, EntryRecord, Store

__all__ = [
    "EPOCH",
    "Flood",
    "audit",
    "begin_steps",
    "card",
    "charged",
    "contents",
    "contents_after",
    "entry",
    "every_audit",
    "every_document",
    "new",
    "operation",
    "page_of",
    "paged",
    "recharged",
    "removed_version",
    "rewritten",
    "step",
    "tally_after",
]

EPOCH: Final = 1_700_000_000_000_001
"""The moment of card 0. Odd, so that whoever loses microseconds is noticed."""

TALLY: Final = 1_000_000_000
"""The number of the card that counts the steps."""

PER_STEP: Final = 20

Q = TypeVar("Q", CardQuery, EntryQuery)
R = TypeVar("R")
Reader: TypeAlias = Callable[[Q], Sequence[R]]
Contents: TypeAlias = tuple[list[CardRecord], list[EntryRecord], list[Document], list[AuditRecord], list[int]]


def _bytes(name: str, number: int) -> bytes:
    return blake2b(f"{name} {number}".encode(), digest_size=16).digest()


def card(number: int) -> CardRecord:
    """
    Make a new card. Its id grows with *number*, its index does not.
    """
    return CardRecord(
        id=number.to_bytes(16, "big"),
        serial=f"K7QX-{number:06}",
        extension="0003*215",
        batch="K7QX",
        kind="code",
        index=_bytes("index", number),
        sealed_code=_bytes("code", number),
        pin_mac=_bytes("pin", number),
        sealed_pin=_bytes("sealed pin", number),
        key=1,
        enabled=True,
        credit=10_000_000,
        total_credit=10_000_000,
        held=0,
        holds=b"",
        next_hold_expiry=None,
        recharge_count=0,
        created_at=EPOCH + number,
        first_used_at=None,
        expires_at=None,
        order_number="PO-117",
        labels="",
        sequence=1,
        chain=_bytes("chain", number),
        version=1,
        mac=_bytes("mac", number),
    )


def entry(card: CardRecord, amount: int | None = None) -> EntryRecord:
    """
    Make the newest entry of *card*: its initial credit, or a change by *amount*.
    """
    return EntryRecord(
        card=card.id,
        sequence=card.sequence,
        extension=card.extension,
        batch=card.batch,
        serial=card.serial,
        kind="initial" if amount is None else "recharge",
        amount=card.credit if amount is None else amount,
        credit_left=card.credit,
        held_left=card.held,
        order_number=card.order_number,
        operation=None,
        created_at=card.created_at + card.sequence,
        actor="alice",
        prefix="",
        sealed_rest=b"",
        started_at=None,
        seconds=None,
        charged_seconds=None,
        rate=None,
        tariff="",
        shortfall=None,
        mac=card.chain,
    )


def new(*numbers: int) -> list[tuple[CardRecord, EntryRecord]]:
    """
    Make new cards with their initial entries.
    """
    return [(card(number), entry(card(number))) for number in numbers]


def recharged(card: CardRecord, amount: int = 1) -> tuple[CardRecord, EntryRecord]:
    """
    Make what a recharge of *card* writes: the card as it is then, and the entry.
    """
    after = card._replace(
        credit=card.credit + amount,
        total_credit=card.total_credit + amount,
        recharge_count=card.recharge_count + 1,
        sequence=card.sequence + 1,
        version=card.version + 1,
    )

    return after, entry(after, amount)


def charged(
    card: CardRecord, amount: int = 1, *, shortfall: int | None = None, started_at: int = EPOCH
) -> tuple[CardRecord, EntryRecord]:
    """
    Make what the end of a call on *card* writes: the card as it is then, without holds, and the entry.

    The call took longer than is charged.
    """
    after = card._replace(
        credit=card.credit - amount,
        held=0,
        holds=b"",
        next_hold_expiry=None,
        sequence=card.sequence + 1,
        version=card.version + 1,
    )
    charge = entry(after, -amount)._replace(
        kind="charge",
        order_number="",
        prefix="407",
        sealed_rest=_bytes("rest", card.sequence),
        started_at=started_at,
        seconds=61,
        charged_seconds=60,
        rate=20_000,
        tariff="retail",
        shortfall=shortfall,
    )

    return after, charge


def rewritten(number: int, times: int) -> CardRecord:
    """
    Make the card *number* as it is after so many replacements, each of which changes every field but the id.

    What may be None is so at first, then a moment, then another one, then None again; other fields become empty and are
    filled again in the same way.
    """
    if times == 0:
        return card(number)
    name, third = f"{times} times {number}", times % 3

    return card(number)._replace(
        serial=f"K7QY-{number + times:06}",
        extension=f"0003*{300 + times}",
        batch=f"B{times:03}",
        kind=("code", "caller_id")[times % 2],
        index=_bytes(f"index {times}", number),
        sealed_code=_bytes("code", times) + name.encode(),
        pin_mac=(_bytes("pin", number), b"", name.encode())[third],
        sealed_pin=(_bytes("sealed pin", number), b"", b"sealed " + name.encode())[third],
        key=1 + times,
        enabled=times % 2 == 0,
        credit=10_000_001 + times,
        total_credit=20_000_002 + times,
        held=(0, 1_000_003, 2_000_004)[third],
        holds=(b"", b"held", b"held otherwise")[third],
        next_hold_expiry=(None, EPOCH + 5, EPOCH - 6)[third],
        recharge_count=7 + times,
        created_at=EPOCH + number + 1_000 * times,
        first_used_at=(None, EPOCH + 7, EPOCH - 8)[third],
        expires_at=(None, EPOCH + 9, EPOCH - 10)[third],
        order_number=f"PO-117-{times}",
        labels=("", "vip", "vip\nresold")[third],
        sequence=1 + times,
        chain=_bytes(f"chain {times}", number),
        version=1 + times,
        mac=_bytes(f"mac {times}", number),
    )


def removed_version(card: CardRecord) -> tuple[bytes, int]:
    """
    Name *card* and its version, as `Changes.remove` wants them.
    """
    return card.id, card.version


def operation(number: int) -> bytes:
    """
    Make the key of an operation.
    """
    return _bytes("operation", number)


def audit(number: int) -> AuditRecord:
    """
    Make an audit entry. Its id grows with *number*.
    """
    return AuditRecord(
        id=number.to_bytes(16, "big"),
        created_at=EPOCH + number,
        actor="alice",
        verb="reveal",
        extension="0003*215",
        detail=f'{{"number": {number}}}',
        mac=_bytes("audit", number),
    )


def tally_after(steps: int) -> CardRecord:
    """
    Make the card that counts the steps, as it is after so many of them.
    """
    made = card(TALLY)

    return made._replace(credit=made.credit + steps, sequence=1 + steps, version=1 + steps)


def step(number: int) -> Changes:
    """
    Make a commit that writes something of every kind, the step *number* of a row that begins with 1.

    What it leaves for the next step to forget is a document of its own.
    """
    tally = tally_after(number)
    kept = Document(f"step/{number:06}", bytes(number), version=1)

    return Changes(
        new=new(*range(number * PER_STEP, (number + 1) * PER_STEP)),
        replace=[(tally, tally.version - 1)],
        entries=[entry(tally, 1)._replace(operation=operation(number))],
        documents=[(kept, 0), (_passing(number), 0)],
        forget=[(_passing(number - 1).key, 1)] if number > 1 else [],
        counters=[CounterChange("steps", 1, ceiling=number)],
        audit=[audit(number)],
    )


def _passing(number: int) -> Document:
    return Document(f"passing/{number:06}", b"", version=1, expires_at=EPOCH + number)


def begin_steps(store: Store) -> None:
    """
    Write what the steps go on from.
    """
    tally = tally_after(0)
    store.commit(Changes(new=[(tally, entry(tally))]))


def contents_after(steps: int) -> Contents:
    """
    Make what a store holds after so many steps.
    """
    numbers = range(1, steps + 1)
    made = [pair for number in numbers for pair in step(number).new]
    tallied = [entry(tally_after(0)), *(each for number in numbers for each in step(number).entries)]

    return (
        [*(card for card, _ in made), tally_after(steps)],
        [*(each for _, each in made), *tallied],
        [*map(_passing, numbers[-1:]), *(step(number).documents[0][0] for number in numbers)],
        [audit(number) for number in numbers],
        [steps, 0],
    )


@attrs.frozen
class Flood:
    """
    Very many new cards that are made while they are iterated, and can be iterated again.

    Attributes:
        size: How many.
        first: The number of the first.
        repeat: The number of the card whose index the last one repeats; None if it repeats none.
    """

    size: int
    first: int = 0
    repeat: int | None = None

    def __iter__(self) -> Iterator[tuple[CardRecord, EntryRecord]]:
        for number in range(self.first, self.first + self.size):
            made = card(number)._replace(batch="FLOOD")
            if self.repeat is not None and number == self.first + self.size - 1:
                made = made._replace(index=card(self.repeat).index)
            yield made, entry(made)


def page_of(query: Q, after: Position | None, limit: int) -> Q:
    """
    Ask for another page of the same search.
    """
    page = copy.copy(query)
    # `attrs.evolve` would take millionths for whole units.
    object.__setattr__(page, "after", after)
    object.__setattr__(page, "limit", limit)

    return page


@overload
def paged(read: Reader[CardQuery, CardRecord], query: CardQuery, limit: int, at_most: int) -> list[CardRecord]: ...
@overload
def paged(read: Reader[EntryQuery, EntryRecord], query: EntryQuery, limit: int, at_most: int) -> list[EntryRecord]: ...
def paged(read: Reader[Any, Any], query: CardQuery | EntryQuery, limit: int, at_most: int) -> list[Any]:
    """
    Read page after page up to the first empty one.

    Raises:
        AssertionError: If a page is longer than *limit*, or shorter without being the last one, or there are more than
            *at_most* records.
    """
    records: list[Any] = []
    after = query.after
    while page := read(page_of(query, after, limit)):  # type: ignore[type-var]
        _check_full(len(records), limit)
        records += page
        after = query.position(page[-1])
        assert len(page) <= limit, "a page is longer than its limit"
        assert len(records) <= at_most, "the pages give more records than there are: they repeat some"

    return records


def every_document(store: Store, prefix: str = "", limit: int = 1000, expired_at: int | None = None) -> list[Document]:
    """
    Read all documents, or all that have expired, page by page, as `paged` does.
    """
    documents: list[Document] = []
    after = ""
    while page := store.documents(prefix, after=after, limit=limit, expired_at=expired_at):
        assert page[-1].key > after, "a page of documents does not go on after the one before"
        assert len(page) <= limit, "a page is longer than its limit"
        _check_full(len(documents), limit)
        documents += page
        after = page[-1].key

    return documents


def every_audit(store: Store, limit: int = 1000) -> list[AuditRecord]:
    """
    Read the whole audit trail, page by page, as `paged` does.
    """
    trail: list[AuditRecord] = []
    after = b""
    while page := store.audit(after=after, limit=limit):
        assert page[-1].id > after, "a page of the audit trail does not go on after the one before"
        assert len(page) <= limit, "a page is longer than its limit"
        _check_full(len(trail), limit)
        trail += page
        after = page[-1].id

    return trail


def _check_full(before: int, limit: int) -> None:
    assert before % limit == 0, "a page holds less than its limit although more records follow"


def contents(store: Store) -> Contents:
    """
    Read everything that the numbers of this module can have written.
    """
    many = 10_000_000

    return (
        paged(store.cards, CardQuery(), 10_000, many),
        paged(store.entries, EntryQuery(), 10_000, many),
        every_document(store),
        list(store.audit(limit=10_000)),
        list(store.counters(["steps", "active"]).values()),
    )
