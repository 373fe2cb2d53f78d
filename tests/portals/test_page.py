"""
The how-to page shows the portals that are tested.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Final

import pytest

from tests.portals.conftest import EXAMPLES

PAGE: Final = Path(__file__).parents[2] / "docs" / "how-to" / "use-in-a-portal.md"
BLOCK: Final = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_the_page_shows_what_is_tested(example: Path) -> None:
    """
    Each portal of the examples is on the page as it is, without the sentence that it begins with.
    """
    shown = dict(BLOCK.findall(PAGE.read_text()))
    source = example.read_text()
    sentence = ast.parse(source).body[0]

    assert shown[example.name].splitlines() == source.splitlines()[(sentence.end_lineno or 0) + 1 :]
