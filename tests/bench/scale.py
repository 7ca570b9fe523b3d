"""What a turn costs by the size of the model, step by step: seconds, bytes and peak memory, each command in its own process.

`python -m tests.bench.scale MILLIONS...` plays, for models of so many million float32 parameters, the learner's turn of
nine snapshots (t = 0 and 8 more, Adam, a step each) and the provider's reply of two snapshots and its blends, through what
the commands call, and prints a table for docs/scale.md. The folder is that of TMPDIR: it needs about 150 bytes a parameter.
"""

import functools
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from alx import audit, turns
from alx.site import site as sites
from alx.steps import outgoing
from tests.bench import growth, world

SNAPSHOTS = 9
BEFORE = "beginning"  # what a command does before it tells of anything


@dataclass
class Cost:
    """Of one command: seconds by what it told of, and bytes of memory above what the process began with."""

    seconds: dict[str, float] = field(default_factory=dict)
    peak: int = 0


def timed(do: Callable[[Callable[..., None]], object]) -> Cost:
    """Run a command's call; each stretch of time counts for what is told of at its end, the last for `ending`."""
    cost, meter, last = Cost(), growth.Meter(), time.perf_counter()

    def tell(what: str, done: int, _total: int, *_losses: float | None) -> None:
        nonlocal last
        now = time.perf_counter()
        name = what if done or what == "training" else f"before {what}"
        cost.seconds[name] = cost.seconds.get(name, 0.0) + now - last
        last = now

    do(tell)
    cost.seconds["ending"] = time.perf_counter() - last
    cost.peak = meter.cost()[1]
    return cost


def train(root: Path, role: str) -> Cost:
    """A turn: train, keep snapshots, blend, measure, compress, seal."""
    return timed(lambda tell: turns.train(sites.load(root / role).look(), tell))


def export(root: Path, role: str) -> Cost:
    """Copy the bundle to a folder, and read it back."""
    return timed(lambda tell: outgoing.export(sites.load(root / role).look(), root / "disk", tell))


def verify(root: Path) -> Cost:
    """What `alx audit` does of the learner's bundle: digests, decoding, every weight."""
    return timed(lambda _tell: audit.look(world.bundle(root), [world.learners_key(root)], None))


def import_(root: Path, role: str, sender: str) -> Cost:
    """Copy, verify, decode, measure, choose, accept."""
    bundle = next((root / "disk").glob(f"alx-*-{sender}"))
    return timed(lambda tell: turns.import_and_select(sites.load(root / role).look(), bundle, tell))


STEPS: dict[str, Callable[[Path], Cost]] = {
    "train-local": functools.partial(train, role="learner"),
    "export": functools.partial(export, role="learner"),
    "audit": verify,
    "import-and-select": functools.partial(import_, role="provider", sender="learner"),
    "reply: train-local": functools.partial(train, role="provider"),
    "reply: export": functools.partial(export, role="provider"),
    "reply: import-and-select": functools.partial(import_, role="learner", sender="provider"),
}


def main(millions: list[float]) -> None:
    """Print a row for each size, command and stretch."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.bench.scale", *growth.IMPORTED])
    print(
        "| million parameters | command | stretch | s | raw MB/s | peak, states |\n| ---: | --- | --- | ---: | ---: | ---: |"
    )
    for size in millions:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "exchange"
            wanted = world.Size(SNAPSHOTS, int(size * 4e6), 64)
            growth.apart(context, functools.partial(world.make, size=wanted, candidates="blended"), root)
            state = sites.load(root / "learner").look().own.layout.nbytes
            for name, do in STEPS.items():
                cost = growth.apart(context, do, root)
                raw = state * (2 if name.startswith("reply") else SNAPSHOTS) / 1e6
                for what, seconds in cost.seconds.items():
                    print(f"| {size:g} | {name} | {what} | {seconds:.2f} | {raw / max(seconds, 1e-9):,.0f} | |")
                total = sum(cost.seconds.values())
                print(
                    f"| {size:g} | {name} | all | {total:.2f} | {raw / total:,.0f} | {cost.peak / state:.2f} |", flush=True
                )
            for bundle in (root / "disk").glob("alx-*"):
                held = sum(p.stat().st_size for p in bundle.rglob("*") if p.is_file())
                files = sum(1 for p in bundle.rglob("*") if p.is_file())
                print(
                    f"| {size:g} | {bundle.name.rpartition('-')[2]}'s bundle | {files} files, {held:,} bytes | | | |",
                    flush=True,
                )


if __name__ == "__main__":
    main([float(word) for word in sys.argv[1:]])
