"""
Keeping texts from being taken for formulas, in a way that is announced in the file and undone exactly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from voipcard.errors import SheetError
from voipcard.sheets.found import FoundCell, FoundRow

__all__ = ["ANNOUNCEMENT", "guarded", "unguarded", "unguarded_rows"]

ANNOUNCEMENT: Final = "#voipcard-csv/1;guard=apostrophe"
"""
The header of the last column, which is empty. It says that an apostrophe was put before whatever is dangerous.
"""

_UNSAFE: Final = re.compile(
    r"\A(?=[=+\-@\t\r\n＝＋－＠'])|(?<=[,;|\t\r\n])(?=\"*[=+\-@\t＝＋－＠'])"  # noqa: RUF001 - full-width signs
)
"""
Where a program could see a cell begin with something that it takes for a formula, or with the guard itself.

That is where the text begins. It is also behind a separator or a line break in it: whoever opens the file with another
separator than it was written with, as Excel does in half of the world, gets the text as several cells.

Source: OWASP, "CSV Injection".
"""

_GUARDS: Final = re.compile(r"(?:\A|(?<=[,;|\t\r\n]))'")


def guarded(text: str) -> str:
    """
    Put an apostrophe wherever a spreadsheet program could take what follows for a formula.
    """
    return _UNSAFE.sub("'", text)


def unguarded(text: str) -> str:
    """
    Take those apostrophes off again. Each is one that `guarded` put there, as it puts one before those of the text.
    """
    return _GUARDS.sub("", text)


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

    return [unguarded(cell) if isinstance(cell, str) else cell for cell in cells]
