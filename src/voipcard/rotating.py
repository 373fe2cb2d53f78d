"""
New keys for a book that is in use: every card is sealed and indexed anew, a few at a time, and the key of the keys too.

A rotation begins with a new root, which seals from then on, and ends when no card is left under the one before. Where
it stands is a document, written in the same commit as the cards: whoever calls next goes on there, after a crash too.
"""

from __future__ import annotations

from typing import Any, cast

import attrs

from voipcard.core.arguments import Progress, checked_integer
from voipcard.core.cards import Kind
from voipcard.core.query import CardQuery, Position
from voipcard.deciding import CHUNK, Decision, Reading
from voipcard.errors import KeyMismatchError, OperationConflictError, StaleError, TamperedError
from voipcard.keyring import FIRST
from voipcard.names import KEYRING, ROTATION
from voipcard.providers import KeyProvider, checked_provider
from voipcard.records import Records
from voipcard.registry import id_of
from voipcard.stores.contract import CardRecord, Changes, Document
from voipcard.transact import Engine
from voipcard.unlocking import Keys, rewrapped, with_another_root, without_older_roots

__all__ = ["Rotation", "change_key", "rotate"]


@attrs.frozen
class Rotation:
    """
    How far a rotation of keys is.

    Attributes:
        key: The number of the new key.
        done: How many cards it has sealed anew so far.
        left: About how many cards are left; 0 only when the rotation has ended.
    """

    key: int
    done: int
    left: int


@attrs.frozen
class _State:
    """
    Where a rotation stands, as its document keeps it.

    Attributes:
        key: The number of the new root.
        total: How many cards there were when it began.
        seen: How many it has gone over.
        sealed: How many of them it has sealed anew.
        after: The position of the last one; None at the beginning.
        has_ended: Whether none is left.
        version: The version of the document; 0 if there is none.
    """

    key: int
    total: int = 0
    seen: int = 0
    sealed: int = 0
    after: Position | None = None
    has_ended: bool = False
    version: int = 0

    @classmethod
    def read(cls, engine: Engine, key: int) -> _State:
        """
        Read the state of the rotation to a root; the first one was rotated to by nothing.

        Raises:
            TamperedError: If it was changed from outside, or deleted.
        """
        value, version = engine.value(f"{ROTATION}{key}")
        if value is None and key == FIRST:
            return cls(key, has_ended=True)
        if value is None:
            raise TamperedError(f"{ROTATION}{key}", "document")
        after = value.pop("after")

        return cls(key, **value, after=after and (after[0], bytes.fromhex(after[1])), version=version)

    def write(self, engine: Engine) -> tuple[Document, int]:
        """
        Give the document that keeps it in the place of the one that was read.
        """
        value: dict[str, Any] = attrs.asdict(self, filter=lambda field, _: field.name not in {"key", "version"})
        if self.after is not None:
            moment, card = self.after
            value["after"] = [moment, cast("bytes", card).hex()]

        return engine.records.document(f"{ROTATION}{self.key}", value, version=self.version + 1), self.version

    @property
    def left(self) -> int:
        """
        About how many cards are left. Some were removed meanwhile, and others made.
        """
        return 0 if self.has_ended else max(1, self.total - self.seen)


def rotate(engine: Engine, *, limit: int, operation: str | None, progress: Progress | None) -> Rotation:
    """
    Begin a rotation, or go on with the one that was begun. See `CardBook.rotate_keys`.
    """
    checked_integer("limit", limit, at_least=1)
    engine.refuse_joined("rotate_keys")
    key = _begun(engine, operation)
    gone_over = 0
    while True:
        before, state = _step(engine, key, min(CHUNK, limit - gone_over))
        gone_over += state.seen - before.seen
        if progress:
            progress(state.seen, max(state.total, state.seen))
        if state.has_ended or gone_over >= limit:
            _renewed(engine)
            return Rotation(key, state.sealed, state.left)


def change_key(engine: Engine, provider: KeyProvider, *, operation: str | None) -> None:
    """
    Protect the keys of the book by another provider. See `CardBook.change_key`.
    """
    engine.refuse_joined("change_key")
    checked_provider(provider)
    keys = _keys_of(engine)

    def decide(_: Reading) -> Decision[None]:
        ring = _renewed(engine)[0].keyring
        document = rewrapped(ring, provider)
        audit = engine.audited("change_key", before=keys.provider.place, after=provider.place)

        return Decision(Changes(documents=[(document, ring.version)], audit=audit), None, document.version)

    def replay(version: int) -> None:
        # A key cannot be among what the operation remembers, and many have one place: a passphrase has no other.
        document = _renewed(engine)[1]
        if document.version == version and not keys.unlocks(document, provider):
            raise OperationConflictError("change_key")

    engine.once("change_key", operation, lambda: [provider.place], decide=decide, replay=replay)
    document = _renewed(engine)[1]
    # Done again later, another key may have taken its place since.
    if keys.unlocks(document, provider):
        keys.provider = provider


def _keys_of(engine: Engine) -> Keys:
    keys = engine.records.keys
    if keys is None:
        raise TamperedError(KEYRING, "document")

    return keys


def _renewed(engine: Engine) -> tuple[Records, Document]:
    """
    Give the records under the keys that the book has now, and the document that says so.
    """
    document = engine.store.document(KEYRING)
    if document is None:
        raise TamperedError(KEYRING, "document")
    engine.keys_changed(document, engine.records.keyring)

    return engine.records.pinned(), document


def _begun(engine: Engine, operation: str | None) -> int:
    """
    Give the number of the new root: of the rotation that is under way, or else of one that begins now.
    """

    def decide(_: Reading) -> Decision[int]:
        records, document = _renewed(engine)
        state = _State.read(engine, records.keyring.active)
        if not state.has_ended:
            return Decision(None, state.key, state.key)
        keys = _keys_of(engine)
        if not keys.unlocks(document, keys.provider):
            # Another process has changed the key since: what this one wrapped could not be opened with it.
            raise KeyMismatchError(keys.provider.place)
        following = with_another_root(records.keyring, keys.provider)
        begun = _State(records.keyring.roots.newest + 1, total=engine.store.count(CardQuery()))
        changes = Changes(
            documents=[(following, document.version), begun.write(engine)],
            audit=engine.audited("rotate_keys", key=begun.key, state="begun", cards=begun.total),
        )

        return Decision(changes, begun.key, begun.key)

    return engine.once("rotate_keys", operation, list, decide=decide, replay=lambda key: cast("int", key))


def _step(engine: Engine, key: int, limit: int) -> tuple[_State, _State]:
    """
    Go over the next cards, and give where the rotation stood before and where it stands now.
    """

    def decide(reading: Reading) -> Decision[tuple[_State, _State]]:
        nonlocal limit
        if isinstance(reading.refusal, StaleError) and reading.refusal.cards:
            # Others are at work on these cards: a smaller commit meets fewer of them.
            limit = max(1, limit // 2)
        state = _State.read(engine, key)
        if state.has_ended:
            return Decision(None, (state, state))
        records, document = _renewed(engine)
        query = CardQuery(order="serial", after=state.after, limit=limit)
        page = engine.store.cards(query)
        replace = [(_resealed(engine, records, card), card.version) for card in page if card.key != key]
        following = attrs.evolve(
            state,
            seen=state.seen + len(page),
            sealed=state.sealed + len(replace),
            after=query.position(page[-1]) if page else state.after,
            has_ended=len(page) < limit,
        )
        changes = Changes(replace=replace, documents=[following.write(engine)])
        if following.has_ended:
            changes = attrs.evolve(
                changes,
                documents=[*changes.documents, (without_older_roots(records.keyring, document), document.version)],
                audit=engine.audited("rotate_keys", key=key, state="ended", cards=following.sealed),
            )

        return Decision(changes, (state, following))

    return engine.decider.run(decide)


def _resealed(engine: Engine, records: Records, card: CardRecord) -> CardRecord:
    """
    Give a card sealed and indexed under the newest root. The MAC of a PIN that is not kept stays under its own.

    Raises:
        TamperedError: If the card was changed from outside, or its extension was: it would not be found any more.
    """
    records.checked(card)
    code, pin = records.code(card), records.pin(card)
    if not records.is_indexed(card, id_of(engine, card.extension), code):
        raise TamperedError(card.serial, "index")
    pin_mac, sealed_pin = records.sealed_pin(card.id, pin, is_kept=True) if pin else (card.pin_mac, card.sealed_pin)

    return records.signed(
        card._replace(
            index=records.index(id_of(engine, card.extension), cast("Kind", card.kind), code),
            sealed_code=records.sealed_code(card.id, code),
            pin_mac=pin_mac,
            sealed_pin=sealed_pin,
            key=records.keyring.active,
            version=card.version + 1,
        )
    )
