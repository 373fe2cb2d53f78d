"""
Let the tests import the portals of the examples.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

EXAMPLES: Final = Path(__file__).parents[2] / "examples" / "portals"


@pytest.fixture(autouse=True)
def _portals(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Let the tests import the portals of the examples, as these import each other.
    """
    monkeypatch.syspath_prepend(EXAMPLES)
