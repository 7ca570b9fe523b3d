"""The demo: a whole exchange between two real sites, and the same training without assistance beside it."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alx import files, turns
from alx import plan as plans
from alx.errors import UsageError
from alx.learning import measure
from alx.learning.task import Task
from alx.site import site as sites
from alx.site.entries import Metrics
from alx.study import baselines, exchange, figures
from alx.study.baselines import Play
from alx.study.demo import cartpole, digits
from alx.study.demo.case import Case
from alx.study.exchange import Exchange, Say, Turn
from alx.study.parties import PLAIN
from alx.tasks import load

CASES = {"digits": digits.case, "cartpole": cartpole.case}
ROUNDS = {"digits": digits.ROUNDS, "cartpole": cartpole.ROUNDS}
MARK, MARKED = ".alx-demo", b"made by alx demo, which may replace what it made here\n"
RESULT, PICTURE = "demo.json", "demo.png"


@dataclass(frozen=True, slots=True)
class Demo:
    """Where everything is, what was played, and the numbers."""

    folder: Path
    case: Case
    result: dict[str, Any]


def run(folder: Path, task: str, rounds: int | None, seed: int, say: Say) -> Demo:
    """Play the whole exchange and its baselines.

    Args:
        folder: made anew; an earlier demo there is replaced.
        task: one of `CASES`.
        rounds: assistance rounds; None takes those of `ROUNDS`.
        seed: of the split, the weights, every turn and the two keys; the same on a CPU gives the same bundle digests.
        say: told the story, line by line.

    Raises:
        UsageError: the folder holds something else.
    """
    begun = time.monotonic()
    _clear(folder)
    rounds = rounds or ROUNDS[task]
    case = CASES[task](folder, rounds, seed)
    say(case.intro)
    both = exchange.begin(folder, case.plan, case.configs, seed, say, returns=case.returns)
    played = [_round(both, case, number) for number in range(1, rounds + 1)]
    both.close()
    say("for comparison: the learner alone, the provider alone, both pooled, and federated averaging for the same trips")
    tasks = {name: _task(both, case, name) for name in ("learner", "provider", "pooled")}
    plan = both.sites["learner"].plan
    plays = {name: baselines.alone(task, plan.seed, case.steps, rounds) for name, task in tasks.items()}
    plays["fedavg"] = _fedavg(both, tasks)
    curves = {name: _scores(tasks["pooled"], play, rounds) for name, play in plays.items()}
    best = turns.best(both.sites["learner"].look())
    result: dict[str, Any] = {
        "learner_only": curves["learner"][-1],
        "provider_only": curves["provider"][-1],
        "centralised": curves["pooled"][-1],
        "fedavg": curves["fedavg"][-1],
        "assisted": best.selected.held_out,
        "alone": curves,
        "rounds": played,
        "metrics": _known(best.selected.metrics),
        "samples": best.selected.samples,
        "seed": seed,
    }
    sign = -1 if case.returns else 1
    figures.by_round(
        folder / PICTURE,
        f"alx demo: {task}, {case.steps} steps a round, seed {seed}",
        [sign * r["global_loss"] / best.selected.samples for r in played],
        "mean discounted return" if case.returns else "global loss a sample",
        {
            "pooled data": curves["pooled"],
            "assisted": [r[case.score] for r in played],
            "FedAvg": curves["fedavg"],
            "provider alone": curves["provider"],
            "learner alone": curves["learner"],
        },
        case.scored,
        log=not case.returns,
        digits=case.digits,
    )
    result["seconds"] = round(time.monotonic() - begun, 1)
    files.replace(folder / RESULT, json.dumps(result, indent=1).encode("utf-8"), shared=True)
    return Demo(folder, case, result)


def _known(worth: Metrics | None) -> dict[str, Any] | None:
    """What the best model is worth on samples kept apart, where more than one number says it."""
    if worth is None or len(worth.values) == 1:
        return None
    return {"values": worth.values, "majority": worth.majority}


def _clear(folder: Path) -> None:
    """Make the folder, or take away what an earlier demo made in it; nothing else is touched."""
    sites.refuse_inside(folder)
    mark = folder / MARK
    if folder.exists() and not (mark.is_file() and mark.read_bytes() == MARKED) and not _is_empty(folder):
        raise UsageError(f"'{folder}' is not empty and no earlier demo", "name another with --dir")
    for name in exchange.FOLDERS:
        files.remove_tree(folder / name)
    with files.storage(folder):
        folder.mkdir(parents=True, exist_ok=True)
    files.write(mark, MARKED)


def _is_empty(folder: Path) -> bool:
    return folder.is_dir() and not any(folder.iterdir())


def _round(both: Exchange, case: Case, number: int) -> dict[str, Any]:
    both.say(f"round {number}")
    there, back = both.play(number)
    chosen = back.chosen.selected
    return {
        "round": number,
        "global_loss": chosen.global_loss,
        case.score: chosen.held_out,
        "selected": {"learner": chosen.label, "provider": there.chosen.selected.label},
        "bundles": [_bundle(both.folder, "learner", there), _bundle(both.folder, "provider", back)],
    }


def _bundle(folder: Path, role: str, turn: Turn) -> dict[str, Any]:
    sealed = turn.sealed
    return {
        "path": str(folder / "disk" / sealed.path.name),
        "from": role,
        "bytes": sealed.size,
        "raw_bytes": sealed.raw_size,
        "snapshots": sealed.snapshots,
        "blends": sealed.blends,
        "digest": sealed.digest,
    }


def _task(both: Exchange, case: Case, name: str) -> Task:
    """The task of one side, or of both pooled, as somebody has it who trains without assistance."""
    site = both.sites["learner"]  # a path in a configuration starts at a site's folder, and a task's file lies there
    config = case.configs[name]
    plain = plans.altered(site.plan, PLAIN).plan
    return load.task(site.folder, config.model_copy(update={"task": site.config.task}), plain)


def _fedavg(both: Exchange, tasks: Mapping[str, Task]) -> Play:
    """Federated averaging between the two sites, for as many trips and steps."""
    samples = {role: site.look().own.file.samples for role, site in both.sites.items()}
    plan = both.sites["learner"].plan
    steps = {role: plan.steps(role, samples[role], sum(samples.values()) - samples[role]) for role in samples}
    return baselines.fedavg({role: tasks[role] for role in samples}, plan, steps, samples)


def _scores(task: Task, play: Play, rounds: int) -> list[float]:
    judge = task.new_model()
    worth = [measure.held_out(task, measure.loaded(task, judge, s)) for s in baselines.states(play, rounds)]
    return [0.0 if each is None else each.score or 0.0 for each in worth]
