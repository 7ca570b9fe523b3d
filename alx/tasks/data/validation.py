"""The samples that models are selected on, where they are not those trained on.

Knows labels and a seed; knows where a site's data may hold such samples. None of them leaves the site.
"""

import numpy as np
import torch
from torch import Tensor

from alx.errors import ConfigError
from alx.tasks.data.samples import Held


def split(own: Held, share: float, seed: int) -> tuple[Held, Held]:
    """Keep a share of the samples apart: of each class alike, where the labels are classes.

    Args:
        own: the site's samples.
        share: kept, above 0 and below 1; of a class, the nearest whole number.
        seed: decides which; the same ones in each turn.

    Returns:
        The samples to train on, and those to select on.

    Raises:
        ConfigError: one of the two would be empty.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(np.concatenate([rng.permutation(rows)[: round(share * len(rows))] for rows in _strata(own.targets)]))
    left = np.setdiff1d(np.arange(len(own)), chosen)
    if not len(chosen) or not len(left):
        raise ConfigError(
            f"a share of {share:g} of {len(own)} samples leaves {len(left)} to train on and {len(chosen)} to select on",
            'change validation_share in the plan, or select_on = "training", on both sides',
        )
    return own.part(torch.from_numpy(left)), own.part(torch.from_numpy(chosen))


def _strata(targets: Tensor) -> list["np.ndarray[tuple[int], np.dtype[np.int64]]"]:
    """Rows of one class each; all rows, where the labels are no classes."""
    if targets.ndim != 1 or targets.is_floating_point():
        return [np.arange(len(targets))]
    classes, places = np.unique(targets.numpy(), return_inverse=True)
    return [np.flatnonzero(places == i) for i in range(len(classes))]
