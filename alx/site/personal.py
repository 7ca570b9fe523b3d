"""The parts of a model that stay on this site, as they were at each snapshot that was sent, and at the very beginning.

    personal/first                                       as of theta^0
    personal/<digest of a sealed bundle>/<its snapshot>  as of that snapshot, by its number; see `tied`

Knows bytes, digests and numbers; knows no tensor. Nothing here travels, and nothing else has it: a part that is gone or
damaged is refused, as losses were added up with it. All are kept as long as the bundle is: which of them counts, the peer's
answer says, and `alx best` may ask for that of any round.
"""

from collections.abc import Collection
from pathlib import Path

from alx import files
from alx.errors import CorruptError
from alx.site import tied

FOLDER, _FIRST = "personal", "first"
_RESTORE = "restore the site from its backup"


def _name(turn: str, snapshot: int) -> tuple[str, bytes]:
    """The file of a snapshot's parts, and what it is tied to."""
    return f"{FOLDER}/{turn}/{snapshot}", bytes.fromhex(turn) + snapshot.to_bytes(4, "big")


def put_first(folder: Path, data: bytes) -> None:
    """Keep the parts that theta^0 has, before anybody is told of it.

    Args:
        folder: the site's.
        data: the parts.
    """
    tied.put(folder, f"{FOLDER}/{_FIRST}", _FIRST.encode(), data)


def first(folder: Path) -> bytes:
    """The parts that theta^0 has.

    Raises:
        CorruptError: they are gone or damaged.
    """
    return _found(folder, f"{FOLDER}/{_FIRST}", _FIRST.encode(), "the first model", "alx identity makes them anew")


def put(folder: Path, turn: str, snapshot: int, data: bytes) -> None:
    """Keep the parts of one snapshot.

    Args:
        folder: the site's.
        turn: digest of the bundle that was sealed, before the ledger knows of it.
        snapshot: its number in the bundle, from 0.
        data: the parts.
    """
    tied.put(folder, *_name(turn, snapshot), data)


def get(folder: Path, turn: str, snapshot: int) -> bytes:
    """The parts of one snapshot; see `put` for the arguments.

    Raises:
        CorruptError: they are gone, damaged, or those of another snapshot.
    """
    return _found(folder, *_name(turn, snapshot), f"snapshot {snapshot} of this site's bundle {turn[:16]}…", _RESTORE)


def _found(folder: Path, name: str, to: bytes, where: str, hint: str) -> bytes:
    data = tied.get(folder, name, to)
    if data is None:
        raise CorruptError(f"the site's own part of {where} is gone or damaged: '{folder / name}'", hint)
    return data


def forget(folder: Path, but: Collection[str]) -> None:
    """Throw away the parts of all bundles but some: those of a turn that was trained and never sealed, say.

    Args:
        folder: the site's.
        but: digests of bundles.
    """
    place = folder / FOLDER
    with files.storage(place):
        others = [p for p in place.iterdir() if p.name != _FIRST and p.name not in but] if place.is_dir() else []
    for path in others:
        files.remove_tree(path)
