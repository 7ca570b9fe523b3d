"""The objective at a made-up batch: what two sites compare before they add up their losses.

Knows outputs, targets and a loss; knows no data: the numbers are drawn from the plan's seed, the same on both sides.
"""

import copy
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from alx.learning.task import Kind, Objective
from alx.learning.trajectory import seed_torch
from alx.tasks.objective import Loss

LEAST, MOST = 8, 64  # samples: enough to meet each of a few classes, and few numbers in an identity file
ELEMENTS = 1 << 22  # of outputs that are drawn, where a sample has many
DIGITS = 5  # that are kept: the next ones differ from device to device
PLACES = 4  # along each side of an image, or a sequence
SPREAD = 4  # of outputs and numbers: wide enough to see where a loss is clipped or turns linear


def values(loss: Loss, outputs: Tensor, targets: Tensor, seed: int) -> Objective:
    """The loss of each made-up sample, for each kind of targets that fits.

    Args:
        loss: the task's.
        outputs: a model's for one sample, [1, …]: only the shape and the dtype count.
        targets: of that sample, [1, …]; likewise.
        seed: the plan's.

    Returns:
        By kind of targets (`classes`: class numbers against logits, `labels`: 0 or 1 for each output, or `numbers`) and
        the shape of a made-up output, `classes 10`: only what was made up alike is compared.
        None for a loss that is not finite. Empty where outputs and targets of no kind can be made up, or the loss takes
        none of them.
    """
    found: Objective = {}
    for kind, drawn, wanted in _batches(outputs, targets, torch.Generator().manual_seed(seed)):
        # on the CPU, as on a GPU what a loss refuses may end the process' use of it; a loss of probabilities refuses logits
        pairs = ((out.to(outputs.dtype), wanted.to(targets.dtype)) for out in (drawn, drawn.sigmoid()))
        tried = (_tried(loss, out, y, seed) for out, y in pairs)
        each = next((losses for losses in tried if losses is not None), None)
        if each is not None:
            found[f"{kind} {'x'.join(map(str, drawn.shape[1:])) or 1}"] = each
    return found


def _batches(outputs: Tensor, targets: Tensor, generator: torch.Generator) -> Iterator[tuple[Kind, Tensor, Tensor]]:
    """Kind, outputs [n, …] and targets [n, …], drawn on the CPU."""
    # of the places of an image or a sequence a few will do: their number may differ from sample to sample
    inner = [size if i == 0 else min(size, PLACES) for i, size in enumerate(outputs.shape[1:])]
    shape = [
        min(size, PLACES) if i or len(outputs.shape) > len(targets.shape) else size
        for i, size in enumerate(targets.shape[1:])
    ]
    count = max(1, min(MOST, max(LEAST, 2 * (inner or [1])[0]), ELEMENTS // max(1, math.prod(inner))))

    def spread(size: list[int]) -> Tensor:
        return SPREAD * torch.randn(count, *size, generator=generator)

    if not targets.is_floating_point() and len(inner) > len(shape) and inner[0] > 1 and inner[1:] == shape:
        first = torch.linspace(0, inner[0] - 1, count).round().long() if inner[0] > count else torch.arange(count) % inner[0]
        drawn = torch.randint(inner[0], (count, *shape), generator=generator) if shape else first
        yield "classes", spread(inner), drawn
    elif math.prod(inner) == math.prod(shape) and outputs.numel() == targets.numel():
        yield "labels", spread(inner), torch.randint(2, (count, *shape), generator=generator)
        if targets.is_floating_point():
            yield "numbers", spread(inner), spread(shape)


def _tried(loss: Any, outputs: Tensor, targets: Tensor, seed: int) -> list[float | None] | None:
    """Twice, by a copy each time: a loss that draws numbers, or that remembers, has no value that could be compared."""
    told = []
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        seed_torch(seed)
        for _ in range(2):
            try:
                each = copy.deepcopy(loss)(outputs.clone(), targets.clone())
                losses = each.reshape(len(outputs), -1).double().mean(1).tolist() if len(each) == len(outputs) else None
            except Exception:  # noqa: BLE001 - a user's loss may raise anything at what it was not made for
                return None
            told.append(losses)
    if told[0] is None or repr(told[0]) != repr(told[1]):
        return None
    return [float(f"{x:.{DIGITS}g}") if math.isfinite(x) else None for x in told[0]]
