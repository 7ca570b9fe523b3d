"""What `alx check` finds out: is the task fit for a first round, what do the data hold, what will a turn take and carry?"""

from collections.abc import Sequence
from dataclasses import dataclass

from alx import files
from alx.bundle import moments
from alx.bundle.frozen import Frozen
from alx.errors import ConfigError, count, escape
from alx.learning import state
from alx.learning.task import State, Task
from alx.plan import INIT_NAME, Init, Plan
from alx.site.site import DATA_NAME, Site
from alx.summary import Summary
from alx.tasks import check, footprint, given, load
from alx.tasks.data import summary as summaries
from alx.tasks.data.canaries import Canaries
from alx.tasks.footprint import Footprint
from alx.tasks.given import Given
from alx.training import VALIDATIONS, Training
from alx.transforms import Transform
from alx.turns import bridge, budget, head
from alx.turns.budget import Planned
from alx.turns.introduce import initial, refuse_few_of_class, refuse_other_data

MAX_NAMED = 12  # tensors told by name: those of two layers of batch norm, and a little more


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn of this side.

    Attributes:
        steps: optimiser steps; at most so many, where the peer's sample count is not known yet.
        exact: it is known: the sites are paired, or the plan has fixed steps a side.
        snapshots: models in its bundle that travel with their weights.
        nbytes: of these, and of what [model] ridge adds to the first bundle, before compression.
        training: what the plan's [training] makes of its steps, a sentence each.
    """

    steps: int
    exact: bool
    snapshots: int
    nbytes: int
    training: list[str]

    def json(self) -> dict[str, object]:
        """For machines."""
        return {
            "steps": self.steps,
            "exact": self.exact,
            "snapshots": self.snapshots,
            "bytes_at_most": self.nbytes,
            "training": self.training,
        }


@dataclass(frozen=True, slots=True)
class Inspection:
    """What was found.

    Attributes:
        found: what is wrong with the task, one sentence each.
        summary: of the data; None for a task of one's own, which alone knows them.
        footprint, turn: None where the task is not fit.
        augment: what images are changed by before they are trained on.
        given: what of the weights that the site was given its model begins with.
        frozen: what of the model stays at home because nothing changes it.
        noise: of a turn under [privacy].
        canaries: own samples that a coin decided about, and how many of them it left out of training; None: there are none.
        compared: the data were held against those of pairing.
    """

    found: list[str]
    summary: Summary | None
    footprint: Footprint | None
    turn: Turn | None
    augment: tuple[Transform, ...] = ()
    given: Given | None = None
    frozen: Frozen | None = None
    noise: Planned | None = None
    canaries: tuple[int, int] | None = None
    compared: bool = False

    def words(self) -> list[str]:
        """What the model is, and what a turn takes, for people; nothing where the task is not fit."""
        if self.footprint is None or self.turn is None:
            return []
        f, t = self.footprint, self.turn
        trained = "all" if f.trained == f.parameters else f"{f.trained:,}"
        buffers = f", {count(f.buffers, 'number')} beside them" if f.buffers else ""
        whose = "of the whole process" if f.device == "cpu" else "of the GPU"
        model = f"{f.parameters:,} parameters, {trained} of them trained{buffers}"
        steps = f"{t.steps:,} steps, about" if t.exact else f"its share by samples of {t.steps:,} steps, at most"
        bundle = f"{count(t.snapshots, 'snapshot')}, at most about {files.size(t.nbytes)} uncompressed"
        changed = f"images are changed before a step: {', then '.join(each.words() for each in self.augment)}"
        own = f"{count(len(f.personal), 'tensor')} never leave this site: {_named(f.personal)}"
        return [
            f"model: {model}; {files.size(f.state)} in {count(f.tensors, 'tensor')} travel",
            *([f"personal: {own}"] if f.personal else []),
            *([changed] if self.augment else []),
            *([] if self.canaries is None else [_coins(*self.canaries)]),
            *([] if self.given is None else [f"given weights: {self.given.words}"]),
            *([] if self.frozen is None else [f"frozen, at home, and the same on both sides: {self.frozen.words}"]),
            f"a step takes {_time(f.seconds)} on {f.device}; memory at its peak {files.size(f.memory)}, {whose}",
            f"a turn: {steps} {_time(t.steps * f.seconds)} and what measuring takes; its bundle: {bundle}",
            *t.training,
        ]

    def json(self) -> dict[str, object]:
        """For machines."""
        return {
            "fit": not self.found,
            "found": self.found,
            "data": None if self.summary is None else self.summary.json(),
            "model": None if self.footprint is None else self.footprint.json(),
            "augment": [each.model_dump() for each in self.augment],
            "turn": None if self.turn is None else self.turn.json(),
            "given": None if self.given is None else self.given.json(),
            "frozen": None if self.frozen is None else self.frozen.model_dump(),
            "privacy": None if self.noise is None else self.noise.json(),
            "canaries": None if self.canaries is None else dict(zip(("drawn", "left_out"), self.canaries, strict=True)),
        }


def _coins(drawn: int, out: int) -> str:
    told = "nothing is trained on them, and the count that the peer is told is without them"
    return f"canaries: of {count(drawn, 'sample')} a coin leaves {out} out: {told}"


def _named(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return escape(", ".join(names[:MAX_NAMED]), 2000) + more


def _time(seconds: float) -> str:
    for unit, least in (("h", 3600.0), ("min", 60.0), ("s", 1.0)):
        if seconds >= least:
            return f"{seconds / least:.1f} {unit}"
    return f"{1000 * seconds:.3g} ms"


def inspect(site: Site) -> Inspection:
    """Try the task of a site, and measure.

    Raises:
        ConfigError: the data, the plan or the weights to start from cannot be used.
    """
    site.look().check_agreement()
    plan, source, summary, read = site.plan, site.config.data, None, None
    if site.config.task == "built-in" and source is not None:
        read = load.samples(source, site.folder, plan)
    task = load.task(site.folder, site.config, plan, read)
    if read is not None and source is not None:
        classes = load.classes(site.folder, plan, source, read)
        summary = summaries.of(source, site.folder, plan, read, classes)
    noise = None
    if plan.privacy is not None:
        task, noise = budget.tried(site, task)
    found = check.check_task(task, plan.seed)
    refuse_few_of_class(site, task)
    now = site.look()
    compared = now.pairing is not None and task.data is not None and (site.folder / DATA_NAME).is_file()
    if now.pairing is not None and (compared or task.data is None):
        try:
            refuse_other_data(site, task, now.own.file.samples)
        except ConfigError as error:  # one more thing that is wrong
            found.append(error.message)
    if found:  # a model that is not fit has no weights that others could be compared with
        return Inspection(found, summary, None, None)
    start = initial(site, task)
    size = sum(t.nbytes for t in state.travels(task, start).values())
    model, path = task.new_model(), site.folder / INIT_NAME
    wanted = Init() if plan.model is None else plan.model.init
    return Inspection(
        found,
        summary,
        footprint.of(task, plan.seed),
        _turn(site, size, _with_ridge(site, task, start, size), task.training, None if read is None else len(read.own)),
        # a task of one's own alone knows whether it heeds that
        augment=() if read is None else tuple(plan.training.augment),
        given=given.read(path, state.whole(task, model), wanted) if path.is_file() else None,
        frozen=bridge.frozen_of(task, model),
        noise=noise,
        canaries=None if read is None or read.canaries is None else _drawn(read.canaries),
        compared=compared,
    )


def _drawn(found: Canaries) -> tuple[int, int]:
    return len(found.all), int((~found.inside).sum())


def _with_ridge(site: Site, task: Task, start: State, size: int) -> int:
    """Bytes that the first bundle has more where the plan has ridge: moments, or one more state.

    Raises:
        ConfigError: see `head.tellable`.
    """
    if task.head is None:
        return 0
    if site.role == "provider":
        return size
    head.tellable(task, start)
    return moments.layout(task.head.features, task.head.classes).nbytes


def _turn(site: Site, size: int, more: int, heeded: Training | None, samples: int | None) -> Turn:
    """By the counts that were exchanged at pairing; before it, as if the peer had no samples."""
    now = site.look()
    own, peer = (1, 0) if now.pairing is None else (now.own.file.samples, now.peer.file.samples)
    snapshots = len(site.plan.schedule(site.role, own, peer))
    exact = now.pairing is not None or not isinstance(site.plan.round_steps, int)
    steps = site.plan.steps(site.role, own, peer)
    return Turn(steps, exact, snapshots, snapshots * size + more, _training(site.plan, steps, heeded, samples))


def _training(plan: Plan, steps: int, heeded: Training | None, samples: int | None) -> list[str]:
    """What [training] makes of the steps of a turn.

    Args:
        plan: the agreement.
        steps: of the turn.
        heeded: what the task says that its steps go by; None where it does not say.
        samples: that are trained on; None where the task alone knows.
    """
    told, patience = [], plan.training.patience
    if heeded is not None and _alone(heeded) == _alone(plan.training):
        told = _steps(plan, steps, samples)
    elif _alone(plan.training) != _alone(Training()):
        ignored = "the task's steps do not go by it: supervised takes training=settings.plan.training"
        whether = "a task of your own alone knows whether its steps go by it" if heeded is None else ignored
        told.append(f"LOOK: the plan has [training], and {whether}")
    if plan.select_on == "validation":
        ends = any(plan.ends_early(steps, step) for step in range(steps))
        then = f"; after {patience} without a lower loss it ends" if ends else ""
        told.append(f"the turn is validated every {count(plan.validation_period(steps), 'step')}{then}")
        if patience is not None and not ends:
            held = count(-(-steps // plan.validation_period(steps)), "validation")
            told.append(f"LOOK: the turn has {held}, so {patience} without a lower loss never end it")
    return told


def _alone(training: Training) -> Training:
    """Without what acts on every task."""
    return training.model_copy(update={"patience": None, "validations": VALIDATIONS})


def _steps(plan: Plan, steps: int, samples: int | None) -> list[str]:
    """What the steps are, of a task that goes by the plan's [training]."""
    told, schedule, training = [], plan.training.schedule, plan.training
    rises = schedule.rises(steps)
    if schedule.changes:
        rising = f", rising over the first {count(rises, 'step')}" if rises else ""
        told.append(f"learning rate: {schedule.name}, at most {plan.optimiser.lr:g}{rising}")
    if steps > 1 and rises >= steps:
        told.append(f"LOOK: the warm-up is as long as the turn, so the learning rate never comes to {plan.optimiser.lr:g}")
    if training.accumulate > 1:
        told.append(f"a step takes at most {training.accumulate} batches of {plan.batch_size}, and ends with the epoch")
        if samples is not None and training.accumulate * plan.batch_size > samples:
            told.append(f"LOOK: that is more than the {count(samples, 'sample')} to train on, so each step is a whole epoch")
    return told
