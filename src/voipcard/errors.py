"""
Every refusal has a class, every class states one fact, and its fields carry what a program needs to react.

No text and no field ever holds a card code, a PIN or a CallerID. Where a card has to be named it is named by its
serial.

```text
VoipcardError
├── AmountTypeError (TypeError)        a float, a bool or some other thing that is no amount
├── AmountError (ValueError)           no number, too many decimals, too large, the wrong sign
├── InvalidValueError (ValueError)     any other argument that no card book could accept
│   ├── InvalidCodeError               the text cannot be a card code, a CallerID or fit the format
│   └── InvalidPinError                the text cannot be a PIN
│       └── WeakPinError               a PIN that is guessed first
├── GuessableError                     the codes would be found too easily by guessing
├── CrowdedError                       too many codes for the format
├── InsufficientCreditError            more would be taken than is available
├── CardUnusableError                  the card, its batch or its extension is disabled, or it has expired
├── CardInUseError                     the card has calls that are still running
├── TooManyCallsError                  the card has as many calls running as it may have
├── UnknownHoldError (LookupError)     the hold, or the call, has ended or run out
├── CallEndedError                     a call of this name has been settled already
├── UnknownDestinationError (LookupError)  the price list has no rate for this number
├── UnknownDeckError (LookupError)     no price list of this name holds at this moment
├── DeckExistsError                    another price list of this name holds from the same moment on
├── UnlimitedCreditError               the request makes no sense for unlimited credit
├── QuotaExceededError                 the license allows fewer active codes
├── UnknownCardError (LookupError)     no such card
├── UnknownBatchError (LookupError)    no such batch
├── CardExistsError                    codes that are in the extension already, or twice in the request
├── OperationConflictError             the operation was used before, for something else
├── AccessDeniedError                  the caller is not let in, and is not told why
├── LicenseError                       no new active codes: the license does not hold
├── SignatureError                     a signed text that nobody who is trusted signed
├── ActorRequiredError                 nobody said who is acting
├── JoinedStoreError                   secrets are told in no transaction that may be rolled back
├── CursorError                        the cursor belongs to another search
├── CurrencyError                      the book is kept in another currency, or in none yet
├── KeyMissingError                    the book's key is not there
├── KeyMismatchError                   the key is not the one of this book
├── TamperedError                      a stored value is not what was stored
├── SheetError                         a file that cannot be read or written as a table
│   └── UploadError                    a file that was read, with the rows that were refused
└── StoreError                         the store could not do what it was asked
    ├── StaleError                     something changed since it was read
    ├── DuplicateError                 something that must be new is there already
    ├── CeilingError                   a counter would rise above its ceiling
    ├── OccupiedError                  a book cannot be copied to where something else is
    ├── UnequalError                   two stores that are to hold the same book differ
    ├── NotABookError                  the file is something else
    ├── SchemaError                    the file was written by a newer release
    ├── StoreReadOnlyError             nothing can be written there
    ├── StoreFullError                 no space is left
    ├── StoreBusyError                 others kept the store locked for too long
    └── StoreClosedError               closed, or opened by another process
```
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "AccessDeniedError",
    "ActorRequiredError",
    "AmountError",
    "AmountTypeError",
    "CallEndedError",
    "CardExistsError",
    "CardInUseError",
    "CardUnusableError",
    "CeilingError",
    "CrowdedError",
    "CurrencyError",
    "CursorError",
    "DeckExistsError",
    "DuplicateError",
    "GuessableError",
    "InsufficientCreditError",
    "InvalidCodeError",
    "InvalidPinError",
    "InvalidValueError",
    "JoinedStoreError",
    "KeyMismatchError",
    "KeyMissingError",
    "LicenseError",
    "NotABookError",
    "OccupiedError",
    "OperationConflictError",
    "Problem",
    "QuotaExceededError",
    "SchemaError",
    "SheetError",
    "SignatureError",
    "StaleError",
    "StoreBusyError",
    "StoreClosedError",
    "StoreError",
    "StoreFullError",
    "StoreReadOnlyError",
    "TamperedError",
    "TooManyCallsError",
    "UnequalError",
    "UnknownBatchError",
    "UnknownCardError",
    "UnknownDeckError",
    "UnknownDestinationError",
    "UnknownHoldError",
    "UnlimitedCreditError",
    "UploadError",
    "VoipcardError",
    "WeakPinError",
]

_NAMED = 5
"""How many offenders a message names before it says how many more there are."""


def _listed(names: Sequence[object]) -> str:
    shown = ", ".join(str(name) for name in names[:_NAMED])
    more = len(names) - _NAMED

    return f"{shown} and {more} more" if more > 0 else shown


class VoipcardError(Exception):
    """
    The root of everything that this library refuses.
    """


@attrs.frozen
class AmountTypeError(VoipcardError, TypeError):
    """
    Something that is no amount was given as one, most often a float.

    Attributes:
        given: The name of the type that was given.
    """

    given: str

    def __str__(self) -> str:
        return f"an amount cannot be a {self.given}: write it as '12.50', Decimal('12.50') or a whole number"


@attrs.frozen
class AmountError(VoipcardError, ValueError):
    """
    A number that cannot be an amount, or not the amount that is asked for here.

    Attributes:
        reason: What is wrong: `not_a_number`, `too_precise`, `too_large`, `negative`, `not_positive` or `zero`.
    """

    reason: str

    def __str__(self) -> str:
        return {
            "not_a_number": "an amount is a finite decimal number or 'unlimited'",
            "too_precise": "an amount has at most six decimal places",
            "too_large": "an amount is smaller than 9,223,372,036,854 in size",
            "negative": "this amount cannot be negative",
            "not_positive": "this amount has to be greater than zero",
            "zero": "this amount cannot be zero",
        }[self.reason]


@attrs.frozen
class InvalidValueError(VoipcardError, ValueError):
    """
    An argument that no card book could accept.

    Attributes:
        name: The argument.
        reason: What it has to be.
    """

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name} {self.reason}"


def _in_row(row: int) -> str:
    return f" (card {row})" if row else ""


@attrs.frozen
class InvalidCodeError(InvalidValueError):
    """
    A text that cannot be a card code or a CallerID, or does not fit the format that was given.

    Attributes:
        name: `code` or `caller_id`.
        reason:
            What is wrong: `not_text`, `empty`, `too_long`, `leading_plus`, `not_ascii`, `not_digits`, `wrong_length`,
            `wrong_prefix`, `wrong_suffix`, `wrong_alphabet` or `wrong_check_digit`.
        row: Which card of the request, counted from 1; 0 if there is only one.
    """

    row: int = 0

    def __str__(self) -> str:
        sentence = {
            "empty": "has no characters",
            "too_long": "is too long",
            "not_text": "has to be a text, in quotes, because leading zeros count",
            "leading_plus": "begins with +, which marks a CallerID",
            "not_ascii": "has characters other than printable ASCII",
            "not_digits": "has characters other than digits",
            "wrong_length": "has not as many characters as its format",
            "wrong_prefix": "does not begin as its format does",
            "wrong_suffix": "does not end as its format does",
            "wrong_alphabet": "has characters that its format does not use",
            "wrong_check_digit": "has a check digit that does not match: it was probably mistyped",
        }[self.reason]

        return f"the {self.name.replace('_', ' ')} {sentence}{_in_row(self.row)}"


@attrs.frozen
class InvalidPinError(InvalidValueError):
    """
    A text that cannot be a PIN.

    Attributes:
        name: Always `pin`.
        reason: What is wrong: `not_text`, `not_digits` or `wrong_length`.
        row: Which card of the request, counted from 1; 0 if there is only one.
    """

    row: int = 0

    def __str__(self) -> str:
        sentence = {
            "not_text": "has to be a text, in quotes, because leading zeros count",
            "not_digits": "has characters other than digits",
            "wrong_length": "has not 4 to 12 digits",
        }

        return f"the PIN {sentence[self.reason]}{_in_row(self.row)}"


@attrs.frozen
class WeakPinError(InvalidPinError):
    """
    A PIN that is among the first to be guessed.

    Attributes:
        name: Always `pin`.
        reason:
            Why it is weak: `repeated`, `palindrome`, `sequence`, `pairs`, `almost_repeated`, `year`, `date`, `keypad`
            or `part_of_code`.
        row: Which card of the request, counted from 1; 0 if there is only one.
    """

    def __str__(self) -> str:
        return f"the PIN is weak: {self.reason.replace('_', ' ')}{_in_row(self.row)}"


@attrs.frozen
class GuessableError(VoipcardError):
    """
    The codes of this format would be found too easily by guessing.

    Attributes:
        odds: The probability that somebody finds at least one code within a year.
        limit: The probability that the policy accepts.
        length: The `CodeFormat.length` that would do, all else being equal.
    """

    odds: float
    limit: float
    length: int

    def __str__(self) -> str:
        return (
            f"somebody would guess a code within a year with probability {self.odds:.2g}, and {self.limit:.2g} is"
            f" accepted: a length of {self.length} would do"
        )


@attrs.frozen
class CrowdedError(VoipcardError):
    """
    More codes were asked for than the format should hold.

    Attributes:
        wanted: How many codes there would be.
        allowed: How many codes the format may hold.
        length: The `CodeFormat.length` that would do, all else being equal.
    """

    wanted: int
    allowed: int
    length: int

    def __str__(self) -> str:
        return (
            f"{self.wanted:,} codes do not fit a format that may hold {self.allowed:,}:"
            f" a length of {self.length} would do"
        )


@attrs.frozen
class InsufficientCreditError(VoipcardError):
    """
    More credit would be taken than is available.

    Attributes:
        serial: The card.
        available: What could be taken, as text.
        wanted: What was to be taken, as text.
    """

    serial: str
    available: str
    wanted: str

    def __str__(self) -> str:
        return f"card {self.serial} has {self.available} available, {self.wanted} cannot be taken"


@attrs.frozen
class CardUnusableError(VoipcardError):
    """
    No new call can be made with the card. Calls that are running go on.

    Attributes:
        serial: The card.
        reason:
            Why: it is `disabled` or `expired`, or its batch is (`batch_disabled`), or its extension
            (`extension_disabled`).
    """

    serial: str
    reason: str

    def __str__(self) -> str:
        sentence = {
            "disabled": "is disabled",
            "expired": "has expired",
            "batch_disabled": "belongs to a batch that is disabled",
            "extension_disabled": "belongs to an extension that is disabled",
        }[self.reason]

        return f"card {self.serial} {sentence}"


@attrs.frozen
class CardInUseError(VoipcardError):
    """
    The card has calls that are still running, so it cannot be removed: what they cost could not be taken any more.

    Attributes:
        serial: The card.
    """

    serial: str

    def __str__(self) -> str:
        return f"card {self.serial} has running calls: it can be removed when they have ended"


@attrs.frozen
class TooManyCallsError(VoipcardError):
    """
    The card has as many calls running as it may have at a time.

    Attributes:
        serial: The card.
        limit: How many it may have.
    """

    serial: str
    limit: int

    def __str__(self) -> str:
        return f"card {self.serial} has {self.limit:,} calls running, and may not have more"


@attrs.frozen
class UnknownHoldError(VoipcardError, LookupError):
    """
    The card has no such hold, or no such call running: it has ended, or run out.

    Attributes:
        serial: The card.
    """

    serial: str

    def __str__(self) -> str:
        return f"card {self.serial} has no such hold: it has ended or run out"


@attrs.frozen
class CallEndedError(VoipcardError):
    """
    A call of this name has been settled or given up already, so it cannot go on or begin again.

    Attributes:
        serial: The card that was to be used now; empty if it was asked for by something that may be a code.
    """

    serial: str

    def __str__(self) -> str:
        return "this call has ended already, so it cannot go on" + (f" with card {self.serial}" if self.serial else "")


@attrs.frozen
class UnknownDestinationError(VoipcardError, LookupError):
    """
    The price list has no rate for the number that was called.

    Attributes:
        deck: The name of the price list.
    """

    deck: str

    def __str__(self) -> str:
        return f"the deck {self.deck} has no rate for this number"


@attrs.frozen
class UnknownDeckError(VoipcardError, LookupError):
    """
    The book has no price list of this name, or none that has begun to hold.

    Attributes:
        deck: The name of the price list.
    """

    deck: str

    def __str__(self) -> str:
        return f"no deck {self.deck} holds at this moment: install one"


@attrs.frozen
class DeckExistsError(VoipcardError):
    """
    The book has another price list of this name that holds from the same moment on, and calls may be charged by it.

    Attributes:
        deck: The name of the price list.
        valid_from: From when on it holds, as text; empty for ever before.
    """

    deck: str
    valid_from: str

    def __str__(self) -> str:
        since = f" from {self.valid_from} on" if self.valid_from else ""

        return f"there is another deck {self.deck}{since}, and none is ever changed: give a later moment"


@attrs.frozen
class UnlimitedCreditError(VoipcardError):
    """
    The request makes no sense where credit is unlimited.

    Attributes:
        serial: The card.
    """

    serial: str

    def __str__(self) -> str:
        return f"card {self.serial} cannot take part: unlimited credit cannot be transferred"


@attrs.frozen
class QuotaExceededError(VoipcardError):
    """
    The license allows fewer active codes, or what is set for the extension does. The whole request was refused.

    Attributes:
        limit: How many codes may be active, in the book or in the extension: the limit that leaves less.
        active: How many are, there.
        requested: How many more were asked for.
    """

    limit: int
    active: int
    requested: int

    def __str__(self) -> str:
        return f"{self.requested:,} more active codes were requested; {self.active:,} of {self.limit:,} are in use"


@attrs.frozen
class UnknownCardError(VoipcardError, LookupError):
    """
    The extension has no such card.

    Attributes:
        serial:
            The serial that was asked for; empty if the card was asked for by its code or CallerID, or by something that
            is no serial and may be a code.
    """

    serial: str

    def __str__(self) -> str:
        return f"there is no card {self.serial}" if self.serial else "there is no such card"


@attrs.frozen
class UnknownBatchError(VoipcardError, LookupError):
    """
    The extension has no such batch.

    Attributes:
        batch: The batch that was asked for; empty if that is no id of a batch and may be a code.
    """

    batch: str

    def __str__(self) -> str:
        return f"there is no batch {self.batch}" if self.batch else "there is no such batch"


@attrs.frozen
class CardExistsError(VoipcardError):
    """
    Codes or CallerIDs that are in the extension already, or more than once in the request. Nothing was written.

    Attributes:
        rows: The cards of the request that are not new, counted from 1.
    """

    rows: tuple[int, ...]

    def __str__(self) -> str:
        return f"the codes of these cards of the request are not unique: {_listed(self.rows)}"


@attrs.frozen
class OperationConflictError(VoipcardError):
    """
    The operation, or the order number, was used before for something else. This commit wrote nothing.

    Attributes:
        verb: What was asked for now.
        serial: The card, if the operation is about one.
    """

    verb: str
    serial: str = ""

    def __str__(self) -> str:
        about = f" on card {self.serial}" if self.serial else ""

        return f"this {self.verb}{about} repeats an operation or order number that was used with other content"


@attrs.frozen
class AccessDeniedError(VoipcardError):
    """
    The caller is not let in.

    It says the same whatever is wrong: an unknown code, a wrong PIN, a card, batch or extension that is disabled, an
    expired card, or too many attempts. The audit trail has the true reason.
    """

    def __str__(self) -> str:
        return "access denied"


@attrs.frozen
class LicenseError(VoipcardError):
    """
    The license does not hold, so no more codes can be active. Nothing was written, and everything else goes on.

    Attributes:
        reason:
            What is wrong: `malformed`, `untrusted` (its key is none of those that are pinned), `forged`, `foreign` (it
            is for another book), `expired`, `not_yet_valid`, `clock` (the time was set back), `removed`, `unsigned`,
            `older` (than one that the book has seen), `tampered` (what the book keeps of it was changed from outside)
            or `missing` (there is no file where it was said to be).
    """

    reason: str

    def __str__(self) -> str:
        sentence = {
            "malformed": "is no license file",
            "untrusted": "was signed with a key that is not among the trusted ones",
            "forged": "does not match its signature",
            "foreign": "was issued for another book",
            "expired": "has expired",
            "not_yet_valid": "is not valid yet",
            "clock": "cannot be judged: the clock was set back",
            "removed": "is missing, and this book has had a signed one",
            "unsigned": "is not signed, and this book has had a signed one",
            "older": "is older than one that this book has had",
            "tampered": "was changed in the book from outside",
            "missing": "is not in the file that was named",
        }[self.reason]

        return f"the license {sentence}"


@attrs.frozen
class SignatureError(VoipcardError):
    """
    A signed text cannot be believed.

    Attributes:
        kind: What it was to be, such as `checkpoint`.
        reason:
            What is wrong: `malformed`, `untrusted` (its key is none of those that are pinned), `forged` or `foreign`
            (it is about another book).
    """

    kind: str
    reason: str

    def __str__(self) -> str:
        sentence = {
            "malformed": "is no signed text of this kind",
            "untrusted": "was signed with a key that is not among the trusted ones",
            "forged": "does not match its signature",
            "foreign": "is about another book",
        }[self.reason]

        return f"the {self.kind} {sentence}"


@attrs.frozen
class ActorRequiredError(VoipcardError):
    """
    Nobody said who is acting: use `book.acting_as("name")`.

    Attributes:
        verb: What was asked for.
    """

    verb: str

    def __str__(self) -> str:
        return f"{self.verb} needs to know who is acting: use book.acting_as('name')"


@attrs.frozen
class JoinedStoreError(VoipcardError):
    """
    The book is used within a transaction of the caller's, and what was asked for tells secrets or changes keys.

    A rollback would erase the record that they were told. Ask a book that has transactions of its own.

    Attributes:
        verb: What was asked for.
    """

    verb: str

    def __str__(self) -> str:
        what = f"{self.verb} tells secrets or changes keys"

        return f"{what}, so it cannot be a part of a transaction that may be rolled back"


@attrs.frozen
class CursorError(VoipcardError):
    """
    The cursor was made by another search, in another order, or is damaged.
    """

    def __str__(self) -> str:
        return "this cursor does not belong to what is read here"


@attrs.frozen
class CurrencyError(VoipcardError):
    """
    The book is kept in another currency, or is new and was not told which one to use.

    Attributes:
        book: The currency of the book; empty if it has none yet.
        given: The currency that was given; empty if there was none.
    """

    book: str
    given: str

    def __str__(self) -> str:
        if not self.book:
            return "a new book needs its currency: open_book(path, currency='EUR')"

        return f"the book is kept in {self.book}, not in {self.given}"


@attrs.frozen
class KeyMissingError(VoipcardError):
    """
    The key that protects the book is not there. Nothing was written.

    Attributes:
        place: Where it was looked for.
    """

    place: str

    def __str__(self) -> str:
        return f"the key of the book is not at {self.place}"


@attrs.frozen
class KeyMismatchError(VoipcardError):
    """
    The key is not the one that protects this book. Nothing was written.

    Attributes:
        place: Where the key was taken from.
    """

    place: str

    def __str__(self) -> str:
        return f"the key at {self.place} is not the key of this book"


@attrs.frozen
class TamperedError(VoipcardError):
    """
    A stored value is not what this library stored: it was edited by hand, damaged, or moved from elsewhere.

    Attributes:
        subject: What was found changed: a serial, or the name of a document.
        part: Which part of it.
    """

    subject: str
    part: str

    def __str__(self) -> str:
        return f"the stored {self.part} of {self.subject} was changed from outside"


@attrs.frozen
class SheetError(VoipcardError):
    """
    A file cannot be read or written as a table.

    Attributes:
        reason: A word that a program can react to, such as `encoding`, `not_a_workbook` or `suffix`.
        detail: The same for people.
    """

    reason: str
    detail: str

    def __str__(self) -> str:
        return self.detail


@attrs.frozen
class Problem:
    """
    One thing that is wrong with one row of an upload or of another file, without the value itself.

    Attributes:
        row: The row of the sheet or text file, counted from 1 as a spreadsheet counts.
        column:
            `code`, `pin`, `order_number`, `credit`, `type`, `status`, `expires`, or empty for the row as a whole; of
            other files the names of their columns.
        reason: A word that a program can react to.
        advice: What a person should do about it.
        warning: Whether the row can be taken nevertheless.
        sheet: The sheet of the workbook, counted from 1.
    """

    row: int
    column: str
    reason: str
    advice: str
    warning: bool = False
    sheet: int = 1

    def __str__(self) -> str:
        sheet = f"sheet {self.sheet}, " if self.sheet > 1 else ""
        column = f"{self.column.replace('_', ' ')}: " if self.column else ""

        return f"{sheet}row {self.row}, {column}{self.advice}"


@attrs.frozen
class UploadError(SheetError):
    """
    An upload was refused because of some of its rows. Nothing was written.

    Attributes:
        reason: Always `rows`.
        detail: How many rows were refused.
        problems: What is wrong, row by row; the first of them if there are very many.
        problem_count: How many problems there are in all.
        rejected: How many rows have one.
    """

    problems: tuple[Problem, ...] = ()
    problem_count: int = 0
    rejected: int = 0

    def __str__(self) -> str:
        return f"{self.detail}: " + _listed([f"row {problem.row} {problem.reason}" for problem in self.problems])


@attrs.frozen
class StoreError(VoipcardError):
    """
    The store could not do what it was asked to do. The driver's own error is the `__cause__`.

    Attributes:
        reason: What happened.
        maybe_applied:
            Whether the change may have been applied nevertheless, because the answer was lost. Asking again with
            the same operation tells.
    """

    reason: str
    maybe_applied: bool = False

    def __str__(self) -> str:
        return self.reason


@attrs.frozen
class StaleError(StoreError):
    """
    Something changed since it was read. Nothing was written.

    Attributes:
        cards: The ids of the cards that have another version, or are gone.
        documents: The keys of the documents that have another version.
        lasting:
            Whether reading again would tell nothing new, because the transaction that the store has joined goes on
            seeing what it saw, or was ended by the database in a deadlock: it has to be rolled back and begun again.
    """

    reason: str = "something changed since it was read"
    maybe_applied: bool = False
    cards: frozenset[bytes] = frozenset()
    documents: frozenset[str] = frozenset()
    lasting: bool = False


@attrs.frozen
class DuplicateError(StoreError):
    """
    Something that has to be new is there already, or twice in the same commit. Nothing was written.

    Attributes:
        ids: The ids of cards that are taken.
        indexes: The indexes of codes that are taken.
        serials: The serials that are taken.
        operations: The operations of ledger entries that were used before.
    """

    reason: str = "something that has to be new is there already"
    maybe_applied: bool = False
    ids: frozenset[bytes] = frozenset()
    indexes: frozenset[bytes] = frozenset()
    serials: frozenset[str] = frozenset()
    operations: frozenset[bytes] = frozenset()


@attrs.frozen
class CeilingError(StoreError):
    """
    A counter would rise above its ceiling. Nothing was written.

    Attributes:
        counters: The counters, each with the value it has now.
    """

    reason: str = "a counter would rise above its ceiling"
    maybe_applied: bool = False
    counters: tuple[tuple[str, int], ...] = ()


@attrs.frozen
class OccupiedError(StoreError):
    """
    The target of a copy holds something else, or something else writes to it. This commit wrote nothing.
    """


@attrs.frozen
class UnequalError(StoreError):
    """
    Two stores that are to hold the same book differ: one of them was written to meanwhile, or lost something.

    Attributes:
        differences:
            What differs first among the cards, the entries, the documents, the audit trail and the counters, such as
            `card K7QX-000042`.
    """

    reason: str = "the copy is not equal to the book, because one of them was written to meanwhile"
    maybe_applied: bool = False
    differences: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.reason}: {_listed(self.differences)}"


@attrs.frozen
class NotABookError(StoreError):
    """
    What is stored there is not a card book.
    """


@attrs.frozen
class SchemaError(StoreError):
    """
    The book was written by a newer release of this library.

    Attributes:
        found: The schema version of the book.
        known: The newest schema version that this release knows.
    """

    reason: str = "the book was written by a newer release of voipcard"
    maybe_applied: bool = False
    found: int = 0
    known: int = 0


@attrs.frozen
class StoreReadOnlyError(StoreError):
    """
    Nothing can be written there: the file, its folder or the user is read-only.
    """


@attrs.frozen
class StoreFullError(StoreError):
    """
    No space is left for what was to be written. This commit wrote nothing, unless `maybe_applied` says otherwise.
    """


@attrs.frozen
class StoreBusyError(StoreError):
    """
    Others kept the store locked for longer than this call could wait. This commit wrote nothing.
    """


@attrs.frozen
class StoreClosedError(StoreError):
    """
    The store was closed, or was opened by another process before a fork.
    """


def storage_error(error: OSError, name: str) -> StoreError:
    """
    Say what it means for a store that a file could not be made or written.
    """
    reason = f"{name} cannot be written: {error.strerror}"
    if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
        return StoreFullError(reason)
    if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
        return StoreReadOnlyError(reason)

    return StoreError(reason)


def interrupted() -> StoreError:
    """
    Say that another thread was to commit for this one, and was stopped.
    """
    return StoreError("the thread that committed for this one was interrupted", maybe_applied=True)


def said_again(error: StoreError) -> StoreError:
    """
    Give an error that says the same, for another thread to raise: a traceback belongs to one.
    """
    other = attrs.evolve(error)
    other.__cause__ = error.__cause__

    return other
