"""`sharding = true` in site.toml: under ranks a turn is that of one process; what cannot be cut is refused in words."""

import shutil

import pytest
import torch

from alx.turns import bridge
from tests.conftest import PLAN, World, make_world, pair_world
from tests.several import commands
from tests.turns.test_training import decoded

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self, scalar=False, values=False):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 600), nn.ReLU())
        self.blocks = nn.ModuleList(nn.Sequential(nn.Linear(600, 600, bias=False), nn.ReLU()) for _ in range(2))
        self.norm = nn.BatchNorm1d(600)
        self.head = nn.Linear(600, 3)
        if scalar:
            self.temperature = nn.Parameter(torch.ones(()))
        if values:
            self.widths = [int(w) for w in torch.linspace(1, 3, 3)]

    def forward(self, x):
        x = self.body(x)
        for block in self.blocks:
            x = x + block(x)
        return self.head(self.norm(x))
"""
CUT = (
    PLAN[: PLAN.index("[optimiser]")].replace("round_steps = 12", "round_steps = 8").replace("period = 2", "period = 4")
    + """
[optimiser]
name = "sgd"
lr = 0.01
momentum = 0.9
weight_decay = 0.01
keep = true

[training]
clip = 0.5
no_decay = ["bias_and_norm"]

[model]
source = "net.py:Net"
freeze = ["body.*"]
personal = ["norm.*"]
"""
)


def made(root, plan):
    root.mkdir(parents=True)
    (root / "net.py").write_text(NET)
    return make_world(root, plan)


def cut(world, more=""):
    path = world.folder("learner") / "site.toml"
    path.write_text(path.read_text().replace("[data]", f"sharding = true\n{more}\n[data]"))
    return world


@pytest.fixture(scope="module")
def paired(tmp_path_factory):
    """Two paired sites, the learner's with sharding."""
    return cut(pair_world(made(tmp_path_factory.mktemp("cut") / "x", CUT)))


def test_a_turn_in_shards_is_that_of_one_process(paired, tmp_path, alx):
    world, one = (World(shutil.copytree(paired.root, tmp_path / name)) for name in ("cut", "one"))
    path = one.folder("learner") / "site.toml"
    path.write_text(path.read_text().replace("sharding = true", ""))
    first, second = commands(2, "train-local", "--site", world.folder("learner"))
    assert (first.code, first.err, second.code, second.out, second.err) == (0, "", 0, "", "")
    assert alx("train-local", "--site", one.folder("learner")).code == 0
    (found, losses), (expected, losses_of_one) = (states(w) for w in (world, one))
    assert losses == pytest.approx(losses_of_one, rel=1e-6)
    assert len(found) == len(expected) > 0
    for a, b in zip(found, expected, strict=True):
        assert float((a - b).norm()) <= 1e-6 * float(b.norm())
    assert not torch.equal(expected[0], expected[-1])


def states(world):
    """Every candidate's weights, and their losses."""
    found, layout = decoded(world, "learner"), world.state("learner").own.layout
    flat = [torch.cat([t.reshape(-1).double() for t in bridge.from_flat(f, layout).values()]) for _, f in found.values()]
    return flat, [loss for loss, _ in found.values()]


def test_one_process_does_not_train_what_is_to_be_cut(paired, alx):
    told = alx("train-local", "--site", paired.folder("learner"))
    assert told.code == 2
    assert "site.toml says sharding, and this is one process: a model is cut between two or more" in told.err
    assert "torchrun --standalone" in told.err


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("clip = 0.5", "compile = true", "[training] in the plan says compile, which goes with whole models alone"),
        ("clip = 0.5", "channels_last = true", "[training] in the plan says channels_last, which"),
        ("freeze =", "arguments = {scalar = true}\nfreeze =", "the parameter 'temperature' is a single number"),
        ("freeze =", "arguments = {values = true}\nfreeze =", "raised RuntimeError: Tensor.item() cannot be called"),
    ],
)
def test_what_cannot_be_cut_is_refused_before_anything_starts(old, new, words, tmp_path, alx):
    world = cut(made(tmp_path / "x", CUT.replace(old, new)))
    told = alx("check", "--site", world.folder("learner"))
    assert told.code == 2
    assert words in told.err
    assert "leave sharding out of site.toml" in told.err


def test_a_model_is_cut_between_processes_and_not_between_devices_of_one(paired, tmp_path, alx):
    world = World(shutil.copytree(paired.root, tmp_path / "several"))
    path = world.folder("learner") / "site.toml"
    path.write_text(path.read_text().replace('device = "auto"', 'device = "cpu,cpu"'))
    told = alx("check", "--site", world.folder("learner"))
    assert told.code == 2
    assert 'site.toml says sharding, and device = "cpu,cpu": a model is cut between processes' in told.err
    assert 'write device = "auto", or leave sharding out' in told.err


def test_a_task_of_ones_own_is_not_cut(paired, tmp_path, alx):
    world = World(shutil.copytree(paired.root, tmp_path / "own"))
    path = world.folder("learner") / "site.toml"
    path.write_text(path.read_text().replace('task = "built-in"', 'task = "mine.py"'))
    told = alx("check", "--site", world.folder("learner"))
    assert told.code == 2
    assert "site.toml says sharding, and 'mine.py' is a task of your own" in told.err
