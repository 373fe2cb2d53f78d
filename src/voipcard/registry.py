"""
The Calling Card extensions of a book: their numbers, labels and settings, and whether they are enabled.
"""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Iterator
from typing import Any, Final, Unpack

import attrs

from voipcard.core.arguments import checked_text
from voipcard.core.cards import NewCard
from voipcard.core.settings import ExtensionSettings, SettingsChanges
from voipcard.deciding import Decision
from voipcard.errors import InvalidValueError
from voipcard.names import EXTENSION
from voipcard.phone import checked_region, normalized
from voipcard.stores.contract import Changes, Document
from voipcard.transact import Engine

__all__ = [
    "ExtensionFacts",
    "as_stored",
    "caller_id_of",
    "change",
    "checked_number",
    "configure",
    "facts_of",
    "facts_of_document",
    "id_of",
    "known_extensions",
]

_NUMBER: Final = re.compile(r"[!-~]{1,64}", re.ASCII)
_AS_AT_FIRST: Final = ExtensionSettings()


@attrs.frozen
class ExtensionFacts:
    """
    What the book knows about an extension besides its cards.

    Attributes:
        number: The number of the extension, such as `0003*215`.
        id: 16 random bytes that its codes are indexed with.
        label: What people call it.
        enabled: Whether its cards may be used. They count against the license in any case.
        created_at: When the book first knew of it.
        version: The version of its document; 0 if the book does not know it yet.
        settings: What is set for it.
    """

    number: str
    id: bytes
    label: str
    enabled: bool
    created_at: int
    version: int
    settings: ExtensionSettings = _AS_AT_FIRST

    def document(self, engine: Engine) -> Document:
        """
        Give the document that keeps these facts, as the next version.
        """
        value = {
            "id": self.id.hex(),
            "label": self.label,
            "enabled": self.enabled,
            "created_at": self.created_at,
            "settings": self.settings.kept(),
        }

        return engine.records.document(EXTENSION + self.number, value, version=self.version + 1)

    def creation(self, engine: Engine) -> list[tuple[Document, int]]:
        """
        Give what a commit has to write so that the book knows the extension.
        """
        return [] if self.version else [(self.document(engine), 0)]


def checked_number(number: str) -> str:
    """
    Accept the number of an extension: 1 to 64 printable ASCII characters without spaces.

    Raises:
        InvalidValueError: If it is something else.
    """
    if not isinstance(number, str) or not _NUMBER.fullmatch(number):
        raise InvalidValueError("extension", "has to be 1 to 64 printable ASCII characters without spaces")

    return str.__str__(number)


def facts_of(engine: Engine, number: str) -> ExtensionFacts:
    """
    Give what the book knows about an extension; the facts of a new one if it knows nothing.
    """
    return facts_of_document(engine, number, engine.store.document(EXTENSION + number))


def facts_of_document(engine: Engine, number: str, document: Document | None) -> ExtensionFacts:
    """
    Give what the document of an extension says, that was read with others; the facts of a new one if there is none.

    Raises:
        TamperedError: If it was changed from outside.
    """
    if document is None:
        return ExtensionFacts(number, os.urandom(16), label="", enabled=True, created_at=engine.now(), version=0)

    return _read(number, engine.records.data(document), document.version)


@functools.lru_cache(maxsize=1024)  # Each call asks for it, and it hardly ever changes.
def _read(number: str, data: bytes, version: int) -> ExtensionFacts:
    value = json.loads(data)

    return ExtensionFacts(
        number,
        bytes.fromhex(value["id"]),
        value["label"],
        value["enabled"],
        value["created_at"],
        version,
        ExtensionSettings.of_kept(value["settings"]),
    )


def id_of(engine: Engine, number: str) -> bytes:
    """
    Give the random id that the codes of an extension are indexed with; a new one if the book does not know it yet.
    """
    if number not in engine.extension_ids:
        facts = facts_of(engine, number)
        if not facts.version:
            return facts.id
        engine.extension_ids[number] = facts.id

    return engine.extension_ids[number]


def known_extensions(engine: Engine) -> Iterator[ExtensionFacts]:
    """
    Give all extensions that the book knows, in the order of their numbers.
    """
    for document in engine.documents(EXTENSION):
        yield facts_of_document(engine, document.key.removeprefix(EXTENSION), document)


def change(
    engine: Engine,
    number: str,
    verb: str,
    *,
    label: str | None = None,
    enabled: bool | None = None,
    operation: str | None = None,
) -> ExtensionFacts:
    """
    Label, enable or disable an extension. The book knows it from then on.
    """
    asked: dict[str, Any] = {} if label is None else {"label": checked_text("label", label)}
    if enabled is not None:
        asked["enabled"] = enabled

    def decide(_: object) -> Decision[ExtensionFacts]:
        before = facts_of(engine, number)
        after = attrs.evolve(before, **asked)
        was = {name: getattr(before, name) for name in asked}
        audit = engine.audited(verb, extension=number, before=was, after=asked)
        changes = Changes(documents=[(after.document(engine), before.version)], audit=audit)

        return Decision(changes, attrs.evolve(after, version=before.version + 1))

    return engine.once(
        verb, operation, lambda: [number, asked], decide=decide, replay=lambda _: facts_of(engine, number)
    )


def configure(
    engine: Engine, number: str, *, operation: str | None, **changes: Unpack[SettingsChanges]
) -> ExtensionSettings:
    """
    Change settings of an extension. See `Extension.configure`.
    """
    # What cannot be set is refused before anything is read.
    checked_region(attrs.evolve(_AS_AT_FIRST, **changes).region)

    def decide(_: object) -> Decision[ExtensionSettings]:
        before = facts_of(engine, number)
        settings = attrs.evolve(before.settings, **changes)
        was, is_now = before.settings.kept(), settings.kept()
        audit = engine.audited(
            "configure",
            extension=number,
            before={name: was[name] for name in changes},
            after={name: is_now[name] for name in changes},
        )
        after = attrs.evolve(before, settings=settings)

        return Decision(Changes(documents=[(after.document(engine), before.version)], audit=audit), settings)

    return engine.once(
        "configure",
        operation,
        lambda: [number, {name: attrs.evolve(_AS_AT_FIRST, **changes).kept()[name] for name in changes}],
        decide=decide,
        replay=lambda _: facts_of(engine, number).settings,
    )


def caller_id_of(facts: ExtensionFacts, number: str, *, international: bool = False) -> str:
    """
    Write a caller's number the one way that the extension stores it.

    Args:
        facts: The extension.

        number: The number, as the caller's switch or an operator writes it.

        international: Whether the country code comes first although there is no `+`.

    Raises:
        InvalidCodeError: If it cannot be a number.

        ImportError: If the extension has a region, and the extra `phone` is not installed.
    """
    return normalized(number, facts.settings.region, international=international)


def as_stored(facts: ExtensionFacts, card: NewCard) -> NewCard:
    """
    Give a new card with its CallerID, if it has one, written as the extension stores it.

    Raises:
        ImportError: If the extension has a region, and the extra `phone` is not installed.
    """
    if not (card.caller_id and facts.settings.region):
        return card

    return attrs.evolve(card, code=caller_id_of(facts, card.code, international=card.international))
