"""Images as a model's input: kept as bytes, resized once, normalised batch by batch.

Knows pixels and the plan's [images]; knows no model.
"""

from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from alx.errors import ConfigError, escape
from alx.plan import Images
from alx.tasks.data.samples import Inputs
from alx.tasks.torchvision_cpu import torchvision

CHUNK = 1024  # images resized at once: torchvision widens bytes to floats on the way


def require_classes(images: Images, what: str) -> None:
    """Pictures that lie by their classes need the plan to say which there are, and one size for all.

    Args:
        images: the plan's.
        what: needs it.

    Raises:
        ConfigError: it does not.
    """
    if images.size is None or not images.classes:
        raise ConfigError(
            f"{what} needs [images] size and classes in the plan, the same on both sides", "docs/plan.md describes them"
        )


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
        return self.images.index_select(0, indices).contiguous(), self.targets.index_select(0, indices)

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
