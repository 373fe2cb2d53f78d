"""
What happens to credit, and the history of it: pure rules over balances, and the entry that records each change.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Literal, Protocol, TypeAlias

import attrs

from voipcard.core.credit import ZERO, Credit
from voipcard.errors import AmountError, InsufficientCreditError, UnlimitedCreditError

__all__ = [
    "Balance",
    "CallCharge",
    "EntryKind",
    "LedgerEntry",
    "charged",
    "fold",
    "opened",
    "recharged",
    "reserved",
    "transferred",
]

EntryKind: TypeAlias = Literal["initial", "recharge", "transfer", "charge", "release"]


@attrs.frozen
class CallCharge:
    """
    What a charge was for.

    Attributes:
        prefix: The rated prefix of the number that was called; empty if it was no call, or cost nothing by any list.
        started_at: When the call, or the hold, began, in UTC.
        seconds: How long the call took; None if it was not told.
        charged_seconds: How many of them were charged; None if it was not told.
        price: What its tariff asks for an interval; None if it was not rated.
        deck: The name of the price list; empty if it was not rated.
    """

    prefix: str
    started_at: datetime
    seconds: int | None = None
    charged_seconds: int | None = None
    price: Credit | None = None
    deck: str = ""


@attrs.frozen
class LedgerEntry:
    """
    One change of one card's credit, as it was recorded. Entries are never changed or removed.

    VoipNow's Recharge History shows `order_number`, `amount` (Credit Added), `credit_left` and `created_at` (Date
    Added).

    Attributes:
        serial: The card.
        extension: Its extension.
        batch: Its batch.
        sequence: The number of the entry among those of its card, from 1.
        kind: `initial`, `recharge` or `transfer`; `charge` for what a call took, `release` for a hold given back.
        amount: What was added; negative if it was taken.
        credit_left: The card's credit afterwards.
        held_left: What running calls had reserved afterwards.
        order_number: The order that paid for it; empty if there was none.
        created_at: When it happened, in UTC.
        actor: Who did it; empty if nobody said.
        call: What a charge was for; None for anything else.
        shortfall: What a charge was too much for the card, and was not taken.
        replayed: Whether the operation had been done before and this is its first result again.
    """

    serial: str
    extension: str
    batch: str
    sequence: int
    kind: EntryKind
    amount: Credit
    credit_left: Credit
    held_left: Credit
    order_number: str
    created_at: datetime
    actor: str
    call: CallCharge | None = None
    shortfall: Credit = ZERO
    replayed: bool = attrs.field(default=False, eq=False)


@attrs.frozen
class Balance:
    """
    All that the rules need to know about a card.

    Attributes:
        credit: What is left, before holds.
        total_credit: Everything that was put on the card, less what was taken back by hand.
        held: What running calls have reserved.
        recharge_count: How often the card was recharged.
    """

    credit: Credit
    total_credit: Credit
    held: Credit = ZERO
    recharge_count: int = 0

    @property
    def available(self) -> Credit:
        """
        What can be spent now, never below zero.
        """
        return max(ZERO, self.credit - self.held)


def opened(credit: Credit) -> Balance:
    """
    Begin with the initial credit, zero or more or Unlimited.
    """
    return Balance(credit=credit, total_credit=credit)


def recharged(balance: Balance, amount: Credit, *, serial: str) -> Balance:
    """
    Change credit by hand: a positive amount adds, a negative one takes, `UNLIMITED` makes the card unlimited.

    Unlimited credit stays unlimited when something is added. When something is taken from it, however little, it
    becomes zero: that is how VoipNow turns an unlimited card into a limited one.

    Raises:
        AmountError: If *amount* is zero, or the new credit would be too large.

        InsufficientCreditError: If more would be taken than is available.

    Source: VoipNow user guide, "Manage Card Codes Credit".
    """
    if not amount:
        raise AmountError("zero")

    return _changed(balance, amount, serial=serial, recharges=1)


def transferred(
    source: Balance, target: Balance, amount: Credit, *, serials: tuple[str, str]
) -> tuple[Balance, Balance]:
    """
    Move credit from one card to another.

    Raises:
        AmountError: If *amount* is not greater than zero.

        UnlimitedCreditError: If one of the cards, or the amount, is unlimited.

        InsufficientCreditError: If *amount* is more than the source has available.
    """
    if amount <= ZERO:
        raise AmountError("not_positive")
    for balance, serial in ((source, serials[0]), (target, serials[1])):
        if balance.credit.is_unlimited or amount.is_unlimited:
            raise UnlimitedCreditError(serial)

    return _changed(source, -amount, serial=serials[0]), _changed(target, amount, serial=serials[1])


def reserved(balance: Balance, amount: Credit, *, serial: str) -> Balance:
    """
    Reserve credit.

    Raises:
        InsufficientCreditError: If it is more than is available.

        AmountError: If more than an amount can be would be reserved.
    """
    if amount > balance.available:
        raise InsufficientCreditError(serial, available=str(balance.available), wanted=str(amount))

    return Balance(balance.credit, balance.total_credit, balance.held + amount, balance.recharge_count)


def charged(balance: Balance, hold: Credit, cost: Credit) -> tuple[Balance, Credit]:
    """
    Take what something cost out of its hold and, beyond that, out of what nobody has reserved.

    Nothing that others have reserved is touched, and credit never goes below zero. Unlimited credit stays unlimited.

    Args:
        balance: The balance.

        hold: What is reserved for it; zero if that has run out.

        cost: What it cost, zero or more.

    Returns:
        The new balance, in which nothing is reserved for it any more, and what could not be taken.
    """
    held = balance.held - hold
    taken = min(cost, max(ZERO, balance.credit - held))
    credit = balance.credit if balance.credit.is_unlimited else balance.credit - taken

    return Balance(credit, balance.total_credit, held, balance.recharge_count), cost - taken


class RecordedChange(Protocol):
    """
    What the balance depends on in a stored entry; amounts in millionths.
    """

    @property
    def kind(self) -> str: ...
    @property
    def amount(self) -> int: ...


def fold(entries: Iterable[RecordedChange]) -> Balance:
    """
    Derive the balance again from all the entries of a card, in their order.
    """
    balance = opened(ZERO)
    for entry in entries:
        amount = Credit.from_micros(entry.amount)
        if entry.kind == "initial":
            balance = opened(amount)
        elif entry.kind == "charge":
            balance, _ = charged(balance, ZERO, -amount)
        elif entry.kind != "release":
            balance = _plus(balance, amount, recharges=int(entry.kind == "recharge"))

    return balance


def _changed(balance: Balance, amount: Credit, *, serial: str, recharges: int = 0) -> Balance:
    if not balance.credit.is_unlimited and amount < ZERO and -amount > balance.available:
        raise InsufficientCreditError(serial, available=str(balance.available), wanted=str(-amount))

    return _plus(balance, amount, recharges=recharges)


def _plus(balance: Balance, amount: Credit, *, recharges: int) -> Balance:
    if balance.credit.is_unlimited and amount < ZERO:
        credit = total_credit = ZERO
    else:
        credit, total_credit = balance.credit + amount, balance.total_credit + amount

    return Balance(credit, total_credit, balance.held, balance.recharge_count + recharges)
