"""
Letting callers in: who is not let in learns nothing from the answer, and guesses no more often than the limits say.
"""

from __future__ import annotations

import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, Final

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import voipcard
from tests.book_world import (
    EXTENSION,
    MORNING,
    OTHER,
    PROMPT,
    BareKey,
    Clock,
    Meddled,
    book_on,
    engine_of,
    file_book,
    in_threads,
    new_book,
    outcome,
    sound,
)
from voipcard import UNLIMITED, CardBook, Credit, Extension, Handout, NewCard
from voipcard.core.throttle import micros
from voipcard.errors import (
    AccessDeniedError,
    InvalidCodeError,
    InvalidPinError,
    InvalidValueError,
    JoinedStoreError,
    UnknownCardError,
    VoipcardError,
)
from voipcard.stores import Changes, MemoryStore, SQLiteStore, Store

SOURCE: Final = Path(voipcard.__file__).parent
NUMBER: Final = "40722123456"
WRONG: Final = "0007"
"""A PIN that is never drawn: it is nearly the same digit again and again."""

DENIED: Final = (AccessDeniedError,)


def card_of(extension: Extension, **terms: Any) -> Handout:  # noqa: ANN401 - those of `generate`
    """
    Make a card with a code and a PIN.
    """
    [handout] = extension.generate(1, **{"credit": "10.00", **terms})

    return handout


def reasons_of(book: CardBook) -> list[str]:
    """
    Tell why callers were not let in, oldest first; nothing for those who were.
    """
    return [entry.detail["reason"] for entry in book.audit_trail() if entry.verb == "authenticate"]


# What denials have in common


def unknown(extension: Extension) -> Any:  # noqa: ANN401
    """
    Try a code that no card has.
    """
    return outcome(lambda: extension.authenticate("7700183422157", pin="4827"))


def malformed(extension: Extension) -> Any:  # noqa: ANN401
    """
    Try what cannot be a code.
    """
    return outcome(lambda: extension.authenticate("", pin="4827"))


def a_caller_id(extension: Extension) -> Any:  # noqa: ANN401
    """
    Dial the number of a CallerID card.
    """
    extension.add(f"+{NUMBER}", operation="once")

    return outcome(lambda: extension.authenticate(f"+{NUMBER}", pin="4827"))


def wrong_pin(extension: Extension) -> Any:  # noqa: ANN401
    """
    Try a wrong PIN.
    """
    return outcome(lambda: extension.authenticate(card_of(extension).code, pin=WRONG))


def no_pin(extension: Extension) -> Any:  # noqa: ANN401
    """
    Dial nothing where a PIN is asked for.
    """
    return outcome(lambda: extension.authenticate(card_of(extension).code))


def strange_pin(extension: Extension) -> Any:  # noqa: ANN401
    """
    Dial as PIN what cannot be one.
    """
    return outcome(lambda: extension.authenticate(card_of(extension).code, pin="*#" * 100_000))


def disabled(extension: Extension) -> Any:  # noqa: ANN401
    """
    Use a card that is disabled.
    """
    handout = card_of(extension, enabled=False)

    return outcome(lambda: extension.authenticate(handout.code, pin=handout.pin))


def expired(extension: Extension) -> Any:  # noqa: ANN401
    """
    Use a card that has just expired.
    """
    handout = card_of(extension, expires_at=MORNING)

    return outcome(lambda: extension.authenticate(handout.code, pin=handout.pin))


def locked(extension: Extension) -> Any:  # noqa: ANN401
    """
    Use the right PIN after three wrong ones.
    """
    handout = card_of(extension)
    for _ in range(3):
        outcome(lambda: extension.authenticate(handout.code, pin=WRONG))

    return outcome(lambda: extension.authenticate(handout.code, pin=handout.pin))


def in_a_disabled_batch(extension: Extension) -> Any:  # noqa: ANN401
    """
    Use a card of a batch that is disabled.
    """
    handout = card_of(extension)
    extension.disable_batch(extension[handout.serial].batch)

    return outcome(lambda: extension.authenticate(handout.code, pin=handout.pin))


def in_a_disabled_extension(extension: Extension) -> Any:  # noqa: ANN401
    """
    Use a card of an extension that is disabled.
    """
    handout = card_of(extension)
    CardBook(engine_of(extension)).disable_extension(extension.number)

    return outcome(lambda: extension.authenticate(handout.code, pin=handout.pin))


def without_a_required_pin(extension: Extension) -> Any:  # noqa: ANN401
    """
    Use a card without a PIN where the extension requires one.
    """
    handout = card_of(extension, pin_format=voipcard.NO_PIN)
    extension.configure(pin_required=True)

    return outcome(lambda: extension.authenticate(handout.code))


def of_another_extension(extension: Extension) -> Any:  # noqa: ANN401
    """
    Dial a code of another extension.
    """
    handout = card_of(CardBook(engine_of(extension)).extension(OTHER))

    return outcome(lambda: extension.authenticate(handout.code, pin=handout.pin))


PATHS: Final[dict[Callable[[Extension], Any], str]] = {
    unknown: "unknown",
    malformed: "unknown",
    a_caller_id: "unknown",
    of_another_extension: "unknown",
    wrong_pin: "wrong_pin",
    no_pin: "wrong_pin",
    strange_pin: "wrong_pin",
    disabled: "disabled",
    expired: "expired",
    locked: "locked",
    in_a_disabled_batch: "batch_disabled",
    in_a_disabled_extension: "extension_disabled",
    without_a_required_pin: "no_pin",
}
"""Ways not to be let in, each with the true reason."""


@pytest.mark.parametrize("path, reason", PATHS.items())
def test_denials_say_the_same(path: Callable[[Extension], Any], reason: str) -> None:
    """
    Whoever is not let in is told the same; the true reason is in the audit trail.
    """
    book = new_book()

    assert path(book.extension(EXTENSION)) == DENIED
    assert reasons_of(book)[-1] == reason
    assert sound(book) == ()


_LITERAL: Final = re.compile(r"x?'[^']*'|\b[0-9]+\b|\bNULL\b", re.IGNORECASE)
_WRITTEN: Final = re.compile("(INSERT INTO|UPDATE) documents .*")
"""A document is written. Whether it is the first time tells how often the card was tried, not whether it is one."""


class Work(Counter[str]):
    """
    How often what was done.
    """

    @contextmanager
    def watching(self, told: Callable[[Callable[[str], None] | None], None]) -> Iterator[None]:
        """
        Count the MACs, seals and comparisons of a block, and the statements that *told* hears of.
        """

        def called(_: FrameType, event: str, function: Any) -> None:  # noqa: ANN401
            if event == "c_call" and function.__name__ in {"finalize", "encrypt", "decrypt", "compare_digest"}:
                self[function.__name__] += 1

        told(lambda statement: self.update([_WRITTEN.sub("write a document", _LITERAL.sub("?", statement))]))
        sys.setprofile(called)
        try:
            yield
        finally:
            sys.setprofile(None)
            told(None)


def work_of(path: Path, call: Callable[[Extension], Any]) -> Work:
    """
    Tell what the last attempt of a path does: every statement, MAC, seal and comparison.
    """
    work = Work()
    with closing(SQLiteStore(path)) as store:
        book = book_on(store)
        extension = book.extension(EXTENSION)
        # All that is made once is there, and there is another card to be next to.
        card_of(extension)
        traces = {"source": "a phone", "ingress": "a trunk", "call_id": "a call"}
        outcome(lambda: extension.authenticate("7700183422158", **traces))
        authenticate = Extension.authenticate

        def watched(self: Extension, code: str, **rest: Any) -> Any:  # noqa: ANN401
            work.clear()
            writer = store._file._writer  # noqa: SLF001 - to see what SQLite is told
            assert writer is not None
            with work.watching(writer.set_trace_callback):
                return authenticate(self, code, **rest, **traces)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Extension, "authenticate", watched)
            assert call(extension) == DENIED

    return work


def test_denials_do_the_same_work(tmp_path: Path) -> None:
    """
    Whatever is wrong, the same statements are executed, and the same MACs, seals and comparisons computed.
    """
    works = {path.__name__: work_of(tmp_path / f"{path.__name__}.db", path) for path in PATHS}
    [expected, *_] = works.values()

    assert expected["finalize"] > 0
    assert expected["COMMIT"] == 2
    assert dict.fromkeys(works, expected) == works


def test_a_naive_denial_does_less_work(tmp_path: Path) -> None:
    """
    An answer that comes as soon as the code is known to be unknown is seen by the count of statements.
    """

    def naive(extension: Extension) -> Any:  # noqa: ANN401
        if extension.find(code="7700183422157") is None:
            return DENIED
        return wrong_pin(extension)

    with closing(SQLiteStore(tmp_path / "cards.db")) as store:
        extension = book_on(store).extension(EXTENSION)
        card_of(extension)
        works = [Work(), Work()]
        for work, path in zip(works, (naive, unknown), strict=True):
            writer = store._file._writer  # noqa: SLF001
            assert writer is not None
            with work.watching(writer.set_trace_callback):
                assert path(extension) == DENIED

    assert works[0] != works[1]


def test_answers_take_their_time() -> None:
    """
    No answer comes before the floor, whether the caller is let in or not, and what takes longer takes a multiple.
    """
    floor = timedelta(milliseconds=40)
    extension = new_book(limits=attrs.evolve(PROMPT, response_floor=floor)).extension(EXTENSION)
    handout = card_of(extension)
    taken = []
    for call in (
        lambda: extension.authenticate(handout.code, pin=handout.pin),
        lambda: extension.authenticate(handout.code, pin=WRONG),
        lambda: extension.authenticate_caller(NUMBER),
        lambda: extension.asks_for(NUMBER),
    ):
        before = time.monotonic()
        outcome(call)
        taken.append(time.monotonic() - before)

    assert min(taken) >= floor.total_seconds()


# Being let in


def test_who_knows_code_and_pin_is_let_in() -> None:
    """
    The right code and PIN give the card and what may be done with it, however they are written.
    """
    extension = new_book().extension(EXTENSION)
    handout = card_of(extension)
    access = extension.authenticate(f" {handout.code[:4]}-{handout.code[4:]}", pin=handout.pin, source=NUMBER)

    assert access.card == extension[handout.serial]
    assert (access.may_call, access.may_hear_balance, access.available) == (True, True, Credit("10.00"))
    assert [each.kind for each in access.announcements] == ["balance"]
    assert handout.code not in repr(access)


def test_a_card_without_a_pin_takes_any() -> None:
    """
    Where no PIN is asked for, what is dialed as one does not matter.
    """
    extension = new_book().extension(EXTENSION)
    handout = card_of(extension, pin_format=voipcard.NO_PIN)

    assert [extension.authenticate(handout.code, pin=pin).card.serial for pin in ("", "4827", "x")] == [
        handout.serial
    ] * 3


@pytest.mark.parametrize("pin", ["", "482716"])
def test_a_known_number_needs_no_code(pin: str) -> None:
    """
    A caller whose number is a CallerID card is asked for no code, and for a PIN only if the card has one.
    """
    extension = new_book().extension(EXTENSION)
    [handout] = extension.add(f"+{NUMBER}", pin=pin, credit="5.00")

    assert extension.asks_for(f"+{NUMBER}") == ("pin" if pin else "nothing")
    assert extension.authenticate_caller(f"+{NUMBER}", pin=pin).card.serial == handout.serial
    assert outcome(lambda: extension.authenticate_caller(NUMBER, pin=WRONG)) == DENIED or not pin


def test_codes_and_numbers_are_worlds_apart() -> None:
    """
    A dialed code never matches a CallerID card, and a number never a dialed code, though the digits are the same.
    """
    extension = new_book().extension(EXTENSION)
    [by_number] = extension.add(f"+{NUMBER}")

    assert outcome(lambda: extension.authenticate(NUMBER)) == DENIED
    assert outcome(lambda: extension.authenticate(f"+{NUMBER}")) == DENIED
    assert extension.asks_for("40799000000") == "code"
    [by_code] = extension.add("40799000000")
    assert extension.asks_for("40799000000") == "code"
    assert outcome(lambda: extension.authenticate_caller("40799000000")) == DENIED
    assert extension.authenticate_caller(NUMBER).card.serial == by_number.serial
    assert extension.authenticate("40799000000").card.serial == by_code.serial


@pytest.mark.parametrize(
    "credit, minimum, may_call",
    [("0.49", "0.50", False), ("0.50", "0.50", True), ("0", "0", True), (UNLIMITED, "0.50", True)],
)
def test_too_little_credit_is_told_only_inside(credit: Any, minimum: str, may_call: bool) -> None:  # noqa: ANN401, FBT001
    """
    Credit strictly below the minimum keeps nobody out, and is told with the extension's sound only after the PIN.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    extension.configure(minimum_credit=minimum, no_credit_sound="too-little", balance_inquiry=False)
    handout = card_of(extension, credit=credit)

    assert outcome(lambda: extension.authenticate(handout.code, pin=WRONG)) == DENIED
    access = extension.authenticate(handout.code, pin=handout.pin)
    assert (access.may_call, access.may_hear_balance) == (may_call, False)
    assert [(each.kind, each.sound) for each in access.announcements] == [("no_credit", "too-little")] * (not may_call)


def test_the_first_use_is_written_down_once() -> None:
    """
    A card knows when a caller first got in with it; failures and later uses do not move that.
    """
    clock = Clock()
    book = new_book(clock=clock)
    extension = book.extension(EXTENSION)
    handout = card_of(extension)
    outcome(lambda: extension.authenticate(handout.code, pin=WRONG))

    assert extension[handout.serial].first_used_at is None
    first = clock.move(hours=1)
    access = extension.authenticate(handout.code, pin=handout.pin)
    clock.move(hours=1)
    extension.authenticate(handout.code, pin=handout.pin)
    assert extension[handout.serial] == access.card
    assert access.card.first_used_at == first
    assert sound(book) == ()


def test_a_recharge_between_is_not_lost() -> None:
    """
    Where a card changes while its first use is written down, both changes are kept.
    """
    store = Meddled()
    extension = book_on(store).extension(EXTENSION)
    handout = card_of(extension)
    other = book_on(store).extension(EXTENSION)
    commits = iter((None, lambda: other.recharge(handout.serial, "1.00")))
    commit = store.commit

    def meddling(changes: Any) -> None:  # noqa: ANN401
        store.meddle = next(commits, None)
        commit(changes)

    store.commit = meddling  # type: ignore[method-assign]
    access = extension.authenticate(handout.code, pin=handout.pin)

    assert access.available == Credit("11.00")
    assert extension[handout.serial].first_used_at is not None


BETWEEN: Final[dict[str, Callable[[Extension, Handout], object]]] = {
    "unknown": lambda extension, handout: extension.remove(handout.serial),
    "wrong_pin": lambda extension, handout: extension.edit(handout.serial, pin="928374"),
    "disabled": lambda extension, handout: extension.disable(handout.serial),
    "expired": lambda extension, handout: extension.set_expiry(handout.serial, MORNING),
}
"""What may become of a card while a caller is let in with it, and what is true then."""


@pytest.mark.parametrize("reason", BETWEEN)
def test_what_becomes_of_a_card_meanwhile_is_minded(reason: str) -> None:
    """
    Where a card is changed or removed before its first use is written down, the caller is denied as by what it is then.
    """
    store = Meddled()
    book = book_on(store)
    extension = book.extension(EXTENSION)
    handout = card_of(extension)
    other = book_on(store).extension(EXTENSION)
    commits = iter((None, lambda: BETWEEN[reason](other, handout)))
    commit = store.commit

    def meddling(changes: Any) -> None:  # noqa: ANN401
        store.meddle = next(commits, None)
        commit(changes)

    store.commit = meddling  # type: ignore[method-assign]

    assert outcome(lambda: extension.authenticate(handout.code, pin=handout.pin, source="a phone")) == DENIED
    assert reasons_of(book) == [reason]
    assert sound(book) == ()


@pytest.mark.parametrize("key", ["guesses/card/", "guesses/source/", "batch/", "extension/"])
def test_damage_is_told_to_nobody_who_calls(key: str) -> None:
    """
    Where what is kept beside a card was changed from outside, nobody gets in with it, and callers are told as always.
    """
    store = MemoryStore()
    book = book_on(store)
    extension = book.extension(EXTENSION)
    handout = card_of(extension)
    denied(extension, 1, handout.code, source="a phone")
    [document] = store.documents(key)
    damaged = document._replace(value=b"?" * 40, version=document.version + 1)
    store.commit(Changes(documents=[(damaged, document.version)]))

    for code, pin in ((handout.code, handout.pin), (handout.code, WRONG), ("7700183422157", WRONG)):
        assert outcome(lambda: extension.authenticate(code, pin=pin, source="a phone")) == DENIED  # noqa: B023
    assert reasons_of(book)[1] == "tampered"


@pytest.mark.parametrize("key", ["batch/", "extension/"])
def test_taking_away_that_cards_are_disabled_lets_nobody_in(key: str) -> None:
    """
    Where the document is gone that says whether a batch or an extension is enabled, nobody gets in with its cards.
    """
    store = MemoryStore()
    book = book_on(store)
    extension = book.extension(EXTENSION)
    handout = card_of(extension)
    extension.authenticate(handout.code, pin=handout.pin)
    [document] = store.documents(key)
    store.commit(Changes(forget=[(document.key, document.version)]))

    assert outcome(lambda: extension.authenticate(handout.code, pin=handout.pin)) == DENIED
    assert reasons_of(book) == ["", "tampered"]


def test_an_operator_can_put_a_damaged_count_right() -> None:
    """
    A card whose count of wrong PINs was changed from outside is usable again when it was unblocked, which is told.
    """
    store = MemoryStore()
    book = book_on(store)
    extension = book.extension(EXTENSION)
    handout = card_of(extension)
    denied(extension, 1, handout.code)
    [document] = store.documents("guesses/card/")
    damaged = document._replace(value=b"?" * 40, version=document.version + 1)
    store.commit(Changes(documents=[(damaged, document.version)]))

    assert sound(book)
    extension.unblock(handout.serial)
    assert sound(book) == ()
    assert extension.authenticate(handout.code, pin=handout.pin).card.serial == handout.serial
    [entry] = [entry for entry in book.audit_trail() if entry.verb == "unblock"]
    assert entry.detail == {"serial": handout.serial, "failures": None}


# How often


def denied(extension: Extension, times: int, code: str, **traces: Any) -> None:  # noqa: ANN401
    """
    Fail so often with a wrong PIN.
    """
    for _ in range(times):
        assert outcome(lambda: extension.authenticate(code, pin=WRONG, **traces)) == DENIED


@pytest.mark.parametrize(
    "traces, limit, reason, patience",
    [
        ({"call_id": "a call"}, 3, "too_many_in_call", timedelta(hours=24)),
        ({"source": "a phone"}, 10, "too_many_from_source", timedelta(hours=24)),
        ({"ingress": "a trunk"}, 120, "too_many_through_ingress", timedelta(minutes=65)),
        ({}, 120, "too_many_through_ingress", timedelta(minutes=65)),
    ],
)
def test_each_limit_holds_and_ends(
    tmp_path: Path, traces: dict[str, str], limit: int, reason: str, patience: timedelta
) -> None:
    """
    After so many failures the right code is denied as well, also after reopening, until the failures are old.

    Who comes another way gets in meanwhile.
    """
    clock = Clock()
    with file_book(tmp_path / "cards.db", clock=clock) as book:
        handouts = book.extension(EXTENSION).generate(2)
        good = handouts[0]
        for _ in range(limit):
            outcome(lambda: book.extension(EXTENSION).authenticate("7700183422157", pin=WRONG, **traces))
    clock.move(seconds=1)
    with file_book(tmp_path / "cards.db", clock=clock) as book:
        extension = book.extension(EXTENSION)

        assert outcome(lambda: extension.authenticate(good.code, pin=good.pin, **traces)) == DENIED
        assert reasons_of(book) == ["unknown"] * limit + [reason]
        other = {"source": "another", "ingress": "another"}
        assert extension.authenticate(good.code, pin=good.pin, **other).card.serial == good.serial
        clock.now += patience
        assert extension.authenticate(good.code, pin=good.pin, **traces).card.serial == good.serial
        assert sound(book) == ()


def test_who_gets_in_uses_up_nothing() -> None:
    """
    Attempts that succeed count against nobody, however many they are.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    handout = card_of(extension)
    for _ in range(130):
        extension.authenticate(handout.code, pin=handout.pin, source="a phone", ingress="a trunk", call_id="a call")

    assert reasons_of(book) == [""] * 130


def test_a_card_is_locked_then_blocked_until_an_operator_helps() -> None:
    """
    Three wrong PINs lock a card for 30 seconds, each further one twice as long, and the tenth blocks it for good.
    """
    clock = Clock()
    book = new_book(clock=clock)
    extension = book.extension(EXTENSION)
    handout = card_of(extension)
    denied(extension, 2, handout.code)

    assert extension.guesses(handout.serial) == voipcard.CardGuesses(2, None, blocked=False)
    for failures, pause in enumerate((0, 30, 60, 120, 240, 480, 960, 1920), 2):
        clock.move(seconds=pause)
        denied(extension, 1, handout.code)
        assert extension.guesses(handout.serial).failures == failures + 1
        assert outcome(lambda: extension.authenticate(handout.code, pin=handout.pin)) == DENIED
    assert extension.guesses(handout.serial) == voipcard.CardGuesses(10, None, blocked=True)
    clock.move(days=3650)
    assert outcome(lambda: extension.authenticate(handout.code, pin=handout.pin)) == DENIED
    assert reasons_of(book)[-1] == "blocked"
    extension.unblock(handout.serial, operation="ticket 7")
    extension.unblock(handout.serial, operation="ticket 7")
    assert extension.authenticate(handout.code, pin=handout.pin).card.serial == handout.serial
    assert [entry.detail for entry in book.audit_trail() if entry.verb == "unblock"] == [
        {"serial": handout.serial, "failures": 10}
    ]


def test_a_caller_id_card_is_blocked_for_a_day() -> None:
    """
    Whoever knows a number can block its card for a day at a time, not for ever.
    """
    clock = Clock()
    extension = new_book(clock=clock).extension(EXTENSION)
    [handout] = extension.add(f"+{NUMBER}", pin="482716")
    for number in range(10):
        clock.move(hours=2)
        assert outcome(lambda: extension.authenticate_caller(NUMBER, pin=WRONG, source=f"{number}")) == DENIED  # noqa: B023

    clock.move(hours=23)
    assert outcome(lambda: extension.authenticate_caller(NUMBER, pin="482716")) == DENIED
    assert extension.guesses(handout.serial).locked_until == clock.now + timedelta(hours=1)
    clock.move(hours=1)
    assert extension.authenticate_caller(NUMBER, pin="482716").card.serial == handout.serial


def test_a_card_without_a_pin_is_never_locked() -> None:
    """
    Where there is no PIN to guess, calls that are under way, or whose machine died, keep no other call out.
    """
    store = Meddled()
    book = book_on(store)
    extension = book.extension(EXTENSION)
    extension.add(f"+{NUMBER}")
    commit = store.commit
    waiting = 12

    def another(changes: Any) -> None:  # noqa: ANN401
        nonlocal waiting
        commit(changes)
        if waiting:  # This one is reserved, and not settled before all that come after it are.
            waiting -= 1
            extension.authenticate_caller(NUMBER, source=f"{waiting}")

    store.commit = another  # type: ignore[method-assign]
    extension.authenticate_caller(NUMBER)

    assert reasons_of(book) == [""] * 13


def test_the_right_pin_forgets_the_wrong_ones() -> None:
    """
    Only wrong PINs in a row lock a card.
    """
    extension = new_book().extension(EXTENSION)
    handout = card_of(extension)
    for _ in range(10):
        denied(extension, 2, handout.code)
        extension.authenticate(handout.code, pin=handout.pin)

    assert extension.guesses(handout.serial) == voipcard.CardGuesses(0, None, blocked=False)


def test_the_right_pin_of_a_disabled_card_is_no_wrong_one() -> None:
    """
    Who knows the PIN of a card that cannot be used does not lock it by trying.
    """
    extension = new_book().extension(EXTENSION)
    handout = card_of(extension, enabled=False)
    for number in range(20):
        outcome(lambda: extension.authenticate(handout.code, pin=handout.pin, source=f"{number}"))  # noqa: B023

    assert extension.guesses(handout.serial).failures == 0


def test_who_has_no_attempts_left_uses_up_only_the_call() -> None:
    """
    A source that has no attempts left locks no card.
    """
    extension = new_book().extension(EXTENSION)
    handout = card_of(extension)
    for _ in range(10):
        outcome(lambda: extension.authenticate("7700183422157", pin=WRONG, source="a thief"))
    denied(extension, 20, handout.code, source="a thief")

    assert extension.guesses(handout.serial).failures == 0


@pytest.mark.parametrize("traces", [{"source": "a thief"}, {"ingress": "a trunk"}, {"call_id": "a call"}])
@pytest.mark.parametrize("tries", [1, 2, 3, 4, 5])
def test_what_is_left_does_not_tell_which_codes_are_real(traces: dict[str, str], tries: int) -> None:
    """
    Whoever has a good card sees with it how many attempts are left: as many, whether the others were on a card or not.
    """
    limits = attrs.evolve(PROMPT, per_call=5, per_source=5, per_ingress=5)
    answers = []
    for is_real in (True, False):
        extension = new_book(limits=limits).extension(EXTENSION)
        own, other = extension.generate(2)
        denied(extension, tries, other.code if is_real else "7700183422157", **traces)
        answers.append(outcome(lambda: extension.authenticate(own.code, pin=own.pin, **traces)) == DENIED)  # noqa: B023

    assert answers == [tries == 5] * 2


def test_a_clock_that_was_wrong_once_locks_no_cards() -> None:
    """
    A source that was seen in the future is held to its limit until then; the cards it tries wait no longer than others.
    """
    clock = Clock()
    extension = new_book(clock=clock).extension(EXTENSION)
    handout = card_of(extension)
    clock.move(days=300)
    outcome(lambda: extension.authenticate("7700183422157", source="a phone"))
    clock.move(days=-300)
    denied(extension, 3, handout.code, source="another")
    denied(extension, 1, handout.code, source="a phone")

    assert extension.guesses(handout.serial) == voipcard.CardGuesses(
        3, clock.now + timedelta(seconds=30), blocked=False
    )
    clock.move(seconds=30)
    denied(extension, 1, handout.code, source="a phone")
    assert extension.guesses(handout.serial).locked_until == clock.now + timedelta(seconds=60)


ATTEMPTS: Final = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),  # source
        st.sampled_from(["x", "y"]),  # ingress
        st.sampled_from(["1", "2", "3", "4"]),  # call
        st.sampled_from([0, 1, None]),  # card
        st.booleans(),  # the right PIN
        st.integers(-600, 7200),  # seconds that pass
    ),
    max_size=60,
)


@settings(max_examples=60)
@given(ATTEMPTS)
def test_limits_hold_in_any_order(attempts: list[tuple[str, str, str, int | None, bool, int]]) -> None:
    """
    Whoever tries whatever, in whatever order, and with a clock that is set back: no limit is exceeded in any stretch.
    """
    clock = Clock()
    limits = attrs.evolve(PROMPT, per_source=4, per_ingress=6)
    book = new_book(clock=clock, limits=limits)
    extension = book.extension(EXTENSION)
    handouts = extension.generate(2)
    failures: dict[tuple[str, object], list[int]] = {}
    latest = 0
    for source, ingress, call, card, is_right, seconds in attempts:
        clock.move(seconds=seconds)
        latest = max(latest, round(clock.now.timestamp() * 10**6))
        code, pin = ("7700183422157", WRONG) if card is None else (handouts[card].code, handouts[card].pin)
        result = outcome(
            lambda: extension.authenticate(
                code,  # noqa: B023
                pin=pin if is_right else WRONG,  # noqa: B023
                source=source,  # noqa: B023
                ingress=ingress,  # noqa: B023
                call_id=call,  # noqa: B023
            )
        )
        if result == DENIED and reasons_of(book)[-1] in {"unknown", "wrong_pin"}:
            for key in (("source", source), ("ingress", ingress), ("call", call)):
                failures.setdefault(key, []).append(latest)

    windows = {"source": (4, 24), "ingress": (6, 1), "call": (3, 24)}
    for (kind, _), moments in failures.items():
        limit, hours = windows[kind]
        window = micros(timedelta(hours=hours))
        for start in moments:
            assert sum(start <= moment < start + window for moment in moments) <= limit
    assert sound(book) == ()


def test_threads_share_the_limits(tmp_path: Path) -> None:
    """
    However many guess at once, no more are evaluated than if they came one after another.
    """
    with file_book(tmp_path / "cards.db") as book:
        extension = book.extension(EXTENSION)
        handouts = extension.generate(12)
        in_threads(
            lambda number: [
                outcome(lambda: extension.authenticate(handouts[number].code, pin=WRONG, source="a thief"))
                for _ in range(3)
            ],
            12,
        )

        assert Counter(reasons_of(book)) == {"wrong_pin": 10, "too_many_from_source": 26}
        assert sound(book) == ()


# Watching


def test_many_failures_raise_an_alarm_and_lock_nobody_out() -> None:
    """
    A wave of failures is told once, in the audit trail too, and who knows code and PIN is let in all the while.
    """
    clock = Clock()
    book = new_book(clock=clock)
    extension = book.extension(EXTENSION)
    handout = card_of(extension)

    assert book.watch_guessing() == voipcard.GuessWatch(0, 0.0, 0.0, alarm=False)
    for number in range(70):
        outcome(lambda: extension.authenticate("7700183422157", source=f"{number}"))  # noqa: B023
    clock.move(minutes=1)
    watch = book.watch_guessing()
    assert (watch.failures, watch.per_minute, watch.alarm) == (70, 70.0, True)
    assert extension.authenticate(handout.code, pin=handout.pin, source="an owner").card.serial == handout.serial
    clock.move(minutes=1)
    assert (book.watch_guessing().failures, book.watch_guessing().alarm) == (0, False)
    assert [entry.verb for entry in book.audit_trail()].count("guessing_alarm") == 1


def test_the_first_look_is_no_alarm() -> None:
    """
    What failed before somebody looked for the first time, over nobody knows how long, is told by no alarm.
    """
    clock = Clock()
    book = new_book(clock=clock)
    for number in range(60):
        clock.move(days=1)
        outcome(lambda: book.extension(EXTENSION).authenticate("7700183422157", source=f"{number}"))  # noqa: B023

    assert [book.watch_guessing(), book.watch_guessing()] == [voipcard.GuessWatch(0, 0.0, 0.0, alarm=False)] * 2


# What is no attempt


def test_what_a_switch_does_not_know_is_no_caller() -> None:
    """
    An empty text stands for what is not known, and not for one caller or one call that all of them are.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    handout = card_of(extension)
    denied(extension, 11, "7700183422157", source="", call_id="", ingress="a trunk")

    extension.authenticate(handout.code, pin=handout.pin, source="", call_id="", ingress="a trunk")
    assert reasons_of(book) == ["unknown"] * 11 + [""]


def test_a_number_is_one_source_however_it_is_written() -> None:
    """
    A caller whose number is not told otherwise is held to the limits by it, and not by the way it is written.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    for at in range(11):
        outcome(lambda: extension.authenticate_caller(f"+{NUMBER[:at]} {NUMBER[at:]}"))  # noqa: B023

    assert reasons_of(book) == ["unknown"] * 10 + ["too_many_from_source"]


@pytest.mark.parametrize("number", ["", "anonymous", "4" * 300, "407\0", "\ud800", "٤٠٧"])
def test_what_is_no_number_is_denied(number: str) -> None:
    """
    Whatever a caller's switch says instead of a number is denied like a number that is unknown, and counted.
    """
    book = new_book()
    extension = book.extension(EXTENSION)

    assert outcome(lambda: extension.authenticate_caller(number)) == DENIED
    assert extension.asks_for(number) == "code"
    assert reasons_of(book) == ["unknown"]


@pytest.mark.parametrize(
    "call, expected",
    [
        (lambda extension: extension.authenticate_caller(None), (InvalidCodeError, "caller_id", "not_text", 0)),
        (lambda extension: extension.asks_for(40722123456), (InvalidCodeError, "caller_id", "not_text", 0)),
        (lambda extension: extension.authenticate("1", source=0), (InvalidValueError, "source")),
        (lambda extension: extension.authenticate(7700183422157), (InvalidCodeError, "code", "not_text", 0)),
        (lambda extension: extension.authenticate("1", pin=4827), (InvalidPinError, "pin", "not_text", 0)),
        (lambda extension: extension.authenticate("1", source="a\n"), (InvalidValueError, "source")),
        (lambda extension: extension.authenticate("1", ingress=1), (InvalidValueError, "ingress")),
        (lambda extension: extension.authenticate("1", call_id="x" * 256), (InvalidValueError, "call_id")),
        (lambda extension: extension.unblock("K7QX-000001"), (UnknownCardError, "K7QX-000001")),
        (lambda extension: extension.guesses("7700183422157"), (UnknownCardError, "")),
    ],
)
def test_mistakes_of_programs_are_named(call: Callable[[Extension], Any], expected: tuple[Any, ...]) -> None:
    """
    What no caller can do is refused by its name, and nothing is written.
    """
    store = MemoryStore()
    book = book_on(store)
    before = [*store.documents(""), *store.audit()]

    assert outcome(lambda: call(book.extension(EXTENSION)))[: len(expected)] == expected
    assert before == [*store.documents(""), *store.audit()]


class Joined(MemoryStore):
    """
    A store that says that it has joined a transaction of its caller's.
    """

    joined = True


def test_nobody_is_let_in_within_a_transaction_of_others() -> None:
    """
    A rollback would give attempts back, so a joined store is refused.
    """
    extension = book_on(Joined()).extension(EXTENSION)

    assert outcome(lambda: extension.authenticate("1")) == (JoinedStoreError, "authenticate")


def test_nothing_tells_who_called(tmp_path: Path) -> None:
    """
    Neither the numbers that callers come from nor what they dial is in the file or in the audit trail.
    """
    with file_book(tmp_path / "cards.db") as book:
        extension = book.extension(EXTENSION)
        extension.add(NewCard("+40711111111", pin="918273"))
        for call in (
            lambda: extension.authenticate("9988776655443322", pin="13579246", source="40733333333"),
            lambda: extension.authenticate_caller("40711111111", pin="918273"),
            lambda: extension.authenticate_caller("40744444444"),
        ):
            outcome(call)
        told = repr(list(book.audit_trail()))
    kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())

    for secret in ("9988776655443322", "13579246", "40733333333", "40711111111", "40744444444", "918273"):
        assert secret not in told
        assert secret.encode() not in kept


@pytest.mark.parametrize("is_closed", [True, False])
def test_no_report_of_a_denial_shows_what_was_dialed(is_closed: bool) -> None:  # noqa: FBT001
    """
    Among the variables of this library, which reports of errors show, is nothing that the caller dialed or came from.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    card_of(extension)
    if is_closed:
        book.close()
    frames: list[str] = []
    calls: list[Callable[[], object]] = [
        lambda: extension.authenticate("9988776655443322", pin="13579246", source="40733333333"),
        lambda: extension.authenticate_caller("40711111111", pin="13579246", source="40733333333"),
    ]
    for call in calls:
        with pytest.raises(VoipcardError) as caught:
            call()
        stack = traceback.StackSummary.extract(traceback.walk_tb(caught.tb), capture_locals=True)
        frames += [repr(frame.locals) for frame in stack if Path(frame.filename).is_relative_to(SOURCE)]

    assert len(frames) > 2
    for secret in ("9988776655443322", "13579246", "40733333333", "40711111111"):
        assert secret not in repr(frames)


def test_attempts_are_forgotten_when_they_no_longer_count() -> None:
    """
    What no longer counts can be purged; what blocks a card stays.
    """
    clock = Clock()
    store: Store = MemoryStore()
    book = book_on(store, clock=clock)
    extension = book.extension(EXTENSION)
    handout = card_of(extension)
    denied(extension, 2, handout.code, source="a phone", ingress="a trunk", call_id="a call")
    unknown(extension)
    clock.move(hours=25)
    while book.purge_expired():
        pass

    assert [document.key.split("/")[1] for document in store.documents("guesses/")] == ["card"]
    assert extension.guesses(handout.serial).failures == 2


def test_a_clock_that_was_set_back_lets_nothing_be_forgotten_sooner() -> None:
    """
    What counts against a call is kept for a day from the latest attempt, though the clock was set back after that.
    """
    clock = Clock()
    book = new_book(clock=clock)
    extension = book.extension(EXTENSION)
    handout = card_of(extension)
    denied(extension, 2, "7700183422157", call_id="a call")
    clock.move(hours=-2)
    extension.authenticate(handout.code, pin=handout.pin, call_id="a call")
    clock.move(hours=25)
    while book.purge_expired():
        pass

    denied(extension, 1, "7700183422157", call_id="a call")
    assert outcome(lambda: extension.authenticate(handout.code, pin=handout.pin, call_id="a call")) == DENIED
    clock.move(hours=1)
    assert extension.authenticate(handout.code, pin=handout.pin, call_id="a call").card.serial == handout.serial


def test_who_is_let_in_long_after_takes_back_nothing_of_others() -> None:
    """
    A machine that stood still for an hour within an attempt does not free one that others have made meanwhile.
    """
    clock = Clock()
    store = MemoryStore()
    book = book_on(store, clock=clock, limits=attrs.evolve(PROMPT, per_ingress=3))
    extension = book.extension(EXTENSION)
    handout = card_of(extension)

    def others() -> None:
        clock.move(minutes=65)
        denied(extension, 1, "7700183422157", ingress="a trunk")

    commit = store.commit
    following = iter((None, others))  # The slot begins, and the attempt is reserved.

    def meddling(changes: Any) -> None:  # noqa: ANN401
        commit(changes)
        if meddle := next(following, None):
            meddle()

    store.commit = meddling  # type: ignore[method-assign]
    extension.authenticate(handout.code, pin=handout.pin, ingress="a trunk")
    denied(extension, 5, "7700183422157", ingress="a trunk")

    assert Counter(reasons_of(book)) == {"": 1, "unknown": 3, "too_many_through_ingress": 3}


@pytest.mark.parametrize("between", range(5))
def test_a_purge_in_between_frees_no_attempts(between: int) -> None:
    """
    Where attempts are purged and others counted between the reading and the writing of one, none of them is lost.
    """
    clock = Clock()
    store = Meddled()
    book = book_on(store, clock=clock)
    extension = book.extension(EXTENSION)
    handout = card_of(extension)
    extension.authenticate(handout.code, pin=handout.pin, source="a phone")
    clock.move(seconds=1)

    def others() -> None:
        while book.purge_expired():
            pass
        for number in range(between):
            outcome(lambda: extension.authenticate(f"770018342215{number}", source="a phone"))  # noqa: B023

    store.meddle = others
    for _ in range(12):
        outcome(lambda: extension.authenticate("7700183422157", source="a phone"))

    assert reasons_of(book).count("unknown") == 10


def test_an_empty_book_lets_nobody_in() -> None:
    """
    A book without a card answers as any other.
    """
    book = open_empty()

    assert unknown(book.extension(EXTENSION)) == DENIED
    assert book.extension(EXTENSION).asks_for(NUMBER) == "code"


def open_empty() -> CardBook:
    """
    Make a book with nothing in it.
    """
    return voipcard.open_book(MemoryStore(), currency="EUR", key=BareKey(), limits=PROMPT)
