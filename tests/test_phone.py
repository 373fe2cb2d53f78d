"""
Callers' numbers: however they are written, one card, where the extension has a region.
"""

from __future__ import annotations

import subprocess
import sys
from io import BytesIO
from typing import Final

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st
from phonenumbers import PhoneNumberFormat

from tests.book_world import EXTENSION, LAX, new_book, outcome, sound
from voipcard import Extension, NewCard, UploadReport
from voipcard.core.cards import canonical_caller_id
from voipcard.errors import CardExistsError, InvalidCodeError, InvalidValueError
from voipcard.phone import checked_region, normalized

NATIONAL: Final = "0722 123 456"
WRITTEN: Final = [NATIONAL, "+40 722 123 456", "0040722123456", "40722123456", "+40 (0)722-123.456", "(0722) 123456"]
"""One Romanian number, as people and switches write it."""

STORED: Final = "40722123456"
FOREIGN: Final = "+1 202 555 0143"
"""A number that without its `+` could be a German one."""


def romanian(**settings: object) -> Extension:
    """
    Make an extension whose callers write numbers as in Romania.
    """
    extension = new_book(policy=LAX, **settings).acting_as("alice").extension(EXTENSION)
    extension.configure(region="RO")

    return extension


# The rule


@pytest.mark.parametrize("region", sorted(phonenumbers.SUPPORTED_REGIONS))
def test_a_number_of_any_country_is_written_in_one_way(region: str) -> None:
    """
    As it is written within the country and from abroad, with and without separators, it gives the digits of E.164.
    """
    example = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    example = example or phonenumbers.example_number(region)
    assert example is not None
    formats = [PhoneNumberFormat.NATIONAL, PhoneNumberFormat.INTERNATIONAL, PhoneNumberFormat.E164]
    written = [phonenumbers.format_number(example, each) for each in formats]
    plain = [text for text in written if set(text) <= set("+0123456789 -.()")]
    expected = phonenumbers.format_number(example, PhoneNumberFormat.E164).removeprefix("+")

    assert {normalized(text, region) for text in plain} == {expected}
    assert normalized(expected, region, international=True) == expected


@pytest.mark.parametrize("written", WRITTEN)
def test_a_number_is_the_same_however_it_is_written(written: str) -> None:
    """
    National, with a prefix for abroad, with a country code, with a zero that nobody dials from there.
    """
    assert normalized(written, "RO") == STORED


@pytest.mark.parametrize(
    "written, region, expected",
    [
        ("215", "RO", "215"),
        ("112", "RO", "112"),
        ("+215", "RO", "215"),
        ("+0722123456", "RO", "0722123456"),
        ("0" * 255, "RO", "0" * 255),
        ("253 0000", "US", "2530000"),  # reaches nobody without an area code
        (FOREIGN, "DE", "12025550143"),
        (FOREIGN, "", "12025550143"),
        (NATIONAL, "", "0722123456"),
    ],
)
def test_what_is_no_possible_number_stays_as_it_is(written: str, region: str, expected: str) -> None:
    """
    Short numbers, parts of numbers and nonsense are kept as digits, and a `+` says more than the region.
    """
    assert normalized(written, region) == expected


@given(st.text("0123456789+ -.()", max_size=30), st.sampled_from(["", "RO", "US", "IT"]))
def test_numbers_are_digits_or_refused_as_before(text: str, region: str) -> None:
    """
    A region makes no number acceptable that was not, and refuses none that was; with its `+`, once is enough.
    """
    before = outcome(lambda: canonical_caller_id(text))
    after = outcome(lambda: normalized(text, region))

    if not isinstance(before, str):
        assert after == before
    else:
        assert isinstance(after, str)
        assert after.isdecimal()
        assert normalized(after, region, international=after != before) == after or after == before
        assert region or after == before


def test_a_region_has_numbers() -> None:
    """
    Two letters that are no country are refused; none at all are none.
    """
    assert checked_region("RO") == "RO"
    assert checked_region("") == ""
    assert outcome(lambda: checked_region("ZZ")) == (
        InvalidValueError,
        "region",
        "has to be the ISO 3166 code of a country, such as RO",
    )


# In a book


@pytest.mark.parametrize("added", WRITTEN)
def test_a_card_is_found_by_any_way_to_write_its_number(added: str) -> None:
    """
    Whichever way it was added, every other way finds it, and it is there once.
    """
    extension = romanian()
    [handout] = extension.add(added, caller_id=True)
    found = {extension.get(caller_id=written).serial for written in WRITTEN}

    assert handout.code == extension.reveal(handout.serial).code == STORED
    assert found == {handout.serial}
    assert [card.serial for card in extension.search(caller_id=NATIONAL)] == [handout.serial]
    assert outcome(lambda: extension.add("+40722123456")) == (CardExistsError, (1,))
    assert outcome(lambda: extension.add(["1", *WRITTEN[:2]], caller_id=True)) == (CardExistsError, (2, 3))


def test_a_dialed_code_is_no_number() -> None:
    """
    What a caller dials is left as it is, and finds no CallerID.
    """
    extension = romanian()
    [dialed] = extension.add("0722123456")
    [caller] = extension.add("0722123456", caller_id=True)

    assert (dialed.code, caller.code) == ("0722123456", STORED)
    assert extension.get(code="0722123456").serial == dialed.serial
    assert extension.find(code=STORED) is None


def test_a_file_adds_a_number_once() -> None:
    """
    Rows with one number in two ways add one card; the second row is told to be there already.
    """
    extension = romanian()
    file = b"+40722123456,,PO-1,5\n,,,\n"
    typed = b"Code,PIN,Order Number,Credit,Type\n0722123456,,PO-1,5,CallerID\n0040722123456,,PO-1,6,CallerID\n"
    report = extension.upload(BytesIO(typed), on_error="skip").report
    again = extension.upload(BytesIO(file), on_error="skip").report
    assert isinstance(report, UploadReport)
    assert isinstance(again, UploadReport)

    assert (report.added, report.rejected, [problem.row for problem in report.problems]) == (1, 1, [3])
    assert (again.added, again.rejected) == (0, 1)
    assert [str(card.credit) for card in extension.search()] == ["5.00"]
    assert extension.find(caller_id=NATIONAL) is not None


def test_an_edited_number_is_written_as_a_new_one() -> None:
    """
    A new CallerID is stored in the one way; a new PIN leaves the number as it was stored.
    """
    book = new_book(policy=LAX).acting_as("alice")
    extension = book.extension(EXTENSION)
    extension.configure(region="RO")
    [handout] = extension.add("7700", pin="4821")
    extension.edit(handout.serial, code=NATIONAL, caller_id=True)
    after = extension.reveal(handout.serial).code
    extension.configure(region="DE")
    extension.edit(handout.serial, pin="7391")

    assert (after, extension.reveal(handout.serial).code) == (STORED, STORED)
    assert sound(book) == ()


def test_an_international_number_keeps_its_country() -> None:
    """
    A `+` counts where the number is another country's, and `international` says it where there is none.
    """
    extension = new_book().extension(EXTENSION)
    extension.configure(region="DE")
    cards = [NewCard(FOREIGN), NewCard("442079460123", caller_id=True, international=True)]
    codes = [handout.code for handout in extension.add(cards)]

    assert codes == ["12025550143", "442079460123"]
    assert extension.find(caller_id=FOREIGN) is not None
    assert NewCard(FOREIGN) == NewCard("12025550143", caller_id=True)


def test_numbers_that_were_stored_before_stay_as_they_were() -> None:
    """
    A region changes what is written from then on: so it is set first.
    """
    extension = new_book().acting_as("alice").extension(EXTENSION)
    [before] = extension.add(NATIONAL, caller_id=True)
    extension.configure(region="RO")
    [after] = extension.add(NATIONAL, caller_id=True)
    extension.configure(region="")

    assert [extension.reveal(handout.serial).code for handout in (before, after)] == ["0722123456", STORED]
    assert extension.get(caller_id=NATIONAL).serial == before.serial


def test_an_operation_is_the_same_under_another_region() -> None:
    """
    What was asked for is compared as it was asked: a replay gives the cards of the first time.
    """
    extension = romanian()
    [first] = extension.add(NATIONAL, caller_id=True, operation="add-1")
    extension.configure(region="DE")
    [again] = extension.add(NATIONAL, caller_id=True, operation="add-1")

    assert again == first


def test_a_text_that_is_no_number_is_refused_as_before() -> None:
    """
    Letters in a CallerID are refused with a region as without.
    """
    extension = romanian()

    assert outcome(lambda: extension.add("+40 CARDS", caller_id=True))[0] is InvalidCodeError
    assert outcome(lambda: extension.find(caller_id="")) == (InvalidCodeError, "caller_id", "empty", 0)


@pytest.mark.parametrize("calling", WRITTEN)
def test_a_caller_is_known_however_the_switch_writes_the_number(calling: str) -> None:
    """
    The card of a number lets its caller in from every trunk; one that is not the caller's lets nobody in.
    """
    extension = romanian()
    [handout] = extension.add(NATIONAL, caller_id=True, pin="482716")

    assert extension.asks_for(calling) == "pin"
    assert extension.authenticate_caller(calling, pin="482716", ingress="trunk").card.serial == handout.serial
    assert extension.asks_for("0722 123 457") == "code"


# Without the extra

WITHOUT: Final = """
import sys
sys.modules["phonenumbers"] = None
import voipcard
extension = voipcard.open_book().extension("0003*215")
extension.add("+40 722 123 456")
extension.configure(pin_required=True)
print(extension.find(caller_id="40722123456") is not None)
try:
    extension.configure(region="RO")
except ImportError as error:
    print(error.name, error)
print(repr(extension.settings.region))
"""


def test_without_the_extra_a_region_is_refused_and_all_else_works() -> None:
    """
    Where phonenumbers is not installed, setting a region says what to install, and nothing is written.
    """
    run = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=True)

    assert run.stdout.splitlines() == [
        "True",
        "phonenumbers callers' numbers of a region need phonenumbers: install voipcard[phone]",
        "''",
    ]
