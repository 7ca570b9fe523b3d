"""How much privacy is spent: epsilon of all releases together, and the noise that keeps to a budget.

Knows noise, rates and counts; knows no data and no ledger. The accountant is Opacus's for Rényi differential privacy
(Mironov, 2017; Mironov, Talwar and Zhang, 2019, for steps that draw samples at random). It adds up what steps, noised sums
and noised choices tell: the exponential mechanism of bounded range r has r^2/8 of zero-concentrated privacy (Rogers and
Steinke, 2021), and so no more at any order than a Gaussian mechanism of multiplier 2/r.
"""

import warnings
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from alx.errors import BudgetError, ConfigError
from alx.privacy import SUMS, Privacy

ORDERS = (
    [1 + x / 10 for x in range(1, 100, 3)] + [float(x) for x in range(11, 64)] + [80.0, 96.0, 128.0, 192.0, 256.0, 512.0]
)
"""Of Rényi divergence. Opacus's own end at 63, which for small budgets is too low, and says more was spent than was."""
LEAST, MOST = 0.2, 1e6  # noise multipliers to look between: below, epsilon is in the hundreds; above, nothing is learnt
CLOSE = 1e-3  # relative: of a multiplier that was looked for


class Release(NamedTuple):
    """What was told so many times: a sum of vectors of norm 1, in which each sample is by chance, with normal noise.

    Attributes:
        noise: its standard deviation.
        rate: the chance of a sample to be in it; 1: all are.
        times: how many.
    """

    noise: float
    rate: float
    times: int


def epsilon(releases: Sequence[Release], delta: float) -> float:
    """What all of them together tell of one sample, at `delta`.

    Raises:
        ConfigError: Opacus is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from opacus.accountants import RDPAccountant  # noqa: PLC0415 - six seconds
    except ImportError as error:
        raise ConfigError(
            "[privacy] in the plan needs Opacus, which is not installed", "pip install 'alx[privacy]'"
        ) from error
    accountant = RDPAccountant()
    accountant.history = [tuple(each) for each in releases if each.times]
    if not accountant.history:
        return 0.0
    with warnings.catch_warnings():  # that the best order is the last one: then epsilon is an upper bound all the same
        warnings.simplefilter("ignore")
        return float(accountant.get_epsilon(delta, alphas=ORDERS))


class Turn(NamedTuple):
    """What one turn releases.

    Attributes:
        noise: multiplier of a step's noise: its standard deviation is this times the clip.
        rate: the chance of a sample to be in a step's batch.
        steps: of the turn.
        loss_noise: multiplier of the noise of loss sums, and, as Gumbel noise, of a choice.
    """

    noise: float
    rate: float
    steps: int
    loss_noise: float

    @property
    def releases(self) -> list[Release]:
        """Of the accountant's kind."""
        return [Release(self.noise, self.rate, self.steps), Release(self.loss_noise, 1.0, SUMS)]


@lru_cache(maxsize=16)  # a pure function, of a second; both sides of a simulation ask again and again
def planned(privacy: Privacy, turns: int, rate: float, steps: int) -> Turn:
    """The noise with which so many turns keep to the budget, and no more of it than that.

    Args:
        privacy: the plan's.
        turns: of the site: the plan's rounds, and what is spare.
        rate: the chance of a sample to be in a step's batch.
        steps: of each turn.

    Raises:
        BudgetError: no noise would do.
        ConfigError: see `epsilon`.
    """
    target, delta = privacy.epsilon, privacy.delta
    single = _least(lambda noise: epsilon([Release(noise, 1.0, 1)], delta), target)
    # a release of noise z costs 1/z^2 of what a single one may: loss_share of that is for all sums
    loss_noise = single * (turns * SUMS / privacy.loss_share) ** 0.5
    sums = Release(loss_noise, 1.0, turns * SUMS)
    noise = _least(lambda noise: epsilon([Release(noise, rate, turns * steps), sums], delta), target)
    return Turn(noise, rate, steps, loss_noise)


def _least(spent: Callable[[float], float], target: float) -> float:
    """The least noise that spends no more than the target, up to `CLOSE` above it."""
    low, high = LEAST, 1.0
    while spent(high) > target:
        low, high = high, 2 * high
        if high > MOST:
            raise BudgetError(
                f"no noise keeps to epsilon {target:g} in [privacy] of the plan",
                "a larger epsilon or delta, fewer rounds or steps; in new sites on both sides",
            )
    while high > low * (1 + CLOSE):
        middle = (low * high) ** 0.5
        low, high = (low, middle) if spent(middle) <= target else (middle, high)
    return high
