"""
Opening a book: whatever is found at the place, the answer is the book or a reason, and a refusal leaves no trace.
"""

from __future__ import annotations

import gzip
import hashlib
import itertools
import logging
import os
import pickle
import resource
import signal
import socket
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NoReturn, TypeAlias, TypeVar

import pytest

from voipcard import KeyFile, KeyVariable, License, Policy, open_book
from voipcard.errors import (
    CurrencyError,
    InvalidValueError,
    KeyMismatchError,
    KeyMissingError,
    NotABookError,
    SchemaError,
    StoreClosedError,
    StoreError,
    StoreFullError,
    StoreReadOnlyError,
    TamperedError,
    VoipcardError,
)
from voipcard.stores import MemoryStore, SQLiteStore
from voipcard.stores.sqlite_file import sqlite3

T = TypeVar("T")
Snapshot: TypeAlias = Mapping[str, tuple[object, ...]]

NOBODY: Final = 65534
PATIENCE: Final = 60
"""After how many seconds a child is killed that does not answer."""

NUMBER: Final = "0003*215"


def snapshot(folder: Path) -> Snapshot:
    """
    Give all that can be seen of the files of a folder: names, permissions, contents and when they were written.
    """
    return {
        path.name: (path.lstat().st_mode, path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in folder.iterdir()
    }


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """
    Make a folder for one book, and say where the book should be.
    """
    folder = tmp_path / "book"
    folder.mkdir()

    return folder / "cards.db"


@pytest.fixture
def kept(place: Path) -> Path:
    """
    Make a book in euro with three cards, and say where it is.
    """
    with open_book(place, currency="EUR") as book:
        book.extension(NUMBER).generate(3, credit="10.00")

    return place


@contextmanager
def altered(path: Path) -> Iterator[Any]:
    """
    Change a file by hand, with the SQLite that the library uses.
    """
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def forked(work: Callable[[], T], *, user: int | None = None, gate: int | None = None) -> Callable[[], T]:
    """
    Begin to work in a child process, and give what waits for its answer.

    Args:
        work: What to do. An exception is given back and raised here.

        user: As whom to do it; only root may choose.

        gate: A descriptor of a pipe: the child begins when its other end is closed.
    """
    answer, line = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(answer)
        signal.alarm(PATIENCE)
        try:
            if gate is not None:
                os.read(gate, 1)
            if user is not None:
                os.setgroups([])
                os.setgid(user)
                os.setuid(user)
            said: tuple[bool, object] = (True, work())
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test has to hear of it
            said = (False, error)
        with open(line, "wb") as stream:  # noqa: PTH123 - a descriptor has no path
            stream.write(pickle.dumps(said))
        os._exit(0)
    os.close(line)

    def wait() -> T:
        with open(answer, "rb") as stream:  # noqa: PTH123 - a descriptor has no path
            said = stream.read()
        _, status = os.waitpid(child, 0)
        if not said:
            raise ChildProcessError(os.waitstatus_to_exitcode(status))
        succeeded, value = pickle.loads(said)  # noqa: S301 - of our own making
        if not succeeded:
            raise value

        return value  # type: ignore[no-any-return]

    return wait


def at_once(works: Sequence[Callable[[], T]]) -> list[T]:
    """
    Do several things at the same moment, each in a process of its own.
    """
    gate, closer = os.pipe()

    def entered(work: Callable[[], T]) -> Callable[[], T]:
        def enter() -> T:
            os.close(closer)
            os.read(gate, 1)
            return work()

        return enter

    waiting = [forked(entered(work)) for work in works]
    os.close(closer)
    os.close(gate)

    return [wait() for wait in waiting]


@contextmanager
def public_folder() -> Iterator[Path]:
    """
    Make a folder that other users can reach, where pytest's own cannot.
    """
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def as_somebody_else(work: Callable[[], T]) -> T:
    """
    Work without the rights of root, to whom nothing is read-only.
    """
    return forked(work, user=NOBODY if os.getuid() == 0 else None)()


def with_files_up_to(size: int, work: Callable[[], T]) -> Callable[[], T]:
    """
    Work where no file can grow beyond a size, as on a full disk.
    """

    def limited() -> T:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        try:
            return work()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    return limited


# Books in memory


def test_a_book_without_a_place_lives_in_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    No file is made, no key or currency is needed, and each such book is a new one.
    """
    monkeypatch.chdir(tmp_path)
    first, second = open_book(), open_book(currency="EUR")
    first.extension(NUMBER).generate(2)

    assert list(tmp_path.iterdir()) == []
    assert (first.currency, second.currency) == ("XXX", "EUR")
    assert (first.quota.active, second.quota.active) == (2, 0)
    first.close()
    with pytest.raises(StoreClosedError):
        first.quota  # noqa: B018 - asking is what fails


# Currency


@pytest.mark.parametrize(
    "currency", ["", "eur", "Eur", "EURO", "EU", "EU1", "EUR\n", " EUR", "ЕUR", "€"]
)  # one is Cyrillic
def test_a_currency_has_three_capital_letters(currency: str, place: Path) -> None:
    """
    What cannot be an ISO 4217 code is refused before anything is made.
    """
    for where in (place, None):
        with pytest.raises(InvalidValueError) as caught:
            open_book(where, currency=currency)
        assert caught.value.name == "currency"
    assert list(place.parent.iterdir()) == []


@pytest.mark.parametrize("content", [None, b""])
def test_a_new_book_needs_its_currency(content: bytes | None, place: Path) -> None:
    """
    Amounts without a currency mean nothing: nothing is made, where there is no file and where there is an empty one.
    """
    if content is not None:
        place.write_bytes(content)
    before = snapshot(place.parent)
    with pytest.raises(CurrencyError) as caught:
        open_book(place)

    assert (caught.value.book, caught.value.given) == ("", "")
    assert before == snapshot(place.parent)


def test_a_book_keeps_its_currency(kept: Path) -> None:
    """
    It need not be said again, and cannot be changed by saying another one.
    """
    before = snapshot(kept.parent)
    with open_book(kept) as silent, open_book(kept, currency="EUR") as saying:
        assert silent.currency == saying.currency == "EUR"
    with pytest.raises(CurrencyError) as caught:
        open_book(kept, currency="USD")

    assert (caught.value.book, caught.value.given) == ("EUR", "USD")
    assert before == snapshot(kept.parent)


# Files


def test_book_and_key_are_readable_by_their_owner_only(place: Path) -> None:
    """
    All files have the permissions 0600 whatever the umask, while the book is open and afterwards.
    """
    old = os.umask(0)
    try:
        with open_book(place, currency="EUR") as book:
            book.extension(NUMBER).generate(3)
            while_open = {path.name: stat.S_IMODE(path.stat().st_mode) for path in place.parent.iterdir()}
    finally:
        os.umask(old)

    assert {0o600} == set(while_open.values())
    assert {"cards.db", "cards.db.key"} <= set(while_open)
    assert {"cards.db", "cards.db.key"} == set(snapshot(place.parent))


def test_the_key_is_there_before_the_book(place: Path) -> None:
    """
    Where the disk is full after the key, there is a key without a book, never the other way round.

    When there is space again, it goes on with that key.
    """
    with pytest.raises(StoreFullError):
        forked(with_files_up_to(30, lambda: open_book(place, currency="EUR")))()
    assert snapshot(place.parent) == {}
    with pytest.raises(StoreFullError):
        forked(with_files_up_to(100, lambda: open_book(place, currency="EUR")))()
    key = (place.parent / "cards.db.key").read_bytes()
    assert not place.exists() or place.stat().st_size <= 100

    with open_book(place, currency="EUR") as book:
        assert len(book.extension(NUMBER).generate(2)) == 2
    assert key == (place.parent / "cards.db.key").read_bytes()


def test_a_new_key_is_announced_once(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """
    A warning says that book and key must not share a backup; it does not say the key, and is not repeated.
    """
    with caplog.at_level(logging.DEBUG):
        for _ in range(2):
            with open_book(place, currency="EUR") as book:
                book.extension(NUMBER).generate(1)
    key = (place.parent / "cards.db.key").read_text().strip()
    [record] = [record for record in caplog.records if record.name.startswith("voipcard")]

    assert record.levelno == logging.WARNING
    assert "cards.db " in record.getMessage()
    assert "cards.db.key" in record.getMessage()
    assert "backup" in record.getMessage()
    assert key not in record.getMessage()


def test_a_key_of_ones_own_makes_no_key_file(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where the key comes from elsewhere, nothing is announced or made beside the book.
    """
    monkeypatch.setenv("VOIPCARD_KEY", "07" * 32)
    open_book(place, currency="EUR", key=KeyVariable("VOIPCARD_KEY")).close()

    assert {"cards.db"} == set(snapshot(place.parent))


def test_the_place_does_not_depend_on_the_working_folder(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A relative path is meant where the book was opened, as text and as `Path`.
    """
    monkeypatch.chdir(place.parent)
    with open_book("cards.db", currency="EUR") as book:
        monkeypatch.chdir(tmp_path)
        book.extension(NUMBER).generate(3)
    with open_book(place) as book:
        assert book.quota.active == 3


# Keys


@pytest.mark.parametrize(
    "spoil, error",
    [
        (lambda key: key.unlink(), KeyMissingError),
        (lambda key: key.write_bytes(b""), KeyMissingError),
        (lambda key: (key.unlink(), key.mkdir()), KeyMissingError),
        (lambda key: key.write_text("07" * 32), KeyMismatchError),
        (lambda key: key.write_text("07" * 31), KeyMismatchError),
        (lambda key: key.write_bytes(b"\xff\xd8\xff\xe0"), KeyMismatchError),
    ],
    ids=["missing", "empty", "folder", "other", "short", "garbage"],
)
def test_without_its_key_a_book_is_not_touched(
    spoil: Callable[[Path], object], error: type[VoipcardError], kept: Path
) -> None:
    """
    A missing key and a wrong one are told apart before anything is written, and it is said where the key should be.
    """
    key = kept.with_name("cards.db.key")
    spoil(key)
    before = snapshot(kept.parent)
    for currency in (None, "EUR", "USD"):
        with pytest.raises(error) as caught:
            open_book(kept, currency=currency)
        assert str(key) in str(caught.value)
        assert before == snapshot(kept.parent)


def test_a_given_key_that_is_missing_or_wrong_is_refused(kept: Path, tmp_path: Path) -> None:
    """
    The same where the key is said: the file beside the book is not taken instead.
    """
    wrong = tmp_path / "wrong.key"
    wrong.write_text("07" * 32)
    before = snapshot(kept.parent)
    with pytest.raises(KeyMissingError):
        open_book(kept, key=KeyFile(tmp_path / "none.key"))
    with pytest.raises(KeyMismatchError):
        open_book(kept, key=KeyFile(wrong))

    assert before == snapshot(kept.parent)


def test_without_a_key_no_book_is_made(place: Path, tmp_path: Path) -> None:
    """
    A new book is not begun if its key is missing.
    """
    for content in (None, b""):
        if content is not None:
            place.write_bytes(content)
        before = snapshot(place.parent)
        with pytest.raises(KeyMissingError):
            open_book(place, currency="EUR", key=KeyFile(tmp_path / "none.key"))
        assert before == snapshot(place.parent)


# What is no book


def jpeg() -> bytes:
    """
    Make something that looks like a picture.
    """
    return b"\xff\xd8\xff\xe0\x00\x10JFIF" + b"".join(hashlib.sha256(bytes([n])).digest() for n in range(255))


@pytest.mark.parametrize(
    "content",
    [
        *(b"x", b"7700183422151,0482,PO-117,10.00\n", b"code,pin\n" * 2000, jpeg(), gzip.compress(jpeg()), bytes(8192)),
        *(b"SQLite format 3\0", b"SQLite format 3\0" + bytes(84), b"SQLite format 3\0" + jpeg()),
    ],
    ids=["byte", "line", "text", "picture", "gzip", "zeros", "magic", "header", "magic and garbage"],
)
def test_other_files_are_no_books(content: bytes, place: Path) -> None:
    """
    A file of another kind is refused and left as it is, without a key beside it.
    """
    place.write_bytes(content)
    before = snapshot(place.parent)
    for currency in ("EUR", None):
        with pytest.raises(NotABookError) as caught:
            open_book(place, currency=currency)
        assert "cards.db" in str(caught.value)
    assert before == snapshot(place.parent)


@pytest.mark.parametrize(
    "statements",
    [
        "CREATE TABLE cards (id); INSERT INTO cards VALUES (1)",
        "PRAGMA application_id = 1",
        "PRAGMA user_version = 1",
        "PRAGMA application_id = 252006673; CREATE TABLE t (x)",
        "PRAGMA journal_mode = wal; CREATE TABLE t (x); INSERT INTO t VALUES (1)",
    ],
)
def test_databases_of_others_are_no_books(statements: str, place: Path) -> None:
    """
    An SQLite file that somebody else made is refused and left as it is.
    """
    with altered(place) as connection:
        connection.executescript(statements)
    before = snapshot(place.parent)
    for currency in ("EUR", None):
        with pytest.raises(NotABookError):
            open_book(place, currency=currency)
    assert before == snapshot(place.parent)


@pytest.mark.parametrize("kind", ["folder", "pipe", "socket", "link to nothing", "link to a folder"])
def test_what_is_no_file_is_no_book(kind: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whatever else has the name is refused at once, without waiting for it and without a trace.
    """
    with socket.socket(socket.AF_UNIX) as server:
        match kind:
            case "folder":
                place.mkdir()
            case "pipe":
                os.mkfifo(place)
            case "socket":
                monkeypatch.chdir(place.parent)  # The whole path may be too long.
                server.bind(place.name)
            case "link to nothing":
                place.symlink_to("nothing")
            case _:
                place.symlink_to(place.parent)
        before = snapshot(place.parent)
        with pytest.raises(StoreError):
            open_book(place, currency="EUR")
        assert before == snapshot(place.parent)


@pytest.mark.parametrize("mode", [0o600, 0o644])
def test_an_empty_file_is_a_new_book(mode: int, place: Path) -> None:
    """
    A file that was made beforehand, by a temporary file or an administrator, becomes a book.
    """
    place.touch(mode)
    with open_book(place, currency="EUR") as book:
        book.extension(NUMBER).generate(1)
    with open_book(place) as book:
        assert book.quota.active == 1


@pytest.mark.parametrize("version", [2, 3, 2**31 - 1])
def test_a_newer_schema_is_refused(version: int, kept: Path) -> None:
    """
    A book of a later release is left alone, and both versions are said.
    """
    with altered(kept) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    before = snapshot(kept.parent)
    with pytest.raises(SchemaError) as caught:
        open_book(kept)

    assert (caught.value.found, caught.value.known) == (version, 1)
    assert before == snapshot(kept.parent)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM documents WHERE key = 'keyring'",
        "DELETE FROM documents WHERE key = 'book'",
        "UPDATE documents SET value = zeroblob(100) WHERE key = 'keyring'",
        "UPDATE documents SET value = zeroblob(0) WHERE key = 'keyring'",
        "UPDATE documents SET value = CAST(value || 'x' AS BLOB) WHERE key = 'book'",
        "UPDATE documents SET value = zeroblob(0) WHERE key = 'book'",
        "UPDATE documents SET value = (SELECT value FROM documents WHERE key = 'keyring') WHERE key = 'book'",
        "UPDATE documents SET value = (SELECT value FROM documents WHERE key = 'book') WHERE key = 'keyring'",
        "UPDATE documents SET version = 2 WHERE key = 'book'",
        "DROP TABLE documents",
    ],
)
def test_a_book_whose_foundations_were_changed_is_refused(statement: str, kept: Path) -> None:
    """
    Key ring and currency cannot be changed, exchanged or deleted by hand: that is found, and not overwritten.
    """
    with altered(kept) as connection:
        connection.execute(statement)
    before = snapshot(kept.parent)
    for currency in ("EUR", None):
        with pytest.raises((TamperedError, KeyMismatchError, StoreError, CurrencyError)):
            open_book(kept, currency=currency)
    assert before == snapshot(kept.parent)


# Where nothing can be made


def test_a_missing_folder_is_not_made(tmp_path: Path) -> None:
    """
    A folder that does not exist, or is a file, is no place for a book; and none is read-only.
    """
    (tmp_path / "file").write_text("text")
    before = snapshot(tmp_path)
    for where in ("missing/cards.db", "missing/folder/cards.db", "file/cards.db", "x" * 300, "x" * 252):
        with pytest.raises(StoreError) as caught:
            open_book(tmp_path / where, currency="EUR")
        assert not isinstance(caught.value, StoreReadOnlyError)
    assert before == snapshot(tmp_path)


def test_a_name_that_cannot_be_one_is_refused(tmp_path: Path) -> None:
    """
    No file has a name with a NUL character.
    """
    with pytest.raises(VoipcardError):
        open_book(tmp_path / "a\0b", currency="EUR")
    assert snapshot(tmp_path) == {}


def test_nothing_is_made_in_a_read_only_folder() -> None:
    """
    Where the user may not write there is no book, and not half of one.
    """
    with public_folder() as folder:
        folder.chmod(0o555)
        with pytest.raises(StoreReadOnlyError):
            as_somebody_else(lambda: open_book(folder / "cards.db", currency="EUR"))
        assert snapshot(folder) == {}


@pytest.mark.parametrize("journal", ["delete", None])
def test_a_book_in_a_read_only_folder_is_not_written(journal: Any) -> None:  # noqa: ANN401 - one of two words
    """
    Whoever may only read gets a refusal when the book is opened or at the first write, and the book is as before.
    """
    with public_folder() as folder:
        place = folder / "cards.db"
        SQLiteStore(place, journal=journal).close()
        with open_book(place, currency="EUR", key=_fixed_key(folder)) as book:
            book.extension(NUMBER).generate(3)
        for path in folder.iterdir():
            path.chmod(0o444)
        folder.chmod(0o555)
        before = snapshot(folder)

        def write(count: int) -> None:
            with open_book(place, key=KeyFile(folder / "k.key")) as book:
                book.extension(NUMBER).generate(count)

        for count in (1, 2500):
            with pytest.raises(StoreReadOnlyError):
                as_somebody_else(lambda count=count: write(count))  # type: ignore[misc]
        assert before == snapshot(folder)


def _fixed_key(folder: Path) -> KeyFile:
    key = KeyFile(folder / "k.key")
    key.create()

    return key


@pytest.mark.parametrize("hidden", ["folder", "book", "key"])
def test_what_may_not_be_read_is_refused(hidden: str) -> None:
    """
    A folder, book or key of another user is refused as everything else is: by an error of this library.
    """
    with public_folder() as folder:
        place = folder / "cards.db"
        open_book(place, currency="EUR").close()
        readable = {"book": "cards.db.key", "key": "cards.db", "folder": ""}[hidden]
        if readable:
            (folder / readable).chmod(0o644)
        folder.chmod(0o711 if readable else 0o700)
        before = snapshot(folder)
        for currency in (None, "EUR"):
            with pytest.raises(VoipcardError):
                as_somebody_else(lambda currency=currency: open_book(place, currency=currency))  # type: ignore[misc]
        assert before == snapshot(folder)


def test_a_refused_book_is_not_kept_open(kept: Path) -> None:
    """
    Whatever the reason, no descriptor stays open, even as long as the error lives.
    """
    other = kept.with_name("other.txt")
    other.write_text("text" * 2000)
    (kept.parent / "other.txt.key").write_text("07" * 32)
    errors: list[VoipcardError] = []
    requests: list[tuple[Path, dict[str, Any]]] = [
        (other, {}),
        (kept, {"currency": "USD"}),
        (kept, {"key": KeyFile(other)}),
    ]
    for where, arguments in requests:
        with pytest.raises(VoipcardError) as caught:
            open_book(where, **arguments)
        errors.append(caught.value)
    descriptors = Path("/proc/self/fd")
    still_open = (
        [link.readlink() for link in descriptors.iterdir() if link.is_symlink()] if descriptors.exists() else []
    )

    assert len(errors) == 3
    assert not [target for target in still_open if str(target).startswith(str(kept.parent))]


# Many at once, and crashes


@pytest.mark.parametrize("prepared", [False, True], ids=["nothing", "empty file"])
def test_processes_that_make_the_same_book_get_the_same_book(prepared: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """
    However many processes open the same new book at the same moment, there is one key ring, and all of them can work.
    """

    def work(place: Path, number: int) -> tuple[str, str]:
        with open_book(place, currency="EUR") as book:
            [handout] = book.extension(f"0003*{number}").generate(1, credit=number)
            mark = book._engine.records.keyring.mac("test", b"")  # noqa: SLF001 - nothing public shows a key
            return mark.hex(), handout.serial

    for round_ in range(4):
        place = tmp_path / f"{round_}.db"
        if prepared:
            place.touch()
        answers = at_once([lambda place=place, number=number: work(place, number) for number in range(6)])  # type: ignore[misc]

        with open_book(place) as book:
            assert {book._engine.records.keyring.mac("test", b"").hex()} == {mark for mark, _ in answers}  # noqa: SLF001
            assert {f"0003*{number}" for number in range(6)} == {extension.number for extension in book.extensions()}
            assert {serial for _, serial in answers} == {
                card.serial for extension in book.extensions() for card in extension
            }
            assert book.verify().ok


def die() -> NoReturn:
    """
    End as by a loss of power.
    """
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


class DeadlyKey:
    """
    A key at which the process dies, the time that it is asked for the given number.
    """

    def __init__(self, key: KeyFile, calls: int) -> None:
        self.place = key.place
        self._key = key
        self._calls = calls

    def wrap(self, secret: bytes) -> bytes:
        """
        Wrap, or die.
        """
        self._calls -= 1
        if self._calls == 0:
            die()

        return self._key.wrap(secret)

    def unwrap(self, wrapped: bytes) -> bytes:
        """
        Unwrap.
        """
        return self._key.unwrap(wrapped)


@pytest.mark.parametrize("moment", ["key", "empty file", "tables", "clock", "wrap 1", "wrap 2", "first write"])
def test_a_book_that_was_half_made_is_made_whole(moment: str, place: Path) -> None:
    """
    Wherever making a book was cut off, opening it again goes on, with the key that is there already.
    """
    key = KeyFile(Path(f"{place}.key"))
    key.create()
    match moment.split():
        case ["key"]:
            pass
        case ["empty", _]:
            place.touch()
        case ["tables"]:
            SQLiteStore(place).close()
        case ["clock"]:
            with pytest.raises(ChildProcessError):
                forked(lambda: open_book(place, currency="EUR", clock=die))()
        case ["wrap", number]:
            with pytest.raises(ChildProcessError):
                forked(lambda: open_book(place, currency="EUR", key=DeadlyKey(key, int(number))))()
        case _:
            with pytest.raises(ChildProcessError):
                forked(
                    lambda: open_book(place, currency="EUR").extension(NUMBER).generate(9, progress=lambda *_: die())
                )()
    before = key.path.read_bytes()
    with open_book(place, currency="EUR") as book:
        handouts = book.extension(NUMBER).generate(2)
    with open_book(place) as book:
        assert [handout.serial for handout in handouts] == [card.serial for card in book.extension(NUMBER)]
        assert book.verify().ok
    assert before == key.path.read_bytes()
    assert {"cards.db", "cards.db.key"} == set(snapshot(place.parent))


# License, store, clock and source


def test_a_license_is_kept_in_the_book(kept: Path) -> None:
    """
    It holds for every handle at once, also for those that did not say it; saying the same again writes nothing.
    """
    with open_book(kept) as before, open_book(kept, license=License(max_active_codes=5)) as saying:
        assert {before.license, saying.license} == {License(max_active_codes=5)}
        assert before.quota.remaining == 2
        trail = len(list(before.audit_trail()))
        with open_book(kept, license=License(max_active_codes=5)) as again:
            assert again.quota.limit == 5
        assert trail == len(list(before.audit_trail()))
        with open_book(kept, license=License.unlimited()) as other:
            assert other.quota.limit is None
        assert before.quota.limit is None
        assert trail + 1 == len(list(before.audit_trail()))


def test_a_new_book_has_no_limit(place: Path) -> None:
    """
    Without a license any number of codes may be active; with one it holds from the first card on.
    """
    with open_book(place, currency="EUR") as book:
        assert book.license == License.unlimited()
    with open_book(currency="EUR", license=License(max_active_codes=0)) as book:
        assert not book.quota.can_add


def test_a_book_can_be_kept_in_any_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    A store is a place like a file: it needs a currency once and its key always.
    """
    monkeypatch.setenv("VOIPCARD_KEY", "07" * 32)
    key, store = KeyVariable("VOIPCARD_KEY"), MemoryStore()
    with pytest.raises(KeyMissingError):
        open_book(store.another(), currency="EUR")
    with pytest.raises(CurrencyError):
        open_book(store.another(), key=key)
    with open_book(store.another(), currency="EUR", key=key) as book:
        book.extension(NUMBER).generate(2)
    with open_book(store.another(), key=key) as book:
        assert (book.currency, book.quota.active) == ("EUR", 2)
    monkeypatch.setenv("VOIPCARD_KEY", "08" * 32)
    with pytest.raises(KeyMismatchError):
        open_book(store.another(), key=key)


def test_time_and_chance_come_from_where_the_caller_says(place: Path) -> None:
    """
    With the same clock and the same random bytes the same codes are drawn, under other keys.
    """
    calls = itertools.count()
    noon = datetime(2026, 3, 14, 12, tzinfo=UTC)

    def opened(name: str) -> tuple[list[tuple[str, str, str]], set[datetime], bytes]:
        calls = itertools.count()

        def source(count: int) -> bytes:
            return hashlib.shake_128(str(next(calls)).encode()).digest(count)

        with open_book(place.with_name(name), currency="EUR", clock=lambda: noon, source=source) as book:
            drawn = [(each.serial, each.code, each.pin) for each in book.extension(NUMBER).generate(5)]
            made = {card.created_at for card in book.extension(NUMBER)}
            return drawn, made, book._engine.records.keyring.mac("test", b"")  # noqa: SLF001 - nothing public shows it

    first, second = opened("first.db"), opened("second.db")

    assert next(calls) == 0
    assert first[0] == second[0]
    assert first[1] == second[1] == {noon}
    assert first[2] != second[2]


def test_the_policy_holds_for_the_handle_that_has_it(kept: Path) -> None:
    """
    What is too risky is a matter of who opens the book; it is not kept in it.
    """
    with open_book(kept) as strict, open_book(kept, policy=Policy(allow_weak_pins=True)) as lenient:
        with pytest.raises(InvalidValueError):
            strict.extension(NUMBER).add("87659321", pin="1234")
        assert len(lenient.extension(NUMBER).add("87659321", pin="1234")) == 1


@pytest.mark.parametrize("wrong", ["cards.key", Path("cards.key"), b"0" * 32, KeyFile, 7])
def test_what_protects_no_keys_is_refused(wrong: Any, kept: Path, tmp_path: Path) -> None:  # noqa: ANN401
    """
    What is no key provider is refused by its name, for a new book as for one that is there, and so is another key.
    """
    with pytest.raises(InvalidValueError) as refused:
        open_book(tmp_path / "new.db", currency="EUR", key=wrong)
    assert refused.value.name == "key"
    assert not (tmp_path / "new.db").exists()
    with open_book(kept) as book, pytest.raises(InvalidValueError) as refused:
        book.change_key(wrong)
    assert refused.value.name == "key"


@pytest.mark.parametrize("wrong", [None, 10, {"per_call": 3}])
def test_what_limits_no_guessing_is_refused(wrong: Any) -> None:  # noqa: ANN401
    """
    A book is not opened with something else in the place of its limits: callers would be the first to notice.
    """
    with pytest.raises(InvalidValueError) as refused:
        open_book(limits=wrong)

    assert refused.value.name == "limits"


@pytest.mark.parametrize("wrong", [10, b"voipcard-license-1", License, True])
def test_what_is_no_license_is_refused_before_there_is_a_book(wrong: Any, tmp_path: Path) -> None:  # noqa: ANN401
    """
    A license that does not hold is no reason not to open a book; something else is a mistake of whoever calls.
    """
    with pytest.raises(InvalidValueError) as refused:
        open_book(tmp_path / "new.db", currency="EUR", license=wrong)

    assert refused.value.name == "license"
    assert list(tmp_path.iterdir()) == []
