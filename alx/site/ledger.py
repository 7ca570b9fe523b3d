"""What was sent and accepted: append-only, each entry chained to the last (`chain.py`). No clock: the order is the chain's.

Knows the kinds of entries; knows no bundle's inside.
"""

from pathlib import Path
from typing import Any, Literal, get_args

from alx.site.chain import Chain, Entry

Kind = Literal[
    "created", "paired", "rotated", "peer-rotated", "sealed", "exported", "accepted", "selected", "restored", "reset"
]
_CHAIN = Chain(
    "ledger",
    get_args(Kind),
    "a site without its ledger cannot tell an old bundle from a new one; restore the whole site from its "
    "backup, or, where there is none, alx reset-ledger",
)


def create(path: Path, body: dict[str, Any]) -> None:
    """Make a new ledger with its first entry; see `Chain.create`."""
    _CHAIN.create(path, ("created", body))


def read(path: Path) -> list[Entry]:
    """All entries, their chain checked; see `Chain.read`."""
    return _CHAIN.read(path)


def append(path: Path, *entries: tuple[Kind, dict[str, Any]]) -> None:
    """Add entries in one transaction; see `Chain.append`."""
    _CHAIN.append(path, *entries)
