"""
Runs what the documentation shows: every Python block of README.md and docs/, and every example in a docstring.
"""

from __future__ import annotations

import contextlib
import tempfile
from typing import TYPE_CHECKING, Any

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

import voipcard

if TYPE_CHECKING:
    from pathlib import Path


def _enter_folder(namespace: dict[str, Any]) -> None:
    """
    Let the blocks of one page share a folder, which goes away with them.
    """
    stack = namespace["_folder"] = contextlib.ExitStack()
    stack.enter_context(contextlib.chdir(stack.enter_context(tempfile.TemporaryDirectory())))


def _leave_folder(namespace: dict[str, Any]) -> None:
    namespace["_folder"].close()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    patterns=["README.md", "docs/**/*.md"],
    setup=_enter_folder,
    teardown=_leave_folder,
).pytest()


@pytest.fixture(autouse=True)
def _docstring_example(request: pytest.FixtureRequest) -> None:
    """
    Let the examples of a docstring use `voipcard` without importing it, in a folder of their own.
    """
    if isinstance(request.node, pytest.DoctestItem):
        request.getfixturevalue("doctest_namespace")["voipcard"] = voipcard
        folder: Path = request.getfixturevalue("tmp_path")
        request.getfixturevalue("monkeypatch").chdir(folder)
