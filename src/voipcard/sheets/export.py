"""
Values to files: what `voipcard.sheets.write` does.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from functools import partial
from itertools import chain, islice
from typing import Any, BinaryIO, Final, Protocol, TypeAlias, cast

from voipcard.core.arguments import Progress
from voipcard.core.cards import CardCode, Handout
from voipcard.core.cdrs import RejectedCall, Settlement
from voipcard.core.ledger import LedgerEntry
from voipcard.core.reports import ChargedCall, Report, RevealedCall
from voipcard.core.uploads import UploadReport
from voipcard.errors import InvalidValueError, Problem, SheetError
from voipcard.sheets import csv, files
from voipcard.sheets.reading import Format
from voipcard.sheets.rows import HANDOUTS, Cell, Table, table_of

__all__ = ["refuse_unfit", "write", "write_new", "write_table"]

_CHUNK: Final = 250
"""How many values are in memory at a time, in all their forms: more of them are no faster."""

_TOLD_EVERY: Final = 1000
"""After how many rows progress is told: a multiple of those that are taken at a time."""

_Place: TypeAlias = str | os.PathLike[str] | files.SupportsWrite


class _Writer(Protocol):
    def append(self, columns: Sequence[Sequence[Cell]]) -> None: ...
    def finish(self) -> None: ...
    def discard(self) -> None: ...


_NewWriter: TypeAlias = Callable[[BinaryIO, Table], _Writer]


def write(
    target: _Place,
    values: Iterable[Handout]
    | Iterable[CardCode]
    | Iterable[LedgerEntry]
    | Iterable[ChargedCall]
    | Iterable[RevealedCall]
    | Iterable[Problem]
    | Iterable[RejectedCall]
    | Report[Any]
    | UploadReport
    | Settlement,
    *,
    columns: Sequence[str] | None = None,
    format: Format | None = None,  # noqa: A002 - what everybody calls it
    separator: str = ",",
    dialect: csv.Dialect = "guarded",
    progress: Progress | None = None,
) -> int:
    """
    Write cards, hand-outs, ledger entries, calls, a report or problems of an upload to a CSV file or an Excel workbook.

    Hand-outs show codes and PINs in clear text; cards are written as lists show them, masked. Whoever opens the file in
    Excel should be given a workbook, where codes stay text: from a CSV file Excel drops leading zeros and all digits
    after the fifteenth. What does not fit on one sheet goes on on another.

    A file that is named by its path is written beside its place, readable by its owner only, and put there when it is
    complete and on the disk: a crash leaves the old file, or none. Clear text is written nowhere else; a process that
    is killed leaves it beside the place, in a file named `.voipcard-*.tmp`. Where the path is a link, the link is
    replaced.

    Args:
        target:
            A path that ends in `.csv` or `.xlsx`, where an existing file is replaced; or a file that is open in binary
            mode, such as the response of a web framework, which is left open.

        values: A `Batch`, a search, a history, calls, a `Report`, the report of an upload, a `Settlement` or any other
            iterable of one kind of value; it is read once, as a stream. Without any value the file has only a header:
            its own for a `Report` and for calls, that of hand-outs for a `Batch`, that of problems for the report of an
            upload, that of rejected calls for a `Settlement`, else that of the card list. A `Report` is written without
            its total, so that nothing is summed twice. Rejected calls show the numbers that were called.

        columns:
            Which columns, from left to right; None for all. Of cards, those of VoipNow's list come first: `status`,
            `code`, `pin`, `total_credit`, `available`, `created_at`, `serial`, `type`, `order_number`,
            `recharge_count`, `first_used_at`, `expires_at`, `labels`, `batch`, `extension`. Of hand-outs: `serial`,
            `code`, `pin`, `credit`, `order_number`, `type`, `extension`. Of a history: `order_number`, `amount`,
            `credit_left`, `created_at`, `serial`, `type`, `actor`, `batch`, `extension`. Of calls: `started_at`,
            `serial`, `destination` (or `number`, where it was revealed), `seconds`, `charged_seconds`, `price`, `cost`,
            `shortfall`, `credit_left`, `deck`, `charged_at`, `batch`, `extension`. Of a `Report`: what its rows have.

        format: `csv` or `xlsx`; None to go by the end of the path.

        separator: What stands between the fields of a CSV file: one character.

        dialect:
            `guarded` for people: in a CSV file an apostrophe is put wherever a spreadsheet program could see a text, or
            what stands behind a separator or line break in it, begin like a formula. The file says so, and `read` takes
            it off. `plain` for programs: texts as they are, no byte order mark, and quotes only where they are needed.
            Workbooks need no guard.

        progress: Called after every thousand rows and at the end with how many were written and, if known, of how many.

    Returns:
        The number of rows written, without headers.

    Raises:
        SheetError: If a path has another suffix, the file cannot be written there, or a text cannot be written at all.

        InvalidValueError: If *values* are of another kind, or of several, or another argument is out of its range.

    Example:
        >>> book = voipcard.open_book()
        >>> batch = book.extension("0003*215").generate(2, credit="10.00", order_number="PO-117")
        >>> voipcard.sheets.write("po-117.xlsx", batch)
        2

    Source: VoipNow user guide, "Manage Card Codes" and "Manage Card Codes Credit".
    """
    new_writer = _new_writer(target, format, separator, dialect)
    if not isinstance(values, Iterable):
        raise InvalidValueError("values", "have to be an iterable")
    total = len(values) if isinstance(values, Sized) else None
    chunks = _chunks(values)
    # Taken before the file is made, so that a search which fails at once leaves no trace.
    first = next(chunks, [])
    table = table_of(values, first[0] if first else None).chosen(columns)

    return _written(target, table, chain([first], chunks), new_writer=new_writer, total=total, progress=progress)


def write_table(
    target: _Place,
    table: Table,
    values: Iterable[object],
    *,
    total: int | None,
    columns: Sequence[str] | None,
    format_: Format | None,
    separator: str,
    dialect: csv.Dialect,
    progress: Progress | None,
) -> int:
    """
    Write values whose table is known. The first of them is wanted when all else is accepted, before there is a file.
    """
    new_writer = _new_writer(target, format_, separator, dialect)
    chosen = table.chosen(columns)
    chunks = _chunks(values)
    first = next(chunks, [])

    return _written(target, chosen, chain([first], chunks), new_writer=new_writer, total=total, progress=progress)


def refuse_unfit(file: files.NewFile, format_: Format | None) -> None:
    """
    Refuse a file of which nothing says in which format it should be.

    Raises:
        SheetError: If its name ends in no format.

        InvalidValueError: If there is no such format.
    """
    _new_writer(file.path, format_, ",", "guarded")


def write_new(file: files.NewFile, handouts: Iterable[Handout], *, format_: Format | None) -> None:
    """
    Write hand-outs where there is no file yet, as `write` does otherwise.

    Raises:
        SheetError: If there is one, or it cannot be made.
    """
    new_writer = _new_writer(file.path, format_, ",", "guarded")
    _written(file, HANDOUTS, _chunks(handouts), new_writer=new_writer, total=None, progress=None)


def _new_writer(target: _Place, format_: Format | None, separator: str, dialect: csv.Dialect) -> _NewWriter:
    """
    Find out how to write.

    Raises:
        SheetError: If nothing says in which format.

        InvalidValueError: If an argument is out of its range.
    """
    csv.checked_separator(separator)
    if dialect not in ("guarded", "plain"):
        raise InvalidValueError("dialect", "has to be guarded or plain")
    if isinstance(target, str | os.PathLike):
        path = files.path_of(target)
        if format_ is None and path.suffix.lower() not in {".csv", ".xlsx"}:
            raise SheetError("suffix", f"{path.name} ends neither in .csv nor in .xlsx")
        wanted = format_ or path.suffix.lower().removeprefix(".")
    elif hasattr(target, "write"):
        files.refuse_closed("target", target)
        wanted = format_ or "none"
    else:
        raise InvalidValueError("target", "has to be a path, or a file that is open in binary mode")
    if wanted not in ("csv", "xlsx"):
        raise InvalidValueError("format", "has to be csv or xlsx; only the end of a path can tell it otherwise")

    if wanted == "csv":
        return partial(csv.Writer, separator=separator, dialect=dialect)
    from voipcard.sheets import xlsx

    return xlsx.Writer


def _written(
    target: _Place | files.NewFile,
    table: Table,
    chunks: Iterable[list[object]],
    *,
    new_writer: _NewWriter,
    total: int | None,
    progress: Progress | None,
) -> int:
    rows = 0
    with _opened(target) as (stream, name):
        writer = new_writer(stream, table)
        try:
            for chunk in chunks:
                with files.write_refusals(name):
                    writer.append(table.cells(chunk))
                rows += len(chunk)
                if progress and rows % _TOLD_EVERY == 0:
                    progress(rows, total)
            if progress and rows % _TOLD_EVERY:
                progress(rows, total)
            with files.write_refusals(name):
                writer.finish()
        except BaseException:
            if isinstance(stream, files.Target):
                stream.give_up()
            writer.discard()
            raise

    return rows


@contextlib.contextmanager
def _opened(target: _Place | files.NewFile) -> Iterator[tuple[BinaryIO, str]]:
    if isinstance(target, files.NewFile):
        with target.writing() as stream:
            yield stream, str(target.path)
    elif isinstance(target, str | os.PathLike):
        path = files.path_of(target)
        with files.replacing(path) as stream:
            yield stream, str(path)
    else:
        yield cast("BinaryIO", files.Target(target, "that was given")), "that was given"


def _chunks(values: Iterable[object]) -> Iterator[list[object]]:
    remaining = iter(values)
    while chunk := list(islice(remaining, _CHUNK)):
        yield chunk
