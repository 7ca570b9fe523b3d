"""Gradients of several ranks, summed: many at a time, in buckets.

Knows parameters, and how ranks exchange tensors; knows no model.
"""

from collections.abc import Iterator, Sequence

import torch
import torch.distributed as dist
from torch import Tensor, nn

from alx.errors import ConfigError
from alx.tasks.ranks import Ranks

BUCKET_BYTES = 25 << 20  # of gradients that are added at once, as in DistributedDataParallel


def summed(group: Ranks, parameters: Sequence[nn.Parameter], loss: Tensor) -> Tensor:
    """Sum the gradients over ranks, in place, and the loss.

    A parameter that no rank has a gradient of keeps none, as an optimiser would else let it decay.

    Args:
        group: of the ranks.
        parameters: the model's, the same on each rank.
        loss: this rank's share of the step's.

    Returns:
        The step's loss.

    Raises:
        ConfigError: a gradient is sparse.
    """
    grads = [p.grad for p in parameters]
    if any(g is not None and g.layout is not torch.strided for g in grads):
        raise ConfigError("the model has sparse gradients, which ranks do not add", "train without torchrun, or densely")
    there = [float(g is not None) for g in grads]
    head = torch.tensor([*there, 0.0], dtype=torch.float32, device=loss.device)
    head[-1] = loss
    full = [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, grads, strict=True)]
    with group.exchange():
        flats = [torch.cat([t.reshape(-1) for t in each]) for each in buckets([head, *full])]
        for work in [dist.all_reduce(flat, async_op=True) for flat in flats]:
            work.wait()
    summed = {id(t): v for flat, each in zip(flats, buckets([head, *full]), strict=True) for t, v in _views(flat, each)}
    head = summed[id(head)]
    # looked at where it matters alone: on a GPU that is waiting for it
    known = there if all(there) else head.tolist()
    for p, value, has in zip(parameters, full, known, strict=False):
        if has:
            # on a GPU a view of what was summed; in the layout of the parameter, as an optimiser steps on both at once
            p.grad = summed[id(value)] if p.is_contiguous() else value.copy_(summed[id(value)])
    return head[-1]


def buckets(tensors: Sequence[Tensor]) -> list[list[Tensor]]:
    """Tensors to send at once: of one type, in their order, and not too many bytes."""
    made: list[list[Tensor]] = []
    last: dict[tuple[torch.dtype, torch.device], int] = {}
    size: list[int] = []
    for value in tensors:
        kind = value.dtype, value.device
        at = last.get(kind)
        if at is None or size[at] + value.nbytes > BUCKET_BYTES:
            at = last[kind] = len(made)
            made.append([])
            size.append(0)
        made[at].append(value)
        size[at] += value.nbytes
    return made


def _views(flat: Tensor, tensors: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Each tensor, and what lies in its place of a flat one."""
    for value, found in zip(tensors, torch.split(flat, [t.numel() for t in tensors]), strict=True):
        yield value, found.view(value.shape)
