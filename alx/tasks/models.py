"""Models: by the plan's `source`, two small ones of alx's own, and the paper's two with stems for small images.

Knows how to find a function that returns an nn.Module; knows no data.
"""

import inspect
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from alx.errors import ConfigError, escape
from alx.plan import ModelSource
from alx.tasks import code
from alx.tasks.fresh import refuse_model
from alx.tasks.torchvision_cpu import torchvision

_PRETRAINED = ("weights", "pretrained")  # what torchvision's arguments that fetch weights begin with


def find(source: ModelSource, folder: Path) -> Callable[[], nn.Module]:
    """The function that makes the plan's model.

    Args:
        source: the plan's [model].
        folder: where `file.py` lies.

    Raises:
        ConfigError: no such model, or, when called, its arguments do not fit.
    """
    where, name = source.source.split(":", 1)
    make: Any
    if where == "torchvision":
        make = _of_torchvision(name, source.arguments)
    else:
        module = code.file(folder / where) if where.endswith(".py") else code.imported(where)
        make = getattr(module, name, None)
        if not callable(make):
            raise ConfigError(f"there is no '{escape(name)}' in '{escape(where)}'", "look at [model] source in the plan")
        refuse_model(make, f"'{escape(source.source)}'")

    def new() -> nn.Module:
        model = code.call(f"'{source.source}' with the plan's arguments", make, **source.arguments)
        if not isinstance(model, nn.Module):
            raise ConfigError(f"'{source.source}' returned a {type(model).__name__}, expected an nn.Module")
        return model

    return new


def _of_torchvision(name: str, arguments: dict[str, Any]) -> Callable[..., Any]:
    package = torchvision()
    try:
        builder = package.models.get_model_builder(name)
    except ValueError as error:
        raise ConfigError(f"torchvision has no model '{escape(name)}'", "see torchvision.models.list_models()") from error
    for argument in arguments:
        if argument.startswith(_PRETRAINED):
            raise ConfigError(
                f"[model] arguments has '{escape(argument)}', and weights are never fetched",
                "bring them as a file: alx init --init FILE.safetensors; docs/tasks.md",
            )
    # Some builders fetch a backbone unless told not to: fcn_resnet50 with `weights=None` alone opens a connection.
    fetched = {p: None for p in inspect.signature(builder).parameters if p.startswith(_PRETRAINED)}
    return lambda **given: builder(**fetched, **given)


class _SmallCNN(nn.Module):
    """Two 3x3 convolutions, a pool, and two linear layers."""

    def __init__(self, channels: int, size: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
        )
        self.head = nn.Sequential(nn.Linear(32 * (size // 2) ** 2, 64), nn.ReLU(), nn.Linear(64, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))  # type: ignore[no-any-return]


def small_cnn(channels: int = 1, size: int = 8, classes: int = 10) -> nn.Module:
    """A small network for small square images: [n, channels, size, size] -> [n, classes]."""
    return _SmallCNN(channels, size, classes)


def mlp(inputs: int, classes: int, hidden: int = 64) -> nn.Module:
    """Three linear layers for rows of a table: [n, inputs] -> [n, classes]."""
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, classes)
    )


def alexnet(channels: int = 3, classes: int = 10, width: int = 64, hidden: int = 4096) -> nn.Module:
    """AlexNet for images of 32 x 32: [n, channels, 32, 32] -> [n, classes].

    Torchvision's AlexNet (Krizhevsky, 2014: "One weird trick") but for the stem: a 3 x 3 convolution of stride 2 in place
    of 11 x 11 of stride 4, and pools of 2 x 2, so that 32 x 32 inputs end at 2 x 2. 23.3 million parameters.

    Args:
        channels: of an image.
        classes: outputs.
        width: channels of the first layer; the others are 3, 6, 4 and 4 times as many, as in AlexNet.
        hidden: units of the two linear layers.
    """
    a, b, c, d = width, 3 * width, 6 * width, 4 * width
    features = [
        nn.Conv2d(channels, a, 3, stride=2, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(a, b, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(b, c, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(c, d, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(d, d, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
    ]
    classifier = [
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(4 * d, hidden),
        nn.ReLU(inplace=True),
        nn.Dropout(),
        nn.Linear(hidden, hidden),
        nn.ReLU(inplace=True),
        nn.Linear(hidden, classes),
    ]
    return nn.Sequential(*features, *classifier)


def resnet(channels: int = 3, classes: int = 10, widths: Sequence[int] = (64, 128, 256, 512), blocks: int = 2) -> nn.Module:
    """A residual network for images of 32 x 32: [n, channels, height, width] -> [n, classes]; ResNet-18 as it stands.

    Torchvision's blocks, with the stem of He et al. (2016), section 4.2: one 3 x 3 convolution of stride 1 and no pool
    in place of 7 x 7 of stride 2 and a pool. 11.2 million parameters.

    Args:
        channels: of an image.
        classes: outputs.
        widths: channels of each stage; each but the first halves height and width.
        blocks: two-layer blocks in each stage.
    """
    block = torchvision().models.resnet.BasicBlock
    layers: list[nn.Module] = [
        nn.Conv2d(channels, widths[0], 3, padding=1, bias=False),
        nn.BatchNorm2d(widths[0]),
        nn.ReLU(inplace=True),
    ]
    before = widths[0]
    for stage, width in enumerate(widths):
        for number in range(blocks):
            stride = 2 if stage and not number else 1
            narrow = stride != 1 or before != width
            shortcut = (
                nn.Sequential(nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width)) if narrow else None
            )
            layers.append(block(before, width, stride, shortcut))
            before = width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes)]
    for layer in nn.Sequential(*layers).modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")  # as torchvision's ResNet
    return nn.Sequential(*layers)
