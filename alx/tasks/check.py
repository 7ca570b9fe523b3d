"""Is a user's task fit for a first round? What is wrong with it, in words, before anybody carries a disk.

Knows the seam's promises and tries each on the task itself.
"""

import math

import torch

from alx.errors import AlxError
from alx.learning import measure, state, trajectory
from alx.learning.task import LossSum, State, Task

STEPS = 2  # enough to see the weights move, and to save in between


def check_task(task: Task, seed: int = 0) -> list[str]:
    """Try every promise of `alx.learning.task` on a task.

    Takes a few optimiser steps and a few passes over the data; changes nothing outside the models it makes.

    Args:
        task: what `make_task` returned.
        seed: for the weights and the steps.

    Returns:
        What is wrong, one sentence each; empty if the task is fit.
    """
    found: list[str] = []
    try:
        trajectory.seed_all(seed)
        start = state.of(task.new_model())
        state.describe(start)
        trajectory.seed_all(seed)
        again = state.of(task.new_model())
    except AlxError as error:
        return [error.message]
    except Exception as error:  # noqa: BLE001 - a user's own code may raise anything; here it is told in words
        return [f"new_model() raised {type(error).__name__}: {error}"]
    if not _same(start, again):
        found.append("new_model() gives other weights after the same seed: draw them from torch's global random state")
    for check in (_measure, _train, _resume):
        try:
            found += check(task, start, seed)
        except AlxError as error:
            found.append(error.message)
        except Exception as error:  # noqa: BLE001 - as above
            found.append(f"{check.__name__[1:]}: the task raised {type(error).__name__}: {error}")
    return found


def _same(a: State, b: State) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def _measure(task: Task, start: State, _seed: int) -> list[str]:
    model = task.new_model()
    first = measure.measure(task, model, start)
    if not isinstance(first, LossSum):
        return [f"measure() returned a {type(first).__name__}, expected LossSum(total, count)"]
    found = []
    if not math.isfinite(first.total):
        found.append(f"measure() gives {first.total} at the initial weights")
    if first.count < 1:
        found.append(f"measure() counts {first.count} samples, expected at least 1")
    if measure.measure(task, model, start) != first:
        found.append("measure() gives another number for the same weights: no random augmentation or dropout there")
    if not _same(state.of(model), start):
        found.append("measure() changes the model: it has to leave weights and buffers alone")
    return found


def _steps(task: Task, start: State, seed: int, steps: int) -> trajectory.Run:
    run = trajectory.Run(task, start, seed)
    for _ in trajectory.sample(run, steps, steps, lambda _step, _loss: None):
        pass
    return run


def _train(task: Task, start: State, seed: int) -> list[str]:
    run = _steps(task, start, seed, STEPS)
    if _same(state.of(run.model), start):
        return ["trainer.step() leaves the model's weights as they were: does the optimiser hold this model's parameters?"]
    if not _same(state.of(_steps(task, start, seed, STEPS).model), state.of(run.model)):
        return ["the same seed gives another run: draw every random number from torch, or from the seed given"]
    return []


def _resume(task: Task, start: State, seed: int) -> list[str]:
    saved = _steps(task, start, seed, STEPS).state_dict()
    fault = _unsafe(saved["trainer"], "state_dict()")
    if fault is not None:
        return [fault]
    whole = _steps(task, start, seed, 2 * STEPS)
    rest = trajectory.Run(task, start, seed)
    rest.load_state_dict(saved)
    for _ in trajectory.sample(rest, 2 * STEPS, STEPS, lambda _step, _loss: None):
        pass
    if not _same(state.of(whole.model), state.of(rest.model)):
        return ["a run that was saved and loaded goes on otherwise: state_dict() of the trainer leaves something out"]
    return []


def _unsafe(value: object, where: str) -> str | None:
    """Where a trainer's state holds something that is not written without pickling."""
    if value is None or isinstance(value, (torch.Tensor, bool, int, float, str)):
        return None
    if isinstance(value, dict):
        pairs = [(f"{where}[{k!r}]", v) for k, v in value.items()]
    elif isinstance(value, (list, tuple)):
        pairs = [(f"{where}[{i}]", v) for i, v in enumerate(value)]
    else:
        return f"the trainer's {where} is a {type(value).__name__}: keep tensors, numbers, strings, lists and dicts only"
    return next((told for w, v in pairs if (told := _unsafe(v, w))), None)
