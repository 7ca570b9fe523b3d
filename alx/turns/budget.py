"""A turn's share of the privacy budget: what noise it has, whether the budget has room for it, and that it was set aside.

Knows ledger and accountant. What tells a turn from any other is a digest, under the site's own key, of all that decides what
it computes: the same turn again has the same noise, and so tells nothing more; with anything else in it, it takes another
share.
"""

import json
import math
import os
import platform
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata

import numpy as np
import torch

from alx.bundle.manifest import Manifest, Spending
from alx.errors import BudgetError, ConfigError, MalformedError, PeerError, count, escape
from alx.learning import blend as blends
from alx.learning.noise import KEY_BYTES, Guard, Noise
from alx.learning.task import Task
from alx.plan import Plan
from alx.privacy import Privacy
from alx.site import budget
from alx.site.entries import Spent
from alx.site.site import Site
from alx.site.state import SiteState
from alx.tasks import accountant, clipped, devices
from alx.tasks.accountant import Turn
from alx.turns.looks import NOISE_SLACK

SUMS, CHOICE, TOLD = "sums", "choice", "told"  # purposes of the stream
ALIKE = 10 * accountant.CLOSE  # relative: two searches for one multiplier, on two machines, end nearer than that


@dataclass(frozen=True, slots=True)
class Share:
    """What one turn, or one choice, has of the budget.

    Attributes:
        turn: what a turn releases.
        noise: drawn for this one alone.
        limit: what no sample's loss counts more than.
        clip: the plan's, of gradients.
    """

    turn: Turn
    noise: Noise
    limit: float
    clip: float

    @property
    def guard(self) -> Guard:
        """Of the turn's steps."""
        return Guard(self.noise, self.turn.noise, self.turn.rate, self.clip)

    def deviation(self, sums: int) -> float:
        """Standard deviation of the noise in each of so many sums over the same samples: each may change by the limit."""
        return float(self.turn.loss_noise * self.limit * sums**0.5)

    def noised(self, sums: Sequence[float], purpose: str) -> list[float]:
        """Loss sums as they are told: with noise, and none below 0, as no loss is.

        Rounded to a multiple of a power of two that the noise alone decides, between 1/2048 and 1/1024 of its deviation: the
        last digits of a float64 show which numbers were added (Mironov, 2012).
        """
        deviation = self.deviation(len(sums))
        step = 2.0 ** math.floor(math.log2(deviation / 1024))
        noise = self.noise.normal(purpose, 0, len(sums)) * deviation
        return [max(0.0, round((value + float(more)) / step) * step) for value, more in zip(sums, noise, strict=True)]

    def head_starts(self, candidates: int) -> list[float]:
        """What each candidate's loss is lowered by before the least is chosen: the exponential mechanism.

        A sample more raises every loss, by the limit at most, so Gumbel noise of the scale `limit / r` has the bounded range
        r, of which `accountant` says what it tells: as much as a sum with noise of multiplier 2 / r.
        """
        scale = self.limit * self.turn.loss_noise / 2
        return [float(each) for each in self.noise.gumbel(CHOICE, 0, candidates) * scale]


def share(now: SiteState, task: Task, what: str, device: str) -> Share:
    """What a turn or a choice of this site has.

    Args:
        now: this site.
        task: its task.
        what: all that tells it from any other over these samples.
        device: site.toml's.

    Raises:
        BudgetError: no noise keeps to the plan's budget.
        ConfigError: Opacus is not installed; see `refuse_unknown`.
    """
    privacy, limit = _agreed(now.site.plan)
    refuse_unknown(task)
    known = budget.of(e.record for e in now.entries)
    same = {
        "what": what,
        "plan": now.site.plan_file.digest,
        "data": task.data and task.data(),
        "machine": [platform.machine(), torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()],
        "versions": [torch.__version__, np.__version__, metadata.version("opacus")],
        "device": devices.device(device).type,
    }
    noise = Noise(budget.noise_key(now.site.folder)).under(json.dumps(same, sort_keys=True))
    return Share(_turn(now, privacy, known.last), noise, limit, privacy.clip)


def refuse_unknown(task: Task) -> None:
    """What the noise of a turn is drawn under has to be known: the samples, and who else draws.

    Other samples under the same noise would show their difference bare. Of several processes, each would draw a batch and
    noise of its own, and another sum would be accounted for.

    Raises:
        ConfigError: the task does not tell its samples; torchrun started several processes.
    """
    if task.data is None:
        raise ConfigError(
            "the plan has [privacy], and the task does not tell its samples from any others",
            "give it data=, a function that gives their digest: docs/privacy.md",
        )
    world = os.environ.get("WORLD_SIZE", "1")
    if world != "1":
        raise ConfigError(
            f"the plan has [privacy], and torchrun started '{escape(world)}' processes",
            "run it without torchrun: private steps are taken by one process",
        )


def planned(plan: Plan, privacy: Privacy, own: int, steps: int) -> Turn:
    """What a turn releases of a site with so many samples, which takes so many steps.

    Raises:
        BudgetError: no noise keeps to the plan's budget.
    """
    return accountant.planned(privacy, plan.rounds + privacy.spare, min(1.0, plan.batch_size / own), steps)


@dataclass(frozen=True, slots=True)
class Planned:
    """What noise a turn will have, before there is one.

    Attributes:
        turn: what it releases.
        deviation: of the noise in each loss sum of its bundle, of as many as it may have.
        samples: of the site.
        weights: that are trained.
    """

    turn: Turn
    deviation: float
    samples: int
    weights: int

    @property
    def noise(self) -> float:
        """Multiplier of a step's noise."""
        return self.turn.noise

    @property
    def rate(self) -> float:
        """The chance of each sample to be in a step."""
        return self.turn.rate

    def json(self) -> dict[str, object]:
        """For machines."""
        return {**self.turn._asdict(), "loss_deviation": self.deviation}


def forecast(plan: Plan, task: Task, samples: int, steps: int) -> Planned:
    """What noise a side will have.

    Args:
        plan: the agreement; it has [privacy].
        task: of that side.
        samples: of that side.
        steps: of each of its turns.

    Raises:
        BudgetError: no noise keeps to the plan's budget.
    """
    privacy, limit = _agreed(plan)
    turn = planned(plan, privacy, samples, steps)
    sums = len(range(0, steps, plan.period(steps))) + 1 + (len(blends.FEW) if plan.candidates == "blended" else 0)
    weights = sum(p.numel() for p in task.new_model().parameters() if p.requires_grad)
    return Planned(turn, turn.loss_noise * limit * sums**0.5, samples, weights)


def check_noise(now: SiteState, manifest: Manifest) -> None:
    """The peer's noise is what the plan makes of its pinned count, and no loss sum is more than samples and noise come to.

    A larger deviation would excuse any loss that rose. Beside a sum of 10^19, whose next float64 is 2,048 away, head starts
    would be rounded away, and one's own choice be made without noise.

    Args:
        now: this site; the plan has [privacy].
        manifest: the peer's, which tells of a budget.

    Raises:
        PeerError: other noise, rate or steps.
        MalformedError: a loss sum that cannot be.
        BudgetError: no noise keeps to the plan's budget.
    """
    plan, own, peer = now.site.plan, now.own.file.samples, now.peer.file.samples
    privacy, limit = _agreed(plan)
    turn = planned(plan, privacy, peer, plan.steps(manifest.sender.role, peer, own))
    deviation = turn.loss_noise * limit * len(manifest.candidates) ** 0.5
    said = manifest.spending
    for what, expected in {**turn._asdict(), "deviation": deviation}.items():
        got = getattr(said, what)
        if not math.isclose(got, expected, rel_tol=ALIKE):
            raise PeerError(
                f"the bundle says {what.replace('_', ' ')} {got:.6g} in [privacy], and the plan makes it {expected:.6g}",
                "does the peer keep to the plan?",
            )
    most = limit * peer + NOISE_SLACK * deviation
    for c in manifest.candidates:
        if c.loss > most:
            raise MalformedError(
                f"the loss of {c.label} is {c.loss:.6g}, and {count(peer, 'sample')} of at most {limit:.6g} each come to no "
                f"more than {most:.6g} with their noise"
            )


def tried(site: Site, task: Task) -> tuple[Task, Planned]:
    """A site's task as its turns train it, for a trial: with a key of no worth, and all of it thrown away.

    Raises:
        ConfigError: the task cannot be private.
        BudgetError: no noise keeps to the plan's budget.
    """
    privacy, limit = _agreed(site.plan)
    refuse_unknown(task)
    now = site.look()
    own = (
        now.own.file.samples
        if now.pairing is not None
        else task.sample_losses.count
        if task.sample_losses is not None
        else 1
    )
    steps = site.plan.steps(site.role, own, now.peer.file.samples if now.pairing is not None else 0)
    found = forecast(site.plan, task, own, steps)
    share = Share(found.turn, Noise(secrets.token_bytes(KEY_BYTES)), limit, privacy.clip)
    from alx.tasks import private  # noqa: PLC0415 - Opacus: six seconds

    private.tried(task)
    return clipped.guarded(task, share.guard), found


def _turn(now: SiteState, privacy: Privacy, last: Spent | None) -> Turn:
    plan, own, peer = now.site.plan, now.own.file.samples, now.peer.file.samples
    if last is not None:  # the counts are pinned: it is found but once
        return Turn(last.noise, last.rate, last.steps, last.loss_noise)
    return planned(plan, privacy, own, plan.steps(now.site.role, own, peer))


def set_aside(now: SiteState, share: Share, round_: int) -> Spent:
    """Have the ledger say that a turn's share is spent, before the turn's first step.

    Args:
        now: this site, locked by the caller.
        share: the turn's.
        round_: its round.

    Returns:
        The ledger's record: that of before, where this very turn was begun already.

    Raises:
        BudgetError: the budget has no room for it; nothing was written.
    """
    privacy, _ = _agreed(now.site.plan)
    known, name = budget.of(e.record for e in now.entries), share.noise.name()
    begun = known.last if known.last is not None and known.last.turn == name else None
    after = epsilon(share.turn, known.taken + (begun is None), privacy)
    if after > privacy.epsilon:
        one_more = "one more would come" if begun is None else "with this one, which was begun, they come"
        raise BudgetError(
            f"{_room(now.site.plan, privacy, known)}: {one_more} to epsilon {after:.4g}, and the plan allows "
            f"{privacy.epsilon:g}",
            "nothing was trained; restores, resets and turns begun anew take a share each, and spare in the plan is for "
            "them; new sites on both sides have a budget that adds to this one for the same samples",
        )
    if begun is not None:
        return begun
    made = Spent(round=round_, turn=name, **share.turn._asdict(), epsilon=after, delta=privacy.delta)
    now.append(made)
    return made


def refuse_spent(now: SiteState) -> None:
    """A choice takes of the budget too: where restores and resets took more shares than there are, none is made.

    Of a turn that was set aside, the choice before it and the one after it are in its share. What is chosen again after a
    restore tells again; that is in the restore's share, as far as the budget has one. A closing tells nothing but a choice
    that stands in the ledger.

    Raises:
        BudgetError: more turns are gone than the budget has.
    """
    privacy, _ = _agreed(now.site.plan)
    known = budget.of(e.record for e in now.entries)
    if known.taken > now.site.plan.rounds + privacy.spare:
        raise BudgetError(
            f"{_room(now.site.plan, privacy, known)}: to choose once more would tell more than the plan allows",
            "alx best writes the best model so far, on either side; tell the peer that no bundle follows, and no closing",
        )


def _room(plan: Plan, privacy: Privacy, known: budget.Budget) -> str:
    turns, are = count(plan.rounds + privacy.spare, "turn"), "is" if known.taken == 1 else "are"
    return f"the privacy budget has room for {turns}, and {known.taken} {are} gone"


def epsilon(turn: Turn, turns: int, privacy: Privacy) -> float:
    """What so many turns tell of one sample, at the plan's delta."""
    return accountant.epsilon([each._replace(times=each.times * turns) for each in turn.releases], privacy.delta)


def spending(now: SiteState, share: Share, sums: int) -> Spending:
    """What the bundle of a turn that was set aside says: epsilon of all turns that are gone, as many as it counts."""
    privacy, _ = _agreed(now.site.plan)
    gone = budget.of(e.record for e in now.entries).taken
    return Spending(
        epsilon=epsilon(share.turn, gone, privacy),
        delta=privacy.delta,
        turns=gone,
        **share.turn._asdict(),
        deviation=share.deviation(sums),
    )


def _agreed(plan: Plan) -> tuple[Privacy, float]:
    if plan.privacy is None or plan.loss_limit is None:
        raise AssertionError("asked for where the plan has [privacy]")
    return plan.privacy, plan.loss_limit
