"""An optimiser as the plan's [training] has it: its rate on a schedule, gradients clipped, some weights without decay.

Knows parameters and torch.optim; knows no sample. A trainer makes one, and asks it for each step.
"""

import fnmatch
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.optim import lr_scheduler

from alx.errors import ConfigError, escape, nearest
from alx.schedule import Schedule
from alx.training import Training

BIAS_AND_NORM = "bias_and_norm"
STEP_SIZE, GAMMA = 1 / 3, 0.1  # of `step`, where the plan does not say: two drops a turn, torch's own factor
LEAST_RISE = 2  # steps of one_cycle: torch divides by one less
_RATES = ("lr", "initial_lr", "max_lr", "min_lr")  # what a schedule keeps in an optimiser's groups

Optimisers = Callable[[Any], torch.optim.Optimizer]
"""Makes an optimiser of parameters, or of groups of them."""


class Descent:
    """An optimiser, and what [training] says of its steps.

    Args:
        model: whose parameters it steps on.
        optimiser: makes one of parameters; where [training] has no_decay, of two groups of them.
        training: the plan's [training].

    Raises:
        ConfigError: no_decay names what no parameter is called.
    """

    def __init__(self, model: nn.Module, optimiser: Optimisers, training: Training) -> None:
        self._parameters = list(model.parameters()) if training.clip is not None else []
        self._optimiser = optimiser(parameters(model, training))
        self._clip, self._schedule = training.clip, training.schedule
        self._scheduler: lr_scheduler.LRScheduler | None = None
        self._last = 0 if self._schedule.changes else -1  # step after which the rate stays
        self._rate: float | None = None

    def pace(self, steps: int) -> None:
        """Say how many steps the turn has, before the first; needed where the rate goes by a schedule.

        Raises:
            ConfigError: the optimiser is none of torch's kind.
        """
        if not self._schedule.changes:
            return
        if not isinstance(self._optimiser, torch.optim.Optimizer):
            raise ConfigError(
                f"[training] in the plan has a schedule, and the optimiser is a {type(self._optimiser).__name__}",
                "torch's schedules need a torch.optim.Optimizer",
            )
        self._scheduler, self._last = scheduler(self._optimiser, self._schedule, steps), steps - 1

    def zero_grad(self) -> None:
        """Forget the gradients of the step before."""
        self._optimiser.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Take one step along the gradients that are there.

        Raises:
            ConfigError: there is a schedule, and `pace` was not called.
        """
        if self._clip is not None:
            nn.utils.clip_grad_norm_(self._parameters, self._clip)
        self._optimiser.step()
        if self._last >= 0:
            self._go_on()

    def _go_on(self) -> None:
        """The rate of the next step."""
        if self._scheduler is None:
            raise ConfigError(
                "[training] in the plan has a schedule, and the trainer does not know how long the turn is",
                "a trainer that wraps another hands pace(steps) on to it: docs/tasks.md",
            )
        self._rate = _rate(self._optimiser)
        if self._scheduler.last_epoch < self._last:
            self._scheduler.step()

    def rate(self) -> float | None:
        """The learning rate of the last step; None where the optimiser has none, or no step was taken yet."""
        return self._rate if self._schedule.changes else _rate(self._optimiser)

    def state_dict(self) -> dict[str, Any]:
        """The optimiser's, and the schedule's."""
        going = None if self._scheduler is None else self._scheduler.state_dict()
        return {"optimiser": self._optimiser.state_dict(), "schedule": going}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self._optimiser.load_state_dict(state["optimiser"])
        if self._scheduler is not None:
            self._scheduler.load_state_dict(state["schedule"])

    def kept(self) -> dict[str, Any]:
        """The optimiser's state, without the rates of a schedule: each turn begins its own."""
        held = self._optimiser.state_dict()
        if not self._schedule.changes:
            return held
        bare = [{name: v for name, v in group.items() if name not in _RATES} for group in held["param_groups"]]
        return {**held, "param_groups": bare}

    def take_up(self, kept: dict[str, Any]) -> None:
        """Go on with the optimiser's state of another turn, at the rates of this one."""
        if self._schedule.changes:
            own = self._optimiser.state_dict()["param_groups"]
            rates = [{name: group[name] for name in _RATES if name in group} for group in own]
            kept = {**kept, "param_groups": [g | r for g, r in zip(kept["param_groups"], rates, strict=True)]}
        self._optimiser.load_state_dict(kept)


def parameters(model: nn.Module, training: Training) -> Any:
    """What an optimiser is made of: what a model trains; with no_decay, what decays and what does not.

    Raises:
        ConfigError: no_decay names what no parameter is called.
    """
    if not training.no_decay:
        return [p for p in model.parameters() if p.requires_grad]
    named = {name: p for name, p in model.named_parameters() if p.requires_grad}
    free = {name for name, p in named.items() if BIAS_AND_NORM in training.no_decay and p.dim() <= 1}
    for pattern in training.no_decay:
        if pattern != BIAS_AND_NORM:
            free |= _matched(pattern, list(named))
    parts: tuple[tuple[list[nn.Parameter], dict[str, float]], ...] = (
        ([p for name, p in named.items() if name not in free], {}),
        ([p for name, p in named.items() if name in free], {"weight_decay": 0.0}),
    )
    return [{"params": part, **options} for part, options in parts if part]


def stepped_on(model: nn.Module, training: Training) -> list[nn.Parameter]:
    """The parameters in the order that an optimiser made of `parameters` counts them in."""
    found = parameters(model, training)
    return [p for group in found for p in group["params"]] if training.no_decay else list(found)


def _matched(pattern: str, names: Sequence[str]) -> set[str]:
    found = {name for name in names if fnmatch.fnmatchcase(name, pattern)}
    if not found:
        raise ConfigError(
            f"[training] no_decay in the plan has '{escape(pattern)}', and no parameter of the model is so called",
            nearest(pattern, [BIAS_AND_NORM, *names])
            or f"'{BIAS_AND_NORM}' is all of one dimension; its first name is '{escape(names[0])}'",
        )
    return found


def scheduler(optimiser: torch.optim.Optimizer, schedule: Schedule, steps: int) -> lr_scheduler.LRScheduler:
    """What torch has for it, over one turn: asked to go on after each step but the last.

    Args:
        optimiser: its rate is the highest.
        schedule: the plan's.
        steps: of the turn. Of a single one, the rate is the optimiser's.
    """
    rises = schedule.rises(steps)
    if steps == 1 or not schedule.changes:
        return lr_scheduler.ConstantLR(optimiser, 1.0, 0)
    if schedule.name == "one_cycle":
        highest = [float(group["lr"]) for group in optimiser.param_groups]
        share = min(steps, max(LEAST_RISE, rises)) / steps
        return lr_scheduler.OneCycleLR(optimiser, highest, total_steps=steps, pct_start=share, cycle_momentum=False)
    after = _after(optimiser, schedule, steps, max(1, steps - rises))
    if not rises:
        return after
    rising = lr_scheduler.LinearLR(optimiser, 1 / (rises + 1), 1.0, rises)  # at none of the turn's steps is the rate 0
    return lr_scheduler.SequentialLR(optimiser, [rising, after], [rises])


def _after(optimiser: torch.optim.Optimizer, schedule: Schedule, steps: int, left: int) -> lr_scheduler.LRScheduler:
    """What follows a warm-up, `left` steps long."""
    if schedule.name == "cosine":
        return lr_scheduler.CosineAnnealingLR(optimiser, left, schedule.min_lr or 0.0)
    if schedule.name == "step":
        size = math.ceil(round((schedule.step_size or STEP_SIZE) * steps, 6))
        return lr_scheduler.StepLR(optimiser, size, schedule.gamma or GAMMA)
    return lr_scheduler.ConstantLR(optimiser, 1.0, 0)


def _rate(optimiser: torch.optim.Optimizer) -> float | None:
    """An optimiser's learning rate, of its first group; one of a user's own may have none."""
    groups = getattr(optimiser, "param_groups", [])
    return float(groups[0]["lr"]) if groups and "lr" in groups[0] else None
