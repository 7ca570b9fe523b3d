"""Where tests put their folders: in memory where there is room, as much of a command's time is syncing; else on a disk."""

import os
import shutil
import tempfile
from pathlib import Path

ROOM = 2 << 30  # worlds go as their tests pass; a run takes a fraction of it


def kind(folder: Path) -> str:
    """The kind of file system that a folder is on, where the kernel tells; else nothing."""
    try:
        mounts = [line.split(" ") for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    except OSError:
        return ""
    here = folder.resolve()
    above = [m for m in mounts if here.is_relative_to(m[1])]
    return max(reversed(above), key=lambda m: len(m[1]))[2] if above else ""


def _memory() -> Path | None:
    shared = Path("/dev/shm")  # noqa: S108 - tests make their own folders in it
    fits = os.access(shared, os.W_OK | os.X_OK) and kind(shared) == "tmpfs" and shutil.disk_usage(shared).free >= ROOM
    return shared if fits else None


def _disk() -> Path:
    usual = Path(tempfile.gettempdir())
    return next((p for p in (usual, Path("/var/tmp")) if os.access(p, os.W_OK) and kind(p) != "tmpfs"), usual)  # noqa: S108


MEMORY = _memory()
"""A folder in memory; None where there is none, or too small a one."""
DISK = _disk()
"""A folder on the ordinary disk, for what is about disks, and for programs that are run: memory may forbid that."""
