"""Two sites whose model is frozen but for its last layer, which is solved for: each has two of four classes."""

from pathlib import Path

import numpy as np

from alx.site.site_file import Data, SiteFile
from alx.steps import new

NET = """\
from torch import nn


class Net(nn.Module):
    def __init__(self, bias=True):
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, 24), nn.ReLU())
        self.fc = nn.Linear(24, 4, bias=bias)

    def forward(self, x):
        return self.fc(self.backbone(x))


class Double(Net):
    def forward(self, x):
        return 2 * super().forward(x)


class Odd(Net):
    def forward(self, x):
        return self.fc(self.backbone(x).log())


def build(bias=True):
    return Net(bias)


def double():
    return Double()


def odd():
    return Odd()
"""
PLAN = """\
name = "tiny"
rounds = 2
round_steps = 8
batch_size = 8
seed = 3

[optimiser]
name = "adam"
lr = 0.001

[model]
source = "net.py:build"
freeze = ["backbone.*"]
ridge = 0.5
"""
COUNT = 30


def make(root: Path, plan: str = PLAN) -> Path:
    """Two sites, not yet paired; their folder."""
    (root / "disk").mkdir(parents=True)
    (root / "plan.toml").write_text(plan)
    (root / "net.py").write_text(NET)
    rng = np.random.default_rng(0)
    centres = 4 * np.eye(4)
    for role, classes in (("learner", (0, 1)), ("provider", (2, 3))):
        y = np.repeat(classes, COUNT)
        x = (centres[y] + rng.normal(size=(len(y), 4))).astype(np.float32)
        np.savez(root / f"{role}.npz", train_images=x, train_labels=y)
        new.create(
            root / role, SiteFile(role=role, data=Data(kind="npz", path=f"../{role}.npz"), device="cpu"), root / "plan.toml"
        )
    return root
