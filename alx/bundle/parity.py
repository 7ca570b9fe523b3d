"""Parity: files beside a bundle out of which lost ones are rebuilt, without a second trip. Reed-Solomon, made by zfec.

Knows names, sizes and digests of a bundle's files; knows no key and no site. Nothing signs parity, and nothing has to:
what it rebuilds is compared with the signed digests. Until then it is an attack like any folder on a carried disk.
"""

import contextlib
import hashlib
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from alx import files
from alx.bundle import carried, groups, read, share
from alx.bundle.carried import Source
from alx.bundle.groups import HEADER_NAME, Group
from alx.bundle.signature import SIGNATURE_NAME, SignedBundle, SignedFile
from alx.errors import CorruptError, UsageError

SUFFIX = ".parity"
STRIPE_BYTES = 1 << 16  # of each file of a group at a time: memory holds MAX_SHARES of these


def zfec() -> Any:
    """The package, which is an extra.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import zfec as package  # noqa: PLC0415 - an extra
    except ImportError as error:
        raise UsageError("parity needs zfec, which is not installed", "pip install 'alx[parity]'") from error
    return package


def make(
    bundle: Path, signed: SignedBundle, signature: bytes, percent: int, folder: Path, tell: Callable[[int, int], None]
) -> list[Group]:
    """Write parity of a bundle of one's own, with copies of its two small files.

    Args:
        bundle: its folder.
        signed: what its signature says.
        signature: the bytes of `round.sig`.
        percent: share of its files that may be lost, 1 to 100.
        folder: a new folder on the disk.
        tell: called with groups done and groups in all.

    Raises:
        UsageError: zfec is not installed.
        CorruptError: the bundle is not as it was signed.
        LimitError: more parity files than a folder may have.
        SpaceError, StorageError: see `files.storage`.
    """
    zfec()
    files.make_folder(folder, shared=True)
    made: list[Group] = []
    dealt = groups.deal(signed, percent)
    for i, group in enumerate(dealt, 1):
        digests = _encode(bundle, group, folder)
        parity = [p.model_copy(update={"digest": d}) for p, d in zip(group.parity, digests, strict=True)]
        made.append(Group(group.files, parity))
        tell(i, len(dealt))
    manifest = read.manifest_file(signed)
    files.write(folder / manifest.name, files.read(bundle / manifest.name, manifest.size), shared=True)
    files.write(folder / HEADER_NAME, groups.header(signed, made), shared=True)
    files.write(folder / SIGNATURE_NAME, signature, shared=True)
    return made


def _encode(bundle: Path, group: Group, folder: Path) -> list[str]:
    k, shares_ = len(group.files), len(group.files) + len(group.parity)
    encoder = zfec().Encoder(k, shares_)
    own, made = [hashlib.sha256() for _ in group.files], [hashlib.sha256() for _ in group.parity]
    with contextlib.ExitStack() as stack:
        out = [stack.enter_context(files.writing(folder / p.name, shared=True)) for p in group.parity]
        for stripe in _stripes(bundle, group.files, group.parity[0].size, own):
            for file, sha, block in zip(out, made, encoder.encode(stripe, range(k, shares_)), strict=True):
                file.write(block)
                sha.update(block)
    for f, sha in zip(group.files, own, strict=True):
        if sha.hexdigest() != f.digest:
            raise CorruptError(f"'{bundle / f.name}' is not as it was signed", carried.AT_HOME)
    return [sha.hexdigest() for sha in made]


def _stripes(
    folder: Path, members: list[SignedFile], longest: int, digests: list[Any] | None = None
) -> Iterator[list[bytes]]:
    """The files side by side, a stripe at a time, the shorter ones filled up with zeros."""
    with contextlib.ExitStack() as stack:
        with files.storage(folder):
            handles = [stack.enter_context((folder / f.name).open("rb")) for f in members]
        for at in range(0, longest, STRIPE_BYTES):
            width = min(STRIPE_BYTES, longest - at)
            with files.storage(folder):
                pieces = [h.read(width) for h in handles]
            for sha, piece in zip(digests or [], pieces, strict=bool(digests)):
                sha.update(piece)
            yield [piece.ljust(width, b"\0") for piece in pieces]


def check(source: Source, signed: SignedBundle, signature: bytes) -> None:
    """Read a parity folder back and compare it with its header.

    Args:
        source: the folder, surveyed.
        signed: what the bundle's signature says.
        signature: the bytes of `round.sig`.

    Raises:
        CorruptError: a file of it is bad.
        LimitError, MalformedError, StorageError: see `groups.read_header`.
    """
    if source.read(SIGNATURE_NAME, len(signature)) != signature:
        raise CorruptError(f"{SIGNATURE_NAME} is not the bundle's")
    source.read_signed(read.manifest_file(signed))
    for group in groups.read_header(source, signed):
        for p in group.parity:
            source.read_signed(p)
    source.refuse_damage()


def rebuild(source: Source, signed: SignedBundle, folder: Path, bad: Collection[str]) -> Iterator[str]:
    """Rebuild what can be rebuilt, in private staging; only what is then as it was signed is kept.

    Args:
        source: the parity folder, surveyed; a file of it is read at most once.
        signed: what the bundle's verified signature says.
        folder: where the bundle's good files were copied to.
        bad: names of those that are not there.

    Yields:
        The names of the files that are there now.

    Raises:
        UsageError: zfec is not installed.
        LimitError, MalformedError: see `groups.read_header`.
        CorruptError: at last, if some group of files could not be rebuilt; says why.
        SpaceError, StorageError: see `files.storage`.
    """
    zfec()
    work = folder.with_name(folder.name + SUFFIX)
    short: list[str] = []
    part = share.take(source, signed)  # parity on one of several disks is of what lies there
    signed = signed if part is None else part.of(signed)
    try:
        for group in groups.read_header(source, signed):
            lost = [i for i, f in enumerate(group.files) if f.name in bad]
            if not lost:
                continue
            files.remove_tree(work)
            files.make_folder(work)
            files.require_space(work, (size for i in lost for size in (group.parity[0].size, group.files[i].size)))
            got = _good(source, group, len(lost), work)
            if len(got) < len(lost):
                short.append(f"{len(got)} of its files are good, and {len(lost)} are needed for as many bad ones")
                continue
            done = _decode(group, lost, got, folder, work)
            yield from done
            if len(done) < len(lost):
                short.append("what it gives is not what was signed")
    finally:
        files.remove_tree(work)
    if short:
        raise CorruptError("; ".join(dict.fromkeys(short)))


def _good(source: Source, group: Group, enough: int, work: Path) -> list[int]:
    """Copy good parity files, no more than are needed; their indices."""
    got: list[int] = []
    for i, p in enumerate(group.parity):
        data = source.read_signed(p) if len(got) < enough else None
        if data is not None:
            files.write(work / p.name, data, durable=False)
            got.append(i)
    return got


def _decode(group: Group, lost: list[int], parity: list[int], folder: Path, work: Path) -> list[str]:
    k = len(group.files)
    decoder = zfec().Decoder(k, k + len(group.parity))
    kept = [i for i in range(k) if i not in lost]
    numbers = [*kept, *(k + i for i in parity)]
    longest = group.parity[0].size
    out = [group.files[i] for i in lost]
    digests = [hashlib.sha256() for _ in lost]
    left = [f.size for f in out]
    names = [work / f"r{i:03d}" for i in lost]
    with contextlib.ExitStack() as stack:
        made = [stack.enter_context(files.writing(name)) for name in names]
        good = _stripes(folder, [group.files[i] for i in kept], longest)
        spare = _stripes(work, [group.parity[i] for i in parity], longest)
        for blocks in zip(good, spare, strict=True):
            whole = decoder.decode([*blocks[0], *blocks[1]], numbers)
            for n, i in enumerate(lost):
                piece = whole[i][: left[n]]
                left[n] -= len(piece)
                made[n].write(piece)
                digests[n].update(piece)
    done = []
    for f, name, sha in zip(out, names, digests, strict=True):
        if sha.hexdigest() == f.digest:
            with files.storage(folder):
                name.replace(folder / f.name)
            done.append(f.name)
    return done
