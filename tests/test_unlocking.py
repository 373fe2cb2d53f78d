"""
The key ring as a document: only what was written with the keys of the book is believed, and of which version it is.
"""

from __future__ import annotations

import itertools
import threading
from typing import Final

import pytest

from tests.book_world import BareKey, in_threads, outcome
from voipcard.ciphers import AES_256_GCM, AES_256_SIV, SUITES, Suite
from voipcard.errors import KeyMismatchError, TamperedError, VoipcardError
from voipcard.providers import KeyProvider, fresh_key
from voipcard.stores import Document
from voipcard.unlocking import Keys, rewrapped, with_another_root, without_older_roots

TAMPERED: Final = (TamperedError, "keyring", "document")


def rotated(suite: Suite = AES_256_SIV) -> tuple[KeyProvider, list[Document]]:
    """
    Give the documents of a book that was rotated twice and given another key in between, oldest first.
    """
    provider = fresh_key()
    keys, document = Keys.generate(provider, suite)
    documents = [document]
    for _ in range(2):
        documents.append(with_another_root(keys.ring, provider))
        keys.renewed(documents[-1])
        documents.append(without_older_roots(keys.ring, documents[-1]))
        keys.renewed(documents[-1])
        documents.append(rewrapped(keys.ring, provider))
        keys.renewed(documents[-1])

    return provider, documents


def refusal(document: Document, reader: KeyProvider | Keys) -> type[VoipcardError]:
    """
    Tell what a document is refused with: by who opens a book with a provider, or by who has it open.
    """
    try:
        if isinstance(reader, Keys):
            reader.renewed(document)
        else:
            Keys.unlocked(document, reader)
    except VoipcardError as error:
        return type(error)
    pytest.fail("it was believed")


@pytest.mark.parametrize("suite", SUITES)
def test_a_document_gives_the_same_key_ring_to_whoever_reads_it(suite: Suite) -> None:
    """
    Whether it was opened with this document or renewed from any other, what a document says is what is there.
    """
    provider, documents = rotated(suite)
    live = [(1,), (1, 2), (2,), (2,), (2, 3), (3,), (3,)]

    assert list(range(1, 8)) == [document.version for document in documents]
    for number, document in enumerate(documents):
        opened = Keys.unlocked(document, provider).ring
        assert (opened.live, opened.version, opened.suite) == (live[number], number + 1, suite)
        for other in documents:
            keys = Keys.unlocked(other, provider)
            ring = keys.renewed(document)

            assert (ring.live, ring.version, ring.suite) == (live[number], number + 1, suite)
            assert max(document.version, other.version) == keys.ring.version
            assert ring.mac("card", b"") == opened.mac("card", b"")
            assert ring.indexes(b"", "code", "77") == opened.indexes(b"", "code", "77")


def test_no_root_is_the_same() -> None:
    """
    Each rotation makes a key of its own.
    """
    provider, documents = rotated()
    ring = Keys.unlocked(documents[-1], provider).ring
    marks = {ring.mac("card", b"", number=number) for number in (1, 2, 3)}

    assert len(marks) == 3


@pytest.mark.parametrize("suite", SUITES)
def test_every_changed_bit_of_the_document_is_noticed(suite: Suite) -> None:
    """
    By who opens the book, and by who has it open: no bit can be turned over, nothing cut off, no version exchanged.
    """
    provider, documents = rotated(suite)
    keys = Keys.unlocked(documents[0], provider)
    document = documents[4]
    changed = [document.value[:size] for size in range(0, len(document.value), 7)] + [document.value + b"\0"]
    for bit in range(8 * len(document.value)):
        flipped = bytearray(document.value)
        flipped[bit // 8] ^= 1 << bit % 8
        changed.append(bytes(flipped))
    for value in changed:
        assert refusal(document._replace(value=value), provider) in {TamperedError, KeyMismatchError}
        assert refusal(document._replace(value=value), keys) is TamperedError
    for one, other in itertools.permutations(documents, 2):
        assert refusal(one._replace(version=other.version), provider) is TamperedError
        if other is not documents[0]:
            assert refusal(one._replace(version=other.version), keys) is TamperedError


@pytest.mark.parametrize("value", [None, "text", 7, b""], ids=repr)
def test_what_is_no_document_of_keys_is_damaged(value: bytes) -> None:
    """
    Whatever is there in its place is refused, and not asked about at the provider.
    """
    keys, document = Keys.generate(BareKey(), AES_256_SIV)
    bad = document._replace(value=value)

    assert outcome(lambda: Keys.unlocked(bad, BareKey())) == TAMPERED
    assert outcome(lambda: keys.renewed(bad._replace(version=2))) == TAMPERED
    assert outcome(lambda: keys.check(bad)) == TAMPERED
    assert outcome(lambda: keys.check(document._replace(expires_at=1))) == TAMPERED
    assert outcome(lambda: keys.check(document)) is None


def test_the_document_of_another_book_is_refused() -> None:
    """
    Under the same key, too: it is not that of the book that is open.
    """
    ours, _ = Keys.generate(BareKey(), AES_256_SIV)
    theirs = rewrapped(Keys.generate(BareKey(), AES_256_SIV)[0].ring, BareKey())

    assert outcome(lambda: ours.renewed(theirs)) == TAMPERED


class Asked:
    """
    A key that counts what it is asked.
    """

    place = "the tests"

    def __init__(self) -> None:
        self.wrapped = self.unwrapped = 0
        self._guard = threading.Lock()

    def wrap(self, secret: bytes) -> bytes:
        """
        Count and do nothing.
        """
        self.wrapped += 1

        return secret

    def unwrap(self, wrapped: bytes) -> bytes:
        """
        Count and do nothing.
        """
        with self._guard:
            self.unwrapped += 1

        return wrapped


def test_a_provider_is_asked_only_for_what_is_not_known() -> None:
    """
    A new root is unwrapped once, however many threads meet it; what ends a rotation needs no provider.
    """
    provider = Asked()
    first, document = Keys.generate(provider, AES_256_GCM)
    begun = with_another_root(first.ring, provider)
    first.renewed(begun)
    ended = without_older_roots(first.ring, begun)
    keys = Keys.unlocked(document, provider)
    provider.unwrapped = 0
    rings = in_threads(lambda _: keys.renewed(begun).active, 8)

    assert rings == [2] * 8
    assert provider.unwrapped == 1
    assert keys.renewed(ended).live == (2,)
    assert provider.unwrapped == 1


def test_a_root_that_was_never_kept_is_known_to_nobody() -> None:
    """
    Two processes that begin at the same time each make a root: the one that is refused has never had its own.
    """
    provider = Asked()
    keys, _ = Keys.generate(provider, AES_256_SIV)
    kept, refused = with_another_root(keys.ring, provider), with_another_root(keys.ring, provider)

    assert 2 not in keys.ring.roots
    ring = keys.renewed(kept)
    assert ring.mac("card", b"", number=2) == Keys.unlocked(kept, provider).ring.mac("card", b"", number=2)
    assert ring.mac("card", b"", number=2) != Keys.unlocked(refused, provider).ring.mac("card", b"", number=2)


def test_keys_show_nothing_but_their_place() -> None:
    """
    `repr` names where the key is.
    """
    assert repr(Keys.generate(BareKey(), AES_256_SIV)[0]) == "<Keys at the tests>"
