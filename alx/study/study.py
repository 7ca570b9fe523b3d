"""What a simulation is asked for.

Knows what people type; plays nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np

from alx import files
from alx.errors import ConfigError, UsageError, escape
from alx.plan import Plan, PlanFile, altered
from alx.site import site as sites
from alx.site import site_file
from alx.site.site_file import Data, Metrics
from alx.study import algorithms, parties, pool, splits
from alx.study.own import OwnPool, OwnTask
from alx.study.pool import Pool
from alx.study.results import Algorithm
from alx.study.splits import Split
from alx.training import firm


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
        own: a task of one's own, in place of `data`.
        init: the weights that all begin with; None draws them from the plan's seed.
        keep: write every algorithm's model after each round.
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
    own: OwnTask | None = None
    init: Path | None = None
    keep: bool = False

    @property
    def data_name(self) -> str:
        """The data in words, without the folder they lie in."""
        if self.own is not None:
            return self.own.path.name
        return "digits" if self.data is None else f"{self.data.kind}:{Path(self.data.path).name}"

    def whole(self) -> Pool | None:
        """All samples, read once; None where each seed has its own (the packaged digits, and a task of one's own)."""
        return None if self.data is None else pool.read(self.data, self.plan.plan, self.metrics.by)

    def pool(self, whole: Pool | None, seed: int, rng: np.random.Generator) -> Pool | OwnPool:
        """The samples of one seed.

        Raises:
            UsageError: there are fewer than `samples`.
        """
        found: Pool | OwnPool
        if self.own is not None:  # made anew for each seed, as it may draw by the plan's
            found = self.own.pool(altered(self.plan.plan, {"seed": seed}).plan)
        else:
            found = pool.digits(rng) if whole is None else whole
        if self.samples is None:
            return found
        if self.samples > len(found):
            raise UsageError(
                f"--samples asks for {self.samples:,}, and the data have {len(found):,}", "leave it out to take all"
            )
        return found.part(self.samples, rng)

    def check(self, whole: Pool | None, seed: int) -> None:
        """See that one seed's samples can be dealt out.

        Raises:
            UsageError: they cannot, or there are not so many.
        """
        rng = np.random.default_rng(seed)
        drawn = self.pool(whole, seed, rng)
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
    *,
    task: Path | None = None,
    settings: Path | None = None,
    init: Path | None = None,
    keep: bool = False,
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
        task: a file with `make_task`, in place of the data.
        settings: a file of what [settings] of a site.toml would say.
        init: see `Study`.
        keep: see `Study`.

    Raises:
        UsageError: something names nothing, or does not go together.
        ConfigError: the plan's loss is a task's own, and none is named; the settings cannot be used.
    """
    wanted = dict.fromkeys(name.strip() for name in baselines.split(",") if name.strip())
    known = [a for a in get_args(Algorithm) if a != "assisted"]
    for name in wanted:
        if name not in known:
            raise UsageError(f"there is no baseline '{escape(name)}'", f"baselines: {', '.join(known)}")
    agreed = plan.plan
    if task is not None:
        _refuse_beside_a_task(data, held_out, table, metrics)
    elif settings is not None:
        raise UsageError("--settings without --task", "the built-in task has none")
    elif agreed.loss == "own":
        raise ConfigError('the plan says loss = "own", and no task brings it', "name its file: --task FILE")
    _refuse_empty_rivals(agreed, wanted)
    if init is not None and not init.is_file():
        raise UsageError(f"there is no file '{escape(str(init), 200)}'", "--init takes a .safetensors file")
    code = _code(plan, beside)
    kinds = (a for a in known if a in wanted and a in algorithms.ASSISTED)
    same = next((a for a in kinds if algorithms.agreed(agreed, a).plan == agreed), None)
    names: list[Algorithm] = ["assisted", *(a for a in known if a in wanted and a != same)]
    classes = [*(agreed.images.classes if agreed.images else []), *(agreed.columns.classes if agreed.columns else [])]
    return Study(
        plan,
        code,
        None if task is not None else _data(data, held_out, table),
        splits.parse(split, classes),
        tuple(names),
        seeds,
        samples,
        metrics,
        as_planned=same,
        own=None if task is None else _own(task, settings, plan, code),
        init=None if init is None else init.absolute(),
        keep=keep,
    )


def _refuse_beside_a_task(data: str, held_out: str | None, table: Path | None, metrics: Metrics) -> None:
    """What is said of the built-in task's data.

    Raises:
        UsageError: it was.
    """
    said = {"--data": data != "digits", "--held-out": held_out is not None, "--table": table is not None}
    for option in (option for option, there in said.items() if there):
        raise UsageError(f"{option} beside --task: a task of your own reads its data itself", "leave out one of them")
    if metrics != Metrics():
        raise UsageError(
            "--by, --positive and --threshold are for the built-in task",
            "a task of your own says by held_out, or by score=, what is told: docs/tasks.md",
        )


def _refuse_empty_rivals(agreed: Plan, wanted: Iterable[str]) -> None:
    """With distillation that the plan does not have, and that has no default for its loss.

    Raises:
        UsageError: one is asked for.
    """
    if agreed.distillation.weight or firm(agreed.loss):
        return
    for name in (name for name in wanted if algorithms.DISTILLED in name):
        raise UsageError(
            f"'{escape(name)}' would be as without distillation: the plan has no weight under [distillation], and there is "
            f'no default for loss = "{agreed.loss}"',
            "say a weight in the plan, or leave it out",
        )


def _own(path: Path, settings: Path | None, plan: PlanFile, code: bytes | None) -> OwnTask:
    path = path.absolute()
    content = sites.source(path)
    name = None if plan.plan.model is None else plan.plan.model.file()
    if name is not None and sites.source(path.parent / name) != code:
        raise UsageError(
            f"'{escape(name)}' beside --task is another than that beside the plan",
            "put the plan and the task into one folder",
        )
    return OwnTask(path, content, {} if settings is None else site_file.settings(settings))


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
