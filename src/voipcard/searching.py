"""
Finding cards: by serial, by code, page by page or one by one, and by digits of codes that only the shell can see.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Final, TypedDict, overload

import attrs

from voipcard.core.cards import CardCode, Handout, Kind, canonical_code, is_caller_id
from voipcard.core.credit import Amount, Credit
from voipcard.core.query import CardOrder, CardQuery, EntryQuery, Position
from voipcard.cursors import cursor_of, position_in
from voipcard.errors import InvalidValueError, TamperedError
from voipcard.names import KEYRING
from voipcard.registry import caller_id_of, facts_of, id_of
from voipcard.stores.contract import CardRecord, EntryRecord, SealedCode
from voipcard.transact import Engine

__all__ = ["CardFilters", "Page", "Search", "card_records", "entry_records", "find", "handouts_of_batch"]

_PAGE: Final = 1000


@attrs.frozen
class Page(Sequence[CardCode]):
    """
    A few of the cards that a search found.

    Attributes:
        cards: The cards.
        next_cursor: Where the next page begins; None if this is the last one.
    """

    cards: tuple[CardCode, ...]
    next_cursor: str | None

    @overload
    def __getitem__(self, position: int) -> CardCode: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[CardCode]: ...
    def __getitem__(self, position: int | slice) -> CardCode | Sequence[CardCode]:
        return self.cards[position]

    def __len__(self) -> int:
        return len(self.cards)


class CardFilters(TypedDict, total=False):
    """
    The conditions of a search that `CardQuery` documents.
    """

    batch: str | None
    kind: Kind | None
    enabled: bool | None
    credit_at_least: Amount | None
    credit_below: Amount | None
    unlimited: bool | None
    order_number: str | None
    created_from: datetime | None
    created_before: datetime | None
    used: bool | None
    expired: bool | None
    order: CardOrder
    descending: bool


@attrs.frozen
class Search:
    """
    A search in one extension: what a store can look for, and what only the shell can see.

    Attributes:
        query: What the store looks for.
        code_prefix: How the code or CallerID begins, in canonical form; empty for any.
        code_contains: What it contains; empty for any.
        exact: The kind and the canonical form of the one code or CallerID that is meant; None for any.
    """

    query: CardQuery
    code_prefix: str = ""
    code_contains: str = ""
    exact: tuple[Kind, str] | None = None

    def records(self, engine: Engine) -> Iterator[CardRecord]:
        """
        Give the cards that match, in the order of the query, after its cursor. They are checked where they are used.
        """
        return self._records(engine, self.query)

    def page(self, engine: Engine, limit: int, cursor: str | None) -> Page:
        """
        Give at most *limit* cards, and where to go on.
        """
        query = attrs.evolve(self.query, limit=limit)  # Checks its range.
        subject = self._subject()
        after = query.after if cursor is None else _position(engine, subject, cursor)
        found = []
        # One more than asked for tells whether there is another page.
        peek = attrs.evolve(query, after=after, limit=_PAGE if self.looks_inside else min(limit + 1, _PAGE))
        for record in self._records(engine, peek):
            found.append(record)
            if len(found) > limit:
                break
        more = len(found) > limit
        cards = tuple(engine.records.card(record) for record in found[:limit])

        return Page(cards, _cursor(engine, subject, query.position(found[limit - 1])) if more else None)

    def count(self, engine: Engine) -> int:
        """
        Count the cards that match.
        """
        query = attrs.evolve(self.query, after=None)
        if self.exact is not None:
            return sum(1 for _ in self._records(engine, query))
        if self.looks_inside:
            return sum(map(len, self._matching_codes(engine, query)))

        return engine.store.count(self.query)

    @property
    def looks_inside(self) -> bool:
        """
        Whether codes have to be unsealed to find out which match.
        """
        return bool(self.code_prefix or self.code_contains)

    def _records(self, engine: Engine, query: CardQuery) -> Iterator[CardRecord]:
        if self.exact is not None:
            yield from self._exact_records(engine, query, *self.exact)
            return
        if not self.looks_inside:
            yield from card_records(engine, query)
            return
        for page in self._matching_codes(engine, query):
            found = {record.id: record for record in engine.store.find_many(ids=[code.id for code in page])}
            for code in page:
                record = found.get(code.id)
                if record is None or not query.matches(record):
                    continue
                # What has moved since its code was read stands on another page.
                if query.position(record) != (code.value, code.id):
                    continue
                if record.sealed_code == code.sealed_code or self._looks_like(engine.records.code(record)):
                    yield record

    def _exact_records(self, engine: Engine, query: CardQuery, kind: Kind, code: str) -> Iterator[CardRecord]:
        """
        Give the one card with this code, if it is one of those that are looked for and comes after the cursor.
        """
        record = find_code(engine, query.extension or "", kind, code)
        if record is None or not query.matches(record) or not self._looks_like(code):
            return
        position = query.position(record)
        # Positions in one order are of one type.
        if query.after is None or ((position < query.after) if query.descending else (position > query.after)):
            yield record

    def _looks_like(self, code: str) -> bool:
        return self.code_contains in code and code.startswith(self.code_prefix)

    def _matching_codes(self, engine: Engine, query: CardQuery) -> Iterator[list[SealedCode]]:
        """
        Unseal the codes of the cards that the store finds, page by page, and keep those that match.

        Of a card whose code does not match nothing else is read: that is most of them.
        """
        prefix, part = self.code_prefix, self.code_contains
        while page := engine.store.sealed_codes(query):
            texts = _unsealed(engine, page)
            yield [code for code, text in zip(page, texts, strict=True) if part in text and text.startswith(prefix)]
            if len(page) < query.limit:
                return
            query = attrs.evolve(query, after=(page[-1].value, page[-1].id))

    def _subject(self) -> str:
        """
        Give what a cursor belongs to: one search in one order.
        """
        # The moment that "expired" is about may move on from page to page.
        same = attrs.evolve(self.query, after=None, limit=1, now=None)

        return json.dumps([attrs.astuple(same), *attrs.astuple(self)[1:]], default=str)


def _cursor(engine: Engine, subject: str, position: Position) -> str:
    data = json.dumps([part.hex() if isinstance(part, bytes) else part for part in position]).encode()

    return cursor_of(engine.records, subject, data)


def _position(engine: Engine, subject: str, cursor: str) -> Position:
    value, card = json.loads(position_in(engine.records, subject, cursor))

    return (value, bytes.fromhex(card))


def find(
    engine: Engine, extension: str, *, code: str | None, caller_id: str | None, serial: str | None
) -> CardRecord | None:
    """
    Give the one card of the extension with this code, CallerID or serial, or None. It is checked where it is used.
    """
    if [code, caller_id, serial].count(None) != 2:  # noqa: PLR2004  (one of three)
        raise InvalidValueError("serial, code, caller_id", "are three ways to find a card: give exactly one")
    if serial is not None:
        record = engine.find_serials([serial]).get(serial)
    else:
        record = find_code(engine, extension, *exact(engine, extension, code=code, caller_id=caller_id))
    if record is None or record.extension != extension:
        return None

    return record


def find_code(engine: Engine, extension: str, kind: Kind, code: str) -> CardRecord | None:
    """
    Give the card with this code or CallerID in canonical form, or None. It is checked where it is used.

    Raises:
        TamperedError: If the store gives another card.
    """
    id = id_of(engine, extension)
    while True:
        keys = engine.records.keyring
        # The indexes of `Keyring.indexes`, one by one: most often there is only one.
        for number in keys.live:
            index = keys.index(id, kind, code, number=number)
            record = engine.store.find(index=index)
            if record is not None and record.index != index:
                raise TamperedError(record.serial, "index")
            if record is not None:
                if len(keys.live) > 1:
                    # As soon as the rotation has ended, one look is enough again.
                    engine.keys_changed(engine.store.document(KEYRING), keys)
                return record
        # Other keys may have moved it to where it was not looked for.
        if not engine.keys_changed(engine.store.document(KEYRING), keys):
            return None


def exact(engine: Engine, extension: str, *, code: str | None, caller_id: str | None) -> tuple[Kind, str]:
    """
    Give what is meant, in canonical form. A code with a leading `+` is a CallerID, as when it is added.
    """
    if code is not None and caller_id is not None:
        raise InvalidValueError("code, caller_id", "are two ways to find a card: give one")
    if code is not None and is_caller_id(code):
        caller_id = code
    if caller_id is not None:
        return "caller_id", caller_id_of(facts_of(engine, extension), caller_id)

    return "code", canonical_code(code or "")


def _unsealed(engine: Engine, page: Sequence[SealedCode]) -> list[str]:
    unseal = engine.records.unsealed
    try:
        return [unseal(code) for code in page]
    except TamperedError:
        # A card says which one it is, unless it was removed meanwhile.
        for record in engine.store.find_many(ids=[code.id for code in page]):
            engine.records.code(record)
        raise


def card_records(engine: Engine, query: CardQuery) -> Iterator[CardRecord]:
    """
    Give all cards that match, page by page, so that nothing stays open in the store.

    Whether somebody changed them is checked where they are used.
    """
    while page := engine.store.cards(query):
        yield from page
        if len(page) < query.limit:
            return
        query = attrs.evolve(query, after=query.position(page[-1]))


def entry_records(engine: Engine, query: EntryQuery) -> Iterator[EntryRecord]:
    """
    Give all ledger entries that match, page by page.
    """
    while page := engine.store.entries(query):
        yield from page
        if len(page) < query.limit:
            return
        query = attrs.evolve(query, after=query.position(page[-1]))


def handouts_of_batch(engine: Engine, batch: str) -> Sequence[Handout]:
    """
    Unseal the cards of a batch, each with the credit that it began with.
    """
    initial = {
        entry.card: entry.amount
        for entry in entry_records(engine, EntryQuery(batch=batch, kinds=frozenset({"initial"})))
    }

    handouts = []
    for record in card_records(engine, CardQuery(batch=batch, order="serial")):
        if record.id not in initial:
            raise TamperedError(record.serial, "history")
        handout = engine.records.handout(record)
        handouts.append(attrs.evolve(handout, credit=Credit.from_micros(initial[record.id])))

    return handouts
