"""Both sites on one machine beside what they could have done instead: same start, same data, as many steps.

The sites are real: each turn is sealed, signed, carried to a folder, verified and selected from, by the functions that
the commands call. Killed at any point, the same call goes on with the round that was being played.
"""

import io
import json
import os
import platform
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from alx import __version__, files
from alx.errors import ConfigError, UsageError, escape
from alx.learning import measure
from alx.plan import PlanFile
from alx.site.site_file import Data
from alx.study import parties, players, pool, results, splits
from alx.study.cost import Cost, minutes
from alx.study.parties import POOLED, Parties
from alx.study.results import Algorithm, Dealt, Results, Round, Run
from alx.study.splits import Split
from alx.tasks import load

STUDY, DEALT, RESULTS = "study.json", "dealt.json", "results.json"
SCORES = {"cross_entropy": "accuracy", "binary_cross_entropy": "share of labels found", "mse": "minus the squared error"}


@dataclass(frozen=True, slots=True)
class Study:
    """What is asked for.

    Attributes:
        plan: the agreement; its seed is replaced by each of `seeds`.
        beside: the folder of the plan, where the model's own file lies.
        data: everything, as one site would name it that had it all; None is the packaged digits.
        split: who holds what.
        algorithms: what to play.
        seeds: of the split, the first model and every batch.
        samples: at most so many, and at most so many kept apart, drawn for each seed; None takes all.
        device: as in site.toml.
    """

    plan: PlanFile
    beside: Path
    data: Data | None
    split: Split
    algorithms: tuple[Algorithm, ...]
    seeds: tuple[int, ...]
    samples: int | None = None
    device: str = "auto"


def study(
    plan: PlanFile, beside: Path, data: str, held_out: str | None, split: str, with_: str, seeds: tuple[int, ...],
    samples: int | None,
) -> Study:  # fmt: skip
    """A study as people type it: see `pool.named`, `splits.parse`; `with_` names baselines, with commas between.

    Raises:
        UsageError: something names nothing.
        ConfigError: the plan's task is a user's own, which has no samples to split.
    """
    wanted = dict.fromkeys(name for name in with_.split(",") if name)
    known = [a for a in get_args(Algorithm) if a != "assisted"]
    for name in wanted:
        if name not in known:
            raise UsageError(f"there is no baseline '{escape(name)}'", f"baselines: {', '.join(known)}")
    if plan.plan.loss == "own":
        raise ConfigError(
            'the plan says loss = "own", and only samples of the built-in task can be dealt out', "alx demo --task cartpole"
        )
    names: list[Algorithm] = ["assisted", *(a for a in known if a in wanted and a != plan.plan.candidates)]
    return Study(
        plan, beside, pool.named(data, held_out), splits.parse(split), tuple(names), seeds, samples
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a simulation stands: the share that is done, the time left in words, and a line where something is worth one."""

    done: float
    left: str
    line: str | None = None


Tell = Callable[[Progress], None]


def run(study: Study, folder: Path, tell: Tell, finished: Callable[[], str]) -> Results:
    """Play every algorithm with every seed.

    Args:
        study: what is asked for.
        folder: where; what an earlier call left there is gone on with, and more seeds and algorithms may be asked for.
        tell: progress.
        finished: gives the date to write into the results.

    Raises:
        UsageError: the folder holds another study, or something else; the split does not fit the data.
        ConfigError: the data, the plan or the model cannot be used.
    """
    whole = None if study.data is None else pool.read(study.data, study.plan.plan, np.random.default_rng())
    _same(study, whole, folder)
    todo = Counter(a for seed in study.seeds for a in study.algorithms if not _path(folder, seed, a).is_file())
    cost: Cost | None = None
    runs: list[Run] = []
    for seed in study.seeds:
        both = None
        needed = [folder / f"seed-{seed}" / DEALT, *(_path(folder, seed, a) for a in study.algorithms)]
        if not all(path.is_file() for path in needed):
            both = _deal(study, whole, folder / f"seed-{seed}", seed)
            if cost is None:
                cost = Cost(both, todo)
                for line in cost.words():
                    tell(_progress(cost, line))
        for algorithm in study.algorithms:
            path = _path(folder, seed, algorithm)
            if both is not None and cost is not None and not path.is_file():
                done = _play(both, algorithm, seed, cost, tell)
                files.replace(path, done.model_dump_json(indent=1).encode("utf-8"))
                tell(_progress(cost, f"{_line(done)}  about {minutes(cost.left)} left"))
            if both is not None:
                players.clear(both)
            path.with_suffix(".part").unlink(missing_ok=True)
            runs.append(Run.model_validate_json(path.read_bytes()))
        if both is not None:
            both.sweep()
    dealt = [Dealt.model_validate_json((folder / f"seed-{seed}" / DEALT).read_bytes()) for seed in study.seeds]
    ordered = [r for a in study.algorithms for r in runs if r.algorithm == a]
    found = Results(
        alx=__version__, plan=study.plan.plan.name, plan_sha256=study.plan.digest, data=_name(study.data),
        split=study.split.text, rounds=study.plan.plan.rounds, score=SCORES.get(study.plan.plan.loss, "score"),
        machine=machine(study.device), finished=finished(), dealt=dealt, runs=ordered, summary=results.summarise(ordered),
    )  # fmt: skip
    files.replace(folder / RESULTS, found.model_dump_json(indent=1).encode("utf-8"))
    return found


def _progress(cost: Cost, line: str | None = None) -> Progress:
    return Progress(min(1.0, cost.done / cost.total), minutes(cost.left), line)


def _path(folder: Path, seed: int, algorithm: Algorithm) -> Path:
    """Where a run is kept when it is done."""
    return folder / f"seed-{seed}" / f"{algorithm}.json"


def _deal(study: Study, whole: pool.Pool | None, place: Path, seed: int) -> Parties:
    rng = np.random.default_rng(seed)
    everything = pool.digits(rng) if whole is None else whole
    if study.samples is not None:
        everything = everything.part(study.samples, rng)
    both = parties.deal(everything, study.split, study.plan, study.beside, place, seed, rng, study.device)
    n, steps = both.samples, both.steps
    dealt = Dealt(
        seed=seed, learner=n["learner"], provider=n["provider"],
        learner_steps=steps["learner"], provider_steps=steps["provider"],
    )  # fmt: skip
    files.replace(place / DEALT, dealt.model_dump_json().encode("utf-8"))
    return both


def machine(device: str) -> str:
    """What it runs on, for a document."""
    place = load.device(device)
    chip = torch.cuda.get_device_name(place) if place.type == "cuda" else f"{platform.machine()}, {os.cpu_count()} cores"
    return f"{chip}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def _name(data: Data | None) -> str:
    return "digits" if data is None else f"{data.kind}:{Path(data.path).name}"


def _same(study: Study, whole: pool.Pool | None, folder: Path) -> None:
    """Make the folder, or see that it holds this study."""
    mark = {
        "plan": study.plan.digest,
        "split": study.split.text,
        "data": "digits" if whole is None else whole.digest(),
        "number of samples": study.samples,
    }
    path = folder / STUDY
    if path.is_file():
        before = json.loads(path.read_bytes())
        differ = [name for name, value in mark.items() if before.get(name) != value]
        if differ:
            raise UsageError(
                f"'{escape(str(folder), 200)}' holds a study with {' and '.join(f'another {n}' for n in differ)}",
                "name another folder with --out",
            )
        return
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"'{escape(str(folder), 200)}' is not empty, and no study", "name a new folder with --out")
    with files.storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
    files.replace(path, json.dumps(mark).encode("utf-8"))


def _line(done: Run) -> str:
    last = done.rounds[-1]
    score = "" if last.score is None else f"score {last.score:.4f}  "
    return f"seed {done.seed}  {done.algorithm:<13}  {score}loss {last.loss:.4f}"


def _play(both: Parties, algorithm: Algorithm, seed: int, cost: Cost, tell: Tell) -> Run:
    """One algorithm with one seed, round by round; what is needed to go on is kept after each."""
    kept = both.folder / f"{algorithm}.part"
    part: dict[str, Any] = {"rounds": [], "seconds": 0.0, "saved": None}
    play, goes_on = players.player(both, algorithm)
    if kept.is_file() and goes_on:
        part = torch.load(io.BytesIO(kept.read_bytes()), weights_only=True)
    rounds = [Round.model_validate(r) for r in part["rounds"]]
    judge = both.tasks[POOLED].new_model()
    for _ in rounds:
        cost.done += cost.round(algorithm)
    while len(rounds) < both.plan.plan.rounds:
        began, number = time.monotonic(), len(rounds) + 1
        played = play(number, part["saved"])
        loss = measure.measure(both.tasks[POOLED], judge, played.state)
        carried, raw = played.carried
        rounds.append(
            Round(
                round=number, loss=loss.total / loss.count, score=measure.held_out(both.tasks[POOLED], judge),
                carried=carried, raw=raw, selected=played.selected,
            )
        )  # fmt: skip
        part = {
            "rounds": [r.model_dump() for r in rounds],
            "seconds": part["seconds"] + time.monotonic() - began,
            "saved": played.saved,
        }
        buffer = io.BytesIO()
        torch.save(part, buffer)
        files.replace(kept, buffer.getbuffer())
        cost.done += cost.round(algorithm)
        tell(_progress(cost))
    return Run(algorithm=algorithm, seed=seed, rounds=rounds, seconds=round(part["seconds"], 1))
