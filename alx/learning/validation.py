"""The validation curve of a turn, and whether the turn is over by it.

Knows mean losses by step; knows no model and no data.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Curve = Sequence[tuple[int, float]]
"""Step and mean loss over the validation samples, in order."""


@dataclass(frozen=True, slots=True)
class Validation:
    """When a run is validated, and what follows.

    Attributes:
        period: steps between two validations; the last step of a turn is one more.
        patience: after so many in a row that were no better than the best, the run ends; None: it does not.
    """

    period: int
    patience: int | None = None

    def due(self, step: int, steps: int) -> bool:
        """Whether a run of `steps` is validated after this step."""
        return step % self.period == 0 or step == steps

    def over(self, curve: Curve) -> bool:
        """Whether the last `patience` validations were all no better than one before them."""
        return self.patience is not None and len(curve) > self.patience + _best(curve)


def best(curve: Curve) -> int:
    """The step of the least mean loss, of equals the first.

    Args:
        curve: at least one point.
    """
    return curve[_best(curve)][0]


def _best(curve: Curve) -> int:
    """Its place. What is not finite is worse than anything."""
    means = [mean if math.isfinite(mean) else math.inf for _, mean in curve]
    return means.index(min(means, default=math.inf)) if means else 0
