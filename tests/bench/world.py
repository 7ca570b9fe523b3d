"""Two sites for a benchmark, made of synthetic data, at any size: introduced, paired, and ready to train."""

import contextlib
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alx import turns
from alx.bundle import keys
from alx.cli.main import run
from alx.site import site as sites
from alx.site.site_file import Data, SiteFile
from alx.steps import new, outgoing

INPUTS, CLASSES = 64, 10

PLAN = """\
name = "bench"
rounds = 1
round_steps = {{ learner = {steps}, provider = 1 }}
sampling_period = 1
batch_size = 8
candidates = "{candidates}"

[optimiser]
name = "adam"

[model]
source = "alx.tasks.models:mlp"
arguments = {{ inputs = {inputs}, classes = {classes}, hidden = {hidden} }}
"""


@dataclass(frozen=True, slots=True)
class Size:
    """One exchange: snapshots in the learner's bundle, bytes of a model, samples on each side."""

    snapshots: int
    model: int
    samples: int


SMALL = Size(snapshots=2, model=50_000, samples=64)  # next to nothing


def _hidden(nbytes: int) -> int:
    """Units of a layer, so that the model has about as many bytes: h^2 + (inputs + classes + 2) h + classes floats."""
    b = INPUTS + CLASSES + 2
    return max(1, round((-b + math.sqrt(b * b + nbytes)) / 2))


def make(root: Path, size: Size, freeze: Sequence[str] = (), candidates: str = "trajectory") -> None:
    """Make both sites in a new folder, with `disk` beside them; the learner's turn is next. The last two are the plan's."""
    rng = np.random.default_rng(0)
    (root / "disk").mkdir(parents=True)
    hidden = _hidden(size.model)
    text = PLAN.format(steps=size.snapshots - 1, inputs=INPUTS, classes=CLASSES, hidden=hidden, candidates=candidates)
    (root / "plan.toml").write_text(f"{text}freeze = {list(freeze)}\n", encoding="utf-8")
    for role in ("learner", "provider"):
        x = rng.standard_normal((size.samples, INPUTS), np.float32)
        y = rng.integers(CLASSES, size=size.samples)
        np.savez(root / f"{role}.npz", train_images=x, train_labels=y)
        new.create(root / role, SiteFile(role=role, data=Data(kind="npz", path=f"../{role}.npz")), root / "plan.toml")
        _alx("identity", root / "disk" / f"{role}.json", "--site", root / role)
    for role, other in (("learner", "provider"), ("provider", "learner")):
        _alx("pair", root / "disk" / f"{other}.json", "--yes", "--site", root / role)


def _alx(*words: str | Path) -> None:
    with contextlib.redirect_stdout(io.StringIO()):
        assert run([str(w) for w in words]) == 0


def send(root: Path) -> Path:
    """The learner trains, seals and exports; the bundle on the disk."""
    turns.train(sites.load(root / "learner").look())
    return outgoing.export(sites.load(root / "learner").look(), root / "disk", lambda *_: None).path


def bundle(root: Path) -> Path:
    """The learner's bundle on the disk."""
    return next((root / "disk").glob("alx-*-learner"))


def learners_key(root: Path) -> keys.PublicKey:
    """What its bundles are verified with."""
    return keys.load_public(root / "learner" / "public.pem")
