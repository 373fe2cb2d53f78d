"""
The keys of a book as a document of it: wrapped by a provider, and read again when another process has changed them.

`Keys` is what an open book has. Its `renewed` gives the key ring that a document tells of, and asks the provider only
where the document names a root that this process does not know yet.
"""

from __future__ import annotations

import hmac
import struct
import threading
from typing import Final

from voipcard.ciphers import SUITES, Suite
from voipcard.errors import KeyMismatchError, TamperedError
from voipcard.keyring import Keyring, Roots
from voipcard.names import KEYRING
from voipcard.providers import KeyProvider, wrapped_by
from voipcard.stores.contract import Document

__all__ = ["Keys", "rewrapped", "with_another_root", "without_older_roots"]

_MAC_SIZE: Final = 32
_HEAD: Final = struct.Struct(">BB")
"""The suite, and how many roots are live. Their numbers follow, four bytes each, and then the wrapped roots."""


class Keys:
    """
    The keys of an open book.

    Args:
        provider: What protects them.

        ring: The key ring as it was when the book was opened.
    """

    def __init__(self, provider: KeyProvider, ring: Keyring) -> None:
        self.provider = provider
        self.ring: Keyring = ring
        self._guard: Final = threading.Lock()

    def __repr__(self) -> str:
        return f"<Keys at {self.provider.place}>"

    @classmethod
    def generate(cls, provider: KeyProvider, suite: Suite) -> tuple[Keys, Document]:
        """
        Make the keys of a new book, and the document that keeps them.

        Raises:
            KeyMissingError: If the provider has no key.

            KeyMismatchError: If the provider does not give back what it wrapped.
        """
        ring = Keyring.generate(suite)

        return cls(provider, ring), _document(ring, wrapped_by(provider, ring.roots.packed, suite))

    @classmethod
    def unlocked(cls, document: Document, provider: KeyProvider) -> Keys:
        """
        Open the keys of a book.

        Raises:
            KeyMissingError: If the provider has no key.

            KeyMismatchError: If the provider has another key.

            TamperedError: If the document was changed from outside.
        """
        _, _, wrapped = _parts(document)

        return cls(provider, _ring(document, _unwrapped(wrapped, provider)))

    def renewed(self, document: Document) -> Keyring:
        """
        Give the key ring that this document tells of, which may be a newer or an older one.

        Raises:
            TamperedError: If the document was changed from outside.

            KeyMissingError: If it has roots that are not known yet, and the provider has no key.

            KeyMismatchError: If it has roots that are not known yet, and they were wrapped by another provider.
        """
        ring = self.ring
        if document.version == ring.version:
            return ring
        with self._guard:
            _refuse_changed(document, ring)
            _, live, wrapped = _parts(document)
            if any(number not in ring.roots for number in live):
                ring.roots.learn(_unwrapped(wrapped, self.provider))
            renewed = _ring(document, ring.roots)
            if renewed.version > self.ring.version:
                self.ring = renewed

        return renewed

    def check(self, document: Document) -> None:
        """
        Check that a document is one that keeps these keys.

        Raises:
            TamperedError: If it was changed from outside.
        """
        _refuse_changed(document, self.ring)

    def unlocks(self, document: Document, provider: KeyProvider) -> bool:
        """
        Tell whether a provider has the key of what is in this document.
        """
        try:
            return _unwrapped(_parts(document)[2], provider).packed() == self.ring.roots.packed()
        except KeyMismatchError:
            return False


# What changes the keys. Each gives the document to commit in the place of the one before.


def with_another_root(ring: Keyring, provider: KeyProvider) -> Document:
    """
    Give the document of a key ring with a new root that seals. Cards may be found under the one before as well.
    """
    # A root is known to this process when it is read from the book, never before: the commit may be refused.
    roots = ring.roots.and_another()
    ring = Keyring(roots, live=[*ring.live, roots.newest], suite=ring.suite, version=ring.version + 1)

    return _document(ring, wrapped_by(provider, roots.packed, ring.suite))


def without_older_roots(ring: Keyring, document: Document) -> Document:
    """
    Give the document of a key ring under whose newest root all cards are found.
    """
    ring = Keyring(ring.roots, live=[ring.active], suite=ring.suite, version=document.version + 1)

    return _document(ring, _parts(document)[2])


def rewrapped(ring: Keyring, provider: KeyProvider) -> Document:
    """
    Give the document of the same key ring, protected by another provider.
    """
    ring = Keyring(ring.roots, live=ring.live, suite=ring.suite, version=ring.version + 1)

    return _document(ring, wrapped_by(provider, ring.roots.packed, ring.suite))


def _document(ring: Keyring, wrapped: bytes) -> Document:
    live = struct.pack(f">{len(ring.live)}I", *ring.live)
    body = _HEAD.pack(SUITES[ring.suite], len(ring.live)) + live + wrapped

    return Document(KEYRING, _mac(ring, ring.version, body) + body, ring.version)


def _parts(document: Document) -> tuple[Suite, tuple[int, ...], bytes]:
    try:
        number, count = _HEAD.unpack_from(document.value, _MAC_SIZE)
        start = _MAC_SIZE + _HEAD.size
        live = struct.unpack_from(f">{count}I", document.value, start)
        [suite] = [suite for suite, its_number in SUITES.items() if its_number == number]
    except (struct.error, TypeError, ValueError):
        raise TamperedError(KEYRING, "document") from None

    return suite, live, document.value[start + 4 * count :]


def _ring(document: Document, roots: Roots) -> Keyring:
    suite, live, _ = _parts(document)
    if not live or any(number not in roots for number in live):
        raise TamperedError(KEYRING, "document")
    ring = Keyring(roots, live=live, suite=suite, version=document.version)
    _refuse_changed(document, ring)

    return ring


def _unwrapped(wrapped: bytes, provider: KeyProvider) -> Roots:
    roots = Roots.parsed(provider.unwrap(wrapped))
    if roots is None:
        raise KeyMismatchError(provider.place)

    return roots


def _refuse_changed(document: Document, ring: Keyring) -> None:
    """
    Refuse a document that was not written with the keys of this book.
    """
    if not isinstance(document.value, bytes) or document.expires_at is not None:
        raise TamperedError(KEYRING, "document")
    mac, body = document.value[:_MAC_SIZE], document.value[_MAC_SIZE:]
    if not hmac.compare_digest(mac, _mac(ring, document.version, body)):
        raise TamperedError(KEYRING, "document")


def _mac(ring: Keyring, version: int, body: bytes) -> bytes:
    return ring.mac("keyring", version.to_bytes(8, "big") + body)
