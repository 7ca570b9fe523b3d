"""What a simulation will cost, found by trying a few steps; and the time left, corrected by how it goes.

Knows a task's speed; knows no result.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import get_args

from alx import files
from alx.learning import blend, measure, state, trajectory
from alx.records import Role
from alx.report import privacy
from alx.study import algorithms, sizes
from alx.study import parties as dealt
from alx.study.parties import POOLED, Parties
from alx.study.results import Algorithm
from alx.turns import budget
from alx.turns.bridge import layout_of

WARM, TRIED = 2, 5  # steps not timed, and timed
HANDLING = 5  # times the encoding of a state: it is encoded, written, copied twice, hashed and decoded twice as well
HELD_OUT = 1.3  # of the pooled samples: a judge measures those kept apart too
KEPT = 7  # times what a round carries: both sites' outboxes with two rounds, inboxes with three, the disk, the work folders
MODELS = 24  # besides blends: optimisers' states, starts, what the peer had, and what a round leaves for the next, twice
SITES = 512 << 10  # ledgers, logs, keys and plans of two sites
BESIDE = 128 << 10  # what lies with a model that is kept: its header, the plan
LOGGED = 16 << 10  # what a round adds to ledgers and logs, and to the results


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a simulation stands: the share that is done and the time left in words, and a line where one is worth it."""

    done: float = 0.0
    left: str | None = None
    line: str | None = None


Tell = Callable[[Progress], None]


@dataclass(slots=True)
class Cost:
    """What everything costs, as estimated, and how far off that is by what was done so far.

    Attributes:
        parties: of one seed.
        todo: what will be played, and how often.
        seconds: of each algorithm with one seed.
        carried: bytes, of each algorithm with one seed, at most.
        disk: bytes while it runs, at most.
        done: seconds of what is done, as they were estimated; what an earlier call did included.
        before: those of an earlier call.
        began: when this call began, by `time.monotonic`.
    """

    parties: Parties
    todo: Mapping[Algorithm, int]
    seconds: Mapping[Algorithm, float]
    carried: Mapping[Algorithm, int]
    disk: int
    done: float = 0.0
    before: float = 0.0
    began: float = field(default_factory=time.monotonic)

    @property
    def total(self) -> float:
        """Seconds of everything."""
        return sum(count * self.seconds[a] for a, count in self.todo.items())

    def words(self) -> list[str]:
        """What it will cost, for people."""
        carried = ", ".join(f"{files.size(size)} by {name}" for name, size in self.carried.items())
        n, steps = self.parties.samples, self.parties.steps
        played = ", ".join(f"{a} x {n}" if n > 1 else a for a, n in self.todo.items())
        return [
            *(f"{role}: {n[role]:,} samples, {steps[role]:,} steps a turn" for role in get_args(Role)),
            f"{self.parties.plan.plan.rounds} rounds of {played}",
            *self._noise(),
            f"about {minutes(self.total)} on this machine, at most {files.size(self.disk)} of disk while it runs",
            f"carried for each seed: {f'at most {carried}' if carried else 'nothing'}",
        ]

    def _noise(self) -> list[str]:
        """What [privacy] means for each party, where assistance is played by it."""
        plan, told = self.parties.plan.plan, list[str]()
        if plan.privacy is None or "assisted" not in self.todo:
            return told
        for role in get_args(Role):
            of = self.parties.samples[role], self.parties.steps[role]
            turn = budget.forecast(plan, self.parties.tasks[role], *of)
            each = [*privacy.planned(plan, turn), *privacy.looks(plan, turn)]
            told += [f"LOOK: {role}: {x.removeprefix('LOOK: ')}" if x.startswith("LOOK") else f"{role}: {x}" for x in each]
        return [*told, "only assisted is played with [privacy]; all else is as without it"]

    def round(self, algorithm: Algorithm) -> float:
        """Seconds of one round, as estimated."""
        return self.seconds[algorithm] / self.parties.plan.plan.rounds

    def skip(self, seconds: float) -> None:
        """An earlier call did so much of it."""
        self.done += seconds
        self.before += seconds

    @property
    def left(self) -> float:
        """Seconds to go, by how long the rest took."""
        estimated = self.done - self.before
        factor = (time.monotonic() - self.began) / estimated if estimated > 0 else 1.0
        return max(0.0, (self.total - self.done) * factor)


def measured(parties: Parties, todo: Mapping[Algorithm, int], *, keep: bool) -> Cost:
    """Try a few steps, and reckon.

    Args:
        parties: of one seed; their tasks are tried.
        todo: what will be played, and how often.
        keep: every algorithm's model after each round stays.
    """
    plan, samples = parties.plan.plan, parties.samples
    everybody = sum(samples.values())
    step, sample = _speed(parties)
    began = time.perf_counter()
    pooled = parties.tasks[POOLED]
    model = state.travels(pooled, state.fresh(pooled))
    sizes.packed(model)
    handling = HANDLING * (time.perf_counter() - began)
    peer: dict[Role, Role] = {"learner": "provider", "provider": "learner"}
    agreed = {a: algorithms.agreed(plan, a).plan for a in todo if a in algorithms.ASSISTED}
    kept = {a: [len(by.schedule(role, samples[role], samples[peer[role]])) for role in peer] for a, by in agreed.items()}
    blends = {a: len(blend.RECIPES) if by.candidates == "blended" else 0 for a, by in agreed.items()}
    candidates = {a: sum(kept[a]) + len(kept[a]) * each for a, each in blends.items()}
    layout = layout_of(model)
    bare = sizes.most(layout)
    one = sizes.most(layout, encrypted=True) if plan.encrypt else bare
    carried = dict[Algorithm, int]()
    for a, by in agreed.items():
        wrapped = sum(sizes.wrapping(layout, snapshots, blends[a], encrypted=plan.encrypt) for snapshots in kept[a])
        spending = len(kept[a]) * sizes.SPENDING if by.privacy is not None else 0
        carried[a] = plan.rounds * (sum(kept[a]) * one + wrapped + spending) + sizes.CLOSING
        if by.ridge is not None and pooled.head is not None:
            carried[a] += one + sizes.told(pooled.head, encrypted=plan.encrypt)
    carried |= {a: plan.rounds * len(get_args(Role)) * bare for a in todo if a.startswith(("cyclic", "fedavg"))}
    seconds = {
        a: plan.rounds
        * (
            sum(parties.steps.values()) * step
            + HELD_OUT * everybody * sample
            + candidates.get(a, 0) * (everybody * sample + handling)
        )
        for a in todo
    }
    disk = (
        KEPT * max(carried.values(), default=0) // plan.rounds
        + (MODELS + max(blends.values(), default=0)) * layout.nbytes
        + dealt.written(parties.folder)
        + SITES
        + sum(todo.values()) * plan.rounds * (LOGGED + (layout.nbytes + BESIDE if keep else 0))
    )
    return Cost(parties, todo, seconds, carried, disk)


def _speed(parties: Parties) -> tuple[float, float]:
    """Seconds of an optimiser step, and of measuring one sample."""
    task, seed = parties.tasks["learner"], parties.plan.plan.seed
    run = trajectory.Run(task, state.fresh(task), seed, WARM + TRIED)
    for _ in range(WARM):
        run.trainer.step()
    began = time.perf_counter()
    for _ in range(TRIED):
        run.trainer.step()
    step = (time.perf_counter() - began) / TRIED
    began = time.perf_counter()
    measure.measure(task, run.model, run.snapshot())
    return step, (time.perf_counter() - began) / parties.samples["learner"]


def minutes(seconds: float) -> str:
    """A time for people: `40 s`, `12 min`, `3.5 h`."""
    if seconds < 100:  # noqa: PLR2004
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004


def progress(estimate: Cost, line: str | None = None) -> Progress:
    """Where it stands by now."""
    return Progress(min(1.0, estimate.done / estimate.total), minutes(estimate.left), line)
