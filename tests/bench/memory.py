"""Peak memory of what handles bundles: train-local, export, import-and-select, audit, each in a process of its own.

`python -m tests.bench.memory MEGABYTES SNAPSHOTS [GIGABYTES]` prints the same of a larger model, each command allowed so
much memory (of data: what libraries map is shared) and no more: `140 115 2` carries 11.5 GB through 2 GB.
"""

import contextlib
import io
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from alx.bundle import codec
from alx.bundle.layout import PART_BYTES
from tests.bench import resnet
from tests.bench.row import Row
from tests.conftest import make_world, pair_world
from tests.sealing import sealing

PARTS = 5 * PART_BYTES * codec.MAX_THREADS  # a thread has a part raw, in planes, packed; the allocator keeps some
WIDTH = 1280  # of a layer, which has 6.6 MB
MODEL = f"""\
from torch import nn

def wide(layers):
    inner = [nn.Linear({WIDTH}, {WIDTH}) for _ in range(layers)]
    return nn.Sequential(nn.Linear(4, {WIDTH}), *inner, nn.Linear({WIDTH}, 3))
"""
PLAN = """\
name = "wide"
rounds = 1
round_steps = {{ learner = {steps}, provider = 1 }}
sampling_period = 1
batch_size = 8
seed = 3
candidates = "trajectory"
optimiser = {{ name = "adam", lr = 0.001 }}
model = {{ source = "wide.py:wide", arguments = {{ layers = {layers} }} }}
"""
# Prints the most memory that was resident. Of a child, getrusage counts what its parent had when it was born.
COMMAND = """\
import resource, sys
limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
from alx.cli.main import run
code = run(sys.argv[2:])
sys.stderr.write(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")))
sys.exit(code)
"""


def peak(*arguments: object, limit: int = 0) -> int:
    """Bytes that were resident at most in a process that ran a command.

    Args:
        arguments: the command line.
        limit: bytes of data that it may have; 0 for no limit.
    """
    words = [str(a) for a in arguments]
    done = subprocess.run([sys.executable, "-c", COMMAND, str(limit), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stderr.rsplit("VmHWM:", 1)[1].split()[0]) << 10


def peaks(layers: int, snapshots: int, limit: int = 0) -> tuple[dict[str, int], int, int]:
    """Peak memory of each command, bytes of a snapshot, bytes of the bundle."""
    resnet.CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=resnet.CACHE) as folder:
        root = Path(folder) / "world"
        root.mkdir()
        (root / "wide.py").write_text(MODEL)
        with contextlib.redirect_stdout(io.StringIO()):
            world = pair_world(make_world(root, PLAN.format(steps=snapshots - 1, layers=layers)))
        learner, provider = (("--site", world.folder(role)) for role in ("learner", "provider"))
        out: dict[str, int] = {}

        def run(name: str, *arguments: object) -> None:
            begun = time.monotonic()
            out[name] = peak(name, *arguments, limit=limit)
            print(f"{name}: {out[name] / 1e6:,.0f} MB, {time.monotonic() - begun:.0f} s", file=sys.stderr)

        run("train-local", *learner)
        run("export", world.disk, *learner)
        bundle = world.bundle("learner")
        run("audit", bundle, "--key", world.folder("learner") / "public.pem")
        run("import-and-select", bundle, *provider)
        size = sum(p.stat().st_size for p in bundle.rglob("*") if p.is_file())
        return out, world.state("learner").own.layout.nbytes, size


def rows(megabytes: float = 45, snapshots: int = 80) -> list[Row]:
    """Beside three snapshots and a constant: what the same command takes with next to no model, and a few parts."""
    few, _, _ = peaks(0, 3)
    many, snapshot, _ = peaks(_layers(megabytes), snapshots)
    few["seal"] = few["open"] = 0
    with tempfile.TemporaryDirectory(dir=resnet.CACHE) as folder:
        many |= sealing(Path(folder), snapshot, snapshots)
    what = f"peak memory, {snapshots} snapshots of {snapshot / 1e6:.0f} MB"
    return [
        Row(
            f"{what}: {name}",
            "MB",
            many[name] / 1e6,
            f"3 snapshots and a constant of {(few[name] + PARTS) / 1e6:.0f} MB",
            limit / 1e6,
            many[name] / limit,
            1.0,
        )
        for name in ("seal", "open", "export", "audit", "import-and-select")
        for limit in [3 * snapshot + few[name] + PARTS]
    ]


def _layers(megabytes: float) -> int:
    return math.ceil(megabytes * 1e6 / (4 * WIDTH * WIDTH))


if __name__ == "__main__":
    if len(sys.argv) == 1:
        for row in rows():
            print(f"{row.what}: {row.ours:.0f} MB; {row.rival}: {row.theirs:.0f} MB; ratio {row.ratio:.2f}")
    else:
        allowed = int(float(sys.argv[3]) * 2**30) if len(sys.argv) > 3 else 0
        took, one, carried = peaks(_layers(float(sys.argv[1])), int(sys.argv[2]), allowed)
        print(f"a bundle of {carried / 1e9:.2f} GB, snapshots of {one / 1e6:.1f} MB")
        for command, most in took.items():
            print(f"{command}: {most / 1e6:,.0f} MB: 3 snapshots and {(most - 3 * one) / 1e6:,.0f} MB")
