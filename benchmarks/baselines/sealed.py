"""
Sealing and unsealing by hand: AES-256-SIV, bound to the card, the envelope and a nonce.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers.aead import AESSIV

__all__ = ["sealer", "unsealer"]


def sealer() -> Callable[[bytes, bytes], bytes]:
    """
    Give a function that seals, with a key of its own, for the id of a card and what is to be sealed for it.
    """
    encrypt, envelope = AESSIV(os.urandom(64)).encrypt, bytes(5)

    def sealed(card: bytes, text: bytes) -> bytes:
        nonce = os.urandom(16)
        padded = (len(text).to_bytes(2, "big") + text).ljust(32, b"\0")  # Nothing that is sealed here is longer.

        return envelope + nonce + encrypt(padded, [card, envelope, nonce])

    return sealed


def unsealer(key: str) -> Callable[[bytes, bytes], bytes]:
    """
    Give the function that unseals, for the id of a card and what was sealed for it.

    Args:
        key: The key in hexadecimal.
    """
    decrypt = AESSIV(bytes.fromhex(key)).decrypt

    def unsealed(card: bytes, sealed: bytes) -> bytes:
        # 5 bytes of envelope, 16 of nonce; inside 2 bytes of length, then the text, then zeros.
        text = decrypt(sealed[21:], [card, sealed[:5], sealed[5:21]])

        return text[2 : 2 + int.from_bytes(text[:2], "big")]

    return unsealed
