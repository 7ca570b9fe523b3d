"""From plan and site file to a Task.

Knows where things are named; the work is done by `data`, `models` and `supervised`, or by the user's `make_task`.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from alx.errors import ConfigError, escape
from alx.learning.task import Averager, LossSum, SampleLosses, State, Task, Trainer, load_whole, whole_state
from alx.learning.trajectory import seed_all
from alx.plan import Plan
from alx.records import Scalar
from alx.tasks import code, fit, models
from alx.tasks.check import refuse_unsafe
from alx.tasks.data import kinds
from alx.tasks.fresh import Fresh, tried
from alx.tasks.objective import losses, optimisers, scores
from alx.tasks.supervised import supervised

NOISE = 1e-6  # what float32 may leave below 0 of a loss that is 0


class SiteConfig(Protocol):
    """What is needed of site.toml; `alx.site.site_file.SiteFile` is one."""

    @property
    def task(self) -> str:
        """`built-in`, or a file with `make_task`."""
        ...

    @property
    def device(self) -> str:
        """See `device` below."""
        ...

    @property
    def data(self) -> kinds.Source | None:
        """The site's own data."""
        ...

    @property
    def settings(self) -> dict[str, Scalar | list[Scalar]]:
        """For a task of one's own."""
        ...


class Own(dict[str, Scalar | list[Scalar]]):
    """The [settings] of a site.toml; what is not there is told in words."""

    def __missing__(self, name: str) -> Scalar | list[Scalar]:
        raise ConfigError(f"[settings] in site.toml has no '{escape(name)}'", "add it there: it stays on this side")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a user's `make_task` is given.

    Attributes:
        plan: the agreement; `plan.settings` holds what the user put there for both sides.
        own: the [settings] of this site's own site.toml.
        folder: the site's folder; relative paths start there.
        device: where to train.
    """

    plan: Plan
    own: Own
    folder: Path
    device: torch.device

    @property
    def model(self) -> Callable[[], nn.Module]:
        """The function that makes the plan's [model].

        Raises:
            ConfigError: the plan has none, or it is not found.
        """
        if self.plan.model is None:
            raise ConfigError("the plan has no [model]", "docs/plan.md describes it")
        return models.find(self.plan.model, self.folder)

    @property
    def optimiser(self) -> Callable[[Any], torch.optim.Optimizer]:
        """Makes the plan's [optimiser] of a model's parameters.

        Raises:
            ConfigError: torch refuses its options.
        """
        return optimisers(self.plan.optimiser.name, self.plan.optimiser.options())


def device(name: str) -> torch.device:
    """`auto` is a GPU when there is one.

    Raises:
        ConfigError: torch knows no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(name)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"there is no device '{escape(name)}' here: {escape(str(error))}", 'device = "auto" takes what is there'
        ) from error
    return place


def task(folder: Path, config: SiteConfig, plan: Plan) -> Task:
    """The site's task.

    Args:
        folder: the site's folder.
        config: its site.toml.
        plan: the agreement.

    Raises:
        ConfigError: something named cannot be used.
    """
    place = device(config.device)
    if config.task != "built-in":
        return _own(folder, config, plan, place)
    if config.data is None:
        raise ConfigError("site.toml has no [data]", "add it, or name a task of your own: docs/site.md")
    if plan.model is None:
        raise ConfigError("the plan has no [model], and the built-in task needs one", "docs/plan.md describes it")
    if plan.loss == "own":
        raise ConfigError('loss = "own" needs a task of your own', "docs/tasks.md shows one")
    own, held_out = kinds.load(config.data, folder, plan)
    made = supervised(
        models.find(plan.model, folder),
        own,
        losses(plan.loss),
        optimisers(plan.optimiser.name, plan.optimiser.options()),
        batch_size=plan.batch_size,
        held_out=held_out,
        score=scores(plan.loss),
        device=place,
        training=plan.training,
    )
    guarded = _guarded(made, plan.seed)
    model, name = _tried(guarded), escape(Path(config.data.path).name)
    fit.refuse_misfit(model, own, plan.loss, f"'{name}'", place, plan.batch_size)
    if held_out is not None:
        fit.refuse_misfit(model, held_out, plan.loss, f"the samples kept apart from '{name}'", place)
    return dataclasses.replace(guarded, inputs=kinds.made_of(own, plan))


def _own(folder: Path, config: SiteConfig, plan: Plan, place: torch.device) -> Task:
    """The task of a user's own file."""
    name = escape(config.task)
    make = getattr(code.file(folder / config.task), "make_task", None)
    if not callable(make):
        raise ConfigError(f"'{name}' has no function make_task", "docs/tasks.md shows one")
    made = code.call(f"make_task of '{name}'", make, Settings(plan, Own(config.settings), folder, place))
    if not isinstance(made, Task):
        raise ConfigError(
            f"make_task of '{name}' returned a {type(made).__name__}, expected a Task", "docs/tasks.md shows one"
        )
    if made.signed and plan.loss != "own":
        raise ConfigError(
            f"the losses of '{name}' may be below 0, and the plan says loss = \"{plan.loss}\"",
            'set loss = "own" in the plan, on both sides',
        )
    guarded = _guarded(made, plan.seed)
    _tried(guarded)
    return guarded


def _tried(task: Task) -> nn.Module:
    """See `fresh.tried`; a model's own state_dict, or load_state_dict, may raise anything."""
    with torch.random.fork_rng(devices=[]):
        model: nn.Module = code.call("the model's state", tried, task)
    return model


class _Guarded:
    """A trainer whose every exception is told in words, that it has no such method too."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def _call(self, name: str, *arguments: Any) -> Any:
        return getattr(self._trainer, name)(*arguments)

    def step(self) -> float:
        return code.number("a training step", self._call, "step")

    def state_dict(self) -> dict[str, Any]:
        saved = code.call("the trainer's state_dict", self._call, "state_dict")
        refuse_unsafe(saved)
        return dict(saved)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        code.call("the trainer's load_state_dict", self._call, "load_state_dict", state)


class _GuardedAverager(_Guarded):
    """The same where there is a `snapshot`."""

    def snapshot(self) -> State:
        return _mapping("the trainer's snapshot", code.call("the trainer's snapshot", self._call, "snapshot"))


def _mapping(what: str, found: object) -> State:
    if not isinstance(found, Mapping):
        raise ConfigError(f"{what} returned a {type(found).__name__}, expected a dict of tensors by name")
    return found


def _guarded(task: Task, seed: int) -> Task:
    """The same task: every model made after the plan's seed, and what a user's code raises told in words."""

    def state(model: nn.Module) -> State:
        return _mapping("state", code.call("state", task.state, model))

    def load(model: nn.Module, held: State) -> None:
        code.call("load", task.load, model, held)

    own_state = task.state if task.state is whole_state else state
    fresh = Fresh(task.new_model, own_state)

    def new_model() -> nn.Module:
        seed_all(seed)
        model: nn.Module = code.call("new_model", fresh)
        return model

    def measure(model: nn.Module) -> LossSum:
        found = code.call("measure", task.measure, model)
        if not isinstance(found, LossSum):
            raise ConfigError(f"measure returned a {type(found).__name__}, expected LossSum(total, count)")
        count = code.call("the count of measure", int, found.count)
        if count < 1:
            raise ConfigError(f"measure counts {count} samples, expected at least 1")
        return LossSum(code.number("the total of measure", getattr, found, "total"), count)

    if not isinstance(task.sample_losses, SampleLosses | None):
        raise ConfigError(f"sample_losses is a {type(task.sample_losses).__name__}, expected SampleLosses(count, of)")

    def trainer(model: nn.Module, turn_seed: int) -> Trainer:
        made = code.call("trainer", task.trainer, model, turn_seed)
        return _GuardedAverager(made) if isinstance(made, Averager) else _Guarded(made)

    held_out, made_up = task.held_out, task.objective
    return Task(
        new_model=new_model,
        trainer=trainer,
        measure=measure,
        held_out=None if held_out is None else lambda model: code.number("held_out", held_out, model),
        signed=task.signed,
        sample_losses=None if task.sample_losses is None or task.signed else _guarded_samples(task.sample_losses),
        objective=None if made_up is None else lambda drawn: code.call("objective", made_up, drawn),
        state=own_state,
        load=task.load if task.load is load_whole else load,
    )


def _guarded_samples(each: SampleLosses) -> SampleLosses:
    def of(models: Sequence[nn.Module], indices: Tensor) -> Tensor:
        found: object = code.call("sample_losses", each.of, models, indices)
        expected = (len(models), len(indices))
        if not isinstance(found, Tensor):
            raise ConfigError(f"sample_losses returned a {type(found).__name__}, expected a tensor")
        if (found.dtype, found.shape, found.device.type) != (torch.float64, expected, "cpu"):
            got = f"{found.dtype} {list(found.shape)} on {found.device}"
            raise ConfigError(f"sample_losses returned {got}, expected torch.float64 {list(expected)} on cpu")
        if bool((found < -NOISE).any()):
            raise ConfigError(
                f"a sample's loss is {float(found.nan_to_num(0).min()):g}, and the task says that none is below 0",
                'make the task with signed=True, and set loss = "own" in the plan, on both sides',
            )
        return found.clamp(min=0)

    return SampleLosses(code.call("the count of sample_losses", int, each.count), of)
