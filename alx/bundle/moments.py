"""Sums over a site's samples that travel once, in the learner's first bundle: what its last layer is solved for with.

Knows numbers and names; knows no model and no folder. `docs/format.md` has how they lie in files, and what they must be.
"""

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from alx.bundle.layout import DATA_FOLDER, MAX_FILES, Layout, Tensor
from alx.bundle.signature import Sha256
from alx.errors import MalformedError
from alx.plan import MOST_SOLVED
from alx.records import Strict

if TYPE_CHECKING:
    import numpy as np

    _Array = np.ndarray[Any, np.dtype[np.float64]]

LARGEST = 1e100  # a float32 squared is below 1.2e77, and there are at most 2^53 samples
NEAR = 1e-6  # relative: what sums of the same numbers may differ by where they were added in another order

Size = Annotated[int, Field(ge=1, le=MOST_SOLVED)]


class Moments(Strict):
    """Sums over the sender's samples: of the last layer's inputs, class by class, and of their products."""

    features: Size = Field(description="inputs of the last layer; in the sums a 1 stands behind them")
    classes: Size = Field(description="its outputs")
    state: Sha256 = Field(description="SHA-256 of the raw sums")
    files: Annotated[list[str], Field(max_length=MAX_FILES)]

    @property
    def layout(self) -> Layout:
        """How the sums lie in memory and in files."""
        return layout(self.features, self.classes)


def layout(features: int, classes: int) -> Layout:
    """Sums by class, then the upper half of the second moments, row by row: the lower is the same."""
    rows = features + 1
    return Layout(
        (
            Tensor(name="by_class", dtype="F64", shape=[rows, classes]),
            Tensor(name="second", dtype="F64", shape=[rows * (rows + 1) // 2]),
        )
    )


def file_name(part: int) -> str:
    """The file of one part of the sums."""
    return f"{DATA_FOLDER}/moments-p{part:04d}.safetensors.zst"


def packed(second: "_Array", by_class: "_Array") -> bytes:
    """The raw sums.

    Args:
        second: symmetric, [features + 1, features + 1].
        by_class: [features + 1, classes].
    """
    import numpy as np  # noqa: PLC0415 - for bundles that have them alone

    upper = second[np.triu_indices(len(second))]
    return b"".join(np.ascontiguousarray(each, "<f8").tobytes() for each in (by_class, upper))


def unpacked(raw: bytes, said: Moments, samples: int) -> tuple["_Array", "_Array"]:
    """The inverse of `packed`, of sums that somebody else says are his.

    Args:
        raw: finite numbers, as many as `said` has.
        said: the manifest's.
        samples: the sender's.

    Returns:
        Second moments and sums by class.

    Raises:
        MalformedError: no samples have such sums, or not as many.
    """
    import numpy as np  # noqa: PLC0415 - as above

    rows, what = said.features + 1, "the moments are those of no samples"
    numbers = np.frombuffer(raw, "<f8")
    if np.abs(numbers).max() > LARGEST:
        raise MalformedError(f"{what}: one is {np.abs(numbers).max():.3g}, and no sum of features is above {LARGEST:g}")
    by_class = numbers[: rows * said.classes].reshape(rows, said.classes).copy()
    second = np.zeros((rows, rows))
    second[np.triu_indices(rows)] = numbers[rows * said.classes :]
    second = second + np.triu(second, 1).T
    counts, squares = by_class[-1], np.diagonal(second)
    if (counts < 0).any() or (counts != np.rint(counts)).any():
        raise MalformedError(f"{what}: they count {counts[(counts < 0) | (counts != np.rint(counts))][0]:g} of a class")
    if counts.sum() != samples or second[-1, -1] != samples:
        raise MalformedError(f"the moments are of {counts.sum():g} and {second[-1, -1]:g} samples, expected {samples}")
    # whole sums are those of all classes; and by Cauchy and Schwarz no product is above what its squares allow
    bound = np.sqrt(np.maximum(squares, 0))
    most, within = bound[:, None] * bound[None, :], bound[:, None] * np.sqrt(counts)[None, :]
    whole = by_class.sum(axis=1)
    if (squares < 0).any() or (np.abs(second) > most * (1 + NEAR)).any() or (np.abs(by_class) > within * (1 + NEAR)).any():
        raise MalformedError(f"{what}: a product is larger than its squares allow")
    if (np.abs(whole - second[:, -1]) > NEAR * (1 + bound * np.sqrt(samples))).any():
        raise MalformedError(f"{what}: the sums of the classes are not those of all samples")
    # what is left of the squares beside each class's mean: no weights of samples make it less than 0
    scatter = second - (by_class / np.maximum(counts, 1)) @ by_class.T
    try:
        np.linalg.cholesky(scatter + NEAR * squares.sum() * np.eye(rows))
    except np.linalg.LinAlgError as error:
        raise MalformedError(f"{what}: within the classes some weights would give squares below 0") from error
    return second, by_class
