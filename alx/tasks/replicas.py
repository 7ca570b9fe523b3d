"""One task on several devices: losses of samples are found on all of them at once, each with its own copies of the models.

Knows tasks and threads; knows no data. Whole models are dealt where there are enough, else blocks of samples. Either way
each loss comes out of the same batch of the same model as on one device, and losses are put together in their order, so no
digit depends on how many devices there are.
"""

import contextlib
import dataclasses
import itertools
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from alx.learning import state
from alx.learning.task import SampleLosses, Task
from alx.learning.trajectory import random_state, set_random_state
from alx.tasks.evaluation import MOST

BLOCK = MOST  # samples that stay together: a whole number of batches of any size that a model is measured in

Mark = tuple[tuple[int, int], ...]


def spread(tasks: Sequence[Task], places: Sequence[torch.device]) -> Task:
    """The first of the tasks, whose `sample_losses` are found on all their devices.

    A task without `sample_losses`, as one with losses below 0, is measured on the first device alone.

    Args:
        tasks: the same task made once for each device.
        places: the devices.
    """
    each = tasks[0].sample_losses
    if each is None or len(tasks) == 1:
        return tasks[0]
    crew = [_Place(task, place) for task, place in zip(tasks, places, strict=True)]
    pool = ThreadPoolExecutor(len(crew) - 1, thread_name_prefix="alx-device")

    def of(models: Sequence[nn.Module], indices: Tensor) -> Tensor:
        work = _dealt(models, indices, len(crew))
        ready = [place.ready(tasks[0], part) for place, (part, _) in zip(crew, work, strict=False)]
        jobs = [
            place.job(nets, rows) for place, nets, (_, rows) in zip(crew, ready, work, strict=False)
        ]  # models are made above, in this thread: making one moves the global random state
        others = [pool.submit(job) for job in jobs[1:]]
        try:
            found = [jobs[0]()]
        finally:  # nobody is left at work on models that the caller changes next
            for other in others:
                other.exception()
        found += [other.result() for other in others]
        return torch.cat(found, dim=0 if len(models) >= len(crew) else 1)

    return dataclasses.replace(tasks[0], sample_losses=SampleLosses(each.count, of, devices=len(crew)))


def _dealt(models: Sequence[nn.Module], indices: Tensor, count: int) -> list[tuple[Sequence[nn.Module], Tensor]]:
    """Which models at which samples, for at most so many devices; neighbours stay together."""
    if len(models) >= count:
        return [(models[begin:end], indices) for begin, end in _shares(len(models), count)]
    blocks = -(-len(indices) // BLOCK)
    return [(models, indices[begin * BLOCK : end * BLOCK]) for begin, end in _shares(blocks, min(count, blocks))] or [
        (models, indices)
    ]


def _shares(total: int, count: int) -> list[tuple[int, int]]:
    ends = [total * i // count for i in range(count + 1)] if count else []
    return list(itertools.pairwise(ends))


class _Place:
    """One device, with a task of its own and copies of the models that it was asked about."""

    def __init__(self, task: Task, place: torch.device) -> None:
        self._task, self._place, self._losses = task, place, cast("SampleLosses", task.sample_losses)
        self._held: WeakKeyDictionary[nn.Module, tuple[nn.Module, Mark]] = WeakKeyDictionary()

    def ready(self, first: Task, models: Sequence[nn.Module]) -> list[nn.Module]:
        """Each model as it is now, on this device; on the device that it was made for, itself."""
        return [model if self._task is first else self._copy(first, model) for model in models]

    def _copy(self, first: Task, model: nn.Module) -> nn.Module:
        held, mark = self._held.get(model, (None, ())), _mark(model)
        copy = held[0]
        if copy is None:
            before = random_state()
            copy = self._task.new_model()
            set_random_state(before)
        if held[1] != mark:
            state.put(self._task, copy, first.state(model))
            self._held[model] = copy, mark
        return copy.eval()

    def job(self, nets: Sequence[nn.Module], rows: Tensor) -> Callable[[], Tensor]:
        """What a thread does: gradients are off in that which asks, not in others."""

        def losses() -> Tensor:
            here = torch.cuda.device(self._place) if self._place.type == "cuda" else contextlib.nullcontext()
            with here, torch.no_grad():
                return self._losses.of(nets, rows)

        return losses


def _mark(model: nn.Module) -> Mark:
    """Changes with every change of a model's weights: torch counts writes to a tensor."""
    return tuple((t.data_ptr(), t._version) for t in (*model.parameters(), *model.buffers()))  # noqa: SLF001 - no other way
