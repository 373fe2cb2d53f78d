"""
Cards that were made together: as the caller gets them, and what the book knows of them later.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import overload

import attrs

from voipcard.core.cards import Handout
from voipcard.core.expiry import Expiry
from voipcard.core.uploads import UploadReport

__all__ = ["Batch", "BatchFacts"]


@attrs.frozen
class Batch(Sequence[Handout]):
    """
    Cards that were made together, as a sequence of hand-outs.

    Two batches are equal if they say the same about the cards, so that the answer of a dry run equals the answer of
    the real one. What only the real run draws (the id and the hand-outs) is left out of that comparison.

    Attributes:
        id: The first part of the cards' serials; empty after a dry run.
        extension: The number of the Calling Card extension.
        size: How many cards were made.
        handouts: The codes and PINs; empty after a dry run.
        report: What became of the rows of an upload; None for cards that were made in another way.
        replayed: Whether the operation had been done before and this is its first result again.
    """

    id: str = attrs.field(eq=False)
    extension: str
    size: int
    handouts: Sequence[Handout] = attrs.field(eq=False, repr=False)
    report: UploadReport | None = None
    replayed: bool = attrs.field(default=False, eq=False)

    @overload
    def __getitem__(self, position: int) -> Handout: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[Handout]: ...
    def __getitem__(self, position: int | slice) -> Handout | Sequence[Handout]:
        return self.handouts[position]

    def __iter__(self) -> Iterator[Handout]:
        return iter(self.handouts)

    def __len__(self) -> int:
        return len(self.handouts)


@attrs.frozen
class BatchFacts:
    """
    What the book knows of a batch besides its cards.

    Attributes:
        id: The first part of the cards' serials.
        extension: The number of the Calling Card extension.
        size: How many cards were made, those that were removed since included.
        created_at: When they were made, in UTC.
        enabled:
            Whether its cards can be used as far as they are enabled themselves. Those count against the license in any
            case.
        labels: Words that people attached to the batch; those of its cards are theirs.
        expiry: When its cards expire, as it was given when they were made; None for never.
        version: How often this was written.
    """

    id: str
    extension: str
    size: int
    created_at: datetime
    enabled: bool
    labels: tuple[str, ...]
    expiry: Expiry | None
    version: int = attrs.field(repr=False)
