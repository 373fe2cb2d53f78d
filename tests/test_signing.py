"""
Signed texts: believed if one of the pinned keys signed exactly this as exactly that, and for nothing else.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import os
import pickle
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import example, given
from hypothesis import strategies as st

from tests.test_opening import forked, with_files_up_to
from voipcard import SigningKey, VerifyKey, signing
from voipcard.errors import InvalidValueError, KeyMissingError, SignatureError, StoreError, VoipcardError

KEY: Final = SigningKey("vendor-2026", bytes(range(32)))
OTHER: Final = SigningKey("vendor-2025", bytes(32))
PINNED: Final = [KEY.verify_key, OTHER.verify_key]
PAYLOAD: Final = b'{"max_active_codes": 1000}'
TEXT: Final = signing.sign("license", PAYLOAD, KEY)


def reason(text: Any, *, kind: str = "license", keys: Any = PINNED) -> str:  # noqa: ANN401 - what is refused
    """
    Tell why a text is not believed; empty if it is.
    """
    try:
        signing.verified(kind, text, keys)
    except SignatureError as error:
        return error.reason if error.kind == kind else "another kind"

    return ""


def changed(line: int, text: str) -> str:
    """
    Give the signed text with another line.
    """
    lines = TEXT.split("\n")
    lines[line] = text

    return "\n".join(lines)


# Signing and verifying


@given(st.binary(max_size=600), st.from_regex("[a-z]{1,32}", fullmatch=True), st.sampled_from([KEY, OTHER]))
def test_what_was_signed_comes_back(payload: bytes, kind: str, key: SigningKey) -> None:
    """
    Whoever has pinned the key gets the very bytes that were signed.
    """
    text = signing.sign(kind, payload, key)

    assert payload == signing.verified(kind, text, PINNED)
    assert payload == signing.verified(kind, text, iter([key.verify_key]))


def test_the_format_is_what_it_was() -> None:
    """
    What was signed once can be verified for ever, by other programs too.
    """
    payload, signature = base64.b64encode(PAYLOAD), TEXT.split("\n")[3]
    message = b"voipcard-license-1\nvendor-2026\n" + PAYLOAD

    assert f"voipcard-license-1\n{payload.decode()}\nvendor-2026\n{signature}\n" == TEXT
    Ed25519PublicKey.from_public_bytes(KEY.verify_key.data).verify(base64.b64decode(signature), message)
    assert signing.sign("license", PAYLOAD, KEY) == TEXT


def test_not_one_bit_can_be_changed() -> None:
    """
    Whichever bit of a text is flipped, in whatever line, the text is not believed.
    """
    data = signing.sign("license", bytes(400), KEY).encode()
    flipped = [
        bytes([*data[:at], data[at] ^ 1 << bit, *data[at + 1 :]]).decode("latin-1")
        for at in range(len(data))
        for bit in range(8)
    ]
    reasons = [reason(text) for text in flipped]

    assert reason(data.decode()) == ""
    assert len(reasons) > 3200
    assert {"malformed", "untrusted", "forged"} == set(reasons)


@given(st.data())
def test_a_text_that_was_edited_is_not_believed(data: st.DataObject) -> None:
    """
    Whatever is put into a text, taken out of it or exchanged within it, it is another text or the same.
    """
    at = data.draw(st.integers(0, len(TEXT)))
    until = data.draw(st.integers(at, len(TEXT)))
    put = data.draw(st.text(st.characters(max_codepoint=127), max_size=8) | st.just(TEXT[at:until][::-1]))
    edited = TEXT[:at] + put + TEXT[until:]

    assert (reason(edited) == "") == (signing.signed_text(edited) == TEXT)


@pytest.mark.parametrize("at", [1, 3])
def test_bits_that_stand_for_nothing_count(at: int) -> None:
    """
    Base64 has ways to write the same bytes differently: only one of them is believed.
    """
    line = TEXT.split("\n")[at]
    assert line.endswith("=")
    bits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = line.rstrip("=")[-1]
    other = line.replace(f"{last}=", f"{bits[bits.index(last) + 1]}=")

    assert base64.b64decode(line) == base64.b64decode(other)
    assert reason(changed(at, other)) == "malformed"
    assert reason(changed(at, line.rstrip("="))) == "malformed"


@pytest.mark.parametrize("around", ["\n\n{}\n", "  {}\t \r\n", "{}", "\ufeff{}\n"])
def test_what_mails_and_editors_do_is_forgiven(around: str) -> None:
    """
    Blanks around a text, a byte order mark before it and the ends of lines say nothing.
    """
    text = around.format(TEXT.rstrip("\n"))

    assert [signing.verified("license", each, PINNED) for each in (text, text.replace("\n", "\r\n"))] == [PAYLOAD] * 2
    assert TEXT == signing.signed_text(text) == signing.signed_text(text.replace("\n", "\r\n"))


def test_a_text_is_believed_as_what_it_is() -> None:
    """
    A license is no checkpoint, not even where somebody says so in the text.
    """
    assert reason(TEXT, kind="checkpoint") == "malformed"
    assert reason(changed(0, "voipcard-checkpoint-1"), kind="checkpoint") == "forged"


def test_only_pinned_keys_are_believed() -> None:
    """
    A key of another name is not trusted, and another key of the same name signs something else.
    """
    impostor = SigningKey.generate("vendor-2026")

    assert [reason(TEXT, keys=keys) for keys in ([], [OTHER.verify_key], [impostor.verify_key])] == [
        "untrusted",
        "untrusted",
        "forged",
    ]
    assert reason(signing.sign("license", PAYLOAD, impostor)) == "forged"
    assert reason(TEXT, keys=[impostor.verify_key, KEY.verify_key]) == ""


def test_the_name_of_the_key_is_signed_too() -> None:
    """
    Where one key is pinned under two names, a text still says by which it was signed.
    """
    twice = [KEY.verify_key, VerifyKey("vendor-2025", KEY.verify_key.data)]

    assert reason(changed(2, "vendor-2025"), keys=twice) == "forged"
    assert reason(TEXT, keys=twice) == ""


@pytest.mark.parametrize(
    "text",
    [
        *("", "\n", "voipcard-license-1", TEXT * 2, TEXT.replace("\n", ""), TEXT.replace("\n", "\r"), "é" + TEXT),
        *(changed(0, "voipcard-license-2"), changed(0, ""), changed(1, "é"), changed(1, "====")),
        *(changed(2, ""), changed(2, "a key"), changed(2, "x" * 65), changed(2, "vendor-２０２６")),
        *(
            changed(3, ""),
            changed(3, base64.b64encode(bytes(63)).decode()),
            changed(3, base64.b64encode(bytes(65)).decode()),
        ),
        *(changed(4, "more"), "x" * (signing.MAX_TEXT_SIZE + 1), TEXT + " " * signing.MAX_TEXT_SIZE),
        *(None, TEXT.encode(), 5),
    ],
)
def test_what_is_no_signed_text_is_malformed(text: Any) -> None:  # noqa: ANN401 - what is refused
    """
    Another number of lines, another version, bytes, or far too much of it.
    """
    assert reason(text) == "malformed"


@given(st.text(max_size=200) | st.binary(max_size=200))
@example("\0" * 5)
def test_nothing_else_is_ever_raised(text: Any) -> None:  # noqa: ANN401 - anything at all
    """
    Whatever somebody calls a license, the answer is a `SignatureError`.
    """
    assert reason(text) == "malformed"


def test_the_largest_payload_is_believed_and_no_larger_one_is_signed() -> None:
    """
    What can be signed can be verified.
    """
    largest = bytes(signing.MAX_PAYLOAD_SIZE)
    longest = SigningKey("x" * 64, bytes(32))

    assert largest == signing.verified("x" * 32, signing.sign("x" * 32, largest, longest), [longest.verify_key])
    with pytest.raises(InvalidValueError):
        signing.sign("license", largest + b"\0", KEY)


@pytest.mark.parametrize("kind", ["", "License", "a-b", "a\nb", "x" * 33, "ä"])
def test_what_is_no_kind_is_refused(kind: str) -> None:
    """
    A kind is a word, so that it cannot be taken for what follows it.
    """
    with pytest.raises(InvalidValueError):
        signing.sign(kind, b"", KEY)


# Keys that are pinned


def test_a_key_can_be_pasted() -> None:
    """
    The text of a public key gives the same key again, with blanks around it too.
    """
    assert KEY.verify_key == VerifyKey.from_text(KEY.verify_key.text) == VerifyKey.from_text(f" {KEY.verify_key}\n")
    assert KEY.verify_key.text == "vendor-2026:" + base64.b64encode(KEY.verify_key.data).decode()
    assert KEY.verify_key == pickle.loads(pickle.dumps(KEY.verify_key))  # noqa: S301


@pytest.mark.parametrize(
    "text", ["", ":", "vendor-2026", "vendor-2026:", "a key:" + "A" * 43 + "=", KEY.verify_key.text[:-4], "a:é"]
)
def test_what_is_no_key_is_refused(text: str) -> None:
    """
    A key is pasted whole or not at all.
    """
    with pytest.raises(InvalidValueError):
        VerifyKey.from_text(text)


@pytest.mark.parametrize(
    "id, data", [("", bytes(31) + b"\2"), (5, bytes(31) + b"\2"), ("a", bytes(31)), ("a", "A" * 32)]
)
def test_a_key_has_an_id_and_32_bytes(id: Any, data: Any) -> None:  # noqa: ANN401 - what is refused
    """
    What is no key cannot be made.
    """
    with pytest.raises(InvalidValueError):
        VerifyKey(id, data)
    with pytest.raises(InvalidValueError):
        SigningKey(id, data)


PRIME: Final = 2**255 - 19
CURVE: Final = -121665 * pow(121666, -1, PRIME) % PRIME


def _added(one: tuple[int, int], two: tuple[int, int]) -> tuple[int, int]:
    """
    Add two points of the curve, as RFC 8032 says.
    """
    (a, b), (c, d) = one, two
    product = CURVE * a * b * c * d

    return (
        (a * d + b * c) * pow(1 + product, -1, PRIME) % PRIME,
        (b * d + a * c) * pow(1 - product, -1, PRIME) % PRIME,
    )


def _point(y: int) -> tuple[int, int]:
    """
    Give a point with this coordinate.
    """
    square = (y * y - 1) * pow(CURVE * y * y + 1, -1, PRIME) % PRIME
    x = pow(square, (PRIME + 3) // 8, PRIME)
    x = x if x * x % PRIME == square else x * pow(2, (PRIME - 1) // 4, PRIME) % PRIME
    assert x * x % PRIME == square

    return x, y


def _heights_of_small_order() -> set[int]:
    """
    Compute the coordinates of all points that are nothing when they are taken eight times.
    """
    heights = set()
    large = 2**252 + 27742317777372353535851937790883648493
    for y in range(2, 200):
        try:
            point = _point(y)
        except AssertionError:
            continue
        small, double, times = (0, 1), point, large
        while times:
            small = _added(small, double) if times & 1 else small
            double, times = _added(double, double), times >> 1
        heights.add(small[1])

    return heights


def test_keys_that_fit_everything_are_refused() -> None:
    """
    Somebody who pins a point of small order would believe anybody. All of them are refused, in every way to write them.
    """
    heights = _heights_of_small_order()
    ways = {
        y + more * PRIME | sign << 255
        for y in heights
        for more in (0, 1)
        for sign in (0, 1)
        if y + PRIME < 2**255 or not more
    }
    refused = 0
    for way in ways:
        with pytest.raises(InvalidValueError):
            VerifyKey("a", way.to_bytes(32, "little"))
        refused += 1

    assert len(heights) == 5
    assert refused == 14


def test_openssl_takes_such_keys() -> None:
    """
    The refusal is needed: with such a key a signature of nothing fits every message.
    """
    nothing = bytes([1, *bytes(31)])
    Ed25519PublicKey.from_public_bytes(nothing).verify(nothing + bytes(32), b"any license")
    with pytest.raises(InvalidValueError):
        VerifyKey("vendor-2026", nothing)


@pytest.mark.parametrize("keys", [KEY.verify_key, "key", [KEY], [KEY.verify_key.text], None, 5])
def test_only_public_keys_are_pinned(keys: Any) -> None:  # noqa: ANN401 - what is refused
    """
    A list of public keys is pinned, and nothing that looks like one.
    """
    with pytest.raises(InvalidValueError):
        signing.checked_keys(keys)
    assert tuple(PINNED) == signing.checked_keys(iter(PINNED))


# Keys that sign


def test_a_key_is_kept_in_a_file_of_its_own(tmp_path: Path) -> None:
    """
    What was saved signs the same, only its owner can read it, and no file is ever written over.
    """
    path = tmp_path / "vendor.key"
    key = SigningKey.generate("vendor-2026")
    mask = os.umask(0)
    try:
        key.save(path)
    finally:
        os.umask(mask)

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert SigningKey.load(path).verify_key == key.verify_key != SigningKey.generate("vendor-2026").verify_key
    assert signing.sign("license", b"", key) == signing.sign("license", b"", SigningKey.load(str(path)))
    before = path.read_bytes()
    with pytest.raises(StoreError):
        KEY.save(path)
    assert before == path.read_bytes()


def test_a_key_that_does_not_fit_on_the_disk_leaves_nothing(tmp_path: Path) -> None:
    """
    Half a key is no key.
    """
    path = tmp_path / "vendor.key"

    def save() -> str:
        with pytest.raises(StoreError) as caught:
            KEY.save(path)
        return type(caught.value).__name__

    assert forked(with_files_up_to(10, save))() == "StoreFullError"
    assert not path.exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda _: b"",
        lambda data: data[:-8],
        lambda data: data.replace(b"-1", b"-2"),
        lambda data: data.replace(b"vendor-2026", b"a key"),
        lambda data: data + b"more\n",
        lambda data: b"\xff" + data,
        lambda data: data * 1000,
    ],
)
def test_what_is_no_key_file_is_refused(change: Callable[[bytes], bytes], tmp_path: Path) -> None:
    """
    A file that is damaged, or another one, is told from one that is not there.
    """
    path = tmp_path / "vendor.key"
    KEY.save(path)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(InvalidValueError) as caught:
        SigningKey.load(path)

    assert base64.b64encode(bytes(range(32))).decode() not in str(caught.value)
    for place in (tmp_path / "none", tmp_path):
        with pytest.raises(KeyMissingError):
            SigningKey.load(place)


def test_a_signing_key_shows_only_its_name() -> None:
    """
    It is not in its text, and it is neither pickled nor copied.
    """
    key = SigningKey.generate("vendor-2026")

    assert repr(key) == str(key) == f"{key}" == "<SigningKey 'vendor-2026'>"
    for pickled in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError):
            pickled(key)


def test_the_error_says_nothing_of_the_text() -> None:
    """
    What is not believed is not repeated either.
    """
    with pytest.raises(VoipcardError) as caught:
        signing.verified("license", TEXT, [])

    assert (SignatureError, "license", "untrusted") == (type(caught.value), *attrs.astuple(caught.value))  # type: ignore[arg-type]
    assert hashlib.sha256(PAYLOAD).hexdigest() not in str(caught.value)
    assert "1000" not in str(caught.value)
