"""The parts of a model: what travels, what is frozen and the same on both sides, and what is each site's own.

Knows a task and the patterns of the plan's [model]; knows no file.
"""

import dataclasses
import difflib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from types import MethodType
from typing import NamedTuple

from torch import Tensor, nn

from alx.errors import ConfigError, escape
from alx.learning import state as states
from alx.learning.task import State, Task, load_whole, whole_state

NEAREST = 3  # names told where a pattern matches none


class Parts(NamedTuple):
    """The names of a model's state, each in one of three.

    Attributes:
        sent: travel in bundles: what training changes.
        frozen: nothing changes them; they stay at home, and both sites have the same.
        personal: stay at home, and each site trains its own.
    """

    sent: tuple[str, ...]
    frozen: tuple[str, ...]
    personal: tuple[str, ...]


def matched(names: Iterable[str], patterns: Sequence[str], field: str) -> set[str]:
    """The names that a pattern matches, as in a shell: `*` is any text, dots too.

    Args:
        names: of tensors.
        patterns: of the plan.
        field: of the plan that has them, for messages.

    Raises:
        ConfigError: a pattern matches nothing; names the nearest that there are.
    """
    there = list(names)
    found = {pattern: {name for name in there if fnmatchcase(name, pattern)} for pattern in patterns}
    idle = next((pattern for pattern, each in found.items() if not each), None)
    if idle is not None:
        modules = {f"{name[:at]}.*": None for name in there for at, letter in enumerate(name) if letter == "."}
        near = difflib.get_close_matches(idle, [*there, *modules], NEAREST, 0.0)
        raise ConfigError(
            f"[model] {field} has '{escape(idle)}', and no tensor of the model is called so",
            f"the nearest: {escape(', '.join(near), 200)}",
        )
    return set().union(*found.values())


def of(
    model: nn.Module, names: Sequence[str], freeze: Sequence[str], personal: Sequence[str], still: Collection[str] = ()
) -> Parts:
    """What becomes of each tensor of a model's state.

    Args:
        model: as its task makes it.
        names: of its state.
        freeze: the plan's patterns; a parameter that is frozen by one of its names is frozen by all.
        personal: the plan's patterns.
        still: names that are frozen without a pattern.

    Raises:
        ConfigError: a pattern matches nothing, a tensor is both, or nothing is left to travel.
    """
    frozen, own = matched(names, freeze, "freeze") | {*still}, matched(names, personal, "personal")
    parameters = _parameters(model)
    for part in (frozen, own):  # a tensor of two names, as a decoder has that shares its embedding
        tied = {id(parameters[name]) for name in part if name in parameters}
        part |= {name for name in names if name in parameters and id(parameters[name]) in tied}
    both = next((name for name in names if name in frozen and name in own), None)
    if both is not None:
        raise ConfigError(
            f"'{escape(both)}' is in both freeze and personal of [model]", "a frozen tensor is the same on both sides"
        )
    sent = tuple(name for name in names if name not in frozen and name not in own)
    trained = {name: value.requires_grad for name, value in parameters.items() if name in names}  # own names may be none
    if (freeze or personal) and (not sent or (trained and not any(trained.get(name) for name in sent))):
        raise ConfigError(
            "[model] freeze and personal leave no parameter that is trained and travels", "name fewer tensors there"
        )
    return Parts(sent, tuple(n for n in names if n in frozen), tuple(n for n in names if n in own))


def split(task: Task, model: nn.Module, freeze: Sequence[str] = (), personal: Sequence[str] = ()) -> Task:
    """The same task where only what can change travels: its `state` and `load` are narrowed, its frozen weights fixed.

    What is personal changes, and so is in its `state`; the task says which names that are.
    A frozen parameter needs no gradient and lies in memory once for all models. A module all of whose tensors a pattern
    freezes stays in evaluation mode, so that its batch norm and dropout do nothing that a pass in evaluation would not. A
    parameter of a task without a pair of its own that the model made untrainable, as `peft` does, is frozen too.

    Args:
        task: its models, state and load.
        model: one of its models, to look at.
        freeze: patterns of names in its state.
        personal: patterns too.

    Raises:
        ConfigError: see `of`.
    """
    names = list(task.state(model))
    chosen = matched(names, freeze, "freeze")
    still = [] if task.state is not whole_state else _untrained(model, names, personal)
    if len(still) == len(dict(model.named_parameters(remove_duplicate=False))):
        still = []  # nothing is trained at all: alx check says so
    found = of(model, names, freeze, personal, still)
    task = dataclasses.replace(task, personal=task.personal | frozenset(found.personal)) if found.personal else task
    if not found.frozen:
        return task
    at_rest, frozen, changes = _at_rest(model, names, chosen), _only(task, found.frozen), (*found.sent, *found.personal)
    once: dict[str, Tensor] = {}

    def new_model() -> nn.Module:
        made = task.new_model()
        for name, value in _parameters(made).items():
            if name in found.frozen:
                value.requires_grad = False
                value.data = once.setdefault(name, value.data)  # layouts may differ later: it is a tensor of its own
        for name in at_rest:
            _rest(made.get_submodule(name))
        return made

    return dataclasses.replace(
        task,
        new_model=new_model,
        state=_only(task, changes),
        load=into(task, changes),
        frozen=lambda model: {**task.frozen(model), **frozen(model)},
    )


def _parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """By every name that a state may have for them; see `state.parameters`."""
    own = dict(model.named_parameters(remove_duplicate=False))
    bare, names = {states.unwrapped(name): value for name, value in own.items()}, states.parameters(model)
    return {name: value for name, value in (bare | own).items() if name in names}


def _untrained(model: nn.Module, names: Iterable[str], personal: Sequence[str]) -> list[str]:
    """Parameters that the model itself excludes from training."""
    parameters = _parameters(model)
    return [
        name
        for name in names
        if name in parameters
        and not parameters[name].requires_grad
        and not any(fnmatchcase(name, pattern) for pattern in personal)
    ]


def _at_rest(model: nn.Module, names: Iterable[str], frozen: set[str]) -> list[str]:
    """The modules all of whose tensors are frozen, the outermost alone."""
    moving = [name for name in names if name not in frozen]
    found: list[str] = []
    for name, _ in model.named_modules():
        begins = f"{name}."
        if not name or any(begins.startswith(f"{outer}.") for outer in found):
            continue
        if any(each.startswith(begins) for each in frozen) and not any(each.startswith(begins) for each in moving):
            found.append(name)
    return found


def _rest(module: nn.Module) -> None:
    """Evaluation mode, whatever mode the whole model is put into."""
    module.eval()
    module.train = MethodType(_stay, module)  # type: ignore[method-assign]


def _stay(module: nn.Module, mode: bool = True) -> nn.Module:  # noqa: ARG001, FBT002 - as nn.Module.train
    return module


def _only(task: Task, names: Iterable[str]) -> Callable[[nn.Module], State]:
    chosen = frozenset(names)
    return lambda model: {name: value for name, value in task.state(model).items() if name in chosen}


def into(task: Task, names: Iterable[str]) -> Callable[[nn.Module, State], None]:
    """A `Task.load` for some of the tensors of its state, which leaves the others as they are.

    Args:
        task: its own `load` takes all of them.
        names: of those that are loaded.
    """
    chosen = frozenset(names)

    def load(model: nn.Module, held: Mapping[str, Tensor]) -> None:
        odd = next((name for name in (*held, *chosen) if name not in chosen or name not in held), None)
        if odd is not None:
            raise RuntimeError(f"'{odd}' is in one of the model's state and what is loaded, and not in both")
        if task.load is load_whole:
            model.load_state_dict(dict(held), strict=False)
        else:
            task.load(model, {**task.state(model), **held})

    return load
