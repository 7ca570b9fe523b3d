"""Losses, scores and optimisers by the names they have in the plan.

Knows outputs and targets; knows no data set and no model.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from alx.errors import ConfigError, escape

Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs [n, …], targets [n, …]) -> losses [n], one a sample, at least 0 unless the plan says `loss = "own"`."""

Score = Callable[[Tensor, Tensor], Tensor]
"""(outputs [n, …], targets [n, …]) -> scores [n], one a sample, higher is better."""


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


def labels_found(outputs: Tensor, targets: Tensor) -> Tensor:
    """The share of each sample's yes-or-no labels that was found: logits and targets [n] or [n, labels] -> float64 [n]."""
    n = len(outputs)
    return ((outputs > 0).reshape(n, -1) == (targets > 0).reshape(n, -1)).cpu().to(torch.float64).mean(1)


def losses(name: str) -> Loss:
    """The plan's `loss` by its name, one value a sample.

    Args:
        name: cross_entropy (class numbers against a logit a class), binary_cross_entropy (0 or 1 against a logit, one or
            several a sample, their mean), or mse (numbers against numbers, their mean).
    """
    table: Mapping[str, Loss] = {
        "cross_entropy": lambda out, y: nn.functional.cross_entropy(out, y, reduction="none"),
        "binary_cross_entropy": lambda out, y: nn.functional.binary_cross_entropy_with_logits(
            out.reshape(len(y), -1), y.to(out.dtype).reshape(len(y), -1), reduction="none"
        ).mean(1),
        "mse": lambda out, y: nn.functional.mse_loss(
            out.reshape(len(y), -1), y.to(out.dtype).reshape(len(y), -1), reduction="none"
        ).mean(1),
    }
    return table[name]


def scores(name: str) -> Score:
    """The held-out score that goes with the plan's `loss`, higher is better: shares found, or minus the squared error."""
    table: Mapping[str, Score] = {
        "cross_entropy": accuracy,
        "binary_cross_entropy": labels_found,
        "mse": lambda out, y: -losses("mse")(out, y),
    }
    return table[name]


def optimisers(name: str, options: Mapping[str, Any]) -> Callable[[Any], torch.optim.Optimizer]:
    """The plan's optimiser by its name.

    Args:
        name: adam, adamw or sgd.
        options: torch.optim's.

    Raises:
        ConfigError: torch refuses the options; when called, the model has nothing to train.
    """
    kind: Any = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[name]

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
