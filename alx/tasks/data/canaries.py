"""Own samples that a coin decides about: those that it leaves out show, beside those that it puts in, what training tells.

Knows samples; knows no model. A real sample that is left out harms nothing but by its absence, where one that was made up
would be learnt. Which these are follows from the plan's seed, so that it is the same at every turn.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from alx.errors import ConfigError
from alx.tasks.data.samples import Held

LEAST = 40  # with all of 20 guesses right epsilon is shown to be 1.8 at the most
MOST = 0.5  # of own samples: beyond it more than a quarter would be lost to training
_DRAW = 41  # beside the seed, so that this draw is none of the others made from it


class Canaries(NamedTuple):
    """What was drawn.

    Attributes:
        trained: own samples, without those that were left out.
        all: every canary.
        inside: of each whether it is among `trained`, bool [n]: a fair coin each.
        left: which of own samples are in `trained`, int64, ascending.
    """

    trained: Held
    all: Held
    inside: Tensor
    left: Tensor


def drawn(own: Held, count: int, seed: int) -> Canaries:
    """Toss a coin for so many of own samples.

    Args:
        own: the samples to train on.
        count: canaries.
        seed: the plan's.

    Raises:
        ConfigError: that is more than half of them, or so few that nothing could be shown.
    """
    if count < LEAST:
        raise ConfigError(
            f"[data] canaries is {count} in site.toml, expected {LEAST} or more",
            "of fewer nothing could be shown: leave it out",
        )
    if count > MOST * len(own):
        raise ConfigError(
            f"[data] canaries is {count} in site.toml, and there are {len(own)} samples to train on",
            f"at most {int(MOST * len(own))} of them can be canaries: about half of these are not trained on",
        )
    rng = np.random.default_rng((seed, _DRAW))
    chosen = np.sort(rng.permutation(len(own))[:count])
    inside = rng.random(count) < 0.5  # noqa: PLR2004 - a fair coin
    left = torch.from_numpy(np.setdiff1d(np.arange(len(own)), chosen[~inside]))
    trained, coined = (own.part(rows.to(own.home)) for rows in (left, torch.from_numpy(chosen)))
    return Canaries(trained, coined, torch.from_numpy(inside), left)
