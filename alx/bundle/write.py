"""Seal: candidates become compressed files, then a manifest, then, last, the signature.

Knows a folder that nobody sees yet; knows no ledger and no disk. `round.sig` is written last, so it is also the mark
that the sender finished.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from alx import files
from alx.bundle import age, codec, signature
from alx.bundle.manifest import DATA_FOLDER, MANIFEST_NAME, Layout, Manifest, part_name
from alx.bundle.signature import SIGNATURE_NAME, SignedFile


def signed_file(name: str, data: bytes) -> SignedFile:
    """How a file is listed in the signature."""
    return SignedFile(name=name, algorithm="sha256", digest=hashlib.sha256(data).hexdigest(), size=len(data))


def write_candidate(
    folder: Path, index: int, state: bytes, before: bytes | None, layout: Layout, recipients: Sequence[str] = ()
) -> list[SignedFile]:
    """Write one candidate's files.

    Args:
        folder: the bundle in the making; its data folder is made when missing.
        index: the candidate's place, from 0.
        state: its flat state, `layout.nbytes` bytes.
        before: that of the candidate before it, or None to write a keyframe.
        layout: the common model's.
        recipients: whom to encrypt to; none leaves the files plain.

    Returns:
        The files as they will be signed.
    """
    files.make_folder(folder / DATA_FOLDER)
    out = []
    for part in range(layout.parts):
        data = codec.encode(memoryview(state), None if before is None else memoryview(before), layout, part)
        out.append(_write(folder, part_name(index, part), data, recipients))
    return out


def _write(folder: Path, name: str, data: bytes, recipients: Sequence[str]) -> SignedFile:
    if recipients:
        name, data = name + age.SUFFIX, age.encrypt(data, recipients)
    files.write(folder / name, data)
    return signed_file(name, data)


def seal(
    folder: Path,
    manifest: Manifest,
    data: list[SignedFile],
    key: ec.EllipticCurvePrivateKey,
    recipients: Sequence[str] = (),
) -> str:
    """Write the manifest and the signature: from here on the folder is a bundle.

    Args:
        folder: holds the data files already.
        manifest: what it says about itself.
        data: the data files.
        key: the sender's private key.
        recipients: whom to encrypt to; none leaves the manifest plain.

    Returns:
        The bundle's digest.
    """
    text = manifest.model_dump_json(indent=1).encode("utf-8")
    listed = [*data, _write(folder, MANIFEST_NAME, text, recipients)]
    files.sync_tree(folder)
    files.write(folder / SIGNATURE_NAME, signature.sign(manifest.name(), listed, key))
    return signature.root_digest(listed)
