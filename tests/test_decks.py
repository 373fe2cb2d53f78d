"""
Price lists in a book: as they were given, the right one at each moment, for everybody, and never changed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import create_engine

from tests.book_world import (
    MORNING,
    Clock,
    Meddled,
    book_on,
    engine_of,
    file_book,
    findings_of,
    in_process,
    in_processes,
    in_threads,
    new_book,
    outcome,
    sound,
    verbs_of,
)
from tests.core.test_rating import tariffs
from voipcard import CardBook, DeckVersion, Rate, RateDeck, Tariff
from voipcard.decks import deck_of_digest
from voipcard.errors import (
    DeckExistsError,
    InvalidValueError,
    OperationConflictError,
    StaleError,
    TamperedError,
    UnknownDeckError,
)
from voipcard.names import DECK, RATES
from voipcard.stores import Changes, Document, MemoryStore, SQLAlchemyStore, SQLiteStore, copy

LINES: Final = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=20)
MOMENTS: Final = st.none() | st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  (hypothesis adds the zone)


def simple(price: int = 1, *, name: str = "default", valid_from: datetime | None = None, count: int = 1) -> RateDeck:
    """
    Give a deck of so many rates, all of the same price.
    """
    tariff = Tariff(price=price)

    return RateDeck([Rate(f"4{number}", tariff) for number in range(count)], name=name, valid_from=valid_from)


@st.composite
def decks(draw: st.DrawFn) -> RateDeck:
    """
    Give decks of every shape.
    """
    shared = draw(st.lists(tariffs(), min_size=1, max_size=3))
    prefixes = draw(st.sets(st.text("0123456789", min_size=1, max_size=32), min_size=1, max_size=12))
    rates = [Rate(prefix, draw(st.sampled_from(shared)), draw(LINES), draw(LINES)) for prefix in prefixes]

    return RateDeck(rates, name=draw(st.from_regex("[A-Za-z0-9._-]{1,64}", fullmatch=True)), valid_from=draw(MOMENTS))


@settings(max_examples=50)
@given(decks())
def test_what_is_installed_comes_back_equal(deck: RateDeck) -> None:
    """
    Another handle on the same book gives an equal deck, and the book tells its name, beginning and size.
    """
    store = MemoryStore()
    version = book_on(store).install_deck(deck)
    other = book_on(store.another())

    assert deck == other.deck(deck.name, at=datetime(2100, 1, 1, tzinfo=UTC))
    assert deck == deck_of_digest(engine_of(other), version.digest)
    assert [version] == other.decks()
    assert (deck.name, deck.valid_from, len(deck), MORNING) == attrs.astuple(
        version, filter=lambda field, _: field.name != "digest"
    )


@settings(max_examples=30)
@given(st.lists(MOMENTS, min_size=1, max_size=6, unique=True), st.lists(MOMENTS, min_size=1, max_size=6))
def test_the_deck_of_a_moment_is_the_last_that_has_begun(
    beginnings: list[datetime | None], moments: list[datetime | None]
) -> None:
    """
    A plain search over all versions gives the same deck for each moment, in whatever order they were installed.
    """
    book = new_book()
    made = {beginning: simple(price, valid_from=beginning) for price, beginning in enumerate(beginnings, 1)}
    for deck in made.values():
        book.install_deck(deck)
    always = datetime(1, 1, 1, tzinfo=UTC)
    for moment in [*filter(None, [*moments, *beginnings]), MORNING]:
        begun = [beginning for beginning in made if beginning is None or beginning <= moment]
        expected: object = (
            made[max(begun, key=lambda beginning: (beginning is not None, beginning or always))]
            if begun
            else (UnknownDeckError, "default")
        )

        assert expected == outcome(lambda moment=moment: book.deck(at=moment))  # type: ignore[misc]
    assert [deck.valid_from for deck in book.decks()] == sorted(made, key=lambda beginning: beginning or always)


def test_without_a_moment_it_is_now_that_counts() -> None:
    """
    A deck that begins later is used from its first microsecond on, and not before.
    """
    clock = Clock()
    book = new_book(clock=clock)
    book.install_deck(simple(1))
    book.install_deck(simple(2, valid_from=MORNING + timedelta(hours=1)))
    prices = [book.deck().rates[0].tariff.price.micros]
    clock.move(hours=1, microseconds=-1)
    prices.append(book.deck().rates[0].tariff.price.micros)
    clock.move(microseconds=1)
    prices.append(book.deck().rates[0].tariff.price.micros)

    assert prices == [1_000_000, 1_000_000, 2_000_000]


def read_there(path: Path, _: int) -> tuple[list[DeckVersion], list[Rate]]:
    """
    Read a book in another process.
    """
    with file_book(path) as book:
        return book.decks(), list(book.deck())


def test_other_processes_and_handles_rate_by_it_at_once(tmp_path: Path) -> None:
    """
    What one process installs a handle that was open before, and a fresh process, have from then on.
    """
    path = tmp_path / "cards.db"
    with file_book(path) as book, file_book(path) as open_before:
        unknown = outcome(open_before.deck)
        version = book.install_deck(simple(3, count=5))

        assert (UnknownDeckError, "default") == unknown
        assert open_before.deck() == simple(3, count=5)
        assert in_process(read_there, path) == ([version], list(simple(3, count=5)))


def install_there(path: Path, price: int, number: int) -> object:
    """
    Install a deck in another process: the same in each, or one of its own where the price is 0.
    """
    with file_book(path) as book:
        answer = outcome(lambda: book.install_deck(simple(price or number + 1)))

    return answer if isinstance(answer, DeckVersion) else answer[0]


@pytest.mark.parametrize("price", [7, 0])
@pytest.mark.parametrize("where", ["threads", "processes"])
def test_of_several_at_once_one_installs(where: str, price: int, tmp_path: Path) -> None:
    """
    Whoever asks at the same time for the same deck gets the one that is kept; of different ones the first is.
    """
    path = tmp_path / "cards.db"
    file_book(path).close()
    answers = (
        in_threads(lambda number: install_there(path, price, number), 4)
        if where == "threads"
        else in_processes(install_there, path, price, times=4)
    )
    with file_book(path) as book:
        [version] = book.decks()

        assert [version] * (4 if price else 1) == [answer for answer in answers if answer is not DeckExistsError]
        assert verbs_of(book) == ["install_deck"]
        assert sound(book) == ()


def test_somebody_who_is_faster_is_noticed() -> None:
    """
    Where another deck of the name comes between reading and writing, both are kept.
    """
    store = Meddled()
    book, other = book_on(store), book_on(store)
    store.meddle = lambda: other.install_deck(simple(1))
    book.install_deck(simple(2, valid_from=MORNING))

    assert [version.valid_from for version in book.decks()] == [None, MORNING]
    assert sound(book) == ()


def test_the_same_again_changes_nothing() -> None:
    """
    The same rates in another order give the version that is kept, and neither a document nor an audit entry.
    """
    book = new_book().acting_as("alice")
    deck = simple(2, count=9)
    first = book.install_deck(deck)
    before = book.verify()
    again = book.install_deck(RateDeck(reversed(deck.rates)))

    assert first == again
    assert before == book.verify()
    assert verbs_of(book) == ["install_deck"]


@pytest.mark.parametrize("valid_from", [None, MORNING])
def test_no_version_is_ever_changed(valid_from: datetime | None) -> None:
    """
    Another price, a rate more or less from the same moment on are refused, and the deck stays as it was.
    """
    book = new_book()
    book.install_deck(simple(2, count=9, valid_from=valid_from))
    refused = [
        outcome(lambda deck=deck: book.install_deck(deck))  # type: ignore[misc]
        for deck in (
            simple(3, count=9, valid_from=valid_from),
            simple(2, count=8, valid_from=valid_from),
            simple(2, count=10, valid_from=valid_from and valid_from.astimezone()),
        )
    ]

    assert [(DeckExistsError, "default", "2026-03-01T09:00:00+00:00" if valid_from else "")] * 3 == refused
    assert simple(2, count=9, valid_from=valid_from) == book.deck()
    assert verbs_of(book) == ["install_deck"]


def test_an_operation_is_done_once() -> None:
    """
    Asked again under its name it gives the first answer; another deck under that name is refused.
    """
    clock = Clock()
    book = new_book(clock=clock)
    first = book.install_deck(simple(1), operation="march")
    clock.move(days=1)
    again = book.install_deck(simple(1), operation="march")
    other = outcome(lambda: book.install_deck(simple(1, name="retail"), operation="march"))

    assert first == again
    assert (OperationConflictError, "install_deck") == other[:2]  # type: ignore[index]
    assert verbs_of(book) == ["install_deck"]


def test_the_audit_trail_tells_what_was_installed() -> None:
    """
    The entry names the deck, from when on it holds, how many rates it has, and the digest that no other deck has.
    """
    book = new_book().acting_as("alice")
    versions = [
        book.install_deck(deck)
        for deck in (simple(1), simple(1, name="retail"), simple(1, valid_from=MORNING), simple(2, name="other"))
    ]
    told = [entry.detail for entry in book.audit_trail()]

    assert [
        {
            "name": version.name,
            "valid_from": "2026-03-01T09:00:00+00:00" if version.valid_from else "",
            "count": 1,
            "digest": version.digest,
        }
        for version in versions
    ] == told
    assert len({version.digest for version in versions}) == 4


@pytest.mark.parametrize("given_deck", [None, "default", [], {"40": 1}])
def test_what_is_no_deck_is_refused(given_deck: Any) -> None:  # noqa: ANN401 - what is refused
    """
    Something else than a `RateDeck` is refused before anything is written.
    """
    book = new_book()
    refused = outcome(lambda: book.install_deck(given_deck))

    assert (InvalidValueError, "deck") == refused[:2]  # type: ignore[index]
    assert verbs_of(book) == []


def test_what_cannot_be_asked_for_is_refused() -> None:
    """
    A name that none can have and a moment without a time zone are no decks that are unknown.
    """
    book = new_book()
    book.install_deck(simple(1))
    naive = datetime(2026, 1, 1)  # noqa: DTZ001

    assert (InvalidValueError, "name") == outcome(lambda: book.deck("a/b"))[:2]  # type: ignore[index]
    assert (InvalidValueError, "moment") == outcome(lambda: book.deck(at=naive))[:2]  # type: ignore[index]
    assert (UnknownDeckError, "retail") == outcome(lambda: book.deck("retail"))


# Large decks


def large(count: int, *, text: str = "") -> RateDeck:
    """
    Give a deck of many rates, of a hundred different prices.
    """
    terms = [Tariff(price=price, first_interval=30, next_interval=6) for price in range(100)]

    return RateDeck(Rate(str(10_000 + number), terms[number % 97], text, text) for number in range(count))


def test_a_deck_of_fifty_thousand_rates_is_kept(tmp_path: Path) -> None:
    """
    It comes back equal through another handle, also in a copy of the book in a store of another kind.
    """
    deck = large(50_000)
    path = tmp_path / "cards.db"
    with file_book(path) as book, file_book(path) as other, closing(MemoryStore()) as target:
        version = book.install_deck(deck)
        copy(engine_of(book).store, target)
        copied = book_on(target.another())

        assert len(deck) == version.size
        assert deck == other.deck()
        assert deck == copied.deck()
        assert [version] == copied.decks()
        assert sound(book) == sound(copied) == ()


def test_no_document_is_too_large_for_a_store() -> None:
    """
    Also with the longest texts, each document has less than half of what a store has to take.
    """
    book = new_book()
    book.install_deck(large(2500, text="\N{TELEPHONE RECEIVER}" * 255))
    sizes = [len(document.value) for document in engine_of(book).documents(RATES)]

    assert len(sizes) == 3
    assert max(sizes) < 2**23


def test_equal_tariffs_are_one_object(tmp_path: Path) -> None:
    """
    A deck that was read needs memory for as many tariffs as there are different ones, over all documents.
    """
    with file_book(tmp_path / "cards.db") as book:
        book.install_deck(large(2500))

        assert len({id(rate.tariff) for rate in book.deck()}) == 97


def test_what_was_parsed_is_used_again_and_not_for_ever() -> None:
    """
    The same deck is given again without being read, by this book for others, and only a few decks are kept so.
    """
    book = new_book()
    for number in range(20):
        book.install_deck(simple(name=f"deck{number}"))
    first = book.deck("deck0")
    same = [book.deck("deck0"), book.acting_as("bob").deck("deck0")]
    every = [book.deck(f"deck{number}") for number in range(20)]

    assert all(deck is first for deck in same)
    assert [f"deck{number}" for number in range(20)] == [deck.name for deck in every]
    assert len(engine_of(book).decks) == 8


# From outside


def documents(book: CardBook) -> dict[str, Document]:
    """
    Give the documents that keep decks.
    """
    found = itertools.chain(engine_of(book).documents(DECK), engine_of(book).documents(RATES))

    return {document.key: document for document in found}


def damages() -> Iterator[Any]:
    """
    Give ways to change documents from outside: a function of the documents that gives what is written and forgotten.
    """

    def edited(found: dict[str, Document], prefix: str) -> list[Document]:
        return [
            document._replace(value=document.value.replace(b"2000000", b"1000000").replace(b"retail", b"resold"))
            for key, document in found.items()
            if key.startswith(prefix)
        ]

    def swapped(found: dict[str, Document]) -> list[Document]:
        one, other = [document for key, document in found.items() if key.endswith("/0")]

        return [one._replace(value=other.value), other._replace(value=one.value)]

    yield pytest.param(lambda found: (edited(found, RATES), []), id="a price is edited")
    yield pytest.param(lambda found: (swapped(found), []), id="two decks are exchanged")
    yield pytest.param(
        lambda found: ([], [document for key, document in found.items() if key.endswith("/0")]), id="rates are deleted"
    )
    yield pytest.param(
        lambda found: ([], [document for key, document in found.items() if key.endswith("/1")]), id="a part is deleted"
    )
    yield pytest.param(
        lambda found: ([found[f"{DECK}retail"]._replace(value=found[f"{DECK}default"].value)], []),
        id="a name is given to another deck",
    )


@pytest.mark.parametrize("damage", list(damages()))
def test_what_was_changed_from_outside_is_not_rated_by(damage: Any, tmp_path: Path) -> None:  # noqa: ANN401
    """
    Who reads the deck is told so, and so is whoever verifies the book.
    """
    path = tmp_path / "cards.db"
    with file_book(path) as book:
        book.install_deck(simple(2, count=1500))
        book.install_deck(simple(2, count=1500, name="retail"))
    with closing(SQLiteStore(path)) as store, file_book(path) as book:
        written, forgotten = damage(documents(book))
        store.commit(
            Changes(
                documents=[(document, document.version) for document in written],
                forget=[(document.key, document.version) for document in forgotten],
            )
        )
        answer = outcome(lambda: book.deck("retail"))

        assert (TamperedError, "document") == (answer[0], answer[2])  # type: ignore[index]
        assert findings_of(book)


def test_a_list_that_is_again_what_it_was_is_found(tmp_path: Path) -> None:
    """
    An older list of versions is one that the book has written, and nevertheless found by verification.
    """
    with file_book(tmp_path / "cards.db") as book:
        book.install_deck(simple(1))
        [older] = engine_of(book).documents(DECK)
        book.install_deck(simple(2, valid_from=MORNING))
        engine_of(book).store.commit(Changes(documents=[(older, 2)]))

        assert ("documents", "tally") in findings_of(book)


def test_an_unknown_digest_is_told_as_what_is_missing() -> None:
    """
    What calls were charged by is never removed: where it is not there, somebody took it away.
    """
    book = new_book()

    assert (TamperedError, f"{RATES}{'0' * 32}/0", "document") == outcome(
        lambda: deck_of_digest(engine_of(book), "0" * 32)
    )


def test_a_deck_that_is_rolled_back_was_never_there(tmp_path: Path) -> None:
    """
    In a transaction of the caller's the deck is there at once; for others only with the commit, and never without one.
    """
    engine = create_engine(f"sqlite:///{tmp_path / 'cards.db'}")
    book = book_on(SQLAlchemyStore(engine, create=True))
    with engine.connect() as connection:
        within = book.over(SQLAlchemyStore(connection))
        within.install_deck(simple(5))
        seen = within.deck()
        connection.rollback()
    rolled_back = outcome(book.deck)
    book.install_deck(simple(6))

    assert simple(5) == seen
    assert (UnknownDeckError, "default") == rolled_back
    assert simple(6) == book.deck()
    assert sound(book) == ()
    book.close()
    engine.dispose()


def test_a_store_that_loses_one_of_two_is_found_out() -> None:
    """
    Where versions of documents are not looked at, one of two decks that come at once is lost (control).
    """

    class Careless(Meddled):
        def commit(self, changes: Changes) -> None:
            try:
                super().commit(changes)
            except StaleError:
                found = [(document, self.document(document.key)) for document, _ in changes.documents]
                super().commit(
                    attrs.evolve(changes, documents=[(document, old.version if old else 0) for document, old in found])
                )

    store = Careless()
    book, other = book_on(store), book_on(store)
    store.meddle = lambda: other.install_deck(simple(1))
    book.install_deck(simple(2, valid_from=MORNING))

    assert [version.valid_from for version in book.decks()] == [MORNING]
