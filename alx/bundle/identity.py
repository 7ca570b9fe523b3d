"""A site as it introduces itself: one small file, carried to the peer once, compared by people through its words.

Knows the file's form; knows no folder. The words cover the whole file: key, plan, model and sample count, so whoever
changes any of these on the disk changes the words.
"""

import hashlib
import itertools
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from alx import plan
from alx.bundle import age, keys, strict_json
from alx.bundle.frozen import Frozen
from alx.bundle.keys import PublicKey
from alx.bundle.layout import MAX_SAMPLES, MAX_TENSORS, Layout, Tensor, layout_order
from alx.bundle.signature import Sha256
from alx.errors import ConfigError, MalformedError
from alx.plan import PlanFile
from alx.records import Finite, Role, Strict

Made = Annotated[str, Field(pattern=r"^(classes|labels|numbers) [0-9x]{1,64}$")]
Objective = dict[Made, Annotated[list[Finite | None], Field(max_length=64)]]
MAX_IDENTITY_BYTES = 8 << 20  # a plan, a key, and MAX_TENSORS names
IDENTITY_NAME = "identity.json"


class IdentityFile(Strict):
    """What a site tells its peer before round 1."""

    format: Literal["alx-identity"]
    version: Literal[1]
    role: Role
    public_key: Annotated[str, Field(max_length=keys.MAX_PEM_BYTES)] = Field(description="SubjectPublicKeyInfo PEM")
    recipient: Annotated[str, Field(max_length=age.MAX_RECIPIENT)] | None = Field(
        default=None, description="where the plan encrypts: the age recipient to which bundles for this site are encrypted"
    )
    plan: str = Field(description="the text of plan.toml, byte for byte")
    code: Sha256 | None = Field(description="SHA-256 of the model's own .py file, if the plan names one")
    samples: Annotated[int, Field(ge=1, le=MAX_SAMPLES)] = Field(
        description="number of the site's own samples that losses are sums over"
    )
    objective: Objective | None = Field(
        default=None,
        description="losses of samples made up from the plan's seed, by kind of targets, which the peer compares with its "
        "own; null where none could be made up",
    )
    inputs: Literal["pixels", "table", "numbers"] | None = Field(
        default=None, description="what a sample is made of; null for a task of one's own"
    )
    tensors: Annotated[list[Tensor], Field(min_length=1, max_length=MAX_TENSORS)] = Field(
        description="the common model's tensors that travel, in layout order"
    )
    frozen: Frozen | None = Field(default=None, description="those that stay at home; null where all of it travels")


@dataclass(frozen=True)
class Identity:
    """An identity file and the exact bytes it was read from."""

    file: IdentityFile
    data: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the bytes."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def words(self) -> str:
        """Twelve words to read out loud."""
        return keys.words(self.digest)

    @cached_property
    def key(self) -> PublicKey:
        """The public key."""
        return keys.parse_public(self.file.public_key, "the identity's key")

    @cached_property
    def plan_file(self) -> PlanFile:
        """The plan it was made under."""
        return plan.parse(self.file.plan.encode("utf-8"), "the identity's plan")

    @property
    def layout(self) -> Layout:
        """The model's."""
        return Layout(tuple(self.file.tensors))


LIKENESS, NEARLY_0 = 1e-4, 1e-6  # what the same loss may differ by on two machines, relative and absolute


def differ(here: Objective | None, there: Objective | None) -> str:
    """Where two objectives differ, in words; empty where they do not, as far as both were tried at the same samples."""
    for kind in (here or {}).keys() & (there or {}).keys():
        pairs = list(itertools.zip_longest((here or {})[kind], (there or {})[kind]))
        for i, (a, b) in enumerate(pairs):
            if a != b and (a is None or b is None or not math.isclose(a, b, rel_tol=LIKENESS, abs_tol=NEARLY_0)):
                return f"at the made-up sample {i} of {len(pairs)} ({kind}) it is {_number(a)} here and {_number(b)} there"
    return ""


def comparable(here: IdentityFile, there: IdentityFile) -> bool:
    """Whether both objectives were tried at the same made-up samples."""
    return bool((here.objective or {}).keys() & (there.objective or {}).keys())


def _number(loss: float | None) -> str:
    return "not finite" if loss is None else f"{loss:.6g}"


def of(file: IdentityFile) -> Identity:
    """An identity with the bytes of its file; the same values give the same bytes."""
    return Identity(file, strict_json.text(file))


def parse(data: bytes) -> Identity:
    """Read an identity file from outside.

    Raises:
        LimitError: larger than `MAX_IDENTITY_BYTES`.
        MalformedError: no identity file, no usable key or plan in it.
    """
    value = strict_json.parse(data, "the identity file", MAX_IDENTITY_BYTES)
    try:
        identity = Identity(
            strict_json.validate(IdentityFile, value, "not an identity file", "make one with alx identity"), data
        )
        _ = identity.key, identity.plan_file
    except ConfigError as error:
        raise MalformedError(f"the identity file's plan: {error.message}") from error
    except ValueError as error:  # a lone surrogate cannot be UTF-8; TOML's reader takes no number of 5,000 digits
        raise MalformedError("the identity file's plan is not a plan") from error
    if (identity.file.recipient is not None) != identity.plan_file.plan.encrypt:
        raise MalformedError("the identity has an age recipient where the plan does not encrypt, or none where it does")
    names = [t.name for t in identity.file.tensors]
    if names != [t.name for t in layout_order(identity.file.tensors)] or len(set(names)) != len(names):
        raise MalformedError("the identity file's tensors are not in layout order")
    strict_json.require_form(data, identity.file, "the identity file")
    if identity.file.public_key != identity.key.pem:
        raise MalformedError("the identity's key is not written in the one form of a PEM public key")
    return identity
