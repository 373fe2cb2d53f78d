"""
Keys, and everything that is done with them: sealing, unsealing, the index that finds a code, and MACs.

A book has root keys, numbered from 1. They are wrapped by a key provider and kept in the book itself; whoever has the
file without the provider's key has nothing. Every use has a subkey of its own, derived by HKDF-SHA256.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import struct
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn, Protocol

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from voipcard.errors import KeyMismatchError, KeyMissingError, TamperedError, storage_error

__all__ = ["KeyFile", "KeyProvider", "KeyVariable", "Keyring"]

KEY_SIZE: Final = 32
INDEX_SIZE: Final = 16
NONCE_SIZE: Final = 16

_ENVELOPE: Final = struct.Struct(">BI")
_SUITE: Final = 1
"""AES-256-SIV (RFC 5297) with a random nonce."""

_BODY: Final = _ENVELOPE.size + NONCE_SIZE
"""Where in a sealed value the text begins, behind what tells how to open it."""

_BLOCK: Final = 32
"""Sealed text is padded to a multiple of this, so that its size does not tell how long a code or PIN is."""

_FIRST: Final = 1
"""The root of the keys that never change: the index and the MACs of ledger, documents and operations."""


class KeyProvider(Protocol):
    """
    What protects the keys of a book: a file, an environment variable, or a key management service of one's own.
    """

    @property
    def place(self) -> str:
        """
        Where the key is, for messages to people.
        """
        ...

    def wrap(self, secret: bytes) -> bytes:
        """
        Encrypt and authenticate *secret*.

        Raises:
            KeyMissingError: If there is no key.
        """
        ...

    def unwrap(self, wrapped: bytes) -> bytes:
        """
        Give back what was wrapped.

        Raises:
            KeyMissingError: If there is no key.

            KeyMismatchError: If it was wrapped with another key, or changed.
        """
        ...


@attrs.frozen
class KeyFile:
    """
    A key in a file of its own: 64 hexadecimal digits.

    It must not share a backup with the book: together they are as good as clear text.

    Attributes:
        path: The file.
    """

    path: Path = attrs.field(converter=Path)

    @property
    def place(self) -> str:
        """
        Where the key is, for messages to people.
        """
        return str(self.path)

    def create(self) -> None:
        """
        Make the file with a new key and the permissions 0600, on the disk when this returns; keep one that is there.

        The file system has to know hard links. If the process dies in between, a hidden file may stay beside it: it can
        hold the key, so treat it like the key.

        Raises:
            StoreError: If the file cannot be made in its folder.
        """
        # Linked into place when it is whole: another process, or the next start after a crash, never sees half a key.
        draft = self.path.with_name(f".{self.path.name}-{os.urandom(8).hex()}")
        try:
            with open(draft, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                try:
                    file.write(os.urandom(KEY_SIZE).hex().encode() + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                    with suppress(FileExistsError):
                        os.link(draft, self.path)
                finally:
                    draft.unlink()
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise storage_error(error, self.path.name) from error

    def wrap(self, secret: bytes) -> bytes:
        """
        Encrypt and authenticate *secret*.
        """
        return _wrapped(secret, self._key())

    def unwrap(self, wrapped: bytes) -> bytes:
        """
        Give back what was wrapped.
        """
        return _unwrapped(wrapped, self._key(), self.place)

    def _key(self) -> bytes:
        try:
            text = self.path.read_bytes()
        except OSError:
            raise KeyMissingError(self.place) from None

        return _parsed(text, self.place)


@attrs.frozen
class KeyVariable:
    """
    A key in an environment variable: 64 hexadecimal digits, or 32 bytes as Base64.

    Attributes:
        name: The variable.
    """

    name: str

    @property
    def place(self) -> str:
        """
        Where the key is, for messages to people.
        """
        return f"${self.name}"

    def wrap(self, secret: bytes) -> bytes:
        """
        Encrypt and authenticate *secret*.
        """
        return _wrapped(secret, self._key())

    def unwrap(self, wrapped: bytes) -> bytes:
        """
        Give back what was wrapped.
        """
        return _unwrapped(wrapped, self._key(), self.place)

    def _key(self) -> bytes:
        return _parsed(os.environb.get(self.name.encode(), b""), self.place)


class Keyring:
    """
    The root keys of one book, and what is done with them.

    Args:
        roots: The root keys by their number; the highest one seals.
    """

    def __init__(self, roots: Mapping[int, bytes]) -> None:
        self._roots: Final = dict(roots)
        self._sealers: Final[dict[tuple[int, str], AESSIV]] = {}
        self._openers: Final[dict[tuple[bytes, str], AESSIV]] = {}
        self._macs: Final[dict[tuple[int, str], HMAC]] = {}
        self.active: Final = max(roots)

    def __repr__(self) -> str:
        return f"<Keyring of {len(self._roots)}>"

    def __reduce__(self) -> NoReturn:
        message = "a Keyring cannot be pickled: it would show its keys"
        raise TypeError(message)

    @classmethod
    def generate(cls) -> Keyring:
        """
        Make the key ring of a new book.
        """
        return cls({_FIRST: os.urandom(KEY_SIZE)})

    @classmethod
    def unwrap(cls, wrapped: bytes, provider: KeyProvider) -> Keyring:
        """
        Open a key ring that was kept in a book.

        Raises:
            KeyMissingError: If the provider has no key.

            KeyMismatchError: If the provider has another key.
        """
        secret = provider.unwrap(wrapped)
        size = 4 + KEY_SIZE
        if not secret or len(secret) % size:
            raise KeyMismatchError(provider.place)
        rows = [secret[start : start + size] for start in range(0, len(secret), size)]

        return cls({int.from_bytes(row[:4], "big"): row[4:] for row in rows})

    def wrap(self, provider: KeyProvider) -> bytes:
        """
        Make the key ring fit to be kept in a book.
        """
        return provider.wrap(b"".join(number.to_bytes(4, "big") + root for number, root in self._roots.items()))

    def seal(self, text: str, *, part: str, owner: bytes) -> bytes:
        """
        Encrypt and authenticate *text*, so that it can be unsealed only as the same *part* of the same *owner*.
        """
        head = _ENVELOPE.pack(_SUITE, self.active)
        nonce = os.urandom(NONCE_SIZE)

        return head + nonce + self._sealer(self.active, part).encrypt(_padded(text), [owner, head, nonce])

    def unseal(self, sealed: bytes, *, part: str, owner: bytes, subject: str) -> str:
        """
        Give back what was sealed.

        Raises:
            TamperedError: If it was changed, or is another part or another owner's; *subject* names the owner.
        """
        head, nonce = sealed[: _ENVELOPE.size], sealed[_ENVELOPE.size : _BODY]
        try:
            opener = self._openers.get((head, part)) or self._opener(head, part)
            padded = opener.decrypt(sealed[_BODY:], [owner, head, nonce])
        except (InvalidTag, KeyError, ValueError, struct.error):
            raise TamperedError(subject, part) from None

        return padded[2 : 2 + (padded[0] << 8 | padded[1])].decode()

    def index(self, extension: bytes, kind: str, code: str) -> bytes:
        """
        Give what a code or CallerID of an extension is found by: equal only for equal codes, telling nothing else.
        """
        return self.mac("index", extension + kind.encode() + b"\0" + code.encode())[:INDEX_SIZE]

    def pin_mac(self, pin: str, *, owner: bytes) -> bytes:
        """
        Give what a PIN is compared with: the number of the key, and a MAC that only this card and this PIN have.
        """
        return self._pin_mac(self.active, pin, owner)

    def pin_matches(self, pin: str, mac: bytes, *, owner: bytes) -> bool:
        """
        Tell in constant time whether this is the PIN of the card.
        """
        number = int.from_bytes(mac[:4], "big")

        return number in self._roots and hmac.compare_digest(self._pin_mac(number, pin, owner), mac)

    def mac(self, part: str, data: bytes, *, number: int = _FIRST) -> bytes:
        """
        Authenticate *data* with the key of *part* under a root.
        """
        # A copy of what has taken in the key already costs less than taking it in once more.
        mac = (self._macs.get((number, part)) or self._keyed(number, part)).copy()
        mac.update(data)

        return mac.finalize()

    def _keyed(self, number: int, part: str) -> HMAC:
        key = _derived(self._roots[number], f"mac/{part}", size=KEY_SIZE)

        return self._macs.setdefault((number, part), HMAC(key, SHA256()))

    def _pin_mac(self, number: int, pin: str, owner: bytes) -> bytes:
        return number.to_bytes(4, "big") + self.mac("pin", owner + pin.encode(), number=number)

    def _opener(self, head: bytes, part: str) -> AESSIV:
        suite, number = _ENVELOPE.unpack(head)
        if suite != _SUITE:
            raise ValueError(suite)

        return self._openers.setdefault((head, part), self._sealer(number, part))

    def _sealer(self, number: int, part: str) -> AESSIV:
        try:
            return self._sealers[number, part]
        except KeyError:
            key = _derived(self._roots[number], f"seal/{part}", size=2 * KEY_SIZE)

            return self._sealers.setdefault((number, part), AESSIV(key))


def _derived(root: bytes, use: str, *, size: int) -> bytes:
    return HKDF(SHA256(), size, salt=None, info=f"voipcard/1/{use}".encode()).derive(root)


def _wrapped(secret: bytes, key: bytes) -> bytes:
    nonce = os.urandom(NONCE_SIZE)

    return nonce + _wrapper(key).encrypt(secret, [nonce])


def _unwrapped(wrapped: bytes, key: bytes, place: str) -> bytes:
    try:
        return _wrapper(key).decrypt(wrapped[NONCE_SIZE:], [wrapped[:NONCE_SIZE]])
    except (InvalidTag, ValueError):
        raise KeyMismatchError(place) from None


def _wrapper(key: bytes) -> AESSIV:
    return AESSIV(_derived(key, "wrap", size=2 * KEY_SIZE))


def _parsed(text: bytes, place: str) -> bytes:
    stripped = text.strip()
    if not stripped:
        raise KeyMissingError(place)
    for decode in (bytes.fromhex, lambda ascii_text: base64.b64decode(ascii_text, validate=True)):
        try:
            key = decode(stripped.decode("ascii"))
        except (ValueError, binascii.Error):
            continue
        if len(key) == KEY_SIZE:
            return key
    raise KeyMismatchError(place)


def _padded(text: str) -> bytes:
    data = text.encode()
    framed = len(data).to_bytes(2, "big") + data

    return framed.ljust(-(-len(framed) // _BLOCK) * _BLOCK, b"\0")
