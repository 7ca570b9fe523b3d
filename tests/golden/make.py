"""Make the golden bundles of a format version, once, when it is released: never again for a version that is out.

    python -m tests.golden.make FOLDER      tests/golden/v1 to v4 were made so, each by the alx of its version

Two small sites play two rounds, from version 2 on with batch norm and both types of two bytes, from version 3 on with a
frozen layer. What is kept: the four bundles as they were carried, both public keys, and what a reader must find in them (the
bundle's digest, each candidate's label, loss and the SHA-256 of its state).
"""

import json
import shutil
import sys
import tempfile
from pathlib import Path

from alx import audit
from alx.bundle import keys
from tests.conftest import PLAN, World, make_world, pair_world

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
OWN = PLAN[: PLAN.index("[model]")] + '[model]\nsource = "net.py:build"\nfreeze = ["inner.*"]\n'


def found(bundle: Path, key: Path) -> dict[str, object]:
    """What a reader finds in a bundle, after it was verified whole."""
    report = audit.bundle(bundle, [keys.load_public(key)])
    candidates = [{"label": c.label, "loss": c.loss, "state": c.state} for c in report.manifest.candidates]
    return {"digest": report.digest, "signer": report.signer.fingerprint, "candidates": candidates}


def play(root: Path) -> World:
    """Two rounds; all four bundles are on the disk."""
    root.mkdir()
    (root / "net.py").write_text(NET)
    world = pair_world(make_world(root, OWN))
    for sender, receiver in (("learner", "provider"), ("provider", "learner")) * 2:
        assert world.take(receiver, world.turn(sender)) == 0
    return world


def main(folder: Path) -> None:
    """Play, and keep what was carried."""
    folder.mkdir()
    with tempfile.TemporaryDirectory() as root:
        world = play(Path(root) / "world")
        told = {}
        for role in ("learner", "provider"):
            shutil.copy(world.folder(role) / "public.pem", folder / f"{role}.pem")
        for bundle in sorted(world.disk.glob("alx-*/")):
            shutil.copytree(bundle, folder / bundle.name)
            told[bundle.name] = found(bundle, folder / f"{bundle.name.rsplit('-', 1)[1]}.pem")
    (folder / "found.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
