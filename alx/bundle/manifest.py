"""What a bundle says about itself, and the limits of all of it. The only numbers about data that ever travel.

Knows names, shapes, steps and sums; opens no file. Read `Manifest` to see everything that leaves a site beside the
weights: the sample count, one loss sum for each candidate, and the global loss the sender started from. Four versions of
the format are read, `Version1` to `Version4`; the last alone is written.
"""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from alx import order
from alx.bundle import strict_json
from alx.bundle.frozen import Frozen
from alx.bundle.layout import (
    FLOATS,
    MANIFEST_NAME,
    MAX_FILES,
    MAX_SAMPLES,
    MAX_STATE_BYTES,
    MAX_TENSORS,
    Layout,
    Tensor,
    bundle_name,
    layout_order,
    part_name,
)
from alx.bundle.moments import Moments, file_name
from alx.bundle.restored import Restored
from alx.bundle.signature import Sha256
from alx.errors import LimitError, MalformedError, NotFiniteError, escape
from alx.plan import MAX_ROUNDS, MAX_STEPS
from alx.records import Role, Strict

FORMAT = "alx-bundle"
MAX_MANIFEST_BYTES = 16 << 20  # MAX_CANDIDATES candidates and MAX_TENSORS tensors fit in less
MAX_CANDIDATES = 4096  # snapshots of a turn; a paper run has 41
MAX_BLENDS = 64  # of a turn; alx offers 8
MAX_TURNS = 1_000_000  # of a budget; a plan has 1,000 rounds and 100 spare turns, and restores count too
SOLVED_IN = 2  # the sequence of the bundle that may have a layer solved for: the answer to the one with the moments
KEYFRAME_EVERY = 16  # candidates between keyframes: one bad file costs at most 16 of them

Loss = Annotated[float, Field(allow_inf_nan=True, description="a sum over samples")]  # `parse` refuses by name
Count = Annotated[int, Field(ge=1, le=MAX_SAMPLES)]


class Party(Strict):
    """A side of the exchange."""

    role: Role
    key: Sha256 = Field(description="SHA-256 of the public key's PEM file")


class Start(Strict):
    """Where the sender's turn began: the candidate it selected out of the bundle it answers."""

    candidate: Annotated[int, Field(ge=0, lt=MAX_CANDIDATES)]
    global_loss: Loss = Field(description="own plus the signed loss sum of that candidate, as the sender found it")
    samples: Count = Field(description="samples on both sides")


Share = Annotated[float, Field(ge=0, le=4)]


class Blend(Strict):
    """How a candidate was made: start + own * (O - start) + peer * (P - start) + momentum * (start - before)."""

    own_step: Annotated[int, Field(ge=1, le=MAX_STEPS)] = Field(description="the sender's own snapshot")
    peer_bundle: Sha256 = Field(description="the receiver's own bundle that held the other state")
    peer_step: Annotated[int, Field(ge=1, le=MAX_STEPS)] = Field(description="that state's step")
    own: Share = Field(description="share of the way to O, the sender's own snapshot")
    peer: Share = Field(description="share of the way to P, the other state")
    momentum: Share = Field(description="share of the way from the start of the sender's turn before to this one's")

    @model_validator(mode="after")
    def _of_something(self) -> Self:
        if not self.own + self.peer:
            raise ValueError("a blend has no share of either state")
        return self


class Candidate(Strict):
    """One model on offer: a snapshot of the trajectory, a blend, or one whose last layer was solved for."""

    step: Annotated[int, Field(ge=0, le=MAX_STEPS)] | None = Field(
        description="null for a blend, and for what was solved for"
    )
    blend: Blend | None = None
    loss: Loss = Field(description="the sender's own loss sum, in evaluation mode")
    state: Sha256 = Field(description="SHA-256 of the raw state")
    keyframe: bool = Field(description="true: decoded alone; false: a delta against the candidate before it, or a recipe")
    files: Annotated[list[str], Field(max_length=MAX_FILES)] = Field(description="none where a blend travels as its recipe")
    solved: bool = Field(
        default=False,
        exclude_if=lambda value: not value,
        description="its last layer was solved for, out of both sides' moments; left out where it was not",
    )

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if (self.step is not None) + (self.blend is not None) + self.solved != 1:
            raise ValueError("a candidate is either a snapshot with a step, a blend, or solved for")
        return self

    @property
    def label(self) -> str:
        """Short words for people."""
        if self.solved:
            return "solved"
        if self.blend is None:
            return f"t={self.step}"
        momentum = f" m{self.blend.momentum:g}" if self.blend.momentum else ""
        return f"blend {self.blend.own:g}+{self.blend.peer:g}{momentum}"


class Spending(Strict):
    """What of its privacy budget the sender has spent, this turn included, and the noise in what it tells."""

    epsilon: Annotated[float, Field(ge=0)] = Field(description="of all its turns so far, at most")
    delta: Annotated[float, Field(gt=0, lt=1)]
    turns: Annotated[int, Field(ge=1, le=MAX_TURNS)] = Field(
        description="of the budget that are gone; never fewer than before"
    )
    noise: Annotated[float, Field(gt=0)] = Field(description="multiplier of the noise in each step")
    rate: Annotated[float, Field(gt=0, le=1)] = Field(description="the chance of each sample to be in a step")
    steps: Annotated[int, Field(ge=1, le=MAX_STEPS)]
    loss_noise: Annotated[float, Field(gt=0)] = Field(description="multiplier of the noise in loss sums and choices")
    deviation: Annotated[float, Field(gt=0)] = Field(description="standard deviation of the noise in each loss sum here")


class Head(Strict):
    """What a bundle's manifest begins with, and what a closing is made of: who, to whom, and where in the exchange."""

    format: str
    version: int
    sender: Party
    receiver: Party
    plan: Sha256
    round: Annotated[int, Field(ge=1, le=MAX_ROUNDS)]
    sequence: Annotated[int, Field(ge=1, le=2 * MAX_ROUNDS)] = Field(description="place in the whole exchange, from 1")
    previous: Sha256 | None = Field(description="digest of the sender's bundle before this one")
    answers: Sha256 | None = Field(description="digest of the receiver's bundle that this one answers")
    start: Start | None = Field(description="null in the learner's first turn, which starts from theta^0")
    samples: Count = Field(description="number of the sender's own samples that the losses are sums over")


class Manifest(Head):
    """Everything a bundle says about itself, in whichever version."""

    format: Literal["alx-bundle"]
    version: Literal[1, 2, 3, 4]
    tensors: Annotated[list[Tensor], Field(min_length=1, max_length=MAX_TENSORS)]
    candidates: Annotated[list[Candidate], Field(min_length=2, max_length=MAX_CANDIDATES)]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.sender.role == self.receiver.role:
            raise ValueError("sender and receiver have the same role")
        if self.sequence != order.sequence(self.sender.role, self.round):
            raise ValueError(f"sequence {self.sequence} is not that of round {self.round}'s {self.sender.role}")
        if [t.name for t in self.tensors] != [t.name for t in layout_order(self.tensors)]:
            raise ValueError("tensors are not in layout order")
        if len({t.name for t in self.tensors}) != len(self.tensors):
            raise ValueError("a tensor is listed twice")
        if (self.start is None) != (self.sequence == 1) or (self.answers is None) != (self.sequence == 1):
            raise ValueError("start and answers are missing in the first bundle, and only there")
        if (self.previous is None) != (self.round == 1):
            raise ValueError("previous is missing in a sender's first bundle, and only there")
        self._check_candidates()
        return self

    def _check_candidates(self) -> None:
        steps = [c.step for c in self.candidates if c.step is not None]
        if steps != sorted(set(steps)) or steps[:1] != [0] or steps[-1] == 0 or self.candidates[0].step != 0:
            raise ValueError("the steps of the snapshots do not rise from 0")
        self._check_blends(steps[-1])
        self._check_solved(len(steps))
        if any(c.step is not None for c in self.candidates[len(steps) :]):
            raise ValueError("a snapshot follows a blend")
        weighed = self._weighed(steps)
        keyframes = [i for i, c in enumerate(self.candidates) if c.keyframe]
        ends = [*keyframes[1:], weighed]
        if keyframes[:1] != [0] or any(not 0 < b - a <= KEYFRAME_EVERY for a, b in zip(keyframes, ends, strict=True)):
            raise ValueError(f"keyframes do not stand at the first candidate and at least every {KEYFRAME_EVERY}")
        layout = self.layout
        if layout.nbytes > MAX_STATE_BYTES:  # before a list as long as the claim is made
            raise LimitError(f"a snapshot of {layout.nbytes} bytes, and {MAX_STATE_BYTES} are allowed")
        for i, c in enumerate(self.candidates):
            parts = layout.parts if i < weighed else 0
            if len(c.files) != parts or c.files != [part_name(i, p) for p in range(parts)]:
                raise ValueError(f"the files of candidate {i} are not {parts} parts by their names")

    def _weighed(self, steps: list[int]) -> int:
        """How many candidates come with weights, and stand first: all; from version 2 on all but blends."""
        return len(self.candidates) if self.version == 1 else len(steps) + sum(c.solved for c in self.candidates)

    def _check_solved(self, snapshots: int) -> None:
        places = [i for i, c in enumerate(self.candidates) if c.solved]
        if places and (places != [snapshots] or self.sequence != SOLVED_IN or self.version < 4):  # noqa: PLR2004 - since then
            raise ValueError(
                "a candidate that is solved for stands behind the snapshots of the provider's first bundle, alone"
            )

    def _check_blends(self, last: int) -> None:
        for blend in (c.blend for c in self.candidates if c.blend is not None):
            if blend.own_step != last or blend.peer_bundle != self.answers:
                raise ValueError("a blend is not of the last snapshot and the bundle that this one answers")
            if blend.momentum and self.previous is None:
                raise ValueError("a blend has momentum in the first bundle of its sender")
        if len({c.label for c in self.candidates}) != len(self.candidates):
            raise ValueError("two blends have one name")

    @property
    def snapshots(self) -> list[Candidate]:
        """The trajectory: candidates with a step, in its order."""
        return [c for c in self.candidates if c.step is not None]

    @property
    def blends(self) -> int:
        """Number of candidates that are blends."""
        return sum(c.blend is not None for c in self.candidates)

    @property
    def solves(self) -> bool:
        """Whether the last layer of a candidate was solved for."""
        return any(c.solved for c in self.candidates)

    @property
    def told(self) -> Moments | None:
        """What it says of second moments of the sender's samples, where it has them."""
        return self.moments if isinstance(self, Version4) else None

    @property
    def last_step(self) -> int:
        """The step of the last snapshot."""
        return self.snapshots[-1].step or 0

    @property
    def weighed(self) -> int:
        """Number of candidates that come with their weights; the others, behind them, are blends by their recipes."""
        return sum(bool(c.files) for c in self.candidates)

    def keyframe(self, index: int) -> int:
        """Where to begin for a candidate: the last one up to it that is made by itself, out of a keyframe or a recipe."""
        return max(i for i, c in enumerate(self.candidates[: index + 1]) if c.keyframe or not c.files)

    @property
    def stays(self) -> Frozen | None:
        """What of the model stays at home, where something does; before version 3 nothing did."""
        return self.frozen if isinstance(self, Version3) else None

    @property
    def restoration(self) -> Restored | None:
        """That the sender's site was restored, where it says so; before version 4 none did."""
        return self.restored if isinstance(self, Version4) else None

    @property
    def spending(self) -> Spending | None:
        """What of its privacy budget the sender has spent; None where it has none."""
        return self.privacy if isinstance(self, Version4) else None

    @property
    def deviation(self) -> float:
        """Standard deviation of the noise in each loss sum."""
        return 0.0 if self.spending is None else self.spending.deviation

    @property
    def layout(self) -> "Layout":
        """How the state lies in memory and in files."""
        return Layout(tuple(self.tensors))

    def name(self) -> str:
        """The directory's name."""
        return bundle_name(self.plan, self.round, self.sender.role)


class Version1(Manifest):
    """The first: blends come with their weights, like snapshots."""

    version: Literal[1]


class Version2(Manifest):
    """The second: blends come as recipes, and whoever has the bundles makes them."""

    version: Literal[2]
    averaged: Annotated[list[str], Field(max_length=MAX_TENSORS)] = Field(
        description="real and complex tensors that are no parameters, in their order: a blend averages them"
    )

    @model_validator(mode="after")
    def _of_the_tensors(self) -> Self:
        averaged = set(self.averaged)
        if self.averaged != [t.name for t in self.tensors if t.name in averaged and t.dtype in FLOATS]:
            raise ValueError("averaged names what is no tensor of real or complex numbers, or not in their order")
        return self


class Version3(Version2):
    """The third: what nothing changes stays at home, and is named by its digest."""

    version: Literal[3, 4]  # type: ignore[assignment]  # the fields of version 2, and one more
    frozen: Frozen | None = Field(description="what of the model stays at home; null where all of it travels")


class Version4(Version3):
    """The one that is written: a site that was restored says so, and one with a privacy budget what of it is spent."""

    version: Literal[4]
    restored: Restored | None = Field(
        description="that the sender's site was restored since its turn before; null: it was not"
    )
    privacy: Spending | None = Field(description="what of its privacy budget is spent; null where the plan has no [privacy]")
    moments: Moments | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="of the sender's samples, in the learner's first bundle where the plan has ridge; else left out",
    )

    @model_validator(mode="after")
    def _of_the_layer(self) -> Self:
        said = self.moments
        if said is None:
            return self
        if self.sequence != 1:
            raise ValueError("moments stand in the learner's first bundle alone")
        if [t.shape for t in self.tensors if len(t.shape) != 1] != [[said.classes, said.features]]:
            raise ValueError("moments are not those of the one layer that travels")
        if said.files != [file_name(part) for part in range(said.layout.parts)]:
            raise ValueError(f"the files of the moments are not {said.layout.parts} parts by their names")
        return self


VERSIONS: dict[int, type[Manifest]] = {1: Version1, 2: Version2, 3: Version3, 4: Version4}


def parse(data: bytes) -> Manifest:
    """Read a manifest whose digest was compared with the signed one already.

    Raises:
        LimitError: larger than a manifest may be, or a state larger than `MAX_STATE_BYTES`.
        NotFiniteError: a loss that is NaN or infinite.
        MalformedError: anything else that no alx of this version writes.
    """
    value = strict_json.parse(data, MANIFEST_NAME, MAX_MANIFEST_BYTES)
    version = value.get("version") if isinstance(value, dict) else None
    model = VERSIONS.get(version, Manifest) if isinstance(version, int) else Manifest
    if isinstance(value, dict) and value.get("format") == FORMAT and model is Manifest:
        raise MalformedError(
            f"{MANIFEST_NAME} is of format version {escape(repr(version))}, expected 1 to {max(VERSIONS)}",
            "the other side uses another alx: install the same version on both",
        )
    manifest = strict_json.validate(model, value, f"{MANIFEST_NAME} is not of an alx bundle")
    for c in manifest.candidates:
        if not math.isfinite(c.loss):
            raise NotFiniteError(f"the loss of {c.label} is {c.loss}")
    if manifest.start is not None and not math.isfinite(manifest.start.global_loss):
        raise NotFiniteError(f"the claimed global loss is {manifest.start.global_loss}")
    strict_json.require_form(data, manifest, MANIFEST_NAME)
    return manifest
