"""
A store beside plain dictionaries: whatever is done to both, they answer the same.

The model shares no code with any store. Only what a search means it takes from `CardQuery` and `EntryQuery`, because
that is where it is defined.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, ClassVar, Final

import attrs
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from voipcard.core.query import CardOrder, CardQuery, EntryQuery, Position
from voipcard.errors import CeilingError, DuplicateError, StaleError, StoreError
from voipcard.stores.contract import AuditRecord, CardRecord, Changes, CounterChange, Document, EntryRecord, Store
from voipcard.testing import samples
from voipcard.testing.children import Opener

__all__ = ["STORY", "StoreMachine", "check_story", "store_machine"]

STORY: Final = settings(
    deadline=None,
    database=None,
    max_examples=40,
    stateful_step_count=40,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)

PARTS: Final = [
    *("add", "recharge", "recharge", "charge", "remove", "document", "forget", "require"),
    *("counter", "counter", "audit"),
]
KEYS: Final = ["a", "a%", "a_", "ab", "b"]
COUNTERS: Final = ["active", "steps"]
WORDS: Final = ["", "PO-1", "po-1", "PO%", "PO-1 "]
LATER: Final[list[int | None]] = [None, samples.EPOCH, samples.EPOCH + 1]
PURGES: Final[list[int | None]] = [None, None, samples.EPOCH - 1, samples.EPOCH, samples.EPOCH + 1]
TIMES: Final = [samples.EPOCH - 1, samples.EPOCH, samples.EPOCH + 1]
SHORTFALLS: Final[list[int | None]] = [None, 0, 2**63 - 1]
CARD_ORDERS: Final[list[CardOrder]] = ["created", "serial", "credit"]
CREDITS: Final = [0, 1, 10_000_000, 2**63 - 2, 2**63 - 1]

_sample: Final = functools.lru_cache(maxsize=1000)(samples.card)
pages: Final[st.SearchStrategy[int]] = st.integers(1, 4)
sides: Final[st.SearchStrategy[int]] = st.integers(0, 1)


class Model:
    """
    What a store should hold, and what it should say to a commit.
    """

    def __init__(self) -> None:
        self.cards: dict[bytes, CardRecord] = {}
        self.entries: list[EntryRecord] = []
        self.documents: dict[str, Document] = {}
        self.counters: Counter[str] = Counter()
        self.audit: list[AuditRecord] = []

    def version(self, key: str) -> int:
        """
        Give the version of a document, 0 if there is none.
        """
        return self.documents[key].version if key in self.documents else 0

    def refusal(self, changes: Changes) -> StoreError | None:
        """
        Say how a commit has to be refused, or None if it has to be accepted.
        """
        wanted = {**{card.id: expected for card, expected in changes.replace}, **dict(changes.remove)}
        stale = {id for id, expected in wanted.items() if id not in self.cards or self.cards[id].version != expected}
        keys = {**{document.key: expected for document, expected in changes.documents}, **dict(changes.require)}
        outdated = {key for key, expected in keys.items() if self.version(key) != expected}
        outdated |= {key for key, expected in changes.forget if self.version(key) != expected or expected == 0}
        if stale or outdated:
            return StaleError(cards=frozenset(stale), documents=frozenset(outdated))

        old, new = list(self.cards.values()), [card for card, _ in changes.new]
        before = [entry.operation for entry in self.entries]
        now = [entry.operation for _, entry in changes.new] + [entry.operation for entry in changes.entries]
        duplicate = DuplicateError(
            ids=_twice([card.id for card in old], [card.id for card in new]),
            indexes=_twice([card.index for card in old], [card.index for card in new]),
            serials=_twice([card.serial for card in old], [card.serial for card in new]),
            operations=_twice(before, now),
        )
        if _facts(duplicate) != _facts(DuplicateError()):
            return duplicate

        risen = {
            change.key: self.counters[change.key]
            for change in changes.counters
            if change.ceiling is not None and 0 < change.delta > change.ceiling - self.counters[change.key]
        }

        return CeilingError(counters=tuple(risen.items())) if risen else None

    def apply(self, changes: Changes) -> None:
        """
        Do what an accepted commit does.
        """
        self.cards.update({card.id: card for card, _ in changes.new} | {card.id: card for card, _ in changes.replace})
        self.cards = {id: card for id, card in self.cards.items() if id not in dict(changes.remove)}
        self.entries += [entry for _, entry in changes.new] + list(changes.entries)
        self.documents.update({document.key: document for document, _ in changes.documents})
        self.documents = {key: each for key, each in self.documents.items() if key not in dict(changes.forget)}
        self.counters.update({change.key: change.delta for change in changes.counters})
        self.audit += changes.audit


@attrs.define
class Draft:
    """
    A commit that is put together part by part.

    Attributes:
        parts: The lists that become the `Changes`.
        touched: The cards, documents and counters that are in it already: each comes once.
    """

    parts: dict[str, list[Any]] = attrs.field(factory=dict)
    touched: set[bytes | str] = attrs.field(factory=set)

    def add(self, name: str, part: object) -> None:
        """
        Add one part.
        """
        self.parts.setdefault(name, []).append(part)


class StoreMachine(RuleBasedStateMachine):
    """
    Tells random stories to a store and to a model, over two handles on the same data, and compares what they say.

    Attributes:
        tally: How often each thing happened in all stories of this class, to see whether they are worth telling.
    """

    tally: ClassVar[Counter[str]] = Counter()

    def fresh(self) -> AbstractContextManager[Opener]:
        """
        Make an empty place for data, as in `StoreContract`.
        """
        raise NotImplementedError

    def __init__(self) -> None:
        super().__init__()
        self.model: Model = Model()
        self.number: int = 0
        self.walk: tuple[CardQuery, Position | None, list[Position], set[Position]] | None = None
        self.stack: ExitStack = ExitStack()
        self.handles: list[Store] = []

    @initialize()
    def open(self) -> None:
        """
        Open two handles.
        """
        self.open_store: Opener = self.stack.enter_context(self.fresh())
        self.handles = [self.open_store(), self.open_store()]
        self.tally["stories"] += 1

    @rule(data=st.data(), count=st.integers(1, 5), side=sides)
    def add_cards(self, data: st.DataObject, count: int, side: int) -> None:
        """
        Commit new cards, now and then with something that is taken.
        """
        self._commit(data, ["add"] * count, side)

    @rule(data=st.data(), count=st.integers(1, 3), side=sides)
    def write_documents(self, data: st.DataObject, count: int, side: int) -> None:
        """
        Commit documents, new ones and new versions: without them there is little to list and to forget.
        """
        self._commit(data, ["document"] * count, side)

    @rule(data=st.data(), count=st.integers(1, 3), side=sides)
    def end_calls(self, data: st.DataObject, count: int, side: int) -> None:
        """
        Commit charges, as far as there are cards: without them there are no calls to find.
        """
        self._commit(data, ["charge"] * count, side)

    @rule(data=st.data(), part=st.sampled_from(PARTS), side=sides)
    def change_one_thing(self, data: st.DataObject, part: str, side: int) -> None:
        """
        Commit a single change, good or bad.
        """
        self._commit(data, [part], side)

    @rule(data=st.data(), parts=st.lists(st.sampled_from(PARTS), min_size=2, max_size=5), side=sides)
    def change_several_things(self, data: st.DataObject, parts: list[str], side: int) -> None:
        """
        Commit some changes together, good or bad.
        """
        self._commit(data, parts, side)

    def _commit(self, data: st.DataObject, parts: Sequence[str], side: int) -> None:
        draft = Draft()
        for part in parts:
            getattr(self, f"_draw_{part}")(data, draft)
        changes = Changes(**draft.parts)
        expected = self.model.refusal(changes)
        refusal: StoreError | None = None
        try:
            self.handles[side].commit(changes)
        except StoreError as error:
            refusal = error

        assert _facts(expected) == _facts(refusal), f"law 2: the store said {refusal!r} and not {expected!r}"
        if refusal is None:
            self.model.apply(changes)
            self._keep_walk()
            self._count("forgotten", changes.forget)
        self.tally[type(expected).__name__ if expected else "committed"] += 1

    @rule(data=st.data(), limit=pages, side=sides)
    def search_cards(self, data: st.DataObject, limit: int, side: int) -> None:
        """
        Search for cards, page by page.
        """
        query = data.draw(
            st.builds(
                CardQuery,
                enabled=st.sampled_from([None, None, True, False]),
                order_number=st.none() | st.sampled_from(WORDS),
                used=st.sampled_from([None, None, True, False]),
                expired=st.sampled_from([None, None, True, False]),
                now=st.just(samples.EPOCH),
                unlimited=st.sampled_from([None, None, True, False]),
                order=st.sampled_from(CARD_ORDERS),
                descending=st.booleans(),
            )
        )
        self._count("cards found", self._searched_cards(query, limit, side))

    @rule(now=st.sampled_from(TIMES), order=st.sampled_from(CARD_ORDERS), limit=pages, side=sides)
    def search_expired_holds(self, now: int, order: CardOrder, limit: int, side: int) -> None:
        """
        Search for the cards of which a hold has run out, page by page.
        """
        query = CardQuery(hold_expired_at=now, order=order)

        self._count("expired holds found", self._searched_cards(query, limit, side))

    def _searched_cards(self, query: CardQuery, limit: int, side: int) -> list[CardRecord]:
        expected = sorted(
            filter(query.matches, self.model.cards.values()), key=query.position, reverse=query.descending
        )

        assert expected == samples.paged(self.handles[side].cards, query, limit, len(self.model.cards)), "law 4"
        assert len(expected) == self.handles[side].count(query), "law 4"

        return expected

    @rule(data=st.data(), limit=pages, side=sides)
    def search_entries(self, data: st.DataObject, limit: int, side: int) -> None:
        """
        Search for ledger entries, page by page.
        """
        query = data.draw(
            st.builds(
                EntryQuery,
                card=st.none() | st.sampled_from(sorted({entry.card for entry in self.model.entries} | {b""})),
                order_number=st.none() | st.sampled_from(WORDS),
                kinds=st.sampled_from([None, {"initial"}, {"recharge"}, {"charge"}]),
                order=st.sampled_from(["sequence", "time"]),
                descending=st.booleans(),
            )
        )
        self._count("entries found", self._searched_entries(query, limit, side))

    @rule(
        start=st.sampled_from([None, *TIMES]), end=st.sampled_from([None, *TIMES]), descending=st.booleans(),
        limit=pages, side=sides,
    )  # fmt: skip
    def search_calls(self, start: int | None, end: int | None, descending: bool, limit: int, side: int) -> None:  # noqa: FBT001 - as drawn
        """
        Search for ledger entries by when a call began, page by page.
        """
        query = EntryQuery(started_from=start, started_before=end, descending=descending)
        found = self._searched_entries(query, limit, side)

        self._count("calls found", [] if start is end is None else found)

    def _searched_entries(self, query: EntryQuery, limit: int, side: int) -> list[EntryRecord]:
        expected = sorted(filter(query.matches, self.model.entries), key=query.position, reverse=query.descending)

        assert expected == samples.paged(self.handles[side].entries, query, limit, len(self.model.entries)), "law 4"

        return expected

    @rule(prefix=st.sampled_from(["", *KEYS]), now=st.sampled_from(PURGES), limit=pages, side=sides)
    def list_documents(self, prefix: str, now: int | None, limit: int, side: int) -> None:
        """
        List the documents with a prefix, or those of them that have expired, page by page.
        """
        expected = [self.model.documents[key] for key in sorted(self.model.documents) if key.startswith(prefix)]
        if now is not None:
            expected = [each for each in expected if each.expires_at is not None and each.expires_at <= now]

        assert expected == samples.every_document(self.handles[side], prefix, limit, now), "what `documents` promises"
        self._count("documents found" if now is None else "expired found", expected)

    @rule(query=st.builds(CardQuery, order=st.sampled_from(CARD_ORDERS), descending=st.booleans()), side=sides)
    def walk_slowly(self, query: CardQuery, side: int) -> None:
        """
        Read one more page of all cards, while others write; at the end, look whether a card was skipped.
        """
        if self.walk is None:
            self.walk = (query, None, [], set(map(query.position, self.model.cards.values())))
        query, after, seen, there = self.walk
        page = [query.position(card) for card in self.handles[side].cards(samples.page_of(query, after, 3))]
        seen += page

        assert sorted(set(seen), reverse=query.descending) == seen, "law 4: paging repeats, or is out of order"
        if page:
            self.walk = (query, page[-1], seen, there)
        else:
            assert there <= set(seen), "law 4: paging skipped a card that was there all along"
            self.walk = None
            self._count("walks finished", seen)

    @rule(side=sides)
    def reopen(self, side: int) -> None:
        """
        Close a handle and open another.
        """
        self.handles[side].close()
        self.handles[side] = self.open_store()

    @rule(side=sides)
    def compare(self, side: int) -> None:
        """
        Compare everything.
        """
        store, model = self.handles[side], self.model
        cards, entries, documents, audit, counters = samples.contents(store)

        assert sorted(model.cards.values(), key=CardQuery().position) == cards, "laws 1 and 5"
        assert sorted(model.entries) == entries, "laws 1, 5 and 6"
        assert sorted(model.documents.values()) == documents, "laws 1 and 5"
        assert set(documents) == set(store.find_documents(["none", *KEYS])), "what `find_documents` promises"
        assert sorted(model.audit) == audit, "laws 1, 5 and 6"
        assert [model.counters[key] for key in ["steps", "active"]] == counters, "laws 1 and 3"
        for card in cards[:3]:
            assert card == store.find(id=card.id) == store.find(serial=card.serial) == store.find(index=card.index)
            assert card == store.nearest(card.index)
        every = [_sample(number) for number in range(self.number + 1)]
        there = {each for card in cards for each in (card.index, card.serial)}

        assert there == store.known(indexes=[card.index for card in every], serials=[card.serial for card in every]), (
            "law 2: an index or serial that was left is still known, or a new one is not"
        )

    def teardown(self) -> None:
        """
        Compare once more and close.
        """
        with self.stack:
            for side, handle in enumerate(self.handles):
                self.compare(side)
                handle.close()

    def _count(self, what: str, found: Sequence[object]) -> None:
        self.tally[what] += bool(found)

    def _keep_walk(self) -> None:
        if self.walk is not None:
            query, after, seen, there = self.walk
            self.walk = (query, after, seen, there & set(map(query.position, self.model.cards.values())))

    def _untouched(self, draft: Draft) -> list[CardRecord]:
        return [card for id, card in sorted(self.model.cards.items()) if id not in draft.touched]

    def _left(self, draft: Draft) -> list[CardRecord]:
        """
        Give the samples whose index and serial no card has, nor had before this commit.
        """
        drafted = [card for name in ("new", "replace") for card, _ in draft.parts.get(name, [])]
        taken = {each for card in (*self.model.cards.values(), *drafted) for each in (card.index, card.serial)}

        return [card for card in map(_sample, range(1, self.number)) if not {card.index, card.serial} & taken]

    def _draw_add(self, data: st.DataObject, draft: Draft) -> None:
        self.number += 1
        card = samples.card(self.number)._replace(
            created_at=samples.EPOCH + data.draw(st.integers(0, 2)),
            credit=data.draw(st.sampled_from(CREDITS)),
            order_number=data.draw(st.sampled_from(WORDS)),
            expires_at=data.draw(st.sampled_from(LATER)),
            next_hold_expiry=data.draw(st.sampled_from(LATER)),
            enabled=data.draw(st.booleans()),
        )
        others = [*self._untouched(draft), *(other for other, _ in draft.parts.get("new", []))]
        if others and data.draw(st.integers(0, 5)) == 0:
            other = data.draw(st.sampled_from(others))
            field = data.draw(st.sampled_from(["id", "serial", "index"]))
            card = card._replace(**{field: getattr(other, field)})
            draft.touched.add(other.id)
        elif (left := self._left(draft)) and data.draw(st.integers(0, 2)) == 0:
            other = data.draw(st.sampled_from(left))
            card = card._replace(index=other.index, serial=other.serial)
            self.tally["left taken"] += 1
        entry = samples.entry(card)._replace(operation=self._draw_operation(data), created_at=card.created_at)
        draft.add("new", (card, entry))

    def _draw_operation(self, data: st.DataObject) -> bytes | None:
        number = data.draw(st.sampled_from([*[None] * 30, *range(60)]))

        return None if number is None else samples.operation(number)

    def _draw_recharge(self, data: st.DataObject, draft: Draft) -> None:
        if cards := self._untouched(draft):
            card = data.draw(st.sampled_from(cards))
            draft.touched.add(card.id)
            after, entry = samples.recharged(card._replace(credit=data.draw(st.sampled_from(CREDITS[:3]))))
            after = after._replace(
                first_used_at=data.draw(st.sampled_from(LATER)), next_hold_expiry=data.draw(st.sampled_from(LATER))
            )
            if data.draw(st.integers(0, 3)) == 0:
                self.number += 1
                other = samples.card(self.number)
                after = after._replace(index=other.index, serial=other.serial)
            draft.add("replace", (after, card.version + self._draw_error(data)))
            draft.add("entries", entry._replace(operation=self._draw_operation(data)))

    def _draw_charge(self, data: st.DataObject, draft: Draft) -> None:
        if cards := self._untouched(draft):
            card = data.draw(st.sampled_from(cards))
            draft.touched.add(card.id)
            after, entry = samples.charged(
                card._replace(credit=1),
                shortfall=data.draw(st.sampled_from(SHORTFALLS)),
                started_at=samples.EPOCH + data.draw(st.integers(-1, 1)),
            )
            draft.add("replace", (after, card.version + self._draw_error(data)))
            draft.add("entries", entry._replace(operation=self._draw_operation(data)))

    def _draw_remove(self, data: st.DataObject, draft: Draft) -> None:
        if cards := self._untouched(draft):
            card = data.draw(st.sampled_from(cards))
            draft.touched.add(card.id)
            draft.add("remove", (card.id, card.version + self._draw_error(data)))

    def _draw_document(self, data: st.DataObject, draft: Draft) -> None:
        for key, expected in self._draw_key(data, draft):
            document = Document(key, data.draw(st.binary(max_size=3)), expected + 1, data.draw(st.sampled_from(LATER)))
            draft.add("documents", (document, expected))

    def _draw_forget(self, data: st.DataObject, draft: Draft) -> None:
        # Of those that are there, if any: most keys have no document most of the time.
        for key, expected in self._draw_key(data, draft, sorted(self.model.documents) or KEYS):
            draft.add("forget", (key, expected))

    def _draw_require(self, data: st.DataObject, draft: Draft) -> None:
        for key, expected in self._draw_key(data, draft):
            draft.add("require", (key, expected))

    def _draw_key(self, data: st.DataObject, draft: Draft, keys: Sequence[str] = KEYS) -> list[tuple[str, int]]:
        key = data.draw(st.sampled_from(keys))
        if key in draft.touched:
            return []
        draft.touched.add(key)

        return [(key, max(0, self.model.version(key) + self._draw_error(data)))]

    def _draw_error(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from([0] * 10 + [1, -1]))

    def _draw_counter(self, data: st.DataObject, draft: Draft) -> None:
        key = data.draw(st.sampled_from(COUNTERS))
        if key not in draft.touched:
            draft.touched.add(key)
            ceiling = data.draw(st.sampled_from([None, 0, 2, 4]))
            draft.add("counters", CounterChange(key, data.draw(st.sampled_from([1, 3, 2, -1, -2, 0])), ceiling))

    def _draw_audit(self, data: st.DataObject, draft: Draft) -> None:
        self.number += 1
        draft.add("audit", samples.audit(1000 * data.draw(st.integers(0, 2)) + self.number))


def store_machine(fresh: Callable[[], AbstractContextManager[Opener]]) -> type[StoreMachine]:
    """
    Make the machine for one store.

    Args:
        fresh: What `StoreContract.fresh` is: makes an empty place for data and gives what opens a handle on it.
    """

    class Machine(StoreMachine):
        tally: ClassVar[Counter[str]] = Counter()

        def fresh(self) -> AbstractContextManager[Opener]:
            return fresh()

    return Machine


def check_story(machine: type[StoreMachine], story: settings = STORY) -> Counter[str]:
    """
    Tell stories and say what happened in them.

    Args:
        machine: What `store_machine` made, or another subclass of `StoreMachine`.

        story: How many, how long, and whether they are the same each time.

    Raises:
        AssertionError: If the store and the model said different things.
    """
    run_state_machine_as_test(machine, settings=story)

    return machine.tally


def _twice(old: Sequence[Any], new: Sequence[Any]) -> frozenset[Any]:
    times = Counter(new)

    return frozenset(value for value in times if value is not None and (value in old or times[value] > 1))


def _facts(error: StoreError | None) -> object:
    """
    Give what an error says, without its words.
    """
    match error:
        case StaleError():
            return (StaleError, error.cards, error.documents)
        case DuplicateError():
            return (DuplicateError, error.ids, error.indexes, error.serials, error.operations)
        case CeilingError():
            return (CeilingError, frozenset(error.counters))
        case _:
            return error
