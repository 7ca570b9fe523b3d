"""Between what a figure lies that was measured on some samples: a share, and an area under the ROC curve.

Knows counts and areas; knows no sample.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

CONFIDENCE = 0.95
_EDGE = 1e-9  # of an area


class Interval(NamedTuple):
    """A figure, and between what it lies."""

    value: float
    low: float
    high: float


def rate(count: int, of: int, confidence: float = CONFIDENCE) -> Interval:
    """A share, and its exact interval (Clopper and Pearson, 1934)."""
    from scipy.stats import binomtest  # noqa: PLC0415 - half a second, for this alone

    between = binomtest(count, of).proportion_ci(confidence, "exact")
    return Interval(count / of, float(between.low), float(between.high))


def auc_interval(auc: float, sizes: Sequence[tuple[int, int]], confidence: float = CONFIDENCE) -> Interval:
    """An area under the ROC curve, and its interval: Newcombe's fifth method (2006), good near 0 and 1 and for few samples.

    Args:
        auc: the area; of several classes the mean of theirs, each counted by its own samples.
        sizes: of each class how many samples were trained on, and how many others there are; (own, apart).
        confidence: of the interval.
    """
    from scipy.optimize import brentq  # noqa: PLC0415 - as above
    from scipy.special import ndtri  # noqa: PLC0415

    z = float(ndtri(0.5 + confidence / 2))

    def beyond(area: float, sign: int) -> float:
        return sign * (area - auc) - z * auc_deviation(area, sizes)

    # at 0 and 1 themselves the deviation is 0, and they would be taken for the ends
    low = 0.0 if auc <= _EDGE else float(brentq(beyond, 0.0, min(auc, 1 - _EDGE), (-1,)))
    high = 1.0 if auc >= 1 - _EDGE else float(brentq(beyond, max(auc, _EDGE), 1.0, (1,)))
    return Interval(auc, low, high)


def auc_deviation(auc: float, sizes: Sequence[tuple[int, int]]) -> float:
    """The standard deviation of an area (Hanley and McNeil, 1982), as Newcombe has it: for both sides alike.

    Of two sides that are as large as each other it is theirs. Of a mean of classes, see `auc_interval`, the variances of all
    add up, as if each class had this area.
    """
    samples, variance = sum(own for own, _ in sizes), 0.0
    for own, apart in sizes:
        mean = (own + apart) / 2 - 1
        spread = 1 + mean * (1 - auc) / (2 - auc) + mean * auc / (1 + auc)
        variance += (own / samples) ** 2 * auc * (1 - auc) * spread / (own * apart)
    return math.sqrt(variance)
