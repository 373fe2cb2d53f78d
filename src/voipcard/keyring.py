"""
Keys, and everything that is done with them: sealing, unsealing, the index that finds a code, and MACs.

A book has root keys, numbered from 1, and every use has a subkey of its own, derived by HKDF-SHA256. What is kept
forever is authenticated under root 1: ledger, documents, operations, audit trail. What is sealed, the index of a card
and the MAC of its PIN are those of the root that the card names, and a rotation moves cards to a new one.
"""

from __future__ import annotations

import hmac
import os
import struct
from collections.abc import Iterable, Mapping
from typing import Final, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from voipcard.ciphers import AES_256_SIV, KEY_SIZE, SUITES, Cipher, Suite, cipher, derived
from voipcard.errors import TamperedError

__all__ = ["FIRST", "Keyring", "Roots"]

INDEX_SIZE: Final = 16

FIRST: Final = 1
"""The root of the keys that never change: the MACs of ledger, documents, operations and the audit trail."""

_ENVELOPE: Final = struct.Struct(">BI")
"""What everything sealed begins with: its suite, and the number of its root."""

_BLOCK: Final = 32
"""Sealed text is padded to a multiple of this, so that its size does not tell how long a code or PIN is."""

_ROOT: Final = struct.Struct(f">I{KEY_SIZE}s")


class Roots:
    """
    The root keys of a book and what was derived of them so far, shared by all key rings of the book in this process.

    Args:
        keys: The root keys by their number.
    """

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        self._keys: Final = dict(keys)
        self.ciphers: Final[dict[tuple[bytes, str], Cipher]] = {}
        self.macs: Final[dict[tuple[int, str], HMAC]] = {}

    def __repr__(self) -> str:
        return f"<Roots of {len(self)}>"

    def __reduce__(self) -> NoReturn:
        message = "root keys cannot be pickled: it would show them"
        raise TypeError(message)

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, number: int) -> bool:
        return number in self._keys

    @property
    def newest(self) -> int:
        """
        The number of the newest one.
        """
        return max(self._keys)

    @classmethod
    def parsed(cls, data: bytes) -> Roots | None:
        """
        Read what `packed` gave; None if it is something else.
        """
        if not data or len(data) % _ROOT.size:
            return None

        return cls(dict(_ROOT.iter_unpack(data)))

    def packed(self) -> bytes:
        """
        Give all root keys in one piece, in clear text.
        """
        return b"".join(_ROOT.pack(number, key) for number, key in sorted(self._keys.items()))

    def and_another(self) -> Roots:
        """
        Give these keys and a new one, apart from these: nobody has it until it is kept in the book.
        """
        return Roots({**self._keys, self.newest + 1: os.urandom(KEY_SIZE)})

    def learn(self, others: Roots) -> None:
        """
        Take in the keys of the same book that were not known yet.
        """
        self._keys.update({number: key for number, key in others._keys.items() if number not in self._keys})

    def cipher(self, head: bytes, part: str) -> Cipher:
        """
        Give what seals and opens envelopes that begin with *head*.

        Raises:
            KeyError: If the root is not known.

            ValueError: If there is no such suite.
        """
        suite, number = _ENVELOPE.unpack(head)

        return self.ciphers.setdefault((head, part), cipher(suite, self._keys[number], f"seal/{part}"))

    def mac(self, number: int, part: str) -> HMAC:
        """
        Give the MAC of *part* under a root, which has taken in its key already.
        """
        key = derived(self._keys[number], f"mac/{part}", size=KEY_SIZE)

        return self.macs.setdefault((number, part), HMAC(key, SHA256()))


class Keyring:
    """
    The keys of one book as they are between two changes of them, and what is done with them. It never changes itself.

    Args:
        roots: The root keys, by their number.

        live:
            The roots that cards may be found under: the newest one, which seals, and during a rotation the one before.
            Without any it is the newest only.

        suite: How is sealed. What was sealed in another suite is opened all the same.

        version: The version of the document that says so.

    Attributes:
        active: The root that seals.
        live: The roots that cards may be found under, oldest first.
        suite: How is sealed.
        version: The version of the document that says so.
    """

    def __init__(
        self,
        roots: Mapping[int, bytes] | Roots,
        *,
        live: Iterable[int] = (),
        suite: Suite = AES_256_SIV,
        version: int = 1,
    ) -> None:
        self.roots: Final = roots if isinstance(roots, Roots) else Roots(roots)
        self.live: Final = tuple(sorted(live)) or (self.roots.newest,)
        self.active: Final = self.live[-1]
        self.suite: Final[Suite] = suite
        self.version: Final = version
        self._head: Final = _ENVELOPE.pack(SUITES[suite], self.active)
        self._ciphers: Final = self.roots.ciphers
        self._macs: Final = self.roots.macs

    def __repr__(self) -> str:
        return f"<Keyring of {len(self.roots)}>"

    def __reduce__(self) -> NoReturn:
        message = "a Keyring cannot be pickled: it would show its keys"
        raise TypeError(message)

    @classmethod
    def generate(cls, suite: Suite = AES_256_SIV) -> Keyring:
        """
        Make the key ring of a new book.
        """
        return cls({FIRST: os.urandom(KEY_SIZE)}, suite=suite)

    def seal(self, text: str, *, part: str, owner: bytes) -> bytes:
        """
        Encrypt and authenticate *text*, so that it can be unsealed only as the same *part* of the same *owner*.
        """
        head = self._head
        sealer = self._ciphers.get((head, part)) or self.roots.cipher(head, part)

        return sealer.seal(_padded(text), owner, head)

    def unseal(self, sealed: bytes, *, part: str, owner: bytes, subject: str) -> str:
        """
        Give back what was sealed.

        Raises:
            TamperedError: If it was changed, or is another part or another owner's; *subject* names the owner.
        """
        head = sealed[: _ENVELOPE.size]
        try:
            opener = self._ciphers.get((head, part)) or self.roots.cipher(head, part)
            padded = opener.open(sealed, owner, head)
        except (InvalidTag, KeyError, ValueError, struct.error):
            raise TamperedError(subject, part) from None

        return padded[2 : 2 + (padded[0] << 8 | padded[1])].decode()

    def root_of(self, sealed: bytes) -> int:
        """
        Give the number of the root that something says it was sealed under; 0 if it says none.
        """
        return int.from_bytes(sealed[1 : _ENVELOPE.size], "big")

    def index(self, extension: bytes, kind: str, code: str, *, number: int | None = None) -> bytes:
        """
        Give what a code or CallerID of an extension is found by: equal only for equal codes, telling nothing else.

        Args:
            extension: The random id of the extension.

            kind: `code` or `caller_id`.

            code: The code or CallerID in canonical form.

            number: The root; None for the one that seals.
        """
        data = extension + kind.encode() + b"\0" + code.encode()

        return self.mac("index", data, number=self.active if number is None else number)[:INDEX_SIZE]

    def indexes(self, extension: bytes, kind: str, code: str) -> list[bytes]:
        """
        Give all indexes that a card with this code may have, in the order in which they have to be looked for.

        That is oldest root first, the way that cards move: whoever looked for the newer one first could miss a card
        that is moved in between. There is one, and two during a rotation. Whoever found none of them has to ask
        `Engine.keys_changed` before he believes it.
        """
        return [self.index(extension, kind, code, number=number) for number in self.live]

    def pin_mac(self, pin: str, *, owner: bytes) -> bytes:
        """
        Give what a PIN is compared with: the number of the root, and a MAC that only this card and this PIN have.
        """
        return self._pin_mac(self.active, pin, owner)

    def pin_matches(self, pin: str, mac: bytes, *, owner: bytes) -> bool:
        """
        Tell in constant time whether this is the PIN of the card.
        """
        number = int.from_bytes(mac[:4], "big")

        return number in self.roots and hmac.compare_digest(self._pin_mac(number, pin, owner), mac)

    def mac(self, part: str, data: bytes, *, number: int = FIRST) -> bytes:
        """
        Authenticate *data* with the key of *part* under a root.
        """
        # A copy of what has taken in the key already costs less than taking it in once more.
        mac = (self._macs.get((number, part)) or self.roots.mac(number, part)).copy()
        mac.update(data)

        return mac.finalize()

    def _pin_mac(self, number: int, pin: str, owner: bytes) -> bytes:
        return number.to_bytes(4, "big") + self.mac("pin", owner + pin.encode(), number=number)


def _padded(text: str) -> bytes:
    data = text.encode()
    framed = len(data).to_bytes(2, "big") + data

    return framed.ljust(-(-len(framed) // _BLOCK) * _BLOCK, b"\0")
