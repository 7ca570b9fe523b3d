"""Both parties of a study with one seed: who holds which samples, and everybody's task.

Knows the plan, the pool and the split; trains nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from alx import files
from alx import plan as plans
from alx.errors import UsageError
from alx.learning.task import Task
from alx.plan import INIT_NAME, PlanFile
from alx.records import Role
from alx.site.site_file import Metrics, SiteFile
from alx.study.own import OwnPool
from alx.study.pool import Pool
from alx.study.splits import Indices, Split
from alx.tasks import load

POOLED = "pooled"
TRAINED: dict[str, object] = {"select_on": "training", "training": {"patience": None}, "privacy": None}
"""What a plan says that keeps no samples for validation, and adds no noise."""
PLAIN: dict[str, object] = TRAINED | {"distillation": {"weight": 0.0}}
"""What a plan says that has no distillation either."""


@dataclass(frozen=True, slots=True)
class Parties:
    """Who plays.

    Attributes:
        folder: holds learner.npz, provider.npz and pooled.npz, and the model's own file.
        plan: with this seed.
        code: the model's own file, where the plan names one.
        configs: site.toml of `learner`, `provider` and `pooled`; paths start at `folder`.
        tasks: of the same three, trained without distillation and measured on all their samples. Only the pooled one has
            the samples kept apart: it is the judge of all.
        samples: of each side.
        init: the weights that all begin with, or None: drawn from the plan's seed.
        pool: all samples of this seed.
    """

    folder: Path
    plan: PlanFile
    code: bytes | None
    configs: Mapping[str, SiteFile]
    tasks: Mapping[str, Task]
    samples: Mapping[Role, int]
    init: Path | None
    pool: Pool | OwnPool

    def site(self, role: Role, up: str) -> SiteFile:
        """site.toml of a party's site; `up` leads from its folder to the parties', as `../`."""
        return self.pool.config(role, f"{up}{role}.npz")

    @property
    def own(self) -> bool:
        """A task of one's own makes the inputs, not the plan alone."""
        return isinstance(self.pool, OwnPool)

    @property
    def steps(self) -> dict[Role, int]:
        """Optimiser steps of each turn."""
        agreed, n = self.plan.plan, self.samples
        return {
            "learner": agreed.steps("learner", n["learner"], n["provider"]),
            "provider": agreed.steps("provider", n["provider"], n["learner"]),
        }


def sweep(folder: Path) -> None:
    """Delete the samples that `deal` wrote."""
    for name in (*get_args(Role), POOLED):
        (folder / f"{name}.npz").unlink(missing_ok=True)


def written(folder: Path) -> int:
    """Bytes of the samples that `deal` wrote."""
    with files.storage(folder):
        return sum((folder / f"{name}.npz").stat().st_size for name in (*get_args(Role), POOLED))


def shares(whole: Pool | OwnPool, split: Split, seed: int, rng: np.random.Generator) -> tuple[Indices, Indices]:
    """Who gets which samples: indices of the learner and of the provider.

    Raises:
        UsageError: the split does not fit the data.
    """
    learner, provider = split.deal(whole.decided_by(split.column), rng)
    for role, indices in (("learner", learner), ("provider", provider)):
        if not len(indices):
            raise UsageError(f"'{split.text}' leaves the {role} without samples with seed {seed}", "choose another split")
    return learner, provider


def deal(
    whole: Pool | OwnPool,
    split: Split,
    file: PlanFile,
    code: bytes | None,
    folder: Path,
    seed: int,
    rng: np.random.Generator,
    metrics: Metrics,
    init: Path | None = None,
) -> Parties:
    """Write each party's samples into `folder` and make the tasks.

    Args:
        whole: all samples.
        split: who gets which.
        file: the plan; its seed is replaced.
        code: the model's own file, where the plan names one.
        folder: where to write; made when missing.
        seed: of the first model and every batch.
        rng: decides who gets which.
        metrics: how the judge judges answers.
        init: see `Parties`.

    Raises:
        UsageError, ConfigError: the split, the data or the model cannot be used.
    """
    learner, provider = shares(whole, split, seed, rng)
    agreed = plans.altered(file.plan, {"seed": seed})
    with files.storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, indices in (("learner", learner), ("provider", provider), (POOLED, np.union1d(learner, provider))):
            whole.write(folder / f"{name}.npz", indices, held_out=name == POOLED)
    put_code(folder, agreed, code)
    if init is not None:
        with files.storage(init):
            files.replace(folder / INIT_NAME, init.read_bytes())
    configs = {role: whole.config(role, f"{role}.npz") for role in get_args(Role)}
    configs[POOLED] = whole.config("learner", f"{POOLED}.npz").model_copy(update={"metrics": metrics})
    bare = plans.altered(agreed.plan, PLAIN).plan
    tasks = {name: load.task(folder, config, bare) for name, config in configs.items()}
    counts: dict[Role, int] = {"learner": len(learner), "provider": len(provider)}
    return Parties(folder, agreed, code, configs, tasks, counts, init, whole)


def put_code(folder: Path, file: PlanFile, code: bytes | None) -> None:
    """Write the model's own file beside the plan that names it."""
    name = None if file.plan.model is None else file.plan.model.file()
    if name is not None and code is not None:
        files.replace(folder / name, code)
