"""
The only place that uses parts of the library that are not public: what has no public name yet, and keys for baselines.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from voipcard import Batch, CardBook, CodeFormat, Extension, PinFormat, searching
from voipcard.ciphers import KEY_SIZE, derived
from voipcard.core.pins import draw_pins
from voipcard.keyring import Keyring

__all__ = ["cursor_at", "derived_keys", "draw_cards", "hashed_bytes", "pin_matches", "size_of_result"]


def draw_cards(count: int, pin_format: PinFormat) -> tuple[list[str], list[str]]:
    """
    Draw codes and their PINs without making cards of them.
    """
    codes = CodeFormat().draw(count)

    return codes, draw_pins(codes, pin_format, os.urandom)


def pin_matches(extension: Extension, code: str, pin: str) -> str | None:
    """
    Give the serial of the card with this code if this is its PIN.
    """
    engine = extension._engine
    record = searching.find(engine, extension.number, code=code, caller_id=None, serial=None)
    if record is None or not engine.records.keyring.pin_matches(pin, record.pin_mac, owner=record.id):
        return None

    return record.serial


def cursor_at(extension: Extension, position: tuple[int, str]) -> str:
    """
    Give the cursor that the page before would have given, without paging there.
    """
    search = extension._search(None, {}, serial=None, code=None, caller_id=None, prefix="", contains="")
    moment, card = position

    return searching._cursor(extension._engine, search._subject(), (moment, bytes.fromhex(card)))


def size_of_result(batch: Batch) -> int:
    """
    Sum up, in bytes, the lists that a batch holds, and the codes and PINs in them.
    """
    rows = batch.handouts.rows  # type: ignore[attr-defined]  # the sequence of hand-outs is private
    columns = (rows.kinds, rows.codes, rows.pins, rows.credits, rows.order_numbers)

    return sum(map(sys.getsizeof, columns)) + sum(map(sys.getsizeof, (*rows.codes, *rows.pins)))


def derived_keys(book: CardBook) -> dict[str, str]:
    """
    Give the keys that unseal codes and PINs and authenticate PINs, in hexadecimal.
    """
    keyring = book._engine.records.keyring
    root = keyring.roots._keys[keyring.active]

    return {
        "code": derived(root, "seal/code", size=2 * KEY_SIZE).hex(),
        "pin": derived(root, "seal/PIN", size=2 * KEY_SIZE).hex(),
        "pin_mac": derived(root, "mac/pin", size=KEY_SIZE).hex(),
    }


@contextmanager
def hashed_bytes() -> Iterator[list[tuple[str, int]]]:
    """
    Note for each MAC that the library computes meanwhile what it is for and over how many bytes.
    """
    # It loads much, which would count as memory of the lines that need no internals.
    from unittest import mock

    noted: list[tuple[str, int]] = []
    genuine = Keyring.mac

    def mac(self: Keyring, part: str, data: bytes, *, number: int = 1) -> bytes:
        noted.append((part, len(data)))

        return genuine(self, part, data, number=number)

    with mock.patch.object(Keyring, "mac", mac):
        yield noted
