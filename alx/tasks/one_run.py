"""How much one training run told at least: a lower bound on epsilon, from samples that a coin put in or left out.

Knows losses and coins; knows no model. Steinke, Nasr and Jagielski, *Privacy auditing with one (1) training run*, NeurIPS
2023 (arXiv 2305.08846): whoever guesses many coins rightly out of what was released has shown that it was not private to
epsilon.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from alx.tasks.interval import CONFIDENCE
from alx.tasks.membership import log_odds

GUESSED = 0.5  # of all canaries: the quarter that looks most trained on, and the quarter that looks least; fixed beforehand
DELTA = 1e-5  # where no plan says one
_STEPS = 40  # of halving: more than a float32 has digits


@dataclass(frozen=True, slots=True)
class Audit:
    """What was shown.

    Attributes:
        canaries: samples that a coin decided about.
        inside: of them, those trained on.
        guesses: about so many of them a guess was made.
        right: of these.
        epsilon: the least that it can be, with `CONFIDENCE`; 0 shows nothing.
        delta: beside it.
    """

    canaries: int
    inside: int
    guesses: int
    right: int
    epsilon: float
    delta: float


def audit(losses: NDArray[np.float64], classes: NDArray[np.int64], inside: NDArray[np.bool_], delta: float = DELTA) -> Audit:
    """Guess the coins by the losses at the last model, each beside the other canaries of its class.

    Args:
        losses: of each canary, [n].
        classes: of each, [n].
        inside: what the coin said, [n]; looked at after the guesses alone.
        delta: of the bound.
    """
    odds = log_odds(losses)
    for c in np.unique(classes):
        odds[classes == c] -= odds[classes == c].mean()
    order = np.argsort(odds, kind="stable")
    each = int(GUESSED * len(order) / 2)
    low, high = order[:each], order[len(order) - each :]
    right = int((~inside[low]).sum() + inside[high].sum())
    return Audit(len(order), int(inside.sum()), 2 * each, right, least_epsilon(len(order), 2 * each, right, delta), delta)


def least_epsilon(canaries: int, guesses: int, right: int, delta: float, confidence: float = CONFIDENCE) -> float:
    """The largest epsilon that so many right guesses rule out; 0 where they rule out none.

    Args:
        canaries: samples that a fair coin decided about.
        guesses: of them, those guessed about.
        right: of these.
        delta: of the bound.
        confidence: that it holds.
    """
    low, high = 0.0, 1.0
    while chance(canaries, guesses, right, high, delta) < 1 - confidence:
        low, high = high, 2 * high
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if chance(canaries, guesses, right, middle, delta) < 1 - confidence:
            low = middle
        else:
            high = middle
    return low


def chance(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """How likely so many right guesses, or more, are at most, if training was private to (epsilon, delta).

    The paper's Appendix D: a coin is guessed no better than by randomised response, and delta adds what it can at worst.
    """
    from scipy.stats import binom  # noqa: PLC0415 - half a second, for this alone

    guess = 1 / (1 + math.exp(-epsilon))
    tail = float(binom.sf(right - 1, guesses, guess))
    below = np.arange(1, right + 1)
    gained = (binom.sf(right - 1 - below, guesses, guess) - tail) / below
    return min(1.0, tail + 2 * canaries * delta * float(gained.max(initial=0.0)))
