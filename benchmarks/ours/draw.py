"""
Drawing codes and PINs.
"""

from __future__ import annotations

import voipcard
from benchmarks.internals import draw_cards
from benchmarks.protocol import Block, Done, Parameters

__all__ = ["prepare"]


def prepare(parameters: Parameters) -> Block:
    """
    Do nothing yet; a block draws codes and one PIN for each.
    """
    pin_format = voipcard.PinFormat(6)

    def block() -> Done:
        codes, pins = draw_cards(parameters.block, pin_format)

        return Done(len(codes), lambda: [len(set(codes)), len(pins)])

    return block
