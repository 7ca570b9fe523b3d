"""CIFAR-10, SVHN and MNIST from files that torchvision keeps; downloads nothing.

Knows torchvision's data sets and their places; CIFAR-10's files are pickles, and torchvision opens them only where
their MD5 is the published one.
"""

from pathlib import Path

import torch

from alx import decoder
from alx.errors import ConfigError, escape
from alx.plan import Images, Plan
from alx.tasks.data.images import NormalisedImages, of_pixels
from alx.tasks.data.samples import Held
from alx.tasks.torchvision_cpu import torchvision

KINDS = {"cifar10": "CIFAR10", "svhn": "SVHN", "mnist": "MNIST"}
"""By the `DataKind` of site.toml: the class of torchvision.datasets."""
_LIES_AT = {
    "cifar10": "cifar-10-batches-py/data_batch_1 and the others",
    "svhn": "train_32x32.mat and test_32x32.mat",
    "mnist": "MNIST/raw/train-images-idx3-ubyte and the others, unpacked",
}
_GREY = 3  # dimensions of [n, h, w]


def load(kind: str, path: Path, kept: Path | None, plan: Plan) -> tuple[Held, Held | None]:
    """One of torchvision's sets, and its own test set.

    Raises:
        ConfigError: as `read`; or others are named as kept apart.
    """
    if kept is not None:
        raise ConfigError(f"{kind} has a test set of its own, and site.toml names held_out", "remove held_out")
    wanted = plan.images or Images(channels=1 if kind == "mnist" else 3)
    return read(kind, path, wanted, train=True), read(kind, path, wanted, train=False)


def read(kind: str, path: Path, images: Images, *, train: bool) -> NormalisedImages:
    """One of torchvision's sets.

    Args:
        kind: cifar10, svhn or mnist.
        path: torchvision's `root`.
        images: the plan's account of an input.
        train: the training part, or else the test part.

    Raises:
        ConfigError: the files are not there or cannot be read; the hint says how to get them.
    """
    name = KINDS[kind]
    part = "train" if train else "test"
    sets = torchvision().datasets
    each = ', split="train" and split="test"' if kind == "svhn" else ""
    told = f"cannot read {name} ({part}) at '{escape(str(path), 200)}'"
    hint = (
        f"expected {_LIES_AT[kind]}; on a machine with a network: "
        f"torchvision.datasets.{name}(FOLDER{each}, download=True); carry FOLDER here"
    )
    with decoder.reading(told, hint):
        if kind == "svhn":
            held = sets.SVHN(str(path), split=part, download=False)
            pixels, targets = torch.from_numpy(held.data), torch.from_numpy(held.labels)
        else:
            held = getattr(sets, name)(str(path), train=train, download=False)
            pixels, targets = torch.as_tensor(held.data), torch.as_tensor(held.targets)
            pixels = pixels.unsqueeze(1) if pixels.ndim == _GREY else pixels.permute(0, 3, 1, 2).contiguous()
        targets = targets.to(torch.int64)
        if pixels.dtype != torch.uint8 or targets.ndim != 1 or len(pixels) != len(targets) or 0 in pixels.shape:
            got = f"images {pixels.dtype} {list(pixels.shape)} and labels {list(targets.shape)}"
            raise ConfigError(f"{told}: it holds {got}, expected bytes, and one label an image", hint)
    return of_pixels(pixels, targets, images, f"{name} ({part})")
