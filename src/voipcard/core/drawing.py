"""
Drawing characters, each equally likely, from a source of unpredictable bytes, in bulk.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Final, TypeAlias

__all__ = ["RandomSource", "draw_characters", "draw_text", "split_rows"]

RandomSource: TypeAlias = Callable[[int], bytes]
"""
Gives as many unpredictable bytes as it is asked for. Everything that is drawn takes one as an argument: `os.urandom`
outside of tests.
"""

CHUNK: Final = 16_384
"""How many codes or PINs are drawn at a time: enough for speed, little enough to stay in the processor's cache."""


def draw_text(alphabet: str, length: int, source: RandomSource) -> str:
    """
    Draw one text, each character of the alphabet equally likely at each place.

    Args:
        alphabet: 2 to 256 different ASCII characters.

        length: How many characters to draw.

        source: Where randomness comes from: `os.urandom` outside of tests.

    Example:
        >>> import os
        >>> len(draw_text("ABCDEF", 4, os.urandom))
        4
    """
    return draw_characters(alphabet, length, source).decode("ascii")


def split_rows(rows: bytes, width: int, *more: bytes) -> list[str]:
    """
    Cut printable text into pieces of one width, and add to each piece its character of one more column or several.

    With spaces woven in between, `split` does it in half the time that slices take.
    """
    columns = [*(rows[column::width] for column in range(width)), *more]
    woven = bytearray(b" " * (len(rows) // width * (len(columns) + 1)))
    for at, column in enumerate(columns):
        woven[at :: len(columns) + 1] = column

    return woven.decode("ascii").split()


def draw_characters(alphabet: str, count: int, source: RandomSource) -> bytes:
    """
    Draw characters, each of the alphabet equally likely.

    Bytes that would favor the first characters of the alphabet are thrown away instead of being reduced by `%`.

    Args:
        alphabet: 2 to 256 distinct ASCII characters.

        count: How many.

        source: Where randomness comes from: `os.urandom` outside of tests.

    Example:
        >>> draw_characters("0123456789", 4, lambda count: bytes([255, 4, 13, 22, 31, 250] * count)[:count])
        b'4321'
    """
    table, refused = _sieve(alphabet)
    characters = b""
    while len(characters) < count:
        missing = math.ceil((count - len(characters)) * 256 / (256 - len(refused)))
        characters += source(missing).translate(table, refused)

    return characters[:count]


@functools.lru_cache(maxsize=64)
def _sieve(alphabet: str) -> tuple[bytes, bytes]:
    times = 256 // len(alphabet)
    kept = times * len(alphabet)

    return (alphabet * times).encode("ascii").ljust(256), bytes(range(kept, 256))
