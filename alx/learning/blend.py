"""Averages offered beside the trajectory: the sender's final state with the peer's of the turn before.

Where what each site holds is complementary, every step on one's own data raises the global loss, so the paper's argmin
stays at t = 0 on both sides for ever (PAPER.md). A blend is one more candidate, measured like any other: it costs no
trip, and as t = 0 stays among the candidates, the global loss still never rises. Our addition; the paper has none.
"""

from collections.abc import Collection
from dataclasses import dataclass

import torch
from torch import Tensor

from alx.learning.task import State


@dataclass(frozen=True, slots=True)
class Recipe:
    """start + stretch * (weight * own + (1 - weight) * peer - start)."""

    weight: float
    stretch: float = 1.0


# Weights and stretches as measured (docs/decisions/0005-blends.md); a stretch above 1 steps past the average.
RECIPES = (
    *(Recipe(w) for w in (0.2, 0.35, 0.5, 0.65, 0.8)),
    *(Recipe(0.5, s) for s in (1.3, 1.6, 2.0)),
)


def blend(start: State, own: State, peer: State, recipe: Recipe, parameters: Collection[str]) -> dict[str, Tensor]:
    """One average.

    Args:
        start: where the turn began.
        own: the turn's final state.
        peer: the final state of the peer's turn before.
        recipe: weight and stretch.
        parameters: names that are parameters. Other floating tensors (batch-norm statistics) are averaged but never
            stretched, as a stretched variance may fall below zero; integer tensors are the sender's own.

    Returns:
        A state of the same names, dtypes and shapes; computed in float64.
    """
    out = {}
    for name, value in own.items():
        if not value.is_floating_point():
            out[name] = value.clone()
            continue
        s, a, b = (x[name].to(torch.float64) for x in (start, own, peer))
        mean = recipe.weight * a + (1 - recipe.weight) * b
        stretch = recipe.stretch if name in parameters else 1.0
        out[name] = (s + stretch * (mean - s)).to(value.dtype) if stretch != 1 else mean.to(value.dtype)
    return out
