"""
What can be done with the card codes of one Calling Card extension.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Unpack

import attrs

from voipcard import access as accessing
from voipcard import batches, editing, exporting, guessing, issuing, lifecycle, recharging, registry, searching
from voipcard.access import Access, Question
from voipcard.core.arguments import Progress
from voipcard.core.batches import Batch, BatchFacts
from voipcard.core.cards import (
    CardCode,
    Handout,
    NewCard,
    is_caller_id,
    part_of_code,
    serial_of,
    serial_or_nothing,
)
from voipcard.core.codes import CodeFormat
from voipcard.core.credit import Amount
from voipcard.core.expiry import Expiry
from voipcard.core.ledger import LedgerEntry
from voipcard.core.license import Quota
from voipcard.core.pins import PinFormat
from voipcard.core.query import CardQuery, EntryQuery
from voipcard.core.settings import ExtensionSettings, SettingsChanges
from voipcard.core.uploads import OnError, checked_on_error
from voipcard.errors import InvalidCodeError, InvalidValueError, UnknownCardError
from voipcard.guessing import CardGuesses
from voipcard.searching import CardFilters, Page, Search
from voipcard.targets import Cards
from voipcard.transact import Engine

if TYPE_CHECKING:
    from voipcard.sheets import Dialect, Format, Limits, SupportsRead, SupportsWrite

__all__ = ["Extension"]


class Extension:
    """
    One Calling Card extension and its card codes. Get one from `CardBook.extension`.

    Wherever a card is asked for, a `CardCode` or its serial will do. Every write leaves one entry in the audit trail
    and takes `operation=`, a name of your own for the call: the same call with the same name again, from whatever
    process, is not done twice, but answered with what it did the first time; cards, and the codes and PINs of a batch,
    are then given as they are by now. The same name for anything else is an `OperationConflictError`. Only an upload is
    done once without such a name, too.

    Attributes:
        number: Its extended number.
    """

    def __init__(self, engine: Engine, number: str) -> None:
        self._engine = engine
        self.number = number

    def __repr__(self) -> str:
        return f"<Extension {self.number}>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Extension):
            return NotImplemented

        return (self.number, self._engine.store) == (other.number, other._engine.store)

    def __hash__(self) -> int:
        return hash(self.number)

    @property
    def label(self) -> str:
        """
        What people call it; empty if nothing.
        """
        return registry.facts_of(self._engine, self.number).label

    @property
    def enabled(self) -> bool:
        """
        Whether its cards may be used.
        """
        return registry.facts_of(self._engine, self.number).enabled

    @property
    def quota(self) -> Quota:
        """
        How many codes may be active, are, and can still be added.

        The license counts all extensions together. Where `max_active_codes` is set for this one and leaves less, that
        is what counts here: then these are the codes of this extension.

        Where no license holds the limit is 0, so that nothing can be added; `CardBook.license_state` tells why.
        """
        return self._engine.quota(self.number)

    # Settings

    @property
    def settings(self) -> ExtensionSettings:
        """
        What is set for it. One that the book does not know yet has the defaults of `ExtensionSettings`.
        """
        return registry.facts_of(self._engine, self.number).settings

    def configure(self, *, operation: str | None = None, **changes: Unpack[SettingsChanges]) -> ExtensionSettings:
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

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> extension.configure(minimum_credit="0.50", no_credit_sound="no-credit").minimum_credit
            Credit('0.50')
            >>> extension.settings.no_credit_sound
            'no-credit'

        Source: VoipNow user guide, "Setting the Calling Card Extension".
        """
        return registry.configure(self._engine, self.number, operation=operation, **changes)

    # Making cards

    def generate(
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

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> batch = extension.generate(500, credit="10.00", order_number="PO-117")
            >>> len(batch), len(batch[0].code), len(batch[0].pin)
            (500, 13, 4)

        Source: VoipNow user guide, "Manage Card Codes".
        """
        engine = self._engine
        if odds_limit is not None:
            engine = attrs.evolve(engine, policy=attrs.evolve(engine.policy, odds_limit=odds_limit))

        return issuing.generate(
            engine,
            self.number,
            count,
            issuing.terms(labels, expires_at, enabled=enabled),
            code_format=code_format or CodeFormat(),
            pin_format=pin_format or PinFormat(),
            credit=credit,
            order_number=order_number,
            to=to,
            format_=format,
            operation=operation,
            dry_run=dry_run,
            progress=progress,
        )

    def add(
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

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> [handout] = extension.add("7700 1834", pin="0482", credit="5.00")
            >>> handout.code
            '77001834'

        Source: VoipNow user guide, "Add Card Code".
        """
        given = [cards] if isinstance(cards, str | NewCard) else list(cards)
        if not given:
            raise InvalidValueError("cards", "has to be at least one")
        accepted = []
        for row, card in enumerate(given, 1):
            try:
                accepted.append(
                    card if isinstance(card, NewCard) else NewCard(card, pin, credit, order_number, caller_id)
                )
            except InvalidCodeError as error:
                raise InvalidCodeError(error.name, error.reason, row if len(given) > 1 else 0) from None

        return issuing.add(
            self._engine,
            self.number,
            accepted,
            issuing.terms(labels, expires_at, enabled=enabled),
            code_format=code_format,
            allow_weak_pins=self._engine.policy.allow_weak_pins,
            operation=operation,
            dry_run=dry_run,
            progress=progress,
        )

    def upload(
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
        r"""
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

        Example:
            >>> from io import BytesIO
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> file = BytesIO(b"0077001834221,0482,PO-117,10.00\n7700183422158,,PO-117,ten\n")
            >>> report = extension.upload(file, on_error="skip").report
            >>> report.added, report.rejected, str(report.problems[0])
            (1, 1, 'row 2, credit: write the credit with a point, such as 12.50, or u for unlimited')

        Source: VoipNow user guide, "Add Card Code".
        """
        from voipcard.sheets import read_upload

        checked_on_error(on_error)
        upload = read_upload(
            source,
            format=format,
            separator=separator,
            encoding=encoding,
            code_format=code_format,
            on_error="skip",
            problem_limit=problem_limit,
            limits=limits,
            progress=progress,
        )

        return issuing.upload(
            self._engine,
            self.number,
            upload,
            issuing.terms(labels, expires_at, enabled=enabled),
            on_error=on_error,
            problem_limit=problem_limit,
            operation=operation,
            dry_run=dry_run,
            progress=progress,
        )

    # Changing cards

    def edit(
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
        serial = serial_of(card)

        return editing.edit(
            self._engine, self.number, serial, code=code, caller_id=caller_id, pin=pin, operation=operation
        )

    def enable(self, cards: Cards, *, operation: str | None = None, progress: Progress | None = None) -> int:
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
        return editing.switch(self._engine, self.number, cards, enabled=True, operation=operation, progress=progress)

    def disable(self, cards: Cards, *, operation: str | None = None, progress: Progress | None = None) -> int:
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

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> batch = extension.generate(3)
            >>> extension.disable(batch[0].serial)
            1
            >>> extension.disable(voipcard.CardQuery(batch=batch.id))
            2
        """
        return editing.switch(self._engine, self.number, cards, enabled=False, operation=operation, progress=progress)

    def remove(
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
        return editing.remove(self._engine, self.number, cards, operation=operation, dry_run=dry_run, progress=progress)

    def remove_unused(
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
        return editing.remove_unused(
            self._engine, self.number, older_than, operation=operation, dry_run=dry_run, progress=progress
        )

    def set_expiry(
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

        Example:
            >>> from datetime import UTC, datetime
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> [handout] = extension.generate(1)
            >>> extension.set_expiry(handout.serial, datetime(2030, 1, 1, tzinfo=UTC))
            1
        """
        return lifecycle.set_expiry(
            self._engine, self.number, cards, expires_at, operation=operation, progress=progress
        )

    def disable_expired(self, *, limit: int = 1000, operation: str | None = None) -> int:
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
        return lifecycle.disable_expired(self._engine, self.number, limit=limit, operation=operation)

    def label_cards(
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

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> batch = extension.generate(3, labels=["to print"])
            >>> extension.label_cards(voipcard.CardQuery(batch=batch.id), add=["printed"], remove=["to print"])
            3
            >>> extension.get(batch[0].serial).labels
            ('printed',)
        """
        return lifecycle.label_cards(
            self._engine, self.number, cards, add=add, remove=remove, operation=operation, progress=progress
        )

    def reveal(self, card: CardCode | str) -> Handout:
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
        return editing.reveal(self._engine, self.number, serial_of(card))

    # Letting callers in

    def authenticate(
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
                The number or address that the caller comes from; None if it is not known. Only a keyed hash of it is
                kept.

            ingress:
                The trunk that the call came in through; None if it does not matter. Callers of whom neither source nor
                ingress is known count as one ingress.

            call_id: The switch's name for the call, so that a call has three attempts; None for any number.

        Returns:
            The card, and what the caller may do.

        Raises:
            AccessDeniedError: If the caller is not let in, for whatever reason; it does not say which.

            JoinedStoreError: In a transaction of the caller's: its rollback would give attempts back.

            InvalidCodeError: If *code* is no text.

            InvalidPinError: If *pin* is no text.

            InvalidValueError: If *source*, *ingress* or *call_id* is no line of text of at most 255 characters.

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> [handout] = extension.generate(1, credit="10.00")
            >>> access = extension.authenticate(handout.code, pin=handout.pin, source="40722123456")
            >>> access.may_call, access.available
            (True, Credit('10.00'))

        Source: VoipNow user guide, "Calling Card Extension".
        """
        return accessing.authenticate(
            self._engine, self.number, code, pin=pin, source=source, ingress=ingress, call_id=call_id
        )

    def authenticate_caller(
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

            source: As for `authenticate`; None for the number itself.

            ingress: As for `authenticate`.

            call_id: As for `authenticate`.

        Returns:
            The card, and what the caller may do.

        Raises:
            AccessDeniedError: If the caller is not let in, for whatever reason; it does not say which.

            JoinedStoreError: In a transaction of the caller's.

            InvalidPinError: If *pin* is no text.

            InvalidValueError: If another argument is no line of text of at most 255 characters.

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> _ = extension.add("+40 722 123 456", credit="5.00")
            >>> extension.asks_for("40722123456")
            'nothing'
            >>> extension.authenticate_caller("40722123456").available
            Credit('5.00')

        Source: VoipNow user guide, "Calling Card Extension".
        """
        return accessing.authenticate_caller(
            self._engine, self.number, number, pin=pin, source=source, ingress=ingress, call_id=call_id
        )

    def asks_for(self, number: str) -> Question:
        """
        Tell what a caller with this number has to be asked for, before `authenticate` or `authenticate_caller`.

        Nothing is written or counted. Whoever can forge numbers learns which of them are CallerID cards, as by calling:
        give such cards a PIN.

        Args:
            number: The caller's number, with or without `+`.

        Returns:
            `nothing` if the number is a CallerID card without a PIN, `pin` if it is one with a PIN, `code` if it is
            none.
        """
        return accessing.asks_for(self._engine, self.number, number)

    def guesses(self, card: CardCode | str) -> CardGuesses:
        """
        Give the wrong PINs in a row on a card, and whether it is locked or blocked because of them.

        Args:
            card: The card, or its serial.

        Raises:
            UnknownCardError: If the extension has no such card.
        """
        return guessing.guesses_on(self._engine, self.number, serial_of(card))

    def unblock(self, card: CardCode | str, *, operation: str | None = None) -> None:
        """
        Forget the wrong PINs on a card, so that it can be used again at once.

        Args:
            card: The card, or its serial.

            operation: A name of your own for this call.

        Raises:
            UnknownCardError: If the extension has no such card.

            OperationConflictError: If *operation* was used for something else.
        """
        guessing.unblock(self._engine, self.number, serial_of(card), operation=operation)

    # Batches

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

    # Credit

    def recharge(
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

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> [handout] = extension.generate(1, credit="10.00")
            >>> extension.recharge(handout.serial, "2.50", order_number="PO-9").credit_left
            Credit('12.50')
            >>> extension.recharge(handout.serial, "2.50", order_number="PO-9").replayed
            True

        Source: VoipNow user guide, "Manage Card Codes Credit".
        """
        if operation is None:
            return recharging.recharge(self._engine, self.number, card, amount, order_number=order_number)
        [entry] = self.recharge_many([(card, amount)], order_number=order_number, operation=operation)

        return entry

    def recharge_many(
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
        return recharging.recharge_many(
            self._engine, self.number, amounts, order_number=order_number, operation=operation, progress=progress
        )

    def transfer(
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
        return recharging.transfer(
            self._engine, self.number, source, target, amount, order_number=order_number, operation=operation
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
    ) -> Iterator[LedgerEntry]:
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
        serial = serial_of(card)
        query = EntryQuery(
            card=self._engine.card(self.number, serial).id,
            kinds=frozenset({"initial", "recharge", "transfer"}),
            order_number=order_number,
            amount_at_least=amount_at_least,
            amount_below=amount_below,
            created_from=created_from,
            created_before=created_before,
            descending=newest_first,
        )

        return map(self._engine.records.entry, searching.entry_records(self._engine, query))

    # Finding cards

    def find(
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
        record = searching.find(self._engine, self.number, code=code, caller_id=caller_id, serial=serial)

        return self._engine.records.card(record) if record else None

    def get(self, serial: str | None = None, *, code: str | None = None, caller_id: str | None = None) -> CardCode:
        """
        Give the one card with this serial, code or CallerID.

        Raises:
            UnknownCardError: If there is none.

            InvalidValueError: If not exactly one of them is given.

            InvalidCodeError: If it cannot be a code or CallerID.

            TamperedError: If the stored card was changed from outside.
        """
        card = self.find(serial, code=code, caller_id=caller_id)
        if card is None:
            raise UnknownCardError(serial_or_nothing(serial))

        return card

    def __getitem__(self, serial: str) -> CardCode:
        return self.get(serial)

    def __contains__(self, card: object) -> bool:
        return isinstance(card, CardCode | str) and self.find(serial_of(card)) is not None

    def __iter__(self) -> Iterator[CardCode]:
        return self.search()

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
    ) -> Iterator[CardCode]:
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

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> _ = extension.generate(2, credit="10.00")
            >>> _ = extension.generate(1, credit=voipcard.UNLIMITED)
            >>> [str(card.credit) for card in extension.search(credit_at_least=5, order="credit")]
            ['10.00', '10.00', 'unlimited']
        """
        search = self._search(
            query, filters, serial=serial, code=code, caller_id=caller_id, prefix=code_prefix, contains=code_contains
        )

        return map(self._engine.records.card, search.records(self._engine))

    def page(
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
        search = self._search(
            query, filters, serial=serial, code=code, caller_id=caller_id, prefix=code_prefix, contains=code_contains
        )

        return search.page(self._engine, limit, cursor)

    def count(
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
        search = self._search(
            query, filters, serial=serial, code=code, caller_id=caller_id, prefix=code_prefix, contains=code_contains
        )

        return search.count(self._engine)

    def export(
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

        Example:
            >>> extension = voipcard.open_book().extension("0003*215")
            >>> _ = extension.generate(2, credit="10.00")
            >>> extension.export("low.xlsx", credit_below="20.00", order="credit")
            2

        Source: VoipNow user guide, "Manage Card Codes".
        """
        search = self._search(
            query, filters, serial=serial, code=code, caller_id=caller_id, prefix=code_prefix, contains=code_contains
        )

        return exporting.export(
            self._engine,
            self.number,
            search,
            target,
            reveal=reveal,
            columns=columns,
            format_=format,
            separator=separator,
            dialect=dialect,
            progress=progress,
        )

    def _search(
        self,
        query: CardQuery | None,
        filters: CardFilters,
        *,
        serial: str | None,
        code: str | None,
        caller_id: str | None,
        prefix: str,
        contains: str,
    ) -> Search:
        if query is not None and filters:
            raise InvalidValueError("filters", "and a query cannot be given together")
        query = query or CardQuery(**filters)
        if query.extension not in (None, self.number):
            raise InvalidValueError("extension", "of the query has to be this one")
        query = attrs.evolve(query, extension=self.number)
        if serial is not None:
            # Where two serials are asked for no card has both; none has the empty one.
            query = attrs.evolve(query, serial=serial if query.serial in (None, serial) else "")
        if query.now is None:
            query = attrs.evolve(query, now=self._engine.now())
        exact = None
        if code is not None or caller_id is not None:
            exact = searching.exact(self._engine, self.number, code=code, caller_id=caller_id)
        if is_caller_id(prefix):
            # No dialed code is meant.
            query = attrs.evolve(query, kind="caller_id", serial="" if query.kind == "code" else query.serial)

        return Search(query, part_of_code(prefix), part_of_code(contains), exact)
