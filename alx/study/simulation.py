"""Both sites on one machine beside what they could have done instead: same start, same data, as many steps.

The sites are real: each turn is sealed, signed, carried to a folder, verified and selected from, by the functions that
the commands call. Killed at any point, the same call goes on with the round that was being played.
"""

import os
import platform
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import torch

from alx import __version__, files
from alx.errors import ConfigError, escape
from alx.learning import measure
from alx.plan import INIT_NAME
from alx.study import algorithms, claim, cost, parties, results, rounds
from alx.study.cost import Cost, Progress, Tell, minutes
from alx.study.parties import POOLED, Parties
from alx.study.pool import Pool
from alx.study.results import Algorithm, Dealt, Results, Run
from alx.study.study import Study
from alx.tasks import devices
from alx.tasks.objective import NAMED

DEALT, RESULTS = "dealt.json", "results.json"


def run(study: Study, folder: Path, tell: Tell, finished: Callable[[], str]) -> Results:
    """Play every algorithm with every seed.

    Args:
        study: what is asked for.
        folder: where; what an earlier call left there is gone on with, and other seeds and algorithms may be asked for:
            the results have them all.
        tell: progress.
        finished: gives the date to write into the results.

    Raises:
        UsageError: the folder holds another study, or something else; the split does not fit the data.
        ConfigError: the data, the plan or the model cannot be used.
    """
    claim.prepare(folder)
    with files.lock(folder / claim.LOCK):
        whole = study.whole()
        mark = claim.mark(study, whole)
        known = claim.claimed(folder, mark)
        for seed in study.seeds:  # a split that does not fit is told before the first hour, not after it
            study.check(whole, seed)
        if not known:
            _try(study, whole, folder / claim.TRIAL)
            claim.claim(folder, mark)
        _play_all(study, whole, folder, tell)
        runs = _runs(folder)
        seeds = sorted({run.seed for run in runs})
        dealt = [Dealt.model_validate_json(_read(folder / f"seed-{seed}" / DEALT)) for seed in seeds]
        score = _scored(study, runs)
        found = Results(
            alx=__version__,
            plan=study.plan.plan.name,
            plan_sha256=study.plan.digest,
            data=study.data_name,
            split=study.split.text,
            samples=study.samples,
            rounds=study.plan.plan.rounds,
            score=score + (", mean of both sides' models" if study.plan.plan.personal else ""),
            machine=machine(),
            finished=finished(),
            dealt=dealt,
            runs=runs,
            summary=results.summarise(runs, shares=results.shares(score)),
        )
        files.replace(folder / RESULTS, found.model_dump_json(indent=1).encode("utf-8"), shared=True)
    return found


def _scored(study: Study, runs: Sequence[Run]) -> str:
    """What a score is: of the built-in task by the plan's loss; of a task of one's own, the first that it tells by name."""
    if study.own is None:
        return NAMED[study.plan.plan.loss].scored
    return next((name for run in runs for r in run.rounds for name in r.metrics), "score")


def _try(study: Study, whole: Pool | None, place: Path) -> None:
    """See that the model takes what the first seed deals, before the folder belongs to this study."""
    files.remove_tree(place)
    try:
        _deal(study, whole, place, study.seeds[0])
        if study.own is not None:  # what one kind of assistance plans differently may be what the task is not made for
            for algorithm in algorithms.ASSISTED.keys() & set(study.algorithms):
                study.own.pool(algorithms.agreed(study.plan.plan, algorithm).plan)
    except ConfigError as error:  # its files are of our making: people know the data by the name that they gave
        message = re.sub(r"'(learner|provider|pooled)\.npz'", lambda _: f"'{escape(study.data_name)}'", error.message)
        if study.init is not None:
            message = message.replace(f"'{INIT_NAME}'", f"'{escape(study.init.name)}'")
        digits = study.data is None and study.own is None
        hint = (
            "your own data: --data KIND:PATH; without it, it is --data digits"
            if digits
            else error.hint.replace("alx init --init", "--init")
        )
        raise ConfigError(message, hint) from error
    finally:
        files.remove_tree(place)


def _runs(folder: Path) -> list[Run]:
    """Every run that lies in the folder, what earlier calls asked for included, by algorithm and seed."""
    with files.storage(folder):
        found = [p for a in get_args(Algorithm) for p in folder.glob(f"seed-*/{a}.json")]
    runs = [Run.model_validate_json(_read(path)) for path in found]
    order = get_args(Algorithm)
    return sorted(runs, key=lambda run: (order.index(run.algorithm), run.seed))


def _play_all(study: Study, whole: Pool | None, folder: Path, tell: Tell) -> None:
    """Play what is asked for and was not played yet."""
    todo = Counter(a for seed in study.seeds for a in study.algorithms if not _path(folder, seed, a).is_file())
    asked, left = len(study.seeds) * len(study.algorithms), sum(todo.values())
    if left < asked:
        tell(Progress(line=f"going on: {asked - left} of {asked} runs are there"))
    if study.as_planned is not None:
        tell(Progress(line=f"{study.as_planned} is what the plan says: it is played once, as assisted"))
    estimate: Cost | None = None
    for seed in study.seeds:
        place = folder / f"seed-{seed}"
        missing = [a for a in study.algorithms if not _path(folder, seed, a).is_file()]
        if missing or not (place / DEALT).is_file():
            both = _deal(study, whole, place, seed)
            if estimate is None:
                estimate = cost.measured(both, todo, keep=study.keep)
                for line in estimate.words():
                    tell(cost.progress(estimate, line))
            for algorithm in missing:
                done = rounds.play(both, algorithm, seed, estimate, tell, keep=study.keep)
                files.replace(_path(folder, seed, algorithm), done.model_dump_json(indent=1).encode("utf-8"))
                algorithms.clear(place)
                tell(cost.progress(estimate, f"{_line(done)}  about {minutes(estimate.left)} left"))
        algorithms.clear(place)
        parties.sweep(place)
        for algorithm in study.algorithms:
            _path(folder, seed, algorithm).with_suffix(".part").unlink(missing_ok=True)


def _read(path: Path) -> bytes:
    with files.storage(path):
        return path.read_bytes()


def _path(folder: Path, seed: int, algorithm: Algorithm) -> Path:
    """Where a run is kept when it is done."""
    return folder / f"seed-{seed}" / f"{algorithm}.json"


def _deal(study: Study, whole: Pool | None, place: Path, seed: int) -> Parties:
    rng = np.random.default_rng(seed)
    pool = study.pool(whole, seed, rng)
    both = parties.deal(pool, study.split, study.plan, study.code, place, seed, rng, study.metrics, study.init)
    n, steps, judge = both.samples, both.steps, both.tasks[POOLED]
    worth = measure.held_out(judge, judge.new_model())
    dealt = Dealt(
        seed=seed,
        learner=n["learner"],
        provider=n["provider"],
        learner_steps=steps["learner"],
        provider_steps=steps["provider"],
        majority={} if worth is None else dict(worth.majority),
    )
    files.replace(place / DEALT, dealt.model_dump_json().encode("utf-8"))
    return both


def machine() -> str:
    """What it runs on, for a document."""
    place = devices.device("auto")
    chip = torch.cuda.get_device_name(place) if place.type == "cuda" else f"{platform.machine()}, {os.cpu_count()} cores"
    return f"{chip}, {torch.get_num_threads()} threads, torch {torch.__version__}"


def _line(done: Run) -> str:
    last = done.rounds[-1]
    score = "" if last.score is None else f"score {last.score:.4f}  "
    loss = "diverged" if last.loss is None else f"loss {last.loss:.4g}"
    return f"seed {done.seed}  {done.algorithm:<31}  {score}{loss}"
