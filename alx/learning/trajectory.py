"""Run a turn's training and sample it: the state at step 0, at every period-th step, and at the last.

Knows a task and its trainer; writes nothing. Sampling only copies: the run is the same whatever the period, so the
snapshots of period 2 are every second one of period 1, bit for bit (CPU). T includes the final state, which the paper
leaves open ("t = 0, 1, ..., T-1"); without it the last steps of work would be lost. Our reading.
"""

import math
import random
from collections.abc import Callable, Iterator
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from alx.errors import ConfigError, DivergedError
from alx.learning import measure, state, validation
from alx.learning.task import Averager, Keeper, Paced, Rated, State, Task, Trainer
from alx.learning.validation import Validation


def seed_torch(seed: int) -> None:
    """`torch.manual_seed`, which else keeps a traceback for each kind of device that is not there."""
    if torch.accelerator.is_available():
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


def seed_all(seed: int) -> None:
    """Seed every random generator a task may draw from: torch, NumPy's and Python's global ones."""
    seed_torch(seed)
    np.random.seed(seed % (1 << 32))  # noqa: NPY002 - a user's data set may use the global one
    random.seed(seed)


def _random_state() -> dict[str, Any]:
    name, keys, position, has_gauss, gauss = cast("tuple[Any, ...]", np.random.get_state())  # noqa: NPY002
    version, internal, following = random.getstate()
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": [name, torch.tensor(keys.astype(np.int64)), int(position), int(has_gauss), float(gauss)],
        "python": [version, list(internal), following],
    }


def _set_random_state(saved: dict[str, Any]) -> None:
    torch.set_rng_state(saved["torch"])
    if len(saved["cuda"]) == torch.cuda.device_count() > 0:  # else the turn goes on elsewhere, not bit for bit
        torch.cuda.set_rng_state_all(saved["cuda"])
    name, keys, *rest = saved["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))  # noqa: NPY002
    version, internal, following = saved["python"]
    random.setstate((version, tuple(internal), following))


def _keeper(trainer: Trainer) -> Keeper:
    if not isinstance(trainer, Keeper):
        raise ConfigError(
            "the plan says keep under [optimiser], and the task's trainer has no kept() and take_up()",
            "docs/tasks.md says what they are",
        )
    return trainer


class Run:
    """One turn's training: a model, its trainer and the step it is at.

    Args:
        task: what the user brought.
        start: the state to begin from.
        seed: of this turn; the same seed gives the same run on a CPU.
        steps: of the turn; a trainer that goes by them needs to know.
        validation: when to take the mean loss of `Task.measure` on the way; None: never.
    """

    def __init__(
        self, task: Task, start: State, seed: int, steps: int | None = None, validation: Validation | None = None
    ) -> None:
        self.task, self.model = task, task.new_model()
        self.tensors = state.describe(start)
        state.put(task, self.model, start)
        self._frozen = set(task.frozen(self.model))
        self.model.train()
        seed_all(seed)
        self.trainer = task.trainer(self.model, seed)
        if steps is not None and isinstance(self.trainer, Paced):
            self.trainer.pace(steps)
        self.at = 0
        self.validation, self.curve = validation, list[tuple[int, float]]()
        self._judge: nn.Module | None = None

    def snapshot(self, *, rounded: bool = False) -> dict[str, Tensor]:
        """A copy of what is sampled now: the model's state, or what its trainer offers in its place.

        Raises:
            ConfigError: training changed its tensors in name, dtype or shape.
        """
        trainer = self.trainer
        offered = trainer.snapshot() if isinstance(trainer, Averager) else self.task.state(self.model)
        copy = state.copied({name: value for name, value in offered.items() if name not in self._frozen})
        state.refuse_changed(self.tensors, copy, f"at step {self.at}")
        return state.rounded(copy, self.task.personal) if rounded else copy

    @property
    def over(self) -> bool:
        """Whether the run has ended by validation, whatever steps are left."""
        return self.validation is not None and self.validation.over(self.curve)

    @property
    def rate(self) -> float | None:
        """The learning rate of the last step, where the trainer says it."""
        return self.trainer.rate() if isinstance(self.trainer, Rated) else None

    def validate(self) -> None:
        """Put the mean loss of `Task.measure`, at what is sampled now, on the curve; the run goes on as if it had not."""
        before = _random_state()
        if self._judge is None:
            self._judge = self.task.new_model()
        found = measure.measure(self.task, self._judge, self.snapshot())
        _set_random_state(before)
        self.curve.append((self.at, found.total / found.count))

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on bit-identically in a new process; not a copy, so write it before the next step.

        Raises:
            ConfigError: training changed the model's tensors, and a new model would not take them.
        """
        model = self.task.state(self.model)
        state.refuse_changed(self.tensors, model, f"at step {self.at}")
        return {
            "at": self.at,
            "model": {name: value.detach() for name, value in model.items()},
            "trainer": self.trainer.state_dict(),
            "random": _random_state(),
            "curve": list(self.curve),
        }

    def kept(self) -> dict[str, Any]:
        """What the trainer hands on to its side's next turn; not a copy.

        Raises:
            ConfigError: it is no `Keeper`.
        """
        return _keeper(self.trainer).kept()

    def take_up(self, kept: dict[str, Any]) -> None:
        """Begin with what this side's turn before handed on.

        Raises:
            ConfigError: the trainer is no `Keeper`.
        """
        _keeper(self.trainer).take_up(kept)

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        self.at, self.curve = saved["at"], list(saved["curve"])
        state.put(self.task, self.model, saved["model"])
        self.trainer.load_state_dict(saved["trainer"])
        _set_random_state(saved["random"])


def sample(
    run: Run, steps: int, period: int, tell: Callable[[int, float], None], *, rounded: bool = False
) -> Iterator[tuple[int, dict[str, Tensor]]]:
    """Train to step `steps` and yield (step, state) along the way.

    Args:
        run: at step 0, or where a saved one left off (that step's snapshot is not yielded again).
        steps: optimiser steps of the turn (the paper's T).
        period: steps between snapshots (the paper's I).
        tell: called after each step, and after its snapshot was taken, with the step and its training loss.
        rounded: round the copies (`state.rounded`); the run itself goes on unrounded.

    Yields:
        Copies of the state at 0, period, 2·period, …, and at `steps`; where validation may end the run, also at each
        step at which it was better than before.

    Raises:
        DivergedError: a snapshot holds NaN or infinity, or the training loss is not finite.
        ConfigError: training changed the model's tensors in name, dtype or shape.
    """
    if run.at == 0:
        yield 0, run.snapshot(rounded=rounded)
    while run.at < steps and not run.over:
        loss = run.trainer.step()
        run.at += 1
        if not math.isfinite(loss):
            raise DivergedError(f"the training loss is {loss} at step {run.at}", "lower the learning rate in the plan")
        better = False
        if run.validation is not None and run.validation.due(run.at, steps):
            run.validate()
            better = run.validation.patience is not None and validation.best(run.curve) == run.at
        if run.at % period == 0 or run.at == steps or better:
            copy = run.snapshot(rounded=rounded)
            bad = state.finite(copy)
            if bad is not None:
                raise DivergedError(f"'{bad}' is not finite at step {run.at}", "lower the learning rate in the plan")
            yield run.at, copy
        tell(run.at, loss)  # after the snapshot: what is told of is kept
