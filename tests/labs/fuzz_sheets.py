"""
Bytes that atheris makes up, for both readers of uploads: whatever comes in, valid cards or a `SheetError` come out.

`nox -s fuzz -- csv -max_total_time=300` reads text files, `nox -s fuzz -- xlsx` workbooks, until something breaks or
the time is over; other options are libFuzzer's. What it has learned is kept in build/fuzz for the next time. What
breaks a reader is kept there too, and its path printed: given that path as well, `nox -s fuzz` reads it once.
"""

from __future__ import annotations

import hashlib
import io
import random
import re
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from datetime import datetime
from encodings.aliases import aliases
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import escape

import atheris
import attrs

with atheris.instrument_imports(include=["voipcard.sheets", "voipcard.core"]):
    from voipcard import Credit, Handout
    from voipcard.errors import InvalidValueError, SheetError
    from voipcard.sheets import Upload, read_upload, write
    from voipcard.sheets.guard import ANNOUNCEMENT

ROOT: Final = Path(__file__).parents[2]
EXAMPLES: Final = ROOT / "examples" / "data"
FOLDER: Final = Path("build") / "fuzz"

SEPARATORS: Final = [",", ";", "\t", "|", " ", "x", "0", "'", "é", "\u2028", "😀", "\ud800", "", ",,", '"', "\n", "\0"]
ENCODINGS: Final = [None, "utf-8", "utf-16", "cp1252", "", "\0", "no such", *sorted(set(aliases.values()))]

PARTS: Final = [
    "[Content_Types].xml",
    "_rels/.rels",
    "xl/_rels/workbook.xml.rels",
    "xl/workbook.xml",
    "xl/styles.xml",
    "xl/sharedStrings.xml",
    "xl/worksheets/sheet1.xml",
    "xl/worksheets/sheet2.xml",
    "xl/vbaProject.bin",
]

VALUES: Final = [
    *("", "0", "1", "2", "14", "-1", "-0", "0.1", "1E5", "1e999", "NaN", "INF", "2958466", "12345678901234567890"),
    *("b", "d", "e", "inlineStr", "n", "s", "str", "A1", "B1", "A1048576", "XFD1", "A0", "1048577"),
    *("Card Code", "PIN", "Credit", "Type", "CallerID", "Status", "Disabled", "Expires", "2026-03-04T00:00:00Z"),
    *("+40722123456", "0482", "PO-117", "u", "=1+1", "#N/A", "_x0041_", "yyyy", "[h]", "hidden", "External", "UTF-16"),
]

WORDS: Final = {
    "csv": [ANNOUNCEMENT, '"', "\r\n", "\ufeff", *VALUES[1:]],
    "xlsx": [
        *VALUES[1:],
        *(f"<{name}>" for name in ("c", "f", "is", "r", "rPh", "row", "si", "t", "v")),
        *(f"</{name}>" for name in ("c", "f", "is", "r", "rPh", "row", "si", "t", "v")),
        *("<!--", "-->", "<![CDATA[", "]]>", "<?xml ", "<!DOCTYPE x>", "<!ENTITY ", "&#x0;", "&lt;"),
    ],
}
"""What the formats are made of, which chance alone would not find."""

TAGS: Final = re.compile(rb"(?=<)")
IN_TAGS: Final = re.compile(rb'(?<==")[^"<>]*(?=")|(?<=>)[^<>]+(?=<)')
"""Where XML is taken apart, so that most of what is changed is XML again: before tags, or at values and texts."""

WORKBOOK: Final[list[list[Any]]] = [
    ["Card Code", "PIN", "Order Number", "Credit", "Expires"],
    ["0077001834221", "0482", "PO-117", 12.5, datetime(2027, 3, 4)],  # noqa: DTZ001 - a workbook knows no time zone
    [7700950423497, 4820, "=1+1", "u", None],
    ["+40722123456", "", "_x000D_", "-0.5", "2027-03-04"],
]


def read(content: bytes, **options: Any) -> Upload | SheetError | InvalidValueError:  # noqa: ANN401 - its own ones
    """
    Give what `read_upload` gives, or what it may raise.
    """
    try:
        return read_upload(io.BytesIO(content), **options)
    except (SheetError, InvalidValueError) as error:
        return error


def check(found: Upload | SheetError | InvalidValueError) -> None:
    """
    See that cards are valid, and that an error remembers nothing of what was read.
    """
    match found:
        case SheetError():
            assert found.__context__ is None
        case InvalidValueError():
            assert found.name in {"separator", "encoding"}
        case _:
            cards = list(found.cards)

            assert cards == [attrs.evolve(card) for card in cards]
            assert len(cards) == len({(card.kind, card.code) for card in cards}) == len(found.rows)
            assert cards or found.problems


def read_text(data: bytes) -> None:
    """
    Read a text file: most of the bytes. The last ones say how.
    """
    provider = atheris.FuzzedDataProvider(data)
    options = {
        "separator": provider.PickValueInList(SEPARATORS),
        "encoding": provider.PickValueInList(ENCODINGS),
        "on_error": provider.PickValueInList(["refuse", "skip"]),
    }
    check(read(provider.ConsumeBytes(provider.remaining_bytes()), format="csv", **options))


def read_workbook(data: bytes) -> None:
    """
    Read a workbook.
    """
    check(read(data, format="xlsx", on_error="skip"))


def changed_workbook(data: bytes, max_size: int, seed: int) -> bytes:
    """
    Change something inside of a part, or which parts there are, and sometimes the archive itself.

    Changed as a mere sequence of bytes, an archive would nearly always fail at its checksums.
    """
    chance = random.Random(seed)  # noqa: S311 - atheris has to be able to repeat it
    parts = unpacked(data)
    if not parts or chance.random() < 0.1:
        return bytes(atheris.Mutate(data, max_size))
    # Most of what is read is in the sheets and the shared strings.
    name = chance.choices(list(parts), [1 + 9 * ("sheet" in part or "Strings" in part) for part in parts])[0]
    match chance.choices(["change", "copy", "leave out"], [20, 2, 1])[0]:
        case "change":
            parts[name] = changed_markup(parts[name], chance)
        case "copy":
            parts[chance.choice(PARTS)] = parts[name]
        case _:
            del parts[name]
    made = packed(parts)

    return made if len(made) <= max_size else data


def changed_markup(content: bytes, chance: random.Random) -> bytes:
    """
    Change a value or a text somewhere in XML, or put some tags elsewhere, or leave them out, or change it anyhow.
    """
    tags = TAGS.split(content)
    start, place = chance.randrange(len(tags)), chance.randrange(len(tags))
    end = start + chance.randint(1, 8)
    match chance.choices(["value", "copy", "leave out", "anyhow"], [12, 2, 1, 1])[0]:
        case "value" if values := list(IN_TAGS.finditer(content)):
            value = chance.choice(values)
            return content[: value.start()] + changed_value(value[0], chance) + content[value.end() :]
        case "copy":
            tags[place:place] = tags[start:end]
            return b"".join(tags)
        case "leave out":
            del tags[start:end]
            return b"".join(tags)
        case _:
            return bytes(atheris.Mutate(content, len(content) + 64))


def changed_value(value: bytes, chance: random.Random) -> bytes:
    """
    Change one value or text, or put another one in its place.
    """
    if chance.random() < 0.3:
        return chance.choice(VALUES).encode()

    return escape(atheris.Mutate(value, len(value) + 16).decode(errors="replace"), {'"': "&quot;"}).encode()


def unpacked(data: bytes) -> dict[str, bytes]:
    """
    Give the parts of an archive; none if it is no sound archive of bearable size.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(part.file_size for part in archive.infolist()) < 1024**2:
                return {part.filename: archive.read(part) for part in archive.infolist()}
    except Exception:  # noqa: BLE001, S110 - there is no telling what is raised for a broken archive
        pass

    return {}


def packed(parts: dict[str, bytes]) -> bytes:
    """
    Make an archive.
    """
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)

    return stream.getvalue()


def seeds(kind: str) -> Iterator[bytes]:
    """
    Give what to begin with: what we write, and what others do.
    """
    handouts = [
        Handout(f"K7QX-{number:06}", "0003*215", "code", f"{number:013}", "0482", Credit("12.50"), "=1+1")
        for number in range(3)
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"seed.{kind}"
        write(path, handouts)
        yield path.read_bytes()
        if kind == "xlsx":
            yield from workbooks(path)
    if kind == "csv":
        for example in sorted(EXAMPLES.glob("*.csv")):
            yield example.read_bytes()


def workbooks(path: Path) -> Iterator[bytes]:
    """
    Give workbooks as openpyxl writes them: with one sheet, and with the rows on a second one.
    """
    import openpyxl

    book = openpyxl.Workbook()
    for row in WORKBOOK:
        book.worksheets[0].append(row)
    for is_moved in (False, True):
        if is_moved:
            book.create_sheet(index=0)
        book.save(path)
        yield packed({name: part for name, part in unpacked(path.read_bytes()).items() if "theme" not in name})


def prepared(kind: str) -> list[str]:
    """
    Write seeds and words to build/fuzz, and give the options that tell libFuzzer of them.
    """
    corpus = FOLDER / kind
    corpus.mkdir(parents=True, exist_ok=True)
    for seed in seeds(kind):
        # The options of a text file are the first ones to choose from.
        content = seed + bytes(3) if kind == "csv" else seed
        (corpus / hashlib.sha1(content, usedforsecurity=False).hexdigest()).write_bytes(content)
    words = FOLDER / f"{kind}.dict"
    words.write_text("".join(f'"{in_bytes(word)}"\n' for word in WORDS[kind]), "ascii")

    return [str(corpus), f"-dict={words}", "-max_len=32768"]


def in_bytes(word: str) -> str:
    """
    Write a word as libFuzzer reads it.
    """
    return "".join(f"\\x{byte:02X}" for byte in word.encode())


def main(arguments: list[str]) -> None:
    """
    Fuzz the reader of `csv` or `xlsx`, with options and files for libFuzzer.
    """
    targets: dict[str, Callable[[bytes], None]] = {"csv": read_text, "xlsx": read_workbook}
    kind, *options = arguments or [""]
    if kind not in targets:
        sys.exit("usage: nox -s fuzz -- csv|xlsx [-max_total_time=300] [FILE]")
    found = f"{FOLDER / kind}-"

    def watched(data: bytes) -> None:
        try:
            targets[kind](data)
        except BaseException:
            name = hashlib.sha1(data, usedforsecurity=False).hexdigest()
            sys.stderr.write(f"\nto see it again: nox -s fuzz -- {kind} {found}crash-{name}\n")
            raise

    has_files = any(not option.startswith("-") for option in options)
    own = [] if has_files else prepared(kind)
    settings = {"custom_mutator": changed_workbook} if kind == "xlsx" else {}
    atheris.Setup([sys.argv[0], f"-artifact_prefix={found}", "-timeout=20", *own, *options], watched, **settings)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
