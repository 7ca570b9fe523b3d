"""Read a bundle that may be an attack: verify, and only then parse and decompress.

Knows what a bundle holds; knows no site, ledger or model. Of a folder on a carried disk nothing but `round.sig`
reaches a parser before its digest was compared with the signed one, and no file is opened twice.
"""

import contextlib
import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from alx import files
from alx.bundle import age, carried, closing, signature
from alx.bundle.carried import Source
from alx.bundle.closing import Closing
from alx.bundle.keys import PublicKey
from alx.bundle.layout import CLOSING_NAME, DATA_FOLDER, MANIFEST_NAME, NAME, place
from alx.bundle.manifest import Candidate, Manifest, parse
from alx.bundle.signature import MAX_SIGNATURE_BYTES, SIGNATURE_NAME, SignedBundle, SignedFile
from alx.errors import CorruptError, ForbiddenFileError, LimitError, MalformedError, StorageError, escape
from alx.progress import Tell, silent

if TYPE_CHECKING:
    import numpy as np

    _Array = np.ndarray[Any, np.dtype[np.float64]]

MISSING = "is missing"  # why a file is bad that is not there at all
STATES_HELD = 3  # at once: this one, and the caller's tensors and model
_TAKE_ANOTHER = "if the model is that large, take a machine with more memory"


class Reader(Protocol):
    """Where a bundle's files come from: one folder, or several copies of it."""

    secret: str | None

    def read_signed(self, signed: SignedFile) -> bytes | None:
        """A file's bytes if they are what was signed; else None, and the reason is noted."""

    def refuse_damage(self) -> None:
        """Raise `CorruptError` naming every bad file, if there is one."""


def claimed_key(source: Source) -> tuple[bytes, str]:
    """The bytes of `round.sig`, and the fingerprint of the key that it claims.

    Raises:
        IncompleteError: there is none.
        LimitError, MalformedError: see `signature.hint`.
    """
    if SIGNATURE_NAME not in source.sizes and SIGNATURE_NAME not in source.damage:
        carried.refuse_unsigned(source.path)
    data = source.read(SIGNATURE_NAME, MAX_SIGNATURE_BYTES)
    return data, signature.hint(data)


def verify(source: Source, data: bytes, key: PublicKey, only: Collection[str] | None = None) -> SignedBundle:
    """Verify the signature, then compare the set of files and their sizes with the signed ones.

    What is missing, extra or of another size is noted in `source.damage`: the caller goes on to find all of it.

    Args:
        source: the folder.
        data: the bytes of `round.sig`.
        key: the pinned key.
        only: the files that should be there; None for all that are signed.

    Raises:
        LimitError, TrustError, MalformedError: see `signature.verify`.
    """
    signed = verify_signature(data, key)
    compare(source, signed.files if only is None else {name: signed.files[name] for name in only if name in signed.files})
    return signed


def verify_signature(data: bytes, key: PublicKey) -> SignedBundle:
    """Verify `round.sig` alone, its name, and the names of what it lists.

    Raises:
        LimitError, TrustError, MalformedError: see `signature.verify`.
        MalformedError: some files are encrypted, and some are not; or no bundle has the name that it was signed as.
        ForbiddenFileError: a name that no bundle has.
    """
    signed = signature.verify(data, key)
    place(signed.name)
    for name in signed.files:
        base = name.removeprefix(f"{DATA_FOLDER}/")
        if not NAME.fullmatch(base) or name == SIGNATURE_NAME:
            raise ForbiddenFileError(f"'{escape(name)}' is signed, but a name that no bundle has")
    plain = next((name for name in signed.files if not name.endswith(age.SUFFIX)), None)
    if is_encrypted(signed) and plain is not None:
        raise MalformedError(f"'{escape(plain)}' is plain among encrypted files", "ask the sender")
    return signed


def compare(source: Source, expected: Mapping[str, SignedFile]) -> None:
    """Note in `source.damage` what is missing, extra or of another size.

    Args:
        source: the folder.
        expected: the files that it should hold beside `round.sig`.
    """
    for name, got in source.sizes.items():
        if name == SIGNATURE_NAME:
            continue
        if name not in expected:
            source.damage[name] = "is not signed"
        elif got != expected[name].size:
            source.damage[name] = f"has {got} bytes, expected {expected[name].size}"
    for name in expected:
        if name not in source.sizes:
            source.damage.setdefault(name, MISSING)


def is_encrypted(signed: SignedBundle) -> bool:
    """Whether its files are encrypted: all of them are, or none."""
    return any(name + age.SUFFIX in signed.files for name in (MANIFEST_NAME, CLOSING_NAME))


def is_closing(signed: SignedBundle) -> bool:
    """Whether it is a closing: one file, which is no manifest."""
    return _ending(signed, CLOSING_NAME) in signed.files


def _ending(signed: SignedBundle, name: str) -> str:
    """A file's name, as it is in this bundle."""
    return name + (age.SUFFIX if is_encrypted(signed) else "")


def manifest_file(signed: SignedBundle) -> SignedFile:
    """The manifest's file, or that of a closing, as signed.

    Raises:
        MalformedError: no manifest is signed: the right key signed something else.
    """
    name = _ending(signed, CLOSING_NAME if is_closing(signed) else MANIFEST_NAME)
    if name not in signed.files:
        raise MalformedError(f"a valid signature, but over no {MANIFEST_NAME}: not an alx bundle")
    return signed.files[name]


def data_files(signed: SignedBundle) -> list[SignedFile]:
    """All files but the manifest, in the order of their names: what parity is of, and what is dealt out to disks."""
    manifest = manifest_file(signed).name
    return [signed.files[name] for name in sorted(signed.files) if name != manifest]


def _plain(source: Reader, signed: SignedFile) -> bytes:
    """A file's bytes, decrypted where it is encrypted; its digest was compared before.

    Raises:
        CorruptError: it differs from what was signed.
        PeerError, MalformedError: see `age.decrypt`.
    """
    data = source.read_signed(signed)
    if data is None:
        source.refuse_damage()
        raise AssertionError("damage was noted")
    return age.decrypt(data, source.secret, signed.name) if signed.name.endswith(age.SUFFIX) else data


def read_manifest(source: Reader, signed: SignedBundle) -> Manifest:
    """The manifest, after its digest was compared; checked against the folder's name and the signed files.

    Raises:
        CorruptError: it differs from what was signed.
        LimitError, MalformedError, NotFiniteError: see `manifest.parse`.
    """
    manifest = parse(_plain(source, manifest_file(signed)))
    own = () if manifest.told is None else manifest.told.files
    _check_names(signed, manifest.name(), (MANIFEST_NAME, *(name for c in manifest.candidates for name in c.files), *own))
    return manifest


def read_closing(source: Reader, signed: SignedBundle) -> Closing:
    """What a closing says, after its digest was compared; checked against the folder's name and the signed files.

    Raises:
        CorruptError: it differs from what was signed.
        LimitError, MalformedError, NotFiniteError: see `closing.parse`.
    """
    said = closing.parse(_plain(source, manifest_file(signed)))
    _check_names(signed, said.name(), (CLOSING_NAME,))
    return said


def _check_names(signed: SignedBundle, name: str, names: Iterable[str]) -> None:
    if signed.name != name:
        raise MalformedError(f"signed as '{escape(signed.name)}', but its manifest is that of '{name}'")
    expected = {_ending(signed, name) for name in names}
    if expected != set(signed.files):
        odd = min(expected.symmetric_difference(signed.files))
        raise MalformedError(f"'{escape(odd)}' is in only one of manifest and signature")


def copy(
    source: Reader,
    wanted: Collection[SignedFile],
    signature_bytes: bytes,
    folder: Path,
    tell: Tell = silent,
    beside: Mapping[str, bytes] | None = None,
) -> None:
    """Copy a bundle, or some of its files, to where the peer reads them, while hashing; `round.sig` comes last.

    Args:
        source: where the files come from.
        wanted: the signed files to copy.
        signature_bytes: the verified bytes of `round.sig`.
        folder: see `copy_files`.
        tell: progress.
        beside: see `copy_files`.

    Raises:
        CorruptError: names every bad file; the good ones stay in `folder`.
        SpaceError, StorageError: see `files.storage`.
    """
    copy_files(source, wanted, folder, tell, beside, shared=True)
    source.refuse_damage()
    files.write(folder / SIGNATURE_NAME, signature_bytes, shared=True)


def copy_files(
    source: Reader,
    wanted: Collection[SignedFile],
    folder: Path,
    tell: Tell = silent,
    beside: Mapping[str, bytes] | None = None,
    *,
    shared: bool = False,
) -> None:
    """Copy signed files while hashing; what is there and good already is kept, what is bad is noted in `source`.

    Args:
        source: where the files come from.
        wanted: the files.
        folder: private staging; made when missing. Holds these files and nothing else afterwards, whatever lay there.
        tell: progress: of the files that have to be copied.
        beside: small files that go into the folder too, before the others, by name.
        shared: others may read the copies.

    Raises:
        SpaceError, StorageError: see `files.storage`.
    """
    there = {f.name for f in wanted if copied(folder / f.name, f) is not None}
    missing = [f for f in wanted if f.name not in there]
    files.require_space(folder, (f.size for f in wanted), [folder])
    inner = folder / DATA_FOLDER
    inside = any(f.name.startswith(f"{DATA_FOLDER}/") for f in wanted)
    with files.storage(folder):
        for place in (folder, inner):
            if place.exists() and not place.is_dir():
                files.remove_tree(place)
    files.make_folder(inner if inside else folder, shared=shared)
    small = beside or {}
    with files.storage(folder):
        files.remove_tree(folder / SIGNATURE_NAME)
        kept = there | {name for name in small if (folder / name).is_file()} | ({DATA_FOLDER} if inside else set())
        for path in (*folder.iterdir(), *(inner.iterdir() if inside else ())):
            if path.relative_to(folder).as_posix() not in kept:  # bad, of another bundle of that name, or an OS's junk
                files.remove_tree(path)
    for name, text in small.items():
        files.replace(folder / name, text, shared=shared)
    whole = [folder / name for name in there]  # whoever copied these may have been killed before they were synced
    for i, f in enumerate(missing, 1):
        data = source.read_signed(f)
        if data is not None:
            files.write(folder / f.name, data, shared=shared, durable=False)
            whole.append(folder / f.name)
        tell("copying", i, len(missing))
    files.sync(whole)


def copied(path: Path, signed: SignedFile) -> bytes | None:
    """The bytes of a file that was copied before; None unless it is there, can be read, and is what was signed."""
    with contextlib.suppress(OSError, StorageError):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1 and status.st_size == signed.size:
            data = files.read(path, signed.size)
            return data if hashlib.sha256(data).hexdigest() == signed.digest else None
    return None


def states(
    source: Source, signed: SignedBundle, manifest: Manifest, last: int | None = None, first: int = 0
) -> Iterator[tuple[int, Candidate, memoryview]]:
    """Decode the candidates that have files, one after the other: each file compared, each state checked.

    A file is decompressed within bounds. Memory holds one state and a few parts, however many candidates there are; all
    cores work on a candidate's parts.

    Args:
        source: the bundle, on the disk or staged.
        signed: what was verified.
        manifest: its manifest.
        last: the last candidate wanted; None for all that have files.
        first: the first one wanted; decoding begins at the keyframe before it.

    Yields:
        Index, candidate, flat state. The state is good until the next is asked for, which takes its place: copy what is to
        be kept. Whoever looks at it afterwards gets a ValueError, but an array made of it shows the next.

    Raises:
        CorruptError, LimitError, MalformedError, NotFiniteError: names the file or the tensor.
        LimitError: a state does not fit into this machine's memory.
    """
    from alx.bundle import codec  # noqa: PLC0415 - numpy, for what is decoded alone

    layout = manifest.layout
    require_memory(layout.nbytes)
    stop = manifest.weighed if last is None else last + 1
    begin = manifest.keyframe(first)
    with enough_memory(layout.nbytes):
        flat = bytearray(layout.nbytes)

    def decode(candidate: Candidate, part: int) -> None:
        name = candidate.files[part]
        codec.decode(
            _plain(source, signed.files[_ending(signed, name)]), flat, layout, part, name, keyframe=candidate.keyframe
        )

    with codec.pool() as pool, memoryview(flat) as whole:
        for i, c in enumerate(manifest.candidates[begin:stop], begin):
            digest = hashlib.sha256()
            parts = [pool.submit(decode, c, part) for part in range(layout.parts)]
            for part, done in enumerate(parts):
                with enough_memory(layout.nbytes):
                    done.result()
                if part == layout.parts - 1:
                    finite = pool.submit(codec.check_values, whole, layout, c.label)
                a, b = layout.part(part)
                digest.update(whole[a:b])  # while others decode
            if digest.hexdigest() != c.state:
                raise CorruptError(f"{c.label}: the decoded state is not the one whose digest was signed")
            with enough_memory(layout.nbytes):
                finite.result()
            if i >= first:
                view = whole.toreadonly()
                yield i, c, view
                view.release()


def state(source: Source, signed: SignedBundle, manifest: Manifest, index: int) -> bytes:
    """The flat state of a candidate that has files, decoded and checked as by `states`.

    Raises:
        AlxError: see `states`.
    """
    return next(bytes(s) for _, _, s in states(source, signed, manifest, index, index))


def moments(source: Source, signed: SignedBundle, manifest: Manifest) -> tuple["_Array", "_Array"] | None:
    """The sender's second moments and sums by class, where a bundle has them: each file compared, each number checked.

    Raises:
        CorruptError, LimitError, MalformedError, NotFiniteError, ModelError: see `states` and `moments.unpacked`.
    """
    said = manifest.told
    if said is None:
        return None
    from alx.bundle import codec  # noqa: PLC0415 - as above
    from alx.bundle.moments import unpacked  # noqa: PLC0415 - as above

    layout = said.layout
    with enough_memory(layout.nbytes):
        flat = bytearray(layout.nbytes)
        for part, name in enumerate(said.files):
            data = _plain(source, signed.files[_ending(signed, name)])
            codec.decode(data, flat, layout, part, name, keyframe=True)
        if hashlib.sha256(flat).hexdigest() != said.state:
            raise CorruptError("the moments are not those whose digest was signed")
        codec.check_values(memoryview(flat), layout, "the moments")
        return unpacked(bytes(flat), said, manifest.samples)


@contextlib.contextmanager
def enough_memory(nbytes: int) -> Iterator[None]:
    """While states of so many bytes are made.

    Raises:
        LimitError: there is no memory for one.
    """
    try:
        yield
    except MemoryError as error:  # a limit on the process, below the machine's memory
        raise LimitError(f"there is no memory for a snapshot of {files.size(nbytes)}", _TAKE_ANOTHER) from error


def require_memory(nbytes: int, states: int = STATES_HELD) -> None:
    """Refuse what this machine cannot hold.

    Args:
        nbytes: of a state.
        states: that are held at once.

    Raises:
        LimitError: that is more memory than there is.
    """
    # Zeros shrink to nothing: a disk of 30 MB can claim a state of a terabyte, which an audit has no model to refuse by.
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if states * nbytes > memory:
        raise LimitError(
            f"a snapshot of {files.size(nbytes)}, and this machine has {files.size(memory)} of memory", _TAKE_ANOTHER
        )
