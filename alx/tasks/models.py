"""Models: by the plan's `source`, and two small ones of alx's own.

Knows how to find a function that returns an nn.Module; knows no data.
"""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from alx.errors import ConfigError, escape
from alx.plan import ModelSource
from alx.tasks import code
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
                "bring them as a file: alx init --init FILE.safetensors, on the learner's side",
            )
    # Some builders fetch a backbone unless told not to: fcn_resnet50 with `weights=None` alone opens a connection.
    fetched = {p: None for p in inspect.signature(builder).parameters if p.startswith(_PRETRAINED)}
    return lambda **given: builder(**fetched, **given)


class _SmallCNN(nn.Module):
    """Two 3x3 convolutions, a pool, and two linear layers."""

    def __init__(self, channels: int, size: int, classes: int) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        )  # fmt: skip
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
