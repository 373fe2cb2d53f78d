"""
The documentation leaves nothing out: every block runs or says why not, and every public name is in the reference.
"""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest

from conftest import NOT_RUN, PAGES

ROOT: Final = Path(__file__).parents[1]
EVERY_PAGE: Final = sorted((ROOT / "docs").rglob("*.md"))

FENCE: Final = re.compile(r"^( *)(`{3,})(.*)\n(?:.*\n)*?\1\2$", re.MULTILINE)
DIRECTIVE: Final = re.compile(r"\.\. auto(class|data|function|module):: ([\w.]+)((?:\n   .+)*)")

# The type of a public class is its own; what a module exports beside it are other modules.
MODULES: Final = [
    "voipcard",
    "voipcard.aio",
    "voipcard.errors",
    "voipcard.sheets",
    "voipcard.stores",
    "voipcard.testing",
]


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def silent(text: str, executed: set[int]) -> list[str]:
    """
    Give what follows the fences of the blocks that are neither executed, nor say why not, nor are for Sphinx.
    """
    return [
        fence[3]
        for fence in FENCE.finditer(text)
        if fence.start() not in executed
        and not NOT_RUN.search(text[: fence.start()])
        and not re.fullmatch(r"\{[\w-]+\}.*", fence[3])
    ]


@pytest.mark.parametrize("page", EVERY_PAGE, ids=_name)
def test_every_block_runs_or_says_why_not(page: Path) -> None:
    """
    No block of a page is left out silently, whatever its language.
    """
    executed = {example.start for example in PAGES.parse(page)}

    assert silent(page.read_text(), executed) == []


@pytest.mark.parametrize("block", ["python\nprint(1)", "\n$ ls", "sh\nls", "json\n{}", "output\n1"])
def test_a_block_that_is_left_out_is_found(block: str) -> None:
    """
    A block that nobody runs is found, and one that says why it cannot run is not.
    """
    text = f"A text.\n\n```{block}\n```\n"
    language = block.partition("\n")[0]

    assert silent(text, set()) == [language]
    assert silent(text, {text.index("```")}) == []
    assert silent(text.replace("```", "<!-- not run: no network -->\n```", 1), set()) == []


def _documented() -> set[str]:
    """
    Give the names that the pages of the reference read from docstrings.
    """
    names = set()
    for page in (ROOT / "docs" / "reference").glob("*.md"):
        for kind, name, options in DIRECTIVE.findall(page.read_text()):
            names.add(name)
            if kind == "module" and ":members:" in options:
                names |= {f"{name}.{member}" for member in import_module(name).__all__}

    return names


@pytest.mark.parametrize("module", MODULES)
def test_every_public_name_is_in_the_reference(module: str) -> None:
    """
    What a module exports is documented, under the name by which it is imported.
    """
    exported = {f"{module}.{name}" for name in import_module(module).__all__}
    elsewhere = {"voipcard.VoipcardError", *MODULES}

    assert exported - elsewhere - _documented() == set()


def _hidden(name: str, options: str) -> set[str]:
    """
    Give the public methods of a class that come from its parts, and that the reference does not show.
    """
    module, _, word = name.rpartition(".")
    whole = getattr(import_module(module), word)
    parts = [part for part in inspect.getmro(whole)[1:] if part.__module__.startswith("voipcard.")]
    members = {member for part in parts for member in vars(part) if not member.startswith("_")}

    return members if re.search(":members:$", options, re.MULTILINE) and ":inherited-members:" not in options else set()


def test_the_reference_shows_what_a_class_has_from_its_parts() -> None:
    """
    A class whose methods are all shown, and that is put together of others, is shown with theirs.
    """
    shown = [
        (name, options)
        for page in (ROOT / "docs" / "reference").glob("*.md")
        for kind, name, options in DIRECTIVE.findall(page.read_text())
        if kind == "class"
    ]

    assert {name: hidden for name, options in shown if (hidden := _hidden(name, options))} == {}
    assert "authenticate" in _hidden("voipcard.Extension", "\n   :members:")
