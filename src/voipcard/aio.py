"""
The async twins of `CardBook` and `Extension`, for asyncio and trio.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import date, datetime, timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Literal, NoReturn, Self, Unpack

from voipcard import opening
from voipcard.access import Access, Announcement, Question
from voipcard.auditing import AuditPage
from voipcard.book import CardBook
from voipcard.calling import WARN_BEFORE, Call
from voipcard.ciphers import Suite
from voipcard.core.arguments import Progress
from voipcard.core.batches import Batch, BatchFacts
from voipcard.core.cards import CardCode, Handout, NewCard
from voipcard.core.cdrs import CallRecord, RejectedCall, Settlement
from voipcard.core.codes import CodeFormat
from voipcard.core.credit import Amount
from voipcard.core.drawing import RandomSource
from voipcard.core.expiry import Expiry
from voipcard.core.holds import Hold
from voipcard.core.ledger import LedgerEntry
from voipcard.core.license import License, LicenseState, Quota
from voipcard.core.pins import PinFormat
from voipcard.core.policy import Policy
from voipcard.core.profiles import Profile
from voipcard.core.query import CardQuery
from voipcard.core.rating import Rate, RateDeck
from voipcard.core.reports import (
    ChargedCall,
    CostGroup,
    CostRow,
    CreditGroup,
    CreditRow,
    RechargeGroup,
    RechargeRow,
    Report,
    RevealedCall,
    UseRow,
)
from voipcard.core.settings import ExtensionSettings, SettingsChanges
from voipcard.core.throttle import DEFAULT_LIMITS, GuessLimits
from voipcard.core.uploads import OnError
from voipcard.crossing import Crossing, Items, ThroughConnection, ThroughThreads
from voipcard.decks import DeckVersion
from voipcard.extension import Extension
from voipcard.guessing import CardGuesses, GuessWatch
from voipcard.providers import KeyProvider
from voipcard.rotating import Rotation
from voipcard.searching import CardFilters, Page
from voipcard.signing import SigningKey, VerifyKey
from voipcard.stores.contract import Store
from voipcard.targets import Cards
from voipcard.trail import AuditEntry, Hook
from voipcard.transact import Clock
from voipcard.verifying import Verification

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from voipcard.sheets import Dialect, Format, Limits, SupportsRead, SupportsWrite
    from voipcard.stores import Tables

__all__ = ["AsyncCall", "AsyncCardBook", "AsyncExtension", "open_book"]


# From open_book, by scripts/generate_aio.py


async def open_book(
    place: str | os.PathLike[str] | Store | None = None,
    *,
    currency: str | None = None,
    key: KeyProvider | None = None,
    profile: Profile | None = None,
    suite: Suite | None = None,
    license: License | str | os.PathLike[str] | None = None,
    license_keys: Iterable[VerifyKey] = (),
    policy: Policy | None = None,
    limits: GuessLimits = DEFAULT_LIMITS,
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

        profile:
            What a new book keeps of its PINs, for good: `operator`, where they can be revealed, or `strict`, where they
            can be compared with what a caller dials and never be read. None for `operator`; later it is checked if it
            is given.

        suite:
            What a new book seals with, for good: `aes-256-siv`, or `aes-256-gcm` where rules ask for an algorithm that
            is listed. None for `aes-256-siv`; later it is checked if it is given.

        license:
            How many codes may be active: a `License`, a signed text, or the path of a file with one. It is installed
            in the book if it differs from the one there, so that it holds for every process. None leaves the book's
            own; a new book has no limit. One that cannot be installed is no reason not to open the book: a warning is
            logged, and unless the book has a signed license of its own that holds, no more codes can be active.

        license_keys: Whose signatures under licenses are believed. Without them a signed license does not hold.

        policy: What is refused as too easily guessed; None for the defaults of `Policy`.

        limits: How much guessing is let through; every process that lets callers in has to be given the same.

        clock: Where time comes from: gives an aware datetime. None for the system's clock.

        source: Where codes, PINs and batch ids come from: gives so many random bytes. Keys never come from here.

        threads: How many calls may be under way at once, 1 or more; the others wait.

    Returns:
        The book. Close it, or use it in an `async with` block.

    Raises:
        CurrencyError: If the book is new and has no currency, or is kept in another one.

        InvalidValueError: If there is no such *profile* or *suite*, or the book has the other one, or if *key*,
            *limits* or *license* is something else. Nothing was written.

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
        profile=profile,
        suite=suite,
        license=license,
        license_keys=license_keys,
        policy=policy,
        limits=limits,
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
    under way; the others wait. Progress is told in the worker thread, hooks of `on_commit` are called and iterables are
    iterated over there. After a fork, open the book again.

    A call that is cancelled lets go of its caller at once. If its thread has not begun, it never happens. If it has, it
    goes on to its end, and may still happen after its caller was let go. To learn what became of it, ask for the same
    again with the same order number or `operation`: it is then done if it was not, and answered with what it did if it
    was. `aclose` waits for all of them.

    `authenticate` takes no such name: each call is an attempt. One that is cancelled has been counted and told in the
    audit trail, as any other, or it has not been made. It is never half.
    """

    def __init__(self, sync: CardBook, crossing: Crossing) -> None:
        self._sync = sync
        self._crossing = crossing

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
        better made outside. After a call was cancelled, roll the transaction back. Once the transaction is committed,
        `release_hooks` calls the hooks, in that same thread.

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

    @property
    def id(self) -> str:
        """
        32 hexadecimal digits that no other book has: what a license is issued for.
        """
        return self._sync.id

    @property
    def currency(self) -> str:
        """
        The ISO 4217 code of the currency of all amounts; `XXX` if it was never said.
        """
        return self._sync.currency

    @property
    def profile(self) -> Profile:
        """
        What the book keeps of its PINs: `operator` if they can be revealed, `strict` if they never can.
        """
        return self._sync.profile

    @property
    def suite(self) -> Suite:
        """
        What it seals with: `aes-256-siv` or `aes-256-gcm`.
        """
        return self._sync.suite

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

    async def rotate_keys(
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
        """
        return await self._crossing.run(self._sync.rotate_keys, limit=limit, operation=operation, progress=progress)

    async def change_key(self, key: KeyProvider, *, operation: str | None = None) -> None:
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
        """
        return await self._crossing.run(self._sync.change_key, key, operation=operation)

    async def license(self) -> License:
        """
        Tell how many codes of the book may be active: the license in force.

        None at all where the installed one fails.
        """
        return await self._crossing.run(lambda: self._sync.license)

    async def license_state(self) -> LicenseState:
        """
        Tell what is installed as a license, whether it holds now, and why not.

        That is what a portal shows on its page about the license.
        """
        return await self._crossing.run(lambda: self._sync.license_state)

    async def quota(self) -> Quota:
        """
        Tell how many codes of the book may be active, are, and can still be added.

        Where no license holds the limit is 0.
        """
        return await self._crossing.run(lambda: self._sync.quota)

    async def install_license(
        self, license: License | str | os.PathLike[str], *, operation: str | None = None
    ) -> Quota:
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

            LicenseError: If the license does not hold, or is not signed and the book was opened with one that does not
                hold. The one before stays.

            OperationConflictError: If *operation* was used for something else.
        """
        return await self._crossing.run(self._sync.install_license, license, operation=operation)

    async def install_deck(self, deck: RateDeck, *, operation: str | None = None) -> DeckVersion:
        """
        Keep a price list in the book, for every process that has it open, from the moment that it says itself.

        It is never changed or removed, because calls were charged by it. A correction is another one of the same name
        with a later `valid_from`; calls that have begun before go by the one that held then. The same once more changes
        nothing.

        Args:
            deck:
                The price list, with its name and when it begins: one from `voipcard.sheets.read_deck`, or a `RateDeck`
                that you make. Extensions go by the one of the name that is set for them.

            operation: A name of your own for this call, so that it is done only once.

        Returns:
            What the book knows of it.

        Raises:
            DeckExistsError: If the book has another one of that name from the same moment on.

            InvalidValueError: If *deck* is something else.

            OperationConflictError: If *operation* was used for something else.
        """
        return await self._crossing.run(self._sync.install_deck, deck, operation=operation)

    async def decks(self) -> list[DeckVersion]:
        """
        Give all price lists that the book has, by name and then by when they begin, without their rates.

        Raises:
            TamperedError: If what the book knows of them was changed from outside.
        """
        return await self._crossing.run(self._sync.decks)

    async def deck(self, name: str = "default", *, at: datetime | None = None) -> RateDeck:
        """
        Give the price list that holds at a moment: of those that have begun by then the last one.

        Args:
            name: Its name.

            at: The moment; None for now.

        Raises:
            UnknownDeckError: If there is none of that name, or none that has begun.

            InvalidValueError: If *name* cannot be one, or *at* is no aware datetime.

            TamperedError: If something of it was changed from outside, or is missing.
        """
        return await self._crossing.run(self._sync.deck, name, at=at)

    async def cost_report(
        self,
        start: datetime | date | None = None,
        end: datetime | date | None = None,
        *,
        extension: str | None = None,
        by: CostGroup | Sequence[CostGroup] = ("day",),
        card: CardCode | str | None = None,
        batch: str | None = None,
        zone: str = "UTC",
    ) -> Report[CostRow]:
        """
        Sum what calls cost, as the ledger has it: also of cards that have been removed since.

        Args:
            start: As for `Extension.cost_report`.

            end: As for `Extension.cost_report`.

            extension: Only of this extension, by its number; None for all of the book.

            by: As for `Extension.cost_report`.

            card: As for `Extension.cost_report`.

            batch: As for `Extension.cost_report`.

            zone: As for `Extension.cost_report`.

        Raises:
            InvalidValueError: If an argument is out of its range.

            UnknownCardError: If there never was such a card.

            UnknownBatchError: If there is no such batch.

            AmountError: If a sum is more than an amount can be.

            TamperedError: If a card is neither there nor among those that were removed, in a report by `card`.
        """
        return await self._crossing.run(
            self._sync.cost_report, start, end, extension=extension, by=by, card=card, batch=batch, zone=zone
        )

    async def recharge_report(
        self,
        start: datetime | date | None = None,
        end: datetime | date | None = None,
        *,
        extension: str | None = None,
        by: RechargeGroup | Sequence[RechargeGroup] = ("day",),
        card: CardCode | str | None = None,
        batch: str | None = None,
        zone: str = "UTC",
    ) -> Report[RechargeRow]:
        """
        Sum what was put on cards and what was taken by hand: initial credit, recharges and transfers.

        Args:
            start: As for `Extension.recharge_report`.

            end: As for `Extension.recharge_report`.

            extension: Only of this extension, by its number; None for all of the book.

            by: As for `Extension.recharge_report`.

            card: As for `Extension.recharge_report`.

            batch: As for `Extension.recharge_report`.

            zone: As for `Extension.recharge_report`.

        Raises:
            InvalidValueError: If an argument is out of its range.

            UnknownCardError: If there never was such a card.

            UnknownBatchError: If there is no such batch.

            AmountError: If a sum is more than an amount can be.

            TamperedError: If a card is neither there nor among those that were removed, in a report by `card`.
        """
        return await self._crossing.run(
            self._sync.recharge_report, start, end, extension=extension, by=by, card=card, batch=batch, zone=zone
        )

    async def liability(
        self, *, extension: str | None = None, by: CreditGroup | Sequence[CreditGroup] = (), batch: str | None = None
    ) -> Report[CreditRow]:
        """
        Sum all credit that is on cards now, expired and disabled cards included.

        Args:
            extension: Only of this extension, by its number; None for all of the book.

            by: As for `Extension.liability`.

            batch: As for `Extension.liability`.

        Raises:
            InvalidValueError: If an argument is out of its range.

            UnknownBatchError: If there is no such batch.

            AmountError: If a sum is more than an amount can be.

            TamperedError: If what is stored was changed from outside.
        """
        return await self._crossing.run(self._sync.liability, extension=extension, by=by, batch=batch)

    async def breakage(
        self,
        *,
        extension: str | None = None,
        unused_days: int = 365,
        by: CreditGroup | Sequence[CreditGroup] = (),
        batch: str | None = None,
    ) -> Report[CreditRow]:
        """
        Sum the credit that will hardly be used any more: on cards that have expired, or lie unused.

        Args:
            extension: Only of this extension, by its number; None for all of the book.

            unused_days: As for `Extension.breakage`.

            by: As for `Extension.breakage`.

            batch: As for `Extension.breakage`.

        Raises:
            InvalidValueError: If an argument is out of its range.

            UnknownBatchError: If there is no such batch.

            AmountError: If a sum is more than an amount can be.

            TamperedError: If what is stored was changed from outside.
        """
        return await self._crossing.run(
            self._sync.breakage, extension=extension, unused_days=unused_days, by=by, batch=batch
        )

    async def ageing(
        self,
        *,
        extension: str | None = None,
        since: Literal["made", "changed"] = "changed",
        days: Sequence[int] = (30, 90, 180, 365),
        by: CreditGroup | Sequence[CreditGroup] = (),
        batch: str | None = None,
    ) -> Report[CreditRow]:
        """
        Sum the credit that is on cards now by its age.

        Args:
            extension: Only of this extension, by its number; None for all of the book.

            since: As for `Extension.ageing`.

            days: As for `Extension.ageing`.

            by: As for `Extension.ageing`.

            batch: As for `Extension.ageing`.

        Raises:
            InvalidValueError: If an argument is out of its range.

            UnknownBatchError: If there is no such batch.

            AmountError: If a sum is more than an amount can be.

            TamperedError: If what is stored was changed from outside.
        """
        return await self._crossing.run(
            self._sync.ageing, extension=extension, since=since, days=days, by=by, batch=batch
        )

    async def first_use_curve(
        self,
        start: datetime | date | None = None,
        end: datetime | date | None = None,
        *,
        extension: str | None = None,
        days: Sequence[int] = (1, 7, 30, 90, 365),
        batch: str | None = None,
        zone: str = "UTC",
    ) -> Report[UseRow]:
        """
        Count how soon after they were made cards were first used, and how many never were.

        Args:
            start: As for `Extension.first_use_curve`.

            end: As for `Extension.first_use_curve`.

            extension: Only of this extension, by its number; None for all of the book.

            days: As for `Extension.first_use_curve`.

            batch: As for `Extension.first_use_curve`.

            zone: As for `Extension.first_use_curve`.

        Raises:
            InvalidValueError: If an argument is out of its range.

            UnknownBatchError: If there is no such batch.

            TamperedError: If what is stored was changed from outside.
        """
        return await self._crossing.run(
            self._sync.first_use_curve, start, end, extension=extension, days=days, batch=batch, zone=zone
        )

    def calls(
        self,
        start: datetime | date | None = None,
        end: datetime | date | None = None,
        *,
        extension: str | None = None,
        card: CardCode | str | None = None,
        batch: str | None = None,
        zone: str = "UTC",
    ) -> AsyncIterator[ChargedCall]:
        """
        Give the calls that were charged, however many, one by one, in the order in which they were charged.

        Args:
            start: As for `Extension.calls`.

            end: As for `Extension.calls`.

            extension: Only of this extension, by its number; None for all of the book.

            card: As for `Extension.calls`.

            batch: As for `Extension.calls`.

            zone: As for `Extension.calls`.

        Raises:
            InvalidValueError: If an argument is out of its range.

            UnknownCardError: If there never was such a card.

            UnknownBatchError: If there is no such batch.

            TamperedError: If what is stored was changed from outside.
        """
        return Items(
            self._crossing, self._sync.calls, start, end, extension=extension, card=card, batch=batch, zone=zone
        )

    def reveal_calls(
        self,
        start: datetime | date | None = None,
        end: datetime | date | None = None,
        *,
        extension: str | None = None,
        card: CardCode | str | None = None,
        batch: str | None = None,
        zone: str = "UTC",
    ) -> AsyncIterator[RevealedCall]:
        """
        Give the calls that were charged with the numbers that were called, in clear text, audited before.

        Args:
            start: As for `Extension.reveal_calls`.

            end: As for `Extension.reveal_calls`.

            extension: Only of this extension, by its number; None for all of the book.

            card: As for `Extension.reveal_calls`.

            batch: As for `Extension.reveal_calls`.

            zone: As for `Extension.reveal_calls`.

        Raises:
            ActorRequiredError: If nobody said who is acting.

            JoinedStoreError: If the store has joined a transaction of its caller's.

            InvalidValueError: If an argument is out of its range.

            UnknownCardError: If there never was such a card.

            UnknownBatchError: If there is no such batch.

            TamperedError: If what is stored was changed from outside.
        """
        return Items(
            self._crossing, self._sync.reveal_calls, start, end, extension=extension, card=card, batch=batch, zone=zone
        )

    def audit_trail(
        self, *, created_from: datetime | None = None, created_before: datetime | None = None
    ) -> AsyncIterator[AuditEntry]:
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
        """
        return Items(self._crossing, self._sync.audit_trail, created_from=created_from, created_before=created_before)

    async def audit_page(self, *, limit: int = 1000, cursor: str | None = None) -> AuditPage:
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
        """
        return await self._crossing.run(self._sync.audit_page, limit=limit, cursor=cursor)

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
        """
        self._sync.on_commit(hook)

    async def release_hooks(self) -> None:
        """
        Call the hooks with what was committed in a transaction of yours, once that has been committed.

        Do not call it where the transaction was rolled back: what waits is forgotten with this book. Without a joined
        transaction nothing waits, and this does nothing.
        """
        return await self._crossing.run(self._sync.release_hooks)

    async def checkpoint(self, key: SigningKey) -> str:
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
        """
        return await self._crossing.run(self._sync.checkpoint, key)

    async def verify(
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
        """
        return await self._crossing.run(self._sync.verify, progress=progress, checkpoint=checkpoint, keys=keys)

    async def disable_expired(self, *, limit: int = 1000, operation: str | None = None) -> int:
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
        """
        return await self._crossing.run(self._sync.disable_expired, limit=limit, operation=operation)

    async def sweep(self, *, limit: int = 1000) -> int:
        """
        Free the holds of all cards that have run out: of calls whose switch died, or that nobody settled.

        Whoever touches the credit of a card frees its holds as well; this is for cards that nobody touches. Call it
        again until it returns 0, every minute or so. Others may go on working: each call is one commit. A card that was
        changed from outside stays as it is, for `verify` to find.

        Args:
            limit: Of how many cards at most, 1 to 1,000.

        Returns:
            How many holds were freed.

        Raises:
            InvalidValueError: If *limit* is out of its range.
        """
        return await self._crossing.run(self._sync.sweep, limit=limit)

    async def watch_guessing(self) -> GuessWatch:
        """
        Tell how many attempts to get in failed since this was asked last, and whether that is alarming.

        Call it every minute or so, from one place; the first call only begins to count. An alarm is in the audit trail,
        and locks nobody out.

        Returns:
            The figures. It is alarming if there are more than 50 failures a minute and ten times as many as usual.
        """
        return await self._crossing.run(self._sync.watch_guessing)

    async def purge_expired(self, *, limit: int = 1000) -> int:
        """
        Remove what the book keeps only for a time and has kept for long enough, such as how often somebody guessed.

        It keeps the book small and changes nothing that anybody can see, so it leaves no entry in the audit trail.
        Cards that have expired stay. Call it again until it returns 0, and all of that every hour or so. Others may go
        on working: each call is one commit, and what was renewed meanwhile stays. So does what was changed from
        outside, for `verify` to find, unless it only counts guesses.

        Args:
            limit: How many documents are removed at most, 1 to 10,000.

        Returns:
            How many were removed.

        Raises:
            InvalidValueError: If *limit* is something else.
        """
        return await self._crossing.run(self._sync.purge_expired, limit=limit)

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
        Tell how many codes may be active, are, and can still be added.

        The license counts all extensions together. Where `max_active_codes` is set for this one and leaves less, that
        is what counts here: then these are the codes of this extension.

        Where no license holds the limit is 0, so that nothing can be added; `CardBook.license_state` tells why.
        """
        return await self._crossing.run(lambda: self._sync.quota)

    async def settings(self) -> ExtensionSettings:
        """
        Tell what is set for it. One that the book does not know yet has the defaults of `ExtensionSettings`.
        """
        return await self._crossing.run(lambda: self._sync.settings)

    async def configure(self, *, operation: str | None = None, **changes: Unpack[SettingsChanges]) -> ExtensionSettings:
        """
        Change what is set for the extension: what is given, and nothing else. It holds at once, for every process.

        The book knows the extension from then on. Cards that are there stay as they are: an `expiry` is for those that
        are made later without saying when they expire, and a `region` for callers' numbers that are written from then
        on. So the region is set first: a number that is stored already is found as it was written then.

        Args:
            operation: A name of your own for this call.

            changes: The settings that `ExtensionSettings` documents: `minimum_credit="0.50", pin_required=True`.

        Returns:
            All settings, as they are now.

        Raises:
            InvalidValueError: If a value is out of its range, or the region of no country.

            AmountError: If *minimum_credit* is negative or cannot be an amount.

            OperationConflictError: If *operation* was used for something else.

            ImportError: If there is a region, and the extra `phone` is not installed.

        Source: VoipNow user guide, "Setting the Calling Card Extension".
        """
        return await self._crossing.run(self._sync.configure, operation=operation, **changes)

    async def generate(
        self,
        count: int,
        *,
        credit: Amount = 0,
        order_number: str = "",
        code_format: CodeFormat | None = None,
        pin_format: PinFormat | None = None,
        labels: Iterable[str] = (),
        expires_at: datetime | Expiry | None = None,
        enabled: bool = True,
        odds_limit: float | None = None,
        to: str | os.PathLike[str] | None = None,
        format: Format | None = None,  # noqa: A002 - what everybody calls it
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

            expires_at:
                From when on the cards cannot be used: an aware datetime, or an `Expiry` such as
                `Expiry(days_after_first_use=90)`, of which `Expiry()` means never; None for what is set for the
                extension.

            enabled: Whether the cards can be used at once. Cards that are not enabled do not count against the license.

            odds_limit:
                The probability, up to 1, with which a code may be guessed within a year; None for what the book's
                policy accepts.

            to:
                The path of a new file for the hand-outs, `.csv` or `.xlsx`, written as `voipcard.sheets.write` does. It
                is whole and on the disk before the cards are in the book, so that no crash loses a code or a PIN. If
                the cards are refused there is no file; if nobody knows, because the answer of the store was lost, it
                stays. None for no file.

            format: The format of that file; None to go by the end of its path.

            operation:
                A name of your own for this call. Done again, it gives out the same codes, and that is audited. The file
                is left alone then, and written once more where there is none.

            dry_run: Whether to tell only what would happen. Nothing is written, and no codes are drawn.

            progress: Is told how many cards are sealed, and of how many.

        Returns:
            The hand-outs, in clear text. They are given out this once; later only `reveal` can, and of a `strict` book
            nobody can tell the PINs again.

        Raises:
            QuotaExceededError: If the license does not allow so many more active codes.

            LicenseError: If they are to be active and the license does not hold.

            CrowdedError: If the codes would fill too much of what the format can hold.

            GuessableError: If a code would be guessed too easily.

            AmountError: If *credit* cannot be an initial credit.

            InvalidValueError: If another argument is out of its range.

            SheetError:
                If the file cannot be written. Its reason is `exists` if there is something named *to* already: it may
                be the only copy of somebody's PINs, and is never written over. It is `not_kept` if *operation* was done
                before, the file is gone, and its PINs were in nothing else. No cards were made.

            JoinedStoreError: If a file is wanted, and the store has joined a transaction that may be rolled back.

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
            to=to,
            format=format,
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
        expires_at: datetime | Expiry | None = None,
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

            expires_at:
                From when on the cards cannot be used: an aware datetime, or an `Expiry` such as
                `Expiry(days_after_first_use=90)`, of which `Expiry()` means never; None for what is set for the
                extension.

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

            LicenseError: If they are to be active and the license does not hold.

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
        expires_at: datetime | Expiry | None = None,
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
                From when on cards cannot be used whose row does not say it: an aware datetime or an `Expiry`; None for
                what is set for the extension.

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

            LicenseError: If they are to be active and the license does not hold.

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

            WeakPinError:
                If *pin* is easily guessed and the book's policy does not allow that, or if the code begins or ends with
                the PIN, whichever of them is new.

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

            LicenseError: If they are to be active and the license does not hold.

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

            CardInUseError: If a card has running calls: what they cost could not be taken any more.

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

    async def set_expiry(
        self,
        cards: Cards,
        expires_at: datetime | None,
        *,
        operation: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """
        Set when cards expire, or that they never do.

        It holds until the `Expiry` that they were made with moves it: a first use may bring the end nearer, and a
        recharge put it off. At most 1,000 cards are changed in a commit. With an operation, a call that was interrupted
        goes on where it stopped.

        Args:
            cards: A card, its serial, many of them, or a `CardQuery`, which is read as the call goes on.

            expires_at: From when on they cannot be used; an aware datetime, or None for never.

            operation: A name of your own for this call.

            progress: Is told how many cards were changed.

        Returns:
            How many cards expired at another moment before.

        Raises:
            UnknownCardError: If the extension has no such card.

            InvalidValueError: If *expires_at* is not aware.

            OperationConflictError: If *operation* was used for something else.
        """
        return await self._crossing.run(
            self._sync.set_expiry, cards, expires_at, operation=operation, progress=progress
        )

    async def disable_expired(self, *, limit: int = 1000, operation: str | None = None) -> int:
        """
        Disable cards that have expired, so that they no longer count against the license. Their credit stays.

        Changes at most *limit* cards in one commit: call it again until it returns 0. Where nothing has expired,
        nothing is written.

        Args:
            limit: How many cards at most, 1 to 1,000.

            operation: A name of your own for this call.

        Returns:
            How many cards were disabled.

        Raises:
            InvalidValueError: If *limit* is out of its range.

            OperationConflictError: If *operation* was used for something else.
        """
        return await self._crossing.run(self._sync.disable_expired, limit=limit, operation=operation)

    async def label_cards(
        self,
        cards: Cards,
        *,
        add: Iterable[str] = (),
        remove: Iterable[str] = (),
        operation: str | None = None,
        progress: Progress | None = None,
    ) -> int:
        """
        Add labels to cards and remove others, such as `to print` and `shipped`.

        At most 1,000 cards are changed in a commit. With an operation, a call that was interrupted goes on where it
        stopped.

        Args:
            cards: A card, its serial, many of them, or a `CardQuery`, which is read as the call goes on.

            add: Labels, at most 100 of 1 to 255 characters. One that a card has already stays where it is.

            remove: Labels to remove from the cards that have them.

            operation: A name of your own for this call.

            progress: Is told how many cards were changed.

        Returns:
            How many cards had other labels before.

        Raises:
            UnknownCardError: If the extension has no such card.

            InvalidValueError: If a label cannot be one, if there is none, or if a card would have more than 100.

            OperationConflictError: If *operation* was used for something else.
        """
        return await self._crossing.run(
            self._sync.label_cards, cards, add=add, remove=remove, operation=operation, progress=progress
        )

    async def authenticate(
        self,
        code: str,
        *,
        pin: str = "",
        source: str | None = None,
        ingress: str | None = None,
        call_id: str | None = None,
    ) -> Access:
        """
        Let a caller in who dials a code and, where the card has one, a PIN.

        The attempt is counted as failed, durably, before code and PIN are compared, and taken back if they are right.
        Too little credit to call is no reason not to be let in: `Access.may_call` tells it. Every attempt is in the
        audit trail, with the true reason of a refusal.

        Args:
            code: What the caller dialed. It never matches a CallerID card.

            pin: What the caller dialed as PIN; empty for nothing. A card without a PIN takes any.

            source:
                The number or address that the caller comes from; None or empty if it is not known. Only a keyed hash
                of it is kept.

            ingress:
                The trunk that the call came in through; None or empty if it does not matter. Callers of whom neither
                source nor ingress is known count as one ingress.

            call_id:
                The switch's name for the call, so that a call has three attempts; None or empty for any number of them.

        Returns:
            The card, and what the caller may do.

        Raises:
            AccessDeniedError: If the caller is not let in, for whatever reason; it does not say which.

            JoinedStoreError: In a transaction of the caller's: its rollback would give attempts back.

            InvalidCodeError: If *code* is no text.

            InvalidPinError: If *pin* is no text.

            InvalidValueError: If *source*, *ingress* or *call_id* is no line of text of at most 255 characters.

        Source: VoipNow user guide, "Calling Card Extension".
        """
        return await self._crossing.run(
            self._sync.authenticate, code, pin=pin, source=source, ingress=ingress, call_id=call_id
        )

    async def authenticate_caller(
        self,
        number: str,
        *,
        pin: str = "",
        source: str | None = None,
        ingress: str | None = None,
        call_id: str | None = None,
    ) -> Access:
        """
        Let a caller in whose number is a CallerID card, without a code; a PIN is still asked for if the card has one.

        Ask `asks_for` first: an unknown number fails here like a wrong code, and counts against the caller.

        Args:
            number: The caller's number, with or without `+`. It never matches a dialed code.

            pin: As for `authenticate`.

            source: As for `authenticate`; None or empty for the number itself, if it is one.

            ingress: As for `authenticate`.

            call_id: As for `authenticate`.

        Returns:
            The card, and what the caller may do.

        Raises:
            AccessDeniedError: If the caller is not let in, for whatever reason; it does not say which.

            JoinedStoreError: In a transaction of the caller's.

            InvalidCodeError: If *number* is no text.

            InvalidPinError: If *pin* is no text.

            InvalidValueError: If another argument is no line of text of at most 255 characters.

        Source: VoipNow user guide, "Calling Card Extension".
        """
        return await self._crossing.run(
            self._sync.authenticate_caller, number, pin=pin, source=source, ingress=ingress, call_id=call_id
        )

    async def asks_for(self, number: str) -> Question:
        """
        Tell what a caller with this number has to be asked for, before `authenticate` or `authenticate_caller`.

        Nothing is written or counted. Whoever can forge numbers learns which of them are CallerID cards, as by calling:
        give such cards a PIN.

        Args:
            number: The caller's number, with or without `+`.

        Returns:
            `nothing` if the number is a CallerID card without a PIN, `pin` if it is one with a PIN, `code` if it is
            none.

        Raises:
            InvalidCodeError: If *number* is no text.
        """
        return await self._crossing.run(self._sync.asks_for, number)

    async def guesses(self, card: CardCode | str) -> CardGuesses:
        """
        Give the wrong PINs in a row on a card, and whether it is locked or blocked because of them.

        Args:
            card: The card, or its serial.

        Raises:
            UnknownCardError: If the extension has no such card.
        """
        return await self._crossing.run(self._sync.guesses, card)

    async def unblock(self, card: CardCode | str, *, operation: str | None = None) -> None:
        """
        Forget the wrong PINs on a card, so that it can be used again at once by who has attempts left.

        What counts against calls, sources and ingresses stays. Where the count was changed from outside, which `verify`
        finds and which lets nobody in, it begins anew as well.

        Args:
            card: The card, or its serial.

            operation: A name of your own for this call.

        Raises:
            UnknownCardError: If the extension has no such card.

            OperationConflictError: If *operation* was used for something else.
        """
        return await self._crossing.run(self._sync.unblock, card, operation=operation)

    async def begin_call(
        self,
        caller: Access | CardCode | str,
        destination: str,
        *,
        call_id: str,
        reserve: timedelta | None = None,
        expires_in: timedelta | None = None,
        warn_before: timedelta = WARN_BEFORE,
    ) -> AsyncCall:
        """
        Rate a call and hold credit for it, so that it can be charged whatever else happens to the card.

        It is rated by the price list that is set for the extension (`ExtensionSettings.deck`), in the version that
        holds now, by the longest prefix of the number; that price stays until the call is settled. The hold is for all
        that the call may cost: for as many seconds as the available credit pays for, and no more than
        `max_call_seconds`. If the switch dies, the hold runs out, and an import of calls settles what really happened.
        The same call again, on the same card to the same number, goes on instead of beginning twice.

        Args:
            caller: What `authenticate` gave; or a card or its serial, where somebody else has let the caller in.

            destination: The number that is called, with the country code first, or as it is dialed in the extension's
                region: 1 to 32 digits. Only its rated prefix is kept in clear text.

            call_id: The switch's name for the call, unique in the book: 1 to 255 characters, and spaces around it are
                dropped. Only a keyed hash is kept.

            reserve: Hold credit for so much time ahead only, so that a card can pay for several calls at a time. Then
                `keep_alive` has to be called before that has passed. None for as long as there is credit.

            expires_in: For how long the hold lasts if nobody calls `keep_alive`, at most 366 days; None for as long as
                the call may take, and two minutes more.

            warn_before: How long before the end the caller is to be warned.

        Returns:
            How long the call may take, when to warn and what to announce; and how to keep it alive and end it.

        Raises:
            CardUnusableError: If the card, its batch or the extension is disabled, or the card has expired.

            TooManyCallsError: If the card has as many calls running as it may have
                (`ExtensionSettings.concurrent_calls`).

            InsufficientCreditError: If less is available than the extension's minimum, or than the first second costs.

            UnknownDestinationError: If the price list has no rate for the number.

            UnknownDeckError: If the extension's price list is not there.

            CallEndedError: If a call of this name has been settled already.

            OperationConflictError: If a call of this name is running on the card to another number.

            UnknownCardError: If the extension has no such card.

            AmountError: If even the first second costs more than an amount can be.

            InvalidValueError: If another argument is out of its range.

        Source: VoipNow user guide, "Calling Card Extension".
        """
        begun = await self._crossing.run(
            self._sync.begin_call,
            caller,
            destination,
            call_id=call_id,
            reserve=reserve,
            expires_in=expires_in,
            warn_before=warn_before,
        )

        return AsyncCall(begun, self._crossing)

    async def call(
        self,
        card: CardCode | str,
        *,
        call_id: str,
        reserve: timedelta | None = None,
        expires_in: timedelta | None = None,
        warn_before: timedelta = WARN_BEFORE,
    ) -> AsyncCall:
        """
        Give a call that is running, to keep it alive or end it from another process than the one that began it.

        Args:
            card: The card that pays, or its serial.

            call_id: As for `begin_call`.

            reserve: As for `begin_call`.

            expires_in: As for `begin_call`.

            warn_before: As for `begin_call`.

        Raises:
            UnknownHoldError: If the call has ended, or its hold has run out: then import it.

            UnknownCardError: If the extension has no such card.

            InvalidValueError: If another argument is out of its range.
        """
        begun = await self._crossing.run(
            self._sync.call, card, call_id=call_id, reserve=reserve, expires_in=expires_in, warn_before=warn_before
        )

        return AsyncCall(begun, self._crossing)

    async def hold(
        self, card: CardCode | str, amount: Amount, *, expires_in: timedelta, operation: str | None = None
    ) -> Hold:
        """
        Reserve credit of a card, so that nobody else can spend it.

        For switches that rate calls themselves; others begin a call. A hold runs out by itself: whoever touches the
        credit of the card next frees it, and so does `sweep`. The clock is that of the process: where it is set back a
        hold lasts as much longer, and where it runs ahead a hold runs out early, after which a capture takes what is
        there.

        Args:
            card: The card, or its serial.

            amount: How much, zero or more.

            expires_in: For how long, at most 366 days.

            operation: A name of your own for this call.

        Returns:
            The hold. It can be pickled, and used by any process that has the book open.

        Raises:
            CardUnusableError: If the card, its batch or the extension is disabled, or the card has expired.

            TooManyCallsError: If the card has as many holds as it may have calls
                (`ExtensionSettings.concurrent_calls`).

            InsufficientCreditError: If more is asked for than is available.

            UnknownCardError: If the extension has no such card.

            AmountError: If *amount* is negative or no amount.

            InvalidValueError: If *amount* is unlimited, or *expires_in* out of its range.

            OperationConflictError: If *operation* was used for something else.
        """
        return await self._crossing.run(self._sync.hold, card, amount, expires_in=expires_in, operation=operation)

    async def extend(self, hold: Hold, *, amount: Amount | None = None, expires_in: timedelta) -> Hold:
        """
        Let a hold last longer, or be of another amount.

        Asked again it reserves nothing twice, and lasts as long from then on.

        Args:
            hold: The hold.

            amount: How much it is to be in all; None for as much as it is.

            expires_in: For how long it lasts from now on, at most 366 days; never shorter than before.

        Returns:
            The hold as it is now.

        Raises:
            UnknownHoldError: If it has ended or run out.

            InsufficientCreditError: If more is asked for than is available.

            UnknownCardError: If the card was removed.

            AmountError: If *amount* is negative or no amount.

            InvalidValueError: If *amount* is unlimited, or *expires_in* out of its range.
        """
        return await self._crossing.run(self._sync.extend, hold, amount=amount, expires_in=expires_in)

    async def capture(self, hold: Hold, amount: Amount | None = None) -> LedgerEntry:
        """
        Take what something cost out of its hold, exactly once, and free the rest.

        More than was held is taken from what nobody has reserved; so is all of it where the hold has run out. What is
        not there is recorded as the shortfall. Credit never goes below zero, and unlimited credit stays unlimited. That
        the card has expired or was disabled meanwhile changes nothing.

        Args:
            hold: The hold.

            amount: How much, zero or more; None for the `amount` of the hold that is given.

        Returns:
            The entry, with what was taken and the shortfall; `replayed` tells whether it had been made before.

        Raises:
            OperationConflictError: If another amount was captured before, or the hold was released: that stays.

            UnknownCardError: If the card was removed.

            AmountError: If *amount* is negative or no amount.

            InvalidValueError: If *amount* is unlimited.
        """
        return await self._crossing.run(self._sync.capture, hold, amount)

    async def release(self, hold: Hold) -> LedgerEntry:
        """
        Give back what was reserved, exactly once. Nothing can be captured from the hold any more.

        Args:
            hold: The hold.

        Returns:
            The entry that says so, of amount zero; `replayed` tells whether it had been made before.

        Raises:
            OperationConflictError: If the hold was captured before: that stays.

            UnknownCardError: If the card was removed.
        """
        return await self._crossing.run(self._sync.release, hold)

    async def holds(self, card: CardCode | str) -> list[Hold]:
        """
        Give the holds of a card that have not run out, in the order in which it got them: one for each running call.

        Args:
            card: The card, or its serial.

        Raises:
            UnknownCardError: If the extension has no such card.
        """
        return await self._crossing.run(self._sync.holds, card)

    async def sweep(self, *, limit: int = 1000) -> int:
        """
        Free the holds of the extension's cards that have run out. See `CardBook.sweep`.

        Args:
            limit: Of how many cards at most, 1 to 1,000.

        Returns:
            How many holds were freed.

        Raises:
            InvalidValueError: If *limit* is out of its range.
        """
        return await self._crossing.run(self._sync.sweep, limit=limit)

    async def settle_calls(
        self, records: Iterable[CallRecord | RejectedCall], *, progress: Progress | None = None
    ) -> Settlement:
        """
        Charge calls that have taken place, each exactly once by the switch's name for it.

        At most 1,000 of them are charged in a commit, whole or not at all. Asked again, also after a crash in the
        middle and for some of them only, it charges what is missing. A call that was begun here and whose hold has not
        run out is charged by the price list that it began with, and its hold is freed; any other by the version of the
        extension's price list (`ExtensionSettings.deck`) that held when it was answered. What it cost is taken from its
        hold and from what nobody else has reserved; credit never goes below zero, and what is not there is recorded as
        the shortfall. That a card has expired, or that it, its batch or the extension is disabled, changes nothing: the
        call has taken place.

        The first settlement stays, be it by `Call.end` or from here. A call that is told again for the same card, with
        the same number and seconds, is the same; otherwise it is listed as differing. A call that was given up, by
        `release` of its hold, was settled with 0 seconds. What cannot be settled is listed as rejected with the reason
        (`Problem.reason`), and the rest goes on:

        * `unknown_card`: the extension has no such card, or it was removed; `tampered`: it was changed from outside.
        * `unknown_destination`: the price list has no rate for the number.
        * `unknown_deck`: no version of the price list held when the call was answered.
        * `in_future`: it was answered more than a day from now.
        * `too_expensive`: it costs more than an amount can be.
        * `settled_elsewhere`: a call of that name was settled for a card of another extension.

        Args:
            records:
                The calls. They are taken one by one, and only those that differ or are rejected are kept in memory. Of
                what `voipcard.sheets.read_cdrs` gives, bad rows are rejected for what is wrong with them.

            progress: Is told after each commit how many calls were looked at and, where that is known, of how many.

        Returns:
            How many were settled now and before, those that differ, and those that were rejected.

        Raises:
            InvalidValueError: If one of *records* is something else. What was settled before it stays.

            TamperedError: If something was changed from outside that concerns more than one card.
        """
        return await self._crossing.run(self._sync.settle_calls, records, progress=progress)

    async def import_cdrs(
        self,
        source: str | os.PathLike[str] | SupportsRead,
        *,
        zone: str = "UTC",
        format: Format | None = None,  # noqa: A002 - what everybody calls it
        separator: str = ",",
        encoding: str | None = None,
        limits: Limits | None = None,
        progress: Progress | None = None,
    ) -> Settlement:
        """
        Charge the calls of a switch's call detail records: `read_cdrs` and `settle_calls` in one.

        The same file again settles what is missing, whatever stopped it before. `voipcard.sheets.write` makes a file of
        the rejected calls that can be mended and imported again; it shows who was called.

        Args:
            source:
                A path, or a file that is open in binary mode; see `voipcard.sheets.read_cdrs` for what is in it.

            zone: The time zone of moments that do not say theirs, by its IANA name, such as `Europe/Bucharest`.

            format: `csv` or `xlsx`; None to go by the end of the path or, without one, by how the file begins.

            separator: What stands between two fields of a text file: one character.

            encoding: As for `voipcard.sheets.read`.

            limits: How much of the file is read; more than 1,048,576 rows need their own.

            progress: As for `settle_calls`; how many there are in all is not known.

        Returns:
            As for `settle_calls`. Rejected for what is wrong with their rows are also calls with an empty field
            (`missing`), and with what cannot be a name (`not_a_name`), a serial (`not_a_serial`), a number
            (`not_a_number`), a moment (`not_a_moment`) or a number of seconds from 0 to a year (`not_seconds`,
            `negative`, `too_long`), or was damaged by a spreadsheet program (`excel_damage`, `formula`, `number_cell`).

        Raises:
            UploadError: If the first row is no header with all columns. Nothing was written.

            SheetError: If the file cannot be read. What was settled before the place where it cannot stays.

            InvalidValueError: If an argument is out of its range.

            TamperedError: As for `settle_calls`.

        Source: Asterisk documentation, "CDR Specification".
        """
        return await self._crossing.run(
            self._sync.import_cdrs,
            source,
            zone=zone,
            format=format,
            separator=separator,
            encoding=encoding,
            limits=limits,
            progress=progress,
        )

    async def batches(self) -> list[BatchFacts]:
        """
        Give what the book knows of the batches of the extension, in the order in which they were made.

        Reads one document for each batch of the book. A batch stays known when its cards are removed.

        Raises:
            TamperedError: If a document was changed from outside.
        """
        return await self._crossing.run(self._sync.batches)

    async def batch(self, id: str) -> BatchFacts:
        """
        Give what the book knows of a batch.

        Args:
            id: Its id: the first part of its cards' serials.

        Raises:
            UnknownBatchError: If the extension has no such batch.

            TamperedError: If its document was changed from outside.
        """
        return await self._crossing.run(self._sync.batch, id)

    async def disable_batch(self, id: str, *, operation: str | None = None) -> BatchFacts:
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
        """
        return await self._crossing.run(self._sync.disable_batch, id, operation=operation)

    async def enable_batch(self, id: str, *, operation: str | None = None) -> BatchFacts:
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
        return await self._crossing.run(self._sync.enable_batch, id, operation=operation)

    async def label_batch(
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
        """
        return await self._crossing.run(self._sync.label_batch, id, add=add, remove=remove, operation=operation)

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
                Whether to write codes and PINs in clear text; of a `strict` book codes, and `not kept` for PINs. That
                somebody asked, and for which cards, is in the audit trail before the first byte is written.

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

    async def reveal(self, card: CardCode | str) -> Handout:
        """
        Give the code and PIN of a card in clear text. That somebody asked is in the audit trail before.

        Args:
            card: The card, or its serial.

        Returns:
            The hand-out, with the credit that is on the card now. Of a `strict` book it says that there is a PIN, and
            not which.

        Raises:
            ActorRequiredError: If nobody said who is acting.

            UnknownCardError: If the extension has no such card.

            TamperedError: If the stored code or PIN was changed from outside.
        """
        return await self._crossing.run(self._sync.reveal, card)

    async def cost_report(
        self,
        start: datetime | date | None = None,
        end: datetime | date | None = None,
        *,
        by: CostGroup | Sequence[CostGroup] = ("day",),
        card: CardCode | str | None = None,
        batch: str | None = None,
        zone: str = "UTC",
    ) -> Report[CostRow]:
        """
        Sum what calls cost, as the ledger has it: also of cards that have been removed since.

        A call counts by when it began, whenever it was charged, and a capture without one by when its hold began. The
        sums are computed where the data is. They are those of what was charged when they were read; what is charged
        meanwhile counts or does not.

        Args:
            start: The first moment that counts: an aware datetime, or a date for its first moment in *zone*. None for
                no bound.

            end: The first moment that no longer counts, in the same way. With the first of a month and the first of
                the next one, all of a month is counted.

            by:
                What to group by, from left to right: any of `card`, `day`, `month`, `destination`, `batch` and
                `extension`; a single name is enough, and without any there is one row.

            card: Only of this card, which is named by itself or by its serial, and may have been removed; None for all.

            batch: Only of cards of this batch; None for all.

            zone:
                In which time zone days and months begin: its IANA name, such as `Europe/Bucharest`. Days have 23 or 25
                hours there when clocks are turned.

        Returns:
            The report, with a row for each group in which there were calls.

        Raises:
            InvalidValueError: If a moment is not aware, the end comes before the start, a name in *by* is unknown or
                comes twice, or there is no such zone.

            UnknownCardError: If the extension never had such a card.

            UnknownBatchError: If the extension has no such batch.

            AmountError: If a sum is more than an amount can be.

            TamperedError: If a card that was charged is neither there nor among those that were removed, in a report by
                `card`. Whether the entries themselves were changed from outside only `CardBook.verify` tells.

        Source: VoipNow user guide, "Manage Card Codes".
        """
        return await self._crossing.run(self._sync.cost_report, start, end, by=by, card=card, batch=batch, zone=zone)

    async def recharge_report(
        self,
        start: datetime | date | None = None,
        end: datetime | date | None = None,
        *,
        by: RechargeGroup | Sequence[RechargeGroup] = ("day",),
        card: CardCode | str | None = None,
        batch: str | None = None,
        zone: str = "UTC",
    ) -> Report[RechargeRow]:
        """
        Sum what was put on cards and what was taken by hand: initial credit, recharges and transfers.

        A change counts by when it was recorded. A transfer is two changes, one on each card. The ledger is read twice:
        what is recorded meanwhile may count as taken, and not as added.

        Args:
            start: As for `cost_report`.

            end: As for `cost_report`.

            by: What to group by, from left to right: any of `card`, `day`, `month`, `kind`, `batch` and `extension`.

            card: As for `cost_report`.

            batch: As for `cost_report`.

            zone: As for `cost_report`.

        Returns:
            The report. Where Unlimited was given, that is counted apart.

        Raises:
            InvalidValueError: If a moment is not aware, the end comes before the start, a name in *by* is unknown or
                comes twice, or there is no such zone.

            UnknownCardError: If the extension never had such a card.

            UnknownBatchError: If the extension has no such batch.

            AmountError: If a sum is more than an amount can be.

            TamperedError: As for `cost_report`.
        """
        return await self._crossing.run(
            self._sync.recharge_report, start, end, by=by, card=card, batch=batch, zone=zone
        )

    async def liability(
        self, *, by: CreditGroup | Sequence[CreditGroup] = (), batch: str | None = None
    ) -> Report[CreditRow]:
        """
        Sum all credit that is on cards now, expired and disabled cards included.

        It goes over the cards that have credit once, a page at a time, while others go on: of a card that changes
        meanwhile either state counts.

        Args:
            by: What to group by, from left to right: `batch`, `extension` or both; without any there is one row.

            batch: Only of cards of this batch; None for all.

        Returns:
            The report. Cards with Unlimited credit are counted apart.

        Raises:
            InvalidValueError: If a name in *by* is unknown or comes twice.

            UnknownBatchError: If the extension has no such batch.

            AmountError: If a sum is more than an amount can be.

            TamperedError: If a stored card was changed from outside.
        """
        return await self._crossing.run(self._sync.liability, by=by, batch=batch)

    async def breakage(
        self,
        *,
        unused_days: int = 365,
        by: CreditGroup | Sequence[CreditGroup] = (),
        batch: str | None = None,
    ) -> Report[CreditRow]:
        """
        Sum the credit that will hardly be used any more: on cards that have expired, or lie unused.

        A card lies unused if it was made, recharged, charged and first let in so long ago or longer, and no hold on it
        was released since. One that has expired counts as such only. It is computed as `liability` is; for most cards
        that were used more than once, their newest entry is read besides.

        Args:
            unused_days: How many days it has to be, 1 or more.

            by: As for `liability`, within each reason.

            batch: Only of cards of this batch; None for all.

        Returns:
            The report, by `reason`: `expired` and `unused`.

        Raises:
            InvalidValueError: If *unused_days* is out of its range, or a name in *by* is unknown or comes twice.

            UnknownBatchError: If the extension has no such batch.

            AmountError: If a sum is more than an amount can be.

            TamperedError: If a stored card was changed from outside.
        """
        return await self._crossing.run(self._sync.breakage, unused_days=unused_days, by=by, batch=batch)

    async def ageing(
        self,
        *,
        since: Literal["made", "changed"] = "changed",
        days: Sequence[int] = (30, 90, 180, 365),
        by: CreditGroup | Sequence[CreditGroup] = (),
        batch: str | None = None,
    ) -> Report[CreditRow]:
        """
        Sum the credit that is on cards now by its age.

        It is computed as `liability` is; of cards whose credit was changed since they were made, the newest entry is
        read besides where the age counts from there.

        Args:
            since: What the age counts from: `made`, or `changed` for when the card was last made, recharged, charged or
                first let in, or a hold on it was released.

            days:
                The last day of each span, ascending. The standard ones are `0 to 30`, `31 to 90`, `91 to 180`,
                `181 to 365` and `over 365`.

            by: As for `liability`, within each span.

            batch: Only of cards of this batch; None for all.

        Returns:
            The report, by `age`; without *by* it has every span, also where there is nothing.

        Raises:
            InvalidValueError: If an argument is none of these, or a name in *by* comes twice.

            UnknownBatchError: If the extension has no such batch.

            AmountError: If a sum is more than an amount can be.

            TamperedError: If a stored card was changed from outside.
        """
        return await self._crossing.run(self._sync.ageing, since=since, days=days, by=by, batch=batch)

    async def first_use_curve(
        self,
        start: datetime | date | None = None,
        end: datetime | date | None = None,
        *,
        days: Sequence[int] = (1, 7, 30, 90, 365),
        batch: str | None = None,
        zone: str = "UTC",
    ) -> Report[UseRow]:
        """
        Count how soon after they were made cards were first used, and how many never were.

        It goes over the cards once, a page at a time. Of removed cards nobody knows any more when they were used: they
        do not count.

        Args:
            start: Only cards made from then on: an aware datetime, or a date for its first moment in *zone*. None for
                no bound.

            end: Only cards made before, in the same way.

            days: The last day of each span, ascending.

            batch: Only cards of this batch; None for all.

            zone: The time zone of dates, by its IANA name.

        Returns:
            The report, by `age`, with every span; the last row is that of cards that were never used.

        Raises:
            InvalidValueError: If a moment is not aware, the end comes before the start, *days* are out of their range,
                or there is no such zone.

            UnknownBatchError: If the extension has no such batch.

            TamperedError: If a stored card was changed from outside.
        """
        return await self._crossing.run(self._sync.first_use_curve, start, end, days=days, batch=batch, zone=zone)

    def calls(
        self,
        start: datetime | date | None = None,
        end: datetime | date | None = None,
        *,
        card: CardCode | str | None = None,
        batch: str | None = None,
        zone: str = "UTC",
    ) -> AsyncIterator[ChargedCall]:
        """
        Give the calls that were charged, however many, one by one, in the order in which they were charged.

        It reads a page at a time. Of the number that was called, the rated prefix is given.

        Args:
            start: As for `cost_report`: calls count by when they began.

            end: As for `cost_report`.

            card: As for `cost_report`.

            batch: As for `cost_report`.

            zone: The time zone of dates, by its IANA name.

        Raises:
            InvalidValueError: If a moment is not aware, the end comes before the start, or there is no such zone.

            UnknownCardError: If the extension never had such a card.

            UnknownBatchError: If the extension has no such batch.

            TamperedError: If a stored entry is so damaged that it cannot be shown.

        Source: VoipNow user guide, "Manage Card Codes".
        """
        return Items(self._crossing, self._sync.calls, start, end, card=card, batch=batch, zone=zone)

    def reveal_calls(
        self,
        start: datetime | date | None = None,
        end: datetime | date | None = None,
        *,
        card: CardCode | str | None = None,
        batch: str | None = None,
        zone: str = "UTC",
    ) -> AsyncIterator[RevealedCall]:
        """
        Give the calls that were charged with the numbers that were called, in clear text.

        That somebody asked, and for which calls, is in the audit trail before the first of them is given.

        Args:
            start: As for `cost_report`: calls count by when they began.

            end: As for `cost_report`.

            card: As for `cost_report`.

            batch: As for `cost_report`.

            zone: The time zone of dates, by its IANA name.

        Raises:
            ActorRequiredError: If nobody said who is acting.

            JoinedStoreError: If the store has joined a transaction of its caller's.

            InvalidValueError: If a moment is not aware, the end comes before the start, or there is no such zone.

            UnknownCardError: If the extension never had such a card.

            UnknownBatchError: If the extension has no such batch.

            TamperedError: If a stored number or entry was changed from outside.
        """
        return Items(self._crossing, self._sync.reveal_calls, start, end, card=card, batch=batch, zone=zone)

    # Up to here


class AsyncCall:
    """
    The async twin of `Call`: a call that is running, and how long it may; see `AsyncExtension.begin_call`.

    Attributes:
        hold: The credit that is held for it.
        max_duration: How long it may take in all, in seconds, by the credit that is held now.
        warn_after: After how many seconds the caller is to be warned that it ends; None where it is too short for that.
        announcements: What to tell the caller; see `Call`.
        rate: What it costs.
        replayed: Whether it had been begun before, and goes on.
    """

    def __init__(self, sync: Call, crossing: Crossing) -> None:
        self._sync = sync
        self._crossing = crossing
        self.hold: Hold = sync.hold
        self.max_duration: int = sync.max_duration
        self.warn_after: int | None = sync.warn_after
        self.announcements: tuple[Announcement, ...] = sync.announcements
        self.rate: Rate = sync.rate
        self.replayed: bool = sync.replayed

    def __repr__(self) -> str:
        return f"Async{self._sync!r}"

    # From Call, by scripts/generate_aio.py

    @property
    def serial(self) -> str:
        """
        The card that pays.
        """
        return self._sync.serial

    async def keep_alive(self) -> AsyncCall:
        """
        Let the credit be held for longer, as the call goes on. Use the call that this gives from then on.

        What was put on the card meanwhile, or given back by other calls, lets the call take longer. A call whose hold
        has run out, be it because a clock ran ahead, is held for again with what is there; a clock that is set back
        makes nothing shorter. Nothing else is looked at: who was let in may go on where the card, its batch or its
        extension has been disabled.

        Raises:
            CallEndedError: If the call was settled or given up.

            TooManyCallsError: If the hold has run out, and the card has 2,000 others by now.

            UnknownCardError: If the card was removed.

            TamperedError: If the card was changed from outside.
        """
        begun = await self._crossing.run(self._sync.keep_alive)

        return AsyncCall(begun, self._crossing)

    async def end(self, seconds: int, *, started_at: datetime | None = None) -> LedgerEntry:
        """
        Charge the call and free what else was held for it, exactly once.

        What it cost is taken from what was held for it and, beyond that, from what nobody has reserved; what is not
        there is recorded as the shortfall. Credit never goes below zero. That the hold has run out, that the card has
        expired, or that it, its batch or its extension has been disabled meanwhile, changes nothing.

        Args:
            seconds: How long the call took, 0 to a year: 0 for one that nobody answered, which costs nothing.

            started_at:
                When it was answered; None for when it began. An aware datetime, which is kept as it is told: the price
                does not depend on it.

        Returns:
            The entry; `replayed` tells whether the call was settled before.

        Raises:
            InvalidValueError: If *seconds* or *started_at* cannot be. Nothing was written, and the call goes on.

            AmountError: If it costs more than an amount can be; likewise.

            OperationConflictError: If the call was settled before in another way, or given up: that stays.

            UnknownCardError: If the card was removed.

            TamperedError: If the card was changed from outside.
        """
        return await self._crossing.run(self._sync.end, seconds, started_at=started_at)

    # Up to here
