"""
Credit that is reserved while a call runs, and how a card's record keeps it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import attrs

from voipcard.core.credit import Credit
from voipcard.errors import InvalidValueError

__all__ = ["Hold", "KeptHold", "kept", "packed", "unpacked"]

_ID: Final = re.compile("[0-9a-f]{32}", re.ASCII)


def _is_id(_: object, __: object, value: str) -> None:
    # Written in another way it would be captured, and the hold itself would stay until it runs out.
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise InvalidValueError("id", "has to be 32 hexadecimal digits in small letters")


@attrs.frozen
class Hold:
    """
    Credit of a card that nobody else can spend until it is captured, released or runs out.

    Attributes:
        id: 32 hexadecimal digits, in small letters. It ends once: with the first `capture` or `release`.
        serial: The card.
        amount: How much is reserved.
        begun_at: When it was first reserved, in UTC.
        expires_at: From when on it is free again if nobody extends it, in UTC.
        replayed: Whether it had been made before and this is the first result again.

    Raises:
        InvalidValueError: If *id* is something else, as where a hold was written down elsewhere and read again.
    """

    id: str = attrs.field(validator=_is_id)
    serial: str
    amount: Credit
    begun_at: datetime
    expires_at: datetime
    replayed: bool = attrs.field(default=False, eq=False)


class KeptHold(NamedTuple):
    """
    A hold as a card's record keeps it: amounts in millionths, moments in microseconds.

    Attributes:
        id: As in `Hold`.
        amount: How much is reserved.
        begun_at: When it was first reserved.
        expires_at: From when on it is free again.
        prefix: The rated prefix of the number that is called; empty if it is for no call.
        rest: The sealed rest of that number, in hexadecimal; empty if there is none.
        deck: The digest of the price list that the call is rated by; empty if it is for no call.
    """

    id: str
    amount: int
    begun_at: int
    expires_at: int
    prefix: str = ""
    rest: str = ""
    deck: str = ""


def packed(holds: Sequence[KeptHold]) -> bytes:
    """
    Write holds for a record; nothing if there are none.
    """
    return json.dumps(holds, separators=(",", ":")).encode() if holds else b""


def unpacked(data: bytes) -> list[KeptHold]:
    """
    Read what `packed` wrote.
    """
    return [KeptHold(*fields) for fields in json.loads(data)] if data else []


def kept(holds: Iterable[KeptHold], now: int) -> list[KeptHold]:
    """
    Give the holds that have not run out by *now*.
    """
    return [hold for hold in holds if hold.expires_at > now]
