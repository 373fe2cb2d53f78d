"""
The archive that a workbook is: which parts it has, how they are related, and that none of them can do harm.
"""

from __future__ import annotations

import posixpath
import zipfile
from collections.abc import Container, Iterator, Sequence
from itertools import pairwise
from operator import attrgetter
from typing import BinaryIO, Final

import attrs

from voipcard.errors import SheetError
from voipcard.sheets import markup
from voipcard.sheets.limits import Limits
from voipcard.sheets.markup import Attributes, Element, damaged, document

__all__ = ["Archive", "Relationship", "keeper"]

MAX_PARTS: Final = 1000
MAX_DIRECTORY: Final = 1024**2
"""How many bytes `zipfile` may want at once. It reads the directory as a whole; 1000 parts need a tenth of it."""

MAX_ENTRIES: Final = 4096
"""How many relationships or content types there may be in one part."""

_BLOCK: Final = 65_536
"""How many bytes are unpacked at a time, and within how many the root of a part has to begin."""

_TIGHT_FROM: Final = 1024**2
_MAX_LENGTH: Final = 4096
_LOCAL_HEADER: Final = 30

_ZIP: Final = b"PK\3\4"
_OLE2: Final = b"\xd0\xcf\x11\xe0"
"""
How an old or an encrypted Excel file begins.

Source: MS-CFB, 2.2; MS-OFFCRYPTO, 1.3.
"""

_ENCRYPTED_FLAGS: Final = 0x2041
"""
A part or the directory is encrypted.

Source: APPNOTE.TXT, 4.4.4, bits 0, 6 and 13.
"""

_ADVICE: Final = {
    "macros": "the workbook has macros: save it as 'Excel Workbook (*.xlsx)', which has none",
    "external_links": "the workbook has links to other workbooks: break them (Data > Edit Links) and save it again",
    "embedded": "the workbook has other documents or controls in it: copy the rows alone into a new workbook",
    "encrypted": "the workbook is protected by a password, or is an old .xls: save it as .xlsx without a password",
}

_REFUSED: Final = {
    "macroenabled": "macros",
    "vbaproject": "macros",
    "macrosheet": "macros",
    "externallink": "external_links",
    "embeddings/": "embedded",
    "oleobject": "embedded",
    "activex": "embedded",
}
"""Words in the names or the content types of parts that no workbook of rows needs."""


@attrs.frozen
class Relationship:
    """
    How one part uses another.

    Attributes:
        kind: The last word of its type, such as `worksheet`.
        target: The other part.
    """

    kind: str
    target: str


class Archive:
    """
    The parts of a workbook. Their names are in small letters, as names that differ in case only are the same.

    Args:
        stream: The workbook.

        limits: How large it may be.

    Raises:
        SheetError: If it is no workbook, or is one that can do harm.

        Exception: Whatever `zipfile` and expat raise when they do not understand it. Methods raise the same.

    Source: ECMA-376 part 2, 6.2 (names of parts), 6.3.3 (content types) and 6.5 (relationships).
    """

    def __init__(self, stream: BinaryIO, limits: Limits) -> None:
        source = _Source(stream)
        source.seek(0)
        _check_signature(source.read(len(_ZIP)))
        self._archive = zipfile.ZipFile(source)
        infos = [info for info in self._archive.infolist() if not info.is_dir()]
        _check_infos(infos, limits)
        self._parts = {_part_name(info.filename): info for info in infos}
        if len(self._parts) < len(infos):
            raise damaged()
        self._parsed: set[str] = set()
        self._check_prologs()
        self._check_kinds()

    def parse(self, part: str, root: Element, *, max_text: int = 0) -> Iterator[None]:
        """
        Hand over what is in a part, block by block, as `markup.parse` does. No part is parsed twice.
        """
        if part in self._parsed:
            raise damaged()
        self._parsed.add(part)

        return markup.parse(self._blocks(part), root, max_text=max_text)

    def parse_all(self, part: str, root: Element, *, max_text: int = 0) -> None:
        """
        Hand over all that is in a part.
        """
        for _ in self.parse(part, root, max_text=max_text):
            pass

    def related(self, part: str = "") -> dict[str, Relationship]:
        """
        Tell how a part, or the archive as a whole, uses others: by the ids of the relationships.
        """
        folder, name = posixpath.split(part)
        found: list[Attributes] = []
        wanted = {"Relationships/Relationship": keeper(found, {"Id", "Type", "Target", "TargetMode"})}
        self.parse_all(posixpath.join(folder, "_rels", f"{name}.rels"), document(wanted))

        return {one["Id"]: _relationship(folder, one) for one in found if one.get("TargetMode") != "External"}

    def _blocks(self, part: str) -> Iterator[bytes]:
        info = self._parts[part]
        missing = info.file_size
        with self._archive.open(info) as content:
            while block := content.read(_BLOCK):
                missing -= len(block)
                yield block
        if missing:
            raise damaged()

    def _check_prologs(self) -> None:
        for part, info in self._parts.items():
            if part.endswith((".xml", ".rels")) and info.file_size:
                with self._archive.open(info) as content:
                    markup.check_prolog(content.read(_BLOCK))

    def _check_kinds(self) -> None:
        types = self._types()
        for part in self._parts:
            content_type = types.get(part) or types.get(posixpath.splitext(part)[1], "")
            for word, reason in _REFUSED.items():
                if word in f"{part} {content_type}":
                    raise _refused(reason)

    def _types(self) -> dict[str, str]:
        """
        Tell the content types, in small letters, by the names of parts and by the ends of names.
        """
        ends: list[Attributes] = []
        names: list[Attributes] = []
        wanted = {
            "Types/Default": keeper(ends, {"Extension", "ContentType"}),
            "Types/Override": keeper(names, {"PartName", "ContentType"}),
        }
        self.parse_all("[content_types].xml", document(wanted))
        types = {f".{one['Extension'].lower()}": one["ContentType"].lower() for one in ends}

        return types | {_part_name(one["PartName"]): one["ContentType"].lower() for one in names}


def keeper(kept: list[Attributes], names: Container[str], *, at_most: int = MAX_ENTRIES) -> Element:
    """
    Make an element of which some attributes are kept, and that is refused when there are far too many of it.

    Args:
        kept: Takes the attributes of each such element.

        names: Which ones, without their prefixes.

        at_most: How many such elements there may be.
    """

    def keep(attributes: Attributes) -> None:
        wanted = {local: value for name, value in attributes.items() if (local := markup.local_name(name)) in names}
        if len(kept) == at_most or sum(map(len, wanted.values())) > _MAX_LENGTH:
            raise _too_large("the workbook has far more parts, sheets or formats than rows need")
        kept.append(wanted)

    return Element(begin=keep)


class _Source:
    """
    A file that `zipfile` cannot read more of than it should.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.seek = stream.seek
        self.tell = stream.tell
        self.seekable = stream.seekable

    def read(self, size: int = -1, /) -> bytes:
        if size > MAX_DIRECTORY:
            raise _too_large("the workbook has far more parts than rows need")
        try:
            return self._stream.read(size if size >= 0 else MAX_DIRECTORY)
        except OSError as error:
            raise SheetError("unreadable", f"the workbook cannot be read: {error.strerror}") from error


def _check_signature(start: bytes) -> None:
    if start == _OLE2:
        raise _refused("encrypted")
    if start != _ZIP:
        raise damaged()


def _check_infos(infos: Sequence[zipfile.ZipInfo], limits: Limits) -> None:
    """
    Refuse an archive that unpacks to far more than it seems, or that other programs may unpack differently.
    """
    if len(infos) > MAX_PARTS:
        raise _too_large(f"the workbook has more than {MAX_PARTS:,} parts")
    if sum(info.file_size for info in infos) > limits.unpacked_size:
        raise _too_large(f"the workbook has more than {limits.unpacked_size:,} bytes when unpacked")
    sizes = [(info.file_size, info.compress_size) for info in infos]
    # All of them together, too: a thousand small parts are no better than a large one.
    total = (sum(size for size, _ in sizes), sum(packed for _, packed in sizes))
    if any(size > max(_TIGHT_FROM, limits.ratio * packed) for size, packed in [*sizes, total]):
        raise _too_large(f"the workbook, or a part of it, is more than {limits.ratio:,} times larger when unpacked")
    if any(info.flag_bits & _ENCRYPTED_FLAGS for info in infos):
        raise _refused("encrypted")
    if any(info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED} for info in infos):
        raise damaged()
    for info, following in pairwise(sorted(infos, key=attrgetter("header_offset"))):
        if info.header_offset + _LOCAL_HEADER + info.compress_size > following.header_offset:
            raise damaged()


def _refused(reason: str) -> SheetError:
    return SheetError(reason, _ADVICE[reason])


def _too_large(detail: str) -> SheetError:
    return SheetError("too_large", f"{detail}: copy the rows alone into a new workbook")


def _relationship(folder: str, attributes: Attributes) -> Relationship:
    kind = attributes["Type"].rpartition("/")[2]

    return Relationship(kind, _part_name(posixpath.join("/", folder, attributes["Target"])))


def _part_name(path: str) -> str:
    """
    Give the one way to write the name of a part. Some writers use backslashes, or begin with a slash.
    """
    return posixpath.normpath("/" + path.replace("\\", "/")).lstrip("/").lower()
