"""The demo's data: the packaged digits. The learner holds 0-4 and 2 % of the others, the provider 5-9 and 2 % of 0-4."""

from pathlib import Path

import numpy as np

from alx.records import Role
from alx.site.site_file import Data, SiteFile
from alx.study import pool, splits
from alx.study.demo.case import Case

ROUNDS, ROUND_STEPS = 2, 400
MINOR = 0.02
PLAN = """\
# The demo's agreement: docs/plan.md describes every field.
name = "digits"
rounds = {rounds}
round_steps = {round_steps}      # shared in proportion to the data sizes
batch_size = 64
seed = {seed}

[optimiser]
name = "adam"
lr = 0.003

[model]
source = "alx.tasks.models:small_cnn"
arguments = {{ channels = 1, size = 8, classes = 10 }}

[images]
channels = 1
"""


def case(folder: Path, rounds: int, seed: int) -> Case:
    """Write learner.npz, provider.npz and pooled.npz into `folder`; `seed` decides who holds what."""
    sizes = _data(folder, seed)
    return Case(
        plan=PLAN.format(rounds=rounds, round_steps=ROUND_STEPS, seed=seed),
        configs={name: _config("provider" if name == "provider" else "learner", name) for name in sizes},
        steps=ROUND_STEPS,
        intro=f"learner: {sizes['learner']} images, mostly of 0-4; provider: {sizes['provider']}, mostly of 5-9",
        score="accuracy",
        scored="accuracy on held-out digits",
        digits=3,
    )


def _config(role: Role, name: str) -> SiteFile:
    return SiteFile(role=role, data=Data(kind="npz", path=str(Path("..") / f"{name}.npz")))


def _data(folder: Path, seed: int) -> dict[str, int]:
    rng = np.random.default_rng(seed)
    whole = pool.digits(rng)
    learner, provider = splits.complementary(whole.labels, [0, 1, 2, 3, 4], MINOR, rng)
    parts = {"learner": learner, "provider": provider, "pooled": np.arange(len(whole.labels))}
    for name, indices in parts.items():
        whole.write(folder / f"{name}.npz", indices, held_out=True)
    return {name: len(indices) for name, indices in parts.items()}
