"""
A card book as a whole: its extensions, its license, its audit trail, and whether all of it is as it was written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from types import TracebackType
from typing import NoReturn, Self

import attrs

from voipcard import auditing, checkpoints, guessing, installing, lifecycle, purging, registry, rotating, verifying
from voipcard.auditing import AuditPage
from voipcard.ciphers import Suite
from voipcard.core.arguments import Progress, checked_text
from voipcard.core.license import License, LicenseState, Quota
from voipcard.core.profiles import Profile
from voipcard.errors import InvalidValueError
from voipcard.extension import Extension
from voipcard.guessing import GuessWatch
from voipcard.providers import KeyProvider
from voipcard.rotating import Rotation
from voipcard.signing import SigningKey, VerifyKey
from voipcard.stores.contract import Store
from voipcard.trail import AuditEntry, Hook
from voipcard.transact import Engine
from voipcard.verifying import Verification

__all__ = ["CardBook"]


class CardBook:
    """
    The card codes of one installation, over all of its Calling Card extensions.

    Get one from `open_book`. A book may be used by many threads at once; after a fork, open it again.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __repr__(self) -> str:
        actor = f" for {self._engine.actor!r}" if self._engine.actor else ""

        return f"<CardBook in {self.currency}{actor}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        message = "a CardBook is bound to its process and cannot be pickled: open it again"
        raise TypeError(message)

    @property
    def id(self) -> str:
        """
        32 hexadecimal digits that no other book has: what a license is issued for.
        """
        return self._engine.facts.id

    @property
    def currency(self) -> str:
        """
        The ISO 4217 code of the currency of all amounts; `XXX` if it was never said.
        """
        return self._engine.facts.currency

    @property
    def profile(self) -> Profile:
        """
        What the book keeps of its PINs: `operator` if they can be revealed, `strict` if they never can.
        """
        return self._engine.facts.profile

    @property
    def suite(self) -> Suite:
        """
        What it seals with: `aes-256-siv` or `aes-256-gcm`.
        """
        return self._engine.facts.suite

    def close(self) -> None:
        """
        Give back what the store holds. A book in memory is gone. Closing again does nothing.
        """
        self._engine.store.close()

    def acting_as(self, actor: str) -> CardBook:
        """
        Give the same book with somebody acting, who is named in the audit trail and the recharge history.

        Args:
            actor: Who acts, at most 255 characters; not a secret.

        Raises:
            InvalidValueError: If *actor* is too long or has control characters.

        Example:
            >>> book = voipcard.open_book().acting_as("alice")
            >>> book
            <CardBook in XXX for 'alice'>
        """
        return CardBook(attrs.evolve(self._engine, actor=checked_text("actor", actor)))

    def over(self, store: Store) -> CardBook:
        """
        Give the same book through another handle on the same data, such as one that joins a transaction of yours.

        Nothing is read or written, so this is cheap enough for each request of a portal.

        Args:
            store: The handle, for instance `SQLAlchemyStore(connection)`. What is in it has to be this book.

        Example:
            >>> book = voipcard.open_book("cards.db", currency="EUR").acting_as("alice")
            >>> same = book.over(voipcard.stores.SQLiteStore("cards.db"))
            >>> same
            <CardBook in EUR for 'alice'>
            >>> same.close()
            >>> book.close()
        """
        return CardBook(self._engine.over(store))

    # Extensions

    def extension(self, number: str) -> Extension:
        """
        Give a Calling Card extension. The book knows it from its first card or label on; asking writes nothing.

        Args:
            number: Its extended number, such as `0003*215`: 1 to 64 printable ASCII characters without spaces.

        Raises:
            InvalidValueError: If *number* cannot be one.
        """
        return Extension(self._engine, registry.checked_number(number))

    def extensions(self) -> list[Extension]:
        """
        Give all extensions that the book knows, in the order of their numbers.
        """
        return [Extension(self._engine, facts.number) for facts in registry.known_extensions(self._engine)]

    def label_extension(self, number: str, label: str, *, operation: str | None = None) -> Extension:
        """
        Say what people call an extension.

        Args:
            number: The extension.

            label: At most 255 characters; empty for none.

            operation: A name of your own for this call, so that it is done only once.

        Raises:
            InvalidValueError: If *number* or *label* cannot be one.

            OperationConflictError: If *operation* was used for something else.
        """
        extension = self.extension(number)
        registry.change(self._engine, number, "label_extension", label=label, operation=operation)

        return extension

    def disable_extension(self, number: str, *, operation: str | None = None) -> Extension:
        """
        Disable an extension. Its cards are kept as they are and still count against the license.

        Args:
            number: The extension.

            operation: A name of your own for this call, so that it is done only once.

        Raises:
            InvalidValueError: If *number* cannot be one.

            OperationConflictError: If *operation* was used for something else.

        Source: VoipNow user guide, "Manage Card Codes".
        """
        extension = self.extension(number)
        registry.change(self._engine, number, "disable_extension", enabled=False, operation=operation)

        return extension

    def enable_extension(self, number: str, *, operation: str | None = None) -> Extension:
        """
        Enable an extension again. A new one is enabled.

        Args:
            number: The extension.

            operation: A name of your own for this call, so that it is done only once.

        Raises:
            InvalidValueError: If *number* cannot be one.

            OperationConflictError: If *operation* was used for something else.
        """
        extension = self.extension(number)
        registry.change(self._engine, number, "enable_extension", enabled=True, operation=operation)

        return extension

    def disable_expired(self, *, limit: int = 1000, operation: str | None = None) -> int:
        """
        Disable cards of all extensions that have expired, so that they no longer count against the license.

        Their credit stays. Changes at most *limit* cards in one commit: call it again until it returns 0. Where nothing
        has expired, nothing is written.

        Args:
            limit: How many cards at most, 1 to 1,000.

            operation: A name of your own for this call.

        Returns:
            How many cards were disabled.

        Raises:
            InvalidValueError: If *limit* is out of its range.

            OperationConflictError: If *operation* was used for something else.

        Example:
            >>> from datetime import UTC, datetime
            >>> book = voipcard.open_book()
            >>> _ = book.extension("0003*215").generate(3, expires_at=datetime(2020, 1, 1, tzinfo=UTC))
            >>> book.disable_expired(), book.disable_expired()
            (3, 0)
        """
        return lifecycle.disable_expired(self._engine, None, limit=limit, operation=operation)

    # Keys

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

    # License, audit, verification

    @property
    def license(self) -> License:
        """
        How many codes of the book may be active: the license in force. None at all where the installed one fails.
        """
        return self._engine.license()[0].in_force

    @property
    def license_state(self) -> LicenseState:
        """
        What is installed as a license, whether it holds now, and why not: what to show on a page about the license.
        """
        return self._engine.license()[0]

    @property
    def quota(self) -> Quota:
        """
        How many codes of the book may be active, are, and can still be added. Where no license holds the limit is 0.
        """
        return self._engine.quota()

    def install_license(self, license: License | str | os.PathLike[str], *, operation: str | None = None) -> Quota:
        """
        Set how many codes may be active. It holds at once, for every process that has the book open.

        A license below what is active disables nothing: until enough codes are disabled, no more can be added or
        enabled. Once a book has had a signed license it takes only signed ones that are not older.

        Args:
            license:
                The license: a number that you set yourself, as a `License`; or a signed text; or the path of a file
                with one. A signed one has to be signed by one of the `license_keys` that the book was opened with, to
                be for this book or any book, and to hold now.

            operation: A name of your own for this call, so that it is done only once.

        Returns:
            The quota under the new license.

        Raises:
            InvalidValueError: If *license* is something else.

            LicenseError: If the license does not hold. The one before stays.

            OperationConflictError: If *operation* was used for something else.

        Example:
            >>> voipcard.open_book().install_license(voipcard.License(max_active_codes=1000))
            Quota(limit=1000, active=0, remaining=1000)
        """
        installing.install(self._engine, license, operation)

        return self.quota

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

        It is called in the thread that commits, once for each entry, and what it raises is only logged: what was
        committed stays. Best effort: a process that dies after a commit calls nothing any more, and what other
        processes commit is not told here. For what must not be missed use `audit_page`.

        A book that has joined a transaction of yours waits with it until `release_hooks`.

        Args:
            hook: Takes an `AuditEntry`, which has no secrets.

        Raises:
            InvalidValueError: If *hook* cannot be called.

        Example:
            >>> book = voipcard.open_book()
            >>> book.on_commit(lambda entry: print(entry.verb, entry.detail["after"]["label"]))
            >>> _ = book.label_extension("0003*215", "Main")
            label_extension Main
        """
        if not callable(hook):
            raise InvalidValueError("hook", "has to be something that can be called with an AuditEntry")
        self._engine.trail.hooks.add(hook)

    def release_hooks(self) -> None:
        """
        Call the hooks with what was committed in a transaction of yours, once that has been committed.

        Do not call it where the transaction was rolled back: what waits is forgotten with this book. Without a joined
        transaction nothing waits, and this does nothing.
        """
        self._engine.trail.release()

    def watch_guessing(self) -> GuessWatch:
        """
        Tell how many attempts to get in failed since this was asked last, and whether that is alarming.

        Call it every minute or so, from one place. An alarm is in the audit trail, and locks nobody out.

        Returns:
            The figures. It is alarming if there are more than 50 failures a minute and ten times as many as usual.

        Example:
            >>> voipcard.open_book().watch_guessing().alarm
            False
        """
        return guessing.watch(self._engine)

    def purge_expired(self, *, limit: int = 1000) -> int:
        """
        Remove what the book keeps only for a time and has kept for long enough, such as how often somebody guessed.

        It keeps the book small and changes nothing that anybody can see, so it leaves no entry in the audit trail.
        Cards that have expired stay. Call it again until it returns 0, and all of that every hour or so. Others may go
        on working: each call is one commit, and what was renewed meanwhile stays, as does what was changed from
        outside, for `verify` to find.

        Args:
            limit: How many documents are removed at most, 1 to 10,000.

        Returns:
            How many were removed.

        Raises:
            InvalidValueError: If *limit* is something else.

        Example:
            >>> book = voipcard.open_book()
            >>> while book.purge_expired():
            ...     pass
        """
        return purging.purge(self._engine, limit)

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

            checkpoint: What `checkpoint` gave before: then it is also found if all of the book is older than that.

            keys: The public halves of the keys that may have signed it.

        Returns:
            What was gone over and what was found; nothing is raised for it.

        Raises:
            SignatureError: If none of *keys* signed the checkpoint, or if it is another book's.

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
