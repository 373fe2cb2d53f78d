"""
What a search means: queries for cards and for ledger entries, and the one definition of which records match them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, Final, Literal, Protocol, TypeAlias

import attrs

from voipcard.core.arguments import checked_integer, checked_text
from voipcard.core.cards import Kind
from voipcard.core.credit import UNLIMITED, Amount, Credit
from voipcard.core.moments import to_micros
from voipcard.errors import InvalidValueError

__all__ = ["CardQuery", "EntryQuery", "Position"]

CardOrder: TypeAlias = Literal["created", "serial", "credit"]
EntryOrder: TypeAlias = Literal["sequence", "time"]
Position: TypeAlias = tuple[int | str | bytes, ...]
"""Where a record stands in an order. The last part makes it unique."""

MAX_LIMIT: Final = 10_000


class SearchableCard(Protocol):
    """
    What a query looks at in a stored card: amounts in millionths, moments in microseconds.
    """

    @property
    def id(self) -> bytes: ...
    @property
    def serial(self) -> str: ...
    @property
    def extension(self) -> str: ...
    @property
    def batch(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def index(self) -> bytes: ...
    @property
    def enabled(self) -> bool: ...
    @property
    def credit(self) -> int: ...
    @property
    def order_number(self) -> str: ...
    @property
    def created_at(self) -> int: ...
    @property
    def first_used_at(self) -> int | None: ...
    @property
    def expires_at(self) -> int | None: ...
    @property
    def next_hold_expiry(self) -> int | None: ...


class SearchableEntry(Protocol):
    """
    What a query looks at in a stored ledger entry.
    """

    @property
    def card(self) -> bytes: ...
    @property
    def sequence(self) -> int: ...
    @property
    def extension(self) -> str: ...
    @property
    def batch(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def amount(self) -> int: ...
    @property
    def order_number(self) -> str: ...
    @property
    def operation(self) -> bytes | None: ...
    @property
    def created_at(self) -> int: ...
    @property
    def started_at(self) -> int | None: ...


def _moment(value: datetime | int | None) -> int | None:
    micros = to_micros(value) if isinstance(value, datetime) else value
    if micros is not None and not -(2**63) <= micros < 2**63:
        raise InvalidValueError("moment", "has to fit into 64 bits")

    return micros


def _kinds(value: Iterable[str] | None) -> frozenset[str] | None:
    if isinstance(value, str):
        raise InvalidValueError("kinds", "has to be a set of kinds, not one kind")

    return None if value is None else frozenset(value)


def _writable(_: object, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    if value is not None:
        checked_text(attribute.name, value)


def _credit(value: Amount | None) -> Credit | None:
    return None if value is None else Credit(value)


def _one_of(*words: str | None) -> Callable[[object, attrs.Attribute[Any], str | None], None]:
    def check(_: object, attribute: attrs.Attribute[Any], value: str | None) -> None:
        if value not in words:
            raise InvalidValueError(attribute.name, f"has to be one of {', '.join(filter(None, words))}")

    return check


def _within_limit(_: object, attribute: attrs.Attribute[int], value: int) -> None:
    checked_integer(attribute.name, value, at_least=1, at_most=MAX_LIMIT)


@attrs.frozen(kw_only=True)
class CardQuery:
    """
    Which cards, in which order, and which page of them. A condition that is None does not count.

    Attributes:
        extension: The number of the extension.
        batch: The batch the card was made in.
        serial: The card's serial.
        index: The keyed index of its code or CallerID.
        kind: `code` or `caller_id`.
        enabled: Whether it is enabled.
        credit_at_least: The smallest credit that matches; Unlimited is more than any.
        credit_below: The smallest credit that no longer matches.
        unlimited: Whether its credit is unlimited.
        order_number: The order of its initial credit, exactly.
        created_from: The first moment that matches; an aware datetime, or microseconds since 1970.
        created_before: The first moment that no longer matches.
        used: Whether a caller ever got in with it.
        expired: Whether it has expired at *now*.
        now: The moment that *expired* is about; the book's clock if it is not given to `search`.
        hold_expired_at: The moment at which one of its holds has run out, though nobody has freed it yet.
        order: `created`, `serial` or `credit`; equal ones by their id.
        descending: Whether the order is reversed.
        after: The position of the last card of the page before.
        limit: How many cards a page has at most, 1 to 10,000.

    Raises:
        InvalidValueError: If a value is out of its range or a datetime is not aware.

        AmountError: If a credit cannot be an amount.
    """

    extension: str | None = attrs.field(default=None, validator=_writable)
    batch: str | None = attrs.field(default=None, validator=_writable)
    serial: str | None = attrs.field(default=None, validator=_writable)
    index: bytes | None = None
    kind: Kind | None = attrs.field(default=None, validator=_one_of(None, "code", "caller_id"))
    enabled: bool | None = None
    credit_at_least: Credit | None = attrs.field(default=None, converter=_credit)
    credit_below: Credit | None = attrs.field(default=None, converter=_credit)
    unlimited: bool | None = None
    order_number: str | None = attrs.field(default=None, validator=_writable)
    created_from: int | None = attrs.field(default=None, converter=_moment)
    created_before: int | None = attrs.field(default=None, converter=_moment)
    used: bool | None = None
    expired: bool | None = None
    now: int | None = attrs.field(default=None, converter=_moment)
    hold_expired_at: int | None = attrs.field(default=None, converter=_moment)
    order: CardOrder = attrs.field(default="created", validator=_one_of("created", "serial", "credit"))
    descending: bool = False
    after: Position | None = None
    limit: int = attrs.field(default=1000, validator=_within_limit)

    def matches(self, card: SearchableCard) -> bool:
        """
        Tell whether *card* fulfills every condition; paging does not count.
        """
        is_expired = card.expires_at is not None and self.now is not None and card.expires_at <= self.now

        return (
            self.extension in (None, card.extension)
            and self.batch in (None, card.batch)
            and self.serial in (None, card.serial)
            and self.index in (None, card.index)
            and self.kind in (None, card.kind)
            and self.enabled in (None, card.enabled)
            and _within(card.credit, _micros(self.credit_at_least), _micros(self.credit_below))
            and self.unlimited in (None, card.credit == UNLIMITED.micros)
            and self.order_number in (None, card.order_number)
            and _within(card.created_at, self.created_from, self.created_before)
            and self.used in (None, card.first_used_at is not None)
            and self.expired in (None, is_expired)
            and (self.hold_expired_at is None or _within(card.next_hold_expiry, None, self.hold_expired_at + 1))
        )

    def position(self, card: SearchableCard) -> tuple[int | str, bytes]:
        """
        Tell where *card* stands in the order. Positions compare as the cards do, and no two cards share one.
        """
        values: dict[str, int | str] = {"created": card.created_at, "serial": card.serial, "credit": card.credit}

        return (values[self.order], card.id)


@attrs.frozen(kw_only=True)
class EntryQuery:
    """
    Which ledger entries, in which order, and which page of them. A condition that is None does not count.

    Attributes:
        card: The id of the card.
        extension: The number of the extension.
        batch: The batch of the card.
        kinds: The kinds of entry that match.
        order_number: The order that paid, exactly.
        operation: The operation that made the entry.
        amount_at_least: The smallest amount that matches.
        amount_below: The smallest amount that no longer matches.
        created_from: The first moment that matches; an aware datetime, or microseconds since 1970.
        created_before: The first moment that no longer matches.
        started_from: The first start of a call that matches; an entry without a call does not.
        started_before: The first start of a call that no longer matches; an entry without a call does not match.
        order:
            `sequence` for card by card, each in the order of its entries; `time` for the order in which they happened.
        descending: Whether the order is reversed.
        after: The position of the last entry of the page before.
        limit: How many entries a page has at most, 1 to 10,000.

    Raises:
        InvalidValueError: If a value is out of its range or a datetime is not aware.

        AmountError: If an amount cannot be one.
    """

    card: bytes | None = None
    extension: str | None = attrs.field(default=None, validator=_writable)
    batch: str | None = attrs.field(default=None, validator=_writable)
    kinds: frozenset[str] | None = attrs.field(default=None, converter=_kinds)
    order_number: str | None = attrs.field(default=None, validator=_writable)
    operation: bytes | None = None
    amount_at_least: Credit | None = attrs.field(default=None, converter=_credit)
    amount_below: Credit | None = attrs.field(default=None, converter=_credit)
    created_from: int | None = attrs.field(default=None, converter=_moment)
    created_before: int | None = attrs.field(default=None, converter=_moment)
    started_from: int | None = attrs.field(default=None, converter=_moment)
    started_before: int | None = attrs.field(default=None, converter=_moment)
    order: EntryOrder = attrs.field(default="sequence", validator=_one_of("sequence", "time"))
    descending: bool = False
    after: Position | None = None
    limit: int = attrs.field(default=1000, validator=_within_limit)

    def matches(self, entry: SearchableEntry) -> bool:
        """
        Tell whether *entry* fulfills every condition; paging does not count.
        """
        return (
            self.card in (None, entry.card)
            and self.extension in (None, entry.extension)
            and self.batch in (None, entry.batch)
            and (self.kinds is None or entry.kind in self.kinds)
            and self.order_number in (None, entry.order_number)
            and self.operation in (None, entry.operation)
            and _within(entry.amount, _micros(self.amount_at_least), _micros(self.amount_below))
            and _within(entry.created_at, self.created_from, self.created_before)
            and _within(entry.started_at, self.started_from, self.started_before)
        )

    def position(self, entry: SearchableEntry) -> Position:
        """
        Tell where *entry* stands in the order. Positions compare as the entries do, and no two entries share one.
        """
        if self.order == "sequence":
            return (entry.card, entry.sequence)

        return (entry.created_at, entry.card, entry.sequence)


def _within(value: int | None, at_least: int | None, below: int | None) -> bool:
    """
    Tell whether a value is between two bounds. What is not there is within no bound, but where there is none.
    """
    if value is None:
        return at_least is None and below is None

    return (at_least is None or at_least <= value) and (below is None or value < below)


def _micros(credit: Credit | None) -> int | None:
    return None if credit is None else credit.micros
