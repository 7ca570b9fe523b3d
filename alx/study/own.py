"""A task of one's own as a study takes it: all samples that it has, and the task of a party that was dealt some.

Knows a user's file and the numbers of samples; sees no sample itself.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alx.errors import ConfigError, escape
from alx.learning.task import Task
from alx.plan import Plan
from alx.records import Role, Scalar
from alx.site.site_file import SiteFile
from alx.study import pool
from alx.study.splits import Indices
from alx.tasks import devices, load
from alx.tasks.deal import Deal, Found
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
            ConfigError: the task cannot be made, or does not say what is dealt out.
        """
        _, found = _made(self.path, self.settings, plan, None)
        return OwnPool(self, found, np.arange(len(found)))


def _made(
    path: Path, settings: Mapping[str, Scalar | list[Scalar]], plan: Plan, rows: list[int] | None
) -> tuple[Task, Found]:
    """The task with these of the samples, or with all; and what there is to deal out."""
    deal = Deal(rows)
    made = load.from_file(path, Settings(plan, Own(settings), path.parent, devices.device("auto"), deal))
    if deal.found is None:
        raise ConfigError(
            f"make_task of '{escape(path.name)}' does not say which samples are dealt out",
            "data = settings.dealt(data) there says it, and changes nothing in a site: docs/tasks.md",
        )
    return made, deal.found


@dataclass(frozen=True, slots=True)
class OwnPool:
    """All samples of a task of one's own, by their numbers; a study deals them out as it does those of a `Pool`.

    Attributes:
        task: whose.
        found: what it says of them.
        rows: the numbers of those that are dealt out [n].
    """

    task: OwnTask
    found: Found
    rows: Indices

    def __len__(self) -> int:
        """How many."""
        return len(self.rows)

    def decided_by(self, column: str | None) -> NDArray[Any]:
        """What a split looks at; see `Pool.decided_by`."""
        if column is not None:
            return self.found.column(pool.known(self.found.columns, column))[self.rows]
        return pool.classes(self.found.classes()[self.rows])

    def part(self, most: int, rng: np.random.Generator) -> "OwnPool":
        """At most so many of the samples; what the task keeps apart stays whole."""
        return replace(self, rows=np.sort(rng.permutation(self.rows)[:most]))

    def write(self, path: Path, indices: Indices, *, held_out: bool) -> None:
        """Write the numbers of some of the samples, for `party`."""
        np.savez(path, rows=self.rows[indices], held_out=held_out)

    def config(self, role: Role, path: str) -> SiteFile:
        """site.toml of a party whose samples' numbers lie at `path`, from where its task is made."""
        told = {"task": str(self.task.path), "settings": json.dumps(dict(self.task.settings)), "dealt": path}
        return SiteFile(role=role, task=str(TASK), settings=dict(told))


def party(settings: Settings) -> Task:
    """The task of one party; `settings.own` is what `OwnPool.config` wrote.

    Raises:
        ConfigError: the user's file cannot make it.
    """
    said = {name: str(value) for name, value in settings.own.items()}
    with np.load(settings.folder / said["dealt"]) as file:
        rows, held_out = file["rows"].tolist(), bool(file["held_out"])
    made, _ = _made(Path(said["task"]), json.loads(said["settings"]), settings.plan, rows)
    return made if held_out else replace(made, held_out=None)
