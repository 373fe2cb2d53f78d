"""
How much a file may be before it is refused instead of read.
"""

from __future__ import annotations

import attrs

from voipcard.core.arguments import checked_integer
from voipcard.errors import InvalidValueError

__all__ = ["Limits", "checked_limits"]

_MEBIBYTE = 1024**2


_SHEETS = 4
"""More rows than these can have unpack to more than the default size."""

_LONGEST_FIELD = 131_072
"""What the standard library's `csv` module reads, unless the program that uses it says otherwise."""


def _positive(_: object, attribute: attrs.Attribute[int], value: int) -> None:
    checked_integer(attribute.name, value, at_least=1)


def _readable(_: object, attribute: attrs.Attribute[int], value: int) -> None:
    checked_integer(attribute.name, value, at_least=1, at_most=_LONGEST_FIELD)


@attrs.frozen(kw_only=True)
class Limits:
    """
    How much of a file is read. A file that is more is refused with a `SheetError` before it can do harm.

    Attributes:
        file_size: The size of the file, in bytes; 512 MiB, ten times what a million rows of an upload need.
        unpacked_size: The size of all parts of a workbook when they are unpacked, in bytes; 2 GiB.
        ratio:
            How many times larger than packed a part of a workbook, or all of it, may be once it has a mebibyte; 100.
        rows:
            How many rows a sheet or a text file may have, its header not counted; 1,048,576, as in Excel. Our own
            exports go on beyond that: all sheets of a workbook together, or a text file that says that it is one of
            ours, may have four times as many.
        columns: How many columns; 64.
        field_length: How many characters a field; 4,096. At most 131,072.

    Raises:
        InvalidValueError: If one of them is not a whole number, less than 1, or too large.

    Example:
        >>> voipcard.sheets.Limits(rows=10_000).columns
        64
    """

    file_size: int = attrs.field(default=512 * _MEBIBYTE, validator=_positive)
    unpacked_size: int = attrs.field(default=2048 * _MEBIBYTE, validator=_positive)
    ratio: int = attrs.field(default=100, validator=_positive)
    rows: int = attrs.field(default=1_048_576, validator=_positive)
    columns: int = attrs.field(default=64, validator=_positive)
    field_length: int = attrs.field(default=4096, validator=_readable)

    @property
    def total_rows(self) -> int:
        """
        How many rows a file of our own may have.
        """
        return _SHEETS * self.rows


def checked_limits(limits: Limits | None) -> Limits:
    """
    Accept limits, and give the usual ones for None.

    Raises:
        InvalidValueError: If they are something else.
    """
    if limits is not None and not isinstance(limits, Limits):
        raise InvalidValueError("limits", "have to be voipcard.sheets.Limits")

    return limits or Limits()
