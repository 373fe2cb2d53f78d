"""
Card codes that somebody wrote into a file: what was read of it, and what became of its rows.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Sequence
from typing import Final, Literal, TypeAlias

import attrs

from voipcard.core.cards import NewCard
from voipcard.core.license import Quota
from voipcard.errors import InvalidValueError, Problem, UploadError

__all__ = ["OnError", "Upload", "UploadReport", "checked_on_error", "refused"]

OnError: TypeAlias = Literal["refuse", "skip"]
"""What becomes of a file with bad rows: it is refused, or those rows are left out."""

MAX_PROBLEM_LIMIT: Final = 10_000
"""How many problems of an upload may be listed, and how many are remembered for when it is asked for again."""

_EXISTS: Final = "the extension has a card with this code already"


def checked_on_error(on_error: OnError) -> OnError:
    """
    Accept what is to become of a file with bad rows.

    Raises:
        InvalidValueError: If it is something else.
    """
    if on_error not in ("refuse", "skip"):
        raise InvalidValueError("on_error", "has to be refuse or skip")

    return on_error


def _counted(items: Sequence[object]) -> str:
    return f"<{len(items)}>"


@attrs.frozen
class Upload:
    """
    What was read from a file: cards that can be added as they are. Its `repr` shows no code, PIN or CallerID.

    Attributes:
        cards: The cards, in the order of the file.
        rows: The row that each card stands in, counted from 1 as a spreadsheet counts.
        sheets: The first card of each sheet that has any: how many cards come before, and the number of the sheet.
        problems: What is wrong with the other rows, row by row; the first of them if there are very many.
        problem_count: How many problems there are in all.
        rejected: How many rows have one.
        warnings:
            What may be wrong but was accepted, row by row: a weak PIN, a number that may have lost leading zeros. The
            first of them if there are very many.
        warning_count: How many warnings there are in all.
        digest:
            A SHA-256 of the cards and of which rows were refused why, the same for every file that says the same,
            header, quotes and separator aside. Short codes can be guessed from it: store it only under a key.
    """

    cards: tuple[NewCard, ...] = attrs.field(repr=_counted)
    rows: tuple[int, ...] = attrs.field(repr=False)
    sheets: tuple[tuple[int, int], ...] = attrs.field(repr=False)
    problems: tuple[Problem, ...] = attrs.field(repr=_counted)
    problem_count: int
    rejected: int
    warnings: tuple[Problem, ...] = attrs.field(repr=_counted)
    warning_count: int
    digest: bytes = attrs.field(repr=False)

    def report(self, existing: Sequence[int], count: int, *, limit: int, quota: Quota) -> UploadReport:
        """
        Say what becomes of the rows where some of the cards exist already.

        Args:
            existing: Where the first of those are among the cards, in their order.

            count: How many those are in all.

            limit: How many problems to list at most.

            quota: How many codes are active with the new ones.
        """
        found = [self._exists(position) for position in existing[:limit]]
        problems = sorted([*self.problems, *found], key=lambda problem: (problem.sheet, problem.row))

        return UploadReport(
            added=len(self.cards) - count,
            rejected=self.rejected + count,
            problems=tuple(problems[:limit]),
            problem_count=self.problem_count + count,
            warnings=self.warnings,
            warning_count=self.warning_count,
            quota=quota,
        )

    def _exists(self, position: int) -> Problem:
        _, sheet = self.sheets[bisect.bisect(self.sheets, position, key=lambda start: start[0]) - 1]

        return Problem(self.rows[position], "code", "exists", _EXISTS, sheet=sheet)


@attrs.frozen
class UploadReport:
    """
    What became of the rows of an upload. A dry run and the real one report the same.

    As an iterable it gives the listed problems and warnings, row by row: what `voipcard.sheets.write` takes.

    Attributes:
        added: How many rows became cards.
        rejected: How many rows were left out because something is wrong with them.
        problems: What is wrong with those, row by row; the first of them if there are very many.
        problem_count: How many problems there are in all.
        warnings: What was accepted although it should be looked at; the first of them if there are very many.
        warning_count: How many warnings there are in all.
        quota: How many codes may be active, and how many are with the new ones.
    """

    added: int
    rejected: int
    problems: tuple[Problem, ...]
    problem_count: int
    warnings: tuple[Problem, ...]
    warning_count: int
    quota: Quota

    def __iter__(self) -> Iterator[Problem]:
        return iter(sorted([*self.problems, *self.warnings], key=lambda problem: (problem.sheet, problem.row)))


def refused(found: Upload | UploadReport) -> UploadError:
    """
    Give the error that refuses an upload because of some of its rows.
    """
    detail = "1 row was refused" if found.rejected == 1 else f"{found.rejected:,} rows were refused"

    return UploadError("rows", detail, found.problems, found.problem_count, found.rejected)
