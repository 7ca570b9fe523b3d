"""Parts of a model that stay at home: each side has its own, none of it travels, and the global loss still never rises."""

import itertools

import pytest

from alx import turns
from alx.learning import measure
from alx.site.site_file import Data, SiteFile
from alx.steps import new
from alx.tasks import load
from tests.conftest import PLAN, World, make_data, pair_world

NET = """
from collections import OrderedDict

from torch import nn


def net():
    return nn.Sequential(OrderedDict(
        bn0=nn.BatchNorm1d(4), lin=nn.Linear(4, 8), bn1=nn.BatchNorm1d(8), act=nn.ReLU(), head=nn.Linear(8, 3)
    ))
"""
MODEL = PLAN[PLAN.index("[model]") :]
BN = {f"bn{i}.{n}" for i in (0, 1) for n in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}
HEAD = {"head.weight", "head.bias"}
SHARED = {"lin.weight", "lin.bias"}
BOTH = '["bn*", "head.*"]'


def plan_of(personal=BOTH, *lines, seed=3):
    text = PLAN.replace(MODEL, "").replace("seed = 3", "\n".join([f"seed = {seed}", *lines]))
    return f'{text}[model]\nsource = "net.py:net"\npersonal = {personal}\n'


def world_of(root, plan):
    """Two paired sites whose model has batch norm, as other data: the provider's numbers are larger."""
    (root / "disk").mkdir(parents=True)
    (root / "plan.toml").write_text(plan)
    (root / "net.py").write_text(NET)
    make_data(root)
    for role in ("learner", "provider"):
        new.create(root / role, SiteFile(role=role, data=Data(kind="npz", path=f"../{role}.npz")), root / "plan.toml")
    return pair_world(World(root))


def rounds(world, number=2):
    for _ in range(number):
        assert world.take("provider", world.turn("learner")) == 0
        assert world.take("learner", world.turn("provider")) == 0


def losses(world, found):
    """The own loss of each side at its own model, measured by hand."""
    out = {}
    for role, each in found.items():
        site = world.site(role)
        task = load.task(site.folder, site.config, site.plan)
        out[role] = measure.measure(task, task.new_model(), each.tensors).total
    return out


@pytest.fixture(scope="module")
def closed(tmp_path_factory):
    """An exchange of two rounds with its closing."""
    world = world_of(tmp_path_factory.mktemp("personal") / "w", plan_of())
    rounds(world)
    assert world.take("provider", world.close()) == 0
    return world


@pytest.mark.parametrize(
    ("personal", "lines"),
    [('["bn*"]', ()), (BOTH, ('candidates = "trajectory"',)), ('["lin*", "bn1.running_*"]', ('rounding = "bfloat16"',))],
)
def test_the_global_loss_is_the_sum_of_each_sides_own_at_its_own_model_and_never_rises(personal, lines, tmp_path):
    world = world_of(tmp_path / "w", plan_of(personal, *lines, seed=len(personal)))
    rounds(world)
    assert world.take("provider", world.close()) == 0
    both = {role: world.state(role) for role in ("provider", "learner")}
    selected = [s for of_round in zip(*(now.position.selected for now in both.values()), strict=True) for s in of_round]
    way = [s.global_loss for s in selected]
    assert all(b <= a * (1 + 1e-9) for a, b in itertools.pairwise(way))
    found = {role: turns.best(now) for role, now in both.items()}
    assert found["learner"].state == found["provider"].state
    assert sum(losses(world, found).values()) == pytest.approx(way[-1], rel=1e-6)
    for s in selected:
        assert s.flags.start_loss_true in (True, None)
        assert s.flags.loss_rose in (False, None)
