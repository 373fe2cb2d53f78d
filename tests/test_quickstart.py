"""
The quickstart: what a newcomer sees first works, and leaves no secret where none belongs.
"""

from __future__ import annotations

import logging
import runpy
from pathlib import Path
from typing import TYPE_CHECKING, Final

import voipcard
from tests.test_secrecy import hits

if TYPE_CHECKING:
    import pytest

SCRIPT: Final = Path(__file__).parents[1] / "examples" / "quickstart.py"

OUTPUTS: Final = {"handout.xlsx", "handout.csv"}
"""What it writes on purpose with codes and PINs in clear text."""

MEANINGFUL: Final = 6
"""Shorter PINs are found in any file by chance."""

FORMS: Final = {"UTF-8", "UTF-16", "hex", "Base64", "reversed"}
"""What a secret may look like. Digits packed into a few bytes are found by chance: a credit of 10.00 is 00 98 96 80."""


def test_the_quickstart_shows_what_it_promises_and_leaves_no_secret(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """
    Every step of the quickstart shows its result; no code, PIN or CallerID is in the book, its key, a log or elsewhere.
    """
    caplog.set_level(logging.DEBUG)
    book_folder, elsewhere = tmp_path / "book", tmp_path / "elsewhere"
    book_folder.mkdir()
    elsewhere.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(elsewhere))
    runpy.run_path(str(SCRIPT))["main"](book_folder)
    shown = capsys.readouterr().out
    kept = {path.name: path.read_bytes() for path in book_folder.iterdir() if path.name not in OUTPUTS}
    book = voipcard.open_book(book_folder / "cards.db").acting_as("auditor")
    extension = book.extension("0003*215")
    handouts = [extension.reveal(card) for card in extension]
    book.close()
    secrets = {text for handout in handouts for text in (handout.code, handout.pin) if len(text) >= MEANINGFUL}

    found = hits(secrets, {**kept, "log": caplog.text.encode()})

    for said in ("10 rows were refused", "34 cards added", "PO-118        True", "Refused whole: 100 more", "findings"):
        assert said in shown
    assert sum(handout.code in shown for handout in handouts) < len(handouts) // 10
    assert len(handouts) == 634
    assert kept.keys() == {"cards.db", "cards.db.key", "cards.xlsx"}
    assert list(elsewhere.iterdir()) == []
    assert [hit for hit in found if hit[1] in FORMS] == []
    assert hits(secrets, {"handout.csv": (book_folder / "handout.csv").read_bytes()})
