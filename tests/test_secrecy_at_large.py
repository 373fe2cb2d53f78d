"""
Secrecy at large: of thirty thousand codes, PINs and CallerIDs none is in a database, a log, a list or an error.

Nor is any of a thousand numbers that were called.
"""

from __future__ import annotations

import io
import logging
import pickle
import random
import secrets
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy

from tests.book_world import PROMPT, BareKey
from tests.databases import SERVERS, DatabaseKind, empty_database, engine_on, on
from tests.stores.test_sqlite import WAL
from tests.test_refusals import said
from tests.test_secrecy import CODES, NUMBER, PINS, Logs, Scene, disguises
from voipcard import (
    Batch,
    CallRecord,
    CardBook,
    Extension,
    NewCard,
    Profile,
    Rate,
    RateDeck,
    Tariff,
    open_book,
    sheets,
)
from voipcard.errors import AccessDeniedError, VoipcardError
from voipcard.stores import MemoryStore, SQLiteStore, Store
from voipcard.testing import samples

COUNT: Final = 10_000
"""How many codes, how many PINs, and how many CallerIDs."""

CALLS: Final = 1000
"""How many numbers are called, each once."""

PLANTED: Final = "Order 7788 of the scan"
"""No secret: it shows that what is stored as it is would be found."""

_HEAD: Final = 6
"""By how many bytes a needle is looked up. A shorter one means nothing in so much data; the small scan has those."""

_BY_CHANCE: Final = 2
"""How often a number of so few bytes may be in that much random data: 0.01 times are expected."""


# The scanner


class Wanted:
    """
    Very many secrets in all their forms, looked for at once.
    """

    def __init__(self, wanted: Iterable[str]) -> None:
        self._needles: dict[bytes, list[tuple[bytes, str, str]]] = {}
        for secret in wanted:
            for form, needles in disguises(secret).items():
                for needle in needles:
                    if len(needle) >= _HEAD:
                        self._needles.setdefault(needle[:_HEAD], []).append((needle, form, secret))

    def hits(self, data: bytes) -> set[tuple[str, str]]:
        """
        Tell which secrets are in the data, and in which forms.
        """
        known = self._needles
        heads = (place for place in range(len(data) - _HEAD + 1) if data[place : place + _HEAD] in known)

        return {
            (form, secret)
            for place in heads
            for needle, form, secret in known[data[place : place + _HEAD]]
            if data.startswith(needle, place)
        }

    def leaks(self, places: Mapping[str, bytes]) -> dict[str, int]:
        """
        Tell in which places and forms there are more secrets than chance would put there.
        """
        counts = Counter(f"{where}: {form}" for where, data in places.items() for form, _ in self.hits(data))
        allowed = {form: _BY_CHANCE if form.endswith(("decimals", "number")) else 0 for form in counts}

        return {form: count for form, count in counts.items() if count > allowed[form]}


def drawn_digits(count: int, length: int) -> list[str]:
    """
    Draw different numbers of so many digits.
    """
    found: set[str] = set()
    while len(found) < count:
        found.add(str(10 ** (length - 1) + secrets.randbelow(9 * 10 ** (length - 1))))

    return sorted(found)


@pytest.mark.parametrize("length", [12, 15, 17])
def test_each_planted_secret_is_found_in_each_form(length: int) -> None:
    """
    Of many secrets, each that is planted anywhere is found in the form that it has, and no other.
    """
    chance = random.Random(length)  # noqa: S311 - only fills the places around
    wanted = drawn_digits(200, length)
    scanner = Wanted(wanted)
    planted = set()
    data = b""
    for number, secret in enumerate(wanted[::2]):
        forms = {form: [n for n in needles if len(n) >= _HEAD] for form, needles in disguises(secret).items()}
        form = list(forms)[number % len(forms)]
        data += chance.randbytes(number) + b"\xff" + chance.choice(sorted(forms[form])) + b"\xff"
        planted.add((form, secret))

    assert scanner.hits(data) >= planted
    assert {secret for _, secret in scanner.hits(data)} == {secret for _, secret in planted}
    assert len(planted) == 100
    assert scanner.hits(chance.randbytes(200_000)) == set()


# A large book


class Large:
    """
    A book with many secrets that are known, and what was seen of it.
    """

    def __init__(self, book: CardBook) -> None:
        self.book = book.acting_as("alice")
        self.codes: Sequence[str] = ()
        self.pins: Sequence[str] = ()
        self.callers = drawn_digits(COUNT, 15)
        self.called = drawn_digits(CALLS, 14)
        self.failures: list[VoipcardError] = []
        self.places: dict[str, bytes] = {}

    @property
    def extension(self) -> Extension:
        """
        Its extension.
        """
        return self.book.extension(NUMBER)

    def fill(self, **settings: Any) -> None:  # noqa: ANN401 - those of `generate`
        """
        Make the cards, and use some of them.
        """
        batch = self.extension.generate(COUNT, code_format=CODES, pin_format=PINS, **settings)
        self.codes, self.pins = [handout.code for handout in batch], [handout.pin for handout in batch]
        callers = self.extension.add([NewCard(f"+{number}") for number in self.callers])
        self._use(batch)
        self._call(batch)
        self._fail(batch)
        self.places["values"] = self._shown(batch, callers)

    def wanted(self) -> Wanted:
        """
        Give the scanner for all that is secret.
        """
        assert len({*self.codes, *self.pins, *self.callers}) > 3 * COUNT - 10

        return Wanted([*self.codes, *self.pins, *self.callers, *self.called, *(number[1:] for number in self.called)])

    def _use(self, batch: Batch) -> None:
        first, second = batch[0], batch[1]
        self.extension.recharge(first.serial, 5, order_number=PLANTED)
        self.extension.edit(second.serial, code=second.code[::-1])
        self.extension.edit(second.serial, code=second.code, pin=second.pin)
        self.extension.reveal(first.serial)
        list(self.extension.search(code_contains=first.code[3:15]))
        for place in range(40):
            self._try(self.codes[place], self.pins[place], self.callers[place])
            self._try(self.codes[place], self.pins[place + 1], self.callers[place])
            self._try(self.pins[place], self.codes[place], self.callers[place])
        for number in self.callers[:20]:
            self.extension.authenticate_caller(number)

    def _call(self, batch: Batch) -> None:
        """
        Make calls, all but the first ones by what a switch tells afterwards; some of them cannot be charged.
        """
        # Rated by their first digit, so that the rest is secret; nobody has a price for 9.
        self.book.install_deck(RateDeck([Rate(prefix, Tariff(price="0.01")) for prefix in "12345678"]))
        self.extension.recharge_many([(handout.serial, 5) for handout in batch[20:60]])
        rated = [number for number in self.called if number[0] != "9"]
        for number, handout in zip(rated[:20], batch[20:40], strict=True):
            call = self.extension.begin_call(handout.serial, number, call_id=number)
            if number in rated[:15]:
                call.keep_alive().end(30)
        told = [
            CallRecord(str(place), batch[place % COUNT].serial, number, datetime(2026, 3, 1, tzinfo=UTC), 60)
            for place, number in enumerate(self.called)
        ]
        settlement = self.extension.settle_calls(told)
        shown = [settlement, *settlement, *told, *self.extension.calls(), *self.extension.reveal_calls()]
        self.places["calls"] = "\n".join(f"{value!r} {value!s}" for value in shown).encode()

        assert 0 < len(settlement.rejected) < CALLS / 2

    def _try(self, code: str, pin: str, source: str) -> None:
        with suppress(AccessDeniedError):
            self.extension.authenticate(code, pin=pin, source=source, ingress="trunk", call_id=source)

    def _fail(self, batch: Batch) -> None:
        extension = self.extension
        table = io.BytesIO()
        sheets.write(table, batch, format="csv")
        for ask in (
            lambda: extension.add(self.codes),
            lambda: extension.add([f"+{number}" for number in self.callers]),
            lambda: extension.add(self.codes[0], pin=self.codes[0][:12]),
            lambda: extension.upload(io.BytesIO(table.getvalue())),
            lambda: extension.get(code=self.codes[0][::-1]),
            lambda: extension.get(self.codes[0]),
            lambda: extension.authenticate(self.codes[1], pin=self.pins[0], source=self.callers[0]),
            lambda: extension.begin_call(batch[50].serial, self.called[-1], call_id="unknown destination"),
            lambda: extension.begin_call(batch[50].serial, f"x{self.called[-1]}", call_id="no number"),
        ):
            with pytest.raises(VoipcardError) as caught:
                ask()
            self.failures.append(caught.value)

    def _shown(self, *batches: Batch) -> bytes:
        """
        Write down everything that is public, as logs and debuggers do.
        """
        texts: list[object] = [self.book, self.extension, self.book.quota, self.book.verify(), *self.book.audit_trail()]
        texts += [value for batch in batches for value in (batch, batch.handouts, *batch)]
        texts += [*self.extension, self.extension.page(limit=100)]
        shown = "\n".join(f"{value!r} {value!s} {value:}" for value in texts).encode()

        return shown + pickle.dumps([*self.extension, *self.book.audit_trail()])

    def export(self, folder: Path) -> None:
        """
        Write the masked list in both formats, and unpack what is packed.
        """
        for name in ("list.csv", "list.xlsx"):
            assert self.extension.export(folder / name) == 2 * COUNT
        sheets.write(folder / "calls.csv", self.extension.calls())
        self.places["calls.csv"] = (folder / "calls.csv").read_bytes()
        self.places["list.csv"] = (folder / "list.csv").read_bytes()
        with zipfile.ZipFile(folder / "list.xlsx") as archive:
            for name in archive.namelist():
                self.places[f"list.xlsx/{name}"] = archive.read(name)

    def look_at_errors(self) -> None:
        """
        Write down all that the errors say.
        """
        self.places["errors"] = b"".join(said(error).encode() + pickle.dumps(error) for error in self.failures)


@contextmanager
def logged(large: Large) -> Iterator[None]:
    """
    Take down all logs.
    """
    logs, root = Logs(), logging.getLogger()
    level = root.level
    root.addHandler(logs)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(logs)
        root.setLevel(level)
        large.places["logs"] = logs.text.encode()


def opened(place: Store | str, profile: Profile) -> CardBook:
    """
    Make a book that answers at once.
    """
    return open_book(place, currency="EUR", key=BareKey(), profile=profile, limits=PROMPT)


@pytest.mark.parametrize(
    "journal, profile", [pytest.param(*WAL.values, "operator", marks=WAL.marks), ("delete", "strict")]
)
def test_no_file_of_a_large_book_has_a_secret(journal: Any, profile: Profile, tmp_path: Path) -> None:  # noqa: ANN401
    """
    Neither the database nor its journal or log nor a scratch file, at any moment; nor what is logged, listed or raised.

    The file of hand-outs, which is where they belong, shows that each of them would have been found.
    """
    folder, outside = tmp_path / "book", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    with opened(SQLiteStore(folder / "cards.db", journal=journal), profile) as book:
        large, scene = Large(book), Scene(book, folder)
        with logged(large):
            large.fill(progress=scene.look_before_the_commit, to=outside / "handouts.csv")
            scene.look()
        large.export(outside)
        large.look_at_errors()
    scene.look()
    large.places |= scene.seen
    wanted = large.wanted()

    assert wanted.leaks(large.places) == {}
    assert {"cards.db", "logs", "errors", "values", "list.csv", "scratch 0"} <= {n.split(" (")[0] for n in large.places}
    assert sum(map(len, large.places.values())) > 20_000_000
    assert any(place.startswith("cards.db (") for place in Wanted([PLANTED]).leaks(large.places))
    assert {"calls", "calls.csv"} <= large.places.keys()
    handouts = (outside / "handouts.csv").read_bytes()
    assert wanted.leaks({"handouts": handouts})["handouts: UTF-8"] == len({*large.codes, *large.pins})


def test_no_memory_store_of_a_large_book_has_a_secret() -> None:
    """
    A store in memory refuses to be pickled; what it holds has no secret.
    """
    store = MemoryStore()
    large = Large(opened(store, "strict"))
    large.fill()
    with pytest.raises(TypeError):
        pickle.dumps(store)
    large.places["contents"] = pickle.dumps(samples.contents(store))

    assert large.wanted().leaks(large.places) == {}
    assert "contents: UTF-8" in Wanted([PLANTED]).leaks(large.places)


@pytest.mark.parametrize("kind", [on(kind) for kind in SERVERS])
def test_no_row_of_a_database_server_has_a_secret(kind: DatabaseKind) -> None:
    """
    No row of any table in PostgreSQL or MariaDB has a code, a PIN, a CallerID or a number that was called in any form.
    """
    with empty_database(kind) as url:
        with opened(url, "operator") as book:
            large = Large(book)
            with logged(large):
                large.fill()
            large.look_at_errors()
        large.places |= dumped(url)
    wanted = large.wanted()

    assert wanted.leaks(large.places) == {}
    assert sum(len(data) for name, data in large.places.items() if name.startswith("table")) > 10_000_000
    assert any(place.startswith("table") for place in Wanted([PLANTED]).leaks(large.places))


def dumped(url: str) -> dict[str, bytes]:
    """
    Give all rows of all tables, each with its values as they are and as text.
    """
    places = {}
    with engine_on(url) as engine, engine.connect() as connection:
        metadata = sqlalchemy.MetaData()
        metadata.reflect(connection)
        for table in metadata.sorted_tables:
            rows = [tuple(row) for row in connection.execute(sqlalchemy.select(table))]
            places[f"table {table.name}"] = pickle.dumps(rows) + b"\n".join(repr(row).encode() for row in rows)

    return places
