"""Blends made anew by their receiver are, to the bit, those that were sent; docs/format.md says how, without torch."""

import pytest

from alx.steps import incoming
from alx.tasks import load
from alx.turns import recipes
from tests.conftest import PLAN, make_world, pair_world

NET = """\
from torch import nn
import torch


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner, self.norm, self.outer = nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)
        self.register_buffer("fine", torch.randn(8).half())
        self.coarse = nn.Parameter(torch.randn(8).bfloat16())

    def forward(self, x):
        return self.outer(torch.relu(self.norm(self.inner(x))) * (1 + self.fine.float() * self.coarse.float()))


def build():
    return Net()
"""
OWN = PLAN[: PLAN.index("[model]")] + '[model]\nsource = "net.py:build"\n'


@pytest.mark.parametrize("rounding", ["none", "bfloat16"])
def test_every_blend_of_an_exchange_is_what_its_recipe_says(tmp_path, rounding):
    """Batch-norm statistics, integer buffers, half precision and rounding included; momentum from round 2 on."""
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "net.py").write_text(NET)
    plan = OWN.replace("rounds = 2", f'rounds = 3\nrounding = "{rounding}"').replace("seed = 3", "seed = 4")
    world = pair_world(make_world(tmp_path / "w", plan))
    checked = set()
    for sender, receiver in [("learner", "provider"), ("provider", "learner")] * 3:
        bundle, now = world.turn(sender), world.state(receiver)
        with incoming.verified(now, [bundle]) as staged:
            task = load.task(now.site.folder, now.site.config, now.site.plan)
            for i, c in enumerate(staged.manifest.candidates):
                recipes.check(now, staged, task, i)
                checked |= set() if c.blend is None else {c.label}
        assert world.take(receiver, bundle) == 0
    assert any(" m" in label for label in checked)
    assert len(checked) >= 4
