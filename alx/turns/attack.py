"""Attacks that a receiver could run on a bundle of this site's, run here before it is handed over.

The site knows the truth, and has what an attacker needs to know little of: the samples themselves, and others like them that
nobody trained on.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from alx.bundle import read
from alx.errors import ConfigError, UsageError, count
from alx.learning import measure
from alx.learning.task import Members, SampleLosses, Task
from alx.progress import Tell, silent
from alx.site import personal, shelf
from alx.site.entries import Sealed
from alx.site.shelf import Opened
from alx.site.state import SiteState
from alx.tasks import composition, load, membership, one_run
from alx.tasks.data.samples import among, prints
from alx.tasks.membership import LAST, LEAST_PAIRS, SOLVED, Losses
from alx.tasks.one_run import Audit
from alx.turns.bridge import from_flat, same_model
from alx.turns.introduce import refuse_other_data
from alx.turns.leakage import Leakage
from alx.turns.personal import unpacked

MOST_MODELS = 32  # of a bundle that are looked at, spread evenly, the first and the last among them: time, not knowledge
MOST_APART = 50  # samples of a class that its mean loss is taken over


def attack(now: SiteState, number: int | None = None, tell: Tell = silent) -> Leakage:
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
    data, read = site.config.data, None
    if site.config.task == "built-in" and data is not None:
        read = load.samples(data, site.folder, site.plan)
    task = load.task(site.folder, site.config, site.plan, read)
    same_model(task, now.own.file)
    refuse_other_data(site, task, now.own.file.samples)
    members = _members(task)
    own, apart = (each.numpy() for each in members.classes())
    both = None if read is None or read.held_out is None else among(read.held_out, prints(read.own))
    others = np.arange(len(apart)) if both is None else np.flatnonzero(~both)
    here, there = membership.pairs(own, apart[others], site.plan.seed)
    there = others[there]
    if len(here) < LEAST_PAIRS:
        too, told = len(apart) - len(others), f"{count(len(here), 'own sample')} can be set beside one kept apart"
        why = f"; {too} of the {count(len(apart), 'sample')} kept apart have the input of one trained on" if too else ""
        raise ConfigError(
            f"{told} of the same class, expected {LEAST_PAIRS}{why}",
            "keep more samples apart, of the classes that are trained on: held_out in [data] of site.toml",
        )
    shown = others[_shown(apart[others], site.plan.seed)]
    asked = np.union1d(there, shown)
    looked = set(composition.looked_at(apart[shown]))
    of_own, of_apart, audit = [], [], None
    with shelf.opened(now, turn) as bundle:
        manifest = bundle.manifest
        models, solved = _models(len(manifest.snapshots)), [len(manifest.snapshots)] if manifest.solves else []
        for done, net in enumerate(_loaded(now, task, turn, bundle, models + solved), 1):
            of_own.append(_losses(members.own, net, here))
            of_apart.append(_losses(members.apart, net, asked))
            if done == len(models):
                audit = _audit(now, members, net)
            tell("measuring", done, len(models + solved))
    inside, outside, end = np.stack(of_own), np.stack(of_apart), len(models)
    beside, watched = outside[:, np.searchsorted(asked, there)], outside[:end, np.searchsorted(asked, shown)]
    lasts = {LAST: end - 1} | ({SOLVED: end} if solved else {})
    return Leakage(
        turn=turn,
        models=len(models + solved),
        own=len(own),
        apart=len(apart),
        pairs=len(here),
        classes=len(np.unique(own[here])),
        rare=membership.rare(own, {n: (inside[i], outside[i]) for n, i in lasts.items()}, own[here], apart[asked]),
        attacks=membership.measured(
            Losses(inside[:end], beside[:end], own[here]), Losses(inside[end:], beside[end:], own[here]) if solved else None
        ),
        audit=audit,
        composition=composition.told(own, apart[shown], watched[0], watched[-1]),
        looked=len(looked),
        unlooked=len(set(np.unique(own).tolist()) - looked),
        moments=manifest.told is not None,
        budget=None if site.plan.privacy is None else site.plan.privacy.epsilon,
        both=None if both is None else int(both.sum()),
    )


def _audit(now: SiteState, members: Members, net: Any) -> Audit | None:
    """By the canaries' losses at a model; None where there are none."""
    coins, privacy = members.canaries, now.site.plan.privacy
    if coins is None:
        return None
    losses = _losses(coins.losses, net, np.arange(coins.losses.count))
    delta = one_run.DELTA if privacy is None else privacy.delta
    return one_run.audit(losses, coins.classes().numpy(), coins.inside.numpy(), delta)


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
    """These candidates, each with this site's own personal parts, which its receiver does not have."""
    net = task.new_model()
    for i, _, flat in read.states(bundle.source, bundle.signed, bundle.manifest, models[-1]):
        if i in models:
            parts = unpacked(personal.get(now.site.folder, turn.digest, i)) if now.site.plan.personal else {}
            yield measure.loaded(task, net, from_flat(flat, bundle.manifest.layout) | parts)


def _losses(of: SampleLosses, net: Any, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    with measure.exact():
        return np.asarray(of.of([net], torch.from_numpy(rows)).numpy()[0])
