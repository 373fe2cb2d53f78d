"""
Price lists that are kept in the book: which hold from when on, and their rates, which never change.

The document `deck/` with a name lists its versions. The rates of a version are in the documents `rates/` with its
digest and a number, so many in each that none is too large for any store.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from voipcard.core.credit import Credit
from voipcard.core.moments import from_micros, to_micros
from voipcard.core.rating import Rate, RateDeck, Tariff, checked_deck_name
from voipcard.deciding import Decision
from voipcard.errors import DeckExistsError, InvalidValueError, TamperedError, UnknownDeckError
from voipcard.names import DECK, RATES
from voipcard.stores.contract import Changes, Document
from voipcard.transact import Engine

__all__ = ["DeckVersion", "deck_at", "deck_of_digest", "install", "known_decks"]

_PART: Final = 1000
"""How many rates a document has: with the longest texts that there can be less than 7 MiB, where 16 is the limit."""

_PARSED: Final = 8
"""How many decks are kept parsed: the versions of now of a few, for each of which there may be 50,000 objects."""


@attrs.frozen
class DeckVersion:
    """
    A price list that is kept in a book, without its rates.

    Attributes:
        name: What it is called.
        valid_from: From when on it holds, until the next version of that name does; None for ever before.
        size: How many rates it has.
        digest: 32 hexadecimal digits that no other price list of the book has.
        installed_at: When it was installed.
    """

    name: str
    valid_from: datetime | None
    size: int
    digest: str
    installed_at: datetime

    @classmethod
    def of_kept(cls, name: str, kept: Mapping[str, Any]) -> DeckVersion:
        """
        Give what `kept` was made from.
        """
        return cls(name, _moment(kept["valid_from"]), kept["size"], kept["digest"], from_micros(kept["installed_at"]))

    def kept(self) -> dict[str, Any]:
        """
        Give what there is to keep of it, as JSON.
        """
        return {
            "valid_from": _micros(self.valid_from),
            "size": self.size,
            "digest": self.digest,
            "installed_at": to_micros(self.installed_at),
        }


def install(engine: Engine, deck: RateDeck, operation: str | None) -> DeckVersion:
    """
    Keep a price list in the book. See `CardBook.install_deck`.
    """
    if not isinstance(deck, RateDeck):
        raise InvalidValueError("deck", "has to be a RateDeck, such as voipcard.sheets.read_deck gives")
    rates = sorted(deck.rates, key=lambda rate: rate.prefix)
    valid_from = _micros(deck.valid_from)
    # Over the name, too: calls that were charged by it are to be told by which price list, not only by which prices.
    digest = engine.records.digest([deck.name, valid_from, _packed(rates)])

    def decide(_: object) -> Decision[DeckVersion]:
        value, version = engine.value(DECK + deck.name)
        versions = [DeckVersion.of_kept(deck.name, kept) for kept in value or ()]
        for known in versions:
            if known.digest == digest:
                return Decision(None, known)
            if known.valid_from == deck.valid_from:
                raise DeckExistsError(deck.name, _told(deck.valid_from))
        now = engine.now()
        made = DeckVersion(deck.name, _moment(valid_from), len(rates), digest, from_micros(now))
        kept = [each.kept() for each in sorted([*versions, made], key=_beginning)]
        documents = [
            (engine.records.document(DECK + deck.name, kept, version=version + 1), version),
            *((document, 0) for document in _documents(engine, digest, deck, rates)),
        ]
        audit = engine.audited(
            "install_deck", now=now, name=deck.name, valid_from=_told(deck.valid_from), count=len(rates), digest=digest
        )

        return Decision(Changes(documents=documents, audit=audit), made, memo=digest)

    def replay(memo: str) -> DeckVersion:
        return next(known for known in _versions(engine, deck.name) if known.digest == memo)

    return engine.once("install_deck", operation, lambda: digest, decide=decide, replay=replay)


def known_decks(engine: Engine) -> list[DeckVersion]:
    """
    Give all versions of all price lists, by name and then by when they begin.

    Raises:
        TamperedError: If one of their lists was changed from outside.
    """
    found = ((document.key.removeprefix(DECK), document) for document in engine.documents(DECK))

    return [version for name, document in found for version in _versions(engine, name, document)]


def deck_at(
    engine: Engine, name: str, moment: int | None = None, document: Document | None = None
) -> tuple[RateDeck, str]:
    """
    Give the price list of a name that holds at a moment, and its digest.

    Args:
        engine: The book.

        name: The name.

        moment: In microseconds; None for now.

        document: The document of that name, if it was read already together with others.

    Raises:
        UnknownDeckError: If none of that name holds then.

        TamperedError: If something of it was changed from outside, or is missing.
    """
    moment = engine.now() if moment is None else moment
    digest = ""
    for version in _versions(engine, name, document):  # By when they begin.
        if version.valid_from is None or to_micros(version.valid_from) <= moment:
            digest = version.digest
    if not digest:
        raise UnknownDeckError(name)

    return deck_of_digest(engine, digest), digest


def deck_of_digest(engine: Engine, digest: str) -> RateDeck:
    """
    Give the price list with this digest, by which something was charged.

    Raises:
        TamperedError: If something of it was changed from outside, or is missing.
    """
    parsed = engine.decks
    if (deck := parsed.get(digest)) is not None:
        return deck
    head = _parts(engine, digest, range(1))[0]
    parts = [head, *_parts(engine, digest, range(1, head["parts"]))]
    deck = RateDeck(_unpacked(parts), name=head["name"], valid_from=_moment(head["valid_from"]))
    if len(parsed) >= _PARSED:
        parsed.pop(list(parsed)[0], None)  # noqa: RUF015 - another thread may change it in the middle of an iteration
    parsed[digest] = deck

    return deck


def _versions(engine: Engine, name: str, document: Document | None = None) -> Sequence[DeckVersion]:
    """
    Give the versions of a price list, by when they begin; none if the book does not know the name.
    """
    document = document or engine.store.document(DECK + checked_deck_name("name", name))
    if document is None:
        return ()

    return _read(name, engine.records.data(document))


@functools.lru_cache(maxsize=64)  # Each call asks for it, and it hardly ever changes.
def _read(name: str, data: bytes) -> Sequence[DeckVersion]:
    return tuple(DeckVersion.of_kept(name, kept) for kept in json.loads(data))


# How the rates are kept: each tariff once in a document, and as few characters as there can be.


def _documents(engine: Engine, digest: str, deck: RateDeck, rates: Sequence[Rate]) -> Iterator[Document]:
    starts = range(0, len(rates), _PART)
    head = {"name": deck.name, "valid_from": _micros(deck.valid_from), "parts": len(starts)}
    for number, start in enumerate(starts):
        value = _packed(rates[start : start + _PART])
        yield engine.records.document(_key(digest, number), value if number else {**head, **value}, version=1)


def _parts(engine: Engine, digest: str, numbers: range) -> list[Any]:
    keys = [_key(digest, number) for number in numbers]
    found = {document.key: document for document in engine.store.find_documents(keys)} if keys else {}
    if missing := [key for key in keys if key not in found]:
        raise TamperedError(missing[0], "document")

    return [engine.records.value(found[key]) for key in keys]


def _packed(rates: Sequence[Rate]) -> dict[str, Any]:
    places: dict[Tariff, int] = {}
    lines = [
        (rate.prefix, places.setdefault(rate.tariff, len(places)), rate.description, rate.network) for rate in rates
    ]

    return {"tariffs": [_terms(tariff) for tariff in places], "rates": lines}


def _unpacked(parts: Sequence[Mapping[str, Any]]) -> Iterator[Rate]:
    known: dict[tuple[object, ...], Tariff] = {}
    for part in parts:
        places = []
        for terms in part["tariffs"]:
            # Equal ones are one object also where they are in several documents: that is much to be spared.
            facts = tuple(terms.items())
            places.append(known.get(facts) or known.setdefault(facts, _tariff(terms)))
        for prefix, place, description, network in part["rates"]:
            yield Rate(prefix, places[place], description, network)


def _terms(tariff: Tariff) -> dict[str, Any]:
    """
    Give all of it, so that a later release with other defaults changes no price; amounts in millionths.
    """
    terms = attrs.asdict(tariff, recurse=False)

    return {name: value.micros if isinstance(value, Credit) else value for name, value in terms.items()}


def _tariff(terms: Mapping[str, Any]) -> Tariff:
    most = terms["maximum_charge"]
    amounts: dict[str, Any] = {
        name: Credit.from_micros(terms[name]) for name in ("price", "connection_fee", "minimum_charge")
    }

    return Tariff(**{**terms, **amounts, "maximum_charge": None if most is None else Credit.from_micros(most)})


def _key(digest: str, number: int) -> str:
    return f"{RATES}{digest}/{number}"


def _beginning(version: DeckVersion) -> tuple[bool, int]:
    return version.valid_from is not None, _micros(version.valid_from) or 0


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else to_micros(moment)


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


def _told(moment: datetime | None) -> str:
    return "" if moment is None else from_micros(to_micros(moment)).isoformat()
