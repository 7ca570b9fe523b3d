"""Which drive a folder lies on: what Linux tells anybody who asks, without root.

Knows /sys and the table of mounts; knows no bundle. What a drive says of itself is a stranger's text: whoever prints it
escapes it.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from alx import files
from alx.errors import escape

MAX_TEXT = 200  # bytes of a name or serial number that are read; USB's own limit is 126 characters
MOUNTS = Path("/proc/self/mountinfo")


@dataclass(frozen=True, slots=True)
class Drive:
    """A drive, as far as the system tells; None is unknown."""

    name: str | None
    serial: str | None
    file_system: str | None


def of(path: Path, sys: Path = Path("/sys"), mounts: Path = MOUNTS) -> Drive:
    """The drive below a folder.

    Args:
        path: the folder.
        sys: where the system tells of its devices; macOS has no such place, and there nothing is known.
        mounts: the table of mounts.

    Raises:
        StorageError: the folder cannot be looked at.
    """
    number, kind = _number(path), file_system(path, mounts)
    try:
        folder = (sys / "dev" / "block" / number).resolve(strict=True)
    except OSError:  # a network share, a volume of many drives, another system
        return Drive(None, None, kind)
    if (folder / "partition").exists():
        folder = folder.parent
    vendor, model = (_text(folder / "device" / name) for name in ("vendor", "model"))
    named = None if model is None else f"{vendor or ''} {model}".strip()  # a virtual disk tells a number for a vendor alone
    serial = _text(folder / "device" / "serial")
    if serial is None:  # a stick has it in the folder of its USB device; above that is a hub, which may have one of its own
        usb = next((p for p in folder.parents if (p / "idVendor").exists()), None)
        serial = None if usb is None else _text(usb / "serial")
    return Drive(named, serial, kind)


def file_system(path: Path, mounts: Path = MOUNTS) -> str | None:
    """The kind of file system that a folder lies on, by the kernel's name of it: `vfat`, `exfat`, `ext4`; see `of`."""
    return _file_system(mounts, _number(path))


def _number(path: Path) -> str:
    with files.storage(path):
        device = path.stat().st_dev
    return f"{os.major(device)}:{os.minor(device)}"


def _text(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            told = file.read(MAX_TEXT).decode("utf-8", "replace").strip()
    except OSError:  # the drive does not tell
        return None
    return escape(told, MAX_TEXT) or None


def _file_system(mounts: Path, number: str) -> str | None:
    """Its type, where the table names the device: `proc(5)`, /proc/pid/mountinfo."""
    try:
        lines = mounts.read_bytes().decode("utf-8", "replace").split("\n")  # a label may hold whatever else ends a line
    except OSError:
        return None
    for line in lines:
        before, _, after = line.partition(" - ")
        if before.split(" ")[2:3] == [number]:
            return escape(after.split(" ")[0]) or None
    return None
