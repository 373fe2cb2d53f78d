"""
Writes the async twins into src/voipcard/aio.py: one of each method of the classes that have a twin, and of `open_book`.

What stands there between the marks comes from here; the rest of the file is written by hand.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import indent
from typing import Final

PACKAGE: Final = Path(__file__).parent.parent / "src/voipcard"
TARGET: Final = PACKAGE / "aio.py"
MODULES: Final = {"open_book": "opening.py", "CardBook": "book.py", "Extension": "extension.py"}
"""What has a twin, and where it is defined."""

STAYING: Final = {"acting_as", "extension"}
"""Methods that neither read nor write: there is nothing to wait for."""

BY_HAND: Final = {
    "close",
    "over",
    *(f"__{name}__" for name in ["init", "repr", "eq", "hash", "iter", "enter", "exit", "reduce"]),
}
"""Methods whose twins are written by hand: `aclose`, `joining`, `__aiter__`."""

LEFT_OUT: Final = {"__getitem__", "__contains__"}
"""Methods that Python has no way to wait for."""

WIDTH: Final = 120


def regenerated(current: str, sources: Mapping[str, str]) -> str:
    """
    Give the text of aio.py as it has to be.

    Args:
        current: Its text as it is.

        sources: The texts of the modules in `MODULES`, by what they define.
    """
    for name, source in sources.items():
        [defined] = [node for node in ast.parse(source).body if getattr(node, "name", "") == name]
        if isinstance(defined, ast.FunctionDef):
            current = _between_marks(current, name, f"\n{_opening(defined, source)}\n")
        else:
            methods = [node for node in ast.iter_child_nodes(defined) if isinstance(node, ast.FunctionDef)]
            twins = [_method(node, source) for node in methods if _has_twin(node)]
            current = _between_marks(current, name, indent("\n".join(twins), "    "))

    return current


def _between_marks(current: str, name: str, text: str) -> str:
    pattern = rf"( *# From {name}, by scripts/generate_aio.py\n).*?( *# Up to here\n)"
    current, count = re.subn(pattern, lambda marks: f"{marks[1]}\n{text}\n{marks[2]}", current, flags=re.DOTALL)
    if count != 1:
        sys.exit(f"aio.py has no place for what comes from {name}")

    return current


def _has_twin(node: ast.FunctionDef) -> bool:
    if node.name in BY_HAND | LEFT_OUT or re.match("_[^_]", node.name):
        return False
    if node.name.startswith("__") or {ast.unparse(each) for each in node.decorator_list} - {"property"}:
        sys.exit(f"{Path(__file__).name} does not know what the twin of {node.name} is")

    return True


def _opening(node: ast.FunctionDef, source: str) -> str:
    head = _head(node, source).replace("\n) ->", "\n    threads: int = 40,\n) ->")
    threads = "    threads: How many calls may be under way at once, 1 or more; the others wait.\n\nReturns:"
    document = _document(node).replace("a `with` block", "an `async with` block").replace("Returns:", threads)
    book = _call("book = await crossing.made(", ["CardBook.close", "opening.open_book", *_arguments(node)], ")", 4)
    body = f"crossing = ThroughThreads(threads)\n{book}\nreturn AsyncCardBook(book, crossing)\n"

    return f"async {head}{indent(document + body, '    ')}"


def _method(node: ast.FunctionDef, source: str) -> str:
    head, document, same = _head(node, source), _document(node), f"self._sync.{node.name}"
    returns = ast.unparse(node.returns) if node.returns else ""
    waits = "async "
    if node.decorator_list:
        document = re.sub(r"\n(\w)", lambda first: f"\nTell {first[1].lower()}", document, count=1)
        body = f"return await self._crossing.run(lambda: {same})\n"
    elif node.name in STAYING:
        waits, body = "", _call(f"return Async{returns}({same}(", _arguments(node), "), self._crossing)")
    elif returns.startswith("Iterator["):
        waits, body = "", _call("return Items(", ["self._crossing", same, *_arguments(node)], ")")
    else:
        body = _call("return await self._crossing.run(", [same, *_arguments(node)], ")")
    if waits and returns == "Extension":
        body = f"{body.replace('return', 'extension =')}\nreturn AsyncExtension(extension, self._crossing)\n"
    elif waits and returns == "list[Extension]":
        twins = "[AsyncExtension(extension, self._crossing) for extension in found]"
        body = f"{body.replace('return', 'found =')}\nreturn {twins}\n"

    head = f"{waits}{head}"
    if 4 + head.index("\n") > WIDTH:
        head = re.sub(r"(.*?\()(.*)(\) -> .*)", r"\1\n    \2\n\3", head, count=1)

    return head + indent(document + body, "    ")


def _head(node: ast.FunctionDef, source: str) -> str:
    """
    Give what stands before the docstring, with its comments, but with twins in what is returned.
    """
    lines = source.splitlines(keepends=True)[node.lineno - 1 : node.body[0].lineno - 1]
    parameters, arrow, returns = "".join(line[node.col_offset :] for line in lines).rpartition(" -> ")

    return parameters + arrow + re.sub(r"\b(CardBook|Extension|Iterator)\b", r"Async\1", returns)


def _document(node: ast.FunctionDef) -> str:
    """
    Give the docstring without its example, in which nothing is awaited.
    """
    document = re.sub(r"\n\nExample:\n(?:\n| .*\n)*", "\n\n", f"{ast.get_docstring(node)}\n").strip()

    return f'"""\n{document}\n"""\n'


def _arguments(node: ast.FunctionDef) -> list[str]:
    by_position = [each.arg for each in node.args.args if each.arg != "self"]
    by_name = [f"{each.arg}={each.arg}" for each in node.args.kwonlyargs]

    return [*by_position, *by_name, *([f"**{node.args.kwarg.arg}"] if node.args.kwarg else [])]


def _call(head: str, items: Sequence[str], tail: str, margin: int = 8) -> str:
    """
    Write a call, on as many lines as ruff would.
    """
    together = ", ".join(items)
    if margin + len(f"{head}{together}{tail}") <= WIDTH:
        return f"{head}{together}{tail}\n"
    lines = [together] if margin + 4 + len(together) <= WIDTH else [f"{item}," for item in items]

    return "\n".join([head, *(f"    {line}" for line in lines), tail, ""])


def main(arguments: Sequence[str]) -> int:
    """
    Write aio.py, or look whether it is as it would be written.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if aio.py is out of date")
    check = parser.parse_args(arguments).check
    current = TARGET.read_text("utf-8")
    wanted = regenerated(current, {name: (PACKAGE / module).read_text("utf-8") for name, module in MODULES.items()})
    if not check:
        TARGET.write_text(wanted, "utf-8")
    elif wanted != current:
        is_text, would_be = current.splitlines(keepends=True), wanted.splitlines(keepends=True)
        sys.stdout.writelines(difflib.unified_diff(is_text, would_be, "aio.py", "as it would be written", n=0))
        return 1

    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
