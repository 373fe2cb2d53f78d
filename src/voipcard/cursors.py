"""
Cursors: where to go on reading, as texts that only this book has made, for one purpose each.
"""

from __future__ import annotations

import base64
import hmac
from typing import Final

from voipcard.errors import CursorError
from voipcard.records import Records

__all__ = ["cursor_of", "position_in"]

_MAC_SIZE: Final = 16


def cursor_of(records: Records, subject: str, position: bytes) -> str:
    """
    Write a position as a cursor that belongs to *subject*. It says nothing but the position.
    """
    return base64.urlsafe_b64encode(records.operation("cursor", subject, position) + position).decode()


def position_in(records: Records, subject: str, cursor: str) -> bytes:
    """
    Give the position that a cursor was made of.

    Raises:
        CursorError: If it belongs to something else, or is damaged.
    """
    if not isinstance(cursor, str):
        raise CursorError
    try:
        raw = base64.urlsafe_b64decode(cursor.encode("ascii"))
    except ValueError:
        raise CursorError from None
    mac, position = raw[:_MAC_SIZE], raw[_MAC_SIZE:]
    is_canonical = base64.urlsafe_b64encode(raw).decode() == cursor
    if not (is_canonical and hmac.compare_digest(mac, records.operation("cursor", subject, position))):
        raise CursorError

    return position
