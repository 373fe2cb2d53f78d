"""
The keys of a book that is in use: new ones, and others to protect them.
"""

from __future__ import annotations

from voipcard import rotating
from voipcard.book.bound import Bound
from voipcard.core.arguments import Progress
from voipcard.providers import KeyProvider
from voipcard.rotating import Rotation

__all__ = ["WithKeys"]


class WithKeys(Bound):
    """
    Has keys.
    """

    def rotate_keys(
        self, *, limit: int = 1000, operation: str | None = None, progress: Progress | None = None
    ) -> Rotation:
        """
        Seal and index cards anew, under a new key: begin with it, or go on where the call before stopped.

        Call it until nothing is left. Everything goes on meanwhile, in this process and in others, and a process that
        dies in between does no harm: any other may go on. That it began and that it ended is in the audit trail. The
        credit of no card changes, its version does.

        Once nothing is left, the next call begins another rotation, unless it has the same *operation*.

        Args:
            limit: How many cards to go over at most, 1 or more. At most 1,000 of them are in a commit.

            operation:
                A name of your own for this rotation, so that it is done only once. Calls that go on with it have the
                same one.

            progress: Is told after every commit how many cards the rotation has gone over, and of how many.

        Returns:
            The number of the new key, how many cards are sealed anew by now, and about how many are left.

        Raises:
            TamperedError: If a card was changed from outside. It stays where it is, and so does the rotation.

            KeyMissingError: If the key that protects the keys is not there.

            KeyMismatchError: If it is another one.

            JoinedStoreError: If the book is used within a transaction of yours.

            InvalidValueError: If *limit* is out of its range.

        Example:
            >>> book = voipcard.open_book()
            >>> _ = book.extension("0003*215").generate(3)
            >>> book.rotate_keys(limit=2, operation="2026")
            Rotation(key=2, done=2, left=1)
            >>> book.rotate_keys(limit=2, operation="2026")
            Rotation(key=2, done=3, left=0)
        """
        return rotating.rotate(self._engine, limit=limit, operation=operation, progress=progress)

    def change_key(self, key: KeyProvider, *, operation: str | None = None) -> None:
        """
        Protect the keys of the book by another key. The one before does not open it any more.

        No card is sealed anew: that is `rotate_keys`. Other processes that have the book open go on until they need a
        key that they do not know; open it again there, with the new key, before the next rotation.

        Args:
            key:
                What protects the keys from now on. It is tried first: nothing is written unless it gives back what it
                wraps.

            operation: A name of your own for this call, so that it is done only once.

        Raises:
            KeyMissingError: If there is no key.

            KeyMismatchError: If it does not give back what it wraps.

            InvalidValueError: If *key* is no key provider.

            JoinedStoreError: If the book is used within a transaction of yours.

            OperationConflictError: If *operation* was used for something else.

        Example:
            >>> book = voipcard.open_book("moving.db", currency="EUR")
            >>> key = voipcard.KeyFile("elsewhere.key")
            >>> key.create()
            >>> book.change_key(key)
            >>> book.close()
            >>> voipcard.open_book("moving.db", key=key).close()
        """
        rotating.change_key(self._engine, key, operation=operation)
