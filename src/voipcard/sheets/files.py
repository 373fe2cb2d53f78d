"""
How a file is opened with care and replaced as a whole, and how what the operating system refuses is said.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from voipcard.errors import InvalidValueError, SheetError

__all__ = [
    "NewFile",
    "Source",
    "SupportsRead",
    "SupportsWrite",
    "Target",
    "forgetting",
    "path_of",
    "read_refusals",
    "reading",
    "refuse_closed",
    "replacing",
    "too_large",
    "write_refusals",
]


class SupportsRead(Protocol):
    """
    A file that can be read, or anything like one: what a web framework calls an upload, too.
    """

    def read(self, size: int, /) -> bytes:
        """
        Give at most so many bytes; none at the end.
        """
        ...


class SupportsWrite(Protocol):
    """
    A file that can be written, or anything like one: a web framework's response, too.
    """

    def write(self, data: bytes, /) -> object:
        """
        Write bytes.
        """
        ...


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
def read_refusals(name: str) -> Iterator[None]:
    """
    Say as a `SheetError` what the operating system refuses while a file is read.
    """
    try:
        yield
    except FileNotFoundError as error:
        raise SheetError("missing", f"there is no file {name}") from error
    except PermissionError as error:
        raise SheetError("forbidden", f"the file {name} cannot be read: permission denied") from error
    except OSError as error:
        raise SheetError("unreadable", f"the file {name} cannot be read: {error.strerror or error}") from error


@contextlib.contextmanager
def write_refusals(name: str) -> Iterator[None]:
    """
    Say as a `SheetError` what the operating system refuses while a file is written.
    """
    try:
        yield
    except FileExistsError as error:
        raise existing(name) from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise _folderless(name) from error
    except PermissionError as error:
        raise SheetError("forbidden", f"the file {name} cannot be written: permission denied") from error
    except OSError as error:
        reason = "full" if error.errno in _FULL else "unwritable"
        raise SheetError(reason, f"the file {name} cannot be written: {error.strerror or error}") from error


def existing(name: str) -> SheetError:
    """
    Give the error that refuses to write over a file.
    """
    return SheetError("exists", f"there is something named {name} already, and it is not written over")


def _folderless(name: str) -> SheetError:
    return SheetError("missing", f"there is no folder for {name}")


def path_of(place: str | os.PathLike[str]) -> Path:
    """
    Give the path of a file, which stays the same when the working folder changes.

    Raises:
        SheetError: If there can be no such file.
    """
    try:
        path = Path(place)
        if "\0" not in os.fsdecode(os.fsencode(path)):
            return path.absolute()
    except (TypeError, UnicodeError):
        pass

    raise SheetError("not_a_file", f"{place!a} cannot be the name of a file")


def refuse_closed(name: str, file: object) -> None:
    """
    Refuse an open file that is open no longer.

    Raises:
        InvalidValueError: If it is not.
    """
    if getattr(file, "closed", False) is True:
        raise InvalidValueError(name, "has to be a file that is open")


@contextlib.contextmanager
def reading(path: Path) -> Iterator[BinaryIO]:
    """
    Open a file.

    Raises:
        SheetError: If it is not there, cannot be read or is no file.
    """
    with read_refusals(str(path)):
        # Before opening it, because to open a pipe is to wait for its other end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise SheetError("not_a_file", f"{str(path)!r} is not a file")
        stream = path.open("rb")
    with stream:
        yield stream


def too_large(name: str, limit: int) -> SheetError:
    """
    Give the error that refuses a file of more than *limit* bytes.
    """
    return SheetError("too_large", f"the file {name} is larger than {limit:,} bytes")


class Source(io.RawIOBase):
    """
    A file that somebody else opened, read through the one method that all such objects have, and only so far.

    Args:
        stream: The file.

        name: What it is called, for messages.

        limit: How many bytes of it are read.

    Raises:
        SheetError: If it has more bytes, or the operating system refuses to read it.

        InvalidValueError: If it gives text.
    """

    def __init__(self, stream: SupportsRead, name: str, limit: int) -> None:
        self._stream = stream
        self._name = name
        self._limit = limit
        self._count = 0

    def readable(self) -> bool:
        """
        Tell that it can be read.
        """
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # BufferedReader gives nothing else
        """
        Fill a buffer as far as possible.
        """
        try:
            with read_refusals(self._name):
                data = self._stream.read(len(buffer))
        except (SheetError, MemoryError):
            raise
        except UnicodeError:
            data = None
        except Exception as error:  # noqa: BLE001 - there is no telling what a file that unpacks others raises
            detail = f"the file {self._name} cannot be read: {type(error).__name__}"
            raise SheetError("unreadable", detail) from None
        if not isinstance(data, bytes | bytearray | memoryview):
            raise InvalidValueError("source", "has to be a file that is opened in binary mode")
        if len(data) > len(buffer):
            raise SheetError("unreadable", f"the file {self._name} gives more than it was asked for")
        self._count += len(data)
        if self._count > self._limit:
            raise too_large(self._name, self._limit)
        buffer[: len(data)] = data

        return len(data)


class Target(io.RawIOBase):
    """
    A file that somebody else opened, written through the one method that all such objects have.

    Args:
        stream: The file.

        name: What it is called, for messages.

    Raises:
        SheetError: If the operating system refuses to write it.

        InvalidValueError: If it takes text only.
    """

    def __init__(self, stream: SupportsWrite, name: str) -> None:
        self._stream = stream
        self._name = name
        self._is_given_up = False

    def give_up(self) -> None:
        """
        Let nothing more through: what would come now would make the rest look like a whole file.
        """
        self._is_given_up = True

    def writable(self) -> bool:
        """
        Tell that it can be written.
        """
        return True

    def write(self, data: memoryview) -> int:  # type: ignore[override]  # BufferedWriter gives nothing else
        """
        Write a block.
        """
        rest = b"" if self._is_given_up else bytes(data)
        while rest:
            try:
                with write_refusals(self._name):
                    count = self._stream.write(rest)
            except TypeError:
                raise InvalidValueError("target", "has to be a file that is opened in binary mode") from None
            rest = rest[self._taken(count, len(rest)) :]

        return len(data)

    def _taken(self, count: object, size: int) -> int:
        # Many say nothing, and have taken all; an unbuffered file may have taken a part, or nothing for now.
        if isinstance(count, bool) or not isinstance(count, int):
            count = 0 if count is None and isinstance(self._stream, io.RawIOBase) else size
        if count <= 0:
            raise SheetError("unwritable", f"the file {self._name} takes nothing at the moment")

        return count


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """
    Write a file that appears under its name when it is complete, and on the disk, or not at all.

    It is written beside its place under another name, readable by its owner only. What is raised meanwhile is raised
    again, and nothing is left.

    Raises:
        SheetError: If the file cannot be made, or cannot be put in its place.
    """
    with _beside(path, Path.replace) as stream:
        yield stream
    with write_refusals(str(path)):
        _sync_folder(path.parent)


class NewFile:
    """
    A file that is written where there is none, and can be taken back. It never takes the place of another one.

    Args:
        path: Its place.
    """

    def __init__(self, path: Path) -> None:
        self.path: Final = path
        self._identity: tuple[int, int] | None = None

    @property
    def exists(self) -> bool:
        """
        Whether there is anything in its place, if only a link that leads nowhere.
        """
        return os.path.lexists(self.path)

    def refuse_occupied(self) -> None:
        """
        Refuse a place where no new file can be.

        Raises:
            SheetError: If something is there already, or there is no such folder.
        """
        if self.exists:
            raise existing(str(self.path))
        if not self.path.parent.is_dir():
            raise _folderless(str(self.path))

    @contextlib.contextmanager
    def writing(self) -> Iterator[BinaryIO]:
        """
        Write the file, which appears as `replacing` lets it appear.

        Raises:
            SheetError: If something is there already, even if it came meanwhile, or the file cannot be made.
        """
        self.refuse_occupied()
        try:
            with _beside(self.path, _put_first) as stream:
                status = os.fstat(stream.fileno())
                self._identity = status.st_dev, status.st_ino
                yield stream
            with write_refusals(str(self.path)):
                _sync_folder(self.path.parent)
        except BaseException:
            self.take_back()
            raise

    def take_back(self) -> None:
        """
        Remove the file that was written here, unless another one has taken its place.
        """
        # That it cannot be removed is not to hide why it should be.
        with contextlib.suppress(OSError):
            status = self.path.lstat()
            if (status.st_dev, status.st_ino) == self._identity:
                self.path.unlink()
        self._identity = None


@contextlib.contextmanager
def _beside(path: Path, put: Callable[[Path, Path], object]) -> Iterator[BinaryIO]:
    """
    Write a file beside its place, and *put* it there when it is complete and on the disk.
    """
    if not path.name:
        raise SheetError("not_a_file", f"{str(path)!r} cannot be the name of a file")
    beside = path.with_name(f".voipcard-{os.urandom(8).hex()}.tmp")
    with write_refusals(str(path)):
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    stream = os.fdopen(descriptor, "wb")
    try:
        yield stream
        with write_refusals(str(path)):
            stream.flush()
            os.fsync(descriptor)
            stream.close()
            put(beside, path)
    except BaseException:
        # What could not be written is still waiting, and is refused again: that is not to hide what was raised first.
        with contextlib.suppress(OSError):
            stream.close()
        beside.unlink(missing_ok=True)
        raise


def _put_first(beside: Path, path: Path) -> None:
    """
    Give a file its name if nothing else has it, which the operating system decides.
    """
    try:
        path.hardlink_to(beside)
    except FileExistsError:
        raise
    except OSError:
        # Memory sticks have no links. There an empty file takes the name first: a crash now leaves that.
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        beside.replace(path)
    else:
        beside.unlink()


def _sync_folder(folder: Path) -> None:
    """
    Make the new name last: without this a loss of power may bring back the old one.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except PermissionError:
        return  # A folder that one may put files into, but not look into.
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
