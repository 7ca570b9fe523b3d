"""The last layer, solved for in the first round: the learner tells its moments, the provider adds its own and solves.

Knows a turn's work, a site and its task; knows no step of training.
"""

import hashlib

import torch

from alx.bundle import moments, read
from alx.bundle.moments import Moments
from alx.errors import ConfigError
from alx.learning import measure
from alx.learning.head import Sums
from alx.learning.task import State, Task
from alx.site import shelf
from alx.site.state import SiteState
from alx.site.work import Work
from alx.turns.bridge import as_sent, to_flat

SOLVED, TOLD = "solved", "moments"  # in the turn's work: a state, and raw sums


def tell(now: SiteState, task: Task, work: Work, start: State) -> Moments | None:
    """Sum up one's own samples in the learner's first turn, where the plan has it; what the manifest says of the sums.

    Args:
        now: this site.
        task: its task.
        work: keeps the sums.
        start: where the turn began: what is before the last layer is the same in every state.

    Raises:
        ConfigError: see `tellable`.
    """
    head = task.head
    if head is None or now.site.role != "learner" or now.position.round != 1:
        return None
    if not work.has(TOLD):
        sums = tellable(task, start)
        work.put(TOLD, moments.packed(sums.second.numpy(), sums.by_class.numpy()))
    parts = range(moments.layout(head.features, head.classes).parts)
    return Moments(
        features=head.features,
        classes=head.classes,
        state=hashlib.sha256(work.get(TOLD)).hexdigest(),
        files=[moments.file_name(part) for part in parts],
    )


def solve(now: SiteState, task: Task, work: Work, start: State) -> list[str]:
    """Solve for the layer in the provider's first turn, where the plan has it.

    Args:
        now: this site.
        task: its task.
        work: keeps the state.
        start: see `tell`.

    Returns:
        The state's label; none where there is none, or where the sums give none that is finite.

    Raises:
        AlxError: see `read.moments`, and `_own`.
    """
    head = task.head
    if head is None or now.site.role != "provider" or now.position.round != 1:
        return []
    if not work.has(SOLVED):
        with shelf.opened(now, now.position.accepted[-1]) as bundle:
            found = read.moments(bundle.source, bundle.signed, bundle.manifest)
        if found is None:
            raise AssertionError("a bundle without moments was refused")
        own, (second, by_class) = _own(task, start), map(torch.from_numpy, found)
        both = Sums(own.second + second, own.by_class + by_class)
        model = measure.loaded(task, task.new_model(), start)
        with measure.exact():
            state = head.solved(model, both)
        if state is None:
            return []
        work.put(SOLVED, to_flat(as_sent(now.site.plan, state), now.own.layout))
    return [SOLVED]


def tellable(task: Task, start: State) -> Sums:
    """The sums over the learner's samples, before any of it leaves.

    Args:
        task: one with a last layer that is solved for.
        start: any state; see `tell`.

    Raises:
        ConfigError: a feature is not finite, and the peer would refuse the sums after the disk was carried; or they give no
            layer by themselves, and might be told for nothing.
    """
    sums = _own(task, start)
    if task.head is not None and task.head.weights(sums) is None:
        raise ConfigError(
            f"[model] ridge is too small beside the features, the squares of which add up to {sums.second.trace():.3g}: "
            "by these samples alone rounding leaves no layer that could be solved for",
            "agree on a larger ridge, or leave it out, on both sides",
        )
    return sums


def _own(task: Task, start: State) -> Sums:
    """The sums over one's own samples.

    Raises:
        ConfigError: a feature is not finite.
    """
    if task.head is None:
        raise AssertionError("asked for where there is one")
    model = measure.loaded(task, task.new_model(), start)
    with measure.exact():
        sums = task.head.sums(model)
    if not all(bool(each.isfinite().all()) for each in sums):
        raise ConfigError(
            "the features that the last layer gets are not all finite, and [model] ridge sums them up",
            "look at the frozen weights and at the data; or leave ridge out of the plan, on both sides",
        )
    return sums
