"""The objective at a made-up batch: what two sites compare before they add up their losses.

Knows outputs, targets and a loss; knows no data: the numbers are drawn from the plan's seed, the same on both sides.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from alx.learning.task import Kind, Objective
from alx.tasks.objective import Loss

LEAST, MOST = 8, 64  # samples: enough to meet each of a few classes, and few numbers in an identity file
ELEMENTS = 1 << 22  # of outputs that are drawn, where a sample has many
DIGITS = 5  # that are kept: the next ones differ from device to device
SPREAD = 4  # of outputs and numbers: wide enough to see where a loss is clipped or turns linear


def values(loss: Loss, outputs: Tensor, targets: Tensor, seed: int) -> Objective:
    """The loss of each made-up sample, for each kind of targets that fits.

    Args:
        loss: the task's.
        outputs: a model's for one sample, [1, …]: only the shape, the dtype and the device count.
        targets: of that sample, [1, …]; likewise.
        seed: the plan's.

    Returns:
        By kind of targets: `classes` (class numbers against logits), `labels` (0 or 1 against as many outputs) or `numbers`.
        None for a loss that is not finite. Empty where outputs and targets of no kind can be made up, or the loss takes
        none of them.
    """
    found: Objective = {}
    for kind, drawn, wanted in _batches(outputs, targets, torch.Generator().manual_seed(seed)):
        y = wanted.to(targets.device, targets.dtype)
        # a loss of probabilities refuses logits
        tried = (_tried(loss, out.to(outputs.device, outputs.dtype), y) for out in (drawn, drawn.sigmoid()))
        each = next((losses for losses in tried if losses is not None), None)
        if each is not None:
            found[kind] = each
    return found


def _batches(outputs: Tensor, targets: Tensor, generator: torch.Generator) -> Iterator[tuple[Kind, Tensor, Tensor]]:
    """Kind, outputs [n, …] and targets [n, …], drawn on the CPU."""
    inner, shape = list(outputs.shape[1:]), list(targets.shape[1:])
    count = max(1, min(MOST, max(LEAST, 2 * (inner or [1])[0]), ELEMENTS // max(1, math.prod(inner))))

    def spread(size: list[int]) -> Tensor:
        return SPREAD * torch.randn(count, *size, generator=generator)

    if not targets.is_floating_point() and len(inner) > len(shape) and inner[0] > 1 and inner[1:] == shape:
        first = torch.linspace(0, inner[0] - 1, count).round().long() if inner[0] > count else torch.arange(count) % inner[0]
        drawn = torch.randint(inner[0], (count, *shape), generator=generator) if shape else first
        yield "classes", spread(inner), drawn
    elif outputs.numel() == targets.numel():
        yield "labels", spread(inner), torch.randint(2, (count, *shape), generator=generator)
        if targets.is_floating_point():
            yield "numbers", spread(inner), spread(shape)


def _tried(loss: Any, outputs: Tensor, targets: Tensor) -> list[float | None] | None:
    with torch.no_grad():
        try:
            each = loss(outputs, targets)
            losses = each.reshape(len(outputs), -1).double().mean(1).tolist() if len(each) == len(outputs) else None
        except Exception:  # noqa: BLE001 - a user's loss may raise anything at what it was not made for; then there is no value
            return None
    return None if losses is None else [float(f"{x:.{DIGITS}g}") if math.isfinite(x) else None for x in losses]
