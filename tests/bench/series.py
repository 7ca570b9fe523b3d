"""What a step of an exchange costs at rising sizes, and how fast the cost grows.

The growth of a cost is the exponent k of cost = c * size^k, fitted on logarithms: 1 is linear, 0 no growth at all.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.row import Row

AXES = {"snapshots": "snapshots in a bundle", "model": "bytes of a model", "samples": "samples on a side"}
STEPS = {"seal": "sealing", "export": "export's copying", "open": "verifying and opening", "import": "import and select"}
LINEAR = 1.1  # what an exponent may be and still be called linear: the fit's own error, and caches that a size outgrows
FLOOR_BYTES = 4e6  # below it, what grows is the pages of code that a call touches


@dataclass(frozen=True, slots=True, eq=False)  # a key of dicts
class Series:
    """One step of an exchange at rising sizes.

    Attributes:
        step: a key of `STEPS`.
        axis: a key of `AXES`.
        sizes: along it.
        seconds: at each.
        peak: bytes of memory at each, above what the process had when the call began.
    """

    step: str
    axis: str
    sizes: Sequence[float]
    seconds: Sequence[float]
    peak: Sequence[float]


def exponent(sizes: Sequence[float], costs: Sequence[float], floor: float = 0.0) -> float:
    """The slope of a straight line through the logarithms.

    Args:
        sizes: above 0, rising.
        costs: at each.
        floor: what is below counts as much as this.
    """
    x = [math.log(s) for s in sizes]
    y = [math.log(max(c, floor)) for c in costs]
    return round(statistics.linear_regression(x, y).slope, 2) + 0.0  # two digits are what a fit is worth; and -0.0 is 0.0


def time_exponent(series: Series) -> float:
    """How its time grows."""
    return exponent(series.sizes, series.seconds)


def memory_exponent(series: Series) -> float:
    """How its memory grows."""
    return exponent(series.sizes, series.peak, FLOOR_BYTES)


def fitted(series: Series) -> list[Row]:
    """A series' exponents, beside linear growth."""
    return [
        Row(f"{STEPS[series.step]}: {what} by {AXES[series.axis]}", "exponent", k, "linear", 1.0, k, LINEAR)
        for what, k in (("time", time_exponent(series)), ("memory", memory_exponent(series)))
    ]
