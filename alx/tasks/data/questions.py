"""Samples that a model in use is asked about: with their labels where it is judged, without where it is to answer.

Knows the kinds of data and which of their parts are meant; reads no cell and no pixel itself.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from alx.errors import ConfigError, UsageError, escape
from alx.plan import Images, Plan
from alx.summary import Column
from alx.tasks.data import arrays, kinds, packaged, place, shards, sheet, summary, table
from alx.tasks.data import folder as of_folder
from alx.tasks.data.kinds import Source
from alx.tasks.data.samples import Held

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
ROW = "row"  # what names a sample where nothing else does: its place, counted from 0
FILE = "file"
_NO_PARTS = f"leave out --part: it is for the kinds {', '.join(kinds.WITH_PARTS[:-1])} and {kinds.WITH_PARTS[-1]}"


class Questions(NamedTuple):
    """Samples, and what each is called.

    Attributes:
        samples: in the order of the data; without labels, all targets are 0.
        called: what the names are: a column, `file` or `row`.
        names: one a sample.
        where: the data, for messages and for people.
        column: what a column, or an .npz's array `<part>_<name>`, says of each sample; see `kinds.column`.
        columns: of a table, what its columns hold.
    """

    samples: Held
    called: str
    names: list[str]
    where: str
    column: Callable[[str], list[str]]
    columns: Mapping[str, Column]


def read(source: Source, folder: Path, plan: Plan, part: Part | None, name_by: str | None, *, labelled: bool) -> Questions:
    """Read data that a model is asked about.

    Args:
        source: what and where; it names nothing that is kept apart.
        folder: relative paths start there.
        plan: says how an input is made.
        part: of an .npz or of torchvision's sets; None is the test part where there is one, else the only one.
        name_by: a table's column, or an .npz's array `<part>_<name_by>`, that names each sample; None is the path of an
            image, else the row.
        labelled: whether labels are read; without them, a folder or a tar of images needs no folder for each class.

    Raises:
        ConfigError: says which file, row or column cannot be used, and why.
    """
    kinds.refuse_kind(source, plan)
    path = folder / source.path
    part = _part(source, path, part)
    what = f"{part}_images of " if source.kind == "npz" else "" if part is None else f"the {part} part of "
    where = f"{what}'{escape(path.name)}'"
    samples: Held
    names, there = None, None
    columns: dict[str, Column] = {}
    if source.kind == "images" and not labelled:
        samples, names = of_folder.pictures(place.checked(path, "folder"), plan.images or Images())
    elif source.kind == "tar" and not labelled:
        samples, names = shards.pictures(path, plan.images or Images(), kinds.loading(source, folder))
    elif source.kind == "csv":
        declared = table.columns_of(plan)
        there = sheet.read(place.checked(path, "file"), source.table if labelled else source.table.without(declared.label))
        samples = table.made(there, declared, source.table, labelled=labelled)
        columns = summary.of_table(table.cells_of(there, declared, source.table), declared)
    else:
        samples = _samples(source, folder, plan, part, labelled=labelled)
    if labelled and plan.images is not None and plan.images.classes:
        kinds.refuse_unnamed(samples.targets, len(plan.images.classes), where)

    def column(name: str) -> list[str]:
        if there is None:
            return kinds.column(source, folder, name, len(samples), str(part))
        return kinds.of_table(table.texts_of(there, source.table), path.name, name, len(samples))

    if name_by is not None:
        return Questions(samples, name_by, column(name_by), where, column, columns)
    rows = list(map(str, range(len(samples))))
    return Questions(samples, ROW if names is None else FILE, names or rows, where, column, columns)


def own(source: Source, folder: Path, plan: Plan, part: Literal["train", "val"]) -> Questions:
    """What a site trains on, or what it selects models on, with labels.

    Args:
        source: the [data] of site.toml.
        folder: the site's folder.
        plan: the agreement.
        part: which of the two.

    Raises:
        ConfigError: see `kinds.parts`.
        UsageError: models are selected on what is trained on.
    """
    read = kinds.parts(source, folder, plan)
    samples, rows = (read.own, read.own_rows) if part == "train" else (read.validation, read.validation_rows)
    if samples is None:
        raise UsageError(
            f'the plan says select_on = "{plan.select_on}": models are selected on what is trained on',
            "--part train; or name samples with --data KIND:PATH",
        )
    count, lies = len(samples), source.validation if part == "val" else None
    if rows is not None:
        count = len(read.read) + (0 if read.canaries is None else int((~read.canaries.inside).sum()))

    def column(name: str) -> list[str]:
        cells = kinds.column(source, folder, name, count, "train" if rows is not None else part)
        return cells if rows is None else [cells[row] for row in rows.tolist()]

    where = f"the {part} part of '{escape(Path(lies or source.path).name)}'"
    return Questions(samples, ROW, list(map(str, range(len(samples)))), where, column, {})


def _part(source: Source, path: Path, wanted: Part | None) -> Part | None:
    """Which part is meant; None where the kind has none."""
    if source.kind in packaged.KINDS:
        if wanted == "val":
            raise ConfigError(f"{source.kind} has no val part, expected train or test", "--part test, or leave it out")
        return wanted or "test"
    if source.kind != "npz":
        if wanted is not None:
            raise ConfigError(f"data of the kind {source.kind} have no parts, and {wanted} was asked for", _NO_PARTS)
        return None
    there = arrays.parts(place.checked(path, "file"))
    names = f"'{escape(path.name)}' has {', '.join(f'{part}_images' for part in there) or 'no images of any part'}"
    if wanted is None and ("test" in there or len(there) == 1):
        return next(part for part in reversed(PARTS) if part in there)
    if wanted is None or wanted not in there:
        told = "" if wanted is None else f", and {wanted}_images was asked for"
        raise ConfigError(f"{names}{told}", "name one of its parts: --part train" if there else arrays.NAMES)
    return wanted


def _samples(source: Source, folder: Path, plan: Plan, part: Part | None, *, labelled: bool) -> Held:
    path = folder / source.path
    if source.kind == "npz":
        arrays.refuse_columns(path, plan)
        found = arrays.read(path, str(part), plan.images, labelled=labelled)
        if found is None:
            raise ConfigError(f"'{escape(path.name)}' has no array {part}_images", arrays.NAMES)
        return found
    if source.kind in packaged.KINDS:
        wanted = plan.images or Images(channels=1 if source.kind == "mnist" else 3)
        return packaged.read(source.kind, path, wanted, train=part == "train")
    read_ = shards.read if source.kind == "tar" else of_folder.read
    return read_(path, plan.images or Images(), kinds.loading(source, folder))
