"""All samples in one place, before they are dealt out to two sites; only a study ever has such a thing.

Knows arrays and the .npz that a site reads; knows no split.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from alx.errors import ConfigError, UsageError, escape
from alx.plan import Plan
from alx.records import Role
from alx.site.site_file import Data, SiteFile

HELD_OUT = 0.2  # of the packaged digits


@dataclass(frozen=True, slots=True)
class Pool:
    """The pooled samples.

    Attributes:
        images: uint8 [n, height, width] or [n, height, width, channels], or numbers float32 [n, …].
        labels: [n] or [n, …].
        held_out: the same two of the samples kept apart, or None.
        columns: further values of each sample [n], by name.
        held_columns: of each of those kept apart.
        made_by: the plan's [columns], as JSON, where the numbers are made by them.
    """

    images: NDArray[Any]
    labels: NDArray[Any]
    held_out: tuple[NDArray[Any], NDArray[Any]] | None
    columns: Mapping[str, NDArray[Any]]
    made_by: str | None = None
    held_columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        """How many."""
        return len(self.labels)

    def decided_by(self, column: str | None) -> NDArray[Any]:
        """What a split looks at: the column's values, or the labels where there is none [n].

        Raises:
            UsageError: there is no such column, or the labels are no class numbers.
        """
        return classes(self.labels) if column is None else self.columns[known(self.columns, column)]

    def digest(self) -> str:
        """SHA-256 of all samples, labels and columns, and of those kept apart."""
        found = hashlib.sha256()
        for name, array in {"images": self.images, "labels": self.labels, **self.columns}.items():
            _add(found, name, array)
        for array in self.held_out or ():
            _add(found, "held out", array)
        for name, array in self.held_columns.items():
            _add(found, f"held out {name}", array)
        return found.hexdigest()

    def part(self, most: int, rng: np.random.Generator) -> "Pool":
        """At most so many of the samples, and at most so many of those kept apart; `rng` decides which."""
        chosen = np.sort(rng.permutation(len(self.labels))[:most])
        held_out, held_columns = self.held_out, self.held_columns
        if held_out is not None:
            kept = np.sort(rng.permutation(len(held_out[1]))[:most])
            held_out = held_out[0][kept], held_out[1][kept]
            held_columns = {name: values[kept] for name, values in held_columns.items()}
        columns = {name: values[chosen] for name, values in self.columns.items()}
        return Pool(self.images[chosen], self.labels[chosen], held_out, columns, self.made_by, held_columns)

    def write(self, path: Path, indices: NDArray[np.int64], *, held_out: bool) -> None:
        """Write some of the samples as a site's .npz, with those kept apart if asked for."""
        parts = {"train_images": self.images[indices], "train_labels": self.labels[indices]}
        if held_out and self.held_out is not None:
            parts |= dict(zip(("test_images", "test_labels"), self.held_out, strict=True))
            parts |= {f"test_{name}": values for name, values in self.held_columns.items()}
        if self.made_by is not None:
            from alx.tasks.data import arrays  # noqa: PLC0415 - torch

            parts[arrays.MADE_BY] = np.array(self.made_by)
        np.savez(path, **parts)  # type: ignore[arg-type]

    def config(self, role: Role, path: str) -> SiteFile:
        """site.toml of a party whose samples lie at `path`, from its folder."""
        return SiteFile(role=role, data=Data(kind="npz", path=path))


def known(columns: Mapping[str, object], name: str) -> str:
    """The name of a column that is there.

    Raises:
        UsageError: it is not.
    """
    if name not in columns:
        there = ", ".join(map(str, columns)) or "none"
        raise UsageError(f"the data have no column '{escape(name)}', or several", f"columns: {escape(there, 200)}")
    return name


def classes(labels: NDArray[Any]) -> NDArray[Any]:
    """Labels that a split can go by, class numbers [n].

    Raises:
        UsageError: they are none.
    """
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise UsageError("the split goes by classes, and the labels are no class numbers", "split by a column")
    return labels


def _add(digest: "hashlib._Hash", name: str, array: NDArray[Any]) -> None:
    digest.update(f"{name} {array.dtype} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).tobytes())


def digits(rng: np.random.Generator) -> Pool:
    """scikit-learn's packaged handwritten digits, 1,797 real images of 8 x 8 pixels, a fifth of them kept apart.

    From UCI (Alpaydin and Kaynak, 1998). `rng` decides which are kept apart.
    """
    from sklearn.datasets import load_digits  # noqa: PLC0415 - nothing else of scikit-learn is used

    found = load_digits()
    order = rng.permutation(len(found.target))
    images = np.round(found.images[order] * (255 / 16)).astype(np.uint8)  # pixels come as 0 to 16
    labels = found.target[order].astype(np.int64)
    kept = round(len(labels) * (1 - HELD_OUT))
    return Pool(images[:kept], labels[:kept], (images[kept:], labels[kept:]), {})


def read(source: Data, plan: Plan, by: Sequence[str] = ()) -> Pool:
    """Read everything as one site would that had it all.

    Args:
        source: as in site.toml.
        plan: says how an input is made; images are resized here once.
        by: columns of the samples kept apart; see `kinds.column`.

    Raises:
        ConfigError: names the file, row or column that cannot be used.
    """
    from alx.tasks.data import kinds  # noqa: PLC0415 - torch

    own, kept = kinds.load(source, Path(), plan)
    held_out = None if kept is None else kept.arrays()
    images, labels = own.arrays()
    made_by = None if plan.columns is None else plan.columns.model_dump_json()
    taken = [name for name in by if name in ("images", "labels")]  # of the .npz that is written for a party
    if taken:
        raise ConfigError(f"a column to tell scores by is called '{taken[0]}'", "rename it")
    apart = 0 if held_out is None else len(held_out[1])
    held_columns = {name: np.array(kinds.column(source, Path(), name, apart)) for name in by}
    return Pool(images, labels, held_out, _columns(source, len(labels)), made_by, held_columns)


def _columns(source: Data, count: int) -> dict[str, NDArray[Any]]:
    """A table's columns as text; an .npz's arrays `train_<name>`, one value a sample."""
    from alx.tasks.data import arrays, kinds  # noqa: PLC0415 - torch

    path = Path(source.path)
    if source.kind in kinds.TABLES:
        return {name: np.array(cells) for name, cells in kinds.TABLES[source.kind](path, source.table).items()}
    if source.kind != "npz":
        return {}
    own = ("train_images", "train_labels")
    members = arrays.members(path, lambda name: name.startswith("train_") and name not in own)
    found = {name.removeprefix("train_"): values for name, values in members.items()}
    for name, values in found.items():
        if values.shape != (count,):
            got = f"train_{escape(name)} of shape {list(values.shape)}"
            raise ConfigError(f"'{escape(path.name)}' has {got}, expected [{count}]")
    return found
