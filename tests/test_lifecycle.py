"""
The life of cards: when they expire and what moves it, what has expired frees its place, and what is written on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.book_world import (
    EXTENSION,
    MORNING,
    OTHER,
    Clock,
    Meddled,
    Recording,
    book_on,
    file_book,
    in_processes,
    in_threads,
    new_book,
    outcome,
    sound,
    verbs_of,
)
from voipcard import UNLIMITED, CardQuery, Expiry, Extension, License
from voipcard.errors import (
    AccessDeniedError,
    InvalidValueError,
    OperationConflictError,
    QuotaExceededError,
    TamperedError,
)
from voipcard.names import BATCH
from voipcard.stores import Changes, Document, MemoryStore


def day(number: float) -> datetime:
    """
    Give a moment so many days after the beginning of these tests.
    """
    return MORNING + timedelta(days=number)


class Reading(MemoryStore):
    """
    A store that remembers which documents were read.
    """

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    def document(self, key: str) -> Document | None:
        """
        Read one, and remember it.
        """
        self.read.append(key)

        return super().document(key)

    def find_documents(self, keys: Iterable[str]) -> Sequence[Document]:
        """
        Read many, and remember them.
        """
        keys = list(keys)
        self.read += keys

        return super().find_documents(keys)


# Expiry that moves


@settings(max_examples=40)
@given(
    st.builds(
        Expiry,
        at=st.none() | st.integers(1, 60).map(day),
        days_after_creation=st.none() | st.integers(1, 60),
        days_after_recharge=st.none() | st.integers(1, 60),
    ),
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from(["5", "-0.01", "0.000001"])), max_size=4),
)
def test_recharged_cards_expire_as_their_batch_says(expiry: Expiry, recharges: list[tuple[int, Any]]) -> None:
    """
    After any recharges a card expires as its rule says of its making and of the last one that added credit.
    """
    clock = Clock()
    extension = new_book(clock=clock).extension(EXTENSION)
    [handout] = extension.generate(1, credit=100, expires_at=expiry)
    recharged: datetime | None = None
    for days, amount in recharges:
        now = clock.move(days=days)
        extension.recharge(handout.serial, amount)
        recharged = recharged if amount == "-0.01" else now

    assert expiry.expires_at(MORNING, recharged_at=recharged) == extension[handout.serial].expires_at


def test_a_recharge_lets_an_expired_card_be_used_again() -> None:
    """
    A card that has expired under a rule about recharges has a new end after one.
    """
    clock = Clock()
    extension = new_book(clock=clock).extension(EXTENSION)
    [handout] = extension.generate(1, expires_at=Expiry(days_after_recharge=30))
    clock.move(days=31)
    before = extension.count(expired=True)
    extension.recharge(handout.serial, 5)

    assert (before, extension.count(expired=True)) == (1, 0)
    assert day(61) == extension[handout.serial].expires_at


def test_every_way_to_recharge_moves_the_end_once() -> None:
    """
    One card or many, with an order number or an operation: a replay moves nothing, and a transfer never does.
    """
    clock = Clock()
    extension = new_book(clock=clock).extension(EXTENSION)
    batch = extension.generate(3, credit=9, expires_at=Expiry(days_after_recharge=30))
    first, second, third = (handout.serial for handout in batch)
    clock.move(days=1)
    extension.recharge(first, 1, order_number="PO-1")
    extension.recharge_many([(second, 1), (second, 1)], operation="monthly")
    clock.move(days=1)
    extension.recharge(first, 1, order_number="PO-1")
    extension.recharge_many([(second, 1), (second, 1)], operation="monthly")
    extension.transfer(second, third, amount=1)
    before = [extension[serial].expires_at for serial in (first, second, third)]
    extension.recharge(third, UNLIMITED)

    assert before == [day(31), day(31), day(30)]
    assert extension[third].expires_at == day(32)


def test_two_recharges_in_one_commit_move_the_end_of_either_card() -> None:
    """
    Threads whose recharges are committed together leave every card with its new end.
    """
    clock = Clock()
    extension = new_book(clock=clock).extension(EXTENSION)
    batch = extension.generate(8, expires_at=Expiry(days_after_recharge=30))
    clock.move(days=5)
    in_threads(lambda number: extension.recharge(batch[number].serial, 1), 8)

    assert {day(35)} == {card.expires_at for card in extension.search()}


def test_a_recharge_reads_a_batch_once_and_only_where_a_card_expires() -> None:
    """
    Cards that never expire cost no reading; of others the document of the batch is read for the first one only.
    """
    store = Reading()
    extension = book_on(store).extension(EXTENSION)
    endless, ending = extension.generate(2), extension.generate(2, expires_at=day(3))
    read = []
    for handout in [*endless, *ending]:
        store.read.clear()
        extension.recharge(handout.serial, 1)
        read.append([key for key in store.read if key.startswith(BATCH)])

    assert [[], [], [BATCH + ending.id], []] == read


def test_many_batches_are_read_at_once() -> None:
    """
    A recharge of cards of many batches reads their documents with one question.
    """
    store = Reading()
    book = book_on(store)
    extension = book.extension(EXTENSION)
    serials = [extension.generate(1, expires_at=Expiry(days_after_recharge=1))[0].serial for _ in range(20)]
    asked = []
    store.find_documents = lambda keys: (asked.append(1), MemoryStore.find_documents(store, keys))[1]  # type: ignore[method-assign, func-returns-value]
    extension.recharge_many([(serial, 1) for serial in serials])

    assert asked == [1]


def test_a_rule_that_was_changed_from_outside_is_not_followed() -> None:
    """
    A recharge of a card whose batch says something else than was written, or nothing, is refused.
    """
    store = MemoryStore()
    extension = book_on(store).extension(EXTENSION)
    batch = extension.generate(1, expires_at=Expiry(days_after_recharge=1))
    document = store.document(BATCH + batch.id)
    assert document is not None
    forged = document._replace(value=document.value.replace(b'recharge":1', b'recharge":9'))
    store.commit(Changes(documents=[(forged, 1)]))
    fresh = book_on(store).extension(EXTENSION)
    refused = outcome(lambda: fresh.recharge(batch[0].serial, 1))
    store.commit(Changes(forget=[(BATCH + batch.id, 1)]))

    assert (TamperedError, BATCH + batch.id, "document") == refused
    assert refused == outcome(lambda: fresh.recharge(batch[0].serial, 1))


def test_the_first_use_begins_the_days_and_later_ones_do_not() -> None:
    """
    A caller who gets in for the first time starts the days of the rule, unless the card ends before; a denial does not.
    """
    clock = Clock()
    extension = new_book(clock=clock).extension(EXTENSION)
    [card] = extension.generate(1, expires_at=Expiry(days_after_creation=100, days_after_first_use=30))
    ends = [extension[card.serial].expires_at]
    clock.move(days=10)
    denied = outcome(lambda: extension.authenticate(card.code, pin="", call_id="1"))
    ends.append(extension[card.serial].expires_at)
    for number in range(2):
        extension.authenticate(card.code, pin=card.pin, call_id=f"{number}")
        ends.append(extension[card.serial].expires_at)
        clock.move(days=20)

    assert denied == (AccessDeniedError,)
    assert ends == [day(100), day(100), day(40), day(40)]
    assert [found.serial for found in extension.search(used=True)] == [card.serial]
    assert outcome(lambda: extension.authenticate(card.code, pin=card.pin)) == (AccessDeniedError,)


def test_a_recharge_opens_the_door_again() -> None:
    """
    An expired card lets nobody in until it is recharged under a rule about recharges.
    """
    clock = Clock()
    extension = new_book(clock=clock).extension(EXTENSION)
    [card] = extension.generate(1, expires_at=Expiry(days_after_recharge=30))
    clock.move(days=30)
    denied = outcome(lambda: extension.authenticate(card.code, pin=card.pin))
    extension.recharge(card.serial, 5)

    assert denied == (AccessDeniedError,)
    assert extension.authenticate(card.code, pin=card.pin).card.expires_at == day(60)


@pytest.mark.parametrize("card_enabled", [True, False])
@pytest.mark.parametrize("batch_enabled", [True, False])
def test_card_and_batch_have_to_be_enabled_both(
    card_enabled: bool,  # noqa: FBT001 - a parameter of a test
    batch_enabled: bool,  # noqa: FBT001 - a parameter of a test
) -> None:
    """
    A caller gets in with an enabled card of an enabled batch, and with no other; what is set last counts at once.
    """
    extension = new_book().extension(EXTENSION)
    batch = extension.generate(2)
    card = batch[0]
    if not card_enabled:
        extension.disable(card.serial)
    if not batch_enabled:
        extension.disable_batch(batch.id)
    answer = outcome(lambda: extension.authenticate(card.code, pin=card.pin, call_id="1").card.serial)
    extension.enable(card.serial)
    extension.enable_batch(batch.id)

    assert answer == (card.serial if card_enabled and batch_enabled else (AccessDeniedError,))
    assert extension.authenticate(card.code, pin=card.pin, call_id="2").card.serial == card.serial


# Expiry that is set


def test_an_end_that_is_set_holds_until_the_rule_moves_it() -> None:
    """
    A recharge puts an earlier end off, and leaves a later one and "never" as they were set.
    """
    clock = Clock()
    extension = new_book(clock=clock).extension(EXTENSION)
    batch = extension.generate(3, expires_at=Expiry(days_after_recharge=30))
    serials = [handout.serial for handout in batch]
    for serial, end in zip(serials, [day(2), day(90), None], strict=True):
        extension.set_expiry(serial, end)
    clock.move(days=1)
    extension.recharge_many([(serial, 1) for serial in serials])

    assert [day(31), day(90), None] == [extension[serial].expires_at for serial in serials]


def test_setting_an_end_changes_only_cards_with_another_one() -> None:
    """
    It takes cards, serials and queries, at most 1,000 in a commit, and tells how many had another end.
    """
    store = Recording()
    book = book_on(store).acting_as("alice")
    extension = book.extension(EXTENSION)
    batch = extension.generate(1500)
    store.commits.clear()
    changed = [
        extension.set_expiry(batch[0].serial, day(9)),
        extension.set_expiry([extension[batch[0].serial], batch[1].serial], day(9)),
        extension.set_expiry(CardQuery(batch=batch.id), day(9)),
        extension.set_expiry(CardQuery(batch=batch.id), None),
    ]
    told = [entry.detail for entry in book.audit_trail() if entry.verb == "set_expiry"]

    assert changed == [1, 1, 1498, 1500]
    assert max(store.sizes()) <= 1000
    assert [day(9).isoformat()] * 4 + [None] * 2 == [detail["expires_at"] for detail in told]
    assert [len(detail["before"]) for detail in told] == [1, 1, 998, 500, 1000, 500]
    assert ([batch[0].serial], 1) == (told[0]["serials"], told[0]["count"])
    assert {"batch": batch.id} == told[2]["query"]
    assert {None} == {card.expires_at for card in extension.search()}
    assert sound(book) == ()


def test_setting_an_end_is_done_once_under_its_name() -> None:
    """
    Asked again it changes nothing; with another moment or other cards it is refused.
    """
    extension = new_book().extension(EXTENSION)
    first, second = (handout.serial for handout in extension.generate(2))
    done = extension.set_expiry(first, day(9), operation="end")
    extension.set_expiry(first, None)
    again = extension.set_expiry(first, day(9), operation="end")
    refused = [
        outcome(lambda: extension.set_expiry(first, day(8), operation="end")),
        outcome(lambda: extension.set_expiry(second, day(9), operation="end")),
    ]

    assert (done, again, extension[first].expires_at) == (1, 1, None)
    assert [(OperationConflictError, "set_expiry", "")] * 2 == refused


def test_a_moment_that_is_not_aware_is_refused() -> None:
    """
    Nothing is written, and the argument is named.
    """
    extension = new_book().extension(EXTENSION)
    [handout] = extension.generate(1)

    assert InvalidValueError is outcome(lambda: extension.set_expiry(handout.serial, datetime(2030, 1, 1)))[0]  # type: ignore[index]  # noqa: DTZ001


# What has expired


def test_expired_cards_are_disabled_and_free_their_places() -> None:
    """
    Only enabled cards whose end has come are disabled, in every extension; their places can be taken at once.
    """
    clock = Clock()
    book = new_book(clock=clock, license=License(6)).acting_as("alice")
    here, there = book.extension(EXTENSION), book.extension(OTHER)
    ended = [here.generate(2, credit=5, expires_at=day(1)), there.generate(1, expires_at=day(1))]
    here.generate(1, expires_at=day(1), enabled=False)
    lasting = [here.generate(1, expires_at=day(1.5)), here.generate(2)]
    full = outcome(lambda: here.generate(1))
    before = book.disable_expired()
    clock.move(days=1)
    done = [book.disable_expired(), book.disable_expired()]
    here.generate(3)
    serials = [handout.serial for batch in ended for handout in batch]
    [entry] = [entry for entry in book.audit_trail() if entry.verb == "disable_expired"]

    assert (QuotaExceededError, 6, 6, 1) == full
    assert (before, done) == (0, [3, 0])
    assert book.quota.active == 6
    assert {False} == {card.enabled for extension in (here, there) for card in extension.search(expired=True)}
    assert {True} == {here[handout.serial].enabled for batch in lasting for handout in batch}
    assert here[serials[0]].credit.to_decimal() == 5
    assert ("alice", "", sorted(serials), 3) == (
        entry.actor,
        entry.extension,
        sorted(entry.detail["serials"]),
        entry.detail["count"],
    )
    assert sound(book) == ()


def test_an_extension_disables_its_own() -> None:
    """
    Called on an extension, cards of others stay enabled.
    """
    clock = Clock()
    book = new_book(clock=clock)
    here, there = book.extension(EXTENSION), book.extension(OTHER)
    here.generate(2, expires_at=day(1))
    there.generate(2, expires_at=day(1))
    clock.move(days=1)
    done = here.disable_expired()
    [*_, entry] = book.audit_trail()

    assert (done, here.count(enabled=True), there.count(enabled=True)) == (2, 0, 2)
    assert entry.extension == EXTENSION


def test_disabling_is_bounded_and_goes_on() -> None:
    """
    No call changes more than it may, and as many calls as it takes disable all.
    """
    clock = Clock()
    book = new_book(clock=clock)
    extension = book.extension(EXTENSION)
    extension.generate(25, expires_at=day(1))
    clock.move(days=1)
    done = []
    while count := book.disable_expired(limit=10):
        done.append(count)

    assert done == [10, 10, 5]
    assert verbs_of(book).count("disable_expired") == 3


def test_where_nothing_has_expired_nothing_is_written() -> None:
    """
    Neither an audit entry nor a memory of the operation, which is done when there is something.
    """
    clock = Clock()
    store = Recording()
    book = book_on(store, clock=clock)
    extension = book.extension(EXTENSION)
    extension.generate(1, expires_at=day(1))
    store.commits.clear()
    first = book.disable_expired(operation="nightly")
    written = len(store.commits)
    clock.move(days=1)
    answers = [book.disable_expired(operation="nightly") for _ in range(2)]

    assert (first, written, answers) == (0, 0, [1, 1])
    assert verbs_of(book).count("disable_expired") == 1


@pytest.mark.parametrize("limit", [0, 1001, -1, True, "10"])
def test_the_bound_is_what_one_commit_may_change(limit: Any) -> None:  # noqa: ANN401
    """
    From 1 to 1,000 cards; anything else is refused.
    """
    assert InvalidValueError is outcome(lambda: new_book().disable_expired(limit=limit))[0]  # type: ignore[index]


def test_a_card_that_is_put_off_meanwhile_stays_enabled() -> None:
    """
    Where an operator sets a later end between reading and writing, the card is left alone.
    """
    clock = Clock()
    store = Meddled()
    book = book_on(store, clock=clock)
    extension = book.extension(EXTENSION)
    first, second = (handout.serial for handout in extension.generate(2, expires_at=day(1)))
    clock.move(days=1)
    other = book_on(store, clock=clock).extension(EXTENSION)
    store.meddle = lambda: other.set_expiry(first, day(9))
    done = book.disable_expired()

    assert (done, extension[first].enabled, extension[second].enabled) == (1, True, False)


def _disabled_alone(path: Path, _number: int) -> int:
    clock = Clock(day(2))
    book = file_book(path, clock=clock)
    done = 0
    while count := book.disable_expired(limit=7):
        done += count
    book.close()

    return done


def test_processes_that_disable_together_disable_each_card_once(tmp_path: Path) -> None:
    """
    What several processes tell that they have disabled adds up to the cards, and so does the quota.
    """
    path = tmp_path / "cards.db"
    book = file_book(path)
    extension = book.extension(EXTENSION)
    extension.generate(60, expires_at=day(1))
    extension.generate(5)
    done = in_processes(_disabled_alone, path, times=3)

    assert sum(done) == 60
    assert 5 == book.quota.active == extension.count(enabled=True)
    assert sound(book) == ()
    book.close()


# Labels


def test_labels_are_added_and_removed_card_by_card() -> None:
    """
    Each card keeps what it had, gains what is new to it, loses what is removed, and counts only if it changed.
    """
    book = new_book().acting_as("alice")
    extension = book.extension(EXTENSION)
    plain = extension.generate(1)[0].serial
    printed = extension.generate(1, labels=["to print", "May"])[0].serial
    changed = [
        extension.label_cards([plain, printed], add=["printed"], remove=["to print"]),
        extension.label_cards([plain, printed], add=["printed"], remove=["to print"]),
        extension.label_cards(CardQuery(), remove=["May"]),
    ]
    told = [entry.detail for entry in book.audit_trail() if entry.verb == "label_cards"]

    assert changed == [2, 0, 1]
    assert [extension[serial].labels for serial in (plain, printed)] == [("printed",), ("printed",)]
    assert [told[0]["add"], told[0]["remove"]] == [["printed"], ["to print"]]
    assert sorted([plain, printed]) == told[0]["serials"]
    assert sound(book) == ()


def test_a_label_too_many_is_refused_with_the_cards_as_they_were() -> None:
    """
    A request that would give a card more than a hundred labels changes none of its commit.
    """
    extension = new_book().extension(EXTENSION)
    full = extension.generate(1, labels=[str(number) for number in range(100)])[0].serial
    free = extension.generate(1)[0].serial

    assert (InvalidValueError, "labels", "are more than 100") == outcome(
        lambda: extension.label_cards([free, full], add=["one more"])
    )
    assert extension[free].labels == ()


def test_labeling_is_done_once_under_its_name() -> None:
    """
    A replay gives the count of the first time; another label under the name is refused.
    """
    extension = new_book().extension(EXTENSION)
    batch = extension.generate(1200)
    query = CardQuery(batch=batch.id)
    done = extension.label_cards(query, add=["shipped"], operation="ship")
    extension.label_cards(query, remove=["shipped"])
    again = extension.label_cards(query, add=["shipped"], operation="ship")
    refused = outcome(lambda: extension.label_cards(query, add=["lost"], operation="ship"))

    assert (done, again) == (1200, 1200)
    assert (OperationConflictError, "label_cards", "") == refused
    assert {()} == {card.labels for card in extension.search()}


def _kept(extension: Extension) -> list[Any]:
    return [attrs.astuple(card)[:-1] for card in extension.search(order="serial")]


def test_nothing_but_the_end_and_the_labels_changes() -> None:
    """
    Set and taken back, a card is as it was but for its version, and its history is untouched.
    """
    extension = new_book().extension(EXTENSION)
    batch = extension.generate(
        3, credit=4, order_number="PO-1", labels=["May"], expires_at=datetime(2031, 1, 1, tzinfo=UTC)
    )
    before = _kept(extension)
    query = CardQuery(batch=batch.id)
    extension.set_expiry(query, None)
    extension.label_cards(query, add=["June"])
    extension.set_expiry(query, datetime(2031, 1, 1, tzinfo=UTC))
    extension.label_cards(query, remove=["June"])

    assert before == _kept(extension)
    assert [len(list(extension.history(handout.serial))) for handout in batch] == [1, 1, 1]
