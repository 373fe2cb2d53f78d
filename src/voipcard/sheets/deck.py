"""
Price lists of calls: VoipNow's charging file, or one with the columns of a rate.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from decimal import Decimal
from typing import Any, Final

from voipcard.core.credit import Credit, checked_price
from voipcard.core.rating import Rate, RateDeck, Tariff
from voipcard.errors import AmountError, InvalidValueError, Problem, UploadError
from voipcard.sheets.files import SupportsRead
from voipcard.sheets.found import FoundCell, FoundRow, Unusable
from voipcard.sheets.limits import Limits
from voipcard.sheets.reading import Format, read

__all__ = ["read_deck"]

VOIPNOW: Final = ("area_code", "cost", "charge_interval", "description", "network", "setup_cost", "maximum_charge")
"""The columns of VoipNow's charging file, in their order."""

_HEADERS: Final = {
    "areacode": "prefix",
    "prefix": "prefix",
    "cost": "price",
    "price": "price",
    "chargeinterval": "charge_interval",
    "per": "per",
    "description": "description",
    "destination": "description",
    "network": "network",
    "setupcost": "connection_fee",
    "connectionfee": "connection_fee",
    "firstinterval": "first_interval",
    "nextinterval": "next_interval",
    "grace": "grace",
    "freeseconds": "free_seconds",
    "minimumcharge": "minimum_charge",
    "maximumcharge": "maximum_charge",
    "convention": "convention",
}
"""What the columns may be called, in small letters and without what stands between words."""

_COLUMNS: Final = [_HEADERS[name.replace("_", "")] for name in VOIPNOW]
_AMOUNTS: Final = {"price", "connection_fee", "minimum_charge", "maximum_charge"}
_SECONDS: Final = {"per", "first_interval", "next_interval", "grace", "free_seconds", "charge_interval"}
_PREFIX: Final = re.compile(r"[+]?([0-9]{1,32})", re.ASCII)
_WHOLE: Final = re.compile("[0-9]{1,9}", re.ASCII)
_BETWEEN_WORDS: Final = re.compile(r"[\s_./-]+")
_LISTED: Final = 1000

_ADVICE: Final = {
    "header": "name each column once, the prefix and the price among them",
    "too_many_fields": "there are more fields than columns",
    "missing": "give a value",
    "prefix": "write the prefix as 1 to 32 digits, the country code first",
    "repeated": "the prefix stands in an earlier row, too",
    "not_a_number": "write the amount with a point, such as 0.045",
    "too_precise": "use at most six decimal places",
    "too_large": "use a smaller amount",
    "negative": "an amount cannot be negative",
    "not_seconds": "write a whole number of seconds",
    "out_of_range": "the value is out of its range",
    "formula": "replace the formula by its value",
    "excel_damage": "a spreadsheet program changed this field: format the column as text and enter the value again",
}


def read_deck(
    source: str | os.PathLike[str] | SupportsRead,
    *,
    name: str = "default",
    valid_from: datetime | None = None,
    format: Format | None = None,  # noqa: A002 - what everybody calls it
    separator: str = ",",
    encoding: str | None = None,
    limits: Limits | None = None,
) -> RateDeck:
    r"""
    Read a price list of calls, whole or not at all.

    Without a header a row is VoipNow's *area code, cost, charge interval, description, network, setup cost, maximum
    charge*: the cost is for each charge interval, in seconds, and a maximum charge of 0 is none. With a header, a first
    row whose fields are all names of columns, these may also be the fields of `Rate` and `Tariff`: prefix, price, per,
    connection fee, first interval, next interval, grace, free seconds, minimum charge, maximum charge, convention,
    description, network, in any order. What is left empty has its default.

    Args:
        source: A path, or a file that is open in binary mode; see `read`.

        name: What the deck is called, 1 to 64 letters, digits, dots, dashes and underscores.

        valid_from: From when on it holds; an aware datetime, or None for ever.

        format: As for `read`.

        separator: As for `read`.

        encoding: As for `read`.

        limits: How much of the file is read.

    Returns:
        The deck, in the order of the file.

    Raises:
        UploadError: If rows cannot be taken, among them prefixes that come twice; it says which, and why.

        SheetError: If the file cannot be read.

        InvalidValueError: If an argument is out of its range, or the file has no rates.

    Example:
        >>> from io import BytesIO
        >>> deck = voipcard.sheets.read_deck(BytesIO(b"40,0.02,60,Romania,,0.01,\n407,0.09,1,Mobile,,,0\n"))
        >>> deck.find("40722123456").tariff.cost(90), deck.find("40213123456").tariff.cost(90)
        (Credit('8.10'), Credit('0.05'))
    """
    found = read(source, format=format, separator=separator, encoding=encoding, limits=limits)
    with closing(found):
        reader = _Reader()
        rates = list(reader.rates(found))
    if reader.problems:
        count = len({(problem.sheet, problem.row) for problem in reader.problems})
        raise UploadError(
            "rows",
            f"{count:,} rows of the price list cannot be taken; the first is {reader.problems[0]}",
            tuple(reader.problems[:_LISTED]),
            len(reader.problems),
            count,
        )

    return RateDeck(rates, name=name, valid_from=valid_from)


class _Reader:
    """
    Makes rates of rows, and keeps what is wrong with them.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._columns: Sequence[str] = _COLUMNS
        self._seen: set[str] = set()

    def rates(self, rows: Iterator[FoundRow]) -> Iterator[Rate]:
        """
        Give the rates of the rows that can be taken.
        """
        is_first = True
        for row in rows:
            if is_first and (columns := _header(row.cells)):
                self._columns = columns
                if len(set(columns)) < len(columns) or not {"prefix", "price"} <= set(columns):
                    self._note(row, "", "header")
                    return
            elif (rate := self._rate(row)) is not None:
                yield rate
            is_first = False

    def _rate(self, row: FoundRow) -> Rate | None:
        count = len(self.problems)
        if len(row.cells) > len(self._columns):
            self._note(row, "", "too_many_fields")
            return None
        fields = dict(zip(self._columns, row.cells, strict=False))
        # What is left empty has its default.
        values = {column: self._value(row, column, cell) for column, cell in fields.items() if cell != ""}
        required = {"prefix", "price", "charge_interval"}.intersection(self._columns)
        for column in sorted(required):
            if fields.get(column, "") == "":
                self._note(row, column, "missing")
        if len(self.problems) > count:
            return None
        if values["prefix"] in self._seen:
            self._note(row, "prefix", "repeated")
            return None
        self._seen.add(values["prefix"])

        return self._made(row, values)

    def _made(self, row: FoundRow, values: dict[str, Any]) -> Rate | None:
        interval = values.pop("charge_interval", None)
        if interval is not None:
            values = {"per": interval, "first_interval": interval, "next_interval": interval, **values}
            if values.get("maximum_charge") == Credit(0):  # VoipNow's way of writing that there is none.
                del values["maximum_charge"]
        rate = {key: values.pop(key) for key in ("prefix", "description", "network") if key in values}
        try:
            return Rate(**rate, tariff=Tariff(**values))
        except InvalidValueError as error:
            column = error.name if error.name in self._columns else "charge_interval"  # Of which the others are made.
            self._note(row, column, "out_of_range")

        return None

    def _value(self, row: FoundRow, column: str, cell: FoundCell) -> Any:  # noqa: ANN401  (text, amount or seconds)
        if isinstance(cell, Unusable):
            reason, value = cell.value, None
        elif isinstance(cell, datetime):
            reason, value = "excel_damage", None
        else:
            reason, value = _understood(column, cell)
        if reason:
            self._note(row, column, reason)

        return value

    def _note(self, row: FoundRow, column: str, reason: str) -> None:
        self.problems.append(Problem(row.number, column, reason, _ADVICE[reason], sheet=row.sheet))


def _header(cells: Sequence[FoundCell]) -> list[str]:
    """
    Give what stands in each column, or nothing if the first row is no header.
    """
    names = [_HEADERS.get(_BETWEEN_WORDS.sub("", cell.lower()) if isinstance(cell, str) else "") for cell in cells]

    return [name for name in names if name] if all(names) else []


def _understood(column: str, cell: str | Decimal) -> tuple[str, Any]:
    """
    Give what is wrong with a field, or nothing and what it says.
    """
    text = f"{cell:f}" if isinstance(cell, Decimal) else cell.strip()
    if column in _AMOUNTS:
        try:
            return "", checked_price(column, text)
        except AmountError as error:
            return error.reason, None
        except InvalidValueError:
            return "out_of_range", None
    if column in _SECONDS:
        return ("", int(text)) if _WHOLE.fullmatch(text) else ("not_seconds", None)
    if column == "prefix":
        prefix = _PREFIX.fullmatch(text)
        return ("", prefix[1]) if prefix else ("prefix", None)

    return "", text
