"""How a side trains its turns: the optimiser, what [training] adds to its steps, and what holds a turn to its start.

Parts of the plan that both sides agree on. Knows fields and their limits; knows no torch.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from alx.records import FROM_LIST, Strict
from alx.schedule import Schedule
from alx.transforms import Transform

FIRM = 1.0  # weight of distillation for classes and labels, as measured (docs/decisions/0018-trips.md)
DISTILLED = ("cross_entropy", "binary_cross_entropy")  # by default; see `firm`
VALIDATIONS = 10  # of a turn, where the plan does not say: enough to see a curve bend
MAX_VALIDATIONS = 1000  # of a turn; each costs a pass over the validation samples
MAX_ACCUMULATED = 10_000  # batches a step; of more, one step would be a turn
MAX_PATTERNS = 100  # of parameters; a plan is a page

OptimiserName = Literal["adam", "adamw", "sgd"]
OPTIONS: dict[OptimiserName, tuple[str, ...]] = {
    "adam": ("betas", "eps", "amsgrad"),
    "adamw": ("betas", "eps", "amsgrad"),
    "sgd": ("momentum", "nesterov"),
}
"""What each takes besides `lr` and `weight_decay`; it is the class of torch.optim that is so called, but for capitals."""


def firm(loss: str) -> float:
    """The weight of distillation for a plan's `loss`, where the plan says none."""
    return FIRM if loss in DISTILLED else 0.0


def _of(option: str, meaning: str) -> str:
    """What an option means, after the optimisers that have it."""
    return f"{', '.join(name for name, own in OPTIONS.items() if option in own)}: {meaning}"


class Optimiser(Strict):
    """The optimiser of every turn; it starts afresh each turn unless `keep` says otherwise. Options are torch.optim's."""

    name: OptimiserName = Field(description="the torch.optim class")
    lr: Annotated[float, Field(gt=0, le=1e30)] = Field(default=1e-3, description="learning rate")
    weight_decay: Annotated[float, Field(ge=0)] = Field(default=0.0, description="weight decay")
    betas: Annotated[tuple[float, float] | None, FROM_LIST] = Field(
        default=None, description=_of("betas", "running-average coefficients")
    )
    eps: float | None = Field(default=None, description=_of("eps", "added to the denominator"))
    amsgrad: bool | None = Field(default=None, description=_of("amsgrad", "the AMSGrad variant"))
    momentum: float | None = Field(default=None, description=_of("momentum", "momentum factor"))
    nesterov: bool | None = Field(default=None, description=_of("nesterov", "Nesterov momentum"))
    keep: bool = Field(
        default=False, description="go on with its state from one turn of a side to that side's next; it never travels"
    )

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        common, own = ("name", "lr", "weight_decay", "keep"), OPTIONS[self.name]
        given = [name for name, value in self if value is not None and name not in (*common, *own)]
        if given:
            raise ValueError(f"{self.name} has no option {', '.join(given)}")
        return self

    def options(self) -> dict[str, object]:
        """Keyword arguments for the torch.optim class; what is unset is left to torch's default."""
        return {k: v for k, v in self.model_dump(exclude={"name", "keep"}).items() if v is not None}


class Training(Strict):
    """How training steps are taken, for more from few images and for speed: [training]; the built-in task heeds it.

    Losses are measured without any of it: the images as they are, in float32, by the model as it was made. With
    `measuring = "as_trained"` they are measured with its precision and compile, and with nothing else of it.
    """

    augment: list[Transform] = Field(
        default_factory=list, description="images are changed at random, each by itself, by these one after the other"
    )
    channels_last: bool = Field(default=False, description="lay images out pixel by pixel: faster on some devices")
    precision: Literal["float32", "bfloat16"] = Field(
        default="float32", description="bfloat16: torch's autocast; weights stay as they are"
    )
    compile: bool = Field(default=False, description="torch.compile the model; on a CPU it needs a C++ compiler")
    measuring: Literal["plain", "as_trained"] = Field(
        default="plain", description="how losses are measured: in float32, not compiled; or as precision and compile say"
    )
    balanced: bool = Field(
        default=False, description="draw each class of a site's samples equally often: rare ones several times an epoch"
    )
    schedule: Schedule = Field(default_factory=Schedule, description="how the learning rate goes over a turn")
    clip: Annotated[float, Field(gt=0)] | None = Field(
        default=None, description="the norm of a step's gradients that is not exceeded: torch.nn.utils.clip_grad_norm_"
    )
    no_decay: Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(max_length=MAX_PATTERNS)] = Field(
        default_factory=list,
        description='parameters without weight decay, by patterns of their names (`embed.*`); "bias_and_norm": all that '
        "have one dimension",
    )
    accumulate: Annotated[int, Field(ge=1, le=MAX_ACCUMULATED)] = Field(
        default=1, description="batches a step, fewer at an epoch's end; its gradient is the mean over all of their samples"
    )
    validations: Annotated[int, Field(ge=1, le=MAX_VALIDATIONS)] = Field(
        default=VALIDATIONS,
        description="how often, at most, in a turn the mean loss over the validation samples is taken, where somebody looks "
        "or patience asks",
    )
    patience: Annotated[int, Field(ge=1, le=MAX_VALIDATIONS)] | None = Field(
        default=None,
        description="after so many validations in a row without a lower loss, a turn ends at the step of its lowest; needs "
        'select_on = "validation"',
    )

    @property
    def measures_rounded(self) -> bool:
        """Whether losses are of outputs that were computed in fewer bits than float32 has."""
        return self.measuring == "as_trained" and self.precision != "float32"

    @property
    def augments(self) -> bool:
        """Whether images are changed at all."""
        return bool(self.augment)


class Distillation(Strict):
    """What holds a turn to the model that it began with: [distillation]; that model knows what the peer taught.

    To the training loss of each sample comes weight * temperature^2 * KL(start's answer || the model's answer); for mse,
    weight * the squared difference of both; times what [objective] makes the sample weigh. Losses are measured, and models
    selected, without it.
    """

    weight: Annotated[float, Field(ge=0, le=1e6)] | None = Field(
        default=None,
        description=f"of it; 0 leaves it out; where it is not said, {FIRM:g} for {' and '.join(DISTILLED)}, 0 for others",
    )
    temperature: Annotated[float, Field(ge=0.01, le=1000)] = Field(
        default=1.0, description="both answers' logits are divided by it"
    )
    classes: Literal["not_true", "all"] = Field(
        default="not_true",
        description="cross_entropy: not_true compares classes other than the sample's own (FedNTD), and of two both, as far "
        "as the start is right; all: all",
    )
