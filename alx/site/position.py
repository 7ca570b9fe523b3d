"""Where the exchange stands, told from the ledger's entries alone, and what to do next.

Knows entries and the plan's number of rounds; touches nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from alx.records import Role
from alx.site.chain import Entry
from alx.site.ledger import Kind

Step = Literal["pair", "train", "export", "import", "done"]


@dataclass(frozen=True, slots=True)
class Position:
    """What happened last and what comes next.

    Attributes:
        step: what this site has to do next.
        round: the round that it belongs to.
        sealed, accepted, selected: the bodies of the entries of each kind, oldest first.
    """

    step: Step
    round: int
    sealed: tuple[dict[str, Any], ...]
    accepted: tuple[dict[str, Any], ...]
    selected: tuple[dict[str, Any], ...]

    @property
    def next_command(self) -> str:
        """The command to run next, as a person would type it."""
        return {
            "pair": "alx identity, carry the file, then alx pair PEER-FILE",
            "train": "alx train-local",
            "export": "alx export DISK",
            "import": "alx import-and-select DISK/BUNDLE",
            "done": "alx best OUT.safetensors",
        }[self.step]


def of(entries: Sequence[Entry], role: Role, rounds: int) -> Position:  # noqa: PLR0911 - one for each kind of entry
    """The position that the entries tell.

    Args:
        entries: the whole ledger.
        role: of this site.
        rounds: the plan's.
    """

    def bodies(kind: Kind) -> tuple[dict[str, Any], ...]:
        return tuple(e.body for e in entries if e.kind == kind)

    def at(step: Step, round_: int) -> Position:
        return Position(step, round_, bodies("sealed"), bodies("accepted"), bodies("selected"))

    turns = ("created", "paired", "sealed", "accepted", "selected")
    last = next((e for e in reversed(entries) if e.kind in turns), None)
    if last is None or last.kind == "created":
        return at("pair", 1)
    if last.kind == "paired":
        return at("train" if role == "learner" else "import", 1)
    round_ = int(last.body["round"])
    if last.kind == "selected":
        if role == "provider":
            return at("train", round_)
        return at("done", round_) if round_ == rounds else at("train", round_ + 1)
    exported = any(
        e.kind == "exported" and e.body["digest"] == last.body["digest"] and "names" not in e.body for e in entries
    )
    if not exported:
        return at("export", round_)
    if role == "learner":
        return at("import", round_)
    return at("done", round_) if round_ == rounds else at("import", round_ + 1)
