"""
The async twins are what the script makes of the sources, and a change there is not forgotten here.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from scripts import generate_aio
from scripts.generate_aio import PACKAGE, regenerated

CURRENT = generate_aio.TARGET.read_text("utf-8")


@pytest.fixture
def sources() -> dict[str, str]:
    """
    Give the texts of what has twins, by their paths.
    """
    alone = [PACKAGE / "opening.py", PACKAGE / "calling.py"]
    paths = [*alone, *PACKAGE.glob("book/*.py"), *PACKAGE.glob("extension/*.py")]

    return {path.relative_to(PACKAGE).as_posix(): path.read_text("utf-8") for path in paths}


def changed(source: str, old: str, new: str) -> str:
    """
    Put one text for another, which has to be there.
    """
    assert old in source

    return source.replace(old, new, 1)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: dict[str, str]) -> Path:
    """
    Give a copy of what the script reads and writes.
    """
    monkeypatch.setattr(generate_aio, "PACKAGE", tmp_path)
    monkeypatch.setattr(generate_aio, "TARGET", tmp_path / "aio.py")
    for module, source in sources.items():
        (tmp_path / module).parent.mkdir(exist_ok=True)
        (tmp_path / module).write_text(source, "utf-8")
    (tmp_path / "aio.py").write_text(CURRENT, "utf-8")

    return tmp_path


def test_the_twins_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    """
    What is committed is what the script makes, so that nobody forgot to run it.
    """
    assert (generate_aio.main(["--check"]), capsys.readouterr().out) == (0, "")


def test_writing_again_changes_nothing(sources: dict[str, str]) -> None:
    """
    The script gives the same text again when it is given its own.
    """
    assert regenerated(regenerated(CURRENT, sources.__getitem__), sources.__getitem__) == CURRENT


FINDING, KEYS = "extension/finding.py", "book/keys.py"

CHANGES = [
    pytest.param(FINDING, "    def get(", "    def weigh(self) -> int:\n        return 1\n\n    def get(", id="new"),
    pytest.param("extension/changing.py", "def remove_unused(", "def remove_idle(", id="renamed"),
    pytest.param("extension/making.py", "dry_run: bool = False", "dry_run: bool = True", id="default"),
    pytest.param(FINDING, "def reveal(self, card: CardCode | str)", "def reveal(self, card: str)", id="type"),
    pytest.param(KEYS, "The number of the new key, how", "The number, how", id="docstring"),
    pytest.param("book/__init__.py", "def suite(self) -> Suite:", "def suite(self) -> str:", id="of the class itself"),
    pytest.param("book/__init__.py", "WithKeys, ", "", id="part that is gone"),
    pytest.param("calling.py", "def keep_alive(self)", "def still_there(self)", id="of a call"),
    pytest.param("calling.py", "Charge the call and free", "Charge the call, and free", id="docstring of a call"),
    pytest.param("opening.py", "    policy: Policy | None = None,\n", "", id="argument that is gone"),
]


@pytest.mark.parametrize("module, old, new", CHANGES)
def test_a_change_that_was_not_written_is_noticed(
    package: Path, capsys: pytest.CaptureFixture[str], module: str, old: str, new: str
) -> None:
    """
    Whoever changes a method and does not run the script is told by the check, with what is different.
    """
    source = package / module
    source.write_text(changed(source.read_text("utf-8"), old, new), "utf-8")

    outcome, told = generate_aio.main(["--check"]), capsys.readouterr().out

    assert (outcome, (package / "aio.py").read_text("utf-8")) == (1, CURRENT)
    assert told.startswith("--- aio.py\n+++ as it would be written\n@@ ")


@pytest.mark.parametrize("module, old, new", CHANGES)
def test_what_was_changed_is_written(package: Path, module: str, old: str, new: str) -> None:
    """
    After the script was run the check is content, and what it wrote is Python.
    """
    source = package / module
    source.write_text(changed(source.read_text("utf-8"), old, new), "utf-8")

    assert (generate_aio.main([]), generate_aio.main(["--check"])) == (0, 0)
    assert ast.parse((package / "aio.py").read_text("utf-8")).body


def test_a_change_by_hand_between_the_marks_is_noticed(package: Path) -> None:
    """
    What comes from the sources is not changed in the twins; what is written by hand is.
    """
    (package / "aio.py").write_text(changed(CURRENT, "Draw random codes", "Draw lots"), "utf-8")
    by_script = generate_aio.main(["--check"])
    (package / "aio.py").write_text(changed(CURRENT, "After a fork, open the book again.", "Open it."), "utf-8")

    assert (by_script, generate_aio.main(["--check"])) == (1, 0)


@pytest.mark.parametrize(
    "old, new",
    [
        ("    def __iter__", "    def __len__(self) -> int:\n        return 1\n\n    def __iter__"),
        ("    def get(", "    @staticmethod\n    def get("),
        ("    def get(", "    @functools.cache\n    def get("),
    ],
)
def test_a_method_of_an_unknown_kind_is_refused(sources: dict[str, str], old: str, new: str) -> None:
    """
    What the script was not taught it makes no twin of, and says so.
    """
    sources[FINDING] = changed(sources[FINDING], old, new)

    with pytest.raises(SystemExit, match="does not know what the twin of"):
        regenerated(CURRENT, sources.__getitem__)


def test_a_place_that_is_missing_is_named(sources: dict[str, str]) -> None:
    """
    Without its marks the script does not know where to write.
    """
    with pytest.raises(SystemExit, match="no place for what comes from CardBook"):
        regenerated(changed(CURRENT, "# From CardBook", "# By hand"), sources.__getitem__)


LAID_OUT = """
from voipcard.extension.weighing import Measuring, Weighing


class Extension(Weighing):
    def short(self, card: str) -> Iterator[str]:
        \"\"\"
        Give them.

        Example:
            >>> 1

            >>> 2
            2

        Source: a book.
        \"\"\"

    def a_name_that_is_long(self, first_argument: str, second_argument: str, *, third_argument: int) -> CardCode | None:
        \"\"\"
        Give one.
        \"\"\"

    def a_name_that_is_so_long_that_the_call_needs_more_lines(
        self, first_argument_of_all: str, second_argument_of_all: str, third_argument_of_all: str, *, fourth: int
    ) -> int:
        \"\"\"
        Give it.
        \"\"\"
"""

WEIGHING = """
class Weighing:
    def __init__(self) -> None:
        self.number = 1

    @property
    def weight(self) -> int:
        \"\"\"
        How much it weighs.
        \"\"\"

    @property
    def currency(self) -> str:
        \"\"\"
        What it costs.
        \"\"\"

    def short(self) -> str:
        \"\"\"
        Give another.
        \"\"\"

    def on_commit(self, hook: Hook) -> None:
        \"\"\"
        Call it.
        \"\"\"
"""

AS_LAID_OUT = """
    # From Extension, by scripts/generate_aio.py

    def short(self, card: str) -> AsyncIterator[str]:
        \"\"\"
        Give them.

        Source: a book.
        \"\"\"
        return Items(self._crossing, self._sync.short, card)

    async def a_name_that_is_long(
        self, first_argument: str, second_argument: str, *, third_argument: int
    ) -> CardCode | None:
        \"\"\"
        Give one.
        \"\"\"
        return await self._crossing.run(
            self._sync.a_name_that_is_long, first_argument, second_argument, third_argument=third_argument
        )

    async def a_name_that_is_so_long_that_the_call_needs_more_lines(
        self, first_argument_of_all: str, second_argument_of_all: str, third_argument_of_all: str, *, fourth: int
    ) -> int:
        \"\"\"
        Give it.
        \"\"\"
        return await self._crossing.run(
            self._sync.a_name_that_is_so_long_that_the_call_needs_more_lines,
            first_argument_of_all,
            second_argument_of_all,
            third_argument_of_all,
            fourth=fourth,
        )

    async def weight(self) -> int:
        \"\"\"
        Tell how much it weighs.
        \"\"\"
        return await self._crossing.run(lambda: self._sync.weight)

    @property
    def currency(self) -> str:
        \"\"\"
        What it costs.
        \"\"\"
        return self._sync.currency

    def on_commit(self, hook: Hook) -> None:
        \"\"\"
        Call it.
        \"\"\"
        self._sync.on_commit(hook)

    # Up to here
"""


def test_lines_are_broken_as_the_formatter_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    What is written needs no formatter: lines of at most 120 characters, and more of them only where they are needed.

    A class has first its own methods, and then those of its parts that it does not have itself.
    """
    monkeypatch.setattr(generate_aio, "MODULES", {"Extension": "extension/__init__.py"})
    places = "\n    # From Extension, by scripts/generate_aio.py\n    # Up to here\n"
    sources = {"extension/__init__.py": LAID_OUT, "extension/weighing.py": WEIGHING}

    assert regenerated(places, sources.__getitem__) == AS_LAID_OUT


TURNED = """
class Call:
    hold: Hold

    @property
    def serial(self) -> str:
        \"\"\"
        The card.
        \"\"\"

    def keep_alive(self) -> Call:
        \"\"\"
        Go on.
        \"\"\"

    def end(self, seconds: int) -> LedgerEntry:
        \"\"\"
        Charge it.
        \"\"\"

    def others(self) -> list[Extension]:
        \"\"\"
        Find them.
        \"\"\"

    def extension(self) -> Extension:
        \"\"\"
        Give it.
        \"\"\"

    def moved(self, number: str) -> Extension:
        \"\"\"
        Give another.
        \"\"\"

    def _settled(self) -> bool:
        return True
"""

AS_TURNED = """
    # From Call, by scripts/generate_aio.py

    @property
    def serial(self) -> str:
        \"\"\"
        The card.
        \"\"\"
        return self._sync.serial

    async def keep_alive(self) -> AsyncCall:
        \"\"\"
        Go on.
        \"\"\"
        begun = await self._crossing.run(self._sync.keep_alive)

        return AsyncCall(begun, self._crossing)

    async def end(self, seconds: int) -> LedgerEntry:
        \"\"\"
        Charge it.
        \"\"\"
        return await self._crossing.run(self._sync.end, seconds)

    async def others(self) -> list[AsyncExtension]:
        \"\"\"
        Find them.
        \"\"\"
        found = await self._crossing.run(self._sync.others)

        return [AsyncExtension(extension, self._crossing) for extension in found]

    def extension(self) -> AsyncExtension:
        \"\"\"
        Give it.
        \"\"\"
        return AsyncExtension(self._sync.extension(), self._crossing)

    async def moved(self, number: str) -> AsyncExtension:
        \"\"\"
        Give another.
        \"\"\"
        extension = await self._crossing.run(self._sync.moved, number)

        return AsyncExtension(extension, self._crossing)

    # Up to here
"""


def test_what_has_a_twin_is_answered_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Where a call, an extension or a list of them is the answer, the twin answers with theirs, through the same threads.
    """
    monkeypatch.setattr(generate_aio, "MODULES", {"Call": "calling.py"})
    places = "\n    # From Call, by scripts/generate_aio.py\n    # Up to here\n"

    assert regenerated(places, {"calling.py": TURNED}.__getitem__) == AS_TURNED
