"""A first plan out of a table, a folder of images or an .npz: to be read, changed and agreed.

Knows names and kinds of values. What a hospital's own data hold stays out of it: no mean, range or count, and values only
where a person wants them there, those of few rows not even then.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from alx import picture, plan
from alx.dialect import Dialect
from alx.errors import ConfigError, UsageError, count, escape
from alx.plan import toml
from alx.tasks.data import alike, place, sheet
from alx.tasks.data.column import LEAST, declared, look
from alx.tasks.data.column import told as told_of
from alx.tasks.data.faults import Faults
from alx.tasks.data.folder import DROPPINGS

MOST_CLASSES = 20  # whole numbers of more kinds are a quantity to predict
LARGEST_SIDE = 64  # pixels: what alx's own small network is for
_ABOUT_MISSING = [
    "# missing is what stands for an empty cell, in the column's own unit: 0.0 is 0 of what the column counts. The mean",
    "# that was agreed on changes least.",
]
_HEAD = (
    "# A first draft, to be read, changed and agreed: both sides need the same file. docs/plan.md describes every field.\n"
)
_TRAINING = """\
name = {name}
rounds = 5
round_steps = 200
batch_size = 32
loss = {loss}

[optimiser]
name = "adam"
lr = 0.001

[model]
source = {source}
arguments = {arguments}
"""
_ABOUT_CLASSES = (
    '# Levels can be merged, classes = { no = ["0"], yes = ["1", "2"] }, and then classes under [model] are fewer too;',
    "# what wrong answers cost goes under [objective.costs].",
)


class Draft(NamedTuple):
    """A first plan.

    Attributes:
        text: the file's, which `alx.plan.parse` takes.
        told: what was found, for the person at this site alone.
    """

    text: str
    told: list[str]


def of_table(
    path: Path, dialect: Dialect, label: str, ids: Sequence[str] = (), *, values: bool = False, fill: bool = False
) -> Draft:
    """A first plan for a CSV.

    Args:
        path: the CSV.
        dialect: how it is written.
        label: the column to predict.
        ids: columns that name a row or a person.
        values: whether the values of categories and classes go into the plan.
        fill: whether missing cells are provided for where there are any, in place of being refused.

    Raises:
        UsageError: there is no column of a name given.
        ConfigError: the file cannot be read, or a number in it may be two.
    """
    there = sheet.read(place.checked(path, "file"), dialect)
    _refuse_names(there, label, ids)
    told, lines = [f"{count(len(there.rows), 'row')}, {count(len(there.header), 'column')}"], []
    width, faults = 0, Faults()
    for name in there.header:
        if name == label or name in ids:
            continue
        if not name or there.header.count(name) > 1:
            told.append(f"column '{escape(name)}': has no name of its own; left out")
            continue
        with faults.gathered():
            column = look(there, name, dialect)
            told += told_of(name, column, values=values)
            made, wide = declared(name, column, values=values, fill=fill)
            lines += made
            width += wide
    faults.refuse()
    if not width:
        raise ConfigError(
            f"'{there.name}' has no column that could be an input", "are the values of categories to stand in it? --values"
        )
    classes, said = _answers(there, label, dialect, values=values)
    told += said
    head = _TRAINING.format(
        name=toml(_slug(label)),
        loss=toml("mse" if classes is None else "cross_entropy"),
        source=toml("alx.tasks.models:mlp"),
        arguments=toml({"inputs": width, "classes": 1 if classes is None else len(classes), "hidden": 64}),
    )
    named = [f"label = {toml(label)}"]
    named += [] if classes is None else [f"classes = {toml(classes)}", *_ABOUT_CLASSES]
    named += [f"ids = {toml(list(ids))}"] if ids else []
    notes = [
        "# Numbers reach the model as (value - mean) / std. Put figures there that both sides agreed on, public ones if",
        "# there are any: with mean 0 and std 1 columns of large numbers drown the others; a date is a number too, counted",
        "# since a day. Nobody's own are in this draft.",
        *(_ABOUT_MISSING if "missing = 0.0" in lines else []),
    ]
    text = "\n".join([_HEAD, head, "[columns]", *named, "", *notes, *lines]) + "\n"
    plan.parse(text.encode("utf-8"))
    return Draft(text, told)


def _refuse_names(there: sheet.Sheet, label: str, ids: Sequence[str]) -> None:
    for name in (label, *ids):
        if there.header.count(name) != 1:
            known = [column for column in there.header if column]
            raise UsageError(
                f"'{there.name}' has {there.header.count(name)} columns '{escape(name)}', expected one",
                alike.hint(name, known, f"its columns: {escape(', '.join(known), 300)}"),
            )
    if label in ids:
        raise UsageError(f"'{escape(label)}' is both the label and an id", "an id is nothing to predict")


def _answers(there: sheet.Sheet, label: str, dialect: Dialect, *, values: bool) -> tuple[list[str] | None, list[str]]:
    """The classes, or None where the label is a quantity; and what is said of it."""
    answer = look(there, label, dialect)
    classes = answer.kind == "category" or (answer.kind == "number" and len(answer.values + answer.rare) <= MOST_CLASSES)
    if not classes and answer.kind != "number":
        raise UsageError(f"'{escape(label)}' is no label: it holds {answer.kind}", "name another column: --label")
    if classes and len(answer.values) < 2:  # noqa: PLR2004 - nothing to tell apart
        raise ConfigError(
            f"'{escape(label)}' has {count(len(answer.values), 'value')} of at least {LEAST} rows, expected two or more",
            "write the plan by hand: docs/plan.md",
        )
    told = told_of(label, answer._replace(kind="category" if classes else "number"), values=values, role="label")
    if classes and not values:
        raise UsageError(
            f"a plan names the classes of '{escape(label)}', and its values are to stay out of it",
            "--values lets them in, or write the plan by hand: docs/plan.md",
        )
    return (answer.values if classes else None), told


def _slug(label: str) -> str:
    return re.sub("[^a-z0-9]+", "-", f"predict {label}".lower()).strip("-")[:40]


def of_images(path: Path, *, values: bool = False) -> Draft:
    """A first plan for a folder with a folder for each class.

    Raises:
        UsageError: the names of its folders, which are the classes, are to stay out.
        ConfigError: it holds no such folders, or no picture that can be read, or a folder's name is no text.
    """
    folders = sorted(
        entry
        for entry in place.checked(path, "folder").iterdir()
        if entry.is_dir() and not entry.name.startswith(".") and entry.name.lower() not in DROPPINGS
    )
    found = [
        picture.look(file)
        for folder in folders
        for file in sorted(folder.iterdir())
        if not file.name.startswith(".") and file.name.lower() not in DROPPINGS
    ]
    names = [folder.name for folder in folders]
    if len(names) < 2 or not found:  # noqa: PLR2004 - nothing to tell apart
        raise ConfigError(
            f"'{escape(path.name)}' holds {count(len(names), 'folder')} and {count(len(found), 'picture')}, expected "
            "a folder with pictures for each of two or more classes"
        )
    odd = next((name for name in names if any("\ud800" <= c <= "\udfff" for c in name)), None)
    if odd is not None:
        raise ConfigError(
            f"the folder '{escape(odd)}' has a name that is not UTF-8, as a plan has to be", "rename the folder"
        )
    told = [f"{count(len(found), 'picture')}; classes, after their folders: {escape(', '.join(names), 300)}"]
    if not values:
        raise UsageError("a plan names the classes, and the folders' names are to stay out of it", "--values lets them in")
    channels = 1 if all(each.mode in ("1", "L", "LA", "I;16") for each in found) else 3
    side = _side(min(min(each.height, each.width) for each in found))
    return _pictures(told, side, channels, len(names), names)


def of_npz(path: Path) -> Draft:
    """A first plan for an .npz with MedMNIST's names.

    Raises:
        ConfigError: it cannot be read.
    """
    from alx.tasks.data import arrays  # noqa: PLC0415 - torch

    found = arrays.members(place.checked(path, "file"), ("train_images", "train_labels").__contains__)
    if len(found) < 2:  # noqa: PLR2004 - these two
        raise ConfigError(f"'{escape(path.name)}' has no train_images and train_labels", arrays.NAMES)
    x, y = found["train_images"], found["train_labels"]
    arrays.require_shapes(x, y, escape(path.name), "train")
    whole = bool(y.dtype.kind in "biu" and y.size == len(y) and y.size and y.min() >= 0)
    classes = int(y.max()) + 1 if whole else int(np.prod(y.shape[1:], initial=1))
    told = [f"train_images {x.dtype} {list(x.shape)}, train_labels {y.dtype} {list(y.shape)}"]
    if arrays.pixels_in(x) and whole:
        arrays.require_pixels(x, escape(path.name), "train_images")
        return _pictures(told, _side(min(x.shape[1:3])), x.shape[3] if x.ndim == 4 else 1, classes, None)  # noqa: PLR2004
    if x.ndim != 2 or x.dtype.kind not in "biuf" or not (whole or y.dtype.kind == "f"):  # noqa: PLR2004 - rows of numbers
        raise ConfigError(
            f"'{escape(path.name)}' holds {told[0]}: no network of alx's own takes these", "write a plan: docs/plan.md"
        )
    arguments = {"inputs": x.shape[1], "classes": classes, "hidden": 64}
    text = _TRAINING.format(
        name=toml("first-plan"),
        loss=toml("cross_entropy" if whole else "mse"),
        source=toml("alx.tasks.models:mlp"),
        arguments=toml(arguments),
    )
    return Draft(f"{_HEAD}\n{text}", told)


def _side(shorter: int) -> int:
    return max(4, min(shorter, LARGEST_SIDE) // 4 * 4)


def _pictures(told: list[str], side: int, channels: int, classes: int, names: list[str] | None) -> Draft:
    arguments = {"channels": channels, "size": side, "classes": classes}
    head = _TRAINING.format(
        name=toml("first-plan"),
        loss=toml("cross_entropy"),
        source=toml("alx.tasks.models:small_cnn"),
        arguments=toml(arguments),
    )
    named = [] if names is None else [f"classes = {toml(names)}"]
    text = "\n".join([_HEAD, head, "[images]", f"size = [{side}, {side}]", f"channels = {channels}", *named]) + "\n"
    plan.parse(text.encode("utf-8"))
    return Draft(text, told)
