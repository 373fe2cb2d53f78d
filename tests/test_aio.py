"""
The async twin of a book does what the book does, and whoever cancels a call can find out what became of it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import pickle
import re
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import suppress
from datetime import date, datetime, timedelta
from functools import partial
from inspect import isawaitable
from io import BytesIO
from pathlib import Path
from typing import Any, Final, TypeAlias

import anyio
import attrs
import pytest

from tests.book_world import (
    EXTENSION,
    LAX,
    MORNING,
    OTHER,
    PATIENCE,
    PROMPT,
    BareKey,
    Clock,
    book_on,
    everything,
    file_book,
    seeded,
    sound,
)
from voipcard import (
    AuditPage,
    Batch,
    Call,
    CallRecord,
    CardBook,
    CardQuery,
    CodeFormat,
    Credit,
    Extension,
    License,
    NewCard,
    Rate,
    RateDeck,
    Report,
    SigningKey,
    Tariff,
    aio,
)
from voipcard.errors import AccessDeniedError, InvalidValueError, KeyMissingError, StoreClosedError, VoipcardError
from voipcard.stores import Changes, Document, MemoryStore, SQLiteStore, Store

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """
    Give both kinds of event loop.
    """
    return str(request.param)


async def twin_on(store: Store, **settings: Any) -> aio.AsyncCardBook:  # noqa: ANN401 - those of open_book
    """
    Open the book in a store.
    """
    settings = {"clock": Clock(), "limits": PROMPT, **settings}

    return await aio.open_book(store, currency="EUR", key=BareKey(), **settings)


def behind(book: aio.AsyncCardBook) -> CardBook:
    """
    Give the book that a twin asks.
    """
    return book._sync  # noqa: SLF001 - to compare both


# The same as without


SIGNS: Final = SigningKey.generate("audit")
"""Who signs checkpoints."""

DECK: Final = RateDeck([Rate("40", Tariff(price="0.02"))])
"""By what calls are charged."""

CALLED: Final = "40213123456"
"""Who is called."""

HOUR: Final = timedelta(hours=1)

Step: TypeAlias = tuple[str, str, tuple[Any, ...], dict[str, Any]]


def making() -> Iterator[Step]:
    """
    Set up a book and an extension, and make cards: the owner of each method, its name and its arguments.
    """
    yield "book", "install_license", (License(max_active_codes=20),), {}
    yield "book", "install_license", ("twenty",), {}
    yield "book", "label_extension", (EXTENSION, "Kiosk"), {"operation": "label"}
    yield "book", "deck", (), {}
    yield "book", "install_deck", (DECK,), {"operation": "prices"}
    yield "book", "install_deck", (DECK,), {}
    yield "book", "deck", ("default",), {"at": MORNING}
    yield "book", "decks", (), {}
    yield "book", "disable_extension", (OTHER,), {}
    yield "book", "enable_extension", (OTHER,), {}
    yield EXTENSION, "configure", (), {"minimum_credit": "0.50", "no_credit_sound": "too-little"}
    yield EXTENSION, "configure", (), {"seconds_to_dial": 0}
    yield EXTENSION, "settings", (), {}
    two_codes = {"code_format": CodeFormat(check_digit="damm"), "labels": ["spring"], "order_number": "PO-1"}
    upload = b"7700111122,0482,PO-7,4.50\n7700111123,,PO-7,ten\n"
    yield EXTENSION, "generate", (3,), {"credit": "10.00", **two_codes}
    yield EXTENSION, "generate", (30,), {}
    yield EXTENSION, "generate", (2,), {"operation": "two", "dry_run": True}
    yield EXTENSION, "generate", (2,), {"operation": "two"}
    yield EXTENSION, "generate", (2,), {"operation": "two"}
    yield EXTENSION, "add", ([NewCard("77001834", "0482", 5), "+40721000111"],), {}
    yield EXTENSION, "add", ("77001834",), {}
    yield EXTENSION, "upload", (BytesIO(upload),), {"on_error": "skip"}


def using() -> Iterator[Step]:
    """
    Change cards and batches, let callers in and recharge.
    """
    yield EXTENSION, "edit", ("first",), {"code": "88001834", "pin": "9310"}
    yield EXTENSION, "edit", ("first",), {"pin": "x"}
    yield EXTENSION, "authenticate", ("88001834",), {"pin": "9310", "source": "40799000000", "call_id": "8f3c"}
    yield EXTENSION, "authenticate", ("88001834",), {"pin": "0000", "ingress": "trunk"}
    yield EXTENSION, "authenticate", ("1234567",), {}
    yield EXTENSION, "asks_for", ("40721000111",), {}
    yield EXTENSION, "authenticate_caller", ("40721000111",), {}
    yield EXTENSION, "authenticate_caller", ("40721000112",), {}
    yield EXTENSION, "guesses", ("first",), {}
    yield EXTENSION, "guesses", ("nobody",), {}
    yield EXTENSION, "unblock", ("first",), {"operation": "forget"}
    yield EXTENSION, "set_expiry", ("third", MORNING), {}
    yield EXTENSION, "disable_expired", (), {"limit": 10}
    yield "book", "disable_expired", (), {"limit": 0}
    yield EXTENSION, "label_cards", (["first", "second"],), {"add": ["printed"], "remove": ["spring"]}
    yield EXTENSION, "disable", (["first", "second"],), {}
    yield EXTENSION, "enable", (CardQuery(enabled=False),), {}
    yield EXTENSION, "batches", (), {}
    yield EXTENSION, "batch", ("batch",), {}
    yield EXTENSION, "batch", ("nobody",), {}
    yield EXTENSION, "disable_batch", ("batch",), {"operation": "freeze"}
    yield EXTENSION, "enable_batch", ("batch",), {}
    yield EXTENSION, "label_batch", ("batch",), {"add": ["shipped"]}
    yield EXTENSION, "recharge", ("first", "2.50"), {"order_number": "PO-9"}
    yield EXTENSION, "recharge", ("first", "2.50"), {"order_number": "PO-9"}
    yield EXTENSION, "recharge", ("first", "3.50"), {"order_number": "PO-9"}
    yield EXTENSION, "recharge", ("first", "-99"), {}
    yield EXTENSION, "recharge_many", ([("first", 1), ("second", 2)],), {"operation": "many"}
    yield EXTENSION, "transfer", ("first", "second"), {"amount": 3}
    yield EXTENSION, "transfer", ("first", "first"), {"amount": 3}
    yield EXTENSION, "history", ("first",), {"newest_first": True}
    yield EXTENSION, "history", ("nobody",), {}


def calling() -> Iterator[Step]:
    """
    Hold credit, and make calls.
    """
    yield EXTENSION, "hold", ("first", 3), {"expires_in": HOUR, "operation": "reserve"}
    yield EXTENSION, "hold", ("first", 3), {"expires_in": HOUR}
    yield EXTENSION, "holds", ("first",), {}
    yield EXTENSION, "extend", ("held",), {"amount": 4, "expires_in": HOUR}
    yield EXTENSION, "extend", ("held",), {"amount": 4000, "expires_in": HOUR}
    yield EXTENSION, "capture", ("held", "1.25"), {}
    yield EXTENSION, "hold", ("second", 1), {"expires_in": HOUR}
    yield EXTENSION, "release", ("held",), {}
    yield EXTENSION, "holds", ("nobody",), {}
    yield EXTENSION, "hold", ("second", 1), {"expires_in": timedelta(microseconds=1)}
    yield EXTENSION, "sweep", (), {}
    yield EXTENSION, "hold", ("second", 1), {"expires_in": timedelta(microseconds=1)}
    yield "book", "sweep", (), {"limit": 10}
    yield "book", "sweep", (), {"limit": 0}
    yield EXTENSION, "begin_call", ("first", CALLED), {"call_id": "the call"}
    yield EXTENSION, "begin_call", ("first", CALLED), {"call_id": "the call"}
    yield EXTENSION, "begin_call", ("first", "1"), {"call_id": "another"}
    yield EXTENSION, "call", ("first",), {"call_id": "the call"}
    yield EXTENSION, "call", ("first",), {"call_id": "another"}
    yield "call", "serial", (), {}
    yield "call", "keep_alive", (), {}
    yield "call", "end", (-1,), {}
    yield "call", "end", (95,), {"started_at": MORNING}
    yield "call", "end", (95,), {}
    told = CallRecord("told", "K7QX-000042", CALLED, MORNING, 60)
    yield EXTENSION, "settle_calls", ([told],), {}
    yield EXTENSION, "settle_calls", ([told],), {}
    yield EXTENSION, "settle_calls", (["told"],), {}
    header = b"call_id,serial,destination,started_at,seconds\n"
    yield EXTENSION, "import_cdrs", (BytesIO(header + b"told,K7QX-000042,40213123456,2026-03-01T09:00:00Z,60\n"),), {}
    yield EXTENSION, "import_cdrs", (BytesIO(b"call\n"),), {"zone": "Europe/Bucharest"}


def reporting() -> Iterator[Step]:
    """
    Make all reports, of an extension and of the book.
    """
    for owner, options in [(EXTENSION, {}), ("book", {}), ("book", {"extension": EXTENSION})]:
        yield owner, "cost_report", (date(2026, 3, 1),), {"by": ["day", "destination"], "zone": "Asia/Tokyo", **options}
        yield owner, "cost_report", (), {"by": "weight", **options}
        yield owner, "recharge_report", (), {"by": ["kind"], "card": "first", **options}
        yield owner, "liability", (), {"by": "extension", **options}
        yield owner, "breakage", (), {"unused_days": 1, **options}
        yield owner, "ageing", (), {"since": "made", **options}
        yield owner, "first_use_curve", (), {"days": [1, 30], **options}
        yield owner, "calls", (), {"batch": "batch", **options}
        yield owner, "calls", (), {"card": "nobody", **options}
        yield owner, "reveal_calls", (), {"card": "first", **options}


def looking() -> Iterator[Step]:
    """
    Find cards, reveal and remove.
    """
    yield EXTENSION, "find", (), {"code": "88001834"}
    yield EXTENSION, "find", ("first",), {"code": "88001834"}
    yield EXTENSION, "get", ("nobody",), {}
    yield EXTENSION, "search", (CardQuery(order="serial"),), {"code_contains": "1"}
    yield EXTENSION, "search", (), {"credit_at_least": 5, "order": "serial", "descending": True}
    yield EXTENSION, "search", (), {"order": "weight"}
    yield EXTENSION, "page", (), {"limit": 100, "order": "serial"}
    yield EXTENSION, "count", (), {"kind": "caller_id"}
    yield EXTENSION, "export", ("cards.csv",), {"reveal": True, "columns": ["serial", "code"]}
    yield EXTENSION, "reveal", ("first",), {}
    yield EXTENSION, "remove", ("second",), {}
    yield EXTENSION, "remove_unused", (), {"older_than": timedelta()}
    yield EXTENSION, "label", (), {}
    yield EXTENSION, "enabled", (), {}
    yield EXTENSION, "quota", (), {}


def keeping() -> Iterator[Step]:
    """
    Look after the book.
    """
    yield "book", "license", (), {}
    yield "book", "license_state", (), {}
    yield "book", "quota", (), {}
    yield "book", "extensions", (), {}
    yield "book", "watch_guessing", (), {}
    yield "book", "purge_expired", (), {"limit": 0}
    yield "book", "purge_expired", (), {}
    yield "book", "rotate_keys", (), {"limit": 20, "operation": "rotate"}
    yield "book", "rotate_keys", (), {"operation": "rotate"}
    yield "book", "change_key", (BareKey("elsewhere"),), {}
    yield "book", "release_hooks", (), {}
    yield "book", "audit_trail", (), {}
    yield "book", "audit_page", (), {"limit": 1000}
    yield "book", "audit_page", (), {"cursor": "nowhere"}
    yield "book", "checkpoint", (SIGNS,), {}
    yield "book", "verify", (), {"checkpoint": "checkpoint", "keys": [SIGNS.verify_key]}
    yield "book", "verify", (), {"checkpoint": "checkpoint"}
    yield "book", "verify", (), {}


def steps() -> Iterator[Step]:
    """
    Give something to do with every method of the book, an extension or a call.
    """
    yield from making()
    yield from using()
    yield from calling()
    yield from reporting()
    yield from looking()
    yield from keeping()


def known(argument: object, book: CardBook) -> Any:  # noqa: ANN401 - what was given, or what only a book can tell
    """
    Put what only a book can tell in the places of "first", "second" and "third", "batch", "held" and "checkpoint".

    The first card pays for calls.
    """
    if isinstance(argument, list | tuple):
        return type(argument)(known(each, book) for each in argument)
    if argument == "checkpoint":
        return book.checkpoint(SIGNS)
    if isinstance(argument, CallRecord):
        return attrs.evolve(argument, serial=known("first", book))
    if argument == "held":
        cards = book.extension(EXTENSION).search(order="serial")
        return next(hold for card in cards for hold in book.extension(EXTENSION).holds(card.serial))
    if argument not in {"first", "second", "third", "batch"}:
        return argument
    made = list(book.extension(EXTENSION).search(CardQuery(order_number="PO-1", order="serial")))

    return made[0].batch if argument == "batch" else made[["first", "second", "third"].index(str(argument))].serial


def going() -> Callable[[], datetime]:
    """
    Make a clock that goes on with each look, so that nothing has the same age.
    """
    looks = itertools.count()

    return lambda: MORNING + timedelta(milliseconds=next(looks))


def said(answer: object) -> object:
    """
    Tell what an answer says, with codes and PINs, and without what is drawn from the system or made with a key.
    """
    handouts = answer.handouts if isinstance(answer, Batch) else []
    if isinstance(answer, AuditPage):
        return said(list(answer.entries))
    if isinstance(answer, str) and answer.startswith("voipcard-checkpoint"):
        return answer.splitlines()[0]

    told = re.sub(r"('?)(call|source|ingress|digest|hold|id)\1(: |=)'[0-9a-f]+'", r"\2", repr(answer))

    return re.sub(r"(<|^)Async", r"\1", told), rows_of(answer), [attrs.astuple(handout) for handout in handouts]


def rows_of(answer: object) -> list[object]:
    """
    Tell the sums of a report.
    """
    return [*answer.rows, answer.total, answer.made_at] if isinstance(answer, Report) else []


def refusal(error: VoipcardError) -> object:
    """
    Tell what a refusal says.
    """
    return (type(error), attrs.astuple(error))  # type: ignore[arg-type]


def owner_of(book: CardBook, owner: str) -> CardBook | Extension | Call:
    """
    Give the book, an extension or the call that is running.
    """
    if owner == "call":
        return book.extension(EXTENSION).call(known("first", book), call_id="the call")

    return book if owner == "book" else book.extension(owner)


async def twin_of(twin: aio.AsyncCardBook, owner: str) -> aio.AsyncCardBook | aio.AsyncExtension | aio.AsyncCall:
    """
    Give the twin of the same.
    """
    if owner == "call":
        return await twin.extension(EXTENSION).call(known("first", behind(twin)), call_id="the call")

    return twin if owner == "book" else twin.extension(owner)


def answered(book: CardBook, step: Step) -> object:
    """
    Do one step, and tell what was answered.
    """
    owner, name, arguments, options = step
    try:
        asked = getattr(owner_of(book, owner), name)
        options = {option: known(value, book) for option, value in options.items()}
        answer = asked(*known(arguments, book), **options) if callable(asked) else asked
        return said(list(answer) if hasattr(answer, "__next__") else answer)
    except VoipcardError as error:
        return refusal(error)


async def awaited(twin: aio.AsyncCardBook, step: Step) -> object:
    """
    Do one step with a twin, and tell what was answered.
    """
    owner, name, arguments, options = step
    try:
        asked = getattr(await twin_of(twin, owner), name)
        options = {option: known(value, behind(twin)) for option, value in options.items()}
        answer = asked(*known(arguments, behind(twin)), **options) if callable(asked) else asked
        if hasattr(answer, "__anext__"):
            return said([item async for item in answer])
        return said(await answer if isawaitable(answer) else answer)
    except VoipcardError as error:
        return refusal(error)


async def test_a_twin_answers_as_the_book_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Whatever is asked, a twin gives the same answer or the same refusal, and leaves the same book behind.
    """
    monkeypatch.chdir(tmp_path)
    book = book_on(MemoryStore(), source=seeded("twins"), policy=LAX, clock=going()).acting_as("alice")
    twin = await twin_on(MemoryStore(), source=seeded("twins"), policy=LAX, clock=going())
    twin = twin.acting_as("alice")

    answers = [(step[1], answered(book, step)) for step in steps()]
    twins_answers = [(step[1], await awaited(twin, step)) for step in steps()]

    assert twins_answers == answers
    assert repr(everything(behind(twin))) == repr(everything(book))


def test_the_comparison_has_each_method() -> None:
    """
    There is a step for every public method of the twins but those that only they have, or that nobody waits for.
    """
    twins = (aio.AsyncCardBook, aio.AsyncExtension, aio.AsyncCall)
    names = {name for twin in twins for name in vars(twin) if not name.startswith("_")}

    constants = {"id", "currency", "profile", "suite"}

    assert names - {step[1] for step in steps()} == {
        *constants,
        *{"acting_as", "extension", "on_commit", "aclose", "joining"},
    }


async def test_a_twin_is_called_and_compared_as_the_book_is() -> None:
    """
    Twins of the same are equal, and say what they are; like a book, none can be pickled.
    """
    twin = await twin_on(MemoryStore())
    extension = twin.extension(EXTENSION)

    assert repr(twin.acting_as("alice")) == "<AsyncCardBook in EUR for 'alice'>"
    assert (extension.number, repr(extension)) == (EXTENSION, f"<AsyncExtension {EXTENSION}>")
    assert (twin.id, twin.currency) == (behind(twin).id, "EUR")
    assert (twin.profile, twin.suite) == ("operator", "aes-256-siv")
    assert {extension, twin.extension(EXTENSION)} == {extension}
    assert extension != twin.extension(OTHER)
    assert extension != behind(twin).extension(EXTENSION)
    with pytest.raises(TypeError, match="open it again"):
        pickle.dumps(twin)


async def test_the_twin_of_a_call_says_what_the_call_does() -> None:
    """
    How long it may take, what to announce and all else is read from the twin as from the call, without waiting.
    """
    book = await twin_on(MemoryStore())
    await book.install_deck(DECK)
    extension = book.extension(EXTENSION)
    [card] = await extension.generate(1, credit="1.00")
    begun = await extension.begin_call(card.serial, CALLED, call_id="the call")
    call = behind(book).extension(EXTENSION).call(card.serial, call_id="the call")
    names = [field.name for field in attrs.fields(Call) if field.name != "line"]

    assert [getattr(begun, name) for name in names] == [getattr(call, name) for name in names]
    assert (begun.serial, repr(begun)) == (card.serial, f"Async{call!r}")
    assert (await (await begun.keep_alive()).end(30)).amount == Credit("-0.01")


async def test_all_cards_of_an_extension_are_iterated_over() -> None:
    """
    `async for` goes through all cards, however many; and without it, what waits for nothing is refused.
    """
    extension = (await twin_on(MemoryStore())).extension(EXTENSION)
    batch = await extension.generate(1200)

    assert sorted([card.serial async for card in extension]) == [handout.serial for handout in batch]
    with pytest.raises(TypeError):
        iter(extension)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        assert batch[0].serial in extension  # type: ignore[operator]


async def test_progress_is_told_in_the_worker_thread() -> None:
    """
    What is told of progress, and what is iterated over, stays out of the event loop's thread.
    """
    extension = (await twin_on(MemoryStore())).extension(EXTENSION)
    threads: list[str] = []

    def cards() -> Iterator[str]:
        threads.append(threading.current_thread().name)
        yield "77001834"

    await extension.add(cards(), progress=lambda *_: threads.append(threading.current_thread().name))

    assert {name.partition("_")[0] for name in threads} == {"voipcard"}
    assert len(threads) > 1


async def test_hooks_are_called_in_the_worker_thread() -> None:
    """
    A hook is told each entry, before the call that it is about is answered, in the thread that has committed.
    """
    book = await twin_on(MemoryStore())
    told: list[tuple[str, str]] = []
    book.on_commit(lambda entry: told.append((entry.verb, threading.current_thread().name.partition("_")[0])))
    extension = book.acting_as("alice").extension(EXTENSION)
    [card] = await extension.generate(1)
    await extension.recharge(card.serial, 1)

    assert told == [("generate", "voipcard"), ("recharge", "voipcard")]
    with pytest.raises(InvalidValueError):
        book.on_commit("print")  # type: ignore[arg-type]


# Opening and closing


class Watched(SQLiteStore):
    """
    A store that takes its time, and knows whether it is closed.

    Attributes:
        pause: How long it takes to give a document or to commit, in seconds.
        paused: Whether it has begun to take so long.
        closed: Whether it is closed.
    """

    pause = 0.0
    paused = False
    closed = False

    def document(self, key: str) -> Document | None:
        """
        Take time and give it.
        """
        self._pause()

        return super().document(key)

    def commit(self, changes: Changes) -> None:
        """
        Take time and commit.
        """
        self._pause()
        super().commit(changes)

    def _pause(self) -> None:
        self.paused = self.pause > 0
        time.sleep(self.pause)

    def close(self) -> None:
        """
        Close and remember.
        """
        self.closed = True
        super().close()


async def left_while(call: Callable[[], Coroutine[Any, Any, object]], holds: Callable[[], bool]) -> None:
    """
    Call, and go as soon as something holds.
    """
    async with anyio.create_task_group() as group:
        group.start_soon(call)
        await until(holds)
        group.cancel_scope.cancel()


async def until(holds: Callable[[], bool]) -> None:
    """
    Wait until something holds that is done by threads.
    """
    with anyio.fail_after(PATIENCE):
        while not holds():  # noqa: ASYNC110 - threads have other events
            await anyio.sleep(0.001)


async def test_a_book_is_closed_behind_its_block(tmp_path: Path) -> None:
    """
    `async with` closes; what comes later is refused, and closing again does nothing.
    """
    store = Watched(tmp_path / "cards.db")
    async with await twin_on(store) as book:
        extension = book.extension(EXTENSION)
        await extension.generate(1)
        is_open = not store.closed
    await book.aclose()

    assert (is_open, store.closed) == (True, True)
    with pytest.raises(StoreClosedError):
        await extension.count()


async def test_closing_waits_for_a_cancelled_call(tmp_path: Path) -> None:
    """
    A call that was cancelled while it was under way has happened when the book is closed.
    """
    path, store = tmp_path / "cards.db", Watched(tmp_path / "cards.db")
    async with await twin_on(store) as book:
        [card] = await book.extension(EXTENSION).generate(1)
        store.pause = 0.2
        await left_while(lambda: book.extension(EXTENSION).recharge(card.serial, 5), lambda: store.paused)
        before = behind(book).extension(EXTENSION).get(card.serial).credit

    with file_book(path) as again:
        assert (before, again.extension(EXTENSION).get(card.serial).credit) == (Credit(0), Credit(5))


async def test_a_cancelled_block_closes_its_book(tmp_path: Path) -> None:
    """
    Whoever is cancelled in an `async with` block leaves no open book.
    """
    store = Watched(tmp_path / "cards.db")
    with anyio.CancelScope() as scope:
        async with await twin_on(store):
            scope.cancel()
            await anyio.sleep_forever()

    assert store.closed


async def test_a_cancelled_opening_leaves_no_open_book(tmp_path: Path) -> None:
    """
    A book that was opened for nobody is closed.
    """
    store = Watched(tmp_path / "cards.db")
    store.pause = 0.1
    await left_while(lambda: twin_on(store), lambda: store.paused)
    before = store.closed
    await until(lambda: store.closed)

    assert not before


async def test_what_cannot_be_opened_is_refused_as_it_is() -> None:
    """
    Opening raises what opening without a twin raises.
    """
    with pytest.raises(KeyMissingError):
        await aio.open_book(MemoryStore(), currency="EUR")


# Cancelled


TIMES: Final = 60
PATIENT: Final = attrs.evolve(PROMPT, free_failures=1000, block_after=1000)
"""Lets very many guess, so that none is refused before it is evaluated."""

LONGEST: Final = 0.06
"""After how many seconds the most patient caller goes. It takes about so long until all have been answered."""


class Slow(SQLiteStore):
    """
    A store that takes time before a commit, and as much after it, so that callers go at each of these moments.
    """

    def commit(self, changes: Changes) -> None:
        """
        Commit at leisure.
        """
        time.sleep(chance(0.005))
        super().commit(changes)
        time.sleep(chance(0.005))


def chance(most: float) -> float:
    """
    Give a number of seconds.
    """
    return most * os.urandom(1)[0] / 255


async def cancelled_by_scope(call: Callable[[], Awaitable[object]], seconds: float) -> bool:
    """
    Call, go as anyio and trio let callers go, and tell whether that was before the answer.
    """
    with anyio.move_on_after(seconds) as scope:
        await call()

    return scope.cancelled_caught


async def cancelled_by_asyncio(call: Callable[[], Awaitable[object]], seconds: float) -> bool:
    """
    Do the same as asyncio does it, which no shield of anyio keeps off.
    """
    try:
        async with asyncio.timeout(seconds):
            await call()
    except TimeoutError:
        return True

    return False


Cancelled: TypeAlias = Callable[[Callable[[], Awaitable[object]], float], Awaitable[bool]]

ways = pytest.mark.parametrize(
    "anyio_backend, cancelled",
    [("asyncio", cancelled_by_scope), ("asyncio", cancelled_by_asyncio), ("trio", cancelled_by_scope)],
)


async def asked_again(call: Callable[[int], Awaitable[object]], cancelled: Cancelled) -> list[Any]:
    """
    Let many callers go at random moments, and each who got no answer ask for the same again.

    Returns:
        The second answers.
    """
    answers = []

    async def ask(number: int) -> None:
        if await cancelled(partial(call, number), chance(LONGEST)):
            answers.append(await call(number))

    async with anyio.create_task_group() as group:
        for number in range(TIMES):
            group.start_soon(ask, number)

    return answers


@ways
async def test_a_cancelled_recharge_happens_once(tmp_path: Path, cancelled: Cancelled) -> None:
    """
    Whoever was cancelled and asks with the same order number learns what became of it, and the card gets credit once.
    """
    async with await twin_on(Slow(tmp_path / "cards.db"), threads=8) as book:
        extension = book.extension(EXTENSION)
        [card] = await extension.generate(1)

        again = await asked_again(
            lambda number: extension.recharge(card.serial, 1, order_number=f"PO-{number}"), cancelled
        )

        assert {entry.replayed for entry in again} == {True, False}
        assert (await extension.get(card.serial)).credit == Credit(TIMES)
        assert len([entry async for entry in extension.history(card.serial)]) == TIMES + 1
        assert sound(behind(book)) == ()


@ways
async def test_a_cancelled_batch_is_made_once(tmp_path: Path, cancelled: Cancelled) -> None:
    """
    Whoever was cancelled and asks with the same operation is given the batch that was made, or the first one.
    """
    async with await twin_on(Slow(tmp_path / "cards.db"), threads=8) as book:
        extension = book.extension(EXTENSION)

        again = await asked_again(lambda number: extension.generate(2, operation=f"batch {number}"), cancelled)

        assert {batch.replayed for batch in again} == {True, False}
        assert await extension.count() == 2 * TIMES
        assert {len(batch) for batch in again} == {2}


@ways
async def test_a_cancelled_attempt_is_counted_or_was_not_made(tmp_path: Path, cancelled: Cancelled) -> None:
    """
    Of callers who are let go at random moments each was refused and counted, or did not try: no attempt is half done.

    What is counted is the wrong PINs on the card and the failures of all callers, and each is in the audit trail.
    """
    async with await twin_on(Slow(tmp_path / "cards.db"), threads=8, limits=PATIENT) as book:
        extension = book.extension(EXTENSION)
        [card] = await extension.generate(1)
        await book.watch_guessing()
        left: list[bool] = []

        async def fail(number: int) -> None:
            with suppress(AccessDeniedError):
                await extension.authenticate(card.code, pin="x", source=str(number), call_id=str(number))

        async def attempt(number: int) -> None:
            left.append(await cancelled(partial(fail, number), chance(10 * LONGEST)))

        async with anyio.create_task_group() as group:
            for number in range(TIMES):
                group.start_soon(attempt, number)

    with file_book(tmp_path / "cards.db", limits=PATIENT) as closed:
        tried = [entry.detail["reason"] for entry in closed.audit_trail() if entry.verb == "authenticate"]

        assert set(left) == {True, False}
        assert set(tried) == {"wrong_pin"}
        assert left.count(False) <= len(tried) < TIMES
        assert closed.extension(EXTENSION).guesses(card.serial).failures == len(tried)
        assert closed.watch_guessing().failures == len(tried)
        assert sound(closed) == ()


@ways
async def test_that_something_done_twice_would_be_noticed(tmp_path: Path, cancelled: Cancelled) -> None:
    """
    Without an order number, asking again adds credit twice where the call had happened, and the tests would see it.
    """
    async with await twin_on(Slow(tmp_path / "cards.db"), threads=8) as book:
        extension = book.extension(EXTENSION)
        [card] = await extension.generate(1)

        await asked_again(lambda _: extension.recharge(card.serial, 1), cancelled)

    with file_book(tmp_path / "cards.db") as closed:
        assert closed.extension(EXTENSION).get(card.serial).credit > Credit(TIMES)
