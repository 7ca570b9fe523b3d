"""What a receiver could find out from a bundle of this site's: attacks that it could run, run here before it is handed over.

The site knows the truth, and has what an attacker needs to know little of: the samples themselves, and others like them that
nobody trained on. Figures stay here, as held-out samples and scores do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from alx.bundle import read
from alx.errors import ConfigError, UsageError, count
from alx.learning import measure
from alx.learning.task import Members, SampleLosses, Task
from alx.progress import Tell, silent
from alx.site import entries, personal, shelf
from alx.site.entries import Sealed
from alx.site.shelf import Opened
from alx.site.state import SiteState
from alx.tasks import composition, load, membership
from alx.tasks.composition import Composition
from alx.tasks.interval import CONFIDENCE, Interval
from alx.tasks.membership import ALARMS, LEAST_PAIRS, Attack, Losses, Rare
from alx.turns.bridge import from_flat, same_model
from alx.turns.introduce import refuse_other_data
from alx.turns.personal import unpacked

MOST_MODELS = 32  # of a bundle that are looked at, spread evenly, the first and the last among them: time, not knowledge
MOST_APART = 50  # samples of a class that its mean loss is taken over
ABOUT = "docs/leakage.md says what each attack is, and what is not tried"


@dataclass(frozen=True, slots=True)
class Leakage:
    """What was found.

    Attributes:
        turn: the bundle.
        models: of it that were looked at.
        own, apart: samples that the site trains on, and that it keeps apart.
        pairs: own samples that were each set beside one kept apart.
        classes: of these pairs.
        attacks: on who was trained on, each.
        rare: the same among the classes of which the site holds few; None where it holds about as much of each.
        composition: which classes the site holds; None where there are fewer than two.
    """

    turn: Sealed
    models: int
    own: int
    apart: int
    pairs: int
    classes: int
    attacks: list[Attack]
    rare: Rare | None
    composition: Composition | None

    @property
    def strongest(self) -> Attack:
        """That with the largest area."""
        return membership.strongest(self.attacks)

    @property
    def record(self) -> entries.Leakage:
        """For the event log."""
        best, held = self.strongest, self.composition
        return entries.Leakage(
            round=self.turn.round,
            digest=self.turn.digest,
            pairs=self.pairs,
            attack=best.name,
            auc=best.auc.value,
            low=best.auc.low,
            high=best.auc.high,
            found=best.found.value,
            alarms=best.alarms.value,
            rare=None if self.rare is None else self.rare.auc.value,
            classes=None if held is None else held.classes,
            right=None if held is None else held.right.value,
        )

    def json(self) -> dict[str, object]:
        """For machines."""
        held = self.composition
        return {
            "bundle": self.turn.bundle,
            "round": self.turn.round,
            "digest": self.turn.digest,
            "models": self.models,
            "samples": {"own": self.own, "apart": self.apart, "pairs": self.pairs, "classes": self.classes},
            "confidence": CONFIDENCE,
            "membership": {
                each.name: {
                    "auc": each.auc._asdict(),
                    "found_at_one_false_alarm_in_a_hundred": each.found._asdict(),
                    "false_alarms": each.alarms._asdict(),
                }
                for each in self.attacks
            },
            "strongest": self.strongest.name,
            "rare": None if self.rare is None else {"samples": self.rare.samples, "auc": self.rare.auc._asdict()},
            "composition": None
            if held is None
            else {"classes": held.classes, "right": held.right._asdict(), "rank": held.rank},
        }

    def words(self) -> list[str]:
        """For people."""
        of = f" of {count(self.classes, 'class', 'classes')}" if self.classes > 1 else ""
        few = "  a half has fewer than 100 kept apart: the threshold is the highest score among them"
        return [
            f"round {self.turn.round}, '{self.turn.bundle}': {count(self.models, 'model')}, attacked as its receiver could",
            f"was this sample trained on? {count(self.pairs, 'own sample')}{of}, each beside one kept apart of its class",
            f"  {'attack':<12} {'area under ROC':<21} {'found at 1 false alarm in 100':<31} false alarms there",
            *(f"  {a.name:<12} {_between(a.auc):<21} {_percent(a.found):<31} {_percent(a.alarms)}" for a in self.attacks),
            f"  learnt on one half, measured on the other; a guess has 0.5; all ranges hold together with {CONFIDENCE:.0%}",
            *([few] if int(ALARMS * (self.pairs // 2)) < 1 else []),
            *([] if self.rare is None else [_rare(self.rare)]),
            *_verdict(self.attacks, self.rare),
            *([] if self.composition is None else _held(self.composition)),
            f"not found is not safe: {ABOUT}",
        ]


def _between(found: Interval) -> str:
    return f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})"


def _percent(found: Interval) -> str:
    return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%})"


def _rare(found: Rare) -> str:
    few = count(found.samples, "own sample")
    return f"  among classes of which few are held ({few}), by the last loss within a class: area {_between(found.auc)}"


def _verdict(attacks: Sequence[Attack], rare: Rare | None) -> list[str]:
    """What the figures say, and what they do not."""
    told = [
        f"LOOK: found: of two samples '{a.name}' points to the one that was trained on in {a.auc.value:.0%} of cases"
        for a in attacks
        if a.auc.low > 0.5  # noqa: PLR2004 - a guess
    ] + [
        f"LOOK: found: '{a.name}' is sure of some samples that were trained on: {a.found.value:.1%} of them"
        for a in attacks
        if a.found.low > a.alarms.high
    ]
    if rare is not None and rare.auc.low > 0.5:  # noqa: PLR2004 - as above
        told.append("LOOK: found: samples of classes of which few are held look as if they had been trained on")
    if told:
        return told
    best = membership.strongest(attacks)
    area = f"the strongest, '{best.name}', is right in {best.auc.value:.0%} of cases, which a guess may be"
    return [f"not found by these attacks, with so many samples: {area}; up to {best.auc.high:.0%} cannot be ruled out"]


def _held(told: Composition) -> list[str]:
    right, rank = told.right, "" if told.rank is None else f"; rank correlation with the truth {told.rank:.2f}"
    share = f"{round(right.value * told.classes)} of {told.classes}, {right.low:.0%} to {right.high:.0%}; a guess: half"
    return [
        "which classes are held here? a class's loss falls within the turn where a site holds more than of an average one",
        f"  told rightly by that: {share}{rank}",
    ]


def leakage(now: SiteState, number: int | None = None, tell: Tell = silent) -> Leakage:
    """Attack a bundle that this site sealed.

    Args:
        now: this site, locked by the caller.
        number: of the round; None is the last one sealed.
        tell: progress.

    Raises:
        UsageError: nothing was sealed, or nothing in that round.
        ConfigError: the task says no losses of samples kept apart; or there are too few of a class that is trained on; or
            model or data are others than those that the bundle was made with.
        CorruptError: see `shelf.opened`.
    """
    turn, site = _turn(now, number), now.site
    load.refuse_alone(site.config)
    task = load.task(site.folder, site.config, site.plan)
    same_model(task, now.own.file)
    refuse_other_data(site, task, now.own.file.samples)
    members = _members(task)
    own, apart = (each.numpy() for each in members.classes())
    here, there = membership.pairs(own, apart, site.plan.seed)
    if len(here) < LEAST_PAIRS:
        raise ConfigError(
            f"{count(len(here), 'own sample')} can be set beside one kept apart of the same class, expected {LEAST_PAIRS}",
            "keep more samples apart, of the classes that are trained on: held_out in [data] of site.toml",
        )
    shown = _shown(apart, site.plan.seed)
    asked = np.union1d(there, shown)
    of_own, of_apart = [], []
    with shelf.opened(now, turn) as bundle:
        models = _models(len(bundle.manifest.snapshots))
        for done, net in enumerate(_loaded(now, task, turn, bundle, models), 1):
            of_own.append(_losses(members.own, net, here))
            of_apart.append(_losses(members.apart, net, asked))
            tell("measuring", done, len(models))
    inside, outside = np.stack(of_own), np.stack(of_apart)
    watched = outside[:, np.searchsorted(asked, shown)]
    return Leakage(
        turn=turn,
        models=len(models),
        own=len(own),
        apart=len(apart),
        pairs=len(here),
        classes=len(np.unique(own[here])),
        rare=membership.rare(own, (inside[-1], own[here]), (outside[-1], apart[asked])),
        attacks=membership.measured(Losses(inside, outside[:, np.searchsorted(asked, there)], own[here])),
        composition=composition.told(own, apart[shown], watched[0], watched[-1]),
    )


def _turn(now: SiteState, number: int | None) -> Sealed:
    turns = [turn for turn in now.position.sealed if not turn.closing]
    if not turns:
        raise UsageError("this site has sealed no models yet", f"next: {now.position.next_command}")
    found = [turn for turn in turns if number in (None, turn.round)]
    if not found:
        raise UsageError(
            f"this site sealed nothing in round {number}", f"rounds: {', '.join(str(turn.round) for turn in turns)}"
        )
    return found[-1]


def _members(task: Task) -> Members:
    if task.members is not None:
        return task.members
    if task.sample_losses is None:
        raise ConfigError(
            "the task says no sample's loss by itself, and these attacks go by that",
            "docs/tasks.md says what sample_losses and members are",
        )
    raise ConfigError(
        "the task keeps no samples apart, and these attacks are measured by them",
        "name held_out in [data] of site.toml; a task of your own gives held_out, or members: docs/tasks.md",
    )


def _models(snapshots: int) -> list[int]:
    """Which snapshots of a bundle are looked at."""
    return sorted({round(i) for i in np.linspace(0, snapshots - 1, min(snapshots, MOST_MODELS)).tolist()})


def _shown(classes: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Some samples kept apart of each class."""
    mixed = np.random.default_rng(seed).permutation(len(classes))
    return np.concatenate([mixed[classes[mixed] == c][:MOST_APART] for c in np.unique(classes)])


def _loaded(now: SiteState, task: Task, turn: Sealed, bundle: Opened, models: Sequence[int]) -> Iterator[Any]:
    """The models, each with this site's own personal parts, which its receiver does not have."""
    net = task.new_model()
    for i, _, flat in read.states(bundle.source, bundle.signed, bundle.manifest, models[-1]):
        if i in models:
            parts = unpacked(personal.get(now.site.folder, turn.digest, i)) if now.site.plan.personal else {}
            yield measure.loaded(task, net, from_flat(flat, bundle.manifest.layout) | parts)


def _losses(of: SampleLosses, net: Any, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    with measure.exact():
        return np.asarray(of.of([net], torch.from_numpy(rows)).numpy()[0])
