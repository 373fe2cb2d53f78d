"""
Measuring what is around a line: memory of this process, speed of the disk, and what the machine is.
"""

from __future__ import annotations

import os
import platform
import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

__all__ = ["describe_machine", "fdatasync_rate", "filesystem", "forget_peak", "memory"]

_PAGE: Final = bytes(8192)
"""What one small commit writes at least: two pages of a database."""


def memory(field: str) -> int:
    """
    Give one figure of this process in bytes: `VmRSS` for what it holds now, `VmHWM` for the most it held.
    """
    match = re.search(rf"^{field}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)

    return int(match[1]) * 1024 if match else 0


def forget_peak() -> None:
    """
    Let `VmHWM` begin again with what this process holds now, where the system knows how.
    """
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def fdatasync_rate(folder: Path, *, seconds: float = 0.5) -> float:
    """
    Tell how often a second 8 KiB can be written and made durable in this folder, one after another.
    """
    # Loaded where it is used: a worker is measured, and needs none of it.
    import tempfile

    with tempfile.TemporaryFile(dir=folder) as file:
        handle = file.fileno()
        os.pwrite(handle, _PAGE, 0)
        os.fsync(handle)
        count, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            os.pwrite(handle, _PAGE, 0)
            os.fdatasync(handle)
            count += 1

    return count / elapsed


def filesystem(folder: Path) -> str:
    """
    Name the kind of the file system that a folder is on; empty if that is not known.
    """
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return ""
    # The fifth field of a line is the place, and the first one behind the dash the kind.
    kinds = {line.split()[4]: line.partition(" - ")[2].split()[0] for line in lines}
    resolved = folder.resolve()

    return next((kinds[str(place)] for place in (resolved, *resolved.parents) if str(place) in kinds), "")


def describe_machine(folder: Path) -> dict[str, str | int]:
    """
    Tell what the figures depend on; nothing that tells whose machine it is.
    """
    from voipcard.stores.sqlite_file import sqlite3

    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "sqlite_driver": sqlite3.__name__.partition(".")[0],
        **{name: _version(name) for name in ("voipcard", "cryptography", "numpy")},
        "system": platform.system(),
        "filesystem": filesystem(folder),
        "cores": os.cpu_count() or 0,
        "processor": _processor(),
    }


def _version(library: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(library)
    except metadata.PackageNotFoundError:
        return ""


def _processor() -> str:
    try:
        match = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        match = None

    return match[1] if match else platform.machine()
