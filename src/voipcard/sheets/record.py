"""
What the fields of a row of an upload mean, and what can be wrong with them.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Final

from voipcard.core.arguments import MAX_TEXT_LENGTH
from voipcard.core.cards import MASK, NOT_KEPT, NewCard, is_caller_id
from voipcard.core.codes import CodeFormat
from voipcard.core.credit import UNLIMITED, Credit
from voipcard.core.pins import PART_OF_CODE
from voipcard.errors import AmountError, InvalidCodeError, InvalidPinError, InvalidValueError
from voipcard.sheets.found import FoundCell, Unusable

__all__ = [
    "COLUMNS",
    "FIELDS",
    "NOT_TAKEN",
    "advice",
    "as_text",
    "columns_of",
    "damage",
    "fault",
    "is_unsplit",
    "looks_like_header",
    "misfit",
    "new_card",
    "rounded",
]

COLUMNS: Final = ("code", "pin", "order_number", "credit")
"""
What the fields of a row are where no header says something else.

Source: VoipNow user guide, "Add Card Code".
"""

NOT_TAKEN: Final = ""
"""Instead of a field: a column that a new card has no use for."""

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
    "availablecredit": "available",
    "type": "type",
    "status": "status",
    "expires": "expires",
    # What else our exports have: a new card gets a serial and a history of its own.
    "serial": NOT_TAKEN,
    "totalcredit": NOT_TAKEN,
    "created": NOT_TAKEN,
    "recharges": NOT_TAKEN,
    "firstused": NOT_TAKEN,
    "labels": NOT_TAKEN,
    "batch": NOT_TAKEN,
    "extension": NOT_TAKEN,
}
"""What people, and our exports, call the columns, in small letters and without what stands between words."""

_BETWEEN_WORDS: Final = re.compile(r"[\s_./-]+")

FIELDS: Final = (*COLUMNS, "type", "status", "expires")
"""All that is read of a row, in the order in which its problems are listed."""

_EMPTY: Final = ("",) * len(FIELDS)

_MEANINGS: Final = {
    "type": {"": False, "code": False, "cardcode": False, "callerid": True},
    "status": {"": True, "enabled": True, "disabled": False},
}
"""Whether a card is recognized by the caller's number, and whether it is enabled."""

_DIALED: Final = {"code", "cardcode"}

_EXPONENT: Final = r"[+-]?[0-9]+(?:[.,][0-9]*E[+-]?|E[+-])[0-9]+"
_ERROR_CELL: Final = r"#(?:N/A|REF!|VALUE!|NAME\?|NUM!|NULL!|DIV/0!|#+)"
_FRACTION: Final = r"[0-9]+[.,]0{1,2}"
_MARKED_TEXT: Final = r"'(?:[=+@-].*|[0-9]+)|=\"[^\"]*\""
_GROUPED: Final = r"[0-9]{1,3}(?:,[0-9]{3})+"
_DATE: Final = (
    r"[0-9]{1,4}/[0-9]{1,2}/[0-9]{1,4}|[0-9]{1,2}-(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)(?:-[0-9]{2,4})?"
)


def _any_of(*patterns: str) -> re.Pattern[str]:
    return re.compile(rf"\s*(?:{'|'.join(patterns)})\s*", re.ASCII | re.IGNORECASE)


_DAMAGED: Final = {
    "code": _any_of(_EXPONENT, _ERROR_CELL, _FRACTION, _MARKED_TEXT, _GROUPED, _DATE),
    "pin": _any_of(_EXPONENT, _ERROR_CELL, _FRACTION, _MARKED_TEXT, _GROUPED, _DATE),
    "order_number": _any_of(_EXPONENT, _ERROR_CELL),
    "credit": _any_of(_EXPONENT, _ERROR_CELL),
}
"""What a spreadsheet program makes of long numbers and of text it takes for a formula. `1E5` alone may be a code."""

_OTHER_SEPARATOR: Final = re.compile(r"[,;|\t]")

_INEXACT: Final = 10**15
"""From here on Excel does not keep every digit of a number that should have been text."""

_ROUNDED: Final = re.compile(r"[0-9]{15}0+", re.ASCII)
"""What Excel makes of such a number where all its digits are shown."""

_ADVICE: Final[Mapping[tuple[str, str], str]] = {
    ("", "too_many_fields"): "there are more fields than columns: quote a field that has the separator in it",
    ("", "header"): "the first row looks like a header: name the columns Card Code, PIN, Order Number and Credit",
    ("code", "empty"): "give a card code, or a CallerID that begins with +",
    ("code", "too_long"): "shorten the code to at most 255 characters",
    ("code", "not_ascii"): "use the letters A to Z, digits and signs of a plain keyboard only",
    ("code", "not_digits"): "a CallerID has digits only, after its +",
    ("code", "separator"): "the fields seem to be separated by another character: say which one",
    ("code", "masked"): "the file shows no codes: export it again with reveal=True",
    ("code", "wrong_length"): "the code has not as many characters as its format: compare it with its source",
    ("code", "wrong_prefix"): "the code does not begin as its format does: compare it with its source",
    ("code", "wrong_suffix"): "the code does not end as its format does: compare it with its source",
    ("code", "wrong_alphabet"): "the code has characters that its format does not use: compare it with its source",
    ("code", "wrong_check_digit"): "the check digit of the code does not match: compare it with its source",
    ("code", "rounded"): (
        "Excel may have made zeros of the digits after the fifteenth: compare the code with its source"
    ),
    ("pin", "not_kept"): "the book that this comes from does not keep its PINs: give the card a new one",
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
    ("type", "unknown"): "write Card Code or CallerID",
    ("type", "contradiction"): "a code that begins with + is a CallerID, and the type says something else",
    ("", "hidden"): "the row is hidden in the workbook, and was taken all the same",
    ("status", "unknown"): "write Enabled or Disabled",
    ("expires", "not_a_moment"): "write the moment with its time zone, such as 2027-01-31T00:00:00+00:00",
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


def advice(column: str, reason: str) -> str:
    """
    Say what a person should do about a problem.
    """
    return _ADVICE.get((column, reason)) or _ADVICE_ANYWHERE[reason]


def columns_of(header: Sequence[FoundCell]) -> list[str]:
    """
    Give the field that stands in each column, or nothing if this is no header row.
    """
    columns = [_HEADERS.get(_word(cell), "unknown") for cell in header]
    available = NOT_TAKEN if "credit" in columns else "credit"
    columns = [available if column == "available" else column for column in columns]
    taken = [column for column in columns if column != NOT_TAKEN]
    is_header = "code" in taken and "unknown" not in taken and len(taken) == len(set(taken))

    return columns if is_header else []


def looks_like_header(row: Sequence[FoundCell]) -> bool:
    """
    Tell whether a row that is no header was probably meant as one.
    """
    known = [_HEADERS[word] for word in map(_word, row) if word in _HEADERS]

    return len(known) > 1 or _HEADERS.get(_word(row[0])) == "code"


def damage(field: str, cell: FoundCell) -> str | None:
    """
    Say what happened to a cell before it came here, if that can be seen.
    """
    if isinstance(cell, str):
        pattern = _DAMAGED.get(field)
        return "excel_damage" if pattern and pattern.fullmatch(cell) else None
    if isinstance(cell, Unusable):
        return cell.value
    if isinstance(cell, datetime):
        return None if field == "expires" else "excel_damage"
    whole = cell == cell.to_integral_value() and 0 <= cell < _INEXACT

    return None if field == "credit" or whole else "excel_damage"


def is_unsplit(cell: FoundCell) -> bool:
    """
    Tell whether the only cell of a row seems to be several fields, with another character between them.
    """
    return isinstance(cell, str) and not damage("code", cell) and _OTHER_SEPARATOR.search(cell) is not None


def as_text(cell: FoundCell) -> str:
    """
    Write a cell that is not damaged as a person would have typed it.
    """
    if isinstance(cell, Decimal):
        return str(int(cell)) if cell == cell.to_integral_value() else f"{cell:f}"
    if isinstance(cell, datetime):
        return cell.isoformat()

    return str(cell)


def new_card(fields: Mapping[str, str]) -> NewCard | None:
    """
    Make the card of one row, or nothing if the fields cannot be one.
    """
    try:
        return _new_card(fields) if "code" in fields else None
    except (InvalidValueError, AmountError):
        return None


def fault(field: str, text: str) -> str | None:
    """
    Say why a card cannot have this text in this field.
    """
    if field == "code" and text.strip() == MASK:
        return "masked"
    if field == "pin" and text.strip() == NOT_KEPT:
        return "not_kept"
    try:
        _new_card({"code": "0", field: text})
    except (InvalidCodeError, InvalidPinError, AmountError) as error:
        return error.reason
    except InvalidValueError:
        if field == "order_number":
            return "too_long" if len(text) > MAX_TEXT_LENGTH else "control_characters"
        return "not_a_moment" if field == "expires" else "unknown"

    return None


def misfit(card: NewCard, code_format: CodeFormat) -> str | None:
    """
    Say why a dialed code does not fit its format; where it would with zeros before it, a spreadsheet program took them.
    """
    reason = None if card.caller_id else _reason(card.code, code_format)
    lost = code_format.code_length - len(card.code)
    if reason and lost > 0 and _reason("0" * lost + card.code, code_format) is None:
        return "excel_damage"

    return reason


def rounded(card: NewCard) -> bool:
    """
    Tell whether the code looks like a number that Excel has rounded.
    """
    return _ROUNDED.fullmatch(card.code) is not None


def _word(cell: FoundCell) -> str:
    return _BETWEEN_WORDS.sub("", cell.lower()) if isinstance(cell, str) else ""


def _new_card(fields: Mapping[str, str]) -> NewCard:
    code, pin, order_number, credit, type_, status, expires = map(fields.get, FIELDS, _EMPTY)

    if _word(type_) in _DIALED and is_caller_id(code):
        raise InvalidValueError("type", "contradicts the code")

    return NewCard(
        code,
        pin,
        _credit(credit),
        order_number,
        caller_id=_meant("type", type_),
        enabled=_meant("status", status),
        expires_at=_moment(expires),
    )


@functools.lru_cache(maxsize=1024)  # Most cards of a file begin with the same credit.
def _credit(text: str) -> Credit:
    credit = text.strip()

    return UNLIMITED if credit.lower() == "u" else Credit(credit or "0")


@functools.lru_cache(maxsize=1024)
def _meant(field: str, text: str) -> bool:
    meanings = _MEANINGS[field]
    if (word := _word(text)) not in meanings:
        raise InvalidValueError(field, f"has to be one of {', '.join(filter(None, meanings))}")

    return meanings[word]


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.strip()) if text.strip() else None
    except ValueError:
        raise InvalidValueError("expires", "has to be a moment") from None


def _reason(code: str, code_format: CodeFormat) -> str | None:
    try:
        code_format.check(code)
    except InvalidCodeError as error:
        return error.reason

    return None
