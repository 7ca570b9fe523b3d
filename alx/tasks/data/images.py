"""Images as a model's input: kept as bytes, resized once, normalised batch by batch; and folders of image files.

Knows pixels and the plan's [images]; knows no model.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from alx.errors import ConfigError, escape
from alx.plan import Images, Plan
from alx.tasks.data import alike, picture, place
from alx.tasks.data.samples import Held, Inputs
from alx.tasks.torchvision_cpu import torchvision

DROPPINGS = ("thumbs.db", "desktop.ini", "__macosx")  # what file browsers and archivers leave; and all that begins with .
CHUNK = 1024  # images resized at once: torchvision widens bytes to floats on the way


class NormalisedImages(Dataset[tuple[Tensor, Tensor]]):
    """Images kept as bytes, turned into floats batch by batch: a quarter of the memory.

    Args:
        images: uint8 [n, channels, height, width].
        targets: [n] or [n, …].
        mean, std: one a channel, for values between 0 and 1; empty for 0 and 1.
    """

    inputs: Inputs = "pixels"

    def __init__(self, images: Tensor, targets: Tensor, mean: list[float], std: list[float]) -> None:
        channels = images.shape[1]
        self.images, self.targets, self.home, self.nbytes = images, targets, images.device, images.nbytes + targets.nbytes
        self.mean, self.std = mean, std
        self._mean, self._std = (
            torch.tensor(numbers or [default] * channels, device=images.device).reshape(1, channels, 1, 1)
            for numbers, default in ((mean, 0.0), (std, 1.0))
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        inputs, targets = self.samples_at(torch.tensor([range(len(self))[index]], device=self.images.device))
        return inputs[0], targets[0]

    def to(self, device: torch.device) -> "NormalisedImages":
        """See `Samples`."""
        return NormalisedImages(self.images.to(device), self.targets.to(device), self.mean, self.std)

    def part(self, indices: Tensor) -> "NormalisedImages":
        """See `Held`."""
        return NormalisedImages(
            self.images.index_select(0, indices), self.targets.index_select(0, indices), self.mean, self.std
        )

    def samples_at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """(float32 [n, channels, height, width], targets [n, …]) at `indices`, which lie where the images do."""
        pixels, targets = self.pixels_at(indices)
        return self.inputs_of(pixels), targets

    def pixels_at(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """See `Pixels`."""
        return self.images.index_select(0, indices), self.targets.index_select(0, indices)

    def inputs_of(self, pixels: Tensor) -> Tensor:
        """See `Pixels`; they lie where the images do."""
        inputs = pixels.to(torch.float32)
        inputs.div_(255)  # in place: a batch is large
        if self.mean:
            inputs.sub_(self._mean)
        if self.std:
            inputs.div_(self._std)
        return inputs

    def arrays(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """See `Held`."""
        return self.images.permute(0, 2, 3, 1).numpy(), self.targets.numpy()


def of_pixels(pixels: Tensor, targets: Tensor, images: Images, name: str) -> NormalisedImages:
    """A data set of pixels already in memory; grey ones become colour, each channel the same, where the plan says so.

    Args:
        pixels: uint8 [n, channels, height, width].
        targets: [n] or [n, …].
        images: the plan's account of an input.
        name: of the file, for messages.

    Raises:
        ConfigError: colour where the plan says grey.
    """
    if pixels.shape[1] > images.channels:
        raise ConfigError(
            f"'{escape(name)}' has images of {pixels.shape[1]} channels, expected {images.channels}",
            "look at [images] channels in the plan: 1 for grey, 3 for colour",
        )
    if images.size is not None and tuple(pixels.shape[2:]) != images.size:
        resize = torchvision().transforms.v2.functional.resize
        pixels = torch.cat([resize(chunk, list(images.size), antialias=True) for chunk in torch.split(pixels, CHUNK)])
    shown = pixels.expand(-1, images.channels, -1, -1)  # in the memory of one channel
    return NormalisedImages(shown, targets, images.mean, images.std)


def load(path: Path, kept: Path | None, plan: Plan) -> tuple[Held, Held | None]:
    """The images of a folder, and those of the folder `kept`; see `folder`."""
    wanted = plan.images or Images()
    own = folder(place.checked(path, "folder"), wanted)
    return own, None if kept is None else folder(place.checked(kept, "folder"), wanted)


def folder(path: Path, images: Images) -> NormalisedImages:
    """A folder for each class, named as in the plan, with image files in it; a class may be missing or empty.

    The order is that of the plan's classes, then of the file names. What begins with a dot is passed over; anything
    else that is no image of a kind that is read is refused, so that nothing is left out unnoticed.

    Args:
        path: the folder of the classes' folders.
        images: size and classes are needed.

    Raises:
        ConfigError: names the file or the folder that cannot be used.
    """
    if images.size is None or not images.classes:
        raise ConfigError(
            "an image folder needs [images] size and classes in the plan, the same on both sides",
            "docs/plan.md describes them",
        )
    pixels, targets = [], []
    for label, file in _files(path, images):
        pixels.append(picture.read(file, images.channels, images.size))
        targets.append(label)
    stacked = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
    return NormalisedImages(stacked, torch.tensor(targets), images.mean, images.std)


def looks(path: Path, images: Images) -> list[picture.Look]:
    """How each image of a folder that `folder` takes is stored, by the heads of the files, in its order."""
    return [picture.look(file) for _, file in _files(path, images)]


def _files(path: Path, images: Images) -> list[tuple[int, Path]]:
    """Each image file with its label, at least one; see `folder`."""
    hint = f"one folder for each class: {escape(', '.join(images.classes), 200)}"
    found = {entry.name: entry for entry in _visible(path)}
    for name, entry in found.items():
        if name not in images.classes:
            what = "a folder" if entry.is_dir() else "a file"
            raise ConfigError(
                f"'{escape(path.resolve().name)}' has {what} '{escape(name)}', which is no class of the plan",
                alike.hint(name, images.classes, hint),
            )
        if not entry.is_dir():
            raise ConfigError(f"'{escape(path.name)}/{escape(name)}' is a file, expected the folder of a class", hint)
    files = [(i, file) for i, name in enumerate(images.classes) if name in found for file in _visible(found[name])]
    if not files:
        raise ConfigError(f"'{escape(str(path), 200)}' holds no images", hint)
    return files


def pictures(path: Path, images: Images) -> tuple[NormalisedImages, list[str]]:
    """The images of a folder and of the folders in it, whatever these are called, and the path of each within it.

    In the order of those paths; all targets are 0. What is passed over and what is refused is as in `folder`.

    Raises:
        ConfigError: as `folder`.
    """
    if images.size is None:
        raise ConfigError(
            "an image folder needs [images] size in the plan, the same on both sides", "docs/plan.md describes it"
        )
    found = [inner for each in _visible(path) for inner in (_visible(each) if each.is_dir() else (each,))]
    if not found:
        raise ConfigError(f"'{escape(str(path), 200)}' holds no images", "images, or folders of images")
    pixels = [picture.read(file, images.channels, images.size) for file in found]
    stacked = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
    targets = torch.zeros(len(found), dtype=torch.int64)
    # a name on Linux may be no text
    names = [os.fsencode(file.relative_to(path)).decode("utf-8", "backslashreplace") for file in found]
    return NormalisedImages(stacked, targets, images.mean, images.std), names


def _visible(path: Path) -> Iterator[Path]:
    try:
        entries = sorted(path.iterdir())
    except OSError as error:
        raise ConfigError(f"cannot read the folder '{escape(str(path), 200)}': {error.strerror}") from error
    return (e for e in entries if not e.name.startswith(".") and e.name.lower() not in DROPPINGS)
