"""Two sites add up losses of one objective: what differs is found at a made-up batch, before anybody carries a disk."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from alx.errors import ConfigError, PeerError
from alx.site.site_file import Data, SiteFile
from alx.steps import new
from alx.tasks import probe, supervised
from alx.tasks.objective import losses
from tests.conftest import PLAN, World, make_data, make_world, pair_world
from tests.forge import refused

TASK = """
import numpy as np
import torch
from torch import nn
from torch.utils.data import TensorDataset
from alx.tasks import supervised


def make_task(settings):
    data = np.load(settings.folder.parent / f"{settings.folder.name}.npz")
    x, y = torch.from_numpy(data["train_images"]), torch.from_numpy(data["train_labels"] == 0).float()
    weight = WEIGHT
    loss = nn.BCEWithLogitsLoss(reduction="none", pos_weight=weight)
    return supervised(lambda: nn.Sequential(nn.Linear(4, 1), nn.Flatten(0)), TensorDataset(x, y), loss, settings.optimiser)
"""
OF_THE_SITE = TASK.replace("WEIGHT", "(1 - y).sum() / y.sum()")
OF_THE_PLAN = TASK.replace("WEIGHT", 'torch.tensor(settings.plan.settings["pos_weight"])')


def world_of(tmp_path, task):

    (tmp_path / "disk").mkdir()
    (tmp_path / "task.py").write_text(task)
    plan = PLAN[: PLAN.index("[model]")] + "[settings]\npos_weight = 2.5\n"
    (tmp_path / "plan.toml").write_text(plan.replace("seed = 3", 'seed = 3\nloss = "binary_cross_entropy"'))
    make_data(tmp_path)
    for role in ("learner", "provider"):
        new.create(tmp_path / role, SiteFile(role=role, task=str(tmp_path / "task.py")), tmp_path / "plan.toml")
    return World(tmp_path)


def test_a_weight_that_each_site_takes_from_its_own_labels_is_refused_at_pairing(tmp_path, alx, capsys):
    world = world_of(tmp_path, OF_THE_SITE)
    for role in ("learner", "provider"):
        assert alx("check", "--site", world.folder(role)).code == 0
        assert alx("identity", world.disk / f"{role}.json", "--site", world.folder(role)).code == 0
    pair = ["pair", str(world.disk / "provider.json"), "--yes", "--site", str(world.folder("learner"))]
    refused(capsys, pair, PeerError, "the peer's loss is another one", "here and", hint="[settings]")


def test_a_weight_of_the_plan_is_the_same_on_both_sides_and_a_change_later_is_refused(tmp_path, alx, capsys):
    world = world_of(tmp_path, OF_THE_PLAN)
    for role in ("learner", "provider"):
        assert alx("identity", world.disk / f"{role}.json", "--site", world.folder(role)).code == 0
    for role, other in (("learner", "provider"), ("provider", "learner")):
        told = alx("pair", world.disk / f"{other}.json", "--yes", "--site", world.folder(role))
        assert "the same plan, model and loss" in told.out
    (world.folder("learner") / "task.py").write_text(TASK.replace("WEIGHT", "torch.tensor(9.0)"))
    train = ["train-local", "--site", str(world.folder("learner"))]
    refused(capsys, train, ConfigError, "the task's loss changed since pairing", hint="put it back")


def test_the_built_in_losses_are_compared_without_a_word_of_the_data(tmp_path):
    world = pair_world(make_world(tmp_path / "w"))
    told = [json.loads((world.disk / f"{role}.json").read_bytes())["objective"] for role in ("learner", "provider")]
    assert told[0] == told[1]
    assert list(told[0]) == ["classes 3"]
    assert len(told[0]["classes 3"]) == 8


OF_CLASSES = """
import torch
from torch import nn
from torch.utils.data import TensorDataset
from alx.tasks import supervised


def make_task(settings):
    x = torch.randn(20, 4, generator=torch.Generator().manual_seed(0))
    data = TensorDataset(x, (x[:, 0] > 0).long())
    return supervised(lambda: nn.Linear(4, 2), data, LOSS, settings.optimiser)
"""


def test_a_task_that_leaves_the_plans_class_weights_out_is_refused_at_pairing(tmp_path, alx, capsys):
    (tmp_path / "disk").mkdir()
    lines = "[objective]\nclass_weights = { 0 = 1.0, 1 = 5.0 }\n"
    (tmp_path / "plan.toml").write_text(PLAN[: PLAN.index("[model]")] + lines)
    for role, loss in (("learner", "settings.loss"), ("provider", 'nn.CrossEntropyLoss(reduction="none")')):
        (tmp_path / "task.py").write_text(OF_CLASSES.replace("LOSS", loss))
        new.create(tmp_path / role, SiteFile(role=role, task=str(tmp_path / "task.py")), tmp_path / "plan.toml")
        assert alx("identity", tmp_path / "disk" / f"{role}.json", "--site", tmp_path / role).code == 0
    pair = ["pair", str(tmp_path / "disk" / "provider.json"), "--yes", "--site", str(tmp_path / "learner")]
    refused(capsys, pair, PeerError, "the peer's loss is another one", "here and", hint="[settings]")


@pytest.mark.parametrize(
    ("loss", "outputs", "targets", "kinds"),
    [
        (losses("cross_entropy"), torch.zeros(1, 5), torch.zeros(1, dtype=torch.long), {"classes"}),
        (losses("cross_entropy"), torch.zeros(1, 5, 4, 4), torch.zeros(1, 4, 4, dtype=torch.long), {"classes"}),
        (losses("cross_entropy"), torch.zeros(1, 3000), torch.zeros(1, dtype=torch.long), {"classes"}),
        (losses("binary_cross_entropy"), torch.zeros(1, 14), torch.zeros(1, 14), {"labels", "numbers"}),
        (losses("binary_cross_entropy"), torch.zeros(1, 1), torch.zeros(1, dtype=torch.long), {"labels"}),
        (nn.BCELoss(reduction="none"), torch.zeros(1), torch.zeros(1), {"labels"}),
        (losses("mse"), torch.zeros(1), torch.zeros(1), {"labels", "numbers"}),
        (losses("mse"), torch.zeros(1, 5), torch.zeros(1, 3), set()),
    ],
)
def test_what_can_be_made_up_is(loss, outputs, targets, kinds):
    found = probe.values(loss, outputs, targets, 3)
    assert {name.split()[0] for name in found} == kinds
    assert found == probe.values(loss, outputs, targets, 3)
    assert all(8 <= len(each) <= 64 for each in found.values())
    assert all(x is not None for each in found.values() for x in each)


@pytest.mark.parametrize(
    ("one", "another"),
    [
        (
            nn.CrossEntropyLoss(reduction="none"),
            nn.CrossEntropyLoss(reduction="none", weight=torch.tensor([1.0, 1, 1, 1, 2])),
        ),
        (nn.CrossEntropyLoss(reduction="none"), nn.CrossEntropyLoss(reduction="none", label_smoothing=0.01)),
        (
            nn.CrossEntropyLoss(reduction="none"),
            lambda z, y: nn.functional.cross_entropy(z, y, reduction="none").clamp(max=9),
        ),
    ],
)
def test_a_loss_of_other_constants_has_other_values(one, another):
    outputs, targets = torch.zeros(1, 5), torch.zeros(1, dtype=torch.long)
    assert probe.values(one, outputs, targets, 0) != probe.values(another, outputs, targets, 0)


def test_making_it_up_draws_from_no_state_that_training_uses():
    task = supervised(
        lambda: nn.Linear(4, 3),
        TensorDataset(torch.zeros(6, 4), torch.zeros(6, dtype=torch.long)),
        nn.CrossEntropyLoss(reduction="none"),
        lambda p: torch.optim.SGD(p, lr=0.1),
    )
    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert task.objective is not None
    assert set(task.objective(0)) == {"classes 3"}
    assert torch.equal(torch.get_rng_state(), before)


def test_pixels_on_one_side_and_numbers_on_the_other_are_refused_at_pairing(tmp_path, alx, capsys):
    """The same pixels, stored in another type, would be divided by 255 on one side only."""
    plan = PLAN[: PLAN.index("[model]")] + '[model]\nsource = "alx.tasks.models:small_cnn"\narguments = { size = 8 }\n'
    (tmp_path / "plan.toml").write_text(plan)
    (tmp_path / "disk").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (20, 8, 8), np.uint8)
    for role, x in (("learner", pixels), ("provider", pixels[:, None].astype("float32"))):
        np.savez(tmp_path / f"{role}.npz", train_images=x, train_labels=np.arange(20) % 3)
        config = SiteFile(role=role, data=Data(kind="npz", path=f"../{role}.npz"))
        new.create(tmp_path / role, config, tmp_path / "plan.toml")
        assert alx("identity", tmp_path / "disk" / f"{role}.json", "--site", tmp_path / role).code == 0
    pair = ["pair", str(tmp_path / "disk" / "provider.json"), "--yes", "--site", str(tmp_path / "learner")]
    refused(capsys, pair, PeerError, "the peer's samples are numbers, and ours pixels", hint="uint8")


def test_samples_of_other_sizes_are_compared_all_the_same_and_a_loss_that_draws_or_remembers_is_not():
    plain = losses("cross_entropy")
    short, long = (probe.values(plain, torch.zeros(1, 5, n), torch.zeros(1, n, dtype=torch.long), 0) for n in (96, 128))
    assert short == long
    assert set(short) == {"classes 5x4"}

    class Remembers(nn.Module):
        def __init__(self):
            super().__init__()
            self.seen = 0

        def forward(self, outputs, targets):
            self.seen += 1
            return plain(outputs, targets) * self.seen

    outputs, targets = torch.zeros(1, 5), torch.zeros(1, dtype=torch.long)
    remembers = Remembers()
    assert probe.values(remembers, outputs, targets, 0) == probe.values(plain, outputs, targets, 0)
    assert remembers.seen == 0
    assert probe.values(lambda z, y: plain(z, y) * torch.rand(len(z)), outputs, targets, 0) == {}
