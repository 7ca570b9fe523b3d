"""What a model answers to samples, all of them at hand at the end.

Knows a model and samples; knows no file and no loss.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from alx.errors import ConfigError
from alx.tasks.data.samples import Samples
from alx.tasks.evaluation import EvaluationBatch


def answers(
    net: nn.Module, where: Samples, device: torch.device, batches: EvaluationBatch | None = None
) -> tuple[Tensor, Tensor]:
    """Its outputs for every sample, in their order, where each batch gives one tensor; see `gathered`.

    Returns:
        Outputs float32 [n, …] and targets [n, …], both on the CPU.

    Raises:
        ConfigError: the model gives no single tensor.
    """
    outputs, targets = gathered(net, where, device, batches)
    if not isinstance(outputs, Tensor):
        raise ConfigError(
            f"the model gives a {type(outputs).__name__}, expected one tensor", "wrap it in one that gives a single tensor"
        )
    return outputs, targets


def gathered(
    net: nn.Module, where: Samples, device: torch.device, batches: EvaluationBatch | None = None
) -> tuple[Any, Tensor]:
    """Its outputs for every sample, in their order; of several tensors each, in a tuple or dict as there.

    Takes the memory of all outputs: samples x numbers of an answer x 4 bytes.

    Args:
        net: asked in evaluation mode.
        where: the samples.
        device: where the model is.
        batches: the size of a batch, where it was found before.

    Returns:
        Outputs, numbers in them float32, and targets [n, …], all on the CPU.

    Raises:
        ConfigError: the model gives something else than tensors of a row a sample.
    """
    net.eval()
    size = (batches or EvaluationBatch()).of(net, lambda: where.samples_at(_indices(where, 0, 1))[0].to(device))
    outputs, targets = [], []
    with torch.no_grad():
        for at in range(0, len(where), size):
            x, y = where.samples_at(_indices(where, at, at + size))
            outputs.append(_at_home(net(x.to(device)), len(x)))
            targets.append(y.cpu())
    return _joined(outputs), torch.cat(targets)


def _at_home(found: object, samples: int) -> Any:
    if isinstance(found, Tensor) and found.ndim > 0 and len(found) == samples:
        return found.cpu().float() if found.is_floating_point() else found.cpu()
    if isinstance(found, dict):
        return {name: _at_home(each, samples) for name, each in found.items()}
    if isinstance(found, (tuple, list)):
        return [_at_home(each, samples) for each in found]
    got = f"a tensor of shape {list(found.shape)}" if isinstance(found, Tensor) else f"a {type(found).__name__}"
    raise ConfigError(f"the model gives {got} for {samples} samples, expected tensors of a row a sample")


def _joined(parts: Sequence[Any]) -> Any:
    first = parts[0]
    if isinstance(first, dict):
        return {name: _joined([part[name] for part in parts]) for name in first}
    if isinstance(first, list):
        return tuple(_joined([part[i] for part in parts]) for i in range(len(first)))
    return torch.cat(list(parts))


def _indices(where: Samples, begin: int, end: int) -> Tensor:
    return torch.arange(begin, min(end, len(where)), device=where.home)
