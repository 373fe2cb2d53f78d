"""
The two suites that seal: AES-256-SIV, and AES-256-GCM for those whose rules list that one. Each use has its own key.
"""

from __future__ import annotations

import os
from typing import Final, Literal, Protocol, TypeAlias

from cryptography.hazmat.primitives.ciphers.aead import AESGCM, AESSIV
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from voipcard.errors import InvalidValueError

__all__ = ["AES_256_GCM", "AES_256_SIV", "KEY_SIZE", "SUITES", "Cipher", "Suite", "checked_suite", "cipher", "derived"]

Suite: TypeAlias = Literal["aes-256-siv", "aes-256-gcm"]
"""How a book seals: `aes-256-siv` (RFC 5297) or `aes-256-gcm` (NIST SP 800-38D), both with random nonces."""

AES_256_SIV: Final[Suite] = "aes-256-siv"
"""What a book is sealed with where nothing is said."""

AES_256_GCM: Final[Suite] = "aes-256-gcm"

SUITES: Final[dict[Suite, int]] = {AES_256_SIV: 1, AES_256_GCM: 2}
"""The byte that everything sealed begins with."""

KEY_SIZE: Final = 32

_SIV_NONCE: Final = 16
_GCM_NONCE: Final = 12
"""96 bits: the size that GCM is made for. Other sizes are hashed, which makes repetitions likelier."""


class Cipher(Protocol):
    """
    Seals with one key.
    """

    def seal(self, data: bytes, owner: bytes, head: bytes) -> bytes:
        """
        Give *head*, a random nonce, and *data* encrypted and authenticated together with *owner* and *head*.
        """
        ...

    def open(self, sealed: bytes, owner: bytes, head: bytes) -> bytes:
        """
        Give back what was sealed with this owner and this head.

        Raises:
            InvalidTag: If it was not.

            ValueError: If it is too short to be anything.
        """
        ...


class _Siv:
    """
    AES-256-SIV (RFC 5297): a nonce that comes twice tells no more than that the same text was sealed twice.
    """

    def __init__(self, root: bytes, use: str) -> None:
        self._cipher: Final = AESSIV(derived(root, use, size=2 * KEY_SIZE))

    def seal(self, data: bytes, owner: bytes, head: bytes) -> bytes:
        nonce = os.urandom(_SIV_NONCE)

        return head + nonce + self._cipher.encrypt(data, [owner, head, nonce])

    def open(self, sealed: bytes, owner: bytes, head: bytes) -> bytes:
        start = len(head)
        body = start + _SIV_NONCE

        return self._cipher.decrypt(sealed[body:], [owner, head, sealed[start:body]])


class _Gcm:
    """
    AES-256-GCM with a random nonce: at most 2**32 texts a key (NIST SP 800-38D, 8.3).
    """

    def __init__(self, root: bytes, use: str) -> None:
        # The name of the suite keeps the key apart from the one that the other suite would have.
        self._cipher: Final = AESGCM(derived(root, f"{use}/{AES_256_GCM}", size=KEY_SIZE))

    def seal(self, data: bytes, owner: bytes, head: bytes) -> bytes:
        nonce = os.urandom(_GCM_NONCE)

        return head + nonce + self._cipher.encrypt(nonce, data, owner + head)

    def open(self, sealed: bytes, owner: bytes, head: bytes) -> bytes:
        # A head has a known size, so that no other owner and head give the same bytes together.
        start = len(head)
        body = start + _GCM_NONCE

        return self._cipher.decrypt(sealed[start:body], sealed[body:], owner + head)


def cipher(suite: int, root: bytes, use: str) -> Cipher:
    """
    Give the cipher of a suite with the key that a root has for this use.

    Raises:
        ValueError: If there is no such suite.
    """
    if suite == SUITES[AES_256_SIV]:
        return _Siv(root, use)
    if suite == SUITES[AES_256_GCM]:
        return _Gcm(root, use)
    raise ValueError(suite)


def checked_suite(suite: object) -> Suite | None:
    """
    Accept the name of a suite, or None.

    Raises:
        InvalidValueError: If there is no such suite.

    Example:
        >>> checked_suite("aes-256-gcm")
        'aes-256-gcm'
    """
    if suite is not None and suite not in SUITES:
        raise InvalidValueError("suite", f"has to be {' or '.join(SUITES)}")

    return suite


def derived(root: bytes, use: str, *, size: int) -> bytes:
    """
    Derive the key of one use from a root key, by HKDF-SHA256 (RFC 5869).
    """
    return HKDF(SHA256(), size, salt=None, info=f"voipcard/1/{use}".encode()).derive(root)
