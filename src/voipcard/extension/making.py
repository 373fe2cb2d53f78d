"""
Making cards: drawn, of codes of one's own, or of a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from voipcard import issuing, sealing
from voipcard.core.arguments import Progress
from voipcard.core.batches import Batch
from voipcard.core.cards import NewCard
from voipcard.core.codes import CodeFormat
from voipcard.core.credit import Amount
from voipcard.core.expiry import Expiry
from voipcard.core.pins import PinFormat
from voipcard.core.uploads import OnError, checked_on_error
from voipcard.errors import InvalidCodeError, InvalidValueError
from voipcard.extension.bound import Bound

if TYPE_CHECKING:
    from voipcard.sheets import Format, Limits, SupportsRead

__all__ = ["Making"]


class Making(Bound):
    """
    Makes cards.
    """

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
            sealing.terms(labels, expires_at, enabled=enabled),
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
            sealing.terms(labels, expires_at, enabled=enabled),
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
            sealing.terms(labels, expires_at, enabled=enabled),
            on_error=on_error,
            problem_limit=problem_limit,
            operation=operation,
            dry_run=dry_run,
            progress=progress,
        )
