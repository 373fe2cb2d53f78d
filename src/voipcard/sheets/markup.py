"""
XML read as a stream: no document types, and bounds on all that could be endless.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final
from xml.parsers import expat

import attrs

from voipcard.errors import SheetError

__all__ = ["Attributes", "Element", "check_prolog", "damaged", "document", "local_name", "parse"]

MAX_TOKEN: Final = 1024**2
"""How many bytes a tag, a comment or the like may have. expat keeps it all, and tries it again with each block."""

MAX_DEPTH: Final = 64
MAX_NAMES: Final = 4096
"""How many names of elements and attributes a part may have. expat keeps each of them; a sheet has below 300."""

Attributes = dict[str, str]


def damaged() -> SheetError:
    """
    Give the error for what is no workbook, wherever that shows.
    """
    detail = "the file is not an Excel workbook, or is damaged: open it in Excel and save it again as .xlsx"

    return SheetError("not_a_workbook", detail)


def local_name(name: str) -> str:
    """
    Leave out the prefix of an element or attribute: writers choose it, and the namespace has two names.

    Source: ECMA-376 part 1 (strict) and part 4 (transitional), annex A.
    """
    return name.rpartition(":")[2]


@attrs.frozen(eq=False)
class Element:
    """
    An element that matters, and what is done with it.

    Attributes:
        children: Which elements in it matter, by local name. All others are passed over, with what is in them.
        begin: Takes the attributes.
        text: Takes the text, of an element that has nothing else; *begin* and *end* are not called then.
        end: Called at the end.
    """

    children: Mapping[str, Element] = attrs.field(factory=dict)
    begin: Callable[[Attributes], object] | None = None
    text: Callable[[str], object] | None = None
    end: Callable[[], object] | None = None


_OTHER: Final = Element()


def document(elements: Mapping[str, Element]) -> Element:
    """
    Make what has the elements of a part in it, by their paths from the root, such as `workbook/sheets/sheet`.
    """
    inner: dict[str, dict[str, Element]] = {}
    for path, element in elements.items():
        name, _, rest = path.partition("/")
        inner.setdefault(name, {})[rest] = element

    return Element({name: found[""] if "" in found else document(found) for name, found in inner.items()})


def parse(blocks: Iterable[bytes], root: Element, *, max_text: int = 0) -> Iterator[None]:
    """
    Hand over what is in a part, block by block.

    Args:
        blocks: The part.

        root: What has the root of the part as its only child.

        max_text: From how many characters on nobody needs to know how a text goes on.

    Raises:
        SheetError: If it has a document type, another root or is too large in some way.

        expat.ExpatError: If it is no XML.
    """
    parser = _parser()
    texts: list[str] = []
    is_text = _follow(parser, root, texts)
    fed = begun = 0
    for block in blocks:
        parser.Parse(block, False)  # noqa: FBT003 - has no name
        fed += len(block)
        # It is -1 while a token that is not complete is not even tried.
        begun = max(begun, parser.CurrentByteIndex)
        if fed - begun > MAX_TOKEN or len(parser.intern) > MAX_NAMES:
            raise damaged()
        if not is_text():
            texts.clear()
        elif sum(map(len, texts)) > max_text:
            texts[:] = ["".join(texts)[: max_text + 1]]
        yield
    parser.Parse(b"", True)  # noqa: FBT003 - has no name
    yield


def _follow(parser: expat.XMLParserType, root: Element, texts: list[str]) -> Callable[[], bool]:
    """
    Let a parser call what its elements are to call. Functions within a function, because they run for each element.

    Args:
        parser: The parser.

        root: What has the root of the part as its only child.

        texts: Takes the text as it comes.

    Returns:
        What tells whether the text in *texts* belongs to an element that wants it.
    """
    element = root
    outer: list[Element] = []

    def start(name: str, attributes: Attributes) -> None:
        nonlocal element
        outer.append(element)
        element = element.children.get(name) or found(local_name(name))
        if element.begin is not None:
            element.begin(attributes)
        elif element.text is not None:
            texts.clear()

    def found(name: str) -> Element:
        inner = element.children.get(name, _OTHER)
        is_wrong_root = inner is _OTHER and element is root
        if is_wrong_root or element.text is not None or len(outer) > MAX_DEPTH:
            raise damaged()

        return inner

    def end(_: str) -> None:
        nonlocal element
        ended = element
        element = outer.pop()
        if ended.text is not None:
            ended.text("".join(texts))
        elif ended.end is not None:
            ended.end()

    parser.buffer_text = True
    parser.buffer_size = 65_536
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    # Takes all text, that between elements too, because this is quicker than to ask which one it is.
    parser.CharacterDataHandler = texts.append

    return lambda: element.text is not None


def check_prolog(start: bytes) -> None:
    """
    Look for a document type in front of the root.

    Args:
        start: The first bytes of a part, with the beginning of the root.

    Raises:
        SheetError: If there is one, or if the root does not begin in time.

        expat.ExpatError: If there is no XML.
    """
    roots: list[str] = []
    parser = _parser()
    parser.StartElementHandler = lambda name, _: roots.append(name)
    try:
        parser.Parse(start, False)  # noqa: FBT003 - has no name
    except expat.ExpatError:
        # What comes after the root is checked when it is read.
        if not roots:
            raise
    if not roots:
        raise damaged()


def _parser() -> expat.XMLParserType:
    parser = expat.ParserCreate(intern={})
    parser.StartDoctypeDeclHandler = _refuse_document_type

    return parser


def _refuse_document_type(*_: object) -> None:
    raise SheetError("dtd", "the workbook declares a document type, which Excel never does: save it again with Excel")
