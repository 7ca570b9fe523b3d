"""A whole turn on images that are changed at random: what `alx check` says of it, and one that was killed."""

import json
import os
import shutil
import signal
import time

import numpy as np
import pytest

from alx.cli.main import run
from alx.errors import ConfigError
from alx.site.site_file import Data, SiteFile
from alx.steps import new
from tests.conftest import PLAN, World, pair_world
from tests.forge import refused

AUGMENT = """
[images]
channels = 1
mean = [0.5]
std = [0.25]

[[training.augment]]
name = "RandomHorizontalFlip"

[[training.augment]]
name = "RandomCrop"
padding = 1

[[training.augment]]
name = "ColorJitter"
brightness = 0.2
"""
MODEL = PLAN.replace("models:mlp", "models:small_cnn").replace(
    "inputs = 4, classes = 3, hidden = 8", "size = 4, classes = 3"
)
LONG = MODEL.replace("round_steps = 12", "round_steps = { learner = 60, provider = 1 }").replace("period = 2", "period = 20")


@pytest.fixture
def world(tmp_path):
    """Two paired sites with images of 4 x 4."""
    root = tmp_path / "world"
    (root / "disk").mkdir(parents=True)
    (root / "plan.toml").write_text(LONG + AUGMENT)
    rng = np.random.default_rng(0)
    for role in ("learner", "provider"):
        images, labels = rng.integers(256, size=(20, 4, 4), dtype=np.uint8), rng.integers(3, size=20)
        np.savez(root / f"{role}.npz", train_images=images, train_labels=labels)
        new.create(root / role, SiteFile(role=role, data=Data(kind="npz", path=f"../{role}.npz")), root / "plan.toml")
    return pair_world(World(root))


def sealed(world):
    """The digest of the bundle that the learner made."""
    return world.state("learner").position.sealed[-1].bundle


def test_a_turn_with_augmentation_that_was_killed_ends_in_the_same_bundle(world, tmp_path):
    other = World(shutil.copytree(world.root, tmp_path / "other"))
    command = ["train-local", "--site", str(other.folder("learner"))]
    child = os.fork()
    if not child:
        run(command)
        os._exit(0)
    reached = other.folder("learner") / "work" / "t40.state"
    while not reached.exists():
        assert not os.waitpid(child, os.WNOHANG)[0], "it ended before it could be killed"
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    assert not other.state("learner").position.sealed
    assert run(command) == 0
    assert run(["train-local", "--site", str(world.folder("learner"))]) == 0
    assert sealed(other) == sealed(world)


def test_check_says_how_images_are_changed(world, alx):
    said = alx("check", "--site", world.folder("learner")).out
    told = "RandomHorizontalFlip, then RandomCrop(padding=1), then ColorJitter(brightness=0.2)"
    assert f"images are changed before a step: {told}" in said.splitlines()
    told = json.loads(alx("check", "--site", world.folder("learner"), "--json").out)
    assert told["augment"] == [
        {"name": "RandomHorizontalFlip"},
        {"name": "RandomCrop", "padding": 1},
        {"name": "ColorJitter", "brightness": 0.2},
    ]


def test_check_refuses_a_transform_that_does_not_fit_the_images(tmp_path, capsys):
    (tmp_path / "plan.toml").write_text((MODEL + AUGMENT).replace("padding = 1", "size = [9, 9]"))
    np.savez(tmp_path / "own.npz", train_images=np.zeros((8, 4, 4), np.uint8), train_labels=np.arange(8) % 3)
    site = SiteFile(role="learner", data=Data(kind="npz", path="../own.npz"))
    new.create(tmp_path / "learner", site, tmp_path / "plan.toml")
    refused(
        capsys,
        ["check", "--site", tmp_path / "learner"],
        ConfigError,
        "[training] augment RandomCrop(size=[9, 9]) in the plan: torchvision raised ValueError: Required crop size (9, 9)",
        hint="images are 1 x 4 x 4",
    )
