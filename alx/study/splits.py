"""Who holds which samples. Arrays in, index arrays out; every split is told by its seed."""

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


def complementary(
    labels: NDArray[np.int64], first: list[int], minor: float, rng: np.random.Generator
) -> tuple[Indices, Indices]:
    """Each side holds its own classes and a small share of the other's, so neither suffices alone.

    Args:
        labels: class numbers [n].
        first: classes of the first side; the second side has all others.
        minor: share of the other side's samples that each holds, 0 to 1; taken from that side, so no sample is on both.
        rng: decides which.

    Returns:
        Indices of the two sides; together every sample once.
    """
    at_first = np.isin(labels, first)
    moved = rng.random(len(labels)) < minor
    holds = at_first != moved
    return np.flatnonzero(holds), np.flatnonzero(~holds)
