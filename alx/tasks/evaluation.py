"""How many samples to measure at once, when nothing is kept for a backward pass.

Knows a model and one sample. Not the plan's batch size, so that a loss does not depend on it, and no clock: the same
model is measured in the same batches each time, so its loss is the same to the bit.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# What the largest of a batch's activations may have on a CPU, about a core's second cache: beyond it, and where memory for
# it is asked of the system each time, small residual networks took up to four times as long (docs/performance.md).
ACTIVATION_BYTES = 1 << 20
LEAST, MOST = 32, 1024  # below, weights are read for too few samples; above, nothing was gained
ELSEWHERE = 512  # on a GPU, which is idle with fewer


class EvaluationBatch:
    """The size of a batch for one task, found when it is first asked for."""

    def __init__(self) -> None:
        self._found: int | None = None

    def of(self, net: nn.Module, one: Callable[[], Tensor]) -> int:
        """Number of samples.

        Args:
            net: a model of the task, in evaluation mode.
            one: gives an input of one sample, [1, …], where the model is.
        """
        if self._found is None:
            inputs = one()
            self._found = ELSEWHERE if inputs.device.type != "cpu" else _fitting(_largest(net, inputs))
        return self._found


def _fitting(nbytes: int) -> int:
    wanted = max(1, ACTIVATION_BYTES // max(1, nbytes))
    return min(MOST, max(LEAST, 1 << (wanted.bit_length() - 1)))  # a power of two


def _largest(net: nn.Module, inputs: Tensor) -> int:
    """Bytes of the largest tensor that one sample becomes on its way through the model's parts."""
    seen = [inputs.nbytes]

    def note(_part: nn.Module, _inputs: Any, outputs: Any) -> None:
        if isinstance(outputs, Tensor):
            seen.append(outputs.nbytes)

    hooks = [part.register_forward_hook(note) for part in net.modules()]
    try:
        with torch.no_grad():
            net(inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return max(seen)
