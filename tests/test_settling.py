"""
Settling calls afterwards: each once, whoever tells of it, however often, in whatever order, and whatever crashed.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from io import BytesIO
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.book_world import (
    EXTENSION,
    MORNING,
    OTHER,
    PATIENCE,
    Clock,
    DiesAfterCommit,
    DiesBeforeCommit,
    Meddled,
    Recording,
    book_on,
    engine_of,
    file_book,
    in_processes,
    killed,
    new_book,
    on_disk,
    outcome,
    sound,
    verbs_of,
)
from tests.test_exactly_once import Careless
from voipcard import (
    UNLIMITED,
    CallDifference,
    CallFacts,
    CallRecord,
    CardBook,
    Credit,
    Extension,
    NewCard,
    Rate,
    RateDeck,
    Settlement,
    Tariff,
    sheets,
)
from voipcard.calling import Call
from voipcard.core.query import EntryQuery
from voipcard.errors import InvalidValueError, SheetError, TamperedError
from voipcard.stores import Changes, EntryRecord, MemoryStore, SQLiteStore

DECK: Final = RateDeck(
    [
        Rate("40", Tariff(price="0.06")),
        Rate("407", Tariff(price="0.30", connection_fee="0.10", first_interval=30, next_interval=6)),
        Rate("1", Tariff(price=0)),
        Rate("881", Tariff(price=9_000_000_000_000, per=1)),
    ]
)
LATER: Final = RateDeck([Rate("40", Tariff(price="0.60"))], valid_from=MORNING + timedelta(hours=6))
FIXED: Final = "40213123456"
MOBILE: Final = "40722123456"
HEADER: Final = "call_id,serial,destination,started_at,seconds"


@attrs.frozen
class World:
    """
    A book with a price list and four cards.

    Attributes:
        book: The book.
        clock: Its clock.
        cards: The serials: of a card with plenty, of one with little, of one with nothing, and of an unlimited one.
    """

    book: CardBook
    clock: Clock
    cards: tuple[str, ...]

    @classmethod
    def new(cls, book: CardBook | None = None, clock: Clock | None = None) -> World:
        """
        Make one.
        """
        clock = clock or Clock()
        book = book or new_book(clock=clock)
        book.install_deck(DECK)
        book.install_deck(LATER)
        credit = [Credit(100), Credit("0.25"), Credit(0), UNLIMITED]
        cards = [NewCard(f"770{number}", credit=each) for number, each in enumerate(credit)]

        return cls(book, clock, tuple(handout.serial for handout in book.extension(EXTENSION).add(cards)))

    @property
    def extension(self) -> Extension:
        """
        The extension.
        """
        return self.book.extension(EXTENSION)

    def call(self, number: int = 1, card: int = 0, **facts: Any) -> CallRecord:  # noqa: ANN401 - those of the record
        """
        Make a call of a card.
        """
        told: dict[str, Any] = {"destination": FIXED, "started_at": MORNING, "seconds": 60, **facts}

        return CallRecord(told.pop("call_id", f"call {number}"), told.pop("serial", self.cards[card]), **told)

    def begin(self, number: int = 1, card: int = 0, destination: str = FIXED) -> Call:
        """
        Begin a call that `call` may tell of later.
        """
        return self.extension.begin_call(self.cards[card], destination, call_id=f"call {number}")


def charges(book: CardBook) -> Sequence[EntryRecord]:
    """
    Give the entries of all calls that were settled.
    """
    return engine_of(book).store.entries(EntryQuery(kinds=frozenset({"charge"}), limit=10_000))


def sums(book: CardBook) -> dict[str, tuple[int, ...]]:
    """
    Add up, for each card, calls, seconds, what was taken, and what was not there.
    """
    found: dict[str, list[int]] = {}
    for entry in charges(book):
        own = found.setdefault(entry.serial, [0, 0, 0, 0])
        for place, value in enumerate((1, entry.seconds or 0, -entry.amount, entry.shortfall or 0)):
            own[place] += value

    return {serial: tuple(values) for serial, values in found.items()}


def credits_of(world: World) -> list[Credit]:
    """
    Give what is left on each card.
    """
    return [world.extension.get(serial).credit for serial in world.cards]


def counts(settlement: Settlement) -> tuple[int, int, int, int]:
    """
    Count what became of calls.
    """
    return settlement.settled, settlement.replayed, len(settlement.differing), len(settlement.rejected)


def reasons(settlement: Settlement) -> list[tuple[int, str, str]]:
    """
    Give why calls were rejected: row, column and reason.
    """
    return [(call.problem.row, call.problem.column, call.problem.reason) for call in settlement.rejected]


def sheet(calls: Iterable[CallRecord]) -> bytes:
    """
    Write calls as a switch does.
    """
    rows = [
        f"{call.call_id},{call.serial},{call.destination},{call.started_at.isoformat()},{call.seconds}"
        for call in calls
    ]

    return "\n".join([HEADER, *rows]).encode()


# What the ledger says in the end

CALLS: Final = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([FIXED, MOBILE, "12025550100"]), st.integers(0, 4000)), max_size=12
)


@settings(max_examples=60)
@given(CALLS, st.data())
def test_the_sums_are_the_same_however_calls_are_told(told: list[tuple[int, str, int]], data: st.DataObject) -> None:
    """
    Any order, any split and any repetition of the same calls gives the same sums, and a sound book.

    What was taken and the shortfall are together what the calls cost; nothing is below zero.
    """
    world, other = World.new(), World.new()
    made = [
        world.call(number, card, destination=destination, seconds=seconds)
        for number, (card, destination, seconds) in enumerate(told)
    ]
    counted = world.extension.settle_calls(made)
    mixed = [place for place in range(len(made)) for _ in range(data.draw(st.integers(1, 3)))]
    mixed = data.draw(st.permutations(mixed))
    cut = data.draw(st.integers(0, len(mixed)))
    same = [attrs.evolve(call, serial=other.cards[card]) for call, (card, _, _) in zip(made, told, strict=True)]
    parts = [other.extension.settle_calls([same[place] for place in part]) for part in (mixed[:cut], mixed[cut:])]
    costs = list(DECK.costs((destination, seconds) for _, destination, seconds in told))
    first, second = sums(world.book), sums(other.book)

    assert (len(made), 0, 0, 0) == counts(counted)
    assert (len(made), len(mixed) - len(made)) == (
        sum(part.settled for part in parts),
        sum(part.replayed for part in parts),
    )
    assert [first.get(serial) for serial in world.cards] == [second.get(serial) for serial in other.cards]
    assert credits_of(world) == credits_of(other)
    assert sum(costs) == sum(taken + missing for _, _, taken, missing in first.values())  # type: ignore[arg-type]
    assert min(credits_of(world)) >= Credit(0)
    assert sound(world.book) == sound(other.book) == ()


STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), st.integers(0, 2), st.integers(0, 3)),
        st.tuples(st.just("end"), st.integers(0, 2), st.sampled_from([0, 60, 61])),
        st.tuples(st.just("release"), st.integers(0, 2), st.just(0)),
        st.tuples(st.just("tell"), st.integers(0, 2), st.sampled_from([0, 60, 61])),
        st.tuples(st.just("wait"), st.just(0), st.sampled_from([1, 1000])),
    ),
    max_size=14,
)


@settings(max_examples=100)
@given(STEPS)
def test_the_first_settlement_wins_whoever_tells_it(steps: list[tuple[str, int, int]]) -> None:
    """
    Whether a switch ends calls, gives them up, loses them or tells them later: the first word on each stays.

    What is told again equally is a replay, what is told otherwise is reported and changes nothing.
    """
    world = World.new()
    world.extension.configure(concurrent_calls=None)
    running: dict[int, Call] = {}
    settled: dict[int, tuple[str, str, int]] = {}
    for verb, number, value in steps:
        if verb == "wait":
            world.clock.move(minutes=value)
        elif verb == "begin":
            begun = outcome(lambda n=number, v=value: world.begin(n, v))  # type: ignore[misc]
            if isinstance(begun, Call):
                running.setdefault(number, begun)
        elif verb == "tell":
            serial = running[number].serial if number in running else world.cards[0]
            found = world.extension.settle_calls([world.call(number, serial=serial, seconds=value)])
            known = settled.setdefault(number, ("charge", serial, value))
            is_first = found.settled == 1

            assert (is_first, not is_first and known[1:] == (serial, value)) == (found.settled, found.replayed)
            assert len(found.differing) == (known[1:] != (serial, value))
        elif call := running.get(number):
            kind = "charge" if verb == "end" else "release"
            outcome(lambda c=call, v=value, k=kind: c.end(v) if k == "charge" else world.extension.release(c.hold))  # type: ignore[misc]
            settled.setdefault(number, (kind, call.serial, value))
    entries = engine_of(world.book).store.entries(EntryQuery(kinds=frozenset({"charge", "release"})))

    assert sorted(settled.values()) == sorted((entry.kind, entry.serial, entry.seconds or 0) for entry in entries)
    assert sound(world.book) == ()


def test_calls_that_ended_and_calls_that_are_told_leave_the_same() -> None:
    """
    A switch that ends its calls, and one that crashes and tells of them later, leave the same in the book.

    What has ended is known when it is told as well.
    """
    ended, told = World.new(), World.new()
    for world in (ended, told):
        world.extension.configure(concurrent_calls=None)
    for number, card in enumerate([0, 0, 3]):
        ended.begin(number, card, MOBILE).end(95)
        told.begin(number, card, MOBILE)

    def records(world: World) -> list[CallRecord]:
        return [world.call(number, card, destination=MOBILE, seconds=95) for number, card in enumerate([0, 0, 3])]

    assert counts(told.extension.settle_calls(records(told))) == (3, 0, 0, 0)
    assert counts(ended.extension.settle_calls(records(ended))) == (0, 3, 0, 0)
    assert taken(ended) == taken(told) == ["0.58"] * 3
    assert credits_of(ended) == credits_of(told)


# By which price


def taken(world: World) -> list[str]:
    """
    Give what each call took.
    """
    return [str(Credit.from_micros(-entry.amount)) for entry in charges(world.book)]


@pytest.mark.parametrize("hours, cost", [(0, "0.06"), (5.9999, "0.06"), (6, "0.60"), (7, "0.60"), (-100_000, "0.06")])
def test_a_call_costs_what_the_price_list_said_when_it_was_answered(hours: float, cost: str) -> None:
    """
    A call that was not begun here is charged by the version that held when it was answered.
    """
    world = World.new()
    settlement = world.extension.settle_calls([world.call(started_at=MORNING + timedelta(hours=hours))])

    assert counts(settlement) == (1, 0, 0, 0)
    assert [Credit(cost)] == [Credit(amount) for amount in taken(world)]


@pytest.mark.parametrize("minutes, cost", [(0, "0.06"), (241, "0.06"), (243, "0.60")])
def test_a_call_that_is_held_for_costs_what_was_agreed_on(minutes: int, cost: str) -> None:
    """
    While its hold is live a call is charged by the version it began with, whatever held when it was answered.

    Its hold is freed, and the holds of others are not touched.
    """
    world = World.new()
    world.extension.configure(concurrent_calls=None)
    kept = world.extension.hold(world.cards[0], 10, expires_in=timedelta(days=1))
    world.begin()
    world.clock.move(minutes=minutes)
    settlement = world.extension.settle_calls([world.call(started_at=MORNING + timedelta(hours=7))])

    assert counts(settlement) == (1, 0, 0, 0)
    assert [Credit(cost)] == [Credit(amount) for amount in taken(world)]
    assert [kept] == world.extension.holds(world.cards[0])
    assert sound(world.book) == ()


def test_a_late_call_takes_what_nobody_has_reserved() -> None:
    """
    A call that costs more than is there takes what is available; others keep their holds, the rest is the shortfall.
    """
    world = World.new()
    world.extension.hold(world.cards[0], 99, expires_in=timedelta(days=1))
    world.extension.settle_calls([world.call(seconds=3600), world.call(2, 1, seconds=3600), world.call(3, 2)])
    found = {entry.serial: (entry.amount, entry.shortfall, entry.held_left) for entry in charges(world.book)}

    assert found == {
        world.cards[0]: (-1_000_000, 2_600_000, 99_000_000),
        world.cards[1]: (-250_000, 3_350_000, 0),
        world.cards[2]: (0, 60_000, 0),
    }
    assert [Credit(99), Credit(0), Credit(0), UNLIMITED] == credits_of(world)


UNUSABLE: Final[Mapping[str, Callable[[World], object]]] = {
    "the card is disabled": lambda w: w.extension.disable(w.cards[0]),
    "the batch is disabled": lambda w: w.extension.disable_batch(w.cards[0].partition("-")[0]),
    "the extension is disabled": lambda w: w.book.disable_extension(EXTENSION),
    "the card has expired": lambda w: w.extension.set_expiry(w.cards[0], MORNING - timedelta(days=1)),
}


@pytest.mark.parametrize("case", UNUSABLE)
@pytest.mark.parametrize("is_held", [False, True])
def test_what_has_happened_is_charged_whatever_was_disabled_since(case: str, is_held: bool) -> None:  # noqa: FBT001
    """
    That a card cannot be used any more changes nothing for the calls that it has made.
    """
    world = World.new()
    if is_held:
        world.begin()
    UNUSABLE[case](world)

    assert counts(world.extension.settle_calls([world.call()])) == (1, 0, 0, 0)
    assert taken(world) == ["0.06"]


# What was settled before


@pytest.mark.parametrize(
    "told, fields",
    [
        ({"seconds": 61}, ("seconds",)),
        ({"card": 3}, ("serial",)),
        ({"destination": MOBILE}, ("destination",)),
        ({"destination": "40213123457"}, ("destination",)),
        ({"destination": "12025550100", "seconds": 0, "card": 1}, ("serial", "destination", "seconds")),
        ({"destination": "4999"}, ("destination",)),
        ({"started_at": MORNING + timedelta(seconds=9)}, ()),
        ({"destination": "+40 21 312 3456"}, ()),
    ],
)
def test_a_call_that_is_told_otherwise_is_reported(told: dict[str, Any], fields: tuple[str, ...]) -> None:
    """
    A call differs in its card, its number or its seconds; it is reported with both, and what was settled stays.
    """
    world = World.new()
    settlement = world.extension.settle_calls([world.call(), world.call(2), world.call(**told)])
    before = charges(world.book)
    again = world.extension.settle_calls([world.call(**told)])

    assert [fields] * bool(fields) == [found.fields for found in settlement.differing]
    assert [fields] * bool(fields) == [found.fields for found in again.differing]
    assert (0, not fields) == (again.settled, again.replayed)
    assert before == charges(world.book)


def test_a_difference_has_both_sides() -> None:
    """
    What was recorded and what is told are there with what they cost, by their prefixes, and with where that stands.
    """
    world = World.new()
    told = world.call(card=3, destination=MOBILE, seconds=61)
    settlement = world.extension.settle_calls([world.call(), told])

    assert settlement.differing == (
        CallDifference(
            2,
            1,
            "call 1",
            ("serial", "destination", "seconds"),
            CallFacts(world.cards[0], "40", 60, Credit("0.06")),
            CallFacts(world.cards[3], "407", 61, Credit("0.43")),
        ),
    )


def test_a_call_that_was_given_up_took_no_time() -> None:
    """
    A call whose hold was released is known with 0 seconds, whatever number is told; one with more seconds differs.
    """
    world = World.new()
    world.extension.release(world.begin().hold)
    none, some = world.call(seconds=0, destination=MOBILE), world.call(seconds=1)
    settlement = world.extension.settle_calls([none, some])

    assert counts(settlement) == (0, 1, 1, 0)
    assert CallFacts(world.cards[0], "", 0, Credit(0)) == settlement.differing[0].recorded
    assert taken(world) == []


def test_a_call_that_was_captured_by_hand_differs() -> None:
    """
    Of a call whose hold was captured nobody knows how long it took: it is reported with what was taken.
    """
    world = World.new()
    world.extension.capture(world.begin().hold, "0.50")
    settlement = world.extension.settle_calls([world.call()])

    assert counts(settlement) == (0, 0, 1, 0)
    assert CallFacts(world.cards[0], "", None, Credit("0.50")) == settlement.differing[0].recorded


def test_what_was_settled_is_known_after_its_card_was_removed() -> None:
    """
    The same file again rejects no call that it settled before, also where the card is gone; new calls of it are.
    """
    world = World.new()
    world.extension.settle_calls([world.call()])
    world.extension.remove(world.cards[0])
    settlement = world.extension.settle_calls([world.call(), world.call(2), world.call(seconds=9)])

    assert counts(settlement) == (0, 1, 1, 1)
    assert reasons(settlement) == [(2, "serial", "unknown_card")]


def test_calls_of_another_extension_stay_there() -> None:
    """
    A call of another extension's card is rejected, and so is one of a name that was settled there; neither tells more.
    """
    world = World.new()
    [foreign] = world.book.extension(OTHER).add("880", credit=1)
    world.book.extension(OTHER).settle_calls([world.call(9, serial=foreign.serial)])
    settlement = world.extension.settle_calls([world.call(1, serial=foreign.serial), world.call(9), world.call(2)])

    assert counts(settlement) == (1, 0, 0, 2)
    assert reasons(settlement) == [(1, "serial", "unknown_card"), (2, "call_id", "settled_elsewhere")]


# What cannot be settled

REJECTED: Final[Mapping[str, tuple[dict[str, Any], str, str]]] = {
    "a card that is not there": ({"serial": "K7QX-000042"}, "serial", "unknown_card"),
    "a number without a price": ({"destination": "4930123456"}, "destination", "unknown_destination"),
    "a call of tomorrow": ({"started_at": MORNING + timedelta(days=1, microseconds=1)}, "started_at", "in_future"),
    "a call that nobody can pay": ({"destination": "8811234", "seconds": 4}, "seconds", "too_expensive"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_what_cannot_be_settled_is_rejected_and_the_rest_goes_on(case: str) -> None:
    """
    A call that cannot be settled is listed with its row, column and reason; it changes nothing, and others are charged.
    """
    told, column, reason = REJECTED[case]
    world = World.new()
    bad = world.call(2, **told)
    settlement = world.extension.settle_calls([world.call(1), bad, world.call(3), bad])

    assert counts(settlement) == (2, 0, 0, 2)
    assert [(2, column, reason), (4, column, reason)] == reasons(settlement)
    assert taken(world) == ["0.06"] * 2
    assert sound(world.book) == ()


def test_a_call_of_tonight_is_taken_from_a_clock_that_is_ahead() -> None:
    """
    A clock that is a day ahead is let pass.
    """
    world = World.new()
    call = world.call(started_at=MORNING + timedelta(days=1))

    assert counts(world.extension.settle_calls([call])) == (1, 0, 0, 0)


@pytest.mark.parametrize("is_there", [False, True])
def test_without_a_price_list_calls_wait(is_there: bool) -> None:  # noqa: FBT001
    """
    Calls for which no price list held are rejected, and settled when one is installed and they are told again.
    """
    world = World.new()
    world.extension.configure(deck="night")
    if is_there:
        world.book.install_deck(RateDeck(DECK.rates, name="night", valid_from=MORNING + timedelta(seconds=1)))
    settlement = world.extension.settle_calls([world.call()])
    world.book.install_deck(RateDeck(DECK.rates, name="night"))

    assert reasons(settlement) == [(1, "started_at", "unknown_deck")]
    assert counts(world.extension.settle_calls([world.call()])) == (1, 0, 0, 0)


def test_numbers_are_those_of_the_region() -> None:
    """
    Numbers are read as they are dialed in the extension's region; written in another way it is the same call.
    """
    world = World.new()
    world.extension.configure(region="RO")
    calls = [world.call(1, destination="021 312 3456"), world.call(2, destination="0722 123 456")]
    again = [world.call(1, destination="+40 21 312 3456"), world.call(2, destination="+40722123456")]

    assert counts(world.extension.settle_calls(calls)) == (2, 0, 0, 0)
    assert counts(world.extension.settle_calls(again)) == (0, 2, 0, 0)
    assert [entry.prefix for entry in charges(world.book)] == ["40", "407"]


def test_a_card_that_was_changed_from_outside_holds_up_nobody() -> None:
    """
    Calls of a tampered card are rejected; the others are charged.
    """
    store = MemoryStore()
    world = World.new(book_on(store))
    record = store.find(serial=world.cards[0])
    assert record is not None
    store.commit(Changes(replace=[(record._replace(credit=5, version=record.version + 1), record.version)]))
    settlement = world.extension.settle_calls([world.call(1), world.call(2, 3)])

    assert reasons(settlement) == [(1, "serial", "tampered")]
    assert counts(settlement) == (1, 0, 0, 1)


def test_a_price_list_that_was_changed_from_outside_stops_everything() -> None:
    """
    What concerns more than one card is no fault of a call: it is raised, and nothing is charged.
    """
    store = MemoryStore()
    world = World.new(book_on(store))
    document = store.document("deck/default")
    assert document is not None
    changed = document._replace(value=document.value[:-1] + b" ", version=document.version + 1)
    store.commit(Changes(documents=[(changed, document.version)]))
    with pytest.raises(TamperedError):
        world.extension.settle_calls([world.call()])

    assert taken(world) == []


@pytest.mark.parametrize("calls", [None, "calls", [None], ["call 1"], [{"call_id": "1"}]])
def test_what_is_no_call_is_refused(calls: Any) -> None:  # noqa: ANN401 - what is refused
    """
    Something else than calls is a mistake of the program that tells them.
    """
    with pytest.raises(InvalidValueError) as error:
        World.new().extension.settle_calls(calls)

    assert error.value.name == "records"


@pytest.mark.parametrize(
    "name, value",
    [
        ("call_id", ""),
        ("call_id", "x" * 256),
        ("call_id", "a\nb"),
        ("call_id", "\u00a0"),
        ("call_id", 5),
        ("serial", "7700183422157"),
        ("serial", ""),
        ("destination", ""),
        ("destination", "sip:alice"),
        ("destination", "4" * 33),
        ("destination", 40213123456),
        ("started_at", datetime(2026, 3, 1)),  # noqa: DTZ001 - what is refused
        ("started_at", "2026-03-01"),
        ("seconds", -1),
        ("seconds", 366 * 86400 + 1),
        ("seconds", 1.5),
        ("seconds", True),
    ],
)
def test_a_call_that_cannot_be_is_none(name: str, value: object) -> None:
    """
    What is no name, serial, number, moment or duration is refused, without being shown.
    """
    fields: dict[str, Any] = {
        "call_id": "1",
        "serial": "K7QX-000042",
        "destination": FIXED,
        "started_at": MORNING,
        "seconds": 5,
        name: value,
    }
    with pytest.raises(InvalidValueError) as error:
        CallRecord(**fields)

    assert error.value.name == name
    assert not value or str(value) not in str(error.value)


# How it is written


def test_no_commit_has_more_than_a_thousand_calls() -> None:
    """
    Calls are charged by the thousand, each thousand with one audit entry; what has nothing to charge writes nothing.
    """
    store = Recording()
    world = World.new(book_on(store).acting_as("alice"))
    store.commits.clear()
    told: list[tuple[int, int | None]] = []
    calls = [world.call(number % 2500, number % 4) for number in range(5000)]
    settlement = world.extension.settle_calls(calls, progress=lambda *done: told.append(done))
    entries = list(world.book.audit_trail())[-3:]

    assert counts(settlement) == (2500, 2500, 0, 0)
    assert [len(changes.entries) for changes in store.commits] == [1000, 1000, 500]
    assert [(1000 * part, 5000) for part in range(1, 6)] == told
    assert [(each.verb, each.actor, each.extension) for each in entries] == [("settle_calls", "alice", EXTENSION)] * 3
    assert [(entry.detail["count"], entry.detail.get("part")) for entry in entries] == [
        (1000, None),
        (1000, 2),
        (500, 3),
    ]
    assert [[*world.cards] * 250] * 2 == [entry.detail["serials"] for entry in entries[:2]]
    assert sound(world.book) == ()


def test_nobody_learns_who_was_called(tmp_path: Path) -> None:
    """
    No called number is in what is shown, said, audited or stored; only prefixes are.
    """
    path = tmp_path / "cards.db"
    world = World.new(file_book(path))
    calls = [world.call(1), world.call(1, seconds=61), world.call(2, serial="K7QX-000042")]
    settlement = world.extension.settle_calls(calls)
    shown = repr([calls, settlement, settlement.differing, settlement.rejected, list(map(str, settlement))])
    shown += repr(list(world.book.audit_trail()))
    world.book.close()

    assert FIXED[2:] not in shown
    assert settlement.rejected[0].destination == FIXED
    assert not any(FIXED[2:].encode() in data for data in on_disk(path).values())


def test_numbers_are_sealed_with_the_newest_keys() -> None:
    """
    Where another process rotates the keys meanwhile, what is charged afterwards is sealed with the new ones.
    """
    store = Meddled()
    world = World.new(book_on(store))
    store.meddle = lambda: book_on(store.another()).rotate_keys()
    world.extension.settle_calls([world.call()])
    [entry] = charges(world.book)
    keyring = engine_of(world.book).records.newest().keyring

    assert (keyring.roots.newest, 2) == (keyring.root_of(entry.sealed_rest), len(keyring.roots))
    assert entry.prefix + engine_of(world.book).records.rest(entry) == FIXED


class Busy(MemoryStore):
    """
    A store in which somebody else is faster than whoever settles more than two calls.
    """

    is_open = True

    def commit(self, changes: Changes) -> None:
        """
        Let the other one change a card first.
        """
        if len(changes.entries) > 2 and self.is_open:
            self.is_open = False
            book_on(self.another()).extension(EXTENSION).recharge(changes.replace[0][0].serial, 1)
            self.is_open = True
        super().commit(changes)


def test_calls_are_settled_while_others_are_faster_all_the_time() -> None:
    """
    Where a card changes whenever many calls are to be settled, fewer are settled at a time, in their order.
    """
    store = Busy()
    world = World.new(book_on(store))
    calls = [world.call(number, number % 3) for number in range(20)]
    settlement = world.extension.settle_calls([*calls, world.call(20, serial="K7QX-000042"), *calls[:5]])
    parts = [entry.detail.get("part") for entry in world.book.audit_trail() if entry.verb == "settle_calls"]

    assert counts(settlement) == (20, 5, 0, 1)
    assert reasons(settlement) == [(21, "serial", "unknown_card")]
    assert sorted(part or 1 for part in parts) == list(range(1, len(parts) + 1))
    assert 10 <= len(parts) <= 20
    assert sound(world.book) == ()


# Files


@pytest.mark.parametrize("name", [" 17.1", "17.1 ", "\u00a017.1\u2003", " '17.1' "])
def test_spaces_around_its_name_make_no_call_another_one(name: str) -> None:
    """
    A call that was begun or told under a name with spaces around it is the same in a file, and charged once.
    """
    world = World.new()
    call = world.extension.begin_call(world.cards[0], FIXED, call_id=name)
    call.end(60)
    told = world.extension.settle_calls([world.call(call_id=name), world.call(call_id=name.strip())])
    file = f"{HEADER}\n{name},{world.cards[0]},{FIXED},2026-03-01 09:00:00,60\n".encode()

    assert counts(told) == (0, 2, 0, 0)
    assert counts(world.extension.import_cdrs(BytesIO(file))) == (0, 1, 0, 0)
    assert taken(world) == ["0.06"]


def test_what_was_rejected_is_mended_and_imported_again(tmp_path: Path) -> None:
    """
    The file of rejected calls has the columns of calls, with where they stood and why: mended, it settles the rest.
    """
    world = World.new()
    file = tmp_path / "cdr.csv"
    file.write_text(
        "start,uniqueid,accountcode,dst,billsec,disposition\n"
        f"2026-03-01 09:00:00,1.1,{world.cards[0]},+{FIXED},60,ANSWERED\n"
        f"2026-03-01 10:00:00,1.2,K7QX-000042,+{FIXED},60,ANSWERED\n"
        f"0000-00-00 00:00:00,1.3,{world.cards[0]},{FIXED},60,ANSWERED\n"
        f"2026-03-01 09:00:00,1.4,{world.cards[0]},{FIXED},-1,ANSWERED\n"
    )
    settlement = world.extension.import_cdrs(file, zone="Europe/Bucharest")
    bad = tmp_path / "rejected.csv"
    sheets.write(bad, settlement)
    text = bad.read_text("utf-8-sig")
    again = world.extension.import_cdrs(bad)
    mended = text.replace("K7QX-000042", world.cards[0]).replace("0000-00-00", "2026-03-01").replace('"\'-1"', '"1"')
    last = world.extension.import_cdrs(BytesIO(mended.encode()))

    assert reasons(settlement) == [
        (3, "serial", "unknown_card"),
        (4, "started_at", "not_a_moment"),
        (5, "seconds", "negative"),
    ]
    assert bad.stat().st_mode & 0o777 == 0o600
    assert '"2026-03-01T08:00:00+00:00"' in text
    assert [found[1:] for found in reasons(settlement)] == [found[1:] for found in reasons(again)]
    assert counts(last) == (3, 0, 0, 0)


def test_the_file_of_nothing_rejected_has_its_header(tmp_path: Path) -> None:
    """
    Also a settlement without rejected calls makes a file of them, as workbook, too.
    """
    world = World.new()
    settlement = world.extension.import_cdrs(BytesIO(sheet([world.call()])))

    assert counts(settlement) == (1, 0, 0, 0)
    assert sheets.write(tmp_path / "rejected.xlsx", settlement) == 0
    [header] = sheets.read(tmp_path / "rejected.xlsx")
    assert "Destination" in header.cells


def test_a_file_that_breaks_off_settles_what_was_before() -> None:
    """
    Where a file cannot be read any further, what was settled stays, and the whole file settles the rest.
    """
    world = World.new()
    whole = sheet(world.call(number) for number in range(2300))
    with pytest.raises(SheetError):
        world.extension.import_cdrs(BytesIO(whole[: len(whole) // 2] + b"\0" * 10))

    assert [len(charges(world.book))] == [1000]
    assert counts(world.extension.import_cdrs(BytesIO(whole))) == (1300, 1000, 0, 0)


# Side by side, and killed

MANY: Final = 3500


def prepare(path: Path) -> tuple[World, bytes]:
    """
    Make a book in a file, and the calls of its cards.
    """
    world = World.new(file_book(path))
    calls = [world.call(number, number % 4, seconds=number % 90) for number in range(MANY)]

    return world, sheet(calls)


def faults(path: Path, cards: Sequence[str]) -> list[str]:
    """
    Tell what is wrong in a book in which all calls should have been settled once.
    """
    found = []
    with file_book(path) as book:
        entries = charges(book)
        operations = Counter(entry.operation for entry in entries)
        if len(entries) != MANY or set(operations.values()) != {1}:
            found.append(f"{len(entries)} charges")
        cost = sum(-entry.amount + (entry.shortfall or 0) for entry in entries)
        if cost != sum(cost or 0 for cost in DECK.costs((FIXED, number % 90) for number in range(MANY))):
            found.append(f"they cost {cost}")
        for serial, credit in zip(cards, (100_000_000, 250_000, 0), strict=False):
            left = book.extension(EXTENSION).get(serial).credit.micros
            if left != credit - sum(-entry.amount for entry in entries if entry.serial == serial):
                found.append(f"{serial} has {left}")
        found += map(str, sound(book))

    return found


def import_all(store: type[SQLiteStore], path: Path, calls: bytes, _: int) -> tuple[int, int]:
    """
    Import all calls in a process of its own.
    """
    with book_on(store(path)) as book:
        settlement = book.extension(EXTENSION).import_cdrs(BytesIO(calls))

    return settlement.settled, settlement.replayed


def test_two_processes_that_import_the_same_file_charge_each_call_once(tmp_path: Path) -> None:
    """
    However many import at once, each call is charged by one of them, and known to the others.
    """
    path = tmp_path / "cards.db"
    world, calls = prepare(path)
    world.book.close()
    answers = in_processes(import_all, SQLiteStore, path, calls, times=2)

    assert (sum(settled for settled, _ in answers), sum(replayed for _, replayed in answers)) == (MANY, MANY)
    assert faults(path, world.cards) == []


def test_a_store_that_keeps_no_precondition_is_found_out(tmp_path: Path) -> None:
    """
    The control: the same processes charge calls twice where a store keeps neither versions nor operations.
    """
    path = tmp_path / "cards.db"
    world, calls = prepare(path)
    world.book.close()
    in_processes(import_all, Careless, path, calls, times=2)

    assert faults(path, world.cards) != []


class Torn(SQLiteStore):
    """
    A store that commits the cards, and then their entries.
    """

    def commit(self, changes: Changes) -> None:
        """
        Commit in two parts.
        """
        if changes.entries:
            super().commit(Changes(replace=changes.replace, require=changes.require))
            time.sleep(0.1)
            super().commit(attrs.evolve(changes, replace=(), require=()))
        else:
            super().commit(changes)


def import_and_tell(line: Connection, store: type[SQLiteStore], path: Path, calls: bytes) -> None:
    """
    Import all calls in a process that says when it begins and when it is done.
    """
    extension = book_on(store(path)).extension(EXTENSION)
    line.send("begins")
    extension.import_cdrs(BytesIO(calls))
    line.send("done")
    time.sleep(PATIENCE)


@contextmanager
def importing(store: type[SQLiteStore], path: Path, calls: bytes) -> Iterator[Connection]:
    """
    Begin an import that is killed in the end.
    """
    context = get_context("forkserver")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=import_and_tell, args=(theirs, store, path, calls), daemon=True)
    process.start()
    theirs.close()
    try:
        assert ours.recv() == "begins"
        yield ours
    finally:
        process.kill()
        process.join()


def kill_and_import(store: type[SQLiteStore], folder: Path, *, times: int) -> Iterator[tuple[int, list[str]]]:
    """
    Kill imports at random moments and import again.

    Returns:
        How many calls were settled at each kill, and what is wrong in the end.
    """
    chance = random.Random(times)  # noqa: S311 - it is to be the same again
    world, calls = prepare(folder / "quiet.db")
    world.book.close()
    with importing(store, folder / "quiet.db", calls) as line:
        began = time.perf_counter()
        line.recv()
        took = time.perf_counter() - began
    for number in range(times):
        path = folder / f"{number}.db"
        world, calls = prepare(path)
        world.book.close()
        with importing(store, path, calls):
            time.sleep(chance.uniform(0, took))
        with file_book(path) as book:
            before = len(charges(book))
        import_all(SQLiteStore, path, calls, 0)
        yield before, faults(path, world.cards)


def test_an_import_that_is_killed_at_any_moment_is_taken_up_again(tmp_path: Path) -> None:
    """
    After a kill the same file settles what is missing, and the book is that of an import that was not disturbed.
    """
    trials = list(kill_and_import(SQLiteStore, tmp_path, times=6))

    assert [found for _, found in trials] == [[]] * 6
    assert all(before % 1000 == 0 or before == MANY for before, _ in trials)


def test_a_store_that_tears_commits_apart_is_found_out(tmp_path: Path) -> None:
    """
    The control: the same kills find books that are wrong where a store does not write a commit at once.
    """
    assert any(found for _, found in kill_and_import(Torn, tmp_path, times=12))


def die(store: type[Any], path: Path, calls: bytes, lives: int, _: int) -> None:
    """
    Import in a process that is killed before its first commit, or after one of them.
    """
    book = book_on(opened := store(path))
    opened.lives = lives
    book.extension(EXTENSION).import_cdrs(BytesIO(calls))


@pytest.mark.parametrize(
    "store, lives, missing", [(DiesBeforeCommit, 0, MANY), (DiesAfterCommit, 0, 2500), (DiesAfterCommit, 2, 500)]
)
def test_an_import_that_is_killed_at_a_commit_goes_on_behind_it(
    store: type[SQLiteStore], lives: int, missing: int, tmp_path: Path
) -> None:
    """
    What a commit has written is there, and nothing else; the same file goes on behind it.
    """
    path = tmp_path / "cards.db"
    world, calls = prepare(path)
    world.book.close()
    killed(die, store, path, calls, lives)

    assert (missing, MANY - missing) == import_all(SQLiteStore, path, calls, 0)
    assert faults(path, world.cards) == []
    with file_book(path) as book:
        assert verbs_of(book).count("settle_calls") == 4
