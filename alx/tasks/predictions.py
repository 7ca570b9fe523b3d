"""What a model's outputs say, for people: probabilities by class, and the class or the number that is answered.

Knows outputs and the plan's loss and names; knows no data.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from alx.errors import ConfigError
from alx.plan import Plan

ANSWER = "answer"
TWO = 2  # classes, of which a threshold chooses
Column = Sequence[str | int | float]


def of(outputs: Tensor, plan: Plan, threshold: float | None = None) -> dict[str, Column]:
    """Columns by their headings, one value a sample: the answer first, then the probability of each class.

    The likeliest class is answered, of equals the first, as the held-out score counts it. With a threshold the second of two
    classes, or a yes, is answered where its probability is at least that.

    Args:
        outputs: float32 [n, …], as the plan's loss takes them.
        plan: its loss, and the names of classes.
        threshold: above 0, below 1, or None.

    Raises:
        ConfigError: there is more than one answer a sample to a question of classes; an answer is not finite; or a threshold
            is given, and there are not two classes.
    """
    _refuse_odd(outputs, plan.loss)
    flat = outputs.reshape(len(outputs), -1).double()
    bad = ~torch.isfinite(flat).all(1)
    if bad.any():
        raise ConfigError(
            f"the model's answer to sample {int(bad.nonzero()[0])} (counted from 0) is not finite",
            "look at that sample: is a number in it far larger than those trained on?",
        )
    width = flat.shape[1]
    if plan.loss == "mse":
        _refuse_threshold(threshold, "answers with numbers")
        headings = [ANSWER] if width == 1 else [f"{ANSWER} {i}" for i in range(width)]
        return dict(zip(headings, flat.T.tolist(), strict=True))
    names = plan.columns.classes if plan.columns else plan.images.classes if plan.images else []
    if plan.loss == "binary_cross_entropy" and width > 1:
        return _labels(flat, names, threshold)
    if width == 1:  # a logit of the second against 0 of the first
        flat = torch.cat([torch.zeros_like(flat), flat], 1)
    named, probabilities = _named(names, flat.shape[1]), flat.softmax(1)
    answered = flat.argmax(1)
    if threshold is not None:
        _refuse_threshold(threshold if len(named) > TWO else None, f"tells {len(named)} classes apart")
        answered = (probabilities[:, 1] >= threshold).long()
    return {ANSWER: [named[i] for i in answered.tolist()]} | _shown(probabilities, named)


def _refuse_odd(outputs: Tensor, loss: str) -> None:
    if loss == "cross_entropy" and (outputs.ndim != TWO or outputs.shape[1] < TWO):
        raise ConfigError(
            f"the model gives {list(outputs.shape[1:])} for a sample, expected a number for each class",
            "the file of alx best is loaded without alx, and asked in any way: its card shows how",
        )


def _refuse_threshold(threshold: float | None, got: str) -> None:
    if threshold is not None:
        raise ConfigError(f"a threshold is for two classes, and the model {got}", "leave it out")


def _labels(logits: Tensor, names: Sequence[str], threshold: float | None) -> dict[str, Column]:
    """Several yes-or-no labels: 1 or 0 for each."""
    width = logits.shape[1]
    named = list(names) if len(names) == width else [f"label {i}" for i in range(width)]
    probabilities = logits.sigmoid()
    yes = (logits > 0 if threshold is None else probabilities >= threshold).long()
    return {f"{ANSWER} {name}": yes[:, i].tolist() for i, name in enumerate(named)} | _shown(probabilities, named)


def _named(names: Sequence[str], classes: int) -> list[str]:
    """The plan's names; numbers where it has none, or where a model tells more classes apart than are named."""
    rest = [f"class {i}" if names else str(i) for i in range(len(names), classes)]
    return [*names[:classes], *rest]


def _shown(probabilities: Tensor, names: Sequence[str]) -> dict[str, Column]:
    return {f"probability {name}": values for name, values in zip(names, probabilities.T.tolist(), strict=True)}
