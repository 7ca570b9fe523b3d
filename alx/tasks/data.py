"""A site's own data in memory, as (inputs, targets): which reader reads it, and that it is there.

Knows where a site's data are named; each format has a module of its own (`arrays`, `images`, `table`, `packaged`).
Nothing read here leaves the site.
"""

from pathlib import Path
from typing import Protocol

from torch import Tensor
from torch.utils.data import TensorDataset

from alx.errors import ConfigError, escape
from alx.plan import Images, Plan
from alx.tasks import arrays, images, packaged, table

Samples = TensorDataset | images.NormalisedImages
"""What every reader returns: indexed without a loop, targets at hand."""


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


def load(source: Source, folder: Path, plan: Plan) -> tuple[Samples, Samples | None]:
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
    kept = None if source.held_out is None else folder / source.held_out
    if source.kind == "csv":
        if plan.columns is None:
            raise ConfigError("a CSV needs [columns] in the plan, the same on both sides", "docs/plan.md describes them")
        own = table.read(_file(path), plan.columns)
        return own, None if kept is None else table.read(_file(kept), plan.columns)
    if source.kind == "npz":
        return _npz(path, kept, plan.images)
    if source.kind == "images":
        wanted = plan.images or Images()
        own_images = images.folder(_folder(path), wanted)
        return own_images, None if kept is None else images.folder(_folder(kept), wanted)
    if kept is not None:
        raise ConfigError(f"{source.kind} has a test set of its own, and site.toml names held_out", "remove held_out")
    wanted = plan.images or Images(channels=1 if source.kind == "mnist" else 3)
    return packaged.read(source.kind, path, wanted, train=True), packaged.read(source.kind, path, wanted, train=False)


def targets(samples: Samples) -> Tensor:
    """The targets of all samples: [n], or [n, …]."""
    return samples.targets if isinstance(samples, images.NormalisedImages) else samples.tensors[1]


def _npz(path: Path, kept: Path | None, wanted: Images | None) -> tuple[Samples, Samples | None]:
    own = arrays.read(_file(path), "train", wanted)
    if own is None:
        raise ConfigError(f"'{escape(path.name)}' has no array train_images", arrays.NAMES)
    if kept is None:
        return own, arrays.read(path, "test", wanted)
    held_out = arrays.read(_file(kept), "test", wanted)
    if held_out is None:
        raise ConfigError(f"'{escape(kept.name)}', named by held_out, has no array test_images", arrays.NAMES)
    return own, held_out


def _file(path: Path) -> Path:
    if path.is_dir():
        raise ConfigError(f"'{escape(str(path), 200)}' is a folder, expected a file", "look at [data] in site.toml")
    if not path.is_file():
        raise ConfigError(f"there is no data at '{escape(str(path), 200)}'", "look at [data] in site.toml")
    return path


def _folder(path: Path) -> Path:
    if path.is_file():
        raise ConfigError(f"'{escape(str(path), 200)}' is a file, expected a folder", "look at [data] in site.toml")
    if not path.is_dir():
        raise ConfigError(f"there is no data at '{escape(str(path), 200)}'", "look at [data] in site.toml")
    return path
