"""What a simulation found: results.json. Knows numbers; knows how nothing was trained."""

import statistics
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from alx.records import Finite, Strict
from alx.tasks.objective import NAMED

Algorithm = Literal[
    "assisted",
    "paper",
    "blended",
    "blended+distillation",
    "blended+distillation+validation",
    "centralised",
    "learner-only",
    "provider-only",
    "cyclic",
    "cyclic+distillation",
    "fedavg",
    "fedavg+distillation",
]
NEAR = 0.01  # "within one point" of centralised
Whole = Annotated[int, Field(ge=0)]


class Round(Strict):
    """The model after one round."""

    round: int = Field(ge=1, description="from 1")
    loss: Finite | None = Field(description="training loss on both parties' samples, mean a sample; null: diverged")
    score: Finite | None = Field(description="on samples kept apart, higher is better; null: none, or diverged")
    metrics: dict[str, Finite | None] = Field(
        default_factory=dict, description="the score and what else is known on samples kept apart; null: it means nothing"
    )
    carried: Whole = Field(
        description="bytes carried in this round, both ways: assisted, all files of two bundles, in the last round of the "
        "closing too; cyclic and fedavg, two models packed as a bundle packs one, with no manifest or signature; 0 for "
        "whoever trains alone"
    )
    raw: Whole = Field(description="bytes of the models in it before compression, and of nothing else")
    selected: tuple[str, str] | None = Field(description="candidates chosen by provider and learner; null where none are")


class Run(Strict):
    """One algorithm with one seed."""

    algorithm: Algorithm = Field(description="what was played; assisted is what the plan says")
    seed: Whole = Field(description="of the first model, the split and every batch")
    rounds: list[Round] = Field(description="in order")
    seconds: float = Field(ge=0, description="how long it took")


class Spread(Strict):
    """Over seeds."""

    mean: Finite = Field(description="mean")
    sd: Finite | None = Field(description="standard deviation of a sample; null with one seed")

    def text(self, form: str) -> str:
        """`0.951 ± 0.002`, each number in a format such as `.3f`."""
        return f"{self.mean:{form}}" + ("" if self.sd is None else f" ± {self.sd:{form}}")


class Summary(Strict):
    """One algorithm after its last round."""

    algorithm: Algorithm = Field(description="what was played")
    seeds: int = Field(ge=1, description="how many")
    loss: Spread | None = Field(description="training loss on both parties' samples, mean a sample; null: a seed diverged")
    score: Spread | None = Field(description="on samples kept apart; null: there are none, or a seed diverged")
    metrics: dict[str, Spread] = Field(
        default_factory=dict, description="the score and what else is known on samples kept apart, where each seed has it"
    )
    near: list[int | None] = Field(
        description="for each seed, the first round with a share within 0.01 of centralised's last; null: none, or not known"
    )
    carried: Finite = Field(description="bytes carried in all rounds, mean over seeds; see a round's")


class Dealt(Strict):
    """Who held how much with one seed."""

    seed: Whole = Field(description="seed")
    learner: int = Field(ge=1, description="samples")
    provider: int = Field(ge=1, description="samples")
    learner_steps: int = Field(ge=1, description="optimiser steps of a turn")
    provider_steps: int = Field(ge=1, description="optimiser steps of a turn")
    majority: dict[str, Finite | None] = Field(
        default_factory=dict, description="on samples kept apart, the best answer that is the same for every sample"
    )


class Results(Strict):
    """results.json, written by `alx simulate`."""

    alx: str = Field(description="version")
    plan: str = Field(description="the plan's name")
    plan_sha256: str = Field(description="of the plan's file; each seed had the same one but for the seed")
    data: str = Field(description="as it was named")
    split: str = Field(description="as it was named")
    samples: int | None = Field(description="so many of them, drawn for each seed; null: all")
    rounds: int = Field(ge=1, description="the plan's")
    score: str = Field(description="what a score is")
    machine: str = Field(description="what it ran on")
    finished: str = Field(description="when, UTC")
    dealt: list[Dealt] = Field(description="one for each seed that lies in the folder")
    runs: list[Run] = Field(description="every run that lies in the folder, by algorithm and seed")
    summary: list[Summary] = Field(description="the same over seeds")

    def of(self, algorithm: Algorithm) -> list[Run]:
        """The runs of one algorithm, by seed."""
        return [run for run in self.runs if run.algorithm == algorithm]

    @property
    def without(self) -> float | None:
        """The score of the best answer that is the same for every sample, mean over seeds; None where it is not known."""
        known = [v for v in (next(iter(d.majority.values()), None) for d in self.dealt) if v is not None]
        return statistics.fmean(known) if known else None

    def tells(self, score: float) -> bool:
        """Whether a score says that something was learnt: a share is above that without a model, by more than `NEAR`.

        Where no more than that is to gain, half of it does.
        """
        none = self.without
        return none is None or not shares(self.score) or score > none + min(NEAR, (1 - none) / 2)


def shares(score: str) -> bool:
    """Whether a score is a share, of which a hundredth is a point."""
    return any(named.share and named.scored == score for named in NAMED.values())


def spread(values: Sequence[float | None]) -> Spread | None:
    """Mean and standard deviation; None where one is missing."""
    known = [v for v in values if v is not None]
    if len(known) < len(values):
        return None
    return Spread(mean=statistics.fmean(known), sd=statistics.stdev(known) if len(known) > 1 else None)


def _spreads(each: Sequence[dict[str, float | None]]) -> dict[str, Spread]:
    known = {name: spread([values.get(name) for values in each]) for name in each[0]}
    return {name: found for name, found in known.items() if found is not None}


def summarise(runs: Sequence[Run], *, shares: bool) -> list[Summary]:
    """Each algorithm after its last round, in the order in which they come.

    Args:
        runs: every algorithm with every seed.
        shares: a score is a share, of which a hundredth is a point.
    """
    goals = {run.seed: run.rounds[-1].score for run in runs if run.algorithm == "centralised" and shares}
    out = []
    for algorithm in dict.fromkeys(run.algorithm for run in runs):
        mine = [run for run in runs if run.algorithm == algorithm]
        out.append(
            Summary(
                algorithm=algorithm,
                seeds=len(mine),
                loss=spread([run.rounds[-1].loss for run in mine]),
                score=spread([run.rounds[-1].score for run in mine]),
                metrics=_spreads([run.rounds[-1].metrics for run in mine]),
                near=[_near(run, goals.get(run.seed)) for run in mine],
                carried=statistics.fmean(sum(r.carried for r in run.rounds) for run in mine),
            )
        )
    return out


def _near(run: Run, goal: float | None) -> int | None:
    if goal is None:
        return None
    return next((r.round for r in run.rounds if r.score is not None and r.score >= goal - NEAR), None)
