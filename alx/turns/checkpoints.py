"""A turn's run, kept in the work folder: every snapshot, and now and then all that it takes to go on.

Killed at any point, the same call goes on from the last checkpoint and takes the snapshots behind it anew, bit for bit
on a CPU: a snapshot that the killed process kept is written over with the same bytes.
"""

import io
import time
from collections.abc import Callable
from typing import IO, Any

import torch

from alx.bundle.layout import Layout
from alx.learning import trajectory, validation
from alx.learning.task import State, Task
from alx.site.work import CHECKPOINT, Work
from alx.turns import personal
from alx.turns.bridge import to_flat

MAX_SECONDS = 60  # at most this much work is lost to a kill, but for `DEAR`
TIMES_ITS_COST = 200  # a checkpoint is due after as many times what the last one took: 0.5 % of the time goes into them
DEAR = 6  # seconds: one that takes longer is due as much later, so that a tenth of the time goes into them at most
FIRST_COST = 0.02  # seconds, a guess: the first is due after four seconds
TAKEN_UP, HANDED_ON = "taken-up", "handed-on"  # in the work folder: what the trainer has of the turn before, and leaves
ENDED = b"ended "  # and a step, in place of a last checkpoint: all snapshots are there, and nothing is left to go on with


def sample(
    run: trajectory.Run,
    work: Work,
    layout: Layout,
    steps: int,
    period: int,
    tell: Callable[[int, float], None],
    *,
    rounded: bool = False,
    keep: bool = False,
    last: Callable[[], None] = lambda: None,
    resumed: Callable[[int], None] = lambda _step: None,
) -> int:
    """Train to the last step; afterwards every snapshot lies in `work` as `t<step>`, durable, and is not taken again.

    Beside it lie its personal parts, as `parts` names them, where the task has any.

    Args:
        run: made anew; it goes on from the checkpoint in `work` where there is one.
        work: the turn's folder.
        layout: how a state lies in a file.
        steps: of the turn.
        period: steps between snapshots.
        tell: called after each step with the step and its training loss.
        rounded: see `trajectory.sample`.
        keep: begin with what `work` has as `TAKEN_UP`, unless it is empty, and leave there as `HANDED_ON` what the trainer
            hands on.
        last: called when the run is at its end, before anything says so.
        resumed: called with the step that an interrupted run goes on from.

    Returns:
        The turn's last step: `steps`, or where validation ended the run, the one at which it was best.

    Raises:
        DivergedError: see `trajectory.sample`.
        ConfigError: the trainer hands nothing on, or takes nothing up.
        CorruptError: the checkpoint is damaged, or what was taken up.
        SpaceError, StorageError: see `files.storage`.
    """
    with work.reading_checkpoint() as saved:
        begins = saved.read(len(ENDED)) if saved is not None else b""
        if saved is not None and begins == ENDED:
            last_step = saved.read()
            return int(last_step) if last_step.isdigit() else work.refuse(CHECKPOINT)
        if saved is not None and begins:  # an empty one is what a disk that lost it gives back
            saved.seek(0)
            run.load_state_dict(_loaded(work, CHECKPOINT, saved))
            resumed(run.at)
        elif keep and (before := work.get(TAKEN_UP)):
            run.take_up(_loaded(work, f"{TAKEN_UP}.state", io.BytesIO(before)))
    if keep:
        run.kept()  # a trainer that has nothing to hand on is told before hours of training
    kept_at, cost = time.monotonic(), FIRST_COST

    def checkpoint() -> None:
        nonlocal kept_at, cost
        begun = time.monotonic()
        with work.writing_checkpoint() as file:
            torch.save(run.state_dict(), file)
        kept_at = time.monotonic()
        cost = kept_at - begun

    def told(step: int, loss: float) -> None:
        tell(step, loss)
        longest = MAX_SECONDS * max(1.0, cost / DEAR)
        if time.monotonic() - kept_at > min(longest, TIMES_ITS_COST * cost):
            checkpoint()

    for step, tensors in trajectory.sample(run, steps, period, told, rounded=rounded):
        _keep(work, f"t{step}", run.task, tensors, layout)
    last()
    if keep:
        work.put(HANDED_ON, _saved(run.kept()))
    end = validation.best(run.curve) if run.at < steps else steps
    work.put_checkpoint(ENDED + b"%d" % end)
    return end


def parts(label: str) -> str:
    """The name, in the work folder, of the personal parts beside a state."""
    return f"{label}-personal"


def _keep(work: Work, label: str, task: Task, tensors: State, layout: Layout) -> None:
    work.put_snapshot(label, to_flat(tensors, layout))
    if task.personal:
        work.put_snapshot(parts(label), personal.packed(task, tensors))


def _saved(state: dict[str, Any]) -> memoryview:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getbuffer()


def _loaded(work: Work, name: str, saved: IO[bytes]) -> dict[str, Any]:
    try:
        # on the CPU, so that a turn begun on a GPU can go on without one
        return dict(torch.load(saved, weights_only=True, map_location="cpu"))
    except Exception as error:  # of bytes that are no checkpoint torch raises what its reader, zip and pickle do
        if isinstance(error, OSError | MemoryError) or "allocate memory" in str(error):  # torch's word for the latter
            raise
        work.refuse(name)
