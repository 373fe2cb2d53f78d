"""
An evening of prepaid calls: 200 cards, 50 lines, 20,000 calls, two switches that crash, and what all of it cost.

    python examples/calls.py
"""

from __future__ import annotations

import argparse
import csv
import heapq
import itertools
import logging
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import voipcard
from voipcard import sheets
from voipcard.errors import InsufficientCreditError, TooManyCallsError

EXTENSION = "0003*215"
SEVEN = datetime(2026, 11, 28, 17, tzinfo=UTC)
"""When the evening begins: at seven in Bucharest."""

UNANSWERED = 0.25
"""How many calls nobody answers."""

TOP_UPS = 0.3
"""How many of those who have too little credit buy some."""

COUNTRIES = {
    "1": "United States", "20": "Egypt", "27": "South Africa", "30": "Greece", "31": "Netherlands", "32": "Belgium",
    "33": "France", "34": "Spain", "36": "Hungary", "373": "Moldova", "380": "Ukraine", "39": "Italy",
    "40": "Romania", "41": "Switzerland", "43": "Austria", "44": "United Kingdom", "45": "Denmark", "46": "Sweden",
    "47": "Norway", "48": "Poland", "49": "Germany", "52": "Mexico", "55": "Brazil", "60": "Malaysia",
    "61": "Australia", "63": "Philippines", "66": "Thailand", "81": "Japan", "84": "Viet Nam", "86": "China",
    "90": "Turkey", "91": "India", "92": "Pakistan", "212": "Morocco", "234": "Nigeria", "254": "Kenya",
    "351": "Portugal", "353": "Ireland", "358": "Finland", "359": "Bulgaria", "381": "Serbia", "420": "Czechia",
    "421": "Slovakia", "961": "Lebanon", "971": "United Arab Emirates", "972": "Israel", "977": "Nepal",
    "98": "Iran", "994": "Azerbaijan", "995": "Georgia",
}  # fmt: skip


def title(text: str) -> None:
    """
    Print a heading.
    """
    print(f"\n{text}\n{'─' * len(text)}")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """
    Print a small table.
    """
    lines = [columns, *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(columns))]
    for line in lines:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def write_price_list(path: Path, chance: random.Random, areas: int) -> None:
    """
    Write a price list as VoipNow has it: up to a thousand area codes for each country, each with a price of its own.
    """
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        for code, country in COUNTRIES.items():
            price = chance.randrange(8_000, 300_000)
            rows.writerow([code, f"{price / 1e6:.6f}", 60, country, "", 0, 0])
            for area in range(areas):
                interval = chance.choice([1, 6, 30, 60])
                cost = f"{price * chance.uniform(0.6, 1.8) * interval / 60e6:.6f}"
                setup = "0.05" if area % 100 == 0 else 0
                rows.writerow([f"{code}{area:03d}", cost, interval, country, "mobile", setup, 0])


@dataclass
class Switch:
    """
    A switch, its own record of calls, and the calls that it is running.
    """

    cdrs: Path
    running: dict[int, tuple[voipcard.Call, str, str, datetime, int]] = field(default_factory=dict)
    down_until: datetime = SEVEN

    def note(self, call_id: str, serial: str, number: str, answered_at: datetime, seconds: int) -> None:
        """
        Write a line of its record.
        """
        is_new = not self.cdrs.exists()
        with self.cdrs.open("a", newline="") as file:
            rows = csv.writer(file)
            if is_new:
                rows.writerow(["call_id", "card", "destination", "started_at", "seconds"])
            rows.writerow([call_id, serial, number, answered_at.isoformat(), seconds])


class Evening:
    """
    Plays an evening in the order in which things happen, with a clock of its own.

    Args:
        folder: Where the book, the price list and the records of the switches are kept.

        seed: What the people do; not the codes, which come from the operating system.
    """

    def __init__(self, folder: Path, *, cards: int, lines: int, areas: int, seed: int = 7) -> None:
        self.now = SEVEN
        self.chance = random.Random(seed)  # noqa: S311 - people, not secrets
        self.said: Counter[str] = Counter()
        # Nobody waits for the answer here, so that it need not always take as long.
        limits = voipcard.GuessLimits(response_floor=timedelta(0))
        path = folder / "cards.db"
        self.book = voipcard.open_book(path, currency="EUR", clock=lambda: self.now, limits=limits).acting_as("switch")
        write_price_list(folder / "prices.csv", self.chance, areas)
        self.book.install_deck(sheets.read_deck(folder / "prices.csv"))
        self.extension = self.book.extension(EXTENSION)
        amounts = {"5.00": cards // 2, "20.00": cards // 3, "unlimited": max(1, cards // 50)}
        batches = [self.extension.generate(count, credit=credit) for credit, count in amounts.items()]
        self.handouts = [card for batch in batches for card in batch]
        self.handouts += self.extension.generate(cards - len(self.handouts), credit="50.00")
        self.weights = [self.chance.paretovariate(3) for _ in self.handouts]
        self.switches = [Switch(folder / f"cdrs-{number}.csv") for number in range(1, 5)]
        self.lines = lines
        self.order = itertools.count()
        self.orders = itertools.count(1)
        self.events: list[tuple[datetime, int, str, int]] = []

    def later(self, seconds: float, what: str, line: int) -> None:
        """
        Let something happen.
        """
        moment = self.now + timedelta(seconds=seconds)
        heapq.heappush(self.events, (moment, next(self.order), what, line))

    def play(self, calls: int) -> None:
        """
        Let people call until they have called so often and the last of them has hung up.
        """
        dialed, crashes = 0, {calls // 3: self.switches[0], calls // 2: self.switches[1]}
        for line in range(self.lines):
            self.later(self.chance.uniform(0, 60), "dial", line)
        while self.events:
            self.now, _, what, line = heapq.heappop(self.events)
            switch = self.switches[line % len(self.switches)]
            if what == "end":
                self.hang_up(switch, line)
            elif self.now < switch.down_until:
                self.later((switch.down_until - self.now).total_seconds(), "dial", line)
            elif dialed < calls:
                dialed += 1
                self.dial(switch, line, f"{self.now.timestamp():.0f}.{dialed}")
                if sys.stderr.isatty() and dialed % 100 == 0:
                    print(f"  {dialed:,} calls", end="\r", file=sys.stderr)
                if dialed in crashes:
                    self.crash(crashes[dialed])

    def dial(self, switch: Switch, line: int, call_id: str) -> None:
        """
        Let somebody in, and begin a call; people hang up by themselves, or are cut off where their credit ends.
        """
        [handout] = self.chance.choices(self.handouts, self.weights)
        number = self.chance.choice(list(COUNTRIES)) + f"{self.chance.randrange(10**9):09d}"
        access = self.extension.authenticate(handout.code, pin=handout.pin, call_id=call_id)
        try:
            call = self.extension.begin_call(access, number, call_id=call_id)
        except (TooManyCallsError, InsufficientCreditError) as refusal:
            self.said[f"refused: {type(refusal).__name__}"] += 1
            if isinstance(refusal, InsufficientCreditError) and self.chance.random() < TOP_UPS:
                self.extension.recharge(access.card, "10.00", order_number=f"PO-{next(self.orders)}")
            self.later(self.chance.expovariate(1 / 30), "dial", line)
            return
        ringing = self.chance.uniform(4, 25)
        # Most are short, and a few go on for an hour.
        wanted = 0 if self.chance.random() < UNANSWERED else round(self.chance.lognormvariate(3.7, 1.0))
        seconds = min(wanted, call.max_duration)
        if seconds < wanted:
            self.said["cut off when the credit was used up"] += 1
        switch.running[line] = (call, call_id, number, self.now + timedelta(seconds=ringing), seconds)
        self.later(ringing + seconds, "end", line)

    def hang_up(self, switch: Switch, line: int) -> None:
        """
        End a call, unless the switch that ran it has died.
        """
        if line in switch.running:
            call, call_id, number, answered_at, seconds = switch.running.pop(line)
            switch.note(call_id, call.serial, number, answered_at, seconds)
            call.end(seconds, started_at=answered_at)
            self.said["ended"] += 1
        self.later(self.chance.expovariate(1 / 20), "dial", line)

    def crash(self, switch: Switch) -> None:
        """
        Let a switch die with all its calls: nobody tells the book, but its own record has how long they were.
        """
        for call, call_id, number, answered_at, seconds in switch.running.values():
            lasted = min(seconds, max(0, round((self.now - answered_at).total_seconds())))
            switch.note(call_id, call.serial, number, answered_at, lasted)
            self.said["lost when a switch crashed"] += 1
        switch.running.clear()
        switch.down_until = self.now + timedelta(minutes=10)

    def records(self) -> Iterator[tuple[str, int]]:
        """
        Give the number and the length of each call that the switches have a record of.
        """
        for switch in self.switches:
            with switch.cdrs.open(newline="") as file:
                for row in csv.DictReader(file):
                    yield row["destination"], int(row["seconds"])


def main(folder: Path, *, calls: int, cards: int, lines: int, areas: int) -> None:
    """
    Play an evening, import what the switches have recorded, and look whether every millionth is where it belongs.
    """
    evening = Evening(folder, cards=cards, lines=lines, areas=areas)
    extension, book = evening.extension, evening.book
    [deck] = book.decks()
    title(f"An evening: {cards} cards, {lines} lines, {calls:,} calls, {deck.size:,} prefixes")
    evening.play(calls)
    table(["calls", "what became of them"], [(count, what) for what, count in evening.said.most_common()])
    print(f"  From {SEVEN:%H:%M} to {evening.now:%H:%M}.")

    title("At night: free what the dead calls held, and import the records of the switches")
    evening.now += timedelta(hours=5)
    print(f"  {book.sweep()} holds had run out and were free for others.")
    settlements = [extension.import_cdrs(switch.cdrs) for switch in evening.switches]
    table(
        ["record", "settled now", "settled before", "different", "rejected"],
        [
            (switch.cdrs.name, done.settled, done.replayed, len(done.differing), len(done.rejected))
            for switch, done in zip(evening.switches, settlements, strict=True)
        ],
    )

    title("What it cost, by day")
    print(extension.cost_report(by="day", zone="Europe/Bucharest"))
    title("What it cost, by card: the ten that called most")
    by_card = sorted(extension.cost_report(by="card"), key=lambda row: row.cost, reverse=True)
    table(["card", "calls", "seconds", "cost"], [(row.card, row.calls, row.seconds, row.cost) for row in by_card[:10]])
    rows = sheets.write(folder / "costs.xlsx", extension.cost_report(by=["day", "destination"]))
    print(f"  By day and destination: {rows:,} rows in costs.xlsx.")

    title("Every millionth is where it belongs")
    report = extension.cost_report(by=()).total
    finite = [card for card in extension if not card.credit.is_unlimited]
    debited = sum(card.total_credit.micros - card.credit.micros for card in finite)
    charged = sum(row.cost.micros for row in by_card if row.card in {card.serial for card in finite})
    rated = sum(cost or 0 for cost in book.deck().costs(evening.records()))
    table(
        ["what", "EUR"],
        [
            ("taken from the cards", voipcard.Credit.from_micros(debited)),
            ("charged to them by the report", voipcard.Credit.from_micros(charged)),
            ("charged in all, with unlimited cards", report.cost),
            ("could not be taken: spent before the import", report.shortfall),
            ("what all recorded calls cost", voipcard.Credit.from_micros(rated)),
        ],
    )
    verified = book.verify()
    checks = {
        "taken = charged": debited == charged,
        "charged + not taken = cost of all calls": report.cost.micros + report.shortfall.micros == rated,
        "no card is below zero": all(card.credit.micros >= 0 for card in extension),
        "nothing is held any more": not any(card.held for card in extension),
        f"{verified.entries:,} ledger entries verified": verified.ok,
    }
    table(["check", ""], [(check, "yes" if is_so else "NO") for check, is_so in checks.items()])
    book.close()
    if not all(checks.values()):
        sys.exit(1)


if __name__ == "__main__":
    logging.basicConfig(format="  %(levelname)s: %(message)s")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, count in {"calls": 20_000, "cards": 200, "lines": 50, "areas": 1000}.items():
        parser.add_argument(f"--{name}", type=int, default=count)
    with tempfile.TemporaryDirectory() as place:
        main(Path(place), **vars(parser.parse_args()))
