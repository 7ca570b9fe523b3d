"""What a column of a table seems to hold, and what a first plan would say of it.

Knows kinds of values; what is certain is told, what is not is left to a person.
"""

import datetime as dt
import re
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from alx.dialect import Dialect
from alx.errors import ConfigError, escape
from alx.plan import toml
from alx.tasks.data import sheet
from alx.tasks.data.cell import Codes, Numbers, since

LEAST = 5  # rows that a value stands in before it goes into a plan: below it a value may point to a person
MOST_VALUES = 50  # text of more kinds is a name or prose
_DAY_ZERO = "2000-01-01"  # of dates, as good as any other, and no one's own


_MARKED = re.compile(r"[-+]?\d[\d.,:/' -]*")  # digits, and what stands between them in numbers and dates


class Column(NamedTuple):
    """What a column holds.

    Attributes:
        kind: number, date, category, text of too many kinds, marked (digits with marks that nobody explained), or empty.
        values: of a category or of numbers, those of at least `LEAST` rows.
        rare: the others.
        missing: whether some cells are.
        words: of a category, what stands in cells that are taken as missing, and might be a value: NA.
        strays: of a category most of whose values are numbers, those that are none.
    """

    kind: str
    values: list[str]
    rare: list[str]
    missing: bool
    words: tuple[str, ...] = ()
    strays: tuple[str, ...] = ()


def _kept(found: Counter[str]) -> tuple[list[str], list[str]]:
    """The values of enough rows and the others, in an order that tells nothing of how frequent they are."""

    def order(value: str) -> tuple[int, float, str]:
        number = Numbers(Dialect(), ",").sure(value)
        return (1, 0.0, value) if number is None else (0, number, value)

    names = sorted(found, key=order)
    return [v for v in names if found[v] >= LEAST], [v for v in names if found[v] < LEAST]


def _dated(texts: Sequence[str], form: str | None, name: str) -> bool:
    """Whether all are dates."""
    try:
        for text in texts:
            since(text, form, dt.date(2000, 1, 1), "", name)
    except ConfigError:
        return False
    return True


def look(there: sheet.Sheet, name: str, dialect: Dialect) -> Column:
    """What the column `name` seems to hold.

    Raises:
        ConfigError: a number may be two.
    """
    numbers = Numbers(dialect, there.delimiter)
    by, codes = dialect.values.get(name, {}), Codes(dialect, name, (), numbers)
    at = there.header.index(name)
    texts = [(row, by.get(cells[at], cells[at])) for row, cells in enumerate(there.rows) if not codes(cells[at])]
    held = [text for _, text in texts]
    if not held:
        return Column("empty", [], [], missing=True)
    values = [numbers.value(text) for text in held]
    if None not in values:
        for row, text in texts:
            numbers.read(text, there.where(row), name)  # refuses what may be two numbers
        left = [text for text, value in zip(held, values, strict=True) if value not in codes.values]
        known, rare = _kept(Counter(left))
        return Column("number", known, rare, missing=len(left) < len(there.rows))
    missing = len(held) < len(there.rows)
    if _dated(held, dialect.dates.get(name), name):
        return Column("date", [], [], missing)
    found = Counter(held)
    if len(found) > MOST_VALUES:
        return Column("marked" if all(_MARKED.fullmatch(text) for text in found) else "text", [], [], missing)
    others = sorted(text for text in found if numbers.sure(text) is None)
    gone = {cells[at] for cells in there.rows if cells[at] and codes(cells[at])}
    words = tuple(sorted(gone - {*dialect.missing, *dialect.missing_in.get(name, [])}))
    return Column("category", *_kept(found), missing, words, tuple(others) if 2 * len(others) < len(found) else ())


def declared(name: str, column: Column, *, values: bool, fill: bool) -> tuple[list[str], int]:
    """A column's lines in the plan, none where it cannot be an input; and how many numbers it becomes.

    Args:
        name: of the column.
        column: what it holds.
        values: whether values of categories may stand in the plan.
        fill: whether missing cells, where there are any, are provided for.
    """
    key, gone = toml(name), fill and column.missing
    end = ["indicator = true", ""] if gone else [""]
    if column.kind in ("number", "date"):
        filled = ["missing = 0.0"] if gone else []
        if column.kind == "number":
            return [f"[columns.numeric.{key}]", "mean = 0.0", "std = 1.0", *filled, *end], 1 + gone
        return [f"[columns.date.{key}]", f"since = {_DAY_ZERO}", 'unit = "years"', *filled, *end], 1 + gone
    if column.kind != "category" or not column.values:
        return [], 0
    if not values:
        return [f"# [columns.categorical.{key}]", "# values = []  # yours to agree on", ""], 0
    filled = ['missing = "zeros"'] if gone else []
    listed = f"values = {toml(column.values)}"
    return [f"[columns.categorical.{key}]", listed, *filled, *end], len(column.values) + gone


def told(name: str, column: Column, *, values: bool, role: str = "column") -> list[str]:
    """What is said of a column on the screen, where its values are seen by this site alone."""
    gone = ", some cells missing" if column.missing else ""
    if column.kind == "marked":
        how = "left out; a file for --table says how they are written: decimal, thousands, dates"
        return [f"LOOK: {role} '{escape(name)}': numbers or dates, as it seems; {how}"]
    what = {"number": "numbers", "date": "dates", "empty": "nothing; left out", "text": "text of many kinds; left out"}
    if column.kind != "category":
        return [f"{role} '{escape(name)}': {what[column.kind]}{gone if column.kind in ('number', 'date') else ''}"]
    goes = "these values go into the plan" if values else "not in the plan without --values"
    listed = escape(", ".join(column.values), 300) or "no value of enough rows"
    out = [f"{role} '{escape(name)}': {listed}{gone}; {goes}"]
    if column.strays:
        out.append(
            f"LOOK: {role} '{escape(name)}': numbers, but for {escape(', '.join(column.strays), 100)}; if that stands for a "
            "missing cell, missing in a file for --table says so"
        )
    if column.words:
        out.append(
            f"LOOK: {role} '{escape(name)}': {escape(', '.join(column.words))} is taken as missing; if it is a value, add "
            "it to values in the plan"
        )
    if column.rare:
        out.append(
            f"LOOK: {role} '{escape(name)}': {escape(', '.join(column.rare), 300)} left out, as fewer than {LEAST} "
            "rows have each; rows that have one are refused until the plan, or [data.table] values, says what they are"
        )
    return out
