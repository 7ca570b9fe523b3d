"""site.toml: one site's own settings, none of which ever travels. Knows the fields; knows no folder."""

import json
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self, get_args

from pydantic import Field, ValidationError, model_validator

from alx import dialect
from alx.dialect import Dialect
from alx.disclosure import Disclosure
from alx.errors import ConfigError, UsageError, escape
from alx.plan import toml
from alx.records import Role, Scalar, Strict, explain

MAX_WORKERS = 256  # more than any machine's cores that a site would give to pictures
MAX_SETTINGS_BYTES = 1 << 18  # of a file of settings: they stand in a site.toml, which may have four times as many

DataKind = Literal["npz", "images", "tar", "csv", "cifar10", "svhn", "mnist"]


class Data(Strict):
    """The site's own data. Stays here: nothing of this table is ever sent."""

    kind: DataKind = Field(
        description="npz (MedMNIST's array names), images (a folder a class), tar (images too), csv, or torchvision's"
    )
    path: str = Field(description="file or folder, relative to the site's folder")
    held_out: str | None = Field(default=None, description="file or folder kept apart for a score; not for torchvision's")
    validation: str | None = Field(
        default=None, description='file or folder of the same kind, where the plan says `select_on = "validation"`'
    )
    table: Dialect = Field(default_factory=Dialect, description="how a CSV is written, where it is not as usual")

    workers: Annotated[int, Field(ge=0, le=MAX_WORKERS)] = Field(
        default=0, description="processes that decode pictures beside the one that trains; of use where cores are idle"
    )
    in_memory: bool | None = Field(
        default=None,
        description="hold the pixels of all pictures; left out: where they take a quarter of free memory at most",
    )

    canaries: Annotated[int, Field(ge=0)] = Field(
        default=0,
        description="own samples that a coin decides about: it leaves half of them out of training, for the audit of "
        "`alx leakage`, where some are kept apart; set before `alx describe` and `alx identity`, as it changes how many "
        "samples there are",
    )

    @model_validator(mode="after")
    def _only_a_table_is_written(self) -> Self:
        if self.kind != "csv" and self.table != Dialect():
            raise ValueError(f"[data.table] says how a CSV is written, and the data are of the kind {self.kind}")
        if self.kind not in ("images", "tar") and (self.workers or self.in_memory is not None):
            raise ValueError(
                f"workers and in_memory are for pictures that are decoded, and the data are of the kind {self.kind}"
            )
        return self


class Metrics(Strict):
    """How the best answers are told apart from good ones, on the samples kept apart. Chooses no model; stays here."""

    threshold: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.5, description="of the probability of the positive of two classes, or of a label: above it is the answer"
    )
    positive: str | None = Field(default=None, description="of two classes, the one to be found; left out: the second")
    by: list[str] = Field(default_factory=list, description="columns, such as the hospital: the same numbers by its values")


class SiteFile(Strict):
    """site.toml."""

    role: Role = Field(description="learner: goes first and reads the last reply; provider: answers")
    task: str = Field(default="built-in", description="built-in, or the file that holds make_task, beside site.toml")
    device: str = Field(
        default="auto",
        description="auto (a GPU when there is one), cpu, cuda:0, …; or several alike: cuda:0,cuda:1, or all: cuda:*",
    )
    sharding: bool = Field(
        default=False, description="of several ranks, each has a part of the model, its gradients and its optimiser's state"
    )
    data: Data | None = Field(default=None, description="for the built-in task")
    metrics: Metrics = Field(default_factory=Metrics, description="how answers are judged")
    disclosure: Disclosure = Field(default_factory=Disclosure, description="the least count, where the site is stricter")
    settings: dict[str, Scalar | list[Scalar]] = Field(default_factory=dict, description="for a task of one's own")


def judged(by: Sequence[str], positive: str | None, threshold: float) -> Metrics:
    """[metrics] as people type it.

    Raises:
        UsageError: the threshold is no probability.
    """
    if not 0 < threshold < 1:
        raise UsageError(f"the threshold is {threshold:g}, expected a probability between 0 and 1")
    return Metrics(by=list(dict.fromkeys(by)), positive=positive, threshold=threshold)


def named(value: str, held_out: str | None, validation: str | None = None, table: Path | None = None) -> Data:
    """KIND:PATH as people type it, from the current folder; `table` is a file of what [data.table] says.

    Raises:
        UsageError: there is no such kind, or nothing at a path; or a table's file for data that are no CSV.
        ConfigError: the table's file cannot be used.
    """
    kind, colon, path = value.partition(":")
    if not colon or kind not in get_args(DataKind):
        raise UsageError(f"'{escape(value)}' names no data, expected KIND:PATH", f"kinds: {', '.join(get_args(DataKind))}")
    for place in (path, held_out, validation):
        if place is not None and (not place or not Path(place).exists()):
            raise UsageError(f"there is no data at '{escape(place, 200)}'", "name a file or folder that is there")

    if table is not None and kind != "csv":
        raise UsageError(f"--table says how a CSV is written, and '{escape(value)}' is none", "leave it out")

    def whole(place: str | None) -> str | None:
        return None if place is None else os.path.abspath(place)  # noqa: PTH100 - a path for a file of text

    kept = {"held_out": whole(held_out), "validation": whole(validation)}
    written = Dialect() if table is None else dialect.load(table)
    return Data(table=written, kind=kind, path=os.path.abspath(path), **kept)  # type: ignore[arg-type]  # noqa: PTH100


def settings(path: Path) -> dict[str, Scalar | list[Scalar]]:
    """A TOML file of what [settings] says, where there is no site.

    Raises:
        UsageError: there is no such file.
        ConfigError: it is no TOML, or holds what [settings] cannot.
    """
    name = escape(path.name)
    if not path.is_file():
        raise UsageError(f"there is no file '{escape(str(path), 200)}'", "it has the fields of [settings]: docs/site.md")
    with path.open("rb") as file:
        data = file.read(MAX_SETTINGS_BYTES + 1)
    if len(data) > MAX_SETTINGS_BYTES:
        raise ConfigError(f"{name} has more than {MAX_SETTINGS_BYTES} bytes, expected the fields of [settings]")
    try:
        return SiteFile.model_validate({"role": "learner", "settings": tomllib.loads(data.decode("utf-8"))}).settings
    except ValidationError as error:
        raise ConfigError(f"{name}: {explain(error)}", "names, and values or lists of values") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{name} is not TOML: {escape(str(error))}", "save it as UTF-8") from error


def text(config: SiteFile) -> str:
    """What `alx init` writes into site.toml."""

    def quoted(value: Scalar | list[Scalar]) -> str:  # JSON's numbers, lists and escapes are TOML's too, but for DEL
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

    lines = [
        "# This site's own settings: they never travel. docs/site.md describes every field.",
        f"role = {quoted(config.role)}",
        f"task = {quoted(config.task)}",
        f"device = {quoted(config.device)}",
    ]
    if config.sharding:
        lines.append("sharding = true")
    if config.data is not None:
        lines += ["", "[data]", f"kind = {quoted(config.data.kind)}", f"path = {quoted(config.data.path)}"]
        more = config.data.model_dump(exclude_none=True, exclude={"kind", "path", "table"})
        lines += [f"{name} = {quoted(value)}" for name, value in more.items()]
        written = config.data.table.model_dump(exclude_defaults=True)
        if written:
            lines += ["", "[data.table]", *(f"{name} = {toml(value)}" for name, value in written.items())]
    told = config.metrics.model_dump(exclude_defaults=True)
    if told:
        lines += ["", "[metrics]", *(f"{quoted(k)} = {quoted(v)}" for k, v in told.items())]
    if config.disclosure.least is not None:
        lines += ["", "[disclosure]", f"least = {config.disclosure.least}"]
    if config.task != "built-in" and not config.settings:
        lines += ["", "# What the task needs of this side alone goes below a line [settings]; it stays here."]
    if config.settings:
        lines += ["", "[settings]", *(f"{quoted(k)} = {quoted(v)}" for k, v in config.settings.items())]
    return "\n".join(lines) + "\n"
