"""
Cards as people see them: `CardCode` is safe to log and print, clear text lives in `NewCard` and `Handout` only.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final, Literal, NoReturn, TypeAlias

import attrs

from voipcard.core.arguments import checked_text
from voipcard.core.credit import Amount, Credit
from voipcard.core.moments import to_micros
from voipcard.errors import AmountError, InvalidCodeError, InvalidPinError

__all__ = ["CardCode", "Handout", "Kind", "NewCard", "RevealedCard", "canonical_caller_id", "canonical_code"]

Kind: TypeAlias = Literal["code", "caller_id"]
"""How a card is recognized: by a code that the caller dials, or by the number that the caller calls from."""

MAX_CODE_LENGTH: Final = 255
"""As many characters as VoipNow's SystemAPI takes (ExtensionData.xsd, `CardCodeInfo/code`)."""

_SEPARATORS: Final = str.maketrans("", "", " -.")
_CALLER_ID_SEPARATORS: Final = str.maketrans("", "", " -.()")
_PRINTABLE: Final = re.compile(r"[!-~]+", re.ASCII)
_DIGITS: Final = re.compile(r"[0-9]+", re.ASCII)
_BATCH: Final = re.compile(r"[A-Z][2-9A-Z]{3,4}", re.ASCII)
_SERIAL: Final = re.compile(r"[A-Z][2-9A-Z]{3,4}-[0-9]{6,12}", re.ASCII)
_PIN: Final = re.compile(r"[0-9]{4,12}", re.ASCII)
MASK: Final = "••••"
"""How a code is shown where it is not revealed."""

NOT_KEPT: Final = "not kept"
"""What stands in a list instead of a PIN that the book can recognize and not show."""


def canonical_code(text: str) -> str:
    """
    Write a dialed code the one way it is stored: without spaces, dashes and dots.

    Args:
        text: 1 to 255 printable ASCII characters, besides the separators. Upper and lower case are different.

    Raises:
        InvalidCodeError: If *text* cannot be a card code.

    Example:
        >>> canonical_code("7700 1834-2215.7")
        '7700183422157'
    """
    if not isinstance(text, str):
        raise InvalidCodeError("code", "not_text")
    code = text.translate(_SEPARATORS)
    if not code:
        raise InvalidCodeError("code", "empty")
    if is_caller_id(text):
        raise InvalidCodeError("code", "leading_plus")
    if not _PRINTABLE.fullmatch(code):
        raise InvalidCodeError("code", "not_ascii")
    if len(code) > MAX_CODE_LENGTH:
        raise InvalidCodeError("code", "too_long")

    return code


def is_caller_id(text: str) -> bool:
    """
    Tell whether a text is marked as a CallerID by a leading `+`.
    """
    return isinstance(text, str) and "+" in text and text.translate(_CALLER_ID_SEPARATORS).startswith("+")


def canonical_caller_id(text: str) -> str:
    """
    Write a caller's number the one way it is stored: as digits, without `+`, spaces, dashes, dots and parentheses.

    Args:
        text: 1 to 255 digits, besides the separators.

    Raises:
        InvalidCodeError: If *text* cannot be a number.

    Example:
        >>> canonical_caller_id("+40 (722) 12.34.56")
        '40722123456'
    """
    if not isinstance(text, str):
        raise InvalidCodeError("caller_id", "not_text")
    number = text.translate(_CALLER_ID_SEPARATORS).removeprefix("+")
    if not number:
        raise InvalidCodeError("caller_id", "empty")
    if not _DIGITS.fullmatch(number):
        raise InvalidCodeError("caller_id", "not_digits")
    if len(number) > MAX_CODE_LENGTH:
        raise InvalidCodeError("caller_id", "too_long")

    return number


def part_of_code(text: str) -> str:
    """
    Write a part of a code or CallerID as it stands in the canonical form of the whole: without separators and `+`.
    """
    return text.translate(_CALLER_ID_SEPARATORS if is_caller_id(text) else _SEPARATORS).removeprefix("+")


def serial_of(card: CardCode | str) -> str:
    """
    Give the serial of a card that is named by itself or by its serial.
    """
    return card.serial if isinstance(card, CardCode) else card


def serial_or_nothing(text: object) -> str:
    """
    Give back what looks like a serial, and nothing for anything else: it may be a code that was given by mistake.
    """
    return text if isinstance(text, str) and _SERIAL.fullmatch(text) else ""


def batch_or_nothing(text: object) -> str:
    """
    Give back what looks like the id of a batch, for the same reason.
    """
    return text if isinstance(text, str) and _BATCH.fullmatch(text) else ""


def canonical_pin(text: str) -> str:
    """
    Write a PIN the one way it is stored: 4 to 12 digits, or nothing where no PIN is asked for.

    Raises:
        InvalidPinError: If *text* cannot be a PIN.
    """
    if not isinstance(text, str):
        raise InvalidPinError("pin", "not_text")
    pin = text.translate(_SEPARATORS)
    if pin and not _DIGITS.fullmatch(pin):
        raise InvalidPinError("pin", "not_digits")
    if pin and not _PIN.fullmatch(pin):
        raise InvalidPinError("pin", "wrong_length")

    return pin


class Secret:
    """
    Keeps clear text out of pickles: they end up in caches, queues and logs.
    """

    __slots__ = ()

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        message = f"a {type(self).__name__} holds clear text and cannot be pickled or copied into one"
        raise TypeError(message)


def _masked(text: str) -> str:
    return repr(MASK) if text else "''"


def _order_number(text: str) -> str:
    return checked_text("order_number", text)


def _aware(_: object, __: attrs.Attribute[datetime | None], moment: datetime | None) -> None:
    if moment is not None:
        to_micros(moment)


def initial_credit(value: Amount) -> Credit:
    """
    Accept what a card begins with.

    Raises:
        AmountError: If it is negative, or cannot be an amount.
    """
    credit = Credit(value)
    if credit.micros < 0:
        raise AmountError("negative")

    return credit


@attrs.frozen
class NewCard(Secret):
    """
    A card code of one's own that is to be added.

    Attributes:
        code:
            What the caller dials, or the number that the caller calls from. 1 to 255 printable ASCII characters;
            spaces, dashes and dots are dropped. A leading `+` marks a CallerID.
        pin: 4 to 12 digits, or empty if no PIN is asked for. Leading zeros count.
        credit: What is on the card at first: zero or more, or Unlimited.
        order_number: The order that pays for it, at most 255 characters.
        caller_id: Whether *code* is a CallerID although it has no leading `+`.
        enabled: Whether it can be used at once, if the cards that it is added with can.
        expires_at: From when on it cannot be used; an aware datetime, or None for what all of them have.
        international: Whether a CallerID has its country code although it has no leading `+`.

    Raises:
        InvalidCodeError: If *code* cannot be a card code or CallerID.

        InvalidPinError: If *pin* cannot be a PIN.

        AmountError: If *credit* is negative or cannot be an amount.

        InvalidValueError: If *order_number* is too long or has control characters, or *expires_at* is not aware.

    Example:
        >>> card = NewCard("+40 722 123 456", pin="0042", credit="10.00")
        >>> card.code, card.kind
        ('40722123456', 'caller_id')
    """

    code: str = attrs.field(repr=_masked)
    pin: str = attrs.field(default="", converter=canonical_pin, repr=_masked)
    credit: Credit = attrs.field(default=Credit(0), converter=initial_credit)
    order_number: str = attrs.field(default="", converter=_order_number)
    caller_id: bool = False
    enabled: bool = True
    expires_at: datetime | None = attrs.field(default=None, validator=_aware)
    # Two cards that are stored alike are equal.
    international: bool = attrs.field(default=False, eq=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "international", self.international or is_caller_id(self.code))
        caller_id = self.caller_id or is_caller_id(self.code)
        object.__setattr__(self, "caller_id", caller_id)
        object.__setattr__(self, "code", canonical_caller_id(self.code) if caller_id else canonical_code(self.code))

    @property
    def kind(self) -> Kind:
        """
        How the card is recognized.
        """
        return "caller_id" if self.caller_id else "code"


@attrs.frozen
class CardCode:
    """
    A card as it is stored, without its code and PIN: safe to log, print and put into a data frame.

    Attributes:
        serial: The public name of the card, such as `K7QX-000042`; unique in the book, never given twice.
        extension: The number of the Calling Card extension that the card belongs to.
        batch: The batch that the card was made in: the first part of the serial.
        kind: `code` if the caller dials a code, `caller_id` if the caller's number is recognized.
        has_pin: Whether a PIN is asked for.
        enabled: Whether the card may be used. Enabled cards count against the license.
        credit: What is left, before holds.
        total_credit: Everything that was put on the card, less what was taken back by hand.
        held: What running calls have reserved.
        recharge_count: How often the card was recharged.
        created_at: When the card was made, in UTC.
        first_used_at: When a caller first got in with it, in UTC; None if nobody ever did.
        expires_at: From when on it cannot be used, in UTC; None if it does not expire.
        order_number: The order of the initial credit.
        labels: Words that people attached to the card.
        id: The card's 16 bytes in the store.
        version: How often the stored card was written.
    """

    serial: str
    extension: str
    batch: str
    kind: Kind
    has_pin: bool
    enabled: bool
    credit: Credit
    total_credit: Credit
    held: Credit
    recharge_count: int
    created_at: datetime
    first_used_at: datetime | None
    expires_at: datetime | None
    order_number: str
    labels: tuple[str, ...]
    id: bytes = attrs.field(repr=False)
    version: int = attrs.field(repr=False)

    @property
    def available(self) -> Credit:
        """
        What can be spent now: the credit that no running call has reserved, never below zero.
        """
        # Most cards have nothing held, and no credit is below zero.
        return max(Credit(0), self.credit - self.held) if self.held.micros else self.credit

    @property
    def code(self) -> str:
        """
        The code as lists show it: fully masked. `Extension.reveal` gives the clear text, and is audited.
        """
        return MASK


@attrs.frozen
class RevealedCard(Secret):
    """
    A card as it is stored, with its code and PIN in clear text: a row of a list that somebody asked to see revealed.

    Its `repr` masks both, and it cannot be pickled.

    Attributes:
        card: The rest.
        code: The code, or the CallerID as digits.
        pin: The PIN; empty if none is asked for, or if the book does not keep it.
    """

    card: CardCode
    code: str = attrs.field(repr=_masked)
    pin: str = attrs.field(repr=_masked)

    @property
    def has_pin(self) -> bool:
        """
        Whether a PIN is asked for.
        """
        return self.card.has_pin


@attrs.frozen
class Handout(Secret):
    """
    What the card's owner is given: the code and the PIN in clear text.

    Its `repr` masks both, and it cannot be pickled.

    Attributes:
        serial: The public name of the card.
        extension: The number of the Calling Card extension.
        kind: `code` or `caller_id`.
        code: What the caller dials, or the number that the caller calls from, as digits.
        pin: The PIN; empty if none is asked for, or if the book does not keep it.
        credit: The credit when the hand-out was made.
        order_number: The order of the initial credit.
        has_pin: Whether a PIN is asked for. If so and *pin* is empty, it was told once and is not kept.
    """

    serial: str
    extension: str
    kind: Kind
    code: str = attrs.field(repr=_masked)
    pin: str = attrs.field(repr=_masked)
    credit: Credit
    order_number: str
    has_pin: bool = attrs.field(default=attrs.Factory(lambda handout: bool(handout.pin), takes_self=True))
