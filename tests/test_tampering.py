"""
Every kind of change from outside is found: of records, history, audit trail, heads, documents, tombstones and counters.

Among the records are cards with running calls, in the history calls that were charged, in the documents price lists.
"""

# ruff: noqa: S608 - the statements are put together from the fixed texts of this module

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeAlias

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.book_world import EXTENSION, MORNING, OTHER, file_book, findings_of, on_disk, sound
from voipcard import UNLIMITED, CallRecord, CardBook, License, NewCard, Rate, RateDeck, Tariff
from voipcard.core.holds import unpacked
from voipcard.names import TRAIL
from voipcard.stores import EntryRecord
from voipcard.trail import LANES, lane_of

Row: TypeAlias = dict[str, Any]
Change: TypeAlias = Callable[[sqlite3.Connection], object]

CALLED: Final = "40213123456"
DECK: Final = RateDeck([Rate("40", Tariff(price="0.60"), "Romania"), Rate("1", Tariff(price="0.30"))])
"""A call of ten minutes costs more than a card of 5 has."""

KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "cards": ("id",),
    "entries": ("card", "sequence"),
    "documents": ("key",),
    "audit": ("id",),
    "counters": ("key",),
}
"""What tells the rows of each table apart."""


@attrs.frozen
class Mutation:
    """
    One change from outside.

    Attributes:
        name: What is changed, and how.
        apply: Does it.
    """

    name: str
    apply: Change


@attrs.define
class World:
    """
    A book with a past in a file, and everything that can be done to it.

    Attributes:
        path: The file.
        connection: A connection to it, for those who tamper.
        now: The whole file as the library wrote it.
        before: What it was some time ago.
    """

    path: Path
    connection: sqlite3.Connection
    now: sqlite3.Connection
    before: sqlite3.Connection

    def rows(self, table: str, *, before: bool = False) -> dict[tuple[Any, ...], Row]:
        """
        Give the rows of a table by what tells them apart.
        """
        found = (self.before if before else self.now).execute(f"SELECT * FROM {table}").fetchall()

        return {tuple(row[name] for name in KEYS[table]): dict(row) for row in found}

    def unnoticed(self, mutations: Iterable[Mutation]) -> tuple[list[str], int]:
        """
        Try changes one by one, and tell which of them verification does not find, and how many there were.
        """
        missed, count = [], 0
        with file_book(self.path) as book:
            for mutation in mutations:
                if self.is_changed_by([mutation]):
                    count += 1
                    missed += [] if findings_of(book) else [mutation.name]
                self.now.backup(self.connection)

            assert sound(book) == ()

        return missed, count

    def is_changed_by(self, mutations: Sequence[Mutation]) -> bool:
        """
        Tamper, and tell whether anything is different then.
        """
        for mutation in mutations:
            try:
                mutation.apply(self.connection)
            except sqlite3.IntegrityError:  # It is unique, and the database itself refuses.
                return False

        return contents(self.connection) != contents(self.now)


def contents(connection: sqlite3.Connection) -> list[list[tuple[Any, ...]]]:
    """
    Give everything that is in a file.
    """
    return [
        [tuple(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY {', '.join(key)}")]
        for table, key in KEYS.items()
    ]


def copied(connection: sqlite3.Connection) -> sqlite3.Connection:
    """
    Keep a file as it is now.
    """
    copy = sqlite3.connect(":memory:")
    copy.row_factory = sqlite3.Row
    connection.backup(copy)

    return copy


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """
    Make the book once, written to through several lanes. Whoever changes it puts it back.
    """
    path = tmp_path_factory.mktemp("tampering") / "cards.db"
    with (
        closing(sqlite3.connect(path, isolation_level=None)) as connection,
        file_book(path, license=License(100)).acting_as("alice") as book,
        file_book(path).acting_as("bob") as other,
    ):
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA synchronous=OFF")
        serials = begun(book)
        before = copied(connection)
        continued(book, serials)
        called(other, serials)
        continued(other, serials)
        now = copied(connection)
        yield World(path, connection, now, before)


def begun(book: CardBook) -> list[str]:
    """
    Do some of everything.
    """
    extension = book.extension(EXTENSION)
    cards = [NewCard("7700", "8068", 10, "PO-1"), NewCard("7701", "8093", 20), NewCard("+40722", "", UNLIMITED)]
    serials = [handout.serial for handout in extension.add([*cards, NewCard("7703", "", 5)], operation="add")]
    extension.recharge(serials[0], 5, order_number="PO-2")
    book.label_extension(EXTENSION, "Main")
    book.extension(OTHER).generate(2, credit=3)
    book.install_deck(DECK)
    extension.begin_call(serials[1], CALLED, call_id="running", reserve=timedelta(minutes=5))

    return serials


def called(book: CardBook, serials: Sequence[str]) -> None:
    """
    Do all that is done with calls.
    """
    extension = book.extension(EXTENSION)
    book.install_deck(RateDeck(DECK.rates, valid_from=MORNING))
    extension.begin_call(serials[0], CALLED, call_id="charged").end(95)
    extension.settle_calls([CallRecord("imported", serials[3], CALLED, MORNING, 600)])
    extension.release(extension.hold(serials[2], 1, expires_in=timedelta(hours=1)))
    extension.hold(serials[0], 1, expires_in=timedelta(hours=1))


def continued(book: CardBook, serials: Sequence[str]) -> None:
    """
    Do more of everything.
    """
    extension = book.extension(EXTENSION)
    extension.recharge(serials[0], 7)
    extension.transfer(serials[1], serials[0], amount=2)
    extension.disable(serials[2])
    extension.enable(serials[2])
    extension.disable(serials[3])
    extension.edit(serials[1], pin="4711")
    extension.reveal(serials[1])
    made = extension.generate(2, credit=1)
    extension.recharge(made[0].serial, 1)
    extension.remove(made[0].serial)
    book.label_extension(EXTENSION, f"Main of {len(serials)}")
    book.install_license(License(99))


# What can be done to a row


def differently(value: object) -> list[object]:
    """
    Give other values of the same type.
    """
    match value:
        case None:
            return [1, b"?"]
        case int():
            return [value ^ 1, value ^ 2**40, *([0] if value else [])]
        case str():
            return [value + "x", value[1:] + "y", *([""] if value else [])]
        case bytes() if value:
            flipped = [bytes([*value[:at], value[at] ^ bit, *value[at + 1 :]]) for at, bit in _places(value)]
            return [*flipped, value[:-1], b""]
        case _:
            return [b"?"]


def _places(value: bytes) -> list[tuple[int, int]]:
    return [(0, 1), (len(value) - 1, 128)]


def named(table: str, key: Sequence[object]) -> str:
    """
    Name a row.
    """
    return f"{table} {' '.join(part.hex() if isinstance(part, bytes) else str(part) for part in key)}"


def set_to(table: str, key: Sequence[object], column: str, value: object) -> Change:
    """
    Make a change of one value.
    """
    where = " AND ".join(f"{name} = ?" for name in KEYS[table])

    def apply(connection: sqlite3.Connection) -> None:
        connection.execute(f'UPDATE {table} SET "{column}" = ? WHERE {where}', [value, *key])

    return apply


def deleted(table: str, key: Sequence[object]) -> Change:
    """
    Make a change that deletes a row.
    """
    where = " AND ".join(f"{name} = ?" for name in KEYS[table])

    return lambda connection: connection.execute(f"DELETE FROM {table} WHERE {where}", list(key))


def put(table: str, *rows: Row) -> Change:
    """
    Make a change that puts rows in, in the place of those with the same key.
    """

    def apply(connection: sqlite3.Connection) -> None:
        for row in rows:
            columns, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
            deleted(table, [row[name] for name in KEYS[table]])(connection)
            connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({marks})", list(row.values()))

    return apply


def in_turn(*changes: Change) -> Change:
    """
    Make several changes one.
    """

    def apply(connection: sqlite3.Connection) -> None:
        for change in changes:
            change(connection)

    return apply


# All that can be done


def is_unused_head(row: Row) -> bool:
    """
    Tell whether a row is the head of a lane that nothing went through: there are many, and one is like the other.
    """
    return str(row.get("key")).startswith(TRAIL) and row["version"] == 1 and row["key"][-1] != "7"


def edits(world: World, table: str) -> Iterator[Mutation]:
    """
    Change every value of every row, in several ways each.
    """
    for key, row in world.rows(table).items():
        if is_unused_head(row):
            continue
        for column, value in row.items():
            for number, other in enumerate(differently(value)):
                yield Mutation(f"{named(table, key)}: {column} edited, {number}", set_to(table, key, column, other))


def deletions(world: World, table: str) -> Iterator[Mutation]:
    """
    Delete every row.
    """
    for key in world.rows(table):
        yield Mutation(f"{named(table, key)} deleted", deleted(table, key))


def mixtures(world: World, table: str) -> Iterator[Mutation]:
    """
    Let rows exchange one value, or their places.
    """
    rows = [row for row in world.rows(table).values() if not is_unused_head(row)]
    for one, other in itertools.pairwise(rows):
        keys = [[row[name] for name in KEYS[table]] for row in (one, other)]
        for column in one:
            swapped = [{**one, column: other[column]}, {**other, column: one[column]}]
            yield Mutation(
                f"{named(table, keys[0])}: {column} exchanged",
                in_turn(*(deleted(table, key) for key in keys), put(table, *swapped)),
            )
        kept = {name: other[name] for name in KEYS[table]}
        yield Mutation(f"{named(table, keys[0])} repeated in the place of the next", put(table, {**one, **kept}))


def insertions(world: World) -> Iterator[Mutation]:
    """
    Put in every row once more, under a key of its own.
    """
    for row in world.rows("cards").values():
        more: Row = {"id": bytes(16), "serial": f"{row['batch']}-999999", "index": bytes(16)}
        yield Mutation(f"card {row['serial']} repeated", put("cards", {**row, **more}))
    for key, row in world.rows("entries").items():
        more = {"sequence": row["sequence"] + 100, "operation": None}
        yield Mutation(f"{named('entries', key)} repeated", put("entries", {**row, **more}))
        stranger: Row = {"card": bytes(16), "operation": None}
        yield Mutation(f"{named('entries', key)} of another card", put("entries", {**row, **stranger}))
    for key, row in world.rows("documents").items():
        if not is_unused_head(row):
            more = {"key": f"{row['key']}0"}
            yield Mutation(f"{named('documents', key)} repeated", put("documents", {**row, **more}))
    for (id,), row in world.rows("audit").items():
        lane, number = lane_of(id)
        for at, where in enumerate([(lane, number), (lane, number + 1), (lane, 10**6), (lane ^ 1, 1), (LANES, 1)]):
            other = where[0].to_bytes(2, "big") + where[1].to_bytes(8, "big") + id[:-7:-1]
            yield Mutation(f"audit {id.hex()} repeated, {at}", put("audit", {**row, "id": other}))


def returns(world: World, table: str) -> Iterator[Mutation]:
    """
    Let every row be what it was before, or not be there because it was not yet.
    """
    before = world.rows(table, before=True)
    for key, row in world.rows(table).items():
        if key not in before:
            yield Mutation(f"{named(table, key)} is not there yet", deleted(table, key))
        elif before[key] != row:
            yield Mutation(f"{named(table, key)} is as before", put(table, before[key]))
    for key in before.keys() - world.rows(table).keys():
        yield Mutation(f"{named(table, key)} is there again", put(table, before[key]))


def returned_cards(world: World) -> Iterator[Mutation]:
    """
    Let a card be what it was before, together with its history, and with all counters; or never have been made.
    """
    before, now = world.rows("cards", before=True), world.rows("cards")
    entries, counters = world.rows("entries"), world.rows("counters")
    for key, row in now.items():
        if before.get(key) == row:
            continue
        kept = before[key]["sequence"] if key in before else 0
        cut = [deleted("entries", place) for place in entries if place[0] == key[0] and place[1] > kept]
        if key in before:
            yield Mutation(f"card {row['serial']} and its history as before", in_turn(put("cards", before[key]), *cut))
            continue
        fewer = [
            set_to("counters", [name], "value", counters[name,]["value"] - 1)
            for name in ("active", f"active/{EXTENSION}", f"cards/{EXTENSION}")
        ]
        batch = deleted("documents", [f"batch/{row['batch']}"])
        yield Mutation(f"card {row['serial']} was never made", in_turn(deleted("cards", key), *cut, *fewer, batch))
    for key in world.rows("documents"):
        if key[0].startswith("tombstone/"):
            card = bytes.fromhex(key[0].removeprefix("tombstone/"))
            cut = [deleted("entries", place) for place in entries if place[0] == card]
            yield Mutation(f"{key[0]} and its history deleted", in_turn(deleted("documents", key), *cut))


def cut_lanes(world: World) -> Iterator[Mutation]:
    """
    Cut each lane at every length, leave its head as it is, or bring it back to what it was.
    """
    heads, older = world.rows("documents"), world.rows("documents", before=True)
    lanes: dict[int, list[bytes]] = {}
    for (id,) in sorted(world.rows("audit")):
        lanes.setdefault(lane_of(id)[0], []).append(id)
    for lane, ids in lanes.items():
        key = (f"{TRAIL}{lane:02x}",)
        for length in range(len(ids)):
            yield Mutation(f"lane {lane} cut to {length}", in_turn(*(deleted("audit", [id]) for id in ids[length:])))
            yield Mutation(
                f"lane {lane} without its first {length + 1}",
                in_turn(*(deleted("audit", [id]) for id in ids[: length + 1])),
            )
        whole = in_turn(*(deleted("audit", [id]) for id in ids))
        yield Mutation(f"lane {lane} gone with its head", in_turn(whole, deleted("documents", key)))
        yield Mutation(
            f"lane {lane} gone, and its head that of an empty one",
            in_turn(whole, put("documents", {**heads[(f"{TRAIL}ff",)], "key": key[0]})),
        )
        old = [row["id"] for row in world.rows("audit", before=True).values()]
        back = [deleted("audit", [id]) for id in ids if id not in old]
        if heads[key] != older[key]:
            yield Mutation(f"lane {lane} and its head as before", in_turn(put("documents", older[key]), *back))
    for one, other in itertools.permutations(lanes, 2):
        moved = lanes[one][-1]
        id = other.to_bytes(2, "big") + (len(lanes[other]) + 1).to_bytes(8, "big") + moved[10:]
        yield Mutation(f"the last of lane {one} moved to {other}", set_to("audit", [moved], "id", id))


KINDS: Final[Mapping[str, Callable[[World], Iterator[Mutation]]]] = {
    **{f"{table} edited": partial(edits, table=table) for table in KEYS},
    **{f"{table} deleted": partial(deletions, table=table) for table in KEYS},
    **{f"{table} mixed": partial(mixtures, table=table) for table in KEYS},
    **{f"{table} returned": partial(returns, table=table) for table in KEYS},
    "inserted": insertions,
    "cards and history returned": returned_cards,
    "lanes cut": cut_lanes,
}


@pytest.mark.parametrize("kind", KINDS)
def test_no_change_from_outside_goes_unnoticed(kind: str, world: World) -> None:
    """
    Whatever is edited, deleted, put in, exchanged or brought back to what it was: verification finds something.
    """
    missed, tried = world.unnoticed(KINDS[kind](world))

    assert missed == []
    assert tried > 0


def test_calls_and_price_lists_are_among_what_is_changed(world: World) -> None:
    """
    Every column of a call that was charged has a value, cards have holds, and there are versions of a price list.
    """
    charges = [row for row in world.rows("entries").values() if row["kind"] == "charge"]
    unset = {name for name in EntryRecord._fields if not any(row[name] for row in charges)}
    documents = {key.partition("/")[0] for (key,) in world.rows("documents")}

    assert unset == {"held_left", "order_number"}
    assert [row["prefix"] for row in world.rows("entries").values() if row["kind"] == "release"] == [""]
    assert sorted(len(unpacked(row["holds"])) for row in world.rows("cards").values())[-3:] == [0, 1, 1]
    assert {"deck", "rates"} <= documents


def test_there_are_thousands_of_changes(world: World) -> None:
    """
    The law above is tried with more than 2,000 changes.
    """
    assert sum(1 for kind in KINDS.values() for _ in kind(world)) > 2000


@pytest.fixture(scope="module")
def pool(world: World) -> Sequence[Mutation]:
    """
    Give every third change of all kinds.
    """
    return [mutation for kind in KINDS.values() for mutation in itertools.islice(kind(world), 0, None, 3)]


@settings(max_examples=60)
@given(data=st.data())
def test_several_changes_do_not_hide_each_other(data: st.DataObject, world: World, pool: Sequence[Mutation]) -> None:
    """
    Two to four changes of any kinds are found as well.
    """
    chosen = data.draw(st.lists(st.sampled_from(range(len(pool))), min_size=2, max_size=4, unique=True))
    with file_book(world.path) as book:
        is_changed = world.is_changed_by([pool[number] for number in chosen])
        found = findings_of(book)
        world.now.backup(world.connection)

        assert bool(found) or not is_changed, [pool[number].name for number in chosen]


def test_an_untouched_book_is_sound_and_stays_as_it_is(world: World) -> None:
    """
    The control: where nothing is changed nothing is found, and looking changes nothing.
    """
    before = on_disk(world.path)
    with file_book(world.path) as book:
        assert sound(book) == ()

    assert before[""] == on_disk(world.path)[""]
