"""Peak memory of two ranks of train-local: in shards, and with a copy each. No section of `make bench`: it takes minutes.

`python -m tests.bench.sharding LAYERS` measures it with a model of so many layers of 6.6 MB, and Adam.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import torch.distributed as dist

from tests.bench.memory import COMMAND, MODEL, PLAN
from tests.conftest import World, make_world, pair_world

RANKS, STEPS = 2, 2
LEAST = "1048576"  # bytes that glibc asks the system for by themselves, and gives back: else it keeps what FSDP gathered


def peaks(world: World) -> list[int]:
    """Bytes that were resident at most on each rank of train-local."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)  # the agent's, in torchrun
    said = {"WORLD_SIZE": str(RANKS), "LOCAL_WORLD_SIZE": str(RANKS), "MASTER_ADDR": "127.0.0.1"}
    said |= {"MASTER_PORT": str(store.port), "TORCHELASTIC_USE_AGENT_STORE": "True"}
    words = [sys.executable, "-c", COMMAND, "0", "train-local", "--site", str(world.folder("learner"))]
    running = [
        subprocess.Popen(
            words,
            env={**os.environ, **said, "RANK": str(rank), "LOCAL_RANK": str(rank), "MALLOC_MMAP_THRESHOLD_": LEAST},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(RANKS)
    ]
    told = [each.communicate()[1] for each in running]
    assert not any(each.returncode for each in running), told
    return [int(each.rsplit("VmHWM:", 1)[1].split()[0]) << 10 for each in told]


def measured(layers: int) -> tuple[list[int], list[int], int]:
    """Peaks of each rank in shards, of each with a copy, and bytes of the model."""
    with tempfile.TemporaryDirectory() as folder:
        found = []
        for name, line in (("cut", "sharding = true\n"), ("whole", "")):
            root = Path(folder) / name
            root.mkdir()
            (root / "wide.py").write_text(MODEL)
            world = pair_world(make_world(root, PLAN.format(steps=STEPS, layers=layers)))
            path = world.folder("learner") / "site.toml"
            path.write_text(path.read_text().replace("[data]", f"{line}\n[data]"))
            found.append(peaks(world))
        state = world.state("learner").own.layout.nbytes
    return *found, state


if __name__ == "__main__":
    *both, state = measured(int(sys.argv[1]))
    cut, whole = (" and ".join(f"{peak / 1e6:,.0f}" for peak in each) for each in both)
    print(f"{state / 1e6:,.0f} MB of weights: rank 0 and another take {cut} MB in shards, {whole} MB with a copy each")
