"""
What a card book does, from a new file to a verified one: run it and read along.

    python examples/quickstart.py
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from textwrap import shorten

import voipcard
from voipcard.errors import QuotaExceededError, UploadError

DATA = Path(__file__).parent / "data"


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


def show_quota(extension: voipcard.Extension) -> None:
    """
    Print the three numbers of VoipNow's Add page.
    """
    quota = extension.quota
    table(["allowed", "active", "still to add"], [[quota.limit, quota.active, quota.remaining]])


def fill(extension: voipcard.Extension) -> voipcard.Batch:
    """
    Put cards into an extension: from a file, and drawn.
    """
    title("Upload a file of codes: all of it or nothing")
    try:
        extension.upload(DATA / "upload-bad.csv")
    except UploadError as error:
        print(f"  upload-bad.csv: {error.detail}, and nothing was written.")
        table(
            ["row", "column", "reason", "advice"],
            [(p.row, p.column, p.reason, shorten(p.advice, 70)) for p in error.problems],
        )
    rehearsed = extension.upload(DATA / "upload.csv", dry_run=True)
    uploaded = extension.upload(DATA / "upload.csv")
    again = extension.upload(DATA / "upload.csv")
    print(f"  upload.csv: {uploaded.size} cards added. The dry run said so: {uploaded.report == rehearsed.report}.")
    print(f"  Sent again, it is not done again but answered with the same batch: {again.id == uploaded.id}.")
    table(
        ["serial", "kind", "code", "PIN", "credit", "order number"],
        [(h.serial, h.kind, h.code, h.pin or "-", h.credit, h.order_number) for h in islice(uploaded, 10, 20)],
    )

    title("Generate 500 codes for 10.00 each")
    batch = extension.generate(500, credit="10.00", order_number="PO-117")
    table(["serial", "code", "PIN"], [(h.serial, h.code, h.pin) for h in islice(batch, 3)])
    print(f"  A hand-out in a log does not show its secrets: {batch[0]}")
    show_quota(extension)

    return batch


def use(extension: voipcard.Extension, batch: voipcard.Batch) -> None:
    """
    Change credit, and what is active.
    """
    title("Recharge a card twice with the same order number: credited once")
    serial = batch[0].serial
    entries = [extension.recharge(serial, "25.00", order_number="PO-118") for _ in range(2)]
    table(
        ["credit added", "credit left", "order number", "replayed"],
        [(entry.amount, entry.credit_left, entry.order_number, entry.replayed) for entry in entries],
    )

    title("Take 10.00 from an unlimited card: nothing is left on it")
    unlimited = next(extension.search(unlimited=True))
    extension.recharge(unlimited, "-10.00", order_number="PO-119")
    table(
        ["order number", "credit added", "credit left", "date added", "by"],
        [(e.order_number, e.amount, e.credit_left, f"{e.created_at:%Y-%m-%d %H:%M}", e.actor)
         for e in extension.history(unlimited)],
    )  # fmt: skip

    title("Run into the license limit, then make room")
    try:
        extension.generate(100, credit="5.00")
    except QuotaExceededError as error:
        print(f"  Refused whole: {error}.")
    print(f"  Disabled: {extension.disable(voipcard.CardQuery(batch=batch.id))} cards.")
    extension.generate(100, credit="5.00", order_number="PO-120")
    print(f"  Generated 100 more, enabled {extension.enable(batch[0].serial)} of the disabled ones again.")
    show_quota(extension)


def look(book: voipcard.CardBook, extension: voipcard.Extension, batch: voipcard.Batch, folder: Path) -> None:
    """
    Search, export and verify.
    """
    title("Search")
    page = extension.page(enabled=True, credit_at_least="15.00", order="credit", descending=True, limit=5)
    table(
        ["serial", "code", "PIN", "credit", "total", "order number"],
        [(c.serial, c.code, "yes" if c.has_pin else "no", c.credit, c.total_credit, c.order_number) for c in page],
    )
    found = extension.get(code=batch[7].code)
    print(f"  By its code: {found.serial}. Codes that begin with 00: {extension.count(code_prefix='00')}.")

    title("Export: hand-outs with their secrets, the list of enabled cards without")
    rows = {
        "handout.xlsx": voipcard.sheets.write(folder / "handout.xlsx", batch),
        "handout.csv": voipcard.sheets.write(folder / "handout.csv", batch),
        "cards.xlsx": extension.export(folder / "cards.xlsx", enabled=True, order="credit", descending=True),
    }
    table(["file", "rows", "bytes"], [(name, count, (folder / name).stat().st_size) for name, count in rows.items()])

    title("Verify everything")
    report = book.verify()
    table(
        ["cards", "ledger entries", "documents", "audit entries", "findings"],
        [(report.cards, report.entries, report.documents, report.audit_entries, len(report.findings))],
    )
    table(
        ["when", "who", "what", "extension"],
        [(f"{e.created_at:%H:%M:%S}", e.actor, e.verb, e.extension) for e in book.audit_trail()],
    )


def main(folder: Path) -> None:
    """
    Walk through a book in *folder*.
    """
    title("A new book for EUR, with a license for 600 active codes")
    path = folder / "cards.db"
    book = voipcard.open_book(path, currency="EUR").acting_as("alice")
    book.install_license(voipcard.License(max_active_codes=600))
    extension = book.extension("0003*215")
    book.label_extension("0003*215", "Calling cards, front desk")
    for file in sorted(folder.iterdir()):
        print(f"  {file.name:<14} {file.stat().st_mode & 0o777:o}")

    batch = fill(extension)
    use(extension, batch)
    look(book, extension, batch, folder)
    book.close()


if __name__ == "__main__":
    logging.basicConfig(format="  %(levelname)s: %(message)s")
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
