"""
The layers of the design, checked from the source: who may know whom, and which library may be imported where.

A module is named as below `voipcard`: `core.credit`, or `core` for the package itself. `voipcard` stands for its own
`__init__.py`, the face.
"""

from __future__ import annotations

import ast
import graphlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import attrs
import pytest

import voipcard

FACE: Final = "voipcard"
DESIGN: Final = Path(__file__).parents[1] / "docs" / "explanation" / "design.md"

_BORDER: Final = {"errors", "core", "stores.contract", "names"}
_FACES: Final = {
    *{"access", "calling", "decks", "guessing", "transact", "searching", "targets", "verifying", "rotating"},
    *{"extension", "book", "opening"},
}

LAYERS: Final[dict[str, set[str]]] = {
    "errors": set(),
    "names": set(),
    "core": {"errors"},
    "core.arguments": {"errors"},
    "core.credit": {"errors"},
    "core.moments": {"errors"},
    "core.license": {"errors", "core.arguments", "core.moments"},
    "core.expiry": {"errors", "core.arguments", "core.moments"},
    "core.rating": {"errors", "core.arguments", "core.credit", "core.moments"},
    "core.settings": {"errors", "core.arguments", "core.credit", "core.expiry", "core.rating"},
    "core.throttle": {"errors", "core.arguments"},
    "core.uploads": {"errors", "core.cards", "core.license"},
    "core.batches": {"core.cards", "core.expiry", "core.uploads"},
    "core.labels": {"errors", "core.arguments"},
    "core.cards": {"errors", "core.arguments", "core.credit", "core.moments"},
    "core.ledger": {"errors", "core.credit", "core.moments", "core.cards"},
    "core.query": {"errors", "core.arguments", "core.credit", "core.moments", "core.cards", "core.ledger"},
    "ciphers": {"errors"},
    "providers": {"errors", "ciphers"},
    "keyring": {"errors", "ciphers"},
    "unlocking": {"errors", "names", "ciphers", "providers", "keyring", "stores.contract"},
    "signing": {"errors"},
    "licensing": {"errors", "core", "signing"},
    "stores": {"errors", "names", "core", "turns"},
    "stores.contract": {"errors", "core"},
    "sheets": {"errors", "core"},
    "records": {*_BORDER, "keyring", "unlocking"},
    "turns": set(),
    "trail": {*_BORDER, "records"},
    "deciding": {*_BORDER, "records", "trail", "turns"},
    "transact": {*_BORDER, "ciphers", "keyring", "licensing", "records", "deciding", "trail"},
    "cursors": {"errors", "records"},
    "auditing": {*_BORDER, "cursors", "records", "trail", "transact"},
    "phone": {"errors", "core.cards"},
    "installing": {*_BORDER, "deciding", "licensing", "transact"},
    "decks": {*_BORDER, "deciding", "records", "transact"},
    "registry": {*_BORDER, "deciding", "phone", "records", "transact"},
    "batches": {*_BORDER, "deciding", "records", "transact"},
    "guessing": {*_BORDER, "deciding", "records", "transact"},
    "desk": {*_BORDER, "batches", "deciding", "records", "transact"},
    "access": {*_BORDER, "batches", "deciding", "desk", "guessing", "registry", "transact"},
    "rotating": {*_BORDER, "deciding", "keyring", "providers", "records", "registry", "transact", "unlocking"},
    "searching": {*_BORDER, "cursors", "records", "transact", "registry"},
    "recharging": {*_BORDER, "deciding", "desk", "transact"},
    "holding": {*_BORDER, "batches", "deciding", "desk", "records", "registry", "transact"},
    "calling": {*_BORDER, "access", "deciding", "decks", "desk", "holding", "records", "registry", "transact"},
    "settling": {*_BORDER, "calling", "deciding", "decks", "desk", "registry", "transact"},
    "handing": {*_BORDER, "deciding"},
    "sealing": {*_BORDER, "records", "transact", "registry"},
    "issuing": {
        *{*_BORDER, "batches", "deciding", "handing", "records", "transact", "registry", "sealing", "searching"},
    },
    "targets": {*_BORDER, "deciding", "records", "transact"},
    "editing": {*_BORDER, "deciding", "desk", "records", "transact", "registry", "targets"},
    "lifecycle": {*_BORDER, "deciding", "records", "transact", "targets"},
    "exporting": {*_BORDER, "transact", "searching"},
    "scopes": {*_BORDER, "batches", "searching", "transact"},
    "charges": {*_BORDER, "scopes", "searching", "transact"},
    "outstanding": {*_BORDER, "desk", "scopes", "searching", "transact"},
    "reporting": {*_BORDER, "deciding", "scopes", "transact"},
    "purging": {*_BORDER, "deciding", "records", "transact"},
    "checkpoints": {*_BORDER, "signing", "trail", "transact"},
    "reconciling": {*_BORDER, "records", "trail", "transact"},
    "verifying": {*_BORDER, "checkpoints", "reconciling", "signing", "records", "transact", "registry", "searching"},
    "extension": {
        *_BORDER,
        *{"transact", "registry", "batches", "searching", "targets"},
        *{
            "access",
            "calling",
            "guessing",
            "holding",
            "recharging",
            "issuing",
            "sealing",
            "editing",
            "lifecycle",
            "exporting",
            "settling",
        },
        *{"charges", "outstanding", "reporting"},
    },
    "book": {
        *{*_BORDER, "ciphers", "decks", "providers", "installing", "transact", "registry", "purging", "rotating"},
        *{
            "auditing",
            "charges",
            "checkpoints",
            "guessing",
            "holding",
            "lifecycle",
            "outstanding",
            "reporting",
            "signing",
            "trail",
            "verifying",
            "extension",
        },
    },
    "opening": {
        *{*_BORDER, "ciphers", "providers", "unlocking", "records", "installing", "licensing", "signing", "stores"},
        *{"trail", "transact", "book"},
    },
    "crossing": {"errors", "core.arguments"},
    "aio": {*_BORDER, "auditing", "ciphers", "crossing", "providers", "signing", "trail", *_FACES},
    "testing": {"errors", "core", "stores.contract"},
    FACE: {
        *{*_BORDER, "auditing", "ciphers", "providers", "licensing", "signing", "stores", "sheets", "trail"},
        *{*_FACES, "aio"},
    },
}
"""
What each part may import. A part also knows its own modules; a module with an entry of its own knows what that says.
"""

LAZY: Final[dict[str, set[str]]] = {
    "extension": {"sheets"},
    "exporting": {"sheets"},
    "handing": {"sheets"},
    "issuing": {"sheets"},
    "aio": {"sheets", "stores"},
}
"""What a part may import besides where loading it does not load that too: in a function, or for type checkers."""

LIBRARIES: Final[dict[str, set[str]]] = {
    "anyio": {"crossing"},
    "attrs": set(LAYERS),
    "cryptography": {"ciphers", "keyring", "providers", "signing"},
    "openpyxl": {"sheets"},
    "phonenumbers": {"phone"},
    "hypothesis": {"testing"},
    "pytest": {"testing"},
    "psycopg": {"stores.servers.owned", "stores.servers.sessions"},
    "pysqlite3": {"stores.sqlite_file"},
    "sqlalchemy": {"stores.sqlalchemy", "stores.servers", "crossing", "aio"},
    "sqlite3": {"stores.sqlite_file", "stores.servers.failures"},
    "trio": {"crossing"},
}
"""Where each library may be imported. `sqlite3` comes with Python, but only one module is to know it."""

IMPURE: Final = {
    "asyncio",
    "io",
    "logging",
    "multiprocessing",
    "os",
    "pathlib",
    "random",
    "secrets",
    "shutil",
    "socket",
    "subprocess",
    "sys",
    "tempfile",
    "threading",
    "time",
    "uuid",
}
"""Files, clocks, chance, threads and processes: the rules in `core` do without them."""

SOURCES: Final[dict[str, set[str]]] = {"core.codes": {"os"}}
"""What is impure and let in nevertheless: `os.urandom` is what draws codes where a caller gives no other source."""

SUBJECTLESS: Final = {
    "base",
    "common",
    "constants",
    "handler",
    "helpers",
    "manager",
    "misc",
    "service",
    "types",
    "utils",
}
"""A module with such a name has no subject."""

HEAVY: Final = {
    "anyio",
    "cryptography",
    "hypothesis",
    "openpyxl",
    "phonenumbers",
    "pysqlite3",
    "pytest",
    "sqlalchemy",
    "sqlite3",
}


@attrs.frozen
class Import:
    """
    One import in one module.

    Attributes:
        line: Where it stands.
        name: A module of this package, as named in the tables, or the top-level name of a library.
        ours: Whether it belongs to this package.
        deferred: Whether loading the module leaves unloaded what it imports.
    """

    line: int
    name: str
    ours: bool
    deferred: bool


class _Collector(ast.NodeVisitor):
    """
    Collects the imports of one module, with those inside functions and those for type checkers.
    """

    def __init__(self, path: str, known: Iterable[str]) -> None:
        self.found: list[Import] = []
        self.hidden: list[int] = []
        self._package = [FACE, *path.split("/")[:-1]]
        self._known = set(known) | set(LAYERS)
        self._deferred = False

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._add(node.lineno, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        source = self._absolute("." * node.level + (node.module or ""))
        for alias in node.names:
            module = f"{source}.{alias.name}"
            self._add(node.lineno, module if module.removeprefix(f"{FACE}.") in self._known else source)

    def visit_Call(self, node: ast.Call) -> None:
        called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if called in {"import_module", "__import__"}:
            name = node.args[0] if node.args else None
            if isinstance(name, ast.Constant) and isinstance(name.value, str):
                self._add(node.lineno, self._absolute(name.value))
            else:
                self.hidden.append(node.lineno)
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._visit_deferred(node)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._visit_deferred(node)

    def visit_Lambda(self, node: ast.Lambda) -> None:
        self._visit_deferred(node)

    def visit_If(self, node: ast.If) -> None:
        if "TYPE_CHECKING" in {getattr(node.test, "id", ""), getattr(node.test, "attr", "")}:
            for statement in node.body:
                self._visit_deferred(statement)
            for statement in node.orelse:
                self.visit(statement)
        else:
            self.generic_visit(node)

    def _visit_deferred(self, node: ast.AST) -> None:
        before, self._deferred = self._deferred, True
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            self.visit(node)
        else:
            self.generic_visit(node)
        self._deferred = before

    def _absolute(self, name: str) -> str:
        below = name.lstrip(".")
        level = len(name) - len(below)
        if not level:
            return name

        return ".".join([*self._package[: len(self._package) - level + 1], *([below] if below else [])])

    def _add(self, line: int, name: str) -> None:
        top = _part(name)
        ours = top == FACE
        self.found.append(Import(line, (name.removeprefix(f"{FACE}.") if ours else top), ours, self._deferred))


def _part(module: str) -> str:
    return module.partition(".")[0]


def module_name(path: str) -> str:
    """
    Name the module that a path below `src/voipcard` holds.
    """
    return path.removesuffix(".py").removesuffix("__init__").strip("/").replace("/", ".") or FACE


def imports(path: str, source: str, known: Iterable[str] = ()) -> _Collector:
    """
    Read the imports of one module.

    Args:
        path: The module below `src/voipcard`.

        source: Its text.

        known: The modules of the package, which tell `from voipcard.core import credit` from an import of a name.
    """
    collector = _Collector(path, known)
    collector.visit(ast.parse(source))

    return collector


def violations(path: str, source: str, known: Iterable[str] = ()) -> list[str]:
    """
    List what one module does that the tables do not allow, one line of text each.

    Args:
        path: The module below `src/voipcard`.

        source: Its text.

        known: As for `imports`.
    """
    module = module_name(path)
    part = _part(module)
    subjectless = {name.strip("_") for name in path.removesuffix(".py").split("/")} & SUBJECTLESS
    faults = [f"{path}: {name} is no subject" for name in sorted(subjectless)]
    if part not in LAYERS:
        return [*faults, f"{path}: {part} is in no layer"]

    collected = imports(path, source, known)
    faults += [f"{path}:{line} hides what it imports" for line in collected.hidden if module != FACE]
    for imported in collected.found:
        allowed = _may_know if imported.ours else _may_load
        if not allowed(module, imported):
            faults.append(f"{path}:{imported.line} may not import {imported.name}")

    return faults


def _within(module: str, entries: Iterable[str]) -> bool:
    return any(module == entry or module.startswith(f"{entry}.") for entry in entries)


def _may_know(module: str, imported: Import) -> bool:
    part = _part(module)
    allowed = LAYERS.get(module, LAYERS[part]) | (LAZY.get(part, set()) if imported.deferred else set())
    own = {part} if module == part or module not in LAYERS else set()

    return _within(imported.name, allowed | own) and imported.name != module


def _may_load(module: str, imported: Import) -> bool:
    if imported.name in LIBRARIES:
        return _within(module, LIBRARIES[imported.name])
    if imported.name in IMPURE:
        return not _within(module, {"core"}) or imported.name in SOURCES.get(module, set())

    return imported.name in sys.stdlib_module_names


def cycle(sources: Mapping[str, str]) -> list[str]:
    """
    Find modules that import one another in a circle; empty if there are none.

    Args:
        sources: The text of each module, by its path below `src/voipcard`.
    """
    known = {module_name(path) for path in sources}
    graph = {
        module_name(path): {found.name for found in imports(path, source, known).found if found.ours}
        for path, source in sources.items()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])

    return []


def _package() -> dict[str, str]:
    root = Path(voipcard.__file__).parent

    return {path.relative_to(root).as_posix(): path.read_text("utf-8") for path in sorted(root.rglob("*.py"))}


def test_every_module_knows_what_its_layer_may_know() -> None:
    """
    No module of the package imports what the tables do not allow.
    """
    sources = _package()
    known = {module_name(path) for path in sources}

    faults = [fault for path, source in sources.items() for fault in violations(path, source, known)]

    assert faults == []


def test_no_modules_import_one_another_in_a_circle() -> None:
    """
    The modules can be read in an order in which each builds on earlier ones only.
    """
    assert cycle(_package()) == []


def _on_the_page() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """
    Read the tables of the design page: what each part knows, and what it knows where loading it does not load that.
    """
    knows: dict[str, set[str]] = {}
    later: dict[str, set[str]] = {}
    for names, known in re.findall(r"^\| (`.+?) \| (.+?) \| .+ \|$", DESIGN.read_text("utf-8"), re.MULTILINE):
        at_once, _, lazily = known.replace("`", "").partition("; ")
        words = set(re.split(r", | and ", at_once)) - {"–"}
        for name in set(re.findall(r"`([\w.]+)`", names)) & LAYERS.keys():
            knows.setdefault(name, words - {"the border"} | (_BORDER if "the border" in words else set()))
            later.setdefault(name, set(re.findall(r"stores|sheets", lazily)))

    return knows, {name: words for name, words in later.items() if words}


def test_the_design_page_has_the_same_tables() -> None:
    """
    Whoever reads the page about the design reads what is checked here.
    """
    knows, later = _on_the_page()

    assert knows == {part: known for part, known in LAYERS.items() if part != FACE}
    assert later == LAZY


def test_the_tables_allow_no_circle() -> None:
    """
    The layers themselves have an order, so that no two parts may ever know each other.
    """
    parts = {part: {_part(name) for name in LAYERS[part] | LAZY.get(part, set())} for part in LAYERS if "." not in part}

    assert list(graphlib.TopologicalSorter(parts).static_order())


def test_importing_voipcard_loads_no_heavy_library() -> None:
    """
    `import voipcard` is quick: what is big, or needed by some only, is loaded when it is first used.
    """
    program = "import sys; before = set(sys.modules); import voipcard; print(*(set(sys.modules) - before))"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, env=environment)

    assert {_part(name) for name in run.stdout.split()} & HEAVY == set()


ALLOWED: Final = [
    ("core/codes.py", "import attrs\nfrom voipcard.core import check_digits\nfrom voipcard.errors import AmountError"),
    ("core/query.py", "from voipcard.core.cards import Kind"),
    ("stores/memory.py", "from voipcard.stores.contract import Store"),
    ("stores/sqlite_file.py", "try:\n    from pysqlite3 import dbapi2\nexcept ImportError:\n    import sqlite3"),
    ("records.py", "from voipcard.stores import contract"),
    ("extension/making.py", "def upload():\n    from voipcard import sheets"),
    ("extension/finding.py", "if TYPE_CHECKING:\n    from voipcard.sheets.export import Format"),
    ("opening.py", "from voipcard.stores.sqlite import SQLiteStore"),
    ("testing/machine.py", "import hypothesis.stateful\nimport os"),
    ("__init__.py", "import importlib\ndef __getattr__(name):\n    return importlib.import_module(PLACES[name])"),
]


@pytest.mark.parametrize("path, source", ALLOWED)
def test_what_the_tables_allow_is_let_through(path: str, source: str) -> None:
    """
    The check has no fault to find in modules that keep to the tables.
    """
    assert violations(path, source, {"core.check_digits"}) == []


FORBIDDEN: Final = [
    pytest.param("errors.py", "from voipcard.core.credit import Credit", "core.credit", id="the bottom knows nobody"),
    pytest.param("core/pins.py", "import voipcard.keyring", "keyring", id="the core knows no key"),
    pytest.param("core/credit.py", "from voipcard.core.cards import CardCode", "core.cards", id="credit before cards"),
    pytest.param("core/cards.py", "from . import query", "core.query", id="relative"),
    pytest.param("core/pins.py", "from ..stores.contract import Store", "stores.contract", id="relative to a parent"),
    pytest.param("core/pins.py", "from voipcard import errors, keyring", "keyring", id="the second of two names"),
    pytest.param("core/pins.py", "from voipcard import Credit", "voipcard", id="through the face"),
    pytest.param("core/pins.py", "def f():\n    import voipcard.book", "book", id="in a function"),
    pytest.param("core/pins.py", "if TYPE_CHECKING:\n    import voipcard.book", "book", id="for type checkers"),
    pytest.param("core/pins.py", "import importlib\nimportlib.import_module('voipcard.book')", "book", id="by name"),
    pytest.param("core/pins.py", "__import__('secrets')", "secrets", id="chance, by name"),
    pytest.param("core/codes.py", "import time", "time", id="the core has no clock"),
    pytest.param("core/codes.py", "import numpy as np", "numpy", id="unknown library"),
    pytest.param("stores/memory.py", "from voipcard.keyring import Keyring", "keyring", id="stores see no key"),
    pytest.param(
        "stores/contract.py", "from voipcard.stores.memory import MemoryStore", "stores.memory", id="border first"
    ),
    pytest.param("stores/memory.py", "import sqlite3", "sqlite3", id="one module knows SQLite"),
    pytest.param("stores/sqlite.py", "import cryptography.fernet", "cryptography", id="one module knows cryptography"),
    pytest.param("records.py", "from voipcard.stores.sqlite import SQLiteStore", "stores.sqlite", id="concrete store"),
    pytest.param("records.py", "from voipcard.stores import MemoryStore", "stores", id="concrete store by its package"),
    pytest.param("book.py", "from voipcard import sheets", "sheets", id="sheets at once"),
    pytest.param("book.py", "class Book:\n    from voipcard import sheets", "sheets", id="sheets at once, in a class"),
    pytest.param("book.py", "def f():\n    import openpyxl", "openpyxl", id="only sheets know openpyxl"),
    pytest.param("transact.py", "def f():\n    from voipcard import sheets", "sheets", id="lazy is for one module"),
    pytest.param("sheets/csv.py", "from voipcard.book import CardBook", "book", id="sheets know no book"),
    pytest.param("book.py", "import pytest", "pytest", id="only the kit knows pytest"),
    pytest.param(
        "testing/machine.py", "from voipcard.stores.memory import MemoryStore", "stores.memory", id="kit, no store"
    ),
    pytest.param("__init__.py", "import voipcard.testing", "testing", id="the face leaves the kit alone"),
]


@pytest.mark.parametrize("path, source, name", FORBIDDEN)
def test_what_the_tables_forbid_is_found(path: str, source: str, name: str) -> None:
    """
    The check finds each kind of forbidden import, and names the line and what was imported.
    """
    line = source.count("\n") + 1

    assert violations(path, source) == [f"{path}:{line} may not import {name}"]


@pytest.mark.parametrize("name", sorted(SUBJECTLESS))
def test_a_name_without_a_subject_is_refused(name: str) -> None:
    """
    A module or folder that could hold anything is refused, wherever it is and with an underscore too.
    """
    paths = [f"core/{name}.py", f"stores/_{name}.py", f"sheets/{name}/rows.py"]
    faults = [fault for path in paths for fault in violations(path, "")]

    assert faults == [f"{path}: {name} is no subject" for path in paths]


def test_an_unknown_part_is_refused() -> None:
    """
    A new part needs a line in the table first.
    """
    assert violations("billing.py", "") == ["billing.py: billing is in no layer"]


def test_a_hidden_import_is_refused() -> None:
    """
    What is imported has to be readable from the source.
    """
    assert violations("book.py", "import importlib\nimportlib.import_module(name)") == [
        "book.py:2 hides what it imports",
    ]


def test_a_circle_is_found() -> None:
    """
    Modules of one part that import one another are found, even where only a function or a type checker would.
    """
    circle = cycle(
        {
            "core/pins.py": "if TYPE_CHECKING:\n    from voipcard.core.codes import CodeFormat",
            "core/codes.py": "def f():\n    from voipcard.core import policy",
            "core/policy.py": "import voipcard.core.pins",
        },
    )

    assert set(circle) == {"core.pins", "core.codes", "core.policy"}
