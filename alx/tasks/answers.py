"""What a model answers to samples: all its outputs, gathered on the CPU.

Knows a model and samples; knows no loss and no metric.
"""

import torch
from torch import Tensor, nn

from alx.tasks.data.samples import Samples
from alx.tasks.evaluation import EvaluationBatch


def answers(net: nn.Module, samples: Samples, device: torch.device) -> tuple[Tensor, Tensor]:
    """Ask a model, in evaluation mode, without gradients, so many samples at once as losses are measured of.

    Args:
        net: gives one tensor [n, …].
        samples: at least one.
        device: where the model is.

    Returns:
        Outputs float32 [n, …], and targets [n, …], both on the CPU; they are all that is held at once.
    """
    net.eval()
    at_once = EvaluationBatch().of(
        net, lambda: samples.samples_at(torch.zeros(1, dtype=torch.int64, device=samples.home))[0].to(device)
    )
    outputs: list[Tensor] = []
    targets: list[Tensor] = []
    with torch.no_grad():
        for at in range(0, len(samples), at_once):
            rows = torch.arange(at, min(at + at_once, len(samples)), device=samples.home)
            inputs, labels = samples.samples_at(rows)
            outputs.append(net(inputs.to(device)).to("cpu", torch.float32))
            targets.append(labels.cpu())
    return torch.cat(outputs), torch.cat(targets)
