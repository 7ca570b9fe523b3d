"""What a turn costs by the size of the model, step by step: seconds, bytes and peak memory, each command in its own process.

`python -m tests.bench.scale MILLIONS...` plays, for models of so many million float32 parameters, the learner's turn of
nine snapshots (t = 0 and 8 more, Adam, a step each) and the provider's reply of two snapshots and its blends, through what
the commands call, and prints a table for docs/scale.md. The folder is that of TMPDIR: it needs about 150 bytes a parameter.
Without a number it packs two states on one core and on all, beside zstd by itself over the same bytes.
"""

import functools
import math
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import zstandard

from alx import audit, turns
from alx.bundle import codec
from alx.bundle.layout import Layout, Tensor
from alx.site import site as sites
from alx.steps import outgoing
from tests.bench import growth, world

SNAPSHOTS = 9
BEFORE = "beginning"  # what a command does before it tells of anything


@dataclass
class Cost:
    """Of one command: seconds by what it told of, and bytes of memory above what the process began with."""

    seconds: dict[str, tuple[float, float]] = field(default_factory=dict)
    """By the clock, and of processors: on a shared machine the second is what the code costs."""
    peak: int = 0


def timed(do: Callable[[Callable[..., None]], object]) -> Cost:
    """Run a command's call; each stretch of time counts for what is told of at its end, the last for `ending`."""
    cost, meter, last = Cost(), growth.Meter(), (time.perf_counter(), time.process_time())

    def add(name: str) -> None:
        nonlocal last
        now, before = (time.perf_counter(), time.process_time()), cost.seconds.get(name, (0.0, 0.0))
        cost.seconds[name] = before[0] + now[0] - last[0], before[1] + now[1] - last[1]
        last = now

    def tell(what: str, done: int, _total: int, *_losses: float | None) -> None:
        add(what if done or what == "training" else f"before {what}")

    do(tell)
    add("ending")
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
    print("| million parameters | command | stretch | s | CPU s | raw MB a CPU s | peak, states |")
    print("| ---: | --- | --- | ---: | ---: | ---: | ---: |")
    for size in millions:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "exchange"
            wanted = world.Size(SNAPSHOTS, int(size * 4e6), 64)
            growth.apart(context, functools.partial(world.make, size=wanted, candidates="blended"), root)
            state = sites.load(root / "learner").look().own.layout.nbytes
            for name, do in STEPS.items():
                cost = growth.apart(context, do, root)
                raw = state * (2 if name.startswith("reply") else SNAPSHOTS) / 1e6
                times = zip(*cost.seconds.values(), strict=True)
                for what, (clock, cpu) in (cost.seconds | {"all": tuple(map(sum, times))}).items():
                    peak = f"{cost.peak / state:.2f}" if what == "all" else ""
                    print(
                        f"| {size:g} | {name} | {what} | {clock:.2f} | {cpu:.2f} | {raw / cpu:,.0f} | {peak} |", flush=True
                    )
            for bundle in (root / "disk").glob("alx-*/"):
                held = [p.stat().st_size for p in bundle.rglob("*") if p.is_file()]
                print(f"| {size:g} | {bundle.name} | {len(held)} files, {sum(held):,} bytes | | | | |", flush=True)


def threads(millions: int = 40, repeats: int = 7) -> None:
    """Pack a keyframe and the state after it, in memory; the least of some turns counts, as other work only adds."""
    rng = np.random.default_rng(0)
    first = rng.standard_normal(millions * 10**6, np.float32) * np.float32(0.02)
    second = first + rng.standard_normal(len(first), np.float32) * np.float32(1e-4)  # a few steps of training away
    layout = Layout((Tensor(name="w", dtype="F32", shape=[len(first)]),))
    states = [(memoryview(first).cast("B"), None), (memoryview(second).cast("B"), memoryview(first).cast("B"))]
    packed: dict[str, int] = {}

    def ours(count: int) -> int:
        with ThreadPoolExecutor(count) as pool:
            jobs = [
                pool.submit(lambda s=s, b=b, part=part: len(codec.encoded(s, b, layout, part)))
                for s, b in states
                for part in range(layout.parts)
            ]
            return sum(job.result() for job in jobs)

    def zstd(count: int) -> int:
        return sum(len(zstandard.ZstdCompressor(codec.LEVEL, threads=count).compress(s)) for s, _ in states)

    cores = len(os.sched_getaffinity(0))
    ways = {
        f"{what}, {n} threads": functools.partial(do, n) for what, do in (("ours", ours), ("zstd", zstd)) for n in (1, cores)
    }
    least = dict.fromkeys(ways, math.inf)
    for _ in range(repeats):
        for name, do in ways.items():
            begun = time.perf_counter()
            packed[name] = do()
            least[name] = min(least[name], time.perf_counter() - begun)
    raw = 2 * first.nbytes
    for name, seconds in least.items():
        print(f"{name}: {raw / seconds / 1e6:,.0f} MB/s, {packed[name] / raw:.3f} of raw")


if __name__ == "__main__":
    main([float(word) for word in sys.argv[1:]]) if sys.argv[1:] else threads()
