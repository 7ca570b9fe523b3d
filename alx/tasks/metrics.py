"""Numbers that people decide by, of a model's answers on samples that it was not trained on, beside those of no model.

Knows outputs and targets; knows no file and no model. What can be counted is counted; scikit-learn ranks: a
call of it checks for milliseconds what it is given, and a study judges a model after each round.
Nothing here chooses a model: what is selected, and what travels, is a sum of losses.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alx.errors import ConfigError, escape
from alx.learning.task import Scores
from alx.objective import Objective
from alx.tasks import costs, fit
from alx.tasks.objective import PLAIN

OF_CLASS, OF_LABEL = " of class ", " of label "  # in the name of a number of one of them
BINS = 10  # of the calibration error: equally wide, as in Naeini et al., AAAI 2015
MAX_GROUPS, MAX_VALUE = 50, 80  # values of a column, letters of one: more, and it is an id, a number or free text
MAX_EACH = 20  # classes, or labels, that are told one by one, or in a confusion matrix: more, and nobody reads them
MAX_TAKEN_APART = 100  # classes or labels that have an AUC of their own: each takes two sortings of all samples
NO_MODEL = "no model"  # beside a group's score: what is had there without one
POSITIVES = "positives"  # in a group: how many are of the positive class
HALF = 0.5
MEAN_COST = "mean cost"  # of an answer, lower is better, where the plan has costs
CHEAPEST = "accuracy of the cheapest"  # there too: the share of these answers that are right
LEAST = 1e-15  # of a share, so that its logarithm is finite

Array = NDArray[Any]
Values = dict[str, float | None]


@dataclass(frozen=True, slots=True)
class Judge:
    """How answers are judged.

    Attributes:
        loss: the plan's, by its name: what an answer is.
        classes: their names in label order; as many as the model tells apart, or none: then they are numbered.
        threshold: of the probability of the positive of two classes, or of a label, above which it is the answer.
        positive: the place of that class.
        groups: by column, the value of each sample; the same numbers are told of each value's samples alone.
        objective: the plan's; where it says what wrong answers cost, the cheapest is the answer, whatever the threshold.
    """

    loss: str
    classes: Sequence[str] = ()
    threshold: float = 0.5
    positive: int = 1
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)
    objective: Objective = PLAIN

    def __call__(self, outputs: Tensor, targets: Tensor) -> Scores:
        """Everything that fits the loss; the first is compared from one selection to the next, and no threshold changes it.

        Args:
            outputs: of all samples: logits [n, classes]; [n, labels] or [n] for `binary_cross_entropy`; numbers for `mse`.
            targets: class numbers [n]; 0 or 1 as outputs; numbers as outputs.

        Returns:
            None under a name where it means nothing: the AUC of samples of one class alone, say.

        Raises:
            ConfigError: the targets are something else, a target is none of the outputs' classes, or there is not one for
                each; or a column of `groups` has not as many values.
        """
        self._refuse_misfit(outputs, targets)
        answers, truth = outputs.detach().cpu().to(torch.float64).numpy(), targets.detach().cpu().numpy()
        measure = _MEASURES[self.loss]
        constant = _CONSTANTS[self.loss](answers, truth)
        # its probabilities are the shares of these samples, which no weight has moved
        without = replace(self, threshold=HALF, objective=Objective(costs=self.objective.costs))
        bare = measure(without, constant, truth)
        if self.loss == "mse":
            bare["MAE"] = _least_distance(truth)
        found = Scores(measure(self, answers, truth), {name: v for name, v in bare.items() if v is not None})
        first = next(iter(found.values))
        for column, cells in self.groups.items():
            values = np.asarray(cells)
            for value in sorted(set(cells)):
                here = values == value
                inside = measure(self, answers[here], truth[here])
                inside = {name: v for name, v in inside.items() if OF_CLASS not in name and OF_LABEL not in name}
                none = measure(without, constant[here], truth[here])[first]
                told = {"samples": float(here.sum()), first: inside.pop(first), NO_MODEL: none, **inside}
                if self.loss == "cross_entropy" and answers.shape[1] == 2:  # noqa: PLR2004 - two classes
                    told[POSITIVES] = float((truth[here] == self.positive).sum())
                found.groups.setdefault(column, {})[value] = told
        if self.loss == "cross_entropy" and answers.shape[1] <= MAX_EACH and np.isfinite(answers).all():
            rows = confusion(self.decided(answers), truth, answers.shape[1])
            found.confusion.update({self.name(k): row for k, row in enumerate(rows)})
        return found

    def _refuse_misfit(self, outputs: Tensor, targets: Tensor) -> None:
        """See `__call__`."""
        if self.loss not in _MEASURES:
            raise ConfigError(
                f"a Judge of '{escape(self.loss)}', expected one of {', '.join(_MEASURES)}",
                "score= takes any function of all outputs and all targets: docs/tasks.md",
            )
        n = len(targets) if targets.ndim else 0
        of_sequences = self.loss == "cross_entropy" and outputs.ndim > 2  # noqa: PLR2004 - [n, classes]
        if not n or outputs.shape[:1] != (n,) or of_sequences:
            raise ConfigError(
                f"outputs {list(outputs.shape)} and targets {list(targets.shape)} cannot be judged: expected one answer for "
                "each of at least one sample",
                "score= takes any function of all outputs and all targets: docs/tasks.md",
            )
        fit.refuse_labels(targets, self.loss, "held_out")
        fit.refuse_shapes(outputs, targets, self.loss, "held_out")
        for column, cells in self.groups.items():
            if len(cells) != n:
                raise ConfigError(f"groups has {len(cells):,} values of '{escape(column)}' for {n:,} samples")

    def name(self, k: int) -> str:
        """Of the class with this number."""
        return self.classes[k] if k < len(self.classes) else str(k)

    def probabilities(self, outputs: Array) -> Array:
        """Those that an answer is taken from, of the outputs' shape: where the plan has costs, see `costs.probabilities`."""
        if self.objective.costs:
            return np.asarray(costs.probabilities(torch.tensor(outputs), self.objective, self.classes).numpy())
        return probabilities(outputs, self.loss)

    def decided(self, outputs: Array) -> NDArray[np.int64]:
        """The class that is answered, [n, classes] -> [n]: the cheapest; of two by a threshold; else the likeliest."""
        if self.objective.costs:
            return np.asarray(costs.answers(torch.tensor(outputs), self.objective, self.classes).numpy())
        if outputs.shape[1] != 2 or self.threshold == HALF:  # noqa: PLR2004 - two classes
            return np.asarray(outputs.argmax(1))
        chosen = self.probabilities(outputs)[:, self.positive] > self.threshold
        return np.where(chosen, self.positive, 1 - self.positive)


def refuse_many(column: str, cells: Sequence[str]) -> None:
    """A column of which each sample has its own value tells no groups apart.

    Raises:
        ConfigError: it has more than `MAX_GROUPS` values, or one of more than `MAX_VALUE` letters.
    """
    values = set(cells)
    if len(values) > MAX_GROUPS:
        raise ConfigError(
            f"column '{escape(column)}' has {len(values):,} values, expected at most {MAX_GROUPS} to tell groups apart",
            "is it an id, or a number? name another under [metrics] by",
        )
    longest = max(values, key=len, default="")
    if len(longest) > MAX_VALUE:
        raise ConfigError(
            f"column '{escape(column)}' has a value of {len(longest):,} letters, expected at most {MAX_VALUE}: "
            f"'{escape(longest, 40)}'",
            "is it free text? name another under [metrics] by",
        )


def probabilities(outputs: Array, loss: str) -> Array:
    """What a model's answers mean, float64: of classes [n, classes]; of labels [n, labels]; numbers are left as they are."""
    from scipy.special import expit, softmax  # noqa: PLC0415 - not needed to train

    if loss == "cross_entropy":
        return np.asarray(softmax(outputs, axis=1))
    if loss == "binary_cross_entropy":
        return np.asarray(expit(outputs))
    return outputs


def confusion(answered: Array, truth: Array, classes: int) -> list[list[int]]:
    """How many samples of each true class (row) were answered with each class (column)."""
    counts = np.bincount(truth * classes + answered, minlength=classes**2)
    return counts.reshape(classes, classes).tolist()


def calibration_error(truth: Array, probability: Array) -> float:
    """By how much the share of positives differs from the probability that was answered: mean over samples, in `BINS` bins.

    Args:
        truth: 0 or 1, or True where the answer was right, [n].
        probability: of it, [n].
    """
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    gaps = np.bincount(place, truth.astype(float) - probability, BINS)
    return float(np.abs(gaps).sum() / len(truth))


def _known(measure: Callable[[], float]) -> float | None:
    """None where scikit-learn has no number: one class alone, no sample, a constant target."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns, and gives 0 or NaN
        try:
            value = float(measure())
        except ValueError:
            return None
    return value if np.isfinite(value) else None


def _ranked(truth: Array, probability: Array) -> list[Values]:
    """How well each column's probability tells 1 from 0, at no threshold: None where there are only 1s, or only 0s.

    Args:
        truth: 0 or 1, [n, questions].
        probability: of 1, [n, questions].
    """
    from sklearn import metrics as m  # noqa: PLC0415 - not needed to train

    each: list[Values] = [{"AUC": None, "average precision": None} for _ in range(truth.shape[1])]
    both = np.flatnonzero(truth.any(0) & ~truth.all(0))
    if not len(both):
        return each
    y, p = truth[:, both].astype(int), probability[:, both]
    if (p == p[0]).all():  # no model: nothing is ranked, and each positive is found among all
        areas, precisions = np.full(len(both), 0.5), y.mean(0)
    else:  # all columns in one call
        areas, precisions = (np.atleast_1d(f(y, p, average=None)) for f in (m.roc_auc_score, m.average_precision_score))
    for k, area, precision in zip(both, areas, precisions, strict=True):
        each[k] = {"AUC": float(area), "average precision": float(precision)}
    return each


def _two(truth: Array, probability: Array, answer: Array, ranked: Values) -> Values:
    """Of one yes-or-no question: truth, answer 0 or 1 [n], the probability of 1 [n], what `_ranked` says of them."""
    found, left, f1 = (_number(rate[1]) for rate in _rates(answer, truth, 2))
    return {
        **ranked,
        "balanced accuracy": None if found is None or left is None else (found + left) / 2,
        "sensitivity": found,
        "specificity": left,
        "F1": f1 if truth.any() else None,
        "Brier": float(np.mean((probability - truth) ** 2)),
        "calibration error": calibration_error(truth, probability),
    }


def _rates(answer: Array, truth: Array, classes: int) -> tuple[Array, Array, Array]:
    """Of each class: sensitivity, specificity and F1, [classes]; NaN where there is nothing to count."""
    of, said, right = (np.bincount(a, minlength=classes) for a in (truth, answer, truth[truth == answer]))
    with np.errstate(invalid="ignore"):
        return right / of, 1 - (said - right) / (len(truth) - of), 2 * right / (of + said)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _at(judge: Judge, answer: Array, truth: Array) -> Values:
    """How many answers are right at a threshold of one's own."""
    return {} if judge.threshold == HALF else {f"accuracy at {judge.threshold:g}": float((answer == truth).mean())}


def _mean(each: Sequence[Values], name: str) -> float | None:
    known = [v for v in (one[name] for one in each) if v is not None]
    return float(np.mean(known)) if known else None


def _classes(judge: Judge, outputs: Array, truth: Array) -> Values:
    if not np.isfinite(outputs).all():
        return {"accuracy": None}
    count, p, answer = outputs.shape[1], judge.probabilities(outputs), judge.decided(outputs)
    ranks = probabilities(outputs, judge.loss)  # as the model has them: what costs make of them has ties at 0 and 1
    found: Values = {"accuracy": float((outputs.argmax(1) == truth).mean())}
    if judge.objective.costs:
        paid = costs.paid(torch.from_numpy(answer), torch.from_numpy(truth), judge.objective, judge.classes)
        found |= {MEAN_COST: float(paid.mean()), CHEAPEST: float((answer == truth).mean())}
    elif count == 2:  # noqa: PLR2004 - two classes
        found |= _at(judge, answer, truth)
    if count == 2:  # noqa: PLR2004 - two classes
        yes = judge.positive
        here = (truth == yes).astype(int)
        (ranked,) = _ranked(here[:, None], ranks[:, [yes]])
        return found | _two(here, p[:, yes], (answer == yes).astype(int), ranked)
    there = np.unique(truth)
    several = len(there) > 1
    each_ranked = _ranked(truth[:, None] == there, ranks[:, there]) if len(there) <= MAX_TAKEN_APART else []
    right = p[np.arange(len(p)), truth]
    rates = [rate[there] for rate in _rates(answer, truth, count)]
    sensitivity, _, f1 = rates
    found |= {
        "AUC": _mean(each_ranked, "AUC"),
        "average precision": _mean(each_ranked, "average precision"),
        "balanced accuracy": float(sensitivity.mean()) if several else None,
        "F1": float(f1.mean()) if several else None,
        "Brier": float(((p**2).sum(1) - 2 * right + 1).mean()),
        "calibration error": calibration_error(p.argmax(1) == truth, p.max(1)),
    }
    for k, *own in zip(there, *rates, strict=True) if len(there) <= MAX_EACH else ():
        each = zip(("sensitivity", "specificity", "F1"), map(_number, own), strict=True)
        found |= {f"{what}{OF_CLASS}{judge.name(k)}": value for what, value in each}
    return found


def _labels(judge: Judge, outputs: Array, truth: Array) -> Values:
    if not np.isfinite(outputs).all():
        return {"share of labels found": None}
    z, y = outputs.reshape(len(truth), -1), (truth > 0).reshape(len(truth), -1).astype(int)
    p = probabilities(z, judge.loss)
    answer = (p > judge.threshold).astype(int)
    found: Values = {"share of labels found": float(((z > 0) == y).mean()), **_at(judge, answer, y)}
    if y.shape[1] > MAX_TAKEN_APART:
        return found | {"Brier": float(((p - y) ** 2).mean())}
    each = [_two(y[:, k], p[:, k], answer[:, k], ranked) for k, ranked in enumerate(_ranked(y, p))]
    found |= {name: _mean(each, name) for name in each[0]}
    if len(each) > 1:
        for k, one in enumerate(each[:MAX_EACH]):
            found |= {f"{what}{OF_LABEL}{k}": one[what] for what in ("AUC", "sensitivity", "specificity")}
    return found


def _numbers(_judge: Judge, outputs: Array, truth: Array) -> Values:
    from sklearn import metrics as m  # noqa: PLC0415 - not needed to train

    if not np.isfinite(outputs).all():
        return {"minus the squared error": None}
    z, y = outputs.reshape(len(truth), -1), truth.reshape(len(truth), -1).astype(np.float64)
    squared = float(m.mean_squared_error(y, z))
    return {
        "minus the squared error": -squared,
        "RMSE": squared**0.5,
        "MAE": float(m.mean_absolute_error(y, z)),
        "R2": _known(lambda: m.r2_score(y, z)) if len(y) > 1 else None,
    }


_MEASURES: Mapping[str, Callable[[Judge, Array, Array], Values]] = {
    "cross_entropy": _classes,
    "binary_cross_entropy": _labels,
    "mse": _numbers,
}


def _shares(outputs: Array, truth: Array) -> Array:
    """Logits of each class's share of these samples: the most frequent one is the answer, and no other has less Brier."""
    shares = np.bincount(truth, minlength=outputs.shape[1]) / len(truth)
    return np.broadcast_to(np.log(np.maximum(shares, LEAST)), outputs.shape)


def _label_shares(outputs: Array, truth: Array) -> Array:
    """The same for each yes-or-no label."""
    shares = np.clip(truth.reshape(len(truth), -1).mean(0, dtype=np.float64), LEAST, 1 - LEAST)
    return np.broadcast_to(np.log(shares / (1 - shares)), (len(truth), len(shares))).reshape(outputs.shape)


def _center(outputs: Array, truth: Array) -> Array:
    """The mean of these samples' numbers: what has the least squared error."""
    y = truth.reshape(len(truth), -1).astype(np.float64)
    return np.broadcast_to(y.mean(0), y.shape).reshape(outputs.shape)


def _least_distance(truth: Array) -> float:
    """The mean distance to the median, which no other number has less of."""
    y = truth.reshape(len(truth), -1).astype(np.float64)
    return float(np.abs(y - np.median(y, axis=0)).mean())


_CONSTANTS: Mapping[str, Callable[[Array, Array], Array]] = {
    "cross_entropy": _shares,
    "binary_cross_entropy": _label_shares,
    "mse": _center,
}
"""The best answer that is the same for every sample: what is had without a model, on these very samples."""
