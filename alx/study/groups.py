"""Each group of samples in turn, such as each hospital: what would it have of an exchange with all the others?

Knows studies and their results; plays nothing itself.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from alx.errors import UsageError, escape
from alx.study import splits
from alx.study.results import Algorithm, Results, Spread, spread
from alx.study.study import Study
from alx.tasks.metrics import MAX_GROUPS


def each(study: Study) -> dict[str, Study]:
    """A study for each value of the split's column: the learner has its samples, the provider all others'.

    Args:
        study: its split goes by each value of a column.

    Raises:
        UsageError: there is no such column, or it has one value, or too many.
        ConfigError: the data cannot be read.
    """
    split, seed = study.split, study.seeds[0]
    column = split.column or ""
    whole = dataclasses.replace(study, samples=None).pool(study.whole(), seed, np.random.default_rng(seed))
    values = sorted({str(value) for value in whole.decided_by(column).tolist()})
    if not 1 < len(values) <= MAX_GROUPS:
        raise UsageError(
            f"column '{escape(column)}' has {len(values):,} values, expected 2 to {MAX_GROUPS} to take each in turn",
            "name another column, or the learner's values: column:NAME:VALUE,VALUE",
        )
    return {value: dataclasses.replace(study, split=splits.alone(column, value)) for value in values}


def means(found: Mapping[str, Results]) -> dict[Algorithm, dict[str, Spread]]:
    """Every number after the last round, by algorithm: mean and standard deviation over groups, of each its mean over seeds.

    Args:
        found: results by group, of the same algorithms. A number that one group lacks is left out.
    """
    first, *_ = found.values()
    out: dict[Algorithm, dict[str, Spread]] = {}
    for algorithm in (s.algorithm for s in first.summary):
        told = [_numbers(results, algorithm) for results in found.values()]
        known = {name: spread([numbers.get(name) for numbers in told]) for name in told[0]}
        out[algorithm] = {name: value for name, value in known.items() if value is not None}
    return out


def _numbers(results: Results, algorithm: Algorithm) -> dict[str, float | None]:
    """Of one group, mean over seeds."""
    found = next((s for s in results.summary if s.algorithm == algorithm), None)
    if found is None:
        return {}
    told = {"loss": found.loss, "score": found.score, **found.metrics}
    return {name: value.mean for name, value in told.items() if value is not None}
