"""How the learning rate goes over a turn: the plan's [training] schedule.

Knows numbers; knows no optimiser and no torch. A schedule goes by the length of each turn, so the two sides, whose turns
may be of different lengths, each come to its end.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from alx.records import Strict

MOST_STEPS = 10_000_000  # as of a turn
ONE_CYCLE_RISES = 0.3  # of a turn, where the plan does not say: OneCycleLR's own

ScheduleName = Literal["constant", "cosine", "one_cycle", "step"]
Share = Annotated[float, Field(ge=0, lt=1)]


class Schedule(Strict):
    """How the learning rate goes over a turn, each turn from its own beginning: torch.optim.lr_scheduler's by name.

    `lr` under [optimiser] is the highest rate. Momentum stays as it is.
    """

    name: ScheduleName = Field(
        default="constant",
        description="cosine: CosineAnnealingLR down to min_lr; one_cycle: OneCycleLR up and down; step: StepLR, times gamma "
        "every step_size",
    )
    warmup: Annotated[int, Field(ge=1, le=MOST_STEPS)] | Share | None = Field(
        default=None,
        description="steps, or a share of the turn's, over which the rate rises from near 0; left out: none, and "
        f"{ONE_CYCLE_RISES:g} of one_cycle",
    )
    min_lr: Annotated[float, Field(ge=0)] | None = Field(default=None, description="cosine: where it ends; left out: 0")
    step_size: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="step: after which share of the turn's steps, again and again; left out: a third"
    )
    gamma: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None, description="step: what the rate is multiplied by; left out: 0.1"
    )

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        given = [name for name in _OF if getattr(self, name) is not None and _OF[name] != self.name]
        if given:
            raise ValueError(f"{self.name} has no {given[0]}: that is {_OF[given[0]]}'s")
        return self

    @property
    def changes(self) -> bool:
        """Whether the rate is ever another than [optimiser]'s."""
        return self.name != "constant" or bool(self.warmup)

    def rises(self, steps: int) -> int:
        """Steps of a turn before the rate is at its highest: all of a turn that is shorter than its warm-up.

        Args:
            steps: of the turn.
        """
        share = ONE_CYCLE_RISES if self.warmup is None and self.name == "one_cycle" else self.warmup or 0.0
        return min(steps, share if isinstance(share, int) else round(share * steps))


_OF: dict[str, ScheduleName] = {"min_lr": "cosine", "step_size": "step", "gamma": "step"}
"""Whose option it is."""
