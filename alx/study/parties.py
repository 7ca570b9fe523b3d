"""Both parties of a study with one seed: who holds which samples, and everybody's task.

Knows the plan, the pool and the split; trains nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from alx import files, plan
from alx.errors import ConfigError, UsageError
from alx.learning.task import Task
from alx.plan import PlanFile, Role
from alx.site.site_file import Data, SiteFile
from alx.study.pool import Pool
from alx.study.splits import Split
from alx.tasks import load

POOLED = "pooled"


@dataclass(frozen=True, slots=True)
class Parties:
    """Who plays.

    Attributes:
        folder: holds learner.npz, provider.npz and pooled.npz, and the model's own file.
        plan: with this seed.
        configs: site.toml of `learner`, `provider` and `pooled`.
        tasks: of the same three. Only the pooled one has the samples kept apart: it is the judge of all.
        samples: of each side.
    """

    folder: Path
    plan: PlanFile
    configs: Mapping[str, SiteFile]
    tasks: Mapping[str, Task]
    samples: Mapping[Role, int]

    @property
    def steps(self) -> dict[Role, int]:
        """Optimiser steps of each turn."""
        agreed, n = self.plan.plan, self.samples
        return {
            "learner": agreed.steps("learner", n["learner"], n["provider"]),
            "provider": agreed.steps("provider", n["provider"], n["learner"]),
        }

    def sweep(self) -> None:
        """Delete the samples."""
        for name in (*get_args(Role), POOLED):
            (self.folder / f"{name}.npz").unlink(missing_ok=True)


def changed(file: PlanFile, **values: str | int) -> PlanFile:
    """The same plan with other values of some fields at its top.

    Raises:
        ConfigError: the fields stand where they cannot be found.
    """
    lines = file.data.decode("utf-8").splitlines(keepends=True)
    top = next((i for i, line in enumerate(lines) if line.lstrip().startswith("[")), len(lines))
    kept = [line for i, line in enumerate(lines) if i >= top or line.partition("=")[0].strip() not in values]
    new = plan.parse("".join([*(f"{k} = {json.dumps(v)}\n" for k, v in values.items()), *kept]).encode("utf-8"))
    if new.plan != file.plan.model_copy(update=values):
        raise ConfigError(f"cannot set {', '.join(values)} in the plan", "write each on a line of its own, above all tables")
    return new


def deal(
    whole: Pool, split: Split, file: PlanFile, beside: Path, folder: Path, seed: int, rng: np.random.Generator, device: str
) -> Parties:
    """Write each party's samples into `folder` and make the tasks.

    Args:
        whole: all samples.
        split: who gets which.
        file: the plan; its seed is replaced.
        beside: the folder in which the model's own file lies.
        folder: where to write; made when missing.
        seed: of the first model and every batch.
        rng: decides who gets which.
        device: as in site.toml.

    Raises:
        UsageError, ConfigError: the split, the data or the model cannot be used.
    """
    learner, provider = split.deal(whole.decided_by(split.column), rng)
    for role, indices in (("learner", learner), ("provider", provider)):
        if not len(indices):
            raise UsageError(f"'{split.text}' leaves the {role} without samples", "choose another split")
    agreed = changed(file, seed=seed)
    with files.storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, indices in (("learner", learner), ("provider", provider), (POOLED, np.union1d(learner, provider))):
            whole.write(folder / f"{name}.npz", indices, held_out=name == POOLED)
        code = None if agreed.plan.model is None else agreed.plan.model.file()
        if code is not None:
            files.replace(folder / code, (beside / code).read_bytes())
    configs = {
        name: SiteFile(
            role="provider" if name == "provider" else "learner", device=device,
            data=Data(kind="npz", path=str((folder / f"{name}.npz").absolute())),
        )
        for name in (*get_args(Role), POOLED)
    }  # fmt: skip
    tasks = {name: load.task(folder, config, agreed.plan) for name, config in configs.items()}
    return Parties(folder, agreed, configs, tasks, {"learner": len(learner), "provider": len(provider)})
