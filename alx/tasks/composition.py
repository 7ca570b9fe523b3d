"""Which classes does a site hold? Told by the losses of samples kept apart, and measured against what it holds.

Knows losses and classes; knows no model. The mean loss of a class falls in a turn where its sender holds many of it, and
stays or rises where it holds few: a receiver sees that on any samples of these classes.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alx.tasks.interval import Interval, rate

LEAST_APART = 5  # samples of a class, that its mean loss is looked at
LEAST_CLASSES = 2


@dataclass(frozen=True, slots=True)
class Composition:
    """What was told.

    Attributes:
        classes: that were looked at: those with `LEAST_APART` samples kept apart, whose mean loss is finite at both models.
        right: share of them for which the sign of the change says whether the sender holds more of it than of an average
            class; a guess is right for half.
        rank: Spearman's correlation between the fall of a class's loss and its share; None where all fall alike.
    """

    classes: int
    right: Interval
    rank: float | None


def looked_at(apart: NDArray[np.int64]) -> list[int]:
    """The classes of which `LEAST_APART` samples or more are kept apart."""
    return [c for c in np.unique(apart).tolist() if int((apart == c).sum()) >= LEAST_APART]


def told(
    own: NDArray[np.int64], apart: NDArray[np.int64], first: NDArray[np.float64], last: NDArray[np.float64]
) -> Composition | None:
    """Tell, and compare.

    Args:
        own: classes of own samples, [n].
        apart: classes of samples kept apart, [m].
        first: their losses at the first model of a bundle, [m].
        last: at the last.

    Returns:
        None where there are fewer than two classes to look at whose losses are finite, or the sender holds as many of each.
    """
    classes = looked_at(apart)
    means = np.array([(first[apart == c].mean(), last[apart == c].mean()) for c in classes]).reshape(-1, 2)
    finite = np.isfinite(means).all(1)
    falls = means[finite, 0] - means[finite, 1]
    held = np.array([int((own == c).sum()) for c in classes])[finite]
    if len(set(held.tolist())) < LEAST_CLASSES:  # fewer than two classes, or as many of each: nothing to tell
        return None
    right = int(((falls > 0) == (held > held.mean())).sum())
    return Composition(len(held), rate(right, len(held)), _rank(falls, held))


def _rank(falls: NDArray[np.float64], held: NDArray[np.int64]) -> float | None:
    from scipy.stats import spearmanr  # noqa: PLC0415 - half a second, for this alone

    if len(set(falls.tolist())) == 1:
        return None
    found = float(spearmanr(falls, held).statistic)
    return found if math.isfinite(found) else None
