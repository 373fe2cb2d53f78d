"""
The evening of calls: what is charged is what was called, to the millionth, also where switches crash.
"""

from __future__ import annotations

import csv
import runpy
from pathlib import Path
from typing import Final

import pytest

import voipcard
from tests.test_secrecy import hits

SCRIPT: Final = Path(__file__).parents[1] / "examples" / "calls.py"


def test_an_evening_is_charged_to_the_millionth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    What cards lost is what the report charged and what the switches recorded, and no called number is in the book.
    """
    runpy.run_path(str(SCRIPT))["main"](tmp_path, calls=300, cards=40, lines=20, areas=20)
    shown = capsys.readouterr().out
    recorded = [path.read_text().splitlines() for path in tmp_path.glob("cdrs-*.csv")]
    records = [row for lines in recorded for row in csv.DictReader(lines)]
    numbers = {row["destination"] for row in records}
    kept = {name: (tmp_path / name).read_bytes() for name in ("cards.db", "costs.xlsx")}

    assert "lost when a switch crashed" in shown
    assert shown.count("  yes\n") == 5
    assert "NO" not in shown
    assert len({row["call_id"] for row in records}) == len(records) > 100
    assert hits(numbers, {**kept, "screen": shown.encode()}) == []
    assert hits(numbers, {"its own record": (tmp_path / "cdrs-3.csv").read_bytes()})


def test_a_millionth_that_is_missing_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    An evening in which a switch's record has one call less than was charged does not end well.
    """
    imported = voipcard.Extension.import_cdrs

    def forgetful(extension: voipcard.Extension, path: Path) -> voipcard.Settlement:
        settlement = imported(extension, path)
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join([lines[0], *(line for line in lines[1:] if line.endswith(",0\n"))]))

        return settlement

    monkeypatch.setattr(voipcard.Extension, "import_cdrs", forgetful)

    with pytest.raises(SystemExit):
        runpy.run_path(str(SCRIPT))["main"](tmp_path, calls=100, cards=40, lines=20, areas=20)
