"""What is offered beside the trajectory: mixes of the sender's final state and the peer's of the turn before.

Where what each site holds is complementary, every step on one's own data raises the global loss, so the paper's argmin
stays at t = 0 on both sides for ever. A blend is one more candidate, measured like any other: it costs no
trip, and as t = 0 stays among the candidates, the global loss still never rises. Our addition; the paper has none.
"""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from alx.learning.task import State


@dataclass(frozen=True, slots=True)
class Recipe:
    """start + own * (O - start) + peer * (P - start) + momentum * (start - before).

    Attributes:
        own: share of the way to O, the turn's final state.
        peer: share of the way to P, the final state of the peer's turn before.
        momentum: how far to go on the way that led from `before`, where the sender's own turn before began, to the start.
    """

    own: float
    peer: float
    momentum: float = 0.0


# As measured (docs/decisions/0005-blends.md); shares that add up to more than 1 step past the average.
RECIPES = (
    Recipe(0.5, 0.5),
    Recipe(0.65, 0.35),
    Recipe(0.8, 0.8),
    Recipe(0.25, 0.25),
    Recipe(1.0, 0.25),
    Recipe(0.5, 0.5, 0.5),
    Recipe(0.5, 0.5, 1.0),
    Recipe(0.25, 0.25, 0.5),
)

FEW = (RECIPES[0], RECIPES[2])
"""Under [privacy]: each candidate more makes the noise in the losses of all of them larger."""


def blend(
    start: State, own: State, peer: State, before: State, recipe: Recipe, parameters: Collection[str]
) -> dict[str, Tensor]:
    """One candidate beside the trajectory, as torch makes it; a blend that travels is made by `alx.bundle.recipe`.

    Args:
        start: where the turn began.
        own: the turn's final state.
        peer: the final state of the peer's turn before.
        before: where the sender's own turn before began; `start` where there was none.
        recipe: what to take of each.
        parameters: names that are parameters: those of real and of complex numbers are made by the recipe. Other tensors
            of real or complex numbers (batch-norm statistics) are averages of own and peer alone, weighted by the
            recipe's shares, as a variance that is stepped past may fall below zero. Tensors of integers and of bools,
            parameters or not, are the sender's own.

    Returns:
        A state of the same names, dtypes and shapes; computed in float64, or in complex128.
    """
    out = {}
    for name, value in own.items():
        if not (value.is_floating_point() or value.is_complex()):
            out[name] = value.clone()
            continue
        wide = torch.complex128 if value.is_complex() else torch.float64
        s, a, b, c = (x[name].to(wide) for x in (start, own, peer, before))
        if name in parameters:
            made = s + recipe.own * (a - s) + recipe.peer * (b - s) + recipe.momentum * (s - c)
        else:
            made = (recipe.own * a + recipe.peer * b) / (recipe.own + recipe.peer)
        out[name] = made.to(value.dtype)
    return out
