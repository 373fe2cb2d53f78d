"""
Law 5: what is written comes back, however long, odd or alike it is.
"""

from __future__ import annotations

from contextlib import closing
from typing import Final, TypeVar

from hypothesis import given

from voipcard.core.credit import UNLIMITED
from voipcard.core.query import CardQuery, EntryQuery
from voipcard.stores.contract import AuditRecord, CardRecord, Changes, CounterChange, Document, EntryRecord
from voipcard.testing import samples, strategies
from voipcard.testing.proofs import Proofs, proves
from voipcard.testing.reads import TRIES

__all__ = ["ValueContract"]

Row = TypeVar("Row", AuditRecord, CardRecord, Document, EntryRecord)

TEXT: Final = "Ünï 'quoted\" %_\\ \u0301e\u0301 日本 🂡 \U0010fffd "
"""A text that suffers where a store normalizes, escapes, trims or has fewer characters than Unicode."""

MAX: Final = UNLIMITED.micros
MEBIBYTE: Final = 2**20
EVERY_BYTE: Final = bytes(range(256))
ASTRAL: Final = "\U0001f0a1\U0010ffff\U00020000" * 85
"""As many characters as a text may have, each of the most bytes that one can have in UTF-8."""

ACCEPTED: Final = ((0x20, 0x7F), (0xA0, 0xD800), (0xE000, 0x110000))
"""The code points that `voipcard.core.arguments.checked_text` accepts, as half-open ranges."""

ALIKE: Final = [
    "PO-1",
    "po-1",
    "PO-1 ",
    "PO-1  ",
    " PO-1",
    "P\u00d6-1",
    "PO\u0308-1",
    "P\u00d8-1",
    "PO-1\u200b",
    "\ufeffPO-1",
    "PO\u00ad-1",
    "PO\u20111",
    "\uff30\uff2f-1",
    "PO-\u00b9",
    "Stra\u00dfe",
    "Strasse",
    "0",
    "00",
    "0.0",
    "",
    " ",
]
"""Texts that are one for a collation that folds case, accents, widths or spaces, or that takes them for numbers."""


class ValueContract(Proofs):
    """
    The tests of what is stored and read again.
    """

    @proves("law 5")
    def test_law_5_extremes_come_back_equal(self) -> None:
        """
        The largest and smallest of everything comes back as it was written, and of the same type.
        """
        card, entry = samples.new(1)[0]
        every = bytes(range(256))
        largest = card._replace(
            credit=MAX, total_credit=MAX, held=MAX - 1, holds=every * 16, next_hold_expiry=1, recharge_count=2**31,
            created_at=253_402_300_799_999_999, first_used_at=-1, expires_at=0, order_number=TEXT, labels=f"{TEXT}\nb",
            sealed_code=every, pin_mac=b"", sealed_pin=b"\x00", key=2**31, enabled=False, batch="k", kind="caller_id",
        )  # fmt: skip
        smallest = samples.card(2)._replace(
            credit=0, total_credit=0, created_at=-62_135_596_800_000_000, sealed_code=b""
        )
        first = entry._replace(
            amount=MAX, credit_left=MAX, held_left=MAX - 1, order_number=TEXT, operation=every[-16:], actor=TEXT,
            prefix="40", created_at=1_700_000_000_999_999, sealed_rest=every, started_at=1, seconds=2,
            charged_seconds=60, rate=MAX - 1, tariff=TEXT,
        )  # fmt: skip
        second = samples.entry(smallest)._replace(
            amount=-(MAX - 1), credit_left=0, started_at=0, seconds=0, charged_seconds=0, rate=0, created_at=-1
        )
        documents = [Document("~" * 255, every * 4096, 1, expires_at=-1), Document("!", b"", 1, expires_at=None)]
        audit = samples.audit(1)._replace(actor=TEXT, detail=f'{{"a": "{TEXT}"}}\n', created_at=-1)
        with self.fresh() as open_store:
            with closing(open_store()) as store:
                store.commit(
                    Changes(
                        new=[(largest, first), (smallest, second)],
                        documents=[(document, 0) for document in documents],
                        counters=[CounterChange("most", 2**62), CounterChange("least", -(2**62))],
                        audit=[audit],
                    )
                )
            with closing(open_store()) as store:
                cards = sorted(store.cards(CardQuery()))

                assert sorted([largest, smallest]) == cards
                assert [list(map(type, each)) for each in sorted([largest, smallest])] == [
                    list(map(type, each)) for each in cards
                ]
                assert [CardRecord, bool] == [type(cards[0]), type(cards[0].enabled)]
                assert sorted([first, second]) == sorted(store.entries(EntryQuery()))
                assert documents[::-1] == samples.every_document(store)
                assert dict(store.counters(["most", "least"])) == {"most": 2**62, "least": -(2**62)}
                assert [audit] == list(store.audit())

    @proves("law 5")
    def test_law_5_any_values_come_back_equal(self) -> None:
        """
        Whatever the shell may write comes back as it was written.
        """

        def check(changes: Changes) -> None:
            with self.opened() as store:
                store.commit(changes)

                assert {card for card, _ in changes.new} == set(store.cards(CardQuery()))
                assert {entry for _, entry in changes.new} == set(store.entries(EntryQuery()))
                assert {document for document, _ in changes.documents} == set(samples.every_document(store))
                assert set(changes.audit) == set(store.audit())

        given(strategies.first_changes())(TRIES(check))()

    @proves("law 5")
    def test_law_5_the_longest_comes_back_equal(self) -> None:
        """
        The longest of everything comes back as it was written, whether it is new or replaces something short.
        """
        with self.fresh() as open_store:
            with closing(open_store()) as store:
                short, [(card, entry)] = samples.card(2), samples.new(1)
                new, after = _longest(card), _longest(samples.recharged(short)[0])
                entries = [
                    each._replace(
                        order_number=ASTRAL, actor=ASTRAL, tariff=ASTRAL, prefix="4" * 255, sealed_rest=EVERY_BYTE * 4,
                        mac=EVERY_BYTE * 4,
                    )
                    for each in (entry, samples.entry(after, 1))
                ]  # fmt: skip
                trail = [
                    samples.audit(1)._replace(detail=_filled(MEBIBYTE), actor=ASTRAL, verb="v" * 255),
                    samples.audit(2)._replace(detail=f'"{"a" * (MEBIBYTE - 2)}"', mac=EVERY_BYTE * 4),
                ]
                documents = [Document(key, EVERY_BYTE * 2**16, version) for key, version in (("new", 1), ("old", 2))]
                store.commit(Changes(new=samples.new(2), documents=[(Document("old", b"", 1), 0)]))
                store.commit(
                    Changes(
                        new=[(new, entries[0])],
                        replace=[(after, 1)],
                        entries=entries[1:],
                        documents=[(document, document.version - 1) for document in documents],
                        audit=trail,
                    )
                )
            with closing(open_store()) as store:
                stored = store.entries(EntryQuery(order_number=ASTRAL))
                # pytest would look for the differences of what is not equal, which takes minutes.
                cut = [
                    *_differing(new, store.find(id=new.id)),
                    *_differing(after, store.find(index=after.index)),
                    *(name for pair in zip(entries, stored, strict=True) for name in _differing(*pair)),
                    *(name for pair in zip(trail, store.audit(), strict=True) for name in _differing(*pair)),
                    *(name for each in documents for name in _differing(each, store.document(each.key))),
                    *(name for pair in zip(documents, store.documents(""), strict=True) for name in _differing(*pair)),
                ]

                assert not cut
                assert {new.id, after.id} == {card.id for card in store.cards(CardQuery(order_number=ASTRAL))}

    @proves("law 5")
    def test_law_5_every_character_comes_back_equal(self) -> None:
        """
        Every character that people may write comes back and is found, in short texts and in long ones.
        """
        characters = "".join(chr(point) for first, end in ACCEPTED for point in range(first, end))
        long = [characters[start : start + MEBIBYTE // 4] for start in range(0, len(characters), MEBIBYTE // 4)]
        # The last of each plane are no characters, and yet accepted.
        odd = [
            "\ufeff\ufffe\uffff\u2028\u2029\u200d\u202e\xa0\xad",
            "\U0001ffff\U0010fffe\U0010ffff",
            "\ufeff",
            "\u3000",
        ]
        short = [*odd, *(characters[start : start + 255] for start in range(0, len(characters), 255 * 32))]
        cards = [
            samples.card(number)._replace(order_number=text, labels=long[number] if number < len(long) else text)
            for number, text in enumerate(short)
        ]
        entries = [samples.entry(card)._replace(actor=card.order_number) for card in cards]
        trail = [
            samples.audit(number)._replace(actor=short[number], detail=detail) for number, detail in enumerate(long)
        ]
        with self.opened() as store:
            store.commit(Changes(new=list(zip(cards, entries, strict=True)), audit=trail))
            damaged = [
                *(name for pair in zip(cards, store.cards(CardQuery()), strict=True) for name in _differing(*pair)),
                *(
                    name
                    for pair in zip(entries, store.entries(EntryQuery()), strict=True)
                    for name in _differing(*pair)
                ),
                *(name for pair in zip(trail, store.audit(), strict=True) for name in _differing(*pair)),
            ]

            assert not damaged
            assert [1] * len(short) == [store.count(CardQuery(order_number=text)) for text in short]

    @proves("law 5")
    def test_law_5_texts_that_look_alike_are_different(self) -> None:
        """
        Case, accents, widths and spaces count: what differs in them is another order number, document or counter.
        """
        cards = [samples.card(number)._replace(order_number=text) for number, text in enumerate(ALIKE)]
        entries = [samples.entry(card)._replace(operation=samples.operation(card.created_at)) for card in cards]
        keys = [text for text in ALIKE if text and text.isascii()]
        with self.opened() as store:
            store.commit(Changes(new=list(zip(cards, entries, strict=True))))
            for number, key in enumerate(keys, 1):
                store.commit(
                    Changes(
                        documents=[(Document(key, key.encode(), version=1), 0)],
                        counters=[CounterChange(key, number, number)],
                        require=[(other, 0) for other in keys[number:]],
                    )
                )

            for card, entry in zip(cards, entries, strict=True):
                assert [card] == list(store.cards(CardQuery(order_number=card.order_number)))
                assert [entry] == list(store.entries(EntryQuery(order_number=card.order_number)))
            assert [key.encode() for key in keys] == [
                document.value for document in map(store.document, keys) if document
            ]
            assert sorted(keys) == [document.key for document in samples.every_document(store)]
            assert {key: number for number, key in enumerate(keys, 1)} == dict(store.counters(keys))


def _longest(card: CardRecord) -> CardRecord:
    number = int.from_bytes(card.id, "big")

    return card._replace(
        serial=f"{number}{'K' * 56}-000001", extension="3" * 255, batch="K" * 255, sealed_code=EVERY_BYTE * 4,
        pin_mac=EVERY_BYTE * 4, sealed_pin=EVERY_BYTE * 4, holds=EVERY_BYTE * 2**12, order_number=ASTRAL,
        labels=_filled(MEBIBYTE), chain=EVERY_BYTE * 4, mac=EVERY_BYTE * 4,
    )  # fmt: skip


def _filled(size: int) -> str:
    """
    Make a text of so many bytes in UTF-8 that has lines, and ends with what is easily lost.
    """
    end = "\nb c "

    return "\U0001f0a1" * ((size - len(end)) // 4) + "a" * ((size - len(end)) % 4) + end


def _differing(written: Row, read: Row | None) -> list[str]:
    """
    Name the fields that did not come back as they were written.
    """
    if read is None:
        return [f"{type(written).__name__} is gone"]
    pairs = zip(written._fields, written, read, strict=True)

    return [f"{type(written).__name__}.{name}" for name, before, after in pairs if before != after]
