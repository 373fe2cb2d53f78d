"""
Holds: credit that nobody else can spend, ended exactly once, beside a plain model, with a clock that goes both ways.
"""

from __future__ import annotations

import pickle
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tests.book_world import (
    EXTENSION,
    OTHER,
    Clock,
    Meddled,
    Recording,
    book_on,
    engine_of,
    file_book,
    in_threads,
    new_book,
    outcome,
    sound,
    verbs_of,
)
from voipcard import UNLIMITED, CardBook, Credit, Extension, Hold, LedgerEntry, NewCard
from voipcard.core.holds import KeptHold
from voipcard.core.ledger import fold
from voipcard.core.query import EntryQuery
from voipcard.desk import holding
from voipcard.errors import (
    AccessDeniedError,
    AmountError,
    AmountTypeError,
    CardInUseError,
    CardUnusableError,
    InsufficientCreditError,
    InvalidValueError,
    OperationConflictError,
    TamperedError,
    TooManyCallsError,
    UnknownCardError,
    UnknownHoldError,
    UnlimitedCreditError,
    VoipcardError,
)
from voipcard.names import BATCH
from voipcard.names import EXTENSION as REGISTERED
from voipcard.stores import Changes, MemoryStore, SQLiteStore, Store

Plain: TypeAlias = int | None
"""Credit as the model writes it: a whole number, None for Unlimited."""

MINUTE: Final = timedelta(minutes=1)
CODES: Final = {"770000": 10, "770001": 4, "770002": 0, "770003": None}
"""The cards of a story: two with credit, one with none, one without an end."""

picks: Final = st.integers(0, 99)
minutes: Final = st.sampled_from([1, 2, 5, 30])
amounts: Final = st.sampled_from([0, 1, 1, 2, 2, 3, 5, 11])


def credit(plain: Plain) -> Credit:
    """
    Write a plain number as credit.
    """
    return UNLIMITED if plain is None else Credit(plain)


@attrs.define
class Kept:
    """
    A hold as the model knows it. `until` is the minute from when on it is free.
    """

    amount: int
    until: int


@attrs.define
class Card:
    """
    A card as the model knows it; `holds` has those as well that have run out, until somebody frees them.
    """

    serial: str
    code: str
    left: Plain
    enabled: bool = True
    used: bool = False
    expires: Plain = None
    holds: dict[str, Kept] = attrs.field(factory=dict)
    entries: list[tuple[str, Plain, Plain, int]] = attrs.field(factory=list)

    def live(self, now: int) -> dict[str, Kept]:
        """
        Give the holds that have not run out.
        """
        return {id: hold for id, hold in self.holds.items() if hold.until > now}

    @property
    def held(self) -> int:
        """
        Give what is stored as held, also by what has run out.
        """
        return sum(hold.amount for hold in self.holds.values())

    def available(self, now: int) -> Plain:
        """
        Give what can be spent.
        """
        held = sum(hold.amount for hold in self.live(now).values())

        return None if self.left is None else max(0, self.left - held)

    def has(self, amount: int, now: int) -> bool:
        """
        Tell whether so much can be spent.
        """
        available = self.available(now)

        return available is None or amount <= available

    def post(self, kind: str, amount: Plain, shortfall: int = 0) -> None:
        """
        Write an entry.
        """
        self.entries.append((kind, amount, self.left, shortfall))


@attrs.define
class Given:
    """
    A hold that was handed out, and how it ended: what was taken with it, None for nothing as it was given back.
    """

    card: Card
    hold: Hold
    ended: tuple[str, Plain] | None = None
    entry: LedgerEntry | None = None


def facts(entry: LedgerEntry) -> tuple[object, ...]:
    """
    Tell what an entry says.
    """
    return (entry.kind, entry.amount, entry.credit_left, entry.shortfall)


def shown(step: tuple[str, Plain, Plain, int]) -> tuple[object, ...]:
    """
    Write an entry of the model in the same way.
    """
    kind, amount, left, shortfall = step

    return (kind, credit(amount), credit(left), credit(shortfall))


class HoldMachine(RuleBasedStateMachine):
    """
    A book in memory and its model.
    """

    def __init__(self) -> None:
        super().__init__()
        self.begin()
        self.clock = Clock()
        self.minute = 0
        self.book = self.open()
        self.limit: Plain = 3
        self.cards: list[Card] = []
        self.gone: list[Card] = []
        self.given: list[Given] = []
        self.named: dict[str, tuple[Card, int, int, Hold]] = {}
        self.frozen: set[str] = set()
        self.audited: list[str] = []

    # Where the book is

    def begin(self) -> None:
        """
        Make an empty place.
        """
        self.place = MemoryStore()

    def handle(self) -> Store:
        """
        Open one more handle on it.
        """
        return self.place.another()

    def open(self) -> CardBook:
        """
        Open the book.
        """
        return book_on(self.handle(), clock=self.clock)

    @property
    def extension(self) -> Extension:
        """
        Give the extension.
        """
        return self.book.extension(EXTENSION)

    # Doing

    def do(self, verb: str, call: Callable[[], object], refused: Sequence[object] | None) -> Any:  # noqa: ANN401
        """
        Do something; where it has to be refused, compare the refusal and give None.
        """
        answer = outcome(call)
        if refused is not None:
            assert isinstance(answer, tuple), verb
            assert tuple(refused) == answer[: len(refused)], verb
            return None
        assert not (isinstance(answer, tuple) and answer and isinstance(answer[0], type)), f"{verb}: {answer}"

        return answer

    @initialize()
    def add(self) -> None:
        """
        Begin with the cards.
        """
        batch = self.extension.add([NewCard(code, credit=credit(plain)) for code, plain in CODES.items()])
        self.batch = batch.id
        self.extension.configure(concurrent_calls=self.limit)
        for handout in batch:
            self.cards.append(Card(handout.serial, handout.code, CODES[handout.code]))
            self.cards[-1].post("initial", CODES[handout.code])
        self.audited += ["add", "configure"]

    def chosen(self, place: int) -> Card:
        """
        Choose a card.
        """
        cards = [*self.cards, *self.gone]

        return cards[place % len(cards)]

    def unusable(self, card: Card) -> Sequence[object] | None:
        """
        Say why no new hold can be made.
        """
        reasons = {
            "disabled": not card.enabled,
            "batch_disabled": "batch" in self.frozen,
            "extension_disabled": "extension" in self.frozen,
            "expired": card.expires is not None and card.expires <= self.minute,
        }
        reason = next((reason for reason, applies in reasons.items() if applies), None)

        return None if reason is None else (CardUnusableError, card.serial, reason)

    def insufficient(self, card: Card, amount: int) -> Sequence[object] | None:
        """
        Say whether there is too little for it.
        """
        if card.has(amount, self.minute):
            return None

        return (InsufficientCreditError, card.serial, str(credit(card.available(self.minute))), str(Credit(amount)))

    @rule(place=picks, amount=amounts, length=minutes, named=st.booleans())
    def hold(self, place: int, amount: int, length: int, *, named: bool) -> None:
        """
        Reserve credit, if the card may have one more hold and has so much.
        """
        card, now = self.chosen(place), self.minute
        refused = self.unusable(card)
        if refused is None and self.limit is not None and len(card.live(now)) >= self.limit:
            refused = (TooManyCallsError, card.serial, self.limit)
        refused = refused or self.insufficient(card, amount)
        if card in self.gone:
            refused = (UnknownCardError, card.serial)
        operation = f"operation {len(self.given)}" if named else None
        hold = self.do(
            "hold",
            lambda: self.extension.hold(card.serial, amount, expires_in=length * MINUTE, operation=operation),
            refused,
        )
        if hold is None:
            return
        assert (card.serial, Credit(amount), self.clock.now) == (hold.serial, hold.amount, hold.begun_at)
        assert (self.clock.now + length * MINUTE, False) == (hold.expires_at, hold.replayed)
        card.holds = {**card.live(now), hold.id: Kept(amount, now + length)}
        self.given.append(Given(card, hold))
        self.audited.append("hold")
        if operation:
            self.named[operation] = (card, amount, length, hold)

    @rule(place=picks, amount=amounts)
    def forget(self, place: int, amount: int) -> None:
        """
        Reserve credit for a minute, and let two pass, as where a switch dies.
        """
        self.hold(place, amount, 1, named=False)
        self.wait(2)

    @rule(place=picks, same=st.booleans())
    def hold_again(self, place: int, *, same: bool) -> None:
        """
        Use the name of a hold again: for the same it gives the first answer, whatever became of it, and for else none.
        """
        if not self.named:
            return
        operation, (card, amount, length, hold) = list(self.named.items())[place % len(self.named)]
        again = self.do(
            "hold",
            lambda: self.extension.hold(
                card.serial, amount + (not same), expires_in=length * MINUTE, operation=operation
            ),
            None if same else (OperationConflictError, "hold"),
        )
        if same:
            assert (hold, True) == (again, again.replayed)

    @rule(place=picks, amount=st.none() | amounts, length=minutes)
    def extend(self, place: int, amount: Plain, length: int) -> None:
        """
        Let a hold last longer, or be of another amount, if it is still there.
        """
        if not self.given:
            return
        given, now = self.given[place % len(self.given)], self.minute
        card = given.card
        before = card.live(now).get(given.hold.id)
        refused: Sequence[object] | None = None
        if card in self.gone:
            refused = (UnknownCardError, card.serial)
        elif before is None:
            refused = (UnknownHoldError, card.serial)
        elif amount is not None and amount > before.amount:
            refused = self.insufficient(card, amount - before.amount)
        hold = self.do(
            "extend", lambda: self.extension.extend(given.hold, amount=amount, expires_in=length * MINUTE), refused
        )
        if hold is None or before is None:
            return
        after = Kept(before.amount if amount is None else amount, max(before.until, now + length))
        assert (given.hold.id, Credit(after.amount), given.hold.begun_at) == (hold.id, hold.amount, hold.begun_at)
        assert (after.until - now) * MINUTE == hold.expires_at - self.clock.now
        given.hold = hold
        if after != before:
            card.holds = {**card.live(now), hold.id: after}
            self.audited.append("extend")

    @rule(place=picks, amount=st.none() | amounts)
    def capture(self, place: int, amount: Plain) -> None:
        """
        Take what a hold was for, however late: it ends with the first time, and a repetition takes nothing.
        """
        if not self.given:
            return
        given = self.given[place % len(self.given)]
        cost = given.hold.amount.micros // 10**6 if amount is None else amount
        self.end(given, "capture", cost, lambda: self.extension.capture(given.hold, amount))

    @rule(place=picks)
    def release(self, place: int) -> None:
        """
        Give back a hold, however late.
        """
        if not self.given:
            return
        given = self.given[place % len(self.given)]
        self.end(given, "release", None, lambda: self.extension.release(given.hold))

    def end(self, given: Given, verb: str, cost: Plain, call: Callable[[], LedgerEntry]) -> None:
        """
        End a hold in one of the two ways.
        """
        card, now = given.card, self.minute
        refused: Sequence[object] | None = None
        if card in self.gone:
            refused = (UnknownCardError, card.serial)
        elif given.ended not in {None, (verb, cost)}:
            refused = (OperationConflictError, verb, card.serial)
        entry = self.do(verb, call, refused)
        if entry is None:
            return
        if given.ended is not None:
            assert (given.entry, True) == (entry, entry.replayed)
            return
        card.holds = {id: hold for id, hold in card.live(now).items() if id != given.hold.id}
        available = card.available(now)
        taken = (cost or 0) if available is None else min(cost or 0, available)
        if card.left is not None:
            card.left -= taken
        card.post("charge" if verb == "capture" else "release", -taken, (cost or 0) - taken)
        given.ended, given.entry = (verb, cost), entry
        self.audited.append(verb)

        assert (shown(card.entries[-1]), False) == (facts(entry), entry.replayed)
        assert Credit(cost or 0) == entry.shortfall - entry.amount
        assert sum(hold.amount for hold in card.holds.values()) == entry.held_left.micros // 10**6

    @rule(place=picks, amount=st.sampled_from([1, 5, -1, -2, -5, -10, None]))
    def recharge(self, place: int, amount: Plain) -> None:
        """
        Change credit by hand: what is held by who still calls cannot be taken, what has run out can.
        """
        card, now = self.chosen(place), self.minute
        refused = self.insufficient(card, -amount) if amount is not None and card.left is not None else None
        if card in self.gone:
            refused = (UnknownCardError, card.serial)
        entry = self.do("recharge", lambda: self.extension.recharge(card.serial, credit(amount)), refused)
        if entry is None:
            return
        if amount is None or card.left is None:
            card.left = None if amount is None or amount > 0 else 0
        else:
            card.left += amount
        card.holds = card.live(now)
        card.post("recharge", amount)
        self.audited.append("recharge")

        assert shown(card.entries[-1]) == facts(entry)

    @rule(giving=picks, taking=picks, amount=st.sampled_from([1, 3, 6]))
    def transfer(self, giving: int, taking: int, amount: int) -> None:
        """
        Move credit that nobody holds to another card.
        """
        giver, taker, now = self.chosen(giving), self.chosen(taking), self.minute
        refused = self.insufficient(giver, amount)
        for card, error in ((taker, UnlimitedCreditError), (giver, UnlimitedCreditError)):
            if card.left is None:
                refused = (error, card.serial)
        for card in (taker, giver):
            if card in self.gone:
                refused = (UnknownCardError, card.serial)
        if giver is taker:
            refused = (InvalidValueError,)
        entries = self.do(
            "transfer", lambda: self.extension.transfer(giver.serial, taker.serial, amount=amount), refused
        )
        if entries is None or giver.left is None or taker.left is None:
            return
        giver.left, taker.left = giver.left - amount, taker.left + amount
        for card, change in ((giver, -amount), (taker, amount)):
            card.holds = card.live(now)
            card.post("transfer", change)
        self.audited.append("transfer")

    @rule(limit=st.sampled_from([1, 2, 1000]), of_book=st.booleans())
    def sweep(self, limit: int, *, of_book: bool) -> None:
        """
        Free what has run out, of as many cards as are asked for, the oldest first.
        """
        due = [card for card in self.cards if len(card.live(self.minute)) < len(card.holds)][:limit]
        expected = sum(len(card.holds) - len(card.live(self.minute)) for card in due)
        freed = (self.book if of_book else self.extension).sweep(limit=limit)
        for card in due:
            card.holds = card.live(self.minute)
        if due:
            self.audited.append("sweep")

        assert expected == freed

    @rule(
        what=st.sampled_from(["remove", "remove_unused", "card", "card", "batch", "extension", "expiry"]),
        place=picks,
        enabled=st.sampled_from([True, True, False]),
        length=st.none() | minutes,
    )
    def disturb(self, what: str, place: int, *, enabled: bool, length: Plain) -> None:
        """
        Do one of the things that get in the way of calls; more seldom than all else, so that there are calls.
        """
        match what:
            case "remove" | "remove_unused":
                self.remove(place, unused=what == "remove_unused")
            case "card":
                self.switch(place, enabled=enabled)
            case "expiry":
                self.expire(place, length)
            case _:
                self.freeze(what, enabled=enabled)

    def remove(self, place: int, *, unused: bool) -> None:
        """
        Remove a card that nobody calls with; what nothing happened to is not what somebody calls with.
        """
        if len(self.cards) < 3:
            return
        card = self.cards[place % len(self.cards)]
        if unused:
            due = [
                card for card in self.cards if len(card.entries) == 1 and not card.used and not card.live(self.minute)
            ]
            if len(due) > 1 or self.minute < 0:  # With the clock set back, they are not made yet.
                return
            assert {card.serial for card in due} == set(self.extension.remove_unused(older_than=timedelta(0)))
            self.audited.append("remove_unused")
        else:
            refused = (CardInUseError, card.serial) if card.live(self.minute) else None
            removed = self.do("remove", lambda: self.extension.remove(card.serial), refused)
            due = [] if removed is None else [card]
            self.audited += ["remove"] * bool(due)
        for card in due:
            self.cards.remove(card)
            self.gone.append(card)

    def switch(self, place: int, *, enabled: bool) -> None:
        """
        Enable or disable a card, whoever calls with it.
        """
        card = self.cards[place % len(self.cards)]
        verb = "enable" if enabled else "disable"
        getattr(self.extension, verb)(card.serial)
        self.audited.append(verb)
        card.enabled = enabled

    def freeze(self, what: str, *, enabled: bool) -> None:
        """
        Enable or disable what a card belongs to.
        """
        if enabled != (what in self.frozen):
            return
        verb = f"{'enable' if enabled else 'disable'}_{what}"
        if what == "batch":
            getattr(self.extension, verb)(self.batch)
        else:
            getattr(self.book, verb)(EXTENSION)
        self.frozen ^= {what}
        self.audited.append(verb)

    def expire(self, place: int, length: Plain) -> None:
        """
        Let a card expire at a moment, or never.
        """
        card = self.cards[place % len(self.cards)]
        expires = None if length is None else self.minute + length
        moment = None if length is None else self.clock.now + length * MINUTE
        self.extension.set_expiry(card.serial, moment)
        self.audited.append("set_expiry")
        card.expires = expires

    @rule(limit=st.sampled_from([1, 2, 3, 3, None]))
    def configure(self, limit: Plain) -> None:
        """
        Set how many holds a card may have.
        """
        if limit != self.limit:
            self.extension.configure(concurrent_calls=limit)
            self.audited.append("configure")
        self.limit = limit

    @rule(place=picks)
    def let_in(self, place: int) -> None:
        """
        Let a caller in, who is told what nobody holds any more.
        """
        card = self.cards[place % len(self.cards)]
        self.audited.append("authenticate")
        if self.unusable(card):
            assert (AccessDeniedError,) == outcome(lambda: self.extension.authenticate(card.code))
            return
        access = self.extension.authenticate(card.code)
        if not card.used:  # Then the card is written, and what has run out is freed.
            card.used, card.holds = True, card.live(self.minute)

        assert credit(card.available(self.minute)) == access.available == access.card.available

    @rule(span=st.sampled_from([1, 2, 5, 10, 40, -1, -6, -40]))
    def wait(self, span: int) -> None:
        """
        Let time pass, or set the clock back.
        """
        self.minute += span
        self.clock.move(minutes=span)

    @rule()
    def open_again(self) -> None:
        """
        Go on with another handle.
        """
        self.book.close()
        self.book = self.open()

    # Comparing

    @invariant()
    def the_cards_agree(self) -> None:
        """
        Compare the cards: what is held is the sum of the holds, nothing is below zero, what is left can be spent.
        """
        for card in self.cards:
            found = self.extension.get(card.serial)

            assert credit(card.left) == found.credit >= Credit(0)
            assert Credit(card.held) == found.held
            if not found.credit.is_unlimited:
                assert max(Credit(0), found.credit - found.held) == found.available
            assert {(id, Credit(hold.amount)) for id, hold in card.live(self.minute).items()} == {
                (hold.id, hold.amount) for hold in self.extension.holds(card.serial)
            }

    def teardown(self) -> None:
        """
        Compare the histories, and go over the book.
        """
        store, cards = engine_of(self.book).store, self.cards
        for card in cards:
            entries = list(store.entries(EntryQuery(card=self.extension.get(card.serial).id)))
            by_hand = [shown(entry) for entry in card.entries if entry[0] not in {"charge", "release"}]

            assert [shown(entry) for entry in card.entries] == [
                facts(engine_of(self.book).records.entry(entry)) for entry in entries
            ]
            assert credit(card.left) == fold(entries).credit
            assert by_hand == [facts(entry) for entry in self.extension.history(card.serial)]
        assert sorted(self.audited) == sorted(verbs_of(self.book))
        assert sound(self.book) == ()
        self.book.close()


class FileHoldMachine(HoldMachine):
    """
    The same with a book in an SQLite file.
    """

    def begin(self) -> None:
        """
        Make an empty folder.
        """
        self.folder = tempfile.TemporaryDirectory()

    def handle(self) -> Store:
        """
        Open the file.
        """
        return SQLiteStore(Path(self.folder.name) / "cards.db")

    def teardown(self) -> None:
        """
        Compare, and clean up.
        """
        super().teardown()
        self.folder.cleanup()


STORY: Final = settings(stateful_step_count=40, suppress_health_check=[HealthCheck.too_slow])

TestHoldsInMemory = HoldMachine.TestCase
TestHoldsInMemory.settings = settings(STORY, max_examples=60)
TestHoldsInFile = FileHoldMachine.TestCase
TestHoldsInFile.settings = settings(STORY, max_examples=10)


class ForgetsEnds(MemoryStore):
    """
    A store in which nothing is known of holds that have ended.
    """

    def known(self, **names: Any) -> Any:  # noqa: ANN401 - as the contract says
        """
        Hide what was done.
        """
        return set() if "operations" in names else super().known(**names)

    def commit(self, changes: Changes) -> None:
        """
        Keep entries without the operation that made them.
        """
        entries = [entry._replace(operation=None) for entry in changes.entries]
        super().commit(attrs.evolve(changes, entries=entries))


class LosesHolds(MemoryStore):
    """
    A store that loses the second of two holds.
    """

    def commit(self, changes: Changes) -> None:
        """
        Do as if nothing had happened.
        """
        if any(b"],[" in record.holds for record, _ in changes.replace):
            changes = attrs.evolve(changes, replace=(), entries=())
        super().commit(changes)


class FindsNothingExpired(MemoryStore):
    """
    A store that never finds a card of which holds have run out.
    """

    def cards(self, query: Any) -> Any:  # noqa: ANN401 - as the contract says
        """
        Hide them.
        """
        return [] if query.hold_expired_at is not None else super().cards(query)


@pytest.mark.parametrize("broken", [ForgetsEnds, LosesHolds, FindsNothingExpired])
def test_the_machine_notices_holds_that_go_wrong(broken: type[MemoryStore]) -> None:
    """
    Over a store that breaks one promise the stories end in a disagreement: the machine is no formality.
    """

    class BrokenMachine(HoldMachine):
        """
        The machine over that store.
        """

        def begin(self) -> None:
            """
            Make an empty place.
            """
            self.place = broken()

    story = settings(STORY, max_examples=2000, database=None, phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises((AssertionError, VoipcardError)):
        run_state_machine_as_test(BrokenMachine, settings=story)


# What has run out


@attrs.frozen
class World:
    """
    A card with a credit of 10 of which 8 were held, until the hold ran out; and another card with 5.

    Attributes:
        book: The book.
        extension: Its extension.
        clock: Its clock.
        first: The card.
        second: The other one.
        code: What is dialed for the first one.
        hold: The hold.
        store: The store.
    """

    book: CardBook
    extension: Extension
    clock: Clock
    first: str
    second: str
    code: str
    hold: Hold
    store: Recording

    @classmethod
    def new(cls, *, is_over: bool = True, is_used: bool = True) -> World:
        """
        Make one.
        """
        store, clock = Recording(), Clock()
        book = book_on(store, clock=clock)
        extension = book.extension(EXTENSION)
        first, second = extension.add([NewCard("770000", credit=10), NewCard("770001", credit=5)])
        if is_used:
            extension.authenticate(first.code)
        hold = extension.hold(first.serial, 8, expires_in=MINUTE)
        if is_over:
            clock.move(minutes=1)

        return cls(book, extension, clock, first.serial, second.serial, first.code, hold, store)


FREEING: Final[dict[str, Callable[[World], object]]] = {
    "taking back what was held": lambda w: w.extension.recharge(w.first, -10),
    "transfer": lambda w: w.extension.transfer(w.first, w.second, amount=10),
    "another hold": lambda w: w.extension.hold(w.first, 10, expires_in=MINUTE),
    "capturing late": lambda w: w.extension.capture(w.hold, 10),
    "releasing late": lambda w: w.extension.release(w.hold),
    "sweeping the extension": lambda w: w.extension.sweep(),
    "sweeping the book": lambda w: w.book.sweep(),
}


@pytest.mark.parametrize("way", FREEING)
def test_whoever_touches_credit_frees_what_has_run_out(way: str) -> None:
    """
    From the moment on at which a hold runs out, whatever changes the card has all of its credit, and the hold is gone.
    """
    world = World.new()
    before = world.extension.get(world.first).held
    FREEING[way](world)
    record = world.store.find(serial=world.first)

    assert Credit(8) == before
    assert record is not None
    assert (way == "another hold") == bool(record.holds) == (record.next_hold_expiry is not None)
    assert sound(world.book) == ()


@pytest.mark.parametrize("way", [way for way in FREEING if "late" not in way and "sweep" not in way])
def test_what_is_held_is_held_to_the_last_moment(way: str) -> None:
    """
    The control: a microsecond before, none of it can be spent.
    """
    world = World.new(is_over=False)
    world.extension.configure(concurrent_calls=2)
    world.clock.move(minutes=1, microseconds=-1)

    assert (InsufficientCreditError, world.first, "2.00", "10.00") == outcome(lambda: FREEING[way](world))
    assert world.book.sweep() == 0


@pytest.mark.parametrize("used", [False, True])
def test_a_caller_is_let_in_with_what_has_run_out(used: bool) -> None:  # noqa: FBT001
    """
    Whose switch has died can call again with all that is there, whether it is the first time or not.
    """
    world = World.new(is_used=used)
    access = world.extension.authenticate(world.code)

    assert (Credit(10), Credit(10)) == (access.available, access.card.available)
    assert access.may_call
    assert world.extension.authenticate(world.code).available == Credit(10)


def test_a_sweep_is_one_commit_of_its_own_cards() -> None:
    """
    It writes cards that have something to free and no others, of one extension or of all, and each time only once.
    """
    store, clock = Recording(), Clock()
    book = book_on(store, clock=clock)
    for number, count in ((EXTENSION, 3), (OTHER, 2)):
        extension = book.extension(number)
        extension.configure(concurrent_calls=2)
        for handout in extension.generate(count + 1, credit=10)[:count]:
            extension.hold(handout.serial, 1, expires_in=MINUTE)
            extension.hold(handout.serial, 2, expires_in=2 * MINUTE)
    clock.move(minutes=1)
    store.commits.clear()
    counts = [book.extension(OTHER).sweep(), book.sweep(limit=2), book.sweep(), book.sweep()]

    assert counts == [2, 2, 1, 0]
    assert store.sizes() == [2, 2, 1]
    assert [entry.detail["count"] for entry in book.audit_trail() if entry.verb == "sweep"] == [2, 2, 1]
    assert sum(card.held.micros for card in book.extension(EXTENSION)) == 3 * 2 * 10**6
    assert sound(book) == ()


# Removing


def test_a_card_is_not_removed_under_a_call() -> None:
    """
    A card with a hold is refused, and with it all that was asked for; what nobody uses is removed without it.

    When the hold has run out the card can go, and nobody can end the hold any more.
    """
    world = World.new(is_over=False, is_used=False)
    both = [world.first, world.second]

    assert (CardInUseError, world.first) == outcome(lambda: world.extension.remove(both))
    assert (CardInUseError, world.first) == outcome(lambda: world.extension.remove(both, dry_run=True))
    assert (world.second,) == world.extension.remove_unused(older_than=timedelta(0))
    world.clock.move(minutes=1)
    assert (world.first,) == world.extension.remove(world.first)
    for end in (world.extension.capture, world.extension.release):
        assert (UnknownCardError, world.first) == outcome(lambda end=end: end(world.hold))  # type: ignore[misc]
    assert sound(world.book) == ()


def test_a_hold_that_was_ended_is_a_use() -> None:
    """
    A card with a charge, or a hold given back, is not among those that nothing happened to.
    """
    world = World.new(is_over=False, is_used=False)
    world.extension.release(world.hold)

    assert (world.second,) == world.extension.remove_unused(older_than=timedelta(0))


# Who has the hold


def test_a_hold_is_ended_by_whoever_has_it() -> None:
    """
    It goes through a pickle to another handle on the book; another extension has no such card.
    """
    world = World.new(is_over=False)
    hold = pickle.loads(pickle.dumps(world.hold))  # noqa: S301 - our own
    other = book_on(world.store.another(), clock=world.clock)

    assert (UnknownCardError, world.first) == outcome(lambda: other.extension(OTHER).capture(hold))
    assert Credit(2) == other.extension(EXTENSION).capture(hold).credit_left
    assert world.extension.capture(hold).replayed


def test_a_hold_is_known_by_its_card_too() -> None:
    """
    What was taken from one card is no answer to who asks for another.
    """
    world = World.new(is_over=False)
    world.extension.capture(world.hold)
    elsewhere = attrs.evolve(world.hold, serial=world.second)

    assert (OperationConflictError, "capture", world.second) == outcome(lambda: world.extension.capture(elsewhere))
    assert (OperationConflictError, "release", world.second) == outcome(lambda: world.extension.release(elsewhere))
    assert Credit(5) == world.extension.get(world.second).credit


@pytest.mark.parametrize("end", ["capture", "release"])
def test_who_ends_a_hold_first_has_ended_it(end: str) -> None:
    """
    Where somebody else ends it between reading and writing, that stays: a capture of as much is told, all else refused.
    """
    store = Meddled()
    extension = book_on(store).extension(EXTENSION)
    [handout] = extension.generate(1, credit=10)
    hold = extension.hold(handout.serial, 8, expires_in=MINUTE)
    other = book_on(store.another()).extension(EXTENSION)
    store.meddle = lambda: other.capture(hold, 3)
    answer = outcome(lambda: extension.capture(hold, 3) if end == "capture" else extension.release(hold))

    if end == "capture":
        assert isinstance(answer, LedgerEntry)
        assert answer.replayed
    else:
        assert (OperationConflictError, "release", handout.serial) == answer
    assert Credit(7) == extension.get(handout.serial).credit
    assert (UnknownHoldError, handout.serial) == outcome(lambda: extension.extend(hold, expires_in=MINUTE))


# What was changed from outside


@pytest.mark.parametrize("fields", [{"holds": b""}, {"held": 0}, {"next_hold_expiry": None}], ids=str)
def test_a_hold_that_was_changed_from_outside_is_found(fields: dict[str, Any]) -> None:
    """
    Nobody can take a hold away, make it less or let it last for ever.
    """
    world = World.new()
    record = world.store.find(serial=world.first)
    assert record is not None
    world.store._cards[record.id] = record._replace(**fields)  # noqa: SLF001 - behind its back
    uses: list[Callable[[], object]] = [
        *(lambda use=use: use(world) for way, use in FREEING.items() if "sweep" not in way),
        lambda: world.extension.extend(world.hold, expires_in=MINUTE),
        lambda: world.extension.holds(world.first),
    ]

    assert [(TamperedError, world.first, "record")] * len(uses) == [outcome(use) for use in uses]


@pytest.mark.parametrize("of_book", [True, False])
@pytest.mark.parametrize("limit", [1, 2, 3, 1000])
def test_a_card_that_was_changed_from_outside_keeps_no_other_held(limit: int, of_book: bool) -> None:  # noqa: FBT001
    """
    Its hold stays, for somebody to look at; a sweep frees all others, wherever it stands and whatever the limit.
    """
    store, clock = Recording(), Clock()
    book = book_on(store, clock=clock)
    extension = book.extension(EXTENSION)
    cards = [handout.serial for handout in extension.generate(6, credit=10)]
    for serial in cards:
        extension.hold(serial, 1, expires_in=MINUTE)
    tampered = cards[:2] + cards[3:4]
    for serial in tampered:
        record = store.find(serial=serial)
        assert record is not None
        store._cards[record.id] = record._replace(credit=10**9)  # noqa: SLF001 - behind its back
    clock.move(minutes=1)
    freed = 0
    while count := (book if of_book else extension).sweep(limit=limit):
        freed += count

    assert freed == 3
    records = store.find_many(serials=cards)
    assert sorted(tampered) == sorted(record.serial for record in records if record.holds)


@pytest.mark.parametrize("prefix", [BATCH, REGISTERED])
def test_what_disables_a_card_cannot_be_taken_away(prefix: str) -> None:
    """
    Where the document is gone that says whether a batch or an extension is disabled, no credit is held.
    """
    world = World.new()
    [document] = world.store.documents(prefix)
    world.store.commit(Changes(forget=[(document.key, document.version)]))

    assert (TamperedError, document.key, "document") == outcome(lambda: FREEING["another hold"](world))


def test_no_card_has_more_holds_than_fit_into_its_record() -> None:
    """
    Where any number of calls is allowed, 2,000 are: the next one is told so, and the record is sound.
    """
    world = World.new()
    world.extension.configure(concurrent_calls=None)
    record, records = world.store.find(serial=world.first), engine_of(world.book).records
    assert record is not None
    until = engine_of(world.book).now() + 10**6
    kept = [KeptHold(f"{number:032x}", 1, until, until) for number in range(1999)]
    changed = records.signed(holding(record, kept)._replace(version=record.version + 1))
    world.store.commit(Changes(replace=[(changed, record.version)]))
    world.extension.hold(world.first, 1, expires_in=MINUTE)

    assert (TooManyCallsError, world.first, 2000) == outcome(lambda: FREEING["another hold"](world))
    assert len(world.extension.holds(world.first)) == 2000


# Side by side


TIMES: Final = 4
"""How many threads work at once."""


class Careless(SQLiteStore):
    """
    A store that believes whatever it is told: it keeps no version and no uniqueness of operations.
    """

    def commit(self, changes: Changes) -> None:
        """
        Make every precondition fit, and give others the time to come between.
        """
        time.sleep(0.01)
        replace = [(card, known.version if (known := self.find(id=card.id)) else 0) for card, _ in changes.replace]
        entries = [entry._replace(operation=None, sequence=time.monotonic_ns()) for entry in changes.entries]
        documents = [
            (document, found.version if (found := self.document(document.key)) else 0)
            for document, _ in changes.documents
        ]
        super().commit(attrs.evolve(changes, replace=replace, entries=entries, documents=documents, require=()))


def with_handles(store: type[SQLiteStore], path: Path, work: Callable[[Extension, int], Any]) -> list[Any]:
    """
    Do the same work in threads, each with its own handle on the file.
    """

    def run(number: int) -> Any:  # noqa: ANN401 - whatever the work gives
        with book_on(store(path)) as book:
            return work(book.extension(EXTENSION), number)

    return in_threads(run, TIMES)


def check_limit(store: type[SQLiteStore], path: Path) -> None:
    """
    All begin calls on one card, whose credit would do for all of them.
    """
    with file_book(path) as book:
        extension = book.extension(EXTENSION)
        extension.configure(concurrent_calls=5)
        [handout] = extension.generate(1, credit=100)

        def work(mine: Extension, _: int) -> int:
            answers = [outcome(lambda: mine.hold(handout.serial, 1, expires_in=MINUTE)) for _ in range(5)]
            assert {(TooManyCallsError, handout.serial, 5)} >= {a for a in answers if isinstance(a, tuple)}

            return sum(isinstance(answer, Hold) for answer in answers)

        held = with_handles(store, path, work)

        assert sum(held) == 5
        assert len(extension.holds(handout.serial)) == 5
        assert Credit(95) == extension.get(handout.serial).available
        assert sound(book) == ()


def check_credit(store: type[SQLiteStore], path: Path) -> None:
    """
    All hold a little, take more than that, and take it again; there is less than all of them want.
    """
    with file_book(path) as book:
        extension = book.extension(EXTENSION)
        extension.configure(concurrent_calls=None)
        [handout] = extension.generate(1, credit=20)

        def work(mine: Extension, _: int) -> list[LedgerEntry]:
            entries = []
            for _ in range(5):
                hold = outcome(lambda: mine.hold(handout.serial, 1, expires_in=MINUTE))
                if isinstance(hold, Hold):
                    entries.append(mine.capture(hold, 2))
                    assert mine.capture(hold, 2).replayed
            return entries

        entries = [entry for done in with_handles(store, path, work) for entry in done]
        card = extension.get(handout.serial)

        assert sum(entry.amount.micros - entry.shortfall.micros for entry in entries) == -len(entries) * 2 * 10**6
        assert sum(entry.amount.micros for entry in entries) == card.credit.micros - card.total_credit.micros
        assert card.credit >= Credit(0) == card.held
        assert len(entries) >= 10
        assert sound(book) == ()


def check_ends(store: type[SQLiteStore], path: Path) -> None:
    """
    All end the same holds, half of them by capturing, the others by releasing.
    """
    with file_book(path) as book:
        extension = book.extension(EXTENSION)
        extension.configure(concurrent_calls=None)
        [handout] = extension.generate(1, credit=100)
        holds = [extension.hold(handout.serial, 1, expires_in=MINUTE) for _ in range(6)]

        def work(mine: Extension, number: int) -> list[Any]:
            return [outcome(lambda h=hold: mine.release(h) if number % 2 else mine.capture(h)) for hold in holds]  # type: ignore[misc]

        answers = list(zip(*with_handles(store, path, work), strict=True))
        card = extension.get(handout.serial)

        for answer in answers:
            done = [entry for entry in answer if isinstance(entry, LedgerEntry)]
            assert sum(not entry.replayed for entry in done) == 1
            assert len({entry.kind for entry in done}) == 1
            assert {OperationConflictError} >= {each[0] for each in answer if isinstance(each, tuple)}
        assert Credit(0) == card.held
        assert sound(book) == ()


CHECKS: Final = [check_limit, check_credit, check_ends]


@pytest.mark.parametrize("check", CHECKS)
def test_holds_are_held_whoever_comes_at_the_same_time(check: Callable[..., None], tmp_path: Path) -> None:
    """
    Threads on one card never have more holds than it may have, spend nothing twice, and end each hold once.
    """
    check(SQLiteStore, tmp_path / "cards.db")


@pytest.mark.parametrize("check", CHECKS)
def test_a_store_that_looks_at_nothing_is_found_out(check: Callable[..., None], tmp_path: Path) -> None:
    """
    The laws above fail on a store without preconditions: what they prove is not luck.
    """
    with pytest.raises(AssertionError, match=r"^assert "):
        check(Careless, tmp_path / "cards.db")


# What cannot be


@pytest.mark.parametrize("span", [timedelta(0), -MINUTE, timedelta(days=366, microseconds=1), 60, None, "1:00"])
def test_a_hold_lasts_for_a_time(span: Any) -> None:  # noqa: ANN401 - what is refused
    """
    A time that is none, or longer than a year, is refused and leaves everything as it was.
    """
    world = World.new()
    commits = len(world.store.commits)
    asked: list[Callable[[], object]] = [
        lambda: world.extension.hold(world.first, 1, expires_in=span),
        lambda: world.extension.extend(world.hold, expires_in=span),
    ]

    assert [(InvalidValueError, "expires_in")] * 2 == [outcome(ask)[:2] for ask in asked]  # type: ignore[index]
    assert commits == len(world.store.commits)


@pytest.mark.parametrize(
    "amount, error",
    [(-1, AmountError), (1.5, AmountTypeError), (True, AmountTypeError), (UNLIMITED, InvalidValueError)],
)
def test_a_hold_is_of_an_amount(amount: Any, error: type[VoipcardError]) -> None:  # noqa: ANN401 - what is refused
    """
    Less than nothing, what is no amount, and credit without an end cannot be held or taken.
    """
    world = World.new(is_over=False)
    commits = len(world.store.commits)
    asked: list[Callable[[], object]] = [
        lambda: world.extension.hold(world.first, amount, expires_in=MINUTE),
        lambda: world.extension.extend(world.hold, amount=amount, expires_in=MINUTE),
        lambda: world.extension.capture(world.hold, amount),
    ]

    assert [error] * 3 == [outcome(ask)[0] for ask in asked]  # type: ignore[index]
    assert commits == len(world.store.commits)


@pytest.mark.parametrize("limit", [0, 1001, True, 1.0, None])
def test_a_sweep_has_a_limit(limit: Any) -> None:  # noqa: ANN401 - what is refused
    """
    A commit changes at most 1,000 cards.
    """
    world = World.new()

    assert (InvalidValueError, "limit") == outcome(lambda: world.book.sweep(limit=limit))[:2]  # type: ignore[index]
    assert (InvalidValueError, "limit") == outcome(lambda: world.extension.sweep(limit=limit))[:2]  # type: ignore[index]


def test_more_than_an_amount_can_be_is_not_held() -> None:
    """
    An unlimited card can have much held, but not more than can be written down.
    """
    extension = new_book().extension(EXTENSION)
    extension.configure(concurrent_calls=None)
    [handout] = extension.generate(1, credit=UNLIMITED)
    extension.hold(handout.serial, 9 * 10**12, expires_in=MINUTE)

    assert (AmountError, "too_large") == outcome(lambda: extension.hold(handout.serial, 9 * 10**12, expires_in=MINUTE))
    assert Credit(9 * 10**12) == extension.get(handout.serial).held
