"""What a sample's loss weighs, and what a wrong answer costs: the plan's [objective].

Knows numbers and the names of classes; knows no data and no torch. All of it stands in the plan, so that both sites sum
the same loss: a weight that a site took from its own labels would be another one on the other side.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Self

from pydantic import Field, model_validator

from alx.errors import escape
from alx.records import Strict

LEAST_WEIGHT, MOST_WEIGHT = 1e-6, 1e6  # losses are float32, whose digits end at a hundred-millionth of their sum
MOST_COUNTED = 10**12  # samples of a class: far above any data set, and exact as a float
MOST_COST = 1e9  # whatever it is counted in
MOST_GAMMA = 10.0  # papers go to 5; beyond, nothing but the worst sample is learnt from

Weight = Annotated[float, Field(ge=LEAST_WEIGHT, le=MOST_WEIGHT)]
Counted = Annotated[int, Field(ge=1, le=MOST_COUNTED)]
Cost = Annotated[float, Field(ge=0, le=MOST_COST)]


class Objective(Strict):
    """What a sample's loss weighs, and what a wrong answer costs: [objective]. Training and measuring heed it alike.

    Tables go by class, and have each one: by its name in the plan, or its number where the plan names none. `costs` is no
    part of a loss: it says which class to answer, given a model's probabilities.
    """

    class_weights: dict[str, Weight] = Field(
        default_factory=dict, description="cross_entropy: what the loss of each class's samples is multiplied by"
    )
    class_counts: dict[str, Counted] = Field(
        default_factory=dict,
        description="in place of class_weights, samples of each class on both sides together, as agreed: a class weighs "
        "all / (classes * its own), so that each adds up to as much",
    )
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.0, description="cross_entropy: share of each label that is spread over all classes"
    )
    pos_weight: list[Weight] = Field(
        default_factory=list,
        description="binary_cross_entropy: what the loss of a label of 1 is multiplied by; a number a label, or one for all",
    )
    gamma: Annotated[float, Field(ge=1, le=MOST_GAMMA)] | None = Field(
        default=None, description="binary_cross_entropy: of the focal loss, 1 or more; left out: no focal loss"
    )
    costs: dict[str, dict[str, Cost]] = Field(
        default_factory=dict,
        description="cross_entropy: bad = { good = 5.0 }: to call a bad one good costs 5; of each class, all others",
    )

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.class_weights and self.class_counts:
            raise ValueError("class_counts stands for class_weights: leave one of the two out")
        for name, row in self.costs.items():
            if not any(row.values()):
                raise ValueError(f"costs: '{escape(name)}' costs nothing whatever is answered")
        return self

    def weights(self, classes: Sequence[str]) -> tuple[float, ...] | None:
        """Of each class, in the plan's order; None where all weigh 1.

        Args:
            classes: their names, or none: then they are numbers.
        """
        if self.class_weights:
            return tuple(self.class_weights[name] for name in _in_order(self.class_weights, classes))
        if not self.class_counts:
            return None
        counts = [self.class_counts[name] for name in _in_order(self.class_counts, classes)]
        return tuple(sum(counts) / (len(counts) * n) for n in counts)

    def cost_rows(self, classes: Sequence[str]) -> tuple[tuple[float, ...], ...] | None:
        """A row a class that is true, in it a number a class that is answered; 0 for the right one. None without costs."""
        if not self.costs:
            return None
        order = _in_order(self.costs, classes)
        return tuple(tuple(0.0 if name == true else self.costs[true][name] for name in order) for true in order)

    def refuse_misfit(self, loss: str, classes: Sequence[str], *, balanced: bool) -> None:
        """Compare it with the rest of the plan.

        Args:
            loss: the plan's.
            classes: their names, or none.
            balanced: whether [training] draws classes equally often.

        Raises:
            ValueError: says which field has no use, or which class is missing or there too much.
        """
        for field, wanted in _LOSSES.items():
            if getattr(self, field) and loss != wanted:
                raise ValueError(f'[objective] {field} is for loss = "{wanted}", and the plan has "{loss}"')
        for field in ("class_weights", "class_counts", "costs"):
            table: Mapping[str, object] = getattr(self, field)
            if table:
                _refuse_other(field, table, list(classes) or _numbers(len(table)))
        for true, row in self.costs.items():
            _refuse_other(f"costs.{escape(true)}", row, [name for name in self.costs if name != true])
        given = [field for field in ("class_weights", "class_counts", "pos_weight", "costs") if getattr(self, field)]
        if balanced and given:
            raise ValueError(
                f"[training] balanced draws rare classes more often, and [objective] {given[0]} counts on classes as often "
                "as they are: leave one of the two out"
            )


_LOSSES = {
    "class_weights": "cross_entropy",
    "class_counts": "cross_entropy",
    "label_smoothing": "cross_entropy",
    "costs": "cross_entropy",
    "pos_weight": "binary_cross_entropy",
    "gamma": "binary_cross_entropy",
}
"""What each field is for."""


def _numbers(count: int) -> list[str]:
    return [str(i) for i in range(count)]


def _in_order(table: Mapping[str, object], classes: Sequence[str]) -> Sequence[str]:
    return classes or _numbers(len(table))


def _refuse_other(field: str, table: Mapping[str, object], expected: Sequence[str]) -> None:
    known, names = set(expected), f"expected {escape(', '.join(expected), 80)}"
    for name in expected:
        if name not in table:
            raise ValueError(f"[objective] {field} has no class '{escape(name)}': {names}")
    for name in table:
        if name not in known:
            raise ValueError(f"[objective] {field} has '{escape(name)}': {names}")
