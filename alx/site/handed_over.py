"""What became of the bundles that this site handed over: is it known that the peer has them, and how?

Told from the ledger's records alone. Knows records; verifies nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from alx.records import Role
from alx.site.entries import Accepted, Exported, Received, Record, Sealed

End = Literal["sealed", "handed over", "received"]


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A bundle, or the closing, all of which was put on a disk.

    Attributes:
        turn: the bundle.
        times: when it was, each time; ISO 8601 in UTC, by this machine's clock; None where nobody knows.
        receipt: the peer's receipt of it, if one was read.
        answer: the peer's bundle that answers it, if one was accepted: who made that had this.
        answered: when the answer was accepted here.
    """

    turn: Sealed
    times: tuple[str | None, ...]
    receipt: Received | None
    answer: Accepted | None
    answered: str | None

    @property
    def at(self) -> str | None:
        """When, the first time: what the peer says of it came after that."""
        return self.times[0]

    @property
    def again(self) -> tuple[str | None, ...]:
        """When it was handed over once more."""
        return self.times[1:]


def of(past: Iterable[tuple[Record, str | None]]) -> list[HandedOver]:
    """The bundles that were handed over, oldest first.

    Args:
        past: the ledger's records in their order, and when each was made.
    """
    sealed: list[Sealed] = []
    out: dict[str, list[str | None]] = {}
    receipts: dict[str, Received] = {}
    answers: dict[str | None, tuple[Accepted, str | None]] = {}
    for record, at in past:
        match record:
            case Sealed():
                sealed.append(record)
            case Exported(names=None):
                out.setdefault(record.digest, []).append(at)
            case Received():
                receipts[record.digest] = record
            case Accepted():
                answers[record.answers] = (record, at)
    return [
        HandedOver(turn, tuple(out[turn.digest]), receipts.get(turn.digest), *answers.get(turn.digest, (None, None)))
        for turn in sealed
        if turn.digest in out
    ]


def end(gone: Iterable[HandedOver], role: Role) -> End:
    """How far the closing is known to have come, where it is sealed or accepted.

    Args:
        gone: the bundles that were handed over.
        role: of this site; the provider has the closing, or would know of none.
    """
    if role == "provider":
        return "received"
    closing = next((each for each in gone if each.turn.closing), None)
    if closing is None:
        return "sealed"
    return "handed over" if closing.receipt is None else "received"
