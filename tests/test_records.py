"""
Records: whatever a store keeps is signed as a whole, so that nobody changes any of it unnoticed.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from voipcard.core.credit import UNLIMITED, Credit
from voipcard.core.ledger import Balance, opened, recharged
from voipcard.core.moments import from_micros
from voipcard.errors import TamperedError
from voipcard.keyring import Keyring
from voipcard.records import NO_CHAIN, Records, packed
from voipcard.stores import AuditRecord, CardRecord, Document, EntryRecord
from voipcard.testing import samples, strategies

RECORDS: Final = Records(Keyring({1: bytes(range(32))}))
OTHERS: Final = Records(Keyring({1: bytes(range(1, 33))}))
CODE: Final = "7700183422151"
PIN: Final = "048215937162"

values: Final = st.one_of(
    st.none(),
    st.integers(),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.binary(),
    st.sampled_from(["'", '"', "\\", "','", b"'", b"\\", "1", b"1", "None", "", b"", 1, 0, -1]),
)
rows: Final = st.lists(values, max_size=5).map(tuple)
json_values: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


class Word(str):
    """
    A text that is not quite a `str`.
    """

    __slots__ = ()


def sealed(record: CardRecord) -> CardRecord:
    """
    Give a card real secrets, and sign it.
    """
    pin_mac, sealed_pin = RECORDS.sealed_pin(record.id, PIN, is_kept=True)
    secret = record._replace(
        sealed_code=RECORDS.sealed_code(record.id, CODE), pin_mac=pin_mac, sealed_pin=sealed_pin, held=5
    )

    return RECORDS.signed(secret)


def changed(value: object) -> list[Any]:
    """
    Give values that are like this one, but another: of its own type, and what a damaged file may give instead.
    """
    match value:
        case bool():
            return [not value, None, 0.5, "1"]
        case int():
            return [value + 1, value - 1, -value - 1, None, 0.5, str(value), str(value).encode()]
        case str():
            return [value + " ", value[1:] + "x", value.swapcase() + "_", None, 7, value.encode()]
        case bytes():
            return [value + b"\0", bytes([value[0] ^ 1]) + value[1:] if value else b"x", None, 7, 0.5, value.hex()]

    return [0, "", b"", 1]


FULL: Final = sealed(
    samples.card(7)._replace(holds=b"h", next_hold_expiry=1, first_used_at=2, expires_at=3, labels="a\nb")
)
EMPTY: Final = RECORDS.signed(samples.card(7)._replace(pin_mac=b"", sealed_pin=b"", enabled=False, order_number=""))
ENTRY: Final = RECORDS.chained(
    samples.entry(samples.card(7))._replace(
        operation=samples.operation(1),
        prefix="40",
        sealed_rest=b"rest",
        started_at=1,
        seconds=2,
        charged_seconds=3,
        rate=4,
        tariff="t",
    ),
    NO_CHAIN,
)
BEFORE: Final = b"the MAC of the entry before"
AUDIT: Final = RECORDS.audited(samples.audit(7), BEFORE)


@given(rows, rows)
def test_different_fields_never_give_equal_bytes(row: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    """
    What is signed can be read in one way only: bytes are equal if and only if fields and their types are.
    """
    same = [(type(value), value) for value in row] == [(type(value), value) for value in other]

    assert same == (packed(row) == packed(other))


@given(rows)
def test_what_is_signed_reads_back(row: tuple[Any, ...]) -> None:
    """
    The bytes say all there is to know about the fields: none runs into the next, and none is cut.
    """
    assert ast.literal_eval(packed(row).decode("ascii")) == row


def test_equal_texts_are_signed_alike() -> None:
    """
    A text is a text, whatever class it has.
    """
    assert packed(("PO-1",)) == packed((Word("PO-1"),))
    assert RECORDS.signed(FULL).mac == RECORDS.signed(FULL._replace(order_number=Word(FULL.order_number))).mac


@settings(max_examples=50)
@given(strategies.card_records())
def test_a_signed_record_is_accepted(record: CardRecord) -> None:
    """
    Every record that is signed is accepted as it is, and no record that is not, or by another book.
    """
    signed = RECORDS.signed(record)

    assert signed == RECORDS.checked(signed) == record._replace(mac=signed.mac)
    assert signed == RECORDS.signed(signed)
    for other in (record._replace(mac=b""), OTHERS.signed(record), record._replace(mac=bytes(32))):
        with pytest.raises(TamperedError) as caught:
            RECORDS.checked(other)
        assert (record.serial, "record") == (caught.value.subject, caught.value.part)


@pytest.mark.parametrize("record", [FULL, EMPTY], ids=["full", "empty"])
@pytest.mark.parametrize("field", CardRecord._fields)
def test_no_field_of_a_card_can_be_changed(field: str, record: CardRecord) -> None:
    """
    Each field of a record is signed, the MAC itself included; nothing is read from a record that was changed.
    """
    uses: list[Callable[[CardRecord], object]] = [RECORDS.checked, RECORDS.card, RECORDS.handout]
    for value in changed(getattr(record, field)):
        for use in uses:
            with pytest.raises(TamperedError):
                use(record._replace(**{field: value}))


@pytest.mark.parametrize("field", EntryRecord._fields)
def test_no_field_of_an_entry_can_be_changed(field: str) -> None:
    """
    Each field of a ledger entry is part of its chain.
    """
    assert RECORDS.is_chained(ENTRY, NO_CHAIN)
    for value in changed(getattr(ENTRY, field)):
        assert not RECORDS.is_chained(ENTRY._replace(**{field: value}), NO_CHAIN)


@pytest.mark.parametrize(
    "damage",
    [
        *({"amount": value} for value in ("text", None, 0.5, b"1", 2**63)),
        *({"credit_left": value} for value in ("text", -(2**63))),
        *({"created_at": value} for value in (2**62, "text", None)),
    ],
    ids=str,
)
def test_an_entry_that_cannot_be_shown_is_refused(damage: dict[str, Any]) -> None:
    """
    A history is shown without going over its chain, but nothing that is no amount or moment is shown as one.
    """
    with pytest.raises(TamperedError) as caught:
        RECORDS.entry(ENTRY._replace(**damage))
    assert (caught.value.subject, caught.value.part) == (ENTRY.serial, "history")


@pytest.mark.parametrize("field", AuditRecord._fields)
def test_no_field_of_an_audit_entry_can_be_changed(field: str) -> None:
    """
    Each field of an entry of the audit trail is signed, and what is before it.
    """
    assert RECORDS.is_audited(AUDIT, BEFORE)
    assert not RECORDS.is_audited(AUDIT, b"another")
    assert not OTHERS.is_audited(AUDIT, BEFORE)
    for value in changed(getattr(AUDIT, field)):
        assert not RECORDS.is_audited(AUDIT._replace(**{field: value}), BEFORE)


@pytest.mark.parametrize("field", Document._fields)
def test_no_field_of_a_document_can_be_changed(field: str) -> None:
    """
    Each field of a document is signed: key, content, version, and when it expires.
    """
    document = RECORDS.document("license", {"max_active_codes": 10}, version=3)
    for value in changed(getattr(document, field)):
        with pytest.raises(TamperedError) as caught:
            RECORDS.value(document._replace(**{field: value}))
        assert caught.value.part == "document"


@given(json_values, st.text("abc/", min_size=1), st.integers(1, 2**31))
def test_a_document_is_read_as_it_was_written(value: object, key: str, version: int) -> None:
    """
    Everything that JSON can say comes back, under its key and version, and not to another book.
    """
    document = RECORDS.document(key, value, version=version)

    assert value == RECORDS.value(document)
    assert (key, version, None) == (document.key, document.version, document.expires_at)
    assert document == RECORDS.document(key, json.loads(json.dumps(value)), version=version)
    with pytest.raises(TamperedError):
        OTHERS.value(document)


@given(json_values, st.data())
def test_no_bit_of_a_document_can_be_changed(value: object, data: st.DataObject) -> None:
    """
    Neither its MAC nor its content can be changed, cut or continued.
    """
    document = RECORDS.document("license", value, version=1)
    bit = data.draw(st.integers(0, 8 * len(document.value) - 1))
    flipped = bytearray(document.value)
    flipped[bit // 8] ^= 1 << bit % 8
    cut = data.draw(st.integers(0, len(document.value) - 1))

    for content in (bytes(flipped), document.value[:cut], document.value + b" "):
        with pytest.raises(TamperedError):
            RECORDS.value(document._replace(value=content))


def test_what_is_signed_for_one_use_is_not_valid_for_another() -> None:
    """
    Cards, entries, documents and audit entries are signed with different keys, though they may have equal fields.
    """
    fields = ("a", 1, b"2")
    macs = {RECORDS.keyring.mac(part, packed(fields)) for part in ("card", "entry", "document", "audit", "operation")}

    assert len(macs) == 5


# Chains


@settings(max_examples=40)
@given(st.lists(strategies.entry_records(), min_size=2, max_size=5), st.data())
def test_a_history_has_one_order(entries: list[EntryRecord], data: st.DataObject) -> None:
    """
    Every entry is chained to the one before: none can be left out, repeated, put elsewhere or taken from another card.
    """
    chain, history = NO_CHAIN, []
    for number, entry in enumerate(entries):
        history.append(RECORDS.chained(entry._replace(sequence=number + 1), chain))
        chain = history[-1].mac

    assert is_whole(history)
    assert len(history) == len({entry.mac for entry in history})
    place = data.draw(st.integers(0, len(history) - 2))
    assert not is_whole(history[:place] + history[place + 1 :])
    assert not is_whole([*history[: place + 1], *history[place:]])
    assert not is_whole([*history[:place], history[place + 1], history[place], *history[place + 2 :]])
    other = RECORDS.chained(history[place]._replace(card=bytes(16)), b"other")
    assume(history[place].card != bytes(16))
    assert not is_whole([*history[:place], other, *history[place + 1 :]])


def is_whole(history: list[EntryRecord]) -> bool:
    """
    Tell whether each entry is chained to the one before.
    """
    chain = NO_CHAIN
    for entry in history:
        if not RECORDS.is_chained(entry, chain):
            return False
        chain = entry.mac

    return True


@settings(max_examples=50)
@given(
    strategies.card_records(), strategies.credits(), strategies.texts(), st.none() | st.binary(min_size=16, max_size=16)
)
def test_a_posting_writes_the_card_and_its_entry(
    record: CardRecord, credit: Credit, order_number: str, operation: bytes | None
) -> None:
    """
    The card gets the new balance and the newest link of its chain, and the entry says how both came about.
    """
    balance = opened(credit)
    after, entry = RECORDS.posted(
        record,
        balance,
        kind="recharge",
        amount=credit,
        order_number=order_number,
        operation=operation,
        now=7,
        actor="alice",
    )
    shown = RECORDS.entry(entry, replayed=True)

    assert RECORDS.is_chained(entry, record.chain)
    assert (record.sequence + 1, entry.mac) == (after.sequence, after.chain)
    assert (credit.micros, credit.micros, 0, 0) == (after.credit, after.total_credit, after.held, after.recharge_count)
    assert (record.id, after.sequence, operation) == (entry.card, entry.sequence, entry.operation)
    assert (record.serial, record.extension, record.batch) == (shown.serial, shown.extension, shown.batch)
    assert (credit, credit, Credit(0)) == (shown.amount, shown.credit_left, shown.held_left)
    assert (order_number, from_micros(7), "alice", True) == (
        shown.order_number,
        shown.created_at,
        shown.actor,
        shown.replayed,
    )
    unchanged = set(CardRecord._fields) - {
        "credit",
        "total_credit",
        "held",
        "recharge_count",
        "sequence",
        "chain",
    }
    assert all(getattr(record, field) == getattr(after, field) for field in unchanged)


def test_a_changed_balance_is_not_signed_by_itself() -> None:
    """
    Who posts has to sign: a record is never valid by accident.
    """
    balance = recharged(Balance(Credit(10), Credit(10)), UNLIMITED, serial="K7QX-000007")
    after, _ = RECORDS.posted(
        FULL, balance, kind="recharge", amount=UNLIMITED, order_number="", operation=None, now=7, actor=""
    )
    with pytest.raises(TamperedError):
        RECORDS.checked(after)

    assert RECORDS.card(RECORDS.signed(after)).credit == UNLIMITED


# What people see


@settings(max_examples=50)
@given(strategies.card_records())
def test_a_card_is_shown_as_it_is_stored(record: CardRecord) -> None:
    """
    Each field that people see is the stored one, in their types; of the secrets only that there is a PIN.
    """
    record = RECORDS.signed(record)
    card = RECORDS.card(record)

    same = ("serial", "extension", "batch", "kind", "enabled", "recharge_count", "order_number", "id", "version")
    assert all(getattr(record, name) == getattr(card, name) for name in same)
    assert all(getattr(record, name) == getattr(card, name).micros for name in ("credit", "total_credit", "held"))
    assert from_micros(record.created_at) == card.created_at
    for name in ("first_used_at", "expires_at"):
        stored = getattr(record, name)
        assert (None if stored is None else from_micros(stored)) == getattr(card, name)
    assert record.labels == "\n".join(card.labels)
    assert (record.pin_mac != b"") == card.has_pin


def test_a_hand_out_has_the_secrets() -> None:
    """
    Code and PIN are unsealed for a hand-out, an absent PIN is absent.
    """
    handout = RECORDS.handout(FULL)
    without = RECORDS.signed(FULL._replace(pin_mac=b"", sealed_pin=b""))

    assert (handout.code, handout.pin, handout.serial) == (CODE, PIN, FULL.serial)
    assert RECORDS.handout(without).pin == ""
    assert RECORDS.sealed_pin(FULL.id, "", is_kept=True) == (b"", b"")


@pytest.mark.parametrize("field, part", [("sealed_code", "code"), ("sealed_pin", "PIN")])
def test_secrets_cannot_be_exchanged_even_by_who_can_sign(field: str, part: str) -> None:
    """
    A sealed value of another card, or another part, is refused although the record is signed.
    """
    other = sealed(samples.card(8))
    other_part = {"sealed_code": FULL.sealed_pin, "sealed_pin": FULL.sealed_code}[field]
    for stolen in (getattr(other, field), other_part):
        change: dict[str, Any] = {field: stolen}
        record = RECORDS.signed(FULL._replace(**change))
        with pytest.raises(TamperedError) as caught:
            RECORDS.handout(record)
        assert (caught.value.subject, caught.value.part) == (FULL.serial, part)


@given(json_values, json_values)
def test_digests_tell_contents_apart(value: object, other: object) -> None:
    """
    Equal contents have equal digests, different ones different ones, and another book has its own.
    """
    written = [json.dumps(each, sort_keys=True) for each in (value, other)]

    assert (written[0] == written[1]) == (RECORDS.digest(value) == RECORDS.digest(other))
    assert RECORDS.digest(value) != OTHERS.digest(value)


@given(st.lists(st.text("ab"), max_size=3), st.lists(st.text("ab"), max_size=3))
def test_operations_are_told_apart(parts: list[str], others: list[str]) -> None:
    """
    An operation is known by all of its parts, as 16 bytes that say nothing about them.
    """
    assert (parts == others) == (RECORDS.operation(*parts) == RECORDS.operation(*others))
    assert len(RECORDS.operation(*parts)) == 16
