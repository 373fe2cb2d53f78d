"""
Key providers: what they wrap comes back to the same key only, and none of them shows its key.
"""

from __future__ import annotations

import base64
import copy
import os
import pickle
import stat
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from hypothesis import given, settings
from hypothesis import strategies as st

import voipcard
from tests.book_world import engine_of
from voipcard import KeyCallback, KeyFile, KeyPassphrase, KeyVariable, open_book
from voipcard.ciphers import SUITES, Suite, cipher
from voipcard.errors import InvalidValueError, KeyMismatchError, KeyMissingError, StoreError, VoipcardError
from voipcard.providers import KeyProvider, wrapped_by

SOURCE: Final = Path(voipcard.__file__).parent
ROOT: Final = bytes(range(32))
PHRASE: Final = "six words drawn by honest dice"
COSTS: Final = {"iterations": 1, "memory": 16, "lanes": 2}
"""So low that a test takes no time."""


class Vault:
    """
    A key management service: keeps its key to itself, and counts what it is asked for.
    """

    def __init__(self, key: bytes = ROOT) -> None:
        self.place = "kms://vault/voipcard"
        self.calls: list[str] = []
        self._cipher = AESGCM(key)

    def wrap(self, secret: bytes) -> bytes:
        """
        Encrypt what is given.
        """
        self.calls.append("wrap")
        nonce = os.urandom(12)

        return nonce + self._cipher.encrypt(nonce, secret, b"voipcard")

    def unwrap(self, wrapped: bytes) -> bytes:
        """
        Decrypt what was encrypted.
        """
        self.calls.append("unwrap")
        try:
            return self._cipher.decrypt(wrapped[:12], wrapped[12:], b"voipcard")
        except (InvalidTag, ValueError):
            raise KeyMismatchError(self.place) from None


@contextmanager
def key_file(folder: Path) -> Iterator[KeyProvider]:
    """
    Keep a key in a file.
    """
    key = KeyFile(folder / "cards.key")
    key.create()
    yield key


@contextmanager
def key_variable(_: Path) -> Iterator[KeyProvider]:
    """
    Keep a key in the environment.
    """
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("VOIPCARD_KEY", ROOT.hex())
        yield KeyVariable("VOIPCARD_KEY")


@contextmanager
def vault(_: Path) -> Iterator[KeyProvider]:
    """
    Keep a key in a service of one's own.
    """
    yield Vault()


@contextmanager
def callback(_: Path) -> Iterator[KeyProvider]:
    """
    Keep a key behind two functions.
    """
    service = Vault()
    yield KeyCallback(service.wrap, service.unwrap, service.place)


@contextmanager
def passphrase(_: Path) -> Iterator[KeyProvider]:
    """
    Keep a key in somebody's head.
    """
    yield KeyPassphrase(PHRASE, **COSTS)


Kept = Callable[[Path], AbstractContextManager[KeyProvider]]

PROVIDERS: Final[list[Kept]] = [key_file, key_variable, vault, callback, passphrase]


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_what_is_wrapped_comes_back(provider: Kept, suite: Suite, tmp_path: Path) -> None:
    """
    Whatever protects a secret gives the same one back, in both suites, and what is kept shows nothing of it.
    """
    with provider(tmp_path) as key:
        wrapped, again = wrapped_by(key, lambda: ROOT, suite), wrapped_by(key, lambda: ROOT, suite)

        assert ROOT == key.unwrap(wrapped) == key.unwrap(again)
    assert wrapped != again
    assert ROOT not in wrapped


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("provider", [key_file, key_variable, passphrase])
def test_what_was_wrapped_says_its_suite(provider: Kept, suite: Suite, tmp_path: Path) -> None:
    """
    The first byte is that of the book's suite.
    """
    with provider(tmp_path) as key:
        assert SUITES[suite] == wrapped_by(key, lambda: ROOT, suite)[0]


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_changed_secret_is_refused(provider: Kept, suite: Suite, tmp_path: Path) -> None:
    """
    No bit of what was wrapped can be turned over, and nothing cut off or added.
    """
    with provider(tmp_path) as key:
        wrapped = wrapped_by(key, lambda: ROOT, suite)
        changes = [bytes(size) for size in (0, 1, 5, 16, 32)] + [wrapped[:-1], wrapped[1:], wrapped + b"\0"]
        for bit in range(8 * len(wrapped)):
            changed = bytearray(wrapped)
            changed[bit // 8] ^= 1 << bit % 8
            # A changed cost is refused as well, but some only after minutes.
            if provider is not passphrase or bit // 8 not in range(1, 13):
                changes.append(bytes(changed))
        for each in changes:
            with pytest.raises(KeyMismatchError) as caught:
                key.unwrap(each)
            assert key.place == caught.value.place


@pytest.mark.parametrize("provider", PROVIDERS)
def test_each_provider_opens_a_book(provider: Kept, tmp_path: Path) -> None:
    """
    A book is made and opened again with any of them.
    """
    with provider(tmp_path) as key:
        with open_book(tmp_path / "cards.db", currency="EUR", key=key) as book:
            [handout] = book.extension("0003*215").generate(1)
        with open_book(tmp_path / "cards.db", key=key) as book:
            found = book.extension("0003*215").get(code=handout.code)

    assert handout.serial == found.serial


def test_a_book_can_be_protected_by_a_service_of_ones_own(tmp_path: Path) -> None:
    """
    A provider is all that a book needs: no key file is made, and another key does not open the book.
    """
    with open_book(tmp_path / "cards.db", currency="EUR", key=Vault()) as book:
        [handout] = book.extension("0003*215").generate(1)
    key = Vault()
    with open_book(tmp_path / "cards.db", key=key) as book:
        found = book.extension("0003*215").find(code=handout.code)
    with pytest.raises(KeyMismatchError) as caught:
        open_book(tmp_path / "cards.db", key=Vault(ROOT[::-1]))

    assert found is not None
    assert key.calls == ["unwrap"]
    assert "kms://vault/voipcard" in str(caught.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cards.db"]


# Key files


def test_a_key_file_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    """
    The file has the permissions 0600 whatever the umask, 64 hexadecimal digits, and nothing is left beside it.
    """
    old = os.umask(0)
    try:
        KeyFile(tmp_path / "cards.key").create()
    finally:
        os.umask(old)
    path = tmp_path / "cards.key"

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(bytes.fromhex(path.read_text())) == 32
    assert [path] == list(tmp_path.iterdir())


def test_a_key_that_is_there_is_kept(tmp_path: Path) -> None:
    """
    Making a key never replaces one.
    """
    key = KeyFile(tmp_path / "cards.key")
    key.create()
    before = key.path.read_bytes()
    key.create()
    other = KeyFile(tmp_path / "mine.key")
    other.path.write_text("not even a key")
    other.create()

    assert before == key.path.read_bytes()
    assert other.path.read_text() == "not even a key"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cards.key", "mine.key"]


def test_every_key_file_has_another_key(tmp_path: Path) -> None:
    """
    Keys are drawn, not derived from a name or a time.
    """
    keys = [KeyFile(tmp_path / f"{number}.key") for number in range(20)]
    for key in keys:
        key.create()

    assert len({key.path.read_bytes() for key in keys}) == 20


def test_nobody_ever_sees_half_a_key_file(tmp_path: Path) -> None:
    """
    From its first moment on the file has its key, and of many who make it at once all get the same one.
    """
    for number in range(60):
        key = KeyFile(tmp_path / f"{number}.key")
        barrier = threading.Barrier(4)

        def look(key: KeyFile = key, barrier: threading.Barrier = barrier) -> bytes:
            barrier.wait()
            while not key.path.exists():
                pass
            return key.path.read_bytes()

        def make(key: KeyFile = key, barrier: threading.Barrier = barrier) -> bytes:
            barrier.wait()
            key.create()
            return key.path.read_bytes()

        with ThreadPoolExecutor(4) as pool:
            seen = [future.result() for future in [pool.submit(work) for work in (look, make, look, make)]]

        assert {65} == {len(text) for text in seen}
        assert len(set(seen)) == 1


@pytest.mark.parametrize("name", ["missing/cards.key", "x" * 300])
def test_a_key_file_that_cannot_be_made_is_refused(name: str, tmp_path: Path) -> None:
    """
    What the operating system refuses is an error of a store, and leaves nothing.
    """
    with pytest.raises(StoreError) as caught:
        KeyFile(tmp_path / name).create()
    assert isinstance(caught.value.__cause__, OSError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [None, b"", b" \n\t ", "folder"])
def test_no_key_is_a_missing_key(content: bytes | str | None, tmp_path: Path) -> None:
    """
    Neither a missing nor an empty file nor a folder has a key; where it was looked for is said.
    """
    key = KeyFile(tmp_path / "cards.key")
    if isinstance(content, bytes):
        key.path.write_bytes(content)
    elif content:
        key.path.mkdir()
    for use in (key.wrap, key.unwrap):
        with pytest.raises(KeyMissingError) as caught:
            use(bytes(40))
        assert str(key.path) == caught.value.place


GARBAGE: Final = [
    *(ROOT.hex()[:-1].encode(), ROOT.hex()[:-2].encode(), ROOT.hex().encode() + b"00", b"g" * 64),
    *(base64.b64encode(ROOT[:-1]), base64.b64encode(ROOT + b"\0"), ROOT, b"\xff" * 64, "٤".encode() * 64, b"garbage"),
]


@pytest.mark.parametrize("content", GARBAGE, ids=repr)
def test_garbage_is_no_key(content: bytes, tmp_path: Path) -> None:
    """
    What is not exactly 32 bytes in one of the two forms is not the key of this book; it is not shown.
    """
    key = KeyFile(tmp_path / "cards.key")
    key.path.write_bytes(content)
    with pytest.raises(KeyMismatchError) as caught:
        key.unwrap(bytes(40))
    assert str(key.path) == caught.value.place
    assert content.decode("latin-1") not in str(caught.value).replace(key.place, "")


@pytest.mark.parametrize("written", [ROOT.hex(), ROOT.hex().upper(), base64.b64encode(ROOT).decode()])
@pytest.mark.parametrize("around", ["{}", "{}\n", "  {}\r\n"])
def test_a_key_is_written_in_two_ways(written: str, around: str, tmp_path: Path) -> None:
    """
    Hexadecimal digits or Base64, in a file or in the environment, is the same key.
    """
    key = KeyFile(tmp_path / "cards.key")
    key.path.write_text(around.format(written), newline="")
    with key_variable(tmp_path) as variable:
        wrapped = variable.wrap(b"secret")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("VOIPCARD_KEY", around.format(written))

        assert KeyVariable("VOIPCARD_KEY").unwrap(wrapped) == b"secret"
    assert key.unwrap(wrapped) == b"secret"


@pytest.mark.parametrize(
    "value, error", [(None, KeyMissingError), ("", KeyMissingError), ("garbage", KeyMismatchError)]
)
def test_a_variable_without_a_key_is_refused(
    value: str | None, error: type[VoipcardError], monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A variable that is not set, empty or something else is named, its value is not.
    """
    monkeypatch.delenv("VOIPCARD_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("VOIPCARD_KEY", value)
    with pytest.raises(error) as caught:
        KeyVariable("VOIPCARD_KEY").unwrap(bytes(40))
    assert "$VOIPCARD_KEY" in str(caught.value)
    assert value is None or value == "" or value not in str(caught.value)


@settings(max_examples=30)
@given(st.binary(max_size=200))
def test_any_secret_is_wrapped(secret: bytes) -> None:
    """
    Wrapping is the exact opposite of unwrapping, with the key and with no other.
    """
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("VOIPCARD_KEY", ROOT.hex())
        key = KeyVariable("VOIPCARD_KEY")
        wrapped = key.wrap(secret)
        back = key.unwrap(wrapped)
        environment.setenv("VOIPCARD_KEY", ROOT[::-1].hex())
        with pytest.raises(KeyMismatchError):
            key.unwrap(wrapped)

    assert secret == back
    assert len(secret) < 16 or secret not in wrapped


def test_providers_are_values() -> None:
    """
    Equal places are equal providers, and no provider shows a key.
    """
    assert KeyFile("cards.key") == KeyFile(Path("cards.key"))
    assert repr(KeyVariable("VOIPCARD_KEY")) == "KeyVariable(name='VOIPCARD_KEY')"
    assert "cards.key" in repr(KeyFile(Path("cards.key")))


# Passphrases


def test_a_passphrase_is_stretched_as_documented() -> None:
    """
    Argon2id with the costs and the salt that are kept in front of what was wrapped.
    """
    wrapped = KeyPassphrase(PHRASE, **COSTS).wrap(b"secret")
    key = Argon2id(salt=wrapped[13:29], length=32, iterations=1, lanes=2, memory_cost=16).derive(PHRASE.encode())

    assert [int.from_bytes(wrapped[start : start + 4], "big") for start in (1, 5, 9)] == [1, 16, 2]
    assert cipher(wrapped[0], key, "wrap").open(wrapped, b"", wrapped[:29]) == b"secret"


def test_the_costs_can_be_raised_later() -> None:
    """
    What was wrapped at lower costs is unwrapped by the same passphrase at whatever costs, and by no other.
    """
    wrapped = KeyPassphrase(PHRASE, **COSTS).wrap(b"secret")

    assert KeyPassphrase(PHRASE).unwrap(wrapped) == b"secret"
    for other in (PHRASE.title(), PHRASE + " ", "x"):
        with pytest.raises(KeyMismatchError):
            KeyPassphrase(other).unwrap(wrapped)


def test_the_default_costs_are_those_of_the_rfc() -> None:
    """
    3 passes over 64 MiB in 4 lanes: the second choice of RFC 9106.
    """
    wrapped = KeyPassphrase(PHRASE).wrap(b"")

    assert [int.from_bytes(wrapped[start : start + 4], "big") for start in (1, 5, 9)] == [3, 65536, 4]


def test_one_passphrase_makes_another_key_each_time() -> None:
    """
    The salt is drawn: equal secrets under equal passphrases look different, head and all.
    """
    wrapped = {KeyPassphrase(PHRASE, **COSTS).wrap(b"secret")[13:29] for _ in range(50)}

    assert len(wrapped) == 50


def test_a_passphrase_is_the_same_however_it_was_typed() -> None:
    """
    An accent that stands alone is the same as a letter that has it.
    """
    wrapped = KeyPassphrase("caf\u00e9 au lait", **COSTS).wrap(b"secret")

    assert KeyPassphrase("cafe\u0301 au lait", **COSTS).unwrap(wrapped) == b"secret"


@pytest.mark.parametrize("phrase", ["", None, b"bytes", 7, "\ud800"])
def test_nothing_is_no_passphrase(phrase: str) -> None:
    """
    A passphrase is a text with at least one character; it is not shown.
    """
    with pytest.raises(InvalidValueError) as caught:
        KeyPassphrase(phrase)

    assert caught.value.name == "passphrase"


@pytest.mark.parametrize(
    "costs",
    [
        *({"iterations": 0}, {"iterations": 65}, {"iterations": 1.5}, {"lanes": 0}, {"lanes": 65}, {"memory": 31}),
        *({"memory": 2**21 + 1}, {"memory": "64"}, {"lanes": 8, "memory": 63}),
    ],
    ids=repr,
)
def test_costs_have_their_ranges(costs: dict[str, Any]) -> None:
    """
    Neither nothing nor more than a machine has.
    """
    with pytest.raises(InvalidValueError) as caught:
        KeyPassphrase(PHRASE, **costs)

    assert caught.value.name in costs


@pytest.mark.parametrize("cost", range(3))
def test_changed_costs_are_refused(cost: int) -> None:
    """
    What is kept in front of what was wrapped belongs to it.
    """
    wrapped = bytearray(KeyPassphrase(PHRASE, **COSTS).wrap(b"secret"))
    wrapped[4 + 4 * cost] ^= 8
    with pytest.raises(KeyMismatchError):
        KeyPassphrase(PHRASE).unwrap(bytes(wrapped))


@pytest.mark.parametrize("cost", range(3))
def test_costs_beyond_their_range_are_not_believed(cost: int) -> None:
    """
    Whoever can write beside a book cannot let it take all memory and time there is: it is refused at once.
    """
    wrapped = bytearray(KeyPassphrase(PHRASE, **COSTS).wrap(b"secret"))
    wrapped[1 + 4 * cost : 5 + 4 * cost] = b"\xff" * 4
    with pytest.raises(KeyMismatchError):
        KeyPassphrase(PHRASE).unwrap(bytes(wrapped))


def test_a_passphrase_is_not_shown() -> None:
    """
    Neither `repr` nor pickles nor copies nor attributes that are listed show it.
    """
    key = KeyPassphrase(PHRASE)

    assert repr(key) == str(key) == "KeyPassphrase('••••')"
    assert PHRASE not in f"{key.place}"
    assert not hasattr(key, "__dict__")
    for escape in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            escape(key)


# Services


class NetworkError(Exception):
    """
    The service cannot be reached.
    """


def test_what_a_service_raises_reaches_the_caller(tmp_path: Path) -> None:
    """
    A service that cannot be reached is not a key that does not fit: its own error tells, at making and at opening.
    """

    def unreachable(_: bytes) -> bytes:
        raise NetworkError

    service = Vault()
    with pytest.raises(NetworkError):
        open_book(tmp_path / "none.db", currency="EUR", key=KeyCallback(unreachable, service.unwrap, "kms"))
    open_book(tmp_path / "cards.db", currency="EUR", key=service).close()
    with pytest.raises(NetworkError):
        open_book(tmp_path / "cards.db", key=KeyCallback(service.wrap, unreachable, "kms"))
    with pytest.raises(KeyMismatchError):
        open_book(tmp_path / "cards.db", key=KeyCallback(service.wrap, Vault(ROOT[::-1]).unwrap, "kms"))


@pytest.mark.parametrize("answer", [b"something else", "text", None], ids=repr)
def test_a_key_that_gives_back_something_else_makes_no_book(answer: bytes, tmp_path: Path) -> None:
    """
    A key is tried before a book relies on it: one that would lose the book is refused, and there is no book.
    """
    service = Vault()
    for key in (
        KeyCallback(service.wrap, lambda _: answer, "kms"),
        KeyCallback(lambda _: answer, service.unwrap, "kms"),
    ):
        with pytest.raises(KeyMismatchError):
            open_book(tmp_path / "cards.db", currency="EUR", key=key)
        with pytest.raises(VoipcardError):
            open_book(tmp_path / "cards.db", key=service)


def test_a_callback_shows_neither_function() -> None:
    """
    What the functions are bound to may be a secret: `repr` tells the place only.
    """
    key = KeyCallback(b"key".join, b"key".join, "kms://vault")  # type: ignore[arg-type]

    assert repr(key) == "KeyCallback(place='kms://vault')"


# What a report of an error shows


def shown(call: Callable[[], object]) -> str:
    """
    Tell what somebody sees who is sent an error with the values of all variables of this library on its way.
    """
    try:
        call()
    except Exception as error:  # noqa: BLE001 - some are a service's own
        report: BaseException | None = error
        frames = []
        while report:
            stack = traceback.StackSummary.extract(traceback.walk_tb(report.__traceback__), capture_locals=True)
            frames += [frame.locals for frame in stack if Path(frame.filename).is_relative_to(SOURCE)]
            report = report.__context__
        assert frames

        return repr(frames)
    pytest.fail("nothing was raised")


def failing(_: bytes) -> bytes:
    """
    Be a service that does not answer.
    """
    raise TimeoutError


def test_no_report_of_an_error_shows_a_key(tmp_path: Path) -> None:
    """
    Whatever is wrong with a key, neither it nor those that it protects are among the variables of what raises.
    """
    keys = [KeyFile(tmp_path / name) for name in ("a.key", "b.key")]
    for key in keys:
        key.create()
    mistyped = KeyFile(tmp_path / "mistyped.key")
    mistyped.path.write_text(keys[1].path.read_text().strip()[:-1])
    missing = KeyFile(tmp_path / "missing.key")
    path = tmp_path / "cards.db"
    book = open_book(path, currency="EUR", key=keys[0])
    roots = engine_of(book).records.keyring.roots.packed()
    reports = [
        *(shown(lambda: open_book(path, key=key)) for key in (keys[1], mistyped, missing)),  # noqa: B023
        shown(lambda: book.change_key(missing)),
        shown(lambda: book.change_key(mistyped)),
        shown(lambda: book.change_key(KeyCallback(failing, failing, "a service"))),
        shown(lambda: book.change_key(KeyCallback(bytes, lambda _: b"other", "a service"))),
        shown(lambda: open_book(path, key=KeyPassphrase(PHRASE, **COSTS))),
    ]
    book.close()
    secrets = [roots[4:], PHRASE.encode(), *(bytes.fromhex(key.path.read_text()) for key in keys)]

    for report in reports:
        for secret in secrets:
            assert repr(secret)[2:-1] not in report
            assert secret.hex()[:20] not in report
