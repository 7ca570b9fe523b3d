"""Seal: candidates become compressed files, then a manifest, then, last, the signature.

Knows a folder that nobody sees yet; knows no ledger and no disk. `round.sig` is written last, so it is also the mark
that the sender finished.
"""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from alx import files
from alx.bundle import age, codec, signature, strict_json
from alx.bundle.closing import Closing
from alx.bundle.layout import CLOSING_NAME, DATA_FOLDER, MANIFEST_NAME, Layout, part_name
from alx.bundle.manifest import KEYFRAME_EVERY, Manifest
from alx.bundle.moments import Moments
from alx.bundle.signature import SIGNATURE_NAME, SignedFile

SYNCS = 2  # at once, beside the work of all cores: the disk is kept busy, and no core by waiting for it


def signed_file(name: str, data: codec.Bytes) -> SignedFile:
    """How a file is listed in the signature."""
    return SignedFile(name=name, algorithm="sha256", digest=_sha256(data), size=len(data))


@dataclass(frozen=True, slots=True)
class Written:
    """One candidate's files."""

    state: str
    """SHA-256 of the raw state."""
    keyframe: bool
    files: list[SignedFile]


def candidates(
    folder: Path, states: Iterable[codec.Bytes], layout: Layout, recipients: Sequence[str] = ()
) -> Iterator[Written]:
    """Write candidates' files, on all cores; they are durable when the iterator has ended.

    Memory holds three states (the one before, one in the making, the next) and a few parts.

    Args:
        folder: the bundle in the making; its data folder is made when missing.
        states: the flat states in order, `layout.nbytes` bytes each; taken one ahead. When one is asked for, the
            third before it is not needed any more.
        layout: the common model's.
        recipients: whom to encrypt to; none leaves the files plain.

    Yields:
        What was written of each, in order.

    Raises:
        SpaceError, StorageError: see `files.storage`.
    """
    files.make_folder(folder / DATA_FOLDER)
    with codec.pool() as pool, ThreadPoolExecutor(SYNCS) as disk:
        syncs: list[Future[None]] = []

        def one(index: int, part: int, state: codec.Bytes, before: codec.Bytes | None) -> SignedFile:
            data = codec.encoded(state, before, layout, part)
            written = _write(folder, part_name(index, part), data, recipients, durable=False)
            syncs.append(disk.submit(files.sync_file, folder / written.name))  # while others compute
            return written

        before: codec.Bytes | None = None
        begun: deque[tuple[bool, Future[str], list[Future[SignedFile]]]] = deque()

        def ended() -> Written:
            keyframe, digest, parts = begun.popleft()
            return Written(digest.result(), keyframe, [part.result() for part in parts])

        for i, state in enumerate(states):
            keyframe = i % KEYFRAME_EVERY == 0
            last = None if keyframe else before
            digest = pool.submit(_sha256, state)
            begun.append((keyframe, digest, [pool.submit(one, i, part, state, last) for part in range(layout.parts)]))
            before = state
            if len(begun) > 1:
                yield ended()
        if begun:
            yield ended()
        for sync in syncs:
            sync.result()


def moments(folder: Path, raw: bytes, said: Moments, recipients: Sequence[str] = ()) -> list[SignedFile]:
    """Write the files of a site's moments; they are durable.

    Args:
        folder: see `candidates`.
        raw: the sums.
        said: what the manifest says of them.
        recipients: see `candidates`.
    """
    files.make_folder(folder / DATA_FOLDER)
    return [
        _write(folder, name, codec.encoded(raw, None, said.layout, part), recipients) for part, name in enumerate(said.files)
    ]


def _sha256(data: codec.Bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _write(folder: Path, name: str, data: codec.Bytes, recipients: Sequence[str], *, durable: bool = True) -> SignedFile:
    if recipients:
        name, data = name + age.SUFFIX, age.encrypt(bytes(data), recipients)
    files.write(folder / name, data, durable=durable)
    return signed_file(name, data)


def seal(
    folder: Path,
    manifest: Manifest | Closing,
    data: list[SignedFile],
    key: ec.EllipticCurvePrivateKey,
    recipients: Sequence[str] = (),
) -> str:
    """Write the manifest and the signature: from here on the folder is a bundle, or the closing.

    Args:
        folder: holds the data files already.
        manifest: what it says about itself.
        data: the data files; a closing has none.
        key: the sender's private key.
        recipients: whom to encrypt to; none leaves the manifest plain.

    Returns:
        The bundle's digest.
    """
    name = CLOSING_NAME if isinstance(manifest, Closing) else MANIFEST_NAME
    listed = [*data, _write(folder, name, strict_json.text(manifest), recipients)]
    files.sync_tree(folder)
    files.write(folder / SIGNATURE_NAME, signature.sign(manifest.name(), listed, key))
    return signature.root_digest(listed)
