"""What assistance is compared with: the same model from the same start, on one data set, for as many steps.

Knows tasks; knows no bundle.
"""

from collections.abc import Iterator

from alx.learning import state, trajectory
from alx.learning.task import State, Task


def alone(task: Task, seed: int, rounds: int, round_steps: int) -> Iterator[State]:
    """Train without a peer.

    Args:
        task: whose data.
        seed: the plan's, so that the start is theta^0.
        rounds: how many states to give.
        round_steps: optimiser steps between them; one round on the x axis, as in the paper.

    Yields:
        The model's state after each round.
    """
    trajectory.seed_all(seed)
    run = trajectory.Run(task, state.of(task.new_model()), seed)
    for step, snapshot in trajectory.sample(run, rounds * round_steps, round_steps, lambda _step, _loss: None):
        if step:
            yield snapshot
