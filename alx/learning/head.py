"""The last layer, solved for at once where all before it is frozen: ridge regression on features.

Knows tensors; knows no data and no file. Sums over samples add up over sites, so the layer that both sites' sums give is
that of pooled data (Zhuang et al., AFL, arXiv 2405.16240).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from alx.learning.task import State

# What logits of ridge regression, which lie between 0 and 1, are multiplied by: the best of these is taken.
SCALES = tuple(2.0 ** (k / 4) for k in range(-8, 41))


class Sums(NamedTuple):
    """Sums over one site's samples; each sample's features f have a 1 behind them, and y is 1 at its class, else 0.

    Attributes:
        second: of f f^T, float64 [features + 1, features + 1].
        by_class: of f y^T, float64 [features + 1, classes]; the last row counts the samples of each class.
    """

    second: Tensor
    by_class: Tensor


@dataclass(frozen=True, slots=True)
class Head:
    """What a task says of its last layer, the only one that is trained.

    Attributes:
        features, classes: its inputs and outputs.
        counts: () -> samples of each class.
        weights: (sums) -> the layer's that they give, as `solve` has them; None where rounding leaves none.
        sums: (model) -> those over one's own samples, by the model's frozen part; in evaluation mode, without gradients.
        solved: (model, sums of both sites) -> the state with the layer that they give, its logits multiplied by the one of
            `SCALES` that has the least loss on one's own samples; None where they give none that is finite.
    """

    features: int
    classes: int
    counts: Callable[[], list[int]]
    weights: Callable[[Sums], Tensor | None]
    sums: Callable[[nn.Module], Sums]
    solved: Callable[[nn.Module, Sums], State | None]


def solve(sums: Sums, ridge: float, *, bias: bool) -> Tensor | None:
    """The W that makes |F W - Y|^2 + ridge |W|^2 least over all samples of the sums.

    Args:
        sums: over all of them.
        ridge: the penalty, above 0; of the bias too.
        bias: the layer has one; without, the 1 behind the features is left out.

    Returns:
        float64 [features + 1, classes], or one row less; None where rounding leaves no solution.
    """
    size = len(sums.second) if bias else len(sums.second) - 1
    second, by_class = sums.second[:size, :size], sums.by_class[:size]
    lower, failed = torch.linalg.cholesky_ex(second + ridge * torch.eye(size, dtype=torch.float64))
    return None if failed else torch.cholesky_solve(by_class, lower)
