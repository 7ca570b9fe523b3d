"""A task of one's own as a study takes it: what it says of all samples, and the task of a party that was dealt some.

Knows a user's file and indices; sees no sample itself.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alx.errors import ConfigError, UsageError, escape
from alx.learning.task import Deal, Task
from alx.plan import Plan
from alx.records import Role, Scalar
from alx.site.site_file import SiteFile
from alx.study import pool
from alx.study.splits import Indices
from alx.tasks import code, load
from alx.tasks.load import Own, Settings

TASK = Path(__file__).with_name("dealt.py")  # what a party's site is given for its task


@dataclass(frozen=True, slots=True)
class OwnTask:
    """A user's file, where it lies: it may import and read what is beside it.

    Attributes:
        path: the file with `make_task`, from the root.
        content: of the file.
        settings: what [settings] of a site.toml would say.
    """

    path: Path
    content: bytes
    settings: Mapping[str, Scalar | list[Scalar]]

    def digest(self) -> str:
        """SHA-256 of the file and of the settings; what else the file reads is not in it."""
        return hashlib.sha256(self.content + json.dumps(dict(self.settings)).encode()).hexdigest()

    def pool(self, plan: Plan) -> "OwnPool":
        """All samples that the task has under this plan.

        Raises:
            ConfigError: the task cannot be made, or does not say how its samples are dealt out.
        """
        made = _made(self.path, self.settings, plan)
        found = OwnPool(self, _deal(made, self.path), np.arange(made.deal.count if made.deal else 0))
        for name, values in found.deal.columns.items():
            found.require(f"column '{escape(str(name))}'", values)
        return found


def _made(path: Path, settings: Mapping[str, Scalar | list[Scalar]], plan: Plan) -> Task:
    return load.from_file(path, Settings(plan, Own(settings), path.parent, load.device("auto")))


def _deal(task: Task, path: Path) -> Deal:
    if not isinstance(task.deal, Deal | None):
        raise ConfigError(
            f"the task's deal is a {type(task.deal).__name__}, expected Deal(count, of)", "docs/tasks.md shows one"
        )
    if task.deal is None:
        raise ConfigError(
            f"the task of '{escape(path.name)}' does not say how its samples are dealt out",
            "supervised says it where it has no validation=; any other task says it by deal=Deal(count, of): docs/tasks.md",
        )
    return task.deal


@dataclass(frozen=True, slots=True)
class OwnPool:
    """All samples of a task of one's own, by their numbers; what a study does with a `Pool` it does with them.

    Attributes:
        task: whose.
        deal: what the task says of them.
        rows: the numbers of those that are dealt out [n].
    """

    task: OwnTask
    deal: Deal
    rows: Indices

    def __len__(self) -> int:
        """How many."""
        return len(self.rows)

    def require(self, what: str, values: Any) -> NDArray[Any]:
        """A value for each sample of the task [count].

        Raises:
            ConfigError: there are more, or fewer, or they are none.
        """
        found = code.call(f"reading {what}", np.asarray, values)
        if found.shape != (self.deal.count,):
            got = f"{what} of shape {list(found.shape)}"
            raise ConfigError(f"'{escape(self.task.path.name)}' deals out by {got}, expected [{self.deal.count}]")
        return np.asarray(found)

    def decided_by(self, column: str | None) -> NDArray[Any]:
        """What a split looks at; see `Pool.decided_by`."""
        columns = self.deal.columns
        if column is not None:
            return self.require(f"column '{escape(column)}'", columns[pool.known(columns, column)])[self.rows]
        if self.deal.labels is None:
            raise UsageError("the split goes by classes, and the task says none of its samples' labels", "split by a column")
        return pool.classes(np.asarray(code.call("the deal's labels", self.deal.labels))[self.rows])

    def part(self, most: int, rng: np.random.Generator) -> "OwnPool":
        """At most so many of the samples; what the task keeps apart stays whole."""
        return replace(self, rows=np.sort(rng.permutation(self.rows)[:most]))

    def write(self, path: Path, indices: Indices, *, held_out: bool) -> None:
        """Write the numbers of some of the samples, for `party`, which is told of `held_out` by `config`."""
        del held_out
        np.savez(path, indices=self.rows[indices])

    def config(self, role: Role, path: str, *, held_out: bool = False) -> SiteFile:
        """site.toml of a party whose samples' numbers lie at `path`, from where its task is made."""
        told = {"task": str(self.task.path), "settings": json.dumps(dict(self.task.settings)), "indices": path}
        return SiteFile(role=role, task=str(TASK), settings={**told, "held_out": held_out})


def party(settings: Settings) -> Task:
    """The task of one party; `settings.own` is what `OwnPool.config` wrote.

    Raises:
        ConfigError: the user's file cannot make it.
    """
    said = settings.own
    path = Path(str(said["task"]))
    with np.load(settings.folder / str(said["indices"])) as file:
        rows: list[int] = file["indices"].tolist()
    deal = _deal(_made(path, json.loads(str(said["settings"])), settings.plan), path)
    name = escape(path.name)
    made = code.call(f"the deal of '{name}'", deal.of, rows)
    if not isinstance(made, Task):
        raise ConfigError(f"the deal of '{name}' returned a {type(made).__name__}, expected a Task")
    return made if said["held_out"] else replace(made, held_out=None)
