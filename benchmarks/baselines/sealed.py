"""
Unsealing by hand: AES-256-SIV, bound to the card, the envelope and a nonce.
"""

from __future__ import annotations

from collections.abc import Callable

from cryptography.hazmat.primitives.ciphers.aead import AESSIV

__all__ = ["unsealer"]


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
