"""
The ledger: what happens to credit follows VoipNow's rules, nothing goes below zero, and the history says it all again.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final, NamedTuple, TypeVar

import attrs
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from voipcard.core.credit import UNLIMITED, Credit
from voipcard.core.ledger import (
    Balance,
    CallCharge,
    LedgerEntry,
    charged,
    fold,
    opened,
    recharged,
    reserved,
    transferred,
)
from voipcard.errors import AmountError, InsufficientCreditError, UnlimitedCreditError, VoipcardError

T = TypeVar("T")

LIMIT: Final = 2**63 - 2
SERIALS: Final = ("K7QX-000001", "K7QX-000002")

amounts: Final = st.one_of(st.integers(0, 20), st.sampled_from([LIMIT - 1, LIMIT]), st.integers(0, LIMIT))
credits_: Final = amounts.map(Credit.from_micros)
credits_or_unlimited: Final = st.one_of(credits_, st.just(UNLIMITED))
changes: Final = st.one_of(credits_, credits_.map(lambda credit: -credit), st.just(UNLIMITED))


class Change(NamedTuple):
    """
    What a stored entry says about a change of credit.
    """

    kind: str
    amount: int


@st.composite
def balances(draw: st.DrawFn, credits: st.SearchStrategy[Credit] = credits_or_unlimited) -> Balance:  # noqa: A002
    """
    Make balances as cards have them.

    A card with unlimited credit was given unlimited credit, and a hold was covered when it began.
    """
    credit = draw(credits)
    held = draw(st.integers(0, min(credit.micros, LIMIT)))
    total = credit if credit.is_unlimited else Credit.from_micros(draw(amounts))

    return Balance(credit, total, Credit.from_micros(held), draw(st.integers(0, 5)))


def attempt(make: Callable[[], T]) -> T | VoipcardError:
    """
    Give what is made, or why it is refused.
    """
    try:
        return make()
    except VoipcardError as error:
        return error


def size(credit: Credit) -> float:
    """
    Give an amount as a number; without an end for Unlimited.
    """
    return math.inf if credit.is_unlimited else credit.micros


@given(credits_or_unlimited)
def test_a_card_begins_with_its_initial_credit(credit: Credit) -> None:
    """
    At first nothing is held, nothing was recharged, and all of the credit can be spent.
    """
    balance = opened(credit)

    assert Balance(credit=credit, total_credit=credit, held=Credit(0), recharge_count=0) == balance
    assert credit == balance.available


@given(balances(), credits_)
def test_what_is_held_is_not_available(balance: Balance, held: Credit) -> None:
    """
    What running calls hold cannot be spent; nothing can be spent where more is held than is there.
    """
    balance = attrs.evolve(balance, held=held)

    assert max(0, size(balance.credit) - size(held)) == size(balance.available)


@given(balances(), changes)
def test_a_recharge_follows_the_rules(balance: Balance, amount: Credit) -> None:
    """
    Credit and total credit change by the amount, what is held stays held, and the recharge is counted.

    Unlimited plus something is Unlimited, and Unlimited less something is nothing.
    """
    before, total, change = size(balance.credit), size(balance.total_credit), size(amount)
    made_limited = before == math.inf and change < 0
    credit, total = (0, 0) if made_limited else (before + change, total + change)
    after = attempt(lambda: recharged(balance, amount, serial=SERIALS[0]))

    if isinstance(after, AmountError):
        assert after.reason == ("too_large" if change else "zero")
        assert not change or max(credit, total) > LIMIT or total < -LIMIT
    elif isinstance(after, InsufficientCreditError):
        assert -change > size(balance.available)
        assert (SERIALS[0], str(balance.available), str(-amount)) == attrs.astuple(after)
    else:
        assert isinstance(after, Balance)
        assert (credit, total) == (size(after.credit), size(after.total_credit))
        assert (balance.held, balance.recharge_count + 1) == (after.held, after.recharge_count)
        assert change
        assert change > 0 or made_limited or -change <= size(balance.available)


@given(balances(st.just(UNLIMITED)), credits_)
def test_taking_from_unlimited_leaves_nothing(balance: Balance, amount: Credit) -> None:
    """
    However little is taken from unlimited credit, nothing is left: VoipNow's way to limit a card again.
    """
    assume(amount)
    after = recharged(balance, -amount, serial=SERIALS[0])

    assert Credit(0) == after.credit == after.total_credit == after.available


@given(balances(credits_))
def test_all_that_is_available_can_be_taken_and_no_more(balance: Balance) -> None:
    """
    The last millionth can be taken, what is held cannot.
    """
    available, millionth = balance.available, Credit.from_micros(1)
    after = recharged(balance, -available, serial=SERIALS[0]) if available else balance

    assert balance.held == after.credit
    with pytest.raises(InsufficientCreditError):
        recharged(after, -millionth, serial=SERIALS[0])


@given(balances())
def test_a_card_can_be_made_unlimited(balance: Balance) -> None:
    """
    Recharging with Unlimited makes the credit unlimited, whatever it was.
    """
    after = recharged(balance, UNLIMITED, serial=SERIALS[0])

    assert UNLIMITED == after.credit == after.total_credit == after.available


@given(balances())
def test_a_recharge_by_nothing_is_refused(balance: Balance) -> None:
    """
    A change that changes nothing is a mistake.
    """
    with pytest.raises(AmountError) as caught:
        recharged(balance, Credit(0), serial=SERIALS[0])
    assert caught.value.reason == "zero"


@given(balances(), balances(), changes)
def test_a_transfer_conserves_credit(source: Balance, target: Balance, amount: Credit) -> None:
    """
    What one card loses the other gains, in credit and in total credit; or nothing is transferred, and it is said why.
    """
    after = attempt(lambda: transferred(source, target, amount, serials=SERIALS))

    if isinstance(after, AmountError):
        assert (after.reason == "not_positive") == (amount <= Credit(0))
        assert amount <= Credit(0) or max(size(target.credit), size(target.total_credit)) + size(amount) > LIMIT
    elif isinstance(after, UnlimitedCreditError):
        assert amount.is_unlimited or (source if after.serial == SERIALS[0] else target).credit.is_unlimited
    elif isinstance(after, InsufficientCreditError):
        assert amount > source.available
        assert (SERIALS[0], str(source.available), str(amount)) == attrs.astuple(after)
    else:
        assert isinstance(after, tuple)
        for total in ("credit", "total_credit"):
            was, now = ([getattr(balance, total).micros for balance in pair] for pair in ((source, target), after))
            assert [was[0] - amount.micros, was[1] + amount.micros] == now
        assert [(b.held, b.recharge_count) for b in (source, target)] == [(b.held, b.recharge_count) for b in after]
        assert source.available >= amount > Credit(0)


@pytest.mark.parametrize(
    "source, target, amount, named", [("unlimited", 1, 1, 0), (1, "unlimited", 1, 1), (1, 1, "unlimited", 0)]
)
def test_unlimited_credit_is_not_transferred(source: str, target: str, amount: str, named: int) -> None:
    """
    Neither from nor to an unlimited card, nor without an end; the card at fault is named.
    """
    with pytest.raises(UnlimitedCreditError) as caught:
        transferred(opened(Credit(source)), opened(Credit(target)), Credit(amount), serials=SERIALS)
    assert SERIALS[named] == caught.value.serial


def test_a_transfer_that_the_target_cannot_hold_is_refused() -> None:
    """
    The sum has to be an amount.
    """
    with pytest.raises(AmountError) as caught:
        transferred(opened(Credit(1)), opened(Credit.from_micros(LIMIT)), Credit("0.000001"), serials=SERIALS)
    assert caught.value.reason == "too_large"


@given(credits_or_unlimited, st.lists(st.tuples(st.sampled_from(["recharge", "transfer"]), changes), max_size=12))
def test_the_history_gives_the_balance(initial: Credit, wanted: list[tuple[str, Credit]]) -> None:
    """
    Whatever is done to a card, its entries give its balance again.

    Nothing on the way is below zero. Where the credit never was unlimited, it is the sum of all amounts.
    """
    balance = opened(initial)
    history = [Change("initial", initial.micros)]
    for kind, amount in wanted:
        try:
            if kind == "recharge":
                balance = recharged(balance, amount, serial=SERIALS[0])
            elif amount > Credit(0):
                _, balance = transferred(opened(amount), balance, amount, serials=SERIALS)
            else:
                balance, _ = transferred(balance, opened(Credit(0)), -amount, serials=SERIALS)
        except (AmountError, InsufficientCreditError, UnlimitedCreditError):
            continue
        history.append(Change(kind, amount.micros))
        assert balance.credit >= Credit(0)
        assert balance.credit.is_unlimited == balance.total_credit.is_unlimited

    assert balance == fold(history)
    assert sum(change.kind == "recharge" for change in history) == balance.recharge_count
    if all(change.amount != UNLIMITED.micros for change in history):
        assert sum(change.amount for change in history) == balance.credit.micros == balance.total_credit.micros


# What calls do


@given(balances(), amounts)
def test_what_is_reserved_is_taken_from_what_is_available(balance: Balance, micros: int) -> None:
    """
    All that is available can be reserved and no more; credit stays, and nothing of others' holds is touched.
    """
    amount = Credit.from_micros(micros)
    after = attempt(lambda: reserved(balance, amount, serial=SERIALS[0]))

    if isinstance(after, InsufficientCreditError):
        assert amount > balance.available
        assert (SERIALS[0], str(balance.available), str(amount)) == attrs.astuple(after)
    elif isinstance(after, AmountError):
        assert after.reason == "too_large"
        assert balance.held.micros + micros > LIMIT
    else:
        assert isinstance(after, Balance)
        assert amount <= balance.available
        assert attrs.evolve(balance, held=balance.held + amount) == after
        assert size(balance.available) - micros == size(after.available)


@st.composite
def charges(draw: st.DrawFn) -> tuple[Balance, Credit, Credit]:
    """
    Make a balance, the hold of a call that is part of what is held, and what the call cost.

    Less credit than is held is what becomes of an unlimited card that was made limited while calls ran.
    """
    balance = draw(balances())
    if draw(st.booleans()):
        balance = attrs.evolve(balance, held=draw(credits_))
    hold = draw(st.integers(0, balance.held.micros))
    cost = draw(st.one_of(st.integers(0, hold), amounts))

    return balance, Credit.from_micros(hold), Credit.from_micros(cost)


@given(charges())
def test_a_charge_takes_what_is_there_and_tells_the_rest(charge: tuple[Balance, Credit, Credit]) -> None:
    """
    What is taken and the shortfall are together the cost; credit never goes below zero, and Unlimited stays Unlimited.

    Nothing that others hold is taken, as far as it was there; the hold is over; what was put on the card does not
    change.
    """
    balance, hold, cost = charge
    after, shortfall = charged(balance, hold, cost)
    others = size(balance.held) - size(hold)
    taken = size(cost) - size(shortfall)

    assert 0 <= taken <= size(cost)
    assert others == size(after.held)
    assert (balance.total_credit, balance.recharge_count) == (after.total_credit, after.recharge_count)
    if balance.credit.is_unlimited:
        assert (UNLIMITED, Credit(0)) == (after.credit, shortfall)
    else:
        assert size(balance.credit) - taken == size(after.credit) >= min(size(balance.credit), others)
        assert not shortfall or size(after.credit) <= others


@given(charges())
def test_what_was_held_pays_for_itself(charge: tuple[Balance, Credit, Credit]) -> None:
    """
    A call that costs no more than is held for it has no shortfall, whatever others hold, if all holds are covered.
    """
    balance, hold, cost = charge
    assume(cost <= hold and balance.held <= balance.credit)

    assert Credit(0) == charged(balance, hold, cost)[1]


@given(balances(), st.data())
def test_a_hold_that_is_given_back_was_nothing(balance: Balance, data: st.DataObject) -> None:
    """
    Reserving something and charging nothing for it leaves the balance as it was.
    """
    most = min(balance.available.micros, LIMIT - balance.held.micros)
    amount = Credit.from_micros(data.draw(st.integers(0, most)))

    assert (balance, Credit(0)) == charged(reserved(balance, amount, serial=SERIALS[0]), amount, Credit(0))


DONE: Final = st.one_of(
    st.tuples(st.sampled_from(["recharge", "hold", "charge", "late"]), credits_),
    st.tuples(st.just("recharge"), changes),
    st.tuples(st.just("release"), st.just(Credit(0))),
)


@given(credits_or_unlimited, st.lists(DONE, max_size=16))
def test_the_history_gives_the_balance_whatever_was_held(initial: Credit, wanted: list[tuple[str, Credit]]) -> None:
    """
    Recharges, charges and holds given back are in the history, what is held is not: the rest of the balance is.

    Total credit does not count charges: what it exceeds the credit by was spent.
    """
    balance, holds = opened(initial), [Credit(0)]
    history = [Change("initial", initial.micros)]
    for kind, amount in wanted:
        recorded = amount
        try:
            if kind == "recharge":
                balance = recharged(balance, amount, serial=SERIALS[0])
            elif kind == "hold":
                balance = reserved(balance, amount, serial=SERIALS[0])
                holds.append(amount)
                continue
            else:
                hold = Credit(0) if kind == "late" or not holds else holds.pop()
                balance, shortfall = charged(balance, hold, amount)
                recorded = shortfall - amount
        except (AmountError, InsufficientCreditError):
            continue
        history.append(Change({"late": "charge"}.get(kind, kind), recorded.micros))
        assert balance.credit >= Credit(0)
        assert sum(hold.micros for hold in holds) == balance.held.micros

    assert attrs.evolve(balance, held=Credit(0)) == fold(history)
    spent = -sum(change.amount for change in history if change.kind == "charge")
    if all(change.amount != UNLIMITED.micros for change in history):
        assert spent == balance.total_credit.micros - balance.credit.micros


def test_no_history_is_no_credit() -> None:
    """
    A card without entries has nothing.
    """
    assert opened(Credit(0)) == fold([])


@given(changes, st.sampled_from(["recharge", "transfer"]))
def test_every_entry_counts(amount: Credit, kind: str) -> None:
    """
    Leaving out an entry gives another balance: there is no change that says nothing.
    """
    assume(amount)
    history = [Change("initial", Credit(10).micros), Change(kind, Credit(5).micros)]
    try:
        changed = fold([*history, Change(kind, amount.micros)])
    except AmountError:
        return

    assert changed != fold(history)


def entry(*, replayed: bool) -> LedgerEntry:
    """
    Make an entry.
    """
    return LedgerEntry(
        serial=SERIALS[0],
        extension="0003*215",
        batch="K7QX",
        sequence=2,
        kind="recharge",
        amount=Credit("2.50"),
        credit_left=Credit("12.50"),
        held_left=Credit(0),
        order_number="PO-118",
        created_at=datetime(2026, 3, 14, tzinfo=UTC),
        actor="alice",
        replayed=replayed,
    )


def test_a_replayed_entry_is_the_same_entry() -> None:
    """
    Being told again does not make another entry of it, and neither can be changed.
    """
    first, again = entry(replayed=False), entry(replayed=True)

    assert first == again
    assert hash(first) == hash(again)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        first.amount = Credit(1)  # type: ignore[misc]


def test_a_charge_tells_what_it_was_for() -> None:
    """
    A call has its rated prefix, its length and its price; a hold that somebody else rated has its beginning only.
    """
    call = CallCharge("40", datetime(2026, 3, 14, tzinfo=UTC), 61, 66, Credit("0.06"), "retail")
    charge = attrs.evolve(entry(replayed=False), kind="charge", amount=Credit("-0.066"), call=call)
    bare = CallCharge("", call.started_at)

    assert charge != entry(replayed=False)
    assert (bare.seconds, bare.charged_seconds, bare.price, bare.deck) == (None, None, None, "")
    assert (None, Credit(0)) == (entry(replayed=False).call, charge.shortfall)
