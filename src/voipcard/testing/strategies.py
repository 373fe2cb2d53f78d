"""
Hypothesis strategies for the values that users pass around and the records that stores keep.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from hypothesis import strategies as st

from voipcard.core.cards import CardCode, NewCard, is_caller_id
from voipcard.core.credit import UNLIMITED, Credit
from voipcard.core.ledger import EntryKind, LedgerEntry
from voipcard.core.moments import to_micros
from voipcard.core.query import CardQuery, EntryQuery
from voipcard.stores.contract import AuditRecord, CardRecord, Changes, Document, EntryRecord

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = [
    "audit_records",
    "caller_ids",
    "card_codes",
    "card_queries",
    "card_records",
    "codes",
    "credits",
    "documents",
    "entry_queries",
    "entry_records",
    "first_changes",
    "ledger_entries",
    "moments",
    "new_cards",
    "pins",
    "texts",
]

MAX: Final = UNLIMITED.micros
_LIMIT: Final = MAX - 1
_ID_SIZE: Final = 16

KINDS: Final[list[EntryKind]] = ["initial", "recharge", "transfer", "charge", "release"]


def credits(*, negative: bool = False) -> SearchStrategy[Credit]:  # noqa: A001 - the word of the trade
    """
    Draw amounts of credit with all their edges, and Unlimited.

    Args:
        negative: Whether amounts below zero are drawn as well, as changes of credit may have.
    """
    edges = [0, 1, 999_999, 1_000_000, _LIMIT - 1, _LIMIT, MAX] + [-1, -1_000_000, -_LIMIT] * negative

    return st.one_of(st.sampled_from(edges), st.integers(-_LIMIT * negative, _LIMIT)).map(Credit.from_micros)


def texts(max_size: int = 255) -> SearchStrategy[str]:
    """
    Draw texts that an order number, a label or an actor may be: all of Unicode but controls and surrogates.
    """
    return st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=max_size)


def codes() -> SearchStrategy[str]:
    """
    Draw card codes as they are stored: 1 to 255 printable ASCII characters without separators, no marked CallerIDs.
    """
    printable = st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="-.")
    # A parenthesis before the `+` does not make a code of a CallerID.
    dialed = st.text(printable, min_size=1, max_size=255).filter(lambda text: not is_caller_id(text))

    return st.one_of(st.from_regex(r"[0-9]{13}", fullmatch=True), dialed)


def caller_ids() -> SearchStrategy[str]:
    """
    Draw callers' numbers as they are stored: 1 to 255 digits.
    """
    return st.text("0123456789", min_size=1, max_size=255)


def pins() -> SearchStrategy[str]:
    """
    Draw PINs: none, or 4 to 12 digits.
    """
    return st.one_of(st.just(""), st.text("0123456789", min_size=4, max_size=12))


def moments() -> SearchStrategy[datetime]:
    """
    Draw aware moments in UTC, to the microsecond.
    """
    return st.datetimes(timezones=st.just(UTC))


def new_cards() -> SearchStrategy[NewCard]:
    """
    Draw cards that are to be added.
    """
    dialed = st.tuples(codes(), st.just(value=False))
    calling = st.tuples(caller_ids(), st.just(value=True))

    return st.builds(
        lambda code, **rest: NewCard(code[0], caller_id=code[1], **rest),
        st.one_of(dialed, calling),
        pin=pins(),
        credit=credits(),
        order_number=texts(),
        enabled=st.booleans(),
        expires_at=st.none() | moments(),
    )


def card_codes() -> SearchStrategy[CardCode]:
    """
    Draw cards as people see them.
    """
    return st.builds(
        CardCode,
        serial=_serials(),
        extension=_extensions(),
        batch=_batches(),
        kind=st.sampled_from(["code", "caller_id"]),
        credit=credits(),
        total_credit=credits(),
        held=credits(),
        recharge_count=st.integers(0, 2**31),
        created_at=moments(),
        first_used_at=st.none() | moments(),
        expires_at=st.none() | moments(),
        order_number=texts(),
        labels=st.lists(texts(), max_size=3).map(tuple),
        id=_ids(),
        version=_positive(),
    )


def ledger_entries() -> SearchStrategy[LedgerEntry]:
    """
    Draw changes of credit as people see them.
    """
    return st.builds(
        LedgerEntry,
        serial=_serials(),
        extension=_extensions(),
        batch=_batches(),
        sequence=_positive(),
        kind=st.sampled_from(KINDS),
        amount=credits(negative=True),
        credit_left=credits(),
        held_left=credits(),
        order_number=texts(),
        created_at=moments(),
        actor=texts(),
    )


def card_records() -> SearchStrategy[CardRecord]:
    """
    Draw new cards as they are stored.
    """
    return st.builds(
        CardRecord,
        id=_ids(),
        serial=_serials(),
        extension=_extensions(),
        batch=_batches(),
        kind=st.sampled_from(["code", "caller_id"]),
        index=_ids(),
        sealed_code=st.binary(max_size=300),
        pin_mac=st.binary(max_size=40),
        sealed_pin=st.binary(max_size=60),
        key=st.integers(1, 2**31),
        enabled=st.booleans(),
        credit=_micros(),
        total_credit=_micros(),
        held=_micros(),
        holds=st.binary(max_size=300),
        next_hold_expiry=st.none() | _moments(),
        recharge_count=st.integers(0, 2**31),
        created_at=_moments(),
        first_used_at=st.none() | _moments(),
        expires_at=st.none() | _moments(),
        order_number=texts(),
        labels=st.lists(texts(30), max_size=3).map("\n".join),
        sequence=st.just(1),
        chain=st.binary(max_size=32),
        version=st.just(1),
        mac=st.binary(max_size=32),
    )


def entry_records() -> SearchStrategy[EntryRecord]:
    """
    Draw ledger entries as they are stored.
    """
    return st.builds(
        EntryRecord,
        card=_ids(),
        sequence=_positive(),
        extension=_extensions(),
        batch=_batches(),
        serial=_serials(),
        kind=st.sampled_from(KINDS),
        amount=_micros(negative=True),
        credit_left=_micros(),
        held_left=_micros(),
        order_number=texts(),
        operation=st.none() | _ids(),
        created_at=_moments(),
        actor=texts(),
        prefix=st.text("0123456789", max_size=15),
        sealed_rest=st.binary(max_size=60),
        started_at=st.none() | _moments(),
        seconds=st.none() | st.integers(0, MAX),
        charged_seconds=st.none() | st.integers(0, MAX),
        rate=st.none() | _micros(),
        tariff=texts(),
        shortfall=st.none() | _micros(),
        mac=st.binary(max_size=32),
    )


def documents() -> SearchStrategy[Document]:
    """
    Draw new documents.
    """
    return st.builds(
        Document,
        key=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=255),
        value=st.binary(max_size=2000),
        version=st.just(1),
        expires_at=st.none() | _moments(),
    )


def audit_records() -> SearchStrategy[AuditRecord]:
    """
    Draw entries of the audit trail.
    """
    return st.builds(
        AuditRecord,
        id=_ids(),
        created_at=_moments(),
        actor=texts(),
        verb=texts(30),
        extension=_extensions(),
        detail=texts(),
        mac=st.binary(max_size=32),
    )


def first_changes() -> SearchStrategy[Changes]:
    """
    Draw commits that an empty store accepts.
    """
    return st.builds(
        Changes,
        new=st.lists(
            st.tuples(card_records(), entry_records()),
            max_size=4,
            unique_by=(
                lambda pair: pair[0].id,
                lambda pair: pair[0].serial,
                lambda pair: pair[0].index,
                lambda pair: pair[1].operation or pair[0].id + b"none",
            ),
        ).map(lambda new: [(card, entry._replace(card=card.id, sequence=1)) for card, entry in new]),
        documents=st.lists(documents(), max_size=3, unique_by=lambda document: document.key).map(
            lambda new: [(document, 0) for document in new]
        ),
        audit=st.lists(audit_records(), max_size=3, unique_by=lambda record: record.id),
    )


def card_queries() -> SearchStrategy[CardQuery]:
    """
    Draw searches for cards, first pages.
    """
    return st.builds(
        CardQuery,
        extension=st.none() | _extensions(),
        batch=st.none() | _batches(),
        serial=st.none() | _serials(),
        index=st.none() | _ids(),
        kind=st.sampled_from([None, "code", "caller_id"]),
        enabled=_perhaps(),
        credit_at_least=st.none() | credits(),
        credit_below=st.none() | credits(),
        unlimited=_perhaps(),
        order_number=st.none() | texts(),
        created_from=st.none() | moments(),
        created_before=st.none() | moments(),
        used=_perhaps(),
        expired=_perhaps(),
        now=moments(),
        hold_expired_at=st.none() | moments(),
        order=st.sampled_from(["created", "serial", "credit"]),
        descending=st.booleans(),
        limit=st.integers(1, 10_000),
    )


def entry_queries() -> SearchStrategy[EntryQuery]:
    """
    Draw searches for ledger entries, first pages.
    """
    return st.builds(
        EntryQuery,
        card=st.none() | _ids(),
        extension=st.none() | _extensions(),
        batch=st.none() | _batches(),
        kinds=st.none() | st.frozensets(st.sampled_from(KINDS)),
        order_number=st.none() | texts(),
        operation=st.none() | _ids(),
        amount_at_least=st.none() | credits(negative=True),
        amount_below=st.none() | credits(negative=True),
        created_from=st.none() | moments(),
        created_before=st.none() | moments(),
        started_from=st.none() | moments(),
        started_before=st.none() | moments(),
        order=st.sampled_from(["sequence", "time"]),
        descending=st.booleans(),
        limit=st.integers(1, 10_000),
    )


def _ids() -> SearchStrategy[bytes]:
    return st.binary(min_size=_ID_SIZE, max_size=_ID_SIZE)


def _serials() -> SearchStrategy[str]:
    return st.from_regex(r"[A-Z0-9]{4}-[0-9]{6}", fullmatch=True)


def _batches() -> SearchStrategy[str]:
    return st.from_regex(r"[A-Z0-9]{4}", fullmatch=True)


def _extensions() -> SearchStrategy[str]:
    return st.from_regex(r"[0-9]{4}\*[0-9]{3}", fullmatch=True)


def _micros(*, negative: bool = False) -> SearchStrategy[int]:
    return credits(negative=negative).map(lambda credit: credit.micros)


def _moments() -> SearchStrategy[int]:
    return moments().map(to_micros)


def _positive() -> SearchStrategy[int]:
    return st.integers(1, 2**31)


def _perhaps() -> SearchStrategy[bool | None]:
    return st.sampled_from([None, True, False])
