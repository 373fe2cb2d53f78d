"""
Law 4 and what each read promises: many small searches, each compared with the definition.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voipcard.core.credit import UNLIMITED, Credit
from voipcard.core.query import CardQuery, EntryQuery, Position
from voipcard.errors import VoipcardError
from voipcard.stores.contract import (
    CardRecord,
    Changes,
    CounterChange,
    Document,
    EntryRecord,
    Grouping,
    SealedCode,
    Store,
    Total,
)
from voipcard.testing import samples
from voipcard.testing.proofs import Proofs, proves

__all__ = ["TRIES", "ReadContract"]

TRIES: Final = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), max_examples=60)
"""No database: what breaks one store says nothing about the next."""

NOW: Final = samples.EPOCH
MAX: Final = UNLIMITED.micros

WORDS: Final = [
    "",
    "PO-1",
    "po-1",
    "PO-11",
    "PO_1",
    "PO%",
    "PO-1 ",
    " PO-1",
    "ÄÖ-1",
    "AO-1",
    "A\u0308O\u0308-1",
    "日本",
    "🂡",
    "'--",
]
"""Texts that are equal only for those who ignore case, spaces, accents or wildcards."""

TURNS: Final = 9
"""For how many pages others go on inserting and removing."""

BATCHES: Final = ["K7QX", "k7qx", "K7Q%", "K7Q_"]
EXTENSIONS: Final = ["0003*215", "0003*216", "0003*21"]
CREDITS: Final = [0, 1, 999_999, 1_000_000, 1_000_001, MAX - 1, MAX]
MOMENTS: Final = [NOW - 1, NOW, NOW + 1, NOW + 1_000_000]
BEFORE_AND_AFTER: Final = [-(MAX + 1), -6, -5, 0, *MOMENTS, MAX]
"""Moments at which whoever takes None for 0, or for the first or last of all, is noticed."""

LENGTHS: Final[Sequence[int | None]] = [None, 0, 1, 59, 60, MAX]
"""Seconds and shortfalls, of which a handful exceeds 64 bits."""

CARD_CONDITIONS: Final[Mapping[str, Sequence[Any]]] = {
    "extension": [*EXTENSIONS, "0003*2%"],
    "batch": [*BATCHES, "K7"],
    "serial": ["K7QX-000007", "k7qx-000007", "K7QX-%"],
    "index": [samples.card(5).index, b""],
    "kind": ["code", "caller_id"],
    "enabled": [True, False],
    "credit_at_least": [Credit.from_micros(micros) for micros in CREDITS],
    "credit_below": [Credit.from_micros(micros) for micros in CREDITS],
    "unlimited": [True, False],
    "order_number": [*WORDS, "PO", "%"],
    "created_from": MOMENTS,
    "created_before": MOMENTS,
    "used": [True, False],
    "expired": [True, False],
    "now": [NOW],
    "hold_expired_at": BEFORE_AND_AFTER,
}
ENTRY_CONDITIONS: Final[Mapping[str, Sequence[Any]]] = {
    "card": [samples.card(3).id, samples.card(999).id],
    "extension": EXTENSIONS,
    "batch": BATCHES,
    "kinds": [set(), {"initial"}, {"recharge", "transfer"}, {"charge"}, {"Initial"}],
    "order_number": [*WORDS, "PO"],
    "operation": [samples.operation(7), samples.operation(999)],
    "amount_at_least": [Credit.from_micros(micros) for micros in [-(MAX - 1), -1, *CREDITS]],
    "amount_below": [Credit.from_micros(micros) for micros in [-(MAX - 1), -1, *CREDITS]],
    "created_from": MOMENTS,
    "created_before": MOMENTS,
    "started_from": BEFORE_AND_AFTER,
    "started_before": BEFORE_AND_AFTER,
}
CARD_ORDERS: Final = [("created", False), ("serial", False), ("credit", False), ("created", True), ("credit", True)]
ENTRY_ORDERS: Final = [("sequence", False), ("time", False), ("sequence", True), ("time", True)]
GROUPINGS: Final[Sequence[Sequence[Grouping]]] = [
    (),
    ("extension",),
    ("batch",),
    ("card",),
    ("kind",),
    ("prefix",),
    ("period",),
    ("extension", "kind"),
    ("period", "batch", "kind"),
    ("kind", "period"),
    ("start",),
    ("start", "prefix"),
    ("period", "start"),
    ("card", "start", "kind"),
]
PERIODS: Final[Sequence[Sequence[int]]] = [
    (),
    (NOW,),
    (NOW - 1, NOW + 1, NOW + 9),
    (-5, 0, NOW),
    range(NOW - 12, NOW + 12),
]
KEYS: Final = [
    "a",
    "a%b",
    "a*b",
    "a?b",
    "a[b",
    "a\\b",
    "a_b",
    "aXb",
    "A_b",
    "ab",
    "ab/1",
    "ab/10",
    "ab/2",
    "b",
    "~",
    "~~",
    "!",
    "A",
    "a ",
    " a",
]


def varied_cards(count: int = 60) -> list[CardRecord]:
    """
    Make cards that agree in much and differ in little, so that every condition and every tie matters.
    """
    chance = random.Random(7)  # noqa: S311 - the same cards every time

    return [
        samples.card(number)._replace(
            extension=chance.choice(EXTENSIONS),
            batch=chance.choice(BATCHES),
            kind=chance.choice(["code", "caller_id"]),
            enabled=chance.choice([True, False]),
            credit=chance.choice(CREDITS),
            created_at=chance.choice(MOMENTS),
            first_used_at=chance.choice([None, NOW - 5]),
            expires_at=chance.choice([None, *MOMENTS]),
            next_hold_expiry=chance.choice([None, -5, *MOMENTS]),
            order_number=chance.choice(WORDS),
        )
        for number in chance.sample(range(count), count)
    ]


def varied_entries(cards: Sequence[CardRecord]) -> list[EntryRecord]:
    """
    Make one to three entries for each card, as varied as the cards.
    """
    chance = random.Random(8)  # noqa: S311 - the same entries every time
    numbers = itertools.count()

    return [
        samples.entry(card)._replace(
            sequence=sequence,
            kind="initial" if sequence == 1 else chance.choice(["recharge", "transfer", "charge"]),
            amount=chance.choice([*CREDITS, -1, -(MAX - 1)]),
            order_number=chance.choice(WORDS),
            operation=samples.operation(next(numbers)) if chance.choice([True, False]) else None,
            created_at=chance.choice(MOMENTS),
            prefix=chance.choice(["", "4", "40", "407"]),
            started_at=chance.choice([None, None, -5, *MOMENTS]),
            seconds=chance.choice(LENGTHS),
            charged_seconds=chance.choice(LENGTHS),
            rate=chance.choice([None, 0, 20_000]),
            shortfall=chance.choice(LENGTHS),
        )
        for card in cards
        for sequence in range(1, chance.choice([2, 3, 4]))
    ]


def expected_totals(
    entries: Sequence[EntryRecord], query: EntryQuery, by: Sequence[Grouping], periods: Sequence[int]
) -> list[Total]:
    """
    Sum the entries that match the slow and obvious way.
    """

    def period(moment: int | None) -> int:
        return 0 if moment is None else sum(begin <= moment for begin in periods)

    def group(entry: EntryRecord) -> tuple[Any, ...]:
        timed = {"period": period(entry.created_at), "start": period(entry.started_at)}

        return tuple(timed[name] if name in timed else getattr(entry, name) for name in by)

    matching = [entry for entry in entries if query.matches(entry)]

    return [
        Total(
            each,
            count=sum(group(entry) == each for entry in matching),
            amount=sum(entry.amount for entry in matching if group(entry) == each and entry.amount != MAX),
            unlimited=sum(group(entry) == each and entry.amount == MAX for entry in matching),
            seconds=sum(entry.seconds or 0 for entry in matching if group(entry) == each),
            charged_seconds=sum(entry.charged_seconds or 0 for entry in matching if group(entry) == each),
            shortfall=sum(entry.shortfall or 0 for entry in matching if group(entry) == each),
        )
        for each in sorted({group(entry) for entry in matching})
    ]


def _each_condition(conditions: Mapping[str, Sequence[Any]]) -> Iterator[dict[str, Any]]:
    yield {}
    for name, values in conditions.items():
        for value in values:
            yield {name: value, "now": NOW} if name == "expired" else {name: value}


def _some_conditions(conditions: Mapping[str, Sequence[Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.lists(st.sampled_from(sorted(conditions)), max_size=4, unique=True).flatmap(
        lambda names: st.fixed_dictionaries({name: st.sampled_from(conditions[name]) for name in names})
    )


class ReadContract(Proofs):
    """
    The tests of everything that reads.
    """

    @contextmanager
    def _filled(self) -> Iterator[tuple[Store, list[CardRecord], list[EntryRecord]]]:
        cards = varied_cards()
        entries = varied_entries(cards)
        first = {entry.card: entry for entry in entries if entry.sequence == 1}
        with self.opened() as store:
            store.commit(
                Changes(
                    new=[(card, first[card.id]) for card in cards],
                    entries=[entry for entry in entries if entry.sequence != 1],
                )
            )
            yield store, cards, entries

    @proves("law 4")
    def test_law_4_cards_are_those_that_match(self) -> None:
        """
        Pages of cards hold exactly what `CardQuery.matches` accepts, ordered by `position`, whatever is asked for.
        """
        with self._filled() as (store, cards, _):

            def check(conditions: dict[str, Any], order: str, descending: bool, limit: int) -> None:  # noqa: FBT001 - as drawn
                query = CardQuery(**{**conditions, "order": order, "descending": descending})
                matching = [card for card in cards if query.matches(card)]
                expected = sorted(matching, key=query.position, reverse=descending)

                assert expected == samples.paged(store.cards, query, limit, len(cards))
                assert len(expected) == store.count(samples.page_of(query, query.position(cards[0]), 1))

            for conditions in _each_condition(CARD_CONDITIONS):
                for order, descending in CARD_ORDERS:
                    check(conditions, order, descending, 7)
            for limit in (1, 59, 60, 61, 10_000):
                check({}, "credit", descending=False, limit=limit)

            @TRIES
            @given(_some_conditions(CARD_CONDITIONS), st.sampled_from(CARD_ORDERS), st.integers(1, 9))
            def try_many(conditions: dict[str, Any], order: tuple[str, bool], limit: int) -> None:
                check(conditions, *order, limit)

            try_many()

    @proves("law 4")
    def test_law_4_entries_are_those_that_match(self) -> None:
        """
        Pages of entries hold exactly what `EntryQuery.matches` accepts, ordered by `position`, whatever is asked for.
        """
        with self._filled() as (store, cards, entries):

            def check(conditions: dict[str, Any], order: str, descending: bool, limit: int) -> None:  # noqa: FBT001 - as drawn
                query = EntryQuery(**{**conditions, "order": order, "descending": descending})
                matching = [entry for entry in entries if query.matches(entry)]
                expected = sorted(matching, key=query.position, reverse=descending)

                assert expected == samples.paged(store.entries, query, limit, len(entries))

            assert len(cards) < len(entries)
            for conditions in _each_condition(ENTRY_CONDITIONS):
                for order, descending in ENTRY_ORDERS:
                    check(conditions, order, descending, 7)
            for limit in (1, len(entries) - 1, len(entries), len(entries) + 1):
                check({}, "time", descending=False, limit=limit)

            @TRIES
            @given(_some_conditions(ENTRY_CONDITIONS), st.sampled_from(ENTRY_ORDERS), st.integers(1, 9))
            def try_many(conditions: dict[str, Any], order: tuple[str, bool], limit: int) -> None:
                check(conditions, *order, limit)

            try_many()

    @proves("law 4")
    def test_law_4_pages_are_full(self) -> None:
        """
        A page of any kind holds as many records as its limit allows, up to 10,000, as long as there are so many.
        """
        size = 10_001
        flood = samples.Flood(size)
        documents = [Document(f"page/{number:06}", b"", version=1) for number in range(size)]
        trail = [samples.audit(number) for number in range(size)]
        with self.opened() as store:
            store.commit(Changes(new=flood, documents=[(document, 0) for document in documents], audit=trail))
            for limit in (1000, 1001, 10_000):
                assert limit == len(store.cards(CardQuery(limit=limit)))
                assert limit == len(store.cards(CardQuery(batch="FLOOD", order="serial", descending=True, limit=limit)))
                assert limit == len(store.entries(EntryQuery(limit=limit)))
                assert limit == len(store.entries(EntryQuery(kinds={"initial"}, order="time", limit=limit)))
                assert limit == len(store.documents("page/", limit=limit))
                assert limit == len(store.audit(limit=limit))
            assert CardQuery().limit == len(store.documents("")) == len(store.audit())
            assert [card for card, _ in flood] == samples.paged(store.cards, CardQuery(), 10_000, size)
            assert [entry for _, entry in flood] == samples.paged(store.entries, EntryQuery(), 10_000, size)
            assert documents == samples.every_document(store, limit=10_000)
            assert trail == samples.every_audit(store, limit=10_000)

    @proves("law 4")
    def test_law_4_paging_is_stable(self) -> None:
        """
        While others insert and remove cards, paging neither repeats nor skips a card that was there all along.
        """
        for order, descending in CARD_ORDERS:
            with self._filled() as (store, cards, _):
                chance = random.Random(9)  # noqa: S311 - the same changes every time
                query = CardQuery(order=order, descending=descending)  # type: ignore[arg-type]
                there = {card.id: card for card in cards}
                seen: list[CardRecord] = []
                after: Position | None = None
                for turn in itertools.count(1):
                    page = store.cards(samples.page_of(query, after, 7))
                    if not page:
                        break
                    seen += page
                    after = query.position(page[-1])
                    if turn < TURNS:
                        gone = [page[-1], *(there[id] for id in chance.sample(sorted(set(there) - {page[-1].id}), 2))]
                        added = samples.new(*range(turn * 1000, turn * 1000 + 5))
                        like = [
                            (card._replace(created_at=gone[1].created_at, credit=0), entry) for card, entry in added
                        ]
                        store.commit(Changes(new=like, remove=[samples.removed_version(card) for card in gone]))
                        there = {id: card for id, card in there.items() if card not in gone}

                positions = [query.position(card) for card in seen]

                assert sorted(set(positions), reverse=descending) == positions, "a card was repeated, or out of order"
                assert not set(there) - {card.id for card in seen}, "cards were skipped that were there all along"

    @proves("law 4")
    def test_law_4_nothing_stays_open_between_pages(self) -> None:
        """
        Between two pages nothing is locked: every other handle can commit, and the next page sees it.
        """
        with self.fresh() as open_store, closing(open_store()) as store, closing(open_store()) as other:
            store.commit(Changes(new=samples.new(*range(20)), documents=_documents(), audit=[samples.audit(1)]))
            page = store.cards(CardQuery(limit=5))
            store.entries(EntryQuery(limit=5))
            store.documents("", limit=2)
            store.audit(limit=1)
            other.commit(Changes(new=samples.new(100), remove=[samples.removed_version(samples.card(19))]))
            query = CardQuery(limit=1000, after=CardQuery().position(page[-1]))

            assert [*range(5, 19), 100] == [int.from_bytes(card.id, "big") for card in store.cards(query)]

    @proves("`find`")
    def test_find(self) -> None:
        """
        `find` gives the card with exactly this id, serial or index, and None if there is none.
        """
        with self._filled() as (store, cards, _):
            for card in cards[:9]:
                assert card == store.find(id=card.id)
                assert card == store.find(serial=card.serial)
                assert card == store.find(index=card.index)
                assert store.find(serial=card.serial.lower()) is None
                assert store.find(index=card.id) is None
                assert store.find(id=card.index) is None
            assert store.find(serial="K7QX-%") is None
            assert store.find(id=b"") is None

    @proves("`find_many`")
    def test_find_many(self) -> None:
        """
        `find_many` gives every card that has one of any number of ids or serials, and no other.
        """
        with self._filled() as (store, cards, _):

            def found(ids: Iterable[bytes] = (), serials: Iterable[str] = ()) -> set[CardRecord]:
                records = store.find_many(ids=ids, serials=serials)
                assert all(type(record.enabled) is bool for record in records)

                return set(records)

            many = [samples.card(number) for number in reversed(range(3000))]

            assert found() == set()
            assert set(cards) == found(ids=(card.id for card in many))
            assert set(cards) == found(serials=[card.serial for card in many])
            assert set(cards[:9]) == found([card.id for card in cards[:5]], [card.serial for card in cards[3:9]])
            assert {cards[0]} == found(ids=[cards[0].id] * 2, serials=[cards[0].serial])
            assert found(ids=[b"", cards[0].index], serials=["", "K7QX-%", cards[0].serial.lower()]) == set()

    @proves("`sealed_codes`")
    def test_sealed_codes(self) -> None:
        """
        `sealed_codes` gives the positions and sealed codes of the same page of cards, whatever is asked for.
        """
        with self._filled() as (store, cards, _):
            for conditions, (order, descending) in itertools.product(_each_condition(CARD_CONDITIONS), CARD_ORDERS):
                query = CardQuery(**{**conditions, "order": order, "descending": descending})
                for after in (None, query.position(cards[0])):
                    page = samples.page_of(query, after, 7)

                    assert list(store.sealed_codes(page)) == [
                        SealedCode(*query.position(card), card.sealed_code) for card in store.cards(page)
                    ]
            assert len(cards) - 1 == len(store.sealed_codes(CardQuery(limit=len(cards) - 1)))

    @proves("`nearest`")
    def test_nearest(self) -> None:
        """
        `nearest` gives the card at or after an index, wrapping round after the last, and None if there is no card.
        """
        with self.opened() as store:
            assert store.nearest(b"\x00" * 16) is None

            cards = sorted((samples.card(number) for number in range(9)), key=lambda card: card.index)
            store.commit(Changes(new=samples.new(*range(9))))

            for card, following in zip(cards, [*cards[1:], cards[0]], strict=True):
                beyond = (int.from_bytes(card.index, "big") + 1).to_bytes(16, "big")
                assert card == store.nearest(card.index)
                assert following == store.nearest(beyond)
            assert cards[0] == store.nearest(b"\x00" * 16)
            assert cards[0] == store.nearest(b"\xff" * 16)

    @proves("`known`")
    def test_known(self) -> None:
        """
        `known` tells which of any number of indexes, serials and operations exist, and keeps them apart.
        """
        with self._filled() as (store, cards, entries):
            indexes = {card.index for card in cards}
            operations = {entry.operation for entry in entries if entry.operation is not None}
            many = [samples.card(number).index for number in range(3000)]

            assert store.known() == frozenset()
            assert indexes == store.known(indexes=iter(many))
            assert {card.serial for card in cards} == store.known(
                serials=[card.serial for card in map(samples.card, range(999))]
            )
            assert operations == store.known(operations=map(samples.operation, range(999)))
            assert store.known(indexes=operations, operations=indexes, serials=["k7qx-000001"]) == frozenset()
            assert indexes | operations == store.known(indexes=indexes, operations=operations)

    @proves("`totals`")
    def test_totals(self) -> None:
        """
        `totals` sums exactly, beyond 64 bits and with Unlimited apart, over any grouping and any periods.

        What an entry does not have adds nothing, and an entry without a call is in period 0 of `start`. Sums are
        integers: a decimal that is equal is not one.
        """
        with self._filled() as (store, _, entries):
            searches = [
                EntryQuery(),
                EntryQuery(kinds=frozenset({"recharge"})),
                EntryQuery(extension="0003*21", after=(b"", 0), limit=1),
                EntryQuery(kinds=frozenset({"charge"}), started_before=NOW + 1),
            ]
            assert store.totals(EntryQuery(extension="nowhere")) == []
            for query, by, periods in itertools.product(searches, GROUPINGS, PERIODS):
                expected = expected_totals(entries, query, by, periods)
                found = list(store.totals(query, by, periods=periods))

                assert expected == found
                assert {int} == {type(value) for total in found for value in total[1:]}
            [whole] = store.totals(EntryQuery(amount_at_least=1))
            sums = [whole.amount, whole.seconds, whole.charged_seconds, whole.shortfall]
            assert min(sums) > 2 * MAX, "the sums are too small to tell"

    @proves("`document` and `documents`")
    def test_documents(self) -> None:
        """
        `documents` gives those whose keys begin with exactly this prefix, page by page in the order of their keys.
        """
        with self.opened() as store:
            store.commit(Changes(documents=_documents()))
            for prefix, limit in itertools.product(["", "a%", "ab/", "zz", *KEYS], [1, 2, 1000]):
                expected = sorted(key for key in KEYS if key.startswith(prefix))

                assert expected == [document.key for document in samples.every_document(store, prefix, limit)]
            for key in KEYS:
                assert Document(key, key.encode(), version=1) == store.document(key)
            assert store.document("B") is None
            assert store.document("a") != store.document("A_b")

    @proves("`find_documents`")
    def test_find_documents(self) -> None:
        """
        `find_documents` gives every document that has one of any number of keys, expired or not, and no other.
        """
        moments = [None, NOW, -1, 0, MAX]
        documents = [
            Document(f"many/{number:04}", bytes([number % 256]), 1 + number % 3, moments[number % 5])
            for number in range(1500)
        ]
        few = documents[:40]
        with self.opened() as store:
            store.commit(Changes(documents=[(document, 0) for document in documents], require=[("absent", 0)]))
            every = [f"many/{number:04}" for number in reversed(range(3000))]

            assert list(store.find_documents([])) == []
            assert few[:1] == list(store.find_documents(["many/0000"]))
            assert few == sorted(store.find_documents([*(document.key for document in few), "absent", "many/"]))
            assert documents == sorted(store.find_documents(iter(every)))
            assert set(few[:2]) == set(store.find_documents(["many/0001", "many/0000", "many/0001"]))
            assert list(store.find_documents(["", "many/%", "MANY/0000", "many/0000 "])) == []

    @proves("`documents` with *expired_at*")
    def test_expired_documents(self) -> None:
        """
        `documents` with *expired_at* gives those that expire at this moment or before, and none that never expires.
        """
        moments = [None, -1, 0, NOW - 1, NOW, NOW + 1, MAX]
        documents = [
            Document(f"{prefix}/{number:03}", b"", 1, moments[(3 * number) % len(moments)])
            for prefix in ("a", "a%", "b")
            for number in range(30)
        ]
        with self.opened() as store:
            store.commit(
                Changes(documents=[(document, 0) for document in reversed(documents)], require=[("b/absent", 0)])
            )
            for now, prefix, limit in itertools.product(
                [-2, -1, 0, NOW, NOW + 1, MAX], ["", "a", "a%", "c"], [7, 1000]
            ):
                expected = sorted(
                    each
                    for each in documents
                    if each.key.startswith(prefix) and each.expires_at is not None and each.expires_at <= now
                )

                assert expected == samples.every_document(store, prefix, limit, now)
            assert len(documents) == len(samples.every_document(store))

            for version, expires_at in enumerate([NOW, None, NOW + 1, NOW - 1], 2):
                changed = documents[0]._replace(version=version, expires_at=expires_at)
                store.commit(Changes(documents=[(changed, version - 1)]))
                expected = [changed] if expires_at in {NOW, NOW - 1} else []

                assert expected == list(store.documents(changed.key, limit=1, expired_at=NOW))

    @proves("`cards` with *hold_expired_at*")
    def test_expired_holds(self) -> None:
        """
        Cards of which a hold has run out are found by the expiry that they have now, and others are not.
        """
        card, *others = (samples.card(number) for number in range(4))
        lasting = [others[0]._replace(next_hold_expiry=NOW + 1), others[1], others[2]._replace(next_hold_expiry=MAX)]
        query = CardQuery(hold_expired_at=NOW)
        with self.opened() as store:
            store.commit(Changes(new=[(each, samples.entry(each)) for each in (card, *lasting)]))
            for version, moment in enumerate([NOW, NOW - 1, None, -1, NOW + 1, NOW - 2], 2):
                card = card._replace(version=version, next_hold_expiry=moment)
                store.commit(Changes(replace=[(card, version - 1)]))
                expected = [card] if moment in {NOW, NOW - 1, NOW - 2, -1} else []

                assert expected == list(store.cards(query))
                assert [each.id for each in expected] == [each.id for each in store.sealed_codes(query)]
                assert len(expected) == store.count(query)

            store.commit(Changes(remove=[samples.removed_version(card)]))

            assert list(store.cards(query)) == []

    @proves("`document`")
    def test_document_expired_or_not(self) -> None:
        """
        `document` gives a document whether it has expired or not, also after other commits, and with its version.
        """
        moments = {"long ago": -1, "at once": 0, "ago": NOW, "far": MAX, "never": None}
        documents = [Document(key, key.encode(), 1, expires_at) for key, expires_at in moments.items()]
        with self.fresh() as open_store, closing(open_store()) as store, closing(open_store()) as other:
            store.commit(Changes(documents=[(document, 0) for document in documents]))
            store.commit(Changes(documents=_documents(), require=[(key, 1) for key in moments]))

            assert documents == [store.document(key) for key in moments]
            assert documents == [other.document(key) for key in moments]

            changed = [document._replace(value=b"changed", version=2) for document in documents]
            store.commit(Changes(documents=[(document, 1) for document in changed]))

            assert changed == [store.document(key) for key in moments]

    @proves("`counters`")
    def test_counters(self) -> None:
        """
        Counters move by what they are told, up and down and below zero; one that never moved stands at 0.

        They are integers, however often they were moved: a float or a decimal that is equal is not one.
        """
        with self.opened() as store:
            store.commit(
                Changes(counters=[CounterChange("up", 3), CounterChange("down", -3), CounterChange("zero", 0)])
            )
            keys = ["up", "down", "zero", "never", "UP"]
            once = dict(store.counters(iter(keys)))
            store.commit(Changes(counters=[CounterChange("up", 2**40), CounterChange("down", 1)]))
            twice = dict(store.counters(iter(keys)))
            store.commit(Changes(counters=[CounterChange("up", 1, 2**50), CounterChange("down", 2)]))
            thrice = dict(store.counters(iter(keys)))

            assert once == {"up": 3, "down": -3, "zero": 0, "never": 0, "UP": 0}
            assert twice == {"up": 2**40 + 3, "down": -2, "zero": 0, "never": 0, "UP": 0}
            assert thrice == {"up": 2**40 + 4, "down": 0, "zero": 0, "never": 0, "UP": 0}
            for counters in (once, twice, thrice):
                assert dict.fromkeys(keys, int) == {key: type(value) for key, value in counters.items()}

    @proves("`audit`")
    def test_audit(self) -> None:
        """
        The audit trail comes page by page in the order of its ids, whatever the order it was written in.
        """
        with self.opened() as store:
            numbers = random.Random(1).sample(range(300), 50)  # noqa: S311 - the same trail every time
            store.commit(Changes(audit=[samples.audit(number) for number in numbers]))
            expected = [samples.audit(number) for number in sorted(numbers)]

            for limit in (1, 7, 50, 1000):
                assert expected == samples.every_audit(store, limit)

    @proves("law 7")
    def test_law_7_no_question_brings_down_the_driver(self) -> None:
        """
        Whatever is asked for is answered, or refused with a voipcard error: the driver's own never come out.
        """
        huge, lone = 2**70, "\ud800"
        with self._filled() as (store, _, __):
            questions = [
                lambda: store.cards(CardQuery(order_number=lone)),
                lambda: store.cards(CardQuery(created_from=huge)),
                lambda: store.cards(CardQuery(hold_expired_at=huge)),
                lambda: store.cards(CardQuery(after=(-huge, b""))),
                lambda: store.count(CardQuery(batch=lone, created_before=-huge)),
                lambda: store.entries(EntryQuery(order_number=lone)),
                lambda: store.entries(EntryQuery(created_before=huge)),
                lambda: store.entries(EntryQuery(started_from=-huge)),
                lambda: store.totals(EntryQuery(batch=lone, created_from=-huge)),
                lambda: store.find(serial=lone),
                lambda: store.find(serial="\x00' OR 1=1 --"),
                lambda: store.find_many(serials=["K7QX-000001", lone]),
                lambda: store.sealed_codes(CardQuery(order_number=lone, created_from=huge)),
                lambda: store.known(serials=[lone]),
                lambda: store.document(lone),
                lambda: store.find_documents(["a", lone]),
                lambda: store.documents(lone),
                lambda: store.documents("", expired_at=huge),
                lambda: store.documents("", expired_at=-huge),
                lambda: store.counters([lone]),
            ]
            for question in questions:
                try:
                    answer = question()  # type: ignore[no-untyped-call]
                except VoipcardError:
                    continue
                assert answer is not NotImplemented


def _documents() -> list[tuple[Document, int]]:
    return [(Document(key, key.encode(), version=1), 0) for key in KEYS]
