"""A task whose user's code is called from here alone: whatever it raises, or gives that cannot be used, is reported.

Knows the seam; knows no plan and no data.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from alx.errors import ConfigError, escape
from alx.learning.noise import Guard
from alx.learning.task import (
    Averager,
    Canaries,
    Keeper,
    LossSum,
    Members,
    Paced,
    Rated,
    SampleLosses,
    Scores,
    State,
    Task,
    Trainer,
    Values,
    load_whole,
    nothing,
    whole_state,
)
from alx.learning.trajectory import seed_all
from alx.tasks import code
from alx.tasks.fresh import Fresh

NOISE = 1e-6  # what float32 may leave below 0 of a loss that is 0
MAX_SCORES, MAX_NAME = 100, 80  # of one's own, and letters of a name: all are kept in the ledger, for each selection


class _Guarded:
    """A trainer whose every exception is reported, that it has no such method too."""

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

    def pace(self, steps: int) -> None:
        if isinstance(self._trainer, Paced):
            code.call("the trainer's pace", self._call, "pace", steps)

    def rate(self) -> float | None:
        found = code.call("the trainer's rate", self._call, "rate") if isinstance(self._trainer, Rated) else None
        return None if found is None else code.number("the trainer's rate", lambda: found)


class _GuardedKeeper(_Guarded):
    """The same where something is handed on."""

    def kept(self) -> dict[str, Any]:
        found = code.call("the trainer's kept", self._call, "kept")
        refuse_unsafe(found, "kept()")
        return dict(found)

    def take_up(self, kept: dict[str, Any]) -> None:
        code.call("the trainer's take_up", self._call, "take_up", kept)


class _GuardedAverager(_Guarded):
    """The same where there is a `snapshot`."""

    def snapshot(self) -> State:
        return _mapping("the trainer's snapshot", code.call("the trainer's snapshot", self._call, "snapshot"))


class _GuardedBoth(_GuardedAverager, _GuardedKeeper):
    """The same where there is both."""


_KINDS: dict[tuple[bool, bool], type[_Guarded]] = {
    (False, False): _Guarded,
    (False, True): _GuardedKeeper,
    (True, False): _GuardedAverager,
    (True, True): _GuardedBoth,
}


def _mapping(what: str, found: object) -> State:
    if not isinstance(found, Mapping):
        raise ConfigError(f"{what} returned a {type(found).__name__}, expected a dict of tensors by name")
    return found


def _scores(found: object) -> float | Values | Scores:
    if isinstance(found, Scores):
        return found
    if not isinstance(found, Mapping):
        return code.number("held_out", lambda: found)
    if not 0 < len(found) <= MAX_SCORES:
        raise ConfigError(
            f"held_out gave {len(found):,} numbers, expected 1 to {MAX_SCORES}",
            "the first is compared from selection to selection; all of them are kept in the ledger",
        )
    told: dict[str, float | None] = {}
    for name, value in found.items():
        short = escape(str(name), MAX_NAME)
        told[short] = None if value is None else code.number(f"held_out's '{short}'", lambda given: given, value)
    return told


def guarded(task: Task, seed: int) -> Task:
    """The same task: every model made after the plan's seed, and what a user's code raises reported."""

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

    losses, members = _losses(task)

    def trainer(model: nn.Module, turn_seed: int) -> Trainer:
        made = code.call("trainer", task.trainer, model, turn_seed)
        return _KINDS[isinstance(made, Averager), isinstance(made, Keeper)](made)

    def part(name: str, of: Callable[[nn.Module], State]) -> Callable[[nn.Module], State]:
        return of if of is nothing else lambda model: _mapping(name, code.call(name, of, model))

    held_out, made_up = task.held_out, task.objective
    return Task(
        new_model=new_model,
        trainer=trainer,
        measure=measure,
        held_out=None if held_out is None else lambda model: _scores(code.call("held_out", held_out, model)),
        signed=task.signed,
        sample_losses=losses,
        members=members,
        objective=None if made_up is None else lambda drawn: code.call("objective", made_up, drawn),
        state=own_state,
        load=task.load if task.load is load_whole else load,
        frozen=part("frozen", task.frozen),
        personal=task.personal,
        training=task.training,
        selects_on=task.selects_on,
        trained=task.trained,
        data=task.data,
        private=task.private and partial(_private, task.private),
    )


def _private(
    private: Callable[[Guard], Callable[[nn.Module, int], Trainer]], guard: Guard
) -> Callable[[nn.Module, int], Trainer]:
    made = code.call("private", private, guard)
    return lambda model, turn_seed: _GuardedKeeper(code.call("trainer", made, model, turn_seed))


def _losses(task: Task) -> tuple[SampleLosses | None, Members | None]:
    """A task's losses of single samples, where none is below 0."""
    each, both = task.sample_losses, task.members
    if not isinstance(both, Members | None):
        raise ConfigError(f"members is a {type(both).__name__}, expected Members(own, apart, classes)")
    if task.signed:
        return None, None
    return None if each is None else _guarded_samples(each), None if both is None else _guarded_members(both)


def _guarded_samples(each: object, name: str = "sample_losses") -> SampleLosses:
    if not isinstance(each, SampleLosses):
        raise ConfigError(f"{name} is a {type(each).__name__}, expected SampleLosses(count, of)")

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


def _guarded_members(each: Members) -> Members:
    own, apart = _guarded_samples(each.own, "own of members"), _guarded_samples(each.apart, "apart of members")

    def classes() -> tuple[Tensor, Tensor]:
        found: object = code.call("the classes of members", each.classes)
        pair = found if isinstance(found, tuple) else ()
        if [_kind(t) for t in pair] != [(torch.int64, [side.count]) for side in (own, apart)]:
            raise ConfigError(
                f"the classes of members are no two tensors torch.int64 [{own.count}] and [{apart.count}]",
                "one number for each sample trained on, and for each kept apart: docs/tasks.md",
            )
        return pair[0].cpu(), pair[1].cpu()

    return Members(own, apart, classes, None if each.canaries is None else _guarded_canaries(each.canaries))


def _guarded_canaries(each: Canaries) -> Canaries:
    if not isinstance(each, Canaries):
        raise ConfigError(f"canaries of members is a {type(each).__name__}, expected Canaries(losses, classes, inside)")
    losses = _guarded_samples(each.losses, "losses of canaries")

    def checked(name: str, found: object, dtype: torch.dtype) -> Tensor:
        if not isinstance(found, Tensor) or _kind(found) != (dtype, [losses.count]):
            raise ConfigError(
                f"{name} of canaries is no tensor {dtype} [{losses.count}]", "one for each canary: docs/leakage.md"
            )
        return found.cpu()

    def classes() -> Tensor:
        return checked("classes()", code.call("the classes of canaries", each.classes), torch.int64)

    return Canaries(losses, classes, checked("inside", each.inside, torch.bool))


def _kind(found: object) -> tuple[torch.dtype, list[int]] | None:
    return (found.dtype, list(found.shape)) if isinstance(found, Tensor) else None


def refuse_unsafe(state: Any, where: str = "state_dict()") -> None:
    """What a trainer saves is written without pickling, so that it can be read again.

    Raises:
        ConfigError: says where it holds something else than tensors, numbers, strings, lists and dicts.
    """
    if not isinstance(state, dict):
        raise ConfigError(f"the trainer's {where} returned a {type(state).__name__}, expected a dict")
    fault = _unsafe(state, where)
    if fault is not None:
        raise ConfigError(fault)


def _unsafe(value: Any, where: str) -> str | None:
    """Where a trainer's state holds something that is not written without pickling."""
    # exact types: np.float64 is a float, and is written as an object
    kind = type(value)
    if isinstance(value, torch.Tensor) or kind in (type(None), bool, int, float, str):
        return None
    if kind in (dict, OrderedDict):
        pairs = [pair for k, v in value.items() for pair in ((f"{where}: the key {k!r}", k), (f"{where}[{k!r}]", v))]
    elif kind in (list, tuple):
        pairs = [(f"{where}[{i}]", v) for i, v in enumerate(value)]
    else:
        return f"the trainer's {where} is a {kind.__name__}: keep tensors, numbers, strings, lists and dicts only"
    return next((told for w, v in pairs if (told := _unsafe(v, w))), None)
