"""
Finding cards: exactly those that a plain list would give, in the same order, and no card read in vain.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from tests.book_world import (
    EXTENSION,
    LAX,
    MORNING,
    OTHER,
    Clock,
    Counted,
    book_on,
    engine_of,
    file_book,
    grouped,
    new_book,
    outcome,
)
from voipcard import UNLIMITED, CardBook, CardCode, CardQuery, Credit, Extension, NewCard, Page
from voipcard.errors import (
    AmountError,
    CursorError,
    InvalidCodeError,
    InvalidValueError,
    TamperedError,
    UnknownCardError,
    VoipcardError,
)
from voipcard.stores import CardRecord, MemoryStore, SealedCode

HOUR: Final = timedelta(hours=1)
DIGITS: Final = "0123"
"""Few, so that codes have beginnings and parts in common."""


@attrs.frozen
class Known:
    """
    What a card was made with, as the person who made it would have written it down.
    """

    code: str
    caller: bool
    credit: int | None
    order_number: str
    enabled: bool
    batch: int
    made_at: datetime
    expires_at: datetime | None
    card: CardCode


made: Final = st.lists(
    st.tuples(
        st.lists(
            st.tuples(
                st.text(DIGITS, min_size=1, max_size=4),
                st.booleans(),
                st.sampled_from([0, 5, 10, None]),
                st.sampled_from(["", "PO-1", "po-1", "PO-1 "]),
            ),
            min_size=1,
            max_size=4,
        ),
        st.booleans(),
        st.integers(0, 2),
        st.none() | st.integers(-1, 4),
    ),
    max_size=5,
)
"""Batches: cards, whether enabled, the hours since the one before, and after how many hours they expire."""

parts: Final = st.text(DIGITS, min_size=1, max_size=2)
filters: Final = st.fixed_dictionaries(
    {},
    optional={
        "batch": st.integers(0, 5),
        "kind": st.sampled_from(["code", "caller_id"]),
        "enabled": st.booleans(),
        "credit_at_least": st.sampled_from([0, "5.00", "5.000001", "unlimited"]),
        "credit_below": st.sampled_from([0, 5, "10.00", "unlimited"]),
        "unlimited": st.booleans(),
        "order_number": st.sampled_from(["", "PO-1", "po-1", "PO"]),
        "created_from": st.integers(-1, 6),
        "created_before": st.integers(-1, 6),
        "used": st.booleans(),
        "expired": st.booleans(),
        "code_prefix": parts | parts.map("+{}".format),
        "code_contains": parts,
        "code": st.text(DIGITS, min_size=1, max_size=4),
        "caller_id": st.text(DIGITS, min_size=1, max_size=4),
        "serial": st.integers(0, 20),
    },
)
orders: Final = st.tuples(st.sampled_from(["created", "serial", "credit"]), st.booleans())


def populate(book: CardBook, clock: Clock, batches: list[Any]) -> list[Known]:
    """
    Make the cards and write them down.
    """
    extension = book.extension(EXTENSION)
    known: list[Known] = []
    seen: set[tuple[str, bool]] = set()
    for number, (rows, enabled, wait, lives) in enumerate(batches):
        clock.move(hours=wait)
        fresh = [row for row in dict.fromkeys((r[:2], r) for r in rows) if row[0] not in seen]
        unique = {row[0]: row[1] for row in fresh}
        seen |= set(unique)
        if not unique:
            continue
        expires_at = None if lives is None else clock.now + lives * HOUR
        cards = [
            NewCard(code, "", UNLIMITED if credit is None else credit, order, caller)
            for code, caller, credit, order in unique.values()
        ]
        handouts = extension.add(cards, enabled=enabled, expires_at=expires_at)
        known += [
            Known(code, caller, credit, order, enabled, number, clock.now, expires_at, extension[handout.serial])
            for (code, caller, credit, order), handout in zip(unique.values(), handouts, strict=True)
        ]
    # Another extension has the same codes, and none of its cards may ever be found.
    if known:
        book.extension(OTHER).add([NewCard(card.code, caller_id=card.caller) for card in known])

    return known


def arguments(asked: dict[str, Any], known: list[Known]) -> dict[str, Any]:
    """
    Write conditions as the search takes them.
    """
    given = dict(asked)
    for name in ("created_from", "created_before"):
        if name in given:
            given[name] = MORNING + given[name] * HOUR
    if "batch" in given:
        given["batch"] = next((card.card.batch for card in known if card.batch == asked["batch"]), "none")
    if "serial" in given:
        given["serial"] = known[given["serial"] % len(known)].card.serial if known else "none"

    return given


def expected(known: list[Known], given: dict[str, Any], order: str, now: datetime, *, descending: bool) -> list[str]:
    """
    Search a plain list.
    """

    def worth(card: Known) -> float:
        return float("inf") if card.credit is None else card.credit

    def at(amount: object) -> float:
        return float("inf") if amount == "unlimited" else float(str(amount))

    prefix = given.get("code_prefix", "")
    tests: dict[str, Callable[[Known], bool]] = {
        "batch": lambda c: c.card.batch == given["batch"],
        "kind": lambda c: c.caller == (given["kind"] == "caller_id"),
        "enabled": lambda c: c.enabled == given["enabled"],
        "credit_at_least": lambda c: worth(c) >= at(given["credit_at_least"]),
        "credit_below": lambda c: worth(c) < at(given["credit_below"]),
        "unlimited": lambda c: (c.credit is None) == given["unlimited"],
        "order_number": lambda c: c.order_number == given["order_number"],
        "created_from": lambda c: c.made_at >= given["created_from"],
        "created_before": lambda c: c.made_at < given["created_before"],
        "used": lambda _: not given["used"],
        "expired": lambda c: (c.expires_at is not None and c.expires_at <= now) == given["expired"],
        "code_prefix": lambda c: c.code.startswith(prefix.removeprefix("+")) and (prefix[0] != "+" or c.caller),
        "code_contains": lambda c: given["code_contains"] in c.code,
        "code": lambda c: not c.caller and c.code == given["code"],
        "caller_id": lambda c: c.caller and c.code == given["caller_id"],
        "serial": lambda c: c.card.serial == given["serial"],
    }
    orders: dict[str, Callable[[Known], Any]] = {
        "created": lambda c: (c.made_at, c.card.id),
        "serial": lambda c: c.card.serial,
        "credit": lambda c: (worth(c), c.card.id),
    }
    found = [card for card in known if all(tests[name](card) for name in given)]

    return [card.card.serial for card in sorted(found, key=orders[order], reverse=descending)]


def names(cards: Any) -> list[str]:  # noqa: ANN401 - whatever gives cards
    """
    Tell the serials of cards.
    """
    return [card.serial for card in cards]


def paged(extension: Extension, limit: int, **given: Any) -> list[Page]:  # noqa: ANN401 - conditions
    """
    Read a search page by page.
    """
    pages = [extension.page(limit=limit, **given)]
    while pages[-1].next_cursor is not None:
        pages.append(extension.page(limit=limit, cursor=pages[-1].next_cursor, **given))

    return pages


def check(book: CardBook, batches: list[Any], asked: dict[str, Any], order: tuple[str, bool], limit: int) -> None:
    """
    Compare search, pages and count with the plain list.
    """
    clock: Any = engine_of(book).clock
    known = populate(book, clock, batches)
    clock.move(hours=1)
    extension = book.extension(EXTENSION)
    given = arguments(asked, known)
    wanted = expected(known, given, order[0], clock.now, descending=order[1])
    ordered = {**given, "order": order[0], "descending": order[1]}
    found = list(extension.search(**ordered))
    pages = paged(extension, limit, **ordered)
    stored = {card.card.serial: card.card for card in known}

    assert wanted == names(found)
    assert [stored[serial] for serial in wanted] == found
    assert [names(piece) for piece in grouped(found, limit)] == [names(page) for page in pages if page]
    assert max(1, -(-len(wanted) // limit)) == len(pages)
    assert len(wanted) == extension.count(**given)


@settings(max_examples=250)
@given(made, filters, orders, st.integers(1, 4))
@example([([("0", True, 5, "")], True, 0, None)], {"kind": "code", "code_prefix": "+0"}, ("created", False), 1)
def test_a_search_gives_what_a_plain_list_would(
    batches: list[Any], asked: dict[str, Any], order: tuple[str, bool], limit: int
) -> None:
    """
    Search, the pages one after the other, and count agree with brute force over what was made.

    That holds whatever the conditions, the order and the size of the pages.
    """
    assume(not {"code", "caller_id"} <= set(asked))
    clock = Clock()
    check(new_book(clock=clock, policy=LAX), batches, asked, order, limit)


@settings(max_examples=25)
@given(made, filters, orders, st.integers(1, 4))
def test_a_file_is_searched_as_memory_is(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[Any],
    asked: dict[str, Any],
    order: tuple[str, bool],
    limit: int,
) -> None:
    """
    The same for a book in an SQLite file.
    """
    assume(not {"code", "caller_id"} <= set(asked))
    clock = Clock()
    with file_book(tmp_path_factory.mktemp("search") / "cards.db", clock=clock, policy=LAX) as book:
        check(book, batches, asked, order, limit)


@given(filters, orders)
def test_conditions_can_be_given_as_a_query(asked: dict[str, Any], order: tuple[str, bool]) -> None:
    """
    A `CardQuery` with the same conditions finds the same; what looks at codes can be added to it.
    """
    assume(not {"code", "caller_id"} <= set(asked))
    clock = Clock()
    book = new_book(clock=clock, policy=LAX)
    rows = [("0123", False, 5, "PO-1"), ("0123", True, 10, ""), ("1", False, None, "po-1"), ("2", True, 0, "PO-1 ")]
    known = populate(book, clock, [(rows, True, 0, 1), ([("012", False, 5, "PO-1")], False, 1, None)])
    extension = book.extension(EXTENSION)
    given = arguments(asked, known)
    apart: dict[str, Any] = {
        name: given.pop(name) for name in ("code", "caller_id", "code_prefix", "code_contains") if name in given
    }
    query = CardQuery(**given, order=order[0], descending=order[1])  # type: ignore[arg-type]
    filtered: dict[str, Any] = {**apart, **given, "order": order[0], "descending": order[1]}

    assert names(extension.search(**filtered)) == names(extension.search(query, **apart))
    assert names(extension.page(**filtered)) == names(extension.page(query, **apart))
    assert extension.count(**filtered) == extension.count(query, **apart)


# One card


def test_a_card_is_found_by_code_caller_id_and_serial() -> None:
    """
    Each way gives the same card, however the code is typed; a dialed code is never taken for a CallerID.
    """
    extension = new_book().extension(EXTENSION)
    code, caller = (extension[handout.serial] for handout in extension.add(["77001834", "+40722123"]))

    assert [code] * 5 == [
        extension.find(code="77001834"),
        extension.find(code=" 7700-18.34 "),
        extension.find(serial=code.serial),
        extension.get(code="7700 1834"),
        extension[code.serial],
    ]
    assert [caller] * 5 == [
        extension.find(code="+40722123"),
        extension.find(caller_id="40722123"),
        extension.find(caller_id="+40 (722) 123"),
        extension.find(serial=caller.serial),
        extension.get(caller_id="40722123"),
    ]
    assert {None} == {extension.find(caller_id="77001834"), extension.find(code="40722123")}


def test_codes_are_case_sensitive() -> None:
    """
    Upper and lower case are different codes.
    """
    extension = new_book().extension(EXTENSION)
    upper, lower = extension.add(["ABC", "abc"])

    assert [upper.serial, lower.serial, None] == [
        card.serial if (card := extension.find(code=code)) else None for code in ("ABC", "abc", "Abc")
    ]


def test_an_unknown_card_is_none_or_an_error() -> None:
    """
    `find` gives None and `in` False, where `get` and `[]` raise and name the serial, but never the code.
    """
    extension = new_book().extension(EXTENSION)

    serial = "K7QX-000042"

    assert [extension.find(**way) for way in ({"code": "7"}, {"caller_id": "7"}, {"serial": serial})] == [None] * 3
    assert [(UnknownCardError, ""), (UnknownCardError, ""), (UnknownCardError, serial), (UnknownCardError, serial)] == [
        outcome(lambda: extension.get(code="7")),
        outcome(lambda: extension.get(caller_id="7")),
        outcome(lambda: extension.get(serial=serial)),
        outcome(lambda: extension[serial]),
    ]
    assert serial not in extension


@given(st.text("0123456789 -.+", min_size=4, max_size=30) | st.text(max_size=10))
def test_a_code_that_is_given_for_a_serial_is_not_repeated(text: str) -> None:
    """
    Whoever gives a code where a serial belongs does not read it in the error, nor in the trail.
    """
    book = new_book().acting_as("alice")
    extension = book.extension(EXTENSION)
    answers: list[Any] = [
        outcome(call)
        for call in (
            lambda: extension[text],
            lambda: extension.recharge(text, 1),
            lambda: extension.recharge_many([(text, 1)]),
            lambda: extension.edit(text, pin=""),
            lambda: extension.disable(text),
            lambda: extension.enable([text]),
            lambda: extension.remove([text]),
            lambda: extension.history(text),
            lambda: extension.reveal(text),
        )
    ]

    assert [(UnknownCardError, "")] * len(answers) == answers
    assert list(book.audit_trail()) == []


def test_a_card_of_another_extension_is_not_found() -> None:
    """
    An extension knows its own cards only, by whatever they are asked for.
    """
    book = new_book()
    extension, other = book.extension(EXTENSION), book.extension(OTHER)
    [handout] = other.add("7700")
    card = other[handout.serial]

    assert None is extension.find(code="7700") is extension.find(serial=card.serial)
    assert card not in extension
    assert card in other
    assert card.serial in other
    assert [] == list(extension) == list(extension.search(serial=card.serial)) == list(extension.search(code="7700"))
    assert [card] == list(other)


def test_what_is_no_serial_is_in_no_extension() -> None:
    """
    `in` is False for everything that is neither a card nor a serial.
    """
    extension = new_book().extension(EXTENSION)

    assert [thing in extension for thing in (None, 7, b"ZZZZ-000001", ["ZZZZ-000001"], "\ud800")] == [False] * 5


def test_a_text_that_no_file_can_hold_is_unknown(tmp_path: Path) -> None:
    """
    A serial with a lone surrogate or a zero character is unknown, in a file as in memory; a search is refused.
    """
    with file_book(tmp_path / "cards.db") as book:
        extension = book.extension(EXTENSION)
        [handout] = extension.add("7700")

        for serial in ("\ud800", "\0", handout.serial + "\0", ""):
            assert serial not in extension
            assert (UnknownCardError, "") == outcome(lambda s=serial: extension[s])  # type: ignore[misc]
            if serial:
                assert InvalidValueError is outcome(lambda s=serial: extension.search(serial=s))[0]  # type: ignore[misc, index]


@pytest.mark.parametrize("ways", [{}, {"code": "7", "serial": "ZZZZ-000001"}, {"code": "7", "caller_id": "7"}])
def test_one_card_is_asked_for_in_one_way(ways: dict[str, str]) -> None:
    """
    No way, or more than one, is refused.
    """
    extension = new_book().extension(EXTENSION)

    assert InvalidValueError is outcome(lambda: extension.find(**ways))[0]  # type: ignore[index]
    assert InvalidValueError is outcome(lambda: extension.get(**ways))[0]  # type: ignore[index]


@pytest.mark.parametrize(
    "way, value", [("code", ""), ("code", " - "), ("code", "é"), ("code", "+4x"), ("caller_id", "x"), ("caller_id", "")]
)
def test_what_cannot_be_a_code_is_refused(way: str, value: str) -> None:
    """
    A text that no card can have is an error where a card is asked for and where cards are searched.
    """
    extension = new_book().extension(EXTENSION)
    ask: dict[str, Any] = {way: value}

    for call in (extension.find, extension.get, extension.search, extension.page, extension.count):
        assert InvalidCodeError is outcome(lambda c=call: c(**ask))[0]  # type: ignore[misc]


class MixesUp(MemoryStore):
    """
    A store whose indexes lead to another card, as those of a damaged file may.
    """

    def find(self, **asked: Any) -> CardRecord | None:  # noqa: ANN401 - as the contract has it
        """
        Give any card but the one that is asked for.
        """
        right = super().find(**asked)

        return next((card for card in self.cards(CardQuery()) if card != right), None)

    def find_many(self, **asked: Any) -> list[CardRecord]:  # noqa: ANN401 - as the contract has it
        """
        Give as many cards as there are, but not those that are asked for.
        """
        right = super().find_many(**asked)

        return [card for card in self.cards(CardQuery()) if card not in right][: len(right)]


def test_a_store_that_gives_another_card_is_found_out() -> None:
    """
    What comes back has to be what was asked for, by serial as by code.
    """
    extension = book_on(MixesUp(), policy=LAX).extension(EXTENSION)
    [first, _] = extension.add(["7700", "7701"])
    answers: list[Any] = [
        outcome(call)
        for call in (
            lambda: extension[first.serial],
            lambda: extension.find(code="7700"),
            lambda: extension.recharge(first.serial, 1),
            lambda: extension.edit(first.serial, pin=""),
        )
    ]

    assert [answer[0] if isinstance(answer, tuple) else answer for answer in answers] == [TamperedError] * 4


# Pages


def numbered(count: int, **settings: Any) -> Extension:  # noqa: ANN401 - those of `new_book`
    """
    Make so many cards in one batch.
    """
    extension = new_book(**settings).extension(EXTENSION)
    extension.generate(count, credit=1)

    return extension


def test_a_page_is_a_sequence_of_cards() -> None:
    """
    A page has a length, places and slices, and tells where the next one begins.
    """
    extension = numbered(3)
    page = extension.page(limit=2)
    cards = list(extension.search())

    assert (2, cards[:2], cards[0], cards[1], tuple(cards[:1])) == (len(page), list(page), page[0], page[-1], page[:1])
    assert (cards[2:], None) == (
        list(rest := extension.page(limit=2, cursor=page.next_cursor)),
        rest.next_cursor,
    )
    assert extension.page(limit=3).next_cursor is None


def test_an_empty_extension_has_one_empty_page() -> None:
    """
    Where nothing is found there is a page without cards and without a next one.
    """
    extension = new_book().extension(EXTENSION)

    assert attrs.astuple(extension.page(), recurse=False) == ((), None)
    assert extension.count(code_prefix="7") == 0


def test_pages_go_on_where_they_ended_whatever_happens_meanwhile() -> None:
    """
    Cards that are added or removed between two pages make no other card come twice or not at all.
    """
    extension = numbered(6)
    first = extension.page(limit=2, order="serial")
    gone = list(extension.search(order="serial"))[1:3]
    extension.remove(gone)
    extension.generate(2)
    rest = [*extension.search(order="serial")]
    second = extension.page(limit=100, order="serial", cursor=first.next_cursor)

    assert [card for card in rest if card.serial > first[-1].serial] == list(second)


def test_the_moment_of_an_expiry_may_pass_between_pages() -> None:
    """
    A cursor holds although "expired" is about another moment by the next page.
    """
    clock = Clock()
    extension = new_book(clock=clock).extension(EXTENSION)
    extension.generate(4, expires_at=clock.now)
    page = extension.page(limit=2, expired=True)
    clock.move(hours=1)

    assert len(extension.page(limit=2, expired=True, cursor=page.next_cursor)) == 2


SEARCHES: Final[dict[str, dict[str, Any]]] = {
    "all": {},
    "enabled": {"enabled": True},
    "credit": {"credit_at_least": 1},
    "other credit": {"credit_at_least": 0},
    "order": {"order": "credit"},
    "descending": {"descending": True},
    "prefix": {"code_prefix": "7"},
    "contains": {"code_contains": "7"},
    "serial": {"serial": "ZZZZ-000001"},
    "code": {"code": "7"},
    "caller_id": {"caller_id": "7"},
}


@pytest.mark.parametrize("name", SEARCHES)
def test_a_cursor_belongs_to_its_search(name: str) -> None:
    """
    With other conditions, another order or in another extension it is refused; another limit is fine.
    """
    extension = new_book(policy=LAX).extension(EXTENSION)
    extension.add(["70", "71", "72", "73"], credit=1)
    cursor = extension.page(limit=1).next_cursor
    given = SEARCHES[name]

    if given:
        assert (CursorError,) == outcome(lambda: extension.page(**given, limit=1, cursor=cursor))
    else:
        assert len(extension.page(limit=50, cursor=cursor)) == 3
    other = engine_of(extension)
    assert (CursorError,) == outcome(lambda: Extension(other, OTHER).page(**given, limit=1, cursor=cursor))


def test_a_cursor_of_another_book_is_refused() -> None:
    """
    Cursors are made with the keys of the book.
    """
    cursor = numbered(2).page(limit=1).next_cursor

    assert (CursorError,) == outcome(lambda: numbered(2).page(limit=1, cursor=cursor))


@given(st.data())
def test_a_damaged_cursor_is_refused(data: st.DataObject) -> None:
    """
    Whatever is changed in a cursor, it is a `CursorError`: no other error, and never another page.
    """
    extension = numbered(3)
    order: Any = data.draw(st.sampled_from(["created", "serial", "credit"]))
    cursor = extension.page(limit=1, order=order).next_cursor
    assert cursor is not None
    at = data.draw(st.integers(0, len(cursor)))
    cut = data.draw(st.integers(0, 2))
    text = data.draw(st.text(st.sampled_from("AQgw=-_+/ \n.é\0"), max_size=3) | st.text(max_size=3))
    damaged = cursor[:at] + text + cursor[at + cut :]
    assume(damaged != cursor)

    assert (CursorError,) == outcome(lambda: extension.page(limit=1, order=order, cursor=damaged))


@pytest.mark.parametrize(
    "cursor", [7, b"AAAA", "", "A", "AAAA", base64.urlsafe_b64encode(bytes(40)).decode(), "é", "\0"]
)
def test_what_is_no_cursor_is_refused(cursor: Any) -> None:  # noqa: ANN401 - what is refused
    """
    Whatever is no cursor is refused as one, the empty text too.
    """
    extension = numbered(2)

    assert (CursorError,) == outcome(lambda: extension.page(cursor=cursor))


# Reading no more than needed


def test_the_first_card_does_not_cost_the_last() -> None:
    """
    A search reads a page at a time: its first card takes one page, however many there are.
    """
    store = Counted()
    extension = book_on(store).extension(EXTENSION)
    extension.generate(2500)
    search = extension.search()
    before = store.given
    next(search)
    first = store.given
    rest = sum(1 for _ in search)

    assert (before, first, rest, store.given) == (0, 1000, 2499, 2500)


def test_a_page_does_not_cost_the_book() -> None:
    """
    A page reads as many cards as it gives, and one more.
    """
    store = Counted()
    extension = book_on(store).extension(EXTENSION)
    extension.generate(300)
    page = extension.page(limit=50)
    extension.page(limit=50, cursor=page.next_cursor)

    assert store.given == 102


def test_pages_can_have_ten_thousand_cards() -> None:
    """
    The largest page is read in pieces.
    """
    extension = numbered(1002)
    page = extension.page(limit=10_000)
    most = extension.page(limit=1001)

    assert (len(page), page.next_cursor) == (1002, None)
    assert len(most) == 1001
    assert len(extension.page(limit=1001, cursor=most.next_cursor)) == 1


def test_codes_are_looked_at_a_page_at_a_time() -> None:
    """
    A search in the codes goes on until its page is full, over many pages of the store if needed, and no further.
    """
    store = Counted()
    extension = book_on(store).extension(EXTENSION)
    extension.add([f"1{number:04}" for number in range(2100)] + [f"2{number:04}" for number in range(400)])
    page = extension.page(limit=3, code_prefix="2")
    given = store.given

    assert len(page) == 3
    assert given <= 2500
    assert len(extension.page(limit=1000, code_prefix="2", cursor=page.next_cursor)) == 397
    assert extension.count(code_prefix="2") == 400
    assert extension.count(code_prefix="2", code_contains="0399") == 1


# Refusals


REFUSED: Final[dict[str, tuple[dict[str, Any], type[VoipcardError]]]] = {
    "limit 0": ({"limit": 0}, InvalidValueError),
    "limit": ({"limit": 10_001}, InvalidValueError),
    "order": ({"order": "code"}, InvalidValueError),
    "kind": ({"kind": "pin"}, InvalidValueError),
    "naive": ({"created_from": datetime(2026, 1, 1)}, InvalidValueError),  # noqa: DTZ001 - what is refused
    "credit": ({"credit_below": "much"}, AmountError),
    "query and conditions": ({"query": CardQuery(), "enabled": True}, InvalidValueError),
    "query of another": ({"query": CardQuery(extension=OTHER)}, InvalidValueError),
    "serial": ({"serial": "A\n1"}, InvalidValueError),
    "batch": ({"batch": "A\n1"}, InvalidValueError),
    "order number": ({"order_number": "\ud800"}, InvalidValueError),
    "code and CallerID": ({"code": "7", "caller_id": "7"}, InvalidValueError),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_search_that_makes_no_sense_is_refused(name: str) -> None:
    """
    The refusal comes with the call, before anything is read.
    """
    given, kind = REFUSED[name]
    extension = new_book().extension(EXTENSION)
    calls: list[Callable[..., object]] = [extension.page]
    if "limit" not in given:
        calls += [extension.search, extension.count]

    for call in calls:
        assert kind is outcome(lambda c=call: c(**given))[0]  # type: ignore[misc]


def test_all_conditions_hold_together() -> None:
    """
    A serial, a code or a kind beside a query that says something else finds nothing.
    """
    extension = new_book().extension(EXTENSION)
    code, caller = (extension[handout.serial] for handout in extension.add(["7700", "+7700"]))

    assert [code] == list(extension.search(CardQuery(kind="code"), serial=code.serial, code="7700"))
    assert list(extension.search(CardQuery(serial=code.serial), serial=caller.serial)) == []
    assert list(extension.search(CardQuery(kind="caller_id"), code="7700")) == []
    assert list(extension.search(kind="code", code_prefix="+77")) == []
    assert [caller] == list(extension.search(code_prefix="+77"))
    assert [caller] == list(extension.search(code_prefix="+"))
    assert {code, caller} == set(extension.search(code_prefix="77-"))
    assert [] == list(extension.search(code_prefix="é")) == list(extension.search(code_contains="+x"))


def test_a_query_can_begin_after_a_position() -> None:
    """
    `after` of a query is where search and page begin; count counts all.
    """
    extension = numbered(4)
    cards = list(extension.search(order="serial"))
    query = CardQuery(order="serial", after=(cards[1].serial, cards[1].id), limit=1)

    assert cards[2:] == list(extension.search(query)) == list(extension.search(query, code_contains=""))
    assert cards[2:] == list(extension.page(query, limit=5))
    assert [extension.count(query), extension.count(CardQuery(after=query.after), code_contains="")] == [4, 4]


def test_expired_is_as_of_the_moment_that_a_query_names() -> None:
    """
    The clock says what has expired, unless the query names another moment; the moment itself is expired.
    """
    clock = Clock()
    extension = new_book(clock=clock).extension(EXTENSION)
    [handout] = extension.add("7700", expires_at=MORNING + HOUR)
    before, at = (
        CardQuery(expired=True, now=moment) for moment in (MORNING + HOUR - timedelta(microseconds=1), MORNING + HOUR)
    )
    counts = [extension.count(expired=True), extension.count(before), extension.count(at)]
    clock.move(hours=1)

    assert [*counts, extension.count(expired=True)] == [0, 0, 1, 1]
    assert handout.serial == extension.page(expired=True)[0].serial
    assert Credit(0) == extension.page(expired=True)[0].available


class Moving(MemoryStore):
    """
    A store in which somebody acts between the reading of sealed codes and that of their cards.
    """

    meddle: Callable[[], object] | None = None

    def sealed_codes(self, query: CardQuery) -> Sequence[SealedCode]:
        """
        Read, and let the other one act.
        """
        page = super().sealed_codes(query)
        meddle, self.meddle = self.meddle, None
        if meddle is not None:
            meddle()

        return page


def test_who_looks_into_codes_skips_no_card_that_stays() -> None:
    """
    A card that moves to another place while codes are looked into takes no other card with it.
    """
    store = Moving()
    extension = book_on(store, policy=LAX).extension(EXTENSION)
    added = extension.add([NewCard(f"77{number}", credit=credit) for number, credit in enumerate((1, 2, 3, 4, 5, 100))])
    store.meddle = lambda: extension.recharge(added[0].serial, 98)
    pages = [extension.page(code_prefix="77", order="credit", limit=1)]
    while pages[-1].next_cursor:
        pages.append(extension.page(code_prefix="77", order="credit", limit=1, cursor=pages[-1].next_cursor))
    found = [card.serial for page in pages for card in page]

    assert [handout.serial for handout in added[1:]] == [serial for serial in found if serial != added[0].serial]


def test_who_looks_into_codes_gives_no_card_that_does_not_match_any_more() -> None:
    """
    A card that gets another code, is disabled or is removed while codes are looked into is not given.
    """
    store = Moving()
    extension = book_on(store, policy=LAX).extension(EXTENSION)
    edited, disabled, removed, stays = (card.serial for card in extension.add(["771", "772", "773", "774"]))

    def meddle() -> None:
        extension.edit(edited, code="88")
        extension.disable(disabled)
        extension.remove(removed)

    store.meddle = meddle

    assert [card.serial for card in extension.search(code_contains="77", enabled=True)] == [stays]
