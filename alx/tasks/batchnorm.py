"""Batch norm over a batch that several ranks have: its mean and variance are those of all of it, as with one rank.

Knows layers, and how to sum over ranks. torch's own SyncBatchNorm trains on a GPU alone (torch 2.13), and counts all of a
rank's rows, so that one that has none of the batch could not take part.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

Sum = Callable[[Tensor], Tensor]
"""Sums a tensor over ranks, in place."""


class _Normalised(torch.autograd.Function):
    """(x - mean) / sqrt(variance + eps) over the batches of all ranks: Ioffe & Szegedy, 2015, with its derivative."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, eps: float, counts: float, total: Sum) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Outputs, mean, variance and how many there are: of each channel, over all ranks."""
        dims = [d for d in range(x.ndim) if d != 1]
        sums = total(counts * torch.cat([x.sum(dims), x.new_tensor([x.numel() / x.shape[1]])]))
        n = sums[-1]
        mean = sums[:-1] / n
        y = x - _wide(mean, x)
        variance = total(counts * (y * y).sum(dims)) / n
        scale = (variance + eps).rsqrt()
        y = y.mul_(_wide(scale, x))
        ctx.save_for_backward(y, scale, n)
        ctx.counts, ctx.total = counts, total
        ctx.mark_non_differentiable(mean, variance, n)
        return y, mean, variance, n

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        """What the outputs of all ranks say of this rank's inputs."""
        (g, *_), (y, scale, n) = grads, ctx.saved_tensors
        dims = [d for d in range(y.ndim) if d != 1]
        of_mean, of_scale = ctx.total(torch.stack([g.sum(dims), (g * y).sum(dims)])) / n
        x = torch.addcmul(g - _wide(of_mean, y), y, _wide(of_scale, y), value=-1).mul_(_wide(scale * ctx.counts, y))
        return x, None, None, None


def _wide(channels: Tensor, like: Tensor) -> Tensor:
    return channels.view(1, -1, *[1] * (like.ndim - 2))


def synchronise(model: nn.Module, total: Sum, idle: Callable[[], bool]) -> None:
    """Let every batch norm that is trained go by the batches of all ranks; in evaluation nothing changes.

    Args:
        model: changed in place; its state is as before.
        total: sums over ranks; all of them call it as often.
        idle: whether this rank's rows are for nothing.
    """
    for layer in model.modules():
        if isinstance(layer, _BatchNorm):
            layer.forward = partial(_forward, layer, total, idle)  # type: ignore[method-assign]


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _forward(layer: _BatchNorm, total: Sum, idle: Callable[[], bool], inputs: Tensor) -> Tensor:
    if not layer.training:
        return type(layer).forward(layer, inputs)
    layer._check_input_dim(inputs)  # type: ignore[no-untyped-call]  # noqa: SLF001 - as its own forward
    wide = inputs if inputs.dtype == torch.float64 else inputs.float()
    y, mean, variance, n = _Normalised.apply(wide, layer.eps, 0.0 if idle() else 1.0, total)  # type: ignore[no-untyped-call]
    if layer.track_running_stats and layer.running_mean is not None and layer.running_var is not None:
        with torch.no_grad():
            _track(layer, layer.running_mean, layer.running_var, mean, variance * (n / (n - 1)))
    if layer.affine:
        y = y * _wide(layer.weight, y) + _wide(layer.bias, y)
    return cast("Tensor", y.to(inputs.dtype))


def _track(layer: _BatchNorm, means: Tensor, variances: Tensor, mean: Tensor, variance: Tensor) -> None:
    """The running mean and variance, the latter of n - 1 as torch has it."""
    momentum = layer.momentum
    if layer.num_batches_tracked is not None:
        layer.num_batches_tracked.add_(1)
        if momentum is None:
            momentum = 1 / float(layer.num_batches_tracked)
    means.lerp_(mean.to(means.dtype), momentum or 0.0)
    variances.lerp_(variance.to(variances.dtype), momentum or 0.0)
