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


def put(path: Path, to: bytes, data: bytes) -> None:
    """Write the file, durable, and its folder where there is none.

    Args:
        path: the file's, in a folder of the site's that may be new.
        to: what it belongs to, always of one length.
        data: the bytes.
    """
    new = [folder for folder in path.parents if not folder.exists()]
    files.make_folder(path.parent)
    for folder in new:
        files.sync_folder(folder.parent)
    files.replace(path, _seal(to, data) + data)


def get(path: Path, to: bytes) -> bytes | None:
    """The bytes; None where the file is gone, damaged, or belongs to something else."""
    with files.storage(path):
        found = path.read_bytes() if path.is_file() else b""
    seal, data = found[:_SIZE], found[_SIZE:]
    return data if seal == _seal(to, data) else None
