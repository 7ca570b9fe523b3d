"""Which pictures there are, with their labels, and where each lies: listed once, kept, and listed anew when it went stale.

Knows names, places and times of change; opens no picture. A million names are two arrays and one run of bytes, not a million
objects. What is kept is a cache: where it is gone, damaged or stale, the pictures are listed again.
"""

import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from alx.picture import Member

KEPT_FROM = 10_000  # pictures: fewer are soon listed, and a small site has no such folder
SETTLED = 2_000_000_000  # nanoseconds: FAT's times of change are so coarse, and a later change would look like none
VERSION = 1

Numbers = NDArray[np.int64]


class Entry(NamedTuple):
    """One picture.

    Attributes:
        label: the place of its class in the plan's list.
        name: of its file, or of the member of a tar, as the file system's bytes.
        shard: which tar, counted from 0; and where in it.
        at: offset of its first byte in the tar.
        size: bytes, in a tar.
    """

    label: int
    name: bytes
    shard: int = 0
    at: int = 0
    size: int = 0


class Listing:
    """Pictures in their order.

    Args:
        roots: a folder for each class (None where there is none); or the tars.
        tarred: whether the roots are tars.
        columns: int64 [4, n]: label, shard, at, size.
        names: all names, one behind the other.
        ends: int64 [n], where each name ends.
    """

    def __init__(self, roots: Sequence[Path], columns: Numbers, names: bytes, ends: Numbers, *, tarred: bool) -> None:
        self._roots, self._columns, self._names, self._ends, self._tarred = tuple(roots), columns, names, ends, tarred

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def labels(self) -> Numbers:
        """Of each picture, [n]."""
        labels: Numbers = self._columns[0]
        return labels

    @property
    def nbytes(self) -> int:
        """Of memory."""
        return len(self._names) + self._ends.nbytes + self._columns.nbytes

    def __getitem__(self, index: int) -> Path | Member:
        """Where a picture lies."""
        begin = int(self._ends[index - 1]) if index else 0
        name = os.fsdecode(self._names[begin : int(self._ends[index])])
        label, shard, at, size = self._columns[:, index].tolist()
        if self._tarred:
            return Member(self._roots[shard], PurePosixPath(name), at, size)
        folder: Path = self._roots[label]
        return folder / name

    def __iter__(self) -> Iterator[Path | Member]:
        return (self[i] for i in range(len(self)))


def of(
    roots: Sequence[Path], found: Callable[[], Iterable[Entry]], watched: Iterable[Path], kept: Path | None, *, tarred: bool
) -> Listing:
    """What is there, from what is kept where that is still so.

    Args:
        roots: see `Listing`.
        found: lists what is there.
        watched: files and folders that change when what `found` lists does: a folder's time of change is that of its names.
        kept: the folder of what is kept, or None.
        tarred: see `Listing`.
    """
    stamp = _stamp([*watched], [*map(str, roots)])
    file = None if kept is None else kept / f"{hashlib.sha256(json.dumps(stamp[0]).encode()).hexdigest()[:32]}.npz"
    if file is not None and (again := _read(file, json.dumps(stamp))) is not None:
        return Listing(roots, *again, tarred=tarred)
    begun = time.time_ns()
    names, ends, numbers = bytearray(), [], []
    for entry in found():
        names += entry.name
        ends.append(len(names))
        numbers += [entry.label, entry.shard, entry.at, entry.size]
    columns = np.ascontiguousarray(np.asarray(numbers, np.int64).reshape(-1, 4).T)
    made = (columns, bytes(names), np.asarray(ends, np.int64))
    settled = all(changed < begun - SETTLED for _, _, changed, _ in stamp[1])
    if file is not None and settled and len(ends) >= KEPT_FROM:
        _write(file, json.dumps(stamp), made)
    return Listing(roots, *made, tarred=tarred)


def _stamp(watched: Sequence[Path], roots: Sequence[str]) -> tuple[list[str], list[tuple[int, int, int, int]]]:
    """What the listing is of, and how that looked before it was listed."""
    seen = [os.stat(path) for path in watched]  # noqa: PTH116 - one call each, and nothing cached
    looks = [(each.st_dev, each.st_ino, each.st_mtime_ns, each.st_size) for each in seen]
    return [str(VERSION), *map(os.path.abspath, map(str, watched)), "", *roots], looks


def _read(file: Path, stamp: str) -> tuple[Numbers, bytes, Numbers] | None:
    try:
        with np.load(file, allow_pickle=False) as found:
            if str(found["stamp"]) != stamp:
                return None
            columns, names, ends = found["columns"], found["names"].tobytes(), found["ends"]
    except Exception:  # noqa: BLE001 - a cache that cannot be read is none, whatever a decoder raises
        return None
    fits = columns.dtype == ends.dtype == np.int64 and columns.shape == (4, len(ends)) and ends[-1:].tolist() == [len(names)]
    return (columns, names, ends) if fits else None


def _write(file: Path, stamp: str, made: tuple[Numbers, bytes, Numbers]) -> None:
    """Keep it; a disk that is full or read-only is no reason to stop."""
    columns, names, ends = made
    out = io.BytesIO()
    held: dict[str, Any] = {"columns": columns, "names": np.frombuffer(names, np.uint8), "ends": ends}
    np.savez(out, stamp=np.array(stamp), **held)
    part = file.with_suffix(".part")
    try:
        file.parent.mkdir(mode=0o700, exist_ok=True)
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as whole:
            whole.write(out.getbuffer())
        part.replace(file)  # no fsync: what a power cut leaves of it fails its CRC, and is made anew
    except OSError:
        return
