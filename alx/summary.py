"""What a site's data hold, in numbers: how many samples, of which classes, what stands in each column.

Knows values, exact ones: they are for the site's own people. What may be told to a peer is `alx.steps.disclosure`'s to
decide. Knows no file, no torch and no words.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from array import array

OFF = 3.0  # half of a column that is scaled by its own mean and std lies within 1 of 0; of a skewed one, within 3
FAR = 10.0  # a scaled number beyond it is no scaled number: of a normal column, one in 10^23 is
LIKE_AN_ID = 20  # whole numbers, each once, of at least so many rows: fewer may well be an age


@dataclass(frozen=True, slots=True)
class Numbers:
    """The numbers of a column, before they are scaled.

    Attributes:
        values: those that are there, in ascending order.
        missing: cells that are not.
        far: how many lie beyond `FAR` once scaled by the plan.
        unit: of a column of dates, what they are counted in and since when; else nothing.
        middle: the median once scaled by the plan; 0 where nothing scales it.
    """

    values: "array[float]"
    missing: int = 0
    far: int = 0
    unit: str = ""
    middle: float = 0.0

    @property
    def off(self) -> bool:
        """Whether most of it lies so far from the plan's mean that another unit may be the reason."""
        return abs(self.middle) > OFF

    @property
    def constant(self) -> bool:
        """Whether every row has the same number, or every row none."""
        return not self.values or (not self.missing and self.values[0] == self.values[-1])

    @property
    def like_an_id(self) -> bool:
        """Whether these are whole numbers of which none occurs twice."""
        v = self.values
        return len(v) >= LIKE_AN_ID and all(x.is_integer() for x in v) and all(a != b for a, b in pairwise(v))

    def quantile(self, share: float) -> float:
        """The least number that is not below this share of them (of those that are there, at least one)."""
        return self.values[max(1, ceil(share * len(self.values))) - 1]

    def json(self) -> dict[str, object]:
        """For machines."""
        there = {"least": self.values[0], "median": self.quantile(0.5), "most": self.values[-1]} if self.values else {}
        unit = {"unit": self.unit} if self.unit else {}
        shape = {"constant": self.constant, "far": self.far}
        return {"numbers": len(self.values), "missing": self.missing, **there, **shape, **unit}


@dataclass(frozen=True, slots=True)
class Values:
    """The values of a column of categories, each with its count; those that the plan names, in its order, 0 included."""

    counts: Mapping[str, int]
    missing: int = 0
    words: Mapping[str, int] = field(default_factory=dict)
    """Of `missing`: what stands in cells that the site names no code for, NA say, and in how many."""

    @property
    def constant(self) -> bool:
        """Whether every row has the same value, or every row none."""
        return sum(1 for count in (*self.counts.values(), self.missing) if count) <= 1

    def json(self) -> dict[str, object]:
        """For machines."""
        return {"counts": dict(self.counts), "missing": self.missing, "constant": self.constant}


Column = Numbers | Values


@dataclass(frozen=True, slots=True)
class Pictures:
    """The picture files of a folder.

    Attributes:
        heights, widths: as people see them, in pixels.
        modes: how many of each of Pillow's modes.
        resized: how many have another size than the plan's.
    """

    heights: Numbers
    widths: Numbers
    modes: Mapping[str, int]
    resized: int

    def json(self) -> dict[str, object]:
        """For machines."""
        return {
            "heights": self.heights.json(),
            "widths": self.widths.json(),
            "modes": dict(self.modes),
            "resized": self.resized,
        }


@dataclass(frozen=True, slots=True)
class Part:
    """Some samples of a site, and what their labels say: one of three, or nothing where there is too much to count.

    Attributes:
        samples: how many.
        classes: samples of each class, those of none too; each sample has one.
        marks: samples that have each of several labels; a sample may have any number of them.
        numbers: what is to be predicted, where it is one number or several.
    """

    samples: int
    classes: Mapping[str, int] | None = None
    marks: Mapping[str, int] | None = None
    numbers: Mapping[str, Numbers] | None = None
    agreed: bool = True
    """Which classes there are is the plan's or the model's to say; else the list itself was taken from the labels."""
    trained_on: int | None = None
    """Of samples kept from training, those that are trained on all the same; None: nobody looked."""

    def json(self) -> dict[str, object]:
        """For machines."""
        told: dict[str, object] = {"samples": self.samples}
        if self.classes is not None:
            told["classes"] = dict(self.classes)
        if self.marks is not None:
            told["labels"] = dict(self.marks)
        if self.numbers is not None:
            told["numbers"] = {name: numbers.json() for name, numbers in self.numbers.items()}
        if self.trained_on is not None:
            told["trained_on"] = self.trained_on
        return told


@dataclass(frozen=True, slots=True)
class Summary:
    """A site's data.

    Attributes:
        kind: of the data, as in site.toml.
        shape: of one sample as the model gets it.
        own: the site's own samples, as they were read, but those that a coin left out; `shared`: some of them are not
            trained on, but kept for validation.
        validation, held_out: those that models are selected on where they are not trained on; those kept apart for a score.
        columns: of a table, as the plan declares them; of an .npz of numbers, as they lie there.
        pictures: of a folder of images.
        stored: the shapes and types of an .npz's arrays, by name.
        unused: columns of a table, by the file's own names, that are no input, no label and no id.
    """

    kind: str
    shape: tuple[int, ...]
    own: Part
    shared: bool
    validation: Part | None
    held_out: Part | None
    columns: Mapping[str, Column]
    pictures: Pictures | None = None
    stored: Mapping[str, str] | None = None
    unused: Sequence[str] = ()

    def json(self) -> dict[str, object]:
        """For machines."""
        return {
            "kind": self.kind,
            "shape": list(self.shape),
            "own": self.own.json(),
            "shared": self.shared,
            "validation": None if self.validation is None else self.validation.json(),
            "held_out": None if self.held_out is None else self.held_out.json(),
            "columns": {name: column.json() for name, column in self.columns.items()},
            "pictures": None if self.pictures is None else self.pictures.json(),
            "stored": None if self.stored is None else dict(self.stored),
            "unused": list(self.unused),
        }
