"""
Keys: what is sealed comes back to its owner only, equal secrets look different, and the formats are documented.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import itertools
import os
import pickle
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from hypothesis import given, settings
from hypothesis import strategies as st

from voipcard import KeyFile, KeyVariable, open_book
from voipcard.errors import KeyMismatchError, KeyMissingError, StoreError, TamperedError, VoipcardError
from voipcard.keyring import KeyProvider, Keyring

ROOT: Final = bytes(range(32))
CARD: Final = bytes(range(100, 116))
OTHER_CARD: Final = bytes(range(200, 216))
EXTENSION: Final = bytes(range(50, 66))
PIN: Final = "048215"
CODE: Final = "7700183422151"

KEYRING: Final = Keyring({1: ROOT})
ROTATED: Final = Keyring({1: ROOT, 7: ROOT[::-1]})

ids: Final = st.binary(min_size=16, max_size=16)
printable: Final = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255)
texts: Final = st.one_of(printable, st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
pins: Final = st.text("0123456789", min_size=4, max_size=12)
parts: Final = st.sampled_from(["code", "PIN"])


def derived(root: bytes, use: str, size: int) -> bytes:
    """
    Derive a key as RFC 5869 says, with SHA-256 and without a salt.
    """
    pseudorandom = hmac.digest(bytes(32), root, "sha256")
    blocks = [b""]
    for number in range(1, -(-size // 32) + 1):
        info = f"voipcard/1/{use}".encode()
        blocks.append(hmac.digest(pseudorandom, blocks[-1] + info + bytes([number]), "sha256"))

    return b"".join(blocks)[:size]


def unsealed(sealed: bytes, *, part: str = "code", owner: bytes = CARD, keyring: Keyring = KEYRING) -> str:
    """
    Unseal a text.
    """
    return keyring.unseal(sealed, part=part, owner=owner, subject="K7QX-000042")


# Sealing


@given(texts, parts, ids, st.sampled_from([KEYRING, ROTATED]))
def test_what_is_sealed_comes_back(text: str, part: str, owner: bytes, keyring: Keyring) -> None:
    """
    Any text is sealed and unsealed without a change.
    """
    sealed = keyring.seal(text, part=part, owner=owner)

    assert text == unsealed(sealed, part=part, owner=owner, keyring=keyring)


def test_every_changed_bit_is_noticed() -> None:
    """
    Of an envelope no bit can be turned over: neither suite, number of the key, nonce, text nor tag.
    """
    sealed = KEYRING.seal(CODE, part="code", owner=CARD)
    for bit in range(8 * len(sealed)):
        changed = bytearray(sealed)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(TamperedError) as caught:
            unsealed(bytes(changed))
        assert (caught.value.subject, caught.value.part) == ("K7QX-000042", "code")


@given(texts, st.data())
def test_a_changed_envelope_is_refused(text: str, data: st.DataObject) -> None:
    """
    Whatever bits are turned over, and wherever it is cut or continued, an envelope is refused.
    """
    sealed = ROTATED.seal(text, part="code", owner=CARD)
    mask = data.draw(st.binary(min_size=1, max_size=len(sealed)).filter(any))
    shift = data.draw(st.integers(0, len(sealed) - len(mask)))
    flipped = int.from_bytes(sealed, "big") ^ int.from_bytes(mask, "big") << 8 * shift
    cut = data.draw(st.integers(0, len(sealed) - 1))
    more = data.draw(st.binary(min_size=1, max_size=64))

    for changed in (flipped.to_bytes(len(sealed), "big"), sealed[:cut], sealed + more, more + sealed, b""):
        with pytest.raises(TamperedError):
            unsealed(changed, keyring=ROTATED)


@given(texts, ids, ids)
def test_an_envelope_belongs_to_one_part_of_one_owner(text: str, owner: bytes, other: bytes) -> None:
    """
    A code cannot be put in the place of a PIN, nor one card's in the place of another's.
    """
    sealed = KEYRING.seal(text, part="code", owner=owner)
    with pytest.raises(TamperedError):
        unsealed(sealed, part="PIN", owner=owner)
    if owner != other:
        with pytest.raises(TamperedError):
            unsealed(sealed, owner=other)
    with pytest.raises(TamperedError):
        unsealed(sealed, owner=owner, keyring=Keyring({1: ROOT[::-1]}))


def test_equal_texts_never_look_alike() -> None:
    """
    The same PIN gives another envelope each time, for the same card and for others.
    """
    owners = [CARD, OTHER_CARD] * 1000
    envelopes = [KEYRING.seal(PIN, part="PIN", owner=owner) for owner in owners]

    assert len(owners) == len(set(envelopes))
    assert len(owners) == len({envelope[-48:] for envelope in envelopes})


@given(st.lists(pins, min_size=2, max_size=2, unique=True), ids, ids)
def test_equal_pins_have_different_macs_on_different_cards(two: list[str], card: bytes, other: bytes) -> None:
    """
    A MAC is equal only for the same PIN of the same card.
    """
    macs = {(pin, owner): KEYRING.pin_mac(pin, owner=owner) for pin in two for owner in (card, other)}

    assert len(set(macs)) == len(set(macs.values()))


def test_the_size_does_not_tell_the_length() -> None:
    """
    All PINs, none as well, are sealed to one size; codes to steps of 32 characters.
    """
    sizes = {length: len(KEYRING.seal("7" * length, part="code", owner=CARD)) for length in range(256)}

    assert len({sizes[length] for length in range(13)}) == 1
    assert len({sizes[length] for length in range(31)}) == 1
    assert len(set(sizes.values())) == -(-257 // 32)
    assert {len(KEYRING.pin_mac("1" * length, owner=CARD)) for length in range(4, 13)} == {36}


def test_older_keys_still_open_what_they_sealed() -> None:
    """
    The newest key seals, and each envelope says which key opens it; what no key sealed is refused.
    """
    old, new = KEYRING.seal(CODE, part="code", owner=CARD), ROTATED.seal(CODE, part="code", owner=CARD)

    assert ROTATED.active == 7
    assert [int.from_bytes(sealed[1:5], "big") for sealed in (old, new)] == [1, 7]
    assert CODE == unsealed(old, keyring=ROTATED) == unsealed(new, keyring=ROTATED)
    with pytest.raises(TamperedError):
        unsealed(new)


def test_many_threads_seal_at_once() -> None:
    """
    Eight threads that seal, unseal and authenticate with a fresh key ring never get in each other's way.
    """
    keyring = Keyring({1: ROOT})
    barrier = threading.Barrier(8)

    def work(number: int) -> bool:
        barrier.wait()
        owner = bytes([number]) * 16
        rounds = [f"{number}{round_:06}" for round_ in range(1500)]

        return all(
            unsealed(keyring.seal(text, part=part, owner=owner), part=part, owner=owner, keyring=keyring) == text
            and keyring.pin_matches(text, keyring.pin_mac(text, owner=owner), owner=owner)
            and keyring.index(owner, "code", text) == KEYRING.index(owner, "code", text)
            for text, part in zip(rounds, itertools.cycle(["code", "PIN"]), strict=False)
        )

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            worked = list(pool.map(work, range(8)))
    finally:
        sys.setswitchinterval(interval)

    assert worked == [True] * 8


# The index


@given(ids, ids, printable, printable)
def test_the_index_tells_apart_whatever_is_different(first: bytes, second: bytes, code: str, other: str) -> None:
    """
    Extension, kind and code all matter: an index is equal only if all of them are.
    """
    questions = set(itertools.product((first, second), ("code", "caller_id"), (code, other)))
    answers = {KEYRING.index(*question) for question in questions}

    assert len(questions) == len(answers)
    assert {16} == set(map(len, answers))
    assert answers == {ROTATED.index(*question) for question in questions}
    assert answers.isdisjoint({Keyring({1: ROOT[::-1]}).index(*question) for question in questions})


# Known answers


def test_the_derivation_is_that_of_the_rfc() -> None:
    """
    The oracle of the following tests gives what RFC 5869 gives as its third test case.
    """
    pseudorandom = hmac.digest(bytes(32), b"\x0b" * 22, "sha256")

    assert pseudorandom.hex() == "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04"


def test_the_index_is_the_documented_one() -> None:
    """
    HMAC-SHA256 with a key of its own over the extension's id, the kind and the code: its first 16 bytes.
    """
    key = derived(ROOT, "mac/index", 32)
    expected = hmac.digest(key, EXTENSION + b"code\0" + CODE.encode(), hashlib.sha256)[:16]

    assert expected == KEYRING.index(EXTENSION, "code", CODE)
    assert expected.hex() == "5799eb869426dd59fc66d26406f677a7"


def test_the_pin_mac_is_the_documented_one() -> None:
    """
    The number of the key, and HMAC-SHA256 with a key of its own over the card's id and the PIN.
    """
    expected = b"\0\0\0\x01" + hmac.digest(derived(ROOT, "mac/pin", 32), CARD + PIN.encode(), "sha256")

    assert expected == KEYRING.pin_mac(PIN, owner=CARD)
    assert expected.hex() == "00000001b227d7d96102651a750d89c3aed8492d702a1a87cd608d12270c3b04391dd7f2"


@pytest.mark.parametrize("part", ["card", "entry", "document", "audit", "operation", "content"])
def test_every_mac_has_a_key_of_its_own(part: str) -> None:
    """
    HMAC-SHA256 under a key that is derived for this part only.
    """
    expected = hmac.digest(derived(ROOT, f"mac/{part}", 32), b"data", "sha256")

    assert expected == KEYRING.mac(part, b"data")
    assert expected != KEYRING.mac("index", b"data")


@pytest.mark.parametrize("part, text", [("code", CODE), ("PIN", PIN), ("code", ""), ("code", "x" * 255)])
def test_the_envelope_is_the_documented_one(part: str, text: str) -> None:
    """
    Suite 1, the number of the key, a nonce, and AES-256-SIV over the padded text with owner, head and nonce.
    """
    sealed = KEYRING.seal(text, part=part, owner=CARD)
    head, nonce, ciphertext = sealed[:5], sealed[5:21], sealed[21:]
    cipher = AESSIV(derived(ROOT, f"seal/{part}", 64))
    padded = cipher.decrypt(ciphertext, [CARD, head, nonce])

    assert head == b"\x01\0\0\0\x01"
    assert padded[:2] == len(text).to_bytes(2, "big")
    assert padded[2:].rstrip(b"\0") == text.encode()
    assert len(padded) % 32 == 0
    with pytest.raises(InvalidTag):
        cipher.decrypt(ciphertext, [OTHER_CARD, head, nonce])


def test_an_envelope_of_the_first_release_is_still_read() -> None:
    """
    What was sealed by this format once can be unsealed for ever.
    """
    sealed = bytes.fromhex(
        "0100000001ff647175ea3de7b60e072270a3bb917d3842a4acd733ecdb4f0820e8d52"
        "70e73666b1c05d846d0d21d2d9bde6cd8d9eeccecabad6b8c127423263cf38368c52c"
    )

    assert unsealed(sealed) == CODE


# PINs


@given(pins | st.text(max_size=20), pins, ids)
def test_a_pin_matches_if_it_is_the_pin(guess: str, pin: str, owner: bytes) -> None:
    """
    Only the PIN itself matches, and only on its card.
    """
    mac = ROTATED.pin_mac(pin, owner=owner)
    guess = guess.encode("utf-8", "replace").decode()

    assert (guess == pin) == ROTATED.pin_matches(guess, mac, owner=owner)
    assert ROTATED.pin_matches(pin, mac, owner=owner)
    assert not ROTATED.pin_matches(pin, mac, owner=owner[::-1] + b"\0")
    assert not KEYRING.pin_matches(pin, mac, owner=owner)


@pytest.mark.parametrize("mac", [b"", b"\0", b"\0\0\0\x01", bytes(36), b"\0\0\0\x01" + bytes(32), b"\xff" * 36])
def test_nothing_matches_a_mac_that_is_none(mac: bytes) -> None:
    """
    A card without a PIN, or with a damaged MAC, has no PIN that matches.
    """
    assert not KEYRING.pin_matches("", mac, owner=CARD)
    assert not KEYRING.pin_matches(PIN, mac, owner=CARD)


def test_older_pins_match_after_a_new_key() -> None:
    """
    A MAC says which key made it.
    """
    assert ROTATED.pin_matches(PIN, KEYRING.pin_mac(PIN, owner=CARD), owner=CARD)


# Key rings


def test_a_key_ring_keeps_its_keys_to_itself() -> None:
    """
    Neither `repr` nor pickles nor copies show a key.
    """
    keyring = Keyring({1: ROOT})

    assert repr(keyring) == str(keyring) == "<Keyring of 1>"
    for escape in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            escape(keyring)


def test_every_new_key_ring_is_another() -> None:
    """
    Keys are 32 bytes of the operating system's randomness.
    """
    marks = {Keyring.generate().mac("index", b"") for _ in range(100)}

    assert len(marks) == 100


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


PROVIDERS: Final = [key_file, key_variable, vault]


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_key_ring_is_wrapped_and_unwrapped(
    provider: Callable[[Path], AbstractContextManager[KeyProvider]], tmp_path: Path
) -> None:
    """
    Whatever protects the keys gives back the same key ring, and what is kept shows no key.
    """
    with provider(tmp_path) as key:
        wrapped = ROTATED.wrap(key)
        back = Keyring.unwrap(wrapped, key)
        again = ROTATED.wrap(key)

    assert unsealed(ROTATED.seal(CODE, part="code", owner=CARD), keyring=back) == CODE
    assert ROTATED.mac("index", b"") == back.mac("index", b"")
    assert wrapped != again
    assert ROOT not in wrapped
    assert ROOT[::-1] not in wrapped


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_changed_key_ring_is_refused(
    provider: Callable[[Path], AbstractContextManager[KeyProvider]], tmp_path: Path
) -> None:
    """
    No bit of a wrapped key ring can be turned over, and nothing cut off.
    """
    with provider(tmp_path) as key:
        wrapped = KEYRING.wrap(key)
        changes = [bytes(size) for size in (0, 1, 16, 32)] + [wrapped[:-1], wrapped[1:], wrapped + b"\0"]
        for bit in range(8 * len(wrapped)):
            changed = bytearray(wrapped)
            changed[bit // 8] ^= 1 << bit % 8
            changes.append(bytes(changed))
        for each in changes:
            with pytest.raises(KeyMismatchError) as caught:
                Keyring.unwrap(each, key)
            assert key.place == caught.value.place


@pytest.mark.parametrize("secret", [b"", ROOT, bytes(35), bytes(37)])
def test_what_is_no_key_ring_is_refused(secret: bytes) -> None:
    """
    A key that opens something else is not the key of this book.
    """
    key = Vault()
    with pytest.raises(KeyMismatchError):
        Keyring.unwrap(key.wrap(secret), key)


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
