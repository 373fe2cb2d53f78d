"""
What can be set for an extension: ranges, defaults and what is kept of it.
"""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from voipcard import UNLIMITED, Credit, Expiry, ExtensionSettings
from voipcard.core.settings import SettingsChanges
from voipcard.errors import AmountError, AmountTypeError, InvalidValueError, VoipcardError

LINES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40)
SOURCES = st.sampled_from(["server", "equipment", "extension"])


def every_setting() -> st.SearchStrategy[ExtensionSettings]:
    """
    Give settings of every kind.
    """
    return st.builds(
        ExtensionSettings,
        minimum_credit=st.integers(0, 2**62).map(Credit.from_micros),
        pin_required=st.booleans(),
        balance_inquiry=st.booleans(),
        seconds_to_dial=st.integers(1, 300),
        no_credit_sound=LINES,
        disconnect_sound=LINES,
        caller_name=SOURCES,
        caller_name_text=LINES,
        caller_number=SOURCES,
        caller_number_text=st.from_regex("([+]?[0-9]{1,32})?", fullmatch=True),
        concurrent_calls=st.none() | st.integers(1, 1000),
        expiry=st.none() | st.builds(Expiry, days_after_recharge=st.none() | st.integers(1, 36_500)),
        max_active_codes=st.none() | st.integers(0, 2**62),
        region=st.sampled_from(["", "RO", "DE"]),
        deck=st.from_regex("[A-Za-z0-9._-]{1,64}", fullmatch=True),
        max_call_seconds=st.integers(1, 31_622_400),
    )


@given(every_setting())
def test_settings_come_back_from_what_is_kept_of_them(settings: ExtensionSettings) -> None:
    """
    What is kept goes through JSON and gives equal settings.
    """
    kept = json.loads(json.dumps(settings.kept()))

    assert settings == ExtensionSettings.of_kept(kept)


@given(every_setting())
def test_what_was_kept_before_there_were_calls_has_the_defaults_for_them(settings: ExtensionSettings) -> None:
    """
    Settings without a deck and a longest call are read as they were, by the deck `default` and up to four hours.
    """
    kept = {name: value for name, value in settings.kept().items() if name not in {"deck", "max_call_seconds"}}

    assert attrs.evolve(settings, deck="default", max_call_seconds=4 * 3600) == ExtensionSettings.of_kept(kept)


def test_a_new_extension_lets_everybody_call_as_voipnow_does() -> None:
    """
    Without a word, no credit is asked for, cards need no PIN, and the server says who calls.
    """
    expected = {
        "minimum_credit": Credit(0),
        "pin_required": False,
        "balance_inquiry": True,
        "caller_name": "server",
        "caller_number": "server",
        "expiry": None,
        "max_active_codes": None,
        "region": "",
        "deck": "default",
        "max_call_seconds": 14_400,
    }
    settings = ExtensionSettings()

    assert expected == {name: getattr(settings, name) for name in expected}


def test_every_setting_can_be_changed() -> None:
    """
    The arguments of `Extension.configure` are the fields of the settings.
    """
    assert {field.name for field in attrs.fields(ExtensionSettings)} == set(SettingsChanges.__annotations__)


@pytest.mark.parametrize(
    "refused, error",
    [
        ({"minimum_credit": "-0.01"}, AmountError),
        ({"minimum_credit": 0.5}, AmountTypeError),
        ({"minimum_credit": UNLIMITED}, InvalidValueError),
        ({"pin_required": 1}, InvalidValueError),
        ({"balance_inquiry": None}, InvalidValueError),
        ({"seconds_to_dial": 0}, InvalidValueError),
        ({"seconds_to_dial": 301}, InvalidValueError),
        ({"seconds_to_dial": None}, InvalidValueError),
        ({"no_credit_sound": "a\nb"}, InvalidValueError),
        ({"disconnect_sound": "a" * 256}, InvalidValueError),
        ({"caller_name": "nobody"}, InvalidValueError),
        ({"caller_name": ["server"]}, InvalidValueError),
        ({"caller_name_text": 5}, InvalidValueError),
        ({"caller_number": ""}, InvalidValueError),
        ({"caller_number_text": "+"}, InvalidValueError),
        ({"caller_number_text": "021 555"}, InvalidValueError),
        ({"caller_number_text": "1" * 33}, InvalidValueError),
        ({"concurrent_calls": 0}, InvalidValueError),
        ({"concurrent_calls": 1001}, InvalidValueError),
        ({"concurrent_calls": True}, InvalidValueError),
        ({"expiry": 30}, InvalidValueError),
        ({"max_active_codes": -1}, InvalidValueError),
        ({"region": "ro"}, InvalidValueError),
        ({"region": "ROU"}, InvalidValueError),
        ({"region": None}, InvalidValueError),
        ({"deck": ""}, InvalidValueError),
        ({"deck": "two words"}, InvalidValueError),
        ({"deck": "d" * 65}, InvalidValueError),
        ({"deck": None}, InvalidValueError),
        ({"max_call_seconds": 0}, InvalidValueError),
        ({"max_call_seconds": 366 * 24 * 3600 + 1}, InvalidValueError),
        ({"max_call_seconds": 60.0}, InvalidValueError),
    ],
)
def test_what_cannot_be_set_is_refused(refused: dict[str, Any], error: type[VoipcardError]) -> None:
    """
    A value out of its range is refused, with its name where the refusal has one.
    """
    with pytest.raises(error) as caught:
        ExtensionSettings(**refused)

    assert getattr(caught.value, "name", None) in {None, *refused}
