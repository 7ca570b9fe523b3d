"""A description: what a site tells a peer of its data before they agree on a plan; a file for people, carried by people.

It is not signed, and no bundle holds one: nothing in alx reads a peer's. Whoever made it may take out of it what they
would rather not tell. Knows its form; decides nothing.
"""

import json
from typing import Annotated, Final, Literal

from pydantic import Field

from alx.bundle import strict_json
from alx.bundle.signature import Sha256
from alx.records import Finite, Strict

MAX_DESCRIPTION_BYTES = 16 << 20  # MAX_NAMES values of a column, some times over

MAX_UNIT = 80  # `years since 2020-01-01` has 22

FEW: Final = "few"
HIDDEN: Final = "hidden"
Cell = Annotated[int, Field(ge=0)] | Literal["few", "hidden"]
"""A count; `few`: it is below the least one that is told; `hidden`: another, or a rare value, would follow from it."""

Counts = dict[str, Cell]
Quantiles = dict[str, Finite]
"""By share, `0.5` for the median: rounded, so that at least as many numbers as the least count round to it."""


class Labels(Strict):
    """What is to be predicted: one of the three, or nothing where nothing can be told."""

    classes: Counts | None = Field(default=None, description="samples of each class")
    marks: Counts | None = Field(default=None, description="samples that have each of several labels")
    numbers: dict[str, Quantiles] | None = Field(default=None, description="where numbers are predicted")


class Told(Strict):
    """What is told of a column."""

    missing: Cell = Field(description="rows without a value")
    values: Counts | None = Field(default=None, description="of a column of categories: rows with each of the plan's values")
    quantiles: Quantiles | None = Field(default=None, description="of a column of numbers, before they are scaled")
    unit: Annotated[str, Field(max_length=MAX_UNIT)] | None = Field(
        default=None, description="of a column of dates: what its numbers count, and since which day"
    )


class Description(Strict):
    """What `alx describe` writes."""

    format: Literal["alx-description"]
    version: Literal[1]
    plan: Sha256 = Field(description="SHA-256 of the plan that says how the data are read; it may be a draft")
    least: Annotated[int, Field(ge=1)] = Field(description="counts below it are not told")
    samples: Annotated[int, Field(ge=1)] = Field(description="samples to train on, those kept for validation among them")
    shape: list[int] = Field(description="of one sample as the model gets it")
    labels: Labels
    columns: dict[str, Told] = Field(description="of a table, by the plan's names; of an .npz of numbers, by their places")
    pictures: dict[Literal["height", "width"], Quantiles] | None = Field(
        default=None, description="of a folder of images: pixels, before they are resized"
    )


def text(made: Description) -> bytes:
    """The file: JSON in ASCII, so that it can be shown on any screen, one item a line, so that a line can be taken out."""
    return (json.dumps(made.model_dump(exclude_none=True), indent=1) + "\n").encode("ascii")


def parse(data: bytes) -> Description:
    """Read a description.

    Raises:
        LimitError: larger than `MAX_DESCRIPTION_BYTES`.
        MalformedError: it is none.
    """
    value = strict_json.parse(data, "the description", MAX_DESCRIPTION_BYTES)
    return strict_json.validate(Description, value, "not a description", "make one with alx describe")
