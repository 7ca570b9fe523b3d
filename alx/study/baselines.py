"""What assistance is compared with: the same model from the same start, on one data set, for as many steps.

Knows tasks; knows no bundle.
"""

from alx.learning import measure, state, trajectory
from alx.learning.task import Task


def alone(task: Task, seed: int, rounds: int, round_steps: int) -> list[float]:
    """Train without a peer.

    Args:
        task: the data set; it has held-out data.
        seed: the plan's, so that the start is theta^0.
        rounds: how often to score.
        round_steps: optimiser steps between scores; one round on the x axis, as in the paper.

    Returns:
        The held-out score after each round.
    """
    trajectory.seed_all(seed)
    run = trajectory.Run(task, state.of(task.new_model()), seed)
    judge = task.new_model()
    scores = []
    for step, snapshot in trajectory.sample(run, rounds * round_steps, round_steps, lambda _step, _loss: None):
        if step:
            measure.measure(task, judge, snapshot)
            scores.append(measure.held_out(task, judge) or 0.0)
    return scores
