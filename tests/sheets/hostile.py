"""
Texts that files damage, or that damage whoever opens the file: they have to come back from every format as they were.
"""

from __future__ import annotations

from typing import Final

from voipcard.sheets.guard import ANNOUNCEMENT

__all__ = ["HOSTILE", "HOSTILE_TO_CSV"]

HOSTILE: Final = [
    "+40722123456",
    "-10.00",
    "=1+1",
    "'=x",
    "''",
    "@a",
    "\tx",
    "\r",
    "\n",
    "a\r\nb",
    "＝1+1",
    "\u200f=1+1",
    "\ufeff",
    '"',
    ";,|",
    "a;=1+1",
    "a\t+1\n-1|'@",
    " x ",
    ANNOUNCEMENT,
    "=HYPERLINK(1)",
    "'",
    "＋－＠",
    "\u202e=1",
    "_x000D_",
    "_x005F_",
    "<f>1</f>&amp;",
    "]]>",
    "0077001834221",
    "770018342215712345",
    "1E5",
    "1.23457E+15",
    "TRUE",
    "#N/A",
    "1234567890123456789",
    "_x005F_x000D_",
    "__x0041_",
    "_xD83D_",
    "\ufeff\ufffe\uffff",
    '=HYPERLINK("x")',
]

HOSTILE_TO_CSV: Final = [
    "\0\x1f",
]
"""What a workbook can hold and CSV cannot."""
