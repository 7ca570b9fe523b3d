"""A table's cells, column by column, by the plan's account of what they mean and the site's of how they are written.

Knows which columns are declared, and which cells are missing; how an input is made of them is `table`'s.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable

from alx.columns import Categorical, Columns, Date
from alx.dialect import Dialect
from alx.errors import ConfigError, escape
from alx.tasks.data import alike, sheet
from alx.tasks.data.cell import Codes, Numbers, since
from alx.tasks.data.faults import Faults
from alx.tasks.data.sheet import Sheet

_YEAR = 365.25  # days


def replaced(there: Sheet, at: int, by: dict[str, str] | None) -> list[str]:
    """The texts of a column by its place, with values replaced."""
    found = [row[at] for row in there.rows]
    return found if by is None else [by.get(text, text) for text in found]


class Rows:
    """A table's cells.

    Args:
        there: the table.
        columns: what the plan declares.
        dialect: the site's account of how it is written.
        labelled: whether there has to be a label.

    Raises:
        ConfigError: a column that is declared is not there, or one that is called absent is; or there is no row.
    """

    def __init__(self, there: Sheet, columns: Columns, dialect: Dialect, *, labelled: bool = False) -> None:
        self.columns, self.dialect = columns, dialect
        self.sheet = there
        self._written = Numbers(dialect, self.sheet.delimiter)
        self._refuse_strangers()
        wanted = (*((columns.label,) if labelled else ()), *columns.numeric, *columns.date, *columns.categorical)
        if labelled and columns.label not in self.sheet.header:
            _refuse_unlabelled(columns.label, self.sheet)
        faults = Faults()
        for name in wanted:
            if name not in dialect.absent:
                with faults.gathered():
                    _position(name, self.sheet)
        faults.refuse()
        if not self.sheet.rows:
            raise ConfigError(f"'{self.sheet.name}' has a header and no rows", f"expected {sheet.FORMAT}")

    def _refuse_strangers(self) -> None:
        """Names in [data.table] that the plan does not have, or not as what they are taken for there."""
        declared = (*self.columns.numeric, *self.columns.date, *self.columns.categorical)
        dialect, known = self.dialect, (*declared, self.columns.label)
        numbers = (*self.columns.numeric, *(() if self.columns.classes else (self.columns.label,)))
        for field, names, wanted, what in (
            ("missing_in", dialect.missing_in, known, "column of the plan"),
            ("dates", dialect.dates, tuple(self.columns.date), "column of dates of the plan"),
            ("absent", dialect.absent, declared, "column of the plan"),
            ("factors", dialect.factors, numbers, "column of numbers of the plan"),
            ("values", dialect.values, (*known, *self.sheet.header), "column of the plan, nor of the file once renamed"),
        ):
            for name in names:
                if name not in wanted:
                    raise ConfigError(
                        f"[data.table] {field} in site.toml speaks of '{escape(name)}', which is no {what}",
                        alike.hint(name, wanted, f"the plan's: {escape(', '.join(dict.fromkeys(wanted)), 200) or 'none'}"),
                    )
        for name in dialect.absent:
            if not self.columns.may_lack(name):
                raise ConfigError(
                    f"[data.table] in site.toml calls column '{escape(name)}' absent, and the plan refuses missing cells",
                    "agree on what to put instead: missing in the plan, on both sides",
                )
            if name in self.sheet.header:
                raise ConfigError(
                    f"[data.table] in site.toml calls column '{escape(name)}' absent, and '{self.sheet.name}' has it",
                    "take it out of absent",
                )

    def texts(self, name: str) -> list[str]:
        """A column's cells; of an absent one, nothing."""
        if name in self.dialect.absent:
            return [""] * len(self.sheet.rows)
        return replaced(self.sheet, _position(name, self.sheet), self.dialect.values.get(name))

    def _codes(self, name: str, kept: tuple[str, ...] = ()) -> tuple[list[str], list[bool]]:
        """A column's cells with values replaced, and which of them are missing by what stands in the file itself."""
        found = self.texts(name)
        said = Codes(self.dialect, name, kept)
        if name not in self.dialect.values or name in self.dialect.absent:
            return found, [said(text) for text in found]
        at = _position(name, self.sheet)
        return found, [
            row[at] in self.dialect.missing_in.get(name, []) or said(text)
            for row, text in zip(self.sheet.rows, found, strict=True)
        ]

    def numbers(self, name: str) -> list[float | None]:
        """A column of numbers, or of dates counted from the agreed day; None where one is missing."""
        found, missing = self._codes(name)
        date = self.columns.date.get(name)
        if date is not None:
            reading = self._dated(name, date)
            return [
                None if gone else reading(text, row) for row, (text, gone) in enumerate(zip(found, missing, strict=True))
            ]
        coded = Codes(self.dialect, name, (), self._written).values
        out: list[float | None] = []
        for row, (text, gone) in enumerate(zip(found, missing, strict=True)):
            value = None if gone else self._written.sure(text)
            if value is None and not gone:
                value = self._written.read(text, self.sheet.where(row), name)
            out.append(None if value in coded else value)
        factor = self.dialect.factors.get(name)
        return out if factor is None else [None if value is None else value * factor for value in out]

    def _dated(self, name: str, date: Date) -> Callable[[str, int], float]:
        first, form = dt.date.fromisoformat(date.since), self.dialect.dates.get(name)
        each = _YEAR if date.unit == "years" else 1.0
        return lambda text, row: since(text, form, first, self.sheet.where(row), name) / each

    def values(self, name: str, categorical: Categorical) -> list[str | None]:
        """A column of categories; None where one is missing."""
        known = dict.fromkeys(categorical.values)
        found, missing = self._codes(name, tuple(known))
        for row, text in enumerate(found):
            if text not in known and not missing[row]:
                more = found.count(text) - 1
                rows = f", nor in {more} more rows" if more > 1 else ""
                raise ConfigError(
                    f"{self.sheet.where(row)}: '{escape(text)}' is no value of column {self._named(name)} in the plan{rows}",
                    alike.hint(
                        text,
                        categorical.values,
                        f"values: {escape(', '.join(categorical.values), 200)}; another word for one of them? values of "
                        "[data.table] in site.toml; for nothing? missing_in there; else agree on it in the plan",
                    ),
                )
        return [None if gone else text for text, gone in zip(found, missing, strict=True)]

    def labels(self) -> list[float]:
        """The label of each row: a class's place, or a number."""
        name, places = self.columns.label, self.columns.places
        found, missing = self._codes(name, tuple(places))
        coded = frozenset[float]() if places else Codes(self.dialect, name, (), self._written).values
        out: list[float] = []
        for row, text in enumerate(found):
            value = places.get(text)
            if missing[row]:
                value = None
            elif not places:
                value = self._written.read(text, self.sheet.where(row), name)  # type: ignore[assignment]
            if missing[row] or value in coded:
                raise ConfigError(
                    f"{self.sheet.where(row)}: the label column {self._named(name)} is {_empty(text)}",
                    "remove the row: a label is never filled in",
                )
            if value is None:
                raise ConfigError(
                    f"{self.sheet.where(row)}: '{escape(text)}' in column '{escape(name)}' is no class of the plan",
                    alike.hint(
                        text,
                        places,
                        f"classes: {escape(', '.join(places), 200)}; another word for one of them? values of [data.table] "
                        "in site.toml; else agree on it in the plan",
                    ),
                )
            out.append(value)
        factor = self.dialect.factors.get(name)
        return out if factor is None else [value * factor for value in out]

    @property
    def unused(self) -> list[str]:
        """Columns of the file, by their own names, that are no input, no label and no id."""
        columns = self.columns
        used = {*columns.numeric, *columns.date, *columns.categorical, *columns.ids, columns.label}
        return [own for own, name in zip(self.sheet.written, self.sheet.header, strict=True) if name not in used]

    def words(self, name: str) -> Counter[str]:
        """What stands in the cells of a column of categories that are taken as missing, though the site has no such code."""
        found, missing = self._codes(name, tuple(self.columns.categorical[name].values))
        coded = {*self.dialect.missing, *self.dialect.missing_in.get(name, [])}
        return Counter(text for text, gone in zip(found, missing, strict=True) if gone and text and text not in coded)

    def _named(self, name: str) -> str:
        """A column's name, and beside it what it is called in the file."""
        own = next((own for own, to in self.dialect.rename.items() if to == name), None)
        return f"'{escape(name)}'" + (f" ('{escape(own)}' in the file)" if own is not None else "")

    def refused(self, name: str, row: int) -> ConfigError:
        """That a missing cell is not provided for."""
        text = "" if name in self.dialect.absent else self.sheet.rows[row][_position(name, self.sheet)]
        return ConfigError(
            f"{self.sheet.where(row)}: column {self._named(name)} is {_empty(text)}",
            "fill it, remove the row, or declare missing in the plan",
        )


def _refuse_unlabelled(label: str, there: Sheet) -> None:
    hint = next((hint for found in there.header if (hint := alike.hint(found, [label], ""))), "")
    raise ConfigError(
        f"'{there.name}' has no column '{escape(label)}', which is the label",
        hint or "is it called otherwise? [data.table] rename says so; alx predict needs no label",
    )


def _position(wanted: str, there: Sheet) -> int:
    header, name = there.header, there.name
    count = header.count(wanted)
    if count == 1:
        return header.index(wanted)
    if count > 1:
        raise ConfigError(f"'{name}' has {count} columns '{escape(wanted)}', expected one", "rename or remove the others")
    hint = next((hint for found in header if (hint := alike.hint(found, [wanted], ""))), "")
    said = "[data.table] header says" if not there.first else f"its line {there.first} says"
    header = there.written
    raise ConfigError(
        f"'{name}' has no column '{escape(wanted)}'",
        hint
        or f"{said} {escape(', '.join(header), 200)}; look at [columns] in the plan; what is called otherwise or is not "
        "there, [data.table] rename and absent in site.toml say",
    )


def _empty(text: str) -> str:
    return f"missing ('{escape(text)}')" if text else "empty"
