"""What assistance is compared with, from the same start and for as many steps.

One party alone (or both pooled), and two rivals that could be had for the same trips: cyclical weight transfer (Chang et
al., 2018: send only the last model) and federated averaging (McMahan et al., 2017). Knows tasks; knows no bundle.

Each is a function that plays one round.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from alx.learning import blend, state, trajectory
from alx.learning.blend import Recipe
from alx.learning.task import State, Task
from alx.plan import Plan
from alx.records import Role
from alx.turns import turn_seed

Saved = dict[str, Any]
Kept = dict[Role, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Played:
    """One round of an algorithm.

    Attributes:
        state: the model after it.
        saved: what the next round needs.
        carried: bytes carried both ways, and the same before compression.
        selected: what provider and learner chose, where they choose.
        provider: where the plan keeps parts personal and two sides have a model, the provider's: `state` is the learner's.
    """

    state: State
    saved: Saved | None
    carried: tuple[int, int] = (0, 0)
    selected: tuple[str, str] | None = None
    provider: State | None = None


Play = Callable[[int, Saved | None], Played]
"""(round from 1, what the round before saved) -> the round."""


def _quiet(_step: int, _loss: float) -> None:
    """Nobody watches."""


def states(play: Play, rounds: int) -> Iterator[State]:
    """The model's state after each round of a baseline, from the first."""
    saved = None
    for number in range(1, rounds + 1):
        played = play(number, saved)
        saved = played.saved
        yield played.state


def alone(task: Task, seed: int, round_steps: int, rounds: int) -> Play:
    """Train without a peer, the optimiser never restarted.

    Args:
        task: whose data.
        seed: the plan's, so that the start is theta^0.
        round_steps: optimiser steps of a round; one round on the x axis, as in the paper.
        rounds: of all; a schedule goes over all of their steps, as nothing breaks them up.
    """

    def play(round_: int, saved: Saved | None) -> Played:
        trajectory.seed_all(seed)
        run = trajectory.Run(task, state.fresh(task), seed, rounds * round_steps)
        if saved is not None:
            run.load_state_dict(saved)
        *_, (_, last) = trajectory.sample(run, round_ * round_steps, round_ * round_steps, _quiet)
        return Played(last, run.state_dict())

    return play


def _turn(
    task: Task, plan: Plan, start: State, round_: int, role: Role, steps: int, kept: Kept | None = None
) -> tuple[State, Kept]:
    """One turn with the batches that the assisted one would have had; its final state, and what each role keeps."""
    run = trajectory.Run(task, start, turn_seed(plan.seed, round_, role), steps)
    kept = dict(kept or {})
    if role in kept:
        run.take_up(kept[role])
    *_, (_, last) = trajectory.sample(run, steps, steps, _quiet)
    return last, kept | ({role: run.kept()} if plan.optimiser.keep else {})


def _kept(saved: Saved | None) -> Kept:
    return {} if saved is None else saved.get("kept", {})


def _start(task: Task, saved: Saved | None) -> tuple[State, dict[Role, State]]:
    """What is shared, beside whatever; and the personal parts of each role."""
    if saved is not None:
        return saved["model"], saved["own"]
    fresh = state.fresh(task)
    return fresh, {role: state.personal(task, fresh) for role in get_args(Role)}


def _ended(model: State, own: Mapping[Role, State], kept: Kept) -> Played:
    """A round after which each role has its own parts, if any, beside what is shared."""
    learner, provider = ({**model, **own[role]} for role in get_args(Role))
    saved = {"model": dict(model), "own": {role: dict(each) for role, each in own.items()}, "kept": kept}
    return Played(learner, saved, provider=provider if own["provider"] else None)


def cyclic(tasks: Mapping[Role, Task], plan: Plan, steps: Mapping[Role, int]) -> Play:
    """The learner trains and sends its last model; the provider trains on from there and sends its own back.

    Personal parts stay where they are, and go on from where their side left them.

    Args:
        tasks: of both sites.
        plan: the agreement.
        steps: of each turn.
    """

    def play(round_: int, saved: Saved | None) -> Played:
        (model, own), kept = _start(tasks["learner"], saved), _kept(saved)
        for role in get_args(Role):
            model, kept = _turn(tasks[role], plan, {**model, **own[role]}, round_, role, steps[role], kept)
            own = {**own, role: state.personal(tasks[role], model)}
        return _ended(model, own, kept)

    return play


def fedavg(tasks: Mapping[Role, Task], plan: Plan, steps: Mapping[Role, int], samples: Mapping[Role, int]) -> Play:
    """Both train from the same model, each sends its own to the other, and both take the mean, weighted by samples.

    Of batch norm that is personal this is FedBN (Li et al., 2021): each side's own is no part of the mean.

    Args:
        tasks: of both sites.
        plan: the agreement.
        steps: of each turn.
        samples: of each site. Integer buffers are the larger site's.
    """
    larger: Role = max(get_args(Role), key=lambda role: samples[role])
    smaller: Role = "learner" if larger == "provider" else "provider"
    everybody = samples[larger] + samples[smaller]
    mean = Recipe(samples[larger] / everybody, samples[smaller] / everybody)

    def play(round_: int, saved: Saved | None) -> Played:
        (start, own), kept, ends = _start(tasks["learner"], saved), _kept(saved), {}
        for role in get_args(Role):
            ends[role], kept = _turn(tasks[role], plan, {**start, **own[role]}, round_, role, steps[role], kept)
        model = blend.blend(start, ends[larger], ends[smaller], start, mean, ())
        return _ended(model, {role: state.personal(tasks[role], end) for role, end in ends.items()}, kept)

    return play
