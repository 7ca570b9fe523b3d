"""How a bundle's folder and a model's state are laid out: names of files, tensors in their order, parts of a state.

Knows names, dtypes and shapes; opens no file.
"""

import hashlib
import math
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from alx import order
from alx.errors import MalformedError, ModelError, escape
from alx.records import Role, Strict

MANIFEST_NAME = "manifest.json"
CLOSING_NAME = "closing.json"  # stands in a closing where a bundle has its manifest
DATA_FOLDER = "data"
MAX_FILES = 50_000  # their digests fit in MAX_SIGNATURE_BYTES
MAX_TENSORS = 20_000  # a large language model has some thousand
MAX_STATE_BYTES = 1 << 40  # a terabyte a snapshot: far above what a disk is carried for
MAX_SAMPLES = 1 << 53  # counts stay exact as JSON numbers
PART_BYTES = 16 << 20  # raw bytes of a snapshot in one file: FAT32-safe, and a few at once fit in any memory

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
BUNDLE = re.compile(r"alx-([0-9a-f]{8})-r([0-9]{3,4})-(learner|provider|closing)")
SHARE = re.compile(rf"{BUNDLE.pattern}\.[0-9]{{1,2}}-of-[0-9]{{1,2}}")  # on one of several disks
# Bytes of one element, by the dtype's name in safetensors.
DTYPES = {
    "F64": 8,
    "I64": 8,
    "U64": 8,
    "C64": 8,
    "F32": 4,
    "I32": 4,
    "U32": 4,
    "F16": 2,
    "BF16": 2,
    "I16": 2,
    "U16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
}
FLOATS = ("F64", "F32", "F16", "BF16", "C64", "F8_E4M3", "F8_E5M2")


def _tensor_name(name: str) -> str:
    if any(unicodedata.category(c).startswith(("C", "Z")) for c in name):
        raise ValueError("a tensor's name has a space or a control character")
    return name


class Tensor(Strict):
    """One tensor of the common model."""

    name: Annotated[str, Field(min_length=1, max_length=256), AfterValidator(_tensor_name)]
    dtype: Literal[
        "F64",
        "I64",
        "U64",
        "C64",
        "F32",
        "I32",
        "U32",
        "F16",
        "BF16",
        "I16",
        "U16",
        "I8",
        "U8",
        "BOOL",
        "F8_E4M3",
        "F8_E5M2",
    ]
    shape: Annotated[list[Annotated[int, Field(ge=0, le=1 << 40)]], Field(max_length=16)]

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor, raw."""
        return math.prod(self.shape) * DTYPES[self.dtype]


def bundle_name(plan: str, round_: int, role: Role) -> str:
    """`alx-<first 8 of the plan's digest>-r<round>-<role>`."""
    return f"alx-{plan[:8]}-r{round_:03d}-{role}"


def closing_name(plan: str, round_: int) -> str:
    """`alx-<first 8 of the plan's digest>-r<the last round>-closing`."""
    return f"alx-{plan[:8]}-r{round_:03d}-closing"


Kind = Literal["learner", "provider", "closing"]


@dataclass(frozen=True, slots=True)
class Place:
    """Which turn a bundle is, by its name: all that is known of one that nobody here can open.

    Attributes:
        plan: the first 8 digits of the plan's digest.
        round: its round.
        kind: whose turn it is, or the closing.
    """

    plan: str
    round: int
    kind: Kind

    @property
    def sender(self) -> Role:
        """Whose it is: the closing is the learner's."""
        return "provider" if self.kind == "provider" else "learner"

    @property
    def sequence(self) -> int:
        """Its place in the whole exchange, from 1."""
        return order.closing(self.round) if self.kind == "closing" else order.sequence(self.kind, self.round)

    def __str__(self) -> str:
        """For people."""
        return (
            f"the closing after round {self.round}" if self.kind == "closing" else f"round {self.round} of the {self.kind}"
        )


def place(name: str) -> Place:
    """Which turn a bundle of that name is.

    Args:
        name: as signed; a folder can be renamed by anybody.

    Raises:
        MalformedError: no bundle has such a name.
    """
    found = BUNDLE.fullmatch(name)
    if found is None:
        raise MalformedError(f"signed as '{escape(name)}', a name that no bundle has", "ask the sender")
    kind: Kind = "learner" if found[3] == "learner" else "provider" if found[3] == "provider" else "closing"
    return Place(found[1], int(found[2]), kind)


def part_name(candidate: int, part: int) -> str:
    """The file of one part of one candidate."""
    return f"{DATA_FOLDER}/c{candidate:04d}-p{part:04d}.safetensors.zst"


def layout_order(tensors: Iterable[Tensor]) -> list[Tensor]:
    """Larger elements first, then by name: every element is then aligned in the flat state."""
    return sorted(tensors, key=lambda t: (-DTYPES[t.dtype], t.name))


@dataclass(frozen=True, slots=True)
class Layout:
    """The flat state: the little-endian bytes of all tensors in layout order, one after the other."""

    tensors: tuple[Tensor, ...]

    @property
    def nbytes(self) -> int:
        """Bytes of one raw state."""
        return sum(t.nbytes for t in self.tensors)

    @property
    def parts(self) -> int:
        """Files a state is cut into."""
        return max(1, -(-self.nbytes // PART_BYTES))

    def part(self, index: int) -> tuple[int, int]:
        """First and past-the-last byte of one part."""
        return index * PART_BYTES, min((index + 1) * PART_BYTES, self.nbytes)

    def spans(self) -> list[tuple[Tensor, int, int]]:
        """Each tensor with its first and past-the-last byte in the state."""
        out, at = [], 0
        for t in self.tensors:
            out.append((t, at, at + t.nbytes))
            at += t.nbytes
        return out

    @property
    def fingerprint(self) -> str:
        """SHA-256 over a line `dtype shape name` for each tensor: the agreed model's name."""
        lines = "".join(f"{t.dtype} {'x'.join(map(str, t.shape))} {t.name}\n" for t in self.tensors)
        return hashlib.sha256(lines.encode("utf-8")).hexdigest()


def check_model(got: Iterable[Tensor], expected: Layout) -> None:
    """Compare tensors with the agreed model's.

    Raises:
        ModelError: names the first few tensors that differ, expected and got.
    """
    theirs, ours = {t.name: t for t in got}, {t.name: t for t in expected.tensors}
    told = [
        f"'{escape(name)}' expected {_shape(ours.get(name))}, got {_shape(theirs.get(name))}"
        for name in dict.fromkeys([*ours, *theirs])
        if ours.get(name) != theirs.get(name)
    ]
    if told:
        more = f" and {len(told) - 3} more" if len(told) > 3 else ""  # noqa: PLR2004 - three fill a line
        raise ModelError("the model is another one: " + "; ".join(told[:3]) + more, "both sites need the same model")


def _shape(tensor: Tensor | None) -> str:
    return "nothing" if tensor is None else f"{tensor.dtype}{tensor.shape}"
