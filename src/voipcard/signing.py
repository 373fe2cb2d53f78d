"""
Signed texts: what somebody signs with Ed25519, and somebody else believes because of a key that he pinned before.

A signed text is four lines of ASCII: its kind, the payload as Base64, the id of the key, and the signature as Base64.
The signature is over the first and the third line and the payload as it is, byte for byte. So nothing has to be brought
into a canonical form before it is checked, and nothing of the payload is read before.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn

import attrs
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from voipcard.errors import InvalidValueError, KeyMissingError, SignatureError, storage_error

__all__ = ["MAX_TEXT_SIZE", "SigningKey", "VerifyKey", "checked_keys", "sign", "signed_text", "verified"]

KEY_SIZE: Final = 32
SIGNATURE_SIZE: Final = 64

MAX_TEXT_SIZE: Final = 2**18
"""More characters than this are no signed text: they are refused before anything is made of them."""

MAX_PAYLOAD_SIZE: Final = 3 * 2**16 - 512
"""As many bytes as leave room for the other lines."""

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_KIND: Final = re.compile("[a-z]{1,32}", re.ASCII)
_KEY_FILE: Final = "voipcard-signing-key-1"

_SMALL_ORDER: Final = frozenset(
    bytes.fromhex(point)
    for point in (
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    )
)
"""
The points of small order, in every way to write them but for the sign bit. OpenSSL takes them for public keys, and
anybody can make signatures that fit them. (RFC 8032, section 5.1; the same list is in libsodium.)
"""


def _is_small(data: bytes) -> bool:
    return data[:-1] + bytes([data[-1] & 0x7F]) in _SMALL_ORDER


def _checked_id(name: str, id: str) -> str:
    if not isinstance(id, str) or not _ID.fullmatch(id):
        raise InvalidValueError(name, "has to be 1 to 64 ASCII letters, digits, dots, underscores or hyphens")

    return id


@attrs.frozen
class VerifyKey:
    """
    The public half of a signing key: what it signed can be told by this. It is no secret.

    Whoever can change it can make up licenses, so it belongs into the code of the application and not into a file.

    Attributes:
        id: What the key is called: 1 to 64 ASCII letters, digits, dots, underscores or hyphens.
        data: Its 32 bytes.

    Example:
        >>> key = voipcard.SigningKey.generate("vendor-2026").verify_key
        >>> key == voipcard.VerifyKey.from_text(key.text)
        True
    """

    id: str = attrs.field()
    data: bytes = attrs.field(repr=False)

    @id.validator
    def _is_an_id(self, _: object, value: str) -> None:
        _checked_id("id", value)

    @data.validator
    def _is_a_key(self, _: object, value: bytes) -> None:
        if not isinstance(value, bytes) or len(value) != KEY_SIZE:
            raise InvalidValueError("data", f"has to be the {KEY_SIZE} bytes of a public key")
        if _is_small(value):
            raise InvalidValueError("data", "is a key for which anybody can make signatures")

    @classmethod
    def from_text(cls, text: str) -> VerifyKey:
        """
        Read a key as `text` writes it.

        Raises:
            InvalidValueError: If *text* is something else.
        """
        id, colon, encoded = text.strip().partition(":")
        data = _decoded(encoded)
        if not colon or data is None:
            raise InvalidValueError("text", "has to be an id, a colon and 32 bytes as Base64")

        return cls(id, data)

    @property
    def text(self) -> str:
        """
        The key as a line to be pasted into code: its id, a colon, and its bytes as Base64.
        """
        return f"{self.id}:{_encoded(self.data)}"

    def __str__(self) -> str:
        return self.text


class SigningKey:
    """
    The secret half: whoever has it can issue licenses. It belongs on a machine of its own, never beside a book.

    Make one with `generate`, or read one with `load`. It cannot be pickled, and shows only its id.

    Args:
        id: What the key is called: 1 to 64 ASCII letters, digits, dots, underscores or hyphens.

        secret: Its 32 bytes.

    Raises:
        InvalidValueError: If *id* or *secret* is something else.

    Example:
        >>> voipcard.SigningKey.generate("vendor-2026")
        <SigningKey 'vendor-2026'>
    """

    def __init__(self, id: str, secret: bytes) -> None:
        self.id: Final = _checked_id("id", id)
        if not isinstance(secret, bytes) or len(secret) != KEY_SIZE:
            raise InvalidValueError("secret", f"has to be {KEY_SIZE} bytes")
        self._key: Final = Ed25519PrivateKey.from_private_bytes(secret)

    def __repr__(self) -> str:
        return f"<SigningKey {self.id!r}>"

    def __reduce__(self) -> NoReturn:
        message = "a SigningKey cannot be pickled: it would show its secret"
        raise TypeError(message)

    @classmethod
    def generate(cls, id: str) -> SigningKey:
        """
        Draw a new key.

        Args:
            id: What it is to be called, such as `vendor-2026`: 1 to 64 ASCII letters, digits, dots, underscores or
                hyphens. No two keys that one application pins should have the same.

        Raises:
            InvalidValueError: If *id* is something else.
        """
        return cls(id, os.urandom(KEY_SIZE))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> SigningKey:
        """
        Read a key that was saved.

        Raises:
            KeyMissingError: If the file is not there or cannot be read.

            InvalidValueError: If the file is something else.
        """
        try:
            with Path(path).open(encoding="ascii", errors="replace") as file:
                lines = file.read(1024).splitlines()
        except OSError:
            raise KeyMissingError(os.fspath(path)) from None
        secret = _decoded(lines[2]) if len(lines) == 3 and lines[0] == _KEY_FILE else None  # noqa: PLR2004
        if secret is None:
            raise InvalidValueError("path", "is no file of a signing key")

        return cls(lines[1], secret)

    def save(self, path: str | os.PathLike[str]) -> None:
        """
        Write the key in clear text into a new file with the permissions 0600, on the disk when this returns.

        Raises:
            StoreError: If there is a file already, or none can be made.
        """
        place = Path(path)
        secret = self._key.private_bytes_raw()
        try:
            with open(place, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                try:
                    file.write(f"{_KEY_FILE}\n{self.id}\n{_encoded(secret)}\n".encode())
                    file.flush()
                    os.fsync(file.fileno())
                except BaseException:
                    with suppress(OSError):
                        place.unlink()
                    raise
            folder = os.open(place.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise storage_error(error, place.name) from error

    @property
    def verify_key(self) -> VerifyKey:
        """
        The public half, for those who verify.
        """
        return VerifyKey(self.id, self._key.public_key().public_bytes_raw())

    def signature(self, message: bytes) -> bytes:
        """
        Sign bytes. Use `sign`, which says of what kind they are.
        """
        return self._key.sign(message)


def checked_keys(keys: Iterable[VerifyKey]) -> tuple[VerifyKey, ...]:
    """
    Accept the keys that a caller pins.

    Raises:
        InvalidValueError: If there is something else among them.
    """
    found = tuple(keys) if isinstance(keys, Iterable) else (None,)
    if not all(isinstance(key, VerifyKey) for key in found):
        raise InvalidValueError("keys", "has to be a list of VerifyKey")

    return tuple(key for key in found if key is not None)


def sign(kind: str, payload: bytes, key: SigningKey) -> str:
    """
    Give a signed text.

    Args:
        kind: What it is, 1 to 32 small ASCII letters: what is signed as one kind is never taken for another.

        payload: What is signed, at most 196,096 bytes.

        key: Whose word it is.

    Raises:
        InvalidValueError: If *kind* or *payload* is something else.
    """
    if not _KIND.fullmatch(kind):
        raise InvalidValueError("kind", "has to be 1 to 32 small letters")
    if len(payload) > MAX_PAYLOAD_SIZE:
        raise InvalidValueError("payload", f"has more than {MAX_PAYLOAD_SIZE:,} bytes")
    signature = key.signature(_message(kind, key.id, payload))

    return f"{_head(kind)}\n{_encoded(payload)}\n{key.id}\n{_encoded(signature)}\n"


def signed_text(text: str) -> str:
    """
    Give a signed text as it was signed: without what mails and editors do to the ends of lines and of files.
    """
    # The byte order mark is what Notepad begins a file with.
    return text.removeprefix("\ufeff").replace("\r\n", "\n").strip(" \t\r\n") + "\n"


def verified(kind: str, text: str, keys: Iterable[VerifyKey]) -> bytes:
    """
    Give the payload of a signed text, if one of these keys signed it as this kind.

    Nothing in the text says how it is to be checked: the way is fixed, and the keys are those that the caller pinned.

    Args:
        kind: What it has to be.

        text: The signed text. Blanks and line ends around it do not matter, and lines may end as in Windows.

        keys: The keys that are trusted.

    Raises:
        SignatureError: If *text* is no signed text of this kind (`malformed`), names a key that is none of *keys*
            (`untrusted`), or is not what that key signed (`forged`).
    """
    if not isinstance(text, str) or len(text) > MAX_TEXT_SIZE:
        raise SignatureError(kind, "malformed")
    lines = signed_text(text).split("\n")
    if len(lines) != 5 or lines[0] != _head(kind) or not _ID.fullmatch(lines[2]):  # noqa: PLR2004 - the last one is empty
        raise SignatureError(kind, "malformed")
    payload, signature = _decoded(lines[1], size=None), _decoded(lines[3], size=SIGNATURE_SIZE)
    if payload is None or signature is None:
        raise SignatureError(kind, "malformed")
    trusted = [key for key in keys if key.id == lines[2]]
    if not trusted:
        raise SignatureError(kind, "untrusted")
    if not any(_fits(key, signature, _message(kind, lines[2], payload)) for key in trusted):
        raise SignatureError(kind, "forged")

    return payload


def _head(kind: str) -> str:
    return f"voipcard-{kind}-1"


def _message(kind: str, id: str, payload: bytes) -> bytes:
    # Neither the kind nor the id has a line feed, so that different ones never give the same bytes.
    return f"{_head(kind)}\n{id}\n".encode() + payload


def _fits(key: VerifyKey, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key.data).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False

    return True


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _decoded(text: str, *, size: int | None = KEY_SIZE) -> bytes | None:
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        return None
    # The last character has bits that stand for nothing: a text in which they are set is another text.
    if _encoded(data) != text or (size is not None and len(data) != size):
        return None

    return data
