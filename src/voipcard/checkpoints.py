"""
Signed checkpoints: what the heads of the audit trail were at a moment, to be kept where nobody can take the book back.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Final

import attrs

from voipcard.core.moments import from_micros
from voipcard.errors import InvalidValueError, SignatureError
from voipcard.signing import SigningKey, VerifyKey, checked_keys, sign, verified
from voipcard.trail import Head, Tally, all_heads, before_link, heads_of, lane_of
from voipcard.transact import Engine

__all__ = ["Checkpoint", "checkpoint"]

_KIND: Final = "checkpoint"


@attrs.frozen
class Checkpoint:
    """
    What a book was at a moment.

    Attributes:
        heads: The heads of the lanes that anything had been written through.
    """

    heads: tuple[Head, ...]

    @classmethod
    def read(cls, engine: Engine, text: str, keys: Iterable[VerifyKey]) -> Checkpoint:
        """
        Read a checkpoint of this book.

        Raises:
            SignatureError: If none of *keys* signed it, or if it is another book's.
        """
        value = json.loads(verified(_KIND, text, checked_keys(keys)))
        if value["book"] != engine.facts.id:
            raise SignatureError(_KIND, "foreign")

        return cls(
            tuple(
                Head(lane, version, count, bytes.fromhex(mac), tally=Tally(*tally))
                for lane, version, count, mac, tally in value["lanes"]
            )
        )

    def findings(self, engine: Engine) -> Iterator[tuple[str, str]]:
        """
        Tell which lanes are not what they were at that moment, with or without more behind it.
        """
        documents = all_heads(engine.store)
        for then in self.heads:
            document = documents.get(then.lane)
            if document is None or document.version < then.version or not _has(engine, then):
                yield then.key, "checkpoint"


def checkpoint(engine: Engine, key: SigningKey) -> str:
    """
    Sign what the book is now. See `CardBook.checkpoint`.
    """
    if not isinstance(key, SigningKey):
        raise InvalidValueError("key", "has to be a SigningKey")
    value = {
        "book": engine.facts.id,
        "created_at": from_micros(engine.now()).isoformat(),
        "lanes": [
            [head.lane, head.version, head.count, head.mac.hex(), head.tally]
            for head in heads_of(engine.store, engine.records)
            if head.version > 1
        ],
    }

    return sign(_KIND, json.dumps(value, separators=(",", ":")).encode(), key)


def _has(engine: Engine, then: Head) -> bool:
    """
    Tell whether a lane has the entry that was its newest. The chain before it is checked elsewhere.
    """
    if not then.count:
        return True
    found = engine.store.audit(after=before_link(then.lane, then.count), limit=1)

    return [(lane_of(record.id), record.mac) for record in found] == [((then.lane, then.count), then.mac)]
