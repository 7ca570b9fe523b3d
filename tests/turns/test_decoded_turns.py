"""A whole turn whose pictures are decoded by workers: one that dies, a command that is killed or stopped with Ctrl-C."""

import os
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from alx.cli.main import run
from alx.site.site_file import Data, SiteFile
from alx.steps import new
from tests.conftest import PLAN, World, pair_world

IMAGES = '\n[images]\nchannels = 1\nsize = [4, 4]\nclasses = ["a", "b", "c"]\n'
MODEL = PLAN.replace("models:mlp", "models:small_cnn").replace(
    "inputs = 4, classes = 3, hidden = 8", "size = 4, classes = 3"
)
LONG = MODEL.replace("round_steps = 12", "round_steps = { learner = 160, provider = 1 }").replace(
    "period = 2", "period = 80"
)


INTERRUPTS = {"the command is killed": signal.SIGKILL, "Ctrl-C": signal.SIGINT}


def sites(root, **loading):
    """Two paired sites with folders of images of 6 x 6."""
    (root / "disk").mkdir(parents=True)
    (root / "plan.toml").write_text(LONG + IMAGES)
    rng = np.random.default_rng(0)
    for role in ("learner", "provider"):
        for i in range(18):
            place = root / f"{role}-own" / "abc"[i % 3] / f"{i}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(256, size=(6, 6), dtype=np.uint8)).save(place)
        data = Data(kind="images", path=f"../{role}-own", **loading)
        new.create(root / role, SiteFile(role=role, data=data), root / "plan.toml")
    return pair_world(World(root))


def below(process):
    """The processes that it began."""
    found = Path(f"/proc/{process}/task").glob("*/children")
    return [int(pid) for each in found for pid in each.read_text(encoding="ascii").split()]


def begun(world):
    """`alx train-local` in a process of its own, some way into a turn; and its workers."""
    child = os.fork()
    if not child:
        sys.stderr = (world.root / "err").open("w")
        os._exit(run(["train-local", "--site", str(world.folder("learner"))]))
    while not (world.folder("learner") / "work" / "t80.state").exists():
        assert not os.waitpid(child, os.WNOHANG)[0], "it ended before it could be interrupted"
        time.sleep(0.002)
    return child, below(child)


@pytest.fixture(scope="module")
def wanted(tmp_path_factory):
    """Sites with two workers; and what the same turn ends in without, all pixels in memory."""
    world = sites(tmp_path_factory.mktemp("turns") / "world", workers=2, in_memory=False)
    plain = World(shutil.copytree(world.root, world.root.parent / "plain"))
    file = plain.folder("learner") / "site.toml"
    file.write_text(file.read_text().replace("workers = 2", "workers = 0").replace("in_memory = false", "in_memory = true"))
    assert run(["train-local", "--site", str(plain.folder("learner"))]) == 0
    return world, plain.state("learner").position.sealed[-1].digest


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks for processes as Linux lists them")
@pytest.mark.parametrize("what", ["a worker is killed", "the command is killed", "Ctrl-C"])
def test_the_command_ends_leaves_no_process_and_the_site_as_it_was_and_goes_on_when(what, wanted, tmp_path):
    world, bundle = World(shutil.copytree(wanted[0].root, tmp_path / "world")), wanted[1]
    before = world.fingerprint("learner")
    child, workers = begun(world)
    assert len(workers) == 2
    os.kill(*(workers[0], signal.SIGKILL) if what == "a worker is killed" else (child, INTERRUPTS[what]))
    ended, told = os.waitpid(child, 0)[1], (world.root / "err").read_text()
    if what == "a worker is killed":
        assert os.waitstatus_to_exitcode(ended) == 2
        said = told.splitlines()
        assert said[0] == "alx: error: a worker that decodes pictures ended before it was done: killed, or out of memory"
        assert said[1].startswith("hint: the same command goes on from its last checkpoint")
        assert len(said) == 2
    assert "Traceback" not in told
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}/fd/0").exists() for pid in workers):  # gone, or a zombie that nobody here can wait for
        assert time.monotonic() < deadline, "a worker outlived its command"
        time.sleep(0.01)
    assert world.fingerprint("learner") == before
    if what == "a worker is killed":
        assert run(["train-local", "--site", str(world.folder("learner"))]) == 0
        assert world.state("learner").position.sealed[-1].digest == bundle
