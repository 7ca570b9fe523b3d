"""What of a model stays at home because nothing changes it, named by one digest that sites and auditors compare.

Knows names, dtypes, shapes and digests of tensors; knows no weight.
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import Field

from alx import files
from alx.bundle.layout import MAX_STATE_BYTES, MAX_TENSORS, Layout
from alx.bundle.signature import Sha256
from alx.errors import ModelError, count
from alx.records import Strict


class Frozen(Strict):
    """The frozen tensors of the common model."""

    tensors: Annotated[int, Field(ge=1, le=MAX_TENSORS)] = Field(description="how many there are")
    bytes: Annotated[int, Field(ge=0, le=MAX_STATE_BYTES)] = Field(description="what they take, raw")
    digest: Sha256 = Field(
        description="SHA-256 of a line `dtype shape name SHA-256` for each tensor in layout order, the last of its raw bytes"
    )

    @classmethod
    def of(cls, layout: Layout, digests: Mapping[str, str]) -> Self:
        """Name tensors.

        Args:
            layout: of them.
            digests: SHA-256 of the raw bytes of each, in hexadecimal, by name.
        """
        lines = "".join(f"{t.dtype} {'x'.join(map(str, t.shape))} {t.name} {digests[t.name]}\n" for t in layout.tensors)
        return cls(
            tensors=len(layout.tensors), bytes=layout.nbytes, digest=hashlib.sha256(lines.encode("utf-8")).hexdigest()
        )

    @property
    def words(self) -> str:
        """For people."""
        return f"{count(self.tensors, 'tensor')}, {files.size(self.bytes)}, SHA-256 {self.digest[:16]}…"


def refuse_other(got: Frozen | None, expected: Frozen | None, whose: str) -> None:
    """Compare what is frozen with what was agreed on.

    Args:
        got: there.
        expected: of this site's own model.
        whose: there is, for the message: "the peer's".

    Raises:
        ModelError: they differ.
    """
    if got != expected:
        there, here = ("none" if each is None else each.words for each in (got, expected))
        raise ModelError(
            f"{whose} frozen weights are others: expected {here}, got {there}",
            "both sites need the same ones: give both the same file by alx init --init, or neither",
        )
