"""
Settings of an extension: kept in the book, changed one by one, and never without a trace.
"""

from __future__ import annotations

from datetime import timedelta
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
    book_on,
    engine_of,
    file_book,
    new_book,
    outcome,
    sound,
)
from voipcard import Credit, Expiry, ExtensionSettings
from voipcard.errors import AmountError, InvalidValueError, OperationConflictError, TamperedError
from voipcard.names import EXTENSION as PREFIX
from voipcard.stores import Changes

CHANGES: dict[str, Any] = {
    "minimum_credit": "0.50",
    "pin_required": True,
    "balance_inquiry": False,
    "seconds_to_dial": 45,
    "no_credit_sound": "no-credit",
    "disconnect_sound": "goodbye",
    "caller_name": "extension",
    "caller_name_text": "Café Müller",
    "caller_number": "extension",
    "caller_number_text": "+40215550100",
    "concurrent_calls": None,
    "expiry": Expiry(days_after_first_use=90),
    "max_active_codes": 500,
    "region": "RO",
    "deck": "retail",
    "max_call_seconds": 600,
}
"""Another value than the default for every setting."""


def test_changes_are_of_every_setting() -> None:
    """
    The changes that these tests try leave no setting as it is at first.
    """
    before, after = ExtensionSettings(), ExtensionSettings(**CHANGES)

    assert {field.name for field in attrs.fields(ExtensionSettings)} == set(CHANGES)
    assert [name for name in CHANGES if getattr(before, name) == getattr(after, name)] == []


@settings(max_examples=30)
@given(st.lists(st.sets(st.sampled_from(sorted(CHANGES))), max_size=4))
def test_only_what_is_given_changes(steps: list[set[str]]) -> None:
    """
    After any number of changes each setting that was ever given has its value, and every other one its default.
    """
    extension = new_book().extension(EXTENSION)
    answers = [extension.configure(**{name: CHANGES[name] for name in names}) for names in steps]
    expected = ExtensionSettings(**{name: CHANGES[name] for names in steps for name in names})

    assert expected == extension.settings
    assert answers[-1:] == [expected] * bool(steps)


def test_settings_are_those_of_one_extension_and_of_every_handle(tmp_path: Path) -> None:
    """
    What is set is read by every handle on the book at once, and other extensions go on with theirs.
    """
    here, there = (file_book(tmp_path / "cards.db") for _ in range(2))
    here.extension(EXTENSION).configure(minimum_credit="0.50")

    assert Credit("0.50") == there.extension(EXTENSION).settings.minimum_credit
    assert ExtensionSettings() == there.extension(OTHER).settings
    assert sound(there) == ()
    here.close()
    there.close()


def test_an_extension_is_known_once_it_is_configured() -> None:
    """
    Asking for settings writes nothing; setting some makes the extension known, and its cards keep them.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    asked = extension.settings
    before = book.extensions()
    extension.configure(pin_required=True)
    extension.generate(1)
    book.disable_extension(EXTENSION)
    book.label_extension(EXTENSION, "Harbor")

    assert (ExtensionSettings(), []) == (asked, before)
    assert [extension] == book.extensions()
    assert (extension.settings.pin_required, extension.label, extension.enabled) == (True, "Harbor", False)


def test_a_change_is_audited_with_what_was_before() -> None:
    """
    The audit trail tells who changed which settings, from what to what, and none of the others.
    """
    book = new_book().acting_as("alice")
    extension = book.extension(EXTENSION)
    extension.configure(minimum_credit=1, expiry=Expiry(days_after_creation=30))
    extension.configure(minimum_credit="2.5")
    told = [entry for entry in book.audit_trail() if entry.verb == "configure"]

    assert [(entry.actor, entry.extension) for entry in told] == [("alice", EXTENSION)] * 2
    assert [entry.detail for entry in told] == [
        {
            "before": {"minimum_credit": "0.00", "expiry": None},
            "after": {"minimum_credit": "1.00", "expiry": {"days_after_creation": 30}},
        },
        {"before": {"minimum_credit": "1.00"}, "after": {"minimum_credit": "2.50"}},
    ]


def test_what_is_refused_changes_nothing() -> None:
    """
    A value out of its range, a region of no country and a name that is no setting leave the extension unknown.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    refused = [
        outcome(lambda: extension.configure(minimum_credit="-1")),
        outcome(lambda: extension.configure(seconds_to_dial=0, pin_required=True)),
        outcome(lambda: extension.configure(region="XX")),
    ]
    with pytest.raises(TypeError):
        extension.configure(pin_requierd=True)  # type: ignore[call-arg]

    assert [AmountError, InvalidValueError, InvalidValueError] == [answer[0] for answer in refused]  # type: ignore[index]
    assert book.extensions() == []


def test_an_operation_is_done_once() -> None:
    """
    Asked again under its name it changes nothing more and gives the settings of now; another change is refused.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    extension.configure(seconds_to_dial=20, operation="setup-7")
    extension.configure(seconds_to_dial=40)
    again = extension.configure(seconds_to_dial=20, operation="setup-7")
    other = outcome(lambda: extension.configure(seconds_to_dial=21, operation="setup-7"))

    assert again.seconds_to_dial == 40
    assert (OperationConflictError, "configure", "") == other
    assert sum(entry.verb == "configure" for entry in book.audit_trail()) == 2


def test_changes_at_the_same_moment_lose_nothing() -> None:
    """
    Where somebody else changes another setting between reading and writing, both changes hold.
    """
    store = Meddled()
    extension = book_on(store).extension(EXTENSION)
    other = book_on(store).extension(EXTENSION)
    store.meddle = lambda: other.configure(pin_required=True)
    extension.configure(minimum_credit=3)

    assert ExtensionSettings(minimum_credit=3, pin_required=True) == extension.settings


def test_settings_that_were_changed_from_outside_are_refused() -> None:
    """
    A document with other settings and the old MAC is not believed.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    extension.configure(minimum_credit=3)
    store = engine_of(book).store
    document = store.document(PREFIX + EXTENSION)
    assert document is not None
    forged = document._replace(value=document.value.replace(b"3.00", b"0.00"), version=document.version)
    store.commit(Changes(documents=[(forged, document.version)]))

    assert (TamperedError, PREFIX + EXTENSION, "document") == outcome(lambda: extension.settings)


def test_cards_that_do_not_say_when_they_expire_take_what_is_set() -> None:
    """
    Generated, added and uploaded cards expire as the extension says, unless the call or the row says something else.
    """
    clock = Clock()
    extension = new_book(clock=clock).extension(EXTENSION)
    extension.configure(expiry=Expiry(days_after_creation=30))
    from_setting, own = MORNING + timedelta(days=30), MORNING + timedelta(days=3)
    cards = [
        extension.generate(1),
        extension.generate(1, expires_at=own),
        extension.generate(1, expires_at=Expiry()),
        extension.add(["770018341"]),
        extension.add(["770018342"], expires_at=Expiry(days_after_creation=3)),
    ]

    assert [from_setting, own, None, from_setting, own] == [extension[batch[0].serial].expires_at for batch in cards]
    assert [(extension.batch(batch.id).expiry or Expiry()).days_after_creation for batch in cards] == [
        30,
        None,
        None,
        30,
        3,
    ]
