"""
The cards that a call is about, and changing them chunk by chunk, each chunk exactly once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import attrs

from voipcard.core.arguments import Progress
from voipcard.core.cards import CardCode, serial_of
from voipcard.core.query import CardQuery, Position
from voipcard.deciding import CHUNK, Decision, Reading
from voipcard.errors import InvalidValueError
from voipcard.stores.contract import CardRecord, Changes
from voipcard.transact import Engine, asked

__all__ = ["Cards", "Change", "Targets", "in_chunks"]

Cards: TypeAlias = CardCode | str | Iterable[CardCode | str] | CardQuery
"""One card or its serial, many of them, or a query."""


class Change(Protocol):
    """
    What a verb does to some of its cards: what to commit, and what to answer.
    """

    def __call__(self, records: Sequence[CardRecord], part: int, /) -> tuple[Changes, Any]:
        """
        Change cards that were read; *part* counts the commits of the call from 0.
        """
        ...


class Targets:
    """
    The cards that a call is about, read chunk by chunk.
    """

    def __init__(
        self,
        engine: Engine,
        extension: str,
        cards: Cards,
        concerns: Callable[[CardRecord], bool],
        *,
        content: object = None,
    ) -> None:
        self._content = content
        self.engine = engine
        self.extension = extension
        self._concerns = concerns
        self._query: CardQuery | None = None
        self._serials: list[str] = []
        if isinstance(cards, CardQuery):
            if cards.extension not in (None, extension):
                raise InvalidValueError("extension", "of the query has to be this one")
            if (cards.after, cards.limit) != (None, CardQuery().limit):
                raise InvalidValueError("after, limit", "are for pages: a query here means all the cards that match")
            now = engine.now() if cards.now is None else cards.now
            self._query = attrs.evolve(
                cards, extension=extension, now=now, order="created", descending=False, after=None, limit=CHUNK
            )
        elif isinstance(cards, CardCode | str):
            self._serials = [serial_of(cards)]
        else:
            # The same cards in another order are the same request, and what was interrupted goes on where it stopped.
            self._serials = sorted({serial_of(card) for card in cards})

    @property
    def is_long(self) -> bool:
        """
        Whether the cards may take more than one commit.
        """
        return self._query is not None or len(self._serials) > CHUNK

    @property
    def content(self) -> object:
        """
        What tells this request from another; the moment that it is made at does not.
        """
        if self._content is not None:
            return self._content
        if self._query is None:
            return self._serials

        return attrs.asdict(attrs.evolve(self._query, now=None))

    def detail(
        self, records: Sequence[CardRecord], before: Callable[[CardRecord], object], *, part: int
    ) -> dict[str, Any]:
        """
        Give what the audit trail says about the cards of one commit, and what was before of those that it changes.
        """
        told: dict[str, Any] = {"before": {record.serial: before(record) for record in records}}
        if part:
            told["part"] = part + 1
        if self._query is None:
            return {**told, "serials": self._serials[part * CHUNK : (part + 1) * CHUNK], "count": len(self._serials)}
        if not part:  # What matches later on is another number.
            told["matching"] = self.engine.store.count(self._query)

        return {**told, "query": asked(self._query)}

    def chunk(self, after: int | Position | None) -> tuple[list[CardRecord], int | Position | None]:
        """
        Give the next cards, and where to go on; None at the end.
        """
        if self._query is None:
            if after is None and self.is_long:
                self.engine.refuse_unknown(self.extension, self._serials)
            start = after if isinstance(after, int) else 0
            end = start + CHUNK
            page = self.engine.cards(self.extension, self._serials[start:end])
            following: int | Position | None = end if end < len(self._serials) else None
        else:
            position = after if isinstance(after, tuple) else None
            found = self.engine.store.cards(attrs.evolve(self._query, after=position))
            page = [self.engine.records.checked(record) for record in found]
            following = self._query.position(page[-1]) if len(page) == CHUNK else None

        return [record for record in page if self._concerns(record)], following

    def records(self) -> Iterable[CardRecord]:
        """
        Give all of them.
        """
        after: int | Position | None = None
        while True:
            records, after = self.chunk(after)
            yield from records
            if after is None:
                return

    def count(self) -> int:
        """
        Count them.
        """
        return sum(1 for _ in self.records())


def in_chunks(
    targets: Targets,
    verb: str,
    change: Change,
    *,
    operation: str | None,
    progress: Progress | None,
    dry_run: bool = False,
    terms: Mapping[str, Any] | None = None,
    before: Callable[[CardRecord], object],
) -> list[Any]:
    """
    Change cards, at most 1,000 in a commit, each commit exactly once: asked again, it goes on where it stopped.

    *terms* is what is asked for besides the cards: it tells one request from another, and the audit trail has it. Each
    commit that changes cards tells there what *before* tells of each of them.
    """
    engine = targets.engine
    after: int | Position | None = None
    answers: list[Any] = []
    done = 0
    while True:

        def decide(_: Reading, after: int | Position | None = after) -> Decision[Any]:
            records, following = targets.chunk(after)
            part = len(answers)
            changes, answer = change(records, part)
            if records or not part:
                told = {**targets.detail(records, before, part=part), **(terms or {})}
                changes = attrs.evolve(changes, audit=engine.audited(verb, extension=targets.extension, **told))
            memo = {"answer": answer, "after": _written(following), "count": len(records)}

            return Decision(changes, memo, memo)

        memo = engine.once(
            verb,
            operation,
            lambda: [targets.extension, targets.content, *([terms] if terms else [])],
            decide=decide,
            replay=lambda memo: memo,
            part=len(answers),
            dry_run=dry_run,
        )
        answers.append(memo["answer"])
        after = _read(memo["after"])
        done += memo["count"]
        if progress:
            progress(done, None if after is not None else done)
        if after is None:
            return answers


def _written(after: int | Position | None) -> object:
    if after is None or isinstance(after, int):
        return after
    moment, card = after

    return [moment, card.hex() if isinstance(card, bytes) else card]


def _read(after: int | list[Any] | None) -> int | Position | None:
    return (after[0], bytes.fromhex(after[1])) if isinstance(after, list) else after
