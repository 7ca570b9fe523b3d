"""A site's own data in memory, as (inputs, targets): which reader reads which kind, and that the plan speaks of it.

Knows where a site's data are named; each format has a module of its own. Nothing read here leaves the site.
"""

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import torch
from torch import Tensor

from alx.dialect import Dialect
from alx.errors import ConfigError, escape
from alx.plan import Plan
from alx.tasks.data import arrays, canaries, packaged, shards, table, validation
from alx.tasks.data import folder as of_folder
from alx.tasks.data.canaries import Canaries
from alx.tasks.data.samples import Held
from alx.tasks.data.streamed import Loading

Loaded = tuple[Held, Held | None]
"""The site's own samples, and those kept apart or None."""
Reader = Callable[[Path, Path | None, Plan, Dialect, Loading], Loaded]
"""(the data, what site.toml names as kept apart, the plan, how a table is written, how pictures are read) -> the samples."""


def _no_table(load: Callable[[Path, Path | None, Plan], Loaded]) -> Reader:
    """A reader of data that nobody writes in a way of his own, and that lie in memory or are mapped."""
    return lambda path, kept, plan, _, __: load(path, kept, plan)


def _pictures(load: Callable[[Path, Path | None, Plan, Loading], Loaded]) -> Reader:
    """A reader of pictures that are decoded."""
    return lambda path, kept, plan, _, loading: load(path, kept, plan, loading)


READERS: Mapping[str, Reader] = {
    "npz": _no_table(arrays.load),
    "images": _pictures(of_folder.load),
    "tar": _pictures(shards.load),
    "csv": lambda path, kept, plan, dialect, _: table.load(path, kept, plan, dialect),
    **{kind: _no_table(partial(packaged.load, kind)) for kind in packaged.KINDS},
}
"""By the `DataKind` of site.toml."""
TABLES: Mapping[str, Callable[[Path, Dialect], dict[str, list[str]]]] = {"csv": table.texts}
"""Those that are tables, and what gives all their columns as text, declared in the plan or not."""
LISTINGS = "listings"  # in a site's folder; it may be deleted
WITH_PARTS = ("npz", *packaged.KINDS)
"""Those of which one file, or one folder, has samples that are kept apart beside those to train on."""
_OF_COLUMNS = (*TABLES, "npz")  # what [columns] may speak of


class Source(Protocol):
    """The [data] of site.toml; `alx.site.site_file.Data` is one.

    Attributes:
        path: file or folder, relative to the site's folder.
        held_out: what is kept apart.
        validation: what models are selected on, where the plan says so.
        table: how a CSV is written, the others that are named too.
        workers: processes that decode pictures, beside this one.
        in_memory: whether all pixels of pictures are held; None: where they fit.
        canaries: own samples that a coin decides about.
    """

    path: str
    held_out: str | None
    validation: str | None
    table: Dialect
    workers: int
    in_memory: bool | None
    canaries: int

    @property
    def kind(self) -> str:
        """How it is stored."""
        ...


class Parts(NamedTuple):
    """A site's samples, by what they are for.

    Attributes:
        read: all of its own, as they were read, but those that a coin left out of training: nobody is told of these.
        own: those of them that are trained on.
        validation: those that models are selected on, where these are not the ones trained on.
        held_out: those kept apart for a score.
        canaries: those that a coin decided about, where site.toml wants some; some are in `own`, the others nowhere else.
        rows: which of those that lie there are in `read`, int64, ascending; None: all.
        own_rows: likewise in `own`.
        validation_rows: likewise in `validation`, where that is a share of them; None: it lies elsewhere.
    """

    read: Held
    own: Held
    validation: Held | None
    held_out: Held | None
    canaries: Canaries | None = None
    rows: Tensor | None = None
    own_rows: Tensor | None = None
    validation_rows: Tensor | None = None


def parts(source: Source, folder: Path, plan: Plan) -> Parts:
    """Read a site's data, and part them as the plan says.

    Args:
        source: the [data] of site.toml.
        folder: the site's folder; relative paths start there.
        plan: the agreement.

    Raises:
        ConfigError: see `load`, `for_selection` and `canaries.drawn`; or samples for validation are named, and the plan has
            no use for them; or canaries are wanted, and no samples are kept apart.
    """
    if source.validation is not None and plan.select_on == "training":
        raise ConfigError(
            'site.toml names validation, and the plan says select_on = "training"',
            'remove it; or agree on select_on = "validation" and make new sites on both sides',
        )
    read, held_out = load(source, folder, plan)
    own, validation_ = for_selection(source, folder, plan, read) if plan.select_on == "validation" else (read, None)
    left = kept = None
    if len(own) < len(read):
        left, kept = validation.rows(read.targets, plan.validation_share, plan.seed, plan.loss)
    if not source.canaries:
        return Parts(read, own, validation_, held_out, own_rows=left, validation_rows=kept)
    if held_out is None:
        raise ConfigError(
            f"[data] canaries is {source.canaries} in site.toml, and no samples are kept apart, without which alx leakage "
            "does not look at them",
            "name held_out in [data], an .npz has test_images and test_labels; or leave canaries out",
        )
    found = canaries.drawn(own, source.canaries, plan.seed)
    if left is None or kept is None:
        return Parts(found.trained, found.trained, validation_, held_out, found, found.left, found.left)
    inside = left[found.left]
    told = torch.cat([inside, kept]).sort().values
    return Parts(read.part(told.to(read.home)), found.trained, validation_, held_out, found, told, inside, kept)


def load(source: Source, folder: Path, plan: Plan) -> tuple[Held, Held | None]:
    """Read a site's data.

    Args:
        source: the [data] of site.toml.
        folder: the site's folder; relative paths start there.
        plan: says how an input is made. With [images] it is made of pixels and of nothing else, with [columns] of a
            table's cells; with neither, of an .npz's numbers as they are.

    Returns:
        The site's own samples, and those kept apart or None.

    Raises:
        ConfigError: says which file, row or column cannot be used, and why; or those kept apart are those trained on, or
            numbers where these are pixels.
    """
    path = folder / source.path
    refuse_kind(source, plan)
    apart = None if source.held_out is None else folder / source.held_out
    if apart is not None and source.kind not in WITH_PARTS and _same(apart, path):
        raise ConfigError("held_out names the samples that are trained on", "name others, or leave it out")
    own, kept = READERS[source.kind](path, apart, plan, source.table, loading(source, folder))
    if kept is not None:
        _refuse_unlike(kept, own, "kept apart")
    for samples, where in ((own, ""), (kept, "the samples kept apart from ")):
        if samples is not None and plan.images is not None and plan.images.classes:
            refuse_unnamed(samples.targets, len(plan.images.classes), f"{where}'{escape(path.name)}'")
    return own, kept


def _same(a: Path, b: Path) -> bool:
    """Whether one is the other, or lies in it: one tar of a folder of them, say."""
    a, b = a.resolve(), b.resolve()
    return a.is_relative_to(b) or b.is_relative_to(a)


def _refuse_unlike(kept: Held, own: Held, where: str) -> None:
    """Refuse numbers beside pixels: these are scaled, those are not, and the same sample would be another input."""
    if kept.inputs != own.inputs:
        raise ConfigError(f"the samples {where} are {kept.inputs}, and those to train on {own.inputs}", "make them alike")


def loading(source: Source, folder: Path) -> Loading:
    """How a site's pictures are read; what was listed is kept where there is a site, never beside the data."""
    kept = folder / LISTINGS if (folder / "site.toml").is_file() else None
    return Loading(source.workers, source.in_memory, kept)


def refuse_kind(source: Source, plan: Plan) -> None:
    """Refuse a kind of data that has no columns where the plan has them.

    Raises:
        ConfigError: says which.
    """
    if plan.columns is not None and source.kind not in _OF_COLUMNS:
        raise ConfigError(
            f"the plan has [columns], and data of the kind {source.kind} have none",
            "leave [columns] out of the plan, on both sides",
        )


def for_selection(source: Source, folder: Path, plan: Plan, own: Held) -> tuple[Held, Held]:
    """The samples to train on and those to select on, where the plan says `select_on = "validation"`.

    Those to select on are what `validation` in site.toml names, read as the site's own are; else an .npz's val_images and
    val_labels; else a share of the site's own by the plan, and no sample is on both.

    Args:
        source: the [data] of site.toml.
        folder: the site's folder.
        plan: the agreement.
        own: as `load` read them.

    Raises:
        ConfigError: see `load` and `validation.split`.
    """
    kept: Held | None = None
    if source.validation is not None:
        if source.kind in packaged.KINDS:
            raise ConfigError(
                f"site.toml names validation, and every copy of {source.kind} holds the same samples",
                "remove it: a share of one's own is kept",
            )
        if _same(folder / source.validation, folder / source.path):
            raise ConfigError(
                "validation in site.toml names the samples that are trained on", "name others, or leave it out"
            )
        if (
            source.held_out is not None
            and source.kind not in WITH_PARTS
            and _same(folder / source.validation, folder / source.held_out)
        ):
            raise ConfigError(
                "validation and held_out in site.toml name the same samples",
                "name others for one of them: a score of samples that models are selected by is too high",
            )
        kept, _ = READERS[source.kind](folder / source.validation, None, plan, source.table, loading(source, folder))
    elif source.kind == "npz":
        kept = arrays.read(folder / source.path, "val", plan.images)
    if kept is None:
        return validation.split(own, plan.validation_share, plan.seed, plan.loss)
    _refuse_unlike(kept, own, "for validation")
    if plan.images is not None and plan.images.classes:
        refuse_unnamed(kept.targets, len(plan.images.classes), "the samples kept for validation")
    return own, kept


def column(source: Source, folder: Path, name: str, count: int, part: str = "test") -> list[str]:
    """The cells of a column, declared in the plan or not, of the samples kept apart, or of another part.

    Args:
        source: the [data] of site.toml.
        folder: the site's folder.
        name: of a table's column; or of an .npz's array `<part>_<name>`, one value a sample.
        count: how many samples.
        part: train, val or test; of data that have no parts anything.

    Raises:
        ConfigError: there is no such column, or there are several, or it has another number of cells.
    """
    named = {"val": source.validation, "test": source.held_out}.get(part)
    where = folder / (named or source.path)
    if part == "val" and named is not None:
        part = "train"  # what a file of its own has them under
    if source.kind in TABLES:
        return of_table(TABLES[source.kind](where, source.table), where.name, name, count)
    if source.kind == "npz":
        own = (f"{part}_images", f"{part}_labels")
        members = arrays.members(where, lambda member: member.startswith(f"{part}_") and member not in own)
        found = {
            member.removeprefix(f"{part}_"): [str(v) for v in values.tolist()]
            for member, values in members.items()
            if values.ndim == 1
        }
    else:
        raise ConfigError(f"data of the kind {source.kind} have no columns", "leave it out: by, or --id")
    return of_table(found, where.name, name, count, f"; in an .npz a column is an array {part}_<name>")


def of_table(found: Mapping[str, list[str]], where: str, name: str, count: int, more: str = "") -> list[str]:
    """A column of those that were found; see `column`.

    Raises:
        ConfigError: there is no such column, or there are several, or it has another number of cells.
    """
    if name not in found:
        raise ConfigError(
            f"'{escape(where)}' has no column '{escape(name)}', or several",
            f"columns, by the plan's names: {escape(', '.join(found), 200) or 'none'}{more}",
        )
    if len(found[name]) != count:
        raise ConfigError(
            f"column '{escape(name)}' of '{escape(where)}' has {len(found[name]):,} cells, expected {count:,}",
            "one for each sample kept apart",
        )
    return found[name]


def made_of(samples: Held, plan: Plan) -> Literal["pixels", "table", "numbers"]:
    """What a sample's input is made of: the same on both sides, or the same sample would be another input there."""
    return "table" if samples.inputs == "numbers" and plan.columns is not None else samples.inputs


def refuse_unnamed(labels: Tensor, classes: int, where: str) -> None:
    """A label is the place of its class in the plan's list, as it is for a folder of images.

    Args:
        labels: of all samples.
        classes: how many the plan names.
        where: the data's name, for messages.

    Raises:
        ConfigError: names the first sample whose label is none.
    """
    bad = ((labels < 0) | (labels >= classes) | (labels != labels.floor())).reshape(len(labels), -1).any(1)
    if bad.any():
        row = int(bad.nonzero()[0])
        raise ConfigError(
            f"sample {row} of {where} (counted from 0) has the label {escape(str(labels[row].tolist()))}, expected 0 to "
            f"{classes - 1}, as [images] in the plan names {classes} classes",
            "look at [images] classes in the plan, and at the labels",
        )
