"""What the file system of a disk means for a bundle: what does not fit on FAT32, and what no journal means.

Knows names of file systems, and sizes and names of files; touches nothing. Of a file system that it does not know it says
nothing: macOS does not tell which one a disk has, nor does a driver outside of the kernel, a network share, or Windows
below WSL2.
"""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path, PurePosixPath

from alx import files
from alx.errors import SpaceError, escape

# Microsoft, "FAT32 File System Specification", 2000: a file's size is a field of 32 bits, and a folder's entries take at
# most 2 MiB. A longer name than 8 + 3 takes an entry of 13 characters each, beside its own.
FAT_FILE_BYTES = (4 << 30) - 1
FAT_ENTRIES = 65_536
_NAME_CHARACTERS = 13
_FAT = ("vfat", "msdos")
_NO_JOURNAL = {"vfat": "FAT32", "msdos": "FAT", "exfat": "exFAT"}  # as people call what the kernel calls so


def refuse_unfit(kind: str | None, disk: Path, sizes: Mapping[str, int]) -> None:
    """Refuse before anything is written what FAT32 cannot hold, however much room there is.

    Args:
        kind: the file system's name, as the kernel has it; None where nobody knows.
        disk: the folder, for messages.
        sizes: bytes of each file, by its path below it.

    Raises:
        SpaceError: a file is larger than any may be, or a folder has more files than it can.
    """
    if kind not in _FAT:
        return
    where, hint = f"'{escape(str(disk), 200)}' is {_NO_JOURNAL[kind]}", "take a disk that is formatted as exFAT"
    for name, size in sizes.items():
        if size > FAT_FILE_BYTES:
            raise SpaceError(
                f"{where}, where a file has at most {FAT_FILE_BYTES} bytes; '{escape(name)}' has {size}, {files.size(size)}",
                hint,
            )
    folders: dict[str, list[str]] = {}
    for path in map(PurePosixPath, sizes):
        folders.setdefault(str(path.parent), []).append(path.name)
    for folder, names in folders.items():
        entries = _entries(names)
        if entries > FAT_ENTRIES:
            raise SpaceError(
                f"{where}, where a folder has at most {FAT_ENTRIES} entries; the files of "
                f"'{escape(folder)}' take {entries} with their long names",
                f"{hint}, or several disks: alx export DISK1 DISK2",
            )


def _entries(names: Collection[str]) -> int:
    """Entries that files take in a folder of FAT32, `.` and `..` among them."""
    return 2 + sum(1 + -(-len(name) // _NAME_CHARACTERS) for name in names)


def removal(kinds: Sequence[str | None]) -> list[str]:
    """What a person may do with the disks now that all is written and read back, a line each.

    Args:
        kinds: the file system of each disk, as in `refuse_unfit`.
    """
    told = [
        f"eject the disk before you pull it out: {_NO_JOURNAL[kind]} keeps no journal, so what is half written there can "
        "take other files with it; the import verifies every byte"
        for kind in dict.fromkeys(kinds)
        if kind in _NO_JOURNAL
    ]
    return told or [f"safe to remove the {'disk' if len(kinds) == 1 else 'disks'}"]
