"""
Opening a card book: the one place that knows which stores there are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import attrs

from voipcard import installing
from voipcard.book import CardBook
from voipcard.ciphers import AES_256_SIV, KEY_SIZE, Suite, checked_suite
from voipcard.core.drawing import RandomSource
from voipcard.core.license import License
from voipcard.core.policy import Policy
from voipcard.core.profiles import OPERATOR, Profile, checked_profile
from voipcard.core.throttle import DEFAULT_LIMITS, GuessLimits
from voipcard.errors import (
    CurrencyError,
    InvalidValueError,
    KeyMissingError,
    NotABookError,
    StaleError,
    TamperedError,
    storage_error,
)
from voipcard.licensing import Licenses, checked_given
from voipcard.names import BOOK, KEYRING
from voipcard.providers import KeyFile, KeyProvider, checked_provider, fresh_key
from voipcard.records import Records
from voipcard.signing import VerifyKey
from voipcard.stores.contract import Changes, Document, Store
from voipcard.stores.copying import UNFINISHED
from voipcard.stores.memory import MemoryStore
from voipcard.stores.sqlite import SQLiteStore
from voipcard.trail import beginning
from voipcard.transact import BookFacts, Clock, Engine
from voipcard.unlocking import Keys

__all__ = ["open_book"]

_NO_CURRENCY = "XXX"
"""ISO 4217: no currency is meant."""

_CURRENCY = re.compile("[A-Z]{3}", re.ASCII)


def open_book(
    place: str | os.PathLike[str] | Store | None = None,
    *,
    currency: str | None = None,
    key: KeyProvider | None = None,
    profile: Profile | None = None,
    suite: Suite | None = None,
    license: License | str | os.PathLike[str] | None = None,
    license_keys: Iterable[VerifyKey] = (),
    policy: Policy | None = None,
    limits: GuessLimits = DEFAULT_LIMITS,
    clock: Clock | None = None,
    source: RandomSource = os.urandom,
) -> CardBook:
    """
    Open a card book, or make a new one.

    Args:
        place:
            The path of an SQLite file, which is made with the permissions 0600 if it does not exist; or the URL of a
            database, such as `postgresql+psycopg://user@host/cards`, in which the tables are made if they are not
            there; or a store; or None for a book in memory that is gone when it is closed.

        currency:
            The ISO 4217 code of the currency of all amounts, such as `EUR`. Needed once, for a new book with a place;
            later it is checked if it is given.

        key:
            What protects the book's keys. For a path it may be left out: then it is a file beside the database, named
            like it with `.key` at the end, and made for a new book. The two must not share a backup.

        profile:
            What a new book keeps of its PINs, for good: `operator`, where they can be revealed, or `strict`, where they
            can be compared with what a caller dials and never be read. None for `operator`; later it is checked if it
            is given.

        suite:
            What a new book seals with, for good: `aes-256-siv`, or `aes-256-gcm` where rules ask for an algorithm that
            is listed. None for `aes-256-siv`; later it is checked if it is given.

        license:
            How many codes may be active: a `License`, a signed text, or the path of a file with one. It is installed
            in the book if it differs from the one there, so that it holds for every process. None leaves the book's
            own; a new book has no limit. One that cannot be installed is no reason not to open the book: a warning is
            logged, and unless the book has a signed license of its own that holds, no more codes can be active.

        license_keys: Whose signatures under licenses are believed. Without them a signed license does not hold.

        policy: What is refused as too easily guessed; None for the defaults of `Policy`.

        limits: How much guessing is let through; every process that lets callers in has to be given the same.

        clock: Where time comes from: gives an aware datetime. None for the system's clock.

        source: Where codes, PINs and batch ids come from: gives so many random bytes. Keys never come from here.

    Returns:
        The book. Close it, or use it in a `with` block.

    Raises:
        CurrencyError: If the book is new and has no currency, or is kept in another one.

        InvalidValueError: If there is no such *profile* or *suite*, or the book has the other one, or if *key*,
            *limits* or *license* is something else. Nothing was written.

        KeyMissingError: If the book exists and its key does not. Nothing was written.

        KeyMismatchError: If the key is another one. Nothing was written.

        NotABookError: If the file is something else.

        SchemaError: If the book was written by a newer release.

        StoreError: If the file cannot be opened or made.

    Example:
        >>> book = open_book("cards.db", currency="EUR")
        >>> book.currency
        'EUR'
        >>> book.close()
    """
    now = clock or (lambda: datetime.now(UTC))
    if currency is not None and not _CURRENCY.fullmatch(currency):
        raise InvalidValueError("currency", "has to be an ISO 4217 code such as EUR")
    wanted = _Wanted(currency, checked_profile(profile), checked_suite(suite))
    licenses = Licenses(license_keys)
    if license is not None:
        checked_given(license)
    key = None if key is None else checked_provider(key)
    if not isinstance(limits, GuessLimits):
        raise InvalidValueError("limits", "has to be GuessLimits, such as DEFAULT_LIMITS")
    store: Store
    if place is None:
        wanted = attrs.evolve(wanted, currency=currency or _NO_CURRENCY)
        store, key = MemoryStore(), key or fresh_key()
    else:
        store, key = _place(place, key, currency)
    try:
        records, facts = _unlocked(store, key, wanted, now)
        engine = Engine(facts, store, records, now, source, policy or Policy(), limits, licenses=licenses)
        if license is not None:
            installing.install_given(engine, license)
    except BaseException:
        store.close()
        raise

    return CardBook(engine)


@attrs.frozen
class _Wanted:
    """
    What somebody who opens a book says that it is; None for what was not said.
    """

    currency: str | None
    profile: Profile | None
    suite: Suite | None

    def refuse_other(self, facts: BookFacts) -> None:
        """
        Refuse a book that is something else.

        Raises:
            CurrencyError: If its currency is another one.

            InvalidValueError: If its profile or its suite is another one.
        """
        if self.currency not in (None, facts.currency):
            raise CurrencyError(facts.currency, self.currency or "")
        if self.profile not in (None, facts.profile):
            raise InvalidValueError("profile", f"of this book is {facts.profile}, and stays so")
        if self.suite not in (None, facts.suite):
            raise InvalidValueError("suite", f"of this book is {facts.suite}, and stays so")


def _place(
    place: str | os.PathLike[str] | Store, key: KeyProvider | None, currency: str | None
) -> tuple[Store, KeyProvider]:
    if isinstance(place, Store):
        if key is None:
            raise KeyMissingError("the argument key")
        return place, key
    if not isinstance(place, str | os.PathLike):
        missing = [
            name for name in vars(Store) if not name.startswith("_") and not callable(getattr(place, name, None))
        ]
        raise InvalidValueError("place", f"has to be a path or a store: it has no {', '.join(missing)}")
    if isinstance(place, str) and "://" in place:
        if key is None:
            raise KeyMissingError("the argument key")
        from voipcard.stores import SQLAlchemyStore

        return SQLAlchemyStore(place, create=True), key
    if "\0" in os.fsdecode(place):
        raise InvalidValueError("place", "cannot have a NUL character")
    path = Path(place)
    try:
        is_new = not os.path.lexists(path) or (path.is_file() and path.stat().st_size == 0)
    except OSError as error:
        raise storage_error(error, path.name) from error
    if is_new:
        if currency is None:
            raise CurrencyError("", "")
        key = key or _new_key(path)
        key.wrap(os.urandom(KEY_SIZE))  # Where there is no key there must be no book either.

    return SQLiteStore(path), key or KeyFile(f"{path}.key")


def _new_key(path: Path) -> KeyFile:
    import logging

    key = KeyFile(f"{path}.key")
    key.create()
    logging.getLogger("voipcard").warning(
        "the key of %s is in %s: keep them in different backups", path.name, key.path.name
    )

    return key


def _unlocked(store: Store, key: KeyProvider, wanted: _Wanted, clock: Clock) -> tuple[Records, BookFacts]:
    document = store.document(KEYRING)
    if document is None:
        if wanted.currency is None:
            raise CurrencyError("", "")
        keys, document = Keys.generate(key, wanted.suite or AES_256_SIV)
        records = Records(keys.ring, keys, store)
        facts, book = _new_book(records, wanted, clock)
        try:
            store.commit(beginning(Changes(documents=[(document, 0), (book, 0)]), records))
        except StaleError:
            # Another process made the book at the same moment: use what it made.
            if store.document(KEYRING) is None:
                raise TamperedError(KEYRING, "document") from None
            return _unlocked(store, key, wanted, clock)
        return records, facts
    if document.version == UNFINISHED:
        raise NotABookError("a copy was begun here and is not finished: call voipcard.stores.copy again")
    keys = Keys.unlocked(document, key)
    records = Records(keys.ring, keys, store)
    kept = store.document(BOOK)
    if kept is None:
        raise TamperedError(BOOK, "document")
    value = records.value(kept)
    facts = BookFacts(value["id"], value["currency"], value["profile"], value["suite"])
    wanted.refuse_other(facts)

    return records, facts


def _new_book(records: Records, wanted: _Wanted, clock: Clock) -> tuple[BookFacts, Document]:
    facts = BookFacts(
        os.urandom(16).hex(),
        wanted.currency or _NO_CURRENCY,
        wanted.profile or OPERATOR,
        records.keyring.suite,
    )

    return facts, records.document(BOOK, {**attrs.asdict(facts), "created_at": clock().isoformat()}, version=1)
