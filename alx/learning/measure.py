"""Own loss at a candidate: evaluation mode, no gradients, the model left as it was found.

Knows a task; knows nothing of where candidates come from.
"""

import torch
from torch import nn

from alx.learning.task import LossSum, State, Task


def measure(task: Task, model: nn.Module, state: State) -> LossSum:
    """The task's loss sum at `state`.

    Args:
        task: what the user brought.
        model: a model of the task to load the state into; reused from candidate to candidate.
        state: the candidate.
    """
    model.load_state_dict(dict(state))
    model.eval()
    with torch.no_grad():
        return task.measure(model)


def held_out(task: Task, model: nn.Module) -> float | None:
    """The task's score on data kept apart, for the state that `measure` loaded last, or None where it has none."""
    if task.held_out is None:
        return None
    model.eval()
    with torch.no_grad():
        return float(task.held_out(model))
