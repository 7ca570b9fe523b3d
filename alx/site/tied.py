"""A file of the site's own that is tied to what it belongs to: a digest over both, then the bytes.

Knows bytes; knows nothing of what they mean. Nothing so written travels.
"""

import hashlib
from pathlib import Path

from alx import files

_SIZE = hashlib.sha256().digest_size


def _seal(to: bytes, data: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(to)
    digest.update(data)
    return digest.digest()


def put(root: Path, name: str, to: bytes, data: bytes) -> None:
    """Write the file, durable with its folders.

    Args:
        root: the site's folder.
        name: the file's, below that.
        to: what it belongs to, always of one length.
        data: the bytes.
    """
    path = root / name
    files.make_folder(path.parent)
    files.replace(path, _seal(to, data) + data)
    for folder in path.relative_to(root).parents[1:]:
        files.sync_folder(root / folder)


def get(root: Path, name: str, to: bytes) -> bytes | None:
    """The bytes; None where the file is gone, damaged, or belongs to something else."""
    path = root / name
    with files.storage(path):
        found = path.read_bytes() if path.is_file() else b""
    seal, data = found[:_SIZE], found[_SIZE:]
    return data if seal == _seal(to, data) else None
