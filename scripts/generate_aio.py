"""
Writes the async twins into src/voipcard/aio.py: one of each method of the classes that have a twin, and of `open_book`.

A class may be put together of others, each in a module of its own. What stands in aio.py between the marks comes from
here; the rest of the file is written by hand.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import indent
from typing import Final

PACKAGE: Final = Path(__file__).parent.parent / "src/voipcard"
TARGET: Final = PACKAGE / "aio.py"
MODULES: Final = {
    "open_book": "opening.py",
    "CardBook": "book/__init__.py",
    "Extension": "extension/__init__.py",
    "Call": "calling.py",
}
"""What has a twin, and where it is defined."""

STAYING: Final = {"acting_as", "extension", "on_commit"}
"""Methods that neither read nor write: there is nothing to wait for."""

CONSTANT: Final = {"id", "currency", "profile", "suite", "serial"}
"""Properties that read nothing, because they never change: they stay properties."""

BY_HAND: Final = {
    "close",
    "over",
    *(f"__{name}__" for name in ["init", "repr", "eq", "hash", "iter", "enter", "exit", "reduce"]),
}
"""Methods whose twins are written by hand: `aclose`, `joining`, `__aiter__`."""

LEFT_OUT: Final = {"__getitem__", "__contains__"}
"""Methods that Python has no way to wait for."""

WIDTH: Final = 120


def regenerated(current: str, read: Callable[[str], str]) -> str:
    """
    Give the text of aio.py as it has to be.

    Args:
        current: Its text as it is.

        read: Gives the text of a module by its path in the package.
    """
    for name, module in MODULES.items():
        source = read(module)
        defined = _defined(name, source)
        if isinstance(defined, ast.FunctionDef):
            current = _between_marks(current, name, f"\n{_opening(defined, source)}\n")
        else:
            methods = _methods(name, source, read).values()
            twins = [_method(node, origin) for node, origin in methods if _has_twin(node)]
            current = _between_marks(current, name, indent("\n".join(twins), "    "))

    return current


def _defined(name: str, source: str) -> ast.FunctionDef | ast.ClassDef:
    [defined] = [
        node
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name
    ]

    return defined


def _methods(name: str, source: str, read: Callable[[str], str]) -> dict[str, tuple[ast.FunctionDef, str]]:
    """
    Give the methods of a class, and then those of the classes that it is put together of, with the texts they are in.
    """
    defined = _defined(name, source)
    methods = {node.name: (node, source) for node in defined.body if isinstance(node, ast.FunctionDef)}
    bases = [ast.unparse(base) for base in defined.bases] if isinstance(defined, ast.ClassDef) else []
    for base in bases:
        inherited = _methods(base, read(_module_of(base, source)), read)
        methods = {**methods, **{each: method for each, method in inherited.items() if each not in methods}}

    return methods


def _module_of(name: str, source: str) -> str:
    """
    Tell where a name comes from that a module imports.
    """
    [module] = [
        node.module
        for node in ast.parse(source).body
        if isinstance(node, ast.ImportFrom) and node.module and name in {alias.name for alias in node.names}
    ]

    return f"{module.removeprefix('voipcard.').replace('.', '/')}.py"


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
    mark, waits = "", "async "
    if node.name in CONSTANT:
        mark, waits, body = "@property\n", "", f"return {same}\n"
    elif node.decorator_list:
        document = re.sub(r"\n(\w)", lambda first: f"\nTell {first[1].lower()}", document, count=1)
        body = f"return await self._crossing.run(lambda: {same})\n"
    elif node.name in STAYING and returns == "None":
        waits, body = "", _call(f"{same}(", _arguments(node), ")")
    elif node.name in STAYING:
        waits, body = "", _call(f"return Async{returns}({same}(", _arguments(node), "), self._crossing)")
    elif returns.startswith("Iterator["):
        waits, body = "", _call("return Items(", ["self._crossing", same, *_arguments(node)], ")")
    else:
        body = _call(f"{_kept(returns)} await self._crossing.run(", [same, *_arguments(node)], ")") + _turned(returns)

    head = f"{waits}{head}"
    if 4 + head.index("\n") > WIDTH:
        head = re.sub(r"(.*?\()(.*)(\) -> .*)", r"\1\n    \2\n\3", head, count=1)

    return mark + head + indent(document + body, "    ")


def _kept(returns: str) -> str:
    """
    Say what is done with an answer of that type, of which a twin may have to be made.
    """
    return {"Extension": "extension =", "list[Extension]": "found =", "Call": "begun ="}.get(returns, "return")


def _turned(returns: str) -> str:
    """
    Make twins of the answer where it is not yet one.
    """
    if returns == "Extension":
        return "\nreturn AsyncExtension(extension, self._crossing)\n"
    if returns == "Call":
        return "\nreturn AsyncCall(begun, self._crossing)\n"
    if returns == "list[Extension]":
        return "\nreturn [AsyncExtension(extension, self._crossing) for extension in found]\n"

    return ""


def _head(node: ast.FunctionDef, source: str) -> str:
    """
    Give what stands before the docstring, with its comments, but with twins in what is returned.
    """
    lines = source.splitlines(keepends=True)[node.lineno - 1 : node.body[0].lineno - 1]
    parameters, arrow, returns = "".join(line[node.col_offset :] for line in lines).rpartition(" -> ")

    return parameters + arrow + re.sub(r"\b(CardBook|Extension|Call|Iterator)\b", r"Async\1", returns)


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
    wanted = regenerated(current, lambda module: (PACKAGE / module).read_text("utf-8"))
    if not check:
        TARGET.write_text(wanted, "utf-8")
    elif wanted != current:
        is_text, would_be = current.splitlines(keepends=True), wanted.splitlines(keepends=True)
        sys.stdout.writelines(difflib.unified_diff(is_text, would_be, "aio.py", "as it would be written", n=0))
        return 1

    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
