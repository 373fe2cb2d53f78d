"""
Changing credit: exact, recorded, once for each order number, and never out of nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import attrs
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.book_world import (
    EXTENSION,
    MORNING,
    OTHER,
    Clock,
    Meddled,
    Recording,
    book_on,
    engine_of,
    new_book,
    outcome,
    sound,
    verbs_of,
)
from voipcard import UNLIMITED, CardBook, CardCode, Credit, Extension, LedgerEntry
from voipcard.core.ledger import Balance, fold
from voipcard.core.query import EntryQuery
from voipcard.errors import (
    AmountError,
    AmountTypeError,
    InsufficientCreditError,
    InvalidValueError,
    OperationConflictError,
    TamperedError,
    UnknownCardError,
    UnlimitedCreditError,
    VoipcardError,
)
from voipcard.stores import MemoryStore

INFINITE: Final = None
"""How the models of these tests write Unlimited."""

Plain: TypeAlias = int | None

amounts: Final = st.sampled_from([1, 5, 7, -1, -3, -10, INFINITE])
orders: Final = st.sampled_from(["", "PO-1", "PO-2", "po-1", "PO-1 "])


def credit(plain: Plain) -> Credit:
    """
    Write a plain number as credit.
    """
    return UNLIMITED if plain is INFINITE else Credit(plain)


def after(left: Plain, amount: Plain) -> Plain:
    """
    Tell what is left on a card, as VoipNow's guide says it.

    Raises:
        ValueError: If there is not so much.
    """
    if amount is INFINITE or (left is INFINITE and amount > 0):
        return INFINITE
    if left is INFINITE:
        return 0
    if left + amount < 0:
        raise ValueError
    return left + amount


def facts(entry: LedgerEntry) -> tuple[object, ...]:
    """
    Tell what an entry of the history says.
    """
    return (entry.kind, entry.amount, entry.credit_left, entry.order_number)


def cards(book: CardBook, *initial: Plain, number: str = EXTENSION) -> list[CardCode]:
    """
    Make a card for each credit.
    """
    extension = book.extension(number)

    return [extension[extension.generate(1, credit=credit(plain))[0].serial] for plain in initial]


def balance_of(book: CardBook, card: CardCode) -> Balance:
    """
    Derive the balance of a card from its entries.
    """
    return fold(engine_of(book).store.entries(EntryQuery(card=card.id)))


# Recharging


@settings(max_examples=120)
@given(st.sampled_from([0, 10, INFINITE]), st.lists(st.tuples(amounts, orders), max_size=12))
@example(INFINITE, [(-10, ""), (5, "")])
@example(3, [(INFINITE, "PO-1"), (5, ""), (-1, ""), (INFINITE, "PO-1")])
def test_credit_is_what_the_history_adds_up_to(initial: Plain, asked: list[tuple[Plain, str]]) -> None:
    """
    Credit and history are what a plain list says, whatever is recharged, refused or repeated.

    Every order number counts once, a repetition gives the first entry, other content conflicts, and no more is taken
    than there is.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    [card] = cards(book, initial)
    left: Plain = initial
    total: Plain = initial
    history: list[tuple[object, ...]] = [("initial", credit(initial), credit(initial), "")]
    first: dict[str, tuple[Plain, LedgerEntry]] = {}
    for amount, order in asked:
        answer: Any = outcome(lambda a=amount, o=order: extension.recharge(card, credit(a), order_number=o))  # type: ignore[misc]
        if order in first:
            if first[order][0] == amount:
                assert (first[order][1], True) == (answer, answer.replayed)
            else:
                assert (OperationConflictError, "recharge", card.serial) == answer
            continue
        try:
            now = after(left, amount)
        except ValueError:
            assert left is not INFINITE
            assert amount is not INFINITE
            assert (InsufficientCreditError, card.serial, f"{left}.00", f"{-amount}.00") == answer
            continue
        total = 0 if left is INFINITE and now == 0 else after(total, amount)
        left = now
        history.append(("recharge", credit(amount), credit(left), order))
        assert (history[-1], False) == (facts(answer), answer.replayed)
        if order:
            first[order] = amount, answer
    stored = extension[card.serial]

    assert (credit(left), credit(total)) == (stored.credit, stored.total_credit)
    assert history == [facts(entry) for entry in extension.history(card)]
    assert list(range(1, len(history) + 1)) == [entry.sequence for entry in extension.history(card)]
    assert len(history) - 1 == stored.recharge_count
    assert Balance(stored.credit, stored.total_credit, stored.held, stored.recharge_count) == balance_of(book, card)
    assert sound(book) == ()


def test_unlimited_credit_becomes_zero_when_something_is_taken() -> None:
    """
    Adding to Unlimited changes nothing, and taking 10 from it leaves 0: VoipNow's rule.

    The entry says -10 and 0 left, and Unlimited can be given again.

    Source: VoipNow user guide, "Manage Card Codes Credit".
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    [card] = cards(book, INFINITE)
    entries = [extension.recharge(card, amount) for amount in ("5", "-10", "2.50", "unlimited", "1")]

    assert [
        (Credit(5), UNLIMITED),
        (Credit(-10), Credit(0)),
        (Credit("2.50"), Credit("2.50")),
        (UNLIMITED, UNLIMITED),
        (Credit(1), UNLIMITED),
    ] == [(entry.amount, entry.credit_left) for entry in entries]
    assert (extension[card.serial].credit, extension[card.serial].recharge_count) == (UNLIMITED, 5)


def test_an_order_number_is_that_of_one_card() -> None:
    """
    The same order number may pay for many cards, in one extension or several, once for each.
    """
    book = new_book()
    [first, second] = cards(book, 0, 0)
    [third] = cards(book, 0, number=OTHER)
    for _ in range(2):
        book.extension(EXTENSION).recharge(first, 5, order_number="PO-1")
        book.extension(EXTENSION).recharge(second, 6, order_number="PO-1")
        book.extension(OTHER).recharge(third, 7, order_number="PO-1")

    assert [Credit(5), Credit(6), Credit(7)] == [
        book.extension(card.extension)[card.serial].credit for card in (first, second, third)
    ]


def test_the_order_of_the_initial_credit_is_no_recharge() -> None:
    """
    The order number that a card was made with can still pay for one recharge.
    """
    extension = new_book().extension(EXTENSION)
    [handout] = extension.generate(1, credit=10, order_number="PO-1")
    entries = [extension.recharge(handout.serial, 10, order_number="PO-1") for _ in range(2)]

    assert [entry.replayed for entry in entries] == [False, True]
    assert Credit(20) == extension[handout.serial].credit
    assert [(entry.kind, entry.order_number) for entry in extension.history(handout.serial, order_number="PO-1")] == [
        ("initial", "PO-1"),
        ("recharge", "PO-1"),
    ]


def test_without_an_order_number_every_recharge_counts() -> None:
    """
    Nothing tells two equal requests apart, so both are done.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    [card] = cards(book, 0)
    entries = [extension.recharge(card, 1) for _ in range(3)]

    assert [(False, Credit(1)), (False, Credit(2)), (False, Credit(3))] == [
        (entry.replayed, entry.credit_left) for entry in entries
    ]


def test_an_operation_takes_the_place_of_the_order_number() -> None:
    """
    With an operation the order number only stands in the history: the operation says what happens once, and for what.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    [card, other] = cards(book, 0, 0)
    answers = [
        extension.recharge(card, 5, order_number="PO-1", operation=operation).replayed
        for operation in ("a", "b", "a", "b", None, None)
    ]

    assert answers == [False, False, True, True, False, True]
    assert Credit(15) == extension[card.serial].credit
    for change in (
        lambda: extension.recharge(card, 6, order_number="PO-1", operation="a"),
        lambda: extension.recharge(card, 5, order_number="PO-2", operation="a"),
        lambda: extension.recharge(other, 5, order_number="PO-1", operation="a"),
        lambda: extension.transfer(card, other, amount=5, order_number="PO-1", operation="a"),
        lambda: extension.enable(card, operation="a"),
    ):
        assert isinstance(outcome(change), tuple)
        assert OperationConflictError is outcome(change)[0]  # type: ignore[index]


def test_the_first_entry_is_given_again_for_ever() -> None:
    """
    A repetition long after, when the credit is another one, is answered with the entry as it was.
    """
    clock = Clock()
    book = new_book(clock=clock)
    extension = book.extension(EXTENSION)
    [card] = cards(book, 0)
    first = extension.recharge(card, 5, order_number="PO-1")
    named = extension.recharge(card, 7, operation="named")
    clock.move(days=400)
    extension.recharge(card, -12)
    again = [extension.recharge(card, 5, order_number="PO-1"), extension.recharge(card, 7, operation="named")]

    assert [first, named] == again
    assert [(True, MORNING, Credit(5)), (True, MORNING, Credit(12))] == [
        (entry.replayed, entry.created_at, entry.credit_left) for entry in again
    ]


def test_who_recharged_is_in_the_history_and_the_audit_trail() -> None:
    """
    One entry each names the actor, the amount and the order; a repetition leaves none.
    """
    clock = Clock()
    book = new_book(clock=clock)
    [card] = cards(book, 0)
    clock.move(seconds=1)
    for _ in range(2):
        book.acting_as("bob").extension(EXTENSION).recharge(card, "2.50", order_number="PO-1")
    [_, entry] = book.extension(EXTENSION).history(card)
    [audit] = [audit for audit in book.audit_trail() if audit.verb == "recharge"]

    assert ("bob", clock.now) == (entry.actor, entry.created_at)
    told = {"serial": card.serial, "amount": "2.50", "order_number": "PO-1", "before": "0.00", "after": "2.50"}
    assert ("bob", EXTENSION, told) == (audit.actor, audit.extension, audit.detail)


REFUSED: Final[dict[str, tuple[Callable[[Extension, str], object], type[VoipcardError]]]] = {
    "zero": (lambda x, serial: x.recharge(serial, 0), AmountError),
    "a float": (lambda x, serial: x.recharge(serial, 0.1), AmountTypeError),  # type: ignore[arg-type]
    "a bool": (lambda x, serial: x.recharge(serial, True), AmountTypeError),  # noqa: FBT003 - what is refused
    "no number": (lambda x, serial: x.recharge(serial, "NaN"), AmountError),
    "too precise": (lambda x, serial: x.recharge(serial, "1.0000001"), AmountError),
    "too large": (lambda x, serial: x.recharge(serial, 2**63), AmountError),
    "overflow": (lambda x, serial: x.recharge(serial, "9223372036854.775806"), AmountError),
    "overdraw": (lambda x, serial: x.recharge(serial, "-10.000001"), InsufficientCreditError),
    "order number": (lambda x, serial: x.recharge(serial, 1, order_number="\x00"), InvalidValueError),
    "operation": (lambda x, serial: x.recharge(serial, 1, operation=""), InvalidValueError),
    "unknown": (lambda x, _: x.recharge("ABCD-000001", 1), UnknownCardError),
    "one of many unknown": (lambda x, serial: x.recharge_many([(serial, 1), ("no", 1)]), UnknownCardError),
    "one of many zero": (lambda x, serial: x.recharge_many([(serial, 1), (serial, 0)]), AmountError),
    "overdraw of many": (lambda x, serial: x.recharge_many([(serial, -6), (serial, -5)]), InsufficientCreditError),
    "transfer of nothing": (lambda x, serial: x.transfer(serial, "no", amount=0), VoipcardError),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_changes_nothing(name: str) -> None:
    """
    A recharge that cannot be done leaves credit, history and audit trail as they were.
    """
    verb, kind = REFUSED[name]
    store = Recording()
    book = book_on(store)
    extension = book.extension(EXTENSION)
    [card] = cards(book, 10)
    commits = len(store.commits)
    answer: Any = outcome(lambda: verb(extension, card.serial))

    assert issubclass(answer[0], kind)
    assert commits == len(store.commits)
    assert Credit(10) == extension[card.serial].credit


def test_a_card_of_another_extension_is_unknown() -> None:
    """
    An extension changes its own cards only.
    """
    book = new_book()
    [card] = cards(book, 10)

    assert (UnknownCardError, card.serial) == outcome(lambda: book.extension(OTHER).recharge(card, 5))
    assert (UnknownCardError, card.serial) == outcome(lambda: book.extension(OTHER).history(card))


def test_a_recharge_that_somebody_else_does_meanwhile_is_not_lost() -> None:
    """
    Two recharges at once both count; two of the same order number count once.
    """
    store = Meddled()
    book = book_on(store)
    extension, other = book.extension(EXTENSION), book_on(store.another()).extension(EXTENSION)
    [card] = cards(book, 10)
    store.meddle = lambda: other.recharge(card, 5, order_number="PO-1")
    second = extension.recharge(card, 7, order_number="PO-2")
    store.meddle = lambda: other.recharge(card, 100, order_number="PO-3")
    third = extension.recharge(card, 100, order_number="PO-3")

    assert [(Credit(22), False), (Credit(122), True)] == [(e.credit_left, e.replayed) for e in (second, third)]
    assert Credit(122) == extension[card.serial].credit
    assert verbs_of(book).count("recharge") + verbs_of(book).count("generate") == 4
    assert sound(book) == ()


class RemembersTooMuch(MemoryStore):
    """
    A store that has lost an entry but still knows its operation.
    """

    def known(self, **asked: Any) -> frozenset[bytes | str]:  # noqa: ANN401 - as the contract has it
        """
        Know everything.
        """
        return frozenset(asked.get("operations", ()))


def test_an_order_whose_entry_is_gone_is_not_credited_again() -> None:
    """
    Where the history lacks what it should have, the card is refused as tampered with.
    """
    extension = book_on(RemembersTooMuch()).extension(EXTENSION)
    [handout] = extension.generate(1)

    assert outcome(lambda: extension.recharge(handout.serial, 1, order_number="PO-1")) == (
        TamperedError,
        handout.serial,
        "history",
    )


def test_a_repetition_outlives_the_card() -> None:
    """
    What an operation did is told again after the card was removed; an order number needs its card.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    [card, other] = cards(book, 10, 10)
    first = extension.recharge(card, 5, order_number="PO-1", operation="named")
    moved = extension.transfer(card, other, amount=1, operation="moved")
    extension.remove([card, other])

    assert extension.recharge(card, 5, order_number="PO-1", operation="named") == first
    assert extension.transfer(card, other, amount=1, operation="moved") == moved
    assert outcome(lambda: extension.recharge(card, 5, order_number="PO-1")) == (UnknownCardError, card.serial)


# Recharging many


@settings(max_examples=80)
@given(
    st.lists(st.sampled_from([0, 10, INFINITE]), min_size=1, max_size=3),
    st.lists(st.tuples(st.integers(0, 2), amounts), max_size=8),
    orders,
)
def test_recharging_many_is_recharging_one_after_the_other(
    initial: list[Plain], asked: list[tuple[int, Plain]], order: str
) -> None:
    """
    Many at once give the entries, credits and refusals that single recharges in the same order give.

    But where one of them is refused, none is done.
    """
    books = [new_book(), new_book()]
    [made, single] = [cards(book, *initial) for book in books]
    rows = [(place % len(initial), credit(amount)) for place, amount in asked]
    many: Any = outcome(
        lambda: (
            books[0]
            .extension(EXTENSION)
            .recharge_many([(made[place], amount) for place, amount in rows], order_number=order)
        )
    )
    one: Any = outcome(
        lambda: [
            books[1].extension(EXTENSION).recharge(single[place], amount, order_number=order) for place, amount in rows
        ]
    )
    left = [books[0].extension(EXTENSION)[card.serial].credit for card in made]
    if isinstance(one, tuple):
        assert one[0] is many[0]
        assert [credit(plain) for plain in initial] == left
    else:
        assert [(*facts(e), e.replayed) for e in one] == [(*facts(e), e.replayed) for e in many]
        assert [books[1].extension(EXTENSION)[card.serial].credit for card in single] == left
    assert sound(books[0]) == ()


def test_one_card_can_come_more_than_once() -> None:
    """
    The later recharge of a card begins where the earlier one ended, in one commit and with one version more.
    """
    store = Recording()
    book = book_on(store)
    extension = book.extension(EXTENSION)
    [card, other] = cards(book, 0, 0)
    entries = extension.recharge_many([(card, 5), (other.serial, 1), (card.serial, -2), (card, "unlimited")])

    assert [Credit(5), Credit(1), Credit(3), UNLIMITED] == [entry.credit_left for entry in entries]
    assert [entry.sequence for entry in entries] == [2, 2, 3, 4]
    assert store.sizes()[-1] == 2
    assert card.version + 1 == extension[card.serial].version


def test_at_most_a_thousand_are_recharged_in_a_commit() -> None:
    """
    More than 1,000 recharges take several commits, progress is told after each, and each has an audit entry.
    """
    store = Recording()
    book = book_on(store)
    extension = book.extension(EXTENSION)
    batch = extension.generate(2001)
    told: list[tuple[int, int | None]] = []
    entries = extension.recharge_many(
        [(handout.serial, 1) for handout in batch], progress=lambda done, total: told.append((done, total))
    )
    details = [audit.detail for audit in book.audit_trail() if audit.verb == "recharge"]

    assert [handout.serial for handout in batch] == [entry.serial for entry in entries]
    assert store.sizes()[-3:] == [1000, 1000, 1]
    assert told == [(1000, 2001), (2000, 2001), (2001, 2001)]
    assert details[0] == {
        "serials": [handout.serial for handout in batch[:1000]],
        "amounts": ["1.00"] * 1000,
        "count": 2001,
        "order_number": "",
    }
    assert details[2] == {
        "serials": [batch[2000].serial],
        "amounts": ["1.00"],
        "count": 2001,
        "order_number": "",
        "part": 3,
    }


@pytest.mark.parametrize("arguments", [{"order_number": "PO-1"}, {"operation": "all"}], ids=["order", "operation"])
def test_an_interrupted_recharge_of_many_goes_on(arguments: dict[str, str]) -> None:
    """
    Asked again after some of the commits, only the rest is done, and every entry is in the answer once.
    """
    store = Meddled()
    book = book_on(store)
    extension = book.extension(EXTENSION)
    batch = extension.generate(2001)
    rows = [(handout.serial, 1) for handout in batch]

    class PulledPlugError(Exception):
        """
        What ends the first attempt.
        """

    def pull() -> None:
        raise PulledPlugError

    def tell(done: int, _: int | None) -> None:
        if done == 1000:
            store.meddle = pull

    with pytest.raises(PulledPlugError):
        extension.recharge_many(rows, progress=tell, **arguments)
    entries = extension.recharge_many(rows, **arguments)  # type: ignore[arg-type]
    again = extension.recharge_many(rows, **arguments)  # type: ignore[arg-type]

    assert sum(entry.replayed for entry in entries) == 1000
    assert entries == again
    assert sum(entry.replayed for entry in again) == 2001
    assert {Credit(1)} == {card.credit for card in extension.search()}
    assert verbs_of(book).count("recharge") == 3


def test_an_operation_is_for_all_the_cards_that_it_was_for() -> None:
    """
    More cards, or fewer, under the same operation are a conflict, also beyond the first thousand.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    rows = [(handout.serial, 1) for handout in extension.generate(1002)]
    extension.recharge_many(rows[:1001], operation="all")

    for other in (rows[:1000], rows, rows[1:], rows[1000:]):
        assert (OperationConflictError, "recharge", "") == outcome(
            lambda o=other: extension.recharge_many(o, operation="all")  # type: ignore[misc]
        )
    assert Credit(0) == extension[rows[-1][0]].credit
    assert Credit(1) == extension[rows[0][0]].credit


def test_a_stranger_among_many_is_refused_before_anything_is_done() -> None:
    """
    An unknown serial, or a card of another extension, behind a thousand others leaves all of them as they were.
    """
    store = Recording()
    book = book_on(store)
    extension = book.extension(EXTENSION)
    rows = [(handout.serial, 1) for handout in extension.generate(1001)]
    [other] = cards(book, 0, number=OTHER)
    commits = len(store.commits)

    for stranger in ("ZZZZ-999999", other.serial):
        assert outcome(lambda s=stranger: extension.recharge_many([*rows, (s, 1)])) == (UnknownCardError, stranger)  # type: ignore[misc]
    assert len(store.commits) == commits


@pytest.mark.parametrize("rows", [["A-1"], [("A-1",)], [("A-1", 1, 2)], "A-1"])
def test_what_is_no_pair_is_refused(rows: Any) -> None:  # noqa: ANN401 - what is refused
    """
    Many recharges are pairs of a card and an amount.
    """
    with pytest.raises(InvalidValueError):
        new_book().extension(EXTENSION).recharge_many(rows)


def test_recharging_no_cards_is_nothing() -> None:
    """
    Without cards there is nothing to do and nothing to audit.
    """
    book = new_book()

    assert book.extension(EXTENSION).recharge_many([]) == []
    assert list(book.audit_trail()) == []


# Transfers


@settings(max_examples=80)
@given(
    st.lists(st.sampled_from([0, 10, 25, INFINITE]), min_size=2, max_size=3),
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 2), st.sampled_from([1, 10, 26, 0, -1, INFINITE])), max_size=8
    ),
)
def test_transfers_keep_the_sum(initial: list[Plain], asked: list[tuple[int, int, Plain]]) -> None:
    """
    Credit that is moved is taken from one card and given to the other.

    Every other request is refused for the first of these: the same card, not more than zero, Unlimited, not enough.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    made = cards(book, *initial)
    left = list(initial)
    for source, target, amount in [(s % len(made), t % len(made), a) for s, t, a in asked]:
        pair = (made[source].serial, made[target].serial)
        answer: Any = outcome(lambda p=pair, a=amount: extension.transfer(*p, amount=credit(a), order_number="PO"))  # type: ignore[misc]
        source_left, target_left = left[source], left[target]
        if source == target:
            assert InvalidValueError is answer[0]
        elif amount is not INFINITE and amount <= 0:
            assert (AmountError, "not_positive") == answer
        elif source_left is INFINITE or amount is INFINITE:
            assert (UnlimitedCreditError, pair[0]) == answer
        elif target_left is INFINITE:
            assert (UnlimitedCreditError, pair[1]) == answer
        elif amount > source_left:
            assert (InsufficientCreditError, pair[0]) == answer[:2]
        else:
            left[source], left[target] = source_left - amount, target_left + amount
            assert [
                ("transfer", Credit(-amount), credit(left[source]), "PO"),
                ("transfer", Credit(amount), credit(left[target]), "PO"),
            ] == [facts(entry) for entry in answer]

    assert [credit(plain) for plain in left] == [extension[card.serial].credit for card in made]
    assert [0] * len(made) == [extension[card.serial].recharge_count for card in made]
    assert sound(book) == ()


def test_a_transfer_happens_once_for_its_operation_only() -> None:
    """
    The order number of a transfer makes nothing happen once; its operation does, and other content conflicts.
    """
    book = new_book().acting_as("carol")
    extension = book.extension(EXTENSION)
    [source, target] = cards(book, 20, 0)
    entries = [
        extension.transfer(source, target, amount=3, order_number="PO-1", operation=operation)
        for operation in ("a", "a", None, None)
    ]

    assert [taken.replayed for taken, _ in entries] == [False, True, False, False]
    assert entries[0] == entries[1]
    assert [Credit(11), Credit(9)] == [extension[card.serial].credit for card in (source, target)]
    assert (OperationConflictError, "transfer", "") == outcome(
        lambda: extension.transfer(target, source, amount=3, order_number="PO-1", operation="a")
    )
    audits = [audit for audit in book.audit_trail() if audit.verb == "transfer"]
    told = {"serials": [source.serial, target.serial], "amount": "3.00", "order_number": "PO-1"}
    assert [
        (
            "carol",
            {**told, "before": [f"{20 - taken}.00", f"{taken}.00"], "after": [f"{17 - taken}.00", f"{taken + 3}.00"]},
        )
        for taken in (0, 3, 6)
    ] == [(audit.actor, audit.detail) for audit in audits]


def test_both_cards_of_a_transfer_have_to_be_of_the_extension() -> None:
    """
    Credit does not move between extensions, nor to cards that do not exist.
    """
    book = new_book()
    [card] = cards(book, 10)
    [other] = cards(book, 10, number=OTHER)
    extension = book.extension(EXTENSION)

    assert (UnknownCardError, other.serial) == outcome(lambda: extension.transfer(card, other, amount=1))
    assert (UnknownCardError, other.serial) == outcome(lambda: extension.transfer(other, card, amount=1))
    assert Credit(10) == extension[card.serial].credit


def test_total_credit_is_what_was_put_on_a_card() -> None:
    """
    Total Credit is the initial credit and all recharges; what is taken back or moved away by hand is no longer in it.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    [card, other] = cards(book, 10, 5)
    extension.recharge(card, 20)
    extension.recharge(card, -5)
    extension.transfer(card, other, amount=7)

    assert [Credit(18), Credit(12)] == [extension[serial].total_credit for serial in (card.serial, other.serial)]


# History


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 3, -1]), orders, st.integers(0, 3)), max_size=8),
    st.fixed_dictionaries(
        {},
        optional={
            "order_number": orders,
            "amount_at_least": st.integers(-1, 3),
            "amount_below": st.integers(-1, 4),
            "created_from": st.integers(0, 9),
            "created_before": st.integers(0, 9),
            "newest_first": st.booleans(),
        },
    ),
)
def test_history_gives_the_entries_that_match(made: list[tuple[int, str, int]], conditions: dict[str, Any]) -> None:
    """
    A history is filtered by order number, amount and moment as a plain list is, oldest or newest entry first.
    """
    clock = Clock()
    book = new_book(clock=clock)
    extension = book.extension(EXTENSION)
    [card] = cards(book, 20)
    rows = [(20, "", MORNING)]
    for number, (amount, order, wait) in enumerate(made):
        clock.move(hours=wait)
        extension.recharge(card, amount, order_number=order, operation=f"{number}")
        rows.append((amount, order, clock.now))
    moments: dict[str, Any] = {
        name: Clock().move(hours=conditions[name]) for name in ("created_from", "created_before") if name in conditions
    }
    asked: dict[str, Any] = {**conditions, **moments}
    expected = [
        (Credit(amount), order, moment)
        for amount, order, moment in rows
        if asked.get("order_number", order) == order
        and asked.get("amount_at_least", amount) <= amount < asked.get("amount_below", amount + 1)
        and asked.get("created_from", moment) <= moment
        and ("created_before" not in asked or moment < asked["created_before"])
    ]
    found = [(entry.amount, entry.order_number, entry.created_at) for entry in extension.history(card, **asked)]

    assert expected == (found[::-1] if asked.get("newest_first") else found)


def test_a_long_history_is_read_page_by_page() -> None:
    """
    Filters hold from the first page to the last.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    [card] = cards(book, 0)
    extension.recharge_many([(card, 1 + number % 2) for number in range(2500)])

    assert list(range(1, 2502)) == [entry.sequence for entry in extension.history(card)]
    assert list(range(2501, 0, -1)) == [entry.sequence for entry in extension.history(card, newest_first=True)]
    assert sum(1 for _ in extension.history(card, amount_at_least=2)) == 1250
    assert sum(1 for _ in extension.history(card.serial, amount_at_least="1", amount_below="1.5")) == 1250


def test_entries_are_values() -> None:
    """
    An entry that is given again equals the first, and names its card, batch and extension.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    [card] = cards(book, 0)
    entry = extension.recharge(card, 5, order_number="PO-1")

    assert attrs.evolve(entry, replayed=True) == entry
    assert [card.serial, card.batch, EXTENSION] == [entry.serial, entry.batch, entry.extension]
    assert [entry] == list(extension.history(card, order_number="PO-1"))
