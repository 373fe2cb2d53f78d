"""
The table of every public method that writes, and the audit entry that it leaves: complete, true, and in the docs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

import attrs
import pytest

from tests.book_world import EXTENSION, BareKey, Clock, new_book, outcome
from voipcard import Call, CallRecord, CardBook, CardQuery, Extension, Hold, License, Rate, RateDeck, SigningKey, Tariff
from voipcard.errors import AccessDeniedError
from voipcard.stores import MemoryStore

PAGE: Final = Path(__file__).parents[1] / "docs" / "explanation" / "audit.md"


@attrs.define
class World:
    """
    A book with a price list and two cards: one with a PIN, and one CallerID.

    Attributes:
        book: The book, with somebody acting.
        extension: Its extension.
        clock: Its clock.
        serials: The cards.
        batch: Their batch.
    """

    book: CardBook
    extension: Extension
    clock: Clock
    serials: list[str]
    batch: str

    @classmethod
    def new(cls) -> World:
        """
        Make one.
        """
        clock = Clock()
        book = new_book(clock=clock).acting_as("alice")
        book.install_deck(RateDeck([Rate("40", Tariff(price=1))]))
        extension = book.extension(EXTENSION)
        batch = extension.add(["7700183422157", "+40722123456"], pin="83016495", credit=10, operation="first")

        return cls(book, extension, clock, [handout.serial for handout in batch], batch.id)

    def fail(self) -> None:
        """
        Try to get in with an unknown code.
        """
        with pytest.raises(AccessDeniedError):
            self.extension.authenticate("1234567")

    def alarm(self) -> None:
        """
        Let very many try.
        """
        self.book.watch_guessing()
        for number in range(60):
            with pytest.raises(AccessDeniedError):
                self.extension.authenticate("1234567", source=str(number), call_id=str(number))
        self.book.watch_guessing()

    def hold(self) -> Hold:
        """
        Hold credit of the first card for a minute.
        """
        return self.extension.hold(self.serials[0], 3, expires_in=timedelta(minutes=1))

    def call(self) -> Call:
        """
        Begin a call with the first card.
        """
        return self.extension.begin_call(self.serials[0], CALLED, call_id="call 1")

    def sheet(self, text: str) -> Path:
        """
        Write a file in the current folder.
        """
        path = Path("codes.csv")
        path.write_text(text)

        return path


@attrs.frozen
class Row:
    """
    One method, and what it leaves in the audit trail.

    Attributes:
        call: The method, as the table shows it.
        verb: What the entry says was done; empty for none.
        detail: The names of what the entry tells besides.
        run: Calls it; it may do other things before.
    """

    call: str
    verb: str
    detail: str
    run: Callable[[World], object]


CHANGED: Final = "serials count before"
CALLED: Final = "40213123456"
ENDED: Final = "serial hold amount shortfall before after"
MADE: Final = "batch count active credit order_number"

ROWS: Final = [
    Row("book.label_extension", "label_extension", "before after", lambda w: w.book.label_extension(EXTENSION, "Main")),
    Row("book.disable_extension", "disable_extension", "before after", lambda w: w.book.disable_extension(EXTENSION)),
    Row("book.enable_extension", "enable_extension", "before after", lambda w: w.book.enable_extension(EXTENSION)),
    Row(
        "book.disable_expired",
        "disable_expired",
        "serials count",
        lambda w: (w.extension.set_expiry(w.serials, w.clock.now), w.clock.move(days=1), w.book.disable_expired()),
    ),
    Row("book.rotate_keys", "rotate_keys", "key state cards", lambda w: w.book.rotate_keys()),
    Row("book.change_key", "change_key", "before after", lambda w: w.book.change_key(BareKey("elsewhere"))),
    Row("book.install_license", "install_license", "before after", lambda w: w.book.install_license(License(100))),
    Row(
        "book.install_deck",
        "install_deck",
        "name valid_from count digest",
        lambda w: w.book.install_deck(RateDeck([Rate("40", Tariff(price=1))], name="retail")),
    ),
    Row("book.reveal_calls", "reveal_calls", "query", lambda w: w.book.reveal_calls()),
    Row("book.watch_guessing, where it alarms", "guessing_alarm", "failures minutes usual", lambda w: w.alarm()),
    Row("book.purge_expired", "", "", lambda w: w.book.purge_expired()),
    Row("book.sweep", "sweep", "serials count", lambda w: (w.hold(), w.clock.move(minutes=1), w.book.sweep())),
    Row("extension.configure", "configure", "before after", lambda w: w.extension.configure(seconds_to_dial=9)),
    Row("extension.generate", "generate", MADE, lambda w: w.extension.generate(3, order_number="PO-2")),
    Row("extension.add", "add", MADE, lambda w: w.extension.add(["7704"], credit=1)),
    Row(
        "extension.upload",
        "upload",
        f"{MADE} rejected",
        lambda w: w.extension.upload(w.sheet("Card code,PIN\n7705,59204817\n")),
    ),
    Row(
        "extension.generate, add or upload, done before",
        "replay",
        "batch count",
        lambda w: w.extension.add(["7700183422157", "+40722123456"], pin="83016495", credit=10, operation="first"),
    ),
    Row(
        "extension.edit",
        "edit",
        "serial code pin before after",
        lambda w: w.extension.edit(w.serials[0], code="7706", pin="59204817"),
    ),
    Row("extension.enable", "enable", CHANGED, lambda w: w.extension.enable(w.serials)),
    Row("extension.disable", "disable", CHANGED, lambda w: w.extension.disable(w.serials)),
    Row(
        "extension.disable, of a query",
        "disable",
        "query matching before",
        lambda w: w.extension.disable(CardQuery(batch=w.batch)),
    ),
    Row("extension.remove", "remove", CHANGED, lambda w: w.extension.remove(w.serials)),
    Row(
        "extension.remove_unused",
        "remove_unused",
        "query matching before",
        lambda w: w.extension.remove_unused(older_than=timedelta(0)),
    ),
    Row(
        "extension.set_expiry",
        "set_expiry",
        f"{CHANGED} expires_at",
        lambda w: w.extension.set_expiry(w.serials, w.clock.now),
    ),
    Row(
        "extension.disable_expired",
        "disable_expired",
        "serials count",
        lambda w: (w.extension.set_expiry(w.serials, w.clock.now), w.clock.move(days=1), w.extension.disable_expired()),
    ),
    Row(
        "extension.label_cards",
        "label_cards",
        f"{CHANGED} add remove",
        lambda w: w.extension.label_cards(w.serials, add=["vip"]),
    ),
    Row("extension.reveal", "reveal", "serial", lambda w: w.extension.reveal(w.serials[0])),
    Row("extension.reveal_calls", "reveal_calls", "query", lambda w: w.extension.reveal_calls()),
    Row(
        "extension.export, with reveal=True",
        "export",
        "query matching",
        lambda w: w.extension.export(Path("cards.csv"), reveal=True),
    ),
    Row(
        "extension.authenticate",
        "authenticate",
        "by ingress reason serial",
        lambda w: w.extension.authenticate("7700183422157", pin="83016495", ingress="trunk 1"),
    ),
    Row("extension.authenticate, of nobody", "authenticate", "by ingress reason", lambda w: w.fail()),
    Row(
        "extension.authenticate_caller",
        "authenticate",
        "by source reason serial",
        lambda w: w.extension.authenticate_caller("+40722123456", pin="83016495"),
    ),
    Row("extension.hold", "hold", "serial hold amount expires_at", lambda w: w.hold()),
    Row(
        "extension.extend",
        "extend",
        "serial hold amount expires_at",
        lambda w: w.extension.extend(w.hold(), amount=4, expires_in=timedelta(hours=1)),
    ),
    Row("extension.capture", "capture", ENDED, lambda w: w.extension.capture(w.hold(), 2)),
    Row("extension.release", "release", ENDED, lambda w: w.extension.release(w.hold())),
    Row(
        "extension.sweep",
        "sweep",
        "serials count",
        lambda w: (w.hold(), w.clock.move(minutes=1), w.extension.sweep()),
    ),
    Row("extension.begin_call", "begin_call", "serial hold prefix amount expires_at", lambda w: w.call()),
    Row(
        "call.keep_alive",
        "keep_alive",
        "serial hold amount expires_at",
        lambda w: (call := w.call(), w.extension.recharge(w.serials[0], 5), call.keep_alive()),
    ),
    Row("call.end", "end_call", f"{ENDED} prefix seconds", lambda w: w.call().end(61)),
    Row("extension.unblock", "unblock", "serial failures", lambda w: w.extension.unblock(w.serials[0])),
    Row("extension.disable_batch", "disable_batch", "batch before after", lambda w: w.extension.disable_batch(w.batch)),
    Row(
        "extension.enable_batch",
        "enable_batch",
        "batch before after",
        lambda w: (w.extension.disable_batch(w.batch), w.extension.enable_batch(w.batch)),
    ),
    Row(
        "extension.label_batch",
        "label_batch",
        "batch before after",
        lambda w: w.extension.label_batch(w.batch, add=["vip"]),
    ),
    Row(
        "extension.recharge",
        "recharge",
        "serial amount order_number before after",
        lambda w: w.extension.recharge(w.serials[0], 5, order_number="PO-3"),
    ),
    Row(
        "extension.recharge_many",
        "recharge",
        "serials amounts count order_number",
        lambda w: w.extension.recharge_many([(serial, 5) for serial in w.serials]),
    ),
    Row(
        "extension.transfer",
        "transfer",
        "serials amount order_number before after",
        lambda w: w.extension.transfer(w.serials[0], w.serials[1], amount=5),
    ),
    Row(
        "extension.settle_calls",
        "settle_calls",
        "serials amounts count",
        lambda w: w.extension.settle_calls([CallRecord("call 1", w.serials[0], "40213123456", w.clock.now, 60)]),
    ),
    Row(
        "extension.import_cdrs",
        "settle_calls",
        "serials amounts count",
        lambda w: w.extension.import_cdrs(
            w.sheet(f"uniqueid,card,dst,start,billsec\n1,{w.serials[0]},40213123456,2026-03-01 08:00:00,60\n")
        ),
    ),
]

READS: Final[dict[str, Callable[[World], object]]] = {
    "book.close": lambda w: w.book.close,
    "book.acting_as": lambda w: w.book.acting_as("bob"),
    "book.over": lambda w: w.book.over(MemoryStore()),
    "book.extension": lambda w: w.book.extension("0009*1"),
    "book.extensions": lambda w: w.book.extensions(),
    "book.decks": lambda w: w.book.decks(),
    "book.deck": lambda w: w.book.deck(),
    "book.audit_trail": lambda w: list(w.book.audit_trail()),
    "book.audit_page": lambda w: w.book.audit_page(),
    "book.on_commit": lambda w: w.book.on_commit(print),
    "book.release_hooks": lambda w: w.book.release_hooks(),
    "book.checkpoint": lambda w: w.book.checkpoint(SigningKey.generate("key")),
    "book.verify": lambda w: w.book.verify(),
    "extension.holds": lambda w: w.extension.holds(w.serials[0]),
    "extension.call": lambda w: outcome(lambda: w.extension.call(w.serials[0], call_id="call 1")),
    "extension.asks_for": lambda w: w.extension.asks_for("+40722123456"),
    "extension.guesses": lambda w: w.extension.guesses(w.serials[0]),
    "extension.batches": lambda w: w.extension.batches(),
    "extension.batch": lambda w: w.extension.batch(w.batch),
    "extension.history": lambda w: list(w.extension.history(w.serials[0])),
    "extension.find": lambda w: w.extension.find(code="7700183422157"),
    "extension.get": lambda w: w.extension.get(w.serials[0]),
    "extension.search": lambda w: list(w.extension.search()),
    "extension.page": lambda w: w.extension.page(),
    "extension.count": lambda w: w.extension.count(),
    **{
        f"{face}.{name}": lambda w, face=face, name=name: list(getattr(getattr(w, face), name)())  # type: ignore[misc]
        for face in ("book", "extension")
        for name in ("cost_report", "recharge_report", "liability", "breakage", "ageing", "first_use_curve", "calls")
    },
    "extension.export": lambda w: w.extension.export(Path("cards.csv")),
}
"""What writes nothing, or nothing that concerns anybody."""


def shown() -> str:
    """
    Write the table as it is in the docs.
    """
    lines = ["| call | verb | detail |", "|---|---|---|"]
    for row in ROWS:
        name, comma, rest = row.call.partition(", ")
        names = [f"`{row.call}`" if not comma else f"`{name}`, {rest}"]
        detail = ", ".join(f"`{part}`" for part in row.detail.split())
        lines.append(f"| {names[0]} | {f'`{row.verb}`' if row.verb else 'none'} | {detail} |")

    return "\n".join(lines)


def methods() -> set[str]:
    """
    List the public methods of a book, of an extension and of a call, without properties.
    """
    return {
        f"{name}.{method}"
        for name, face in (("book", CardBook), ("extension", Extension), ("call", Call))
        for method, _ in inspect.getmembers(face, inspect.isfunction)
        if not method.startswith("_")
    }


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Let files be written where they go away.
    """
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.call)
def test_every_call_that_writes_leaves_the_entry_of_the_table(row: Row) -> None:
    """
    The newest entry after the call has the verb and the details that the table says, and names who acted.
    """
    world = World.new()
    before = len(list(world.book.audit_trail()))
    row.run(world)
    entries = list(world.book.audit_trail())[before:]
    newest = entries[-1:]

    assert [row.verb] * bool(row.verb) == [entry.verb for entry in newest]
    assert [set(row.detail.split())] * bool(row.verb) == [set(entry.detail) for entry in newest]
    assert ["alice"] * bool(row.verb) == [entry.actor for entry in newest]


@pytest.mark.parametrize("name", READS)
def test_what_reads_leaves_no_entry(name: str) -> None:
    """
    What is not in the table leaves the audit trail as it is.
    """
    world = World.new()
    before = list(world.book.audit_trail())
    READS[name](world)

    assert before == list(world.book.audit_trail())


def test_no_method_is_left_out() -> None:
    """
    Every public method is in the table or among those that read.
    """
    tabled = {row.call.partition(",")[0] for row in ROWS}

    assert methods() == tabled | (READS.keys() & methods())
    assert READS.keys() <= methods()


def test_the_docs_have_the_table() -> None:
    """
    The page about the audit trail shows the table as it is.
    """
    assert shown() in PAGE.read_text()


def test_no_entry_tells_a_secret() -> None:
    """
    No code, PIN or CallerID that is used here is in any entry of any row.
    """
    for row in ROWS:
        world = World.new()
        row.run(world)
        told = repr(list(world.book.audit_trail()))

        assert [
            secret for secret in ("7700183422157", "40722123456", "83016495", "59204817", "213123456") if secret in told
        ] == [], row.call
