"""Where the exchange stands, told from the ledger's entries alone, and what to do next.

Knows entries and the plan's number of rounds; touches nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from alx.records import Role
from alx.site.entries import Accepted, Closed, Created, Exported, Paired, Sealed, Selected
from alx.site.ledger import Entry

Step = Literal["pair", "train", "export", "import", "export-closing", "import-closing", "done"]


@dataclass(frozen=True, slots=True)
class Position:
    """What happened last and what comes next.

    Attributes:
        step: what this site has to do next.
        round: the round that it belongs to.
        sealed, accepted, selected: the records of each kind, oldest first; the closing is among the sealed or accepted.
        closed: the model that both sides end with, once this site knows it.
    """

    step: Step
    round: int
    sealed: tuple[Sealed, ...]
    accepted: tuple[Accepted, ...]
    selected: tuple[Selected, ...]
    closed: Closed | None

    @property
    def next_command(self) -> str:
        """The command to run next, as a person would type it."""
        return {
            "pair": "alx identity, carry the file, then alx pair PEER-FILE",
            "train": "alx train-local",
            "export": "alx export DISK",
            "import": "alx import-and-select DISK/BUNDLE",
            "export-closing": "alx export DISK",
            "import-closing": "alx import-and-select DISK/CLOSING",
            "done": "alx best OUT.safetensors",
        }[self.step]


def of(entries: Sequence[Entry], role: Role, rounds: int) -> Position:
    """The position that the entries tell.

    Args:
        entries: the whole ledger.
        role: of this site.
        rounds: the plan's.
    """
    records = [e.record for e in entries]
    step, round_ = _next(records, role, rounds)
    return Position(
        step,
        round_,
        tuple(r for r in records if isinstance(r, Sealed)),
        tuple(r for r in records if isinstance(r, Accepted)),
        tuple(r for r in records if isinstance(r, Selected)),
        next((r for r in records if isinstance(r, Closed)), None),
    )


def _next(records: Sequence[object], role: Role, rounds: int) -> tuple[Step, int]:  # noqa: PLR0911 - one for each kind
    """What comes next, and in which round."""
    turns = Created | Paired | Sealed | Selected | Closed
    match next((r for r in reversed(records) if isinstance(r, turns)), None):
        case Paired():
            return ("train" if role == "learner" else "import"), 1
        case Selected(round=round_):
            if role == "provider":
                return "train", round_
            return ("export-closing", round_) if round_ == rounds else ("train", round_ + 1)
        case Closed(round=round_):
            return ("export" if role == "learner" and not _exported(records) else "done"), round_
        case Sealed(round=round_):
            if not _exported(records):
                return "export", round_
            if role == "learner":
                return "import", round_
            return ("import-closing", round_) if round_ == rounds else ("import", round_ + 1)
    return "pair", 1


def _exported(records: Sequence[object]) -> bool:
    """Whether what was sealed last was handed over, whole."""
    digest = next((r.digest for r in reversed(records) if isinstance(r, Sealed)), None)
    return any(isinstance(r, Exported) and r.digest == digest and r.names is None for r in records)
