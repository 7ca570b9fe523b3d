"""Signed loss + own loss = global loss; the candidate with the least is where training goes on (paper, Algorithm 1).

Knows numbers; knows no model, no file, no peer.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from alx.errors import NotFiniteError


@dataclass(frozen=True, slots=True)
class Selection:
    """The choice and all it was made from.

    Attributes:
        index: the candidate with the least global loss; the earliest of equals.
        signed: the sender's loss sums.
        own: the receiver's loss sums.
        samples: samples on both sides.
    """

    index: int
    signed: tuple[float, ...]
    own: tuple[float, ...]
    samples: int

    @property
    def totals(self) -> tuple[float, ...]:
        """Global loss sums; a candidate at which the own loss is not finite counts as infinite."""
        return tuple(a + b if math.isfinite(a + b) else math.inf for a, b in zip(self.signed, self.own, strict=True))

    @property
    def global_loss(self) -> float:
        """The least global loss sum."""
        return self.totals[self.index]


def select(signed: Sequence[float], own: Sequence[float], samples: int) -> Selection:
    """Choose among all candidates by a full scan; ties go to the earliest.

    Args:
        signed: the sender's loss sum at each candidate, finite.
        own: the receiver's at each.
        samples: samples on both sides.

    Raises:
        NotFiniteError: the own loss is finite at no candidate.
    """
    chosen = Selection(0, tuple(signed), tuple(own), samples)
    totals = chosen.totals
    index = min(range(len(totals)), key=totals.__getitem__)
    if not math.isfinite(totals[index]):
        raise NotFiniteError("the own loss is NaN or infinite at every candidate", "look at the model and at the data")
    return Selection(index, chosen.signed, chosen.own, samples)
