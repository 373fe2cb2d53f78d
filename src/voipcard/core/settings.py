"""
What is set for a Calling Card extension: the fields of VoipNow's page of that name, and what cards begin with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias, TypedDict, get_args

import attrs

from voipcard.core.arguments import checked_integer, checked_text
from voipcard.core.credit import Amount, Credit, checked_price
from voipcard.core.expiry import Expiry
from voipcard.core.rating import MAX_SECONDS, checked_deck_name
from voipcard.errors import InvalidValueError

__all__ = ["CallerIDSource", "ExtensionSettings", "SettingsChanges"]

CallerIDSource: TypeAlias = Literal["server", "equipment", "extension"]
"""Who sets what the called party sees: the server, the caller's equipment, or the extension."""

MAX_SECONDS_TO_DIAL: Final = 300
MAX_CONCURRENT_CALLS: Final = 1000

_REGION: Final = re.compile("[A-Z]{2}|", re.ASCII)
_NUMBER: Final = re.compile("[+]?[0-9]{1,32}|", re.ASCII)


def _minimum(value: Amount) -> Credit:
    return checked_price("minimum_credit", value)


def _yes_or_no(_: object, attribute: attrs.Attribute[bool], value: bool) -> None:  # noqa: FBT001  (as attrs calls it)
    if not isinstance(value, bool):
        raise InvalidValueError(attribute.name, "has to be True or False")


def _line(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    checked_text(attribute.name, value)


def _source(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    if value not in get_args(CallerIDSource):
        raise InvalidValueError(attribute.name, f"has to be one of {', '.join(get_args(CallerIDSource))}")


def _region(_: object, __: object, value: str) -> None:
    if not isinstance(value, str) or not _REGION.fullmatch(value):
        raise InvalidValueError("region", "has to be two capital letters, such as RO, or empty")


def _number(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        raise InvalidValueError(attribute.name, "has to be 1 to 32 digits, with or without a leading +, or empty")


def _count(at_least: int, **upper: int) -> Any:  # noqa: ANN401  (attrs takes what it returns)
    def check(_: object, attribute: attrs.Attribute[int | None], value: int | None) -> None:
        if value is not None:
            checked_integer(attribute.name, value, at_least=at_least, **upper)

    return check


def _seconds(at_most: int) -> Any:  # noqa: ANN401  (attrs takes what it returns)
    def check(_: object, attribute: attrs.Attribute[int], value: int) -> None:
        checked_integer(attribute.name, value, at_least=1, at_most=at_most)

    return check


def _deck(_: object, attribute: attrs.Attribute[str], value: str) -> None:
    checked_deck_name(attribute.name, value)


def _expiry(_: object, __: object, value: Expiry | None) -> None:
    if value is not None and not isinstance(value, Expiry):
        raise InvalidValueError("expiry", "has to be an Expiry, such as Expiry(days_after_creation=365), or None")


@attrs.frozen(kw_only=True)
class ExtensionSettings:
    """
    What is set for a Calling Card extension, kept in the book and handed out to who runs the calls.

    The library itself keeps to `minimum_credit`, `pin_required`, `balance_inquiry`, `concurrent_calls`, `expiry`,
    `max_active_codes`, `region`, `deck` and `max_call_seconds`. Sounds, the time to dial and what the called party sees
    are for the switch. Nothing here is a secret.

    Attributes:
        minimum_credit: A caller whose card has less than this cannot call: zero or more, not Unlimited.
        pin_required: Whether a card without a PIN lets nobody in.
        balance_inquiry: Whether a caller may ask what is left on the card.
        seconds_to_dial:
            How long a caller has to dial the number to call, in seconds, 1 to 300. VoipNow publishes neither a default
            nor a range for it.
        no_credit_sound: The sound to play where there is too little credit to call; empty for the switch's own.
        disconnect_sound: The sound to play before a call is ended for lack of credit; empty for the switch's own.
        caller_name:
            Who sets the name that the called party sees: `server`, `equipment` (the caller's own) or `extension`.
        caller_name_text: That name where the extension sets it; empty for its contact's name. At most 255 characters.
        caller_number: Who sets the number that the called party sees, in the same way.
        caller_number_text:
            That number where the extension sets it, 1 to 32 digits with or without a leading `+`; empty for its public
            number. It is stored in clear text, as everybody who is called sees it.
        concurrent_calls: How many calls a card may have at a time, 1 to 1,000; None for any number.
        expiry: When cards expire that are made without saying it; None for never.
        max_active_codes:
            How many codes of the extension may be active, zero or more, besides what the license allows for the whole
            book; None for what that allows.
        region:
            The ISO 3166 code of the country in whose way callers' numbers are written here, such as `RO`; empty to take
            them as they are. Needs the extra `phone`. See `Extension.configure`.
        deck:
            By which price list its calls are charged: 1 to 64 letters, digits, dots, dashes and underscores. It need
            not be there yet. See `CardBook.install_deck`.
        max_call_seconds:
            The longest that a call may take, in seconds, whatever credit there is: 1 to 31,622,400, which is 366 days.

    Raises:
        InvalidValueError: If a value is out of its range.

        AmountError: If *minimum_credit* is negative or cannot be an amount.

    Example:
        >>> ExtensionSettings(minimum_credit="0.50").seconds_to_dial
        30

    Source: VoipNow user guide, "Setting the Calling Card Extension".
    """

    minimum_credit: Credit = attrs.field(default=Credit(0), converter=_minimum)
    pin_required: bool = attrs.field(default=False, validator=_yes_or_no)
    balance_inquiry: bool = attrs.field(default=True, validator=_yes_or_no)
    seconds_to_dial: int = attrs.field(default=30, validator=_seconds(MAX_SECONDS_TO_DIAL))
    no_credit_sound: str = attrs.field(default="", validator=_line)
    disconnect_sound: str = attrs.field(default="", validator=_line)
    caller_name: CallerIDSource = attrs.field(default="server", validator=_source)
    caller_name_text: str = attrs.field(default="", validator=_line)
    caller_number: CallerIDSource = attrs.field(default="server", validator=_source)
    caller_number_text: str = attrs.field(default="", validator=_number)
    concurrent_calls: int | None = attrs.field(default=1, validator=_count(1, at_most=MAX_CONCURRENT_CALLS))
    expiry: Expiry | None = attrs.field(default=None, validator=_expiry)
    max_active_codes: int | None = attrs.field(default=None, validator=_count(0))
    region: str = attrs.field(default="", validator=_region)
    deck: str = attrs.field(default="default", validator=_deck)
    max_call_seconds: int = attrs.field(default=14_400, validator=_seconds(MAX_SECONDS))

    @classmethod
    def of_kept(cls, kept: Mapping[str, Any]) -> ExtensionSettings:
        """
        Give what `kept` was made from. What was not there to be set yet is as it is at first.
        """
        expiry = kept.get("expiry")

        return cls(**{**kept, "expiry": None if expiry is None else Expiry.of_kept(expiry)})

    def kept(self) -> dict[str, Any]:
        """
        Give what there is to keep of it, as JSON.
        """
        # All of it: that a later release has other defaults changes no extension.
        return {
            **attrs.asdict(self, recurse=False),
            "minimum_credit": str(self.minimum_credit),
            "expiry": None if self.expiry is None else self.expiry.kept(),
        }


class SettingsChanges(TypedDict, total=False):
    """
    The settings that are to change, as `ExtensionSettings` documents them.
    """

    minimum_credit: Amount
    pin_required: bool
    balance_inquiry: bool
    seconds_to_dial: int
    no_credit_sound: str
    disconnect_sound: str
    caller_name: CallerIDSource
    caller_name_text: str
    caller_number: CallerIDSource
    caller_number_text: str
    concurrent_calls: int | None
    expiry: Expiry | None
    max_active_codes: int | None
    region: str
    deck: str
    max_call_seconds: int
