"""What became of the bundles that this site handed over: is it known that the peer has them, and how?

Told from the ledger's records alone. Knows records; verifies nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from alx.site.entries import Accepted, Exported, Received, Record, Sealed


@dataclass(frozen=True, slots=True)
class HandedOver:
    """A bundle, or the closing, all of which was put on a disk.

    Attributes:
        turn: the bundle.
        at: when, the last time; ISO 8601 in UTC, by this machine's clock; None where nobody knows.
        receipt: the peer's receipt of it, if one was read.
        answer: the peer's bundle that answers it, if one was accepted: who made that had this.
        answered: when the answer was accepted here.
    """

    turn: Sealed
    at: str | None
    receipt: Received | None
    answer: Accepted | None
    answered: str | None


def of(past: Iterable[tuple[Record, str | None]]) -> list[HandedOver]:
    """The bundles that were handed over, oldest first.

    Args:
        past: the ledger's records in their order, and when each was made.
    """
    sealed: list[Sealed] = []
    out: dict[str, str | None] = {}
    receipts: dict[str, Received] = {}
    answers: dict[str | None, tuple[Accepted, str | None]] = {}
    for record, at in past:
        match record:
            case Sealed():
                sealed.append(record)
            case Exported(names=None):
                out[record.digest] = at
            case Received():
                receipts[record.digest] = record
            case Accepted():
                answers[record.answers] = (record, at)
    return [
        HandedOver(turn, out[turn.digest], receipts.get(turn.digest), *answers.get(turn.digest, (None, None)))
        for turn in sealed
        if turn.digest in out
    ]
