"""
Calls from the first ring to the charge: what is held pays for them, each is charged once, and nobody is told whom.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.book_world import (
    EXTENSION,
    MORNING,
    OTHER,
    Clock,
    DiesAfterCommit,
    DiesBeforeCommit,
    Meddled,
    Recording,
    book_on,
    engine_of,
    file_book,
    in_process,
    in_threads,
    killed,
    on_disk,
    outcome,
    sound,
    verbs_of,
)
from tests.test_holding import TIMES, Careless
from voipcard import (
    UNLIMITED,
    Amount,
    Announcement,
    Call,
    CardBook,
    Credit,
    Extension,
    LedgerEntry,
    NewCard,
    Rate,
    RateDeck,
    Tariff,
)
from voipcard.core.query import EntryQuery
from voipcard.core.rating import MAX_SECONDS
from voipcard.errors import (
    AmountError,
    CallEndedError,
    CardUnusableError,
    InsufficientCreditError,
    InvalidValueError,
    OperationConflictError,
    TamperedError,
    TooManyCallsError,
    UnknownCardError,
    UnknownDeckError,
    UnknownDestinationError,
    UnknownHoldError,
)
from voipcard.names import RATES
from voipcard.stores import Changes, EntryRecord, SQLiteStore

SECOND: Final = timedelta(seconds=1)
MARGIN: Final = 120
"""For how many seconds a hold lasts after the call has to be over."""

RETAIL: Final = {
    "40": Tariff(price="0.06", first_interval=30, next_interval=6, connection_fee="0.02"),
    "407": Tariff(price="0.60"),
    "4072": Tariff(price="6.00"),
    "44": Tariff(price="0.60", grace=5, minimum_charge="0.05"),
    "800": Tariff(price=0),
    "33": Tariff(price="0.60", grace=MAX_SECONDS),
}
LANDLINE: Final = "40213123456"
MOBILE: Final = "40731123456"
FREE: Final = "800123456"


def priced(tariffs: dict[str, Tariff], **terms: Any) -> RateDeck:  # noqa: ANN401 - those of `RateDeck`
    """
    Make a price list.
    """
    return RateDeck([Rate(prefix, tariff) for prefix, tariff in tariffs.items()], **terms)


@attrs.frozen
class World:
    """
    A book with a price list and a card with a credit, and another card with 5.

    Attributes:
        book: The book.
        extension: Its extension.
        clock: Its clock.
        store: Its store.
        card: The card.
        other: The other card.
    """

    book: CardBook
    extension: Extension
    clock: Clock
    store: Recording
    card: str
    other: str

    @classmethod
    def new(
        cls,
        credit: Amount = 10,
        *,
        tariffs: dict[str, Tariff] | None = None,
        **configured: Any,  # noqa: ANN401
    ) -> World:
        """
        Make one.
        """
        store, clock = Recording(), Clock()
        book = book_on(store, clock=clock)
        book.install_deck(priced(RETAIL if tariffs is None else tariffs))
        extension = book.extension(EXTENSION)
        card, other = extension.add([NewCard("770000", credit=credit), NewCard("770001", credit=5)])
        if configured:
            extension.configure(**configured)

        return cls(book, extension, clock, store, card.serial, other.serial)

    def begin(self, number: str = MOBILE, call_id: str = "call 1", **terms: Any) -> Call:  # noqa: ANN401
        """
        Begin a call with the card.
        """
        return self.extension.begin_call(self.card, number, call_id=call_id, **terms)

    def charges(self) -> list[EntryRecord]:
        """
        Give what was charged to any card.
        """
        return list(self.store.entries(EntryQuery(kinds=frozenset({"charge"}))))


# What is held


seconds_: Final = st.integers(0, 400)
intervals: Final = st.sampled_from([1, 6, 18, 30, 60])
prices: Final = st.sampled_from([0, "0.000001", "0.006", "0.06", "0.10", 1])
tariffs_: Final = st.builds(
    Tariff,
    price=prices,
    per=st.sampled_from([1, 60]),
    connection_fee=st.sampled_from([0, 0, "0.05"]),
    first_interval=intervals,
    next_interval=intervals,
    grace=st.sampled_from([0, 0, 5]),
    free_seconds=st.sampled_from([0, 0, 10]),
    minimum_charge=st.sampled_from([0, 0, "0.02"]),
    maximum_charge=st.sampled_from([None, None, "0.50"]),
    convention=st.sampled_from(["first_then_next", "multiples"]),
)
credits_: Final = st.one_of(
    st.integers(0, 10**7).map(Credit.from_micros), st.sampled_from([Credit(1), Credit("0.07"), UNLIMITED])
)
STORY: Final = settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])


@STORY
@given(tariffs_, credits_, st.sampled_from([1, 60, 3600, MAX_SECONDS]), st.none() | st.integers(1, 300))
def test_a_call_may_take_as_long_as_what_is_held_pays_for(
    tariff: Tariff, credit: Credit, at_most: int, reserve: int | None
) -> None:
    """
    What is held is what the longest call costs: one that is longer by a second costs more, or may not be.

    No more is held than is there, nor for longer than asked, and who cannot pay for the first second cannot call.
    """
    world = World.new(credit, tariffs={"4": tariff}, max_call_seconds=at_most)
    call = outcome(lambda: world.begin(reserve=None if reserve is None else reserve * SECOND))
    first = tariff.cost(tariff.grace + 1)

    if not isinstance(call, Call):
        assert (InsufficientCreditError, world.card, str(credit), str(first)) == call
        assert first > credit
        return
    assert first <= credit
    held, longest = call.hold.amount, call.max_duration
    assert held <= credit
    assert tariff.cost(longest) == held
    assert longest == at_most or tariff.cost(longest + 1) > held
    if reserve is None:
        assert longest == at_most or tariff.cost(longest + 1) > credit
    else:
        assert tariff.cost(min(longest, at_most)) == tariff.cost(min(tariff.max_duration(credit), reserve, at_most))
    assert MORNING + timedelta(seconds=longest + MARGIN) == call.hold.expires_at


DISTURBING: Final[dict[str, Callable[[World, int, str], object]]] = {
    "take": lambda w, n, _: w.extension.recharge(w.card, -n),
    "take all": lambda w, _, __: w.extension.recharge(w.card, -w.extension.get(w.card).available),
    "add": lambda w, n, _: w.extension.recharge(w.card, n),
    "move": lambda w, n, _: w.extension.transfer(w.card, w.other, amount=n),
    "hold": lambda w, n, _: w.extension.hold(w.card, n, expires_in=SECOND),
    "spend": lambda w, n, _: w.extension.capture(w.extension.hold(w.card, n, expires_in=SECOND), 3 * n),
    "call": lambda w, n, name: w.begin(LANDLINE, call_id=name, reserve=n * SECOND).end(50 * n),
    "disable": lambda w, _, __: w.extension.disable(w.card),
    "enable": lambda w, _, __: w.extension.enable(w.card),
    "expire": lambda w, _, __: w.extension.set_expiry(w.card, w.clock.now),
    "sweep": lambda w, _, __: w.book.sweep(),
    "raise prices": lambda w, n, name: w.book.install_deck(
        priced({"4": Tariff(price=n)}, valid_from=w.clock.now - int(name) * SECOND)
    ),
    "set the clock back": lambda w, n, _: w.clock.move(seconds=-n),
}


@STORY
@given(
    tariffs_,
    credits_.filter(lambda credit: not credit.is_unlimited),
    st.lists(st.tuples(st.sampled_from(sorted(DISTURBING)), st.integers(1, 5)), max_size=8),
    st.booleans(),
    st.data(),
)
def test_a_call_that_ends_in_time_is_paid_for_whatever_happens(
    tariff: Tariff,
    credit: Credit,
    steps: Sequence[tuple[str, int]],
    keeps: bool,  # noqa: FBT001
    data: st.DataObject,
) -> None:
    """
    A call of at most `max_duration` never has a shortfall, whatever becomes of the card, its credit and the prices.

    All that was debited is what was charged, and no card is below zero.
    """
    world = World.new(credit, tariffs={"4": tariff}, concurrent_calls=None)
    call = outcome(world.begin)
    if not isinstance(call, Call):
        return
    for place, (name, size) in enumerate(steps):
        outcome(lambda name=name, size=size, place=place: DISTURBING[name](world, size, str(place)))  # type: ignore[misc]
        if keeps:
            call = call.keep_alive()
    seconds = data.draw(st.integers(0, call.max_duration))
    world.clock.move(seconds=seconds)
    entry = call.end(seconds)

    assert (-tariff.cost(seconds), Credit(0)) == (entry.amount, entry.shortfall)
    cards = [world.extension.get(serial) for serial in (world.card, world.other)]
    spent = sum(card.total_credit.micros - card.credit.micros for card in cards)
    assert spent == -sum(charge.amount for charge in world.charges())
    assert min(card.credit for card in cards) >= Credit(0)
    assert sound(world.book) == ()


def test_of_an_unlimited_card_that_is_limited_nothing_is_left() -> None:
    """
    The one exception: who takes credit from an unlimited card leaves it with none, and the shortfall tells of it.
    """
    world = World.new(UNLIMITED)
    call = world.begin()
    world.extension.recharge(world.card, -1)
    assert call.max_duration == call.keep_alive().max_duration == 14_400
    entry = call.end(60)

    assert (Credit(0), Credit("0.60"), Credit(0)) == (entry.amount, entry.shortfall, entry.credit_left)
    assert sound(world.book) == ()


@STORY
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([LANDLINE, MOBILE, FREE]), seconds_), max_size=12))
def test_what_is_debited_is_what_is_charged(calls: Sequence[tuple[int, str, int]]) -> None:
    """
    Over all calls, also those that were too long: what the cards lost is what the entries say, and they say the cost.
    """
    world = World.new("0.50", concurrent_calls=None)
    unlimited = world.extension.add("770002", credit=UNLIMITED)[0].serial
    serials, cost = [world.card, world.other, unlimited], 0
    for place, (which, number, seconds) in enumerate(calls):
        call = outcome(lambda c=which, n=number, p=place: world.extension.begin_call(serials[c], n, call_id=f"{p}"))  # type: ignore[misc]
        if isinstance(call, Call):
            entry = call.end(seconds)
            cost += call.rate.tariff.cost(seconds).micros
            assert entry.shortfall - entry.amount == call.rate.tariff.cost(seconds)
            assert seconds > call.max_duration or not entry.shortfall
    charges = world.charges()

    assert sum((charge.shortfall or 0) - charge.amount for charge in charges) == cost
    for serial in serials[:2]:
        card = world.extension.get(serial)
        assert card.total_credit.micros - card.credit.micros == -sum(c.amount for c in charges if c.serial == serial)
        assert (card.held, card.credit >= Credit(0)) == (Credit(0), True)
    assert world.extension.get(unlimited).credit == UNLIMITED
    assert sound(world.book) == ()


# What is charged


@pytest.mark.parametrize("number, prefix", [(LANDLINE, "40"), (MOBILE, "407"), ("40721123456", "4072"), ("40", "40")])
def test_the_longest_prefix_counts(number: str, prefix: str) -> None:
    """
    A call costs what the most special rate says, and the entry tells which.
    """
    world = World.new()
    call = world.begin(f"+{number}")
    entry = call.end(31)

    assert prefix == call.rate.prefix
    assert entry.call is not None
    assert (prefix, 31, RETAIL[prefix].price, "default") == (
        entry.call.prefix,
        entry.call.seconds,
        entry.call.price,
        entry.call.deck,
    )
    assert RETAIL[prefix].charged_seconds(31) == entry.call.charged_seconds
    assert RETAIL[prefix].cost(31) == -entry.amount


def test_a_call_keeps_the_price_of_its_beginning() -> None:
    """
    A price list that begins to hold meanwhile is for calls that begin from then on, also after a restart.
    """
    world = World.new(concurrent_calls=3)
    calls = [world.begin(call_id=f"call {number}", reserve=60 * SECOND) for number in range(2)]
    world.book.install_deck(priced({"40": Tariff(price=1)}, valid_from=world.clock.move(seconds=1)))
    again = book_on(world.store.another(), clock=world.clock).extension(EXTENSION)
    later = world.begin(call_id="call 3")

    ends = [calls[0].keep_alive(), again.call(world.card, call_id="call 1"), later]
    entries = [call.end(60) for call in ends]
    assert [Credit("-0.60"), Credit("-0.60"), Credit(-1)] == [entry.amount for entry in entries]
    assert [Credit(0)] * 3 == [entry.shortfall for entry in entries]


@pytest.mark.parametrize("seconds, cost", [(0, 0), (5, 0), (6, "0.06"), (1, 0)])
def test_a_short_call_costs_nothing(seconds: int, cost: Any) -> None:  # noqa: ANN401 - an amount
    """
    Nobody pays within the grace period, nor for a call that was not answered, minimum or not; but it is written down.
    """
    world = World.new()
    entry = world.begin("442071234567").end(seconds)

    assert (-Credit(cost), "charge", seconds) == (entry.amount, entry.kind, entry.call and entry.call.seconds)


def test_a_call_that_nobody_answered_has_no_fee() -> None:
    """
    Zero seconds cost nothing, also where each call has a connection fee.
    """
    world = World.new()

    assert Credit(0) == world.begin(LANDLINE).end(0).amount
    assert Credit("-0.05") == world.begin(LANDLINE, "call 2").end(1).amount


@pytest.mark.parametrize("number", [FREE, "33123"])
def test_a_free_call_needs_no_credit(number: str) -> None:
    """
    What costs nothing can be called with an empty card, for as long as a call may take.
    """
    world = World.new(0)
    call = world.begin(number)
    entry = call.end(14_400)

    assert (14_400, Credit(0)) == (call.max_duration, call.hold.amount)
    assert (Credit(0), Credit(0)) == (entry.amount, entry.shortfall)


def test_an_unlimited_card_pays_without_an_end() -> None:
    """
    It may call for as long as a call may take, and what it paid is in its history without making its credit less.
    """
    world = World.new(UNLIMITED)
    call = world.begin()
    entry = call.end(20_000)

    assert (14_400, Credit(144)) == (call.max_duration, call.hold.amount)
    assert (Credit(-200), UNLIMITED, Credit(0)) == (entry.amount, entry.credit_left, entry.shortfall)
    assert world.extension.get(world.card).total_credit == UNLIMITED


def test_what_a_call_began_with_can_be_told_later() -> None:
    """
    A call counts from when it was answered, if the switch says so; else from its beginning.
    """
    world = World.new()
    answered = world.clock.now + 7 * SECOND
    entries = [world.begin(call_id="1").end(60, started_at=answered), world.begin(call_id="2").end(60)]

    assert [answered, world.clock.now] == [entry.call and entry.call.started_at for entry in entries]


# Once


def test_a_call_that_is_begun_again_goes_on() -> None:
    """
    The same call on the same card to the same number, however it is written, is the one that runs; nothing is written.

    To another number it is a conflict, and after the end it is over.
    """
    world = World.new()
    call = world.begin(LANDLINE)
    commits = len(world.store.commits)
    again = [world.begin("+40 21 312-3456"), world.begin(LANDLINE)]

    assert [(call, True)] * 2 == [(each, each.replayed) for each in again]
    assert (OperationConflictError, "begin_call", world.card) == outcome(lambda: world.begin(MOBILE))
    assert commits == len(world.store.commits)
    again[0].end(60)
    assert (CallEndedError, world.card) == outcome(lambda: world.begin(LANDLINE))
    assert (CallEndedError, world.card) == outcome(lambda: world.begin(MOBILE))
    assert verbs_of(world.book)[-2:] == ["begin_call", "end_call"]


def test_a_call_ends_once() -> None:
    """
    The first end counts: the same again is told the same, another length is refused, and nothing is charged twice.
    """
    world = World.new()
    call = world.begin()
    first = call.end(60)

    assert (first, True) == (call.end(60), call.end(60).replayed)
    for seconds in (0, 59, 61):
        assert (OperationConflictError, "end", world.card) == outcome(lambda s=seconds: call.end(s))  # type: ignore[misc]
    assert (CallEndedError, world.card) == outcome(call.keep_alive)
    assert (UnknownHoldError, world.card) == outcome(lambda: world.extension.call(world.card, call_id="call 1"))
    assert Credit("9.40") == world.extension.get(world.card).credit


def test_a_call_took_as_long_as_was_said_first() -> None:
    """
    Another length is refused also where it costs the same.
    """
    call = World.new().begin(LANDLINE)
    call.end(31)

    assert RETAIL["40"].cost(31) == RETAIL["40"].cost(36)
    assert outcome(lambda: call.end(36))[0] is OperationConflictError  # type: ignore[index]


def test_one_name_is_one_call_whichever_card_pays() -> None:
    """
    Where two switches give two calls the same name, the first that ends is the call: the other one is not charged.
    """
    world = World.new()
    call = world.begin()
    double = world.extension.begin_call(world.other, MOBILE, call_id="call 1")
    call.end(60)

    assert (OperationConflictError, "end", world.other) == outcome(lambda: double.end(60))
    assert (CallEndedError, world.other) == outcome(double.keep_alive)
    world.clock.move(days=1)
    assert world.book.sweep() == 1
    assert Credit(5) == world.extension.get(world.other).available


def test_a_call_that_was_charged_at_another_price_is_another_one() -> None:
    """
    Where a call ran out, was begun again when prices had changed, and ended so, nobody is told that it cost as before.
    """
    world = World.new(10)
    first = world.begin(expires_in=SECOND)
    world.clock.move(seconds=1)
    world.book.install_deck(priced({"407": Tariff(price=1)}, valid_from=world.clock.now))
    second = world.begin()
    entry = second.end(60)

    assert (False, Credit(-1)) == (second.replayed, entry.amount)
    assert (OperationConflictError, "end", world.card) == outcome(lambda: first.end(60))
    assert (entry, Credit(9)) == (second.end(60), world.extension.get(world.card).credit)


@pytest.mark.parametrize("way", ["release", "capture"])
def test_the_hold_of_a_call_can_be_ended_without_it(way: str) -> None:
    """
    Who rates a call himself captures its hold, who gives it up releases it: then it is over as by its end.
    """
    world = World.new()
    call = world.begin()
    entry = world.extension.capture(call.hold, "0.10") if way == "capture" else world.extension.release(call.hold)

    assert Credit(0) == entry.held_left
    assert (OperationConflictError, "end", world.card) == outcome(lambda: call.end(10))
    assert (CallEndedError, world.card) == outcome(call.keep_alive)
    assert (CallEndedError, world.card) == outcome(world.begin)


def test_whoever_ends_a_call_between_has_ended_it() -> None:
    """
    Where somebody else ends it after it was read, the same end is told again and another is refused.
    """
    store = Meddled()
    book = book_on(store)
    book.install_deck(priced(RETAIL))
    extension = book.extension(EXTENSION)
    extension.configure(concurrent_calls=None)
    [handout] = extension.generate(1, credit=10)
    other = book_on(store.another()).extension(EXTENSION)
    ends: list[Callable[[Call], object]] = [lambda call: call.end(60), lambda call: call.end(61), Call.keep_alive]
    answers = []
    for place, end in enumerate(ends):
        call = extension.begin_call(handout.serial, MOBILE, call_id=f"{place}")
        if end is Call.keep_alive:
            extension.recharge(handout.serial, 1)
        store.meddle = lambda p=place: other.call(handout.serial, call_id=f"{p}").end(60)
        answers.append(outcome(lambda call=call, end=end: end(call)))  # type: ignore[misc]

    assert isinstance(answers[0], LedgerEntry)
    assert answers[0].replayed
    assert [(OperationConflictError, "end", handout.serial), (CallEndedError, handout.serial)] == answers[1:]
    assert Credit("9.20") == extension.get(handout.serial).credit


# How long


def test_a_recharge_lets_a_call_take_longer() -> None:
    """
    Each process that keeps the call alive is told how long it may take now, whoever was told first.
    """
    world = World.new(1)
    call, stale = world.begin(), world.extension.call(world.card, call_id="call 1")
    commits = len(world.store.commits)
    same = call.keep_alive()
    assert (call, commits) == (same, len(world.store.commits))
    world.extension.recharge(world.card, 1)
    call = call.keep_alive()

    assert (same.max_duration, call.max_duration, call.warn_after) == (100, 200, 140)
    assert call == stale.keep_alive()
    assert call == world.extension.call(world.card, call_id="call 1")
    assert Credit(0) == world.extension.get(world.card).available
    assert MORNING + timedelta(seconds=200 + MARGIN) == call.hold.expires_at


def test_several_calls_share_a_card() -> None:
    """
    Who holds for a minute ahead only leaves the rest to others, and each goes on for as long as there is credit.
    """
    world = World.new(3, concurrent_calls=3)
    calls = [world.begin(call_id=f"call {number}", reserve=60 * SECOND) for number in range(3)]
    assert [call.max_duration for call in calls] == [60] * 3
    assert (TooManyCallsError, world.card, 3) == outcome(lambda: world.begin(call_id="call 4"))
    world.clock.move(seconds=50)
    calls = [call.keep_alive() for call in calls]

    assert [call.max_duration for call in calls] == [110, 110, 80]
    assert [call.hold for call in calls] == [call.keep_alive().hold for call in calls]
    entries = [call.end(call.max_duration) for call in calls]
    assert [Credit(0)] * 3 == [entry.shortfall for entry in entries]
    assert Credit(0) == world.extension.get(world.card).credit


def test_a_second_that_has_begun_counts() -> None:
    """
    Who holds for a minute ahead has at least a minute, also in the middle of a second.
    """
    world = World.new()
    call = world.begin(reserve=60 * SECOND)
    world.clock.move(microseconds=1)

    assert call.keep_alive().max_duration == 61


def test_a_call_whose_hold_has_run_out_is_held_for_again() -> None:
    """
    Where nobody kept it alive in time others may have spent the credit; what is there is held from then on.
    """
    world = World.new(1, concurrent_calls=2)
    call = world.begin(expires_in=60 * SECOND)
    world.clock.move(seconds=60)
    world.extension.recharge(world.card, "-0.70")
    assert (UnknownHoldError, world.card) == outcome(lambda: world.extension.call(world.card, call_id="call 1"))
    call = call.keep_alive()

    assert (30, Credit("0.30")) == (call.max_duration, call.hold.amount)
    assert [call.hold] == world.extension.holds(world.card)
    assert world.clock.now + 60 * SECOND == call.hold.expires_at
    assert Credit("0.30") == call.end(60).shortfall


@pytest.mark.parametrize("credit", [0, "0.30"])
def test_what_is_left_for_a_call_that_takes_too_long_is_held(credit: Any) -> None:  # noqa: ANN401 - an amount
    """
    A switch that lets a call go on after its end still has what is there held for it, for two minutes at a time.
    """
    world = World.new(1)
    call = world.begin()
    world.clock.move(seconds=100 + MARGIN)
    world.extension.recharge(world.card, -1 + Credit(credit).to_decimal())
    for _ in range(2):
        call = call.keep_alive()
        assert world.clock.now + timedelta(seconds=MARGIN) == call.hold.expires_at
        assert ([call.hold], Credit(credit)) == (world.extension.holds(world.card), call.hold.amount)
        world.clock.move(seconds=100)

    assert (InsufficientCreditError, world.card) == outcome(lambda: world.extension.recharge(world.card, "-0.01"))[:2]  # type: ignore[index]
    assert Credit(0) == call.end(500).credit_left


def test_a_late_end_takes_what_is_there() -> None:
    """
    After the hold has run out a call is charged all the same: out of what nobody holds, and the rest is a shortfall.
    """
    world = World.new(1, concurrent_calls=2)
    calls = [world.begin(call_id="call 1", reserve=60 * SECOND, expires_in=SECOND)]
    world.clock.move(seconds=10)
    calls.append(world.begin(call_id="call 2", reserve=60 * SECOND))
    late = calls[0].end(90)

    assert (Credit("-0.40"), Credit("0.50")) == (late.amount, late.shortfall)
    assert Credit("0.60") == late.held_left == late.credit_left
    assert (Credit("-0.60"), Credit(0)) == (calls[1].end(60).amount, world.extension.get(world.card).credit)


def test_a_clock_that_is_set_back_makes_no_call_shorter() -> None:
    """
    A hold is never shorter than it was told to last, and how long a call took is what the switch says.
    """
    world = World.new(1)
    call = world.begin(reserve=30 * SECOND)
    world.clock.move(seconds=20)
    call = call.keep_alive()
    world.clock.move(hours=-1)
    kept = call.keep_alive()
    longer = world.extension.call(world.card, call_id="call 1", expires_in=2 * 3600 * SECOND).keep_alive()

    assert (50, call.hold) == (kept.max_duration, kept.hold)
    assert call.hold.expires_at < longer.hold.expires_at == world.clock.now + 2 * 3600 * SECOND
    assert Credit("-0.30") == longer.end(30).amount
    assert sound(world.book) == ()


@pytest.mark.parametrize("minutes, back", [(60, 30), (10, 0), (1, 0), (1, 90)])
def test_a_call_is_never_held_for_shorter_than_before(minutes: int, back: int) -> None:
    """
    Neither a clock that was set back, nor a process that asks for less, makes a hold run out earlier.
    """
    world = World.new(1)
    call = world.begin(expires_in=timedelta(hours=1))
    world.clock.move(minutes=-back)
    again = world.extension.call(world.card, call_id="call 1", expires_in=timedelta(minutes=minutes)).keep_alive()

    assert call.hold == again.hold
    assert [call.hold] == world.extension.holds(world.card)


# Who may call


REASONS: Final[dict[str, Callable[[World], object]]] = {
    "disabled": lambda w: w.extension.disable(w.card),
    "batch_disabled": lambda w: w.extension.disable_batch(w.extension.get(w.card).batch),
    "extension_disabled": lambda w: w.book.disable_extension(EXTENSION),
    "expired": lambda w: w.extension.set_expiry(w.card, w.clock.now),
}


@pytest.mark.parametrize("reason", REASONS)
def test_who_is_shut_out_may_finish(reason: str) -> None:
    """
    What is disabled or has expired refuses new calls and lets those go on that are running, to their ordinary end.
    """
    world = World.new(concurrent_calls=2)
    call = world.begin(reserve=60 * SECOND)
    REASONS[reason](world)

    assert (CardUnusableError, world.card, reason) == outcome(lambda: world.begin(call_id="call 2"))
    assert world.begin(reserve=60 * SECOND).replayed
    world.clock.move(seconds=60)
    assert call.keep_alive().max_duration == 120
    assert Credit("-1.20") == call.end(120).amount


def test_there_is_a_least_credit_to_call() -> None:
    """
    Less than the extension's minimum is refused, also to free numbers, and what counts is what nobody holds.
    """
    world = World.new(1, minimum_credit="0.50", concurrent_calls=3)
    refused = (InsufficientCreditError, world.card, "0.40", "0.50")
    world.begin(reserve=60 * SECOND)

    assert refused == outcome(lambda: world.begin(call_id="call 2"))
    assert refused == outcome(lambda: world.begin(FREE, call_id="call 2"))
    world.extension.recharge(world.card, "0.10")
    assert world.begin(call_id="call 2").max_duration == 50


def test_a_caller_who_was_let_in_can_call() -> None:
    """
    What `authenticate` gives is the card that pays.
    """
    world = World.new()
    access = world.extension.authenticate("770000")
    call = world.extension.begin_call(access, MOBILE, call_id="call 1")

    assert world.card == call.serial == call.hold.serial
    assert [call.hold] == world.extension.holds(access.card)


def test_a_card_is_of_its_extension() -> None:
    """
    Another extension has no such card, and its calls are not found there.
    """
    world = World.new()
    world.begin()
    elsewhere = world.book.extension(OTHER)
    unknown = (UnknownCardError, world.card)

    assert unknown == outcome(lambda: elsewhere.begin_call(world.card, MOBILE, call_id="call 2"))
    assert unknown == outcome(lambda: elsewhere.call(world.card, call_id="call 1"))


def test_a_price_list_has_to_be_there() -> None:
    """
    Without the extension's price list, or a rate in it, nobody is charged by guessing.
    """
    world = World.new()
    assert (UnknownDestinationError, "default") == outcome(lambda: world.begin("9912345"))
    world.extension.configure(deck="wholesale")

    assert (UnknownDeckError, "wholesale") == outcome(world.begin)
    assert Credit(0) == world.extension.get(world.card).held


def test_a_price_list_is_what_was_installed() -> None:
    """
    A call is not rated by prices that somebody has taken away; what was read before goes on.
    """
    world = World.new()
    call = world.begin()
    for document in list(world.store.documents(RATES)):
        world.store.commit(Changes(forget=[(document.key, document.version)]))
    again = book_on(world.store.another(), clock=world.clock).extension(EXTENSION)

    assert outcome(lambda: again.call(world.card, call_id="call 1"))[0] is TamperedError  # type: ignore[index]
    assert Credit("-0.60") == call.end(60).amount


@pytest.mark.skipif(importlib.util.find_spec("phonenumbers") is None, reason="needs the extra phone")
def test_numbers_are_dialed_as_in_their_country() -> None:
    """
    With a region a number is the same call however it is dialed there.
    """
    world = World.new(region="RO")
    call = world.begin("021 312 3456")

    assert (call.rate.prefix, world.begin("0040213123456").replayed) == ("40", True)
    assert call == world.begin("+40 21 312 3456")


# What is told


def test_a_caller_is_told_how_long_and_when_it_ends() -> None:
    """
    The balance where it may be heard, the time, and a warning with the sound that is set, if there is time for one.
    """
    world = World.new(2, disconnect_sound="soon", concurrent_calls=None)
    told = world.begin(reserve=90 * SECOND).announcements
    world.extension.configure(balance_inquiry=False)
    brief = world.begin(call_id="call 2", reserve=60 * SECOND)
    late = world.extension.call(world.card, call_id="call 2", warn_before=10 * SECOND)

    assert (
        Announcement("balance", amount=Credit(2)),
        Announcement("duration", seconds=90),
        Announcement("disconnect", "soon"),
    ) == told
    assert ((Announcement("duration", seconds=60),), None) == (brief.announcements, brief.warn_after)
    assert late.warn_after == 50
    assert [announcement.kind for announcement in late.announcements] == ["duration", "disconnect"]


def test_nobody_is_told_who_was_called(tmp_path: Path) -> None:
    """
    The number, the code, the PIN and the switch's name of the call are in no text, no entry and no byte on the disk.

    The rated prefix is. Who has the keys can read the rest.
    """
    number, code, pin, name = "40731777333", "77011834221519", "048215937162", "the call of Mr. Pop"
    path, clock = tmp_path / "cards.db", Clock()
    with file_book(path, clock=clock) as book:
        book.install_deck(priced(RETAIL))
        extension = book.extension(EXTENSION)
        extension.configure(concurrent_calls=2)
        [handout] = extension.add(code, pin=pin, credit=10)
        access = extension.authenticate(code, pin=pin, call_id=name)
        calls = [extension.begin_call(access, number, call_id=name, reserve=60 * SECOND)]
        calls.append(extension.begin_call(access, number, call_id=f"{name} 2", reserve=60 * SECOND))
        running = on_disk(path)
        entry = calls[0].keep_alive().end(61)
        errors = [
            repr(outcome(lambda: extension.begin_call(access, MOBILE, call_id=f"{name} 2"))),
            repr(outcome(lambda: calls[0].end(62))),
            repr(outcome(lambda: extension.begin_call(access, number, call_id=name))),
            # A code in the place of a serial, where nobody needs the card to refuse the call.
            repr(outcome(lambda: extension.begin_call(code, number, call_id=name))),
            repr(outcome(lambda: extension.call(code, call_id=name))),
        ]
        texts = [repr((access, calls, entry, extension.holds(handout.serial), calls[0].line)), *errors]
        texts.append(repr(list(book.audit_trail())))
        [charge] = engine_of(book).store.entries(EntryQuery(kinds=frozenset({"charge"})))
        secrets = (number, number.removeprefix("407"), code, pin, name)

        assert "begin_call" in texts[-1]
        assert [secret for secret in secrets for text in texts if secret in text] == []
        assert [
            secret
            for secret in secrets
            for data in (*running.values(), *on_disk(path).values())
            if secret.encode() in data
        ] == []
        assert number == charge.prefix + engine_of(book).records.rest(charge)
        assert sound(book) == ()


def test_numbers_are_sealed_with_the_newest_keys() -> None:
    """
    Once the keys were rotated no call that begins is sealed with those before, though its switch has been up since.
    """
    store = Recording()
    book = book_on(store)
    book.install_deck(priced(RETAIL))
    [handout] = book.extension(EXTENSION).generate(1, credit=10)
    other = book_on(store.another())
    other.rotate_keys()
    call = book.extension(EXTENSION).begin_call(handout.serial, MOBILE, call_id="call 1")
    call.end(60)
    [charge] = store.entries(EntryQuery(kinds=frozenset({"charge"})))
    keyring = engine_of(other).records.keyring

    assert (keyring.root_of(bytes.fromhex(call.line.kept.rest)), keyring.active) == (2, 2)
    assert keyring.root_of(charge.sealed_rest) == 2
    assert charge.prefix + engine_of(book).records.rest(charge) == MOBILE


def test_the_number_of_a_running_call_survives_new_keys() -> None:
    """
    After the keys of a book were rotated, calls that ran before go on, are known again, and are charged.
    """
    world = World.new()
    call = world.begin()
    world.book.rotate_keys()

    assert world.begin().replayed
    assert (OperationConflictError, "begin_call", world.card) == outcome(lambda: world.begin(LANDLINE))
    assert Credit("-0.60") == call.end(60).amount
    [charge] = world.charges()
    assert charge.prefix + engine_of(world.book).records.rest(charge) == MOBILE


# What cannot be


@pytest.mark.parametrize("seconds", [-1, MAX_SECONDS + 1, 10**30, True, 1.0, float("nan"), "60", None])
def test_a_call_takes_a_number_of_seconds(seconds: Any) -> None:  # noqa: ANN401 - what is refused
    """
    Anything else is refused, nothing is written, and the call goes on; a year is a call.
    """
    world = World.new()
    call = world.begin()
    commits = len(world.store.commits)

    assert (InvalidValueError, "seconds") == outcome(lambda: call.end(seconds))[:2]  # type: ignore[index]
    assert commits == len(world.store.commits)
    assert call.end(MAX_SECONDS).shortfall == RETAIL["407"].cost(MAX_SECONDS) - Credit(10)


@pytest.mark.parametrize("moment", [datetime(2026, 3, 1), "2026-03-01", 5])  # noqa: DTZ001 - what is refused
def test_a_call_begins_at_a_moment(moment: Any) -> None:  # noqa: ANN401 - what is refused
    """
    A moment without a time zone is none.
    """
    call = World.new().begin()

    assert outcome(lambda: call.end(60, started_at=moment))[0] is InvalidValueError  # type: ignore[index]
    assert call.end(60, started_at=datetime(2026, 3, 1, tzinfo=UTC)).call is not None


@pytest.mark.parametrize("number", ["", "+", "anonymous", "40x", "4" * 33, "٤٠", "40;21", None, 40213123456, b"40"])
def test_what_is_no_number_is_not_called(number: Any) -> None:  # noqa: ANN401 - what is refused
    """
    It is refused without being repeated, and nothing is held.
    """
    world = World.new()
    commits = len(world.store.commits)

    assert (InvalidValueError, "destination", "has to be a number of 1 to 32 digits") == outcome(
        lambda: world.begin(number)
    )
    assert commits == len(world.store.commits)
    assert world.begin("4" * 32).rate.prefix == "44"


@pytest.mark.parametrize(
    "name, value",
    [
        *(("call_id", value) for value in ("", " ", "x" * 256, "a\nb", 5, None, b"call")),
        *((name, timedelta(0)) for name in ("reserve", "expires_in", "warn_before")),
        *((name, -SECOND) for name in ("reserve", "expires_in", "warn_before")),
        *((name, timedelta(days=367)) for name in ("reserve", "expires_in", "warn_before")),
        *((name, 60) for name in ("reserve", "expires_in", "warn_before")),
    ],
)
def test_the_terms_of_a_call_are_checked(name: str, value: Any) -> None:  # noqa: ANN401 - what is refused
    """
    What is out of its range is named, and nothing is written.
    """
    world = World.new()
    terms: dict[str, Any] = {"call_id": "call 1", name: value}
    commits = len(world.store.commits)

    assert (InvalidValueError, name) == outcome(lambda: world.begin(**terms))[:2]  # type: ignore[index]
    assert (InvalidValueError, name) == outcome(lambda: world.extension.call(world.card, **terms))[:2]  # type: ignore[index]
    assert commits == len(world.store.commits)


def test_what_costs_more_than_an_amount_is_refused() -> None:
    """
    A price without measure is told as what it is.
    """
    world = World.new(9 * 10**12, tariffs={"4": Tariff(price=9 * 10**12)})
    call = world.begin()

    assert (60, (AmountError, "too_large")) == (call.max_duration, outcome(lambda: call.end(120)))
    assert Credit(-9 * 10**12) == call.end(60).amount


# Side by side


def end_elsewhere(path: Path, serial: str, _: int) -> tuple[bool, str]:
    """
    End a call that another process has begun.
    """
    with file_book(path) as book:
        entry = book.extension(EXTENSION).call(serial, call_id="call 1").keep_alive().end(60)

        return entry.replayed, str(entry.amount)


def test_a_call_can_end_in_another_process(tmp_path: Path) -> None:
    """
    Who knows the card and the name of the call can end it; who has begun it is told so.
    """
    path = tmp_path / "cards.db"
    with file_book(path) as book:
        book.install_deck(priced(RETAIL))
        extension = book.extension(EXTENSION)
        [handout] = extension.generate(1, credit=10)
        call = extension.begin_call(handout.serial, MOBILE, call_id="call 1")

        assert in_process(end_elsewhere, path, handout.serial) == (False, "-0.60")
        assert (True, Credit("9.40")) == (call.end(60).replayed, extension.get(handout.serial).credit)
        assert sound(book) == ()


def begin_and_die(store: type[SQLiteStore], path: Path, serial: str, _: int) -> None:
    """
    Begin a call in a process that is killed.
    """
    book_on(store(path)).extension(EXTENSION).begin_call(serial, MOBILE, call_id="call 1")


def end_and_die(store: type[SQLiteStore], path: Path, serial: str, _: int) -> None:
    """
    End a call in a process that is killed.
    """
    book_on(store(path)).extension(EXTENSION).call(serial, call_id="call 1").end(60)


@pytest.mark.parametrize("store, was_done", [(DiesBeforeCommit, False), (DiesAfterCommit, True)])
def test_a_switch_that_was_killed_asks_again(store: type[SQLiteStore], was_done: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """
    A call that was begun, or ended, by a process that was killed before it was told so is begun and ended once.
    """
    path = tmp_path / "cards.db"
    with file_book(path) as book:
        book.install_deck(priced(RETAIL))
        [handout] = book.extension(EXTENSION).generate(1, credit=10)
    killed(begin_and_die, store, path, handout.serial)
    with file_book(path) as book:
        call = book.extension(EXTENSION).begin_call(handout.serial, MOBILE, call_id="call 1")
    killed(end_and_die, store, path, handout.serial)
    with file_book(path) as book:
        extension = book.extension(EXTENSION)
        entry = outcome(lambda: extension.call(handout.serial, call_id="call 1").end(60))

        assert was_done == call.replayed
        if was_done:
            assert (UnknownHoldError, handout.serial) == entry
            assert (CallEndedError, handout.serial) == outcome(
                lambda: extension.begin_call(handout.serial, MOBILE, call_id="call 1")
            )
        assert Credit("9.40") == extension.get(handout.serial).available
        assert [verbs_of(book).count(verb) for verb in ("begin_call", "end_call")] == [1, 1]
        assert sound(book) == ()


def check_calls(store: type[SQLiteStore], path: Path) -> None:
    """
    All begin and end calls on one card at once, each under names that another one uses as well.
    """
    with file_book(path) as book:
        book.install_deck(priced(RETAIL))
        extension = book.extension(EXTENSION)
        extension.configure(concurrent_calls=3)
        [handout] = extension.generate(1, credit=4)

        def work(number: int) -> int:
            with book_on(store(path)) as mine:
                done = 0
                for place in range(6):
                    name = f"call {place}-{number // 2}"
                    terms: dict[str, Any] = {"call_id": name, "reserve": 20 * SECOND}
                    call = outcome(lambda t=terms: mine.extension(EXTENSION).begin_call(handout.serial, MOBILE, **t))  # type: ignore[misc]
                    assert len(extension.holds(handout.serial)) <= 3
                    if isinstance(call, Call):
                        entry = outcome(lambda call=call: call.end(20))  # type: ignore[misc]
                        assert isinstance(entry, LedgerEntry)
                        done += not entry.replayed
                return done

        done = sum(in_threads(work, TIMES))
        charges = engine_of(book).store.entries(EntryQuery(kinds=frozenset({"charge"})))
        card = extension.get(handout.serial)

        assert done == len(charges) == len({charge.operation for charge in charges})
        assert Credit(4) - card.credit == Credit.from_micros(done * 200_000)
        assert (Credit(0), 0) == (card.held, sum(charge.shortfall or 0 for charge in charges))
        assert done >= 1
        assert sound(book) == ()


def test_calls_at_the_same_time_are_charged_once_each(tmp_path: Path) -> None:
    """
    However many threads begin and end calls on one card, some of them the same calls, each is held and charged once.
    """
    check_calls(SQLiteStore, tmp_path / "cards.db")


def test_a_store_that_looks_at_nothing_is_found_out(tmp_path: Path) -> None:
    """
    The law above fails on a store without preconditions: what it proves is not luck.
    """
    with pytest.raises(AssertionError, match=r"^assert "):
        check_calls(Careless, tmp_path / "cards.db")
