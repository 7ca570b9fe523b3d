"""The trainer that several ranks are, as rank 0 has it: each of its steps is one of all.

Knows a trainer, and how ranks are told; knows no data.
"""

from typing import Any, cast

import torch
from torch import nn

from alx.errors import ConfigError
from alx.learning.task import Averager, Keeper, Paced, Rated, State, Task, Trainer
from alx.tasks.orders import Do, packed, tensors
from alx.tasks.ranks import Ranks

SEEDS = 1 << 62


class _Led:
    """A trainer whose every step is one of all ranks; what it saves is the same on each, and rank 0's is asked."""

    def __init__(self, group: Ranks, trainer: Any, model: nn.Module) -> None:
        self._group, self._trainer, self._model = group, trainer, model

    def step(self) -> float:
        # the others' random numbers follow from this one; rank 0's own go on, and are saved: each rank has other dropout
        with self._group.command(Do.STEP, int(torch.randint(SEEDS, ()))):
            return cast("float", self._trainer.step())

    def pace(self, steps: int) -> None:
        with self._group.command(Do.PACE, steps):
            pace(self._trainer, steps)

    def rate(self) -> float | None:
        return self._trainer.rate() if isinstance(self._trainer, Rated) else None

    def state_dict(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self._trainer.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        with self._group.command(Do.RESTORE, 0, packed(state)):
            self._group.share(tensors(self._model))
            self._trainer.load_state_dict(state)


class _LedKeeper(_Led):
    """The same where something is handed on."""

    def kept(self) -> dict[str, Any]:
        return cast("dict[str, Any]", self._trainer.kept())

    def take_up(self, kept: dict[str, Any]) -> None:
        with self._group.command(Do.TAKE_UP, 0, packed(kept)):
            self._trainer.take_up(kept)


class _LedAverager(_Led):
    """The same where there is a `snapshot`."""

    def snapshot(self) -> State:
        return cast("State", self._trainer.snapshot())


class _LedBoth(_LedAverager, _LedKeeper):
    """The same where there is both."""


_KINDS: dict[tuple[bool, bool], type[_Led]] = {
    (False, False): _Led,
    (False, True): _LedKeeper,
    (True, False): _LedAverager,
    (True, True): _LedBoth,
}


def trainer(group: Ranks, task: Task, model: nn.Module, seed: int) -> Trainer:
    """The task's trainer, made on all ranks.

    Raises:
        ConfigError: it does not share its steps: each rank would train by itself, and nobody would see it.
    """
    before = group.trainers
    with group.command(Do.TRAINER, seed):
        group.share(tensors(model))
        made = task.trainer(model, seed)
    if group.trainers == before:
        raise ConfigError(
            f"the task's trainer cannot share its steps between {group.world} ranks",
            "one that supervised makes can; train this one without torchrun; import-and-select may have ranks",
        )
    return _KINDS[isinstance(made, Averager), isinstance(made, Keeper)](group, made, model)


def pace(trainer: Any, steps: int) -> None:
    """Tell a trainer how long its turn is, if it asks."""
    if isinstance(trainer, Paced):
        trainer.pace(steps)
