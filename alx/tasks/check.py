"""Is a user's task fit for a first round? What is wrong with it, in words, before anybody carries a disk.

Knows the seam's promises and tries each on the task itself.
"""

import dataclasses
import io
import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from alx.errors import AlxError, escape
from alx.learning import measure, state, trajectory
from alx.learning.task import Averager, Keeper, LossSum, Scores, State, Task, load_whole, whole_state
from alx.tasks import code
from alx.tasks.fresh import Fresh, tried
from alx.tasks.guard import refuse_unsafe
from alx.training import Training

STEPS = 2  # enough to see the weights move, and to save in between
SLACK = 1e-5  # relative: what a loss may differ by where the same weights are laid out otherwise
MOVED = "what needs no gradient counts as frozen; what changes otherwise needs a state of the task's own: docs/tasks.md"
LIKENESS = 1e-3  # relative: what a sample's loss may differ by from one batch to another
ROUNDED = (
    3e-2  # the same of outputs in bfloat16, whose 8 bits round by 4e-3: a kernel adds up a batch in an order of its own
)


def likeness(training: Training | None) -> float:
    """What a sample's loss may differ by, relative and absolute, from one batch to another, as the plan has it measured."""
    return ROUNDED if training is not None and training.measures_rounded else LIKENESS


def check_task(task: Task, seed: int = 0) -> list[str]:
    """Try every promise of `alx.learning.task` on a task.

    Takes a dozen optimiser steps and a few passes over the data; changes nothing outside the models it makes, torch's,
    NumPy's and Python's random states excepted.

    Args:
        task: what `make_task` returned.
        seed: for the weights and the steps.

    Returns:
        What is wrong, one sentence each; empty if the task is fit.
    """
    make = Fresh(task.new_model, task.state)

    def new_model() -> nn.Module:  # as in an exchange: what a state leaves out is the same in each
        trajectory.seed_all(seed)
        return make()

    task = dataclasses.replace(task, new_model=new_model)
    try:
        found, start = _new_model(task, seed)
    except AlxError as error:
        return [_words(error)]
    except Exception as error:  # noqa: BLE001 - a user's own code may raise anything; here it is reported
        return [f"new_model raised {code.told(error)}"]
    if start is None:
        return found
    for check in (_measure, _held_out, _train):
        try:
            found += check(task, start, seed)
        except AlxError as error:
            found.append(_words(error))
        except Exception as error:  # noqa: BLE001 - as above
            found.append(f"{check.__name__[1:]}: the task raised {code.told(error)}")
    return list(dict.fromkeys(found))


def _words(error: AlxError) -> str:
    return f"{error.message} ({error.hint})" if error.hint else error.message


def _same(a: State, b: State) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[n], b[n]) for n in a)


def _new_model(task: Task, seed: int) -> tuple[list[str], State | None]:
    """What is wrong with the model, and its first weights, or None where nothing else can be tried."""
    model = tried(task)
    trajectory.seed_all(seed)
    start = state.fresh(task)
    if not any(p.requires_grad for p in model.parameters()):
        return ["new_model returned a model without weights to train"], None
    found = []
    bad = state.finite(start)
    if bad is not None:
        found.append(f"new_model gives weights that are not finite in '{escape(bad)}'")
    trajectory.seed_all(seed)
    if not _same(start, state.fresh(task)):
        found.append("new_model gives other weights after the same seed: draw them from torch's global random state")
    return found, start


def _is_whole(task: Task) -> bool:
    return (task.state, task.load) == (whole_state, load_whole)


def _pair(task: Task, first: LossSum, others: State) -> list[str]:
    """A task's own account of what a model's state is: `first` is the loss at other weights than `others`."""
    if _is_whole(task):
        return []
    model = task.new_model()
    moved = measure.measure(task, model, others)
    if not _same(state.of(task, model), others):
        return ["state() gives other tensors than load() was given: each has to be the inverse of the other, bit for bit"]
    if moved == first and not task.signed:  # a return may be the same for all weights
        return ["load() of other weights changes no loss: does measure() use the tensors that state() gives?"]
    return []


def _measure(task: Task, start: State, seed: int) -> list[str]:
    model = task.new_model()
    asked = _Asked(model)
    first = measure.measure(task, model, start)
    if not isinstance(first, LossSum):
        return [f"measure() returned a {type(first).__name__}, expected LossSum(total, count)"]
    found = [
        f"measure() gives a {name} that is a {type(value).__name__}, expected {kind.__name__}: {kind.__name__}(…) makes one"
        for name, value, kind in (("total", first.total, float), ("count", first.count, int))
        if not isinstance(value, kind) and not (kind is float and isinstance(value, int))
    ]
    if found:
        return found
    if not math.isfinite(first.total):
        found.append(f"measure() gives {first.total} at the initial weights")
    if first.count < 1:
        found.append(f"measure() counts {first.count} samples, expected at least 1")
    if measure.measure(task, model, start) != first and math.isfinite(first.total):
        found.append("measure() gives another number for the same weights: no random augmentation or dropout there")
    if not _same(state.of(task, model), start):
        found.append("measure() changes the model: it has to leave weights and buffers alone")
    # Two signs together, as a model may be used by another way than a call, and a return may be the same for all weights.
    if not asked.once and measure.measure(task, model, _others(start, seed)) == first:
        found.append("measure() never asks the model it is given: does it measure another one, from outside?")
    return found or _pair(task, first, _others(start, seed)) or _sample_losses(task, start, seed)


def _others(start: State, seed: int) -> State:
    """Weights other than the first ones."""
    noise = torch.Generator().manual_seed(seed)
    out = dict(start)
    for name, value in start.items():
        if value.is_floating_point() or value.is_complex():
            kind = torch.complex64 if value.is_complex() else torch.float32
            added = torch.randn(value.shape, generator=noise, dtype=kind)
            out[name] = (value.to(torch.promote_types(kind, torch.float64)) + added).to(value.dtype)  # float8 has no sums
    return out


class _Asked:
    """Whether a model, or a part of it, was called."""

    def __init__(self, model: nn.Module) -> None:
        self.once = False
        for part in model.modules():
            part.register_forward_pre_hook(self._note)

    def _note(self, _part: nn.Module, _inputs: object) -> None:
        self.once = True


def _sample_losses(task: Task, start: State, seed: int) -> list[str]:
    each = task.sample_losses
    if each is None:
        return []
    if task.signed:
        return ["sample_losses is given, and losses may be below 0 (signed): leave one of the two out"]
    models = [measure.loaded(task, task.new_model(), s) for s in (start, _others(start, seed))]
    count = each.count
    if count != measure.measure(task, models[0], start).count:
        return [f"sample_losses counts {count} samples, and measure() another number"]
    mixed = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    with measure.exact():
        found: Any = each.of(models, mixed)
        if not isinstance(found, torch.Tensor) or found.dtype != torch.float64 or found.shape != (2, count):
            got = f"{found.dtype} {list(found.shape)}" if isinstance(found, torch.Tensor) else f"a {type(found).__name__}"
            return [f"sample_losses returned {got}, expected torch.float64 [2, {count}] for 2 models and {count} samples"]
        alone = each.of(models[1:], mixed[: count // 2 + 1])[0]
        total = task.measure(models[0]).total
    told, near = [], likeness(task.training)
    if bool((found < 0).any()):
        told.append("sample_losses gives a loss below 0: make the task with signed=True, or lift the loss")
    if not math.isclose(float(found[0].sum()), total, rel_tol=near, abs_tol=near):
        told.append(f"sample_losses adds up to {float(found[0].sum()):g}, and measure() gives {total:g}")
    if not torch.allclose(found[1, : len(alone)], alone, rtol=near, atol=near, equal_nan=True):
        told.append("sample_losses gives a sample another loss beside other samples or models: each has to count alone")
    return told


def _held_out(task: Task, start: State, _seed: int) -> list[str]:
    if task.held_out is None:
        return []
    model = measure.loaded(task, task.new_model(), start)
    with measure.exact():
        score = task.held_out(model)
    if not isinstance(score, (int, float, Mapping, Scores)):
        return [f"held_out() returned a {type(score).__name__}, expected float: float(…) makes one"]
    if not _same(state.of(task, model), start):
        return ["held_out() changes the model: it has to leave weights and buffers alone"]
    return []


def _go_on(run: trajectory.Run, steps: int) -> list[State]:
    """Train to `steps`; the states at every STEPS-th step on the way, the first of a fresh run left out."""
    return [s for step, s in trajectory.sample(run, steps, STEPS, lambda _step, _loss: None) if step]


def _step(task: Task, start: State, seed: int) -> list[str]:
    run = trajectory.Run(task, start, seed, STEPS)
    averages = isinstance(run.trainer, Averager)
    if averages and not _same(run.snapshot(), start):
        return ["trainer.snapshot() gives other weights before the first step than those that the turn starts from"]
    frozen = state.digests(task.frozen(run.model))
    losses = [run.trainer.step() for _ in range(STEPS)]
    if not isinstance(losses[0], (int, float)):
        kind = type(losses[0]).__name__
        return [f"trainer.step() returned a {kind}, expected the training loss as float: float(…) makes one"]
    moved = state.of(task, run.model)
    state.refuse_changed(run.tensors, moved, f"at step {STEPS}")
    if _same(moved, start):
        told = "trainer.step() leaves the model's weights as they were: does the optimiser hold this model's parameters, "
        return [told + "and was there something to learn from (an episode that paid more than another, say)?"]
    after = state.digests(task.frozen(run.model))
    changed = next((name for name in frozen if after.get(name) != frozen[name]), None)
    if changed is not None:
        return [f"training changes '{escape(changed)}', which is frozen and does not travel: {MOVED}"]
    if averages and _same(run.snapshot(), start):
        return [f"trainer.snapshot() gives the same weights after {STEPS} steps as before: does it follow the model's?"]
    return [] if _is_whole(task) else _left_out(task, run.model, moved)


def _left_out(task: Task, model: nn.Module, moved: State) -> list[str]:
    """Whether training changed something that the state does not have."""
    with measure.exact():
        trained = task.measure(model.eval()).total
    loaded = measure.measure(task, task.new_model(), moved).total
    near = SLACK if likeness(task.training) == LIKENESS else ROUNDED
    if math.isclose(trained, loaded, rel_tol=near, abs_tol=near) or not math.isfinite(trained):
        return []
    told = f"the trained model's loss is {trained:g}, and that of a new model with its state {loaded:g}"
    return [f"state() leaves out what training changes: {told}"]


def _train(task: Task, start: State, seed: int) -> list[str]:
    """One run that is saved half-way, and the same run undisturbed."""
    found = _step(task, start, seed)
    if found:
        return found
    run = trajectory.Run(task, start, seed, 2 * STEPS)
    (half,) = _go_on(run, STEPS)
    saved = run.state_dict()
    refuse_unsafe(saved["trainer"])
    buffer = io.BytesIO()
    torch.save(saved, buffer)  # at once: what state_dict() returned may go on with the run
    (end,) = _go_on(run, 2 * STEPS)
    undisturbed = _go_on(trajectory.Run(task, start, seed, 2 * STEPS), 2 * STEPS)
    if not _same(undisturbed[0], half):
        return ["the same seed gives another run: draw every random number from torch, or from the seed given"]
    if not _same(undisturbed[1], end):
        return ["saving a run changes how it goes on: the trainer's state_dict() has to change and to draw nothing"]
    buffer.seek(0)
    rest = trajectory.Run(task, start, seed, 2 * STEPS)
    rest.load_state_dict(torch.load(buffer, weights_only=True))
    if not _same(_go_on(rest, 2 * STEPS)[0], end):
        return ["a run that was saved and loaded goes on otherwise: state_dict() of the trainer leaves something out"]
    return _keeps(task, start, seed, rest) if isinstance(rest.trainer, Keeper) else []


def _keeps(task: Task, start: State, seed: int, run: trajectory.Run) -> list[str]:
    """A new trainer that takes up what another hands on has it to hand on."""
    kept = run.kept()
    refuse_unsafe(kept, "kept()")
    buffer = io.BytesIO()
    torch.save(kept, buffer)
    buffer.seek(0)
    following = trajectory.Run(task, start, seed, 2 * STEPS)
    following.take_up(torch.load(buffer, weights_only=True))
    if _alike(following.kept(), kept):
        return []
    return ["trainer.take_up() leaves something out: kept() of a new trainer is then another than what it took up"]


def _alike(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and torch.equal(a, b)
    if isinstance(a, dict):
        return isinstance(b, dict) and a.keys() == b.keys() and all(_alike(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return isinstance(b, (list, tuple)) and len(a) == len(b) and all(map(_alike, a, b))
    return bool(a == b)
