"""
The border between the library and a store: what is stored, what is asked for, and the laws that a store keeps.

Everything that crosses the border is made of `bytes`, `int`, `str`, `bool` and None: amounts are millionths, moments
are microseconds since 1970, and whatever must stay secret has been sealed before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias, runtime_checkable

import attrs

from voipcard.core.query import CardQuery, EntryQuery

__all__ = [
    "AuditRecord",
    "CardRecord",
    "Changes",
    "CounterChange",
    "Document",
    "EntryRecord",
    "Grouping",
    "SealedCode",
    "Store",
    "Total",
]

MAX_INTEGER: Final = 2**63 - 1
"""The largest integer that crosses the border. As credit or amount it means Unlimited."""

Grouping: TypeAlias = Literal["extension", "batch", "card", "kind", "prefix", "period", "start"]


class CardRecord(NamedTuple):
    """
    A card as it is stored.

    Attributes:
        id: 16 bytes that begin with the time of creation and end randomly; unique.
        serial: The public name, unique; 1 to 64 ASCII characters.
        extension: The number of its extension.
        batch: The batch it was made in.
        kind: `code` or `caller_id`.
        index: The keyed index of extension, kind and code; 16 bytes, unique.
        sealed_code: The sealed code or CallerID.
        pin_mac: What a PIN is compared with; empty if none is asked for.
        sealed_pin: The sealed PIN; empty if there is none.
        key: The number of the key that sealed it.
        enabled: Whether it may be used.
        credit: What is left, before holds.
        total_credit: What was put on it.
        held: What running calls have reserved.
        holds: The running calls, as the shell writes them, at most 1 MiB; empty if there are none.
        next_hold_expiry: When the first of them runs out; None if there are none.
        recharge_count: How often it was recharged.
        created_at: When it was made.
        first_used_at: When a caller first got in with it; None if nobody ever did.
        expires_at: From when on it cannot be used; None if it does not expire.
        order_number: The order of its initial credit.
        labels: Words attached to it, one a line; at most 1 MiB of UTF-8.
        sequence: The number of its newest ledger entry.
        chain: The chained MAC of its newest ledger entry.
        version: 1 for a new card, one more with every replacement.
        mac: The MAC over all other fields.
    """

    id: bytes
    serial: str
    extension: str
    batch: str
    kind: str
    index: bytes  # type: ignore[assignment]  # a field, where a tuple has a method
    sealed_code: bytes
    pin_mac: bytes
    sealed_pin: bytes
    key: int
    enabled: bool
    credit: int
    total_credit: int
    held: int
    holds: bytes
    next_hold_expiry: int | None
    recharge_count: int
    created_at: int
    first_used_at: int | None
    expires_at: int | None
    order_number: str
    labels: str
    sequence: int
    chain: bytes
    version: int
    mac: bytes


class SealedCode(NamedTuple):
    """
    As much of a card as it takes to look into its code.

    Attributes:
        value: What the page is ordered by: the card's serial, or when it was made, or its credit.
        id: The card. Together with *value* it is the card's position.
        sealed_code: The sealed code or CallerID.
    """

    value: int | str
    id: bytes
    sealed_code: bytes


class EntryRecord(NamedTuple):
    """
    A ledger entry as it is stored: append only, and kept when its card is removed.

    Attributes:
        card: The id of the card.
        sequence: Its number among the entries of the card, from 1; unique together with *card*.
        extension: The extension of the card.
        batch: The batch of the card.
        serial: The serial of the card.
        kind: `initial`, `recharge`, `transfer`; `charge` and `release` for how a hold ended.
        amount: What was added, negative if taken; the largest integer for Unlimited.
        credit_left: The card's credit afterwards.
        held_left: What was reserved afterwards.
        order_number: The order that paid for it.
        operation: 16 bytes that no other entry has, so that the same operation cannot be done twice; None if unnamed.
        created_at: When it happened.
        actor: Who did it.
        prefix: The rated prefix of a charge; empty otherwise.
        sealed_rest: The sealed rest of the number that was called; empty otherwise.
        started_at: When the charged call began; None otherwise.
        seconds: How long it took; None otherwise.
        charged_seconds: How many of them were charged; None otherwise.
        rate: The price, in millionths, that its tariff has for an interval; None otherwise.
        tariff: The name of the price list; empty otherwise.
        shortfall: What the charge was too much for the card, in millionths, and was not taken; None otherwise.
        mac: The MAC over this entry and the MAC of the one before.
    """

    card: bytes
    sequence: int
    extension: str
    batch: str
    serial: str
    kind: str
    amount: int
    credit_left: int
    held_left: int
    order_number: str
    operation: bytes | None
    created_at: int
    actor: str
    prefix: str
    sealed_rest: bytes
    started_at: int | None
    seconds: int | None
    charged_seconds: int | None
    rate: int | None
    tariff: str
    shortfall: int | None
    mac: bytes


class Document(NamedTuple):
    """
    A small value under a key.

    Attributes:
        key: 1 to 255 printable ASCII characters.
        value: What is kept; at most 16 MiB.
        version: 1 for a new document, one more with every change.
        expires_at: From when on it may be purged; None for never.
    """

    key: str
    value: bytes
    version: int
    expires_at: int | None = None


class AuditRecord(NamedTuple):
    """
    An entry of the audit trail: append only.

    Attributes:
        id: 16 bytes; unique, and the order of the trail.
        created_at: When it happened.
        actor: Who did it; empty if nobody said.
        verb: What was done.
        extension: The extension it was done to; empty for the book.
        detail: The rest, as JSON without secrets; at most 1 MiB of UTF-8.
        mac: The MAC over all other fields.
    """

    id: bytes
    created_at: int
    actor: str
    verb: str
    extension: str
    detail: str
    mac: bytes


class CounterChange(NamedTuple):
    """
    A counter that is moved, without being read before.

    Attributes:
        key: The counter; one that was never moved stands at 0.
        delta: How far it is moved. Moving down is always possible.
        ceiling: How far it may rise, checked only when it rises; None for any height.
    """

    key: str
    delta: int
    ceiling: int | None = None


class Total(NamedTuple):
    """
    The sum of the entries of one group.

    Attributes:
        group:
            What the group has in common, in the order of the grouping; for a period, and for the period of the start of
            a call, its number, counted from 0.
        count: How many entries there are.
        amount: The sum of their finite amounts. This and the sums below may exceed 64 bits.
        unlimited: How many of their amounts are Unlimited.
        seconds: The sum of how long the charged calls took.
        charged_seconds: The sum of the seconds that were charged.
        shortfall: The sum of what was not taken.
    """

    group: tuple[bytes | str | int, ...]
    count: int  # type: ignore[assignment]  # a field, where a tuple has a method
    amount: int
    unlimited: int
    seconds: int = 0
    charged_seconds: int = 0
    shortfall: int = 0


@attrs.frozen(kw_only=True)
class Changes:
    """
    One commit: new values together with the preconditions under which they hold. Applied whole or not at all.

    A card comes once in a commit, and so do a document and a counter. A card that comes twice in *replace* and *remove*
    is stale; of a document or a counter that comes twice nothing is promised. A card that is not there is stale,
    whatever version is expected: only of documents 0 means that there must be none. Every expected version, also in
    *require*, is that of before the commit. Versions are written as they are given: a new card or document may have
    any from 1 on, and a changed one need not have the next. The index and the serial that a replaced or removed card
    leaves can be taken from the next commit on, and its id never, because its entries stay; within the same commit it
    depends on the store. A document in *forget* that is not there is stale, whatever version is expected, and so is one
    that comes twice there, or in *documents* as well. Afterwards it is as if it had never been there: the next commit
    can make it anew.

    Attributes:
        new:
            Cards that must not exist yet, each with its initial ledger entry. Any number; may be iterated again. What
            it raises goes through `commit` unchanged.
        replace: Cards that are there, each with the version that it must still have.
        remove: The ids of cards that are there, each with the version that it must still have.
        entries:
            Ledger entries to append. One whose card and sequence are there already, or come twice, is refused with any
            `StoreError`, and so is an audit entry whose id is: a `DuplicateError` need not name them.
        documents:
            Documents, each with the version that it must still have; 0 if it must not exist. A key comes once.
        forget: Keys of documents to remove, each with the version that it must still have.
        counters: Counters to move. A key comes once.
        require:
            Keys of documents with the version that they must have before the commit; 0 for none. A key may be among
            *documents* or in *forget* as well.
        audit: Audit entries to append.
    """

    new: Iterable[tuple[CardRecord, EntryRecord]] = ()
    replace: Sequence[tuple[CardRecord, int]] = ()
    remove: Sequence[tuple[bytes, int]] = ()
    entries: Sequence[EntryRecord] = ()
    documents: Sequence[tuple[Document, int]] = ()
    forget: Sequence[tuple[str, int]] = ()
    counters: Sequence[CounterChange] = ()
    require: Sequence[tuple[str, int]] = ()
    audit: Sequence[AuditRecord] = ()


def joined(commits: Sequence[Changes]) -> Changes | None:
    """
    Give commits as one that does the same where none of them is refused; None where it would not.

    It would not where two of them are about the same card, document or counter, or where their order counts: for what
    one requires and another writes, and for an index or serial that one leaves and another takes.
    """
    if any(changes.new != () or changes.remove for changes in commits):
        return None
    whole = Changes(
        replace=[each for changes in commits for each in changes.replace],
        entries=[each for changes in commits for each in changes.entries],
        documents=[each for changes in commits for each in changes.documents],
        forget=[each for changes in commits for each in changes.forget],
        counters=[each for changes in commits for each in changes.counters],
        # Each once: all that are fulfilled at the same time expect the same version.
        require=list(dict.fromkeys(each for changes in commits for each in changes.require)),
        audit=[each for changes in commits for each in changes.audit],
    )
    names = [
        *(card.id for card, _ in whole.replace),
        *(document.key for document, _ in whole.documents),
        *(key for key, _ in whole.forget),
        *((counter.key,) for counter in whole.counters),
        *(key for key, _ in whole.require),
    ]

    return whole if len(set(names)) == len(names) else None


def unforgettable(changes: Changes) -> frozenset[str]:
    """
    Give the keys of *forget* that are stale whatever is stored: expected not to be there, or in the commit twice.
    """
    if not changes.forget:
        return frozenset()
    times = Counter([*(document.key for document, _ in changes.documents), *(key for key, _ in changes.forget)])

    return frozenset(key for key, expected in changes.forget if expected == 0 or times[key] > 1)


@runtime_checkable
class Store(Protocol):
    """
    Where a card book is kept. Whoever implements these methods and keeps these laws has a store.

    Laws, each proved by the test of `voipcard.testing.StoreContract` that carries its number:

    1. *All or nothing, and durable.* A commit that raised has changed nothing. One that returned survives the death of
       the process at any instant, and is seen by every handle on the same data.
    2. *Preconditions hold at the moment of commit*, and a breach names all offenders of its class, also when the commit
       itself repeats them: `StaleError` for versions of cards and documents, `DuplicateError` for ids, indexes, serials
       and operations, `CeilingError` for counters. Where several classes are breached, the first of these is raised.
       An index or serial that a replaced or removed card had finds nothing any more, and the next commit can take it.
    3. *As if one after another*, across threads and, where the data can be shared, processes and machines. A store may
       wait or refuse with `StoreBusyError`; it never interleaves.
    4. *Search means `matches`.* A page holds exactly the records that `CardQuery.matches` or `EntryQuery.matches`
       accepts, ordered by `position`, after the query's cursor. Of cards, entries, documents and audit entries alike a
       page holds as many as its limit allows, up to 10,000, unless it is the last one: whoever reads may stop at the
       first short page. Paging neither repeats nor skips a record that was there all along and whose position did not
       change. No statement and no lock stays open between pages.
    5. *Values come back equal*, and different ones stay different: every byte, millionth and microsecond, and every
       character but controls other than the line feed and lone surrogates. Case, accents and spaces count, in keys and
       searches too. Texts have up to 255 characters and other bytes up to 1 KiB, where their field does not say more.
    6. *Ledger and audit entries never change*, and removing a card keeps its entries.
    7. *Only voipcard errors cross the border*, the driver's error as `__cause__`; after `close`, `StoreClosedError`.
    8. *An unknown outcome is not a failure.* Where the answer to a commit was lost, `StoreError.maybe_applied` is true.
    9. *A million new cards commit at once*, in bounded memory beyond the caller's data, and other writers wait for no
       longer than their own deadline.

    A store that joins a transaction of its caller's keeps these laws from the caller's commit on. It has an attribute
    `joined` that is true, so that no secret is told in a transaction that may be rolled back; and where that
    transaction does not see what others commit, its `StaleError.lasting` is true.
    """

    def find(
        self, *, id: bytes | None = None, serial: str | None = None, index: bytes | None = None
    ) -> CardRecord | None:
        """
        Give the one card with this id, serial or index, or None. Exactly one of them is given.
        """
        ...

    def find_many(self, *, ids: Iterable[bytes] = (), serials: Iterable[str] = ()) -> Sequence[CardRecord]:
        """
        Give the cards with these ids and those with these serials, in bulk: as many as there are, in any order.

        A card that is asked for more than once may be given more than once.
        """
        ...

    def nearest(self, index: bytes) -> CardRecord | None:
        """
        Give the card with the smallest index not below *index*, or with the smallest of all if there is none.

        A hit and a miss read the same rows, so that the time taken does not tell which it was. None if there is no
        card.
        """
        ...

    def known(
        self, *, indexes: Iterable[bytes] = (), serials: Iterable[str] = (), operations: Iterable[bytes] = ()
    ) -> frozenset[bytes | str]:
        """
        Tell which of these indexes, serials and operations exist, in bulk.
        """
        ...

    def cards(self, query: CardQuery) -> Sequence[CardRecord]:
        """
        Give one page of cards.

        Those of which a hold has run out are found as expired documents are: in a time that grows with how many there
        are of them, however many other cards are kept.
        """
        ...

    def sealed_codes(self, query: CardQuery) -> Sequence[SealedCode]:
        """
        Give the same page as `cards`, but of each card only its position and its sealed code.
        """
        ...

    def count(self, query: CardQuery) -> int:
        """
        Count the cards that match; cursor and limit do not count.
        """
        ...

    def entries(self, query: EntryQuery) -> Sequence[EntryRecord]:
        """
        Give one page of ledger entries.
        """
        ...

    def totals(self, query: EntryQuery, by: Sequence[Grouping] = (), *, periods: Sequence[int] = ()) -> Sequence[Total]:
        """
        Sum the amounts of the entries that match, group by group, ordered by group.

        Groups without entries are left out. Cursor, order and limit do not count. *periods* are ascending moments: an
        entry before the first is in period 0, one at or after the first and before the second in period 1, and so on.
        `period` goes by when an entry was made, `start` by when its call began; an entry without a call is in period 0.
        """
        ...

    def document(self, key: str) -> Document | None:
        """
        Give one document, expired or not, or None.
        """
        ...

    def find_documents(self, keys: Iterable[str]) -> Sequence[Document]:
        """
        Give the documents with these keys, expired or not, in bulk: as many as there are, in any order.

        A document that is asked for more than once may be given more than once.
        """
        ...

    def documents(
        self, prefix: str, *, after: str = "", limit: int = 1000, expired_at: int | None = None
    ) -> Sequence[Document]:
        """
        Give one page of the documents whose keys begin with *prefix* and are greater than *after*, ordered by key.

        *limit* is 1 to 10,000. With *expired_at* only those are given that may be purged at this moment: that expire,
        at this moment or before. Finding them takes as long as there are of them, however many others are kept.
        """
        ...

    def counters(self, keys: Iterable[str]) -> Mapping[str, int]:
        """
        Read counters; one that was never moved stands at 0.
        """
        ...

    def audit(self, *, after: bytes = b"", limit: int = 1000) -> Sequence[AuditRecord]:
        """
        Give one page of the audit trail after the entry with the id *after*, in the order of their ids.

        *limit* is 1 to 10,000.
        """
        ...

    def commit(self, changes: Changes) -> None:
        """
        Apply *changes* whole, or not at all.

        Raises:
            StaleError: If a version is not the expected one.

            DuplicateError: If something that must be new is not.

            CeilingError: If a counter would rise above its ceiling.

            StoreError: If the store cannot be reached, is full, read-only, locked for too long or closed.
        """
        ...

    def close(self) -> None:
        """
        Give back everything that is held. Closing again does nothing.
        """
        ...
