"""What a side hands on from each of its turns to its next: bytes, tied to the turn that was sealed.

    kept/<digest of that turn's bundle>    SHA-256 of the digest and the bytes, then the bytes

Knows bytes and digests; knows no optimiser. Nothing here travels. What is tied to another turn, or is damaged, is as good
as gone: the next turn then begins without it.
"""

import hashlib
from pathlib import Path

from alx import files

FOLDER = "kept"
_SIZE = hashlib.sha256().digest_size


def _path(folder: Path, turn: str) -> Path:
    return folder / FOLDER / turn


def _seal(turn: str, data: bytes | memoryview) -> bytes:
    digest = hashlib.sha256(bytes.fromhex(turn))
    digest.update(data)
    return digest.digest()


def put(folder: Path, turn: str, data: bytes) -> None:
    """Keep bytes for the turn after this one; what is kept of other turns stays until `forget`.

    Args:
        folder: the site's.
        turn: digest of the bundle that was sealed, before the ledger knows of it.
        data: the bytes.
    """
    path = _path(folder, turn)
    files.make_folder(path.parent)
    files.sync_folder(folder)
    files.replace(path, _seal(turn, data) + data)


def get(folder: Path, turn: str) -> bytes | None:
    """What was kept of a turn; None where it is gone, damaged, or another turn's."""
    path = _path(folder, turn)
    with files.storage(path):
        found = path.read_bytes() if path.is_file() else b""
    seal, data = found[:_SIZE], found[_SIZE:]
    return data if seal == _seal(turn, data) else None


def forget(folder: Path, but: str) -> None:
    """Throw away what is kept, but for one turn's; other turns will never be asked for again."""
    place = folder / FOLDER
    with files.storage(place):
        others = [path for path in place.iterdir() if path.name != but] if place.is_dir() else []
    for path in others:
        files.remove_tree(path)
