"""
Rotations whose processes are killed, while callers get in. `nox -s rotate` tries the same on a large scale.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from tests.labs.rotation import Laboratory, Way

CARDS: Final = 600
LIFE: Final = 0.08


@pytest.mark.parametrize("way", ["login", "look"])
def test_nobody_is_kept_out_while_processes_die(way: Way, tmp_path: Path) -> None:
    """
    Every right PIN lets in while one process after another rotates and is killed; then nothing is left, all is sound.
    """
    report = Laboratory(tmp_path, CARDS, step=5).run(way, LIFE)

    assert report.ok, report


def test_whoever_looks_under_the_newest_key_only_is_found_out(tmp_path: Path) -> None:
    """
    The control: the same kills let those fail who do not know of the older index.
    """
    report = Laboratory(tmp_path, CARDS, step=5).run("newest index only", LIFE)

    assert (report.left, report.findings) == (0, 0)
    assert report.failures > 0
