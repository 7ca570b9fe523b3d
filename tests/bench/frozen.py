"""A head on a backbone of 100 MB: what a turn carries beside the head's own bytes, and beside a turn with all of the model.

Both turns are trained, sealed and exported; the backbone is named by its digest, which is timed beside SHA-256 alone.
"""

import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from alx.learning import state
from alx.site import site as sites
from alx.site.site import Site
from alx.tasks import load
from alx.turns import bridge
from tests.bench import world
from tests.bench.row import Row, rates

SIZE = world.Size(snapshots=3, model=100_000_000, samples=64)
BACKBONE = ["0.*", "2.*"]  # of the mlp: all but its last layer
LIMIT = 1.1  # manifest and signature are some kB, and weights pack to nine tenths


def _carried(bundle: Path) -> float:
    return sum(p.stat().st_size for p in bundle.rglob("*") if p.is_file()) / 1000


def _named(site: Site) -> list[Row]:
    task = load.task(site.folder, site.config, site.plan)
    model = task.new_model()
    held = task.frozen(model)
    megabytes = sum(t.nbytes for t in held.values()) / 1e6
    flat = state.to_bytes(held, sorted(held))

    def rate(work: Callable[[], object]) -> float:
        begun = time.perf_counter()
        work()
        return megabytes / (time.perf_counter() - begun)

    return rates(
        f"name {megabytes:.0f} MB of frozen weights",
        "MB/s",
        {
            "ours": lambda: rate(lambda: bridge.frozen_of(task, model)),
            "hashlib.sha256 over the same bytes": lambda: rate(lambda: hashlib.sha256(flat).hexdigest()),
        },
    )


def rows() -> list[Row]:
    """Bytes of a turn, and the digest's speed."""
    with tempfile.TemporaryDirectory() as folder:
        found = {}
        for name, freeze in (("head", BACKBONE), ("whole", [])):
            root = Path(folder) / name
            world.make(root, SIZE, freeze)
            found[name] = _carried(world.send(root))
        site = sites.load(Path(folder) / "head" / "learner")
        own = SIZE.snapshots * site.look().own.layout.nbytes / 1000
        what, ours = f"a head on a backbone of {SIZE.model // 10**6} MB, {SIZE.snapshots} snapshots", found["head"]
        return [
            Row(what, "kB carried", ours, "the head's own bytes, raw", own, ours / own, LIMIT),
            Row(what, "kB carried", ours, "all of the model", found["whole"], ours / found["whole"]),
            *_named(site),
        ]
