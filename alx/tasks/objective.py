"""Losses and optimisers by the names they have in the plan; a loss weighed as its [objective] says.

Knows outputs and targets; knows no data set and no model.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from alx.errors import ConfigError, escape
from alx.learning.task import Scores, Values
from alx.objective import Objective
from alx.tasks import torchvision_cpu

PLAIN = Objective()

Loss = Callable[[Tensor, Tensor], Tensor]
"""(outputs [n, …], targets [n, …]) -> losses [n], one a sample, at least 0 unless the plan says `loss = "own"`."""

Score = Callable[[Tensor, Tensor], float | Values | Scores]
"""(all outputs [n, …], all targets [n, …]), on the CPU -> what they are worth; see `Task.held_out`."""


def accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    """The share that was found of each sample's classes: 1 or 0 where it has one class. One logit means two classes.

    Args:
        outputs: logits [n, classes, …], or [n] or [n, 1].
        targets: class numbers [n, …], whole ones; of one logit 0 or 1 of any kind. Whole numbers below 0 are left out.

    Returns:
        float64 [n]; NaN where all of a sample's are left out.

    Raises:
        ConfigError: targets are something else.
    """
    n, several = len(outputs), outputs.ndim > 1 and outputs.shape[1] > 1
    found = outputs.argmax(1) if several else (outputs > 0).long()
    whole = not targets.is_floating_point()
    known = targets >= 0 if whole else torch.ones_like(targets, dtype=torch.bool)
    fits = whole if several else not (known & (targets != 0) & (targets != 1)).any()
    if not fits or found.numel() != targets.numel():
        raise ConfigError(
            f"there is no accuracy of outputs {list(outputs.shape)} and targets {list(targets.shape)}, {targets.dtype}: "
            "they are no logits with a class number each",
            "give score=, a function of all outputs and all targets of held_out: docs/tasks.md",
        )
    right = (found.reshape(n, -1) == targets.reshape(n, -1)) & known.reshape(n, -1)
    return right.sum(1).cpu().to(torch.float64) / known.reshape(n, -1).sum(1).cpu()


def _cross_entropy(
    outputs: Tensor, targets: Tensor, weights: tuple[float, ...] | None = None, smoothing: float = 0.0
) -> Tensor:
    """Class numbers against a logit a class; each multiplied by its class's weight, and not divided by their sum."""
    return nn.functional.cross_entropy(
        outputs,
        targets,
        None if weights is None else _there(weights, outputs.device, outputs.dtype),
        reduction="none",
        label_smoothing=smoothing,
    )


def _binary_cross_entropy(
    outputs: Tensor, targets: Tensor, weights: tuple[float, ...] | None = None, gamma: float | None = None
) -> Tensor:
    """0 or 1 against a logit, one or several a sample: their mean. With `gamma`: focal loss (Lin et al., ICCV 2017)."""
    n, y = len(targets), targets.to(outputs.dtype)
    z, y = outputs.reshape(n, -1), y.reshape(n, -1)
    there = None if weights is None else _there(weights, z.device, z.dtype)
    if gamma is None:
        return nn.functional.binary_cross_entropy_with_logits(z, y, pos_weight=there, reduction="none").mean(1)
    each = _focal()(z, y, alpha=-1, gamma=gamma, reduction="none")
    return (each if there is None else each * (1 + (there - 1) * y)).mean(1)


@functools.cache
def _focal() -> Callable[..., Tensor]:
    """torchvision's; seconds to import, and few plans ask for it."""
    torchvision_cpu.declare()
    from torchvision.ops import sigmoid_focal_loss  # noqa: PLC0415 - see above

    return cast("Callable[..., Tensor]", sigmoid_focal_loss)


@functools.lru_cache(maxsize=8)
def _there(values: tuple[float, ...], device: torch.device, dtype: torch.dtype) -> Tensor:
    """A plan's weights where they are used: copied to a GPU once, as each copy would wait for it."""
    with torch.inference_mode(mode=False):  # a user's own measure may ask first, and training could not use what it made
        return torch.tensor(values, dtype=dtype, device=device)


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


def losses(name: str, wanted: Objective = PLAIN, classes: Sequence[str] = ()) -> Loss:
    """The plan's `loss` by its name (see `NAMED`), as [objective] weighs it.

    A weight multiplies a sample's loss and divides nothing, so that sums over two sites are the sum over both. It is above
    0, so that no loss is below it.

    Args:
        name: the plan's `loss`.
        wanted: the plan's [objective].
        classes: the plan's names of classes, or none.
    """
    if name == "cross_entropy" and (wanted.weights(classes) or wanted.label_smoothing):
        return functools.partial(_cross_entropy, weights=wanted.weights(classes), smoothing=wanted.label_smoothing)
    if name == "binary_cross_entropy" and (wanted.pos_weight or wanted.gamma):
        return functools.partial(_binary_cross_entropy, weights=tuple(wanted.pos_weight) or None, gamma=wanted.gamma)
    return NAMED[name].loss


def weights(name: str, wanted: Objective = PLAIN, classes: Sequence[str] = ()) -> Callable[[Tensor, Tensor], Tensor] | None:
    """What the plan's [objective] multiplies each loss by; None where it multiplies none.

    Args:
        name: the plan's `loss`.
        wanted: the plan's [objective].
        classes: the plan's names of classes, or none.

    Returns:
        (outputs, targets) -> by class number, of the targets' shape; by yes-or-no label, of the outputs'. A target that
        is no class, which a loss may leave out, counts as the nearest one.
    """
    by_class, by_label = wanted.weights(classes), tuple(wanted.pos_weight)
    if name == "cross_entropy" and by_class is not None:
        return lambda z, y: _there(by_class, z.device, z.dtype)[y.long().clamp(0, len(by_class) - 1)]
    if name == "binary_cross_entropy" and by_label:
        return lambda z, y: (1 + (_there(by_label, z.device, z.dtype) - 1) * y.reshape(len(z), -1).to(z.dtype)).reshape(
            z.shape
        )
    return None


def optimisers(name: str, options: Mapping[str, Any]) -> Callable[[Any], torch.optim.Optimizer]:
    """The plan's optimiser by its name.

    Args:
        name: `alx.training.OptimiserName`.
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
