"""A site's own data in memory, as (inputs, targets): .npz, image folders, CSV, torchvision's sets.

Knows file formats and the plan's account of what an input is; knows no model. Nothing read here leaves the site.
"""

import csv
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from alx.errors import ConfigError, escape
from alx.plan import Columns, Images, Plan
from alx.tasks.torchvision_cpu import torchvision

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm")


class Source(Protocol):
    """The [data] of site.toml; `alx.site.site.Data` is one."""

    @property
    def kind(self) -> str:
        """How it is stored."""
        ...

    @property
    def path(self) -> str:
        """File or folder, relative to the site's folder."""
        ...

    @property
    def held_out(self) -> str | None:
        """What is kept apart."""
        ...


class NormalisedImages(Dataset[tuple[Tensor, Tensor]]):
    """Images kept as bytes, turned into floats batch by batch: a quarter of the memory.

    Args:
        images: uint8 [n, channels, height, width].
        targets: int64 [n].
        mean, std: one a channel, for values between 0 and 1.
    """

    def __init__(self, images: Tensor, targets: Tensor, mean: list[float], std: list[float]) -> None:
        channels = images.shape[1]
        self.images, self.targets = images, targets
        self._mean = torch.tensor(mean or [0.0] * channels).reshape(1, channels, 1, 1)
        self._std = torch.tensor(std or [1.0] * channels).reshape(1, channels, 1, 1)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        inputs, targets = self.take(torch.tensor([index]))
        return inputs[0], targets[0]

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """(float32 [n, channels, height, width], int64 [n]) at `indices`."""
        return (self.images[indices].to(torch.float32) / 255 - self._mean) / self._std, self.targets[indices]


def load(source: Source, folder: Path, plan: Plan) -> tuple[Dataset[Any], Dataset[Any] | None]:
    """Read a site's data.

    Args:
        source: the [data] of site.toml.
        folder: the site's folder; relative paths start there.
        plan: says how an input is made ([images] or [columns]).

    Returns:
        The site's own samples, and those kept apart or None.

    Raises:
        ConfigError: says which file, row or column cannot be used, and why.
    """
    path = folder / source.path
    held_out = None if source.held_out is None else folder / source.held_out
    if source.kind == "csv":
        if plan.columns is None:
            raise ConfigError("a CSV needs [columns] in the plan, the same on both sides")
        return _csv(path, plan.columns), None if held_out is None else _csv(held_out, plan.columns)
    images = plan.images or Images(channels=1 if source.kind == "mnist" else 3)
    if source.kind == "npz":
        own = _npz(path, "train", images if plan.images else None)
        if own is None:
            raise ConfigError(f"'{source.path}' has no array train_images", "the arrays are named as in MedMNIST")
        return own, _npz(held_out or path, "test", images if plan.images else None)
    if source.kind == "images":
        return _folder(path, images), None if held_out is None else _folder(held_out, images)
    return _torchvision(source.kind, path, images, train=True), _torchvision(source.kind, path, images, train=False)


def _exists(path: Path, is_there: Callable[[Path], bool]) -> None:
    if not is_there(path):
        raise ConfigError(f"there is no data at '{escape(str(path), 200)}'", "look at [data] path in site.toml")


def _npz(path: Path, part: str, images: Images | None) -> Dataset[Any] | None:
    _exists(path, Path.is_file)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if f"{part}_images" not in arrays:
                return None
            x, y = arrays[f"{part}_images"], arrays[f"{part}_labels"]
    except (OSError, ValueError, KeyError) as error:
        raise ConfigError(f"cannot read '{path.name}': {escape(str(error))}", "arrays train_images, train_labels") from error
    if len(x) != len(y) or not len(x):
        raise ConfigError(f"'{path.name}' has {len(x)} {part}_images and {len(y)} {part}_labels")
    targets = torch.from_numpy(np.ascontiguousarray(y.reshape(len(y), -1).squeeze(1) if y.size == len(y) else y))
    targets = targets.to(torch.float32 if targets.is_floating_point() else torch.int64)
    if x.dtype != np.uint8:  # not images: numbers as they are
        _finite(x, path, f"{part}_images")
        return TensorDataset(torch.from_numpy(np.ascontiguousarray(x)).to(torch.float32), targets)
    pixels = torch.from_numpy(np.ascontiguousarray(x))
    pixels = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()  # noqa: PLR2004 - n, h, w
    return _images(pixels, targets, images or Images(channels=1 if pixels.shape[1] == 1 else 3), path)


def _finite(x: np.ndarray[Any, Any], path: Path, what: str) -> None:
    if np.issubdtype(x.dtype, np.floating) and not np.isfinite(x).all():
        raise ConfigError(f"'{path.name}': {what} holds NaN or infinity", "clean the data first")


def _images(pixels: Tensor, targets: Tensor, images: Images, path: Path) -> Dataset[Any]:
    if pixels.shape[1] != images.channels:
        raise ConfigError(
            f"'{path.name}' has images of {pixels.shape[1]} channels, expected {images.channels}",
            "look at [images] channels in the plan",
        )
    if images.size is not None and tuple(pixels.shape[2:]) != images.size:
        resize = torchvision().transforms.v2.functional.resize
        pixels = resize(pixels, list(images.size), antialias=True)
    return NormalisedImages(pixels, targets, images.mean, images.std)


def _folder(path: Path, images: Images) -> Dataset[Any]:
    _exists(path, Path.is_dir)
    if images.size is None or not images.classes:
        raise ConfigError("an image folder needs [images] size and classes in the plan, the same on both sides")
    from PIL import Image, UnidentifiedImageError  # noqa: PLC0415 - torchvision's own dependency, for this kind only

    unknown = sorted(p.name for p in path.iterdir() if p.is_dir() and p.name not in images.classes)
    if unknown:
        raise ConfigError(f"'{path.name}' has a folder '{escape(unknown[0])}', which is no class of the plan")
    pixels, targets = [], []
    for label, name in enumerate(images.classes):
        for file in sorted((path / name).glob("*")) if (path / name).is_dir() else ():
            if file.suffix.lower() not in IMAGE_ENDINGS:
                continue
            try:
                with Image.open(file) as image:
                    shown = image.convert("L" if images.channels == 1 else "RGB")
                    shown = shown.resize((images.size[1], images.size[0]), Image.Resampling.BILINEAR)
            except (OSError, UnidentifiedImageError) as error:
                raise ConfigError(f"'{name}/{escape(file.name)}' cannot be read as an image") from error
            pixels.append(np.asarray(shown).reshape(*images.size, images.channels))
            targets.append(label)
    if not pixels:
        raise ConfigError(f"'{escape(str(path), 200)}' holds no images", f"one folder a class: {', '.join(images.classes)}")
    stacked = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).contiguous()
    return NormalisedImages(stacked, torch.tensor(targets), images.mean, images.std)


def _csv(path: Path, columns: Columns) -> Dataset[Any]:
    _exists(path, Path.is_file)
    rows, targets = [], []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, strict=True)
            named = reader.fieldnames or []
            for wanted in (columns.label, *columns.numeric, *columns.categorical):
                if wanted not in named:
                    raise ConfigError(f"'{path.name}' has no column '{escape(wanted)}'", f"it has {', '.join(named)}")
            for row in reader:
                where = f"'{path.name}' line {reader.line_num}"
                rows.append(_row(row, columns, where))
                targets.append(_label(row[columns.label], columns, where))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"cannot read '{path.name}': {escape(str(error))}", "a CSV in UTF-8 with a header") from error
    if not rows:
        raise ConfigError(f"'{path.name}' has no rows")
    kind = torch.int64 if columns.classes else torch.float32
    return TensorDataset(torch.tensor(rows, dtype=torch.float32), torch.tensor(targets, dtype=kind))


def _number(text: str, where: str, name: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise ConfigError(f"{where}: '{escape(text)}' in column '{escape(name)}' is no number") from error
    if not math.isfinite(value):
        raise ConfigError(f"{where}: '{escape(text)}' in column '{escape(name)}' is not finite")
    return value


def _row(row: dict[str, str | None], columns: Columns, where: str) -> list[float]:
    out: list[float] = []
    for name, n in columns.numeric.items():
        text = (row[name] or "").strip()
        if not text and n.missing == "refuse":
            raise ConfigError(f"{where}: column '{escape(name)}' is empty", "fill it, or set missing in the plan")
        value = _number(text, where, name) if text else float(n.missing)
        out.append((value - n.mean) / n.std)
    for name, c in columns.categorical.items():
        text = (row[name] or "").strip()
        if not text and c.missing == "refuse":
            raise ConfigError(f"{where}: column '{escape(name)}' is empty", "fill it, or set missing in the plan")
        if text and text not in c.values:
            raise ConfigError(f"{where}: '{escape(text)}' is no value of column '{escape(name)}' in the plan")
        out += [float(text == value) for value in c.values]
    return out


def _label(text: str | None, columns: Columns, where: str) -> float:
    label = (text or "").strip()
    if not columns.classes:
        return _number(label, where, columns.label)
    if label not in columns.classes:
        raise ConfigError(f"{where}: '{escape(label)}' is no class of the plan", f"classes: {', '.join(columns.classes)}")
    return columns.classes.index(label)


def _torchvision(kind: str, path: Path, images: Images, *, train: bool) -> Dataset[Any]:
    sets = torchvision().datasets
    get = {"cifar10": "CIFAR10", "svhn": "SVHN", "mnist": "MNIST"}[kind]
    try:
        if kind == "svhn":
            held = sets.SVHN(str(path), split="train" if train else "test", download=False)
            pixels, targets = torch.from_numpy(held.data), torch.from_numpy(held.labels)
        else:
            held = getattr(sets, get)(str(path), train=train, download=False)
            pixels, targets = torch.as_tensor(held.data), torch.as_tensor(held.targets)
            pixels = pixels.unsqueeze(1) if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2).contiguous()  # noqa: PLR2004
    except RuntimeError as error:
        raise ConfigError(
            f"{get} is not at '{escape(str(path), 200)}': {escape(str(error), 120)}",
            f"on a machine with a network: torchvision.datasets.{get}('{path.name}', download=True); carry the folder here",
        ) from error
    return _images(pixels, targets.to(torch.int64), images, path)
