"""What a simulation is asked for, and the folder that belongs to it.

Knows what people type; plays nothing.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np

from alx import __version__, files
from alx.errors import ConfigError, UsageError, escape
from alx.plan import PlanFile
from alx.site import site as sites
from alx.site import site_file
from alx.site.site_file import Data, Metrics
from alx.study import parties, pool, splits
from alx.study.algorithms import ASSISTED
from alx.study.algorithms import agreed as agreed_by
from alx.study.pool import Pool
from alx.study.results import Algorithm
from alx.study.splits import Split

MARK = "study.json"
LOCK = "lock"
TRIAL = "trial"


@dataclass(frozen=True, slots=True)
class Study:
    """What is asked for.

    Attributes:
        plan: the agreement; its seed is replaced by each of `seeds`.
        code: the model's own file, where the plan names one.
        data: everything, as one site would name it that had it all; None is the packaged digits.
        split: who holds what.
        algorithms: what to play.
        seeds: of the split, the first model and every batch.
        samples: so many, and at most so many kept apart, drawn for each seed; None takes all.
        metrics: how answers are judged, as in site.toml.
        as_planned: the name of a kind of assistance that was asked for and is what the plan says; played once, as assisted.
    """

    plan: PlanFile
    code: bytes | None
    data: Data | None
    split: Split
    algorithms: tuple[Algorithm, ...]
    seeds: tuple[int, ...]
    samples: int | None = None
    metrics: Metrics = field(default_factory=Metrics)
    as_planned: Algorithm | None = None

    @property
    def data_name(self) -> str:
        """The data in words, without the folder they lie in."""
        return "digits" if self.data is None else f"{self.data.kind}:{Path(self.data.path).name}"

    def whole(self) -> Pool | None:
        """All samples, read once; None where each seed has its own (the packaged digits)."""
        return None if self.data is None else pool.read(self.data, self.plan.plan, self.metrics.by)

    def pool(self, whole: Pool | None, rng: np.random.Generator) -> Pool:
        """The samples of one seed.

        Raises:
            UsageError: there are fewer than `samples`.
        """
        found = pool.digits(rng) if whole is None else whole
        if self.samples is None:
            return found
        if self.samples > len(found.labels):
            raise UsageError(
                f"--samples asks for {self.samples:,}, and the data have {len(found.labels):,}", "leave it out to take all"
            )
        return found.part(self.samples, rng)

    def check(self, whole: Pool | None, seed: int) -> None:
        """See that one seed's samples can be dealt out.

        Raises:
            UsageError: they cannot, or there are not so many.
        """
        rng = np.random.default_rng(seed)
        drawn = self.pool(whole, rng)
        try:
            parties.shares(drawn, self.split, seed, rng)
        except UsageError as error:
            if self.samples is None:
                raise
            raise UsageError(f"of {self.samples} samples drawn with seed {seed}: {error.message}", error.hint) from error


def parse(
    plan: PlanFile,
    beside: Path,
    data: str,
    held_out: str | None,
    table: Path | None,
    split: str,
    baselines: str,
    seeds: tuple[int, ...],
    samples: int | None,
    metrics: Metrics,
) -> Study:
    """A study as people type it.

    Args:
        plan: the agreement.
        beside: the folder of the plan, where the model's own file lies.
        data: `digits`, or KIND:PATH (`site_file.named`).
        held_out: see `site_file.named`.
        table: see `site_file.named`.
        split: see `splits.parse`.
        baselines: names, with commas between.
        seeds: see `Study`.
        samples: see `Study`.
        metrics: see `Study`.

    Raises:
        UsageError: something names nothing.
        ConfigError: the plan's task is a user's own, which has no samples to deal out.
    """
    wanted = dict.fromkeys(name.strip() for name in baselines.split(",") if name.strip())
    known = [a for a in get_args(Algorithm) if a != "assisted"]
    for name in wanted:
        if name not in known:
            raise UsageError(f"there is no baseline '{escape(name)}'", f"baselines: {', '.join(known)}")
    if plan.plan.loss == "own":
        raise ConfigError(
            'the plan says loss = "own", and alx simulate deals out samples of the built-in task only',
            "make two sites with alx init --task FILE, and play the rounds between them; a folder can be the disk",
        )
    agreed = plan.plan
    same = next((a for a in known if a in wanted and a in ASSISTED and agreed_by(agreed, a).plan == agreed), None)
    names: list[Algorithm] = ["assisted", *(a for a in known if a in wanted and a != same)]
    classes = [*(agreed.images.classes if agreed.images else []), *(agreed.columns.classes if agreed.columns else [])]
    return Study(
        plan,
        _code(plan, beside),
        _data(data, held_out, table),
        splits.parse(split, classes),
        tuple(names),
        seeds,
        samples,
        metrics,
        as_planned=same,
    )


def _data(value: str, held_out: str | None, table: Path | None) -> Data | None:
    if value != "digits":
        return site_file.named(value, held_out, table=table)
    if table is not None:
        raise UsageError("the packaged digits are no table", "leave out --table")
    if held_out is not None:
        raise UsageError("the packaged digits keep a fifth apart themselves", "leave out --held-out")
    return None


def _code(plan: PlanFile, beside: Path) -> bytes | None:
    name = None if plan.plan.model is None else plan.plan.model.file()
    if name is None:
        return None
    if not (beside / name).is_file():
        raise UsageError(
            f"there is no file '{escape(str(beside / name), 200)}', which the plan names", "put it beside the plan"
        )
    with files.storage(beside / name):
        return (beside / name).read_bytes()


def mark(study: Study, whole: Pool | None) -> dict[str, str | int | None]:
    """What tells one study from another; seeds and algorithms do not.

    Args:
        study: what is asked for.
        whole: its samples.
    """
    return {
        "plan": study.plan.digest,
        "model's file": None if study.code is None else hashlib.sha256(study.code).hexdigest(),
        "split": study.split.text,
        "data": "digits" if whole is None else whole.digest(),
        "number of samples": study.samples,
        "metrics": study.metrics.model_dump_json(exclude_defaults=True),
        "version of alx": __version__,
    }


def claimed(folder: Path, wanted: Mapping[str, str | int | None]) -> bool:
    """Whether a folder is this study's; False where it is nobody's yet.

    Args:
        folder: made by `prepare`, and locked.
        wanted: the study's `mark`.

    Raises:
        UsageError: it holds another study.
    """
    path = folder / MARK
    if not path.is_file():
        return False
    with files.storage(path):
        try:
            before = dict(json.loads(path.read_bytes()))
        except (ValueError, TypeError, RecursionError) as error:
            raise UsageError(f"'{escape(str(path), 200)}' is no study's", "name another folder with --out") from error
    differ = [name for name, value in wanted.items() if before.get(name) != value]
    if differ:
        *most, last = differ
        names = f"{', '.join(most)} and {last}" if most else last
        raise UsageError(
            f"'{escape(str(folder), 200)}' holds a study with another {names}", "name another folder with --out"
        )
    return True


def claim(folder: Path, wanted: Mapping[str, str | int | None]) -> None:
    """Mark a folder as this study's; see `claimed`."""
    files.replace(folder / MARK, json.dumps(wanted).encode("utf-8"))


def prepare(folder: Path) -> None:
    """Make a study's folder, or see that it is one.

    Raises:
        UsageError: it is a file, or holds something else.
    """
    sites.refuse_inside(folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"'{escape(str(folder), 200)}' is a file", "name a folder with --out")
    with files.storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
        found = {p.name for p in folder.iterdir()}
    if MARK not in found and found - {LOCK, TRIAL, f".{MARK}.tmp"}:  # what a command killed at once leaves behind
        raise UsageError(f"'{escape(str(folder), 200)}' is not empty, and no study", "name a new folder with --out")
