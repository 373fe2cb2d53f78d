"""
Batches as a whole: freezing and labeling what was made together.
"""

from __future__ import annotations

from collections.abc import Iterable

from voipcard import batches
from voipcard.core.batches import BatchFacts
from voipcard.extension.bound import Bound

__all__ = ["Batching"]


class Batching(Bound):
    """
    Knows the batches.
    """

    def batches(self) -> list[BatchFacts]:
        """
        Give what the book knows of the batches of the extension, in the order in which they were made.

        Reads one document for each batch of the book. A batch stays known when its cards are removed.

        Raises:
            TamperedError: If a document was changed from outside.
        """
        return batches.known_batches(self._engine, self.number)

    def batch(self, id: str) -> BatchFacts:
        """
        Give what the book knows of a batch.

        Args:
            id: Its id: the first part of its cards' serials.

        Raises:
            UnknownBatchError: If the extension has no such batch.

            TamperedError: If its document was changed from outside.

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> facts = extension.batch(extension.generate(500).id)
            >>> facts.size, facts.enabled, facts.labels
            (500, True, ())
        """
        return batches.facts_of(self._engine, self.number, id)

    def disable_batch(self, id: str, *, operation: str | None = None) -> BatchFacts:
        """
        Freeze a batch: none of its cards can be used until it is enabled again. One write, however many cards it has.

        The cards stay as they are: a card can be used where it and its batch are enabled. So those that are enabled
        still count against the license; `disable` them for that.

        Args:
            id: Its id: the first part of its cards' serials.

            operation: A name of your own for this call.

        Returns:
            What the book knows of it now.

        Raises:
            UnknownBatchError: If the extension has no such batch.

            OperationConflictError: If *operation* was used for something else.

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> batch = extension.generate(500)
            >>> extension.disable_batch(batch.id).enabled
            False
            >>> extension.quota.active
            500
        """
        return batches.switch(self._engine, self.number, id, enabled=False, operation=operation)

    def enable_batch(self, id: str, *, operation: str | None = None) -> BatchFacts:
        """
        Let the cards of a batch be used again, as far as they are enabled themselves. A new batch is enabled.

        Args:
            id: Its id: the first part of its cards' serials.

            operation: A name of your own for this call.

        Returns:
            What the book knows of it now.

        Raises:
            UnknownBatchError: If the extension has no such batch.

            OperationConflictError: If *operation* was used for something else.
        """
        return batches.switch(self._engine, self.number, id, enabled=True, operation=operation)

    def label_batch(
        self, id: str, *, add: Iterable[str] = (), remove: Iterable[str] = (), operation: str | None = None
    ) -> BatchFacts:
        """
        Add labels to a batch and remove others. One write, however many cards it has; their own labels stay.

        Args:
            id: Its id: the first part of its cards' serials.

            add: Labels, at most 100 of 1 to 255 characters. One that it has already stays where it is.

            remove: Labels to remove if it has them.

            operation: A name of your own for this call.

        Returns:
            What the book knows of it now.

        Raises:
            UnknownBatchError: If the extension has no such batch.

            InvalidValueError: If a label cannot be one, if there is none, or if it would have more than 100.

            OperationConflictError: If *operation* was used for something else.

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> extension.label_batch(extension.generate(500).id, add=["shipped"]).labels
            ('shipped',)
        """
        return batches.label(self._engine, self.number, id, add=add, remove=remove, operation=operation)
