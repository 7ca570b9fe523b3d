"""Backup and restore of a site's whole folder: plain files in a plain folder, and a list of their digests, written last.

Knows files and the ledger; knows no bundle. The list is also the mark of a finished backup. What is restored is what was
backed up, byte for byte, and the ledger says that it was. Nothing is signed: whoever can write to a backup can write a site.
"""

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal

from pydantic import Field

from alx import files
from alx.bundle import strict_json
from alx.bundle.signature import Sha256
from alx.errors import (
    CorruptError,
    ForbiddenFileError,
    IncompleteError,
    LedgerError,
    LimitError,
    MalformedError,
    UsageError,
    escape,
)
from alx.progress import Tell
from alx.records import Role, Strict
from alx.site import budget, events
from alx.site import site as sites
from alx.site.entries import BackedUp, Restored
from alx.site.keyring import KEY_NAME
from alx.site.ledger import LEDGER_NAME
from alx.site.site import Site
from alx.site.state import SiteState
from alx.steps import new

LIST_NAME = "backup.json"
FILES = "site"  # the folder of the copies, beside the list
PARTIAL = ".partial"  # a backup in progress has this suffix
MAX_FILES = 60_000  # a site of 1,000 rounds has fewer: data of 10^6 files belong beside the site, not into it
MAX_LIST_BYTES = 64 << 20  # MAX_FILES names of a few hundred characters
MAX_TOLD = 20  # bad files that a message names
_CHUNK = 1 << 20
_NEEDED = (KEY_NAME, sites.SITE_NAME, sites.PLAN_NAME, LEDGER_NAME, events.EVENTS_NAME)
# Of the site's folder: what a command fetches or makes again. With another noise.key a restored site draws no noise twice.
DEEPEST = 64  # folders: no site has as many, and Python walks some hundred
_SKIPPED = ("staging", "lock", budget.NOISE_NAME)


class BackedUpFile(Strict):
    """One file of the site."""

    name: Annotated[str, Field(min_length=1, max_length=4096)] = Field(description="relative to the site's folder, with /")
    size: Annotated[int, Field(ge=0)]
    sha256: Sha256
    private: bool = Field(description="only its owner could read it; every file is restored so")


class BackupFile(Strict):
    """The list of a backup."""

    format: Literal["alx-backup"]
    version: Literal[1]
    role: Role
    plan: Sha256 = Field(description="SHA-256 of plan.toml")
    entries: Annotated[int, Field(ge=1)] = Field(description="number of entries of the ledger")
    ledger: Sha256 = Field(description="digest of the ledger's last entry")
    files: Annotated[list[BackedUpFile], Field(max_length=MAX_FILES)]


@dataclass(frozen=True, slots=True)
class Backup:
    """A finished backup.

    Attributes:
        folder: where it lies.
        list: of its files.
        left_out: links, pipes and the like in the site's folder, which no backup holds.
        encrypted: the private key in it has a passphrase.
        readable: the file system keeps no modes, or others could read the private key there all the same.
    """

    folder: Path
    list: BackupFile
    left_out: tuple[str, ...]
    encrypted: bool
    readable: bool

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(f.size for f in self.list.files)

    def json(self) -> dict[str, object]:
        """For machines."""
        return {
            "backup": self.folder,
            "files": len(self.list.files),
            "bytes": self.size,
            "entries": self.list.entries,
            "ledger": self.list.ledger,
            "left_out": self.left_out,
            "key_encrypted": self.encrypted,
            "key_readable_by_others": self.readable,
        }


def back_up(now: SiteState, folder: Path, tell: Tell) -> Backup:
    """Copy a site's folder, read the copy back, record that in the event log, and only then give it its name.

    Args:
        now: this site, locked by the caller; reading its ledger rolled back what a killed command left in it.
        folder: the backup's own folder, which must not exist yet.
        tell: progress.

    Raises:
        UsageError: it exists, or lies in a site.
        LimitError, ForbiddenFileError: more files than a backup holds; a name that is not UTF-8.
        SpaceError, StorageError: see `files.storage`.
        CorruptError: what was read back is not what was written.
    """
    folder = folder.absolute()
    where = escape(str(folder), 200)
    with files.storage(folder):
        if folder.is_symlink() or folder.exists():
            raise UsageError(f"'{where}' exists already", "name a new folder: an older backup stays as it is")
        if not folder.parent.is_dir():
            raise UsageError(f"there is no folder '{escape(str(folder.parent), 200)}'", "is the disk mounted there?")
        sites.refuse_inside(folder)
        partial = folder.with_name(folder.name + PARTIAL)
        there = partial.is_symlink() or partial.exists()
        if there and (not partial.is_dir() or {p.name for p in partial.iterdir()} - {FILES, LIST_NAME}):
            raise UsageError(f"'{where}{PARTIAL}' is in the way, and no backup that was stopped", "name another folder")
    site = now.site
    found, left_out = _find(site.folder)
    sizes = [(site.folder / name).stat().st_size for name in found]
    files.require_space(folder.parent, sizes, [partial])
    files.remove_tree(partial)  # of a backup that was killed
    with files.storage(partial):
        partial.mkdir(mode=0o700)
    listed = []
    for i, name in enumerate(found, 1):
        listed.append(_copy(site.folder / name, partial / FILES / name, name))
        tell("copying", i, len(found))
    _read_back(partial, listed, tell)
    made = BackupFile(
        format="alx-backup",
        version=1,
        role=site.role,
        plan=site.plan_file.digest,
        entries=len(now.entries),
        ledger=now.entries[-1].line.digest,
        files=listed,
    )
    _sync(partial)
    files.write(partial / LIST_NAME, made.model_dump_json(indent=1).encode("utf-8"))
    key = partial / FILES / KEY_NAME
    with files.storage(key):
        mode = stat.S_IMODE(key.stat().st_mode) if key.is_file() else 0o600
        encrypted = not key.is_file() or b"ENCRYPTED" in key.read_bytes()
    events.record(site.events_path, BackedUp(folder=where, files=len(listed)))
    files.publish(partial, folder)
    return Backup(folder, made, tuple(left_out), encrypted, bool(mode & 0o077))


def restore(folder: Path, target: Path, tell: Tell) -> Site:
    """Make a site of a backup: verified whole before anything is written, and all of it or nothing.

    Args:
        folder: the backup's.
        target: the site's; must not exist, or be empty.
        tell: progress.

    Raises:
        IncompleteError: no list: the backup was not finished.
        MalformedError, LimitError, ForbiddenFileError: the list, or a file, is none that a backup has.
        CorruptError: files that are gone or changed; all are named.
        UsageError: the target exists.
        LedgerError: the ledger in it is not the one that was backed up.
        SpaceError, StorageError: see `files.storage`.
    """
    target = target.absolute()
    new.require_new(target)
    listed = _read_list(folder)
    files.require_space(target.parent, (f.size for f in listed.files), [new.in_the_making(target)])
    bad = []
    for i, f in enumerate(listed.files, 1):
        why = _fault(folder / FILES, f)
        if why:
            bad.append(f"'{escape(f.name)}' {why}")
        tell("verifying", i, len(listed.files))
    if bad:
        more = f"; and {len(bad) - MAX_TOLD} more" if len(bad) > MAX_TOLD else ""
        raise CorruptError(
            f"{len(bad)} of the backup's files {'is' if len(bad) == 1 else 'are'} bad: {'; '.join(bad[:MAX_TOLD])}{more}",
            "take another backup",
        )
    with new.staged(target) as staging:
        _fill(staging, folder, listed, tell)
    return sites.load(target)


def _fill(staging: Path, folder: Path, listed: BackupFile, tell: Tell) -> None:
    for i, f in enumerate(listed.files, 1):
        got = _copy(folder / FILES / f.name, staging / f.name, f.name)
        if (got.size, got.sha256) != (f.size, f.sha256):
            raise CorruptError(f"'{escape(f.name)}' changed while it was restored", "is the disk failing?")
        tell("restoring", i, len(listed.files))
    site = sites.load(staging)
    now = site.look()
    if (len(now.entries), now.entries[-1].line.digest, site.plan_file.digest) != (
        listed.entries,
        listed.ledger,
        listed.plan,
    ):
        raise LedgerError("the backup's ledger or plan is not the one that its list names", "take another backup")
    now.append(Restored(entries=listed.entries, ledger=listed.ledger))
    events.catch_up(site.events_path, now.entries)
    _sync(staging)


def _find(root: Path) -> tuple[list[str], list[str]]:
    """The names of a site's files, and of what is in its folder that is no file."""
    found: list[str] = []
    other: list[str] = []
    with files.storage(root):
        for folder, inner, names in os.walk(root, onerror=_raise):
            here = Path(folder)
            other += [(here / n).relative_to(root).as_posix() for n in inner if (here / n).is_symlink()]
            inner[:] = sorted(n for n in inner if n != "__pycache__" and not (here / n).is_symlink())
            if here == root:
                inner[:] = [n for n in inner if n not in _SKIPPED]
                names = [n for n in names if n not in _SKIPPED]  # noqa: PLW2901 - the same list, shorter
            for name in sorted(names):
                path = here / name
                if name.endswith(".sqlite-journal") or (
                    name.startswith(".") and name.endswith(".tmp")
                ):  # of killed commands
                    continue
                plain = stat.S_ISREG(path.lstat().st_mode)
                (found if plain else other).append(path.relative_to(root).as_posix())
    for name in found:
        try:
            name.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ForbiddenFileError(f"the name '{escape(ascii(name))}' is not UTF-8", "rename the file") from error
    if len(found) > MAX_FILES:
        raise LimitError(
            f"the site's folder has {len(found)} files, and a backup may have {MAX_FILES}",
            "keep data outside the site's folder, and back them up by other means",
        )
    return found, other


def _raise(error: OSError) -> None:
    raise error


@contextlib.contextmanager
def _plain(path: Path) -> Iterator[int]:
    """A file, opened without following a link or waiting for a pipe."""
    with files.storage(path):
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise ForbiddenFileError(f"'{escape(str(path), 200)}' is no plain file")
            yield fd
        finally:
            os.close(fd)


def _copy(source: Path, target: Path, name: str) -> BackedUpFile:
    files.make_folder(target.parent)
    digest, size = hashlib.sha256(), 0
    with _plain(source) as fd:
        private = not stat.S_IMODE(os.fstat(fd).st_mode) & 0o077
        with files.storage(target):
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
            with os.fdopen(os.open(target, flags, 0o600), "wb") as file:
                while data := os.read(fd, _CHUNK):
                    digest.update(data)
                    size += len(data)
                    file.write(data)
                file.flush()
                os.fsync(file.fileno())
    return BackedUpFile(name=name, size=size, sha256=digest.hexdigest(), private=private)


def _fault(root: Path, listed: BackedUpFile) -> str:
    """What is wrong with a copy, or nothing."""
    path = root / listed.name
    with files.storage(path):
        if not path.is_file() or path.is_symlink():
            return "is missing"
        if path.stat().st_size != listed.size:
            return f"has {path.stat().st_size} bytes, expected {listed.size}"
    with _plain(path) as fd, os.fdopen(os.dup(fd), "rb") as file:
        files.drop_cache(fd)
        same = hashlib.file_digest(file, "sha256").hexdigest() == listed.sha256
    return "" if same else "differs from what was backed up"


def _read_back(partial: Path, listed: list[BackedUpFile], tell: Tell) -> None:
    for i, f in enumerate(listed, 1):
        why = _fault(partial / FILES, f)
        if why:
            raise CorruptError(
                f"the disk does not give back what was written to it: '{escape(f.name)}' {why}",
                f"delete '{escape(str(partial), 200)}', take another disk, and run it again",
            )
        tell("reading back", i, len(listed))


def _read_list(folder: Path) -> BackupFile:
    path = folder / LIST_NAME
    with files.storage(path):
        if not folder.is_dir():
            raise UsageError(f"there is no folder '{escape(str(folder), 200)}'", "is the disk mounted there?")
        if not path.is_file() or path.is_symlink():
            raise IncompleteError(
                f"'{escape(str(folder), 200)}' has no {LIST_NAME}: it is no backup, or was not finished",
                "take another backup, or run alx backup again where the site still is",
            )
    value = strict_json.parse(files.read(path, MAX_LIST_BYTES), LIST_NAME, MAX_LIST_BYTES)
    listed = strict_json.validate(BackupFile, value, f"{LIST_NAME} is not the list of a backup")
    names = [f.name for f in listed.files]
    for name in names:
        parts = PurePosixPath(name).parts
        if name != "/".join(parts) or name.startswith("/") or ".." in parts or "\0" in name or len(parts) > DEEPEST:
            raise ForbiddenFileError(f"{LIST_NAME} names '{escape(name)}', which is no path inside a site")
        if parts[0] in _SKIPPED:
            raise ForbiddenFileError(f"{LIST_NAME} names '{escape(name)}', which no backup holds")
    if len(set(names)) != len(names):
        raise MalformedError(f"{LIST_NAME} names a file twice")
    for needed in _NEEDED:
        if needed not in names:
            raise MalformedError(f"{LIST_NAME} names no {needed}, without which there is no site", "take another backup")
    return listed


def _sync(root: Path) -> None:
    """Make the names in all folders durable."""
    with files.storage(root):
        folders = [Path(folder) for folder, _, _ in os.walk(root, onerror=_raise)]
    for folder in folders:
        files.sync_folder(folder)
