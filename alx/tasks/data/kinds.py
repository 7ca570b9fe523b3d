"""A site's own data in memory, as (inputs, targets): which reader reads it, and that it is there.

Knows where a site's data are named; each format has a module of its own (`arrays`, `images`, `table`, `packaged`).
Nothing read here leaves the site.
"""

from pathlib import Path
from typing import Literal, Protocol

from torch import Tensor
from torch.utils.data import TensorDataset

from alx.errors import ConfigError, escape
from alx.plan import Images, Plan
from alx.tasks.data import arrays, images, packaged, table

Samples = TensorDataset | images.NormalisedImages
"""What every reader returns: indexed without a loop, targets at hand."""
_DESCRIBED = "docs/plan.md describes it"
_LEFT_OUT = "leave [{}] out of the plan, on both sides"


class Source(Protocol):
    """The [data] of site.toml; `alx.site.site_file.Data` is one."""

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
        plan: says how an input is made. With [images] it is made of pixels and of nothing else, with [columns] of a
            table's cells; with neither, of an .npz's numbers as they are.

    Returns:
        The site's own samples, and those kept apart or None.

    Raises:
        ConfigError: says which file, row or column cannot be used, and why.
    """
    path = folder / source.path
    kept = None if source.held_out is None else folder / source.held_out
    if source.kind == "csv":
        return _tables(path, kept, plan)
    if source.kind == "npz":
        own, held_out = _npz(path, kept, plan)
    elif plan.columns is not None:
        raise ConfigError(
            f"the plan has [columns], and data of the kind {source.kind} have none", _LEFT_OUT.format("columns")
        )
    elif source.kind == "images":
        wanted = plan.images or Images()
        own = images.folder(_folder(path), wanted)
        held_out = None if kept is None else images.folder(_folder(kept), wanted)
    elif kept is not None:
        raise ConfigError(f"{source.kind} has a test set of its own, and site.toml names held_out", "remove held_out")
    else:
        wanted = plan.images or Images(channels=1 if source.kind == "mnist" else 3)
        own, held_out = (packaged.read(source.kind, path, wanted, train=train) for train in (True, False))
    for samples, where in (
        (own, f"'{escape(path.name)}'"),
        (held_out, f"the samples kept apart from '{escape(path.name)}'"),
    ):
        if samples is not None and plan.images is not None and plan.images.classes:
            _refuse_unnamed(targets(samples), len(plan.images.classes), where)
    return own, held_out


def made_of(samples: Samples, plan: Plan) -> Literal["pixels", "table", "numbers"]:
    """What a sample's input is made of: the same on both sides, or the same sample would be another input there."""
    if isinstance(samples, images.NormalisedImages):
        return "pixels"
    return "numbers" if plan.columns is None else "table"


def targets(samples: Samples) -> Tensor:
    """The targets of all samples: [n], or [n, …]."""
    return samples.targets if isinstance(samples, images.NormalisedImages) else samples.tensors[1]


def _tables(path: Path, kept: Path | None, plan: Plan) -> tuple[Samples, Samples | None]:
    if plan.columns is None:
        raise ConfigError("a CSV needs [columns] in the plan, the same on both sides", _DESCRIBED)
    if plan.images is not None:
        raise ConfigError("the plan has [images], and a CSV has none", _LEFT_OUT.format("images"))
    own = table.read(_file(path), plan.columns)
    return own, None if kept is None else table.read(_file(kept), plan.columns)


def _npz(path: Path, kept: Path | None, plan: Plan) -> tuple[Samples, Samples | None]:
    if plan.columns is not None and arrays.rows_made_by(_file(path)) != plan.columns.model_dump_json():
        raise ConfigError(
            f"the plan has [columns], and the numbers of '{escape(path.name)}' are not made by them",
            "give the CSV itself, --data csv:FILE; or leave [columns] out of the plan, on both sides",
        )
    own = arrays.read(_file(path), "train", plan.images)
    if own is None:
        raise ConfigError(f"'{escape(path.name)}' has no array train_images", arrays.NAMES)
    if kept is None:
        return own, arrays.read(path, "test", plan.images)
    held_out = arrays.read(_file(kept), "test", plan.images)
    if held_out is None:
        raise ConfigError(f"'{escape(kept.name)}', named by held_out, has no array test_images", arrays.NAMES)
    return own, held_out


def _refuse_unnamed(labels: Tensor, classes: int, where: str) -> None:
    """A label is the place of its class in the plan's list, as it is for a folder of images."""
    bad = ((labels < 0) | (labels >= classes) | (labels != labels.floor())).reshape(len(labels), -1).any(1)
    if bad.any():
        row = int(bad.nonzero()[0])
        raise ConfigError(
            f"sample {row} of {where} (counted from 0) has the label {escape(str(labels[row].tolist()))}, expected 0 to "
            f"{classes - 1}, as [images] in the plan names {classes} classes",
            "look at [images] classes in the plan, and at the labels",
        )


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
