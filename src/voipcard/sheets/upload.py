"""
VoipNow's upload record, read from a file: every row becomes a new card, or the file is refused with what is wrong.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import Final

import attrs

from voipcard.core.arguments import MAX_TEXT_LENGTH
from voipcard.core.cards import Kind, NewCard
from voipcard.core.pins import PART_OF_CODE, weakness
from voipcard.errors import (
    AmountError,
    InvalidCodeError,
    InvalidPinError,
    InvalidValueError,
    Problem,
    SheetError,
    UploadError,
)
from voipcard.sheets import csv, files, xlsx
from voipcard.sheets.xlsx import FoundCell, Unusable

__all__ = ["Upload", "read_upload", "refused"]

COLUMNS: Final = ("code", "pin", "order_number", "credit")
"""
What the fields of a row are.

Source: VoipNow user guide, "Add Card Code".
"""

_HEADERS: Final = {
    "code": "code",
    "cardcode": "code",
    "callerid": "code",
    "codeorcallerid": "code",
    "cardcodeorcallerid": "code",
    "pin": "pin",
    "pincode": "pin",
    "order": "order_number",
    "orderno": "order_number",
    "ordernumber": "order_number",
    "credit": "credit",
    "initialcredit": "credit",
}
"""What people call the columns, in small letters and without what stands between words."""

_BETWEEN_WORDS: Final = re.compile(r"[\s_./-]+")

_EXPONENT: Final = r"[+-]?[0-9]+(?:[.,][0-9]+E[+-]?|E[+-])[0-9]+"
_ERROR_CELL: Final = r"#(?:N/A|REF!|VALUE!|NAME\?|NUM!|NULL!|DIV/0!|#+)"
_FRACTION: Final = r"[0-9]+[.,]0{1,2}"
_MARKED_TEXT: Final = r"'(?:[=+@-].*|[0-9]+)"


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile(rf"\s*(?:{'|'.join(patterns)})\s*", re.ASCII | re.IGNORECASE)


_DAMAGED: Final = {
    "code": _any_of(_EXPONENT, _ERROR_CELL, _FRACTION, _MARKED_TEXT),
    "pin": _any_of(_EXPONENT, _ERROR_CELL, _FRACTION, _MARKED_TEXT),
    "order_number": _any_of(_EXPONENT, _ERROR_CELL),
    "credit": _any_of(_EXPONENT, _ERROR_CELL),
}
"""What a spreadsheet program makes of long numbers and of text it takes for a formula. `1E5` alone may be a code."""

_OTHER_SEPARATOR: Final = re.compile(r"[,;|\t]")
"""A code with one of these is a row that was split at the wrong character."""

_INEXACT: Final = 10**15
"""From here on Excel does not keep every digit of a number that should have been text."""

_ADVICE: Final[Mapping[tuple[str, str], str]] = {
    ("", "too_many_fields"): "there are more fields than columns: quote a field that has the separator in it",
    ("", "header"): "the first row looks like a header: name the columns Card Code, PIN, Order Number and Credit",
    ("code", "empty"): "give a card code, or a CallerID that begins with +",
    ("code", "too_long"): "shorten the code to at most 255 characters",
    ("code", "not_ascii"): "use the letters A to Z, digits and signs of a plain keyboard only",
    ("code", "not_digits"): "a CallerID has digits only, after its +",
    ("code", "separator"): "the fields seem to be separated by another character: say which one",
    ("pin", "not_digits"): "use digits only, or leave the PIN empty",
    ("pin", "wrong_length"): "use 4 to 12 digits, leading zeros included, or leave the PIN empty",
    ("pin", PART_OF_CODE): "the code begins or ends with this PIN: choose another, or leave the PIN empty",
    ("order_number", "too_long"): "shorten the order number to at most 255 characters",
    ("order_number", "control_characters"): "remove line breaks and other invisible characters from the order number",
    (
        "order_number",
        "outer_space",
    ): "the order number begins or ends with a space, which counts when it is searched for",
    ("credit", "not_a_number"): "write the credit with a point, such as 12.50, or u for unlimited",
    ("credit", "too_precise"): "use at most six decimal places",
    ("credit", "too_large"): "use a smaller credit, or u for unlimited",
    ("credit", "negative"): "the initial credit cannot be negative",
}

_ADVICE_ANYWHERE: Final[Mapping[str, str]] = {
    "excel_damage": (
        "a spreadsheet program changed this field: format the column as text, and enter the value from its source again"
    ),
    "formula": "replace the formula by its value, as text",
    "number_cell": (
        "the cell is a number, which has no leading zeros: if it had some, format the column as text and enter it again"
    ),
}


def _counted(items: Sequence[object]) -> str:
    return f"<{len(items)}>"


@attrs.frozen
class Upload:
    """
    What was read from an upload: cards that can be added as they are. Its `repr` shows no code, PIN or CallerID.

    Attributes:
        cards: The cards, in the order of the file.
        rows: The row of the file that each card stands in, counted from 1 as a spreadsheet counts.
        warnings: What may be wrong but was accepted, row by row: a weak PIN, a number that may have lost leading zeros.
        digest:
            A SHA-256 of the cards, the same for every file that says the same, header, quotes and separator aside.
            Short codes can be guessed from it: store it only under a key.
    """

    cards: tuple[NewCard, ...] = attrs.field(repr=_counted)
    rows: tuple[int, ...] = attrs.field(repr=False)
    warnings: tuple[Problem, ...] = attrs.field(repr=_counted)
    digest: bytes = attrs.field(repr=False)


def read_upload(path: str | os.PathLike[str], separator: str = ",") -> Upload:
    r"""
    Read card codes in VoipNow's upload format, and check every row.

    A row is *card code, PIN, order number, initial credit*. All but the code may be empty or missing: without a PIN
    none is asked for, without a credit it is 0. The credit `u` is Unlimited. A code that begins with `+` is a CallerID.
    Blank rows are skipped.

    A first row is a header if each of its fields is the name of another column (Card Code, PIN, Order Number, Credit,
    or shorter), the code's among them; the columns then stand in its order. No row that could be a card is mistaken
    for one, except a row of one field that is the word "code" itself.

    Args:
        path: A text file that ends in `.csv` or `.txt`, in UTF-8, or an Excel workbook that ends in `.xlsx`.

        separator: The character between the fields of a text file.

    Returns:
        The cards, with the row of each and with warnings.

    Raises:
        UploadError: If rows cannot be cards, have the same code as an earlier one, or a PIN that their code begins or
            ends with. It lists what is wrong with each.

        SheetError: If the file is missing, is no such file, has no rows or is too large.

        InvalidValueError: If *separator* cannot be one.

    Example:
        >>> from pathlib import Path
        >>> _ = Path("cards.csv").write_text("0077001834221,0482,PO-117,10.00\n+40722123456,,,u\n")
        >>> upload = voipcard.sheets.read_upload("cards.csv")
        >>> upload.cards[1]
        NewCard(code='••••', pin='', credit=UNLIMITED, order_number='', caller_id=True)
        >>> upload.rows
        (1, 2)

    Source: VoipNow user guide, "Add Card Code".
    """
    source = Path(path)
    suffix = source.suffix.lower()
    if suffix not in {".csv", ".txt", ".xlsx"}:
        raise SheetError("suffix", f"{source.name} ends neither in .csv or .txt nor in .xlsx")
    with files.reading(source) as stream:
        if suffix == ".xlsx":
            return _upload(xlsx.read(stream), is_text=False)

        return _upload(csv.read(stream, separator=separator), is_text=True)


def refused(problems: Sequence[Problem]) -> UploadError:
    """
    Give the error that refuses an upload.

    Args:
        problems: What is wrong, row by row; at least one. A row may have several.
    """
    count = len({problem.row for problem in problems})
    detail = "1 row was refused" if count == 1 else f"{count:,} rows were refused"

    return UploadError("rows", detail, tuple(problems))


def _upload(rows: Generator[Sequence[FoundCell]], *, is_text: bool) -> Upload:
    reading = _Reading(is_text=is_text)
    with closing(rows):
        for number, row in enumerate(rows, 1):
            reading.add(number, row)
    if reading.problems:
        raise refused(reading.problems)
    if not reading.cards:
        raise SheetError("empty", "the file has no rows with cards")

    return Upload(tuple(reading.cards), tuple(reading.rows), tuple(reading.warnings), _digest(reading.cards))


class _Reading:
    """
    What is known of a file after some of its rows.

    Args:
        is_text: Whether the rows were split at a separator.
    """

    def __init__(self, *, is_text: bool) -> None:
        self.cards: list[NewCard] = []
        self.rows: list[int] = []
        self.warnings: list[Problem] = []
        self.problems: list[Problem] = []
        self._is_text = is_text
        self._columns: Sequence[str] = ()
        self._first_rows: dict[tuple[Kind, str], int] = {}

    def add(self, number: int, row: Sequence[FoundCell]) -> None:
        """
        Take one more row.
        """
        cells = list(row)
        while cells and _is_blank(cells[-1]):
            cells.pop()
        if not cells or (not self._columns and self._is_header(number, cells)):
            return
        if len(cells) > len(self._columns):
            self._refuse(number, "", "too_many_fields")
        else:
            self._add(number, dict(zip_longest(self._columns, cells, fillvalue="")))

    def _is_header(self, number: int, cells: Sequence[FoundCell]) -> bool:
        header = _header(cells)
        self._columns = header or COLUMNS
        if header:
            return True
        if not _header(cells[:1]):
            return False
        self._refuse(number, "", "header")

        return True

    def _add(self, number: int, cells: Mapping[str, FoundCell]) -> None:
        faults = {column: fault for column, cell in cells.items() if (fault := self._damage(column, cell))}
        texts = {column: _as_text(cell) for column, cell in cells.items() if column not in faults}
        card = None if faults else _card(texts)
        if not card:
            faults |= {column: fault for column, text in texts.items() if (fault := _fault(column, text))}
        # Code and PIN are compared although something else may be wrong with the row, so that all is said at once.
        known = card or _card({column: text for column, text in texts.items() if column not in faults})
        weak = weakness(known.pin, known.code) if known else None
        if weak == PART_OF_CODE:
            faults["pin"] = PART_OF_CODE
        for column in COLUMNS:
            if column in faults:
                self._refuse(number, column, faults[column])
        first = self._first_rows.setdefault((known.kind, known.code), number) if known else number
        if first != number:
            advice = f"row {first} has the same code: remove one of the two"
            self.problems.append(Problem(number, "code", "duplicate", advice))
        elif card and not faults:
            self.cards.append(card)
            self.rows.append(number)
            self._warn(number, card, cells, weak)

    def _damage(self, column: str, cell: FoundCell) -> str | None:
        """
        Say what happened to a field before it came here, if that can be seen.
        """
        if isinstance(cell, Unusable):
            return cell.value
        if isinstance(cell, Decimal):
            whole = cell.is_finite() and cell == cell.to_integral_value() and 0 <= cell < _INEXACT
            return None if column == "credit" or whole else "excel_damage"
        if _DAMAGED[column].fullmatch(cell):
            return "excel_damage"

        return "separator" if column == "code" and self._is_text and _OTHER_SEPARATOR.search(cell) else None

    def _refuse(self, number: int, column: str, reason: str) -> None:
        self.problems.append(Problem(number, column, reason, _advice(column, reason)))

    def _warn(self, number: int, card: NewCard, cells: Mapping[str, FoundCell], weak: str | None) -> None:
        found = [
            (column, "number_cell", _advice(column, "number_cell"))
            for column, cell in cells.items()
            if isinstance(cell, Decimal) and column != "credit"
        ]
        if weak:
            found.append(
                ("pin", "weak_pin", f"others guess such a PIN first ({weak.replace('_', ' ')}): choose another")
            )
        if card.order_number != card.order_number.strip():
            found.append(("order_number", "outer_space", _advice("order_number", "outer_space")))
        self.warnings += [Problem(number, column, reason, advice, warning=True) for column, reason, advice in found]


def _advice(column: str, reason: str) -> str:
    return _ADVICE.get((column, reason)) or _ADVICE_ANYWHERE[reason]


def _is_blank(cell: FoundCell) -> bool:
    return isinstance(cell, str) and not cell.strip()


def _header(cells: Sequence[FoundCell]) -> tuple[str, ...]:
    """
    Give the columns that a header row names, or none if it is no header row.
    """
    words = [_BETWEEN_WORDS.sub("", cell.lower()) for cell in cells if isinstance(cell, str)]
    columns = tuple(_HEADERS[word] for word in words if word in _HEADERS)

    return columns if "code" in columns and len(set(columns)) == len(cells) else ()


def _as_text(cell: FoundCell) -> str:
    if isinstance(cell, Decimal):
        whole = cell.is_finite() and cell == cell.to_integral_value()
        return str(int(cell)) if whole else f"{cell:f}"

    return str(cell)


def _new_card(texts: Mapping[str, str]) -> NewCard:
    return NewCard(
        texts["code"],
        pin=texts.get("pin", ""),
        order_number=texts.get("order_number", ""),
        credit=_credit(texts.get("credit", "")),
    )


def _card(texts: Mapping[str, str]) -> NewCard | None:
    try:
        return _new_card(texts) if "code" in texts else None
    except (InvalidValueError, AmountError):
        return None


def _credit(text: str) -> str:
    credit = text.strip()

    return "unlimited" if credit.lower() == "u" else credit or "0"


def _fault(column: str, text: str) -> str | None:
    """
    Say why a card cannot have this text in this column.
    """
    try:
        _new_card({"code": "0", column: text})
    except (InvalidCodeError, InvalidPinError, AmountError) as error:
        return error.reason
    except InvalidValueError:
        return "too_long" if len(text) > MAX_TEXT_LENGTH else "control_characters"

    return None


def _digest(cards: Sequence[NewCard]) -> bytes:
    digest = hashlib.sha256()
    for card in cards:
        # None of these has control characters, so no two uploads are written the same way.
        parts = (card.kind, card.code, card.pin, card.order_number, str(card.credit))
        digest.update("\0".join(parts).encode() + b"\n")

    return digest.digest()
