"""Commands of several ranks, as torchrun starts them: one site, one message, and after a loss the same command goes on."""

import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from alx.errors import ConfigError, RanksError, UsageError
from alx.site.site_file import SiteFile
from alx.steps import new
from alx.tasks import ranks
from alx.turns import bridge, checkpoints
from tests.conftest import OFFLINE, PLAN, World, make_data, pair_world
from tests.several import commands
from tests.turns.test_training import decoded

TASK = """
import os, signal, time
from pathlib import Path
import numpy as np, torch
from torch import nn
from alx.errors import ConfigError
from alx.tasks import supervised

RANK, FAULT = int(os.environ.get("RANK", 0)), Path(__file__).parent.parent / "fault"

def fault(what):
    return RANK == 1 and FAULT.is_file() and FAULT.read_text() == what

class Data:
    def __init__(self, x, y):
        self.x, self.y, self.asked = x, y, 0
    def __len__(self):
        return len(self.y)
    def samples_at(self, indices):
        self.asked += 1
        if self.asked > 4:
            if fault("killed"):
                FAULT.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            if fault("slow") and self.asked == 5:
                FAULT.with_name("reached").touch()
                time.sleep(1)
            if fault("memory"):
                raise torch.OutOfMemoryError("no room for 3 GiB")
        time.sleep(0.02)
        return self.x[indices], self.y[indices]

def make_task(settings):
    if fault("missing"):
        raise ConfigError("there is no folder '/scans'", "mount it on this node")
    with np.load(settings.folder.parent / f"{settings.folder.name}.npz") as held:
        x, y = torch.from_numpy(held["train_images"]), torch.from_numpy(held["train_labels"]).long()
    part = slice(1 if fault("fewer") else 0, None)
    return supervised(
        settings.model, Data(x[part], y[part]), settings.loss, settings.optimiser, batch_size=7,
        distillation=settings.distillation,
    )
"""


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Two paired sites whose task fails on rank 1 as a file `fault` beside it says."""
    root = tmp_path_factory.mktemp("ranks") / "w"
    (root / "disk").mkdir(parents=True)
    (root / "plan.toml").write_text(PLAN)
    (root / "task.py").write_text(TASK)
    make_data(root)
    for role in ("learner", "provider"):
        new.create(root / role, SiteFile(role=role, task=str(root / "task.py"), device="cpu"), root / "plan.toml")
    return pair_world(World(root))


@pytest.fixture
def world(template, tmp_path):
    """A copy of them."""
    return World(shutil.copytree(template.root, tmp_path / "w"))


def train(world, count, fault="", **meddle):
    (world.root / "fault").write_text(fault)
    return commands(count, "train-local", "--site", world.folder("learner"), **meddle)


def reached(world):
    """Wait until rank 1 is in the middle of a step."""
    until = time.monotonic() + 60
    while not (world.root / "reached").exists() and time.monotonic() < until:
        time.sleep(0.01)


def quiet(*others):
    """What ranks other than 0 say: nothing."""
    return [(r.code, r.out, r.err) for r in others] == [(0, "", "")] * len(others)


def final(world):
    """The last snapshot of the learner's turn, and the losses of all."""
    found = decoded(world, "learner")
    label = next(reversed(found))
    weights = torch.cat(
        [t.reshape(-1) for t in bridge.from_flat(found[label][1], world.state("learner").own.layout).values()]
    )
    return weights, [loss for loss, _ in found.values()]


def apart(a, b):
    return float((a - b).norm() / b.norm())


def test_a_turn_by_two_ranks_is_that_of_one_and_the_same_candidate_is_chosen(world, tmp_path, alx):
    one = World(shutil.copytree(world.root, tmp_path / "one"))
    assert alx("train-local", "--site", one.folder("learner")).code == 0
    first, *others = train(world, 2)
    assert (first.code, first.err) == (0, "")
    assert "sealed" in first.out
    assert quiet(*others)
    (weights, losses), (weights_of_one, losses_of_one) = final(world), final(one)
    assert apart(weights, weights_of_one) < 1e-6
    assert losses == pytest.approx(losses_of_one, rel=1e-6)
    assert losses[0] == losses_of_one[0]  # of the same weights: to the last digit
    assert alx("export", world.disk, "--site", world.folder("learner")).code == 0
    same = World(shutil.copytree(world.root, tmp_path / "same"))
    took = [alx("import-and-select", same.bundle("learner"), "--site", same.folder("provider"))]
    took += commands(3, "import-and-select", world.bundle("learner"), "--site", world.folder("provider"))
    assert quiet(*took[2:])
    assert took[1].out == took[0].out.replace(str(same.root), str(world.root))
    chosen, expected = (w.state("provider").position.selected[-1] for w in (world, same))
    assert (chosen.index, chosen.own, chosen.global_loss) == (expected.index, expected.own, expected.global_loss)


def test_torchrun_starts_it(world, alx):
    """The one test that starts torchrun itself, as that takes as long as all others here."""
    (world.root / "fault").write_text("")
    paths = [path for path in os.environ["PYTHONPATH"].split(os.pathsep) if Path(path) != OFFLINE]  # it binds a port itself
    launched = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "alx", "train-local", "--site"]
    done = subprocess.run(
        [sys.executable, "-m", *launched, world.folder("learner")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *paths])},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("round 1: sealed")
    assert alx("export", world.disk, "--site", world.folder("learner")).code == 0


def test_a_command_that_needs_no_ranks_runs_on_rank_0_alone(world):
    first, *others = commands(2, "status", "--site", world.folder("learner"))
    assert (first.code, "next: alx train-local" in first.out) == (0, True)
    assert quiet(*others)
    first, *others = commands(2, "train-local", "--help")  # begins no group, and the others are let go
    assert (first.code, "Usage" in first.out) == (0, True)
    assert quiet(*others)


@pytest.mark.parametrize(
    ("fault", "error", "words", "hint"),
    [
        ("fewer", RanksError, "rank 1 has another number of samples than rank 0: 39, expected 40", "the same code and data"),
        ("missing", ConfigError, "rank 1 of 2: there is no folder '/scans'", "mount it on this node"),
        ("memory", ConfigError, "rank 1 of 2: a training step raised OutOfMemoryError: no room for 3 GiB", "goes on from"),
    ],
)
def test_what_fails_on_another_rank_is_told_once_by_rank_0(world, fault, error, words, hint):
    before = world.fingerprint("learner")
    first, *others = train(world, 2, fault)
    assert first.code == error.exit_code
    assert words in first.err
    assert hint in first.err
    assert len(first.err.splitlines()) == 2
    assert quiet(*others)
    assert world.fingerprint("learner") == before
    (first, *_) = train(world, 2)
    assert first.code == 0


def test_after_a_rank_was_killed_the_command_goes_on_with_as_many_ranks_or_with_one(world, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "FIRST_COST", 0.0)  # a checkpoint after the first step
    whole = World(shutil.copytree(world.root, tmp_path / "whole"))
    assert train(whole, 2)[0].code == 0
    before = world.fingerprint("learner")
    first, other = train(world, 2, "killed")
    assert (first.code, other.code) == (RanksError.exit_code, -signal.SIGKILL)
    assert "a rank of 2 is gone, and did not say why: " in first.err
    assert "the same command goes on from its last checkpoint, with any number of ranks" in first.err
    assert world.fingerprint("learner") == before
    again = World(shutil.copytree(world.root, tmp_path / "again"))
    for each, count in ((world, 2), (again, 1)):
        told, *_ = train(each, count)
        assert (told.code, "went on from step" in told.out) == (0, True)
    assert torch.equal(final(world)[0], final(whole)[0])
    assert apart(final(again)[0], final(whole)[0]) < 1e-6


@pytest.mark.parametrize(
    ("sent", "to", "code", "words"),
    [
        (signal.SIGTERM, slice(1), RanksError.exit_code, "a rank of 2 is gone"),
        (signal.SIGINT, slice(2), 130, "stopped; the same command goes on from here"),
    ],
)
def test_a_signal_of_torchruns_or_of_a_persons_ends_all_ranks_with_a_message(world, sent, to, code, words):
    def stop(children):
        reached(world)
        for child in children[to]:
            os.kill(child, sent)

    first, *others = train(world, 2, "slow", meddle=stop)
    assert first.code == code
    assert words in first.err
    assert quiet(*others)


def test_a_rank_that_says_nothing_any_more_is_given_up_after_a_while(world, monkeypatch):
    """As on a machine without power: its connections do not close."""
    monkeypatch.setattr(ranks, "PATIENCE", timedelta(seconds=1))

    def stop(children):
        reached(world)
        os.kill(children[1], signal.SIGSTOP)
        begun = time.monotonic()
        os.waitid(os.P_PID, children[0], os.WEXITED | os.WNOWAIT)
        assert time.monotonic() - begun < 1 + ranks.REASON_SECONDS + 10
        os.kill(children[1], signal.SIGKILL)

    first, _ = train(world, 2, "slow", meddle=stop)
    assert first.code == RanksError.exit_code
    assert "a rank of 2 is gone, and did not say why: " in first.err


def test_ranks_on_one_gpu_are_refused(world):
    path = world.folder("learner") / "site.toml"
    path.write_text(path.read_text().replace('"cpu"', '"cuda:0"'))
    first, *others = train(world, 2)
    assert first.code == ConfigError.exit_code
    assert "device = 'cuda:0' in site.toml names the GPU, and 2 ranks are this site" in first.err
    assert quiet(*others)


def test_an_environment_that_is_not_torchruns_is_refused(world, monkeypatch, alx):
    monkeypatch.setenv("WORLD_SIZE", "two")
    told = alx("status", "--site", world.folder("learner"))
    assert (told.code, "WORLD_SIZE in the environment is 'two', expected a whole number" in told.err) == (
        UsageError.exit_code,
        True,
    )
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert alx("status", "--site", world.folder("learner")).code == 0
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("MASTER_ADDR", "MASTER_PORT", "RANK"):
        monkeypatch.delenv(name, raising=False)
    told = alx("train-local", "--site", world.folder("learner"))
    assert told.code == RanksError.exit_code
    assert "WORLD_SIZE is 2, and the ranks do not find each other" in told.err
