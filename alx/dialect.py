"""How one site's table is written: the marks, names and codes that its file has. Knows the fields; opens no file.

What a value means is agreed in the plan; how a hospital happens to write it is the site's own, and never travels.
"""

import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from alx.errors import ConfigError, UsageError, escape
from alx.records import Strict, explain

DELIMITERS = (",", ";", "\t", "|")  # what programs write between cells; others would be somebody's joke
MAX_DIALECT_BYTES = 1 << 20  # a page of text; long lists of codes fit many times
MAX_SKIP = 10_000  # lines of a head; whoever has more has another kind of file
DAY = "%Y-%m-%d"  # ISO 8601: the one way to write a day that means one thing everywhere
_DIRECTIVES = (
    "YmdHMS"  # of strptime: no %y, which guesses the century, and no names of months, which go by the machine's language
)


def _text_encoding(name: str) -> str:
    try:
        "".encode(name)
    except (LookupError, ValueError) as error:
        raise ValueError(f"there is no encoding '{escape(name)}'; utf-8, latin-1 and cp1252 are some") from error
    return name


def _date_format(text: str) -> str:
    found = re.findall("%(.?)", text)
    if not set(found) <= set(_DIRECTIVES) or not {"Y", "m", "d"} <= set(found) or len(set(found)) < len(found):
        raise ValueError(f"'{escape(text)}' is no format of a date: expected %Y, %m and %d once each, as in %d.%m.%Y")
    return text


Encoding = Annotated[str, Field(max_length=40), AfterValidator(_text_encoding)]
Factor = Annotated[float, Field(gt=0)]
DateFormat = Annotated[str, Field(max_length=40), AfterValidator(_date_format)]


class Dialect(Strict):
    """How the CSV is written, those named by held_out and validation too: [data.table]. Columns go by the plan's names.

    All may be left out: delimiter, byte-order marks and empty first lines are found in the file where they leave no doubt.
    """

    delimiter: Literal[",", ";", "\t", "|"] | None = Field(
        default=None, description="between cells; left out: the one of them that is in the first line"
    )
    decimal: Literal[".", ","] | None = Field(
        default=None,
        description="decimal mark; left out: a point, and 1.234 is refused where cells are not parted by commas",
    )
    thousands: Literal[".", ",", "'", "\u2019", " ", "\u00a0", "\u202f"] | None = Field(
        default=None, description="mark between groups of three digits; left out: there is none"
    )
    encoding: Encoding | None = Field(
        default=None, description="as Python calls it, such as latin-1 or cp1252; left out: UTF-8, or by the byte-order mark"
    )
    skip: Annotated[int, Field(ge=0, le=MAX_SKIP)] = Field(default=0, description="lines before the table, not read")
    comment: Annotated[str, Field(min_length=1, max_length=10)] | None = Field(
        default=None, description="lines that begin with it are not read"
    )
    header: list[str] = Field(
        default_factory=list, description="names of all columns in order, where the file has no line of them"
    )
    rename: dict[str, str] = Field(default_factory=dict, description="this file's name of a column = the plan's")
    absent: list[str] = Field(
        default_factory=list, description="columns of the plan that are not in the file: missing in each row"
    )
    missing: list[str] = Field(
        default_factory=list,
        description="what stands for a missing cell in any column; a value or class of the plan goes first",
    )
    missing_in: dict[str, list[str]] = Field(
        default_factory=dict, description="what stands for a missing cell in one column, whatever else it may mean there"
    )
    values: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="of a column: this file's value = the plan's"
    )
    dates: dict[str, DateFormat] = Field(
        default_factory=dict, description=f"how a column's dates are written, as %d.%m.%Y; left out: {DAY}"
    )

    factors: dict[str, Factor] = Field(
        default_factory=dict, description="of a column of numbers in another unit: what a number here is multiplied by"
    )

    @model_validator(mode="after")
    def _marks_differ(self) -> Self:
        if self.thousands is not None and self.thousands == (self.decimal or "."):
            raise ValueError(f"decimal and thousands are both '{self.thousands}'")
        for name, other in self.rename.items():
            if list(self.rename.values()).count(other) > 1:
                raise ValueError(f"rename gives '{escape(other)}' to two columns, '{escape(name)}' is one")
        return self

    def without(self, name: str) -> Self:
        """The same for a table in which a column of the plan may be missing, as its label where nobody asks for it."""
        return self.model_copy(update={"rename": {own: to for own, to in self.rename.items() if to != name}})


def load(path: Path) -> Dialect:
    """Read a TOML file of these fields.

    Raises:
        UsageError: there is no such file.
        ConfigError: it is no TOML, or a field is unknown or out of range.
    """
    name = escape(path.name)
    if not path.is_file():
        raise UsageError(f"there is no file '{escape(str(path), 200)}'", "it has the fields of [data.table]: docs/site.md")
    with path.open("rb") as file:
        data = file.read(MAX_DIALECT_BYTES + 1)
    if len(data) > MAX_DIALECT_BYTES:
        raise ConfigError(f"{name} has more than {MAX_DIALECT_BYTES} bytes, expected the fields of [data.table]")
    try:
        fields = tomllib.loads(data.decode("utf-8"))
        if set(fields) == {"data"} and isinstance(fields["data"], dict) and set(fields["data"]) == {"table"}:
            fields = fields["data"]["table"]  # as it stands in site.toml, with its heading
        return Dialect.model_validate(fields)
    except ValidationError as error:
        raise ConfigError(f"{name}: {explain(error)}", "docs/site.md describes every field of [data.table]") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{name} is not TOML: {escape(str(error))}", "save it as UTF-8") from error
