"""The closing: what the learner says after the last round, so that both sides end with one model. It holds no weights.

Knows numbers and digests; opens no file. It is the head of a turn that is never trained: where that would have started is
the candidate that the learner chose last.
"""

import math
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from alx import order
from alx.bundle import strict_json
from alx.bundle.layout import CLOSING_NAME, closing_name
from alx.bundle.manifest import Head, Start
from alx.bundle.signature import Sha256
from alx.errors import MalformedError, NotFiniteError, escape
from alx.plan import MAX_ROUNDS

FORMAT = "alx-closing"
MAX_CLOSING_BYTES = 4096  # ours has at most 765
MAX_CLOSING_VALUES = 64  # ours has 20, as strict_json counts


class Closing(Head):
    """Everything a closing says: the learner's last selection, out of the provider's last bundle."""

    format: Literal["alx-closing"]
    version: Literal[1]
    sequence: Annotated[int, Field(ge=1, le=order.closing(MAX_ROUNDS))] = Field(
        description="place in the whole exchange: the one behind the provider's last bundle"
    )
    previous: Sha256 = Field(description="digest of the learner's last bundle")
    answers: Sha256 = Field(description="digest of the provider's last bundle, which holds the chosen candidate")
    start: Start = Field(description="the candidate that the learner chose last, out of the bundle that is answered")
    state: Sha256 = Field(description="SHA-256 of the raw state of that candidate: the model that both sides end with")

    @model_validator(mode="after")
    def _of_the_learner(self) -> Self:
        if (self.sender.role, self.receiver.role) != ("learner", "provider"):
            raise ValueError("a closing is the learner's, for the provider")
        if self.sequence != order.closing(self.round):
            raise ValueError(f"sequence {self.sequence} is not that of the closing after round {self.round}")
        return self

    def name(self) -> str:
        """The directory's name."""
        return closing_name(self.plan, self.round)


def parse(data: bytes) -> Closing:
    """Read a closing whose digest was compared with the signed one already.

    Raises:
        LimitError: larger than `MAX_CLOSING_BYTES`.
        NotFiniteError: a global loss that is NaN or infinite.
        MalformedError: anything else that no alx of this version writes.
    """
    value = strict_json.parse(data, CLOSING_NAME, MAX_CLOSING_BYTES, MAX_CLOSING_VALUES)
    if isinstance(value, dict) and value.get("format") == FORMAT and value.get("version") != 1:
        raise MalformedError(
            f"{CLOSING_NAME} is of version {escape(repr(value.get('version')))}, expected 1",
            "the other side uses another alx: install the same version on both",
        )
    closing = strict_json.validate(Closing, value, f"{CLOSING_NAME} is no closing of an exchange")
    if not math.isfinite(closing.start.global_loss):
        raise NotFiniteError(f"the claimed global loss is {closing.start.global_loss}")
    strict_json.require_form(data, closing, CLOSING_NAME)
    return closing
