"""
Key providers: what protects the keys of a book, outside of the book. A file, a variable, a passphrase, a service.
"""

from __future__ import annotations

import base64
import binascii
import os
import struct
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, NoReturn, Protocol

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from voipcard.ciphers import AES_256_SIV, KEY_SIZE, SUITES, Suite, cipher
from voipcard.errors import InvalidValueError, KeyMismatchError, KeyMissingError, storage_error

__all__ = [
    "KeyCallback",
    "KeyFile",
    "KeyPassphrase",
    "KeyProvider",
    "KeyVariable",
    "checked_provider",
    "fresh_key",
    "wrapped_by",
]

_SALT_SIZE: Final = 16

_COSTS: Final = struct.Struct(">III")
_LIMITS: Final = {"iterations": 64, "memory": 2**21, "lanes": 64}
"""The most that is believed of what is stored beside a book: else whoever can write there could exhaust the machine."""


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

    def wrap(self, secret: bytes, *, suite: Suite = AES_256_SIV) -> bytes:
        """
        Encrypt and authenticate *secret*.
        """
        return _wrapped(secret, self._key(), suite)

    def unwrap(self, wrapped: bytes) -> bytes:
        """
        Give back what was wrapped, in whichever suite.
        """
        return _fitting(_unwrapped(wrapped, self._key()), self.place)

    def _key(self) -> bytes:
        try:
            key = _parsed(self.path.read_bytes())
        except OSError:
            raise KeyMissingError(self.place) from None

        return _present(key, self.place)


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

    def wrap(self, secret: bytes, *, suite: Suite = AES_256_SIV) -> bytes:
        """
        Encrypt and authenticate *secret*.
        """
        return _wrapped(secret, self._key(), suite)

    def unwrap(self, wrapped: bytes) -> bytes:
        """
        Give back what was wrapped, in whichever suite.
        """
        return _fitting(_unwrapped(wrapped, self._key()), self.place)

    def _key(self) -> bytes:
        return _present(_parsed(os.environb.get(self.name.encode(), b"")), self.place)


class KeyPassphrase:
    """
    A key that is made of a passphrase by Argon2id (RFC 9106) whenever the book's keys are opened.

    That takes a tenth of a second and *memory*, on purpose: so much does every guess of a thief take. A passphrase of
    six words or more, drawn by dice, is one; a word that people choose is not. The costs are kept beside what was
    wrapped, so that what was wrapped before is still opened after they were raised; `CardBook.change_key` with the same
    passphrase and higher costs wraps anew.

    Args:
        passphrase:
            At least one character. The same letters written in different ways, such as an accent that stands alone, are
            the same passphrase (Unicode NFC).

        iterations: How often the memory is filled, 1 to 64.

        memory: How much, in KiB, 8 times *lanes* to 2,097,152.

        lanes: In how many parts that can be filled at the same time, 1 to 64.

    Raises:
        InvalidValueError: If there is no passphrase, or a cost is out of its range.

    Example:
        >>> key = voipcard.KeyPassphrase("correct horse battery staple orbit lamp")
        >>> key
        KeyPassphrase('••••')
        >>> voipcard.open_book("words.db", currency="EUR", key=key).close()
    """

    __slots__ = ("_costs", "_passphrase")

    def __init__(self, passphrase: str, *, iterations: int = 3, memory: int = 65536, lanes: int = 4) -> None:
        # The defaults are the second choice of RFC 9106, for where 2 GiB are too much.
        if not isinstance(passphrase, str) or not passphrase:
            raise InvalidValueError("passphrase", "has to be a text with at least one character")
        costs = {"iterations": iterations, "memory": memory, "lanes": lanes}
        for name, cost in costs.items():
            lowest = 8 * lanes if name == "memory" else 1
            if not isinstance(cost, int) or not lowest <= cost <= _LIMITS[name]:
                raise InvalidValueError(name, f"has to be a whole number from {lowest} to {_LIMITS[name]}")
        self._costs = (iterations, memory, lanes)
        try:
            self._passphrase = unicodedata.normalize("NFC", passphrase).encode()
        except UnicodeEncodeError:
            raise InvalidValueError("passphrase", "has characters that no text has") from None

    def __repr__(self) -> str:
        return "KeyPassphrase('••••')"

    def __reduce__(self) -> NoReturn:
        message = "a KeyPassphrase cannot be pickled or copied: it would show the passphrase"
        raise TypeError(message)

    @property
    def place(self) -> str:
        """
        Where the key is, for messages to people.
        """
        return "a passphrase"

    def wrap(self, secret: bytes, *, suite: Suite = AES_256_SIV) -> bytes:
        """
        Encrypt and authenticate *secret*, with a salt of its own.
        """
        head = bytes([SUITES[suite]]) + _COSTS.pack(*self._costs) + os.urandom(_SALT_SIZE)

        return cipher(SUITES[suite], self._key(head), "wrap").seal(secret, b"", head)

    def unwrap(self, wrapped: bytes) -> bytes:
        """
        Give back what was wrapped, in whichever suite and at whichever costs.
        """
        head = wrapped[: 1 + _COSTS.size + _SALT_SIZE]
        try:
            return cipher(head[0], self._key(head), "wrap").open(wrapped, b"", head)
        except (InvalidTag, ValueError, IndexError, struct.error):
            raise KeyMismatchError(self.place) from None

    def _key(self, head: bytes) -> bytes:
        iterations, memory, lanes = _COSTS.unpack_from(head, 1)
        if iterations > _LIMITS["iterations"] or memory > _LIMITS["memory"] or lanes > _LIMITS["lanes"]:
            raise ValueError(head)
        salt = head[1 + _COSTS.size :]

        return Argon2id(salt=salt, length=KEY_SIZE, iterations=iterations, lanes=lanes, memory_cost=memory).derive(
            self._passphrase
        )


@attrs.frozen(eq=False)
class KeyCallback:
    """
    A key that stays in a key management service: two functions that ask it to encrypt and to decrypt.

    What they raise reaches the caller of `open_book` as it is, because a service that cannot be reached is not a key
    that does not fit. Let *unwrap* raise `KeyMismatchError` where the service says that it was another key. What they
    are given holds the keys of the book: they must not log it.

    Attributes:
        wrap: Encrypts and authenticates bytes, some hundred of them, and gives bytes.
        unwrap: Gives back what *wrap* was given.
        place: Where the key is, for messages to people; not a secret.

    Example:
        >>> from cryptography.fernet import Fernet
        >>> service = Fernet(Fernet.generate_key())
        >>> key = voipcard.KeyCallback(service.encrypt, service.decrypt, "kms://vault/voipcard")
        >>> voipcard.open_book("guarded.db", currency="EUR", key=key).close()
    """

    wrap: Callable[[bytes], bytes] = attrs.field(repr=False)
    unwrap: Callable[[bytes], bytes] = attrs.field(repr=False)
    place: str


def checked_provider(key: KeyProvider) -> KeyProvider:
    """
    Accept what can protect the keys of a book, as far as can be told before it is used.

    Raises:
        InvalidValueError: If it is something else, such as the path of a key file.
    """
    if isinstance(key, type) or not all(callable(getattr(key, name, None)) for name in ("wrap", "unwrap")):
        raise InvalidValueError("key", "has to be a key provider, such as KeyFile('cards.key')")

    return key


def fresh_key() -> KeyProvider:
    """
    Give a provider whose key is in memory only: what it wrapped is lost with it.
    """
    key, place = os.urandom(KEY_SIZE), "memory"

    return KeyCallback(
        lambda secret: _wrapped(secret, key, AES_256_SIV),
        lambda wrapped: _fitting(_unwrapped(wrapped, key), place),
        place,
    )


# Reports of errors show the values of the variables on the way. So no function below that raises has a key in one.


def wrapped_by(provider: KeyProvider, secret: Callable[[], bytes], suite: Suite) -> bytes:
    """
    Wrap what *secret* gives, in the suite of a book as far as that is up to this library, so that it can be unwrapped.

    Raises:
        KeyMissingError: If the provider has no key.

        KeyMismatchError: If the provider does not give back what it wrapped: it would lose the book.
    """
    if isinstance(provider, KeyFile | KeyVariable):
        provider.wrap(b"", suite=suite)  # A key that is missing is missed here, before there is a secret to wrap.
    if isinstance(provider, KeyFile | KeyVariable | KeyPassphrase):
        wrapped = provider.wrap(secret(), suite=suite)
    else:
        wrapped = provider.wrap(secret())
    if not isinstance(wrapped, bytes) or provider.unwrap(wrapped) != secret():
        raise KeyMismatchError(provider.place)

    return wrapped


def _wrapped(secret: bytes, key: bytes, suite: Suite) -> bytes:
    return cipher(SUITES[suite], key, "wrap").seal(secret, b"", bytes([SUITES[suite]]))


def _unwrapped(wrapped: bytes, key: bytes) -> bytes | None:
    """
    Give back what was wrapped; None if it was not with this key.
    """
    head = wrapped[:1]
    try:
        return cipher(head[0], key, "wrap").open(wrapped, b"", head)
    except (InvalidTag, ValueError, IndexError):
        return None


def _fitting(secret: bytes | None, place: str) -> bytes:
    if secret is None:
        raise KeyMismatchError(place)

    return secret


def _present(key: bytes | None, place: str) -> bytes:
    if key == b"":
        raise KeyMissingError(place)

    return _fitting(key, place)


def _parsed(text: bytes) -> bytes | None:
    """
    Give the key that a text is; nothing if there is no text, None if it is no key.
    """
    stripped = text.strip()
    if not stripped:
        return b""
    for decode in (bytes.fromhex, lambda ascii_text: base64.b64decode(ascii_text, validate=True)):
        try:
            key = decode(stripped.decode("ascii"))
        except (ValueError, binascii.Error):
            continue
        if len(key) == KEY_SIZE:
            return key

    return None
