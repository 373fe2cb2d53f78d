"""
The file with the hand-outs of new cards, which is whole and on the disk before the cards are in the book.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import attrs

from voipcard.core.batches import Batch
from voipcard.deciding import Decision, Reading
from voipcard.errors import InvalidValueError, SheetError, VoipcardError
from voipcard.stores.contract import CardRecord, EntryRecord

if TYPE_CHECKING:
    from voipcard.sheets import Format

__all__ = ["HandoutFile"]


class HandoutFile:
    """
    A file of hand-outs that is written before a batch is committed, and taken back where the commit is refused.

    At every moment it holds that where the cards are in the book, the file is whole on the disk. Therefore it stays
    where nobody can tell whether the cards are there.

    Args:
        to: The path of the file. Whatever is there already is never written over.

        format_: `csv` or `xlsx`; None to go by the end of the path.

        keeps_pins: Whether the book can tell the PINs once more.

    Raises:
        SheetError: If there can be no such file.

        InvalidValueError: If *to* is no path, or there is no such format.
    """

    def __init__(self, to: str | os.PathLike[str], format_: Format | None, *, keeps_pins: bool) -> None:
        from voipcard.sheets import export, files

        if not isinstance(to, str | os.PathLike):
            raise InvalidValueError("to", "has to be a path")
        self._file: Final = files.NewFile(files.path_of(to))
        self._format: Final = format_
        self._keeps_pins: Final = keeps_pins
        self._cards: _Read | None = None
        export.refuse_unfit(self._file, format_)

    @contextmanager
    def kept_unless_refused(self) -> Generator[None]:
        """
        Take the file back if the cards are certainly not in the book.
        """
        try:
            yield
        except BaseException as error:
            # An interruption may come when all is committed; not so what was raised while the store read the cards.
            was_read = self._cards is None or self._cards.failure is not error
            if (isinstance(error, VoipcardError) and not getattr(error, "maybe_applied", False)) or not was_read:
                self._file.take_back()
            raise

    def written(self, decide: Callable[[Reading], Decision[Batch]]) -> Callable[[Reading], Decision[Batch]]:
        """
        Give a rule that decides the same, and writes the file for what it decided.
        """

        def decide_and_write(reading: Reading) -> Decision[Batch]:
            # What was decided before was refused, or this would not be asked again.
            self._file.take_back()
            self._file.refuse_occupied()
            decision = decide(reading)
            if decision.changes is None:
                return decision
            self._write(decision.answer)
            self._cards = _Read(decision.changes.new)

            return attrs.evolve(decision, changes=attrs.evolve(decision.changes, new=self._cards))

        return decide_and_write

    def written_again(self, replay: Callable[[Mapping[str, Any]], Batch]) -> Callable[[Mapping[str, Any]], Batch]:
        """
        Give what answers the same, and writes the file where there is none.

        Raises:
            SheetError: If there is none, and the PINs that should be in it are not kept.
        """

        def replay_and_write(memo: Mapping[str, Any]) -> Batch:
            self._file.take_back()
            is_there = self._file.exists
            if not (is_there or self._keeps_pins):
                detail = "these cards were made before, and their PINs are only in the file that was written then"
                raise SheetError("not_kept", detail)
            batch = replay(memo)
            if batch.id and not is_there:
                self._write(batch)

            return batch

        return replay_and_write

    def _write(self, batch: Batch) -> None:
        from voipcard.sheets import export

        export.write_new(self._file, batch, format_=self._format)


class _Read:
    """
    New cards, and why they could not be read.
    """

    def __init__(self, cards: Iterable[tuple[CardRecord, EntryRecord]]) -> None:
        self._cards: Final = cards
        self.failure: BaseException | None = None

    def __iter__(self) -> Iterator[tuple[CardRecord, EntryRecord]]:
        try:
            yield from self._cards
        except GeneratorExit:
            raise
        except BaseException as error:
            self.failure = error
            raise
