"""Models: by the plan's `source`, and two small ones of alx's own.

Knows how to find a function that returns an nn.Module; knows no data.
"""

import importlib
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from alx.errors import ConfigError, escape
from alx.plan import ModelSource
from alx.tasks.torchvision_cpu import torchvision


def find(source: ModelSource, folder: Path) -> Callable[[], nn.Module]:
    """The function that makes the plan's model.

    Args:
        source: the plan's [model].
        folder: where `file.py` lies.

    Raises:
        ConfigError: no such model, or its arguments do not fit.
    """
    where, name = source.source.split(":", 1)
    make: Any
    if where == "torchvision":
        make = _of_torchvision(name)
    else:
        module = module_of(folder / where) if where.endswith(".py") else _imported(where)
        make = getattr(module, name, None)
        if not callable(make):
            raise ConfigError(f"there is no '{escape(name)}' in '{escape(where)}'", "look at [model] source in the plan")

    def new() -> nn.Module:
        try:
            model = make(**source.arguments)
        except TypeError as error:
            raise ConfigError(f"'{source.source}' does not take the plan's arguments: {error}") from error
        if not isinstance(model, nn.Module):
            raise ConfigError(f"'{source.source}' returned a {type(model).__name__}, expected an nn.Module")
        return model

    return new


def _of_torchvision(name: str) -> Callable[..., Any]:
    package = torchvision()
    try:
        builder = package.models.get_model_builder(name)
    except ValueError as error:
        raise ConfigError(f"torchvision has no model '{escape(name)}'", "see torchvision.models.list_models()") from error

    def make(**arguments: Any) -> Any:
        return builder(weights=None, **arguments)  # weights are never fetched: there is no network

    return make


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ConfigError(f"cannot import '{escape(name)}': {error}", "is it installed on this machine?") from error


def module_of(path: Path) -> ModuleType:
    """Run a user's own source file as a module; it may import what lies beside it.

    Raises:
        ConfigError: it is not there, or cannot be run.
    """
    spec = importlib.util.spec_from_file_location(f"alx_user_{path.stem}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise ConfigError(f"there is no file '{escape(str(path), 200)}'")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError, NameError) as error:
        raise ConfigError(f"'{path.name}' cannot be run: {error}") from error
    finally:
        sys.path.remove(str(path.parent))
    return module


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
