"""
The book as a whole: its extensions, its license, who acted, and how it is opened.
"""

from __future__ import annotations

import logging
import pickle
import re
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.book_world import (
    EXTENSION,
    MORNING,
    OTHER,
    BareKey,
    Clock,
    Meddled,
    Recording,
    book_on,
    engine_of,
    everything,
    file_book,
    in_threads,
    new_book,
    on_disk,
    outcome,
    seeded,
    serials,
    sound,
    verbs_of,
)
from voipcard import CardQuery, Credit, Extension, KeyFile, License, NewCard, Policy, Quota, open_book
from voipcard.errors import (
    CurrencyError,
    InvalidValueError,
    KeyMismatchError,
    KeyMissingError,
    NotABookError,
    OperationConflictError,
    QuotaExceededError,
    StoreClosedError,
    TamperedError,
    UnknownCardError,
    WeakPinError,
)
from voipcard.stores import Changes, Document, MemoryStore
from voipcard.testing import strategies

# Extensions


@given(st.text(max_size=70) | st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64))
def test_the_number_of_an_extension_is_short_and_printable(number: str) -> None:
    """
    1 to 64 printable ASCII characters without spaces can be one, and nothing else; asking for one writes nothing.
    """
    store = Recording()
    book = book_on(store)
    commits = len(store.commits)
    answer: Any = outcome(lambda: book.extension(number).number)
    fits = re.fullmatch(r"[\x21-\x7e]{1,64}", number) is not None

    assert answer == number if fits else answer[:2] == (InvalidValueError, "extension")
    assert book.extensions() == []
    assert commits == len(store.commits)


@pytest.mark.parametrize("number", [None, 215, b"215"])
def test_what_is_no_text_is_no_number(number: Any) -> None:  # noqa: ANN401 - what is refused
    """
    A number is a text.
    """
    answer: Any = outcome(lambda: new_book().extension(number).number)

    assert answer[0] is InvalidValueError


CHANGES: Final = st.tuples(
    st.sampled_from(["label", "enable", "disable", "card"]), st.sampled_from(["2", "10", "1*1"]), strategies.texts(20)
)


@given(st.lists(CHANGES, max_size=12))
def test_a_book_knows_the_extensions_that_it_was_told_of(changes: list[tuple[str, str, str]]) -> None:
    """
    From its first card or label on an extension is listed, with its last label and whether it is enabled.

    The list is in the order of the numbers as texts, and each change leaves one audit entry.
    """
    book = new_book().acting_as("alice")
    model: dict[str, tuple[str, bool]] = {}
    for place, (verb, number, label) in enumerate(changes):
        before = model.get(number, ("", True))
        match verb:
            case "label":
                assert number == book.label_extension(number, label).number
                model[number] = (label, before[1])
            case "enable":
                assert book.enable_extension(number).enabled
                model[number] = (before[0], True)
            case "disable":
                assert not book.disable_extension(number).enabled
                model[number] = (before[0], False)
            case _:
                book.extension(number).add(f"77{place}")
                model[number] = before

    assert [(number, *model[number]) for number in sorted(model)] == [
        (extension.number, extension.label, extension.enabled) for extension in book.extensions()
    ]
    assert [{"card": "add"}.get(verb, f"{verb}_extension") for verb, _, _ in changes] == verbs_of(book)
    assert (book.extension("new").label, book.extension("new").enabled) == ("", True)
    assert sound(book) == ()


def test_extensions_are_equal_in_the_same_book_only() -> None:
    """
    The same number in the same book is the same extension, whoever acts.
    """
    book = new_book()
    extension = book.extension(EXTENSION)

    assert extension == book.acting_as("alice").extension(EXTENSION)
    assert len({extension, book.extension(EXTENSION)}) == 1
    assert extension != book.extension(OTHER)
    assert extension != new_book().extension(EXTENSION)
    assert extension != EXTENSION
    assert f"<Extension {EXTENSION}>" == repr(extension)


def test_a_disabled_extension_keeps_its_cards_and_they_count() -> None:
    """
    Disabling an extension changes no card; its codes stay counted, and can be managed.
    """
    book = new_book(license=License(3))
    extension = book.extension(EXTENSION)
    made = [handout.serial for handout in extension.generate(3, credit=5)]
    before = list(extension)
    book.disable_extension(EXTENSION)

    assert before == list(extension)
    assert Quota(3, 3) == book.quota
    assert (QuotaExceededError, 3, 3, 1) == outcome(lambda: book.extension(OTHER).generate(1))
    assert Credit(6) == extension.recharge(made[0], 1).credit_left
    assert extension.disable(made[0]) == 1


def test_a_change_that_somebody_else_makes_meanwhile_is_kept() -> None:
    """
    A label and a switch at the same moment both hold; so does a label for an extension that is just being made.
    """
    store = Meddled()
    book, other = book_on(store), book_on(store.another())
    store.meddle = lambda: other.extension(EXTENSION).add("7700")
    book.label_extension(EXTENSION, "Main")
    store.meddle = lambda: other.label_extension(EXTENSION, "Second")
    book.disable_extension(EXTENSION)
    [extension] = book.extensions()

    assert (extension.label, extension.enabled, extension.count()) == ("Second", False, 1)
    assert sound(book) == ()


@pytest.mark.parametrize("label", ["x" * 256, "two\nlines", "\ud800"])
def test_a_label_is_a_line_of_text(label: str) -> None:
    """
    A label that is too long or no line is refused, and the book still does not know the extension.
    """
    book = new_book()

    assert (InvalidValueError, "label") == outcome(lambda: book.label_extension(EXTENSION, label))[:2]  # type: ignore[index]
    assert InvalidValueError is outcome(lambda: book.label_extension("with space", "x"))[0]  # type: ignore[index]
    assert book.extensions() == []


ONCE: Final[dict[str, Callable[[Any, str], object]]] = {
    "label": lambda book, operation: book.label_extension(EXTENSION, "Main", operation=operation),
    "disable": lambda book, operation: book.disable_extension(EXTENSION, operation=operation),
    "enable": lambda book, operation: book.enable_extension(EXTENSION, operation=operation),
    "license": lambda book, operation: book.install_license(License(9), operation=operation),
}


@pytest.mark.parametrize("name", ONCE)
def test_an_operation_on_the_book_happens_once(name: str) -> None:
    """
    Repeated, it does not undo what came after; for anything else the operation is a conflict.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    first = ONCE[name](book, "once")
    book.label_extension(EXTENSION, "Later")
    book.disable_extension(EXTENSION)
    book.install_license(License(5))
    before = everything(book), verbs_of(book)
    again = ONCE[name](book, "once")

    assert before == (everything(book), verbs_of(book))
    assert (Quota(5, 0) if name == "license" else first) == again
    others: list[Callable[[], object]] = [
        lambda: book.label_extension(EXTENSION, "Other", operation="once"),
        lambda: book.label_extension(OTHER, "Main", operation="once"),
        lambda: book.install_license(License(8), operation="once"),
        lambda: extension.generate(1, operation="once"),
        *(lambda call=call: call(book, "once") for other, call in ONCE.items() if other != name),
    ]
    assert {OperationConflictError} == {outcome(other)[0] for other in others}  # type: ignore[index]
    assert before == (everything(book), verbs_of(book))


# License and quota


def test_a_license_holds_at_once_for_everybody() -> None:
    """
    Each handle on the book sees the newest license; a smaller one disables nothing, but lets nothing more in.
    """
    store = MemoryStore()
    book, other = book_on(store), book_on(store.another())
    book.extension(EXTENSION).generate(5)

    assert (License.unlimited(), Quota(None, 5), True) == (book.license, book.quota, book.quota.can_add)
    assert Quota(3, 5) == other.install_license(License(3))
    assert (License(3), Quota(3, 5), 0, False) == (
        book.license,
        book.quota,
        book.quota.remaining,
        book.quota.can_add,
    )
    assert (QuotaExceededError, 3, 5, 1) == outcome(lambda: book.extension(OTHER).generate(1))
    assert book.extension(EXTENSION).disable(list(book.extension(EXTENSION))[:3]) == 3
    assert (Quota(3, 3), 1) == (Quota(3, 2 + other.extension(OTHER).generate(1).size), book.extension(OTHER).count())
    assert Quota(None, 3) == book.install_license(License.unlimited())
    assert book.extension(OTHER).generate(10).size == 10


def test_two_licenses_at_once_both_count() -> None:
    """
    A license that somebody else installs meanwhile is replaced by this one, and both are in the trail.
    """
    store = Meddled()
    book = book_on(store)
    store.meddle = lambda: book_on(store.another()).install_license(License(4))

    assert Quota(7, 0) == book.install_license(License(7))
    assert verbs_of(book) == ["install_license"] * 2
    assert sound(book) == ()


@pytest.mark.parametrize("given", [5, None, {"max_active_codes": 5}])
def test_what_is_no_license_is_not_installed(given: Any) -> None:  # noqa: ANN401 - what is refused
    """
    A number is no license.
    """
    book = new_book()

    assert outcome(lambda: book.install_license(given))[:2] == (InvalidValueError, "license")  # type: ignore[index]
    assert book.license == License.unlimited()


@pytest.mark.parametrize("limit", [-1, 2**63, True, "5", 1.5])
def test_what_is_no_number_of_codes_is_no_license(limit: Any) -> None:  # noqa: ANN401 - what is refused
    """
    A license is zero or more, or None for any number.
    """
    with pytest.raises(InvalidValueError):
        License(limit)


def test_a_license_can_come_with_the_opening() -> None:
    """
    It is stored if it is another one; the same one again, or none, writes nothing.
    """
    store = Recording()
    limits = []
    for license_ in (None, License(5), License(5), None, License(6), License.unlimited()):
        book = book_on(store, license=license_)
        limits.append((book.quota.limit, len(store.commits)))

    assert limits == [(None, 1), (5, 2), (5, 2), (5, 2), (6, 3), (None, 4)]


# Who acted


def test_whoever_acts_is_named() -> None:
    """
    `acting_as` gives the same book, and what is done with it names the actor in the trail and in the history.
    """
    book = new_book()
    alice, bob = book.acting_as("alice"), book.acting_as("bob")
    [handout] = alice.extension(EXTENSION).generate(1)
    bob.extension(EXTENSION).recharge(handout.serial, 1)
    book.extension(EXTENSION).recharge(handout.serial, 1)
    alice.acting_as("").label_extension(EXTENSION, "Main")

    assert [entry.actor for entry in book.extension(EXTENSION).history(handout.serial)] == ["alice", "bob", ""]
    assert [(entry.verb, entry.actor) for entry in book.audit_trail()] == [
        ("generate", "alice"),
        ("recharge", "bob"),
        ("recharge", ""),
        ("label_extension", ""),
    ]


@pytest.mark.parametrize("actor", ["x" * 256, "a\tb", "\x7f", "\udfff"])
def test_an_actor_is_a_line_of_text(actor: str) -> None:
    """
    A name that is too long or no line is refused.
    """
    assert (InvalidValueError, "actor") == outcome(lambda: new_book().acting_as(actor))[:2]  # type: ignore[index]


# The audit trail


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(["", "alice", "bob"]), st.booleans()), max_size=12), st.integers(0, 12))
def test_the_trail_is_in_order_and_goes_on_where_it_was_left(steps: list[tuple[str, bool]], seen: int) -> None:
    """
    Entries come oldest first, also within a moment and whoever acts, and after any page those that follow, each once.
    """
    clock = Clock()
    book = new_book(clock=clock)
    known: list[str] = []
    cursor = None
    for number, (actor, moves) in enumerate(steps):
        if moves:
            clock.move(microseconds=1)
        book.acting_as(actor).label_extension(EXTENSION, str(number))
        if number == seen:
            page = book.audit_page()
            known = [entry.detail["after"]["label"] for entry in page.entries]
            cursor = page.next_cursor
    rest = [entry.detail["after"]["label"] for entry in book.audit_page(cursor=cursor).entries]

    assert [str(number) for number in range(len(steps))] == known + rest
    assert [actor for actor, _ in steps] == [entry.actor for entry in book.audit_trail()]


def test_a_long_trail_is_read_page_by_page() -> None:
    """
    Every entry comes once, however many there are.
    """
    book = new_book()
    for number in range(1001):
        book.label_extension(EXTENSION, str(number))

    assert [str(number) for number in range(1001)] == [entry.detail["after"]["label"] for entry in book.audit_trail()]


def test_audit_entries_do_not_show_their_ids() -> None:
    """
    What is printed is what people read.
    """
    book = new_book()
    book.label_extension(EXTENSION, "Main")
    [entry] = book.audit_trail()

    assert "id=" not in repr(entry)
    assert len(entry.id) == 16
    assert entry.detail == {"before": {"label": ""}, "after": {"label": "Main"}}


# The book itself


def test_a_book_says_what_it_is() -> None:
    """
    The currency and the actor are shown.
    """
    assert repr(new_book()) == "<CardBook in EUR>"
    assert repr(new_book().acting_as("alice")) == "<CardBook in EUR for 'alice'>"
    assert repr(open_book()) == "<CardBook in XXX>"
    assert repr(open_book(currency="RON")) == "<CardBook in RON>"


def test_a_book_cannot_be_pickled() -> None:
    """
    Neither a book nor an extension leaves its process, and the refusal names what to do.
    """
    book = new_book()

    with pytest.raises(TypeError, match="open it again"):
        pickle.dumps(book)
    with pytest.raises(TypeError):
        pickle.dumps(book.extension(EXTENSION))


def test_a_closed_book_is_closed() -> None:
    """
    After `close`, or the end of a `with` block, everything is refused; closing again is nothing, and errors go through.
    """
    with pytest.raises(ZeroDivisionError), new_book() as book:
        raise ZeroDivisionError
    book.close()
    alice = book.acting_as("alice")

    for call in (
        lambda: book.extension(EXTENSION).generate(1),
        book.extensions,
        lambda: list(book.audit_trail()),
        book.verify,
        lambda: alice.quota,
        lambda: "AAAA-000001" in book.extension(EXTENSION),
    ):
        assert StoreClosedError is outcome(call)[0]  # type: ignore[index]


# Time and chance


def test_moments_are_kept_in_utc_to_the_microsecond() -> None:
    """
    Whatever time zone the clock or an expiry is in, moments come back equal and in UTC.
    """
    zone = timezone(timedelta(hours=5, minutes=30))
    moment = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=zone)
    book = new_book(clock=lambda: moment)
    extension = book.extension(EXTENSION)
    [handout] = extension.add("7700", expires_at=moment)
    card = extension[handout.serial]

    assert (moment, moment, UTC, UTC) == (
        card.created_at,
        card.expires_at,
        card.created_at.tzinfo,
        card.expires_at and card.expires_at.tzinfo,
    )


def test_a_clock_has_to_know_its_time_zone() -> None:
    """
    A clock that gives naive moments is refused when it is asked, and nothing is written.
    """
    store = Recording()
    book_on(store)
    book = book_on(store, clock=lambda: datetime(2026, 3, 1))  # noqa: DTZ001 - what is refused

    assert InvalidValueError is outcome(lambda: book.extension(EXTENSION).generate(1))[0]
    assert len(store.commits) == 1


def test_chance_comes_from_the_source_and_keys_do_not() -> None:
    """
    The same source gives the same codes and serials, in books that nevertheless have different keys.
    """
    books = [new_book(source=seeded("the same")) for _ in range(2)]
    first, second = (book.extension(EXTENSION).generate(3) for book in books)
    records = [engine_of(book).card(EXTENSION, first[0].serial) for book in books]

    assert list(first) == list(second)
    assert records[0].index != records[1].index
    assert records[0].sealed_code != records[1].sealed_code


def test_the_policy_is_that_of_the_handle() -> None:
    """
    What is accepted as guessable is said when a book is opened, and is not stored.
    """
    store = MemoryStore()
    lax, strict = book_on(store, policy=Policy(allow_weak_pins=True)), book_on(store.another())
    lax.extension(EXTENSION).add("770099", pin="1234")

    assert WeakPinError is outcome(lambda: strict.extension(EXTENSION).add("770088", pin="1234"))[0]


# Opening


def test_a_book_in_a_file_is_there_when_it_is_opened_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """
    A path is enough, with the currency the first time.

    The key is made beside the file, for its owner only, with a warning that names neither key nor folder.
    """
    path = tmp_path / "cards.db"
    with caplog.at_level(logging.WARNING, "voipcard"), open_book(path, currency="EUR") as book:
        [handout] = book.extension(EXTENSION).generate(1, credit=5)
    with open_book(str(path)) as book:
        card = book.extension(EXTENSION).get(code=handout.code)

        assert ("EUR", handout.serial, Credit(5)) == (book.currency, card.serial, card.credit)
    key = tmp_path / "cards.db.key"
    assert {0o600} == {stat.S_IMODE(file.stat().st_mode) for file in (path, key)}
    assert caplog.messages == ["the key of cards.db is in cards.db.key: keep them in different backups"]


def test_a_new_book_needs_a_currency_and_an_old_one_keeps_it(tmp_path: Path) -> None:
    """
    Without one nothing is made; with another one nothing is opened.
    """
    path = tmp_path / "cards.db"
    missing = outcome(lambda: open_book(path))

    assert (CurrencyError, "", "") == missing == outcome(lambda: open_book(MemoryStore(), key=BareKey()))
    assert list(tmp_path.iterdir()) == []
    open_book(path, currency="EUR").close()
    before = on_disk(path)
    assert (CurrencyError, "EUR", "USD") == outcome(lambda: open_book(path, currency="USD"))
    assert before == on_disk(path)
    open_book(path, currency="EUR").close()


@pytest.mark.parametrize("currency", ["", "eur", "EURO", "E1R", "EUR\n", "ЕUR"])
def test_a_currency_is_three_letters(currency: str) -> None:
    """
    Codes of ISO 4217 only.
    """
    assert (InvalidValueError, "currency") == outcome(lambda: open_book(currency=currency))[:2]  # type: ignore[index]


def test_an_empty_file_becomes_a_book(tmp_path: Path) -> None:
    """
    A file of no bytes, as `mktemp` makes it, is a new book.
    """
    path = tmp_path / "cards.db"
    path.touch()
    open_book(path, currency="EUR").close()
    with open_book(path) as book:
        assert book.currency == "EUR"


def test_a_book_without_its_key_is_not_opened(tmp_path: Path) -> None:
    """
    The missing key and the wrong key are told by their place, and nothing is written.
    """
    path = tmp_path / "cards.db"
    key = tmp_path / "cards.db.key"
    open_book(path, currency="EUR").close()
    before = on_disk(path)
    key.rename(tmp_path / "elsewhere")

    assert (KeyMissingError, str(key)) == outcome(lambda: open_book(path))
    key.write_text("00" * 32)
    assert (KeyMismatchError, str(key)) == outcome(lambda: open_book(path))
    assert (KeyMissingError, "the argument key") == outcome(lambda: open_book(MemoryStore(), currency="EUR"))
    assert before == on_disk(path)
    with open_book(path, key=KeyFile(tmp_path / "elsewhere")) as book:
        assert sound(book) == ()


def test_where_there_is_no_key_no_book_is_made(tmp_path: Path) -> None:
    """
    A key provider without a key is refused before the file exists.
    """
    path = tmp_path / "cards.db"
    key = tmp_path / "missing"

    assert (KeyMissingError, str(key)) == outcome(lambda: open_book(path, currency="EUR", key=KeyFile(key)))
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_a_book_is_not_opened(tmp_path: Path) -> None:
    """
    Another file and a folder are refused, and stay as they are; a place that cannot be one is told.
    """
    path = tmp_path / "notes.txt"
    path.write_text("nothing to see here\n" * 100)

    assert NotABookError is outcome(lambda: open_book(path, currency="EUR"))[0]  # type: ignore[index]
    assert path.read_text() == "nothing to see here\n" * 100
    assert NotABookError is outcome(lambda: open_book(tmp_path, currency="EUR"))[0]  # type: ignore[index]
    assert InvalidValueError is outcome(lambda: open_book("a\0b", currency="EUR"))[0]  # type: ignore[index]
    assert isinstance(outcome(lambda: open_book("x" * 1000, currency="EUR")), tuple)


def test_two_who_make_the_same_book_have_the_same_book(tmp_path: Path) -> None:
    """
    Threads that open the same new file at once all get the one book.
    """
    path = tmp_path / "cards.db"

    def work(number: int) -> list[str]:
        with open_book(path, currency="EUR") as book:
            return [book.extension(EXTENSION).add(f"77{number}")[0].serial]

    made = in_threads(work, 4)
    with open_book(path) as book:
        assert sorted(serial for [serial] in made) == serials(book.extension(EXTENSION))
        assert sound(book) == ()


def test_whoever_comes_second_opens_what_the_first_made() -> None:
    """
    Where somebody else makes the book between looking and making, the currency is theirs.
    """
    store = Meddled()
    first, again = store.another(), store.another()
    store.meddle = lambda: book_on(first).extension(EXTENSION).add("7700")

    assert (CurrencyError, "EUR", "USD") == outcome(lambda: open_book(store, currency="USD", key=BareKey()))
    assert book_on(again).extension(EXTENSION).count() == 1


def test_a_book_without_its_key_ring_is_damaged() -> None:
    """
    Where the key ring is gone and the rest is there, the book is refused instead of being begun anew.
    """
    store = MemoryStore()
    store.commit(Changes(documents=[(Document("book", b"{}", 1), 0)]))

    assert (TamperedError, "keyring", "document") == outcome(lambda: book_on(store))


def test_a_document_that_is_no_bytes_is_damaged() -> None:
    """
    Whatever a store gives for a document, it is either what was written or tampered with.
    """
    store = MemoryStore()
    book = book_on(store)
    broken: Any = "no bytes"
    store.commit(Changes(documents=[(Document(f"extension/{EXTENSION}", broken, 1), 0)]))

    assert outcome(lambda: book.extension(EXTENSION).label) == (TamperedError, f"extension/{EXTENSION}", "document")


def test_a_book_that_cannot_be_opened_leaves_its_store_closed() -> None:
    """
    Nothing stays open after a refusal.
    """
    store = MemoryStore()
    book_on(store.another())

    assert (CurrencyError, "EUR", "USD") == outcome(lambda: open_book(store, currency="USD", key=BareKey()))
    assert StoreClosedError is outcome(lambda: store.find(serial="ZZZZ-000001"))[0]  # type: ignore[index]


# The whole story, once


def test_a_day_in_the_life_of_a_book(tmp_path: Path) -> None:
    """
    What is done in one handle is there in the next, as VoipNow's page does it.

    Add, generate, recharge, limit, disable, search, remove.
    """
    path = tmp_path / "cards.db"
    clock = Clock()
    with file_book(path, clock=clock, license=License(10)).acting_as("alice") as book:
        extension = book.extension(EXTENSION)
        own = extension.add([NewCard("7700", "0482", 5, "PO-1"), NewCard("+40722", credit="unlimited")])
        batch = extension.generate(8, credit=10, order_number="PO-2")
        assert (QuotaExceededError, 10, 10, 1) == outcome(lambda: extension.generate(1))
    clock.move(days=1)
    with file_book(path, clock=clock) as book:
        extension = book.extension(EXTENSION)
        extension.recharge(own[0].serial, "2.50", order_number="PO-3")
        extension.recharge(own[1].serial, -10)
        extension.disable(CardQuery(order_number="PO-2"))
        extension.remove(batch[0].serial)
    with file_book(path, clock=clock) as book:
        extension = book.extension(EXTENSION)

        assert Quota(10, 2) == book.quota
        assert [Credit("7.50"), Credit(0)] == [extension[handout.serial].credit for handout in own]
        assert extension.count(enabled=False, batch=batch.id) == 7
        assert (UnknownCardError, batch[0].serial) == outcome(lambda: extension[batch[0].serial])
        assert [MORNING, clock.now] == [entry.created_at for entry in extension.history(own[0].serial)]
        assert isinstance(extension, Extension)
        assert sound(book) == ()
