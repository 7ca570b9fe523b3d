"""Is the blend that was chosen what its recipe says? Made anew here, out of states that lie on this side, and compared.

All four parts are at hand: the sender's start and last snapshot are in this bundle, the peer's last snapshot is in the
bundle that it answers, our own, and where the sender's turn before began is in the one imported before. The arithmetic is
float64, element by element, so every machine gets the same bits (docs/format.md).
"""

import hashlib

from torch import Tensor

from alx.bundle.layout import Layout
from alx.bundle.manifest import Blend
from alx.errors import MalformedError
from alx.learning import blend as blends
from alx.learning import state as states
from alx.learning.task import Task
from alx.site import shelf
from alx.site.state import SiteState
from alx.steps.incoming import Staged
from alx.turns.bridge import as_sent, from_flat, to_flat


def check(now: SiteState, staged: Staged, task: Task, index: int) -> None:
    """Make a blend anew and compare its digest with the signed one.

    Holds four states, and of the blend one tensor at a time.

    Args:
        now: this site; its position is that before the bundle is accepted.
        staged: the bundle.
        task: its model tells parameters from other tensors.
        index: of a candidate that is said to be a blend.

    Raises:
        MalformedError: it is another model than its recipe gives.
    """
    candidate = staged.manifest.candidates[index]
    recipe = candidate.blend
    if recipe is None:
        return
    layout = staged.manifest.layout
    start, own, peer, before = _parts(now, staged, recipe)
    parameters = states.parameters(task.new_model())
    digest = hashlib.sha256()
    for tensor, a, b in layout.spans():
        alone = Layout((tensor,))
        s, o, p, c = (_tensor(flat, a, b, alone) for flat in (start, own, peer, before))
        made = blends.blend(s, o, p, c, blends.Recipe(recipe.own, recipe.peer, recipe.momentum), parameters)
        digest.update(to_flat(as_sent(now.site.plan, made), alone))
    if digest.hexdigest() != candidate.state:
        raise MalformedError(
            f"{candidate.label} is not the blend that it is said to be: made anew here, it is another model",
            "what the bundle says of itself is not true; ask the peer",
        )


def _tensor(flat: bytes, a: int, b: int, alone: Layout) -> dict[str, Tensor]:
    return from_flat(memoryview(flat)[a:b], alone)


def _parts(now: SiteState, staged: Staged, recipe: Blend) -> tuple[bytes, bytes, bytes, bytes]:
    """Start, own, peer and before, as `blends.blend` names them."""
    start, own = staged.state(0), staged.state(len(staged.manifest.snapshots) - 1)
    with shelf.opened(now, now.position.sealed[-1]) as mine:
        peer = mine.state(len(mine.manifest.snapshots) - 1)
    if not recipe.momentum:
        return start, own, peer, start
    with shelf.opened(now, now.position.accepted[-1]) as theirs:
        return start, own, peer, theirs.state(0)
