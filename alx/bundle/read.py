"""Open a bundle that may be an attack: look, verify, and only then read.

Knows the bundle's folder; knows no site, ledger or model. Of a folder on a carried disk nothing but `round.sig`
reaches a parser before its digest was compared with the signed one, no file is opened twice, and no link is followed.
"""

import contextlib
import errno
import hashlib
import heapq
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from alx import files
from alx.bundle import codec, signature
from alx.bundle.keys import PublicKey
from alx.bundle.manifest import BUNDLE, DATA_FOLDER, MANIFEST_NAME, MAX_FILES, NAME, Candidate, Manifest, parse
from alx.bundle.signature import MAX_FILE_BYTES, MAX_SIGNATURE_BYTES, SIGNATURE_NAME, SignedBundle, SignedFile
from alx.errors import (
    CorruptError,
    ForbiddenFileError,
    IncompleteError,
    LimitError,
    MalformedError,
    UsageError,
    escape,
)

CHUNK_BYTES = 1 << 20
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


@dataclass(slots=True)
class Source:
    """A bundle's folder, surveyed but not read: names, types and sizes are those of a bundle."""

    path: Path
    sizes: dict[str, int]
    _folders: dict[str, int]
    damage: dict[str, str] = field(default_factory=dict)
    """Files that are missing, extra, or differ from what was signed, each with its reason."""
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
        out = bytearray()
        with self.open(name) as fd, files.storage(self.path / name):
            while len(out) <= size and (piece := os.read(fd, min(CHUNK_BYTES, size + 1 - len(out)))):
                out += piece
        return bytes(out)

    def read_signed(self, signed: SignedFile) -> bytes | None:
        """A file's bytes if they are what was signed; else None, and the reason is noted in `damage`."""
        if signed.name in self.damage:
            return None
        if signed.name == MANIFEST_NAME and self._manifest is not None:
            return self._manifest
        data = self.read(signed.name, signed.size)
        if len(data) != signed.size:
            self.damage[signed.name] = "its size changed while it was read"
        elif hashlib.sha256(data).hexdigest() != signed.digest:
            self.damage[signed.name] = "differs from what was signed"
        else:
            if signed.name == MANIFEST_NAME:
                self._manifest = data
            return data
        return None

    def refuse_damage(self) -> None:
        """Raise `CorruptError` naming every bad file, if there is one."""
        if self.damage:
            told = "; ".join(f"'{escape(n)}' {why}" for n, why in sorted(self.damage.items()))
            raise CorruptError(
                f"{len(self.damage)} of the bundle's files are bad: {told}",
                "copy the bundle again, or ask the sender to run alx export once more",
            )


def _regular(name: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = next(
            (word for test, word in (
                (stat.S_ISLNK, "a symbolic link"), (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"),
                (stat.S_ISSOCK, "a socket"), (stat.S_ISBLK, "a device"), (stat.S_ISCHR, "a device"),
            ) if test(status.st_mode)),
            "no file",
        )  # fmt: skip
        raise ForbiddenFileError(f"'{escape(name)}' is {kind}, expected a plain file")
    if status.st_nlink > 1:  # some drivers of foreign file systems say 0
        raise ForbiddenFileError(f"'{escape(name)}' is a hard link to another file")
    if status.st_size > MAX_FILE_BYTES:
        raise LimitError(f"'{escape(name)}' has {status.st_size} bytes, and may have {MAX_FILE_BYTES}")


def _check_name(name: str, folder: str) -> None:
    if name.lower() in JUNK or name.startswith("._"):
        raise ForbiddenFileError(
            f"'{folder}{escape(name)}' is not of the bundle: an operating system or a program left it there",
            "delete it, then run it again",
        )
    if not NAME.fullmatch(name):
        raise ForbiddenFileError(f"'{folder}{escape(name)}' is a name that no bundle has")


def _survey(fd: int, prefix: str, sizes: dict[str, int]) -> bool:
    """Add the files of one folder to `sizes`; true if it holds the data folder."""
    has_data = False
    with os.scandir(fd) as entries:
        for entry in entries:
            _check_name(entry.name, prefix)
            status = entry.stat(follow_symlinks=False)
            if not prefix and entry.name == DATA_FOLDER and stat.S_ISDIR(status.st_mode):
                has_data = True
                continue
            _regular(prefix + entry.name, status)
            sizes[prefix + entry.name] = status.st_size
            if len(sizes) > MAX_FILES + 2:
                raise LimitError(f"more than {MAX_FILES} files")
    return has_data


@contextlib.contextmanager
def survey(path: Path) -> Iterator[Source]:
    """Look at a bundle's folder: names, types and sizes; opens no file.

    Raises:
        UsageError: there is no such folder, or it is the disk that bundles lie on.
        ForbiddenFileError: a name or a type of file that no bundle has.
        LimitError: too many files, or one too large.
        IncompleteError: no `round.sig`.
        StorageError: the disk cannot be read.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow a link on the disk
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW
    with files.storage(path):
        if path.is_symlink():
            raise ForbiddenFileError(
                f"'{escape(str(path), 200)}' is a symbolic link", "name the folder it points to yourself"
            )
        if not path.is_dir():
            raise UsageError(f"there is no bundle folder '{escape(str(path), 200)}'", "is the disk there?")
    sizes: dict[str, int] = {}
    with contextlib.ExitStack() as stack:
        with files.storage(path):
            root = os.open(path, flags)
            stack.callback(os.close, root)
            folders = {"": root}
            if not _has_signature(root):  # before names are looked at: a disk full of other things is no attack
                _refuse_unsigned(path)
            if _survey(root, "", sizes):
                folders[DATA_FOLDER] = os.open(DATA_FOLDER, flags, dir_fd=root)
                stack.callback(os.close, folders[DATA_FOLDER])
                _survey(folders[DATA_FOLDER], f"{DATA_FOLDER}/", sizes)
        yield Source(path, sizes, folders)


def _has_signature(root: int) -> bool:
    try:
        os.stat(SIGNATURE_NAME, dir_fd=root, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _refuse_unsigned(path: Path) -> NoReturn:
    bundles = heapq.nlargest(1, (p.name for p in path.glob("alx-*-r*") if BUNDLE.fullmatch(p.name)))
    if bundles:
        raise UsageError(
            f"'{escape(str(path), 200)}' is not a bundle, but a folder that holds bundles",
            f"did you mean {escape(str(path / bundles[0]), 300)}?",
        )
    raise IncompleteError(
        f"'{escape(path.name)}' has no {SIGNATURE_NAME}: the sender, or whoever copied it, did not finish",
        "let the sender run alx export again, or copy the folder again; both go on where they stopped",
    )


def claimed_key(source: Source) -> tuple[bytes, str]:
    """The bytes of `round.sig`, and the fingerprint of the key that it claims.

    Raises:
        LimitError, MalformedError: see `signature.hint`.
    """
    data = source.read(SIGNATURE_NAME, MAX_SIGNATURE_BYTES)
    return data, signature.hint(data)


def verify(source: Source, data: bytes, key: PublicKey) -> SignedBundle:
    """Verify the signature, then compare the set of files and their sizes with the signed ones.

    What is missing, extra or of another size is noted in `source.damage`: the caller goes on to find all of it.

    Args:
        source: the folder.
        data: the bytes of `round.sig`.
        key: the pinned key.

    Raises:
        LimitError, TrustError, MalformedError: see `signature.verify`.
    """
    signed = signature.verify(data, key)
    for name in signed.files:
        base = name.removeprefix(f"{DATA_FOLDER}/")
        if not NAME.fullmatch(base) or name == SIGNATURE_NAME:
            raise ForbiddenFileError(f"'{escape(name)}' is signed, but a name that no bundle has")
    for name, got in source.sizes.items():
        if name == SIGNATURE_NAME:
            continue
        if name not in signed.files:
            source.damage[name] = "is not signed"
        elif got != signed.files[name].size:
            source.damage[name] = f"has {got} bytes, expected {signed.files[name].size}"
    for name in signed.files:
        if name not in source.sizes:
            source.damage[name] = "is missing"
    return signed


def require_manifest(signed: SignedBundle) -> None:
    """Refuse what the right key signed for some other purpose.

    Raises:
        MalformedError: no manifest is signed.
    """
    if MANIFEST_NAME not in signed.files:
        raise MalformedError(f"a valid signature, but over no {MANIFEST_NAME}: not an alx bundle")


def read_manifest(source: Source, signed: SignedBundle) -> Manifest:
    """The manifest, after its digest was compared; checked against the folder's name and the signed files.

    Raises:
        CorruptError: it differs from what was signed.
        LimitError, MalformedError, NotFiniteError: see `manifest.parse`.
    """
    require_manifest(signed)
    data = source.read_signed(signed.files[MANIFEST_NAME])
    if data is None:
        source.refuse_damage()
        raise AssertionError("damage was noted")
    manifest = parse(data)
    if signed.name != manifest.name():
        raise MalformedError(f"signed as '{escape(signed.name)}', but its manifest is that of '{manifest.name()}'")
    expected = {MANIFEST_NAME, *(name for c in manifest.candidates for name in c.files)}
    if expected != set(signed.files):
        odd = min(expected.symmetric_difference(signed.files))
        raise MalformedError(f"'{escape(odd)}' is in only one of manifest and signature")
    return manifest


def copy(source: Source, signed: SignedBundle, signature_bytes: bytes, folder: Path) -> None:
    """Copy the bundle into a private folder while hashing; what is there and good already is kept.

    Args:
        source: the folder on the disk.
        signed: what was verified.
        signature_bytes: the verified bytes of `round.sig`; written last.
        folder: private staging; made when missing.

    Raises:
        CorruptError: names every bad file; the good ones stay in `folder`.
        SpaceError, StorageError: see `files.storage`.
    """
    with files.storage(folder):
        (folder / DATA_FOLDER).mkdir(parents=True, exist_ok=True)
        (folder / SIGNATURE_NAME).unlink(missing_ok=True)
        kept = {DATA_FOLDER, *signed.files}
        for there in (*folder.iterdir(), *(folder / DATA_FOLDER).iterdir()):
            if there.relative_to(folder).as_posix() not in kept:  # of another bundle of that name, or an OS's junk
                files.remove_tree(there)
    missing = [f for f in signed.files.values() if not _is_copied(folder / f.name, f)]
    files.require_space(folder, sum(f.size for f in missing))
    for f in missing:
        data = source.read_signed(f)
        if data is not None:
            files.write(folder / f.name, data)
    source.refuse_damage()
    files.write(folder / SIGNATURE_NAME, signature_bytes)


def _is_copied(path: Path, signed: SignedFile) -> bool:
    with files.storage(path):
        try:
            status = path.lstat()
        except FileNotFoundError:
            return False
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1 or status.st_size != signed.size:
            return False
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == signed.digest


def states(
    source: Source, signed: SignedBundle, manifest: Manifest, last: int | None = None, first: int = 0
) -> Iterator[tuple[int, Candidate, bytes]]:
    """Decode the candidates one after the other: each file compared, decompressed within bounds, each state checked.

    Memory holds two states and one file, however many candidates there are.

    Args:
        source: the bundle, on the disk or staged.
        signed: what was verified.
        manifest: its manifest.
        last: the last candidate wanted; None for all.
        first: the first one wanted; decoding begins at the keyframe before it.

    Yields:
        Index, candidate, flat state.

    Raises:
        CorruptError, LimitError, MalformedError, NotFiniteError: names the file or the tensor.
    """
    layout = manifest.layout
    stop = len(manifest.candidates) - 1 if last is None else last
    begin = max(i for i, c in enumerate(manifest.candidates[: first + 1]) if c.keyframe)
    before: bytes | None = None
    for i, c in enumerate(manifest.candidates[begin : stop + 1], begin):
        state = bytearray()
        for part, name in enumerate(c.files):
            data = source.read_signed(signed.files[name])
            if data is None:
                source.refuse_damage()
                raise AssertionError("damage was noted")
            state += codec.decode(data, None if c.keyframe else before, layout, part, name)
        before = bytes(state)
        if hashlib.sha256(before).hexdigest() != c.state:
            raise CorruptError(f"{c.label}: the decoded state is not the one whose digest was signed")
        codec.check_finite(before, layout, c.label)
        if i >= first:
            yield i, c, before
