"""A real trajectory to pack: torchvision's ResNet-18, ten classes, snapshots 20 steps of Adam apart.

Made once, and kept outside the repository (`ALX_BENCH`, or a folder of the system's for temporary files).
"""

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from alx.bundle.layout import Layout
from alx.learning import state
from alx.learning.trajectory import seed_all
from alx.tasks.torchvision_cpu import torchvision
from alx.turns.bridge import layout_of, to_flat

CIFAR = Path(os.environ.get("DATA", "data")) / "cifar10.npz"
CACHE = Path(os.environ.get("ALX_BENCH", Path(tempfile.gettempdir()) / "alx-bench"))
PERIOD, BATCH, LR, IMAGES = 20, 64, 1e-3, 20_000
SIDE = 64  # at 32 the last stage is 1 x 1, and most of its weights stand still


def _images() -> tuple[torch.Tensor, torch.Tensor, str]:
    if CIFAR.is_file():
        with np.load(CIFAR) as found:
            images, labels = found["train_images"][:IMAGES], found["train_labels"][:IMAGES]
        return torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels).to(torch.int64).reshape(-1), "CIFAR-10"
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (2048, 3, 32, 32), dtype=torch.uint8, generator=generator)
    return pixels, torch.randint(10, (2048,), generator=generator), "random pixels"


def model() -> nn.Module:
    """The network, of seed 0."""
    seed_all(0)
    return torchvision().models.resnet18(num_classes=10)


def trajectory(snapshots: int) -> tuple[list[bytes], Layout, str]:
    """The flat states in order, how they lie, and what the network saw.

    Args:
        snapshots: how many, the start counted.
    """
    net = model()
    layout = layout_of(state.copied(net.state_dict()))
    images, labels, what = _images()
    folder = CACHE / hashlib.sha256(f"{what} {PERIOD} {BATCH} {LR} {SIDE} {layout.fingerprint}".encode()).hexdigest()[:16]
    files = [folder / f"{i}.state" for i in range(snapshots)]
    if not all(f.is_file() for f in files):
        folder.mkdir(parents=True, exist_ok=True)
        optimiser = torch.optim.Adam(net.parameters(), lr=LR)
        files[0].write_bytes(to_flat(state.copied(net.state_dict()), layout))
        for step in range(1, (snapshots - 1) * PERIOD + 1):
            chosen = torch.randint(len(images), (BATCH,))
            optimiser.zero_grad()
            shown = nn.functional.interpolate(images[chosen].to(torch.float32) / 255, SIDE)
            nn.functional.cross_entropy(net(shown), labels[chosen]).backward()
            optimiser.step()
            if step % PERIOD == 0:
                files[step // PERIOD].write_bytes(to_flat(state.copied(net.state_dict()), layout))
    return [f.read_bytes() for f in files], layout, what
