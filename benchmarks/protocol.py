"""
What a worker and the two sides of a line agree on: what a side is given, and what one block of its work answers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

__all__ = ["Block", "Done", "Facts", "Parameters", "Prepare", "facts_file"]


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Done:
    """
    What one block of work did. The functions are called when the clock has stopped.

    Attributes:
        operations: How many operations it was.
        answer: Gives what came out, which has to be the same on both sides.
        notes: Gives figures of this side alone, such as how fair threads were to each other.
        seconds: How long it took, if a program did the work that tells it itself; None for what the clock says.
    """

    operations: int
    answer: Callable[[], object] = _nothing
    notes: Callable[[], Mapping[str, float]] = dict
    seconds: float | None = None


Block: TypeAlias = Callable[[], Done]


@dataclass(frozen=True)
class Facts:
    """
    What has to be known of a book to use it: also its secrets, so the file with them is readable by its owner only.

    Attributes:
        extension: The number of the extension that all cards are in.
        serials: The serials of a sample of the cards, in random order.
        codes: Their codes.
        pins: Their PINs.
        keys: Keys that the library derived, in hexadecimal: `code` and `pin` unseal, `pin_mac` authenticates a PIN.
        position: Where the last full page begins: a moment, and the id of a card in hexadecimal.
    """

    extension: str
    serials: Sequence[str]
    codes: Sequence[str]
    pins: Sequence[str]
    keys: Mapping[str, str]
    position: tuple[int, str]


def facts_file(book: Path) -> Path:
    """
    Name the file that tells the facts of a book.
    """
    return book.with_suffix(".json")


@dataclass(frozen=True, kw_only=True)
class Parameters:
    """
    What one side of a line is given.

    Attributes:
        folder: A folder of this worker alone.
        size: How many cards the line is about.
        block: How many operations one block has.
        book:
            The book that both sides share and must not change; None for lines that need none. Where the book is on a
            server, only what is beside it.
        database: The address of a database of this side alone, with a copy of the book; empty for lines without server.
        options: What the line says about this side.
    """

    folder: Path
    size: int
    block: int
    book: Path | None = None
    database: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shared_book(self) -> Path:
        """
        The book that both sides share.

        Raises:
            LookupError: If the line has none.
        """
        if self.book is None:
            message = "the line has no book"
            raise LookupError(message)

        return self.book

    def facts(self) -> Facts:
        """
        Read what has to be known of the book.
        """
        return Facts(**json.loads(facts_file(self.shared_book).read_text()))


Prepare: TypeAlias = Callable[[Parameters], Block]
"""What each module of `ours` and `baselines` has under this name: it sets up, and gives the block to repeat."""
