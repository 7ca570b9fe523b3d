"""How much of its privacy budget a site has spent, told from the ledger's entries alone; and the key of its noise.

Knows entries; knows no accountant. The budget is counted in turns, each of which takes the same. A turn is set aside before
its first step, so that one that is killed has taken it. A restore, or a reset of the ledger, takes one as well: a turn may
have been begun that the backup, or the bundles, do not know of. So neither gives anything back. After either the site has a
new key: the same noise for two sums that differ would show their difference bare.
"""

import contextlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from alx import files
from alx.bundle import keys
from alx.errors import UsageError
from alx.site.entries import Event, Reset, Restored, Spent

NOISE_NAME = "noise.key"  # in a site whose plan has [privacy]: what its noise is drawn from; it never leaves
NOISE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Budget:
    """What was spent.

    Attributes:
        turns: that were set aside.
        lost: restores and resets, each of which may hide a turn.
        last: the turn that was set aside last; None where there is none.
        begun: the same where neither a restore nor a reset came after it: with another `noise.key` it cannot go on.
    """

    turns: int
    lost: int
    last: Spent | None
    begun: Spent | None

    @property
    def taken(self) -> int:
        """Turns of the budget that are gone."""
        return self.turns + self.lost


def of(records: Iterable[Event]) -> Budget:
    """What the records of a ledger, or of an event log, tell."""
    spent, lost, last, begun = 0, 0, None, None
    for record in records:
        match record:
            case Spent():
                spent, last, begun = spent + 1, record, record
            case Restored():
                lost, begun = lost + 1, None
            case Reset(bundles=bundles) if bundles is not None:  # else only the log was lost, and the ledger is whole
                lost, begun = lost + 1, None
    return Budget(spent, lost, last, begun)


def noise_key(folder: Path) -> bytes:
    """The site's own, made where there is none: with another one, every turn is another turn, and takes its share.

    No backup holds it, and a reset of the ledger throws it away.

    Raises:
        TrustError: others may read it.
        SpaceError, StorageError: see `files.storage`.
    """
    path = folder / NOISE_NAME
    with contextlib.suppress(UsageError):
        found = keys.read_private(path)
        if len(found) == NOISE_BYTES:
            return found
    made = secrets.token_bytes(NOISE_BYTES)
    files.replace(path, made)
    return made
