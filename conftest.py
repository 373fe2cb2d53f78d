"""
Runs what the documentation shows: the blocks of README.md and docs/, and every example in a docstring.

The blocks of a page run one after another, in a folder of their own: `python` blocks in one namespace, `sh` blocks with
this Python first on the path. A `python` block that begins with the name of a file, as `# cards.py`, is put at the end
of that file instead. An `output` block has what the block before has printed. What cannot run says so in the source,
directly before the block: `<!-- not run: why -->`.
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

import pytest
from sybil import Document, Example, Region, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser

import voipcard

collect_ignore_glob = ["docs/*.py", "docs/**/*.py"]
"""Scripts with libraries that tests do not need; they have no examples."""

NOT_RUN: Final = re.compile(r"<!-- not run: (.+) -->\n\Z")

_FILE: Final = re.compile(r"# (\w+\.py)\n")

_DRAWN: Final = (
    (re.compile(r"\b[A-Z][2-9A-Z]{3}(?=-[0-9]{6})"), "BATCH"),
    (re.compile(r"\b[0-9]{13}\b"), "CODE"),
    (re.compile(r"\b[0-9]{4}(?=\s|$)"), "PIN"),
)
"""What is another one each time, and looks like this in an `output` block."""


def _enter_folder(namespace: dict[str, Any]) -> None:
    """
    Let the blocks of one page share a folder, which goes away with them, and files that everybody can read at first.
    """
    stack = namespace["_folder"] = contextlib.ExitStack()
    mask = os.umask(0o022)
    stack.callback(os.umask, mask)
    stack.enter_context(contextlib.chdir(stack.enter_context(tempfile.TemporaryDirectory())))


def _leave_folder(namespace: dict[str, Any]) -> None:
    namespace["_folder"].close()


def _run_python(example: Example) -> None:
    file = _FILE.match(example.parsed)
    if file:
        with Path(file[1]).open("a") as module:
            module.write(f"{example.parsed}\n\n")
        return
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        PythonEvaluator()(example)
    example.namespace["_printed"] = printed.getvalue()


def _run_shell(example: Example) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    result = subprocess.run(  # noqa: S603 - what the pages say
        ["/bin/sh", "-ec", example.parsed],
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stdout  # noqa: S101 - this is a test
    example.namespace["_printed"] = result.stdout


def _compare(example: Example) -> str | None:
    expected, printed = _without_chance(example.parsed), example.namespace.pop("_printed")
    if doctest.OutputChecker().check_output(expected, _without_chance(printed), doctest.ELLIPSIS):
        return None

    return f"it printed:\n{printed}"


def _without_chance(text: str) -> str:
    for pattern, name in _DRAWN:
        text = pattern.sub(name, text)

    return f"{text.rstrip()}\n"


def _blocks(language: str, evaluate: Callable[[Example], str | None]) -> Callable[[Document], Iterable[Region]]:
    """
    Find the blocks of one language that can run.
    """
    find = CodeBlockParser(language, evaluate)

    return lambda document: [region for region in find(document) if not NOT_RUN.search(document.text[: region.start])]


README: Final = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["README.md"],
    setup=_enter_folder,
    teardown=_leave_folder,
)
PAGES: Final = Sybil(
    parsers=[_blocks("python", _run_python), _blocks("sh", _run_shell), _blocks("output", _compare)],
    patterns=["docs/**/*.md"],
    setup=_enter_folder,
    teardown=_leave_folder,
)

pytest_collect_file = (README + PAGES).pytest()


@pytest.fixture(autouse=True)
def _docstring_example(request: pytest.FixtureRequest) -> None:
    """
    Let the examples of a docstring use `voipcard` without importing it, in a folder of their own.
    """
    if isinstance(request.node, pytest.DoctestItem):
        request.getfixturevalue("doctest_namespace")["voipcard"] = voipcard
        folder: Path = request.getfixturevalue("tmp_path")
        request.getfixturevalue("monkeypatch").chdir(folder)
