"""What a model answers to samples, all of them at hand at the end.

Knows a model and samples; knows no file and no loss.
"""

import torch
from torch import Tensor, nn

from alx.errors import ConfigError
from alx.tasks.data.samples import Samples
from alx.tasks.evaluation import EvaluationBatch


def answers(
    net: nn.Module, where: Samples, device: torch.device, batches: EvaluationBatch | None = None
) -> tuple[Tensor, Tensor]:
    """Its outputs for every sample, in their order.

    Takes the memory of all outputs: samples x numbers of an answer x 4 bytes.

    Args:
        net: asked in evaluation mode.
        where: the samples.
        device: where the model is.
        batches: the size of a batch, where it was found before.

    Returns:
        Outputs float32 [n, …] and targets [n, …], both on the CPU.

    Raises:
        ConfigError: the model gives no single tensor.
    """
    net.eval()
    size = (batches or EvaluationBatch()).of(net, lambda: where.samples_at(_indices(where, 0, 1))[0].to(device))
    outputs, targets = [], []
    with torch.no_grad():
        for at in range(0, len(where), size):
            x, y = where.samples_at(_indices(where, at, at + size))
            found: object = net(x.to(device))
            if not isinstance(found, Tensor):
                raise ConfigError(
                    f"the model gives a {type(found).__name__}, expected one tensor",
                    "wrap it in one that gives a single tensor",
                )
            outputs.append(found.float().cpu())
            targets.append(y.cpu())
    return torch.cat(outputs), torch.cat(targets)


def _indices(where: Samples, begin: int, end: int) -> Tensor:
    return torch.arange(begin, min(end, len(where)), device=where.home)
