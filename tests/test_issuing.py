"""
Making cards: what is drawn or added is what is stored, the limits hold, and a refusal or a dry run writes nothing.
"""

from __future__ import annotations

import copy
import pickle
import re
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.book_world import (
    EXTENSION,
    LAX,
    MORNING,
    OTHER,
    Clock,
    Meddled,
    Recording,
    book_on,
    everything,
    file_book,
    new_book,
    on_disk,
    outcome,
    seeded,
    sound,
    verbs_of,
)
from voipcard import (
    NO_PIN,
    UNAMBIGUOUS,
    UNLIMITED,
    CodeFormat,
    Credit,
    Extension,
    License,
    NewCard,
    PinFormat,
    Policy,
    Quota,
)
from voipcard.core.codes import draw_codes, refuse_crowded, refuse_guessable
from voipcard.core.pins import weakness
from voipcard.errors import (
    AmountError,
    CardExistsError,
    CrowdedError,
    GuessableError,
    InvalidCodeError,
    InvalidPinError,
    InvalidValueError,
    OperationConflictError,
    QuotaExceededError,
    StaleError,
    StoreError,
    VoipcardError,
    WeakPinError,
)
from voipcard.stores import MemoryStore
from voipcard.testing import strategies

Verb = Callable[[Extension], object]

SMALL: Final = CodeFormat(4, "01", check_digit="none")
"""Sixteen codes."""

FORMATS: Final = [
    CodeFormat(),
    CodeFormat(9, prefix="77", suffix="4", check_digit="luhn"),
    CodeFormat(8, UNAMBIGUOUS, check_digit="mod37_36"),
    CodeFormat(6, "abc#", check_digit="none"),
]

amounts: Final = st.one_of(st.integers(0, 100), st.just(UNLIMITED), st.decimals(0, 100, places=6))
own_cards: Final = strategies.new_cards().filter(lambda card: weakness(card.pin, card.code) != "part_of_code")
"""Cards that every policy takes."""

labels: Final = st.lists(strategies.texts(20).filter(bool), max_size=3)


def facts(batch: Any) -> list[tuple[object, ...]]:  # noqa: ANN401 - whatever gives hand-outs
    """
    Tell what hand-outs say, codes and PINs included.
    """
    return [(h.serial, h.extension, h.kind, h.code, h.pin, h.credit, h.order_number) for h in batch]


# Generating


@settings(max_examples=40)
@given(
    st.integers(1, 12),
    st.sampled_from(FORMATS),
    st.sampled_from([NO_PIN, PinFormat(), PinFormat(6), PinFormat(12)]),
    amounts,
    strategies.texts(40),
    labels,
    st.booleans(),
    st.none() | st.just(MORNING + timedelta(days=30)),
)
def test_generated_cards_are_stored_as_they_are_handed_out(  # noqa: PLR0917 - what is varied
    count: int,
    code_format: CodeFormat,
    pin_format: PinFormat,
    credit: Any,  # noqa: ANN401 - an amount
    order_number: str,
    words: list[str],
    enabled: bool,  # noqa: FBT001 - a parameter of a test
    expires_at: datetime | None,
) -> None:
    """
    Every hand-out is that of a card which is found by its code and has what was asked for.

    Codes fit their format, PINs have their length and are not weak, and the history has one entry.
    """
    book = new_book(policy=LAX).acting_as("alice")
    extension = book.extension(EXTENSION)
    batch = extension.generate(
        count,
        code_format=code_format,
        pin_format=pin_format,
        credit=credit,
        order_number=order_number,
        labels=words,
        enabled=enabled,
        expires_at=expires_at,
    )
    cards = [extension.get(code=handout.code) for handout in batch]
    histories = [list(extension.history(card)) for card in cards]

    assert (EXTENSION, count, count, False) == (batch.extension, batch.size, len(batch), batch.replayed)
    assert re.fullmatch(f"[{UNAMBIGUOUS}]{{4}}", batch.id)
    assert [f"{batch.id}-{number:06d}" for number in range(1, count + 1)] == [handout.serial for handout in batch]
    assert [handout.serial for handout in batch] == [card.serial for card in cards]
    assert [handout.code for handout in batch] == [code_format.check(handout.code) for handout in batch]
    assert count == len({handout.code for handout in batch})
    assert {pin_format.length} == {len(handout.pin) for handout in batch}
    assert {None} == {weakness(handout.pin, handout.code) for handout in batch}
    assert {(EXTENSION, batch.id, "code", pin_format != NO_PIN, enabled, Credit(credit), Credit(credit))} == {
        (card.extension, card.batch, card.kind, card.has_pin, card.enabled, card.credit, card.total_credit)
        for card in cards
    }
    assert {(MORNING, None, expires_at, order_number, tuple(words), 0, Credit(0))} == {
        (c.created_at, c.first_used_at, c.expires_at, c.order_number, c.labels, c.recharge_count, c.held) for c in cards
    }
    assert {("initial", Credit(credit), Credit(credit), order_number, 1, "alice", MORNING)} == {
        (e.kind, e.amount, e.credit_left, e.order_number, e.sequence, e.actor, e.created_at) for [e] in histories
    }
    assert Quota(None, count * enabled) == book.quota
    assert sound(book) == ()


def test_hand_outs_are_a_sequence() -> None:
    """
    A batch has a length, places from either end, and slices.
    """
    batch = new_book().extension(EXTENSION).generate(5)
    numbers = [int(handout.serial[-6:]) for handout in batch]

    assert numbers == [1, 2, 3, 4, 5]
    assert [batch[0], batch[4]] == [batch[-5], batch[-1]]
    assert facts(batch)[1:4:2] == facts(batch[1:4:2])
    with pytest.raises(IndexError):
        batch[5]


def test_clear_text_does_not_leave_a_batch_by_accident() -> None:
    """
    A batch, its hand-outs and all they hold are masked when printed, and cannot be pickled or deeply copied.

    That holds for the first answer as for a replayed one.
    """
    extension = new_book().extension(EXTENSION)
    first = extension.generate(2, operation="once")
    again = extension.generate(2, operation="once")
    secrets = [secret for handout in first for secret in (handout.code, handout.pin)]

    for batch in (first, again):
        shown = repr(
            [
                batch,
                list(batch),
                batch.handouts,
                getattr(batch.handouts, "rows", None),
                vars(batch.handouts) if hasattr(batch.handouts, "__dict__") else None,
            ]
        )
        assert [secret for secret in secrets if f"'{secret}'" in shown] == []
        with pytest.raises(TypeError):
            pickle.dumps(batch)
        with pytest.raises(TypeError):
            copy.deepcopy(batch)


def test_more_than_six_digits_of_cards_get_longer_serials() -> None:
    """
    The numbers in the serials of a batch all have as many digits, so that they sort as they count.
    """
    from voipcard.sealing import Handouts, Rows

    rows = Rows(range(1_000_000), range(1_000_000), (), (), (), ())  # type: ignore[arg-type]
    handouts = Handouts(EXTENSION, "K7QX", rows)

    assert [handouts.serial(1), handouts.serial(1_000_000)] == ["K7QX-0000001", "K7QX-1000000"]


def test_progress_is_told_every_thousand_cards_and_at_the_end() -> None:
    """
    Whoever waits for many cards is told how far they are.
    """
    told: list[tuple[int, int | None]] = []
    extension = new_book().extension(EXTENSION)
    extension.generate(2500, progress=lambda done, total: told.append((done, total)))
    extension.add(["7700", "7701"], progress=lambda done, total: told.append((done, total)))

    assert told == [(1000, 2500), (2000, 2500), (2500, 2500), (2, 2)]


class StopItError(Exception):
    """
    What a progress function may raise to end the work.
    """


@pytest.mark.parametrize("count", [5, 2500])
def test_whoever_is_told_of_progress_can_stop_it_or_use_the_book(count: int, tmp_path: Path) -> None:
    """
    An error in the progress function comes through, nothing was written, and the book can be used, also from within.
    """
    with file_book(tmp_path / "cards.db") as book:
        extension = book.extension(EXTENSION)
        seen: list[tuple[int, int]] = []

        def stop(done: int, _: int | None) -> None:
            raise StopItError(done)

        with pytest.raises(StopItError):
            extension.generate(count, progress=stop)
        extension.generate(
            count, progress=lambda done, _: seen.append((done, book.extension(OTHER).add(f"7{done}").size))
        )

        assert seen[-1] == (count, 1)
        assert extension.count() == count
        assert book.extension(OTHER).count() == len(seen)
        assert sound(book) == ()


@pytest.mark.parametrize("count", [1, 5, 12])
def test_codes_that_are_taken_are_drawn_again(count: int) -> None:
    """
    Where most codes of a format are in use, generating gives exactly others, and all of them in the end.
    """
    book = new_book(policy=LAX)
    extension = book.extension(EXTENSION)
    before = extension.generate(4, code_format=SMALL, pin_format=NO_PIN)
    sizes = [count] * (12 // count)
    batches = [extension.generate(size, code_format=SMALL, pin_format=NO_PIN) for size in sizes]
    codes = [handout.code for batch in [before, *batches] for handout in batch]

    assert 4 + sum(sizes) == len(set(codes))
    assert sound(book) == ()


def test_the_same_randomness_twice_gives_other_codes_and_serials() -> None:
    """
    Where chance repeats itself, codes and batch ids that are taken are replaced: no code and no serial is given twice.
    """
    store = MemoryStore()
    batches = [
        book_on(store.another(), source=seeded("the same")).extension(EXTENSION).generate(3, credit=number)
        for number in range(3)
    ]
    handouts = [handout for batch in batches for handout in batch]

    assert 9 == len({handout.code for handout in handouts}) == len({handout.serial for handout in handouts})
    assert sound(book_on(store)) == ()


def test_only_the_codes_that_are_taken_are_replaced() -> None:
    """
    What can stay of a first draw stays, and the batch id keeps its four characters: only codes were in the way.
    """
    [*kept, taken] = draw_codes(CodeFormat(), 3, seeded("taken"))
    store = MemoryStore()
    book_on(store.another()).extension(EXTENSION).add(taken)
    batch = book_on(store, source=seeded("taken")).extension(EXTENSION).generate(3)

    assert kept == [handout.code for handout in batch][:2]
    assert taken != batch[2].code
    assert len(batch.id) == 4


def test_a_batch_id_that_is_taken_becomes_longer() -> None:
    """
    Serials stay unique where the same batch id is drawn again.
    """
    codes = seeded("codes")
    book = new_book(source=lambda count: bytes(count) if count in {2, 4, 5} else codes(count))
    extension = book.extension(EXTENSION)
    ids = [extension.generate(3, pin_format=NO_PIN).id for _ in range(2)]

    assert ids == ["A222", "A2222"]
    assert sound(book) == ()


def test_the_order_of_a_replay_does_not_hang_on_the_clock() -> None:
    """
    Cards are given out again in the order of their serials, also if the clock was set back while they were made.
    """
    moments = iter(range(10_000, 0, -1))
    book = new_book(clock=lambda: MORNING + timedelta(seconds=next(moments)))
    extension = book.extension(EXTENSION)
    batch = extension.generate(5, operation="once")

    assert facts(batch) == facts(extension.generate(5, operation="once"))


# The quota


@given(st.integers(0, 6), st.lists(st.tuples(st.integers(1, 4), st.booleans(), st.booleans()), max_size=6))
def test_only_enabled_cards_count_and_a_request_fits_whole_or_not_at_all(
    limit: int, requests: list[tuple[int, bool, bool]]
) -> None:
    """
    Generating and adding are refused exactly if the enabled cards of all extensions together would exceed the license.
    """
    book = new_book(license=License(limit))
    active = made = 0
    for number, (count, enabled, drawn) in enumerate(requests):
        extension = book.extension(f"{number % 2}")
        if drawn:
            answer: Any = outcome(lambda c=count, x=extension, e=enabled: x.generate(c, enabled=e))  # type: ignore[misc]
        else:
            codes = [f"{number}7{place}" for place in range(count)]
            answer = outcome(lambda c=codes, x=extension, e=enabled: x.add(c, enabled=e))  # type: ignore[misc]
        if enabled and active + count > limit:
            assert (QuotaExceededError, limit, active, count) == answer
        else:
            active += count * enabled
            made += count
        assert Quota(limit, active) == book.quota == extension.quota

    assert made == sum(extension.count() for extension in book.extensions())
    assert sound(book) == ()


def test_disabled_cards_can_be_made_above_the_license() -> None:
    """
    Where the license shrank below what is active, cards that do not count can be made, dry and in earnest.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    extension.generate(3)
    book.install_license(License(1))
    made = [extension.generate(2, enabled=False, dry_run=dry).size for dry in (True, False)]
    added = [extension.add("7700", enabled=False, dry_run=dry).size for dry in (True, False)]

    assert (made, added) == ([2, 2], [1, 1])
    assert book.quota == Quota(1, 3)
    assert outcome(lambda: extension.generate(1)) == (QuotaExceededError, 1, 3, 1)


def test_what_does_not_fit_is_refused_before_anything_is_drawn() -> None:
    """
    A request over the license costs neither randomness nor sealing, however many codes it is for.
    """
    drawn: list[int] = []
    told: list[int] = []
    chance = seeded("refused")

    def source(count: int) -> bytes:
        drawn.append(count)
        return chance(count)

    extension = new_book(source=source, license=License(5)).extension(EXTENSION)
    refused = outcome(lambda: extension.generate(50_000, progress=lambda done, _: told.append(done)))
    dry = extension.generate(5, dry_run=True)

    assert refused == (QuotaExceededError, 5, 0, 50_000)
    assert (drawn, told, dry.size) == ([], [], 5)


def test_a_license_that_shrinks_while_codes_are_made_is_kept() -> None:
    """
    The license that counts is the one at the moment of the commit.
    """
    store = Meddled()
    book = book_on(store)
    store.meddle = lambda: book_on(store.another(), license=License(2))
    extension = book.extension(EXTENSION)

    with pytest.raises(QuotaExceededError) as caught:
        extension.generate(3)
    assert (caught.value.limit, caught.value.active, caught.value.requested) == (2, 0, 3)


def test_slots_that_others_take_meanwhile_are_gone() -> None:
    """
    The count of active codes that counts is the one at the moment of the commit.
    """
    store = Meddled()
    book = book_on(store, license=License(4))
    book.extension(EXTENSION).generate(1)
    store.meddle = lambda: book_on(store.another()).extension(OTHER).generate(2)

    with pytest.raises(QuotaExceededError) as caught:
        book.extension(EXTENSION).generate(3)
    assert (caught.value.limit, caught.value.active, caught.value.requested) == (4, 3, 3)
    assert Quota(4, 3) == book.quota


# Crowded and guessable formats


@settings(max_examples=60)
@given(st.integers(1, 400), st.sampled_from([0.01, 0.2, 1.0]), st.integers(0, 30))
@example(2001, 0.2, 0)
def test_the_length_that_a_crowded_format_is_refused_with_would_do(count: int, fill: float, before: int) -> None:
    """
    `CrowdedError` tells how many codes there would be, how many are allowed, and the shortest length that is enough.
    """
    policy = Policy(odds_limit=1.0, fill_limit=fill)
    extension = new_book(policy=policy).extension(EXTENSION)
    if before:
        extension.add([f"{number:010}" for number in range(before)])
    code_format = CodeFormat(4, "0123", check_digit="none")
    answer: Any = outcome(lambda: extension.generate(count, code_format=code_format))
    allowed = int(256 * fill)
    if count + before <= allowed:
        assert count == answer.size
        return
    kind, wanted, limit, length = answer

    assert (CrowdedError, count + before, allowed) == (kind, wanted, limit)
    with pytest.raises(CrowdedError):
        extension.generate(count, code_format=CodeFormat(length - 1, "0123", check_digit="none"))
    assert before == extension.count()
    longer = CodeFormat(length, "0123", check_digit="none")
    assert count == extension.generate(count, code_format=longer).size


@settings(max_examples=30)
@given(st.integers(1, 60), st.integers(4, 12), st.sampled_from([0, 4, 6]), st.sampled_from([1e-6, 1e-3, 0.1]))
def test_the_length_that_a_guessable_format_is_refused_with_would_do(
    count: int, length: int, pin_length: int, limit: float
) -> None:
    """
    `GuessableError` tells the shortest length with which the same request is accepted, and it is.
    """
    extension = new_book(policy=Policy(odds_limit=limit, fill_limit=1.0)).extension(EXTENSION)
    pin_format = PinFormat(pin_length)
    answer: Any = outcome(lambda: extension.generate(count, code_format=CodeFormat(length), pin_format=pin_format))
    if not isinstance(answer, tuple):
        assert count == answer.size
        return
    kind, odds, accepted, longer = answer

    assert (GuessableError, limit) == (kind, accepted)
    assert odds > limit
    with pytest.raises(GuessableError):
        extension.generate(count, code_format=CodeFormat(longer - 1), pin_format=pin_format)
    assert extension.count() == 0
    assert count == extension.generate(count, code_format=CodeFormat(longer), pin_format=pin_format).size


def test_the_codes_that_are_there_count_in_their_own_extension_only() -> None:
    """
    What fills a format, or can be guessed, are the cards of the same extension: all of them, and the enabled ones.
    """
    policy = Policy(odds_limit=1.0)
    book = new_book(policy=policy)
    crowded = CodeFormat(4, check_digit="none")
    refuse_crowded(crowded, 2000, policy=policy)
    book.extension(EXTENSION).generate(1500, code_format=crowded, enabled=False)
    refused = outcome(lambda: book.extension(EXTENSION).generate(501, code_format=crowded))

    assert (CrowdedError, 2001, 2000, 5) == refused
    assert book.extension(OTHER).generate(501, code_format=crowded).size == 501
    assert book.extension(EXTENSION).generate(500, code_format=crowded).size == 500


def test_enabled_codes_make_guessing_easier() -> None:
    """
    The odds are those of all codes of the extension that could be found then.
    """
    policy = Policy(odds_limit=0.01)
    refuse_guessable(CodeFormat(), 100, pin_length=0, policy=Policy(odds_limit=0.01))
    extension = new_book(policy=policy).extension(EXTENSION)
    extension.generate(270, pin_format=NO_PIN)

    with pytest.raises(GuessableError):
        extension.generate(10, pin_format=NO_PIN)
    assert extension.generate(4, pin_format=NO_PIN).size == 4


def test_other_odds_can_be_accepted_for_one_call() -> None:
    """
    `odds_limit` takes the place of the policy's, in both directions, for this call only.
    """
    extension = new_book().extension(EXTENSION)
    code_format = CodeFormat(7)

    with pytest.raises(GuessableError):
        extension.generate(10, code_format=code_format)
    assert extension.generate(10, code_format=code_format, odds_limit=1).size == 10
    with pytest.raises(GuessableError):
        extension.generate(10, odds_limit=1e-12)
    with pytest.raises(InvalidValueError):
        extension.generate(10, odds_limit=1.5)
    with pytest.raises(GuessableError):
        extension.generate(10, code_format=code_format)


# Adding


@settings(max_examples=50)
@given(st.lists(own_cards, min_size=1, max_size=8, unique_by=lambda card: (card.kind, card.code)))
def test_added_cards_are_stored_as_they_were_given(cards: list[NewCard]) -> None:
    """
    Codes, CallerIDs, PINs, credit and order numbers come back in the order given, and each card is found by its code.
    """
    book = new_book(policy=LAX)
    extension = book.extension(EXTENSION)
    batch = extension.add(cards)
    found = [extension.get(**{"code" if card.kind == "code" else "caller_id": card.code}) for card in cards]

    assert [(card.kind, card.code, card.pin, card.credit, card.order_number) for card in cards] == [
        (h.kind, h.code, h.pin, h.credit, h.order_number) for h in batch
    ]
    assert [handout.serial for handout in batch] == [card.serial for card in found]
    assert [(card.kind, bool(card.pin), card.credit, card.credit, card.order_number) for card in cards] == [
        (card.kind, card.has_pin, card.credit, card.total_credit, card.order_number) for card in found
    ]
    assert {()} == {card.labels for card in found}
    assert sound(book) == ()


@given(st.text("70+-. ", max_size=6).filter(lambda text: set(text) & {"7", "0"}))
@example("-+70")
@example(" + 70")
def test_a_card_is_found_by_what_it_was_added_as(text: str) -> None:
    """
    However a code or CallerID is typed, the same text finds the card again, and so does what was handed out.
    """
    extension = new_book(policy=LAX).extension(EXTENSION)
    added: Any = outcome(lambda: extension.add(text))
    if isinstance(added, tuple):
        assert InvalidCodeError is added[0]
        return
    [handout] = added
    by_handout = extension.find(**{"code" if handout.kind == "code" else "caller_id": handout.code})

    assert handout.serial == extension.get(code=text).serial
    assert by_handout is not None
    assert handout.serial == by_handout.serial


def test_what_is_said_once_holds_for_all_plain_codes() -> None:
    """
    PIN, credit, order number and CallerID of the call are those of plain texts; a `NewCard` has its own.
    """
    extension = new_book().extension(EXTENSION)
    given: list[str | NewCard] = ["77 00", "+40 722", NewCard("7701", "8068", Credit("1.50"), "PO-2")]
    batch = extension.add(
        given, pin="0482", credit=5, order_number="PO-1", labels=["vip"], expires_at=MORNING, enabled=False
    )
    [other] = extension.add("40723", caller_id=True)
    cards = [extension[handout.serial] for handout in batch]

    assert [
        ("code", "7700", "0482", Credit(5), "PO-1"),
        ("caller_id", "40722", "0482", Credit(5), "PO-1"),
        ("code", "7701", "8068", Credit("1.50"), "PO-2"),
    ] == [(h.kind, h.code, h.pin, h.credit, h.order_number) for h in batch]
    assert {(("vip",), MORNING, False)} == {(card.labels, card.expires_at, card.enabled) for card in cards}
    assert (other.kind, other.code) == ("caller_id", "40723")


def test_one_text_is_one_label() -> None:
    """
    A text is not taken for its characters.
    """
    extension = new_book().extension(EXTENSION)
    answer: Any = outcome(lambda: extension[extension.generate(1, labels="vip")[0].serial].labels)

    assert answer == ("vip",) or answer[0] is InvalidValueError


@given(
    st.lists(st.tuples(st.sampled_from("ABC"), st.booleans()), max_size=3, unique=True),
    st.lists(st.tuples(st.sampled_from("ABC"), st.booleans()), min_size=1, max_size=6),
)
def test_codes_that_are_not_new_are_named_by_their_rows(
    before: list[tuple[str, bool]], asked: list[tuple[str, bool]]
) -> None:
    """
    Codes that come twice are refused with all their rows, else those that the extension has; nothing is written.

    A dialed code and a CallerID of the same digits are different cards.
    """
    numbers = {"A": "7700", "B": "7701", "C": "7702"}
    store = Recording()
    extension = book_on(store).extension(EXTENSION)
    if before:
        extension.add([NewCard(numbers[name], caller_id=caller) for name, caller in before])
    counts = Counter(asked)
    twice = tuple(row for row, card in enumerate(asked, 1) if counts[card] > 1)
    known = tuple(row for row, card in enumerate(asked, 1) if card in before)
    commits = len(store.commits)
    answer = outcome(lambda: extension.add([NewCard(numbers[name], caller_id=caller) for name, caller in asked]))
    if twice or known:
        assert (CardExistsError, twice or known) == answer
        assert commits == len(store.commits)
    else:
        assert len(before) + len(asked) == extension.count()


def test_the_same_code_can_be_in_two_extensions() -> None:
    """
    Codes are unique in their extension and kind; another extension may have the same one.
    """
    book = new_book()
    cards = [book.extension(number).add(code)[0].serial for number in (EXTENSION, OTHER) for code in ("7700", "+7700")]
    found = [
        card.serial
        for number in (EXTENSION, OTHER)
        for card in (book.extension(number).get(code="7700"), book.extension(number).get(caller_id="7700"))
    ]

    assert cards == found
    assert len(set(found)) == 4
    assert sound(book) == ()


def test_a_code_that_somebody_else_adds_meanwhile_is_refused() -> None:
    """
    Codes are unique at the moment of the commit.
    """
    store = Meddled()
    extension = book_on(store).extension(EXTENSION)
    extension.add("7699")
    store.meddle = lambda: book_on(store.another()).extension(EXTENSION).add("7701")

    with pytest.raises(CardExistsError) as caught:
        extension.add(["7700", "7701"])
    assert caught.value.rows == (2,)
    assert extension.count() == 2


def test_an_extension_that_somebody_else_begins_meanwhile_is_the_same() -> None:
    """
    Two who make the first cards of an extension at once make them in one extension.
    """
    store = Meddled()
    book = book_on(store)
    store.meddle = lambda: book_on(store.another()).extension(EXTENSION).add("7700")
    book.extension(EXTENSION).add("7701")

    assert [code for code in ("7700", "7701") if book.extension(EXTENSION).find(code=code) is not None] == [
        "7700",
        "7701",
    ]
    assert (CardExistsError, (1,)) == outcome(lambda: book.extension(EXTENSION).add("7700"))
    assert sound(book) == ()


@pytest.mark.parametrize("allowed", [True, False])
def test_weak_pins_are_a_matter_of_policy(allowed: bool) -> None:  # noqa: FBT001 - a parameter of a test
    """
    A weak PIN is refused with its row, or alone without one, unless the policy allows it; a part of the code always is.
    """
    extension = new_book(policy=Policy(allow_weak_pins=allowed)).extension(EXTENSION)
    one = outcome(lambda: extension.add("770099", pin="1234"))
    many = outcome(lambda: extension.add([NewCard("7711", "8068"), NewCard("880855", "8808")]))
    expected = [None if allowed else (WeakPinError, "pin", "sequence", 0), (WeakPinError, "pin", "part_of_code", 2)]

    assert expected == [answer if isinstance(answer, tuple) else None for answer in (one, many)]
    assert allowed == extension.count()


def test_own_codes_have_to_fit_a_format_where_one_is_given() -> None:
    """
    A dialed code that does not fit is refused with its row; CallerIDs have no format.
    """
    extension = new_book().extension(EXTENSION)
    code_format = CodeFormat(4, prefix="77", check_digit="none")
    answer = outcome(lambda: extension.add(["771234", "+40722", "781234"], code_format=code_format))
    alone = outcome(lambda: extension.add("7712", code_format=code_format))

    assert (InvalidCodeError, "code", "wrong_prefix", 3) == answer
    assert (InvalidCodeError, "code", "wrong_length", 0) == alone
    assert extension.add(["77 1234", "+40722"], code_format=code_format).size == 2


@pytest.mark.parametrize(
    "codes, row", [(["7700", "bé"], 2), (["", "7700"], 1), (["7700", "+40x"], 2), (["bé"], 0), ("bé", 0)]
)
def test_a_text_that_cannot_be_a_code_is_named_by_its_row(codes: Any, row: int) -> None:  # noqa: ANN401 - one or many
    """
    Of many texts, the one that is no code is told; a single one needs no number.
    """
    with pytest.raises(InvalidCodeError) as caught:
        new_book().extension(EXTENSION).add(codes)
    assert row == caught.value.row


# Refusals


REFUSED: Final[dict[str, tuple[Verb, type[VoipcardError]]]] = {
    "no cards": (lambda x: x.generate(0), InvalidValueError),
    "a bool of cards": (lambda x: x.generate(True), InvalidValueError),  # noqa: FBT003 - what is refused
    "a text of cards": (lambda x: x.generate("3"), InvalidValueError),  # type: ignore[arg-type]
    "negative credit": (lambda x: x.generate(1, credit=-1), AmountError),
    "inexact credit": (lambda x: x.generate(1, credit=0.1), VoipcardError),  # type: ignore[arg-type]
    "precise credit": (lambda x: x.generate(1, credit="0.0000001"), AmountError),
    "long order number": (lambda x: x.generate(1, order_number="x" * 256), InvalidValueError),
    "control characters": (lambda x: x.generate(1, order_number="PO\n1"), InvalidValueError),
    "too many labels": (lambda x: x.generate(1, labels=["vip"] * 1000), InvalidValueError),
    "no bool": (lambda x: x.generate(1, enabled="yes"), InvalidValueError),  # type: ignore[arg-type]
    "empty label": (lambda x: x.generate(1, labels=["vip", ""]), InvalidValueError),
    "naive expiry": (lambda x: x.generate(1, expires_at=datetime(2030, 1, 1)), InvalidValueError),  # noqa: DTZ001
    "over quota": (lambda x: x.generate(10), QuotaExceededError),
    "far over quota": (lambda x: x.generate(4000), QuotaExceededError),
    "crowded": (lambda x: x.generate(5, code_format=SMALL, odds_limit=1), CrowdedError),
    "guessable": (lambda x: x.generate(5, code_format=CodeFormat(6)), GuessableError),
    "nothing to add": (lambda x: x.add([]), InvalidValueError),
    "no code": (lambda x: x.add("-. "), InvalidCodeError),
    "no CallerID": (lambda x: x.add("+40a"), InvalidCodeError),
    "no PIN": (lambda x: x.add("7701", pin="12"), InvalidPinError),
    "weak PIN": (lambda x: x.add("7701", pin="1111"), WeakPinError),
    "known code": (lambda x: x.add(["7702", "7700"]), CardExistsError),
    "code twice": (lambda x: x.add(["7702", "77 02"]), CardExistsError),
    "added over quota": (lambda x: x.add([f"78{number}" for number in range(10, 20)]), QuotaExceededError),
    "operation of another verb": (lambda x: x.generate(1, operation="added"), OperationConflictError),
    "operation of other content": (lambda x: x.add("7703", operation="added"), OperationConflictError),
    "operation without a name": (lambda x: x.add("7703", operation=""), InvalidValueError),
    "operation of many characters": (lambda x: x.add("7703", operation="x" * 256), InvalidValueError),
    "operation of two lines": (lambda x: x.add("7703", operation="a\n1"), InvalidValueError),
    "operation of no text": (lambda x: x.add("7703", operation="\ud800"), InvalidValueError),
}


def test_a_refusal_writes_nothing(tmp_path: Path) -> None:
    """
    After any refusal the database and its journal are the same, byte by byte.
    """
    path = tmp_path / "cards.db"
    with file_book(path, license=License(8)) as book:
        extension = book.extension(EXTENSION)
        extension.add("7700", operation="added")
        before = on_disk(path)
        answers: dict[str, Any] = {name: outcome(lambda v=verb: v(extension)) for name, (verb, _) in REFUSED.items()}  # type: ignore[misc]

        assert dict.fromkeys(REFUSED, True) == {
            name: isinstance(answer, tuple) and issubclass(answer[0], REFUSED[name][1])
            for name, answer in answers.items()
        }
        assert before == on_disk(path)
        assert sound(book) == ()


# Dry runs


@settings(max_examples=60)
@given(
    st.integers(0, 5),
    st.integers(1, 20),
    st.booleans(),
    st.sampled_from([SMALL, CodeFormat(), CodeFormat(7)]),
)
def test_a_dry_run_answers_as_the_real_one(
    limit: int,
    count: int,
    enabled: bool,  # noqa: FBT001 - a parameter of a test
    code_format: CodeFormat,
) -> None:
    """
    Generating dry gives the answer or the refusal of the real run, and commits nothing.
    """
    store = Recording()
    extension = book_on(store, license=License(limit * 3)).extension(EXTENSION)
    commits = len(store.commits)
    dry, wet = (
        outcome(lambda d=dry: extension.generate(count, enabled=enabled, code_format=code_format, dry_run=d))  # type: ignore[misc]
        for dry in (True, False)
    )

    assert wet == dry
    assert commits + (not isinstance(wet, tuple)) == len(store.commits)


@given(st.lists(st.sampled_from(["7700", "+7700", "7701", "77 01", "7702"]), max_size=4), st.integers(0, 3))
def test_adding_dry_answers_as_adding(codes: list[str], limit: int) -> None:
    """
    Adding dry gives the answer or the refusal of the real run, and commits nothing.
    """
    store = Recording()
    extension = book_on(store, license=License(limit)).extension(EXTENSION)
    outcome(lambda: extension.add("7702"))
    commits = len(store.commits)
    dry, wet = (outcome(lambda d=dry: extension.add(codes, dry_run=d)) for dry in (True, False))  # type: ignore[misc]

    assert wet == dry
    assert commits + (not isinstance(wet, tuple)) == len(store.commits)


def test_a_dry_run_leaves_every_byte_and_gives_out_nothing(tmp_path: Path) -> None:
    """
    Files stay as they are, and no codes are drawn.

    An operation is neither used up nor answered with what it gave out before.
    """
    path = tmp_path / "cards.db"
    with file_book(path) as book:
        extension = book.extension(EXTENSION)
        extension.generate(2, operation="done")
        before = on_disk(path)
        dry = [
            extension.generate(3, dry_run=True),
            extension.generate(3, operation="new", dry_run=True),
            extension.add(["7700", "7701"], operation="new", dry_run=True),
            extension.generate(2, operation="done", dry_run=True),
        ]
        wet = extension.generate(2, operation="done")

        assert [(batch.id, batch.size, list(batch)) for batch in dry[:3]] == [("", 3, []), ("", 3, []), ("", 2, [])]
        assert (dry[3].size, list(dry[3])) == (2, [])
        assert wet == dry[3]
        assert before != on_disk(path)
        assert sorted(verbs_of(book)) == ["generate", "replay"]
        with pytest.raises(OperationConflictError):
            extension.generate(3, operation="done", dry_run=True)


def test_a_dry_run_leaves_every_byte(tmp_path: Path) -> None:
    """
    The same, seen from outside: no dry run touches the files.
    """
    path = tmp_path / "cards.db"
    with file_book(path) as book:
        extension = book.extension(EXTENSION)
        extension.generate(2, operation="done")
        before = on_disk(path)
        extension.generate(3, operation="new", dry_run=True)
        extension.generate(2, operation="done", dry_run=True)
        extension.add("7700", dry_run=True)
        book.extension(OTHER).generate(3000, dry_run=True)

        assert before == on_disk(path)


# Exactly once


def test_an_operation_gives_the_same_codes_out_again(tmp_path: Path) -> None:
    """
    Asked again from another handle with other chance, the operation answers with its first codes, and says so.

    It leaves a `replay` in the audit trail, and the book does not change otherwise.
    """
    path = tmp_path / "cards.db"
    with file_book(path) as book:
        extension = book.extension(EXTENSION)
        made = extension.generate(3, credit=5, order_number="PO-1", operation="generate")
        added = extension.add([NewCard("7700", "0482", 7), NewCard("+40722")], operation="add")
        extension.recharge(made[0].serial, 1)
        before = everything(book)
    with file_book(path).acting_as("bob") as book:
        extension = book.extension(EXTENSION)
        made_again = extension.generate(3, credit="5.00", order_number="PO-1", operation="generate")
        added_again = extension.add([NewCard("77-00", "04 82", "7"), NewCard("+40722")], operation="add")
        trail = list(book.audit_trail())

        assert facts(made) == facts(made_again)
        assert facts(added) == facts(added_again)
        assert [(first.replayed, second.replayed) for first, second in ((made, added), (made_again, added_again))] == [
            (False, False),
            (True, True),
        ]
        assert before == everything(book)
        assert [("replay", "bob", made.id), ("replay", "bob", added.id)] == sorted(
            ((e.verb, e.actor, e.detail["batch"]) for e in trail if e.verb == "replay"),
            key=lambda row: [made.id, added.id].index(row[2]),
        )
        assert sound(book) == ()


def test_cards_that_are_gone_are_not_given_out_again() -> None:
    """
    A replay gives the cards that are still there, with the codes they have now.
    """
    extension = new_book().extension(EXTENSION)
    first = extension.add(["7700", "7701", "7702"], operation="add")
    extension.remove(first[0].serial)
    extension.edit(first[1].serial, code="7799")
    again = extension.add(["7700", "7701", "7702"], operation="add")

    assert (again.size, [handout.code for handout in again]) == (3, ["7799", "7702"])


GENERATED: Final[list[dict[str, Any]]] = [
    {"count": 3},
    {"credit": 6},
    {"credit": UNLIMITED},
    {"order_number": "PO-2"},
    {"labels": ["vip"]},
    {"expires_at": MORNING},
    {"enabled": False},
    {"code_format": CodeFormat(13)},
    {"pin_format": NO_PIN},
]


@pytest.mark.parametrize("change", GENERATED, ids=lambda change: next(iter(change)))
def test_an_operation_with_other_content_is_a_conflict(change: dict[str, Any]) -> None:
    """
    The same name for a request that differs in anything is refused, and nothing is written.
    """
    store = Recording()
    book = book_on(store)
    content: dict[str, Any] = {"count": 2, "credit": 5, "order_number": "PO-1"}
    book.extension(EXTENSION).generate(**content, operation="once")
    commits = len(store.commits)

    assert (OperationConflictError, "generate", "") == outcome(
        lambda: book.extension(EXTENSION).generate(**{**content, **change}, operation="once")
    )
    assert (OperationConflictError, "generate", "") == outcome(
        lambda: book.extension(OTHER).generate(**content, operation="once")
    )
    assert commits == len(store.commits)


# The audit trail


def test_making_cards_is_audited_once_and_without_secrets() -> None:
    """
    Each call that makes cards leaves one entry, which tells who made how many for which order, and no code or PIN.
    """
    book = new_book(clock=Clock()).acting_as("alice")
    extension = book.extension(EXTENSION)
    made = extension.generate(2, order_number="PO-1")
    added = extension.add([NewCard("7700", "0482", order_number="PO-2"), NewCard("+40722123", order_number="PO-3")])
    entries = sorted(book.audit_trail(), key=lambda entry: entry.verb, reverse=True)

    assert [
        (
            "generate",
            "alice",
            EXTENSION,
            {"batch": made.id, "count": 2, "active": 2, "credit": "0.00", "order_number": "PO-1"},
        ),
        ("add", "alice", EXTENSION, {"batch": added.id, "count": 2, "active": 2, "credit": "0.00", "order_number": ""}),
    ] == [(e.verb, e.actor, e.extension, dict(e.detail)) for e in entries]
    assert {MORNING} == {entry.created_at for entry in entries}


# A store that always refuses


class Stubborn(MemoryStore):
    """
    A store in which somebody else is always faster.
    """

    def commit(self, changes: Any) -> None:  # noqa: ANN401 - whatever it is
        """
        Refuse cards, each time as if everything had changed.
        """
        if any(True for _ in changes.new):
            raise StaleError
        super().commit(changes)


def test_trying_again_has_an_end() -> None:
    """
    Where a commit never gets through, its refusal is raised in the end.
    """
    extension = book_on(Stubborn()).extension(EXTENSION)

    with pytest.raises(StoreError, match="something changed since it was read"):
        extension.add("7700")
