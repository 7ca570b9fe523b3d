"""Both sites on one machine beside what they could have done instead: same start, same data, as many steps.

The sites are real: each turn is sealed, signed, carried to a folder, verified and selected from, by the functions that
the commands call. Killed at any point, the same call goes on with the round that was being played.
"""

import io
import json
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from safetensors.torch import load as load_tensors

from alx import __version__, files, turns
from alx.errors import ConfigError, UsageError, escape
from alx.learning import measure
from alx.learning.task import State, Task
from alx.plan import PlanFile, Role
from alx.site.site_file import Data
from alx.study import baselines, exchange, parties, pool, results, splits
from alx.study.cost import Cost, minutes, packed
from alx.study.exchange import Exchange
from alx.study.parties import POOLED, Parties
from alx.study.results import Algorithm, Dealt, Results, Round, Run
from alx.study.splits import Split
from alx.tasks import load

STUDY, RESULTS, EXCHANGE = "study.json", "results.json", "exchange"
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
    """Where a simulation stands: seconds of work done and in all, and a line where something is worth one."""

    done: float
    total: float
    line: str | None = None


Tell = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class _Played:
    """One round of one algorithm: the model, what was carried, what was chosen, what is needed to go on."""

    state: State
    carried: tuple[int, int] = (0, 0)
    selected: tuple[str, str] | None = None
    saved: Any = None


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
    cost: Cost | None = None
    runs: list[Run] = []
    dealt: list[Dealt] = []
    for seed in study.seeds:
        place, rng = folder / f"seed-{seed}", np.random.default_rng(seed)
        everything = pool.digits(rng) if whole is None else whole
        if study.samples is not None:
            everything = everything.part(study.samples, rng)
        both = parties.deal(everything, study.split, study.plan, study.beside, place, seed, rng, study.device)
        dealt.append(_dealt(seed, both))
        if cost is None:
            cost = Cost(both, study.algorithms, len(study.seeds))
            for line in cost.words():
                tell(Progress(0, cost.total, line))
        for algorithm in study.algorithms:
            path = place / f"{algorithm}.json"
            if path.is_file():
                cost.skip(algorithm)
                done = Run.model_validate_json(path.read_bytes())
            else:
                done = _play(both, algorithm, seed, cost, tell)
                files.replace(path, done.model_dump_json(indent=1).encode("utf-8"))
            files.remove_tree(place / EXCHANGE)
            (place / f"{algorithm}.part").unlink(missing_ok=True)
            runs.append(done)
            tell(Progress(cost.done, cost.total, f"{_line(done)}  about {minutes(cost.left)} left"))
        both.sweep()
    ordered = [r for a in study.algorithms for r in runs if r.algorithm == a]
    found = Results(
        alx=__version__, plan=study.plan.plan.name, plan_sha256=study.plan.digest, data=_name(study.data),
        split=study.split.text, rounds=study.plan.plan.rounds, score=SCORES.get(study.plan.plan.loss, "score"),
        machine=machine(study.device), finished=finished(), dealt=dealt, runs=ordered, summary=results.summarise(ordered),
    )  # fmt: skip
    files.replace(folder / RESULTS, found.model_dump_json(indent=1).encode("utf-8"))
    return found


def _dealt(seed: int, both: Parties) -> Dealt:
    n, steps = both.samples, both.steps
    return Dealt(
        seed=seed, learner=n["learner"], provider=n["provider"],
        learner_steps=steps["learner"], provider_steps=steps["provider"],
    )  # fmt: skip


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
    play, goes_on = assisted(both, algorithm) if algorithm in results.ASSISTED else (_baseline(both, algorithm), True)
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
        tell(Progress(cost.done, cost.total))
    return Run(algorithm=algorithm, seed=seed, rounds=rounds, seconds=round(part["seconds"], 1))


def _baseline(both: Parties, algorithm: Algorithm) -> Callable[[int, Any], _Played]:
    agreed, tasks = both.plan.plan, both.tasks
    of: dict[Role, Task] = {role: tasks[role] for role in get_args(Role)}
    a_round = sum(both.steps.values())
    plays: dict[Algorithm, Callable[[], baselines.Play]] = {
        "centralised": lambda: baselines.alone(tasks[POOLED], agreed.seed, a_round),
        "learner-only": lambda: baselines.alone(tasks["learner"], agreed.seed, a_round),
        "provider-only": lambda: baselines.alone(tasks["provider"], agreed.seed, a_round),
        "cyclic": lambda: baselines.cyclic(of, agreed, both.steps),
        "fedavg": lambda: baselines.fedavg(of, agreed, both.steps, both.samples),
    }
    play, travels = plays[algorithm](), algorithm in ("cyclic", "fedavg")

    def one(number: int, saved: Any) -> _Played:
        model, after = play(number, saved)
        size, raw = packed(model) if travels else (0, 0)
        return _Played(model, (2 * size, 2 * raw), None, after)  # one model each way

    return one


def assisted(both: Parties, algorithm: Algorithm) -> tuple[Callable[[int, Any], _Played], bool]:
    """How a round is played, and whether an exchange was found that can be gone on with."""
    folder = both.folder / EXCHANGE / algorithm
    found = exchange.resume(folder, lambda _line: None)
    sites = found if found is not None else _begin(both, algorithm, folder)

    def one(number: int, _saved: Any) -> _Played:
        there, back = sites.play(number)
        model = load_tensors(turns.best_file(turns.latest(sites.sites["learner"])))
        sites.forget()
        sealed = there.sealed, back.sealed
        carried = sum(s.size for s in sealed), sum(s.raw_size for s in sealed)
        return _Played(model, carried, (there.chosen.body["label"], back.chosen.body["label"]))

    return one, found is not None


def _begin(both: Parties, algorithm: Algorithm, folder: Path) -> Exchange:
    files.remove_tree(folder)
    with files.storage(folder):
        folder.mkdir(parents=True)
    plan = both.plan if algorithm == "assisted" else parties.changed(both.plan, candidates=algorithm)
    code = None if plan.plan.model is None else plan.plan.model.file()
    if code is not None:
        files.replace(folder / code, (both.folder / code).read_bytes())
    return exchange.begin(folder, plan.data.decode("utf-8"), both.configs, plan.plan.seed, lambda _line: None)
