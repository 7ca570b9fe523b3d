"""Durable files: a name shows either the old bytes or the new ones, whatever happens in between.

Knows paths and bytes; knows no bundle and no site. The operating system's refusals become alx's here. What is written is
its owner's alone, whatever the umask; only what is `shared`, meant for others, may be read by them, where the umask lets it.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO

from alx.errors import LimitError, LockedError, SpaceError, StorageError, escape

SPARE_BYTES = 1 << 20  # left over on a disk after a copy: room for the folders themselves and for the ledger
PROBE = ".modes"  # a file that is made to see its mode, and removed
MAX_SYNCS = 16  # at once; more gained nothing
NO_MODES = "where chmod changes nothing, move the site to the machine's own disk first: docs/keys.md"
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# Odd file systems (FUSE, SMB, exFAT drivers) cannot sync a folder and say so in one of these ways.
_NO_FOLDER_SYNC = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES, errno.EISDIR, errno.ENOSYS)


@contextlib.contextmanager
def storage(path: Path | str) -> Iterator[None]:
    """Translate what the operating system refuses about `path`.

    Raises:
        SpaceError: no space, no quota, or a file too large for the file system.
        StorageError: anything else: read-only, pulled out, failing, no permission, folders nested beyond what Python walks.
    """
    where = escape(str(path), 200)
    try:
        yield
    except RecursionError as error:
        raise StorageError(
            f"'{where}' has folders nested too deeply", "whose are they? remove them, then run it again"
        ) from error
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise SpaceError(f"no space left at '{where}' ({error.strerror})", "free some, then run it again") from error
        hint = "is the disk still there and writable? run the same command again"
        if error.errno == errno.ENAMETOOLONG:
            hint = "take a shorter name, or a folder with a shorter path"
        raise StorageError(f"cannot use '{where}': {error.strerror or error}", hint) from error


@contextlib.contextmanager
def writing(path: Path, *, shared: bool = False, durable: bool = True) -> Iterator[BinaryIO]:
    """Write a new file piece by piece, and sync it; for files inside a folder not yet visible under its final name.

    What has the name already goes first, but for a folder: on a disk that others had it may be a link, or a pipe that would
    hang us.

    Args:
        path: the file.
        shared: others may read it.
        durable: False leaves the file to a later `sync`: until then a power cut may lose it, kill -9 does not.
    """
    with storage(path):
        path.unlink(missing_ok=True)
        with _opened(path, shared=shared) as file:
            yield file
            file.flush()
            if durable:
                os.fsync(file.fileno())


def write(path: Path, data: bytes | bytearray | memoryview, *, shared: bool = False, durable: bool = True) -> None:
    """Write a new file whole; see `writing`."""
    with writing(path, shared=shared, durable=durable) as file:
        file.write(data)


def create(path: Path, data: bytes, *, shared: bool = False) -> None:
    """Write a new file that a person named, whole: what has got the name meanwhile stays, and is told as StorageError."""
    with storage(path), _opened(path, shared=shared) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _opened(path: Path, *, shared: bool) -> BinaryIO:
    """A file that was not there."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644 if shared else 0o600)
    return os.fdopen(fd, "wb")


def make_folder(path: Path, *, shared: bool = False) -> None:
    """Make a folder of our own, and those above it, unless there; whatever the umask, others may not write to it."""
    with storage(path):
        for folder in (*reversed(path.parents), path):
            if not folder.is_dir():
                folder.mkdir(mode=0o755 if shared else 0o700, exist_ok=True)  # another command may be as far


def require_modes(folder: Path) -> None:
    """Refuse an own new folder on a file system where others may read whatever is written, as on exFAT or a Windows disk.

    Raises:
        StorageError: says which mode it gives.
    """
    probe = folder / PROBE
    write(probe, b"", durable=False)
    with storage(folder):
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (probe, folder)]
        probe.unlink()
    if any(mode & 0o077 for mode in modes):
        raise StorageError(
            f"the file system of '{escape(str(folder.parent), 200)}' keeps no modes, so others could read the private key: "
            f"a file made with mode 0600 has {modes[0]:04o} there, a folder made with 0700 has {modes[1]:04o}",
            "make the site on the machine's own disk, in WSL2 below your home folder and not below /mnt; the disk that is "
            "carried may be of any kind",
        )


def sync(paths: Sequence[Path]) -> None:
    """Make the bytes of files durable; their names are the folder's (`sync_folder`).

    All at once: a file system commits many in about the time of one, where one after the other each waits for its own.
    """
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - slow to import, and alx status writes nothing

    with ThreadPoolExecutor(MAX_SYNCS) as pool:
        list(pool.map(sync_file, paths))  # the list raises what a thread raised


def sync_file(path: Path) -> None:
    """Make the bytes of one file durable."""
    with storage(path):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)  # on a disk it may be a pipe by now
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def drop_cache(fd: int) -> None:
    """What was just written sits in the cache: ask for the disk's own word, where the system can (macOS cannot).

    Only of what is synced: the rest stays there.
    """
    with contextlib.suppress(OSError, AttributeError):
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def read(path: Path, limit: int) -> bytes:
    """A file of one's own, whole.

    Args:
        path: the file.
        limit: bytes it may have.

    Raises:
        LimitError: it has more.
        StorageError: it is not there or cannot be read.
    """
    with storage(path), path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise LimitError(f"'{escape(str(path), 200)}' has more than the {limit} bytes that it may have")
    return data


def temporary(path: Path) -> Path:
    """Where `replace` and its kin write a file before it has its name."""
    return path.with_name(f".{path.name}.tmp")


def replace(path: Path, data: bytes | memoryview, *, shared: bool = False, durable: bool = True) -> None:
    """Write `path` so that it holds either its old bytes or `data`: after a power cut too where it is `durable`."""
    replace_all({path: data}, shared=shared, durable=durable)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """As `replace`, piece by piece: the file has its name when the block has ended well."""
    with writing(temporary(path)) as file:
        yield file
    with storage(path):
        temporary(path).replace(path)
    sync_folder(path.parent)


def replace_all(contents: Mapping[Path, bytes | memoryview], *, shared: bool = False, durable: bool = True) -> None:
    """Write several files of one folder, in their order, as `replace` does: all are whole before the first has its name."""
    with replacing_all(contents, shared=shared, durable=durable):
        pass


@contextlib.contextmanager
def replacing_all(
    contents: Mapping[Path, bytes | memoryview], *, shared: bool = False, durable: bool = True
) -> Iterator[None]:
    """As `replace_all`, around what records the files: its block runs when they are written, and have no name yet."""
    for path, data in contents.items():
        write(temporary(path), data, shared=shared, durable=durable)
    yield
    for path in contents:
        with storage(path):
            temporary(path).replace(path)
    if durable:
        for folder in dict.fromkeys(path.parent for path in contents):
            sync_folder(folder)


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable, where its file system can."""
    with storage(path):
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        except OSError as error:
            if error.errno not in _NO_FOLDER_SYNC:
                raise
        finally:
            os.close(fd)


def sync_tree(path: Path) -> None:
    """Make the names in a folder and in its folders durable."""
    with storage(path):
        folders = [inner for inner in path.iterdir() if inner.is_dir()]
    for folder in (*folders, path):
        sync_folder(folder)


def publish(folder: Path, final: Path) -> None:
    """Give a finished folder its final name: the one moment at which it becomes visible."""
    sync_tree(folder)
    with storage(final):
        if not final.parent.is_dir():  # a site's box that was empty: git and some archives keep no empty folders
            make_folder(final.parent)
            sync_folder(final.parent.parent)
        folder.rename(final)
    sync_folder(final.parent)
    if folder.parent != final.parent:
        sync_folder(folder.parent)


def remove_tree(path: Path) -> None:
    """Remove a folder of our own, if it is there, or whatever has its name; a link itself, never what it points to."""
    with storage(path):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def withdraw(path: Path, aside: Path) -> None:
    """Remove a folder that has the name of a finished one, if it is there: it loses the name before it loses a file.

    Args:
        path: the folder.
        aside: where it is removed from, on the same file system; what a killed command left there goes too.
    """
    remove_tree(aside)
    with storage(path):
        if not os.path.lexists(path):
            return
        path.rename(aside)
    sync_folder(path.parent)
    remove_tree(aside)


def room(folder: Path) -> tuple[int | None, int]:
    """Bytes that are free where a folder is, or will be, and bytes of a block there.

    Returns:
        None for what is free where the file system does not say it, as some drivers of foreign ones do not.
    """
    with storage(folder):
        there = next(p for p in (folder, *folder.parents) if p.exists())
        usage, block = shutil.disk_usage(there), os.statvfs(there).f_frsize
    return usage.free if usage.total else None, block


def on_blocks(sizes: Iterable[int], block: int) -> int:
    """Bytes that files of these sizes take on a disk of such blocks."""
    return sum(-(-count // block) * block for count in sizes)


def taken(place: Path, block: int) -> int:
    """Bytes that a file, or all files below a folder, take on a disk of such blocks; no link is followed."""
    sizes = []
    with storage(place):
        inside = () if place.is_symlink() else os.walk(place)
        for path in (place, *(Path(folder) / name for folder, _, names in inside for name in names)):
            with contextlib.suppress(OSError):
                status = path.lstat()
                sizes.append(status.st_size if stat.S_ISREG(status.st_mode) else 0)
    return on_blocks(sizes, block)


def require_space(folder: Path, sizes: Iterable[int], there: Iterable[Path] = ()) -> None:
    """Refuse before anything is written when files will not fit.

    Args:
        folder: where they go; it need not be there yet.
        sizes: bytes of each file; on a disk it takes whole blocks.
        there: files and folders that are some of these already, or that these replace: what they take counts as free.

    Raises:
        SpaceError: says how many bytes are needed and how many are free.
    """
    free, block = room(folder)
    need, kept = on_blocks(sizes, block), sum(taken(place, block) for place in there)
    if free is not None and free + kept < need + SPARE_BYTES:
        beside = f" and {size(kept)} in what is there already" if kept else ""
        raise SpaceError(
            f"'{escape(str(folder), 200)}' has {size(free)} free{beside}, expected at least {size(need + SPARE_BYTES)}: "
            f"{size(need)} for the files, and {size(SPARE_BYTES)} to spare",
            "free some or take a larger disk, then run it again",
        )


@contextlib.contextmanager
def lock(path: Path) -> Iterator[None]:
    """Hold a site's lock; the kernel lets go of it when the process ends, however it ends.

    Raises:
        LockedError: another process holds it.
    """
    with storage(path):
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with storage(path):
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LockedError(
                    f"another alx command works on '{escape(str(path.parent), 200)}'",
                    "wait until it has ended, then run it again",
                ) from error
        yield
    finally:
        os.close(fd)


def named(path: Path) -> Path:
    """The same place by its whole path, so that `.` and `..` have a name and a parent; no link is followed."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow one


def size(count: int) -> str:
    """A number of bytes for people: `1.4 MB`."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:  # noqa: PLR2004 - decimal units, as disks are sold
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
