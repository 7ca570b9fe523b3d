"""A table in a CSV, each row an input by the plan's [columns]: numbers and dates scaled, categories one-hot.

Knows how an input is made; what the file looks like is `sheet`'s, and what its columns hold is `rows`'s. A missing cell
is refused, or filled as the plan declares.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from alx.columns import Categorical, Columns, Numeric
from alx.dialect import Dialect
from alx.errors import ConfigError, escape
from alx.plan import Plan
from alx.tasks.data import place, sheet
from alx.tasks.data.cell import LARGEST
from alx.tasks.data.faults import Faults
from alx.tasks.data.rows import Rows, replaced
from alx.tasks.data.samples import Held, Tensors
from alx.tasks.data.sheet import Sheet

PLAIN = Dialect()


def load(path: Path, kept: Path | None, plan: Plan, dialect: Dialect = PLAIN) -> tuple[Held, Held | None]:
    """The rows of a table, and those of the table `kept`.

    Raises:
        ConfigError: as `read`; or the plan has no [columns], or has [images].
    """
    columns = columns_of(plan)
    own = read(place.checked(path, "file"), columns, dialect)
    return own, None if kept is None else read(place.checked(kept, "file"), columns, dialect)


def columns_of(plan: Plan) -> Columns:
    """The plan's [columns].

    Raises:
        ConfigError: it has none, or has [images].
    """
    if plan.columns is None:
        raise ConfigError("a CSV needs [columns] in the plan, the same on both sides", "docs/plan.md describes it")
    if plan.images is not None:
        raise ConfigError("the plan has [images], and a CSV has none", "leave [images] out of the plan, on both sides")
    return plan.columns


def read(path: Path, columns: Columns, dialect: Dialect = PLAIN, *, labelled: bool = True) -> Tensors:
    """Read a table; see `made`.

    Args:
        path: the CSV; a byte-order mark, blank lines, columns not declared, and spaces around cells are passed over.
        columns: the plan's account of an input.
        dialect: the site's account of how it is written.
        labelled: whether there are labels.

    Raises:
        ConfigError: as `sheet.read` and `made`.
    """
    return made(sheet.read(path, dialect), columns, dialect, labelled=labelled)


def made(there: Sheet, columns: Columns, dialect: Dialect = PLAIN, *, labelled: bool = True) -> Tensors:
    """The samples that a table holds.

    Args:
        there: the table.
        columns: the plan's account of an input.
        dialect: the site's account of how it is written.
        labelled: False where nobody asks for labels: there may be no such column, and all targets are 0.

    Returns:
        Inputs float32 [n, columns.width] in the plan's order; targets int64 [n] with classes, else float32 [n].

    Raises:
        ConfigError: names the file, and of each column that has a fault the first line that has it.
    """
    found = Rows(there, columns, dialect, labelled=labelled)
    inputs: list[list[float]] = []
    targets: list[float] = [0.0] * len(found.sheet.rows)
    faults = Faults()
    for name, numeric in (columns.numeric | columns.date).items():
        with faults.gathered():
            inputs += _scaled(found.numbers(name), numeric, name, found)
    for name, categorical in columns.categorical.items():
        with faults.gathered():
            inputs += _one_hot(found.values(name, categorical), categorical, name, found)
    if labelled:
        with faults.gathered():
            targets = found.labels()
    faults.refuse()
    kind = torch.int64 if columns.classes else torch.float32
    return Tensors(torch.tensor(inputs, dtype=torch.float32).T.contiguous(), torch.tensor(targets, dtype=kind))


class Cells(NamedTuple):
    """The declared columns but the label's, as they stand there: None is a missing cell, whatever the plan fills it with.

    Attributes:
        numbers: of each numeric column, and each of dates, before it is scaled.
        texts: of each column of categories.
        words: of each column of categories, what stands in cells taken as missing and is no code of the site's; how often.
        unused: columns of the file that are neither an input nor the label nor an id.
    """

    numbers: dict[str, list[float | None]]
    texts: dict[str, list[str | None]]
    words: Mapping[str, Mapping[str, int]]
    unused: list[str]


def cells(path: Path, columns: Columns, dialect: Dialect = PLAIN) -> Cells:
    """What a table that `read` takes holds.

    Raises:
        ConfigError: as `read`.
    """
    return cells_of(sheet.read(path, dialect), columns, dialect)


def cells_of(there: Sheet, columns: Columns, dialect: Dialect = PLAIN) -> Cells:
    """The same of a table that was read."""
    found = Rows(there, columns, dialect)
    numbers = {name: found.numbers(name) for name in columns.numeric | columns.date}
    said = {name: found.words(name) for name in columns.categorical}
    return Cells(numbers, {name: found.values(name, c) for name, c in columns.categorical.items()}, said, found.unused)


def texts(path: Path, dialect: Dialect = PLAIN) -> dict[str, list[str]]:
    """Every column's cells by its name, in the order of the rows: renamed, and with values replaced, as the site says.

    Of several columns of one name there is none: nobody knows which is meant.

    Raises:
        ConfigError: as `read`.
    """
    return texts_of(sheet.read(path, dialect), dialect)


def texts_of(there: Sheet, dialect: Dialect = PLAIN) -> dict[str, list[str]]:
    """The same of a table that was read."""
    found = Counter(there.header)
    return {name: replaced(there, i, dialect.values.get(name)) for i, name in enumerate(there.header) if found[name] == 1}


def _scaled(values: list[float | None], numeric: Numeric, name: str, found: Rows) -> Iterator[list[float]]:
    mean, std, fill = numeric.mean, numeric.std, numeric.missing
    if fill == "refuse":
        if None in values:
            raise found.refused(name, values.index(None))
        fill = 0.0
    out = [((fill if value is None else value) - mean) / std for value in values]
    for row, scaled in enumerate(out):
        if not -LARGEST <= scaled <= LARGEST:
            text = found.texts(name)[row]
            raise ConfigError(
                f"{found.sheet.where(row)}: '{escape(text)}' in column '{escape(name)}' is too large once scaled",
                f"look at mean and std of [columns.numeric.{escape(name)}] in the plan",
            )
    yield out
    if numeric.indicator:
        yield [float(value is None) for value in values]


def _one_hot(values: list[str | None], categorical: Categorical, name: str, found: Rows) -> Iterator[list[float]]:
    if categorical.missing == "refuse" and None in values:
        raise found.refused(name, values.index(None))
    for known in categorical.values:
        yield [float(value == known) for value in values]
    if categorical.indicator:
        yield [float(value is None) for value in values]
