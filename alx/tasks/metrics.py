"""Numbers that people decide by, of a model's answers on samples that it was not trained on, beside those of no model.

Knows outputs and targets; knows no file and no model. scikit-learn computes all but the calibration error, which it lacks.
Nothing here chooses a model: what is selected, and what travels, is a sum of losses.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from alx.errors import ConfigError, escape
from alx.learning.task import Scores

BINS = 10  # of the calibration error: equally wide, as in Naeini et al., AAAI 2015
MAX_GROUPS = 50  # values of a column: more, and it is an id or a number
MAX_EACH = 20  # classes, or labels, that are told one by one: more, and nobody reads them

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
    """

    loss: str
    classes: Sequence[str] = ()
    threshold: float = 0.5
    positive: int = 1
    groups: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Scores:
        """Everything that fits the loss; the first is the one that is compared from one selection to the next.

        Args:
            outputs: of all samples: logits [n, classes]; [n, labels] or [n] for `binary_cross_entropy`; numbers for `mse`.
            targets: class numbers [n]; 0 or 1 as outputs; numbers as outputs.

        Returns:
            None under a name where it means nothing: the AUC of samples of one class alone, say.
        """
        answers, truth = _float64(outputs), targets.detach().cpu().numpy()
        told = _MEASURES[self.loss](self, answers, truth)
        constant = _CONSTANTS[self.loss](answers, truth)
        found = Scores(told, {name: v for name, v in _MEASURES[self.loss](self, constant, truth).items() if v is not None})
        for column, cells in self.groups.items():
            values = np.asarray(cells)
            for value in sorted(set(cells)):
                here = values == value
                inside = _MEASURES[self.loss](self, answers[here], truth[here])
                found.groups.setdefault(column, {})[value] = {"samples": float(here.sum()), **inside}
        return found

    def decided(self, probabilities: Array) -> NDArray[np.int64]:
        """The class that is answered, [n, classes] -> [n]; of two by the threshold, else the likeliest."""
        if probabilities.shape[1] != 2:  # noqa: PLR2004 - two classes
            return np.asarray(probabilities.argmax(1))
        chosen = probabilities[:, self.positive] > self.threshold
        return np.where(chosen, self.positive, 1 - self.positive)


def refuse_many(column: str, cells: Sequence[str]) -> None:
    """A column of which each sample has its own value tells no groups apart.

    Raises:
        ConfigError: it has more than `MAX_GROUPS` values.
    """
    values = len(set(cells))
    if values > MAX_GROUPS:
        raise ConfigError(
            f"column '{escape(column)}' has {values:,} values, expected at most {MAX_GROUPS} to tell groups apart",
            "is it an id, or a number? name another under [metrics] by",
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
    from sklearn.metrics import confusion_matrix  # noqa: PLC0415 - not needed to train

    return confusion_matrix(truth, answered, labels=range(classes)).tolist()  # type: ignore[no-any-return]


def calibration_error(truth: Array, probability: Array) -> float:
    """By how much the share of positives differs from the probability that was answered: mean over samples, in `BINS` bins.

    Args:
        truth: 0 or 1, or True where the answer was right, [n].
        probability: of it, [n].
    """
    place = np.minimum((probability * BINS).astype(int), BINS - 1)
    gaps = np.bincount(place, truth.astype(float) - probability, BINS)
    return float(np.abs(gaps).sum() / len(truth))


def _float64(outputs: Tensor) -> Array:
    return outputs.detach().cpu().to(torch.float64).numpy()


def _known(measure: Callable[[], float]) -> float | None:
    """None where scikit-learn has no number: one class alone, no sample, a constant target."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns, and gives 0 or NaN
        try:
            value = float(measure())
        except ValueError:
            return None
    return value if np.isfinite(value) else None


def _two(truth: Array, probability: Array, answer: Array) -> Values:
    """Of one yes-or-no question: truth, answer 0 or 1 [n], the probability of 1 [n]."""
    from sklearn import metrics as m  # noqa: PLC0415 - not needed to train

    both = len(np.unique(truth)) == 2  # noqa: PLR2004 - of one class alone there is nothing to tell apart
    yes, no = truth == 1, truth == 0
    return {
        "AUC": _known(lambda: m.roc_auc_score(truth, probability)) if both else None,
        "average precision": _known(lambda: m.average_precision_score(truth, probability)) if both else None,
        "balanced accuracy": _known(lambda: m.balanced_accuracy_score(truth, answer)) if both else None,
        "sensitivity": _known(answer[yes].mean) if yes.any() else None,
        "specificity": _known(lambda: 1 - answer[no].mean()) if no.any() else None,
        "F1": _known(lambda: m.f1_score(truth, answer)) if yes.any() else None,
        "Brier": _known(lambda: np.mean((probability - truth) ** 2)),
        "calibration error": calibration_error(truth, probability),
    }


def _classes(judge: Judge, outputs: Array, truth: Array) -> Values:
    from sklearn import metrics as m  # noqa: PLC0415 - not needed to train

    count = outputs.shape[1]
    if not np.isfinite(outputs).all():
        return {"accuracy": None}
    p = probabilities(outputs, judge.loss)
    answer = judge.decided(p)
    found: Values = {"accuracy": float((answer == truth).mean())}
    if count == 2:  # noqa: PLR2004 - two classes
        yes = judge.positive
        return found | _two((truth == yes).astype(int), p[:, yes], (answer == yes).astype(int))
    here = np.unique(truth)
    each = {k: _two((truth == k).astype(int), p[:, k], (answer == k).astype(int)) for k in here}
    several = len(here) > 1

    def mean(name: str) -> float | None:
        values = [v[name] for v in each.values()]
        return _known(lambda: float(np.mean([v for v in values if v is not None]))) if several else None

    right = p[np.arange(len(p)), truth]
    found |= {
        "AUC": mean("AUC"),
        "average precision": mean("average precision"),
        "balanced accuracy": _known(lambda: m.balanced_accuracy_score(truth, answer)) if several else None,
        "F1": mean("F1"),
        "Brier": float(((p**2).sum(1) - 2 * right + 1).mean()),
        "calibration error": calibration_error(answer == truth, p.max(1)),
    }
    for k in here[:MAX_EACH]:
        name = judge.classes[k] if k < len(judge.classes) else str(k)
        found |= {f"{what} of {name}": each[k][what] for what in ("sensitivity", "specificity", "F1")}
    return found


def _labels(judge: Judge, outputs: Array, truth: Array) -> Values:
    if not np.isfinite(outputs).all():
        return {"share of labels found": None}
    p, y = (a.reshape(len(truth), -1) for a in (probabilities(outputs, judge.loss), truth))
    answer = (p > judge.threshold).astype(int)
    found: Values = {"share of labels found": float((answer == y).mean())}
    each = [_two(y[:, k].astype(int), p[:, k], answer[:, k]) for k in range(y.shape[1])]
    if len(each) == 1:
        return found | each[0]
    for name in each[0]:
        known = [v for v in (one[name] for one in each) if v is not None]
        found[name] = float(np.mean(known)) if known else None
    for k, one in enumerate(each[:MAX_EACH]):
        found |= {f"{what} of label {k}": one[what] for what in ("AUC", "sensitivity", "specificity")}
    return found


def _numbers(_judge: Judge, outputs: Array, truth: Array) -> Values:
    from sklearn import metrics as m  # noqa: PLC0415 - not needed to train

    if not np.isfinite(outputs).all():
        return {"minus the squared error": None}
    z, y = outputs.reshape(len(truth), -1), truth.reshape(len(truth), -1).astype(np.float64)
    squared = float(((z - y) ** 2).mean())
    return {
        "minus the squared error": -squared,
        "RMSE": squared**0.5,
        "MAE": float(np.abs(z - y).mean()),
        "R2": _known(lambda: m.r2_score(y, z)) if len(y) > 1 else None,
    }


_MEASURES: Mapping[str, Callable[[Judge, Array, Array], Values]] = {
    "cross_entropy": _classes,
    "binary_cross_entropy": _labels,
    "mse": _numbers,
}


def _one_class(outputs: Array, truth: Array) -> Array:
    """Logits that always answer the most frequent class of these samples."""
    most = np.bincount(truth).argmax()
    return np.where(np.arange(outputs.shape[1]) == most, 0.0, -1e3) * np.ones((len(truth), 1))


def _one_label(outputs: Array, truth: Array) -> Array:
    """The same for each yes-or-no label."""
    often = truth.reshape(len(truth), -1).mean(0) > 0.5  # noqa: PLR2004 - more than half
    return np.broadcast_to(np.where(often, 1e3, -1e3), (len(truth), len(often))).reshape(outputs.shape)


def _mean(outputs: Array, truth: Array) -> Array:
    """The mean of these samples' numbers: what has the least squared error."""
    y = truth.reshape(len(truth), -1).astype(np.float64)
    return np.broadcast_to(y.mean(0), y.shape).reshape(outputs.shape)


_CONSTANTS: Mapping[str, Callable[[Array, Array], Array]] = {
    "cross_entropy": _one_class,
    "binary_cross_entropy": _one_label,
    "mse": _mean,
}
"""The best answer that is the same for every sample: what is had without a model, on these very samples."""
