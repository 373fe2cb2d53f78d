"""
Going over a book: a sound one is found sound whoever works in it, and no edit by hand goes unnoticed.
"""

# ruff: noqa: S608 - the statements are put together from the fixed texts of this module

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

from tests.book_world import (
    EXTENSION,
    LAX,
    MORNING,
    OTHER,
    Clock,
    book_on,
    engine_of,
    everything,
    file_book,
    findings_of,
    in_processes,
    in_threads,
    new_book,
    on_disk,
    outcome,
    sound,
)
from voipcard import (
    UNLIMITED,
    CardBook,
    CardQuery,
    Finding,
    License,
    NewCard,
    Rate,
    RateDeck,
    Tariff,
    Verification,
)
from voipcard.core.query import EntryQuery
from voipcard.errors import LicenseError, TamperedError
from voipcard.stores import AuditRecord, CardRecord, Document, EntryRecord, MemoryStore

Edit = Callable[[sqlite3.Connection, "World"], object]


@attrs.frozen
class World:
    """
    A book with a past, in a file.

    Attributes:
        path: The file.
        rich: The serial of a card that was recharged three times; it has a PIN.
        second: The serial of another one, with a transfer behind it; it has a PIN, too.
        caller: The serial of a CallerID with Unlimited credit.
        gone: The serial of a card that was removed after a recharge.
        talker: The serial of a card that has paid for two calls, the second more than it had, and for which one runs.
        other_talker: The serial of another one for which a call is running.
        batch: The batch of all of them.
    """

    path: Path
    rich: str
    second: str
    caller: str
    gone: str
    talker: str
    other_talker: str
    batch: str


CARDS: Final = [
    NewCard("7700", "8068", 10, "PO-1"),
    NewCard("7701", "8093", 20),
    NewCard("+40722", "", UNLIMITED),
    NewCard("7703", "", 5),
    NewCard("7704", "", 2),
    NewCard("7705", "", 2),
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> World:
    """
    Make the book once.
    """
    path = tmp_path_factory.mktemp("verify") / "cards.db"
    with file_book(path, license=License(100)).acting_as("alice") as book:
        extension = book.extension(EXTENSION)
        batch = extension.add(CARDS, labels=["vip"], operation="add")
        rich, second, caller, gone, talker, other_talker = (handout.serial for handout in batch)
        for amount in (5, -3, 7):
            extension.recharge(rich, amount, order_number=f"PO{amount}")
        extension.transfer(second, rich, amount=4)
        extension.recharge(gone, 1)
        extension.remove(gone)
        book.extension(OTHER).remove(book.extension(OTHER).generate(2)[0].serial)
        book.extension("0005*1").remove([card.serial for card in book.extension("0005*1").generate(2)])
        book.label_extension(EXTENSION, "Main")
        talked(book, talker, other_talker)
        assert sound(book) == ()

    return World(path, rich, second, caller, gone, talker, other_talker, batch.id)


def talked(book: CardBook, talker: str, other_talker: str) -> None:
    """
    Install two versions of a price list, and make calls.
    """
    extension, price = book.extension(EXTENSION), Rate("40", Tariff(price="0.60"))
    book.install_deck(RateDeck([price]))
    book.install_deck(RateDeck([price, Rate("1", Tariff(price=1))], valid_from=MORNING))
    extension.begin_call(talker, "40213123456", call_id="first").end(60)
    extension.begin_call(talker, "40722123456", call_id="second").end(600)
    extension.recharge(talker, 3)
    extension.begin_call(talker, "40213123457", call_id="third")
    extension.begin_call(other_talker, "40213123458", call_id="fourth")


@pytest.fixture
def world(prepared: World, tmp_path: Path) -> World:
    """
    Give a copy of it to edit.
    """
    return attrs.evolve(prepared, path=Path(shutil.copy(prepared.path, tmp_path / "cards.db")))


def edited(world: World, edit: Edit) -> None:
    """
    Edit the file as somebody with a database tool would; the edit has to change something.
    """
    with closing(sqlite3.connect(world.path)) as connection, connection:
        connection.row_factory = sqlite3.Row
        before = list(connection.iterdump())
        edit(connection, world)

        assert before != list(connection.iterdump())


def another(value: object) -> object:
    """
    Give a value of the same type that is a different one.
    """
    match value:
        case bytes():
            return value[:-1] + bytes([value[-1] ^ 1]) if value else b"\1"
        case int():
            return value ^ 2**40
        case str():
            return value + "x"
        case _:
            return 1


def sql(statement: str) -> Edit:
    """
    Make an edit of one statement, which may name the cards as `:rich` and so on.
    """

    def edit(connection: sqlite3.Connection, world: World) -> None:
        names = {name: value for name, value in attrs.asdict(world).items() if f":{name}" in statement}
        connection.execute(statement, names)

    return edit


def damaged(where: str) -> Edit:
    """
    Make an edit that changes the last byte of documents.
    """

    def edit(connection: sqlite3.Connection, _: World) -> None:
        for row in connection.execute(f"SELECT * FROM documents WHERE {where}").fetchall():
            connection.execute("UPDATE documents SET value = ? WHERE key = ?", [another(row["value"]), row["key"]])

    return edit


def swapped(table: str, column: str, first: str, second: str) -> Edit:
    """
    Make an edit that exchanges one column of two rows, which may be unique.
    """

    def edit(connection: sqlite3.Connection, world: World) -> None:
        names = {name: value for name, value in attrs.asdict(world).items() if name != "path"}
        rows = [
            connection.execute(f"SELECT * FROM {table} WHERE {where}", names).fetchone() for where in (first, second)
        ]
        connection.execute(f"DELETE FROM {table} WHERE {first} OR {second}", names)
        for row, other in (rows, rows[::-1]):
            changed = {**dict(row), column: other[column]}
            insert(connection, table, changed)

    return edit


def insert(connection: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    """
    Add a row.
    """
    columns, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", list(row.values()))


def copied(connection: sqlite3.Connection, world: World) -> None:
    """
    Copy a card that is worth something.
    """
    row = dict(connection.execute("SELECT * FROM cards WHERE serial = ?", [world.rich]).fetchone())
    insert(connection, "cards", {**row, "id": bytes(16), "serial": "COPY-000001", "index": bytes(16)})


def copied_history(connection: sqlite3.Connection, world: World) -> None:
    """
    Append the last recharge of a card once more.
    """
    rows = connection.execute("SELECT * FROM entries WHERE serial = ? ORDER BY sequence", [world.rich]).fetchall()
    insert(connection, "entries", {**dict(rows[-1]), "sequence": len(rows) + 1, "operation": None})


def rolled_back(connection: sqlite3.Connection, world: World) -> None:
    """
    Cut the last entry of a card and set the card's columns to what they were before.
    """
    rows = connection.execute("SELECT * FROM entries WHERE serial = ? ORDER BY sequence", [world.second]).fetchall()
    connection.execute("DELETE FROM entries WHERE serial = ? AND sequence = ?", [world.second, len(rows)])
    connection.execute(
        "UPDATE cards SET credit = ?, total_credit = ?, sequence = ?, chain = ?, version = version - 1"
        " WHERE serial = ?",
        [rows[-2]["credit_left"], rows[-2]["credit_left"], len(rows) - 1, rows[-2]["mac"], world.second],
    )


def wiped(connection: sqlite3.Connection, world: World) -> None:
    """
    Delete a card together with all that happened to it.
    """
    for table in ("cards", "entries"):
        connection.execute(f"DELETE FROM {table} WHERE serial = ?", [world.caller])
    for counter in ("active", f"active/{EXTENSION}", f"cards/{EXTENSION}"):
        connection.execute("UPDATE counters SET value = value - 1 WHERE key = ?", [counter])


FIRST_CALL: Final = "serial = :talker AND kind = 'charge' AND sequence = 2"
SECOND_CALL: Final = "serial = :talker AND kind = 'charge' AND sequence = 3"
LAST: Final = "(SELECT max(sequence) FROM entries WHERE serial = :rich)"

EDITS: Final[dict[str, tuple[Edit, str, set[str]]]] = {
    "credit": (sql("UPDATE cards SET credit = credit + 1 WHERE serial = :rich"), "rich", {"record", "balance"}),
    "credit and version": (
        sql(
            "UPDATE cards SET credit = 99000000, total_credit = 99000000, version = version + 1 WHERE serial = :second"
        ),
        "second",
        {"record", "balance"},
    ),
    "Unlimited": (
        sql("UPDATE cards SET credit = 9223372036854775807 WHERE serial = :rich"),
        "rich",
        {"record", "balance"},
    ),
    "entry amount": (
        sql("UPDATE entries SET amount = amount + 1 WHERE serial = :rich AND sequence = 2"),
        "rich",
        {"history"},
    ),
    "entry left": (
        sql("UPDATE entries SET credit_left = 0 WHERE serial = :rich AND sequence = 2"),
        "rich",
        {"history"},
    ),
    "first entry deleted": (sql("DELETE FROM entries WHERE serial = :rich AND sequence = 1"), "rich", {"history"}),
    "entry deleted": (sql("DELETE FROM entries WHERE serial = :rich AND sequence = 3"), "rich", {"history"}),
    "last entry cut": (sql(f"DELETE FROM entries WHERE serial = :rich AND sequence = {LAST}"), "rich", {"history"}),
    "all entries deleted": (sql("DELETE FROM entries WHERE serial = :rich"), "rich", {"history"}),
    "entries swapped": (
        swapped("entries", "sequence", "serial = :rich AND sequence = 2", "serial = :rich AND sequence = 3"),
        "rich",
        {"history"},
    ),
    "entry repeated": (copied_history, "rich", {"history"}),
    "rolled back": (rolled_back, "second", {"record"}),
    "entry of a removed card": (
        sql("UPDATE entries SET amount = amount + 1 WHERE serial = :gone AND sequence = 2"),
        "gone",
        {"history"},
    ),
    "last entry of a removed card": (
        sql("DELETE FROM entries WHERE serial = :gone AND sequence = 2"),
        "gone",
        {"history"},
    ),
    "history of a removed card": (sql("DELETE FROM entries WHERE serial = :gone"), "gone", {"history"}),
    "card deleted": (sql("DELETE FROM cards WHERE serial = :rich"), "rich", {"record"}),
    "card copied": (copied, "COPY-000001", {"record", "history"}),
    "index swapped": (swapped("cards", "index", "serial = :rich", "serial = :second"), "rich", {"record"}),
    "code swapped": (swapped("cards", "sealed_code", "serial = :rich", "serial = :second"), "second", {"record"}),
    "PIN swapped": (swapped("cards", "sealed_pin", "serial = :rich", "serial = :second"), "second", {"record"}),
    "PIN removed": (sql("UPDATE cards SET pin_mac = x'', sealed_pin = x'' WHERE serial = :rich"), "rich", {"record"}),
    "enabled": (sql("UPDATE cards SET enabled = 0 WHERE serial = :rich"), "rich", {"record"}),
    "serials swapped": (swapped("cards", "serial", "serial = :rich", "serial = :second"), "rich", {"record"}),
    "hold released": (
        sql("UPDATE cards SET held = 0, holds = x'', next_hold_expiry = NULL WHERE serial = :talker"),
        "talker",
        {"record"},
    ),
    "hold of another card": (
        swapped("cards", "holds", "serial = :talker", "serial = :other_talker"),
        "talker",
        {"record"},
    ),
    "held credit": (sql("UPDATE cards SET held = held - 1 WHERE serial = :talker"), "talker", {"record"}),
    "end of a hold": (
        sql("UPDATE cards SET next_hold_expiry = next_hold_expiry + 1 WHERE serial = :talker"),
        "talker",
        {"record"},
    ),
    "shortfall forgiven": (sql(f"UPDATE entries SET shortfall = 0 WHERE {SECOND_CALL}"), "talker", {"history"}),
    "shortfall that is none": (
        sql(f"UPDATE entries SET shortfall = NULL WHERE {FIRST_CALL}"),
        "talker",
        {"history"},
    ),
    "seconds of a call": (sql(f"UPDATE entries SET seconds = seconds - 1 WHERE {FIRST_CALL}"), "talker", {"history"}),
    "number that was called": (
        swapped("entries", "sealed_rest", FIRST_CALL, SECOND_CALL),
        "talker",
        {"history"},
    ),
    "rest of a number moved into its prefix": (
        sql(f"UPDATE entries SET prefix = prefix || '7' WHERE {FIRST_CALL}"),
        "talker",
        {"history"},
    ),
    "charge that is a release": (
        sql(f"UPDATE entries SET kind = 'release', amount = 0 WHERE {FIRST_CALL}"),
        "talker",
        {"history"},
    ),
    "call deleted": (sql(f"DELETE FROM entries WHERE {FIRST_CALL}"), "talker", {"history"}),
    "price list": (damaged("key = 'deck/default'"), "deck/default", {"document"}),
    "price lists of one version deleted": (
        sql("DELETE FROM documents WHERE key = (SELECT min(key) FROM documents WHERE key LIKE 'rates/%')"),
        "documents",
        {"tally"},
    ),
    "price lists deleted": (
        sql("DELETE FROM documents WHERE key = 'deck/default' OR key LIKE 'rates/%'"),
        "documents",
        {"tally"},
    ),
    "counter of all": (sql("UPDATE counters SET value = value - 1 WHERE key = 'active'"), "active", {"counter"}),
    "counter deleted": (sql("DELETE FROM counters WHERE key = 'active'"), "active", {"counter"}),
    "counter of an extension": (
        sql(f"UPDATE counters SET value = 0 WHERE key = 'active/{EXTENSION}'"),
        f"active/{EXTENSION}",
        {"counter"},
    ),
    "counter of cards": (
        sql(f"UPDATE counters SET value = 7 WHERE key = 'cards/{OTHER}'"),
        f"cards/{OTHER}",
        {"counter"},
    ),
    "counter of an empty extension": (
        sql("UPDATE counters SET value = 1 WHERE key = 'active/0005*1'"),
        "active/0005*1",
        {"counter"},
    ),
    "extension deleted": (
        sql(f"DELETE FROM documents WHERE key = 'extension/{EXTENSION}'"),
        "rich",
        {"index"},
    ),
    "extension's id": (
        swapped("documents", "value", f"key = 'extension/{EXTENSION}'", f"key = 'extension/{OTHER}'"),
        f"extension/{OTHER}",
        {"document"},
    ),
    "license": (damaged("key = 'license'"), "license", {"document"}),
    "license deleted": (sql("DELETE FROM documents WHERE key = 'license'"), "license", {"document"}),
    "batch deleted": (
        sql("DELETE FROM documents WHERE key = 'batch/' || :batch"),
        "the batch",
        {"document"},
    ),
    "tombstone deleted": (sql("DELETE FROM documents WHERE key LIKE 'tombstone/%'"), "gone", {"record"}),
    "card and history deleted": (wiped, "the batch", {"document"}),
}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_by_hand_is_found(name: str, world: World) -> None:
    """
    Whatever is edited in the file, verification names what was edited and how it is wrong, and raises nothing.
    """
    edit, subject, parts = EDITS[name]
    subject = f"batch/{world.batch}" if subject == "the batch" else getattr(world, subject, subject)
    edited(world, edit)
    with file_book(world.path) as book:
        report = book.verify()

        assert not report.ok
        assert parts <= {finding.part for finding in report.findings if finding.subject == subject}
        assert (report.cards, report.documents) != (0, 0)


KEYS: Final = {"cards": "rowid", "entries": "mac", "audit": "id", "documents": "key"}
"""What tells the rows of a table apart while one column is edited."""

COLUMNS: Final = [
    *(("cards", "serial = :rich", column) for column in CardRecord._fields),
    *(("cards", "serial = :caller", column) for column in CardRecord._fields),
    *(("entries", "serial = :rich AND sequence = 2", column) for column in EntryRecord._fields),
    *(("entries", "serial = :gone AND sequence = 1", column) for column in EntryRecord._fields),
    *(("cards", "serial = :talker", column) for column in CardRecord._fields),
    *(("entries", FIRST_CALL, column) for column in EntryRecord._fields),
    *(("entries", SECOND_CALL, column) for column in EntryRecord._fields),
    *(("audit", f"verb = '{verb}'", column) for verb in ("transfer", "end_call") for column in AuditRecord._fields),
    *(
        ("documents", f"key LIKE '{key}%'", column)
        for key in ("batch", "deck/", "extension/", "license", "operation", "rates/", "tombstone")
        for column in Document._fields
    ),
]


def test_no_column_can_be_edited_unnoticed(world: World) -> None:
    """
    Every column of every kind of row is covered: changing any single one of them is found.

    Putting it back makes the book sound again.
    """
    unnoticed = []
    with closing(sqlite3.connect(world.path, isolation_level=None)) as connection, file_book(world.path) as book:
        for table, where, column in COLUMNS:
            key = KEYS[table]
            names = {name: value for name, value in attrs.asdict(world).items() if f":{name}" in where}
            select = f'SELECT {key}, "{column}" FROM {table} WHERE {where} ORDER BY 1 LIMIT 1'
            row, value = connection.execute(select, names).fetchone()
            update = f'UPDATE {table} SET "{column}" = ? WHERE {key} = ?'
            # What was empty gets a value: bytes where bytes belong, else a number.
            connection.execute(update, [b"?" if column == "operation" and value is None else another(value), row])
            if not findings_of(book):
                unnoticed.append((table, where, column))
            connection.execute(update, [value, another(row) if column == key else row])

        assert unnoticed == []
        assert sound(book) == ()


def test_a_removed_key_ring_or_book_document_is_not_a_crash(world: World) -> None:
    """
    A book without the document that says its currency is refused as tampered with, when it is opened.
    """
    edited(world, damaged("key = 'book'"))

    assert (TamperedError, "book", "document") == outcome(lambda: file_book(world.path))
    edited(world, sql("DELETE FROM documents WHERE key = 'book'"))
    assert (TamperedError, "book", "document") == outcome(lambda: file_book(world.path))


def test_an_edited_credit_is_refused_at_once(world: World) -> None:
    """
    A card whose credit was edited can neither be shown nor changed; the others can.
    """
    edited(world, sql("UPDATE cards SET credit = 99000000, version = version + 1 WHERE serial = :rich"))
    with file_book(world.path).acting_as("alice") as book:
        extension = book.extension(EXTENSION)
        calls: list[Callable[[], object]] = [
            lambda: extension[world.rich],
            lambda: extension.find(code="7700"),
            lambda: extension.get(serial=world.rich),
            lambda: world.rich in extension,
            lambda: list(extension.search()),
            lambda: list(extension.search(code_prefix="7700")),
            extension.page,
            lambda: extension.recharge(world.rich, 1),
            lambda: extension.recharge(world.rich, 5, order_number="PO5"),
            lambda: extension.recharge_many([(world.second, 1), (world.rich, 1)]),
            lambda: extension.transfer(world.rich, world.second, amount=1),
            lambda: extension.transfer(world.second, world.rich, amount=1),
            lambda: extension.history(world.rich),
            lambda: extension.edit(world.rich, pin=""),
            lambda: extension.enable(world.rich),
            lambda: extension.disable(CardQuery()),
            lambda: extension.remove(world.rich),
            lambda: extension.reveal(world.rich),
            lambda: extension.generate(1, operation="x") and extension.add("7799") and list(extension),
        ]
        answers = [outcome(call) for call in calls]

        assert [(TamperedError, world.rich, "record")] * len(calls) == answers
        assert extension.recharge(world.second, 1).credit_left == extension[world.second].credit


def test_what_else_was_edited_is_refused_when_it_is_used(world: World) -> None:
    """
    An edited extension, license, operation or audit entry is an error for whoever needs it.
    """
    edited(world, damaged(f"key = 'license' OR key LIKE 'operation/%' OR key = 'extension/{OTHER}'"))
    edited(world, sql("UPDATE audit SET actor = 'mallory' WHERE verb = 'transfer'"))
    with file_book(world.path) as book:
        extension = book.extension(EXTENSION)
        answers: list[Any] = [
            outcome(call)
            for call in (
                lambda: extension.add(["7700"], operation="add"),
                lambda: book.extension(OTHER).label,
                book.extensions,
                lambda: list(book.audit_trail()),
            )
        ]

        assert [TamperedError] * len(answers) == [answer[0] for answer in answers]
        assert [f"extension/{OTHER}"] * 2 == [answer[1] for answer in answers[1:3]]
        assert (LicenseError, "tampered") == outcome(lambda: extension.generate(1))
        assert (License(0), "tampered", 0) == (book.license, book.license_state.problem, book.quota.limit)


def test_codes_are_not_given_out_again_from_an_edited_history(world: World) -> None:
    """
    Where the first entry of a card is missing, a replay says so.
    """
    edited(world, sql("DELETE FROM entries WHERE serial = :rich AND sequence = 1"))
    with file_book(world.path) as book:
        answer = outcome(lambda: book.extension(EXTENSION).add(CARDS, labels=["vip"], operation="add"))

        assert (TamperedError, world.rich, "history") == answer


def test_an_owner_of_the_keys_cannot_mix_cards_up_either() -> None:
    """
    A record that is signed but whose index, seal or balance is another card's is found by its part.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    codes = ["7700", "7701", "7702", "7703"]
    first, second, third, fourth = (handout.serial for handout in extension.add(codes, pin="8068"))
    engine = engine_of(book)
    records = [engine.card(EXTENSION, serial) for serial in (first, second, third, fourth)]
    other_pin = engine.records.keyring.pin_mac("8093", owner=records[3].id)
    forged = [
        records[0]._replace(index=bytes(16)),
        records[1]._replace(sealed_pin=records[0].sealed_pin),
        records[2]._replace(credit=1),
        records[3]._replace(pin_mac=other_pin),
    ]
    changes = [(engine.records.signed(record._replace(version=2)), 1) for record in forged]
    engine.commit(attrs.evolve(engine.activating(EXTENSION, 0), replace=changes))

    assert {(first, "index"), (second, "PIN"), (third, "balance"), (fourth, "PIN")} == findings_of(book)


def test_a_removed_card_does_not_rise_again(tmp_path: Path) -> None:
    """
    A card that is put back from a copy, after it was removed, is found.
    """
    path = tmp_path / "cards.db"
    with file_book(path) as book:
        extension = book.extension(EXTENSION)
        [handout] = extension.generate(1, credit=10)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.row_factory = sqlite3.Row
            [row] = connection.execute("SELECT * FROM cards").fetchall()
            extension.remove(handout.serial)
            insert(connection, "cards", dict(row))

        assert (handout.serial, "record") in findings_of(book)


def test_an_entry_that_cannot_be_read_is_damaged(world: World) -> None:
    """
    An amount that no amount can be is refused where the history is read, not only where the book is gone over.
    """
    edited(world, sql("UPDATE entries SET amount = -9223372036854775808 WHERE serial = :rich AND sequence = 2"))
    with file_book(world.path) as book:
        answer = outcome(lambda: list(book.extension(EXTENSION).history(world.rich)))

        assert answer == (TamperedError, world.rich, "history")
        assert findings_of(book) == {(world.rich, "history")}


# Sound books


def test_a_report_tells_what_was_gone_over(world: World) -> None:
    """
    Cards, entries, documents and audit entries are counted, those of removed cards too.

    Nothing is written, and progress is told.
    """
    told: list[tuple[int, int | None]] = []
    before = on_disk(world.path)
    with file_book(world.path) as book:
        report = book.verify(progress=lambda done, total: told.append((done, total)))
        trail = len(list(book.audit_trail()))

    assert Verification(6, 5 + 2 + 1 + 2 + 4 + 1 + 2 + 2, report.documents, trail, ()) == report
    assert report.ok
    assert told == [(6, 6)]
    # 3 batches, 3 extensions, 4 tombstones, the book, its license, an operation, and a price list in two versions.
    assert report.documents == 16
    assert before[""] == on_disk(world.path)[""]


def test_an_empty_book_is_sound() -> None:
    """
    Where there is nothing but a currency, nothing is wrong.
    """
    assert Verification(0, 0, 1, 0, ()) == new_book().verify()


def test_a_long_book_is_gone_over_page_by_page() -> None:
    """
    Every card, every entry and every document counts once, however many pages they are.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    made = [handout.serial for handout in extension.generate(2100)]
    extension.recharge_many([(made[0], 1)] * 1100)
    extension.remove(made[1:1101])
    told: list[int] = []
    report = book.verify(progress=lambda done, _: told.append(done))

    assert (report.cards, report.entries, report.documents, report.findings) == (1000, 2100 + 1100, 1100 + 3, ())
    assert told == [1000]


def test_a_finding_is_told_once() -> None:
    """
    What is found twice is one finding.
    """
    assert (("A", "record"), Finding("A", "record")) == (
        attrs.astuple(Finding("A", "record")),
        Finding(subject="A", part="record"),
    )
    assert not Verification(1, 1, 1, 1, (Finding("A", "record"),)).ok


class Interrupted(MemoryStore):
    """
    A store in which others do something before the reads of somebody who goes over it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.meddlers: dict[str, Iterator[Callable[[], object]]] = {}

    def _others_first(self, name: str) -> None:
        meddle = next(self.meddlers.get(name, iter(())), None)
        if meddle:
            meddle()

    def entries(self, query: EntryQuery) -> Sequence[EntryRecord]:
        """
        Let others go first.
        """
        self._others_first("history" if query.card else "entries")

        return super().entries(query)

    def count(self, query: CardQuery) -> int:
        """
        Let others go first.
        """
        self._others_first("count")

        return super().count(query)

    def counters(self, keys: Iterable[str]) -> Mapping[str, int]:
        """
        Let others go first.
        """
        self._others_first("counters")

        return super().counters(keys)


def interrupted() -> tuple[CardBook, CardBook, Interrupted]:
    """
    Give a book, another handle on it, and the store between them.
    """
    store = Interrupted()

    return book_on(store), book_on(store.another()), store


def test_cards_may_be_removed_while_a_book_is_gone_over() -> None:
    """
    A card that goes away between two reads is no finding, whichever reads they are.
    """
    book, other, store = interrupted()
    made = [handout.serial for handout in book.extension(EXTENSION).generate(20)]
    waiting = iter(made)
    remove: list[Callable[[], object]] = [lambda: other.extension(EXTENSION).remove(next(waiting))] * 20
    for read, times in (("entries", 1), ("history", 2), ("count", 2), ("count", 4)):
        store.meddlers = {read: iter(remove[:times])}
        assert sound(book) == ()
        assert list(store.meddlers[read]) == []

    assert book.extension(EXTENSION).count() == 11
    assert sound(book) == ()


def test_cards_may_be_recharged_while_a_book_is_gone_over() -> None:
    """
    A card that changes between the read of its record and that of its history is no finding.
    """
    book, other, store = interrupted()
    made = [handout.serial for handout in book.extension(EXTENSION).generate(3)]
    rounds = iter(sorted(made))
    recharge: list[Callable[[], object]] = [lambda: other.extension(EXTENSION).recharge(next(rounds), 1)] * 3
    store.meddlers = {"history": iter(recharge)}

    assert sound(book) == ()
    assert list(rounds) == []


def test_cards_may_be_made_while_a_book_is_gone_over() -> None:
    """
    A card that comes between two reads of a counter and the cards it counts is no finding.
    """
    book, other, store = interrupted()
    book.extension(EXTENSION).generate(3)
    make: list[Callable[[], object]] = [lambda: other.extension(EXTENSION).generate(1)] * 3
    store.meddlers = {"count": iter(make)}

    assert sound(book) == ()
    assert book.extension(EXTENSION).count() == 6


def test_a_counter_that_never_stands_still_is_no_finding() -> None:
    """
    Where others make cards before every single read, a counter cannot be compared, and is not said to be wrong.
    """
    book, other, store = interrupted()
    book.extension(EXTENSION).generate(3)
    make: list[Callable[[], object]] = [lambda: other.extension(EXTENSION).generate(1)] * 100
    store.meddlers = {"count": iter(make), "counters": iter(make)}

    assert sound(book) == ()
    store.meddlers = {}
    assert sound(book) == ()


def test_a_busy_file_is_sound(tmp_path: Path) -> None:
    """
    While threads recharge, make, disable and remove cards, verification finds nothing, again and again.
    """
    path = tmp_path / "cards.db"
    clock = Clock()
    with file_book(path, clock=clock) as book:
        extension = book.extension(EXTENSION)
        made = [handout.serial for handout in extension.generate(10)]

        def work(number: int) -> int:
            with file_book(path, clock=clock) as own:
                extension = own.extension(EXTENSION)
                if number == 0:
                    return sum(len(own.verify().findings) for _ in range(8))
                for turn in range(12):
                    extension.recharge(made[(number + turn) % 5], 1)
                    extension.disable(made[turn % 10])
                    extension.enable(made[turn % 10])
                    extension.remove(extension.generate(1)[0].serial)

            return 0

        assert in_threads(work, 3) == [0, 0, 0]
        assert sound(book) == ()
        assert len(everything(book)["cards"]) == 10  # type: ignore[arg-type]


def busy(path: Path, number: int) -> list[Finding]:
    """
    Go over a book again and again, as the first of several processes; let four threads write, as one of the others.
    """
    with file_book(path, clock=Clock()) as book:
        extension = book.extension(EXTENSION)
        if not number:
            return [finding for _ in range(12) for finding in book.verify().findings]
        old = [card.serial for card in extension.search(order_number="PO-1")]

        def work(thread: int) -> None:
            for turn in range(10):
                extension.recharge_many([(handout.serial, 1) for handout in extension.generate(2, credit=1)])
                extension.transfer(old[thread], old[turn + 5], amount="0.01")
                extension.remove(extension.generate(1)[0].serial)
                book.label_extension(OTHER, f"{number} {thread} {turn}")

        in_threads(work, 4)

    return []


def test_a_book_that_processes_write_to_is_sound(tmp_path: Path) -> None:
    """
    While two processes with four threads each write, no verification finds anything, and the last one neither.
    """
    path = tmp_path / "cards.db"
    with file_book(path) as book:
        book.extension(EXTENSION).generate(20, credit=5, order_number="PO-1")

    assert in_processes(busy, path, times=3) == [[], [], []]
    with file_book(path) as book:
        assert sound(book) == ()


class Template(str):
    """
    A text that shows itself otherwise, as those of enumerations and templates do.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return "<template>"

    def __str__(self) -> str:
        return "template"

    def __format__(self, _: str) -> str:
        return "template"


def test_of_what_class_a_text_is_does_not_matter(tmp_path: Path) -> None:
    """
    What is given as a text of another class is kept, authenticated and looked for by its characters.
    """
    text, path = Template, tmp_path / "cards.db"
    with file_book(path, policy=LAX) as anonymous:
        book = anonymous.acting_as(text("alice"))
        book.label_extension(text(EXTENSION), text("Main"))
        book.disable_extension(text(EXTENSION))
        book.enable_extension(text(EXTENSION))
        extension = book.extension(text(EXTENSION))
        extension.configure(no_credit_sound=text("gone"), caller_number_text=text("123"))
        batch = extension.generate(2, credit=text("5"), order_number=text("PO-1"), labels=[text("to print")])
        extension.add([NewCard(text("7700"), text("4711"), 1, text("PO-2")), NewCard(text("+40722"))])
        one, other = (text(handout.serial) for handout in batch)
        extension.recharge(one, text("1.5"), order_number=text("PO-3"))
        extension.transfer(one, other, amount=1, order_number=text("PO-4"))
        extension.edit(one, code=text("7701"), pin=text("4712"))
        extension.label_cards([one], add=[text("printed")])
        extension.label_batch(text(batch.id), add=[text("shipped")])
        extension.disable_batch(text(batch.id))
        extension.enable_batch(text(batch.id))
        extension.disable([one, other])
        extension.enable(CardQuery(batch=text(batch.id)))
        extension.reveal(one)
        extension.authenticate(text("7701"), pin=text("4712"), source=text("1"), ingress=text("2"), call_id=text("3"))
        extension.remove(other)
        assert sound(book) == ()
    with file_book(path) as book:
        assert sound(book) == ()
        assert [extension.label for extension in book.extensions()] == ["Main"]
        assert "template" not in repr((list(book.audit_trail()), everything(book)))
