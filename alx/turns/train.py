"""One turn's training: start at the selection, train, sample, blend, measure, seal.

Killed at any point, the same call goes on: what is done lies in the site's work folder, each file whole.
"""

import contextlib
import dataclasses
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from torch import Tensor

from alx import files, order
from alx.bundle import codec, recipe, write
from alx.bundle.layout import Layout, bundle_name, part_name
from alx.bundle.manifest import Blend, Candidate, Manifest, Party, Start, Version4
from alx.bundle.moments import Moments
from alx.bundle.signature import SignedFile
from alx.errors import ConfigError, DivergedError, NotFiniteError, TurnError, count
from alx.learning import blend as blends
from alx.learning import measure, trajectory
from alx.learning.task import Task
from alx.learning.validation import Validation
from alx.progress import Tell, silent
from alx.site import entries, kept, restoration, shelf
from alx.site import personal as parts
from alx.site.state import SiteState
from alx.site.work import Work
from alx.steps import receipts
from alx.tasks import clipped, load
from alx.tasks.check import likeness
from alx.turns import budget, checkpoints, head, log, personal
from alx.turns.bridge import from_flat, refuse_moved, refuse_negative, same_count, same_model, same_objective, to_flat
from alx.turns.introduce import initial, refuse_few, refuse_other_data
from alx.turns.log import Log, Record, Target
from alx.turns.recipes import averaged

TRAINING = 3  # how turns are trained and blended; one begun otherwise is begun anew (3: what a checkpoint holds)
FIRST = "t0"  # the snapshot that blends begin at: what the receiver has of the start, whatever a trainer did to it


@dataclass(frozen=True, slots=True)
class Sealed:
    """A turn's bundle in the outbox.

    Attributes:
        path, digest, round: the bundle's.
        size: its bytes.
        raw_size: those of the states in it, raw.
        snapshots, blends: how many of each.
        recipes: the blends that are in it as recipes.
        steps, planned: the turn's last step, and the plan's: validation may end a turn early.
        again: it was sealed before.
        back: it is the bundle that was put back after a restore, which this turn gave again.
        afresh: the plan keeps the optimiser's state, and that of this side's turn before was not there.
        unlogged: what of the logs could not be written, in words.
        resumed: the step from which an interrupted run went on; None where none was.
    """

    path: Path
    digest: str
    round: int
    size: int
    raw_size: int
    snapshots: int
    blends: int
    recipes: int
    steps: int
    planned: int
    again: bool
    back: bool = False
    afresh: bool = False
    unlogged: tuple[str, ...] = ()
    resumed: int | None = None
    more: tuple[str, ...] = ()
    """What else is in it, for people: moments, or a layer that was solved for."""

    def json(self) -> dict[str, object]:
        """For machines."""
        return {
            "bundle": self.path,
            "digest": self.digest,
            "round": self.round,
            "bytes": self.size,
            "raw_bytes": self.raw_size,
            "snapshots": self.snapshots,
            "blends": self.blends,
            "recipes": self.recipes,
            "steps": self.steps,
            "planned_steps": self.planned,
            "again": self.again,
            "back": self.back,
            "optimiser_afresh": self.afresh,
            "unlogged": self.unlogged,
            "resumed_at_step": self.resumed,
        }

    @property
    def contents(self) -> str:
        """What is in it, for people: `12 snapshots and recipes of 8 blends`."""
        of = "recipes of " if self.recipes else ""
        snapshots = ", ".join((count(self.snapshots, "snapshot"), *self.more))
        return snapshots + (f" and {of}{count(self.blends, 'blend')}" if self.blends else "")


def turn_seed(plan_seed: int, round_: int, role: str) -> int:
    """The seed of one turn: the first 63 bits of SHA-256 of `seed/round/role`."""
    return int.from_bytes(hashlib.sha256(f"{plan_seed}/{round_}/{role}".encode()).digest()[:8]) >> 1


def train(now: SiteState, tell: Tell = silent, logs: Sequence[Target] = ()) -> Sealed:
    """One turn: start at the selection, train, sample, measure, seal. Killed at any point, the same call goes on.

    Args:
        now: this site, locked by the caller.
        tell: progress.
        logs: where each step is written down.

    Raises:
        UsageError: see `log.opened`.
        TurnError: it is not this site's turn.
        DivergedError, ConfigError: training or the task failed.
        BudgetError: the plan's privacy budget has no room for another turn; nothing was trained.
        ForkError: see `shelf.put_back`.
        SpaceError, StorageError: see `files.storage`.
    """
    site, position = now.site, now.position
    if position.step == "export" and not position.sealed[-1].closing:
        files.remove_tree(site.folder / "work")  # left by a command that was killed after the ledger knew of the bundle
        _forget(now)  # as above
        return _sealed(now, position.sealed[-1], again=True)
    if position.step != "train":
        why = {
            "pair": "no peer is paired yet",
            "import": f"it is the peer's turn: its bundle of round {position.round} was not imported yet",
        }.get(position.step, f"round {site.plan.rounds} was the plan's last")
        raise TurnError(f"there is no turn to train now: {why}", f"next: {position.next_command}")
    now.check_agreement()
    key = now.private_key()  # before hours of training, not after
    turn = _Turn.begin(now, tell)
    turn.set_aside()
    turn.put_start()
    told = turn.sum_up()  # what it refuses is refused before hours of training
    with log.opened(logs, turn.name) as written:
        steps, resumed = turn.sample(written)
    recipes = turn.blend(max(steps, key=steps.__getitem__))
    solved = turn.solve()
    losses = turn.measure(steps, recipes, solved)
    files.remove_tree(turn.work.bundle)
    manifest, data = turn.pack(steps, recipes, losses, solved, told)
    back = shelf.put_back(now, manifest)
    digest = back or write.seal(turn.work.bundle, manifest, data, key, now.recipients)
    made = entries.Sealed.of(manifest, digest)._replace(back=None if back is None else True)
    # before the ledger knows of the turn: what is kept of one that never was is never asked for
    if site.plan.optimiser.keep:
        kept.put(site.folder, digest, turn.work.get(checkpoints.HANDED_ON))
    turn.keep_parts(steps, digest)
    if back is None:
        final = shelf.place(site, made)
        # left by a command that was killed before the ledger knew of it
        files.withdraw(final, turn.work.bundle.with_name("withdrawn"))
        files.publish(turn.work.bundle, final)
    receipts.keep(now, key)
    afresh = turn.afresh  # asked before the ledger has this turn: of the first one nothing was there to hand on
    now.append(made)
    turn.work.remove()
    _forget(now)
    of = _sealed(now, made, again=False)
    return dataclasses.replace(of, back=back is not None, afresh=afresh, unlogged=tuple(written.faults), resumed=resumed)


def _forget(now: SiteState) -> None:
    """Throw away what was kept beside turns that the ledger does not know, and of the optimiser what is old."""
    turns = [turn.digest for turn in now.position.sealed]
    kept.forget(now.site.folder, turns[-1])
    parts.forget(now.site.folder, turns)


def sealed(now: SiteState) -> Sealed:
    """The bundle of the turn that was sealed last, verified again; a closing is no turn.

    Raises:
        TurnError: none was.
        CorruptError: it is gone from the outbox, or another one.
    """
    turns = [each for each in now.position.sealed if not each.closing]
    if not turns:
        raise TurnError("no turn is sealed yet", f"next: {now.position.next_command}")
    return _sealed(now, turns[-1], again=True)


def _sealed(now: SiteState, turn: entries.Sealed, *, again: bool) -> Sealed:
    with shelf.opened(now, turn) as bundle:
        m, size = bundle.manifest, sum(bundle.source.sizes.values())
        count, snapshots, raw_size = len(m.candidates), len(m.snapshots), m.layout.nbytes * m.weighed
        planned = now.site.plan.steps(now.site.role, now.own.file.samples, now.peer.file.samples)
        of = snapshots, m.blends, count - m.weighed, m.last_step, planned
        more = ["1 solved for"] if m.solves else []
        if now.site.plan.ridge is not None and (now.site.role, turn.round) == ("provider", 1) and not m.solves:
            more = ["none solved for (no layer came out finite: ridge may be too small beside the features)"]
        more += [] if m.told is None else [f"second moments of {m.told.features} features"]
        return Sealed(bundle.folder, turn.digest, turn.round, size, raw_size, *of, again, more=tuple(more))


@dataclass(frozen=True, slots=True)
class _Turn:
    """What every step of a turn needs. `work` keeps states as `t<step>`, `blend-<n>`, `start`, `peer` and `before`.

    Beside them lie the personal parts of the start and of each snapshot (`checkpoints.parts`), and what the trainer takes up
    and hands on.
    """

    now: SiteState
    task: Task
    work: Work
    layout: Layout
    steps: int
    tell: Tell
    share: budget.Share | None = None
    """Of the privacy budget, where the plan has one."""

    @classmethod
    def begin(cls, now: SiteState, tell: Tell) -> Self:
        site, position, own, peer = now.site, now.position, now.own, now.peer
        answers = position.accepted[-1].digest if position.accepted else ""
        steps = site.plan.steps(site.role, own.file.samples, peer.file.samples)
        turn: dict[str, str | int] = {
            "round": position.round,
            "plan": site.plan_file.digest,
            "steps": steps,
            "answers": answers,
            "blends": repr(blends.RECIPES),
            "training": TRAINING,
        }
        load.refuse_alone(site.config)
        task = load.task(site.folder, site.config, site.plan)
        same_model(task, own.file)
        same_objective(site.plan, task, own.file)
        refuse_few(site, task, own.file.samples)
        refuse_other_data(site, task, own.file.samples)
        if site.plan.privacy is None:
            return cls(now, task, Work(site.folder / "work", turn), own.layout, steps, tell)
        first = "" if answers else hashlib.sha256(to_flat(initial(site, task), own.layout)).hexdigest()
        begins = f"{answers}/{position.selected[-1].index}" if answers else first
        share = budget.share(now, task, f"{turn}, from {begins}", site.config.device)
        work = Work(site.folder / "work", {**turn, "noise": share.noise.name()})
        return cls(now, clipped.guarded(task, share.guard), work, own.layout, steps, tell, share)

    def set_aside(self) -> None:
        """Have the ledger say that this turn's share of the privacy budget is spent, before the first step."""
        if self.share is not None:
            from alx.tasks import private  # noqa: PLC0415 - Opacus: six seconds

            private.tried(self.task)
            budget.set_aside(self.now, self.share, self.now.position.round)

    @property
    def name(self) -> str:
        """Its bundle's."""
        site = self.now.site
        return bundle_name(site.plan_file.digest, self.now.position.round, site.role)

    @property
    def afresh(self) -> bool:
        """Whether what the turn before handed on was gone; nothing is before the first."""
        return bool(
            self.now.position.sealed and self.work.has(checkpoints.TAKEN_UP) and not self.work.get(checkpoints.TAKEN_UP)
        )

    def put_start(self) -> None:
        """Keep the selected state, what the turn before handed on, and what blends are made of where they are asked for."""
        site, position = self.now.site, self.now.position
        if site.plan.optimiser.keep and not self.work.has(checkpoints.TAKEN_UP):
            before = kept.get(site.folder, position.sealed[-1].digest) if position.sealed else None
            self.work.put(checkpoints.TAKEN_UP, before or b"")
        if not position.accepted:
            if not self.work.has("start"):
                self.work.put("start", to_flat(initial(site, self.task), self.layout))
            if self.task.personal:
                self.work.put(checkpoints.parts("start"), parts.first(site.folder))
            return
        with shelf.opened(self.now, position.accepted[-1]) as bundle:
            last = len(bundle.manifest.snapshots) - 1
            wanted = {"start": position.selected[-1].index} | ({"peer": last} if site.plan.candidates == "blended" else {})
            for label, i in wanted.items():
                if not self.work.has(label):
                    self.work.put(label, bundle.state(i))
            if self.task.personal:
                self.work.put(checkpoints.parts("start"), personal.beside(self.now, bundle.manifest))
        if position.sealed and "peer" in wanted and not self.work.has("before"):
            with shelf.opened(self.now, position.sealed[-1]) as bundle:
                self.work.put("before", bundle.state(0))

    def _state(self, label: str, beside: str | None = None) -> dict[str, Tensor]:
        """A kept state, whole: with the personal parts of a snapshot, which is itself unless it is named."""
        whole = from_flat(self.work.get(label), self.layout)
        if self.task.personal:
            whole |= personal.unpacked(self.work.get(checkpoints.parts(beside or label)))
        return whole

    def keep_parts(self, steps: dict[str, int], digest: str) -> None:
        """Keep the personal parts of every snapshot beside the sealed bundle."""
        for i, label in enumerate(steps if self.task.personal else ()):
            parts.put(self.now.site.folder, digest, i, self.work.get(checkpoints.parts(label)))

    def sum_up(self) -> Moments | None:
        """Keep the sums over own samples that this turn tells, where the plan has it tell some; what the manifest says."""
        return head.tell(self.now, self.task, self.work, self._state("start"))

    def sample(self, written: Log) -> tuple[dict[str, int], int | None]:
        """Train, keeping snapshots and checkpoints.

        Returns:
            The snapshots' steps by label, in order; and the step that an interrupted run went on from, if there was one.
        """
        went_on: list[int] = []
        site, own, peer = self.now.site, self.now.own, self.now.peer
        seed = turn_seed(site.plan.seed, self.now.position.round, site.role)
        if self.share is not None:  # else the peer would know which mask of dropout each place in a batch got
            seed = self.share.noise.seed()
        looked_at = self.tell is not silent or bool(written.writers)
        run = trajectory.Run(self.task, self._state("start"), seed, self.steps, self._validation(looked_at=looked_at))

        def told(step: int, loss: float) -> None:
            at, validation = run.curve[-1] if run.curve else (0, None)
            self.tell("training", step, self.steps, loss, validation)
            if written.writers:
                written.put(Record(step, loss, run.rate, validation if at == step else None))

        def resumed(step: int) -> None:
            went_on.append(step)
            self.tell("training", step, self.steps)

        end = checkpoints.sample(
            run,
            self.work,
            self.layout,
            self.steps,
            site.plan.period(self.steps),
            told,
            rounded=site.plan.rounds_weights,
            keep=site.plan.optimiser.keep,
            last=lambda: refuse_moved(self.task, run.model, own.file),
            resumed=resumed,
        )
        ended = None if end == self.steps else end
        schedule = site.plan.schedule(site.role, own.file.samples, peer.file.samples, ended)
        return {f"t{s}": s for s in schedule}, next(iter(went_on), None)

    def _validation(self, *, looked_at: bool) -> Validation | None:
        """When the turn is validated: where there are samples that nobody trains on, and it is for something."""
        plan = self.now.site.plan
        if plan.select_on == "training" or not (looked_at or plan.training.patience):
            return None
        return Validation(plan.validation_period(self.steps), plan.training.patience)

    @property
    def _recipes(self) -> Sequence[blends.Recipe]:
        return blends.RECIPES if self.share is None else blends.FEW

    def blend(self, final: str) -> dict[str, blends.Recipe]:
        """Keep the blends; return their recipes by label."""
        if not self.work.has("peer"):
            return {}
        moved = self.work.has("before") and self.work.get("before") != self.work.get(FIRST)
        parts = recipe.Parts(*(self.work.get(x) for x in (FIRST, final, "peer", "before" if moved else FIRST)))
        names, out = averaged(self.task, self.layout), {}
        for i, each in enumerate(r for r in self._recipes if moved or not r.momentum):
            made = recipe.made(
                parts, (each.own, each.peer, each.momentum), self.layout, names, rounded=self.now.site.plan.rounds_weights
            )
            with contextlib.suppress(NotFiniteError):
                codec.check_values(memoryview(made), self.layout, f"blend-{i}")
                self.work.put(f"blend-{i}", bytes(made))
                out[f"blend-{i}"] = each
        return out

    def solve(self) -> list[str]:
        """Keep the state whose last layer is solved for, where the plan has one in this turn; its label."""
        return head.solve(self.now, self.task, self.work, self._state("start"))

    def measure(self, steps: dict[str, int], recipes: dict[str, blends.Recipe], solved: Sequence[str]) -> dict[str, float]:
        """The own loss sum at every kept state, by label; where it is not finite, what is no snapshot is left out."""
        labels = [*steps, *solved, *recipes]
        done, samples = self.work.losses(), self.now.own.file.samples
        missing = [label for label in labels if label not in done]
        together = 1 if self.task.sample_losses is None else measure.together(self.task, self.layout.nbytes)
        models = [self.task.new_model() for _ in range(min(together, len(missing)))]
        self.tell("measuring", len(done), len(labels))
        for at in range(0, len(missing), together):
            part = missing[at : at + together]
            # a blend is measured with the personal parts of the snapshot that it is made of
            whole = (self._state(label, None if label in steps else max(steps, key=steps.__getitem__)) for label in part)
            for label, found in zip(part, measure.measure_all(self.task, models, whole), strict=True):
                same_count(found.count, samples)
                done[label] = [found.total, found.count]
            self.work.put_losses(done)
            self.tell("measuring", len(done), len(labels))
        out: dict[str, float] = {}
        for label in labels:
            total, _ = done[label]
            refuse_negative(self.now.site.plan, total)
            if math.isfinite(total):
                out[label] = total
            elif label in steps:
                raise DivergedError(f"the own loss is {total} at step {steps[label]}", "lower the learning rate in the plan")
        self._refuse_other_start(out[FIRST])
        if self.share is not None:
            out = dict(zip(out, self.share.noised(list(out.values()), budget.SUMS), strict=True))
        return out

    def _refuse_other_start(self, found: float) -> None:
        """One's own loss where the turn began is what it was when that was selected, or the two are of other data.

        Raises:
            ConfigError: it is another.
        """
        before = self.now.position.selected[-1].own_loss if self.now.position.selected else None
        near = likeness(self.task.training)
        if before is not None and not math.isclose(found, before, rel_tol=near, abs_tol=near):
            raise ConfigError(
                f"the own loss of the model that this turn began with was {before:.6g} when it was selected, and is now "
                f"{found:.6g}: the data, or how they are read, changed",
                "put them back; or make new sites on both sides",
            )

    def pack(
        self,
        steps: dict[str, int],
        recipes: dict[str, blends.Recipe],
        losses: dict[str, float],
        solved: Sequence[str],
        told: Moments | None,
    ) -> tuple[Manifest, list[SignedFile]]:
        """Compress every snapshot into the bundle's folder, and what was solved for; say what they and the blends are."""
        data: list[SignedFile] = []
        candidates = []
        weighed = [*steps, *(label for label in solved if label in losses)]
        states = self.work.states(weighed, self.layout.nbytes)
        packed = write.candidates(self.work.bundle, states, self.layout, self.now.recipients)
        # strict asks once more after the last: only when `packed` has ended, its files are durable
        for i, (label, made) in enumerate(zip(weighed, packed, strict=True)):
            data += made.files
            names = [part_name(i, part) for part in range(self.layout.parts)]
            step = steps.get(label)
            candidates.append(
                Candidate(
                    step=step, loss=losses[label], state=made.state, keyframe=made.keyframe, files=names, solved=step is None
                )
            )
            self.tell("sealing", i + 1, len(weighed))
        for label, blend in self._blend_entries(steps, recipes).items():
            if label in losses:
                digest = hashlib.sha256(self.work.get(label)).hexdigest()
                candidates.append(
                    Candidate(step=None, blend=blend, loss=losses[label], state=digest, keyframe=False, files=[])
                )
        if told is not None:
            data += write.moments(self.work.bundle, self.work.get(head.TOLD), told, self.now.recipients)
        return self._manifest(candidates, told), data

    def _blend_entries(self, steps: dict[str, int], recipes: dict[str, blends.Recipe]) -> dict[str, Blend]:
        """How each blend was made, for the manifest."""
        if not recipes:
            return {}
        answers = self.now.position.accepted[-1]
        with shelf.opened(self.now, answers) as bundle:
            peer_step, own_step = bundle.manifest.last_step, max(steps.values())
        return {
            label: Blend(
                own_step=own_step,
                peer_bundle=answers.digest,
                peer_step=peer_step,
                own=recipe.own,
                peer=recipe.peer,
                momentum=recipe.momentum,
            )
            for label, recipe in recipes.items()
        }

    def _manifest(self, candidates: list[Candidate], told: Moments | None) -> Manifest:
        now, site, position = self.now, self.now.site, self.now.position
        start = None
        if position.accepted:
            chosen = position.selected[-1]
            start = Start(candidate=chosen.index, global_loss=chosen.global_loss, samples=chosen.samples)
        return Version4(
            format="alx-bundle",
            version=4,
            sender=Party(role=site.role, key=now.public_key.fingerprint),
            receiver=Party(role=now.peer.file.role, key=now.peer_key.fingerprint),
            plan=site.plan_file.digest,
            round=position.round,
            sequence=order.sequence(site.role, position.round),
            previous=position.sealed[-1].digest if position.sealed else None,
            answers=position.accepted[-1].digest if position.accepted else None,
            start=start,
            samples=now.own.file.samples,
            tensors=list(self.layout.tensors),
            candidates=candidates,
            averaged=averaged(self.task, self.layout),
            frozen=now.own.file.frozen,
            restored=restoration.since_last_sealed(now),
            privacy=None if self.share is None else budget.spending(now, self.share, len(candidates)),
            moments=told,
        )
