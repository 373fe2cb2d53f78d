"""
Law 5: what is written comes back, however long, odd or alike it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from typing import Any, Final, TypeVar

from hypothesis import given

from voipcard.core.credit import UNLIMITED
from voipcard.core.query import CardQuery, EntryQuery
from voipcard.stores.contract import AuditRecord, CardRecord, Changes, CounterChange, Document, EntryRecord, Store
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
            version=MAX,
        )  # fmt: skip
        smallest = samples.card(2)._replace(
            credit=0, total_credit=0, created_at=-62_135_596_800_000_000, sealed_code=b""
        )
        first = entry._replace(
            amount=MAX, credit_left=MAX, held_left=MAX - 1, order_number=TEXT, operation=every[-16:], actor=TEXT,
            prefix="40", created_at=1_700_000_000_999_999, sealed_rest=every, started_at=1, seconds=MAX,
            charged_seconds=MAX - 1, rate=MAX, tariff=TEXT, shortfall=MAX,
        )  # fmt: skip
        second = samples.entry(smallest)._replace(
            kind="charge", amount=-(MAX - 1), credit_left=0, started_at=-1, seconds=0, charged_seconds=0, rate=0,
            created_at=-1, shortfall=0,
        )  # fmt: skip
        plain, third = samples.new(3)[0]
        documents = [Document("~" * 255, every * 4096, MAX, expires_at=-1), Document("!", b"", 1, expires_at=None)]
        audit = samples.audit(1)._replace(actor=TEXT, detail=f'{{"a": "{TEXT}"}}\n', created_at=-1)
        with self.fresh() as open_store:
            with closing(open_store()) as store:
                store.commit(
                    Changes(
                        new=[(largest, first), (smallest, second), (plain, third)],
                        documents=[(document, 0) for document in documents],
                        counters=[CounterChange("most", 2**62), CounterChange("least", -(2**62))],
                        audit=[audit],
                    )
                )
            with closing(open_store()) as store:
                counters = store.counters(["most", "least"])

                assert _exact(sorted([largest, smallest, plain])) == _exact(sorted(store.cards(CardQuery())))
                for card in (largest, smallest, plain):
                    assert [_exact([card])] * 4 == [_exact([each]) for each in _every_way(store, card)]
                assert _exact(sorted([first, second, third])) == _exact(sorted(store.entries(EntryQuery())))
                assert _exact(documents[::-1]) == _exact(samples.every_document(store))
                assert _exact(documents) == _exact(store.document(each.key) for each in documents)
                assert dict(counters) == {"most": 2**62, "least": -(2**62)}
                assert [int, int] == [type(value) for value in counters.values()]
                assert _exact([audit]) == _exact(store.audit())

    @proves("law 5")
    def test_law_5_any_values_come_back_equal(self) -> None:
        """
        Whatever the shell may write comes back as it was written, and of the same type.
        """

        def check(changes: Changes) -> None:
            with self.opened() as store:
                store.commit(changes)

                assert set(_exact(card for card, _ in changes.new)) == set(_exact(store.cards(CardQuery())))
                assert set(_exact(entry for _, entry in changes.new)) == set(_exact(store.entries(EntryQuery())))
                assert set(_exact(each for each, _ in changes.documents)) == set(_exact(samples.every_document(store)))
                assert set(_exact(changes.audit)) == set(_exact(store.audit()))

        given(strategies.first_changes())(TRIES(check))()

    @proves("law 5")
    def test_law_5_a_replaced_card_comes_back_equal(self) -> None:
        """
        A card of which all but the id was replaced comes back as it was written last, whichever way it is read.
        """
        states, untouched = [samples.rewritten(1, times) for times in range(5)], samples.card(2)
        entries = [samples.entry(state, state.credit if state is states[0] else 1) for state in states]
        with self.fresh() as open_store, closing(open_store()) as store:
            store.commit(Changes(new=[(states[0], entries[0]), *samples.new(2)]))
            for number, after in enumerate(states[1:], 1):
                store.commit(Changes(replace=[(after, after.version - 1)], entries=[entries[number]]))
                with closing(open_store()) as other:
                    for reader in (store, other):
                        # By id first: who keeps the old index or serial is told so, not that the card is gone.
                        for found in _every_way(reader, after):
                            assert not _differing(after, found)
                        assert _exact(sorted([after, untouched])) == _exact(sorted(reader.cards(CardQuery())))
            stored = store.entries(EntryQuery(card=states[0].id))

            assert _exact(entries) == _exact(stored)

    @proves("law 5")
    def test_law_5_a_changed_document_comes_back_equal(self) -> None:
        """
        A document whose value and expiry were changed, also from and to None, comes back as it was written last.
        """
        kept = Document("kept", b"kept", 1, samples.EPOCH)
        moments = [None, samples.EPOCH + 1, samples.EPOCH + 2, None, -1, 0, MAX, 1, None]
        with self.fresh() as open_store, closing(open_store()) as store:
            store.commit(Changes(documents=[(kept, 0)]))
            for version, expires_at in enumerate(moments, 1):
                value = b"" if version % 4 == 0 else EVERY_BYTE * version
                changed = Document("changed", value, version, expires_at)
                store.commit(Changes(documents=[(changed, version - 1)]))
                with closing(open_store()) as other:
                    for reader in (store, other):
                        assert not _differing(changed, reader.document("changed"))
                        assert _exact([changed, kept]) == _exact(samples.every_document(reader))

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


def _every_way(store: Store, card: CardRecord) -> list[CardRecord | None]:
    """
    Read a card in each way that gives one card.
    """
    return [
        store.find(id=card.id),
        store.find(serial=card.serial),
        store.find(index=card.index),
        store.nearest(card.index),
    ]


def _exact(rows: Iterable[tuple[object, ...] | None]) -> list[tuple[Any, ...]]:
    """
    Put its type to each row and value, so that 1 is not True, 5.0 is not 5 and a bytearray is not bytes.
    """
    return [(type(row), *((type(value), value) for value in row or ())) for row in rows]


def _filled(size: int) -> str:
    """
    Make a text of so many bytes in UTF-8 that has lines, and ends with what is easily lost.
    """
    end = "\nb c "

    return "\U0001f0a1" * ((size - len(end)) // 4) + "a" * ((size - len(end)) % 4) + end


def _differing(written: Row, read: Row | None) -> list[str]:
    """
    Name the fields that did not come back as they were written, or as a value of another type that is equal.
    """
    if read is None:
        return [f"{type(written).__name__} is gone"]
    if type(read) is not type(written):
        return [f"{type(written).__name__} came back as {type(read).__name__}"]
    pairs = zip(written._fields, written, read, strict=True)

    return [
        f"{type(written).__name__}.{name}"
        for name, before, after in pairs
        if type(before) is not type(after) or before != after
    ]
