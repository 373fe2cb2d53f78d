"""
How Sphinx builds the documentation: Markdown pages, and a reference that is read from the docstrings.

Docstrings here are not reStructuredText. Two hooks make them so: names between single backticks are code, and links
where they name something public; blocks between three backticks are literal blocks. A third hook finds the one place
where a public name is documented, wherever the class behind it is defined. A class that is put together of parts shows
the methods of all of them, in their order.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from textwrap import indent
from typing import TYPE_CHECKING, Final

from sphinx.pycode import ModuleAnalyzer

import voipcard

if TYPE_CHECKING:
    from docutils import nodes
    from sphinx.addnodes import pending_xref
    from sphinx.application import Sphinx
    from sphinx.environment import BuildEnvironment

project = "voipcard"
author = "the voipcard authors"
copyright = author  # noqa: A001 - the name that Sphinx asks for

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
myst_heading_anchors = 3
exclude_patterns = ["**/*.py"]

html_theme = "furo"
html_title = "voipcard"
html_static_path = ["_static"]
html_css_files = ["voipcard.css"]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False

add_module_names = False
autodoc_member_order = "bysource"
autodoc_class_signature = "mixed"
napoleon_attr_annotations = False
python_maximum_signature_line_length = 100
python_use_unqualified_type_names = True

nitpicky = True
# Without a network there is no inventory to look these up in.
nitpick_ignore_regex = [
    ("py:.*", r"(?:collections|contextlib|datetime|decimal|os|pathlib|types|typing|hypothesis|sqlalchemy)\..*"),
    # Signatures that cannot be evaluated keep the words of the source, without their modules.
    ("py:class", "AsyncConnection|SearchStrategy|datetime|timedelta"),
]

MODULES: Final = (
    "voipcard.aio",
    "voipcard",
    "voipcard.stores",
    "voipcard.sheets",
    "voipcard.testing",
    "voipcard.errors",
)
"""What is public, and so documented. A name that two of them have is documented in the later one."""

_CODE: Final = re.compile(r"(?<![`:\w])`([^`]+)`(?!`)")
_EMPHASIZED_CODE: Final = re.compile(r"(?<!\*)(\*[^*`\n]+)`([^`\n]+)`([^*`\n]*\*)")
_FENCE: Final = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


def _homes() -> Iterator[tuple[str, str]]:
    """
    Give each public name, and each public member of a public class, with the name under which it is documented.
    """
    for module in map(import_module, MODULES):
        for name in module.__all__:
            value = getattr(module, name)
            yield name, f"{module.__name__}.{name}"
            for base in inspect.getmro(value) if inspect.isclass(value) else ():
                for member in vars(base) if base.__module__.startswith("voipcard") else ():
                    if not member.startswith("_"):
                        yield f"{name}.{member}", f"{module.__name__}.{name}.{member}"


HOMES: Final = {
    **dict(_homes()),
    # Not exported, and best explained by what is.
    "CardFilters": "voipcard.CardQuery",
    "SettingsChanges": "voipcard.ExtensionSettings",
    "CardOrder": "voipcard.CardQuery.order",
    "EntryOrder": "voipcard.stores.EntryQuery.order",
    "SearchableCard": "voipcard.stores.CardRecord",
    "SearchableEntry": "voipcard.stores.EntryRecord",
}

PUT_TOGETHER: Final = (voipcard.CardBook, voipcard.Extension)
"""Classes whose methods are defined in their parts."""

MADE_ELSEWHERE: Final = {
    "AsyncCall",
    "AsyncCardBook",
    "AsyncExtension",
    "Call",
    "CardBook",
    "Extension",
    "KeyProvider",
    "Opener",
    "Report",
    "Store",
    "StoreContract",
    "StoreMachine",
    "SupportsRead",
    "SupportsWrite",
    "Unusable",
}
"""Classes that nobody calls, so that their signature would mislead."""


NAMED_DEFAULTS: Final = (
    (r"<built-in function urandom>", "os.urandom"),
    (r"settings\(backend=.*verbosity=[\w.]+\)", "STORY"),
)


def _linked(match: re.Match[str]) -> str:
    name = " ".join(match[1].split())
    home = HOMES.get(name.removeprefix("voipcard."), name if name in HOMES.values() else None)

    return f":py:obj:`{name} <{home}>`" if home else f"``{name}``"


def _fenced(match: re.Match[str]) -> str:
    return f".. code-block:: {match[1]}\n\n" + indent(match[2], "    ")


def _definer(module: str, word: str) -> str:
    """
    Tell which module defines a name that another one exports.
    """
    imports = ast.walk(ast.parse(inspect.getsource(import_module(module))))
    sources = [
        node.module
        for node in imports
        if isinstance(node, ast.ImportFrom) and node.module and word in {alias.name for alias in node.names}
    ]

    return sources[0] if sources else module


def rewrite(app: Sphinx, what: str, name: str, value: object, options: object, lines: list[str]) -> None:
    """
    Make a docstring reStructuredText. The words of an alias or a constant stand behind it, where it is defined.
    """
    del app, value, options
    if what == "data":
        module, _, word = name.rpartition(".")
        lines[:] = ModuleAnalyzer.for_module(_definer(module, word)).find_attr_docs().get(("", word), [])
    if what in {"data", "property"}:
        lines[:0] = ["..", ""]  # a comment, or napoleon would take what stands before a colon for a type
    text = _FENCE.sub(_fenced, "\n".join(lines))
    text = _EMPHASIZED_CODE.sub(r"\1\2\3", text)
    lines[:] = _CODE.sub(_linked, text).split("\n")


def rewrite_signature(
    app: Sphinx, what: str, name: str, value: object, options: object, signature: str, returns: str
) -> tuple[str, str] | None:
    """
    Leave out how a class is called that nobody calls, and name the defaults that are known by a name.
    """
    del app, value, options
    if what == "class" and name.rpartition(".")[2] in MADE_ELSEWHERE:
        return "", ""

    named = signature
    for pattern, word in NAMED_DEFAULTS if signature else ():
        named = re.sub(pattern, word, named)

    return None if named == signature else (named, returns)


def find_home(app: Sphinx, env: BuildEnvironment, node: pending_xref, content: nodes.Element) -> nodes.Node | None:
    """
    Resolve a public name that was written without its module, or with the module that defines it.
    """
    target = node.get("reftarget", "")
    home = HOMES.get(target) or (HOMES.get(target.rpartition(".")[2]) if target.startswith("voipcard.") else None)
    if node.get("refdomain") != "py" or home is None or home == target:
        return None

    return env.domains.python_domain.resolve_xref(
        env, node["refdoc"], app.builder, "obj", home, node, content
    )  # fmt: skip


def order_parts(whole: type) -> None:
    """
    Let autodoc show what a class has from its parts as if it stood in the class: part by part, each in its order.
    """
    order = ModuleAnalyzer.for_module(whole.__module__)
    order.analyze()
    for part in inspect.getmro(whole)[1:-1]:
        analyzer = ModuleAnalyzer.for_module(part.__module__)
        analyzer.analyze()
        for name, _ in sorted(analyzer.tagorder.items(), key=lambda tag: tag[1]):
            member = name.removeprefix(f"{part.__name__}.")
            if member != name:
                order.tagorder.setdefault(f"{whole.__name__}.{member}", len(order.tagorder))


def setup(app: Sphinx) -> None:
    """
    Hang the hooks in, before those of napoleon.
    """
    for whole in PUT_TOGETHER:
        order_parts(whole)
    app.connect("autodoc-process-docstring", rewrite, priority=400)
    app.connect("autodoc-process-signature", rewrite_signature)
    app.connect("missing-reference", find_home)
