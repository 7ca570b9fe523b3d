"""How one round of each algorithm is played with both parties.

Knows parties, exchanges and baselines; knows no score.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from alx import files, turns
from alx import plan as plans
from alx.learning import state
from alx.learning.task import Task
from alx.plan import Plan, PlanFile
from alx.records import Role
from alx.study import baselines, exchange, parties
from alx.study.baselines import Play, Played, Saved
from alx.study.exchange import Exchange
from alx.study.parties import PLAIN, POOLED, TRAINED, Parties
from alx.study.results import Algorithm
from alx.study.sizes import packed
from alx.tasks import load
from alx.training import firm
from alx.turns import personal

EXCHANGE = "exchange"
BLENDED: dict[str, object] = {"candidates": "blended"}
ASSISTED: Mapping[Algorithm, dict[str, object]] = {
    "assisted": {},
    "paper": PLAIN | {"candidates": "trajectory", "optimiser": {"keep": False}},
    "blended": PLAIN | BLENDED,
    "blended+distillation": BLENDED | TRAINED,
    "blended+distillation+validation": BLENDED | {"select_on": "validation", "privacy": None},
}
"""Kinds of assistance: what the plan says in place of its own, where that is no matter of `DISTILLED`, and of `ridge`."""
DISTILLED = "+distillation"  # in a name: with the plan's [distillation], or the default one where the plan has it off
ALONE: dict[Algorithm, str] = {"centralised": POOLED, "learner-only": "learner", "provider-only": "provider"}


def player(both: Parties, algorithm: Algorithm) -> tuple[Play, bool]:
    """How a round of `algorithm` is played, and whether a part that was played before can be gone on with."""
    if algorithm in ASSISTED:
        return _assisted(both, algorithm)
    plan, tasks, steps = both.plan.plan, both.tasks, both.steps
    if algorithm in ALONE:
        return baselines.alone(tasks[ALONE[algorithm]], plan.seed, sum(steps.values()), plan.rounds), True
    of = _distilled(both) if DISTILLED in algorithm else {role: tasks[role] for role in get_args(Role)}
    cyclic = algorithm.startswith("cyclic")
    play = baselines.cyclic(of, plan, steps) if cyclic else baselines.fedavg(of, plan, steps, both.samples)

    def carried(number: int, saved: Saved | None) -> Played:
        played = play(number, saved)
        size, raw = packed(state.travels(tasks[POOLED], played.state))
        return dataclasses.replace(played, carried=(2 * size, 2 * raw))  # one model each way

    return carried, True


def agreed(plan: Plan, algorithm: Algorithm) -> PlanFile:
    """The plan that a kind of assistance is played by."""
    firm = _firm(plan) if DISTILLED in algorithm else {}
    trained = {} if plan.ridge is None or algorithm == "assisted" else {"model": {"ridge": None}}
    return plans.altered(plan, {**ASSISTED[algorithm], **firm, **trained})


def _firm(plan: Plan) -> dict[str, object]:
    """[distillation] that is on, where the loss has a default for it."""
    return {"distillation": {"weight": plan.distillation.weight or firm(plan.loss)}}


def _distilled(both: Parties) -> dict[Role, Task]:
    """Both sites' tasks, which train with distillation and are measured on all their samples."""
    plan = plans.altered(both.plan.plan, PLAIN | _firm(both.plan.plan)).plan
    return {role: load.task(both.folder, both.configs[role], plan) for role in get_args(Role)}


def clear(folder: Path) -> None:
    """Delete the exchange's sites from a party's folder."""
    files.remove_tree(folder / EXCHANGE)


def _assisted(both: Parties, algorithm: Algorithm) -> tuple[Play, bool]:
    """How a round is played, and whether an exchange was found that can be gone on with."""
    folder = both.folder / EXCHANGE / algorithm
    found = exchange.resume(folder, lambda _line: None)
    sites = found if found is not None else _begin(both, algorithm, folder)

    def one(number: int, _saved: Saved | None) -> Played:
        there, back = sites.play(number)
        learner, provider = (sites.sites[role].look() for role in get_args(Role))
        model, chosen = turns.latest(learner).tensors, learner.position.selected[-1]
        own = personal.unpacked(personal.of_candidate(provider, provider.position.sealed[-1], chosen.index))
        closing = 0
        if number == both.plan.plan.rounds:
            closing = sites.close()  # nothing is forgotten now: killed before the round is kept, it is asked for again
        else:
            sites.forget()
        sealed = there.sealed, back.sealed
        carried = sum(s.size for s in sealed) + closing, sum(s.raw_size for s in sealed)
        selected = there.chosen.selected.label, back.chosen.selected.label
        return Played(model, None, carried, selected, {**model, **own} if own else None)

    return one, found is not None


def _begin(both: Parties, algorithm: Algorithm, folder: Path) -> Exchange:
    files.remove_tree(folder)
    with files.storage(folder):
        folder.mkdir(parents=True)
    plan = agreed(both.plan.plan, algorithm)
    parties.put_code(folder, plan, both.code)
    configs = {role: both.site(role, "../../../") for role in get_args(Role)}
    told = plan.data.decode("utf-8")
    return exchange.begin(folder, told, configs, plan.plan.seed, lambda _line: None, init=both.init)
