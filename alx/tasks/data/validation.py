"""The samples that models are selected on, where they are not those trained on.

Knows labels and a seed; knows where a site's data may hold such samples. None of them leaves the site.
"""

import numpy as np
import torch
from torch import Tensor

from alx.errors import ConfigError
from alx.tasks.data.samples import Held


def split(own: Held, share: float, seed: int, loss: str) -> tuple[Held, Held]:
    """The samples to train on, and those to select on; see `rows`."""
    left, chosen = rows(own.targets, share, seed, loss)
    return own.part(left), own.part(chosen)


def rows(targets: Tensor, share: float, seed: int, loss: str) -> tuple[Tensor, Tensor]:
    """Keep a share of the samples apart: of each class alike, where the labels are classes.

    Args:
        targets: of the site's samples.
        share: kept, above 0 and below 1; of a class, the nearest whole number, at least one and never all.
        seed: decides which; the same ones in each turn.
        loss: the plan's, which says whether labels are classes.

    Returns:
        Which samples to train on, and which to select on: two tensors int64, ascending.

    Raises:
        ConfigError: one of the two would be empty.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(np.concatenate([rng.permutation(part)[: _kept(share, len(part))] for part in _strata(targets, loss)]))
    left = np.setdiff1d(np.arange(len(targets)), chosen)
    if not len(chosen) or not len(left):
        raise ConfigError(
            f"a share of {share:g} of {len(targets)} samples leaves {len(left)} to train on and {len(chosen)} to select on",
            'of a class two are needed: one for each; or agree on select_on = "training", on both sides',
        )
    return torch.from_numpy(left), torch.from_numpy(chosen)


def _kept(share: float, count: int) -> int:
    return min(max(round(share * count), 1), count - 1)


def _strata(targets: Tensor, loss: str) -> list["np.ndarray[tuple[int], np.dtype[np.int64]]"]:
    """Rows of one class each; all rows, where the labels are no classes."""
    if targets.ndim != 1 or loss == "mse":
        return [np.arange(len(targets))]
    classes, places = np.unique(targets.numpy(), return_inverse=True)
    return [np.flatnonzero(places == i) for i in range(len(classes))]
