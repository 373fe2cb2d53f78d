"""
What the cells of Excel say: texts and how they are escaped, numbers, and numbers that are dates.
"""

from __future__ import annotations

import functools
import math
import re
from array import array
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, TypeAlias

from voipcard.errors import SheetError
from voipcard.sheets.found import FoundCell, Unusable
from voipcard.sheets.markup import Element, damaged, document

__all__ = [
    "Reading",
    "RichText",
    "SharedStrings",
    "damaged_cell",
    "index",
    "iso_moment",
    "max_text",
    "number",
    "readings",
    "unescaped",
]

MAX_NUMBER_LENGTH: Final = 64

MAX_DIGITS: Final = 15
"""
How many significant digits a number has in Excel, which writes 17 of the binary number that it stands for.

Source: "Excel specifications and limits".
"""

MAX_FORMAT_LENGTH: Final = 255
"""As in Excel; and a longer one would be tried in quadratic time."""

Reading: TypeAlias = Callable[[str], FoundCell]
"""How the text of a cell is read."""

_ESCAPED: Final = re.compile(r"_x((?![Dd][89A-Fa-f])[0-9A-Fa-f]{4})_")
"""A character that is written by its number. Half a character is none."""

_ESCAPE_LENGTH: Final = 7

_INDEX: Final = re.compile(r"[0-9]{1,20}")

_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[Ee][+-]?[0-9]{1,3})?")
"""
A number; one with a longer exponent would be infinite or nothing.

Source: XML Schema part 2, 3.2.5, double.
"""

_ISO: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9:.]+(?:Z|[+-][0-9]{2}:[0-9]{2})?)?")
"""
A date, without its zone or in one.

Source: ECMA-376 part 1, 18.18.11, ST_CellType.
"""

_ELAPSED: Final = re.compile(r"\[(?:h+|m+|s+)\]", re.IGNORECASE)
"""A format for how long something took, which is no moment."""

_EAST_ASIAN_DATES: Final = {*range(27, 37), *range(50, 59)}
"""
Formats that are dates in Chinese, Japanese and Korean, and nothing else in other languages.

Source: ECMA-376 part 1, 18.8.30, numFmt.
"""

_DAY: Final = 86_400_000
"""In milliseconds: as exact as Excel's dates are."""

_EPOCH: Final = datetime(1899, 12, 30, tzinfo=UTC)
_EPOCH_1904: Final = datetime(1904, 1, 1, tzinfo=UTC)
_LEAP_DAY: Final = 60
"""
The 29th of February 1900, which Excel has and nobody else. The days before it count from one day later.

Source: ECMA-376 part 1, 18.17.4.1, dates.
"""


def unescaped(text: str) -> str:
    """
    Read a text as Excel does: `_x000D_` is a carriage return.

    Source: ECMA-376 part 1, 22.9.2.19, ST_Xstring.
    """
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "_x" in text else text


def max_text(field_length: int) -> int:
    """
    Tell how many characters of the file decide whether a text is too long, and whether a number is one.
    """
    return max(_ESCAPE_LENGTH * field_length, 2 * MAX_NUMBER_LENGTH)


def index(text: str) -> int:
    """
    Read a number that counts from 0, and has no sign.
    """
    if not _INDEX.fullmatch(text):
        raise damaged()

    return int(text)


def number(text: str) -> Decimal:
    """
    Read a number, a broken one with as many digits as Excel shows: it writes 1.10 as 1.1000000000000001.

    Raises:
        SheetError: If it is none, or is not finite.
    """
    digits = text.strip(" \t\r\n")
    if len(digits) > MAX_NUMBER_LENGTH or not _NUMBER.fullmatch(digits) or not math.isfinite(float(digits)):
        raise damaged()

    exact = Decimal(digits)
    if len(exact.as_tuple().digits) <= MAX_DIGITS or exact == exact.to_integral_value():
        return exact

    return Decimal(f"{exact:.{MAX_DIGITS - 1}e}")


def damaged_cell(_: str) -> FoundCell:
    """
    Read what is neither text nor number.
    """
    return Unusable.DAMAGED


def iso_moment(text: str) -> FoundCell:
    """
    Read a date that is written as such. Without a zone it is in UTC, as all dates of ours are.
    """
    if not _ISO.fullmatch(text):
        return Unusable.DAMAGED
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return Unusable.DAMAGED


def _moment(text: str) -> FoundCell:
    days = float(number(text))
    if days < _LEAP_DAY:
        days += 1 if days >= 1 else -1
    elif days < _LEAP_DAY + 1:
        return Unusable.DAMAGED

    return _since(_EPOCH, days)


def _moment_1904(text: str) -> FoundCell:
    return _since(_EPOCH_1904, float(number(text)))


def _since(epoch: datetime, days: float) -> FoundCell:
    # Less than a day is a time of day.
    if days < 1:
        return Unusable.DAMAGED
    try:
        return epoch + timedelta(milliseconds=round(days * _DAY))
    except OverflowError:
        return Unusable.DAMAGED


def _elapsed(text: str) -> FoundCell:
    number(text)

    return Unusable.DAMAGED


def readings(custom: Mapping[str, str], *, is_1904: bool) -> Callable[[str], Reading]:
    """
    Tell how numbers are read that have a number format: most are numbers, some are dates.

    Args:
        custom: The formats of the workbook itself, by their ids.

        is_1904: Whether dates count from 1904, as Excel did on the Macintosh.
    """
    from openpyxl.styles.numbers import BUILTIN_FORMATS, is_date_format

    moment = _moment_1904 if is_1904 else _moment

    @functools.cache
    def reading(format_id: str) -> Reading:
        code = custom.get(format_id)
        if code is None:
            known = index(format_id)
            code = "yyyy-mm-dd" if known in _EAST_ASIAN_DATES else BUILTIN_FORMATS.get(known, "General")
        if len(code) > MAX_FORMAT_LENGTH:
            raise damaged()
        if _ELAPSED.search(code):
            return _elapsed

        return moment if is_date_format(code) else number

    return reading


class RichText:
    """
    A text in one run or several, without how it is pronounced.

    Attributes:
        children: The elements that it is made of.

    Args:
        max_text: From how many characters on it does not matter how it goes on.

    Source: ECMA-376 part 1, 18.4.8, si, and 18.3.1.53, is.
    """

    def __init__(self, max_text: int) -> None:
        text = Element(text=self._add)
        self.children: Final = {"t": text, "r": Element({"t": text})}
        self._max_text = max_text
        self._runs: list[str] = []
        self._length = 0

    def taken(self) -> str:
        """
        Give the text, and be ready for the next one.
        """
        text = "".join(self._runs)
        self._runs.clear()
        self._length = 0

        return text

    def _add(self, run: str) -> None:
        if run and self._length <= self._max_text:
            self._runs.append(run)
            self._length += len(run)


class SharedStrings:
    """
    The texts that cells refer to, not much larger in memory than in the file, however short they are.

    Attributes:
        max_text: The same as the argument.
        root: What their part is parsed with.

    Args:
        max_text: From how many characters on it does not matter how a text goes on.

        at_most: How many there may be.
    """

    def __init__(self, max_text: int, at_most: int) -> None:
        self._text = RichText(max_text)
        self._at_most = at_most
        self._bytes = bytearray()
        self._ends = array("Q", [0])
        self.max_text: Final = max_text
        self.root: Final = document({"sst/si": Element(self._text.children, end=self._append)})

    def at(self, position: str) -> str:
        """
        Give the text at a position, which is counted from 0.
        """
        at = index(position)

        return self._bytes[self._ends[at] : self._ends[at + 1]].decode()

    def _append(self) -> None:
        self._bytes += unescaped(self._text.taken()).encode()
        self._ends.append(len(self._bytes))
        if len(self._ends) > self._at_most:
            raise SheetError("too_large", f"the workbook has more than {self._at_most:,} different texts")
