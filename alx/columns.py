"""What the values of a table mean, and how a row of them becomes a model's input: the plan's [columns].

Knows names, numbers and days; knows no file. How a hospital writes a value is in its own site.toml.
"""

import datetime as dt
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from alx.errors import escape
from alx.records import Finite, Strict

MAX_NAMES = 50_000  # classes, or values of one category: ImageNet-21k has 21,841


def _distinct(names: list[str]) -> list[str]:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"'{escape(name)}' stands there twice")
        seen.add(name)
    return names


def _day(value: object) -> object:
    """TOML has days of its own; kept as text, since plans are written as JSON's values too."""
    is_day = isinstance(value, dt.date) and not isinstance(value, dt.datetime)
    return value.isoformat() if is_day else value  # type: ignore[attr-defined]


def _is_day(text: str) -> str:
    try:
        if dt.date.fromisoformat(text).isoformat() == text:
            return text
    except ValueError:
        pass
    raise ValueError(f"'{escape(text)}' is no day, expected one as 2020-01-31")


def _merged(classes: dict[str, list[str]]) -> dict[str, list[str]]:
    for name, levels in classes.items():
        if not levels:
            raise ValueError(f"the class '{escape(name)}' has no value")
    _distinct([level for levels in classes.values() for level in levels])
    return classes


Names = Annotated[list[str], Field(max_length=MAX_NAMES), AfterValidator(_distinct)]
Merged = Annotated[dict[str, list[str]], Field(max_length=MAX_NAMES), AfterValidator(_merged)]
Day = Annotated[str, BeforeValidator(_day), AfterValidator(_is_day)]
_INDICATOR = "one more input, after the column's own: 1 where the cell is missing, else 0"


class Numeric(Strict):
    """A column of numbers: (value - mean) / std."""

    mean: Finite = Field(default=0.0, description="subtracted")
    std: Annotated[float, Field(gt=0)] = Field(default=1.0, description="divides")
    missing: Literal["refuse"] | Finite = Field(default="refuse", description="refuse, or the value to put instead")
    indicator: bool = Field(default=False, description=_INDICATOR)

    @model_validator(mode="after")
    def _is_shown_only_if_taken(self) -> Self:
        if self.indicator and self.missing == "refuse":
            raise ValueError(
                "indicator says where a cell is missing, and a missing cell is refused: say what to put instead"
            )
        return self


class Date(Numeric):
    """A column of dates: days or years since an agreed day, (value - mean) / std; what is missing is so counted too."""

    since: Day = Field(description="the day that is 0, such as 2020-01-31")
    unit: Literal["days", "years"] = Field(default="days", description="what is counted; a year is 365.25 days")

    @property
    def counted(self) -> str:
        """What its numbers are, in words: `years since 2020-01-01`."""
        return f"{self.unit} since {self.since}"


class Categorical(Strict):
    """A column of categories: one-hot over `values`."""

    values: Names = Field(min_length=1, description="every category, in order")
    missing: Literal["refuse", "zeros"] = Field(default="refuse", description="refuse, or an all-zero one-hot")
    indicator: bool = Field(default=False, description=_INDICATOR)

    @model_validator(mode="after")
    def _is_shown_only_if_taken(self) -> Self:
        if self.indicator and self.missing == "refuse":
            raise ValueError('indicator says where a cell is missing, and a missing cell is refused: missing = "zeros"')
        return self


class Columns(Strict):
    """How a row of a table becomes the model's input: numbers, then dates, then categories, each in the order written.

    The same on both sides.
    """

    label: str = Field(description="the column to predict")
    classes: Names | Merged = Field(
        default_factory=list,
        description='label values in order; or { no = ["0"], yes = ["1", "2"] }; none: the label is a number',
    )
    numeric: dict[str, Numeric] = Field(default_factory=dict, description="columns of numbers")
    date: dict[str, Date] = Field(default_factory=dict, description="columns of dates")
    categorical: dict[str, Categorical] = Field(default_factory=dict, description="columns of categories")
    ids: Names = Field(
        default_factory=list, description="columns that name a row or a person: refused as an input or the label"
    )

    @model_validator(mode="after")
    def _some_and_distinct(self) -> Self:
        names = [*self.numeric, *self.date, *self.categorical]
        if not names:
            raise ValueError("no column is declared: add [columns.numeric.NAME] or [columns.categorical.NAME]")
        if len({*names, self.label}) != len(names) + 1:
            raise ValueError("a column is declared twice, or is the label")
        for name in self.ids:
            if name in (*names, self.label):
                raise ValueError(
                    f"'{escape(name)}' is one of ids, which no model may learn, and is declared as a column too"
                )
        return self

    @property
    def places(self) -> dict[str, int]:
        """The place of each label value among the classes; none where the label is a number."""
        if isinstance(self.classes, dict):
            return {level: i for i, levels in enumerate(self.classes.values()) for level in levels}
        return {name: i for i, name in enumerate(self.classes)}

    @property
    def width(self) -> int:
        """How many numbers an input has."""
        numbers = (*self.numeric.values(), *self.date.values())
        return sum(1 + c.indicator for c in numbers) + sum(len(c.values) + c.indicator for c in self.categorical.values())

    def may_lack(self, name: str) -> bool:
        """Whether a declared column's cells may be missing."""
        column = self.numeric.get(name) or self.date.get(name) or self.categorical.get(name)
        return column is not None and column.missing != "refuse"
