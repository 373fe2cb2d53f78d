"""
The file of hand-outs: whenever the cards are in the book it is whole on the disk, whatever happens to the process.
"""

from __future__ import annotations

import errno
import os
import signal
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, get_args

import pytest

from tests.book_world import (
    EXTENSION,
    LAX,
    DiesAfterCommit,
    DiesBeforeCommit,
    Meddled,
    book_on,
    engine_of,
    file_book,
    findings_of,
    killed,
    new_book,
    outcome,
    seeded,
    serials,
    verbs_of,
)
from voipcard import NO_PIN, Batch, CodeFormat, Extension, License, PinFormat, Profile, sheets
from voipcard.errors import (
    InvalidValueError,
    JoinedStoreError,
    QuotaExceededError,
    SheetError,
    StoreError,
    StoreFullError,
    VoipcardError,
)
from voipcard.stores import Changes, MemoryStore, SQLiteStore, Store

PROFILES: Final = get_args(Profile)
PINS: Final = PinFormat(12)
MANY: Final = 2_100
"""Enough for a commit that is prepared in a scratch file."""

both: Final = pytest.mark.parametrize("profile", PROFILES)


def extension_on(store: Store, **settings: Any) -> Extension:  # noqa: ANN401 - those of `book_on`
    """
    Give an extension of the book in a store, with alice acting.
    """
    return book_on(store, **settings).acting_as("alice").extension(EXTENSION)


def rows_of(path: Path) -> list[tuple[object, ...]]:
    """
    Read serial, code and PIN of each row of a file of hand-outs.
    """
    header, *rows = (row.cells for row in sheets.read(path))

    assert header[:3] == ["Serial", "Card Code", "PIN"]
    return [tuple(row[:3]) for row in rows]


def told(batch: Batch) -> list[tuple[object, ...]]:
    """
    Tell the same of hand-outs.
    """
    return [(handout.serial, handout.code, handout.pin) for handout in batch]


def recognized(extension: Extension, path: Path) -> set[str]:
    """
    Tell which cards of the book the file has with their own code and their own PIN.
    """
    engine = engine_of(extension)
    found = set()
    for serial, code, pin in rows_of(path):
        record = engine.store.find(serial=str(serial))
        if record is None or engine.records.code(record) != code:
            continue
        if engine.records.keyring.pin_matches(str(pin), record.pin_mac, owner=record.id):
            found.add(record.serial)

    return found


# What is written


@both
@pytest.mark.parametrize("name, format_", [("po.csv", None), ("po.XLSX", None), ("po", "csv"), ("po.dat", "xlsx")])
def test_the_file_has_what_the_batch_has(
    name: str, format_: sheets.Format | None, profile: Profile, tmp_path: Path
) -> None:
    """
    It is what `sheets.write` makes of the batch, readable by its owner only, and nothing else is in the folder.
    """
    path, other = tmp_path / "here" / name, tmp_path / "other"
    path.parent.mkdir()
    batch = new_book(profile=profile).extension(EXTENSION).generate(3, credit=5, to=path, format=format_)
    kind: sheets.Format = format_ or ("csv" if path.suffix == ".csv" else "xlsx")
    sheets.write(other, batch, format=kind)

    assert [row.cells for row in sheets.read(other, format=kind)] == [
        row.cells for row in sheets.read(path, format=kind)
    ]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_without_a_place_there_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Who names no file gets none.
    """
    monkeypatch.chdir(tmp_path)
    new_book().extension(EXTENSION).generate(3)

    assert list(tmp_path.iterdir()) == []


def test_a_rehearsal_writes_no_file(tmp_path: Path) -> None:
    """
    A dry run answers as without a file and leaves the folder as it was.
    """
    extension = new_book().extension(EXTENSION)
    rehearsed = extension.generate(3, to=tmp_path / "po.csv", dry_run=True)

    assert extension.generate(3, dry_run=True) == rehearsed
    assert list(tmp_path.iterdir()) == []


class Watching(MemoryStore):
    """
    A store that looks into the file before it commits.
    """

    path: Path
    seen: list[tuple[object, ...]]

    def commit(self, changes: Changes) -> None:
        """
        Look, and commit.
        """
        new = list(changes.new)
        if new:
            self.seen = rows_of(self.path)
            assert [card.serial for card, _ in new] == [serial for serial, *_ in self.seen]
        super().commit(changes)


@both
@pytest.mark.parametrize("name", ["po.csv", "po.xlsx"])
def test_the_file_is_whole_when_the_commit_begins(name: str, profile: Profile, tmp_path: Path) -> None:
    """
    When the store is first told of the cards, all their codes and PINs are in the file already.
    """
    store = Watching()
    store.path = tmp_path / name
    batch = extension_on(store, profile=profile).generate(300, pin_format=PINS, to=store.path)

    assert told(batch) == store.seen


# What is never written over


def occupy(path: Path, how: str) -> None:
    """
    Let something be under this name.
    """
    if how == "file":
        path.write_text("somebody's PINs")
    elif how == "folder":
        path.mkdir()
    else:
        path.symlink_to(path.with_name("nowhere"))


def drawing(calls: list[int], then: Callable[[], object] = lambda: None) -> Callable[[int], bytes]:
    """
    Give a source that counts how often something is drawn.
    """

    def draw(count: int) -> bytes:
        calls.append(count)
        then()
        return os.urandom(count)

    return draw


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("how", ["file", "folder", "link"])
def test_a_place_that_is_taken_is_refused(how: str, dry_run: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """
    Before anything is drawn: it may be the only copy of somebody's PINs.
    """
    path, calls = tmp_path / "po.csv", list[int]()
    occupy(path, how)
    before = path.lstat()
    extension = extension_on(MemoryStore(), source=drawing(calls))
    with pytest.raises(SheetError) as caught:
        extension.generate(3, to=path, dry_run=dry_run)

    assert caught.value.reason == "exists"
    assert (before.st_ino, before.st_size) == (path.lstat().st_ino, path.lstat().st_size)
    assert (list(extension), calls, verbs_of(book_on(engine_of(extension).store))) == ([], [], [])


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("how", ["file", "folder", "link"])
def test_a_file_that_appears_meanwhile_stays(
    how: str,
    links: bool,  # noqa: FBT001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """
    Whoever comes first has the name, also where a file system has no links: no cards are made then.
    """
    if not links:
        monkeypatch.setattr(os, "link", without_links)
    path, calls = tmp_path / "po.csv", list[int]()
    extension = extension_on(
        MemoryStore(), source=drawing(calls, lambda: None if os.path.lexists(path) else occupy(path, how))
    )
    with pytest.raises(SheetError) as caught:
        extension.generate(3, to=path)

    assert caught.value.reason == "exists"
    assert list(extension) == []
    assert list(tmp_path.iterdir()) == [path]
    assert how != "file" or path.read_text() == "somebody's PINs"


def without_links(*_: object, **__: object) -> None:
    """
    Refuse to make a link, as a memory stick does.
    """
    raise OSError(errno.EPERM, os.strerror(errno.EPERM))


def test_a_memory_stick_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where a file system has no links the file is the same.
    """
    monkeypatch.setattr(os, "link", without_links)
    path = tmp_path / "po.csv"
    batch = new_book().extension(EXTENSION).generate(3, to=path)

    assert told(batch) == rows_of(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "given, reason",
    [("po.txt", "suffix"), ("po", "suffix"), ("nowhere/po.csv", "missing"), ("a\0b.csv", "not_a_file")],
)
@pytest.mark.parametrize("dry_run", [False, True])
def test_what_can_be_no_file_is_refused(given: str, reason: str, dry_run: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """
    With the reason that `sheets.write` gives, and without cards.
    """
    extension = new_book().extension(EXTENSION)
    with pytest.raises(SheetError) as caught:
        extension.generate(3, to=tmp_path / given, dry_run=dry_run)

    assert caught.value.reason == reason
    assert list(extension) == []


@pytest.mark.parametrize("to, format_", [(7, None), (b"po.csv", None), ("po.csv", "pdf")])
def test_what_is_no_place_is_refused(to: Any, format_: Any) -> None:  # noqa: ANN401 - wrong types
    """
    An open file is none, because nobody could tell when it is on the disk.
    """
    with pytest.raises(InvalidValueError):
        new_book().extension(EXTENSION).generate(3, to=to, format=format_)


class Joined(MemoryStore):
    """
    A store that has joined a transaction of its caller's.
    """

    joined: Final = True


def test_a_transaction_that_may_be_rolled_back_writes_no_file(tmp_path: Path) -> None:
    """
    Nobody would take the file back with the cards.
    """
    extension = extension_on(Joined())
    with pytest.raises(JoinedStoreError):
        extension.generate(3, to=tmp_path / "po.csv")

    assert len(extension.generate(3)) == 3
    assert list(tmp_path.iterdir()) == []


# Commits that are refused, and those of which nobody knows


class Failing(MemoryStore):
    """
    A store whose next commit of cards fails, before it is made or after.
    """

    failure: BaseException | None = None
    is_late: bool = False

    def commit(self, changes: Changes) -> None:
        """
        Fail once.
        """
        if changes.new == () or self.failure is None:
            super().commit(changes)
            return
        failure, self.failure = self.failure, None
        if self.is_late:
            super().commit(changes)
        raise failure


def lost() -> StoreError:
    """
    Say that nobody knows what became of a commit.
    """
    return StoreError("the answer was lost", maybe_applied=True)


@both
def test_a_request_that_is_refused_leaves_no_file(profile: Profile, tmp_path: Path) -> None:
    """
    Neither a quota, whoever notices it, nor a full disk nor a failure of the caller's own leaves one.
    """
    path = tmp_path / "po.csv"
    store = Failing()
    extension = extension_on(store, profile=profile, license=License(max_active_codes=5))

    def stop(_done: int, _total: int | None) -> None:
        raise KeyError("stop")

    store.failure = QuotaExceededError(5, 5, 3)
    answers = [outcome(lambda: extension.generate(3, to=path))]
    store.failure = StoreFullError("no space")
    answers += [outcome(lambda: extension.generate(3, to=path)), outcome(lambda: extension.generate(6, to=path))]
    with pytest.raises(KeyError):
        extension.generate(3, to=path, progress=stop)

    assert [answer[0] for answer in answers] == [QuotaExceededError, StoreFullError, QuotaExceededError]
    assert list(tmp_path.iterdir()) == []
    assert told(extension.generate(3, to=path)) == rows_of(path)


@both
@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize(
    "failure", [lost(), KeyboardInterrupt(), TimeoutError()], ids=lambda error: type(error).__name__
)
def test_a_file_stays_where_nobody_knows(
    failure: BaseException,
    is_late: bool,  # noqa: FBT001
    profile: Profile,
    tmp_path: Path,
) -> None:
    """
    Asked again with the operation, the book tells whether the file is that of its cards; it is the same file always.
    """
    path = tmp_path / "po.csv"
    store = Failing()
    store.failure, store.is_late = failure, is_late
    extension = extension_on(store, profile=profile)
    with pytest.raises(type(failure)):
        extension.generate(3, pin_format=PINS, to=path, operation="op")
    before = path.read_bytes()

    assert len(rows_of(path)) == 3
    if is_late:
        again = extension.generate(3, pin_format=PINS, to=path, operation="op")
        assert again.replayed
        assert recognized(extension, path) == set(serials(extension)) == {handout.serial for handout in again}
    else:
        with pytest.raises(SheetError) as caught:
            extension.generate(3, pin_format=PINS, to=path, operation="op")
        assert caught.value.reason == "exists"
        assert recognized(extension, path) == set(serials(extension)) == set()
    assert before == path.read_bytes()


@both
def test_codes_that_are_drawn_again_are_in_the_file(profile: Profile, tmp_path: Path) -> None:
    """
    Where others have taken the codes meanwhile, the file has the new ones, and no trace of the old ones is left.
    """
    store = MemoryStore()
    first = extension_on(store, profile=profile, source=seeded("same")).generate(20, pin_format=PINS)
    path = tmp_path / "po.csv"
    second = extension_on(store, profile=profile, source=seeded("same")).generate(20, pin_format=PINS, to=path)

    assert told(second) == rows_of(path)
    assert not {handout.code for handout in first} & {handout.code for handout in second}
    assert list(tmp_path.iterdir()) == [path]


@both
def test_a_batch_that_is_decided_again_is_in_the_file(profile: Profile, tmp_path: Path) -> None:
    """
    Where something else has changed meanwhile, the cards get other serials, and the file has those.
    """
    store = Meddled()
    book = book_on(store, profile=profile, license=License(100))
    path = tmp_path / "po.csv"
    store.meddle = lambda: book.install_license(License(200))
    batch = book.extension(EXTENSION).generate(20, to=path)

    assert store.meddle is None
    assert book.license == License(200)
    assert told(batch) == rows_of(path)


def test_a_decision_that_is_refused_at_last_leaves_no_file(tmp_path: Path) -> None:
    """
    Where the license is smaller by the time the batch is decided again, the file of before is gone.
    """
    store = Meddled()
    book = book_on(store, license=License(100))
    store.meddle = lambda: book.install_license(License(10))
    with pytest.raises(QuotaExceededError):
        book.extension(EXTENSION).generate(20, to=tmp_path / "po.csv")

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_took_the_place_of_ours_is_not_taken_back(tmp_path: Path) -> None:
    """
    A refusal removes the file that was written for it, and no other one.
    """
    path, other = tmp_path / "po.csv", tmp_path / "other"
    other.write_text("somebody's PINs")
    store = Meddled()
    book = book_on(store, license=License(100))

    def meddle() -> None:
        other.replace(path)
        book.install_license(License(10))

    store.meddle = meddle
    with pytest.raises(SheetError) as caught:
        book.extension(EXTENSION).generate(20, to=path)

    assert caught.value.reason == "exists"
    assert path.read_text() == "somebody's PINs"


# The same again


def test_the_same_again_leaves_the_file_alone(tmp_path: Path) -> None:
    """
    Also where somebody has written into it.
    """
    path = tmp_path / "po.csv"
    extension = new_book().extension(EXTENSION)
    extension.generate(3, to=path, operation="op")
    path.write_text("printed")
    again = extension.generate(3, to=path, operation="op")

    assert again.replayed
    assert path.read_text() == "printed"


@pytest.mark.parametrize("other", [False, True])
def test_the_same_again_writes_a_file_that_is_gone(other: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """
    From what the book keeps, in the old place or another; that the codes were told again is in the audit trail before.
    """
    path = tmp_path / "po.csv"
    book = new_book()
    extension = book.extension(EXTENSION)
    first = extension.generate(3, to=path, operation="op")
    path.unlink()
    place = tmp_path / "other.csv" if other else path
    rehearsed = extension.generate(3, to=place, operation="op", dry_run=True)
    before = list(tmp_path.iterdir())
    extension.generate(3, to=place, operation="op")

    assert (rehearsed.size, before) == (3, [])
    assert told(first) == rows_of(place)
    assert verbs_of(book) == ["generate", "replay"]


@pytest.mark.parametrize("dry_run", [False, True])
def test_pins_that_are_not_kept_are_not_written_again(dry_run: bool, tmp_path: Path) -> None:  # noqa: FBT001
    """
    A file without its PINs would look like a file of hand-outs: it is refused, and nothing is told.
    """
    path = tmp_path / "po.csv"
    book = new_book(profile="strict")
    extension = book.extension(EXTENSION)
    extension.generate(3, to=path, operation="op")
    path.unlink()
    with pytest.raises(SheetError) as caught:
        extension.generate(3, to=path, operation="op", dry_run=dry_run)

    assert caught.value.reason == "not_kept"
    assert list(tmp_path.iterdir()) == []
    assert verbs_of(book) == ["generate"]
    assert [(handout.has_pin, handout.pin) for handout in extension.generate(3, operation="op")] == [(True, "")] * 3


def test_codes_without_pins_are_written_again(tmp_path: Path) -> None:
    """
    A strict book keeps the codes: where there are no PINs, nothing is missing.
    """
    path = tmp_path / "po.csv"
    extension = new_book(profile="strict").extension(EXTENSION)
    asked: dict[str, Any] = {"pin_format": NO_PIN, "code_format": CodeFormat(16), "to": path, "operation": "op"}
    first = extension.generate(3, **asked)
    path.unlink()
    extension.generate(3, **asked)

    assert told(first) == rows_of(path)


@both
def test_who_was_second_with_an_operation_has_no_file_of_other_cards(profile: Profile, tmp_path: Path) -> None:
    """
    Where another process was faster with the same operation, the file of the slower one is taken back.
    """
    ours, theirs = tmp_path / "ours.csv", tmp_path / "theirs.csv"
    store = Meddled()
    book = book_on(store, profile=profile)
    extension = book.extension(EXTENSION)
    store.meddle = lambda: extension.generate(3, to=theirs, operation="op")
    answer = outcome(lambda: extension.generate(3, to=ours, operation="op"))

    assert len(serials(extension)) == 3
    assert recognized(extension, theirs) == set(serials(extension))
    if profile == "operator":
        assert rows_of(ours) == rows_of(theirs)
    else:
        assert isinstance(answer, tuple)
        assert answer[:2] == (SheetError, "not_kept")
        assert list(tmp_path.iterdir()) == [theirs]


# Processes that are killed


def generate_on(kind: type[SQLiteStore], folder: Path, profile: Profile, count: int, _: int) -> None:
    """
    Generate cards over a store of this kind.
    """
    extension_on(kind(folder / "cards.db"), profile=profile, policy=LAX).generate(
        count, pin_format=PINS, to=folder / "po.csv", operation="op"
    )


def generate_and_die(folder: Path, profile: Profile, at: int, _: int) -> None:
    """
    Generate cards, and be killed in the midst of the commit, when *at* of them are sealed.
    """

    def die(done: int, _total: int | None) -> None:
        if done >= at:
            os.kill(os.getpid(), signal.SIGKILL)

    extension_on(SQLiteStore(folder / "cards.db"), profile=profile).generate(
        MANY, pin_format=PINS, to=folder / "po.csv", operation="op", progress=die
    )


def check_the_law(folder: Path, profile: Profile, count: int) -> tuple[int, bool]:
    """
    Tell how many cards there are and whether there is a file, after making sure that it is whole if there are any.
    """
    path = folder / "po.csv"
    with file_book(folder / "cards.db", profile=profile) as book:
        extension = book.extension(EXTENSION)
        there = set(serials(extension))
        assert len(there) in {0, count}
        if there:
            assert recognized(extension, path) == there
            again = extension.generate(count, pin_format=PINS, to=path, operation="op")
            assert again.replayed
            assert {handout.serial for handout in again} == there
        assert findings_of(book) == set()

    return len(there), path.exists()


def new_folder(folder: Path, profile: Profile) -> Path:
    """
    Make a folder with a book.
    """
    folder.mkdir(exist_ok=True)
    file_book(folder / "cards.db", profile=profile).close()

    return folder


@both
@pytest.mark.parametrize("kind, cards", [(DiesBeforeCommit, 0), (DiesAfterCommit, MANY)])
def test_a_kill_beside_the_commit_loses_no_pin(
    kind: type[SQLiteStore], cards: int, profile: Profile, tmp_path: Path
) -> None:
    """
    Killed between the file and the commit there is a file and no card; killed after the commit there are both.
    """
    folder = new_folder(tmp_path / "folder", profile)
    killed(generate_on, kind, folder, profile, MANY)

    assert check_the_law(folder, profile, MANY) == (cards, True)


@both
@pytest.mark.parametrize("at", [1000, 2000, MANY])
def test_a_kill_in_the_commit_loses_no_pin(at: int, profile: Profile, tmp_path: Path) -> None:
    """
    Killed while the cards are sealed for the store there is a whole file, and no card.
    """
    folder = new_folder(tmp_path / "folder", profile)
    killed(generate_and_die, folder, profile, at)

    assert check_the_law(folder, profile, MANY) == (0, True)
    assert len(rows_of(folder / "po.csv")) == MANY


@both
def test_a_kill_at_any_moment_loses_no_pin(profile: Profile, tmp_path: Path) -> None:
    """
    Killed at any moment there are no cards, or all of them and their file.
    """
    counts = set()
    for number in range(12):
        folder = new_folder(tmp_path / str(number), profile)
        kill_after(0.06 * number, folder, profile)
        counts.add(check_the_law(folder, profile, MANY)[0])

    assert counts <= {0, MANY}


def kill_after(seconds: float, folder: Path, profile: Profile) -> None:
    """
    Begin to generate in a child, and kill it a while after its file began to be written, if it is not done by then.
    """
    child = os.fork()
    if not child:
        try:
            generate_on(SQLiteStore, folder, profile, MANY, 0)
        finally:
            os._exit(0)
    deadline = time.monotonic() + 60
    while not any(path.name.startswith((".voipcard-", "po.csv")) for path in folder.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    time.sleep(seconds)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


class Hasty(SQLiteStore):
    """
    A store that has the cards before there is a file: what the law forbids.
    """

    file: Path

    def commit(self, changes: Changes) -> None:
        """
        Commit, remove the file, and die.
        """
        super().commit(changes)
        if changes.new != ():
            self.file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)


def generate_hastily(folder: Path, profile: Profile, _: int) -> None:
    """
    Generate cards over such a store.
    """
    store = Hasty(folder / "cards.db")
    store.file = folder / "po.csv"
    extension_on(store, profile=profile).generate(MANY, pin_format=PINS, to=store.file, operation="op")


def test_a_file_that_comes_too_late_is_found_out(tmp_path: Path) -> None:
    """
    The check of the law fails where the cards were first: what it proves is not luck.
    """
    folder = new_folder(tmp_path / "folder", "strict")
    killed(generate_hastily, folder, "strict")

    with pytest.raises(VoipcardError):
        check_the_law(folder, "strict", MANY)


@pytest.fixture(autouse=True)
def _nothing_is_left_beside(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """
    No test leaves a file beside its place, but those in which a process is killed.
    """
    yield
    if "kill" not in request.node.name and "late" not in request.node.name:
        assert list(tmp_path.rglob(".voipcard-*")) == []
