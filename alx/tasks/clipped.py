"""A task as [privacy] has it: no sample's loss counts more than a limit, and its trainer is one whose steps are guarded.

Knows the seam; knows no Opacus, so that what only measures does not wait for it.
"""

import dataclasses
from collections.abc import Sequence

from torch import Tensor, nn

from alx.errors import ConfigError
from alx.learning.measure import sums
from alx.learning.noise import Guard
from alx.learning.task import LossSum, SampleLosses, Task, Trainer

OWN_LOOP = "supervised makes tasks that can: docs/privacy.md"


def clipped(task: Task, limit: float) -> Task:
    """The same task with every sample's loss between 0 and the limit; one that is not a number counts as the limit.

    Its trainer takes no step without a guard.

    Args:
        task: what the user brought.
        limit: the plan's `loss_limit`.

    Raises:
        ConfigError: the task does not tell the loss of each sample, or cannot be trained under a guard.
    """
    each = task.sample_losses
    if each is None or task.private is None:
        lacks = "says no sample's loss by itself" if each is None else "cannot clip the gradient of each sample"
        raise ConfigError(f"the plan has [privacy], and the task {lacks}", OWN_LOOP)

    def of(models: Sequence[nn.Module], rows: Tensor) -> Tensor:
        return each.of(models, rows).nan_to_num(nan=limit, posinf=limit).clamp(max=limit)

    def measure(model: nn.Module) -> LossSum:
        return LossSum(sums(lambda rows: of([model], rows), each.count)[0], each.count)

    def unguarded(_model: nn.Module, _seed: int) -> Trainer:
        raise ConfigError("the plan has [privacy], and a step was to be taken without noise", "this is a fault of alx")

    return dataclasses.replace(
        task, measure=measure, sample_losses=SampleLosses(each.count, of), trainer=unguarded, held_out=task.held_out
    )


def guarded(task: Task, guard: Guard) -> Task:
    """The same task with a trainer whose steps are private.

    Raises:
        ConfigError: it has none.
    """
    if task.private is None:
        raise ConfigError("the plan has [privacy], and the task cannot clip the gradient of each sample", OWN_LOOP)
    return dataclasses.replace(task, trainer=task.private(guard))
