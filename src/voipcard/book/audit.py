"""
What was done to a book, and whether all of it is as it was written.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from datetime import datetime

from voipcard import auditing, checkpoints, verifying
from voipcard.auditing import AuditPage
from voipcard.book.bound import Bound
from voipcard.core.arguments import Progress
from voipcard.errors import InvalidValueError
from voipcard.signing import SigningKey, VerifyKey
from voipcard.trail import AuditEntry, Hook
from voipcard.verifying import Verification

__all__ = ["WithAuditTrail"]


class WithAuditTrail(Bound):
    """
    Has an audit trail.
    """

    def audit_trail(
        self, *, created_from: datetime | None = None, created_before: datetime | None = None
    ) -> Iterator[AuditEntry]:
        """
        Give what was done to the book up to now, oldest first, without secrets.

        It reads the audit trail from its beginning, whatever part of it is asked for. To follow what is done, use
        `audit_page`.

        Args:
            created_from: Only what was done at this moment or later; an aware datetime.

            created_before: Only what was done before this moment; an aware datetime.

        Raises:
            InvalidValueError: If a moment is not aware.

            TamperedError: If an entry was changed from outside, taken away, put in or moved.

        Example:
            >>> book = voipcard.open_book().acting_as("alice")
            >>> _ = book.label_extension("0003*215", "Main")
            >>> [f"{entry.actor} {entry.verb}" for entry in book.audit_trail()]
            ['alice label_extension']
        """
        return auditing.audit_trail(self._engine, created_from, created_before)

    def audit_page(self, *, limit: int = 1000, cursor: str | None = None) -> AuditPage:
        """
        Give what was done to the book since somebody last asked: a feed that misses nothing and repeats nothing.

        Each entry comes exactly once, also one that a slow process commits after later ones were read. A page is about
        in the order of time, and one entry that was committed late may be older than what an earlier page had.

        Args:
            limit: How many entries at most, 1 to 10,000.

            cursor:
                The `next_cursor` of the page before; None to begin with the first entry of the book. It is a text of up
                to 7,000 characters, to be kept together with what was done about the entries.

        Returns:
            The page. With no entries if there is nothing new; its cursor can be used again later.

        Raises:
            CursorError: If the cursor is damaged, or of another book.

            TamperedError:
                If an entry was changed from outside, taken away, put in or moved, or if the book is one that was
                restored to what it was before the cursor was given.

        Example:
            >>> book = voipcard.open_book()
            >>> page = book.audit_page()
            >>> _ = book.label_extension("0003*215", "Main")
            >>> page = book.audit_page(cursor=page.next_cursor)
            >>> [entry.verb for entry in page.entries]
            ['label_extension']
            >>> book.audit_page(cursor=page.next_cursor).entries
            ()
        """
        return auditing.audit_page(self._engine, limit, cursor)

    def on_commit(self, hook: Hook) -> None:
        """
        Call *hook* with each audit entry after it was committed by this book, whoever acts.

        It is called in the thread whose call it was, before that returns, once for each entry, and what it raises is
        only logged: what was committed stays. It may use the book, and keeps no other thread waiting.

        Best effort: a process that dies after a commit calls nothing any more, and what other processes commit is not
        told here. For what must not be missed use `audit_page`.

        A book that has joined a transaction of yours waits with it until `release_hooks`.

        Args:
            hook: Takes an `AuditEntry`, which has no secrets.

        Raises:
            InvalidValueError: If *hook* cannot be called, or would have to be awaited.

        Example:
            >>> book = voipcard.open_book()
            >>> book.on_commit(lambda entry: print(entry.verb, entry.detail["after"]["label"]))
            >>> _ = book.label_extension("0003*215", "Main")
            label_extension Main
        """
        # Nobody would await what a coroutine function gives.
        if not callable(hook) or inspect.iscoroutinefunction(hook):
            raise InvalidValueError("hook", "has to be a function to be called with an AuditEntry, not a coroutine")
        self._engine.trail.hooks.add(hook)

    def release_hooks(self) -> None:
        """
        Call the hooks with what was committed in a transaction of yours, once that has been committed.

        Do not call it where the transaction was rolled back: what waits is forgotten with this book. Without a joined
        transaction nothing waits, and this does nothing.
        """
        self._engine.trail.release()

    def checkpoint(self, key: SigningKey) -> str:
        """
        Give a signed text that says what the book is now, to be kept where nobody who can write to the book can.

        Whoever can restore the whole file to what it was yesterday can undo a recharge without any trace in it.
        `verify` finds that with a checkpoint from before.

        Args:
            key: Who signs it. It belongs on another machine than the book; keep the text and not the key with others.

        Returns:
            Up to 40,000 ASCII characters. They tell no more about the book than its id and how much was done.

        Raises:
            InvalidValueError: If *key* is something else.

            TamperedError: If the head of a lane of the audit trail was changed from outside.

        Example:
            >>> book = voipcard.open_book()
            >>> key = voipcard.SigningKey.generate("audit-2026")
            >>> book.checkpoint(key).splitlines()[0]
            'voipcard-checkpoint-1'
        """
        return checkpoints.checkpoint(self._engine, key)

    def verify(
        self, *, progress: Progress | None = None, checkpoint: str | None = None, keys: Iterable[VerifyKey] = ()
    ) -> Verification:
        """
        Go over the whole book: every record, sealed value, ledger entry, document, counter and audit entry.

        What was edited, put in, deleted, moved or cut off is found, and a card that is again what it was before. Others
        may go on working; then what is missing in all of the cards, entries or documents is found only where it is more
        than they do meanwhile. Reads a few rows at a time, and writes nothing.

        Args:
            progress: Is told how many cards were gone over, and of how many.

            checkpoint:
                What `checkpoint` gave before: then it is also found if all of the book is older than that, or a lane of
                the audit trail with all that was committed through it.

            keys: The public halves of the keys that may have signed it.

        Returns:
            What was gone over and what was found; nothing is raised for it.

        Raises:
            SignatureError: If none of *keys* signed the checkpoint, or if it is another book's.

            StoreError: If a row is so damaged that the database cannot give it.

        Example:
            >>> book = voipcard.open_book()
            >>> key = voipcard.SigningKey.generate("audit-2026")
            >>> text = book.checkpoint(key)
            >>> _ = book.extension("0003*215").generate(3, credit="10.00")
            >>> report = book.verify(checkpoint=text, keys=[key.verify_key])
            >>> report.ok, report.cards, report.entries
            (True, 3, 3)
        """
        return verifying.verify(self._engine, progress, checkpoint=checkpoint, keys=keys)
