"""
Keeping texts from being taken for formulas, in a way that is announced in the file and undone exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from voipcard.errors import SheetError
from voipcard.sheets.found import FoundCell, FoundRow

__all__ = ["ANNOUNCEMENT", "guarded", "unguarded_rows"]

ANNOUNCEMENT: Final = "#voipcard-csv/1;guard=apostrophe"
"""
The header of the last column, which is empty. It says that the apostrophe before each dangerous text is not part of it.
"""

_DANGEROUS: Final = frozenset("=+-@\t\r\n＝＋－＠'")  # noqa: RUF001 - full-width signs
"""
First characters that make a spreadsheet take a text for a formula, and the guard itself, which makes it reversible.

Source: OWASP, "CSV Injection".
"""


def guarded(text: str) -> str:
    """
    Put an apostrophe before a text that a spreadsheet program could take for a formula.
    """
    return f"'{text}" if text[:1] in _DANGEROUS else text


def unguarded_rows(rows: Iterable[FoundRow]) -> Iterator[FoundRow]:
    """
    Take the guard off where the first row announces it, and the column of the announcement with it.

    The rows of a file that does not announce it are left as they are. The announcement may have been carried into
    another format: whoever opens our CSV in Excel can save it as a workbook.

    Raises:
        SheetError: If something was written into the column of the announcement.
    """
    position: int | None = None
    for at, row in enumerate(rows):
        if at == 0 and ANNOUNCEMENT in row.cells:
            position = row.cells.index(ANNOUNCEMENT)
            yield row._replace(cells=[*row.cells[:position], *row.cells[position + 1 :]])
        elif position is None:
            yield row
        else:
            yield row._replace(cells=_unguarded(row, position))


def _unguarded(row: FoundRow, position: int) -> Sequence[FoundCell]:
    # Excel leaves out the separators behind the last field that has something in it.
    if len(row.cells) > position and row.cells[position] != "":
        detail = f"row {row.number} has something in the column headed {ANNOUNCEMENT}, which has to stay empty"
        raise SheetError("announcement", detail)
    cells = [*row.cells[:position], *row.cells[position + 1 :]]

    return [cell.removeprefix("'") if isinstance(cell, str) else cell for cell in cells]
