"""
Batches as a whole: known from their making on, frozen and labeled with one write, and each of one extension.
"""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO

import pytest

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
)
from voipcard import BatchFacts, CardQuery, Expiry, Quota
from voipcard.batches import batch_facts
from voipcard.errors import InvalidValueError, OperationConflictError, TamperedError, UnknownBatchError
from voipcard.names import BATCH
from voipcard.stores import Changes


def test_a_batch_is_known_as_it_was_made() -> None:
    """
    However its cards were made, the book knows size, moment, extension and expiry of a batch, and no labels yet.
    """
    clock = Clock()
    book = new_book(clock=clock)
    extension = book.extension(EXTENSION)
    expiry = Expiry(days_after_recharge=90)
    made = [
        extension.generate(3, labels=["to print"], expires_at=expiry),
        extension.add(["77001834", "77001835"]),
        extension.upload(BytesIO(b"77001836,,,\n")),
    ]
    book.extension(OTHER).generate(1)
    expected = [
        BatchFacts(batch.id, EXTENSION, size, MORNING, enabled=True, labels=(), expiry=rule, version=1)
        for batch, size, rule in zip(made, [3, 2, 1], [expiry, None, None], strict=True)
    ]

    assert expected == [extension.batch(batch.id) for batch in made]
    assert sorted(facts.id for facts in expected) == sorted(facts.id for facts in extension.batches())


def test_batches_come_in_the_order_of_their_making() -> None:
    """
    Whatever their ids, the oldest comes first.
    """
    clock = Clock()
    extension = new_book(clock=clock).extension(EXTENSION)
    made = []
    for _ in range(20):
        made.append(extension.generate(1).id)
        clock.move(seconds=1)

    assert made == [facts.id for facts in extension.batches()]


def test_freezing_a_batch_is_one_write_and_changes_no_card() -> None:
    """
    One document is written for any number of cards; they stay enabled, and count against the license as before.
    """
    store = Recording()
    extension = book_on(store).extension(EXTENSION)
    batch = extension.generate(1500)
    extension.disable(batch[0].serial)
    before = list(extension.search(order="serial"))
    store.commits.clear()
    frozen = extension.disable_batch(batch.id)
    [commit] = store.commits

    assert not frozen.enabled
    assert not commit.replace
    assert not commit.counters
    assert BATCH + batch.id in [document.key for document, _ in commit.documents]
    assert before == list(extension.search(order="serial"))
    assert extension.quota == Quota(limit=None, active=1499)


def test_freezing_is_taken_back() -> None:
    """
    Enabled again, a batch is as before, and either is audited with what was before.
    """
    book = new_book().acting_as("alice")
    extension = book.extension(EXTENSION)
    batch = extension.generate(2).id
    states = [extension.disable_batch(batch), extension.batch(batch), extension.enable_batch(batch)]
    told = [(entry.verb, entry.extension, entry.detail) for entry in book.audit_trail() if "_batch" in entry.verb]

    assert [facts.enabled for facts in states] == [False, False, True]
    assert extension.batch(batch) == states[2]
    assert told == [
        (verb, EXTENSION, {"batch": batch, "before": {"enabled": before}, "after": {"enabled": not before}})
        for verb, before in [("disable_batch", True), ("enable_batch", False)]
    ]
    assert sound(book) == ()


def test_labels_of_a_batch_are_its_own() -> None:
    """
    They are added and removed with one write and audited; those of the cards stay.
    """
    book = new_book().acting_as("alice")
    extension = book.extension(EXTENSION)
    batch = extension.generate(2, labels=["summer"])
    extension.label_batch(batch.id, add=["to print", "urgent"])
    facts = extension.label_batch(batch.id, add=["printed"], remove=["to print", "never there"])
    [*_, last] = book.audit_trail()

    assert facts.labels == ("urgent", "printed")
    assert extension.batch(batch.id) == facts
    assert {("summer",)} == {card.labels for card in extension.search()}
    assert last.detail == {
        "batch": batch.id,
        "before": {"labels": ["to print", "urgent"]},
        "after": {"labels": ["urgent", "printed"]},
    }


def test_operations_on_a_batch_are_done_once() -> None:
    """
    Asked again under its name, nothing is written, and the answer is what is known by now.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    batch = extension.generate(1).id
    extension.disable_batch(batch, operation="freeze")
    extension.label_batch(batch, add=["shipped"], operation="ship")
    extension.enable_batch(batch)
    size = len(list(book.audit_trail()))
    again = [
        extension.disable_batch(batch, operation="freeze"),
        extension.label_batch(batch, add=["shipped"], operation="ship"),
    ]
    refused = [
        outcome(lambda: extension.enable_batch(batch, operation="freeze")),
        outcome(lambda: extension.label_batch(batch, add=["lost"], operation="ship")),
    ]

    assert [extension.batch(batch)] * 2 == again
    assert [(OperationConflictError, verb, "") for verb in ("enable_batch", "label_batch")] == refused
    assert size == len(list(book.audit_trail()))


def test_what_others_do_at_the_same_moment_is_kept() -> None:
    """
    Where somebody labels a batch between the reading and the writing of its freezing, it is frozen and labeled.
    """
    store = Meddled()
    extension = book_on(store).extension(EXTENSION)
    batch = extension.generate(1).id
    other = book_on(store).extension(EXTENSION)
    store.meddle = lambda: other.label_batch(batch, add=["lost"])
    extension.disable_batch(batch)
    facts = extension.batch(batch)

    assert (facts.enabled, facts.labels) == (False, ("lost",))


def test_a_batch_outlives_its_cards() -> None:
    """
    When all cards are removed, the batch is still known with the size that it had.
    """
    extension = new_book().extension(EXTENSION)
    batch = extension.generate(3).id
    extension.remove(CardQuery(batch=batch))

    assert extension.batch(batch).size == 3


@pytest.mark.parametrize("id", ["ZZZZ", "770018342215", "", "../book", "K7QX-000001"])
def test_a_batch_that_is_not_there_is_named_only_if_it_could_be_one(id: str) -> None:
    """
    What may be a code that was given by mistake does not come back in the refusal.
    """
    extension = new_book().extension(EXTENSION)
    extension.generate(1)

    assert outcome(lambda: extension.batch(id)) == (UnknownBatchError, id if id == "ZZZZ" else "")


def test_a_batch_of_another_extension_is_not_there() -> None:
    """
    Neither shown nor frozen by an extension whose it is not.
    """
    book = new_book()
    batch = book.extension(OTHER).generate(1).id
    extension = book.extension(EXTENSION)
    refused = [
        outcome(lambda: extension.batch(batch)),
        outcome(lambda: extension.disable_batch(batch)),
        outcome(lambda: extension.label_batch(batch, add=["lost"])),
    ]

    assert [(UnknownBatchError, batch)] * 3 == refused
    assert extension.batches() == []
    assert book.extension(OTHER).batch(batch).enabled


def test_a_frozen_batch_cannot_be_thawed_from_outside() -> None:
    """
    The document as it was before has another version, and one with other words another MAC.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    batch = extension.generate(1).id
    store = engine_of(book).store
    before = store.document(BATCH + batch)
    extension.disable_batch(batch)
    now = store.document(BATCH + batch)
    assert before is not None
    assert now is not None
    for forged in [
        before._replace(version=now.version),
        now._replace(value=now.value.replace(b'"enabled":false', b'"enabled":true')),
    ]:
        store.commit(Changes(documents=[(forged, now.version)]))

        assert (TamperedError, BATCH + batch, "document") == outcome(lambda: extension.batch(batch))


def test_a_document_that_is_not_there_is_no_batch() -> None:
    """
    What was read with others and is missing gives None.
    """
    assert batch_facts(engine_of(new_book()), None) is None


def test_too_many_labels_are_refused_whole() -> None:
    """
    A batch has at most a hundred labels, and keeps those it has where one more is refused.
    """
    extension = new_book().extension(EXTENSION)
    batch = extension.generate(1, expires_at=MORNING + timedelta(days=1)).id
    full = extension.label_batch(batch, add=[str(number) for number in range(100)])

    assert (InvalidValueError, "labels", "are more than 100") == outcome(
        lambda: extension.label_batch(batch, add=["one more"])
    )
    assert full == extension.batch(batch)
