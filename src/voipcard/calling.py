"""
A call from its first ring to what it cost: rated, held for, kept alive, and charged.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

import attrs

from voipcard.access import Access, Announcement
from voipcard.core.cards import CardCode, serial_of, serial_or_nothing
from voipcard.core.cdrs import checked_call_id
from voipcard.core.credit import Credit
from voipcard.core.holds import Hold, KeptHold, unpacked
from voipcard.core.ledger import LedgerEntry
from voipcard.core.moments import to_micros
from voipcard.core.rating import MAX_SECONDS, Rate, RateDeck, Tariff, checked_seconds
from voipcard.core.settings import ExtensionSettings
from voipcard.deciding import Decision, Reading
from voipcard.decks import deck_at, deck_of_digest
from voipcard.desk import Desk, balance_of, freed
from voipcard.errors import (
    CallEndedError,
    InsufficientCreditError,
    InvalidCodeError,
    InvalidValueError,
    OperationConflictError,
    UnknownDestinationError,
    UnknownHoldError,
)
from voipcard.holding import admitted, found_by_key, lasting, place, replace, seen
from voipcard.names import BATCH, DECK, EXTENSION, KEYRING
from voipcard.records import Charge
from voipcard.registry import ExtensionFacts, caller_id_of, facts_of
from voipcard.stores.contract import CardRecord, EntryRecord
from voipcard.transact import Engine

__all__ = [
    "WARN_BEFORE",
    "Call",
    "begin",
    "call_key",
    "charge_for",
    "dialed_number",
    "is_settled_so",
    "rate_of",
    "running_call",
]

WARN_BEFORE: Final = timedelta(seconds=60)
"""How long before the end a caller is warned who is not said another time for."""

_DESTINATION: Final = re.compile("[0-9]{1,32}", re.ASCII)
_SECOND: Final = 1_000_000
_DECK: Final = ExtensionSettings().deck
_MARGIN: Final = 120
"""For how many seconds more than a call may take credit is held: it has to ring before, and to be settled after."""


@attrs.frozen
class Terms:
    """
    On what terms credit is held for a call.

    Attributes:
        reserve: For how many seconds ahead; None for as many as there is credit for.
        expires_in: For how many microseconds the hold lasts; None for as long as the call may take, and a little more.
        warn: How many seconds before the end the caller is to be warned.
    """

    reserve: int | None
    expires_in: int | None
    warn: int

    def amount(self, tariff: Tariff, available: Credit, settings: ExtensionSettings, *, elapsed: int = 0) -> int:
        """
        Give how much to hold for a call that has taken so many seconds, in millionths.
        """
        at_most = settings.max_call_seconds
        if self.reserve is not None:
            at_most = min(at_most, elapsed + self.reserve)

        return tariff.cost(tariff.max_duration(available, at_most=at_most)).micros

    def prolonged(self, kept: KeptHold, longest: int, now: int) -> KeptHold:
        """
        Give a hold that lasts long enough for a call of *longest* seconds: never shorter than it was told to last.
        """
        # A call that takes longer than there is credit for still is one, until its switch ends it.
        in_the_end = max(kept.begun_at + longest * _SECOND, now) + _MARGIN * _SECOND
        asked = in_the_end if self.expires_in is None else now + self.expires_in

        return kept._replace(expires_at=max(kept.expires_at, asked))


@attrs.frozen
class Line:
    """
    What a call needs to know of where it runs.

    Attributes:
        engine: The book.
        extension: The number of the extension.
        kept: The hold, as the card keeps it.
        deck: The name of the price list.
        terms: On what terms credit is held.
    """

    engine: Engine
    extension: str
    kept: KeptHold
    deck: str
    terms: Terms


@attrs.frozen
class Call:
    """
    A call that is running, and how long it may.

    Attributes:
        hold: The credit that is held for it.
        max_duration: How long it may take in all, in seconds, by the credit that is held now.
        warn_after: After how many seconds the caller is to be warned that it ends; None where it is too short for that.
        announcements:
            What to tell the caller before it begins: what is left (`balance`) where that may be heard, and how long it
            may take (`duration`); and when `warn_after` has passed, that it ends (`disconnect`).
        rate: What it costs.
        replayed: Whether it had been begun before, and goes on.
        line: Where it runs, for the library itself.
    """

    hold: Hold
    max_duration: int
    warn_after: int | None
    announcements: tuple[Announcement, ...]
    rate: Rate
    replayed: bool = attrs.field(default=False, eq=False)
    line: Line = attrs.field(kw_only=True, repr=False, eq=False)

    @property
    def serial(self) -> str:
        """
        The card that pays.
        """
        return self.hold.serial

    def keep_alive(self) -> Call:
        """
        Let the credit be held for longer, as the call goes on. Use the call that this gives from then on.

        What was put on the card meanwhile, or given back by other calls, lets the call take longer. A call whose hold
        has run out, be it because a clock ran ahead, is held for again with what is there; a clock that is set back
        makes nothing shorter. Nothing else is looked at: who was let in may go on where the card, its batch or its
        extension has been disabled.

        Raises:
            CallEndedError: If the call was settled or given up.

            TooManyCallsError: If the hold has run out, and the card has 2,000 others by now.

            UnknownCardError: If the card was removed.

            TamperedError: If the card was changed from outside.
        """
        line, serial = self.line, self.serial

        def decide(reading: Reading) -> Decision[Call]:
            if reading.operations:
                raise CallEndedError(serial)
            desk = Desk(line.engine, line.extension, reading.cards)
            running = desk.hold(serial, line.kept.id)
            before = running or line.kept._replace(amount=0, expires_at=0)
            settings = facts_of(line.engine, line.extension).settings
            available = Credit.from_micros(before.amount) + desk.balance(serial).available
            elapsed = -(-max(0, desk.now - before.begun_at) // _SECOND)
            amount = line.terms.amount(self.rate.tariff, available, settings, elapsed=elapsed)
            line_now = attrs.evolve(line, kept=before._replace(amount=max(amount, before.amount)))
            call = _call(line_now, serial, self.rate, settings, available, now=desk.now)
            after = call.line.kept
            if after == running:
                return Decision(None, call)
            if running is None:
                place(desk, serial, after, limit=None)
            else:
                replace(desk, serial, after)
            told = {"serial": serial, "hold": after.id, "amount": str(call.hold.amount)}

            return Decision(desk.changes("keep_alive", **told, expires_at=call.hold.expires_at.isoformat()), call)

        return line.engine.decider.run(decide, cards=[serial], operations=[bytes.fromhex(line.kept.id)])

    def end(self, seconds: int, *, started_at: datetime | None = None) -> LedgerEntry:
        """
        Charge the call and free what else was held for it, exactly once.

        What it cost is taken from what was held for it and, beyond that, from what nobody has reserved; what is not
        there is recorded as the shortfall. Credit never goes below zero. That the hold has run out, that the card has
        expired, or that it, its batch or its extension has been disabled meanwhile, changes nothing.

        Args:
            seconds: How long the call took, 0 to a year: 0 for one that nobody answered, which costs nothing.

            started_at:
                When it was answered; None for when it began. An aware datetime, which is kept as it is told: the price
                does not depend on it.

        Returns:
            The entry; `replayed` tells whether the call was settled before.

        Raises:
            InvalidValueError: If *seconds* or *started_at* cannot be. Nothing was written, and the call goes on.

            AmountError: If it costs more than an amount can be; likewise.

            OperationConflictError: If the call was settled before in another way, or given up: that stays.

            UnknownCardError: If the card was removed.

            TamperedError: If the card was changed from outside.
        """
        checked_seconds(seconds)
        line, serial, kept = self.line, self.serial, self.line.kept
        began = kept.begun_at if started_at is None else to_micros(started_at)
        cost, charge = charge_for(self.rate, seconds, began, rest=bytes.fromhex(kept.rest), deck=line.deck)

        def decide(reading: Reading) -> Decision[LedgerEntry]:
            desk = Desk(line.engine, line.extension, reading.cards)
            if done := desk.ended(serial, kept.id, reading):
                if not is_settled_so(done, serial, cost, charge):
                    raise OperationConflictError("end", serial)
                return Decision(None, desk.replay(done))
            entry = desk.settle(serial, kept.id, cost, charge)
            told = {"serial": serial, "hold": kept.id, "prefix": charge.prefix, "seconds": seconds}
            credit = {"amount": str(entry.amount), "shortfall": str(entry.shortfall), **desk.credits(serial)}

            return Decision(desk.changes("end_call", **told, **credit), entry)

        return line.engine.decider.run(decide, cards=[serial])


def begin(
    engine: Engine,
    extension: str,
    caller: Access | CardCode | str,
    destination: str,
    *,
    call_id: str,
    reserve: timedelta | None,
    expires_in: timedelta | None,
    warn_before: timedelta,
) -> Call:
    """
    Rate a call and hold credit for it. See `Extension.begin_call`.
    """
    serial = serial_of(caller.card if isinstance(caller, Access) else caller)
    id = call_key(engine, call_id)
    terms = _terms(reserve, expires_in, warn_before)

    def decide(reading: Reading) -> Decision[Call]:
        if reading.operations:
            raise CallEndedError(serial_or_nothing(serial))
        desk = Desk(engine, extension, reading.cards)
        record, running = desk.record(serial), desk.hold(serial, id.hex())
        if running is not None:
            facts = facts_of(engine, extension)
            if _number_of(engine, record, running) != dialed_number(facts, destination):
                raise OperationConflictError("begin_call", serial)
            return Decision(None, attrs.evolve(_resumed(engine, facts, record, running, terms), replayed=True))
        # With the price list that most extensions have: another one is read apart.
        found = found_by_key(engine, EXTENSION + extension, BATCH + record.batch, DECK + _DECK, KEYRING)
        facts = admitted(engine, extension, record, found, now=desk.now)
        settings, number = facts.settings, dialed_number(facts, destination)
        deck, digest = deck_at(engine, settings.deck, desk.now, found.get(DECK + settings.deck))
        rate = rate_of(deck, number)
        available = desk.balance(serial).available
        if available < settings.minimum_credit:
            raise InsufficientCreditError(serial, available=str(available), wanted=str(settings.minimum_credit))
        if (first := rate.tariff.cost(min(rate.tariff.grace + 1, MAX_SECONDS))) > available:
            raise InsufficientCreditError(serial, available=str(available), wanted=str(first))
        # Read, and not required: all calls of a book would wait for each other to commit.
        engine.keys_changed(found.get(KEYRING), engine.records.keyring)
        records = engine.records.newest()
        kept = KeptHold(
            id.hex(),
            terms.amount(rate.tariff, available, settings),
            desk.now,
            expires_at=0,
            prefix=rate.prefix,
            rest=records.sealed_rest(record.id, number.removeprefix(rate.prefix)).hex(),
            deck=digest,
        )
        call = _call(Line(engine, extension, kept, deck.name, terms), serial, rate, settings, available, now=desk.now)
        place(desk, serial, call.line.kept, limit=settings.concurrent_calls)
        told = {"serial": serial, "hold": kept.id, "prefix": rate.prefix, "amount": str(call.hold.amount)}

        return Decision(desk.changes("begin_call", **told, expires_at=call.hold.expires_at.isoformat()), call)

    return engine.decider.run(decide, cards=[serial], operations=[id])


def running_call(
    engine: Engine,
    extension: str,
    card: CardCode | str,
    *,
    call_id: str,
    reserve: timedelta | None,
    expires_in: timedelta | None,
    warn_before: timedelta,
) -> Call:
    """
    Give a call that is running. See `Extension.call`.
    """
    terms = _terms(reserve, expires_in, warn_before)
    record = freed(engine.card(extension, serial_of(card)), engine.now())
    id = call_key(engine, call_id).hex()
    kept = next((hold for hold in unpacked(record.holds) if hold.id == id), None)
    if kept is None:
        raise UnknownHoldError(record.serial)

    return _resumed(engine, facts_of(engine, extension), record, kept, terms)


# What the import of calls needs as well


def call_key(engine: Engine, call_id: str) -> bytes:
    """
    Give what a call is known by in the whole book: the id of its hold, and the operation that settles it.

    Raises:
        InvalidValueError: If *call_id* is no line of 1 to 255 characters.
    """
    return engine.records.operation("call", checked_call_id(call_id))


def dialed_number(facts: ExtensionFacts, destination: str) -> str:
    """
    Write a number that was called in international form: digits, the country code first.

    Raises:
        InvalidValueError: If it is no number of 1 to 32 digits.
    """
    try:
        number = caller_id_of(facts, destination)
    except InvalidCodeError:
        number = ""
    if not _DESTINATION.fullmatch(number):
        raise InvalidValueError("destination", "has to be a number of 1 to 32 digits")

    return number


def rate_of(deck: RateDeck, number: str) -> Rate:
    """
    Give the rate of a number.

    Raises:
        UnknownDestinationError: If the price list has none.
    """
    rate = deck.find(number)
    if rate is None:
        raise UnknownDestinationError(deck.name)

    return rate


def charge_for(rate: Rate, seconds: int, started_at: int, *, rest: bytes, deck: str) -> tuple[Credit, Charge]:
    """
    Give what a call costs, and what is recorded of it.
    """
    tariff = rate.tariff
    charged = tariff.charged_seconds(seconds)

    return tariff.cost(seconds), Charge(rate.prefix, rest, started_at, seconds, charged, tariff.price.micros, deck)


def is_settled_so(done: EntryRecord, serial: str, cost: Credit, charge: Charge) -> bool:
    """
    Tell whether a call was settled for the same card, destination, length and cost.
    """
    said = (done.kind, done.serial, done.prefix, done.seconds, (done.shortfall or 0) - done.amount)

    return said == ("charge", serial, charge.prefix, charge.seconds, cost.micros)


def _terms(reserve: timedelta | None, expires_in: timedelta | None, warn_before: timedelta) -> Terms:
    return Terms(
        None if reserve is None else -(-lasting("reserve", reserve) // _SECOND),
        None if expires_in is None else lasting("expires_in", expires_in),
        lasting("warn_before", warn_before) // _SECOND,
    )


def _number_of(engine: Engine, record: CardRecord, kept: KeptHold) -> str:
    return kept.prefix + engine.records.unsealed_rest(bytes.fromhex(kept.rest), record.id, record.serial)


def _resumed(engine: Engine, facts: ExtensionFacts, record: CardRecord, kept: KeptHold, terms: Terms) -> Call:
    if not kept.deck:  # A hold, but of no call.
        raise UnknownHoldError(record.serial)
    deck = deck_of_digest(engine, kept.deck)
    line = Line(engine, facts.number, kept, deck.name, terms)
    available = Credit.from_micros(kept.amount) + balance_of(record).available

    return _call(line, record.serial, rate_of(deck, kept.prefix), facts.settings, available)


def _call(
    line: Line, serial: str, rate: Rate, settings: ExtensionSettings, available: Credit, *, now: int | None = None
) -> Call:
    """
    Tell what a call may do by what is held for it; with *now* the hold is made to last as long from then on.
    """
    held = Credit.from_micros(line.kept.amount)
    longest = rate.tariff.max_duration(held, at_most=settings.max_call_seconds)
    if now is not None:
        line = attrs.evolve(line, kept=line.terms.prolonged(line.kept, longest, now))
    warn_after = longest - line.terms.warn if longest > line.terms.warn else None
    announcements = [Announcement("duration", seconds=longest)]
    if settings.balance_inquiry:
        announcements.insert(0, Announcement("balance", amount=available))
    if warn_after is not None:
        announcements.append(Announcement("disconnect", settings.disconnect_sound))

    return Call(seen(serial, line.kept), longest, warn_after, tuple(announcements), rate, line=line)
