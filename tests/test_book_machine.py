"""
A whole book beside a plain model of it: whatever is done to both, by whichever handle, they agree.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.book_world import EXTENSION, OTHER, Clock, book_on, outcome, seeded
from voipcard import (
    UNLIMITED,
    Batch,
    CardBook,
    CardQuery,
    CodeFormat,
    Credit,
    Hold,
    LedgerEntry,
    License,
    NewCard,
    Policy,
    Quota,
    Rate,
    RateDeck,
    Tariff,
)
from voipcard.errors import (
    AmountError,
    CardExistsError,
    CardInUseError,
    CardUnusableError,
    CrowdedError,
    InsufficientCreditError,
    InvalidValueError,
    OperationConflictError,
    QuotaExceededError,
    TooManyCallsError,
    UnknownCardError,
    UnlimitedCreditError,
    VoipcardError,
)
from voipcard.stores import Changes, Document, MemoryStore, SQLiteStore, Store

Plain: TypeAlias = int | None
"""Credit as the model writes it: a whole number, None for Unlimited."""

TINY: Final = CodeFormat(4, "01", check_digit="none")
"""Sixteen codes, so that they collide with each other and with those that are added."""

CODES: Final = ["0000", "0101", "1111", "77"]
NUMBERS: Final = [EXTENSION, OTHER]

MINUTES: Final = RateDeck([Rate("40", Tariff(price=1, first_interval=60, next_interval=60))])
YEAR: Final = timedelta(days=366)
"""Longer than any story: when holds run out is another machine's matter."""

numbers: Final = st.sampled_from(NUMBERS)
picks: Final = st.lists(st.integers(0, 99), max_size=4)
pick: Final = st.integers(0, 99)
once: Final = st.booleans()
initial: Final = st.sampled_from([0, 5, 10, None])
amounts: Final = st.sampled_from([1, 3, 10, 20, -1, -4, -20, None])
orders: Final = st.sampled_from(["", "", "PO-1", "PO-2"])


def credit(plain: Plain) -> Credit:
    """
    Write a plain number as credit.
    """
    return UNLIMITED if plain is None else Credit(plain)


@attrs.define
class Card:
    """
    A card as the model knows it.

    `paid` tells which step of the history an order number paid for, `held` how much its hold reserves.
    """

    serial: str
    number: str
    batch: str
    code: str
    caller: bool
    pin: str
    left: Plain
    total: Plain
    enabled: bool
    order: str
    began: Plain = None
    recharges: int = 0
    history: list[tuple[str, Plain, Plain, str]] = attrs.field(factory=list)
    paid: dict[str, int] = attrs.field(factory=dict)
    hold: Hold | None = None
    held: int = 0

    def __attrs_post_init__(self) -> None:
        self.began = self.left
        self.history.append(("initial", self.left, self.left, self.order))

    def change(self, kind: str, amount: Plain, order: str) -> None:
        """
        Add to the card, or take from it.

        Raises:
            OverflowError: If there is not so much.
        """
        if amount is None or (self.left is None and amount > 0):
            left = total = None
        elif self.left is None:
            left = total = 0
        elif amount < 0 and -amount > self.available(self.left):
            raise OverflowError
        else:
            left, total = self.left + amount, None if self.total is None else self.total + amount
        self.left, self.total = left, total
        self.history.append((kind, amount, left, order))
        self.recharges += kind == "recharge"

    def available(self, left: int) -> int:
        """
        Give what can be spent of what is left.
        """
        return max(0, left - self.held)

    def charge(self, cost: int) -> None:
        """
        Take what something cost, as far as it is there.
        """
        if self.left is not None:
            cost = min(cost, self.available(self.left))
            self.left -= cost
        self.history.append(("charge", -cost, self.left, ""))


def facts(entry: LedgerEntry) -> tuple[object, ...]:
    """
    Tell what an entry says.
    """
    return (entry.kind, entry.amount, entry.credit_left, entry.order_number)


def shown(step: tuple[str, Plain, Plain, str]) -> tuple[object, ...]:
    """
    Write a step of the model's history in the same way.
    """
    kind, amount, left, order = step

    return (kind, credit(amount), credit(left), order)


class BookMachine(RuleBasedStateMachine):
    """
    A book in memory and its model.
    """

    def __init__(self) -> None:
        super().__init__()
        self.begin()
        self.clock = Clock()
        self.chance = seeded("machine")
        self.book = self.open()
        self.limit: Plain = None
        self.cards: dict[str, Card] = {}
        self.gone: list[str] = []
        self.labels: dict[str, tuple[str, bool]] = {}
        self.operations = 0
        self.done: list[tuple[str, Callable[[], object], Callable[[], object]]] = []
        self.audited: list[str] = ["install_deck"]
        self.book.install_deck(MINUTES)

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
        policy = Policy(odds_limit=1.0, fill_limit=0.5, allow_weak_pins=True)

        return book_on(self.handle(), clock=self.clock, source=self.chance, policy=policy)

    # What the model says

    @property
    def active(self) -> int:
        """
        Count the enabled cards.
        """
        return sum(card.enabled for card in self.cards.values())

    def of(self, number: str) -> list[Card]:
        """
        Give the cards of an extension, in the order of their serials.
        """
        return sorted((card for card in self.cards.values() if card.number == number), key=lambda card: card.serial)

    def chosen(self, number: str, places: Sequence[int]) -> list[Card]:
        """
        Choose cards of an extension, each once.
        """
        cards = self.of(number)

        return (
            list({cards[place % len(cards)].serial: cards[place % len(cards)] for place in places}.values())
            if cards
            else []
        )

    def exceeds(self, count: int) -> tuple[object, ...] | None:
        """
        Say how the license refuses so many more active codes, or None.
        """
        if self.limit is None or count == 0 or self.active + count <= self.limit:
            return None

        return (QuotaExceededError, self.limit, self.active, count)

    # Doing

    def do(self, verb: str, call: Callable[[str | None], object], *, named: bool, refused: object = None) -> Any:  # noqa: ANN401
        """
        Do something; where it has to be refused, compare the refusal and give None.
        """
        self.operations += 1
        operation = f"operation {self.operations}" if named else None
        answer = outcome(lambda: call(operation))
        if refused is not None:
            assert refused == answer[: len(refused)] if isinstance(refused, tuple) else refused, verb  # type: ignore[index]
            return None
        assert not (isinstance(answer, tuple) and answer and isinstance(answer[0], type)), f"{verb}: {answer}"
        self.audited.append(verb)
        if named:
            self.done.append((verb, lambda: call(operation), lambda: answer))

        return answer

    @initialize(limit=st.sampled_from([None, 4, 8]))
    def license(self, limit: Plain) -> None:
        """
        Begin with a license and a few cards.
        """
        self.install(limit, named=False)
        for number in NUMBERS:
            self.generate(number, 2, 10, enabled=True, named=True)

    @rule(limit=st.sampled_from([None, 0, 3, 6, 12]), named=once)
    def install(self, limit: Plain, *, named: bool) -> None:
        """
        Install a license.

        A repetition tells the quota of then: what the book says of itself is always that of now.
        """
        quota = self.do(
            "install_license",
            lambda operation: self.book.install_license(License(limit), operation=operation),
            named=named,
        )
        self.limit = limit
        if named:
            verb, call, _ = self.done.pop()
            self.done.append((verb, call, lambda: Quota(self.limit, self.active)))

        assert Quota(limit, self.active) == quota

    @rule(
        number=numbers,
        rows=st.lists(st.tuples(st.sampled_from(CODES), st.booleans(), initial, orders), min_size=1, max_size=3),
        enabled=st.booleans(),
        named=once,
    )
    def add(self, number: str, rows: list[tuple[str, bool, Plain, str]], *, enabled: bool, named: bool) -> None:
        """
        Add own codes and CallerIDs.
        """
        asked = [(code, caller) for code, caller, _, _ in rows]
        known = {(card.code, card.caller) for card in self.of(number)}
        twice = tuple(place for place, row in enumerate(asked, 1) if asked.count(row) > 1)
        there = tuple(place for place, row in enumerate(asked, 1) if row in known)
        refused: Any = (CardExistsError, twice or there) if twice or there else self.exceeds(len(rows) * enabled)
        cards = [NewCard(code, "", credit(plain), order, caller) for code, caller, plain, order in rows]
        batch = self.do(
            "add",
            lambda operation: self.book.extension(number).add(cards, enabled=enabled, operation=operation),
            named=named,
            refused=refused,
        )
        if batch is not None:
            assert asked == [(handout.code, handout.kind == "caller_id") for handout in batch]
            self.made(batch, [plain for _, _, plain, _ in rows], enabled=enabled, named=named)

    @rule(number=numbers, count=st.integers(1, 4), plain=initial, enabled=st.booleans(), named=once)
    def generate(self, number: str, count: int, plain: Plain, *, enabled: bool, named: bool) -> None:
        """
        Draw codes of a format that is nearly full.
        """
        there = len(self.of(number))
        refused: Any = (CrowdedError, there + count, 8) if there + count > 8 else self.exceeds(count * enabled)
        dry = outcome(
            lambda: self.book.extension(number).generate(count, code_format=TINY, enabled=enabled, dry_run=True)
        )
        batch = self.do(
            "generate",
            lambda operation: self.book.extension(number).generate(
                count, code_format=TINY, credit=credit(plain), enabled=enabled, operation=operation
            ),
            named=named,
            refused=refused,
        )
        if batch is None:
            assert refused == dry[: len(refused)]
        else:
            assert batch == dry
            self.made(batch, [plain] * count, enabled=enabled, named=named)

    def made(self, batch: Batch, plains: Sequence[Plain], *, enabled: bool, named: bool) -> None:
        """
        Write down the cards of a batch. A repetition gives those that are left, with the codes they have then.
        """
        for handout, plain in zip(batch, plains, strict=True):
            caller = handout.kind == "caller_id"
            number, order = batch.extension, handout.order_number
            taken = {(card.code, card.caller) for card in self.of(number)}
            assert handout.serial not in self.cards
            assert handout.serial not in self.gone
            assert (handout.code, caller) not in taken
            self.cards[handout.serial] = Card(
                handout.serial, number, batch.id, handout.code, caller, handout.pin, plain, plain, enabled, order
            )
        self.labels.setdefault(batch.extension, ("", True))
        if named:
            verb, call, _ = self.done.pop()
            self.done.append(
                (
                    verb,
                    lambda: [(h.serial, h.code, h.pin, h.credit) for h in call()],  # type: ignore[attr-defined]
                    lambda: [
                        (card.serial, card.code, card.pin, credit(card.began))
                        for card in self.of(batch.extension)
                        if card.batch == batch.id
                    ],
                )
            )

    @rule(
        number=numbers, place=pick, amount=st.sampled_from([1, 1, 5, -1, None]), order=st.sampled_from(["PO-1", "PO-2"])
    )
    def pay(self, number: str, place: int, amount: Plain, order: str) -> None:
        """
        Recharge one card for an order, which may have paid for it before.
        """
        self.recharge(number, [(place, amount)], order, named=False)

    @rule(number=numbers, rows=st.lists(st.tuples(pick, amounts), min_size=1, max_size=4), order=orders, named=once)
    def recharge(self, number: str, rows: list[tuple[int, Plain]], order: str, *, named: bool) -> None:
        """
        Recharge one card or several, some of them twice, all or none.
        """
        cards = self.of(number)
        if not cards:
            return
        asked = [(cards[place % len(cards)].serial, amount) for place, amount in rows]
        copies = {card.serial: copy.deepcopy(card) for card in cards}
        steps: list[tuple[tuple[object, ...], bool]] = []
        refused: Any = None
        # An operation takes the place of the order number.
        by_order = bool(order) and not named
        for serial, amount in asked:
            card = copies[serial]
            replayed = by_order and order in card.paid
            try:
                if not replayed:
                    card.change("recharge", amount, order)
            except OverflowError:
                refused = (InsufficientCreditError, serial)
                break
            at = card.paid.setdefault(order, len(card.history) - 1) if by_order else -1
            if card.history[at][1] != amount:
                refused = (OperationConflictError, "recharge", serial)
                break
            steps.append((shown(card.history[at]), replayed))
        given = [(serial, credit(amount)) for serial, amount in asked]
        entries = self.do(
            "recharge",
            lambda operation: (
                self.book.extension(number).recharge_many(given, order_number=order, operation=operation)
                if len(given) > 1
                else [self.book.extension(number).recharge(*given[0], order_number=order, operation=operation)]
            ),
            named=named,
            refused=refused,
        )
        if entries is not None:
            if all(replayed for _, replayed in steps):
                self.audited.pop()
            assert steps == [(facts(entry), entry.replayed) for entry in entries]
            self.cards |= copies

    @rule(number=numbers, giving=pick, taking=pick, amount=st.sampled_from([0, 1, 4, None]), named=once)
    def transfer(self, number: str, giving: int, taking: int, amount: Plain, *, named: bool) -> None:
        """
        Move credit from one card to another.
        """
        cards = self.of(number)
        if not cards:
            return
        giver, taker = cards[giving % len(cards)], cards[taking % len(cards)]
        refused: Any = None
        if giver is taker:
            refused = (InvalidValueError,)
        elif amount == 0:
            refused = (AmountError, "not_positive")
        elif giver.left is None or amount is None:
            refused = (UnlimitedCreditError, giver.serial)
        elif taker.left is None:
            refused = (UnlimitedCreditError, taker.serial)
        elif giver.available(giver.left) < amount:
            refused = (InsufficientCreditError, giver.serial)
        entries = self.do(
            "transfer",
            lambda operation: self.book.extension(number).transfer(
                giver.serial, taker.serial, amount=credit(amount), order_number="moved", operation=operation
            ),
            named=named,
            refused=refused,
        )
        if entries is not None and amount is not None:
            giver.change("transfer", -amount, "moved")
            taker.change("transfer", amount, "moved")
            assert [shown(card.history[-1]) for card in (giver, taker)] == [facts(entry) for entry in entries]

    def unusable(self, card: Card) -> tuple[object, ...] | None:
        """
        Say why no call can be made with a card, or None.
        """
        if not card.enabled:
            return (CardUnusableError, card.serial, "disabled")
        if not self.labels.get(card.number, ("", True))[1]:
            return (CardUnusableError, card.serial, "extension_disabled")

        return None

    @rule(number=numbers, place=pick, amount=st.sampled_from([0, 1, 4]), named=once)
    def reserve(self, number: str, place: int, amount: int, *, named: bool) -> None:
        """
        Hold credit of a card, which may have one hold at a time.
        """
        cards = self.of(number)
        if not cards:
            return
        card = cards[place % len(cards)]
        refused = self.unusable(card)
        if refused is None and card.hold:
            refused = (TooManyCallsError, card.serial, 1)
        elif refused is None and card.left is not None and card.available(card.left) < amount:
            refused = (InsufficientCreditError, card.serial)
        card_hold = self.do(
            "hold",
            lambda operation: self.book.extension(number).hold(
                card.serial, amount, expires_in=YEAR, operation=operation
            ),
            named=named,
            refused=refused,
        )
        if card_hold is not None:
            card.hold, card.held = card_hold, amount

    @rule(number=numbers, place=pick, cost=st.sampled_from([0, 1, 4, 20, None]))
    def settle(self, number: str, place: int, cost: Plain) -> None:
        """
        Capture a hold, for less or more than it is, or release it.
        """
        cards = [card for card in self.of(number) if card.hold]
        if not cards:
            return
        card = cards[place % len(cards)]
        hold, extension = card.hold, self.book.extension(number)
        assert hold is not None
        card.hold, card.held = None, 0
        if cost is None:
            entry = self.do("release", lambda _: extension.release(hold), named=False)
            card.history.append(("release", 0, card.left, ""))
        else:
            entry = self.do("capture", lambda _: extension.capture(hold, cost), named=False)
            card.charge(cost)

        assert shown(card.history[-1]) == facts(entry)

    @rule(number=numbers, place=pick, minutes=st.sampled_from([0, 1, 4, 20]))
    def talk(self, number: str, place: int, minutes: int) -> None:
        """
        Make a call of so many minutes, at one unit of credit each, as long as it takes.
        """
        cards = self.of(number)
        if not cards:
            return
        card = cards[place % len(cards)]
        refused = self.unusable(card)
        if refused is None and card.left is not None and card.available(card.left) < 1:
            refused = (InsufficientCreditError, card.serial)
        elif refused is None and card.hold:
            refused = (TooManyCallsError, card.serial, 1)
        name = f"call {self.operations}"
        call = self.do(
            "begin_call",
            lambda _: self.book.extension(number).begin_call(card.serial, "40213123456", call_id=name),
            named=False,
            refused=refused,
        )
        if call is not None:
            entry = self.do("end_call", lambda _: call.end(60 * minutes), named=False)
            card.charge(minutes)
            assert shown(card.history[-1]) == facts(entry)

    @rule(number=numbers, places=picks, enabled=st.booleans(), by_query=st.booleans(), named=once)
    def switch(self, number: str, places: list[int], *, enabled: bool, by_query: bool, named: bool) -> None:
        """
        Enable or disable cards, chosen one by one or by a query.
        """
        chosen = (
            [card for card in self.of(number) if card.enabled != enabled and card.left is not None and card.left < 10]
            if by_query
            else self.chosen(number, places)
        )
        moved = [card for card in chosen if card.enabled != enabled]
        verb = "enable" if enabled else "disable"
        named_cards = CardQuery(enabled=not enabled, credit_below=10) if by_query else [card.serial for card in chosen]
        count = self.do(
            verb,
            lambda operation: getattr(self.book.extension(number), verb)(named_cards, operation=operation),
            named=named,
            refused=self.exceeds(len(moved) * enabled),
        )
        if count is not None:
            assert len(moved) == count
            for card in moved:
                card.enabled = enabled

    @rule(number=numbers, places=picks, unused=st.booleans(), named=once)
    def remove(self, number: str, places: list[int], *, unused: bool, named: bool) -> None:
        """
        Remove chosen cards, or those that nothing happened to; none of which a call is running.
        """
        idle = [card for card in self.of(number) if len(card.history) == 1 and not card.hold]
        chosen = idle if unused else self.chosen(number, places)
        asked = [card.serial for card in chosen]

        def call(operation: str | None, *, dry_run: bool = False) -> object:
            extension = self.book.extension(number)
            if unused:
                return extension.remove_unused(older_than=timedelta(0), operation=operation, dry_run=dry_run)
            return extension.remove(asked, operation=operation, dry_run=dry_run)

        refused = (CardInUseError,) if any(card.hold for card in chosen) else None
        dry: Any = outcome(lambda: call(None, dry_run=True))
        removed = self.do("remove_unused" if unused else "remove", call, named=named, refused=refused)
        if removed is None:
            assert refused == dry[:1]
            return

        assert {card.serial for card in chosen} == set(removed)
        assert removed == dry
        for card in chosen:
            del self.cards[card.serial]
            self.gone.append(card.serial)

    @rule(
        number=numbers,
        place=pick,
        code=st.sampled_from([None, "0000", "1111", "88", "+88", "89", "90"]),
        pin=st.none() | st.just("8068"),
    )
    def edit(self, number: str, place: int, code: str | None, pin: str | None) -> None:
        """
        Give a card another code, another PIN, or both.
        """
        cards = self.of(number)
        if not cards:
            return
        card = cards[place % len(cards)]
        caller = card.caller if code is None else code[0] == "+"
        digits = card.code if code is None else code.removeprefix("+")
        refused: Any = (InvalidValueError,) if code is None and pin is None else None
        if any((other.code, other.caller) == (digits, caller) for other in cards if other is not card):
            refused = (CardExistsError, (1,))
        answer = self.do(
            "edit",
            lambda _: self.book.extension(number).edit(card.serial, code=code, pin=pin),
            named=False,
            refused=refused,
        )
        if answer is not None:
            card.code, card.caller, card.pin = digits, caller, card.pin if pin is None else pin
            assert (card.serial, bool(card.pin)) == (answer.serial, answer.has_pin)

    @rule(number=numbers, label=st.sampled_from(["", "Main"]), verb=st.sampled_from(["label", "enable", "disable"]))
    def describe(self, number: str, label: str, verb: str) -> None:
        """
        Label an extension, enable or disable it.
        """
        arguments = (number, label) if verb == "label" else (number,)
        self.do(f"{verb}_extension", lambda _: getattr(self.book, f"{verb}_extension")(*arguments), named=False)
        before = self.labels.get(number, ("", True))
        self.labels[number] = (label, before[1]) if verb == "label" else (before[0], verb == "enable")

    @rule(serial=st.sampled_from(["AAAA-000001", "ZZZZ-999999"]), number=numbers, place=pick)
    def ask_for_strangers(self, serial: str, number: str, place: int) -> None:
        """
        Ask for cards that do not exist, are gone, or are another extension's.
        """
        other = self.of(OTHER if number == EXTENSION else EXTENSION)
        strangers = [serial, *self.gone[-2:], *([other[place % len(other)].serial] if other else [])]
        extension = self.book.extension(number)
        for stranger in strangers:
            assert stranger not in extension
            assert (UnknownCardError, stranger) == outcome(lambda s=stranger: extension.recharge(s, 1))  # type: ignore[misc]
            assert (UnknownCardError, stranger) == outcome(lambda s=stranger: extension.disable([s]))  # type: ignore[misc]

    @precondition(lambda self: self.done)
    @rule(place=pick)
    def repeat(self, place: int) -> None:
        """
        Ask for something again that was done under an operation: it is not done twice, whatever happened since.
        """
        verb, call, expected = self.done[place % len(self.done)]
        answer, wanted = call(), expected()
        if verb in {"generate", "add"}:
            self.audited.append("replay")

        assert wanted == answer

    @rule()
    def open_again(self) -> None:
        """
        Go on with another handle.
        """
        self.book.close()
        self.book = self.open()

    @rule(hours=st.integers(1, 48))
    def wait(self, hours: int) -> None:
        """
        Let time pass.
        """
        self.clock.move(hours=hours)

    # Comparing

    @invariant()
    def the_numbers_agree(self) -> None:
        """
        Compare the quota, at any time.
        """
        assert Quota(self.limit, self.active) == self.book.quota

    @rule(number=numbers)
    def the_cards_agree(self, number: str) -> None:
        """
        Every card is as the model has it, and is found by its code.
        """
        extension = self.book.extension(number)
        known = self.of(number)
        found = list(extension.search(order="serial"))

        assert [
            (card.serial, card.batch, card.caller, bool(card.pin), card.enabled, credit(card.left), credit(card.total))
            for card in known
        ] == [
            (
                card.serial,
                card.batch,
                card.kind == "caller_id",
                card.has_pin,
                card.enabled,
                card.credit,
                card.total_credit,
            )
            for card in found
        ]
        assert [(card.recharges, card.order) for card in known] == [(c.recharge_count, c.order_number) for c in found]
        assert [credit(card.held) for card in known] == [card.held for card in found]
        assert found == [extension.get(**{"caller_id" if card.caller else "code": card.code}) for card in known]
        assert [[shown(step) for step in card.history if step[0] not in {"charge", "release"}] for card in known] == [
            [facts(entry) for entry in extension.history(card.serial)] for card in known
        ]
        assert [[shown(step)[1:3] for step in card.history if step[0] == "charge"] for card in known] == [
            [(-call.cost, call.credit_left) for call in extension.calls(card=card.serial)] for card in known
        ]
        assert (len(known), sum(card.enabled for card in known)) == (extension.count(), extension.count(enabled=True))

    def teardown(self) -> None:
        """
        Compare everything once more, and go over the book.
        """
        for number in NUMBERS:
            self.the_cards_agree(number)

        assert [(number, *self.labels[number]) for number in sorted(self.labels)] == [
            (extension.number, extension.label, extension.enabled) for extension in self.book.extensions()
        ]
        assert sorted(self.audited) == sorted(entry.verb for entry in self.book.audit_trail())
        report = self.book.verify()
        assert report.findings == ()
        assert len(self.cards) == report.cards
        self.book.close()


class FileMachine(BookMachine):
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

TestBookInMemory = BookMachine.TestCase
TestBookInMemory.settings = settings(STORY, max_examples=100)
TestBookInFile = FileMachine.TestCase
TestBookInFile.settings = settings(STORY, max_examples=20)


class ForgetsOperations(MemoryStore):
    """
    A store in which nothing is known of an operation that was done.
    """

    def document(self, key: str) -> Document | None:
        """
        Hide what is remembered of operations.
        """
        return None if key.startswith("operation/") else super().document(key)

    def commit(self, changes: Changes) -> None:
        """
        Keep what operations remember under another name each time.
        """
        documents = [pair for pair in changes.documents if not pair[0].key.startswith("operation/")]
        super().commit(attrs.evolve(changes, documents=documents))


class CountsUpOnly(MemoryStore):
    """
    A store whose counters never go down.
    """

    def commit(self, changes: Changes) -> None:
        """
        Leave out what would move a counter down.
        """
        counters = [change for change in changes.counters if change.delta > 0]
        super().commit(attrs.evolve(changes, counters=counters))


class KeepsRemoved(MemoryStore):
    """
    A store that writes the tombstone of a card and keeps the card.
    """

    def commit(self, changes: Changes) -> None:
        """
        Remove nothing.
        """
        super().commit(attrs.evolve(changes, remove=()))


class LosesHistory(MemoryStore):
    """
    A store that changes cards without appending to their history.
    """

    def commit(self, changes: Changes) -> None:
        """
        Append nothing.
        """
        super().commit(attrs.evolve(changes, entries=()))


@pytest.mark.parametrize("broken", [ForgetsOperations, CountsUpOnly, KeepsRemoved, LosesHistory])
def test_the_machine_notices_a_book_that_goes_wrong(broken: type[MemoryStore]) -> None:
    """
    Over a store that breaks one promise the stories end in a disagreement: the machine is no formality.
    """

    class BrokenMachine(BookMachine):
        """
        The machine over that store.
        """

        def begin(self) -> None:
            """
            Make an empty place.
            """
            self.place = broken()

    story = settings(STORY, max_examples=200, database=None, phases=[Phase.generate], report_multiple_bugs=False)
    with pytest.raises((AssertionError, VoipcardError)):
        run_state_machine_as_test(BrokenMachine, settings=story)
