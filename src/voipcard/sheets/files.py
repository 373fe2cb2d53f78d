"""
How a file is opened with care and replaced as a whole, and how what the operating system refuses is said.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from voipcard.errors import SheetError

__all__ = ["MAX_FIELD_LENGTH", "forgetting", "read_refusals", "reading", "replacing", "write_refusals"]

MAX_FILE_SIZE: Final = 512 * 1024 * 1024
"""512 MiB: ten times what a million rows of an upload need."""

MAX_FIELD_LENGTH: Final = 4096
"""Characters. The longest field that is of use has 255, and separators between them."""

_FULL: Final = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def forgetting() -> Iterator[None]:
    """
    Let no error out that remembers what it was raised for: decoders and parsers keep what they read, codes and PINs.
    """
    try:
        yield
    except SheetError as error:
        error.__context__ = None
        raise


@contextlib.contextmanager
def read_refusals(path: Path) -> Iterator[None]:
    """
    Say as a `SheetError` what the operating system refuses while a file is read.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise SheetError("missing", f"there is no file {path}") from error
    except PermissionError as error:
        raise SheetError("forbidden", f"the file {path} cannot be read: permission denied") from error
    except OSError as error:
        raise SheetError("unreadable", f"the file {path} cannot be read: {error.strerror}") from error


@contextlib.contextmanager
def write_refusals(path: Path) -> Iterator[None]:
    """
    Say as a `SheetError` what the operating system refuses while a file is written.
    """
    try:
        yield
    except (FileNotFoundError, NotADirectoryError) as error:
        raise SheetError("missing", f"there is no folder {path.parent}") from error
    except PermissionError as error:
        raise SheetError("forbidden", f"the file {path} cannot be written: permission denied") from error
    except OSError as error:
        reason = "full" if error.errno in _FULL else "unwritable"
        raise SheetError(reason, f"the file {path} cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """
    Open a file of bearable size.

    Raises:
        SheetError: If it is not there, cannot be read, is no file or is too large.
    """
    with read_refusals(path):
        # Before opening it, because to open a pipe is to wait for its other end.
        found = path.stat() if "\0" not in str(path) else None
        if found is None or not stat.S_ISREG(found.st_mode):
            raise SheetError("not_a_file", f"{str(path)!r} is not a file")
        if found.st_size > MAX_FILE_SIZE:
            raise SheetError("too_large", f"the file {path} is larger than {MAX_FILE_SIZE // 1024**2} MiB")
        with path.open("rb") as stream:
            yield stream


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """
    Write a file that appears under its name when it is complete, and on the disk, or not at all.

    It is written beside its place under another name, readable by its owner only. What is raised meanwhile is raised
    again, and nothing is left.

    Raises:
        SheetError: If the file cannot be made, or cannot be put in its place.
    """
    if not path.name or "\0" in str(path):
        raise SheetError("not_a_file", f"{str(path)!r} cannot be the name of a file")
    beside = path.with_name(f".voipcard-{secrets.token_hex(8)}.tmp")
    with write_refusals(path):
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    stream = os.fdopen(descriptor, "wb")
    try:
        yield stream
        with write_refusals(path):
            stream.flush()
            os.fsync(descriptor)
            stream.close()
            beside.replace(path)
    except BaseException:
        # What could not be written is still waiting, and is refused again: that is not to hide what was raised first.
        with contextlib.suppress(OSError):
            stream.close()
        beside.unlink(missing_ok=True)
        raise
    with write_refusals(path):
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """
    Make the new name last: without this a loss of power may bring back the old one.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
