"""Own loss at a candidate: evaluation mode, no gradients, the model left as it was found.

Knows a task; knows nothing of where candidates come from.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from alx.learning import state as states
from alx.learning.task import LossSum, Scores, State, Task, Values, exact_sum, whole_state
from alx.records import finite

# Of weights, and of models, that are held at once, so that samples are read once for several small models.
TOGETHER_BYTES, TOGETHER = 64 << 20, 32
SPREAD_BYTES = 4 << 30  # of weights held for several devices: all lie on the first of them too
SLICE = 1 << 14  # samples whose losses are held at once


@contextlib.contextmanager
def exact() -> Iterator[None]:
    """No gradients, and on a GPU no TF32, whose 10 bits would stand in for float32 in torch's convolutions by default.

    What a user's script allowed is allowed again afterwards.
    """
    cudnn: Any = torch.backends.cudnn  # torch's hints know no conv and no rnn in it
    parts = (cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul)
    before = [part.fp32_precision for part in parts]
    try:
        for part in parts:
            part.fp32_precision = "ieee"
        with torch.no_grad():
            yield
    finally:
        for part, value in zip(parts, before, strict=True):
            part.fp32_precision = value


def together(task: Task, state_bytes: int) -> int:
    """How many models to hold at once.

    Args:
        task: what the user brought.
        state_bytes: size of one's state.
    """
    if task.state is not whole_state or task.personal:  # the weights that stay behind take memory too
        model = task.new_model()
        whole, shared = (*model.parameters(), *model.buffers()), task.frozen(model).values()
        state_bytes = max(state_bytes, sum(t.nbytes for t in whole) - sum(t.nbytes for t in shared))
    one = min(TOGETHER, max(1, TOGETHER_BYTES // max(1, state_bytes)))
    several = 1 if task.sample_losses is None else task.sample_losses.devices
    return max(one, min(TOGETHER, one * several, SPREAD_BYTES // max(1, state_bytes)))


def loaded(task: Task, model: nn.Module, state: State) -> nn.Module:
    """The model in that state, in evaluation mode."""
    states.put(task, model, state)
    return model.eval()


def measure(task: Task, model: nn.Module, state: State) -> LossSum:
    """The task's loss sum at `state`.

    Args:
        task: what the user brought.
        model: a model of the task to load the state into; reused from candidate to candidate.
        state: the candidate.
    """
    loaded(task, model, state)
    with exact():
        return task.measure(model)


def measure_all(task: Task, models: Sequence[nn.Module], states: Iterable[State]) -> list[LossSum]:
    """The task's loss sums at several states, at each the same as `measure`; the samples are read once where they can be.

    Args:
        task: what the user brought.
        models: models of the task: one, or as many as states where the task has `sample_losses`.
        states: the candidates.
    """
    each = task.sample_losses
    if each is None:
        return [measure(task, models[0], state) for state in states]
    nets = [loaded(task, model, state) for model, state in zip(models, states, strict=False)]
    with exact():
        return [LossSum(total, each.count) for total in sums(lambda part: each.of(nets, part), each.count)]


def sums(of: Callable[[Tensor], Tensor], count: int) -> list[float]:
    """Sums over all samples, a slice of them at a time.

    Args:
        of: (indices int64 [n]) -> float64 [models, n].
        count: number of samples.
    """
    slices = (torch.arange(at, min(at + SLICE, count)) for at in range(0, count, SLICE))
    parts = [[exact_sum(row.tolist()) for row in of(part)] for part in slices]
    return [exact_sum(each) for each in zip(*parts, strict=True)]


def held_out(task: Task, model: nn.Module) -> Scores | None:
    """What the state that `measure` loaded last is worth on data kept apart, or None where the task has none."""
    if task.held_out is None:
        return None
    model.eval()
    with exact():
        found = task.held_out(model)
    if not isinstance(found, Scores):
        return Scores(_finite(found if isinstance(found, Mapping) else {"score": float(found)}))
    groups = {column: {value: _finite(inside) for value, inside in each.items()} for column, each in found.groups.items()}
    return replace(found, values=_finite(found.values), majority=_finite(found.majority), groups=groups)


def _finite(values: Values) -> Values:
    """What JSON has no word for, NaN and the infinite, becomes None."""
    return {name: finite(v) for name, v in values.items()}
