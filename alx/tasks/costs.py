"""What to answer where wrong answers cost otherwise: the class of least expected cost, and what answers came to cost.

Knows a model's outputs and the plan's [objective]; knows no data. With p a sample's probabilities and C[k][j] the cost of
answering j where k is true, the answer is the j with the least sum over k of p[k] C[k][j] (Elkan, IJCAI 2001, equation 1).

A model that was trained on weighed or smoothed labels gives other probabilities than those of the samples. Where samples of
a class k are a share p[k], its least loss is at q[k] proportional to w[k] ((1 - s) p[k] + s / K), with weights w, smoothing
s and K classes; `probabilities` solves that for p, so that weights and costs together do not count twice.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from alx.objective import Objective


def probabilities(outputs: Tensor, objective: Objective, classes: Sequence[str] = ()) -> Tensor:
    """Of each class among samples as often as they are, whatever weights and smoothing the model was trained with.

    Args:
        outputs: logits [n, classes, …].
        objective: the plan's [objective].
        classes: the plan's names of classes, or none.

    Returns:
        float64 [n, classes, …] on the CPU; NaN where logits are.
    """
    logits = outputs.detach().cpu().to(torch.float64)
    count, weights = logits.shape[1], objective.weights(classes)
    if weights is not None:
        logits = logits - torch.tensor(weights, dtype=torch.float64).log().reshape(-1, *[1] * (logits.ndim - 2))
    found = logits.softmax(1)
    share = objective.label_smoothing
    if not share:
        return found
    sharp = ((found - share / count) / (1 - share)).clamp(min=0)
    return sharp / sharp.sum(1, keepdim=True)


def answers(outputs: Tensor, objective: Objective, classes: Sequence[str] = ()) -> Tensor:
    """The class to answer: that of least expected cost, or the likeliest by the outputs where the plan has no costs.

    Args:
        outputs: logits [n, classes, …].
        objective: the plan's [objective].
        classes: the plan's names of classes, or none.

    Returns:
        Class numbers int64 [n, …] on the CPU; the first of equals.
    """
    rows = objective.cost_rows(classes)
    if rows is None:
        return outputs.detach().argmax(1).cpu()
    table = torch.tensor(rows, dtype=torch.float64)
    return torch.einsum("nk...,kj->nj...", probabilities(outputs, objective, classes), table).argmin(1)


def paid(answered: Tensor, targets: Tensor, objective: Objective, classes: Sequence[str] = ()) -> Tensor:
    """What each answer cost, by the plan's costs; 1 for each wrong one where it has none.

    Args:
        answered: class numbers int64 [n, …].
        targets: likewise.
        objective: the plan's [objective].
        classes: the plan's names of classes, or none.

    Returns:
        float64 [n, …] on the CPU; its mean is what an answer costs.
    """
    own, true = answered.cpu(), targets.cpu()
    rows = objective.cost_rows(classes)
    if rows is None:
        return (own != true).to(torch.float64)
    return torch.tensor(rows, dtype=torch.float64)[true, own]
