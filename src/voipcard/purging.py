"""
Removing documents that have expired, a bounded number at a time.
"""

from __future__ import annotations

from typing import Final

from voipcard.core.arguments import checked_integer
from voipcard.deciding import Decision, Reading
from voipcard.errors import TamperedError
from voipcard.names import GUESSES
from voipcard.stores.contract import Changes, Document
from voipcard.transact import Engine

__all__ = ["purge"]

_MOST: Final = 10_000
"""As many documents as one page of a store has."""


def purge(engine: Engine, limit: int) -> int:
    """
    Remove expired documents. See `CardBook.purge_expired`.
    """
    limit = checked_integer("limit", limit, at_least=1, at_most=_MOST)
    now = engine.now()

    def decide(_: Reading) -> Decision[int]:
        # Read again where others were faster: what they have changed or removed is left out then.
        found = engine.store.documents("", limit=limit, expired_at=now)
        forget = [(document.key, document.version) for document in found if _may_go(engine, document)]

        return Decision(Changes(forget=forget) if forget else None, len(forget))

    return engine.decider.run(decide)


def _may_go(engine: Engine, document: Document) -> bool:
    """
    Tell whether the expiry of a document is what was written, and not from outside to make the book remove it.
    """
    if document.key.startswith(GUESSES):  # It goes anyway, sooner or later, and there may be very many.
        return True
    try:
        engine.records.value(document)
    except TamperedError:
        return False

    return True
