"""What a side hands on from each of its turns to its next: bytes, tied to the turn that was sealed.

    kept/<digest of that turn's bundle>    see `tied`

Knows bytes and digests; knows no optimiser. Nothing here travels. What is tied to another turn, or is damaged, is as good
as gone: the next turn then begins without it.
"""

from pathlib import Path

from alx import files
from alx.site import tied

FOLDER = "kept"


def put(folder: Path, turn: str, data: bytes) -> None:
    """Keep bytes for the turn after this one; what is kept of other turns stays until `forget`.

    Args:
        folder: the site's.
        turn: digest of the bundle that was sealed, before the ledger knows of it.
        data: the bytes.
    """
    tied.put(folder, f"{FOLDER}/{turn}", bytes.fromhex(turn), data)


def get(folder: Path, turn: str) -> bytes | None:
    """What was kept of a turn; None where it is gone, damaged, or another turn's."""
    return tied.get(folder, f"{FOLDER}/{turn}", bytes.fromhex(turn))


def forget(folder: Path, but: str) -> None:
    """Throw away what is kept, but for one turn's; other turns will never be asked for again."""
    place = folder / FOLDER
    with files.storage(place):
        others = [path for path in place.iterdir() if path.name != but] if place.is_dir() else []
    for path in others:
        files.remove_tree(path)
