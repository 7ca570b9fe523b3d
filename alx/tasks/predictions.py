"""What a model's outputs say, for people: probabilities by class, and the class or the number that is answered.

Knows outputs, and how they are judged; knows no data.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from alx.errors import ConfigError
from alx.tasks.metrics import Array, Judge

ANSWER = "answer"
Column = Sequence[str | int | float]


def of(outputs: Tensor, judge: Judge) -> dict[str, Column]:
    """Columns by their headings, one value a sample: the answer first, then the probability of each class.

    What is answered is what `Judge` counts as the answer: the cheapest where the plan has costs; of two classes the
    positive one above the threshold; else the likeliest, of equals the first.

    Args:
        outputs: float32 [n, …], as the plan's loss takes them.
        judge: the plan's loss and its names of classes; and the threshold.

    Raises:
        ConfigError: there is more than one answer a sample to a question of classes; or an answer is not finite.
    """
    _refuse_odd(outputs, judge.loss)
    flat = outputs.reshape(len(outputs), -1).double()
    bad = ~torch.isfinite(flat).all(1)
    if bad.any():
        raise ConfigError(
            f"the model's answer to sample {int(bad.nonzero()[0])} (counted from 0) is not finite",
            "look at that sample: is a number in it far larger than those trained on?",
        )
    width = flat.shape[1]
    if judge.loss == "mse":
        headings = [ANSWER] if width == 1 else [f"{ANSWER} {i}" for i in range(width)]
        return dict(zip(headings, flat.T.tolist(), strict=True))
    found = judge.probabilities(flat.numpy())
    if judge.loss == "binary_cross_entropy":
        return _labels(found, judge)
    named, answered = _named(judge.classes, width), judge.decided(flat.numpy())
    return {ANSWER: [named[i] for i in answered.tolist()]} | _shown(found, named)


def _refuse_odd(outputs: Tensor, loss: str) -> None:
    if loss == "cross_entropy" and (outputs.ndim != 2 or outputs.shape[1] < 2):  # noqa: PLR2004 - [n, classes]
        raise ConfigError(
            f"the model gives {list(outputs.shape[1:])} for a sample, expected a number for each class",
            "the file of alx best is loaded without alx, and asked in any way: its card shows how",
        )


def _labels(found: Array, judge: Judge) -> dict[str, Column]:
    """Yes-or-no labels: of one, which of two classes; of several, 1 or 0 for each."""
    width, yes = found.shape[1], (found > judge.threshold).astype(int)
    if width == 1:
        named = _named(judge.classes, 2)
        return {ANSWER: [named[i] for i in yes[:, 0].tolist()]} | _shown(np.concatenate([1 - found, found], 1), named)
    named = list(judge.classes) if len(judge.classes) == width else [f"label {i}" for i in range(width)]
    return {f"{ANSWER} {name}": yes[:, i].tolist() for i, name in enumerate(named)} | _shown(found, named)


def _named(names: Sequence[str], classes: int) -> list[str]:
    """The plan's names; numbers where it has none, or where a model tells more classes apart than are named."""
    rest = [f"class {i}" if names else str(i) for i in range(len(names), classes)]
    return [*names[:classes], *rest]


def _shown(found: Array, names: Sequence[str]) -> dict[str, Column]:
    return {f"probability {name}": values for name, values in zip(names, found.T.tolist(), strict=True)}
