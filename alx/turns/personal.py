"""Which personal parts go with which model: of one's own last bundle, those of the candidate that the peer chose out of it.

A site's own loss at a snapshot that it sent was measured with the parts as they were at that snapshot. So these are what it
goes on with, once the peer's next bundle says which candidate was chosen: measured with others, the two losses that were
added up would not be those that the next selection begins at (docs/decisions/0028-personal.md).
"""

from safetensors.torch import load, save
from torch import Tensor

from alx.bundle.manifest import Manifest
from alx.errors import MalformedError, escape
from alx.learning import state
from alx.learning.task import State, Task
from alx.site import personal, shelf
from alx.site.entries import Turn
from alx.site.state import SiteState


def packed(task: Task, tensors: State) -> bytes:
    """The personal parts of a task's state as the bytes that are kept, safetensors; none are no bytes."""
    own = state.personal(task, tensors)
    return save(own) if own else b""


def unpacked(data: bytes) -> dict[str, Tensor]:
    """The inverse of `packed`."""
    return load(data) if data else {}


def beside(now: SiteState, manifest: Manifest) -> bytes:
    """The parts that this site measures the candidates of a peer's bundle with, and goes on with, packed.

    Args:
        now: this site.
        manifest: of a bundle that answers one of this site's own, or of the learner's first.

    Raises:
        MalformedError: it names a candidate that this site never offered.
        CorruptError: the parts, or this site's own bundle, are gone or damaged.
    """
    if not now.site.plan.personal:
        return b""
    if manifest.start is None:
        return personal.first(now.site.folder)
    answered = next(turn for turn in now.position.sealed if turn.digest == manifest.answers)
    return of_candidate(now, answered, manifest.start.candidate)


def of_candidate(now: SiteState, turn: Turn, index: int) -> bytes:
    """The parts that this site's own loss at a candidate was measured with: the snapshot's, and of a blend the last one's.

    Args:
        now: this site.
        turn: one that it sealed.
        index: of the candidate.

    Raises:
        MalformedError, CorruptError: see `beside`.
    """
    if not now.site.plan.personal:
        return b""
    with shelf.opened(now, turn) as mine:
        offered, last = len(mine.manifest.candidates), len(mine.manifest.snapshots) - 1
    if index >= offered:
        raise MalformedError(
            f"the peer says that it began at candidate {index} of '{escape(turn.bundle)}', which has {offered}",
            "which personal parts go with it cannot be told: ask the peer",
        )
    return personal.get(now.site.folder, turn.digest, min(index, last))
