"""How long should a turn be? The same study at several lengths, and the one that asks for the fewest trips.

Knows studies and their results; plays nothing itself.
"""

import dataclasses
import statistics
from collections.abc import Mapping

from alx import plan as plans
from alx.plan import Plan, StepsBySide
from alx.study.results import NEAR, Results
from alx.study.study import Study


def at(study: Study, round_steps: int) -> Study:
    """The same study with another number of optimiser steps a round.

    Steps by side keep their proportion, and a sampling period that the plan has keeps its number of snapshots.

    Args:
        study: what is asked for.
        round_steps: of both turns together.
    """
    plan = study.plan.plan
    return dataclasses.replace(study, plan=plans.altered(plan, _scaled(plan, round_steps)))


def _scaled(plan: Plan, round_steps: int) -> dict[str, object]:
    before, by_side = plan.round_steps, {}
    if isinstance(before, StepsBySide):
        both = before.learner + before.provider
        learner = max(1, min(round_steps - 1, round(before.learner * round_steps / both)))
        by_side = {"learner": learner, "provider": round_steps - learner}
        before = both
    period = plan.sampling_period
    scaled = {} if period is None else {"sampling_period": max(1, round(period * round_steps / before))}
    return {"round_steps": by_side or round_steps, **scaled}


def lines(plan: Plan) -> str:
    """What of a plan's file says how long a turn is."""
    said = ("round_steps", "sampling_period")
    return ", ".join(line for line in plans.written(plan).decode().splitlines() if line.startswith(said))


def curve(found: Results) -> list[float] | None:
    """The score of assistance after each round, mean over seeds; None where there is none."""
    scores = [[r.score for r in run.rounds] for run in found.of("assisted")]
    whole = [[s for s in each if s is not None] for each in scores]
    if any(len(a) < len(b) for a, b in zip(whole, scores, strict=True)):
        return None
    return [statistics.fmean(each) for each in zip(*whole, strict=True)]


def recommended(found: Mapping[int, Results], *, shares: bool) -> tuple[int, int] | None:
    """The length with the fewest rounds to within `NEAR` of the best score that any length reached; of equals the shortest.

    Args:
        found: results by number of steps a round; one that diverged is left out.
        shares: a score is a share, of which a hundredth is a point.

    Returns:
        Steps a round, and how many rounds; None where there is nothing to judge by: no such score on samples kept apart, or
        none that is better than no model's.
    """
    curves = {steps: curve(results) for steps, results in found.items()}
    known = {steps: scores for steps, scores in curves.items() if scores is not None}
    if not known or not shares:
        return None
    best = max(max(scores) for scores in known.values())
    if not next(iter(found.values())).tells(best):
        return None
    rounds = {
        steps: next(i for i, s in enumerate(scores, 1) if s >= best - NEAR)
        for steps, scores in known.items()
        if max(scores) >= best - NEAR
    }
    steps = min(rounds, key=lambda steps: (rounds[steps], steps))
    return steps, rounds[steps]
