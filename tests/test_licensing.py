"""
Signed licenses: whoever has one that holds can make codes active, and nothing else ever depends on it.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine

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
    findings_of,
    new_book,
    outcome,
    sound,
)
from voipcard import (
    Call,
    CallRecord,
    CardBook,
    CardQuery,
    Extension,
    Hold,
    License,
    LicenseState,
    Quota,
    Rate,
    RateDeck,
    SignedLicense,
    SigningKey,
    Tariff,
    VerifyKey,
    issue_license,
    read_license,
    signing,
)
from voipcard.errors import InvalidValueError, LicenseError, QuotaExceededError
from voipcard.names import BOOK, LICENSE
from voipcard.stores import Changes, Document, MemoryStore, SQLAlchemyStore, Store
from voipcard.testing import samples
from voipcard.trail import lane_of

VENDOR: Final = SigningKey("vendor-2026", bytes(range(32)))
STRANGER: Final = SigningKey("stranger", bytes(32))
KEYS: Final = [VENDOR.verify_key]
LIMIT: Final = 12
DAY: Final = timedelta(days=1)


def issued(**terms: Any) -> str:  # noqa: ANN401 - those of `issue_license`
    """
    Let the vendor sign a license for any book.
    """
    given = {"id": "L-1", "customer": "ACME", "max_active_codes": LIMIT, "book_id": None, "issued_at": MORNING}

    return issue_license(terms.pop("key", VENDOR), **{**given, **terms})


def opened(store: Store, **settings: Any) -> CardBook:  # noqa: ANN401 - those of `book_on`
    """
    Open a book by an application that has pinned the vendor's key.
    """
    return book_on(store, **{"license_keys": KEYS, **settings})


# Issuing and reading

texts: Final = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=255)
moments: Final = st.datetimes(datetime(1990, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(
    texts,
    texts,
    st.none() | st.integers(0, 2**63 - 1),
    st.none() | st.binary(min_size=16, max_size=16),
    moments,
    st.none() | st.timedeltas(timedelta(0), timedelta(days=500)),
    st.none() | st.timedeltas(timedelta(days=501), timedelta(days=5000)),
)
def test_what_was_issued_is_read(  # noqa: PLR0917 - given by Hypothesis
    customer: str,
    name: str,
    limit: int | None,
    book: bytes | None,
    issued_at: datetime,
    wait: timedelta | None,
    length: timedelta | None,
) -> None:
    """
    A license says what it was issued for, to whoever has pinned the key.
    """
    terms: dict[str, Any] = {
        "customer": customer,
        "id": name,
        "max_active_codes": limit,
        "book_id": None if book is None else book.hex(),
        "issued_at": issued_at,
        "not_before": None if wait is None else issued_at + wait,
        "expires_at": None if length is None else issued_at + length,
    }
    text = issue_license(VENDOR, **terms)
    license_ = read_license(text, [STRANGER.verify_key, VENDOR.verify_key])

    assert SignedLicense(**terms, key_id="vendor-2026", text=text) == license_
    assert license_ == read_license(f"\r\n{text}".replace("\n", "\r\n"), KEYS)


def test_a_license_has_a_name_and_a_moment_of_its_own() -> None:
    """
    Where the vendor says neither, each license has another name, and was signed now.
    """
    before = datetime.now(UTC)
    licenses = [
        read_license(issue_license(VENDOR, customer="ACME", max_active_codes=1, book_id=None), KEYS) for _ in range(2)
    ]

    assert len({license_.id for license_ in licenses}) == 2
    assert all(before <= license_.issued_at <= datetime.now(UTC) for license_ in licenses)


def test_the_payload_is_readable() -> None:
    """
    What a license says is JSON that people can read, and it stays what it is.
    """
    text = issued(id="L-1", customer="Zoë", expires_at=MORNING + timedelta(days=1))

    assert json.loads(base64.b64decode(text.split("\n")[1])) == {
        "id": "L-1",
        "customer": "Zoë",
        "max_active_codes": LIMIT,
        "book_id": None,
        "issued_at": "2026-03-01T09:00:00+00:00",
        "not_before": None,
        "expires_at": "2026-03-02T09:00:00+00:00",
    }
    assert "Zoë".encode() in base64.b64decode(text.split("\n")[1])


@pytest.mark.parametrize(
    "terms",
    [
        *({"key": VENDOR.verify_key}, {"customer": ""}, {"max_active_codes": -1}, {"book_id": "mine"}, {"id": ""}),
        *({"expires_at": MORNING}, {"issued_at": MORNING.replace(tzinfo=None)}, {"not_before": "now"}),
    ],
)
def test_what_makes_no_sense_is_not_signed(terms: dict[str, Any]) -> None:
    """
    A vendor is told what is wrong before a customer is.
    """
    with pytest.raises(InvalidValueError):
        issued(**terms)


def test_not_one_bit_of_a_license_can_be_changed() -> None:
    """
    Whichever bit is flipped, the license is refused, by the reader and by a book.
    """
    data = issued(customer="ACME Telecom", expires_at=MORNING + timedelta(days=365), book_id="0" * 32).encode()
    flipped = [
        bytes([*data[:at], data[at] ^ 1 << bit, *data[at + 1 :]]).decode("latin-1")
        for at in range(len(data))
        for bit in range(8)
    ]
    book = new_book(license_keys=KEYS)

    def refusal(call: Callable[[], object]) -> str:
        with pytest.raises(LicenseError) as caught:
            call()
        return caught.value.reason

    read = [refusal(lambda text=text: read_license(text, KEYS)) for text in flipped]  # type: ignore[misc]
    installed = [refusal(lambda text=text: book.install_license(text)) for text in flipped]  # type: ignore[misc]

    assert len(flipped) >= 3200
    assert {"malformed", "untrusted", "forged"} == set(read)
    assert read == installed
    assert (License.unlimited(), []) == (book.license, list(book.audit_trail()))
    assert read_license(data.decode(), KEYS).customer == "ACME Telecom"


@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"",
        lambda _: b"\xff",
        lambda _: b"[]",
        lambda _: b"[" * 100_000,
        lambda _: b"5",
        lambda data: data[:-1],
        lambda data: data.replace(b'"customer"', b'"client"'),
        lambda data: data.replace(b"{", b'{"features": [],'),
        lambda data: data.replace(b"{", b'{"max_active_codes": 99,'),
        lambda data: data.replace(b'"max_active_codes": 12', b'"max_active_codes": "12"'),
        lambda data: data.replace(b'"max_active_codes": 12', b'"max_active_codes": 1e400'),
        lambda data: data.replace(b'"max_active_codes": 12', b'"max_active_codes": -1'),
        lambda data: data.replace(b"+00:00", b""),
        lambda data: data.replace(b'"2026-03-01T09:00:00+00:00"', b"7"),
        lambda data: data.replace(b'"2026-03-01T09:00:00+00:00"', b"null"),
        lambda data: data.replace(b'"book_id": null', b'"book_id": "mine"'),
    ],
)
def test_what_a_trusted_key_signed_may_be_no_license(change: Callable[[bytes], bytes]) -> None:
    """
    A license of another release, which may say what this one does not understand, is not taken for less than it says.
    """
    payload = base64.b64decode(issued().split("\n")[1])
    changed = change(payload)

    assert changed != payload
    assert (LicenseError, "malformed") == outcome(lambda: read_license(signing.sign("license", changed, VENDOR), KEYS))


@pytest.mark.parametrize("text", [None, 5, b"voipcard-license-1", License(5)])
def test_what_is_no_text_is_no_license(text: Any) -> None:  # noqa: ANN401 - what is refused
    """
    Only a text can be read.
    """
    assert (LicenseError, "malformed") == outcome(lambda: read_license(text, KEYS))


def test_keys_are_keys() -> None:
    """
    Whoever pins something else is told so at once, and not when the first code is to be active.
    """
    for keys in (KEYS[0].text, [KEYS[0].text], [VENDOR], None):
        assert outcome(lambda keys=keys: read_license(issued(), keys))[0] is InvalidValueError  # type: ignore[misc, index]
        assert outcome(lambda keys=keys: new_book(license_keys=keys))[0] is InvalidValueError  # type: ignore[misc, index]


# Installing


def test_a_license_that_holds_is_installed_once_for_everybody() -> None:
    """
    It holds for each handle whose application has pinned the key, and the trail tells what was before and after.
    """
    store = MemoryStore()
    book, other = opened(store), opened(store.another())
    text = issued(book_id=book.id, id="L-1")
    expected = {"id": "L-1", "customer": "ACME", "max_active_codes": LIMIT, "book_id": book.id}

    assert Quota(LIMIT, 0) == book.install_license(text)
    assert read_license(text, KEYS) == other.license == other.license_state.license
    assert other.license_state.holds
    other.extension(EXTENSION).generate(LIMIT)
    assert (QuotaExceededError, LIMIT, LIMIT, 1) == outcome(lambda: book.extension(OTHER).generate(1))
    [audit] = [entry for entry in book.audit_trail() if entry.verb == "install_license"]
    assert audit.detail["before"] == {"max_active_codes": None}
    assert expected.items() <= audit.detail["after"].items()
    assert sound(book) == ()


@pytest.mark.parametrize("way", ["text", "license", "path", "opening"])
def test_a_license_comes_as_text_value_or_file(way: str, tmp_path: Path) -> None:
    """
    However it comes, it is the same license; saying the same again at the opening writes nothing.
    """
    store, path = Recording(), tmp_path / "acme.license"
    path.write_text(issued())
    given: dict[str, Any] = {"text": issued(), "license": read_license(issued(), KEYS), "path": path}
    if way == "opening":
        book = opened(store, license=path)
    else:
        book = opened(store)
        book.install_license(given[way])
    commits = len(store.commits)
    again = opened(store, license=path)

    assert read_license(issued(), KEYS) == book.license == again.license
    assert commits == len(store.commits)


def test_only_the_text_of_a_license_counts() -> None:
    """
    Whoever makes a license by hand, or changes one, installs what was signed or nothing.
    """
    book = new_book(license_keys=KEYS)
    license_ = read_license(issued(), KEYS)
    book.install_license(attrs.evolve(license_, max_active_codes=10**6, customer="Mallory"))

    assert book.license == license_
    assert (LicenseError, "malformed") == outcome(lambda: book.install_license(attrs.evolve(license_, text="mine")))


def later(**terms: Any) -> str:  # noqa: ANN401 - those of `issue_license`
    """
    Let the vendor sign a license an hour later.
    """
    return issued(issued_at=MORNING + timedelta(hours=1), **terms)


REFUSED: Final[Mapping[str, Callable[[CardBook], License | str | Path]]] = {
    "malformed": lambda _: "voipcard-license-1",
    "untrusted": lambda _: later(key=STRANGER),
    "forged": lambda _: later(key=SigningKey.generate("vendor-2026")),
    "foreign": lambda _: later(book_id="0" * 32),
    "expired": lambda _: issued(issued_at=MORNING - timedelta(days=1), expires_at=MORNING),
    "not_yet_valid": lambda _: later(not_before=MORNING + timedelta(microseconds=1)),
    "clock": lambda _: issued(
        issued_at=MORNING + timedelta(days=1, microseconds=1), expires_at=MORNING + timedelta(days=9)
    ),
    "unsigned": lambda _: License(100),
    "older": lambda _: issued(issued_at=MORNING - timedelta(days=2, microseconds=1)),
    "missing": lambda _: Path("nowhere.license"),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_license_that_does_not_hold_is_not_installed(
    reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """
    The one before stays, nothing is written, and an opening with such a license succeeds and says so in the log.
    """
    monkeypatch.chdir(tmp_path)
    store, first = Recording(), issued(issued_at=MORNING - timedelta(days=2))
    book = opened(store, license=first)
    given = REFUSED[reason](book)
    commits = len(store.commits)
    with caplog.at_level(logging.WARNING):
        again = opened(store, license=given)

    assert str(LicenseError(reason)) in caplog.text
    assert (LicenseError, reason) == outcome(lambda: book.install_license(given))
    assert commits == len(store.commits)
    assert read_license(first, KEYS) == book.license == again.license
    assert again.extension(EXTENSION).generate(LIMIT).size == LIMIT


@pytest.mark.parametrize("reason", [reason for reason in REFUSED if reason not in {"unsigned", "older"}])
def test_a_damaged_file_is_worth_no_more_than_none(
    reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    An application that names a license file gets no active codes from one that does not hold, also in a new book.
    """
    monkeypatch.chdir(tmp_path)
    store = MemoryStore()
    book = opened(store, license=REFUSED[reason](new_book()))

    assert (reason, Quota(0, 0)) == (book.license_state.problem, book.quota)
    assert (LicenseError, reason) == outcome(lambda: book.extension(EXTENSION).generate(1))
    assert book.extension(EXTENSION).generate(1, enabled=False).size == 1
    assert (LicenseError, reason) == outcome(lambda: book.install_license(License(100)))
    assert Quota(LIMIT, 0) == book.install_license(issued())
    assert book.extension(EXTENSION).generate(1).size == 1


def test_a_file_that_cannot_be_text_is_malformed(tmp_path: Path) -> None:
    """
    Another file by mistake, however large, is told from one that is not there, and from one with a byte order mark.
    """
    for data in (b"\xff\xfe", bytes(10**6)):
        (tmp_path / "file").write_bytes(data)
        assert (LicenseError, "malformed") == outcome(lambda: new_book().install_license(tmp_path / "file"))
    (tmp_path / "file").write_text(issued(), encoding="utf-8-sig")

    assert (LicenseError, "missing") == outcome(lambda: new_book().install_license(tmp_path))
    assert Quota(LIMIT, 0) == new_book(license_keys=KEYS).install_license(tmp_path / "file")


def test_a_license_is_installed_once_under_one_name() -> None:
    """
    The same call with the same operation is not done again, and another license under that name is refused.
    """
    book = new_book(license_keys=KEYS)
    first = [book.install_license(issued(), operation="renewal") for _ in range(2)]

    assert [Quota(LIMIT, 0)] * 2 == first
    assert len([entry for entry in book.audit_trail() if entry.verb == "install_license"]) == 1
    assert "OperationConflictError" in str(outcome(lambda: book.install_license(later(), operation="renewal")))


def test_of_two_licenses_at_once_the_newer_one_stays() -> None:
    """
    Where somebody else installs a newer license meanwhile, the older one is refused after all.
    """
    store = Meddled()
    book = opened(store)
    store.meddle = lambda: opened(store.another()).install_license(later(max_active_codes=3))

    assert (LicenseError, "older") == outcome(lambda: book.install_license(issued()))
    assert book.quota.limit == 3
    assert sound(book) == ()


def test_a_license_installed_meanwhile_holds_for_what_is_under_way() -> None:
    """
    Codes that were to be active under the license before are counted by the one that is there at the commit.
    """
    store = Meddled()
    extension = opened(store).extension(EXTENSION)
    store.meddle = lambda: opened(store.another()).install_license(issued(max_active_codes=3))

    assert (QuotaExceededError, 3, 0, 4) == outcome(lambda: extension.generate(4))
    store.meddle = lambda: opened(store.another()).install_license(later(key=VENDOR, max_active_codes=2))
    assert extension.generate(2).size == 2


def test_a_renewal_follows_a_license() -> None:
    """
    A license that ends is followed by one that was signed later; never the other way around, and never by a number.
    """
    clock = Clock()
    first = issued(expires_at=MORNING + timedelta(days=30))
    book = new_book(clock=clock, license_keys=KEYS, license=first)
    extension = book.extension(EXTENSION)
    extension.generate(2)
    clock.move(days=30)

    assert (LicenseError, "expired") == outcome(lambda: extension.generate(1))
    assert LicenseState(read_license(first, KEYS), "expired") == book.license_state
    assert Quota(5, 2) == book.install_license(issued(issued_at=clock.now, max_active_codes=5))
    assert extension.generate(3).size == 3
    for worse in (issued(), License.unlimited(), License(10**6)):
        assert outcome(lambda worse=worse: book.install_license(worse))[0] is LicenseError  # type: ignore[misc, index]
    assert Quota(5, 5) == book.quota


# A license that does not hold any more

CODE: Final = "7711018342215190"
PIN: Final = "048215937162"
CALLER: Final = "+407221234567"


@attrs.frozen
class World:
    """
    A book with cards that were made under a license that held.

    Attributes:
        store: Where it is.
        clock: What the time is.
        book: The book; alice acts.
        folder: A folder for files.
        license: Its newest license.
        before: The documents of the licenses that it had before, the unsigned one first.
        cards: A card with a code and a PIN, one with a CallerID, one that is disabled, and three of a batch.
    """

    store: MemoryStore
    clock: Clock
    book: CardBook
    folder: Path
    license: str
    before: list[Document]
    cards: list[str]

    @property
    def extension(self) -> Extension:
        """
        The extension of the cards.
        """
        return self.book.extension(EXTENSION)

    @property
    def batch(self) -> str:
        """
        The batch of the last three cards.
        """
        return self.cards[-1].partition("-")[0]

    def opened(self, **settings: Any) -> World:  # noqa: ANN401 - those of `book_on`
        """
        Open the book once more, as after a restart.
        """
        book = opened(self.store, clock=self.clock, **settings).acting_as("alice")

        return attrs.evolve(self, book=book)

    def held(self) -> Hold:
        """
        Hold credit of the first card.
        """
        return self.extension.hold(self.cards[0], 1, expires_in=DAY)

    def begun(self) -> Call:
        """
        Begin a call with the first card.
        """
        self.book.install_deck(RateDeck([Rate("40", Tariff(price=1))], name="evening"))
        self.extension.configure(deck="evening")

        return self.extension.begin_call(self.cards[0], "40213123456", call_id="call 1")

    def document(self, key: str) -> Document:
        """
        Give what is stored.
        """
        document = self.store.document(key)
        assert document is not None

        return document

    def planted(self, value: object) -> World:
        """
        Put another license into the book, as somebody can who has its keys and this library.
        """
        version = self.document(LICENSE).version
        document = engine_of(self.book).records.document(LICENSE, value, version=version + 1)
        self.store.commit(Changes(documents=[(document, version)]))

        return self.opened()

    def replaced(self, document: Document) -> World:
        """
        Put a document back that was there before, or one that was damaged.
        """
        self.store.commit(Changes(documents=[(document, self.document(document.key).version)]))

        return self.opened()


@pytest.fixture
def world(tmp_path: Path) -> World:
    """
    Make a book that has had a license by hand, then a signed one, then another.
    """
    store, clock = MemoryStore(), Clock(MORNING - timedelta(days=2))
    book = opened(store, clock=clock, license=License(100))
    new = World(store, clock, book.acting_as("alice"), tmp_path, "", [], [])
    new.before.append(new.document(LICENSE))
    book.install_license(issued(issued_at=clock.now, book_id=book.id))
    new.before.append(new.document(LICENSE))
    clock.move(days=2)
    license_ = issued(book_id=book.id, not_before=MORNING, expires_at=MORNING + timedelta(days=90))
    book.install_license(license_)
    extension = new.extension
    [code] = extension.add(CODE, pin=PIN, credit=10)
    [caller] = extension.add(CALLER, credit=10)
    [idle] = extension.add("7744048342215193", enabled=False)
    batch = extension.generate(3, credit=5)
    new.cards.extend([code.serial, caller.serial, idle.serial, *(handout.serial for handout in batch)])

    return attrs.evolve(new, license=license_)


def damaged(document: Document) -> Document:
    """
    Flip a bit of what is stored.
    """
    return document._replace(value=bytes([document.value[0] ^ 1, *document.value[1:]]))


def forgotten(world: World, key: str) -> None:
    """
    Take a document away.
    """
    world.store.commit(Changes(forget=[(key, world.document(key).version)]))


def removed(world: World) -> World:
    """
    Take the license away.
    """
    forgotten(world, LICENSE)

    return world.opened()


def without_itself(world: World) -> World:
    """
    Take away what the book says of itself, while it is open: it could not be opened again.
    """
    forgotten(world, BOOK)

    return world


def set_back(world: World) -> World:
    """
    Set the clock back after it had been right.
    """
    world.clock.move(days=3)
    world.extension.recharge(world.cards[0], 1)
    world.book.label_extension(EXTENSION, "Kiosk")
    world.clock.move(days=-1, microseconds=-1)

    return world.opened()


def passed(world: World) -> World:
    """
    Let time pass until the license ends.
    """
    world.clock.move(days=90)

    return world


def without_heads(world: World) -> World:
    """
    Take away what the book knows of time, in the hope to set the clock back then.
    """
    for document in list(world.store.documents("trail/")):
        forgotten(world, document.key)

    return world.opened()


def as_at_first(world: World) -> World:
    """
    Put back what the book said of itself before its first signed license.
    """
    records, book = engine_of(world.book).records, world.document(BOOK)
    value = records.value(book)
    value.pop("newest_license")

    return world.replaced(records.document(BOOK, value, version=1))


def enlarged(world: World) -> World:
    """
    Let the license say that it allows more.
    """
    kind, payload, *rest = world.license.split("\n")
    changed = base64.b64decode(payload).replace(b": 12", b": 99")

    return world.planted({"signed": "\n".join([kind, base64.b64encode(changed).decode(), *rest])})


def itself_damaged(world: World) -> World:
    """
    Change what the book says of itself, while it is open.
    """
    document = world.document(BOOK)
    world.store.commit(Changes(documents=[(damaged(document), document.version)]))

    return world


def another(**terms: Any) -> Callable[[World], World]:  # noqa: ANN401 - those of `issue_license`
    """
    Put a license of other terms into the book.
    """
    return lambda world: world.planted({"signed": issued(**terms)})


IMPOSTOR: Final = SigningKey("vendor-2026", bytes(32))

BROKEN: Final[Mapping[str, tuple[str, Callable[[World], World]]]] = {
    "a larger number in the signed text": ("forged", enlarged),
    "no text at all": ("malformed", lambda world: world.planted({"signed": "voipcard-license-1"})),
    "a number for a text": ("malformed", lambda world: world.planted({"signed": 5})),
    "no license at all": ("malformed", lambda world: world.planted({"max_active_codes": "many"})),
    "something else": ("malformed", lambda world: world.planted([5])),
    "a damaged document": ("tampered", lambda world: world.replaced(damaged(world.document(LICENSE)))),
    "a removed license": ("removed", removed),
    "a book that says nothing of itself": ("tampered", without_itself),
    "a book that says something else of itself": ("tampered", itself_damaged),
    "an application without keys": ("untrusted", lambda world: world.opened(license_keys=[])),
    "an application with other keys": ("untrusted", lambda world: world.opened(license_keys=[STRANGER.verify_key])),
    "the key under another id": (
        "untrusted",
        lambda world: world.opened(license_keys=[VerifyKey("vendor", VENDOR.verify_key.data)]),
    ),
    "another key under this id": ("forged", lambda world: world.opened(license_keys=[IMPOSTOR.verify_key])),
    "a license of another key": ("untrusted", another(key=STRANGER)),
    "a license that a customer made": ("forged", another(key=IMPOSTOR)),
    "another book's license": ("foreign", another(book_id="0" * 32)),
    "an older license": ("older", another(issued_at=MORNING - timedelta(microseconds=1))),
    "the document of the license before": ("older", lambda world: world.replaced(world.before[1])),
    "the document of the license by hand": ("unsigned", lambda world: world.replaced(world.before[0])),
    "a book without a license, as at first": ("removed", lambda world: removed(as_at_first(world))),
    "a book with a license by hand, as at first": (
        "unsigned",
        lambda world: as_at_first(world).replaced(world.before[0]),
    ),
    "a license by hand": ("unsigned", lambda world: world.planted({"max_active_codes": 1000})),
    "a license that has expired": ("expired", passed),
    "a license that is for later": ("not_yet_valid", another(not_before=MORNING + timedelta(days=1))),
    "a clock that was set back": ("clock", set_back),
    "a clock before the license was issued": (
        "clock",
        another(issued_at=MORNING + timedelta(days=1, microseconds=1), expires_at=MORNING + timedelta(days=9)),
    ),
}
"""What can become of a license, the reason that is told then, and how it comes about."""


def upload(world: World) -> Path:
    """
    Write a file to upload.
    """
    path = world.folder / "upload.csv"
    path.write_text("7755058342215194\n")

    return path


def told(world: World) -> CallRecord:
    """
    Give a call that has taken place.
    """
    return CallRecord("call 1", world.cards[0], "40213123456", MORNING - timedelta(days=9), 60)


def cdrs(world: World) -> Path:
    """
    Write a file of calls.
    """
    path = world.folder / "cdrs.csv"
    path.write_text(f"uniqueid,card,dst,start,billsec\n1,{world.cards[0]},40213123456,2026-03-01 08:00:00,60\n")

    return path


ACTIVATING: Final[Mapping[str, Callable[[World], object]]] = {
    "generate": lambda w: w.extension.generate(1),
    "generate, as an operation": lambda w: w.extension.generate(1, operation="once"),
    "generate, too many": lambda w: w.extension.generate(LIMIT + 1),
    "generate, only to try": lambda w: w.extension.generate(1, dry_run=True),
    "add": lambda w: w.extension.add("7755058342215194"),
    "add, only to try": lambda w: w.extension.add("7755058342215194", dry_run=True),
    "add a CallerID": lambda w: w.book.extension(OTHER).add("+40723"),
    "upload": lambda w: w.extension.upload(upload(w)),
    "upload, only to try": lambda w: w.extension.upload(upload(w), dry_run=True),
    "enable": lambda w: w.extension.enable(w.cards[2]),
    "enable what is found": lambda w: w.extension.enable(CardQuery(enabled=False)),
}
"""What makes codes active."""

DECK: Final = RateDeck([Rate("40", Tariff(price="0.02"))])

VERBS: Final[Mapping[str, Callable[[World], object]]] = {
    # Of an extension
    "label": lambda w: w.extension.label,
    "enabled": lambda w: w.extension.enabled,
    "settings": lambda w: w.extension.settings,
    "configure": lambda w: w.extension.configure(minimum_credit=1),
    "generate": lambda w: w.extension.generate(2, enabled=False),
    "add": lambda w: w.extension.add("7755058342215195", enabled=False),
    "upload": lambda w: w.extension.upload(upload(w), enabled=False),
    "edit": lambda w: w.extension.edit(w.cards[0], pin="048215937163"),
    "enable": lambda w: w.extension.enable(w.cards[0]),
    "disable": lambda w: w.extension.disable(w.cards[0]),
    "remove": lambda w: w.extension.remove(w.cards[0]),
    "remove_unused": lambda w: w.extension.remove_unused(older_than=timedelta(0)),
    "set_expiry": lambda w: w.extension.set_expiry(w.cards[0], MORNING + timedelta(days=900)),
    "disable_expired": lambda w: (
        w.extension.set_expiry(w.cards[3], MORNING - timedelta(days=9)),
        w.extension.disable_expired(),
    ),
    "label_cards": lambda w: w.extension.label_cards(w.cards[0], add=["printed"]),
    "reveal": lambda w: w.extension.reveal(w.cards[0]),
    "authenticate": lambda w: w.extension.authenticate(CODE, pin=PIN),
    "authenticate_caller": lambda w: w.extension.authenticate_caller(CALLER),
    "asks_for": lambda w: w.extension.asks_for(CALLER),
    "guesses": lambda w: w.extension.guesses(w.cards[0]),
    "unblock": lambda w: w.extension.unblock(w.cards[0]),
    "hold": lambda w: w.held(),
    "extend": lambda w: w.extension.extend(w.held(), expires_in=DAY),
    "capture": lambda w: w.extension.capture(w.held()),
    "release": lambda w: w.extension.release(w.held()),
    "holds": lambda w: w.extension.holds(w.held().serial),
    "sweep": lambda w: (w.book.sweep(), w.extension.sweep()),
    "begin_call": lambda w: w.begun().keep_alive().end(60),
    "call": lambda w: w.extension.call(w.begun().serial, call_id="call 1").end(60),
    "batches": lambda w: w.extension.batches(),
    "batch": lambda w: w.extension.batch(w.batch),
    "disable_batch": lambda w: w.extension.disable_batch(w.batch),
    "enable_batch": lambda w: (w.extension.disable_batch(w.batch), w.extension.enable_batch(w.batch)),
    "label_batch": lambda w: w.extension.label_batch(w.batch, add=["shipped"]),
    "recharge": lambda w: w.extension.recharge(w.cards[0], 1),
    "recharge_many": lambda w: w.extension.recharge_many([(w.cards[0], 1)]),
    "transfer": lambda w: w.extension.transfer(w.cards[0], w.cards[1], amount=1),
    "settle_calls": lambda w: w.extension.settle_calls([told(w)]),
    "import_cdrs": lambda w: w.extension.import_cdrs(cdrs(w)),
    "history": lambda w: list(w.extension.history(w.cards[0])),
    "find": lambda w: w.extension.find(code=CODE),
    "cost_report": lambda w: (w.book.cost_report(), w.extension.cost_report()),
    "recharge_report": lambda w: (w.book.recharge_report(), w.extension.recharge_report()),
    "liability": lambda w: (w.book.liability(), w.extension.liability()),
    "breakage": lambda w: (w.book.breakage(), w.extension.breakage()),
    "ageing": lambda w: (w.book.ageing(), w.extension.ageing()),
    "first_use_curve": lambda w: (w.book.first_use_curve(), w.extension.first_use_curve()),
    "calls": lambda w: (list(w.book.calls()), list(w.extension.calls())),
    "reveal_calls": lambda w: (list(w.book.reveal_calls()), list(w.extension.reveal_calls())),
    "get": lambda w: w.extension.get(w.cards[0]),
    "search": lambda w: list(w.extension.search()),
    "page": lambda w: w.extension.page(),
    "count": lambda w: w.extension.count(),
    "export": lambda w: w.extension.export(w.folder / "cards.csv", reveal=True),
    # Of a book
    "id": lambda w: w.book.id,
    "currency": lambda w: w.book.currency,
    "profile": lambda w: w.book.profile,
    "suite": lambda w: w.book.suite,
    "rotate_keys": lambda w: w.book.rotate_keys(),
    "change_key": lambda w: w.book.change_key(BareKey()),
    "acting_as": lambda w: w.book.acting_as("bob"),
    "over": lambda w: w.book.over(w.store.another()).extension(EXTENSION).recharge(w.cards[0], 1),
    "extension": lambda w: w.book.extension(OTHER),
    "extensions": lambda w: w.book.extensions(),
    "label_extension": lambda w: w.book.label_extension(OTHER, "Kiosk"),
    "disable_extension": lambda w: w.book.disable_extension(OTHER),
    "enable_extension": lambda w: w.book.enable_extension(OTHER),
    "license": lambda w: w.book.license,
    "license_state": lambda w: w.book.license_state,
    "quota": lambda w: (w.book.quota, w.extension.quota),
    "audit_trail": lambda w: list(w.book.audit_trail()),
    "audit_page": lambda w: w.book.audit_page(),
    "install_deck": lambda w: w.book.install_deck(DECK),
    "decks": lambda w: w.book.decks(),
    "deck": lambda w: (w.book.install_deck(DECK), w.book.deck()),
    "on_commit": lambda w: w.book.on_commit(print),
    "release_hooks": lambda w: w.book.release_hooks(),
    "watch_guessing": lambda w: w.book.watch_guessing(),
    "purge_expired": lambda w: w.book.purge_expired(),
    "checkpoint": lambda w: w.book.checkpoint(VENDOR),
    "verify": lambda w: w.book.verify(),
    "close": lambda w: w.book.close(),
}
"""Everything else that a book and its extensions can do; `install_license` has tests of its own."""


def test_the_table_is_complete() -> None:
    """
    Each public name of a book and of an extension is in the table: a new one is tried without a license too.
    """
    public = {name for kind in (CardBook, Extension) for name in dir(kind) if not name.startswith("_")}

    assert VERBS.keys() | {"install_license"} == public
    assert {name for name in ACTIVATING if name.isidentifier()} <= VERBS.keys()


def dump(store: Store) -> object:
    """
    Give all that a store holds.
    """
    return (*samples.contents(store), store.counters([f"{name}/{EXTENSION}" for name in ("active", "cards")]))


@pytest.mark.parametrize("case", BROKEN)
def test_without_a_license_no_codes_become_active(case: str, world: World) -> None:
    """
    Each way to make codes active is refused with the reason and writes nothing; the book tells the same.
    """
    reason, break_it = BROKEN[case]
    world = break_it(world)
    before = dump(world.store)
    answers = {name: outcome(lambda verb=verb: verb(world)) for name, verb in ACTIVATING.items()}  # type: ignore[misc]

    assert dict.fromkeys(ACTIVATING, (LicenseError, reason)) == answers
    assert before == dump(world.store)
    assert (License(0), Quota(0, 5), False) == (world.book.license, world.book.quota, world.extension.quota.can_add)
    assert reason == world.book.license_state.problem


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("case", BROKEN)
def test_everything_else_goes_on(case: str, verb: str, world: World) -> None:
    """
    Whatever became of the license, nothing is hidden and nothing but new active codes is refused.
    """
    _, break_it = BROKEN[case]
    VERBS[verb](break_it(world))


@pytest.mark.parametrize("verb", ACTIVATING)
def test_with_a_license_that_holds_codes_become_active(verb: str, world: World) -> None:
    """
    The control: the same book lets in whatever its license allows, also after a restart.
    """
    answer = outcome(lambda: ACTIVATING[verb](world.opened()))

    if verb == "generate, too many":
        assert (QuotaExceededError, LIMIT, 5, LIMIT + 1) == answer
    else:
        assert not (isinstance(answer, tuple) and isinstance(answer[0], type))


@pytest.mark.parametrize("case", [case for case in BROKEN if "itself" not in case])
def test_a_new_license_heals_everything_but_the_clock(case: str, world: World) -> None:
    """
    Whatever became of the license before, one that holds can be installed, and codes become active again.
    """
    reason, break_it = BROKEN[case]
    world = attrs.evolve(break_it(world), license="").opened()
    renewal = issued(issued_at=world.clock.now + timedelta(hours=1), max_active_codes=6)
    forever = outcome(lambda: world.book.install_license(renewal))

    assert Quota(6, 5) == forever, reason
    assert world.extension.generate(1).size == 1
    assert (QuotaExceededError, 6, 6, 1) == outcome(lambda: world.extension.generate(1))


def test_a_license_below_what_is_active_disables_nothing(world: World) -> None:
    """
    Five codes stay active under a license for two, and as many have to go before another one comes.
    """
    assert Quota(2, 5) == world.book.install_license(later(max_active_codes=2))
    assert (QuotaExceededError, 2, 5, 1) == outcome(lambda: world.extension.generate(1))
    assert world.extension.disable(world.cards[3:]) == 3
    assert (QuotaExceededError, 2, 2, 1) == outcome(lambda: world.extension.enable(world.cards[2]))
    world.extension.remove(world.cards[0])
    assert world.extension.enable(world.cards[2]) == 1


# The clock


@pytest.mark.parametrize("restarted", [False, True])
def test_a_clock_that_is_set_back_is_noticed_by_whoever_comes(restarted: bool, world: World) -> None:  # noqa: FBT001
    """
    After the license has ended, no clock brings it back: not in the same process, and not in the next.
    """
    world.clock.move(days=90)
    assert (LicenseError, "expired") == outcome(lambda: world.extension.generate(1))
    world.extension.recharge(world.cards[0], 1)
    world.book.disable_extension(OTHER)
    world.clock.move(days=-60)
    world = world.opened() if restarted else world

    assert (LicenseError, "clock") == outcome(lambda: world.extension.generate(1))
    world.clock.move(days=59)
    assert world.extension.generate(1).size == 1


def test_a_clock_may_be_wrong_by_a_day(world: World) -> None:
    """
    Machines that share a book need not agree on the time.
    """
    world.clock.move(days=5)
    world.book.label_extension(OTHER, "Kiosk")
    world.clock.move(days=-1)

    assert world.opened().extension.generate(1).size == 1
    world.clock.move(microseconds=-1)
    assert (LicenseError, "clock") == outcome(lambda: world.opened().extension.generate(1))


def test_what_the_book_knows_of_time_cannot_be_taken_away(world: World) -> None:
    """
    Where what was recorded last is missing or was edited, nothing with a date is believed.
    """
    heads = list(world.store.documents("trail/"))
    broken = world.replaced(damaged(heads[7]))
    assert (LicenseError, "tampered") == outcome(lambda: broken.extension.generate(1))
    world.store.commit(Changes(documents=[(heads[7], heads[7].version)]))
    assert world.opened().extension.count() == 6
    without = without_heads(world)

    assert (LicenseError, "tampered") == outcome(lambda: without.extension.generate(1))
    assert without.book.license_state.problem == "tampered"


def test_a_license_without_an_end_needs_no_clock(world: World) -> None:
    """
    Where a clock had run ahead, a license that never ends lets codes in at once.
    """
    world.clock.move(days=400)
    world.book.label_extension(OTHER, "Kiosk")
    world.clock.move(days=-400)
    world = world.opened()
    assert (LicenseError, "clock") == outcome(lambda: world.extension.generate(1))

    assert Quota(LIMIT, 5) == world.book.install_license(later())
    assert world.extension.generate(1).size == 1


# Verification

BEHIND_ITS_BACK: Final[Mapping[str, Callable[[World], World]]] = {
    "removed": removed,
    "damaged": lambda world: world.replaced(damaged(world.document(LICENSE))),
    "the license before": lambda world: world.replaced(world.before[1]),
    "the license by hand": lambda world: world.replaced(world.before[0]),
}


def test_a_book_with_licenses_is_sound(world: World) -> None:
    """
    What installing licenses writes is what verification expects.
    """
    assert sound(world.opened().book) == ()


@pytest.mark.parametrize("case", BEHIND_ITS_BACK)
def test_a_license_that_was_changed_from_outside_is_found(case: str, world: World) -> None:
    """
    Verification finds a license that was taken away, damaged or put back.
    """
    assert (LICENSE, "document") in findings_of(BEHIND_ITS_BACK[case](world).book)


def test_what_a_book_remembers_of_licenses_cannot_be_put_back(world: World) -> None:
    """
    Where somebody puts back what the book says of itself together with its license by hand, verification finds it.
    """
    world = as_at_first(world).replaced(world.before[0])

    assert world.book.license == License(0)
    assert sound(world.book) != ()


def test_the_whole_audit_trail_remembers_a_license(world: World) -> None:
    """
    Each lane that is written to by who knows of a license tells of it: putting back one head lets nobody forget.
    """
    [installing] = [entry for entry in world.book.audit_trail() if entry.detail.get("after", {}).get("not_before")]
    lane = f"trail/{lane_of(installing.id)[0]:02x}"
    other = opened(world.store.another(), clock=world.clock)
    assert other.license.max_active_codes == LIMIT
    other.label_extension(OTHER, "Kiosk")
    records = engine_of(world.book).records
    head = {**records.value(world.document(lane)), "licensed_at": 0}
    broken = removed(as_at_first(world).replaced(records.document(lane, head, version=world.document(lane).version)))

    assert (LicenseError, "removed") == outcome(lambda: broken.extension.generate(1))
    assert (LicenseError, "older") == outcome(lambda: broken.book.install_license(issued(issued_at=MORNING - DAY)))
    assert (LicenseError, "unsigned") == outcome(lambda: broken.book.install_license(License(100)))


def test_a_license_that_was_rolled_back_is_forgotten(tmp_path: Path) -> None:
    """
    What was installed in a transaction of the caller's that was rolled back is nothing that the book has had.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'portal.db'}")
    book = opened(SQLAlchemyStore(engine, create=True))
    with engine.connect() as connection:
        joined = book.over(SQLAlchemyStore(connection))
        joined.install_license(issued())
        assert Quota(LIMIT, 0) == joined.quota
        connection.rollback()

    assert License.unlimited() == book.license
    assert book.extension(EXTENSION).generate(LIMIT + 1).size == LIMIT + 1
    engine.dispose()
