"""A table in a CSV, each row an input by the plan's [columns]: numbers scaled, categories one-hot.

Knows CSV and the plan's columns; guesses nothing. A missing cell is refused, or filled as the plan declares.
"""

import csv
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from alx.errors import ConfigError, escape
from alx.plan import Categorical, Columns, Numeric, Plan
from alx.tasks.data import alike, decoder, place
from alx.tasks.data.samples import Held, Tensors

MISSING = ("", "na", "n/a", "nan", "null")  # in lower case; in a column of categories a declared value goes first
_MARKS = ",' \u2019\u00a0\u202f"  # what people put into numbers
LARGEST = torch.finfo(torch.float32).max
_FORMAT = "a CSV in UTF-8, with commas and a header"


def load(path: Path, kept: Path | None, plan: Plan) -> tuple[Held, Held | None]:
    """The rows of a table, and those of the table `kept`.

    Raises:
        ConfigError: as `read`; or the plan has no [columns], or has [images].
    """
    columns = columns_of(plan)
    own = read(place.checked(path, "file"), columns)
    return own, None if kept is None else read(place.checked(kept, "file"), columns)


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


def read(path: Path, columns: Columns, *, labelled: bool = True) -> Tensors:
    """Read a table.

    Args:
        path: the CSV; a byte-order mark, blank lines, columns not declared, and spaces around cells are passed over.
        columns: the plan's account of an input.
        labelled: False where nobody asks for labels: there may be no such column, and all targets are 0.

    Returns:
        Inputs float32 [n, numbers + categories] in the plan's order; targets int64 [n] with classes, else float32 [n].

    Raises:
        ConfigError: names the file, the line and the column.
    """
    rows, labels = [], []
    name = escape(path.name)
    wanted = (*((columns.label,) if labelled else ()), *columns.numeric, *columns.categorical)
    lines = _lines(path)
    _, header = next(lines)
    at = {column: _position(column, header, name) for column in wanted}
    for where, row in lines:
        cells = {column: row[i] for column, i in at.items()}
        rows.append(_row(cells, columns, where))
        labels.append(_label(cells[columns.label], columns, where) if labelled else 0)
    if not rows:
        raise ConfigError(f"'{name}' has a header and no rows", f"expected {_FORMAT}")
    kind = torch.int64 if columns.classes else torch.float32
    return Tensors(torch.tensor(rows, dtype=torch.float32), torch.tensor(labels, dtype=kind))


def texts(path: Path) -> dict[str, list[str]]:
    """Every column's cells as they stand there, spaces around them left off, by its name in the header.

    Raises:
        ConfigError: as `read`.
    """
    header, *rows = (cells for _, cells in _lines(path))
    return {name: [row[i] for row in rows] for i, name in enumerate(header)}


class Cells(NamedTuple):
    """The declared columns but the label's, as they stand there: None is a missing cell, whatever the plan fills it with.

    Attributes:
        numbers: of each numeric column, before it is scaled.
        texts: of each column of categories.
    """

    numbers: dict[str, list[float | None]]
    texts: dict[str, list[str | None]]


def cells(path: Path, columns: Columns) -> Cells:
    """What a table that `read` takes holds.

    Raises:
        ConfigError: as `read`.
    """
    lines = _lines(path)
    _, header = next(lines)
    at = {name: _position(name, header, escape(path.name)) for name in (*columns.numeric, *columns.categorical)}
    rows = list(lines)
    return Cells(
        {
            n: [None if _missing(row[at[n]]) else _number(row[at[n]], where, n) for where, row in rows]
            for n in columns.numeric
        },
        {n: [row[at[n]] if row[at[n]] in c.values else None for _, row in rows] for n, c in columns.categorical.items()},
    )


def _lines(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Where it stands, and its cells, of the header and each row."""
    name = escape(path.name)
    reading = decoder.reading(f"cannot read '{name}'", f"expected {_FORMAT}")
    with reading, path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        header = [cell.strip() for cell in next(reader, [])]
        rows = [(reader.line_num, cells) for cells in reader if cells]
    yield f"'{name}' line 1", header
    for number, cells in rows:
        where = f"'{name}' line {number}"
        if len(cells) != len(header):
            raise ConfigError(
                f"{where} has {len(cells)} cells, and the header {len(header)}",
                "a comma too many or too few? text with commas stands in double quotes",
            )
        yield where, [cell.strip() for cell in cells]


def _position(wanted: str, header: list[str], name: str) -> int:
    count = header.count(wanted)
    if count == 1:
        return header.index(wanted)
    if count > 1:
        raise ConfigError(f"'{name}' has {count} columns '{escape(wanted)}', expected one", "rename or remove the others")
    if not header:
        raise ConfigError(f"'{name}' is empty, or its first line is", f"expected {_FORMAT}")
    if len(header) == 1 and any(mark in header[0] for mark in ";\t|"):
        raise ConfigError(f"'{name}' is not separated by commas: '{escape(header[0])}'", f"expected {_FORMAT}")
    raise ConfigError(
        f"'{name}' has no column '{escape(wanted)}'",
        _in_the_file(wanted, header)
        or f"its first line says {escape(', '.join(header), 200)}; look at [columns] in the plan",
    )


def _in_the_file(wanted: str, header: list[str]) -> str:
    """Where a column of the file only looks like the one that is wanted: the difference."""
    told = (alike.hint(found, [wanted], "") for found in header)
    return next((hint for hint in told if hint), "")


def _missing(text: str) -> bool:
    return text.lower() in MISSING


def _number(text: str, where: str, column: str) -> float:
    try:
        value = math.nan if "_" in text else float(text)  # Python reads 1_0 as 10; in a table it is a slip
    except ValueError as error:
        hint = "decimals have a point, and thousands no mark: 265000.5" if any(mark in text for mark in _MARKS) else ""
        raise ConfigError(f"{where}: '{escape(text)}' in column '{escape(column)}' is no number", hint) from error
    if not abs(value) <= LARGEST:
        raise ConfigError(f"{where}: '{escape(text)}' in column '{escape(column)}' is no finite number")
    return value


def _row(cells: dict[str, str], columns: Columns, where: str) -> list[float]:
    out: list[float] = []
    for name, numeric in columns.numeric.items():
        out.append(_scaled(cells[name], numeric, name, where))
    for name, categorical in columns.categorical.items():
        out += _one_hot(cells[name], categorical, name, where)
    return out


def _empty(text: str) -> str:
    return f"missing ('{escape(text)}')" if text else "empty"


def _refuse_missing(text: str, name: str, where: str) -> ConfigError:
    return ConfigError(
        f"{where}: column '{escape(name)}' is {_empty(text)}", "fill it, remove the row, or declare missing in the plan"
    )


def _scaled(text: str, numeric: Numeric, name: str, where: str) -> float:
    if not _missing(text):
        value = _number(text, where, name)
    elif numeric.missing == "refuse":
        raise _refuse_missing(text, name, where)
    else:
        value = numeric.missing
    scaled = (value - numeric.mean) / numeric.std
    if not abs(scaled) <= LARGEST:
        raise ConfigError(
            f"{where}: '{escape(text)}' in column '{escape(name)}' is too large once scaled",
            f"look at mean and std of [columns.numeric.{escape(name)}] in the plan",
        )
    return scaled


def _one_hot(text: str, categorical: Categorical, name: str, where: str) -> list[float]:
    if text not in categorical.values:
        if not _missing(text):
            raise ConfigError(
                f"{where}: '{escape(text)}' is no value of column '{escape(name)}' in the plan",
                alike.hint(text, categorical.values, f"values: {escape(', '.join(categorical.values), 200)}"),
            )
        if categorical.missing == "refuse":
            raise _refuse_missing(text, name, where)
    return [float(text == value) for value in categorical.values]


def _label(text: str, columns: Columns, where: str) -> float:
    if text in columns.classes:
        return columns.classes.index(text)
    if _missing(text):
        raise ConfigError(
            f"{where}: the label column '{escape(columns.label)}' is {_empty(text)}",
            "remove the row: a label is never filled in",
        )
    if not columns.classes:
        return _number(text, where, columns.label)
    raise ConfigError(
        f"{where}: '{escape(text)}' in column '{escape(columns.label)}' is no class of the plan",
        alike.hint(text, columns.classes, f"classes: {escape(', '.join(columns.classes), 200)}"),
    )
