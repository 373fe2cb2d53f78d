"""
Queries: what a search means is what its conditions say, one by one, and every order is total.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voipcard.core.credit import UNLIMITED, Credit
from voipcard.core.moments import to_micros
from voipcard.core.query import CardQuery, EntryQuery, Position
from voipcard.errors import AmountError, AmountTypeError, InvalidValueError
from voipcard.stores import CardRecord, EntryRecord
from voipcard.testing import samples

NOON: Final = datetime(2026, 3, 14, 12, tzinfo=UTC)
TICKS: Final = [NOON + timedelta(microseconds=tick) for tick in range(4)]
AMOUNTS: Final = [-1, 0, 1, 2, 2**63 - 2, UNLIMITED.micros]

# Few different values, so that conditions are often fulfilled and positions often nearly equal.
ids: Final = st.integers(0, 30).map(lambda number: number.to_bytes(16, "big"))
words: Final = st.sampled_from(["", "a", "A", "a%", "b"])
ticks: Final = st.sampled_from(TICKS)
amounts: Final = st.sampled_from(AMOUNTS)
cards: Final = st.builds(
    samples.card(0)._replace,
    id=ids,
    serial=words,
    extension=words,
    batch=words,
    kind=st.sampled_from(["code", "caller_id"]),
    index=ids,
    enabled=st.booleans(),
    credit=amounts,
    order_number=words,
    created_at=ticks.map(to_micros),
    first_used_at=st.none() | ticks.map(to_micros),
    expires_at=st.none() | ticks.map(to_micros),
    next_hold_expiry=st.none() | ticks.map(to_micros),
)
entries: Final = st.builds(
    samples.entry(samples.card(0))._replace,
    card=ids,
    sequence=st.integers(1, 3),
    extension=words,
    batch=words,
    kind=st.sampled_from(["initial", "recharge", "charge"]),
    amount=amounts,
    order_number=words,
    operation=st.none() | ids,
    created_at=ticks.map(to_micros),
    started_at=st.none() | ticks.map(to_micros),
)
limits: Final = amounts.map(Credit.from_micros)

CARD_CONDITIONS: Final[Mapping[str, tuple[st.SearchStrategy[Any], Callable[[CardRecord, Any], bool]]]] = {
    "extension": (words, lambda card, value: card.extension == value),
    "batch": (words, lambda card, value: card.batch == value),
    "serial": (words, lambda card, value: card.serial == value),
    "index": (ids, lambda card, value: card.index == value),
    "kind": (st.sampled_from(["code", "caller_id"]), lambda card, value: card.kind == value),
    "enabled": (st.booleans(), lambda card, value: card.enabled is value),
    "credit_at_least": (limits, lambda card, value: Credit.from_micros(card.credit) >= value),
    "credit_below": (limits, lambda card, value: Credit.from_micros(card.credit) < value),
    "unlimited": (st.booleans(), lambda card, value: Credit.from_micros(card.credit).is_unlimited is value),
    "order_number": (words, lambda card, value: card.order_number == value),
    "created_from": (ticks, lambda card, value: card.created_at >= to_micros(value)),
    "created_before": (ticks, lambda card, value: card.created_at < to_micros(value)),
    "used": (st.booleans(), lambda card, value: (card.first_used_at is None) is not value),
    "hold_expired_at": (
        ticks,
        lambda card, value: card.next_hold_expiry is not None and card.next_hold_expiry <= to_micros(value),
    ),
}
ENTRY_CONDITIONS: Final[Mapping[str, tuple[st.SearchStrategy[Any], Callable[[EntryRecord, Any], bool]]]] = {
    "card": (ids, lambda entry, value: entry.card == value),
    "extension": (words, lambda entry, value: entry.extension == value),
    "batch": (words, lambda entry, value: entry.batch == value),
    "kinds": (
        st.frozensets(st.sampled_from(["initial", "recharge", "charge"])),
        lambda entry, value: entry.kind in set(value),
    ),
    "order_number": (words, lambda entry, value: entry.order_number == value),
    "operation": (ids, lambda entry, value: entry.operation == value),
    "amount_at_least": (limits, lambda entry, value: Credit.from_micros(entry.amount) >= value),
    "amount_below": (limits, lambda entry, value: Credit.from_micros(entry.amount) < value),
    "created_from": (ticks, lambda entry, value: entry.created_at >= to_micros(value)),
    "created_before": (ticks, lambda entry, value: entry.created_at < to_micros(value)),
    "started_from": (ticks, lambda entry, value: entry.started_at is not None and entry.started_at >= to_micros(value)),
    "started_before": (
        ticks,
        lambda entry, value: entry.started_at is not None and entry.started_at < to_micros(value),
    ),
}

QUERIES: Final[list[type[CardQuery | EntryQuery]]] = [CardQuery, EntryQuery]


def chosen(conditions: Mapping[str, tuple[st.SearchStrategy[Any], Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """
    Choose some conditions, and values for them.
    """
    return st.fixed_dictionaries({}, optional={name: values for name, (values, _) in conditions.items()})


@given(cards, chosen(CARD_CONDITIONS))
def test_a_card_matches_if_it_fulfills_every_condition(card: CardRecord, conditions: dict[str, Any]) -> None:
    """
    Conditions are independent of each other, and one that is not given does not count.
    """
    expected = [CARD_CONDITIONS[name][1](card, value) for name, value in conditions.items()]

    assert all(expected) == CardQuery(**conditions).matches(card)
    assert expected == [CardQuery(**{name: value}).matches(card) for name, value in conditions.items()]
    assert CardQuery().matches(card)


@given(entries, chosen(ENTRY_CONDITIONS))
def test_an_entry_matches_if_it_fulfills_every_condition(entry: EntryRecord, conditions: dict[str, Any]) -> None:
    """
    The same for ledger entries.
    """
    expected = [ENTRY_CONDITIONS[name][1](entry, value) for name, value in conditions.items()]

    assert all(expected) == EntryQuery(**conditions).matches(entry)
    assert expected == [EntryQuery(**{name: value}).matches(entry) for name, value in conditions.items()]
    assert EntryQuery().matches(entry)


@given(cards, st.none() | ticks, st.booleans())
def test_a_card_has_expired_from_its_moment_on(
    card: CardRecord,
    now: datetime | None,
    expired: bool,  # noqa: FBT001 - a parameter of a test
) -> None:
    """
    A card expires at the moment that it is said to, not after it, and one without such a moment never does.

    Where nobody says what time it is, no card has expired.
    """
    has_expired = card.expires_at is not None and now is not None and to_micros(now) >= card.expires_at

    assert (has_expired is expired) == CardQuery(expired=expired, now=now).matches(card)
    assert CardQuery(now=now).matches(card)


@given(
    cards,
    st.sampled_from(["created", "serial", "credit"]),
    st.booleans(),
    st.none() | st.tuples(st.integers(), ids),
    st.integers(1, 10_000),
)
def test_paging_does_not_change_what_matches(
    card: CardRecord,
    order: Any,  # noqa: ANN401 - one of three words
    descending: bool,  # noqa: FBT001 - a parameter of a test
    after: Position | None,
    limit: int,
) -> None:
    """
    Order, direction, cursor and length of a page say nothing about which cards match.
    """
    plain = CardQuery(extension="a")
    paged = attrs.evolve(plain, order=order, descending=descending, after=after, limit=limit)

    assert plain.matches(card) == paged.matches(card)


@given(st.lists(cards, max_size=12, unique_by=lambda card: card.id))
def test_the_order_of_cards_is_total(found: list[CardRecord]) -> None:
    """
    Cards are ordered by what the order is named after, equal ones by their id; no two share a position.
    """
    keys: dict[str, Callable[[CardRecord], Any]] = {
        "created": lambda card: card.created_at,
        "serial": lambda card: card.serial,
        "credit": lambda card: card.credit,
    }
    for order, key in keys.items():
        position = CardQuery(order=order).position  # type: ignore[arg-type]
        expected = sorted(sorted(found, key=lambda card: card.id), key=key)

        assert expected == sorted(found, key=position)
        assert len(found) == len(set(map(position, found)))


@given(st.lists(entries, max_size=12, unique_by=lambda entry: (entry.card, entry.sequence)))
def test_the_order_of_entries_is_total(found: list[EntryRecord]) -> None:
    """
    Entries are ordered card by card, or by time; no two share a position.
    """
    by_card = sorted(sorted(found, key=lambda entry: entry.sequence), key=lambda entry: entry.card)
    by_time = sorted(by_card, key=lambda entry: entry.created_at)

    assert by_card == sorted(found, key=EntryQuery().position)
    assert by_time == sorted(found, key=EntryQuery(order="time").position)
    for query in (EntryQuery(), EntryQuery(order="time")):
        assert len(found) == len(set(map(query.position, found)))


def test_unlimited_is_the_highest_credit() -> None:
    """
    In the order of credit unlimited cards come last, and no amount is the smallest that no longer matches them.
    """
    rich, unlimited = (samples.card(0)._replace(credit=credit) for credit in (2**63 - 2, UNLIMITED.micros))
    query = CardQuery(order="credit")

    assert query.position(rich) < query.position(unlimited)
    assert CardQuery(credit_at_least=9_223_372_036_854).matches(unlimited)
    assert CardQuery(credit_below=UNLIMITED).matches(rich)
    assert not CardQuery(credit_below=UNLIMITED).matches(unlimited)


@given(chosen(CARD_CONDITIONS), chosen(ENTRY_CONDITIONS), st.integers(1, 10_000))
def test_another_page_has_the_same_conditions(cards_: dict[str, Any], entries_: dict[str, Any], limit: int) -> None:
    """
    A query can be varied as often as one likes: its amounts and moments stay what they are.
    """
    queries: list[tuple[type[CardQuery | EntryQuery], dict[str, Any]]] = [(CardQuery, cards_), (EntryQuery, entries_)]
    for kind, conditions in queries:
        query = varied = kind(**conditions)
        for length in (limit, 7, query.limit):
            varied = attrs.evolve(varied, limit=length, after=(1, b""))

        assert query == attrs.evolve(varied, after=None)
        assert kind(**conditions, limit=limit) == attrs.evolve(varied, limit=limit, after=None)


@given(limits, ticks)
def test_amounts_and_moments_are_taken_as_people_write_them(amount: Credit, moment: datetime) -> None:
    """
    Whole numbers are whole units, texts are amounts, datetimes may be in any time zone.
    """
    assert CardQuery(credit_below=amount) == CardQuery(credit_below=str(amount))
    assert CardQuery(created_from=moment) == CardQuery(created_from=to_micros(moment))
    assert EntryQuery(amount_at_least=7) == EntryQuery(amount_at_least=Credit("7.00"))
    assert CardQuery(now=moment.astimezone()) == CardQuery(now=moment)


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("limit", [0, -1, 10_001, 1.0, True, None, "10"])
def test_a_page_has_1_to_10000_records(query: type[CardQuery | EntryQuery], limit: Any) -> None:  # noqa: ANN401
    """
    No page is empty by intention, and none fills the memory.
    """
    with pytest.raises(InvalidValueError) as caught:
        query(limit=limit)
    assert caught.value.name == "limit"
    assert {length: query(limit=length).limit for length in (1, 10_000)} == {1: 1, 10_000: 10_000}


@pytest.mark.parametrize(
    "query, order", list(itertools.product(QUERIES, ["", "Created", "id", None])), ids="{!s:.30}".format
)
def test_only_the_documented_orders_exist(query: type[CardQuery | EntryQuery], order: Any) -> None:  # noqa: ANN401
    """
    An order that nobody knows is refused, and the ones that exist are named.
    """
    with pytest.raises(InvalidValueError) as caught:
        query(order=order)
    assert caught.value.name == "order"
    assert str(query().order) in caught.value.reason


@pytest.mark.parametrize(
    "query, name",
    [
        *itertools.product(QUERIES, ["created_from", "created_before"]),
        *itertools.product([CardQuery], ["now", "hold_expired_at"]),
        *itertools.product([EntryQuery], ["started_from", "started_before"]),
    ],
)
@pytest.mark.parametrize("moment", [datetime(2026, 3, 14), 2**63, -(2**63) - 1])  # noqa: DTZ001
def test_a_moment_that_is_none_is_refused(
    query: type[CardQuery | EntryQuery], name: str, moment: datetime | int
) -> None:
    """
    Moments say which time zone they are in, and fit into 64 bits.
    """
    conditions: dict[str, Any] = {name: moment}

    with pytest.raises(InvalidValueError):
        query(**conditions)


@pytest.mark.parametrize("name", ["extension", "batch", "order_number", "serial"])
@pytest.mark.parametrize("text", ["\ud800", "a\udfffb"])
def test_a_text_that_cannot_be_written_is_refused(name: str, text: str) -> None:
    """
    Half a character can be in no record, and not every store could even look for it.
    """
    conditions: dict[str, Any] = {name: text}

    with pytest.raises(InvalidValueError) as caught:
        CardQuery(**conditions)
    assert name == caught.value.name
    if name != "serial":
        with pytest.raises(InvalidValueError):
            EntryQuery(**conditions)


@pytest.mark.parametrize("name", ["at_least", "below"])
def test_an_amount_that_is_none_is_refused(name: str) -> None:
    """
    Limits are amounts, with all their rules.
    """
    for value, error in ((0.5, AmountTypeError), ("1.0000001", AmountError), ("x", AmountError)):
        conditions: dict[str, Any] = {f"credit_{name}": value}
        with pytest.raises(error):
            CardQuery(**conditions)
        conditions = {f"amount_{name}": value}
        with pytest.raises(error):
            EntryQuery(**conditions)


def test_one_kind_is_no_set_of_kinds() -> None:
    """
    A word would be taken for a set of letters, and match nothing.
    """
    with pytest.raises(InvalidValueError) as caught:
        EntryQuery(kinds="recharge")
    assert caught.value.name == "kinds"
    assert EntryQuery(kinds=frozenset({"initial"})) == EntryQuery(kinds=["initial"])


@pytest.mark.parametrize("query", QUERIES)
def test_a_query_is_a_value(query: type[CardQuery | EntryQuery]) -> None:
    """
    Queries are equal if they ask the same, can be keys, cannot be changed, and say everything by name.
    """
    changed: Any = query()
    unnamed: Any = query

    assert query(limit=7) == query(limit=7) != query()
    assert hash(query(limit=7)) == hash(query(limit=7))
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        changed.limit = 7
    with pytest.raises(TypeError):
        unnamed("0003*215")
