"""
The async twins of `CardBook` and `Extension`, for asyncio and trio.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, Self, Unpack

from voipcard import opening
from voipcard.book import CardBook
from voipcard.core.arguments import Progress
from voipcard.core.batches import Batch
from voipcard.core.cards import CardCode, Handout, NewCard
from voipcard.core.codes import CodeFormat
from voipcard.core.credit import Amount
from voipcard.core.drawing import RandomSource
from voipcard.core.ledger import LedgerEntry
from voipcard.core.license import License, Quota
from voipcard.core.pins import PinFormat
from voipcard.core.policy import Policy
from voipcard.core.query import CardQuery
from voipcard.core.uploads import OnError
from voipcard.crossing import Crossing, Items, ThroughConnection, ThroughThreads
from voipcard.editing import Cards
from voipcard.extension import Extension
from voipcard.keyring import KeyProvider
from voipcard.searching import CardFilters, Page
from voipcard.stores.contract import Store
from voipcard.transact import AuditEntry, Clock
from voipcard.verifying import Verification

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from voipcard.sheets import Dialect, Format, Limits, SupportsRead, SupportsWrite
    from voipcard.stores import Tables

__all__ = ["AsyncCardBook", "AsyncExtension", "open_book"]


# From open_book, by scripts/generate_aio.py


async def open_book(
    place: str | os.PathLike[str] | Store | None = None,
    *,
    currency: str | None = None,
    key: KeyProvider | None = None,
    license: License | None = None,
    policy: Policy | None = None,
    clock: Clock | None = None,
    source: RandomSource = os.urandom,
    threads: int = 40,
) -> AsyncCardBook:
    """
    Open a card book, or make a new one.

    Args:
        place:
            The path of an SQLite file, which is made with the permissions 0600 if it does not exist; or the URL of a
            database, such as `postgresql+psycopg://user@host/cards`, in which the tables are made if they are not
            there; or a store; or None for a book in memory that is gone when it is closed.

        currency:
            The ISO 4217 code of the currency of all amounts, such as `EUR`. Needed once, for a new book with a place;
            later it is checked if it is given.

        key:
            What protects the book's keys. For a path it may be left out: then it is a file beside the database, named
            like it with `.key` at the end, and made for a new book. The two must not share a backup.

        license:
            How many codes may be active. It is stored in the book if it differs from the one there, so that it holds
            for every process. None leaves the book's own; a new book has no limit.

        policy: What is refused as too easily guessed; None for the defaults of `Policy`.

        clock: Where time comes from: gives an aware datetime. None for the system's clock.

        source: Where codes, PINs and batch ids come from: gives so many random bytes. Keys never come from here.

        threads: How many calls may be under way at once, 1 or more; the others wait.

    Returns:
        The book. Close it, or use it in an `async with` block.

    Raises:
        CurrencyError: If the book is new and has no currency, or is kept in another one.

        KeyMissingError: If the book exists and its key does not. Nothing was written.

        KeyMismatchError: If the key is another one. Nothing was written.

        NotABookError: If the file is something else.

        SchemaError: If the book was written by a newer release.

        StoreError: If the file cannot be opened or made.
    """
    crossing = ThroughThreads(threads)
    book = await crossing.made(
        CardBook.close,
        opening.open_book,
        place,
        currency=currency,
        key=key,
        license=license,
        policy=policy,
        clock=clock,
        source=source,
    )

    return AsyncCardBook(book, crossing)


# Up to here


class AsyncCardBook:
    """
    The async twin of `CardBook`: the card codes of one installation. Get one from `voipcard.aio.open_book`.

    Each method does what the one of the same name does there, in a worker thread of the book's own, with the same
    arguments, answers and refusals. What has to be looked up is a method here, also where it is an attribute there:
    `await book.quota()`.

    Any number of tasks of one event loop may use a book at once. As many of their calls as the book has threads are
    under way; the others wait. Progress is told in the worker thread, and an iterable is iterated over there. After a
    fork, open the book again.

    A call that is cancelled lets go of its caller at once. If its thread has not begun, it never happens. If it has, it
    goes on to its end, and may still happen after its caller was let go. To learn what became of it, ask for the same
    again with the same order number or `operation`: it is then done if it was not, and answered with what it did if it
    was. `aclose` waits for all of them.

    Attributes:
        currency: The ISO 4217 code of the currency of all amounts; `XXX` if it was never said.
    """

    def __init__(self, sync: CardBook, crossing: Crossing) -> None:
        self._sync = sync
        self._crossing = crossing
        self.currency: str = sync.currency

    def __repr__(self) -> str:
        return f"<Async{repr(self._sync)[1:]}"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    def __reduce__(self) -> NoReturn:
        message = "an AsyncCardBook is bound to its process and cannot be pickled: open it again"
        raise TypeError(message)

    async def aclose(self) -> None:
        """
        Wait for the calls that are under way, cancelled ones too, and give back what the store holds.

        A book in memory is gone. Being cancelled does not keep it from closing; closing again does nothing.
        """
        await self._crossing.end(self._sync.close)

    async def joining(self, connection: AsyncConnection, *, tables: Tables | None = None) -> AsyncCardBook:
        """
        Give the same book inside the transaction of an async SQLAlchemy connection, over the same data.

        Every call is then a part of that transaction and holds from its commit on, as `voipcard.stores.SQLAlchemyStore`
        says. Calls come one after another, in the thread of the event loop: batches of thousands hold it up and are
        better made outside. After a call was cancelled, roll the transaction back.

        Args:
            connection: The connection. It is neither committed, nor rolled back, nor closed.

            tables: The tables that the book was opened with; None for those whose names begin with `voipcard_`.

        Raises:
            NotABookError: If its database has no such tables.
        """
        from voipcard.stores import SQLAlchemyStore

        sync = await connection.run_sync(lambda joined: self._sync.over(SQLAlchemyStore(joined, tables=tables)))

        return AsyncCardBook(sync, ThroughConnection(connection))

    # From CardBook, by scripts/generate_aio.py

    def acting_as(self, actor: str) -> AsyncCardBook:
        """
        Give the same book with somebody acting, who is named in the audit trail and the recharge history.

        Args:
            actor: Who acts, at most 255 characters; not a secret.

        Raises:
            InvalidValueError: If *actor* is too long or has control characters.
        """
        return AsyncCardBook(self._sync.acting_as(actor), self._crossing)

    def extension(self, number: str) -> AsyncExtension:
        """
        Give a Calling Card extension. The book knows it from its first card or label on; asking writes nothing.

        Args:
            number: Its extended number, such as `0003*215`: 1 to 64 printable ASCII characters without spaces.

        Raises:
            InvalidValueError: If *number* cannot be one.
        """
        return AsyncExtension(self._sync.extension(number), self._crossing)

    async def extensions(self) -> list[AsyncExtension]:
        """
        Give all extensions that the book knows, in the order of their numbers.
        """
        found = await self._crossing.run(self._sync.extensions)

        return [AsyncExtension(extension, self._crossing) for extension in found]

    async def label_extension(self, number: str, label: str, *, operation: str | None = None) -> AsyncExtension:
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
        extension = await self._crossing.run(self._sync.label_extension, number, label, operation=operation)

        return AsyncExtension(extension, self._crossing)

    async def disable_extension(self, number: str, *, operation: str | None = None) -> AsyncExtension:
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
        extension = await self._crossing.run(self._sync.disable_extension, number, operation=operation)

        return AsyncExtension(extension, self._crossing)

    async def enable_extension(self, number: str, *, operation: str | None = None) -> AsyncExtension:
        """
        Enable an extension again. A new one is enabled.

        Args:
            number: The extension.

            operation: A name of your own for this call, so that it is done only once.

        Raises:
            InvalidValueError: If *number* cannot be one.

            OperationConflictError: If *operation* was used for something else.
        """
        extension = await self._crossing.run(self._sync.enable_extension, number, operation=operation)

        return AsyncExtension(extension, self._crossing)

    async def license(self) -> License:
        """
        Tell how many codes of the book may be active.
        """
        return await self._crossing.run(lambda: self._sync.license)

    async def quota(self) -> Quota:
        """
        Tell how many codes of the book may be active, are, and can still be added.
        """
        return await self._crossing.run(lambda: self._sync.quota)

    async def install_license(self, license: License, *, operation: str | None = None) -> Quota:
        """
        Set how many codes may be active. It holds at once, for every process that has the book open.

        A license below what is active disables nothing: until enough codes are disabled, no more can be added or
        enabled.

        Args:
            license: The license.

            operation: A name of your own for this call, so that it is done only once.

        Returns:
            The quota under the new license.

        Raises:
            InvalidValueError: If *license* is something else.

            OperationConflictError: If *operation* was used for something else.
        """
        return await self._crossing.run(self._sync.install_license, license, operation=operation)

    def audit_trail(self, *, after: AuditEntry | None = None) -> AsyncIterator[AuditEntry]:
        """
        Give what was done to the book, oldest first, without secrets.

        Args:
            after: The last entry that is known already.

        Raises:
            TamperedError: If an entry was changed from outside.
        """
        return Items(self._crossing, self._sync.audit_trail, after=after)

    async def verify(self, *, progress: Progress | None = None) -> Verification:
        """
        Go over the whole book: every record, sealed value, ledger entry, document, counter and audit entry.

        Others may go on working. Reads a few rows at a time, and writes nothing.

        Args:
            progress: Is told how many cards were gone over, and of how many.

        Returns:
            What was gone over and what was found; nothing is raised for it.
        """
        return await self._crossing.run(self._sync.verify, progress=progress)

    # Up to here


class AsyncExtension:
    """
    The async twin of `Extension`: one Calling Card extension and its card codes; see `AsyncCardBook.extension`.

    What is different here is said with `AsyncCardBook`. `search` and `history` give async iterators: what is wrong with
    their arguments is said when the first item is asked for, and they can be left at any item without closing them.
    `async for card in extension` goes through all cards; for `extension[serial]` and `serial in extension` there are
    `get` and `find`.

    Attributes:
        number: Its extended number.
    """

    def __init__(self, sync: Extension, crossing: Crossing) -> None:
        self._sync = sync
        self._crossing = crossing
        self.number: str = sync.number

    def __repr__(self) -> str:
        return f"<Async{repr(self._sync)[1:]}"

    def __eq__(self, other: object) -> bool:
        return self._sync == other._sync if isinstance(other, AsyncExtension) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._sync)

    def __aiter__(self) -> AsyncIterator[CardCode]:
        return self.search()

    # From Extension, by scripts/generate_aio.py

    async def label(self) -> str:
        """
        Tell what people call it; empty if nothing.
        """
        return await self._crossing.run(lambda: self._sync.label)

    async def enabled(self) -> bool:
        """
        Tell whether its cards may be used.
        """
        return await self._crossing.run(lambda: self._sync.enabled)

    async def quota(self) -> Quota:
        """
        Tell how many codes may be active, are, and can still be added: the license counts all extensions together.
        """
        return await self._crossing.run(lambda: self._sync.quota)

    async def generate(
        self,
        count: int,
        *,
        credit: Amount = 0,
        order_number: str = "",
        code_format: CodeFormat | None = None,
        pin_format: PinFormat | None = None,
        labels: Iterable[str] = (),
        expires_at: datetime | None = None,
        enabled: bool = True,
        odds_limit: float | None = None,
        operation: str | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> Batch:
        """
        Draw random codes and PINs and make cards of them, all of them or none.

        Args:
            count: How many, 1 or more.

            credit: What is on each card at first: zero or more, or `UNLIMITED`.

            order_number: The order that pays for the batch, at most 255 characters.

            code_format: What the codes look like; None for 12 digits and a check digit.

            pin_format: How long the PINs are; None for 4 digits, `NO_PIN` for none.

            labels: Words to attach to every card, at most 100 of at most 255 characters.

            expires_at: From when on the cards cannot be used; an aware datetime, or None for never.

            enabled: Whether the cards can be used at once. Cards that are not enabled do not count against the license.

            odds_limit:
                The probability, up to 1, with which a code may be guessed within a year; None for what the book's
                policy accepts.

            operation: A name of your own for this call. Done again, it gives out the same codes, and that is audited.

            dry_run: Whether to tell only what would happen. Nothing is written, and no codes are drawn.

            progress: Is told how many cards are sealed, and of how many.

        Returns:
            The hand-outs, in clear text. They are given out this once; later only `reveal` can.

        Raises:
            QuotaExceededError: If the license does not allow so many more active codes.

            CrowdedError: If the codes would fill too much of what the format can hold.

            GuessableError: If a code would be guessed too easily.

            AmountError: If *credit* cannot be an initial credit.

            InvalidValueError: If another argument is out of its range.

            OperationConflictError: If *operation* was used for something else.

        Source: VoipNow user guide, "Manage Card Codes".
        """
        return await self._crossing.run(
            self._sync.generate,
            count,
            credit=credit,
            order_number=order_number,
            code_format=code_format,
            pin_format=pin_format,
            labels=labels,
            expires_at=expires_at,
            enabled=enabled,
            odds_limit=odds_limit,
            operation=operation,
            dry_run=dry_run,
            progress=progress,
        )

    async def add(
        self,
        cards: str | NewCard | Iterable[str | NewCard],
        *,
        pin: str = "",
        credit: Amount = 0,
        order_number: str = "",
        caller_id: bool = False,
        code_format: CodeFormat | None = None,
        labels: Iterable[str] = (),
        expires_at: datetime | None = None,
        enabled: bool = True,
        operation: str | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> Batch:
        """
        Make cards of codes of your own, or of callers' numbers, all of them or none.

        Args:
            cards: A code, a `NewCard`, or many of them. A code with a leading `+` is a CallerID.

            pin: The PIN of the codes that are not a `NewCard`: 4 to 12 digits, or empty for none.

            credit: The initial credit of those codes.

            order_number: The order that pays for those codes.

            caller_id: Whether those codes are CallerIDs although they have no leading `+`.

            code_format: What every dialed code has to look like; None to accept any.

            labels: Words to attach to every card, at most 100 of at most 255 characters.

            expires_at: From when on the cards cannot be used; an aware datetime, or None for never.

            enabled: Whether the cards can be used at once. Cards that are not enabled do not count against the license.

            operation: A name of your own for this call.

            dry_run: Whether to tell only what would happen. Nothing is written.

            progress: Is told how many cards are sealed, and of how many.

        Returns:
            The hand-outs, in the order of *cards*.

        Raises:
            InvalidCodeError: If a code cannot be one, or does not fit *code_format*.

            InvalidPinError: If a PIN cannot be one.

            WeakPinError: If a PIN is easily guessed and the book's policy does not allow that.

            CardExistsError: If codes are in the extension already, or twice among *cards*.

            QuotaExceededError: If the license does not allow so many more active codes.

            InvalidValueError: If there are no cards, or another argument is out of its range.

            OperationConflictError: If *operation* was used for something else.

        Source: VoipNow user guide, "Add Card Code".
        """
        return await self._crossing.run(
            self._sync.add,
            cards,
            pin=pin,
            credit=credit,
            order_number=order_number,
            caller_id=caller_id,
            code_format=code_format,
            labels=labels,
            expires_at=expires_at,
            enabled=enabled,
            operation=operation,
            dry_run=dry_run,
            progress=progress,
        )

    async def upload(
        self,
        source: str | os.PathLike[str] | SupportsRead,
        *,
        format: Format | None = None,  # noqa: A002 - what everybody calls it
        separator: str = ",",
        encoding: str | None = None,
        code_format: CodeFormat | None = None,
        labels: Iterable[str] = (),
        expires_at: datetime | None = None,
        enabled: bool = True,
        on_error: OnError = "refuse",
        problem_limit: int = 1000,
        limits: Limits | None = None,
        operation: str | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> Batch:
        """
        Add the cards of a file: VoipNow's *card code, PIN, order number, initial credit*, or an export of ours.

        The whole file is read and checked first, inside and against the book; then all its cards are committed at once.
        The same upload again is not done again, but answered with what it did the first time: the same cards into the
        same extension with the same options, however the file is written. To do it once more after its cards were
        removed, give it an *operation*.

        Args:
            source:
                A path, or a file that is open in binary mode, such as what a web framework calls an upload; see
                `voipcard.sheets.read_upload` for what may be in it.

            format: `csv` or `xlsx`; None to go by the end of the path or, without one, by how the file begins.

            separator: What stands between two fields of a text file: one character.

            encoding:
                How a text file is encoded, by the name that Python has for it; None for UTF-8, or UTF-16 where the file
                begins with its byte order mark.

            code_format:
                What every dialed code has to look like; None to accept any. With one, leading zeros that a spreadsheet
                program took away are noticed.

            labels: Words to attach to every card, at most 100 of at most 255 characters.

            expires_at:
                From when on cards cannot be used whose row does not say it; an aware datetime, or None for never.

            enabled: Whether cards can be used at once, unless their row says that they are disabled.

            on_error: `refuse` to add nothing if any row is bad, `skip` to leave bad rows out.

            problem_limit: How many problems and warnings are listed at most, 0 to 10,000. All are counted.

            limits: How much of the file is read.

            operation: A name of your own for this call.

            dry_run: Whether to tell only what would happen. Nothing is written.

            progress: Is told how many rows were read, and then how many cards are sealed, and of how many.

        Returns:
            The hand-outs, in the order of the file. The `report` says what became of its rows; weak PINs are among its
            warnings. Where no row is left to be added, there is no batch, and nothing is written.

        Raises:
            UploadError:
                If rows cannot be taken and none is to be left out; it says which, and why. Also if a first row names
                columns that are not those of cards: no row is taken then.

            SheetError: If the file cannot be read.

            QuotaExceededError: If the license does not allow so many more active codes.

            InvalidValueError: If an argument is out of its range.

            OperationConflictError: If *operation* was used for something else.

        Source: VoipNow user guide, "Add Card Code".
        """
        return await self._crossing.run(
            self._sync.upload,
            source,
            format=format,
            separator=separator,
            encoding=encoding,
            code_format=code_format,
            labels=labels,
            expires_at=expires_at,
            enabled=enabled,
            on_error=on_error,
            problem_limit=problem_limit,
            limits=limits,
            operation=operation,
            dry_run=dry_run,
            progress=progress,
        )

    async def edit(
        self,
        card: CardCode | str,
        *,
        code: str | None = None,
        caller_id: bool = False,
        pin: str | None = None,
        operation: str | None = None,
    ) -> CardCode:
        """
        Change the code or CallerID of a card, or its PIN. Serial, credit and history stay.

        Args:
            card: The card, or its serial.

            code: The new code, or the new CallerID if it has a leading `+`; None to keep the old one.

            caller_id: Whether *code* is a CallerID although it has no leading `+`.

            pin: The new PIN; empty to ask for none, None to keep the old one.

            operation: A name of your own for this call.

        Returns:
            The card as it is now stored.

        Raises:
            UnknownCardError: If the extension has no such card, or no longer when *operation* is asked for again.

            InvalidCodeError: If *code* cannot be one.

            InvalidPinError: If *pin* cannot be one.

            WeakPinError: If *pin* is easily guessed and the book's policy does not allow that.

            CardExistsError: If another card of the extension has this code.

            OperationConflictError: If *operation* was used for something else.

        Source: VoipNow user guide, "Manage Card Codes".
        """
        return await self._crossing.run(
            self._sync.edit, card, code=code, caller_id=caller_id, pin=pin, operation=operation
        )

    async def enable(self, cards: Cards, *, operation: str | None = None, progress: Progress | None = None) -> int:
        """
        Enable cards, so that they can be used and count against the license.

        At most 1,000 cards are changed in a commit. A request that does not fit the license is refused before the first
        one; if others take the remaining slots meanwhile, the cards enabled so far stay enabled. With an operation, a
        call that was interrupted goes on where it stopped.

        Args:
            cards: A card, its serial, many of them, or a `CardQuery`, which is read as the call goes on.

            operation: A name of your own for this call.

            progress: Is told how many cards were changed.

        Returns:
            How many cards were disabled before.

        Raises:
            QuotaExceededError: If the license does not allow so many more active codes.

            UnknownCardError: If the extension has no such card.

            OperationConflictError: If *operation* was used for something else.
        """
        return await self._crossing.run(self._sync.enable, cards, operation=operation, progress=progress)

    async def disable(self, cards: Cards, *, operation: str | None = None, progress: Progress | None = None) -> int:
        """
        Disable cards, so that they cannot be used and do not count against the license. Their credit stays.

        At most 1,000 cards are changed in a commit. With an operation, a call that was interrupted goes on where it
        stopped.

        Args:
            cards: A card, its serial, many of them, or a `CardQuery`, which is read as the call goes on.

            operation: A name of your own for this call.

            progress: Is told how many cards were changed.

        Returns:
            How many cards were enabled before.

        Raises:
            UnknownCardError: If the extension has no such card.

            OperationConflictError: If *operation* was used for something else.
        """
        return await self._crossing.run(self._sync.disable, cards, operation=operation, progress=progress)

    async def remove(
        self,
        cards: Cards,
        *,
        operation: str | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> tuple[str, ...]:
        """
        Remove cards. Their codes can be used for new cards; their ledger entries stay.

        A serial is never given again.
        At most 1,000 cards are removed in a commit. With an operation, a call that was interrupted goes on where it
        stopped.

        Args:
            cards: A card, its serial, many of them, or a `CardQuery`, which is read as the call goes on.

            operation: A name of your own for this call.

            dry_run: Whether to tell only what would happen. Nothing is written.

            progress: Is told how many cards were removed.

        Returns:
            The serials of the cards.

        Raises:
            UnknownCardError: If the extension has no such card.

            OperationConflictError: If *operation* was used for something else.
        """
        return await self._crossing.run(
            self._sync.remove, cards, operation=operation, dry_run=dry_run, progress=progress
        )

    async def remove_unused(
        self,
        *,
        older_than: timedelta,
        operation: str | None = None,
        dry_run: bool = False,
        progress: Progress | None = None,
    ) -> tuple[str, ...]:
        """
        Remove the cards that nothing happened to: no call, no recharge, no transfer.

        Args:
            older_than: How long ago a card must have been made, zero or more.

            operation: A name of your own for this call.

            dry_run: Whether to tell only what would happen. Nothing is written.

            progress: Is told how many cards were removed.

        Returns:
            The serials of the cards.

        Raises:
            InvalidValueError: If *older_than* is negative.

            OperationConflictError: If *operation* was used for something else.

        Source: VoipNow user guide, "Manage Card Codes".
        """
        return await self._crossing.run(
            self._sync.remove_unused, older_than=older_than, operation=operation, dry_run=dry_run, progress=progress
        )

    async def reveal(self, card: CardCode | str) -> Handout:
        """
        Give the code and PIN of a card in clear text. That somebody asked is in the audit trail before.

        Args:
            card: The card, or its serial.

        Returns:
            The hand-out, with the credit that is on the card now.

        Raises:
            ActorRequiredError: If nobody said who is acting.

            UnknownCardError: If the extension has no such card.

            TamperedError: If the stored code or PIN was changed from outside.
        """
        return await self._crossing.run(self._sync.reveal, card)

    async def recharge(
        self, card: CardCode | str, amount: Amount, *, order_number: str = "", operation: str | None = None
    ) -> LedgerEntry:
        """
        Change the credit of one card and record the change, exactly once.

        The new credit and its entry in the recharge history are written together or not at all. Taking credit from an
        unlimited card leaves it with none, as VoipNow does.

        Args:
            card: The card, or its serial.

            amount:
                How much to add, in the book's currency, with at most six decimal places. Negative to take credit away;
                `UNLIMITED` to make the card unlimited. A float is refused because it cannot hold 0.10 exactly.

            order_number:
                The order that pays for this change, at most 255 characters. The same order number again on the same
                card gives the first result instead of adding credit twice.

            operation: A name of your own for this call, which takes the place of the order number in this.

        Returns:
            The entry; `replayed` tells whether it had been made before.

        Raises:
            UnknownCardError: If the extension has no such card.

            InsufficientCreditError: If *amount* would take more than is available.

            AmountError: If *amount* is zero or cannot be an amount.

            OperationConflictError: If the order number was used on this card with another amount, or *operation* for
                something else.

        Source: VoipNow user guide, "Manage Card Codes Credit".
        """
        return await self._crossing.run(
            self._sync.recharge, card, amount, order_number=order_number, operation=operation
        )

    async def recharge_many(
        self,
        amounts: Iterable[tuple[CardCode | str, Amount]],
        *,
        order_number: str = "",
        operation: str | None = None,
        progress: Progress | None = None,
    ) -> list[LedgerEntry]:
        """
        Change the credit of many cards, each exactly once.

        At most 1,000 of them are changed in a commit, whole or not at all.

        Args:
            amounts: Cards or serials, each with what to add. A card may come more than once, in the order given.

            order_number: The order that pays for all of it; see `recharge`.

            operation: A name of your own for this call, which takes the place of the order number in this.

            progress: Is told how many cards were recharged, and of how many.

        Returns:
            The entries, in the order given.

        Raises:
            UnknownCardError: If the extension has no such card.

            InsufficientCreditError: If more would be taken from a card than is available.

            AmountError: If an amount is zero or cannot be one. Nothing was written.

            OperationConflictError:
                If the order number was used on a card with another amount, or *operation* for something
                else.
        """
        return await self._crossing.run(
            self._sync.recharge_many, amounts, order_number=order_number, operation=operation, progress=progress
        )

    async def transfer(
        self,
        source: CardCode | str,
        target: CardCode | str,
        *,
        amount: Amount,
        order_number: str = "",
        operation: str | None = None,
    ) -> tuple[LedgerEntry, LedgerEntry]:
        """
        Move credit from one card to another, whole or not at all.

        Args:
            source: The card that gives, or its serial.

            target: The card that takes, or its serial.

            amount: How much, more than zero.

            order_number:
                What to write in both histories, at most 255 characters. It does not make the call happen once.

            operation: A name of your own for this call.

        Returns:
            The entries of the source and of the target.

        Raises:
            UnknownCardError: If the extension has no such card.

            InsufficientCreditError: If the source has less available.

            UnlimitedCreditError: If one of the cards is unlimited.

            AmountError: If *amount* is not more than zero.

            InvalidValueError: If both are the same card.

            OperationConflictError: If *operation* was used for something else.
        """
        return await self._crossing.run(
            self._sync.transfer, source, target, amount=amount, order_number=order_number, operation=operation
        )

    def history(
        self,
        card: CardCode | str,
        *,
        order_number: str | None = None,
        amount_at_least: Amount | None = None,
        amount_below: Amount | None = None,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        newest_first: bool = False,
    ) -> AsyncIterator[LedgerEntry]:
        """
        Give the recharge history of a card: its initial credit, recharges and transfers.

        Args:
            card: The card, or its serial.

            order_number: The order that paid; None for any.

            amount_at_least: The smallest amount to give.

            amount_below: The smallest amount not to give any more.

            created_from: The first moment to give; an aware datetime.

            created_before: The first moment not to give any more; an aware datetime.

            newest_first: Whether the newest entry comes first.

        Raises:
            UnknownCardError: If the extension has no such card.

            InvalidValueError: If a datetime is not aware.

        Source: VoipNow user guide, "Manage Card Codes Credit".
        """
        return Items(
            self._crossing,
            self._sync.history,
            card,
            order_number=order_number,
            amount_at_least=amount_at_least,
            amount_below=amount_below,
            created_from=created_from,
            created_before=created_before,
            newest_first=newest_first,
        )

    async def find(
        self, serial: str | None = None, *, code: str | None = None, caller_id: str | None = None
    ) -> CardCode | None:
        """
        Give the one card with this serial, code or CallerID, or None.

        Args:
            serial: A serial.

            code: A code, spaces and dashes included; with a leading `+` a CallerID.

            caller_id: A caller's number, with or without `+`.

        Raises:
            InvalidValueError: If not exactly one of them is given.

            InvalidCodeError: If it cannot be a code or CallerID.

            TamperedError: If the stored card was changed from outside.
        """
        return await self._crossing.run(self._sync.find, serial, code=code, caller_id=caller_id)

    async def get(
        self, serial: str | None = None, *, code: str | None = None, caller_id: str | None = None
    ) -> CardCode:
        """
        Give the one card with this serial, code or CallerID.

        Raises:
            UnknownCardError: If there is none.

            InvalidValueError: If not exactly one of them is given.

            InvalidCodeError: If it cannot be a code or CallerID.

            TamperedError: If the stored card was changed from outside.
        """
        return await self._crossing.run(self._sync.get, serial, code=code, caller_id=caller_id)

    def search(
        self,
        query: CardQuery | None = None,
        *,
        serial: str | None = None,
        code: str | None = None,
        caller_id: str | None = None,
        code_prefix: str = "",
        code_contains: str = "",
        **filters: Unpack[CardFilters],
    ) -> AsyncIterator[CardCode]:
        """
        Give all cards that match, however many, reading a page at a time.

        Args:
            query: Conditions and order as a value; instead of *filters*.

            serial: The serial, exactly.

            code: The code, exactly; with a leading `+` a CallerID.

            caller_id: The caller's number, exactly.

            code_prefix:
                How the code or CallerID begins. The codes of all cards that match otherwise are unsealed for this, a
                page at a time.

            code_contains: What the code or CallerID contains; in the same way.

            filters: The conditions and the order that `CardQuery` documents: `enabled=True, credit_below="5.00"`.

        Raises:
            InvalidValueError: If a value is out of its range.

            AmountError: If a credit cannot be an amount.

            TamperedError: If a stored card was changed from outside.
        """
        return Items(
            self._crossing,
            self._sync.search,
            query,
            serial=serial,
            code=code,
            caller_id=caller_id,
            code_prefix=code_prefix,
            code_contains=code_contains,
            **filters,
        )

    async def page(
        self,
        query: CardQuery | None = None,
        *,
        limit: int = 50,
        cursor: str | None = None,
        serial: str | None = None,
        code: str | None = None,
        caller_id: str | None = None,
        code_prefix: str = "",
        code_contains: str = "",
        **filters: Unpack[CardFilters],
    ) -> Page:
        """
        Give one page of a search. Going on from its cursor neither repeats nor skips a card, however deep.

        Args:
            query: Conditions and order as a value; instead of *filters*.

            limit: How many cards, 1 to 10,000.

            cursor: The `next_cursor` of the page before; None for the first page.

            serial: As for `search`.

            code: As for `search`.

            caller_id: As for `search`.

            code_prefix: As for `search`.

            code_contains: As for `search`.

            filters: As for `search`.

        Raises:
            CursorError: If *cursor* belongs to another search.

            InvalidValueError: If a value is out of its range.

            AmountError: If a credit cannot be an amount.

            TamperedError: If a stored card was changed from outside.
        """
        return await self._crossing.run(
            self._sync.page,
            query,
            limit=limit,
            cursor=cursor,
            serial=serial,
            code=code,
            caller_id=caller_id,
            code_prefix=code_prefix,
            code_contains=code_contains,
            **filters,
        )

    async def count(
        self,
        query: CardQuery | None = None,
        *,
        serial: str | None = None,
        code: str | None = None,
        caller_id: str | None = None,
        code_prefix: str = "",
        code_contains: str = "",
        **filters: Unpack[CardFilters],
    ) -> int:
        """
        Count the cards that a search with the same arguments gives.

        Raises:
            InvalidValueError: If a value is out of its range.

            AmountError: If a credit cannot be an amount.
        """
        return await self._crossing.run(
            self._sync.count,
            query,
            serial=serial,
            code=code,
            caller_id=caller_id,
            code_prefix=code_prefix,
            code_contains=code_contains,
            **filters,
        )

    async def export(
        self,
        target: str | os.PathLike[str] | SupportsWrite,
        query: CardQuery | None = None,
        *,
        reveal: bool = False,
        columns: Sequence[str] | None = None,
        format: Format | None = None,  # noqa: A002 - what everybody calls it
        separator: str = ",",
        dialect: Dialect = "guarded",
        progress: Progress | None = None,
        serial: str | None = None,
        code: str | None = None,
        caller_id: str | None = None,
        code_prefix: str = "",
        code_contains: str = "",
        **filters: Unpack[CardFilters],
    ) -> int:
        """
        Write the cards that a search gives, in its order, to a CSV file or an Excel workbook.

        Args:
            target: Where to; see `voipcard.sheets.write` for this and for how the file is written.

            query: As for `search`.

            reveal:
                Whether to write codes and PINs in clear text. That somebody asked, and for which cards, is in the audit
                trail before the first byte is written.

            columns: Which columns, from left to right; None for all: first those of VoipNow's list, in their order.

            format: `csv` or `xlsx`; None to go by the end of the path.

            separator: What stands between the fields of a CSV file: one character.

            dialect: `guarded` for people, `plain` for programs.

            progress: Is told after every thousand rows and at the end how many were written, and of how many.

            serial: As for `search`.

            code: As for `search`.

            caller_id: As for `search`.

            code_prefix: As for `search`.

            code_contains: As for `search`.

            filters: As for `search`.

        Returns:
            The number of cards written.

        Raises:
            ActorRequiredError: If codes are to be revealed and nobody said who is acting.

            SheetError: If the file cannot be written.

            InvalidValueError: If an argument is out of its range.

            AmountError: If a credit cannot be an amount.

            TamperedError: If a stored card was changed from outside. There is no file then.

        Source: VoipNow user guide, "Manage Card Codes".
        """
        return await self._crossing.run(
            self._sync.export,
            target,
            query,
            reveal=reveal,
            columns=columns,
            format=format,
            separator=separator,
            dialect=dialect,
            progress=progress,
            serial=serial,
            code=code,
            caller_id=caller_id,
            code_prefix=code_prefix,
            code_contains=code_contains,
            **filters,
        )

    # Up to here
