"""A bundle's folder as it was carried here: surveyed before anything in it is opened, then opened file by file.

Knows names, types, sizes and digests; knows no key and no format. No link is followed, no pipe is waited for.
"""

import contextlib
import errno
import hashlib
import heapq
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from alx import files
from alx.bundle import age
from alx.bundle.layout import BUNDLE, CLOSING_NAME, DATA_FOLDER, MANIFEST_NAME, MAX_FILES, NAME, SHARE
from alx.bundle.signature import MAX_FILE_BYTES, SIGNATURE_NAME, SignedFile
from alx.errors import CorruptError, ForbiddenFileError, IncompleteError, LimitError, StorageError, UsageError, escape

# What operating systems leave on disks without being asked.
JUNK = (
    ".ds_store",
    ".gitignore",
    ".gitattributes",
    "thumbs.db",
    "desktop.ini",
    ".spotlight-v100",
    ".trashes",
    ".fseventsd",
    "system volume information",
)
_OPEN = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a FIFO must not hang us


AT_HOME = (
    "put a good copy there, from a disk or a backup: whatever lies there is compared with the ledger"  # of a site's own
)
_MADE_BY_NO_EXPORT = "no alx export makes such a thing: copy it again, or ask who carried it"
TOLD_BUNDLES = 3  # the last by name: the peer's newest, one's own, and the closing
MAX_TOLD, MAX_BAD = 20, 50  # names of one refusal, odd ones and bad files; a disk may hold thousands
MANIFESTS = tuple(name + suffix for name in (MANIFEST_NAME, CLOSING_NAME) for suffix in ("", age.SUFFIX))


@dataclass(slots=True)
class Source:
    """A bundle's folder, surveyed but not read: names, types and sizes are those of a bundle."""

    path: Path
    sizes: dict[str, int]
    _folders: dict[str, int]
    secret: str | None = None
    """The age key that opens its files, where they are encrypted and it is at hand."""
    damage: dict[str, str] = field(default_factory=dict)
    """Files that are missing, extra, cannot be read, or differ from what was signed, each with its reason."""
    remedy: str = "copy the bundle again, or ask the sender to run alx export once more"
    """What to do where a file of it is bad."""
    _manifest: bytes | None = None
    """The manifest's bytes, compared already: it is needed twice and read once."""

    @contextlib.contextmanager
    def open(self, name: str) -> Iterator[int]:
        """A descriptor of one file, opened within the surveyed folder and looked at again after opening."""
        folder, _, base = name.rpartition("/")
        with files.storage(self.path / name):
            try:
                fd = os.open(base, _OPEN, dir_fd=self._folders[folder])
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
                raise ForbiddenFileError(f"'{escape(name)}' is a symbolic link") from error
            try:
                _regular(name, os.fstat(fd))
                yield fd
            finally:
                os.close(fd)

    def read(self, name: str, size: int) -> bytes:
        """At most one byte more than `size` bytes of a file: enough to see that it is too long."""
        pieces, left = [], size + 1
        with self.open(name) as fd, files.storage(self.path / name):
            while left and (piece := os.read(fd, left)):  # mostly one, and then it is not copied
                pieces.append(piece)
                left -= len(piece)
        return b"".join(pieces)

    def read_signed(self, signed: SignedFile) -> bytes | None:
        """A file's bytes if they are what was signed; else None, and the reason is noted in `damage`."""
        if signed.name in self.damage:
            return None
        if signed.name in MANIFESTS and self._manifest is not None:
            return self._manifest
        try:
            data = self.read(signed.name, signed.size)
        except StorageError as error:  # a bad place on a disk is one bad file: what lies elsewhere can still be had
            self.damage[signed.name] = _unreadable(error.__cause__)
            return None
        if len(data) != signed.size:
            self.damage[signed.name] = "its size changed while it was read"
        elif hashlib.sha256(data).hexdigest() != signed.digest:
            self.damage[signed.name] = "differs from what was signed"
        else:
            if signed.name in MANIFESTS:
                self._manifest = data
            return data
        return None

    def refuse_damage(self) -> None:
        """Raise `CorruptError` naming every bad file, if there is one."""
        refuse(self.damage, self.remedy)


def refuse(damage: Mapping[str, str], hint: str, more: str = "") -> None:
    """Refuse a bundle with bad files, all of them named.

    Args:
        damage: the reason by the file's name; where it is empty, nothing happens.
        hint: the remedy.
        more: what else there is to say, after a semicolon.

    Raises:
        CorruptError: names every file; the first `MAX_BAD`, and how many more.
    """
    if damage:
        told = "; ".join(f"'{escape(n)}' {why}" for n, why in sorted(damage.items())[:MAX_BAD])
        if len(damage) > MAX_BAD:
            told += f"; and {len(damage) - MAX_BAD} more"
        verb = "is" if len(damage) == 1 else "are"
        raise CorruptError(f"{len(damage)} of the bundle's files {verb} bad: {told}{more and '; '}{more}", hint)


def _unreadable(error: BaseException | None) -> str:
    return (
        f"cannot be read ({escape(error.strerror)})" if isinstance(error, OSError) and error.strerror else "cannot be read"
    )


def read_file(path: Path, limit: int) -> bytes:
    """A single file from outside, with the same care: no link followed, no pipe waited for.

    Args:
        path: the file.
        limit: bytes it may have; one more is read, so that whoever parses it can refuse it.

    Raises:
        UsageError: there is no such file.
        ForbiddenFileError: a link, or no plain file.
        LimitError, StorageError: see `Source.read`.
    """
    with files.storage(path):
        try:
            fd = os.open(path, _OPEN)
        except FileNotFoundError as error:
            raise UsageError(
                f"there is no file '{escape(str(path), 200)}'", "is the name right? is the disk there?"
            ) from error
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            raise ForbiddenFileError(f"'{escape(path.name)}' is a symbolic link") from error
        try:
            _regular(path.name, os.fstat(fd))
            with os.fdopen(fd, "rb", closefd=False) as file:
                return file.read(limit + 1)
        finally:
            os.close(fd)


def _regular(name: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next(
            (
                word
                for test, word in (
                    (stat.S_ISLNK, "a symbolic link"),
                    (stat.S_ISDIR, "a folder"),
                    (stat.S_ISFIFO, "a pipe"),
                    (stat.S_ISSOCK, "a socket"),
                    (stat.S_ISBLK, "a device"),
                    (stat.S_ISCHR, "a device"),
                )
                if test(status.st_mode)
            ),
            "no file",
        )
        raise ForbiddenFileError(f"'{escape(name)}' is {kind}, expected a plain file", _MADE_BY_NO_EXPORT)
    if status.st_nlink > 1:  # some drivers of foreign file systems say 0
        raise ForbiddenFileError(f"'{escape(name)}' is a hard link to another file", _MADE_BY_NO_EXPORT)
    if status.st_size > MAX_FILE_BYTES:
        told = f"'{escape(name)}' has {status.st_size} bytes, and may have {MAX_FILE_BYTES}"
        raise LimitError(told, _MADE_BY_NO_EXPORT)


def _refuse_names(names: Sequence[str]) -> None:
    """Refuse names that no bundle has, all at once: else whoever cleans up a disk would find them one by one.

    Raises:
        ForbiddenFileError: names the first `MAX_TOLD` of each kind.
    """
    junk, others = ([n for n in names if _is_junk(n.rpartition("/")[2]) is left] for left in (True, False))
    told = []
    if junk:
        kind = ("is", "it") if len(junk) == 1 else ("are", "them")
        told.append(f"{_listed(junk)} {kind[0]} not of the bundle: an operating system or a program left {kind[1]} there")
    if others:
        told.append(f"{_listed(others)} {'is a name' if len(others) == 1 else 'are names'} that no bundle has")
    if told:
        it = "it" if len(names) == 1 else "them"
        hint = f"delete {it}, then run it again" if junk else f"delete {it} if you know why, or ask for the bundle again"
        raise ForbiddenFileError("; ".join(told), hint)


def _is_junk(name: str) -> bool:
    return name.lower() in JUNK or name.startswith("._")


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_TOLD} more" if len(names) > MAX_TOLD else ""
    return ", ".join(f"'{escape(n)}'" for n in sorted(names)[:MAX_TOLD]) + more


def _survey(fd: int, prefix: str, sizes: dict[str, int], damage: dict[str, str], odd: list[str]) -> bool:
    """Add the files of one folder to `sizes`, or to `damage`, or to `odd`; true if it holds the data folder."""
    has_data = False
    with os.scandir(fd) as entries:
        for entry in entries:
            if len(sizes) + len(damage) + len(odd) > MAX_FILES + 2:
                raise LimitError(f"more than {MAX_FILES} files")
            if _is_junk(entry.name) or not NAME.fullmatch(entry.name):
                odd.append(prefix + entry.name)
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError as error:
                damage[prefix + entry.name] = _unreadable(error)
                continue
            if not prefix and entry.name == DATA_FOLDER and stat.S_ISDIR(status.st_mode):
                has_data = True
                continue
            _regular(prefix + entry.name, status)
            sizes[prefix + entry.name] = status.st_size
    return has_data


@contextlib.contextmanager
def survey(path: Path, secret: str | None = None, *, lends: bool = False) -> Iterator[Source]:
    """Look at a bundle's folder: names, types and sizes; opens no file.

    Args:
        path: the folder.
        secret: the age key for its files, where they may be encrypted.
        lends: True for one of several copies of a bundle: it may do without `round.sig`.

    Raises:
        UsageError: there is no such folder, or it is the disk that bundles lie on.
        ForbiddenFileError: a name or a type of file that no bundle has.
        LimitError: too many files, or one too large.
        IncompleteError: no `round.sig`.
        StorageError: the disk cannot be read.
    """
    path = files.named(path)
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
    with files.storage(path):
        if path.is_symlink():
            raise ForbiddenFileError(
                f"'{escape(str(path), 200)}' is a symbolic link", "name the folder it points to yourself"
            )
        if path.is_file():
            raise UsageError(
                f"'{escape(str(path), 200)}' is a file, and a bundle is a folder",
                "name the folder that holds round.sig; an identity file goes to alx pair",
            )
        if not path.is_dir():
            raise UsageError(f"there is no bundle folder '{escape(str(path), 200)}'", "is the disk there?")
    sizes: dict[str, int] = {}
    damage: dict[str, str] = {}
    odd: list[str] = []
    with contextlib.ExitStack() as stack:
        with files.storage(path):
            root = os.open(path, flags)
            stack.callback(os.close, root)
            folders = {"": root}
            if not _has_signature(root):  # before names are looked at: a disk full of other things is no attack
                _refuse_disk(path)
                if not lends:
                    refuse_unsigned(path)
            if _survey(root, "", sizes, damage, odd):
                folders[DATA_FOLDER] = os.open(DATA_FOLDER, flags, dir_fd=root)
                stack.callback(os.close, folders[DATA_FOLDER])
                _survey(folders[DATA_FOLDER], f"{DATA_FOLDER}/", sizes, damage, odd)
            _refuse_names(odd)
        yield Source(path, sizes, folders, secret, damage)


def _has_signature(root: int) -> bool:
    with os.scandir(root) as entries:
        return any(entry.name == SIGNATURE_NAME for entry in entries)


def _refuse_disk(path: Path) -> None:
    bundles = heapq.nlargest(
        TOLD_BUNDLES, (p.name for p in path.glob("alx-*-r*") if BUNDLE.fullmatch(p.name) or SHARE.fullmatch(p.name))
    )
    if bundles:
        named = " or ".join(escape(str(path / name), 300) for name in bundles)
        raise UsageError(
            f"'{escape(str(path), 200)}' is not a bundle, but a folder that holds bundles", f"did you mean {named}?"
        )


def refuse_unsigned(path: Path) -> NoReturn:
    """Refuse a folder without `round.sig`.

    Raises:
        IncompleteError: always.
    """
    raise IncompleteError(
        f"'{escape(path.name)}' has no {SIGNATURE_NAME}: the sender, or whoever copied it, did not finish",
        "let the sender run alx export again, or copy the folder again; both go on where they stopped",
    )
