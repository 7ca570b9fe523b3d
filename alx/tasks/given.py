"""Weights that a site was given to begin with (`alx init --init`): those of the model, or of one that is like it in parts.

Knows safetensors files, and the names that the plan's [model.init] maps; knows no site.
"""

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from alx.errors import ConfigError, escape
from alx.learning import state as states
from alx.learning.task import State, Task
from alx.plan import INIT_NAME, Init
from alx.tasks import parts

TOLD = 3  # names in a message or a line, the others are counted
HINT = (
    "give weights of this very model to alx init --init; or say in the plan's [model.init] what is called otherwise (names) "
    'and what is not taken, as a head of another shape (skip = ["head.*"])'
)


@dataclass(frozen=True, slots=True)
class Given:
    """What a file gives to a model.

    Attributes:
        tensors: by the model's names.
        left: names of the file that were not taken.
        new: names of the model that the file does not give: they are as they were made.
    """

    tensors: Mapping[str, Tensor]
    left: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def words(self) -> str:
        """For people."""
        left = f"; left in the file: {names(self.left)}" if self.left else ""
        new = f"; new in the model: {names(self.new)}" if self.new else ""
        return f"{len(self.tensors)} tensors of {len(self.tensors) + len(self.left)} taken{left}{new}"

    def json(self) -> dict[str, object]:
        """For machines."""
        return {"taken": sorted(self.tensors), "left": list(self.left), "new": list(self.new)}


def names(given: Collection[str]) -> str:
    """The first few, and how many more."""
    more = len(given) - TOLD
    return escape(", ".join(sorted(given)[:TOLD]), 300) + (f" and {more} more" if more > 0 else "")


def read(path: Path, model: State, wanted: Init) -> Given:
    """Read a file's weights for a model.

    Args:
        path: safetensors.
        model: its tensors by name.
        wanted: how the file's names become the model's, and what is not taken.

    Raises:
        ConfigError: it cannot be read, or does not give what it should; names the tensors.
    """
    rules = [(_rule(a), b) for a, b in wanted.names.items()]
    try:
        with safe_open(path, framework="pt") as file:
            there = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    # safetensors knows more types than it can make tensors of
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise ConfigError(
            f"'{INIT_NAME}', the weights to begin with, is no safetensors file that can be read: {escape(str(error), 200)}",
            "safetensors.torch.save_file writes one; a .pt file is a program, and is not taken",
        ) from error
    skipped = parts.matched([*there, *model], wanted.skip, "init.skip")
    taken: dict[str, Tensor] = {}
    for name, value in there.items():
        if name in skipped:
            continue
        to = _mapped(name, rules)
        if to in taken:
            raise ConfigError(f"'{INIT_NAME}' gives '{escape(to)}' twice", "look at names under [model.init]")
        taken[to] = value
    idle = next((a for (rule, _), a in zip(rules, wanted.names, strict=True) if not any(map(rule.fullmatch, there))), None)
    if idle is not None:
        raise ConfigError(
            f"[model.init] names has '{escape(idle)}', and no tensor in '{INIT_NAME}' is called so",
            f"it holds {names(there)}",
        )
    expected = {name: value for name, value in model.items() if name not in skipped or name in taken}
    _refuse_misfit(taken, expected)
    bad = states.finite(taken)
    if bad is not None:
        raise ConfigError(
            f"'{escape(bad)}' of the initial weights in '{INIT_NAME}' holds NaN or infinity, which no bundle may",
            "give other weights to alx init --init",
        )
    return Given(taken, tuple(n for n in there if n in skipped), tuple(n for n in model if n not in taken))


def started(task: Task, given: Given) -> Task:
    """The same task whose models begin with what was given."""
    put = parts.into(task, given.tensors)

    def new_model() -> nn.Module:
        made = task.new_model()
        put(made, given.tensors)
        return made

    return dataclasses.replace(task, new_model=new_model)


def _rule(pattern: str) -> re.Pattern[str]:
    """A pattern in which each `*` is any text."""
    return re.compile("(.*)".join(map(re.escape, pattern.split("*"))))


def _mapped(name: str, rules: Iterable[tuple[re.Pattern[str], str]]) -> str:
    """A name by the first rule that it fits; the same name where none does."""
    for rule, to in rules:
        found = rule.fullmatch(name)
        if found is not None:
            pieces = to.split("*")
            return pieces[0] + "".join(text + piece for text, piece in zip(found.groups(), pieces[1:], strict=True))
    return name


def _refuse_misfit(got: State, expected: State) -> None:
    """Each tensor is there, and of the model's shape and type."""
    theirs, ours = ({name: f"{dtype}{shape}" for name, dtype, shape in states.describe(each)} for each in (got, expected))
    odd = [name for name in dict.fromkeys([*ours, *theirs]) if ours.get(name) != theirs.get(name)]
    if odd:
        told = [f"'{escape(n)}' expected {ours.get(n, 'nothing')}, got {theirs.get(n, 'nothing')}" for n in odd[:TOLD]]
        more = f" and {len(odd) - TOLD} more" if len(odd) > TOLD else ""
        raise ConfigError(f"'{INIT_NAME}' does not fit the plan's model: {'; '.join(told)}{more}", HINT)
