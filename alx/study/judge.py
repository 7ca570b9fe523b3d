"""What the model after a round is worth: its loss on both sides' samples, and what it scores on those kept apart.

Knows parties and their tasks; trains nothing. Where the plan keeps parts personal there are two models, one of each side:
the loss is the sum over both sides, each with its own, as selection has it, and every score is the mean of the two.
"""

from typing import get_args

from torch import nn

from alx.learning import measure
from alx.learning.task import LossSum, Scores, State, Values
from alx.records import Role
from alx.study.baselines import Played
from alx.study.parties import POOLED, Parties


def judged(both: Parties, judge: nn.Module, played: Played) -> tuple[LossSum, Scores | None]:
    """Measure what was played.

    Args:
        both: who plays.
        judge: a model of the pooled task, to load states into.
        played: a round.

    Returns:
        The loss over the samples of both sides; and the scores, if there are samples kept apart.
    """
    task = both.tasks[POOLED]
    if played.provider is None:
        return measure.measure(task, judge, played.state), measure.held_out(task, judge)
    each: dict[Role, State] = {"learner": played.state, "provider": played.provider}
    sums, worth = [], []
    for role in get_args(Role):
        sums.append(measure.measure(both.tasks[role], judge, each[role]))
        worth.append(measure.held_out(task, judge))
    return LossSum(sum(s.total for s in sums), sum(s.count for s in sums)), _mean(*worth)


def _mean(learner: Scores | None, provider: Scores | None) -> Scores | None:
    if learner is None or provider is None:
        return None
    groups = {
        column: {value: _between(numbers, provider.groups[column][value]) for value, numbers in values.items()}
        for column, values in learner.groups.items()
    }
    return Scores(_between(learner.values, provider.values), learner.majority, groups)


def _between(a: Values, b: Values) -> Values:
    """The mean of each number; None where one of the two means nothing."""
    out: dict[str, float | None] = {}
    for name, x in a.items():
        y = b.get(name)
        out[name] = None if x is None or y is None else (x + y) / 2
    return out
