"""How much a site's bundles may tell of one sample of its data: [privacy], a part of the plan that both sides agree on.

Knows fields and their limits; knows no torch and no accountant. docs/privacy.md says what it promises, and what it does not.
"""

import math
from typing import Annotated, Literal

from pydantic import Field

from alx.records import Strict

MAX_EPSILON = 100.0  # of more nothing is promised that is worth a name
MAX_DELTA = 0.01  # one sample in a hundred given away whole: beyond it the promise is none
MAX_SPARE = 100
SUMS = 3  # releases beside the steps, of each turn: the loss sums, the choice, and the loss that the turn says it began at

Positive = Annotated[float, Field(gt=0, le=1e6)]


class Privacy(Strict):
    """Differential privacy for each site's samples towards the peer, over all its turns: [privacy]."""

    epsilon: Annotated[float, Field(gt=0, le=MAX_EPSILON)] = Field(
        description="the budget of each site, over all of its turns; the noise follows from it"
    )
    delta: Annotated[float, Field(gt=0, le=MAX_DELTA)] = Field(
        description="how likely the promise may fail; below 1 in 10 times the samples of the smaller site, say"
    )
    clip: Positive = Field(default=1.0, description="the norm that no sample's gradient exceeds; longer ones are shortened")
    unit: Literal["sample"] = Field(
        default="sample", description="what is protected: one row, one picture; a person with two is protected half as well"
    )
    loss_clip: Positive | None = Field(
        default=None,
        description="what no sample's loss counts more than where losses are summed; left out: ln K of K named classes, a "
        "guess's, and ln 2 for yes-or-no labels",
    )
    loss_share: Annotated[float, Field(ge=0.01, le=0.9)] = Field(
        default=0.2, description="of the budget, what losses and choices take; the steps have the rest"
    )
    spare: Annotated[int, Field(ge=0, le=MAX_SPARE)] = Field(
        default=1,
        description="turns that the budget has beside the rounds: each restore, reset, or turn begun anew takes one",
    )


def loss_limit(privacy: Privacy, loss: str, classes: int) -> float | None:
    """What no sample's loss counts more than: as the plan says, or that of a guess; None where there is none to guess.

    Args:
        privacy: the plan's.
        loss: the plan's.
        classes: how many the plan names.
    """
    if privacy.loss_clip is not None:
        return privacy.loss_clip
    if loss == "binary_cross_entropy":
        return math.log(2)
    return math.log(classes) if loss == "cross_entropy" and classes > 1 else None
