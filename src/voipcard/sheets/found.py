"""
What is read from a file: rows of texts, numbers and moments, and cells whose text is not to be had.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple, TypeAlias

__all__ = ["FoundCell", "FoundRow", "Unusable"]


class Unusable(enum.Enum):
    """
    A cell whose text is not to be had: the value is the reason.
    """

    FORMULA = "formula"
    DAMAGED = "excel_damage"


FoundCell: TypeAlias = str | Decimal | datetime | Unusable
"""
What is read from a cell: a text, a number, a moment in UTC, or that there is something else. An empty one is no text.
"""


class FoundRow(NamedTuple):
    """
    One row that is not empty.

    Attributes:
        sheet: Which sheet of the workbook it stands on, counted from 1; 1 in a text file.
        number: Which row of the sheet it is, counted from 1 as a spreadsheet counts.
        cells: What is in it, up to the last cell that is not empty.
        is_hidden: Whether people do not see it, as when a filter is set.
    """

    sheet: int
    number: int
    cells: Sequence[FoundCell]
    is_hidden: bool = False
