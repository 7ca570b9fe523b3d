"""Every refusal, as one tree; the exit code sits on the class.

    AlxError                     1   never raised itself
    ├── UsageError               2   the command, a file of one's own, or the order of commands is off
    │   ├── ConfigError          2   plan.toml, site.toml or a task cannot be used
    │   └── DivergedError        2   training reached a loss or a weight that is not finite
    ├── IncompleteError         10   the sender, or a copy, did not finish
    ├── TrustError              11   signature wrong, or by a key that is not pinned
    ├── CorruptError            12   bytes differ from what was signed
    ├── MalformedError          13   signed or not, not a bundle of this format
    │   └── NotFiniteError      13   a weight or a loss that is NaN or infinite
    ├── LimitError              14   larger than any bundle may be
    ├── PeerError               15   from or for somebody else, or under another plan
    ├── TurnError               16   not what the exchange expects now
    │   ├── RollbackError       16   an older round than the last accepted one
    │   ├── ForkError           16   a second, different bundle for one turn
    │   ├── GapError            16   a round too far ahead
    │   ├── StaleError          16   answers something other than our last bundle
    │   └── LedgerError         16   the ledger is lost, or its chain is broken
    ├── ModelError              17   tensors differ from the agreed model
    ├── SpaceError              18   no space left
    ├── LockedError             19   another alx command works on this site
    ├── ForbiddenFileError      20   a name or a type of file that no bundle has
    ├── StorageError            21   a disk or folder could not be read or written
    └── RanksError              22   of several processes that are one site, one is gone
    └── BudgetError             23   the plan's privacy budget does not cover it

Knows nothing but words. Codes 0 (done) and 1 (a bug: a traceback) need no class.
"""

import difflib
from collections.abc import Iterable
from typing import Self


class AlxError(Exception):
    """A refusal: one line of what is wrong (expected and got), and one of what to do.

    Args:
        message: lower case, no full stop, the offending value quoted.
        hint: the remedy, or empty where there is none.
        to_come: nothing is wrong: what is still to come, another disk or another person's approval, is awaited.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "", *, to_come: bool = False) -> None:
        super().__init__(message)
        self.to_come = to_come
        self.message = message
        self.hint = hint

    def within(self, where: str, hint: str | None = None) -> Self:
        """The same refusal, met at a place: that stands before its message.

        Args:
            where: the place.
            hint: another remedy; None keeps the one that it has.
        """
        self.message = f"{where}: {self.message}"
        self.hint = self.hint if hint is None else hint
        return self


class UsageError(AlxError):
    """The command, a file of one's own, or the order of commands is off."""

    exit_code = 2


class ConfigError(UsageError):
    """plan.toml, site.toml or a task cannot be used as it stands."""


class DivergedError(UsageError):
    """Training reached a loss or a weight that is not finite."""


class IncompleteError(AlxError):
    """The sender, or whoever copied, did not finish."""

    exit_code = 10


class TrustError(AlxError):
    """The signature is wrong, or was made with a key that is not pinned."""

    exit_code = 11


class CorruptError(AlxError):
    """Bytes differ from what was signed; every bad file is named."""

    exit_code = 12


class MalformedError(AlxError):
    """Not a bundle of this format: signed so by the right key, or its `round.sig` is none."""

    exit_code = 13


class NotFiniteError(MalformedError):
    """A weight or a loss is NaN or infinite."""


class LimitError(AlxError):
    """Larger than any bundle may be; nothing was read."""

    exit_code = 14


class PeerError(AlxError):
    """From or for somebody else, or under another plan."""

    exit_code = 15


class TurnError(AlxError):
    """Not what the exchange expects now."""

    exit_code = 16


class RollbackError(TurnError):
    """An older round than the last accepted one."""


class ForkError(TurnError):
    """A second, different bundle for a round that was already accepted, or beside the one it is compared with."""


class GapError(TurnError):
    """A round too far ahead."""


class StaleError(TurnError):
    """It answers something other than this site's last bundle."""


class LedgerError(TurnError):
    """The ledger is lost, or its chain is broken."""


class ModelError(AlxError):
    """Tensors differ from the agreed model in name, dtype or shape."""

    exit_code = 17


class SpaceError(AlxError):
    """No space left on a device."""

    exit_code = 18


class LockedError(AlxError):
    """Another alx command works on this site."""

    exit_code = 19


class ForbiddenFileError(AlxError):
    """A name or a type of file that no bundle has: link, pipe, device, `../x`, `Thumbs.db`."""

    exit_code = 20


class StorageError(AlxError):
    """A disk or folder could not be read or written."""

    exit_code = 21


class RanksError(AlxError):
    """Of several processes that are one site, one is gone, or is at something else."""

    exit_code = 22


class BudgetError(AlxError):
    """The plan's privacy budget does not cover it, so nothing was trained, or chosen."""

    exit_code = 23


def count(number: int, what: str, plural: str = "") -> str:
    """`1 file`, `2 files`; `1 entry`, `2 entries` with the plural named."""
    return f"{number} {what if number == 1 else plural or what + 's'}"


def escape(text: str, limit: int = 80) -> str:
    """A peer's text, safe to print: what is not printable (controls, marks of direction, odd spaces) becomes an escape.

    Args:
        text: anything that came from outside.
        limit: characters kept; the rest becomes an ellipsis.

    Returns:
        One line without terminal escapes, right-to-left marks or line ends.
    """
    kept = text[:limit]
    safe = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in kept)
    return safe + ("…" if len(text) > limit else "")


def nearest(name: str, known: Iterable[str]) -> str:
    """Which of the names that exist look like one that does not, capitals apart, in words; nothing where none does."""
    by_small = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name.lower(), by_small)
    told = " and ".join(f"'{escape(by_small[each])}'" for each in near)
    return f"nearest: {told}" if near else ""
