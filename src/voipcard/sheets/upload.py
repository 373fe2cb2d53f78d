"""
Card codes read from a file: every row becomes a new card, or it is said what is wrong with it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from itertools import zip_longest
from typing import Final

from voipcard.core.arguments import Progress, checked_integer
from voipcard.core.cards import Kind, NewCard
from voipcard.core.codes import CodeFormat
from voipcard.core.pins import PART_OF_CODE, weakness
from voipcard.core.uploads import MAX_PROBLEM_LIMIT, OnError, Upload, checked_on_error, refused
from voipcard.errors import InvalidValueError, Problem, SheetError
from voipcard.sheets import record
from voipcard.sheets.files import SupportsRead
from voipcard.sheets.found import FoundCell, FoundRow
from voipcard.sheets.limits import Limits
from voipcard.sheets.reading import Format, read

__all__ = ["read_upload"]

PROBLEM_LIMIT: Final = 1000


def read_upload(
    source: str | os.PathLike[str] | SupportsRead,
    separator: str = ",",
    *,
    format: Format | None = None,  # noqa: A002 - what everybody calls it
    encoding: str | None = None,
    code_format: CodeFormat | None = None,
    on_error: OnError = "refuse",
    problem_limit: int = PROBLEM_LIMIT,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> Upload:
    r"""
    Read card codes in VoipNow's upload format, or from an export of ours, and check every row.

    A row is *card code, PIN, order number, initial credit*. All but the code may be empty or missing: without a PIN
    none is asked for, without a credit it is 0. The credit `u` is Unlimited. A code that begins with `+` is a CallerID.
    Blank rows are skipped.

    A first row is a header if each of its fields is the name of another column, the code's among them; the columns then
    stand in its order. Besides Card Code, PIN, Order Number and Credit, or shorter names for them, these may be the
    columns of our exports: of them Type, Status, Expires and, for the credit, Available Credit are taken over, and a
    warning names those that are not. No row that could be a card is mistaken for a header, except a row of one field
    that is the word "code" itself.

    Args:
        source:
            A path, or a file that is open in binary mode, which is read from where it stands and left open. A path ends
            in `.csv`, `.txt` or `.xlsx`.

        separator: What stands between the fields of a text file: one character.

        format: As for `read`.

        encoding: As for `read`.

        code_format: What every dialed code has to look like; None to accept any.

        on_error: `refuse` to raise if any row is bad, `skip` to leave bad rows out and list what is wrong with them.

        problem_limit: How many problems and warnings are listed at most, 0 to 10,000. All are counted.

        limits: How much of the file is read.

        progress: Is told after every thousand rows how many were read.

    Returns:
        The cards, with the row of each and with warnings.

    Raises:
        UploadError: If rows cannot be cards, have the same code as an earlier one, or a PIN that their code begins or
            ends with. It lists what is wrong with each. Also, whatever *on_error* says, if a first row names columns
            that are not those of cards: nobody knows then what stands where.

        SheetError: If the file is missing, is no such file, has no rows or is too large.

        InvalidValueError: If an argument is out of its range.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("cards.csv").write_text("0077001834221,0482,PO-117,10.00\n+40722123456,,,u\n")
        >>> upload = voipcard.sheets.read_upload("cards.csv")
        >>> [(card.kind, str(card.credit)) for card in upload.cards]
        [('code', '10.00'), ('caller_id', 'unlimited')]
        >>> upload.rows
        (1, 2)

    Source: VoipNow user guide, "Add Card Code".
    """
    checked_on_error(on_error)
    if code_format is not None and not isinstance(code_format, CodeFormat):
        raise InvalidValueError("code_format", "has to be a CodeFormat")
    checked_integer("problem_limit", problem_limit, at_least=0, at_most=MAX_PROBLEM_LIMIT)
    reading = _Reading(code_format, problem_limit)
    rows = read(source, format=format, separator=separator, encoding=encoding, limits=limits)
    with closing(rows):
        for count, row in enumerate(rows, 1):
            reading.add(row)
            if progress and count % 1000 == 0:
                progress(count, None)
    upload = reading.upload()
    if upload.rejected and on_error == "refuse":
        raise refused(upload)
    if not upload.rejected and not upload.cards:
        raise SheetError("empty", "the file has no rows with cards")

    return upload


class _Problems:
    """
    What is wrong, all of it counted and the first of it listed.
    """

    def __init__(self, limit: int) -> None:
        self.listed: list[Problem] = []
        self.count = 0
        self._limit = limit

    def add(self, row: FoundRow, column: str, reason: str, advice: str = "", *, warning: bool = False) -> None:
        """
        Take one more.
        """
        self.count += 1
        if len(self.listed) < self._limit:
            advice = advice or record.advice(column, reason)
            self.listed.append(Problem(row.number, column, reason, advice, warning=warning, sheet=row.sheet))


class _Reading:
    """
    What is known of a file after some of its rows.
    """

    def __init__(self, code_format: CodeFormat | None, problem_limit: int) -> None:
        self._code_format = code_format
        self._problems = _Problems(problem_limit)
        self._warnings = _Problems(problem_limit)
        self._cards: list[NewCard] = []
        self._rows: list[int] = []
        self._sheets: list[tuple[int, int]] = []
        self._rejected = 0
        self._columns: Sequence[str] = ()
        self._has_header = False
        self._places: dict[Kind, dict[str, tuple[int, int]]] = {"code": {}, "caller_id": {}}
        self._digest = hashlib.sha256()

    def upload(self) -> Upload:
        """
        Give what was read.
        """
        return Upload(
            cards=tuple(self._cards),
            rows=tuple(self._rows),
            sheets=tuple(self._sheets),
            problems=tuple(self._problems.listed),
            problem_count=self._problems.count,
            rejected=self._rejected,
            warnings=tuple(self._warnings.listed),
            warning_count=self._warnings.count,
            digest=self._digest.digest(),
        )

    def add(self, row: FoundRow) -> None:
        """
        Take one more row.
        """
        cells = list(row.cells)
        while cells and _is_blank(cells[-1]):
            cells.pop()
        if not cells or (not self._columns and self._is_header(row, cells)):
            return
        if len(cells) > len(self._columns):
            self._reject(row, {"": "too_many_fields"})
        elif len(cells) == 1 and not self._has_header and record.is_unsplit(cells[0]):
            self._reject(row, {"code": "separator"})
        else:
            fields = zip_longest(self._columns, cells, fillvalue="")
            self._add(row, {field: cell for field, cell in fields if field != record.NOT_TAKEN})

    def _is_header(self, row: FoundRow, cells: Sequence[FoundCell]) -> bool:
        columns = record.columns_of(cells)
        self._has_header = bool(columns)
        self._columns = columns or record.COLUMNS
        if columns:
            left = [str(cell) for cell, column in zip(cells, columns, strict=True) if column == record.NOT_TAKEN]
            if left:
                advice = f"these columns are not taken over: {', '.join(left)}"
                self._warnings.add(row, "", "not_taken", advice, warning=True)
            return True
        if record.looks_like_header(cells):
            # Nobody knows what stands in which column of the other rows.
            self._reject(row, {"": "header"})
            raise refused(self.upload())

        return False

    def _add(self, row: FoundRow, cells: Mapping[str, FoundCell]) -> None:
        faults = {field: fault for field, cell in cells.items() if (fault := record.damage(field, cell))}
        texts = {field: record.as_text(cell) for field, cell in cells.items() if field not in faults}
        card = None if faults else record.new_card(texts)
        if not card:
            faults |= {field: fault for field, text in texts.items() if (fault := record.fault(field, text))}
            # What is wrong with no field alone is wrong with what the type says of the code.
            faults = faults or {"type": "contradiction"}
        # Code and PIN are compared although something else may be wrong with the row, so that all is said at once.
        known = card or record.new_card({field: text for field, text in texts.items() if field not in faults})
        weak = weakness(known.pin, known.code) if known else None
        if weak == PART_OF_CODE:
            faults["pin"] = PART_OF_CODE
        if known and self._code_format and (fault := record.misfit(known, self._code_format)):
            faults["code"] = fault
        first = self._first_place(row, known) if known else None
        if faults or first:
            self._reject(row, faults, repeats=first)
        elif card:
            self._accept(row, card)
            self._warn(row, card, cells, weak)

    def _first_place(self, row: FoundRow, card: NewCard) -> tuple[int, int] | None:
        """
        Tell where the code of a card stood first, if that was before.
        """
        place = (row.sheet, row.number)
        first = self._places[card.kind].setdefault(card.code, place)

        return None if first is place else first

    def _accept(self, row: FoundRow, card: NewCard) -> None:
        if not self._sheets or self._sheets[-1][1] != row.sheet:
            self._sheets.append((len(self._cards), row.sheet))
        self._cards.append(card)
        self._rows.append(row.number)
        terms = f"{card.credit.micros}\0{card.enabled}\0{card.expires_at}"
        # None of these has control characters, so no two uploads are written the same way.
        self._digest.update(f"{card.kind}\0{card.code}\0{card.pin}\0{card.order_number}\0{terms}\n".encode())

    def _reject(self, row: FoundRow, faults: Mapping[str, str], repeats: tuple[int, int] | None = None) -> None:
        self._rejected += 1
        for field in ("", *record.FIELDS):
            if field in faults:
                self._problems.add(row, field, faults[field])
                self._digest.update(f"\0{field}\0{faults[field]}\n".encode())
        if repeats:
            sheet, number = repeats
            place = f"row {number}" if sheet == row.sheet else f"row {number} of sheet {sheet}"
            self._problems.add(row, "code", "duplicate", f"{place} has the same code: remove one of the two")
            self._digest.update(b"\0code\0duplicate\n")

    def _warn(self, row: FoundRow, card: NewCard, cells: Mapping[str, FoundCell], weak: str | None) -> None:
        for field, cell in cells.items():
            if isinstance(cell, Decimal) and field != "credit":
                self._warnings.add(row, field, "number_cell", warning=True)
        if row.is_hidden:
            self._warnings.add(row, "", "hidden", warning=True)
        if record.rounded(card):
            self._warnings.add(row, "code", "rounded", warning=True)
        if weak:
            advice = f"others guess such a PIN first ({weak.replace('_', ' ')}): choose another"
            self._warnings.add(row, "pin", "weak_pin", advice, warning=True)
        if card.order_number != card.order_number.strip():
            self._warnings.add(row, "order_number", "outer_space", warning=True)


def _is_blank(cell: FoundCell) -> bool:
    return isinstance(cell, str) and not cell.strip()
