"""
Reports beside a plain computation over all entries and cards: whatever happened, in whatever zone, grouped by whatever.
"""

from __future__ import annotations

import csv
import itertools
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.book_world import EXTENSION, MORNING, OTHER, Clock, book_on, engine_of, file_book, new_book, outcome, sound
from tests.databases import DATABASES, DatabaseKind, empty_database, engine_on, on
from voipcard import (
    UNLIMITED,
    CardBook,
    ChargedCall,
    CostRow,
    Credit,
    CreditRow,
    Extension,
    Rate,
    RateDeck,
    RechargeRow,
    Report,
    RevealedCall,
    Tariff,
    searching,
    sheets,
)
from voipcard.core.days import midnight
from voipcard.core.moments import from_micros, to_micros
from voipcard.core.query import CardQuery, EntryQuery
from voipcard.deciding import Decision, Reading
from voipcard.desk import Desk
from voipcard.errors import (
    ActorRequiredError,
    AmountError,
    InvalidValueError,
    JoinedStoreError,
    TamperedError,
    UnknownBatchError,
    UnknownCardError,
)
from voipcard.records import Charge
from voipcard.stores import CardRecord, Changes, EntryRecord, MemoryStore, SQLAlchemyStore, SQLiteStore
from voipcard.testing import samples

DAY: Final = 86_400_000_000
TURNED: Final = datetime(2026, 3, 29, 0, 30, tzinfo=UTC)
"""Half an hour before clocks are turned in Europe."""

ZONES: Final = ["UTC", "Europe/Bucharest", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Cairo"]
COSTS: Final = ["extension", "batch", "card", "destination", "day", "month"]
CHANGES: Final = ["extension", "batch", "card", "kind", "day", "month"]

Sums: TypeAlias = dict[tuple[Any, ...], list[int]]


# What happens to a book


@attrs.define
class World:
    """
    A book in which cards are made, used and removed while time passes.

    Attributes:
        clock: Its clock.
        book: The book, with somebody acting.
        cards: The serials and extensions of cards, the removed ones included.
        codes: What callers dial, by the serials.
    """

    clock: Clock = attrs.field(factory=lambda: Clock(TURNED - timedelta(days=40)))
    book: CardBook = attrs.field(
        default=attrs.Factory(lambda world: new_book(clock=world.clock).acting_as("alice"), takes_self=True)
    )
    cards: list[tuple[Extension, str]] = attrs.field(factory=list)
    codes: dict[str, tuple[str, str]] = attrs.field(factory=dict)

    def make(self, number: str, credit: Credit, expires: int | None) -> None:
        """
        Make a batch of two cards, which expire so many days later.
        """
        extension = self.book.extension(number)
        end = None if expires is None else self.clock.now + timedelta(days=expires)
        made = extension.generate(2, credit=credit, expires_at=end)
        self.cards += [(extension, handout.serial) for handout in made]
        self.codes |= {handout.serial: (handout.code, handout.pin) for handout in made}

    def do(self, step: tuple[Any, ...]) -> None:
        """
        Do one of the steps; what is refused is not done.
        """
        verb, which, *rest = step
        if verb == "make":
            self.make(which, *rest)
        elif verb == "wait":
            self.clock.move(minutes=which)
        elif self.cards:
            extension, serial = self.cards[which % len(self.cards)]
            verbs: Mapping[str, Callable[..., object]] = {
                "charge": lambda cost, minutes, prefix, seconds: charge(
                    extension,
                    serial,
                    cost,
                    started_at=TURNED + timedelta(minutes=minutes),
                    prefix=prefix,
                    seconds=seconds,
                ),
                "hold": lambda amount: extension.hold(serial, amount, expires_in=timedelta(days=3)),
                "recharge": lambda amount: extension.recharge(serial, amount),
                "transfer": lambda amount: extension.transfer(serial, self.cards[0][1], amount=amount),
                "remove": lambda: extension.remove(serial),
                "use": lambda: extension.authenticate(self.codes[serial][0], pin=self.codes[serial][1]),
            }
            outcome(lambda: verbs[verb](*rest))


def charge(
    extension: Extension,
    serial: str,
    cost: Credit,
    *,
    started_at: datetime,
    prefix: str = "",
    seconds: int | None = None,
    rest: str = "",
) -> None:
    """
    Charge a call that began at any time, as the import of a switch's record does.
    """
    engine = engine_of(extension)

    def decide(reading: Reading) -> Decision[object]:
        desk = Desk(engine, extension.number, reading.cards)
        card = desk.record(serial).id
        told = Charge(
            prefix=prefix,
            sealed_rest=engine.records.sealed_rest(card, rest) if rest else b"",
            started_at=to_micros(started_at),
            seconds=seconds,
            charged_seconds=None if seconds is None else seconds // 6 * 6 + 6,
            rate=20_000,
            tariff="retail",
        )
        desk.settle(serial, uuid.uuid4().hex, cost, told)

        return Decision(desk.changes("charge"), desk.answers, desk.memo)

    engine.decider.run(decide, cards=[serial])


numbers: Final = st.integers(0, 30)
minutes: Final = st.one_of(st.integers(-120, 120), st.integers(-60_000, 60_000))
costs: Final = st.sampled_from(["0", "0.000001", "0.25", "7", "11"]).map(Credit)
steps: Final = st.one_of(
    st.tuples(
        st.just("make"),
        st.sampled_from([EXTENSION, OTHER]),
        st.sampled_from([Credit(0), Credit(10), UNLIMITED]),
        st.sampled_from([None, 20, 200]),
    ),
    st.tuples(
        st.just("charge"),
        numbers,
        costs,
        minutes,
        st.sampled_from(["", "40", "4021", "1"]),
        st.sampled_from([None, 0, 7, 95]),
    ),
    st.tuples(st.just("hold"), numbers, st.sampled_from([Credit(1), Credit(4)])),
    st.tuples(st.just("recharge"), numbers, st.sampled_from([Credit(5), Credit(-3), UNLIMITED])),
    st.tuples(st.just("transfer"), numbers, st.just(Credit(2))),
    st.tuples(st.just("remove"), numbers),
    st.tuples(st.just("use"), numbers),
    st.tuples(st.just("wait"), st.integers(1, 20_000)),
)
histories: Final = st.lists(steps, max_size=30).map(
    lambda drawn: [("make", EXTENSION, Credit(10), None), ("make", OTHER, Credit(10), 20), *drawn]
)


def lived(history: Iterable[tuple[Any, ...]]) -> World:
    """
    Let things happen to a new book.
    """
    world = World()
    for step in history:
        world.do(step)

    return world


# The same, computed plainly


def entries_of(book: CardBook) -> list[EntryRecord]:
    """
    Give all ledger entries.
    """
    return list(engine_of(book).store.entries(EntryQuery(limit=10_000)))


def cards_of(book: CardBook) -> list[CardRecord]:
    """
    Give all cards.
    """
    return list(engine_of(book).store.cards(CardQuery(limit=10_000)))


def grouped(
    entries: Iterable[EntryRecord], by: Sequence[str], zone: tzinfo, values: Callable[[EntryRecord], Sequence[int]]
) -> Sums:
    """
    Sum entries, group by group, with a dictionary.
    """
    sums: Sums = {}
    for entry in entries:
        moment = entry.created_at if entry.started_at is None else entry.started_at
        day = from_micros(moment).astimezone(zone).date()
        told = {
            "extension": entry.extension,
            "batch": entry.batch,
            "card": entry.serial,
            "destination": entry.prefix,
            "kind": entry.kind,
            "day": day,
            "month": date(day.year, day.month, 1),
        }
        group = tuple(told[name] for name in by)
        sums[group] = [a + b for a, b in zip(sums.get(group, itertools.repeat(0)), values(entry), strict=False)]

    return dict(sorted(sums.items()))


def cost_of(entry: EntryRecord) -> Sequence[int]:
    """
    Tell what a charge adds to the sums of a report.
    """
    return (1, entry.seconds or 0, entry.charged_seconds or 0, -entry.amount, entry.shortfall or 0)


def change_of(entry: EntryRecord) -> Sequence[int]:
    """
    Tell what a change by hand adds to them.
    """
    if entry.amount == UNLIMITED.micros:
        return (1, 0, 0, 1)

    return (1, max(entry.amount, 0), max(-entry.amount, 0), 0)


def plain(report: Report[Any]) -> Sums:
    """
    Give the rows of a report as plain sums.
    """
    names = [column.name for column in report.columns[len(report.by) :]]

    return {tuple(getattr(row, name) for name in report.by): _values(row, names) for row in report}


def _values(row: object, names: Iterable[str]) -> list[int]:
    values = [getattr(row, name) for name in names]

    return [value.micros if isinstance(value, Credit) else value for value in values]


def total_of(report: Report[Any]) -> list[int]:
    """
    Give the total of a report as plain sums.
    """
    return _values(report.total, [column.name for column in report.columns[len(report.by) :]])


def summed(sums: Sums, width: int) -> list[int]:
    """
    Add up all groups.
    """
    return [sum(values[place] for values in sums.values()) for place in range(width)]


# The ledger


@attrs.frozen
class Asked:
    """
    What is asked of a report.

    Attributes:
        by: What to group by.
        zone: The time zone.
        start: The first minute, from when clocks are turned; None for no bound.
        length: How many minutes; None for no bound.
        extension: Whether only of one extension.
        batch: Of the batch of which card; None for all.
        card: Of which card; None for all.
    """

    by: list[str]
    zone: str
    start: int | None
    length: int | None
    extension: bool
    batch: int | None
    card: int | None

    def bounds(self) -> tuple[datetime | None, datetime | None]:
        """
        Give the bounds.
        """
        start = None if self.start is None else TURNED + timedelta(minutes=self.start)
        end = None if self.length is None else (start or TURNED) + timedelta(minutes=self.length)

        return start, end

    def of(self, world: World) -> dict[str, Any]:
        """
        Give the arguments of a report of the book.
        """
        batch = None if self.batch is None else world.cards[self.batch % len(world.cards)][1].partition("-")[0]
        card = None if self.card is None else world.cards[self.card % len(world.cards)][1]
        number = None
        if self.extension:
            # That of the batch or card, which is known there.
            place = self.card if self.card is not None else self.batch if self.batch is not None else 0
            number = world.cards[place % len(world.cards)][0].number
        if batch is not None and card is not None:
            batch = None
        start, end = self.bounds()

        return {
            "start": start,
            "end": end,
            "by": self.by,
            "zone": self.zone,
            "extension": number,
            "batch": batch,
            "card": card,
        }

    def keeps(self, world: World, entry: EntryRecord) -> bool:
        """
        Tell whether an entry is one of those that are asked for.
        """
        told = self.of(world)
        moment = entry.created_at if entry.started_at is None else entry.started_at
        start, end = told["start"], told["end"]

        return (
            told["extension"] in (None, entry.extension)
            and told["batch"] in (None, entry.batch)
            and told["card"] in (None, entry.serial)
            and (start is None or to_micros(start) <= moment)
            and (end is None or moment < to_micros(end))
        )


def questions(groups: Sequence[str]) -> st.SearchStrategy[Asked]:
    """
    Ask in every way.
    """
    perhaps = st.one_of(st.none(), numbers)

    return st.builds(
        Asked,
        by=st.lists(st.sampled_from(groups), unique=True),
        zone=st.sampled_from(ZONES),
        start=st.one_of(st.none(), minutes),
        length=st.one_of(st.none(), st.integers(0, 90_000)),
        extension=st.booleans(),
        batch=perhaps,
        card=perhaps,
    )


@settings(max_examples=150, deadline=None)
@given(histories, questions(COSTS))
def test_costs_are_those_of_the_ledger(history: list[tuple[Any, ...]], asked: Asked) -> None:
    """
    A cost report is what a dictionary over all charges says, in the order of its groups, and its total is their sum.

    It does not matter which cards have been removed since, when calls were charged, and what cards could not pay.
    """
    world = lived(history)
    report = world.book.cost_report(**asked.of(world))
    charges = [entry for entry in entries_of(world.book) if entry.kind == "charge" and asked.keeps(world, entry)]
    expected = grouped(charges, asked.by, ZoneInfo(asked.zone), cost_of)
    if not asked.by:
        expected = {(): summed(expected, 5)}

    assert list(plain(report).items()) == list(expected.items())
    assert total_of(report) == summed(expected, 5)
    assert report.total.cost == Credit.from_micros(-sum(entry.amount for entry in charges))
    assert (report.by, report.zone, report.currency) == (tuple(asked.by), asked.zone, "EUR")
    assert sound(world.book) == ()


@settings(max_examples=100, deadline=None)
@given(histories, questions(CHANGES))
def test_recharges_are_those_of_the_ledger(history: list[tuple[Any, ...]], asked: Asked) -> None:
    """
    A recharge report is what a dictionary over all changes by hand says; Unlimited is counted apart.
    """
    world = lived(history)
    report = world.book.recharge_report(**asked.of(world))
    kinds = {"initial", "recharge", "transfer"}
    changes = [entry for entry in entries_of(world.book) if entry.kind in kinds and asked.keeps(world, entry)]
    expected = grouped(changes, asked.by, ZoneInfo(asked.zone), change_of)
    if not asked.by:
        expected = {(): summed(expected, 4)}

    assert list(plain(report).items()) == list(expected.items())
    assert total_of(report) == summed(expected, 4)


@settings(max_examples=60, deadline=None)
@given(histories, st.permutations(COSTS), st.integers(0, 6), st.integers(0, 6), st.sampled_from(ZONES))
def test_a_finer_report_adds_up_to_a_coarser_one(
    history: list[tuple[Any, ...]], names: list[str], coarse: int, fine: int, zone: str
) -> None:
    """
    A report by more groups, summed over some of them, is the report by the others.
    """
    world = lived(history)
    coarse, fine = sorted((coarse, fine))
    by: Any = names[:fine]
    less: Any = names[:coarse]
    added: Sums = {}
    for group, values in plain(world.book.cost_report(by=by, zone=zone)).items():
        before = added.get(group[:coarse], [0] * 5)
        added[group[:coarse]] = [a + b for a, b in zip(before, values, strict=True)]
    report = world.book.cost_report(by=less, zone=zone)

    assert plain(report) == (added if less else {(): summed(added, 5)})


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(ZONES), st.dates(date(2026, 3, 25), date(2026, 4, 2)), st.integers(0, 5), st.lists(minutes))
def test_a_day_as_a_bound_is_that_of_the_zone(zone: str, start: date, length: int, began: list[int]) -> None:
    """
    Between two dates are the calls whose days are: from the first day on, and before the last one.
    """
    world = lived([("make", EXTENSION, Credit(10), None)])
    for minute in began:
        world.do(("charge", 0, Credit("0.25"), minute, "40", 7))
    end = start + timedelta(days=length)
    days = [(TURNED + timedelta(minutes=minute)).astimezone(ZoneInfo(zone)).date() for minute in began]
    report = world.book.cost_report(start, end, zone=zone)
    listed = list(world.book.calls(start, end, zone=zone))

    assert {row.day: row.calls for row in report} == {day: days.count(day) for day in days if start <= day < end}
    assert len(listed) == report.total.calls
    assert report.start == from_micros(midnight(start, ZoneInfo(zone)))


def test_days_are_told_however_far_away() -> None:
    """
    Without bounds each call is in its day, if it is said to have begun in 1971 or in 8999, or now.
    """
    world = lived([("make", EXTENSION, Credit(10), None)])
    extension, serial = world.cards[0]
    began = [
        datetime(1971, 1, 1, 23, 30, tzinfo=UTC),
        datetime(1971, 1, 2, 0, 30, tzinfo=UTC),
        datetime(2009, 7, 1, tzinfo=UTC),
        world.clock.now,
        world.clock.now + timedelta(days=30),
        datetime(8999, 12, 31, 23, 30, tzinfo=UTC),
    ]
    for moment in [*began, *began]:
        charge(extension, serial, Credit("0.01"), started_at=moment)
    by_day = extension.cost_report(by="day", zone="Europe/Bucharest")
    by_month = extension.cost_report(by="month", zone="Europe/Bucharest")
    days = [moment.astimezone(ZoneInfo("Europe/Bucharest")).date() for moment in began]

    assert [row.day for row in by_day] == sorted(set(days))
    assert [row.calls for row in by_day] == [4, 2, 2, 2, 2]
    assert [row.month for row in by_month] == sorted({day.replace(day=1) for day in days})
    assert by_day.total.calls == by_month.total.calls == 12


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/New_York", "Pacific/Kiritimati"])
def test_the_first_and_last_day_of_all_are_bounds(zone: str) -> None:
    """
    Between the first day that a date can be and the last one is all that is between, in every zone.
    """
    world = lived([("make", EXTENSION, Credit(10), None), ("charge", 0, Credit(1), 5, "40", 7)])
    report = world.book.cost_report(date.min, date.max, zone=zone)

    assert report.total == world.book.cost_report(zone=zone).total
    assert report.total.calls == 1
    assert world.book.recharge_report(date.max, date.max, zone=zone).total == RechargeRow()
    assert world.book.recharge_report(date.min, date.min, zone=zone).total == RechargeRow()
    assert str(report.start) < str(report.end)


@pytest.mark.parametrize("kind", [on(kind) for kind in DATABASES])
def test_every_database_reports_the_same(kind: DatabaseKind) -> None:
    """
    On a server the reports are those of the plain computation too, with the thousands of days of an open time.
    """
    with empty_database(kind) as url, engine_on(url) as engine:
        clock = Clock(TURNED)
        book = book_on(SQLAlchemyStore(engine, create=True), clock=clock)
        extension = book.extension(EXTENSION)
        serials = [handout.serial for handout in extension.generate(2, credit=10)]
        for number, days in enumerate([-20_000, -3700, -3600, -1, 0, 0, 1, 3700]):
            began = TURNED + timedelta(days=days, minutes=number % 2 * 40)
            charge(extension, serials[number % 2], Credit("1.25"), started_at=began, prefix="40", seconds=number)
        extension.recharge(serials[1], "-0.5")
        extension.remove(serials[0])
        charges = [entry for entry in entries_of(book) if entry.kind == "charge"]
        zone = "Europe/Bucharest"
        by: list[Any] = ["day", "card", "destination"]

        assert len(charges) == 8
        assert plain(book.cost_report(by=by, zone=zone)) == grouped(charges, by, ZoneInfo(zone), cost_of)
        assert book.recharge_report(by=()).total == RechargeRow(changes=3, added=Credit(20), taken=Credit("0.5"))
        assert book.liability().total == CreditRow(cards=1, credit=Credit("4.5"))
        assert len(list(book.calls())) == 8
        book.close()


def test_histories_have_what_reports_are_about() -> None:
    """
    The control: what happens in these tests really does.
    """
    world = lived(
        [
            ("make", EXTENSION, Credit(10), 20),
            ("charge", 0, Credit(11), -50_000, "40", 95),
            ("hold", 1, Credit(4)),
            ("use", 1),
            ("recharge", 1, Credit(-3)),
            ("remove", 0),
            ("wait", 5),
        ]
    )
    entries = entries_of(world.book)
    [card] = cards_of(world.book)

    assert [entry.kind for entry in entries] == ["initial", "charge", "initial", "recharge"]
    assert [entry.shortfall for entry in entries][1] == Credit(1).micros
    assert (card.held, card.credit) == (Credit(4).micros, Credit(7).micros)
    assert card.first_used_at == to_micros(world.clock.now - timedelta(minutes=5))
    assert entries[1].started_at == to_micros(TURNED - timedelta(minutes=50_000))


def test_a_removed_card_is_named_and_found() -> None:
    """
    A card that was removed still has its serial in reports, and its calls are found by that or by the card.
    """
    world = lived(
        [
            ("make", EXTENSION, Credit(10), None),
            ("charge", 0, Credit(7), 0, "40", 95),
            ("charge", 0, Credit(7), 0, "40", 95),
        ]
    )
    extension, serial = world.cards[0]
    card = extension[serial]
    extension.remove(serial)
    by_serial = extension.cost_report(by="card", card=serial)
    by_card = extension.cost_report(by="card", card=card)
    everything = world.book.cost_report(by=["card"])

    assert extension.find(serial) is None
    assert [(row.card, row.calls, row.cost, row.shortfall) for row in everything] == [
        (serial, 2, Credit(10), Credit(4))
    ]
    assert by_serial.rows == by_card.rows == everything.rows
    assert [call.cost for call in extension.calls(card=serial)] == [Credit(7), Credit(3)]
    assert sum(row.taken.micros for row in extension.recharge_report(card=serial)) == 0


@pytest.mark.parametrize("kind", ["memory", "file"])
def test_what_is_charged_is_what_cards_have_lost(kind: str, tmp_path: Path) -> None:
    """
    From end to end, calls and captures cost in the report what they took from the cards, by destination and day.
    """
    clock = Clock()
    book = new_book(clock=clock) if kind == "memory" else file_book(tmp_path / "cards.db", clock=clock)
    with book:
        book.install_deck(RateDeck([Rate("40", Tariff(price="0.06")), Rate("4021", Tariff(price="0.12"))]))
        extension = book.extension(EXTENSION)
        serials = [handout.serial for handout in extension.generate(3, credit=1)]
        for number, serial in enumerate(serials * 3):
            call = extension.begin_call(serial, "+4021312345" if number % 2 else "+4072212345", call_id=str(number))
            clock.move(hours=7)
            call.end(90 + number)
        held = extension.hold(serials[0], "0.10", expires_in=timedelta(hours=1))
        extension.capture(held)
        lost = sum((Credit(1) - extension[serial].credit for serial in serials), start=Credit(0))
        report = extension.cost_report(by=["day", "destination"])

        assert report.total.cost == lost
        assert report.total.calls == 10
        assert report.total.seconds == sum(range(90, 99))
        assert {row.destination for row in report} == {"", "40", "4021"}
        assert sum(row.calls for row in report if row.destination == "4021") == 4
        assert [call.cost for call in extension.calls(card=serials[0])][-1] == Credit("0.10")


@settings(max_examples=60, deadline=None)
@given(histories.map(lambda drawn: [step for step in drawn if step[0] != "remove" and UNLIMITED not in step]))
def test_reports_agree_with_each_other(history: list[tuple[Any, ...]]) -> None:
    """
    What was added, less what was taken and what calls cost, is left on the cards, where none is removed or unlimited.
    """
    world = lived(history)
    by: Any = ["extension", "batch"]
    left: dict[tuple[Any, ...], int] = {}
    for row in world.book.recharge_report(by=by):
        left[row.extension, row.batch] = row.added.micros - row.taken.micros
    for cost in world.book.cost_report(by=by):
        left[cost.extension, cost.batch] -= cost.cost.micros
    owed = {(row.extension, row.batch): row.credit.micros for row in world.book.liability(by=by)}

    assert {group: micros for group, micros in left.items() if micros} == owed


# The cards


def changed_at(record: CardRecord, entries: Iterable[EntryRecord]) -> int:
    """
    Tell when anything happened to a card last.
    """
    return max([record.created_at, record.first_used_at or 0, *(e.created_at for e in entries if e.card == record.id)])


def credit_of(record: CardRecord, now: int) -> list[int]:
    """
    Tell what a card adds to the sums of a report about credit.
    """
    if record.credit == UNLIMITED.micros:
        return [0, 0, 0, 1]
    held = 0 if record.next_hold_expiry is not None and record.next_hold_expiry <= now else record.held

    return [1, record.credit, held, 0] if record.credit else [0, 0, 0, 0]


def added(rows: Iterable[tuple[tuple[Any, ...], list[int]]]) -> Sums:
    """
    Add up what cards add, group by group, without groups in which there is nothing.
    """
    sums: Sums = {}
    for group, values in rows:
        sums[group] = [a + b for a, b in zip(sums.get(group, [0, 0, 0, 0]), values, strict=True)]

    return {group: values for group, values in sorted(sums.items()) if any(values)}


@settings(max_examples=80, deadline=None)
@given(
    st.tuples(histories, st.lists(steps, max_size=10)),
    st.permutations(["extension", "batch"]),
    st.integers(0, 2),
    st.tuples(st.sampled_from([0, 10, 40, 170]), st.sampled_from([0, 10, 29, 30, 31, 170, 200])),
)
def test_credit_is_that_of_all_cards(
    history: tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]],
    names: list[str],
    count: int,
    later: tuple[int, int],
) -> None:
    """
    Liability, breakage and ageing are what a dictionary over all cards, and all of their entries, says.
    """
    world = lived(history[0])
    world.clock.move(days=later[0])
    for step in history[1]:
        world.do(step)
    world.clock.move(days=later[1])
    now = to_micros(world.clock.now)
    by: Any = names[:count]
    cards, entries = cards_of(world.book), entries_of(world.book)

    def of(record: CardRecord) -> tuple[str, ...]:
        return tuple(getattr(record, name) for name in by)

    def reason(record: CardRecord) -> str:
        if record.expires_at is not None and record.expires_at <= now:
            return "expired"
        return "unused" if now - changed_at(record, entries) >= 30 * DAY else ""

    def age(moment: int) -> str:
        return "0 to 30" if (now - moment) // DAY <= 30 else "31 to 180" if (now - moment) // DAY <= 180 else "over 180"

    every = added((of(record), credit_of(record, now)) for record in cards)
    dead = added(((reason(record), *of(record)), credit_of(record, now)) for record in cards if reason(record))
    old = added(((age(record.created_at), *of(record)), credit_of(record, now)) for record in cards)
    idle = added(((age(changed_at(record, entries)), *of(record)), credit_of(record, now)) for record in cards)
    liability = world.book.liability(by=by)
    breakage = world.book.breakage(unused_days=30, by=by)
    made = world.book.ageing(since="made", days=[30, 180], by=by)
    changed = world.book.ageing(days=[30, 180], by=by)

    assert plain(liability) == (every if by else {(): summed(every, 4)})
    assert list(plain(breakage).items()) == list(dead.items())
    assert {group: values for group, values in plain(made).items() if any(values)} == old
    assert {group: values for group, values in plain(changed).items() if any(values)} == idle
    assert total_of(liability) == total_of(made) == total_of(changed) == summed(every, 4)
    assert total_of(breakage) == summed(dead, 4)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 50), st.one_of(st.none(), st.integers(0, 60))), max_size=8))
def test_the_curve_counts_every_card_once(cards: list[tuple[int, int | None]]) -> None:
    """
    Each card is in the span of days after which it was first used, or never; what was used by then adds up.
    """
    clock = Clock()
    book = new_book(clock=clock)
    extension = book.extension(EXTENSION)
    used: list[int | None] = []
    events = []
    for number, (day, days) in enumerate(cards):
        events.append((day, 0, number))
        if days is not None:
            events.append((day + days, 1, number))
        used.append(days)
    for day, is_use, number in sorted(events):
        clock.now = MORNING + timedelta(days=day)
        if is_use:
            extension.authenticate(f"77001{number:04}")
        else:
            extension.add(f"77001{number:04}", credit=1)
    clock.now = MORNING + timedelta(days=200)
    curve = extension.first_use_curve(days=[1, 7, 30])
    first_week = extension.first_use_curve(MORNING, MORNING + timedelta(days=7), days=[400])

    def within(first: int, last: int) -> int:
        return sum(days is not None and first <= days <= last for days in used)

    assert [(row.age, row.cards, row.used) for row in curve] == [
        ("0 to 1", within(0, 1), within(0, 1)),
        ("2 to 7", within(2, 7), within(0, 7)),
        ("8 to 30", within(8, 30), within(0, 30)),
        ("over 30", within(31, 99), within(0, 99)),
        ("never", used.count(None), within(0, 99)),
    ]
    assert (curve.total.cards, curve.total.used) == (len(cards), within(0, 99))
    assert first_week.total.cards == sum(day < 7 for day, _ in cards)


def test_a_sum_that_is_no_amount_is_refused() -> None:
    """
    Two cards may have more credit together than an amount can be: that is said, and not cut off.
    """
    extension = new_book().extension(EXTENSION)
    extension.generate(2, credit="9223372036854")

    assert outcome(extension.liability) == (AmountError, "too_large")
    assert outcome(lambda: extension.recharge_report(by="card").total) == (AmountError, "too_large")


# Calls one by one


def ticking(world: World, count: int) -> list[str]:
    """
    Charge calls, one a minute, and give the serials of their cards in that order.
    """
    serials = []
    for number in range(count):
        extension, serial = world.cards[number % len(world.cards)]
        charge(
            extension,
            serial,
            Credit("0.01"),
            started_at=world.clock.now - timedelta(seconds=number),
            prefix="4021",
            seconds=number,
            rest=f"312{number:04}",
        )
        world.clock.move(minutes=1)
        serials.append(serial)

    return serials


def test_calls_come_in_the_order_in_which_they_were_charged() -> None:
    """
    Each charge is a call, with what it cost and the prefix of the number, and nothing that could tell the rest of it.
    """
    world = lived([("make", EXTENSION, Credit(10), None)])
    serials = ticking(world, 5)
    calls = list(world.cards[0][0].calls())

    assert [call.serial for call in calls] == serials
    assert [call.seconds for call in calls] == list(range(5))
    assert {call.destination for call in calls} == {"4021"}
    assert [call.charged_at for call in calls] == sorted(call.charged_at for call in calls)
    assert {(call.cost, call.shortfall, call.price, call.deck) for call in calls} == {
        (Credit("0.01"), Credit(0), Credit("0.02"), "retail")
    }
    assert "3120" not in repr(calls)


def test_numbers_are_revealed_to_somebody_and_recorded_before() -> None:
    """
    The whole numbers are given to whoever says who it is, after the audit trail tells of it, and for which calls.
    """
    world = lived([("make", EXTENSION, Credit(10), None)])
    serials = ticking(world, 3)
    extension = world.cards[0][0]
    before = len(list(world.book.audit_trail()))
    revealed = extension.reveal_calls(MORNING - timedelta(days=99), card=serials[0])
    [entry] = list(world.book.audit_trail())[before:]

    assert (entry.verb, entry.actor, entry.extension) == ("reveal_calls", "alice", EXTENSION)
    assert entry.detail == {
        "query": {"serial": serials[0], "started_from": to_micros(MORNING - timedelta(days=99))},
    }
    assert [call.number for call in revealed] == ["40213120000", "40213120002"]
    assert [call.call for call in extension.reveal_calls()] == list(extension.calls())


class Joined(MemoryStore):
    """
    A store that says that it has joined a transaction of its caller's.
    """

    joined = True


def test_numbers_are_not_revealed_to_nobody_or_where_it_may_be_undone() -> None:
    """
    Nobody, and whoever is within a transaction of others, is shown no number; nothing is written.
    """
    book = new_book()
    extension = book.extension(EXTENSION)
    joined = book_on(Joined()).acting_as("alice")

    assert outcome(extension.reveal_calls) == (ActorRequiredError, "reveal_calls")
    assert outcome(book.reveal_calls) == (ActorRequiredError, "reveal_calls")
    assert outcome(joined.extension(EXTENSION).reveal_calls) == (JoinedStoreError, "reveal_calls")
    assert list(book.audit_trail()) == []
    assert list(joined.calls()) == []


def test_a_number_that_was_changed_is_not_shown() -> None:
    """
    A sealed number that was changed from outside, or put to another card, is refused.
    """
    world = lived([("make", EXTENSION, Credit(10), None)])
    ticking(world, 2)
    store: Any = engine_of(world.book).store
    first, second = (entry for entry in entries_of(world.book) if entry.kind == "charge")
    store._entries[first.card][first.sequence] = first._replace(sealed_rest=second.sealed_rest)  # noqa: SLF001

    with pytest.raises(TamperedError):
        list(world.book.reveal_calls())


def test_nobody_waits_for_a_reader(tmp_path: Path) -> None:
    """
    While reports are read half-way, others write, with a store that waits for nobody; and the readers go on.
    """
    with file_book(tmp_path / "cards.db", clock=Clock()) as book:
        extension = book.extension(EXTENSION)
        serials = [handout.serial for handout in extension.generate(1200, credit=1)]
        for serial in serials[:3] * 400:
            charge(extension, serial, Credit("0.001"), started_at=MORNING, prefix="40")
        reading: Iterator[ChargedCall] = book.calls()
        seen = [next(reading) for _ in range(5)]
        with book_on(SQLiteStore(tmp_path / "cards.db", timeout=0.5)) as other:
            for number in range(20):
                other.extension(EXTENSION).recharge(serials[number], 1)
        seen += list(reading)

        assert len(seen) == 1200
        assert book.cost_report().total.calls == 1200
        assert book.liability().total.cards == 1200


def test_calls_of_all_extensions_come_in_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    The calls of a book are put in one order, also where those of its extensions alternate and come a few at a time.
    """
    monkeypatch.setattr("voipcard.charges._AHEAD", 6)
    world = lived([("make", number, Credit(10), None) for number in (EXTENSION, OTHER)])
    ticking(world, 40)
    # Two cards of one extension, then two of the other: its own order has gaps.
    calls = list(world.book.calls())
    alone = [list(world.book.extension(number).calls()) for number in (EXTENSION, OTHER)]

    assert len(calls) == 40
    assert [call.charged_at for call in calls] == sorted(call.charged_at for call in calls)
    assert [[call for call in calls if call.extension == number] for number in (EXTENSION, OTHER)] == alone
    assert [call.call for call in world.book.reveal_calls()] == calls


ALL_READ: Final[Mapping[str, Callable[[CardBook], object]]] = {
    "liability": lambda book: book.liability(),
    "breakage": lambda book: book.breakage(),
    "ageing": lambda book: book.ageing(since="made"),
    "first_use_curve": lambda book: book.first_use_curve(),
    "calls": lambda book: list(book.calls()),
    "calls of an extension": lambda book: list(book.calls(extension=EXTENSION)),
}


@contextmanager
def much_called(path: Path, cards: int) -> Iterator[CardBook]:
    """
    Open a book in a file with that many cards in two extensions, each of which was called with once.
    """
    with file_book(path, clock=Clock()) as book:
        book.extension(EXTENSION).generate(cards // 2, credit=1)
        book.extension(OTHER).generate(cards // 2, credit=1)
        store = engine_of(book).store
        records = itertools.chain.from_iterable(
            store.cards(CardQuery(extension=number, limit=10_000)) for number in (EXTENSION, OTHER)
        )
        store.commit(Changes(entries=[first_call(card, number) for number, card in enumerate(records)]))
        yield book


def first_call(card: CardRecord, number: int) -> EntryRecord:
    """
    Make a charge that nobody has signed, made so many microseconds after the card.
    """
    return samples.entry(card, -1)._replace(
        sequence=2, kind="charge", created_at=card.created_at + number, started_at=card.created_at, operation=None
    )


def steps_of(book: CardBook, ask: Callable[[CardBook], object]) -> int:
    """
    Count the steps that SQLite takes to read, in hundreds.
    """
    steps = itertools.count()
    store: Any = engine_of(book).store
    with store._file.reading() as connection:  # noqa: SLF001 - the one that is lent again
        connection.set_progress_handler(lambda: next(steps) < 0, 100)
    ask(book)
    with store._file.reading() as connection:  # noqa: SLF001
        connection.set_progress_handler(None, 0)

    return next(steps)


def sorted_anew(book: CardBook) -> None:
    """
    Read all cards in an order that no index has.
    """
    for _ in searching.card_records(engine_of(book), CardQuery()):
        pass


@pytest.mark.parametrize("name", ALL_READ)
def test_a_page_takes_no_longer_where_there_are_more(name: str, tmp_path: Path) -> None:
    """
    Whatever goes over all cards or calls takes SQLite as many steps for each of them, however many there are.

    Control: where all are sorted for each page it takes the more, the more there are.
    """
    few, many = 2000, 8000
    with much_called(tmp_path / "few.db", few) as less, much_called(tmp_path / "many.db", many) as more:
        steps = steps_of(less, ALL_READ[name]), steps_of(more, ALL_READ[name])
        anew = steps_of(less, sorted_anew), steps_of(more, sorted_anew)

    assert 0 < steps[1] / many < 1.5 * steps[0] / few
    assert anew[1] / many > 1.5 * anew[0] / few


# Files


def typed(row: Any, report: Report[Any]) -> list[Any]:  # noqa: ANN401 - any row
    """
    Give what a workbook has of a row.
    """
    cells = []
    for column in report.columns:
        value = getattr(row, column.name)
        if isinstance(value, Credit):
            value = value.to_decimal()
        if isinstance(value, date):
            value = datetime(value.year, value.month, value.day, tzinfo=UTC)
        cells.append(value)

    return cells


@settings(max_examples=20, deadline=None)
@given(histories, st.lists(st.sampled_from(COSTS), unique=True))
def test_a_report_comes_back_from_a_workbook(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[Any, ...]], by: list[Any]
) -> None:
    """
    A workbook has the headers and the rows of the report: dates are dates, amounts and counts are numbers.
    """
    world = lived(history)
    path = tmp_path_factory.mktemp("workbook") / "costs.xlsx"
    report = world.book.cost_report(by=by)
    written = sheets.write(path, report)
    header, *rows = [list(row.cells) for row in sheets.read(path)]
    expected = [typed(row, report) for row in report]

    assert written == len(report)
    assert header == [column.header for column in report.columns]
    # An empty text and a cell that is not there are the same in Excel.
    assert [[cell or "" for cell in row] for row in rows] == [[cell or "" for cell in row] for row in expected]


@pytest.mark.parametrize(
    "name", ["cost_report", "recharge_report", "liability", "breakage", "ageing", "first_use_curve"]
)
def test_a_report_comes_back_from_a_plain_file(name: str, tmp_path: Path) -> None:
    """
    A plain CSV file has what `records` gives, as text; a month is its year and month.
    """
    world = lived(
        [
            ("make", EXTENSION, Credit("10.5"), 20),
            ("charge", 0, Credit("0.25"), 3, "40", 95),
            ("charge", 1, Credit(7), 90_000, "", None),
        ]
    )
    world.clock.move(days=100)
    by = {"by": ["month"]} if name in {"cost_report", "recharge_report"} else {}
    report: Report[Any] = getattr(world.book, name)(**by)
    sheets.write(tmp_path / "report.csv", report, dialect="plain")
    with (tmp_path / "report.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)

    assert header == [column.header for column in report.columns]
    assert len(rows) == len(report) > 0
    assert rows == [
        [str(value)[:7] if key == "month" else str(value) for key, value in record.items()]
        for record in report.records()
    ]


def test_an_empty_report_has_its_own_header(tmp_path: Path) -> None:
    """
    A file of a report without rows has the columns of the report.
    """
    book = new_book()
    written = sheets.write(tmp_path / "costs.csv", book.cost_report(by=["day", "card"]), dialect="plain")

    assert written == 0
    assert (tmp_path / "costs.csv").read_text().splitlines() == [
        "Day,Card,Calls,Seconds,Charged Seconds,Cost,Shortfall"
    ]


@pytest.mark.parametrize("number", ["destination", "number"])
def test_a_file_of_no_calls_is_one_of_calls(number: str, tmp_path: Path) -> None:
    """
    A file of a month without a call has the columns of one with calls, all of them or those that are asked for.
    """
    book = new_book().acting_as("alice")
    ask: Callable[[], Iterator[Any]] = book.calls if number == "destination" else book.extension(EXTENSION).reveal_calls
    path = tmp_path / "calls.csv"

    assert sheets.write(path, ask(), dialect="plain") == 0
    assert path.read_text().split(",")[:3] == ["Started", "Serial", number.capitalize()]
    assert sheets.write(path, ask(), columns=[number, "cost"], dialect="plain") == 0
    assert path.read_text().splitlines() == [f"{number.capitalize()},Cost"]


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_calls_are_written_with_or_without_their_numbers(suffix: str, tmp_path: Path) -> None:
    """
    A file of calls shows prefixes, one of revealed calls whole numbers as text; what was not told is empty.
    """
    world = lived([("make", EXTENSION, Credit(10), None)])
    ticking(world, 2)
    extension, serial = world.cards[0]
    charge(extension, serial, Credit(1), started_at=MORNING)
    sheets.write(tmp_path / f"calls{suffix}", extension.calls())
    sheets.write(tmp_path / f"revealed{suffix}", extension.reveal_calls(), columns=["number", "cost"])
    header, *rows = [list(row.cells) for row in sheets.read(tmp_path / f"calls{suffix}")]
    revealed = [list(row.cells) for row in sheets.read(tmp_path / f"revealed{suffix}")]

    assert header[:4] == ["Started", "Serial", "Destination", "Seconds"]
    assert [row[2] or "" for row in rows] == ["4021", "4021", ""]
    assert [row[3] or "" for row in rows][2] == ""
    assert [row[0] for row in revealed] == ["Number", "40213120000", "40213120001", ""]
    assert b"3120001" not in (tmp_path / f"calls{suffix}").read_bytes()


# Refusals


ASKED: Final[Mapping[str, tuple[type[Exception], str, Callable[[Extension], object]]]] = {
    "an unknown zone": (InvalidValueError, "zone", lambda e: e.cost_report(zone="Europe/Nowhere")),
    "a folder of zones": (InvalidValueError, "zone", lambda e: e.cost_report(zone="Europe")),
    "a path": (InvalidValueError, "zone", lambda e: e.recharge_report(zone="../../etc/passwd")),
    "no zone": (InvalidValueError, "zone", lambda e: e.calls(zone="")),
    "what is no text": (InvalidValueError, "zone", lambda e: e.first_use_curve(zone=5)),  # type: ignore[arg-type]
    "a naive moment": (InvalidValueError, "moment", lambda e: e.cost_report(MORNING.replace(tzinfo=None))),
    "a text": (InvalidValueError, "moment", lambda e: e.cost_report("2026-03-01")),  # type: ignore[arg-type]
    "an end before the start": (InvalidValueError, "end", lambda e: e.calls(date(2026, 3, 2), date(2026, 3, 1))),
    "an unknown group": (InvalidValueError, "by", lambda e: e.cost_report(by="kind")),  # type: ignore[arg-type]
    "a group twice": (InvalidValueError, "by", lambda e: e.recharge_report(by=["day", "day"])),
    "days of credit": (InvalidValueError, "by", lambda e: e.liability(by="day")),  # type: ignore[arg-type]
    "no days": (InvalidValueError, "unused_days", lambda e: e.breakage(unused_days=0)),
    "days that go back": (InvalidValueError, "days", lambda e: e.ageing(days=[90, 30])),
    "no spans": (InvalidValueError, "days", lambda e: e.first_use_curve(days=[])),
    "another age": (InvalidValueError, "since", lambda e: e.ageing(since="used")),  # type: ignore[arg-type]
    "an unknown batch": (UnknownBatchError, "Z234", lambda e: e.liability(batch="Z234")),
    "a code as a batch": (UnknownBatchError, "", lambda e: e.cost_report(batch="7700183422157")),
    "an unknown card": (UnknownCardError, "Z234-000001", lambda e: e.cost_report(card="Z234-000001")),
    "a code as a card": (UnknownCardError, "", lambda e: e.calls(card="7700183422157")),
}


@pytest.mark.parametrize("case", ASKED)
def test_what_cannot_be_reported_is_refused(case: str) -> None:
    """
    What is no bound, zone, group, batch or card is refused with a class and a field that say so, and no code in it.
    """
    error, field, ask = ASKED[case]
    extension = new_book().extension(EXTENSION)
    answer: Any = outcome(lambda: ask(extension))

    assert answer[:2] == (error, field)


def test_what_is_of_another_extension_is_unknown() -> None:
    """
    An extension reports of its own cards and batches only, removed or not; the book of all.
    """
    world = lived(
        [("make", OTHER, Credit(10), None), ("charge", 0, Credit(1), 0, "40", 5), ("charge", 1, Credit(1), 0, "40", 5)]
    )
    other, serial = world.cards[0]
    batch = serial.partition("-")[0]
    other.remove(serial)
    extension = world.book.extension(EXTENSION)

    assert outcome(lambda: extension.cost_report(card=serial)) == (UnknownCardError, serial)
    assert outcome(lambda: extension.cost_report(card=world.cards[1][1])) == (UnknownCardError, world.cards[1][1])
    assert outcome(lambda: extension.cost_report(batch=batch)) == (UnknownBatchError, batch)
    assert extension.cost_report().total == CostRow()
    assert extension.recharge_report().total == RechargeRow()
    assert extension.liability().total == CreditRow()
    assert world.book.cost_report(card=serial).total.calls == 1
    assert world.book.cost_report(extension=OTHER, batch=batch).total.calls == 2
    assert outcome(lambda: world.book.cost_report(extension="")) == outcome(lambda: world.book.extension(""))
    assert isinstance(next(world.book.reveal_calls(extension=OTHER)), RevealedCall)
