"""
Keys: what is sealed comes back to its owner only, equal secrets look different, and the formats are documented.
"""

from __future__ import annotations

import copy
import hashlib
import hmac
import itertools
import pickle
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from hypothesis import given
from hypothesis import strategies as st

from voipcard.errors import TamperedError
from voipcard.keyring import Keyring

ROOT: Final = bytes(range(32))
CARD: Final = bytes(range(100, 116))
OTHER_CARD: Final = bytes(range(200, 216))
EXTENSION: Final = bytes(range(50, 66))
PIN: Final = "048215"
CODE: Final = "7700183422151"

KEYRING: Final = Keyring({1: ROOT})
LISTED: Final = Keyring({1: ROOT}, suite="aes-256-gcm")
ROTATED: Final = Keyring({1: ROOT, 7: ROOT[::-1]}, live=[1, 7])
KEYRINGS: Final = [KEYRING, LISTED]

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


@given(texts, parts, ids, st.sampled_from([KEYRING, LISTED, ROTATED]))
def test_what_is_sealed_comes_back(text: str, part: str, owner: bytes, keyring: Keyring) -> None:
    """
    Any text is sealed and unsealed without a change.
    """
    sealed = keyring.seal(text, part=part, owner=owner)

    assert text == unsealed(sealed, part=part, owner=owner, keyring=keyring)


@pytest.mark.parametrize("keyring", KEYRINGS, ids=lambda keyring: keyring.suite)
def test_every_changed_bit_is_noticed(keyring: Keyring) -> None:
    """
    Of 40 envelopes no bit can be turned over: neither suite, number of the key, nonce, text nor tag. 20,000 and more.
    """
    flips = 0
    for number in range(40):
        part, owner = ("code", "PIN")[number % 2], bytes([number]) * 16
        sealed = keyring.seal(CODE, part=part, owner=owner)
        for bit in range(8 * len(sealed)):
            changed = bytearray(sealed)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(TamperedError) as caught:
                unsealed(bytes(changed), part=part, owner=owner, keyring=keyring)
            assert (caught.value.subject, caught.value.part) == ("K7QX-000042", part)
            flips += 1

    assert flips >= 20_000


@pytest.mark.parametrize("keyring", KEYRINGS, ids=lambda keyring: keyring.suite)
def test_nothing_can_be_put_in_the_place_of_something_else(keyring: Keyring) -> None:
    """
    Codes and PINs of 100 cards: of 200 envelopes each fits one place, and is refused in the 199 others.
    """
    places = list(itertools.product(["code", "PIN"], (number.to_bytes(16, "big") for number in range(100))))
    envelopes = {place: keyring.seal(CODE, part=place[0], owner=place[1]) for place in places}
    fitting = 0
    for (part, owner), (place, sealed) in itertools.product(places, envelopes.items()):
        try:
            unsealed(sealed, part=part, owner=owner, keyring=keyring)
        except TamperedError:
            assert place != (part, owner)
        else:
            fitting += 1

    assert fitting == len(places)


@given(texts, st.sampled_from([ROTATED, LISTED]), st.data())
def test_a_changed_envelope_is_refused(text: str, keyring: Keyring, data: st.DataObject) -> None:
    """
    Whatever bits are turned over, and wherever it is cut or continued, an envelope is refused.
    """
    sealed = keyring.seal(text, part="code", owner=CARD)
    mask = data.draw(st.binary(min_size=1, max_size=len(sealed)).filter(any))
    shift = data.draw(st.integers(0, len(sealed) - len(mask)))
    flipped = int.from_bytes(sealed, "big") ^ int.from_bytes(mask, "big") << 8 * shift
    cut = data.draw(st.integers(0, len(sealed) - 1))
    more = data.draw(st.binary(min_size=1, max_size=64))

    for changed in (flipped.to_bytes(len(sealed), "big"), sealed[:cut], sealed + more, more + sealed, b""):
        with pytest.raises(TamperedError):
            unsealed(changed, keyring=keyring)


@given(texts, ids, ids, st.sampled_from(KEYRINGS))
def test_an_envelope_belongs_to_one_part_of_one_owner(text: str, owner: bytes, other: bytes, keyring: Keyring) -> None:
    """
    A code cannot be put in the place of a PIN, nor one card's in the place of another's.
    """
    sealed = keyring.seal(text, part="code", owner=owner)
    with pytest.raises(TamperedError):
        unsealed(sealed, part="PIN", owner=owner, keyring=keyring)
    if owner != other:
        with pytest.raises(TamperedError):
            unsealed(sealed, owner=other, keyring=keyring)
    with pytest.raises(TamperedError):
        unsealed(sealed, owner=owner, keyring=Keyring({1: ROOT[::-1]}))


@pytest.mark.parametrize("keyring", KEYRINGS, ids=lambda keyring: keyring.suite)
def test_equal_texts_never_look_alike(keyring: Keyring) -> None:
    """
    The same PIN gives another envelope each time, for the same card and for others.
    """
    owners = [CARD, OTHER_CARD] * 1000
    envelopes = [keyring.seal(PIN, part="PIN", owner=owner) for owner in owners]

    assert len(owners) == len(set(envelopes))
    assert len(owners) == len({envelope[-48:] for envelope in envelopes})


@given(st.lists(pins, min_size=2, max_size=2, unique=True), ids, ids)
def test_equal_pins_have_different_macs_on_different_cards(two: list[str], card: bytes, other: bytes) -> None:
    """
    A MAC is equal only for the same PIN of the same card.
    """
    macs = {(pin, owner): KEYRING.pin_mac(pin, owner=owner) for pin in two for owner in (card, other)}

    assert len(set(macs)) == len(set(macs.values()))


@pytest.mark.parametrize("keyring", KEYRINGS, ids=lambda keyring: keyring.suite)
def test_the_size_does_not_tell_the_length(keyring: Keyring) -> None:
    """
    All PINs, none as well, are sealed to one size; codes to steps of 32 characters.
    """
    sizes = {length: len(keyring.seal("7" * length, part="code", owner=CARD)) for length in range(256)}

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
    assert answers == {ROTATED.index(*question, number=1) for question in questions}
    assert answers.isdisjoint({ROTATED.index(*question) for question in questions})
    assert answers.isdisjoint({Keyring({1: ROOT[::-1]}).index(*question) for question in questions})


def test_a_card_is_looked_for_under_the_oldest_key_first() -> None:
    """
    Cards move from older keys to newer ones, so whoever looks in the same order cannot miss one that moves.
    """
    question = EXTENSION, "code", CODE

    assert ROTATED.indexes(*question) == [ROTATED.index(*question, number=1), ROTATED.index(*question, number=7)]
    assert ROTATED.index(*question) == ROTATED.index(*question, number=7)
    assert KEYRING.indexes(*question) == [KEYRING.index(*question)]
    assert Keyring({1: ROOT, 7: ROOT[::-1]}).indexes(*question) == [ROTATED.index(*question)], "nothing is live but 7"


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


@pytest.mark.parametrize("part, text", [("code", CODE), ("PIN", PIN), ("code", ""), ("code", "x" * 255)])
def test_the_envelope_of_the_other_suite_is_the_documented_one(part: str, text: str) -> None:
    """
    Suite 2, the number of the key, a nonce of 96 bits, and AES-256-GCM over the padded text with owner and head.
    """
    sealed = LISTED.seal(text, part=part, owner=CARD)
    head, nonce, ciphertext = sealed[:5], sealed[5:17], sealed[17:]
    key = derived(ROOT, f"seal/{part}/aes-256-gcm", 32)
    padded = AESGCM(key).decrypt(nonce, ciphertext, CARD + head)

    assert head == b"\x02\0\0\0\x01"
    assert padded[2:].rstrip(b"\0") == text.encode()
    assert len(padded) % 32 == 0
    assert key != derived(ROOT, f"seal/{part}", 64)[:32], "no key is used in both suites"


def test_a_suite_opens_what_the_other_one_sealed() -> None:
    """
    Each envelope says how it was sealed; a suite that does not exist is refused.
    """
    for keyring, other in itertools.permutations(KEYRINGS, 2):
        sealed = keyring.seal(CODE, part="code", owner=CARD)

        assert unsealed(sealed, keyring=other) == CODE
        for suite in (0, 3, 255):
            with pytest.raises(TamperedError):
                unsealed(bytes([suite]) + sealed[1:], keyring=keyring)


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
    assert repr(keyring.roots) == str(keyring.roots) == "<Roots of 1>"
    for escape, subject in itertools.product((pickle.dumps, copy.copy, copy.deepcopy), (keyring, keyring.roots)):
        with pytest.raises(TypeError):
            escape(subject)


def test_every_new_key_ring_is_another() -> None:
    """
    Keys are 32 bytes of the operating system's randomness.
    """
    marks = {Keyring.generate().mac("index", b"") for _ in range(100)}

    assert len(marks) == 100
