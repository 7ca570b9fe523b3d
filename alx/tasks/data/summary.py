"""What a site's data hold, counted: made of samples as they were read, and of the files where these say more.

Knows labels, and what each kind of data keeps beside its samples; knows no model.
"""

from array import array
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from alx.columns import MAX_NAMES, Columns, Date
from alx.plan import Images, Plan
from alx.summary import FAR, Column, Numbers, Part, Pictures, Summary, Values
from alx.tasks.data import arrays, shards, table
from alx.tasks.data import folder as of_folder
from alx.tasks.data.kinds import Parts, Source
from alx.tasks.data.samples import Held, among, first, prints

Array = NDArray[Any]
_T = TypeVar("_T")

UNSCALED = (0.0, 1.0)  # mean and std of a plan that scales nothing: no number is off then
MOST_COLUMNS = 1000  # of an .npz of numbers; one with more is no table, and nobody reads on
PICTURES = {"images": of_folder.looks, "tar": shards.looks}
MOST_CELLS = 20_000_000  # of such columns: they are sorted in memory, eight bytes each


def of(source: Source, folder: Path, plan: Plan, read: Parts, classes: int | None = None) -> Summary:
    """Count.

    Args:
        source: the [data] of site.toml.
        folder: the site's folder.
        plan: the agreement.
        read: the samples.
        classes: how many the model tells apart, where that is known; the plan's names go first.

    Returns:
        What the samples that were read hold, without those that a coin left out; the files are looked at once more for
        columns and pictures.
    """
    path = folder / source.path
    names = plan.class_names
    cells = table.cells(path, plan.columns, source.table) if source.kind == "csv" and plan.columns is not None else None
    if cells is not None:
        cells = cells._replace(
            numbers={name: _at(held, read.rows) for name, held in cells.numbers.items()},
            texts={name: _at(held, read.rows) for name, held in cells.texts.items()},
        )

    def part(held: Held) -> Part:
        return _part(held.targets, plan.loss, names, classes)

    own = None if read.validation is read.held_out is None else prints(read.own)

    def kept(held: Held | None) -> Part | None:
        if held is None:
            return None
        both = among(held, own)
        return replace(part(held), trained_on=None if both is None else int(both.sum()))

    return Summary(
        kind=source.kind,
        shape=tuple(first(read.read)[0].shape[1:]),
        own=part(read.read),
        shared=read.validation is not None and len(read.own) < len(read.read),
        validation=kept(read.validation),
        held_out=kept(read.held_out),
        columns=_arrays(source, read.read) if cells is None or plan.columns is None else of_table(cells, plan.columns),
        pictures=_pictures(source.kind, path, plan.images, read.rows)
        if source.kind in PICTURES and plan.images is not None
        else None,
        stored=arrays.shapes(path) if source.kind == "npz" else None,
        unused=() if cells is None else cells.unused,
    )


def _part(targets: Tensor, loss: str, names: Sequence[str], classes: int | None) -> Part:
    labels = targets.numpy()
    n = len(labels)
    agreed = bool(names) or (classes is not None and classes <= MAX_NAMES) or loss == "binary_cross_entropy"
    whole = labels.dtype.kind in "iub" or bool((labels == np.floor(labels)).all())
    if loss == "mse" or not whole:
        flat = labels.reshape(n, -1)
        if flat.shape[1] > MOST_COLUMNS or flat.size > MOST_CELLS:
            return Part(n)
        return Part(n, numbers={_place("label", labels.shape[1:], i): _numbers(flat[:, i]) for i in range(flat.shape[1])})
    if labels.ndim == 1 or labels[0].size == 1:
        return Part(n, classes=_counts(labels.reshape(n), loss, names, classes), agreed=agreed)
    return _several(labels.reshape(n, -1), loss, names, classes, agreed=agreed)


def _several(rows: Array, loss: str, names: Sequence[str], classes: int | None, *, agreed: bool) -> Part:
    """Where a sample has several labels: yes or no for each, or a class for each of its pixels.

    Samples that all have just one of them are told alike: by another form one sample more would show what labels it has.
    """
    n = len(rows)
    if loss == "binary_cross_entropy":
        found = (rows > 0).sum(0).tolist()
        told = {names[i] if len(names) == len(found) else str(i): count for i, count in enumerate(found)}
    else:
        several = _places(rows.reshape(-1), loss, names, classes)
        several = several if len(several) <= MOST_COLUMNS else {}
        told = {_name(label, names): int((rows == label).any(1).sum()) for label in several}
    return Part(n, marks=told if 0 < len(told) <= MOST_COLUMNS else None, agreed=agreed)


def _counts(labels: Array, loss: str, names: Sequence[str], classes: int | None) -> dict[str, int]:
    """Samples of each class, those without one too."""
    return {_name(label, names): n for label, n in _places(labels, loss, names, classes).items()}


def _name(label: int, names: Sequence[str]) -> str:
    return names[label] if label < len(names) else str(label)


def _places(labels: Array, loss: str, names: Sequence[str], classes: int | None) -> dict[int, int]:
    """How many labels there are of each class, by its number."""
    found = dict(zip(*(x.tolist() for x in np.unique(labels.astype(np.int64), return_counts=True)), strict=True))
    known = len(names) or (2 if loss == "binary_cross_entropy" else classes or 0)
    most = max(known, max(found) + 1)
    places = range(most) if most <= MAX_NAMES else sorted(found)  # labels that are ids may be of any size
    return {label: found.get(label, 0) for label in places}


def _numbers(values: Sequence[float | None] | Array, mean: float = 0.0, std: float = 1.0, unit: str = "") -> Numbers:
    held = values if isinstance(values, np.ndarray) else [v for v in values if v is not None]
    there = np.sort(np.asarray(held, dtype=np.float64))
    far = int((np.abs((there - mean) / std) > FAR).sum())
    middle = float((np.median(there) - mean) / std) if len(there) and (mean, std) != UNSCALED else 0.0
    return Numbers(array("d", there.tobytes()), len(values) - len(there), far, unit, middle)


def of_table(cells: table.Cells, columns: Columns) -> dict[str, Column]:
    """What the columns of a table hold.

    Args:
        cells: of it.
        columns: what the plan declares.
    """
    out: dict[str, Column] = {}
    for name, numeric in (columns.numeric | columns.date).items():
        unit = numeric.counted if isinstance(numeric, Date) else ""
        out[name] = _numbers(cells.numbers[name], numeric.mean, numeric.std, unit)
    for name, categorical in columns.categorical.items():
        found = Counter(cells.texts[name])
        out[name] = Values({value: found[value] for value in categorical.values}, found[None], cells.words[name])
    return out


def _arrays(source: Source, read: Held) -> dict[str, Column]:
    if source.kind != "npz" or read.inputs != "numbers":
        return {}
    values, _ = read.arrays()
    flat = values.reshape(len(values), -1)
    if flat.shape[1] > MOST_COLUMNS or flat.size > MOST_CELLS:
        return {}
    return {_place("train_images", values.shape[1:], i): _numbers(flat[:, i]) for i in range(flat.shape[1])}


def _place(name: str, shape: tuple[int, ...], index: int) -> str:
    """How NumPy calls one number of each sample: `train_images[:, 3]`; the bare name where there is just one."""
    if not shape:
        return name
    return f"{name}[:, {', '.join(map(str, np.unravel_index(index, shape)))}]"


def _at(held: list[_T], rows: Tensor | None) -> list[_T]:
    return held if rows is None else [held[row] for row in rows.tolist()]


def _pictures(kind: str, path: Path, wanted: Images, rows: Tensor | None) -> Pictures:
    found = _at(PICTURES[kind](path, wanted), rows)
    return Pictures(
        _numbers([float(each.height) for each in found]),
        _numbers([float(each.width) for each in found]),
        dict(Counter(each.mode for each in found).most_common()),
        sum((each.height, each.width) != wanted.size for each in found),
    )
