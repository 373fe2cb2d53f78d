"""
Secrecy: whatever is done with codes, PINs and CallerIDs, nothing but a hand-out ever says one, in whatever disguise.
"""

from __future__ import annotations

import base64
import copy
import gc
import itertools
import logging
import pickle
import random
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs
import pytest

from tests.stores.test_sqlite import WAL
from tests.test_opening import altered
from tests.test_refusals import said
from voipcard import (
    CallRecord,
    CardBook,
    CardQuery,
    CodeFormat,
    Extension,
    KeyFile,
    License,
    NewCard,
    PinFormat,
    Profile,
    Rate,
    RateDeck,
    Tariff,
    open_book,
    sheets,
)
from voipcard.errors import VoipcardError
from voipcard.stores import MemoryStore, SQLiteStore, Store
from voipcard.testing import samples

T = TypeVar("T")

NUMBER: Final = "0003*215"
CODES: Final = CodeFormat(length=16)
PINS: Final = PinFormat(12)
DIGITS: Final = frozenset("0123456789")

OWN: Final = ["7711018342215190", "Kiosk+Summer=2026!Card7", "7722028342215191"]
OWN_PIN: Final = "048215937162"
NEW_CODE: Final = "7733038342215192"
NEW_PIN: Final = "593716204821"
CALLERS: Final = ["407221234567899", "358401234567123"]
UPLOADED: Final = ["7744048342215193", "7755058342215194", "491711234567812"]
UPLOADED_PIN: Final = "716204821593"
REFUSED: Final = ["7766068342215195", "77OO1834Z215199x", "820482159371"]
CALLED: Final = ["40213184629573", "40731946205817", "40318462957316", "40264957318462"]
UNRATED: Final = ["49184629573160", "49462957318462", "4o31846295731x"]
"""Numbers that are called, and numbers that cannot be charged for. A prefix of two digits is no secret."""

CALL_IDS: Final = ["switch-7/1764460800.17", "switch-7/1764460811.18", "switch-7/1764460822.19"]
"""What a switch calls calls. The book keeps only keyed hashes of it."""


# The scanner


def in_base64(data: bytes) -> Iterator[bytes]:
    """
    Write what a text looks like within a longer one in Base64, wherever it begins.
    """
    for offset in range(3):
        whole = base64.b64encode(bytes(offset) + data)
        middle = whole[-(-offset * 8 // 6) : (offset + len(data)) * 8 // 6]
        yield middle
        yield middle.translate(bytes.maketrans(b"+/", b"-_"))


def in_decimals(digits: str) -> Iterator[bytes]:
    """
    Write digits two to a byte, beginning with the high or the low half, in this order or the other.
    """
    for start in (0, 1):
        pairs = [digits[place : place + 2] for place in range(start, len(digits) - 1, 2)]
        yield bytes.fromhex("".join(pairs))
        yield bytes.fromhex("".join(pair[::-1] for pair in pairs))


def in_binary(digits: str) -> Iterator[bytes]:
    """
    Write digits as an integer, of the six or eight bytes that SQLite takes for it.
    """
    size = 6 if int(digits) < 2**47 else 8
    yield int(digits).to_bytes(size, "big")
    yield int(digits).to_bytes(size, "little")


def disguises(secret: str) -> Mapping[str, set[bytes]]:
    """
    Give the forms in which a secret could be found.
    """
    data = secret.encode()

    return {
        "UTF-8": {data},
        "UTF-16": {secret.encode("utf-16-le"), secret.encode("utf-16-be")},
        "hex": {data.hex().encode(), data.hex().upper().encode(), data.hex(" ").encode()},
        "Base64": {*in_base64(data), *in_base64(secret.encode("utf-16-le"))},
        "decimals": set(in_decimals(secret)) if DIGITS.issuperset(secret) else set(),
        "number": set(in_binary(secret)) if DIGITS.issuperset(secret) else set(),
        "reversed": {data[::-1]},
    }


def hits(secrets: Iterable[str], places: Mapping[str, bytes]) -> list[tuple[str, str, str]]:
    """
    Tell which secret is found where, and in which form.
    """
    return [
        (where, form, secret)
        for secret in secrets
        for form, needles in disguises(secret).items()
        for where, data in places.items()
        if any(needle in data for needle in needles)
    ]


@pytest.mark.parametrize("form", disguises(NEW_CODE))
def test_the_scanner_finds_every_disguise(form: str) -> None:
    """
    A planted code is found in every form, wherever it begins.
    """
    chance = random.Random(form)  # noqa: S311 - only fills the place around
    for needle in disguises(NEW_CODE)[form]:
        for before in range(4):
            data = chance.randbytes(1000 + before) + needle + chance.randbytes(1000)
            assert (form, NEW_CODE) in {(found, secret) for _, found, secret in hits([NEW_CODE], {"place": data})}


@pytest.mark.parametrize("before", range(7))
def test_the_scanner_knows_how_base64_moves(before: int) -> None:
    """
    In Base64 a code looks different after one, two or three other characters, and is found after any number of them.
    """
    chance = random.Random(before)  # noqa: S311 - only fills the place around
    for secret in (NEW_CODE, OWN_PIN, *OWN):
        text = chance.randbytes(before) + secret.encode() + chance.randbytes(9)
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            assert [("place", "Base64", secret)] == hits([secret], {"place": encode(text)})


def test_the_scanner_does_not_find_what_is_not_there() -> None:
    """
    Random bytes hold no secret.
    """
    chance = random.Random(7)  # noqa: S311 - has to be the same each time

    assert hits([*OWN, *CALLERS, OWN_PIN], {"place": chance.randbytes(500_000)}) == []


def by_type(values: Iterable[T], written: Callable[[T], bytes]) -> dict[str, bytes]:
    """
    Write values, those of one type together.
    """
    places: dict[str, list[bytes]] = {}
    for value in values:
        places.setdefault(type(value).__name__, []).append(written(value))

    return {name: b"\n".join(texts) for name, texts in places.items()}


# A busy book


def unnamed(folder: Path) -> list[bytes]:
    """
    Read the files of this process that had a name in a folder and have none any more.
    """
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            target = str(descriptor.readlink())
            if target.endswith("(deleted)") and target.startswith(str(folder)):
                found.append(descriptor.read_bytes())

    return found


@attrs.define
class Scene:
    """
    A busy book, and all that was seen of it from outside.

    Attributes:
        book: The book.
        folder: Where its files are; empty in memory.
        secrets: Everything that must not be found.
        values: Everything that was answered.
        failures: Everything that was raised.
        seen: What was in which file, at some moment.
    """

    book: CardBook
    folder: Path | None
    secrets: set[str] = attrs.field(factory=set)
    values: list[Any] = attrs.field(factory=list)
    failures: list[VoipcardError] = attrs.field(factory=list)
    seen: dict[str, bytes] = attrs.field(factory=dict)

    def look(self) -> None:
        """
        Take down what is in every file of the book, those without a name included.
        """
        if self.folder is None:
            return
        found = {path.name: path.read_bytes() for path in self.folder.iterdir()}
        found |= {f"scratch {place}": content for place, content in enumerate(unnamed(self.folder))}
        number = len(self.seen)
        for name, content in found.items():
            if content not in self.seen.values():
                self.seen[f"{name} ({number})"] = content

    def look_before_the_commit(self, done: int, total: int | None) -> None:
        """
        Look when all is prepared in a scratch file and nothing is committed, which is kept from happening until then.
        """
        if self.folder is not None and done == total:
            locked = threading.Event()
            threading.Thread(target=self._look_while_locked, args=[self.folder, locked]).start()
            locked.wait(60)

    def _look_while_locked(self, folder: Path, locked: threading.Event) -> None:
        with altered(folder / "cards.db") as connection:
            connection.execute("BEGIN IMMEDIATE")
            locked.set()
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline and sum(map(len, unnamed(folder))) < 500_000:
                time.sleep(0.01)
            self.look()
            connection.execute("ROLLBACK")

    def fails(self, ask: Callable[[], object]) -> None:
        """
        Ask for something that is refused.
        """
        with pytest.raises(VoipcardError) as caught:
            ask()
        self.failures.append(caught.value)


def play(scene: Scene, outside: Path) -> None:
    """
    Do everything that can be done with a book.
    """
    book = scene.book.acting_as("alice")
    extension = book.extension(NUMBER)
    drawn = extension.generate(12, code_format=CODES, pin_format=PINS, credit=10, order_number="PO-1", operation="op-1")
    scene.secrets |= {handout.code for handout in drawn} | {handout.pin for handout in drawn}
    scene.look()
    added = extension.add(
        [NewCard(code, OWN_PIN, credit=5) for code in OWN] + [NewCard(f"+{number}") for number in CALLERS]
    )
    scene.secrets |= {*OWN, *CALLERS, OWN_PIN}
    scene.look()
    first, second = drawn[0].serial, drawn[1].serial
    scene.secrets |= {NEW_CODE, NEW_PIN}
    edited = extension.edit(first, code=NEW_CODE, pin=NEW_PIN, operation="op-2")
    path = outside / "upload.csv"
    path.write_text("".join(f"{code},{UPLOADED_PIN},PO-3,u\n" for code in (*UPLOADED[:2], f"+{UPLOADED[2]}")))
    scene.secrets |= {*UPLOADED, UPLOADED_PIN}
    upload = sheets.read_upload(path)
    uploaded = extension.upload(path, operation="op-3")
    repeated = extension.upload(path, on_error="skip", dry_run=True)
    extension.export(outside / "list.csv", reveal=True, code_contains=UPLOADED[0][2:8])
    extension.export(outside / "list.xlsx", code=UPLOADED[1])
    recharged = extension.recharge_many([(first, 1), (second, 2)], order_number="PO-2")
    moved = extension.transfer(first, second, amount=1)
    call(scene, extension, first, second, outside)
    revealed = extension.reveal(first)
    again = extension.generate(12, code_format=CODES, pin_format=PINS, credit=10, order_number="PO-1", operation="op-1")
    page = extension.page(limit=3, code_contains=NEW_CODE[4:9])
    pages = extension.page(limit=3, code_prefix="7")
    found = [
        *extension.search(code_contains="7"),
        *extension.search(code=OWN[0]),
        *extension.search(caller_id=CALLERS[0]),
    ]
    scene.look()
    fail(scene, extension, first)
    book.install_license(License(max_active_codes=10_000))
    extension.disable(CardQuery(batch=drawn.id))
    removed = extension.remove([drawn[5].serial, added[0].serial], operation="op-4")
    large = extension.generate(2_100, code_format=CODES, pin_format=PINS, progress=scene.look_before_the_commit)
    scene.secrets |= {secret for handout in large[::300] for secret in (handout.code, handout.pin)}
    scene.look()
    scene.values += [
        book,
        extension,
        drawn,
        drawn.handouts,
        *drawn,
        added,
        *added,
        edited,
        upload,
        *upload.cards,
        uploaded,
        repeated,
        repeated.report,
    ]
    scene.values += [*recharged, *moved, revealed, again, *again, page, pages, *found, removed, large, large.handouts]
    scene.values += [*extension.history(first), *book.audit_trail(), book.verify(), book.quota, book.license]
    scene.values += [extension.search(code=OWN[0]), book.extensions(), NewCard(OWN[0], OWN_PIN), NewCard(CALLERS[0])]


def call(scene: Scene, extension: Extension, first: str, second: str, outside: Path) -> None:
    """
    Hold credit, begin, end, import and reveal calls, and leave one running.
    """
    book = scene.book
    scene.secrets |= {secret for number in (*CALLED, *UNRATED) for secret in (number, number[2:])}
    version = book.install_deck(RateDeck([Rate("40", Tariff(price="0.02"))]))
    hold = extension.hold(first, 1, expires_in=timedelta(hours=1))
    captured = extension.capture(extension.extend(hold, amount=2, expires_in=timedelta(hours=1)), 1)
    released = extension.release(extension.hold(first, 1, expires_in=timedelta(hours=1)))
    begun = extension.begin_call(first, CALLED[0], call_id=CALL_IDS[0])
    scene.look()
    ended = begun.keep_alive().end(95)
    running = extension.begin_call(second, CALLED[1], call_id=CALL_IDS[1])
    told = [CallRecord(CALL_IDS[2], first, number, datetime.now(UTC), 60) for number in (CALLED[2], UNRATED[0])]
    settled = extension.settle_calls(told)
    path = outside / "calls.csv"
    rows = [(CALL_IDS[0], first, CALLED[3], 60), ("x", first, UNRATED[1], 60), ("y", first, UNRATED[2], 60)]
    rows.append(("z", OWN[0], CALLED[0], 60))  # Somebody had the code written where the serial belongs.
    lines = [f"{id},{serial},{number},2026-03-01T09:00:00Z,{seconds}" for id, serial, number, seconds in rows]
    path.write_text("\n".join(["call_id,serial,destination,started_at,seconds", *lines]))
    imported = extension.import_cdrs(path)
    sheets.write(outside / "rejected.csv", imported)
    reports = [book.cost_report(by=["day", "destination"]), extension.recharge_report(), book.liability()]
    scene.look()
    scene.fails(lambda: extension.begin_call(first, UNRATED[0], call_id="new"))
    scene.fails(lambda: extension.begin_call(first, UNRATED[2], call_id="new"))
    scene.fails(lambda: extension.begin_call(second, CALLED[0], call_id=CALL_IDS[1]))
    scene.fails(lambda: CallRecord("x", first, UNRATED[2], datetime.now(UTC), 60))
    scene.fails(lambda: CallRecord("x", OWN[0], CALLED[0], datetime.now(UTC), 60))
    scene.fails(lambda: extension.settle_calls([CALLED[0]]))  # type: ignore[list-item]
    scene.fails(lambda: extension.import_cdrs(BytesIO("\n".join(lines).encode())))
    scene.values += [version, book.deck(), hold, captured, released, begun, ended, running, *extension.holds(second)]
    scene.values += [*told, settled, *settled, imported, *imported, *imported.differing, *sheets.read_cdrs(path)]
    scene.values += [*reports, *extension.calls(), *extension.reveal_calls()]


def fail(scene: Scene, extension: Extension, serial: str) -> None:
    """
    Ask a book for what it refuses.
    """
    code, letters, pin = REFUSED
    scene.secrets |= set(REFUSED)
    scene.fails(lambda: extension.add([code, code]))
    scene.fails(lambda: extension.add(OWN[0]))
    scene.fails(lambda: extension.add([code, OWN[0]], pin=pin))
    scene.fails(lambda: extension.add(letters, code_format=CODES))
    scene.fails(lambda: extension.add(code, pin=code[:12]))
    scene.fails(lambda: extension.add(f"+{letters}"))
    scene.fails(lambda: extension.add(code, pin=letters))
    scene.fails(lambda: extension.add(code, credit=0.5))  # type: ignore[arg-type]
    scene.fails(lambda: extension.edit(serial, code=OWN[0]))
    scene.fails(lambda: extension.edit(serial, code=code, pin=NEW_PIN, operation="op-2"))
    scene.fails(lambda: extension.get(code=code))
    scene.fails(lambda: extension.page(code_contains=code, cursor="none"))
    scene.fails(lambda: extension.find(code=code, caller_id=code))


@pytest.fixture(scope="module", params=["memory", "delete", WAL, "strict"])
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """
    Play everything once with each kind of store, and with a strict book, and take down all logs.
    """
    outside, folder = tmp_path_factory.mktemp("outside"), tmp_path_factory.mktemp("book")
    key = KeyFile(folder / "cards.db.key")
    key.create()
    profile: Profile = "strict" if request.param == "strict" else "operator"
    journal: Any = "delete" if profile == "strict" else request.param
    store: Store = MemoryStore() if journal == "memory" else SQLiteStore(folder / "cards.db", journal=journal)
    logs = Logs()
    root = logging.getLogger()
    level = root.level
    root.addHandler(logs)
    root.setLevel(logging.DEBUG)
    try:
        with open_book(store, currency="EUR", key=key, profile=profile) as book:
            made = Scene(book, None if request.param == "memory" else folder)
            play(made, outside)
            made.seen["logs"] = logs.text.encode()
            keep(made, store)
            yield made
    finally:
        root.removeHandler(logs)
        root.setLevel(level)
    made.look()


class Logs(logging.Handler):
    """
    Takes down everything about every log record.
    """

    text = ""

    def emit(self, record: logging.LogRecord) -> None:
        """
        Take one down.
        """
        self.text += f"{self.format(record)} {record.__dict__!r}\n"


def keep(scene: Scene, store: Store) -> None:
    """
    Take down what a store gives, and what a rollback journal holds while a change is under way.
    """
    every = samples.contents(store)
    scene.seen["contents"] = pickle.dumps(every)
    if isinstance(store, SQLiteStore):
        with store._file.writing() as connection:  # noqa: SLF001 - half of a commit
            connection.execute("PRAGMA cache_size = 1")
            connection.execute("UPDATE cards SET order_number = order_number || 'x'")
            scene.look()
            connection.execute("ROLLBACK")
            connection.execute("BEGIN")


def test_no_secret_is_kept_or_logged(scene: Scene) -> None:
    """
    No file of the book, at any moment, and no log has a code, a PIN or a CallerID in any form.
    """
    names = {name.split(" (")[0] for name in scene.seen}

    assert hits(scene.secrets, scene.seen) == []
    if scene.folder:
        assert {"cards.db", "cards.db.key", "logs", "contents"} <= names
        assert {"cards.db-wal", "cards.db-journal"} & names
        assert max(len(data) for name, data in scene.seen.items() if name.startswith("scratch")) > 500_000
        assert sum(map(len, scene.seen.values())) > 2_000_000
    assert len(scene.secrets) > 50


def test_what_a_user_would_look_for_can_be_found_by_the_scanner(scene: Scene) -> None:
    """
    What is no secret is stored as it is: the same scan finds it, so that it would have found the secrets.
    """
    places = {name: data for name, data in scene.seen.items() if name.startswith("cards.db (") or name == "contents"}

    assert hits(["PO-1"], places)
    assert hits([NUMBER], places)


def test_no_name_of_a_call_is_kept_or_logged(scene: Scene) -> None:
    """
    Nor has any of them what a switch calls a call, by which its own records would tell who was called.
    """
    assert hits(CALL_IDS, scene.seen) == []


def test_no_key_is_kept_or_logged(scene: Scene) -> None:
    """
    The keys that seal are nowhere, and the key that wraps them is in its own file only.
    """
    roots = scene.book._engine.records.keyring.roots._keys.values()  # noqa: SLF001 - they are hidden well
    places = {name: data for name, data in scene.seen.items() if not name.startswith("cards.db.key")}
    wrapping = [data for name, data in scene.seen.items() if name.startswith("cards.db.key")]
    needles = [*roots, *(bytes.fromhex(data.decode()) for data in wrapping)]

    for needle in needles:
        for form in (needle, needle.hex().encode(), *in_base64(needle)):
            assert [name for name, data in places.items() if form in data] == []
    assert scene.folder is None or wrapping


def test_no_value_shows_a_secret(scene: Scene) -> None:
    """
    Neither `repr` nor `str` nor `format` of any answer says a code, a PIN or a CallerID.
    """
    texts = by_type(scene.values, lambda value: f"{value!r} {value!s} {value:} {[value]}".encode())

    assert hits(scene.secrets, texts) == []
    assert len(texts) > 14


def test_no_object_behind_a_value_shows_a_secret(scene: Scene) -> None:
    """
    Nor does any object of the library that can be reached from an answer, as debuggers and error reports do.
    """
    reached: dict[int, object] = {}
    waiting: list[object] = [*scene.values, *scene.failures]
    while waiting:
        value = waiting.pop()
        if id(value) in reached or isinstance(value, type) or type(value).__name__ in {"module", "function", "frame"}:
            continue
        reached[id(value)] = value
        if type(value).__module__.startswith("voipcard") or isinstance(value, (list, tuple, dict)):
            waiting += gc.get_referents(value)
    ours = [value for value in reached.values() if type(value).__module__.startswith("voipcard")]
    texts = by_type(ours, lambda value: repr(value).encode())

    assert hits(scene.secrets, texts) == []
    assert {"Engine", "Records", "Keyring"} <= set(texts)


def test_no_pickle_has_a_secret(scene: Scene) -> None:
    """
    What can be pickled or copied has no secret; what has one cannot.
    """
    refused = set()

    def pickled(value: object) -> bytes:
        made = b""
        makers: list[Callable[[object], bytes]] = [pickle.dumps, lambda value: repr(copy.deepcopy(value)).encode()]
        for make in makers:
            try:
                made += make(value)
            except TypeError as error:
                refused.add(type(value).__name__)
                made += "".join(traceback.format_exception(error)).encode()
        return made

    pickles = by_type(scene.values, pickled)

    assert hits(scene.secrets, pickles) == []
    assert {"Handout", "NewCard", "Batch", "Upload", "CardBook"} <= refused
    assert {"CallRecord", "RejectedCall", "RevealedCall"} <= refused
    assert {"CardCode", "LedgerEntry", "Page", "AuditEntry", "Verification"}.isdisjoint(refused)
    assert {"Hold", "ChargedCall", "CallDifference", "Report", "RateDeck"}.isdisjoint(refused)


def test_no_error_says_a_secret(scene: Scene) -> None:
    """
    Neither an error, nor its fields, its traceback, its origins or its pickle say a code, a PIN or a CallerID.
    """
    texts = by_type(scene.failures, lambda error: said(error).encode() + pickle.dumps(error))

    assert hits(scene.secrets, texts) == []
    assert len(scene.failures) == 20


def test_clear_text_is_where_it_belongs(scene: Scene) -> None:
    """
    Who asks a hand-out or a revealed call gets the clear text, and the scan would have found it there.
    """
    handouts = [value for value in scene.values if type(value).__name__ == "Handout"]
    told = {"handouts": repr([attrs.astuple(handout) for handout in handouts]).encode()}

    revealed = [value for value in scene.values if type(value).__name__ == "RevealedCall"]
    numbers = {"calls": repr([attrs.astuple(call) for call in revealed]).encode()}

    assert {*OWN, *CALLERS, OWN_PIN, NEW_CODE} <= {secret for _, _, secret in hits(scene.secrets, told)}
    assert {CALLED[0], CALLED[2]} == {secret for _, _, secret in hits([*CALLED, *UNRATED], numbers)}
    # Who set a PIN knows it. Nobody is told it again where it is not kept.
    assert (scene.book.profile == "operator") == bool(hits([NEW_PIN], told))


def test_a_cursor_says_no_secret(scene: Scene) -> None:
    """
    A cursor can be shown in an address: it says a position, not what was searched for.
    """
    cursors = [value.next_cursor for value in scene.values if type(value).__name__ == "Page"]
    places = {
        f"cursor {number}": cursor.encode() + base64.urlsafe_b64decode(cursor)
        for number, cursor in enumerate(filter(None, cursors))
    }

    assert places
    assert hits(scene.secrets, places) == []
    assert all(NEW_CODE[4:9].encode() not in data for data in places.values())


def test_a_planted_secret_is_found(tmp_path: Path) -> None:
    """
    Where somebody writes a code into a field that is no secret, the scan of the files finds it: it is not blind.
    """
    key = KeyFile(tmp_path / "cards.db.key")
    key.create()
    with open_book(SQLiteStore(tmp_path / "cards.db", journal="delete"), currency="EUR", key=key) as book:
        [handout] = book.extension(NUMBER).generate(
            1, order_number=OWN[0], labels=[base64.b64encode(OWN[2].encode()).decode()]
        )
        scene = Scene(book, tmp_path)
        scene.look()

    found = {(form, secret) for _, form, secret in hits([*OWN, handout.code], scene.seen)}

    assert {("UTF-8", OWN[0]), ("Base64", OWN[2])} == found


@pytest.mark.parametrize("count", [1, 500])
def test_what_was_drawn_is_neither_pickled_nor_copied(count: int) -> None:
    """
    A fresh batch holds clear text, though its hand-outs are made when they are looked at.
    """
    batch = open_book().extension(NUMBER).generate(count)
    makers: list[Callable[[object], object]] = [pickle.dumps, copy.deepcopy]
    for value, make in itertools.product([batch, batch.handouts, batch[:1], list(batch), iter(batch)], makers):
        with pytest.raises(TypeError):
            make(value)

    assert batch[0].code not in repr(batch.handouts)
