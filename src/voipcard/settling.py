"""
Settling calls by what their switch tells afterwards, each once, whatever became of the switch meanwhile.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence, Sized
from datetime import timedelta
from typing import Final

import attrs

from voipcard.calling import call_key, charge_for, dialed_number, rate_of
from voipcard.core.arguments import Progress
from voipcard.core.cards import serial_or_nothing
from voipcard.core.cdrs import CallDifference, CallFacts, CallRecord, RejectedCall, Settlement
from voipcard.core.credit import Credit
from voipcard.core.moments import to_micros
from voipcard.core.query import EntryQuery
from voipcard.core.rating import RateDeck
from voipcard.deciding import CHUNK, Decision, Reading
from voipcard.decks import deck_at, deck_of_digest
from voipcard.desk import Desk
from voipcard.errors import (
    AmountError,
    InvalidValueError,
    TamperedError,
    UnknownCardError,
    UnknownDeckError,
    UnknownDestinationError,
    VoipcardError,
)
from voipcard.names import DECK
from voipcard.registry import facts_of
from voipcard.stores.contract import Changes, EntryRecord
from voipcard.transact import Engine

__all__ = ["settle"]

_SKEW: Final = timedelta(days=1) // timedelta(microseconds=1)
"""How far in the future a call may have begun: the clocks of a switch and of the book differ, but not by days."""

_ATTEMPTS: Final = 3
"""How often calls are tried to be settled together: who changes one of their cards in a moment is faster each time."""

_REASONS: Final[dict[type[VoipcardError], tuple[str, str]]] = {
    UnknownCardError: ("serial", "unknown_card"),
    TamperedError: ("serial", "tampered"),
    UnknownDestinationError: ("destination", "unknown_destination"),
    UnknownDeckError: ("started_at", "unknown_deck"),
    AmountError: ("seconds", "too_expensive"),
}
"""What is wrong with a call, and with which of its fields, where this is raised for it."""


def settle(
    engine: Engine, extension: str, calls: Iterable[CallRecord | RejectedCall], *, progress: Progress | None
) -> Settlement:
    """
    Settle calls, at most 1,000 in a commit. See `Extension.settle_calls`.
    """
    total = len(calls) if isinstance(calls, Sized) else None
    settled = replayed = done = 0
    differing: list[CallDifference] = []
    rejected: list[RejectedCall] = []
    part = 0
    for chunk in _chunks(calls):
        for till in _settled(engine, extension, chunk, part):
            part += bool(till.desk.posted)
            settled += len(till.desk.posted)
            replayed += till.replayed
            differing += till.differing
            rejected += till.rejected
        done += len(chunk)
        if progress:
            progress(done, total)

    return Settlement(settled, replayed, tuple(differing), tuple(rejected))


def _chunks(calls: Iterable[CallRecord | RejectedCall]) -> Iterator[Sequence[CallRecord | RejectedCall]]:
    if not isinstance(calls, Iterable):
        raise InvalidValueError("records", "have to be many CallRecord")
    numbered = (_numbered(call, number) for number, call in enumerate(calls, 1))
    while chunk := list(itertools.islice(numbered, CHUNK)):
        yield chunk


def _numbered(call: CallRecord | RejectedCall, number: int) -> CallRecord | RejectedCall:
    if isinstance(call, CallRecord):
        return call if call.row else attrs.evolve(call, row=number)
    if not isinstance(call, RejectedCall):
        raise InvalidValueError("records", "have to be CallRecord")

    return call


def _settled(engine: Engine, extension: str, calls: Sequence[CallRecord | RejectedCall], part: int) -> Iterator[_Till]:
    """
    Settle calls in one commit; in smaller ones where others change their cards all the time.
    """
    told = [call for call in calls if isinstance(call, CallRecord)]
    keys = [call_key(engine, call.call_id) for call in told]
    attempts = itertools.count(1)

    def decide(reading: Reading) -> Decision[_Till | None]:
        if next(attempts) > _ATTEMPTS and len(calls) > 1:
            return Decision(None, None)
        till = _Till(engine, extension, reading)
        remaining = iter(keys)
        for call in calls:
            if isinstance(call, CallRecord):
                till.take(call, next(remaining))
            else:
                till.rejected.append(call)

        return Decision(till.changes(part) if till.desk.posted else None, till)

    cards = sorted({call.serial for call in told})
    till = engine.decider.run(decide, cards=cards, operations=keys) if told else decide(Reading()).answer
    if till is not None:
        yield till
        return
    middle = len(calls) // 2
    for half in (calls[:middle], calls[middle:]):
        for till in _settled(engine, extension, half, part):
            part += bool(till.desk.posted)
            yield till


class _Till:
    """
    Where the calls of one commit are settled, one after another.

    Args:
        engine: The book.

        extension: The extension of the cards.

        reading: What was read of the cards, and which of the calls have been settled before.

    Attributes:
        desk: The cards, with what is charged now.
        replayed: How many calls have been settled before in the same way.
        differing: Those that have been settled before in another way.
        rejected: Those that cannot be settled.
    """

    def __init__(self, engine: Engine, extension: str, reading: Reading) -> None:
        self._engine: Final = engine
        self._extension: Final = extension
        self._operations: Final = reading.operations
        self._records: Final = engine.writing(reading)
        self._facts: Final = facts_of(engine, extension)
        self._versions: Final = engine.store.document(DECK + self._facts.settings.deck)
        self.desk: Final = Desk(engine, extension, reading.cards)
        self.replayed: int = 0
        self.differing: Final[list[CallDifference]] = []
        self.rejected: Final[list[RejectedCall]] = []

    def take(self, call: CallRecord, key: bytes) -> None:
        """
        Settle one more call, or tell what is to be told of it.
        """
        try:
            done = self._done(call, key)
            if done is None:
                self._charge(call, key)
            else:
                self._compare(call, done)
        except tuple(_REASONS) as error:
            if isinstance(error, TamperedError) and not serial_or_nothing(error.subject):
                raise  # It concerns more than one card.
            self._reject(call, *_REASONS[type(error)])

    def changes(self, part: int) -> Changes:
        """
        Give what has to be committed, with its audit entry.
        """
        posted = self.desk.posted
        told: dict[str, object] = {
            "serials": [entry.serial for entry in posted],
            "amounts": [str(Credit.from_micros(entry.amount)) for entry in posted],
            "count": len(posted),
        }
        if part:
            told["part"] = part + 1

        return attrs.evolve(self.desk.changes("settle_calls", **told), require=[self._records.requirement])

    def _reject(self, call: CallRecord, column: str, reason: str) -> None:
        self.rejected.append(call.rejected(column, reason))

    def _done(self, call: CallRecord, key: bytes) -> EntryRecord | None:
        """
        Give the entry that has settled a call before. Its card may have been removed since.

        Raises:
            TamperedError: If it is not there.
        """
        if key in self.desk.keys:
            return self.desk.keys[key]
        if key not in self._operations:
            return None
        done = self._engine.store.entries(EntryQuery(operation=key))
        if not done:
            raise TamperedError(call.serial, "history")

        return done[0]

    def _charge(self, call: CallRecord, key: bytes) -> None:
        record, number = self.desk.record(call.serial), dialed_number(self._facts, call.destination)
        began = to_micros(call.started_at)
        if began > self.desk.now + _SKEW:
            self._reject(call, "started_at", "in_future")
            return
        hold = self.desk.hold(call.serial, key.hex())
        # What was agreed on when it began holds to the end.
        deck = deck_of_digest(self._engine, hold.deck) if hold is not None and hold.deck else self._deck_at(began)
        rate = rate_of(deck, number)
        rest = self._records.sealed_rest(record.id, number.removeprefix(rate.prefix))
        cost, charge = charge_for(rate, call.seconds, began, rest=rest, deck=deck.name)
        self.desk.settle(call.serial, key.hex(), cost, charge)

    def _compare(self, call: CallRecord, done: EntryRecord) -> None:
        if done.extension != self._extension:
            self._reject(call, "call_id", "settled_elsewhere")
            return
        number = dialed_number(self._facts, call.destination)
        recorded = _facts_of(done)
        # Not what it costs: that a price list came later makes no call another one.
        is_other = {
            "serial": done.serial != call.serial,
            "destination": bool(done.prefix) and done.prefix + self._engine.records.rest(done) != number,
            "seconds": recorded.seconds != call.seconds,
        }
        fields = tuple(field for field, differs in is_other.items() if differs)
        if fields:
            told = self._told(call, number)
            self.differing.append(CallDifference(call.row, call.sheet, call.call_id, fields, recorded, told))
        else:
            self.replayed += 1

    def _told(self, call: CallRecord, number: str) -> CallFacts:
        """
        Give what a call would be charged by now.
        """
        try:
            rate = rate_of(self._deck_at(to_micros(call.started_at)), number)
            return CallFacts(call.serial, rate.prefix, call.seconds, rate.tariff.cost(call.seconds))
        except (UnknownDeckError, UnknownDestinationError, AmountError):
            return CallFacts(call.serial, "", call.seconds, None)

    def _deck_at(self, moment: int) -> RateDeck:
        name = self._facts.settings.deck
        if self._versions is None:
            raise UnknownDeckError(name)

        return deck_at(self._engine, name, moment, self._versions)[0]


def _facts_of(done: EntryRecord) -> CallFacts:
    """
    Give what a call was settled by.
    """
    seconds = 0 if done.kind == "release" else done.seconds

    return CallFacts(done.serial, done.prefix, seconds, Credit.from_micros((done.shortfall or 0) - done.amount))
