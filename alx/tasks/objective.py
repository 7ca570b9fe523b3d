"""Losses and optimisers by the names they have in the plan.

Knows outputs and targets; knows no data set and no model.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from alx.errors import ConfigError, escape
from alx.learning.task import Scores, Values

Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs [n, …], targets [n, …]) -> losses [n], one a sample, at least 0 unless the plan says `loss = "own"`."""

Score = Callable[[Tensor, Tensor], float | Values | Scores]
"""(all outputs [n, …], all targets [n, …]), on the CPU -> what they are worth; see `Task.held_out`."""


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """The share that was found of each sample's classes: 1 or 0 where it has one class. One logit means two classes.

    Args:
        outputs: logits [n, classes, …], or [n] or [n, 1].
        targets: class numbers [n, …].

    Returns:
        float64 [n].
    """
    n = len(outputs)
    found = outputs.argmax(1) if outputs.ndim > 1 and outputs.shape[1] > 1 else (outputs > 0).long()
    return (found.reshape(n, -1) == targets.reshape(n, -1)).cpu().to(torch.float64).mean(1)


def _cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """Class numbers against a logit a class."""
    return nn.functional.cross_entropy(outputs, targets, reduction="none")


def _binary_cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    """0 or 1 against a logit, one or several a sample: their mean."""
    n, y = len(targets), targets.to(outputs.dtype)
    return nn.functional.binary_cross_entropy_with_logits(outputs.reshape(n, -1), y.reshape(n, -1), reduction="none").mean(1)


def _mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """Numbers against numbers: the mean of their squared differences."""
    n, y = len(targets), targets.to(outputs.dtype)
    return nn.functional.mse_loss(outputs.reshape(n, -1), y.reshape(n, -1), reduction="none").mean(1)


@dataclass(frozen=True, slots=True)
class Named:
    """What the plan's `loss` stands for.

    Attributes:
        loss: one value a sample.
        scored: the score that is compared, of those that `metrics.Judge` gives for it: its first.
        share: it is a share, of which a hundredth is a point.
    """

    loss: Loss
    scored: str
    share: bool


NAMED: Mapping[str, Named] = {
    "cross_entropy": Named(_cross_entropy, "accuracy", share=True),
    "binary_cross_entropy": Named(_binary_cross_entropy, "share of labels found", share=True),
    "mse": Named(_mse, "minus the squared error", share=False),
}


def losses(name: str) -> Loss:
    """The plan's `loss` by its name; see `NAMED`."""
    return NAMED[name].loss


def optimisers(name: str, options: Mapping[str, Any]) -> Callable[[Any], torch.optim.Optimizer]:
    """The plan's optimiser by its name.

    Args:
        name: `plan.OptimiserName`.
        options: torch.optim's.

    Raises:
        ConfigError: torch refuses the options; when called, the model has nothing to train.
    """
    kind: Any = next(made for called, made in vars(torch.optim).items() if called.lower() == name and isinstance(made, type))

    def make(parameters: Any) -> torch.optim.Optimizer:
        try:
            return cast("torch.optim.Optimizer", kind(parameters, **options))
        except (ValueError, TypeError) as error:
            told = escape(str(error), 200)
            raise ConfigError(f"torch's {name} refuses: {told[:1].lower()}{told[1:]}", "look at [optimiser]") from error

    make([nn.Parameter(torch.zeros(1))])  # bad options are told before any training
    return make


def refuse_optimiser(make: object) -> None:
    """An optimiser that is made already holds the parameters of some other model.

    Raises:
        ConfigError: it was given for a function that makes one.
    """
    if not callable(make):
        raise ConfigError(
            f"optimiser is a {type(make).__name__}, expected a function of a model's parameters that makes one",
            "settings.optimiser is the plan's; lambda parameters: torch.optim.Adam(parameters, lr=1e-3) is another",
        )
