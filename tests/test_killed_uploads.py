"""
Uploads that are killed at any moment are done whole or not at all. `nox -s kill` tries the same on a large scale.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.labs.killed_uploads import Hurried, Laboratory

ROWS: Final = 3000
"""More than a store commits in one piece: it prepares so many in a scratch file."""


def test_an_upload_is_killed_and_all_rows_are_there_or_none(tmp_path: Path) -> None:
    """
    After a kill the book is sound and has all rows or none; the same upload again makes sure of all, once.
    """
    trials = list(Laboratory(tmp_path, ROWS).trials(6))

    assert [trial.faults for trial in trials] == [()] * 6
    assert {trial.cards for trial in trials} <= {0, ROWS}


def test_a_store_that_commits_some_of_them_is_found_out(tmp_path: Path) -> None:
    """
    The same kills find rows missing where a store commits a thousand at a time: what they prove is not luck.
    """
    assert any(trial.faults for trial in Laboratory(tmp_path, ROWS, store=Hurried).trials(20))
