"""A training loop of one's own, left as it is but for a `yield` at each step: a task's trainer.

Knows loops; knows no plan. A loop that stands still in the middle cannot be written to a disk. What can is all that it
works on: whatever it yields beside the loss, and its place in the loader. To go on, the loop is begun anew, takes one step,
so that it has made what it works on, and everything is put back where it was. Numbers that the loop counts itself are not:
they begin again, and `alx check` sees those that matter at once.
"""

import copy
import dataclasses
import inspect
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from alx.errors import ConfigError, escape
from alx.learning.task import Task, Trainer
from alx.tasks.data.samples import Samples
from alx.tasks.loader import UNSAVED, Loader
from alx.tasks.objective import Loss, Score
from alx.tasks.supervised import supervised

HINT = "yield the loss, then whatever has a state: yield loss, optimizer, scheduler"

Train = Callable[[nn.Module, Loader, int], Iterator[Any]]
"""(model, loader, steps of the turn) -> yields (loss, optimiser, whatever else has a state) after each optimiser step."""


class Loop:
    """The trainer that a loop is.

    Args:
        model: trained in place.
        train: the loop.
        loader: what it goes over.
        seed: of a loader that draws from a generator of its own.

    Raises:
        ConfigError: the loader cannot be gone over again. When used: the loop is no generator, yields something else, leaves
            out what has a state, or ends before the turn does; or `pace` was not called.
    """

    def __init__(self, model: nn.Module, train: Train, loader: Iterable[Any], seed: int) -> None:
        self._model, self._train, self._loader = model, train, Loader(loader, seed)
        self._loop: Iterator[Any] = iter(())
        self._kept: tuple[Any, ...] = ()
        self._steps = self._at = 0
        self._rate: float | None = None

    def pace(self, steps: int) -> None:
        """How many steps the turn has: the loop is begun."""
        self._loop, self._steps = self._train(self._model, self._loader, steps), steps
        if not isinstance(self._loop, Iterator):
            got = escape(type(self._loop).__name__)
            raise ConfigError(f"the loop returned a {got}, expected a generator", f"{HINT}, after each step")

    def rate(self) -> float | None:
        """The learning rate of the last step: that of the first optimiser's first group."""
        return self._rate

    def step(self) -> float:
        """Let the loop come to its next `yield`.

        Returns:
            The loss that it yields.
        """
        if not self._steps:
            raise ConfigError(
                "the loop was not told how many steps its turn has",
                "a trainer that wraps another hands pace(steps) on to it: docs/tasks.md",
            )
        optimisers = (each for each in self._kept if isinstance(each, torch.optim.Optimizer))
        self._rate = next((float(each.param_groups[0]["lr"]) for each in optimisers), None)  # a schedule moves on at once
        found: Any = next(self._loop, self)
        if found is self:
            raise ConfigError(
                f"the loop ended after {self._at} steps, and the turn has {self._steps}",
                "go over the loader again and again: for epoch in itertools.count()",
            )
        loss, *kept = found if isinstance(found, tuple) else (found,)
        if len(kept) != len(self._kept) or not self._at:
            self._refuse_left_out(kept)
        self._kept, self._at = tuple(kept), self._at + 1
        return float(loss.detach() if isinstance(loss, Tensor) else loss)

    def _refuse_left_out(self, kept: list[Any]) -> None:
        for each in kept:
            if not _has_state(each):
                raise ConfigError(f"the loop yields a {escape(type(each).__name__)}, which has no state_dict", HINT)
        seen = {id(each) for each in (*kept, *self._model.modules())}
        weights = {id(weight) for weight in self._model.parameters()}
        mine = inspect.getgeneratorlocals(self._loop) if isinstance(self._loop, Generator) else {}
        for name, value in mine.items():
            if isinstance(value, UNSAVED):
                raise ConfigError(
                    f"the loop's {escape(name)} is a random generator whose state nobody saves",
                    "draw from torch's or NumPy's global one, or from a torch.Generator that is yielded",
                )
            if id(value) in seen or not _has_state(value):
                continue
            # the model in a wrapper, or a loss, has nothing of its own to learn
            if isinstance(value, nn.Module) and all(id(weight) in weights for weight in value.parameters()):
                continue
            raise ConfigError(f"the loop's {escape(name)} has a state, and the loop does not yield it", HINT)

    def state_dict(self) -> dict[str, Any]:
        """What the loop yielded, the place in the loader, and which parts of the model are in training mode."""
        return {
            "at": self._at,
            "kept": [_state(each) for each in self._kept],
            "loader": self._loader.place(),
            "training": [part.training for part in self._model.modules()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict()`."""
        if not state["at"]:
            return
        model = copy.deepcopy(self._model.state_dict())
        self.step()
        self._model.load_state_dict(model)
        for part, training in zip(self._model.modules(), state["training"], strict=True):
            part.training = training
        self._at = state["at"]
        self._loader.go_to(state["loader"])  # before what is kept: the loader may draw from a generator that is
        for each, saved in zip(self._kept, state["kept"], strict=True):
            (each.set_state if isinstance(each, torch.Generator) else each.load_state_dict)(saved)


def _has_state(value: object) -> bool:
    return isinstance(value, torch.Generator) or (
        not isinstance(value, (Loader, type)) and all(hasattr(value, name) for name in ("state_dict", "load_state_dict"))
    )


def _state(value: Any) -> Any:
    return value.get_state() if isinstance(value, torch.Generator) else value.state_dict()


def looped(
    model: Callable[[], nn.Module],
    train: Train,
    loader: Iterable[Any],
    data: Samples | Dataset[Any],
    loss: Loss,
    *,
    validation: Samples | Dataset[Any] | None = None,
    held_out: Samples | Dataset[Any] | None = None,
    score: Score | None = None,
    device: str | torch.device = "cpu",
    signed: bool = False,
) -> Task:
    """Make a Task of a training loop.

    Args:
        model: a function that makes the model; weights drawn from torch's global random state.
        train: the loop: a generator function of the model, the loader and the number of steps of the turn. After each
            optimiser step it yields a tuple: the loss, then whatever it works on that has a state, the same each time.
        loader: what the loop goes over, in training: augmented, shuffled, by workers.
        data: the site's own samples as they are, each (input, target): losses are measured over them.
        loss: one loss a sample, as `supervised` takes it; what is measured, whatever the loop minimises.
        validation: as `supervised` takes it, and so are the others.
        held_out: samples kept apart.
        score: what outputs are worth there.
        device: where the model and what is measured live; the loop moves its batches itself.
        signed: a sample's loss may be below 0.

    Raises:
        ConfigError: as `supervised`, and as `Loop` when used.
    """
    measured = supervised(
        model, data, loss, _none, validation=validation, held_out=held_out, score=score, device=device, signed=signed
    )

    def trainer(net: nn.Module, seed: int) -> Trainer:
        return Loop(net, train, loader, seed)

    return dataclasses.replace(measured, trainer=trainer)


def _none(_parameters: Any) -> torch.optim.Optimizer:
    raise AssertionError  # the loop makes its own
