"""
How a book on PostgreSQL grows: how large its tables and indexes get, and what the same work costs then.

`python -m benchmarks.scale --cards 1000000 10000000` fills one book step by step. The first cards are the library's own
and are what is measured; the others are rows of the same widths that the server makes itself, because sealing ten
million would take hours and tell nothing more.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import sqlalchemy
from sqlalchemy import text

import voipcard
from tests.servers import postgresql

__all__ = ["main"]

GENUINE: Final = 10_000
EXTENSION: Final = "0003*215"
SECONDS: Final = 5.0
PROCESSES: Final = (1, 2, 4)

SETTINGS: Final = {"shared_buffers": "2GB", "max_wal_size": "8GB"}

_CARDS: Final = """
INSERT INTO voipcard_cards
SELECT decode(lpad(to_hex(created_at), 14, '0') || lpad(to_hex(number), 8, '0') || left(md5('i' || number), 10), 'hex'),
       'SYNT-' || lpad(number::text, 8, '0'), extension, 'SYNT', kind, decode(md5('x' || number), 'hex'),
       substr(sealed_code, 1, length(sealed_code) - 16) || decode(md5('c' || number), 'hex'), pin_mac, sealed_pin, key,
       enabled, credit, total_credit, held, holds, next_hold_expiry, recharge_count, created_at + number, first_used_at,
       expires_at, order_number, labels, sequence, chain, version, decode(md5('m' || number), 'hex')
FROM generate_series(CAST(:first AS bigint), CAST(:last AS bigint)) AS number,
     (SELECT * FROM voipcard_cards WHERE batch <> 'SYNT' LIMIT 1) AS pattern
"""
_ENTRIES: Final = """
INSERT INTO voipcard_entries
SELECT id, e.sequence, e.extension, c.batch, c.serial, e.kind, e.amount, e.credit_left, e.held_left, e.order_number,
       NULL, c.created_at, e.actor, e.prefix, e.sealed_rest, e.started_at, e.seconds, e.charged_seconds, e.rate,
       e.tariff, e.shortfall, c.mac
FROM voipcard_cards AS c, (SELECT * FROM voipcard_entries WHERE batch <> 'SYNT' AND kind = 'initial' LIMIT 1) AS e
WHERE c.serial >= 'SYNT-' || lpad(CAST(:first AS text), 8, '0')
  AND c.serial <= 'SYNT-' || lpad(CAST(:last AS text), 8, '0')
"""
_SIZES: Final = """
SELECT c.relname, pg_relation_size(c.oid) + coalesce(pg_relation_size(nullif(c.reltoastrelid, 0)), 0)
FROM pg_class AS c WHERE c.relname LIKE '%voipcard%' AND c.relkind IN ('r', 'i') ORDER BY 2 DESC
"""

_AT_A_TIME: Final = 500_000


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Measure and print.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--cards", type=int, nargs="+", default=[100_000, 1_000_000], help="how many, ascending")
    parser.add_argument("--json", type=Path, help="where to write the figures to")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder, postgresql(durable=True, settings=SETTINGS) as server:
        key = voipcard.KeyFile(Path(folder) / "key")
        key.create()
        report = list(_measured(server.url, key, asked.cards))
    for figures in report:
        _print(figures)
    if asked.json:
        asked.json.write_text(json.dumps(report, indent=1))

    return 0


def _measured(url: str, key: voipcard.KeyFile, sizes: Sequence[int]) -> Iterator[Mapping[str, Any]]:
    engine = sqlalchemy.create_engine(url)
    with voipcard.open_book(url, currency="EUR", key=key) as book:
        batch = book.acting_as("bench").extension(EXTENSION).generate(GENUINE, credit="10.00", order_number="PO-117")
        serials = [handout.serial for handout in batch]
        codes = [handout.code for handout in batch]
        for size in sizes:
            filled = _fill(engine, size)
            figures = {
                "cards": size,
                "rows a second by the server alone": filled,
                "bytes": _sizes(engine),
                "milliseconds": _work(book, serials, codes),
                "recharges a second, by processes": {
                    count: _by_processes(url, key, serials, count) for count in PROCESSES
                },
            }
            yield figures
    engine.dispose()


def _fill(engine: sqlalchemy.Engine, size: int) -> float:
    with engine.connect() as connection:
        there = connection.scalar(text("SELECT count(*) FROM voipcard_cards")) or 0
    began, first = time.perf_counter(), there
    for start in range(there, size, _AT_A_TIME):
        with engine.begin() as connection:
            given = {"first": start, "last": min(size, start + _AT_A_TIME) - 1}
            connection.execute(text(_CARDS), given)
            connection.execute(text(_ENTRIES), given)
        sys.stderr.write(f"  {given['last'] + 1:,} cards\n")
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE"))

    return (size - first) / (time.perf_counter() - began)


def _sizes(engine: sqlalchemy.Engine) -> dict[str, int]:
    with engine.connect() as connection:
        return {name: int(size) for name, size in connection.execute(text(_SIZES))}


def _work(book: voipcard.CardBook, serials: Sequence[str], codes: Sequence[str]) -> dict[str, float]:
    extension = book.acting_as("bench").extension(EXTENSION)
    tasks: dict[str, Callable[[int], object]] = {
        "find by code": lambda number: extension.find(code=codes[number % len(codes)]),
        "get by serial": lambda number: extension.get(serials[number % len(serials)]),
        "recharge": lambda number: extension.recharge(serials[number % len(serials)], "1.00"),
        "first page of 50": lambda _: extension.page(limit=50),
        "history of a card": lambda number: list(extension.history(serials[number % len(serials)])),
        "quota": lambda _: extension.quota,
    }
    figures = {name: _median(task) for name, task in tasks.items()}

    return {**figures, "count of the enabled": _median(lambda _: extension.count(enabled=True), 3)}


def _median(task: Callable[[int], object], times: int = 400) -> float:
    seconds = []
    for number in range(times):
        began = time.perf_counter()
        task(number * 17)
        seconds.append(time.perf_counter() - began)

    return round(statistics.median(seconds) * 1000, 3)


def _by_processes(url: str, key: voipcard.KeyFile, serials: Sequence[str], count: int) -> int:
    """
    Give how many recharges a second so many processes make, each as if it were another machine.
    """
    context = multiprocessing.get_context("spawn")
    gate, done = context.Barrier(count), context.SimpleQueue()
    crew = [
        context.Process(target=_recharge, args=(url, key, serials[number::count], gate, done))
        for number in range(count)
    ]
    for process in crew:
        process.start()
    total: int = sum(done.get() for _ in crew)
    for process in crew:
        process.join()

    return round(total / SECONDS)


def _recharge(url: str, key: voipcard.KeyFile, serials: Sequence[str], gate: Any, done: Any) -> None:  # noqa: ANN401
    with voipcard.open_book(url, key=key) as book:
        extension = book.acting_as("bench").extension(EXTENSION)
        extension.recharge(serials[0], "1.00")
        gate.wait()
        until, number = time.perf_counter() + SECONDS, 0
        while time.perf_counter() < until:
            extension.recharge(serials[number % len(serials)], "1.00")
            number += 1
    done.put(number)


def _print(figures: Mapping[str, Any]) -> None:
    lines = [f"\n{figures['cards']:,} cards, filled at {figures['rows a second by the server alone']:,.0f} a second"]
    total = sum(figures["bytes"].values())
    for name, size in figures["bytes"].items():
        lines.append(f"  {name:40} {size / 2**20:10,.1f} MiB {size / figures['cards']:8,.1f} bytes a card")
    lines.append(f"  {'in all':40} {total / 2**20:10,.1f} MiB {total / figures['cards']:8,.1f} bytes a card")
    lines += [f"  {name:40} {value:10,.3f} ms" for name, value in figures["milliseconds"].items()]
    by_processes = figures["recharges a second, by processes"]
    lines += [f"  recharges, {count} processes{'':20} {value:10,} a second" for count, value in by_processes.items()]
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
