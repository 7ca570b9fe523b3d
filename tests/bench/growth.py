"""How time and memory grow with the number of snapshots, the size of the model and the size of the data.

Every point is one call of what a command calls, in a process of its own forked from one that has imported everything:
its time, and the peak of its resident memory above what it had when the call began. The least of `REPEATS` counts: other
work on the machine only adds. Data and models are synthetic; weights of a few steps of training fill every snapshot.
"""

import functools
import multiprocessing
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from alx import audit, turns
from alx.site import site as sites
from alx.steps import outgoing
from tests.bench import world
from tests.bench.row import Missing, Row
from tests.bench.series import STEPS, Series, fitted
from tests.bench.world import Size

REPEATS = 3
# What a command imports on its way, some of it late: start-up is another section's.
IMPORTED = ["alx.cli.exchange", "alx.tasks.load", "torch._dynamo", "alx.steps.incoming"]

SIZES = {
    "snapshots": [Size(8 * 2**i, 1_000_000, 256) for i in range(6)],
    "model": [Size(6, 2_000_000 * 2**i, 256) for i in range(6)],
    "samples": [Size(4, 200_000, 16_000 * 2**i) for i in range(6)],
}


Cost = tuple[float, int]
"""Seconds, and bytes."""


class Meter:
    """Time, and the peak of what this process has resident, above what it had at the beginning."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Begin, or begin anew."""
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # proc(5): VmHWM begins anew from here
        self._before = _status("VmRSS")
        self._begun = time.perf_counter()

    def cost(self) -> Cost:
        """Since the beginning."""
        return time.perf_counter() - self._begun, max(0, _status("VmHWM") - self._before)


def _status(key: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith(key)))


def train(root: Path) -> None:
    """A turn's training and measuring; the process ends where sealing would begin, as if it were killed."""

    def stop(what: str, done: int, total: int, *_losses: float | None) -> None:
        if what == "measuring" and done == total:
            os._exit(0)

    turns.train(sites.load(root / "learner").look(), stop)


def seal(root: Path) -> Cost:
    """Go on with the killed turn: only sealing is left to do."""
    meter = Meter()

    def tell(what: str, done: int, total: int, *_losses: float | None) -> None:
        if what == "measuring" and done == total:
            meter.begin()

    turns.train(sites.load(root / "learner").look(), tell)
    return meter.cost()


def export(root: Path) -> Cost:
    """Copy the bundle to a folder, and read it back from there."""
    meter = Meter()
    outgoing.export(sites.load(root / "learner").look(), root / "disk", lambda *_: None)
    return meter.cost()


def open_(root: Path) -> Cost:
    """What `alx audit` does: verify the bundle whole, decode every snapshot, look at every weight."""
    meter = Meter()
    audit.look(world.bundle(root), [world.learners_key(root)], None)
    return meter.cost()


def import_(root: Path) -> Cost:
    """What `alx import-and-select` does: copy, verify, open, measure, choose, accept."""
    meter = Meter()
    turns.import_and_select(sites.load(root / "provider").look(), world.bundle(root))
    return meter.cost()


DO = {"seal": seal, "export": export, "open": open_, "import": import_}


def _in_child(pipe: Any, do: Callable[[Path], Any], root: Path) -> None:
    torch.set_num_threads(1)
    pipe.send(do(root))


def apart(context: Any, do: Callable[[Path], Any], root: Path) -> Any:
    """Call it in a process of its own; what it returned, or None if it ended itself."""
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_in_child, args=(theirs, do, root))
    child.start()
    theirs.close()
    try:
        got = ours.recv()
    except EOFError:
        got = None
    child.join()
    if child.exitcode:
        raise RuntimeError(f"{do} failed")
    return got


def point(context: Any, size: Size, folder: Path) -> dict[str, Cost]:
    """What every step of one exchange costs."""
    root = folder / "exchange"
    try:
        apart(context, functools.partial(world.make, size=size), root)
        apart(context, train, root)
        return {step: apart(context, do, root) for step, do in DO.items()}
    finally:
        shutil.rmtree(root, ignore_errors=True)


def measure() -> list[Series]:
    """Every series; prints what it is at."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.bench.growth", *IMPORTED])
    sizes = [s for listed in SIZES.values() for s in listed]
    best: dict[Size, dict[str, Cost]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(REPEATS):
            for i, size in enumerate(sizes, 1):
                print(f"  growth, turn {turn + 1} of {REPEATS}, size {i} of {len(sizes)}", end="\r", flush=True)
                found = point(context, size, Path(folder))
                old = best.get(size, found)
                best[size] = {s: (min(found[s][0], old[s][0]), min(found[s][1], old[s][1])) for s in STEPS}
    print()
    return [
        Series(
            step,
            axis,
            [float(getattr(s, axis)) for s in listed],
            [best[s][step][0] for s in listed],
            [float(best[s][step][1]) for s in listed],
        )
        for axis, listed in SIZES.items()
        for step in STEPS
    ]


def rows() -> list[Row | Missing | Series]:
    """Every series, and of each two rows: how its time grows, and how its memory does."""
    if not Path("/proc/self/clear_refs").exists():
        return [Missing("growth", "it reads a process's peak of memory from Linux's /proc")]
    found = measure()
    return [*found, *(row for series in found for row in fitted(series))]
