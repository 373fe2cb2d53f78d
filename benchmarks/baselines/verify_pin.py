"""
Looking cards up by an index that is known already, computing the MAC of a PIN, and unsealing the PIN.
"""

from __future__ import annotations

import hmac
import itertools

from benchmarks.baselines.database import connected
from benchmarks.baselines.lookup import SELECT, indexes_of_sample
from benchmarks.baselines.sealed import unsealer
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Open the book; a block authenticates the next cards of the sample.
    """
    connection = connected(parameters)
    facts = parameters.facts()
    unsealed = unsealer(facts.keys["pin"])
    keyed = hmac.new(bytes.fromhex(facts.keys["pin_mac"]), digestmod="sha256")
    pins = [pin.encode() for pin in facts.pins]
    sample = itertools.cycle(zip(indexes_of_sample(connection, parameters), pins, strict=True))
    names = [column[0] for column in connection.execute("SELECT * FROM cards LIMIT 0").description]
    card, serial, pin_mac, sealed_pin = map(names.index, ("id", "serial", "pin_mac", "sealed_pin"))

    def is_right(row: tuple[bytes, ...], pin: bytes) -> bool:
        mac = keyed.copy()
        mac.update(row[card] + pin)
        # The first 4 bytes are the number of the key.
        is_same = hmac.compare_digest(mac.digest(), row[pin_mac][4:])

        return is_same and hmac.compare_digest(unsealed(row[card], row[sealed_pin]), pin)

    def block() -> Done:
        execute = connection.execute
        cards = itertools.islice(sample, parameters.block)
        rows = ((execute(SELECT, (index,)).fetchone(), pin) for index, pin in cards)
        matched = [row[serial] for row, pin in rows if is_right(row, pin)]

        return Done(len(matched), lambda: matched)

    return block
